"""A CVS command in a transaction is killed at system calls that change something, of pleach and of CVS
alike (G2, G6): the repository is exactly the old one or exactly the new one, no lock is left in it, and
CVS goes on with it. PLEACH is the command; stopper.c finds the calls.

At some of them: evenly spread, random ones, from PLEACH_SEED if that is set, and those of process 1 of the
namespace. With PLEACH_CRASH_FULL=1 at every single one (an hour and more).
"""

import concurrent.futures
import os
import pathlib
import queue
import random
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import alike  # noqa: E402
from repository import CVS, LIMIT, Repository, differences, leftovers_of_cvs  # noqa: E402
from workplace import Workplace, erase, get, needs_command  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

STOPPER = os.path.join(os.environ.get("PLEACH_BUILD_ROOT", ""), "tests", "stopper")
FULL = os.environ.get("PLEACH_CRASH_FULL") == "1"
EVENLY, RANDOM = 16, 8  # points
OF_INIT = ("mount", "move_mount")  # calls that nobody else makes
WORKERS = 4
CANNOT_TRACE, STOPPER_FAILED = 77, 99
pytestmark = [needs_command, pytest.mark.skipif(not CVS, reason="cvs was not found"),
              pytest.mark.skipif(not os.access(STOPPER, os.X_OK), reason="stopper was not built")]


class Case:
    """A command, a repository before it, and both as they are and shall be."""

    def __init__(self, place: Workplace, words: tuple, files: int, changed: int):
        self.words = words
        self.repository = Repository(place, "work")
        self.place = place
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=1")
        self.repository.fill("mod", files)
        self.repository.read("checkout", "-d", "copy", "mod")
        self.repository.change("copy", range(changed))
        shutil.copytree(self.repository.path("copy"), self.repository.path("saved"))
        self.before = place.heads("repo")[0]
        self.old = alike.Picture(place.public("repo"))
        self.old_fingerprint = self.repository.fingerprint()

    def run(self, k: int):
        """Kills it at its k-th call. Returns its status, and the lines that stopper has written."""
        shutil.rmtree(self.repository.path("copy"))
        shutil.copytree(self.repository.path("saved"), self.repository.path("copy"))
        report = self.place.at("report")
        words = self.place.arguments("run", "repo", "--", *self.repository.words(*self.words))
        done = subprocess.run([STOPPER, str(k), report, *words], check=False, capture_output=True,
                              stdin=subprocess.DEVNULL, **self.repository.options("copy"))
        if done.returncode == CANNOT_TRACE:
            pytest.skip(f"processes cannot be traced here: {done.stderr.decode().strip()}")
        assert done.returncode != STOPPER_FAILED, f"at call {k}: {done.stderr.decode().strip()}"
        return done, get(report).decode().splitlines()

    def count(self) -> list:
        """Runs it to its end; that is what the new repository is. Returns the names of its calls."""
        done, lines = self.run(0)
        assert done.returncode == 0, done
        assert self.place.heads("repo")[0] == self.before + 1
        self.new_fingerprint = self.repository.fingerprint()
        assert differences(self.old_fingerprint, self.new_fingerprint)
        self.go_back()
        assert lines[-1] == f"{len(lines) - 1} -"
        return lines[:-1]

    def go_back(self) -> None:
        self.place.pleach("rollback", "-q", "repo", f"@{self.before}")
        self.head = self.place.heads("repo")[0]

    def assert_old_or_new(self, done) -> bool:
        """Is it the new one? The record and what is shown agree, and it is whole."""
        head = self.place.heads("repo")[0]
        assert head in (self.head, self.head + 1)
        is_new = head > self.head
        assert done.returncode == (137 if done.returncode else 0), done
        assert is_new or done.returncode == 137
        if is_new:
            wanted, got = self.new_fingerprint, self.repository.fingerprint()
            assert differences(wanted, got) == []
        else:
            alike.assert_pictures_agree(self.old, alike.Picture(self.place.public("repo")))
        assert leftovers_of_cvs(self.place.public("repo")) == []
        return is_new

    def assert_cvs_goes_on(self) -> None:
        """It reads the repository, and commits to it."""
        repository = self.repository
        log = repository.read("rlog", "mod").out
        assert log.count("\nRCS file: ") == len(os.listdir(repository.path("import")))
        repository.read("checkout", "-d", "next", "mod")
        try:
            repository.change("next", [0])
            repository.cvs("commit", "-m", "the next one", cwd="next")
            assert "the next one" in repository.read("rlog", "mod/f0").out
        finally:
            erase(repository.path("next"))
        assert leftovers_of_cvs(self.place.public("repo")) == []
        self.place.assert_nothing_unfinished()

    def check(self, k: int) -> tuple:
        """One point. Returns the call at which it was killed, and whether the repository is new."""
        done, lines = self.run(k)
        name = lines[-1].split()[1]
        try:
            is_new = self.assert_old_or_new(done)
            self.assert_cvs_goes_on()
            self.go_back()
        except AssertionError as error:
            raise AssertionError(f"killed at call {k}, {name}: {error}") from error
        return name, is_new


def points_of(names: list) -> list:
    """Of the calls with these names. (Which is the k-th differs a little: a thread makes some.)"""
    count = len(names)
    if FULL:
        return list(range(1, count + 1))
    seed = int(os.environ.get("PLEACH_SEED", random.randrange(1 << 32)))
    print(f"PLEACH_SEED={seed}, {count} calls")
    evenly = {1 + n * (count - 1) // (EVENLY - 1) for n in range(EVENLY)}
    rest = sorted(set(range(1, count + 1)) - evenly)
    of_init = {n + 1 for n, name in enumerate(names) if name in OF_INIT}
    assert of_init
    return sorted(evenly | of_init | set(random.Random(seed).sample(rest, RANDOM)))


def check_all(cases: list, points: list) -> dict:
    """Shares the points out among repositories of their own. Returns the calls, by what came of it."""
    found: dict = {True: [], False: []}
    left: queue.SimpleQueue = queue.SimpleQueue()
    for point in points:
        left.put(point)

    def work(case):
        while True:
            try:
                k = left.get_nowait()
            except queue.Empty:
                return
            name, is_new = case.check(k)
            found[is_new].append(name)
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        futures = [pool.submit(work, case) for case in cases]
    failures = [failure for failure in (future.exception() for future in futures) if failure]
    for failure in failures[1:]:
        print(failure)
    if failures:
        raise failures[0]
    for case in cases:
        case.place.pleach("check", "-q")
    return found


def make_cases(place: Workplace, *arguments) -> tuple:
    def make(n):
        path = place.at(f"w{n}")
        os.mkdir(path)
        case = Case(Workplace(path), *arguments)
        return case, case.count()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        made = list(pool.map(make, range(WORKERS)))
    return [case for case, _ in made], max((names for _, names in made), key=len)


@pytest.mark.parametrize("words, files, changed", [
    (("commit", "-m", "many"), 50, 50),
    (("tag", "one"), 200, 0),
], ids=["commit of 50 files", "tag of 200 files"])
def test_G2_G6_killed_at_any_call_the_repository_is_the_old_or_the_new_one(place, words, files,
                                                                           changed):
    cases, names = make_cases(place, words, files, changed)
    found = check_all(cases, points_of(names))
    print(f"{len(names)} calls: old after {len(found[False])}, new after {len(found[True])}")
    assert len(names) > 5 * max(files, changed)
    assert found[False] and found[True]  # the first point is before the commit, the last behind it
