"""The order in which a transfer by rsync calls its storage."""

import os
import subprocess

from portage.sync.syncbase import SyncBase


class RsyncSync(SyncBase):
    def __init__(self):
        super().__init__("rsync")

    def sync(self, options):
        self.take(options)
        if not self.has_bin:
            return 1
        self.servertimestampfile = os.path.join(self.repo.location, "metadata", "timestamp.chk")
        is_to_be_looked_at = False
        try:
            if self._is_up_to_date():
                return 0
            status = self._transfer()
            if status == 0 and self.repo.verify:
                status = subprocess.call([*self.repo.verify, self.download_dir])
                is_to_be_looked_at = status != 0
            if status == 0:
                self.repo_storage.commit_update()
                self.repo_storage.garbage_collection()
            return status
        finally:
            if not is_to_be_looked_at:
                self.repo_storage.abort_update()

    def _is_up_to_date(self):
        theirs = os.path.join(self.repo.sync_uri, "metadata", "timestamp.chk")
        if not os.path.exists(theirs) or not os.path.exists(self.servertimestampfile):
            return False
        with open(theirs) as there, open(self.servertimestampfile) as here:
            return there.read() == here.read()

    def _transfer(self):
        command = [self.bin_command, "-a", "--delete", *self.repo.extra, self.repo.sync_uri + "/"]
        status = subprocess.call([*command, self.download_dir], env=self.spawn_kwargs["env"])
        if status not in (0, 1, 2, 5, 35):
            try:
                os.unlink(self.servertimestampfile)  # half of what it vouches for may be gone
            except FileNotFoundError:
                pass
        return status
