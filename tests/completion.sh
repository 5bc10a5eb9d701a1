#!/usr/bin/env bash
# completion.sh - the completions for bash: sourced here, and asked as the shell would ask them.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=cli_lib.sh
. "$(dirname "$0")/cli_lib.sh"
setup
cd "$TEST_DIR" || exit 1
COMPLETIONS=${abs_srcdir:-$TESTS_DIR/..}/completions
[ -e "$COMPLETIONS/bitcask" ] || die "no completions in $COMPLETIONS"
PATH=$(dirname "$BITCASK"):$PATH
# shellcheck disable=SC1091
. "$COMPLETIONS/bitcask"
# shellcheck disable=SC1091
. "$COMPLETIONS/bitcaskfs"

# complete_words WORD...: what the completion of the first word offers for the last one, on one line, sorted.
complete_words() {
    local function
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    function=$(complete -p "$1" | sed 's/.*-F \([^ ]*\) .*/\1/')
    # compopt works in a real completion only.
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>err
    printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ' | sed 's/ $//'
}

# offers WANTED WORD...
offers() {
    local wanted=$1
    shift
    equal "completion of $*" "$wanted" "$(complete_words "$@")"
}

commands_and_options_are_offered() {
    local all command option
    offers "partition put" bitcask p
    offers "export" bitcask ex
    offers "--help create drop ls rename" bitcask partition ""
    offers "--after" bitcask query --a
    offers "--quiet" bitcask import --q
    offers "--recursive" bitcask partition drop --re
    offers "" bitcask partition create --re
    offers "" bitcask frob --
    all=$(complete_words bitcask "")
    for command in $("$BITCASK" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
        [[ " $all " == *" $command "* ]] || { echo "$command is not offered"; return 1; }
        [ "$command" != partition ] || continue
        offered=$(complete_words bitcask "$command" -)
        for option in $("$BITCASK" "$command" --help | grep -oE '^ +-.*' |
            grep -oE '(^|[ ,])--?[a-zA-Z0-9][a-z-]*( |,|$)' | tr -d ', '); do
            [[ " $offered " == *" $option "* ]] || { echo "$command $option is not offered: $offered"; return 1; }
        done
    done
}

names_in_a_store_are_offered() {
    put shop orders/2026/0001 x
    put shop orders/2026/0002 x
    put shop orders/list x
    put shop other x
    mkdir shed
    : >shopping
    offers "shed shop" bitcask get sh
    offers "orders/ other" bitcask get shop o
    offers "orders/" bitcask query shop o
    offers "orders/2026/ orders/list" bitcask get shop orders/
    offers "orders/2026/0001 orders/2026/0002" bitcask mv shop orders/2026/0
    offers "other" bitcask mv shop orders/list ot
    offers "other" bitcask put -p -f file shop ot
    offers "other" bitcask put --file = file shop ot
    offers "shed shop shopping" bitcask put --file = sh
    offers "shed shop shopping" bitcask put -f sh
    offers "" bitcask query --limit ""
    offers "orders/" bitcask partition drop shop or
    offers "" bitcask partition drop shop orders/ ""
    offers "orders/2026/" bitcask partition rename shop orders/2026/ orders/2
    offers "shed shop shopping" bitcask dump sh
    offers "miss mixed" bitcask bench shed mi
    offers "" bitcask get none ""
    offers "" bitcask get shop none/
}

options_of_mounts_are_offered() {
    local word all
    offers "ro" bitcaskfs -o ro
    offers "rw,scheduler=off rw,scheduler=on" bitcaskfs -o rw,sched
    offers "sync=always sync=interval= sync=os" bitcaskfs -o sync=
    offers "merge_rate= merge_rate=off" bitcaskfs --options = merge
    offers "--foreground" bitcaskfs --f
    mkdir -p shed shop
    offers "shed shop" bitcaskfs -f sh
    offers "shed" bitcaskfs -o ro shop she
    all=" $(complete_words bitcaskfs -o "") "
    for word in $("$BITCASKFS" --help | sed -n '/^Words of -o/,/^and the/s/^  \([a-z_]*\).*/\1/p'); do
        [[ $all == *" $word"[\ =]* ]] || { echo "$word is not offered: $all"; return 1; }
    done
}

# As readline asks for it, in a shell that was started for it: with the names of a file that no word may be parted by.
an_interactive_shell_takes_them() {
    command -v script >/dev/null || skip_check "no script(1)"
    put "odd store" $'a b' x
    put "odd store" plain x
    cat >rc <<EOF
PATH=$PATH
. "$COMPLETIONS/bitcask"
PS1='> '
bind 'set enable-bracketed-paste off' 2>/dev/null
EOF
    { printf 'bitcask exp\t--version; bitcask get odd\\ store pl\t >got\n'; sleep 1; printf 'exit\n'; } |
        script -qec "bash --noprofile --rcfile rc -i" /dev/null >typescript 2>&1
    [ -s got ] || { cat -A typescript; return 1; }
    equal value x "$(cat got)"
}

check "commands and options are offered" commands_and_options_are_offered
check "names in a store are offered" names_in_a_store_are_offered
check "options of mounts are offered" options_of_mounts_are_offered
check "an interactive shell takes them" an_interactive_shell_takes_them
finish
