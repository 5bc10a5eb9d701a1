#!/usr/bin/env bash
# summary.sh LOG... - the table at the end of `make check-long`: what the tests tried, added up over all of them.
#
# A test says what it did in lines of one form, anywhere in its log:
#
#     WORD what: NUMBER, what else: NUMBER, ..., violations: NUMBER
#
# Below stands which of these there must be, and the least number of each. Exit status 1, and a line that says why, where
# one is missing, is too small, or has violations. SUMMARY_ROWS: a file with other rows, for the test of this script.
set -u
export LC_ALL=C

[ $# -gt 0 ] || { echo "${0##*/}: no logs given" >&2; exit 2; }

# name | word | what | least
rows='
crash states tried, distinct            |CRASH  |states               |20000
  of them in a recovery                 |CRASH  |of recovery          |2000
fault points: failing calls             |FAULT  |points               |5000
fault points: failing allocations       |FAULT  |allocations          |500
  of the daemon, with four clients      |FAULT  |allocations of the daemon|500
bytes flipped                           |ROT    |flips                |100000
truncations                             |ROT    |truncations          |50000
mutants killed                          |MUTANTS|killed               |40
fuzz runs: checkpoint                   |FUZZ   |checkpoint           |1000
fuzz runs: command                      |FUZZ   |command              |100000
fuzz runs: hint                         |FUZZ   |hint                 |1000
fuzz runs: inode                        |FUZZ   |inode                |100000
fuzz runs: intent                       |FUZZ   |intent               |100000
fuzz runs: operations                   |FUZZ   |operations           |100
fuzz runs: options                      |FUZZ   |options              |10000
fuzz runs: path                         |FUZZ   |path                 |100000
fuzz runs: segment                      |FUZZ   |segment              |1000
fuzz runs: store                        |FUZZ   |store                |100
fuzz runs: xattrs                       |FUZZ   |xattrs               |100000
kill -9 under four writers and merges   |ROUNDS |kill -9              |200
kill -9 during a copy                   |ROUNDS |kill -9 of a copy    |20
disks pulled                            |ROUNDS |disk pulled          |30
disks whose name goes                   |ROUNDS |detached             |30
disks that refuse writes                |ROUNDS |disk without writes  |10
SIGTERM under load                      |ROUNDS |SIGTERM              |50
cycles of a full disk                   |CYCLES |full disk            |100
jumps of the clock                      |JUMPS  |of the clock         |1000
racing opens                            |OPENS  |raced                |1000
accesses by owner, others, root         |MATRIX |cells                |900
calls of 8 clients beside merges        |LOAD   |calls                |100000
'
[ -z "${SUMMARY_ROWS:-}" ] || rows=$(cat "$SUMMARY_ROWS")

awk -v rows="$rows" '
function trim(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }

/^[ \t]*[A-Z]+ [^:]+: [0-9]+.*, violations: [0-9]+/ {
    line = trim($0)
    word = substr(line, 1, index(line, " ") - 1)
    count = split(substr(line, length(word) + 2), pieces, /, /)
    bad = 0
    for (i = 1; i <= count; i++)
        if (pieces[i] ~ /^violations: [0-9]+/) bad = substr(pieces[i], 13) + 0
    for (i = 1; i <= count; i++) {
        if (!match(pieces[i], /: [0-9]+/)) continue
        what = word " " substr(pieces[i], 1, RSTART - 1)
        if (what == word " violations") continue
        sum[what] += substr(pieces[i], RSTART + 2, RLENGTH - 2)
        violations[what] += bad
    }
    if (bad > 0) complain(FILENAME ": " line)
}

function complain(text) { complaints[++failures] = text }

END {
    printf "%-40s %12s %12s\n", "tried", "number", "violations"
    count = split(rows, lines, "\n")
    for (i = 1; i <= count; i++) {
        if (split(lines[i], field, "|") != 4) continue
        name = field[1]
        sub(/[ \t]+$/, "", name)
        what = trim(field[2]) " " trim(field[3])
        least = field[4] + 0
        if (!(what in sum)) {
            printf "%-40s %12s %12s\n", name, "-", "-"
            complain(trim(name) ": no log has a line \"" what ": NUMBER, ..., violations: NUMBER\"")
            continue
        }
        printf "%-40s %12d %12d\n", name, sum[what], violations[what]
        if (sum[what] < least) complain(trim(name) ": " sum[what] ", and at least " least " were to be tried")
    }
    for (i = 1; i <= failures; i++) print "check-long: " complaints[i]
    exit failures > 0
}' "$@"
