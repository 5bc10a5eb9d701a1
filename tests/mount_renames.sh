#!/usr/bin/env bash
# mount_renames.sh [ROUNDS] - the daemon is killed (-9) while two programs rename files and directories at random; what is
# there afterwards is what their model allows (tool_renames.c).
#
# ROUNDS: default 6, with LONG=1 100. SEED: of all that is random, printed at the start. Each round works in two new
# directories of one store, under another commit_ms.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_renames) || skip_all "no C compiler for tests/tool_renames.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 6 || echo 100)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
COMMIT_MS=(100 5 1000 0 30)
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"

# start ROUND WHO NUMBER [SYNCS]: a writer in the background; after SYNCS syncs it kills the daemon itself.
start() {
    local directory=$MNT/$1$2 log=$TEST_DIR/log$1$2 end=()
    [ -z "${4:-}" ] || end=("$(daemon_pid)" "$4")
    mkdir "$directory"
    "$TOOL" write "$directory" "$log" $((SEED + 2 * $1 + $3)) "$MNT" "${end[@]}" 2>"$TEST_DIR/$2.err" &
    WRITERS+=($!)
}

# Every other round ends at a random moment, the others right after a sync, when what it promises matters.
kill_during_renames() {
    local delay=$((RANDOM % 1000)) writer
    WRITERS=()
    start "$1" one 0
    if [ $(($1 % 2)) -eq 0 ]; then
        start "$1" two 1
        sleep "$(printf '0.%03d' $delay)"
        kill -9 "$(daemon_pid)"
        echo "killed after $delay ms"
    else
        start "$1" two 1 $((delay % 12 + 1))
        echo "killed at sync $((delay % 12 + 1))"
    fi
    if ! wait_daemon 137; then
        kill -9 "${WRITERS[@]}"
        return 1
    fi
    for writer in "${WRITERS[@]}"; do
        wait "$writer" || { cat "$TEST_DIR"/*.err; return 1; }
    done
}

model_allows_it() {
    "$TOOL" check "$MNT/$1one" "$TEST_DIR/log$1one" $((SEED + 2 * $1))
    "$TOOL" check "$MNT/$1two" "$TEST_DIR/log$1two" $((SEED + 2 * $1 + 1))
}

# What the recovery made of it is what a clean end leaves.
remount_shows_the_same() {
    manifest "$MNT" >"$TEST_DIR/before"
    unmount_store
    mount_store "$@"
    manifest "$MNT" >"$TEST_DIR/after"
    cmp "$TEST_DIR/before" "$TEST_DIR/after"
}

mount_store || die "first mount"
for ((round = 1; round <= ROUNDS; round++)); do
    check "round $round: the daemon is killed" kill_during_renames "$round"
    grep -q '^killed' "$TEST_DIR/check.out" || die "the renames failed before the kill"
    mount_store -o "commit_ms=${COMMIT_MS[round % 5]}" || die "no mount after the crash"
    check "round $round: each thing is where the model allows it" model_allows_it "$round"
done
check "a clean remount shows the same" remount_shows_the_same
check "the store unmounts" unmount_store
finish
