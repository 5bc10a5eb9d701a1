#!/bin/bash
# Builds bitcaskfs, makes a store, mounts it and shows what that is like. Leaves the store mounted.
#
# examples/quickstart.sh: everything it makes is below build/ in the repository, or below $BUILD. A second run starts
# over with an empty store.
set -u

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=.ci/setup.sh
. "$top/.ci/setup.sh"

case ${1:-} in
'') ;;
--help | -h)
    sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
*) die "unknown argument $1; see --help" ;;
esac

setup_fuse || exit 1
setup_packages --without-tests
BUILD=${BUILD:-$top/build/quickstart}
say "Building in $BUILD ..."
setup_build "$BUILD" --disable-tests
BUILD=$(cd "$BUILD" && pwd)
PATH=$BUILD:$PATH
demo=$BUILD/demo
tree=/usr/include/linux # some hundred real files that are there wherever a compiler is

# detach_demo: unmounts the store of an earlier run, if it is mounted.
detach_demo() {
    grep -qF " $demo/mnt " /proc/self/mountinfo || return 0
    if [ "$(id -u)" -eq 0 ]; then umount -l "$demo/mnt"; else fusermount3 -u -z "$demo/mnt"; fi
}

# daemon_pid: the process that has the demo's store.
daemon_pid() {
    local dir
    for dir in /proc/[0-9]*; do
        [ "$(cat "$dir/comm" 2>/dev/null)" = bitcaskfs ] || continue
        find "$dir/fd" -lname "$demo/store/LOCK" 2>/dev/null | grep -q . && echo "${dir#/proc/}"
    done
}

# run COMMAND: prints it as typed at a prompt, then its output. A failure ends the tour.
run() {
    printf '\n$ %s\n' "$1"
    eval "$1" || die "that should have worked"
}

# explain TEXT: a comment between the commands.
explain() {
    printf '\n# %s\n' "$@"
}

detach_demo || die "an earlier run's mount, $demo/mnt, is in use; leave that directory first"
# The earlier daemon may still be writing its last: out of its way first, then away.
[ ! -e "$demo" ] || { old=$(mktemp -d "$BUILD/old.XXXXXX") && mv "$demo" "$old/" && rm -rf --one-file-system "$old"; } ||
    die "cannot remove $demo of an earlier run"
mkdir -p "$demo/mnt" && cd "$demo" || die "cannot make $demo"

explain "A store is a directory. Mount it somewhere: it is made if it is not there."
printf '\n$ cd %s\n' "$demo"
run "bitcaskfs store mnt"
run "ls"

explain "A directory is a partition key, a file a sort key, its bytes the value."
run "mkdir -p mnt/orders/2026"
run "for n in 1 2 3 4; do echo \"order \$n: pencils\" > mnt/orders/2026/000\$n; done"
run "ls -l mnt/orders/2026"
run "cat mnt/orders/2026/0003"
run "sync mnt/orders/2026"
run "mv mnt/orders/2026/0004 mnt/orders/late; rm mnt/orders/2026/0001"

explain "Copy a real tree in. Modes, owners, times and links come along."
run "cp -a $tree mnt/linux"
run "diff -r --no-dereference $tree mnt/linux && find mnt/linux -type f | wc -l"

explain "The command-line tool reads the same store, beside the mount; ls is a query in key order."
run "sync mnt"
run "bitcask ls store orders/2026"
run "bitcask get store orders/2026/0003"
run "bitcask stats store"
explain "What >, mv and rm left in the log of that directory. A tombstone says that a name is gone."
run "bitcask dump store orders/2026"

explain "Logs only grow, until they are merged: in the background when it pays, or on command, beside whatever goes on."
run "for n in 1 2 3; do head -c 9000000 /dev/urandom > mnt/orders/big; sync mnt/orders/big; done; du -sh store"
run "echo merge > mnt/.bitcask/control; du -sh store"
run "grep '^last merge' mnt/.bitcask/control"
run "bitcask verify store orders"

explain "Kill the daemon: that leaves a dead mount. The store is mounted again over it, and everything is there."
run "kill -9 $(daemon_pid)"
printf '\n$ ls mnt\n'
ls mnt 2>&1
run "bitcaskfs store mnt"
run "cat mnt/orders/2026/0003 mnt/orders/late"
run "diff -r --no-dereference $tree mnt/linux && echo all files are the same"

cat <<EOT

The store is mounted. Go on:

    cd $demo/mnt

To unmount (the daemon writes what it has, syncs, and ends):

    fusermount3 -u $demo/mnt

The programs are in
    $BUILD
and 'make install' there, as root, installs them. bitcask --help and bitcaskfs --help say what else they can do.
EOT
