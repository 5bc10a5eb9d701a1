#!/usr/bin/env bash
# mount_small_files.sh - small files a second on the mount, beside libfuse's passthrough_ll over tmpfs.
#
# FILES (20,000), SIZE (100 bytes), ROUNDS (3): the two filesystems take turns, the table has the medians. STORE_DIR: where
# the store lies, default ${TMPDIR:-/tmp}. "cold" follows a fresh mount. PASSTHROUGH: that program, already built, else
# PASSTHROUGH_SOURCE is compiled, which Debian's libfuse3-dev brings along; PASSTHROUGH_OPTIONS: its -o options.
# With MOUNT_ONLY=1 the peer is left out.

# shellcheck disable=SC2119 source-path=SCRIPTDIR/.. source=lib.sh
. "$(dirname "$0")/../lib.sh"
require_fuse
TMPDIR=${STORE_DIR:-${TMPDIR:-/tmp}}
setup
FILES=${FILES:-20000}
SIZE=${SIZE:-100}
ROUNDS=${ROUNDS:-3}
PASSTHROUGH_SOURCE=${PASSTHROUGH_SOURCE:-/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c}
PASSTHROUGH_OPTIONS=${PASSTHROUGH_OPTIONS:-}
PHASES="create stat list liststat read reread overwrite unlink"
CFLAGS_BENCH=(-std=c11 -D_GNU_SOURCE -O2)
BITCASKFS_MNT=$MNT
PEER_MNT=$TEST_DIR/peer

# Measured with optimisation, whatever the build did.
CLIENT=$TEST_DIR/small_files
"${CC:-cc}" "${CFLAGS_BENCH[@]}" -o "$CLIENT" "$TESTS_DIR/bench/small_files.c" || skip_all "no C compiler"

# The passthrough keeps a descriptor for each file that it knows.
ulimit -n "$(ulimit -Hn)"
if [ "${MOUNT_ONLY:-0}" -ne 1 ] && [ "$(ulimit -n)" != unlimited ] && [ "$FILES" -gt $(($(ulimit -n) - 200)) ]; then
    FILES=$(($(ulimit -n) - 200))
    echo "$TEST_NAME: only $FILES files, for the passthrough's sake: the limit is $(ulimit -n) open files"
fi
if [ "${MOUNT_ONLY:-0}" -ne 1 ]; then
    if [ -z "${PASSTHROUGH:-}" ]; then
        [ -r "$PASSTHROUGH_SOURCE" ] || skip_all "no $PASSTHROUGH_SOURCE (package libfuse3-dev)"
        PASSTHROUGH=$TEST_DIR/passthrough_ll
        # shellcheck disable=SC2046 # several words
        "${CC:-cc}" -O2 -o "$PASSTHROUGH" "$PASSTHROUGH_SOURCE" $(pkg-config --cflags --libs fuse3) ||
            skip_all "passthrough_ll does not compile"
    fi
    [ "$(stat -f -c %T /dev/shm)" = tmpfs ] || skip_all "/dev/shm is no tmpfs"
    PEER_DIR=$(mktemp -d /dev/shm/bitcaskfs-bench.XXXXXX)
    trap 'rm -rf "$PEER_DIR"; cleanup' EXIT
    mkdir "$PEER_MNT"
    EXTRA_MOUNTS+=("$PEER_MNT")
fi

mount_bitcaskfs() {
    MNT=$BITCASKFS_MNT
    mount_store
}

unmount_bitcaskfs() {
    unmount_store
}

mount_peer() {
    MNT=$PEER_MNT
    "$PASSTHROUGH" -o "source=$PEER_DIR${PASSTHROUGH_OPTIONS:+,$PASSTHROUGH_OPTIONS}" "$PEER_MNT" 2>>"$TEST_DIR/peer.log"
}

unmount_peer() {
    if is_root; then umount "$PEER_MNT"; else fusermount3 -u "$PEER_MNT"; fi
}

# measure WHO PHASE: one line "WHO PHASE FILES_PER_SECOND" into results.
measure() {
    local line rate
    line=$("$CLIENT" "$MNT/files" "$2" "$FILES" "$SIZE") || die "$1: $2"
    rate=${line##* }
    echo "$1 $2 $rate" >>"$TEST_DIR/results"
}

# All phases once. stat, list, liststat and read each begin on a fresh mount.
round_of() {
    local who=$1 phase
    "mount_$who" || die "$who does not mount"
    mkdir -p "$MNT/files"
    for phase in $PHASES; do
        case $phase in stat | list | liststat | read)
            "unmount_$who" || die "$who does not unmount"
            "mount_$who" || die "$who does not mount again"
            ;;
        esac
        measure "$who" "$phase"
    done
    "unmount_$who" || die "$who does not unmount"
}

median() {
    awk -v who="$1" -v phase="$2" '$1 == who && $2 == phase { print $3 }' "$TEST_DIR/results" | sort -n |
        awk '{ v[NR] = $1 } END { if (NR) printf "%d", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

: >"$TEST_DIR/results"
for ((round = 1; round <= ROUNDS; round++)); do
    round_of bitcaskfs
    [ "${MOUNT_ONLY:-0}" -eq 1 ] || round_of peer
done

declare -A title=([create]="create+write+close" [stat]="stat, cold" [list]="list, cold" [liststat]="list+stat, cold"
    [read]="open+read, cold" [reread]="open+read, again" [overwrite]="overwrite (O_TRUNC)" [unlink]="unlink")
printf '%s files of %s bytes, files per second, medians of %s rounds\n\n' "$FILES" "$SIZE" "$ROUNDS"
printf '%-22s %12s %16s %7s\n' "" bitcaskfs passthrough_ll ratio
for phase in $PHASES; do
    ours=$(median bitcaskfs "$phase")
    peer=$(median peer "$phase")
    printf '%-22s %12s %16s %7s\n' "${title[$phase]}" "$ours" "${peer:--}" \
        "$(awk -v a="$ours" -v b="${peer:-0}" 'BEGIN { if (b > 0) printf "%.2f", a / b; else printf "-" }')"
done
