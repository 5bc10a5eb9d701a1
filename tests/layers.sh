#!/bin/bash
# The house: each floor of the store includes only from floors below it (and from itself), fs/ and store/cli/ know
# nothing of the store but bitcask.h, and every source file stands in Makefile.am. Each rule is first tried on a
# small tree that breaks it: a check that cannot fail proves nothing.
set -u

top=${abs_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
floors=(base io log index partition db)

# level FLOOR: its place from the bottom, or nothing.
level() {
    local i
    for i in "${!floors[@]}"; do
        [ "${floors[i]}" != "$1" ] || echo "$i"
    done
}

# Prints "file:line:include" for every #include "..." below the given directories.
includes() {
    find "$@" -name '*.[ch]' -exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + 2>/dev/null
}

# check_tree TREE: prints one line for each include that breaks a rule.
check_tree() {
    local tree=$1 line file target floor mine theirs dir
    for floor in "${floors[@]}"; do
        mine=$(level "$floor")
        while IFS= read -r line; do
            file=${line%%:*}
            target=$(sed 's/[^"]*"\([^"]*\)".*/\1/' <<<"$line")
            case $target in
            bitcask_types.h) continue ;;
            */*)
                theirs=$(level "${target%%/*}")
                [ -n "$theirs" ] && [ "$theirs" -le "$mine" ] || echo "${file#"$tree"/}: \"$target\" is not below $floor"
                ;;
            *) echo "${file#"$tree"/}: \"$target\" names no floor" ;;
            esac
        done < <(includes "$tree/store/$floor")
    done
    for dir in fs store/cli; do
        while IFS= read -r line; do
            file=${line%%:*}
            target=$(sed 's/[^"]*"\([^"]*\)".*/\1/' <<<"$line")
            [ "$target" = bitcask.h ] || { [[ $target != */* ]] && [ -e "$tree/$dir/$target" ]; } ||
                echo "${file#"$tree"/}: \"$target\" is neither bitcask.h nor a header of $dir/"
        done < <(includes "$tree/$dir")
    done
    # System headers too: the store knows nothing of FUSE, the daemon and the tool reach no store header by <...>.
    grep -rlE '#[[:space:]]*include[[:space:]]*<fuse' "$tree/store" 2>/dev/null |
        sed "s|^$tree/||; s|\$|: the store includes a FUSE header|"
    grep -rnE '#[[:space:]]*include[[:space:]]*<(store|db|partition|index|log|io|base)/' "$tree/fs" "$tree/store" 2>/dev/null |
        sed "s|^$tree/||"
}

# check_lists TREE: prints each source file that the makefile does not name.
check_lists() {
    local tree=$1 file
    find "$tree/store" "$tree/fs" "$tree/tests" -name '*.[ch]' 2>/dev/null | while IFS= read -r file; do
        file=${file#"$tree"/}
        case $file in
        tests/*.c) grep -qE "(^|[[:space:]])${file%.c}(\\.c)?([[:space:]]|\$)" "$tree/Makefile.am" ;;
        *) grep -qE "(^|[[:space:]])${file//./\\.}([[:space:]]|\$)" "$tree/Makefile.am" ;;
        esac || echo "$file: not in Makefile.am"
    done
}

failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/layers.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# expect_broken FILE LINE: a tree with this line in this file must be complained about, in this file.
expect_broken() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree/$(dirname "$1")" "$work/tree/fs" "$work/tree/store/cli"
    printf '%s\n' "$2" >"$work/tree/$1"
    if ! check_tree "$work/tree" | grep -qF "$1:"; then
        echo "self-check: $2 in $1 was not noticed"
        failed=1
    fi
}

expect_broken store/base/a.c '#include "io/io.h"'
expect_broken store/io/a.c '#include "log/record.h"'
expect_broken store/log/a.h '  #  include "index/index.h"'
expect_broken store/index/a.c '#include "partition/partition.h"'
expect_broken store/partition/a.c '#include "db/db.h"'
expect_broken store/db/a.c '#include "bitcask.h"'
expect_broken store/db/a.c '#include "../fs/inode.h"'
expect_broken store/log/a.c '#include "record.h"'
expect_broken store/db/a.c '#include <fuse_lowlevel.h>'
expect_broken fs/a.c '#include "db/db.h"'
expect_broken fs/a.c '#include "status.h"'
expect_broken fs/a.c '#include <base/status.h>'
expect_broken fs/a.c '#include "../store/io/io.h"'
expect_broken store/cli/a.c '#include "log/scan.h"'
expect_broken store/cli/a.c '#include "bytes.h"'

mkdir -p "$work/lists/store/base" "$work/lists/tests"
touch "$work/lists/store/base/a.c" "$work/lists/store/base/b.c" "$work/lists/tests/test_a.c"
echo 'base_sources = store/base/a.c' >"$work/lists/Makefile.am"
[ "$(check_lists "$work/lists" | sort | tr '\n' ' ')" = "store/base/b.c: not in Makefile.am tests/test_a.c: not in Makefile.am " ] ||
    { echo "self-check: a file missing from Makefile.am was not noticed"; failed=1; }

count=$(includes "$top/store" "$top/fs" | wc -l)
[ "$count" -gt 20 ] || { echo "only $count includes found below $top: nothing was checked"; failed=1; }

broken=$(check_tree "$top"; check_lists "$top")
[ -z "$broken" ] || { printf '%s\n' "$broken"; failed=1; }

[ $failed -eq 0 ] && echo "$count includes keep to the floors"
exit $failed
