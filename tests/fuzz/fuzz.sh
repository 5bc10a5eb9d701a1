#!/bin/bash
# Fuzzes: fuzz.sh SECONDS TARGET... builds the targets with clang in fuzz-build, below the current directory, and runs
# each for so many seconds, as many side by side as there are processors (or JOBS). Prints a table, and the same as lines
# for summary.sh; fails if any of them failed.
#
# What is found grows fuzz-build/found/NAME, from which the next run goes on; an input that fails is left there as
# crash-*, or timeout-*, oom-*: to be repeated with fuzz-build/tests/fuzz/fuzz_NAME FILE, and once it is mended to be
# added to tests/fuzz/corpus/NAME.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
# shellcheck source=.ci/setup.sh
. "$top/.ci/setup.sh"
seconds=$1
shift
command -v clang >/dev/null || die "clang is missing; on Debian: apt-get install clang"

build=$PWD/fuzz-build
mkdir -p "$build" || exit 1
if [ ! -e "$build/Makefile" ] || [ "$top/configure" -nt "$build/config.status" ]; then
    (cd "$build" && quietly configure.log "$top/configure" CC=clang CFLAGS="-g -O1" --disable-shared \
        --enable-fuzzing --enable-sanitizers=address,undefined) || exit 1
fi
quietly "$build/make.log" make -C "$build" -j "$(nproc)" "${@/#/tests/fuzz/}"

# run TARGET: its output goes to found/TARGET.log.
run() {
    local name=${1#fuzz_} found=$build/found/${1#fuzz_} leaks=1
    # What a grace period of the store's is to free looks like a leak, and each look for one costs: those wait for the end.
    case $name in store | operations | checkpoint) leaks=0 ;; esac
    mkdir -p "$found"
    (cd "$found" && "$build/tests/fuzz/$1" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 \
        -detect_leaks=$leaks -max_len="$(limit "$name")" -print_final_stats=1 -artifact_prefix="$found/" "$found" \
        "$top/tests/fuzz/corpus/$name") >"$build/found/$1.log" 2>&1
}

# The longest input in bytes: much of what is longer is only slower.
limit() {
    case $1 in
    checkpoint) echo 32768 ;;
    segment | hint) echo 8192 ;;
    operations) echo 600 ;;
    *) echo 512 ;;
    esac
}

export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=0:${ASAN_OPTIONS:-}"
mkdir -p "$build/found"
for target; do
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do wait -n; done
    run "$target" &
done
wait

status=0
printf '%-18s %12s %8s %8s\n' target runs corpus crashes
for target; do
    log=$build/found/$target.log
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    corpus=$(find "$build/found/${target#fuzz_}" -type f ! -name '*-*' | wc -l)
    crashes=$(find "$build/found/${target#fuzz_}" -type f -name '*-*' | wc -l)
    [ "$crashes" -eq 0 ] && grep -q '^Done ' "$log" || status=1
    printf '%-18s %12s %8d %8d\n' "$target" "${runs:-failed}" "$corpus" "$crashes"
done
for target; do
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/found/$target.log")
    crashes=$(find "$build/found/${target#fuzz_}" -type f -name '*-*' | wc -l)
    [ -z "$runs" ] || printf 'FUZZ %s: %s, violations: %d\n' "${target#fuzz_}" "$runs" "$crashes"
done
[ $status -eq 0 ] || say "See $build/found: TARGET.log, and NAME/crash-*."
exit $status
