"""Are two directory trees the same, in all that pleach promises (G8)? Looked at twice: by rsync,
and by a walk of our own with lstat, xattrs and nanoseconds, whose paths may exceed PATH_MAX.

It shares nothing with the C code, nor with tests/format/reader.py.
"""

import contextlib
import hashlib
import os
import stat
import subprocess

KEPT_ELSEWHERE = ("security.selinux", "security.ima", "security.evm",
                  "trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")
BLOCK = 65536


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY, **options):
    fd = os.open(path, flags | os.O_CLOEXEC, **options)
    try:
        yield fd
    finally:
        os.close(fd)


def walk(root):
    """Yields (path, dirfd, name, lstat) of everything below a directory, itself first, as b""."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    path: list = []
    try:
        yield b"", fd, b".", os.fstat(fd)
        levels = [iter(sorted(map(os.fsencode, os.listdir(fd))))]
        while levels:
            name = next(levels[-1], None)
            if name is None:
                levels.pop()
                if levels:
                    path.pop()
                    above = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                    os.close(fd)
                    fd = above
                continue
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            yield b"/".join([*path, name]), fd, name, info
            if stat.S_ISDIR(info.st_mode):
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = below
                path.append(name)
                levels.append(iter(sorted(map(os.fsencode, os.listdir(fd)))))
    finally:
        os.close(fd)


def data_segments(fd: int, size: int):
    """Yields (offset, length) of what is no hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at - start


def content(fd: int, size: int) -> str:
    """A digest of size and content, in which holes are zeros; cheap for large holes."""
    digest = hashlib.sha256(b"%d" % size)
    for start, length in data_segments(fd, size):
        for at in range(start - start % BLOCK, start + length, BLOCK):
            block = os.pread(fd, BLOCK, at)
            if block.strip(b"\0"):
                digest.update(b"%d:%d:" % (at, len(block)) + block)
    return digest.hexdigest()


def xattrs(dirfd: int, name: bytes) -> tuple:
    path = b"/proc/self/fd/%d/%s" % (dirfd, name)
    return tuple(sorted((key, os.getxattr(path, key, follow_symlinks=False))
                        for key in os.listxattr(path, follow_symlinks=False)
                        if key not in KEPT_ELSEWHERE))


def describe(dirfd: int, name: bytes, info: os.stat_result) -> dict:
    seen = {"kind": stat.S_IFMT(info.st_mode), "mode": oct(stat.S_IMODE(info.st_mode)),
            "owner": (info.st_uid, info.st_gid), "mtime": info.st_mtime_ns,
            "xattrs": xattrs(dirfd, name)}
    if stat.S_ISREG(info.st_mode):
        seen["size"] = info.st_size
        with opened(name, dir_fd=dirfd) as fd:
            seen["content"] = content(fd, info.st_size)
    elif stat.S_ISLNK(info.st_mode):
        seen["target"] = os.readlink(name, dir_fd=dirfd)
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        seen["device"] = (os.major(info.st_rdev), os.minor(info.st_rdev))
    return seen


class Picture:
    """All that is to be kept of a tree, and what else a test may ask of it."""

    def __init__(self, root):
        self.entries: dict = {}
        self.ctimes: dict = {}
        self.inodes: dict = {}
        self.blocks: dict = {}
        names: dict = {}
        for path, dirfd, name, info in walk(root):
            self.entries[path] = describe(dirfd, name, info)
            self.ctimes[path] = info.st_ctime_ns
            self.inodes[path] = info.st_ino
            self.blocks[path] = info.st_blocks
            if not stat.S_ISDIR(info.st_mode):
                names.setdefault((info.st_dev, info.st_ino), []).append(path)
        self.groups = {tuple(group) for group in names.values() if len(group) > 1}


def assert_pictures_agree(wanted: Picture, got: Picture) -> None:
    wrong = []
    for path in sorted(wanted.entries.keys() | got.entries.keys()):
        want, have = wanted.entries.get(path), got.entries.get(path)
        if want is None or have is None:
            wrong.append(f"{path[-300:]!r}: {'too much' if want is None else 'missing'}")
            continue
        wrong += [f"{path[-300:]!r}: {key} {have.get(key)!r} instead of {want.get(key)!r}"
                  for key in {**want, **have} if want.get(key) != have.get(key)]
    wrong += [f"no group of hard links: {group!r}" for group in wanted.groups - got.groups]
    wrong += [f"a group that should be none: {group!r}" for group in got.groups - wanted.groups]
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:20]])


def assert_rsync_sees_nothing_to_do(source: bytes, copy: bytes) -> None:
    done = subprocess.run(["rsync", "-aHAXS", "--dry-run", "--itemize-changes", "--checksum",
                           "--delete", source + b"/", copy + b"/"], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def assert_same_tree(source: bytes, copy: bytes, rsync: bool = True) -> None:
    assert_pictures_agree(Picture(source), Picture(copy))
    if rsync:
        assert_rsync_sees_nothing_to_do(source, copy)
