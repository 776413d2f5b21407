"""`pleach` and the independent reader agree on every store that `pleach` makes.

Each tree is published under each metadata rule: the reader finds no fault, lists what `ls` lists,
and, with `exact`, what lstat(2) says of the source. A history with tags, attachments, a rollback
and drops is verified after each step. Both find every single flipped byte. PLEACH is the command.
"""

import base64
import errno
import json
import os
import pathlib
import shutil
import socket
import stat
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import reader  # noqa: E402

PLEACH = os.environ.get("PLEACH", "")
pytestmark = pytest.mark.skipif(not PLEACH, reason="PLEACH is not set")
is_root = os.geteuid() == 0
SECOND = 1000000000


class Workplace:
    """A directory with a store and a source."""

    def __init__(self, path: pathlib.Path):
        self.path = os.fsencode(path)
        self.store = os.path.join(self.path, b"store")
        self.source = os.path.join(self.path, b"source")
        os.mkdir(self.source, 0o755)

    def pleach(self, *arguments, status: int = 0) -> bytes:
        """Runs the command on the store; returns what it prints."""
        done = subprocess.run([PLEACH, "--store", self.store, *arguments], cwd=self.path,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout

    def json_lines(self, *arguments) -> list:
        return [json.loads(line) for line in self.pleach("--json", *arguments).splitlines()]

    def publish(self, ref: str, *arguments) -> None:
        self.pleach("publish", "-q", *arguments, ref, self.source)

    def tree(self, ref: str, generation: int = 0) -> str:
        lines = list(reader.list_log(self.store, ref))
        return next(line["tree"] for line in lines
                    if generation in (0, line["generation"]))

    def inner(self, *names) -> bytes:
        return os.path.join(self.store, b".pleach", *map(os.fsencode, names))

    def assert_sound(self) -> None:
        assert reader.verify(self.store) == ([], [])


@pytest.fixture
def place(tmp_path):
    os.umask(0o022)
    place = Workplace(tmp_path)
    yield place
    # Read-only and very deep directories are left to tools that can.
    subprocess.run(["chmod", "-R", "u+rwX", place.path], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", "--", place.store, place.source], check=False)


# Trees

def put(root: bytes, name: bytes, data: bytes = b"", mode: int = 0o644) -> bytes:
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)
    return path


def settle(path: bytes, mtime: int) -> None:
    os.utime(path, ns=(0, mtime), follow_symlinks=False)


def put_xattr(path: bytes, name: bytes, value: bytes) -> bool:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL):
            return False
        raise
    return True


def tree_empty(root: bytes) -> None:
    settle(root, 5)


def tree_plain(root: bytes) -> None:
    put(root, b"a", b"one\n")
    put(root, b"b", b"two\n", 0o755)
    put(root, b"empty")
    put(root, b"sub/a", b"one\n")
    put(root, b"sub!", b"sorts between sub and what is below it, or not")
    put(root, b"sub/deeper/c", bytes(range(256)) * 1024)
    put(root, b"sub/deeper/again", b"one\n")
    os.mkdir(root + b"/hollow", 0o700)


def tree_names(root: bytes) -> None:
    for name in (b"new\nline", b"bad\xff\xfe", b"-dash", b"--store", b"...", b" ", b"\x01\x7f",
                 b"%41%", b"'\"\\", b"\xed\xa0\x80", "ü\u2028".encode(), b"*", b"n" * 255,
                 b"\xff" * 255, b"tree", b".hidden", b".pleach-x", b"=", b"a=b", b"a:b", b"@1"):
        put(root, name, b"of " + name)
        put(root, b"dir-" + name[:250] + b"/" + name, name)


def tree_links(root: bytes) -> None:
    """Groups of the root, of directories below, one inside another's reach, of any kind."""
    first = put(root, b"first", b"first\n")
    put(root, b"x/y/z/own", b"own\n")
    for name in (b"x/first", b"x/y/z/first", b"w-first"):
        os.makedirs(os.path.dirname(root + b"/" + name), exist_ok=True)
        os.link(first, root + b"/" + name)
    os.link(root + b"/x/y/z/own", root + b"/x/y/own")
    os.link(root + b"/x/y/z/own", root + b"/x/y/z/own2")
    put(root, b"x/pair1", b"first\n")
    os.link(root + b"/x/pair1", root + b"/x/pair2")
    put(root, b"single", b"first\n")
    os.link(put(root, b"empty1"), root + b"/x/empty2")
    os.symlink(b"first", root + b"/link1")
    os.link(root + b"/link1", root + b"/x/link2", follow_symlinks=False)
    os.mkfifo(root + b"/pipe1")
    os.link(root + b"/pipe1", root + b"/x/pipe2")
    os.link(put(root, b"outside-too", b"has a name elsewhere\n"), root + b".elsewhere")


def tree_many_groups(root: bytes) -> None:
    """More than a block holds, and a group that alone is more."""
    for n in range(220):
        path = put(root, b"%03d-" % n + b"a" * 200, b"%d" % n)
        os.link(path, root + b"/%03d-" % n + b"b" * 200)
    os.mkdir(root + b"/sub")
    path = put(root, b"sub/" + b"c" * 250, b"many")
    for n in range(300):
        os.link(path, root + b"/sub/%03d-" % n + b"d" * 240)


def tree_kinds(root: bytes) -> None:
    os.mkfifo(root + b"/fifo", 0o620)
    folder = os.open(root, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"/proc/self/fd/%d/socket" % folder)
    os.close(folder)
    os.symlink(b"elsewhere \xff\n", root + b"/link")
    os.symlink(b"t" * 4000, root + b"/long link")
    os.symlink(b"/", root + b"/absolute")
    os.symlink(b"link to itself", root + b"/link to itself")
    for mode in (0o400, 0o444, 0o555, 0o600, 0o666, 0o711, 0o1644, 0o2755, 0o4755, 0o6711, 0o7777):
        put(root, b"mode-%04o" % mode, b"%o" % mode, mode)
    for mode in (0o500, 0o555, 0o1777, 0o2755, 0o3770):
        os.mkdir(root + b"/dir-%04o" % mode)
        put(root, b"dir-%04o/in" % mode, b"in")
        os.chmod(root + b"/dir-%04o" % mode, mode)
    with open(root + b"/sparse", "wb") as file:
        file.write(b"begin")
        file.seek(9 << 20)
        file.write(b"end")
        file.truncate(12 << 20)
    with open(root + b"/hole", "wb") as file:
        file.truncate(5 << 20)


def tree_times(root: bytes) -> None:
    for n, mtime in enumerate((0, 1, -1, -SECOND, 999999999, 1709210096789012345,
                               2147483648 * SECOND, -2147483648 * SECOND)):
        settle(put(root, b"f%d" % n, b"%d" % n), mtime)
        os.mkdir(root + b"/d%d" % n)
        os.symlink(b"x", root + b"/d%d/l" % n)
        settle(root + b"/d%d/l" % n, mtime)
        settle(root + b"/d%d" % n, mtime)
    settle(root, -1)


def acl(*entries) -> bytes:
    """The bytes of system.posix_acl_*: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def tree_xattrs(root: bytes) -> None:
    path = put(root, b"file", b"x")
    put_xattr(path, b"user.b", b"\0\xff")
    put_xattr(path, b"user.a", b"")
    put_xattr(path, b"user.\xc3\xa4", b"umlaut")
    os.mkdir(root + b"/dir")
    put_xattr(root + b"/dir", b"user.on-a-directory", b"y" * 200)
    put_xattr(root + b"/dir", b"user.overlay.looks-like", b"y")
    put_xattr(put(root, b"large", b"x"), b"user.large", b"v" * 3000)
    none = 0xFFFFFFFF
    access = acl((1, 6, none), (2, 4, 12345), (4, 4, none), (16, 4, none), (32, 4, none))
    put_xattr(put(root, b"acl", b"x"), b"system.posix_acl_access", access)
    os.mkdir(root + b"/default-acl")
    put_xattr(root + b"/default-acl", b"system.posix_acl_default", access)
    put(root, b"default-acl/inherits", b"x")
    os.mkdir(root + b"/default-acl/dir")
    put_xattr(root, b"user.of-the-root", b"z")


def tree_deep(root: bytes) -> None:
    """A thousand levels, and a path far beyond PATH_MAX."""
    for name, depth in ((b"d", 1000), (b"n" * 255, 60)):
        at = os.open(root, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir(name, 0o755, dir_fd=at)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        leaf = os.open(b"leaf", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=at)
        os.write(leaf, b"leaf of " + name)
        os.close(leaf)
        os.link(b"leaf", b"leaf2", src_dir_fd=at, dst_dir_fd=at)
        os.close(at)


def tree_of_root(root: bytes) -> None:
    if not is_root:
        pytest.skip("needs root")
    for name, kind, device in ((b"null", stat.S_IFCHR, (1, 3)), (b"white", stat.S_IFCHR, (0, 0)),
                               (b"disk", stat.S_IFBLK, (259, 65537))):
        try:
            os.mknod(root + b"/" + name, kind | 0o640, os.makedev(*device))
        except PermissionError:
            pytest.skip("no devices can be made here")
    os.link(root + b"/null", root + b"/null2")
    path = put(root, b"owned", b"x", 0o4755)
    os.chown(path, 1234, 4321)
    os.chmod(path, 0o4755)
    os.chown(put(root, b"large id", b"x"), 0xFFFFFFFE, 0xFFFFFFFD)
    os.symlink(b"x", root + b"/link")
    os.lchown(root + b"/link", 7, 8)
    os.mkdir(root + b"/dir")
    os.chown(root + b"/dir", 9, 10)
    os.chown(put(root, b"unreadable", b"x", 0), 11, 12)
    put_xattr(path, b"trusted.kept", b"\1\2")
    put_xattr(root + b"/dir", b"trusted.overlay.opaque", b"y")
    put_xattr(root + b"/link", b"trusted.on-a-link", b"z")
    put_xattr(put(root, b"capable", b"x", 0o755), b"security.capability",
              struct.pack("<IIIII", 0x02000000, 1 << 10, 0, 0, 0))


TREES = {name[5:]: value for name, value in sorted(globals().items()) if name.startswith("tree_")}


# Comparing

def scan(root: bytes) -> dict:
    """Returns what lstat says of everything below a directory, by path."""
    found = {}
    stack = [b""]
    top = os.open(root, os.O_RDONLY)
    while stack:
        path = stack.pop()
        fd = reader.open_below(top, path)
        for name in reader.list_names(fd):
            below = path + b"/" + name if path else name
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            kind = reader.FORMATS[stat.S_IFMT(info.st_mode)]
            meta = reader.meta_of(info, reader.read_xattrs(fd, name))
            found[below] = {
                "type": reader.TYPES[kind], "mode": f"{meta.mode:04o}",
                "uid": meta.uid, "gid": meta.gid, "mtime": reader.rfc3339(meta),
                "size": None if kind == "d" else info.st_size,
                "xattrs": {os.fsdecode(xattr): base64.b64encode(value).decode()
                           for xattr, value in meta.xattrs},
            }
            if kind == "d":
                stack.append(below)
        os.close(fd)
    os.close(top)
    return found


def path_of(line: dict) -> bytes:
    path = line["path"]
    return path.encode() if isinstance(path, str) else base64.b64decode(path["base64"])


def comparable(line: dict) -> dict:
    """What a listing says of no use for the type counts as not said."""
    line = {key: value for key, value in line.items() if value is not None}
    if line.get("type") == "dir":
        for key in ("size", "links", "object"):
            line.pop(key, None)
    return line


def assert_same_listing(place: Workplace, revision: str, tree: str) -> list:
    theirs = place.json_lines("ls", "-R", revision)
    ours = list(reader.list_tree(place.store, tree))
    # Not one big assertion: pytest would compare long lists character by character to explain it.
    for line, expected in zip(map(comparable, theirs), map(comparable, ours)):
        if line != expected:
            pytest.fail(f"pleach: {str(line)[:2000]}\nreader: {str(expected)[:2000]}", pytrace=False)
    assert len(theirs) == len(ours)
    return ours


def assert_same_log(place: Workplace, ref: str) -> None:
    theirs = place.json_lines("log", ref)
    ours = list(reader.list_log(place.store, ref))
    assert len(theirs) == len(ours)
    for their, our in zip(theirs, ours):
        shared = set(their) & set(our)
        assert shared >= {"generation", "tree", "parent", "time", "kind", "message", "state"}
        for key in shared:
            assert (their[key] or None) == (our[key] or None), key


@pytest.mark.parametrize("rule", ["exact", "portable", "canonical"])
@pytest.mark.parametrize("name", TREES)
def test_published_tree_is_sound_and_listed_alike(place, name, rule):
    TREES[name](place.source)
    source = scan(place.source)
    place.pleach("init", "-q", "--metadata", rule)
    place.publish("site")
    place.assert_sound()
    lines = assert_same_listing(place, "site", place.tree("site"))
    assert_same_log(place, "site")
    assert [path_of(line) for line in lines] == sorted(source)
    if rule == "exact":
        for line in lines:
            wanted = source[path_of(line)]
            assert {key: line[key] for key in wanted} == wanted, path_of(line)
    else:
        ban = "0222" if rule == "canonical" else "0022"
        assert all(line["uid"] is None and line["xattrs"] == {} for line in lines)
        assert all(line["type"] == "symlink" or not int(line["mode"], 8) & int(ban, 8)
                   for line in lines)


@pytest.mark.parametrize("share", ["names", "content"])
@pytest.mark.parametrize("rule", ["exact", "portable"])
def test_equal_files_are_placed_as_share_says(place, rule, share):
    for name in (b"a", b"b", b"sub/c"):
        settle(put(place.source, name, b"equal\n"), SECOND)
    os.link(place.source + b"/a", place.source + b"/sub/d")
    place.pleach("init", "-q", "--metadata", rule, "--share", share)
    place.publish("site")
    place.publish("again")
    settle(put(place.source, b"sub/e", b"equal\n"), SECOND)
    place.publish("site")
    place.assert_sound()
    inodes = {os.stat(place.store + b"/site/" + name).st_ino
              for name in (b"a", b"b", b"sub/c", b"sub/d", b"sub/e")}
    assert len(inodes) == (4 if share == "names" else 1)


def test_history_is_sound_after_each_step(place):
    def check():
        place.assert_sound()
        for ref in refs:
            assert_same_log(place, ref)

    refs: list = []
    place.pleach("init", "-q")
    check()
    tree_plain(place.source)
    tree_links(place.source)
    place.publish("site", "-m", "first: 100%\nof it", "--meta", "ticket=17", "--meta", "a=b=c")
    refs.append("site")
    check()
    place.pleach("tag", "site", "v1.0")
    check()
    put(place.source, b"a", b"changed\n")
    shutil.rmtree(place.source + b"/sub")
    os.unlink(place.source + b"/w-first")
    place.publish("site", "-m", b"\xff no UTF-8")
    check()
    put(place.source, b"b", b"changed too\n")
    place.publish("site")
    check()
    place.pleach("attach", "site", place.path + b"/follows")
    place.pleach("attach", "--mode=exchange", "site", place.path + b"/swapped")
    place.pleach("attach", "site@2", place.path + b"/fixed\n")
    check()
    place.pleach("rollback", "-q", "site", "@1")
    check()
    place.publish("other")
    refs.append("other")
    check()
    place.pleach("config", "--ref", "other", "keep=2", "merge=*.log:append *.tmp:ignore")
    check()
    place.pleach("drop", "-q", "--now", "site@3")
    check()
    for n in range(4):
        put(place.source, b"b", b"b %d\n" % n)
        put(place.source, b"x/y/new%d" % n, b"b %d\n" % n)
        place.publish("site")
    check()
    for generation in (1, 2, 4, 8):
        assert_same_listing(place, f"site@{generation}", place.tree("site", generation))
    place.pleach("tag", "--delete", "site", "v1.0")
    place.pleach("detach", place.path + b"/fixed\n")
    check()
    place.pleach("detach", place.path + b"/follows")
    place.pleach("detach", place.path + b"/swapped")
    place.pleach("drop", "-q", "--now", "site")
    refs.remove("site")
    check()
    place.publish("site")
    refs.append("site")
    check()
    assert [line["generation"] for line in reader.list_log(place.store, "site")] == [1]


@pytest.mark.skipif(is_root, reason="root may read everything")
def test_file_that_its_owner_may_not_read_is_unverified_and_no_fault(place):
    put(place.source, b"a", b"readable\n")
    place.pleach("init", "-q")
    place.publish("site")
    put(place.source, b"hidden", b"for a while\n")
    place.publish("site")
    place.assert_sound()
    os.chmod(place.store + b"/site/hidden", 0)
    faults, unverified = reader.verify(place.store)
    assert any("hidden: mode" in fault for fault in faults)
    assert any("hidden" in line for line in unverified)


# Damage

def files_below(folder: bytes) -> list:
    return sorted(os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)


def damaged_store(place: Workplace) -> None:
    put(place.source, b"a", b"alpha\n")
    os.link(put(place.source, b"sub/b", b"beta\n"), place.source + b"/b")
    place.pleach("init", "-q")
    place.publish("site", "-m", "first")
    put(place.source, b"a", b"other\n")
    for name in (b"same1", b"sub/same2"):
        settle(put(place.source, name, b"same\n"), SECOND)
    place.publish("site")
    place.pleach("tag", "site", "v1", "@1")
    place.pleach("attach", "site@1", place.path + b"/fixed")
    place.pleach("config", "--ref", "site", "keep=5")
    place.assert_sound()
    place.pleach("check", "-q")


DAMAGED = {
    "config": lambda place: [place.inner("config")],
    "ref id": lambda place: [place.inner("refs/site/id")],
    "ref settings": lambda place: [place.inner("refs/site/config")],
    "generations": lambda place: files_below(place.inner("refs/site/gen")),
    "tags": lambda place: files_below(place.inner("refs/site/tags")),
    "attachments": lambda place: files_below(place.inner("refs/site/attached")),
    "nodes and blocks": lambda place: files_below(place.inner("nodes")),
    "objects": lambda place: files_below(place.inner("objects")),
    "placed files": lambda place: files_below(os.path.realpath(place.store + b"/site")),
}


def with_times_kept(path: bytes, change) -> None:
    """Calls change() and gives the file and its directory the modes and mtimes they had."""
    kept = [(where, os.lstat(where)) for where in (path, os.path.dirname(path))]
    for where, _ in kept:
        os.chmod(where, 0o700)
    change()
    for where, info in kept:
        os.chmod(where, stat.S_IMODE(info.st_mode))
        settle(where, info.st_mtime_ns)


def write_at(path: bytes, at: int, byte: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([byte]))


@pytest.mark.parametrize("what", DAMAGED)
def test_both_find_a_flipped_byte(place, what):
    damaged_store(place)
    paths = DAMAGED[what](place)
    assert paths
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        for at in sorted({0, len(data) // 2, len(data) - 1}) if data else ():
            if what == "config" and at == 0:
                continue
            with_times_kept(path, lambda: write_at(path, at, data[at] ^ 4))
            faults, _ = reader.verify(place.store)
            assert faults, (path, at)
            place.pleach("check", "-q", status=13)
            with_times_kept(path, lambda: write_at(path, at, data[at]))
    place.assert_sound()
    place.pleach("check", "-q")


PLACED_DAMAGE = {
    "extra file": lambda top: put(top, b"sub/extra", b"x"),
    "extra directory": lambda top: os.mkdir(top + b"/sub/extra"),
    "missing file": lambda top: os.unlink(top + b"/sub/same2"),
    "split group": lambda top: (shutil.copy2(top + b"/sub/b", top + b"/sub/c"),
                                os.replace(top + b"/sub/c", top + b"/sub/b")),
    "shared inode": lambda top: (os.unlink(top + b"/sub/same2"),
                                 os.link(top + b"/same1", top + b"/sub/same2")),
    "symlink for a file": lambda top: (os.unlink(top + b"/sub/same2"),
                                       os.symlink(b"../same1", top + b"/sub/same2")),
}


@pytest.mark.parametrize("what", PLACED_DAMAGE)
def test_both_find_what_is_wrong_with_names_in_a_placed_tree(place, what):
    damaged_store(place)
    top = os.path.realpath(place.store + b"/site")
    info = os.lstat(top + b"/sub")
    PLACED_DAMAGE[what](top)
    settle(top + b"/sub", info.st_mtime_ns)
    assert reader.verify(place.store)[0]
    place.pleach("check", "-q", status=13)


@pytest.mark.parametrize("name", [b"", b"a", b"sub"])
@pytest.mark.parametrize("what", ["mode", "mtime", "xattr"])
def test_both_find_wrong_metadata_in_a_placed_tree(place, what, name):
    damaged_store(place)
    path = os.path.join(os.path.realpath(place.store + b"/site"), name)
    info = os.lstat(path)
    if what == "mode":
        os.chmod(path, stat.S_IMODE(info.st_mode) ^ 0o010)
    elif what == "mtime":
        settle(path, info.st_mtime_ns + 1)
    elif not put_xattr(path, b"user.more", b"x"):
        pytest.skip("no user xattrs on this file system")
    assert reader.verify(place.store)[0]
    place.pleach("check", "-q", status=13)
