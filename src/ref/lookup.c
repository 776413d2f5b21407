/*
 * Looking for an object or a node that must be there, whatever a collector does meanwhile (gc/trash.c).
 *
 *	its name --missing--> trash/<id>/o or n --missing--> its name --missing--> no batch is out: all again --> missing
 *
 * K1  What is found in a trash is linked back: a trash that nobody is at work on is never just erased, but this one's
 *     collector may be alive, and may not know that it is needed. (model/gc.pml, control NO_TRASH_LOOKUP)
 * K2  Between the look at the name and that into the trash it may have been put back: so the name is asked again.
 * K3  Who holds trash/batch for long is a collector that was stopped: the wait has a bound, and then it is looked for a
 *     last time. The collector itself does not wait for itself.
 */
#include <fcntl.h>

#include "ref/ref.h"

#define WAIT_MS 60000

/* In one trash. The descriptor, or an error. */
static int open_in(struct pl_store *store, const char *trash, char kind, const struct pl_id *id)
{
	char name[24 + 1 + 2 + PL_ID_HEX + 1], *end = name;
	int fd;

	memcpy(end, trash, 24);
	end += 24;
	*end++ = '/';
	*end++ = kind;
	*end++ = '/';
	pl_id_hex(id, end);
	fd = pl_open(store->trash_fd, name, O_RDONLY | O_NONBLOCK);
	if (fd >= 0)
		(void)pl_pool_link(pl_store_pool(store, kind), id, store->trash_fd, name); /* K1 */
	return fd == -ENOTDIR ? -ENOENT : fd; /* a stranger's */
}

static int open_in_trash(struct pl_store *store, char kind, const struct pl_id *id)
{
	struct pl_listing listing = {0};
	int fd = pl_list(store->trash_fd, &listing);

	if (fd >= 0)
		fd = -ENOENT;
	for (size_t i = 0; fd == -ENOENT && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (pl_is_random_name(name))
			fd = open_in(store, name, kind, id);
	}
	pl_listing_done(&listing);
	return fd;
}

static int look(struct pl_store *store, char kind, const struct pl_id *id)
{
	int fd = open_in_trash(store, kind, id);

	return fd == -ENOENT ? pl_pool_open(pl_store_pool(store, kind), id) : fd; /* K2 */
}

int pl_store_find(struct pl_store *store, char kind, const struct pl_id *id)
{
	PL_CLOSE int batch = -EBADF;
	int fd = pl_pool_open(pl_store_pool(store, kind), id);

	if (fd != -ENOENT || store->trash_fd < 0 || !pl_seam_guards(PL_GUARD_LOOK_IN_TRASH))
		return fd;
	fd = look(store, kind, id);
	if (fd != -ENOENT)
		return fd;
	batch = pl_open(store->trash_fd, "batch", O_RDONLY);
	if (batch < 0)
		return -ENOENT;	   /* no collector was ever here */
	if (!store->has_batch_out) /* K3 */
		(void)pl_lock_wait(batch, PL_LOCK_SHARED, WAIT_MS, &store->cancelled);
	return look(store, kind, id);
}
