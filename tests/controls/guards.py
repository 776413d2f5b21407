"""The negative controls: which test sees it when a guard of the library is left out (enum pl_guard, src/sys/sys.h).

    guards.py             each of them, as a table; exit 1 if a test did not fail as it must
    guards.py --stress    and what the stress test sees of each within SECONDS, by luck; it must see nothing
                          where none is left out

A guard is left out by a switch at the seam that nothing but a test can reach: the library exports no name of it.
$PLEACH_BUILD_ROOT is where the tests were built.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import NamedTuple

LIMIT = 300  # seconds
SECONDS, SEED = 60, 1
STRESS = os.path.join(os.path.dirname(__file__), os.pardir, "stress", "stress.py")


class Control(NamedTuple):
    guard: str
    program: str  # below tests/unit
    test: str
    model: str  # what model/README.md calls it, if it does


CONTROLS = [
    Control("claim", "gc/collect",
            "G5_a_collection_at_any_moment_of_a_publish_loses_nothing", "no claim"),
    Control("claim-first", "gc/collect",
            "G5_a_collection_at_any_moment_of_a_publish_loses_nothing", "claimed after the look"),
    Control("claims-read", "gc/collect",
            "G5_a_collection_at_any_moment_of_a_publish_loses_nothing", "claims are not read"),
    Control("claims-before", "gc/collect",
            "G5_who_ends_between_two_looks_is_seen_by_one", "trees are read before claims"),
    Control("look-again", "gc/collect",
            "G5_a_publish_at_any_moment_of_a_collection_loses_nothing", "no second look"),
    Control("dead-trash", "gc/collect",
            "G5_what_a_dead_collection_has_taken_out_is_put_back", "a dead one's trash is erased"),
    Control("look-in-trash", "gc/collect",
            "G5_what_a_dead_collection_has_taken_out_is_found_there", "a lookup does not look in trash/"),
    Control("pin-verify", "ref/pin",
            "G1_a_tree_that_goes_before_the_lock_is_had_is_not_pinned", "no look after the lock"),
    Control("pin-verify", "ref/pin",
            "G1_a_tree_that_came_again_is_not_taken_by_the_lock_of_the_old_one", "the same, of who takes"),
    Control("pin-exclusive", "ref/pin",
            "G1_a_tree_that_is_being_taken_away_is_not_pinned", "no exclusive lock"),
    Control("pin-exclusive", "ref/pin", "G1_a_pinned_tree_does_not_go", "no pin"),
    Control("pin-new", "gc/collect",
            "G5_a_collection_at_any_moment_of_a_publish_loses_nothing", "no pin on the new tree"),
    Control("dir-verify", "ref/lockdir",
            "what_changed_before_the_lock_was_had_is_not_taken", "no look after the lock"),
    Control("claims-after", "gc/collect",
            "G5_claims_that_are_handed_on_while_they_are_read_are_seen", "claims are read once"),
    Control("pin-first", "gc/collect",
            "G1_a_tree_is_pinned_when_it_gets_its_name", "the pin comes after the name"),
    Control("closure", "gc/collect",
            "G5_what_a_node_that_is_there_holds_stays", "a node that is there is believed"),
    Control("settle", "tx/crash",
            "G2_second_publish_ended_anywhere_leaves_the_old_or_the_new", "nobody recovers step 9"),
]


class Outcome(NamedTuple):
    is_failed: bool  # by the test itself, or by an assertion of the library
    has_run: bool
    moments: str  # how many it went through
    seconds: float
    output: str


def program(name: str) -> str:
    root = os.environ.get("PLEACH_BUILD_ROOT", "")
    return os.path.join(root, "tests", "unit-" + name.replace("/", "_"))


def run(control: Control, guard: str) -> Outcome:
    """`guard` "": with all of them."""
    environment = {**os.environ, "PLEACH_ONLY": control.test}
    environment.pop("CMOCKA_MESSAGE_OUTPUT", None)
    if guard:
        environment["PLEACH_UNGUARD"] = guard
    begin = time.monotonic()
    done = subprocess.run([program(control.program)], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
    output = done.stdout.decode("utf-8", "replace")
    has_run = f"[ RUN      ] {control.test}" in output
    moments = re.findall(r"# (\d+) (?:moments|kill points|points)", output)
    return Outcome(has_run and done.returncode != 0, has_run, moments[-1] if moments else "-",
                   time.monotonic() - begin, output)


def stress(guard: str) -> tuple:
    """(exit status, its last faults)"""
    command = os.path.join(os.environ.get("PLEACH_BUILD_ROOT", ""), "tests", "pleach-unguarded")
    environment = {**os.environ, "PLEACH": command, "PLEACH_UNGUARD": guard}
    if not guard:
        del environment["PLEACH_UNGUARD"]
    done = subprocess.run([sys.executable, STRESS, "--seconds", str(SECONDS), "--seed", str(SEED)],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    faults = [line for line in done.stdout.decode("utf-8", "replace").splitlines()
              if line.startswith(("FAULT", "Traceback"))]
    return done.returncode, faults


def stress_all() -> int:
    """By luck; so only what it sees where nothing is left out is wrong."""
    print(f"\n{'guard left out':<16} stress test, {SECONDS} s at most, seed {SEED}")
    status, faults = stress("")
    print(f"{'none':<16} {'came through' if status == 0 else f'FAILED: {faults[:1]}'}", flush=True)
    for guard in dict.fromkeys(control.guard for control in CONTROLS):
        seen = stress(guard)
        print(f"{guard:<16} {seen[1][0][:150] if seen[1] else 'not seen'}", flush=True)
    return status


def main() -> int:
    bad = 0
    print(f"{'guard left out':<16} {'harness':<14} {'test':<68} verdict")
    for control in CONTROLS:
        outcome = run(control, control.guard)
        verdict = "failed, as it must" if outcome.is_failed else "NOT SEEN"
        bad += not outcome.is_failed
        print(f"{control.guard:<16} {control.program:<14} {control.test:<68} {verdict} "
              f"({outcome.seconds:.1f} s)", flush=True)
    print(f"{len(CONTROLS)} controls, {bad} not seen")
    if "--stress" in sys.argv[1:] and stress_all() != 0:
        bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
