#!/usr/bin/env bash
# mount_kill.sh [ROUNDS] - the daemon is killed (-9) at a random moment of a copy, again and again on one store; what is
# there afterwards keeps its promises.
#
# ROUNDS: default 3, with LONG=1 20. SEED: of the random moments, printed at the start.
# In each round: cp -a of a tree, one writer that fsyncs, rewrites, saves and moves (tool_crash.c), kill -9, `bitcask get`
# on the store as the crash left it, a new mount over the dead one, all checks, a clean unmount, `bitcask get` again.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_crash) || skip_all "no C compiler for tests/tool_crash.c"

ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 3 || echo 20)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds"

# coreutils write at most this much in one call; a longer file may be found cut after any of its calls.
ONE_CALL=131072
SOURCE=$TEST_DIR/source
slice_of /usr/include 1500 "$SOURCE"
for i in 1 2 3 4 5 6; do head -c $((i * 400000)) /dev/urandom >"$SOURCE/large$i"; done
mkdir -p "$SOURCE/zz/last"
for i in 1 2 3; do head -c 3000000 /dev/urandom >"$SOURCE/zz/last/large$i"; done

# kill_during_copy ROUND: starts the copy and the writer, and kills the daemon 0 to 1.2 s later.
kill_during_copy() {
    local delay=$((RANDOM % 1200)) copy writer
    cp -a "$SOURCE" "$MNT/copy$1" 2>"$TEST_DIR/cp.err" &
    copy=$!
    mkdir "$MNT/work$1"
    "$TOOL" write "$MNT/work$1" "$TEST_DIR/log$1" $((SEED + $1)) 2>"$TEST_DIR/writer.err" &
    writer=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    if ! kill_daemon; then
        kill -9 "$copy" "$writer"
        return 1
    fi
    wait "$copy" || true
    if ! wait "$writer"; then
        cat "$TEST_DIR/writer.err"
        # The directory itself may not have been made when the daemon died.
        grep -q 'not connected\|aborted' "$TEST_DIR/writer.err"
    fi
    [ -e "$TEST_DIR/log$1" ] || : >"$TEST_DIR/log$1"
    echo "killed after $delay ms"
}

# What was fsynced is in the store before anything has repaired it.
get_from_the_crashed_store() {
    local number size
    sed -n 's/^new //p' "$TEST_DIR/log$1" | tail -n 3 >"$TEST_DIR/numbers"
    while read -r number; do
        "$BITCASK" get "$STORE" "$(printf 'work%d/n%06d' "$1" "$number")" >"$TEST_DIR/got"
        read -r _ size <"$TEST_DIR/got"
        equal "size of file $number" "$size" "$(stat -c %s "$TEST_DIR/got")"
    done <"$TEST_DIR/numbers"
}

# Each file is absent, equal, or a prefix. A file that one write(2) fills is short in one case only: the copy was
# interrupted between creating it and writing it, and cp writes one file at a time.
copy_is_whole() {
    local path size found short=0 count=0
    [ -d "$MNT/copy$1" ] || return 0
    (cd "$MNT/copy$1" && find . -type f -print0) >"$TEST_DIR/files"
    # In one go: cmp of thousands of files takes longer than the copy did.
    (cd "$SOURCE" && find . -type f -print0 | xargs -0 cksum | sort) >"$TEST_DIR/sums.source"
    (cd "$MNT/copy$1" && find . -type f -print0 | xargs -0 -r cksum | sort) >"$TEST_DIR/sums.copy"
    while read -r _ found path; do
        size=$(stat -c %s "$SOURCE/$path")
        count=$((count + 1))
        cmp -n "$found" "$SOURCE/$path" "$MNT/copy$1/$path"
        [ "$found" -lt "$size" ] || { echo "$path: $found bytes, the source has $size"; return 1; }
        [ "$size" -gt "$ONE_CALL" ] || short=$((short + 1))
    done < <(comm -13 "$TEST_DIR/sums.source" "$TEST_DIR/sums.copy")
    echo "$count files are cut, $short of them written in one call"
    [ "$short" -le 1 ]
    # Symlinks appear whole.
    (cd "$MNT/copy$1" && find . -type l -printf '%p %l\n' | sort) >"$TEST_DIR/links.copy"
    (cd "$SOURCE" && find . -type l -printf '%p %l\n' | sort) >"$TEST_DIR/links.source"
    [ -z "$(comm -13 "$TEST_DIR/links.source" "$TEST_DIR/links.copy")" ]
}

promises_are_kept() {
    [ -s "$TEST_DIR/log$1" ] || return 0
    "$TOOL" check "$MNT/work$1" "$TEST_DIR/log$1"
}

# The whole mount, to be compared with what it was at the end of the last round.
earlier_rounds_are_unchanged() {
    local i
    for ((i = 1; i < $1; i++)); do
        (cd "$MNT" && find "copy$i" "work$i" -type f -print0 2>/dev/null | sort -z | xargs -0 -r cksum) >"$TEST_DIR/sums"
        cmp "$TEST_DIR/sums" "$TEST_DIR/sums$i"
    done
}

can_be_written() {
    echo "round $1" >"$MNT/round$1"
    sync "$MNT/round$1"
    mkdir "$MNT/new$1" && rmdir "$MNT/new$1"
}

keep_sums_and_a_sample() {
    (cd "$MNT" && find "copy$1" "work$1" -type f -print0 2>/dev/null | sort -z | xargs -0 -r cksum) >"$TEST_DIR/sums$1"
    rm -rf "$TEST_DIR/cat"
    (cd "$MNT" && find "copy$1" "work$1" -type f -printf '%p\n' 2>/dev/null | sort | awk 'NR % 60 == 1') >"$TEST_DIR/sample"
    while read -r path; do
        mkdir -p "$TEST_DIR/cat/$(dirname "$path")"
        cat "$MNT/$path" >"$TEST_DIR/cat/$path"
    done <"$TEST_DIR/sample"
}

get_equals_cat() {
    local path
    while read -r path; do
        "$BITCASK" get "$STORE" "$path" >"$TEST_DIR/got"
        cmp "$TEST_DIR/got" "$TEST_DIR/cat/$path"
    done <"$TEST_DIR/sample"
    equal "this round's mark" "round $1" "$("$BITCASK" get "$STORE" "round$1")"
}

mount_store || die "first mount"
for ((round = 1; round <= ROUNDS; round++)); do
    check "round $round: the daemon is killed" kill_during_copy "$round"
    grep '^killed' "$TEST_DIR/check.out" || die "no daemon to kill"
    check "round $round: bitcask get reads the crashed store" get_from_the_crashed_store "$round"
    check "round $round: the store mounts over the dead mount" mount_store
    is_mounted || die "no mount after the crash"
    check "round $round: each copied file is absent, equal or a prefix" copy_is_whole "$round"
    check "round $round: what was fsynced, rewritten, saved, moved is whole" promises_are_kept "$round"
    check "round $round: files of earlier rounds are unchanged" earlier_rounds_are_unchanged "$round"
    check "round $round: the mount takes writes" can_be_written "$round"
    keep_sums_and_a_sample "$round"
    check "round $round: the store unmounts" unmount_store
    check "round $round: bitcask get gives what cat gave" get_equals_cat "$round"
    mount_store || die "mount between rounds"
done
check "the store unmounts at the end" unmount_store
echo "ROUNDS kill -9 of a copy: $ROUNDS, violations: $checks_failed"
finish
