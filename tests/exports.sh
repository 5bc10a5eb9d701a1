#!/usr/bin/env bash
# exports.sh - the shared library exports what bitcask.h declares, and nothing else; the headers stand alone.

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

nm -D --defined-only "$library" | awk '$2 ~ /[TDBR]/ {sub(/@.*/, "", $3); print $3}' | sort >"$work/exported"
grep -ohE '^BITCASK_API [^(]*\(' "$top/store/bitcask.h" | sed 's/.*[ *]\(bitcask_[a-z_]*\)($/\1/' | sort >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 20 ] || { echo "hardly a declaration was found in bitcask.h"; failed=1; }
diff "$work/declared" "$work/exported" >"$work/diff" || {
    echo "declared in bitcask.h (<) and exported by the library (>) differ:"
    cat "$work/diff"
    failed=1
}

# As installed: both headers in one directory, used from C and from C++.
cp "$top/store/bitcask.h" "$top/store/base/bitcask_types.h" "$work"
printf '#include "bitcask.h"\nint main(void) { return bitcask_check_name("a", 1); }\n' >"$work/use.c"
cp "$work/use.c" "$work/use.cc"
${CC:-cc} -std=c99 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -I"$work" "$work/use.c" || failed=1
if command -v c++ >/dev/null; then
    c++ -Wall -Wextra -Werror -fsyntax-only -I"$work" "$work/use.cc" || failed=1
fi

[ $failed -eq 0 ] && echo "$(wc -l <"$work/exported") functions exported, each declared in bitcask.h"
exit $failed
