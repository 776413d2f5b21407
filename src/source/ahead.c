/*
 * A walk ahead of a scan, that only counts: how many names does the source have of each inode with
 * more than one? Made at most once a scan, and only for sources that share inodes with the outside.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "source/source.h"

struct level {
	struct pl_listing listing;
	size_t next;
};
struct ahead {
	struct pl_walk walk;
	struct level *levels;
	size_t n, capacity;
	struct pl_buffer path;
};

static int push_level(struct ahead *ahead)
{
	int r = PL_ARRAY_GROW(ahead->levels, ahead->capacity, ahead->n);

	if (r < 0)
		return r;
	ahead->levels[ahead->n] = (struct level){0};
	r = pl_list(pl_walk_fd(&ahead->walk), &ahead->levels[ahead->n].listing);
	if (r >= 0)
		ahead->n++;
	return r;
}

static int pop_level(struct ahead *ahead)
{
	pl_listing_done(&ahead->levels[--ahead->n].listing);
	if (ahead->n == 0)
		return 0;
	pl_path_pop(&ahead->path);
	return pl_walk_leave(&ahead->walk);
}

/* One name of the current directory. */
static int visit(struct ahead *ahead, struct pl_links *links, const struct pl_globs *exclude,
		 const char *name)
{
	struct stat st;
	int r = pl_lstat(pl_walk_fd(&ahead->walk), name, &st);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	pl_path_push(&ahead->path, name, strlen(name));
	if (!pl_buffer_ok(&ahead->path))
		return -ENOMEM;
	if (exclude &&
	    pl_globs_match(exclude, pl_buffer_string(&ahead->path), S_ISDIR(st.st_mode))) {
		pl_path_pop(&ahead->path);
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		r = pl_walk_enter(&ahead->walk, name);
		if (r >= 0)
			return push_level(ahead);
		pl_path_pop(&ahead->path);
		return r == -ENOENT ? 0 : r;
	}
	pl_path_pop(&ahead->path);
	return st.st_nlink > 1 ? pl_links_expect(links, &st) : 0;
}

int pl_links_walk_ahead(struct pl_links *links, struct pl_store *store, int fd,
			const struct pl_globs *exclude)
{
	struct ahead ahead = {0};
	int r = pl_open_dir(fd, ".");

	if (r < 0)
		return r;
	r = pl_walk_init_take(&ahead.walk, r);
	if (r < 0)
		return r;
	r = push_level(&ahead);
	while (r >= 0 && ahead.n > 0) {
		struct level *level = &ahead.levels[ahead.n - 1];

		if (pl_store_is_cancelled(store))
			r = -EINTR;
		else if (level->next == level->listing.n)
			r = pop_level(&ahead);
		else
			r = visit(&ahead, links, exclude,
				  level->listing.entries[level->next++].name);
	}
	while (ahead.n > 0)
		pl_listing_done(&ahead.levels[--ahead.n].listing);
	free(ahead.levels);
	pl_buffer_done(&ahead.path);
	pl_walk_done(&ahead.walk);
	if (r >= 0)
		pl_links_expected_all(links);
	return r < 0 ? r : 0;
}
