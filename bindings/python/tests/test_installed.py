"""The package as others get it: types, installation from a checkout and from an sdist without any
network, and finding the library. PLEACH_LIBRARY is the path of libpleach.
"""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from prepared import BINDING, ROOT, SRC, fixture_root, needs_library, pleach  # noqa: F401

from pleach import _abi, _library  # noqa: E402

LIBRARY = os.environ.get("PLEACH_LIBRARY", "")

EXAMPLE = """
import pleach, pathlib
pathlib.Path("docs").mkdir()
pathlib.Path("docs/file").write_text("content")
with pleach.Store.init("store") as store:
    print(store["site"].publish("docs").added, store["site"].read_text("file"), pleach.__file__)
"""

TYPED = """
import pathlib
from typing import Iterator, Optional
import pleach

def heads(store: pleach.Store) -> Iterator[int]:
    for ref in store:
        yield ref.head

def main() -> None:
    with pleach.Store("x") as store, store.transaction("site", message=b"m") as tx:
        directory: pathlib.Path = tx.path
        tx.put(directory / "x", b"", mode=0o644)
        result: Optional[pleach.Publication] = tx.result
        with store["site"] as reader:
            names: list[str] = reader.listdir()
            line: str = reader.open("x").readline()
            block: bytes = reader.open("x", "rb").read()
        text: str = store["site"].open("x").read()
        data: bytes = store["site"][1].open("x", "rb").read()
        for entry in store["site"].tree.ls(recursive=True):
            kind: pleach.EntryType = entry.type
    try:
        pass
    except pleach.ConflictError as error:
        paths: list[str] = [conflict.path for conflict in error.conflicts]
"""


def find_mypy():
    """The command of a Python that has mypy, which need not be this one."""
    if importlib.util.find_spec("mypy"):
        return [sys.executable, "-m", "mypy"]
    return [shutil.which("mypy")] if shutil.which("mypy") else None


def mypy(*arguments, env=None):
    command = find_mypy()
    if not command:
        pytest.skip("mypy was not found")
    return subprocess.run([*command, "--strict", "--cache-dir", os.devnull, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env={**os.environ, **(env or {})})


def test_package_is_typed_to_the_letter():
    done = mypy("--config-file", BINDING / "pyproject.toml", SRC / "pleach")
    assert done.returncode == 0, done.stdout


def test_types_are_seen_by_who_uses_the_package(root):
    program = root / "program.py"
    program.write_text(TYPED)
    done = mypy("--config-file", os.devnull, program, env={"MYPYPATH": os.fspath(SRC)})
    assert done.returncode == 0, done.stdout
    program.write_text(TYPED.replace("yield ref.head", "yield ref.name"))
    assert mypy("--config-file", os.devnull, program, env={"MYPYPATH": os.fspath(SRC)}).returncode


def test_syntax_is_that_of_the_oldest_python():
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', (BINDING / "pyproject.toml").read_text())
    for path in SRC.rglob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, int(oldest.group(1))))


def test_versions_agree():
    said = re.search(r'^version = "(.*)"', (BINDING / "pyproject.toml").read_text(), re.MULTILINE)
    meson = re.search(r"^  version: '(.*)'", (ROOT / "meson.build").read_text(), re.MULTILINE)
    assert said.group(1) == meson.group(1) == pleach.__version__


# ---- installation ----


def copied(root):
    """The binding in a place of its own: a build writes beside its source."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
    return shutil.copytree(BINDING, root / "binding", ignore=ignored)


def need(*modules):
    for module in modules:
        if not importlib.util.find_spec(module):
            pytest.skip(f"this python has no {module}")


def pip_install(what, target):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps",
         "--no-index", "--disable-pip-version-check", "--target", target, what],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "PIP_NO_CACHE_DIR": "1"})
    assert done.returncode == 0, done.stdout


def assert_works(target, root):
    done = subprocess.run(
        [sys.executable, "-c", EXAMPLE], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, check=False, env={**os.environ, "PYTHONPATH": os.fspath(target)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1 content {target / 'pleach' / '__init__.py'}\n"
    installed = {path.name for path in (target / "pleach").iterdir()} - {"__pycache__"}
    assert installed == {path.name for path in (SRC / "pleach").iterdir()} - {"__pycache__"}
    assert "py.typed" in installed


@needs_library
def test_pip_installs_from_a_checkout(root):
    need("pip", "setuptools", "wheel")
    pip_install(copied(root), root / "target")
    assert_works(root / "target", root)


@needs_library
def test_pip_installs_from_an_sdist(root):
    need("pip", "setuptools", "wheel")
    done = subprocess.run(
        [sys.executable, "-c", "import setuptools.build_meta as b, sys; print(b.build_sdist('.'))"],
        cwd=copied(root), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sdist = root / "binding" / done.stdout.splitlines()[-1]
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "pyproject.toml", "src/pleach/py.typed"} <= names
    pip_install(sdist, root / "target")
    assert_works(root / "target", root)


# ---- the library ----


def imported(library, code="pleach.library_version()", **environment):
    environment = {**os.environ, "PYTHONPATH": os.fspath(SRC), **environment}
    environment.pop("PLEACH_LIBRARY")
    if library is not None:
        environment["PLEACH_LIBRARY"] = library
    done = subprocess.run([sys.executable, "-c", f"import pleach; print({code})"], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip(), done.stderr


@needs_library
def test_library_is_found_as_the_dynamic_linker_finds_it():
    folder = os.path.dirname(LIBRARY)
    assert imported(None, LD_LIBRARY_PATH=folder) == (pleach.__version__, "")
    assert imported("libpleach.so.0", LD_LIBRARY_PATH=folder) == (pleach.__version__, "")


@needs_library
def test_library_that_is_not_found_is_an_error_that_says_what_to_do():
    _, err = imported("/nowhere/libpleach.so.0")
    assert "LibraryNotFoundError" in err and "/nowhere/libpleach.so.0" in err
    for word in ("PLEACH_LIBRARY", _abi.SONAME, "meson install", "ldconfig"):
        assert word in err
    out, err = imported("/nowhere/libpleach.so.0", "pleach.Store")
    assert out and not err  # importing needs no library
    _, err = imported("libc.so.6")
    assert "libc.so.6 is not libpleach" in err


def test_older_library_is_told_by_the_function_that_it_lacks():
    class Old:
        @staticmethod
        def pleach_version():
            return b"0.0.9"

    library = _library.Library(Old(), "old")
    with pytest.raises(NotImplementedError, match="libpleach 0.0.9, which has no pleach_gc"):
        library.pleach_gc
