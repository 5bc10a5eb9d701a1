#!/usr/bin/env bash
# mount_session.sh - the command bitcaskfs: what it refuses and how it says so, how a mount is made, found and ended.
#
# Everything happens in $WORLD, of which nothing may have changed after a refusal. Some checks need root, and say so.

# Functions are called by name, through check, or as text in another shell.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
export WORLD=$TEST_DIR/world
STORE=$WORLD/store
MNT=$WORLD/mnt
mkdir -p "$WORLD" "$MNT" "$WORLD/other"
chmod 711 "$TEST_DIR" "$WORLD"

PASSED_ON+=(WORLD)

mounts_here() {
    grep -F "$TEST_DIR" /proc/self/mountinfo || true
}

# is_mounted of lib.sh asks the file system; this one asks the kernel's table, where dead mounts stand too.
in_table() {
    cut -d ' ' -f 5 /proc/self/mountinfo | grep -qxF "$1"
}

# Does the process $1 run bitcaskfs for this test? Daemons are known by the environment that they were started with, and
# by their name from the processes that mount for them.
is_ours() {
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" != bitcaskfs-mount ] || return 1
    case $(readlink "/proc/$1/exe" 2>/dev/null || true) in
    */bitcaskfs | "$BITCASKFS") grep -qzxF "WORLD=$WORLD" "/proc/$1/environ" 2>/dev/null ;;
    *) return 1 ;;
    esac
}

# The daemon that serves the mount at $1, by the last name of that path.
daemon_of() {
    local place
    for place in /proc/[0-9]*; do
        is_ours "${place#/proc/}" || continue
        tr '\0' '\n' <"$place/cmdline" | grep -qE "(^|/)$(basename "$1")/?\$" || continue
        echo "${place#/proc/}"
        return 0
    done
    echo "no daemon of $1"
    return 1
}

# Waits until the process has ended. Where nobody collects orphans it stays as a zombie: that counts.
# Gone is a process with all its threads: the first may be a zombie while others still hold /dev/fuse open.
wait_gone() {
    local tries=0
    while [ -e "/proc/$1" ] && ! { grep -q '^State:[[:space:]]*Z' "/proc/$1/status" &&
        grep -q '^Threads:[[:space:]]*1$' "/proc/$1/status"; } 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 6000 ] || { echo "process $1 still runs after 2 minutes"; return 1; }
        sleep 0.02
    done
}

leave() {
    local pid
    pid=$(daemon_of "${1:-$MNT}")
    if is_root; then umount "${1:-$MNT}"; else fusermount3 -u "${1:-$MNT}"; fi
    wait_gone "$pid"
}

# A store that is being served may change at any moment: $SERVED, where set.
SERVED=
PASSED_ON+=(SERVED)
world() {
    find "$WORLD" -xdev -path "$SERVED" -prune -o -printf '%P %i %y %m %s %T@\n' 2>/dev/null | sort
    mounts_here
}

# refuses TEXT COMMAND...: one line of ours on stderr, holding TEXT; exit status 1; and the world is as before.
refuses() {
    local text=$1 status before after
    shift
    before=$(world)
    status=0
    "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/err" || status=$?
    after=$(world)
    cat "$TEST_DIR/err"
    equal "exit status of $*" 1 "$status"
    equal "stdout" "" "$(cat "$TEST_DIR/out")"
    equal "lines on stderr" 1 "$(wc -l <"$TEST_DIR/err")"
    grep -q '^bitcaskfs: ' "$TEST_DIR/err"
    grep -qF -- "$text" "$TEST_DIR/err" || { echo "the line does not hold '$text'"; return 1; }
    equal "the world" "$before" "$after"
}

# Whatever a check left behind, the next one begins without mounts and daemons.
sweep() {
    local place point
    mounts_here | cut -d ' ' -f 5 | while read -r point; do
        # The table has octal escapes, and so has printf %b.
        detach "$(printf '%b' "${point//\\/\\0}")"
    done
    for place in /proc/[0-9]*; do
        is_ours "${place#/proc/}" || continue
        kill -9 "${place#/proc/}" 2>/dev/null
        wait_gone "${place#/proc/}"
    done
}

session_check() {
    check "$@"
    sweep
}

# ---- what is refused ----

bad_command_lines() {
    refuses "STORE is missing" "$BITCASKFS"
    refuses "MOUNTPOINT is missing" "$BITCASKFS" "$STORE"
    refuses "one operand too many" "$BITCASKFS" "$STORE" "$MNT" extra
    refuses "is empty" "$BITCASKFS" "" "$MNT"
    refuses "-o nosuch: unknown option" "$BITCASKFS" -o nosuch "$STORE" "$MNT"
    refuses "-o nosuch=1: unknown option" "$BITCASKFS" "$STORE" "$MNT" -o ro,nosuch=1
    refuses "-o sync=never" "$BITCASKFS" -o sync=never "$STORE" "$MNT"
    refuses "-o commit_ms=soon" "$BITCASKFS" -o commit_ms=soon "$STORE" "$MNT"
    refuses "-o commit_ms=-1" "$BITCASKFS" -o commit_ms=-1 "$STORE" "$MNT"
    refuses "-o interval=0" "$BITCASKFS" -o interval=0 "$STORE" "$MNT"
    refuses "-o max_open=99999999999999999999" "$BITCASKFS" -o max_open=99999999999999999999 "$STORE" "$MNT"
    refuses "-o max_nodes=99: must be a number from 100" "$BITCASKFS" -o max_nodes=99 "$STORE" "$MNT"
    refuses "-o segment_size=4G" "$BITCASKFS" -o segment_size=4G "$STORE" "$MNT"
    refuses "-o segment_size=1X" "$BITCASKFS" -o segment_size=1X "$STORE" "$MNT"
    refuses "-o memory=63K" "$BITCASKFS" -o memory=63K "$STORE" "$MNT"
    refuses "-o memory=much" "$BITCASKFS" -o memory=much "$STORE" "$MNT"
    refuses "-o segment_size=63K" "$BITCASKFS" -o segment_size=63K "$STORE" "$MNT"
    refuses "-o scheduler=maybe" "$BITCASKFS" -o scheduler=maybe "$STORE" "$MNT"
    refuses "-o scheduler: unknown option" "$BITCASKFS" -o scheduler "$STORE" "$MNT"
    refuses "-o merge_rate=0" "$BITCASKFS" -o merge_rate=0 "$STORE" "$MNT"
    refuses "-o merge_rate=-1" "$BITCASKFS" -o merge_rate=-1 "$STORE" "$MNT"
    refuses "-o merge_rate=10E" "$BITCASKFS" -o merge_rate=10E "$STORE" "$MNT"
    refuses "-o merge_rate=fast" "$BITCASKFS" -o merge_rate=fast "$STORE" "$MNT"
    refuses '-o bad\x0aname' "$BITCASKFS" -o $'bad\nname' "$STORE" "$MNT"
}
session_check "bad command lines are refused in one line" bad_command_lines

help_and_version() {
    "$BITCASKFS" --help | grep -q STORE
    "$BITCASKFS" --version | grep -q '^bitcaskfs '
}
session_check "--help and --version" help_and_version

bad_mountpoints() {
    local dir=$WORLD/mountpoints
    mkdir -p "$dir/full"
    echo content >"$dir/full/file"
    refuses "no such directory" "$BITCASKFS" "$STORE" "$dir/missing"
    refuses "is not a directory" "$BITCASKFS" "$STORE" "$dir/full/file"
    refuses "is not empty" "$BITCASKFS" "$STORE" "$dir/full"
    refuses "is not a directory" "$BITCASKFS" "$STORE" /dev/null
}
session_check "MOUNTPOINT missing, a file, or not empty" bad_mountpoints

bad_stores() {
    local dir=$WORLD/stores
    mkdir -p "$dir/foreign"
    echo content >"$dir/file"
    echo content >"$dir/foreign/letter.txt"
    refuses "$dir/file" "$BITCASKFS" "$dir/file" "$MNT"
    refuses "$dir/foreign" "$BITCASKFS" "$dir/foreign" "$MNT"
    refuses "$dir/absent/store" "$BITCASKFS" "$dir/absent/store" "$MNT"
    refuses "$dir/file/store" "$BITCASKFS" "$dir/file/store" "$MNT"
    refuses "$dir/absent" "$BITCASKFS" -o ro "$dir/absent" "$MNT"

    echo x | "$BITCASK" put "$dir/newer" key
    sed -i 's/^format: .*/format: 999/' "$dir/newer/STORE"
    refuses "999" "$BITCASKFS" "$dir/newer" "$MNT"
}
session_check "STORE a file, of other content, without parent, of a newer format" bad_stores

nested_paths() {
    local dir=$WORLD/nested
    mkdir -p "$dir/mnt" "$dir/store"
    refuses "lies below its mountpoint" "$BITCASKFS" "$dir/mnt/store" "$dir/mnt"
    refuses "lies below its mountpoint" "$BITCASKFS" "$dir/mnt" "$dir/mnt"
    ln -sfn "$dir/mnt" "$dir/link"
    refuses "lies below its mountpoint" "$BITCASKFS" "$dir/link/store" "$dir/mnt"
    mkdir "$dir/store/mnt"
    refuses "lies inside the store" "$BITCASKFS" "$dir/store" "$dir/store/mnt"
    cd "$dir/mnt"
    refuses "lies below its mountpoint" "$BITCASKFS" store .
}
session_check "STORE below MOUNTPOINT, and the reverse" nested_paths

store_in_use() {
    "$BITCASKFS" "$STORE" "$MNT"
    echo hello >"$MNT/hello"
    sync "$MNT/hello"
    SERVED=$STORE
    refuses "in use" "$BITCASKFS" "$STORE" "$WORLD/other"
    refuses "mounted there already" "$BITCASKFS" "$WORLD/store2" "$MNT"
    equal "still served" hello "$(cat "$MNT/hello")"
    leave
}
session_check "STORE in use, MOUNTPOINT taken" store_in_use

not_our_store() {
    is_root || skip_check "needs root, to act as two users"
    local dir=$WORLD/users
    mkdir -p "$dir/store" "$dir/locked"
    install -m 755 "$BITCASKFS" "$dir/bitcaskfs"
    install -d -o "$USER_ID" "$dir/mnt"
    echo x | "$BITCASK" put "$dir/rootstore" key
    chmod 755 "$dir/rootstore"
    with_fuse_for_all refuses "$dir/rootstore" as_user "$dir/bitcaskfs" "$dir/rootstore" "$dir/mnt"
    with_fuse_for_all refuses "$dir/locked/store" as_user "$dir/bitcaskfs" "$dir/locked/store" "$dir/mnt"
    with_fuse_for_all refuses "write permission" as_user "$dir/bitcaskfs" "$dir/mnt/../store2" "$dir/locked"
}

session_check "STORE and MOUNTPOINT not ours to write" not_our_store

no_device() {
    is_root || skip_check "needs root, to hide /dev/fuse"
    without_device() {
        mount -t tmpfs none /dev
        mknod -m 666 /dev/null c 1 3
        refuses "/dev/fuse" "$BITCASKFS" "$WORLD/store3" "$MNT"
        : >/dev/fuse
        refuses "is not the FUSE device" "$BITCASKFS" "$WORLD/store3" "$MNT"
    }
    with_fuse_for_all without_device
}
session_check "no /dev/fuse" no_device

# ---- mounting ----

ready_at_return() {
    local output i
    for i in 1 2 3 4 5; do
        output=$("$BITCASKFS" "$STORE" "$MNT" 2>&1)
        equal "output" "" "$output"
        equal "content" hello "$(cat "$MNT/hello")"
        echo "$i" >"$MNT/number"
        leave
        equal "after the end" "$i" "$("$BITCASK" get "$STORE" number)"
    done
    "$BITCASKFS" "$STORE" "$MNT"
    findmnt -n -o FSTYPE,SOURCE "$MNT" | grep -qF "fuse.bitcaskfs $STORE"
    findmnt -n -o FS-OPTIONS "$MNT" | grep -q default_permissions
    leave
}
session_check "the command returns when the mount answers" ready_at_return

options_anywhere() {
    cd "$WORLD"
    "$BITCASKFS" -o ro,noexec store -o nodev mnt -o defaults,x-systemd.automount,comment=a,_netdev,nofail,user
    findmnt -n -o VFS-OPTIONS "$MNT" | grep -q '^ro.*noexec'
    refused "Read-only" touch "$MNT/new"
    leave
    "$BITCASKFS" store mnt -o ro -o rw,sync=interval=50,commit_ms=0,max_open=20,max_nodes=1000,segment_size=1M,noatime
    echo now >"$MNT/now"
    equal "commit_ms=0" now "$("$BITCASK" get "$STORE" now)"
    leave
    for option in sync=always sync=os sync=interval interval=10 suid,dev,exec,async nosuid relatime,noauto; do
        "$BITCASKFS" store mnt -o "$option"
        leave
    done
}
session_check "options before, between and after the operands" options_anywhere

strange_store_name() {
    local store="$WORLD/a, b\\c"
    "$BITCASKFS" "$store" "$MNT"
    equal "source" "$store" "$(findmnt -n -o SOURCE "$MNT")"
    leave
}
session_check "a comma, a blank and a backslash in STORE" strange_store_name

mount_command() {
    is_root || skip_check "mount(8) needs root"
    [ -x /sbin/mount.fuse3 ] || [ -x /usr/sbin/mount.fuse3 ] || skip_check "no mount.fuse3 (package fuse3)"
    by_name() {
        # mount(8) has a PATH of its own.
        mount -t tmpfs none /usr/local/bin
        cp "$BITCASKFS" /usr/local/bin/bitcaskfs
        BITCASKFS=/usr/local/bin/bitcaskfs
        mount -t fuse.bitcaskfs -o noatime,commit_ms=50,nofail "$STORE" "$MNT"
        equal "content" hello "$(cat "$MNT/hello")"
        leave
        refused "unknown option" mount -t fuse.bitcaskfs -o nosuch "$STORE" "$MNT"
    }
    with_fuse_for_all by_name
}
session_check "mount -t fuse.bitcaskfs" mount_command

other_users() {
    is_root || skip_check "needs root, to act as two users"
    "$BITCASKFS" "$STORE" "$MNT"
    chmod 755 "$MNT"
    chmod 644 "$MNT/hello"
    refused "Permission denied" as_user cat "$MNT/hello"
    leave
    "$BITCASKFS" -o allow_other "$STORE" "$MNT"
    equal "with allow_other" hello "$(as_user cat "$MNT/hello")"
    refused "Permission denied" as_user touch "$MNT/new"
    leave
}
session_check "other users enter with allow_other, and permissions count" other_users

init_flags_and_quiet_opens() {
    local log=$TEST_DIR/debug.log i opcode pid
    "$BITCASKFS" -d "$STORE" "$MNT" >"$log" 2>&1 &
    pid=$!
    BACKGROUND+=("$pid")
    wait_mounted
    for i in 1 2 3; do
        echo "$i" >"$MNT/quiet$i"
        cat "$MNT/quiet$i" "$MNT/hello"
        ls "$MNT"
    done
    kill "$pid"
    wait_gone "$pid"
    unset 'BACKGROUND[-1]'
    for opcode in OPEN CREATE OPENDIR FLUSH; do
        equal "$opcode requests" 1 "$(grep -c "opcode: $opcode " "$log")"
    done
    if grep -q 'FUSE library version: 3\.1[4-9]' "$log"; then
        grep -q 'INIT: .*PARALLEL_DIROPS on' "$log"
        grep -q 'INIT: .*HANDLE_KILLPRIV_V2 on' "$log"
        grep -q 'INIT: .*SETXATTR_EXT on' "$log"
    fi
}
session_check "open, create, opendir and flush go quiet, INIT gets its flags" init_flags_and_quiet_opens

# ---- dead mounts ----

dead_mount() {
    local i pid
    for i in 1 2 3; do
        "$BITCASKFS" "$STORE" "$MNT"
        echo "$i" >"$MNT/durable"
        sync "$MNT/durable"
        pid=$(daemon_of "$MNT")
        kill -9 "$pid"
        wait_gone "$pid"
        # The attributes of its root may still be cached, so stat(2) tells nothing. A request that meets the mount's last
        # moment is aborted.
        refused 'not connected\|connection abort' stat -f "$MNT"
        refuses "unknown option" "$BITCASKFS" -o nosuch "$STORE" "$MNT"
        "$BITCASKFS" "$STORE" "$MNT"
        equal "content" "$i" "$(cat "$MNT/durable")"
        leave
        in_table "$MNT" && { echo "a mount is left"; return 1; }
    done
    true
}
session_check "a dead mount is replaced" dead_mount

dead_mount_stays_when_refused() {
    local pid
    "$BITCASKFS" "$WORLD/store4" "$MNT"
    pid=$(daemon_of "$MNT")
    kill -9 "$pid"
    wait_gone "$pid"
    "$BITCASKFS" "$STORE" "$WORLD/other"
    SERVED=$STORE
    refuses "in use" "$BITCASKFS" "$STORE" "$MNT"
    in_table "$MNT"
    leave "$WORLD/other"
    ln -sfn "$MNT" "$WORLD/link"
    cd "$WORLD"
    "$BITCASKFS" "$STORE" link/
    equal "through a symlink" hello "$(cat "$MNT/hello")"
    pid=$(daemon_of "$WORLD/link")
    kill "$pid"
    wait_gone "$pid"
    in_table "$MNT" && { echo "the mount is left"; return 1; }
    true
}
session_check "a dead mount stays when the rest is refused, and is found through a symlink" dead_mount_stays_when_refused

# ---- the end ----

signals_end_cleanly() {
    local signal
    for signal in TERM INT HUP; do
        mount_store
        echo "before $signal" >"$MNT/signal"
        kill -s "$signal" "$(daemon_pid)"
        wait_daemon 0
        in_table "$MNT" && { echo "SIG$signal left the mount"; return 1; }
        equal "after SIG$signal" "before $signal" "$("$BITCASK" get "$STORE" signal)"
    done
}
session_check "SIGTERM, SIGINT and SIGHUP leave a clean store and no mount" signals_end_cleanly

signal_with_open_files() {
    local start
    mount_store
    mkdir -p "$MNT/held.d"
    exec 3>"$MNT/held.d/held"
    echo written >&3
    cd "$MNT/held.d"
    start=$SECONDS
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    [ $((SECONDS - start)) -le 20 ]
    in_table "$MNT" && { echo "the mount is left"; return 1; }
    if (echo more >&3) 2>/dev/null; then
        echo "a write after the end was acknowledged"
        return 1
    fi
    exec 3>&-
    cd /
    equal "content" written "$("$BITCASK" get "$STORE" held.d/held)"
}
session_check "SIGTERM ends the mount also with a file open and a shell inside" signal_with_open_files

unmount_with_open_file() {
    mount_store
    exec 3>"$MNT/held"
    echo one >&3
    refused "busy" fusermount3 -u "$MNT"
    fusermount3 -u -z "$MNT"
    in_table "$MNT" && { echo "the mount is left"; return 1; }
    # A lazy unmount: those inside go on, and the daemon lives until they leave.
    echo two >&3
    exec 3>&-
    wait_daemon 0
    equal "content" $'one\ntwo' "$("$BITCASK" get "$STORE" held)"
}
session_check "fusermount3 -u, and -z with a file open" unmount_with_open_file

# The mount below a mount of something else is what must go, or nothing; never the other one.
end_below_another_mount() {
    is_root || skip_check "needs root, to mount something over it"
    mount_store
    mount -t tmpfs none "$MNT"
    echo stays >"$MNT/other"
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    equal "the other mount" stays "$(cat "$MNT/other")"
    umount "$MNT"
}
session_check "what is mounted over a mount survives the mount's end" end_below_another_mount

# The kernel gives the id of a mount that is gone to the next one. A daemon that has not seen its end yet must not take
# that one for its own.
end_after_another_mount() {
    local pid
    is_root || skip_check "needs root, to mount something else"
    "$BITCASKFS" "$STORE" "$MNT"
    mkdir "$WORLD/else"
    echo mine >"$WORLD/else/file"
    pid=$(daemon_of "$MNT")
    kill -STOP "$pid"
    # Without a look at the mount, which the daemon could not answer.
    timeout 60 umount -c -i "$MNT" && timeout 60 mount --bind "$WORLD/else" "$MNT" || { kill -CONT "$pid"; false; }
    kill -CONT "$pid"
    wait_gone "$pid"
    equal "what was mounted there meanwhile" mine "$(cat "$MNT/file")"
    umount "$MNT"
    rm -r "$WORLD/else"
}
session_check "what is mounted where a mount was survives the daemon's end" end_after_another_mount

# ---- a user who is not root ----

user_steps() {
    local dir=$WORLD/user pid
    BITCASKFS=$dir/bitcaskfs
    MNT=$dir/mnt
    as_user "$BITCASKFS" "$dir/store" "$MNT"
    as_user sh -c "echo mine >'$MNT/file'"
    equal "content" mine "$(as_user cat "$MNT/file")"
    SERVED=$dir/store
    refuses "in use" as_user "$BITCASKFS" "$dir/store" "$dir/mnt2"
    if ! grep -q '^[[:space:]]*user_allow_other' /etc/fuse.conf; then
        refuses "allow_other" as_user "$BITCASKFS" -o allow_other "$dir/store2" "$dir/mnt2"
    fi
    pid=$(daemon_of "$MNT")
    as_user fusermount3 -u "$MNT"
    wait_gone "$pid"

    as_user "$BITCASKFS" "$dir/store" "$MNT"
    equal "after a remount" mine "$(as_user cat "$MNT/file")"
    pid=$(daemon_of "$MNT")
    kill -9 "$pid"
    wait_gone "$pid"
    as_user "$BITCASKFS" "$dir/store" "$MNT"
    equal "over a dead mount" mine "$(as_user cat "$MNT/file")"

    pid=$(daemon_of "$MNT")
    exec 3< <(as_user sh -c "exec 4<'$MNT/file'; echo open; sleep 60")
    read -r _ <&3
    kill -TERM "$pid"
    wait_gone "$pid"
    exec 3<&-
    in_table "$MNT" && { echo "the mount is left"; return 1; }
    true
}

user_mounts() {
    is_root || skip_check "this whole test ran as a user who is not root"
    command -v fusermount3 >/dev/null || skip_check "no fusermount3 (package fuse3)"
    getent passwd "$USER_ID" >/dev/null || skip_check "user $USER_ID has no name here"
    local dir=$WORLD/user
    install -d -o "$USER_ID" -g "$USER_ID" "$dir" "$dir/mnt" "$dir/mnt2"
    install -m 755 "$BITCASKFS" "$dir/bitcaskfs"
    with_fuse_for_all user_steps
}
session_check "a user mounts, replaces a dead mount and ends through fusermount3" user_mounts

finish
