#!/bin/bash
# What make install puts where, that make uninstall takes all of it away again, and that it works as installed: a
# program is built with pkg-config, the manual is found, mount(8), umount(8) and a line of fstab use the helpers, and the
# unit of systemd does what it says.
# shellcheck source=tests/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

setup
top=${abs_srcdir:-$(cd "$TESTS_DIR/.." && pwd)}
build=${abs_builddir:-$PWD}
unset MAKEFLAGS MFLAGS MAKELEVEL
cd "$TEST_DIR" || exit 1

# setting NAME: a variable of the makefile, with those it is made of.
setting() {
    printf 'include Makefile\nprint-setting:\n\t@echo $(%s)\n' "$1" | make -s -C "$build" -f - print-setting
}
prefix=$(setting prefix)
libdir=$(setting libdir)
sanitizers=$(setting SANITIZER_FLAGS)
dest=$TEST_DIR/dest

installs() {
    make -s -C "$build" install DESTDIR="$dest" >install.log 2>&1 || { tail install.log; return 1; }
    local file
    for file in bin/bitcask bin/bitcaskfs sbin/mount.fuse.bitcaskfs sbin/umount.fuse.bitcaskfs include/bitcask.h \
        include/bitcask_types.h share/man/man1/bitcask.1 share/man/man3/libbitcask.3 share/man/man3/bitcask_close.3 \
        share/man/man5/bitcask.5 share/man/man8/bitcaskfs.8 share/man/man8/mount.fuse.bitcaskfs.8 \
        lib/systemd/system/bitcaskfs@.service share/doc/bitcaskfs/examples/hello.c \
        share/doc/bitcaskfs/examples/grafana-dashboard.json share/doc/bitcaskfs/examples/prometheus-alerts.yml; do
        [ -s "$dest$prefix/$file" ] || { echo "not installed: $file"; return 1; }
    done
    [ -s "$dest$libdir/pkgconfig/libbitcask.pc" ]
    # No path of the build, or of DESTDIR, in what is text.
    ! grep -rIlF -e "$build" -e "$dest" "$dest" || { echo "the paths of the build are in these"; return 1; }
}

program_builds_with_pkg_config() {
    local flags
    [ -e "$dest$libdir/libbitcask.so" ] || skip_check "no shared library was built"
    # Below DESTDIR, as if it were the root.
    flags=$(PKG_CONFIG_PATH=$dest$libdir/pkgconfig pkg-config --cflags --libs libbitcask |
        sed "s,\(-[IL]\)$prefix,\1$dest$prefix,g")
    equal "version" "$(setting PACKAGE_VERSION)" \
        "$(PKG_CONFIG_PATH=$dest$libdir/pkgconfig pkg-config --modversion libbitcask)"
    # shellcheck disable=SC2086
    ${CC:-cc} $sanitizers "$dest$prefix/share/doc/bitcaskfs/examples/hello.c" $flags -o hello
    equal "what it says" "hello world" "$(LD_LIBRARY_PATH=$dest$libdir ./hello hello.store)"
    # It asks for the soname.
    readelf -d hello | grep -q 'NEEDED.*libbitcask\.so\.0'
}

manual_is_found() {
    local link target
    for link in $(grep -lE '^\.so ' -r "$dest$prefix/share/man"); do
        target=$(sed -n 's/^\.so //p' "$link")
        [ -s "$dest$prefix/share/man/$target" ] || { echo "$link: no $target"; return 1; }
    done
    command -v man >/dev/null || skip_check "no man"
    man -M "$dest$prefix/share/man" 3 bitcask_value_read >page 2>man.err || skip_check "man shows no pages here"
    grep -q . page || skip_check "man shows no pages here"
    grep -q 'offset' page
}

# inside FUNCTION: runs it where DESTDIR's prefix stands at its place, and the helpers in /sbin.
inside() {
    is_root || skip_check "mount(8) needs root"
    require_fuse_here
    [ -d "$prefix" ] || skip_check "no $prefix"
    unshare --mount --propagation private true || skip_check "no mount namespace can be made here"
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c "
        $(declare -p STORE MNT TEST_DIR dest prefix)
        $(declare -f "$1" equal refused daemon_of put_helpers_into_sbin)
        set -eE
        mount --bind \"\$dest\$prefix\" \"\$prefix\"
        put_helpers_into_sbin
        cd \"\$TEST_DIR\"
        $1"
}

require_fuse_here() {
    (exec 9<>/dev/fuse) 2>/dev/null || skip_check "no /dev/fuse"
}

# mount(8) looks there alone: a directory of links to all that was there, and the helpers.
put_helpers_into_sbin() {
    local sbin
    sbin=$(realpath /sbin)
    mkdir -p sbin.old sbin.new
    mount --bind "$sbin" sbin.old
    find "$TEST_DIR/sbin.old" -mindepth 1 -maxdepth 1 -exec ln -sf -t sbin.new {} +
    ln -sf "$prefix"/sbin/*mount.fuse.bitcaskfs sbin.new
    mount --bind sbin.new "$sbin"
}

# daemon_of STORE: the process that has it.
daemon_of() {
    local pid
    read -r pid <"$1/LOCK"
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = bitcaskfs ] && echo "$pid"
}

fstab() {
    local pid n
    echo "$STORE $MNT fuse.bitcaskfs noauto,nofail,user=nobody,x-systemd.automount,commit_ms=3000000,noatime 0 0" >fstab
    mount -f --fstab fstab "$MNT"                  # says what it would do
    ! mountpoint -q "$MNT"
    mount --fstab fstab "$MNT"
    grep -F " $MNT " /proc/self/mountinfo | grep -F " - fuse.bitcaskfs $STORE "
    # Much that is pending: umount(8) must not come back before it is on the disk and the store closed.
    for n in $(seq 2000); do echo "$n" >"$MNT/$n"; done
    pid=$(daemon_of "$STORE")
    umount "$MNT"
    ! mountpoint -q "$MNT"
    equal "files of the store that the daemon has open" "" "$(find "/proc/$pid/fd" -lname "$STORE/*" 2>/dev/null)"
    equal "a value" 1999 "$("$prefix/bin/bitcask" get "$STORE" 1999)"
    # Read-only beside a writer: that writer is nobody to wait for.
    mkdir -p other
    mount --fstab fstab "$MNT"
    mount -t fuse.bitcaskfs -o ro "$STORE" "$TEST_DIR/other"
    umount "$TEST_DIR/other"
    # Another mount of the same keeps the daemon at work.
    mount --bind "$MNT" other
    umount "$MNT"
    equal "through the other" 7 "$(cat other/7)"
    umount "$TEST_DIR/other"
    # What is wrong is said, and mount(8) fails.
    refused "unknown\|not known\|no such option\|nonsense" mount -t fuse.bitcaskfs -o nonsense "$STORE" "$MNT"
    refused "not mounted\|no mount" umount "$MNT"
}

unit() {
    local command pid
    # From the unit as installed, what systemd would run.
    [ -s "$prefix/lib/systemd/system/bitcaskfs@.service" ]
    grep -qx 'Type=forking' "$prefix/lib/systemd/system/bitcaskfs@.service"
    command=$(sed -n 's/^ExecStart=//p' "$prefix/lib/systemd/system/bitcaskfs@.service")
    eval "$(sed -n 's/^Environment=//p' "$prefix/lib/systemd/system/bitcaskfs@.service")"
    # shellcheck disable=SC2034
    MOUNTPOINT=$MNT
    eval "$command"
    mountpoint -q "$MNT"                           # ready when the command returns
    echo pending >"$MNT/file"
    pid=$(daemon_of "$STORE")
    kill -TERM "$pid"
    while [ -e "/proc/$pid" ]; do sleep 0.05; done
    ! mountpoint -q "$MNT"
    equal "a value" pending "$("$prefix/bin/bitcask" get "$STORE" file)"
}

unit_is_valid() {
    command -v systemd-analyze >/dev/null || skip_check "no systemd-analyze"
    local output
    mkdir -p units
    sed -e 's,^ExecStart=[^ ]*,ExecStart=/bin/true,' -e '/^Documentation/d' \
        "$dest$prefix/lib/systemd/system/bitcaskfs@.service" >units/bitcaskfs@.service
    output=$(SYSTEMD_UNIT_PATH=$TEST_DIR/units: systemd-analyze verify bitcaskfs@mail.service 2>&1) || true
    ! grep -i 'bitcaskfs@' <<<"$output" || return 1
}

uninstalls() {
    make -s -C "$build" uninstall DESTDIR="$dest" >uninstall.log 2>&1 || { tail uninstall.log; return 1; }
    equal "files left" "" "$(find "$dest" ! -type d -o -name '*bitcask*')"
}

check "make install puts everything there" installs
check "pkg-config builds examples/hello.c, and it runs" program_builds_with_pkg_config
check "the manual is found, with its links" manual_is_found
check "a line of fstab mounts; umount returns when the store is closed" inside fstab
rm -rf "$STORE"
check "the unit's command mounts, is ready when it returns, and ends with SIGTERM" inside unit
check "systemd finds nothing wrong with the unit" unit_is_valid
check "make uninstall leaves nothing" uninstalls
finish
