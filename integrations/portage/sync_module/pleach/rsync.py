"""Portage's rsync, with another storage."""

import os
import shutil
import tempfile

from portage.sync.modules.rsync.rsync import RsyncSync


class PleachRsync(RsyncSync):
    """`sync-type = pleach-rsync`."""

    @staticmethod
    def name():
        return "PleachRsync"

    def _select_storage_module(self):
        return "pleach_portage.storage.PleachRepoStorage"

    # After a transfer that broke off, RsyncSync removes the timestamp of the repository, so that the next one
    # does not trust it. Here that file is of the public tree, which is as it was, and must stay so: it is given a
    # copy to read and to remove.
    @property
    def servertimestampfile(self):
        return self._timestamp_copy

    @servertimestampfile.setter
    def servertimestampfile(self, path):
        self._timestamp_directory = tempfile.TemporaryDirectory()  # goes with this object
        self._timestamp_copy = os.path.join(self._timestamp_directory.name, "timestamp.chk")
        if os.path.exists(path):
            shutil.copyfile(path, self._timestamp_copy)
