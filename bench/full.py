#!/usr/bin/env python3
"""pleach beside its peers on the source of Linux; writes docs/benchmarks.md, its charts, and the figures as JSON.

    ./dev bench --full [--source DIR] [--files N] [--rounds N] [--only FILESYSTEM] [--json FILE] [--into DIR]

Needs root, for fresh loop images with ext4, xfs and btrfs, and some 20 GB below $TMPDIR. The source is the package
linux-source-6.1, or any directory. All take their turns on one file system (A B A B, the order turned each round),
each with all of its syncs, and each is looked at afterwards: what was changed must be there, and nothing be missing.
"""

import argparse
import glob
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

import charts
import peers
from run import Image, timed

CHANGES = (1, 10, 100, 1000)
SIZES = (1000, 8000)
WORKS = {"first": "first version", "nothing": "nothing changed", "ten": "10 files changed"}


# ---- the source ----------------------------------------------------------------------------------


def find_source(args, work):
    if args.source:
        return os.path.abspath(args.source)
    archives = glob.glob("/usr/src/linux-source-*.tar.xz")
    if not archives:
        raise SystemExit("bench: there is no /usr/src/linux-source-*.tar.xz: install linux-source, or say --source DIR")
    into = os.path.join(work, "source")
    os.mkdir(into)
    subprocess.run(["tar", "-xf", sorted(archives)[-1], "-C", into, "--strip-components=1"], check=True)
    return into


def list_files(source):
    found = []
    for directory, below, names in os.walk(source):
        below.sort()
        found += [os.path.relpath(os.path.join(directory, name), source) for name in sorted(names)]
    return found


def copy_part(source, names, into):
    """The files `names` of it, with the metadata of them and of their directories."""
    listing = "\0".join(names).encode(errors="surrogateescape")
    os.mkdir(into)
    subprocess.run(["rsync", "-a", "--from0", "--files-from=-", source + "/", into + "/"], check=True, input=listing)


def change(source, names, rng):
    """As an editor does: another file of this name, with a line more."""
    for name in names:
        path = os.path.join(source, name)
        with open(path, "rb") as file:
            content = file.read()
        with open(path + "~", "wb") as file:
            file.write(content + f"/* {rng.random()} */\n".encode())
        os.rename(path + "~", path)


# ---- measuring -----------------------------------------------------------------------------------


class Field:
    """All contenders that can be had, on one image, with one source."""

    def __init__(self, where, source, file_system, chosen=peers.ALL):
        self.source, self.rng = source, random.Random(7)
        self.files = [name for name in list_files(source) if not os.path.islink(os.path.join(source, name))]
        self.all = [kind(where, source) for kind in chosen if kind.can(file_system)]
        self.turn = 0

    def round(self, changes):
        """{name: seconds} of a publish by each, with so many files changed."""
        names = self.rng.sample(self.files, min(changes, len(self.files)))
        change(self.source, names, self.rng)
        subprocess.run(["sync", "-f", self.source], check=True)
        seconds = {}
        self.turn += 1
        for i in range(len(self.all)):
            one = self.all[(i + self.turn) % len(self.all)]
            seconds[one.name] = timed(one.publish)
            self.look_at(one, names)
            one.tidy()
            subprocess.run(["sync", "-f", self.source], check=True)
        return seconds

    def look_at(self, one, names):
        if not one.makes_tree:
            return
        for name in names:
            with open(os.path.join(self.source, name), "rb") as ours:
                with open(os.path.join(one.public(), name), "rb") as theirs:
                    if ours.read() != theirs.read():
                        raise SystemExit(f"bench: {one.name} has not published '{name}'")

    def check(self):
        """Each has all that the source has."""
        names = set(list_files(self.source))
        for one in self.all:
            there = set(list_files(one.public() + "/")) if one.makes_tree else names
            there.discard(".git")
            if there != names:
                raise SystemExit(f"bench: {one.name} has not published all: {sorted(there ^ names)[:3]}")

    def rounds(self, changes, n):
        return collect([self.round(changes) for _ in range(n)])


def collect(rounds):
    """{name: {"seconds": median, "ratio": median to pleach in the same round, "low", "high"}}."""
    result = {}
    for name in rounds[0]:
        ratios = sorted(r[name] / r["pleach"] for r in rounds)
        result[name] = {"seconds": statistics.median(r[name] for r in rounds), "ratio": statistics.median(ratios),
                        "low": ratios[0], "high": ratios[-1]}
    return result


def measure_works(args, source, names, file_system, work):
    image = Image(work, file_system, args.megabytes, kind=file_system)
    try:
        own = os.path.join(image.path, "source")
        copy_part(source, names, own)
        field = Field(image.path, own, file_system)
        works = {"first": field.rounds(0, 1)}
        field.check()
        field.round(0)  # caches of all are warm
        works["nothing"] = field.rounds(0, args.rounds)
        works["ten"] = field.rounds(10, args.rounds)
        by_change = {}
        if file_system == "ext4":
            by_change = {n: field.rounds(n, max(1, args.rounds // 2)) for n in CHANGES if n <= len(names)}
        field.check()
        return works, by_change
    finally:
        image.close()


def measure_size(args, source, names, work):
    image = Image(work, f"size{len(names)}", args.megabytes)
    try:
        own = os.path.join(image.path, "source")
        copy_part(source, names, own)
        field = Field(image.path, own, "ext4")
        field.round(0)
        field.round(10)
        return field.rounds(10, args.rounds)
    finally:
        image.close()


# ---- telling -------------------------------------------------------------------------------------


def table(work):
    lines = ["| | time | of pleach's | least to most |", "|---|---|---|---|"]
    for name, figure in sorted(work.items(), key=lambda item: item[1]["ratio"]):
        note = " (a backup: no tree to read)" if any(c.name == name and not c.makes_tree for c in peers.ALL) else ""
        lines.append(f"| {name}{note} | {figure['seconds']:.3f} s | {figure['ratio']:.2f}× | "
                     f"{figure['low']:.2f} to {figure['high']:.2f} |")
    return "\n".join(lines)


def series_of(by):
    series = {}
    for x in sorted(by):
        for name, figure in by[x].items():
            series.setdefault(name, []).append((x, figure["seconds"] * 1000))
    return series


def write_report(into, figures):
    os.makedirs(os.path.join(into, "benchmarks"), exist_ok=True)
    for key, x_label, title in (("by_size", "files in the tree", "10 files changed, by the size of the tree"),
                                ("by_change", "files changed", "By what has changed, the whole tree")):
        if figures[key]:
            with open(os.path.join(into, "benchmarks", key + ".svg"), "w", encoding="utf-8") as file:
                file.write(charts.chart(title, x_label, "milliseconds", series_of(figures[key])))
    lines = ["# Benchmarks", "",
             f"pleach beside others who publish a directory: {figures['files']} files, {figures['mebibytes']} MiB of the "
             "source of Linux, each on a fresh loop image, with all that makes it durable. Written by `./dev bench --full`; "
             "times are those of one machine at one moment, ratios are medians over the rounds of that run. How each is "
             "used stands in `bench/peers.py`; versions: " + ", ".join(figures["versions"]) + ".", ""]
    for file_system, works in figures["works"].items():
        lines += [f"## On {file_system}", ""]
        for key, what in WORKS.items():
            lines += [f"### {what[0].upper() + what[1:]}", "", table(works[key]), ""]
    lines += ["## How the cost grows", "", "Both axes are logarithmic.", ""]
    for key, text in (("by_size", "By the size of the tree, with 10 files changed"),
                      ("by_change", "By the number of files changed, in the whole tree")):
        if figures[key]:
            lines += [f"![{text}](benchmarks/{key}.svg)", ""]
    with open(os.path.join(into, "benchmarks.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip("\n") + "\n")


def versions():
    found = []
    for program in sorted({c.program for c in peers.ALL if c.program and shutil.which(c.program)}):
        text = subprocess.run([program, "version" if program == "restic" else "--version"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        words = [word for word in text.replace(",", " ").replace("'", " ").split() if word[:1].isdigit() or
                 word[:1] == "v" and word[1:2].isdigit()]
        found.append(f"{program} {words[0].lstrip('v') if words else '?'}")
    return found


# ---- the program ---------------------------------------------------------------------------------


def measure(args, work):
    source = find_source(args, work)
    names = list_files(source)[:args.files]
    size = sum(os.lstat(os.path.join(source, name)).st_size for name in names)
    figures = {"files": len(names), "mebibytes": size >> 20, "works": {}, "by_size": {}, "by_change": {},
               "versions": versions()}
    missing = [c.program for c in peers.ALL if c.program and not shutil.which(c.program)]
    if missing:
        print("not installed, and left out:", ", ".join(sorted(set(missing))))
    for file_system in args.only or ("ext4", "xfs", "btrfs"):
        works, by_change = measure_works(args, source, names, file_system, work)
        figures["works"][file_system] = works
        figures["by_change"] |= by_change
        for key, what in WORKS.items():
            print(f"\n{file_system}, {what}\n{table(works[key])}", flush=True)
    for n in [n for n in SIZES if n < len(names)]:
        figures["by_size"][n] = measure_size(args, source, names[:n], work)
    if "ext4" in figures["works"]:
        figures["by_size"][len(names)] = figures["works"]["ext4"]["ten"]
    return figures


def main():
    parser = argparse.ArgumentParser(prog="bench --full", description=__doc__.splitlines()[0])
    parser.add_argument("--pleach", default=os.environ.get("PLEACH", "build/pleach"))
    parser.add_argument("--source")
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=40_000, help="of an image; it is sparse")
    parser.add_argument("--only", action="append", choices=["ext4", "xfs", "btrfs"])
    parser.add_argument("--json")
    parser.add_argument("--into", default=os.path.join(os.path.dirname(__file__), "..", "docs"))
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: --full needs root, for its loop images")
    peers.Pleach.pleach = os.path.abspath(args.pleach)
    work = tempfile.mkdtemp(prefix="pleach-bench-")
    try:
        figures = measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    write_report(args.into, figures)


if __name__ == "__main__":
    main()
