#!/usr/bin/env bash
# mount_refused.sh [ROUNDS] - a disk under load that can be read and takes no writes any more: ext4 after an error of its
# journal (aborted); one that fails each sync, or each write (write_shim.c). What is there can be read, no write or fsync
# is said to have succeeded, health says what is wrong, the daemon ends when it is told to, and what was durable is there
# when the disk is well again.
#
# ROUNDS: default 1 of each kind, with LONG=1 5. SEED: of the writers and the moments, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=disk_lib.sh
. "$TESTS_DIR/disk_lib.sh"
require_fuse
setup
TOOL=$(helper tool_crash) || skip_all "no C compiler for tests/tool_crash.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 1 || echo 5)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"
promised=0
tried=0
helpers=()
small_disk 64
KINDS=(aborted)
if ldd "$BITCASKFS" | grep -q 'lib[at]san'; then
    skip "a sanitizer wants to be loaded before the disk that fails"
elif ! ${CC:-cc} -shared -fPIC -O1 -D_GNU_SOURCE -o "$TEST_DIR/writes.so" "$TESTS_DIR/write_shim.c" -ldl 2>"$TEST_DIR/cc.log"; then
    skip "no C compiler for tests/write_shim.c"
else
    KINDS+=(no_sync no_write)
    printf '#!/bin/sh\nREFUSE_FILE=%s LD_PRELOAD=%s exec %s "$@"\n' "$TEST_DIR/refuse" "$TEST_DIR/writes.so" "$BITCASKFS" \
        >"$TEST_DIR/bitcaskfs"
    chmod 755 "$TEST_DIR/bitcaskfs"
    BITCASKFS=$TEST_DIR/bitcaskfs
fi

# Written over, in the same file, which is mapped.
refuse() {
    # shellcheck disable=SC2059
    printf "$1" | dd of="$TEST_DIR/refuse" conv=notrunc status=none
}
refuse '\0'

# Files in directories that the daemon will not have looked into: it was killed, so that opening them wants to write.
prepare() {
    mount_store -o segment_size=64K
    mkdir "$MNT/kept$1" "$MNT/kept$1/open" "$MNT/kept$1/later"
    sync "$MNT/kept$1/later"
    unmount_store
    mount_store -o segment_size=64K
    for i in 1 2 3; do
        echo "$1 $i" >"$MNT/kept$1/open/$i"
        echo "$1 $i" >"$MNT/kept$1/later/$i"
    done
    sync "$MNT/kept$1/open"/? "$MNT/kept$1/later"/?
    kill_daemon
    mount_store -o segment_size=64K,scheduler=on
    cat "$MNT/kept$1/open/1" >/dev/null
}

# work ROUND: writers and merges, in the background, as in mount_pulled.sh.
work() {
    start_writers "$1"
    # Not of the whole store: that would open the directories which nobody is to have looked into.
    (while echo 'merge full' >"$MNT/work$1.$((RANDOM % 4 + 1))/.bitcask/control"; do :; done) 2>/dev/null &
    helpers+=($!)
    sleep "$(printf '0.%03d' $((RANDOM % 500 + 200)))"
}

aborted() {
    mount -o remount,abort "$DISK"
    refused 'Read-only\|Input/output' dd if=/dev/zero of="$DISK/other" bs=4k count=1 conv=fsync
}

no_sync() {
    refuse s
}

no_write() {
    refuse w
}

# No write is said to be done, in a directory that was used nor in one that was not.
nothing_is_promised() {
    local dir
    for dir in "$MNT" "$MNT/kept$1/open" "$MNT/kept$1/later" "$MNT/work$1.1"; do
        refused 'Input/output\|No space\|Read-only' dd if=/dev/zero of="$dir/new" bs=1k count=1 conv=fsync
        # Where not even the name came to be there is nothing to be synced.
        [ ! -e "$dir/new" ] || refused 'Input/output\|No space\|Read-only' sync "$dir"
    done
}

all_can_be_read() {
    local i
    for i in 1 2 3; do
        equal "a file in a directory that is in use" "$1 $i" "$(cat "$MNT/kept$1/open/$i")"
        equal "a file in one that nobody had looked into" "$1 $i" "$(cat "$MNT/kept$1/later/$i")"
    done
    equal "names" "1 2 3" "$(cd "$MNT/kept$1/later" && echo ?)"
    find "$MNT" -type f -exec cat {} + >/dev/null
}

served() {
    local i
    prepare "$1"
    work "$1"
    "$2"
    for i in "${helpers[@]}"; do wait "$i" || true; done
    all_can_be_read "$1"
    nothing_is_promised "$1"
    all_can_be_read "$1"
    cat "$MNT/.bitcask/health"
    grep -q '^\(poisoned\|degraded\): ' "$MNT/.bitcask/health"
    refused 'Input/output\|No space\|Read-only' sync "$MNT"
}

ends() {
    kill -TERM "$(daemon_pid)"
    wait_daemon 1
}

well_again() {
    local i
    refuse '\0'
    disk_anew
    mount_store -o segment_size=64K
    for i in 1 2 3; do
        equal "a file in a directory that was in use" "$1 $i" "$(cat "$MNT/kept$1/open/$i")"
        equal "a file in one that nobody had looked into" "$1 $i" "$(cat "$MNT/kept$1/later/$i")"
    done
    for i in 1 2 3 4; do
        # The daemon was told to end: a file may just have been truncated.
        [ ! -s "$TEST_DIR/log$i" ] || MAY_BE_EMPTY=1 "$TOOL" check "$MNT/work$1.$i" "$TEST_DIR/log$i"
    done
    echo "$1" >"$MNT/round"
    sync "$MNT/round"
    rm -rf "$MNT"/work* "$MNT"/kept*
    unmount_store
    "$BITCASK" verify "$STORE"
}

# Directories whose times are to be written, where nothing has room: nobody was promised these, and each is tried once.
sync_ends() {
    local syncer
    mount_store -o commit_ms=60000
    mkdir "$MNT"/times{1,2,3}
    touch "$MNT"/times{1,2,3}/file
    sync "$MNT"
    rm "$MNT"/times{1,2,3}/file
    refuse f
    refused 'No space' mkdir "$MNT/other"
    sync "$MNT" &
    syncer=$!
    # In the daemon's hands it cannot be killed.
    for _ in $(seq 600); do
        kill -0 "$syncer" 2>/dev/null || break
        sleep 0.1
    done
    if kill -0 "$syncer" 2>/dev/null; then
        kill_daemon
        return 1
    fi
    refuse '\0'
    rmdir "$MNT"/times{1,2,3}
    unmount_store
}

if [ ${#KINDS[@]} -gt 1 ]; then check "a full disk: a sync of everything ends" sync_ends; fi
for ((round = 1; round <= ROUNDS; round++)); do
    for kind in "${KINDS[@]}"; do
        tried=$((tried + 1))
        check "round $round, $kind: it serves what is there, and promises nothing" served "$tried" "$kind"
        check "round $round, $kind: it ends when told to" ends
        check "round $round, $kind: what was durable is there when the disk is well" well_again "$tried"
        promised=$((promised + $(cat "$TEST_DIR"/log[1-4] | wc -l)))
    done
done
echo "ROUNDS disk without writes: $tried, promises: $promised, violations: $checks_failed"
finish
