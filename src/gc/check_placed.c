/*
 * A placed tree held against its nodes: no name more or less, each directory as it must be; what single
 * names must be is check_name.c's; and that the filter beside it verifies.
 *
 * The walk goes through nodes and directories side by side, both sorted by bytes.
 *
 * P1  Only what the tree's nodes say is gone into: a directory too many is told, and left alone.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/placed_check.h"

const char *pl_placed_path(struct pl_placed *p)
{
	return pl_buffer_string(&p->path);
}

const char *pl_placed_path_in_tree(struct pl_placed *p)
{
	const char *path = pl_placed_path(p) + p->root_length;

	return *path == '/' ? path + 1 : path;
}

/* Findings are about where the walk is just now. */
static void point(struct pl_placed *p)
{
	if (p->c->subject.what == PL_SUBJECT_PLACED || p->c->subject.what == PL_SUBJECT_ATTACHED)
		p->c->subject.in_tree = (size_t)(pl_placed_path_in_tree(p) - pl_placed_path(p));
}

int pl_placed_fault(struct pl_placed *p, const char *message, struct pleach_error *error)
{
	point(p);
	return pl_checking_fault(p->c, error, "placed", pl_placed_path(p), "%s", message);
}

int pl_placed_cannot(struct pl_placed *p, int r, struct pleach_error *error)
{
	point(p);
	return pl_checking_cannot(p->c, r, "placed", pl_placed_path(p), error);
}

/* ---- directories ---- */

static int push(struct pl_placed *p, struct pl_node *node_take, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_placed_level *level;
	int r;

	if (PL_ARRAY_GROW(p->levels, p->capacity, p->n) < 0) {
		pl_node_done(node_take);
		return pl_fail_memory(error);
	}
	level = &p->levels[p->n++];
	*level = (struct pl_placed_level){.node = *node_take};
	r = pl_list(pl_walk_fd(&p->walk), &level->listing);
	if (r < 0) /* told once, not as one missing name after the other */
		return pl_placed_cannot(p, r, error);
	level->is_listed = true;
	if (!p->has_all_groups)
		return 0;
	/* A broken group was told when the tree was reached. Who is in it is not known then. */
	r = pl_membership_push(p->groups, pl_placed_path_in_tree(p), &level->node, &cause);
	level->has_groups = r >= 0;
	p->has_all_groups = r >= 0;
	return r == -ENOMEM ? pl_fail_memory(error) : 0;
}

static void level_done(struct pl_placed *p, struct pl_placed_level *level)
{
	if (level->has_groups)
		pl_membership_pop(p->groups);
	pl_node_done(&level->node);
	pl_listing_done(&level->listing);
}

static int pop(struct pl_placed *p, struct pleach_error *error)
{
	int r;

	level_done(p, &p->levels[--p->n]);
	if (p->n == 0)
		return 0;
	r = pl_walk_leave(&p->walk);
	pl_path_pop(&p->path);
	return r < 0 ? pl_fail_sys(error, r, "lost the directory '%s'", pl_placed_path(p)) : 0;
}

/* Goes into a directory that is there: its node's level is on top then. */
static int enter(struct pl_placed *p, const char *name, const struct stat *st,
		 const struct pl_entry *entry, bool *ret_entered, struct pleach_error *error)
{
	struct pl_node node;
	int r = pl_checking_node(p->c, &entry->hash, &node, error);

	if (r <= 0)
		return r;
	r = pl_placed_meta(p, pl_walk_fd(&p->walk), name, st, &node.meta, error);
	if (r >= 0) {
		r = pl_walk_enter(&p->walk, name);
		*ret_entered = r >= 0;
		if (r < 0)
			r = pl_placed_cannot(p, r, error);
	}
	if (!*ret_entered)
		pl_node_done(&node);
	else
		r = push(p, &node, error);
	return r;
}

/* A name that the node has. */
static int check_entry(struct pl_placed *p, const struct pl_entry *entry, bool is_there,
		       struct pleach_error *error)
{
	char name[PL_NAME_MAX + 1];
	bool entered = false;
	struct stat st;
	int r;

	pl_entry_name(entry, name);
	pl_path_push(&p->path, name, entry->name_length);
	if (!pl_buffer_ok(&p->path))
		return pl_fail_memory(error);
	if (is_there)
		r = pl_placed_look(p, pl_walk_fd(&p->walk), name, entry->kind, &st, error);
	else
		r = pl_placed_fault(p, "is missing", error);
	if (r == 1 && entry->kind == PLEACH_DIR) {
		r = enter(p, name, &st, entry, &entered, error);
	} else if (r == 1) {
		r = pl_placed_name(p, name, &st, entry, error);
	}
	if (!entered)
		pl_path_pop(&p->path);
	return r < 0 ? r : pl_checking_step(p->c, 0, error);
}

/* Names of the listing up to `name` (NULL: all) are too many. *ret_is_there: it stands there. */
static int pass(struct pl_placed *p, struct pl_placed_level *level, const struct pl_entry *entry,
		bool *ret_is_there, struct pleach_error *error)
{
	int r = 0;

	*ret_is_there = false;
	while (r >= 0 && level->next < level->listing.n) {
		const char *name = level->listing.entries[level->next].name;
		struct pl_entry found = {.name = name, .name_length = (uint8_t)strlen(name)};
		int order = entry ? pl_entry_compare(&found, entry) : -1;

		if (order > 0)
			break;
		level->next++;
		*ret_is_there = order == 0;
		if (order == 0)
			break;
		pl_path_push(&p->path, name, strlen(name));
		if (!pl_buffer_ok(&p->path))
			return pl_fail_memory(error);
		r = pl_placed_fault(p, "is in no node", error);
		pl_path_pop(&p->path);
	}
	return r;
}

/* The next name of the directory on top, or back to the one above. */
static int step(struct pl_placed *p, struct pleach_error *error)
{
	struct pl_placed_level *level = &p->levels[p->n - 1];
	struct pl_entry entry;
	bool is_there;
	int r;

	if (!level->is_listed)
		return pop(p, error);
	if (!pl_node_next(&level->node, &level->cursor, &entry)) {
		r = pass(p, level, NULL, &is_there, error);
		return r < 0 ? r : pop(p, error);
	}
	r = pass(p, level, &entry, &is_there, error);
	return r < 0 ? r : check_entry(p, &entry, is_there, error);
}

/* ---- the whole ---- */

/* The root: 1 and its level is on top; 0: there is nothing to go through. */
static int begin(struct pl_placed *p, const struct pl_id *tree, struct pleach_error *error)
{
	struct pl_node node;
	struct stat st;
	int fd, r = pl_checking_node(p->c, tree, &node, error);

	if (r <= 0)
		return r;
	r = pl_placed_look(p, p->dirfd, p->name, PLEACH_DIR, &st, error);
	if (r == 1) {
		r = pl_placed_meta(p, p->dirfd, p->name, &st, &node.meta, error);
		fd = r < 0 ? r : pl_open_dir(p->dirfd, p->name);
		if (r >= 0 && fd < 0)
			r = pl_placed_cannot(p, fd, error);
		else if (r >= 0)
			r = pl_walk_init_take(&p->walk, fd) < 0 ? pl_fail_memory(error) : 1;
	}
	if (r != 1) {
		pl_node_done(&node);
		return r;
	}
	r = push(p, &node, error);
	return r < 0 ? r : 1;
}

static void end(struct pl_placed *p)
{
	while (p->n > 0)
		level_done(p, &p->levels[--p->n]);
	free(p->levels);
	pl_walk_done(&p->walk);
	pl_buffer_done(&p->path);
	pl_filter_done(&p->filter);
	pl_membership_free(p->groups);
	pl_map_done(&p->inodes);
	pl_map_done(&p->members);
}

/* `p` has all but what is begun here; `filter_of`: the directory that has its filter, or -EBADF. */
static int check(struct pl_placed *p, const struct pl_id *tree, int filter_of, const char *path,
		 struct pleach_error *error)
{
	struct pl_checking *c = p->c;
	int r;

	p->has_all_groups = true;
	p->filter.holds_all = true;
	p->root_length = p->path.length;
	pl_map_init(&p->inodes, sizeof(struct pl_placed_inode), c->store->seed);
	pl_map_init(&p->members, sizeof(uint64_t), c->store->seed);
	r = pl_buffer_ok(&p->path) ? 0 : pl_fail_memory(error);
	if (r >= 0)
		r = pl_membership_new(&c->nodes, c->store->seed, &p->groups, error);
	if (r >= 0 && filter_of >= 0)
		r = pl_checking_filter(c, filter_of, path, &p->filter, error);
	if (r >= 0)
		r = begin(p, tree, error);
	while (r >= 0 && p->n > 0)
		r = step(p, error);
	if (r >= 0)
		c->counts.placed++;
	end(p);
	return r < 0 ? r : 0;
}

int pl_checking_placed(struct pl_checking *c, const struct pl_id *tree, int wrapper_fd,
		       const char *path, bool by_names, struct pleach_error *error)
{
	struct pl_placed p = {.c = c, .dirfd = wrapper_fd, .name = "tree", .by_names = by_names};

	pl_buffer_add_format(&p.path, "%s/tree", path);
	return check(&p, tree, wrapper_fd, path, error);
}

int pl_checking_directory(struct pl_checking *c, const struct pl_id *tree, int dirfd,
			  const char *name, const char *path, bool by_names,
			  struct pleach_error *error)
{
	struct pl_placed p = {.c = c, .dirfd = dirfd, .name = name, .by_names = by_names};

	pl_buffer_add_string(&p.path, path);
	return check(&p, tree, -EBADF, path, error);
}
