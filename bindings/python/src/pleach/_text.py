"""Python's values as the library takes them, and back."""

from __future__ import annotations

import ctypes
import datetime
import os
from ctypes import c_char_p
from typing import Any, Iterable, Mapping, Optional, Tuple, Union

Text = Union[str, bytes]
Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def encode(value: Path) -> bytes:
    """The bytes of a name, path or text. A NUL would end it early: it is refused."""
    data = os.fsencode(value)
    if b"\0" in data:
        raise ValueError("embedded null byte")
    return data


def encode_maybe(value: Optional[Path]) -> Optional[bytes]:
    return None if value is None else encode(value)


def decode(data: Optional[bytes]) -> str:
    return "" if data is None else os.fsdecode(data)


def decode_maybe(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else os.fsdecode(data)


def strings(values: Optional[Iterable[Path]]) -> Any:
    """A list ended by NULL; None: NULL itself. A single text is no list of texts."""
    if values is None:
        return None
    if isinstance(values, (str, bytes)):
        raise TypeError("a list of texts is needed, not one text")
    encoded = [encode(value) for value in values]
    return (c_char_p * (len(encoded) + 1))(*encoded, None)


def pairs(values: Optional[Mapping[str, Text]]) -> Any:
    """A list of "KEY=VALUE"."""
    if values is None:
        return None
    for key in values:
        if "=" in key or not key:
            raise ValueError(f"not a key: {key!r}")
    return strings([encode(key) + b"=" + encode(value) for key, value in values.items()])


def listed(list_pointer: Any) -> Tuple[str, ...]:
    """The other way: what a list ended by NULL has."""
    found = []
    index = 0
    while list_pointer and list_pointer[index] is not None:
        found.append(os.fsdecode(list_pointer[index]))
        index += 1
    return tuple(found)


def milliseconds(seconds: Optional[float]) -> int:
    """None: -1, for ever. What is more than nothing is at least one."""
    if seconds is None:
        return -1
    if not 0 <= seconds < 2**53:
        raise ValueError(f"not a duration: {seconds!r}")
    return max(int(seconds * 1000), 1) if seconds > 0 else 0


def nanoseconds(seconds: int, rest: int) -> int:
    return int(seconds) * 1_000_000_000 + int(rest)


def moment(seconds: int, rest: int = 0) -> datetime.datetime:
    """UTC, in whole microseconds. What the calendar does not reach is its end."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        return epoch + datetime.timedelta(seconds=int(seconds), microseconds=int(rest) // 1000)
    except OverflowError:
        end = datetime.datetime.max if seconds > 0 else datetime.datetime.min
        return end.replace(tzinfo=datetime.timezone.utc)


def pointer_bytes(pointer: Any, length: int) -> bytes:
    return ctypes.string_at(pointer, length) if length else b""
