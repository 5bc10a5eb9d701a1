#!/usr/bin/env bash
# mount_prometheus.sh - with LONG=1: what is made for other programs, with those programs. Prometheus scrapes a mount for
# a minute and answers queries, those of the dashboard and the alerts of examples/ too; node_exporter takes the file; a
# browser shows the page, with the numbers of the attributes. Each part is skipped where its program is missing.
#
# SCREENSHOT: a file for the browser's picture of the page.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
[ "$LONG" != 0 ] && [ -n "$LONG" ] || skip_all "takes minutes, and Prometheus; LONG=1 runs it"
require_fuse
for program in curl python3; do
    command -v $program >/dev/null || skip_all "no $program"
done
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
EXAMPLES=${abs_srcdir:-$TESTS_DIR/..}/examples

# in_background NAME COMMAND...: its output goes to NAME.log.
in_background() {
    local name=$1
    shift
    "$@" >"$TEST_DIR/$name.log" 2>&1 &
    echo $! >"$TEST_DIR/$name.pid"
}

end_of() {
    [ ! -s "$TEST_DIR/$1.pid" ] || kill "$(cat "$TEST_DIR/$1.pid")" 2>/dev/null || true
    rm -f "$TEST_DIR/$1.pid"
}

end_all() {
    end_of prometheus
    end_of node_exporter
    cleanup
}
trap end_all EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# until_true SECONDS COMMAND...
until_true() {
    local tries=$(($1 * 5))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo "not even after minutes: $*"; return 1; }
        sleep 0.2
    done
}

PORT=$(free_port)
PROMETHEUS=$(free_port)
EXPORTER=$(free_port)

# query EXPRESSION: what Prometheus answers, a value a line.
query() {
    curl -sS --max-time 30 --data-urlencode "query=$1" "http://127.0.0.1:$PROMETHEUS/api/v1/query" |
        python3 -c '
import json, sys
d = json.load(sys.stdin)
assert d["status"] == "success", d
for r in d["data"]["result"]: print(r["value"][1])'
}

answers() {
    query "$1" | grep -q .
}

# Some of everything: new files, overwritten and deleted ones, a merge.
work_for() {
    local end=$((SECONDS + $1)) n=0
    mkdir -p "$MNT/orders" "$MNT/mail"
    while [ $SECONDS -lt $end ]; do
        n=$((n + 1))
        head -c 3000 /dev/zero >"$MNT/orders/$((n % 40))"
        echo $n >"$MNT/mail/$n"
        cat "$MNT/mail/$n" >"$TEST_DIR/read"
        sync "$MNT/mail/$n"
        [ $((n % 3)) -ne 0 ] || rm "$MNT/mail/$n"
        [ $((n % 50)) -ne 0 ] || { echo rotate >"$MNT/.bitcask/control"; echo 'merge full' >"$MNT/.bitcask/control"; }
        sleep 0.02
    done
}

prometheus_scrapes_for_a_minute() {
    command -v prometheus >/dev/null || skip_check "no prometheus: apt-get install prometheus"
    cat >"$TEST_DIR/prometheus.yml" <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$EXAMPLES/prometheus-alerts.yml"]
scrape_configs:
  - job_name: bitcaskfs
    static_configs: [{targets: ["127.0.0.1:$PORT"]}]
END
    in_background prometheus prometheus --config.file="$TEST_DIR/prometheus.yml" \
        --storage.tsdb.path="$TEST_DIR/tsdb" --web.listen-address="127.0.0.1:$PROMETHEUS"
    until_true 120 answers 'up{job="bitcaskfs"} == 1'
    work_for 60
    sync "$MNT"
    # Each scrape was taken, and none was refused for its form.
    equal "scrapes that failed" 0 "$(query 'sum(count_over_time(up[1m])) - sum(sum_over_time(up[1m]))')"
    [ "$(query 'count_over_time(up[1m])')" -ge 30 ]
}

it_answers_for_each_of_the_three() {
    [ -s "$TEST_DIR/prometheus.pid" ] || skip_check "no prometheus"
    local name told
    for name in bitcask_bytes_written_total bitcask_live_keys bitcask_compaction_seconds_total; do
        told=$(query "$name")
        printf '%s %s\n' "$name" "$told"
        [ -n "$told" ]
    done
    # The mount is at rest: what was scraped is what is.
    same_as_now() { equal keys "$(query bitcask_live_keys)" "$(curl -sS "http://127.0.0.1:$PORT/metrics" |
        sed -n 's/^bitcask_live_keys //p')"; }
    until_true 60 same_as_now
    equal "as the attributes say" "$(query bitcask_live_keys)" $(($("$TOOL" xattr "$MNT" user.bitcask.live_keys) +
        $("$TOOL" xattr "$MNT/orders" user.bitcask.live_keys) + $("$TOOL" xattr "$MNT/mail" user.bitcask.live_keys)))
    for name in bitcask_bytes_written_total bitcask_compaction_seconds_total; do
        [ "$(query "resets($name[2m])")" = 0 ]
        query "increase($name[1m]) > 0" | grep -q .
    done
}

# Each expression of the dashboard, as Grafana would ask it.
dashboard_has_answers() {
    [ -s "$TEST_DIR/prometheus.pid" ] || skip_check "no prometheus"
    local expression count=0 bad=0
    while IFS= read -r expression; do
        count=$((count + 1))
        answers "$expression" || { echo "no answer to: $expression"; bad=1; }
    done < <(python3 - "$EXAMPLES/grafana-dashboard.json" <<'PY'
import json, sys
for panel in json.load(open(sys.argv[1]))["panels"]:
    for target in panel.get("targets", []):
        print(target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m"))
PY
    )
    [ $count -gt 10 ] && [ $bad -eq 0 ]
}

alerts_follow() {
    command -v promtool >/dev/null || skip_check "no promtool"
    promtool check rules "$EXAMPLES/prometheus-alerts.yml"
    equal "of the mount's metrics" "" "$(curl -sS "http://127.0.0.1:$PORT/metrics" | promtool check metrics 2>&1)"
    equal "of a directory's" "" "$(promtool check metrics <"$MNT/orders/.bitcask/metrics" 2>&1)"
    [ -s "$TEST_DIR/prometheus.pid" ] || skip_check "no prometheus"
    equal "alerts" "" "$(query ALERTS)"
    command -v prlimit >/dev/null || skip_check "no prlimit"
    prlimit --pid "$(daemon_pid)" --fsize=4096:unlimited
    head -c 50000 /dev/zero >"$MNT/orders/large"
    refused "File too large" sync "$MNT/orders/large"
    until_true 60 answers 'ALERTS{alertname="BitcaskfsDegraded"}'
    until_true 60 answers 'ALERTS{alertname="BitcaskfsCommitsFail",alertstate="firing"}'
    prlimit --pid "$(daemon_pid)" --fsize=unlimited:unlimited
    is_over() { [ -z "$(query 'ALERTS{alertname="BitcaskfsDegraded"}')" ]; }
    until_true 120 is_over
}

node_exporter_takes_the_file() {
    local program
    program=$(command -v prometheus-node-exporter || command -v node_exporter) ||
        skip_check "no node_exporter: apt-get install prometheus-node-exporter"
    mkdir "$TEST_DIR/textfile"
    cp "$MNT/.bitcask/metrics" "$TEST_DIR/textfile/bitcaskfs.prom"
    in_background node_exporter "$program" --collector.disable-defaults --collector.textfile \
        --collector.textfile.directory="$TEST_DIR/textfile" --web.listen-address="127.0.0.1:$EXPORTER"
    until_true 60 curl -sSf "http://127.0.0.1:$EXPORTER/metrics"
    curl -sS "http://127.0.0.1:$EXPORTER/metrics" >"$TEST_DIR/exported"
    grep -x 'node_textfile_scrape_error 0' "$TEST_DIR/exported"
    # All series, with their values, which it writes its own way.
    python3 - "$TEST_DIR/textfile/bitcaskfs.prom" "$TEST_DIR/exported" <<'PY'
import sys
def series(path):
    return {l.rsplit(" ", 1)[0]: float(l.rsplit(" ", 1)[1]) for l in open(path) if l.startswith("bitcask")}
def sort_labels(name):
    if "{" not in name: return name
    head, labels = name[:-1].split("{", 1)
    return head, tuple(sorted(labels.replace('le="+Inf"', "le=inf").split(",")))
def plain(found):
    def bound(name):
        out = []
        for part in name[1]:
            out.append("le=%r" % float(part[4:-1]) if part.startswith('le="') else part)
        return name[0], tuple(out)
    return {(bound(s) if isinstance(s, tuple) else s): v for s, v in ((sort_labels(n), v) for n, v in found.items())}
ours, theirs = plain(series(sys.argv[1])), plain(series(sys.argv[2]))
missing = [s for s in ours if s not in theirs]
assert not missing, missing[:5]
wrong = [(s, ours[s], theirs[s]) for s in ours if abs(ours[s] - theirs[s]) > 1e-6 * max(1, abs(ours[s]))]
assert not wrong, wrong[:5]
print(len(ours), "series")
PY
}

# browser OPTION...: of the page.
browser() {
    HOME=$TEST_DIR timeout 120 "$BROWSER" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$TEST_DIR/browser" --window-size=1280,1500 "$@" "http://127.0.0.1:$PORT/" 2>"$TEST_DIR/browser.err"
}

page_shows_the_attributes() {
    BROWSER=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
        skip_check "no chromium: apt-get install chromium"
    local name dir
    sync "$MNT"
    echo 'scheduler off' >"$MNT/.bitcask/control"
    browser --virtual-time-budget=9000 --dump-dom >"$TEST_DIR/dom" || { tail -n 5 "$TEST_DIR/browser.err"; return 1; }
    # The store's own partition, of large files and links, has no directory to ask.
    for name in live_keys live_bytes dead_bytes; do
        for dir in . orders mail; do "$TOOL" xattr "$MNT/$dir" "user.bitcask.$name"; done |
            awk -v name=$name '{sum += $1} END {print name, sum}'
    done >"$TEST_DIR/attributes"
    for name in live_bytes dead_bytes; do
        sed -n "s/^bitcask_partition_$name{partition=\"inodes\"} /inodes_$name /p" "$MNT/.bitcask/metrics"
    done >>"$TEST_DIR/attributes"
    python3 - "$TEST_DIR/dom" "$TEST_DIR/attributes" <<'PY'
import re, sys
dom = open(sys.argv[1]).read()
told = {n: int(v) for n, v in (l.split() for l in open(sys.argv[2]))}
def shown(i):
    return re.search(r'id="%s"[^>]*>([^<]*)<' % i, dom).group(1)
def size(n):
    units, unit = ["B", "KiB", "MiB", "GiB"], 0
    while n >= 1024 and unit < 3: n, unit = n / 1024, unit + 1
    return ("%.1f" % n if unit and n < 100 else "%d" % int(n + .5)) + " " + units[unit]
assert shown("health") == "ok", shown("health")
assert shown("live_keys").replace(",", "") == str(told["live_keys"]), (shown("live_keys"), told)
for name in ("live_bytes", "dead_bytes"):
    wanted = size(told[name] + told.get("inodes_" + name, 0))
    assert shown(name) == wanted, (name, shown(name), wanted)
rows = re.findall(r"<tr><td[^>]*>(/[^<]*)</td><td[^>]*>([^<]*)</td>", dom)
assert {"/", "/orders", "/mail"} <= {r[0] for r in rows}, rows
assert dom.count("<path") > 3, "no line was drawn"
print(told, rows)
PY
    [ -n "${SCREENSHOT:-}" ] || return 0
    echo 'scheduler on' >"$MNT/.bitcask/control"
    work_for 20 &
    browser --virtual-time-budget=60000 --screenshot="$SCREENSHOT" >/dev/null
    wait $!
}

mount_store -o "http=127.0.0.1:$PORT" || die "mount"
check "Prometheus scrapes the mount for a minute" prometheus_scrapes_for_a_minute
check "it answers a query for each of the three" it_answers_for_each_of_the_three
check "each expression of the dashboard has an answer" dashboard_has_answers
check "promtool finds nothing; the alerts follow what happens" alerts_follow
check "node_exporter takes the file" node_exporter_takes_the_file
check "the page in a browser shows what the attributes say" page_shows_the_attributes
check "unmounts" unmount_store
finish
