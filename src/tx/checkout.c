/*
 * The directory of `begin --checkout DIR`: a workspace at a path that is the user's, who may have moved it, or put
 * another thing there.
 *
 * C1  What lies at the path now may be anything: only the directory that was made is the workspace.
 * C2  Only that directory is removed (G7).
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tx/transaction.h"

/* 1: which directory is there. 0: something else. *ret_parent: where it lies. */
static int identify(const char *path, int *ret_parent, struct pl_identity *ret_identity)
{
	const char *slash = strrchr(path, '/');
	PL_CLOSE int parent = -EBADF;
	PL_BUFFER dir = {0};
	struct stat st;
	int r;

	pl_buffer_add(&dir, path, slash == path ? 1 : (size_t)(slash - path));
	if (!pl_buffer_ok(&dir))
		return -ENOMEM;
	parent = pl_open_follow(AT_FDCWD, pl_buffer_string(&dir), O_RDONLY | O_DIRECTORY);
	r = parent < 0 ? parent : pl_fstat(parent, &st);
	if (r >= 0)
		r = pl_identity_of_dir(parent, slash + 1, st.st_dev, ret_identity);
	if (r == 1)
		*ret_parent = pl_take_fd(&parent);
	return r;
}

int pl_tx_note_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	PL_CLOSE int parent = -EBADF;
	int r = identify(tx->workspace.path, &parent, &tx->note.checkout_identity);

	if (r <= 0)
		return pl_fail_sys(error, r < 0 ? r : -ENOTDIR, "cannot open '%s'",
				   tx->workspace.path);
	free(tx->note.checkout);
	tx->note.checkout = strdup(tx->workspace.path);
	return tx->note.checkout ? 0 : pl_fail_memory(error);
}

/* C1 */
int pl_tx_must_be_the_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	const char *path = tx->note.checkout;
	PL_CLOSE int parent = -EBADF;
	struct pl_identity identity;
	int r = identify(path, &parent, &identity);

	if (r == 1 && pl_identity_equal(&identity, &tx->note.checkout_identity))
		return 0;
	if (r < 0 && r != -ENOENT && r != -ENOTDIR)
		return pl_fail_sys(error, r, "cannot open '%s'", path);
	pl_fail(error, PLEACH_FAILED, -ESTALE, "'%s' is not the directory that transaction %s made",
		path, tx->dir.id);
	pl_error_path(error, path);
	pl_hint(error, "move that one back to its place, or give it up: pleach abort %s",
		tx->dir.id);
	return -ESTALE;
}

int pl_tx_remove_checkout(struct pl_tx *tx, struct pleach_error *error)
{
	const char *path = tx->note.checkout;
	PL_CLOSE int parent = -EBADF;
	struct pl_identity identity;
	int r;

	if (!path || tx->note.checkout_identity.ino == 0)
		return 0;
	r = identify(path, &parent, &identity);
	if (r == -ENOENT || r == -ENOTDIR || r == 0 ||
	    (r == 1 && !pl_identity_equal(&identity, &tx->note.checkout_identity)))
		return 0; /* C2 */
	if (r >= 0)
		r = pl_erase(parent, strrchr(path, '/') + 1, NULL);
	return r < 0 ? pl_fail_sys(error, r, "cannot remove the checkout '%s'", path) : 0;
}
