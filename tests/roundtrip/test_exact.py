"""What was published comes back exactly (G8): each tree, through the public path and as a checkout,
is compared with its source by rsync and by a walk of our own. PLEACH is the command.
"""

import errno
import os
import pathlib
import random
import shutil
import socket
import stat
import struct
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
import workplace  # noqa: E402
from workplace import SECOND, is_root, needs_command, needs_root, put  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = needs_command
UNDEFINED = 0xFFFFFFFF  # the id of an ACL's entry that names nobody


def settle(path: bytes, mtime: int) -> None:
    os.utime(path, ns=(0, mtime), follow_symlinks=False)


def put_xattr(path: bytes, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            pytest.skip(f"the file system of {os.fsdecode(path)} does not keep {name}")
        raise


def make_socket(path: bytes) -> None:
    """Its address would be too long for most directories."""
    folder, name = os.path.split(path)
    with alike.opened(folder) as fd, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"/proc/self/fd/%d/%s" % (fd, name))


def make_device(path: bytes, kind: int, major: int, minor: int) -> None:
    try:
        os.mknod(path, kind | 0o640, os.makedev(major, minor))
    except PermissionError:
        pytest.skip("no devices can be made here, even by root")


# Trees

def tree_kinds(root: bytes) -> None:
    put(root + b"/file", b"content\n")
    put(root + b"/empty")
    os.mkdir(root + b"/directory")
    os.mkfifo(root + b"/fifo", 0o620)
    make_socket(root + b"/socket")
    os.symlink(b"file", root + b"/link")
    os.symlink(b"nowhere/at all", root + b"/dangling")
    os.symlink(b"/", root + b"/absolute")
    os.symlink(b"itself", root + b"/itself")
    os.symlink(b"../../out", root + b"/directory/escaping")
    os.symlink(b"bytes \xff\xfe\n", root + b"/no text")
    os.symlink(b"t" * 4095, root + b"/longest")
    put(root + b"/large", random.Random(1).randbytes(3 << 20))


def tree_of_devices(root: bytes) -> None:
    make_device(root + b"/null", stat.S_IFCHR, 1, 3)
    make_device(root + b"/whiteout", stat.S_IFCHR, 0, 0)
    make_device(root + b"/zero block", stat.S_IFBLK, 0, 0)
    make_device(root + b"/disk", stat.S_IFBLK, 259, 65537)
    os.link(root + b"/null", root + b"/null2")


def tree_modes(root: bytes) -> None:
    for mode in (0o400, 0o444, 0o500, 0o555, 0o604, 0o666, 0o777, 0o1644, 0o2755, 0o2644, 0o4755,
                 0o6711, 0o7777):
        put(root + b"/file-%04o" % mode, b"%o" % mode, mode)
        put(root + b"/empty-%04o" % mode, b"", mode)
    for mode in (0o500, 0o555, 0o700, 0o777, 0o1777, 0o2755, 0o3770, 0o7777):
        put(root + b"/dir-%04o/file" % mode, b"in it")
        os.mkdir(root + b"/dir-%04o/dir" % mode)
        os.chmod(root + b"/dir-%04o" % mode, mode)
    os.mkfifo(root + b"/fifo")
    os.chmod(root + b"/fifo", 0o4711)
    os.chmod(root, 0o2751)


def tree_of_closed_modes(root: bytes) -> None:
    for mode in (0, 0o111, 0o222, 0o4000):
        put(root + b"/file-%04o" % mode, b"%o" % mode, mode)
        put(root + b"/dir-%04o/deeper/file" % mode, b"in it", mode)
        os.chmod(root + b"/dir-%04o/deeper" % mode, mode)
        os.chmod(root + b"/dir-%04o" % mode, mode)
    os.chmod(root, 0)


def tree_of_owners(root: bytes) -> None:
    for n, (uid, gid, mode) in enumerate(((1234, 0, 0o644), (0, 4321, 0o2755), (7, 8, 0o4755),
                                          (7, 8, 0o6711), (0xFFFFFFFE, 0xFFFFFFFD, 0o600))):
        for path in (put(root + b"/file%d" % n, b"%d" % n), put(root + b"/empty%d" % n),
                     put(root + b"/dir%d/file" % n, b"%d" % n)):
            os.chown(path, uid, gid)
            os.chmod(path, mode)
        os.symlink(b"x", root + b"/link%d" % n)
        os.mkfifo(root + b"/fifo%d" % n)
        for name in (b"/link%d", b"/fifo%d", b"/dir%d"):
            os.lchown(root + name % n, uid, gid)
        os.chmod(root + b"/dir%d" % n, mode | 0o1000)
    os.chown(root, 99, 98)


def tree_times(root: bytes) -> None:
    for n, mtime in enumerate((0, 1, -1, -SECOND, -SECOND - 1, 999999999, 1709210096789012345,
                               (1 << 31) * SECOND, -(1 << 31) * SECOND, 4260000000 * SECOND + 7,
                               10413792000 * SECOND + 999999999)):
        for path in (put(root + b"/file%d" % n, b"%d" % n), put(root + b"/empty%d" % n)):
            settle(path, mtime)
        os.mkfifo(root + b"/fifo%d" % n)
        settle(root + b"/fifo%d" % n, mtime)
        os.mkdir(root + b"/dir%d" % n)
        os.symlink(b"x", root + b"/dir%d/link" % n)
        settle(root + b"/dir%d/link" % n, mtime)
        settle(root + b"/dir%d" % n, mtime)
    settle(root, -7)


def tree_xattrs(root: bytes) -> None:
    os.mkdir(root + b"/dir")
    for path in (root, root + b"/dir", put(root + b"/file", b"x"), put(root + b"/empty"),
                 put(root + b"/closed", b"x", 0o400)):
        os.chmod(path, os.stat(path).st_mode | 0o200)
        put_xattr(path, "user.none", b"")
        put_xattr(path, "user.bytes", bytes(range(256)))
        put_xattr(path, "user.ümlaut", "ü".encode())
    os.chmod(root + b"/closed", 0o400)
    many = put(root + b"/many", b"x")
    for n in range(60):
        put_xattr(many, f"user.number.{n}", b"%d" % n)
    put_xattr(put(root + b"/one large", b"x"), "user.large", b"v" * 3000)
    put_xattr(put(root + b"/plain", b"x"), "user." + "n" * 250, b"the longest name")
    put_xattr(put(root + b"/overlay", b"x"), "user.overlay.looks-like", b"y")


def tree_of_privileged_xattrs(root: bytes) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    path = put(root + b"/capable", b"x", 0o755)
    put_xattr(path, "security.capability", capability)
    os.chown(put(root + b"/owned", b"x"), 1234, 1234)
    os.chmod(root + b"/owned", 0o6755)
    put_xattr(root + b"/owned", "security.capability", capability)
    put_xattr(path, "trusted.kept", b"\0\1")
    os.mkdir(root + b"/dir")
    put_xattr(root + b"/dir", "trusted.overlay.opaque", b"y")
    os.symlink(b"x", root + b"/link")
    put_xattr(root + b"/link", "trusted.on-a-link", b"z")
    os.mkfifo(root + b"/fifo")
    put_xattr(root + b"/fifo", "trusted.on-a-fifo", b"")


def acl(*entries) -> bytes:
    """The value of system.posix_acl_*: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACCESS = acl((1, 7, UNDEFINED), (2, 4, 12345), (2, 0, 12346), (4, 4, UNDEFINED), (8, 7, 54321),
             (16, 5, UNDEFINED), (32, 1, UNDEFINED))
DEFAULT = acl((1, 7, UNDEFINED), (2, 7, 23456), (4, 5, UNDEFINED), (16, 7, UNDEFINED),
              (32, 0, UNDEFINED))


def tree_acls(root: bytes) -> None:
    put_xattr(put(root + b"/file", b"x"), "system.posix_acl_access", ACCESS)
    put_xattr(put(root + b"/empty"), "system.posix_acl_access", ACCESS)
    os.mkfifo(root + b"/fifo")
    put_xattr(root + b"/fifo", "system.posix_acl_access", ACCESS)
    os.mkdir(root + b"/dir")
    put_xattr(root + b"/dir", "system.posix_acl_default", DEFAULT)
    put(root + b"/dir/inherits", b"x")
    os.mkdir(root + b"/dir/inherits too")
    put_xattr(root + b"/dir", "system.posix_acl_access", ACCESS)
    put(root + b"/dir/sub/not", b"x")
    os.removexattr(root + b"/dir/sub", "system.posix_acl_default")
    os.removexattr(root + b"/dir/sub/not", "system.posix_acl_access")
    os.chmod(root + b"/file", 0o4750)
    put_xattr(root, "system.posix_acl_default", DEFAULT)
    os.mkdir(root + b"/came later")


def tree_groups(root: bytes) -> None:
    """Hard links within and across directories, of every kind, of equal content, and out of it."""
    for name in (b"a", b"b/c/d", b"e"):
        os.makedirs(root + b"/" + name)
    first = put(root + b"/first", b"equal\n")
    for name in (b"second", b"a/third", b"b/c/d/fourth"):
        os.link(first, root + b"/" + name)
    other = put(root + b"/b/other", b"equal\n")
    os.link(other, root + b"/b/c/other")
    os.link(put(root + b"/b/c/d/deep", b"equal\n"), root + b"/b/c/d/deep2")
    put(root + b"/single", b"equal\n")
    os.link(put(root + b"/empty"), root + b"/e/empty2")
    os.symlink(b"first", root + b"/link")
    os.link(root + b"/link", root + b"/a/link2", follow_symlinks=False)
    os.mkfifo(root + b"/fifo")
    os.link(root + b"/fifo", root + b"/b/fifo2")
    make_socket(root + b"/socket")
    os.link(root + b"/socket", root + b"/e/socket2")
    os.link(put(root + b"/half", b"the other name is elsewhere\n"), root + b".elsewhere")
    many = put(root + b"/many", b"many names\n")
    for n in range(300):
        os.link(many, root + b"/e/%03d-" % n + b"n" * 240)
    for path, _, _, _ in alike.walk(root):
        settle(root + b"/" + path, SECOND)


def tree_sparse(root: bytes) -> None:
    for name, size, data in ((b"holes", 64 << 20, (0, 5 << 20, (64 << 20) - 1)),
                             (b"all hole", 48 << 20, ()), (b"hole at the end", 32 << 20, (0,)),
                             (b"hole at the beginning", 32 << 20, ((32 << 20) - 5000,)),
                             (b"small", 1 << 19, (4096,))):
        with open(root + b"/" + name, "wb") as file:
            file.truncate(size)
            for at in data:
                file.seek(at)
                file.write(b"x")


NAMES = (b"new\nline", b"tab\tand\rreturn", b"bad \xff\xfe\xc0\x80", b"-dash", b"--help", b"...",
         b" ", b"  two  ", b"quote'", b'quote"', b"back\\slash", b"\\n", b"$HOME`id`", b"*?[a]",
         b"\x01\x1b[31m\x7f", b"%41%2f", b"\xed\xa0\x80", "e\u0301\u2028".encode(), b"n" * 255,
         b"\xff" * 255, b"=", b"a=b", b"a:b", b"@1", b"tree", b".pleach-0123", b".hidden", b"~",
         b"#x", b"!x")


def tree_names(root: bytes) -> None:
    for name in NAMES:
        put(root + b"/" + name, b"of " + name)
        put(root + b"/d" + name[:254] + b"/" + name, name)
        os.symlink(name, root + b"/l" + name[:254])


TREES = {name[5:]: value for name, value in globals().items() if name.startswith("tree_")}
OF_ROOT = {name for name in TREES if name.startswith("of_")}


def checked_out(place, rev: str = "site", **options) -> bytes:
    path = place.at(f"out-{rev}".replace("/", "-"))
    place.pleach("checkout", rev, path, **options)
    return path


def assert_comes_back(place, rsync: bool = True) -> None:
    """The source is what is placed, what is checked out, and what it was."""
    source = alike.Picture(place.source)
    out = checked_out(place)
    for copy in (place.public(), out):
        alike.assert_pictures_agree(source, alike.Picture(copy))
        if rsync:
            alike.assert_rsync_sees_nothing_to_do(place.source, copy)


def assert_stays_sparse(place) -> None:
    source = alike.Picture(place.source)
    for copy in (place.public(), place.at("out-site")):
        for path, blocks in alike.Picture(copy).blocks.items():
            assert blocks <= source.blocks[path] + 64, path


@pytest.mark.parametrize("name", TREES)
def test_G8_round_trip_is_exact(place, name):
    if name in OF_ROOT and not is_root:
        pytest.skip("needs root")
    TREES[name](place.source)
    before = alike.Picture(place.source)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    assert_comes_back(place)
    assert_stays_sparse(place)
    after = alike.Picture(place.source)
    assert after.ctimes == before.ctimes, "the source was touched"
    assert "unchanged" in place.pleach("publish", "site", place.source).out
    place.assert_sound()


def everything(root: bytes) -> None:
    for name, make in TREES.items():
        if name in OF_ROOT and not is_root:
            continue
        os.mkdir(root + b"/" + name.encode())
        make(root + b"/" + name.encode())


def change_something(root: bytes) -> None:
    put(root + b"/kinds/file", b"other content\n")
    os.unlink(root + b"/kinds/fifo")
    os.unlink(root + b"/kinds/link")
    put(root + b"/kinds/link/is a directory now", b"x")
    os.unlink(root + b"/groups/second")
    os.link(root + b"/groups/b/other", root + b"/groups/second")
    os.unlink(root + b"/groups/a/third")
    put(root + b"/groups/a/third", b"equal\n")
    settle(root + b"/times/file1", 77)
    os.chmod(root + b"/modes/file-0444", 0o440)
    put_xattr(root + b"/xattrs/file", "user.more", b"x")
    os.removexattr(root + b"/acls/file", "system.posix_acl_access")
    put_xattr(root + b"/acls/empty", "system.posix_acl_access",
              acl((1, 6, UNDEFINED), (2, 6, 12345), (4, 4, UNDEFINED), (16, 6, UNDEFINED),
                  (32, 4, UNDEFINED)))
    os.rename(root + b"/names/-dash", root + b"/names/--moved")
    shutil.rmtree(root + b"/names/d*?[a]")
    with open(root + b"/sparse/holes", "r+b") as file:
        file.seek(20 << 20)
        file.write(b"new data")


def test_G8_later_generations_are_exact_and_the_earlier_ones_stay(place):
    everything(place.source)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    first = alike.Picture(place.source)
    alike.assert_pictures_agree(first, alike.Picture(place.public()))
    old = alike.Picture(place.public())
    change_something(place.source)
    place.pleach("publish", "site", place.source)
    assert_comes_back(place)
    second = alike.Picture(place.source)
    new = alike.Picture(place.public())
    # share=names: what did not change keeps its inode
    for path, entry in first.entries.items():
        in_a_group = any(path in group for group in first.groups | second.groups)
        if entry == second.entries.get(path) and entry["kind"] != stat.S_IFDIR and not in_a_group:
            assert new.inodes[path] == old.inodes[path], path
    placed = os.fsencode(place.pleach("path", "site@1").out.rstrip("\n"))
    alike.assert_pictures_agree(first, alike.Picture(placed))
    alike.assert_pictures_agree(first, alike.Picture(checked_out(place, "site@1")))
    place.pleach("rollback", "site")
    alike.assert_pictures_agree(first, alike.Picture(place.public()))
    place.assert_sound()


def test_G8_a_checkout_that_is_updated_is_exact(place):
    everything(place.source)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    out = checked_out(place)
    change_something(place.source)
    place.pleach("publish", "site", place.source)
    for name, rev in (("forth", "site@2"), ("back", "site@1")):
        place.pleach("checkout", "--update", "--delete", rev, out)
        print(name)
        alike.assert_same_tree(os.fsencode(place.pleach("path", rev).out.rstrip("\n")), out)
    place.assert_sound()


def test_G8_a_sparse_file_of_more_than_4_GiB_comes_back_sparse(place):
    size = (4 << 30) + (64 << 20) + 12345
    with open(place.source + b"/huge", "wb") as file:
        file.truncate(size)
        for at in (0, (4 << 30) - 3, (4 << 30) + (1 << 20), size - 1):
            file.seek(at)
            file.write(b"data")
        file.truncate(size)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    assert_comes_back(place, rsync=False)  # which would read every hole
    assert_stays_sparse(place)
    assert place.json_lines("ls", "site")[0]["size"] == size


def make_deep(root: bytes) -> None:
    for name, depth in ((b"one of very many levels", 1000), (b"n" * 255, 60)):
        at = os.open(root, os.O_RDONLY)
        for level in range(depth):
            os.mkdir(name, 0o755, dir_fd=at)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
            if level % 100 == 99:
                os.symlink(b"%d" % level, b"link", dir_fd=at)
            os.close(at)
            at = below
        with alike.opened(b"leaf", os.O_CREAT | os.O_WRONLY, mode=0o640, dir_fd=at) as leaf:
            os.write(leaf, b"leaf of " + name)
            os.utime(leaf, ns=(0, -5))
        os.link(b"leaf", b"leaf2", src_dir_fd=at, dst_dir_fd=at)
        with alike.opened(root) as top:
            os.link(b"leaf", b"leaf of " + name[:200], src_dir_fd=at, dst_dir_fd=top)
        os.close(at)


def test_G8_a_thousand_levels_and_paths_beyond_PATH_MAX_come_back(place):
    make_deep(place.source)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    assert_comes_back(place, rsync=False)  # whose paths have an end
    assert max(map(len, alike.Picture(place.public()).entries)) > 4 * 4096
    assert "unchanged" in place.pleach("publish", "site", place.source).out
    place.assert_sound()


def inherit(folder: bytes) -> None:
    """What is made in it from now on inherits an ACL and, as root, another group."""
    if is_root:
        os.chown(folder, -1, 4321)
    os.chmod(folder, 0o2775)
    put_xattr(folder, "system.posix_acl_default", DEFAULT)


@pytest.mark.parametrize("when", ["before init", "after init"])
def test_G8_what_the_directory_of_the_store_hands_down_reaches_no_tree(place, when):
    everything(place.source)
    outer = place.at("outer")
    os.mkdir(outer)
    place.store = outer + b"/store"
    if when == "before init":
        inherit(outer)
    place.pleach("init", "-q")
    if when == "after init":
        for path, _, _, info in alike.walk(place.store):
            if stat.S_ISDIR(info.st_mode):
                inherit(place.store + b"/" + path)
    source = alike.Picture(place.source)
    for change in (lambda: None, lambda: change_something(place.source)):
        change()
        source = alike.Picture(place.source)
        place.pleach("publish", "site", place.source)
        alike.assert_pictures_agree(source, alike.Picture(place.public()))
        alike.assert_rsync_sees_nothing_to_do(place.source, place.public())
    inherit(outer)
    place.pleach("checkout", "site", outer + b"/out")
    alike.assert_pictures_agree(source, alike.Picture(outer + b"/out"))
    place.assert_sound()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_G8_the_umask_of_the_caller_does_not_matter(place, umask):
    everything(place.source)
    place.pleach("init", "-q", umask=umask)
    assert stat.S_IMODE(os.stat(place.store).st_mode) in (0o755, 0o777 & ~umask)
    os.chmod(place.store, 0o755)  # the one directory that may be kept from others by it
    place.pleach("publish", "site", place.source, umask=umask)
    out = checked_out(place, umask=umask)
    for copy in (place.public(), out):
        alike.assert_same_tree(place.source, copy)
    put(place.source + b"/kinds/file", b"other content\n")
    place.pleach("publish", "site", place.source, umask=umask)
    tree = place.log()[0]["tree"]
    for mode, *names in ((0o755, ""), (0o700, "objects"), (0o700, "nodes"), (0o700, "tx"),
                         (0o711, "trees", tree), (0o644, "trees", tree, "pin"),
                         (0o700, "trees", tree, "users"), (0o755, "trees", tree, "1"),
                         (0o755, "refs", "site"), (0o600, "refs", "site", "lock")):
        assert stat.S_IMODE(os.stat(place.inner(*names)).st_mode) == mode, names
    if is_root:
        ordinary = {"user": workplace.ORDINARY, "group": workplace.ORDINARY, "extra_groups": []}
        for path in (place.public() + b"/kinds/file", out + b"/kinds/file"):
            done = workplace.subprocess.run(["cat", path], check=True, stdout=-1, **ordinary)
            assert done.stdout.endswith(b"content\n")
    place.assert_sound()


@needs_root
def test_G8_a_tree_of_many_owners_is_exact_when_only_its_owners_change(place):
    put(place.source + b"/a/file", b"content\n", 0o4755)
    place.pleach("init", "-q")
    place.pleach("publish", "site", place.source)
    for uid in (1, 2, 0):
        os.chown(place.source + b"/a/file", uid, uid)
        os.chmod(place.source + b"/a/file", 0o4755)
        os.chown(place.source + b"/a", uid, uid)
        place.pleach("publish", "site", place.source)
        alike.assert_same_tree(place.source, place.public())
    assert place.heads() == [4, 3, 2, 1]
    place.assert_sound()
