"""What names a tree: revisions of any form, trees by their id. Generations are in `generation`, refs
in `ref`; all of them are revisions, and are read alike."""

from __future__ import annotations

import os
import pathlib
import threading
from ctypes import byref, c_void_p
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Iterable,
    List,
    Literal,
    Optional,
    TextIO,
    overload,
)

from . import _abi, _convert, _session
from ._session import Listing, ProgressFunction
from ._text import Path, Text, encode, encode_maybe, strings
from .content import Content, check_mode, opened
from .reader import Pin, Reader
from .results import Change, Entry, Report, Resolved, short

if TYPE_CHECKING:
    from .store import Store


class _Held(threading.local):
    """The readers that `with` has opened, of each thread its own, innermost last."""

    def __init__(self) -> None:
        self.readers: List[Reader] = []


class Revision:
    """A revision as text: `site`, `site@3`, `site@-1`, `site@v1`, `tree:1a2b3c4d`, each also with
    `:path`. It is looked up anew by each call, and holds nothing; in a `with` it is held, by a
    `Reader` of its directory.

    >>> with store.revision("site@2:css") as reader:
    ...     reader.listdir()
    ['style.css']
    """

    def __init__(self, store: Store, rev: Text, subpath: Text = ""):
        self._store = store
        self._rev = encode(rev)
        self._subpath = encode(subpath)
        self._held = _Held()

    # ---- names ----

    @property
    def store(self) -> Store:
        return self._store

    @property
    def rev(self) -> str:
        """As the command line takes it."""
        return os.fsdecode(self._spec())

    @property
    def rev_bytes(self) -> bytes:
        return self._spec()

    def _spec(self, path: Path = "") -> bytes:
        """REV, or REV:path with `path` relative to what this is."""
        inner = b"/".join(part for part in (self._subpath, encode(path).strip(b"/")) if part)
        return self._rev + b":" + inner if inner else self._rev

    def resolve(self) -> Resolved:
        """What it stands for now.

        >>> store.revision("site@-1").resolve().generation
        1
        """
        spec = self._spec()
        struct = _abi.Revision.new()
        with self._store._pool.session() as session:
            session.call("pleach_resolve", spec, byref(struct)).checked()
        return _convert.resolved(struct)

    @property
    def tree(self) -> Tree:
        """The tree that it stands for now, by its id.

        >>> site.tree == site[2].tree, site.tree == site[-1].tree
        (True, False)
        """
        found = self.resolve()
        return Tree(self._store, found.tree, found.path or "")

    # ---- looking ----

    def ls(self, path: Path = "", recursive: bool = False) -> Listing[Entry]:
        """Lists what is in a directory, in byte order of paths; anything else is listed itself.

        >>> [entry.path for entry in store["site"].ls(recursive=True)]
        ['css', 'css/style.css', 'index.html']
        """
        return _session.listing(
            self._store._pool,
            "pleach_ls",
            _abi.Entry,
            _convert.entry,
            self._spec(path),
            int(recursive),
        )

    @overload
    def open(self, path: Path = "", *, mode: Literal["rb"]) -> BinaryIO: ...

    @overload
    def open(self, path: Path, mode: Literal["rb"]) -> BinaryIO: ...

    @overload
    def open(
        self,
        path: Path = "",
        mode: Literal["r", "rt"] = "r",
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> TextIO: ...

    @overload
    def open(
        self,
        path: Path = "",
        mode: str = "r",
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> IO[Any]: ...

    def open(
        self,
        path: Path = "",
        mode: str = "r",
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> IO[Any]:
        """Opens a file for reading from its object, placed or not. All of it has been verified
        before its end is told.

        >>> with site.open("index.html") as file:
        ...     file.read()
        'hello\\n'
        """
        check_mode(mode)
        raw = _open_content(self._store, self._spec(path))
        return opened(raw, mode, encoding, errors, newline)

    def read_bytes(self, path: Path = "") -> bytes:
        """The verified content of a file."""
        with self.open(path, "rb") as file:
            return file.read()

    def read_text(
        self, path: Path = "", encoding: Optional[str] = None, errors: Optional[str] = None
    ) -> str:
        with self.open(path, "r", encoding, errors) as file:
            return file.read()

    def diff(
        self,
        other: Optional[Revision] = None,
        *,
        directory: Optional[Path] = None,
        paths: Optional[Iterable[Path]] = None,
        exclude: Optional[Iterable[Path]] = None,
    ) -> Listing[Change]:
        """Lists what turns this into `other`, or into a `directory`; with neither, what turned the
        generation before this one into it. `exclude`: patterns for `directory`, as in .gitignore.

        >>> [str(change) for change in site.diff()]
        ['A css', 'A css/style.css']
        >>> [str(change) for change in site[2].diff(site[1])]
        ['D css', 'D css/style.css']
        """
        if other is not None and directory is not None:
            raise TypeError("either another revision or a directory, not both")
        options = _abi.DiffOptions.new(
            directory=encode_maybe(directory), paths=strings(paths), exclude=strings(exclude)
        )
        return _session.listing(
            self._store._pool,
            "pleach_diff",
            _abi.Change,
            _convert.change,
            self._spec(),
            other._spec() if other is not None else None,
            byref(options),
            is_long=True,
        )

    # ---- as files ----

    def path(self, path: Path = "") -> pathlib.Path:
        """Where it is placed; it is placed first where it is not, and stays for the grace of its ref
        at least. Who needs it longer takes a `reader()` or a `pin()`."""
        spec = self._spec(path)
        pointer = c_void_p()
        with self._store._pool.session() as session:
            session.call_long(None, "pleach_path", spec, byref(pointer)).checked()
        return pathlib.Path(os.fsdecode(_session.string_taken(pointer)))

    def pin(self, path: Path = "") -> Pin:
        """Holds it, until the pin is closed."""
        return _session.open_handle(
            self._store._pool, Pin, "pleach_pin_open", self._spec(path), is_long=True
        )

    def reader(self, path: Path = "") -> Reader:
        """Holds a directory for reading, until the reader is closed."""
        return _session.open_handle(
            self._store._pool, Reader, "pleach_reader_open", self._spec(path), is_long=True
        )

    def checkout(
        self,
        directory: Path,
        *,
        update: bool = False,
        delete: bool = False,
        progress: Optional[ProgressFunction] = None,
    ) -> Report:
        """Makes an ordinary copy at `directory`, which must be missing or empty; with `update` an
        existing one is made equal, and what the revision has not is removed only with `delete`.
        The report lists what this user could not restore.

        >>> len(store["site"].checkout("copy"))
        0
        >>> open("copy/index.html").read()
        'hello\\n'
        """
        options = _abi.CheckoutOptions.new(update=update, delete_others=delete)
        spec, to = self._spec(), encode(directory)
        pointer = c_void_p()
        with self._store._pool.session() as session:
            done = session.call_long(
                progress, "pleach_checkout", spec, to, byref(options), byref(pointer)
            )
            findings = _session.report(pointer)
        done.checked()
        return Report(findings, done.problem)

    def __enter__(self) -> Reader:
        reader = self.reader()
        self._held.readers.append(reader)
        return reader

    def __exit__(self, *_: object) -> None:
        self._held.readers.pop().close()

    # ---- as a value ----

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Revision) or type(self) is not type(other):
            return NotImplemented
        return self._spec() == other._spec() and self._store.path == other._store.path

    def __hash__(self) -> int:
        return hash((type(self), self._spec()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.rev}>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_held"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _held=_Held())


def _open_content(store: Store, spec: bytes) -> Content:
    pool = store._pool
    session = pool.borrow()
    pointer = c_void_p()
    try:
        session.call("pleach_file_open", spec, byref(pointer)).checked()
        assert pointer.value is not None
        return Content(session, pointer.value)
    except BaseException:
        if pointer.value is None:
            session.give_back()
        raise


class Tree(Revision):
    """A tree by its id, or a directory or file in it. It never changes; but unless it is held, by a
    `with`, a pin, or a generation that has it, it may be collected.

    >>> tree = store["site"].tree
    >>> (tree / "css" / "style.css").read_text()
    '* { margin: 0 }\\n'
    >>> with tree / "css" as reader:
    ...     reader.listdir()
    ['style.css']
    """

    def __init__(self, store: Store, id: str, subpath: Text = ""):
        super().__init__(store, "tree:" + id, subpath)
        self._id = id

    @property
    def id(self) -> str:
        """Of the whole tree."""
        return self._id

    @property
    def subpath(self) -> str:
        """Of what this is, in the whole tree; "" is the root."""
        return os.fsdecode(self._subpath)

    def __truediv__(self, path: Path) -> Tree:
        inner = encode(path).strip(b"/")
        return Tree(self._store, self._id, b"/".join(p for p in (self._subpath, inner) if p))

    def __repr__(self) -> str:
        return f"<Tree {short(self._id)}{':' + self.subpath if self._subpath else ''}>"
