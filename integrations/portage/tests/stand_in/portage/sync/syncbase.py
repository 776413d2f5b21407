"""What a sync module is given, and how it comes to its storage."""

import asyncio
import inspect
import shutil
import sys

import portage
from portage.repository.storage.interface import RepoStorageException


class Synchronous:
    """An object whose coroutine methods are run to their end by who calls them."""

    def __init__(self, target, loop):
        self._target, self._loop = target, loop

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *given: self._loop.run_until_complete(found(*given))


class SyncBase:
    def __init__(self, bin_command):
        self.bin_command = shutil.which(bin_command)
        self.loop = asyncio.new_event_loop()
        self.repo = self.spawn_kwargs = self._repo_storage = self._download_dir = None

    def take(self, options):
        self.repo, self.spawn_kwargs = options["repo"], options["spawn_kwargs"]

    def _select_storage_module(self):
        raise NotImplementedError

    @property
    def repo_storage(self):
        if self._repo_storage is None:
            kind = portage.load_mod(self._select_storage_module())
            self._repo_storage = Synchronous(kind(self.repo, self.spawn_kwargs), self.loop)
        return self._repo_storage

    @property
    def has_bin(self):
        """This is where a wrong configuration of the storage is told of."""
        if self.bin_command is None:
            return False
        try:
            self.repo_storage
        except RepoStorageException as problem:
            print(f"!!! {problem}", file=sys.stderr)
            return False
        return True

    @property
    def download_dir(self):
        """Made when it is asked for: the repository may be up to date already."""
        if self._download_dir is None:
            self._download_dir = self.repo_storage.init_update()
        return self._download_dir
