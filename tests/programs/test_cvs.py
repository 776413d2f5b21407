"""CVS, unmodified, on a repository that is a ref: each command is a generation, what it makes of the
repository is what it makes of a plain one, many commit at once. Its ends by SIGKILL are in
test_cvs_killed.py. PLEACH is the command.
"""

import concurrent.futures
import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from repository import CVS, LIMIT, Repository, differences, leftovers_of_cvs  # noqa: E402
from workplace import get, needs_command, put  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = [needs_command, pytest.mark.skipif(not CVS, reason="cvs was not found")]
COMMITTERS = 8


def work(repository: Repository) -> int:
    """A history of all that writes in a repository; returns how many commands that were."""
    repository.fill("mod", 50)
    repository.read("checkout", "mod")
    commands = [("commit", "-m", "all"), ("tag", "one"), ("rtag", "two", "mod"),
                ("rtag", "-d", "one", "mod"), ("admin", "-kb", "f7"), ("watch", "on"),
                ("watch", "add", "f1"), ("edit", "f2"), ("unedit", "f2"), ("edit", "f3"),
                ("commit", "-m", "removed", "f5"), ("commit", "-m", "back again", "-r", "2.0", "f6")]
    repository.change("mod", range(50))
    for words in commands:
        if words[-1] == "f5":
            os.unlink(repository.path("mod", "f5"))
            repository.read("remove", "f5", cwd="mod")
        repository.cvs(*words, cwd="mod")
    return len(commands) + 2


def check_out(ref: Repository, copies: list, module: str, changed: list) -> None:
    """Working copies of a module, with changed files. (CVS ends no checkout before the next second.)"""
    with concurrent.futures.ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(lambda copy: ref.read("checkout", "-d", copy, module), copies))
    for copy in copies:
        ref.change(copy, changed)


def test_cvs_makes_of_a_ref_what_it_makes_of_a_plain_repository(place):
    place.pleach("init", "-q")
    ref, plain = Repository(place, "ref"), Repository(place, "plain", plain=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        count, of_plain = pool.map(work, (ref, plain))
    assert count == of_plain
    assert differences(plain.fingerprint(), ref.fingerprint()) == []
    assert leftovers_of_cvs(ref.root) == []
    assert len(place.heads("repo")) == count
    assert "back again" in ref.read("log", "f6", cwd="mod").out
    ref.cvs("checkout", "-d", "again", "mod")
    assert not os.path.exists(ref.path("again", "f5"))
    assert get(ref.path("again", "f4")) == get(ref.path("mod", "f4")) != get(ref.path("import", "f4"))
    place.assert_nothing_unfinished()
    place.assert_sound()


def test_a_cvs_command_that_fails_leaves_no_generation(place):
    place.pleach("init", "-q")
    ref = Repository(place, "ref")
    ref.fill("mod", 2)
    check_out(ref, ["one", "other"], "mod", [0, 1])
    ref.cvs("commit", "-m", "first to come", "f1", cwd="one")
    heads = place.heads("repo")
    done = ref.cvs("commit", "-m", "too late", cwd="other", status=1)
    assert "Up-to-date check failed" in done.err
    assert place.heads("repo") == heads
    assert leftovers_of_cvs(ref.root) == []


def together(starts: list) -> list:
    """Starts processes, lets them work, and returns (status, stdout, stderr) of each."""
    with concurrent.futures.ThreadPoolExecutor(len(starts)) as pool:
        processes = [start() for start in starts]
        ends = list(pool.map(lambda process: process.communicate(timeout=LIMIT), processes))
    return [(process.returncode, out.decode(), err.decode())
            for process, (out, err) in zip(processes, ends)]


def starting(ref: Repository, copy: str, options: list, script: str):
    """A run that meets the others when its transaction is open: before it goes on, all are there."""
    meet = f": >../there.{copy}; until test -e ../go; do sleep 0.02; done; "
    return lambda: ref.place.start("run", *options, "repo", "--", "sh", "-c", meet + script,
                                   **{"cwd": ref.path(copy), "env": {**ref.environment, "COPY": copy}})


def at_once(ref: Repository, copies: list, options: list, script: str) -> list:
    """Runs the script in each working copy, in transactions that are all open before the first ends."""
    for name in ("go", *(f"there.{copy}" for copy in copies)):
        if os.path.exists(ref.path(name)):
            os.unlink(ref.path(name))
    starts = [starting(ref, copy, options, script) for copy in copies]

    def opener():
        process = ref.place.start("pin", "repo", "--", "sh", "-c",
                                  " && ".join(f"until test -e there.{copy}; do sleep 0.02; done"
                                              for copy in copies) + "; : >go", cwd=ref.folder)
        return process
    return together([*starts, opener])[:-1]


def committers(place) -> Repository:
    """A repository with a module, and a changed working copy, for each committer."""
    place.pleach("init", "-q")
    ref = Repository(place, "ref")
    for n in range(COMMITTERS):
        for file in ("f0", "f1"):
            put(ref.path("import", f"mod{n}", file), b"text\n")
    ref.cvs("init")
    ref.cvs("import", "-m", "first", ".", "vendor", "start", cwd="import")
    place.pleach("config", "--ref", "repo",
                 "merge=CVSROOT/history:append CVSROOT/val-tags:append")
    return ref


def test_G3_eight_committers_to_different_modules_all_land(place):
    ref = committers(place)
    copies = [f"mod{n}" for n in range(COMMITTERS)]
    ref.read("checkout", *copies)
    for copy in copies:
        ref.change(copy, [0, 1])
    before = len(place.heads("repo"))
    ends = at_once(ref, copies, ["--optimistic"],
                   'cvs -Q commit -m "of $COPY" && cvs -Q tag "tag-$COPY" && cvs -Q update -r "tag-$COPY"')
    assert [status for status, _, _ in ends] == [0] * COMMITTERS, ends
    assert len(place.heads("repo")) == before + COMMITTERS
    for n, copy in enumerate(copies):
        log = ref.read("rlog", f"mod{n}/f1").out
        assert f"of {copy}" in log and f"tag-{copy}: 1.2" in log
    history = get(ref.root + b"/CVSROOT/history").decode()
    val_tags = get(ref.root + b"/CVSROOT/val-tags").decode()
    for copy in copies:
        assert history.count(f"|{copy}|1.2|f") == 2, history
        assert val_tags.count(f"tag-{copy} y\n") == 1, val_tags
    assert leftovers_of_cvs(ref.root) == []
    place.assert_nothing_unfinished()
    place.assert_sound()


def test_G3_of_committers_to_one_file_one_lands_and_each_other_gets_its_conflict(place):
    ref = committers(place)
    copies = [f"copy{n}" for n in range(4)]
    check_out(ref, copies, "mod0", [0])
    before = len(place.heads("repo"))
    ends = at_once(ref, copies, ["--optimistic"], 'cvs -Q commit -m "of $COPY"')
    assert sorted(status for status, _, _ in ends) == [0, 12, 12, 12], ends
    for status, _, err in ends:
        assert status == 0 or "conflict: mod0/f0,v: head: modified, transaction: modified" in err
    assert len(place.heads("repo")) == before + 1
    winner = copies[[status for status, _, _ in ends].index(0)]
    log = ref.read("rlog", "mod0/f0").out
    assert [copy for copy in copies if f"of {copy}" in log] == [winner]
    place.assert_nothing_unfinished()


def test_G3_with_retry_the_losers_hear_of_cvs_that_they_are_not_up_to_date(place):
    """What CVS has noted in the working copy is outside the transaction: each run begins with a fresh one."""
    ref = committers(place)
    copies = [f"copy{n}" for n in range(4)]
    check_out(ref, copies, "mod0", [0])
    for copy in copies:
        shutil.copytree(ref.path(copy), ref.path(copy + ".saved"))
    ends = at_once(ref, copies, ["--optimistic", "--retry", "5"],
                   'rm -rf "../$COPY.run"; cp -a "../$COPY.saved" "../$COPY.run"; cd "../$COPY.run" && '
                   'exec cvs -Q commit -m "of $COPY"')
    assert sorted(status for status, _, _ in ends) == [0, 1, 1, 1], ends
    for status, _, err in ends:
        assert status == 0 or "Up-to-date check failed for `f0'" in err.replace("'f0'", "`f0'"), ends
        assert "conflict" not in err
    place.assert_nothing_unfinished()
    place.assert_sound()
