"""What goes wrong around a transaction, and programs that mean harm: nothing of it reaches what is
committed (G2, G4, G6, G10), and it is said what it was. PLEACH is the command.
"""

import contextlib
import os
import pathlib
import select
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import alike  # noqa: E402
from disk import ext4, mount  # noqa: E402
from workplace import Workplace, get, in_memory, is_root, needs_command, needs_root, put  # noqa: E402
from workplace import fixture_place, fixture_quick_place, fixture_users_place  # noqa: E402,F401

pytestmark = needs_command
LIMIT = 120  # seconds for any one command
MIB = 1 << 20


def begin(place: Workplace) -> None:
    place.pleach("init", "-q")
    for n in range(5):
        put(place.source + b"/dir/file%d" % n, b"%d\n" % n)
    put(place.source + b"/odd \n\xff name/-e", b"odd\n")
    place.pleach("publish", "-q", "site", place.source)


def run(place: Workplace, script: str, *options, status=0, **others):
    return place.pleach("run", *options, "site", "--", "sh", "-c", script, status=status,
                        **{"cwd": place.public(), "timeout": LIMIT, **others})


def driver_of(place: Workplace, *options) -> str:
    """The workspace that a transaction gets."""
    tx = place.json("begin", *options, "site")
    place.pleach("abort", tx["tx"])
    return tx["workspace"]


def assert_as_before(place: Workplace) -> None:
    """Only the first generation, whole, and nothing left over."""
    assert place.heads() == [1]
    alike.assert_same_tree(place.source, place.public())
    place.pleach("status")
    place.assert_nothing_unfinished()
    place.assert_sound()


# A full disk

@needs_root
@pytest.mark.parametrize("workspace", ["overlay", "copy"])
def test_G2_a_program_that_fills_the_disk_commits_nothing(place, workspace):
    fills = "dd if=/dev/zero of=big bs=64k 2>/dev/null; dd if=/dev/zero of=rest bs=1 2>/dev/null; "
    option = f"--workspace={workspace}"
    with ext4(place):
        begin(place)
        for end in range(2):
            done = run(place, fills + f"exit {7 * end}", option, status=7 if end else 14)
            assert end or "No space left" in done.err or "full" in done.err, done
            assert_as_before(place)
        error = place.json("run", option, "site", "--", "sh", "-c", fills + "exit 0", status=14,
                           cwd=place.public())["error"]
        assert error["code"] == "no-space"
        assert_as_before(place)
        # Room for the beginning of a commit, and not for the file.
        # It is copied where the workspace may be kept, and else taken over, which needs none.
        error = place.json("run", option, "--keep-conflict", "site", "--", "sh", "-c",
                           "dd if=/dev/zero of=spare bs=1M count=2; "
                           "mkdir dir; dd if=/dev/zero of=dir/big bs=64k; rm spare", status=14,
                           cwd=place.public())["error"]
        assert (error["code"], error["path"]) == ("no-space", "dir/big")
        assert "'site/dir/big'" in error["message"]
        assert_as_before(place)
        run(place, "dd if=/dev/zero of=small bs=64k count=16 2>/dev/null", option)
        assert os.path.getsize(place.public() + b"/small") == MIB
        place.assert_sound()


@needs_root
def test_G2_a_small_disk_is_filled_and_emptied_by_one_run_after_the_other(place):
    """What an aborted transaction took is free again, at once."""
    with ext4(place) as disk:
        begin(place)
        before = os.statvfs(disk).f_bfree
        for _ in range(3):
            run(place, "dd if=/dev/zero of=big bs=1M count=120 2>/dev/null; exit 1", status=1)
        assert before - os.statvfs(disk).f_bfree < 2048


# What cannot be stored

@needs_root
@pytest.mark.parametrize("workspace", ["overlay", "copy"])
def test_a_file_system_that_was_mounted_in_the_workspace_is_refused_by_its_path(place, workspace):
    begin(place)
    script = ("set -e; mkdir 'a mount'; mount -t tmpfs none 'a mount'; echo lost >'a mount/file'; "
              "echo other >dir/file1")
    option = f"--workspace={workspace}"
    probe = run(place, script + "; umount 'a mount'; rm -r 'a mount' dir/file1; exit 9", option,
                status=(9, 1, 32))
    if probe.status != 9:
        pytest.skip(f"nothing can be mounted here: {probe.err}")
    done = place.refused("run", option, "site", "--", "sh", "-c", script, status=125,
                         names=["a mount"], cwd=place.public(), timeout=LIMIT)
    assert "mount" in done.err
    assert_as_before(place)
    place.refused("run", option, "--keep", "site", "--", "sh", "-c", script, status=125,
                  names=["a mount"], cwd=place.public(), timeout=LIMIT)
    kept = place.json("status")["transactions"]
    assert [tx["kind"] for tx in kept] == ["parked"]
    assert "M dir/file1" in place.pleach("diff", kept[0]["tx"]).out
    place.pleach("abort", kept[0]["tx"])
    assert_as_before(place)


@pytest.mark.parametrize("name, status", [("nosuch", 127), ("./nosuch", 127), ("./dir", 126),
                                          ("./dir/file1", 126), ("dir/file1/x", 127), ("", 127)])
def test_what_cannot_be_run_is_126_or_127_and_commits_nothing(place, name, status):
    begin(place)
    place.pleach("run", "site", "--", name, status=status, cwd=place.public(), timeout=LIMIT)
    assert_as_before(place)


# Without user namespaces

def without_user_namespaces(*command) -> list:
    """In a user namespace that allows none below it, the command having no capabilities."""
    return ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c",
            "echo 0 >/proc/sys/user/max_user_namespaces || exit 77; exec setpriv --ambient-caps=-all "
            "--inh-caps=-all --bounding-set=-all --no-new-privs \"$@\"", "sh", *command]


@pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("setpriv"),
                    reason="unshare or setpriv was not found")
def test_without_user_namespaces_an_ordinary_user_is_told_the_sysctl(users_place):
    place = users_place
    begin(place)

    def within(*words):
        return subprocess.run(without_user_namespaces(*place.arguments(*words)), check=False,
                              cwd=place.path, env=place.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=LIMIT, **place.who())
    probe = within("log", "site")
    if probe.returncode != 0:
        pytest.skip(f"no such user namespace can be had: {probe.stderr.decode().strip()}")
    done = within("run", "site", "--", "true")
    assert done.returncode == 125, done
    assert b"user.max_user_namespaces" in done.stderr, done
    assert b"begin --checkout" in done.stderr.partition(b"\nhint: ")[2], done
    begun = within("begin", "site", "--checkout", place.at("out"))
    assert begun.returncode == 0, begun
    put(place.at("out") + b"/new", b"new\n")
    assert within("commit", begun.stdout.split()[0]).returncode == 0
    assert get(place.public() + b"/new") == b"new\n"


# File systems that an overlay cannot lie on

@needs_root
def test_a_store_on_an_overlay_takes_another_workspace_and_says_so_with_v(place):
    point = place.at("merged")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(place.at(name))
    base = os.fsdecode(place.path)
    mount(b"overlay", point, "-t", "overlay", "-o",
          f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work")
    try:
        assert os.stat(point).st_dev != os.stat(place.path).st_dev
        place.store = point + b"/store"
        begin(place)
        assert driver_of(place) != "overlay"
        done = run(place, "echo new >dir/file1", "-v")
        assert done.err.count("passed over: overlay: ") == 1, done
        assert get(place.public() + b"/dir/file1") == b"new\n"
        assert "overlay" in place.refused("run", "--workspace=overlay", "site", "--", "true",
                                          status=125).err
        place.assert_sound()
    finally:
        subprocess.run(["umount", point], check=True, timeout=LIMIT)


@pytest.mark.skipif(not in_memory(), reason="there is no room in memory")
def test_a_store_in_memory_takes_transactions(quick_place):
    begin(quick_place)
    run(quick_place, "echo new >dir/file1; rm dir/file2; mv dir moved")
    assert get(quick_place.public() + b"/moved/file1") == b"new\n"
    assert not os.path.exists(quick_place.public() + b"/moved/file2")
    quick_place.assert_nothing_unfinished()
    quick_place.assert_sound()


# Programs that mean harm

HARM = r"""
import os
import stat

def attempt(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except OSError:
        pass

MARKS = {"opaque": b"y", "whiteout": b"y", "redirect": b"/dir", "origin": b"\0\xfb\x1d\0", "nlink": b"U-7",
         "metacopy": b"", "impure": b"y", "upper": b"x", "uuid": b"0123456789abcdef", "protattr": b"ai",
         "overlay.opaque": b"y", "overlay.overlay.x": b"y", "xwhiteouts": b"y", "verity": b"x"}
os.makedirs("new/deep")
for name in ("new/deep/empty", "new/file", "new/opaque-y"):
    open(name, "x").close()
for path in (".", "dir", "dir/file0", "dir/file1", "new", "new/deep", "new/deep/empty", "new/file"):
    for key, value in MARKS.items():
        for prefix in ("trusted.overlay.", "user.overlay."):
            attempt(os.setxattr, path, prefix + key, value)
    attempt(os.setxattr, path, "trusted.other", b"of root")
    attempt(os.setxattr, path, "user.own", b"x")
attempt(os.mknod, "new/whiteout", stat.S_IFCHR, 0)
attempt(os.mknod, "dir/whiteout", stat.S_IFCHR, 0)
os.unlink("dir/file3")
attempt(os.mknod, "dir/file3", stat.S_IFCHR, 0)
attempt(os.link, "new/whiteout", "new/linked whiteout")
for name in (".wh.file0", ".wh..wh..opq", "#1", "work", "index", "..pleach", ".pleach-0123456789abcdef"):
    open("dir/" + name, "w").close()
os.rename("new/deep", "new/.pleach")
"""


def harmed_copy(place: Workplace) -> bytes:
    """The same done to a plain directory."""
    copy = place.at("plain")
    subprocess.run(["cp", "-a", place.source, copy], check=True, timeout=LIMIT)
    subprocess.run([sys.executable, "-c", HARM], cwd=copy, check=True, timeout=LIMIT)
    return copy


def description(root: bytes) -> dict:
    found = {}
    for path, dirfd, name, info in alike.walk(root):
        found[path] = alike.describe(dirfd, name, info)
        del found[path]["mtime"]
    return found


@pytest.mark.parametrize("workspace", ["default", "overlay", "copy"])
def test_G4_G10_marks_of_overlays_that_a_program_makes_corrupt_nothing(place, workspace):
    """The tree is as the program has made it, or it is refused; the next transaction works on it."""
    options = [f"--workspace={workspace}"] if workspace != "default" else []
    if workspace == "overlay" and not is_root:
        pytest.skip("needs root")
    begin(place)
    wanted = description(harmed_copy(place))
    committed = alike.Picture(place.public())
    path = os.fsencode(place.pleach("path", "site").out.strip())
    put(place.at("harm"), HARM.encode())
    words = (sys.executable, place.at("harm"))
    done = place.pleach("run", *options, "site", "--", *words, status=(0, 125), cwd=place.public(),
                        timeout=LIMIT)
    alike.assert_pictures_agree(committed, alike.Picture(path))
    place.assert_sound()
    if done.status == 125:
        assert done.err.startswith("pleach: ")
        assert_as_before(place)
        return
    got = description(place.public())
    if workspace != "copy":  # there a device 0/0 cannot be made, as docs/limits.md says
        for path in [path for path, seen in wanted.items() if seen.get("device") == (0, 0)]:
            if path not in got:
                del wanted[path]
    assert {path: (wanted.get(path), got.get(path)) for path in wanted.keys() | got.keys()
            if wanted.get(path) != got.get(path)} == {}
    run(place, "echo and on >dir/file1; mv new/.pleach new/plain; rm -f dir/file4")
    assert get(place.public() + b"/dir/file1") == b"and on\n"
    assert sorted(os.listdir(place.public() + b"/new/plain")) == [b"empty"]
    del got[b"dir/file4"]
    assert description(place.public()).keys() == {
        path.replace(b"new/.pleach", b"new/plain") for path in got}
    place.assert_nothing_unfinished()
    place.assert_sound()


# Killed

def ended(pid: int):
    """Is readable when that process has."""
    return os.pidfd_open(pid)


def test_G6_of_two_runs_that_are_killed_at_once_nothing_remains(place):
    begin(place)
    processes, inner = [], []
    for n in range(2):
        fifo = place.at(f"at \n{n}")
        os.mkfifo(fifo)
        script = 'echo spoilt >dir/file1; (trap "" HUP TERM; setsid sleep 1000) & ' \
                 'echo at >"$1"; trap "" TERM HUP; sleep 1000'
        processes.append(place.start("run", "--optimistic", "site", "--", "sh", "-c", script, "sh", fifo,
                                     cwd=place.public()))
        with open(fifo, "rb") as file:
            assert file.read() == b"at\n"
    for process in processes:
        marked = [int(pid) for pid in os.listdir("/proc")
                  if pid.isdigit() and is_below(int(pid), process.pid)]
        assert len(marked) >= 3
        with contextlib.ExitStack() as opened:
            for pid in marked:
                with contextlib.suppress(ProcessLookupError):
                    inner.append(ended(pid))
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate(timeout=LIMIT)
    for fd in inner:
        assert select.select([fd], [], [], LIMIT)[0], "a process of the namespace lives on"
        os.close(fd)
    done = run(place, "cat dir/file1; echo mine >dir/file2", "--no-wait")
    assert done.out == "1\n"
    assert place.heads() == [2, 1]
    place.assert_nothing_unfinished()
    place.assert_sound()


def is_below(pid: int, above: int) -> bool:
    """Does this process come of the other?"""
    while pid > 1:
        try:
            stat = get(b"/proc/%d/stat" % pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        pid = int(stat.rpartition(b") ")[2].split()[1])
        if pid == above:
            return True
    return False
