"""What an ordinary user can publish, and what he is refused clearly (G8): never silence. Also
sources that are none, and what somebody else has put at the public path (G7). PLEACH is the command.

Run by root, the tests of an ordinary user become one.
"""

import os
import pathlib
import shutil
import stat
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
import workplace  # noqa: E402
from workplace import SECOND, get, needs_command, needs_root, put  # noqa: E402
from workplace import fixture_place, fixture_users_place  # noqa: E402,F401

pytestmark = needs_command
HELPS = "--metadata=portable"


@pytest.fixture(name="user")
def fixture_user(users_place):
    """The workplace of an ordinary user, with a generation of `site`."""
    put(users_place.source + b"/sub/file", b"first\n")
    users_place.pleach("init", "-q")
    users_place.pleach("publish", "-q", "site", users_place.source)
    return users_place


# Refused by an ordinary user

def foreign_owner(path: bytes) -> None:
    with workplace.being_root():
        os.chown(put(path, b"x"), 1234, workplace.ORDINARY)


def foreign_group(path: bytes) -> None:
    with workplace.being_root():
        os.chown(put(path, b"x"), workplace.ORDINARY, 1234)


def foreign_directory(path: bytes) -> None:
    with workplace.being_root():
        os.mkdir(path)
        os.chown(path, 1234, 1234)


def foreign_symlink(path: bytes) -> None:
    with workplace.being_root():
        os.symlink(b"x", path)


def capable(path: bytes) -> None:
    put(path, b"x", 0o755)
    with workplace.being_root():
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200040000" + "00" * 12))


REFUSED = {value.__name__: value for value in (foreign_owner, foreign_group, foreign_directory,
                                               foreign_symlink, capable)}


@needs_root
@pytest.mark.parametrize("name", REFUSED)
def test_G8_what_an_ordinary_user_cannot_restore_is_refused_by_name(user, name):
    REFUSED[name](user.source + b"/sub/this one")
    user.refused("publish", "site", user.source, names=["this one"], hint=HELPS)
    user.refused("publish", "new", user.source, names=["this one"], hint=HELPS)
    assert user.json("publish", "site", user.source, status=1)["error"]["path"].endswith("this one")
    assert user.heads("new") == []
    user.assert_nothing_unfinished()
    user.pleach("publish", HELPS, "site", user.source)
    assert user.heads() == [2, 1]
    user.assert_sound()


@needs_root
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_G8_a_device_is_refused_by_name_whatever_the_rule(user, kind):
    with workplace.being_root():
        try:
            os.mknod(user.source + b"/this one", kind | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no devices can be made here, even by root")
        os.chown(user.source + b"/this one", workplace.ORDINARY, workplace.ORDINARY)
    user.refused("publish", "site", user.source, names=["this one"])
    user.refused("publish", HELPS, "site", user.source, names=["this one", "root"])
    user.pleach("publish", "site", user.source, "--exclude", "this one", "-m", "without")
    user.assert_sound()


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o111])
@pytest.mark.parametrize("rule", ["exact", "portable"])
def test_G8_a_file_that_cannot_be_read_is_refused_by_name(user, rule, mode):
    put(user.source + b"/sub/this one", b"x", mode)
    user.refused("publish", "--metadata", rule, "site", user.source,
                 names=["sub/this one", "Permission denied"])
    user.assert_nothing_unfinished()
    os.chmod(user.source + b"/sub/this one", 0o400)
    user.pleach("publish", "site", user.source)
    user.assert_sound()


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o444])
def test_G8_a_directory_that_cannot_be_read_is_refused_by_name(user, mode):
    put(user.source + b"/sub/this one/in it", b"x")
    os.chmod(user.source + b"/sub/this one", mode)
    user.refused("publish", "site", user.source, names=["sub/this one", "Permission denied"])
    os.chmod(user.source + b"/sub/this one", 0o500)
    user.pleach("publish", "site", user.source)
    alike.assert_same_tree(user.source, user.public())
    user.assert_sound()


def test_G8_a_directory_of_root_is_refused_by_name(user):
    """What an ordinary user finds on any machine, without preparation."""
    assert os.stat("/usr").st_uid == 0
    user.refused("publish", "site", "/usr", names=["/usr", "another user"], hint=HELPS)


# Rules that reduce

RULES = {"portable": (0o755, 0o644), "canonical": (0o555, 0o444)}


def two_copies(place) -> list:
    """Of one content, differing in all that the rules leave out."""
    copies = [place.at("one"), place.at("two")]
    for n, copy in enumerate(copies):
        put(copy + b"/plain", b"plain\n", (0o600, 0o664)[n])
        put(copy + b"/program", b"program\n", (0o700, 0o4511)[n])
        put(copy + b"/empty", b"", (0o666, 0o440)[n])
        put(copy + b"/dir/file", b"plain\n")
        os.symlink(b"plain", copy + b"/link")
        os.mkfifo(copy + b"/fifo", (0o600, 0o622)[n])
        os.chmod(copy + b"/dir", (0o700, 0o1777)[n])
        for path, _, _, _ in alike.walk(copy):
            os.utime(copy + b"/" + path, ns=(0, (n + 3) * SECOND), follow_symlinks=False)
    os.setxattr(copies[1] + b"/plain", "user.note", b"x")
    if workplace.is_root and os.geteuid() == 0:
        for path, _, _, _ in alike.walk(copies[1]):
            os.lchown(copies[1] + b"/" + path, 1234, 4321)
    return copies


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("who", ["place", "users_place"])
def test_G8_portable_and_canonical_keep_what_is_documented(request, who, rule):
    place = request.getfixturevalue(who)
    place.pleach("init", "-q")
    one, two = two_copies(place)
    trees = [place.json("publish", f"--metadata={rule}", ref, copy)["tree"]
             for ref, copy in (("one", one), ("two", two))]
    assert trees[0] == trees[1]
    place.pleach("checkout", "two", place.at("out"))
    executable, plain = RULES[rule]
    for copy in (place.public("two"), place.at("out")):
        picture = alike.Picture(copy)
        assert set(picture.entries) == {b"", b"plain", b"program", b"empty", b"dir", b"dir/file",
                                        b"link", b"fifo"}
        for path, entry in picture.entries.items():
            is_link = entry["kind"] == stat.S_IFLNK
            is_executable = path in (b"", b"dir", b"program")
            wanted = 0o777 if is_link else executable if is_executable else plain
            assert (entry["mode"], entry["mtime"]) == (oct(wanted), 0), path
            assert entry["owner"] == (os.geteuid(), os.getegid()) and entry["xattrs"] == (), path
    for line in place.json_lines("ls", "-R", "two"):
        assert (line["uid"], line["gid"], line["xattrs"]) == (None, None, {})
        assert line["mtime"] == "1970-01-01T00:00:00.000000000Z"
    assert place.json("publish", f"--metadata={rule}", "one", two)["unchanged"]
    place.assert_sound()


def test_G8_the_rule_of_the_store_holds_for_its_publishes(users_place):
    place = users_place
    place.pleach("init", "-q", "--metadata", "canonical")
    one, two = two_copies(place)
    place.pleach("publish", "site", one)
    assert place.json("publish", "site", two)["unchanged"]
    assert stat.S_IMODE(os.stat(place.public() + b"/plain").st_mode) == 0o444
    # share=content is their default: equal files are one inode
    assert os.path.samefile(place.public() + b"/plain", place.public() + b"/dir/file")
    place.assert_sound()


# Read-only trees of an ordinary user

def test_G2_read_only_trees_of_an_ordinary_user_roll_over_and_go(users_place):
    place = users_place
    place.pleach("init", "-q")
    place.pleach("config", "grace=0s", "keep-placed=1", "spares=0")
    sub = place.source + b"/a/b"
    for n in range(1, 7):
        for folder in (sub, place.source + b"/a", place.source):
            if os.path.isdir(folder):
                os.chmod(folder, 0o755)
        put(sub + b"/same", b"same\n", 0o444)
        put(sub + b"/number", b"%d\n" % n, 0o444)
        put(place.source + b"/c%d/closed" % n, b"x", 0o400)
        if n > 2:
            os.chmod(place.source + b"/c%d" % (n - 2), 0o700)
            shutil.rmtree(place.source + b"/c%d" % (n - 2))
        for folder in (place.source + b"/c%d" % n, sub, place.source + b"/a", place.source):
            os.chmod(folder, 0o555)
        place.pleach("publish", "site", place.source)
        alike.assert_same_tree(place.source, place.public())
        assert len(place.placed()) == 1
        place.assert_nothing_unfinished()
    place.pleach("rollback", "-q", "site", "@2")
    assert get(place.public() + b"/a/b/number") == b"2\n"
    path = os.fsencode(place.pleach("path", "site@4").out.rstrip("\n"))
    assert get(path + b"/a/b/number") == b"4\n"
    place.pleach("checkout", "site@5", place.at("out"))
    assert stat.S_IMODE(os.stat(place.at("out")).st_mode) == 0o555
    place.assert_sound()
    place.pleach("drop", "-q", "--now", "site@1", "site@3")
    place.assert_sound()
    place.pleach("drop", "-q", "--now", "site")
    assert not os.path.lexists(place.public()) and place.heads() == []
    place.assert_nothing_unfinished()
    place.assert_sound()
    place.pleach("publish", "-q", "site", place.source)
    assert place.heads() == [1]


# Sources that are none

def test_sources_that_are_none_are_refused_by_name(place):
    put(place.source + b"/file", b"x")
    os.symlink(b"nowhere", place.at("dangling"))
    os.mkfifo(place.at("fifo"))
    place.pleach("init", "-q")
    for name in ("./source/file", "./source/file/", "./missing", "missing", "./dangling", "./fifo"):
        place.refused("publish", "new", name, names=[name.rstrip("/")])
        assert place.heads("new") == []
    place.refused("publish", "new", "nosuch@1", status=10, names=["nosuch"])
    place.refused("publish", "new", "", status=(1, 2))
    place.refused("detach", place.at("nothing"), status=10, names=["nothing"])
    place.assert_nothing_unfinished()


def test_the_store_in_the_source_and_the_source_in_the_store_are_refused(place):
    put(place.source + b"/file", b"x")
    place.pleach("init", "-q")
    place.pleach("publish", "-q", "site", place.source)
    tree = os.path.realpath(place.public())
    for source in (place.store, place.public() + b"/", tree, place.inner(), place.inner("tx"),
                   tree + b"/..", place.path):
        place.refused("publish", "new", source, names=["store"])
    os.symlink(place.store, place.at("way in"))
    place.refused("publish", "new", "./way in", names=["store"])
    place.pleach("publish", "new", "--exclude", "/store", place.path)
    assert [line["path"] for line in place.json_lines("ls", "new")] == ["source", "way in"]
    place.assert_sound()


# G7

def foreign_things(path: bytes):
    """Makes each, with a way to look whether it is still the same."""
    put(path, b"mine\n")
    yield lambda: get(path) == b"mine\n"
    os.unlink(path)
    os.mkdir(path)
    yield lambda: os.listdir(path) == []
    put(path + b"/mine", b"mine\n")
    yield lambda: get(path + b"/mine") == b"mine\n"
    shutil.rmtree(path)
    for target in (b"elsewhere", b".pleach/refs/other/public/tree", b"/", b"."):
        os.symlink(target, path)
        yield lambda: os.readlink(path) == target  # pylint: disable=cell-var-from-loop
        os.unlink(path)
    os.mkfifo(path)
    yield lambda: stat.S_ISFIFO(os.lstat(path).st_mode)
    os.unlink(path)


@pytest.mark.parametrize("state", ["a new ref", "a ref with generations"])
def test_G7_what_is_not_ours_at_the_public_path_stays(place, state):
    put(place.source + b"/file", b"one\n")
    place.pleach("init", "-q")
    heads = []
    if state != "a new ref":
        place.pleach("publish", "-q", "site", place.source)
        put(place.source + b"/file", b"two\n")
        place.pleach("publish", "-q", "site", place.source)
        put(place.source + b"/file", b"three\n")
        os.unlink(place.public())
        heads = [2, 1]
    for is_untouched in foreign_things(place.public()):
        place.refused("publish", "site", place.source, names=["store/site"])
        if heads:
            place.refused("rollback", "site", names=["store/site"])
        assert is_untouched()
        assert place.heads() == heads
        place.assert_nothing_unfinished()
    place.pleach("publish", "site", place.source)
    assert place.heads() == [len(heads) + 1, *heads]
    for is_untouched in foreign_things_after_removing(place.public()):
        place.pleach("drop", "-q", "--now", "site")
        assert is_untouched()
        os.unlink(place.public())
        place.pleach("publish", "-q", "site", place.source)
    place.assert_sound()


def foreign_things_after_removing(path: bytes):
    os.unlink(path)
    put(path, b"mine\n")
    yield lambda: get(path) == b"mine\n"
    os.unlink(path)
    os.symlink(b"elsewhere", path)
    yield lambda: os.readlink(path) == b"elsewhere"


def test_G7_a_checkout_replaces_nothing(place):
    put(place.source + b"/file", b"one\n")
    place.pleach("init", "-q")
    place.pleach("publish", "-q", "site", place.source)
    out = place.at("out")
    put(out + b"/mine", b"mine\n")
    place.refused("checkout", "site", out, names=["out"], hint="--update")
    assert os.listdir(out) == [b"mine"]
    put(place.at("plain"), b"mine\n")
    place.refused("checkout", "site", place.at("plain"), names=["plain"])
    assert get(place.at("plain")) == b"mine\n"
    place.pleach("checkout", "--update", "site", out)
    assert sorted(os.listdir(out)) == [b"file", b"mine"]
    assert not [name for name in os.listdir(place.path) if name.startswith(b".pleach")]


# Another user than the owner of the store

@needs_root
def test_who_does_not_own_the_store_may_look_and_not_write(place):
    place.command = workplace.copy_command(place.at("command"))
    put(place.source + b"/file", b"one\n")
    place.pleach("init", "-q")
    place.pleach("publish", "-q", "site", place.source)
    before = place.refs()
    other = {"user": workplace.ORDINARY}
    for words in (("publish", "site", place.source), ("publish", "new", place.source),
                  ("rollback", "site"), ("tag", "site", "v1"), ("config", "grace=1h"),
                  ("drop", "site@1"), ("attach", "site", place.at("there")), ("cat", "site:file"),
                  ("ls", "site"), ("diff", "site"), ("check",), ("checkout", "site", "out")):
        place.refused(*words, names=["only its owner may"], **other)
    path = os.fsencode(place.pleach("path", "site", **other).out.rstrip("\n"))
    assert get(path + b"/file") == b"one\n"
    held = place.pleach("pin", "site", "--", "cat", place.public() + b"/file", **other)
    assert held.out == "one\n"
    assert place.pleach("pin", "site", **other).out.rstrip("\n") == os.fsdecode(path)
    assert len(place.json_lines("log", "site", **other)) == 1
    assert place.json("status", **other)["refs"][0]["head"] == 1
    assert place.refs() == before
    place.assert_sound()


@needs_root
def test_root_may_not_write_into_the_store_of_another_user(user):
    user.command, source = workplace.PLEACH, user.source
    before = user.refs()
    with workplace.being_root():
        for words in (("publish", "site", source), ("rollback", "site"), ("tag", "site", "v1")):
            user.refused(*words, user=0, names=["only its owner may"])
        user.pleach("check", user=0)
    assert user.refs() == before
