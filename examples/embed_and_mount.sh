#!/bin/bash
# A program that embeds the library (sensors.c) writes; then the same store is looked at through a mount.
#
# examples/embed_and_mount.sh [DIRECTORY]: in DIRECTORY, else a temporary one that is removed in the end. Uses bitcaskfs
# from PATH, and $SENSORS or else sensors from PATH, built by
#     cc sensors.c $(pkg-config --cflags --libs libbitcask) -o sensors
set -eu

SENSORS=${SENSORS:-sensors}
work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
fi
cd "$work"
mkdir -p mnt

# run COMMAND: prints it as typed at a prompt, then its output.
run() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

run "$SENSORS store"
run "bitcaskfs store mnt"
run "ls mnt/readings"
run "TZ=UTC ls -l mnt/readings/roof | head -n 4"
run "cat mnt/readings/cellar/2026-01-01T1400Z"
run "grep -l '^-' mnt/readings/roof/* | wc -l      # how many hours of frost"
run "find mnt/readings -newermt '2026-01-01 21:59 UTC' -type f | sort"
run "tar -C mnt -cf roof.tar readings/roof; tar -tf roof.tar | wc -l"

# And the other way round: a file that is written here is a key for the program.
run "mkdir mnt/readings/attic; echo 7.5 > mnt/readings/attic/2026-01-01T1200Z"
if [ "$(id -u)" -eq 0 ]; then run "umount mnt"; else run "fusermount3 -u mnt"; fi
run "bitcask get store readings/attic/2026-01-01T1200Z"
