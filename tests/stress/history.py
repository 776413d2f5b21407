"""Whether what readers saw and what writers were told fits one order, ref by ref.

The order is known: generations are numbered. So a history is right exactly if each write can be put at
a moment between its begin and its end, each read at one between its own, such that a read sees the
newest generation before it. Times are of CLOCK_MONOTONIC, in ns, of one machine.
"""

from __future__ import annotations

import bisect
import heapq
from typing import NamedTuple, Optional

FOREVER = 1 << 62


class Write(NamedTuple):
    """What would make a generation. `end`: when it had ended, however; then it makes none any more."""
    name: str
    begin: int
    end: int
    status: Optional[int]  # None: it was killed
    is_unchanged: bool = False  # it says that the head had this tree already
    twin: str = ""  # the write, killed before, that it has tried again: one of the two lands


class Read(NamedTuple):
    """A look that ended in a tree with this stamp."""
    begin: int
    end: int
    stamp: str
    who: str = ""
    generation: Optional[int] = None  # if it was told


class Ref:
    """All that is known of a ref."""

    def __init__(self, name: str):
        self.name = name
        self.made: dict = {}  # generation -> (name of its write, stamp)
        self.writes: dict = {}  # name -> Write
        self.faults: list = []
        self.first = 1  # generations before it were there at the beginning

    def fault(self, text: str) -> None:
        self.faults.append(f"{self.name}: {text}")

    def add(self, write: Write) -> None:
        assert write.name not in self.writes and write.begin <= write.end
        self.writes[write.name] = write

    def write_of(self, generation: int) -> Write:
        name = self.made[generation][0]
        return self.writes.get(name) or Write(name, 0, 0 if generation <= self.first else FOREVER, 0)

    # Writes

    def check_writes(self) -> None:
        """Each acknowledged write made one generation, each refused one none, in the order of time."""
        numbers = sorted(self.made)
        if numbers != list(range(1, len(numbers) + 1)):
            self.fault(f"generations are not numbered without a hole: {numbers}")
        made_by: dict = {}
        for generation in numbers:
            name = self.made[generation][0]
            if name not in self.writes and generation > self.first:
                self.fault(f"generation {generation} was made by {name!r}, whom nobody knows")
            made_by.setdefault(name, []).append(generation)
        for write in self.writes.values():
            self.check_write(write, made_by)
        begun = 0
        for generation in numbers:
            write = self.write_of(generation)
            if write.end < begun:
                self.fault(f"generation {generation} ({write.name}) had ended before one of those "
                           f"before it began: {write.end} < {begun}")
            begun = max(begun, write.begin)

    def check_write(self, write: Write, made_by: dict) -> None:
        made = made_by.get(write.name, [])
        of_twin = made_by.get(write.twin, [])
        if len(made) + len(of_twin) > 1:
            self.fault(f"{write.name} made generations {made + of_twin}")
        elif of_twin:
            pass  # it is told that it had landed, or, where others came in between, of a conflict
        elif write.status == 0 and not write.is_unchanged and not made:
            self.fault(f"{write.name} was acknowledged, and its generation is not there")
        elif made and (write.is_unchanged or write.status not in (None, 0)):
            self.fault(f"{write.name} made generation {made[0]}, and had said that it made none "
                       f"(status {write.status})")

    # Reads

    def check_reads(self, reads: list) -> None:
        """Reads of one kind: each sees what was acknowledged, or seen, before it began, or newer."""
        of_stamp: dict = {}
        for generation in sorted(self.made):
            of_stamp.setdefault(self.made[generation][1], []).append(generation)
        floor = Floor((self.write_of(generation).end, generation) for generation in self.made
                      if self.write_of(generation).status == 0)
        for read in sorted(reads, key=lambda read: read.begin):
            least = floor.before(read.begin)
            generation = self.explain(read, least, of_stamp)
            if generation is None:
                self.fault(f"{read.who} saw {read.stamp!r} between {read.begin} and {read.end}: "
                           f"no generation from {least[0]} on ({least[1]}) can be it: "
                           f"{of_stamp.get(read.stamp, 'nobody made it')}")
            else:
                floor.push(read.end, generation, read.who)

    def explain(self, read: Read, least: tuple, of_stamp: dict) -> Optional[int]:
        """The least generation that it may have seen; a greater one would only ask more of later reads."""
        candidates = of_stamp.get(read.stamp, [])
        for generation in candidates[bisect.bisect_left(candidates, least[0]):]:
            if read.generation not in (None, generation):
                continue
            if self.write_of(generation).begin <= read.end:
                return generation
        return None


class Floor:
    """The greatest generation that was acknowledged or seen before a moment; asked, and told what was
    seen, in the order of begins."""

    def __init__(self, acknowledged):
        self.pending = [(end, generation, "acknowledged") for end, generation in acknowledged]
        heapq.heapify(self.pending)
        self.most = (0, "nothing")

    def push(self, end: int, generation: int, who: str) -> None:
        heapq.heappush(self.pending, (end, generation, f"seen by {who}"))

    def before(self, moment: int) -> tuple:
        """(generation, why)"""
        while self.pending and self.pending[0][0] < moment:
            _, generation, why = heapq.heappop(self.pending)
            if generation > self.most[0]:
                self.most = (generation, why)
        return self.most
