#!/bin/bash
# The Debian packages, built and tried in a tree of their own: with LONG=1 alone, since that takes minutes and the
# network.
#
# dpkg-buildpackage makes them, lintian finds no error, and in a fresh debootstrap tree apt installs them; there a line
# of /etc/fstab mounts, the manual is shown, pkg-config builds examples/hello.c, and purging leaves the store alone.
# shellcheck source=tests/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

[ "$LONG" != 0 ] && [ -n "$LONG" ] || skip_all "takes minutes and the network; LONG=1 runs it"
is_root || skip_all "needs root, for a tree of its own"
for program in dpkg-buildpackage dh debootstrap lintian; do
    command -v $program >/dev/null || skip_all "no $program: apt-get install debhelper debootstrap lintian"
done
require_fuse
unshare --mount --propagation private true || skip_all "no mount namespace can be made here"

setup
top=${abs_srcdir:-$(cd "$TESTS_DIR/.." && pwd)}
unset MAKEFLAGS MFLAGS MAKELEVEL CC
cd "$TEST_DIR" || exit 1

builds() {
    mkdir src
    tar -C "$top" --exclude=./build --exclude=./.git -cf - . | tar -C src -xf -
    chmod -R u+w src
    (cd src && DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" dpkg-buildpackage -us -uc -b) >build.log 2>&1 ||
        { tail -n 40 build.log; return 1; }
    rm -rf src
    ls -- bitcaskfs_*.deb libbitcask0_*.deb libbitcask-dev_*.deb
}

no_errors_of_lintian() {
    lintian --allow-root ./*.changes >lintian.log 2>&1 || true
    ! grep '^E:' lintian.log
}

# The suite and the mirror of this machine.
mirror() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        awk '/^deb /{print $2; exit} /^URIs:/{print $2; exit}'
}

tree_is_made() {
    local suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase --include=fuse3,gcc,libc6-dev,man-db,mount,pkg-config "$suite" root "$(mirror)" \
        >debootstrap.log 2>&1 || { tail debootstrap.log; skip_check "no tree could be made: is there a network?"; }
}

# in_tree FUNCTION: runs it as root of the tree, with a /proc and a /dev; what it mounts goes with it.
in_tree() {
    [ -e root/bin/sh ] || skip_check "no tree"
    {
        echo 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive'
        declare -f "$1" equal
        echo 'set -eE; trap "echo \"failed: \$BASH_COMMAND\"" ERR; cd /root'
        echo "$1"
    } >root/run.sh
    unshare --mount --propagation private sh -c '
        mount --rbind /dev root/dev && mount -t proc proc root/proc && mount --rbind /sys root/sys &&
            exec chroot root /bin/bash /run.sh'
}

installs() {
    apt-get install -y -q --no-install-recommends /packages/*.deb >install.log 2>&1 || { tail install.log; return 1; }
    bitcask --version
    bitcaskfs --version
}

a_line_of_fstab_mounts() {
    mkdir -p /srv/mail /var/lib/stores
    echo "/var/lib/stores/mail /srv/mail fuse.bitcaskfs noauto,noatime,allow_other 0 0" >>/etc/fstab
    mount /srv/mail
    mountpoint -q /srv/mail
    mkdir /srv/mail/inbox
    echo hello >/srv/mail/inbox/1
    umount /srv/mail
    equal "read by the tool" hello "$(bitcask get /var/lib/stores/mail inbox/1)"
}

manual_is_shown() {
    local page
    for page in "1 bitcask" "3 libbitcask" "3 bitcask_value_read" "5 bitcask" "8 bitcaskfs" \
        "8 umount.fuse.bitcaskfs"; do
        # shellcheck disable=SC2086
        man $page >page.txt
        [ "$(wc -l <page.txt)" -gt 20 ]
    done
}

hello_builds() {
    cp /usr/share/doc/libbitcask-dev/examples/hello.c .
    # shellcheck disable=SC2046
    gcc -Wall -Werror hello.c $(pkg-config --cflags --libs libbitcask) -o hello
    equal "what it says" "hello world" "$(./hello store)"
}

purge_leaves_the_store() {
    find /var/lib/stores -type f -exec sha256sum {} + >before
    [ -s before ]
    apt-get purge -y -q bitcaskfs libbitcask0 libbitcask-dev >purge.log 2>&1 || { tail purge.log; return 1; }
    sha256sum --quiet --check before
    equal "what is left of the packages" "" "$(find /usr /etc /lib /var/lib/dpkg/info -name '*bitcask*')"
}

check "dpkg-buildpackage makes three packages" builds
check "lintian finds no error" no_errors_of_lintian
check "a fresh tree" tree_is_made
mkdir -p root/packages
cp bitcaskfs_*.deb libbitcask0_*.deb libbitcask-dev_*.deb root/packages 2>/dev/null
for resolv in /etc/resolv.conf /etc/apt/apt.conf.d/*proxy*; do
    [ ! -e "$resolv" ] || cp "$resolv" "root$resolv" 2>/dev/null
done
check "apt installs them there" in_tree installs
check "a line of fstab mounts" in_tree a_line_of_fstab_mounts
check "the manual is shown" in_tree manual_is_shown
check "pkg-config builds examples/hello.c" in_tree hello_builds
check "purge leaves the store alone, and nothing else" in_tree purge_leaves_the_store
finish
