"""pleach: changes a whole directory tree in one atomic step, while others read it.

A store keeps every version of a tree, sharing every unchanged file. A ref is a name in a store; each
of its values, a generation, is a whole tree; its public path moves from one to the next in one step.

>>> store = pleach.Store.init("mine")
>>> print(store["site"].publish("docs", message="the first"))
site@1 ... +3 ~0 -0
>>> with store.transaction("site", message="by Python") as tx:
...     _ = (tx.path / "index.html").write_text("hello again\\n")
>>> store["site"].public_path.joinpath("index.html").read_text()
'hello again\\n'
>>> [(generation.number, generation.message) for generation in store["site"]]
[(2, 'by Python'), (1, 'the first')]
>>> store["site"].rollback().generation
3

Names and paths are `str`, `bytes` or path-like objects, of any bytes that the kernel takes, and come
back as `str`, so that `os.fsencode` gives those bytes. Objects may be shared by threads. What holds
something (a `Store`, `Transaction`, `Reader`, `Pin`, listings) is a context manager; a `Ref`,
`Generation` or `Tree` in a `with` is held by a `Reader` meanwhile. Long calls can be interrupted, and
tell of their progress. This is a layer over libpleach: `pleach.h` has the last word on what is promised.
"""

from __future__ import annotations

from ._library import LibraryNotFoundError, library
from .config import Config
from .content import Content
from .errors import (
    AlreadyExistsError,
    BusyError,
    CancelledError,
    Code,
    ConflictError,
    CorruptError,
    Error,
    ForkedError,
    IsDirectoryError,
    MissingFileError,
    NoSpaceError,
    NotDirectoryError,
    NotFoundError,
    PartialError,
    PermissionDeniedError,
    UnsupportedError,
    UsageError,
    WaitTimeoutError,
)
from .generation import Generation
from .process import Process
from .reader import Pin, Reader
from .ref import Clash, Ref, Source
from .results import (
    Attachment,
    Change,
    ChangeKind,
    CheckResult,
    Conflict,
    DedupResult,
    DiskTotals,
    DiskUsage,
    DropResult,
    Entry,
    EntryType,
    Finding,
    GcResult,
    GenerationUsage,
    Hurt,
    Leftover,
    LeftoverSize,
    Progress,
    Publication,
    RefStatus,
    Report,
    Resolved,
    Setting,
    TransactionInfo,
)
from .revision import Revision, Tree
from .sharing import dedup
from .store import Store
from .transaction import Completed, Transaction, Workspace

__version__ = "0.1.0"


def library_version() -> str:
    """The version of libpleach that is in use."""
    return library().version


__all__ = [
    "AlreadyExistsError",
    "Attachment",
    "BusyError",
    "CancelledError",
    "Change",
    "ChangeKind",
    "CheckResult",
    "Clash",
    "Code",
    "Completed",
    "Config",
    "Conflict",
    "ConflictError",
    "Content",
    "CorruptError",
    "DedupResult",
    "DiskTotals",
    "DiskUsage",
    "DropResult",
    "Entry",
    "EntryType",
    "Error",
    "Finding",
    "ForkedError",
    "GcResult",
    "Generation",
    "GenerationUsage",
    "Hurt",
    "IsDirectoryError",
    "Leftover",
    "LeftoverSize",
    "LibraryNotFoundError",
    "MissingFileError",
    "NoSpaceError",
    "NotDirectoryError",
    "NotFoundError",
    "PartialError",
    "PermissionDeniedError",
    "Pin",
    "Process",
    "Progress",
    "Publication",
    "Reader",
    "Ref",
    "RefStatus",
    "Report",
    "Resolved",
    "Revision",
    "Setting",
    "Source",
    "Store",
    "Transaction",
    "TransactionInfo",
    "Tree",
    "UnsupportedError",
    "UsageError",
    "WaitTimeoutError",
    "Workspace",
    "dedup",
    "library_version",
]
