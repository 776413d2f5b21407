"""Generations that are held for reading: pins, and readers with a descriptor of the directory."""

from __future__ import annotations

import contextlib
import os
import pathlib
from ctypes import byref
from typing import IO, Any, BinaryIO, Iterator, List, Literal, TextIO, Tuple, overload

from . import _abi, _convert
from ._session import Handle
from ._text import Path, encode
from .results import Resolved, short


class Pin(Handle):
    """A claim on a placed tree: it is not deleted, moved or reused until this is closed, or the
    process ends.

    >>> with store["site"].pin("index.html") as pin:
    ...     pin.path.read_text()
    'hello\\n'
    """

    _close_name = "pleach_pin_close"

    @property
    def path(self) -> pathlib.Path:
        """Absolute path of what is pinned."""
        return pathlib.Path(os.fsdecode(self._ask("pleach_pin_path")))

    @property
    def revision(self) -> Resolved:
        """Which revision is pinned."""
        struct = _abi.Revision.new()
        self._ask("pleach_pin_revision", byref(struct))
        return _convert.resolved(struct)

    def inherit(self) -> None:
        """Lets programs that are started from here on hold the pin as well, until they end. Start
        them with `close_fds=False`: subprocess would close it for them."""
        self._call("pleach_pin_inherit").checked()

    def __repr__(self) -> str:
        return "<Pin closed>" if self.closed else f"<Pin {os.fspath(self.path)!r}>"


class Reader(Handle):
    """A generation held for reading: a pin, and a descriptor of its directory. Paths are relative to
    that directory; publishing meanwhile changes nothing of what is seen here.

    >>> with store["site"].reader() as reader:
    ...     sorted(reader.listdir())
    ...     with reader.open("index.html") as file:
    ...         file.read()
    ...     (reader / "css" / "style.css").exists()
    ['css', 'index.html']
    'hello\\n'
    True
    """

    _close_name = "pleach_reader_close"

    @property
    def path(self) -> pathlib.Path:
        """Absolute path of the directory."""
        return pathlib.Path(os.fsdecode(self._ask("pleach_reader_path")))

    @property
    def revision(self) -> Resolved:
        """Which revision is held."""
        struct = _abi.Revision.new()
        self._ask("pleach_reader_revision", byref(struct))
        return _convert.resolved(struct)

    @property
    def fd(self) -> int:
        """The directory's descriptor, for `dir_fd=`. It belongs to the reader."""
        return int(self._ask("pleach_reader_fd"))

    def fileno(self) -> int:
        return self.fd

    def __truediv__(self, path: str) -> pathlib.Path:
        return self.path / path

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @overload
    def open(self, path: Path, mode: Literal["rb"], **options: Any) -> BinaryIO: ...

    @overload
    def open(self, path: Path, mode: Literal["r", "rt"] = "r", **options: Any) -> TextIO: ...

    @overload
    def open(self, path: Path, mode: str, **options: Any) -> IO[Any]: ...

    def open(self, path: Path, mode: str = "r", **options: Any) -> IO[Any]:
        """As the built-in, for reading, relative to the directory by its descriptor. Symlinks are
        followed, wherever they lead."""
        if set(mode) - set("rbt"):
            raise ValueError(f"what is published is only read: mode 'r' or 'rb', not {mode!r}")

        def opener(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self.fd)

        return open(self._inner(path), mode, opener=opener, **options)

    def listdir(self, path: Path = ".") -> List[str]:
        with self.scandir(path) as entries:
            return [entry.name for entry in entries]

    @contextlib.contextmanager
    def scandir(self, path: Path = ".") -> Iterator[Iterator[os.DirEntry[str]]]:
        """As `os.scandir`, by descriptors. The entries are good within the `with`; their `path` is
        the name alone."""
        fd = os.open(self._inner(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            with os.scandir(fd) as entries:
                yield entries
        finally:
            os.close(fd)

    def walk(
        self, path: Path = ".", topdown: bool = True
    ) -> Iterator[Tuple[str, List[str], List[str], int]]:
        """As `os.fwalk`: (directory, its directories, its other names, its descriptor)."""
        return os.fwalk(os.fsdecode(self._inner(path)), topdown, dir_fd=self.fd)

    def _inner(self, path: Path) -> bytes:
        data = encode(path)
        if data.startswith(b"/"):
            raise ValueError(f"not relative to the reader: {os.fsdecode(data)!r}")
        return data or b"."

    def __repr__(self) -> str:
        if self.closed:
            return "<Reader closed>"
        held = self.revision
        name = f"{held.ref}@{held.generation}" if held.ref else f"tree:{short(held.tree)}"
        return f"<Reader {name} {os.fspath(self.path)!r}>"
