#!/usr/bin/env bash
# mount_options.sh - options of a mount that change what files look like and how they are written, and its remount.

# Functions are called by name, through check, or as text in another shell.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
command -v setfattr >/dev/null || skip_all "no setfattr (package attr)"
setup
chmod 711 "$TEST_DIR"
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"

# The help stands within 79 columns, as its lines were written; each word of it was used by a test.
help_is_whole() {
    local word words=0
    "$BITCASKFS" --help >"$TEST_DIR/help"
    equal "wider lines" "" "$(grep -E '.{80}' "$TEST_DIR/help")"
    equal "lines of words that were cut" "" "$(sed -n '/^Words of -o/,/^and the flags/p' "$TEST_DIR/help" | sed '1d; $d' | grep '^[^ ]')"
    "$BITCASKFS" --usage | grep -qF '[--options=LIST]'
    "$BITCASKFS" -V | grep -qE '^bitcaskfs .*[0-9]+\.[0-9]+'
    equal "by its long name" "$("$BITCASKFS" -V)" "$("$BITCASKFS" --version)"
    "$BITCASKFS" '-?' | cmp - "$TEST_DIR/help"
    for word in $(sed -n '/^Words of -o/,/^and the flags/p' "$TEST_DIR/help" | sed '1d; $d' |
        sed -E 's/no sandbox; parts of it: /no_caps, /; t; s/^  (([a-z_]+(=[A-Za-z:|]*)?,? ?)+)  .*/\1/; s/=[A-Za-z:|]*//g' | tr ',' ' '); do
        words=$((words + 1))
        grep -hE -- ' -o|mount_store|mounted? |for option' "$TESTS_DIR"/*.sh | grep -v help_is_whole | grep -qw -- "$word" ||
            { echo "no test uses $word"; return 1; }
    done
    [ $words -gt 25 ] || { echo "only $words words were found"; return 1; }
}

debug_prints_requests() {
    local option
    for option in -d --debug "-o debug"; do
        : >"$TEST_DIR/daemon.log"
        # shellcheck disable=SC2086
        mount_store $option
        mkdir "$MNT/debugged"
        rmdir "$MNT/debugged"
        unmount_store
        grep -qi 'opcode: MKDIR' "$TEST_DIR/daemon.log" || { tail "$TEST_DIR/daemon.log"; return 1; }
    done
    : >"$TEST_DIR/daemon.log"
    mount_store
    unmount_store
    refused "" grep opcode "$TEST_DIR/daemon.log"
}

# ---- uid, gid, umask ----

shown() {
    stat -c '%a %u:%g' "$@" | paste -s -d ' '
}

owners() {
    local mine put
    [ -x ./tests/tool_fill ] || skip_check "tests/tool_fill was not built"
    mine=$(id -u):$(id -g)
    # A directory and a file without attributes, which only the library can make; and the root has none yet.
    ./tests/tool_fill "$STORE" dir 1
    put=$MNT/dir/$("$BITCASK" ls "$STORE" dir)
    mount_store
    equal "without options" "755 $mine 755 $mine 644 $mine" "$(shown "$MNT" "$MNT/dir" "$put")"
    unmount_store
    mount_store -o uid=12,gid=34,umask=022
    equal "of those that the library put" "755 12:34 755 12:34 644 12:34" "$(shown "$MNT" "$MNT/dir" "$put")"
    unmount_store
    is_root || return 0 # nobody else may write below such a root now
    mount_store -o uid=12,gid=34,umask=027
    equal "without the bits of umask" "750 12:34 750 12:34 640 12:34" "$(shown "$MNT" "$MNT/dir" "$put")"
    # What is assumed is not stored, though content, times and entries change.
    echo more >>"$put"
    touch -d 2001-01-01 "$put" "$MNT/dir"
    echo made >"$MNT/dir/made"
    mkdir "$MNT/made"
    equal "of those that a mount makes" "644 $mine 755 $mine" "$(shown "$MNT/dir/made" "$MNT/made")"
    unmount_store
    mount_store -o umask=0
    equal "with another umask" "777 $mine 777 $mine 666 $mine 644 $mine 755 $mine" \
        "$(shown "$MNT" "$MNT/dir" "$put" "$MNT/dir/made" "$MNT/made")"
    # What somebody sets stays.
    chmod 604 "$put"
    chown 5 "$MNT/dir"
    unmount_store
    mount_store -o uid=12,umask=077
    equal "after chmod and chown" "700 12:$(id -g) 777 5:$(id -g) 604 $mine" "$(shown "$MNT" "$MNT/dir" "$put")"
    equal "content" 2 "$(wc -l <"$put")"
    unmount_store
}

bad_values() {
    local option
    for option in uid= uid=-1 uid=root uid=4294967295 gid=x umask=8 umask=1777 umask= umask=-22 user_id=0 fsname=x; do
        refused "bitcaskfs: -o ${option%%=*}\\|bitcaskfs: -o user_id=, fsname=" "$BITCASKFS" -o "$option" "$STORE" "$MNT"
    done
    refused "umask=8: must be octal, from 0 to 777" "$BITCASKFS" -o umask=8 "$STORE" "$MNT"
    refused "must be a number, as id(1) shows it" "$BITCASKFS" -o uid=root "$STORE" "$MNT"
    refused "no store is mounted there" "$BITCASKFS" -o remount,ro "$STORE" "$MNT"
}

# ---- writeback ----

writeback() {
    local file=$MNT/wb/file i
    mount_store -o writeback
    mkdir "$MNT/wb"
    for i in {1..2000}; do echo "line $i"; done >"$file"
    seq -f 'line %g' 2000 | cmp - "$file"
    equal "size" "$(seq -f 'line %g' 2000 | wc -c)" "$(stat -c %s "$file")"
    echo more >>"$file"
    printf LINE | dd of="$file" bs=1 seek=7 conv=notrunc status=none
    equal "a change in the middle" "LINE 2" "$(sed -n 2p "$file")"
    equal "the end" more "$(tail -n 1 "$file")"
    truncate -s 10 "$file"
    echo x >>"$file"
    equal "after a truncation" $'line 1\nLINx' "$(cat "$file")"
    "$TOOL" mmap-write "$file" 0 LIN
    equal "through a mapping" "LINe 1" "$(head -n 1 "$file")"
    # fsync brings it to the disk.
    seq 1000 >"$MNT/wb/synced"
    sync "$MNT/wb/synced" "$MNT/wb"
    kill_daemon
    detach "$MNT"
    mount_store -o writeback
    seq 1000 | cmp - "$MNT/wb/synced"
    unmount_store
}

writeback_times() {
    local file=$MNT/wb/times shown
    mount_store -o writeback
    echo content >"$file"
    touch -d 2001-01-01T00:00:00.5 "$file"
    equal "set" "2001-01-01 00:00:00.500000000 +0000 2001-01-01 00:00:00.500000000 +0000" \
        "$(TZ=UTC stat -c '%x %y' "$file")"
    touch -m -d 2002-01-01 "$file"
    equal "mtime alone" "2001-01-01 00:00:00.500000000 +0000 2002-01-01 00:00:00.000000000 +0000" \
        "$(TZ=UTC stat -c '%x %y' "$file")"
    echo new >"$MNT/wb/new"
    echo more >>"$file"
    sync "$file" "$MNT/wb/new"
    [ $(($(date +%s) - $(stat -c %Y "$file"))) -le 5 ]
    shown=$(stat -c '%n %s %y %z' "$file" "$MNT/wb/new")
    unmount_store
    mount_store
    equal "after a remount" "$shown" "$(stat -c '%n %s %y %z' "$file" "$MNT/wb/new")"
    equal "content" $'content\nmore' "$(cat "$file")"
    equal "atime" "2001-01-01 00:00:00.500000000 +0000" "$(TZ=UTC stat -c %x "$file")"
    unmount_store
}

writeback_privileges() {
    is_root || skip_check "needs root, to act as another user"
    mount_store -o writeback,allow_other
    chmod 755 "$MNT" "$MNT/wb"
    echo content >"$MNT/wb/setuid"
    chmod 6777 "$MNT/wb/setuid"
    # shellcheck disable=SC2016
    setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'echo more >>"$1"' sh "$MNT/wb/setuid"
    equal "mode" 777 "$(stat -c %a "$MNT/wb/setuid")"
    unmount_store
    mount_store
    equal "mode" 777 "$(stat -c %a "$MNT/wb/setuid")"
    unmount_store
}

# ---- read-only ----

# Beside a writer, whose view it has as of the first use of each directory.
beside_a_writer() {
    local other=$TEST_DIR/other file
    mkdir "$other"
    EXTRA_MOUNTS+=("$other")
    mount_store
    mkdir "$MNT/shared" "$MNT/unused"
    echo first >"$MNT/shared/file"
    setfattr -n user.a -v 1 "$MNT/shared/file"
    sync "$MNT"
    "$BITCASKFS" -o ro "$STORE" "$other"
    equal "content" first "$(cat "$other/shared/file")"
    equal "attributes" 1 "$(getfattr --absolute-names --only-values -n user.a "$other/shared/file")"
    for file in touch mkdir rm; do refused "Read-only" "$file" "$other/shared/$file" "$other/shared/file"; done
    refused "Read-only" setfattr -n user.a -v 2 "$other/shared/file"
    # What the writer does then is in directories that were not yet looked at, and does no harm in those that were.
    echo second >"$MNT/shared/file"
    echo new >"$MNT/unused/new"
    rm -r "$MNT/shared"
    sync "$MNT"
    equal "what was there" first "$(cat "$other/shared/file")"
    equal "what is new" new "$(cat "$other/unused/new")"
    if is_root; then umount "$other"; else fusermount3 -u "$other"; fi
    unmount_store
}

# ---- remount ----

flags_of() {
    findmnt -n -o VFS-OPTIONS "$MNT"
}

remount() {
    is_root || skip_check "needs root"
    mount_store -o noexec
    echo content >"$MNT/remount"
    "$BITCASKFS" -o remount,ro "$STORE" "$MNT"
    refused "Read-only" touch "$MNT/remount"
    equal "content" content "$(cat "$MNT/remount")"
    flags_of
    flags_of | grep -q 'ro,nosuid,nodev,noexec'
    "$BITCASKFS" -o remount,rw,exec "$STORE" "$MNT"
    echo more >>"$MNT/remount"
    flags_of | grep -q 'rw,nosuid,nodev'
    refused "" grep noexec <<<"$(flags_of)"
    refused "is mounted there, not" "$BITCASKFS" -o remount,ro "$TEST_DIR" "$MNT"
    mkdir "$MNT/below"
    refused "no store is mounted there" "$BITCASKFS" -o remount,ro "$STORE" "$MNT/below"
    unmount_store
    mount_store -o ro
    refused "was mounted with ro" "$BITCASKFS" -o remount,rw "$STORE" "$MNT"
    refused "Read-only" touch "$MNT/remount"
    flags_of | grep -q '^ro,'
    unmount_store
}

mount_command() {
    is_root || skip_check "mount(8) needs root"
    [ -x /sbin/mount.fuse3 ] || [ -x /usr/sbin/mount.fuse3 ] || skip_check "no mount.fuse3 (package fuse3)"
    unshare --mount --propagation private true || skip_check "no mount namespace can be made here"
    # mount(8) has a PATH of its own.
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c "
        $(declare -p BITCASKFS STORE MNT TEST_DIR)
        $(declare -f by_fstab refused equal flags_of)
        set -eE
        mount -t tmpfs none /usr/local/bin
        cp \"\$BITCASKFS\" /usr/local/bin/bitcaskfs
        by_fstab"
}

by_fstab() {
    local tries=0
    echo "$STORE $MNT fuse.bitcaskfs noauto,nofail,x-systemd.automount,nosuid,nodev,noatime,noexec,umask=027 0 0" \
        >"$TEST_DIR/fstab"
    mount --fstab "$TEST_DIR/fstab" "$MNT"
    echo content >"$MNT/fstab"
    flags_of | grep -q 'rw,nosuid,nodev,noexec,noatime'
    mount --fstab "$TEST_DIR/fstab" -o remount,ro "$MNT"
    refused "Read-only" touch "$MNT/fstab"
    mount -o remount,rw "$MNT"
    echo more >>"$MNT/fstab"
    flags_of | grep -q 'rw,nosuid,nodev,noexec,noatime'
    umount "$MNT"
    refused "must be octal" mount -t fuse.bitcaskfs -o umask=9 "$STORE" "$MNT"
    mount -t fuse.bitcaskfs -o ro "$STORE" "$MNT"
    equal "content" $'content\nmore' "$(cat "$MNT/fstab")"
    umount "$MNT"
    # Its daemon may still be about to end.
    until "$BITCASKFS" -o commit_ms=0 "$STORE" "$MNT"; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ]
        sleep 0.1
    done
    umount "$MNT"
}

# Whatever a check left behind, the next one begins without a mount.
option_check() {
    check "$@"
    is_mounted || return 0
    detach "$MNT"
    wait_daemon >/dev/null 2>&1 || true
}

check "the help is whole, and each word of it was tried" help_is_whole
option_check "debug prints requests" debug_prints_requests
option_check "uid, gid and umask count for files without stored attributes" owners
option_check "bad values are refused in one line" bad_values
option_check "writeback: content and sizes" writeback
option_check "writeback: times" writeback_times
option_check "writeback: set-id bits go" writeback_privileges
option_check "ro beside a writer" beside_a_writer
option_check "remount changes ro, rw and flags" remount
option_check "mount -t fuse.bitcaskfs, a line of fstab, and their remount" mount_command
finish
