#!/usr/bin/env bash
# mount_apps.sh - real programs in a mount: git, sqlite3, rsync, tar, an editor's way of saving, fio; with kills (-9) of
# the daemon under the editor and under sqlite3.
#
# LONG=1: more of each; LevelDB, RocksDB and LMDB under kills; and a build of this project in the mount, its source
# there as well. What is not installed is skipped.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOP=$(dirname "$TESTS_DIR")
# factor SHORT LONG
factor() {
    [ "$LONG" -eq 0 ] && echo "$1" || echo "$2"
}
needs() {
    command -v "$1" >/dev/null || skip_check "$1 is not installed"
}

# ---- git ----

git_clones_checks_commits() {
    needs git
    local i
    export HOME=$TEST_DIR GIT_CONFIG_NOSYSTEM=1
    export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
    git config --global --add safe.directory '*'
    git config --global gc.auto 0
    if ! git -C "$TOP" rev-parse HEAD >/dev/null 2>&1; then
        # A release has no history: make one.
        mkdir "$TEST_DIR/origin"
        cp -r "$TESTS_DIR" "$TEST_DIR/origin"
        git -C "$TEST_DIR/origin" init -q
        git -C "$TEST_DIR/origin" add .
        git -C "$TEST_DIR/origin" commit -q -m first
        TOP=$TEST_DIR/origin
    fi
    git clone -q --no-hardlinks "$TOP" "$MNT/clone"
    cd "$MNT/clone"
    git fsck --strict --no-progress
    equal "status" "" "$(git status --porcelain)"
    for ((i = 0; i < $(factor 5 50); i++)); do
        echo "$i" >"new$i"
        echo "$i" >>README
        git add .
        git commit -q -m "number $i"
    done
    git repack -q -a -d
    git clone -q --no-hardlinks . ../second
    git fsck --strict --no-progress
    git -C ../second fsck --strict --no-progress
    equal "the last commit" "$(git rev-parse HEAD)" "$(git -C ../second rev-parse HEAD)"
    unmount_store_from "$TEST_DIR"
    cd "$MNT/clone"
    git fsck --strict --no-progress
    equal "status after a remount" "" "$(git status --porcelain)"
}

# A clean remount, while we stand elsewhere.
unmount_store_from() {
    cd "$1"
    unmount_store
    mount_store
}

# ---- sqlite3 ----

# rows TABLE-COLUMN FROM COUNT: so many transactions, each told on stdout once it has committed.
rows() {
    local i
    echo ".timeout 60000"
    echo "PRAGMA synchronous=FULL;"
    for ((i = $2; i < $2 + $3; i++)); do
        echo "BEGIN IMMEDIATE; INSERT INTO t VALUES ('$1', $i, hex(randomblob(200))); COMMIT; SELECT $i;"
    done
}

# sqlite_works MODE: two writers, a reader, and the sum.
sqlite_works() {
    needs sqlite3
    local count db=$MNT/$1.db one two
    count=$(factor 100 2000)
    equal "journal mode" "$1" \
        "$(sqlite3 "$db" "PRAGMA journal_mode=$1; CREATE TABLE t (who, n, data); CREATE INDEX i ON t (n);")"
    rows one 0 "$count" | sqlite3 "$db" >"$TEST_DIR/one" &
    one=$!
    rows two 0 "$count" | sqlite3 "$db" >"$TEST_DIR/two" &
    two=$!
    echo ".timeout 60000
        SELECT count(*) >= 0 FROM t;" | sqlite3 "$db"
    wait "$one"
    wait "$two"
    equal "rows" "$count|$count" "$(sqlite3 "$db" "SELECT sum(who = 'one'), sum(who = 'two') FROM t")"
    equal "integrity" ok "$(sqlite3 "$db" 'PRAGMA integrity_check')"
    sqlite3 "$db" "DELETE FROM t WHERE n % 2 = 0; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);"
    equal "rows after half was deleted" "$((count / 2 * 2))" "$(sqlite3 "$db" "SELECT count(*) FROM t")"
    equal "integrity" ok "$(sqlite3 "$db" 'PRAGMA integrity_check')"
}

# sqlite_survives_kills MODE: what sqlite3 said was committed is there, and the rest is whole.
sqlite_survives_kills() {
    needs sqlite3
    local round db=$MNT/killed-$1.db last writer
    sqlite3 "$db" "PRAGMA journal_mode=$1; CREATE TABLE t (who, n, data);"
    for ((round = 1; round <= $(factor 2 20); round++)); do
        rows "$round" 0 100000 | sqlite3 -bail "$db" >"$TEST_DIR/told" 2>/dev/null &
        writer=$!
        sleep "0.$((RANDOM % 5 + 3))"
        kill_daemon
        wait "$writer" || true
        mount_store
        last=$(tail -n 1 "$TEST_DIR/told")
        echo "round $round: rows up to ${last:-none} were committed"
        equal "integrity" ok "$(sqlite3 "$db" 'PRAGMA integrity_check')"
        equal "no row is lost" 1 "$(sqlite3 "$db" "SELECT count(*) > ${last:--1} AND count(*) = coalesce(max(n), -1) + 1
            FROM t WHERE who = '$round'")"
    done
}

# ---- copies ----

there_and_back() {
    needs rsync
    slice_of /usr/include "$(factor 400 4000)" "$TEST_DIR/source"
    head -c 2000000 /dev/urandom >"$TEST_DIR/source/large"
    rsync -a "$TEST_DIR/source/" "$MNT/rsynced"
    rsync -a "$MNT/rsynced/" "$TEST_DIR/back"
    # Not every rsync sets the times of directories, on any filesystem.
    diff <(manifest "$TEST_DIR/source" | tr '\0' '\n' | grep -v '^d') \
        <(manifest "$TEST_DIR/back" | tr '\0' '\n' | grep -v '^d')
    diff -r --no-dereference "$TEST_DIR/source" "$TEST_DIR/back"
    equal "what rsync -c would still do" "" "$(rsync -aicO --delete "$TEST_DIR/source/" "$MNT/rsynced")"
    tar -C "$MNT" --format=posix -cf "$MNT/archive.tar" rsynced
    mkdir "$MNT/untarred" "$TEST_DIR/untarred"
    tar -C "$MNT/untarred" -xpf "$MNT/archive.tar"
    tar -C "$TEST_DIR/untarred" -xpf "$MNT/archive.tar"
    diff -r --no-dereference "$MNT/untarred/rsynced" "$TEST_DIR/source"
    diff <(manifest "$MNT/untarred/rsynced" | tr '\0' '\n') <(manifest "$TEST_DIR/untarred/rsynced" | tr '\0' '\n')
}

# ---- an editor ----

# save FROM: writes beside, syncs, renames; tells what it saved and what of it is durable.
save() {
    local i
    for ((i = $1; ; i++)); do
        { seq "$i" $((i + 3000)) >"$MNT/edit/.document.new" && sync "$MNT/edit/.document.new"; } 2>/dev/null || return 0
        mv "$MNT/edit/.document.new" "$MNT/edit/document" 2>/dev/null || return 0
        [ $((i % 3)) -ne 0 ] || { sync "$MNT/edit" 2>/dev/null && echo "$i" >"$TEST_DIR/durable"; } || return 0
    done
}

an_editor_is_killed() {
    local round writer found=1
    mkdir "$MNT/edit"
    seq 1 3001 >"$MNT/edit/document"
    sync "$MNT/edit/document"
    echo 1 >"$TEST_DIR/durable"
    for ((round = 1; round <= $(factor 4 60); round++)); do
        save $((found + 1)) &
        writer=$!
        sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
        kill_daemon
        wait "$writer"
        mount_store -o "commit_ms=$((round % 3 * 50))"
        found=$(head -n 1 "$MNT/edit/document")
        echo "round $round: found $found, durable was $(cat "$TEST_DIR/durable")"
        cmp "$MNT/edit/document" <(seq "$found" $((found + 3000)))
        [ "$found" -ge "$(cat "$TEST_DIR/durable")" ]
    done
    unmount_store_from "$TEST_DIR"
}

# ---- fio ----

# fio_verifies NAME OPTION...: random writes and reads of checksummed blocks, then all of them once more.
fio_verifies() {
    needs fio
    local name=$1
    shift
    mkdir "$MNT/fio-$name"
    (cd "$TEST_DIR" && fio --name="$name" --directory="$MNT/fio-$name" --size="$(factor 2m 16m)" --rw=randrw --bs=4k \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 --randseed=7 --numjobs=2 \
        --fsync="$(factor 100 1000)" --output="$TEST_DIR/fio.out" "$@") || { cat "$TEST_DIR/fio.out"; return 1; }
    rm -r "$MNT/fio-$name"
}

# ---- databases ----

# database_survives_kills NAME HEADER LIBRARY: what it said was durable is there, after each kill of the daemon.
database_survives_kills() {
    local name=$1 round last writer program=$TEST_DIR/database-$1
    echo "#include <$2>" | "${CC:-cc}" -E - >/dev/null 2>&1 || skip_check "no header $2"
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O1 "-DWITH_$name" -o "$program" "$TESTS_DIR/tool_database.c" "-l$3"
    for ((round = 1; round <= 10; round++)); do
        "$program" write "$MNT/$name" "$round" >"$TEST_DIR/told" 2>"$TEST_DIR/program.err" &
        writer=$!
        sleep "$((RANDOM % 3)).$((RANDOM % 9 + 1))"
        kill_daemon
        # It may wait for ever, or have died of a mapping without pages.
        kill -9 "$writer" 2>/dev/null || true
        wait "$writer" || true
        mount_store
        last=$(tail -n 1 "$TEST_DIR/told")
        echo "round $round: up to ${last:-none} was durable; $(cat "$TEST_DIR/program.err")"
        "$program" check "$MNT/$name" "$round" "${last:--1}"
    done
}

# ---- a build ----

a_build_works() {
    local sources=$MNT/project/source
    mkdir -p "$sources" "$MNT/project/build"
    (cd "$TOP" && tar -c --exclude=./build --exclude=./.git .) | tar -x -C "$sources"
    [ -x "$sources/configure" ] || (cd "$sources" && autoreconf -i)
    cd "$MNT/project/build"
    "$sources/configure" --quiet
    make -s -j2
    LONG=0 make -s -j2 check TESTS="tests/test_record tests/test_index tests/cli.sh" >check.out || { cat check.out; return 1; }
    equal "tests that ran" 3 "$(grep -c '^PASS: ' check.out)"
    cd "$TEST_DIR"
}

mount_store || die "mount"
check "git clones, checks and commits" git_clones_checks_commits
for mode in delete wal; do
    check "sqlite3 with journal_mode=$mode: two writers" sqlite_works $mode
    check "sqlite3 with journal_mode=$mode survives kills" sqlite_survives_kills $mode
done
check "rsync and tar, there and back" there_and_back
check "a document is whole, whenever the daemon is killed" an_editor_is_killed
check "fio verifies buffered blocks" fio_verifies buffered --ioengine=psync
check "fio verifies mapped blocks" fio_verifies mapped --ioengine=mmap
check "fio verifies direct blocks" fio_verifies direct --ioengine=libaio --direct=1 --iodepth=8
if [ "$LONG" -ne 0 ]; then
    check "LevelDB survives kills" database_survives_kills LEVELDB leveldb/c.h leveldb
    check "RocksDB survives kills" database_survives_kills ROCKSDB rocksdb/c.h rocksdb
    check "LMDB survives kills" database_survives_kills LMDB lmdb.h lmdb
    check "this project builds in the mount" a_build_works
fi
check "the store unmounts" unmount_store
check "verify finds no damage" "$BITCASK" verify "$STORE"
finish
