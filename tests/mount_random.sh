#!/usr/bin/env bash
# mount_random.sh - several processes do random things to files of one directory, each beside a model of its file.
#
# Writes, truncations, mappings, renames over others and across directories, unlinks, chmod, fsync, pauses in which the
# daemon commits: after each the file equals the model (tool_random_io.c); at the end also after a remount, and by
# `bitcask get`. SEED is printed and can be given.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_random_io) || skip_all "no C compiler for tests/tool_random_io.c"
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
OPERATIONS=$([ "$LONG" -eq 0 ] && echo 400 || echo 10000)
PROCESSES=6
echo "$TEST_NAME: SEED=$SEED, $PROCESSES processes, $OPERATIONS operations each"

files_equal_their_models() {
    local i pids=() status=0
    for ((i = 1; i <= PROCESSES; i++)); do
        "$TOOL" "$MNT" "f$i" "$OPERATIONS" $((SEED + i)) "$TEST_DIR/copy$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || status=1
    done
    return "$status"
}

files_equal_after_a_remount() {
    local i
    unmount_store
    for ((i = 1; i <= PROCESSES; i++)); do
        "$BITCASK" get "$STORE" "f$i" | cmp - "$TEST_DIR/copy$i"
    done
    mount_store
    for ((i = 1; i <= PROCESSES; i++)); do cmp "$MNT/f$i" "$TEST_DIR/copy$i"; done
    # Each process left its file, its sub-directory and perhaps a file to be replaced.
    [ "$(find "$MNT" -maxdepth 1 -type f ! -name '*.x' | wc -l)" -eq "$PROCESSES" ]
}

run_with() {
    local label=$1
    shift
    STORE=$TEST_DIR/store.$label
    check "$label: the store mounts" mount_store "$@"
    check "$label: each file equals its model after each operation" files_equal_their_models
    check "$label: each file equals its model after a remount" files_equal_after_a_remount
    check "$label: the store unmounts" unmount_store
}

run_with default
# Each change commits inside its call, and segments are full after a few of them.
run_with tight -o commit_ms=0,segment_size=1M
finish
