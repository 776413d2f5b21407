"""Those who publish a directory as pleach does, or keep versions of one: each as its manual has it used.

A contender takes the whole source anew each time, finds out itself what has changed, and ends with a tree that readers
are led to, durable. Those that make backups end with that: they lead nobody anywhere, and are spared it.
"""

import os
import shutil
import subprocess

SCRIPTS = {"LC_ALL": "C", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
           "GIT_COMMITTER_EMAIL": "a@b", "RESTIC_PASSWORD": "a", "GIT_CONFIG_GLOBAL": "/dev/null",
           "GIT_CONFIG_SYSTEM": "/dev/null", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}


def run(*command):
    done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          env=os.environ | SCRIPTS)
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")


class Contender:
    """A directory of its own below `where`, in which the n-th version is made of `source`."""

    name = program = ""
    makes_tree = True  # else a backup
    file_systems = ("ext4", "xfs", "btrfs")

    def __init__(self, where, source):
        self.where, self.source = os.path.join(where, type(self).__name__.lower()), source
        self.number = 0
        self.begin()

    def at(self, name):
        return os.path.join(self.where, name)

    def begin(self):
        os.mkdir(self.where)

    def tree(self, number):
        return self.at(f"tree{number}")

    def public(self):
        return self.at("public")

    def sync(self):
        run("sync", "-f", self.where)

    def flip(self):
        """Readers are led to the new tree, which is durable before."""
        self.sync()
        os.symlink(self.tree(self.number), self.at("public.new"))
        os.rename(self.at("public.new"), self.public())
        self.sync()

    def make(self):
        """The version self.number."""
        raise NotImplementedError

    def publish(self):
        self.number += 1
        self.make()

    def tidy(self):
        """Not in anyone's time: what the version before takes."""
        if self.number > 1:
            shutil.rmtree(self.tree(self.number - 1), ignore_errors=True)

    @classmethod
    def can(cls, file_system):
        return file_system in cls.file_systems and (not cls.program or shutil.which(cls.program) is not None)


class Pleach(Contender):
    name = "pleach"
    pleach = "pleach"

    def begin(self):
        run(self.pleach, "init", self.where)
        run(self.pleach, "--store", self.where, "config", "grace=0")

    def make(self):
        run(self.pleach, "--store", self.where, "publish", "site", self.source + "/")

    def public(self):
        return self.at("site")

    def tidy(self):
        pass


class Copy(Contender):
    """Everything anew: the floor of a first version."""

    name = "cp -a + flip"

    def make(self):
        run("cp", "-a", self.source, self.tree(self.number))
        self.flip()


class Rsync(Contender):
    name = "rsync --link-dest + flip"
    program = "rsync"

    def make(self):
        before = [f"--link-dest={self.tree(self.number - 1)}"] if self.number > 1 else []
        run("rsync", "-a", "--delete", *before, self.source + "/", self.tree(self.number) + "/")
        self.flip()


class Farm(Contender):
    """cp -al of the version before, and rsync, which replaces what has changed by new files."""

    name = "cp -al + rsync + flip"
    program = "rsync"

    def make(self):
        if self.number > 1:
            run("cp", "-al", self.tree(self.number - 1), self.tree(self.number))
        run("rsync", "-a", "--delete", self.source + "/", self.tree(self.number) + "/")
        self.flip()


class Ostree(Contender):
    name = "ostree commit + checkout -H + flip"
    program = "ostree"

    def begin(self):
        super().begin()
        run("ostree", f"--repo={self.at('repo')}", "init", "--mode=bare")

    def make(self):
        repo = f"--repo={self.at('repo')}"
        run("ostree", repo, "commit", "-b", "site", f"--tree=dir={self.source}", "-s", "a")
        run("ostree", repo, "checkout", "-H", "site", self.tree(self.number))
        self.flip()


class Git(Contender):
    name = "git add, commit, worktree + flip"
    program = "git"

    def begin(self):
        super().begin()
        run("git", "init", "-q", "--bare", self.at("repo"))
        self.git = ["git", "-c", "core.fsync=all", "-c", "gc.auto=0", "--git-dir", self.at("repo"),
                    "--work-tree", self.source]

    def make(self):
        run(*self.git, "add", "-A", "-f")
        run(*self.git, "commit", "-q", "--allow-empty", "-m", "a")
        run("git", "--git-dir", self.at("repo"), "worktree", "add", "-f", "--detach", self.tree(self.number))
        self.flip()


class Snapshot(Contender):
    name = "btrfs snapshot + rsync + flip"
    program = "btrfs"
    file_systems = ("btrfs",)

    def make(self):
        if self.number > 1:
            run("btrfs", "-q", "subvolume", "snapshot", self.tree(self.number - 1), self.tree(self.number))
        else:
            run("btrfs", "-q", "subvolume", "create", self.tree(self.number))
        run("rsync", "-a", "--delete", self.source + "/", self.tree(self.number) + "/")
        self.flip()

    def tidy(self):
        if self.number > 1:
            run("btrfs", "-q", "subvolume", "delete", self.tree(self.number - 1))


class Backup(Contender):
    makes_tree = False

    def tidy(self):
        pass


class Restic(Backup):
    name = program = "restic"

    def begin(self):
        super().begin()
        self.restic = ["restic", "-q", "-r", self.at("repo"), "--cache-dir", self.at("cache")]
        run(*self.restic, "init")

    def make(self):
        run(*self.restic, "backup", self.source)
        self.sync()


class Borg(Backup):
    name = program = "borg"

    def begin(self):
        super().begin()
        os.environ["BORG_BASE_DIR"] = self.at("base")
        run("borg", "init", "-e", "none", self.at("repo"))

    def make(self):
        run("borg", "create", f"{self.at('repo')}::{self.number}", self.source)
        self.sync()


class Casync(Backup):
    name = program = "casync"

    def make(self):
        run("casync", "make", "--store", self.at("chunks"), self.at(f"{self.number}.caidx"), self.source)
        self.sync()


ALL = (Pleach, Copy, Rsync, Farm, Ostree, Git, Snapshot, Restic, Borg, Casync)
