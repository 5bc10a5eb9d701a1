#!/usr/bin/env bash
# mount_xattrs.sh - extended attributes on a real mount: what users keep, and user.bitcask.*, the figures of directories
# and places of files.

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
        log_bytes_written syncs poisoned \
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
    equal "extents" 0 "$(metric "$file" extents)"
    head -c 1000000 /dev/zero >"$MNT/x/large"
    equal "extents of a large one" 4 "$(metric "$MNT/x/large" extents)"
    rm "$MNT/x/large"
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
    refused "not permitted" setfattr -n user.other -v 1 "$CONTROL"
    refused "not permitted" setfattr -n user.other -v 1 "$MNT/x/.bitcask"
    refused "No such attribute" getfattr -n user.bitcask.version "$MNT/x"
    refused "No such attribute" getfattr -n user.bitcask.puts "$MNT/x/file"
    refused "No such attribute" getfattr -n user.bitcask.puts "$CONTROL"
}

# ---- what users keep ----

kept() {
    getfattr --absolute-names -d -m - "$1" | sed 1d
}

calls() {
    local dir=$MNT/kept of
    mkdir -p "$dir"
    echo content >"$dir/file"
    : >"$dir/empty"
    sync "$dir/file" # one that is committed, and one that is not
    for of in file empty; do
        setfattr -n user.before -v "$of" "$dir/$of"
        "$TOOL" xattr-calls "$dir/$of"
    done
    setfattr -n user.before -v dir "$dir"
    "$TOOL" xattr-calls "$dir"
    setfattr -n user.before -v root "$MNT"
    "$TOOL" xattr-calls "$MNT"
    setfattr -x user.before "$MNT"
    "$TOOL" xattr-unlinked "$dir/file"
    "$TOOL" xattr-unlinked "$dir/empty"
}

# The file's attributes and content are as they should be: now, after a commit, after a remount and after a crash.
survives() {
    local file=$1 content=$2 expected=$3 when
    for when in now committed remounted; do
        case $when in
        committed) sync "$file" ;;
        remounted) unmount_store && mount_store ;;
        esac
        equal "$when: attributes" "$expected" "$(kept "$file")"
        equal "$when: content" "$content" "$(cat "$file")"
    done
}

survive_changes() {
    local dir=$MNT/survive file=$MNT/survive/file all
    mkdir "$dir" "$dir/other"
    echo content >"$file"
    setfattr -n user.a -v 1 "$file"
    setfattr -n user.b -v "$(head -c 2000 /dev/zero | tr '\0' b)" "$file"
    all=$(kept "$file")
    equal "attributes" 2 "$(grep -c = <<<"$all")"
    survives "$file" content "$all"
    echo more >>"$file"
    survives "$file" "content
more" "$all"
    echo new >"$file"
    survives "$file" new "$all"
    chmod 600 "$file"
    touch -d 2001-01-01 "$file"
    survives "$file" new "$all"
    mv "$file" "$dir/file2"
    survives "$dir/file2" new "$all"
    # Across directories: a committed one, then one with changes that are not.
    mv "$dir/file2" "$dir/other/file"
    survives "$dir/other/file" new "$all"
    echo newer >"$dir/other/file"
    setfattr -n user.a -v 2 "$dir/other/file"
    all=${all/user.a=\"1\"/user.a=\"2\"}
    mv "$dir/other/file" "$file"
    setfattr -x user.b "$file"
    survives "$file" newer 'user.a="2"'
    setfattr -x user.a "$file"
    survives "$file" newer ""
    # A directory keeps its own, through a rename and the times that entries change.
    setfattr -n user.dir -v 3 "$dir/other"
    : >"$dir/other/entry"
    mv "$dir/other" "$MNT/moved"
    sync "$MNT"
    setfattr -n user.late -v 4 "$MNT/moved"
    kill_daemon
    detach "$MNT"
    mount_store
    equal "a directory's, after a crash" $'user.dir="3"\nuser.late="4"' "$(kept "$MNT/moved")"
}

changes_ctime_alone() {
    local of before
    echo content >"$MNT/ctime"
    mkdir "$MNT/ctimes"
    for of in "$MNT/ctime" "$MNT/ctimes"; do
        touch -d 2001-01-01 "$of"
        before=$(stat -c %z "$of")
        setfattr -n user.a -v 1 "$of"
        equal "mtime" "2001-01-01 00:00:00.000000000 +0000" "$(TZ=UTC stat -c %y "$of")"
        [ "$(stat -c %z "$of")" != "$before" ]
        before=$(stat -c %z "$of")
        setfattr -x user.a "$of"
        [ "$(stat -c %z "$of")" != "$before" ]
    done
}

limits() {
    local of count
    echo content >"$MNT/limits"
    mkdir "$MNT/limited"
    for of in "$MNT/limits" "$MNT/limited"; do
        "$TOOL" xattr-size "$of" user.big 65000
        refused "No space" "$TOOL" xattr-size "$of" user.more 1000
        refused "No space" "$TOOL" xattr-size "$of" user.big 65536
        refused "too long" "$TOOL" xattr-size "$of" user.big 65537
        equal "size" 65000 "$(getfattr --absolute-names --only-values -n user.big "$of" | wc -c)"
        "$TOOL" xattr-size "$of" user.big 10
        for count in {1..200}; do setfattr -n "user.number.$count" -v "$count" "$of"; done
        equal "listed" 201 "$(kept "$of" | grep -c =)"
    done
    refused "out of range\|too long" setfattr -n "user.$(printf 'n%.0s' {1..251})" -v 1 "$MNT/limits"
    unmount_store
    mount_store
    for of in "$MNT/limits" "$MNT/limited"; do equal "after a remount" 201 "$(kept "$of" | grep -c =)"; done
}

# Those of everything below the current directory.
all_kept() {
    find . -print0 | sort -z | xargs -0 getfattr -h -d -m -
}

copies() {
    local tree=$MNT/tree to name expected
    mkdir -p "$tree/dir"
    for name in {1..50}; do
        echo "$name" >"$tree/dir/$name"
        setfattr -n user.name -v "$name" "$tree/dir/$name"
        setfattr -n user.long -v "$(printf "$name%.0s" {1..300})" "$tree/dir/$name"
    done
    setfattr -n user.name -v dir "$tree/dir"
    ! is_root || setfattr -h -n trusted.t -v t "$tree/dir"
    expected=$(cd "$tree" && all_kept)
    for to in "$TEST_DIR/copy" "$MNT/copy"; do
        cp -a "$tree" "$to.cp"
        equal "cp -a to $to" "$expected" "$(cd "$to.cp" && all_kept)"
        if command -v rsync >/dev/null; then
            rsync -aX "$tree/" "$to.rsync"
            equal "rsync -aX to $to" "$expected" "$(cd "$to.rsync" && all_kept)"
            equal "rsync again" "" "$(rsync -aXi "$tree/" "$to.rsync")"
        fi
        mkdir "$to.tar"
        tar --xattrs --xattrs-include='*' -C "$tree" -cf - . | tar --xattrs --xattrs-include='*' -C "$to.tar" -xf -
        equal "tar --xattrs to $to" "$expected" "$(cd "$to.tar" && all_kept)"
    done
    setfattr -h -x trusted.t "$tree/dir" 2>/dev/null || true
    diff -r "$TEST_DIR/copy.cp" "$MNT/copy.tar"
}

no_acls() {
    command -v setfacl >/dev/null || skip_check "no setfacl (package acl)"
    mkdir "$MNT/acl"
    echo content >"$MNT/acl/file"
    setfacl -m u:1:r "$MNT/acl/file"
    setfacl -d -m u:1:r "$MNT/acl"
    unmount_store
    mount_store -o noacl
    equal "not listed" "" "$(kept "$MNT/acl/file")"
    refused "not supported" setfacl -m u:2:r "$MNT/acl/file"
    refused "not supported" getfattr -n system.posix_acl_access "$MNT/acl/file"
    touch "$MNT/acl/new"
    equal "mode by the umask" 644 "$(stat -c %a "$MNT/acl/new")"
    if is_root; then
        findmnt -n -o FS-OPTIONS "$MNT" >"$TEST_DIR/options"
        refused "" grep default_permissions "$TEST_DIR/options"
    fi
    unmount_store
    mount_store
    getfacl --absolute-names -nc "$MNT/acl/file" | grep -q '^user:1:r--'
    touch "$MNT/acl/new2"
    getfacl --absolute-names -nc "$MNT/acl/new2" | grep -q '^user:1:r--'
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
check "setxattr, getxattr, listxattr and removexattr do as their manuals say" calls
check "attributes survive commits, changes, renames, remounts and a crash" survive_changes
check "a change of them is one of ctime, not of mtime" changes_ctime_alone
check "64 KiB of them, and no more" limits
check "cp -a, rsync -aX and tar --xattrs carry them to and fro" copies
check "noacl: ACLs are kept but do not count" no_acls
check "a read-only mount shows them" read_only
finish
