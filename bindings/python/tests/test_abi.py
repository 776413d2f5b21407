"""What the binding says of the ABI is what include/pleach.h says: every constant, struct, default and
function. One that the header has and the binding lacks, or the other way round, fails; what is left
out on purpose stands here, with the reason.
"""

import ast
import ctypes
import os
import re
import shutil
import subprocess

import pytest

from prepared import ROOT, SRC, needs_library, pleach

from pleach import _abi  # noqa: E402

HEADER = ROOT / "include" / "pleach.h"

# Functions of the header that the binding does not call: name: reason.
LEFT_OUT = {
    "pleach_tx_path": "TxInfo.path of pleach_tx_describe() is the same",
}
# Constants that mean nothing outside of C.
NO_CONSTANTS = {"PLEACH_H", "PLEACH_API"}

SCALARS = {
    "int": ctypes.c_int, "unsigned": ctypes.c_uint, "char": ctypes.c_char,
    "size_t": ctypes.c_size_t, "ssize_t": ctypes.c_ssize_t, "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64, "uint32_t": ctypes.c_uint32, "unsigned char": ctypes.c_ubyte,
}  # fmt: skip

needs_compiler = pytest.mark.skipif(not shutil.which("cc"), reason="cc was not found")


def header():
    text = HEADER.read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return text.replace("\\\n", " ")


def enums():
    """The constants of the enums."""
    names = []
    for body in re.findall(r"\benum \w+ \{(.*?)\}", header(), re.DOTALL):
        names += re.findall(r"\b(PLEACH_\w+)\b", body)
    return names


def macros():
    """The constants that are macros: without parameters, and no struct's INIT."""
    names = re.findall(r"^#define (PLEACH_\w+)(?![\w(])", header(), re.MULTILINE)
    return [n for n in dict.fromkeys(names) if n not in NO_CONSTANTS and not n.endswith("_INIT")]


def inits():
    """{struct: INIT macro}"""
    found = re.findall(r"#define (PLEACH_\w+_INIT)\b[^#]*?sizeof\(struct (\w+)\)", header())
    return {struct: macro for macro, struct in found}


def structs():
    """{struct: its fields, in order}"""
    found = {}
    for name, body in re.findall(r"\bstruct (pleach_\w+) \{(.*?)^\}", header(), re.DOTALL | re.MULTILINE):
        fields = []
        for declaration in body.split(";"):
            for part in declaration.split(","):
                match = re.search(r"(\w+)\s*(\[[^\]]*\])?\s*$", part.strip())
                if match:
                    fields.append(match.group(1))
        found[name] = fields
    return found


def opaque():
    """The structs whose fields only the library knows."""
    return set(re.findall(r"^struct (\w+);", header(), re.MULTILINE))


def prototypes():
    """{function: (result, [parameter, ...])}, types as text without names and const."""
    found = {}
    for text in re.findall(r"^PLEACH_API\b(.*?);", header(), re.DOTALL | re.MULTILINE):
        match = re.match(r"(.*?)(\w+)\s*\((.*)\)\s*$", " ".join(text.split()))
        result, name, parameters = match.groups()
        listed = [] if parameters.strip() in ("void", "") else parameters.split(",")
        found[name] = (plain(result), [plain(part, is_named=True) for part in listed])
    return found


def plain(text, is_named=False):
    text = re.sub(r"\bconst\b|\bvolatile\b", " ", text)
    if is_named:
        text, is_array = re.subn(r"\w+\s*\[[^\]]*\]\s*$", "*", text)
        if not is_array:
            text = re.sub(r"\w+\s*$", "", text)
        elif text.rstrip("* ").endswith("char") and "*" in text[:-1]:
            pass  # char *const argv[]: a list of strings
    return " ".join(text.replace("*", " * ").split())


def accepted(text):
    """The ctypes that stand for a type of C."""
    if text == "void":
        return {None}
    if text == "pleach_progress_fn":
        return {_abi.PROGRESS_FN}
    if text in SCALARS:
        return {SCALARS[text]}
    base, stars = text.replace("*", "").strip(), text.count("*")
    assert stars, text
    if base == "char":
        if stars == 1:
            return {ctypes.c_char_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char)}
        return {ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_void_p)}
    if base == "void":
        return {ctypes.c_void_p}
    if base in SCALARS:
        return {ctypes.POINTER(SCALARS[base])}
    name = base.removeprefix("struct ")
    if name in opaque():
        return {ctypes.c_void_p if stars == 1 else ctypes.POINTER(ctypes.c_void_p)}
    return {ctypes.POINTER(_abi.STRUCTS[name])}


def measure(directory):
    """What a C program says of constants, structs and defaults."""
    lines = []
    for name in [*enums(), *macros()]:
        lines.append(f'printf("constant {name} %lld\\n", (long long)({name}));')
    for name, fields in structs().items():
        lines.append(f'printf("size {name} %zu\\n", sizeof(struct {name}));')
        for field in fields:
            member = f"((struct {name} *)0)->{field}"
            lines.append(f'printf("field {name}.{field} %zu %zu\\n", offsetof(struct {name}, {field}), '
                         f"sizeof({member}));")
    for name, macro in inits().items():
        lines.append(f"{{ static struct {name} s = {macro}; dump(\"{name}\", &s, sizeof(s)); }}")
    program = directory / "measure.c"
    program.write_text(
        '#include <pleach.h>\n#include <stddef.h>\n#include <stdio.h>\n'
        "static void dump(const char *name, const void *data, size_t size)\n{\n"
        '\tprintf("default %s ", name);\n'
        "\tfor (size_t i = 0; i < size; i++)\n"
        '\t\tprintf("%02x", ((const unsigned char *)data)[i]);\n\tprintf("\\n");\n}\n'
        "int main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n", encoding="utf-8")
    binary = program.with_suffix("")
    subprocess.run(["cc", "-std=c17", "-I", HEADER.parent, program, "-o", binary], check=True)
    said = subprocess.run([binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {"constant": {}, "size": {}, "field": {}, "default": {}}
    for line in said.splitlines():
        kind, name, *values = line.split()
        found[kind][name] = values
    return found


@pytest.fixture(name="measured", scope="module")
def fixture_measured(tmp_path_factory):
    return measure(tmp_path_factory.mktemp("abi"))


def test_header_is_read():
    """The parsing above finds what there is."""
    assert len(enums()) > 25 and len(macros()) > 8 and len(inits()) > 25
    assert len(structs()) > 30 and len(prototypes()) > 80 and len(opaque()) > 10
    assert "PLEACH_CLASH_LAST" in enums() and "PLEACH_SET_XATTRS" in macros()
    assert structs()["pleach_entry"][10:12] == ["rdev_major", "rdev_minor"]
    assert prototypes()["pleach_file_read"] == (
        "ssize_t", ["struct pleach_file *", "void *", "size_t", "struct pleach_error *"])
    assert HEADER.read_text(encoding="utf-8").count("\nPLEACH_API ") == len(prototypes())


@needs_compiler
def test_constants_are_those_of_the_header(measured):
    ours = {n: v for n, v in vars(_abi).items() if n.startswith("PLEACH_")}
    assert ours == {name: int(value) for name, (value,) in measured["constant"].items()}


@needs_compiler
def test_structs_are_those_of_the_header(measured):
    assert set(_abi.STRUCTS) == set(structs())
    for name, struct in _abi.STRUCTS.items():
        assert ctypes.sizeof(struct) == int(measured["size"][name][0]), name
        assert [field for field, _ in struct._fields_] == structs()[name], name
        for field, _ in struct._fields_:
            ours = getattr(struct, field)
            assert [ours.offset, ours.size] == list(map(int, measured["field"][f"{name}.{field}"])), (
                name, field)


@needs_compiler
def test_defaults_are_those_of_the_header(measured):
    sized = {n for n, struct in _abi.STRUCTS.items() if issubclass(struct, _abi.Sized)}
    assert set(measured["default"]) == sized - {"pleach_progress"}  # the library's own
    for name, (data,) in measured["default"].items():
        assert bytes(_abi.STRUCTS[name].new()).hex() == data, name


def test_every_function_of_the_header_is_bound():
    assert set(_abi.FUNCTIONS) == set(prototypes())


def test_functions_have_the_types_of_the_header():
    for name, (result, parameters) in prototypes().items():
        ours_result, ours = _abi.FUNCTIONS[name]
        assert ours_result in accepted(result), name
        assert len(ours) == len(parameters), name
        for number, (theirs, our) in enumerate(zip(parameters, ours)):
            assert our in accepted(theirs), (name, number, theirs, our)


def names_used():
    """The functions that the package names in calls: strings, attributes, and the three of a list."""
    used = set()
    for path in (SRC / "pleach").glob("*.py"):
        if path.name == "_abi.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("pleach_"):
                used.add(node.attr)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if re.fullmatch(r"pleach_\w+", node.value):
                    used |= {node.value, *(node.value + end for end in ("_open", "_next", "_close"))}
    return used


def test_every_function_is_used_or_left_out_with_a_reason():
    """So that no function of the header is forgotten."""
    unused = set(prototypes()) - names_used()
    assert unused == set(LEFT_OUT), "use it, or add it to LEFT_OUT with the reason"
    assert all(LEFT_OUT.values())


def fields_used():
    used = set()
    for path in (SRC / "pleach").glob("*.py"):
        if path.name == "_abi.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.keyword):
                used.add(node.arg)
            elif isinstance(node, ast.Constant):
                used.add(node.value)
    return used


def test_every_field_is_used():
    """So that no field that the header gets is forgotten either. By its name alone."""
    used = fields_used() | {"size", "progress_userdata"}
    for name, fields in structs().items():
        unused = set(fields) - used
        assert not unused, (name, unused)


@pytest.mark.parametrize("added, test", [
    ("PLEACH_API int pleach_new(struct pleach_store *store);",
     lambda measured: test_every_function_of_the_header_is_bound()),
    ("#define PLEACH_NEW 1", test_constants_are_those_of_the_header),
    ("enum pleach_new { PLEACH_NEW };", test_constants_are_those_of_the_header),
    ("struct pleach_new {\n\tsize_t size;\n};", test_structs_are_those_of_the_header),
])
@needs_compiler
def test_what_the_header_gets_makes_these_tests_fail(added, test, tmp_path, monkeypatch):
    changed = tmp_path / "pleach.h"
    text = HEADER.read_text(encoding="utf-8")
    changed.write_text(text.replace("#ifdef __cplusplus\n}", added + "\n#ifdef __cplusplus\n}"))
    monkeypatch.setitem(globals(), "HEADER", changed)
    with pytest.raises(AssertionError):
        test(measure(tmp_path))


@needs_library
def test_soname_and_version_are_those_of_the_library():
    library = os.environ["PLEACH_LIBRARY"]
    said = subprocess.run(["readelf", "-d", library], stdout=subprocess.PIPE, text=True, check=False)
    if said.returncode == 0:
        assert f"[{_abi.SONAME}]" in said.stdout
    version = ".".join(str(getattr(_abi, f"PLEACH_VERSION_{part}")) for part in ("MAJOR", "MINOR", "PATCH"))
    assert pleach.library_version() == version == pleach.__version__
