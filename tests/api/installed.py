"""The library as others get it: installed somewhere, found with pkg-config, used from C and C++.

The exported symbols are the functions of pleach.h and no others. Programs here and in examples/ are
compiled against what `meson install` puts down, with warnings as errors, and run. PLEACH_BUILD_ROOT
is the build directory, PLEACH_SOURCE_ROOT the checkout.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ.get("PLEACH_SOURCE_ROOT", pathlib.Path(__file__).parents[2]))
BUILD = os.environ.get("PLEACH_BUILD_ROOT", "")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]

pytestmark = [
    pytest.mark.skipif(not BUILD, reason="PLEACH_BUILD_ROOT is not set"),
    pytest.mark.skipif(not shutil.which("meson"), reason="meson was not found"),
]


def run(*command, **options):
    """Runs it, and fails with all that it printed unless it ends with 0. Returns its output."""
    done = subprocess.run(
        [os.fspath(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True, timeout=300, check=False, **options)
    if done.returncode != 0:
        pytest.fail(f"{command}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}",
                    pytrace=False)
    return done.stdout


class Installation:
    """The library installed below a directory of the test's own."""

    def __init__(self, root):
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root)
        pc_file, = root.rglob("pleach.pc")
        prefix = re.search(r"^prefix=(.*)$", pc_file.read_text(encoding="utf-8"), re.MULTILINE)
        self.prefix = root / prefix.group(1).lstrip("/")
        self.library, = root.rglob("libpleach.so.0")
        self.header = self.prefix / "include" / "pleach.h"
        self.environment = {**os.environ, "PKG_CONFIG_PATH": os.fspath(pc_file.parent),
                            "LD_LIBRARY_PATH": os.fspath(self.library.parent)}

    def pkg_config(self, *options):
        # The prefix is where it would be without --destdir: here it lies below.
        return run("pkg-config", f"--define-variable=prefix={self.prefix}", *options, "pleach",
                   env=self.environment).split()

    def build(self, compiler, source, program, *options):
        run(*os.environ.get(compiler.upper().replace("+", "X"), compiler).split(), *options,
            *STRICT, source, "-o", program, *self.pkg_config("--cflags", "--libs"))
        return program

    def run(self, *command):
        return run(*command, env=self.environment)


@pytest.fixture(name="installed", scope="module")
def fixture_installed(tmp_path_factory):
    return Installation(tmp_path_factory.mktemp("installed"))


@pytest.fixture(name="source")
def fixture_source(tmp_path):
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "a").write_text("one", encoding="utf-8")
    return directory


def declared_functions(header):
    text = re.sub(r"/\*.*?\*/", " ", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    return sorted(re.findall(r"^PLEACH_API\b[^;(]*?\b(\w+)\s*\(", text, re.MULTILINE))


def test_exported_symbols_are_the_functions_of_the_header(installed):
    """Also: what nm finds is no empty list, and each function is declared once."""
    exported = []
    for line in run("nm", "-D", "--defined-only", installed.library).splitlines():
        name, kind = line.split()[-1], line.split()[-2]
        if kind != "A":  # the name of the version itself
            exported.append((name.split("@")[0], kind))
    declared = declared_functions(installed.header)
    assert len(declared) > 50
    assert sorted(name for name, _ in exported) == declared
    assert {kind for _, kind in exported} == {"T"}


@pytest.mark.parametrize("compiler, standard, suffix", [("cc", "c99", ".c"), ("c++", "c++11", ".cc")])
def test_every_init_macro_compiles_without_a_warning(installed, tmp_path, compiler, standard, suffix):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} was not found")
    header = installed.header.read_text(encoding="utf-8")
    macros = re.findall(r"#define (PLEACH_\w+_INIT)\b[^#]*?sizeof\((struct \w+)\)", header)
    assert len(macros) == header.count("\tsize_t size;") - 1  # pleach_progress is the library's own
    program = tmp_path / ("init" + suffix)
    program.write_text("#include <pleach.h>\nint main(void)\n{\n" + "".join(
        f"\t{{ {struct} s = {macro}; if (s.size != sizeof(s)) return 1; }}\n"
        for macro, struct in macros) + "\treturn 0;\n}\n", encoding="utf-8")
    installed.run(installed.build(compiler, program, tmp_path / "init", f"-std={standard}"))


def test_library_has_its_soname_and_symbol_version(installed):
    headers = run("readelf", "-d", installed.library)
    assert "[libpleach.so.0]" in headers
    assert "PLEACH_0" in run("readelf", "-V", installed.library)


@pytest.mark.parametrize("compiler, standard", [("cc", "c99"), ("cc", "c17")])
def test_c_program_against_the_installed_library(installed, source, tmp_path, compiler, standard):
    program = installed.build(compiler, SOURCE / "tests" / "api" / "lifecycle.c",
                              tmp_path / "lifecycle", f"-std={standard}")
    version = installed.run(program, tmp_path / "store", source).strip()
    assert [version] == installed.pkg_config("--modversion")


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
def test_cxx_program_against_the_installed_library(installed, source, tmp_path, standard):
    if not shutil.which("c++"):
        pytest.skip("c++ was not found")
    program = installed.build("c++", SOURCE / "tests" / "api" / "lifecycle.cc",
                              tmp_path / "lifecycle", f"-std={standard}")
    version = installed.run(program, tmp_path / "store", source).strip()
    assert [version] == installed.pkg_config("--modversion")


@pytest.mark.parametrize("compiler, options", [
    ("cc", ["-std=c99", "-D_POSIX_C_SOURCE=200809L"]), ("cc", ["-std=gnu17"]),
    ("c++", ["-xc++", "-std=c++11"]), ("c++", ["-xc++", "-std=c++20"])])
def test_transactions_against_the_installed_library(installed, tmp_path, compiler, options):
    """One source, which is C and C++."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} was not found")
    program = installed.build(compiler, SOURCE / "tests" / "api" / "transaction.c",
                              tmp_path / "transaction", *options)
    version = installed.run(program, tmp_path / "store").strip()
    assert [version] == installed.pkg_config("--modversion")


def test_examples_run(installed, source, tmp_path):
    store = tmp_path / "store"
    publish = installed.build("cc", SOURCE / "examples" / "publish.c", tmp_path / "publish")
    read = installed.build("cc", SOURCE / "examples" / "read_pinned.c", tmp_path / "read_pinned")
    said = installed.run(publish, store, "site", source)
    assert said == "site@1: 1 added, 0 modified, 0 removed\n"
    assert installed.run(publish, store, "site", source) == "site@1 unchanged\n"
    (source / "a").write_text("two", encoding="utf-8")
    said = installed.run(publish, store, "site", source)
    assert said == "site@2: 0 added, 1 modified, 0 removed\n"
    assert installed.run(read, store, "site", "a") == "two"
    assert installed.run(read, store, "site@1", "a") == "one"
    assert (store / "site" / "a").read_text(encoding="utf-8") == "two"


def test_examples_pass_errors_on(installed, source, tmp_path):
    publish = installed.build("cc", SOURCE / "examples" / "publish.c", tmp_path / "publish")
    done = subprocess.run([publish, tmp_path / "store", "no ref", source], check=False,
                          stderr=subprocess.PIPE, text=True, env=installed.environment, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("publish: ")
    assert "\nhint: " in done.stderr
