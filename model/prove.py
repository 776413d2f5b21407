#!/usr/bin/env python3
"""Runs the models: ./dev prove model [--only MODEL | MODEL [NAME[=VALUE]...]].

What is run is what README.md says: each row of its two tables is one run of spin. A row of "What holds" must come
out without an error, a row of "Controls" must break the promise that it names. Beside that the models are compared
with the project: what they cite must be there.

    (nothing)          every row, as a table; a few minutes on an idle machine
    --only MODEL       the rows of one model
    MODEL [NAME...]    one run with these definitions; where it fails, the interleaving is printed
    --test             all but the rows marked `long`, as TAP
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
AT_ONCE = min(2, os.cpu_count() or 1)
MEMORY_MB = 1500
DEPTH = 2000000
LIMIT_S = 1500  # for one run, on a machine that is busy; the longest takes a minute on an idle one
GOOD = "nothing"


class Row:
    """One run: a model, what is defined for it, and what is expected."""

    def __init__(self, model, names, breaks, title, is_long, tests):
        self.model, self.names, self.breaks = model, names, breaks
        self.title, self.is_long, self.tests = title, is_long, tests

    def __str__(self):
        return " ".join([self.model, *self.names])


def read_rows():
    """Returns the rows of the tables of README.md, in order."""
    rows, section = [], ""
    for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if section not in ("What holds", "Controls") or not re.fullmatch(r"`\w+`", cells[0]):
            continue
        names = " ".join(re.findall(r"`([^`]*)`", cells[1])).split()
        is_long = "long" in names
        names = [name for name in names if name != "long"]
        breaks = re.match(r"\w+", cells[3]).group() if section == "Controls" else GOOD
        tests = re.findall(r"`(\w+)`", cells[4]) if section == "Controls" else []
        rows.append(Row(cells[0].strip("`"), names, breaks, cells[2], is_long, tests))
    return rows


# ---- one run ----


def build(directory, model, names, optimise):
    """Makes directory/pan. Returns what went wrong, or None."""
    shutil.copy(HERE / f"{model}.pml", directory)
    defined = [f"-D{name}" for name in names]
    compiler = os.environ.get("CC", "cc").split()
    for command in (["spin", "-a", *defined, f"{model}.pml"],
                    [*compiler, "-O1" if optimise else "-O0", "-w", "-DSAFETY", "-DVECTORSZ=2048",
                     f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"]):
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "syntax error" in done.stdout + done.stderr:
            return (done.stdout + done.stderr).strip() or f"{command[0]} failed"
    return None


def verdict_of(text):
    """What pan's output says: (what broke or "nothing", number of states)."""
    states = re.search(r"(\d+) states, stored", text)
    states = int(states.group(1)) if states else 0
    if re.search(r"pan:1: invalid end state", text):
        return "deadlock", states
    broken = re.search(r"pan:1: assertion violated (.*)", text)
    if broken:
        promise = re.search(r"\b([GW]\d|VACUOUS)", broken.group(1))
        return (promise.group(1) if promise else broken.group(1)), states
    if "errors: 0" in text and "search not completed" not in text and "too small" not in text:
        return GOOD, states
    return "incomplete", states


def run(row, show=False):
    """Returns (what broke, number of states, what to tell)."""
    with tempfile.TemporaryDirectory(prefix="model.") as directory:
        trouble = build(directory, row.model, row.names, row.breaks == GOOD)
        if trouble:
            return "unbuilt", 0, trouble
        try:
            done = subprocess.run(["./pan", f"-m{DEPTH}", "-w22"], cwd=directory, text=True,
                                  capture_output=True, timeout=LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return "incomplete", 0, f"not done after {LIMIT_S} s"
        broken, states = verdict_of(done.stdout)
        told = done.stdout
        if show and broken != GOOD:
            told = subprocess.run(["spin", "-t", "-p", "-g", *[f"-D{name}" for name in row.names],
                                   f"{row.model}.pml"], cwd=directory, text=True,
                                  capture_output=True, check=False).stdout
        return broken, states, told


# ---- the models and the project ----


def words_in(directories, pattern, suffixes):
    found = set()
    for directory in directories:
        for path in (ROOT / directory).rglob("*"):
            if path.suffix in suffixes:
                found |= set(re.findall(pattern, path.read_text(encoding="utf-8",
                                                                errors="replace")))
    return found


def strays(rows):
    """Yields what the models or their table cite and nobody has."""
    functions = words_in(["src"], r"\b\w+(?=\()", {".c", ".h"})
    tests = words_in(["tests"], r"\b\w+(?=\()", {".c", ".py"}) | \
        words_in(["tests/cli"], r'(?<=@test ")\w+', {".bats"})
    used = {}
    for row in rows:
        used.setdefault(row.model, set()).update(name.split("=")[0] for name in row.names)
        for test in row.tests:
            if test not in tests and f"test_{test}" not in tests:
                yield f"{row}: there is no test {test}"
    cited = re.compile(r"model/(\w+)\.pml(?:, controls? ((?:[A-Z_0-9]+(?:,[ *\n]+)?)+))?")
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        for model, names in cited.findall(path.read_text(encoding="utf-8")):
            for name in re.findall(r"\w+", names):
                if name not in used.get(model, ()):
                    yield f"{path.relative_to(ROOT)}: {model}.pml has no control {name}"
            if not (HERE / f"{model}.pml").exists():
                yield f"{path.relative_to(ROOT)}: there is no {model}.pml"
    for path in sorted(HERE.glob("*.pml")):
        text = path.read_text(encoding="utf-8")
        for function in set(re.findall(r"\bpl_\w+(?=\(\))|\b\w+(?=\(\) *in src)", text)):
            if function not in functions:
                yield f"{path.name}: there is no function {function}() in src"
        for source in set(re.findall(r"\bsrc/\w+/\w+\.[ch]\b", text)):
            if not (ROOT / source).exists():
                yield f"{path.name}: there is no {source}"
        asked = set(re.findall(r"#ifn?def +(\w+)", text)) | \
            set(re.findall(r"defined\((\w+)\)", text))
        names = used.get(path.stem, set())
        for name in sorted(names - asked):
            yield f"{path.name}: nothing asks for {name}, which a row defines"
        for name in sorted(asked - names - set(re.findall(r"#define +(\w+)", text))):
            yield f"{path.name}: no row defines {name}"


# ---- telling ----


def shorten(told):
    """Of what pan says, what went wrong; of a compiler's, the end."""
    lines = [line for line in told.splitlines() if line.startswith("pan:")]
    return "\n".join(lines or told.splitlines()[-4:])


def run_all(rows, tell):
    """Runs them, a few at a time, the expensive ones first; tell(row, result) in the order of the rows."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        order = sorted(rows, key=lambda row: row.breaks != GOOD)
        results = {id(row): pool.submit(run, row) for row in order}
        for row in rows:
            tell(row, results[id(row)].result())


def as_table(rows, bad):
    for line in bad:
        print(line)

    def tell(row, result):
        broken, states, told = result
        is_good = broken == row.breaks
        print(f"{'ok' if is_good else 'WRONG':5}  {broken:8} {states:>9}  {row!s:40}  {row.title}",
              flush=True)
        if not is_good:
            bad.append(row)
            print(f"       expected: {row.breaks}\n{shorten(told)}")

    run_all(rows, tell)
    print(f"{len(rows)} runs, {len(bad)} not as they must be")
    return 1 if bad or not rows else 0


def as_tap(rows):
    if not shutil.which("spin"):
        print("1..0 # SKIP spin was not found")
        return 0
    bad = list(strays(rows))
    rows = [row for row in rows if not row.is_long]
    print(f"1..{len(rows) + 1}")
    print(f"{'not ' if bad else ''}ok 1 - what the models cite is there")
    for line in bad:
        print(f"# {line}")
    count = 1

    def tell(row, result):
        nonlocal count
        broken, states, told = result
        count += 1
        is_good = broken == row.breaks
        law = "holds" if row.breaks == GOOD else f"breaks {row.breaks}"
        print(f"{'' if is_good else 'not '}ok {count} - {row} {law} ({states} states)", flush=True)
        if not is_good:
            bad.append(row)
            for line in f"found: {broken}\n{shorten(told)}".splitlines():
                print(f"# {line}")
            print(f"# alone: ./dev prove model {row}")

    run_all(rows, tell)
    return 1 if bad else 0


def one(model, names):
    if not (HERE / f"{model}.pml").exists():
        sys.exit(f"no model '{model}': " + " ".join(sorted(p.stem for p in HERE.glob("*.pml"))))
    broken, states, told = run(Row(model, names, GOOD, "", False, []), show=True)
    print(told)
    print(f"breaks: {broken}; {states} states")
    return 0 if broken == GOOD else 1


def main(words):
    rows = read_rows()
    if words and words[0] == "--test":
        return as_tap(rows)
    if not shutil.which("spin"):
        sys.exit("spin was not found: ./dev deps model")
    if len(words) == 2 and words[0] == "--only":
        return as_table([row for row in rows if row.model == words[1]], [])
    if words and words[0].startswith("-"):
        sys.exit(__doc__)
    return one(words[0], [word.removeprefix("-D") for word in words[1:]]) if words else \
        as_table(rows, list(strays(rows)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
