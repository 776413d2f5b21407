/*
 * What a pool holds, and which of it is needed: sixteen bytes and two bits for each name, whatever the tree is. Ten
 * million names take 170 MB.
 *
 * P1  Names that come into the pool later are not in it, and are never taken.
 * P2  Ids are compared by their first sixteen bytes. Two names that agree in these are needed if one of them is;
 *     `is_ambiguous` tells a walk, which must not take the one for the other.
 * P3  That a name is needed says nothing of what it names: a claim marks the one and not the other. So what a walk
 *     has entered is a bit of its own.
 * P4  Listings are sorted, so that names come in the order of their ids. They are not sorted here: qsort(3) may want
 *     as much memory again.
 * P5  What is no regular file in a directory of a pool is a stranger's, whatever its name is: not listed, never taken.
 */
#include <stdlib.h>

#include "gc/collecting.h"

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct pl_prefix));
}

void pl_pool_index_done(struct pl_pool_index *index)
{
	free(index->names);
	free(index->needed);
	free(index->entered);
	*index = (struct pl_pool_index){0};
}

bool pl_pool_name_parse(const char *directory, const char *name, struct pl_id *ret_id)
{
	char hex[PL_ID_HEX + 1];

	if (strlen(name) != PL_ID_HEX - 2)
		return false;
	memcpy(hex, directory, 2);
	memcpy(hex + 2, name, PL_ID_HEX - 1);
	return pl_id_parse(hex, ret_id) == 0;
}

bool pl_pool_is_entry(int fd, const char *directory, const struct pl_dirent *entry,
		      struct pl_id *ret_id)
{
	return pl_pool_name_parse(directory, entry->name, ret_id) &&
	       pl_dirent_is(fd, entry, S_IFREG);
}

static int add_directory(struct pl_pool_index *index, size_t *capacity, int pool_fd,
			 const char *name)
{
	PL_CLOSE int fd = pl_open_dir(pool_fd, name);
	struct pl_listing listing = {0};
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id id;

		if (!pl_pool_is_entry(fd, name, &listing.entries[i], &id))
			continue;
		r = PL_ARRAY_GROW(index->names, *capacity, index->n);
		if (r >= 0)
			memcpy(&index->names[index->n++], id.bytes, sizeof(struct pl_prefix));
	}
	pl_listing_done(&listing);
	return r < 0 && r != -ENOENT ? r : 0;
}

int pl_pool_index_read(struct pl_store *store, int pool_fd, struct pl_pool_index *ret_index)
{
	struct pl_pool_index index = {0};
	struct pl_listing fanout = {0};
	size_t capacity = 0;
	int r = pl_list(pool_fd, &fanout);

	for (size_t i = 0; r >= 0 && i < fanout.n; i++) {
		const char *name = fanout.entries[i].name;

		if (strlen(name) == 2 && pl_is_hex(name, 2) &&
		    pl_dirent_is(pool_fd, &fanout.entries[i], S_IFDIR))
			r = add_directory(&index, &capacity, pool_fd, name);
		if (r >= 0 && pl_store_must_stop(store))
			r = -EINTR;
	}
	pl_listing_done(&fanout);
	if (r >= 0 && index.n > 0) {
		index.needed = calloc(index.n / 8 + 1, 1);
		index.entered = calloc(index.n / 8 + 1, 1);
		if (!index.needed || !index.entered)
			r = -ENOMEM;
	}
	for (size_t i = 1; r >= 0 && i < index.n; i++) {
		int order = compare(&index.names[i - 1], &index.names[i]);

		pl_assert(order <= 0);		  /* P4 */
		index.is_ambiguous |= order == 0; /* P2 */
	}
	if (r < 0)
		pl_pool_index_done(&index);
	else
		*ret_index = index;
	return r < 0 ? r : 0;
}

/* Where it stands: the first of equal ones; NULL: nowhere. */
static const struct pl_prefix *find(const struct pl_pool_index *index, const struct pl_id *id)
{
	struct pl_prefix key;
	const struct pl_prefix *found;

	memcpy(&key, id->bytes, sizeof(key));
	found = index->n > 0 ? bsearch(&key, index->names, index->n, sizeof(key), compare) : NULL;
	while (found && found > index->names && compare(found - 1, &key) == 0)
		found--;
	return found;
}

static bool has_bit(const unsigned char *bits, size_t i)
{
	return bits[i / 8] & (1u << (i % 8));
}

static void set_bit(unsigned char *bits, size_t i)
{
	bits[i / 8] |= (unsigned char)(1u << (i % 8));
}

static void mark(struct pl_pool_index *index, size_t i)
{
	index->n_marked += !has_bit(index->needed, i);
	set_bit(index->needed, i);
}

void pl_pool_index_mark(struct pl_pool_index *index, const struct pl_id *id)
{
	const struct pl_prefix *found = find(index, id);

	if (found)
		mark(index, (size_t)(found - index->names));
}

int pl_pool_index_enter(struct pl_pool_index *index, const struct pl_id *id)
{
	const struct pl_prefix *found = find(index, id);
	size_t i;

	if (!found)
		return PL_ENTER_UNKNOWN;
	i = (size_t)(found - index->names);
	mark(index, i);
	if (has_bit(index->entered, i))
		return PL_ENTER_AGAIN;
	set_bit(index->entered, i);
	return PL_ENTER_FIRST;
}

bool pl_pool_index_may_go(const struct pl_pool_index *index, const struct pl_id *id)
{
	const struct pl_prefix *found = find(index, id);

	return found && !has_bit(index->needed, (size_t)(found - index->names)); /* P1 */
}
