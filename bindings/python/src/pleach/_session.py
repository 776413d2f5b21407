"""Handles of the library, and who may use them when.

S1  A handle of a store is used by one thread at a time: by who has borrowed its `Session` from the
    store's `Pool`. What is opened with a session (a listing, a transaction, a pin) keeps it until it
    is closed, so that things that are open at the same time never share a handle.
S2  Whatever uses a session holds its lock for one call. So an object that is shared by threads is
    safe, and two objects never wait for each other.
S3  A handle belongs to the process that opened it. In a forked child a pool begins anew, and what was
    open is refused (`ForkedError`); letting go of it there leaves the parent's as it is.
S4  A session that was cancelled is closed, and not used again.
S5  A long call of the main thread runs in a thread of its own, so that signals (Ctrl-C) are handled
    meanwhile; an exception then cancels the call, and is raised when that has ended. Progress is told
    in the thread that made the call.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import sys
import threading
import warnings
import weakref
from ctypes import byref, c_void_p
from types import TracebackType
from typing import Any, Callable, Generic, Iterator, List, Optional, Set, Type, TypeVar, Union

from . import _abi, _convert
from ._library import library
from .errors import Error, ForkedError, error_of
from .results import Progress

ProgressFunction = Callable[[Progress], object]
_T = TypeVar("_T")
_H = TypeVar("_H", bound="Handle")
_IDLE_MAX = 4  # handles that a pool keeps for the next ones


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Outcome:
    """How a call ended: its result, and what it had to say."""

    def __init__(self, result: int, error: _abi.Error):
        self.result = result
        self.error = error

    @property
    def problem(self) -> Optional[Error]:
        """Of a call that did its work in part."""
        if self.result == _abi.PLEACH_PARTIAL or self.result < 0:
            return error_of(self.result, self.error)
        return None

    def checked(self) -> int:
        if self.result < 0:
            raise error_of(self.result, self.error)
        return self.result


def call(name: str, *arguments: Any) -> Outcome:
    """Calls a function whose last parameter is the error."""
    error = _abi.Error.new()
    return Outcome(getattr(library(), name)(*arguments, byref(error)), error)


def start(worker: threading.Thread) -> None:
    """Wholly: what a handler raises in the middle leaves a thread that nobody knows. It inherits the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def call_in_thread(
    cancel: Callable[[], None],
    events: queue.SimpleQueue[Any],
    progress: Optional[ProgressFunction],
    function: Callable[[], Outcome],
) -> Outcome:
    """S5. `events` is where the call's callback puts the progress."""
    permit = [True]  # who pops it decides: the worker to begin, or its maker that it shall not

    def work() -> None:
        try:
            permit.pop()
        except IndexError:
            return
        try:
            events.put(function())
        except BaseException as problem:  # a wrong argument: raised where it was given
            events.put(problem)

    def outcome_after(tell: Optional[ProgressFunction]) -> Union[Outcome, BaseException]:
        while True:
            event = events.get()
            if isinstance(event, (Outcome, BaseException)):
                return event
            if tell:
                tell(event)

    worker = threading.Thread(target=work, name="pleach")
    try:
        start(worker)
        ended = outcome_after(progress)
    except BaseException:
        if permit:
            with contextlib.suppress(IndexError):
                permit.pop()
                raise
        cancel()
        while True:  # it ends soon; until then the handle is in use, whatever else comes
            with contextlib.suppress(BaseException):
                outcome_after(None)
                worker.join()
                break
        raise
    worker.join()  # it has told its last
    if isinstance(ended, BaseException):
        raise ended
    return ended


class Session:
    """One handle of a store, lent by a pool."""

    def __init__(self, path: Optional[bytes], pool: Optional[Pool] = None):
        pointer = c_void_p()
        self._pool = pool
        self._owner: Optional[int] = None
        self._lock = threading.Lock()
        self.pid = os.getpid()
        self.is_cancelled = False
        self.pointer: Optional[int] = None
        call("pleach_store_open", path, byref(pointer)).checked()
        self.pointer = pointer.value

    @property
    def path(self) -> bytes:
        path: bytes = library().pleach_store_path(self.pointer)
        return path

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """S2, S3. A progress callback must not come back to what is at work."""
        if self.pid != os.getpid():
            raise ForkedError(f"opened by process {self.pid}, of which this one is a fork")
        if self._owner == threading.get_ident():
            raise RuntimeError("this is at work; not to be used by its own progress callback")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None

    def _itself(self) -> int:
        assert self.pointer is not None
        return self.pointer

    def call(
        self, name: str, *arguments: Any, handle: Optional[Callable[[], int]] = None
    ) -> Outcome:
        """`handle` is asked for the first argument while nobody else can close it; else it is the
        store."""
        with self.at_work():
            return call(name, (handle or self._itself)(), *arguments)

    def call_long(
        self,
        progress: Optional[ProgressFunction],
        name: str,
        *arguments: Any,
        handle: Optional[Callable[[], int]] = None,
    ) -> Outcome:
        """S5."""
        with self.at_work():
            first = (handle or self._itself)()
            if progress is None and not _is_main_thread():
                return call(name, first, *arguments)
            events: queue.SimpleQueue[Any] = queue.SimpleQueue()
            callback = _abi.PROGRESS_FN(lambda told, _: events.put(_convert.progress(told[0])))
            if progress is not None:
                library().pleach_store_set_progress(self.pointer, callback, None)
            try:
                return call_in_thread(
                    self.cancel, events, progress, lambda: call(name, first, *arguments)
                )
            finally:
                library().pleach_store_set_progress(self.pointer, _abi.PROGRESS_FN(0), None)

    def cancel(self) -> None:
        """From any thread."""
        self.is_cancelled = True
        library().pleach_store_cancel(self.pointer)

    def give_back(self) -> None:
        if self._pool is not None:
            self._pool.take_back(self)

    def close(self) -> None:
        """By its pool, which knows that nobody uses it."""
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            library().pleach_store_close(pointer)

    @property
    def is_abandoned(self) -> bool:
        """In a forked child, and some thread of the parent was at work with it: not to be touched."""
        return self.pid != os.getpid() and self._lock.locked()


class Pool:
    """The handles of one store, in one process (S1, S3)."""

    def __init__(self, path: Optional[bytes], first: Optional[Session] = None):
        self.pid = os.getpid()
        self._lock = threading.RLock()  # __del__ may come back to it in the same thread
        self._idle: List[Session] = []
        self._lent: Set[Session] = set()
        self._is_closed = False
        if first is None:
            first = Session(path, self)
        self.path = first.path
        self._idle.append(first)

    def forked(self) -> Pool:
        """For a child: its own handles. The inherited ones that were idle are let go."""
        fresh = Pool(self.path)
        for session in self._idle:
            if not session.is_abandoned:
                session.close()
        self._idle = []
        return fresh

    def borrow(self) -> Session:
        with self._lock:
            if self._is_closed:
                raise ValueError("the store is closed")
            session = self._idle.pop() if self._idle else None
            if session is not None:
                self._lent.add(session)
                return session
        session = Session(self.path, self)
        with self._lock:
            self._lent.add(session)
        return session

    def take_back(self, session: Session) -> None:
        with self._lock:
            self._lent.discard(session)
            is_kept = (
                not session.is_cancelled
                and not self._is_closed
                and self.pid == os.getpid()
                and len(self._idle) < _IDLE_MAX
            )
            if is_kept:
                self._idle.append(session)
            elif not session.is_abandoned:
                session.close()

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        session = self.borrow()
        try:
            yield session
        finally:
            self.take_back(session)

    def cancel(self) -> None:
        """What is at work now; the lock keeps handles from being closed meanwhile."""
        with self._lock:
            for session in self._lent:
                session.cancel()

    def close(self) -> None:
        """What is still open of the store stays usable, and ends with its own close."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            for session in idle:
                session.close()

    @property
    def is_closed(self) -> bool:
        return self._is_closed


class Handle:
    """Something of the library that is open. Closed by `close()`, at the end of a `with`, or, with a
    ResourceWarning where that matters, when nobody has it any more."""

    _close_name = ""  # void f(handle)
    _warns = True

    def __init__(self, session: Session, pointer: int, owns_session: bool = True):
        self._session = session
        self._pointer: Optional[int] = pointer
        self._owns_session = owns_session
        self._children: weakref.WeakSet[Handle] = weakref.WeakSet()

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def _alive(self) -> int:
        if self._pointer is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        if self._session.pid != os.getpid():
            raise ForkedError(
                f"this {type(self).__name__} was opened by process {self._session.pid}, of which this "
                "one is a fork: open one here"
            )
        return self._pointer

    def _call(self, name: str, *arguments: Any) -> Outcome:
        return self._session.call(name, *arguments, handle=self._alive)

    def _call_long(
        self, progress: Optional[ProgressFunction], name: str, *arguments: Any
    ) -> Outcome:
        return self._session.call_long(progress, name, *arguments, handle=self._alive)

    def _ask(self, name: str, *arguments: Any) -> Any:
        """A function that cannot fail."""
        self._alive()
        with self._session.at_work():
            return getattr(library(), name)(self._alive(), *arguments)

    def close(self) -> None:
        """Ends it. Closing what is closed does nothing."""
        for child in list(self._children):
            child.close()
        if self._session.pid != os.getpid():  # S3
            pointer, self._pointer = self._pointer, None
            if pointer and not self._session.is_abandoned:
                self._close_pointer(pointer)
            return
        with self._session.at_work():
            pointer, self._pointer = self._pointer, None
            if pointer is None:
                return
            try:
                self._close_pointer(pointer)
            finally:
                if self._owns_session:
                    self._session.give_back()

    def _close_pointer(self, pointer: int) -> None:
        getattr(library(), self._close_name)(pointer)

    def __enter__(self: _H) -> _H:
        self._alive()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        problem: Optional[BaseException] = None,
        traceback: Optional[TracebackType] = None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is None or sys.is_finalizing():
            return
        if self._warns and self._session.pid == os.getpid():
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self)
        with contextlib.suppress(Error, RuntimeError):
            self.close()


class Listing(Handle, Generic[_T]):
    """What a list has, one after the other. It may be left before its end; `close()` or the end of a
    `with` lets go of it at once."""

    _warns = False

    def __init__(
        self,
        session: Session,
        pointer: int,
        owns_session: bool,
        functions: str,
        struct: Type[_abi.Sized],
        convert: Callable[[Any], _T],
    ):
        super().__init__(session, pointer, owns_session)
        self._close_name = functions + "_close"
        self._next_name = functions + "_next"
        self._item = struct.new()
        self._convert = convert

    def __iter__(self) -> Listing[_T]:
        return self

    def __next__(self) -> _T:
        if self._pointer is None:
            raise StopIteration
        with self._session.at_work():
            if self._pointer is None:  # another thread had the last one
                raise StopIteration
            found = call(self._next_name, self._alive(), byref(self._item)).checked()
            item = self._convert(self._item) if found else None
        if item is None:
            self.close()
            raise StopIteration
        return item

    def __repr__(self) -> str:
        return f"<{self._close_name.rpartition('_')[0]} {'closed' if self.closed else 'open'}>"


def open_handle(
    pool: Pool,
    make: Callable[[Session, int], _H],
    name: str,
    *arguments: Any,
    is_long: bool = False,
    progress: Optional[ProgressFunction] = None,
) -> _H:
    """By a function that begins with the store and ends in (..., handle **, error *)."""
    session = pool.borrow()
    pointer = c_void_p()
    try:
        if is_long:
            session.call_long(progress, name, *arguments, byref(pointer)).checked()
        else:
            session.call(name, *arguments, byref(pointer)).checked()
        assert pointer.value is not None
        return make(session, pointer.value)
    except BaseException:
        if pointer.value is not None:  # an exception came while the call succeeded
            make(session, pointer.value).close()
        else:
            session.give_back()
        raise


def listing(
    pool: Pool,
    functions: str,
    struct: Type[_abi.Sized],
    convert: Callable[[Any], _T],
    *arguments: Any,
    is_long: bool = False,
    progress: Optional[ProgressFunction] = None,
) -> Listing[_T]:
    """Opens the list that `functions`_open, _next and _close are about."""

    def make(session: Session, pointer: int) -> Listing[_T]:
        return Listing(session, pointer, True, functions, struct, convert)

    return open_handle(
        pool, make, functions + "_open", *arguments, is_long=is_long, progress=progress
    )


def report(pointer: c_void_p) -> tuple[Any, ...]:
    """What a report lists, which is closed."""
    found = []
    struct = _abi.Finding.new()
    try:
        while pointer.value is not None:
            if not call("pleach_report_next", pointer, byref(struct)).checked():
                break
            found.append(_convert.finding(struct))
    finally:
        library().pleach_report_close(pointer)
    return tuple(found)


def string_taken(pointer: c_void_p) -> bytes:
    """A string that is the caller's, freed."""
    assert pointer.value is not None
    try:
        return ctypes.string_at(pointer.value)
    finally:
        library().pleach_free(pointer)
