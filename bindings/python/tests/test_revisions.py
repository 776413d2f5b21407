"""Stores, refs, generations, trees and readers: what is read, and what errors say."""

import errno
import os
import pathlib
import pickle
import stat
import subprocess
import sys

import pytest

from prepared import (  # noqa: F401
    FILES,
    SRC,
    fixture_root,
    fixture_store,
    needs_library,
    open_descriptors,
    pleach,
    prepare,
    write,
)

pytestmark = needs_library

ODD = b"odd \xff\n\t\\name"


def test_every_name_of_bytes_comes_back(root):
    os.makedirs(b"odd/" + ODD)
    with open(b"odd/" + ODD + b"/" + ODD, "wb") as file:
        file.write(b"content")
    os.symlink(ODD, b"odd/link")
    store = pleach.Store.init("store")
    store["site"].publish(b"odd", message=b"\xff message", meta={"k": b"\xff=v"})
    entries = {entry.path_bytes: entry for entry in store["site"].ls(recursive=True)}
    assert set(entries) == {b"link", ODD, ODD + b"/" + ODD}
    assert os.fsencode(entries[b"link"].target) == ODD
    for path in (ODD + b"/" + ODD, os.fsdecode(ODD + b"/" + ODD)):
        assert store["site"].read_bytes(path) == b"content"
    assert (store["site"].tree / ODD / ODD).read_bytes() == b"content"
    assert (store["site"].tree / ODD).rev_bytes.endswith(b":" + ODD)
    generation = store["site"].generation()
    assert os.fsencode(generation.message) == b"\xff message"
    assert {k: os.fsencode(v) for k, v in generation.meta.items()} == {"k": b"\xff=v"}
    with store["site"].reader(ODD) as reader:
        assert list(map(os.fsencode, reader.listdir())) == [ODD]
        assert reader.open(ODD, "rb").read() == b"content"


def test_nul_in_a_name_is_refused_and_not_cut(store):
    for call in (
        lambda: store["site"].read_bytes("index.html\0"),
        lambda: store["si\0te"].head,
        lambda: store["site"].publish("docs\0"),
        lambda: store["site"].publish("docs", message="a\0b"),
        lambda: pleach.Store("store\0"),
    ):
        with pytest.raises(ValueError):
            call()


def test_entries_are_exact(root):
    write(root / "exact", {"file": "12345", "dir/x": "1"})
    os.chmod("exact/file", 0o4751)
    os.utime("exact/file", ns=(1, 1234567890123456789))
    os.link("exact/file", "exact/other")
    os.mkfifo("exact/fifo")
    with_xattr = True
    try:
        os.setxattr("exact/file", "user.key", b"\0value")
    except OSError:
        with_xattr = False
    store = pleach.Store.init("store")
    store["site"].publish("exact")
    entries = {entry.path: entry for entry in store["site"].ls()}
    file = entries["file"]
    assert (file.type, file.mode, file.size) == (pleach.EntryType.FILE, 0o4751, 5)
    assert (file.mtime_ns, file.links) == (1234567890123456789, 2)
    assert (file.uid, file.gid) == (os.geteuid(), os.stat("exact/file").st_gid)
    assert file.xattrs == ({"user.key": b"\0value"} if with_xattr else {})
    assert file.is_file() and entries["dir"].is_dir() and file.content and file.id
    assert entries["fifo"].type is pleach.EntryType.FIFO and entries["fifo"].rdev is None
    assert [e.path for e in store["site"].ls("dir")] == ["dir/x"]
    assert [e.path for e in store["site"].ls("dir/x")] == ["dir/x"]


def test_owners_that_are_not_recorded_are_none(root):
    write(root / "docs", FILES)
    store = pleach.Store.init("store", metadata="portable")
    store["site"].publish("docs")
    assert all((e.uid, e.gid) == (None, None) for e in store["site"].ls(recursive=True))


def test_generations_tell_what_is_recorded(store):
    site = store["site"]
    site.publish("docs", {"more": "docs"}, message="more", meta={"a": "1", "b": "2=3"})
    site.tag("v1", 1)
    newest, *_, oldest = list(site)
    assert (newest.number, newest.parent, newest.message) == (3, 2, "more")
    assert newest.meta == {"a": "1", "b": "2=3"} and newest.kind == "publish"
    assert newest.uid == os.geteuid() and newest.bytes_new == 0
    assert (oldest.number, oldest.tags, oldest.is_dropped) == (1, ("v1",), False)
    assert newest.time.utcoffset().total_seconds() == 0
    assert abs(newest.time.timestamp() - newest.time_ns / 1e9) < 1e-3
    assert site["v1"].tree_id == site[1].tree_id == site[-2].tree_id == oldest.tree.id
    assert [g.number for g in site.log(reverse=True)] == [1, 2, 3]


def test_dropped_generation_is_listed_and_not_found(store):
    site = store["site"]
    site.publish("docs", {"x": "docs"})
    site[1].drop()
    assert [g.is_dropped for g in site] == [False, False, True]
    with pytest.raises(pleach.NotFoundError):
        site[1]
    assert site.drop(dry_run=True).generations == 2 and site.exists()
    site.drop()
    assert "site" not in store and list(store) == []


def test_sources_are_composed_with_clashes_as_asked(store):
    write(pathlib.Path("other"), {"index.html": "other\n"})
    new = store["new"]
    with pytest.raises(FileExistsError) as caught:
        new.publish("docs", "other")
    assert caught.value.code is pleach.Code.FAILED and not new.exists()
    new.publish("docs", pathlib.Path("other"), on_clash=pleach.Clash.LAST)
    assert new.read_text("index.html") == "other\n"
    new.publish(pleach.Source(store["site"][1], at="a/b"), {"c": pleach.Source(b"other", at="d")},
                exclude=["*.css"])
    assert new.read_text("a/b/index.html") == "hello\n"
    assert new.read_text("c/d/index.html") == "other\n"
    with pytest.raises(TypeError):
        new.publish()


def test_if_head_guards_a_publish(store):
    with pytest.raises(pleach.ConflictError) as caught:
        store["site"].publish("docs", if_head=1)
    assert caught.value.errno == errno.ECANCELED and caught.value.conflicts == ()
    with pytest.raises(pleach.ConflictError):
        store["site"].rollback(if_head=1)
    assert store["site"].rollback(1, if_head=2, dry_run=True).generation
    assert store["site"].head == 2
    with pytest.raises(pleach.ConflictError):
        store["site"].publish("docs", if_head=0)
    assert store["new"].publish("docs", if_head=0).generation == 1


def test_foreign_public_path_is_an_error_that_names_it(store):
    pathlib.Path("store/mine").write_text("mine")
    with pytest.raises(pleach.AlreadyExistsError) as caught:
        store["mine"].publish("docs")
    error = caught.value
    assert isinstance(error, FileExistsError) and isinstance(error, OSError)
    assert error.code is pleach.Code.FAILED and error.errno == errno.EEXIST
    assert error.hint and error.hint in str(error) and "mine" in error.strerror
    assert pathlib.Path("store/mine").read_text() == "mine"


def test_errors_are_of_the_classes_that_python_has(store):
    site = store["site"]
    for kind, also, code, call in [
        (pleach.NotFoundError, FileNotFoundError, 10, lambda: site.read_bytes("nothing")),
        (pleach.NotFoundError, FileNotFoundError, 10, lambda: pleach.Store("/")),
        (pleach.IsDirectoryError, IsADirectoryError, 1, lambda: site.read_bytes("css")),
        (pleach.NotDirectoryError, NotADirectoryError, 1, lambda: site.publish("docs/index.html")),
        (pleach.MissingFileError, FileNotFoundError, 1, lambda: site.publish("nowhere")),
        (pleach.UsageError, ValueError, 2, lambda: store.revision("si te")),
        (pleach.UsageError, ValueError, 2, lambda: site.tag("7")),
        (pleach.BusyError, OSError, 11, lambda: site[2].drop()),
        (pleach.WaitTimeoutError, TimeoutError, 11, lambda: site.wait(timeout=0)),
        (pleach.NotFoundError, FileNotFoundError, 10, lambda: store.resume("ffff")),
    ]:
        with pytest.raises(kind) as caught:
            call()
        assert isinstance(caught.value, also) and caught.value.code == code, caught.value
        assert caught.value.errno and caught.value.strerror


def test_errors_can_be_pickled(store):
    with pytest.raises(pleach.NotFoundError) as caught:
        store["site"].read_bytes("nothing")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert (again.code, again.errno, again.hint, again.path, str(again)) == (
        caught.value.code, caught.value.errno, caught.value.hint, caught.value.path,
        str(caught.value))


def test_stores_and_revisions_can_be_pickled(store):
    for thing in (store["site"], store["site"][1], store["site"].tree / "css"):
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing) and again == thing and hash(again) == hash(thing)
        assert [e.path for e in again.ls()] == [e.path for e in thing.ls()]
    assert pickle.loads(pickle.dumps(store)).path == store.path


def test_files_are_file_objects(store):
    with store["site"].open("index.html", "rb") as file:
        assert file.read(2) == b"he" and file.readable() and not file.seekable()
        assert file.read() == b"llo\n"
    with pytest.raises(ValueError):
        file.read()
    with store["site"].open("index.html", encoding="utf-16-le", newline="") as file:
        assert file.read() == b"hello\n".decode("utf-16-le")
    assert list(store["site"].open("index.html")) == ["hello\n"]
    for mode in ("w", "a", "r+", "rb+", "x"):
        with pytest.raises(ValueError):
            store["site"].open("index.html", mode)


def test_damaged_content_ends_in_an_error_before_its_end(store):
    entry, = store["site"].ls("index.html")
    placed = store["site"].path("index.html")
    os.chmod(placed, 0o644)
    placed.write_text("HELLO\n")  # the object behind it
    with pytest.raises(pleach.CorruptError):
        store["site"].read_bytes("index.html")
    found = store.check()
    assert not found.is_sound and found.faults >= 1 and entry.id[:2]
    assert any(finding.is_fault and finding.message for finding in found.findings)
    hurts = {str(hurt) for finding in found.findings for hurt in finding.hurts}
    assert {"site@1:index.html", "site@2:index.html"} <= hurts
    with pytest.raises(pleach.CorruptError):
        found.raise_for_faults()
    with pytest.raises(pleach.CorruptError):
        store["site"].checkout("copy")
    assert not os.path.exists("copy")


def test_repair_mends_what_verifies_elsewhere(store):
    placed = store["site"].path("index.html")
    os.chmod(placed, 0o644)
    placed.write_text("HELLO\n")  # the object behind it
    assert not store.check().is_sound
    with pytest.raises(TypeError):
        store.check(repair_from="docs")
    done = store.check(repair=True, repair_from="docs")
    assert done.is_sound and done.mended >= 1 and done.findings[0].is_mended
    assert store["site"].read_text("index.html") == "hello\n" and store.check().is_sound


def test_reader_keeps_its_generation(store):
    site = store["site"]
    with site as reader, site[1] as first:
        write(pathlib.Path("docs2"), {"index.html": "new\n"})
        site.publish("docs2")
        assert reader.open("index.html").read() == first.open("index.html").read() == "hello\n"
        assert sorted(reader.listdir()) == ["css", "index.html"]
        assert os.stat("css/style.css", dir_fd=reader.fd).st_size == 16
        with reader.scandir("css") as entries:
            assert [(e.name, stat.S_ISREG(e.stat().st_mode)) for e in entries] == [("style.css", True)]
        assert sorted(where for where, *_ in reader.walk()) == [".", "./css"]
        assert reader.revision.generation == 2 and first.revision.generation == 1
        assert pathlib.Path(os.fspath(reader)) == reader.path
    assert reader.closed and first.closed
    for use in (lambda: reader.fd, lambda: reader.path, reader.listdir):
        with pytest.raises(ValueError):
            use()
    reader.close()
    with pytest.raises(ValueError):
        reader.__enter__()


def test_reader_refuses_what_is_not_relative_or_not_for_reading(store):
    with store["site"] as reader:
        for path in ("/etc/passwd", b"/etc/passwd"):
            with pytest.raises(ValueError):
                reader.open(path)
        with pytest.raises(ValueError):
            reader.open("index.html", "w")


def test_pin_holds_a_ref_against_its_drop(store):
    with store["site"].pin() as pin:
        assert pin.revision.generation == 2 and (pin.path / "index.html").read_text() == "hello\n"
        with pytest.raises(pleach.BusyError):
            store["site"].drop()
    store["site"].drop()


def test_pin_is_inherited_when_asked(store):
    with store["site"].pin() as pin:
        pin.inherit()
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with pytest.raises(pleach.BusyError):
        store["site"].drop()
    child.communicate(b"")
    store["site"].drop()


def test_checkout_lists_and_updates(store):
    report = store["site"][1].checkout("copy")
    assert not report and list(report) == [] and report.problem is None
    with pytest.raises(pleach.Error) as caught:
        store["site"].checkout("copy")
    assert caught.value.errno == errno.ENOTEMPTY
    store["site"].checkout("copy", update=True)
    assert pathlib.Path("copy/css/style.css").exists()
    store["site"][1].checkout("copy", update=True)
    assert pathlib.Path("copy/css").exists()
    store["site"][1].checkout("copy", update=True, delete=True)
    assert not pathlib.Path("copy/css").exists()


def test_diff_compares_generations_directories_and_paths(store):
    site = store["site"]
    pathlib.Path("docs/index.html").write_text("changed\n")
    changes = {change.path: change for change in site.diff(directory="docs")}
    change = changes["index.html"]
    assert change.kind is pleach.ChangeKind.MODIFIED
    assert (change.before.size, change.after.size) == (6, 8)
    assert [str(c) for c in site.diff(directory="docs", exclude=["index.html"])] == ["D index.html"]
    assert [str(c) for c in site[1].diff(site[2], paths=["css"])] == ["A css", "A css/style.css"]
    added, = site[1].diff(site[2], paths=["css/style.css"])
    assert added.before is None and added.after.path == "css/style.css"
    with pytest.raises(TypeError):
        site.diff(site, directory="docs")


def test_settings_are_a_mapping(store):
    config = store["site"].config
    assert config["keep"] == "all" and "grace" in config and len(config) == len(list(config))
    config["keep"] = "3"
    assert dict(config.items())["keep"] == "3" and config.setting("keep").where == "ref"
    del config["keep"]
    assert config["keep"] == "all"
    for bad in (lambda: config["nothing"], lambda: config.__delitem__("nothing")):
        with pytest.raises(KeyError):
            bad()
    with pytest.raises(pleach.UsageError):
        config["keep"] = "some"
    store.config["keep"] = "2"
    assert config["keep"] == "2" and config.setting("keep").where == "store"


def test_attached_paths_follow_until_detached(store):
    assert store["site"].attach("www") is True
    assert store["site"].attach("www") is False
    assert store.attach(store["site"][1], "old") is True
    assert pathlib.Path("www/css/style.css").exists()
    assert not pathlib.Path("old/css").exists() and pathlib.Path("old/index.html").exists()
    states = {pathlib.Path(a.path).name: (a.mode, a.state) for a in store["site"].status().attached}
    assert states == {"www": ("symlink", "ok"), "old": ("symlink", "ok")}
    assert store.detach("www") is True and store.detach("old") is True
    with pytest.raises(pleach.NotFoundError):
        store.detach("www")


def test_gc_takes_what_no_rule_keeps_and_why_says_who_keeps(store):
    site = store["site"]
    for number in range(3):
        site.publish({str(number): "docs"})
    site.config["keep"] = "2"
    site.config["grace"] = "0"
    site.tag("v1", 1)
    told = store.gc(dry_run=True)
    kinds = {finding.generation: finding.kind for finding in told.findings}
    assert kinds[2] == "goes" and kinds[5] == "stays" and kinds[1] != "goes"
    assert any(f.kind == "tag" or "v1" in f.message for f in store.why(site[1]))
    done = store.gc()
    assert done.generations == told.generations >= 1 and done.is_complete
    assert {g.number for g in site if not g.is_dropped} >= {1, 4, 5}
    assert store.check().is_sound


def test_gc_keeps_a_store_within_its_max_size(store):
    site = store["site"]
    store.config["grace"] = "0"
    store.config["auto-gc"] = "off"

    def publish(size):
        pathlib.Path("docs/large").write_bytes(os.urandom(size))
        return site.publish("docs").generation

    for _ in range(2):
        publish(6 << 20)
    assert store.gc().store_size == 0
    store.config["max-size"] = "12M"
    done = store.gc()
    assert done.generations >= 1 and done.over == 0 and 6 << 20 < done.store_size <= 12 << 20
    kept = [g.number for g in site if not g.is_dropped]
    with pytest.raises(pleach.NoSpaceError):
        publish(13 << 20)
    store.config["max-size"] = "64M"
    head = publish(13 << 20)
    store.config["max-size"] = "12M"
    done = store.gc(room=1 << 20) # what cannot fit takes nothing with it
    assert [g.number for g in site if not g.is_dropped] == [head, *kept]
    assert done.generations == 0
    assert done.over >= 1 << 20 and any(finding.kind == "over" for finding in done.findings)


def test_du_tells_what_is_shared_and_what_alone(store):
    store["other"].publish("docs")
    used = store.du()
    assert [(g.ref, g.generation) for g in used.generations] == [("other", 1), ("site", 1), ("site", 2)]
    assert used.totals.total >= used.totals.objects > 0 and used.totals.n_placed >= 1
    assert all(g.disk == g.shared + g.alone and g.bytes > 0 for g in used.generations)
    assert [g.generation for g in store.du("site").generations] == [1, 2]
    assert store.du(store["site"]).generations == used.generations[1:]
    with pytest.raises(pleach.NotFoundError):
        store.du("nothing")


def test_wait_ends_with_a_newer_generation(store):
    other = subprocess.Popen([
        sys.executable, "-c",
        f"import sys; sys.path.insert(0, {os.fspath(SRC)!r}); import pleach\n"
        "sys.stdin.read(1); pleach.Store('store')['site'].publish({'x': 'docs'})"],
        stdin=subprocess.PIPE)
    other.stdin.write(b"x")
    other.stdin.close()
    assert store["site"].wait(after=2, timeout=60) == 3
    assert other.wait() == 0


def test_nothing_stays_open(root):
    before = open_descriptors()
    with prepare(root) as store:
        site = store["site"]
        for _ in range(20):
            with site as reader, site.pin(), site.open("index.html"):
                next(site.log())
                next(site.ls())
                next(store.refs())
                reader.listdir()
            with pytest.raises(pleach.NotFoundError):
                site.read_bytes("nothing")
            with pytest.raises(pleach.NotFoundError):
                store["nothing"].log()
    assert open_descriptors() == before


def test_closed_store_is_refused_and_what_is_open_goes_on(store):
    log = store["site"].log()
    with store["site"] as reader:
        store.close()
        assert store.closed
        assert reader.open("index.html").read() == "hello\n" and len(list(log)) == 2
    for use in (store.refs, lambda: store["site"].head, store.__enter__, lambda: list(store)):
        with pytest.raises(ValueError):
            use()
    store.close()


def test_forgotten_reader_is_closed_with_a_warning(store):
    store["site"].reader().close()
    before = open_descriptors()
    with pytest.warns(ResourceWarning):
        store["site"].reader()
    assert open_descriptors() == before


def test_init_is_told_apart_from_what_is_there(root):
    store = pleach.Store.init("store", metadata="portable", share="content", hash="sha256")
    assert store.config["metadata"] == "portable"
    with pytest.raises(FileExistsError):
        pleach.Store.init("store")
    assert pleach.Store.init("store", exist_ok=True).path == store.path
    os.mkdir("full")
    pathlib.Path("full/file").write_text("")
    with pytest.raises(pleach.Error) as caught:
        pleach.Store.init("full")
    assert caught.value.errno == errno.ENOTEMPTY
    pleach.Store.init("full", force=True)
    assert pathlib.Path("full/file").exists()
    with pytest.raises(pleach.UsageError):
        pleach.Store.init("odd", metadata="odd")
    os.chdir("store")
    assert pleach.Store().path == store.path


def test_dedup_links_and_reports(root):
    write(root / "a", {"1": "same" * 100, "2": "same" * 100, "3": "other"})
    told = pleach.dedup(["a"], how="link", dry_run=True, match=["mode"])
    assert told.linked == 1 and os.stat("a/1").st_nlink == 1
    os.mkdir("index")
    done = pleach.dedup([b"a"], how="link", match=["mode"], index="index")
    assert done.linked >= 1 and done.bytes_saved == 400 and done.findings == ()
    assert done.problem is None and done.indexed >= 1
    assert os.path.samefile("a/1", "a/2")
    for bad in ([], ["nowhere"]):
        with pytest.raises((ValueError, FileNotFoundError)):
            pleach.dedup(bad)
    with pytest.raises(TypeError):
        pleach.dedup("a")
