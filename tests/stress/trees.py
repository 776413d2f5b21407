"""The trees of the stress test: every file says the stamp of its tree, so that a mixture is seen. What is
in a tree of a stamp is told here, without pleach.
"""

from __future__ import annotations

import os
import stat

STAMPED = ("a", "b/c", "b/d/e", "b/d/f", "g/h", "g/i/j", "g/i/k", "z")
GROUP = ("b/d/e", "g/i/j")  # two names of one file
SAME = tuple(f"same{i}/{name}" for i in range(3) for name in ("x", "deep/y"))
LINK = "link"
COUNTERS = 4
# What tests/stress/reader.c is told to read.
NAMES = (*STAMPED, "@" + LINK, *("=" + name for name in SAME[:2]))
PAIRS = tuple(f"{half}/{i}" for i in range(COUNTERS) for half in ("w", "pair"))
# What `pleach run` is told to do, in its $PLEACH_PATH: a tree of another stamp; one more.
RESTAMP = ('cd "$PLEACH_PATH" && for n in ' + " ".join(name for name in STAMPED if name != GROUP[1]) +
           '; do echo "$1" >"$n" || exit 1; done && ln -sfn "$1" link && mkdir "only $1" && '
           'echo "$1" >"only $1/x"; for d in only*; do [ "$d" = "only $1" ] || rm -r "$d"; done')
BUMP = ('cd "$PLEACH_PATH" && n=$(cat "w/$1") && echo $((n + 1)) >"w/$1" && '
        'echo $((n + 1)) >"pair/$1"')


def only(stamp: str) -> str:
    return f"only {stamp}/x"


def write(root: bytes, name: str, text: str) -> None:
    """A new file."""
    path = os.path.join(root, os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="ascii") as file:
        file.write(text + "\n")


def make(root: bytes, stamp: str) -> None:
    """A tree with this stamp, where there is nothing."""
    for name in STAMPED:
        if name != GROUP[1]:
            write(root, name, stamp)
    for name in SAME:
        write(root, name, "same")
        os.utime(os.path.join(root, os.fsencode(name)), ns=(0, 0))
    write(root, only(stamp), stamp)
    os.makedirs(os.path.join(root, os.fsencode(os.path.dirname(GROUP[1]))), exist_ok=True)
    os.link(*(os.path.join(root, os.fsencode(name)) for name in GROUP))
    os.symlink(stamp, os.path.join(root, os.fsencode(LINK)))


def make_counts(root: bytes) -> None:
    for name in PAIRS:
        write(root, name, "0")


def contents(root: bytes) -> dict:
    """Of all files and symlinks below: path -> content or target."""
    found: dict = {}
    todo = [b""]
    while todo:
        below = todo.pop()
        for name in os.listdir(os.path.join(root, below)):
            path = os.path.join(below, name)
            whole = os.path.join(root, path)
            mode = os.lstat(whole).st_mode
            if stat.S_ISDIR(mode):
                todo.append(path)
            elif stat.S_ISLNK(mode):
                found[path] = os.readlink(whole)
            else:
                with open(whole, "rb") as file:
                    found[path] = file.read()
    return found


def contents_of(stamp: str) -> dict:
    """What contents() must tell of a tree with this stamp."""
    text = os.fsencode(stamp) + b"\n"
    return {**{os.fsencode(name): text for name in (*STAMPED, only(stamp))},
            **{os.fsencode(name): b"same\n" for name in SAME},
            os.fsencode(LINK): os.fsencode(stamp)}


def contents_of_counts(counts: dict) -> dict:
    return {os.fsencode(name): b"%d\n" % counts.get(int(name.split("/")[1]), 0) for name in PAIRS}
