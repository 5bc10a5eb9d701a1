#!/usr/bin/env bash
# mount_million.sh - a directory of very many files: listed whole and in order, found, stat'ed, read, removed. 50,000 of
# them, with LONG=1 a million (or FILES); how long each step took, and the most memory the daemon used, is printed.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
FILL=$(helper tool_fill) || skip_all "tests/tool_fill is not built; run this in a build directory"
FILES=${FILES:-$([ "$LONG" -eq 0 ] && echo 50000 || echo 1000000)}
last=$(date +%s%N)

# step NAME FUNCTION: a check, and a line on what it took.
step() {
    local now
    check "$@"
    now=$(date +%s%N)
    printf '     %d.%03d s' $(((now - last) / 1000000000)) $(((now - last) / 1000000 % 1000))
    sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/; most memory of the daemon so far: \1 KiB/p' \
        "/proc/$(daemon_pid)/status" 2>/dev/null | tr -d '\n'
    echo
    last=$now
}

# in_order FILE: that many names, each after the one before, byte by byte, and none twice.
in_order() {
    equal "number of names" "$FILES" "$(wc -l <"$1")"
    sort -c -u "$1"
}

a_listing_is_whole_and_in_order() {
    ls -f "$MNT/dir" >listed
    equal "the first two" $'.\n..' "$(head -n 2 listed)"
    tail -n +3 listed >names
    in_order names
}

another_listing_is_the_same() {
    ls -f "$MNT/dir" | tail -n +3 | cmp - names
}

find_sees_each_once() {
    # In an order of its own: find may sort a large directory by inode numbers.
    find "$MNT/dir" -type f -size 17c -printf '%f\n' | sort >found
    cmp found names
}

values_are_those_of_their_names() {
    local name
    for name in $(shuf -n 200 --random-source=names names); do
        equal "value" "$name" "$(cat "$MNT/dir/$name")"
    done
}

a_new_file_takes_its_place() {
    echo new >"$MNT/dir/8"
    ls -f "$MNT/dir" | tail -n +3 >listed
    { cat names; echo 8; } | sort | cmp - listed
    rm "$MNT/dir/8"
}

everything_is_removed() {
    rm -r "$MNT/dir"
    equal "what is left" "" "$(ls -A "$MNT")"
}

nothing_comes_back() {
    mount_store
    equal "what is left" "" "$(ls -A "$MNT")"
    mkdir "$MNT/dir"
    equal "in a new directory of that name" "" "$(ls -A "$MNT/dir")"
    unmount_store
}

cd "$TEST_DIR" || exit 1
check "$FILES files are put through the library" "$FILL" "$STORE" dir "$FILES"
mount_store || die "mount"
last=$(date +%s%N)
step "a listing is whole and in order" a_listing_is_whole_and_in_order
step "another listing is the same" another_listing_is_the_same
step "find sees each file once" find_sees_each_once
step "values are those of their names" values_are_those_of_their_names
step "a new file takes its place" a_new_file_takes_its_place
step "everything is removed" everything_is_removed
check "the store unmounts" unmount_store
check "nothing comes back" nothing_comes_back
finish
