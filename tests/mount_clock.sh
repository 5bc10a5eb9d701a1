#!/usr/bin/env bash
# mount_clock.sh [STEPS] - the daemon's clock jumps ten years back and forth between operations, across merges, kills and
# remounts: the last write wins, nothing deleted is back, versions only grow, mtimes follow the clock.
#
# STEPS: default 150, with LONG=1 3000. SEED: of the operations, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
command -v getfattr >/dev/null || skip_all "no getfattr (package attr)"
! ldd "$BITCASKFS" | grep -q 'lib[at]san' || skip_all "a sanitizer wants to be loaded before the clock"
${CC:-cc} -shared -fPIC -O1 -D_GNU_SOURCE -o "$TEST_DIR/clock.so" "$TESTS_DIR/clock_shim.c" -ldl 2>"$TEST_DIR/cc.log" ||
    skip_all "no C compiler for tests/clock_shim.c"

STEPS=${1:-$([ "$LONG" -eq 0 ] && echo 150 || echo 3000)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $STEPS steps"
TEN_YEARS=$((3652 * 86400))
jumps=0
violations=0

# The daemon, and it alone, has the other clock.
REAL_BITCASKFS=$BITCASKFS
printf '#!/bin/sh\nCLOCK_FILE=%s LD_PRELOAD=%s exec %s "$@"\n' "$TEST_DIR/clock" "$TEST_DIR/clock.so" \
    "$REAL_BITCASKFS" >"$TEST_DIR/bitcaskfs"
chmod 755 "$TEST_DIR/bitcaskfs"
BITCASKFS=$TEST_DIR/bitcaskfs

# set_clock SECONDS: written over, in the same file, which is mapped.
offset=0
set_clock() {
    local i bytes='' value=$1
    offset=$1
    for i in 1 2 3 4 5 6 7 8; do
        bytes+=$(printf '\\x%02x' $((value & 255)))
        value=$((value >> 8))
    done
    # shellcheck disable=SC2059
    printf "$bytes" | dd of="$TEST_DIR/clock" conv=notrunc status=none
}

jump() {
    local years=(-1 0 1)
    set_clock $((years[RANDOM % 3] * TEN_YEARS))
    jumps=$((jumps + 1))
}

violation() {
    violations=$((violations + 1))
    echo "$*" >>"$TEST_DIR/violations"
}

version() {
    getfattr --only-values -n user.bitcask.version "$1" 2>/dev/null
}

declare -A content versions

put() {
    local name=$1 now before after
    before=$((EPOCHSECONDS + offset))
    echo "$2" >"$MNT/$name" || violation "$name: cannot be written"
    content[$name]=$2
    sync "$MNT/$name"
    after=$((EPOCHSECONDS + offset))
    now=$(stat -c %Y "$MNT/$name")
    { [ "$now" -ge $((before - 1)) ] && [ "$now" -le $((after + 1)) ]; } ||
        violation "$name: its mtime is $now, the clock says $before to $after"
    now=$(version "$MNT/$name")
    [ "$now" -gt "${versions[$name]:-0}" ] || violation "$name: version $now after ${versions[$name]:-0}"
    versions[$name]=$now
}

check_all() {
    local name listed
    for name in "${!content[@]}"; do
        [ "$(cat "$MNT/$name" 2>/dev/null)" = "${content[$name]}" ] ||
            violation "$name: '$(cat "$MNT/$name" 2>&1)' instead of '${content[$name]}' ($1)"
    done
    listed=$(find "$MNT" -type f | wc -l)
    [ "$listed" -eq ${#content[@]} ] || violation "$listed files instead of ${#content[@]} ($1)"
}

steps() {
    local step name to
    for ((step = 1; step <= STEPS; step++)); do
        jump
        name=f$((RANDOM % 30))
        [ $((RANDOM % 3)) -ne 0 ] || name=dir/$name
        case $((RANDOM % 10)) in
        0 | 1)
            rm -f "$MNT/$name"
            unset "content[$name]"
            ;;
        2)
            to=dir/g$((RANDOM % 10))
            if [ -n "${content[$name]:-}" ]; then
                mv "$MNT/$name" "$MNT/$to"
                content[$to]=${content[$name]}
                unset "content[$name]" "versions[$name]" "versions[$to]"
            fi
            ;;
        *) put "$name" "step $step" ;;
        esac
        case $((step % 50)) in
        10) echo rotate >"$MNT/.bitcask/control" ;;
        20) echo 'merge full' >"$MNT/.bitcask/control" || violation "a merge failed" ;;
        30)
            sync "$MNT"
            kill_daemon
            jump
            mount_store
            check_all "after a kill"
            ;;
        40)
            unmount_store
            jump
            mount_store
            check_all "after a remount"
            ;;
        esac
    done
    check_all "at the end"
    echo "$jumps $violations" >"$TEST_DIR/counts"
    cat "$TEST_DIR/violations" 2>/dev/null || true
    [ "$violations" -eq 0 ]
}

: >"$TEST_DIR/clock"
printf '\0\0\0\0\0\0\0\0' >"$TEST_DIR/clock"
mount_store || die "mount"
mkdir "$MNT/dir"
set_clock "$TEN_YEARS"
touch "$MNT/probe"
[ "$(stat -c %Y "$MNT/probe")" -gt $((EPOCHSECONDS + TEN_YEARS - 1000)) ] || die "the clock cannot be shifted here"
rm "$MNT/probe"
check "$STEPS operations, and the clock elsewhere at each" steps
set_clock 0
check "the store unmounts" unmount_store
check "it verifies clean" "$BITCASK" verify "$STORE"
read -r jumps violations <"$TEST_DIR/counts" || true
echo "JUMPS of the clock: $jumps, violations: $violations"
finish
