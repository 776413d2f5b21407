"""What is killed: commands, what comes before each, and what each may leave. kill.py goes through them.

Words may have {a}, {b}, {c}, {n}, {s} (sources; {s} without hard links), {out}, {loose} and {store} (directories), {tx} (the parked transaction).
"""

from __future__ import annotations

from typing import NamedTuple

# Each may be done again where it is done.
EDIT = ("cd \"$PLEACH_PATH\" && echo edited > a && mkdir -p made && echo made > made/file && ln -f made/file made/twin && "
        "rm -f d/f && { [ -d moved ] || mv e moved; } && touch -d @1600000000 a made/file")
PLAIN_EDIT = ("cd \"$PLEACH_PATH\" && echo edited > a && mkdir -p made && echo made > made/file && rm -f d/f && "
              "touch -d @1600000000 a made/file")  # what an overlay of an ordinary user can


class Scenario(NamedTuple):
    name: str
    command: str | list
    before: tuple = ()  # commands that make the store ready, each a string or a list of words
    killed_before: str | list = ""  # one that is killed first, at a point of its own: `command` recovers
    again: tuple = (0,)  # how the same command may end when it is given once more
    finish: tuple = ()  # what is done then; it may find nothing to do
    on: str = "tmpfs"
    is_rooted: bool = False  # needs root
    may_lack: bool = False  # where it cannot be had, it is left out
    follows: bool = False  # what is in out/ is as the head of site is
    is_piecemeal: bool = False  # not one step, but one for each file: each is the old or the new one
    damage: str = ""  # a shell command, last before the command
    aside: int = 0  # so many directories may lie set aside in the end
    checks: bool = True  # the store is to be verified after the command alone, before anything mends it


def words(command) -> list:
    return command.split() if isinstance(command, str) else list(command)


def run(workspace: str, script: str = EDIT) -> list:
    return ["run", "-q", "--workspace", workspace, "site", "--", "sh", "-c", script]


PARKED = "begin --workspace copy site"
WORKED = ["run", "-q", "--tx", "{tx}", "site", "--", "sh", "-c", EDIT]
EXCHANGED = "attach site {out}/x --mode exchange"
MOUNTED = "attach site {out}/m --mode mount"
GARBAGE = ("publish site {c}", "publish site {a}", "drop site@3 --now", "drop site@2 --now")
ABORT = ("abort {tx}",)
OFF = "config recycle=off"
AGAIN = "checkout site@1 {out}/again"  # it removes what lies there

SCENARIOS = [
    Scenario("init", "init {out}/new"),
    Scenario("publish, first", "publish new {c}"),
    Scenario("publish, recycled", "publish site {c}"),
    Scenario("publish, laid out", "publish site {c}", (OFF,)),
    Scenario("publish, edited", "publish site {c}", ("config --ref site recycle=edit",)),
    Scenario("publish, a tree that is there", "publish other {b}"),
    Scenario("publish, collecting", "publish site {c}", ("config keep=1 auto-gc=on",)),
    Scenario("compose", "publish site new={c} old=site:d", again=(0, 10)),
    Scenario("rollback", "rollback site"),
    Scenario("tag", "tag site v1 site@1"),
    Scenario("tag, deleted", "tag --delete site v1", ("tag site v1 site@1",), again=(0, 10)),
    Scenario("config", "config --ref site keep=3"),
    Scenario("path", "path site@1", ("config spares=0", "publish site {c}", "publish site {b}")),
    Scenario("gc", "gc", GARBAGE),
    Scenario("gc, dropping", "gc", (*GARBAGE, "config keep=1")),
    Scenario("drop", "drop site@1 --now", again=(0, 10)),
    Scenario("drop, a ref", "drop other --now", again=(0, 10)),
    Scenario("attach, symlink", "attach site {out}/l", finish=("detach {out}/l",), follows=True),
    Scenario("attach, exchange", EXCHANGED, finish=("detach {out}/x",), may_lack=True),
    Scenario("attach, mount", MOUNTED, finish=("detach {out}/m",), is_rooted=True, may_lack=True),
    Scenario("detach, exchange", "detach {out}/x", (EXCHANGED,), again=(0, 10), may_lack=True),
    Scenario("detach, mount", "detach {out}/m", (MOUNTED,), again=(0, 10), is_rooted=True, may_lack=True),
    Scenario("publish, symlink attached", "publish site {c}", ("attach site {out}/l",), follows=True),
    Scenario("publish, exchange attached", "publish site {c}", (EXCHANGED,), follows=True, may_lack=True,
             finish=("detach {out}/x",)),
    Scenario("publish, mount attached", "publish site {c}", (MOUNTED,), follows=True, is_rooted=True,
             may_lack=True, finish=("detach {out}/m",)),
    Scenario("run, overlay", run("overlay"), is_rooted=True, may_lack=True),
    Scenario("run, user-overlay", run("user-overlay", PLAIN_EDIT), ("publish site {s}",), may_lack=True),
    Scenario("run, copy", run("copy")),
    Scenario("run, reflink", run("reflink"), on="xfs", is_rooted=True, may_lack=True),
    Scenario("run, snapshot", run("snapshot"), on="btrfs", is_rooted=True, may_lack=True),
    Scenario("begin", PARKED, finish=2 * ABORT),
    Scenario("begin, checkout", "begin --checkout {out}/co site", finish=(*ABORT, AGAIN), again=(0, 1)),
    Scenario("run, parked", WORKED, (PARKED,), finish=ABORT, again=(0, 10, 125)),
    Scenario("commit", "commit {tx}", (PARKED, WORKED), again=(0, 10), finish=ABORT),
    Scenario("commit, merged", "commit {tx}", (PARKED, WORKED, ["publish", "site", "{b}", "extra={c}"]),
             again=(0, 10), finish=ABORT),
    Scenario("abort", "abort {tx}", (PARKED, WORKED), again=(0, 10)),
    Scenario("checkout", "checkout site@1 {out}/co", again=(0, 1), finish=(AGAIN,)),
    Scenario("checkout, updated", "checkout --update --delete site {out}/co", ("checkout site@1 {out}/co",),
             is_piecemeal=True),
    Scenario("repair, a placed tree", "check --repair", checks=False,
             damage="rm -f {store}/site/a && echo stray > {store}/site/stray && touch -d @1600000000 {store}/site/stray"),
    Scenario("repair, the public path", "check --repair", checks=False,
             damage="rm -rf {store}/site {store}/.pleach/refs/site/public"),
    Scenario("repair, exchange attached", "check --repair", (EXCHANGED,), checks=False, may_lack=True,
             damage="echo stray > {out}/x/stray && touch -d @1600000000 {out}/x/stray", finish=("detach {out}/x",), aside=1),
    Scenario("dedup", "dedup --how link {loose}", is_piecemeal=True),
    Scenario("dedup, reflink", "dedup --how reflink {loose}", on="xfs", is_rooted=True,
             may_lack=True),
    Scenario("recovery of a publish, by gc", "gc", killed_before="publish site {c}"),
    Scenario("recovery of a publish, by a publish", "publish site {c}", killed_before="publish site {c}"),
    Scenario("recovery of a gc", "gc", GARBAGE, killed_before="gc"),
    Scenario("recovery of a run", "gc", killed_before=run("copy")),
    Scenario("recovery of a swap", "status", (EXCHANGED,), killed_before="publish site {c}", may_lack=True,
             finish=("detach {out}/x",), follows=True),
    Scenario("recovery of a drop", "gc", killed_before="drop other --now"),
]
