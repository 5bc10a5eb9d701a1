#!/usr/bin/env bash
# cli_help.sh - everything that bitcask COMMAND --help prints is run here: each command with each of its options, short
# and long, and what it is said to do is looked at. In the end the help texts are read, and an option that was not run
# is a failure.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1

# b STATUS COMMAND...: as run, of bitcask, and noted down.
b() {
    local status=$1
    shift
    printf '%s\n' "$*" >>"$TEST_DIR/ran"
    run "$status" "$BITCASK" "$@"
}

# shows TEXT: it is all that the last command printed, newlines as spaces.
shows() {
    equal "output" "$1" "$(tr '\n' ' ' <out | sed 's/ $//')"
}

put_options() {
    echo value >value
    b 0 put p key <value
    b 0 put -f value p -p a/b
    b 0 put --file value --parents p c/d
    b 0 put -e p 'x\x01y' <value
    b 0 put --escape p 'back\\slash' <value
    run 0 "$BITCASK" ls p
    shows "$(printf 'a/ back\\slash c/ key x\001y')"
    run 0 "$BITCASK" get p c/d
    shows value
}

get_options() {
    b 0 get p key
    shows value
    b 0 get -e p 'x\x01y'
    b 0 get --escape p 'back\x5cslash'
    shows value
}

del_options() {
    local name
    for name in d/a d/b d/c d/d e/f g/h; do put d $name x; done
    b 0 del d d/a
    b 0 del -e d 'd/\x62'
    b 0 del --escape d 'd/\x63'
    printf 'd\0' | b 0 del -0 d d
    b 0 del -d d d
    printf 'e/f\0g/h' | b 0 del --null d
    b 0 del --partition d e
    b 0 ls d
    shows g/
    # What cannot be deleted is told, and the rest deleted.
    put d i x
    printf 'none\0i\0' | b 1 del -0 d
    says "d/none"
    b 0 ls d
    shows g/
}

ls_options() {
    b 0 ls p c
    shows d
    b 0 ls -l p key
    grep -qE '^-rw-r--r-- +[0-9]+ +[0-9]+ +6 2.*Z key$' out
    b 0 ls --long p key
    b 0 ls -e p
    shows 'a/ back\\slash c/ key x\x01y'
    b 0 ls --escape p
    shows 'a/ back\\slash c/ key x\x01y'
    b 0 ls -0 p
    equal "names" 'a/|back\slash|c/|key|' "$(tr '\0' '|' <out | sed 's/x.*//')"
    b 0 ls --null p a
    equal "names" 'b|' "$(tr '\0' '|' <out)"
}

query_options() {
    local i
    for i in 1 2 3 4 5; do put q k$i v$i; done
    put q other/x y
    b 0 query q
    shows "$(printf 'k1\tv1 k2\tv2 k3\tv3 k4\tv4 k5\tv5 other/')"
    b 0 query --from k2 --to k4 -k q
    shows "k2 k3 k4"
    b 0 query --prefix k --after k3 --keys-only q
    shows "k4 k5"
    b 0 query --prefix k --after k3 -r -k q
    shows "k2 k1"
    b 0 query --limit 2 --reverse -k q
    shows "other/ k5"
    b 0 query -k -0 --limit 1 q
    equal "names" 'k1|' "$(tr '\0' '|' <out)"
    b 0 query -k --null --limit 1 q
    equal "names" 'k1|' "$(tr '\0' '|' <out)"
    b 0 query -j --limit 1 q
    grep -q '^{"path": "k1", "type": "file", .*"mtime": "2.*Z", "value": "v1"}$' out
    b 0 query --json -k --limit 1 q
    grep -q '"size": 2}$' out
    put q $'\001\t\\' $'a\tb\n'
    b 0 query -e --prefix '\x01' q
    shows "$(printf '\\x01\\x09\\\\\ta\\x09b\\x0a')"
    b 0 query --escape --from '\x01' --limit 1 -k q
    shows '\x01\x09\\'
    for i in 0 x -1 1x 99999999999999999999; do b 2 query --limit $i q; done
    b 2 query --null q
    b 1 query q none
    says q/none
}

mv_options() {
    put m a 1
    put m b 2
    put m p/x 3
    b 0 mv m a c
    b 1 mv -n m b c
    b 1 mv --no-replace m b c
    says m/c
    b 0 mv -x m b c
    b 0 get m b
    shows 1
    b 0 mv --exchange m b c
    b 0 mv m b p
    b 0 ls m p
    shows "b x"
    b 1 mv -T m c p
    says m/p
    run 0 "$BITCASK" partition create m empty
    b 0 mv --no-target-directory m p empty
    b 0 ls m empty
    shows "b x"
    b 0 mv -e m '\x63' 'new\x20name'
    b 0 mv --escape m 'new\x20name' d
    b 0 ls m
    shows "d empty/"
    b 1 mv m empty empty/below
    b 1 mv m none other
    says m/none
    b 1 mv m / x
    b 2 mv -x -n m d e
}

link_options() {
    put l a 1
    put l p/x 2
    b 0 link l a b
    b 0 link -e l 'a' 'c\x01'
    b 0 link --escape l 'c\x01' p
    printf changed | run 0 "$BITCASK" put l a
    b 0 get l b
    shows changed
    b 0 get -e l 'p/c\x01'
    shows changed
    b 1 link l a b
    says l/b
    b 1 link l p q
    says "is a partition"
    b 1 link l none q
}

partition_options() {
    b 0 partition create t a
    b 1 partition create t x/y
    b 0 partition create -p t x/y
    b 0 partition create --parents t x/y/z
    b 1 partition create t a
    b 0 partition create -e t 'e\x01'
    b 0 partition ls t
    shows "$(printf 'a/ e\001/ x/')"
    b 0 partition ls -r t
    shows "$(printf 'a/ e\001/ x/ x/y/ x/y/z/')"
    b 0 partition ls --recursive --escape t
    shows 'a/ e\x01/ x/ x/y/ x/y/z/'
    b 0 partition ls -0 t x
    equal "names" 'y/|' "$(tr '\0' '|' <out)"
    b 0 partition ls --null t x
    b 0 partition ls -j t x
    grep -qE '^\{"path": "y", "id": "[0-9a-f]{16}", "inode": [0-9]+\}$' out
    b 0 partition ls --json t x
    b 0 partition rename t x/y b
    b 0 partition ls -r t
    shows "$(printf 'a/ b/ b/z/ e\001/ x/')"
    b 1 partition rename t b a
    says t/a
    put t a/key 1
    b 1 partition drop t a
    says "partition drop --recursive"
    b 1 partition rename t a/key c
    b 1 partition drop t a/key
    b 0 partition drop -r -q t a
    put t b/z/key 1
    b 0 partition drop --recursive --quiet t b
    b 0 partition drop t x
    b 0 ls -e t
    shows 'e\x01/'
    b 1 partition drop -r t none
    b 1 partition drop -r t /
    b 2 partition
    b 2 partition create
    b 2 partition create -r t x
    b 2 partition dropp t x
    says "did you mean drop?"
}

import_and_export_options() {
    mkdir -p tree/sub
    echo one >tree/sub/one
    tar -C tree -cf tree.tar .
    b 0 import i <tree.tar
    grep -qE '^imported 1 key, 2 partitions, 0 links, 4 bytes in ' out
    b 0 import -q i at/here <tree.tar
    shows ""
    b 0 import --quiet -e i 'es\x01' <tree.tar
    b 0 import --escape i 'es\x02' <tree.tar
    b 0 ls -e i
    shows 'at/ es\x01/ es\x02/ sub/'
    b 0 export i
    equal "files" 4 "$(tar -tf out | grep -c 'sub/one$')"
    b 0 export -q -e i 'es\x01'
    equal "files" "./ sub/ sub/one" "$(echo $(tar -tf out))"
    b 0 export --quiet --escape i 'es\x02'
    b 0 export -j i at/here
    grep -q '^{"path": "sub/one", .*"value": "one\\u000a"}$' out
    cp out lines
    b 0 export --json i at/here
    cmp out lines
    b 0 import -j i j <lines
    b 0 import --json i k <lines
    b 0 get i k/sub/one
    shows one
}

stats_options() {
    b 0 stats p
    grep -qE '^live_keys +[0-9]' out
    b 0 stats -j -s p
    grep -q '"segments": \[' out
    b 0 stats --json --segments p c
    b 0 stats -p p
    grep -q '^# TYPE bitcask_live_keys gauge$' out
    b 0 stats --prometheus p c
    put p $'odd\001/key' x
    b 0 stats -e -j p 'odd\x01'
    grep -q '"live_keys": 1,' out
    b 0 stats --escape p 'odd\x01'
    b 1 stats p 'odd\x01'
    b 1 stats -e p 'odd\x1'
    says "not an escape"
}

dump_options() {
    local i
    for i in $(seq 400); do echo "{\"path\": \"k$i\", \"value\": \"$i\"}"; done | run 0 "$BITCASK" import -j u
    run 0 "$BITCASK" del u k17
    b 0 dump u
    grep -qE ' ok .* "k400"$' out
    b 0 dump -j u
    grep -q '^{"type": "header", "file": "active.data", .*"segment_id": 1, ' out
    equal "records" 400 "$(grep -c '"check": "ok", .*"key": "k' <(grep -v tombstone out))"
    b 0 dump --json u
    b 0 dump --hints u
    grep -q ': hint of segment 1, ' out
    grep -qE ' entry .* tombstone "k17"$' out
    b 0 dump --hints -j u
    grep -q '^{"type": "hint", .*"generation": "[0-9a-f]*", "data_size": [0-9]*, "keys": 40[0-9]}' out
    equal "entries" 400 "$(grep -c '^{"type": "entry", .*"key": "k' out)"
    hint=$(find u -name '*.hint' -path '*0000000000000000*')
    b 0 dump "$hint"
    grep -q ': hint of segment 1, ' out
}

dump_of_odd_names() {
    b 0 dump -e p 'odd\x01'
    grep -q ' "key"$' out
    b 0 dump --escape p 'odd\x01'
}

dump_of_checkpoints() {
    local i index
    for i in $(seq 3000); do echo "{\"path\": \"k$i\", \"value\": \"$i\"}"; done | run 0 "$BITCASK" import -j w
    if ! "$BITCASK" dump --checkpoint w >/dev/null 2>&1; then skip_check "no checkpoint was written"; fi
    b 0 dump --checkpoint w
    grep -q '^index: checkpoint of partition 0000000000000000, 300[0-9]* keys' out
    grep -qE ' slot .* segments 1 to 1, ' out
    b 0 dump --checkpoint -j w
    grep -q '^{"type": "checkpoint", .*"partition_id": "0000000000000000", "keys": 300' out
    grep -q '^{"type": "block", ' out
    index=$(find w -name index -path '*0000000000000000*')
    b 0 dump "$index"
    flip "$index" 5000
    b 1 dump --checkpoint w
    says checks
    grep -q ' BAD$' out
    flip "$index" 10
    b 1 dump "$index"
    grep -q ' BAD$' out
    # It was disposable.
    run 0 "$BITCASK" get w k77
    shows 77
}

merge_options() {
    b 0 merge p
    b 0 merge --full --rate 20M -q p
    b 0 merge --quiet p c
    b 0 merge -e -q p 'odd\x01'
    b 0 merge --escape --quiet p 'odd\x01'
    b 1 merge p 'odd\x01'
}

verify_options() {
    b 0 verify p
    b 0 verify -j p
    b 0 verify --json -q p c
    b 0 verify --repair --quiet p
    b 0 verify -e p 'odd\x01'
    grep -q '^1 partition, ' out
    b 0 verify --escape -q p 'odd\x01'
    b 2 verify -e p 'odd\x00' # neither sound nor damaged
}

bench_options() {
    b 0 bench -n 300 -s 1K -t 2 -q n
    [ ! -e n ]
    equal "workloads" "fill get miss overwrite durable query open mixed" "$(echo $(tail -n +2 out | cut -d ' ' -f 1))"
    mkdir n
    b 0 bench --ops 200 --size 10 --threads 1 --quiet --json n get miss
    [ -d n ]
    equal "left" "" "$(ls n)"
    equal "lines" 2 "$(grep -c '"p50_ns": [0-9]*, "p99_ns": [0-9]*, "p999_ns": [0-9]*, "max_ns": ' out)"
    equal "workloads" "get miss" "$(echo $(sed 's/.*"workload": "\([a-z]*\)".*/\1/' out))"
    grep -q '"ops": 200, "threads": 1, "value_bytes": 10, ' out
    b 0 bench -n 50 -j -k n fill overwrite durable query open mixed
    b 0 query -k --limit 1 n
    shows k000000000000
    b 1 bench -n 50 n
    says "not empty"
    b 0 bench -n 50 --keep n2 fill
    b 0 verify -q n2
    # Stopped, it tidies up as well.
    (exec env --default-signal=INT "$BITCASK" bench -n 50000000 -q n4) >out 2>err &
    until [ -s n4/LOCK ]; do sleep 0.01; done
    kill -INT $!
    status=0
    wait $! || status=$?
    equal "status" 130 "$status"
    grep -q '^bitcask: n4: stopped by SIGINT; the store was removed$' err
    [ ! -e n4 ]
    b 2 bench -n 0 n3
    b 2 bench -s 1G n3
    b 2 bench -n 10 n3 fil
    says "did you mean fill?"
    [ ! -e n3 ]
}

# Without anything behind it each command says what is missing.
missing_operands_are_named() {
    local command
    run 0 "$BITCASK" --help
    for command in $(sed -n 's/^  \([a-z]*\) .*/\1/p' out); do
        run 2 "$BITCASK" "$command" </dev/null
        says " is missing; see bitcask $command --help"
    done
    for command in "put p" "get p" "mv p" "mv p a" "link p a" "partition create" "partition create p" \
        "partition rename p a"; do
        # shellcheck disable=SC2086
        run 2 "$BITCASK" $command </dev/null
        says " is missing; see bitcask "
    done
}

# Of each command's help: each line that begins with options names them in front of two spaces, or of the line's end.
every_option_was_run() {
    local command option missing=
    run 0 "$BITCASK" --help
    cp out help
    for command in $(sed -n 's/^  \([a-z]*\) .*/\1/p' help); do
        run 0 "$BITCASK" "$command" --help
        grep -q "^Usage: bitcask $command " out
        grep -q "^$command\( \|\$\)" ran || missing="$missing $command"
        for option in $(sed -n 's/^ *\(-.*\)$/\1/p' out | sed 's/   *[^-].*//' | tr -d , | tr ' ' '\n' | grep '^-'); do
            grep -qE "^$command (.* )?${option}( |\$)" ran || missing="$missing $command:$option"
        done
    done
    equal "not run" "" "$missing"
    [ "$(wc -l <ran)" -gt 100 ]
    # Would it have been noticed?
    run 0 "$BITCASK" query --help
    sed -n 's/^ *\(-.*\)$/\1/p' out | sed 's/   *[^-].*//' | tr -d , | tr ' ' '\n' | grep -qx -- --after
}

check "put" put_options
check "get" get_options
check "del" del_options
check "ls" ls_options
check "query" query_options
check "mv" mv_options
check "link" link_options
check "partition" partition_options
check "import and export" import_and_export_options
check "stats" stats_options
check "dump" dump_options
check "dump of odd names" dump_of_odd_names
check "dump of checkpoints" dump_of_checkpoints
check "merge" merge_options
check "verify" verify_options
check "bench" bench_options
check "missing operands are named" missing_operands_are_named
check "every option was run" every_option_was_run
finish
