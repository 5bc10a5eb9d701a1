#!/usr/bin/env bash
# mount_starved.sh [SECONDS] - a daemon in which allocations fail, one of 500, of 50, of 7, under four clients, merges and
# looks at its files: it lives, each file is what its client was told, whatever failed, or one that it was not told of;
# when there is memory again all can be read and committed, and it is the same after a remount.
#
# SECONDS: of each share, default 3, with LONG=1 30. SEED: of clients and failures, printed at the start.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
command -v python3 >/dev/null || skip_all "no python3"
if ldd "$BITCASKFS" | grep -q 'lib[at]san'; then skip_all "a sanitizer has allocations of its own"; fi
${CC:-cc} -shared -fPIC -O1 -o "$TEST_DIR/alloc.so" "$TESTS_DIR/alloc_shim.c" 2>"$TEST_DIR/cc.log" ||
    skip_all "no C compiler for tests/alloc_shim.c"

FOR_SECONDS=${1:-$([ "$LONG" -eq 0 ] && echo 3 || echo 30)}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
CONTROL=$TEST_DIR/alloc
echo "$TEST_NAME: SEED=$SEED, $FOR_SECONDS s of each"
printf '#!/bin/sh\nALLOC_FILE=%s LD_PRELOAD=%s exec %s "$@"\n' "$CONTROL" "$TEST_DIR/alloc.so" "$BITCASKFS" \
    >"$TEST_DIR/bitcaskfs"
chmod 755 "$TEST_DIR/bitcaskfs"
BITCASKFS=$TEST_DIR/bitcaskfs

# alloc [EVERY]: sets it, without: prints how many failed so far.
alloc() {
    python3 - "$CONTROL" "$SEED" "$@" <<'PY'
import os, struct, sys

path, seed, every = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
if not os.path.exists(path):
    with open(path, "wb") as file:
        file.write(struct.pack("=QQQQ", 0, seed, 0, 0))
with open(path, "r+b") as file:
    if every:
        file.write(struct.pack("=Q", int(every[0])))
    else:
        print(struct.unpack("=QQQQ", file.read())[3])
PY
}

# Its answers are taken at their word: of what succeeded there is one outcome, of what failed there are two.
cat >"$TEST_DIR/client.py" <<'PY'
import errno, json, os, random, sys, time

what, directory, told, seconds, seed = sys.argv[1:4] + [float(sys.argv[4]), int(sys.argv[5])]
ALLOWED = (errno.ENOMEM, errno.ENOENT, errno.EEXIST, errno.EIO, errno.ENOTEMPTY)


def read(name):
    try:
        with open(f"{directory}/{name}", "rb") as file:
            return file.read().decode("latin-1")
    except FileNotFoundError:
        return None


if what == "check":
    wrong = 0
    with open(told) as file:
        for name, outcomes in json.load(file).items():
            if read(name) not in outcomes:
                print(f"{directory}/{name} is none of the {len(outcomes)} that it may be")
                wrong += 1
    sys.exit(wrong > 0)

random.seed(seed)
outcomes = {}
done = failed = 0
end = time.monotonic() + seconds


def attempt(names, after, call):
    """Runs call; what each of names may be then: after[name] if it succeeded, that or what it was before if not."""
    global done, failed
    try:
        call()
        for name in names:
            outcomes[name] = [after[name]] if not isinstance(after[name], list) else after[name]
        done += 1
        return True
    except OSError as error:
        if error.errno not in ALLOWED:
            print(f"{names}: {error}", flush=True)
            os._exit(1)
        for name in names:
            new = after[name] if isinstance(after[name], list) else [after[name]]
            outcomes[name] = outcomes.get(name, [None]) + [one for one in new if one not in outcomes.get(name, [None])]
        failed += 1
        return False


def write(name, content):
    fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        assert os.write(fd, content.encode("latin-1")) == len(content)
        os.fsync(fd)
    finally:
        os.close(fd)


number = 0
while time.monotonic() < end:
    number += 1
    name = f"f{random.randrange(40)}"
    other = f"f{random.randrange(40)}"
    size = random.choice([0, 10, 3000, 20000, 100000, 400000])
    content = (f"{number} " * (size // 4 + 1))[:size]
    what = random.randrange(6)
    if what < 3:
        # A new file under a name of its own, which then takes the place of another.
        fresh = f"new{number}"
        try:
            write(fresh, content)
        except OSError as error:
            assert error.errno in ALLOWED, error
            failed += 1
            continue
        attempt([name], {name: content}, lambda: os.rename(f"{directory}/{fresh}", f"{directory}/{name}"))
    elif what == 3:
        attempt([name], {name: None}, lambda: os.unlink(f"{directory}/{name}"))
    elif what == 4 and name != other:
        # Absent before, or this fails and changes nothing.
        if outcomes.get(other, [None]) == [None] and len(outcomes.get(name, [None])) == 1:
            before = outcomes.get(name, [None])[0]
            if before is not None:
                attempt([other], {other: before}, lambda: os.link(f"{directory}/{name}", f"{directory}/{other}"))
    else:
        try:
            now = read(name)
            assert now in outcomes.get(name, [None]), f"{name} is none of those that it may be"
            outcomes[name] = [now]
            os.listdir(directory)
            os.setxattr(f"{directory}/{name}", "user.number", b"%d" % number)
        except OSError as error:
            assert error.errno in ALLOWED, error
with open(told, "w") as file:
    json.dump(outcomes, file)
print(f"{done} succeeded, {failed} failed", flush=True)
PY

clients_work() {
    local i clients=() looker failed=0
    alloc "$1"
    for i in 1 2 3 4; do
        python3 "$TEST_DIR/client.py" work "$MNT/$2.$i" "$TEST_DIR/told$2.$i" "$FOR_SECONDS" $((SEED + $2 * 10 + i)) &
        clients+=($!)
    done
    (
        set +e
        while :; do
            echo 'merge full' >"$MNT/.bitcask/control"
            cat "$MNT"/.bitcask/{metrics,stats,health} "$MNT/$2.1/.bitcask/control"
        done
    ) >/dev/null 2>&1 &
    looker=$!
    for i in "${clients[@]}"; do wait "$i" || failed=1; done
    kill "$looker"
    wait "$looker" || true
    [ $failed -eq 0 ]
    kill -0 "$(daemon_pid)"
}

as_told() {
    local i
    for i in 1 2 3 4; do python3 "$TEST_DIR/client.py" check "$MNT/$1.$i" "$TEST_DIR/told$1.$i" 0 0; done
}

all_can_be_committed() {
    sync "$MNT"
    # What failed for memory is tried again.
    for _ in $(seq 100); do
        grep -q 'cannot be committed' "$MNT/.bitcask/health" || break
        sleep 0.1
    done
    if grep 'cannot be committed\|poisoned' "$MNT/.bitcask/health"; then return 1; fi
    echo 'merge full' >"$MNT/.bitcask/control"
    as_told "$1"
}

after_a_remount() {
    unmount_store
    "$BITCASK" verify "$STORE"
    mount_store -o segment_size=256K,commit_ms=20
    as_told "$1"
}

alloc 0
mount_store -o segment_size=256K,commit_ms=20 || die "mount"
share=0
for every in 500 50 7; do
    share=$((share + 1))
    mkdir "$MNT/$share".{1,2,3,4}
    sync "$MNT"
    check "one of $every fails: it lives, and clients are told the truth" clients_work $every $share
    alloc 0
    check "one of $every: what clients were told" as_told $share
    check "with memory all can be committed and merged" all_can_be_committed $share
    check "and is there after a remount" after_a_remount $share
done
echo "FAULT allocations of the daemon: $(alloc), violations: $checks_failed"
finish
