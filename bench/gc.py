#!/usr/bin/env python3
"""What a collection of a store with very many objects takes: memory, time, and how long a batch is out.

    ./dev bench gc [--objects N]    a fifth of N, then N tiny objects (a million), half of what is new garbage

As root on a fresh ext4 in a sparse file, else below $TMPDIR. Memory is the peak of anonymous resident memory, looked
at every few milliseconds, and a line through both sizes tells what ten million objects would take. (Both are large
enough for the nodes that are remembered, 4 MiB of them.) While a batch of 2,000 names is out, the collector holds
trash/batch: the time for which it does, seen by asking for the lock, over the number of batches.
"""

import argparse
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import run

TEN_MILLION = 10_000_000
TARGET = 256 * run.MIB
BATCH = 2000  # BATCH of src/gc/collect.c
CHUNKS = 20  # trees that the larger size is made of
F_OFD_GETLK = 36
FLOCK = "hhqqi4x"


def make_chunk(path, number, files):
    """Files that no other chunk has, a hundred a directory."""
    os.mkdir(path)
    for i in range(files):
        if i % 100 == 0:
            directory = os.path.join(path, f"{i // 10000:03d}", f"{i // 100 % 100:02d}")
            os.makedirs(directory)
        with open(os.path.join(directory, str(i)), "wb") as file:
            file.write(b"%d %d" % (number, i))


class Store:
    """A store that grows by chunks, every second of which becomes garbage."""

    def __init__(self, pleach, where, chunk):
        self.pleach, self.where, self.chunk = pleach, where, chunk
        self.path = os.path.join(where, "store")
        self.objects = self.chunks = 0
        self.garbage = 0
        run.run(pleach, "init", self.path)
        # Nothing here is about durability, and it is made once.
        self.command("config", "durability=none", "auto-gc=off", "spares=0")

    def command(self, *words):
        return subprocess.run([self.pleach, "--store", self.path, *words], check=True,
                              stdout=subprocess.PIPE).stdout

    def grow(self, objects):
        while self.objects < objects:
            files = min(self.chunk, objects - self.objects)
            source = os.path.join(self.where, "source")
            make_chunk(source, self.chunks, files)
            self.command("publish", "-q", f"chunk{self.chunks}", source)
            shutil.rmtree(source)
            if self.chunks % 2:
                self.command("drop", "-q", "--now", f"chunk{self.chunks}")
                self.garbage += files
            self.chunks += 1
            self.objects += files

    def is_batch_out(self, fd):
        lock = struct.pack(FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        return struct.unpack(FLOCK, fcntl.fcntl(fd, F_OFD_GETLK, lock))[0] != fcntl.F_UNLCK

    def collect(self):
        """(seconds, peak of memory, seconds that batches were out, what it says)"""
        fd = os.open(os.path.join(self.path, ".pleach", "trash", "batch"), os.O_RDWR | os.O_CREAT, 0o600)
        held, before, peak, turn = 0, None, 0, 0
        begin = time.monotonic()
        with subprocess.Popen([self.pleach, "--store", self.path, "--json", "gc"],
                              stdout=subprocess.PIPE) as child:
            while child.poll() is None:
                now = time.monotonic()
                is_out = self.is_batch_out(fd)
                if is_out and before is not None:
                    held += now - before
                before = now
                if turn % 8 == 0:
                    peak = max(peak, run.rss_anon(child.pid))
                turn += 1
                time.sleep(0.0005)
            told = json.loads(child.stdout.read())
        seconds = time.monotonic() - begin
        os.close(fd)
        if child.returncode != 0 or told["objects"] != self.garbage:
            raise SystemExit(f"bench: the collection ended with {child.returncode}: {told}")
        self.objects -= self.garbage
        self.garbage = 0
        return seconds, peak, held, told


def measure(store, objects):
    store.grow(objects)
    seconds, peak, held, told = store.collect()
    batches = -(-(told["objects"] + told["nodes"]) // BATCH)
    print(f"{objects:>9} objects, {told['objects']} of them garbage: {seconds:6.1f} s, "
          f"{peak / run.MIB:5.1f} MiB; {batches} batches, each out for {held / batches:.3f} s", flush=True)
    return peak


def both_sizes(args, where):
    store = Store(args.pleach, where, args.objects // CHUNKS)
    small, large = args.objects // 5, args.objects
    peaks = [measure(store, small), measure(store, large)]
    each = max(0, peaks[1] - peaks[0]) / (large - small)
    at_ten = peaks[1] + each * (TEN_MILLION - large)
    held = at_ten <= TARGET
    print(f"{each:.1f} bytes an object; ten million: {at_ten / run.MIB:.0f} MiB, target "
          f"{TARGET // run.MIB} MiB{'' if held else '  MISSED'}")
    return held


def main():
    parser = argparse.ArgumentParser(prog="bench gc", description=__doc__.splitlines()[0])
    parser.add_argument("--pleach", default=os.environ.get("PLEACH", "build/pleach"))
    parser.add_argument("--objects", type=int, default=1_000_000)
    args = parser.parse_args()
    args.pleach = os.path.abspath(args.pleach)
    work = tempfile.mkdtemp(prefix="pleach-bench-")
    is_root = os.geteuid() == 0 and shutil.which("mkfs.ext4")
    inodes = args.objects * 5 // 4 + 300_000
    try:
        image = (run.Image(work, "many", args.objects // 400 + 1000, "-O", "inline_data",
                           "-N", str(inodes)) if is_root else run.Plain(work, "many"))
        try:
            held = both_sizes(args, image.path)
        finally:
            image.close()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
