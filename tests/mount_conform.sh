#!/usr/bin/env bash
# mount_conform.sh - some fifteen thousand calls on odd paths, descriptors and owners, in the mount and in a directory
# of ext4: what each gave, what then was there, and which times moved must be the same (tool_conform.c).
#
# PLAIN: where the directory of ext4 is to be made, default /var/tmp. The differences that are meant stand below.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
PLAIN=${PLAIN:-/var/tmp}
[ "$(stat -f -c %T "$PLAIN")" = ext2/ext3 ] || skip_all "$PLAIN is not on ext4: say PLAIN=DIR"
setup
TOOL=$(helper tool_conform conform_files.c) || skip_all "no C compiler for tests/tool_conform.c"

# Other users are let in, so that what they may do is compared as well.
OPTIONS=()
! is_root || OPTIONS=(-o allow_other)

MEANT=(
    # In ext4, SEEK_DATA and SEEK_HOLE on a directory go to what is a hash in it.
    -e '^fd-lseek-\(data\|hole\)[a-z-]* directory:'
    # The kernel passes no collapsing and no inserting on: EOPNOTSUPP, before anybody looks at the range.
    -e '^fd-collapse-odd '
)
link_is_there() {
    : >"$MNT/linked" && ln "$MNT/linked" "$MNT/link" 2>/dev/null
}

outcomes_in() {
    "$TOOL" "$1" >"$TEST_DIR/$2"
    # While no atime was set, atime is mtime.
    grep -v "${MEANT[@]}" "$TEST_DIR/$2" | sed '/^times utime/!s/ [^ ]*:atime//g' >"$TEST_DIR/$2.compared"
    [ "$(wc -l <"$TEST_DIR/$2.compared")" -gt 9000 ]
}

on_ext4() {
    local directory status=0
    directory=$(mktemp -d "$PLAIN/bitcaskfs-conform.XXXXXX")
    outcomes_in "$directory" ext4 || status=1
    rm -rf --one-file-system "$directory"
    [ "$status" -eq 0 ]
}

in_the_mount() {
    mkdir "$MNT/work"
    outcomes_in "$MNT/work" mount
}

outcomes_are_the_same() {
    diff "$TEST_DIR/ext4.compared" "$TEST_DIR/mount.compared"
}

mount_store "${OPTIONS[@]}" || die "mount"
# The files of the compared directories have other owners than ours.
! is_root || chmod 755 "$MNT" "$TEST_DIR"
if ! link_is_there; then
    MEANT+=(-e '^\(link\|link-follow\|fd-linkat-empty\|user link\|times link\)[ _:]')
    skip "this version has no hard links"
fi
check "the calls run on ext4" on_ext4
check "the calls run in the mount" in_the_mount
check "they give the same, but for what is meant" outcomes_are_the_same
check "the store unmounts" unmount_store
check "verify finds no damage" "$BITCASK" verify "$STORE"
finish
