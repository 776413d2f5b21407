"""Where points are tried: a directory with sources and prepared stores, copies of these, and what is seen in them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import tempfile

IMAGE_BYTES = 300 << 20
THEN = 1_600_000_000


class Fault(Exception):
    """Something is not as it must be."""


def write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.utime(path, (THEN, THEN))


def make_source(path: str, what: str) -> None:
    """Some of it is in every tree, some says which one it is."""
    write(f"{path}/a", what)
    write(f"{path}/d/f", f"{what} in d\n")
    write(f"{path}/d/same", "the same in all\n")
    write(f"{path}/e/deep/g", "the same in all, and deep\n" * 300)
    write(f"{path}/only-{what}/h", what * 9)
    if what != "s":
        os.link(f"{path}/d/same", f"{path}/e/twin")
    os.symlink(f"to {what}", f"{path}/link")
    os.chmod(f"{path}/e/deep", 0o750)


def make_loose(path: str) -> None:
    for i in range(3):
        for k in range(4):
            write(f"{path}/{i}/{k}", f"content {k // 2}, of {5000 * (k // 2)}\n" * 400)


def look(path: str, has_groups: bool) -> tuple | str | None:
    """All there is to a tree but the times of directories, and what is unfinished. None: it is not there."""
    if not os.path.lexists(path):
        return None
    if not os.path.exists(path):
        return f"dangles: {os.readlink(path)}"
    found, first, left = [], {}, [""]
    while left:
        inside = left.pop()
        for entry in os.scandir(os.path.join(path, inside)):
            if entry.name.startswith(".pleach"):
                continue
            name = os.path.join(inside, entry.name)
            st = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(st.st_mode):
                left.append(name)
                found.append((name, stat.S_IMODE(st.st_mode)))
            elif stat.S_ISLNK(st.st_mode):
                found.append((name, os.readlink(entry.path)))
            else:
                with open(entry.path, "rb") as file:
                    group = first.setdefault(st.st_ino, name) if has_groups else name
                    found.append((name, st.st_mode, file.read(), st.st_mtime_ns, group))
    return tuple(sorted(found))


class Place:
    """One copy of a prepared store, with what lies beside it."""

    def __init__(self, path: str, sources: str, command: str):
        self.path, self.sources, self.command = path, sources, command
        self.store, self.out, self.loose = f"{path}/store", f"{path}/out", f"{path}/loose"
        self.environment = {**os.environ, "LC_ALL": "C", "TMPDIR": path}

    def inner(self, *names: str) -> str:
        return os.path.join(self.store, ".pleach", *names)

    def names(self, *names: str) -> list:
        try:
            return sorted(os.listdir(self.inner(*names)))
        except FileNotFoundError:
            return []

    def fill_in(self, word: str) -> str:
        if "{" not in word:
            return word
        tx = [name for name in self.names("tx") if os.path.exists(self.inner("tx", name, "parked"))]
        return word.format(a=f"{self.sources}/a", b=f"{self.sources}/b", c=f"{self.sources}/c", n=f"{self.sources}/n",
                           s=f"{self.sources}/s", out=self.out, loose=self.loose, store=self.store, tx=tx[0] if tx else "0" * 24)

    def arguments(self, words: list) -> list:
        if words[0] == "init":
            return [self.command, *map(self.fill_in, words)]
        # What a script says is no pattern of ours.
        script = words.index("-c") + 1 if "-c" in words else len(words)
        return [self.command, "--store", self.store, *map(self.fill_in, words[:script]), *words[script:]]

    def start(self, arguments: list, timeout: int = 180) -> subprocess.CompletedProcess:
        return subprocess.run(arguments, check=False, cwd=self.path, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)

    def pleach(self, words: list, statuses: tuple = (0,)) -> subprocess.CompletedProcess:
        done = self.start(self.arguments(words))
        if done.returncode not in statuses:
            raise Fault(f"{' '.join(words)[:60]} ends with {done.returncode}: "
                        f"{(done.stderr + done.stdout).decode('utf-8', 'replace').strip()[:600]}")
        return done

    def generations(self) -> dict:
        found = {ref: self.names("refs", ref, "gen") for ref in self.names("refs")}
        return {ref: numbers for ref, numbers in found.items() if numbers}

    def views(self, has_groups: bool) -> dict:
        """What readers see, by name: public paths, what is attached or checked out, loose files."""
        found = {}
        for where in (self.store, self.out):
            for name in os.listdir(where):
                if not name.startswith(".pleach"):
                    found[f"{os.path.basename(where)}/{name}"] = look(f"{where}/{name}", has_groups)
        found["loose"] = look(self.loose, has_groups)
        return found

    def locked(self) -> list:
        """Which files of the store are locked by anybody."""
        device = os.stat(self.store).st_dev
        prefix = f"{os.major(device):02x}:{os.minor(device):02x}:"
        with open("/proc/locks", encoding="ascii") as file:
            inodes = {int(part[len(prefix):]) for line in file for part in line.split() if part.startswith(prefix)}
        return [os.path.join(top, name) for top, _, names in os.walk(self.inner()) for name in names
                if inodes and os.lstat(os.path.join(top, name)).st_ino in inodes]

    def leftovers(self, aside: int) -> list:
        found = [f"tx/{name}" for name in self.names("tx")]
        found += [f"cache/{name}" for name in self.names("cache") if re.fullmatch("[0-9a-f]{24}", name)]
        found += [f"trash/{name}" for name in self.names("trash") if name not in ("batch", "collector")]
        beside = [os.path.join(top, name) for top, dirs, files in os.walk(self.path) for name in dirs + files
                  if name.startswith(".pleach-")]
        return found + (beside if len(beside) > aside else [])

    def unmount(self) -> None:
        with open("/proc/self/mounts", encoding="utf-8") as file:
            points = [line.split()[1] for line in file]
        for point in reversed([point for point in points if point.startswith(self.path + "/")]):
            subprocess.run(["umount", "-l", point], check=True)

    def remove(self) -> None:
        self.unmount()
        if os.path.lexists(self.path):
            subprocess.run(["rm", "-rf", self.path], check=True)


class Ground:
    """The directory of all: sources, and for each file system a prepared store that is copied."""

    def __init__(self, command: str):
        self.command = command
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.path = tempfile.mkdtemp(prefix="pleach-kill-", dir=base)
        self.mounted: list = []
        self.roots: dict = {}

    def root(self, kind: str) -> str:
        """Where copies lie on a file system of this kind, "" if there can be none."""
        if kind not in self.roots:
            self.roots[kind] = self.make_root(kind)
        return self.roots[kind]

    def make_root(self, kind: str) -> str:
        root = f"{self.path}/{kind}"
        os.mkdir(root)
        if kind != "tmpfs" and not self.mount(kind, root):
            return ""
        for name in "abcns":
            make_source(f"{root}/sources/{name}", name)
        if kind != "btrfs":  # there a store is a subvolume, which is not copied
            self.prepare(Place(f"{root}/ready", f"{root}/sources", self.command))
        return root

    def mount(self, kind: str, root: str) -> bool:
        """An image, in a mount namespace of this process."""
        image = f"{self.path}/{kind}.img"
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        for line in ([f"mkfs.{kind}", "-q", image], ["mount", "-o", "loop", image, root]):
            try:
                if subprocess.run(line, check=False, capture_output=True).returncode != 0:
                    return False
            except FileNotFoundError:
                return False
        self.mounted.append(root)
        assert os.stat(root).st_dev != os.stat(self.path).st_dev
        return True

    def prepare(self, place: Place) -> Place:
        """Two generations of `site`, one of them retired, and another ref."""
        os.mkdir(place.path)
        os.mkdir(place.out)
        make_loose(place.loose)
        subprocess.run([self.command, "init", place.store], check=True, stdout=subprocess.DEVNULL)
        for words in (["config", "grace=0", "keep-placed=1", "spares=1", "auto-gc=off"],
                      ["publish", "site", "{a}"], ["publish", "site", "{b}"], ["publish", "other", "{a}"]):
            place.pleach(words)
        return place

    def copy(self, kind: str, name: str) -> Place:
        root = self.root(kind)
        place = Place(f"{root}/{name}", f"{root}/sources", self.command)
        if kind == "btrfs":
            return self.prepare(place)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{root}/ready", place.path], check=True)
        return place

    def remove(self) -> None:
        for root in self.mounted:
            subprocess.run(["umount", root], check=False)
        with contextlib.suppress(OSError):
            shutil.rmtree(self.path)
