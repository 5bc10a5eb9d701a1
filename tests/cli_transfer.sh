#!/usr/bin/env bash
# cli_transfer.sh - bitcask import and export: trees as tar archives, of GNU tar and bsdtar and to them, and as JSON
# lines; what comes out is what went in, and what cannot go in is told and left out. LONG: 50,000 files.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
export BITCASK
cd "$TEST_DIR" || exit 1

GNU_OPTIONS=(--xattrs "--xattrs-include=*" --acls --numeric-owner -p)

# make_tree DIR: one of everything that a tree may hold, as far as this user and this directory's filesystem let it.
make_tree() {
    local path=deep i
    mkdir -p "$1"
    (
        cd "$1"
        mkdir -p dir/sub "odd name"
        echo hello >dir/file
        head -c 300000 /dev/urandom >dir/large
        head -c 70000 /dev/urandom >dir/inode
        : >empty
        printf 'a\0b' >binary
        ln dir/file hard
        ln dir/large dir/sub/hard
        ln -s dir/file link
        ln -s /nowhere/at/all dangling
        mkfifo fifo
        touch $'new\nline' 'ü' $'tab\t\\' "$(printf 'n%.0s' {1..255})"
        for i in 1 2 3 4 5 6 7 8; do path=$path/$(printf "$i%.0s" {1..60}); done
        mkdir -p "$path"
        echo x >"$path/file"
        truncate -s 1M sparse
        printf end >>sparse
        truncate -s 2M sparse
        chmod 4751 empty
        chmod 1777 dir/sub
        chmod 400 binary
        if is_root; then
            mknod zero c 1 5
            mknod block b 7 12345
            chown 12345:54321 dir/file
            chown 3000000:4000000 fifo
            setfattr -n trusted.x -v y dir/large
        fi
        setfattr -n user.colour -v blue dir/inode
        setfattr -n user.bin -v 0x00ff00 dir
        setfattr -n user.long -v "$(head -c 2000 /dev/zero | tr '\0' x)" dir/file
        setfacl -m u:1234:rwx,g:77:r dir/inode
        setfacl -d -m u:99:rx dir/sub
        setfacl -m u:0:r,u:5:x dir/sub
        touch -h -d '2001-02-03 04:05:06.000000001' link
        touch -d '1985-01-02 03:04:05.123456789' dir/file
        touch -d '1969-12-31 23:59:58.5 UTC' empty
        touch -d '2020-01-01 00:00:00.000000007' dir .
    ) || return 1
}

# listing DIR [top]: all that tar keeps of a tree; with top, without the attributes of the topmost directory.
listing() {
    (
        cd "$1"
        find . ${2:+-mindepth 1} \( -type d -printf '%y %m %U %G %T@ %p\0' -o \
            -printf '%y %m %U %G %s %T@ %n %l %p\0' \) | sort -z
        find . -type f -print0 | sort -z | xargs -0 sha256sum
        find . ! -type l -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex 2>/dev/null
        find . \( -type c -o -type b \) -print0 | sort -z | xargs -0r stat -c '%n %t %T'
        find . -type f -links +1 -printf '%i %p\n' | sort |
            awk '{names[$1] = names[$1] " " $2} END {for (i in names) print names[i]}' | sort
    )
}

gnu_extract() {
    mkdir "$1"
    tar -C "$1" "${GNU_OPTIONS[@]}" -xf - 2>tar.err
    # It finds old times implausible, and the name of another character set strange.
    ! grep -v -e 'implausibly old' -e hdrcharset tar.err
}

trees_come_out_as_they_went_in() {
    make_tree tree
    tar -C tree "${GNU_OPTIONS[@]}" --format=posix -cf gnu.tar .
    gnu_extract by_gnu <gnu.tar
    listing by_gnu >wanted
    listing tree | cmp - wanted
    run 0 "$BITCASK" import s <gnu.tar
    run 0 "$BITCASK" verify s
    run 0 "$BITCASK" export s
    mv out ours.tar
    gnu_extract gnu_gnu <ours.tar
    listing gnu_gnu | cmp - wanted
    # Its own archive is read as well as GNU's.
    run 0 "$BITCASK" import s2 <ours.tar
    run 0 "$BITCASK" export s2
    gnu_extract ours_gnu <out
    listing ours_gnu | cmp - wanted
    "$BITCASK" export -j s >lines
    "$BITCASK" export -j s2 | cmp - lines
}

bsdtar_reads_and_is_read() {
    command -v bsdtar >/dev/null || skip_check "no bsdtar"
    mkdir ours_bsd
    # It takes the times of the topmost directory, and fractions of seconds before 1970, for something else.
    LC_ALL=C.UTF-8 bsdtar -C ours_bsd --numeric-owner -xpf ours.tar
    touch -r tree/empty ours_bsd/empty
    listing tree top >wanted.bsd
    listing ours_bsd top | cmp - wanted.bsd
    LC_ALL=C.UTF-8 bsdtar -C tree --numeric-owner --format=pax -cf bsd.tar .
    run 0 "$BITCASK" import s3 <bsd.tar
    run 0 "$BITCASK" export s3
    gnu_extract bsd_gnu <out
    touch -r tree/empty bsd_gnu/empty
    listing bsd_gnu | cmp - wanted
}

other_formats_and_compressions_are_read() {
    local option
    rm -rf plain && mkdir -p plain/dir
    echo one >plain/one
    echo two >plain/dir/two
    for option in --format=gnu --format=ustar --format=v7 --gzip --bzip2 --xz "--format=gnu --sparse"; do
        rm -rf f
        # shellcheck disable=SC2086
        tar -C plain $option -cf a.tar one dir 2>/dev/null || continue # a compressor that is not here
        run 0 "$BITCASK" import f here <a.tar
        equal "two of $option" two "$("$BITCASK" get f here/dir/two)"
    done
}

mount_shows_what_was_imported() {
    require_fuse
    is_root || skip_check "devices and owners need root"
    STORE=$TEST_DIR/s
    mount_store -o allow_other,acl,dev
    # Names that are links are counted by find and grouped in the end, which is left out here.
    mkdir tree_again
    cp -a tree/. tree_again
    (cd tree_again && rm hard dir/sub/hard)
    (cd "$MNT" && rm hard dir/sub/hard)
    touch -r tree/dir/sub tree_again/dir/sub "$MNT/dir/sub"
    touch -r tree tree_again "$MNT"
    listing tree_again >wanted.mount
    listing "$MNT" >shown
    diff -a shown wanted.mount
    unmount_store
}

lines_with_binary_keys_come_back() {
    local i
    python3 -c 'pass' 2>/dev/null || skip_check "no python3"
    python3 - >lines <<'PY'
import base64, json, random
random.seed(7)
seen = set()
for i in range(500):
    name = bytes(random.choice([b for b in range(1, 256) if b != 47]) for _ in range(random.randint(1, 40)))
    if name in (b".", b"..", b".bitcask") or name in seen: continue
    seen.add(name)
    value = random.randbytes(random.randint(0, 300))
    print(json.dumps({"path": "ignored", "path_hex": name.hex(), "value_base64": base64.b64encode(value).decode()}))
print(json.dumps({"path": "ü/\U0001f600", "value": "tab\t \u0000 \U0001f600 ü \ud7ff"}))
print(json.dumps({"value": "", "path": "/slashes//and/./dots/"[:-1], "mode": "0640", "uid": 4294967294, "gid": 7,
    "mtime": "1969-12-31T23:59:59.000000001Z", "unknown": [1, {"a": None}, "x", -1.5e3, True],
    "xattrs": [{"name": "user.z", "value": "1"}, {"name": "user.a", "value_base64": "/w=="}]}))
PY
    run 0 "$BITCASK" import -j j1 <lines
    "$BITCASK" export -j j1 >once
    [ "$(wc -l <once)" -ge 490 ]
    run 0 "$BITCASK" import -j j2 <once
    "$BITCASK" export -j j2 | cmp - once
    cat >wanted.line <<'LINE'
{"path": "slashes/and/dots", "type": "file", "mode": "0640", "uid": 4294967294, "gid": 7, "mtime":
 "1969-12-31T23:59:59.000000001Z", "xattrs": [{"name": "user.a", "value_base64": "/w=="}, {"name": "user.z",
 "value": "1"}], "value": ""}
LINE
    grep -qxF "$(tr -d '\n' <wanted.line)" once
    python3 - <<'PY'
import base64, json, os, subprocess
def bytes_of(o, name): return bytes.fromhex(o[name + "_hex"]) if name + "_hex" in o else o[name].encode()
wanted = {}
for line in open("lines"):
    o = json.loads(line)
    value = base64.b64decode(o["value_base64"]) if "value_base64" in o else o["value"].encode("utf-8", "surrogatepass")
    wanted[bytes_of(o, "path")] = value
wanted = {b"/".join(p for p in k.split(b"/") if p and p != b"."): v for k, v in wanted.items()}
found = {}
for line in open("once"):
    o = json.loads(line)
    if o["type"] == "dir": continue
    found[bytes_of(o, "path")] = base64.b64decode(o["value_base64"]) if "value_base64" in o else o["value"].encode()
assert wanted == found, (len(wanted), len(found), [k for k in wanted if wanted[k] != found.get(k)][:3])
# Escapes both ways, from another program.
name = next(k for k in wanted if b"\\" in k)
escaped = "".join("\\x%02x" % b for b in name)
got = subprocess.run([os.environ["BITCASK"], "get", "-e", "j1", escaped], stdout=subprocess.PIPE, check=True)
assert got.stdout == wanted[name]
PY
}

# What is not as it should be is told with its line, and everything else stored.
lines_that_are_wrong_are_told() {
    local line n=0 status
    cat >wrong <<'LINES'
{}
[]
nonsense
{"path": "x"}
{"path": "x", "value": "y"
{"path": "x", "value": "y"} more
{"path": "x", "value": "y",}
{"path": "x" "value": "y"}
{"path": "x", "value": "\q"}
{"path": "x", "value": "\ud800"}
{"path": "x", "value": "\u12"}
{"path": "x", "value": 5}
{"path": "x", "value_base64": "a"}
{"path": "x", "value_base64": "a*=="}
{"path_hex": "7", "value": "y"}
{"path_hex": "7g", "value": "y"}
{"path_hex": "7800", "value": "y"}
{"path": "x\u0000", "value": "y"}
{"path": "..", "value": "y"}
{"path": "a/../../x", "value": "y"}
{"path": ".bitcask/x", "value": "y"}
{"path": "", "value": "y"}
{"path": ".", "value": "y"}
{"path": "before/below", "value": "y"}
{"path": "before", "type": "dir"}
{"path": "x", "type": "directory"}
{"path": "x", "type": "link"}
{"path": "x", "type": "link", "target": "none"}
{"path": "x", "type": "link", "target": ""}
{"path": "x", "type": "symlink"}
{"path": "x", "type": "char", "device": [1]}
{"path": "x", "type": "char", "device": [1, 2, 3]}
{"path": "x", "type": "char", "device": [9999, 2]}
{"path": "x", "value": "y", "mode": 420}
{"path": "x", "value": "y", "mode": "0999"}
{"path": "x", "value": "y", "mode": "777777"}
{"path": "x", "value": "y", "uid": -1}
{"path": "x", "value": "y", "uid": 4294967296}
{"path": "x", "value": "y", "uid": 99999999999999999999999}
{"path": "x", "value": "y", "uid": 1.5}
{"path": "x", "value": "y", "mtime": "yesterday"}
{"path": "x", "value": "y", "mtime": "2026-13-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "9999-01-30T07:31:01Z"}
{"path": "x", "value": "y", "mtime": "2026-11-30T07:31:01"}
{"path": "x", "value": "y", "xattrs": [{"name": "", "value": "1"}]}
{"path": "x", "value": "y", "xattrs": [{"value": "1"}]}
{"path": "x", "value": "y", "xattrs": {"name": "1"}}
{"path": "x", "value": "y", "junk": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
{"path": "x", "value": "y", "junk": }
LINES
    while IFS= read -r line; do
        n=$((n + 1))
        rm -rf w
        printf '{"path": "before", "value": "1"}\n%s\n\n{"path": "after", "value": "2"}' "$line" >lines.bad
        status=0
        "$BITCASK" import -q -j w <lines.bad >out 2>err || status=$?
        equal "status of $line" 1 "$status"
        equal "lines of message of $line: $(cat err)" 1 "$(wc -l <err)"
        equal "listing after $line" "after before" "$("$BITCASK" ls w | grep -v '/$' | tr '\n' ' ' | sed 's/ $//')"
    done < <(
        cat "$TEST_DIR/wrong"
        printf '{"path": "x", "value": "y", "junk": %s%s}\n' "$(printf '[%.0s' {1..70})" "$(printf ']%.0s' {1..70})"
        printf '{"path": "%s", "value": "y"}\n' "$(printf 'n%.0s' {1..256})"
    )
    [ "$n" -gt 45 ]
}

archives_that_are_wrong_are_told() {
    rm -rf plain a && mkdir plain
    echo one >plain/one
    head -c 100000 /dev/urandom >plain/two
    tar -C plain -cf plain.tar one two
    run 1 "$BITCASK" import -q a </dev/urandom
    says "standard input: "
    head -c 60000 plain.tar >cut.tar
    run 1 "$BITCASK" import -q a <cut.tar
    says "two: "
    run 0 "$BITCASK" ls a
    equal "stored" one "$(cat out)"
    tar -C plain -P --transform 's,^,../,' -cf up.tar one
    run 1 "$BITCASK" import -q a <up.tar
    says '".." are no names'
    run 0 "$BITCASK" ls a
    equal "stored" one "$(cat out)"
    # Names that begin with a slash are below PATH as well.
    tar -P -cf root.tar "$PWD/plain/one"
    run 0 "$BITCASK" import -q a in <root.tar
    equal "one" one "$("$BITCASK" get a "in$PWD/plain/one")"
    # A directory where a key is, and a key where a partition is.
    rm plain/one && mkdir plain/one && echo x >plain/one/x
    tar -C plain -cf dir.tar one
    "$BITCASK" import -q a <dir.tar 2>err && return 1
    grep -q '^bitcask: a/one: ' err
    equal "one" one "$("$BITCASK" get a one)"
    run 1 "$BITCASK" import a nothing <&-
    run 0 "$BITCASK" import -q a </dev/null
}

large_values_are_kept() {
    rm -rf plain a && mkdir plain
    truncate -s 268435457 plain/b-large
    head -c 20M /dev/urandom >>plain/b-large
    echo x >plain/c
    tar -C plain -S -cf big.tar b-large c
    run 0 "$BITCASK" import -q a <big.tar
    run 0 "$BITCASK" ls a
    equal "stored" "b-large c" "$(echo $(cat out))"
    "$BITCASK" get a b-large | cmp - plain/b-large
    run 1 "$BITCASK" export -j a
    says "b-large: larger than 256 MiB"
    [ "$(du -k a | tail -n 1 | cut -f1)" -lt 100000 ]
}

damage_is_left_out() {
    local i file offset
    for i in 1 2 3; do put dmg key$i "$(head -c 500 /dev/zero | tr '\0' $i)"; done
    file=$(data_file dmg)
    offset=$(grep -obaF 2222222222 "$file" | head -n 1 | cut -d: -f1)
    flip "$file" $((offset + 100))
    run 1 "$BITCASK" export dmg
    says "dmg/key2: "
    equal "files" "./ key1 key3" "$(echo $(tar -tf out))"
    run 1 "$BITCASK" export -j dmg
    says "dmg/key2: "
    equal "lines" 3 "$(wc -l <out)"
    run 1 "$BITCASK" query dmg
    says "dmg/key2: "
    run 1 "$BITCASK" query -j dmg
}

# A partition that cannot be read at all is told, once, and what is beside it comes along.
broken_partitions_are_passed_over() {
    local file name
    for name in a b c; do put br $name/key $name; done
    file=$(log_of br b)
    head -c 30 "$file" >cut
    cat cut >"$file"
    run 1 "$BITCASK" export br
    says "br/b: "
    equal "files" "./ a/ a/key b/ c/ c/key" "$(echo $(tar -tf out))"
    run 1 "$BITCASK" export -j br
    says "br/b: "
    for name in "query br b" "mv br b/key a/k" "link br b/key z" "partition drop -r br b"; do
        # shellcheck disable=SC2086
        run 1 "$BITCASK" $name
        says "cut short"
    done
    command -v script >/dev/null || return 0
    script -qec "$BITCASK export br >/dev/null" /dev/null >typescript || true
    equal "messages on a terminal" 1 "$(grep -c 'cut short' typescript)"
    # It takes the place of the bar.
    tr '\r' '\n' <typescript | grep -q '^bitcask: br/b: '
}

what_is_there_is_replaced() {
    local i
    rm -rf plain r && mkdir plain
    put r one old
    put r keep kept
    run 0 "$BITCASK" link r one other
    echo new >plain/one
    tar -C plain -cf one.tar one
    # As tar does it: the name gets a new file, the other one keeps the old.
    for i in 1 2; do run 0 "$BITCASK" import -q r <one.tar; done
    equal one new "$("$BITCASK" get r one)"
    equal other old "$("$BITCASK" get r other)"
    equal keep kept "$("$BITCASK" get r keep)"
    ln plain/one plain/two
    tar -C plain -cf two.tar one two
    for i in 1 2; do run 0 "$BITCASK" import -q r <two.tar; done
    run 0 "$BITCASK" export -j r
    cat out
    grep -q '^{"path": "two", "type": "link", "target": "one"}$' out
}

readers_that_go_away_are_not_told() {
    local words status
    seq 20000 | sed 's/.*/{"path": "k&", "value": "&"}/' | "$BITCASK" import -q -j e
    for words in "export e" "export -j e" "query e" "query -j e" "ls e" "ls -l e" "dump e" "dump -j e" "get e k1"; do
        # shellcheck disable=SC2086
        { "$BITCASK" $words 2>err || echo $? >status; } | head -c 1 >/dev/null
        equal "messages of $words" "" "$(cat err)"
        # And where the signal is ignored, as Python's children have it.
        # shellcheck disable=SC2086
        (trap '' PIPE; "$BITCASK" $words 2>err; echo $? >status) | head -c 1 >/dev/null
        equal "messages of $words without the signal" "" "$(cat err)"
        status=$(cat status)
        [ "$status" -eq 141 ] || [ "$status" -eq 0 ] || { echo "status of $words: $status"; return 1; }
    done
}

# stop_with SIGNAL COMMAND...: runs it, sends the signal once FILE grows no more, and prints its status.
signals_leave_the_store_whole() {
    local pid status
    mkfifo pipe
    # An import whose input stops half way: it waits, and the signal ends it.
    exec 4<>pipe
    # SIGINT may be ignored, where this script itself runs in the background.
    (set +e; env --default-signal=INT "$BITCASK" import -j k <pipe >out 2>err; echo $? >status.new; mv status.new status.k) 4>&- &
    until [ -s k/LOCK ]; do sleep 0.01; done
    seq 5000 | sed 's/.*/{"path": "k&", "value": "&"}/' >&4
    pid=$(tr -d ' \n' <k/LOCK)
    # Some of it is there before the signal comes.
    until "$BITCASK" get k k4000 >/dev/null 2>&1; do sleep 0.05; done
    kill -INT "$pid"
    until [ -e status.k ]; do sleep 0.01; done
    exec 4>&-
    equal "status" 130 "$(cat status.k)"
    grep -q '^bitcask: k: stopped by SIGINT; ' err
    grep -q '^imported [0-9]* keys' out
    run 0 "$BITCASK" verify k
    [ "$("$BITCASK" ls k | wc -l)" -ge 4000 ]
    # One of a tar archive, half way in a large value: that one is not there at all.
    head -c 9000000 /dev/zero >large
    exec 4<>pipe
    rm -f status.k
    (set +e; env --default-signal=INT "$BITCASK" import t <pipe >out 2>err; echo $? >status.new; mv status.new status.k) 4>&- &
    until [ -s t/LOCK ]; do sleep 0.01; done
    (printf small >small; tar -cf - small large | head -c 5000000) >&4
    pid=$(tr -d ' \n' <t/LOCK)
    until "$BITCASK" get t small >/dev/null 2>&1; do sleep 0.05; done
    kill -INT "$pid"
    until [ -e status.k ]; do sleep 0.01; done
    exec 4>&-
    equal "status" 130 "$(cat status.k)"
    equal "stored" small "$("$BITCASK" ls t)"
    run 0 "$BITCASK" verify t
    # An export that nobody reads.
    exec 4<>pipe
    (set +e; exec env --default-signal=INT "$BITCASK" export e) >pipe 2>err 4>&- &
    pid=$!
    sleep 0.3
    kill -TERM "$pid"
    wait "$pid" || status=$?
    exec 4>&-
    equal "status" 143 "$status"
    grep -q '^bitcask: e: stopped by SIGTERM; ' err
}

progress_is_shown_on_a_terminal_only() {
    command -v script >/dev/null || skip_check "no script(1)"
    seq 3000 | sed 's/.*/{"path": "d\/k&", "value": "&"}/' >some
    run 0 "$BITCASK" import -j pr <some
    run 0 "$BITCASK" export pr
    script -qec "$BITCASK import -j pr <some" /dev/null >typescript
    grep -qE '% .* of .*/s, ' typescript
    # Of a pipe nobody knows the size.
    script -qec "cat some | $BITCASK import -j pr" /dev/null >typescript
    grep -qE 'B, .*/s' typescript
    script -qec "$BITCASK export pr >exported" /dev/null >typescript
    grep -qE '% .* of .*/s, ' typescript
    script -qec "$BITCASK export -q pr >exported" /dev/null >typescript
    if grep -q '%' typescript; then return 1; fi
    script -qec "$BITCASK partition drop -r pr d" /dev/null >typescript
    grep -qE 'names, .*/s' typescript
    script -qec "$BITCASK export pr" /dev/null >typescript && return 1
    grep -q 'nothing for a terminal' typescript
    script -qec "$BITCASK bench -n 2000 pb get" /dev/null >typescript
    grep -q 'operations a second' typescript
}

sockets_and_foreign_attributes() {
    echo '{"path": "so", "type": "socket"}
{"path": "key", "value": "1", "xattrs_base64": "AAEC"}' | run 0 "$BITCASK" import -j so
    "$BITCASK" export so >out 2>err && return 1
    grep -q '^bitcask: 1 socket left out' err
    grep -q '^bitcask: so/key: its extended attributes are in no form' err
    equal "names" "./ key" "$(echo $(tar -tf out))"
    "$BITCASK" export -j so >lines
    grep -q '"type": "socket"' lines
    run 0 "$BITCASK" import -j so2 <lines
    "$BITCASK" export -j so2 | cmp - lines
}

# A tree of many files; make check takes some, LONG the 50,000 that are promised.
many_files_are_equal() {
    local count=3000
    [ "$LONG" = 0 ] || count=50000
    rm -rf many && mkdir many
    (cd many && seq $count | awk '{d = "d" int($1 / 500); if (d != last) {print "mkdir " d; last = d}
        f = d "/f" $1; print "printf %0" ($1 * 7919 % 700) "d " $1 " >" f; if ($1 % 50 == 0) print "ln " f " " f "-link"
        if ($1 % 70 == 0) print "ln -s " f " " f "-symlink"}' | sh)
    tar -C many --format=posix -cf many.tar .
    run 0 "$BITCASK" import big <many.tar
    cat out
    run 0 "$BITCASK" export big
    mkdir many_tar many_out
    tar -C many_out -xpf out
    tar -C many_tar -xpf many.tar
    listing many_tar >wanted.many
    listing many_out | cmp - wanted.many
    [ "$(find many_out -type f | wc -l)" -ge $count ]
}

check "trees come out as they went in" trees_come_out_as_they_went_in
check "bsdtar reads and is read" bsdtar_reads_and_is_read
check "other formats and compressions are read" other_formats_and_compressions_are_read
check "the mount shows what was imported" mount_shows_what_was_imported
check "lines with binary keys come back" lines_with_binary_keys_come_back
check "lines that are wrong are told" lines_that_are_wrong_are_told
check "archives that are wrong are told" archives_that_are_wrong_are_told
check "large values are kept" large_values_are_kept
check "damage is left out" damage_is_left_out
check "broken partitions are passed over" broken_partitions_are_passed_over
check "what is there is replaced" what_is_there_is_replaced
check "readers that go away are not told" readers_that_go_away_are_not_told
check "signals leave the store whole" signals_leave_the_store_whole
check "progress is shown on a terminal only" progress_is_shown_on_a_terminal_only
check "sockets and foreign attributes" sockets_and_foreign_attributes
check "many files are equal" many_files_are_equal
finish
