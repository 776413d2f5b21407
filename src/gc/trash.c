/*
 * What the collector has taken out of the pools, in trash/<id>/: `o` and `n`, each name by its id.
 *
 *	in its pool --take--> in trash --settle: needed--> in its pool
 *	                               --settle: not----> erased
 *	                               --its collector died--> put back by the next one
 *
 * R1  One collector at a time, by the lock of trash/collector. What a dead one has taken out is put back before
 *     anything else (control TRASH_BLIND): it may have been needed all along.
 * R2  What is put back is linked, never over a name that is there, and is durable before its name in trash goes.
 * R3  While a batch is out trash/batch is held: who misses what must be there waits for that, and no longer
 *     (ref/lookup.c). Who looks holds it shared for a moment; one that was stopped in that ends the collection.
 * R4  While a batch is out no tree goes. A long listing is no single moment: 1. the listing of trees/ has passed the
 *     place of R, 2. R is published, made from D, 3. D is taken away, 4. the listing comes to the place of D. Neither
 *     was seen, and what R has from D was claimed by nobody. (model/gc.pml, control TREES_GO)
 */
#include <fcntl.h>

#include "gc/collecting.h"

#define COLLECTOR "collector"
#define BATCH	  "batch"
#define WAIT_MS	  5000

static int open_lock(struct pl_store *store, const char *name)
{
	int fd = pl_open(store->trash_fd, name, O_RDWR);

	if (fd != -ENOENT)
		return fd;
	fd = pl_create(store->trash_fd, name, 0600);
	return fd == -EEXIST ? pl_open(store->trash_fd, name, O_RDWR) : fd;
}

/* ---- putting back ---- */

/* R2: each by itself, or all at once. */
static int sync_name(const struct pl_store *store, int pool_fd, const struct pl_id *id)
{
	return pl_store_must_fsync(store) ? pl_pool_sync(pool_fd, id) : 0;
}

/* All that `only` needs; NULL: all. Adds to *ret_n. */
static int put_back(struct pl_store *store, int fd, char kind, const struct pl_pool_index *only,
		    uint64_t *ret_n)
{
	struct pl_listing listing = {0};
	int r = pl_list(fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		struct pl_id id;

		if (pl_id_parse(name, &id) < 0 || (only && pl_pool_index_may_go(only, &id)))
			continue;
		r = pl_pool_link(pl_store_pool(store, kind), &id, fd, name); /* R2 */
		if (r >= 0) {
			++*ret_n;
			r = sync_name(store, pl_store_pool(store, kind), &id);
		}
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* Of a trash whose collector is dead: all of it. */
static int put_back_all(struct pl_store *store, struct pl_lockdir *dir, uint64_t *ret_n)
{
	static const char kinds[] = "on";
	int r = 0;

	for (const char *kind = kinds; r >= 0 && *kind; kind++) {
		char name[2] = {*kind, '\0'};
		PL_CLOSE int fd = pl_open_dir(dir->fd, name);

		r = fd == -ENOENT ? 0 : fd < 0 ? fd : put_back(store, fd, *kind, NULL, ret_n);
	}
	return r < 0 ? r : pl_store_sync_all(store, store->fd);
}

static int recover(struct pl_store *store, uint64_t *ret_n)
{
	struct pl_listing listing = {0};
	int r = pl_list(store->trash_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		struct pl_lockdir dir;

		if (!pl_is_random_name(name))
			continue;
		r = pl_lockdir_take_in_store(store->trash_fd, name, &dir);
		if (r != 1)
			continue;
		if (pl_seam_guards(PL_GUARD_DEAD_TRASH))
			r = put_back_all(store, &dir, ret_n); /* R1 */
		if (r >= 0)
			r = pl_lockdir_erase(store->trash_fd, name, &dir);
		else
			pl_lockdir_close(&dir);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* ---- the whole ---- */

static int make(struct pl_trash *trash)
{
	int r = -ESTALE;

	for (unsigned i = 0; i < 100 && (r == -ESTALE || r == -EEXIST); i++) {
		r = pl_random_name(trash->id);
		if (r >= 0)
			r = pl_lockdir_make(trash->store->trash_fd, trash->id, &trash->dir);
	}
	if (r >= 0)
		r = pl_mkdir(trash->dir.fd, "o", 0700);
	if (r >= 0)
		r = pl_mkdir(trash->dir.fd, "n", 0700);
	if (r >= 0)
		r = trash->objects_fd = pl_open_dir(trash->dir.fd, "o");
	if (r >= 0)
		r = trash->nodes_fd = pl_open_dir(trash->dir.fd, "n");
	return r < 0 ? r : 0;
}

static int begin(struct pl_trash *trash, uint64_t *ret_back)
{
	int r = trash->collector_fd = open_lock(trash->store, COLLECTOR);

	if (r >= 0)
		r = trash->batch_fd = open_lock(trash->store, BATCH);
	if (r >= 0)
		r = pl_lock_try(trash->collector_fd, PL_LOCK_EXCLUSIVE); /* R1 */
	if (r == 0)
		return -EBUSY;
	if (r > 0)
		r = recover(trash->store, ret_back);
	return r < 0 ? r : make(trash);
}

int pl_trash_begin(struct pl_store *store, struct pl_trash *ret_trash, uint64_t *ret_back,
		   struct pleach_error *error)
{
	struct pl_trash trash = PL_TRASH_NONE;
	int r;

	trash.store = store;
	*ret_back = 0;
	r = begin(&trash, ret_back);
	if (r == 0) {
		*ret_trash = trash;
		return 0;
	}
	pl_trash_end(&trash);
	if (r == -EBUSY) {
		pl_fail(error, PLEACH_BUSY, r, "the store is being collected already");
		pl_hint(error, "one is enough: wait for its end");
		return r;
	}
	return pl_fail_sys(error, r, "cannot make a directory in '%s/.pleach/trash'", store->path);
}

void pl_trash_end(struct pl_trash *trash)
{
	uint64_t back = 0;

	if (trash->dir.fd >= 0) {
		trash->store->has_batch_out = false;
		/* Mostly nothing. */
		if (put_back_all(trash->store, &trash->dir, &back) >= 0)
			(void)pl_lockdir_erase(trash->store->trash_fd, trash->id, &trash->dir);
		else
			pl_lockdir_close(&trash->dir); /* R1 */
	}
	pl_closep(&trash->objects_fd);
	pl_closep(&trash->nodes_fd);
	pl_closep(&trash->batch_fd);
	pl_closep(&trash->collector_fd);
}

int pl_trash_lock(struct pl_trash *trash)
{
	int r = pl_lock_wait(trash->batch_fd, PL_LOCK_EXCLUSIVE, trash->is_hurried ? 0 : WAIT_MS,
			     &trash->store->cancelled);

	trash->store->has_batch_out = r == 1;
	return r == 0 ? -EBUSY : r < 0 ? r : 0; /* R3 */
}

void pl_trash_unlock(struct pl_trash *trash)
{
	(void)pl_unlock(trash->batch_fd);
	trash->store->has_batch_out = false;
}

int pl_trash_hold_off(struct pl_store *store, int *ret_fd)
{
	PL_CLOSE int fd = open_lock(store, BATCH);
	int r = fd < 0 ? fd : pl_lock_try(fd, PL_LOCK_SHARED);

	if (r == 1)
		*ret_fd = pl_take_fd(&fd);
	return r;
}

/* ---- a batch ---- */

static int trash_fd(const struct pl_trash *trash, char kind)
{
	return kind == 'o' ? trash->objects_fd : trash->nodes_fd;
}

int pl_trash_take(struct pl_trash *trash, char kind, const struct pl_id *id)
{
	char fanout[PL_FANOUT_NAME], hex[PL_ID_HEX + 1];
	int r;

	pl_fanout_name(id, fanout);
	r = pl_rename(pl_store_pool(trash->store, kind), fanout, trash_fd(trash, kind),
		      pl_id_hex(id, hex));
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int erase_all(struct pl_trash *trash, char kind, struct pl_trash_counts *counts, uint64_t *n,
		     const struct pl_pool_index *needed)
{
	int fd = trash_fd(trash, kind);
	struct pl_listing listing = {0};
	int r = pl_list(fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		bool goes;
		struct stat st;
		struct pl_id id;

		goes = pl_id_parse(name, &id) == 0 && pl_pool_index_may_go(needed, &id);
		if (goes && pl_lstat(fd, name, &st) >= 0 && st.st_nlink == 1)
			counts->bytes += (uint64_t)st.st_blocks * 512;
		r = pl_unlink(fd, name);
		*n += goes && r >= 0;
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

int pl_trash_settle(struct pl_trash *trash, const struct pl_needed *needed,
		    struct pl_trash_counts *counts)
{
	uint64_t back = 0;
	int r = put_back(trash->store, trash->objects_fd, 'o', &needed->objects, &back);

	if (r >= 0)
		r = put_back(trash->store, trash->nodes_fd, 'n', &needed->nodes, &back);
	if (r >= 0 && back > 0)
		r = pl_store_sync_all(trash->store, trash->store->fd);
	if (r >= 0)
		r = erase_all(trash, 'o', counts, &counts->objects, &needed->objects);
	if (r >= 0)
		r = erase_all(trash, 'n', counts, &counts->nodes, &needed->nodes);
	counts->back += back;
	return r;
}
