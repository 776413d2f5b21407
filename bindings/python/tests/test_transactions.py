"""Transactions: how they end, edits, programs in them, conflicts, parking."""

import errno
import io
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from prepared import (  # noqa: F401
    SRC,
    fixture_root,
    fixture_store,
    needs_library,
    needs_namespaces,
    open_descriptors,
    pleach,
    unfinished,
)

pytestmark = needs_library


def conflicting(store, **options):
    """A transaction that is in conflict with the head about index.html."""
    tx = store.transaction("site", optimistic=True, workspace="none", **options)
    with store.transaction("site", optimistic=True, workspace="none") as theirs:
        theirs.put("index.html", b"theirs\n")
    tx.put("index.html", b"mine\n")
    return tx


def test_block_that_ends_commits(store):
    with store.transaction("site", message="m", meta={"k": "v"}) as tx:
        assert tx.workspace in ("snapshot", "reflink", "copy")
        assert (tx.path / "index.html").read_text() == "hello\n"
        (tx.path / "new").write_text("new")
        assert (tx.base, tx.ref_name, tx.is_parked) == (2, "site", False)
        assert store.inside("site") is None
    assert tx.closed and tx.result.generation == 3 and tx.result.added == 1
    generation = store["site"].generation()
    assert (generation.message, generation.meta, generation.kind) == ("m", {"k": "v"}, "run")
    assert unfinished(store) == []


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_block_that_raises_leaves_nothing(store, kind):
    with pytest.raises(kind):
        with store.transaction("site") as tx:
            (tx.path / "index.html").unlink()
            raise kind
    assert tx.closed and tx.result is None and store["site"].head == 2 and unfinished(store) == []


def test_block_in_which_it_was_ended_does_not_end_it_again(store):
    with store.transaction("site") as tx:
        (tx.path / "a").write_text("a")
        tx.commit()
        (pathlib.Path("docs") / "b").write_text("b")
    with store.transaction("site") as tx:
        (tx.path / "b").write_text("b")
        tx.abort()
    with store.transaction("site") as tx:
        (tx.path / "b").write_text("b")
        tx.close()
    assert store["site"].head == 3
    for use in (tx.commit, tx.abort, tx.info, lambda: tx.path, lambda: tx.put("x", b"")):
        with pytest.raises(ValueError):
            use()


def test_transaction_that_changes_nothing_makes_no_generation(store):
    with store.transaction("site") as tx:
        pass
    assert tx.result.unchanged and tx.result.generation == 2


def test_forgotten_transaction_is_aborted_with_a_warning(store):
    with pytest.warns(ResourceWarning):
        tx = store.transaction("site")
        (tx.path / "x").write_text("x")
        del tx
    assert store["site"].head == 2 and unfinished(store) == []


def test_conflict_names_the_paths_and_leaves_the_transaction_as_it_was(store):
    tx = conflicting(store)
    with pytest.raises(pleach.ConflictError) as caught:
        tx.commit()
    assert caught.value.code is pleach.Code.CONFLICT and caught.value.errno == errno.ECANCELED
    assert caught.value.conflicts == (pleach.Conflict("index.html", "modified", "modified"),)
    assert tx.conflicts() == caught.value.conflicts == tx.conflicts()
    assert tx.commit(resolved=True).generation == 4
    tx.close()
    assert store["site"].read_text("index.html") == "mine\n"


def test_conflict_at_the_end_of_a_block_leaves_nothing(store):
    with pytest.raises(pleach.ConflictError) as caught:
        with conflicting(store):
            pass
    assert [conflict.path for conflict in caught.value.conflicts] == ["index.html"]
    assert store["site"].head == 3 and unfinished(store) == []


def test_snapshots_go_on(store):
    with store.transaction(store["site"]) as tx:
        (tx.path / "a").write_text("a")
        assert tx.snapshot("one").generation == 3
        (tx.path / "b").write_text("b")
    assert [g.message for g in store["site"]][:2] == ["", "one"]
    assert store["site"].head == 4


def test_edits_do_what_they_say(store):
    pathlib.Path("big").write_bytes(b"0123456789" * 1000)
    with store.transaction("site", workspace=pleach.Workspace.NONE) as tx:
        tx.put("bytes", b"bytes", mode=0o600, mtime_ns=-1)
        tx.put("array", bytearray(b"array"))
        tx.put("memory", io.BytesIO(b"memory"))
        tx.put("empty", b"")
        with open("big", "rb") as file:
            file.read(5)  # the buffer is ahead of what was read
            tx.put("rest", file)
        with open("big", "rb", buffering=0) as raw:
            tx.put("raw", raw)
        tx.mkdir(b"dir", mode=0o711)
        tx.symlink("dir/link", "../bytes")
        tx.link("bytes", "dir/other")
        tx.rename("css", "dir/css")
        tx.remove(pathlib.Path("index.html"))
        tx.set_metadata("", mode=0o750)
        tx.set_metadata("empty", owner=(os.geteuid(), os.getegid()), xattrs={})
        kinds = {change.path: change.kind.name for change in tx.diff()}
        with pytest.raises(pleach.UnsupportedError):
            tx.path
    assert kinds["index.html"] == "REMOVED" and kinds["dir/css/style.css"] == "ADDED"
    entries = {entry.path: entry for entry in store["site"].ls(recursive=True)}
    assert set(entries) == {"array", "bytes", "dir", "dir/css", "dir/css/style.css", "dir/link",
                            "dir/other", "empty", "memory", "raw", "rest"}
    assert (entries["bytes"].mode, entries["bytes"].mtime_ns, entries["bytes"].links) == (0o600, -1, 2)
    assert entries["dir"].mode == 0o711 and entries["dir/link"].target == "../bytes"
    for name, content in [("array", b"array"), ("memory", b"memory"), ("empty", b""),
                          ("rest", (b"0123456789" * 1000)[5:]), ("raw", b"0123456789" * 1000)]:
        assert store["site"].read_bytes(name) == content


def test_xattrs_are_set_and_taken_away(store):
    values = {"user.a": b"\0\xff", b"user.empty": b""}
    try:
        with store.transaction("site", workspace="none") as tx:
            tx.put("file", b"", xattrs=values)
    except pleach.Error as problem:
        pytest.skip(f"no attributes here: {problem}")
    entry, = store["site"].ls("file")
    assert entry.xattrs == {"user.a": b"\0\xff", "user.empty": b""}
    with store.transaction("site", workspace="none") as tx:
        tx.set_metadata("file", xattrs={})
    entry, = store["site"].ls("file")
    assert entry.xattrs == {}


def test_edits_that_cannot_be_are_errors_by_path(store):
    with store.transaction("site", workspace="none") as tx:
        for kind, call in [
            (FileExistsError, lambda: tx.mkdir("css")),
            (FileExistsError, lambda: tx.link("index.html", "css/style.css")),
            (IsADirectoryError, lambda: tx.put("css", b"")),
            (FileNotFoundError, lambda: tx.remove("nothing")),
            (FileNotFoundError, lambda: tx.put("no/such", b"")),
            (NotADirectoryError, lambda: tx.put("index.html/x", b"")),
            (pleach.UsageError, lambda: tx.put("../x", b"")),
            (pleach.UsageError, lambda: tx.put("/x", b"")),
            (ValueError, lambda: tx.put("x\0y", b"")),
            (ValueError, lambda: tx.put("x", b"", mode=0o10000)),
            (ValueError, lambda: tx.put("x", b"", owner=(-1, 0))),
        ]:
            with pytest.raises(kind):
                call()
    assert tx.result.unchanged


def test_new_ref_begins_empty_only_when_asked(store):
    with pytest.raises(pleach.NotFoundError):
        store.transaction("new")
    with store.transaction("new", create=True) as tx:
        assert tx.base == 0 and tx.info().base_tree == "" and os.listdir(tx.path) == []
        (tx.path / "x").write_text("x")
    assert store["new"].head == 1


@pytest.mark.parametrize("kind", list(pleach.Workspace))
def test_every_kind_of_workspace_is_known_to_the_library(store, kind):
    try:
        tx = store.transaction("site", workspace=kind.value)
    except (pleach.UnsupportedError, pleach.PermissionDeniedError):
        return  # not to be had here
    with tx:
        assert tx.workspace == kind.value or kind.value in ("plain", "any")
        tx.abort()


def test_unknown_kind_of_workspace_is_refused(store):
    with pytest.raises(ValueError):
        store.transaction("site", workspace="other")


def test_busy_queue_is_an_error_in_time(store):
    with store.transaction("site") as tx:
        for wait in (0, 0.01):
            with pytest.raises(pleach.BusyError):
                store.transaction("site", wait=wait)
        assert [info.id for info in store.transactions()] == [tx.id]
        with store.transaction("site", optimistic=True) as other:
            assert other.info().is_optimistic
            (other.path / "b").write_text("b")
        (tx.path / "a").write_text("a")
    assert tx.result.generation == 4 and store["site"].read_text("b") == "b"


def test_size_of_a_transaction_is_what_it_has_alone(store):
    with store.transaction("site", workspace="copy") as tx:
        before = store.leftover_size(tx.id)
        (tx.path / "big").write_bytes(os.urandom(1 << 20))
        after = store.leftover_size(tx.id)
        assert not after.is_more and after.bytes - before.bytes >= 1 << 20
        id = tx.id
        tx.abort()
    with pytest.raises(pleach.NotFoundError):
        store.leftover_size(id)


def test_parked_transaction_outlives_its_process(store):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import pleach\n"
            "with pleach.Store('store').transaction('site', parked=True, lifetime=3600) as tx:\n"
            "    (tx.path / 'parked').write_text('parked'); print(tx.id)\n")
    done = subprocess.run([sys.executable, "-c", code, SRC], stdout=subprocess.PIPE, text=True,
                          check=True)
    id = done.stdout.strip()
    info, = store.transactions()
    assert (info.id, info.state, info.is_parked) == (id, "parked", True) and info.expires
    with store.resume(id[:8]) as tx:
        with pytest.raises(pleach.BusyError):
            store.resume(id)
        assert (tx.path / "parked").read_text() == "parked"
    assert store["site"].head == 2
    with pytest.raises(RuntimeError):
        with store.resume(id):
            raise RuntimeError
    with store.resume(id, message="at last") as tx:
        tx.commit()
    assert store["site"].generation().message == "at last" and list(store.transactions()) == []


def test_conflict_can_be_parked_and_mended(store):
    tx = store.transaction("site", optimistic=True)
    with store.transaction("site", optimistic=True, workspace="none") as theirs:
        theirs.put("index.html", b"theirs\n")
    (tx.path / "index.html").write_text("mine\n")
    with pytest.raises(pleach.ConflictError):
        tx.commit()
    tx.park()
    id = tx.id
    tx.close()
    with store.resume(id) as tx:
        tx.commit(resolved=True)
    assert store["site"].read_text("index.html") == "mine\n"


def test_checkout_is_a_directory_of_ones_own(store):
    with store.transaction("site", checkout="work") as tx:
        assert tx.path == pathlib.Path("work").resolve()
        pathlib.Path("work/index.html").write_text("worked\n")
    assert store["site"].read_text("index.html") == "worked\n"
    with pytest.raises(RuntimeError):
        with store.transaction("site", checkout="given-up"):
            raise RuntimeError
    assert os.path.exists("work") and not os.path.exists("given-up")


# ---- programs ----


@needs_namespaces
def test_program_finds_the_workspace_at_the_public_path(store):
    site = store["site"]
    done = store.run("site", ["sh", "-c", "cat $PLEACH_PATH/index.html; echo no >&2; "
                              "echo new >$PLEACH_PATH/new; rm store/site/css/style.css"],
                     message="run", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"no\n")
    assert (done.publication.added, done.publication.removed) == (1, 1)
    assert site.read_text("new") == "new\n" and site.generation().message == "run"
    assert unfinished(store) == []


@needs_namespaces
def test_program_that_fails_leaves_nothing(store):
    done = store.run("site", ["sh", "-c", "rm -r store/site/*; exit 3"])
    assert (done.returncode, done.publication) == (3, None)
    done = store.run("site", ["sh", "-c", "kill -9 $$"])
    assert (done.returncode, done.publication) == (-9, None)
    with pytest.raises(subprocess.CalledProcessError):
        store.run("site", ["false"], check=True)
    assert store["site"].head == 2 and unfinished(store) == []


@needs_namespaces
def test_program_that_cannot_be_executed_is_an_oserror(store):
    pathlib.Path("plain").write_text("no program")
    with pytest.raises(FileNotFoundError) as caught:
        store.run("site", ["./nowhere"])
    assert caught.value.filename == "./nowhere"
    with pytest.raises(PermissionError):
        store.run("site", ["./plain"])
    for bad in ("true", [], b"true"):
        with pytest.raises((TypeError, ValueError)):
            store.run("site", bad)
    assert unfinished(store) == []


@needs_namespaces
def test_streams_and_environment_are_as_given(store):
    with store.transaction("site", workspace="any") as tx:
        done = tx.run(["cat"], input=b"in" * 100000, capture_output=True, check=True)
        assert done.stdout == b"in" * 100000 and done.stderr == b""
        done = tx.run(["/bin/sh", "-c", "echo $A $HOME; pwd"], env={"A": "b", b"C": b"\xff"}, cwd="/",
                      capture_output=True)
        assert done.stdout == b"b\n/\n"
        with tx.spawn(["sh", "-c", "read x; echo got $x; echo err >&2"], stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.poll() is None
            with pytest.raises(pleach.BusyError):
                tx.commit()
            with pytest.raises(pleach.BusyError):
                tx.spawn(["true"])
            process.stdin.write(b"this\n")
            process.stdin.close()
            assert process.stdout.read() == b"got this\nerr\n"
            assert process.wait() == 0 == process.wait() == process.poll()


@needs_namespaces
def test_program_is_signalled_and_ended(store):
    with store.transaction("site", workspace="any") as tx:
        with tx.spawn(["sleep", "1000"]) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
            process.send_signal(signal.SIGUSR1)
            assert process.wait() == -signal.SIGUSR1
        process = tx.spawn(["sh", "-c", "kill -STOP $$; exit 5"])
        assert process.next_event() == ("stopped", signal.SIGSTOP)
        process.resume()
        assert process.next_event(60) == ("exited", 5)
        process.close()
        with tx.spawn(["sh", "-c", "sleep 1000 & echo; wait"], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
        assert process.closed
        with pytest.raises(subprocess.TimeoutExpired):
            tx.run(["sleep", "1000"], timeout=0.01)
        tx.spawn(["sleep", "1000"])  # ended by the end of the transaction
        with pytest.raises(pleach.BusyError):
            tx.abort()
        tx.close()
    assert store["site"].head == 2 and unfinished(store) == []


@needs_namespaces
def test_conflict_is_run_again_as_often_as_asked(store):
    os.mkfifo("started")
    os.mkfifo("go")
    script = "echo >started; read line <go; echo mine >$PLEACH_PATH/index.html"

    def others(count):
        for number in range(count):
            with open("started", "rb") as started:
                started.read()
            with store.transaction("site", optimistic=True, workspace="none") as theirs:
                if number == 0:
                    theirs.put("index.html", b"theirs %d\n" % store["site"].head)
            with open("go", "wb") as go:
                go.write(b"\n")

    for runs in (1, 2):
        thread = threading.Thread(target=others, args=(runs,))
        thread.start()
        try:
            done = store.run("site", ["sh", "-c", script], optimistic=True, retries=runs - 1)
        except pleach.ConflictError as conflict:
            assert runs == 1 and [c.path for c in conflict.conflicts] == ["index.html"]
        else:
            assert runs == 2 and done.returncode == 0
        thread.join()
    assert store["site"].read_text("index.html") == "mine\n"


@needs_namespaces
def test_nothing_of_a_program_stays_open(store):
    def once():
        with store.transaction("site", workspace="any") as tx:
            tx.run(["true"], capture_output=True, input=b"")
            with tx.spawn(["true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
                process.wait()
            with pytest.raises(pleach.BusyError):
                with tx.spawn(["sleep", "1000"]):
                    tx.spawn(["true"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    once()
    before = open_descriptors()
    for _ in range(5):
        once()
    assert open_descriptors() == before
