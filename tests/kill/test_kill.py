"""Killed at its system calls, the command leaves what was or what is to be (kill.py, scenarios.py): a part of the
points of every scenario, spread evenly. PLEACH is the command; PLEACH_SEED chooses other points."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from scenarios import SCENARIOS  # noqa: E402
from workplace import needs_command  # noqa: E402

BUILD = os.environ.get("PLEACH_BUILD_ROOT", "")
UNGUARDED = os.path.join(BUILD, "tests", "pleach-unguarded")
POINTS = 80 if os.geteuid() == 0 else 30  # of each scenario
CANNOT_TRACE = 77

pytestmark = [needs_command, pytest.mark.skipif(not os.access(os.path.join(BUILD, "tests", "stopper"), os.X_OK),
                                                reason="stopper was not built")]


def kill(*options, **environment) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, HERE / "kill.py", *options], check=False, text=True,
                          env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == CANNOT_TRACE:
        pytest.skip(f"processes cannot be traced here: {done.stdout.strip()}")
    return done


@pytest.fixture(scope="module", name="went")
def fixture_went():
    seed = os.environ.get("PLEACH_SEED", "0")
    done = kill("--points", str(POINTS), "--seed", seed)
    print(done.stdout)
    return done


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
def test_G2_G6_killed_anywhere_it_is_the_old_or_the_new_and_nothing_is_left(went, name):
    lines = [line for line in went.stdout.splitlines() if name in line and line.startswith((name, "FAULT "))]
    told = [line for line in lines if line.startswith(name + " ")]
    if not told and os.geteuid() != 0 and [s for s in SCENARIOS if s.name == name][0].is_rooted:
        pytest.skip("needs root")
    assert told, went.stdout
    if "left out: " in told[0]:
        pytest.skip(told[0].partition("left out: ")[2])
    assert re.search(r" [1-9]\d* kills +0 faults", told[0]), "\n".join(lines)


def test_so_many_points_were_killed(went, capsys):
    lines = went.stdout.splitlines()
    with capsys.disabled():
        print("#", lines[0], lines[-1])
    number = re.fullmatch(r"(\d+) kill points in \d+ runs, \d+ faults", lines[-1])
    assert number, went.stdout
    assert int(number.group(1)) > 1000


@pytest.mark.skipif(not os.access(UNGUARDED, os.X_OK), reason="pleach-unguarded was not built")
def test_without_a_guard_a_killed_publish_is_seen_to_be_broken():
    """Nobody moves the public path on behind a commit that died behind its record."""
    done = kill("--scenario", "publish, a tree that is there", "--full", PLEACH=UNGUARDED, PLEACH_UNGUARD="settle")
    assert done.returncode == 1, done.stdout
    assert "another tree is shown" in done.stdout, done.stdout
