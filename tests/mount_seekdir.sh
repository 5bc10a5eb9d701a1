#!/usr/bin/env bash
# mount_seekdir.sh - positions in a directory survive inserts and deletes, committed or pending, and a remount between.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper seekdir) || skip_all "no C compiler for tests/seekdir.c"
COUNT=$([ "$LONG" -eq 0 ] && echo 3000 || echo 50000)

positions() {
    mkdir -p "$MNT/$1"
    "$TOOL" "$MNT/$1" "$COUNT"
}

mount_store || die "mount"
check "positions survive while everything is new" positions dir
cat "$TEST_DIR/check.out"
check "the store unmounts" unmount_store
mount_store || die "second mount"
check "positions survive in a directory read from disk" positions dir
cat "$TEST_DIR/check.out"
check "the store unmounts again" unmount_store
finish
