"""Many at once: publishers of one ref lose nothing (G3), whoever reads meanwhile sees one
generation (G1). And many entries in one tree. PLEACH is the command.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from workplace import Workplace, get, needs_command, put  # noqa: E402
from workplace import fixture_place, fixture_quick_place  # noqa: E402,F401

pytestmark = needs_command
PUBLISHERS, TURNS = 8, 20
NAMES = (b"a", b"b/c", b"b/d/e")


def fill(source: bytes, text: bytes) -> None:
    for name in NAMES:
        put(source + b"/" + name, text)
    put(source + b"/same", b"the same for all\n")


def publish_in_turns(place: Workplace, who: int) -> dict:
    """Returns what was published as which generation."""
    source = place.at(f"source{who}")
    published = {}
    for turn in range(TURNS):
        text = b"publisher %d, turn %d\n" % (who, turn)
        fill(source, text)
        done = place.json("publish", "-m", text.decode().strip(), "site", source)
        assert not done["unchanged"]
        assert done["parent"] == (done["generation"] - 1 or None)
        published[done["generation"]] = text
    return published


LOOK = "cat \"$PLEACH_PATH/a\" \"$PLEACH_PATH/b/c\" \"$PLEACH_PATH/b/d/e\"; echo $PLEACH_GENERATION"


class Readers:
    """Look at the public path, plainly and pinned, until they are told to stop."""

    def __init__(self, place: Workplace):
        self.place = place
        self.stop = threading.Event()
        self.seen: dict = {}  # by generation, what pins have seen
        self.looks: collections.Counter = collections.Counter()

    def plain(self) -> None:
        """Each look is one path lookup: it ends in a whole file of some generation."""
        while not self.stop.is_set():
            for name in NAMES:
                text = get(self.place.public() + b"/" + name)
                assert text.startswith(b"publisher ") and text.endswith(b"\n")
                self.looks["plain"] += 1
            assert get(self.place.public() + b"/same") == b"the same for all\n"

    def held_directory(self) -> None:
        """A directory that is held open stays of one generation: its grace is long."""
        while not self.stop.is_set():
            with alike.opened(self.place.public(), os.O_RDONLY | os.O_DIRECTORY) as fd:
                texts = set()
                for name in NAMES:
                    with alike.opened(name, dir_fd=fd) as file:
                        texts.add(os.read(file, 100))
            assert len(texts) == 1
            self.looks["held"] += 1

    def pinned(self) -> None:
        while not self.stop.is_set():
            lines = self.place.pleach("pin", "site", "--", "sh", "-c", LOOK).out.splitlines()
            assert len(set(lines[:-1])) == 1 and len(lines) == len(NAMES) + 1
            assert self.seen.setdefault(int(lines[-1]), lines[0]) == lines[0]
            self.looks["pinned"] += 1

    def looking(self) -> None:
        last = 0
        while not self.stop.is_set():
            head = self.place.heads()[0]
            assert head >= last
            last = head
            self.looks["log"] += 1


def test_G1_G3_eight_publishers_at_once_lose_nothing_and_readers_see_one_generation(place):
    place.pleach("init", "-q")
    fill(place.source, b"publisher none\n")
    place.pleach("publish", "-q", "site", place.source)
    readers = Readers(place)
    published: dict = {}
    with concurrent.futures.ThreadPoolExecutor(PUBLISHERS + 4) as pool:
        looking = [pool.submit(look) for look in (readers.plain, readers.held_directory,
                                                  readers.pinned, readers.looking)]
        publishing = [pool.submit(publish_in_turns, place, who) for who in range(PUBLISHERS)]
        try:
            for future in publishing:
                mine = future.result()
                assert not published.keys() & mine.keys()
                assert sorted(mine) == list(mine)
                published.update(mine)
        finally:
            readers.stop.set()
        for future in looking:
            future.result()
    last = PUBLISHERS * TURNS + 1
    assert sorted(published) == list(range(2, last + 1))
    log = place.log()
    assert [line["generation"] for line in log] == list(range(last, 0, -1))
    assert {line["generation"]: line["message"].encode() + b"\n"
            for line in log if line["generation"] > 1} == published
    assert len(set(published.values())) == PUBLISHERS * TURNS
    for generation in (2, last // 2, last):
        assert place.pleach("cat", f"site@{generation}:b/c").out.encode() == published[generation]
    assert get(place.public() + b"/a") == published[last]
    for generation, text in readers.seen.items():
        assert text.encode() + b"\n" == published.get(generation, b"publisher none\n")
    print(dict(readers.looks))
    assert all(readers.looks[kind] for kind in ("plain", "held", "pinned", "log"))
    place.assert_nothing_unfinished()
    place.assert_sound()


def test_G3_of_racers_with_if_head_exactly_one_wins(place):
    place.pleach("init", "-q")
    for n in range(PUBLISHERS):
        os.mkdir(place.at(f"source{n}"))
    for head in range(6):
        racers = []
        for n in range(PUBLISHERS):
            fill(place.at(f"source{n}"), b"publisher %d, turn %d\n" % (n, head))
        for n in range(PUBLISHERS):
            racers.append(place.start("--json", "publish", "--if-head", str(head), "site",
                                      place.at(f"source{n}")))
        ends = [(racer, *racer.communicate()) for racer in racers]
        statuses = [racer.returncode for racer, _, _ in ends]
        assert sorted(statuses) == [0] + [12] * (PUBLISHERS - 1), ends
        for racer, out, _ in ends:
            if racer.returncode == 12:
                assert json.loads(out)["error"]["code"] == "conflict"
        assert place.heads()[0] == head + 1
        assert get(place.public() + b"/a") == b"publisher %d, turn %d\n" % (statuses.index(0), head)
        place.assert_nothing_unfinished()
    place.assert_sound()


def test_G3_equal_trees_published_at_once_are_one_generation_or_follow_another(place):
    """Each publisher tells what it found; no generation has the tree of the one before."""
    place.pleach("init", "-q")
    for n in range(6):
        for source in (place.at("x"), place.at("y")):
            os.makedirs(source, exist_ok=True)
            fill(source, b"publisher %s, turn %d\n" % (source[-1:], n))
            for path, _, _, _ in alike.walk(source):
                os.utime(source + b"/" + path, ns=(0, n))
        racers = [place.start("--json", "publish", "site", place.at(name))
                  for name in "xyxyxy"]
        ends = [(racer, *racer.communicate()) for racer in racers]
        assert [racer.returncode for racer, _, _ in ends] == [0] * 6, ends
        made = [json.loads(out) for _, out, _ in ends]
        log = {line["generation"]: line["tree"] for line in place.log()}
        assert sorted(log) == list(range(1, len(log) + 1))
        for done in made:
            assert log[done["generation"]] == done["tree"]
        fresh = [done["generation"] for done in made if not done["unchanged"]]
        assert len(fresh) == len(set(fresh))
    trees = [log[generation] for generation in sorted(log)]
    assert all(one != other for one, other in zip(trees, trees[1:]))
    place.assert_sound()


def test_G1_G5_trees_come_and_go_under_readers_that_pin(place):
    """grace=0: what is replaced goes at once, unless it is pinned."""
    place.pleach("init", "-q")
    place.pleach("config", "grace=0s", "keep-placed=1", "spares=0")
    fill(place.source, b"publisher 0\n")
    place.pleach("publish", "-q", "site", place.source)
    readers = Readers(place)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        looking = [pool.submit(readers.pinned) for _ in range(2)]
        try:
            for n in range(1, 40):
                fill(place.source, b"publisher %d\n" % n)
                place.pleach("publish", "-q", "site", place.source)
        finally:
            readers.stop.set()
        for future in looking:
            future.result()
    for generation, text in readers.seen.items():
        assert text == f"publisher {generation - 1}"
    fill(place.source, b"publisher last\n")
    place.pleach("publish", "-q", "site", place.source)
    assert len(place.placed()) == 1
    place.assert_nothing_unfinished()
    place.assert_sound()


# Many entries

@pytest.mark.parametrize("shape", ["30000 files", "a directory of 20000"])
def test_G9_many_entries_are_published_and_then_unchanged(quick_place, shape):
    place = quick_place
    if shape == "30000 files":
        names = [b"%02d/%02d/%02d" % (n // 1000, n // 50 % 20, n % 50) for n in range(30000)]
    else:
        names = [b"all/%05d %s" % (n, b"n" * (n % 90)) for n in range(20000)]
    for name in names:
        path = place.source + b"/" + name
        try:
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path))
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, name)
        os.close(fd)
    place.pleach("init", "-q")
    first = place.json("publish", "site", place.source)
    assert first["bytes_new"] == sum(map(len, names))
    again = place.json("publish", "site", place.source)
    assert (again["unchanged"], again["generation"]) == (True, 1)
    assert "unchanged" in place.pleach("publish", "site", place.source).out
    alike.assert_rsync_sees_nothing_to_do(place.source, place.public())
    put(place.source + b"/" + names[777], b"other")
    os.unlink(place.source + b"/" + names[888])
    changed = place.json("publish", "site", place.source)["changed"]
    assert changed == {"added": 0, "modified": 1, "removed": 1}
    assert len(place.json_lines("ls", "-R", "site")) == first["changed"]["added"] - 1
    diff = place.pleach("diff", "site").out.splitlines()
    assert diff == sorted([f"M {names[777].decode()}", f"D {names[888].decode()}"],
                          key=lambda line: line[2:])
    place.pleach("check", "-q")


# Many objects

LITTLE = 8 << 20  # bytes; ./dev bench gc tells what a million take


def anonymous(pid: int) -> int:
    """Bytes of anonymous resident memory; 0 once it has ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def test_G5_twenty_thousand_objects_are_collected_in_little_memory(quick_place):
    place = quick_place
    place.pleach("init", "-q")
    place.pleach("config", "auto-gc=off", "spares=0")
    for ref in ("kept", "gone"):
        source = place.at(ref)
        for n in range(10000):
            if n % 100 == 0:
                folder = source + b"/%02d" % (n // 100)
                os.makedirs(folder)
            with open(folder + b"/%d" % n, "wb") as file:
                file.write(b"%s %d" % (ref.encode(), n))
        place.pleach("publish", "-q", ref, source)
    place.pleach("drop", "-q", "--now", "gone")
    peak = 0
    with place.start("--json", "gc", stderr=subprocess.DEVNULL) as collection:
        while collection.poll() is None:
            peak = max(peak, anonymous(collection.pid))
            time.sleep(0.001)
        done = json.loads(collection.stdout.read())
    assert (done["objects"], done["nodes"], done["kept_objects"]) == (10000, 101, 10000)
    assert 0 < peak < LITTLE
    done = place.json("gc")
    assert (done["objects"], done["nodes"], done["trees"]) == (0, 0, 0)
    alike.assert_rsync_sees_nothing_to_do(place.at("kept"), place.public("kept"))
    place.pleach("check", "-q")
    place.assert_nothing_unfinished()
