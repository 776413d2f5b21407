"""Files of a tree, read from the store and verified while they are read."""

from __future__ import annotations

import io
from ctypes import c_char
from typing import IO, TYPE_CHECKING, Any, Optional

from ._session import Handle, Session, call

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _File(Handle):
    _close_name = "pleach_file_close"
    _warns = False  # the file object around it does

    def read_into(self, buffer: Any, length: int) -> int:
        with self._session.at_work():
            return call("pleach_file_read", self._alive(), buffer, length).checked()


class Content(io.RawIOBase):
    """One file's content, front to back. The end is told only after all of it was verified: what was
    damaged ends in a `CorruptError`."""

    def __init__(self, session: Session, pointer: int):
        super().__init__()
        self._file = _File(session, pointer)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        return self._file.read_into((c_char * len(view)).from_buffer(view), len(view))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def opened(
    raw: Content, mode: str, encoding: Optional[str], errors: Optional[str], newline: Optional[str]
) -> IO[Any]:
    """As open() has its modes: "r", "rt", "rb"."""
    if mode == "rb":
        if encoding is not None or errors is not None or newline is not None:
            raise ValueError("binary mode takes no encoding, errors or newline argument")
        return io.BufferedReader(raw)
    return io.TextIOWrapper(io.BufferedReader(raw), encoding, errors, newline)


def check_mode(mode: str) -> None:
    if mode not in ("r", "rt", "rb"):
        raise ValueError(f"what is published is only read: mode 'r' or 'rb', not {mode!r}")
