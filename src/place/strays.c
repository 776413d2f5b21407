/*
 * Strays: what somebody has put into a directory that was laid out from a tree. Looked for before such a
 * directory is erased (G7): by names, kinds, sizes and mtimes, without reading a file.
 *
 * Y1  What is missing is no stray: a directory that is half erased has none.
 * Y2  A directory that may not be listed holds none: nobody but its owner could have got in either, and
 *     the tree's own modes are like that.
 */
#include <stdlib.h>

#include "place/place.h"

struct straying {
	struct pl_walk walk;
	struct pl_listing *levels; /* of the directories from the root on; `matched` beside */
	size_t *matched;
	size_t n, capacity, matched_capacity;
};

/* 1: it is there and as the entry says; 0: it is not there; 2: it is something else. */
static int look(int dirfd, const struct pl_entry *entry)
{
	char name[PL_NAME_MAX + 1];
	struct stat st;
	int r;

	pl_entry_name(entry, name);
	r = pl_lstat(dirfd, name, &st);
	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r; /* Y1, Y2 */
	if (pl_kind_of(st.st_mode) != entry->kind)
		return 2;
	if (entry->kind != PLEACH_FILE)
		return 1;
	return (uint64_t)st.st_size == entry->size && st.st_mtim.tv_sec == entry->meta.mtime_s &&
			       st.st_mtim.tv_nsec == (long)entry->meta.mtime_ns
		       ? 1
		       : 2;
}

/* Lists the directory where the walk is. 0: it may not be listed (Y2). */
static int push(struct straying *s)
{
	int r = PL_ARRAY_GROW(s->levels, s->capacity, s->n);

	if (r >= 0)
		r = PL_ARRAY_GROW(s->matched, s->matched_capacity, s->n);
	if (r < 0)
		return r;
	s->levels[s->n] = (struct pl_listing){0};
	s->matched[s->n] = 0;
	r = pl_list(pl_walk_fd(&s->walk), &s->levels[s->n]);
	if (r == -EACCES)
		return 0;
	if (r < 0)
		return r;
	s->n++;
	return 1;
}

/* 1: gone into. 0: nothing of it is there, or it cannot be looked at. 2: a stray. */
static int enter(struct straying *s, struct pl_cursor *cursor)
{
	char name[PL_NAME_MAX + 1];
	int r;

	if (s->n == 0)
		return push(s);
	r = look(pl_walk_fd(&s->walk), pl_cursor_entry(cursor));
	if (r != 1)
		return r;
	s->matched[s->n - 1]++;
	pl_entry_name(pl_cursor_entry(cursor), name);
	r = pl_walk_enter(&s->walk, name);
	if (r < 0)
		return r == -EACCES || r == -ENOENT ? 0 : r;
	r = push(s);
	if (r == 0)
		r = pl_walk_leave(&s->walk);
	return r;
}

/* All that the tree has in it was met: is there more? 2: a stray. */
static int leave(struct straying *s)
{
	size_t n = --s->n;
	bool has_more = s->levels[n].n > s->matched[n];
	int r;

	pl_listing_done(&s->levels[n]);
	if (has_more)
		return 2;
	if (n == 0)
		return 0;
	r = pl_walk_leave(&s->walk);
	return r < 0 ? r : 0;
}

static int step(struct straying *s, struct pl_cursor *cursor, int what, bool *is_skipped)
{
	int r;

	if (what == PL_STEP_ENTER) {
		r = enter(s, cursor);
		*is_skipped = r == 0;
		if (*is_skipped)
			pl_cursor_skip(cursor);
		return r;
	}
	if (what == PL_STEP_LEAVE) {
		if (*is_skipped) {
			*is_skipped = false;
			return 0;
		}
		return leave(s);
	}
	r = look(pl_walk_fd(&s->walk), pl_cursor_entry(cursor));
	if (r == 1)
		s->matched[s->n - 1]++;
	return r;
}

int pl_strays_find(const struct pl_node_source *nodes, const struct pl_id *tree, int dirfd,
		   const char *name, uint64_t seed, struct pleach_error *error)
{
	struct straying s = {0};
	struct pl_cursor *cursor = NULL;
	bool is_skipped = false;
	int fd = pl_open_dir(dirfd, name), r;

	if (fd < 0)
		return fd == -EACCES || fd == -ENOENT
			       ? 0
			       : pl_fail_sys(error, fd, "cannot open '%s'", name);
	r = pl_walk_init_take(&s.walk, fd);
	if (r < 0)
		pl_fail_sys(error, r, "cannot look through '%s'", name);
	else
		r = pl_cursor_new(nodes, tree, false, seed, &cursor, error);
	while (r >= 0 && (r = pl_cursor_next(cursor, error)) > 0) {
		r = step(&s, cursor, r, &is_skipped);
		if (r < 0)
			pl_fail_sys(error, r, "cannot look through '%s'", name);
		if (r == 2)
			break;
	}
	while (s.n > 0)
		pl_listing_done(&s.levels[--s.n]);
	free(s.levels);
	free(s.matched);
	pl_cursor_free(cursor);
	pl_walk_done(&s.walk);
	return r < 0 ? r : r == 2;
}
