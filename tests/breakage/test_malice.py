"""Somebody who means harm works beside the command: directories turn into symlinks to what is not his while they are
walked (G7, G10). docs/threat-model.md tells whom pleach defends against whom.

The attacker is a process of its own, which swaps by exchange, so that at every moment one of the two is there.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from workplace import being_root, erase, needs_command, needs_root, put  # noqa: E402
from workplace import fixture_place, fixture_users_place  # noqa: E402,F401

pytestmark = needs_command

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
SECRET = b"not to be seen by anyone\n"
ROUNDS = 40


def exchange(one: bytes, other: bytes) -> bool:
    return LIBC.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0


def swap_until_told(pairs, ready: int) -> None:
    stop: list = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    os.close(ready)
    while not stop:
        for one, other in pairs:
            if exchange(one, other):
                exchange(one, other)


@contextlib.contextmanager
def swapping(pairs):
    """While this is open, each (name, other) changes places all the time. At the end all are where they were."""
    began, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            swap_until_told(pairs, ready)
        finally:
            os._exit(0)
    os.close(ready)
    os.read(began, 1)
    os.close(began)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def contents(root: bytes) -> dict:
    """What is there: of each name its inode, links, mode, owner, times and content."""
    found = {}
    for directory, below, names in os.walk(root):
        for name in below + names:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            data = b""
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
            found[path] = (st.st_ino, st.st_nlink, st.st_mode, st.st_uid, st.st_mtime_ns, st.st_ctime_ns, data)
    return found


def victim_of(place) -> bytes:
    victim = place.at("victim")
    for i in range(4):
        put(os.path.join(victim, b"d", b"file%d" % i), SECRET)
    return victim


def find(root: bytes, data: bytes) -> list:
    return [path for path, what in contents(root).items() if data in what[-1]]


def test_G10_a_source_that_turns_into_symlinks_lends_nothing_from_outside(place):
    place.pleach("init")
    victim = victim_of(place)
    for i in range(6):
        for j in range(4):
            put(os.path.join(place.source, b"d%d" % i, b"d", b"file%d" % j), b"mine %d %d\n" % (i, j))
    pairs = []
    for i in range(6):
        other = place.at(f"link{i}")
        os.symlink(victim, other)
        pairs.append((os.path.join(place.source, b"d%d" % i), other))
    with swapping(pairs):
        for i in range(ROUNDS):
            put(os.path.join(place.source, b"turn"), b"%d" % i)
            place.pleach("publish", "site", place.source + b"/", status=(0, 1))
    # Both are honest: a directory, or the symlink itself. What it leads to is nobody's business.
    for line in place.log():
        tree = place.at("out")
        place.pleach("checkout", f"site@{line['generation']}", tree)
        assert find(tree, SECRET) == []
        erase(tree)
    assert find(place.inner("objects"), SECRET) == []
    place.assert_sound()


def test_G7_sharing_equal_files_replaces_none_outside_of_what_was_named(place):
    victim = victim_of(place)
    mine, pairs = place.at("mine"), []
    for i in range(6):
        for j in range(4):
            put(os.path.join(mine, b"d%d" % i, b"d", b"file%d" % j), SECRET)
        other = place.at(f"link{i}")
        os.symlink(victim, other)
        pairs.append((os.path.join(mine, b"d%d" % i), other))
    before = contents(victim)
    with swapping(pairs):
        for _ in range(ROUNDS):
            place.pleach("dedup", "--how=link", mine, status=(0, 1, 3))
            put(os.path.join(mine, b"more"), SECRET)
    assert contents(victim) == before


def test_G7_a_checkout_into_a_directory_that_is_swapped_writes_nowhere_else(place):
    place.pleach("init")
    victim = victim_of(place)
    for j in range(4):
        put(os.path.join(place.source, b"d", b"file%d" % j), b"published\n")
    place.pleach("publish", "site", place.source + b"/")
    os.mkdir(place.at("into"))
    os.symlink(victim, place.at("link"))
    before = contents(victim)
    for i in range(ROUNDS):
        with swapping([(place.at("into"), place.at("link"))]):
            place.pleach("checkout", "site", place.at("into", f"out{i}"), status=None)
        # Whose path led there at the start got it there, whole or not at all; nothing that was there is touched.
        for where in (place.at("into"), victim):
            out = os.path.join(where, b"out%d" % i)
            if os.path.lexists(out):
                erase(out)
    after = contents(victim)
    assert {path: what for path, what in after.items() if path in before} == before
    assert set(after) == set(before)


def roots_store(place) -> bytes:
    """Another store, of root, which looks in all its parts as what a collection takes away."""
    store, source = place.at("roots"), place.at("roots-source")
    with being_root():
        for turn in range(3):
            put(os.path.join(source, b"file"), b"of root %d" % turn)
            place.pleach("--store", store, *(("init",) if turn == 0 else ("config", "grace=0")), user=0)
            place.pleach("--store", store, "publish", "site", source + b"/", user=0)
        for where, name in (("tx", "1" * 24), ("trash", "1" * 24)):
            put(os.path.join(store, b".pleach", os.fsencode(where), os.fsencode(name), b"lock"))
            put(os.path.join(store, b".pleach", os.fsencode(where), os.fsencode(name), b"file"), b"of root")
    return store


@needs_root
@pytest.mark.parametrize("command", [("gc",), ("check",), ("status",), ("du",), ("log", "site")])
def test_G7_root_in_a_store_of_somebody_else_touches_nothing_outside(users_place, command):
    """He plants symlinks to a store of root's wherever root could walk, and swaps directories for them meanwhile."""
    place = users_place
    victim = roots_store(place)
    place.pleach("init")
    place.pleach("config", "grace=0")
    for turn in range(3):
        put(os.path.join(place.source, b"d", b"file"), b"%d" % turn)
        place.pleach("publish", "site", place.source + b"/")
    pairs = []
    for number, where in enumerate(["trees", "tx", "trash", "objects", "nodes", "cache", "refs/site/gen"]):
        other = place.at(f"link{number}")
        os.symlink(os.path.join(victim, b".pleach", os.fsencode(where)), other)
        pairs.append((place.inner(where), other))
    os.symlink(os.path.join(victim, b".pleach/tx", b"1" * 24), place.inner("tx", "2" * 24))
    os.symlink(os.path.join(victim, b".pleach/trash", b"1" * 24), place.inner("trash", "2" * 24))
    with being_root():
        before = contents(victim)
    with swapping(pairs):
        for _ in range(ROUNDS // 2):
            with being_root():
                place.pleach(*command, status=None, user=0, timeout=120)
    for one, other in pairs:  # and from beginning to end
        assert exchange(one, other)
        with being_root():
            place.pleach(*command, status=None, user=0, timeout=120)
        assert exchange(one, other)
    with being_root():
        assert contents(victim) == before


def test_what_is_inside_is_for_its_owner_alone(place):
    """There is no way to an object but through the modes of a placed tree."""
    place.pleach("init")
    put(os.path.join(place.source, b"file"), b"x", 0o600)
    place.pleach("publish", "site", place.source + b"/")
    for name, mode in {"objects": 0o700, "nodes": 0o700, "tx": 0o700, "trash": 0o700, "cache": 0o700}.items():
        assert os.lstat(place.inner(name)).st_mode & 0o777 == mode, name
    tree = place.placed()[0]
    assert os.lstat(place.inner("trees", tree)).st_mode & 0o777 == 0o711
    assert os.lstat(place.inner("trees", tree, "users")).st_mode & 0o777 == 0o700
    assert os.lstat(place.inner("refs", "site", "lock")).st_mode & 0o777 == 0o600


@needs_root
def test_what_a_hostile_umask_and_environment_ask_for_is_not_done(place):
    """Set before the command is started: a umask that takes all, one that takes nothing, variables that name its files."""
    for number, umask in enumerate((0o777, 0)):
        store = place.at(f"store{number}")
        environment = {**place.environment, "TMPDIR": "/nonexistent", "HOME": "/nonexistent", "LD_DEBUG": "",
                       "PLEACH_TX": "../../../etc", "XDG_CACHE_HOME": "/nonexistent", "IFS": "/"}
        put(os.path.join(place.source, b"file"), b"x", 0o640)
        for arguments in (("init",), ("publish", "site", place.source + b"/"), ("check", "-q"), ("gc",)):
            place.pleach("--store", store, *arguments, env=environment,
                         preexec_fn=lambda umask=umask: os.umask(umask) and None)
        assert os.lstat(os.path.join(store, b".pleach", b"objects")).st_mode & 0o777 == 0o700
        assert os.lstat(os.path.join(store, b".pleach")).st_mode & 0o777 == 0o755
        assert os.stat(os.path.join(store, b"site", b"file")).st_mode & 0o777 == 0o640
