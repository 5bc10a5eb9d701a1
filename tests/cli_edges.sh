#!/usr/bin/env bash
# cli_edges.sh - bitcask(1) at the edges of what it takes: JSON lines that are nearly right, files of every type and
# mode, names that lead nowhere, damage told in every form, numbers that are too large.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1

# ---- JSON lines ----

# Each is refused with its number, and all of the others are stored.
lines_that_are_nearly_right_are_told() {
    local status=0 told lines n
    cat >bad <<'LINES'
{"path": 5, "value": "y"}
{"path_hex": 5, "value": "y"}
{"path_hex": "7G", "value": "y"}
{"path_hex": "G7", "value": "y"}
{"path": "x", "value_base64": 5}
{"path": "x", "value_base64": "abc*"}
{"path": "x", "value_base64": "a==="}
{"path": "x", "xattrs_base64": 5, "value": "y"}
{"path": "x", "xattrs_base64": "*", "value": "y"}
{"path": "x", "type": 5, "value": "y"}
{"path": "x", "type": "link", "target": 5}
{"path": "x", "type": "link", "target_hex": "0"}
{"path": "x", "type": "link", "target": "a\u0000b"}
{"path": "x", "value": "y", "mode": "06:4"}
{"path": "x", "value": "y", "mode": "0/44"}
{"path": "x", "value": "y", "uid": }
{"path": "x", "value": "y", "gid": "7"}
{"path": "x", "value": "y", "gid": 7e3}
{"path": "x", "value": "y", "gid": 7
{"path": "x", "value": "y", "mtime": 5}
{"path": "x", "value": "y", "mtime": "202"}
{"path": "x", "value": "y", "mtime": "2026"}
{"path": "x", "value": "y", "mtime": "2026/11-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30 07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-1x-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-1/-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-00-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-00T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-32T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T24:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:60:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:61Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:01.5"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:01.5x"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:01.5/Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:01ZZ"}
{"path": "x", "value": "y", "mtime": "1500-11-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2262-04-11T23:47:16.9Z"}
{"path": "x", "type": "char", "device": 5}
{"path": "x", "type": "char", "device": ["a", 1]}
{"path": "x", "type": "char", "device": [1, 1048576]}
{"path": "x", "type": "char", "device": []}
{"path": "x", "value": "y", "xattrs": [5]}
{"path": "x", "value": "y", "xattrs": [{5: "a"}]}
{"path": "x", "value": "y", "xattrs": [{"name": 5}]}
{"path": "x", "value": "y", "xattrs": [{"name_hex": "7"}]}
{"path": "x", "value": "y", "xattrs": [{"name": "a\u0000b", "value": ""}]}
{"path": "x", "value": "y", "xattrs": [{"name": "user.a", "value_base64": "*"}]}
{"path": "x", "value": "y", "xattrs": [{"name": "user.a", "value": 5}]}
{"path": "x", "value": "y", "xattrs": [{"name": "user.a", "value": "b"}
{"path": "x", "value": "y	z"}
{"path": "x", "value": "y
{"path": "x", "value": "\ud800\u0041"}
{"path": "x", "value": "\ud800\n"}
{"path": "x", "value": "\udc00"}
{"path": "x", "value": "\u00g0"}
{"path": "x", "value": "\u00
{"path": "x", "value": "\
{"path" "x", "value": "y"}
{"path": "x", "value": "y", "n": {"a" 1}}
{"path": "x", "value": "y", "n": {1: 1}}
{"path": "x", "value": "y", "n": [1 2]}
{"path": "x", "value": "y", "n": [1, ]}
{"path": "x", "value": "y", "n": ?}
{"path": "x", "value": "y", "n": [
{5: "x"}
{"path": "x", "value": "y"}}
{"path": "x", "value": "y", "mode": "0644", "mode": "9"}
"path"
LINES
    # Each between two that are right.
    awk '{ print; printf "{\"path\": \"good%d\", \"value\": \"\"}\n", NR }' bad >lines
    n=$(wc -l <bad)
    "$BITCASK" import -q -j bad.store <lines >out 2>err || status=$?
    equal status 1 "$status"
    seq 1 2 $((2 * n)) >wanted
    sed -n 's/^bitcask: standard input: line \([0-9]*\): ..*/\1/p' err | diff wanted -
    equal "lines of messages" "$n" "$(wc -l <err)"
    told=$("$BITCASK" ls bad.store | grep -c '^good')
    lines=$("$BITCASK" ls bad.store | wc -l)
    equal "stored" "$n $n" "$told $lines"
}

xattrs_that_are_too_large_are_told() {
    local name value
    name=$(head -c 300 /dev/zero | tr '\0' n)
    value=$(head -c 66000 /dev/zero | tr '\0' v)
    printf '{"path": "x", "value": "y", "xattrs": [{"name": "user.%s", "value": ""}]}\n' "$name" >line
    run 1 "$BITCASK" import -q -j large.store <line
    printf '{"path": "x", "value": "y", "xattrs": [{"name": "user.a", "value": "%s"}]}\n' "$value" >line
    run 1 "$BITCASK" import -q -j large.store <line
    printf '{"path": "x", "value": "y", "xattrs": [{"name": "user.a", "value": "%s"}, {"name": "user.b", "value": "%s"}]}\n' \
        "${value:0:40000}" "${value:0:40000}" >line
    run 1 "$BITCASK" import -q -j large.store <line
    run 0 "$BITCASK" ls large.store
    equal "stored" "" "$(cat out)"
}

# A file of every type, mode and age, in every way that a line may say it.
files_of_every_kind_come_back() {
    cat >kinds <<'LINES'
{"path": "base64", "value_base64": "-_+/AZaz09"}
{"path_hex": "4A4b", "value": "y", "path": "overruled"}
{"path": "escapes", "value": "\u0041\u00e9\u20ac\ud83d\ude00\/\b\f\n\r\t\"\\"}
{"path": "hidden", "xattrs": [{"name_hex": "757365722e61", "name": "user.overruled", "value": "1"}], "value": ""}
{"path": "link", "type": "link", "target_hex": "6261736536 34"}
{"path": "times", "value": "v", "atime": "2026-11-30T07:31:01.123456789123Z", "expires": "2200-01-01T00:00:00Z"}
{"path": "old", "value": "v", "mtime": "1960-01-01T00:00:00.5Z", "uid": 7}
{"path": "char", "type": "char", "device": [1, 5], "mode": "0666"}
{"path": "block", "type": "block", "device": [7, 200]}
{"path": "fifo", "type": "fifo"}
{"path": "socket", "type": "socket"}
{"path": "symlink", "type": "symlink", "value": "base64"}
{"path": "symlink2", "type": "symlink", "value": "base64", "mode": "0700"}
{"path": "dir", "type": "dir", "mode": "1777"}
{"path": "dir2/", "type": "dir", "mode": "1770"}
{"path": "set6755", "value": "v", "mode": "6755"}
{"path": "set6644", "value": "v", "mode": "6644"}
 	
{"path": "many", "n": [], "m": {}, "k": {"a": [1, {"b": null}]}, "value": ""  }  
LINES
    sed -i 's/6261736536 34/626173653634/' kinds
    printf '\r\n{"path": "cr", "value": ""}\r\n' >>kinds
    run 0 "$BITCASK" import -q -j kinds.store <kinds
    run 0 "$BITCASK" ls -l kinds.store
    awk '{ print $1, $NF }' out >modes
    diff - modes <<'LISTING'
-rw-r--r-- JK
-rw-r--r-- base64
brw-r--r-- block
crw-rw-rw- char
-rw-r--r-- cr
drwxrwxrwt dir/
drwxrwx--T dir2/
-rw-r--r-- escapes
prw-r--r-- fifo
-rw-r--r-- hidden
-rw-r--r-- link
-rw-r--r-- many
-rw-r--r-- old
-rwSr-Sr-- set6644
-rwsr-sr-x set6755
srw-r--r-- socket
lrwxrwxrwx symlink
lrwx------ symlink2
-rw-r--r-- times
LISTING
    grep -q '^-rw-r--r--      7      -          1 1960-01-01T00:00:00.500000000Z old$' out
    printf '\373\377\277\001\226\263\323' | cmp - <("$BITCASK" get kinds.store base64)
    printf 'A\303\251\342\202\254\360\237\230\200/\b\f\n\r\t"\\' | cmp - <("$BITCASK" get kinds.store escapes)
    cmp <("$BITCASK" get kinds.store link) <("$BITCASK" get kinds.store base64)
    # Out and in again: the same.
    run 0 "$BITCASK" export -j kinds.store
    cp out once
    grep -q '^{"path": "times", .*"atime": "2026-11-30T07:31:01.123456789Z", "expires": "2200-01-01T00:00:00' once
    grep -q '^{"path": "hidden", .*"xattrs": \[{"name": "user.a", "value": "1"}\]' once
    run 0 "$BITCASK" import -q -j again.store <once
    "$BITCASK" export -j again.store | cmp - once
    # As an archive, but for the socket, which has no form there.
    "$BITCASK" export kinds.store >tar 2>err || true
    [ "$(tar -tf tar | grep -c .)" -ge 18 ]
    run 0 "$BITCASK" import -q tar.store <tar
    "$BITCASK" ls -l tar.store | awk '$NF != "socket" { print $1, $NF }' | diff <(grep -v socket modes) -
}

# ---- archives ----

# Hard links whose target is not there, entries that are given twice, or are a directory and a file.
links_of_archives_lead_somewhere_or_are_told() {
    mkdir -p links
    (cd links && echo one >a && ln a b && ln a c)
    tar -C links -cf links.tar a b c
    tar -f links.tar --delete a
    "$BITCASK" import -q orphan.store <links.tar 2>err && return 1
    printf 'bitcask: orphan.store/a: no such key or partition; bitcask ls shows what there is\n%.0s' 1 2 | diff - err
    equal "stored" "" "$("$BITCASK" ls orphan.store)"
    tar -C links -cf links.tar a b c
    for _ in 1 2; do run 0 "$BITCASK" import -q links.store <links.tar; done
    equal "names" "a b c" "$(echo $("$BITCASK" ls links.store))"
    # Onto a partition of that name; and below one, which is made.
    printf '{"path": "b", "type": "dir"}\n' | "$BITCASK" import -q -j onto.store
    "$BITCASK" import -q onto.store <links.tar 2>err && return 1
    grep -q '^bitcask: onto.store/b: ' err
    equal "the others" "a b/ c" "$(echo $("$BITCASK" ls onto.store))"
    run 0 "$BITCASK" import -q onto.store below/it <links.tar
    equal "c" one "$("$BITCASK" get onto.store below/it/c)"
    "$BITCASK" import -q onto.store a <links.tar 2>err && return 1
    grep -q '^bitcask: onto.store/a/b: is a key, not a partition$' err
    run 1 "$BITCASK" import -q onto.store .. <links.tar
    printf '{"path": "l", "type": "link", "target": "b"}\n{"path": "a", "type": "link", "target": "c"}\n' >lines
    run 1 "$BITCASK" import -q -j onto.store <lines
    printf '{"path": "l", "type": "link", "target": "none/x"}\n' >lines
    run 1 "$BITCASK" import -q -j onto.store <lines
    printf '{"path": "a/x", "type": "link", "target": "c"}\n' >lines
    run 1 "$BITCASK" import -q -j onto.store <lines
    printf '{"path": "n", "value": "y"}' >lines
    run 0 "$BITCASK" import -j onto.store <lines
    grep -q '^imported 1 key' out
}

# Lists of access rights of users and groups that have no number here, and that say no more than the mode does.
acls_of_archives_are_taken_or_told() {
    command -v setfacl >/dev/null || skip_check "no setfacl"
    mkdir -p acls
    echo x >acls/known
    setfacl -m u:0:rwx,g:0:r,m::rx acls/known 2>/dev/null || skip_check "no lists of access rights here"
    echo x >acls/plain
    mkdir acls/dir
    setfacl -d -m u:0:r acls/dir
    tar -C acls --acls --format=posix -cf acls.tar .
    run 0 "$BITCASK" import -q acls.store <acls.tar
    run 0 "$BITCASK" export acls.store
    mkdir acls.out
    tar -C acls.out --acls -xpf out
    (cd acls && getfacl -n known plain dir) >wanted
    (cd acls.out && getfacl -n known plain dir) | diff wanted -
    # A user that nobody knows: told, and left out. The name in the archive is as long as before.
    sed 's/user:root:/user:rxyz:/g' acls.tar >unknown.tar
    "$BITCASK" import -q unknown.store <unknown.tar 2>err && return 1
    grep -q '^bitcask: ./known: its ACL names rxyz, ' err
    equal "stored" plain "$("$BITCASK" ls unknown.store)"
    # By number, as other programs write them.
    sed 's/user:root:/user:1234:/g' acls.tar >numbers.tar
    run 0 "$BITCASK" import -q numbers.store <numbers.tar
    run 0 "$BITCASK" export -j numbers.store
    grep -q '^{"path": "known", .*system.posix_acl_access' out
}

# ---- names ----

names_that_lead_nowhere_are_told() {
    local words
    put nowhere a/key x
    put nowhere key x
    contents nowhere >before
    for words in "mv nowhere none z" "mv nowhere none/x z" "mv nowhere key none/z" "mv nowhere key none/" \
        "mv nowhere / z" "mv nowhere key key/z" "mv nowhere a a/b" "mv -n nowhere key a/key" "mv -x nowhere key none" \
        "mv -T nowhere key a" "mv -T nowhere a key" "mv nowhere .. z" "mv nowhere key .." \
        "link nowhere none z" "link nowhere a z" "link nowhere key none/z" "link nowhere key .." "link nowhere / z" \
        "link nowhere key a/key" "del nowhere none/x" "del -d nowhere none/x" "ls nowhere key/" "ls nowhere none/x" \
        "query nowhere key" "query nowhere none" "partition create nowhere a" "partition create nowhere none/x" \
        "partition create nowhere key/x" "partition create nowhere /" "partition drop nowhere key" \
        "partition drop nowhere none" "partition drop nowhere /" "partition drop nowhere a" \
        "partition rename nowhere key z" "partition rename nowhere none z" "partition rename nowhere a /" \
        "partition rename nowhere a key" "partition ls nowhere key" "partition ls nowhere none" "stats nowhere key/x" \
        "export nowhere key" "export nowhere none" "merge nowhere none" "merge nowhere key" "dump nowhere none/x" \
        "dump --hints nowhere none" "dump --checkpoint nowhere none"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $words </dev/null
    done
    # Verify has a status of its own for that.
    run 2 "$BITCASK" verify -q nowhere none
    run 2 "$BITCASK" verify -q nowhere key
    run 0 "$BITCASK" ls nowhere
    equal "listing" "a/ key" "$(echo $(cat out))"
    equal "a/key" x "$("$BITCASK" get nowhere a/key)"
}

lists_of_names_on_standard_input() {
    local i
    for i in 1 2 3; do put listed "d/k$i" x; done
    printf 'k1\0\0none\0..\0k2' >names
    "$BITCASK" del -0 listed d <names >out 2>err && return 1
    equal "messages" 2 "$(wc -l <err)"
    equal "left" k3 "$("$BITCASK" ls listed d)"
    run 1 "$BITCASK" del -0 listed <&-
    run 2 "$BITCASK" del -0 listed d x
    printf 'd/k3\0' | "$BITCASK" del -0 listed
    printf 'd\0' | "$BITCASK" del -0 -d listed
    equal "left" "" "$("$BITCASK" ls listed)"
}

escapes_that_are_none_are_wrong_usage() {
    local path
    put escapes $'a\001\\"' x
    equal "value" x "$("$BITCASK" get -e escapes 'a\x01\\\"')"
    equal "value" x "$("$BITCASK" get -e escapes '\x61\x01\\\"')"
    # shellcheck disable=SC1003
    for path in 'a\' 'a\x' 'a\x0' 'a\x0g' 'a\xg0' 'a\n' 'a\x00'; do
        "$BITCASK" get -e escapes "$path" 2>err && return 1
        grep -q '^bitcask: ' err
    done
}

numbers_and_words_that_are_none_are_wrong_usage() {
    local words
    for words in "bench -n 0 b" "bench -n -5 b" "bench -n x b" "bench -n 5x b" "bench -n 99999999999999999999 b" \
        "bench -s 99999G b" "bench -s 5Q b" "bench -t 0 b" "bench -t 99999 b" "bench -n" "bench" "bench --frob b" \
        "bench b nothing" "merge --rate 5 s" "merge --rate x s" "merge --rate 99999999999G s" "merge --rate" "merge" \
        "merge --frob s" "merge s a b" "query --limit x s" "query --limit -1 s" "query --limit" "query -0 s" \
        "query -0 -k -j s" "query --frob s" "verify" "verify --frob s" "verify s a b" "import" "import --frob s" \
        "import s a b" "export" "export --frob s" "export s a b" "partition" "partition frob s" "partition ls" \
        "partition create s" "partition rename s a" "partition ls --frob s" "mv s a" "mv s a b c" "mv --frob s a b" \
        "mv -n -x s a b" "link s a" "link --frob s a b" "dump --hints --checkpoint --frob s" "dump" "del --frob s a" \
        "put --frob s a" "ls -le0 --frob s" "stats -q s" "stats -p -j s" "get --frob s a" "gte s a" "frobnicatefrobnicate"; do
        # shellcheck disable=SC2086
        run 2 "$BITCASK" $words </dev/null
        [ ! -e s ] && [ ! -e b ]
    done
    run 2 "$BITCASK" gte s a
    says "did you mean get?"
}

# ---- damage, in every form ----

damage_is_told_in_every_form() {
    local file offset
    put harm d/one "$(head -c 500 /dev/zero | tr '\0' 1)"
    put harm d/two "$(head -c 500 /dev/zero | tr '\0' 2)"
    put harm other x
    file=$(log_of harm d)
    offset=$(grep -obaF 2222222222 "$file" | head -n 1 | cut -d: -f1)
    flip "$file" $((offset + 100))
    run 1 "$BITCASK" dump -j harm d
    grep -q '"check": "bad-value"' out
    "$BITCASK" verify -j harm >out 2>err && return 1
    grep -q '^{"type": "finding", "kind": "damage", "partition": "d"' out
    tail -n 1 out | grep -q '^{"type": "summary", .*"damage": 1,'
    "$BITCASK" verify harm >out 2>err && return 1
    grep -q 'two' out
    equal "other" x "$("$BITCASK" get harm other)"
    "$BITCASK" stats -s harm >out 2>err
    grep -q DAMAGED out
    "$BITCASK" stats -s -j harm >out 2>err
    grep -q '"damaged": true' out
    # A put replaces what is damaged, and its attributes are lost with it.
    put harm d/two new
    equal "two" new "$("$BITCASK" get harm d/two)"
    "$BITCASK" verify --repair -j harm >out 2>err && return 1
    tail -n 1 out | grep -q '^{"type": "summary", .*"segments_repaired": 1'
    run 0 "$BITCASK" verify -q harm
    run 0 "$BITCASK" verify harm
    grep -q 'no damage' out
    # The header: then none of it can be opened.
    file=$(log_of harm d)
    flip "$file" 20
    "$BITCASK" verify harm >out 2>err && return 1
    "$BITCASK" verify -j harm d >out 2>err && return 1
    grep -q '"kind": "damage"' out
    "$BITCASK" stats harm >out 2>err && return 1
    grep -q '^bitcask: harm/d: ' err
    "$BITCASK" dump harm d >out 2>err && return 1
    grep -q '^bitcask: harm/d' err
}

# The store itself cannot be opened: a status of its own, and words.
stores_that_cannot_be_looked_at() {
    put closed key x
    : >closed/STORE
    run 2 "$BITCASK" verify -q closed
    run 2 "$BITCASK" verify -j closed
    run 2 "$BITCASK" verify --repair closed
    run 1 "$BITCASK" merge closed
    run 1 "$BITCASK" stats -p closed
    run 1 "$BITCASK" export closed
    run 1 "$BITCASK" import -q closed </dev/null
    run 1 "$BITCASK" partition ls closed
    run 1 "$BITCASK" query closed
    run 2 "$BITCASK" verify -q none
}

# ---- beside a mount ----

figures_of_a_mounted_store_are_its_daemons() {
    require_fuse
    STORE=$TEST_DIR/shown
    "$BITCASKFS" -o commit_ms=0 "$STORE" "$MNT"
    mkdir "$MNT/dir"
    echo x >"$MNT/dir/key"
    run 0 "$BITCASK" stats -p "$STORE"
    grep -q '^bitcask_.*_total' out # counters, which only the daemon has
    run 0 "$BITCASK" stats -p "$STORE" dir
    grep -q '^bitcask_partition_live_keys{partition="/dir"} 1$' out
    run 0 "$BITCASK" stats -j "$STORE" dir
    grep -qF "$MNT" out
    run 0 "$BITCASK" stats "$STORE"
    run 1 "$BITCASK" merge "$STORE" dir
    says "$MNT"
    run 2 "$BITCASK" verify --repair "$STORE"
    run 1 "$BITCASK" import -q "$STORE" </dev/null
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
    run 0 "$BITCASK" verify -q "$STORE"
}

check "lines that are nearly right are told" lines_that_are_nearly_right_are_told
check "extended attributes that are too large are told" xattrs_that_are_too_large_are_told
check "files of every kind come back" files_of_every_kind_come_back
check "links of archives lead somewhere or are told" links_of_archives_lead_somewhere_or_are_told
check "access rights of archives are taken or told" acls_of_archives_are_taken_or_told
check "names that lead nowhere are told" names_that_lead_nowhere_are_told
check "lists of names on standard input" lists_of_names_on_standard_input
check "escapes that are none are wrong usage" escapes_that_are_none_are_wrong_usage
check "numbers and words that are none are wrong usage" numbers_and_words_that_are_none_are_wrong_usage
check "damage is told in every form" damage_is_told_in_every_form
check "stores that cannot be looked at" stores_that_cannot_be_looked_at
check "figures of a mounted store are its daemon's" figures_of_a_mounted_store_are_its_daemons
finish
