"""What calls answer with: frozen dataclasses. Paths and texts are `str`, decoded as `os.fsdecode`
does it, so that `os.fsencode` gives back the bytes, whatever they are; where that is asked for often,
a property whose name ends in `_bytes` does it."""

from __future__ import annotations

import datetime
import enum
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Iterator, Mapping, Optional, Tuple

from . import _abi

if TYPE_CHECKING:
    from .errors import Error


def short(tree_id: str) -> str:
    """An id as people read it."""
    return tree_id[:12]


@dataclass(frozen=True)
class Progress:
    """How far a long call has come."""

    phase: str  # "scan", "place", "sync", "check", "check out", "measure", "wait", ...
    done: int  # entries so far in this phase; seconds, if it is "wait"
    total: int  # entries in all, 0 if unknown
    done_bytes: int  # content bytes so far in this phase


@dataclass(frozen=True)
class Resolved:
    """What a revision stands for at this moment."""

    ref: str  # "" for tree:HEX
    generation: int  # 0 for tree:HEX
    tree: str
    path: Optional[str]  # behind the colon
    is_head: bool


@dataclass(frozen=True)
class Publication:
    """What a publish, a rollback or a commit did."""

    ref: str
    generation: int  # the new one, or the head if unchanged
    parent: int  # the one before it, 0: none
    tree: str
    added: int  # paths, against the parent
    modified: int
    removed: int
    bytes_new: int  # content bytes that the store did not have
    unchanged: bool  # no generation was made
    escaping: int = 0  # symlinks that lead out of the tree by `..`
    first_escaping: Optional[str] = None
    problem: Optional[Error] = None  # recorded, but not shown: what is in the way

    def __str__(self) -> str:
        head = f"{self.ref}@{self.generation} {short(self.tree)}"
        if self.unchanged:
            return f"{head} unchanged"
        return f"{head} +{self.added} ~{self.modified} -{self.removed}"


class EntryType(enum.Enum):
    """What a path of a tree is."""

    FILE = _abi.PLEACH_FILE
    DIR = _abi.PLEACH_DIR
    SYMLINK = _abi.PLEACH_SYMLINK
    FIFO = _abi.PLEACH_FIFO
    SOCKET = _abi.PLEACH_SOCKET
    CHAR = _abi.PLEACH_CHAR
    BLOCK = _abi.PLEACH_BLOCK


@dataclass(frozen=True)
class Entry:
    """What a tree holds under one path."""

    path: str  # relative to the root of the tree
    type: EntryType
    mode: int  # permission bits, 0o7777
    uid: Optional[int]  # None: not recorded
    gid: Optional[int]
    mtime_ns: int
    size: int  # bytes; of a symlink the length of its target
    target: Optional[str]  # of a symlink
    rdev: Optional[int]  # of a device
    links: int  # names of this tree that share its inode
    xattrs: Mapping[str, bytes] = field(hash=False)
    id: str  # of a file its object, of a directory its node, else ""
    content: str  # of a file the hash of its content, else ""

    @property
    def path_bytes(self) -> bytes:
        return os.fsencode(self.path)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def is_file(self) -> bool:
        return self.type is EntryType.FILE

    def is_dir(self) -> bool:
        return self.type is EntryType.DIR

    def is_symlink(self) -> bool:
        return self.type is EntryType.SYMLINK

    def __repr__(self) -> str:
        return f"<Entry {self.path!r} {self.type.name.lower()} {self.mode:04o} {self.size} B>"


class ChangeKind(enum.Enum):
    """How a path differs."""

    ADDED = "A"
    REMOVED = "D"
    MODIFIED = "M"
    TYPE = "T"
    METADATA = "P"
    LINKS = "L"  # hard-link membership alone


@dataclass(frozen=True)
class Change:
    """One difference between two trees."""

    path: str
    kind: ChangeKind
    before: Optional[Entry]  # None where it is not there
    after: Optional[Entry]

    @property
    def path_bytes(self) -> bytes:
        return os.fsencode(self.path)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.path}"


@dataclass(frozen=True)
class Attachment:
    """Another path at which a revision is published."""

    rev: str
    mode: str  # "symlink", "exchange", "mount"
    state: str  # "ok", "behind", "missing", "foreign"
    path: str


@dataclass(frozen=True)
class RefStatus:
    """A ref as it is now."""

    name: str
    head: int
    tree: str
    time: datetime.datetime  # of the head, UTC
    time_ns: int  # the same, since 1970
    public_path: str
    public_state: str  # "ok", "missing", "foreign", "behind", "unknown"
    generations_kept: int
    generations_placed: int
    pinned: int  # trees with a held pin
    queued: int  # transactions in its queue, the one at work included
    tags: Mapping[str, int] = field(hash=False)
    attached: Tuple[Attachment, ...]
    damaged: Tuple[str, ...] = ()  # what cannot be read, a sentence each


@dataclass(frozen=True)
class GenerationUsage:
    """What a generation takes of the disk, in bytes: blocks, but for `bytes`."""

    ref: str
    generation: int
    tree: str
    objects: int  # files' contents that it names
    nodes: int  # directories' descriptions
    bytes: int  # what its files say that they have, equal ones once
    disk: int  # what these take, and its placed tree besides links of them
    shared: int  # of `disk`: what something else has too
    alone: int  # the rest: free after a drop and a gc, unless it is held
    is_head: bool
    is_placed: bool
    is_held: bool  # by an attachment, a pin, a transaction, its grace


@dataclass(frozen=True)
class DiskTotals:
    """What a whole store takes, in bytes of the disk; each inode once, for the first of these."""

    total: int
    objects: int
    nodes: int
    directories: int  # of placed trees
    copies: int  # files of placed trees that are no links of objects
    trash: int
    transactions: int
    cache: int
    other: int  # records, tags, settings, the reserve
    beside: int  # what else lies in the store's directory
    unneeded: int  # of objects to copies: what the next gc frees
    n_objects: int
    n_nodes: int
    n_trees: int
    n_placed: int
    unread: int  # what could not be read: all is more then
    damaged: int  # set aside by repairs


@dataclass(frozen=True)
class DiskUsage:
    """What a store takes of the disk, and each of its generations."""

    totals: DiskTotals
    generations: Tuple[GenerationUsage, ...]


@dataclass(frozen=True)
class Leftover:
    """Something unfinished, or an event of recovery."""

    kind: str  # "open", "parked", "dead", "expired", "trash", "damaged", "recovered"
    id: str  # of the transaction, the trash, or what is damaged; "": what was mended was none of these
    what: str


@dataclass(frozen=True)
class LeftoverSize:
    """What something unfinished takes of the disk that would be free without it."""

    bytes: int
    is_more: bool  # it was too large to be looked at as a whole


@dataclass(frozen=True)
class Setting:
    """A setting as it holds."""

    key: str
    value: str  # "" where there is none
    where: str  # "default", "store" or "ref"
    meaning: str


@dataclass(frozen=True)
class Hurt:
    """A path of a generation that is not what it was; "" is all of the generation."""

    ref: str
    generation: int
    path: str

    @property
    def path_bytes(self) -> bytes:
        return os.fsencode(self.path)

    def __str__(self) -> str:
        return f"{self.ref}@{self.generation}{':' + self.path if self.path else ''}"


@dataclass(frozen=True)
class Finding:
    """One line of a report."""

    kind: str
    path: str
    message: str
    ref: str  # "" where none
    generation: int  # 0 where none
    is_fault: bool  # not so: only not verified, or not restored
    id: str = ""  # of the object, node or tree that it is about, if it is about one
    hurts: Tuple[Hurt, ...] = ()  # of a fault: which generations have it, and where
    hurts_left_out: int = 0  # more than were listed
    is_mended: bool = False  # it was a fault, and is none any more; the message says how

    def __str__(self) -> str:
        return f"{self.kind} {self.path}: {self.message}"


@dataclass(frozen=True)
class CheckResult:
    """What a check verified and found."""

    objects: int
    nodes: int
    records: int
    trees: int
    placed: int
    bytes: int
    faults: int
    unverified: int
    mended: int  # by a repair
    findings: Tuple[Finding, ...]
    problem: Optional[Error] = None  # why it is not all well

    @property
    def is_sound(self) -> bool:
        """Everything was verified, and nothing was wrong."""
        return self.problem is None

    def raise_for_faults(self) -> None:
        """Raises `CorruptError` if something does not verify."""
        if self.faults and self.problem is not None:
            raise self.problem


@dataclass(frozen=True)
class Report:
    """What could not be done; the rest is."""

    findings: Tuple[Finding, ...]
    problem: Optional[Error] = None  # None: all of it was done

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)


@dataclass(frozen=True)
class DropResult:
    """What went, or would go."""

    generations: int
    trees: int
    bytes: int


@dataclass(frozen=True)
class GcResult:
    """What a collection took, or would take."""

    generations: int
    trees: int
    objects: int
    nodes: int
    bytes: int
    kept_objects: int
    kept_nodes: int
    put_back: int
    busy_refs: int
    is_complete: bool
    store_size: int  # what a store with a max-size takes now; else 0
    over: int  # of these, what is more than max-size: nothing more can go
    findings: Tuple[Finding, ...]  # "goes", "over"; of a dry run also "stays" and "held"


@dataclass(frozen=True)
class DedupResult:
    """What sharing equal files did, or would do."""

    files: int
    bytes: int
    bytes_read: int
    linked: int
    reflinked: int
    bytes_saved: int
    left_alone: int
    failed: int
    indexed: int
    findings: Tuple[Finding, ...]
    problem: Optional[Error] = None


@dataclass(frozen=True)
class Conflict:
    """A path that a transaction and the head both changed, and what each did: "added", "modified",
    "metadata", "removed", "type", "links", "unchanged"; of `tx` also "read"."""

    path: str
    head: str
    tx: str

    @property
    def path_bytes(self) -> bytes:
        return os.fsencode(self.path)

    def __str__(self) -> str:
        return f"{self.path}: {self.head} there, {self.tx} here"


@dataclass(frozen=True)
class TransactionInfo:
    """What a transaction is."""

    id: str
    ref: str
    base: int  # generation, 0: none
    base_tree: str
    workspace: str
    path: Optional[str]  # of the plain directory; None: seen by spawned programs alone
    public_path: str  # where spawned programs see it
    is_parked: bool
    is_optimistic: bool
    is_serializable: bool
    expires: Optional[datetime.datetime]  # None: it is not parked
    passed_over: Tuple[str, ...]  # "NAME: reason" of workspaces that were not taken
    state: str = "open"  # or "parked", "expired"
