"""What the tests of the binding work with: the package of this checkout, and a store in a directory
of the test's own, with two generations of a ref. PLEACH_LIBRARY is the path of libpleach.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

BINDING = pathlib.Path(__file__).resolve().parent.parent
ROOT = BINDING.parent.parent
SRC = BINDING / "src"
sys.path.insert(0, os.fspath(SRC))

needs_library = pytest.mark.skipif(
    not os.environ.get("PLEACH_LIBRARY"), reason="PLEACH_LIBRARY is not set"
)

import pleach  # noqa: E402  (this checkout's)

FILES = {"index.html": "hello\n", "css/style.css": "* { margin: 0 }\n"}


def may_have_namespaces() -> bool:
    """As root, and where ordinary users may, programs can be run in a transaction."""
    command = ["unshare", "--mount", "--pid", "--fork", *(["--user"] if os.geteuid() else []), "true"]
    if not shutil.which("unshare"):
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(
    not may_have_namespaces(), reason="namespaces cannot be made"
)


def write(root: pathlib.Path, files) -> pathlib.Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            (root / name).write_text(text)
    return root


def prepare(root: pathlib.Path) -> pleach.Store:
    """`docs` is the source, `store` has site@1 (index.html) and site@2 (all of `docs`)."""
    docs = write(root / "docs", {"index.html": FILES["index.html"]})
    store = pleach.Store.init(root / "store")
    store["site"].publish(docs, message="the first")
    write(docs, FILES)
    store["site"].publish(docs, message="the second")
    return store


@contextlib.contextmanager
def scratch():
    """A directory to work in, which is the working directory meanwhile; removed whatever is in it."""
    before = os.getcwd()
    umask = os.umask(0o022)
    path = pathlib.Path(tempfile.mkdtemp(prefix="pleach-test-"))
    os.chdir(path)
    try:
        yield path
    finally:
        os.chdir(before)
        os.umask(umask)
        subprocess.run(["chmod", "-R", "u+w", path], check=False)
        shutil.rmtree(path)


@pytest.fixture(name="root")
def fixture_root():
    with scratch() as path:
        yield path


@pytest.fixture(name="store")
def fixture_store(root):
    with prepare(root) as store:
        yield store


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def unfinished(store: pleach.Store):
    """What is in tx/: nothing, if all has ended."""
    return os.listdir(store.path / ".pleach" / "tx")
