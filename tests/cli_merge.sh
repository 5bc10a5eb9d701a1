#!/usr/bin/env bash
# cli_merge.sh - bitcask merge and verify, and stats --segments: what they print, where, their exit statuses, that a
# signal stops them in good order, and that damage is found, named, and set aside by --repair.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1

# block CHARACTER SIZE: so many of it.
block() {
    head -c "$2" /dev/zero | tr '\0' "$1"
}

# overwritten STORE SIZE: "dir/kept" has SIZE bytes, and so much again is dead beside it.
overwritten() {
    head -c "$2" /dev/urandom >"$1.value"
    "$BITCASK" put -p "$1" dir/kept <"$1.value"
    "$BITCASK" put "$1" dir/kept <"$1.value"
    put "$1" dir/gone 1
    "$BITCASK" del "$1" dir/gone
    put "$1" top fine
}

# kept STORE: what overwritten() left is there, and nothing else.
kept() {
    "$BITCASK" get "$1" dir/kept | cmp - "$1.value"
    equal "top" fine "$("$BITCASK" get "$1" top)"
    equal "listing" kept "$("$BITCASK" ls "$1" dir)"
    run 0 "$BITCASK" verify --quiet "$1"
}

# sealed STORE PATH: the data files of that partition that are not appended to any more.
sealed() {
    find "$(dirname "$(log_of "$1" "$2")")" -name '[0-9]*.data' | sort
}

# offset_of FILE TEXT: where it first stands in FILE.
offset_of() {
    grep -obaF -- "$2" "$1" | head -n 1 | cut -d: -f1
}

# json_lines FILE: each line must be a JSON value.
json_lines() {
    command -v python3 >/dev/null || {
        echo "no python3: JSON is not checked"
        return 0
    }
    python3 -c 'import json, sys
for line in open(sys.argv[1], "rb"): json.loads(line)' "$1"
}

# wait_catching PID: until that process catches SIGINT and SIGTERM.
wait_catching() {
    local tries=0 caught
    while true; do
        caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || :
        [ -n "$caught" ] || { echo "process $1 has ended: $(cat err)"; return 1; }
        [ $((0x$caught & 0x4002)) -ne $((0x4002)) ] || return 0
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || { echo "process $1 catches no signal after 2 minutes"; return 1; }
        sleep 0.02
    done
}

# ---- stats ----

stats_list_the_segments() {
    put m1 key 1
    put m1 key 22
    put m1 $'d"\377/k' 333
    run 0 "$BITCASK" stats --segments m1
    grep -qE '^file +id +lowest +bytes +live +dead% +keys +tombstones +hint +check +partition$' out
    grep -qE '^active\.data +1 +1 +[0-9]+ +[0-9]+ +[0-9]+\.[0-9] +2 +0 +0 ok +/$' out
    grep -qE '^active\.data .* +1 +0 +0 ok +d\\"\\xff$' out
    grep -qE '^segments +2 ' out
    grep -qE '^tombstone_bytes +0 ' out
    grep -qE '^hint_bytes +[0-9]+ ' out
    run 0 "$BITCASK" stats --segments m1 $'d"\377'
    equal "segments listed" 1 "$(grep -c '^active\.data ' out)"
    run 1 "$BITCASK" stats --segments m1 none
    equal "output" "" "$(cat out)"
}

stats_are_json() {
    local words
    put m2 $'d"\377/k' 333
    put m2 empty/key 1
    "$BITCASK" del m2 empty/key
    for words in "-j m2" "-j -s m2" "--json --segments m2 empty"; do
        # shellcheck disable=SC2086
        run 0 "$BITCASK" stats $words
        equal "lines" 1 "$(wc -l <out)"
        json_lines out
    done
    grep -qF '{"segments": [{"partition": "empty", "file": "active.data", "id": 1, "lowest_id": 1, "active": true' out
    grep -qE '"live_bytes": 0, "dead_percent": 100\.0, "live_keys": 0, "tombstone_bytes": [1-9][0-9]*, ' out
    grep -qE ', "hint_bytes": [0-9]+, "damaged": false\}\], "partitions": 1, ' out
    run 0 "$BITCASK" stats -j -s m2
    grep -qF '{"partition": "d\"\ufffd", "partition_hex": "6422ff", "file": ' out
    equal "members named segments" 1 "$(grep -o '"segments"' out | wc -l)"
    run 0 "$BITCASK" stats -j m2
    grep -q '"segments": 3,' out
    grep -qE '"tombstone_bytes": [1-9][0-9]*, .*"hint_bytes": ' out
}

# ---- merge ----

merge_gives_space_back_and_tells() {
    local line
    overwritten m3 100000
    run 0 "$BITCASK" merge m3
    equal "lines" 1 "$(wc -l <out)"
    line='^merged [0-9]+ segments? into [0-9]+: ([0-9]+) bytes before, ([0-9]+) after, ([0-9]+) reclaimed, in .+ s$'
    [[ $(cat out) =~ $line ]] || { cat out; return 1; }
    equal "reclaimed" "${BASH_REMATCH[3]}" $((BASH_REMATCH[1] - BASH_REMATCH[2]))
    [ "${BASH_REMATCH[3]}" -gt 100000 ]
    kept m3
    run 0 "$BITCASK" merge m3
    equal "the second time" "nothing to merge" "$(cat out)"
    run 0 "$BITCASK" merge --full m3
    grep -q '^merged ' out
    kept m3
    run 0 "$BITCASK" merge --quiet m3
    equal "quiet output" "" "$(cat out)"
    run 0 "$BITCASK" merge -q --full --rate 100M m3
    equal "quiet output" "" "$(cat out)"
    kept m3
}

# figures STORE PATH: its stats as JSON, without the time that opening took.
figures() {
    "$BITCASK" stats -j "$@" | sed 's/"open_ns": [0-9]*//'
}

merge_of_a_path_leaves_the_rest() {
    local before
    overwritten m4 50000
    put m4 other/key "$(block 1 50000)"
    put m4 other/key "$(block 2 50000)"
    before=$(figures m4 other)
    run 0 "$BITCASK" merge m4 dir
    grep -q '^merged ' out
    equal "the other partition" "$before" "$(figures m4 other)"
    # From the root on, it is below.
    run 0 "$BITCASK" merge m4
    [ "$(sed 's/.*"dead_bytes": \([0-9]*\).*/\1/' <("$BITCASK" stats -j m4 other))" -lt 50000 ]
    equal "other/key" "$(block 2 50000)" "$("$BITCASK" get m4 other/key)"
    kept m4
}

merge_shows_progress_on_a_terminal_only() {
    local begun took draws
    overwritten m5 1000000
    run 0 "$BITCASK" merge --full --rate 1M m5
    command -v script >/dev/null || skip_check "no script(1) (bsdutils) to make a terminal with"
    begun=$(date +%s%N)
    script -qec "stty cols 100; '$BITCASK' merge --full --rate 500K m5" /dev/null </dev/null >out
    took=$((($(date +%s%N) - begun) / 100000000))
    tr '\r' '\n' <out | grep -qE '^ *[0-9]+% \[[=> ]{8,}\] [0-9.]+ .*B of [0-9.]+ .iB, .*/s, .* left  [d/(]'
    tr '\r' '\n' <out | grep -q '^merged '
    [ "$(tr '\r' '\n' <out | grep '%' | wc -L)" -lt 100 ]
    draws=$(tr '\r' '\n' <out | grep -c '%')
    [ "$draws" -le $((took + 2)) ] || { echo "$draws times in $took tenths of a second"; return 1; }
    script -qec "'$BITCASK' merge --full --quiet m5" /dev/null </dev/null >out
    equal "quiet output" "" "$(cat out)"
    # Standard output is a terminal and standard error is none.
    script -qec "'$BITCASK' merge --full m5 2>err" /dev/null </dev/null >out
    equal "messages" "" "$(cat err)"
    kept m5
}

# stopped SIGNAL STATUS: a merge of m6 that would take a minute is stopped, and the store is whole.
stopped() {
    local pid status=0
    # Jobs of a script ignore SIGINT, unless told not to.
    env --default-signal=INT "$BITCASK" merge --full --rate 32K m6 >out 2>err &
    pid=$!
    BACKGROUND+=("$pid")
    wait_catching "$pid"
    # It has the store: before that a second one would be first.
    for _ in $(seq 6000); do
        if find "/proc/$pid/fd" -lname '*/m6/LOCK' 2>/dev/null | grep -q .; then break; fi
        sleep 0.02
    done
    # Reading goes on meanwhile; a second writer is refused.
    "$BITCASK" get m6 dir/kept | cmp - m6.value
    if "$BITCASK" merge m6 2>refused; then return 1; fi
    grep -q "^bitcask: m6 is in use by process $pid (bitcask merge .*); .* echo merge > MNT/.bitcask/control\$" refused
    kill -s "$1" "$pid"
    wait "$pid" || status=$?
    equal "status" "$2" "$status"
    equal "lines of message: $(cat err)" 1 "$(wc -l <err)"
    says "bitcask: m6: stopped by SIG$1"
    kept m6
}

merge_stops_on_a_signal_with_the_store_whole() {
    local pid
    overwritten m6 2000000
    stopped INT 130
    stopped TERM 143
    run 0 "$BITCASK" merge m6
    grep -q '^merged ' out
    kept m6
    # What the shell has made it ignore stays ignored: nohup and background jobs rely on that.
    (trap '' INT TERM; exec "$BITCASK" merge --full --rate 4M m6) >out 2>err &
    pid=$!
    BACKGROUND+=("$pid")
    sleep 0.2
    kill -s INT "$pid" 2>/dev/null || :
    wait "$pid"
    grep -q '^merged ' out
}

merge_leaves_damage_alone_and_says_so() {
    local file
    overwritten m7 50000
    put m7 hurt/one "$(block 1 5000)"
    put m7 hurt/one "$(block 2 5000)"
    put m7 hurt/two "$(block 3 5000)"
    file=$(log_of m7 hurt)
    flip "$file" $(($(offset_of "$file" 2222222222) + 100))
    cp "$file" hurt.data
    run 1 "$BITCASK" merge m7
    says "bitcask verify m7"
    says "damaged"
    grep -q '^merged ' out
    # It may have been sealed, but not a byte of it was changed.
    find "$(dirname "$file")" -name '*.data' -exec cmp -s -n 10000 {} hurt.data \; -print | grep -q .
    equal "hurt/two" "$(block 3 5000)" "$("$BITCASK" get m7 hurt/two 2>/dev/null)"
    "$BITCASK" get m7 dir/kept 2>/dev/null | cmp - m7.value
}

merge_refuses_what_it_cannot_do() {
    local words
    put m8 dir/key 1
    contents m8 | grep -v LOCK >before
    run 1 "$BITCASK" merge m8 none
    says "m8/none: "
    run 1 "$BITCASK" merge m8 dir/key
    says "m8/dir/key: "
    run 1 "$BITCASK" merge m8 ..
    run 1 "$BITCASK" merge missing
    for words in "" "--frob m8" "m8 a b" "--rate m8" "--rate=x m8" "--rate=-1 m8" "--rate=4095 m8" "--rate=1Q m8" \
        "--rate=1KB m8" "--rate=K m8" "--rate= m8" "--rate=9999999999999999999999 m8" "--rate=99999999999G m8" \
        "--full=1 m8" "--json m8"; do
        # shellcheck disable=SC2086
        run 2 "$BITCASK" merge $words
    done
    contents m8 | grep -v LOCK | cmp - before
    [ ! -e missing ]
    for words in 0 4096 4K 4k 1M 1g; do run 0 "$BITCASK" merge --rate "$words" m8; done
}

# without_override COMMAND...: as this user, but bound by permissions, which root is not.
without_override() {
    if is_root; then
        setpriv --bounding-set=-dac_override,-dac_read_search -- "$@"
    else
        "$@"
    fi
}

read_only_directory_is_verified_and_not_merged() {
    overwritten m9 50000
    contents m9 >before
    chmod -R a-w m9
    if is_root; then
        without_override true 2>/dev/null || skip_check "root, and no setpriv that could take its privileges away"
    fi
    run 1 without_override "$BITCASK" merge m9
    says "m9"
    run 0 without_override "$BITCASK" verify m9
    run 2 without_override "$BITCASK" verify --repair m9
    says "m9"
    chmod -R u+w m9
    contents m9 | cmp - before
}

store_in_use_is_not_merged() {
    require_fuse
    STORE=$TEST_DIR/m10
    overwritten m10 50000
    "$BITCASKFS" -o commit_ms=0 "$STORE" "$MNT"
    run 1 "$BITCASK" merge "$STORE"
    says "in use by process "
    says ", mounted on $MNT; the same through the mount: echo merge > $MNT/.bitcask/control"
    run 2 "$BITCASK" verify --repair "$STORE"
    says "use"
    run 0 "$BITCASK" verify "$STORE"
    grep -q ' looked at in .*: no damage' out
    cmp "$MNT/dir/kept" m10.value
    if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
    # A command right after an unmount waits for the daemon to end.
    run 0 "$BITCASK" merge "$STORE"
    kept m10
}

# ---- verify ----

sound_store_is_status_0() {
    overwritten m11 50000
    contents m11 >before
    run 0 "$BITCASK" verify m11
    equal "lines" 1 "$(wc -l <out)"
    grep -qE '^[2-9] partitions, [2-9] segments, [0-9]+ records, [0-9]+ bytes looked at in [0-9.]+ s: no damage$' out
    run 0 "$BITCASK" verify m11 dir
    grep -qE '^1 partition, 1 segment, ' out
    run 0 "$BITCASK" verify --quiet m11
    equal "quiet output" "" "$(cat out)"
    run 0 "$BITCASK" verify --json m11
    equal "lines" 1 "$(wc -l <out)"
    grep -qE '^\{"type": "summary", "partitions": [2-9], .*"damage": 0, .*"complete": true\}$' out
    json_lines out
    contents m11 | cmp - before
    run 0 "$BITCASK" verify --repair m11
    grep -q ': no damage$' out
    kept m11
}

verify_shows_progress_on_a_terminal_only() {
    overwritten m12 1000000
    command -v script >/dev/null || skip_check "no script(1) (bsdutils) to make a terminal with"
    script -qec "stty cols 100; '$BITCASK' verify m12" /dev/null </dev/null >out
    tr '\r' '\n' <out | grep -qE '^ *[0-9]+% \['
    tr '\r' '\n' <out | grep -q ': no damage$'
    script -qec "'$BITCASK' verify --quiet m12" /dev/null </dev/null >out
    equal "quiet output" "" "$(cat out)"
}

verify_refuses_what_it_cannot_do() {
    local words
    put m13 dir/key 1
    mkdir holds-other
    echo x >holds-other/file
    for words in "m13 none" "m13 dir/key" "m13 .." "missing" "holds-other" "holds-other/file" "" "--frob m13" \
        "m13 a b" "--json=1 m13" "--rate=1M m13" "--repair missing" "--repair m13 none" "--repair m13 .." "--repair"; do
        # shellcheck disable=SC2086
        run 2 "$BITCASK" verify $words
        equal "output" "" "$(cat out)"
    done
    if [ -c /dev/full ]; then
        "$BITCASK" verify m13 >/dev/full 2>err && return 1
        equal "status of lost output" 2 $?
        says "standard output"
    fi
}

# hurt STORE: its partition "dir" has the keys one, $'t"\377' and three, of 500 bytes 1, 2 and 3. Sets file.
hurt() {
    put "$1" dir/one "$(block 1 500)"
    put "$1" $'dir/t"\377' "$(block 2 500)"
    put "$1" dir/three "$(block 3 500)"
    put "$1" top fine
    file=$(log_of "$1" dir)
}

# repaired STORE KEY...: verify --repair sets something aside, after which the store is sound and has these keys.
repaired() {
    local store=$1 key
    shift
    run 1 "$BITCASK" verify --repair "$store"
    says "set aside as *.damaged"
    grep -qE ', [0-9]+ segments? set aside as \*\.damaged$' out
    find "$store/partitions" -name '*.damaged*' | grep -q .
    run 0 "$BITCASK" verify "$store"
    for key; do run 0 "$BITCASK" get "$store" "$key"; done
    equal "top" fine "$("$BITCASK" get "$store" top)"
    # And it takes writes again.
    put "$store" dir/new 1
    run 0 "$BITCASK" verify --quiet "$store"
}

damaged_value_is_named_and_set_aside() {
    local file at found
    hurt m14
    at=$(($(offset_of "$file" 2222222222) + 100))
    flip "$file" $at
    contents m14 >before
    run 1 "$BITCASK" verify m14
    says "verify --repair"
    equal "findings" 1 "$(grep -c '^dir: ' out)"
    found='^dir: active\.data: offset ([0-9]+), ([0-9]+) bytes, key "t\\"\\xff": .'
    [[ $(grep '^dir: ' out) =~ $found ]] || { cat out; return 1; }
    [ "${BASH_REMATCH[1]}" -le $at ]
    [ $((BASH_REMATCH[1] + BASH_REMATCH[2])) -gt $at ]
    grep -qE ' looked at in .*: 1 damaged place' out
    run 1 "$BITCASK" verify --quiet m14
    equal "quiet output" 1 "$(wc -l <out)"
    grep -q '^dir: active\.data: ' out
    run 1 "$BITCASK" verify --json m14 dir
    json_lines out
    equal "lines" 2 "$(wc -l <out)"
    grep -qF '{"type": "finding", "kind": "damage", "partition": "dir", "file": "active.data", "offset": ' out
    grep -qF '"key": "t\"\ufffd", "key_hex": "7422ff", "text": "' out
    grep -qE '^\{"type": "summary", .*"damage": 1, ' out
    contents m14 | cmp - before
    repaired m14 dir/one dir/three
    run 1 "$BITCASK" get m14 $'dir/t"\377'
    equal "dir/one" "$(block 1 500)" "$("$BITCASK" get m14 dir/one)"
    equal "dir/three" "$(block 3 500)" "$("$BITCASK" get m14 dir/three)"
}

damaged_head_is_found() {
    local file at
    hurt m15
    at=$("$BITCASK" dump m15 dir | awk '/t\\"\\xff/ { print $1 }')
    flip "$file" $((at + 4))
    run 1 "$BITCASK" verify m15
    grep -qE "^dir: active\.data: offset $at, [0-9]+ bytes: " out
    repaired m15 dir/one dir/three
}

damaged_file_header_is_damage() {
    local file
    hurt m16
    flip "$file" 30
    run 1 "$BITCASK" verify m16
    grep -q '^dir: ' out
    grep -qE ' looked at in .*: [0-9]+ damaged place' out
    run 1 "$BITCASK" verify --json m16
    json_lines out
    run 1 "$BITCASK" verify m16 dir
    run 1 "$BITCASK" verify --json m16 dir
    json_lines out
    grep -q '"partition": "dir"' out
    # Cut within the header, and no data file at all.
    truncate -s 40 "$file"
    run 1 "$BITCASK" verify m16
    grep -q '^dir: ' out
    head -c 2000 /dev/urandom >"$file"
    run 1 "$BITCASK" verify m16
    grep -q '^dir: ' out
    equal "top" fine "$("$BITCASK" get m16 top)"
}

damaged_root_is_damage() {
    local file
    hurt m17
    file=$(data_file m17)
    flip "$file" 30
    run 1 "$BITCASK" verify m17
    grep -q '^/: ' out
    run 1 "$BITCASK" verify --json m17
    json_lines out
    grep -q '"partition": ""' out
}

# sealed_and_hurt STORE: the same, in a sealed file, with a newer active one after it. Sets sealed.
sealed_and_hurt() {
    local file
    hurt "$1"
    run 0 "$BITCASK" merge -q --full "$1" dir
    put "$1" dir/newer 4
    sealed=$(sealed "$1" dir)
    equal "sealed data files" 1 "$(wc -l <<<"$sealed")"
    run 0 "$BITCASK" verify -q "$1"
}

truncated_segment_is_damage() {
    local sealed
    sealed_and_hurt m18
    truncate -s -100 "$sealed"
    run 1 "$BITCASK" verify m18
    grep -q "^dir: $(basename "$sealed"): " out
    repaired m18 dir/newer
}

# No damage by itself: a merge that leaves nothing leaves no file.
deleted_data_file_is_mentioned() {
    local sealed
    sealed_and_hurt m19
    rm "$sealed"
    run 0 "$BITCASK" verify m19
    grep -q '^dir: .*: note: the segments from 1 to ' out
    equal "dir/newer" 4 "$("$BITCASK" get m19 dir/newer 2>/dev/null)"
}

check "stats list the segments" stats_list_the_segments
check "stats are JSON" stats_are_json
check "merge gives space back and tells" merge_gives_space_back_and_tells
check "merge of a path leaves the rest" merge_of_a_path_leaves_the_rest
check "merge shows progress on a terminal only" merge_shows_progress_on_a_terminal_only
check "merge stops on a signal with the store whole" merge_stops_on_a_signal_with_the_store_whole
check "merge leaves damage alone and says so" merge_leaves_damage_alone_and_says_so
check "merge refuses what it cannot do" merge_refuses_what_it_cannot_do
check "a read-only directory is verified and not merged" read_only_directory_is_verified_and_not_merged
check "a store in use is not merged" store_in_use_is_not_merged
check "a sound store is status 0" sound_store_is_status_0
check "verify shows progress on a terminal only" verify_shows_progress_on_a_terminal_only
check "verify refuses what it cannot do" verify_refuses_what_it_cannot_do
check "a damaged value is named and set aside" damaged_value_is_named_and_set_aside
check "a damaged head is found" damaged_head_is_found
check "a damaged file header is damage" damaged_file_header_is_damage
check "a damaged root is damage" damaged_root_is_damage
check "a truncated segment is damage" truncated_segment_is_damage
check "a deleted data file is mentioned" deleted_data_file_is_mentioned
finish
