#!/bin/bash
# Counts which branches of the store the tests take: coverage.sh TEST... builds with gcc's counters in coverage-build,
# below the current directory, runs the tests there, few rounds each, and prints gcovr's table of branches: by file, by
# directory, in all. Fails if a test does, or if less than COVERAGE_MIN (90) percent are taken.
#
# coverage-build/untaken.txt lists what is not taken: file:line, function, branches, the line; coverage-build/report.json
# is all of it, for gcovr -a. Why they are not: tests/coverage.md.
#
# What is no branch here: those of assertions, which are there never to be taken; and those of lines without code, as
# gcc puts some at the ends of functions. A process counts when it ends by exit(); one that is killed, or that ends by
# _exit() as children of tests do, leaves nothing.
set -u

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=.ci/setup.sh
. "$top/.ci/setup.sh"
command -v gcovr >/dev/null || die "gcovr is missing; on Debian: apt-get install gcovr"
command -v gcc >/dev/null || die "gcc is missing; on Debian: apt-get install gcc"

build=$PWD/coverage-build
mkdir -p "$build" || exit 1
if [ ! -e "$build/Makefile" ] || [ "$top/configure" -nt "$build/config.status" ]; then
    (cd "$build" && quietly configure.log "$top/configure" CC=gcc CFLAGS="-g -O0" --disable-shared --enable-coverage) ||
        exit 1
fi
find "$build" -name '*.gcda' -delete

# Not all that changes at random is worth so many rounds here; as for the mutants.
export CRASH_EVERY=${CRASH_EVERY:-4} CRASH_CUTS=${CRASH_CUTS:-1} CRASH_NESTED=${CRASH_NESTED:-1}
export OPERATIONS=${OPERATIONS:-20000} FAIL_EVERY=${FAIL_EVERY:-1} FAULTS=1 COVERAGE=1
minimum=${COVERAGE_MIN:-90}
status=0
make -s -C "$build" -j "$(nproc)" check TESTS="$*" >"$build/check.log" 2>&1 || status=1
grep -E '^(FAIL|ERROR|XPASS|make: .*Error)' "$build/check.log" >&2
grep -qE '^# TOTAL:' "$build/check.log" || die "the tests did not run: see $build/check.log"

gcovr --root "$top" --filter "$top/store/" --exclude-throw-branches --exclude-unreachable-branches \
    --exclude-branches-by-pattern '.*\bassert\(.*' --json "$build/report.json" -j "$(nproc)" "$build" \
    >"$build/gcovr.log" 2>&1 || die "gcovr failed: see $build/gcovr.log"
gcovr --root "$top" -a "$build/report.json" --branches || exit 1
python3 "$top/tests/coverage.py" "$build/report.json" "$top" "$build/untaken.txt" "$minimum" || {
    say "That is less than $minimum percent: see $build/untaken.txt."
    status=1
}
exit $status
