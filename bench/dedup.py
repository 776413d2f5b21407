"""Sharing equal files beside rdfind, jdupes, hardlink and nix-store --optimise, on the same trees.

Two copies of one tree, whose files are equal in all that a link has once. Each program gets fresh ones, with
their pages in memory, and what it wrote is synced after it, in its time. What it has linked is compared by the
sets of names that share an inode: nix-store copies the trees into a store of its own first (not in its time),
and links the same sets there, with its `.links`.
"""

import os
import shutil
import statistics
import subprocess
import time

MIB = 1024 * 1024
TEN_MILLION = 10_000_000


def sync(path):
    subprocess.run(["sync", "-f", path], check=True)


def prepare(where, tree):
    path = os.path.join(where, "two")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path)
    for name in ("a", "b"):
        subprocess.run(["cp", "-a", tree, os.path.join(path, name)], check=True)
    sync(path)
    return path


def linked_sets(path):
    """The sets of names that share an inode, but for those of one; without `.links`."""
    sets = {}
    for directory, below, names in os.walk(path):
        below[:] = [name for name in below if name != ".links"]
        for name in names:
            file = os.path.join(directory, name)
            status = os.lstat(file)
            if status.st_size > 0:
                sets.setdefault(status.st_ino, []).append(os.path.relpath(file, path))
    return sorted(sorted(names) for names in sets.values() if len(names) > 1)


def peak_of(pid):
    """The most memory that the process has had, as long as it is there; 0 then."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def run_measured(command, path, environment=None):
    """Seconds with the closing sync, and the peak of its memory in bytes. (What wait4(2) tells of a child
    begins with the memory of its parent.)"""
    start, peak = time.monotonic(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=environment) as child:
        while child.poll() is None:
            peak = max(peak, peak_of(child.pid))
            time.sleep(0.005)
    if child.returncode != 0:
        raise SystemExit(f"bench: {command[0]} ended with {child.returncode}")
    sync(path)
    return time.monotonic() - start, peak


PEERS = {
    "hardlink": ["hardlink", "-q"],
    "jdupes": ["jdupes", "-q", "-r", "-L"],
    "rdfind": ["rdfind", "-makehardlinks", "true", "-outputname", "/dev/null"],
}


class Nix:
    """The same two trees, in a store of Nix."""

    def __init__(self, where):
        self.root = os.path.join(where, "nix")
        self.environment = dict(os.environ, NIX_CONFIG="build-users-group =", HOME=where)

    def run(self, path):
        shutil.rmtree(self.root, ignore_errors=True)
        for name in ("a", "b"):
            subprocess.run(["nix-store", "--store", self.root, "--add", os.path.join(path, name)],
                           check=True, env=self.environment, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        sync(self.root)
        result = run_measured(["nix-store", "--store", self.root, "--optimise"], self.root,
                              self.environment)
        store = os.path.join(self.root, "nix", "store")
        # /nix/store/<hash>-a is a
        sets = sorted(sorted(name.partition("-")[2] for name in names)
                      for names in linked_sets(store))
        subprocess.run(["chmod", "-R", "u+w", self.root], check=True)
        return (*result, sets)


def one_round(args, where, tree, number, results):
    """Everybody once, each round in another order: what comes first meets another disk."""
    programs = {"pleach": [args.pleach, "dedup", "-q", "--how=link"],
                **{name: command for name, command in PEERS.items() if shutil.which(name)}}
    if shutil.which("nix-store"):
        programs["nix-store"] = None
    names = list(programs)
    for name in names[number % len(names):] + names[:number % len(names)]:
        path = prepare(where, tree)
        if programs[name]:
            figures = (*run_measured([*programs[name], path], path), linked_sets(path))
        else:
            figures = Nix(where).run(path)
        results.setdefault(name, []).append(figures)


def tell(args, results):
    ours = results.pop("pleach")
    fastest = args.Row("dedup / the fastest that compares content", 0.8)
    for i, (seconds, _, _) in enumerate(ours):
        if results:
            fastest.add(seconds, min(theirs[i][0] for theirs in results.values()))
    for name, theirs in results.items():
        row = args.Row(f"dedup / {name}", 1)
        for mine, its in zip(ours, theirs):
            row.add(mine[0], its[0])
        row.show()
        mine, its = (statistics.median(peak for _, peak, _ in figures) for figures in (ours, theirs))
        print(f"{'  memory':<52} {mine / its:5.3f}x  ({mine / MIB:.1f} / {its / MIB:.1f} MiB)")
        if ours[0][2] != theirs[0][2]:
            only = sum(names not in theirs[0][2] for names in ours[0][2])
            other = sum(names not in ours[0][2] for names in theirs[0][2])
            print(f"  sets of names: {only} are ours alone, {other} those of {name} alone")
    return fastest.show() if results else True


def memory(args, where, make_tiny_tree):
    """What ten million files would take, from two sizes; every file could be equal to thousands."""
    peaks = []
    sizes = (args.memory_files // 3, args.memory_files)
    for files in sizes:
        path = os.path.join(where, f"tiny{files}")
        make_tiny_tree(path, files)
        command = [args.pleach, "dedup", "-q", "--how=link", "--match=content", path]
        peaks.append(run_measured(command, path)[1])
        shutil.rmtree(path)
    each = (peaks[1] - peaks[0]) / (sizes[1] - sizes[0])
    total = peaks[1] + each * (TEN_MILLION - sizes[1])
    held = total <= 512 * MIB
    print(f"{f'memory of dedup, {sizes[0]} and {sizes[1]} files':<52} "
          f"{peaks[0] / MIB:5.1f} and {peaks[1] / MIB:.1f} MiB; ten million: {total / MIB:.0f} MiB  "
          f"target 512 MiB{'' if held else '  MISSED'}")
    return held


def measure(args, where, tree):
    """False: a target was missed."""
    results = {}
    for number in range(args.rounds):
        one_round(args, where, tree, number, results)
    shutil.rmtree(os.path.join(where, "nix"), ignore_errors=True)
    shutil.rmtree(os.path.join(where, "two"), ignore_errors=True)
    for name in [*PEERS, "nix-store"]:
        if name not in results:
            print(f"dedup / {name}: not installed")
    return tell(args, results)
