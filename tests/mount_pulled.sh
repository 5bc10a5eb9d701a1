#!/usr/bin/env bash
# mount_pulled.sh [ROUNDS] - the disk below the store goes away under load: each access fails (a pulled plug),
# or the name goes and the disk stays (umount -l). The daemon lives on, says EIO and
# nothing wrong, ends when it is told to, and what was durable is there when the disk is back.
#
# ROUNDS: default 2 of each kind, with LONG=1 30. SEED: of the writers and the moments, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=disk_lib.sh
. "$TESTS_DIR/disk_lib.sh"
require_fuse
setup
TOOL=$(helper tool_crash) || skip_all "no C compiler for tests/tool_crash.c"
GODOWN=$(helper tool_godown) || skip_all "no C compiler for tests/tool_godown.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 2 || echo 30)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"
promised=0
helpers=()

# work ROUND: writers and merges, in the background.
work() {
    start_writers "$1"
    (while echo 'merge full' >"$MNT/.bitcask/control"; do :; done) 2>/dev/null &
    helpers+=($!)
    sleep "$(printf '0.%03d' $((RANDOM % 500 + 100)))"
}

# Programs see errors and end; the daemon answers all the while.
errors_and_no_end() {
    local i
    for i in "${helpers[@]}"; do wait "$i" || true; done
    stat -f "$MNT" >/dev/null
    ls "$MNT" >/dev/null
    cat "$MNT/.bitcask/control" >/dev/null
    # What can be read is right: tool_crash checks it once the disk is back.
    find "$MNT" -type f -exec cat {} + >/dev/null 2>"$TEST_DIR/read.err" || true
    if [ "${1:-}" != still ]; then refused 'Input/output\|No space\|Read-only\|Structure needs' dd if=/dev/zero of="$MNT/big" bs=1M count=40 conv=fsync; fi
    kill -TERM "$(daemon_pid)"
    wait_daemon "${2:-1}"
}

kept() {
    local i
    mount_store -o segment_size=64K
    for i in 1 2 3 4; do
        [ -s "$TEST_DIR/log$i" ] || continue
        # Where the name goes, the daemon is told to end while programs write.
        env ${2:+"MAY_BE_EMPTY=1"} "$TOOL" check "$MNT/work$1.$i" "$TEST_DIR/log$i"
    done
    echo "$1" >"$MNT/round"
    sync "$MNT/round"
    rm -rf "$MNT"/work*
    unmount_store
    "$BITCASK" verify "$STORE"
}

count_promises() {
    promised=$((promised + $(cat "$TEST_DIR"/log[1-4] | wc -l)))
}

# ---- a pulled plug ----

pull_the_plug() {
    mount_store -o segment_size=64K,scheduler=on
    work "$1"
    "$GODOWN" "$DISK"
    errors_and_no_end
}

# The disk comes back as after a power cut: ext4 replays its journal.
plug_it_in() {
    disk_anew
    kept "$1"
}

small_disk 64
if mkdir "$DISK/try" && "$GODOWN" "$DISK" 2>/dev/null; then
    disk_anew || die "the disk does not come back"
    for ((round = 1; round <= ROUNDS; round++)); do
        check "round $round: the disk is pulled" pull_the_plug "$round"
        check "round $round: what was durable is there when it is back" plug_it_in "$round"
        count_promises
    done
    pulled=$ROUNDS
else
    skip "this filesystem cannot be shut down"
    pulled=0
fi

# ---- the name goes, the disk stays ----

detached() {
    mount_store -o segment_size=64K,scheduler=on
    work "$1"
    umount -l "$DISK"
    sleep 0.3
    # Nothing has happened to files that are open: the work goes on, and ends well.
    kill "${helpers[@]}" 2>/dev/null || true
    errors_and_no_end still 0
}

attached_again() {
    disk_anew
    kept "$1" killed
}

for ((round = 101; round <= 100 + ROUNDS; round++)); do
    check "round $round: the disk's name goes" detached "$round"
    check "round $round: all is there under its new name" attached_again "$round"
    count_promises
done
echo "ROUNDS disk pulled: $pulled, detached: $ROUNDS, promises: $promised, violations: $checks_failed"
finish
