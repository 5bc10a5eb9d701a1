#!/usr/bin/env bash
# mount_ops.sh - what a shell, tar, an editor, git and a compiler do to files, one by one, on a real mount.
#
# Each check has a directory of its own in the mount. At the end all of it is compared with what a fresh mount shows.
# LONG=1: a value of exactly 256 MiB as well, and more files.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
CLIENT=$(helper bench/small_files) || skip_all "no C compiler for tests/bench/small_files.c"

# in_mount NAME FUNCTION: a check inside a fresh directory of the mount.
in_mount() {
    check "$1" in_own_directory "$2"
}

in_own_directory() {
    mkdir "$MNT/$1"
    cd "$MNT/$1"
    "$1"
}

mode_of() {
    stat -c %a "$1"
}

names() {
    # shellcheck disable=SC2012 # plain names; ls shows the order of the directory
    ls -f "${1:-.}" | tail -n +3 | paste -s -d ' '
}

# ---- content ----

create_append_overwrite() {
    echo one >file
    equal "created" one "$(cat file)"
    echo two >>file
    equal "appended" $'one\ntwo' "$(cat file)"
    echo three >file
    equal "overwritten" three "$(cat file)"
    : >file
    equal "emptied" 0 "$(stat -c %s file)"
    equal "names" file "$(names)"
    printf xyz | dd of=file bs=1 seek=4 conv=notrunc status=none
    equal "written behind a gap" 00000000 "$(head -c 4 file | od -An -tx1 | tr -d ' \n')"
    printf AB | dd of=file bs=1 seek=5 conv=notrunc status=none
    equal "overwritten inside" xAB "$(tail -c 3 file)"
}

exclusive_create() {
    "$TOOL" exclusive file
    refused "File exists" "$TOOL" exclusive file
    (set -o noclobber && refused "cannot overwrite" eval ': >file')
    ln -s nowhere link
    refused "File exists" "$TOOL" exclusive link
    rm file
    "$TOOL" exclusive file
}

truncate_up_and_down() {
    printf 0123456789 >file
    truncate -s 4 file
    equal "cut" 0123 "$(cat file)"
    truncate -s 100000 file
    equal "size" 100000 "$(stat -c %s file)"
    cmp file <(printf 0123; head -c 99996 /dev/zero)
    truncate -s 2 file
    truncate -s 5 file
    cmp file <(printf '01\0\0\0')
    truncate -s 8M file
    cmp file <(printf 01; head -c 8388606 /dev/zero)
    equal "blocks of one extent and a hole" 512 "$(stat -c %b file)"
    rm file
}

# Writes, holes and zeroed ranges of a large file, beside the same on a plain filesystem.
sparse_files() {
    local plain=$TEST_DIR/plain file
    head -c 3000000 /dev/urandom >"$plain"
    cp "$plain" sparse
    for file in "$plain" sparse; do
        fallocate -p -o 300000 -l 1500000 "$file"
        fallocate -z -o 2100001 -l 3 "$file"
        fallocate -p -o 5 -l 1 "$file"
        truncate -s 20M "$file"
        printf 'at the end' | dd of="$file" bs=1 seek=50000000 conv=notrunc status=none
        truncate -s 2900000 "$file"
        truncate -s 4000000 "$file"
        printf 'in the hole' | dd of="$file" bs=1 seek=1000000 conv=notrunc status=none
    done
    cmp "$plain" sparse
    sync sparse
    cmp "$plain" sparse
    [ "$(stat -c %b sparse)" -le $((9 * 512)) ]
    cp --sparse=always sparse copy
    cmp "$plain" copy
    [ "$(stat -c %b copy)" -le "$(stat -c %b sparse)" ]
    truncate -s 16T sparse
    equal "size" $((1 << 44)) "$(stat -c %s sparse)"
    printf end | dd of=sparse bs=1 seek=$(((1 << 44) - 3)) conv=notrunc status=none
    equal "the last bytes" end "$(tail -c 3 sparse)"
    cmp -n 4000000 "$plain" sparse
    # One that is not answered would be the last one that the kernel asks.
    equal "seek in a control file" 3 "$("$TOOL" seek-data "$MNT/.bitcask/control" 3)"
    equal "seek to data" $(((1 << 44) - (1 << 18))) "$("$TOOL" seek-data sparse 5000000)"
    equal "seek to a hole" 600000000000 "$("$TOOL" seek-hole sparse 600000000000)"
    refused "Operation not supported" fallocate -c -o 0 -l 4096 sparse
    refused "No space left on device" fallocate -l 15T other
    rm sparse copy other
}

gaps_and_seeks() {
    "$TOOL" past-end file
    fallocate -l 300000 other
    equal "allocated" 300000 "$(stat -c %s other)"
    cmp other <(head -c 300000 /dev/zero)
    fallocate -n -o 0 -l 400000 other
    equal "allocated beyond the end" 300000 "$(stat -c %s other)"
}

many_sizes() {
    local size
    for size in 1 2 4095 4096 4097 65535 65536 65537 131071 131073 1048576 2500001; do
        head -c "$size" /dev/urandom >"$TEST_DIR/random"
        cp "$TEST_DIR/random" "s$size"
        cmp "$TEST_DIR/random" "s$size"
        dd if="$TEST_DIR/random" of=by_10k bs=10007 status=none
        cmp "$TEST_DIR/random" by_10k
    done
    cat s65536 s131073 >joined
    cmp <(cat s65536 s131073) joined
}

append_by_two() {
    "$TOOL" append log one 2000 &
    "$TOOL" append log two 2000
    wait $!
    equal "lines" 4000 "$(wc -l <log)"
    equal "of each kind" "2000 one 2000 two" "$(cut -d ' ' -f 1 log | sort | uniq -c | xargs)"
    diff <(grep one log) <(seq -f 'one %g' 0 1999)
    diff <(grep two log) <(seq -f 'two %g' 0 1999)
}

mmap_reads_and_writes() {
    head -c 300000 /dev/urandom >"$TEST_DIR/random"
    cp "$TEST_DIR/random" file
    "$TOOL" mmap-read file | cmp - "$TEST_DIR/random"
    "$TOOL" mmap-write file 299990 "0123456789"
    "$TOOL" mmap-write file 4090 "across a page"
    equal "at the end" 0123456789 "$(tail -c 10 file)"
    equal "across a page" "across a page" "$(dd if=file bs=1 skip=4090 count=13 status=none)"
    printf short >file
    equal "after truncation" short "$("$TOOL" mmap-read file)"
}

value_limit() {
    truncate -s 1000 file
    refused "File too large" truncate -s $(((1 << 44) + 1)) file
    refused "File too large" truncate -s 100T file
    refused "File too large" dd if=/dev/zero of=file bs=1 count=1 seek=16T conv=notrunc
    equal "size is kept" 1000 "$(stat -c %s file)"
}

# ---- attributes ----

modes_and_times() {
    umask 027
    : >file
    mkdir dir
    equal "umask on a file" 640 "$(mode_of file)"
    equal "umask on a directory" 750 "$(mode_of dir)"
    chmod 4711 file
    equal "chmod" 4711 "$(mode_of file)"
    chmod 1700 dir
    equal "chmod of a directory" 1700 "$(mode_of dir)"
    touch -d '2011-12-13 14:15:16.171819202' file dir
    equal "mtime" "$(date -d '2011-12-13 14:15:16' +%s).171819202" "$(stat -c %.9Y file)"
    equal "mtime of a directory" "$(date -d '2011-12-13 14:15:16' +%s).171819202" "$(stat -c %.9Y dir)"
    touch -a -d '2012-01-01 00:00:00.5 UTC' file
    equal "atime alone" "1325376000.500000000" "$(stat -c %.9X file)"
    equal "mtime stays" "$(date -d '2011-12-13 14:15:16' +%s).171819202" "$(stat -c %.9Y file)"
    cat file
    equal "atime after a read" "1325376000.500000000" "$(stat -c %.9X file)"
    [ "$(stat -c %Z file)" -ge "$(($(date +%s) - 60))" ]
}

times_move_with_changes() {
    local before after
    touch -d '2001-01-01' file .
    echo x >>file
    after=$(stat -c %Y file)
    [ "$after" -ge "$(($(date +%s) - 60))" ]
    before=$(stat -c %.9Y .)
    : >new
    after=$(stat -c %.9Y .)
    [ "$before" != "$after" ]
    before=$(stat -c %.9Z file)
    chmod 600 file
    [ "$before" != "$(stat -c %.9Z file)" ]
    before=$(stat -c %.9Y .)
    rm new
    [ "$before" != "$(stat -c %.9Y .)" ]
}

owners() {
    is_root || skip_check "not root: owners cannot be changed"
    : >file
    mkdir dir shared
    chown 1234:5678 file dir
    equal "chown" 1234:5678 "$(stat -c %u:%g file)"
    equal "chown of a directory" 1234:5678 "$(stat -c %u:%g dir)"
    ln -s file link
    chown -h 11:12 link
    equal "chown of a symlink" 11:12 "$(stat -c %u:%g link)"
    equal "its target stays" 1234:5678 "$(stat -c %u:%g file)"
    chmod 4755 file
    chown 1235 file
    equal "chown takes setuid away" 755 "$(mode_of file)"
    chgrp 4321 shared
    chmod 2775 shared
    : >shared/file
    mkdir shared/sub
    equal "group from a setgid parent" 4321 "$(stat -c %g shared/file)"
    equal "setgid is inherited" "4321 2755" "$(stat -c '%g %a' shared/sub)"
}

setuid_goes_with_a_foreign_write() {
    is_root || skip_check "not root: nobody else to write as"
    command -v setpriv >/dev/null || skip_check "no setpriv"
    local as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    "${as_nobody[@]}" stat . >/dev/null || skip_check "mounted without allow_other"
    printf content >file
    chmod 6777 file
    printf root >file
    equal "a write by root keeps it" 6777 "$(mode_of file)"
    # shellcheck disable=SC2016
    "${as_nobody[@]}" sh -c 'printf more >>"$1"' sh file
    equal "a write by someone else takes it" 777 "$(mode_of file)"
    chmod 6777 file
    "${as_nobody[@]}" truncate -s 2 file
    equal "truncation by someone else takes it" 777 "$(mode_of file)"
    chmod 6767 file
    # shellcheck disable=SC2016
    "${as_nobody[@]}" sh -c 'printf more >>"$1"' sh file
    equal "setgid without group execution goes too, from who is not in the group" 767 "$(mode_of file)"
    printf secret >closed
    chmod 600 closed
    refused "Permission denied" "${as_nobody[@]}" cat closed
    refused "Permission denied" "${as_nobody[@]}" touch new
    refused "not permitted" "${as_nobody[@]}" chmod 777 closed
}

# ---- names ----

strange_names() {
    local name all=() i
    for name in ' ' '-' '--help' $'new\nline' $'\377' $'\001\002' '...' '.hidden' "quote's" '"' '*' 'ümläut' '日本' \\ 'a:b'; do
        all+=("$name")
        printf '%s' "$name" >"./$name"
    done
    for name in "${all[@]}"; do equal "content of it" "$name" "$(cat "./$name")"; done
    printf '%s\0' "${all[@]}" | sort -z >"$TEST_DIR/wanted"
    # shellcheck disable=SC2012
    ls -f --zero | tail -z -n +3 | cmp - "$TEST_DIR/wanted"
    mkdir all_bytes
    for ((i = 1; i < 256; i++)); do
        name=$(printf '\\x%02x' "$i")
        [ "$i" -eq 47 ] || { printf -v name '%b_' "$name"; [ "$name" = ._ ] || : >"all_bytes/$name"; }
    done
    equal "names of all bytes" 253 "$(find all_bytes -type f -printf x | wc -c)"
}

long_names() {
    local long
    long=$(printf 'n%.0s' {1..255})
    echo long >"$long"
    equal "255 bytes" long "$(cat "$long")"
    refused "too long" touch "${long}n"
    refused "too long" mkdir "${long}n"
    refused "too long" mv "$long" "${long}n"
    refused "too long" cat "${long}n"
    mv "$long" short
    mkdir "$long"
    mv short "$long/$long"
    equal "moved" long "$(cat "$long/$long")"
    equal "statfs" 255 "$(stat -f -c %l .)"
}

name_of_the_control_directory() {
    local text='File exists\|not permitted\|busy\|Permission denied\|Is a directory\|Not a directory'
    refused "$text" mkdir .bitcask
    refused "$text" touch .bitcask
    refused "$text" ln -s x .bitcask
    refused "$text" mkfifo .bitcask
    : >file
    refused "$text" "$TOOL" rename file .bitcask
    equal "the source is still there" file "$(names)"
}

deep_trees() {
    local i path=. wanted
    for ((i = 0; i < 120; i++)); do path+=/directory$i; done
    mkdir -p "$path"
    echo deep >"$path/file"
    wanted=$(cat "$path/file")
    mv directory0 moved
    equal "after a move of its root" "$wanted" "$(cat "moved/${path#./directory0/}/file")"
    equal "depth" 121 "$(find moved | wc -l)"
    rm -r moved
    equal "nothing left" "" "$(names)"
}

# ---- rename, unlink, directories ----

rename_in_a_directory() {
    echo a >a
    echo b >b
    ln -s target s
    mv a c
    equal "renamed" "b c s" "$(names)"
    mv c b
    equal "over a file" "a" "$(cat b)"
    equal "names after" "b s" "$(names)"
    mv s t
    equal "a symlink" target "$(readlink t)"
    # Committed files take another way than pending ones.
    sync b
    mv b committed
    equal "committed" a "$(cat committed)"
    echo again >b
    sync b
    mv b committed
    equal "committed over committed" again "$(cat committed)"
    mv committed committed.2 && echo fresh >committed && sync .
    equal "old name anew" fresh "$(cat committed)"
    equal "new name keeps" again "$(cat committed.2)"
    equal "names at the end" "committed committed.2 t" "$(names)"
}

rename_across_directories() {
    mkdir -p one two/three
    echo a >one/a
    sync one/a
    echo b >one/b
    mv one/a two/three/x
    mv one/b two/b
    equal "left" "" "$(names one)"
    equal "committed" a "$(cat two/three/x)"
    equal "pending" b "$(cat two/b)"
    echo other >one/x && sync one/x
    mv one/x two/three/x
    equal "over a file" other "$(cat two/three/x)"
    mv two/three/x one/ && mv one/x two/ && mv two/x two/three/ && mv two/three/x one/y
    equal "there and back" other "$(cat one/y)"
    echo more >>one/y
    equal "append after moves" $'other\nmore' "$(cat one/y)"
    equal "names" "three b" "$(names two | tr ' ' '\n' | sort -r | paste -s -d ' ')"
    rm one/y
    rmdir one
    refused "No such file" cat one/y
}

rename_of_directories() {
    mkdir -p full/sub/deeper empty other target
    echo 1 >full/file
    echo 2 >full/sub/deeper/file
    sync full/file
    mv full renamed
    equal "in it" 1 "$(cat renamed/file)"
    equal "below it" 2 "$(cat renamed/sub/deeper/file)"
    refused "No such file" stat full
    mv renamed other/
    equal "across directories" 2 "$(cat other/renamed/sub/deeper/file)"
    mv -T other/renamed target
    equal "onto an empty directory" 1 "$(cat target/file)"
    refused "not empty\|exists" "$TOOL" rename empty target
    refused "Invalid argument" "$TOOL" rename target target/sub/inside
    : >file
    refused "Not a directory" "$TOOL" rename target file
    refused "Is a directory" "$TOOL" rename file target
    mv -T empty target/sub/deeper/was_empty
    equal "names" "file other target" "$(names)"
    equal "parent" "$(stat -c %i target)" "$(stat -c %i target/sub/..)"
    mkdir a && echo x >a/x && mv a b && mkdir a && echo y >a/x
    equal "an old name anew" "y x" "$(cat a/x) $(cat b/x)"
    rm -r target
    equal "names at the end" "a b file other" "$(names)"
}

rename_flags() {
    mkdir d full && echo in >full/file
    echo a >a
    echo b >b
    refused "File exists" "$TOOL" noreplace a b
    equal "both stay" "a b" "$(cat a) $(cat b)"
    "$TOOL" noreplace a d/c
    equal "moved" a "$(cat d/c)"
    "$TOOL" exchange d/c b
    equal "exchanged across directories" "b a" "$(cat d/c) $(cat b)"
    echo e >e
    "$TOOL" exchange b e
    equal "exchanged in a directory" "e a" "$(cat b) $(cat e)"
    "$TOOL" exchange d full
    equal "exchanged directories" "in b" "$(cat d/file) $(cat full/c)"
    "$TOOL" exchange e d
    equal "a file and a directory exchanged" "a in" "$(cat d) $(cat e/file)"
    refused "No such file" "$TOOL" exchange e nothing
    mv -n b e/file
    equal "mv -n" in "$(cat e/file)"
    "$TOOL" rename b b
    equal "onto itself" e "$(cat b)"
}

unlink_of_open_files() {
    "$TOOL" unlinked pending
    echo x >committed
    sync committed
    "$TOOL" unlinked committed
    echo x >old
    echo y >new
    sync old new
    "$TOOL" replaced old new
    equal "the name has the new file" y "$(cat old)"
    equal "names" old "$(names)"
}

mkdir_and_rmdir() {
    mkdir dir
    refused "File exists" mkdir dir
    : >dir/file
    refused "not empty" rmdir dir
    sync dir/file
    refused "not empty" rmdir dir
    rm dir/file
    mkdir dir/sub
    refused "not empty" rmdir dir
    rmdir dir/sub dir
    refused "No such file" rmdir dir
    : >file
    refused "Not a directory" rmdir file
    refused "Is a directory\|not permitted" unlink .
    refused "No such file" touch nothing/file
    refused "Not a directory" touch file/file
    mkdir file2 && rmdir file2 && : >file2
    rm file2 && mkdir file2 && rmdir file2
    equal "names" file "$(names)"
}

symlinks_and_nodes() {
    local long
    long=$(printf 'x%.0s' {1..4000})
    ln -s "some/target with spaces" link
    equal "readlink" "some/target with spaces" "$(readlink link)"
    equal "size" 23 "$(stat -c %s link)"
    ln -s "$long" long
    equal "a long one" "$long" "$(readlink long)"
    ln -s dir to_dir
    mkdir dir
    echo through >to_dir/file
    equal "through a symlink" through "$(cat dir/file)"
    ln -sf other link
    equal "replaced" other "$(readlink link)"
    mkfifo fifo
    [ -p fifo ]
    echo "through the fifo" >fifo &
    equal "fifo" "through the fifo" "$(cat fifo)"
    wait $!
    "$TOOL" socket s
    if is_root; then
        mknod device c 1 3
        equal "device" "1:3" "$(stat -c %t:%T device)"
    fi
    ln link hard
    equal "links of a symlink" "other 2" "$(readlink hard) $(stat -c %h link)"
}

free_space() {
    local mount backing
    mount=$(stat -f -c '%b %S' . | awk '{ printf "%d", $1 * $2 }')
    backing=$(stat -f -c '%b %S' "$STORE" | awk '{ printf "%d", $1 * $2 }')
    equal "size of the filesystem" "$backing" "$mount"
    [ "$(stat -f -c %a .)" -gt 0 ]
    df . | grep -q "$MNT"
    df -i . | grep -q "$MNT"
}

twenty_thousand_files() {
    local n=20000
    "$CLIENT" . create "$n"
    "$CLIENT" . list "$n"
    "$CLIENT" . stat "$n"
    "$CLIENT" . liststat "$n"
    "$CLIENT" . read "$n"
    names | tr ' ' '\n' | sort -c
    "$CLIENT" . unlink "$n"
    "$CLIENT" . list 0
    equal "nothing left" "" "$(names)"
}

# ---- programs ----

an_editor_saves() {
    local i
    echo 0 >document
    for ((i = 1; i <= 20; i++)); do
        echo "$i" >.document.new
        sync .document.new
        mv .document.new document
        equal "saved" "$i" "$(cat document)"
    done
    # With a backup beside it, as emacs and vim do.
    mv document document~
    echo 21 >document
    sync document .
    equal "backup" 20 "$(cat document~)"
    sed -i 's/21/22/' document
    equal "sed -i" 22 "$(cat document)"
    chmod 640 document
    sed -i 's/22/23/' document
    equal "sed -i keeps the mode" 640 "$(mode_of document)"
    sort -o document~ document document~
    equal "sort -o" "20 23" "$(paste -s -d ' ' document~)"
    equal "names" "document document~" "$(names)"
}

git_works() {
    command -v git >/dev/null || skip_check "no git"
    local i
    export HOME=$TEST_DIR GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
    git init -q .
    for ((i = 0; i < 150; i++)); do echo "file $i" >"f$i"; done
    git add .
    git commit -q -m first
    echo changed >f7
    git mv f8 moved
    git commit -q -a -m second
    equal "status" "" "$(git status --porcelain)"
    git checkout -q -b branch HEAD~1
    equal "an older tree" "file 7" "$(cat f7)"
    git gc -q
    git fsck --strict --no-progress
    git clone -q . clone
    equal "clone" "file 149" "$(cat clone/f149)"
}

a_compiler_works() {
    command -v "${CC:-cc}" >/dev/null || skip_check "no C compiler"
    cat >main.c <<'END'
#include <stdio.h>
int twice(int n);
int main(void) { return printf("%d\n", twice(21)) != 3; }
END
    echo 'int twice(int n) { return 2 * n; }' >twice.c
    "${CC:-cc}" -c -o main.o main.c
    "${CC:-cc}" -c -o twice.o twice.c
    ar rcs libtwice.a twice.o
    "${CC:-cc}" -o program main.o libtwice.a
    equal "the program runs" 42 "$(./program)"
    printf '#!/bin/sh\necho script\n' >script && chmod +x script
    equal "a script runs" script "$(./script)"
}

tar_and_find_work() {
    local i
    mkdir -p src/a/b
    for i in 1 2 3 4 5 6 7 8 9; do echo "$i" >"src/a/b/$i"; done
    ln -s b/1 src/a/link
    tar -cf src.tar src
    mkdir out
    tar -xf src.tar -C out
    diff -r --no-dereference src out/src
    equal "find" 9 "$(find out -type f | wc -l)"
    find out -name 5 -delete
    equal "find -delete" 8 "$(find out -type f | wc -l)"
    rm -rf out
    [ ! -e out ]
}

# ---- the run ----

options=()
is_root && options=(-o allow_other)
mount_store "${options[@]}" || die "mount"
chmod 755 "$TEST_DIR" "$MNT"

in_mount "files are created, appended to and overwritten" create_append_overwrite
in_mount "O_EXCL refuses what is there" exclusive_create
in_mount "truncate cuts and grows" truncate_up_and_down
in_mount "sparse files, holes and zeroed ranges" sparse_files
in_mount "gaps read as zeros, lseek and fallocate know them" gaps_and_seeks
in_mount "values of many sizes come back" many_sizes
in_mount "two processes append without losing a line" append_by_two
in_mount "mmap reads and writes" mmap_reads_and_writes
in_mount "a value beyond 16 TiB is refused with EFBIG" value_limit
in_mount "modes and nanosecond times are kept" modes_and_times
in_mount "times move with changes" times_move_with_changes
in_mount "owners are kept" owners
in_mount "a foreign write takes setuid away" setuid_goes_with_a_foreign_write
in_mount "strange bytes in names" strange_names
in_mount "255 bytes in a name and no more" long_names
in_mount "the name .bitcask is refused" name_of_the_control_directory
in_mount "deep trees" deep_trees
in_mount "rename in a directory" rename_in_a_directory
in_mount "rename across directories" rename_across_directories
in_mount "rename of directories" rename_of_directories
in_mount "rename with NOREPLACE and EXCHANGE" rename_flags
in_mount "open files outlive their names" unlink_of_open_files
in_mount "mkdir and rmdir" mkdir_and_rmdir
in_mount "symlinks, fifos, sockets, devices" symlinks_and_nodes
in_mount "df shows the backing filesystem" free_space
in_mount "an editor saves" an_editor_saves
in_mount "git works inside" git_works
in_mount "a compiler works inside" a_compiler_works
in_mount "tar and find work inside" tar_and_find_work
in_mount "20,000 files in one directory" twenty_thousand_files

everything_survives_a_remount() {
    (cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum) >"$TEST_DIR/sums"
    manifest "$MNT" >"$TEST_DIR/before"
    unmount_store
    mount_store "${options[@]}"
    manifest "$MNT" >"$TEST_DIR/after"
    diff <(tr '\0\n' '\n?' <"$TEST_DIR/before") <(tr '\0\n' '\n?' <"$TEST_DIR/after")
    diff "$TEST_DIR/sums" <(cd "$MNT" && find . -type f -print0 | sort -z | xargs -0 cksum)
}
check "everything survives a remount" everything_survives_a_remount

finish
