"""Disks that are full, read-only, or count their links (G2): on images of ext4 of their own, as
root; a limit on file sizes as anyone. PLEACH is the command.
"""

import contextlib
import errno
import os
import pathlib
import random
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from disk import btrfs, ext4, filled, mount  # noqa: E402
from workplace import get, limit_file_size, needs_command, needs_root, put  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = needs_command
MIB = 1 << 20


def fill_source(place, number: int, large: int = 0) -> None:
    for n in range(20):
        put(place.source + b"/sub%d/file" % n, b"file %d of tree %d\n" % (n, number))
    put(place.source + b"/number", b"%d\n" % number)
    if large:
        put(place.source + b"/large", random.Random(number).randbytes(large))


def assert_reading_commands_work(place, number: int) -> None:
    for words in (("log", "site"), ("ls", "-R", "site"), ("cat", "site:number"), ("diff", "site"),
                  ("status",), ("path", "site"), ("path", "site:number"), ("check",),
                  ("pin", "site", "--", "true"), ("tag", "site"), ("config",)):
        place.pleach(*words)
    assert place.pleach("cat", "site:number").out == f"{number}\n"
    assert get(place.public() + b"/number") == b"%d\n" % number
    out = place.at(f"out{number}-{len(os.listdir(place.path))}")
    place.pleach("checkout", "site", out)
    alike.assert_same_tree(place.public(), out)


# A full disk

@needs_root
@pytest.mark.parametrize("left_kib", [0, 8, 64, 400, 1500, 4000, 8000])
def test_G2_a_publish_on_a_full_disk_changes_nothing_and_says_so(place, left_kib):
    with ext4(place) as disk:
        fill_source(place, 1)
        place.pleach("init", "-q")
        place.pleach("publish", "-q", "site", place.source)
        fill_source(place, 2, large=10 * MIB)
        with filled(disk, left_kib):
            for ref in ("site", "new"):
                done = place.refused("publish", ref, place.source, status=14)
                assert "No space left" in done.err or "full" in done.err
                assert "'" in done.err.splitlines()[0], done  # what it was about
            error = place.json("publish", "site", place.source, status=14)["error"]
            assert error["code"] == "no-space"
            assert_reading_commands_work(place, 1)
            assert os.listdir(place.inner("tx")) == []
        assert place.heads() == [1] and place.heads("new") == []
        place.assert_sound()
        place.pleach("publish", "-q", "site", place.source)
        alike.assert_same_tree(place.source, place.public())
        place.assert_nothing_unfinished()
        place.assert_sound()


@needs_root
def test_G2_a_disk_that_is_nearly_full_takes_what_fits(place):
    """Every publish either fits or says that it does not; never a half of it."""
    with ext4(place) as disk:
        fill_source(place, 1)
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0")
        place.pleach("publish", "-q", "site", place.source)
        shown, statuses = 1, set()
        for number, left_kib in enumerate(range(100, 4100, 250), 2):
            fill_source(place, number, large=MIB)
            with filled(disk, left_kib):
                status = place.pleach("publish", "site", place.source, status=(0, 14)).status
            statuses.add(status)
            shown = number if status == 0 else shown
            assert get(place.public() + b"/number") == b"%d\n" % shown
            place.pleach("check", "-q")
        assert statuses == {0, 14}
        fill_source(place, 99)
        place.pleach("publish", "-q", "site", place.source)
        place.assert_nothing_unfinished()
        place.assert_sound()


@needs_root
@pytest.mark.parametrize("setting", ["max-size=1G", "keep=1"])
def test_a_publish_on_a_full_disk_makes_room_where_generations_may_go(place, setting):
    with ext4(place) as disk:
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0", "auto-gc=off", setting)
        total = os.statvfs(disk).f_blocks * os.statvfs(disk).f_frsize
        size = total // 8
        for number in range(1, 17):
            fill_source(place, number, large=size)
            place.pleach("publish", "-q", "site", place.source)
        alike.assert_same_tree(place.source, place.public())
        dropped = [g for g in place.pleach("--json", "log", "site").out.splitlines()
                   if '"dropped"' in g]
        assert len(dropped) >= 8
        assert place.heads()[0] == 16
        # Where none may go it is full, as ever.
        for number in place.heads():
            place.pleach("tag", "site", f"keep{number}", f"@{number}", status=(0, 10))
        fill_source(place, 99, large=6 * size)
        done = place.refused("publish", "site", place.source, status=14)
        assert "hint: nothing more can go" in done.err
        assert place.heads()[0] == 16
        place.assert_nothing_unfinished()
        place.assert_sound()


def kept(place) -> list:
    """The generations that were not dropped, newest first."""
    return [line["generation"] for line in place.log() if line["state"] == "kept"]


def fill_with_many(place, number: int, count: int = 60) -> None:
    fill_source(place, number)
    for n in range(count):
        put(place.source + b"/many/%d" % n, b"file %d of tree %d\n" % (n, number))


def take_all_inodes(disk: bytes) -> None:
    for n in range(4000):
        try:
            os.close(os.open(disk + b"/ballast%d" % n, os.O_CREAT | os.O_WRONLY))
        except OSError as error:
            assert error.errno == errno.ENOSPC
            break
    assert os.statvfs(disk).f_favail == 0


@needs_root
def test_a_disk_without_inodes_left_can_be_made_room_on(place):
    with ext4(place, "-N", "2000") as disk:
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0", "auto-gc=off", "max-size=1G")
        for number in range(1, 5):
            fill_with_many(place, number)
            place.pleach("publish", "-q", "site", place.source)
        reserve = os.listdir(place.inner("cache", "reserve"))
        assert len(reserve) >= 16
        take_all_inodes(disk)
        assert "dropped" in place.pleach("drop", "--now", "site@1").out
        assert place.json("gc")["objects"] > 0
        assert os.statvfs(disk).f_favail > 60
        assert sorted(os.listdir(place.inner("cache", "reserve"))) == sorted(reserve)
        place.assert_nothing_unfinished()
        take_all_inodes(disk)
        fill_source(place, 5)
        for n in range(60):
            os.unlink(place.source + b"/many/%d" % n)
        place.pleach("publish", "-q", "site", place.source)
        assert 2 not in kept(place)
        place.assert_nothing_unfinished()
        place.assert_sound()


@needs_root
def test_G2_a_disk_without_inodes_left_is_full(place):
    with ext4(place, "-N", "600") as disk:
        fill_source(place, 1)
        place.pleach("init", "-q")
        place.pleach("publish", "-q", "site", place.source)
        for n in range(600):
            put(place.source + b"/many/%d" % n, b"%d\n" % n)
        place.refused("publish", "site", place.source, status=14)
        take_all_inodes(disk)
        place.refused("publish", "site", place.source, status=14)
        place.refused("rollback", "site", "@1", "--if-head", "1", status=(10, 14))
        assert_reading_commands_work(place, 1)
        for name in os.listdir(disk):
            if name.startswith(b"ballast"):
                os.unlink(disk + b"/" + name)
        place.pleach("publish", "-q", "--exclude", "many", "-m", "less", "site", place.source)
        place.assert_sound()


@needs_root
def test_a_publish_on_a_disk_without_inodes_makes_room_part_by_part(place):
    """Nearly all bytes are free: they are not what is missing, and nothing goes for them."""
    with ext4(place, "-N", "2000") as disk:
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0", "auto-gc=off", "max-size=1G")
        least = 99
        for number in range(1, 31):
            fill_with_many(place, number)
            place.pleach("publish", "-q", "site", place.source)
            if number > 12:
                least = min(least, len(kept(place)))
        assert kept(place)[0] == 30 and kept(place) == list(range(30, 30 - len(kept(place)), -1))
        assert 4 <= least and len(kept(place)) < 20  # some went, and no more than were needed
        state = os.statvfs(disk)
        assert state.f_bavail > state.f_blocks / 2
        place.assert_nothing_unfinished()
        place.assert_sound()
        # Where none may go it is full, as ever.
        for number in kept(place):
            place.pleach("tag", "-q", "site", f"keep{number}", f"@{number}")
        before = kept(place)
        fill_with_many(place, 99, count=1000)
        done = place.refused("publish", "site", place.source, status=14)
        assert "hint: nothing more can go" in done.err
        assert kept(place) == before
        place.assert_nothing_unfinished()


def limit_store(place, disk: bytes, size_mib: int) -> None:
    """By a quota of btrfs, where the store is a subvolume."""
    inner = os.path.join(place.store, b".pleach")
    subvolume = next(path for path in (inner, place.store) if os.stat(path).st_ino == 256)
    for words in (("quota", "enable", disk), ("qgroup", "limit", f"{size_mib}M", subvolume)):
        done = subprocess.run(["btrfs", *words], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            pytest.skip(f"no quota to be had here: {done.stdout.decode().strip()}")


@needs_root
def test_a_publish_that_meets_a_quota_makes_room_part_by_part(place):
    """Much more is free on the disk: nobody knows how much may be had of it."""
    with btrfs(place) as disk:
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0", "auto-gc=off", "max-size=1G")
        limit_store(place, disk, 60)
        for number in range(1, 16):
            fill_source(place, number, large=8 * MIB)
            place.pleach("publish", "-q", "site", place.source)
        assert kept(place)[0] == 15 and 3 <= len(kept(place)) <= 7
        state = os.statvfs(disk)
        assert state.f_bavail > state.f_blocks / 3
        place.assert_nothing_unfinished()
        place.assert_sound()


@needs_root
def test_a_disk_that_is_full_to_the_last_block_can_be_made_room_on(place):
    with ext4(place) as disk:
        place.pleach("init", "-q")
        place.pleach("config", "grace=0s", "keep-placed=1", "spares=0")
        for number in (1, 2, 3):
            fill_source(place, number, large=2 * MIB)
            place.pleach("publish", "-q", "site", place.source)
        with filled(disk, 0):
            place.refused("publish", "site", place.source, "-m", "again", "--if-head", "2",
                          status=(12, 14))
            assert "dropped" in place.pleach("drop", "--now", "site@1").out
            before = os.statvfs(disk).f_bfree
            result = place.json("gc")
            assert result["objects"] > 0 and result["complete"]
            assert (os.statvfs(disk).f_bfree - before) * os.statvfs(disk).f_frsize > MIB
            assert os.stat(place.inner("reserve")).st_size == MIB
            fill_source(place, 4)
            os.unlink(place.source + b"/large")
            place.pleach("publish", "-q", "site", place.source)
        assert get(place.public() + b"/number") == b"4\n"
        place.assert_nothing_unfinished()
        place.assert_sound()


@needs_root
def test_a_full_disk_under_a_checkout_leaves_nothing_of_it(place):
    fill_source(place, 1, large=10 * MIB)
    place.pleach("init", "-q")
    place.pleach("publish", "-q", "site", place.source)
    store = place.store
    with ext4(place) as disk:
        place.store = store
        with filled(disk, 4000):
            place.refused("checkout", "site", disk + b"/out", status=14)
            assert sorted(os.listdir(disk)) == [b"ballast", b"lost+found"]
        place.pleach("checkout", "site", disk + b"/out")
        alike.assert_same_tree(place.source, disk + b"/out")


@pytest.mark.parametrize("limit", [0, 100, 4096, 65536])
def test_G2_a_limit_on_file_sizes_is_no_space(place, limit):
    fill_source(place, 1)
    place.pleach("init", "-q")
    place.pleach("publish", "-q", "site", place.source)
    fill_source(place, 2, large=MIB)
    limited = {"preexec_fn": limit_file_size(limit)}
    for ref in ("site", "new"):
        done = place.refused("publish", ref, place.source, status=14, **limited)
        assert "File too large" in done.err
    assert os.listdir(place.inner("tx")) == []
    place.refused("checkout", "site", place.at("out"), status=14,
                  preexec_fn=limit_file_size(1))
    assert not os.path.lexists(place.at("out"))
    place.assert_sound()
    place.pleach("publish", "-q", "site", place.source)
    alike.assert_same_tree(place.source, place.public())
    place.assert_sound()


# A read-only file system

@needs_root
def test_a_read_only_file_system_can_be_read_and_not_published_to(place):
    with ext4(place) as disk:
        place.pleach("init", "-q")
        for number in (1, 2):
            fill_source(place, number)
            place.pleach("publish", "-q", "site", place.source)
        place.pleach("tag", "-q", "site", "v1", "@1")
        place.pleach("path", "site@1")
        fill_source(place, 3)
        before = alike.Picture(place.store)
        mount(b"none", disk, "-o", "remount,ro")
        try:
            with pytest.raises(OSError):
                put(disk + b"/x")
            assert_reading_commands_work(place, 2)
            place.pleach("path", "site@1")
            assert place.pleach("cat", "site@v1:number").out == "1\n"
            assert place.pleach("diff", "site", place.source).out
            assert place.pleach("publish", "-n", "site", place.source).out
            for words in (("publish", "site", place.source), ("publish", "new", place.source),
                          ("rollback", "site"), ("tag", "site", "v2"), ("drop", "site@1"),
                          ("config", "grace=1h"), ("attach", "site", place.at("there"))):
                assert "read-only" in place.refused(*words).err.lower(), words
            assert not os.path.lexists(place.at("there"))
        finally:
            mount(b"none", disk, "-o", "remount,rw")
        alike.assert_pictures_agree(before, alike.Picture(place.store))
        place.pleach("publish", "-q", "site", place.source)
        place.assert_sound()


# Links

LINKS = 65000  # that ext4 gives an inode


def fill_with_equals(place, first: int, end: int) -> None:
    for n in range(first, end):
        fd = os.open(place.source + b"/%d/%d" % (n % 66, n), os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, b"equal\n")
        os.close(fd)


def inodes_of_equals(tree: bytes) -> dict:
    """Of each inode the names that it has in the tree, and the links that it has in all."""
    inodes: dict = {}
    for _, _, _, info in alike.walk(tree):
        if info.st_size == len(b"equal\n"):
            names, _ = inodes.get(info.st_ino, (0, 0))
            inodes[info.st_ino] = (names + 1, info.st_nlink)
    return inodes


@needs_root
@pytest.mark.parametrize("counts", [(66000,), (32400, 33000)])
def test_more_names_than_an_inode_takes_links_are_private_copies(place, counts):
    """In one tree, or in those that are placed together."""
    with ext4(place, "-N", "150000") as disk:
        place.source = disk + b"/source"
        place.pleach("init", "-q", "--metadata", "portable", "--share", "content")
        place.pleach("config", "durability=none")
        os.mkdir(place.source)
        for folder in range(66):
            os.mkdir(place.source + b"/%d" % folder)
        before = 0
        for count in counts:
            fill_with_equals(place, before, count)
            place.pleach("publish", "-q", "site", place.source)
            before = count
        inodes = inodes_of_equals(place.public())
        shared = max(inodes.values())
        assert sum(names for names, _ in inodes.values()) == counts[-1]
        assert LINKS - 1 <= shared[1] <= LINKS  # the name in tx that it had meanwhile was one more
        assert shared[0] > LINKS - sum(counts[:-1]) - 10
        assert len(inodes) > 1
        place.pleach("check", "-q")
        assert place.json("publish", "site", place.source)["unchanged"]


@needs_root
@pytest.mark.parametrize("count", [33000, LINKS - 2])
def test_G8_a_group_of_nearly_as_many_names_as_an_inode_takes_comes_back(place, count):
    """Also when it is placed twice, and with the names that the store needs itself."""
    with ext4(place) as disk:
        source = disk + b"/source"
        first = put(source + b"/0/first", b"equal\n")
        for n in range(1, 66):
            os.mkdir(source + b"/%d" % n)
        for n in range(1, count):
            os.link(first, source + b"/%d/%d" % (n % 66, n))
        place.pleach("init", "-q")
        place.pleach("config", "durability=none")
        for generation in range(3):
            put(source + b"/generation", b"%d\n" % generation)
            place.pleach("publish", "-q", "site", source)
            inodes = inodes_of_equals(place.public())
            assert [names for names, _ in inodes.values()] == [count]
        place.pleach("check", "-q")
