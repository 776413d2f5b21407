/*
 * Every name below a directory, for who counts what lies there; and what one directory holds that nothing else does.
 *
 * W1  What is walked is not at rest: names go, and directories are moved away. That is no error, and what was moved
 *     away is not counted.
 */
#include <stdlib.h>

#include "gc/usage.h"

struct level {
	struct pl_listing listing;
	size_t at;
};
struct walking {
	struct pl_walk walk;
	struct level *levels;
	size_t n, capacity;
	uint64_t *unread;
};

/* Lists where the walk is. */
static int push(struct walking *w)
{
	int r = PL_ARRAY_GROW(w->levels, w->capacity, w->n);

	if (r < 0)
		return r;
	w->levels[w->n] = (struct level){.at = 0};
	r = pl_list(pl_walk_fd(&w->walk), &w->levels[w->n].listing);
	if (r == -ENOENT) /* removed: an empty directory (W1) */
		r = 0;
	if (r >= 0)
		w->n++;
	return r;
}

static int pop(struct walking *w)
{
	pl_listing_done(&w->levels[--w->n].listing);
	return w->n > 0 ? pl_walk_leave(&w->walk) : 0;
}

static int enter(struct walking *w, const char *name)
{
	int r = pl_walk_enter(&w->walk, name);

	if (r == -EACCES || r == -EPERM) {
		++*w->unread;
		return 0;
	}
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return 0; /* W1 */
	return r < 0 ? r : push(w);
}

static int step(struct walking *w, pl_usage_fn fn, void *self)
{
	struct level *level = &w->levels[w->n - 1];
	const struct pl_dirent *entry;
	int r;

	if (level->at == level->listing.n)
		return pop(w);
	entry = &level->listing.entries[level->at++];
	r = fn(self, pl_walk_fd(&w->walk), entry);
	return r == 1 ? enter(w, entry->name) : r;
}

int pl_usage_walk(int dirfd, const char *name, pl_usage_fn fn, void *self, uint64_t *unread)
{
	struct walking w = {.unread = unread};
	int fd = pl_open_dir(dirfd, name), r;

	if (fd == -EACCES || fd == -EPERM) {
		++*unread;
		return 0;
	}
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd; /* W1 */
	r = pl_walk_init_take(&w.walk, fd);
	if (r >= 0)
		r = push(&w);
	while (r >= 0 && w.n > 0)
		r = step(&w, fn, self);
	while (w.n > 0)
		pl_listing_done(&w.levels[--w.n].listing);
	free(w.levels);
	pl_walk_done(&w.walk);
	return r == -ESTALE ? 0 : r; /* W1 */
}

/* ---- what one holds alone ---- */

/* A file with several names: how many of them were met. */
struct linked {
	uint64_t disk, n_links, n_met;
};
struct holding {
	struct pl_usage_held *held;
	struct pl_map inodes; /* dev and ino -> linked */
	struct linked *linked;
	size_t n, capacity;
	uint64_t n_names;
};

static int add_linked(struct holding *h, const struct stat *st)
{
	const uint64_t key[2] = {st->st_dev, st->st_ino};
	uint64_t *known = pl_map_get(&h->inodes, key);
	int r;

	if (known) {
		h->linked[*known].n_met++;
		return 0;
	}
	r = PL_ARRAY_GROW(h->linked, h->capacity, h->n);
	if (r < 0)
		return r;
	h->linked[h->n] = (struct linked){pl_usage_blocks(st), st->st_nlink, 1};
	r = pl_map_put(&h->inodes, key, h->n);
	h->n += r >= 0;
	return r < 0 ? r : 0;
}

static int hold(void *self, int dirfd, const struct pl_dirent *entry)
{
	struct holding *h = self;
	struct stat st;
	int r = pl_lstat(dirfd, entry->name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (++h->n_names > PL_USAGE_HELD_MAX) {
		h->held->is_more = true;
		return -ECANCELED;
	}
	if (S_ISDIR(st.st_mode) || st.st_nlink == 1)
		h->held->bytes += pl_usage_blocks(&st);
	else
		r = add_linked(h, &st);
	return r < 0 ? r : S_ISDIR(st.st_mode);
}

int pl_usage_held(int dirfd, const char *name, uint64_t seed, struct pl_usage_held *ret_held)
{
	struct pl_usage_held held = {0};
	struct holding h = {.held = &held};
	uint64_t unread = 0;
	struct stat st;
	int r = pl_lstat(dirfd, name, &st);

	pl_map_init(&h.inodes, 2 * sizeof(uint64_t), seed);
	if (r >= 0) {
		held.bytes = pl_usage_blocks(&st);
		r = pl_usage_walk(dirfd, name, hold, &h, &unread);
	}
	for (size_t i = 0; i < h.n; i++)
		if (h.linked[i].n_met == h.linked[i].n_links)
			held.bytes += h.linked[i].disk;
	held.is_more |= unread > 0;
	free(h.linked);
	pl_map_done(&h.inodes);
	if (r < 0 && r != -ECANCELED && r != -ENOENT)
		return r;
	*ret_held = held;
	return 0;
}
