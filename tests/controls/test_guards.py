"""With a guard left out, the test that is about it fails; and there is a control for every guard."""

import os
import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import guards  # noqa: E402

ROOT = pathlib.Path(__file__).parent.parent.parent
pytestmark = pytest.mark.skipif(not os.access(guards.program("gc/collect"), os.X_OK),
                                reason="the unit tests were not built")


@pytest.mark.parametrize("control", guards.CONTROLS,
                         ids=lambda control: f"{control.guard} in {control.program}")
def test_without_the_guard_its_test_fails(control):
    outcome = guards.run(control, control.guard)
    assert outcome.has_run, outcome.output
    assert outcome.is_failed, outcome.output


def test_every_guard_has_a_control():
    header = (ROOT / "src/sys/sys.h").read_text(encoding="utf-8")
    names = re.findall(r"PL_GUARD_(\w+) = 1 <<", header)
    assert len(names) > 10
    assert {name.lower().replace("_", "-") for name in names} == \
        {control.guard for control in guards.CONTROLS}


def test_no_name_of_the_switches_is_exported():
    text = (ROOT / "src/api/pleach.map").read_text(encoding="utf-8")
    assert "pleach_*" in text and "local:" in text and "seam" not in text
