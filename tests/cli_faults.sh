#!/usr/bin/env bash
# cli_faults.sh - bitcask(1) where the system refuses: too few file descriptors, each number of them, and files that may
# not grow. Every command then works or fails in words, and the store is whole after it. FAULTS=1, or LONG=1: more of
# these numbers.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1

descriptors="4 6 7 9 12 40"
sizes="0 64"
if [ "$LONG" != 0 ] || [ -n "${FAULTS:-}" ]; then
    descriptors="4 5 6 7 8 9 10 11 12 14 16 40"
    sizes="0 1 8 64 300"
fi

make_store() {
    local i
    for i in 1 2 3; do put s "k$i" "value $i"; done
    put s d/e/deep x
    put s d/key y
    run 0 "$BITCASK" link s k1 d/k1
    head -c 100000 /dev/zero | "$BITCASK" put s big
    put s gone x
    run 0 "$BITCASK" del s gone
    run 0 "$BITCASK" merge -q --full s
    put s k2 "value 2"
    run 0 "$BITCASK" verify -q s
    printf '{"path": "new/a", "value": "1"}\n{"path": "k1", "value": "value 1"}\n' >lines
    printf '{"path": "k3", "type": "link", "target": "k2"}\n' >>lines
    mkdir tree
    echo x >tree/x
    ln tree/x tree/y
    tar -C tree -cf tree.tar x y
}

# Ends in order, whatever it says: by no signal, with words where it fails.
in_order() {
    local status=$1
    shift
    [ "$status" -le 2 ] || { echo "$*: status $status: $(cat err)"; return 1; }
    if [ "$status" -ne 0 ] && [ "$1" != verify ]; then
        grep -q '^bitcask: ' err || { echo "$*: status $status without a message"; return 1; }
    fi
    if grep -v '^bitcask: ' err; then return 1; fi
}

# What the store holds that no command here changes.
is_whole() {
    run 0 "$BITCASK" verify -q "$1"
    equal "k2 after $2" "value 2" "$("$BITCASK" get "$1" k2)"
    equal "deep after $2" x "$("$BITCASK" get "$1" d/e/deep)"
}

readers() {
    printf '%s\n' "get s k1" "get s big" "get s d/e/deep" "ls -l s" "ls s d/key" "query s" "query -j s d" \
        "partition ls -r s" "stats s" "stats -s -j s" "stats -p s d" "dump s d" "dump --hints s" \
        "dump -j s" "export s" "export -j s d" "verify s" "verify -j s d"
}

writers() {
    printf '%s\n' "put s k1" "put -p s new/b/c" "del s k3" "mv s k1 d" "mv -x s d/key k1" "link s k1 l" \
        "link s d/key k4" "partition create -p s n/m" "partition drop -r s d/none" "partition rename s d/e d/f" \
        "merge -q s" "merge --full -q s d" "import -q -j s" "import -q s t" "verify -q --repair s" "bench -q -n 50 b"
}

input_of() {
    case $1 in
    "import -q -j s") echo lines ;;
    "import -q s t") echo tree.tar ;;
    *) echo tree/x ;;
    esac
}

few_descriptors_are_told() {
    local words n status failed=0
    make_store
    contents s >before
    while read -r words; do
        for n in $descriptors; do
            status=0
            # shellcheck disable=SC2086
            (ulimit -n "$n" && exec "$BITCASK" $words) >out 2>err </dev/null || status=$?
            in_order "$status" $words
            [ "$status" -eq 0 ] || failed=$((failed + 1))
        done
        equal "status of $words with enough" 0 "$status"
    done < <(readers)
    contents s | grep -v LOCK | diff - <(grep -v LOCK before)
    [ "$failed" -gt 20 ]
    while read -r words; do
        for n in $descriptors; do
            rm -rf w b
            cp -a s w
            status=0
            # shellcheck disable=SC2086
            (ulimit -n "$n" && exec "$BITCASK" ${words/ s/ w}) >out 2>err <"$(input_of "$words")" || status=$?
            in_order "$status" $words
            case $words in *rename*) ;; *) is_whole w "$words with $n" ;; esac
        done
    done < <(writers)
}

files_that_may_not_grow_are_told() {
    [ -z "${COVERAGE:-}" ] || skip_check "the files that branches are counted in could not grow either"
    local words blocks status failed=0 # messages go through a pipe, which has no such limit
    while read -r words; do
        for blocks in $sizes; do
            rm -rf w b
            cp -a s w
            status=0
            # shellcheck disable=SC2086
            (trap '' XFSZ && ulimit -f "$blocks" && exec "$BITCASK" ${words/ s/ w} >/dev/null) 2>&1 \
                <"$(input_of "$words")" | cat >err
            status=${PIPESTATUS[0]}
            in_order "$status" $words
            [ "$status" -eq 0 ] || failed=$((failed + 1))
            case $words in *rename*) ;; *) is_whole w "$words with $blocks" ;; esac
        done
    done < <(writers)
    [ "$failed" -gt 8 ]
}

check "few descriptors are told" few_descriptors_are_told
check "files that may not grow are told" files_that_may_not_grow_are_told
finish
