/*
 * What lies where in a store: every name below its directory, each inode counted once, where it is met first: objects,
 * nodes, trees, and then the rest.
 *
 * D1  A name of an object in a placed tree is known by the inode number that its directory says, and costs no look.
 *     Anything else is looked at.
 * D2  Outside of trees/ there may be other file systems (snapshots of btrfs have the inode numbers of what they are
 *     of): there an inode is known by its device, too.
 */
#include "gc/usage.h"

struct disk {
	struct pl_usage *usage;
	struct pl_usage_tree *tree; /* that is gone through */
	uint64_t *total;	    /* of what lies elsewhere */
};

static bool is_of_pools(const struct pl_usage *usage, uint64_t ino)
{
	return pl_usage_pool_has_inode(&usage->objects, ino) ||
	       pl_usage_pool_has_inode(&usage->nodes, ino);
}

/* ---- trees/ ---- */

/* A name of a private copy. */
static int add_copy(struct disk *d, const struct stat *st)
{
	struct pl_usage *usage = d->usage;
	const uint64_t ino = st->st_ino;
	uint64_t *known = pl_map_get(&usage->copy_inodes, &ino), at = known ? *known : 0;
	int r = 0;

	if (!known) {
		at = usage->n_copies;
		if (at >= UINT32_MAX)
			return -EOVERFLOW;
		r = PL_ARRAY_GROW(usage->copies, usage->copies_capacity, usage->n_copies);
		if (r >= 0)
			r = pl_map_put(&usage->copy_inodes, &ino, at);
		if (r < 0)
			return r;
		usage->copies[usage->n_copies++] =
			(struct pl_usage_copy){.disk = pl_usage_blocks(st)};
		usage->totals.copies += pl_usage_blocks(st);
	}
	if (usage->copies[at].stamp == usage->stamp) /* another name of it in this tree */
		return 0;
	r = PL_ARRAY_GROW(usage->tree_copies, usage->tree_copies_capacity, usage->n_tree_copies);
	if (r < 0)
		return r;
	usage->copies[at].stamp = usage->stamp;
	usage->copies[at].n_trees += d->tree->is_needed;
	usage->tree_copies[usage->n_tree_copies++] = (uint32_t)at;
	d->tree->n_copies++;
	return 0;
}

static int look_in_tree(void *self, int dirfd, const struct pl_dirent *entry)
{
	struct disk *d = self;
	struct stat st;
	int r;

	if (entry->type == DT_REG && is_of_pools(d->usage, entry->ino)) /* D1 */
		return 0;
	r = pl_lstat(dirfd, entry->name, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (S_ISDIR(st.st_mode)) {
		d->tree->own += pl_usage_blocks(&st);
		d->usage->totals.directories += pl_usage_blocks(&st);
		return 1;
	}
	if (is_of_pools(d->usage, st.st_ino))
		return 0;
	if (st.st_nlink > 1)
		return add_copy(d, &st);
	d->tree->own += pl_usage_blocks(&st);
	d->usage->totals.copies += pl_usage_blocks(&st);
	return 0;
}

static int add_tree(struct disk *d, struct pl_usage_tree *tree)
{
	struct pl_usage *usage = d->usage;
	char hex[PL_ID_HEX + 1];
	struct stat st;
	int r = pl_lstat(usage->store->trees_fd, pl_id_hex(&tree->id, hex), &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	d->tree = tree;
	tree->own = pl_usage_blocks(&st);
	usage->totals.directories += pl_usage_blocks(&st);
	tree->first_copy = usage->n_tree_copies;
	usage->stamp++;
	return pl_usage_walk(usage->store->trees_fd, hex, look_in_tree, d, &usage->totals.unread);
}

static int add_trees(struct disk *d)
{
	struct pl_usage *usage = d->usage;
	struct stat st;
	int r = pl_fstat(usage->store->trees_fd, &st);

	if (r >= 0)
		usage->totals.directories += pl_usage_blocks(&st);
	for (size_t i = 0; r >= 0 && i < usage->n_trees; i++) {
		pl_store_progress(usage->store, "measure", i, usage->n_trees,
				  usage->totals.directories);
		r = add_tree(d, &usage->trees[i]);
		if (r >= 0 && pl_store_must_stop(usage->store))
			r = -EINTR;
	}
	return r;
}

/* ---- all else ---- */

/* 1: it is counted already; 0: it was not yet. */
static int was_met(struct pl_usage *usage, const struct stat *st)
{
	const uint64_t key[2] = {st->st_dev, st->st_ino};

	if (st->st_nlink == 1)
		return 0;
	if (st->st_dev == usage->dev &&
	    (is_of_pools(usage, st->st_ino) || pl_map_get(&usage->copy_inodes, &key[1])))
		return 1; /* D2 */
	return pl_map_put(&usage->other_inodes, key, 1);
}

static int look_elsewhere(void *self, int dirfd, const struct pl_dirent *entry)
{
	struct disk *d = self;
	struct stat st;
	int r = pl_lstat(dirfd, entry->name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (pl_store_must_stop(d->usage->store))
		return -EINTR;
	if (S_ISDIR(st.st_mode)) {
		*d->total += pl_usage_blocks(&st);
		return 1;
	}
	r = was_met(d->usage, &st);
	if (r == 0)
		*d->total += pl_usage_blocks(&st);
	return r < 0 ? r : 0;
}

/* A name and all below it. */
static int add_name(struct disk *d, int dirfd, const struct pl_dirent *entry, uint64_t *total)
{
	int r;

	d->total = total;
	r = look_elsewhere(d, dirfd, entry);
	if (r == 1)
		r = pl_usage_walk(dirfd, entry->name, look_elsewhere, d, &d->usage->totals.unread);
	return r;
}

/* Which total a name in .pleach counts for; NULL: it has been counted. */
static uint64_t *total_of(struct pl_usage_totals *totals, const char *name)
{
	if (strcmp(name, "objects") == 0 || strcmp(name, "nodes") == 0 ||
	    strcmp(name, "trees") == 0)
		return NULL;
	if (strcmp(name, "trash") == 0)
		return &totals->trash;
	if (strcmp(name, "tx") == 0)
		return &totals->transactions;
	if (strcmp(name, "damaged") == 0)
		return &totals->damaged;
	return strcmp(name, "cache") == 0 ? &totals->cache : &totals->other;
}

/* A directory itself, and its names, but for `but`. */
static int add_directory(struct disk *d, int fd, const char *but)
{
	struct pl_usage_totals *totals = &d->usage->totals;
	struct pl_listing listing = {0};
	struct stat st;
	int r = pl_fstat(fd, &st);

	if (r >= 0) {
		*(but ? &totals->beside : &totals->other) += pl_usage_blocks(&st);
		r = pl_list(fd, &listing);
	}
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		uint64_t *total = but ? &totals->beside : total_of(totals, name);

		if (total && !(but && strcmp(name, but) == 0))
			r = add_name(d, fd, &listing.entries[i], total);
	}
	pl_listing_done(&listing);
	return r;
}

int pl_usage_read_disk(struct pl_usage *usage, struct pleach_error *error)
{
	struct pl_usage_totals *t = &usage->totals;
	struct disk d = {.usage = usage};
	int r = add_trees(&d);

	if (r >= 0)
		r = add_directory(&d, usage->store->fd, NULL);
	if (r >= 0)
		r = add_directory(&d, usage->store->root_fd, ".pleach");
	if (r == -EINTR)
		return pl_store_check_cancel(usage->store, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at all of '%s'", usage->store->path);
	t->total = usage->objects.disk + usage->nodes.disk + t->directories + t->copies + t->trash +
		   t->transactions + t->cache + t->other + t->damaged + t->beside;
	return 0;
}
