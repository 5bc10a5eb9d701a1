# shellcheck shell=bash
# lib.sh - what the tests against a real mount share. Sourced by bash scripts, never run.
#
# A script that sources it gets a directory of its own (TEST_DIR, below ${TMPDIR:-/tmp}) with STORE and MNT in it, a
# daemon it can start, stop and kill, and a trap that leaves nothing behind: no mount, no process, no file.
# Programs: $BITCASKFS and $BITCASK, else those of the current build directory. Exit status: 0, 1 or, where the
# machine lacks what is needed, 77, which automake counts as skipped.
# The daemon runs in the foreground mode (-f), so that its process id, its messages and its exit status are known;
# they stand in files, so that any subshell can start it and any other can wait for it.

set -u
export LC_ALL=C
umask 022
# A make in a test is its own, and not one of `make check`: the lists of tests that are handed down there would be its.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
# Nor are its descriptors a test's, which counts its own. 255 is this script.
for descriptor in /proc/$$/fd/*; do
    descriptor=${descriptor##*/}
    if [ "$descriptor" -gt 2 ] && [ "$descriptor" -ne 255 ]; then eval "exec $descriptor>&-"; fi
done

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TEST_NAME=$(basename "$0" .sh)
LONG=${LONG:-0}
checks_done=0
checks_failed=0
checks_skipped=0
BACKGROUND=()   # processes that cleanup ends
EXTRA_MOUNTS=() # mounts, beside MNT, that cleanup takes away

# Prints a line that cannot be overlooked and ends the script as skipped.
skip_all() {
    printf '%s: SKIPPED: %s\n' "$TEST_NAME" "$*" >&2
    exit 77
}

ok() {
    checks_done=$((checks_done + 1))
    printf 'ok   %s\n' "$*"
}

fail() {
    checks_done=$((checks_done + 1))
    checks_failed=$((checks_failed + 1))
    printf 'FAIL %s\n' "$*"
}

skip() {
    checks_skipped=$((checks_skipped + 1))
    printf 'SKIP %s\n' "$*"
}

# Ends the script at once: what follows could mean nothing.
die() {
    fail "$*"
    show_daemon_log
    finish
}

# Prints the sum and ends the script with the status it deserves.
finish() {
    printf '%s: %d checks, %d failed, %d skipped\n' "$TEST_NAME" "$checks_done" "$checks_failed" "$checks_skipped"
    [ "$checks_failed" -eq 0 ]
    exit
}

# check NAME FUNCTION [ARG...]: runs the function in a subshell that stops at the first command that fails. Its output
# is shown only then, with the line and the command.
check() {
    local name=$1 status
    shift
    (
        set -eE
        trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR
        "$@"
    ) >"$TEST_DIR/check.out" 2>&1
    status=$?
    case $status in
    0) ok "$name" ;;
    77) skip "$name: $(tail -n 1 "$TEST_DIR/check.out")" ;;
    *)
        fail "$name"
        tail -n 60 "$TEST_DIR/check.out" | cut -c 1-300 | sed 's/^/     | /'
        ;;
    esac
}

# For use inside a checked function: says why and skips the rest of it.
skip_check() {
    echo "$*"
    exit 77
}

# refused TEXT COMMAND...: the command must fail, and its message must hold TEXT (of one errno, or several joined by \|).
refused() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "not refused: $*"
        return 1
    fi
    printf '%s\n' "$output" | grep -q -- "$text" || {
        echo "refused with another message than '$text': $* -> $output"
        return 1
    }
}

# equal WHAT A B: two strings.
equal() {
    [ "$2" = "$3" ] || {
        printf '%s: wanted %q, got %q\n' "$1" "$2" "$3"
        return 1
    }
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# A user for the checks that must not run as root, and commands run as that one.
USER_ID=65534
as_user() {
    setpriv --reuid="$USER_ID" --regid="$USER_ID" --clear-groups "$@"
}

# In a new mount namespace: drops its copies of the mounts of other tests, whose daemons could not end as long as these
# are there.
leave_other_mounts() {
    local place
    for place in $(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - fuse\.bitcaskfs .*/\1/p' /proc/self/mountinfo); do
        [[ $place == "$TEST_DIR"/* ]] || umount -l "$(printf %b "$place")" || true
    done
}

# Runs a function or command in a mount namespace of its own where every user may open /dev/fuse. Variables that it needs
# stand in PASSED_ON.
PASSED_ON=(TEST_DIR STORE MNT USER_ID BITCASKFS BITCASK)
with_fuse_for_all() {
    unshare --mount --propagation private true || skip_check "no mount namespace can be made here"
    [ -c "$TEST_DIR/fuse" ] || mknod -m 666 "$TEST_DIR/fuse" c 10 229
    unshare --mount --propagation private bash -c "
        $(declare -p "${PASSED_ON[@]}")
        $(declare -f)
        set -eE
        leave_other_mounts
        mount --bind \"\$TEST_DIR/fuse\" /dev/fuse
        (exec 9<>/dev/fuse) 2>/dev/null || { echo 'no device files in this directory'; exit 77; }
        \"\$@\"" bash "$@"
}

# Ends the script with 77 unless this process can mount through /dev/fuse.
require_fuse() {
    local caps
    [ -c /dev/fuse ] || skip_all "no /dev/fuse on this machine: nothing can be mounted"
    (exec 9<>/dev/fuse) 2>/dev/null || skip_all "/dev/fuse cannot be opened by user $(id -un)"
    if is_root; then
        caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
        # Bit 21 is CAP_SYS_ADMIN. Containers have a root without it.
        [ $((0x$caps >> 21 & 1)) -eq 1 ] || skip_all "this root may not mount (no CAP_SYS_ADMIN)"
    else
        command -v fusermount3 >/dev/null || skip_all "no fusermount3 (package fuse3), and not root"
    fi
}

# find_program VALUE NAME PLACE...: prints an absolute path.
find_program() {
    local given=$1 name=$2 place
    shift 2
    for place in ${given:+"$given"} "$@"; do
        if [ -x "$place" ] && [ ! -d "$place" ]; then
            printf '%s/%s\n' "$(cd "$(dirname "$place")" && pwd)" "$(basename "$place")"
            return 0
        fi
        [ -z "$given" ] || break
    done
    printf '%s: FAIL: program %s not found; build first, or say where it is\n' "$TEST_NAME" "$name" >&2
    return 1
}

# Makes TEST_DIR, STORE, MNT, finds the programs and sets the trap. Call it first, after require_fuse.
setup() {
    BITCASKFS=$(find_program "${BITCASKFS:-}" bitcaskfs ./bitcaskfs ./fs/bitcaskfs) || exit 1
    BITCASK=$(find_program "${BITCASK:-}" bitcask ./bitcask ./store/cli/bitcask ./store/bitcask) || exit 1
    TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/bitcaskfs-test.XXXXXX") || exit 1
    STORE=$TEST_DIR/store
    MNT=$TEST_DIR/mnt
    mkdir "$MNT"
    : >"$TEST_DIR/daemon.log"
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# The mounts go first, and lazily: a process that is stuck in one of them would keep rm and umount waiting.
cleanup() {
    local point tries=0
    trap - EXIT
    exec 3>&- 4>&-
    cd /
    for point in "$MNT" "${EXTRA_MOUNTS[@]}"; do
        detach "$point"
    done
    if [ -s "$TEST_DIR/daemon.pid" ]; then
        [ -e "$TEST_DIR/daemon.status" ] || kill -9 "$(daemon_pid)" 2>/dev/null
        until [ -e "$TEST_DIR/daemon.status" ] || [ $tries -ge 100 ]; do
            tries=$((tries + 1))
            sleep 0.02
        done
    fi
    [ ${#BACKGROUND[@]} -eq 0 ] || kill -9 "${BACKGROUND[@]}" 2>/dev/null
    rm -rf --one-file-system "$TEST_DIR"
}

# Takes a mount away, dead or alive, busy or not.
detach() {
    if is_root; then
        umount -l "$1" 2>/dev/null
    else
        fusermount3 -u -z "$1" 2>/dev/null
    fi
    return 0
}

# mount_store [OPTION...]: starts the daemon on STORE and MNT and waits until it answers.
mount_store() {
    start_daemon "$@"
    wait_mounted
}

require_failing() {
    ! ldd "$BITCASKFS" | grep -qE 'lib[at]san' || skip_check "no library goes before a sanitizer's"
}

# mount_failing [OPTION...]: the daemon with a library before it that fails each sync while $TEST_DIR/fail is there. It
# needs -o no_sandbox, since that file is outside of the store.
mount_failing() {
    cat >"$TEST_DIR/fail.c" <<'END'
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/syscall.h>
static int fails(void) { errno = EIO; return access(getenv("FAIL_SYNC"), F_OK) == 0; }
int fdatasync(int fd) { return fails() ? (errno = EIO, -1) : (int)syscall(SYS_fdatasync, fd); }
int fsync(int fd) { return fails() ? (errno = EIO, -1) : (int)syscall(SYS_fsync, fd); }
END
    ${CC:-cc} -shared -fPIC -o "$TEST_DIR/fail.so" "$TEST_DIR/fail.c"
    printf '#!/bin/sh\nFAIL_SYNC=%q LD_PRELOAD=%q exec %q "$@"\n' "$TEST_DIR/fail" "$TEST_DIR/fail.so" "$BITCASKFS" \
        >"$TEST_DIR/failing"
    chmod +x "$TEST_DIR/failing"
    BITCASKFS=$TEST_DIR/failing mount_store "$@"
}

start_daemon() {
    rm -f "$TEST_DIR/daemon.status" "$TEST_DIR/daemon.pid"
    (
        # It may be started inside a check, and must outlive the daemon, whatever that ends with.
        set +eE
        trap - ERR
        "$BITCASKFS" -f "$@" "$STORE" "$MNT" &
        echo $! >"$TEST_DIR/daemon.pid.new"
        mv "$TEST_DIR/daemon.pid.new" "$TEST_DIR/daemon.pid"
        wait $!
        echo $? >"$TEST_DIR/daemon.status.new"
        mv "$TEST_DIR/daemon.status.new" "$TEST_DIR/daemon.status"
    ) </dev/null >>"$TEST_DIR/daemon.log" 2>&1 &
    disown
    until [ -s "$TEST_DIR/daemon.pid" ]; do sleep 0.01; done
}

daemon_pid() {
    cat "$TEST_DIR/daemon.pid"
}

# Asks the daemon itself: a dead mount still answers stat from what the kernel has cached, but not statfs. A missing one
# has the device number of the directory below.
is_mounted() {
    stat -f "$MNT" >/dev/null 2>&1 || return 1
    [ "$(stat -c %d "$MNT/." 2>/dev/null)" != "$(stat -c %d "$TEST_DIR/.")" ]
}

wait_mounted() {
    local tries=0
    until is_mounted; do
        if [ -e "$TEST_DIR/daemon.status" ]; then
            echo "the daemon ended with status $(cat "$TEST_DIR/daemon.status") instead of mounting:"
            show_daemon_log
            return 1
        fi
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || { echo "no mount after 2 minutes"; return 1; }
        sleep 0.02
    done
}

# Waits until the daemon has ended; its exit status must be $1 (default 0).
wait_daemon() {
    local tries=0 status
    until [ -e "$TEST_DIR/daemon.status" ]; do
        tries=$((tries + 1))
        [ $tries -lt 6000 ] || { daemon_hangs; return 1; }
        sleep 0.02
    done
    status=$(cat "$TEST_DIR/daemon.status")
    no_sanitizer_report || return 1
    if [ "$status" -ne "${1:-0}" ]; then
        echo "the daemon ended with status $status, wanted ${1:-0}"
        show_daemon_log
        return 1
    fi
}

# Says where a daemon stands that should have ended, and ends it.
daemon_hangs() {
    echo "the daemon still runs after 2 minutes"
    show_daemon_log
    if command -v gdb >/dev/null; then
        gdb -p "$(daemon_pid)" -batch -ex 'thread apply all bt 12' 2>/dev/null | grep -a -E '^(Thread|#)'
    fi
    kill -9 "$(daemon_pid)"
}

# A race or a bad access in the daemon fails the test even when all results were right.
no_sanitizer_report() {
    if grep -E -A 30 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' \
        "$TEST_DIR/daemon.log"; then
        echo "the daemon's sanitizer complained"
        return 1
    fi
}

# Unmounts as a user would and waits until the daemon has written everything and gone.
unmount_store() {
    local tries=0
    if is_root; then
        # Somebody (a file indexer, say) may look into the mount for a moment.
        until umount "$MNT" 2>"$TEST_DIR/umount.err"; do
            tries=$((tries + 1))
            [ $tries -lt 20 ] || { cat "$TEST_DIR/umount.err"; show_daemon_log; return 1; }
            sleep 0.1
        done
    else
        fusermount3 -u "$MNT" || return 1
    fi
    wait_daemon
}

# SIGKILL: the daemon gets no chance to write anything more.
kill_daemon() {
    kill -9 "$(daemon_pid)" || return 1
    wait_daemon 137
}

show_daemon_log() {
    tail -n 15 "$TEST_DIR/daemon.log" | sed 's/^/     daemon: /'
}

# helper NAME [SOURCE...]: builds tests/NAME.c, with other sources there, into TEST_DIR unless the build made it already.
# Prints the program's path.
helper() {
    local name=$1 place source=$TESTS_DIR/$1.c program
    shift
    program=$TEST_DIR/$(basename "$name")
    for place in "./tests/$name" "./$name"; do
        [ ! -x "$place" ] || { printf '%s/%s\n' "$PWD" "${place#./}"; return 0; }
    done
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -o "$program" "$source" "${@/#/$TESTS_DIR/}" >"$program.log" 2>&1 || {
        cat "$program.log" >&2
        return 1
    }
    printf '%s\n' "$program"
}

# slice_of DIR COUNT TARGET: copies the first COUNT files and symlinks below DIR, sorted by name, metadata included.
# Several links to one file become several files; names with a newline are left out.
slice_of() {
    mkdir -p "$3"
    (cd "$1" && find . \( -type f -o -type l \) -readable ! -name $'*\n*' | sort | head -n "$2" |
        tar --create --format=posix --hard-dereference --no-recursion --files-from=- --file=-) |
        tar --extract --preserve-permissions --directory="$3" --file=-
}

# manifest DIR: one NUL-terminated line per file: type, mode, owners, size, mtime in nanoseconds, name, link target.
# Sizes of directories mean different things on different filesystems and are left out.
manifest() {
    (cd "$1" && find . \( -type d -printf '%y %m %U %G - %T@ %p\0' -o -printf '%y %m %U %G %s %T@ %p -> %l\0' \) | sort -z)
}
