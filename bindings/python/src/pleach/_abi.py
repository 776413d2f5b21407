"""The ABI of libpleach as ctypes has it: constants, structs, functions. Nothing else is in here.

It says again what `include/pleach.h` says, since a program has no header at run time. So that the
two cannot differ, `tests/test_abi.py` compares every name, value, size, offset and parameter of this
file with the header, by a C program and by its text, and fails for what one has and the other lacks.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    c_char,
    c_char_p,
    c_int,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_ubyte,
    c_uint,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, ClassVar, Dict, Mapping, Tuple, Type, TypeVar

SONAME = "libpleach.so.0"

# ---- constants ----

PLEACH_VERSION_MAJOR = 0
PLEACH_VERSION_MINOR = 1
PLEACH_VERSION_PATCH = 0

PLEACH_OK = 0
PLEACH_FAILED = 1
PLEACH_USAGE = 2
PLEACH_PARTIAL = 3
PLEACH_NOT_FOUND = 10
PLEACH_BUSY = 11
PLEACH_CONFLICT = 12
PLEACH_CORRUPT = 13
PLEACH_NO_SPACE = 14
PLEACH_INTERRUPTED = 130

PLEACH_REF_MAX = 100
PLEACH_HEX_MAX = 64
PLEACH_NO_OWNER = 0xFFFFFFFF

PLEACH_SOURCE_DIR = 0
PLEACH_SOURCE_REV = 1

PLEACH_CLASH_ERROR = 0
PLEACH_CLASH_FIRST = 1
PLEACH_CLASH_LAST = 2

PLEACH_FILE = ord("f")
PLEACH_DIR = ord("d")
PLEACH_SYMLINK = ord("l")
PLEACH_FIFO = ord("p")
PLEACH_SOCKET = ord("s")
PLEACH_CHAR = ord("c")
PLEACH_BLOCK = ord("b")

PLEACH_PROCESS_EXITED = 1
PLEACH_PROCESS_SIGNALED = 2
PLEACH_PROCESS_STOPPED = 3
PLEACH_PROCESS_NO_EXEC = 4

PLEACH_SET_MODE = 1
PLEACH_SET_OWNER = 2
PLEACH_SET_MTIME = 4
PLEACH_SET_XATTRS = 8

# ---- structs ----

_S = TypeVar("_S", bound="Sized")
_hex = c_char * (PLEACH_HEX_MAX + 1)
_strings = POINTER(c_char_p)  # ended by NULL


class Sized(ctypes.Structure):
    """A struct that begins with its size, so that library and caller may be of different age."""

    _defaults_: ClassVar[Mapping[str, Any]] = {}  # what the INIT macro has, where it is not 0

    @classmethod
    def new(cls: Type[_S], **values: Any) -> _S:
        """As the INIT macro makes it, but for `values`."""
        struct = cls(size=ctypes.sizeof(cls))
        for name, value in {**cls._defaults_, **values}.items():
            setattr(struct, name, value)
        return struct


class Error(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("code", c_uint),
        ("err", c_int),
        ("message", c_char * 3072),
        ("hint", c_char * 1024),
        ("path", c_char * 4096),
    ]


class InitOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("metadata", c_char_p),
        ("share", c_char_p),
        ("hash", c_char_p),
        ("force", c_int),
    ]


class Progress(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("phase", c_char_p),
        ("done", c_uint64),
        ("total", c_uint64),
        ("done_bytes", c_uint64),
    ]


PROGRESS_FN = ctypes.CFUNCTYPE(None, POINTER(Progress), c_void_p)


class Revision(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("ref", c_char * (PLEACH_REF_MAX + 1)),
        ("generation", c_uint64),
        ("tree", _hex),
        ("path", c_char_p),
        ("is_head", c_int),
    ]


class Source(ctypes.Structure):
    _fields_ = [("kind", c_uint), ("spec", c_char_p), ("prefix", c_char_p)]


class PublishOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("message", c_char_p),
        ("meta", _strings),
        ("exclude", _strings),
        ("on_clash", c_uint),
        ("if_head", c_int64),
        ("dry_run", c_int),
        ("jobs", c_uint),
        ("metadata", c_char_p),
    ]
    _defaults_ = {"if_head": -1}


class PublishResult(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("generation", c_uint64),
        ("parent", c_uint64),
        ("tree", _hex),
        ("added", c_uint64),
        ("modified", c_uint64),
        ("removed", c_uint64),
        ("bytes_new", c_uint64),
        ("unchanged", c_int),
        ("escaping", c_uint64),
        ("first_escaping", c_char * 1024),
    ]


class Generation(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("number", c_uint64),
        ("parent", c_uint64),
        ("tree", _hex),
        ("time_s", c_int64),
        ("time_ns", c_uint32),
        ("kind", c_char_p),
        ("uid", c_uint32),
        ("user", c_char_p),
        ("host", c_char_p),
        ("message", c_char_p),
        ("meta", _strings),
        ("added", c_uint64),
        ("modified", c_uint64),
        ("removed", c_uint64),
        ("bytes_new", c_uint64),
        ("tags", _strings),
        ("is_dropped", c_int),
    ]


class LogOptions(Sized):
    _fields_ = [("size", c_size_t), ("reverse", c_int), ("paths", _strings)]


class Xattr(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", POINTER(c_ubyte)), ("length", c_size_t)]


class Entry(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("type", c_uint),
        ("mode", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("mtime_s", c_int64),
        ("mtime_ns", c_uint32),
        ("file_size", c_uint64),
        ("target", c_char_p),
        ("rdev_major", c_uint32),
        ("rdev_minor", c_uint32),
        ("links", c_uint64),
        ("xattrs", POINTER(Xattr)),
        ("n_xattrs", c_size_t),
        ("id", _hex),
        ("content", _hex),
    ]
    _defaults_ = {"type": PLEACH_FILE}


class Change(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("change", c_char),
        ("before", POINTER(Entry)),
        ("after", POINTER(Entry)),
    ]


class DiffOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("directory", c_char_p),
        ("paths", _strings),
        ("exclude", _strings),
    ]


class RefStatus(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("head", c_uint64),
        ("tree", _hex),
        ("time_s", c_int64),
        ("time_ns", c_uint32),
        ("public_path", c_char_p),
        ("public_state", c_char_p),
        ("generations_kept", c_uint64),
        ("generations_placed", c_uint64),
        ("pinned", c_uint64),
        ("queued", c_uint64),
        ("tags", _strings),
        ("attached", _strings),
        ("damaged", _strings),
    ]


class DuGeneration(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("ref", c_char_p),
        ("generation", c_uint64),
        ("tree", _hex),
        ("objects", c_uint64),
        ("nodes", c_uint64),
        ("bytes", c_uint64),
        ("disk", c_uint64),
        ("shared", c_uint64),
        ("alone", c_uint64),
        ("is_head", c_int),
        ("is_placed", c_int),
        ("is_held", c_int),
    ]


class DuTotals(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("total", c_uint64),
        ("objects", c_uint64),
        ("nodes", c_uint64),
        ("directories", c_uint64),
        ("copies", c_uint64),
        ("trash", c_uint64),
        ("transactions", c_uint64),
        ("cache", c_uint64),
        ("other", c_uint64),
        ("beside", c_uint64),
        ("unneeded", c_uint64),
        ("n_objects", c_uint64),
        ("n_nodes", c_uint64),
        ("n_trees", c_uint64),
        ("n_placed", c_uint64),
        ("unread", c_uint64),
        ("damaged", c_uint64),
    ]


class Leftover(Sized):
    _fields_ = [("size", c_size_t), ("kind", c_char_p), ("id", c_char_p), ("what", c_char_p)]


class Tag(Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("generation", c_uint64)]


class Setting(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("key", c_char_p),
        ("value", c_char_p),
        ("where", c_char_p),
        ("meaning", c_char_p),
    ]


class Hurt(ctypes.Structure):
    _fields_ = [("ref", c_char_p), ("path", c_char_p), ("generation", c_uint64)]


class Finding(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("kind", c_char_p),
        ("path", c_char_p),
        ("message", c_char_p),
        ("ref", c_char_p),
        ("generation", c_uint64),
        ("is_fault", c_int),
        ("id", c_char_p),
        ("hurts", POINTER(Hurt)),
        ("n_hurts", c_size_t),
        ("hurts_left_out", c_uint64),
        ("is_mended", c_int),
    ]


class CheckOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("quick", c_int),
        ("refs", _strings),
        ("jobs", c_uint),
        ("repair", c_int),
        ("from", c_char_p),
    ]


class CheckCounts(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("objects", c_uint64),
        ("nodes", c_uint64),
        ("records", c_uint64),
        ("trees", c_uint64),
        ("placed", c_uint64),
        ("bytes", c_uint64),
        ("faults", c_uint64),
        ("unverified", c_uint64),
        ("mended", c_uint64),
    ]


class CheckoutOptions(Sized):
    _fields_ = [("size", c_size_t), ("update", c_int), ("delete_others", c_int)]


class DedupOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("how", c_char_p),
        ("match", c_char_p),
        ("dry_run", c_int),
        ("cancel", POINTER(c_int)),
        ("progress", PROGRESS_FN),
        ("progress_userdata", c_void_p),
        ("index", c_char_p),
        ("layout", c_char_p),
    ]


class DedupResult(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("files", c_uint64),
        ("bytes", c_uint64),
        ("bytes_read", c_uint64),
        ("linked", c_uint64),
        ("reflinked", c_uint64),
        ("bytes_saved", c_uint64),
        ("left_alone", c_uint64),
        ("failed", c_uint64),
        ("indexed", c_uint64),
    ]


class DropOptions(Sized):
    _fields_ = [("size", c_size_t), ("dry_run", c_int), ("force", c_int), ("now", c_int)]


class DropResult(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("generations", c_uint64),
        ("trees", c_uint64),
        ("bytes", c_uint64),
    ]


class GcOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("dry_run", c_int),
        ("max_time_ms", c_int64),
        ("room", c_uint64),
        ("automatic", c_int),
    ]
    _defaults_ = {"max_time_ms": -1}


class GcResult(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("generations", c_uint64),
        ("trees", c_uint64),
        ("objects", c_uint64),
        ("nodes", c_uint64),
        ("bytes", c_uint64),
        ("kept_objects", c_uint64),
        ("kept_nodes", c_uint64),
        ("put_back", c_uint64),
        ("busy_refs", c_uint64),
        ("is_complete", c_int),
        ("store_size", c_uint64),
        ("over", c_uint64),
    ]


class TxOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("create", c_int),
        ("optimistic", c_int),
        ("serializable", c_int),
        ("wait_ms", c_int64),
        ("workspace", c_char_p),
        ("checkout", c_char_p),
        ("parked", c_int),
        ("timeout_ms", c_int64),
    ]
    _defaults_ = {"wait_ms": -1, "timeout_ms": -1}


class TxInfo(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("id", c_char_p),
        ("ref", c_char_p),
        ("base", c_uint64),
        ("base_tree", _hex),
        ("workspace", c_char_p),
        ("path", c_char_p),
        ("public_path", c_char_p),
        ("is_parked", c_int),
        ("is_optimistic", c_int),
        ("is_serializable", c_int),
        ("expires_s", c_int64),
        ("passed_over", _strings),
    ]


class CommitOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("message", c_char_p),
        ("meta", _strings),
        ("is_resolved", c_int),
    ]


class Conflict(Sized):
    _fields_ = [("size", c_size_t), ("path", c_char_p), ("head", c_char_p), ("tx", c_char_p)]


class TxStatus(Sized):
    _fields_ = [("size", c_size_t), ("info", TxInfo), ("state", c_char_p)]

    @classmethod
    def new(cls, **values: Any) -> TxStatus:
        return super().new(info=TxInfo.new(), **values)


class SpawnOptions(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("directory", c_char_p),
        ("env", _strings),
        ("stdio", c_int * 3),
    ]
    _defaults_ = {"stdio": (-1, -1, -1)}


class ProcessEvent(Sized):
    _fields_ = [("size", c_size_t), ("what", c_uint), ("value", c_int)]
    _defaults_ = {"what": PLEACH_PROCESS_EXITED}


class Metadata(Sized):
    _fields_ = [
        ("size", c_size_t),
        ("set", c_uint),
        ("mode", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("mtime_s", c_int64),
        ("mtime_ns", c_uint32),
        ("xattrs", POINTER(Xattr)),
        ("n_xattrs", c_size_t),
    ]


# The structs by the names that they have in C.
STRUCTS: Dict[str, Type[ctypes.Structure]] = {
    "pleach_error": Error,
    "pleach_init_options": InitOptions,
    "pleach_progress": Progress,
    "pleach_revision": Revision,
    "pleach_source": Source,
    "pleach_publish_options": PublishOptions,
    "pleach_publish_result": PublishResult,
    "pleach_generation": Generation,
    "pleach_log_options": LogOptions,
    "pleach_xattr": Xattr,
    "pleach_entry": Entry,
    "pleach_change": Change,
    "pleach_diff_options": DiffOptions,
    "pleach_ref_status": RefStatus,
    "pleach_du_generation": DuGeneration,
    "pleach_du_totals": DuTotals,
    "pleach_leftover": Leftover,
    "pleach_tag": Tag,
    "pleach_setting": Setting,
    "pleach_hurt": Hurt,
    "pleach_finding": Finding,
    "pleach_check_options": CheckOptions,
    "pleach_check_counts": CheckCounts,
    "pleach_checkout_options": CheckoutOptions,
    "pleach_dedup_options": DedupOptions,
    "pleach_dedup_result": DedupResult,
    "pleach_drop_options": DropOptions,
    "pleach_drop_result": DropResult,
    "pleach_gc_options": GcOptions,
    "pleach_gc_result": GcResult,
    "pleach_tx_options": TxOptions,
    "pleach_tx_info": TxInfo,
    "pleach_commit_options": CommitOptions,
    "pleach_conflict": Conflict,
    "pleach_tx_status": TxStatus,
    "pleach_spawn_options": SpawnOptions,
    "pleach_process_event": ProcessEvent,
    "pleach_metadata": Metadata,
}

# ---- functions ----

_handle = c_void_p  # a pointer to a struct that only the library knows
_ret_handle = POINTER(c_void_p)
_error = POINTER(Error)
_text = c_char_p

# name: (result, parameters)
FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "pleach_version": (_text, ()),
    "pleach_free": (None, (c_void_p,)),
    "pleach_store_init": (c_int, (_text, POINTER(InitOptions), _error)),
    "pleach_store_open": (c_int, (_text, _ret_handle, _error)),
    "pleach_store_close": (None, (_handle,)),
    "pleach_store_path": (_text, (_handle,)),
    "pleach_store_cancel": (None, (_handle,)),
    "pleach_store_set_progress": (None, (_handle, PROGRESS_FN, c_void_p)),
    "pleach_resolve": (c_int, (_handle, _text, POINTER(Revision), _error)),
    "pleach_publish": (
        c_int,
        (
            _handle,
            _text,
            POINTER(Source),
            c_size_t,
            POINTER(PublishOptions),
            POINTER(PublishResult),
            _error,
        ),
    ),
    "pleach_rollback": (
        c_int,
        (_handle, _text, _text, POINTER(PublishOptions), POINTER(PublishResult), _error),
    ),
    "pleach_log_open": (c_int, (_handle, _text, POINTER(LogOptions), _ret_handle, _error)),
    "pleach_log_next": (c_int, (_handle, POINTER(Generation), _error)),
    "pleach_log_close": (None, (_handle,)),
    "pleach_ls_open": (c_int, (_handle, _text, c_int, _ret_handle, _error)),
    "pleach_ls_next": (c_int, (_handle, POINTER(Entry), _error)),
    "pleach_ls_close": (None, (_handle,)),
    "pleach_file_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_file_read": (c_ssize_t, (_handle, c_void_p, c_size_t, _error)),
    "pleach_file_close": (None, (_handle,)),
    "pleach_diff_open": (
        c_int,
        (_handle, _text, _text, POINTER(DiffOptions), _ret_handle, _error),
    ),
    "pleach_diff_next": (c_int, (_handle, POINTER(Change), _error)),
    "pleach_diff_close": (None, (_handle,)),
    "pleach_path": (c_int, (_handle, _text, POINTER(c_void_p), _error)),
    "pleach_wait": (c_int, (_handle, _text, c_int64, c_int64, POINTER(c_uint64), _error)),
    "pleach_refs_open": (c_int, (_handle, _ret_handle, _error)),
    "pleach_refs_next": (c_int, (_handle, POINTER(RefStatus), _error)),
    "pleach_refs_close": (None, (_handle,)),
    "pleach_du_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_du_next": (c_int, (_handle, POINTER(DuGeneration), _error)),
    "pleach_du_sum": (None, (_handle, POINTER(DuTotals))),
    "pleach_du_close": (None, (_handle,)),
    "pleach_leftovers_open": (c_int, (_handle, _ret_handle, _error)),
    "pleach_leftovers_next": (c_int, (_handle, POINTER(Leftover), _error)),
    "pleach_leftovers_close": (None, (_handle,)),
    "pleach_leftover_size": (c_int, (_handle, _text, POINTER(c_uint64), _error)),
    "pleach_tags_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_tags_next": (c_int, (_handle, POINTER(Tag), _error)),
    "pleach_tags_close": (None, (_handle,)),
    "pleach_tag_set": (c_int, (_handle, _text, _text, _text, c_int, _error)),
    "pleach_tag_delete": (c_int, (_handle, _text, _text, _error)),
    "pleach_pin_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_pin_path": (_text, (_handle,)),
    "pleach_pin_revision": (None, (_handle, POINTER(Revision))),
    "pleach_pin_inherit": (c_int, (_handle, _error)),
    "pleach_pin_close": (None, (_handle,)),
    "pleach_attach": (c_int, (_handle, _text, _text, _text, _error)),
    "pleach_detach": (c_int, (_handle, _text, _error)),
    "pleach_config_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_config_next": (c_int, (_handle, POINTER(Setting), _error)),
    "pleach_config_close": (None, (_handle,)),
    "pleach_config_set": (c_int, (_handle, _text, _text, _text, _error)),
    "pleach_report_next": (c_int, (_handle, POINTER(Finding), _error)),
    "pleach_report_close": (None, (_handle,)),
    "pleach_check": (
        c_int,
        (_handle, POINTER(CheckOptions), POINTER(CheckCounts), _ret_handle, _error),
    ),
    "pleach_checkout": (
        c_int,
        (_handle, _text, _text, POINTER(CheckoutOptions), _ret_handle, _error),
    ),
    "pleach_dedup": (
        c_int,
        (_strings, POINTER(DedupOptions), POINTER(DedupResult), _ret_handle, _error),
    ),
    "pleach_drop": (c_int, (_handle, _text, POINTER(DropOptions), POINTER(DropResult), _error)),
    "pleach_gc": (c_int, (_handle, POINTER(GcOptions), POINTER(GcResult), _ret_handle, _error)),
    "pleach_why": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_tx_begin": (c_int, (_handle, _text, POINTER(TxOptions), _ret_handle, _error)),
    "pleach_tx_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_tx_close": (c_int, (_handle, _error)),
    "pleach_tx_describe": (None, (_handle, POINTER(TxInfo))),
    "pleach_tx_path": (_text, (_handle,)),
    "pleach_tx_commit": (
        c_int,
        (_handle, POINTER(CommitOptions), POINTER(PublishResult), _error),
    ),
    "pleach_tx_snapshot": (
        c_int,
        (_handle, POINTER(CommitOptions), POINTER(PublishResult), _error),
    ),
    "pleach_tx_abort": (c_int, (_handle, _error)),
    "pleach_tx_park": (c_int, (_handle, _error)),
    "pleach_tx_conflict_next": (c_int, (_handle, POINTER(Conflict))),
    "pleach_tx_diff": (c_int, (_handle, _ret_handle, _error)),
    "pleach_txs_open": (c_int, (_handle, _ret_handle, _error)),
    "pleach_txs_next": (c_int, (_handle, POINTER(TxStatus), _error)),
    "pleach_txs_close": (None, (_handle,)),
    "pleach_tx_spawn": (c_int, (_handle, _strings, POINTER(SpawnOptions), _ret_handle, _error)),
    "pleach_process_fd": (c_int, (_handle,)),
    "pleach_process_wait": (c_int, (_handle, POINTER(ProcessEvent), _error)),
    "pleach_process_signal": (c_int, (_handle, c_int, _error)),
    "pleach_process_resume": (c_int, (_handle, c_int, _error)),
    "pleach_process_close": (None, (_handle,)),
    "pleach_tx_inside": (c_int, (_handle, _text, POINTER(c_char), _error)),
    "pleach_tx_put": (
        c_int,
        (_handle, _text, c_void_p, c_size_t, POINTER(Metadata), _error),
    ),
    "pleach_tx_put_fd": (c_int, (_handle, _text, c_int, POINTER(Metadata), _error)),
    "pleach_tx_mkdir": (c_int, (_handle, _text, POINTER(Metadata), _error)),
    "pleach_tx_symlink": (c_int, (_handle, _text, _text, POINTER(Metadata), _error)),
    "pleach_tx_link": (c_int, (_handle, _text, _text, _error)),
    "pleach_tx_remove": (c_int, (_handle, _text, _error)),
    "pleach_tx_rename": (c_int, (_handle, _text, _text, _error)),
    "pleach_tx_set_metadata": (c_int, (_handle, _text, POINTER(Metadata), _error)),
    "pleach_reader_open": (c_int, (_handle, _text, _ret_handle, _error)),
    "pleach_reader_fd": (c_int, (_handle,)),
    "pleach_reader_path": (_text, (_handle,)),
    "pleach_reader_revision": (None, (_handle, POINTER(Revision))),
    "pleach_reader_close": (None, (_handle,)),
}
