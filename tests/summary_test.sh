#!/usr/bin/env bash
# summary_test.sh - the table of summary.sh, made of logs written for it: it adds up, and it fails where it should; and
# the mutants, whether their lines are still in the source.

# Functions are called by name, through check.
# shellcheck disable=SC2317,SC2119 source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/bitcaskfs-test.XXXXXX") || exit 1
trap 'rm -rf "$TEST_DIR"' EXIT

logs() {
    cat >"$TEST_DIR/rows" <<'EOF'
crash states     |CRASH |states        |100
  of a recovery  |CRASH |of recovery   |10
full disks       |CYCLES|full disk     |3
killed           |ROUNDS|kill -9       |2
EOF
    cat >"$TEST_DIR/a.log" <<'EOF'
CRASH merges: states: 77, of recovery: 77
CRASH states: 60, of recovery: 4, violations: 0
  Test: something ...passed
EOF
    cat >"$TEST_DIR/b.log" <<'EOF'
    CRASH states: 50, of recovery: 6, violations: 0 
CYCLES full disk: 3, acknowledged: 12, refused: 0, violations: 0 (and more)
ROUNDS kill -9: 2, promises: 5, violations: 0
EOF
}

table() {
    SUMMARY_ROWS=$TEST_DIR/rows bash "$TESTS_DIR/summary.sh" "$TEST_DIR"/*.log
}

adds_up() {
    logs
    table >"$TEST_DIR/out"
    cat "$TEST_DIR/out"
    equal "the table" "tried number violations/crash states 110 0/of a recovery 10 0/full disks 3 0/killed 2 0" \
        "$(sed 's/^ *//; s/  */ /g' "$TEST_DIR/out" | paste -sd/)"
}

# fails_with TEXT: the table does, and says so.
fails_with() {
    if table >"$TEST_DIR/out"; then
        echo "the table is content:"
        cat "$TEST_DIR/out"
        return 1
    fi
    cat "$TEST_DIR/out"
    grep -qF -- "$1" "$TEST_DIR/out"
}

too_few() {
    logs
    sed -i 's/states: 50/states: 39/' "$TEST_DIR/b.log"
    fails_with 'check-long: crash states: 99, and at least 100'
}

line_missing() {
    logs
    sed -i '/kill -9/d' "$TEST_DIR/b.log"
    fails_with 'check-long: killed: no log has a line "ROUNDS kill -9'
}

# A line without the end that says violations is none: the test was cut off, or never looked.
line_without_end() {
    logs
    sed -i 's/, violations: 0 (and more)//' "$TEST_DIR/b.log"
    fails_with 'check-long: full disks: no log has a line'
}

violation() {
    logs
    sed -i 's/promises: 5, violations: 0/promises: 5, violations: 3/' "$TEST_DIR/b.log"
    fails_with 'b.log: ROUNDS kill -9: 2, promises: 5, violations: 3'
    grep -q '^killed  *2  *3$' "$TEST_DIR/out"
}

violation_of_what_no_row_has() {
    logs
    echo 'OTHER things: 5, violations: 1' >>"$TEST_DIR/a.log"
    fails_with 'a.log: OTHER things: 5, violations: 1'
}

nothing() {
    : >"$TEST_DIR/empty"
    if SUMMARY_ROWS=$TEST_DIR/rows bash "$TESTS_DIR/summary.sh" "$TEST_DIR/empty" >"$TEST_DIR/out"; then return 1; fi
    equal "complaints" 4 "$(grep -c '^check-long: ' "$TEST_DIR/out")"
}

# Every row of the real table is that of a line which a test prints, word for word.
rows_have_tests() {
    local word what name
    sed -n "/^rows='/,/^'/p" "$TESTS_DIR/summary.sh" | awk -F'|' 'NF == 4' >"$TEST_DIR/real"
    [ "$(wc -l <"$TEST_DIR/real")" -gt 20 ]
    while IFS='|' read -r name word what _; do
        word=${word// /}
        what=${what%"${what##*[! ]}"}
        if [ "$word" = FUZZ ]; then
            [ -e "$TESTS_DIR/fuzz/fuzz_$what.c" ] || { echo "$name: no fuzz_$what.c"; return 1; }
            continue
        fi
        grep -rqE --include='*.c' --include='*.sh' --exclude='summary*' "[\"'(]?$word .*$what: |$word $what: " \
            "$TESTS_DIR" || { echo "$name: nothing prints $word ... $what:"; return 1; }
    done <"$TEST_DIR/real"
    for what in "$TESTS_DIR"/fuzz/fuzz_*.c; do
        what=${what##*/fuzz_}
        grep -q "|FUZZ *|${what%.c} " "$TEST_DIR/real" || { echo "no row for $what"; return 1; }
    done
}

mutants_have_lines() {
    bash "$TESTS_DIR/mutants/mutants.sh" --lines
}

check "each mutant has its line in the source" mutants_have_lines
check "numbers of several logs are added up" adds_up
check "a number that is too small fails" too_few
check "a missing line fails" line_missing
check "a line that does not say violations is missing" line_without_end
check "a violation fails, and is shown" violation
check "so does one that no row is about" violation_of_what_no_row_has
check "no lines at all fail for each row" nothing
check "each row is printed by a test, each fuzz target has one" rows_have_tests
finish
