#!/usr/bin/env bash
# store_peers.sh - this store beside tkrzw, KyotoCabinet, LMDB, LevelDB and RocksDB, those of them that are installed.
#
# Run it in a build directory, after make. Their headers are not needed to build the project; which are missing, and the
# Debian package of each, is told. The environment is read as store_peers.c says: KEYS, DURABLE, ROUNDS, ONLY.
# STORE_DIR: where the stores lie, default ${TMPDIR:-/tmp}; durable puts want a real disk there, no tmpfs.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
CC=${CC:-cc}
CXX=${CXX:-c++}
CFLAGS_BENCH=(-std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread "-I$top/store" "-I$top/store/base" "-I$here")
CXXFLAGS_BENCH=(-std=gnu++17 -O2 -g -Wall -Wextra -pthread "-I$here")

say() {
    printf '%s\n' "$*" >&2
}

[ -r .libs/libbitcask.a ] && [ -r libbitcask.la ] || { say "Run this in a build directory, after make."; exit 2; }
if grep -q -- -fsanitize Makefile; then say "This is a build with sanitizers: its figures would mean nothing."; exit 2; fi
work=$(mktemp -d "${STORE_DIR:-${TMPDIR:-/tmp}}/store-peers.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

objects=()
libraries=()
macros=()
linker=("$CC")

# peer NAME HEADER PACKAGE LIBRARY...: compiles peer_NAME.c or .cc, if the header is there.
peer() {
    local name=$1 header=$2 package=$3 source compiler
    shift 3
    source=$here/peer_$name.c
    compiler=("$CC" "${CFLAGS_BENCH[@]}")
    [ -e "$source" ] || { source=${source}c; compiler=("$CXX" "${CXXFLAGS_BENCH[@]}"); }
    if [[ $source == *.cc ]] && ! command -v "$CXX" >/dev/null; then
        say "$name is left out: there is no C++ compiler (Debian: g++)"
        return
    fi
    if ! printf '#include <%s>\n' "$header" | "${compiler[@]}" -fsyntax-only -x "$(language "$source")" - 2>/dev/null; then
        say "$name is left out: <$header> is not there (Debian: $package)"
        return
    fi
    "${compiler[@]}" -c -o "$work/$name.o" "$source" || exit 1
    objects+=("$work/$name.o")
    libraries+=("$@")
    macros+=("-DPEER_${name^^}")
    [[ $source != *.cc ]] || linker=("$CXX")
}

language() {
    if [[ $1 == *.cc ]]; then echo c++; else echo c; fi
}

peer tkrzw tkrzw_dbm_hash.h libtkrzw-dev -ltkrzw
peer kyotocabinet kchashdb.h libkyotocabinet-dev -lkyotocabinet
peer lmdb lmdb.h liblmdb-dev -llmdb
peer leveldb leveldb/c.h libleveldb-dev -lleveldb
peer rocksdb rocksdb/c.h librocksdb-dev -lrocksdb

for name in store_peers peer_bitcask peer_bare; do
    "$CC" "${CFLAGS_BENCH[@]}" "${macros[@]}" -c -o "$work/$name.o" "$here/$name.c" || exit 1
    objects+=("$work/$name.o")
done
# What the library itself needs, as libtool wrote it down.
read -r -a needed < <(sed -n "s/^dependency_libs='\(.*\)'/\1/p" libbitcask.la)
"${linker[@]}" -pthread -o "$work/store_peers" "${objects[@]}" .libs/libbitcask.a "${needed[@]}" "${libraries[@]}" || exit 1

mkdir "$work/stores" && "$work/store_peers" "$work/stores"
