#!/bin/bash
# The manual: every page is clean to mandoc -Tlint, every page that one refers to is there; each public function has a
# page, with the prototype that is in bitcask.h; and bitcask(5) is exact: examples/read_segment.py, which was written
# from it, sees in data files what bitcask dump sees, in damaged ones too, and examples/read_hint.py in hints what the
# data files have.
# shellcheck source=tests/lib.sh
. "$(cd "$(dirname "$0")" && pwd)/lib.sh"

setup
top=${abs_srcdir:-$(cd "$TESTS_DIR/.." && pwd)}
export PYTHONDONTWRITEBYTECODE=1
PATH=$(dirname "$BITCASK"):$PATH
cd "$TEST_DIR" || exit 1

pages_are_clean() {
    command -v mandoc >/dev/null || skip_check "no mandoc"
    local page bad=0
    for page in "$top"/man/*.[1-9]; do
        # mandoc looks for other pages where they are installed; pages_refer_to_pages looks here.
        mandoc -Tlint "$page" 2>/dev/null | grep -v 'referenced manual not found' && bad=1
    done
    return $bad
}

# Pages of other packages may be missing here; ours may not.
pages_refer_to_pages() {
    local page name section bad=0 count=0
    while read -r page name section; do
        count=$((count + 1))
        case $name in
        bitcask* | libbitcask*)
            [ -e "$top/man/$name.$section" ] || [ -e "$top/man/links/$name.$section" ] ||
                { echo "$page refers to $name($section), which is not there"; bad=1; }
            ;;
        esac
    done < <(cd "$top/man" && grep -oE '^\.(It )?Xr [A-Za-z0-9_.-]+ [0-9]' -- *.[1-9] | sed 's/:\.\(It \)\{0,1\}Xr / /')
    [ $count -gt 20 ] && [ $bad -eq 0 ]
}

# The prototypes of bitcask.h, and those of the pages, one a line, without blanks.
declared() {
    awk '/^BITCASK_API /{on = 1} on {text = text $0} on && /;/{print text; text = ""; on = 0}' "$top/store/bitcask.h" |
        sed 's/^BITCASK_API //; s/;.*//' | tr -d ' \t' | sort
}
documented() {
    awk '/^\.Ft /{sub(/^\.Ft /, ""); type = $0}
        /^\.Fo /{text = type $2 "("; comma = ""}
        /^\.Fa "/ && text != "" {sub(/^\.Fa "/, ""); sub(/"$/, ""); text = text comma $0; comma = ","}
        /^\.Fc/{print text ")"; text = ""}' "$top"/man/*.3 | tr -d ' \t' | sort
}

every_function_has_its_page() {
    local name bad=0
    declared >declared
    documented >documented
    [ "$(wc -l <declared)" -gt 40 ]
    diff declared documented || { echo "declared in bitcask.h (<) and documented in man/ (>) differ"; bad=1; }
    for name in $(grep -ohE '^BITCASK_API [^(]*\(' "$top/store/bitcask.h" | sed 's/.*[ *]\(bitcask_[a-z_]*\)($/\1/'); do
        [ -e "$top/man/$name.3" ] || [ -e "$top/man/links/$name.3" ] || { echo "no page $name(3)"; bad=1; }
    done
    return $bad
}

links_lead_to_pages() {
    local link page bad=0
    for link in "$top"/man/links/*.3; do
        page=$(sed -n 's,^\.so man3/,,p' "$link")
        name=$(basename "$link" .3)
        grep -q "^\.Fo $name\$" "$top/man/$page" || { echo "$link leads to $page, which is not about it"; bad=1; }
        grep -q "man/links/$name\.3" "$top/Makefile.am" || { echo "$link is not in Makefile.am"; bad=1; }
    done
    for page in "$top"/man/*.[1-9]; do
        grep -q "man/$(basename "$page")" "$top/Makefile.am" || { echo "$page is not in Makefile.am"; bad=1; }
    done
    return $bad
}

# same_records FILE: dump and the reader from the manual agree.
same_records() {
    bitcask dump "$1" 2>/dev/null | sed '1,3d; s/^ *//; s/  */\t/; s/  */\t/' |
        awk -F '\t' '{split($3, f, " +"); key = $3; sub(/^[^"]*/, "", key)
            print $1, $2, f[1], f[2], f[3], f[4], f[5], key}' | sed 's/ *$//' >dump.out
    python3 "$top/examples/read_segment.py" "$1" 2>read.err | tr '\t' ' ' >read.out
    diff dump.out read.out || { cat read.err; return 1; }
}

# A store with something of everything: names, batches, inodes, hints, deletions, odd bytes.
make_store() {
    rm -rf store
    printf 'a\n' | bitcask put store 'quo"te\'
    printf 'b\n' | bitcask put -p store $'dir/sub/\xff\xfe\x01'
    : | bitcask put store empty
    head -c 100000 /dev/zero | bitcask put store large
    for n in 1 2 3; do echo "$n" | bitcask put store dir/same; done
    bitcask del store empty
    seq 300 | "${abs_builddir:-$PWD}/examples/bulk_load" store numbers
    bitcask merge --full --quiet store
    echo after | bitcask put store dir/after
}

reader_agrees() {
    command -v python3 >/dev/null || skip_check "no python3"
    local file count=0
    make_store
    for file in store/partitions/*/*/*.data; do
        same_records "$file"
        count=$((count + $(wc -l <read.out)))
        grep -q 'stated to be on stable storage' read.err
    done
    [ $count -gt 310 ]
}

reader_agrees_on_damage() {
    command -v python3 >/dev/null || skip_check "no python3"
    local file=damaged.data n at
    RANDOM=${SEED:-$(date +%s)}
    echo "seed $RANDOM"
    make_store
    for n in 1 2 3 4 5 6; do
        cp "$(ls -S store/partitions/*/*/*.data | sed -n $((n % 3 + 2))p)" $file
        at=$((100 + RANDOM % ($(stat -c %s $file) - 110)))
        printf '\x5a\xff\x00\x5b' | dd of=$file bs=1 seek=$at conv=notrunc status=none
        same_records $file
        python3 "$top/examples/read_segment.py" $file >/dev/null 2>&1 && { echo "damage at $at not seen"; return 1; }
        truncate -s -7 $file
        same_records $file
    done
    printf X | dd of=$file bs=1 seek=20 conv=notrunc status=none
    refused "header is damaged" python3 "$top/examples/read_segment.py" $file
}

# The hint of a sealed segment has the last record of each of its keys.
hint_reader_agrees() {
    command -v python3 >/dev/null || skip_check "no python3"
    local hint data count=0 at
    make_store
    for hint in store/partitions/*/*/*.hint; do
        data=${hint%.hint}.data
        [ -e "$data" ] || continue # of what the active segment was
        python3 "$top/examples/read_segment.py" "$data" 2>read.err |
            awk -F '\t' '$8 != "\"\\x00D\"" {last[$8] = $1 " " $2 " " $4 " " $6 " " $8}
                END {for (key in last) print last[key]}' | sort >data.out
        python3 "$top/examples/read_hint.py" "$hint" 2>hint.err |
            awk -F '\t' '{print $1, $2, $3, $4, $6}' | sort >hint.out
        diff data.out hint.out
        count=$((count + $(wc -l <hint.out)))
        # Any byte of it.
        for at in 3 50 110 $(($(stat -c %s "$hint") - 5)); do
            cp "$hint" damaged.hint
            printf '\x5a' | dd of=damaged.hint bs=1 seek="$at" conv=notrunc status=none
            ! python3 "$top/examples/read_hint.py" damaged.hint >/dev/null 2>&1
        done
    done
    [ $count -gt 300 ]
}

check "all pages are clean to mandoc -Tlint" pages_are_clean
check "all of our pages that a page refers to are there" pages_refer_to_pages
check "every public function has a page, with its prototype" every_function_has_its_page
check "the links lead to the pages of their functions, and all are installed" links_lead_to_pages
check "a reader written from bitcask(5) agrees with dump" reader_agrees
check "on damaged files too" reader_agrees_on_damage
check "and so does one of hints" hint_reader_agrees
finish
