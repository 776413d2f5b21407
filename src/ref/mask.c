/*
 * Inside of a transaction the ref's public/ is masked by a small file system, on whose `tree` the workspace
 * lies (tx/view.c). Whether that is so is looked at here; who looks is a command that was started in there.
 *
 * M1  Nobody is believed: that public/ is masked is seen by its device, that the transaction lives by its
 *     lock, and that it is of this ref by what it is for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

/* Is the transaction alive, and a transaction? Who cannot read tx/ (another user in there) is told by the mask. */
static int is_held(struct pl_store *store, const char *id)
{
	char name[64];
	PL_CLOSE int fd = -EBADF;

	snprintf(name, sizeof(name), "%s/lock", id);
	fd = pl_open(store->tx_fd, name, O_RDONLY);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	return pl_lock_is_held(fd, PL_LOCK_SHARED);
}

int pl_ref_is_masked(struct pl_ref *ref, char ret_tx_id[25])
{
	PL_CLOSE int public = -EBADF;
	struct stat outer, inner;
	PL_BUFFER id = {0};
	int r = pl_fstat(ref->fd, &outer);

	if (r >= 0)
		r = pl_lstat(ref->fd, "public", &inner);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (inner.st_dev == outer.st_dev)
		return 0;
	public = pl_open_dir(ref->fd, "public");
	if (public < 0)
		return public;
	r = pl_read_file(public, PL_MASK_FILE, 24, &id);
	if (r == -ENOENT || r == -EFBIG)
		return 0;
	if (r >= 0 && (id.length != 24 || !pl_is_hex(pl_buffer_string(&id), 24)))
		return 0;
	if (r >= 0)
		r = is_held(ref->store, pl_buffer_string(&id));
	if (r == 1 && ret_tx_id)
		memcpy(ret_tx_id, pl_buffer_string(&id), 25);
	return r;
}

int pl_ref_must_be_unmasked(struct pl_ref *ref, struct pleach_error *error)
{
	char id[25];
	int r = pl_ref_is_masked(ref, id);

	if (r == 0)
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name);
	pl_fail(error, PLEACH_BUSY, -EBUSY, "this is inside of transaction %s on '%s'", id,
		ref->name);
	pl_hint(error, "what is changed in '%s/%s' is published when the transaction ends",
		ref->store->path, ref->name);
	return -EBUSY;
}
