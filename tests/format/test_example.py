"""The worked example of docs/format.md, recomputed from its fields with the reader's functions.

The fields are stated here a second time, as values; the hex is only compared, never copied.
"""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import reader  # noqa: E402
from reader import Cursor, Entry, Meta, Node, sha256  # noqa: E402

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "format.md"
HEX_LINE = re.compile(r"    ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: {2,}\S.*)?$")
ID_ROW = re.compile(r"\| (.*) \| `([0-9a-f]{64})` \|$")

HELLO_META = Meta(0o644, 1000, 1000, 1709210096, 789012345, ((b"user.note", b"hi"),))
PAIR_META = Meta(0o4755, 1000, 1000, 1700000000, 5)
HELLO = Entry("f", b"hello", HELLO_META, size=6, content=sha256(b"hello\n"))
PAIR = Entry("f", b"pair", PAIR_META, size=5, content=sha256(b"pair\n"))
SUB_NODE = Node(Meta(0o750, 1000, 100, 1700000001, 0), [], [PAIR._replace(name=b"twin")])
GROUPS = [[b"pair", b"sub/twin"]]
SUB_BYTES = reader.encode_node(SUB_NODE)
BLOCKS = reader.encode_blocks(GROUPS)
ROOT_NODE = Node(Meta(0o755, 1000, 1000, 1700000002, 0), [sha256(block) for block in BLOCKS], [
    Entry("f", b"empty", Meta(0o600, 1000, 1000, 1700000000, 0), content=sha256(b"")),
    HELLO,
    Entry("l", b"link", Meta(0o777, 1000, 1000, -1, 500000000), target=b"hello"),
    PAIR,
    Entry("d", b"sub", node=sha256(SUB_BYTES), totals=reader.totals_of(SUB_NODE, 0)),
])
ROOT_BYTES = reader.encode_node(ROOT_NODE)

DUMPS = {
    "Metadata of `hello`": reader.encode_meta(HELLO_META),
    "What the object id of `hello` is the hash of":
        reader.object_input(HELLO_META, 6, HELLO.content),
    "What the object id of `pair` and `sub/twin` is the hash of":
        reader.object_input(PAIR_META, 5, PAIR.content),
    "Node of `sub`": SUB_BYTES,
    "Group block of the root": BLOCKS[0],
    "Node of the root": ROOT_BYTES,
}
IDS = {
    "object of `hello`": reader.object_id(HELLO_META, 6, HELLO.content),
    "object of `pair` and `sub/twin`": reader.object_id(PAIR_META, 5, PAIR.content),
    "node of `sub`": sha256(SUB_BYTES),
    "group block": sha256(BLOCKS[0]),
    "node of the root, the tree id": sha256(ROOT_BYTES),
}


def example():
    """Returns the page's dumps by title, ids by name, and the record's text."""
    text = PAGE.read_text(encoding="utf-8").split("## Worked example\n", 1)[1]
    dumps, ids, record, title = {}, {}, [], None
    for line in text.splitlines():
        heading = re.match(r"\*\*(.*?)\*\*", line)
        row = ID_ROW.match(line)
        hexes = HEX_LINE.match(line)
        if heading:
            title = heading.group(1)
        elif row:
            ids[row.group(1)] = bytes.fromhex(row.group(2))
        elif hexes:
            dumps[title] = dumps.get(title, b"") + bytes.fromhex(hexes.group(1))
        elif line.startswith("    "):
            record.append(line[4:] + "\n")
    return dumps, ids, "".join(record).encode()


def test_the_page_has_each_dump_and_id():
    dumps, ids, _ = example()
    assert set(dumps) == set(DUMPS)
    assert set(ids) == set(IDS)


@pytest.mark.parametrize("title", DUMPS)
def test_dump_is_what_the_fields_encode_to(title):
    assert example()[0][title].hex(" ") == DUMPS[title].hex(" ")


@pytest.mark.parametrize("name", IDS)
def test_id_is_what_the_fields_hash_to(name):
    assert example()[1][name].hex() == IDS[name].hex()


def test_dumps_parse_to_the_fields():
    dumps, _, _ = example()
    cursor = Cursor(dumps["Metadata of `hello`"])
    assert reader.parse_meta(cursor) == HELLO_META
    cursor.end()
    assert reader.parse_node(dumps["Node of `sub`"]) == SUB_NODE
    assert reader.parse_node(dumps["Node of the root"]) == ROOT_NODE
    assert reader.parse_block(dumps["Group block of the root"]) == GROUPS


def test_totals_of_the_root_are_as_told():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    totals = reader.totals_of(ROOT_NODE, len(GROUPS))
    told = ", ".join(f"{key} {value}" for key, value in totals._asdict().items())
    assert f"in `totals`: {told}." in text


def test_record_is_what_its_fields_encode_to():
    _, ids, record = example()
    tree = ids["node of the root, the tree id"]
    pairs = [
        ("ref", b"site"), ("ref-id", b"0123456789abcdef01234567"), ("generation", b"1"),
        ("parent", b"0"), ("tree", b"sha256:" + tree.hex().encode()), ("kind", b"publish"),
        ("time", b"2024-02-29T12:35:00.000000001Z"), ("uid", b"1000"), ("user", b"ann"),
        ("host", b"build"), ("added", b"6"), ("modified", b"0"), ("removed", b"0"),
        ("bytes-new", b"11"), ("message", b"first: 100% of it\nand a second line"),
        ("meta", b"ticket=17"),
    ]
    assert record == reader.encode_text("generation", pairs)
    parsed = reader.parse_text("generation", record)
    assert parsed["tree"] == sha256(ROOT_BYTES)
    assert parsed["message"] == b"first: 100% of it\nand a second line"
    assert parsed["meta"] == [(b"ticket", b"17")]
