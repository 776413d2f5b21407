/*
 * The upper layer of an overlay, as what it changes in the tree below: a walk of the upper layer alone, which
 * turns each name of it into an edit of the base.
 *
 *   whiteout                         the path is removed
 *   directory over one of the base   its metadata; what it does not name stays
 *   directory with a redirect        the same, over another directory of the base
 *   opaque directory, or over none   begins empty
 *   anything else                    the path is this
 *
 * U1  The upper layer is at rest: nothing is mounted on it, and nobody writes to it. A name that vanishes
 *     is an error, for a whiteout that vanished would bring back what was removed.
 * U2  Nothing that a mark says leads anywhere but into the base's nodes, by valid paths.
 * U3  A directory of the base is in one place at most: what was moved does not show where it was, and
 *     was not moved twice.
 * U4  What is put is what the merged tree showed: marks are no attributes, times are the upper layer's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "source/upper.h"

/* The upper layer has the name that the path ends in. `base`: what the base has of it, or NULL. */
static int cover(struct pl_upper_walk *u, const struct pl_entry *base, struct pleach_error *error)
{
	struct pl_buffer *way = &u->ground.way.path;
	int r;

	if (!pl_upper_top(u)->base.is_there)
		return 0;
	if (pl_moves_cover(&u->moves, pl_upper_here(u)) < 0)
		return pl_fail_memory(error);
	if (!base || base->kind == PLEACH_DIR)
		return 0;
	pl_path_push(way, base->name, base->name_length);
	if (!pl_buffer_ok(way))
		return pl_fail_memory(error);
	r = pl_upper_links_cover(u, pl_buffer_string(way), u->ground.way.groups, error);
	pl_path_pop(way);
	return r;
}

/* ---- directories ---- */

static int pop_frame(struct pl_upper_walk *u, struct pleach_error *error)
{
	int r;

	pl_upper_drop(u);
	if (u->n == 0)
		return 0;
	r = pl_walk_leave(&u->walk);
	if (r < 0)
		return pl_upper_fail_here(u, r, "find the directory above", error);
	pl_path_pop(&u->path);
	return 0;
}

static int visit_directory(struct pl_upper_walk *u, const char *name, const struct pl_entry *below,
			   struct pleach_error *error)
{
	int r = pl_walk_enter(&u->walk, name);

	if (r < 0)
		return pl_upper_fail_here(u, r, "open", error); /* U1 */
	return pl_upper_push(u, below, name, error);
}

/* ---- everything else ---- */

/* 1: the name hides what the base has there, and is nothing itself. */
static int is_whiteout(struct pl_upper_walk *u, const char *name, const struct stat *st,
		       struct pleach_error *error)
{
	int r;

	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	if (!S_ISREG(st->st_mode))
		return 0;
	r = pl_marks_read_file(pl_walk_fd(&u->walk), name, u->upper->is_user, &u->marks);
	if (r < 0)
		return pl_upper_fail_here(u, r, "read the marks of", error);
	if (u->marks.is_metacopy)
		return pl_upper_refuse(u, pl_upper_here(u), "its content was not copied up", error);
	return u->marks.is_xwhiteout && st->st_size == 0 && pl_upper_top(u)->has_xwhiteouts;
}

static int read_entry(struct pl_upper_walk *u, const char *name, struct stat *st,
		      struct pl_entry *ret_entry, struct pleach_error *error)
{
	int r = pl_ingest_entry(&u->ingest, NULL, pl_walk_fd(&u->walk), name, pl_upper_here(u), st,
				ret_entry, error);

	if (r == 1) { /* U1 */
		pl_fail(error, PLEACH_FAILED, -EAGAIN, "'%s' vanished while it was read",
			pl_upper_shown(u, pl_upper_here(u)));
		pl_error_path(error, pl_upper_here(u));
		return -EAGAIN;
	}
	if (r == 0)
		u->result->files_read++;
	return r;
}

static int visit_file(struct pl_upper_walk *u, const char *name, struct stat *st,
		      struct pleach_error *error)
{
	const struct pl_entry *known = NULL;
	struct pl_entry entry;
	ssize_t inode = -1;
	int r;

	if (st->st_nlink > 1) {
		inode = pl_upper_inodes_meet(&u->inodes, st);
		if (inode < 0)
			return pl_fail_memory(error);
		known = pl_upper_inodes_entry(&u->inodes, (size_t)inode, name);
	}
	if (!known) {
		r = read_entry(u, name, st, &entry, error);
		if (r < 0)
			return r;
		if (inode >= 0 && pl_upper_inodes_set_entry(&u->inodes, (size_t)inode, &entry) < 0)
			return pl_fail_memory(error);
		known = &entry;
	}
	return pl_upper_put(u, pl_upper_here(u), known, (uint64_t)(inode + 1), error);
}

static int visit_other(struct pl_upper_walk *u, const char *name, struct stat *st,
		       struct pleach_error *error)
{
	int r = pl_upper_check_device(u, st, error);

	if (r < 0)
		return r;
	r = is_whiteout(u, name, st, error);
	if (r < 0)
		return r;
	if (r == 0)
		return visit_file(u, name, st, error);
	if (!pl_upper_top(u)->base.is_there)
		return 0; /* nothing is hidden */
	r = pl_changeset_remove(u->changes, pl_upper_here(u));
	return r < 0 ? pl_fail_sys(error, r, "cannot note '%s'",
				   pl_upper_shown(u, pl_upper_here(u)))
		     : 0;
}

static int visit(struct pl_upper_walk *u, const char *name, struct pleach_error *error)
{
	const struct pl_entry *found = pl_upper_base_find(&pl_upper_top(u)->base, name), *below;
	struct pl_entry copy; /* frames may move */
	size_t depth = u->n;
	struct stat st;
	int r;

	if (found)
		copy = *found;
	below = found ? &copy : NULL;
	pl_path_push(&u->path, name, strlen(name));
	if (!pl_buffer_ok(&u->path))
		return pl_fail_memory(error);
	r = pl_lstat(pl_walk_fd(&u->walk), name, &st);
	if (r < 0)
		return pl_upper_fail_here(u, r, "look at", error); /* U1 */
	r = cover(u, below, error);
	if (r < 0)
		return r;
	r = S_ISDIR(st.st_mode) ? visit_directory(u, name, below, error)
				: visit_other(u, name, &st, error);
	if (r >= 0 && u->n == depth)
		pl_path_pop(&u->path);
	pl_store_progress(u->upper->store, "scan", ++u->done, 0, 0);
	return r;
}

/* ---- the whole ---- */

/* Do groups of the base matter? */
static int has_groups(struct pl_upper_walk *u, bool *ret_has, struct pleach_error *error)
{
	struct pl_totals totals = {0};
	int r;

	*ret_has = false;
	if (u->inodes.n == 0)
		return 0;
	r = pl_tree_totals(&u->ground.nodes, &u->upper->base, &totals, error);
	*ret_has = totals.groups > 0;
	return r;
}

static int open_walk(struct pl_walk *walk, int fd)
{
	int r = pl_open_dir(fd, ".");

	return r < 0 ? r : pl_walk_init_take(walk, r);
}

static void walk_init(struct pl_upper_walk *u)
{
	const struct pl_upper *upper = u->upper;
	uint64_t seed = upper->store->seed;

	u->sink = pl_stage_sink(upper->stage);
	u->ground = (struct pl_upper_ground){
		.nodes = pl_stage_nodes(upper->stage), .root = upper->base, .seed = seed};
	u->mark_names.is_user = upper->is_user;
	pl_moves_init(&u->moves, seed);
	pl_upper_inodes_init(&u->inodes, seed);
}

/* The index, and what is needed to know what it stands for. */
static int begin_links(struct pl_upper_walk *u, struct pleach_error *error)
{
	int r;

	if (u->upper->index_fd < 0)
		return 0;
	r = pl_upper_inodes_read_index(&u->inodes, u->upper, error);
	if (r >= 0)
		r = has_groups(u, &u->ground.has_groups, error);
	if (r < 0 || !u->ground.has_groups)
		return r;
	r = open_walk(&u->lower, u->upper->lower_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot read the tree below '%s'", u->upper->label)
		     : 0;
}

static int begin(struct pl_upper_walk *u, struct pleach_error *error)
{
	const struct pl_upper *upper = u->upper;
	struct stat st;
	int r = pl_fstat(upper->upper_fd, &st);

	if (r >= 0) {
		u->dev = st.st_dev;
		r = open_walk(&u->walk, upper->upper_fd);
	}
	if (r >= 0)
		r = pl_changeset_new(upper->store->seed, &u->changes);
	if (r >= 0)
		r = pl_ingest_init(&u->ingest, upper->stage, upper->rule, upper->label);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot begin to read '%s'", upper->label);
	u->ingest.rename_xattr = pl_marks_rename;
	u->ingest.rename_self = &u->mark_names;
	u->ingest.is_quiet = true; /* what ran in it is gone */
	return begin_links(u, error);
}

static void end(struct pl_upper_walk *u)
{
	while (u->n > 0)
		pl_upper_drop(u);
	free(u->frames);
	pl_walk_done(&u->walk);
	pl_walk_done(&u->lower);
	pl_buffer_done(&u->path);
	pl_buffer_done(&u->shown);
	pl_buffer_done(&u->handle);
	pl_ingest_done(&u->ingest);
	pl_marks_done(&u->marks);
	pl_moves_done(&u->moves);
	pl_strings_done(&u->moved);
	pl_upper_inodes_done(&u->inodes);
	pl_changeset_free(u->changes);
}

static int run_walk(struct pl_upper_walk *u, struct pleach_error *error)
{
	int r = pl_upper_push(u, NULL, NULL, error);

	while (r >= 0 && u->n > 0) {
		struct pl_upper_frame *frame = pl_upper_top(u);

		r = pl_store_check_cancel(u->upper->store, error);
		if (r < 0)
			break;
		if (frame->next == frame->listing.n)
			r = pop_frame(u, error);
		else
			r = visit(u, frame->listing.entries[frame->next++].name, error);
	}
	return r;
}

int pl_upper_run(const struct pl_upper *upper, struct pl_scan_result *ret_result,
		 struct pleach_error *error)
{
	struct pl_scan_result result = {0};
	struct pl_upper_walk u = {.upper = upper, .result = &result};
	int r;

	walk_init(&u);
	r = begin(&u, error);
	if (r >= 0)
		r = run_walk(&u, error);
	if (r >= 0)
		r = pl_upper_check_moved(&u, error);
	if (r >= 0)
		r = pl_upper_links_put(&u, error);
	if (r >= 0)
		r = pl_apply(&u.ground.nodes, &u.sink, &upper->base, u.changes, upper->store->seed,
			     &result.tree, &result.totals, error);
	end(&u);
	if (r < 0)
		return r;
	*ret_result = result;
	return 0;
}
