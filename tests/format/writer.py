"""A small writer of stores for the reader's tests, made from docs/format.md and sharing no code.

An error of the reader's encoders is so not repeated here. Hooks (`tamper`) let it write one thing
wrongly, with every hash above it right. The placed trees are real files, made with plain calls.
"""

import hashlib
import os
import socket
import struct
from typing import NamedTuple

REF_ID = b"0123456789abcdef01234567"
SECOND = 1000000000


def has_user_xattrs(folder) -> bool:
    try:
        os.setxattr(folder, b"user.pleach-probe", b"1")
    except OSError:
        return False
    os.removexattr(folder, b"user.pleach-probe")
    return True


class Item(NamedTuple):
    """What stands at a path: data is content or target, owner None is not recorded."""
    kind: str
    mode: int
    data: bytes = b""
    mtime: int = 1700000000 * SECOND + 1
    xattrs: dict = {}
    owner: tuple = (os.getuid(), os.getgid())
    rdev: tuple = (0, 0)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hexed(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def text(kind: bytes, *lines: bytes) -> bytes:
    body = b"pleach-" + kind + b" 1\n" + b"".join(line + b"\n" for line in lines)
    return body + b"sum sha256:" + hexed(body) + b"\n"


def xattrs_bytes(item: Item) -> bytes:
    return b"".join(bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
                    for name, value in sorted(item.xattrs.items()))


def meta_bytes(item: Item) -> bytes:
    uid, gid = item.owner or (0xFFFFFFFF, 0xFFFFFFFF)
    xattrs = xattrs_bytes(item)
    return (item.mode.to_bytes(2, "big") + uid.to_bytes(4, "big") + gid.to_bytes(4, "big")
            + (item.mtime // SECOND).to_bytes(8, "big", signed=True)
            + (item.mtime % SECOND).to_bytes(4, "big") + len(xattrs).to_bytes(4, "big") + xattrs)


def object_of(item: Item) -> bytes:
    return sha(b"pleach object 1\n" + meta_bytes(item) + len(item.data).to_bytes(8, "big")
               + sha(item.data))


def entry_bytes(kind: str, name: bytes, body: bytes) -> bytes:
    return kind.encode() + bytes([len(name)]) + name + body


def body_bytes(item: Item) -> bytes:
    meta = meta_bytes(item)
    if item.kind == "f":
        return meta + len(item.data).to_bytes(8, "big") + sha(item.data)
    if item.kind == "l":
        return meta + len(item.data).to_bytes(2, "big") + item.data
    if item.kind in "cb":
        return meta + struct.pack(">II", *item.rdev)
    return meta


def group_bytes(members: list) -> bytes:
    return len(members).to_bytes(4, "big") + b"".join(
        len(path).to_bytes(4, "big") + path for path in members)


def block_bytes(groups: list) -> bytes:
    return (b"pleach group 1\n" + len(groups).to_bytes(4, "big")
            + b"".join(group_bytes(group) for group in groups))


def split(groups: list) -> list:
    blocks = []
    for group in groups:
        if not blocks or len(block_bytes(blocks[-1] + [group])) > 65536:
            blocks.append([])
        blocks[-1].append(group)
    return [block_bytes(block) for block in blocks]


def node_bytes(item: Item, blocks: list, entries: list) -> bytes:
    return (b"pleach node 1\n" + meta_bytes(item)
            + len(blocks).to_bytes(4, "big") + b"".join(map(sha, blocks))
            + len(entries).to_bytes(4, "big") + b"".join(entries))


def parent_of(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def common_directory(paths: list) -> bytes:
    parts = [path.split(b"/")[:-1] for path in paths]
    shared = []
    for names in zip(*parts):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return b"/".join(shared)


def below(path: bytes, top: bytes) -> bytes:
    return path[len(top) + 1:] if top else path


class Writer:
    """Lays out one store. `tamper` maps (stage, path) to a function that spoils a value."""

    def __init__(self, path: bytes, tamper: dict = {}, settings: tuple = ()):
        self.path = path
        self.inner = os.path.join(path, b".pleach")
        self.tamper = tamper
        for folder in (b"objects", b"nodes", b"trees", b"refs", b"tx", b"trash", b"cache"):
            os.makedirs(self.at(folder))
        self.put(b"config", text(b"store", b"hash sha256", b"uid %d" % os.getuid(),
                                 *(b"set " + line for line in settings)))

    def at(self, *names: bytes) -> bytes:
        return os.path.join(self.inner, *names)

    def put(self, name: bytes, data: bytes = b"") -> None:
        os.makedirs(os.path.dirname(self.at(name)), exist_ok=True)
        with open(self.at(name), "wb") as file:
            file.write(data)

    def spoil(self, stage: str, path: bytes, value):
        return self.tamper.get((stage, path), lambda same: same)(value)

    def put_node(self, data: bytes) -> bytes:
        digits = hexed(data)
        self.put(b"nodes/%s/%s" % (digits[:2], digits[2:]), data)
        return sha(data)

    def put_tree(self, items: dict, groups: list) -> bytes:
        """Writes the nodes of a tree, the deepest first; returns the tree id's digits."""
        own: dict = {}
        for group in groups:
            top = common_directory(group)
            own.setdefault(top, []).append(sorted(below(path, top) for path in group))
        names: dict = {}
        for path in items:
            if path:
                names.setdefault(parent_of(path), []).append(path)
        bodies, totals = {}, {}
        folders = [path for path, item in items.items() if item.kind == "d"]
        for path in sorted(folders, key=lambda path: path.count(b"/") if path else -1,
                           reverse=True):
            entries, sums = [], [0, 0, 0, 0, 0, len(xattrs_bytes(items[path])),
                                 odd_xattrs(items[path])]
            for child in sorted(names.get(path, [])):
                item = items[child]
                body = bodies[child] if item.kind == "d" else body_bytes(item)
                body = self.spoil("body", child, body)
                entries.append(entry_bytes(item.kind, child.rpartition(b"/")[2], body))
                sums[0] += 1
                if item.kind == "d":
                    inner = totals[child]
                    sums[:4] = [one + other for one, other in zip(sums[:4], inner[:4])]
                    sums[4] = max(sums[4], inner[4] + 1)
                    sums[5] = max(sums[5], inner[5])
                    sums[6] |= inner[6]
                    continue
                sums[1] += item.kind == "f"
                sums[2] += len(item.data) if item.kind == "f" else 0
                sums[5] = max(sums[5], len(xattrs_bytes(item)))
                sums[6] |= odd_xattrs(item)
                if item.kind in "cb":
                    sums[6] |= 1 if item.rdev == (0, 0) else 2
            mine = self.spoil("groups", path, sorted(own.get(path, [])))
            sums[3] += len(mine)
            blocks = self.spoil("blocks", path, split(mine))
            for block in blocks:
                self.put_node(block)
            entries = self.spoil("entries", path, entries)
            data = self.spoil("node", path, node_bytes(items[path], blocks, entries))
            totals[path] = self.spoil("totals", path, sums)
            bodies[path] = self.put_node(data) + struct.pack(">QQQQIII", *totals[path])
        return bodies[b""][:32].hex().encode()

    def place(self, tree: bytes, k: int, items: dict, groups: list) -> None:
        """Lays the tree out; the first file of an object is the object."""
        home = b"trees/%s" % tree
        self.put(home + b"/pin")
        os.makedirs(self.at(home, b"users"), exist_ok=True)
        self.put(home + b"/%d/filter" % k, filter_bytes(16))
        top = self.at(home, b"%d" % k, b"tree")
        first = {path: group[0] for group in groups for path in group}
        for path in sorted(items):
            self.place_one(os.path.join(top, path) if path else top, items[path],
                           os.path.join(top, first.get(path, path)))
        for path in sorted(items, reverse=True):
            if items[path].kind == "d":
                dress(os.path.join(top, path) if path else top, items[path])

    def place_one(self, path: bytes, item: Item, first: bytes) -> None:
        if item.kind == "d":
            os.mkdir(path, 0o700)
            return
        if os.path.lexists(first):
            os.link(first, path, follow_symlinks=False)
            return
        make(path, item)
        if item.kind == "f" and item.data:
            digits = object_of(item).hex().encode()
            target = self.at(b"objects", digits[:2], digits[2:])
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.lexists(target):
                os.link(path, target)

    def user(self, tree: bytes, name: bytes) -> None:
        self.put(b"trees/%s/users/%s" % (tree, name))

    def generation(self, ref: bytes, n: int, tree: bytes, kind: bytes = b"publish",
                   more: tuple = (), other: dict = {}) -> None:
        fields = {b"ref": ref, b"ref-id": REF_ID, b"generation": b"%d" % n,
                  b"parent": b"%d" % (n - 1), b"tree": b"sha256:" + tree, b"kind": kind,
                  b"time": b"2024-02-29T12:34:56.00000000%dZ" % n, b"uid": b"1000",
                  b"user": b"ann", b"host": b"", b"added": b"1", b"modified": b"0",
                  b"removed": b"0", b"bytes-new": b"0"}
        fields.update(other)
        lines = [key + b" " + value for key, value in fields.items()]
        self.put(b"refs/%s/gen/%d" % (ref, n), text(b"generation", *lines, *more))
        self.user(tree, b"g.%s.%d" % (REF_ID, n))
        self.put(b"refs/%s/shown/%d" % (ref, n))

    def publish(self, ref: bytes, tree: bytes, k: int) -> None:
        """Makes the symlinks."""
        self.put(b"refs/%s/id" % ref, REF_ID + b"\n")
        os.makedirs(self.at(b"refs", ref, b"public"), exist_ok=True)
        os.symlink(b"../../../trees/%s/%d/tree" % (tree, k),
                   self.at(b"refs", ref, b"public/tree"))
        os.symlink(b".pleach/refs/%s/public/tree" % ref, os.path.join(self.path, ref))


def odd_xattrs(item: Item) -> int:
    return 4 * any(name.startswith((b"user.overlay.", b"trusted.overlay."))
                   for name in item.xattrs)


def filter_bytes(bits: int) -> bytes:
    data = b"pleach filter 1\n" + struct.pack(">QQ", bits, 3) + bytes(bits // 8)
    return data + sha(data)


def make(path: bytes, item: Item) -> None:
    if item.kind == "f":
        with open(path, "wb") as file:
            file.write(item.data)
    elif item.kind == "l":
        os.symlink(item.data, path)
    elif item.kind == "p":
        os.mkfifo(path)
    elif item.kind == "s":
        bind_socket(path)
    else:
        kind = {"c": 0o020600, "b": 0o060600}[item.kind]
        os.mknod(path, kind, os.makedev(*item.rdev))
    dress(path, item)


def bind_socket(path: bytes) -> None:
    """A socket's address is short, so it is bound below the directory's descriptor."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
    os.close(folder)


def dress(path: bytes, item: Item) -> None:
    if item.owner:
        os.lchown(path, *item.owner)
    for name, value in item.xattrs.items():
        os.setxattr(path, name, value, follow_symlinks=False)
    if item.kind != "l":
        os.chmod(path, item.mode)
    os.utime(path, ns=(0, item.mtime), follow_symlinks=False)


# The tiny store

GROUPS = [[b"b", b"sub/b"], [b"sub/x/1", b"sub/x/2"]]


def tiny_items(xattrs: bool) -> dict:
    pair = Item("f", 0o640, b"pair\n", mtime=5)
    inner = Item("f", 0o755, b"inner\n")
    return {
        b"": Item("d", 0o755, mtime=1700000002 * SECOND),
        b"a": Item("f", 0o4644, b"alpha\n", 1709210096789012345,
                   {b"user.b": b"two", b"user.a": b"\0one"} if xattrs else {}),
        b"b": pair,
        b"empty": Item("f", 0o600),
        b"fifo": Item("p", 0o622),
        b"link": Item("l", 0o777, b"../\xff out", -1),
        b"same1": Item("f", 0o444, b"same\n"),
        b"same2": Item("f", 0o444, b"same\n"),
        b"sock": Item("s", 0o700),
        b"sub": Item("d", 0o2750),
        b"sub!": Item("f", 0o644, b"sorts after sub, and before what is below it\n"),
        b"sub/b": pair,
        b"sub/odd\n\xfe-\\ name": Item("f", 0o644, b"odd\n"),
        b"sub/x": Item("d", 0o755, xattrs={b"user.overlay.x": b"y"} if xattrs else {}),
        b"sub/x/1": inner,
        b"sub/x/2": inner,
    }


class Tiny(NamedTuple):
    writer: Writer
    first: bytes  # tree ids' digits
    second: bytes

    def at(self, *names: bytes) -> bytes:
        return self.writer.at(*names)

    def placed(self, *names: bytes) -> bytes:
        return self.at(b"trees", self.second, b"1", b"tree", *names)


def build_tiny(folder, tamper: dict = {}, settings: tuple = ()) -> Tiny:
    """Three generations, the second dropped; a tag and attachments; leftovers."""
    xattrs = has_user_xattrs(folder)
    path = os.path.join(os.fsencode(folder), b"store")
    writer = Writer(path, {}, settings)
    items = tiny_items(xattrs)
    small = {b"": Item("d", 0o755), b"a": items[b"a"], b"old": Item("f", 0o644, b"old\n")}
    first = writer.put_tree(small, [])
    writer.tamper = tamper
    second = writer.put_tree(items, GROUPS)
    writer.place(first, 3, small, [])
    writer.place(second, 1, items, GROUPS)
    writer.generation(b"site", 1, first, more=(b"message 100%25,%0atwo lines", b"meta k=v=w"))
    writer.generation(b"site", 2, first, kind=b"run")
    writer.generation(b"site", 3, second, kind=b"merge")
    writer.put(b"refs/site/dropped/2")
    os.unlink(writer.at(b"trees", first, b"users", b"g.%s.2" % REF_ID))
    writer.publish(b"site", second, 1)
    writer.put(b"refs/site/config", text(b"settings", b"set keep 3", b"set merge *:ours a b"))
    writer.put(b"refs/site/lock")
    writer.put(b"refs/site/tags/v1.0", text(
        b"tag", b"ref-id " + REF_ID, b"name v1.0", b"generation 1", b"tree sha256:" + first,
        b"time 2024-02-29T12:34:56.000000000Z"))
    writer.user(first, b"t.%s.v1.0" % REF_ID)
    for where, n in ((b"/srv/www", 0), (b"/srv/old\n", 1)):
        name = hexed(where)
        tree = (b"tree sha256:" + first,) if n else ()
        writer.put(b"refs/site/attached/" + name, text(
            b"attachment", b"ref-id " + REF_ID, b"path " + where.replace(b"\n", b"%0a"),
            b"mode symlink", b"generation %d" % n, *tree, b"target anything",
            b"time 2024-02-29T12:34:56.000000000Z"))
        if n:
            writer.user(first, b"a.%s.%s" % (REF_ID, name))
    writer.user(second, b"h.%s" % REF_ID)
    writer.user(second, b"x.tx1")
    writer.put(b"refs/site/gen/.probe")
    writer.put(b"objects/.nfs0001", b"?")
    writer.put(b"tx/1/claims", b"o" + bytes(32) + b"n")
    return Tiny(writer, first, second)
