#!/bin/bash
# Installs what is missing, builds out of tree and runs all tests; the last line says "N passed, N failed, N skipped".
#
# tests/run.sh [--sanitizers] [--long]
#   --sanitizers  also build with address,undefined and with thread, and run the tests of these builds, of the latter
#                 those that have threads
#   --long        more rounds in the random tests; of the plain build all of `make check-long`
# BUILD: the build directory, default build/test in the repository. CI=true: as with --sanitizers, warnings are
# errors, and the distribution is checked too.
set -u

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=.ci/setup.sh
. "$top/.ci/setup.sh"

sanitizers=0
target=check
configure_flags=()
distribution=0
for argument; do
    case $argument in
    --sanitizers) sanitizers=1 ;;
    --long) target=check-long ;;
    --help | -h)
        sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    *) die "unknown argument $argument; see --help" ;;
    esac
done
case ${CI:-} in
true | 1)
    sanitizers=1
    distribution=1
    configure_flags=(--enable-werror)
    ;;
esac
BUILD=${BUILD:-$top/build/test}

passed=0
failed=0
skipped=0

# add_results DIRECTORY: counts the results that the tests left there.
add_results() {
    local result file
    while IFS=: read -r file result; do
        case $result in
        PASS | XFAIL) passed=$((passed + 1)) ;;
        SKIP)
            skipped=$((skipped + 1))
            # A test that did not run must not go unnoticed: its reason stands last in its log.
            file=${file%.trs}
            printf 'SKIPPED %s: %s\n' "${file#"$1"/}" "$(grep -v '^SKIP tests/' "$file.log" | tail -n 1)"
            ;;
        *) failed=$((failed + 1)) ;;
        esac
    done < <(find "$1/tests" -name '*.trs' -exec grep -H '^:test-result:' {} + | sed 's/:test-result: */ /; s/\.trs:* /.trs:/')
}

# run_tests NAME [configure option...]: builds and tests in $BUILD/NAME.
run_tests() {
    local directory=$BUILD/$1 name=$1 prefix=() before=$failed wanted=("$target") status
    shift
    printf '== %s: build\n' "$name"
    setup_build "$directory" ${configure_flags[@]+"${configure_flags[@]}"} "$@"
    find "$directory/tests" -name '*.trs' -delete
    printf '== %s: tests\n' "$name"
    # The thread sanitizer does not know its way in memory maps that are randomised too much.
    if [ "$name" = thread ] && setarch -R true 2>/dev/null; then prefix=(setarch -R); fi
    if [ "$name" = thread ] && [ "$target" = check ]; then wanted=(check-threads); fi
    # Mutants, fuzzing and the table once are enough.
    if [ "$name" != plain ] && [ "$target" = check-long ]; then wanted=(check LONG=1 TEST_TIMEOUT=7200); fi
    ${prefix[@]+"${prefix[@]}"} make -s --no-print-directory -C "$directory" -j "$(nproc)" VERBOSE=1 "${wanted[@]}"
    status=$?
    add_results "$directory"
    # make failed, but no test did: a test program does not build, say.
    if [ $status -ne 0 ] && [ "$failed" -eq "$before" ]; then failed=$((failed + 1)); fi
}

setup_packages
setup_fuse || say "The tests that need a mount will be skipped."
run_tests plain
if [ $sanitizers -eq 1 ]; then
    run_tests address --enable-sanitizers=address,undefined
    run_tests thread --enable-sanitizers=thread
fi
if [ $distribution -eq 1 ]; then
    printf '== plain: distribution\n'
    if (quietly "$BUILD/plain/distcheck.log" make -C "$BUILD/plain" distcheck DISTCHECK_CONFIGURE_FLAGS=--disable-tests)
    then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
