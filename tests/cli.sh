#!/usr/bin/env bash
# cli.sh - every command of bitcask(1), and every way of calling it wrongly: output, message, exit status, and that a
# refused command changed nothing.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1

# ---- put and get ----

value_comes_back_byte_for_byte() {
    head -c 100000 /dev/urandom >value
    run 0 "$BITCASK" put s1 key <value
    run 0 "$BITCASK" get s1 key
    cmp value out
    run 0 "$BITCASK" put s1 key -f /dev/null
    run 0 "$BITCASK" get s1 key
    equal "size of an empty value" 0 "$(stat -c %s out)"
    run 0 "$BITCASK" put --file=value s1 key
    run 0 "$BITCASK" get s1 key
    cmp value out
}

odd_names_are_names() {
    local name
    for name in 'a b' -x $'new\nline' $'\377\001' '...' '*' "$(printf 'n%.0s' {1..255})"; do
        printf '%s' "of $name" | "$BITCASK" put s2 -- "$name"
        equal "value" "of $name" "$("$BITCASK" get s2 -- "$name")"
    done
}

slashes_in_front_and_doubled_make_no_difference() {
    put s3 a/b/c one
    equal "/a//b/c" one "$("$BITCASK" get s3 /a//b/c)"
    run 1 "$BITCASK" get s3 a/b/c/
    says "ends in a slash"
}

put_makes_partitions_only_with_p() {
    put s4 first x
    run 1 "$BITCASK" put s4 a/b/c </dev/null
    says "s4/a"
    run 0 "$BITCASK" ls s4
    equal "listing" first "$(cat out)"
    run 0 "$BITCASK" put -p s4 a/b/c </dev/null
    run 0 "$BITCASK" put -p s4 a/b/d </dev/null
    run 0 "$BITCASK" ls s4 a/b
    equal "listing" "c d" "$(echo $(cat out))"
}

put_through_a_key_is_refused() {
    put s5 a x
    run 1 "$BITCASK" put -p s5 a/b </dev/null
    says "s5/a"
    put s5 dir/key x
    run 1 "$BITCASK" put s5 dir </dev/null
    says "is a partition"
    run 1 "$BITCASK" get s5 dir
    says "is a partition"
}

put_that_cannot_read_stores_nothing() {
    put s6 key old
    contents s6 >before
    run 1 "$BITCASK" put s6 key -f missing
    says missing
    run 1 "$BITCASK" put s6 key -f .
    run 1 "$BITCASK" put s6 key <&-
    says "standard input"
    contents s6 | cmp - before
}

large_values_go_through_in_pieces() {
    put s7 key old
    run 0 "$BITCASK" put s7 key -f <(head -c 270000001 /dev/zero)
    [ "$("$BITCASK" get s7 key | wc -c)" -eq 270000001 ]
    "$BITCASK" get s7 key | cmp -n 270000001 - /dev/zero
    head -c 9000000 /dev/urandom >large
    "$BITCASK" put s7 key <large
    "$BITCASK" get s7 key | cmp - large
    "$BITCASK" export s7 | "$BITCASK" import s7-copy
    "$BITCASK" get s7-copy key | cmp - large
}

a_limit_of_file_sizes_is_told() {
    put s28 key old
    head -c 60000 /dev/zero >value
    (ulimit -f 30; run 1 "$BITCASK" put s28 key -f value)
    says "File too large"
    equal "the value before" old "$("$BITCASK" get s28 key)"
    run 0 "$BITCASK" verify s28
}

put_keeps_mode_and_drops_setid() {
    local inode
    require_fuse
    "$BITCASKFS" s8 "$MNT"
    echo old >"$MNT/key"
    chmod 4751 "$MNT/key"
    inode=$(stat -c %i "$MNT/key")
    ln -s key "$MNT/link"
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
    printf new | "$BITCASK" put s8 key
    run 1 "$BITCASK" put s8 link </dev/null
    says "symbolic link"
    run 0 "$BITCASK" ls -l s8
    grep -q '^-rwxr-x--x ' out
    "$BITCASKFS" s8 "$MNT"
    equal value new "$(cat "$MNT/key")"
    equal inode "$inode" "$(stat -c %i "$MNT/key")"
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
}

new_key_gets_mode_of_the_umask() {
    (umask 027 && printf x | "$BITCASK" put s9 key)
    run 0 "$BITCASK" ls -l s9
    grep -q '^-rw-r----- ' out
    grep -qE " $(id -u) +$(id -g) +1 " out
}

get_of_nothing_is_told() {
    put s10 a/key x
    run 1 "$BITCASK" get s10 nothing
    says "s10/nothing: "
    equal "output" "" "$(cat out)"
    run 1 "$BITCASK" get s10 nodir/key
    says "s10/nodir"
    run 1 "$BITCASK" get s10 a/key/below
    says "s10/a/key"
}

an_empty_store_has_nothing() {
    run 0 "$BITCASK" import -q -j s29 </dev/null
    local words
    for words in "get s29 key" "get s29 a/key" "ls s29 key" "query s29 a" "del s29 key" "del -d s29 a" "mv s29 a b"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words
        says "no such"
    done
    run 0 "$BITCASK" ls s29
    equal "listing" "" "$(cat out)"
    run 0 "$BITCASK" query s29
    run 0 "$BITCASK" verify -q s29
}

lost_output_is_a_failure() {
    put s11 key "$(head -c 1000 /dev/zero | tr '\0' x)"
    if [ -c /dev/full ]; then
        for words in "get s11 key" "ls s11" "stats s11" "dump s11" --help --version; do
            "$BITCASK" $words >/dev/full 2>err && return 1
            grep -q '^bitcask: standard output: ' err
        done
    fi
    # Closed, not full: the store's own files must not become standard output.
    contents s11 >before
    for words in "get s11 key" "ls s11" "stats s11" "dump s11"; do
        "$BITCASK" $words >&- 2>err && return 1
        grep -q '^bitcask: standard output: ' err
    done
    contents s11 | cmp - before
    if "$BITCASK" get s11 key >&- 2>&- <&-; then return 1; fi
    contents s11 | cmp - before
}

# ---- del ----

deleted_key_is_gone() {
    put s12 dir/a 1
    put s12 dir/b 2
    run 0 "$BITCASK" del s12 dir/a
    run 1 "$BITCASK" get s12 dir/a
    run 1 "$BITCASK" del s12 dir/a
    says "s12/dir/a: "
    equal "the other" 2 "$("$BITCASK" get s12 dir/b)"
}

partition_goes_with_d_and_empty_only() {
    put s13 dir/a 1
    run 1 "$BITCASK" del s13 dir
    says "del -d"
    run 1 "$BITCASK" del -d s13 dir
    says "empty"
    run 0 "$BITCASK" del s13 dir/a
    run 0 "$BITCASK" del -d s13 dir/
    run 0 "$BITCASK" ls s13
    equal "listing" "" "$(cat out)"
    put s13 key 1
    run 1 "$BITCASK" del -d s13 key
    run 1 "$BITCASK" del -d s13 /
    says "root"
}

# ---- ls ----

listing_is_in_memcmp_order_with_slashes() {
    local name
    for name in b a10 a1 a2 B é a/x a.b; do put s14 "$name" 1; done
    run 0 "$BITCASK" ls s14
    printf '%s\n' B a/ a.b a1 a10 a2 b é >wanted
    diff wanted out
    run 0 "$BITCASK" ls s14 a
    equal "of a partition" x "$(cat out)"
    run 0 "$BITCASK" ls s14 a1
    equal "of a key" a1 "$(cat out)"
    run 1 "$BITCASK" ls s14 a1/
    run 1 "$BITCASK" ls s14 none
    says "s14/none"
}

long_listing_shows_size_and_time() {
    put s15 key 12345
    put s15 dir/key 1
    run 0 "$BITCASK" ls -l s15
    grep -qE '^-rw-r--r-- +[0-9]+ +[0-9]+ +5 [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z key$' out
    grep -qE '^drwxr-xr-x .* dir/$' out
}

listing_escapes_on_a_terminal_only() {
    put s16 $'red\033[31m' 1
    run 0 "$BITCASK" ls s16
    equal "in a pipe" $'red\033[31m' "$(cat out)"
    command -v script >/dev/null || skip_check "no script(1) to make a terminal with"
    script -qec "'$BITCASK' ls s16" /dev/null </dev/null >out
    grep -qF 'red\x1b[31m' out
}

# ---- stats and dump ----

stats_count_the_tree_below() {
    put s17 a 1
    put s17 d/b 22
    put s17 d/e/c 333
    run 0 "$BITCASK" stats --json s17
    grep -q '"partitions": 3,' out
    grep -q '"live_keys": 5,' out
    grep -q '"dead_bytes": ' out
    if grep '[^]}a-z0-9_":, {]' out; then return 1; fi
    run 0 "$BITCASK" stats --json s17 d
    grep -q '"partitions": 2,' out
    run 0 "$BITCASK" stats s17
    grep -qE '^live_keys +5 ' out
    run 1 "$BITCASK" stats s17 a
    run 1 "$BITCASK" stats s17 none
}

# figure NAME: the number of that name in the last run's output, JSON or not.
figure() {
    sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p; s/^$1 *\([0-9]*\) .*/\1/p" out
}

stats_are_metrics() {
    run 0 "$BITCASK" stats --prometheus s17
    head -n 1 out | grep -qE "^# As of [0-9T:Z-]+, read from the store's files"
    grep -qx 'bitcask_partition_live_keys{partition="/d"} [0-9]*' out
    grep -qE '^bitcask_data_bytes [1-9][0-9]*$' out
    refused "" grep -E "_total|_bucket|_sum" out # nobody kept these
    run 2 "$BITCASK" stats -p -j s17
    run 2 "$BITCASK" stats -p -s s17
    run 1 "$BITCASK" stats -p s17 none
}

stats_show_what_the_index_takes() {
    local i index keys
    for i in 1 2 3 4 5 6 7 8; do put s27 "$i$(printf 'k%.0s' {1..199})" value; done
    put s27 dir/key value
    run 0 "$BITCASK" stats s27
    grep -qE '^index_bytes +[0-9]+ +[a-z]' out
    grep -qE '^key_bytes +[0-9]+ +[a-z]' out
    index=$(figure index_bytes)
    keys=$(figure key_bytes)
    # Eight keys of 200 bytes, "dir" and "key": the bytes of the keys, and some of their order and places beside them.
    [ "$keys" -ge 1606 ]
    [ "$keys" -lt 3000 ]
    [ "$index" -gt "$keys" ]
    run 0 "$BITCASK" stats --json s27
    equal "index_bytes as JSON" "$index" "$(figure index_bytes)"
    equal "key_bytes as JSON" "$keys" "$(figure key_bytes)"
}

dump_shows_each_record() {
    put s18 $'a\n"b' hello
    "$BITCASK" del s18 $'a\n"b'
    run 0 "$BITCASK" dump s18
    grep -qE '^ *[0-9]+ +[0-9]+ ok +[0-9]{19} +[0-9]+ +5  .* "a\\x0a\\"b"$' out
    grep -qE 'tombstone.* "a\\x0a\\"b"$' out
    run 0 "$BITCASK" dump "$(data_file s18)"
    grep -qE 'tombstone.* "a\\x0a\\"b"$' out
    # The whole path, as it was given, however long.
    grep -qF "$(data_file s18): segment 1 of partition " out
    run 0 "$BITCASK" dump -j "$(data_file s18)"
    grep -qF "\"type\": \"record\", \"file\": \"$(data_file s18)\", " out
    run 2 "$BITCASK" dump "$(data_file s18)" path
    run 1 "$BITCASK" dump s18 none
}

dump_shows_damage_and_what_follows() {
    local file offset
    put s19 one "$(head -c 500 /dev/zero | tr '\0' 1)"
    put s19 two "$(head -c 500 /dev/zero | tr '\0' 2)"
    put s19 three "$(head -c 500 /dev/zero | tr '\0' 3)"
    file=$(data_file s19)
    cp "$file" copy.data
    offset=$(grep -obaF 2222222222 copy.data | head -n 1 | cut -d: -f1)
    printf X | dd of=copy.data bs=1 seek=$((offset + 100)) conv=notrunc status=none
    run 1 "$BITCASK" dump copy.data
    grep -qE ' BAD-VALUE .* "two"$' out
    grep -qE ' ok .* "three"$' out
    offset=$(grep -obaF two copy.data | head -n 1 | cut -d: -f1)
    printf X | dd of=copy.data bs=1 seek="$offset" conv=notrunc status=none
    run 1 "$BITCASK" dump copy.data
    grep -qE ' BAD$' out
    grep -qE ' ok .* "three"$' out
    if grep '"two"' out; then return 1; fi
}

dump_refuses_foreign_files() {
    : >empty.data
    head -c 5000 /dev/urandom >random.data
    echo hello >short.data
    local file
    for file in empty.data random.data short.data missing.data; do
        run 1 "$BITCASK" dump $file
        says $file
    done
}

damaged_value_is_never_written() {
    local file offset
    put s20 key "$(head -c 500 /dev/zero | tr '\0' 7)"
    put s20 other fine
    file=$(data_file s20)
    offset=$(grep -obaF 7777777777 "$file" | head -n 1 | cut -d: -f1)
    flip "$file" $((offset + 100))
    contents s20 >before
    run 1 "$BITCASK" get s20 key
    says "s20/key: "
    says "checksum"
    equal "output" "" "$(cat out)"
    run 1 "$BITCASK" dump s20
    grep -q ' BAD-VALUE .* "key"$' out
    contents s20 | cmp - before
    # What is not damaged is read, and the damage told in one line.
    equal "the other" fine "$("$BITCASK" get s20 other 2>err)"
    equal "lines of warning" 1 "$(wc -l <err)"
    says "damaged"
    "$BITCASK" stats s20 >out 2>err
    grep -qE '^damaged_regions +1 ' out
    # A sound value may take the place of a damaged one.
    printf sound | "$BITCASK" put s20 key 2>/dev/null
    equal "the new value" sound "$("$BITCASK" get s20 key 2>/dev/null)"
}

# unreadable STORE WHAT: its partition "dir" cannot be read; each command says so and changes nothing but, where it
# writes, the process id in LOCK. (del -d notes in the store's own log, ahead, that it is at work.) The rest of the
# store is there.
unreadable() {
    local words
    contents "$1" >before
    for words in "get $1 dir/key" "ls $1 dir" "stats $1 dir" "stats $1" "dump $1 dir" "dump $(cat damaged)"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words
        says "$2"
    done
    contents "$1" | cmp - before
    grep -v LOCK before >before.data
    for words in "put $1 dir/new" "put $1 dir/key" "del $1 dir/key"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words </dev/null
        says "$2"
    done
    contents "$1" | grep -v LOCK | cmp - before.data
    run 1 "$BITCASK" del -d "$1" dir
    says "$2"
    equal "the rest" fine "$("$BITCASK" get "$1" top)"
    run 0 "$BITCASK" ls "$1"
    equal "listing" "dir/ top" "$(echo $(cat out))"
}

data_files_that_are_none_are_refused_and_kept() {
    local file
    put s24 dir/key "$(head -c 500 /dev/zero | tr '\0' 7)"
    put s24 top fine
    file=$(log_of s24 dir)
    echo "$file" >damaged
    cp "$file" sound.data
    : >"$file"
    unreadable s24 "empty file"
    head -c 40 sound.data >"$file"
    unreadable s24 "cut short"
    head -c 2000 /dev/urandom >"$file"
    unreadable s24 "not a data file"
    echo hello >"$file"
    unreadable s24 "not a data file"
    cp sound.data "$file"
    flip "$file" 30
    unreadable s24 "checksum"
    cp "$(data_file s24)" "$file"
    run 1 "$BITCASK" get s24 dir/key
    says "belongs to partition"
    cp sound.data "$file"
    run 0 "$BITCASK" get s24 dir/key
    cmp out <(head -c 500 /dev/zero | tr '\0' 7)
}

cut_log_is_what_was_whole() {
    local file size
    put s25 dir/a 1
    put s25 dir/b "$(head -c 500 /dev/zero | tr '\0' 7)"
    file=$(log_of s25 dir)
    size=$(stat -c %s "$file")
    truncate -s $((size - 100)) "$file"
    contents s25 >before
    equal "a" 1 "$("$BITCASK" get s25 dir/a)"
    run 1 "$BITCASK" get s25 dir/b
    run 0 "$BITCASK" ls s25 dir
    equal "listing" a "$(cat out)"
    run 0 "$BITCASK" stats s25
    run 1 "$BITCASK" dump s25 dir
    grep -q ' BAD$' out
    contents s25 | cmp - before
    # The next writer cuts the torn rest off, and the log is sound again.
    put s25 dir/c 3
    run 0 "$BITCASK" dump s25 dir
    equal "c" 3 "$("$BITCASK" get s25 dir/c)"
}

# ---- stores that are none, and beside a mount ----

reading_commands_want_a_store() {
    local words
    mkdir holds-other empty
    echo x >holds-other/file
    echo x >file
    for words in "get missing key" "ls missing" "stats missing" "dump missing" "del missing key" "ls empty" \
        "del empty key" "ls holds-other" "get file key" "ls file" "put holds-other key" "put file key"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words </dev/null
    done
    [ ! -e missing ]
    equal "the empty directory" "" "$(ls -A empty)"
    equal "the other's directory" file "$(ls -A holds-other)"
    run 0 "$BITCASK" put empty key </dev/null
}

stores_that_are_unsafe_or_odd_are_refused() {
    local store
    put s26 key x
    cp -a s26 foreign && echo hello >foreign/STORE
    cp -a s26 blank && : >blank/STORE
    cp -a s26 writable && chmod 777 writable
    mkdir open && chmod 777 open
    for store in foreign blank writable open; do
        contents $store >before
        run 1 "$BITCASK" get $store key
        says "bitcask: $store"
        run 1 "$BITCASK" put $store key </dev/null
        says "bitcask: $store"
        contents $store | cmp - before
    done
    equal "the open directory" "" "$(ls -A open)"
    if is_root; then
        chown 12345 s26
        run 1 "$BITCASK" get s26 key
        says "belongs to user 12345"
        run 1 "$BITCASK" put s26 key </dev/null
    else
        run 1 "$BITCASK" ls /
        chmod 000 s26
        run 1 "$BITCASK" get s26 key
        says "s26"
        chmod 700 s26
        mkdir closed && chmod 500 closed
        run 1 "$BITCASK" put closed/store key </dev/null
        says "closed/store"
    fi
}

newer_format_is_refused() {
    put s21 key x
    sed -i 's/^\([^0-9]*\)1$/\199/;s/\(format[^0-9]*\)1\b/\199/' s21/STORE
    contents s21 >before
    run 1 "$BITCASK" get s21 key
    says newer
    run 1 "$BITCASK" put s21 key </dev/null
    says newer
    run 1 "$BITCASK" dump s21
    says newer
    run 1 "$BITCASK" stats s21
    says newer
    contents s21 | cmp - before
}

readers_work_beside_a_mount_writers_do_not() {
    require_fuse
    STORE=$TEST_DIR/s22
    "$BITCASKFS" -o commit_ms=0 "$STORE" "$MNT"
    mkdir "$MNT/orders"
    echo pencils >"$MNT/orders/0001"
    equal get pencils "$("$BITCASK" get "$STORE" orders/0001)"
    equal ls 0001 "$("$BITCASK" ls "$STORE" orders)"
    run 0 "$BITCASK" stats "$STORE"
    run 0 "$BITCASK" dump "$STORE" orders
    run 1 "$BITCASK" put "$STORE" orders/0002 </dev/null
    says "use"
    equal "the mount's listing" 0001 "$(ls "$MNT/orders")"
    # A command right after an unmount waits for the daemon's last commit instead of failing.
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
    run 0 "$BITCASK" put "$STORE" orders/0002 </dev/null
}

# ---- the command line ----

bad_names_are_refused_and_named() {
    local path
    put s23 key x
    contents s23 >before
    for path in . .. a/../b .bitcask .bitcask/stats "$(printf 'n%.0s' {1..256})" a/"$(printf 'n%.0s' {1..256})"/b; do
        run 1 "$BITCASK" put -p s23 "$path" </dev/null
        says "s23/"
        run 1 "$BITCASK" get s23 "$path"
        run 1 "$BITCASK" del s23 "$path"
        run 1 "$BITCASK" ls s23 "$path"
    done
    run 1 "$BITCASK" put s23 "" </dev/null
    run 1 "$BITCASK" put s23 / </dev/null
    contents s23 | cmp - before
    # The names next to those that are refused.
    put s23 .bitcask2 x
    put s23 ..a x
}

wrong_usage_is_status_2() {
    local words
    for words in "" frob --frob -x "get" "get s" "get s a b" "put" "put s" "del s" "ls" "ls s a b" "ls --frob s" \
        "get -l s a" "stats" "stats --frob s" "stats -s s a b" "dump" "dump s a b" "put -f" "put s a b"; do
        # shellcheck disable=SC2086
        run 2 "$BITCASK" $words </dev/null
        [ ! -e s ]
    done
    run 2 "$BITCASK" ls ""
}

help_and_version() {
    local command
    run 0 "$BITCASK" --version
    grep -qE '^bitcask .*[0-9]+\.[0-9]+' out
    run 0 "$BITCASK" --help
    for command in put get del ls query mv link partition import export stats dump merge verify bench; do
        grep -q "^  $command " out
        "$BITCASK" $command --help >help 2>err
        grep -q "^Usage: bitcask $command " help
    done
}

manual_is_well_formed_and_whole() {
    local page=${abs_srcdir:-$TESTS_DIR/..}/man/bitcask.1 command
    for command in put get del ls query mv link partition import export stats dump merge verify bench; do
        grep -q "^\.Cm $command\|^\.It Cm $command" "$page"
    done
    command -v mandoc >/dev/null || skip_check "no mandoc"
    mandoc -Tlint -W warning "$page"
}

check "a value comes back byte for byte" value_comes_back_byte_for_byte
check "odd names are names" odd_names_are_names
check "slashes in front and doubled make no difference" slashes_in_front_and_doubled_make_no_difference
check "put makes partitions with -p only" put_makes_partitions_only_with_p
check "put and get through the wrong kind are refused" put_through_a_key_is_refused
check "a put that cannot read its input stores nothing" put_that_cannot_read_stores_nothing
check "large values go through in pieces" large_values_go_through_in_pieces
check "a limit of file sizes is told" a_limit_of_file_sizes_is_told
check "put keeps mode and inode number and drops set-id bits" put_keeps_mode_and_drops_setid
check "a new key gets the mode of the umask" new_key_gets_mode_of_the_umask
check "get of nothing is told" get_of_nothing_is_told
check "an empty store has nothing, and says so" an_empty_store_has_nothing
check "lost output is a failure" lost_output_is_a_failure
check "a deleted key is gone" deleted_key_is_gone
check "a partition goes with -d, and empty only" partition_goes_with_d_and_empty_only
check "a listing is in memcmp order" listing_is_in_memcmp_order_with_slashes
check "a long listing shows size and time" long_listing_shows_size_and_time
check "a listing escapes on a terminal only" listing_escapes_on_a_terminal_only
check "stats count the tree below" stats_count_the_tree_below
check "stats are metrics" stats_are_metrics
check "stats show what the index takes" stats_show_what_the_index_takes
check "dump shows each record" dump_shows_each_record
check "dump shows damage and what follows" dump_shows_damage_and_what_follows
check "dump refuses foreign files" dump_refuses_foreign_files
check "a damaged value is never written" damaged_value_is_never_written
check "data files that are none are refused and kept" data_files_that_are_none_are_refused_and_kept
check "a log that was cut gives what was whole" cut_log_is_what_was_whole
check "stores that are unsafe or odd are refused" stores_that_are_unsafe_or_odd_are_refused
check "reading commands want a store" reading_commands_want_a_store
check "a newer format is refused" newer_format_is_refused
check "readers work beside a mount, writers do not" readers_work_beside_a_mount_writers_do_not
check "bad names are refused and named" bad_names_are_refused_and_named
check "wrong usage is status 2" wrong_usage_is_status_2
check "help and version" help_and_version
check "the manual is well formed and whole" manual_is_well_formed_and_whole
finish
