#!/bin/bash
# The tour of ARCHITECTURE.md: its 21 stops are there, each with its four parts; every file that the text names exists,
# every test it names is run by make check; and the experiments, run as they are printed, show what is printed.
#
# An experiment is a block of lines that begin with "$ ", each a command, and its output below it, in which "..." stands
# for anything. Each stop gets an empty directory of its own, $S (the source directory) and $B (the build directory),
# which is in PATH.
# shellcheck source=tests/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

setup
top=${abs_srcdir:-$(cd "$TESTS_DIR/.." && pwd)}
text=$top/ARCHITECTURE.md
export S=$top B
B=${abs_builddir:-$PWD}
PATH=$B:$PATH

titles=(scaffold 'record codec' 'log writer' 'log reader' 'index builder' 'KV API' 'crash-safe reopen' 'hint format'
    'hint boot' 'rotation' 'merge' 'hot-swap' 'directory bootstrap' 'concurrency' 'memory packing' 'Bloom filters'
    'metrics' 'partition layer' 'sort-key ranges' 'scheduler' 'tool and docs')

# stop N: the text of stop N of the tour in $file.
stop() {
    awk -v n="$1" '/^## /{tour = /^## The tour/} tour && /^### /{on = $2 == n "."} /^## /{on = 0} on' "$file"
}

# named_files: the paths between backquotes in the text read, as far as they look like files of this repository.
named_files() {
    grep -oE '`(\.ci|debian|examples|fs|man|store|systemd|tests|completions)/[A-Za-z0-9_./-]+`' | tr -d '`' | sort -u
}

stops_are_complete() {
    local n part bad=0
    for n in "${!titles[@]}"; do
        stop "$n" >"$TEST_DIR/stop"
        grep -qiE "^### $n\. (the )?${titles[n]}\$" "$TEST_DIR/stop" || { echo "no stop '$n. ${titles[n]}'"; bad=1; }
        for part in Code Test Try; do
            grep -q "^\*$part\*: " "$TEST_DIR/stop" || { echo "stop $n has no part $part"; bad=1; }
        done
        # What it teaches stands first.
        awk 'NR > 1 && NF {exit /^[*$`]/}' "$TEST_DIR/stop" || { echo "stop $n does not say what it teaches"; bad=1; }
        grep -q '^\$ ' "$TEST_DIR/stop" || { echo "stop $n has no experiment"; bad=1; }
        for part in Code Test; do
            sed -n "/^\*$part\*: /,/^\$/p" "$TEST_DIR/stop" | named_files | grep -q . ||
                { echo "stop $n names no file under $part"; bad=1; }
        done
    done
    [ "$(awk '/^## /{tour = /^## The tour/} tour && /^### /' "$file" | wc -l)" -eq ${#titles[@]} ] ||
        { echo "the tour has other stops than these"; bad=1; }
    return $bad
}

named_files_exist() {
    local name bad=0 count=0
    while IFS= read -r name; do
        count=$((count + 1))
        [ -e "$top/$name" ] || { echo "$name: no such file"; bad=1; }
        case $name in
        tests/test_*.c | tests/mount_*.sh | tests/cli*.sh)
            grep -qE "(^|[[:space:]])${name%.c}([[:space:]]|\$)" "$top/Makefile.am" || [ "$name" = tests/cli_lib.sh ] ||
                { echo "$name: not run by make check"; bad=1; }
            ;;
        esac
    done < <(named_files <"$file")
    echo "$count files"
    [ $count -gt "${1:-0}" ] && [ $bad -eq 0 ]
}

# as_pattern: the text read as a pattern of [[ ]], with "..." for anything.
as_pattern() {
    sed -e 's/[][\\*?]/\\&/g' -e 's/\.\.\./*/g'
}

# experiment N: runs the commands of stop N and compares.
experiment() {
    local command='' wanted='' line bad=0
    dir=$TEST_DIR/stop$1
    rm -rf "$dir"
    mkdir "$dir"
    stop "$1" | sed -n '/^```/,/^```/{/^```/d;p}' >"$dir.commands"
    if grep -q -e bitcaskfs -e embed_and_mount "$dir.commands" && ! (exec 9<>/dev/fuse) 2>/dev/null; then
        skip_check "needs /dev/fuse"
    fi
    cd "$dir"
    set +eE
    trap - ERR
    trap 'detach "$dir/mnt"; rm -rf --one-file-system "$dir"' EXIT
    while IFS= read -r line <&7; do
        if [ "${line#\$ }" != "$line" ]; then
            shown || bad=1
            command=${line#\$ } wanted=''
            eval "$command" >"$dir.out" 2>"$dir.err" </dev/null
        else
            wanted+=$line$'\n'
        fi
    done 7<"$dir.commands"
    shown || bad=1
    return $bad
}

# shown: whether the last command's output is what was wanted.
shown() {
    local pattern output
    [ -n "$command" ] || return 0
    output=$(cat "$dir.out" "$dir.err" | tr -d '\000') # as on a terminal, where complaints come last
    pattern=$(as_pattern <<<"${wanted%$'\n'}")
    # shellcheck disable=SC2053
    [[ $output == $pattern ]] && return 0
    printf '$ %s\nwanted:\n%s\ngot:\n%s\n' "$command" "$wanted" "$output"
    return 1
}

# broken SED-SCRIPT FUNCTION...: on a text changed so, the function must fail: a check that cannot proves nothing.
broken() {
    sed "$1" "$text" >"$TEST_DIR/broken.md"
    shift
    if (file=$TEST_DIR/broken.md; set +eE; trap - ERR; "$@") >/dev/null 2>&1; then
        echo "not noticed: $*"
        return 1
    fi
}

checks_can_fail() {
    broken '/^### 7\./s/Hint/Hunt/' stops_are_complete
    broken '/^### 7\./,/^### 8\./s/^\*Test\*/Test/' stops_are_complete
    broken 's/^\$ /% /' stops_are_complete
    broken 's,`tests/test_record.c`,`tests/test_rekord.c`,' named_files_exist
    broken '/^### 1\./,/^### 2\./s/BAD-VALUE/fine/' experiment 1
}

file=$text
check "the tour has its 21 stops, each with code, test and experiment" stops_are_complete
check "every file that the text names is there" named_files_exist 100
for n in "${!titles[@]}"; do
    check "stop $n, ${titles[n]}: the experiment shows what it should" experiment "$n"
done
check "these checks can fail" checks_can_fail
finish
