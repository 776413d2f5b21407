/*
 * pleach_ls_*(): what is in a tree, in byte order of whole paths.
 *
 * The cursor of the tree layer goes down a directory where it stands ("a", "a/x", "a.b"). Here the
 * order is that of the bytes of whole paths, which `sort` and `comm` want: "a", "a.b", "a/x". So what
 * is below a directory waits until no name of its parent comes before it.
 *
 * L1  The directories that wait in one level are each a prefix of the next (whatever sorts between "a"
 *     and "a/" begins with "a"): the last one waiting is the first to be due.
 * L2  levels[] are the directories from the root of the tree to where the walk is, and memberships of
 *     the same directories: groups of those above the listed directory count as well.
 */
#include <stdlib.h>

#include "api/inner.h"

/* A directory that was listed, and what is below it was not. */
struct waiting {
	struct pl_id id;
	struct pl_totals totals;
	size_t name_length;
	char name[PL_NAME_MAX + 1];
};
struct level {
	struct pl_node node;
	size_t at;	      /* behind `next` */
	struct pl_entry next; /* leads into the node */
	bool has_next;
	struct waiting *waiting;
	size_t n_waiting, capacity;
};
struct pleach_ls {
	struct pl_store *store;
	struct pl_target target;
	struct pl_membership *membership;
	struct level *levels;
	size_t n_levels, capacity;
	size_t base; /* levels above the directory that is listed, and it: the walk ends there */
	struct pl_buffer path; /* of the directory where the walk is */
	bool is_recursive, is_single;
	bool has_child;
	struct pl_node child; /* of the directory handed out last, whose metadata the view shows */
	struct pl_entry_view view;
};

static void level_advance(struct level *level)
{
	level->has_next = pl_node_next(&level->node, &level->at, &level->next) > 0;
}

static void level_done(struct level *level)
{
	pl_node_done(&level->node);
	free(level->waiting);
}

/* Goes into a directory; `name` NULL: the root. What its parent says of it must be so. */
static int enter(struct pleach_ls *ls, const struct pl_id *id, const char *name, size_t name_length,
		 const struct pl_totals *claimed, struct pleach_error *error)
{
	struct level level = {0};
	int r = pl_node_read(&ls->target.nodes, id, &level.node, error);

	if (r < 0)
		return r;
	if (name)
		pl_path_push(&ls->path, name, name_length);
	if (!pl_buffer_ok(&ls->path) || PL_ARRAY_GROW(ls->levels, ls->capacity, ls->n_levels) < 0)
		r = pl_fail_memory(error);
	if (r >= 0 && claimed)
		r = pl_node_check_totals(&ls->target.nodes, &level.node, claimed, error);
	if (r >= 0)
		r = pl_membership_push(ls->membership, pl_buffer_string(&ls->path), &level.node,
				       error);
	if (r < 0) {
		level_done(&level);
		return r;
	}
	ls->levels[ls->n_levels] = level;
	level_advance(&ls->levels[ls->n_levels++]);
	return 0;
}

static void leave(struct pleach_ls *ls)
{
	level_done(&ls->levels[--ls->n_levels]);
	pl_membership_pop(ls->membership);
	if (ls->n_levels > 0 && ls->path.length > 0)
		pl_path_pop(&ls->path);
}

/* From the root to the directory that is listed. */
static int go_to(struct pleach_ls *ls, const char *path, struct pleach_error *error)
{
	int r = enter(ls, &ls->target.rev.tree, NULL, 0, NULL, error);

	while (r >= 0 && *path) {
		struct level *level = &ls->levels[ls->n_levels - 1];
		size_t length = strcspn(path, "/");
		struct pl_totals totals;
		struct pl_entry entry;
		struct pl_id id;

		if (!pl_node_find(&level->node, path, length, &entry) || entry.kind != PLEACH_DIR)
			return pl_fail_corrupt(error, "'%s' is not where it was", path);
		id = entry.hash;
		totals = entry.totals;
		r = enter(ls, &id, path, length, &totals, error);
		path += length;
		path += *path == '/';
	}
	ls->base = ls->n_levels;
	return r;
}

/* Is it the turn of what is below the directory that waits, before `next`? */
static bool is_due(const struct level *level)
{
	const struct waiting *waiting = &level->waiting[level->n_waiting - 1];
	size_t length = waiting->name_length;

	if (!level->has_next)
		return true;
	/* The name of `next` is behind that of the waiting one: if it does not begin with it, then
	 * the two differ in a byte before the end, and next is behind all that is below. */
	return level->next.name_length <= length ||
	       memcmp(level->next.name, waiting->name, length) != 0 ||
	       (unsigned char)level->next.name[length] > '/';
}

static int add_waiting(struct level *level, const struct pl_entry *entry)
{
	struct waiting *waiting;

	if (PL_ARRAY_GROW(level->waiting, level->capacity, level->n_waiting) < 0)
		return -ENOMEM;
	waiting = &level->waiting[level->n_waiting++];
	waiting->id = entry->hash;
	waiting->totals = entry->totals;
	waiting->name_length = entry->name_length;
	pl_entry_name(entry, waiting->name);
	return 0;
}

static uint64_t links_of(const struct pleach_ls *ls, const char *path)
{
	struct pl_membership_group group;

	if (pl_membership_is_empty(ls->membership) ||
	    !pl_membership_find(ls->membership, path, &group))
		return 1;
	return group.n_members;
}

/* Hands out the next entry of the level. */
static int show(struct pleach_ls *ls, struct level *level, struct pleach_error *error)
{
	struct pl_entry entry = level->next;
	const struct pl_meta *meta = &entry.meta;
	PL_BUFFER path = {0};
	uint64_t links = 1;
	int r = 0;

	if (ls->path.length > 0)
		pl_buffer_add(&path, ls->path.data, ls->path.length);
	pl_path_push(&path, entry.name, entry.name_length);
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	if (entry.kind == PLEACH_DIR) {
		r = pl_node_read(&ls->target.nodes, &entry.hash, &ls->child, error);
		if (r < 0)
			return r;
		ls->has_child = true;
		meta = &ls->child.meta;
		if (ls->is_recursive && add_waiting(level, &entry) < 0)
			return pl_fail_memory(error);
	} else {
		links = links_of(ls, pl_buffer_string(&path));
	}
	level_advance(level);
	return pl_entry_view_set(&ls->view, pl_buffer_string(&path), &entry, meta, links, error);
}

/* 1: an entry is shown. */
static int step(struct pleach_ls *ls, struct pleach_error *error)
{
	for (;;) {
		struct level *level = &ls->levels[ls->n_levels - 1];
		int r = pl_store_check_cancel(ls->store, error);

		if (r < 0)
			return r;
		if (level->n_waiting > 0 && is_due(level)) { /* L1 */
			struct waiting waiting = level->waiting[--level->n_waiting];

			r = enter(ls, &waiting.id, waiting.name, waiting.name_length,
				  &waiting.totals, error);
			if (r < 0)
				return r;
		} else if (level->has_next) {
			r = show(ls, level, error);
			return r < 0 ? r : 1;
		} else if (ls->n_levels == ls->base) {
			return 0;
		} else {
			leave(ls);
		}
	}
}

/* Something that is no directory: it is the list. */
static int show_single(struct pleach_ls *ls, struct pleach_error *error)
{
	const struct pl_rev *rev = &ls->target.rev;
	const struct pl_entry *entry = &ls->target.found.entry;
	uint64_t links;
	int r = pl_lookup_links(&ls->target.nodes, &rev->tree, rev->path, &links, error);

	if (r >= 0)
		r = pl_entry_view_set(&ls->view, rev->path, entry, &entry->meta, links, error);
	return r;
}

int pleach_ls_open(struct pleach_store *store, const char *rev, int recursive,
		   struct pleach_ls **ret_ls, struct pleach_error *error)
{
	struct pleach_ls *ls = calloc(1, sizeof(*ls));
	int r;

	pl_assert(store && rev && ret_ls);
	if (!ls)
		return pl_fail_memory(error);
	ls->store = store->inner;
	ls->is_recursive = recursive != 0;
	r = pl_target_open(ls->store, rev, &ls->target, error);
	if (r < 0) {
		free(ls);
		return r;
	}
	r = pl_membership_new(&ls->target.nodes, ls->store->seed, &ls->membership, error);
	ls->is_single = !ls->target.found.is_dir;
	if (r >= 0 && ls->is_single)
		r = show_single(ls, error);
	else if (r >= 0)
		r = go_to(ls, ls->target.rev.path ? ls->target.rev.path : "", error);
	ls->target.rev.path = NULL; /* it is the caller's */
	if (r < 0) {
		pleach_ls_close(ls);
		return r;
	}
	*ret_ls = ls;
	return 0;
}

int pleach_ls_next(struct pleach_ls *ls, struct pleach_entry *entry, struct pleach_error *error)
{
	int r;

	pl_assert(ls && entry);
	if (ls->has_child)
		pl_node_done(&ls->child);
	ls->has_child = false;
	if (ls->is_single) {
		r = ls->view.entry.size > 0;
	} else {
		r = step(ls, error);
	}
	if (r > 0)
		PL_GIVE(entry, ls->view.entry);
	if (ls->is_single)
		ls->view.entry.size = 0; /* once */
	return r;
}

void pleach_ls_close(struct pleach_ls *ls)
{
	if (!ls)
		return;
	if (ls->has_child)
		pl_node_done(&ls->child);
	while (ls->n_levels > 0)
		leave(ls);
	free(ls->levels);
	pl_membership_free(ls->membership);
	pl_buffer_done(&ls->path);
	pl_entry_view_done(&ls->view);
	pl_target_close(&ls->target);
	free(ls);
}
