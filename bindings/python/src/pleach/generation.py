"""Generations: the values that a ref has had."""

from __future__ import annotations

import datetime
import os
from ctypes import byref
from typing import TYPE_CHECKING, Any, Mapping, Tuple

from . import _abi
from ._text import decode, listed, moment, nanoseconds
from .results import DropResult, short
from .revision import Revision, Tree

if TYPE_CHECKING:
    from .ref import Ref
    from .store import Store


class Generation(Revision):
    """One value of a ref. What is recorded of it never changes; its `tags`, and whether it `is_dropped`,
    are as they were when this was read.

    >>> first = store["site"][1]
    >>> first, first.message, first.added
    (<Generation site@1>, 'the first', 1)
    >>> with first as reader:
    ...     reader.listdir()
    ['index.html']
    """

    def __init__(self, store: Store, ref: str, struct: Any):
        self.number = int(struct.number)
        super().__init__(store, f"{ref}@{self.number}")
        self.ref_name = ref
        self.parent = int(struct.parent)  # 0: none
        self.tree_id = decode(struct.tree)
        self.time_ns = nanoseconds(struct.time_s, struct.time_ns)  # since 1970
        self.time: datetime.datetime = moment(struct.time_s, struct.time_ns)  # UTC
        self.kind = decode(struct.kind)  # "publish", "rollback", "run", "merge"
        self.uid = int(struct.uid)
        self.user = decode(struct.user)
        self.host = decode(struct.host)
        self.message = decode(struct.message)
        self.meta: Mapping[str, str] = _pairs(listed(struct.meta))
        self.added = int(struct.added)
        self.modified = int(struct.modified)
        self.removed = int(struct.removed)
        self.bytes_new = int(struct.bytes_new)
        self.tags: Tuple[str, ...] = listed(struct.tags)
        self.is_dropped = bool(struct.is_dropped)

    @property
    def ref(self) -> Ref:
        return self._store.ref(self.ref_name)

    @property
    def tree(self) -> Tree:
        return Tree(self._store, self.tree_id)

    def tag(self, name: str, *, force: bool = False) -> None:
        """Names it for good."""
        self.ref.tag(name, self, force=force)

    def drop(self, *, dry_run: bool = False, force: bool = False, now: bool = False) -> DropResult:
        """Drops it; its number stays taken. `force`: tagged all the same; `now`: do not wait for the
        grace.

        >>> site[1].drop()
        DropResult(generations=1, trees=1, bytes=6)
        """
        return drop(self, dry_run, force, now)

    def __str__(self) -> str:
        return f"{self.rev} {short(self.tree_id)} {self.message}".rstrip()


def _pairs(lines: Tuple[str, ...]) -> Mapping[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def drop(what: Revision, dry_run: bool, force: bool, now: bool) -> DropResult:
    """A generation, or a whole ref."""
    options = _abi.DropOptions.new(dry_run=dry_run, force=force, now=now)
    result = _abi.DropResult.new()
    with what.store._pool.session() as session:
        session.call_long(
            None, "pleach_drop", what.rev_bytes, byref(options), byref(result)
        ).checked()
    return DropResult(int(result.generations), int(result.trees), int(result.bytes))


def from_struct(store: Store, ref: str, struct: Any) -> Generation:
    return Generation(store, os.fsdecode(ref), struct)
