#!/usr/bin/env python3
"""Runs pytest over the given paths and prints TAP, one line a test case, on standard output.

Everything else that pytest or a test prints goes to standard error. A case counts once, whatever
of its set-up, call and tear-down failed; a file that cannot be collected counts as a failed case.
"""

import os
import shlex
import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402  (after the line above on purpose)


class Tap:
    """A pytest plugin that writes TAP."""

    def __init__(self, out, rootdir):
        self.out = out
        self.rootdir = rootdir
        self.count = 0
        self.reports = {}
        self.broken = []

    def say(self, text):
        self.out.write(text + "\n")
        self.out.flush()

    def diagnose(self, text):
        for line in str(text).splitlines():
            self.say("# " + line)

    def case(self, good, name, directive=""):
        self.count += 1
        name = one_line(name).replace("#", "%23")
        self.say(f"{'ok' if good else 'not ok'} {self.count} - {name}{directive}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.broken.append((report.nodeid or "collection", report.longrepr))
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            self.broken.append((report.nodeid, one_line(reason), "skipped"))

    def pytest_collection_finish(self, session):
        total = len(session.items) + len(self.broken)
        if total == 0:
            return
        self.say(f"1..{total}")
        for nodeid, detail, *skipped in self.broken:
            if skipped:
                self.case(True, nodeid, f" # SKIP {detail}")
            else:
                self.case(False, f"{nodeid} (cannot be collected)")
                self.diagnose(detail)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report):
        return report.outcome, "", ""  # none of pytest's own letters

    def pytest_runtest_logreport(self, report):
        self.reports.setdefault(report.nodeid, []).append(report)

    def pytest_runtest_logfinish(self, nodeid, location):
        reports = self.reports.pop(nodeid, [])
        failed = [r for r in reports if r.failed]
        expected = [r for r in reports if hasattr(r, "wasxfail")]
        skipped = [r for r in reports if r.skipped]
        if failed or not reports:
            self.case(False, nodeid)
            for report in failed:
                self.diagnose(f"in {report.when}:")
                self.diagnose(report.longreprtext)
                for title, content in report.sections:
                    self.diagnose(f"--- {title} ---")
                    self.diagnose(content)
            case = shlex.quote(os.path.join(self.rootdir, nodeid))
            command = shlex.quote(os.environ.get("PLEACH", ""))
            self.diagnose(f"run just this: PLEACH={command} {sys.executable} -m pytest {case}")
        elif expected:
            good = not expected[0].skipped
            self.case(good, nodeid, f" # TODO {one_line(expected[0].wasxfail)}")
        elif skipped:
            detail = skipped[0].longrepr
            reason = detail[2] if isinstance(detail, tuple) else detail
            reason = str(reason).removeprefix("Skipped: ")
            self.case(True, nodeid, f" # SKIP {one_line(reason)}")
        else:
            self.case(True, nodeid)


def one_line(text):
    return " ".join(str(text).split())


def main(arguments):
    if not arguments:
        print("usage: tap_pytest.py PATH...", file=sys.stderr)
        return 2
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    rootdir = os.path.dirname(os.path.abspath(__file__))
    tap = Tap(out, rootdir)
    status = pytest.main(
        ["-p", "no:cacheprovider", "-qq", "--no-header", "--no-summary", "--continue-on-collection-errors",
         "--rootdir", rootdir, "-o", "python_files=*.py", *arguments],
        plugins=[tap])
    if tap.count == 0:
        tap.say(f"Bail out! pytest ran no case (status {int(status)})")
        return 1
    return 0 if status in (0, 1, 5) else int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
