"""One update of a package repository is one transaction on a ref.

    init_update()  --sync program-->  commit_update()   the next generation, public in one step
                                      abort_update()    nothing has happened; the same if we are killed

What the program works in is a plain directory, a copy of what is public (by snapshot or reflinks where the
file system has them): it may write in place. The location in repos.conf is a symlink to the public tree. A
reader that has resolved it keeps that tree for the ref's `grace`, or for as long as he pins it.

I1  Nothing of somebody else's at the location is replaced; an empty directory, which Portage makes itself, is.
I2  After commit_update() and abort_update() there is no update, whatever became of it.
I3  What goes wrong is a RepoStorageException: its callers know no other.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Iterator, Mapping, Optional

import pleach

try:
    from portage.repository.storage.interface import RepoStorageException, RepoStorageInterface
except ImportError:  # no Portage here: for scripts, and for tests

    class RepoStorageException(Exception):  # type: ignore[no-redef]
        """What goes wrong in a storage."""

    class RepoStorageInterface:  # type: ignore[no-redef]
        """What Portage's interface is to it."""


__all__ = ["PleachRepoStorage", "RepoStorageException", "RepoStorageInterface"]

STORE_OPTION = "sync-pleach-store"
REF_OPTION = "sync-pleach-ref"


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """I3."""
    try:
        yield
    except (pleach.Error, pleach.LibraryNotFoundError, OSError, ValueError) as problem:
        raise RepoStorageException(str(problem)) from problem


class PleachRepoStorage(RepoStorageInterface):  # type: ignore[misc]
    """A storage of Portage, chosen by `sync-type = pleach-rsync`.

    In repos.conf: `sync-pleach-store`, the directory of the store (made if it is missing), and
    `sync-pleach-ref`, by default the repository's name. How many generations stay, and for how long
    readers keep what they have resolved, are settings of the ref: `pleach config --ref REF`.

    Two updates of a repository do not run at once: the second one waits in `init_update()`.
    """

    def __init__(self, repo: Any, spawn_kwargs: Optional[Mapping[str, Any]]):
        options: Mapping[str, str] = getattr(repo, "module_specific_options", None) or {}
        where = options.get(STORE_OPTION)
        if not where:
            raise RepoStorageException(
                f"repos.conf: {STORE_OPTION} has to be set for repo '{repo.name}'"
            )
        uid = (spawn_kwargs or {}).get("uid")
        if uid not in (None, os.getuid()):
            raise RepoStorageException(
                f"repos.conf: the sync program of repo '{repo.name}' would run as user {uid}, who cannot"
                f" reach the store {where}: set sync-user to its owner"
            )
        # repo.location is what this symlink led to when repos.conf was read
        self._location: str = os.path.abspath(getattr(repo, "user_location", None) or repo.location)
        self._update: Optional[pleach.Transaction] = None
        with _told():
            self._store = pleach.Store.init(where, exist_ok=True)
            self._ref = self._store[options.get(REF_OPTION) or repo.name]

    # ---- the interface ----

    async def init_update(self) -> str:
        """Begins an update, and returns the directory to be updated."""
        with _told():
            self._end_update()
            self._look_at_location()
            made = self._directory_that_portage_made()
            if self._location == os.fspath(self._ref.public_path):
                self._remove_empty_location()  # pleach begins nothing behind it
            self._update = self._ref.transaction(create=True)
            if made and self._update.base == 0:
                os.chown(self.current_update, made.st_uid, made.st_gid)
                os.chmod(self.current_update, stat.S_IMODE(made.st_mode))
            return self.current_update

    @property
    def current_update(self) -> str:
        """The directory that init_update() returned."""
        if self._update is None:
            raise RepoStorageException("current update does not exist")
        with _told():
            return os.fspath(self._update.path)

    async def commit_update(self) -> None:
        """Publishes the update; durable when it returns."""
        update, self._update = self._update, None  # I2
        if update is None:
            raise RepoStorageException("current update does not exist")
        with _told():
            try:
                self._look_at_location()
                self._remove_empty_location()
                done = update.commit(f"sync to {self._location}")
            finally:
                update.close()
            self._show()
            if done.problem:
                raise done.problem

    async def abort_update(self) -> None:
        """Gives the update up. Without one, nothing happens."""
        with _told():
            self._end_update()

    async def garbage_collection(self) -> None:
        """Drops what the settings of the ref keep no longer, and erases what nobody needs. What is pinned or
        within its grace stays."""
        with _told():
            try:
                self._store.gc()
            except pleach.BusyError:
                pass  # somebody else is at it

    # ---- how it is done ----

    def _end_update(self) -> None:
        update, self._update = self._update, None  # I2
        if update is not None:
            update.close()  # one that is not committed is aborted by that

    def _is_shown(self) -> bool:
        """Does the location lead to the public tree, or is it going to?"""
        public = os.fspath(self._ref.public_path)
        if self._location == public:
            return True
        with contextlib.suppress(OSError):
            return os.path.samefile(self._location, public)
        return False

    def _look_at_location(self) -> None:
        """I1. Before anything is fetched as well as before it is committed."""
        try:
            mode = os.lstat(self._location).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            if self._is_shown() or not os.path.exists(self._location):
                return  # pleach refuses a symlink of somebody else's by itself
            raise RepoStorageException(f"'{self._location}' leads elsewhere: move it away")
        if not stat.S_ISDIR(mode) or os.listdir(self._location):
            raise RepoStorageException(
                f"'{self._location}' is not empty: publish it, and move it away:"
                f" pleach --store {self._store.path} publish {self._ref.name} {self._location}"
            )

    def _directory_that_portage_made(self) -> Optional[os.stat_result]:
        """With the owner and the mode that the repository is to have; None: there is none, it is there already."""
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(self._location)
            if stat.S_ISDIR(found.st_mode):
                return found
        return None

    def _remove_empty_location(self) -> None:
        if self._directory_that_portage_made():
            os.rmdir(self._location)  # refuses if it is not empty any more (I1)

    def _show(self) -> None:
        if not self._is_shown():
            self._store.attach(self._ref, self._location)
