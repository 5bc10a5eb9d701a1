#!/usr/bin/env bash
# mount_as_ext4.sh - attributes, ACLs, privileges and times in a mount are what they are on ext4.
#
# The same commands run in a directory of a real ext4 (a loop mount where one can be made, else TEST_DIR if that is one)
# and of the mount, by several users, and their outcomes are compared: exit status, message, and what stat,
# getfattr and getfacl say afterwards.

# Functions are called by name, through check.
# Words that are one by themselves stand without quotes.
# shellcheck disable=SC2317,SC2119,SC2086 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
is_root || skip_all "needs root, to act as several users"
command -v setfattr >/dev/null || skip_all "no setfattr (package attr)"
setup
chmod 711 "$TEST_DIR"
REAL=$TEST_DIR/real
mkdir "$REAL"

make_real() {
    if command -v mkfs.ext4 >/dev/null && truncate -s 32M "$TEST_DIR/ext4" && mkfs.ext4 -q "$TEST_DIR/ext4" &&
        mount -o loop "$TEST_DIR/ext4" "$REAL"; then
        EXTRA_MOUNTS+=("$REAL")
    fi 2>/dev/null
    case $(stat -f -c %T "$REAL") in
    ext*) ;;
    *) skip_all "no ext4 to compare with: no loop device or no mkfs.ext4 here, and $TEST_DIR is on none" ;;
    esac
}

# As OWNER (uid 1, gid 1), OUTSIDER (uid 1, not in group 1), MEMBER (of group 1), STRANGER, ROOT, or UNFSET, a root
# who may not keep privileges (without CAP_FSETID).
as() {
    local who=$1
    shift
    case $who in
    OWNER) setpriv --reuid=1 --regid=1 --clear-groups "$@" ;;
    OUTSIDER) setpriv --reuid=1 --regid=2 --clear-groups "$@" ;;
    MEMBER) setpriv --reuid=65534 --regid=65534 --groups=1 "$@" ;;
    STRANGER) setpriv --reuid=65534 --regid=65534 --clear-groups "$@" ;;
    UNFSET) setpriv --bounding-set=-fsetid "$@" ;;
    ROOT) "$@" ;;
    esac
}

# try COMMAND...: prints what it says and how it ends.
try() {
    local status=0 output
    output=$("$@" 2>&1) || status=$?
    # Warnings of the shell's own name their line.
    printf '%s -> %s%s\n' "$*" "$status" "${output:+ $output}" | sed -E 's/line [0-9]+: //'
}

# What is to be seen of files, without what no two filesystems have in common.
show() {
    stat -c '%n %F %a %u:%g %s %t,%T' "$@" | sed -E 's/( directory [^ ]+ [^ ]+) [0-9]+ /\1 - /'
}

# compare FUNCTION: in a directory of both.
compare() {
    local place
    for place in "$REAL" "$MNT"; do
        mkdir "$place/$1"
        chmod 1777 "$place/$1"
        (cd "$place/$1" && "$1") >"$TEST_DIR/$(basename "$place").out" 2>&1
    done
    diff -u "$TEST_DIR/real.out" "$TEST_DIR/mnt.out"
    [ "$(wc -l <"$TEST_DIR/mnt.out")" -ge "${2:-10}" ]
}

# ---- extended attributes ----

set_get_list() {
    local of
    mkdir dir
    echo content >file
    ln -s file link
    mkfifo fifo
    mknod null c 1 3
    for of in file dir; do
        try setfattr -n user.one -v 1 $of
        try setfattr -n user.two -v "a longer value" $of
        try setfattr -n user.empty $of
        try setfattr -n user.binary -v 0x00ff0041 $of
        try setfattr -n trusted.t -v 2 $of
        try setfattr -n security.s -v 3 $of
        try getfattr -d -m - $of
        try getfattr -n user.one --only-values $of
        try getfattr -n user.none $of
        try getfattr -n user. $of
        try getfattr -n nosuch.name $of
        try setfattr -n user. -v 1 $of
        try setfattr -n nosuch.name -v 1 $of
        try setfattr -n system.nosuch -v 1 $of
        try setfattr -x user.none $of
        try setfattr -x user.two $of
        try setfattr -n "user.$(printf 'n%.0s' {1..250})" -v long $of
        try setfattr -n "user.$(printf 'n%.0s' {1..251})" -v long $of
        try as STRANGER getfattr -d -m - $of
        try as STRANGER getfattr -n trusted.t $of
        try as STRANGER setfattr -n user.one -v 1 $of
        try as STRANGER setfattr -n trusted.t -v 1 $of
        try as STRANGER setfattr -n security.s -v 1 $of
        try getfattr -d -m - $of
    done
    for of in link fifo null; do
        try setfattr -h -n user.one -v 1 $of
        try setfattr -h -n trusted.t -v 1 $of
        try setfattr -h -n security.s -v 1 $of
        try getfattr -h -d -m - $of
        try getfattr -h -n user.one $of
    done
}

# ---- ACLs ----

with_acls() {
    local of mode
    mkdir dir default
    echo content >file
    ln -s file link
    for of in file dir; do
        chmod 644 $of
        try setfacl -m u:1:rwx,g:2:r $of
        show $of
        try getfacl -nc $of
        for mode in 600 777 6750; do
            chmod $mode $of
            try getfacl -nc $of
            show $of
        done
        try setfacl -m m::r $of
        show $of
        try setfacl -b $of
        try getfacl -nc $of
        try getfattr -d -m - $of
        show $of
        try setfacl -m u::rwx,g::r,o::x $of
        try getfattr -d -m - $of
        show $of
    done
    try setfacl -d -m u:1:rwx file
    try setfattr -n system.posix_acl_access -v 0x02000000 file
    try setfattr -n system.posix_acl_access -v 0x0200 file
    try setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff file
    try setfattr -x system.posix_acl_access file
    try setfattr -h -x system.posix_acl_access link
    try as STRANGER setfacl -m u:65534:rwx file
    # Setgid goes with an ACL set by somebody outside the group.
    chown 1:1 file
    for of in OWNER OUTSIDER ROOT; do
        chmod 2755 file
        try as $of setfacl -m u:2:rx file
        show file
        as ROOT setfacl -b file
    done
}

inherited() {
    local umask acl
    for umask in 022 077 000; do
        for acl in u:1:rwx g::r,o::- g::rwx,u:65534:r,m::r u::r,g::-,o::rwx; do
            mkdir d
            try setfacl -d -m "$acl" d
            (
                umask $umask
                mkdir d/dir
                mkdir -m 700 d/dir700
                : >d/file
                install -m 640 /dev/null d/file640
                mkfifo d/fifo
                mknod d/null c 1 3
                ln -s file d/link
            )
            (cd d && show ./* && getfacl -nc ./*)
            cp -a d/. copy
            (cd copy && show ./* && getfacl -nc ./*)
            rm -r d copy
        done
        # Without one the umask counts.
        (
            umask $umask
            mkdir plain
            : >plain/file
            mkfifo plain/fifo
            show plain plain/*
            rm -r plain
        )
    done
}

who_may() {
    local who
    mkdir dir
    echo content >dir/file
    chmod 750 dir
    chmod 640 dir/file
    for who in OWNER MEMBER STRANGER; do
        try as $who cat dir/file
        try as $who ls dir
    done
    setfacl -m u:1:rwx dir
    setfacl -m g:1:r dir/file
    setfacl -m u:1:rw dir/file
    for who in OWNER MEMBER STRANGER; do
        try as $who cat dir/file
        try as $who ls dir
        try as $who touch dir/new
        try as $who tee -a dir/file <<<"more"
        try as $who mv dir/file dir/moved
        try as $who mv dir/moved dir/file
        try as $who rm dir/new
    done
    setfacl -m m::r dir/file
    for who in OWNER MEMBER; do try as $who tee -a dir/file <<<"more"; done
    # A sticky directory, and what only owners may.
    mkdir -m 1777 sticky
    as OWNER touch sticky/file
    for who in STRANGER OWNER; do
        try as $who chmod 600 sticky/file
        try as $who chown 65534 sticky/file
        try as $who touch -d 2001-01-01 sticky/file
        try as $who rm sticky/file
    done
}

# ---- privileges ----

set_id() {
    local mode who operation
    for mode in 4755 2755 6755 6711 2745 6644 6776 6777 4777 2767; do
        for who in ROOT UNFSET OWNER OUTSIDER MEMBER STRANGER; do
            for operation in "dd of=file conv=notrunc status=none if=/dev/zero bs=10 count=1" "truncate -s 3 file" \
                "truncate -s 8 file" "truncate -s 0 file" "fallocate -l 100 file" "fallocate -n -l 100 file" \
                "chown : file" "chown 1 file" "chgrp 1 file" "chgrp 2 file" "chown 65534 file" \
                "chmod $mode file" "touch file" "touch -d 2001-01-01 file"; do
                # The kernel hands such a chown on as what it sends before a write, so by somebody who may write it does
                # what a write does. On ext4 it is refused to all but the owner.
                case $operation:$who:$mode in
                "chown : file:MEMBER":*[67]? | "chown : file:STRANGER":*[67]) continue ;;
                esac
                echo content >file
                chown 1:1 file
                chmod $mode file
                try as $who $operation
                show file
                rm file
            done
        done
    done
}

set_id_of_new() {
    local who mode
    mkdir dir
    chown 1:1 dir
    for mode in 777 2777; do
        chmod $mode dir
        for who in ROOT OWNER OUTSIDER MEMBER STRANGER; do
            try as $who mkdir dir/dir
            try as $who mkdir -m 2755 dir/dir2
            try as $who install -m 2755 /dev/null dir/file
            try as $who mkfifo -m 2666 dir/fifo
            (cd dir && show ./*)
            rm -r dir/*
        done
    done
}

capabilities() {
    local who operation
    for who in ROOT UNFSET OWNER; do
        for operation in "dd of=file conv=notrunc status=none if=/dev/zero bs=10 count=1" "truncate -s 3 file" \
            "truncate -s 8 file" "fallocate -l 100 file" "chown 1 file" "chown : file" "chmod 711 file" "touch file" \
            "mv file file2"; do
            echo content >file
            chown 1:1 file
            chmod 755 file
            setfattr -n user.kept -v 1 file
            setcap cap_net_raw+ep file
            try as $who $operation
            getfattr -d -m - ./file*
            rm ./file*
        done
    done
}

# ---- nodes and times ----

special_files() {
    local who
    for who in ROOT OWNER; do
        try as $who mknod fifo p
        try as $who mknod null c 1 3
        try as $who mknod disk b 259 1048575
        try as $who mknod big c 4095 65536
        show ./*
        rm -f ./*
    done
}

explicit_times() {
    local time
    echo content >file
    for time in 1969-12-31T23:59:59.25 1950-02-03T04:05:06.123456789 1970-01-01T00:00:00 2020-01-01T00:00:00.000000001 \
        2038-01-19T03:14:08 2200-01-01T00:00:00.5; do
        try env TZ=UTC touch -d "$time" file
        TZ=UTC stat -c '%x %y' file
        try env TZ=UTC touch -a -d "$time" -r file file
        try env TZ=UTC touch -m -d 2001-01-01T00:00:00.7 file
        TZ=UTC stat -c '%x %y' file
        try env TZ=UTC touch -a -d 2002-01-01 file
        TZ=UTC stat -c '%x %y' file
    done
    try touch -a file
    TZ=UTC stat -c '%y' file
    try as STRANGER touch file
    try as STRANGER touch -d 2001-01-01 file
    chmod 666 file
    try as STRANGER touch file
    try as STRANGER touch -d 2001-01-01 file
}

# What was made is the same after a remount: nodes that were never committed before, their ACLs and device numbers.
remounted() {
    local before after
    cd "$MNT"
    mkdir left
    cd left
    mknod fifo p
    mknod null c 1 3
    mknod disk b 259 1048575
    mkdir -m 2775 dir
    : >file
    chown 5:6 file
    chmod 6755 file
    touch -d 1950-02-03T04:05:06.123456789 file
    if command -v setfacl >/dev/null; then
        setfacl -m u:1:rw file fifo null
        setfacl -d -m u:1:rwx dir
        mkdir dir/dir
        : >dir/file
    fi
    before=$(all_of .)
    cd /
    unmount_store
    mount_store -o allow_other,dev
    cd "$MNT/left"
    after=$(all_of .)
    cd /
    equal "what is there" "$before" "$after"
    grep -q 'disk block special file .* 103,fffff' <<<"$after"
}

all_of() {
    find "$1" | sort | while read -r file; do
        stat -c '%n %F %a %u:%g %s %t,%T %y %i' "$file"
        getfattr -h -d -m - "$file"
    done
}

make_real
mount_store -o allow_other,dev || die "mount"
chmod 755 "$MNT"
acl_check() {
    if command -v setfacl >/dev/null; then check "$@"; else skip "$1: no setfacl (package acl)"; fi
}

check "attributes are set, read, listed and removed as on ext4" compare set_get_list 60
acl_check "ACLs and modes follow each other" compare with_acls 60
acl_check "ACLs are inherited, else the umask counts" compare inherited 200
acl_check "permissions, ACLs and sticky directories count for other users" compare who_may 40
check "set-id bits go when they go on ext4" compare set_id 1000
check "setgid directories" compare set_id_of_new 60
if command -v setcap >/dev/null; then
    check "security.capability goes when it goes on ext4" compare capabilities 60
else
    skip "security.capability goes when it goes on ext4: no setcap (package libcap2-bin)"
fi
check "special files" compare special_files 10
check "times of all kinds" compare explicit_times 40
check "all of it is there after a remount" remounted
check "the store unmounts" unmount_store
finish
