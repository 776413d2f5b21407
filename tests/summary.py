#!/usr/bin/env python3
"""Sums the cases of one meson test run: summary.py BUILD_DIR.

Reads meson-logs/testlog.junit.xml (the cases of each test) and testlog.json (how each program
ended). A program that crashed, timed out or ended badly counts as a failed case even where all the
cases that it printed are good. Prints failed and skipped cases, and last `N passed, N failed,
N skipped`; the exit status is 1 if any case failed or if none passed.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as ET

GOOD = {"OK", "SKIP", "EXPECTEDFAIL"}


def read_results(path):
    """Yields (name, result, output) of each meson test."""
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.strip():
                record = json.loads(line)
                name = record["name"].rsplit(" / ", 1)[-1]
                yield name, record["result"], f"{record.get('stdout')}\n{record.get('stderr')}"


def read_suites(path):
    """Returns the junit suites by name. What a test printed may hold characters XML forbids."""
    with open(path, "rb") as xml:
        text = xml.read().decode("utf-8", "replace")
    text = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)
    return {suite.get("name"): suite for suite in ET.fromstring(text).iter("testsuite")}


def case_name(case):
    """meson numbers the cases and repeats directives; only the words are wanted."""
    name = re.sub(r"^\d+:?\s*(-\s*)?", "", case.get("name", ""))
    name = name.replace("%23", "#")
    return re.sub(r"\s+(OK|SKIP|FAIL|ERROR|UNEXPECTEDPASS|EXPECTEDFAIL).*$", "", name)


def sum_cases(results, suites):
    """Returns the number passed, and the lists of failed and skipped cases as lines."""
    passed, failed, skipped = 0, [], []
    for name, result, output in results:
        suite = next((s for key, s in suites.items() if key.split(".", 1)[-1] == name), None)
        bad_before = len(failed)
        cases = list(suite.iter("testcase")) if suite is not None else []
        for case in cases:
            label = f"{name}: {case_name(case)}"
            if case.find("skipped") is not None:
                reason = case.findtext("system-out") or "no reason given"
                skipped.append(f"{label} ({reason.strip()})")
            elif case.find("failure") is not None or case.find("error") is not None:
                failed.append(label)
            else:
                passed += 1
        if result not in GOOD and len(failed) == bad_before:
            failed.append(f"{name}: the program ended with {result}")
        elif result in ("TIMEOUT", "INTERRUPT"):
            failed.append(f"{name}: {result}")
        elif not cases and result == "SKIP":
            reason = re.search(r"#\s*skip\w*\s*(.*)", output, re.IGNORECASE)
            skipped.append(f"{name} ({reason.group(1) if reason else 'no reason given'})")
        elif not cases and result in GOOD:
            passed += 1
    return passed, failed, skipped


def main(build_dir):
    logs = os.path.join(build_dir, "meson-logs")
    try:
        results = list(read_results(os.path.join(logs, "testlog.json")))
        suites = read_suites(os.path.join(logs, "testlog.junit.xml"))
    except (OSError, ValueError, ET.ParseError) as error:
        print(f"no results can be read: {error}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    passed, failed, skipped = sum_cases(results, suites)
    for title, lines in (("skipped", skipped), ("FAILED", failed)):
        for line in lines:
            print(f"{title}: {line}")
    if failed:
        print(f"full log: {os.path.join(logs, 'testlog.txt')}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or not results or passed == 0 else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: summary.py BUILD_DIR")
    sys.exit(main(sys.argv[1]))
