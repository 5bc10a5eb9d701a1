#!/usr/bin/env bash
# mount_matrix.sh - who may do what: owner, group, other and root, by the file's mode, on files and on control. With LONG=1 for all modes.
#
# What each cell must be is computed here from the rules of POSIX, and not taken from another filesystem
# (mount_as_ext4.sh does that with many more commands). Control is for who runs the daemon and for root.

# Functions are called by name, through check, or as text in another shell.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
is_root || skip_all "needs root, to act as several users"
setup
chmod 711 "$TEST_DIR"
command -v setfattr >/dev/null || skip_all "no setfattr (package attr)"

OWNER=12001 MEMBER=12002 OTHER=12003 GROUP=12100
MODES="000 200 640 060 006 777"
DIR_MODES="750 757"
if [ "$LONG" -ne 0 ]; then
    MODES="000 400 200 600 440 640 660 444 644 646 666 060 006 777"
    DIR_MODES="700 710 750 755 757 770 777"
fi
cells=0
wrong=0
PASSED_ON+=(OWNER MEMBER OTHER GROUP)

as() {
    local who=$1
    shift
    case $who in
    owner) setpriv --reuid="$OWNER" --regid="$OWNER" --clear-groups "$@" ;;
    member) setpriv --reuid="$MEMBER" --regid="$MEMBER" --groups="$GROUP" "$@" ;;
    other) setpriv --reuid="$OTHER" --regid="$OTHER" --clear-groups "$@" ;;
    root) "$@" ;;
    esac
}

# may WHO MODE BIT: BIT is 4 (read) or 2 (write).
may() {
    local digit
    case $1 in
    root) return 0 ;;
    owner) digit=${2:0:1} ;;
    member) digit=${2:1:1} ;;
    *) digit=${2:2:1} ;;
    esac
    [ $((digit & $3)) -ne 0 ]
}

# cell WANTED WHO WHAT COMMAND...: WANTED is yes or no.
cell() {
    local wanted=$1 who=$2 what=$3 got=yes
    shift 3
    as "$who" "$@" >/dev/null 2>"$TEST_DIR/cell.err" || got=no
    cells=$((cells + 1))
    [ "$wanted" != "$got" ] || return 0
    wrong=$((wrong + 1))
    echo "$who, $what: wanted $wanted, got $got: $(cat "$TEST_DIR/cell.err")"
}

# yes or no, of a command's status
say() {
    if "$@"; then echo yes; else echo no; fi
}

either() {
    [ "$1" = root ] || [ "$1" = owner ]
}

# One file of each mode, and what each user may do with it.
file_cells() {
    local who mode file
    mkdir -m 755 "$MNT/files"
    for mode in $MODES; do
        file=$MNT/files/$mode
        for who in owner member other root; do
            rm -f "$file"
            echo text >"$file"
            chown "$OWNER:$GROUP" "$file"
            setfattr -n user.note -v text "$file"
            setfattr -n trusted.note -v text "$file"
            chmod "$mode" "$file"
            cell "$(say may "$who" "$mode" 4)" "$who" "read $mode" cat "$file"
            cell "$(say may "$who" "$mode" 2)" "$who" "write $mode" sh -c "echo more >>'$file'"
            cell "$(say may "$who" "$mode" 2)" "$who" "truncate $mode" sh -c ": >'$file'"
            cell "$(say may "$who" "$mode" 4)" "$who" "get user.note $mode" getfattr -n user.note "$file"
            cell "$(say may "$who" "$mode" 4)" "$who" "get user.bitcask $mode" getfattr -n user.bitcask.version "$file"
            cell "$(say may "$who" "$mode" 2)" "$who" "set user.note $mode" setfattr -n user.note -v new "$file"
            cell "$(say [ "$who" = root ])" "$who" "get trusted.note $mode" getfattr -n trusted.note "$file"
            cell "$(say [ "$who" = root ])" "$who" "set trusted.note $mode" setfattr -n trusted.note -v new "$file"
            cell "$(say either "$who")" "$who" "chmod $mode" chmod "$mode" "$file"
            cell "$(say either "$who")" "$who" "set an ACL $mode" setfacl -m "u:12009:r" "$file"
            cell "$(say [ "$who" = root ])" "$who" "chown $mode" chown "$OTHER" "$file"
            cell "$(say [ "$who" = root ])" "$who" "unlink $mode" rm -f "$file"
        done
    done
}

# Directories: who may list, enter, create, remove; with the sticky bit too.
directory_cells() {
    local who mode dir enters
    for mode in $DIR_MODES; do
        for who in owner member other root; do
            dir=$MNT/dir$mode.$who
            mkdir "$dir"
            echo text >"$dir/file"
            chmod 666 "$dir/file"
            chown "$OWNER:$GROUP" "$dir"
            chmod "$mode" "$dir"
            enters=no
            case $who in
            root | owner) enters=yes ;;
            member) [ $((${mode:1:1} & 1)) -eq 0 ] || enters=yes ;;
            other) [ $((${mode:2:1} & 1)) -eq 0 ] || enters=yes ;;
            esac
            cell "$(say may "$who" "$mode" 4)" "$who" "list $mode" ls "$dir"
            cell "$enters" "$who" "read in $mode" cat "$dir/file"
            cell "$enters" "$who" "read control in $mode" cat "$dir/.bitcask/control"
            if may "$who" "$mode" 2 && [ "$enters" = yes ]; then enters=yes; else enters=no; fi
            cell "$enters" "$who" "create in $mode" touch "$dir/new"
            cell "$enters" "$who" "mkdir in $mode" mkdir "$dir/sub"
            cell "$enters" "$who" "rename in $mode" mv -T "$dir/file" "$dir/renamed"
            cell "$enters" "$who" "remove from $mode" sh -c "rm -f '$dir/renamed' && test ! -e '$dir/renamed' && test -w '$dir'"
        done
    done
}

# control_cells RUNNER: RUNNER runs the daemon.
control_cells() {
    local who wanted command
    for who in owner member other root; do
        wanted=no
        if [ "$who" = root ] || [ "$who" = "$1" ]; then wanted=yes; fi
        for command in sync 'scheduler on' rotate; do
            cell "$wanted" "$who" "control: $command, of $1's mount" sh -c "echo '$command' >'$MNT/.bitcask/control'"
        done
        cell no "$who" "remove control, of $1's mount" rm -f "$MNT/.bitcask/control"
        cell no "$who" "create in .bitcask, of $1's mount" touch "$MNT/.bitcask/new"
        cell no "$who" "chmod of control, of $1's mount" chmod 666 "$MNT/.bitcask/control"
        cell no "$who" "rename .bitcask, of $1's mount" mv "$MNT/.bitcask" "$MNT/other"
    done
    # Opened by who may, written by who may not: what counts is who writes.
    cells=$((cells + 1))
    if (as other sh -c 'echo sync >&3') 3>"$MNT/.bitcask/control" 2>/dev/null; then
        wrong=$((wrong + 1))
        echo "other, through a descriptor that root opened: a command was taken"
    fi
}

result() {
    echo "$cells $wrong" >>"$TEST_DIR/cells"
    [ "$wrong" -eq 0 ]
}

mounted_by_root() {
    mount_store -o allow_other
    chmod 755 "$MNT"
    file_cells
    directory_cells
    control_cells root
    unmount_store
    result
}
check "a mount by root, for all" mounted_by_root

without_acls() {
    mount_store -o allow_other,noacl
    findmnt -n -o FS-OPTIONS "$MNT" | grep -q default_permissions
    for who in owner other; do
        cell no "$who" "write in the root directory, noacl" touch "$MNT/new"
        cell no "$who" "read 000, noacl" cat "$MNT/files/none"
    done
    unmount_store
    result
}
check "allow_other is never without the kernel's checks" without_acls

only_who_mounts() {
    local who
    mount_store
    for who in owner member other; do
        cell no "$who" "list, not let in" ls "$MNT"
        cell no "$who" "control, not let in" sh -c "echo sync >'$MNT/.bitcask/control'"
        cell no "$who" "read control, not let in" cat "$MNT/.bitcask/control"
    done
    unmount_store
    result
}
check "a mount by root, for root alone" only_who_mounts

# In a mount namespace with rules of its own.
by_the_owner() {
    local who dir=$TEST_DIR/user
    cells=0 wrong=0
    MNT=$dir/mnt
    # Not let in: not even root.
    as owner "$dir/bitcaskfs" "$dir/store" "$MNT"
    for who in member other root; do cell no "$who" "list, a user's mount" ls "$MNT"; done
    cell yes owner "list, a user's mount" ls "$MNT"
    as owner fusermount3 -u "$MNT"
    echo user_allow_other >"$TEST_DIR/fuse.conf"
    mount --bind "$TEST_DIR/fuse.conf" /etc/fuse.conf
    sleep 0.2
    as owner "$dir/bitcaskfs" -o allow_other "$dir/store" "$MNT"
    as owner chmod 755 "$MNT"
    control_cells owner
    cell no other "create, a user's mount" touch "$MNT/new"
    cell no owner "device, a user's mount" mknod "$MNT/device" c 1 3
    as owner fusermount3 -u "$MNT"
    result
}

mounted_by_a_user() {
    command -v fusermount3 >/dev/null || skip_check "no fusermount3 (package fuse3)"
    [ -e /etc/fuse.conf ] || skip_check "no /etc/fuse.conf"
    install -d -o "$OWNER" -g "$OWNER" "$TEST_DIR/user" "$TEST_DIR/user/mnt"
    install -m 755 "$BITCASKFS" "$TEST_DIR/user/bitcaskfs"
    # fusermount3 wants a name for who mounts.
    sed "s/^nobody:[^:]*:[0-9]*:[0-9]*/nobody:x:$OWNER:$OWNER/" /etc/passwd >"$TEST_DIR/passwd"
    named() {
        mount --bind "$TEST_DIR/passwd" /etc/passwd
        by_the_owner
    }
    with_fuse_for_all named
}
check "a mount by a user, for the user alone and for all" mounted_by_a_user

awk '{ cells += $1; wrong += $2 } END { printf "MATRIX cells: %d, violations: %d\n", cells, wrong }' "$TEST_DIR/cells"
finish
