#!/usr/bin/env bash
# mount_tree.sh - a real tree goes into the mount by cp, tar and rsync and comes out the same, also after a remount.
#
# TREE: what is copied, default the first 2000 files of /usr/include and some made-up cases beside them.
# LONG=1: all of /usr/include, and a tar pipe of all of /usr/share/doc.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup

# Files that no include directory holds: all kinds of modes, times, sizes and links.
make_odd_files() {
    local dir=$1
    mkdir -p "$dir/empty dir" "$dir/deep/1/2/3/4/5/6/7/8/9"
    : >"$dir/empty"
    printf x >"$dir/one byte"
    head -c 100000 /dev/urandom >"$dir/100 kB"
    head -c 131072 /dev/urandom >"$dir/128 KiB"
    head -c 131073 /dev/urandom >"$dir/128 KiB and 1"
    head -c 3000001 /dev/urandom >"$dir/3 MB"
    truncate -s 1M "$dir/hole"
    echo deep >"$dir/deep/1/2/3/4/5/6/7/8/9/file"
    echo run >"$dir/mode 4755" && chmod 4755 "$dir/mode 4755"
    echo run >"$dir/mode 2711" && chmod 2711 "$dir/mode 2711"
    echo run >"$dir/mode 0400" && chmod 0400 "$dir/mode 0400"
    mkdir "$dir/mode 1777" && chmod 1777 "$dir/mode 1777"
    mkdir "$dir/mode 2750" && chmod 2750 "$dir/mode 2750"
    ln -s "one byte" "$dir/link"
    ln -s ../../nowhere "$dir/dangling link"
    ln -s /absolute/target "$dir/absolute link"
    ln -s "$(printf 'x%.0s' {1..1000})" "$dir/link of 1000 bytes"
    printf 'newline\n' >"$dir"/$'new\nline'
    printf 'bytes\n' >"$dir"/$'\377\376 bytes \001'
    printf 'dash\n' >"$dir/-rf"
    printf 'long\n' >"$dir/$(printf 'n%.0s' {1..255})"
    touch -d '1960-01-02 03:04:05.000000001' "$dir/one byte"
    touch -d '2100-12-31 23:59:59.999999999' "$dir/empty"
    touch -d '1970-01-01 00:00:00 UTC' "$dir/hole"
    touch -h -d '2001-02-03 04:05:06.789012345' "$dir/link"
    touch -d '1999-12-31 23:59:59.123456789' "$dir/deep/1/2"
    if is_root; then
        chown 12345:54321 "$dir/deep/1" "$dir/deep/1/2/3/4/5/6/7/8/9/file"
        chown -h 12345:54321 "$dir/dangling link"
    fi
}

# same A B: content, kinds and link targets by diff, the metadata by their listings.
same() {
    diff -r --no-dereference "$1" "$2"
    if is_root || [ -O "$1" ]; then
        manifest "$1" >"$TEST_DIR/a"
        manifest "$2" >"$TEST_DIR/b"
    else
        # A user cannot give files away: the owners in the copy are his own.
        manifest "$1" | sed -z -E 's/^(. [0-7]+) [0-9]+ [0-9]+/\1/' >"$TEST_DIR/a"
        manifest "$2" | sed -z -E 's/^(. [0-7]+) [0-9]+ [0-9]+/\1/' >"$TEST_DIR/b"
    fi
    diff <(tr '\0\n' '\n?' <"$TEST_DIR/a") <(tr '\0\n' '\n?' <"$TEST_DIR/b")
}

nothing_to_do() {
    rsync -ain "$1/" "$2/" >"$TEST_DIR/rsync.out"
    cat "$TEST_DIR/rsync.out"
    [ ! -s "$TEST_DIR/rsync.out" ]
}

# `ls -f` takes names as they come; the shell and sort agree with memcmp in the C locale.
in_memcmp_order() {
    local dir
    while IFS= read -r -d '' dir; do
        # shellcheck disable=SC2012 # find may sort by itself; ls -f does not
        ls -f --zero "$dir" | tail -z -n +3 | sort -z -c
    done < <(find "$1" -type d -print0)
}

# Every n-th regular file: what `bitcask get` says, against the copy of what cat said.
get_equals_cat() {
    local path count=0
    (cd "$TEST_DIR/cat" && find . -type f -print0 | sort -z) >"$TEST_DIR/files"
    while IFS= read -r -d '' path; do
        "$BITCASK" get "$STORE" "${path#./}" >"$TEST_DIR/got"
        cmp "$TEST_DIR/got" "$TEST_DIR/cat/$path"
        count=$((count + 1))
    done <"$TEST_DIR/files"
    [ "$count" -gt 10 ]
}

# Keeps what cat gives for every n-th file of the mount, at least the odd ones.
keep_what_cat_gives() {
    local path
    (cd "$MNT" && find . -type f -print0 | sort -z | awk -v RS='\0' -v ORS='\0' 'NR % 97 == 1 || /\/odd\//') \
        >"$TEST_DIR/files"
    while IFS= read -r -d '' path; do
        mkdir -p "$TEST_DIR/cat/$(dirname "$path")"
        cat "$MNT/$path" >"$TEST_DIR/cat/$path"
    done <"$TEST_DIR/files"
}

if [ -z "${TREE:-}" ] && [ "$LONG" -eq 0 ]; then
    TREE=$TEST_DIR/include
    slice_of /usr/include 2000 "$TREE"
fi
TREE=${TREE:-/usr/include}
if [ "$LONG" -eq 0 ]; then
    DOC=$TEST_DIR/doc
    slice_of /usr/share/doc 800 "$DOC"
else
    DOC=/usr/share/doc
fi
[ "$(find "$TREE" -type f | wc -l)" -gt 20 ] || skip_all "$TREE holds hardly any file: say TREE=DIR"
make_odd_files "$TEST_DIR/odd"

mount_store || die "mount"
check "cp -a of the tree succeeds" cp -a "$TREE" "$MNT/tree"
check "cp -a of odd files succeeds" cp -a "$TEST_DIR/odd" "$MNT/odd"
pipe_tar() {
    set -o pipefail
    mkdir "$MNT/doc"
    tar --create --format=posix --hard-dereference --directory="$DOC" --file=- . |
        tar --extract --preserve-permissions --directory="$MNT/doc" --file=-
}
check "a tar pipe succeeds" pipe_tar

for when in "at once" "after a remount"; do
    check "$when: the copied tree equals its source" same "$TREE" "$MNT/tree"
    check "$when: the odd files equal their source" same "$TEST_DIR/odd" "$MNT/odd"
    check "$when: what tar unpacked equals its source" same "$DOC" "$MNT/doc"
    if command -v rsync >/dev/null; then
        check "$when: rsync finds nothing to do in the copy" nothing_to_do "$TREE" "$MNT/tree"
        check "$when: rsync finds nothing to do in the odd files" nothing_to_do "$TEST_DIR/odd" "$MNT/odd"
        check "$when: rsync finds nothing to do in what tar unpacked" nothing_to_do "$DOC" "$MNT/doc"
    else
        skip "rsync is not installed"
    fi
    check "$when: ls -f lists in memcmp order" in_memcmp_order "$MNT"
    if [ "$when" = "at once" ]; then
        (cd "$MNT" && find . -printf '%i %p\0' | sort -z) >"$TEST_DIR/inodes"
        check "the store unmounts" unmount_store
        mount_store || die "second mount"
    fi
done
inodes_are_kept() {
    cmp "$TEST_DIR/inodes" <(cd "$MNT" && find . -printf '%i %p\0' | sort -z)
    # No two files that can be seen share a number.
    [ -z "$(tr '\n\0' '?\n' <"$TEST_DIR/inodes" | cut -d ' ' -f 1 | sort | uniq -d)" ]
}
check "inode numbers are unique and survive a remount" inodes_are_kept

if command -v rsync >/dev/null; then
    check "rsync -a into the mount succeeds" rsync -a "$TREE/" "$MNT/rsynced/"
    check "what rsync wrote equals its source" same "$TREE" "$MNT/rsynced"
fi
check "cat reads the sample" keep_what_cat_gives
check "the store unmounts again" unmount_store
check "bitcask get gives what cat gave" get_equals_cat
finish
