#!/usr/bin/env bash
# cli_in_use.sh - bitcask on a store that a mount, or another command, has: what reads works beside it, what writes says
# who has it and how to do the same there; and those commands do it. Commands that do not exist.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
require_fuse
setup
cd "$TEST_DIR" || exit 1

# remedy COMMAND...: it is refused as in use by the daemon; prints what is to be done instead.
remedy() {
    run 1 "$BITCASK" "$@" </dev/null
    says "$STORE is in use by process $(daemon_pid) (bitcaskfs -f"
    says "), mounted on $MNT; "
    sed 's/.*; the same through the mount: //' err
}

writers_say_how_to_do_it() {
    mount_store -o commit_ms=0
    mkdir "$MNT/orders" "$MNT/empty dir"
    echo 1 >"$MNT/orders/0001"
    equal put "cat > $MNT/orders/0002" "$(remedy put "$STORE" orders/0002)"
    equal del "rm $MNT/orders/0001" "$(remedy del "$STORE" /orders//0001)"
    equal "del -d" "rmdir '$MNT/empty dir'" "$(remedy del -d "$STORE" "empty dir")"
    equal mv "mv $MNT/orders/0001 '$MNT/it'\\''s'" "$(remedy mv "$STORE" orders/0001 "it's")"
    equal link "ln $MNT/orders/0001 $MNT/x" "$(remedy link "$STORE" orders/0001 x)"
    equal create "mkdir $MNT/new" "$(remedy partition create "$STORE" new)"
    equal "create -p" "mkdir -p $MNT/new/er" "$(remedy partition create -p "$STORE" new/er)"
    equal drop "rmdir $MNT/orders" "$(remedy partition drop "$STORE" orders)"
    equal "drop -r" "rm -r $MNT/orders" "$(remedy partition drop -r "$STORE" orders)"
    equal rename "mv -nT $MNT/orders $MNT/o" "$(remedy partition rename "$STORE" orders o)"
    equal import "tar -xp -C $MNT/orders" "$(remedy import -q "$STORE" orders)"
    equal merge "echo merge > $MNT/orders/.bitcask/control" "$(remedy merge -q "$STORE" orders)"
    remedy import -q -j "$STORE"
    says "; unmount it first: umount $MNT"
    # Each of them is a command that works.
    echo 2 | sh -c "$(remedy put "$STORE" orders/0002)"
    sh -c "$(remedy mv "$STORE" orders/0001 "it's")"
    sh -c "$(remedy del -d "$STORE" "empty dir")"
    sh -c "$(remedy partition create "$STORE" new)"
    sh -c "$(remedy partition rename "$STORE" new newer)"
    tar -cf - -C "$TEST_DIR" daemon.pid | sh -c "$(remedy import -q "$STORE" newer)"
    sh -c "$(remedy merge -q "$STORE" orders)"
    equal "the mount" "it's newer orders" "$(ls "$MNT" | tr '\n' ' ' | sed 's/ $//')"
    equal "what was extracted" "$(daemon_pid)" "$(cat "$MNT/newer/daemon.pid")"
}

readers_work_beside_it() {
    equal get 2 "$("$BITCASK" get "$STORE" orders/0002)"
    run 0 "$BITCASK" ls "$STORE"
    equal names "it's newer/ orders/" "$(echo $(cat out))"
    run 0 "$BITCASK" query "$STORE" orders
    equal query "$(printf '0002\t2\\x0a')" "$(cat out)"
    run 0 "$BITCASK" partition ls -r "$STORE"
    run 0 "$BITCASK" export -j "$STORE"
    grep -q '"path": "orders/0002", .*"value": "2\\u000a"' out
    run 0 "$BITCASK" export "$STORE"
    [ "$(tar -tf out | wc -l)" -ge 5 ]
    run 0 "$BITCASK" dump --hints "$STORE"
    run 0 "$BITCASK" verify "$STORE"
    unmount_store
}

# A mountpoint with a space stands escaped in the table of mounts.
odd_mountpoints_are_found() {
    local odd="$TEST_DIR/odd  mnt"$'\n'"\\x" words
    mkdir "$odd"
    "$BITCASKFS" "$STORE" "$odd"
    words=$("$BITCASK" put "$STORE" key </dev/null 2>&1) && return 1
    if is_root; then umount "$odd"; else fusermount3 -u "$odd"; fi
    printf '%s\n' "$words" | grep -qF "mounted on $TEST_DIR/odd  mnt\\x0a\\x; the same through the mount: cat > '"
}

another_command_is_named() {
    mkfifo pipe
    "$BITCASK" import -j other <pipe >import.out 2>&1 &
    exec 4>pipe
    until grep -q '[0-9]' other/LOCK 2>/dev/null; do sleep 0.01; done
    run 1 "$BITCASK" put other key </dev/null
    says "other is in use by process $! (bitcask import -j other); end that first, or if it is mounted: cat > MNT/key"
    run 0 "$BITCASK" ls other
    exec 4>&-
    wait $!
    # What stands in LOCK is old now, and believed by nobody.
    run 0 "$BITCASK" put other key </dev/null
}

wrong_commands_get_a_suggestion() {
    local word
    while read -r word wanted; do
        run 2 "$BITCASK" "$word" x
        says "$word: no such command; did you mean $wanted?"
    done <<'WORDS'
gte get
qurey query
exprot export
patition partition
imort import
lss ls
vrify verify
cat get
rm del
mkdir partition create
fsck verify
WORDS
    for word in frobnicate x "" zzz $'\033[31m' "$(printf 'g%.0s' {1..5000})"; do
        run 2 "$BITCASK" "$word" x
        if grep -q 'did you mean' err; then return 1; fi
        if grep -q $'\033' err; then return 1; fi
    done
    run 2 "$BITCASK" mv s a
    run 2 "$BITCASK" mv s a b c
    run 2 "$BITCASK" link s
    run 2 "$BITCASK" partition rename s a
    run 2 "$BITCASK" partition ls s a b
    run 2 "$BITCASK" import
    run 2 "$BITCASK" export s a b
    run 2 "$BITCASK" query
    run 2 "$BITCASK" bench
    run 2 "$BITCASK" query --frm=1 s
}

escapes_that_are_none() {
    local text
    put esc key x
    for text in 'a\' 'a\x' 'a\x1' 'a\xg1' 'a\n' '\x00' '\x2e' 'a/\x2e\x2e/b' '.bit\x63ask'; do
        run 1 "$BITCASK" get -e esc "$text"
        run 1 "$BITCASK" put --escape esc "$text" </dev/null
    done
    run 2 "$BITCASK" query -e --from 'a\' esc
}

stores_that_are_none() {
    local words
    echo x >file
    mkdir bare
    for words in "query none" "export none" "mv none a b" "link none a b" "partition ls none" "partition drop none a" \
        "query file" "export -j bare" "dump --hints none" "import -q file" "bench file"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words </dev/null
    done
    [ ! -e none ]
    equal "the bare directory" "" "$(ls -A bare)"
}

check "writers say how to do it" writers_say_how_to_do_it
check "readers work beside it" readers_work_beside_it
check "odd mountpoints are found" odd_mountpoints_are_found
check "another command is named" another_command_is_named
check "wrong commands get a suggestion" wrong_commands_get_a_suggestion
check "escapes that are none" escapes_that_are_none
check "stores that are none" stores_that_are_none
finish
