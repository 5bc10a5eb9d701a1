#!/usr/bin/env bash
# mount_links.sh - hard links a second on the mount: `cp -al` and `rsync --link-dest` of FILES files (20,000, of 100
# bytes, in 20 directories), beside `cp -a` and `rsync -a` of as many empty ones; all four take turns, ROUNDS (5) times.
#
# Each includes an fsync of the mount's root, which completes what is queued. The table has the medians in seconds.

# shellcheck disable=SC2119 source-path=SCRIPTDIR/.. source=lib.sh
. "$(dirname "$0")/../lib.sh"
require_fuse
TMPDIR=${STORE_DIR:-${TMPDIR:-/tmp}}
setup
FILES=${FILES:-20000}
ROUNDS=${ROUNDS:-5}

# make_tree DIR TEXT
make_tree() {
    local i
    mkdir "$1"
    for ((i = 0; i < FILES; i++)); do
        if [ $((i % (FILES / 20 + 1))) -eq 0 ]; then
            mkdir "$1/d$i" && cd "$1/d$i" || exit
        fi
        printf %s "$2" >"$i"
    done
    cd "$TEST_DIR" || exit
}

# timed NAME COMMAND...
timed() {
    local name=$1 begin=${EPOCHREALTIME/./}
    shift
    if ! "$@" || ! sync "$MNT"; then die "$*"; fi
    echo $((${EPOCHREALTIME/./} - begin)) >>"$TEST_DIR/$name"
}

median() {
    sort -n "$TEST_DIR/$1" | sed -n "$(((ROUNDS + 1) / 2))p"
}

mount_store || die "no mount"
make_tree "$MNT/empty" ""
make_tree "$MNT/full" "$(printf '%0100d' 0)"
sync "$MNT"
for ((round = 1; round <= ROUNDS; round++)); do
    timed cp_empty cp -a "$MNT/empty" "$MNT/e$round"
    timed cp_links cp -al "$MNT/full" "$MNT/l$round"
    timed rm_links rm -r "$MNT/l$round"
    timed rsync_empty rsync -a "$MNT/empty/" "$MNT/r$round/"
    timed rsync_links rsync -a --link-dest="$MNT/full" "$MNT/full/" "$MNT/s$round/"
    rm -r "$MNT/e$round" "$MNT/r$round"
done
printf '%-24s %8s\n' "$FILES files" "seconds"
for name in cp_empty cp_links rsync_empty rsync_links rm_links; do
    printf '%-24s %8s\n' "$name" "$(echo "$(median $name)" | awk '{ printf "%.2f", $1 / 1e6 }')"
done
printf 'links beside empty files: cp %s, rsync %s\n' \
    "$(echo "$(median cp_links) $(median cp_empty)" | awk '{ printf "%.2f", $1 / $2 }')" \
    "$(echo "$(median rsync_links) $(median rsync_empty)" | awk '{ printf "%.2f", $1 / $2 }')"
unmount_store || die "the daemon did not end well"
