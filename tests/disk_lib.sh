# shellcheck shell=bash
# disk_lib.sh - a small disk of its own for a store: ext4 on a loop device. Sourced after lib.sh, by root's scripts.

# small_disk MIB: makes an image in TEST_DIR and mounts it at $DISK; STORE lies there. Ends the script as skipped where
# that cannot be done.
small_disk() {
    is_root || skip_all "needs root, to mount a disk of its own"
    command -v mkfs.ext4 >/dev/null || skip_all "no mkfs.ext4 (package e2fsprogs)"
    DISK=$TEST_DIR/disk
    mkdir -p "$DISK"
    IMAGE=${IMAGE:-$TEST_DIR/image}
    truncate -s "$1M" "$IMAGE"
    mkfs.ext4 -q -F -m 0 "$IMAGE" || skip_all "mkfs.ext4 failed"
    mount -o loop "$IMAGE" "$DISK" || skip_all "no loop device can be mounted here"
    # Cleaned up in reverse: the mount of the store first, which stands in MNT.
    EXTRA_MOUNTS+=("$DISK")
    STORE=$DISK/store
}

# Mounts the disk anew, after it was shut down or detached. Tests that run at the same time may hold a copy of the old
# mount in a namespace of theirs: as long as they do the old one comes back, dead.
disk_anew() {
    local tries=0
    while mountpoint -q "$DISK" && ! umount "$DISK" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$DISK stays busy"; return 1; }
        sleep 0.1
    done
    until mount -o loop "$IMAGE" "$DISK" 2>/dev/null && touch "$DISK/alive" 2>/dev/null; do
        umount "$DISK" 2>/dev/null
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { echo "$DISK does not come back"; return 1; }
        sleep 0.1
    done
    rm "$DISK/alive"
}

# start_writers ROUND: four of $TOOL in the background, in directories of their own in the mount, each with its log.
# $helpers: their processes. Before one counts a promise it asks the disk for one itself.
start_writers() {
    local i
    helpers=()
    : >"$DISK/probe"
    sync "$DISK/probe"
    for i in 1 2 3 4; do
        mkdir "$MNT/work$1.$i"
        : >"$TEST_DIR/log$i"
        PROBE=$DISK/probe "$TOOL" write "$MNT/work$1.$i" "$TEST_DIR/log$i" $((SEED + $1 * 10 + i)) \
            2>>"$TEST_DIR/writer.err" &
        helpers+=($!)
    done
}
