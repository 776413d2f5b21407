/*
 * A directory for unfinished work whose file `lock` is held by whoever works in it: below tx/, and
 * `.pleach-<random>` beside what is being made. What is in it is the business of its maker.
 *
 *        none --make: mkdir--> unlocked --make: lock file made and taken--> held
 *        held --erase: all but the lock, the lock file, rmdir--> none
 *        held --its process died, or close--> dead --take, by anybody--> held
 *        held --power cut--> dead, or not empty and without a lock file --take, by anybody--> held
 *
 * L1  A directory with a lock file is emptied by its holder alone, and loses the lock file last but
 *     for itself, while it is held: whoever has a lock on a lock file that still has its name in the
 *     directory has the directory.
 * L2  One without a lock file is being made, or was erased all but for itself, as long as it is empty: it is
 *     rmdir'ed, by anybody. Something is in it only after a power cut that has lost the lock file alone (on
 *     btrfs a name may be durable without the names that were made before it). Where every directory is ours,
 *     whoever makes the lock file anew has it; elsewhere it may be anybody's, and stays (G7).
 * L3  After a lock is taken its name and that of the directory must still lead to what was locked.
 *
 * The race of make with take: (1) A makes the directory, or (2) also the lock file; (3) B takes it for
 * dead and removes the directory, or locks it; (4) A finds the directory gone, the lock busy, or, by
 * L3, no longer under its name: -ESTALE, and A begins again under another name.
 */
#include <fcntl.h>

#include "ref/ref.h"

#define LOCK_NAME "lock"

void pl_lockdir_close(struct pl_lockdir *dir)
{
	pl_closep(&dir->lock_fd);
	pl_closep(&dir->fd);
}

/* L3. 1, 0 or an error. */
static int is_current(int parent_fd, const char *name, const struct pl_lockdir *dir)
{
	struct stat here, there;
	int r;

	if (!pl_seam_guards(PL_GUARD_DIR_VERIFY))
		return 1;
	r = pl_lock_is_current(dir->lock_fd, dir->fd, LOCK_NAME);
	if (r <= 0)
		return r;
	r = pl_fstat(dir->fd, &here);
	if (r < 0)
		return r;
	r = pl_lstat(parent_fd, name, &there);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return pl_same_inode(&here, &there);
}

/* Modes are set, not asked for: a umask or a default ACL of the parent must not decide them. */
static int open_private(int parent_fd, const char *name, int *ret_fd)
{
	int fd, r = pl_chmod_at(parent_fd, name, 0700);

	if (r < 0)
		return r;
	fd = pl_open_dir(parent_fd, name);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int make_lock(struct pl_lockdir *dir)
{
	int r;

	dir->lock_fd = pl_create(dir->fd, LOCK_NAME, 0600);
	if (dir->lock_fd < 0)
		return dir->lock_fd;
	r = pl_chmod(dir->lock_fd, 0600);
	if (r < 0)
		return r;
	r = pl_lock_try(dir->lock_fd, PL_LOCK_EXCLUSIVE);
	return r == 0 ? -ESTALE : r;
}

int pl_lockdir_make(int parent_fd, const char *name, struct pl_lockdir *ret_dir)
{
	struct pl_lockdir dir = PL_LOCKDIR_NONE;
	int r = pl_mkdir(parent_fd, name, 0700);

	if (r < 0)
		return r;
	r = open_private(parent_fd, name, &dir.fd);
	if (r == 0)
		r = make_lock(&dir);
	if (r >= 0)
		r = is_current(parent_fd, name, &dir);
	if (r == 1) {
		*ret_dir = dir;
		return 0;
	}
	if (r == 0 || r == -ENOENT)
		r = -ESTALE;
	/* Nobody else's as long as it is not ESTALE; what stays is dead, and found by the next. */
	if (r != -ESTALE && dir.lock_fd >= 0)
		(void)pl_unlink(dir.fd, LOCK_NAME);
	if (r != -ESTALE)
		(void)pl_rmdir(parent_fd, name);
	pl_lockdir_close(&dir);
	return r;
}

/* Killed between making it and setting its mode, under a umask that takes the owner's bits, a maker
 * leaves one that not even he may open. Who holds it does not mind the mode. */
static int open_lock(int dir_fd)
{
	int fd = pl_open(dir_fd, LOCK_NAME, O_RDWR | O_NONBLOCK);

	if (fd == -EACCES && pl_chmod_at(dir_fd, LOCK_NAME, 0600) == 0)
		fd = pl_open(dir_fd, LOCK_NAME, O_RDWR | O_NONBLOCK);
	return fd;
}

static int take(int parent_fd, const char *name, bool all_are_ours, struct pl_lockdir *ret_dir)
{
	struct pl_lockdir dir = PL_LOCKDIR_NONE;
	int r;

	dir.fd = pl_open_dir(parent_fd, name);
	if (dir.fd >= 0)
		dir.lock_fd = open_lock(dir.fd);
	if (dir.fd == -EACCES || dir.lock_fd == -ENOENT) {
		r = pl_rmdir(parent_fd, name); /* L2 */
		if (all_are_ours && dir.fd >= 0 && (r == -ENOTEMPTY || r == -EEXIST) &&
		    make_lock(&dir) < 0)
			pl_closep(&dir.lock_fd); /* somebody else has it now */
	}
	if (dir.lock_fd < 0) {
		pl_lockdir_close(&dir);
		return 0;
	}
	r = pl_lock_try(dir.lock_fd, PL_LOCK_EXCLUSIVE); /* once more does no harm */
	if (r == 1)
		r = is_current(parent_fd, name, &dir);
	if (r == 1)
		*ret_dir = dir;
	else
		pl_lockdir_close(&dir);
	return r;
}

int pl_lockdir_take(int parent_fd, const char *name, struct pl_lockdir *ret_dir)
{
	return take(parent_fd, name, false, ret_dir);
}

int pl_lockdir_take_in_store(int parent_fd, const char *name, struct pl_lockdir *ret_dir)
{
	return take(parent_fd, name, true, ret_dir);
}

int pl_lockdir_erase(int parent_fd, const char *name, struct pl_lockdir *dir)
{
	int r;

	pl_assert(dir->fd >= 0 && dir->lock_fd >= 0);
	r = pl_erase(parent_fd, name, LOCK_NAME); /* L1 */
	if (r == 0)
		r = pl_unlink(dir->fd, LOCK_NAME);
	if (r == 0)
		r = pl_rmdir(parent_fd, name);
	pl_lockdir_close(dir);
	return r;
}
