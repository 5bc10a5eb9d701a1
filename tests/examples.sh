#!/bin/bash
# The examples do what they say: each is run, with what a user might do wrong too, and the store is sound afterwards.
# shellcheck source=tests/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

setup
top=${abs_srcdir:-$(cd "$TESTS_DIR/.." && pwd)}
examples=${abs_builddir:-$PWD}/examples
PATH=$(dirname "$BITCASK"):$PATH
cd "$TEST_DIR" || exit 1
EXTRA_MOUNTS=("$TEST_DIR/embed/mnt")

hello() {
    equal "what it says" "hello world" "$("$examples/hello" hello.store)"
    equal "a second time" "hello world" "$("$examples/hello" hello.store)"
    bitcask verify --quiet hello.store
    refused 'usage: hello STORE' "$examples/hello"
    mkdir full
    touch full/file
    refused "not a store and not empty" "$examples/hello" full
}

bulk_load() {
    seq -f '%06g' 25000 | sed 's/.*/&\tvalue &/' >lines
    equal "count" "25000 keys, durable" "$("$examples/bulk_load" bulk.store numbers <lines)"
    equal "a value" "value 012345" "$(bitcask get bulk.store numbers/012345)"
    bitcask ls bulk.store numbers | cmp - <(cut -f 1 lines)
    # Again, and into a partition below one that is there; a line without a tab is a key without a value.
    "$examples/bulk_load" bulk.store numbers <lines
    equal "one without a tab" "1 keys, durable" "$(echo alone | "$examples/bulk_load" bulk.store numbers/below)"
    equal "its value" "" "$(bitcask get bulk.store numbers/below/alone)"
    refused "not found" "$examples/bulk_load" bulk.store no/where <lines
    refused "line 3" "$examples/bulk_load" bulk.store numbers < <(printf 'a\nb\nc/d\n')
    bitcask verify --quiet bulk.store
}

range_query() {
    seq -f '%02g' 30 | "$examples/bulk_load" range.store numbers
    "$examples/range_query" range.store numbers 05 09 2 >out
    equal "pages" "05 06 -- 07 08 -- 09 -- " "$(cut -c 1-2 out | tr '\n' ' ')"
    "$examples/range_query" -r range.store numbers '' 04 3 >out
    equal "backwards" "04 03 02 -- 01 -- " "$(cut -c 1-2 out | tr '\n' ' ')"
    "$examples/range_query" range.store numbers '' '' >out
    equal "all of them" 30 "$(grep -vc -e -- out)"
    equal "an empty range" "" "$("$examples/range_query" range.store numbers 40 50)"
    refused "above 0" "$examples/range_query" range.store numbers a b 0
    refused "no such" "$examples/range_query" none.store numbers a b
}

large_value() {
    head -c 5000000 /dev/urandom >file
    "$examples/large_value" put large.store photo file
    "$examples/large_value" get large.store photo | cmp - file
    "$examples/large_value" get large.store photo 1048570 2000000 | cmp - <(tail -c +1048571 file | head -c 2000000)
    "$examples/large_value" get large.store photo 4999999 | cmp - <(tail -c 1 file)
    equal "behind the end" 0 "$("$examples/large_value" get large.store photo 5000000 | wc -c)"
    : >empty
    "$examples/large_value" put large.store empty empty
    equal "an empty one" 0 "$("$examples/large_value" get large.store empty | wc -c)"
    refused "No such file" "$examples/large_value" put large.store photo missing
    refused "no such\|no key\|not found" "$examples/large_value" get large.store missing
    refused "No space left" bash -c '"$1" get large.store photo >/dev/full' - "$examples/large_value"
    bitcask verify --quiet large.store
}

concurrent() {
    "$examples/concurrent" concurrent.store 1500 | grep 'no key was missed, no number went back'
    equal "the last number" 1500 "$(bitcask get concurrent.store key07)"
    bitcask verify --quiet concurrent.store
}

embed_and_mount() {
    mkdir embed
    (exec 9<>/dev/fuse) 2>/dev/null || skip_check "no /dev/fuse"
    SENSORS=$examples/sensors PATH=$(dirname "$BITCASKFS"):$PATH bash "$top/examples/embed_and_mount.sh" embed >out
    # What the mount shows of what the program put.
    grep -qx 'cellar' out
    grep -q '^-r--r--r-- .* 2026-01-01T0000Z$' out
    grep -qx '11.0' out
    equal "what the mount put, read by the tool" 7.5 "$(tail -n 1 out)"
    equal "found by time" 4 "$(grep -c '^mnt/readings/[a-z]*/2026-01-01T2[23]00Z$' out)"
}

# As outside of the build: the installed names, and nothing but the public header.
public_header_alone() {
    local source
    for source in "$top"/examples/*.c; do
        grep '#include' "$source" | grep -vE '<(bitcask|[a-z]+|sys/[a-z]+)\.h>' &&
            { echo "$source includes more than bitcask.h and the C library"; return 1; }
        ${CC:-cc} -std=c11 -pedantic -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I"$top/store" \
            -I"$top/store/base" "$source"
    done
    return 0
}

check "hello: puts, gets, deletes" hello
check "bulk_load: 25,000 lines in batches" bulk_load
check "range_query: pages, forwards and backwards" range_query
check "large_value: a file of 5 MB, whole and in ranges" large_value
check "concurrent: readers miss nothing beside a writer and its merges" concurrent
check "embed_and_mount: what a program put is there in the mount, and the other way round" embed_and_mount
check "the examples need the public header alone" public_header_alone
finish
