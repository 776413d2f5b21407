"""The storage, driven as Portage drives one (stand_in/, emaint.py), with the real rsync, and by itself. PLEACH_LIBRARY
is the path of libpleach."""

import asyncio
import inspect
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import types

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SRC = HERE.parent / "src"
BINDING = HERE.parents[2] / "bindings" / "python" / "src"
sys.path[:0] = [str(SRC), str(BINDING)]

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PLEACH_LIBRARY"), reason="PLEACH_LIBRARY is not set"),
    pytest.mark.skipif(not shutil.which("rsync"), reason="there is no rsync"),
]

import pleach  # noqa: E402
from pleach_portage import PleachRepoStorage, RepoStorageException, storage  # noqa: E402

# A remote shell for rsync whose connection passes on so many bytes; then it ends, or, with `hang`, says so and waits.
CONNECTION = """#!{python}
import os, select, signal, subprocess, sys
here = os.path.dirname(os.path.abspath(__file__))
left = int(open(os.path.join(here, "cut")).read())
with subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE) as server:
    while left:
        data = os.read(server.stdout.fileno(), min(left, 65536))
        if not data:
            break
        left -= len(data)
        while data:
            select.select([], [1], [])
            data = data[os.write(1, data[:512]):]
    if os.path.exists(os.path.join(here, "hang")):
        with open(os.path.join(here, "at"), "w") as at:
            print(os.getpid(), file=at)
        signal.pause()
    server.kill()
"""


class Place:
    """An upstream repository, a store, and a Portage with the sync module installed."""

    def __init__(self, root):
        self.root = root
        self.upstream, self.store_path = root / "upstream", root / "store"
        self.location = root / "repos" / "gentoo"
        self.location.parent.mkdir()
        shutil.copytree(HERE / "stand_in", root / "lib")
        modules = root / "lib" / "portage" / "sync" / "modules"
        (modules / "pleach").symlink_to(HERE.parent / "sync_module" / "pleach")
        self.release(1)

    def release(self, number, n_files=20):
        for i in range(n_files):
            path = self.upstream / f"dev-{i % 5}" / f"package-{i}.ebuild"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"release {number}\n" * 500)
            os.utime(path, (1600000000 + number,) * 2)  # rsync looks at size and seconds
        (self.upstream / "metadata").mkdir(exist_ok=True)
        (self.upstream / "metadata" / "timestamp.chk").write_text(f"{number}\n")
        os.utime(self.upstream / "metadata" / "timestamp.chk", (1600000000 + number,) * 2)

    def conf(self, **more):
        return {
            "name": "gentoo",
            "location": str(self.location),
            "sync-uri": str(self.upstream),
            "sync-pleach-store": str(self.store_path),
            **more,
        }

    def broken(self, n_bytes):
        """A remote whose connection breaks after so many bytes."""
        script = self.root / "connection"
        script.write_text(CONNECTION.format(python=sys.executable))
        script.chmod(0o755)
        (self.root / "cut").write_text(str(n_bytes))
        return {"sync-uri": f"HOST:{self.upstream}", "sync-rsync-extra-opts": ["-e", str(script)]}

    def start(self, **more):
        path = os.pathsep.join(map(str, (self.root / "lib", SRC, BINDING)))
        return subprocess.Popen(
            [sys.executable, HERE / "emaint.py", json.dumps(self.conf(**more))],
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )

    def sync(self, **more):
        """How it ended, and what it said."""
        with self.start(**more) as process:
            said = process.communicate()[1]
        return process.returncode, said

    def synced(self, **more):
        status, said = self.sync(**more)
        assert status == 0, said

    def store(self):
        return pleach.Store(self.store_path)

    def unfinished(self):
        return os.listdir(self.store_path / ".pleach" / "tx")


def contents(root):
    root = pathlib.Path(root)
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    return Place(tmp_path)


def storage_of(place, **more):
    conf = place.conf(**more)
    repo = types.SimpleNamespace(
        name="gentoo",
        location=os.path.realpath(place.location),
        user_location=str(place.location),
        module_specific_options={k: v for k, v in conf.items() if k.startswith("sync-pleach")},
    )
    return PleachRepoStorage(repo, {})


# ---- as Portage drives it ----


def test_first_sync_makes_the_location_the_public_path(place):
    place.synced()
    assert place.location.is_symlink()
    assert os.path.samefile(place.location, place.store_path / "gentoo")
    assert contents(place.location) == contents(place.upstream)
    with place.store() as store:
        assert store["gentoo"].head == 1 and store["gentoo"].generation().kind == "run"
        assert store.check().is_sound
    assert place.unfinished() == []


def test_location_may_be_the_public_path_itself(place):
    place.location = place.store_path / "gentoo"
    pleach.Store.init(place.store_path).close()
    place.synced()
    place.release(2)
    place.synced()
    assert contents(place.location) == contents(place.upstream)


def test_commit_publishes_and_who_has_resolved_the_location_keeps_what_he_has(place):
    place.synced()
    before, resolved = contents(place.location), os.path.realpath(place.location)
    place.release(2)
    shutil.rmtree(place.upstream / "dev-0")
    place.synced()
    assert contents(resolved) == before
    assert contents(place.location) == contents(place.upstream) != before
    assert os.path.realpath(place.location) != resolved


@pytest.mark.parametrize("extra", [["--inplace", "--no-whole-file"], ["--inplace", "--append"], ["-c"]])
def test_rsync_in_place_reaches_nothing_that_was_public(place, extra):
    place.synced()
    before, resolved = contents(place.location), os.path.realpath(place.location)
    for path in place.upstream.rglob("*.ebuild"):
        path.write_text(path.read_text() + "and more\n")
    (place.upstream / "metadata" / "timestamp.chk").write_text("1\n2\n")
    place.synced(**{"sync-rsync-extra-opts": extra})
    assert contents(resolved) == before
    assert contents(place.location) == contents(place.upstream)
    with place.store() as store:
        assert store.check().is_sound


def test_reader_keeps_his_tree_by_a_pin_where_there_is_no_grace(place):
    place.synced()
    with place.store() as store:
        for key, value in {"grace": "0", "keep": "1", "keep-placed": "1", "spares": "0"}.items():
            store.config[key] = value
        before = contents(place.location)
        with store["gentoo"].pin() as pin:
            place.release(2)
            place.synced()
            assert contents(pin.path) == before
            resolved = pin.path
        place.release(3)
        place.synced()
        assert not os.path.exists(resolved)
        assert [g.number for g in store["gentoo"] if not g.is_dropped] == [3]


def test_reader_without_a_pin_keeps_his_tree_for_the_grace_whatever_is_collected(place):
    place.synced()
    with place.store() as store:
        for key, value in {"grace": "1h", "keep": "1", "keep-placed": "1", "spares": "0"}.items():
            store.config[key] = value
    before, resolved = contents(place.location), os.path.realpath(place.location)
    for number in (2, 3):
        place.release(number)
        place.synced()
    assert contents(resolved) == before


def test_sync_that_is_up_to_date_begins_nothing(place):
    place.synced()
    place.synced()
    with place.store() as store:
        assert store["gentoo"].head == 1
    assert place.unfinished() == []


def test_transfer_that_breaks_off_leaves_the_repository_as_it_was(place):
    place.synced()
    before = contents(place.location)
    place.release(2)
    for n_bytes in (0, 100, 3000, 90000):
        status, _ = place.sync(**place.broken(n_bytes))
        assert status != 0
        assert contents(place.location) == before
        assert place.unfinished() == []
    with place.store() as store:
        assert store["gentoo"].head == 1
        assert store.check().is_sound  # nor was a file of the public tree removed
    place.synced()
    assert contents(place.location) == contents(place.upstream)


def test_first_transfer_that_breaks_off_leaves_no_repository(place):
    assert place.sync(**place.broken(3000))[0] != 0
    assert os.listdir(place.location) == []
    with place.store() as store:
        assert not store["gentoo"].exists()
    place.synced()
    assert contents(place.location) == contents(place.upstream)


def test_update_that_does_not_verify_is_not_published_and_blocks_nobody(place):
    place.synced()
    before = contents(place.location)
    place.release(2)
    assert place.sync(verify=["false"])[0] == 1
    assert contents(place.location) == before
    # neither committed nor aborted by who drives the storage
    place.synced(verify=["true"])
    assert contents(place.location) == contents(place.upstream)
    assert place.unfinished() == []


def test_killed_midway_the_repository_is_as_it_was_and_the_next_sync_lands(place):
    place.synced()
    before = contents(place.location)
    place.release(2)
    os.mkfifo(place.root / "at")
    (place.root / "hang").touch()
    with place.start(**place.broken(60000)) as process:
        with open(place.root / "at") as at:
            connection = int(at.readline())
        process.kill()
        process.wait()
        os.kill(connection, signal.SIGTERM)
    assert contents(place.location) == before
    place.synced()
    assert contents(place.location) == contents(place.upstream)
    with place.store() as store:
        assert store["gentoo"].head == 2 and store.check().is_sound
    assert place.unfinished() == []


@pytest.mark.parametrize("kind", ["directory", "file", "symlink"])
def test_what_is_somebody_elses_at_the_location_stays_and_is_told_of(place, kind):
    other = place.root / "other"
    other.mkdir()
    (other / "precious").write_text("precious")
    if kind == "directory":
        shutil.copytree(other, place.location)
    elif kind == "symlink":
        place.location.symlink_to(other)
    else:
        place.location.write_text("precious")
    made = storage_of(place)
    with pytest.raises(RepoStorageException, match="is not empty|leads elsewhere"):
        asyncio.run(made.init_update())
    assert (place.location / "precious" if kind != "file" else place.location).read_text() == "precious"
    assert place.unfinished() == []


def test_wrong_configuration_is_told_before_anything_is_fetched(place):
    status, said = place.sync(**{"sync-pleach-store": ""})
    assert status == 1 and "sync-pleach-store has to be set" in said
    status, said = place.sync(**{"sync-pleach-store": str(place.root / "nowhere" / "store")})
    assert status == 1 and "!!!" in said
    status, said = place.sync(**{"sync-pleach-ref": "not/a/ref"})
    assert status == 1 and "!!!" in said
    status, said = place.sync(uid=os.getuid() + 1)
    assert status == 1 and "sync-user" in said


# ---- by itself ----


def test_it_is_the_interface(place):
    made = storage_of(place)
    assert isinstance(made, storage.RepoStorageInterface)
    for name in ("init_update", "commit_update", "abort_update", "garbage_collection"):
        assert inspect.iscoroutinefunction(getattr(made, name))
    assert isinstance(inspect.getattr_static(made, "current_update"), property)


def test_calls_out_of_order_are_refused_or_do_nothing(place):
    async def calls():
        made = storage_of(place)
        for wrong in (lambda: made.current_update, made.commit_update):
            with pytest.raises(RepoStorageException):
                found = wrong()
                await found
        await made.abort_update()
        directory = await made.init_update()
        assert made.current_update == directory and os.listdir(directory) == []
        pathlib.Path(directory, "a").write_text("a")
        await made.commit_update()
        await made.abort_update()
        with pytest.raises(RepoStorageException):
            await made.commit_update()
        with pytest.raises(RepoStorageException):
            made.current_update
        second = await made.init_update()
        assert os.listdir(second) == ["a"]
        third = await made.init_update()  # the one before is given up
        assert not os.path.exists(second)
        pathlib.Path(third, "a").unlink()
        await made.abort_update()
        await made.garbage_collection()

    asyncio.run(calls())
    assert contents(place.location) == {"a": "a"}
    assert place.unfinished() == []


def test_update_waits_for_the_one_that_is_at_work_and_begins_with_what_it_made(place):
    first = storage_of(place)
    pathlib.Path(asyncio.run(first.init_update()), "a").write_text("a")
    seen = []

    def another():
        made = storage_of(place)
        seen.append(os.listdir(asyncio.run(made.init_update())))
        asyncio.run(made.abort_update())

    other = threading.Thread(target=another)
    other.start()
    with place.store() as store:
        while len(list(store.transactions())) < 2:
            pass
        assert seen == []
        asyncio.run(first.commit_update())
    other.join()
    assert seen == [["a"]]


def test_publish_meanwhile_of_the_same_path_is_refused_and_the_update_is_over(place):
    place.synced()
    made = storage_of(place)
    directory = pathlib.Path(asyncio.run(made.init_update()))
    (directory / "dev-0" / "package-0.ebuild").write_text("mine")
    place.release(2)
    with place.store() as store:
        store["gentoo"].publish(place.upstream)
    with pytest.raises(RepoStorageException, match="package-0|has changed meanwhile"):
        asyncio.run(made.commit_update())
    asyncio.run(made.abort_update())
    assert contents(place.location) == contents(place.upstream)
    assert place.unfinished() == []


def test_new_repository_has_owner_and_mode_that_portage_gave_the_location(place):
    place.location.mkdir(mode=0o700)
    place.location.chmod(0o2750)
    made = storage_of(place)
    directory = asyncio.run(made.init_update())
    assert os.stat(directory).st_mode == os.stat(place.location).st_mode
    asyncio.run(made.commit_update())
    assert os.stat(place.location).st_mode & 0o7777 == 0o2750


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_git_works_in_an_update_too(place):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

    def git(directory, *words):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", directory, *names, *words], check=True, env=environment)

    def commit(number):
        place.release(number)
        git(place.upstream, "add", "-A")
        git(place.upstream, "commit", "-qm", str(number))

    git(place.upstream, "init", "-q", "-b", "main")
    commit(1)
    made = storage_of(place)
    git(place.root, "clone", "-q", place.upstream, asyncio.run(made.init_update()))
    asyncio.run(made.commit_update())
    commit(2)
    git(asyncio.run(made.init_update()), "pull", "-q", "--ff-only")
    asyncio.run(made.commit_update())
    packages = "dev-1/package-1.ebuild"
    assert (place.location / packages).read_text() == (place.upstream / packages).read_text()
    with place.store() as store:
        assert store["gentoo"].head == 2 and store.check().is_sound


def test_module_names_what_portage_asks_a_sync_module_for(place):
    done = subprocess.run(
        [sys.executable, "-c", """
import json, portage.sync.modules.pleach as module
spec = module.module_spec
print(json.dumps([spec["name"], [sorted(kind) for kind in spec["provides"].values()],
                  [kind["name"] for kind in spec["provides"].values()]]))"""],
        env={**os.environ, "PYTHONPATH": str(place.root / "lib"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE, check=True)
    keys = ["class", "description", "func_desc", "functions", "module_specific_options", "name",
            "sourcefile", "validate_config"]
    assert json.loads(done.stdout) == ["pleach", [keys], ["pleach-rsync"]]


def test_package_is_typed_to_the_letter():
    if not shutil.which("mypy"):
        pytest.skip("mypy was not found")
    done = subprocess.run(["mypy", "--cache-dir", os.devnull, "--config-file", HERE.parent / "pyproject.toml"],
                          cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
