"""Everything at once on one store, killed at random and started again; and what must be so afterwards.

    stress.py [--seconds N] [--seed N] [--dir DIR] [--keep]

Four refs: `site`, whose trees are all different, published, rolled back and changed in transactions;
`cycle`, where a few trees come back again and again, so that garbage comes to be needed; `edit`, whose
directories are edited in place, since all of its readers pin; `counts`, numbers that transactions count
up side by side. And `side`, which comes and goes. Beside them two collectors, and readers (reader.c).
The command is $PLEACH. A run of the same seed does the same things, but not at the same moments.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent), str(pathlib.Path(__file__).parent)]

import trees  # noqa: E402
from aftermath import Aftermath  # noqa: E402
from history import Read, Ref, Write  # noqa: E402
from workers import CYCLE, Collector, Readers, Worker  # noqa: E402
from workplace import Workplace, in_memory, plain_umask, scratch, wait_at_most  # noqa: E402

SETTINGS = {
    "site": ["grace=1s", "keep=15"],
    "cycle": ["grace=1s", "keep=4", "keep-placed=1", "spares=1"],
    "edit": ["grace=0s", "recycle=edit", "keep=6", "keep-placed=1", "spares=2"],
    "counts": ["grace=2s", "keep=25"],
}
WORKERS, COLLECTORS = 5, 2
LIMIT = 120  # seconds that a command may take at most
KILLS = 0.2


class Ended:
    """How a command ended. `status` None: it was killed."""

    def __init__(self, begin, end, status, out, err):
        self.begin, self.end, self.status, self.out, self.err = begin, end, status, out, err

    def json(self) -> dict:
        return json.loads(self.out.splitlines()[-1])


class Stress:
    """The store, what was done to it, and what was seen of it."""

    def __init__(self, place: Workplace, seed: int):
        self.place = place
        self.seed = seed
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.faults: list = []
        self.refs = {name: Ref(name) for name in SETTINGS}
        self.reads: dict = {name: [] for name in SETTINGS}  # by records, not by the public path
        self.stamps: dict = {}  # name of a write -> its stamp; of those that have one of their own
        self.pictures: dict = {}  # name of a write -> its source
        self.tagged: dict = {}  # (ref, tag) -> revision; those that were made and never deleted
        self.dropped: set = set()  # (ref, generation) that were acknowledged
        self.counts: collections.Counter = collections.Counter()
        self.times: dict = collections.defaultdict(list)
        self.serial = 0
        self.has_runs = True
        self.alive = os.pipe()  # its writing end is held by all that readers run in

    def fault(self, text: str) -> None:
        with self.lock:
            self.faults.append(text)
        self.stop.set()

    def number(self) -> int:
        with self.lock:
            self.serial += 1
            return self.serial

    def begin(self) -> None:
        place = self.place
        place.pleach("init", "-q")
        for i in range(CYCLE):
            trees.make(place.at(f"cycle{i}"), f"cycle.{i}")
        trees.make(place.at("first"), "first")
        trees.make_counts(place.at("counts"))
        sources = {"cycle": "cycle0", "counts": "counts"}
        for ref, settings in SETTINGS.items():
            source = place.at(sources.get(ref, "first"))
            place.pleach("publish", "-q", "-m", "first", ref, source)
            place.pleach("config", "--ref", ref, *settings)
        self.has_runs = place.pleach("run", "-q", "site", "--", "true", status=None).status == 0

    # Commands

    def run(self, rng: random.Random, *words, allowed=(0,), kills=KILLS, name=None, **options) -> Ended:
        """Runs a command, and kills it at a random moment of the time that it takes of late, or not."""
        kind = name or next(word for word in words if not word.startswith("-"))
        times = self.times[kind]
        moment = None
        if times and rng.random() < kills:
            moment = rng.uniform(0.0, 1.1) * statistics.median(times[-5:])
        begin = time.monotonic_ns()
        process = self.place.start(*words, **options)
        if moment is not None:
            wait_at_most(process, moment)
            process.kill()
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            self.fault(f"{words}: still at it after {LIMIT} s")
        end = time.monotonic_ns()
        status = process.returncode
        if moment is not None and status == -signal.SIGKILL:
            self.counts[f"{kind} killed"] += 1
            return Ended(begin, end, None, b"", b"")
        self.counts[kind if status == 0 else f"{kind} ({status})"] += 1
        if status == 0:
            times.append((end - begin) / 1e9)
        if status not in allowed:
            self.fault(f"{words}: status {status}, stdout: {out}, stderr: {err}")
        return Ended(begin, end, status, out or b"", err or b"")

    def write(self, ref: str, name: str, ended: Ended, twin: str = "") -> None:
        is_unchanged = False
        if ended.status == 0:
            told = [line for line in (ended.out + ended.err).splitlines() if line.startswith(b"{")]
            is_unchanged = json.loads(told[-1])["unchanged"] if told else False
        with self.lock:
            self.refs[ref].add(Write(name, ended.begin, ended.end, ended.status, is_unchanged, twin))

    def read(self, ref: str, ended: Ended, stamp: str, who: str) -> None:
        with self.lock:
            self.reads[ref].append(Read(ended.begin, ended.end, stamp, who))

    def stamp_of(self, root: bytes, who: str) -> str:
        """The stamp of a whole tree, which it must be."""
        found = trees.contents(root)
        stamp = found.get(os.fsencode(trees.LINK), b"?").decode()
        if found != trees.contents_of(stamp):
            self.fault(f"{who}: {root!r} is no whole tree: {found}")
        return stamp


@contextlib.contextmanager
def workplace(folder, keep: bool):
    """In memory, where that can be: thousands of commands that sync need no disk."""
    with plain_umask():
        if keep:
            os.mkdir(folder)
            yield Workplace(os.fsencode(os.path.abspath(folder)))
        else:
            with scratch(folder or in_memory()) as path:
                yield Workplace(path)


def run(place: Workplace, seconds: float, seed: int) -> tuple:
    """Returns the faults, and lines that tell what was done."""
    stress = Stress(place, seed)
    stress.begin()
    threads = [Readers(stress), *(Collector(stress, who) for who in range(COLLECTORS)),
               *(Worker(stress, who) for who in range(WORKERS))]
    for thread in threads:
        thread.start()
    stress.stop.wait(seconds)
    stress.stop.set()
    for thread in threads:
        thread.join()
    os.close(stress.alive[1])
    os.read(stress.alive[0], 1)  # until the last reader of a killed `pin` has ended
    os.close(stress.alive[0])
    aftermath = Aftermath(stress)
    aftermath.read_observations()
    if not stress.faults:
        aftermath.check()
    counts = ", ".join(f"{kind} {n}" for kind, n in sorted(stress.counts.items()))
    return stress.faults, [counts, aftermath.summary()]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--dir", help="where; else in memory")
    parser.add_argument("--keep", action="store_true", help="make DIR, and leave all there")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with workplace(options.dir, options.keep) as place:
        faults, lines = run(place, options.seconds, options.seed)
    print(*lines, sep="\n")
    for fault in faults[:20]:
        print(f"FAULT: {fault}")
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
