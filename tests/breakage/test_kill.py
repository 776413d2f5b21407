"""The command is killed at random moments of everything that changes something (G2, G6): what it
was about is then wholly old or wholly new, and the next command copes. PLEACH is the command.

Each file of a tree says which number the tree has, so that a mixture is seen. The moments are taken
from PLEACH_SEED, if that is set.
"""

import concurrent.futures
import os
import pathlib
import random
import statistics
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from workplace import Workplace, erase, get, needs_command, put, wait_at_most  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = needs_command
FILES = [b"a", b"b/c", b"b/d/e", b"b/d/f/g", b"h/i", b"h/j", b"h/empty/k"]
LARGE = 300000


def fill(source: bytes, number: int) -> None:
    """A tree that says its number in each of its files, in a link, in a group, in names."""
    text = b"%d\n" % number
    for name in FILES:
        put(source + b"/" + name, text)
    put(source + b"/large", text * (LARGE // len(text)))
    put(source + b"/same", b"the same in every tree\n")
    put(source + b"/n%d/in a directory that comes and goes" % number, text)
    for path, make in ((b"/link", lambda to: os.symlink(b"%d" % number, to)),
                       (b"/h/linked", lambda to: os.link(source + b"/a", to))):
        if os.path.lexists(source + path):
            os.unlink(source + path)
        make(source + path)
    for old in os.listdir(source):
        if old.startswith(b"n") and old != b"n%d" % number:
            os.unlink(source + b"/" + old + b"/in a directory that comes and goes")
            os.rmdir(source + b"/" + old)


def number_of(tree: bytes) -> int:
    """The number of a tree; it must be whole, and of one number."""
    number = int(os.readlink(tree + b"/link"))
    text = b"%d\n" % number
    found = {path for path, _, _, _ in alike.walk(tree)}
    wanted = {b"", b"b", b"b/d", b"b/d/f", b"h", b"h/empty", b"link", b"large", b"same",
              b"h/linked", b"n%d" % number, b"n%d/in a directory that comes and goes" % number}
    assert found == wanted | set(FILES)
    for name in (*FILES, b"h/linked", b"n%d/in a directory that comes and goes" % number):
        assert get(tree + b"/" + name) == text, name
    assert get(tree + b"/large") == text * (LARGE // len(text))
    assert os.path.samefile(tree + b"/a", tree + b"/h/linked")
    return number


class Killer:
    """Starts the command and kills it at a random moment of the time that it takes of late."""

    def __init__(self, place: Workplace, rng: random.Random):
        self.place = place
        self.rng = rng
        self.times: dict = {}
        self.kills = dict.fromkeys(("publish", "rollback", "tag", "drop", "checkout"), 0)

    def moment(self) -> float:
        """Any, as a part of the whole time; half of them towards the end, where it commits."""
        return self.rng.random() if self.rng.random() < 0.5 else self.rng.uniform(0.6, 1.1)

    def run(self, *words) -> bool:
        """True: it came to its end."""
        kind = words[0]
        times = self.times.setdefault(kind, [])
        moment = self.moment() * statistics.median(times[-5:]) if times else None
        started = time.monotonic()
        process = self.place.start(*words)
        wait_at_most(process, moment)
        process.kill()
        out, err = process.communicate()
        if process.returncode == -9:
            self.kills[kind] += 1
            return False
        assert process.returncode == 0, (words, out, err)
        times.append(time.monotonic() - started)
        return True


class History:
    """What `site` must hold: the number of each of its generations."""

    def __init__(self, place: Workplace, killer: Killer):
        self.place = place
        self.killer = killer
        self.numbers: dict = {}
        self.dropped: set = set()
        self.number = 0

    def head(self) -> int:
        return max(self.numbers)

    def kept(self) -> list:
        return sorted(set(self.numbers) - self.dropped)

    def assert_holds(self) -> None:
        """After a command that recovers: every way to the head leads to the same whole tree."""
        lines = self.place.log()
        assert [line["generation"] for line in lines] == sorted(self.numbers, reverse=True)
        assert {line["generation"] for line in lines if line["state"] == "dropped"} == self.dropped
        path = os.fsencode(self.place.pleach("path", "site").out.rstrip("\n"))
        wanted = self.numbers[self.head()]
        assert (number_of(path), number_of(self.place.public())) == (wanted, wanted)

    def survive(self, *words, number: int) -> None:
        """A command that would make a generation of this number."""
        old = self.numbers[self.head()]
        ended = self.killer.run(*words)
        shown = number_of(self.place.public())
        assert shown in ((number,) if ended else (old, number))
        recorded = self.place.heads()[0]
        assert recorded in (self.head(), self.head() + 1)
        assert recorded == self.head() + 1 or shown == old
        if recorded == self.head() + 1:
            self.numbers[recorded] = number
        self.assert_holds()

    def publish(self) -> None:
        """It must succeed, whatever was killed before."""
        self.number += 1
        fill(self.place.source, self.number)
        done = self.place.json("publish", "site", self.place.source)
        assert done["generation"] == max(self.numbers, default=0) + 1
        self.numbers[done["generation"]] = self.number
        self.assert_holds()
        self.place.assert_nothing_unfinished()


def kill_publish(history: History) -> None:
    history.number += 1
    fill(history.place.source, history.number)
    history.survive("publish", "site", history.place.source, number=history.number)


def kill_rollback(history: History) -> None:
    back = history.kept()[-2]
    history.survive("rollback", "site", f"@{back}", number=history.numbers[back])


def kill_tag(history: History) -> None:
    def tagged() -> list:
        return [line["generation"] for line in place.log() if "mark" in line["tags"]]
    place = history.place
    before = tagged()
    target = history.kept()[-2]
    ended = history.killer.run("tag", "--force", "site", "mark", f"@{target}")
    assert tagged() in (([target],) if ended else (before, [target]))
    place.pleach("tag", "--force", "site", "mark", f"@{target}")
    assert tagged() == [target]
    assert number_of(os.fsencode(place.pleach("path", "site@mark").out.rstrip("\n"))) == \
        history.numbers[target]
    place.pleach("tag", "--delete", "site", "mark")


def kill_drop(history: History) -> None:
    place, oldest = history.place, history.kept()[0]
    if oldest in history.kept()[-3:]:
        return
    ended = history.killer.run("drop", "--now", f"site@{oldest}")
    done = place.pleach("path", f"site@{oldest}", status=(0, 10))
    if done.status == 0:
        assert not ended
        assert number_of(os.fsencode(done.out.rstrip("\n"))) == history.numbers[oldest]
        place.pleach("drop", "--now", f"site@{oldest}")
    place.pleach("path", f"site@{oldest}", status=10)
    history.dropped.add(oldest)


def kill_drop_of_a_ref(history: History) -> None:
    place = history.place
    place.pleach("publish", "-q", "side", place.source)
    ended = history.killer.run("drop", "--now", "side")
    done = place.pleach("path", "side", status=(0, 10))
    if done.status == 0:
        assert not ended
        number_of(os.fsencode(done.out.rstrip("\n")))
        number_of(place.public("side"))
        place.pleach("drop", "--now", "side")
    place.pleach("publish", "-q", "other", place.source)
    assert not os.path.lexists(place.public("side"))
    assert place.heads("side") == []
    place.pleach("drop", "-q", "--now", "other")


def kill_checkout(history: History) -> None:
    place, out = history.place, history.place.at("outside", "out")
    revision = history.kept()[-2]
    ended = history.killer.run("checkout", f"site@{revision}", out)
    if os.path.lexists(out):
        assert number_of(out) == history.numbers[revision]
    else:
        assert not ended
        place.pleach("checkout", f"site@{revision}", out)
        assert number_of(out) == history.numbers[revision]
    os.rename(out, place.at("outside", "last"))
    place.pleach("checkout", f"site@{revision}", out)
    assert sorted(os.listdir(place.at("outside"))) == [b"last", b"out"]
    for copy in (out, place.at("outside", "last")):
        assert number_of(copy) == history.numbers[revision]
        place.pleach("checkout", "--update", "--delete", "site", copy)
        assert number_of(copy) == history.numbers[history.head()]
        erase(copy)


def kill_update(history: History) -> None:
    """It works in place: killed, each file is wholly of the one or of the other."""
    place, out = history.place, history.place.at("outside", "out")
    before, after = history.kept()[-2:]
    texts = [b"%d\n" % history.numbers[n] for n in (before, after)]
    place.pleach("checkout", f"site@{before}", out)
    ended = history.killer.run("checkout", "--update", "--delete", f"site@{after}", out)
    for name in FILES:
        assert get(out + b"/" + name) in texts[ended:]
    assert get(out + b"/large") in [text * (LARGE // len(text)) for text in texts[ended:]]
    assert os.readlink(out + b"/link") + b"\n" in texts[ended:]
    place.pleach("checkout", "--update", "--delete", f"site@{after}", out)
    assert number_of(out) == history.numbers[after]
    assert os.listdir(place.at("outside")) == [b"out"]
    erase(out)


COMMANDS = [kill_publish, kill_rollback, kill_tag, kill_publish, kill_drop, kill_checkout,
            kill_publish, kill_rollback, kill_update, kill_publish, kill_drop_of_a_ref]
KILLS, OF_EACH = 45, 2


def choose_seed() -> int:
    seed = int(os.environ.get("PLEACH_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"PLEACH_SEED={seed}")
    return seed


@pytest.mark.parametrize("settings", [(), ("grace=0s", "keep-placed=1", "spares=0")],
                         ids=["default", "nothing stays placed"])
def test_G2_G6_killed_at_random_moments_all_is_old_or_new_and_the_next_command_copes(
        place, settings):
    killer = Killer(place, random.Random(choose_seed()))
    history = History(place, killer)
    os.mkdir(place.at("outside"))
    place.pleach("init", "-q")
    if settings:
        place.pleach("config", *settings)
    for _ in range(3):
        history.publish()
    for turn in range(5 * KILLS):
        if sum(killer.kills.values()) >= KILLS and min(killer.kills.values()) >= OF_EACH:
            break
        COMMANDS[turn % len(COMMANDS)](history)
        history.publish()
        place.pleach("check", "-q")
    print("killed:", killer.kills)
    assert sum(killer.kills.values()) >= KILLS and min(killer.kills.values()) >= OF_EACH
    place.assert_sound()


WORKERS, TURNS = 6, 50
PINNED = 'cat "$PLEACH_PATH/a" "$PLEACH_PATH/b/c" "$PLEACH_PATH/b/d/f/g" | uniq | wc -l'


def anything(place: Workplace, rng: random.Random) -> tuple:
    """A command, and how it may end beside others: 10 not there (any more), 11 in use, 12 moved."""
    ref, back = rng.choice(("site", "site", "other")), rng.randrange(4)
    source = place.at(f"source{rng.randrange(4)}")
    return rng.choice((
        (("publish", ref, source), (0, 10)),
        (("publish", ref, source), (0, 10)),
        (("publish", "--if-head", str(rng.randrange(60)), ref, source), (0, 10, 12)),
        (("rollback", ref, f"@-{back}"), (0, 10)),
        (("drop", "--now", f"{ref}@-{back}"), (0, 10, 11)),
        (("drop", "--now", "other"), (0, 10, 11)),
        (("tag", "--force", ref, f"t{back}", f"@-{back}"), (0, 10)),
        (("tag", "--delete", ref, f"t{back}"), (0, 10)),
        (("path", f"{ref}@-{back}"), (0, 10)),
        (("pin", ref, "--", "sh", "-c", PINNED), (0, 125)),
        (("checkout", ref, place.at(f"out{rng.randrange(1 << 60)}")), (0, 10)),
        (("ls", "-R", ref), (0, 10)),
        (("status",), (0,)),
    ))


def do_anything(place: Workplace, seed: int) -> int:
    """Returns how many were killed."""
    rng, kills = random.Random(seed), 0
    for _ in range(TURNS):
        words, statuses = anything(place, rng)
        process = place.start(*words)
        if rng.random() < 0.3:
            wait_at_most(process, rng.uniform(0, 0.05))
            process.kill()
        out, err = process.communicate()
        kills += process.returncode == -9
        assert process.returncode in (-9, *statuses), (words, process.returncode, out, err)
        if words[0] == "pin" and process.returncode == 0:
            assert out.strip() == b"1", "of two generations"
    return kills


def test_G2_G3_G5_G6_of_all_commands_at_once_some_killed_nothing_is_lost_or_left(place):
    """With few trees that come again and again, so that many have the same at once."""
    seed = choose_seed()
    place.pleach("init", "-q")
    place.pleach("config", "grace=0s", "keep-placed=1", "spares=0")
    for n in range(4):
        os.mkdir(place.at(f"source{n}"))
        fill(place.at(f"source{n}"), n)
    place.pleach("publish", "-q", "site", place.at("source0"))
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        kills = list(pool.map(lambda n: do_anything(place, seed + n), range(WORKERS)))
    print("killed:", kills)
    place.assert_sound()
    heads = place.heads()
    assert heads == list(range(len(heads), 0, -1))
    assert number_of(place.public()) in range(4)
    fill(place.at("source0"), 5)
    place.pleach("publish", "-q", "site", place.at("source0"))
    assert number_of(place.public()) == 5
    place.assert_nothing_unfinished()
    place.assert_sound()
