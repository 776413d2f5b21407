/*
 * Unfinished things outside the store: a directory `.pleach-<24 digits>` beside what is being made, or
 * in what is being changed. It is a lockdir, so that whoever comes by next knows which are dead. What
 * is made in it is the business of its maker.
 *
 * B1  Removed is only what is a directory of ours by its name, belongs to this very user, and holds a
 *     lock file that is free, or nothing at all (G7). In a directory that all may write, as /tmp, others
 *     can make such names too.
 * B2  What is made in it inherits nothing from the directory it lies in: no ACL, no group.
 * B3  Killed anywhere, no more is left than a directory that B1 removes.
 */
#include "ref/ref.h"

#define PREFIX	   ".pleach-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define DIGITS	   24
#define TRIES	   100

bool pl_beside_is_name(const char *name)
{
	return strncmp(name, PREFIX, PREFIX_LEN) == 0 && strlen(name) == PREFIX_LEN + DIGITS &&
	       pl_is_hex(name + PREFIX_LEN, DIGITS);
}

/* Best effort: what cannot be removed now is no hindrance, and the next one tries again. */
static void remove_dead(int parent_fd, const char *name)
{
	struct pl_lockdir dead;
	struct stat st;

	pl_assert(pl_beside_is_name(name));
	if (pl_lstat(parent_fd, name, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != pl_uid())
		return; /* B1 */
	if (pl_lockdir_take(parent_fd, name, &dead) == 1)
		(void)pl_lockdir_erase(parent_fd, name, &dead);
}

int pl_beside_sweep(int parent_fd)
{
	struct pl_listing listing = {0};
	int r = pl_list(parent_fd, &listing);

	if (r < 0)
		return r;
	for (size_t i = 0; i < listing.n; i++)
		if (pl_beside_is_name(listing.entries[i].name))
			remove_dead(parent_fd, listing.entries[i].name);
	pl_listing_done(&listing);
	return 0;
}

/* B2. The mode is set again, since an ACL that goes takes its part of the mode with it. */
static int take_off_inherited(int fd)
{
	static const char *const acls[] = {"system.posix_acl_default", "system.posix_acl_access"};
	int r = 0;

	for (size_t i = 0; i < PL_ARRAY_LEN(acls) && r == 0; i++) {
		r = pl_xattr_remove(fd, acls[i]);
		if (r == -ENODATA || r == -EOPNOTSUPP || r == -EINVAL)
			r = 0;
	}
	return r < 0 ? r : pl_chmod(fd, 0700);
}

int pl_beside_begin(int parent_fd, struct pl_beside *ret_beside)
{
	struct pl_beside beside = {.parent_fd = parent_fd, .dir = PL_LOCKDIR_NONE};
	int r = pl_beside_sweep(parent_fd);

	if (r < 0)
		return r;
	memcpy(beside.name, PREFIX, PREFIX_LEN);
	r = -ESTALE;
	for (int i = 0; i < TRIES && (r == -ESTALE || r == -EEXIST); i++) {
		r = pl_random_name(beside.name + PREFIX_LEN);
		if (r == 0)
			r = pl_lockdir_make(parent_fd, beside.name, &beside.dir);
	}
	if (r < 0)
		return r;
	pl_assert(pl_beside_is_name(beside.name));
	r = take_off_inherited(beside.dir.fd);
	if (r < 0) {
		pl_beside_end(&beside);
		return r;
	}
	*ret_beside = beside;
	return 0;
}

void pl_beside_end(struct pl_beside *beside)
{
	if (beside->dir.fd < 0)
		return;
	(void)pl_lockdir_erase(beside->parent_fd, beside->name, &beside->dir);
	pl_assert(beside->dir.fd < 0 && beside->dir.lock_fd < 0);
}
