"""Transactions: work on a private copy of a ref's tree, ending in a new generation or in nothing."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import pathlib
import subprocess
import tempfile
from ctypes import POINTER, byref, c_char_p, c_ubyte, c_void_p, cast
from dataclasses import dataclass
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Iterable, Mapping, Optional, Tuple, Type, Union

from . import _abi, _convert
from ._library import library
from ._session import Handle, Listing, Outcome, ProgressFunction, Session, call, open_handle
from ._text import Path, Text, encode, encode_maybe, milliseconds, pairs, strings
from .errors import ConflictError, Error, UnsupportedError, error_of
from .process import Process, Stream, Streams, arguments, environment
from .results import Change, Conflict, Publication, TransactionInfo

if TYPE_CHECKING:
    from .store import Store

Xattrs = Mapping[Union[str, bytes], bytes]


class Workspace(str, enum.Enum):
    """Where the work is done."""

    PLAIN = "plain"  # a plain directory, `Transaction.path`: SNAPSHOT, REFLINK or COPY
    ANY = "any"  # the quickest that does here, for programs that are spawned
    NONE = "none"  # no files at all: `put()` and its like alone; nothing is copied
    OVERLAY = "overlay"
    USER_OVERLAY = "user-overlay"
    SNAPSHOT = "snapshot"
    REFLINK = "reflink"
    COPY = "copy"


_PLAIN = (Workspace.SNAPSHOT, Workspace.REFLINK, Workspace.COPY)  # the first that does


@dataclass(frozen=True)
class Completed:
    """How a program in a transaction ended, and what was published, if it ended with 0."""

    args: Tuple[str, ...]
    returncode: int  # -N: ended by signal N
    publication: Optional[Publication]
    stdout: Optional[bytes] = None
    stderr: Optional[bytes] = None


class Transaction(Handle):
    """A transaction, made by `Store.transaction()`. Leaving a `with` commits it; leaving that by an
    exception, or closing it otherwise, aborts it, and nothing of it remains.

    >>> with store.transaction("site", message="news") as tx:
    ...     _ = (tx.path / "news.html").write_text("new\\n")
    >>> print(tx.result)
    site@3 ... +1 ~0 -0
    >>> with store.transaction("site") as tx:
    ...     (tx.path / "index.html").unlink()
    ...     raise RuntimeError("no, wait")
    Traceback (most recent call last):
    RuntimeError: no, wait
    >>> store["site"].read_text("index.html")
    'hello\\n'

    A parked one (`parked=True`, `Store.resume()`) outlives the handle and the process: leaving a `with`
    parks it again, and it ends by `commit()`, `abort()` or when its life is over.
    """

    _close_name = "pleach_tx_close"

    message: Optional[Text]
    meta: Optional[Mapping[str, Text]]
    result: Optional[Publication]

    def __init__(self, session: Session, pointer: int):
        super().__init__(session, pointer)
        self.message = None  # for the commit at the end of a `with`
        self.meta = None
        self.result = None  # of the last commit or snapshot
        self._is_over = False
        self._process: Optional[Process] = None

    # ---- what it is ----

    def info(self) -> TransactionInfo:
        struct = _abi.TxInfo.new()
        with self._session.at_work():  # its strings are the handle's
            _describe(self._alive(), struct)
            return _convert.transaction_info(struct, "open")

    @property
    def id(self) -> str:
        return self.info().id

    @property
    def ref_name(self) -> str:
        return self.info().ref

    @property
    def base(self) -> int:
        """The generation that it began from; 0: none."""
        return self.info().base

    @property
    def is_parked(self) -> bool:
        return self.info().is_parked

    @property
    def workspace(self) -> str:
        """The kind of workspace that it got."""
        return self.info().workspace

    @property
    def path(self) -> pathlib.Path:
        """The plain directory to work in. `UnsupportedError`: this workspace has none."""
        info = self.info()
        if info.path is None:
            raise UnsupportedError(
                _abi.PLEACH_FAILED,
                errno.EOPNOTSUPP,
                f"a transaction in the workspace '{info.workspace}' has no directory of its own",
                "begin it with workspace='plain', or use spawn() or put()",
            )
        return pathlib.Path(info.path)

    def diff(self) -> Listing[Change]:
        """What it changed so far, against its base.

        >>> with store.transaction("site", workspace="none") as tx:
        ...     tx.put("new", b"1")
        ...     [str(change) for change in tx.diff()]
        ['A new']
        """
        pointer = c_void_p()
        self._call_long(None, "pleach_tx_diff", byref(pointer)).checked()
        assert pointer.value is not None
        changes = Listing(
            self._session, pointer.value, False, "pleach_diff", _abi.Change, _convert.change
        )
        self._children.add(changes)
        return changes

    # ---- how it ends ----

    def commit(
        self,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        *,
        resolved: bool = False,
        progress: Optional[ProgressFunction] = None,
    ) -> Publication:
        """Makes what the workspace holds the next generation, merged with what was published since it
        began. Atomic, durable. `ConflictError`: its `conflicts` tell the paths, and the transaction is
        as it was. `resolved`: what conflicts is as the transaction has it, since it was mended
        there."""
        done = self._commit("pleach_tx_commit", message, meta, resolved, progress)
        self._is_over = True
        return done

    def snapshot(
        self,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        *,
        resolved: bool = False,
        progress: Optional[ProgressFunction] = None,
    ) -> Publication:
        """Commits what there is, and goes on from there: a checkpoint."""
        return self._commit("pleach_tx_snapshot", message, meta, resolved, progress)

    def _commit(
        self,
        name: str,
        message: Optional[Text],
        meta: Optional[Mapping[str, Text]],
        is_resolved: bool,
        progress: Optional[ProgressFunction],
    ) -> Publication:
        ref = self.ref_name
        options = _abi.CommitOptions.new(
            message=encode_maybe(message if message is not None else self.message),
            meta=pairs(meta if meta is not None else self.meta),
            is_resolved=is_resolved,
        )
        result = _abi.PublishResult.new()
        done = self._call_long(progress, name, byref(options), byref(result))
        if done.result == -errno.ECANCELED:
            raise self._conflict(done)
        done.checked()
        self.result = _convert.publication(ref, result, done.problem)
        return self.result

    def _conflict(self, done: Outcome) -> Error:
        problem = error_of(done.result, done.error)
        if isinstance(problem, ConflictError):
            problem.conflicts = self.conflicts()
        return problem

    def conflicts(self) -> Tuple[Conflict, ...]:
        """Of the last commit, by path."""
        found = []
        struct = _abi.Conflict.new()
        with self._session.at_work():
            while library().pleach_tx_conflict_next(self._alive(), byref(struct)) == 1:
                found.append(_convert.conflict(struct))
        return tuple(found)

    def abort(self) -> None:
        """Gives it up: nothing of it remains."""
        self._call("pleach_tx_abort").checked()
        self._is_over = True

    def park(self) -> None:
        """Lets it outlive this handle, as after a conflict that somebody wants to look at."""
        self._call("pleach_tx_park").checked()

    def _close_pointer(self, pointer: int) -> None:
        call("pleach_tx_close", pointer).checked()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        problem: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        if self.closed:
            return
        try:
            if kind is None and not self._is_over and not self.is_parked:
                self.commit()
        finally:
            if kind is None:
                self.close()
            else:
                with contextlib.suppress(Error):  # the first problem is the one to be told
                    self.close()

    # ---- programs ----

    def spawn(
        self,
        argv: Iterable[Path],
        *,
        cwd: Optional[Path] = None,
        env: Optional[Mapping[Any, Any]] = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> Process:
        """Starts a program that finds the workspace at the ref's public path. Streams are as for
        `subprocess.Popen`: descriptors, files, PIPE, DEVNULL. One at a time."""
        args = arguments(argv)
        array = (c_char_p * (len(args) + 1))(*args, None)
        pointer = c_void_p()
        streams = Streams(stdin, stdout, stderr)
        try:
            options = _abi.SpawnOptions.new(
                directory=encode_maybe(cwd),
                env=strings(environment(env)),
                stdio=tuple(streams.theirs),
            )
            self._call("pleach_tx_spawn", array, byref(options), byref(pointer)).checked()
            assert pointer.value is not None
            process = Process(self._session, pointer.value, args, streams)
        except BaseException:
            streams.close(with_ours=True)
            raise
        streams.close()
        self._children.add(process)
        self._process = process  # not to be ended because nobody else holds it
        return process

    def run(
        self,
        argv: Iterable[Path],
        *,
        input: Optional[bytes] = None,
        capture_output: bool = False,
        check: bool = False,
        timeout: Optional[float] = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run`, of a program in the transaction. `options` as for `spawn()`."""
        with contextlib.ExitStack() as stack:
            captured = {}
            if input is not None:
                options["stdin"] = stack.enter_context(tempfile.TemporaryFile())
                options["stdin"].write(input)
                options["stdin"].seek(0)
            if capture_output:
                for name in ("stdout", "stderr"):
                    captured[name] = stack.enter_context(tempfile.TemporaryFile())
                options.update(captured)
            process = stack.enter_context(self.spawn(argv, **options))
            status = process.wait(timeout)
            done = subprocess.CompletedProcess(
                process.args, status, *(_read_again(captured.get(n)) for n in ("stdout", "stderr"))
            )
        if check:
            done.check_returncode()
        return done

    # ---- edits ----

    def put(
        self,
        path: Path,
        data: Union[bytes, bytearray, memoryview, IO[bytes]],
        *,
        mode: Optional[int] = None,
        owner: Optional[Tuple[int, int]] = None,
        mtime_ns: Optional[int] = None,
        xattrs: Optional[Xattrs] = None,
    ) -> None:
        """The file `path` has this content: bytes, or what is read from a binary file, from where it
        stands to its end. Made, or replaced.

        >>> with store.transaction("site", workspace="none") as tx:
        ...     tx.mkdir("bin")
        ...     tx.put("bin/tool", b"#!/bin/sh\\n", mode=0o755)
        ...     tx.symlink("tool", "bin/tool")
        ...     tx.rename("index.html", "start.html")
        ...     tx.remove("css")
        >>> [str(change) for change in store["site"].diff()]
        ['A bin', 'A bin/tool', 'D css', 'D css/style.css', 'D index.html', 'A start.html', 'A tool']
        """
        metadata = _metadata(mode, owner, mtime_ns, xattrs)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            fd = _descriptor(data)
            if fd is not None:
                self._call_long(None, "pleach_tx_put_fd", encode(path), fd, metadata).checked()
                return
            data = data.read()
        content = bytes(data)
        self._call("pleach_tx_put", encode(path), content, len(content), metadata).checked()

    def mkdir(
        self,
        path: Path,
        *,
        mode: Optional[int] = None,
        owner: Optional[Tuple[int, int]] = None,
        mtime_ns: Optional[int] = None,
        xattrs: Optional[Xattrs] = None,
    ) -> None:
        """Makes a directory. `AlreadyExistsError`: there is something."""
        metadata = _metadata(mode, owner, mtime_ns, xattrs)
        self._call("pleach_tx_mkdir", encode(path), metadata).checked()

    def symlink(
        self,
        path: Path,
        target: Path,
        *,
        owner: Optional[Tuple[int, int]] = None,
        mtime_ns: Optional[int] = None,
        xattrs: Optional[Xattrs] = None,
    ) -> None:
        """`path` is a symlink that leads to `target`. Made, or replaced."""
        metadata = _metadata(None, owner, mtime_ns, xattrs)
        self._call("pleach_tx_symlink", encode(path), encode(target), metadata).checked()

    def link(self, path: Path, link: Path) -> None:
        """Gives the file `path` the second name `link`."""
        self._call("pleach_tx_link", encode(path), encode(link)).checked()

    def remove(self, path: Path) -> None:
        """Removes it, and all below it."""
        self._call("pleach_tx_remove", encode(path)).checked()

    def rename(self, old: Path, new: Path) -> None:
        """As `os.rename`."""
        self._call("pleach_tx_rename", encode(old), encode(new)).checked()

    def set_metadata(
        self,
        path: Path,
        *,
        mode: Optional[int] = None,
        owner: Optional[Tuple[int, int]] = None,
        mtime_ns: Optional[int] = None,
        xattrs: Optional[Xattrs] = None,
    ) -> None:
        """Sets what is given of what is there ("" is the root); `xattrs` are all that it has then."""
        metadata = _metadata(mode, owner, mtime_ns, xattrs) or byref(_abi.Metadata.new())
        self._call("pleach_tx_set_metadata", encode(path), metadata).checked()

    def __repr__(self) -> str:
        if self.closed:
            return "<Transaction closed>"
        if self._session.pid != os.getpid():
            return "<Transaction of another process>"
        info = self.info()
        return f"<Transaction {info.id} on {info.ref}@{info.base}, {info.workspace}>"


def _describe(pointer: int, struct: _abi.TxInfo) -> None:
    library().pleach_tx_describe(pointer, byref(struct))


def _read_again(file: Optional[IO[bytes]]) -> Optional[bytes]:
    if file is None:
        return None
    file.seek(0)
    return file.read()


def _descriptor(file: IO[bytes]) -> Optional[int]:
    """Of a file, at the place where its reader is; None: it is none of the system's."""
    try:
        fd = file.fileno()
    except (AttributeError, OSError):
        return None
    if file.seekable():
        os.lseek(fd, file.tell(), os.SEEK_SET)
    return fd


def _metadata(
    mode: Optional[int],
    owner: Optional[Tuple[int, int]],
    mtime_ns: Optional[int],
    xattrs: Optional[Xattrs],
) -> Any:
    """None: nothing is given."""
    struct = _abi.Metadata.new()
    if mode is not None:
        if not 0 <= mode <= 0o7777:
            raise ValueError(f"not permission bits: {mode:#o}")
        struct.set |= _abi.PLEACH_SET_MODE
        struct.mode = mode
    if owner is not None:
        if not all(0 <= number < 2**32 - 1 for number in owner):
            raise ValueError(f"not an owner and a group: {owner}")
        struct.set |= _abi.PLEACH_SET_OWNER
        struct.uid, struct.gid = owner
    if mtime_ns is not None:
        struct.set |= _abi.PLEACH_SET_MTIME
        struct.mtime_s, struct.mtime_ns = divmod(mtime_ns, 1_000_000_000)
    if xattrs is not None:
        struct.set |= _abi.PLEACH_SET_XATTRS
        struct.xattrs = _xattrs(xattrs)
        struct.n_xattrs = len(xattrs)
    return byref(struct) if struct.set else None


def _xattrs(xattrs: Xattrs) -> Any:
    array = (_abi.Xattr * max(len(xattrs), 1))()
    for item, (name, value) in zip(array, xattrs.items()):
        item.name = encode(name)
        item.value = cast(
            (c_ubyte * max(len(value), 1)).from_buffer_copy(value or b"\0"), POINTER(c_ubyte)
        )
        item.length = len(value)
    return array


def begin(
    store: Store,
    ref: bytes,
    workspace: Union[Workspace, str],
    options: Mapping[str, Any],
    progress: Optional[ProgressFunction],
) -> Transaction:
    """Of `PLAIN` the first kind that can be had here."""
    wanted = Workspace(workspace)
    kinds: Tuple[Optional[Workspace], ...] = (wanted,)
    if options.get("checkout") is not None and wanted is Workspace.PLAIN:
        kinds = (None,)  # which is plain
    elif wanted is Workspace.PLAIN:
        kinds = _PLAIN
    elif wanted is Workspace.ANY:
        kinds = (None,)
    for kind in kinds:
        struct = _abi.TxOptions.new(
            workspace=None if kind is None else kind.value.encode(), **options
        )
        try:
            return open_handle(
                store._pool,
                Transaction,
                "pleach_tx_begin",
                ref,
                byref(struct),
                is_long=True,
                progress=progress,
            )
        except UnsupportedError:
            if kind is kinds[-1]:
                raise
    raise AssertionError("no kind of workspace was tried")


def begin_options(
    *,
    create: bool,
    optimistic: bool,
    serializable: bool,
    wait: Optional[float],
    checkout: Optional[Path],
    parked: bool,
    lifetime: Optional[float],
) -> Mapping[str, Any]:
    return {
        "create": create,
        "optimistic": optimistic,
        "serializable": serializable,
        "wait_ms": milliseconds(wait),
        "checkout": encode_maybe(checkout),
        "parked": parked,
        "timeout_ms": milliseconds(lifetime),
    }
