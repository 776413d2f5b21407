"""What a transaction costs: rows of bench/run.py, on trees shaped like the source of Linux.

Trees have about sixteen files a directory, in directories three deep. Each figure is of whole commands, from
`run` to its exit, the commit made durable; peers do the same work, made durable the same way.
"""

import os
import random
import subprocess
import tempfile
import time

DIRECTORY = 16  # files in each


def name_of(number):
    return (f"d{number // (DIRECTORY * 320):02d}/e{number // (DIRECTORY * 16) % 20:02d}/"
            f"s{number // DIRECTORY % 16:02d}/file{number}.c")


def make_tree(path, files, seed):
    rng = random.Random(seed)
    for number in range(files):
        file_path = os.path.join(path, name_of(number))
        if number % DIRECTORY == 0:
            os.makedirs(os.path.dirname(file_path))
        with open(file_path, "wb") as file:
            file.write(rng.randbytes(min(int(rng.lognormvariate(7.5, 1.1)), 100_000)))
    subprocess.run(["sync", "-f", path], check=True)


class Store:
    """A store with one such tree as `site`, and a farm of hard links beside it as the peer has it."""

    def __init__(self, bench, where, name, files, **settings):
        self.bench, self.files = bench, files
        self.where = os.path.join(where, name)
        os.mkdir(self.where)
        self.path = os.path.join(self.where, "store")
        self.farm = os.path.join(self.where, "farm")
        self.number = 0
        self.rng = random.Random(5)
        make_tree(self.farm + "0", files, 2)
        self.pleach("init", self.path)
        self.config(**settings)
        self.pleach("publish", "site", self.farm + "0/")

    def pleach(self, *words):
        subprocess.run([self.bench.pleach, "--store", self.path, *words], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def config(self, **settings):
        for key, value in settings.items():
            self.pleach("config", f"{key}={value}")

    def ten(self):
        """Ten files all over the tree."""
        return [name_of(n) for n in self.rng.sample(range(self.files), 10)]

    def script(self, names):
        return "cd \"$PLEACH_PATH\" && " + " && ".join(f"echo more >>{name}" for name in names)

    def run_ten(self):
        script = self.script(self.ten())
        return self.bench.timed(
            lambda: self.pleach("run", "site", "--", "sh", "-c", script))

    def commit_ten(self):
        """From the end of the program to that of `run`. When that was is written elsewhere, not to be synced too."""
        with tempfile.NamedTemporaryFile("r", encoding="ascii") as stamp:
            self.pleach("run", "site", "--", "sh", "-c",
                        f"{self.script(self.ten())} && exec date +%s%N >{stamp.name}")
            return (time.time_ns() - int(stamp.read())) / 1e9

    def peer_ten(self):
        """cp -al, ten files replaced by changed copies, all of it durable, and a symlink flipped."""
        old, new = f"{self.farm}{self.number}", f"{self.farm}{self.number + 1}"
        names = self.ten()
        self.number += 1

        def work():
            subprocess.run(["cp", "-al", old, new], check=True)
            for name in names:
                path = os.path.join(new, name)
                with open(path, "rb") as file:
                    content = file.read()
                os.unlink(path)
                with open(path, "wb") as file:
                    file.write(content + b"more\n")
            subprocess.run(["sync", "-f", self.where], check=True)
            link = os.path.join(self.where, "link")
            os.symlink(new, link + ".new")
            os.rename(link + ".new", link)
            subprocess.run(["sync", "-f", self.where], check=True)

        seconds = self.bench.timed(work)
        subprocess.run(["rm", "-rf", old], check=True)
        subprocess.run(["sync", "-f", self.where], check=True)  # not at the cost of the next one
        return seconds

    def warm(self):
        """Until there is a tree to recycle."""
        for _ in range(4):
            self.run_ten()


def nothing(bench, store):
    row = bench.Row("run -- true / unshare -mpf --mount-proc true", 2.0)
    for _ in range(20 * bench.rounds):
        ours = bench.timed(lambda: store.pleach("run", "site", "--", "true"))
        theirs = bench.timed(lambda: subprocess.run(
            ["unshare", "-mpf", "--mount-proc", "true"], check=True))
        row.add(ours, theirs)
    return row


def against_farm(bench, store, what, target):
    """The other way round: how many times faster."""
    row = bench.Row(f"run, 10 of {store.files} files / cp -al, change, sync, flip ({what})", target)
    for _ in range(bench.rounds):
        row.add(store.run_ten(), store.peer_ten())
    return row


def against_small(bench, large, small):
    row = bench.Row(f"run, 10 files of {large.files} / of {small.files}", 1.3)
    for _ in range(5 * bench.rounds):
        row.add(large.run_ten(), small.run_ten())
    return row


def against_fsync(bench, store, target):
    """The commit alone, against an fsync of each of ten files that were just changed."""
    row = bench.Row(f"commit of 10 files of {store.files} / fsync of 10 files", target)
    for _ in range(5 * bench.rounds):
        ours = store.commit_ten()
        with tempfile.TemporaryDirectory(dir=store.where) as directory:
            paths = [os.path.join(directory, str(i)) for i in range(10)]
            for path in paths:
                with open(path, "wb") as file:
                    file.write(b"x" * 3000)

            def sync_each(paths=paths):
                for path in paths:
                    fd = os.open(path, os.O_RDONLY)
                    os.fsync(fd)
                    os.close(fd)

            row.add(ours, bench.timed(sync_each))
    return row


def measure(bench, where, files):
    held = True
    pinned = {"grace": "0", "recycle": "edit"}  # all readers pin
    large = Store(bench, where, "large", files, **pinned)
    small = Store(bench, where, "small", files // 10, **pinned)
    large.warm()
    small.warm()
    held &= nothing(bench, large).show()
    held &= against_farm(bench, large, "grace=0, recycle=edit", 1 / 12).show()
    held &= against_small(bench, large, small).show()
    few = Store(bench, where, "few", 20 * DIRECTORY, **pinned)
    few.warm()
    held &= against_fsync(bench, few, 3.0).show()
    against_fsync(bench, large, 6.0).show()
    large.config(recycle="move")
    large.run_ten()
    held &= against_farm(bench, large, "grace=0, recycle=move", 1 / 12).show()
    large.config(grace="5m")
    large.run_ten()
    against_farm(bench, large, "default grace, laid out in full", 1.0).show()
    return held
