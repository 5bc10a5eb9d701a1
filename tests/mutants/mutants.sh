#!/bin/bash
# Puts faults into the store, one at a time, and sees to it that a test finds each: mutants.sh [NAME...].
# mutants.sh --lines: only whether each has its line in the source, which may have changed since.
#
# The table is mutants.txt. Done in one copy of the source, in mutants-build below the current directory, built
# incrementally. First the tests are run without any fault. Prints for each mutant the test that found it and the seconds
# that took; fails if one is found by none, or cannot be made.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
list=$top/tests/mutants/mutants.txt

declare -A blocks
names=()
while IFS= read -r line; do
    case $line in
    '#'*) ;;
    'mutant '*)
        name=${line#mutant }
        names+=("$name")
        blocks[$name]=''
        ;;
    ?*) blocks[$name]+=$line$'\n' ;;
    esac
done <"$list"

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# field NAME: the value of a field of the mutant under way.
field() {
    sed -n "s/^$1 //p" <<<"$mutant"
}

# mutate FILE: prints it with the line changed; fails unless there is one.
mutate() {
    awk -v above="$(field in)" -v old="$(field -)" -v new="$(field +)" '
        { line = $0; sub(/^[ \t]+/, "", line); sub(/[ \t]+$/, "", line) }
        above == "" || index($0, above) { found = 1 }
        found && !done && line == old { match($0, /^[ \t]*/); print substr($0, 1, RLENGTH) new; done = 1; next }
        { print }
        END { exit !done }' "$1"
}

if [ "${1:-}" = --lines ]; then
    gone=0
    for name in "${names[@]}"; do
        mutant=${blocks[$name]}
        mutate "$top/$(field file)" >/dev/null && continue
        printf '%s: %s has no line "%s"\n' "$name" "$(field file)" "$(field -)"
        gone=1
    done
    exit $gone
fi
[ $# -eq 0 ] || names=("$@")

work=$PWD/mutants-build
source=$work/source
build=$work/build
out=$work/output
mkdir -p "$build" || exit 1

# One seed, few rounds: what is found is found at once, and what is not takes no hour.
export SEED=20261122 FAIL_FAST=1 CRASH_EVERY=${CRASH_EVERY:-1}
export CRASH_CUTS=${CRASH_CUTS:-3} CRASH_NESTED=${CRASH_NESTED:-2} OPERATIONS=${OPERATIONS:-20000}
unset LONG

# The source as it is now. What differs is copied with a new time, and so built anew: of a run that was stopped a mutant
# may be left, in the source or as an object. What does not differ keeps its time.
mkdir -p "$source" || exit 1
rm -rf "$work/new"
mkdir "$work/new" || exit 1
(cd "$top" && tar -cf - --exclude=./build --exclude=./.git --exclude='*-build' --exclude=./autom4te.cache .) |
    tar -xf - -C "$work/new" || exit 1
(cd "$work/new" && find . -type f -print0) | while IFS= read -r -d '' file; do
    cmp -s "$work/new/$file" "$source/$file" || { mkdir -p "$source/${file%/*}" && cp "$work/new/$file" "$source/$file"; }
done
rm -rf "$work/new"
if [ ! -e "$build/Makefile" ] || [ "$source/configure" -nt "$build/config.status" ]; then
    (cd "$build" && "$source/configure" CFLAGS='-g -O1' --disable-shared) >"$out" 2>&1 ||
        { tail -n 30 "$out" && die "configure failed"; }
fi

make_tests() {
    make -s -C "$build" -j "$(nproc)" "${@/#/tests/}" >"$out" 2>&1
}

# run TEST: whether it passes. One that does not end proves nothing: 124.
run() {
    (cd "$build" && timeout 1200 "tests/$1") >"$out" 2>&1
}

# Changes the line of the copy; fails unless there is one.
inject() {
    mutate "$source/$1" >"$work/mutated" && ! cmp -s "$work/mutated" "$source/$1"
}

tests=()
for name in "${names[@]}"; do
    mutant=${blocks[$name]:-}
    [ -n "$mutant" ] || die "$name: no such mutant in $list"
    read -ra these <<<"$(field tests)"
    for test in "${these[@]}"; do [[ " ${tests[*]-} " == *" $test "* ]] || tests+=("$test"); done
done
make_tests "${tests[@]}" || { tail -n 30 "$out" && die "the tests do not build"; }
for test in "${tests[@]}"; do run "$test" || { tail -n 30 "$out" && die "$test fails without a fault"; }; done

survived=0
printf '%-56s %-24s %s\n' mutant 'killed by' seconds
for name in "${names[@]}"; do
    mutant=${blocks[$name]}
    file=$(field file)
    read -ra these <<<"$(field tests)"
    killed=
    begin=$SECONDS
    cp -p "$source/$file" "$work/original"
    if ! inject "$file"; then
        killed='(no such line)'
        survived=$((survived + 1))
    else
        cp "$work/mutated" "$source/$file"
        if ! make_tests "${these[@]}"; then
            killed='(does not build)'
            survived=$((survived + 1))
        fi
        for test in "${these[@]}"; do
            [ -z "$killed" ] || break
            run "$test"
            case $? in
            0) ;;
            124)
                killed="($test does not end)"
                survived=$((survived + 1))
                ;;
            *) killed=$test ;;
            esac
        done
        if [ -z "$killed" ]; then
            killed='SURVIVED'
            survived=$((survived + 1))
        fi
        cp "$work/original" "$source/$file" # with a new time
    fi
    printf '%-56s %-24s %d\n' "$name" "$killed" $((SECONDS - begin))
done
printf 'MUTANTS made: %d, killed: %d, violations: %d\n' "${#names[@]}" $((${#names[@]} - survived)) "$survived"
[ "$survived" -eq 0 ]
