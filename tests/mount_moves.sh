#!/usr/bin/env bash
# mount_moves.sh - renames between directories while earlier ones are still queued, and what goes on beside them.
#
# The daemon collects moves between directories and has the store do them in rounds; with a commit_ms this long nothing
# but a sync or a conflict starts one.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
NAMES=$(helper tool_names) || skip_all "no C compiler for tests/tool_names.c"
ROUNDS=$([ "$LONG" -eq 0 ] && echo 60 || echo 1000)

# remount_after_kill [OPTION...]
remount_after_kill() {
    kill_daemon
    mount_store "$@"
}

# In the store's tree, which the queue has not reached yet, the last move would put a directory into itself; a round
# with such a move fails, and so does every later fsync.
directories_trade_places() {
    mkdir -p "$MNT/a/b/c"
    echo in >"$MNT/a/b/c/file"
    sync "$MNT/a/b/c/file"
    mv "$MNT/a/b" "$MNT/b"
    mv "$MNT/a" "$MNT/b/c/a"
    equal "at once" "in" "$(cat "$MNT/b/c/file")"
    sync "$MNT"
    remount_after_kill -o commit_ms=100000
    equal "after a kill" "./b ./b/c ./b/c/a ./b/c/file" "$(cd "$MNT" && find . -mindepth 1 | sort | paste -s -d ' ')"
    # Back, deeper, and by an exchange.
    mv "$MNT/b/c" "$MNT/c"
    mkdir "$MNT/c/a/inner"
    "$TOOL" exchange "$MNT/b" "$MNT/c/a/inner"
    sync "$MNT"
    remount_after_kill -o commit_ms=100000
    equal "exchanged" "./b ./c ./c/a ./c/a/inner ./c/file" "$(cd "$MNT" && find . -mindepth 1 | sort | paste -s -d ' ')"
    equal "content" "in" "$(cat "$MNT/c/file")"
    rm -r "$MNT/b" "$MNT/c"
}

# What a writer in a directory asks for must not fail, nor be forgotten, because the directory is on its way.
a_directory_is_written_while_it_moves() {
    local i mover
    mkdir -p "$MNT/left/dir/sub" "$MNT/right"
    cd "$MNT/left/dir"
    while [ ! -e "$TEST_DIR/stop" ]; do
        mv "$MNT/left/dir" "$MNT/right/" && mv "$MNT/right/dir" "$MNT/left/"
        sleep 0.002
    done &
    mover=$!
    for ((i = 0; i < ROUNDS; i++)); do
        echo "$i" >file
        sync file .
        mkdir new
        chmod 700 new .
        touch -d "2001-01-01 00:00:$((i % 60))" .
        sync . sub
        rmdir new
    done
    : >"$TEST_DIR/stop"
    wait "$mover"
    cd /
    equal "the file" "$((ROUNDS - 1))" "$(cat "$MNT/left/dir/file")"
    # Neither a failed write of a directory's times nor a failed round.
    if grep 'cannot' "$TEST_DIR/daemon.log"; then return 1; fi
}

# Other filesystems change the times of a file that is allocated to, also where its size stays.
allocation_changes_times() {
    local mode before
    head -c 5000 /dev/zero >"$MNT/file"
    for mode in '-l 100' '-n -l 100' '-l 9000'; do
        before=$(stat -c '%.9Y %.9Z' "$MNT/file")
        # shellcheck disable=SC2086 # several words
        fallocate $mode "$MNT/file"
        [ "${before% *}" != "$(stat -c %.9Y "$MNT/file")" ]
        [ "${before#* }" != "$(stat -c %.9Z "$MNT/file")" ]
    done
}

exchange_changes_ctimes() {
    local before_file before_dir
    mkdir -p "$MNT/x/dir" "$MNT/y"
    echo content >"$MNT/y/file"
    sync "$MNT"
    before_dir=$(stat -c %.9Z "$MNT/x/dir")
    before_file=$(stat -c %.9Z "$MNT/y/file")
    "$TOOL" exchange "$MNT/x/dir" "$MNT/y/file"
    [ "$before_dir" != "$(stat -c %.9Z "$MNT/y/file")" ]
    [ "$before_file" != "$(stat -c %.9Z "$MNT/x/dir")" ]
    before_dir=$(stat -c %.9Z "$MNT/y/file")
    before_file=$(stat -c %.9Z "$MNT/x/dir")
    unmount_store
    mount_store -o commit_ms=1
    equal "the directory's after a remount" "$before_dir" "$(stat -c %.9Z "$MNT/y/file")"
    equal "the file's after a remount" "$before_file" "$(stat -c %.9Z "$MNT/x/dir")"
    equal "content" "content" "$(cat "$MNT/x/dir")"
}

# Between the store's change of a name and the node's, who reads the file must neither fail nor get another's bytes.
open_files_keep_their_bytes() {
    local how
    for how in rename across exchange replace unlink; do
        mkdir "$MNT/$how"
        "$NAMES" "$MNT/$how" "$how" $((ROUNDS * 20))
    done
}

mount_store -o commit_ms=100000 || die "mount"
check "directories that trade places while the moves are queued" directories_trade_places
check "the store unmounts" unmount_store
mount_store -o commit_ms=1 || die "second mount"
check "a directory is written and synced while it moves" a_directory_is_written_while_it_moves
check "open files keep their bytes while their names change" open_files_keep_their_bytes
check "an allocation changes a file's times" allocation_changes_times
check "an exchange changes both ctimes" exchange_changes_ctimes
check "the store unmounts at the end" unmount_store
finish
