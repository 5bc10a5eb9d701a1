#!/usr/bin/env bash
# mount_crowd.sh [SECONDS] - eight processes create, rename, link, list and remove the same few names (tool_crowd.c).
#
# Afterwards: no inode under two names, what is there is there after a remount, verify is content, the tree can be
# removed, and nothing of it is left in the store. SECONDS: of each part, default 4, with LONG=1 60. SEED is printed and
# can be given. The same is done for a moment in a plain directory, which shows that no call is judged too hard.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_crowd) || skip_all "no C compiler for tests/tool_crowd.c"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
FOR_SECONDS=${1:-$([ "$LONG" -eq 0 ] && echo 4 || echo 60)}
PROCESSES=8
echo "$TEST_NAME: SEED=$SEED, $PROCESSES processes, $FOR_SECONDS s each part"

no_call_fails_oddly() {
    "$TOOL" "$1" "$2" "$SEED" "$PROCESSES"
}

in_a_plain_directory() {
    mkdir "$TEST_DIR/plain"
    no_call_fails_oddly "$TEST_DIR/plain" $((FOR_SECONDS / 10 + 1))
}

# Directories are below one name anyway; a file of one link must be too.
no_inode_is_there_twice() {
    find "$MNT" \( -type d -o -links 1 \) -printf '%i\n' | sort | uniq -d >"$TEST_DIR/twice"
    [ ! -s "$TEST_DIR/twice" ] || { cat "$TEST_DIR/twice"; find "$MNT" -printf '%i %n %y %p\n' | sort; return 1; }
    find "$MNT" ! -type d -printf '%n %i\n' | sort | uniq -c | awk '$1 != $2 { print; bad = 1 } END { exit bad }'
}

everything_is_there_after_a_remount() {
    manifest "$MNT" >"$TEST_DIR/before"
    unmount_store
    "$BITCASK" verify "$STORE"
    mount_store
    manifest "$MNT" >"$TEST_DIR/after"
    cmp "$TEST_DIR/before" "$TEST_DIR/after"
}

nothing_is_left() {
    rm -r "$MNT"/d*
    equal "names in the mount" "" "$(ls -A "$MNT")"
    unmount_store
    "$BITCASK" verify "$STORE"
    equal "names in the store" "" "$("$BITCASK" ls "$STORE")"
    # The root's partition is left alone, and empty.
    "$BITCASK" stats --json "$STORE" >"$TEST_DIR/stats"
    cat "$TEST_DIR/stats"
    grep -q '"partitions": 1,' "$TEST_DIR/stats"
    grep -q '"live_keys": 0,' "$TEST_DIR/stats"
}

run_with() {
    local label=$1
    shift
    STORE=$TEST_DIR/store.$label
    mount_store "$@" || die "$label: no mount"
    check "$label: no call fails with what a local filesystem would not say" no_call_fails_oddly "$MNT" "$FOR_SECONDS"
    check "$label: no inode is there twice" no_inode_is_there_twice
    check "$label: everything is there after a remount" everything_is_there_after_a_remount
    check "$label: the tree can be removed, and leaves nothing" nothing_is_left
}

check "a plain directory passes" in_a_plain_directory
run_with default
# Each change commits inside its call, and segments are full after a few of them.
run_with tight -o commit_ms=0,segment_size=1M
finish
