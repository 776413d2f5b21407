"""Finds libpleach, loads it, and gives its functions their types."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
from typing import Any, Dict

from . import _abi


class LibraryNotFoundError(ImportError):
    """libpleach is not here, or is not the one that this package is for."""


class Library:
    """The functions of libpleach as attributes. Each lets go of the GIL while it runs."""

    def __init__(self, loaded: ctypes.CDLL, where: str):
        self.where = where
        self._functions: Dict[str, Any] = {}
        for name, (result, parameters) in _abi.FUNCTIONS.items():
            function = getattr(loaded, name, None)
            if function is not None:
                function.restype = result
                function.argtypes = list(parameters)
                self._functions[name] = function
        if "pleach_version" not in self._functions:
            raise LibraryNotFoundError(f"{where} is not libpleach: it has no pleach_version()")

    def __getattr__(self, name: str) -> Any:
        try:
            return self._functions[name]
        except KeyError:
            raise NotImplementedError(
                f"{self.where} is libpleach {self.version}, which has no {name}(): "
                "install a newer one"
            ) from None

    @property
    def version(self) -> str:
        return os.fsdecode(self._functions["pleach_version"]())


def _how_to_get_it() -> str:
    text = (
        f"install libpleach ('meson install' in a checkout of pleach, or the package that has "
        f"{_abi.SONAME}) and run ldconfig, or set PLEACH_LIBRARY to the path of {_abi.SONAME}"
    )
    other = ctypes.util.find_library("pleach")
    if other and other != _abi.SONAME:
        text += f"; {other} is here, but has another ABI than this package"
    return text


@functools.lru_cache(maxsize=None)
def _load(where: str) -> Library:
    try:
        return Library(ctypes.CDLL(where), where)
    except OSError as problem:
        raise LibraryNotFoundError(f"cannot load {where}: {problem}\n{_how_to_get_it()}") from None


def library() -> Library:
    """libpleach, loaded when it is first needed: what `PLEACH_LIBRARY` names, else by its soname, as
    the dynamic linker finds it. Raises `LibraryNotFoundError`, which says what to do."""
    return _load(os.environ.get("PLEACH_LIBRARY") or _abi.SONAME)
