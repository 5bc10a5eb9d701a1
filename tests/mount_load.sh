#!/usr/bin/env bash
# mount_load.sh [SECONDS] - eight clients with work of all kinds (tool_load.c) beside merges and other commands: each
# reads what it wrote, at the end all is there, and after a remount. In a build with a sanitizer any report of the
# daemon fails the test.
#
# SECONDS: default 5; with LONG=1 60, and 600 with a sanitizer. SEED is printed and can be given.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_load) || skip_all "no C compiler for tests/tool_load.c"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
CLIENTS=8
FOR_SECONDS=5
if [ "$LONG" -ne 0 ]; then
    FOR_SECONDS=60
    ! grep -q sanitize "$(dirname "$BITCASKFS")/.configured" 2>/dev/null || FOR_SECONDS=600
fi
FOR_SECONDS=${1:-$FOR_SECONDS}
echo "$TEST_NAME: SEED=$SEED, $CLIENTS clients, $FOR_SECONDS s"
# A second report is as welcome as the first, and one at the end is to be seen in the exit status.
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:exitcode=99:detect_leaks=1" TSAN_OPTIONS="${TSAN_OPTIONS:-}:exitcode=99"

# Commands without end, and looks into what the daemon says of itself.
command_it() {
    local file
    while [ ! -e "$TEST_DIR/done" ]; do
        if echo 'merge full' >"$MNT/.bitcask/control"; then echo merge >>"$TEST_DIR/merges"; fi
        echo rotate >"$MNT/.bitcask/control"
        if echo merge >"$MNT/c$((RANDOM % CLIENTS))/.bitcask/control"; then echo merge >>"$TEST_DIR/merges"; fi
        echo sync >"$MNT/.bitcask/control"
        for file in "$MNT"/.bitcask/* "$MNT/c1/.bitcask"/*; do cat "$file" >/dev/null; done
        if [ $((RANDOM % 4)) -eq 0 ]; then echo verify >"$MNT/.bitcask/control"; fi
    done 2>/dev/null
}

clients_work() {
    local commands
    : >"$TEST_DIR/merges"
    command_it &
    commands=$!
    "$TOOL" run "$MNT" "$FOR_SECONDS" "$SEED" "$CLIENTS" "$TEST_DIR/ledger" >"$TEST_DIR/calls" || {
        : >"$TEST_DIR/done"
        show_daemon_log
        no_sanitizer_report
        return 1
    }
    : >"$TEST_DIR/done"
    wait "$commands" || true
    no_sanitizer_report
    [ -s "$TEST_DIR/merges" ] || { echo "no merge was made"; cat "$MNT/.bitcask/control"; return 1; }
}

all_is_there() {
    "$TOOL" check "$MNT" "$CLIENTS" "$TEST_DIR/ledger"
}

all_is_there_after_a_remount() {
    unmount_store
    "$BITCASK" verify "$STORE"
    mount_store
    all_is_there
}

all_goes() {
    rm -r "$MNT"/c? "$MNT/shared"
    echo 'merge full' >"$MNT/.bitcask/control"
    equal "what is left" "" "$(ls -A "$MNT")"
    unmount_store
}

# With so few nodes the kernel is asked to forget some all the time.
mount_store -o segment_size=1M,scheduler=on,max_nodes=150 || die "mount"
check "eight clients find what they wrote" clients_work
check "all of it is there at the end" all_is_there
check "all of it is there after a remount" all_is_there_after_a_remount
check "all of it can be removed" all_goes
echo "LOAD calls: $(awk '{ n += $2 } END { print n + 0 }' "$TEST_DIR/calls"), seconds: $FOR_SECONDS," \
    "merges: $(wc -l <"$TEST_DIR/merges"), violations: $checks_failed"
finish
