# shellcheck shell=bash
# cli_lib.sh - what the tests of bitcask(1) share. Sourced after lib.sh, never run.

# run STATUS COMMAND...: the command must end with this status; what it prints goes to out and err. A failure must be
# told in exactly one line that begins with the program's name; success must be silent on standard error.
run() {
    local wanted=$1 status=0
    shift
    "$@" >out 2>err || status=$?
    equal "status of $*, which said '$(cat err)'" "$wanted" "$status"
    if [ "$wanted" -eq 0 ]; then
        equal "messages of $*" "" "$(cat err)"
    else
        equal "lines of message of $*: $(cat err)" 1 "$(wc -l <err)"
        grep -q '^bitcask: ' err
    fi
}

# says TEXT: the last run's message holds it.
says() {
    grep -qF -- "$1" err || {
        echo "the message has no '$1': $(cat err)"
        return 1
    }
}

put() {
    printf '%s' "$3" | "$BITCASK" put -p "$1" "$2"
}

# contents STORE: a sum over every file of a store and its name, to see whether anything was changed.
contents() {
    (cd "$1" && find . -type f -exec sha256sum {} + | sort)
}

# data_file STORE: the root partition's log.
data_file() {
    find "$1/partitions" -name active.data -size +0 -path '*0000000000000000*'
}

# log_of STORE PATH: the data file whose header names that partition.
log_of() {
    local file
    for file in "$1"/partitions/*/*/active.data; do
        if "$BITCASK" dump "$file" | grep -qF "last known as \"$2\""; then echo "$file"; fi
    done
}

# flip FILE OFFSET: changes one byte.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059
    printf "\\x$(printf %02x $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
