#!/usr/bin/env python3
"""An independent reader of pleach stores, written from docs/format.md alone.

    reader.py STORE                verifies everything; a line a fault, exit 1 if there is any
    reader.py --ls STORE TREEID    a tree's entries, as `pleach ls -R --json` prints them
    reader.py --log STORE REF      a ref's generations, as `pleach log --json` prints them

It shares nothing with the C code, so that an error of one is not an error of both. It wants a
store that nobody is changing. What this user may not read is `unverified`, which is no fault.
Nothing here recurses; placed trees may be deeper than PATH_MAX, and names are any bytes.

For other tests: `verify(store)` returns the faults and what is unverified, `list_tree` and
`list_log` yield what the command prints, and each structure has a parse_ and an encode_ function.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import errno
import hashlib
import json
import os
import re
import stat
import struct
import sys
from typing import Iterator, NamedTuple, Optional

NODE_MAGIC = b"pleach node 1\n"
GROUP_MAGIC = b"pleach group 1\n"
OBJECT_MAGIC = b"pleach object 1\n"
FILTER_MAGIC = b"pleach filter 1\n"

NOBODY = 0xFFFFFFFF
BLOCK_SPLIT = 65536
MAX_XATTRS = 1048576
MAX_VALUE = 65536
MAX_TARGET = 4095
MAX_PATH = 1048576
MAX_ENTRIES = 16777216
MAX_NODE = 1 << 30
MAX_DEPTH = 65535
MAX_TEXT = 1048576
MAX_MESSAGE = 65536
CHUNK = 1 << 20

EMPTY_HASH = hashlib.sha256(b"").digest()
HEX64 = re.compile(rb"[0-9a-f]{64}\Z")
HEX24 = re.compile(rb"[0-9a-f]{24}\Z")
NUMBER = re.compile(rb"(0|[1-9][0-9]{0,19})\Z")
REF_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{9})Z\Z")

TYPES = {"f": "file", "d": "dir", "l": "symlink", "p": "fifo", "s": "socket", "c": "char",
         "b": "block"}
FORMATS = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l", stat.S_IFIFO: "p",
           stat.S_IFSOCK: "s", stat.S_IFCHR: "c", stat.S_IFBLK: "b"}


class Fault(Exception):
    """Something breaks a rule of the format."""


class NewerFormat(Fault):
    """The store is of a version that this does not read."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# Binary structures

class Meta(NamedTuple):
    mode: int
    uid: int
    gid: int
    mtime_s: int
    mtime_ns: int
    xattrs: tuple = ()  # of (name, value), sorted


class Totals(NamedTuple):
    entries: int = 0
    files: int = 0
    bytes: int = 0
    groups: int = 0
    depth: int = 0
    xattrs: int = 0
    oddities: int = 0


class Entry(NamedTuple):
    """One name of a directory; what does not apply to its kind is at its default."""
    kind: str
    name: bytes
    meta: Optional[Meta] = None  # None: a directory's is in its own node
    size: int = 0
    content: bytes = b""
    target: bytes = b""
    major: int = 0
    minor: int = 0
    node: bytes = b""
    totals: Totals = Totals()


class Node(NamedTuple):
    meta: Meta
    blocks: list
    entries: list


class Cursor:
    """Reads big-endian numbers from bytes and refuses to read past the end."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise Fault(f"cut off: {length} bytes wanted at {self.at} of {len(self.data)}")
        piece = self.data[self.at:end]
        self.at = end
        return piece

    def number(self, form: str) -> int:
        return struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0]

    def magic(self, magic: bytes) -> None:
        if self.take(len(magic)) != magic:
            raise Fault(f"does not begin with {magic!r}")

    def end(self) -> None:
        if self.at != len(self.data):
            raise Fault(f"{len(self.data) - self.at} trailing bytes")


def check_name(name: bytes) -> None:
    if not 1 <= len(name) <= 255 or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise Fault(f"{name!r} is no name")


def is_stored_xattr(name: bytes) -> bool:
    """Tells whether an extended attribute is one of those that metadata holds."""
    if name in (b"security.selinux", b"security.ima", b"security.evm",
                b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"):
        return False
    return (name.startswith((b"user.", b"trusted.", b"security."))
            or name in (b"system.posix_acl_access", b"system.posix_acl_default"))


def check_meta(meta: Meta) -> None:
    if meta.mode > 0o7777:
        raise Fault(f"mode {meta.mode:o} is more than 7777")
    if (meta.uid == NOBODY) != (meta.gid == NOBODY):
        raise Fault("of uid and gid one is recorded and one is not")
    if meta.mtime_ns >= 1000000000:
        raise Fault(f"{meta.mtime_ns} nanoseconds")
    if xattrs_length(meta) > MAX_XATTRS:
        raise Fault("xattrs are too long")
    for name, value in meta.xattrs:
        if not 1 <= len(name) <= 255 or b"\0" in name or not is_stored_xattr(name):
            raise Fault(f"{name!r} is no xattr name of a tree")
        if len(value) > MAX_VALUE:
            raise Fault(f"the value of xattr {name!r} is too long")
    check_sorted([name for name, _ in meta.xattrs], "xattrs")


def check_sorted(keys: list, what: str) -> None:
    for before, after in zip(keys, keys[1:]):
        if before >= after:
            raise Fault(f"{what} {before!r} and {after!r} are out of order")


def encode_xattrs(meta: Meta) -> bytes:
    """Returns what follows the length field."""
    return b"".join(struct.pack(">B", len(name)) + name + struct.pack(">I", len(value)) + value
                    for name, value in meta.xattrs)


def xattrs_length(meta: Meta) -> int:
    return sum(5 + len(name) + len(value) for name, value in meta.xattrs)


def encode_meta(meta: Meta) -> bytes:
    xattrs = encode_xattrs(meta)
    return struct.pack(">HIIqII", meta.mode, meta.uid, meta.gid, meta.mtime_s, meta.mtime_ns,
                       len(xattrs)) + xattrs


def parse_meta(cursor: Cursor) -> Meta:
    mode, uid, gid = cursor.number("H"), cursor.number("I"), cursor.number("I")
    mtime_s, mtime_ns = cursor.number("q"), cursor.number("I")
    length = cursor.number("I")
    if length > MAX_XATTRS:
        raise Fault("xattrs are too long")
    inner = Cursor(cursor.take(length))
    xattrs = []
    while inner.at < length:
        name = inner.take(inner.number("B"))
        xattrs.append((name, inner.take(inner.number("I"))))
    meta = Meta(mode, uid, gid, mtime_s, mtime_ns, tuple(xattrs))
    check_meta(meta)
    return meta


def apply_rule(kind: str, meta: Meta, rule: str) -> Meta:
    """Returns what a metadata rule keeps."""
    if rule == "exact":
        return meta
    if kind == "l":
        mode = 0o777
    else:
        mode = 0o755 if kind == "d" or kind == "f" and meta.mode & 0o111 else 0o644
        if rule == "canonical":
            mode &= ~0o222
    return Meta(mode, NOBODY, NOBODY, 0, 0)


def object_id(meta: Meta, size: int, content: bytes) -> bytes:
    return sha256(object_input(meta, size, content))


def object_input(meta: Meta, size: int, content: bytes) -> bytes:
    """Returns what an object's id is the hash of; content is H(content)."""
    return OBJECT_MAGIC + encode_meta(meta) + struct.pack(">Q", size) + content


def encode_body(entry: Entry) -> bytes:
    if entry.kind == "d":
        return entry.node + struct.pack(">QQQQIII", *entry.totals)
    meta = encode_meta(entry.meta)
    if entry.kind == "f":
        return meta + struct.pack(">Q", entry.size) + entry.content
    if entry.kind == "l":
        return meta + struct.pack(">H", len(entry.target)) + entry.target
    if entry.kind in "cb":
        return meta + struct.pack(">II", entry.major, entry.minor)
    return meta


def encode_entry(entry: Entry) -> bytes:
    return (entry.kind.encode() + struct.pack(">B", len(entry.name)) + entry.name
            + encode_body(entry))


def parse_entry(cursor: Cursor) -> Entry:
    kind = cursor.take(1)
    name = cursor.take(cursor.number("B"))
    check_name(name)
    if kind == b"d":
        node = cursor.take(32)
        totals = Totals(*struct.unpack(">QQQQIII", cursor.take(44)))
        if totals.oddities & ~7:
            raise Fault(f"entry {name!r}: unknown oddities {totals.oddities:#x}")
        return Entry("d", name, node=node, totals=totals)
    if kind not in (b"f", b"l", b"p", b"s", b"c", b"b"):
        raise Fault(f"entry {name!r} is of unknown kind {kind!r}")
    entry = Entry(kind.decode(), name, parse_meta(cursor))
    if kind == b"f":
        entry = entry._replace(size=cursor.number("Q"), content=cursor.take(32))
        if (entry.size == 0) != (entry.content == EMPTY_HASH):
            raise Fault(f"entry {name!r}: size {entry.size} is not what the content hash says")
    elif kind == b"l":
        entry = entry._replace(target=cursor.take(cursor.number("H")))
        if not 1 <= len(entry.target) <= MAX_TARGET or b"\0" in entry.target:
            raise Fault(f"entry {name!r} has no symlink target")
        if entry.meta.mode != 0o777:
            raise Fault(f"symlink {name!r} has mode {entry.meta.mode:o}")
    elif kind in (b"c", b"b"):
        entry = entry._replace(major=cursor.number("I"), minor=cursor.number("I"))
    return entry


def encode_node(node: Node) -> bytes:
    return b"".join([NODE_MAGIC, encode_meta(node.meta),
                     struct.pack(">I", len(node.blocks)), *node.blocks,
                     struct.pack(">I", len(node.entries)), *map(encode_entry, node.entries)])


def parse_node(data: bytes) -> Node:
    if len(data) > MAX_NODE:
        raise Fault("the node is too long")
    cursor = Cursor(data)
    cursor.magic(NODE_MAGIC)
    meta = parse_meta(cursor)
    blocks = Cursor(cursor.take(32 * cursor.number("I")))
    ids = [blocks.take(32) for _ in range(len(blocks.data) // 32)]
    count = cursor.number("I")
    if count > MAX_ENTRIES:
        raise Fault(f"{count} entries")
    entries = []
    for _ in range(count):
        entries.append(parse_entry(cursor))
    cursor.end()
    check_sorted([entry.name for entry in entries], "entries")
    return Node(meta, ids, entries)


def encode_group(group: list) -> bytes:
    return struct.pack(">I", len(group)) + b"".join(
        struct.pack(">I", len(path)) + path for path in group)


def encode_block(groups: list) -> bytes:
    return GROUP_MAGIC + struct.pack(">I", len(groups)) + b"".join(map(encode_group, groups))


def encode_blocks(groups: list) -> list:
    """Returns the blocks of a node's groups, split where the format says."""
    blocks, size = [], 0
    for group in groups:
        length = len(encode_group(group))
        if not blocks or size + length > BLOCK_SPLIT:
            blocks.append([])
            size = len(GROUP_MAGIC) + 4
        blocks[-1].append(group)
        size += length
    return [encode_block(block) for block in blocks]


def parse_block(data: bytes) -> list:
    """Returns the groups, each a list of paths."""
    if len(data) > MAX_NODE:
        raise Fault("the block is too long")
    cursor = Cursor(data)
    cursor.magic(GROUP_MAGIC)
    groups = []
    count = cursor.number("I")
    if count == 0:
        raise Fault("a block without a group")
    for _ in range(count):
        members = []
        for _ in range(cursor.number("I")):
            members.append(parse_path(cursor))
        check_group(members)
        groups.append(members)
    cursor.end()
    check_sorted([group[0] for group in groups], "groups")
    return groups


def parse_path(cursor: Cursor) -> bytes:
    length = cursor.number("I")
    if length > MAX_PATH:
        raise Fault("a path is too long")
    path = cursor.take(length)
    for name in path.split(b"/"):
        check_name(name)
    return path


def check_group(members: list) -> None:
    if len(members) < 2:
        raise Fault(f"a group of {len(members)}")
    check_sorted(members, "members")
    if all(b"/" in path for path in members):
        if len({path.split(b"/", 1)[0] for path in members}) == 1:
            raise Fault(f"the group of {members[0]!r} belongs to a deeper directory")


def odd_xattrs(meta: Meta) -> int:
    prefixes = (b"trusted.overlay.", b"user.overlay.")
    return 4 if any(name.startswith(prefixes) for name, _ in meta.xattrs) else 0


def totals_of(node: Node, n_groups: int) -> Totals:
    """Returns what the parent's entry must say of this node, taking its own entries' word."""
    entries, files, size, groups, depth = len(node.entries), 0, 0, n_groups, 0
    xattrs, oddities = xattrs_length(node.meta), odd_xattrs(node.meta)
    for entry in node.entries:
        if entry.kind == "d":
            below = entry.totals
            entries += below.entries
            files += below.files
            size += below.bytes
            groups += below.groups
            depth = max(depth, below.depth + 1)
            xattrs = max(xattrs, below.xattrs)
            oddities |= below.oddities
            continue
        xattrs = max(xattrs, xattrs_length(entry.meta))
        oddities |= odd_xattrs(entry.meta)
        if entry.kind == "f":
            files += 1
            size += entry.size
        elif entry.kind in "cb":
            oddities |= 1 if entry.major == entry.minor == 0 else 2
    return Totals(entries, files, size, groups, depth, xattrs, oddities)


def check_filter(data: bytes) -> None:
    cursor = Cursor(data)
    cursor.magic(FILTER_MAGIC)
    n_bits = cursor.number("Q")
    cursor.number("Q")
    if n_bits % 8:
        raise Fault(f"{n_bits} bits are no whole bytes")
    cursor.take(n_bits // 8)
    before = cursor.at
    if cursor.take(32) != sha256(data[:before]):
        raise Fault("the hash at its end is not that of the filter")
    cursor.end()


def parse_claims(data: bytes) -> list:
    """Returns the whole entries as (kind, id)."""
    claims = []
    for at in range(0, len(data) - 32, 33):
        if data[at:at + 1] not in (b"o", b"n", b"t"):
            raise Fault(f"a claim of kind {data[at:at + 1]!r}")
        claims.append((chr(data[at]), data[at + 1:at + 33]))
    return claims


# Texts

def escape(value: bytes) -> bytes:
    return b"".join(b"%%%02x" % byte if byte < 0x20 or byte in (0x7F, 0x25) else bytes([byte])
                    for byte in value)


def unescape(value: bytes) -> bytes:
    if re.search(rb"[\x00-\x1f\x7f]", value):
        raise Fault(f"a bare control byte in {value!r}")
    raw = re.sub(rb"%([0-9a-f]{2})", lambda match: bytes([int(match.group(1), 16)]), value)
    if escape(raw) != value:
        raise Fault(f"{value!r} is not escaped as it must be")
    return raw


def number(value: bytes, most: int = 2 ** 64 - 1) -> int:
    if not NUMBER.match(value) or int(value) > most:
        raise Fault(f"{value!r} is no number, or too large")
    return int(value)


def uid_number(value: bytes) -> int:
    return number(value, NOBODY - 1)


def hash_id(value: bytes) -> bytes:
    if not value.startswith(b"sha256:") or not HEX64.match(value[7:]):
        raise Fault(f"{value!r} is no id")
    return bytes.fromhex(value[7:].decode())


def time(value: bytes) -> str:
    match = TIME.match(value)
    try:
        datetime.datetime(*map(int, match.groups()[:6]))
    except (AttributeError, ValueError):
        raise Fault(f"{value!r} is no time") from None
    return value.decode()


def hex24(value: bytes) -> bytes:
    if not HEX24.match(value):
        raise Fault(f"{value!r} are not 24 hex digits")
    return value


def ref_name(value: bytes) -> bytes:
    if not REF_NAME.match(value) or value.endswith(b".lock") or value == b"tree":
        raise Fault(f"{value!r} is no name of a ref or tag")
    return value


def one_of(*values: bytes):
    def convert(value: bytes) -> bytes:
        if value not in values:
            raise Fault(f"{value!r} is none of {values!r}")
        return value
    return convert


def setting(value: bytes) -> tuple:
    key, space, rest = value.partition(b" ")
    if not key or not space:
        raise Fault(f"{value!r} is no setting")
    allowed = {b"share": (b"names", b"content"),
               b"metadata": (b"exact", b"portable", b"canonical")}.get(key)
    if allowed:
        one_of(*allowed)(rest)
    return key, rest


def key_value(value: bytes) -> tuple:
    key, equals, rest = value.partition(b"=")
    if not key or not equals:
        raise Fault(f"{value!r} is not KEY=VALUE")
    return key, rest


def message(value: bytes) -> bytes:
    if not 1 <= len(value) <= MAX_MESSAGE:
        raise Fault(f"a message of {len(value)} bytes")
    return value


def absolute(value: bytes) -> bytes:
    if not value.startswith(b"/") or b"\0" in value:
        raise Fault(f"{value!r} is no absolute path")
    return value


def anything(value: bytes) -> bytes:
    return value


def shown_item(value: bytes) -> dict:
    fields = value.split(b" ")
    if len(fields) != 8:
        raise Fault(f"{value!r} is no item of what is shown")
    item = dict(zip(("generation", "tree", "k", "name", "ino", "birth_s", "birth_ns", "since"), fields))
    if not re.match(rb"-\Z|\.pleach-[^/]+\Z", item["name"]):
        raise Fault(f"{item['name']!r} is no name of ours")
    for key in item:
        if key == "tree":
            item[key] = hash_id(item[key])
        elif key != "name":
            item[key] = number(item[key])
    if item["generation"] == 0:
        raise Fault("shows generation 0")
    return item


# Key, how often it stands ('1', '?' at most once, '*' any number), what reads its value.
TEXTS = {
    "store": [("hash", "1", one_of(b"sha256")), ("uid", "1", uid_number), ("set", "*", setting)],
    "settings": [("set", "*", setting)],
    "generation": [
        ("ref", "1", ref_name), ("ref-id", "1", hex24), ("generation", "1", number),
        ("parent", "1", number), ("tree", "1", hash_id),
        ("kind", "1", one_of(b"publish", b"rollback", b"run", b"merge", b"dropped")),
        ("time", "1", time), ("uid", "1", uid_number), ("user", "1", anything),
        ("host", "1", anything), ("added", "1", number), ("modified", "1", number),
        ("removed", "1", number), ("bytes-new", "1", number), ("message", "?", message),
        ("meta", "*", key_value)],
    "tag": [("ref-id", "1", hex24), ("name", "1", ref_name), ("generation", "1", number),
            ("tree", "1", hash_id), ("time", "1", time)],
    "attachment": [
        ("ref-id", "1", hex24), ("path", "1", absolute), ("mode", "1", one_of(b"symlink", b"exchange", b"mount")),
        ("generation", "1", number), ("tree", "?", hash_id), ("target", "1", anything),
        ("time", "1", time)],
    "showing": [
        ("ref-id", "1", hex24), ("path", "1", absolute), ("mode", "1", one_of(b"exchange", b"mount")),
        ("made", "1", one_of(b"0", b"1")), ("now", "?", shown_item), ("next", "?", shown_item),
        ("old", "*", shown_item)],
}


def encode_text(kind: str, pairs: list) -> bytes:
    """Returns the text of the given (key, value) pairs, values of bytes, with its sum."""
    text = b"pleach-%s 1\n" % kind.encode() + b"".join(
        key.encode() + b" " + escape(value) + b"\n" for key, value in pairs)
    return text + b"sum sha256:" + hashlib.sha256(text).hexdigest().encode() + b"\n"


def parse_text(kind: str, data: bytes) -> dict:
    """Returns each key's value, for keys of any number a list, for missing ones None."""
    if len(data) > MAX_TEXT:
        raise Fault("the text is too long")
    version = re.match(rb"pleach-%s (0|[1-9][0-9]*)\n" % kind.encode(), data)
    if not version:
        raise Fault(f"does not begin as a {kind} text")
    if version.group(1) != b"1":
        raise NewerFormat(f"is of format version {version.group(1).decode()}, this reads version 1")
    if not data.endswith(b"\n"):
        raise Fault("the last line is cut off")
    lines = data[:-1].split(b"\n")
    text = data[:-len(lines[-1]) - 1]
    if lines[-1] != b"sum sha256:" + hashlib.sha256(text).hexdigest().encode():
        raise Fault("the sum is not that of the text")
    pairs = []
    for line in lines[1:-1]:
        key, space, value = line.partition(b" ")
        if not space:
            raise Fault(f"line {line!r} has no value")
        pairs.append((key.decode("latin-1"), unescape(value)))
    record: dict = {}
    at = 0
    for key, often, convert in TEXTS[kind]:
        values = []
        while at < len(pairs) and pairs[at][0] == key and (often == "*" or not values):
            values.append(convert(pairs[at][1]))
            at += 1
        if often == "1" and not values:
            raise Fault(f"{key} is missing, or not where it must be")
        record[key] = values if often == "*" else values[0] if values else None
    if at != len(pairs):
        raise Fault(f"{pairs[at][0]} is unknown, twice, or not where it must be")
    if kind in ("store", "settings"):
        check_sorted([key for key, _ in record["set"]], "settings")
    return record


# Files

def read_regular(path: bytes, most: int) -> bytes:
    """Returns a regular file's content; what is longer than `most` is a fault."""
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode):
        raise Fault("is no regular file")
    if info.st_size > most:
        raise Fault(f"has {info.st_size} bytes, at most {most} may be")
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read(info.st_size + 1)  # not `most`: it would be allocated


def check_empty(path: bytes) -> None:
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode) or info.st_size:
        raise Fault("is no empty file")


def list_names(path) -> list:
    """Returns the sorted names in a directory, given by path or descriptor, as bytes."""
    return sorted(os.fsencode(name) for name in os.listdir(path))


def open_below(root: int, path: bytes) -> int:
    """Opens a directory by its path below another, however long the path is."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(b".", flags, dir_fd=root)
    while path:
        end = len(path) if len(path) < 4000 else path.rindex(b"/", 0, 4000)
        try:
            below = os.open(path[:end], flags, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
        path = path[end + 1:]
    return fd


def read_xattrs(fd: int, name: bytes) -> tuple:
    """Returns the extended attributes that metadata holds, of a name in a directory."""
    path = b"/proc/self/fd/%d/%s" % (fd, name)
    try:
        names = sorted(os.fsencode(xattr) for xattr in os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    return tuple((xattr, os.getxattr(path, xattr, follow_symlinks=False))
                 for xattr in names if is_stored_xattr(xattr))


def hash_file(fd: int, name: bytes) -> bytes:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    digest = hashlib.sha256()
    with os.fdopen(file, "rb", buffering=0) as stream:
        while True:
            piece = stream.read(CHUNK)
            if not piece:
                return digest.digest()
            digest.update(piece)


def meta_of(info: os.stat_result, xattrs: tuple) -> Meta:
    seconds, nanoseconds = divmod(info.st_mtime_ns, 1000000000)
    return Meta(stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, seconds, nanoseconds, xattrs)


def differences(there: Meta, wanted: Meta) -> list:
    """Returns in words what of the metadata is not as wanted."""
    found = []
    if there.mode != wanted.mode:
        found.append(f"mode {there.mode:04o}, not {wanted.mode:04o}")
    if wanted.uid != NOBODY and (there.uid, there.gid) != (wanted.uid, wanted.gid):
        found.append(f"owner {there.uid}:{there.gid}, not {wanted.uid}:{wanted.gid}")
    if (there.mtime_s, there.mtime_ns) != (wanted.mtime_s, wanted.mtime_ns):
        found.append(f"mtime {rfc3339(there)}, not {rfc3339(wanted)}")
    if there.xattrs != wanted.xattrs:
        names = {name for name, _ in set(there.xattrs) ^ set(wanted.xattrs)}
        found.append(f"other xattrs: {b' '.join(sorted(names))!r}")
    return found


# Stores

class Ref:
    """What verifying and listing need to know of a ref."""

    def __init__(self, name: bytes):
        self.name = name
        self.id: Optional[bytes] = None
        self.settings: dict = {}
        self.generations: dict = {}
        self.numbers: set = set()  # of the records that are there, readable or not
        self.dropped: set = set()
        self.tags: dict = {}

    @property
    def head(self) -> int:
        return max(self.numbers, default=0)

    @property
    def is_dropped(self) -> bool:
        last = self.generations.get(self.head)
        return last is not None and last["kind"] == b"dropped"


class Store:
    """Paths and lookups in a store; parsed nodes and blocks are kept."""

    def __init__(self, path):
        self.path = os.path.join(os.fsencode(path), b".pleach")
        self.public = os.fsencode(path)
        self.nodes: dict = {}
        self.names: dict = {}
        self.members: dict = {}

    def at(self, *names: bytes) -> bytes:
        return os.path.join(self.path, *names)

    def named(self, folder: bytes, hashed: bytes) -> bytes:
        digits = hashed.hex().encode()
        return self.at(folder, digits[:2], digits[2:])

    def load(self, hashed: bytes):
        """Returns the node, or the list of a block's groups, of that id."""
        if hashed not in self.nodes:
            data = read_regular(self.named(b"nodes", hashed), MAX_NODE)
            if sha256(data) != hashed:
                raise Fault("its content has another hash")
            is_block = data.startswith(GROUP_MAGIC)
            self.nodes[hashed] = parse_block(data) if is_block else parse_node(data)
        return self.nodes[hashed]

    def node(self, hashed: bytes) -> Node:
        node = self.load(hashed)
        if not isinstance(node, Node):
            raise Fault(f"{hashed.hex()} is a block where a node must be")
        return node

    def groups(self, node: Node) -> list:
        """Returns the groups of all of a node's blocks, verified as far as they alone go."""
        groups = []
        for hashed in node.blocks:
            block = self.load(hashed)
            if isinstance(block, Node):
                raise Fault(f"{hashed.hex()} is a node where a block must be")
            groups += block
        check_sorted([group[0] for group in groups], "groups")
        paths = [path for group in groups for path in group]
        if len(paths) != len(set(paths)):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise Fault(f"{twice!r} is in two groups")
        if [sha256(block) for block in encode_blocks(groups)] != node.blocks:
            raise Fault("the groups are not split into blocks as they must be")
        return groups

    def entry(self, hashed: bytes, name: bytes) -> Optional[Entry]:
        if hashed not in self.names:
            self.names[hashed] = {entry.name: entry for entry in self.node(hashed).entries}
        return self.names[hashed].get(name)

    def own_members(self, hashed: bytes) -> set:
        """Returns the paths that a node's own blocks name."""
        if hashed not in self.members:
            groups = self.groups(self.node(hashed))
            self.members[hashed] = {path for group in groups for path in group}
        return self.members[hashed]

    def config(self) -> dict:
        return parse_text("store", read_regular(self.at(b"config"), MAX_TEXT))


class Verifier:
    """Walks a whole store and notes every fault."""

    def __init__(self, path):
        self.store = Store(path)
        self.faults: list = []
        self.unverified: list = []
        self.settings: dict = {}
        self.refs: dict = {}
        self.objects: Optional[set] = set()
        self.broken: set = set()
        self.reached: set = set()
        self.inodes: dict = {}

    # Reports

    def fault(self, where: bytes, text: str) -> None:
        self.faults.append(f"{printable(where)}: {text}")

    @contextlib.contextmanager
    def guard(self, where: bytes):
        """Notes what goes wrong inside, under the given path."""
        try:
            yield
        except Fault as fault:
            self.fault(where, str(fault))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0:
                self.unverified.append(f"{printable(where)}: {error.strerror}")
            else:
                self.fault(where, error.strerror or str(error))

    def listing(self, path: bytes, must: bool = True) -> list:
        """Returns the names in a directory of the store but those that are leftovers."""
        with self.guard(path):
            try:
                return [name for name in list_names(path) if not name.startswith(b".")]
            except FileNotFoundError:
                if must:
                    raise
        return []

    # The whole

    def run(self) -> None:
        path = self.store.at(b"config")
        with self.guard(path):
            try:
                self.settings = dict(self.store.config()["set"])
            except NewerFormat as fault:
                self.fault(path, str(fault))
                return
        self.read_refs()
        self.check_objects()
        self.check_nodes()
        self.check_trees()
        for ref in self.refs.values():
            self.check_ref(ref)

    # Objects and nodes

    def hashed_names(self, folder: bytes) -> Iterator[bytes]:
        """Yields the ids in objects/ or nodes/; other names are faults."""
        for prefix in self.listing(self.store.at(folder)):
            path = self.store.at(folder, prefix)
            if not re.match(rb"[0-9a-f]{2}\Z", prefix):
                self.fault(path, "is no part of the layout")
                continue
            for rest in self.listing(path):
                if HEX64.match(prefix + rest):
                    yield bytes.fromhex((prefix + rest).decode())
                else:
                    self.fault(os.path.join(path, rest), "is no part of the layout")

    def check_objects(self) -> None:
        if not os.access(self.store.at(b"objects"), os.R_OK | os.X_OK):
            self.listing(self.store.at(b"objects"))
            self.objects = None
            return
        for hashed in self.hashed_names(b"objects"):
            self.objects.add(hashed)
            path = self.store.named(b"objects", hashed)
            with self.guard(path):
                self.check_object(path, hashed)

    def check_object(self, path: bytes, hashed: bytes) -> None:
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            name = os.path.basename(path)
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode):
                raise Fault("is no regular file")
            if info.st_size == 0:
                raise Fault("an empty file has no object")
            meta = meta_of(info, self.xattrs(folder, name, info))
            content = self.content(folder, name, info)
        finally:
            os.close(folder)
        ids = [object_id(owner, info.st_size, content)
               for owner in (meta, meta._replace(uid=NOBODY, gid=NOBODY))]
        if hashed not in ids:
            raise Fault("its content and metadata have another id")

    def xattrs(self, fd: int, name: bytes, info: os.stat_result) -> tuple:
        key = ("xattrs", info.st_dev, info.st_ino)
        if key not in self.inodes:
            self.inodes[key] = read_xattrs(fd, name)
        return self.inodes[key]

    def content(self, fd: int, name: bytes, info: os.stat_result) -> bytes:
        """Returns H(content); an inode is read once, wherever its names are."""
        key = ("content", info.st_dev, info.st_ino)
        if key not in self.inodes:
            self.inodes[key] = hash_file(fd, name)
        return self.inodes[key]

    def check_nodes(self) -> None:
        for hashed in self.hashed_names(b"nodes"):
            with self.guard(self.store.named(b"nodes", hashed)):
                self.store.load(hashed)
                continue
            self.broken.add(hashed)

    # Trees

    def node(self, hashed: bytes) -> Optional[Node]:
        """Returns a node, or None when it was reported already that there is none."""
        if hashed in self.broken:
            return None
        with self.guard(self.store.named(b"nodes", hashed)):
            return self.store.node(hashed)
        self.broken.add(hashed)
        return None

    def groups(self, hashed: bytes, node: Node) -> Optional[list]:
        """Returns a node's groups, or None when it was reported already that they are broken."""
        if ("groups", hashed) in self.broken:
            return None
        if not self.broken.intersection(node.blocks):
            with self.guard(self.store.named(b"nodes", hashed)):
                try:
                    return self.store.groups(node)
                except FileNotFoundError:
                    raise Fault("a block that it names is missing") from None
        self.broken.add(("groups", hashed))
        return None

    def check_tree(self, root: bytes) -> None:
        """Verifies all that a tree names. Each node is looked at once, whatever the trees."""
        stack = [root]
        while stack:
            hashed = stack.pop()
            if hashed in self.reached:
                continue
            self.reached.add(hashed)
            node = self.node(hashed)
            if node is None:
                continue
            where = self.store.named(b"nodes", hashed)
            groups = self.groups(hashed, node)
            for group in groups or []:
                with self.guard(where):
                    self.check_members(hashed, group)
            if totals_of(node, 0).depth > MAX_DEPTH:
                self.fault(where, "the tree is too deep")
            for entry in node.entries:
                if entry.kind == "d":
                    stack.append(entry.node)
                    self.check_totals(where, entry)
                elif entry.kind == "f" and entry.size and self.objects is not None:
                    wanted = object_id(entry.meta, entry.size, entry.content)
                    if wanted not in self.objects:
                        self.fault(where, f"object {wanted.hex()} of {entry.name!r} is missing")

    def check_totals(self, where: bytes, entry: Entry) -> None:
        child = self.node(entry.node)
        groups = self.groups(entry.node, child) if child else None
        if groups is None:
            return
        totals = totals_of(child, len(groups))
        if totals != entry.totals:
            self.fault(where, f"{entry.name!r} states {entry.totals}, has {totals}")

    def check_members(self, hashed: bytes, group: list) -> None:
        """Verifies that a group's members are there, alike, and in no group of a node below."""
        bodies = set()
        for path in group:
            entry = self.find(hashed, path)
            if entry is None:
                return
            if entry.kind == "d":
                raise Fault(f"the group's member {path!r} is a directory")
            bodies.add((entry.kind, encode_body(entry)))
        if len(bodies) > 1:
            raise Fault(f"the members of the group of {group[0]!r} differ")

    def find(self, hashed: bytes, path: bytes) -> Optional[Entry]:
        """Returns a member's entry, or None when a node on the way is known to be broken."""
        at = 0
        top = hashed
        while True:
            node = self.node(hashed)
            if node is None or self.groups(hashed, node) is None:
                return None
            if hashed != top and path[at:] in self.store.own_members(hashed):
                raise Fault(f"{path!r} is in two groups")
            slash = path.find(b"/", at)
            entry = self.store.entry(hashed, path[at:] if slash < 0 else path[at:slash])
            if entry is None or slash >= 0 and entry.kind != "d":
                raise Fault(f"the group's member {path!r} is not there")
            if slash < 0:
                return entry
            hashed = entry.node
            at = slash + 1

    def check_trees(self) -> None:
        shares = {ref.id: self.share(ref) for ref in self.refs.values() if ref.id}
        for digits in self.listing(self.store.at(b"trees")):
            path = self.store.at(b"trees", digits)
            if not HEX64.match(digits):
                self.fault(path, "is no part of the layout")
                continue
            root = bytes.fromhex(digits.decode())
            self.check_tree(root)
            users = self.check_users(os.path.join(path, b"users"))
            with self.guard(os.path.join(path, b"pin")):
                check_empty(os.path.join(path, b"pin"))
            holders = {shares.get(user.split(b".")[1]) for user in users if user[:1] in b"gta"}
            holders.discard(None)
            for name in self.tree_names(path):
                self.check_wrapper(os.path.join(path, name), root, holders == {b"names"})

    def tree_names(self, path: bytes) -> Iterator[bytes]:
        """Yields the numbers of a tree's placings."""
        try:
            names = list_names(path)
        except PermissionError:
            # 0711: others know a placing only from a symlink that leads to it.
            names = sorted({name for name in self.public_placings(path)})
            with self.guard(path):
                raise
        for name in names:
            if NUMBER.match(name) and name != b"0":
                yield name
            elif name not in (b"pin", b"users") and not name.startswith(b"."):
                self.fault(os.path.join(path, name), "is no part of the layout")

    def public_placings(self, path: bytes) -> Iterator[bytes]:
        for name in self.refs:
            with contextlib.suppress(OSError):
                parts = os.readlink(self.store.at(b"refs", name, b"public", b"tree")).split(b"/")
                if len(parts) == 7 and parts[4] == os.path.basename(path):
                    yield parts[5]

    def check_users(self, path: bytes) -> list:
        users = self.listing(path)
        for user in users:
            with self.guard(os.path.join(path, user)):
                parts = user.split(b".", 2)
                if parts[0] in (b"g", b"t", b"a") and len(parts) == 3:
                    hex24(parts[1])
                    if parts[0] == b"g":
                        number(parts[2])
                    elif parts[0] == b"t":
                        ref_name(parts[2])
                    elif not HEX64.match(parts[2]):
                        raise Fault("is no user")
                elif parts[0] == b"h" and len(parts) == 2:
                    hex24(parts[1])
                elif parts[0] != b"x" or len(parts) < 2 or not parts[1]:
                    raise Fault("is no user")
                check_empty(os.path.join(path, user))
        return [user for user in users if user[:2] in (b"g.", b"t.", b"a.")]

    # Placed trees

    def check_wrapper(self, path: bytes, root: bytes, by_names: bool) -> None:
        names = self.listing(path)
        for name in names:
            if name not in (b"tree", b"filter"):
                self.fault(os.path.join(path, name), "is no part of the layout")
        if b"filter" in names:
            with self.guard(os.path.join(path, b"filter")):
                check_filter(read_regular(os.path.join(path, b"filter"), MAX_NODE))
        with self.guard(path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                Placing(self, path, fd, by_names and b"filter" in names).check(root)
            finally:
                os.close(fd)

    # Refs

    def share(self, ref: Ref) -> bytes:
        settings = {**self.settings, **ref.settings}
        is_exact = settings.get(b"metadata", b"exact") == b"exact"
        return settings.get(b"share", b"names" if is_exact else b"content")

    def read_refs(self) -> None:
        for name in self.listing(self.store.at(b"refs")):
            path = self.store.at(b"refs", name)
            with self.guard(path):
                ref_name(name)
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    raise Fault("is no directory")
                self.refs[name] = Ref(name)
        for ref in self.refs.values():
            self.read_ref(ref, self.store.at(b"refs", ref.name))

    def read_ref(self, ref: Ref, path: bytes) -> None:
        """Reads and verifies all that can be verified without the trees."""
        at = os.path.join(path, b"id")
        with self.guard(at):
            data = read_regular(at, 25)
            if not data.endswith(b"\n"):
                raise Fault("does not end with a newline")
            ref.id = hex24(data[:-1])
        at = os.path.join(path, b"config")
        if os.path.lexists(at):
            with self.guard(at):
                ref.settings = dict(parse_text("settings", read_regular(at, MAX_TEXT))["set"])
        at = os.path.join(path, b"gen")
        for name in self.listing(at):
            with self.guard(os.path.join(at, name)):
                if number(name) == 0:
                    raise Fault("generations begin with 1")
                ref.numbers.add(number(name))
                ref.generations[number(name)] = parse_text(
                    "generation", read_regular(os.path.join(at, name), MAX_TEXT))
        for folder in (b"shown", b"dropped"):
            for name in self.listing(os.path.join(path, folder), must=False):
                with self.guard(os.path.join(path, folder, name)):
                    if not 1 <= number(name) <= ref.head:
                        raise Fault("there is no such generation")
                    check_empty(os.path.join(path, folder, name))
                    if folder == b"dropped":
                        ref.dropped.add(number(name))

    def check_ref(self, ref: Ref) -> None:
        path = self.store.at(b"refs", ref.name)
        self.check_chain(ref, path)
        if not ref.is_dropped:
            for n, record in ref.generations.items():
                if n not in ref.dropped and ref.id:
                    user = b"g.%s.%d" % (ref.id, n)
                    self.check_user(os.path.join(path, b"gen", b"%d" % n), record["tree"], user)
            if ref.head in ref.generations:
                self.check_public(ref)
        self.check_tags(ref, os.path.join(path, b"tags"))
        self.check_attached(ref, os.path.join(path, b"attached"))
        self.check_showing(ref, os.path.join(path, b"showing"))

    def check_chain(self, ref: Ref, path: bytes) -> None:
        before = 0
        for n in sorted(ref.numbers):
            at = os.path.join(path, b"gen", b"%d" % n)
            if n != before + 1:
                self.fault(at, f"comes after {before}: there is a hole")
            before = n
            record = ref.generations.get(n)
            if record is None:
                continue
            with self.guard(at):
                if record["generation"] != n or record["parent"] != n - 1:
                    raise Fault(f"says that it is {record['generation']} after "
                                f"{record['parent']}")
                if record["ref"] != ref.name or ref.id and record["ref-id"] != ref.id:
                    raise Fault("is of another ref")
                if record["kind"] == b"dropped":
                    parent = ref.generations.get(n - 1)
                    if n != ref.head or n == 1:
                        raise Fault("a ref is dropped by its last record, and not by its first")
                    if parent and parent["tree"] != record["tree"]:
                        raise Fault("does not have the tree of the record before")
        if ref.head in ref.dropped and not ref.is_dropped:
            self.fault(os.path.join(path, b"dropped", b"%d" % ref.head), "is the head")

    def check_user(self, where: bytes, tree: bytes, user: bytes) -> None:
        """Verifies that a tree is there and says that it has this user."""
        home = self.store.at(b"trees", tree.hex().encode())
        with self.guard(where):
            if not os.path.isdir(home):
                raise Fault(f"its tree {tree.hex()} is not there")
            try:
                os.lstat(os.path.join(home, b"users", user))
            except FileNotFoundError:
                raise Fault(f"its tree {tree.hex()} has no user {user.decode()}") from None

    def check_public(self, ref: Ref) -> None:
        tree = ref.generations[ref.head]["tree"].hex().encode()
        at = os.path.join(self.store.public, ref.name)
        with self.guard(at):
            if read_symlink(at) != b".pleach/refs/%s/public/tree" % ref.name:
                raise Fault("is not the public symlink")
        at = self.store.at(b"refs", ref.name, b"public", b"tree")
        with self.guard(at):
            target = read_symlink(at)
            match = re.match(rb"\.\./\.\./\.\./trees/%s/([1-9][0-9]*)/tree\Z" % tree, target)
            if not match:
                raise Fault(f"leads to {target!r}, the head's tree is {tree.decode()}")
            if not os.path.isdir(self.store.at(b"trees", tree, match.group(1), b"tree")):
                raise Fault(f"leads to {target!r}, which is not there")

    def check_tags(self, ref: Ref, path: bytes) -> None:
        for name in self.listing(path, must=False):
            at = os.path.join(path, name)
            with self.guard(at):
                tag = parse_text("tag", read_regular(at, MAX_TEXT))
                if tag["name"] != name or ref.id and tag["ref-id"] != ref.id:
                    raise Fault("is another tag, or of another ref")
                self.check_named_generation(ref, tag)
                ref.tags[name] = tag["generation"]
                if not ref.is_dropped:
                    self.check_user(at, tag["tree"], b"t.%s.%s" % (tag["ref-id"], name))

    def check_attached(self, ref: Ref, path: bytes) -> None:
        for name in self.listing(path, must=False):
            at = os.path.join(path, name)
            with self.guard(at):
                record = parse_text("attachment", read_regular(at, MAX_TEXT))
                if hashlib.sha256(record["path"]).hexdigest().encode() != name:
                    raise Fault("is of another path than its name says")
                if ref.id and record["ref-id"] != ref.id:
                    raise Fault("is of another ref")
                if record["mode"] != b"symlink" and record["target"]:
                    raise Fault("has a target and is no symlink")
                if (record["generation"] == 0) != (record["tree"] is None):
                    raise Fault("names a tree exactly when it names a generation")
                if record["tree"] is not None:
                    self.check_named_generation(ref, record)
                    if not ref.is_dropped:
                        user = b"a.%s.%s" % (record["ref-id"], name)
                        self.check_user(at, record["tree"], user)

    def check_showing(self, ref: Ref, path: bytes) -> None:
        for name in self.listing(path, must=False):
            at = os.path.join(path, name)
            with self.guard(at):
                record = parse_text("showing", read_regular(at, MAX_TEXT))
                if hashlib.sha256(record["path"]).hexdigest().encode() != name:
                    raise Fault("is of another path than its name says")
                if ref.id and record["ref-id"] != ref.id:
                    raise Fault("is of another ref")
                items = [record["now"], record["next"], *record["old"]]
                for item in items:
                    if item and not ref.is_dropped:
                        user = b"a.%s.%s" % (record["ref-id"], name)
                        self.check_user(at, item["tree"], user)

    def check_named_generation(self, ref: Ref, record: dict) -> None:
        n = record["generation"]
        if not 1 <= n <= ref.head:
            raise Fault(f"names generation {n}, which is not there")
        if n in ref.generations and ref.generations[n]["tree"] != record["tree"]:
            raise Fault(f"its tree is not that of generation {n}")


class Placing:
    """Compares one placed tree with the nodes."""

    def __init__(self, verifier: Verifier, path: bytes, wrapper: int, by_names: bool):
        self.verifier = verifier
        self.path = path
        self.wrapper = wrapper
        self.by_names = by_names
        self.inodes: dict = {}  # (device, inode) -> paths
        self.inode_of: dict = {}
        self.bodies: dict = {}
        self.group_of: dict = {}
        self.has_all_groups = True

    def check(self, root: bytes) -> None:
        """Walks with a list of its own: each directory is opened by its path from the wrapper."""
        node = self.verifier.node(root)
        if node is None:
            return
        info = self.look(self.wrapper, b"tree", b"tree")
        if info is None or not self.is_kind(b"tree", info, "d"):
            return
        self.check_meta(self.wrapper, b"tree", b"tree", info, node.meta)
        stack = [(b"tree", root)]
        while stack:
            path, hashed = stack.pop()
            with self.verifier.guard(self.where(path)):
                fd = open_below(self.wrapper, path)
                try:
                    stack += self.check_directory(fd, path, hashed)
                finally:
                    os.close(fd)
        if self.has_all_groups:
            self.check_sharing()

    def where(self, path: bytes) -> bytes:
        return os.path.join(self.path, path)

    def look(self, fd: int, name: bytes, path: bytes) -> Optional[os.stat_result]:
        with self.verifier.guard(self.where(path)):
            return os.stat(name, dir_fd=fd, follow_symlinks=False)
        return None

    def is_kind(self, path: bytes, info: os.stat_result, kind: str) -> bool:
        there = FORMATS.get(stat.S_IFMT(info.st_mode))
        if there != kind:
            self.verifier.fault(self.where(path), f"is of kind {there}, not {kind}")
        return there == kind

    def check_directory(self, fd: int, path: bytes, hashed: bytes) -> list:
        """Compares one directory's names; returns the subdirectories to go on with."""
        node = self.verifier.node(hashed)
        groups = self.verifier.groups(hashed, node)
        self.has_all_groups &= groups is not None
        for group in groups or []:
            for member in group:
                self.group_of[path + b"/" + member] = (path, group[0])
        below = []
        names = set(list_names(fd))
        for entry in node.entries:
            at = path + b"/" + entry.name
            if entry.name not in names:
                self.verifier.fault(self.where(at), "is missing")
                continue
            names.remove(entry.name)
            info = self.look(fd, entry.name, at)
            if info is None or not self.is_kind(at, info, entry.kind):
                continue
            if entry.kind == "d":
                child = self.verifier.node(entry.node)
                if child is not None:
                    self.check_meta(fd, entry.name, at, info, child.meta)
                    below.append((at, entry.node))
            else:
                self.check_meta(fd, entry.name, at, info, entry.meta)
                self.check_entry(fd, at, info, entry)
        for name in sorted(names):
            self.verifier.fault(self.where(path + b"/" + name), "is in no node")
        return below

    def check_meta(self, fd: int, name: bytes, path: bytes, info: os.stat_result,
                   wanted: Meta) -> None:
        with self.verifier.guard(self.where(path)):
            for text in differences(meta_of(info, wanted.xattrs), wanted):
                self.verifier.fault(self.where(path), text)
            if stat.S_ISREG(info.st_mode):
                xattrs = self.verifier.xattrs(fd, name, info)
            else:
                xattrs = read_xattrs(fd, name)
            for text in differences(wanted._replace(xattrs=xattrs), wanted):
                self.verifier.fault(self.where(path), text)

    def check_entry(self, fd: int, path: bytes, info: os.stat_result, entry: Entry) -> None:
        inode = (info.st_dev, info.st_ino)
        self.inodes.setdefault(inode, []).append(path)
        self.inode_of[path] = inode
        self.bodies[path] = entry.kind.encode() + encode_body(entry)
        with self.verifier.guard(self.where(path)):
            if entry.kind == "f":
                if info.st_size != entry.size:
                    raise Fault(f"has {info.st_size} bytes, not {entry.size}")
                if self.verifier.content(fd, entry.name, info) != entry.content:
                    raise Fault("has other content")
            elif entry.kind == "l":
                target = os.readlink(entry.name, dir_fd=fd)
                if target != entry.target:
                    raise Fault(f"leads to {target!r}, not {entry.target!r}")
            elif entry.kind in "cb":
                there = (os.major(info.st_rdev), os.minor(info.st_rdev))
                if there != (entry.major, entry.minor):
                    raise Fault(f"is device {there}, not {(entry.major, entry.minor)}")

    def check_sharing(self) -> None:
        for paths in self.inodes.values():
            if len({self.group_of.get(path, path) for path in paths}) == 1:
                continue
            if self.by_names or len({self.bodies[path] for path in paths}) > 1:
                self.verifier.fault(self.where(paths[0]),
                                    f"is one inode with {paths[1]!r}, and they are no group")
        inodes: dict = {}
        for path, group in self.group_of.items():
            if path in self.inode_of:
                inodes.setdefault(group, set()).add(self.inode_of[path])
        for (path, first), several in inodes.items():
            if len(several) > 1:
                self.verifier.fault(self.where(path + b"/" + first),
                                    "its group has more than one inode")


def read_symlink(path: bytes) -> bytes:
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Fault("is no symlink") from None
        raise


def verify(path) -> tuple:
    """Returns the faults of a store and what this user cannot verify, as lines of text."""
    verifier = Verifier(path)
    verifier.run()
    return verifier.faults, verifier.unverified


# Listings

def printable(path: bytes) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1]
                   for char in path.decode("utf-8", "surrogateescape"))


def rfc3339(meta: Meta) -> str:
    """Any 64-bit second; datetime knows only four digits of years."""
    days, seconds = divmod(meta.mtime_s, 86400)
    cycles, day = divmod(days + 719468, 146097)  # cycles of 400 years from 0000-03-01
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += 3 if month < 10 else -9
    year += 400 * cycles + (month <= 2)
    return (f"{year:04d}-{month:02d}-{day:02d}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:"
            f"{seconds % 60:02d}.{meta.mtime_ns:09d}Z")


def json_name(name: bytes):
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(name).decode()}


def walk(store: Store, root: bytes) -> Iterator[tuple]:
    """Yields (path, entry, metadata, names of its group) in byte order of paths, / lowest."""
    group_sizes: dict = {}
    stack: list = [(b"", root)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, Entry):
            meta = store.node(item.node).meta if item.kind == "d" else item.meta
            yield path, item, meta, group_sizes.pop(path, 1)
            if item.kind != "d":
                continue
            item = item.node
        node = store.node(item)
        prefix = path + b"/" if path else b""
        for group in store.groups(node):
            for member in group:
                group_sizes[prefix + member] = len(group)
        stack += [(prefix + entry.name, entry) for entry in reversed(node.entries)]


def list_tree(path, tree) -> Iterator[dict]:
    """Yields each entry of a tree but its root; `tree` is an id as texts or file names have it."""
    text = tree if isinstance(tree, bytes) else tree.encode()
    root = hash_id(text if text.startswith(b"sha256:") else b"sha256:" + text)
    # Whole paths in byte order, which is not that of a walk: "a", "a.b", "a/x".
    for path, entry, meta, links in sorted(walk(Store(path), root), key=lambda found: found[0]):
        is_recorded = meta.uid != NOBODY
        is_device = entry.kind in "cb"
        is_file = entry.kind == "f"
        named = object_id(meta, entry.size, entry.content).hex() if entry.size else None
        yield {
            "path": json_name(path), "type": TYPES[entry.kind], "mode": f"{meta.mode:04o}",
            "uid": meta.uid if is_recorded else None, "gid": meta.gid if is_recorded else None,
            "size": None if entry.kind == "d" else entry.size if is_file else len(entry.target),
            "mtime": rfc3339(meta),
            "target": json_name(entry.target) if entry.kind == "l" else None,
            "rdev": {"major": entry.major, "minor": entry.minor} if is_device else None,
            "links": None if entry.kind == "d" else links,
            "xattrs": {name.decode("utf-8", "backslashreplace"):
                       base64.b64encode(value).decode() for name, value in meta.xattrs},
            "object": named,
        }


def list_log(path, ref) -> Iterator[dict]:
    """Yields the generations of a ref, newest first. Broken records raise Fault."""
    verifier = Verifier(path)
    known = Ref(ref_name(os.fsencode(ref)))
    home = verifier.store.at(b"refs", known.name)
    os.lstat(home)
    verifier.read_ref(known, home)
    tags: dict = {}
    for name in verifier.listing(os.path.join(home, b"tags"), must=False):
        tag = parse_text("tag", read_regular(os.path.join(home, b"tags", name), MAX_TEXT))
        tags.setdefault(tag["generation"], []).append(name.decode())
    if verifier.faults or verifier.unverified:
        raise Fault((verifier.faults + verifier.unverified)[0])
    for n in sorted(known.generations, reverse=True):
        record = known.generations[n]
        text = record["message"]
        is_dropped = n in known.dropped or known.is_dropped
        yield {
            "generation": n, "tree": record["tree"].hex(),
            "parent": record["parent"] or None, "time": record["time"],
            "kind": record["kind"].decode(), "uid": record["uid"],
            "user": json_name(record["user"]), "host": json_name(record["host"]),
            "message": None if text is None else json_name(text),
            "meta": {key.decode("utf-8", "backslashreplace"): json_name(value)
                     for key, value in record["meta"]},
            "changed": {key: record[key] for key in ("added", "modified", "removed")},
            "bytes_new": record["bytes-new"], "tags": sorted(tags.get(n, [])),
            "state": "dropped" if is_dropped else "kept",
        }


def main(arguments: list) -> int:
    try:
        if len(arguments) == 1 and not arguments[0].startswith("-"):
            faults, unverified = verify(arguments[0])
            for line in unverified:
                print("unverified: " + line)
            for line in faults:
                print(line)
            return 1 if faults else 0
        if len(arguments) == 3 and arguments[0] in ("--ls", "--log"):
            lister = list_tree if arguments[0] == "--ls" else list_log
            for line in lister(arguments[1], arguments[2]):
                print(json.dumps(line))
            return 0
    except (Fault, OSError) as error:
        print(f"reader.py: {error}", file=sys.stderr)
        return 1
    print("usage: reader.py STORE | --ls STORE TREEID | --log STORE REF", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
