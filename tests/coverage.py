#!/usr/bin/env python3
"""Sums up gcovr's JSON report: coverage.py REPORT TOP UNTAKEN MINIMUM

Prints the branches of the directories of the store, and of all; writes those that were not taken to UNTAKEN, a line of
source each, with its file, function, and how many. Fails if less than MINIMUM percent were taken.
"""
import json
import os
import sys


def main(report_path, top, untaken_path, minimum):
    with open(report_path) as file:
        report = json.load(file)
    sums = {}
    with open(untaken_path, "w") as untaken:
        for source in report["files"]:
            name = source["file"]
            with open(os.path.join(top, name)) as file:
                text = file.read().splitlines()
            starts = sorted((f["lineno"], f["name"]) for f in source["functions"])
            for line in source["lines"]:
                branches = line["branches"]
                missed = sum(1 for branch in branches if branch["count"] == 0)
                total = sums.setdefault(os.path.dirname(name), [0, 0])
                total[0] += len(branches) - missed
                total[1] += len(branches)
                if missed == 0:
                    continue
                number = line["line_number"]
                function = [f for start, f in starts if start <= number][-1:] or ["?"]
                ran = "" if line["count"] > 0 else " (line never ran)"
                untaken.write(f"{name}:{number}: {function[0]}: {missed} of {len(branches)}{ran}: "
                              f"{text[number - 1].strip()}\n")

    print(f"\n{'directory':<20} {'taken':>8} {'branches':>8} {'percent':>8}")
    taken, branches = map(sum, zip(*sums.values()))
    for name, (some, all_of) in sorted(sums.items()) + [("in all", (taken, branches))]:
        print(f"{name:<20} {some:>8} {all_of:>8} {100 * some / max(all_of, 1):>7.1f}%")
    return 0 if 100 * taken >= float(minimum) * branches else 1


sys.exit(main(*sys.argv[1:]))
