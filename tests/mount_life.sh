#!/usr/bin/env bash
# mount_life.sh - how a mount begins and ends: SIGTERM, umount, daemon mode, read-only, a full disk.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
mount_store || die "mount"

# SIGTERM while data is pending in the daemon and in a mapping that nobody synced.
sigterm_leaves_a_clean_store() {
    local i output
    mkdir "$MNT/term" "$MNT/term/dir"
    printf 'page\n%.0s' {1..2000} >"$MNT/term/mapped"
    "$TOOL" mmap-hold "$MNT/term/mapped" 5000 "from the mapping" >"$TEST_DIR/hold.out" &
    BACKGROUND+=($!)
    until [ -s "$TEST_DIR/hold.out" ]; do sleep 0.01; done
    for ((i = 0; i < 200; i++)); do echo "content $i" >"$MNT/term/dir/f$i"; done
    mv "$MNT/term/dir/f0" "$MNT/term/moved"
    rm "$MNT/term/dir/f1"
    kill -TERM "$(daemon_pid)"
    wait_daemon
    kill "${BACKGROUND[-1]}"
    unset 'BACKGROUND[-1]'
    for ((i = 2; i < 200; i += 11)); do
        equal "bitcask get" "content $i" "$("$BITCASK" get "$STORE" "term/dir/f$i")"
    done
    equal "the moved one" "content 0" "$("$BITCASK" get "$STORE" term/moved)"
    output=$("$BITCASK" get "$STORE" term/mapped | tail -c +5001 | head -c 16)
    equal "the mapping" "from the mapping" "$output"
    refused . "$BITCASK" get "$STORE" term/dir/f1
    refused . "$BITCASK" get "$STORE" term/dir/f0
    mount_store
    equal "files" 198 "$(find "$MNT/term/dir" -type f | wc -l)"
    equal "one of them" "content 199" "$(cat "$MNT/term/dir/f199")"
}
check "SIGTERM with pending data leaves a clean store with all of it" sigterm_leaves_a_clean_store

daemon_mode() {
    is_mounted && unmount_store
    # Ready when the command returns.
    "$BITCASKFS" "$STORE" "$MNT"
    equal "served at once" "content 199" "$(cat "$MNT/term/dir/f199")"
    echo "from daemon mode" >"$MNT/term/late"
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
    # The lock goes last, and an opener waits for it.
    equal "after umount" "from daemon mode" "$("$BITCASK" get "$STORE" term/late)"
    "$BITCASKFS" "$STORE" "$MNT"
    equal "mounted again at once" "from daemon mode" "$(cat "$MNT/term/late")"
    refused . "$BITCASKFS" "$STORE" "$TEST_DIR"
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
}
check "without -f the command returns when the mount is served" daemon_mode

read_only_mount() {
    mount_store -o ro
    equal "reads" "content 199" "$(cat "$MNT/term/dir/f199")"
    refused "Read-only" touch "$MNT/new"
    refused "Read-only" rm "$MNT/term/late"
    refused "Read-only" mkdir "$MNT/dir"
    refused "Read-only" chmod 600 "$MNT/term/late"
    unmount_store
}
check "-o ro reads and refuses changes" read_only_mount

# ---- a full disk: the store on a filesystem of 8 MiB ----

numbered() {
    yes "this is file $1" | head -c 65536
}

full_disk() {
    local i written
    mount -t tmpfs -o size=8m none "$TEST_DIR/small"
    STORE=$TEST_DIR/small/store
    mount_store
    cd "$MNT"
    mkdir dir
    for ((i = 0; i < 40; i++)); do numbered "$i" >"dir/f$i"; done
    # write(2) says it, and neither fsync nor close later.
    written=$("$TOOL" fill dir/big 65536)
    [ "$written" -gt 1000000 ]
    sync dir/big
    equal "what was acknowledged is there" "$written" "$(stat -c %s dir/big)"
    equal "nothing but it" "" "$(tr -d z <dir/big | head -c 100)"
    # An overwrite that finds no room in the same log leaves the old value alone.
    refused "No space left" dd if=/dev/urandom of=dir/f7 bs=200000 count=1 iflag=fullblock conv=notrunc
    for ((i = 0; i < 40; i++)); do cmp "dir/f$i" <(numbered "$i"); done
    cd /
    unmount_store
    mount_store
    cd "$MNT"
    equal "what was acknowledged is there after a remount" "$written" "$(stat -c %s dir/big)"
    for ((i = 0; i < 40; i++)); do cmp "dir/f$i" <(numbered "$i"); done
    # Deleting needs room for tombstones, and has it.
    rm dir/big dir/f3
    rm -r dir
    sync .
    [ ! -e dir ]
    cd /
    unmount_store
    mount_store
    equal "nothing came back" "" "$(ls -A "$MNT")"
    unmount_store
}

# A commit of attributes writes the record again: what finds no room for that is refused, not forgotten later.
full_disk_and_attributes() {
    local i
    umount "$TEST_DIR/small"
    mount -t tmpfs -o size=4m none "$TEST_DIR/small"
    STORE=$TEST_DIR/small/store
    mount_store
    cd "$MNT"
    numbered 1 >file
    sync file
    for ((i = 0; i < 1000; i++)); do numbered "$i" >"f$i" || break; done 2>/dev/null
    [ "$i" -lt 1000 ]
    refused "No space left" chmod 600 file
    refused "No space left" touch -d 2001-01-01 file
    sync .
    equal "mode" 644 "$(mode_of file)"
    cd /
    unmount_store
    if grep 'cannot' "$TEST_DIR/daemon.log"; then return 1; fi
}

mode_of() {
    stat -c %a "$1"
}

if is_root; then
    mkdir "$TEST_DIR/small"
    EXTRA_MOUNTS+=("$TEST_DIR/small")
    check "a full disk: ENOSPC from write, old values intact, deleting works" full_disk
    check "a full disk: chmod and touch are refused or kept" full_disk_and_attributes
else
    skip "a full disk: not root"
fi
finish
