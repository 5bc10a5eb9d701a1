#!/usr/bin/env bash
# mount_sigterm.sh [ROUNDS] - SIGTERM while four programs write, files are merged and, every other time, one lies open: the daemon ends
# soon, and everything that was acknowledged to the programs is in the store, fsync or not.
#
# ROUNDS: default 2, with LONG=1 50. SEED: of the programs and the moments, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_acked) || skip_all "no C compiler for tests/tool_acked.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 2 || echo 50)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"
acked=0
slowest_ms=0

now_ms() {
    date +%s%3N
}

# The end is waited for with its time: more than SECONDS_ALLOWED is a failure. A sanitizer may take longer.
SECONDS_ALLOWED=5
grep -q 'sanitize' "$(dirname "$BITCASKFS")/.configured" 2>/dev/null && SECONDS_ALLOWED=120

end_under_load() {
    local round=$1 writers=() i start took
    mount_store -o segment_size=256K,scheduler=on
    for i in 1 2 3 4; do
        rm -rf "$MNT/w$i" && mkdir "$MNT/w$i"
        "$TOOL" write "$MNT/w$i" "$TEST_DIR/log$i" $((SEED + round * 10 + i)) &
        writers+=($!)
    done
    (while echo 'merge full' >"$MNT/.bitcask/control"; do :; done) 2>/dev/null &
    writers+=($!)
    echo held >"$MNT/held"
    [ $((round % 2)) -eq 1 ] || exec 3>>"$MNT/held"
    sleep "$(printf '0.%03d' $((RANDOM % 900 + 50)))"
    start=$(now_ms)
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    took=$(($(now_ms) - start))
    exec 3>&-
    wait "${writers[@]}" || true
    echo "$took" >"$TEST_DIR/took"
    ! grep -qF "$MNT" /proc/self/mountinfo
    [ "$took" -le $((SECONDS_ALLOWED * 1000)) ] || { echo "it took $took ms"; return 1; }
}

all_is_there() {
    local i
    "$BITCASK" verify "$STORE"
    mount_store
    equal "the file that lay open" held "$(cat "$MNT/held")"
    for i in 1 2 3 4; do "$TOOL" check "$MNT/w$i" "$TEST_DIR/log$i"; done
    unmount_store
}

for ((round = 1; round <= ROUNDS; round++)); do
    check "round $round: SIGTERM ends the daemon within $SECONDS_ALLOWED s" end_under_load "$round"
    took=$(cat "$TEST_DIR/took" 2>/dev/null || echo 0)
    [ "$took" -le "$slowest_ms" ] || slowest_ms=$took
    check "round $round: all that was acknowledged is there" all_is_there
    acked=$((acked + $(cat "$TEST_DIR"/log? | grep -vc '^?')))
done
echo "ROUNDS SIGTERM: $ROUNDS, acknowledged: $acked, slowest end: $slowest_ms ms, violations: $checks_failed"
finish
