"""File systems of a test's own, on images, as root: mounted where the test is, full if wanted."""

import contextlib
import os
import subprocess

import pytest

MIB = 1 << 20


def mount(image: bytes, point: bytes, *options) -> None:
    done = subprocess.run(["mount", *options, image, point], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        pytest.skip(f"no image can be mounted here: {done.stdout.decode().strip()}")


@contextlib.contextmanager
def image_of(place, make: list, size_mib: int):
    """A file system of its own, by a mkfs, which has the store of the workplace."""
    image, point = place.at("image"), place.at("disk")
    with open(image, "wb") as file:
        file.truncate(size_mib * MIB)
    subprocess.run([*make, image], check=True)
    os.mkdir(point)
    mount(image, point, "-o", "loop")
    try:
        assert os.stat(point).st_dev != os.stat(place.path).st_dev
        place.store = point + b"/store"
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


def ext4(place, *options, size_mib=200):
    return image_of(place, ["mkfs.ext4", "-q", "-F", "-m", "0", *options], size_mib)


def btrfs(place, *options, size_mib=300):
    return image_of(place, ["mkfs.btrfs", "-q", "-f", *options], size_mib)


@contextlib.contextmanager
def filled(disk: bytes, left_kib: int):
    """The disk has no more than this left, meanwhile."""
    ballast = disk + b"/ballast"
    state = os.statvfs(disk)
    fill = state.f_bavail * state.f_frsize - left_kib * 1024
    assert 0 < fill < 1024 * MIB
    with open(ballast, "wb") as file:
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, fill)
        if left_kib == 0:
            with contextlib.suppress(OSError):  # what the blocks of the file's own tree have left
                while fill < 1024 * MIB:
                    fill += os.pwrite(file.fileno(), b"x" * 4096, fill)
    try:
        yield
    finally:
        os.unlink(ballast)
