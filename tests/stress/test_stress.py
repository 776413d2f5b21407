"""Everything at once on one store, killed at random: G1 to G6 (stress.py tells what is done and what
must be so afterwards). $PLEACH_STRESS_SECONDS (60) and $PLEACH_SEED, if set. PLEACH is the command.
"""

import os
import pathlib
import random
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent.parent), str(pathlib.Path(__file__).parent)]

import stress  # noqa: E402
import workers  # noqa: E402
from workplace import needs_command  # noqa: E402
from workplace import fixture_quick_place  # noqa: E402,F401

pytestmark = [needs_command, pytest.mark.skipif(not os.access(workers.READER, os.X_OK),
                                                reason="stress-reader was not built")]


def test_G1_G2_G3_G4_G5_G6_everything_at_once_fits_one_order_and_leaves_what_is_reachable(
        quick_place, capsys):
    seconds = float(os.environ.get("PLEACH_STRESS_SECONDS", "60"))
    seed = int(os.environ.get("PLEACH_SEED", random.SystemRandom().randrange(1 << 31)))
    print(f"./dev stress --seconds {seconds:g} --seed {seed}")
    faults, lines = stress.run(quick_place, seconds, seed)
    with capsys.disabled():
        print(f"# seed {seed}", *lines, sep="\n# ")
    assert faults == []
