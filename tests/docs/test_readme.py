"""The tour of README.md, run as it stands: what it shows is what the command prints."""

import os
import re
import subprocess

import pytest

ROOT = os.environ.get("PLEACH_SOURCE_ROOT", os.path.join(os.path.dirname(__file__), "../.."))
PLEACH = os.environ.get("PLEACH")


def tour():
    """The blocks of README.md that begin with a prompt: (command, lines that it prints)."""
    steps = []
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("    $ "):
                steps.append((line[6:].rstrip("\n"), []))
            elif line.startswith("    ") and steps and not line.startswith("    ./dev"):
                steps[-1][1].append(line[4:].rstrip("\n"))
            elif not line.startswith("    ") and steps:
                break
    return steps


def masked(lines):
    """Without what differs from run to run: ids and times."""
    lines = [re.sub(r"\b[0-9a-f]{12,64}\b", "ID", line) for line in lines]
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "TIME", line) for line in lines]


@pytest.mark.skipif(not PLEACH, reason="PLEACH names no command")
def test_tour_of_the_readme_prints_what_it_shows(tmp_path):
    steps = tour()
    assert len(steps) >= 10
    script = "set -e\n" + "".join(f"echo \"\x01{number}\"\n{command}\n"
                                  for number, (command, _) in enumerate(steps))
    script = script.replace("/home/you", str(tmp_path))
    environment = dict(os.environ, TZ="UTC", LC_ALL="C",
                       PATH=os.path.dirname(PLEACH) + ":" + os.environ["PATH"])
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = re.split(r"\x01\d+\n", done.stdout.replace(str(tmp_path), "/home/you"))[1:]
    for (command, shown), output in zip(steps, printed):
        assert masked(output.splitlines()) == masked(shown), command
