"""`pleach run` under a terminal: an interactive shell outside, with job control, driven by a script;
and whatever it runs in a transaction, shells too. PLEACH is the command.

Nothing waits for time to pass: each step waits for what must appear on the terminal.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import sys
import termios
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from workplace import Workplace, get, is_root, needs_command, put  # noqa: E402
from workplace import fixture_place, fixture_users_place  # noqa: E402,F401

BASH = shutil.which("bash")
pytestmark = [needs_command, pytest.mark.skipif(not BASH, reason="bash was not found")]
LIMIT = 60  # seconds until something that must appear is given up
OUT, IN = "OUT[$] ", "IN[$] "
INTR, SUSP, QUIT, EOF = "\x03", "\x1a", "\x1c", "\x04"
SHELL = "bash --norc --noprofile --noediting -i"


class Terminal:
    """A pseudo-terminal whose session is an interactive shell."""

    def __init__(self, place: Workplace):
        self.all = ""
        self.unread = ""
        environment = {**place.environment, "PLEACH": place.command, "TERM": "dumb",
                       "PLEACH_STORE": os.fsdecode(place.store), "PS1": "OUT$ ", "PS2": "",
                       "HISTFILE": "", "LC_ALL": "C", "PROMPT_COMMAND": "", "ENV": ""}
        who = place.who()
        self.shell, self.master = pty.fork()
        if self.shell == 0:
            try:
                os.chdir(place.path)
                if who:
                    os.seteuid(0)
                    os.setgroups([])
                    os.setgid(who["group"])
                    os.setuid(who["user"])
                for number in range(1, signal.NSIG):
                    with contextlib.suppress(OSError, ValueError):
                        signal.signal(number, signal.SIG_DFL)
                os.execve(BASH, SHELL.split(), environment)
            finally:
                os._exit(255)
        self.resize(24, 80)
        self.expect(OUT)
        self.do("stty -echo", OUT)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        """Takes what comes; False at the end."""
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        self.all += text
        self.unread += text
        return bool(data)

    def expect(self, pattern: str) -> "re.Match[str]":
        """Waits until it has appeared behind what was expected before."""
        end = time.monotonic() + LIMIT
        while True:
            match = re.search(pattern, self.unread)
            if match:
                self.unread = self.unread[match.end():]
                return match
            assert time.monotonic() < end, f"no {pattern!r}:\n{self.all}"
            assert self.read(end - time.monotonic()), f"ended before {pattern!r}:\n{self.all}"

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def do(self, line: str, *patterns: str) -> None:
        self.send(line + "\n")
        for pattern in patterns:
            self.expect(pattern)

    def status(self, prompt: str = OUT) -> int:
        """Of the last command of the shell at the prompt."""
        self.send('echo "<$?>"\n')
        status = int(self.expect(r"<(\d+)>").group(1))
        self.expect(prompt)
        return status

    def foreground(self) -> int:
        return os.tcgetpgrp(self.master)

    def stop(self, prompt: str) -> None:
        """Stops a job that has a cat(1) which reads the terminal. Of a job of more than one process one may
        still read when another has stopped already, and gets what is typed then, as without us."""
        self.send(SUSP)
        self.expect("Stopped")
        self.expect(prompt)
        end = time.monotonic() + LIMIT
        while set(self.states()) != {"T"}:
            assert time.monotonic() < end, self.all

    def states(self):
        """Of what becomes of `sh -c '...; exec cat'`."""
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, rest = path.read_text().rsplit(")", 1)
                state, _, _, session = rest.split()[:4]
                if name.endswith(("(cat", "(sh")) and int(session) == self.shell:
                    yield state

    def close(self) -> None:
        os.kill(self.shell, signal.SIGKILL)
        os.close(self.master)  # HUP for whoever is left
        os.waitpid(self.shell, 0)


@contextlib.contextmanager
def opened(place: Workplace):
    terminal = Terminal(place)
    try:
        yield terminal
    finally:
        terminal.close()


def prepare(place: Workplace) -> None:
    place.pleach("init", "-q")
    put(place.source + b"/a", b"one\n")
    place.pleach("publish", "-q", "site", place.source)


@pytest.fixture(name="terminal")
def fixture_terminal(place):
    prepare(place)
    with opened(place) as terminal:
        yield terminal


def inner_shell(terminal: Terminal, before: str = "", after: str = "") -> None:
    """An interactive shell in a transaction, at its prompt."""
    terminal.do(f"{before}PS1='IN$ ' $PLEACH run site -- {SHELL}{after}", IN)


def assert_alone(place: Workplace) -> None:
    """Nothing of a transaction is left, and none was committed."""
    assert place.heads() == [1]
    status = place.json("status")
    assert status["transactions"] == [] and status["leftovers"] == []


def assert_ended(place: Workplace) -> None:
    """Waits until no transaction is open."""
    end = time.monotonic() + LIMIT
    while place.json("status")["transactions"]:
        assert time.monotonic() < end


# ---- one command ----------------------------------------------------------------------------


def test_interrupt_ends_the_command_and_nothing_is_committed(place, terminal):
    terminal.do("$PLEACH run site -- sh -c 'echo x >$PLEACH_PATH/a; echo at; exec sleep 1000'", "at\n")
    terminal.send(INTR)
    terminal.expect(OUT)
    assert terminal.status() == 130
    terminal.do("$PLEACH run site -- sh -c 'ulimit -c 0; echo at; exec sleep 1000'", "at\n")
    terminal.send(QUIT)
    terminal.expect(OUT)
    assert terminal.status() == 131
    assert_alone(place)


def test_a_command_that_handles_an_interrupt_is_committed(place, terminal):
    terminal.do("$PLEACH run site -- sh -c 'trap \"echo caught; exit 0\" INT; echo x >$PLEACH_PATH/x;"
                " echo at; while :; do sleep 0.05; done'", "at\n")
    terminal.send(INTR)
    terminal.expect("caught\n")
    terminal.expect("site@2 ")
    terminal.expect(OUT)
    assert terminal.status() == 0
    assert get(place.public() + b"/x") == b"x\n"


def test_a_command_is_stopped_and_goes_on_in_the_foreground(place, terminal):
    terminal.do("$PLEACH run site -- sh -c 'echo at; exec cat'", "at\n")
    for _ in range(3):
        terminal.stop(OUT)
        assert terminal.foreground() == terminal.shell
        terminal.do("jobs", "Stopped", OUT)
        terminal.do("fg", "run site")
        terminal.do("hello", "hello\n")
    terminal.send(EOF)
    terminal.expect("unchanged")
    terminal.expect(OUT)
    assert terminal.status() == 0
    assert_alone(place)


def test_a_stopped_command_goes_on_in_the_background(place, terminal):
    terminal.do("$PLEACH run site -- sh -c 'echo at; until test -e go; do sleep 0.05; done;"
                " echo x >$PLEACH_PATH/x'", "at\n")
    terminal.send(SUSP)
    terminal.expect("Stopped")
    terminal.expect(OUT)
    terminal.do("bg", OUT)
    assert terminal.foreground() == terminal.shell
    terminal.do(": >go; wait", "site@2 ", OUT)
    assert get(place.public() + b"/x") == b"x\n"


def test_a_command_in_the_background_stops_when_it_reads_and_reads_in_the_foreground(terminal):
    terminal.do("$PLEACH run site -- sh -c 'read -r line; echo \"got $line\"' &", OUT)
    terminal.do("until jobs | grep Stopped; do sleep 0.05; done", "Stopped", OUT)
    assert terminal.foreground() == terminal.shell
    terminal.do("fg", "run site")
    terminal.do("hello", "got hello\n", "unchanged", OUT)
    assert terminal.status() == 0


def test_a_command_that_stops_itself_stops_the_job(terminal):
    terminal.do("$PLEACH run site -- sh -c 'kill -STOP $$; echo went on; exit 7'", "Stopped", OUT)
    assert terminal.foreground() == terminal.shell
    terminal.do("fg", "went on\n", OUT)
    assert terminal.status() == 7


def test_a_stopped_job_can_be_killed(place, terminal):
    terminal.do("$PLEACH run site -- sh -c 'echo at; exec sleep 1000'", "at\n")
    terminal.send(SUSP)
    terminal.expect("Stopped")
    terminal.expect(OUT)
    terminal.do("kill %1", OUT)
    assert_ended(place)
    assert_alone(place)


def test_a_pipeline_is_interrupted_stopped_and_continued_as_one(place, terminal):
    terminal.do("echo hello | $PLEACH run site -- tr a-z A-Z | sed s/^/./", r"\.HELLO\n", OUT)
    assert terminal.status() == 0
    terminal.do("$PLEACH run site -- sh -c 'echo at >&2; exec cat' | sed -u s/^/./", "at\n")
    terminal.stop(OUT)
    terminal.do("fg", "sed")
    terminal.do("hello", r"\.hello\n")
    terminal.send(INTR)
    terminal.expect(OUT)
    terminal.do('echo "<${PIPESTATUS[0]}>"', "<130>", OUT)
    assert_alone(place)


def test_the_size_of_the_window_and_its_changes_reach_the_command(terminal):
    terminal.resize(31, 99)
    terminal.do("$PLEACH run site -- sh -c 'stty size; trap \"stty size; exit 3\" WINCH; echo at;"
                " while :; do sleep 0.05; done'", "31 99\n", "at\n")
    terminal.resize(17, 71)
    terminal.expect("17 71\n")
    terminal.expect(OUT)
    assert terminal.status() == 3


def test_an_editor_works(place, terminal):
    if not shutil.which("vi"):
        pytest.skip("vi was not found")
    # over an overlay in a user namespace a file has another inode once it is written: vi complains
    how = "" if is_root else "--workspace=copy"
    terminal.send(f"TERM=vt100 $PLEACH run {how} site -- vi -u NONE store/site/a\n")
    terminal.expect("one")
    terminal.send("Oby an editor\x1b:wq\r")
    terminal.expect("site@2 ")
    terminal.expect(OUT)
    assert get(place.public() + b"/a") == b"by an editor\none\n"


# ---- a shell inside -------------------------------------------------------------------------


def test_a_shell_session_ends_with_a_generation(place, terminal):
    inner_shell(terminal)
    assert terminal.foreground() != terminal.shell
    terminal.do("cd store/site; cat a; echo two >b; exit", "one\n")
    terminal.expect("site@2 [0-9a-f]{12} [+]1 ~0 -0")
    terminal.expect(OUT)
    assert terminal.status() == 0
    assert terminal.foreground() == terminal.shell
    assert get(place.public() + b"/b") == b"two\n"


def test_the_status_of_the_shell_is_passed_on(place, terminal):
    inner_shell(terminal)
    terminal.do("echo two >store/site/a; exit 7", OUT)
    assert terminal.status() == 7
    assert_alone(place)


def test_interrupt_ends_a_child_of_the_shell_alone(terminal):
    inner_shell(terminal)
    terminal.do("sh -c 'echo at; exec sleep 1000'", "at\n")
    terminal.send(INTR)
    terminal.expect(IN)
    assert terminal.status(IN) == 130
    terminal.send(INTR)  # at the prompt: a new one
    terminal.expect(IN)
    terminal.do("exit 5", OUT)
    assert terminal.status() == 5


def test_a_child_of_the_shell_is_stopped_and_goes_on(terminal):
    inner_shell(terminal)
    terminal.do("sh -c 'echo at; exec cat'", "at\n")
    terminal.stop(IN)
    terminal.do("jobs", "Stopped", IN)
    terminal.do("fg", "cat")
    terminal.do("hello", "hello\n")
    terminal.send(INTR)
    terminal.expect(IN)
    assert terminal.status(IN) == 130
    terminal.do("sleep 1000 & kill %1; wait; echo ended", "ended\n", IN)
    terminal.do("exit 6", OUT)
    assert terminal.status() == 6


def test_the_shell_is_suspended_and_goes_on_as_often_as_one_likes(place, terminal):
    inner_shell(terminal)
    terminal.do("cd store/site; echo two >a", IN)
    for _ in range(3):
        terminal.do("suspend", "Stopped", OUT)
        assert terminal.foreground() == terminal.shell
        assert terminal.status() in (147, 148)  # stopped by STOP, or by TSTP
        assert get(place.public() + b"/a") == b"one\n"
        terminal.send("fg\n")
        terminal.expect("run site")
        terminal.do("echo here", "here\n", IN)
        assert terminal.foreground() != terminal.shell
    terminal.do("exit", "site@2 ", OUT)
    assert get(place.public() + b"/a") == b"two\n"


def test_a_pipeline_inside_of_the_shell_behaves(terminal):
    inner_shell(terminal)
    terminal.do("seq 3 | sed -n 2p | sed s/^/./", r"\.2\n", IN)
    terminal.do("sh -c 'echo at >&2; exec cat' | sed -u s/^/./", "at\n")
    terminal.stop(IN)
    terminal.do("fg", "sed")
    terminal.do("hello", r"\.hello\n")
    terminal.send(INTR)
    terminal.expect(IN)
    terminal.do("exit 0", "unchanged", OUT)


def test_a_run_inside_of_the_shell_is_a_part_of_it(place, terminal):
    inner_shell(terminal)
    terminal.do("$PLEACH run site -- sh -c 'echo at; exec cat'", "at\n")
    terminal.stop(IN)
    terminal.do("fg", "run site")
    terminal.do("hello", "hello\n")
    terminal.send(EOF)
    terminal.expect(IN)
    terminal.do("$PLEACH run site -- sh -c 'echo two >$PLEACH_PATH/b'", IN)
    assert place.heads() == [1]
    terminal.do("exit", "site@2 ", OUT)
    assert get(place.public() + b"/b") == b"two\n"


def test_a_terminal_that_is_gone_ends_it_all(place):
    prepare(place)
    with opened(place) as terminal:
        inner_shell(terminal)
        terminal.do("echo two >store/site/a; (trap '' HUP; exec sleep 1000) & echo $PLEACH_TX",
                    "[0-9a-f]{24}\n", IN)
    assert_ended(place)
    place.pleach("run", "site", "--", "true")
    assert get(place.public() + b"/a") == b"one\n"
    assert_alone(place)


@pytest.mark.parametrize("before, wanted", [("", b"one\n"), ("nohup ", b"two\n")])
def test_what_a_gone_terminal_ends_with_0_is_committed_only_under_nohup(place, before, wanted):
    prepare(place)
    with opened(place) as terminal:
        terminal.do(f"{before}$PLEACH run --status-fd 9 site -- sh -c 'trap \"\" HUP;"
                    " echo two >$PLEACH_PATH/a; echo at >/dev/tty; read -r line </dev/tty; exit 0'"
                    " 9>line", "at\n")
    assert_ended(place)
    end = time.monotonic() + LIMIT
    while not get(place.at("line")):
        assert time.monotonic() < end
    line = json.loads(get(place.at("line")))
    assert (line["by"], line["status"]) == (("command", 0) if before else ("pleach", 129))
    assert get(place.public() + b"/a") == wanted


def test_a_shell_session_of_an_ordinary_user(users_place):
    prepare(users_place)
    with opened(users_place) as terminal:
        inner_shell(terminal)
        terminal.do("echo two >store/site/b; suspend", "Stopped", OUT)
        terminal.send("fg\n")
        terminal.expect("run site")
        terminal.do("sh -c 'echo at; exec sleep 1000'", "at\n")
        terminal.send(INTR)
        terminal.expect(IN)
        terminal.do("exit 0", "site@2 ", OUT)
    assert get(users_place.public() + b"/b") == b"two\n"
