#!/usr/bin/env bash
# mount_exercise.sh [OPERATIONS] - random operations on a mount beside a copy in plain memory (tool_exercise.c), with
# clean remounts and kills (-9) of the daemon in between.
#
# PARTS: what is done, of remounts, kills, tight (in segments that are always full) and disks: default remounts and disks;
# mount_exercise_kills.sh and mount_exercise_tight.sh do the others beside it, since most of the time is spent on waiting
# for the disk. OPERATIONS: default 12,000 in all parts, with LONG=1 1,000,000. SEED is printed and can be given.
# LARGEST: bytes of the largest files, default 3,000,000. DIRECTORY, of another filesystem: the same operations there must
# find nothing, which shows that the checker demands nothing that they do not keep.
#
# FULL_DISK=1: also on a disk that is soon full. Not done by default, since of what it finds one thing remains: a rename
# across directories, completed later, may find no space then, and fail the fsync of another file for it.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_exercise exercise_model.c) || skip_all "no C compiler for tests/tool_exercise.c"
FS_TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
OPERATIONS=${1:-$([ "$LONG" -eq 0 ] && echo 12000 || echo 1000000)}
LARGEST=${LARGEST:-3000000}
DIRECTORY=${DIRECTORY:-$TEST_DIR/plain}
PARTS=${PARTS:-remounts disks}
COMMIT_MS=(100 5 1000 0 30)
echo "$TEST_NAME: SEED=$SEED, $OPERATIONS operations, files of up to $LARGEST bytes"

has_part() {
    case " $PARTS " in *" $1 "*) ;; *) return 1 ;; esac
}

plain_directory_has_no_findings() {
    mkdir -p "$DIRECTORY"
    "$TOOL" "$DIRECTORY" $((OPERATIONS / 10)) "$SEED" "$LARGEST"
}

# mount_again: each time under another commit_ms.
mount_again() {
    mounts=$((mounts + 1))
    mount_store "$@" -o "commit_ms=${COMMIT_MS[mounts % 5]}"
}

verify_is_content() {
    "$BITCASK" verify "$STORE" >"$TEST_DIR/verify.out" 2>&1 || { cat "$TEST_DIR/verify.out" >&2; return 1; }
}

# exercise PART KILL [OPTION...]: the tool works and asks for remounts and kills on its stdout; we answer on its stdin.
exercise() {
    local part=$1 kills=$2 what arg tool mounts=0
    shift 2
    rm -f "$TEST_DIR/answers" "$TEST_DIR/asked"
    mkfifo "$TEST_DIR/answers" "$TEST_DIR/asked"
    "$TOOL" "$MNT" $((OPERATIONS * part / 100)) "$SEED" "$LARGEST" $((kills * 3 + 1000)) "$kills" \
        <"$TEST_DIR/answers" >"$TEST_DIR/asked" 2>"$TEST_DIR/tool.err" &
    tool=$!
    exec 3>"$TEST_DIR/answers" 4<"$TEST_DIR/asked"
    while read -r what arg <&4; do
        case $what in
        remount) unmount_store && mount_again "$@" 3>&- 4<&- && echo ok >&3 ;;
        # Nothing says that the daemon was not killed before the tool did what it does meanwhile; it allows for both.
        kill) (exec 3>&- 4<&-; sleep "$(printf '0.%03d' "$arg")"; kill -9 "$(daemon_pid)") & ;;
        revive) wait_daemon 137 && verify_is_content && mount_again "$@" 3>&- 4<&- && echo ok >&3 ;;
        esac || {
            # It would wait for the answer: the shell that waits for the daemon holds a copy of 3.
            kill "$tool"
            break
        }
    done
    exec 3>&- 4<&-
    wait "$tool" || { cat "$TEST_DIR/tool.err"; show_daemon_log; return 1; }
}

# run PART LABEL KILLS [OPTION...]
run() {
    local part=$1 label=$2 kills=$3
    shift 3
    STORE=$TEST_DIR/store.$label
    mount_store "$@" || die "$label: no mount"
    check "$label: the files equal their models" exercise "$part" "$kills" "$@"
    grep -q . "$TEST_DIR/check.out" && [ "$checks_failed" -gt 0 ] && die "$label: the run ended there"
    check "$label: the store unmounts" unmount_store
    check "$label: verify finds no damage" "$BITCASK" verify "$STORE"
}

# The store is on a disk that is soon full, again and again.
full_disk() {
    is_root || skip_check "needs root, to mount a small disk"
    command -v mkfs.ext4 >/dev/null || skip_check "no mkfs.ext4"
    mkdir "$TEST_DIR/small"
    truncate -s 32M "$TEST_DIR/disk"
    mkfs.ext4 -q -m 0 "$TEST_DIR/disk"
    mount -o loop "$TEST_DIR/disk" "$TEST_DIR/small"
    STORE=$TEST_DIR/small/store
    mount_store
    exercise 20 -1
    grep 'the disk was full [1-9]' "$TEST_DIR/tool.err"
    unmount_store
    "$BITCASK" verify "$STORE"
}

# What changes only the times of a file needs a record too: it is refused at once, or fsync does not fail for it.
full_disk_is_told_in_time() {
    is_root || skip_check "needs root, to mount a small disk"
    local i
    mkdir "$TEST_DIR/full"
    mount -t tmpfs -o size=8m none "$TEST_DIR/full"
    STORE=$TEST_DIR/full/store
    mount_store
    mkdir "$MNT/a" "$MNT/b"
    for i in a b; do
        : >"$MNT/$i/empty"
        echo "$i" >"$MNT/$i/file"
        sync "$MNT/$i/empty" "$MNT/$i/file"
    done
    cat /dev/zero >"$MNT/a/filler" 2>/dev/null || true
    cat /dev/zero >"$MNT/b/filler" 2>/dev/null || true
    # Of the room that was kept for the fillers' own records some is free again.
    for ((i = 0; i < 300; i++)); do
        head -c 20000 /dev/zero 2>/dev/null >"$MNT/a/middle$i" || break
        head -c 20000 /dev/zero 2>/dev/null >"$MNT/b/middle$i" || break
    done
    for ((i = 0; i < 300; i++)); do
        echo small 2>/dev/null >"$MNT/a/small$i" || break
        echo small 2>/dev/null >"$MNT/b/small$i" || break
    done
    sync "$MNT/a" || true
    [ "$i" -lt 300 ]
    truncate -s 0 "$MNT/a/empty" || echo "truncate found no space"
    sync "$MNT/a/empty"
    "$FS_TOOL" exchange "$MNT/a/file" "$MNT/b/file" || echo "exchange found no space"
    sync "$MNT/a/file" "$MNT/b/file"
    rm "$MNT/a/filler" "$MNT/b/filler"
    unmount_store
}

if has_part remounts; then
    check "a plain directory has no findings" plain_directory_has_no_findings
    run 40 remounts 0
fi
if has_part kills; then run 30 kills 500; fi
# Segments are full, and merges happen, all the time.
if has_part tight; then run 30 tight 1000 -o segment_size=1M; fi
if has_part disks; then
    EXTRA_MOUNTS+=("$TEST_DIR/small" "$TEST_DIR/full")
    check "a full disk is told in time" full_disk_is_told_in_time
    [ -z "${FULL_DISK:-}" ] || check "a full disk refuses calls, and they change nothing" full_disk
fi
finish
