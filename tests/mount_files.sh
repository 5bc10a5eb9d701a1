#!/usr/bin/env bash
# mount_files.sh - what databases and servers do to files of a mount: locks, mappings, direct and synchronous writes,
# holes, ten thousand open files, twenty thousand that come and go (LONG=1: 200,000), odd names and deep paths
# (tool_files.c).

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_files) || skip_all "no C compiler for tests/tool_files.c"
HELD=10000
BATCH=$([ "$LONG" -eq 0 ] && echo 2000 || echo 20000)

synchronous_writes_survive_a_kill() {
    local i
    mkdir "$MNT/synchronous"
    "$TOOL" synchronous "$MNT/synchronous/file"
    kill_daemon
    mount_store
    for i in 0 1 2 3 4; do
        equal "file$i" onetwo "$(cat "$MNT/synchronous/file$i")"
    done
}

descriptors() {
    find "/proc/$(daemon_pid)/fd" -mindepth 1 | wc -l
}

memory_kib() {
    sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(daemon_pid)/status"
}

held_files_take_no_descriptors() {
    local before holder line
    [ "$(ulimit -H -n)" = unlimited ] || [ "$(ulimit -H -n)" -gt $((HELD + 100)) ] ||
        skip_check "this user may not open $HELD files"
    mkdir "$MNT/held"
    mkfifo "$TEST_DIR/go" "$TEST_DIR/told"
    before=$(descriptors)
    "$TOOL" hold "$MNT/held" "$HELD" <"$TEST_DIR/go" >"$TEST_DIR/told" &
    holder=$!
    exec 3>"$TEST_DIR/go" 4<"$TEST_DIR/told"
    read -r line <&4
    equal "the files are open" held "$line"
    echo "descriptors of the daemon: $before before, $(descriptors) with $HELD files open; memory: $(memory_kib) KiB"
    [ "$(descriptors)" -lt $((before + 100)) ]
    echo go >&3
    exec 3>&- 4<&-
    wait "$holder"
    equal "what is left" "" "$(ls -A "$MNT/held")"
}

# Memory and descriptors are where they were after the first of some rounds. What the allocator keeps varies a little.
what_came_and_went_leaves_nothing() {
    local round first=0 now files
    ! grep -q 'lib[at]san' "/proc/$(daemon_pid)/maps" || skip_check "a sanitizer keeps what was freed"
    mkdir "$MNT/going"
    for round in 1 2 3 4 5 6 7 8 9 10; do
        "$TOOL" come-and-go "$MNT/going" "$BATCH"
        sync "$MNT"
        now=$(memory_kib)
        [ "$round" -ne 2 ] || { first=$now; files=$(descriptors); }
        echo "round $round: $now KiB, $(descriptors) descriptors"
    done
    [ "$now" -lt $((first + 8192)) ]
    [ "$(descriptors)" -lt $((files + 10)) ]
}

in_own_directory() {
    mkdir "$MNT/$1"
    "$TOOL" "$1" "$MNT/$1"
}

remount_shows_the_same() {
    # What lies below PATH_MAX no path reaches, nor find's -printf.
    (cd "$MNT" && find . -printf '%y %s %i %f\n' | sort) >"$TEST_DIR/before"
    unmount_store
    mount_store
    (cd "$MNT" && find . -printf '%y %s %i %f\n' | sort) >"$TEST_DIR/after"
    cmp "$TEST_DIR/before" "$TEST_DIR/after"
    [ "$(wc -l <"$TEST_DIR/after")" -gt 500 ]
}

mount_store || die "mount"
check "flock and fcntl locks keep two processes apart" "$TOOL" locks "$MNT/locks"
check "private and shared mappings agree with read and write" "$TOOL" mappings "$MNT/mappings"
check "direct reads and writes agree with cached ones" "$TOOL" direct "$MNT/direct"
check "SEEK_DATA and SEEK_HOLE leave out only zeros" "$TOOL" holes "$MNT/holes"
check "whoever opens a file that is being replaced finds it whole" in_own_directory whole
check "synchronous writes survive a kill" synchronous_writes_survive_a_kill
check "names of any bytes, and of 255" in_own_directory names
check "paths of 4,095 bytes, and directories below" in_own_directory depth
check "a remount shows the same" remount_shows_the_same
check "$HELD open files take no descriptor each" held_files_take_no_descriptors
check "$((BATCH * 10)) files that came and went leave no memory behind" what_came_and_went_leaves_nothing
check "deep directories can be removed" rm -r "$MNT/depth"
check "the store unmounts" unmount_store
check "verify finds no damage" "$BITCASK" verify "$STORE"
finish
