#!/usr/bin/env bash
# mount_requests.sh - counts the requests that the kernel sends for each operation; more than the design's table fail.
#
# A request costs about 10 us whatever the daemon does inside, so their number is what the speed hangs on. They are
# counted in the daemon's own debug output (-d), by the process that caused them: what others do does not count, and
# FORGET, which comes from nobody, neither.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
CLIENT=$(helper bench/small_files) || skip_all "no C compiler for tests/bench/small_files.c"
FILES=200
LISTED=2000

# counted PHASE COUNT: runs the client and leaves "OPCODE NUMBER" lines of its requests in counts.
counted() {
    local before pid
    before=$(stat -c %s "$TEST_DIR/daemon.log")
    "$CLIENT" "$MNT/dir" "$1" "$2" >"$TEST_DIR/client.out" &
    pid=$!
    wait "$pid"
    tail -c +$((before + 1)) "$TEST_DIR/daemon.log" |
        sed -n -E "s/.*opcode: ([A-Z_0-9]+) .*pid: $pid\$/\1/p" |
        grep -v -E '^(FORGET|BATCH_FORGET|INTERRUPT)$' | sort | uniq -c | awk '{ print $2, $1 }' >"$TEST_DIR/counts" || true
    echo "$1 of $2 files:" "$(paste -s -d ' ' "$TEST_DIR/counts")" | tee -a "$TEST_DIR/table"
}

# allowed OPCODE=LIMIT...: each opcode at most so often, any other not at all. Looking up the directory itself and
# asking for its attributes costs a request or two on top, whatever the number of files.
allowed() {
    local opcode number limit pair
    while read -r opcode number; do
        limit=0
        for pair in "$@"; do
            [ "${pair%%=*}" != "$opcode" ] || limit=${pair#*=}
        done
        case $opcode in LOOKUP | GETATTR) limit=$((limit + 2)) ;; esac
        [ "$number" -le "$limit" ] || {
            echo "$number requests $opcode, the table allows $limit"
            return 1
        }
    done <"$TEST_DIR/counts"
}

# What the daemon answers with ENOSYS the kernel asks once.
warm_up() {
    local phase
    mkdir "$MNT/warm" "$MNT/dir"
    echo x >"$MNT/warm/file"
    cat "$MNT/warm/file"
    getfattr -d "$MNT/warm/file" 2>/dev/null || true
    for phase in create read append; do "$CLIENT" "$MNT/warm" "$phase" 3; done
    for phase in overwrite unlink; do "$CLIENT" "$MNT/warm" "$phase" 3; done
    find "$MNT/warm" -ls
    grep -q 'opcode: WRITE' "$TEST_DIR/daemon.log"
}

again() {
    unmount_store
    mount_store -d
    stat -c %n "$MNT/warm" "$MNT/dir"
    ls -l "$MNT/warm" >"$TEST_DIR/client.out"
    echo y >"$MNT/warm/file"
    grep y "$MNT/warm/file"
}

create() {
    counted create "$FILES"
    allowed LOOKUP="$FILES" GETATTR="$FILES" MKNOD="$FILES" GETXATTR="$FILES" WRITE="$FILES"
}

read_warm() {
    counted read "$FILES"
    counted reread "$FILES"
    allowed
}

read_cold() {
    again
    counted read "$FILES"
    allowed LOOKUP="$FILES" READ="$FILES"
    grep -q "^READ $FILES\$" "$TEST_DIR/counts"
}

stat_cold() {
    again
    counted stat "$FILES"
    allowed LOOKUP="$FILES"
    counted stat "$FILES"
    allowed
}

overwrite() {
    counted overwrite "$FILES"
    allowed SETATTR="$FILES" GETXATTR=$((2 * FILES)) WRITE="$FILES"
}

append() {
    counted append "$FILES"
    allowed WRITE="$FILES"
}

unlink_known() {
    counted unlink "$FILES"
    allowed GETATTR="$FILES" UNLINK="$FILES"
}

# One request per 200 entries; the first is cut short by the page the kernel begins with, the last finds the end.
list_cold() {
    "$CLIENT" "$MNT/dir" create "$LISTED"
    again
    counted list "$LISTED"
    at_most_one_per_200
    "$CLIENT" "$MNT/dir" list "$LISTED"
}

list_and_stat_cold() {
    again
    counted liststat "$LISTED"
    at_most_one_per_200
}

at_most_one_per_200() {
    allowed READDIRPLUS=$((LISTED / 200 + 2)) READDIR=$((LISTED / 200 + 2))
    [ "$(awk '/^READDIR/ { n += $2 } END { print n + 0 }' "$TEST_DIR/counts")" -le $((LISTED / 200 + 2)) ]
}

# Where root alone enters and there are no ACLs the kernel checks no permissions, and needs no attributes of the parent.
noacl() {
    is_root || skip_check "needs root"
    unmount_store
    mount_store -d -o noacl
    mkdir "$MNT/noacl"
    mv "$MNT/dir" "$MNT/dir2"
    mv "$MNT/noacl" "$MNT/dir"
    echo x >"$MNT/warm/new"
    ls "$MNT/dir" >"$TEST_DIR/client.out"
    counted create "$FILES"
    allowed LOOKUP="$FILES" MKNOD="$FILES" GETXATTR="$FILES" WRITE="$FILES"
    counted unlink "$FILES"
    allowed UNLINK="$FILES"
}

# Attributes of the files themselves ask for nothing more.
with_xattrs() {
    local file
    rm "$MNT/dir"/*
    "$CLIENT" "$MNT/dir" create "$FILES" >"$TEST_DIR/client.out"
    for file in "$MNT/dir"/*; do setfattr -n user.a -v 1 "$file"; done
    counted append "$FILES"
    allowed WRITE="$FILES" GETXATTR="$FILES"
    counted overwrite "$FILES"
    allowed SETATTR="$FILES" GETXATTR=$((2 * FILES)) WRITE="$FILES"
}

mount_store -d || die "mount with -d"
check "the daemon's debug output names the requests" warm_up
check "create, write, close: LOOKUP, GETATTR of the parent, MKNOD, GETXATTR, WRITE" create
check "open, read, close, warm: none" read_warm
check "open, read, close, cold: LOOKUP, READ" read_cold
check "stat, cold: LOOKUP; again: none" stat_cold
check "overwrite with O_TRUNC: SETATTR, 2 GETXATTR, WRITE" overwrite
check "append to a known file: WRITE" append
check "unlink of a known file: GETATTR of the parent, UNLINK" unlink_known
check "list, cold: one READDIRPLUS per 200 entries" list_cold
check "list and stat, cold: no more than that" list_and_stat_cold
check "files with extended attributes: no more than those without" with_xattrs
check "noacl, root alone: no GETATTR of the parent" noacl
sed 's/^/     /' "$TEST_DIR/table"
check "the store unmounts" unmount_store
finish
