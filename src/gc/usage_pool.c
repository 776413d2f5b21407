/*
 * A pool with the sizes of what it holds: 48 bytes for each name, and 16 for its inode.
 *
 * As in pool_index.c ids are compared by their first sixteen bytes. Two names that agree in these would be counted as
 * one: nothing is taken by what is counted here.
 */
#include <stdlib.h>

#include "gc/usage.h"

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pl_prefix)); /* it comes first */
}

static int by_ino(const void *a, const void *b)
{
	uint64_t x = ((const struct pl_usage_inode *)a)->ino;
	uint64_t y = ((const struct pl_usage_inode *)b)->ino;

	return x < y ? -1 : x > y;
}

void pl_usage_pool_done(struct pl_usage_pool *pool)
{
	free(pool->items);
	free(pool->inodes);
	*pool = (struct pl_usage_pool){0};
}

static int add(struct pl_usage_pool *pool, int fd, const char *name, const struct pl_id *id)
{
	struct pl_usage_item item = {0};
	struct stat st;
	int r = pl_lstat(fd, name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* collected meanwhile */
	if (pool->n == INT32_MAX)
		return -EOVERFLOW;
	memcpy(&item.name, id->bytes, sizeof(item.name));
	item.ino = st.st_ino;
	item.bytes = (uint64_t)st.st_size;
	item.disk = pl_usage_blocks(&st);
	r = PL_ARRAY_GROW(pool->items, pool->capacity, pool->n);
	if (r >= 0)
		pool->items[pool->n++] = item;
	return r;
}

static int add_directory(struct pl_usage_pool *pool, int pool_fd, const char *name)
{
	PL_CLOSE int fd = pl_open_dir(pool_fd, name);
	struct pl_listing listing = {0};
	struct stat st;
	int r = fd < 0 ? fd : pl_fstat(fd, &st);

	if (r >= 0) {
		pool->disk += pl_usage_blocks(&st);
		r = pl_list(fd, &listing);
	}
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id id;

		if (pl_pool_is_entry(fd, name, &listing.entries[i], &id))
			r = add(pool, fd, listing.entries[i].name, &id);
	}
	pl_listing_done(&listing);
	return r < 0 && r != -ENOENT ? r : 0;
}

/* Each inode is counted at one name. */
static int index_inodes(struct pl_usage_pool *pool)
{
	size_t n = 0;

	if (pool->n == 0)
		return 0;
	qsort(pool->items, pool->n, sizeof(*pool->items), by_name);
	pool->inodes = reallocarray(NULL, pool->n, sizeof(*pool->inodes));
	if (!pool->inodes)
		return -ENOMEM;
	for (size_t i = 0; i < pool->n; i++)
		pool->inodes[i] =
			(struct pl_usage_inode){.ino = pool->items[i].ino, .item = (uint32_t)i};
	qsort(pool->inodes, pool->n, sizeof(*pool->inodes), by_ino);
	for (size_t i = 0; i < pool->n; i++) {
		struct pl_usage_item *item = &pool->items[pool->inodes[i].item];

		if (n > 0 && pool->inodes[n - 1].ino == item->ino)
			item->disk = 0;
		else
			pool->inodes[n++] = pool->inodes[i];
		pool->item_disk += item->disk;
	}
	pool->disk += pool->item_disk;
	pool->n_inodes = n;
	return 0;
}

int pl_usage_pool_read(struct pl_store *store, int pool_fd, struct pl_usage_pool *ret_pool)
{
	struct pl_usage_pool pool = {0};
	struct pl_listing fanout = {0};
	struct stat st;
	int r = pl_fstat(pool_fd, &st);

	if (r >= 0) {
		pool.disk = pl_usage_blocks(&st);
		r = pl_list(pool_fd, &fanout);
	}
	for (size_t i = 0; r >= 0 && i < fanout.n; i++) {
		const char *name = fanout.entries[i].name;

		pl_store_progress(store, "measure", i, fanout.n, pool.disk);
		if (strlen(name) == 2 && pl_is_hex(name, 2) &&
		    pl_dirent_is(pool_fd, &fanout.entries[i], S_IFDIR))
			r = add_directory(&pool, pool_fd, name);
		if (r >= 0 && pl_store_must_stop(store))
			r = -EINTR;
	}
	pl_listing_done(&fanout);
	if (r >= 0)
		r = index_inodes(&pool);
	if (r < 0)
		pl_usage_pool_done(&pool);
	else
		*ret_pool = pool;
	return r < 0 ? r : 0;
}

uint32_t pl_usage_pool_find(const struct pl_usage_pool *pool, const struct pl_id *id)
{
	struct pl_prefix key;
	const struct pl_usage_item *found;

	if (pool->n == 0)
		return PL_USAGE_NONE;
	memcpy(&key, id->bytes, sizeof(key));
	found = bsearch(&key, pool->items, pool->n, sizeof(*pool->items), by_name);
	return found ? (uint32_t)(found - pool->items) : PL_USAGE_NONE;
}

bool pl_usage_pool_has_inode(const struct pl_usage_pool *pool, uint64_t ino)
{
	const struct pl_usage_inode key = {.ino = ino};

	return pool->n_inodes > 0 &&
	       bsearch(&key, pool->inodes, pool->n_inodes, sizeof(key), by_ino) != NULL;
}
