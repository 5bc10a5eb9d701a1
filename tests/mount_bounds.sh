#!/usr/bin/env bash
# mount_bounds.sh - what users can make the daemon keep in memory is bounded, and others are served meanwhile: content
# of files that were deleted and are open still, extended attributes that are not committed, those of directories,
# listings that are never read to their end, names that come and go, and files that the kernel knows.
#
# The figures are of the daemon's anonymous memory, in MiB. LONG=1: four times as much of everything.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
command -v python3 >/dev/null || skip_all "no python3"
chmod 711 "$TEST_DIR"
TIMES=$([ "$LONG" -eq 0 ] && echo 1 || echo 4)

cat >"$TEST_DIR/hog.py" <<'PY'
import errno, os, resource, sys, time

what, directory, daemon, times = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
most = first = None


def look():
    global most, first
    with open(f"/proc/{daemon}/status") as status:
        now = next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) // 1024
    first = now if first is None else first
    most = now if most is None or now > most else most


def bounded(allowed):
    look()
    print(f"{what}: {first} MiB at first, {most} MiB at most, {allowed} more allowed")
    sys.exit(most - first > allowed)


def others_are_served(number):
    path = f"{directory}/../other{number}"
    with open(path, "w") as file:
        file.write("served")
    with open(path) as file:
        assert file.read() == "served"
    os.listdir(f"{directory}/..")


def unlinked(count, size):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    files = []
    for i in range(count):
        fd = os.open(f"{directory}/file", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        content = bytes([i % 251]) * size
        if i % 2:
            assert os.write(fd, content) == size
            os.unlink(f"{directory}/file")
        else:
            os.unlink(f"{directory}/file")
            assert os.write(fd, content) == size
        files.append(fd)
        if i % 100 == 0:
            look()
            others_are_served(i % 3)
    look()
    for i, fd in enumerate(files):
        assert os.pread(fd, 2 * size, 0) == bytes([i % 251]) * size, i
        os.pwrite(fd, b"again", size // 2)
        assert os.pread(fd, 6, size // 2 - 1) == bytes([i % 251]) + b"again"


look()
if what == "small":
    unlinked(1500 * times, 65536)
    bounded(60)
if what == "large":
    unlinked(100 * times, 1500000)
    bounded(70)
if what == "xattrs":
    # So many at once are more than a batch of the store may have.
    value = os.urandom(65500)
    for i in range(1200):
        os.close(os.open(f"{directory}/{i}", os.O_CREAT | os.O_WRONLY))
        os.setxattr(f"{directory}/{i}", "user.large", value)
    others_are_served(0)
    os.fsync(os.open(directory, os.O_RDONLY))
    for i in range(1200):
        assert os.getxattr(f"{directory}/{i}", "user.large") == value
    bounded(80)
if what == "directories":
    for i in range(2000 * times):
        os.mkdir(f"{directory}/{i}")
        os.setxattr(f"{directory}/{i}", "user.large", bytes([i % 251]) * 60000)
    for i in range(2000 * times):
        assert os.getxattr(f"{directory}/{i}", "user.large") == bytes([i % 251]) * 60000
    bounded(60)
if what == "controls":
    # Each has a text of its own. Whoever is not trusted gets so many, and no more.
    resource.setrlimit(resource.RLIMIT_NOFILE, (8000, 8000))
    if os.fork() == 0:
        os.setuid(65534)
        files = []
        try:
            while len(files) < 7000:
                files.append(os.open(f"{directory}/.bitcask/stats", os.O_RDONLY))
        except OSError as error:
            look()
            print(f"{len(files)} files, then {error.strerror}")
            assert error.errno == errno.ENOMEM and len(files) > 10
            # Its owner is served.
            os._exit(most - first > 60)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    with open(f"{directory}/.bitcask/control") as file:
        assert "scheduler" in file.read()
    sys.exit(0)
if what == "listings":
    for i in range(3000 * times):
        os.close(os.open(f"{directory}/{i}", os.O_CREAT | os.O_WRONLY))
    look()
    first = most
    handles = []
    for i in range(900):
        handles.append(os.scandir(directory))
        next(handles[-1])
    bounded(10)
if what == "nodes":
    # Files that are looked at and listed over and over. What is in use stays known, as what it was.
    directories = range(20 * times)
    for i in directories:
        os.mkdir(f"{directory}/{i}")
        for j in range(1000):
            fd = os.open(f"{directory}/{i}/{j}", os.O_CREAT | os.O_WRONLY)
            os.write(fd, b"%d" % j)
            os.close(fd)

    def known():
        with open(f"{directory}/../.bitcask/metrics") as metrics:
            return next(int(line.split()[1]) for line in metrics if line.startswith("bitcaskfs_nodes "))

    files = [os.open(f"{directory}/0/{j}", os.O_RDONLY) for j in range(500)]
    os.chdir(f"{directory}/1")
    for listed in range(3):
        for i in directories:
            if listed:
                assert sum(entry.stat().st_size for entry in os.scandir(f"../{i}")) == 2890, i
            else:
                assert sum(os.stat(f"../{i}/{j}").st_size for j in range(1000)) == 2890, i
    # The kernel lets go soon, but not at once.
    end = time.monotonic() + 60
    while known() > 2000 and time.monotonic() < end:
        time.sleep(0.1)
    print(f"{what}: {known()} known of {len(directories) * 1001}")
    assert 500 < known() <= 2000
    assert os.getcwd() == f"{directory}/1"
    for j, fd in enumerate(files):
        assert os.pread(fd, 100, 0) == b"%d" % j
        assert os.readlink(f"/proc/self/fd/{fd}") == f"{directory}/0/{j}"
PY

hog() {
    mkdir "$MNT/$1"
    python3 "$TEST_DIR/hog.py" "$1" "$MNT/$1" "$(daemon_pid)" "$TIMES" | tee "$TEST_DIR/hog"
    return "${PIPESTATUS[0]}"
}

# The daemon keeps no open file for any of this.
descriptors() {
    find "/proc/$(daemon_pid)/fd" -mindepth 1 | wc -l
}

for what in small large xattrs directories listings nodes controls; do
    options=commit_ms=60000
    if [ "$what" = nodes ]; then
        # Linux 6.18 is the first that can be asked to forget.
        if [ "$(printf '6.18\n%s\n' "$(uname -r)" | sort -V | head -n 1)" != 6.18 ]; then
            echo "     nodes: skipped, this kernel cannot be asked to forget files"
            continue
        fi
        options=max_nodes=2000
    fi
    if [ "$what" = controls ]; then
        is_root || continue
        options=allow_other
    fi
    # So that commits come late, and nothing but the bounds makes them come.
    mount_store -o "$options" || die "mount"
    if grep -q 'lib[at]san' "/proc/$(daemon_pid)/maps"; then skip_all "a sanitizer keeps what was freed"; fi
    before=$(descriptors)
    check "memory is bounded: $what" hog "$what"
    sed -n "s/^$what: /     /p" "$TEST_DIR/hog"
    # Of the many directories there the partitions stay open.
    [ "$what" = nodes ] || check "descriptors are as before: $what" [ "$(descriptors)" -le $((before + 40)) ]
    check "unmounts" unmount_store
    rm -rf "$STORE"
done
finish
