# shellcheck shell=bash disable=SC2154
# Shell functions shared by tests/run.sh and examples/quickstart.sh: packages, /dev/fuse, configure, make. Source it
# with $top set to the top of the repository. Needs bash.

say() { printf '%s\n' "$*" >&2; }
die() {
    say "${0##*/}: $*"
    exit 1
}

# as_root COMMAND...: runs it as root, through sudo unless we are root already; fails where neither is possible.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "There is no sudo here to run as root: $*"
        return 1
    fi
}

# setup_packages [--without-tests]: installs those packages of .ci/packages that are not there, and only those.
setup_packages() {
    local missing=() package last='$'
    [ "${1:-}" != --without-tests ] || last='/^# To test/' # what comes after that line is left out
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        say "No apt-get here; if a step below fails, install what .ci/packages names."
        return 0
    fi
    while read -r package; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed$' || missing+=("$package")
    done < <(sed -n "1,${last}{/^#/!p}" "$top/.ci/packages")
    [ ${#missing[@]} -gt 0 ] || return 0

    say "Installing: ${missing[*]}"
    as_root apt-get update -q >&2 || say "apt-get update failed; trying with the lists that are here."
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 ||
        die "packages are missing and could not be installed; as root: apt-get install ${missing[*]}"
}

# setup_fuse: sees to it that this user can open /dev/fuse, as root if need be. Says why and fails if that cannot be.
setup_fuse() {
    can_open_fuse && return 0
    if [ ! -c /dev/fuse ]; then
        say "There is no /dev/fuse. Running as root: modprobe fuse"
        as_root modprobe fuse >&2
        [ -c /dev/fuse ] || { say "No /dev/fuse, so nothing can be mounted: try another machine."; return 1; }
        can_open_fuse && return 0
    fi
    if [ "$(id -u)" -eq 0 ]; then
        say "Even root may not open /dev/fuse: this container was not given the device (--device /dev/fuse)."
        return 1
    fi
    # Nothing is given away: a mount needs fusermount3 besides, and the usual udev rule is this mode.
    say "User $(id -un) may not open /dev/fuse; on most systems every user may. Running as root: chmod 666 /dev/fuse"
    as_root chmod 666 /dev/fuse >&2 && can_open_fuse && return 0
    say "User $(id -un) may not open /dev/fuse, so nothing can be mounted; as root: chmod 666 /dev/fuse"
    return 1
}

can_open_fuse() {
    (exec 9<>/dev/fuse) 2>/dev/null
}

# Runs a command quietly: its output goes to a file, which is shown only when it fails.
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        die "failed: $* (all of its output: $log)"
    }
}

# setup_build DIRECTORY [configure option...]: configures there, out of tree, unless that was done with the same
# options and configure did not change since, and builds.
setup_build() {
    local directory=$1 wanted
    shift
    [ ! -e "$top/config.status" ] || die "the source directory itself is configured; run make distclean there first"
    mkdir -p "$directory" || die "cannot create the build directory $directory"
    directory=$(cd "$directory" && pwd)
    if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ] ||
        [ "$top/Makefile.am" -nt "$top/Makefile.in" ]; then
        (cd "$top" && quietly "$directory/autoreconf.log" autoreconf -i) || exit 1
    fi
    wanted="$top $*"
    if [ ! -e "$directory/Makefile" ] || [ "$top/configure" -nt "$directory/config.status" ] ||
        [ "$(cat "$directory/.configured" 2>/dev/null)" != "$wanted" ]; then
        (cd "$directory" && quietly configure.log "$top/configure" "$@") || exit 1
        printf '%s\n' "$wanted" >"$directory/.configured"
    fi
    quietly "$directory/make.log" make -C "$directory" -j "$(nproc)"
}
