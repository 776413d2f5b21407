"""./dev bench --full on a small source: its report holds all that was measured, and it sees who publishes nothing."""

import json
import os
import pathlib
import subprocess
import sys
import xml.dom.minidom

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import charts  # noqa: E402
import full  # noqa: E402
import peers  # noqa: E402
from workplace import PLEACH, needs_command, needs_root  # noqa: E402


def make_source(path, files):
    for number in range(files):
        file = path / f"d{number % 3}" / f"file{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"content {number}\n", encoding="ascii")
    return path


@needs_command
@needs_root
def test_a_run_writes_a_report_with_every_contender_that_is_there(tmp_path):
    source = make_source(tmp_path / "from", 40)
    subprocess.run([sys.executable, str(ROOT / "bench/full.py"), "--pleach", PLEACH, "--source", str(source), "--rounds", "1",
                    "--megabytes", "900", "--only", "ext4", "--into", str(tmp_path), "--json", str(tmp_path / "figures")],
                   check=True, stdout=subprocess.DEVNULL)
    figures = json.loads((tmp_path / "figures").read_text())
    names = {kind.name for kind in peers.ALL if kind.can("ext4")}
    report = (tmp_path / "benchmarks.md").read_text()
    for work in ("first", "nothing", "ten"):
        assert set(figures["works"]["ext4"][work]) == names
        assert figures["works"]["ext4"][work]["pleach"]["ratio"] == 1
    assert all(report.count(f"| {name}") == 3 for name in names if name != "pleach")
    assert {int(n) for n in figures["by_change"]} == {1, 10}
    xml.dom.minidom.parse(str(tmp_path / "benchmarks/by_change.svg"))


class Lazy(peers.Copy):
    """Publishes the first version again and again."""

    def make(self):
        if self.number == 1:
            super().make()


def test_who_has_not_published_is_found(tmp_path):
    source = make_source(tmp_path / "source", 12)
    field = full.Field(str(tmp_path), str(source), "ext4", (Lazy,))
    field.round(0)
    field.check()
    with pytest.raises(SystemExit, match="has not published"):
        field.round(3)


def test_a_chart_is_xml_whatever_its_names_are_and_has_a_line_for_each():
    series = {"a & b <c>": [(1, 10), (1000, 20)], "pleach": [(1, 5), (1000, 5)]}
    document = xml.dom.minidom.parseString(charts.chart("t < u", "x", "y", series))
    lines = document.getElementsByTagName("polyline")
    assert len(lines) == 2 and all(len(line.getAttribute("points").split()) == 2 for line in lines)
