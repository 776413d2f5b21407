"""Programs that know nothing of transactions: what each makes of a ref is what it makes of a plain copy,
and no committed generation changes (G4, G8). PLEACH is the command.

A time that the program set anew differs from one run to the next; any other must be the same.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from workplace import Workplace, get, is_root, needs_command, put  # noqa: E402
from workplace import fixture_place  # noqa: E402,F401

pytestmark = needs_command
LIMIT = 120  # seconds for any one command
LONG_AGO = 1600000000 * 10 ** 9  # what is older has a time that was given, not the clock's
ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z", "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_OPTIONAL_LOCKS": "0", "SOURCE_DATE_EPOCH": "1577836800",
}


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not found: {', '.join(missing)}")


class Twice:
    """A tree twice: as a ref and as a plain copy. What is run is run in both."""

    def __init__(self, place: Workplace, workspace: str):
        self.place = place
        self.options = ["--workspace=copy"] if workspace == "copy" else []
        self.is_large = workspace == "large"
        self.copy = place.at("plain")
        self.environment = {**place.environment, **ENVIRONMENT, "HOME": os.fsdecode(place.path),
                            "OUT": os.fsdecode(place.path)}
        place.pleach("init", "-q")

    def begin(self) -> None:
        """With what is in the source now, and what makes it large, if it is to be."""
        for n in range(101 if self.is_large else 0):
            put(self.place.source + b"/more/%d" % n)
        self.place.pleach("publish", "-q", "site", self.place.source)
        subprocess.run(["cp", "-a", self.place.source, self.copy], check=True, timeout=LIMIT)

    def in_ref(self, script: str, status=0, **options):
        return self.place.pleach("run", *self.options, "site", "--", "sh", "-ec", script, status=status,
                                 **{"cwd": self.place.public(), "env": self.environment,
                                    "timeout": LIMIT, **options})

    def in_copy(self, script: str) -> subprocess.CompletedProcess:
        return subprocess.run(["sh", "-ec", script], check=False, cwd=self.copy, env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT)

    def run(self, script: str) -> None:
        """In both, with the same end, one generation, and without a trace in those before."""
        path = os.fsencode(self.place.pleach("path", "site").out.strip())
        before, generation = self.look(), self.place.heads()[0]
        committed = alike.Picture(path)
        plain = self.in_copy(script)
        assert plain.returncode == 0, plain
        done = self.in_ref(script)
        assert done.out.encode() == plain.stdout
        assert self.place.heads()[0] == generation + 1
        alike.assert_pictures_agree(committed, alike.Picture(path))
        self.assert_same(before)

    def look(self) -> tuple:
        return alike.Picture(self.copy), alike.Picture(self.place.public())

    def assert_same(self, before: tuple, own=b"/", touched=b"/") -> None:
        """Both have become the same, but for the content of the file `own` and times below `touched`."""
        after = self.look()
        for was, is_now in zip(before, after):
            for path, seen in is_now.entries.items():
                if seen["mtime"] > LONG_AGO and seen["mtime"] != was.entries.get(path, {}).get("mtime"):
                    seen["mtime"] = "set anew"
                elif seen["mtime"] > LONG_AGO:
                    seen["mtime"] = "as before"
                if path == own:
                    seen.update(content=None, size=None)
                if path.startswith(touched):
                    seen.update(mtime=None)
        alike.assert_pictures_agree(*after)

    def end(self) -> None:
        self.place.assert_nothing_unfinished()
        self.place.assert_sound()


# An ordinary user's small tree is copied, a large one gets an overlay.
@pytest.fixture(name="twice", params=["default", "copy"] if is_root else ["default", "large"])
def fixture_twice(place, request):
    twice = Twice(place, request.param)
    yield twice
    twice.end()


def some_files(source: bytes, count: int = 30) -> None:
    for n in range(count):
        path = put(source + b"/dir%d/file%d" % (n % 5, n), b"line one of %d\nline two\n" % n * 40)
        os.utime(path, (1500000000 + n, 1500000000 + n))


@needs("sed")
def test_sed_edits_in_place(twice):
    some_files(twice.place.source)
    os.symlink("dir0/file0", twice.place.source + b"/link")
    twice.begin()
    twice.run("sed -i 's/two/TWO/' dir*/*")
    twice.run("sed -i.orig -e '/one/d' dir1/*; sed -i --follow-symlinks 's/l/L/' link")


@needs("rsync")
def test_rsync_writes_in_place(twice):
    some_files(twice.place.source)
    put(twice.place.source + b"/large", b"".join(b"%07d\n" % n for n in range(50000)))
    twice.begin()
    other = twice.place.at("other")
    subprocess.run(["cp", "-a", twice.place.source, other], check=True, timeout=LIMIT)
    with open(other + b"/large", "r+b") as file:
        file.seek(200000)
        file.write(b"changed in the middle")
        file.seek(0, os.SEEK_END)
        file.write(b"and at the end")
    put(other + b"/dir1/file1", b"other\n")
    put(other + b"/new/file", b"new\n")
    os.unlink(other + b"/dir2/file2")
    os.link(other + b"/dir3/file3", other + b"/dir4/linked")
    twice.run('rsync -aHX --inplace --no-whole-file --delete "$OUT/other/" ./')
    alike.assert_rsync_sees_nothing_to_do(other, twice.place.public())


@needs("tar", "dpkg", "dpkg-deb")
def test_tar_and_dpkg_unpack_over_what_is_there(twice):
    package = twice.place.at("package")
    some_files(package, 10)
    os.chmod(put(package + b"/bin/program", b"#!/bin/sh\n"), 0o4755)
    os.symlink("../dir1", package + b"/bin/link")
    os.link(package + b"/dir1/file1", package + b"/bin/linked")
    os.mkfifo(package + b"/dir2/fifo")
    for path, _, _, _ in alike.walk(package):
        os.utime(package + b"/" + path, (1500000000, 1500000000), follow_symlinks=False)
    subprocess.run(["tar", "-C", package, "-cf", twice.place.at("a.tar"), "."], check=True, timeout=LIMIT)
    os.unlink(package + b"/dir2/fifo")
    put(package + b"/DEBIAN/control",
        b"Package: p\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: d\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", package, twice.place.at("a.deb")],
                   check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
    some_files(twice.place.source)
    put(twice.place.source + b"/bin/linked", b"was here before\n")
    twice.begin()
    twice.run('tar -xpf "$OUT/a.tar"')
    twice.run('dpkg -x "$OUT/a.deb" unpacked; dpkg -x "$OUT/a.deb" .')


@needs("git")
def test_git_commits_and_collects_its_garbage(twice):
    some_files(twice.place.source)
    subprocess.run(["git", "init", "-q", "-b", "main", twice.place.source], check=True,
                   timeout=LIMIT, env=twice.environment)
    twice.begin()
    for script in ("git add . && git commit -qm first",
                   "echo more >>dir1/file1; git rm -q dir2/file2; git mv dir3/file3 moved; git commit -qam second",
                   "git checkout -q -b side HEAD~1; echo x >x; git add x; git commit -qm side; git checkout -q main; "
                   "git merge -q -m merged side; git -c pack.threads=1 gc -q --prune=now"):
        before = twice.look()
        plain = twice.in_copy(script)
        assert plain.returncode == 0, plain
        twice.in_ref(script)
        # An index holds inodes and times. By these git sees what it has to hash again; it then touches
        # the objects that are there already.
        twice.assert_same(before, own=b".git/index", touched=b".git/objects")
    for look in ("git fsck --strict", "git status --porcelain", "git log --stat", "git ls-files -s"):
        plain = twice.in_copy(look)
        seen = subprocess.run(["sh", "-ec", look], cwd=twice.place.public(), env=twice.environment,
                              check=False, capture_output=True, timeout=LIMIT)
        assert (seen.returncode, seen.stdout) == (0, plain.stdout), (look, seen)


@needs("make", "cc")
def test_make_builds_and_then_finds_nothing_to_do(twice):
    source = twice.place.source
    put(source + b"/Makefile", b"CC = cc\nprogram: main.o part.o\n\t$(CC) -o $@ main.o part.o\n"
        b"%.o: %.c part.h\n\t$(CC) -c -o $@ $<\nclean:\n\trm -f program *.o\n")
    put(source + b"/part.h", b"int part(void);\n")
    put(source + b"/part.c", b'#include "part.h"\nint part(void)\n{\n\treturn 7;\n}\n')
    put(source + b"/main.c", b'#include "part.h"\nint main(void)\n{\n\treturn part();\n}\n')
    twice.begin()
    twice.run("make -s && ! ./program; ./program || echo $?")
    done = twice.in_ref("make")
    assert "is up to date" in done.out and "unchanged" in done.err
    twice.run("sed -i s/7/8/ part.c && make -s -j2; ./program || echo $?")
    twice.run("make -s clean")


@needs("ex")
def test_an_editor_edits(twice):
    if twice.is_large:
        pytest.skip("an ordinary user's overlay gives a file another inode number at its first write")
    some_files(twice.place.source)
    twice.begin()
    for options in ("backupcopy=yes", "backupcopy=no", "backup backupext=.bak"):
        twice.run(f"printf '%s\\n' 'set backupskip= {options}' '%s/^/{options[-3:]} /' '$a' added . wq | "
                  "ex -s -N -u NONE -i NONE dir1/file1")
    assert get(twice.place.public() + b"/dir1/file1").startswith(b"bak =no yes line one of 1\n")
    assert get(twice.place.public() + b"/dir1/file1.bak").startswith(b"=no yes line one of 1\n")


@needs("apt-ftparchive", "dpkg-deb", "gzip")
def test_an_index_of_packages_is_built(twice):
    for n in range(4):
        package = twice.place.at(f"package{n}")
        put(package + b"/usr/share/file", b"%d\n" % n)
        put(package + b"/DEBIAN/control", b"Package: p%d\nVersion: 1\nArchitecture: all\n"
            b"Maintainer: a <a@example.org>\nDescription: d\n" % n)
        os.makedirs(twice.place.source + b"/pool", exist_ok=True)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", package, twice.place.source + b"/pool"],
                       check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
    twice.begin()
    build = ("mkdir -p dists/s; apt-ftparchive packages pool >dists/s/Packages; "
             "gzip -9nkf dists/s/Packages; apt-ftparchive release dists/s >dists/new; "
             "sed -i /^Date:/d dists/new; mv dists/new dists/s/Release")
    twice.run(build)
    twice.run("rm pool/p2_1_all.deb; " + build)
    assert b"Package: p3\n" in get(twice.place.public() + b"/dists/s/Packages")


# A data base, with a journal

ROWS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) " \
       "INSERT INTO t SELECT i, hex(randomblob(100)) FROM n;"
LOOK = "sqlite3 db 'PRAGMA integrity_check; SELECT count(*), min(i), max(i) FROM t'"


def begin_data_base(twice: Twice) -> None:
    db = twice.place.source + b"/db"
    os.makedirs(twice.place.source, exist_ok=True)
    subprocess.run(["sqlite3", db, "CREATE TABLE t(i INTEGER, x TEXT); CREATE INDEX x ON t(x);" + ROWS],
                   check=True, timeout=LIMIT)
    twice.begin()


@needs("sqlite3")
def test_a_data_base_commits_and_rolls_back(twice):
    begin_data_base(twice)
    twice.run("sqlite3 db 'BEGIN; UPDATE t SET i = i + 10; COMMIT; BEGIN; DELETE FROM t; ROLLBACK'; " + LOOK)
    twice.run("sqlite3 db 'PRAGMA journal_mode = persist; DELETE FROM t WHERE i > 100;' >/dev/null; "
              "rm db-journal; " + LOOK)


@needs("sqlite3")
def test_G4_a_data_base_that_was_killed_is_rolled_back_by_its_journal(twice):
    """The journal is committed as the killed program has left it; whoever opens the data base next uses it."""
    begin_data_base(twice)
    killed = ("(echo 'PRAGMA cache_size = 5; BEGIN; UPDATE t SET x = hex(randomblob(90)), i = -1;'; "
              "echo '.shell kill -9 $PPID') | sqlite3 db || true")
    assert twice.in_copy(killed).returncode == 0
    done = twice.in_ref(killed)
    assert "unchanged" not in done.err
    assert os.path.getsize(twice.place.public() + b"/db-journal") > 0
    twice.run(LOOK)
    assert not os.path.exists(twice.place.public() + b"/db-journal")


@needs("sqlite3")
def test_G2_a_run_that_is_killed_in_a_data_base_s_transaction_changes_nothing(twice):
    begin_data_base(twice)
    before = alike.Picture(twice.place.public())
    os.mkfifo(twice.place.at("at"))
    process = twice.place.start("run", *twice.options, "site", "--", "sqlite3", "db", "BEGIN;",
                                "PRAGMA cache_size = 5; UPDATE t SET i = -1, x = hex(x);",
                                f".shell echo at >'{os.fsdecode(twice.place.at('at'))}'; sleep 1000",
                                cwd=twice.place.public(), env=twice.environment)
    with open(twice.place.at("at"), "rb") as file:
        assert file.read() == b"at\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=LIMIT)
    twice.run("sqlite3 db 'UPDATE t SET i = i + 1 WHERE i = 1'; test ! -e db-journal; " + LOOK)
    path = os.fsencode(twice.place.pleach("path", "site@1").out.strip())
    alike.assert_pictures_agree(before, alike.Picture(path))
