#!/usr/bin/env bash
# mount_control.sh - .bitcask and its control file, on a real mount.
#
# That it is there and cannot be seen, what it refuses and how, each command and each way to write one, readers that see
# one whole text, commands beside commands, and what is left when one is interrupted.

# Functions are called by name, through check. Words for another shell stand in single quotes.
# shellcheck disable=SC2317,SC2119,SC2016,SC2012,SC2030,SC2031 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
require_fuse
setup
TOOL=$(helper tool_fs) || skip_all "no C compiler for tests/tool_fs.c"
CONTROL=$MNT/.bitcask/control
SMALL=$TEST_DIR/small
EXTRA_MOUNTS=("$SMALL")
OPTIONS=()
is_root && OPTIONS=(-o allow_other)
chmod 711 "$TEST_DIR"

USER_ID=65534
as_user() {
    setpriv --reuid="$USER_ID" --regid="$USER_ID" --clear-groups "$@"
}

# command WORDS [DIR]: writes a command into a directory's control file.
command() {
    echo "$1" >"${2:-$MNT}/.bitcask/control"
}

# command_refused ERRNO-TEXT WORDS [DIR]
command_refused() {
    refused "$1" command "$2" "${3:-$MNT}"
}

# shows PATTERN [DIR]: a whole line of the text.
shows() {
    grep -qE -- "^$1\$" "${2:-$MNT}/.bitcask/control" || {
        echo "no line '$1' in:"
        cat "${2:-$MNT}/.bitcask/control"
        return 1
    }
}

metric() {
    "$TOOL" xattr "$1" "user.bitcask.$2"
}

# wait_shows PATTERN [PID]: until the text has the line; at most 2 minutes, or until the process has ended.
wait_shows() {
    local tries=0
    until shows "$1" >/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 6000 ] || { shows "$1"; return 1; }
        [ -z "${2:-}" ] || kill -0 "$2" || { echo "the command ended before '$1' was seen"; cat "$CONTROL"; return 1; }
        sleep 0.02
    done
}

# fill DIR COUNT BYTES: files of random bytes, committed.
fill() {
    local i
    mkdir -p "$1"
    for ((i = 0; i < $2; i++)); do head -c "$3" /dev/urandom >"$1/$i"; done
    sync "$1"
}

# ---- it is there, and not to be seen ----

not_in_listings() {
    mkdir -p "$MNT/tree/sub/deep"
    echo one >"$MNT/tree/one"
    echo two >"$MNT/tree/sub/deep/two"
    stat "$MNT/tree/.bitcask/control" "$MNT/tree/sub/.bitcask/control" "$MNT/tree/sub/deep/.bitcask" >/dev/null
    equal "ls -a" ". .. one sub" "$(ls -a "$MNT/tree" | paste -s -d ' ')"
    equal "find" 5 "$(find "$MNT/tree" | wc -l)"
    refused "" grep '\.bitcask' <(ls -aR "$MNT"; find "$MNT"; du -a "$MNT"; tar -cf - -C "$MNT" . | tar -tf -)
    cp -a "$MNT/tree" "$TEST_DIR/out"
    cp -a "$MNT/tree" "$MNT/copy"
    diff -r "$TEST_DIR/out" "$MNT/copy"
    refused "No such file" stat "$TEST_DIR/out/.bitcask"
    stat "$MNT/copy/.bitcask" >/dev/null
    equal "links" "$(stat -c %h "$MNT/copy")" "$(stat -c %h "$MNT/tree")"
    rm -r "$MNT/copy" "$MNT/tree"
    refused "No such file" stat "$MNT/tree/.bitcask"
}

can_be_reached() {
    mkdir "$MNT/d"
    equal "names" ". .. control health metrics stats" "$(ls -a "$MNT/d/.bitcask" | paste -s -d ' ')"
    equal "find" 5 "$(find "$MNT/d/.bitcask" | wc -l)"
    equal "the directory" "555 $(id -u) $(id -g) directory" "$(stat -c '%a %u %g %F' "$MNT/d/.bitcask")"
    equal "the file" "644 $(id -u) $(id -g) regular file" "$(stat -c '%a %u %g %F' "$MNT/d/.bitcask/control")"
    equal "its number" "$(stat -c %i "$MNT/d/.bitcask/control")" "$(stat -c %i "$MNT/d/.bitcask/control")"
    equal "its number in the listing" "$(stat -c %i "$MNT/d/.bitcask/control")" \
        "$(find "$MNT/d/.bitcask" -name control -printf %i)"
    [ "$(stat -c %i "$MNT/d/.bitcask/control")" != "$(stat -c %i "$CONTROL")" ]
    equal "a way back" "$(stat -c %i "$MNT/d")" "$(stat -c %i "$MNT/d/.bitcask/..")"
    (cd "$MNT/d/.bitcask" && equal "a working directory" "$MNT/d/.bitcask" "$(/bin/pwd)" && grep -q merge control)
    refused "No such file" stat "$MNT/d/.bitcask/nothing"
    refused "No such file" stat "$MNT/d/.bitcask/.bitcask"
    equal "modification within minutes" 1 "$(find "$MNT/d/.bitcask" -name control -mmin -5 | wc -l)"
}

follows_its_directory() {
    mkdir "$MNT/from"
    shows "directory: from" "$MNT/from"
    mv "$MNT/from" "$MNT/d/to"
    shows "directory: d/to" "$MNT/d/to"
    (
        cd "$MNT/d/to/.bitcask"
        rmdir "$MNT/d/to"
        refused "No such file\|not permitted" eval 'echo rotate >control'
    )
    mkdir "$MNT/d/to"
    shows "directory: d/to" "$MNT/d/to"
    rmdir "$MNT/d/to"
}

# ---- what is refused ----

name_is_taken() {
    cd "$MNT/d"
    mkdir sub
    : >file
    refused "File exists" mkdir .bitcask
    refused "busy" rmdir .bitcask
    refused "busy" "$TOOL" rename .bitcask other
    refused "busy" "$TOOL" rename sub .bitcask
    refused "busy" "$TOOL" exchange sub .bitcask
    refused "busy" "$TOOL" exchange .bitcask file
    refused "Is a directory" "$TOOL" rename file .bitcask
    refused "File exists" "$TOOL" noreplace file .bitcask
    refused "File exists" "$TOOL" exclusive .bitcask
    refused "File exists" mkfifo .bitcask
    refused "File exists" ln -sT x .bitcask
    refused "File exists" ln -T file .bitcask
    refused "Is a directory" unlink .bitcask
    refused "Is a directory" eval ': >.bitcask'
    equal "what is there" "file sub" "$(ls -A | paste -s -d ' ')"
    rm -r sub file
}

nothing_goes_in_or_out() {
    cd "$MNT/d"
    local no='not permitted\|Permission denied'
    : >file
    refused "$no" touch .bitcask/new
    refused "$no" mkdir .bitcask/new
    refused "$no" mkfifo .bitcask/new
    refused "$no" ln -s x .bitcask/new
    refused "$no" ln file .bitcask/new
    refused "$no" ln .bitcask/control new
    refused "$no" "$TOOL" rename file .bitcask/new
    refused "$no" "$TOOL" rename file .bitcask/control
    refused "$no" "$TOOL" rename .bitcask/control new
    refused "$no" "$TOOL" rename .bitcask/control .bitcask/new
    refused "$no" "$TOOL" exchange .bitcask/control file
    refused "$no" unlink .bitcask/control
    refused "File exists" mkdir .bitcask/control
    refused "$no\|Not a directory" rmdir .bitcask/control
    refused "Not a directory" stat .bitcask/control/x
    refused "$no" chmod 600 .bitcask/control
    refused "$no" chmod 700 .bitcask
    refused "$no" chown 1:1 .bitcask/control
    refused "$no" chown 1 .bitcask
    refused "$no" touch -d yesterday .bitcask/control
    refused "not supported" fallocate -l 100 .bitcask/control
    sync .bitcask .bitcask/control
    equal "what is there" "control health metrics stats" "$(ls -A .bitcask | paste -s -d ' ')"
    rm file
}

# ---- reading ----

one_whole_text() {
    local size
    cat "$CONTROL" >"$TEST_DIR/text"
    size=$(stat -c %s "$CONTROL")
    equal "stat" "$size" "$(stat -c %s "$TEST_DIR/text")"
    equal "wc -c" "$size" "$(wc -c <"$CONTROL")"
    equal "blocks" 1 $(($(stat -c %b "$CONTROL") * 512 >= size))
    dd if="$CONTROL" bs=7 status=none | cmp - "$TEST_DIR/text"
    dd if="$CONTROL" bs=512 iflag=direct status=none | cmp - "$TEST_DIR/text"
    equal "head" "$(head -n 1 "$TEST_DIR/text")" "$(head -n 1 "$CONTROL")"
    equal "tail" "$(tail -n 1 "$TEST_DIR/text")" "$(tail -n 1 "$CONTROL")"
    tail -c +21 "$CONTROL" | cmp - <(tail -c +21 "$TEST_DIR/text")
    "$TOOL" mmap-read "$CONTROL" | cmp - "$TEST_DIR/text"
    cp "$CONTROL" "$TEST_DIR/copied"
    cmp "$TEST_DIR/copied" "$TEST_DIR/text"
    equal "only text" "" "$(tr -d '[:print:]\n' <"$TEST_DIR/text")"
    grep -q '^merge: idle$' "$CONTROL"
    grep -q '^verify: idle$' "$CONTROL"
    local words
    for words in merge 'merge full' sync rotate verify 'scheduler on|off' 'throttle'; do
        grep -qF -- "#   $words" "$CONTROL"
    done
}

each_open_has_its_own() {
    command_refused "Invalid argument" "first"
    exec 3<"$CONTROL"
    command_refused "Invalid argument" "second, and longer than the first"
    exec 4<"$CONTROL"
    cat <&3 >"$TEST_DIR/text3"
    command_refused "Invalid argument" "third"
    cat <&4 >"$TEST_DIR/text4"
    exec 3<&- 4<&-
    grep -q '^last error: .*"first": not a command$' "$TEST_DIR/text3"
    grep -q '^last error: .*"second, and longer than the first": not a command$' "$TEST_DIR/text4"
    shows 'last error: .*"third": not a command'
}

slow_reader_keeps_its_text() {
    local i
    cat "$CONTROL" >"$TEST_DIR/before"
    exec 3<"$CONTROL"
    dd bs=10 count=1 status=none <&3 >"$TEST_DIR/slow"
    for ((i = 0; i < 50; i++)); do
        command_refused "Invalid argument" "change $i"
        dd bs=3 count=1 status=none <&3 >>"$TEST_DIR/slow"
    done
    equal "size while it is open" "$(stat -c %s "$TEST_DIR/before")" "$(stat -L -c %s /dev/fd/3)"
    cat <&3 >>"$TEST_DIR/slow"
    exec 3<&-
    cmp "$TEST_DIR/slow" "$TEST_DIR/before"
    shows 'last error: .*"change 49": not a command'
}

readers_and_writers_in_parallel() {
    local i pids=()
    for i in 1 2 3 4; do
        (
            for ((n = 0; n < 100; n++)); do
                dd if="$CONTROL" bs=100 status=none >"$TEST_DIR/read.$i"
                [ "$(grep -c '^last error: ' "$TEST_DIR/read.$i")" -eq 1 ]
                [ "$(head -n 1 "$TEST_DIR/read.$i" | cut -c 1)" = '#' ]
                [ "$(tail -c 1 "$TEST_DIR/read.$i" | od -An -tx1 | tr -d ' ')" = 0a ]
            done
        ) &
        pids+=($!)
    done
    for ((i = 0; i < 200; i++)); do
        command_refused "Invalid argument" "$(printf 'x%.0s' $(seq $((i % 70 + 1))))"
    done
    for i in "${pids[@]}"; do wait "$i"; done
}

# ---- writing ----

ways_to_write() {
    printf sync >"$CONTROL"
    printf '  sync \t\n' >"$CONTROL"
    echo sync >>"$CONTROL"
    echo sync | dd of="$CONTROL" status=none
    echo sync | dd of="$CONTROL" seek=1000 conv=notrunc status=none
    echo sync | dd of="$CONTROL" oflag=direct,append conv=notrunc status=none
    echo sync | tee "$CONTROL" >/dev/null
    printf 'merge full extra' | refused "Invalid argument" dd of="$CONTROL" status=none
    # An open file takes one command after the other, wherever it stands.
    (
        exec 3<>"$CONTROL"
        echo sync >&3
        head -n 1 <&3 >/dev/null
        echo sync >&3
        refused "Invalid argument" eval 'echo synch >&3'
        echo "throttle off" >&3
    )
    truncate -s 0 "$CONTROL"
    truncate -s 100000 "$CONTROL"
    : >"$CONTROL"
    [ "$(stat -c %s "$CONTROL")" -gt 0 ]
    shows 'last error: .*"synch": not a command'
    cp <(echo sync) "$CONTROL"
}

no_commands() {
    local words
    for words in synch SYNC "merge half" "merge full full" "sync now" "scheduler" "scheduler maybe" \
        "throttle" "throttle 0" "throttle -5" "throttle 10E" "throttle 1.5M" "throttle 20MB" "throttle x" \
        "throttle 99999999999999999999" "throttle 4095" " " $'\t' '"sync"' $'sy\001nc' $'\xff\xfe' '$(reboot)'; do
        command_refused "Invalid argument" "$words"
    done
    refused "Invalid argument" eval 'printf "sync\0" >"$CONTROL"'
    refused "Invalid argument" eval 'printf "\n" >"$CONTROL"'
    # A shell writes line by line.
    printf 'sync\nsync\n' | refused "Invalid argument" dd of="$CONTROL" status=none
    printf 'sync\n\n' | dd of="$CONTROL" status=none
    refused "Invalid argument" eval 'printf "%257s" x >"$CONTROL"'
    refused "Invalid argument" dd if=/dev/zero of="$CONTROL" bs=1M count=1
    printf 'sync%250s' '' >"$CONTROL"
    printf 'a\n\x80"\\b\n' | refused "Invalid argument" dd of="$CONTROL" status=none
    shows 'last error: [0-9-]{10} [0-9:]{8} UTC, "a\\x0a\\x80\\x22\\x5cb": .*'
    equal "one line" 1 "$(grep -c '^last error' "$CONTROL")"
}

random_garbage() {
    local i
    for ((i = 0; i < 100; i++)); do
        head -c $((i * i + 1)) /dev/urandom | refused "Invalid argument" dd of="$CONTROL" bs=64K iflag=fullblock status=none
    done
    shows 'merge: idle'
    equal "one line" 1 "$(grep -c '^last error' "$CONTROL")"
}

second_user() {
    is_root || skip_check "needs root, to act as another user"
    command_refused "Invalid argument" "of root"
    as_user grep -q '^merge: ' "$CONTROL"
    equal "its size" "$(stat -c %s "$CONTROL")" "$(as_user cat "$CONTROL" | wc -c)"
    refused "Permission denied" as_user bash -c 'echo sync >"$0"' "$CONTROL"
    refused "Permission denied" as_user bash -c ': >"$0"' "$CONTROL"
    refused "Permission denied" as_user truncate -s 0 "$CONTROL"
    refused "Permission denied" as_user touch "$MNT/.bitcask/new"
    # Who opened it does not matter: a descriptor can be handed on.
    exec 3>"$CONTROL"
    refused "not permitted" as_user bash -c 'echo sync >&3'
    echo sync >&3
    exec 3>&-
    shows 'last error: .*"of root": not a command'
}

# ---- what the commands do ----

sync_commits() {
    unmount_store
    mount_store "${OPTIONS[@]}" -o commit_ms=3600000,sync=os
    mkdir -p "$MNT/s/below"
    echo pending >"$MNT/s/below/file"
    refused "no such key" "$BITCASK" get "$STORE" s/below/file
    command sync "$MNT/s"
    equal "in the log" pending "$("$BITCASK" get "$STORE" s/below/file)"
    shows 'last sync: done [0-9-]{10} [0-9:]{8} UTC in [0-9.]+ s, of s'
    unmount_store
    mount_store "${OPTIONS[@]}"
}

scheduler_and_throttle() {
    command "scheduler off"
    shows 'scheduler: off'
    command "scheduler on" "$MNT/d"
    shows 'scheduler: on'
    command "throttle 20M"
    shows 'throttle: 20971520 bytes/s'
    command "throttle 500K"
    shows 'throttle: 512000 bytes/s' "$MNT/d"
    command_refused "Invalid argument" "throttle 10E"
    shows 'throttle: 512000 bytes/s'
    command "throttle off"
    shows 'throttle: off'
    unmount_store
    mount_store "${OPTIONS[@]}" -o scheduler=off,merge_rate=3M
    shows 'scheduler: off'
    shows 'throttle: 3145728 bytes/s'
    unmount_store
    mount_store "${OPTIONS[@]}" -o merge_rate=off
    shows 'scheduler: on'
    shows 'throttle: off'
    command "scheduler off"
}

rotate_seals() {
    mkdir -p "$MNT/r/below"
    echo 1 >"$MNT/r/one"
    echo 1 >"$MNT/r/below/one"
    command rotate "$MNT/r"
    shows 'last rotate: done .* of r'
    echo 2 >"$MNT/r/two"
    echo 2 >"$MNT/r/below/two"
    equal "segments" 2 "$(metric "$MNT/r" segments)"
    equal "segments below" 2 "$(metric "$MNT/r/below" segments)"
    equal "segment of the first" 1 "$(metric "$MNT/r/below/one" segment)"
    equal "segment of the second" 2 "$(metric "$MNT/r/below/two" segment)"
    equal "content" 1 "$(cat "$MNT/r/one")"
}

merge_gives_back() {
    local before i
    fill "$MNT/m/below" 30 20000
    for ((i = 0; i < 25; i++)); do head -c 20000 /dev/urandom >"$MNT/m/below/$i"; done
    command rotate "$MNT/m"
    echo after >"$MNT/m/below/after"
    cat "$MNT"/m/below/* | sha256sum >"$TEST_DIR/sum"
    before=$(metric "$MNT/m/below" data_bytes)
    [ "$(metric "$MNT/m/below" dead_bytes)" -ge 400000 ]
    command merge "$MNT/m"
    [ $((before - $(metric "$MNT/m/below" data_bytes))) -ge 400000 ]
    [ "$(metric "$MNT/m/below" merge_reclaimed_bytes)" -ge 400000 ]
    [ "$(metric "$MNT/m/below" merges)" -ge 1 ]
    [ $(($(date +%s) - $(metric "$MNT/m/below" last_merge))) -lt 600 ]
    metric "$MNT/m/below" merge_seconds | grep -qE '^[0-9]+\.[0-9]+$'
    equal "content" "$(cat "$TEST_DIR/sum")" "$(cat "$MNT"/m/below/* | sha256sum)"
    shows 'last merge: done [0-9-]{10} [0-9:]{8} UTC in [0-9.]+ s, of m.*: [0-9]+ merges, .* bytes reclaimed'
    shows 'merge: idle'
    command "merge full"
    command "merge full" "$MNT/m/below"
    equal "content" "$(cat "$TEST_DIR/sum")" "$(cat "$MNT"/m/below/* | sha256sum)"
    unmount_store
    mount_store "${OPTIONS[@]}" -o scheduler=off
    equal "content in a new mount" "$(cat "$TEST_DIR/sum")" "$(cat "$MNT"/m/below/* | sha256sum)"
}

commands_see_what_is_pending() {
    unmount_store
    mount_store "${OPTIONS[@]}" -o commit_ms=3600000,scheduler=off
    mkdir -p "$MNT/p/q"
    echo pending >"$MNT/p/file"
    echo moved >"$MNT/p/q/file"
    mv "$MNT/p/q/file" "$MNT/p/moved"
    command rotate "$MNT/p"
    equal "in the log" pending "$("$BITCASK" get "$STORE" p/file)"
    equal "in the log, moved" moved "$("$BITCASK" get "$STORE" p/moved)"
    echo pending >"$MNT/p/file2"
    command verify "$MNT/p"
    equal "in the log" pending "$("$BITCASK" get "$STORE" p/file2)"
    echo pending >"$MNT/p/file3"
    command "merge full" "$MNT/p"
    equal "in the log" pending "$("$BITCASK" get "$STORE" p/file3)"
    unmount_store
    mount_store "${OPTIONS[@]}" -o scheduler=off
}

verify_sound_and_damaged() {
    local file at
    fill "$MNT/v" 3 100
    printf 'a value to be damaged, %01000d' 0 >"$MNT/v/victim"
    echo good >"$MNT/v/other"
    command rotate "$MNT/v"
    command verify
    shows 'last verify: sound [0-9-]{10} [0-9:]{8} UTC in [0-9.]+ s, of /: .*; 0 damaged, .*'
    command verify "$MNT/v"
    shows 'last verify: sound .* of v: 1 partitions, .*'
    unmount_store
    file=$(grep -rlF 'a value to be damaged' "$STORE" | head -n 1)
    at=$(grep -obUaF 'a value to be damaged' "$file" | head -n 1 | cut -d : -f 1)
    printf X | dd of="$file" bs=1 seek="$((at + 3))" conv=notrunc status=none
    mount_store "${OPTIONS[@]}" -o scheduler=off
    command_refused "Input/output error" verify "$MNT/v"
    shows 'last verify: damage .* of v: 1 partitions, .*; [1-9][0-9]* damaged, .*' "$MNT/d"
    shows '  damage: v, 0*[0-9]+\.data at [0-9]+.*'
    shows 'last error: .*"verify": damage was found.*'
    command verify "$MNT/d"
    refused "Input/output error" cat "$MNT/v/victim"
    equal "its neighbour" good "$(cat "$MNT/v/other")"
    rm "$MNT/v/victim"
}

small_disk() {
    is_root || skip_check "needs root, to mount a small disk"
    mkdir "$SMALL"
    mount -t tmpfs -o size=12M none "$SMALL"
    STORE=$SMALL/store
    mount_store "${OPTIONS[@]}" -o scheduler=off
    fill "$MNT/f" 64 62500
    command rotate "$MNT/f"
    dd if=/dev/zero of="$SMALL/full" bs=64K status=none || true
    command_refused "No space left" "merge full" "$MNT/f"
    shows 'last error: .*"merge full": .*'
    equal "content" 62500 "$(wc -c <"$MNT/f/7")"
    rm "$SMALL/full"
    command "merge full" "$MNT/f"
    equal "content" 62500 "$(wc -c <"$MNT/f/7")"
    unmount_store
}

# ---- commands beside one another ----

# Starts a merge that takes a minute and more, as $merger, and waits until it can be seen. $1: what runs in the shell
# that writes the command.
slow_merge() {
    [ -e "$MNT/slow" ] || { fill "$MNT/slow" 64 62500 && command rotate "$MNT/slow"; }
    command "throttle 32K"
    bash -c "$1"'; echo "merge full" >"$0"' "$MNT/slow/.bitcask/control" >"$TEST_DIR/merger.out" 2>&1 &
    merger=$!
    wait_shows 'merge: [0-9]+% of slow, [0-9.]+ MB of [0-9.]+ MB, [0-9.]+ MB/s.*' "$merger"
}

interrupted() {
    local status=0 i
    slow_merge 'trap : USR1'
    for i in 1 2 3; do
        equal "reads" 62500 "$(wc -c <"$MNT/slow/$i")"
        echo "$i" >"$MNT/d/while"
        ls "$MNT/slow" >/dev/null
    done
    command sync
    command "scheduler on"
    command "scheduler off"
    shows 'scheduler: off'
    shows 'merge: [0-9]+% of .*'
    kill -USR1 "$merger"
    wait "$merger" || status=$?
    cat "$TEST_DIR/merger.out"
    equal "status" 1 "$status"
    grep -q "Interrupted system call" "$TEST_DIR/merger.out"
    shows 'merge: idle'
    shows 'last merge: cancelled .*'
    shows 'last error: .*"merge full": cancelled'
    command "throttle off"
    equal "content" 64 "$(find "$MNT/slow" -type f -size 62500c | wc -l)"
}

writer_killed() {
    local status=0
    slow_merge :
    kill -9 "$merger"
    wait "$merger" || status=$?
    equal "status" 137 "$status"
    wait_shows 'merge: idle'
    shows 'last merge: cancelled .*'
    command "throttle off"
}

many_at_once() {
    local pids=() i
    slow_merge :
    for i in 1 2 3 4 5; do
        bash -c 'echo merge >"$0"' "$CONTROL" 2>/dev/null &
        pids+=($!)
    done
    wait_shows 'merge: [0-9]+% of .*, 5 waiting' "$merger"
    command_refused "busy" "merge full"
    command_refused "busy" sync
    shows 'last error: .*"sync": 6 commands run already'
    command "scheduler off"
    command "throttle 64K"
    # There are threads enough for all others.
    for i in {1..30}; do cat "$MNT/slow/$i" >/dev/null & pids+=($!); done
    for i in "${pids[@]:5}"; do wait "$i"; done
    echo x >"$MNT/d/while"
    sync "$MNT/d/while"
    kill -9 "$merger"
    command_free
    command "throttle off"
    for i in "${pids[@]:0:5}"; do wait "$i"; done
    shows 'merge: idle'
}

# Waits until a command that takes time is taken again.
command_free() {
    local tries=0
    until command sync 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 6000 ] || { cat "$CONTROL"; return 1; }
        sleep 0.02
    done
}

daemon_ends_during_a_merge() {
    slow_merge :
    kill -TERM "$(daemon_pid)"
    wait_daemon
    wait "$merger" || true
    mount_store "${OPTIONS[@]}" -o scheduler=off
    equal "content" 64 "$(find "$MNT/slow" -type f -size 62500c | wc -l)"
}

# ---- the others ----

read_only() {
    unmount_store
    mount_store "${OPTIONS[@]}" -o ro
    shows 'scheduler: off'
    shows '# This mount is read-only .*'
    refused "Read-only" eval 'echo sync >"$CONTROL"'
    refused "Read-only" touch "$MNT/d/.bitcask/new"
    unmount_store
    mount_store "${OPTIONS[@]}"
}

mount_store "${OPTIONS[@]}" || die "mount"
check ".bitcask is in no listing, copy or archive" not_in_listings
check ".bitcask and control can be reached by name" can_be_reached
check "it goes with its directory" follows_its_directory
check "the name .bitcask is taken, errno by errno" name_is_taken
check "nothing goes into .bitcask or out of it, nothing in it changes" nothing_goes_in_or_out
check "every way of reading gives one whole text" one_whole_text
check "each open has a text of its own" each_open_has_its_own
check "a slow reader keeps its text" slow_reader_keeps_its_text
check "readers and writers in parallel" readers_and_writers_in_parallel
check "one write is one command, wherever it goes" ways_to_write
check "what is no command is refused and shown escaped" no_commands
check "random bytes are refused" random_garbage
check "another user reads, and cannot command" second_user
check "sync: commits what is pending" sync_commits
check "scheduler and throttle, by command and by option" scheduler_and_throttle
check "rotate: begins new segments, here and below" rotate_seals
check "merge: gives space back, and keeps all content" merge_gives_back
check "commands see what was pending" commands_see_what_is_pending
check "verify: says sound, finds damage" verify_sound_and_damaged
check "a merge is shown, stands in nobody's way, and can be interrupted" interrupted
check "a merge ends with its killed writer" writer_killed
check "six commands at once, and no seventh" many_at_once
check "the daemon ends although a merge runs" daemon_ends_during_a_merge
check "a read-only mount shows the same and takes nothing" read_only
check "the store unmounts" unmount_store
check "merge on a full disk" small_disk
finish
