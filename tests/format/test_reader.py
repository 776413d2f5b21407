"""The independent reader accepts what docs/format.md allows and refuses each single mutation of it.
"""

import base64
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import reader  # noqa: E402
from writer import (  # noqa: E402
    GROUPS, REF_ID, SECOND, Item, Tiny, Writer, bind_socket, block_bytes, body_bytes, build_tiny,
    entry_bytes, filter_bytes, has_user_xattrs, hexed, make, node_bytes, object_of, sha, text,
    tiny_items)

READER = pathlib.Path(reader.__file__)
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="needs root")


@pytest.fixture
def tiny(tmp_path):
    return build_tiny(tmp_path)


def faults_of(store) -> list:
    faults, unverified = reader.verify(store.writer.path)
    assert unverified == []
    return faults


def kept_times(path: bytes, change) -> None:
    """Calls change(path) and gives the file and its directory the mtimes they had."""
    folder = os.path.dirname(path)
    times = [(where, os.lstat(where).st_mtime_ns) for where in (path, folder)]
    change(path)
    for where, mtime in times:
        if os.path.lexists(where):
            os.utime(where, ns=(0, mtime), follow_symlinks=False)


def rewrite(path: bytes, change) -> None:
    def inner(path):
        mode = os.stat(path).st_mode & 0o7777
        os.chmod(path, 0o600)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(change(data))
        os.chmod(path, mode)
    kept_times(path, inner)


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


# What is right is accepted

def test_tiny_store_is_accepted(tiny):
    assert faults_of(tiny) == []


@pytest.mark.parametrize("setting", [b"share content", b"share names", b"metadata portable"])
def test_equal_files_may_share_an_inode_only_with_share_content(tmp_path, setting):
    tiny = build_tiny(tmp_path, settings=(setting,))
    share_inode(tiny, b"same1", b"same2")
    assert bool(faults_of(tiny)) == (setting == b"share names")


def test_settings_of_a_ref_go_before_those_of_the_store(tmp_path):
    tiny = build_tiny(tmp_path, settings=(b"share content",))
    share_inode(tiny, b"same1", b"same2")
    tiny.writer.put(b"refs/site/config", text(b"settings", b"set share names"))
    assert any("no group" in fault for fault in faults_of(tiny))


def test_unrecorded_owner_may_be_anyone(tmp_path):
    writer = Writer(os.path.join(os.fsencode(tmp_path), b"s"), settings=(b"metadata canonical",))
    items = {b"": Item("d", 0o555, mtime=0, owner=None),
             b"f": Item("f", 0o444, b"x", 0, owner=None),
             b"g": Item("f", 0o444, b"x", 0, owner=None)}
    tree = writer.put_tree(items, [])
    writer.place(tree, 1, items, [])
    writer.generation(b"r", 1, tree)
    writer.publish(b"r", tree, 1)
    try:
        assert reader.verify(writer.path) == ([], [])
        lines = list(reader.list_tree(writer.path, tree))
        assert [line["uid"] for line in lines] == [None, None]
    finally:
        os.chmod(writer.at(b"trees", tree, b"1/tree"), 0o755)


def test_groups_are_split_into_blocks_and_accepted(tmp_path):
    writer, tree = many_groups(tmp_path)
    assert len(reader.Store(writer.path).node(bytes.fromhex(tree.decode())).blocks) == 3
    assert reader.verify(writer.path) == ([], [])


def many_groups(tmp_path, tamper: dict = {}) -> tuple:
    """Groups of two blocks' size and one that is larger than a block, not placed."""
    writer = Writer(os.path.join(os.fsencode(tmp_path), b"s"), tamper)
    items = {b"": Item("d", 0o755)}
    groups = [[b"%03d-%s" % (n, side * 200) for side in (b"a", b"b")] for n in range(200)]
    groups.append([b"z%03d-%s" % (n, b"z" * 240) for n in range(300)])
    for n, group in enumerate(groups):
        for path in group:
            items[path] = Item("p", 0o600, mtime=n)
    tree = writer.put_tree(items, groups)
    writer.place(tree, 1, {b"": items[b""]}, [])
    shutil.rmtree(writer.at(b"trees", tree, b"1"))
    return writer, tree


def test_deep_tree_is_accepted_and_listed(tmp_path):
    depth, name = 1000, b"d" * 255
    writer = Writer(os.path.join(os.fsencode(tmp_path), b"s"))
    items = {b"/".join([name] * n): Item("d", 0o755) for n in range(depth + 1)}
    leaf = b"/".join([name] * depth + [b"leaf"])
    items[leaf] = Item("f", 0o644)
    tree = writer.put_tree(items, [])
    writer.place(tree, 1, {b"": items[b""]}, [])
    folders = [os.open(writer.at(b"trees", tree, b"1/tree"), os.O_RDONLY)]
    chain = []
    try:
        for _ in range(depth):
            os.mkdir(name, 0o755, dir_fd=folders[-1])
            folders.append(os.open(name, os.O_RDONLY, dir_fd=folders[-1]))
            if len(folders) > 100:
                chain.append(folders.pop(0))
                os.close(chain.pop())
        os.close(os.open(b"leaf", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=folders[-1]))
        dress_deep(folders[-1], items[b""], depth)
        writer.generation(b"r", 1, tree)
        writer.publish(b"r", tree, 1)
        assert reader.verify(writer.path) == ([], [])
        lines = list(reader.list_tree(writer.path, tree))
        assert len(lines) == depth + 1
        assert lines[-1]["path"] == leaf.decode()
        assert lines[-1]["type"] == "file"
    finally:
        for fd in folders:
            os.close(fd)
        subprocess.run(["rm", "-rf", "--", writer.path], check=True)


def dress_deep(fd: int, item: Item, depth: int) -> None:
    """Sets the mtimes from the leaf up, going through '..'."""
    os.utime(b"leaf", ns=(0, item.mtime), dir_fd=fd)
    fd = os.dup(fd)
    for _ in range(depth + 1):
        os.utime(fd, ns=(0, item.mtime))
        above = os.open(b"..", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = above
    os.close(fd)


def test_ls_lists_whole_paths_in_byte_order(tiny):
    lines = {name_of(line): line for line in reader.list_tree(tiny.writer.path, tiny.second)}
    assert list(lines) == [
        b"a", b"b", b"empty", b"fifo", b"link", b"same1", b"same2", b"sock", b"sub", b"sub!",
        b"sub/b", b"sub/odd\n\xfe-\\ name", b"sub/x", b"sub/x/1", b"sub/x/2"]
    assert lines[b"a"]["mode"] == "4644"
    assert lines[b"a"]["mtime"] == "2024-02-29T12:34:56.789012345Z"
    assert lines[b"a"]["object"] == object_of(tiny_items(bool(lines[b"a"]["xattrs"]))[b"a"]).hex()
    assert lines[b"empty"]["object"] is None
    assert lines[b"b"]["links"] == lines[b"sub/x/1"]["links"] == 2
    assert lines[b"same1"]["links"] == 1
    assert lines[b"link"]["mtime"] == "1969-12-31T23:59:59.999999999Z"
    assert lines[b"link"]["target"] == {"base64": "Li4v/yBvdXQ="}
    assert lines[b"sock"]["type"] == "socket"


def name_of(line: dict) -> bytes:
    path = line["path"]
    return path.encode() if isinstance(path, str) else base64.b64decode(path["base64"])


def test_log_is_newest_first(tiny):
    lines = list(reader.list_log(tiny.writer.path, "site"))
    assert [line["generation"] for line in lines] == [3, 2, 1]
    assert [line["state"] for line in lines] == ["kept", "dropped", "kept"]
    assert lines[2]["message"] == "100%,\ntwo lines"
    assert lines[2]["meta"] == {"k": "v=w"}
    assert lines[2]["tags"] == ["v1.0"]
    assert lines[0]["tree"] == tiny.second.decode()


@pytest.mark.parametrize("seconds, told", [
    (0, "1970-01-01T00:00:00"), (-1, "1969-12-31T23:59:59"), (951782400, "2000-02-29T00:00:00"),
    (4107542400, "2100-03-01T00:00:00"), (-2208988800, "1900-01-01T00:00:00"),
    (253402300800, "10000-01-01T00:00:00"), (-62167219200, "0000-01-01T00:00:00")])
def test_times_of_any_year(seconds, told):
    assert reader.rfc3339(reader.Meta(0, 0, 0, seconds, 7)) == told + ".000000007Z"


def test_command_lists_and_verifies(tiny):
    def run(*arguments):
        return subprocess.run([sys.executable, "-B", READER, *arguments], stdout=subprocess.PIPE,
                              check=False)
    path = tiny.writer.path
    assert (run(path).returncode, run(path).stdout) == (0, b"")
    ls = run("--ls", path, tiny.second).stdout.splitlines()
    assert [json.loads(line) for line in ls] == list(reader.list_tree(path, tiny.second))
    log = run("--log", path, "site").stdout.splitlines()
    assert [json.loads(line) for line in log] == list(reader.list_log(path, "site"))
    os.unlink(tiny.placed(b"fifo"))
    done = run(path)
    assert done.returncode == 1
    assert b"fifo" in done.stdout


def as_nobody(call):
    """Returns what call() returns in a process without privilege."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(write_end, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return json.loads(answer)


@needs_root
def test_what_may_not_be_read_is_unverified_and_no_fault():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tiny = build_tiny(folder)
        for name in (b"objects", b"nodes"):
            os.chmod(tiny.at(name), 0o700)
        faults, unverified = as_nobody(lambda: reader.verify(tiny.writer.path))
        assert faults == []
        assert any("objects" in line for line in unverified)


@pytest.mark.skipif(is_root, reason="root may read everything")
def test_file_without_read_permission_is_unverified(tmp_path):
    writer = Writer(os.path.join(os.fsencode(tmp_path), b"s"))
    items = {b"": Item("d", 0o755), b"f": Item("f", 0, b"secret")}
    tree = writer.put_tree(items, [])
    writer.place(tree, 1, items, [])
    writer.generation(b"r", 1, tree)
    writer.publish(b"r", tree, 1)
    faults, unverified = reader.verify(writer.path)
    assert faults == []
    assert len(unverified) == 2  # the object and the placed name


# Flipped bytes

def node_file(tiny: Tiny, data: bytes) -> bytes:
    return tiny.at(b"nodes", data.hex().encode()[:2], data.hex().encode()[2:])


def block_file(tiny: Tiny) -> bytes:
    root = reader.Store(tiny.writer.path).node(bytes.fromhex(tiny.second.decode()))
    return node_file(tiny, root.blocks[0])


def object_file(tiny: Tiny) -> bytes:
    digits = object_of(Item("f", 0o644, b"old\n")).hex().encode()
    return tiny.at(b"objects", digits[:2], digits[2:])


FILES = {
    "config": lambda tiny: tiny.at(b"config"),
    "ref id": lambda tiny: tiny.at(b"refs/site/id"),
    "ref settings": lambda tiny: tiny.at(b"refs/site/config"),
    "generation": lambda tiny: tiny.at(b"refs/site/gen/2"),
    "tag": lambda tiny: tiny.at(b"refs/site/tags/v1.0"),
    "attachment": lambda tiny: tiny.at(b"refs/site/attached", hexed(b"/srv/www")),
    "fixed attachment": lambda tiny: tiny.at(b"refs/site/attached", hexed(b"/srv/old\n")),
    "root node": lambda tiny: node_file(tiny, bytes.fromhex(tiny.second.decode())),
    "group block": block_file,
    "object": object_file,
    "placed private copy": lambda tiny: tiny.placed(b"same2"),
    "placed file": lambda tiny: tiny.placed(b"sub!"),
    "filter": lambda tiny: tiny.at(b"trees", tiny.second, b"1/filter"),
}


@pytest.mark.parametrize("at", [0, 0.5, -1])
@pytest.mark.parametrize("what", FILES)
def test_flipped_byte_is_found(tiny, what, at):
    path = FILES[what](tiny)
    where = int(os.path.getsize(path) * at) if at != -1 else -1
    rewrite(path, lambda data: flipped(data, where))
    assert faults_of(tiny)


@pytest.mark.parametrize("what", FILES)
def test_trailing_byte_is_found(tiny, what):
    rewrite(FILES[what](tiny), lambda data: data + b"\n")
    assert faults_of(tiny)


@pytest.mark.parametrize("what", FILES)
def test_cut_file_is_found(tiny, what):
    rewrite(FILES[what](tiny), lambda data: data[:-1])
    assert faults_of(tiny)


MAY_BE_MISSING = ("filter", "ref settings", "tag", "attachment", "fixed attachment")


@pytest.mark.parametrize("what", [what for what in FILES if what not in MAY_BE_MISSING])
def test_missing_file_is_found(tiny, what):
    kept_times(FILES[what](tiny), os.unlink)
    assert faults_of(tiny)


def test_every_flipped_bit_of_a_text_is_refused(tiny):
    with open(tiny.at(b"refs/site/gen/1"), "rb") as file:
        data = file.read()
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(reader.Fault):
                reader.parse_text("generation",
                                  data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:])


# Mutations of what is placed and of the layout

def share_inode(tiny: Tiny, one: bytes, other: bytes) -> None:
    def change(path):
        os.unlink(path)
        os.link(tiny.placed(one), path)
    kept_times(tiny.placed(other), change)


def split_group(tiny: Tiny) -> None:
    def change(path):
        os.rename(path, path + b".moved")
        shutil.copy2(path + b".moved", path)
        os.unlink(path + b".moved")
    kept_times(tiny.placed(b"sub/b"), change)


def make_extra(tiny: Tiny) -> None:
    kept_times(tiny.placed(b"sub/b"), lambda path: os.mkfifo(path + b"2"))


def make_hidden_extra(tiny: Tiny) -> None:
    kept_times(tiny.placed(b"a"), lambda path: os.mkdir(os.path.dirname(path) + b"/.hidden"))


def relink(path: bytes, target: bytes) -> None:
    def change(path):
        os.unlink(path)
        os.symlink(target, path)
    kept_times(path, change)


def other_kind(tiny: Tiny, name: bytes, create) -> None:
    def change(path):
        os.unlink(path)
        create(path)
    kept_times(tiny.placed(name), change)


def shift_mtime(path: bytes) -> None:
    os.utime(path, ns=(0, os.lstat(path).st_mtime_ns + 1), follow_symlinks=False)


PLACED = {
    "extra name": make_extra,
    "extra name with a dot": make_hidden_extra,
    "missing name": lambda tiny: kept_times(tiny.placed(b"sub/x/1"), os.unlink),
    "missing empty file": lambda tiny: kept_times(tiny.placed(b"empty"), os.unlink),
    "mode of a file": lambda tiny: os.chmod(tiny.placed(b"empty"), 0o601),
    "setuid taken": lambda tiny: os.chmod(tiny.placed(b"a"), 0o644),
    "mode of a directory": lambda tiny: os.chmod(tiny.placed(b"sub"), 0o750),
    "mode of the root": lambda tiny: os.chmod(tiny.placed(), 0o750),
    "mode of a FIFO": lambda tiny: os.chmod(tiny.placed(b"fifo"), 0o600),
    "mtime of a file": lambda tiny: shift_mtime(tiny.placed(b"b")),
    "mtime of a directory": lambda tiny: shift_mtime(tiny.placed(b"sub/x")),
    "mtime of the root": lambda tiny: shift_mtime(tiny.placed()),
    "mtime of a symlink": lambda tiny: shift_mtime(tiny.placed(b"link")),
    "target of a symlink": lambda tiny: relink(tiny.placed(b"link"), b"../\xff Out"),
    "socket for FIFO": lambda tiny: other_kind(tiny, b"fifo", bind_socket),
    "directory for file": lambda tiny: other_kind(tiny, b"empty", os.mkdir),
    "symlink for file": lambda tiny: other_kind(
        tiny, b"empty", lambda path: os.symlink(b"b", path)),
    "shared inode that is no group": lambda tiny: share_inode(tiny, b"same1", b"same2"),
    "group of two inodes": split_group,
    "tree moved away": lambda tiny: os.rename(tiny.placed(), tiny.placed() + b"2"),
    "public symlink to another tree": lambda tiny: relink(
        tiny.at(b"refs/site/public/tree"), b"../../../trees/%s/3/tree" % tiny.first),
    "public symlink to nothing": lambda tiny: relink(
        tiny.at(b"refs/site/public/tree"), b"../../../trees/%s/2/tree" % tiny.second),
    "absolute public symlink": lambda tiny: relink(
        tiny.at(b"refs/site/public/tree"), tiny.placed()),
    "public path elsewhere": lambda tiny: relink(
        os.path.join(tiny.writer.path, b"site"), b".pleach/refs/site/public/tree/"),
    "public path missing": lambda tiny: os.unlink(os.path.join(tiny.writer.path, b"site")),
    "public path foreign": lambda tiny: (
        os.unlink(os.path.join(tiny.writer.path, b"site")),
        os.mkdir(os.path.join(tiny.writer.path, b"site"))),
    "missing generation in the middle": lambda tiny: os.unlink(tiny.at(b"refs/site/gen/2")),
    "missing first generation": lambda tiny: os.unlink(tiny.at(b"refs/site/gen/1")),
    "generation far ahead": lambda tiny: os.rename(tiny.at(b"refs/site/gen/3"),
                                                   tiny.at(b"refs/site/gen/99999999999")),
    "generation with a leading zero": lambda tiny: tiny.writer.put(b"refs/site/gen/04"),
    "generation swapped": lambda tiny: shutil.copy(tiny.at(b"refs/site/gen/1"),
                                                   tiny.at(b"refs/site/gen/2")),
    "missing tree": lambda tiny: shutil.rmtree(tiny.at(b"trees", tiny.first)),
    "missing user of a generation": lambda tiny: os.unlink(
        tiny.at(b"trees", tiny.first, b"users", b"g.%s.1" % REF_ID)),
    "missing user of a tag": lambda tiny: os.unlink(
        tiny.at(b"trees", tiny.first, b"users", b"t.%s.v1.0" % REF_ID)),
    "missing user of an attachment": lambda tiny: os.unlink(
        tiny.at(b"trees", tiny.first, b"users", b"a.%s.%s" % (REF_ID, hexed(b"/srv/old\n")))),
    "missing pin": lambda tiny: os.unlink(tiny.at(b"trees", tiny.first, b"pin")),
    "pin with content": lambda tiny: tiny.writer.put(b"trees/%s/pin" % tiny.first, b"x"),
    "user with content": lambda tiny: tiny.writer.put(
        b"trees/%s/users/x.tx1" % tiny.second, b"x"),
    "user of no kind": lambda tiny: tiny.writer.user(tiny.first, b"q.1"),
    "user with a bad ref id": lambda tiny: tiny.writer.user(tiny.first, b"g.%s.1" % REF_ID[1:]),
    "head dropped": lambda tiny: tiny.writer.put(b"refs/site/dropped/3"),
    "dropped that never was": lambda tiny: tiny.writer.put(b"refs/site/dropped/4"),
    "shown that never was": lambda tiny: tiny.writer.put(b"refs/site/shown/4"),
    "shown with content": lambda tiny: tiny.writer.put(b"refs/site/shown/1", b"x"),
    "stranger among the generations": lambda tiny: tiny.writer.put(b"refs/site/gen/x"),
    "stranger among the objects": lambda tiny: tiny.writer.put(b"objects/aa/bb"),
    "stranger among the nodes": lambda tiny: tiny.writer.put(b"nodes/xx/" + b"0" * 62),
    "stranger among the trees": lambda tiny: tiny.writer.put(b"trees/" + b"0" * 63 + b"/pin"),
    "stranger in a tree": lambda tiny: tiny.writer.put(b"trees/%s/01/tree" % tiny.first),
    "stranger in a wrapper": lambda tiny: tiny.writer.put(b"trees/%s/3/other" % tiny.first),
    "ref with a bad name": lambda tiny: tiny.writer.put(b"refs/a b/id"),
    "tag under another name": lambda tiny: shutil.copy(tiny.at(b"refs/site/tags/v1.0"),
                                                       tiny.at(b"refs/site/tags/v1.1")),
    "attachment under another name": lambda tiny: os.rename(
        tiny.at(b"refs/site/attached", hexed(b"/srv/www")),
        tiny.at(b"refs/site/attached", hexed(b"/srv/ww"))),
    "node that is no regular file": lambda tiny: (
        os.rename(block_file(tiny), tiny.at(b"cache/x")),
        os.symlink(tiny.at(b"cache/x"), node_file(tiny, sha(block_bytes([GROUPS[0]]))))),
}


@pytest.mark.parametrize("what", PLACED)
def test_mutation_of_the_layout_is_found(tiny, what):
    PLACED[what](tiny)
    assert faults_of(tiny)


@pytest.mark.parametrize("change", ["value", "another", "removed"])
def test_other_xattr_is_found(tiny, change):
    path = tiny.placed(b"a")
    if not has_user_xattrs(path):
        pytest.skip("no user xattrs on this file system")
    if change == "removed":
        os.removexattr(path, b"user.a")
    else:
        os.setxattr(path, b"user.a" if change == "value" else b"user.c", b"other")
    assert faults_of(tiny)


@needs_root
@pytest.mark.parametrize("name", [b"a", b"sub", b"link", b"fifo"])
def test_other_owner_is_found(tiny, name):
    mode = os.lstat(tiny.placed(name)).st_mode & 0o7777
    os.lchown(tiny.placed(name), -1, 4711)
    if name != b"link":
        os.chmod(tiny.placed(name), mode)
    assert faults_of(tiny)


@needs_root
def test_devices_and_their_numbers(tmp_path):
    writer = Writer(os.path.join(os.fsencode(tmp_path), b"s"))
    items = {b"": Item("d", 0o755), b"d": Item("d", 0o755),
             b"d/null": Item("c", 0o666, rdev=(1, 3)), b"d/white": Item("c", 0o600),
             b"d/block": Item("b", 0o600, rdev=(259, 1048575))}
    tree = writer.put_tree(items, [])
    try:
        writer.place(tree, 1, items, [])
    except PermissionError:
        pytest.skip("no devices can be made here")
    writer.generation(b"r", 1, tree)
    writer.publish(b"r", tree, 1)
    assert reader.verify(writer.path) == ([], [])
    assert [line.get("rdev") for line in reader.list_tree(writer.path, tree)] == [
        None, {"major": 259, "minor": 1048575}, {"major": 1, "minor": 3}, {"major": 0, "minor": 0}]

    def change(path):
        os.unlink(path)
        make(path, Item("c", 0o666, rdev=(1, 5)))
    kept_times(writer.at(b"trees", tree, b"1/tree/d/null"), change)
    assert reader.verify(writer.path)[0]


# Mutations of nodes and blocks with every hash right

def swapped(values: list) -> list:
    return [values[1], values[0], *values[2:]]


def replaced(old: bytes, new: bytes):
    def change(value: bytes) -> bytes:
        assert value.count(old) == 1
        return value.replace(old, new)
    return change


TAMPERED = {
    **{f"totals {n} of sub": {("totals", b"sub"): lambda sums, n=n: [
        *sums[:n], sums[n] + 1, *sums[n + 1:]]} for n in range(6)},
    "totals oddities of sub": {("totals", b"sub"): lambda sums: [*sums[:6], sums[6] ^ 4]},
    "totals of a deeper directory": {("totals", b"sub/x"): lambda sums: [3, *sums[1:]]},
    "oddities that there are not": {("totals", b"sub"): lambda sums: [*sums[:6], 8]},
    "unsorted entries": {("entries", b"sub"): swapped},
    "unsorted entries of the root": {("entries", b""): swapped},
    "entry twice": {("entries", b"sub/x"): lambda entries: [entries[0], *entries]},
    "trailing byte in a node": {("node", b"sub"): lambda data: data + b"\0"},
    "cut node": {("node", b"sub"): lambda data: data[:-1]},
    "node of another kind": {("node", b"sub"): replaced(b"pleach node 1\n", b"pleach node 2\n")},
    "trailing byte in a block": {("blocks", b""): lambda blocks: [blocks[0] + b"\0"]},
    "block without a group": {("blocks", b""): lambda blocks: [*blocks, block_bytes([])]},
    "block named twice": {("blocks", b""): lambda blocks: blocks * 2},
    "node for a block": {("blocks", b""): lambda blocks: [
        node_bytes(Item("d", 0o755), [], [])]},
    "group of one": {("groups", b""): lambda groups: [[b"b"]]},
    "group of none": {("groups", b""): lambda groups: [*groups, []],
                      ("blocks", b""): lambda blocks: [block_bytes([GROUPS[0], []])]},
    "unsorted members": {("groups", b""): lambda groups: [groups[0][::-1]]},
    "unsorted groups": {("groups", b""): lambda groups: [
        [b"same1", b"same2"], [b"b", b"sub/b"]]},
    "member twice": {("groups", b""): lambda groups: [[b"b", b"b", b"sub/b"]]},
    "path in two groups of a node": {("groups", b""): lambda groups: [
        [b"b", b"sub/b"], [b"sub/b", b"sub/x/1", b"sub/x/2", b"x"]]},
    "path in two groups of a tree": {("groups", b"sub"): lambda groups: [
        [b"x/1", b"x/2", b"y"]]},
    "group above its directory": {("groups", b""): lambda groups: [
        [b"b", b"sub/b"], [b"sub/x/1", b"sub/x/2"]],
        ("groups", b"sub/x"): lambda groups: []},
    "member that is missing": {("groups", b""): lambda groups: [[b"b", b"sub/b", b"sub/c"]]},
    "member below a file": {("groups", b""): lambda groups: [[b"b", b"b/b", b"sub/b"]]},
    "members that are directories": {("groups", b"sub"): lambda groups: [[b"b", b"x"]]},
    "members that differ": {("groups", b""): lambda groups: [[b"a", b"b"]]},
    "members that differ in mtime": {("body", b"sub/b"): lambda body: body_bytes(
        Item("f", 0o640, b"pair\n", mtime=6))},
    "member with an empty name": {("groups", b""): lambda groups: [[b"b", b"sub//b"]]},
    "member with dots": {("groups", b""): lambda groups: [[b"b", b"sub/../b"]]},
    "absolute member": {("groups", b""): lambda groups: [[b"/b", b"sub/b"]]},
    "entry for a node that is not there": {("body", b"sub"): lambda body: bytes(32) + body[32:]},
    "entry for an object that is not there": {("body", b"sub!"): lambda body: body_bytes(
        Item("f", 0o644, b"another\n"))},
    "entry for a block": {("body", b"sub"): lambda body: sha(
        block_bytes([GROUPS[0]])) + body[32:]},
}


@pytest.mark.parametrize("what", TAMPERED)
def test_wrong_tree_with_right_hashes_is_found(tmp_path, what):
    """Without the placed tree, so that what is found is found in the nodes."""
    tiny = build_tiny(tmp_path, TAMPERED[what])
    shutil.rmtree(tiny.at(b"trees", tiny.second, b"1"))
    os.unlink(tiny.at(b"refs/site/public/tree"))
    faults = [fault for fault in faults_of(tiny) if "public" not in fault]
    assert faults


def test_untampered_tree_without_its_placing_is_right(tmp_path):
    tiny = build_tiny(tmp_path)
    shutil.rmtree(tiny.at(b"trees", tiny.second, b"1"))
    os.unlink(tiny.at(b"refs/site/public/tree"))
    assert [fault for fault in faults_of(tiny) if "public" not in fault] == []


def regrouped(change):
    """Rewrites the list of blocks as lists of groups."""
    def inner(blocks):
        return [block_bytes(groups) for groups in
                change([reader.parse_block(block) for block in blocks])]
    return inner


@pytest.mark.parametrize("change", [
    pytest.param(lambda blocks: [blocks[0][:-1], blocks[0][-1:] + blocks[1], blocks[2]],
                 id="group_in_the_block_after"),
    pytest.param(lambda blocks: [blocks[0], blocks[1] + blocks[2]], id="block_too_large"),
    pytest.param(lambda blocks: [blocks[1], blocks[0], blocks[2]], id="blocks_out_of_order"),
    pytest.param(lambda blocks: [blocks[0][:1], blocks[0][1:], *blocks[1:]], id="split_early"),
])
def test_bad_split_is_found(tmp_path, change):
    writer, _ = many_groups(tmp_path, {("blocks", b""): regrouped(change)})
    assert reader.verify(writer.path)[0]


# Structures alone

PLAIN = Item("f", 0o644, b"x", owner=(1, 1))


def node_with(entry: bytes) -> bytes:
    return node_bytes(Item("d", 0o755), [], [entry])


def raw_meta(mode=0o644, uid=1, gid=1, seconds=0, nanoseconds=0, xattrs=b"", length=None):
    length = len(xattrs) if length is None else length
    return struct.pack(">HIIqII", mode, uid, gid, seconds, nanoseconds, length) + xattrs


def xattr(name: bytes, value: bytes = b"v") -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


GOOD_METAS = {
    "least": raw_meta(),
    "all permission bits": raw_meta(mode=0o7777),
    "unrecorded owner": raw_meta(uid=0xFFFFFFFF, gid=0xFFFFFFFF),
    "earliest": raw_meta(seconds=-2 ** 63, nanoseconds=999999999),
    "latest": raw_meta(seconds=2 ** 63 - 1),
    "empty value": raw_meta(xattrs=xattr(b"user.a", b"")),
    "all namespaces": raw_meta(xattrs=xattr(b"security.capability")
                               + xattr(b"system.posix_acl_access") + xattr(b"trusted.\xff")
                               + xattr(b"user.a") + xattr(b"user.ab")),
    "long name and value": raw_meta(xattrs=xattr(b"user." + b"n" * 250, bytes(65536))),
}
BAD_METAS = {
    "mode": raw_meta(mode=0o10000),
    "uid alone": raw_meta(uid=0xFFFFFFFF),
    "gid alone": raw_meta(gid=0xFFFFFFFF),
    "nanoseconds": raw_meta(nanoseconds=1000000000),
    "unsorted xattrs": raw_meta(xattrs=xattr(b"user.b") + xattr(b"user.a")),
    "xattr twice": raw_meta(xattrs=xattr(b"user.a") + xattr(b"user.a")),
    "empty xattr name": raw_meta(xattrs=xattr(b"")),
    "NUL in xattr name": raw_meta(xattrs=xattr(b"user.\0")),
    "strange namespace": raw_meta(xattrs=xattr(b"system.nfs4_acl")),
    "label": raw_meta(xattrs=xattr(b"security.selinux")),
    "second name of an ACL": raw_meta(xattrs=xattr(b"trusted.SGI_ACL_FILE")),
    "long value": raw_meta(xattrs=xattr(b"user.a", bytes(65537))),
    "length too small": raw_meta(xattrs=xattr(b"user.a"), length=3),
    "length too large": raw_meta(xattrs=xattr(b"user.a"), length=13),
    "length beyond all": raw_meta(length=0xFFFFFFFF),
    "too long in all": raw_meta(xattrs=b"".join(
        xattr(b"user.%02d" % n, bytes(65536)) for n in range(16))),
}


@pytest.mark.parametrize("what", GOOD_METAS)
def test_good_metadata_is_read_and_written_alike(what):
    cursor = reader.Cursor(GOOD_METAS[what])
    meta = reader.parse_meta(cursor)
    cursor.end()
    assert reader.encode_meta(meta) == GOOD_METAS[what]


@pytest.mark.parametrize("what", BAD_METAS)
def test_bad_metadata_is_refused(what):
    with pytest.raises(reader.Fault):
        reader.parse_node(node_with(entry_bytes("p", b"n", BAD_METAS[what])))


EMPTY = struct.pack(">Q", 0)
GOOD_ENTRIES = {
    "file": entry_bytes("f", b"n", body_bytes(PLAIN)),
    "empty file": entry_bytes("f", b"n", raw_meta() + EMPTY + sha(b"")),
    "longest name": entry_bytes("p", b"\xff" * 255, raw_meta()),
    "longest target": entry_bytes("l", b"n", raw_meta(0o777) + struct.pack(">H", 4095)
                                  + b"t" * 4095),
    "three dots": entry_bytes("s", b"...", raw_meta()),
    "device": entry_bytes("b", b"n", raw_meta() + struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF)),
    "directory": entry_bytes("d", b"n", bytes(76)),
}
BAD_ENTRIES = {
    "unknown kind": entry_bytes("x", b"n", raw_meta()),
    "no name": entry_bytes("p", b"", raw_meta()),
    "dot": entry_bytes("p", b".", raw_meta()),
    "two dots": entry_bytes("p", b"..", raw_meta()),
    "slash": entry_bytes("p", b"a/b", raw_meta()),
    "NUL": entry_bytes("p", b"a\0", raw_meta()),
    "size 0 with content": entry_bytes("f", b"n", raw_meta() + EMPTY + sha(b"x")),
    "size 1 without": entry_bytes("f", b"n", raw_meta() + struct.pack(">Q", 1) + sha(b"")),
    "symlink with another mode": entry_bytes("l", b"n", raw_meta(0o755) + b"\0\1t"),
    "empty target": entry_bytes("l", b"n", raw_meta(0o777) + b"\0\0"),
    "target with NUL": entry_bytes("l", b"n", raw_meta(0o777) + b"\0\2t\0"),
    "target too long": entry_bytes("l", b"n", raw_meta(0o777) + struct.pack(">H", 4096)
                                   + b"t" * 4096),
    "cut device": entry_bytes("c", b"n", raw_meta() + bytes(7)),
    "unknown oddity": entry_bytes("d", b"n", bytes(75) + b"\x08"),
}


@pytest.mark.parametrize("what", GOOD_ENTRIES)
def test_good_entry_is_read_and_written_alike(what):
    data = node_with(GOOD_ENTRIES[what])
    assert reader.encode_node(reader.parse_node(data)) == data


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_bad_entry_is_refused(what):
    with pytest.raises(reader.Fault):
        reader.parse_node(node_with(BAD_ENTRIES[what]))


@pytest.mark.parametrize("data", [
    pytest.param(node_bytes(PLAIN, [], [])[:-4] + struct.pack(">I", 16777217), id="entries"),
    pytest.param(node_bytes(PLAIN, [], [])[:-8] + struct.pack(">I", 0xFFFFFFFF), id="blocks"),
    pytest.param(b"", id="nothing"),
])
def test_bad_counts_are_refused(data):
    with pytest.raises(reader.Fault):
        reader.parse_node(data)


def test_counts_that_lie_cost_nothing():
    with pytest.raises(reader.Fault):
        reader.parse_block(b"pleach group 1\n" + b"\xff" * 4)
    with pytest.raises(reader.Fault):
        reader.parse_block(b"pleach group 1\n" + b"\0\0\0\1" + b"\xff" * 4)


# Texts

TAG = [b"ref-id " + REF_ID, b"name v1", b"generation 1", b"tree sha256:" + b"0" * 64,
       b"time 2024-02-29T12:34:56.000000000Z"]
BAD_TAGS = {
    "line twice": [TAG[0], *TAG],
    "line missing": TAG[1:],
    "lines out of order": [TAG[1], TAG[0], *TAG[2:]],
    "unknown line": [*TAG, b"colour blue"],
    "line without a space": [*TAG[:-1], b"time"],
    "leading zero": [*TAG[:2], b"generation 01", *TAG[3:]],
    "sign": [*TAG[:2], b"generation +1", *TAG[3:]],
    "no number": [*TAG[:2], b"generation ", *TAG[3:]],
    "number too large": [*TAG[:2], b"generation 18446744073709551616", *TAG[3:]],
    "id of another algorithm": [*TAG[:3], b"tree sha512:" + b"0" * 64, TAG[4]],
    "id in upper case": [*TAG[:3], b"tree sha256:" + b"A" * 64, TAG[4]],
    "short id": [*TAG[:3], b"tree sha256:" + b"0" * 63, TAG[4]],
    "day that there was not": [*TAG[:4], b"time 2023-02-29T12:34:56.000000000Z"],
    "time without nanoseconds": [*TAG[:4], b"time 2024-02-29T12:34:56Z"],
    "time of a zone": [*TAG[:4], b"time 2024-02-29T12:34:56.000000000+01:00"],
    "name with a slash": [TAG[0], b"name a/b", *TAG[2:]],
    "name of a lock": [TAG[0], b"name a.lock", *TAG[2:]],
    "escape of what needs none": [TAG[0], b"name %761", *TAG[2:]],
    "escape in upper case": [TAG[0], b"name v%0A", *TAG[2:]],
    "half an escape": [TAG[0], b"name v%2", *TAG[2:]],
    "tabulator": [TAG[0], b"name\tv1", *TAG[2:]],
    "empty line": [*TAG, b""],
}


@pytest.mark.parametrize("what", BAD_TAGS)
def test_bad_text_with_a_right_sum_is_refused(what):
    with pytest.raises(reader.Fault):
        reader.parse_text("tag", text(b"tag", *BAD_TAGS[what]))


def test_good_text_is_read():
    assert reader.parse_text("tag", text(b"tag", *TAG))["name"] == b"v1"


@pytest.mark.parametrize("lines", [
    [b"set b 1", b"set a 1"], [b"set a 1", b"set a 2"], [b"set a"], [b"set  1"],
    [b"set share all"], [b"set metadata none"]])
def test_bad_settings_are_refused(lines):
    with pytest.raises(reader.Fault):
        reader.parse_text("settings", text(b"settings", *lines))


BAD_GENERATIONS = {
    "of another ref": ({b"ref": b"other"}, ()),
    "of another ref id": ({b"ref-id": b"1" * 24}, ()),
    "of another number": ({b"generation": b"4"}, ()),
    "of another parent": ({b"parent": b"1"}, ()),
    "of a kind that there is not": ({b"kind": b"reset"}, ()),
    "of a uid that is none": ({b"uid": b"4294967295"}, ()),
    "dropped with another tree": ({b"kind": b"dropped"}, ()),
    "with an empty message": ({}, (b"message ",)),
    "with a long message": ({}, (b"message " + b"m" * 65537,)),
    "with two messages": ({}, (b"message a", b"message b")),
    "with meta before its message": ({}, (b"meta k=v", b"message a")),
    "with meta without a key": ({}, (b"meta =v",)),
    "with a tree that is not there": ({b"tree": b"sha256:" + b"0" * 64}, ()),
}


@pytest.mark.parametrize("what", BAD_GENERATIONS)
def test_bad_generation_with_a_right_sum_is_found(tiny, what):
    other, more = BAD_GENERATIONS[what]
    tiny.writer.generation(b"site", 3, tiny.second, more=more, other=other)
    assert faults_of(tiny)


def test_dropped_ref_needs_nothing_placed(tiny):
    tiny.writer.generation(b"site", 4, tiny.second, kind=b"dropped")
    os.unlink(os.path.join(tiny.writer.path, b"site"))
    assert faults_of(tiny) == []
    assert {line["state"] for line in reader.list_log(tiny.writer.path, "site")} == {"dropped"}


def test_record_after_a_dropped_one_is_found(tiny):
    tiny.writer.generation(b"site", 4, tiny.second, kind=b"dropped")
    tiny.writer.generation(b"site", 5, tiny.second)
    assert faults_of(tiny)


def test_newer_format_is_told_and_nothing_else_read(tiny):
    tiny.writer.put(b"config", b"pleach-store 2\nanything\n")
    os.unlink(tiny.placed(b"fifo"))
    faults = faults_of(tiny)
    assert len(faults) == 1
    assert "version 2" in faults[0]


@pytest.mark.parametrize("spoil", [
    lambda data: data[:16] + struct.pack(">Q", 15) + data[24:],
    lambda data: data[:16] + struct.pack(">Q", 2 ** 63) + data[24:],
    lambda data: data[:-33] + sha(data[:-33]),
])
def test_bad_filter_is_refused(spoil):
    reader.check_filter(filter_bytes(16))
    with pytest.raises(reader.Fault):
        reader.check_filter(spoil(filter_bytes(16)))


def test_incomplete_last_claim_is_passed_over():
    assert reader.parse_claims(b"o" + b"\1" * 32 + b"n" + bytes(31)) == [("o", b"\1" * 32)]
    assert len(reader.parse_claims(b"o" + bytes(32) + b"t" + bytes(32))) == 2
    with pytest.raises(reader.Fault):
        reader.parse_claims(b"x" + bytes(32))
