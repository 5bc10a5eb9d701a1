#!/usr/bin/env bash
# mount_sandbox.sh - what a running daemon has given up, seen from outside, and that all it has to do works without.
#
# Processes that try to get out are tests/test_sandbox.c; here the daemon itself is looked at, with each part switched
# off once, as root and as another user.

# Functions are called by name, through check, or as text in another shell.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
chmod 711 "$TEST_DIR"

control_line() {
    sed -n "s/^$1: //p" "$MNT/.bitcask/control"
}

mount_store || die "mount"
[ "$(control_line landlock)" != off ] || skip_all "this build has the sandbox switched off"
LANDLOCK=$(control_line landlock)
SECCOMP=$(control_line seccomp)
echo "$TEST_NAME: landlock $LANDLOCK, seccomp $SECCOMP"

# every_thread NAME VALUE: the line of /proc/PID/task/*/status.
every_thread() {
    local place value count=0
    for place in "/proc/$(daemon_pid)"/task/*/status; do
        value=$(sed -n "s/^$1:[[:space:]]*//p" "$place")
        equal "$1 of $place" "$2" "$value"
        count=$((count + 1))
    done
    [ "$count" -gt 10 ]
}

core_limit() {
    awk '/^Max core file size/ { print $5, $6 }' "/proc/$(daemon_pid)/limits"
}

all_of_it() {
    every_thread NoNewPrivs 1
    [ "$SECCOMP" != on ] || every_thread Seccomp 2
    every_thread CapEff 0000000000000000
    every_thread CapPrm 0000000000000000
    ! is_root || every_thread CapBnd 0000000000000000
    equal "core limit" "0 0" "$(core_limit)"
    equal "no_new_privs" on "$(control_line no_new_privs)"
    equal "capabilities" none "$(control_line capabilities)"
    equal "dumpable" no "$(control_line dumpable)"
    equal "core dumps" off "$(control_line 'core dumps')"
}
check "every thread is inside, and .bitcask/control says so" all_of_it

# Each part can be left out, and the others stay.
parts_left_out() {
    local option
    unmount_store
    for option in no_caps no_landlock no_seccomp dumpable no_nnp no_sandbox; do
        mount_store -o "$option"
        case $option in
        no_caps | no_sandbox) control_line capabilities | grep -q 'not given up' ;;
        *) equal "capabilities with $option" none "$(control_line capabilities)" ;;
        esac
        case $option in
        no_landlock | no_nnp | no_sandbox) equal "landlock with $option" off "$(control_line landlock)" ;;
        *) equal "landlock with $option" "$LANDLOCK" "$(control_line landlock)" ;;
        esac
        case $option in
        no_seccomp | no_nnp | no_sandbox)
            equal "seccomp with $option" off "$(control_line seccomp)"
            every_thread Seccomp "$(sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status)"
            ;;
        *) equal "seccomp with $option" "$SECCOMP" "$(control_line seccomp)" ;;
        esac
        case $option in
        dumpable | no_sandbox) equal "dumpable with $option" yes "$(control_line dumpable)" ;;
        *) equal "core limit with $option" "0 0" "$(core_limit)" ;;
        esac
        case $option in
        no_nnp | no_sandbox) every_thread NoNewPrivs "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status)" ;;
        *) every_thread NoNewPrivs 1 ;;
        esac
        echo "$option" >"$MNT/written"
        unmount_store
    done
    equal "the last one" no_sandbox "$("$BITCASK" get "$STORE" written)"
    refused "unknown option" "$BITCASKFS" -o no_landlocks "$STORE" "$MNT"
}
check "each part can be left out" parts_left_out

# ---- what must work inside ----

work_of_all_kinds() {
    local i
    mount_store -o segment_size=64K,scheduler=on
    mkdir "$MNT/a" "$MNT/b"
    for ((i = 0; i < 60; i++)); do
        head -c 20000 /dev/urandom >"$MNT/a/f$((i % 12))"
        sync "$MNT/a/f$((i % 12))"
    done
    head -c 3000000 /dev/urandom >"$MNT/a/large"
    mv "$MNT/a/f0" "$MNT/b/moved"
    mv "$MNT/b" "$MNT/c"
    rm "$MNT/a/f1"
    setfattr -n user.note -v text "$MNT/a/f2"
    for i in rotate 'merge full' sync verify 'throttle 20M' 'scheduler off' 'scheduler on'; do
        echo "$i" >"$MNT/.bitcask/control"
    done
    grep -q '^last merge: done' "$MNT/.bitcask/control"
    df "$MNT" >/dev/null
    (cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) >"$TEST_DIR/sums"
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    ! grep -F "$MNT" /proc/self/mountinfo
}
check "merges, commands, large files, renames; SIGTERM detaches" work_of_all_kinds

lost_helpers_are_made_anew() {
    [ "$(find "$STORE" -name '*.hint' | wc -l)" -gt 0 ]
    find "$STORE" \( -name '*.hint' -o -name index \) -delete
    mount_store
    (cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) >"$TEST_DIR/sums.now"
    cmp "$TEST_DIR/sums" "$TEST_DIR/sums.now"
    echo 'merge full' >"$MNT/.bitcask/control"
    echo verify >"$MNT/.bitcask/control"
    unmount_store
    [ "$(find "$STORE" -name '*.hint' | wc -l)" -gt 0 ]
    "$BITCASK" verify "$STORE"
}
check "hints and checkpoints that were lost are made anew" lost_helpers_are_made_anew

nobody_else_reads_the_store() {
    equal "readable to others" "" "$(find "$STORE" -mindepth 1 -perm /077)"
    equal "the store" 700 "$(stat -c %a "$STORE")"
}
check "directories of the store are 0700, its files 0600" nobody_else_reads_the_store

read_only_and_remounted() {
    mount_store -o ro
    cmp <(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) "$TEST_DIR/sums"
    refused "Read-only" touch "$MNT/new"
    unmount_store
    mount_store
    if is_root; then
        "$BITCASKFS" -o remount,ro "$STORE" "$MNT"
        refused "Read-only" touch "$MNT/new"
        "$BITCASKFS" -o remount,rw "$STORE" "$MNT"
        touch "$MNT/new"
    fi
    unmount_store
}
check "read-only, and remounted" read_only_and_remounted

relative_and_new() {
    local real=$STORE
    cd "$TEST_DIR"
    STORE=brand/new
    mkdir brand
    mount_store
    echo hello >"$MNT/hello"
    unmount_store
    equal "from the new store" hello "$("$BITCASK" get brand/new hello)"
    ln -s new brand/link
    STORE=brand/link
    mount_store
    equal "through a link" hello "$(cat "$MNT/hello")"
    unmount_store
    STORE=$real
}
check "a new store, by a relative path, and through a link" relative_and_new

# Someone who may rename in the directory above takes the store away under the daemon, and puts another one there.
moved_away() {
    local real=$STORE away=$TEST_DIR/away i
    STORE=$TEST_DIR/taken
    mount_store -o segment_size=64K
    echo before >"$MNT/before"
    mkdir "$MNT/known"
    sync "$MNT/before" "$MNT/known"
    mv "$STORE" "$away"
    mkdir -m 700 "$STORE" "$TEST_DIR/target"
    for i in partitions LOCK STORE RESERVE; do ln -s "$TEST_DIR/target" "$STORE/$i"; done
    mkdir "$MNT/new"
    for i in known new .; do
        head -c 200000 /dev/urandom | split -b 20000 - "$MNT/$i/part-"
        head -c 200000 /dev/zero >"$MNT/$i/large"
        sync "$MNT/$i"/*
        rm "$MNT/$i"/part-aa
        echo 'merge full' >"$MNT/$i/.bitcask/control"
    done
    (cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) >"$TEST_DIR/sums"
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    equal "what came to be in the other one" "" "$(find "$STORE" "$TEST_DIR/target" -type f)"
    rm -r "$STORE"
    mv "$away" "$STORE"
    "$BITCASK" verify "$STORE"
    mount_store
    cmp <(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) "$TEST_DIR/sums"
    unmount_store
    STORE=$real
}
check "a store that is moved away under the daemon, and another put into its place" moved_away

below_somebody_elses_directory() {
    is_root || skip_check "needs root"
    local real=$STORE
    install -d -o "$USER_ID" -m 700 "$TEST_DIR/private"
    STORE=$TEST_DIR/private/store
    mount_store
    equal "capabilities" dac_read_search "$(control_line capabilities)"
    every_thread CapEff 0000000000000004
    echo hello >"$MNT/hello"
    unmount_store
    STORE=$real
}
check "root's store below another user's directory" below_somebody_elses_directory

in_a_way_of_another() {
    local dir=$TEST_DIR/unsafe
    mkdir -p "$dir"
    echo x | "$BITCASK" put "$dir/group" key
    chmod g+w "$dir/group"
    refused "may be written to by others.*chmod go-w" "$BITCASKFS" "$dir/group" "$MNT"
    if is_root; then
        echo x | "$BITCASK" put "$dir/foreign" key
        chown "$USER_ID" "$dir/foreign"
        refused "belongs to user $USER_ID" "$BITCASKFS" "$dir/foreign" "$MNT"
    fi
    # Links within a store lead nowhere.
    echo x | "$BITCASK" put "$dir/linked" key
    mv "$dir/linked/partitions" "$dir/elsewhere"
    ln -s ../elsewhere "$dir/linked/partitions"
    refused . "$BITCASKFS" "$dir/linked" "$MNT"
    rm "$dir/linked/partitions"
    mv "$dir/elsewhere" "$dir/linked/partitions"
    mv "$dir/linked/STORE" "$dir/marker"
    ln -s ../marker "$dir/linked/STORE"
    refused . "$BITCASKFS" "$dir/linked" "$MNT"
}
check "stores that others own or may change, and links in a store, are refused" in_a_way_of_another

# ---- the process that mounts ----

mounter_pid() {
    local place
    for place in /proc/[0-9]*; do
        [ "$(cat "$place/comm" 2>/dev/null)" = bitcaskfs-mount ] || continue
        [ "$(awk '/^PPid:/ { print $2 }' "$place/status")" = "$(daemon_pid)" ] || continue
        echo "${place#/proc/}"
        return
    done
    return 1
}

ends_with_the_daemon() {
    local pid tries=0
    mount_store
    pid=$(mounter_pid)
    equal "descriptors of the store and the connection" "" \
        "$(find "/proc/$pid/fd" -lname "$STORE*" -o -lname /dev/fuse)"
    kill_daemon
    while [ -e "/proc/$pid" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"; do
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ]
        sleep 0.02
    done
    refused 'not connected\|connection abort' stat -f "$MNT"
    mount_store
    unmount_store
}
check "it ends with a daemon that is killed, and the mount is dead, not hanging" ends_with_the_daemon

daemon_without_it() {
    mount_store
    echo late >"$MNT/late"
    kill -9 "$(mounter_pid)"
    kill -TERM "$(daemon_pid)"
    wait_daemon 0
    equal "committed" late "$("$BITCASK" get "$STORE" late)"
    mount_store
    equal "over the dead mount" late "$(cat "$MNT/late")"
    unmount_store
}
check "killed itself, it costs the detaching and nothing else" daemon_without_it

# ---- syslog, and another user ----

# In a mount namespace with a /dev of its own.
logs_from_inside() {
    local tool=$1 pid
    mount -t tmpfs none /dev
    mknod -m 666 /dev/null c 1 3
    mknod -m 666 /dev/fuse c 10 229
    "$BITCASKFS" "$STORE" "$MNT"
    # Begun after the daemon went inside, as when the logger is restarted.
    "$tool" /dev/log "$TEST_DIR/syslog" &
    pid=$!
    until [ -e /dev/log ]; do sleep 0.02; done
    for place in /proc/[0-9]*; do
        [ "$(cat "$place/comm" 2>/dev/null)" = bitcaskfs ] || continue
        tr '\0' '\n' <"$place/cmdline" | grep -qxF "$STORE" && kill -TERM "${place#/proc/}"
    done
    until grep -q 'bitcaskfs\[[0-9]*\]: .*TERM.*unmounting' "$TEST_DIR/syslog"; do sleep 0.02; done
    kill "$pid"
}

syslog_is_reached() {
    is_root || skip_check "needs root, for a /dev of its own"
    local tool
    tool=$(helper tool_syslog)
    with_fuse_for_all logs_from_inside "$tool"
    cat "$TEST_DIR/syslog"
}
check "messages reach a logger that was started later" syslog_is_reached

as_another_user() {
    local dir=$TEST_DIR/user pid place
    as_user "$dir/bitcaskfs" "$dir/store" "$dir/mnt"
    as_user sh -c "echo mine >'$dir/mnt/file'; echo 'merge full' >'$dir/mnt/.bitcask/control'"
    for place in /proc/[0-9]*; do
        [ "$(cat "$place/comm" 2>/dev/null)" = bitcaskfs ] || continue
        tr '\0' '\n' <"$place/cmdline" | grep -qxF "$dir/store" && pid=${place#/proc/}
    done
    equal "who may look into it" 0 "$(stat -c %u "/proc/$pid/environ")"
    equal "no new privileges" 1 "$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' "/proc/$pid/status")"
    equal "core limit" "0 0" "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits")"
    kill -TERM "$pid"
    while [ -e "/proc/$pid" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"; do sleep 0.02; done
    ! grep -F "$dir/mnt" /proc/self/mountinfo
    as_user "$dir/bitcaskfs" -o dumpable "$dir/store" "$dir/mnt"
    equal "content" mine "$(as_user cat "$dir/mnt/file")"
    for place in /proc/[0-9]*; do
        [ "$(cat "$place/comm" 2>/dev/null)" = bitcaskfs ] || continue
        tr '\0' '\n' <"$place/cmdline" | grep -qxF "$dir/store" && pid=${place#/proc/}
    done
    equal "who may look into it with dumpable" "$USER_ID" "$(stat -c %u "/proc/$pid/environ")"
    as_user fusermount3 -u "$dir/mnt"
    while [ -e "/proc/$pid" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"; do sleep 0.02; done
}

another_user_mounts() {
    is_root || skip_check "this whole test ran as a user who is not root"
    command -v fusermount3 >/dev/null || skip_check "no fusermount3 (package fuse3)"
    getent passwd "$USER_ID" >/dev/null || skip_check "user $USER_ID has no name here"
    install -d -o "$USER_ID" -g "$USER_ID" "$TEST_DIR/user" "$TEST_DIR/user/mnt"
    install -m 755 "$BITCASKFS" "$TEST_DIR/user/bitcaskfs"
    with_fuse_for_all as_another_user
}
check "another user's daemon is inside too, cannot be looked into, and detaches at SIGTERM" another_user_mounts

finish
