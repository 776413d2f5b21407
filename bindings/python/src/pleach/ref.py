"""Refs: names whose values, the generations, change over time."""

from __future__ import annotations

import enum
import os
import pathlib
from ctypes import byref, c_uint64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Mapping, Optional, Union

from . import _abi, _convert, _session, generation
from ._session import Listing, ProgressFunction
from ._text import Path, Text, encode, encode_maybe, milliseconds, pairs, strings
from .config import Config
from .errors import NotFoundError
from .generation import Generation
from .results import DropResult, Publication, RefStatus
from .revision import Revision

if TYPE_CHECKING:
    from .store import Store
    from .transaction import Completed, Transaction


class Clash(enum.Enum):
    """What to do when two sources bring one path."""

    ERROR = _abi.PLEACH_CLASH_ERROR
    FIRST = _abi.PLEACH_CLASH_FIRST
    LAST = _abi.PLEACH_CLASH_LAST


@dataclass(frozen=True)
class Source:
    """A directory or a revision, and where it lies in the tree that is made ("": at the root)."""

    what: Union[Path, Revision]
    at: Path = ""


AnySource = Union[Path, Revision, Source]


class Ref(Revision):
    """A ref, which need not be there yet. As a revision it is its head.

    >>> site = store["site"]
    >>> site.head, site[1].number, site[-1].number
    (2, 1, 1)
    >>> [generation.number for generation in site]
    [2, 1]
    >>> site.publish("docs", message="the same again").unchanged
    True
    """

    def __init__(self, store: Store, name: Text):
        if set(encode(name)) & set(b"@:/"):
            raise ValueError(f"not the name of a ref: {name!r}; Store.revision() takes revisions")
        super().__init__(store, name)

    @property
    def name(self) -> str:
        return os.fsdecode(self._rev)

    # ---- generations ----

    @property
    def head(self) -> int:
        """The number of the newest generation. `NotFoundError`: there is none."""
        return self.resolve().generation

    def exists(self) -> bool:
        """Whether it has a generation."""
        try:
            self.resolve()
        except NotFoundError:
            return False
        return True

    def generation(self, which: Union[int, Text, None] = None) -> Generation:
        """A generation by its number, by how many before the head (-1, -2, ...), or by a tag; None: the
        head."""
        return self[self.head if which is None else which]

    def __getitem__(self, which: Union[int, Text]) -> Generation:
        text = str(which).encode() if isinstance(which, int) else encode(which)
        number = Revision(self._store, self._rev + b"@" + text).resolve().generation
        # Whichever end is nearer; records are read one by one.
        with self.log(reverse=number <= self.head // 2) as generations:
            for found in generations:
                if found.number == number:
                    return found
        raise KeyError(which)  # dropped in this very moment

    def log(
        self, *, reverse: bool = False, paths: Optional[Iterable[Path]] = None
    ) -> Listing[Generation]:
        """Its generations, newest first; only those that changed one of `paths`, if given.

        >>> [generation.number for generation in store["site"].log(paths=["index.html"])]
        [1]
        """
        options = _abi.LogOptions.new(reverse=reverse, paths=strings(paths))
        return _session.listing(
            self._store._pool,
            "pleach_log",
            _abi.Generation,
            lambda struct: generation.from_struct(self._store, self.name, struct),
            self._rev,
            byref(options),
        )

    def __iter__(self) -> Iterator[Generation]:
        return self.log()

    def wait(self, after: Optional[int] = None, timeout: Optional[float] = None) -> int:
        """Waits for a generation after `after` (None: after the head as it is now), and returns the
        head. A ref that is not there yet is waited for. `WaitTimeoutError`: nothing came in time
        (seconds).

        >>> store["site"].wait(after=1)
        2
        """
        number = c_uint64()
        limit = milliseconds(timeout)
        with self._store._pool.session() as session:
            session.call_long(
                None, "pleach_wait", self._rev, -1 if after is None else after, limit, byref(number)
            ).checked()
        return number.value

    # ---- publishing ----

    def publish(
        self,
        *sources: Union[AnySource, Mapping[str, AnySource]],
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        exclude: Optional[Iterable[Path]] = None,
        on_clash: Clash = Clash.ERROR,
        if_head: Optional[int] = None,
        dry_run: bool = False,
        jobs: int = 0,
        metadata: Optional[str] = None,
        progress: Optional[ProgressFunction] = None,
    ) -> Publication:
        """Makes the tree composed of `sources` the next generation, atomically and durably, and moves
        the public path to it. The ref is made if it is not there.

        A source is the path of a directory, a `Revision`, a `Source` that says where it lies, or a
        mapping of such places to sources. `if_head`: the head must be this generation (0: there must
        be none), else `ConflictError`. `jobs`: threads, 0: as many as there are cores.

        >>> site = store["site"]
        >>> site.publish("docs", {"old": site[1]}, message="with the old", meta={"by": "me"})
        Publication(ref='site', generation=3, ...)
        >>> site.read_text("old/index.html")
        'hello\\n'
        """
        given = _sources(sources)
        options = _abi.PublishOptions.new(
            message=encode_maybe(message),
            meta=pairs(meta),
            exclude=strings(exclude),
            on_clash=on_clash.value,
            if_head=-1 if if_head is None else _number(if_head),
            dry_run=dry_run,
            jobs=jobs,
            metadata=encode_maybe(metadata),
        )
        array = (_abi.Source * len(given))(*given)
        return self._published(
            progress, "pleach_publish", self._rev, array, len(given), byref(options)
        )

    def rollback(
        self,
        to: Union[Revision, int, Text, None] = None,
        *,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        if_head: Optional[int] = None,
        dry_run: bool = False,
        progress: Optional[ProgressFunction] = None,
    ) -> Publication:
        """Publishes an earlier generation again, as a new one: the one before the head, or the one
        that a number, a tag or any revision names.

        >>> store["site"].rollback(message="back").generation
        3
        """
        if to is None:
            rev = None
        elif isinstance(to, Revision):
            rev = to.rev_bytes
        else:
            rev = b"@" + (str(to).encode() if isinstance(to, int) else encode(to))
        options = _abi.PublishOptions.new(
            message=encode_maybe(message),
            meta=pairs(meta),
            if_head=-1 if if_head is None else _number(if_head),
            dry_run=dry_run,
        )
        return self._published(progress, "pleach_rollback", self._rev, rev, byref(options))

    def _published(
        self, progress: Optional[ProgressFunction], name: str, *arguments: Any
    ) -> Publication:
        result = _abi.PublishResult.new()
        with self._store._pool.session() as session:
            done = session.call_long(progress, name, *arguments, byref(result))
        done.checked()
        return _convert.publication(self.name, result, done.problem)

    def transaction(self, **options: Any) -> Transaction:
        """As `Store.transaction()`."""
        return self._store.transaction(self, **options)

    def run(self, argv: Iterable[Path], **options: Any) -> Completed:
        """As `Store.run()`."""
        return self._store.run(self, argv, **options)

    # ---- names and places ----

    @property
    def public_path(self) -> pathlib.Path:
        """Where readers find the head."""
        return self._store.path / self.name

    def tags(self) -> Mapping[str, int]:
        """Its tags, by name, with the generations that they name.

        >>> store["site"].tag("v1", 1)
        >>> store["site"].tags(), store["site"]["v1"].number
        ({'v1': 1}, 1)
        """
        listed = _session.listing(
            self._store._pool,
            "pleach_tags",
            _abi.Tag,
            lambda struct: (os.fsdecode(struct.name), int(struct.generation)),
            self._rev,
        )
        return dict(listed)

    def tag(
        self, name: Text, what: Union[Revision, int, None] = None, *, force: bool = False
    ) -> None:
        """Names a generation of this ref for good: the head, or another. A tag that names another one
        already is moved only with `force`."""
        rev: Optional[bytes] = None
        if isinstance(what, int):
            rev = b"@%d" % what
        elif what is not None:
            rev = what.rev_bytes
        with self._store._pool.session() as session:
            session.call("pleach_tag_set", self._rev, encode(name), rev, int(force)).checked()

    def untag(self, name: Text) -> None:
        """Removes a tag."""
        with self._store._pool.session() as session:
            session.call("pleach_tag_delete", self._rev, encode(name)).checked()

    def attach(self, path: Path, mode: str = "symlink") -> bool:
        """Publishes it at another path too, as `Store.attach()`."""
        return self._store.attach(self, path, mode)

    @property
    def config(self) -> Config:
        """Its settings."""
        return Config(self._store, self._rev)

    def status(self) -> RefStatus:
        """As it is now."""
        with self._store.refs() as refs:
            for status in refs:
                if status.name == self.name:
                    return status
        self.resolve()  # says that it is not there
        raise KeyError(self.name)  # came in this very moment

    def drop(self, *, dry_run: bool = False, force: bool = False, now: bool = False) -> DropResult:
        """Takes away the ref, its public path and its history."""
        return generation.drop(self, dry_run, force, now)


def _number(value: int) -> int:
    if not 0 <= value < 2**63:
        raise ValueError(f"not the number of a generation: {value}")
    return value


def _source(source: AnySource, prefix: Optional[bytes]) -> _abi.Source:
    if isinstance(source, Source):
        below = encode(source.at)
        prefix = b"/".join(part for part in (prefix, below) if part) or None
        return _source(source.what, prefix)
    if isinstance(source, Revision):
        return _abi.Source(kind=_abi.PLEACH_SOURCE_REV, spec=source.rev_bytes, prefix=prefix)
    return _abi.Source(kind=_abi.PLEACH_SOURCE_DIR, spec=encode(source), prefix=prefix)


def _sources(given: Iterable[Union[AnySource, Mapping[str, AnySource]]]) -> List[_abi.Source]:
    found = []
    for source in given:
        if isinstance(source, Mapping):
            found += [_source(what, encode(at) or None) for at, what in source.items()]
        else:
            found.append(_source(source, None))
    if not found:
        raise TypeError("at least one source is needed")
    return found
