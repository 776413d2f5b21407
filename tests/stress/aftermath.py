"""What must be so after a stress test: of the history that readers and writers tell, of each generation
that is left, and of the store, object by object.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent),
                str(pathlib.Path(__file__).parent.parent / "format")]

import alike  # noqa: E402
import reader  # noqa: E402
import trees  # noqa: E402
from history import Read  # noqa: E402

COLLECTIONS = 600  # at most, until all graces are over
NOTHING = {"dropped": 0, "trees": 0, "objects": 0, "nodes": 0, "put_back": 0}


class Aftermath:
    """Adds to the faults of `stress`."""

    def __init__(self, stress):
        self.stress = stress
        self.place = stress.place
        self.fault = stress.fault
        self.looks: dict = {name: [] for name in stress.refs}  # by the public path
        self.logs: dict = {}
        self.n_reads = self.n_looks = self.n_pins = 0

    def summary(self) -> str:
        generations = {ref: len(log) for ref, log in self.logs.items()}
        return (f"{self.n_reads} reads in {self.n_looks} streaks of looks and {self.n_pins} pins; "
                f"generations: {generations}")

    # What readers wrote down

    def read_observations(self) -> None:
        for name in sorted(os.listdir(self.place.path)):
            kind, _, rest = os.fsdecode(name).partition("-")
            if kind in ("seen", "held"):
                ref = rest.partition("-")[0]
                with open(os.path.join(self.place.path, name), encoding="ascii") as file:
                    for line in file:
                        self.read_line(ref, os.fsdecode(name), line.split())

    def read_line(self, ref: str, who: str, words: list) -> None:
        if words[0] == "fault":
            self.fault(f"{who}: {' '.join(words[1:])}")
        elif words[0] == "saw":
            stamp, times = words[1], list(map(int, words[2:]))
            self.looks[ref] += [Read(times[0], times[1], stamp, who),
                                Read(times[2], times[3], stamp, who)]
            self.n_reads += times[4]
            self.n_looks += 1
        else:
            generation, stamp, begin, end, n = int(words[1]), words[2], *map(int, words[3:])
            self.stress.reads[ref].append(Read(begin, end, stamp, who, generation))
            self.n_reads += n
            self.n_pins += 1

    # Everything

    def check(self) -> None:
        self.recover()
        for ref in self.stress.refs:
            self.check_history(ref)
        if not self.stress.faults:
            self.collect()
        for ref in self.stress.refs:
            self.check_generations(ref)
        self.check_reachable()
        self.check_sound()

    def recover(self) -> None:
        """What was left to lie: parked transactions. The rest is nobody's task."""
        self.place.pleach("gc", "-q")
        for transaction in self.place.json("status")["transactions"]:
            self.place.pleach("abort", transaction["tx"])
        for ref in self.stress.refs:
            self.logs[ref] = self.place.log(ref)

    # Histories

    def check_history(self, name: str) -> None:
        ref = self.stress.refs[name]
        stamps = self.stamps_of(name)
        for line in self.logs[name]:
            ref.made[line["generation"]] = (line["message"], stamps.get(line["generation"], "?"))
        ref.check_writes()
        ref.check_reads(self.looks[name])
        ref.check_reads(self.stress.reads[name])
        for text in ref.faults:
            self.fault(text)

    def stamps_of(self, name: str) -> dict:
        """generation -> stamp: of the write that made it, or, rolled back to, the first with this tree."""
        if name == "counts":
            return {line["generation"]: str(line["generation"] - 1) for line in self.logs[name]}
        own = {**self.stress.stamps, "first": "cycle.0" if name == "cycle" else "first"}
        by_tree: dict = {}
        stamps = {}
        for line in reversed(self.logs[name]):
            made = own.get(line["message"])
            stamp = by_tree.setdefault(line["tree"], made)
            if stamp is None or made not in (None, stamp):
                self.fault(f"{name}@{line['generation']} ({line['message']}) has the tree of {stamp}")
            stamps[line["generation"]] = stamp or "?"
        return stamps

    # Generations

    def collect(self) -> None:
        """Until nothing is left that only a grace holds, and one more finds nothing to do."""
        if self.place.heads("side"):
            self.place.pleach("drop", "--force", "--now", "side", status=(0, 10))
        for _ in range(COLLECTIONS):
            done = self.place.json("gc")
            if {key: done[key] for key in NOTHING} == NOTHING and self.trees() == self.needed_trees():
                break
            time.sleep(0.05)
        else:
            self.fault(f"trees that nobody needs stay: {self.trees() - self.needed_trees()}; needed "
                       f"and not there: {self.needed_trees() - self.trees()}")
        done = self.place.json("gc")
        if {key: done[key] for key in NOTHING} != NOTHING:
            self.fault(f"the second collection finds something: {done}")

    def trees(self) -> set:
        return {os.fsdecode(name) for name in os.listdir(self.place.inner("trees"))}

    def kept(self, ref: str) -> list:
        return [line for line in self.place.log(ref) if line["state"] == "kept"]

    def needed_trees(self) -> set:
        return {line["tree"] for ref in self.stress.refs for line in self.kept(ref)}

    def check_generations(self, ref: str) -> None:
        """Each that is left is its source; what was tagged is left, what was dropped is not."""
        stamps = self.stamps_of(ref)
        kept = {line["generation"] for line in self.kept(ref)}
        tags = {tag for line in self.kept(ref) for tag in line["tags"]}
        for of, tag in self.stress.tagged:
            if of == ref and tag not in tags:
                self.fault(f"{ref}: the generation of tag {tag} has gone")
        for of, generation in self.stress.dropped:
            if of == ref and generation in kept:
                self.fault(f"{ref}@{generation} was dropped, and is there")
        for line in self.kept(ref):
            self.check_generation(ref, line, stamps[line["generation"]])

    def check_generation(self, ref: str, line: dict, stamp: str) -> None:
        what = f"{ref}@{line['generation']}"
        path = os.fsencode(self.place.pleach("path", what).out.rstrip("\n"))
        if ref == "counts":
            wanted = trees.contents_of_counts(self.counts_at(line["generation"]))
        else:
            wanted = trees.contents_of(stamp)
        found = trees.contents(path)
        if found != wanted:
            self.fault(f"{what} ({line['message']}) is not its source: {found}")
        picture = self.stress.pictures.get(line["message"])
        if picture:
            alike.assert_pictures_agree(picture, alike.Picture(path))

    def counts_at(self, generation: int) -> dict:
        """How often each was counted up by the generations up to this one: no update is lost."""
        return collections.Counter(int(line["message"].split()[1]) for line in self.logs["counts"]
                                   if 1 < line["generation"] <= generation)

    # The store

    def check_reachable(self) -> None:
        """What is there is what the records reach, object by object; by the independent reader."""
        store = reader.Store(self.place.store)
        nodes, objects = set(), set()
        todo = [bytes.fromhex(tree) for tree in self.needed_trees()]
        while todo:
            hashed = todo.pop()
            if hashed in nodes:
                continue
            nodes.add(hashed)
            node = store.node(hashed)
            nodes.update(node.blocks)
            todo += [entry.node for entry in node.entries if entry.kind == "d"]
            objects.update(reader.object_id(entry.meta, entry.size, entry.content)
                           for entry in node.entries if entry.kind == "f" and entry.size > 0)
        for pool, wanted in (("nodes", nodes), ("objects", objects)):
            there = {bytes.fromhex(os.fsdecode(first + name))
                     for first in os.listdir(self.place.inner(pool))
                     for name in os.listdir(self.place.inner(pool, first))}
            if there != wanted:
                self.fault(f"{pool}/ has {len(there - wanted)} of {len(there)} that nothing reaches, and "
                           f"lacks {len(wanted - there)} that something does")

    def check_sound(self) -> None:
        done = self.place.pleach("check")
        if done.err:
            self.fault(f"check says: {done.err}")
        faults, unverified = reader.verify(self.place.store)
        for text in faults + unverified:
            self.fault(text)
        self.place.assert_nothing_unfinished()
        status = json.loads(self.place.pleach("--json", "status").out)
        if status["leftovers"] or status["transactions"]:
            self.fault(f"left: {status}")
