"""Where the tests of the whole command work: a directory of its own for each test, with a store, a
source, and the command run on them. PLEACH is the path of the command.

`place` is run by whoever runs the tests, `users_place` by an ordinary user, also if root runs them.
"""

import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

PLEACH = os.environ.get("PLEACH", "")
READER = pathlib.Path(__file__).parent / "format" / "reader.py"
ORDINARY = 65534
SECOND = 1000000000

is_root = os.geteuid() == 0
needs_command = pytest.mark.skipif(not PLEACH, reason="PLEACH is not set")
needs_root = pytest.mark.skipif(not is_root, reason="needs root")

# So that a run that takes too long unmounts and removes what it has made.
signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", 143))


def put(path: bytes, data: bytes = b"", mode: int = 0o644) -> bytes:
    """Makes a file, and the directories that it needs; what is there is replaced, not written."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "xb") as file:
        file.write(data)
    os.chmod(path, mode)
    return path


def get(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


class Done:
    """How the command ended, and what it printed."""

    def __init__(self, done: subprocess.CompletedProcess):
        self.status = done.returncode
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return f"status {self.status}\nstdout: {self.out}\nstderr: {self.err}"


class Workplace:
    """A directory with a store and a source."""

    def __init__(self, path: bytes, command: str = PLEACH):
        self.path = path
        self.store = os.path.join(path, b"store")
        self.source = os.path.join(path, b"source")
        self.command = command
        self.environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
        os.mkdir(self.source, 0o755)

    def at(self, *names) -> bytes:
        return os.path.join(self.path, *map(os.fsencode, names))

    def inner(self, *names) -> bytes:
        return os.path.join(self.store, b".pleach", *map(os.fsencode, names))

    def public(self, ref: str = "site") -> bytes:
        return os.path.join(self.store, os.fsencode(ref))

    def arguments(self, *arguments) -> list:
        return [self.command, "--store", self.store, *arguments]

    def who(self, user=None) -> dict:
        """For subprocess: `user`, or the one that the test has become."""
        if user is None and os.geteuid() != os.getuid():
            return {"user": os.geteuid(), "group": os.getegid()}
        if user is not None and user != os.geteuid():
            return {"user": user, "group": user, "extra_groups": []}
        return {}

    def start(self, *arguments, **options) -> subprocess.Popen:
        return subprocess.Popen(self.arguments(*arguments), **{
            "cwd": self.path, "env": self.environment, "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **self.who(), **options})

    def pleach(self, *arguments, status=0, user=None, **options) -> Done:
        """Runs the command on the store; it must end with `status`, or one of these (None: any)."""
        done = Done(subprocess.run(self.arguments(*arguments), check=False, **{
            "cwd": self.path, "env": self.environment, "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **self.who(user), **options}))
        wanted = status if isinstance(status, tuple) else (status,)
        assert status is None or done.status in wanted, (arguments, done)
        return done

    def json(self, *arguments, **options):
        return json.loads(self.pleach("--json", *arguments, **options).out)

    def json_lines(self, *arguments, **options) -> list:
        return [json.loads(line)
                for line in self.pleach("--json", *arguments, **options).out.splitlines()]

    def log(self, ref: str = "site") -> list:
        """The generations of a ref, newest first; none if there is no such ref."""
        done = self.pleach("--json", "log", ref, status=(0, 10))
        return [] if done.status else [json.loads(line) for line in done.out.splitlines()]

    def heads(self, ref: str = "site") -> list:
        return [line["generation"] for line in self.log(ref)]

    def refused(self, *arguments, status=1, names=(), hint="", **options) -> Done:
        """The command ends so, its message names all of `names`, and it leaves the refs alone."""
        before = self.refs()
        done = self.pleach(*arguments, status=status, **options)
        assert done.err.startswith("pleach: "), done
        for name in names:
            assert name in done.err, (name, done)
        if hint:
            assert hint in done.err.partition("\nhint: ")[2], (hint, done)
        assert self.refs() == before
        return done

    def refs(self) -> dict:
        """What is recorded: of each ref its generations and where its public path leads."""
        found = {}
        for ref in os.listdir(self.inner("refs")):
            generations = os.listdir(self.inner("refs", ref, "gen"))
            if generations:
                found[ref] = (sorted(generations),
                              os.readlink(self.inner("refs", ref, "public", "tree")))
        return found

    def placed(self) -> list:
        """The trees that are placed."""
        return [tree for tree in os.listdir(self.inner("trees"))
                if any(name.isdigit() for name in os.listdir(self.inner("trees", tree)))]

    def assert_sound(self) -> None:
        """By `check`, and by the independent reader as a program."""
        self.pleach("check", "-q")
        done = subprocess.run([sys.executable, READER, self.store], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode, done.stdout) == (0, b"")

    def assert_nothing_unfinished(self) -> None:
        assert os.listdir(self.inner("tx")) == []
        assert set(os.listdir(self.inner("trash"))) <= {b"batch", b"collector"}  # locks


def erase(root: bytes) -> None:
    """As rm -rf, but also what is read-only, and in linear time what is very deep."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    names: list = []
    while True:
        os.fchmod(fd, 0o700)
        below = None
        for name in os.listdir(fd):
            try:
                os.unlink(name, dir_fd=fd)
            except (IsADirectoryError, PermissionError):
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=fd)
                    continue
                below = name
                break
        if below is None:
            if not names:
                break
            next_fd = os.open("..", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.rmdir(names.pop(), dir_fd=next_fd)
        else:
            os.chmod(below, 0o700, dir_fd=fd)
            next_fd = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            names.append(below)
        os.close(fd)
        fd = next_fd
    os.close(fd)
    os.rmdir(root)


def in_memory():
    """A directory in memory, for what is about many files and no disk; None where there is none."""
    with contextlib.suppress(OSError):
        state = os.statvfs("/dev/shm")
        if (os.access("/dev/shm", os.W_OK) and state.f_bavail * state.f_frsize > 1 << 30 and
                state.f_favail > 300000):
            return "/dev/shm"
    return None


@contextlib.contextmanager
def scratch(folder=None):
    """A temporary directory, removed whatever is in it."""
    path = os.fsencode(tempfile.mkdtemp(prefix="pleach-test-", dir=folder))
    os.chmod(path, 0o755)
    try:
        yield path
    finally:
        erase(path)


@contextlib.contextmanager
def plain_umask():
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(name="place")
def fixture_place():
    """A workplace of who runs the tests."""
    with plain_umask(), scratch() as path:
        yield Workplace(path)


@pytest.fixture(name="quick_place")
def fixture_quick_place():
    """The same, in memory if there is room."""
    with plain_umask(), scratch(in_memory()) as path:
        yield Workplace(path)


@contextlib.contextmanager
def becoming_ordinary():
    """Root is an ordinary user meanwhile, and can be root again."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(ORDINARY)
    os.seteuid(ORDINARY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextlib.contextmanager
def being_root():
    """Within becoming_ordinary(): what only root can prepare."""
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(ORDINARY)
        os.seteuid(ORDINARY)


def copy_command(folder: bytes) -> str:
    """A copy of the command, since the build may be out of reach for others."""
    os.mkdir(folder, 0o755)
    path = shutil.copy(os.fsencode(PLEACH), folder)
    os.chmod(path, 0o755)
    return os.fsdecode(path)


@pytest.fixture(name="users_place")
def fixture_users_place():
    """A workplace of an ordinary user, who the test is meanwhile."""
    with plain_umask(), scratch() as path:
        if not is_root:
            yield Workplace(path)
            return
        command = copy_command(os.path.join(path, b"command"))
        os.mkdir(path + b"/work")
        os.chown(path + b"/work", ORDINARY, ORDINARY)
        with becoming_ordinary():
            yield Workplace(path + b"/work", command)


def wait_at_most(process: subprocess.Popen, seconds) -> None:
    """Until it ends, or for so long (None: for ever)."""
    pidfd = os.pidfd_open(process.pid)
    try:
        select.select([pidfd], [], [], seconds)
    finally:
        os.close(pidfd)


def limit_file_size(size: int):
    """For preexec_fn: no file may grow beyond it."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
