"""pleach-cvs, with the real cvs on both sides of the connection. PLEACH_LIBRARY is the path of libpleach."""

import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BINDING = HERE.parents[2] / "bindings" / "python" / "src"
sys.path.insert(0, str(BINDING))
CVS = shutil.which("cvs")
LIMIT = 120  # seconds for any one command


def may_have_namespaces():
    command = ["unshare", "--mount", "--pid", "--fork", *(["--user"] if os.geteuid() else []), "true"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.skipif(not os.environ.get("PLEACH_LIBRARY"), reason="PLEACH_LIBRARY is not set"),
    pytest.mark.skipif(not CVS, reason="there is no cvs"),
    pytest.mark.skipif(not may_have_namespaces(), reason="namespaces cannot be made"),
]

import pleach  # noqa: E402

# What `ssh` is to cvs: the command, on this machine.
SHELL = """#!/bin/sh
while [ "$1" != host ]; do shift; done
shift
exec sh -c "$*"
"""

# A cvs whose server has done all its work and then, once, says so and waits: before anybody is answered.
SLOW = """#!/bin/sh
cd {root}
{cvs} "$@"
status=$?
if test -n "$PLEACH_TX" && mv stop stopped 2>/dev/null; then echo done >at; read line <go; fi
exit $status
"""


class Place:
    def __init__(self, root):
        self.root = root
        for name, text in {"shell": SHELL, "slow": SLOW.format(root=root, cvs=CVS)}.items():
            (root / name).write_text(text)
            (root / name).chmod(0o755)
        pleach.Store.init(root / "store").close()
        self.run("init")
        source = root / "source"
        source.mkdir()
        for name in "abcd":
            (source / name).write_text(f"{name}\n")
        self.run("import", "-m", "the first", "mod", "vendor", "start", at=source)

    def environment(self, slow=False):
        server = f"{sys.executable} {HERE.parent / 'pleach-cvs'}" + f" --cvs {self.root / 'slow'}" * slow
        return {**os.environ, "CVS_RSH": str(self.root / "shell"), "CVS_SERVER": server,
                "CVSROOT": f":ext:host:{self.root}/store/repo", "HOME": str(self.root),
                "PYTHONPATH": str(BINDING), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C"}

    def start(self, *words, at=None, slow=False):
        return subprocess.Popen([CVS, "-Q", *words], cwd=at or self.root, env=self.environment(slow),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)

    def run(self, *words, at=None, status=0):
        with self.start(*words, at=at) as process:
            said = process.communicate(timeout=LIMIT)[0]
        assert process.returncode == status, said
        return said

    def copy(self, name):
        """A new working copy."""
        self.run("checkout", "-d", name, "mod")
        return self.root / name

    def stopped(self, *words, at):
        """A command whose server has done its work, and has not been believed yet."""
        for name in ("at", "go"):
            if not (self.root / name).exists():
                os.mkfifo(self.root / name)
        (self.root / "stop").touch()
        process = self.start(*words, at=at, slow=True)
        with open(self.root / "at") as fifo:
            assert fifo.read() == "done\n"
        return process

    def go_on(self):
        with open(self.root / "go", "w") as go:
            go.write("go\n")

    def store(self):
        return pleach.Store(self.root / "store")

    def head(self):
        with self.store() as store:
            return store["repo"].head

    def read(self, path):
        with self.store() as store:
            return store["repo"].open(path, "rb").read()

    def is_whole(self):
        """Nothing is under way, no lock of CVS remains, and every byte verifies."""
        with self.store() as store:
            names = [os.path.basename(entry.path) for entry in store["repo"].ls(recursive=True)]
            assert not [name for name in names if name.startswith(("#cvs.", ","))]
            assert not list(store.transactions())
            assert store.check().is_sound


def change(copy, name, text):
    with open(copy / name, "a") as file:
        file.write(text)


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    return Place(tmp_path)


def test_session_does_what_cvs_does(place):
    one, two = place.copy("one"), place.copy("two")
    (one / "new").write_text("new\n")
    place.run("add", "new", at=one)
    (one / "b").unlink()
    place.run("remove", "b", at=one)
    change(one, "a", "more\n")
    place.run("commit", "-m", "three things", at=one)
    place.run("update", at=two)
    assert (two / "a").read_text() == "a\nmore\n" and (two / "new").exists() and not (two / "b").exists()
    place.run("tag", "T", at=two)
    place.run("rtag", "R", "mod")
    assert "R: 1.2" in place.run("log", "a", at=two) and "T: 1.2" in place.run("log", "a", at=two)
    assert place.run("update", "-p", "-r", "start", "a", at=two) == "a\n"
    place.run("watch", "on", at=one)
    place.run("edit", "a", at=one)
    assert "a\t" in place.run("editors", at=two)
    place.run("admin", "-kb", "c", at=one)
    assert "more" in place.run("annotate", "a", at=two)
    place.is_whole()


def test_each_command_that_writes_is_one_generation_and_one_that_reads_none(place):
    copy = place.copy("one")
    head = place.head()
    for words in (["update"], ["log"], ["status"], ["diff"], ["checkout", "-p", "mod"]):
        place.run(*words, at=copy)
    assert place.head() == head
    for name in "abcd":
        change(copy, name, "more\n")
    place.run("commit", "-m", "all", at=copy)
    place.run("tag", "T", at=copy)
    assert place.head() == head + 2


def test_disjoint_committers_all_land_and_history_has_them_all(place):
    copies = {name: place.copy(f"copy-{name}") for name in "abcd"}
    before = place.read("CVSROOT/history").count(b"\n")
    for number in range(3):
        running = []
        for name, copy in copies.items():
            change(copy, name, f"{number}\n")
            running.append(place.start("commit", "-m", f"{name} {number}", name, at=copy))
        for process in running:
            said = process.communicate(timeout=LIMIT)[0]
            assert process.returncode == 0, said
    seen = place.copy("seen")
    for name in "abcd":
        assert (seen / name).read_text() == f"{name}\n0\n1\n2\n"
    assert place.read("CVSROOT/history").count(b"\n") == before + 12
    place.is_whole()


def test_overlapping_committers_one_is_told_to_update_as_by_cvs(place):
    one, two = place.copy("one"), place.copy("two")
    change(one, "a", "one\n")
    change(two, "a", "two\n")
    with place.stopped("commit", "-m", "one", at=one) as process:
        place.run("commit", "-m", "two", at=two)  # quicker
        place.go_on()
        said = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == 1 and "Up-to-date check failed for `a'" in said
    assert place.copy("seen").joinpath("a").read_text() == "a\ntwo\n"
    assert "/a/1.1" in (one / "CVS" / "Entries").read_text()  # nothing was acknowledged
    place.run("update", at=one)
    place.is_whole()


def test_nothing_is_acknowledged_before_the_commit_and_readers_do_not_wait(place):
    one = place.copy("one")
    change(one, "a", "one\n")
    head = place.head()
    with place.stopped("commit", "-m", "one", at=one) as process:
        assert place.copy("seen").joinpath("a").read_text() == "a\n"
        assert "/a/1.1" in (one / "CVS" / "Entries").read_text()
        assert place.head() == head and process.poll() is None
        place.go_on()
        assert process.wait(LIMIT) == 0
    assert place.head() == head + 1
    assert "/a/1.2/" in (one / "CVS" / "Entries").read_text()


def children(pid):
    """Of a process, and theirs."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def is_server(pid):
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return len(words) > 1 and words[1].endswith(b"/pleach-cvs")


def is_client(pid):
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return words[:2] == [os.fsencode(CVS), b"-Q"]


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("words", [["commit", "-m", "lost"], ["tag", "LOST"]], ids=["commit", "tag"])
def test_death_before_the_commit_leaves_the_repository_as_it_was(place, who, words):
    one = place.copy("one")
    for name in "abcd":
        change(one, name, "lost\n") if words[0] == "commit" else None
    head = place.head()
    with place.stopped(*words, at=one) as process:
        servers = [pid for pid in children(process.pid) if is_server(pid)]
        assert servers
        pidfds = [os.pidfd_open(pid) for pid in servers]
        if who == "client":  # which are two: a process of its own feeds the shell
            for pid in [process.pid, *filter(is_client, children(process.pid))]:
                os.kill(pid, signal.SIGKILL)
        else:
            os.kill(servers[0], signal.SIGKILL)
        process.wait(LIMIT)
        for pidfd in pidfds:  # it sees by itself that the client is gone
            wait_gone(pidfd)
    assert place.head() == head
    assert b"lost" not in place.read("mod/a,v") and b"LOST" not in place.read("mod/a,v")
    two = place.copy("two")
    change(two, "a", "found\n")
    place.run("commit", "-m", "found", at=two)
    assert place.head() == head + 1
    place.is_whole()


def wait_gone(pidfd):
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(LIMIT * 1000)
    os.close(pidfd)


def test_tag_over_many_files_is_there_for_all_or_for_none(place):
    many = place.root / "many"
    for i in range(300):
        path = many / f"d{i % 10}" / f"f{i}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{i}\n")
    place.run("import", "-m", "many", "many", "vendor", "start", at=many)
    head = place.head()
    place.run("rtag", "ALL", "many")
    with place.store() as store:
        changed = [c.path for c in store["repo"].diff() if c.path.endswith(",v")]
        assert store["repo"].head == head + 1 and len(changed) == 300


def test_any_bytes_and_any_size_come_back(place):
    one = place.copy("one")
    every = bytes(range(256)) * 17 + b"ok\nE error  \nCommand\n" + bytes(range(255, -1, -1))
    contents = {"binary": every, "large": os.urandom(1 << 16) * 100, "empty": b"", "oneline": b"x" * (3 << 20)}
    for name, data in contents.items():
        (one / name).write_bytes(data)
    place.run("add", "-kb", *contents, at=one)
    place.run("commit", "-m", "binary", at=one)
    two = place.copy("two")
    for name, data in contents.items():
        assert (two / name).read_bytes() == data, name
    place.is_whole()


def test_what_is_no_ref_and_what_is_no_request_is_refused(place):
    environment = place.environment()
    environment["CVSROOT"] = f":ext:host:{place.root}/store/nosuch"
    done = subprocess.run([CVS, "checkout", "mod"], cwd=place.root, env=environment, timeout=LIMIT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode != 0 and "no ref 'nosuch'" in done.stderr
    for requests in (b"Root /nowhere/repo\nco\n", b"co\n", b"Root " + b"x" * (3 << 20),
                     b"Root %s/store/repo\nModified a\nu=rw\nz12\n" % os.fsencode(place.root)):
        done = subprocess.run([sys.executable, HERE.parent / "pleach-cvs", "server"], input=requests,
                              env=environment, capture_output=True, timeout=LIMIT)
        assert b"error  \n" in done.stdout and b"Traceback" not in done.stderr, requests[:40]
    place.is_whole()
