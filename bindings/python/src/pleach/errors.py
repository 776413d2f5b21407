"""What can go wrong: `Error`, an `OSError`, and a subclass for each kind that a caller may want to
tell apart. Where Python has a class for it (`FileNotFoundError`, `PermissionError`, ...), it is that
too."""

from __future__ import annotations

import enum
import errno as _errno
import os
from typing import Any, Dict, Optional, Tuple, Type

from . import _abi
from .results import Conflict


class Code(enum.IntEnum):
    """Kinds of failure. The values are the exit statuses of the command `pleach`."""

    OK = _abi.PLEACH_OK
    FAILED = _abi.PLEACH_FAILED
    USAGE = _abi.PLEACH_USAGE
    PARTIAL = _abi.PLEACH_PARTIAL
    NOT_FOUND = _abi.PLEACH_NOT_FOUND
    BUSY = _abi.PLEACH_BUSY
    CONFLICT = _abi.PLEACH_CONFLICT
    CORRUPT = _abi.PLEACH_CORRUPT
    NO_SPACE = _abi.PLEACH_NO_SPACE
    INTERRUPTED = _abi.PLEACH_INTERRUPTED


class Error(OSError):
    """A call of libpleach failed.

    `code` tells the kind, `errno` the system's error behind it, `strerror` what failed and where,
    `hint` what to do about it (or ""), `filename` the path it is about (or None), as for any
    `OSError`.

    >>> try:
    ...     store["nothing"].head
    ... except pleach.Error as problem:
    ...     print(problem.code.name, problem.strerror)
    NOT_FOUND no ref 'nothing' in this store
    """

    code: Code
    hint: str

    def __init__(
        self,
        code: int,
        errno: int,
        message: str,
        hint: str = "",
        path: Optional[str] = None,
    ):
        if path is None:
            super().__init__(errno, message)
        else:
            super().__init__(errno, message, path)
        self.code = Code(code) if code in Code._value2member_map_ else Code.FAILED
        self.hint = hint

    @property
    def path(self) -> Optional[str]:
        """The path that it is about, as given or relative to the source; None: about none."""
        return os.fspath(self.filename) if self.filename is not None else None

    def __str__(self) -> str:
        return f"{self.strerror}\nhint: {self.hint}" if self.hint else str(self.strerror)

    def __reduce__(self) -> Tuple[Any, ...]:
        state = (int(self.code), self.errno, self.strerror, self.hint, self.filename)
        return type(self), state, self.__dict__


class UsageError(Error, ValueError):
    """An argument is not of the form asked for."""


class NotFoundError(Error, FileNotFoundError):
    """No such store, ref, generation, tag, transaction or path in a tree."""


class BusyError(Error):
    """Held by somebody else: try again later."""


class WaitTimeoutError(BusyError, TimeoutError):
    """What was waited for did not come in time."""


class ConflictError(Error):
    """The head is another than asked for, or changed what a transaction changed too: `conflicts`
    has what each side did to each path."""

    conflicts: Tuple[Conflict, ...] = ()


class CorruptError(Error):
    """Something in the store does not verify."""


class NoSpaceError(Error):
    """The disk, a quota or a file-size limit."""


class CancelledError(Error, InterruptedError):
    """Ended by `Store.cancel()`."""


class PartialError(Error):
    """Done, but for what the message names. Not raised: it is the `problem` of a result."""


class PermissionDeniedError(Error, PermissionError):
    """This user, or this file system, may not."""


class AlreadyExistsError(Error, FileExistsError):
    """Something is there already, and stays."""


class IsDirectoryError(Error, IsADirectoryError):
    """A directory, where something else was needed."""


class NotDirectoryError(Error, NotADirectoryError):
    """No directory, where one was needed."""


class MissingFileError(Error, FileNotFoundError):
    """A file or directory outside of the store is not there."""


class UnsupportedError(Error):
    """Not to be had here: from this kernel, file system, user, or version of the library."""


class ForkedError(RuntimeError):
    """The object was opened by the process that this one was forked from, and is that one's."""


_BY_CODE: Dict[int, Type[Error]] = {
    _abi.PLEACH_USAGE: UsageError,
    _abi.PLEACH_PARTIAL: PartialError,
    _abi.PLEACH_NOT_FOUND: NotFoundError,
    _abi.PLEACH_BUSY: BusyError,
    _abi.PLEACH_CONFLICT: ConflictError,
    _abi.PLEACH_CORRUPT: CorruptError,
    _abi.PLEACH_NO_SPACE: NoSpaceError,
    _abi.PLEACH_INTERRUPTED: CancelledError,
}

_BY_ERRNO: Dict[int, Type[Error]] = {
    _errno.EACCES: PermissionDeniedError,
    _errno.EPERM: PermissionDeniedError,
    _errno.EEXIST: AlreadyExistsError,
    _errno.EISDIR: IsDirectoryError,
    _errno.ENOTDIR: NotDirectoryError,
    _errno.ENOENT: MissingFileError,
    _errno.EOPNOTSUPP: UnsupportedError,
    _errno.EPROTONOSUPPORT: UnsupportedError,
}


def error_of(result: int, filled: _abi.Error) -> Error:
    """What a call with this result, negative or PLEACH_PARTIAL, has to say."""
    code = int(filled.code)
    errno = -result if result < 0 else int(filled.err)
    kind = _BY_CODE.get(code, _BY_ERRNO.get(errno, Error))
    if errno == _errno.ETIMEDOUT:
        kind = WaitTimeoutError
    message = os.fsdecode(filled.message) or os.strerror(errno)
    path = os.fsdecode(filled.path) if filled.path else None
    return kind(code, errno, message, os.fsdecode(filled.hint), path)
