"""The library's structs as the dataclasses of `results`. All is copied: nothing leads back."""

from __future__ import annotations

import os
from typing import Any, Optional, Tuple

from . import _abi
from ._text import decode, decode_maybe, listed, moment, nanoseconds, pointer_bytes
from .errors import Error
from .results import (
    Attachment,
    Change,
    ChangeKind,
    Conflict,
    DiskTotals,
    Entry,
    EntryType,
    Finding,
    GenerationUsage,
    Hurt,
    Leftover,
    Progress,
    Publication,
    RefStatus,
    Resolved,
    Setting,
    TransactionInfo,
)

_DEVICES = (EntryType.CHAR, EntryType.BLOCK)


def progress(struct: Any) -> Progress:
    return Progress(
        decode(struct.phase), int(struct.done), int(struct.total), int(struct.done_bytes)
    )


def resolved(struct: Any) -> Resolved:
    return Resolved(
        decode(struct.ref),
        int(struct.generation),
        decode(struct.tree),
        decode_maybe(struct.path),
        bool(struct.is_head),
    )


def publication(ref: str, struct: Any, problem: Optional[Error]) -> Publication:
    return Publication(
        ref=ref,
        generation=int(struct.generation),
        parent=int(struct.parent),
        tree=decode(struct.tree),
        added=int(struct.added),
        modified=int(struct.modified),
        removed=int(struct.removed),
        bytes_new=int(struct.bytes_new),
        unchanged=bool(struct.unchanged),
        escaping=int(struct.escaping),
        first_escaping=decode(struct.first_escaping) if struct.escaping else None,
        problem=problem,
    )


def _owner(number: int) -> Optional[int]:
    return None if number == _abi.PLEACH_NO_OWNER else int(number)


def entry(struct: Any) -> Entry:
    kind = EntryType(struct.type)
    device = os.makedev(struct.rdev_major, struct.rdev_minor) if kind in _DEVICES else None
    return Entry(
        path=decode(struct.path),
        type=kind,
        mode=int(struct.mode),
        uid=_owner(struct.uid),
        gid=_owner(struct.gid),
        mtime_ns=nanoseconds(struct.mtime_s, struct.mtime_ns),
        size=int(struct.file_size),
        target=decode_maybe(struct.target),
        rdev=device,
        links=int(struct.links),
        xattrs={
            decode(x.name): pointer_bytes(x.value, x.length)
            for x in struct.xattrs[: struct.n_xattrs]
        },
        id=decode(struct.id),
        content=decode(struct.content),
    )


def change(struct: Any) -> Change:
    return Change(
        path=decode(struct.path),
        kind=ChangeKind(decode(struct.change)),
        before=entry(struct.before[0]) if struct.before else None,
        after=entry(struct.after[0]) if struct.after else None,
    )


def _attachment(line: str) -> Attachment:
    rev, mode, state, path = line.split(" ", 3)
    return Attachment(rev, mode, state, path)


def _tag(line: str) -> Tuple[str, int]:
    name, _, number = line.rpartition("=")
    return name, int(number)


def ref_status(struct: Any) -> RefStatus:
    return RefStatus(
        name=decode(struct.name),
        head=int(struct.head),
        tree=decode(struct.tree),
        time=moment(struct.time_s, struct.time_ns),
        time_ns=nanoseconds(struct.time_s, struct.time_ns),
        public_path=decode(struct.public_path),
        public_state=decode(struct.public_state),
        generations_kept=int(struct.generations_kept),
        generations_placed=int(struct.generations_placed),
        pinned=int(struct.pinned),
        queued=int(struct.queued),
        tags=dict(_tag(line) for line in listed(struct.tags)),
        attached=tuple(_attachment(line) for line in listed(struct.attached)),
        damaged=tuple(listed(struct.damaged)),
    )


def generation_usage(struct: Any) -> GenerationUsage:
    return GenerationUsage(
        ref=decode(struct.ref),
        generation=int(struct.generation),
        tree=decode(struct.tree),
        objects=int(struct.objects),
        nodes=int(struct.nodes),
        bytes=int(struct.bytes),
        disk=int(struct.disk),
        shared=int(struct.shared),
        alone=int(struct.alone),
        is_head=bool(struct.is_head),
        is_placed=bool(struct.is_placed),
        is_held=bool(struct.is_held),
    )


def disk_totals(struct: Any) -> DiskTotals:
    return DiskTotals(
        total=int(struct.total),
        objects=int(struct.objects),
        nodes=int(struct.nodes),
        directories=int(struct.directories),
        copies=int(struct.copies),
        trash=int(struct.trash),
        transactions=int(struct.transactions),
        cache=int(struct.cache),
        other=int(struct.other),
        beside=int(struct.beside),
        unneeded=int(struct.unneeded),
        n_objects=int(struct.n_objects),
        n_nodes=int(struct.n_nodes),
        n_trees=int(struct.n_trees),
        n_placed=int(struct.n_placed),
        unread=int(struct.unread),
        damaged=int(struct.damaged),
    )


def leftover(struct: Any) -> Leftover:
    return Leftover(decode(struct.kind), decode(struct.id), decode(struct.what))


def setting(struct: Any) -> Setting:
    return Setting(
        decode(struct.key), decode(struct.value), decode(struct.where), decode(struct.meaning)
    )


def finding(struct: Any) -> Finding:
    return Finding(
        kind=decode(struct.kind),
        path=decode(struct.path),
        message=decode(struct.message),
        ref=decode(struct.ref),
        generation=int(struct.generation),
        is_fault=bool(struct.is_fault),
        id=decode(struct.id),
        hurts=tuple(
            Hurt(decode(hurt.ref), int(hurt.generation), decode(hurt.path))
            for hurt in struct.hurts[: struct.n_hurts]
        ),
        hurts_left_out=int(struct.hurts_left_out),
        is_mended=bool(struct.is_mended),
    )


def conflict(struct: Any) -> Conflict:
    return Conflict(decode(struct.path), decode(struct.head), decode(struct.tx))


def transaction_info(struct: Any, state: str) -> TransactionInfo:
    return TransactionInfo(
        id=decode(struct.id),
        ref=decode(struct.ref),
        base=int(struct.base),
        base_tree=decode(struct.base_tree) if struct.base else "",
        workspace=decode(struct.workspace),
        path=decode_maybe(struct.path),
        public_path=decode(struct.public_path),
        is_parked=bool(struct.is_parked),
        is_optimistic=bool(struct.is_optimistic),
        is_serializable=bool(struct.is_serializable),
        expires=moment(struct.expires_s) if struct.is_parked else None,
        passed_over=listed(struct.passed_over),
        state=state,
    )


def transaction_status(struct: Any) -> TransactionInfo:
    return transaction_info(struct.info, decode(struct.state))
