#!/usr/bin/env bash
# mount_http.sh - /metrics, /healthz, /readyz and the page over HTTP, on a real mount: that they say what .bitcask says,
# what is refused and how, and that no client, slow, half open, greedy or many, keeps the mount or the others waiting.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
command -v curl >/dev/null || skip_all "no curl"
setup

# A port that nobody has: the first mount that comes up with one decides.
PORT=0
mount_somewhere() {
    local tries=0
    while [ $tries -lt 20 ]; do
        PORT=$((20000 + RANDOM % 20000))
        start_daemon -o "http=127.0.0.1:$PORT${1:+,$1}"
        wait_mounted >"$TEST_DIR/mounting" && return 0
        grep -q "without libmicrohttpd" "$TEST_DIR/daemon.log" && skip_all "built without libmicrohttpd"
        tries=$((tries + 1))
    done
    cat "$TEST_DIR/mounting"
    return 1
}

# get PATH [CURL-OPTION...]: the body.
get() {
    local path=$1
    shift
    curl -sS --max-time 60 "$@" "http://127.0.0.1:$PORT$path"
}

# status PATH [CURL-OPTION...]
status() {
    get "$@" -o /dev/null -w '%{http_code}'
}

says_what_the_files_say() {
    mkdir "$MNT/orders"
    echo 1 >"$MNT/orders/1"
    sync "$MNT"
    equal health "$(head -n 1 "$MNT/.bitcask/health")" "$(get /healthz)"
    equal "status of it" 200 "$(status /healthz)"
    equal ready "ready 200" "$(get /readyz) $(status /readyz)"
    get /metrics >"$TEST_DIR/metrics"
    grep -qx 'bitcask_partition_live_keys{partition="/orders"} 1' "$TEST_DIR/metrics"
    for name in bitcask_bytes_written_total bitcask_live_keys bitcask_compaction_seconds_total; do
        grep -qE "^$name [0-9.]+$" "$TEST_DIR/metrics"
    done
    equal "the same names" "$(grep '^# TYPE' "$MNT/.bitcask/metrics")" "$(grep '^# TYPE' "$TEST_DIR/metrics")"
    if command -v promtool >/dev/null; then equal "promtool" "" "$(promtool check metrics <"$TEST_DIR/metrics" 2>&1)"; fi
    equal "its type" "text/plain; version=0.0.4; charset=utf-8" "$(get /metrics -o /dev/null -w '%{content_type}')"
    equal "without a body" 0 "$(get /metrics -I -o /dev/null -w '%{size_download}')"
}

is_one_page() {
    get / >"$TEST_DIR/page"
    cmp "$TEST_DIR/page" "$TESTS_DIR/../fs/page.html"
    # Nothing comes from elsewhere, and nothing that is shown is taken for markup.
    refused "" grep -nE '(src|href)="[^d]|url\(|@import|innerHTML|https?://[^w]' "$TEST_DIR/page"
    get / -D - -o /dev/null | grep -qi "^content-security-policy: default-src 'none'"
    if command -v python3 >/dev/null; then
        mkdir "$MNT/"$'<b>"\\\377'
        echo x >"$MNT/"$'<b>"\\\377/1'
        sync "$MNT"
        get /stats.json | python3 -c '
import json, sys
d = json.load(sys.stdin)
assert any(p["partition"] == "/<b>\\x22\\x5c\\xff" for p in d["partitions"]), d["partitions"]
of = {s["partition"]: s["segments"] for s in d["segments_of"]}
assert of["/orders"][0]["active"] and of["/orders"][0]["live_bytes"] > 0, of'
    fi
}

refuses_the_rest() {
    local path
    for path in /nothing /metrics/ /.bitcask /../etc/passwd "/%00" "/metrics%2f" //; do
        equal "$path" 404 "$(status "$path" --path-as-is)"
    done
    for method in POST PUT DELETE OPTIONS PATCH FROB; do
        equal "$method" 405 "$(status /metrics -X "$method")"
    done
    equal "a body" 405 "$(status /metrics --data-binary @"$BITCASKFS" -H 'Expect:' 2>/dev/null)" ||
        equal "a body" 405 "$(status /metrics -d x)"
    get / -X POST -D - -o /dev/null | grep -qi '^allow: GET, HEAD'
    equal "another host's page" 403 "$(status /metrics -H 'Host: example.com')"
    equal "localhost" 200 "$(status /metrics -H "Host: localhost:$PORT")"
    equal "a giant header" 431 "$(status / -H "X: $(head -c 40000 /dev/zero | tr '\0' x)")"
    [[ $(status "/$(head -c 40000 /dev/zero | tr '\0' x)") == 4?? ]]
    # No HTTP at all.
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    head -c 3000 /dev/urandom >&3 || true
    exec 3>&-
    equal "and after all that" 200 "$(status /healthz)"
}

# refused_mount TEXT OPTIONS: of another store at another place. Without -f, so that one that is not refused comes back.
EXTRA_MOUNTS+=("$TEST_DIR/mnt2")
refused_mount() {
    refused "$1" "$BITCASKFS" -o "$2" "$TEST_DIR/other" "$TEST_DIR/mnt2"
    [ ! -e "$TEST_DIR/other" ]
}

listens_where_it_may() {
    mkdir -p "$TEST_DIR/mnt2"
    refused_mount "port is in use" "http=127.0.0.1:$PORT"
    for address in 0.0.0.0:1 192.0.2.1:1 '[::]:1' '[2001:db8::1]:1'; do
        refused_mount "http_foreign" "http=$address"
    done
    for address in "" 127.0.0.1 127.0.0.1: 127.0.0.1:0 127.0.0.1:65536 127.0.0.1:http ::1:80 '[::1' ':80' 'a b:80' \
        "$(head -c 300 /dev/zero | tr '\0' 1):80"; do
        refused_mount "address and a port\|no address" "http=$address"
    done
    refused_mount "no address in numbers" "http=example.com:80"
    refused_mount "cannot listen there" "http_foreign,http=192.0.2.1:8080"
}

# Connections are bounded: those that send nothing, or byte by byte, wait for their end while the mount goes on; and their
# end comes, so that others are answered. The latter takes 20 seconds.
bounds_its_clients() {
    local fd fds=() i pid
    pid=$(daemon_pid)
    for i in {1..40}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$PORT" || break
        [ $((i % 2)) -eq 0 ] || printf 'GET /metrics HTTP/1.1\r\nX: ' >&"$fd"
        fds+=("$fd")
    done
    sleep 0.5
    # The daemon has at most 16 of them open.
    [ "$(find "/proc/$pid/fd" -lname 'socket:*' | wc -l)" -le 18 ]
    echo goes on >"$MNT/orders/2"
    equal "the mount" "goes on" "$(cat "$MNT/orders/2")"
    if [ "$LONG" -eq 0 ]; then
        for fd in "${fds[@]}"; do exec {fd}>&-; done
        equal "once they have gone" 200 "$(status /healthz)"
        return 0
    fi
    # Half of those that are left keep sending, as slowly as can be.
    (while for fd in "${fds[@]}"; do printf x >&"$fd" || true; done 2>/dev/null; do sleep 1; done) &
    BACKGROUND+=($!)
    pid=$!
    equal "another client, in the end" 200 "$(status /healthz --max-time 120 --retry 3)"
    kill "$pid" 2>/dev/null || true
    for fd in "${fds[@]}"; do exec {fd}>&-; done
}

# health_is TEXT STATUS: what /healthz begins with, and the file.
health_is() {
    equal "status of health" "$2" "$(status /healthz)"
    [[ $(get /healthz) == $1* ]] || { get /healthz; return 1; }
    [[ $(head -n 1 "$MNT/.bitcask/health") == $1* ]]
    get /metrics | grep -qx "bitcaskfs_health $3"
    equal "ready" "ready 200" "$(get /readyz) $(status /readyz)"
}

health_follows() {
    local tries=0
    require_failing
    unmount_store
    mount_failing -o "http=127.0.0.1:$PORT,sync=os,no_sandbox,commit_ms=500"
    mkdir -p "$MNT/p/q"
    echo 1 >"$MNT/p/q/1"
    sync "$MNT"
    health_is ok 200 0
    if command -v prlimit >/dev/null; then
        prlimit --pid "$(daemon_pid)" --fsize=4096:unlimited
        head -c 50000 /dev/zero >"$MNT/p/q/2"
        refused "File too large" sync "$MNT/p/q/2"
        health_is "degraded: changed files in /p/q cannot be committed" 200 1
        prlimit --pid "$(daemon_pid)" --fsize=unlimited:unlimited
        until [ "$(get /healthz)" = ok ]; do
            tries=$((tries + 1))
            [ $tries -lt 600 ] || { get /healthz; return 1; }
            sleep 0.1
        done
        health_is ok 200 0
    fi
    : >"$TEST_DIR/fail"
    echo 3 >"$MNT/p/q/3"
    refused "Input/output error" sync "$MNT/p/q/3"
    rm "$TEST_DIR/fail"
    health_is "poisoned: /p/q: " 503 2
    # About to end, as long as somebody has a file open.
    exec 5<"$MNT/p/q/1"
    kill -TERM "$(daemon_pid)"
    tries=0
    until [ "$(status /readyz)" != 200 ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || return 1
        sleep 0.1
    done
    equal "ending" "ending 503" "$(get /readyz) $(status /readyz)"
    exec 5<&-
    wait_daemon 1 || wait_daemon 0
    mount_store -o "http=127.0.0.1:$PORT"
    health_is ok 200 0
}

# One that never reads its answer.
ends_beside_clients() {
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n' >&3
    exec 4<>"/dev/tcp/127.0.0.1/$PORT"
    unmount_store
    exec 3>&- 4>&-
    refused "connect" get /readyz
    mount_store -o "http=127.0.0.1:$PORT"
    equal "the port at once again" 200 "$(status /readyz)"
    unmount_store
}

foreign_if_asked() {
    mount_somewhere
    unmount_store
    mount_store -o "http=0.0.0.0:$PORT,http_foreign"
    equal "any name" 200 "$(status /metrics -H 'Host: store.example.com')"
    unmount_store
    mount_store
    refused "connect" get /readyz
    unmount_store
}

mount_somewhere || die "mount"
check "it says what the files say" says_what_the_files_say
check "the page is one file, and names cannot break it" is_one_page
check "other paths, methods, hosts and giant headers are refused" refuses_the_rest
check "addresses: in use, foreign, no address" listens_where_it_may
check "slow and half-open clients are bounded in number, and in time" bounds_its_clients
check "health and readiness follow what happens" health_follows
check "the mount ends beside its clients, and the port is free" ends_beside_clients
check "foreign addresses if asked; off by default" foreign_if_asked
finish
