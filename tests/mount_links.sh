#!/usr/bin/env bash
# mount_links.sh [ROUNDS] - hard links: call by call (tool_links.c), across remounts and in the library, through cp -al,
# rsync --link-dest, tar and git, and with the daemon killed (-9) while links are made and removed.
#
# ROUNDS: how often it is killed, default 3, with LONG=1 20. SEED: of the moments, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_links) || skip_all "no C compiler for tests/tool_links.c"
ROUNDS=${1:-$([ "$LONG" -eq 0 ] && echo 3 || echo 20)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
FILES=$([ "$LONG" -eq 0 ] && echo 1000 || echo 20000)
echo "$TEST_NAME: SEED=$SEED, $ROUNDS rounds, $FILES files"

links_of() {
    stat -c %h "$1"
}

# What stat says of a file is how many names it has: all are below $1.
counts_agree() {
    find "$1" ! -type d -printf '%n %i\n' | sort | uniq -c | awk '$1 != $2 { print; bad = 1 } END { exit bad }'
}

remount() {
    unmount_store
    "$BITCASK" verify "$STORE"
    mount_store
}

each_call() {
    mkdir "$1/calls"
    "$TOOL" "$1/calls"
}

# Of a file that was linked, one name at a time: the others are not known to the daemon yet.
after_a_remount() {
    cd "$TEST_DIR"
    local first
    mkdir "$MNT/dir" "$MNT/other"
    echo content >"$MNT/dir/a"
    head -c 400000 /dev/urandom >"$MNT/dir/large"
    ln "$MNT/dir/a" "$MNT/other/b"
    ln "$MNT/dir/a" "$MNT/c"
    ln "$MNT/dir/large" "$MNT/large"
    chmod 640 "$MNT/c"
    first=$(stat -c '%i %Z %Y' "$MNT/dir/a")
    remount
    equal "links of one" 3 "$(links_of "$MNT/other/b")"
    equal "number and times" "$first" "$(stat -c '%i %Z %Y' "$MNT/other/b")"
    # shellcheck disable=SC2012
    equal "number in a plain listing" "${first%% *}" "$(ls -i -U "$MNT/dir" | awk '$2 == "a" { print $1 }')"
    echo more >>"$MNT/other/b"
    equal "mode" 640 "$(stat -c %a "$MNT/other/b")"
    # The only name that is known goes: what was written is under the others.
    rm "$MNT/other/b"
    equal "links of the next" 2 "$(links_of "$MNT/c")"
    equal "content" "content
more" "$(cat "$MNT/c")"
    equal "number" "${first%% *}" "$(stat -c %i "$MNT/c")"
    cmp "$MNT/large" "$MNT/dir/large"
    equal "number of the large one" "$(stat -c %i "$MNT/large")" "$(stat -c %i "$MNT/dir/large")"
    counts_agree "$MNT"
}

the_only_known_name_is_replaced() {
    cd "$TEST_DIR"
    remount
    exec 5<>"$MNT/c"
    echo new >"$MNT/new"
    mv "$MNT/new" "$MNT/c"
    equal "links of the open file" 1 "$(stat -L -c %h "/proc/$BASHPID/fd/5")"
    echo third >>"/proc/$BASHPID/fd/5"
    exec 5>&-
    equal "the other name" "content
more
third" "$(cat "$MNT/dir/a")"
    remount
    equal "the other name after a remount" third "$(tail -n 1 "$MNT/dir/a")"
    equal "its links" 1 "$(links_of "$MNT/dir/a")"
}

the_library_agrees() {
    echo linked >"$MNT/x"
    ln "$MNT/x" "$MNT/dir/y"
    echo dirty >"$MNT/dir/y"
    unmount_store
    equal "get" dirty "$("$BITCASK" get "$STORE" x)"
    equal "get of the other" dirty "$("$BITCASK" get "$STORE" dir/y)"
    printf put | "$BITCASK" put "$STORE" dir/y
    equal "put under one, get under the other" put "$("$BITCASK" get "$STORE" x)"
    "$BITCASK" del "$STORE" x
    "$BITCASK" verify "$STORE"
    mount_store
    equal "in the mount" put "$(cat "$MNT/dir/y")"
    equal "its links" 1 "$(links_of "$MNT/dir/y")"
}

# fsync of one name, and the daemon dies: both are there.
fsync_is_a_promise() {
    mkdir "$MNT/safe" "$MNT/safe/sub"
    echo one >"$MNT/safe/one"
    ln "$MNT/safe/one" "$MNT/safe/sub/two"
    sync "$MNT/safe/sub/two"
    echo three >"$MNT/safe/three"
    ln "$MNT/safe/three" "$MNT/safe/four"
    rm "$MNT/safe/three"
    sync "$MNT/safe"
    kill_daemon
    equal "got from the crashed store" one "$("$BITCASK" get "$STORE" safe/sub/two)"
    mount_store
    equal "links" 2 "$(links_of "$MNT/safe/one")"
    equal "content" one "$(cat "$MNT/safe/sub/two")"
    equal "names" "four one sub" "$(cd "$MNT/safe" && echo *)"
    equal "content of the other" three "$(cat "$MNT/safe/four")"
    equal "its links" 1 "$(links_of "$MNT/safe/four")"
}

make_files() {
    local dir i
    for dir in a b c d e; do
        mkdir -p "$1/$dir"
        for ((i = 0; i < FILES / 5; i++)); do echo "$i" >"$1/$dir/$i"; done
    done
    head -c 200000 /dev/urandom >"$1/a/large"
    ln -s large "$1/a/symlink"
}

linked_copies() {
    make_files "$MNT/base"
    sync "$MNT"
    cp -al "$MNT/base" "$MNT/copy"
    diff -r "$MNT/base" "$MNT/copy"
    equal "links" 2 "$(links_of "$MNT/copy/a/1")"
    counts_agree "$MNT"
    rm -r "$MNT/copy"
    equal "links" 1 "$(links_of "$MNT/base/a/1")"
    counts_agree "$MNT"
    remount
    counts_agree "$MNT"
}

backup_with_rsync() {
    command -v rsync >/dev/null || skip_check "no rsync"
    rsync -a "$MNT/base/" "$MNT/monday/"
    echo changed >"$MNT/base/a/1"
    rsync -a --link-dest=../monday "$MNT/base/" "$MNT/tuesday/"
    diff -r "$MNT/base" "$MNT/tuesday"
    equal "what did not change" "$(stat -c %i "$MNT/monday/b/"*[0-9] | sort)" \
        "$(stat -c %i "$MNT/tuesday/b/"*[0-9] | sort)"
    equal "what did" "1 changed" "$(links_of "$MNT/tuesday/a/1") $(cat "$MNT/tuesday/a/1")"
    equal "what it was" 1 "$(cat "$MNT/monday/a/1")"
    # A third run with nothing changed, after a remount, finds nothing to do.
    remount
    equal "to be sent" "" "$(rsync -a --itemize-changes --link-dest=../tuesday "$MNT/base/" "$MNT/wednesday/" |
        grep '^[<>]')"
    rm -r "$MNT/monday" "$MNT/wednesday"
    diff -r "$MNT/base" "$MNT/tuesday"
    counts_agree "$MNT"
}

through_tar() {
    mkdir "$MNT/tree" "$TEST_DIR/outside" "$MNT/back"
    (cd "$MNT/tree" && mkdir d && echo 1 >one && ln one d/two && ln one three && head -c 100000 /dev/zero >big && ln big d)
    tar -C "$MNT/tree" -cf "$TEST_DIR/tree.tar" .
    equal "links in the archive" 3 "$(tar -tvf "$TEST_DIR/tree.tar" | grep -c 'link to')"
    tar -C "$TEST_DIR/outside" -xf "$TEST_DIR/tree.tar"
    tar -C "$TEST_DIR/outside" -cf - . | tar -C "$MNT/back" -xf -
    equal "tree" "$(cd "$MNT/tree" && find . -type f -printf '%p %n %s\n' | sort)" \
        "$(cd "$MNT/back" && find . -type f -printf '%p %n %s\n' | sort)"
    equal "one file" "$(stat -c %i "$MNT/back/one")" "$(stat -c %i "$MNT/back/d/two")"
}

clone_with_git() {
    command -v git >/dev/null || skip_check "no git"
    export HOME=$TEST_DIR GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
    git init -q "$MNT/origin"
    cp "$TESTS_DIR"/mount_*.sh "$MNT/origin"
    git -C "$MNT/origin" add .
    git -C "$MNT/origin" commit -q -m first
    git clone -q --local "$MNT/origin" "$MNT/clone"
    git -C "$MNT/clone" fsck --strict --no-progress
    equal "objects that are linked" "" "$(find "$MNT/clone/.git/objects" -type f -links 1)"
    git -C "$MNT/clone" gc -q
    git -C "$MNT/clone" fsck --strict --no-progress
    git -C "$MNT/origin" fsck --strict --no-progress
    remount
    git -C "$MNT/clone" fsck --strict --no-progress
    counts_agree "$MNT"
}

# kill_while_linking ROUND: copies come and go; each is of the base, as far as it is there, and the base is whole.
kill_while_linking() {
    local delay=$((RANDOM % 700)) busy
    (
        trap - ERR
        set +e
        cp -al "$MNT/base" "$MNT/copy$1"
        [ "$1" -eq 0 ] || rm -r "$MNT/copy$(($1 - 1))"
        for ((i = 0; i < 1000; i++)); do
            ln "$MNT/base/a/2" "$MNT/again"
            mv "$MNT/again" "$MNT/base/b/again"
            ln "$MNT/base/b/again" "$MNT/t"
            rm "$MNT/base/b/again"
            mv "$MNT/t" "$MNT/base/b/t$((i % 7))" || break
        done
    ) 2>/dev/null &
    busy=$!
    sleep "$(printf '0.%03d' "$delay")"
    kill_daemon
    wait "$busy" || true
    echo "killed after $delay ms"
    mount_store
    find "$MNT/base" -type f ! -path '*/b/t[0-6]' ! -name again -print0 | sort -z | xargs -0 cat | cksum >"$TEST_DIR/sum"
    cmp "$TEST_DIR/sum" "$TEST_DIR/sum.base"
    # What is in a copy is a name of the file in the base, but for what comes and goes there.
    find "$MNT"/copy* -type f ! -path '*/b/t[0-6]' ! -name again -printf '%P %i\n' 2>/dev/null | sort -u >"$TEST_DIR/copied"
    (cd "$MNT/base" && find . -type f -printf '%P %i\n') | sort >"$TEST_DIR/there"
    [ -z "$(comm -23 "$TEST_DIR/copied" "$TEST_DIR/there")" ]
    counts_agree "$MNT"
    remount
    counts_agree "$MNT"
}

most_names() {
    mkdir "$MNT/most"
    equal "names" 65000 "$("$TOOL" "$MNT/most" most)"
    remount
    equal "links" 65000 "$(links_of "$MNT/most/most")"
}

mkdir "$TEST_DIR/plain"
check "a plain directory passes" each_call "$TEST_DIR/plain"
mount_store || die "no mount"
check "each call is what the manual says" each_call "$MNT"
check "names of one file, after a remount" after_a_remount
check "the only name that is known is replaced" the_only_known_name_is_replaced
check "the library agrees" the_library_agrees
check "fsync is a promise" fsync_is_a_promise
check "cp -al" linked_copies
check "rsync --link-dest" backup_with_rsync
check "tar there and back" through_tar
check "git clone with hard links" clone_with_git
find "$MNT/base" -type f ! -path '*/b/t[0-6]' ! -name again -print0 | sort -z | xargs -0 cat | cksum >"$TEST_DIR/sum.base"
for ((round = 0; round < ROUNDS; round++)); do
    check "killed while links come and go, $round" kill_while_linking "$round"
done
[ "$LONG" -eq 0 ] || check "as many names as a file may have" most_names
check "all of it can be removed" rm -r "$MNT"/*
check "unmount" unmount_store
check "verify" "$BITCASK" verify "$STORE"
STORE=$TEST_DIR/store.tight
mount_store -o commit_ms=0,segment_size=1M || die "no mount with commit_ms=0"
check "each call, with a commit in each" each_call "$MNT"
check "after a remount" remount
check "the daemon ends well" unmount_store
finish
