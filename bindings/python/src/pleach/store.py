"""Stores."""

from __future__ import annotations

import errno
import os
import pathlib
from ctypes import byref, c_uint64, c_void_p, create_string_buffer
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Tuple, Type, Union

from . import _abi, _convert, _session
from . import transaction as _transaction
from ._session import Listing, Pool, ProgressFunction, open_handle
from ._text import Path, Text, encode, encode_maybe, milliseconds, strings
from .config import Config
from .errors import AlreadyExistsError, ConflictError
from .process import arguments
from .ref import Ref
from .results import (
    CheckResult,
    DiskUsage,
    Finding,
    GcResult,
    Leftover,
    LeftoverSize,
    RefStatus,
    Resolved,
    TransactionInfo,
)
from .revision import Revision, Tree
from .transaction import Completed, Transaction, Workspace


class Store:
    """An open store. Threads may share it, and work side by side; in a forked child it opens itself
    anew; pickled, it is opened by its path.

    >>> with pleach.Store("store") as store:
    ...     [ref.name for ref in store]
    ['site']
    """

    def __init__(self, path: Optional[Path] = None):
        """Opens the store in the directory `path`; None: the nearest one in the working directory or
        above it. `NotFoundError`: no store there."""
        self._pool_or_parents = Pool(encode_maybe(path))
        self._path = self._pool_or_parents.path

    @classmethod
    def init(
        cls: Type[Store],
        path: Path,
        *,
        metadata: Optional[str] = None,
        share: Optional[str] = None,
        hash: Optional[str] = None,
        force: bool = False,
        exist_ok: bool = False,
    ) -> Store:
        """Makes a store in a new or empty directory, and opens it. `metadata`: "exact", "portable" or
        "canonical"; `share`: "names" or "content"; `force`: also in a directory that holds other
        things. `AlreadyExistsError`: a store is there already, and not `exist_ok`.

        >>> pleach.Store.init("another")
        Store('.../another')
        """
        options = _abi.InitOptions.new(
            metadata=encode_maybe(metadata),
            share=encode_maybe(share),
            hash=encode_maybe(hash),
            force=force,
        )
        made = _session.call("pleach_store_init", encode(path), byref(options)).checked()
        if made == 1 and not exist_ok:
            where = os.fsdecode(path)
            raise AlreadyExistsError(
                _abi.PLEACH_FAILED, errno.EEXIST, f"'{where}' is a store already", "open it", where
            )
        return cls(path)

    @property
    def _pool(self) -> Pool:
        pool = self._pool_or_parents
        if pool.is_closed:
            raise ValueError("the store is closed")
        if pool.pid != os.getpid():
            pool = self._pool_or_parents = pool.forked()
        return pool

    @property
    def path(self) -> pathlib.Path:
        """Its directory, absolute."""
        return pathlib.Path(os.fsdecode(self._path))

    @property
    def closed(self) -> bool:
        return self._pool_or_parents.is_closed

    def close(self) -> None:
        """What was opened from it stays usable until it is closed itself."""
        if self._pool_or_parents.pid == os.getpid():
            self._pool_or_parents.close()
        elif not self._pool_or_parents.is_closed:
            self._pool.close()

    def cancel(self) -> None:
        """Ends what is under way in this store, for other threads and for handlers of signals: with
        `CancelledError`, and undone unless it was past its commit point. What begins later is not
        concerned; transactions that are open can only be aborted."""
        self._pool.cancel()

    # ---- what is in it ----

    def __getitem__(self, name: Text) -> Ref:
        return Ref(self, name)

    def ref(self, name: Text) -> Ref:
        """A ref, which need not be there yet."""
        return Ref(self, name)

    def __contains__(self, name: Text) -> bool:
        return Ref(self, name).exists()

    def __iter__(self) -> Iterator[Ref]:
        """Its refs, by name."""
        return (Ref(self, status.name) for status in self.refs())

    def refs(self) -> Listing[RefStatus]:
        """Its refs as they are now, by name: heads, tags, attachments, pins.

        >>> [(ref.name, ref.head, ref.public_state) for ref in store.refs()]
        [('site', 2, 'ok')]
        """
        return _session.listing(self._pool, "pleach_refs", _abi.RefStatus, _convert.ref_status)

    def leftovers(self) -> Listing[Leftover]:
        """What is under way, what was left behind, and what recovery did of late."""
        return _session.listing(
            self._pool, "pleach_leftovers", _abi.Leftover, _convert.leftover
        )

    def leftover_size(self, id: Text) -> LeftoverSize:
        """What a transaction or a leftover takes of the disk, by its whole id.

        >>> tx = store.transaction("site", workspace="copy")
        >>> store.leftover_size(tx.id).is_more
        False
        >>> tx.close()
        """
        size = c_uint64()
        with self._pool.session() as session:
            done = session.call_long(None, "pleach_leftover_size", encode(id), byref(size))
        return LeftoverSize(is_more=done.checked() == 1, bytes=size.value)

    def revision(self, rev: Text) -> Revision:
        """Any revision, as text: `site`, `site@3`, `site@-1:css`, `tree:1a2b3c4d`. It must be there
        now.

        >>> store.revision("site@1").tree == store["site"][1].tree
        True
        """
        spec = encode(rev)
        inner = Revision(self, spec).resolve().path
        if inner is None:
            return Revision(self, spec)
        path = encode(inner)
        return Revision(self, spec[: -len(path) - 1], path)

    def resolve(self, rev: Text) -> Resolved:
        """What a revision stands for now."""
        return Revision(self, rev).resolve()

    def tree(self, rev: Text) -> Tree:
        """The tree that a revision stands for now, by its id."""
        return Revision(self, rev).tree

    @property
    def config(self) -> Config:
        """The settings of the store, which hold where a ref has none of its own."""
        return Config(self)

    # ---- other paths ----

    def attach(self, rev: Union[Revision, Text], path: Path, mode: str = "symlink") -> bool:
        """Publishes a revision at `path` too: a ref follows its head, a generation stays. `mode`:
        "symlink", "exchange" or "mount". False: it was so already."""
        spec = rev.rev_bytes if isinstance(rev, Revision) else encode(rev)
        with self._pool.session() as session:
            done = session.call_long(None, "pleach_attach", spec, encode(path), encode(mode))
        return done.checked() == 0

    def detach(self, path: Path) -> bool:
        """Takes it away again. False: what is at `path` now is not ours, and stays."""
        with self._pool.session() as session:
            return session.call_long(None, "pleach_detach", encode(path)).checked() == 0

    # ---- keeping it well ----

    def check(
        self,
        refs: Optional[Iterable[Union[Ref, Text]]] = None,
        *,
        quick: bool = False,
        jobs: int = 0,
        repair: bool = False,
        repair_from: Optional[Path] = None,
        progress: Optional[ProgressFunction] = None,
    ) -> CheckResult:
        """Verifies every byte, or only what `refs` need; `quick`: placed trees by metadata only. Faults
        are findings of the result; `raise_for_faults()` raises them.

        `repair`: what can be mended from what verifies is, also from `repair_from`, a directory or
        another store; the result is that of a check afterwards, and begins with what was mended.

        >>> store.check().is_sound
        True
        """
        if repair_from is not None and not repair:
            raise TypeError("repair_from is for repair=True")
        names = None if refs is None else [_name(ref) for ref in refs]
        options = _abi.CheckOptions.new(
            quick=quick,
            refs=strings(names),
            jobs=jobs,
            repair=repair,
            **{"from": encode_maybe(repair_from)},
        )
        counts = _abi.CheckCounts.new()
        report = c_void_p()
        with self._pool.session() as session:
            done = session.call_long(
                progress, "pleach_check", byref(options), byref(counts), byref(report)
            )
            is_answer = report.value is not None
            findings = _session.report(report)
        if not is_answer:
            done.checked()
        return CheckResult(
            objects=int(counts.objects),
            nodes=int(counts.nodes),
            records=int(counts.records),
            trees=int(counts.trees),
            placed=int(counts.placed),
            bytes=int(counts.bytes),
            faults=int(counts.faults),
            unverified=int(counts.unverified),
            mended=int(counts.mended),
            findings=findings,
            problem=done.problem,
        )

    def gc(
        self,
        *,
        dry_run: bool = False,
        max_time: Optional[float] = None,
        room: int = 0,
        automatic: bool = False,
        progress: Optional[ProgressFunction] = None,
    ) -> GcResult:
        """Drops what no setting keeps, and erases what nothing needs; in a store with a max-size also what
        was used longest ago, until it fits, with `room` for so many bytes more. `automatic`: only if
        it is worth it. Safe beside everything else.

        >>> store.gc(dry_run=True).generations
        0
        """
        options = _abi.GcOptions.new(
            dry_run=dry_run,
            max_time_ms=milliseconds(max_time),
            room=room,
            automatic=automatic,
        )
        result = _abi.GcResult.new()
        report = c_void_p()
        with self._pool.session() as session:
            done = session.call_long(
                progress, "pleach_gc", byref(options), byref(result), byref(report)
            )
            findings = _session.report(report)
        done.checked()
        return GcResult(
            generations=int(result.generations),
            trees=int(result.trees),
            objects=int(result.objects),
            nodes=int(result.nodes),
            bytes=int(result.bytes),
            kept_objects=int(result.kept_objects),
            kept_nodes=int(result.kept_nodes),
            put_back=int(result.put_back),
            busy_refs=int(result.busy_refs),
            is_complete=bool(result.is_complete),
            store_size=int(result.store_size),
            over=int(result.over),
            findings=findings,
        )

    def du(
        self,
        ref: Union[Ref, Text, None] = None,
        *,
        progress: Optional[ProgressFunction] = None,
    ) -> DiskUsage:
        """What the store takes of the disk, and what its generations (of one ref, or all) take, share and
        would free. Of a store that is at work beside it is the truth of no one moment.

        >>> [(one.generation, one.objects, one.is_head) for one in store.du().generations]
        [(1, 1, False), (2, 2, True)]
        """
        struct = _abi.DuTotals.new()
        with _session.listing(
            self._pool,
            "pleach_du",
            _abi.DuGeneration,
            _convert.generation_usage,
            None if ref is None else _name(ref),
            is_long=True,
            progress=progress,
        ) as generations:
            generations._ask("pleach_du_sum", byref(struct))
            return DiskUsage(_convert.disk_totals(struct), tuple(generations))

    def why(self, what: Union[Revision, Path]) -> Tuple[Finding, ...]:
        """Why something is not collected: a revision, or a path into `.pleach/trees`, `objects` or
        `nodes`. Nothing: the next `gc()` takes it."""
        text = what.rev_bytes if isinstance(what, Revision) else encode(what)
        report = c_void_p()
        with self._pool.session() as session:
            done = session.call_long(None, "pleach_why", text, byref(report))
            findings = _session.report(report)
        done.checked()
        return findings

    # ---- transactions ----

    def transaction(
        self,
        ref: Union[Ref, Text],
        *,
        workspace: Union[Workspace, str] = Workspace.PLAIN,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        create: bool = False,
        optimistic: bool = False,
        serializable: bool = False,
        wait: Optional[float] = None,
        checkout: Optional[Path] = None,
        parked: bool = False,
        lifetime: Optional[float] = None,
        progress: Optional[ProgressFunction] = None,
    ) -> Transaction:
        """Begins a transaction on the head of a ref; see `Transaction` for how it ends, `Workspace` for
        where it works.

        `create`: a ref that is not there begins as an empty directory. `optimistic`: run beside
        others, and merge; else they queue up, for `wait` seconds (None: as long as it takes), and
        then `BusyError`. `serializable`: what programs have read counts as well. `checkout`: work in
        this new directory. `parked`: it outlives the process, for `lifetime` seconds after each use
        (None: 7 days).
        """
        options = _transaction.begin_options(
            create=create,
            optimistic=optimistic,
            serializable=serializable,
            wait=wait,
            checkout=checkout,
            parked=parked,
            lifetime=lifetime,
        )
        tx = _transaction.begin(self, _name(ref), workspace, options, progress)
        tx.message, tx.meta = message, meta
        return tx

    def resume(
        self,
        id: Text,
        *,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
    ) -> Transaction:
        """Goes on with a parked transaction; a unique beginning of its id will do.

        >>> with store.transaction("site", parked=True) as tx:
        ...     id = tx.id
        >>> with store.resume(id) as tx:
        ...     (tx.path / "index.html").unlink()
        ...     tx.commit("without").removed
        1
        """
        tx = open_handle(self._pool, Transaction, "pleach_tx_open", encode(id), is_long=True)
        tx.message, tx.meta = message, meta
        return tx

    def transactions(self) -> Listing[TransactionInfo]:
        """Those that are open or parked, of any process."""
        return _session.listing(
            self._pool, "pleach_txs", _abi.TxStatus, _convert.transaction_status
        )

    def inside(self, ref: Union[Ref, Text]) -> Optional[str]:
        """The id of the transaction on `ref` in which this program was started, if it was."""
        buffer = create_string_buffer(32)
        with self._pool.session() as session:
            is_inside = session.call("pleach_tx_inside", _name(ref), buffer).checked()
        return os.fsdecode(buffer.value) if is_inside else None

    def run(
        self,
        ref: Union[Ref, Text],
        argv: Iterable[Path],
        *,
        workspace: Union[Workspace, str] = Workspace.ANY,
        message: Optional[Text] = None,
        meta: Optional[Mapping[str, Text]] = None,
        create: bool = False,
        optimistic: bool = False,
        serializable: bool = False,
        wait: Optional[float] = None,
        retries: int = 0,
        check: bool = False,
        **options: Any,
    ) -> Completed:
        """Runs any program as a transaction: at the ref's public path it finds a private, writable
        copy. If it ends with 0 that is published, else nothing remains. After a conflict it is run
        again, `retries` times at most. `check`, and `options`, as for `Transaction.run()`.

        >>> store.run("site", ["sed", "-i", "s/hello/bye/", "store/site/index.html"]).returncode
        0
        >>> store["site"].read_text("index.html")
        'bye\\n'
        """
        args = arguments(argv)
        for left in range(retries, -1, -1):
            tx = self.transaction(
                ref,
                workspace=workspace,
                message=message,
                meta=meta,
                create=create,
                optimistic=optimistic,
                serializable=serializable,
                wait=wait,
            )
            try:
                return _run(tx, args, check, options)
            except ConflictError:
                if left == 0:
                    raise
        raise ValueError(f"not a number of retries: {retries}")

    # ---- as a value ----

    def __enter__(self) -> Store:
        self._pool  # is it open?
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self._path,)

    def __repr__(self) -> str:
        return f"Store({os.fspath(self.path)!r})"


def _name(ref: Union[Ref, Text]) -> bytes:
    return ref.rev_bytes if isinstance(ref, Ref) else encode(ref)


def _run(
    tx: Transaction, args: List[bytes], check: bool, options: Mapping[str, Any]
) -> Completed:
    published = None
    try:
        done = tx.run(args, check=check, **options)
        if done.returncode == 0:
            published = tx.commit()
    finally:
        tx.close()
    return Completed(
        tuple(map(os.fsdecode, args)), done.returncode, published, done.stdout, done.stderr
    )

