#!/usr/bin/env bash
# mount_full.sh [CYCLES] - a disk of 16 MiB is filled until writes fail, again and again: what was acknowledged stays,
# deleting and merging always work, and give the room back, though others have taken the last block, or the store was
# opened, or its daemon killed, on the full disk.
#
# CYCLES: default 4, with LONG=1 100. SEED: of the writers, printed at the start. Files are of up to 60,000 bytes, in
# every other cycle 1,500,000; or as ACKED_LARGEST says.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=disk_lib.sh
. "$TESTS_DIR/disk_lib.sh"
require_fuse
setup
TOOL=$(helper tool_acked) || skip_all "no C compiler for tests/tool_acked.c"
LARGEST=${ACKED_LARGEST:-}
export ACKED_LARGEST ACKED_CHANGES=1000
small_disk 16

CYCLES=${1:-$([ "$LONG" -eq 0 ] && echo 4 || echo 100)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
echo "$TEST_NAME: SEED=$SEED, $CYCLES cycles"
acked=0
unsynced=0

free_kb() {
    df -k --output=avail "$DISK" | tail -n 1
}

command_to() {
    echo "$1" >"$MNT/.bitcask/control" || {
        grep '^last' "$MNT/.bitcask/control"
        return 1
    }
}

# Until nothing more goes in: first many files by a program that stops at the first failure, then more of them.
fill() {
    mkdir "$MNT/a" "$MNT/b"
    "$TOOL" write "$MNT/a" "$TEST_DIR/log" $((SEED + $1))
    "$TOOL" check "$MNT/a" "$TEST_DIR/log"
    local i=0
    while head -c 50000 /dev/zero 2>/dev/null >"$MNT/b/$i"; do i=$((i + 1)); done 2>/dev/null
    rm -f "$MNT/b/$i"
    while head -c 2000 /dev/zero 2>/dev/null >"$MNT/b/$i"; do i=$((i + 1)); done 2>/dev/null
    rm -f "$MNT/b/$i"
    echo "$i" >"$TEST_DIR/written"
}

# The disk is full to the last block: others use it as well.
fill_the_rest() {
    if dd if=/dev/zero of="$DISK/other" bs=64k 2>/dev/null; then return 1; fi
    dd if=/dev/zero of="$DISK/other2" bs=1k 2>/dev/null || true
    [ "$(free_kb)" -lt 64 ]
}

acknowledged_is_there() {
    "$TOOL" check "$MNT/a" "$TEST_DIR/log"
    equal "files that filled it" "$(cat "$TEST_DIR/written")" "$(find "$MNT/b" -type f | wc -l)"
    equal "short ones of these" "" "$(find "$MNT/b" -type f ! -size 50000c ! -size 2000c)"
}

deleting_works() {
    rm -r "$MNT/b"
    find "$MNT/a" -name 'f*[02468]' -delete
    equal "what was deleted" "" "$(find "$MNT/a" -name 'f*[02468]')"
}

# Where half of every data file is in use and not a block is free, a merge has nowhere to write to. Then it says so, and
# more has to be deleted, which works: at the latest without any file left it gives everything back.
merging_works() {
    local digit
    : >"$TEST_DIR/deleted"
    command_to rotate || true
    for digit in 1 3 5 7 9; do
        ! command_to 'merge full' || break
        grep -q '^last error: .*No space left' "$MNT/.bitcask/control"
        echo refused >>"$TEST_DIR/refused"
        find "$MNT/a" -name "f*$digit" -delete
        echo "$digit" >>"$TEST_DIR/deleted"
    done
    [ "$(tail -n 1 "$TEST_DIR/deleted")" != 9 ] || command_to 'merge full'
    sync "$MNT"
    command_to verify
}

the_rest_is_there() {
    grep -v "f[0-9]*[02468$(tr -d '\n' <"$TEST_DIR/deleted")] " "$TEST_DIR/log" >"$TEST_DIR/log.odd" || true
    "$TOOL" check "$MNT/a" "$TEST_DIR/log.odd"
}

written_again() {
    mkdir "$MNT/c"
    head -c 300000 /dev/urandom >"$TEST_DIR/random"
    cp "$TEST_DIR/random" "$MNT/c/random"
    sync "$MNT/c/random"
    cmp "$TEST_DIR/random" "$MNT/c/random"
}

all_is_given_back() {
    rm -r "$MNT/a" "$MNT/c"
    sync "$MNT"
    command_to rotate
    command_to 'merge full'
    equal "what is left" "" "$(ls -A "$MNT")"
}

for ((cycle = 1; cycle <= CYCLES; cycle++)); do
    ACKED_LARGEST=${LARGEST:-$([ $((cycle % 2)) -eq 1 ] && echo 60000 || echo 1500000)}
    mount_store -o segment_size=512K || die "mount"
    check "cycle $cycle: filled until writes fail" fill "$cycle"
    check "cycle $cycle: all acknowledged is there" acknowledged_is_there
    case $(((cycle + 1) % 3)) in
        0)
            # Closing, and opening, a store on a full disk.
            check "cycle $cycle: unmounts full" unmount_store
            check "cycle $cycle: others take the last block" fill_the_rest
            mount_store -o segment_size=512K || die "no mount of a store on a full disk"
            check "cycle $cycle: all acknowledged is there after that" acknowledged_is_there
            ;;
        1) check "cycle $cycle: others take the last block" fill_the_rest ;;
        2)
            # Mostly there is room for what was taken; where there is not, the sync says so, and nothing is lost.
            if sync "$MNT" 2>/dev/null; then
                check "cycle $cycle: the daemon is killed" kill_daemon
                check "cycle $cycle: others take the last block" fill_the_rest
                mount_store -o segment_size=512K || die "no mount after a kill on a full disk"
            else
                unsynced=$((unsynced + 1))
                check "cycle $cycle: others take the last block" fill_the_rest
            fi
            check "cycle $cycle: all acknowledged is there after that" acknowledged_is_there
            ;;
    esac
    check "cycle $cycle: deleting works" deleting_works
    check "cycle $cycle: merging works" merging_works
    check "cycle $cycle: what was not deleted is there" the_rest_is_there
    rm -f "$DISK/other" "$DISK/other2"
    check "cycle $cycle: writing works again" written_again
    check "cycle $cycle: all is deleted and merged" all_is_given_back
    check "cycle $cycle: unmounts" unmount_store
    acked=$((acked + $(grep -vc '^?' "$TEST_DIR/log")))
    free=$(free_kb)
    [ -n "${first_free:-}" ] || first_free=$free
    check "cycle $cycle: the room is back ($free of $first_free KiB)" [ "$free" -ge $((first_free - 512)) ]
done
check "the store verifies clean" "$BITCASK" verify "$STORE"
refused=$(cat "$TEST_DIR/refused" 2>/dev/null | wc -l)
echo "CYCLES full disk: $CYCLES, acknowledged: $acked, merges that wanted more deleted: $refused, syncs refused:" \
    "$unsynced, violations: $checks_failed"
finish
