#!/usr/bin/env bash
# mount_metrics.sh - the files metrics, stats and health of .bitcask, on a real mount: that they agree with the attributes
# and with what was done, are well formed whatever names there are, cannot be written, and that no copy carries any of
# it; health from ok to degraded to poisoned and back; `bitcask stats` beside the daemon.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"

xattr() {
    "$TOOL" xattr "$1" "user.bitcask.$2"
}

# told FILE SERIES: the value of one series of Prometheus text.
told() {
    grep -F -- "$2 " "$1" | grep -v '^#' | sed 's/.* //'
}

# member FILE EXPRESSION: of the JSON in FILE, as d.
member() {
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}

# The text is what promtool takes, where it is installed; what is checked without it is what goes wrong easily.
well_formed() {
    awk '/^# TYPE / { if (seen[$3]++) { print "twice: " $3; bad = 1 } name = $3; type = $4; next }
        /^#/ { next }
        !/^[a-z_]+({([a-z]+="[ -~]*",?)+})? [0-9.]+$/ { print "odd line: " $0; bad = 1 }
        { series = $0; sub(/[{ ].*/, "", series); if (index(series, name) != 1) { print "astray: " $0; bad = 1 } }
        type == "counter" && series !~ /_total$/ { print "no _total: " $0; bad = 1 }
        END { exit bad }' "$1"
    ! LC_ALL=C grep -n '[^ -~]' "$1"
    if command -v promtool >/dev/null; then equal "promtool" "" "$(promtool check metrics <"$1" 2>&1)"; fi
}

agree_with_the_attributes() {
    local dir name
    mkdir -p "$MNT/a/b"
    for name in 1 2 3; do echo "$name" >"$MNT/a/$name"; done
    echo 4 >"$MNT/a/b/4"
    sync "$MNT"
    for dir in "$MNT" "$MNT/a" "$MNT/a/b"; do
        cp "$dir/.bitcask/metrics" "$TEST_DIR/metrics"
        well_formed "$TEST_DIR/metrics"
    done
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/metrics"
    for name in live_keys live_bytes dead_bytes data_bytes segments index_bytes damaged_regions; do
        for dir in / /a /a/b; do
            equal "$name of $dir" "$(xattr "$MNT$dir" "$name")" \
                "$(told "$TEST_DIR/metrics" "bitcask_partition_$name{partition=\"$dir\"}")"
        done
    done
    for name in puts deletes; do
        equal "$name of /a" "$(xattr "$MNT/a" "$name")" \
            "$(told "$TEST_DIR/metrics" "bitcask_partition_${name}_total{partition=\"/a\"}")"
    done
    equal "bytes written" "$(told "$TEST_DIR/metrics" bitcask_bytes_written_total)" "$(xattr "$MNT" bytes_written)"
    for name in bitcask_live_keys bitcask_compaction_seconds_total; do told "$TEST_DIR/metrics" "$name" | grep -q .; done
    cp "$MNT/a/.bitcask/metrics" "$TEST_DIR/metrics"
    equal "a and below" 5 "$(told "$TEST_DIR/metrics" bitcask_live_keys)"
    equal "nothing of the root" "" "$(told "$TEST_DIR/metrics" 'bitcask_partition_live_keys{partition="/"}')"
    refused "" grep bitcaskfs_ "$TEST_DIR/metrics"
}

count_each_request() {
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/before"
    for name in {1..20}; do mkdir "$MNT/dir$name"; done
    rmdir "$MNT"/dir*
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/after"
    local kind series
    for kind in mkdir rmdir; do
        series="bitcaskfs_request_seconds_count{operation=\"$kind\"}"
        equal "$kind" 20 $(($(told "$TEST_DIR/after" "$series") - $(told "$TEST_DIR/before" "$series")))
    done
    equal "the buckets' last" "$(told "$TEST_DIR/after" 'bitcaskfs_request_seconds_count{operation="mkdir"}')" \
        "$(told "$TEST_DIR/after" 'bitcaskfs_request_seconds_bucket{operation="mkdir",le="+Inf"}')"
}

stats_are_json() {
    command -v python3 >/dev/null || skip_check "no python3"
    cp "$MNT/.bitcask/stats" "$TEST_DIR/root.json"
    cp "$MNT/a/.bitcask/stats" "$TEST_DIR/a.json"
    equal "store" "$STORE" "$(member "$TEST_DIR/root.json" 'd["store"]')"
    equal "health" "0 ['ok']" "$(member "$TEST_DIR/root.json" 'str(d["health"]) + " " + str(d["health_text"])')"
    equal "keys" 5 "$(member "$TEST_DIR/a.json" 'd["live_keys"]')"
    equal "directory" a "$(member "$TEST_DIR/a.json" 'd["directory"]')"
    equal "its own" "$(xattr "$MNT/a" live_bytes)" \
        "$(member "$TEST_DIR/root.json" '[p["live_bytes"] for p in d["partitions"] if p["partition"] == "/a"][0]')"
    equal "bounds" True "$(member "$TEST_DIR/root.json" \
        'len(d["bucket_bounds_seconds"]) + 1 == len(d["requests"]["lookup"]["buckets"])')"
    equal "counts" True "$(member "$TEST_DIR/root.json" \
        'all(sum(o["buckets"]) == o["count"] for o in [*d["requests"].values(), *d["operations"].values()])')"
    member "$TEST_DIR/root.json" 'd["operations"]["commit"]["count"]' | grep -qv '^0$'
}

# Which directories are open is the store's own business: with four open at once keys and counters are all there.
closed_ones_count_on() {
    local i name puts
    unmount_store
    mount_store -o max_open=4,commit_ms=0
    mkdir "$MNT/many"
    for i in {1..12}; do
        mkdir "$MNT/many/$i"
        for name in 1 2 3; do echo "$name" >"$MNT/many/$i/$name"; done
    done
    for i in {1..12}; do echo again >"$MNT/many/$i/1"; done
    sync "$MNT"
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/metrics"
    well_formed "$TEST_DIR/metrics"
    [ "$(told "$TEST_DIR/metrics" bitcask_partitions_open)" -le 6 ]
    [ "$(told "$TEST_DIR/metrics" bitcask_partitions_known)" -ge 13 ]
    [ "$(told "$TEST_DIR/metrics" bitcask_partition_closes_total)" -ge 20 ]
    equal "keys below" 48 "$(told "$MNT/many/.bitcask/metrics" bitcask_live_keys)"
    for i in {1..12}; do
        equal "keys of $i" 3 "$(told "$TEST_DIR/metrics" "bitcask_partition_live_keys{partition=\"/many/$i\"}")"
        puts=$(told "$TEST_DIR/metrics" "bitcask_partition_puts_total{partition=\"/many/$i\"}")
        [ "$puts" -ge 4 ]
        equal "the attribute of $i" "$puts" "$(xattr "$MNT/many/$i" puts)"
    done
    rm -r "$MNT/many"
    unmount_store
    mount_store
}

names_of_any_bytes() {
    local odd=$MNT/$'a"b\\c\nd\377<script>'
    mkdir "$odd"
    echo x >"$odd/"$'k\n'
    sync "$MNT"
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/metrics"
    well_formed "$TEST_DIR/metrics"
    grep -qF 'bitcask_partition_live_keys{partition="/a\\x22b\\x5cc\\x0ad\\xff<script>"} 1' "$TEST_DIR/metrics"
    if command -v python3 >/dev/null; then
        cp "$MNT/.bitcask/stats" "$TEST_DIR/root.json"
        equal "the name" True "$(member "$TEST_DIR/root.json" \
            'any(p["partition"] == "/a\\x22b\\x5cc\\x0ad\\xff<script>" for p in d["partitions"])')"
    fi
    rm -r "$odd"
}

cannot_be_written() {
    local name
    for name in health metrics stats; do
        equal "$name" "444 $(id -u) regular file" "$(stat -c '%a %u %F' "$MNT/a/.bitcask/$name")"
        refused "denied\|not permitted" dd if=/dev/zero of="$MNT/a/.bitcask/$name" bs=1 count=1
        refused "denied\|not permitted" rm -f "$MNT/a/.bitcask/$name"
        refused "No such attribute" getfattr -n user.bitcask.puts "$MNT/a/.bitcask/$name"
    done
}

no_copy_has_any() {
    local to=$TEST_DIR/copied
    cp -a "$MNT/a" "$to"
    equal "cp -a" "" "$(getfattr -R --absolute-names -d -m - "$to")"
    refused "No such file" stat "$to/.bitcask"
    if command -v rsync >/dev/null; then
        rsync -aX "$MNT/a/" "$to.rsync"
        equal "rsync -X" "" "$(getfattr -R --absolute-names -d -m - "$to.rsync")"
        refused "No such file" stat "$to.rsync/.bitcask"
    fi
}

beside_the_daemon() {
    "$BITCASK" stats --prometheus "$STORE" a >"$TEST_DIR/metrics"
    well_formed "$TEST_DIR/metrics"
    head -n 1 "$TEST_DIR/metrics" | grep -qF "the daemon that has the store mounted at $MNT"
    equal "the daemon's counters" "$(xattr "$MNT/a" puts)" \
        "$(told "$TEST_DIR/metrics" 'bitcask_partition_puts_total{partition="/a"}')"
    "$BITCASK" stats "$STORE" | grep -qF "mounted at $MNT"
    "$BITCASK" stats --json "$STORE" | grep -qF "\"mounted_at\": \"$MNT\""
}

at_rest() {
    unmount_store
    "$BITCASK" stats --prometheus "$STORE" >"$TEST_DIR/metrics"
    well_formed "$TEST_DIR/metrics"
    head -n 1 "$TEST_DIR/metrics" | grep -qE "^# As of [0-9-]+T[0-9:]+Z, read from the store's files"
    equal "keys" 1 "$(told "$TEST_DIR/metrics" 'bitcask_partition_live_keys{partition="/a/b"}')"
    refused "" grep -E '_total|_bucket' "$TEST_DIR/metrics"
    refused "" grep -F "mounted_at" <("$BITCASK" stats --json "$STORE")
    refused "goes with neither" "$BITCASK" stats --prometheus --json "$STORE"
    mount_store
}

# What the alerts and the dashboard ask for is what a mount tells.
examples_ask_for_what_is_told() {
    local examples=${abs_srcdir:-$TESTS_DIR/..}/examples name missing=
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/metrics"
    grep -ohE '\bbitcask(fs)?_[a-z_]+' "$examples/grafana-dashboard.json" "$examples/prometheus-alerts.yml" | sort -u >"$TEST_DIR/asked"
    [ "$(wc -l <"$TEST_DIR/asked")" -gt 12 ]
    while read -r name; do
        grep -qE "^$name(\{| )" "$TEST_DIR/metrics" || missing="$missing $name"
    done <"$TEST_DIR/asked"
    equal "asked for and not told" "" "$missing"
    for name in $(grep -ohE 'operation=\\?"[a-z]+' "$examples"/*.json "$examples"/*.yml | sed 's/.*"//' | sort -u); do
        grep -qF "operation=\"$name\"" "$TEST_DIR/metrics"
    done
    ! command -v promtool >/dev/null || promtool check rules "$examples/prometheus-alerts.yml"
    command -v python3 >/dev/null || skip_check "no python3"
    # As Grafana takes it: panels with ids of their own, each with its source and something to ask, none over another.
    python3 - "$examples/grafana-dashboard.json" <<'PY'
import json, sys
d = json.load(open(sys.argv[1]))
assert d["title"] and d["uid"] and d["schemaVersion"] >= 16
names = {v["name"] for v in d["templating"]["list"]}
assert {"datasource", "instance"} <= names, names
ids, taken = set(), set()
for p in d["panels"]:
    assert p["id"] not in ids and p["title"] and p["type"] in ("stat", "timeseries"), p
    ids.add(p["id"])
    assert p["datasource"]["uid"] == "${datasource}" and p["targets"], p["title"]
    for t in p["targets"]:
        assert t["expr"].count("(") == t["expr"].count(")") and t["expr"].count("{") == t["expr"].count("}"), t
        assert t["refId"], t
    g = p["gridPos"]
    cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
    assert not cells & taken and g["x"] + g["w"] <= 24, p["title"]
    taken |= cells
PY
}

# ---- health ----

health() {
    head -n 1 "${1:-$MNT}/.bitcask/health"
}

health_is() {
    [[ $(health "${2:-$MNT}") == $1 ]] || { echo "wanted $1, got:"; cat "${2:-$MNT}/.bitcask/health"; return 1; }
}

# In a sealed segment: the first byte of a value.
damage_turns_health_degraded() {
    health_is ok
    mkdir "$MNT/d"
    echo "a value to be damaged" >"$MNT/d/key"
    echo rotate >"$MNT/d/.bitcask/control"
    unmount_store
    local file
    file=$(grep -rl "a value to be damaged" "$STORE/partitions" | head -n 1)
    cp "$file" "$TEST_DIR/good"
    printf A | dd of="$file" bs=1 conv=notrunc \
        seek="$(grep -abo "a value to be damaged" "$file" | head -n 1 | cut -d: -f1)" 2>/dev/null
    mount_store
    refused "Input/output error" dd if=/dev/stdin of="$MNT/.bitcask/control" conv=notrunc <<<verify
    health_is "degraded: *verify --repair*"
    grep -q '^bitcaskfs_health 1$' "$MNT/.bitcask/metrics"
    unmount_store
    cp "$TEST_DIR/good" "$file"
    mount_store
    health_is ok
    echo verify >"$MNT/.bitcask/control"
    health_is ok
}

# Reserved in the log or not, a commit can still fail: here the daemon may not make its files larger. What could not be
# committed is kept, the fsync says so, and once there is room it is committed without being asked.
failed_commits_turn_health_degraded() {
    command -v prlimit >/dev/null || skip_check "no prlimit"
    local tries=0 dir="$MNT/c/o d\"d"
    mkdir -p "$dir" "$MNT/c/other"
    unmount_store
    mount_store -o commit_ms=500,sync=os
    health_is ok
    prlimit --pid "$(daemon_pid)" --fsize=4096:unlimited
    head -c 50000 /dev/zero >"$dir/file"
    refused "File too large" sync "$dir/file"
    health_is 'degraded: changed files in /c/o d?x22d cannot be committed (*): *in memory alone. Make room*'
    health_is 'degraded: *' "$MNT/c"
    health_is 'degraded: *' "$dir"
    health_is ok "$MNT/c/other"
    equal "still there" 50000 "$(wc -c <"$dir/file")"
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/metrics"
    equal health 1 "$(told "$TEST_DIR/metrics" bitcaskfs_health)"
    [ "$(told "$TEST_DIR/metrics" bitcaskfs_pending_bytes)" -ge 50000 ]
    [ "$(told "$TEST_DIR/metrics" bitcaskfs_commit_failures_total)" -ge 1 ]
    # It must not fail for good because of a full disk: a file elsewhere that fits is committed.
    echo small >"$MNT/c/other/file"
    sync "$MNT/c/other/file"
    prlimit --pid "$(daemon_pid)" --fsize=unlimited:unlimited
    until [ "$(health)" = ok ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || { cat "$MNT/.bitcask/health"; return 1; }
        sleep 0.1
    done
    kill_daemon
    mount_store
    equal "committed" 50000 "$(wc -c <"$dir/file")"
    rm -r "$MNT/c"
}

a_failed_sync_turns_health_poisoned() {
    require_failing
    unmount_store
    mount_failing -o sync=os,no_sandbox
    mkdir -p "$MNT/p/q" "$MNT/fine"
    echo x >"$MNT/p/q/key"
    sync "$MNT"
    health_is ok
    : >"$TEST_DIR/fail"
    echo y >"$MNT/p/q/key"
    refused "Input/output error" sync "$MNT/p/q/key"
    rm "$TEST_DIR/fail"
    health_is "poisoned: /p/q: *mount again*" "$MNT/p"
    health_is "poisoned: *"
    health_is ok "$MNT/fine"
    equal "attribute" 1 "$(xattr "$MNT/p/q" poisoned)"
    grep -q '^bitcask_poisoned_partitions 1$' "$MNT/.bitcask/metrics"
    grep -q '^bitcaskfs_health 2$' "$MNT/.bitcask/metrics"
    # What is written from now on cannot be committed: that shows too, the worse first.
    echo z >"$MNT/p/q/key2" 2>/dev/null || true
    sync "$MNT/p/q/key2" 2>/dev/null || true
    health_is "poisoned: *"
    umount "$MNT" || fusermount3 -u "$MNT"
    wait_daemon 1 || wait_daemon 0
    mount_store
    health_is ok
    equal "attribute" 0 "$(xattr "$MNT/p/q" poisoned)"
}

mount_store || die "mount"
check "metrics agree with the attributes" agree_with_the_attributes
check "requests are counted by kind" count_each_request
check "stats are JSON that agrees" stats_are_json
check "directories that were closed count on" closed_ones_count_on
check "names of any bytes break nothing" names_of_any_bytes
check "the files cannot be written, nor have attributes" cannot_be_written
check "no cp -a and no rsync -X carries any of it" no_copy_has_any
check "bitcask stats beside the daemon asks it" beside_the_daemon
check "bitcask stats at rest tells what is on disk" at_rest
check "the examples ask for what is told" examples_ask_for_what_is_told
check "damage turns health to degraded, and its repair back" damage_turns_health_degraded
check "commits that fail turn health to degraded, room turns it back" failed_commits_turn_health_degraded
check "a failed sync turns health to poisoned, a new mount back" a_failed_sync_turns_health_poisoned
finish
