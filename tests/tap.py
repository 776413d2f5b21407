#!/usr/bin/env python3
"""Runs a test program that prints TAP: tap.py COMMAND [ARGUMENT...].

Passes its TAP on, made strict where cmocka and bats are not (a skipped case is `ok`, a `#` in a
name is no directive), and repeats on standard error what belongs to failed cases, since meson's
logs keep only that. Ends as the program ended.
"""

import os
import re
import signal
import subprocess
import sys

CASE = re.compile(r"(not )?ok\b *(\d*) *(.*?)(\s# *(?:skip|todo)\b.*)?$", re.IGNORECASE)


def strict(line, reason):
    """Returns the line as strict TAP, and whether it begins a failed case (None: begins none).
    cmocka puts the name of a skipped case where its reason belongs, and knows no reasons: a test
    prints its own before, as `# skip: REASON`."""
    match = CASE.match(line)
    if not match:
        return line, None
    failed, number, name, directive = match.groups()
    if name.lower().startswith(("# skip", "# todo")):
        name, directive = "- " + name[len("# skip "):], f" {name[:len('# skip')]} {reason}"
    directive = directive or ""
    is_failed = bool(failed) and not directive
    if re.search(r"# *skip", directive, re.IGNORECASE):
        failed = None
    name = name.replace("#", "%23")
    return f"{'not ' if failed else ''}ok {number} {name}{directive}".rstrip(), is_failed


def main(command):
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8",
                          errors="backslashreplace") as program:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: program.send_signal(number))
        in_failed = has_plan = False
        reason = "no reason given"
        for line in program.stdout:
            line = line.rstrip("\n")
            told = re.match(r"#? ?skip: *(.*)", line)
            if told:
                reason = told.group(1)
                continue
            line, begins_failed = strict(line, reason)
            if begins_failed is not None:
                in_failed = begins_failed
                reason = "no reason given"
            print(line, flush=True)
            has_plan |= line.startswith("1..")
            # Besides failures: what is no TAP, and the reason why a whole program is skipped.
            is_plain = begins_failed is None and re.match(r"1\.\.[1-9]|1\.\.0$|#|TAP ", line)
            if in_failed or begins_failed is None and not is_plain:
                print(line, file=sys.stderr, flush=True)
    if program.returncode < 0:
        name = signal.Signals(-program.returncode).name
        print(f"{os.path.basename(command[0])} was ended by {name}", file=sys.stderr)
        return 128 - program.returncode
    if program.returncode == 0 and not has_plan:
        print("the program printed no plan, so nobody knows whether it ran", file=sys.stderr)
        return 1
    return program.returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: tap.py COMMAND [ARGUMENT...]")
    sys.exit(main(sys.argv[1:]))
