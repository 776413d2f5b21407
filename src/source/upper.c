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

struct pl_upper_frame {
	struct pl_listing listing;
	size_t next;
	bool has_xwhiteouts;
	struct pl_upper_base base;
};

const char *pl_upper_shown(struct pl_upper_walk *u, const char *path)
{
	pl_buffer_truncate(&u->shown, 0);
	pl_buffer_add_format(&u->shown, "%s/%s", u->upper->label, path);
	return pl_buffer_ok(&u->shown) ? pl_buffer_string(&u->shown) : path;
}

int pl_upper_refuse(struct pl_upper_walk *u, const char *path, const char *what,
		    struct pleach_error *error)
{
	pl_fail_corrupt(error, "'%s' cannot be believed: %s", pl_upper_shown(u, path), what);
	pl_error_path(error, path);
	pl_hint(error, "somebody has changed the upper layer of the overlay from outside");
	return -EBADMSG;
}

static const char *here(struct pl_upper_walk *u)
{
	return u->path.length > 0 ? pl_buffer_string(&u->path) : "";
}

static int fail_here(struct pl_upper_walk *u, int r, const char *what, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, pl_upper_shown(u, here(u)));
	pl_error_path(error, here(u));
	return r;
}

static int check_device(struct pl_upper_walk *u, const struct stat *st, struct pleach_error *error)
{
	if (st->st_dev == u->dev)
		return 0;
	pl_fail(error, PLEACH_FAILED, -EXDEV, "another file system is mounted at '%s'",
		pl_upper_shown(u, here(u)));
	pl_error_path(error, here(u));
	pl_hint(error, "unmount it");
	return -EXDEV;
}

static struct pl_upper_frame *top(struct pl_upper_walk *u)
{
	pl_assert(u->n > 0);
	return &u->frames[u->n - 1];
}

/* The upper layer has the name that the path ends in. `base`: what the base has of it, or NULL. */
static int cover(struct pl_upper_walk *u, const struct pl_entry *base, struct pleach_error *error)
{
	struct pl_buffer *way = &u->ground.way.path;
	int r;

	if (!top(u)->base.is_there)
		return 0;
	if (pl_moves_cover(&u->moves, here(u)) < 0)
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

/* What a redirect leads to becomes frame->base. */
static int follow_redirect(struct pl_upper_walk *u, struct pl_upper_frame *frame,
			   struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r;

	if (u->upper->is_user)
		return pl_upper_refuse(u, here(u), "a redirect, where overlayfs makes none", error);
	if (!u->marks.is_absolute) {
		if (!top(u)->base.is_there)
			return pl_upper_refuse(u, here(u), "its redirect leads nowhere", error);
		pl_buffer_add(&path, u->ground.way.path.data, u->ground.way.path.length);
		pl_path_push(&path, (const char *)u->marks.redirect.data, u->marks.redirect.length);
	} else {
		pl_buffer_add(&path, u->marks.redirect.data, u->marks.redirect.length);
	}
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	r = pl_upper_base_enter_at(&u->ground, pl_buffer_string(&path), &frame->base, error);
	if (r == 0) /* U2 */
		return pl_upper_refuse(u, here(u), "its redirect leads nowhere", error);
	if (r > 0 && pl_strings_add(&u->moved, pl_buffer_string(&path)) < 0) {
		pl_upper_base_leave(&u->ground, &frame->base);
		return pl_fail_memory(error);
	}
	return r < 0 ? r : 0;
}

/* Finds the directory of the base that shows through the one just entered. `below`: what the base has in
 * its place. */
static int find_base(struct pl_upper_walk *u, const struct pl_entry *below, const char *name,
		     struct pl_upper_frame *frame, struct pleach_error *error)
{
	struct pl_id node;

	if (u->marks.is_redirected)
		return follow_redirect(u, frame, error);
	if (u->marks.is_opaque || !below || below->kind != PLEACH_DIR)
		return 0;
	node = below->hash;
	return pl_upper_base_enter(&u->ground, name, &node, &frame->base, error);
}

/* The edit of the directory that was just entered, on frame->base. */
static int put_directory(struct pl_upper_walk *u, const struct pl_upper_frame *frame,
			 const struct stat *st, struct pleach_error *error)
{
	const char *origin = NULL, *other;
	struct pl_meta meta;
	int r;

	if (frame->base.is_there) {
		origin = pl_buffer_string(&u->ground.way.path);
		r = pl_moves_directory(&u->moves, origin, here(u), &other);
		if (r == 1) /* U3 */
			return pl_upper_refuse(u, here(u),
					       "another directory lies over the same one", error);
		if (r < 0)
			return pl_fail_memory(error);
	}
	r = pl_ingest_directory(&u->ingest, pl_walk_fd(&u->walk), here(u), st, &meta, error);
	if (r < 0)
		return r;
	r = pl_changeset_dir(u->changes, here(u), origin, &meta);
	return r < 0 ? pl_fail_sys(error, r, "cannot note '%s'", pl_upper_shown(u, here(u))) : 0;
}

/* Looks at the directory that was just entered: it is on another file system, or has odd marks? */
static int inspect(struct pl_upper_walk *u, struct stat *ret_st, struct pleach_error *error)
{
	int fd = pl_walk_fd(&u->walk), r = pl_fstat(fd, ret_st);
	const char *flaw = NULL;

	if (r < 0)
		return fail_here(u, r, "look at", error);
	r = check_device(u, ret_st, error);
	if (r < 0)
		return r;
	r = pl_marks_read(fd, u->upper->is_user, &u->marks, &flaw);
	if (r == -EBADMSG && flaw)
		return pl_upper_refuse(u, here(u), flaw, error);
	return r < 0 ? fail_here(u, r, "read the marks of", error) : 0;
}

/* The frame of the directory that the walk has just entered; `name` NULL: the root. */
static int push_frame(struct pl_upper_walk *u, const struct pl_entry *below, const char *name,
		      struct pleach_error *error)
{
	struct pl_upper_frame frame = {0};
	struct stat st;
	int r;

	if (PL_ARRAY_GROW(u->frames, u->capacity, u->n) < 0)
		return pl_fail_memory(error);
	if (u->n > PL_DEPTH_MAX)
		return pl_fail(error, PLEACH_FAILED, -ELOOP, "'%s' is more than %d levels deep",
			       u->upper->label, PL_DEPTH_MAX);
	r = inspect(u, &st, error);
	if (r < 0)
		return r;
	if (!name && (u->marks.is_opaque || u->marks.is_redirected))
		return pl_upper_refuse(u, "", "its root is marked as what a root cannot be", error);
	frame.has_xwhiteouts = u->marks.has_xwhiteouts;
	r = name ? find_base(u, below, name, &frame, error)
		 : pl_upper_base_enter_root(&u->ground, &frame.base, error);
	if (r < 0)
		return r;
	u->frames[u->n++] = frame;
	r = put_directory(u, &frame, &st, error);
	if (r < 0)
		return r;
	r = pl_list(pl_walk_fd(&u->walk), &top(u)->listing);
	return r < 0 ? fail_here(u, r, "list", error) : 0;
}

static void drop_frame(struct pl_upper_walk *u)
{
	struct pl_upper_frame *frame = top(u);

	pl_listing_done(&frame->listing);
	pl_upper_base_leave(&u->ground, &frame->base);
	u->n--;
}

static int pop_frame(struct pl_upper_walk *u, struct pleach_error *error)
{
	int r;

	drop_frame(u);
	if (u->n == 0)
		return 0;
	r = pl_walk_leave(&u->walk);
	if (r < 0)
		return fail_here(u, r, "find the directory above", error);
	pl_path_pop(&u->path);
	return 0;
}

static int visit_directory(struct pl_upper_walk *u, const char *name, const struct pl_entry *below,
			   struct pleach_error *error)
{
	int r = pl_walk_enter(&u->walk, name);

	if (r < 0)
		return fail_here(u, r, "open", error); /* U1 */
	return push_frame(u, below, name, error);
}

/* ---- everything else ---- */

int pl_upper_put(struct pl_upper_walk *u, const char *path, const struct pl_entry *entry,
		 uint64_t link, struct pleach_error *error)
{
	int r = pl_changeset_put(u->changes, path, entry, link);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot note '%s'", pl_upper_shown(u, path));
	if (entry->kind == PLEACH_SYMLINK)
		pl_scan_note_escape(u->result, path, entry);
	return 0;
}

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
		return fail_here(u, r, "read the marks of", error);
	if (u->marks.is_metacopy)
		return pl_upper_refuse(u, here(u), "its content was not copied up", error);
	return u->marks.is_xwhiteout && st->st_size == 0 && top(u)->has_xwhiteouts;
}

static int read_entry(struct pl_upper_walk *u, const char *name, struct stat *st,
		      struct pl_entry *ret_entry, struct pleach_error *error)
{
	int r = pl_ingest_entry(&u->ingest, pl_walk_fd(&u->walk), name, here(u), st, ret_entry,
				error);

	if (r == 1) { /* U1 */
		pl_fail(error, PLEACH_FAILED, -EAGAIN, "'%s' vanished while it was read",
			pl_upper_shown(u, here(u)));
		pl_error_path(error, here(u));
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
	return pl_upper_put(u, here(u), known, (uint64_t)(inode + 1), error);
}

static int visit_other(struct pl_upper_walk *u, const char *name, struct stat *st,
		       struct pleach_error *error)
{
	int r = check_device(u, st, error);

	if (r < 0)
		return r;
	r = is_whiteout(u, name, st, error);
	if (r < 0)
		return r;
	if (r == 0)
		return visit_file(u, name, st, error);
	if (!top(u)->base.is_there)
		return 0; /* nothing is hidden */
	r = pl_changeset_remove(u->changes, here(u));
	return r < 0 ? pl_fail_sys(error, r, "cannot note '%s'", pl_upper_shown(u, here(u))) : 0;
}

static int visit(struct pl_upper_walk *u, const char *name, struct pleach_error *error)
{
	const struct pl_entry *found = pl_upper_base_find(&top(u)->base, name), *below;
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
		return fail_here(u, r, "look at", error); /* U1 */
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

/* U3. Known only when all of the upper layer was seen: what hides the old place may come last. */
static int check_moved(struct pl_upper_walk *u, struct pleach_error *error)
{
	for (size_t i = 0; i < u->moved.n; i++) {
		PL_BUFFER path = {0};
		int r = pl_moves_find(&u->moves, u->moved.items[i], &path);

		if (r < 0)
			return pl_fail_memory(error);
		if (r == 1)
			return pl_upper_refuse(u, pl_buffer_string(&path),
					       "it was moved, and is not hidden here", error);
	}
	return 0;
}

/* Do groups of the base matter? */
static int has_groups(struct pl_upper_walk *u, bool *ret_has, struct pleach_error *error)
{
	struct pl_totals totals = {0};
	struct pl_node root;
	int r;

	*ret_has = false;
	if (u->inodes.n == 0)
		return 0;
	r = pl_node_read(&u->ground.nodes, &u->upper->base, &root, error);
	if (r < 0)
		return r;
	r = pl_node_totals(&u->ground.nodes, &root, &totals, error);
	pl_node_done(&root);
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

static int begin(struct pl_upper_walk *u, struct pleach_error *error)
{
	const struct pl_upper *upper = u->upper;
	struct stat st;
	int r = pl_fstat(upper->upper_fd, &st);

	u->dev = st.st_dev;
	if (r >= 0)
		r = open_walk(&u->walk, upper->upper_fd);
	if (r >= 0)
		r = open_walk(&u->lower, upper->lower_fd);
	if (r >= 0)
		r = pl_changeset_new(upper->store->seed, &u->changes);
	if (r >= 0)
		r = pl_ingest_init(&u->ingest, upper->stage, upper->rule, upper->label);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot begin to read '%s'", upper->label);
	u->ingest.rename_xattr = pl_marks_rename;
	u->ingest.rename_self = &u->mark_names;
	if (upper->index_fd >= 0) {
		r = pl_upper_inodes_read_index(&u->inodes, upper, error);
		if (r < 0)
			return r;
	}
	return has_groups(u, &u->ground.has_groups, error);
}

static void end(struct pl_upper_walk *u)
{
	while (u->n > 0)
		drop_frame(u);
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
	int r = push_frame(u, NULL, NULL, error);

	while (r >= 0 && u->n > 0) {
		struct pl_upper_frame *frame = top(u);

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
		r = check_moved(&u, error);
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
