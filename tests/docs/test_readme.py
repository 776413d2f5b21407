"""The tour of README.md, run as it stands: what it shows is what the command prints; and then its
lines of Python, in the store that the tour has made."""

import doctest
import os
import re
import subprocess

import pytest

ROOT = os.environ.get("PLEACH_SOURCE_ROOT", os.path.join(os.path.dirname(__file__), "../.."))
PLEACH = os.environ.get("PLEACH")
LIBRARY = os.environ.get("PLEACH_LIBRARY")


def tour():
    """The blocks of README.md that begin with a prompt: (command, lines that it prints)."""
    steps, is_in_block = [], False
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("    $ "):
                steps.append((line[6:].rstrip("\n"), []))
                is_in_block = True
            elif line.startswith("    ") and is_in_block:
                steps[-1][1].append(line[4:].rstrip("\n"))
            else:
                is_in_block = False
    return steps


def masked(lines):
    """Without what differs from run to run: ids and times."""
    lines = [re.sub(r"\b[0-9a-f]{12,64}\b", "ID", line) for line in lines]
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "TIME", line) for line in lines]


def may_have_namespaces():
    """As root, and where ordinary users may, programs can be run in a transaction."""
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork"]
                          + ([] if os.geteuid() == 0 else ["--user"]) + ["true"],
                          capture_output=True, check=False)
    return done.returncode == 0


pytestmark = [
    pytest.mark.skipif(not PLEACH, reason="PLEACH names no command"),
    pytest.mark.skipif(not may_have_namespaces(), reason="namespaces cannot be made"),
]


@pytest.fixture(name="toured", scope="module")
def fixture_toured(tmp_path_factory):
    """A directory in which the tour was run, the shown steps, and how the run ended."""
    home = tmp_path_factory.mktemp("home")
    steps = tour()
    script = "set -e\n" + "".join(f"echo \"\x01{number}\"\n{command}\n"
                                  for number, (command, _) in enumerate(steps))
    script = script.replace("/home/you", str(home))
    environment = dict(os.environ, TZ="UTC", LC_ALL="C",
                       PATH=os.path.dirname(PLEACH) + ":" + os.environ["PATH"])
    done = subprocess.run(["sh", "-c", script], cwd=home, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return home, steps, done


def test_tour_of_the_readme_prints_what_it_shows(toured):
    home, steps, done = toured
    assert len(steps) >= 10
    assert done.returncode == 0, done.stdout
    printed = re.split(r"\x01\d+\n", done.stdout.replace(str(home), "/home/you"))[1:]
    for (command, shown), output in zip(steps, printed):
        assert masked(output.splitlines()) == masked(shown), command


class Masked(doctest.OutputChecker):
    def check_output(self, want, got, optionflags):
        return masked(want.splitlines()) == masked(got.splitlines())


@pytest.mark.skipif(not LIBRARY, reason="PLEACH_LIBRARY names no library")
def test_python_of_the_readme_prints_what_it_shows(toured, monkeypatch):
    home, _, done = toured
    assert done.returncode == 0, done.stdout
    monkeypatch.syspath_prepend(os.path.join(ROOT, "bindings/python/src"))
    monkeypatch.chdir(home)
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read().replace("/home/you", str(home))
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    report = []
    result = doctest.DocTestRunner(checker=Masked(), verbose=False).run(test, out=report.append)
    assert result.attempted >= 4
    assert result.failed == 0, "".join(report)
