/*
 * trees/<id>/: where a tree is placed. Its wrappers are 1, 2, ...; the highest that is there is the one
 * to use.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref/ref.h"

bool pl_tree_is_entry(const struct pl_store *store, const struct pl_dirent *entry,
		      struct pl_id *ret_tree)
{
	return pl_id_parse(entry->name, ret_tree) == 0 &&
	       pl_dirent_is(store->trees_fd, entry, S_IFDIR);
}

int pl_treedir_open(struct pl_store *store, const struct pl_id *tree)
{
	char hex[PL_ID_HEX + 1];
	int fd = pl_open_dir(store->trees_fd, pl_id_hex(tree, hex));

	if (fd == -ENOTDIR) /* a stranger's */
		return -ENOENT;
	/* It is 0711: who is not the owner may pass, not list. */
	return fd == -EACCES ? pl_open(store->trees_fd, hex, O_PATH | O_DIRECTORY) : fd;
}

/* Highest k that is there, 0: none. */
static int highest(int treedir_fd, uint64_t *ret_k)
{
	struct pl_listing listing = {0};
	PL_CLOSE int fd = pl_open_dir(treedir_fd, "."); /* of its own: a listing moves the offset */
	uint64_t best = 0, k;
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (pl_parse_u64(listing.entries[i].name, UINT32_MAX - 1, &k) == 0 && k > best)
			best = k;
	pl_listing_done(&listing);
	if (r < 0)
		return r;
	*ret_k = best;
	return 0;
}

/* trees/<id>/ is 0711: who is not the owner cannot list it, and tries. */
static int highest_by_trying(int treedir_fd, uint64_t *ret_k)
{
	char name[32];

	for (uint64_t k = 1; k <= 64; k++) {
		int r;

		snprintf(name, sizeof(name), "%llu/tree", (unsigned long long)k);
		r = pl_exists(treedir_fd, name);
		if (r < 0)
			return r;
		if (r > 0)
			*ret_k = k;
	}
	return 0;
}

int pl_placing_find(int treedir_fd, unsigned *ret_k)
{
	uint64_t k = 0;
	int r = highest(treedir_fd, &k);

	if (r == -EACCES)
		r = highest_by_trying(treedir_fd, &k);
	if (r < 0)
		return r;
	*ret_k = (unsigned)k;
	return k > 0;
}

/* A k that is free, above all that are there. */
static int next_free(int treedir_fd, unsigned *ret_k)
{
	uint64_t k = 0;
	int r = highest(treedir_fd, &k);

	if (r < 0)
		return r;
	*ret_k = (unsigned)k + 1;
	return 0;
}

int pl_placing_put(int from_dirfd, const char *from_name, int treedir_fd, unsigned *ret_k)
{
	char name[16];
	unsigned k = 0;
	int r = -EEXIST;

	/* Another one may take the same number: then the next. */
	for (unsigned i = 0; i < 64 && (r == -EEXIST || r == -ENOTEMPTY); i++) {
		r = next_free(treedir_fd, &k);
		if (r < 0)
			return r;
		snprintf(name, sizeof(name), "%u", k);
		r = pl_rename_new(from_dirfd, from_name, treedir_fd, name);
	}
	if (r < 0)
		return r;
	*ret_k = k;
	return 0;
}

int pl_placing_open(int treedir_fd, unsigned k)
{
	char name[32];

	snprintf(name, sizeof(name), "%u/tree", k);
	return pl_open_dir(treedir_fd, name);
}
