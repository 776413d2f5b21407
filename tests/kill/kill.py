"""Kills the command, as it is released, at its system calls that change something, and looks at what is left.

    kill.py [--points N]       N points of each scenario (default 60), spread evenly; the seed says where they begin
            --full             every point
            --seconds N        rounds of points, each with another seed, for so long
            --seed N  --scenario TEXT  --at K[,K[,K]]  --jobs N

tests/programs/stopper.c ends all processes that came of the command before the K-th such call is made. $PLEACH is the
command, $PLEACH_BUILD_ROOT where stopper was built. Exit 1 if anything was not as it must be, 77 if nothing can be
traced here.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import random
import sys
import threading
import time
from typing import NamedTuple

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from place import Fault, Ground, Place, look  # noqa: E402
from scenarios import SCENARIOS, Scenario, words  # noqa: E402

COMMAND = os.environ.get("PLEACH", "")
STOPPER = os.path.join(os.environ.get("PLEACH_BUILD_ROOT", ""), "tests", "stopper")
KILLED, CANNOT_TRACE = 137, 77
EMPTY: tuple = ()


class Baseline(NamedTuple):
    """What there is before, after, and how many calls lie between."""

    calls: int  # of what is killed first
    recovery_calls: int
    views: tuple
    generations: tuple


class Harness:
    def __init__(self):
        self.ground = Ground(COMMAND)
        self.count = 0
        self.lock = threading.Lock()

    def make(self, scenario: Scenario) -> Place:
        with self.lock:
            self.count += 1
            name = f"p{self.count}"
            self.ground.root(scenario.on)
        place = self.ground.copy(scenario.on, name)
        for command in scenario.before:
            place.pleach(words(command))
        if scenario.damage:
            done = place.start(["sh", "-c", place.fill_in(scenario.damage)])
            assert done.returncode == 0, done
        return place

    def stop(self, place: Place, command, k: int) -> tuple:
        """(exit status, calls made, stderr)"""
        report = f"{place.path}/report"
        done = place.start([STOPPER, "--all", str(k), report, *place.arguments(words(command))])
        if done.returncode == CANNOT_TRACE:
            print(done.stderr.decode("utf-8", "replace"), file=sys.stderr)
            os._exit(CANNOT_TRACE)
        with open(report, encoding="ascii") as file:
            calls = int(file.read().splitlines()[-1].split()[0])
        os.unlink(report)
        return done.returncode, calls, done.stderr.decode("utf-8", "replace").strip()

    # ---- what must be so ----

    def baseline(self, scenario: Scenario) -> Baseline | str:
        """Or the reason why it cannot be had."""
        if not self.ground.root(scenario.on):
            return f"no {scenario.on} can be mounted here"
        place = None
        try:
            place = self.make(scenario)
            old, old_generations = place.views(not scenario.is_piecemeal), place.generations()
            status, calls, text = self.stop(place, scenario.killed_before or scenario.command, 0)
            if status != 0:
                raise Fault(text)
            new, new_generations = place.views(not scenario.is_piecemeal), place.generations()
            recovery = self.recovery_calls(scenario, calls) if scenario.killed_before else 0
            return Baseline(calls, recovery, (old, new), (old_generations, new_generations))
        except Fault as fault:
            if not scenario.may_lack:
                raise
            return str(fault)
        finally:
            if place:
                place.remove()

    def recovery_calls(self, scenario: Scenario, calls: int) -> int:
        """The most of a few."""
        most = 0
        for k in range(1, calls, max(1, calls // 4)):
            place = self.make(scenario)
            try:
                self.stop(place, scenario.killed_before, k)
                most = max(most, self.stop(place, scenario.command, 0)[1])
            finally:
                place.remove()
        return most

    def check_death(self, place: Place, scenario: Scenario, base: Baseline) -> None:
        locked = place.locked()
        if locked:
            raise Fault(f"a lock is held: {locked}")
        views = place.views(not scenario.is_piecemeal)
        for name in {**views, **base.views[0], **base.views[1]}:
            view = views.get(name)
            may_wait = name.startswith("out/") and view == EMPTY  # a directory that waits for its mount
            known = base.views[0].get(name), base.views[1].get(name)
            if view in known or may_wait:
                continue
            strange = {*(view or ())} - {*(known[0] or ())} - {*(known[1] or ())}
            # A directory that is worked in has a mode of its own meanwhile.
            if not scenario.is_piecemeal or not view or any(len(entry) > 2 for entry in strange):
                raise Fault(f"{name} is neither the old nor the new one: {strange or view!r:.600}")

    def check_settled(self, place: Place, scenario: Scenario, base: Baseline) -> None:
        """Once any command was there, the public path is what is recorded."""
        generations, views = place.generations(), place.views(not scenario.is_piecemeal)
        for ref in {**generations, **base.generations[0], **base.generations[1]}:
            known = [i for i in (0, 1) if base.generations[i].get(ref) == generations.get(ref)]
            if not known:
                raise Fault(f"{ref} has generations {generations.get(ref)}")
            if views.get(f"store/{ref}") not in [base.views[i].get(f"store/{ref}") for i in known]:
                raise Fault(f"{ref} has generations {generations.get(ref)}, and another tree is shown")
        if scenario.follows and any(view != views["store/site"] for name, view in views.items()
                                    if name.startswith("out/")):
            raise Fault("what is attached is not the head")

    def check_next(self, place: Place, scenario: Scenario, base: Baseline) -> None:
        place.pleach(words(scenario.command), scenario.again)
        if scenario.is_piecemeal and place.views(False) != base.views[1]:
            raise Fault("the next one does not bring it to its end")
        if scenario.follows:
            views = place.views(True)
            if any(view != views["store/site"] for name, view in views.items() if name.startswith("out/")):
                raise Fault("what is attached is not the head, after the next command")
        for command in scenario.finish:
            place.pleach(words(command), (0, 1, 10))
        place.pleach(["publish", "site", "{n}"])
        if look(f"{place.store}/site", True) != look(f"{place.sources}/n", True):
            raise Fault("what is published next is not what is shown")
        place.pleach(["gc"])
        told = place.pleach(["check", "-q"]).stdout
        if told:
            raise Fault(f"check says {told.decode('utf-8', 'replace'):.600}")
        left = place.leftovers(scenario.aside)
        if left:
            raise Fault(f"left: {left}")

    # ---- points ----

    def point(self, scenario: Scenario, base: Baseline, at: tuple) -> tuple:
        """(number of deaths, what is wrong)"""
        deaths = 0
        place = self.make(scenario)
        try:
            commands = ([scenario.killed_before] if scenario.killed_before else []) + 2 * [scenario.command]
            for k, command in zip(at, commands):
                deaths += self.stop(place, command, k)[0] == KILLED
            self.check_death(place, scenario, base)
            place.pleach(["status"])
            self.check_settled(place, scenario, base)
            if scenario.checks:
                told = place.pleach(["check", "-q"]).stdout
                if told:
                    raise Fault(f"check says {told.decode('utf-8', 'replace'):.600}")
            self.check_next(place, scenario, base)
        except Fault as fault:
            return deaths, str(fault)
        finally:
            place.remove()
        return deaths, ""

    def points(self, scenario: Scenario, base: Baseline, n: int, rng: random.Random) -> list:
        """n of them, evenly, or all if n is 0; what recovers is killed twice in a row."""
        if n == 0 or n >= base.calls:
            first = list(range(1, base.calls + 1))
        else:
            phase = rng.random()
            first = [1 + int((i + phase) * base.calls / n) for i in range(n)]
        if not scenario.killed_before:
            return [(k,) for k in first]
        most = max(1, base.recovery_calls)
        if n == 0:
            return [(k, i, rng.randint(1, most)) for k in first for i in range(1, most + 1)]
        return [(k, rng.randint(1, most), rng.randint(1, most)) for k in first]


class Totals:
    def __init__(self):
        self.points = self.deaths = self.faults = 0


def go_through(harness: Harness, scenario: Scenario, options, seed: int, totals: Totals) -> None:
    begin = time.monotonic()
    base = harness.baseline(scenario)
    if isinstance(base, str):
        print(f"{scenario.name:<36} left out: {base[:200]}", flush=True)
        return
    rng = random.Random(f"{seed} {scenario.name}")
    points = [tuple(map(int, options.at.split(",")))] if options.at else \
        harness.points(scenario, base, 0 if options.full else options.points, rng)
    deaths = faults = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for at, (n, fault) in zip(points, pool.map(lambda at: harness.point(scenario, base, at), points)):
            deaths += n
            if fault:
                faults += 1
                print(f"FAULT  {scenario.name}, killed at {','.join(map(str, at))}: {fault}\n"
                      f"       ./dev prove kill --scenario '{scenario.name}' --at {','.join(map(str, at))}", flush=True)
    print(f"{scenario.name:<36} {base.calls:4} calls {len(points):5} points {deaths:5} kills {faults:3} faults "
          f"{time.monotonic() - begin:6.1f} s", flush=True)
    totals.points += len(points)
    totals.deaths += deaths
    totals.faults += faults


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenario", default="")
    parser.add_argument("--at", default="")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    return parser.parse_args()


def go(options, chosen: list, totals: Totals) -> None:
    seed, end = options.seed, time.monotonic() + options.seconds
    harness = Harness()
    try:
        while True:
            print(f"seed {seed}", flush=True)
            for scenario in chosen:
                go_through(harness, scenario, options, seed, totals)
                if options.seconds and time.monotonic() >= end:
                    return
            if not options.seconds:
                return
            seed += 1
    finally:
        harness.ground.remove()


def enter_namespace() -> None:
    """What is mounted is mounted in a namespace of our own, and goes with us."""
    if os.geteuid() == 0 and os.environ.get("PLEACH_KILL_INSIDE") is None:
        os.environ["PLEACH_KILL_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def main() -> int:
    options = parse()
    for program in (COMMAND, STOPPER):
        if not os.access(program, os.X_OK):
            sys.exit(f"there is no '{program}': PLEACH is the command, PLEACH_BUILD_ROOT where stopper was built")
    enter_namespace()
    chosen = [scenario for scenario in SCENARIOS if options.scenario in scenario.name
              and (os.geteuid() == 0 or not scenario.is_rooted)]
    exact = [scenario for scenario in chosen if scenario.name == options.scenario]
    totals = Totals()
    go(options, exact or chosen, totals)
    print(f"{totals.deaths} kill points in {totals.points} runs, {totals.faults} faults", flush=True)
    return 1 if totals.faults or totals.deaths == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
