"""Programs that run in a transaction."""

from __future__ import annotations

import errno
import os
import select
import signal as _signal
import subprocess
import time
from ctypes import byref
from typing import IO, TYPE_CHECKING, Any, List, Mapping, Optional, Tuple, Union

from . import _abi
from ._session import Handle, Session, call
from ._text import encode

if TYPE_CHECKING:
    from .transaction import Transaction

Stream = Union[int, IO[Any], None]
_SLICE_MS = 60_000


class Process(Handle):
    """A program that was started by `Transaction.spawn()`. Closing it, or leaving a `with`, ends it and
    all that it has started."""

    _close_name = "pleach_process_close"
    _warns = False  # the transaction does

    def __init__(self, session: Session, pointer: int, args: List[bytes], streams: Streams):
        super().__init__(session, pointer, owns_session=False)
        self.args = [os.fsdecode(part) for part in args]
        self.returncode: Optional[int] = None  # as subprocess has it: -N, ended by signal N
        self.stdin, self.stdout, self.stderr = streams.ours
        self._fd = int(self._ask("pleach_process_fd"))

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to wait for."""
        self._alive()
        return self._fd

    def next_event(self, timeout: Optional[float] = None) -> Optional[Tuple[str, int]]:
        """For job control: ("exited", status), ("signaled", signal) or ("stopped", signal); None: not
        in time (seconds). An end is told again and again."""
        if not self._is_ready(timeout):
            return None
        event = _abi.ProcessEvent.new()
        with self._session.at_work():
            while True:
                done = call("pleach_process_wait", self._alive(), byref(event))
                if done.result != -errno.EINTR:
                    break
        if done.result == -errno.EXDEV:
            self.returncode = 0
        done.checked()
        return self._took(int(event.what), int(event.value))

    def _took(self, what: int, value: int) -> Tuple[str, int]:
        if what == _abi.PLEACH_PROCESS_NO_EXEC:
            self.returncode = 127 if value == errno.ENOENT else 126
            raise OSError(value, os.strerror(value), self.args[0])
        if what == _abi.PLEACH_PROCESS_STOPPED:
            return "stopped", value
        if what == _abi.PLEACH_PROCESS_SIGNALED:
            self.returncode = -value
            return "signaled", value
        self.returncode = value
        return "exited", value

    def _is_ready(self, timeout: Optional[float]) -> bool:
        """Waits outside of the lock, so that others can signal it and signals are handled."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_MS if end is None else (end - time.monotonic()) * 1000
            if poll.poll(min(max(left, 0), _SLICE_MS)):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def wait(self, timeout: Optional[float] = None) -> int:
        """Its status, or -N if signal N ended it; nothing of it runs any more then.
        `subprocess.TimeoutExpired`: not in time (seconds). An `OSError` like those of subprocess: it
        could not be executed."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if end is None else max(end - time.monotonic(), 0)
            if self.next_event(left) is None:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def poll(self) -> Optional[int]:
        """Its status, if it has ended."""
        if self.returncode is None:
            self.next_event(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        self._call("pleach_process_signal", int(number)).checked()

    def terminate(self) -> None:
        self.send_signal(_signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(_signal.SIGKILL)

    def resume(self, *, foreground: bool = False) -> None:
        """Has it go on after a stop; `foreground`: its process group gets the terminal."""
        self._call("pleach_process_resume", int(foreground)).checked()

    def close(self) -> None:
        super().close()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "running" if self.returncode is None else "ended"
        return f"<Process {self.args!r} {state}>"


class Streams:
    """The program's standard streams: descriptors for it, and our ends of pipes."""

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream):
        self.theirs: List[int] = []  # for its 0, 1, 2; -1: the caller's
        self.ours: List[Optional[IO[bytes]]] = []
        self._to_close: List[int] = []
        try:
            for number, stream in enumerate((stdin, stdout, stderr)):
                self._add(number, stream)
        except BaseException:
            self.close(with_ours=True)
            raise

    def _add(self, number: int, stream: Stream) -> None:
        ours: Optional[IO[bytes]] = None
        if stream is None:
            fd = -1
        elif stream == subprocess.PIPE:
            read_end, write_end = os.pipe()
            fd, mine = (read_end, write_end) if number == 0 else (write_end, read_end)
            self._to_close.append(fd)
            ours = os.fdopen(mine, "wb" if number == 0 else "rb")
        elif stream == subprocess.DEVNULL:
            fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            self._to_close.append(fd)
        elif stream == subprocess.STDOUT:
            if number != 2:
                raise ValueError("STDOUT is for stderr alone")
            fd = self.theirs[1] if self.theirs[1] >= 0 else 1
        else:
            fd = stream if isinstance(stream, int) else stream.fileno()
            if fd < 0:
                raise ValueError(f"not a descriptor: {fd}")
        self.theirs.append(fd)
        self.ours.append(ours)

    def close(self, with_ours: bool = False) -> None:
        """The program has its own copies."""
        while self._to_close:
            os.close(self._to_close.pop())
        if with_ours:
            for stream in self.ours:
                if stream is not None:
                    stream.close()


def environment(env: Optional[Mapping[Any, Any]]) -> Optional[List[bytes]]:
    if env is None:
        return None
    for name in env:
        if b"=" in encode(name) or not name:
            raise ValueError(f"not the name of a variable: {name!r}")
    return [encode(name) + b"=" + encode(value) for name, value in env.items()]


def arguments(argv: Any) -> List[bytes]:
    if isinstance(argv, (str, bytes, os.PathLike)):
        raise TypeError("a list of arguments is needed, not one text")
    encoded = [encode(part) for part in argv]
    if not encoded:
        raise ValueError("no program is given")
    return encoded


