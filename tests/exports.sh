#!/usr/bin/env bash
# exports.sh - the shared library exports what bitcask.h declares, each documented there and named in libbitcask.map, and
# nothing else, under a version and its soname; the headers stand alone.

set -u
top=${abs_srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
build=${abs_builddir:-$PWD}
library=$build/.libs/libbitcask.so
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/exports.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

if [ ! -e "$library" ]; then
    echo "SKIPPED: no shared library was built (--disable-shared)"
    exit 77
fi

# Of every kind, weak ones too; A is the node of versions.
nm -D --defined-only "$library" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort >"$work/exported"
grep -ohE '^BITCASK_API [^(]*\(' "$top/store/bitcask.h" | sed 's/.*[ *]\(bitcask_[a-z_]*\)($/\1/' | sort >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 20 ] || { echo "hardly a declaration was found in bitcask.h"; failed=1; }
diff "$work/declared" "$work/exported" >"$work/diff" || {
    echo "declared in bitcask.h (<) and exported by the library (>) differ:"
    cat "$work/diff"
    failed=1
}

# The map names each of them, and none by a pattern but the rest, which is local.
# mapped MAP: the names in it, and whatever else stands for exported ones.
mapped() {
    sed -e 's,/\*.*\*/,,; /\/\*/,/\*\//d' "$1" |
        awk '/global:/{on = 1; next} /local:|}/{on = 0} on && /;/ {gsub(/[ \t;]/, ""); print}' | sort
}
mapped "$top/store/libbitcask.map" >"$work/mapped"
diff "$work/declared" "$work/mapped" >"$work/diff" || {
    echo "declared in bitcask.h (<) and named in libbitcask.map (>) differ:"
    cat "$work/diff"
    failed=1
}
printf 'V_2 {\nglobal:\n    bitcask_secret*;\n} V_1;\n' >"$work/broken.map"
[ "$(mapped "$work/broken.map")" = 'bitcask_secret*' ] || { echo "self-check: a pattern was not noticed"; failed=1; }

# undocumented HEADER: the declarations without a comment right above them, or above the others of their group.
undocumented() {
    awk '/^BITCASK_API / && last !~ /\*\/$/ && last !~ /;$/ {print} {last = $0}' "$1"
}
undocumented "$top/store/bitcask.h" >"$work/undocumented"
[ ! -s "$work/undocumented" ] || { echo "declared without a word about it:"; cat "$work/undocumented"; failed=1; }
cp "$top/store/bitcask.h" "$work/broken.h"
printf '\nBITCASK_API void bitcask_secret(void);\n' >>"$work/broken.h"
[ "$(undocumented "$work/broken.h" | grep -c bitcask_secret)" -eq 1 ] ||
    { echo "self-check: a declaration without a comment was not noticed"; failed=1; }

# What programs are linked with: the soname, and the version of each symbol. A symbol keeps the version it came with.
command -v readelf >/dev/null && {
    readelf -d "$library" | grep -q 'SONAME.*\[libbitcask\.so\.0\]' ||
        { echo "the soname is not libbitcask.so.0"; failed=1; }
}
nm -D --with-symbol-versions --defined-only "$library" |
    awk '$2 ~ /[TDBR]/ && $3 !~ /@@BITCASK_[0-9]+\.[0-9]+$/ {print $3}' >"$work/bare"
[ ! -s "$work/bare" ] || { echo "exported without a version:"; cat "$work/bare"; failed=1; }

# As installed: both headers in one directory, used from C and from C++.
cp "$top/store/bitcask.h" "$top/store/base/bitcask_types.h" "$work"
printf '#include "bitcask.h"\nint main(void) { return bitcask_check_name("a", 1); }\n' >"$work/use.c"
cp "$work/use.c" "$work/use.cc"
${CC:-cc} -std=c99 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -I"$work" "$work/use.c" || failed=1
if command -v c++ >/dev/null; then
    c++ -Wall -Wextra -Werror -fsyntax-only -I"$work" "$work/use.cc" || failed=1
fi

[ $failed -eq 0 ] && echo "$(wc -l <"$work/exported") functions exported, each declared in bitcask.h and named in libbitcask.map"
exit $failed
