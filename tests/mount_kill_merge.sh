#!/usr/bin/env bash
# mount_kill_merge.sh [ROUNDS] - kill -9 under four writers, while small data files are merged without end: what was
# made durable is there, nothing is torn, nothing deleted is back, the store verifies clean and takes writes.
#
# ROUNDS: default 3, with LONG=1 200. SEED: of the writers and the moments, printed at the start. mount_kill.sh looks at
# fewer kills more closely.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_crash) || skip_all "no C compiler for tests/tool_crash.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 3 || echo 200)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"
promised=0
merges=0

killed_at_work() {
    local round=$1 helpers=() i ours
    for i in 1 2 3 4; do
        mkdir "$MNT/work$round.$i"
        : >"$TEST_DIR/log$i"
        "$TOOL" write "$MNT/work$round.$i" "$TEST_DIR/log$i" $((SEED + round * 10 + i)) 2>>"$TEST_DIR/writer.err" &
        helpers+=($!)
    done
    # What earlier rounds left is deleted meanwhile, which gives the merges something to leave out.
    (rm -rf "$MNT/work$((round - 1))".*; : >"$TEST_DIR/removed") 2>/dev/null &
    helpers+=($!)
    (while echo merge && echo 'merge full' >"$MNT/.bitcask/control"; do :; done) >"$TEST_DIR/merges" 2>/dev/null &
    helpers+=($!)
    sleep "$(printf '0.%03d' $((RANDOM % 1000 + 20)))"
    kill_daemon
    for i in "${helpers[@]}"; do wait "$i" || true; done
    wc -l <"$TEST_DIR/merges" >"$TEST_DIR/merge_count"
}

kept() {
    local round=$1 i
    for i in 1 2 3 4; do
        [ -s "$TEST_DIR/log$i" ] || continue
        "$TOOL" check "$MNT/work$round.$i" "$TEST_DIR/log$i"
    done
    # Deleting is not durable by itself, but what was gone and synced since does not come back.
    rm -rf "$MNT/work$((round - 1))".*
    sync "$MNT"
    echo "$round" >"$MNT/round"
    sync "$MNT/round"
}

verified() {
    "$BITCASK" verify "$STORE"
    equal "directories" "work$1.1 work$1.2 work$1.3 work$1.4" \
        "$("$BITCASK" ls "$STORE" | grep -o 'work[0-9.]*' | sort | tr '\n' ' ' | sed 's/ $//')"
    equal "the last write" "$1" "$("$BITCASK" get "$STORE" round)"
}

mount_store -o segment_size=64K,scheduler=on || die "mount"
for ((round = 1; round <= ROUNDS; round++)); do
    check "round $round: the daemon is killed" killed_at_work "$round"
    [ -e "$TEST_DIR/merge_count" ] || die "no daemon to kill"
    merges=$((merges + $(cat "$TEST_DIR/merge_count")))
    promised=$((promised + $(cat "$TEST_DIR"/log[1-4] | wc -l)))
    mount_store -o segment_size=64K,scheduler=on || die "no mount after the kill"
    check "round $round: what was promised is kept" kept "$round"
    # Between kills the store is closed cleanly every tenth time only: most kills meet a store that was killed before.
    if [ $((round % 10)) -eq 3 ] || [ "$round" -eq "$ROUNDS" ]; then
        check "round $round: the store unmounts" unmount_store
        check "round $round: it verifies clean, and nothing deleted is back" verified "$round"
        mount_store -o segment_size=64K,scheduler=on || die "mount between rounds"
    fi
done
check "the store unmounts at the end" unmount_store
echo "ROUNDS kill -9: $ROUNDS, promises: $promised, merge commands meanwhile: $merges, violations: $checks_failed"
finish
