#!/usr/bin/env bash
# mount_xattrs.sh - the attributes user.bitcask.*, on a real mount: figures of directories, places of files.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
command -v getfattr >/dev/null || skip_all "no getfattr (package attr)"
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
CONTROL=$MNT/.bitcask/control

metric() {
    "$TOOL" xattr "$1" "user.bitcask.$2"
}

of_directories() {
    local name
    mkdir "$MNT/x" "$MNT/d"
    for name in live_keys live_bytes dead_bytes data_bytes tombstone_bytes segments hint_bytes checkpoint_bytes \
        index_bytes index_limit_bytes memory_closes open_seconds damaged_regions bytes_written bytes_read \
        merges merge_seconds merge_reclaimed_bytes bloom_hits bloom_misses \
        last_merge puts deletes gets; do
        metric "$MNT/x" "$name" | grep -qE '^[0-9]+(\.[0-9]+)?$'
        echo "$name"
    done | sort >"$TEST_DIR/names"
    equal "as shown by getfattr -d" "$(cat "$TEST_DIR/names")" \
        "$(getfattr --absolute-names -d "$MNT/x/.bitcask" | sed -n 's/^user\.bitcask\.\([a-z_]*\)="[0-9.]*"$/\1/p' | sort)"
    for name in 1 2 3; do echo "$name" >"$MNT/x/$name"; done
    equal "keys at once" 3 "$(metric "$MNT/x" live_keys)"
    equal "puts" 3 "$(metric "$MNT/x" puts)"
    equal "the same of .bitcask" 3 "$(metric "$MNT/x/.bitcask" live_keys)"
    rm "$MNT/x/1"
    equal "keys" 2 "$(metric "$MNT/x" live_keys)"
    equal "deletes" 1 "$(metric "$MNT/x" deletes)"
    [ "$(metric "$MNT/x" dead_bytes)" -gt 0 ]
    [ "$(metric "$MNT/x" bytes_written)" -gt 0 ]
    mv "$MNT/x/2" "$MNT/d/2"
    equal "keys, one moved away" 1 "$(metric "$MNT/x" live_keys)"
    rm "$MNT/d/2"
}

of_files() {
    local file=$MNT/x/file
    echo content >"$file"
    metric "$file" crc32 | grep -qE '^[0-9a-f]{8}$'
    equal "as bitcask dump says" \
        "$(metric "$file" offset) $(metric "$file" record_bytes) $(metric "$file" version)" \
        "$("$BITCASK" dump "$STORE" x | awk '$NF == "\"file\"" { print $1, $2, $4 }' | tail -n 1)"
    equal "mtime" "$(metric "$file" version)" "$(date -d "$(stat -c %y "$file")" +%s%N)"
    metric "$file" segment | grep -qE '^[0-9]+$'
    local version
    version=$(metric "$file" version)
    echo more >>"$file"
    [ "$(metric "$file" version)" -gt "$version" ]
    mv "$file" "$MNT/d/file"
    metric "$MNT/d/file" version >/dev/null
    # One that has no name any more has no record either.
    exec 3<"$MNT/d/file"
    rm "$MNT/d/file"
    refused "No data available" metric /dev/fd/3 version
    exec 3<&-
}

cannot_be_changed() {
    local of
    : >"$MNT/x/file"
    for of in "$MNT/x/file" "$MNT/x" "$MNT/x/.bitcask" "$CONTROL"; do
        refused "No such attribute" getfattr -n user.bitcask.nothing "$of"
        refused "No such attribute" getfattr -n user.bitcask. "$of"
        refused "No such attribute" getfattr -n user.other "$of"
        refused "not permitted" setfattr -n user.bitcask.puts -v 1 "$of"
        refused "not permitted" setfattr -n user.bitcask.nothing -v 1 "$of"
        refused "not permitted" setfattr -x user.bitcask.version "$of"
        [ "$of" = "$MNT/x/.bitcask" ] || equal "listed" "" "$(getfattr --absolute-names -m - -d "$of")"
    done
    refused "not supported" setfattr -n user.other -v 1 "$MNT/x/file"
    refused "No such attribute" getfattr -n user.bitcask.version "$MNT/x"
    refused "No such attribute" getfattr -n user.bitcask.puts "$MNT/x/file"
    refused "No such attribute" getfattr -n user.bitcask.puts "$CONTROL"
}

read_only() {
    unmount_store
    mount_store -o ro
    equal "keys" 2 "$(metric "$MNT/x" live_keys)"
    metric "$MNT/x/3" version | grep -qE '^[0-9]+$'
    unmount_store
}

mount_store || die "mount"
check "those of directories" of_directories
check "those of files" of_files
check "they cannot be changed and are not listed" cannot_be_changed
check "a read-only mount shows them" read_only
finish
