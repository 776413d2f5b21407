#!/usr/bin/env python3
"""What pleach costs beside its peers, as ratios within one run.

    ./dev bench            20,000 small files, 80,000 for transactions, 300,000 tiny ones for memory
    ./dev bench --rounds N --files N --transaction-files N --no-transactions --no-dedup --no-memory
    ./dev bench --json FILE; ./dev bench --against FILE     what has changed since, as ratios of ratios

As root on a fresh loop image with ext4 and its default options, so that durability costs what it
costs; else below $TMPDIR, and it says so. Each figure is the median of the ratios of rounds in which
ours and theirs ran one after the other (A B A B), each with the closing sync. Absolute times are those
of this machine at this moment and are printed only to judge the ratios by.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import dedup
import transactions

MIB = 1024 * 1024


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)


def timed(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


class Row:
    """One figure: pairs of (ours, theirs), and what it is held against."""

    shown = {}  # what: its ratio, of all that were shown

    def __init__(self, what, target):
        self.what, self.target = what, target
        self.pairs = []

    def add(self, ours, theirs):
        self.pairs.append((ours, theirs))

    def show(self):
        ratios = sorted(a / b for a, b in self.pairs)
        middle = statistics.median(ratios)
        ours = statistics.median(a for a, _ in self.pairs)
        theirs = statistics.median(b for _, b in self.pairs)
        verdict = "" if middle <= self.target else "  MISSED"
        print(f"{self.what:<52} {middle:5.3f}x  [{ratios[0]:.2f}-{ratios[-1]:.2f}]  target "
              f"{self.target:.3g}x  ({ours * 1000:.1f} / {theirs * 1000:.1f} ms){verdict}")
        self.shown[self.what] = middle
        return middle <= self.target


# ---- where ---------------------------------------------------------------------------------------


class Image:
    """A fresh file system in a sparse file, loop-mounted; never written to unless it is really mounted."""

    def __init__(self, work, name, megabytes, *options, kind="ext4"):
        self.file = os.path.join(work, name + ".img")
        self.path = os.path.join(work, name)
        os.mkdir(self.path)
        with open(self.file, "wb") as file:
            file.truncate(megabytes * MIB)
        force = "-F" if kind == "ext4" else "-f"
        run(f"mkfs.{kind}", "-q", force, *options, self.file, stderr=subprocess.DEVNULL)
        run("mount", "-o", "loop", self.file, self.path)
        # Past the page cache of the file system that the image lies on, as a disk is; where that can be.
        device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", self.path], check=False,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
        subprocess.run(["losetup", "--direct-io=on", device], check=False,
                       stderr=subprocess.DEVNULL)
        if os.stat(self.path).st_dev == os.stat(work).st_dev:
            raise SystemExit("bench: the image is not mounted")

    def close(self):
        subprocess.run(["umount", self.path], check=False)
        os.unlink(self.file)


class Plain:
    def __init__(self, work, name):
        self.path = os.path.join(work, name)
        os.mkdir(self.path)

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


# ---- trees ---------------------------------------------------------------------------------------


def make_tree(path, files, seed):
    """Small files as source trees have them: 40 a directory, half of them below 4 KiB."""
    rng = random.Random(seed)
    os.mkdir(path)
    for number in range(files):
        directory = os.path.join(path, f"d{number // 1600:03d}", f"s{number // 40 % 40:02d}")
        if number % 40 == 0:
            os.makedirs(directory)
        size = min(int(rng.lognormvariate(8.0, 1.2)), 200_000)
        with open(os.path.join(directory, f"file{number}.c"), "wb") as file:
            file.write(rng.randbytes(size))
    subprocess.run(["sync", "-f", path], check=True)


def make_tiny_tree(path, files):
    os.mkdir(path)
    for number in range(files):
        if number % 100 == 0:
            directory = os.path.join(path, f"{number // 10000:02d}", f"{number // 100 % 100:02d}")
            os.makedirs(directory)
        with open(os.path.join(directory, str(number)), "wb") as file:
            file.write(b"%d" % number)


# ---- measurements --------------------------------------------------------------------------------


def first_publish(args, where, tree):
    """Against a copy of the same tree that is made durable."""
    row = Row("first publish / cp -a && sync -f", 1.5)
    for i in range(args.rounds):
        store = os.path.join(where, f"store{i}")
        copy = os.path.join(where, f"copy{i}")
        run(args.pleach, "init", store)
        run("sync", "-f", where)
        ours = timed(lambda: run(args.pleach, "--store", store, "publish", "site", tree + "/"))

        def cp():
            run("cp", "-a", tree, copy)
            run("sync", "-f", copy)

        theirs = timed(cp)
        row.add(ours, theirs)
        shutil.rmtree(copy)
        if i + 1 < args.rounds:
            shutil.rmtree(store)
            run("sync", "-f", where)
    return row, os.path.join(where, f"store{args.rounds - 1}")


def unchanged(args, where, tree, store):
    """Against git status of the same tree, its index fresh."""
    row = Row("publish, nothing changed / git status", 2.0)
    git = ["git", "-c", "core.fsmonitor=false", "-C", tree, "--git-dir",
           os.path.join(where, "git"), "--work-tree", tree]
    run(*git[:3], "init", "-q", "--bare", os.path.join(where, "git"))
    run(*git, "add", "-A")
    time.sleep(0.1)
    for _ in range(2):
        run(*git, "status", "--porcelain")
        run(args.pleach, "--store", store, "publish", "site", tree + "/")
    for _ in range(args.rounds * 2):
        ours = timed(lambda: run(args.pleach, "--store", store, "publish", "site", tree + "/"))
        theirs = timed(lambda: run(*git, "status", "--porcelain"))
        row.add(ours, theirs)
    return row


def ten_changed(args, where, tree, store):
    """Against a farm of hard links with ten files changed, made durable, and a symlink replaced."""
    row = Row("publish, 10 files changed / cp -al, change, sync, flip", 1.5)
    rng = random.Random(3)
    farm = os.path.join(where, "farm")
    run("cp", "-a", tree, farm + "0")
    for i in range(args.rounds):
        names = [f"d{n // 1600:03d}/s{n // 40 % 40:02d}/file{n}.c"
                 for n in rng.sample(range(args.files), 10)]
        for name in names:
            with open(os.path.join(tree, name), "wb") as file:
                file.write(rng.randbytes(3000))
        ours = timed(lambda: run(args.pleach, "--store", store, "publish", "site", tree + "/"))

        def peer():
            run("cp", "-al", f"{farm}{i}", f"{farm}{i + 1}")
            for name in names:
                path = os.path.join(f"{farm}{i + 1}", name)
                os.unlink(path)
                shutil.copy2(os.path.join(tree, name), path)
            run("sync", "-f", where)
            os.symlink(f"farm{i + 1}", os.path.join(where, "link.new"))
            os.rename(os.path.join(where, "link.new"), os.path.join(where, "link"))
            run("sync", "-f", where)

        theirs = timed(peer)
        row.add(ours, theirs)
        shutil.rmtree(f"{farm}{i}")
    return row


def start_up(args):
    row = Row("pleach version / git --version", 1.5)
    for _ in range(20 * args.rounds):
        row.add(timed(lambda: run(args.pleach, "version")), timed(lambda: run("git", "--version")))
    return row


def rss_anon(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def memory(args, where):
    """Anonymous resident memory, looked at every few milliseconds: its peak."""
    tree, store = os.path.join(where, "tiny"), os.path.join(where, "tiny-store")
    make_tiny_tree(tree, args.memory_files)
    run(args.pleach, "init", store)
    peaks = []
    for _ in range(2):
        child = subprocess.Popen([args.pleach, "--store", store, "publish", "tiny", tree + "/"],
                                 stdout=subprocess.DEVNULL)
        peak = 0
        while child.poll() is None:
            peak = max(peak, rss_anon(child.pid))
            time.sleep(0.005)
        if child.returncode != 0:
            raise SystemExit("bench: the publish of many files failed")
        peaks.append(peak)
        with open(os.path.join(tree, "00", "00", "0"), "ab") as file:
            file.write(b"more")
    held = max(peaks) <= 64 * MIB
    print(f"{f'anonymous memory, {args.memory_files} files, first and next publish':<52} "
          f"{peaks[0] / MIB:5.1f} and {peaks[1] / MIB:.1f} MiB  target 64 MiB"
          f"{'' if held else '  MISSED'}")
    return held


def measure(args, work):
    is_root = os.geteuid() == 0 and shutil.which("mkfs.ext4")
    if not is_root:
        print("not root: below the temporary directory, whatever file system that is")
    image = Image(work, "ext4", 3000) if is_root else Plain(work, "plain")
    held = True
    try:
        tree = os.path.join(image.path, "tree")
        make_tree(tree, args.files, 1)
        row, store = first_publish(args, image.path, tree)
        held &= row.show()
        held &= unchanged(args, image.path, tree, store).show()
        ten_changed(args, image.path, tree, store).show()
        held &= start_up(args).show()
    finally:
        image.close()
    if args.transactions and is_root:
        image = Image(work, "transactions", 3000, "-N", "600000")
        try:
            args.Row, args.timed = Row, timed
            held &= transactions.measure(args, image.path, args.transaction_files)
        finally:
            image.close()
    if args.dedup:
        image = Image(work, "dedup", 3000) if is_root else Plain(work, "dedup")
        try:
            args.Row = Row
            tree = os.path.join(image.path, "tree")
            make_tree(tree, args.files, 1)
            held &= dedup.measure(args, image.path, tree)
        finally:
            image.close()
    if args.memory:
        image = (Image(work, "many", 2500, "-O", "inline_data", "-N", "1500000") if is_root
                 else Plain(work, "many"))
        try:
            held &= memory(args, image.path)
            held &= dedup.memory(args, image.path, make_tiny_tree)
        finally:
            image.close()
    return held


def compare(before, now):
    """Both are relative to peers measured beside them, so another day or machine does."""
    print("\nof what it was:")
    for what in now:
        if what in before:
            print(f"{what:<52} {now[what] / before[what]:5.3f}x")


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--pleach", default=os.environ.get("PLEACH", "build/pleach"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--memory-files", type=int, default=300000)
    parser.add_argument("--transaction-files", type=int, default=80000)
    parser.add_argument("--no-transactions", dest="transactions", action="store_false")
    parser.add_argument("--no-dedup", dest="dedup", action="store_false")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--json", help="a file that keeps the ratios")
    parser.add_argument("--against", help="such a file of an earlier run")
    args = parser.parse_args()
    before = {}
    if args.against:
        with open(args.against, encoding="utf-8") as file:
            before = json.load(file)
    args.pleach = os.path.abspath(args.pleach)
    work = tempfile.mkdtemp(prefix="pleach-bench-")
    try:
        held = measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(Row.shown, file, indent=1)
    if before:
        compare(before, Row.shown)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
