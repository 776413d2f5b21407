"""A CVS repository that is a ref of a store, its working copies outside the store, and what a repository
is when its times and random ids are left out.

Its commands run in transactions, unmodified; CVSROOT is the public path. Who only reads does so
outside, with `cvs -R`: without, CVS would put its locks into the published tree (with it, it still
writes CVS/fileattr there when files that somebody edits are checked out).
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from workplace import Done, Workplace, put  # noqa: E402

CVS = shutil.which("cvs")
LIMIT = 120  # seconds for any one command
FLUX = ((b",v", re.compile(rb"(?m)^((?:date|commitid)\s+)[\w.]+()")),
        (b"CVSROOT/history", re.compile(rb"(?m)^(\w)[0-9a-f]+()")),
        (b"CVS/fileattr", re.compile(rb"(>)[^+]*()")))


def without_times(path: bytes, data: bytes, folder: bytes) -> bytes:
    """What a file of a repository holds, but for when and under which folder it was made."""
    for end, pattern in FLUX:
        if path.endswith(end):
            data = pattern.sub(rb"\1\2", data)
    for name in (folder, b"~/" + os.path.basename(folder)):  # CVS shortens what is below HOME
        data = data.replace(name + b"/", b"FOLDER/")
    return data


def fingerprint(tree: bytes, folder: bytes) -> dict:
    """Of a repository: all but times and random ids; of `folder`, where it was worked."""
    found = {}
    for path, dirfd, name, info in alike.walk(tree):
        seen = alike.describe(dirfd, name, info)
        for key in ("mtime", "size", "content"):
            seen.pop(key, None)
        if "target" not in seen and seen["kind"] == 0o100000:
            with alike.opened(name, dir_fd=dirfd) as fd:
                seen["content"] = without_times(path, os.read(fd, info.st_size + 1), folder)
        found[path] = seen
    return found


def differences(wanted: dict, got: dict) -> list:
    """Between two fingerprints, few enough to be read."""
    return [(path, wanted.get(path), got.get(path))
            for path in sorted(wanted.keys() | got.keys())
            if wanted.get(path) != got.get(path)][:3]


def leftovers_of_cvs(tree: bytes) -> list:
    """Locks, and files that were being written."""
    return [path for path, _, name, _ in alike.walk(tree)
            if name.startswith((b"#cvs.", b",")) or name.endswith(b",")]


class Repository:
    """The ref `repo` of a workplace; or, plain, a directory beside it, for comparison."""

    def __init__(self, place: Workplace, folder: str, plain: bool = False):
        self.place = place
        self.folder = place.at(folder)
        os.mkdir(self.folder)
        self.root = self.folder + b"/repo" if plain else place.public("repo")
        self.plain = plain
        self.environment = {**place.environment, "LOGNAME": "somebody", "USER": "somebody",
                            "HOME": os.fsdecode(place.path), "CVSEDITOR": "false"}
        if plain:
            os.mkdir(self.root, 0o755)

    def options(self, cwd) -> dict:
        return {"cwd": os.path.join(self.folder, os.fsencode(cwd)), "env": self.environment,
                "timeout": LIMIT}

    def words(self, *words) -> list:
        return [CVS, "-Q", "-d", self.root, *words]

    def cvs(self, *words, cwd=".", status=0) -> Done:
        """A command that may write: in a transaction, if it is no plain repository."""
        if not self.plain:
            return self.place.pleach("run", "--create", "repo", "--", *self.words(*words),
                                     status=status, **self.options(cwd))
        done = Done(subprocess.run(self.words(*words), check=False, capture_output=True,
                                   stdin=subprocess.DEVNULL, **self.options(cwd)))
        assert done.status == status, (words, done)
        return done

    def read(self, *words, cwd=".") -> Done:
        """A command that only reads; it must succeed, and leaves the tree alone."""
        done = Done(subprocess.run([CVS, "-Q", "-R", "-d", self.root, *words], check=False,
                                   capture_output=True, stdin=subprocess.DEVNULL,
                                   **self.options(cwd)))
        assert done.status == 0, (words, done)
        return done

    def path(self, *names) -> bytes:
        return os.path.join(self.folder, *map(os.fsencode, names))

    def fill(self, module: str, files: int) -> None:
        """A repository with a module, imported."""
        for n in range(files):
            put(self.path("import", f"f{n}"), b"file %d\nof many\n" % n)
        self.cvs("init")
        self.cvs("import", "-m", "first", module, "vendor", "start", cwd="import")

    def change(self, copy: str, files) -> None:
        """Changes files of a working copy; their times are such that CVS sees it."""
        for n in files:
            path = self.path(copy, f"f{n}")
            info = os.stat(path)
            with open(path, "ab") as file:
                file.write(b"one more line\n")
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns + 2000000000))

    def fingerprint(self) -> dict:
        return fingerprint(self.root, self.folder)
