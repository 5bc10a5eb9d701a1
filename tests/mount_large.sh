#!/usr/bin/env bash
# mount_large.sh - large files: memory while they are written and read (128 MiB; LONG=1: 8 GiB), what an overwrite adds to
# the log, what a kill in the midst of one leaves, many at once, one without a name.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
MIB=$([ "$LONG" -eq 0 ] && echo 128 || echo 8192)
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"

resident_kib() {
    sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$(daemon_pid)/status"
}

# Bytes that depend on their place, without end.
numbers() {
    seq -f '%015.0f' 1 100000000000
}

# A sanitizer keeps what was freed.
memory_stays_bounded() {
    local before bs sum
    before=$(resident_kib VmRSS)
    sum=$(numbers | head -c "${MIB}M" | tee "$MNT/large" | cksum)
    equal "what is read" "$sum" "$(cksum <"$MNT/large")"
    equal "size" $((MIB << 20)) "$(stat -c %s "$MNT/large")"
    for bs in 4k 64k 1M; do
        head -c 20M "$MNT/large" | dd of="$MNT/copy" bs="$bs" iflag=fullblock conv=fsync status=none
        cmp -n $((20 << 20)) "$MNT/large" "$MNT/copy"
    done
    echo "resident: $before KiB at the start, $(resident_kib VmHWM) KiB at most"
    grep -q 'lib[at]san' "/proc/$(daemon_pid)/maps" || [ $(($(resident_kib VmHWM) - before)) -lt 204800 ]
}

# 100 bytes in each of ten extents: what is added are these, and a record of the inode.
overwrite_costs_what_it_touches() {
    local before after i
    sync "$MNT/large"
    before=$(du -sb "$STORE" | cut -f1)
    for ((i = 0; i < 10; i++)); do
        head -c 100 /dev/urandom | dd of="$MNT/large" bs=1 seek=$((i * 20000000 + 5)) conv=notrunc status=none
    done
    sync "$MNT/large"
    after=$(du -sb "$STORE" | cut -f1)
    echo "an overwrite of 10 x 100 bytes added $(((after - before) >> 10)) KiB to the store"
    [ $((after - before)) -lt $((4 << 20)) ]
}

# The old content or the new one: of the bytes that were written and not committed none is to be seen.
kill_leaves_the_old_content() {
    yes old | head -c 10M >"$MNT/victim"
    sync "$MNT/victim"
    yes new | head -c 6M | dd of="$MNT/victim" bs=64k conv=notrunc iflag=fullblock status=none
    kill_daemon
    mount_store -o scheduler=off,commit_ms=60000
    cmp "$MNT/victim" <(yes old | head -c 10M) || cmp "$MNT/victim" <({
        yes new | head -c 6M
        yes old | head -c 4M
    })
    yes new | dd of="$MNT/victim" bs=64k count=40 conv=notrunc,fsync iflag=fullblock status=none
    yes bad | head -c 6M | dd of="$MNT/victim" bs=64k conv=notrunc iflag=fullblock status=none
    kill_daemon
    mount_store -o scheduler=off
    cmp "$MNT/victim" <({
        yes new | head -c $((40 * 65536))
        yes old | head -c $((10 * 1048576 - 40 * 65536))
    }) || ! echo "the bytes that were not committed are there, or those that were are not"
}

many_at_once() {
    local i before
    mkdir "$MNT/many"
    before=$(resident_kib VmRSS)
    for ((i = 0; i < 100; i++)); do
        head -c 1500000 "$MNT/large" >"$MNT/many/$i" &
        ((i % 10 < 9)) || wait
    done
    wait
    for ((i = 0; i < 100; i++)); do cmp -n 1500000 "$MNT/large" "$MNT/many/$i"; done
    grep -q 'lib[at]san' "/proc/$(daemon_pid)/maps" || [ $(($(resident_kib VmHWM) - before)) -lt 204800 ]
    rm -r "$MNT/many"
}

large_file_without_a_name() {
    local sum
    cp "$MNT/copy" "$MNT/nameless"
    exec 7<>"$MNT/nameless" 8<"$MNT/nameless"
    rm "$MNT/nameless"
    head -c 7000000 /dev/zero >&7
    sum=$({
        head -c 7000000 /dev/zero
        tail -c +7000001 "$MNT/copy"
    } | cksum)
    sync "$MNT"
    equal "read by another descriptor" "$sum" "$(cksum <&8)"
    exec 7>&- 8<&-
}

# Names of large files in two directories, and one put over another, with descriptors open below.
renames_of_large_files() {
    mkdir "$MNT/here" "$MNT/there"
    cp "$MNT/copy" "$MNT/here/a"
    head -c 3M "$MNT/large" >"$MNT/there/b"
    exec 7<>"$MNT/here/a" 8<"$MNT/there/b"
    "$TOOL" exchange "$MNT/here/a" "$MNT/there/b"
    printf first >&7
    cmp "$MNT/here/a" <(head -c 3M "$MNT/large")
    equal "written through the name it had" first "$(head -c 5 "$MNT/there/b")"
    mv "$MNT/there/b" "$MNT/here/a"
    sync "$MNT/here/a"
    cmp <(head -c 3M "$MNT/large") - <&8
    exec 7>&- 8<&-
    equal "size" "$(stat -c %s "$MNT/copy")" "$(stat -c %s "$MNT/here/a")"
    rm -r "$MNT/here" "$MNT/there"
}

mount_store -o scheduler=off || die "mount"
check "memory stays bounded" memory_stays_bounded
check "an overwrite costs what it touches" overwrite_costs_what_it_touches
check "a kill leaves the content of a commit" kill_leaves_the_old_content
check "many at once" many_at_once
check "a large file without a name" large_file_without_a_name
check "renames of large files" renames_of_large_files
check "the store unmounts" unmount_store
check "verify finds no damage" "$BITCASK" verify "$STORE"
finish
