"""Equal files of any directories share their storage. No store is needed."""

from __future__ import annotations

import queue
from ctypes import byref, c_int, c_void_p, pointer
from typing import Any, Iterable, Optional

from . import _abi, _convert, _session
from ._session import ProgressFunction
from ._text import Path, encode_maybe, strings
from .results import DedupResult


def dedup(
    paths: Iterable[Path],
    *,
    how: Optional[str] = None,
    match: Optional[Iterable[str]] = None,
    dry_run: bool = False,
    index: Optional[Path] = None,
    layout: Optional[str] = None,
    progress: Optional[ProgressFunction] = None,
) -> DedupResult:
    """Has equal files below the directories `paths` share their storage, beside whoever else is at
    work there.

    `how`: "link", "reflink", or None: reflink where the file system can. `match`: what must be equal
    besides the content: of "mode", "owner", "mtime", "xattrs". `index`: a directory of names by
    content, in `layout` "hex" or "nix". `findings` lists what could not be read or replaced.

    >>> with open("docs/same", "w") as file:
    ...     _ = file.write("hello\\n")
    >>> pleach.dedup(["docs"], how="link", match=[]).linked
    1
    """
    wanted = strings(paths)
    if wanted is None or wanted[0] is None:
        raise ValueError("at least one path is needed")
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    is_cancelled = c_int()
    options = _abi.DedupOptions.new(
        how=encode_maybe(how),
        match=None if match is None else ",".join(["content", *match]).encode(),
        dry_run=dry_run,
        cancel=pointer(is_cancelled),
        index=encode_maybe(index),
        layout=encode_maybe(layout),
    )
    if progress is not None:
        options.progress = _abi.PROGRESS_FN(
            lambda told, _: events.put(_convert.progress(told[0]))
        )
    result = _abi.DedupResult.new()
    report = c_void_p()

    def cancel() -> None:
        is_cancelled.value = 1

    done = _session.call_in_thread(
        cancel,
        events,
        progress,
        lambda: _session.call(
            "pleach_dedup", wanted, byref(options), byref(result), byref(report)
        ),
    )
    findings = _session.report(report)
    done.checked()
    return DedupResult(
        files=int(result.files),
        bytes=int(result.bytes),
        bytes_read=int(result.bytes_read),
        linked=int(result.linked),
        reflinked=int(result.reflinked),
        bytes_saved=int(result.bytes_saved),
        left_alone=int(result.left_alone),
        failed=int(result.failed),
        indexed=int(result.indexed),
        findings=findings,
        problem=done.problem,
    )
