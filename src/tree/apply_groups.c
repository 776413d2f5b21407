/*
 * apply_groups - see apply_groups.h. A group can only change if an item of the relocation (a path of
 * the base that was cut or moved) lies below the directory that keeps it. So all directories above
 * such items are read, but those that have no groups in or below them by their totals, and each
 * member of their groups is followed to where it is now.
 *
 * A1  Names of a base group that are left are one group of the result, and others are in none of it.
 * A2  Each group of the result goes to the lowest common directory of its members there.
 * A3  No member of the base is met twice: in a tree that says so nothing is settled.
 */
#include "tree/apply_groups.h"

#include <stdlib.h>

#include "tree/inner.h"

void pl_apply_groups_done(struct pl_apply_groups *groups)
{
	for (size_t i = 0; i < groups->n_dirs; i++) {
		free(groups->dirs[i].path);
		pl_groups_done(&groups->dirs[i].groups);
	}
	free(groups->dirs);
	for (size_t i = 0; i < groups->n_settled; i++)
		free(groups->settled[i].directory);
	free(groups->settled);
	pl_groups_done(&groups->groups);
	*groups = (struct pl_apply_groups){0};
}

static int compare_dirs(const void *a, const void *b)
{
	const struct pl_apply_dir *x = a, *y = b;

	return pl_path_compare(x->path, y->path);
}

const struct pl_apply_dir *pl_apply_groups_dir(const struct pl_apply_groups *groups,
					       const char *path)
{
	struct pl_apply_dir key = {.path = (char *)path};

	if (groups->n_dirs == 0)
		return NULL;
	return bsearch(&key, groups->dirs, groups->n_dirs, sizeof(key), compare_dirs);
}

/* ---- the walk through the base ---- */

/* A directory above an item. Its names are asked for in rising order. */
struct level {
	struct pl_node node;
	bool is_root; /* the caller's node, and the one here is empty */
	size_t path_length, cursor;
	int has_entry; /* 1: `entry` is the last that was met; 0: none is left; -1: none was met */
	struct pl_entry entry;
};
struct walk {
	const struct pl_node_source *source;
	const struct pl_node *root;
	struct pl_apply_groups *groups;
	struct level *levels;
	size_t n, capacity;
	struct pl_buffer path; /* of the last level */
};

static const struct pl_node *node_of(const struct walk *walk, const struct level *level)
{
	return level->is_root ? walk->root : &level->node;
}

static void pop(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->n];

	if (!level->is_root)
		pl_node_done(&level->node);
	if (walk->n > 0)
		pl_buffer_truncate(&walk->path, walk->levels[walk->n - 1].path_length);
}

/* Finds a name in the last level. */
static const struct pl_entry *find(struct walk *walk, const char *name, size_t length)
{
	struct level *level = &walk->levels[walk->n - 1];
	struct pl_entry wanted = {.name = name, .name_length = (uint8_t)length};

	pl_assert(length > 0 && length <= PL_NAME_MAX);
	while (level->has_entry < 0 ||
	       (level->has_entry > 0 && pl_entry_compare(&level->entry, &wanted) < 0))
		level->has_entry =
			pl_node_next(node_of(walk, level), &level->cursor, &level->entry);
	if (level->has_entry == 0 || pl_entry_compare(&level->entry, &wanted) != 0)
		return NULL;
	return &level->entry;
}

/* Notes the groups of the last level, and proves its totals; `claimed`: NULL of the root. */
static int read_groups(struct walk *walk, const struct pl_totals *claimed,
		       struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct level *level = &walk->levels[walk->n - 1];
	struct pl_apply_groups *all = walk->groups;
	const struct pl_node *node = node_of(walk, level);
	struct pl_apply_dir dir = {0};
	struct pl_totals totals;
	int r = 0;

	if (node->n_blocks > 0) {
		if (PL_ARRAY_GROW(all->dirs, all->dirs_capacity, all->n_dirs) < 0)
			return pl_fail_memory(error);
		r = pl_groups_read(walk->source, node, &dir.groups, error);
		if (r < 0)
			return r;
		dir.path = strdup(pl_buffer_string(&walk->path));
		all->dirs[all->n_dirs++] = dir;
		if (!dir.path)
			return pl_fail_memory(error);
	}
	r = pl_node_totals_with(node, dir.groups.n, &totals, error);
	if (r >= 0 && claimed)
		r = pl_node_compare_totals(node, &totals, claimed, error);
	if (r >= 0)
		*ret_totals = totals;
	return r;
}

/* Goes down to the entry of the last level that was just found. */
static int push(struct walk *walk, struct pleach_error *error)
{
	struct level level = {.has_entry = -1};
	const struct pl_entry *entry = &walk->levels[walk->n - 1].entry;
	struct pl_totals claimed = entry->totals, totals;
	int r;

	pl_assert(entry->kind == PLEACH_DIR);
	pl_path_push(&walk->path, entry->name, entry->name_length);
	level.path_length = walk->path.length;
	if (!pl_buffer_ok(&walk->path) || PL_ARRAY_GROW(walk->levels, walk->capacity, walk->n) < 0)
		return pl_fail_memory(error);
	r = pl_node_read(walk->source, &walk->levels[walk->n - 1].entry.hash, &level.node, error);
	if (r < 0)
		return r;
	walk->levels[walk->n++] = level;
	return read_groups(walk, &claimed, &totals, error);
}

static int fail_origin(const struct pl_relocated *item, struct pleach_error *error)
{
	int r = pl_fail(error, PLEACH_FAILED, -ENOTDIR,
			"'%s' cannot be what '%s' was: that is no directory of the base", item->to,
			item->path);

	pl_error_path(error, item->to);
	return r;
}

/* Is there a moved one among items[first] and those behind it that are below the path? */
static bool has_moved_below(const struct pl_relocation *relocation, size_t first, const char *path,
			    size_t length)
{
	const struct pl_relocated *item = &relocation->items[first];

	return first < relocation->n && strncmp(item->path, path, length) == 0 &&
	       (!item->path[length] || item->path[length] == '/');
}

/*
 * Goes down to the directory that holds the item, or as far as there is anything to be learnt; leaves
 * alone what has no groups in it if no moved one is below. `moved`: index of the next item that is.
 */
static int visit(struct walk *walk, struct pl_relocation *relocation, struct pl_relocated *item,
		 size_t moved, struct pleach_error *error)
{
	const char *rest;

	while (walk->n > 1 && !pl_path_is_below(item->path, pl_buffer_string(&walk->path)))
		pop(walk);
	rest = item->path + walk->path.length + (walk->path.length > 0);
	for (;;) {
		size_t length = strcspn(rest, "/"), end = (size_t)(rest - item->path) + length;
		const struct pl_entry *entry = find(walk, rest, length);
		int r;

		if (!entry || entry->kind != PLEACH_DIR)
			return item->is_moved ? fail_origin(item, error) : 0;
		if (!rest[length]) {
			item->node = entry->hash;
			item->totals = entry->totals;
			return 0;
		}
		if (entry->totals.groups == 0 &&
		    !has_moved_below(relocation, moved, item->path, end))
			return 0;
		r = push(walk, error);
		if (r < 0)
			return r;
		rest += length + 1;
	}
}

/* Index of the first item from `at` on that is moved, n if there is none. */
static size_t next_moved(const struct pl_relocation *relocation, size_t at)
{
	while (at < relocation->n && !relocation->items[at].is_moved)
		at++;
	return at;
}

static int visit_items(struct walk *walk, struct pl_relocation *relocation,
		       struct pleach_error *error)
{
	struct pl_relocated *items = relocation->items;
	size_t moved = next_moved(relocation, 0);
	int r;

	if (relocation->n == 0 || (relocation->n == 1 && !*items[0].path && !items[0].is_moved))
		return 0; /* nothing is cut or moved but the root, or in it */
	if (PL_ARRAY_GROW(walk->levels, walk->capacity, walk->n) < 0)
		return pl_fail_memory(error);
	walk->levels[walk->n++] = (struct level){.is_root = true, .has_entry = -1};
	items[0].node = walk->root->id; /* used if it is the root that has moved */
	r = read_groups(walk, NULL, &items[0].totals, error);
	for (size_t i = 0; i < relocation->n && r >= 0; i++) {
		if (i > moved)
			moved = next_moved(relocation, i);
		if (*items[i].path)
			r = visit(walk, relocation, &items[i], moved, error);
	}
	while (walk->n > 0)
		pop(walk);
	return r;
}

/* ---- where groups go ---- */

/* One group of the result: it has these names, if they are two and more. A2. */
static int settle(struct pl_apply_groups *groups, const struct pl_strings *names,
		  struct pleach_error *error)
{
	struct pl_apply_settled settled = {.group = groups->groups.n};
	const char *first, *slash;
	size_t length;
	int r;

	if (names->n < 2)
		return 0;
	first = names->items[0];
	slash = strrchr(first, '/');
	length = slash ? (size_t)(slash - first) : 0;
	for (size_t i = 1; i < names->n; i++)
		length = pl_path_common(first, length, names->items[i]);
	if (PL_ARRAY_GROW(groups->settled, groups->settled_capacity, groups->n_settled) < 0 ||
	    pl_groups_begin(&groups->groups) < 0)
		return pl_fail_memory(error);
	settled.directory = strndup(first, length);
	groups->settled[groups->n_settled++] = settled;
	if (!settled.directory)
		return pl_fail_memory(error);
	for (size_t i = 0; i < names->n; i++) {
		r = pl_groups_add(&groups->groups, names->items[i] + length + (length > 0));
		if (r == -ENAMETOOLONG) {
			r = pl_fail(error, PLEACH_FAILED, r, "too long for a hard link: '%s'",
				    names->items[i]);
			pl_error_path(error, names->items[i]);
			return r;
		}
		if (r < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

struct following {
	const struct pl_relocation *relocation;
	struct pl_map met; /* hashes of members of the base, A3 */
	struct pl_buffer before, after;
	struct pl_strings left;
};

/* Follows one member; adds where it is now to following->left. */
static int follow(struct following *following, const char *directory, const char *member,
		  struct pleach_error *error)
{
	struct pl_buffer *before = &following->before, *after = &following->after;
	struct pl_id hash;
	int r;

	pl_buffer_truncate(before, 0);
	pl_buffer_truncate(after, 0);
	pl_buffer_add_string(before, directory);
	if (before->length > 0)
		pl_buffer_add_u8(before, '/');
	pl_buffer_add_string(before, member);
	if (!pl_buffer_ok(before))
		return pl_fail_memory(error);
	pl_hash_of(before->data, before->length, &hash);
	r = pl_map_put(&following->met, &hash, 0);
	if (r < 0)
		return pl_fail_memory(error);
	if (r > 0)
		return pl_fail_corrupt(error, "%s is in two hard-link groups",
				       pl_buffer_string(before));
	if (!pl_relocation_follow(following->relocation, pl_buffer_string(before), after))
		return 0;
	if (!pl_buffer_ok(after) || pl_strings_add(&following->left, pl_buffer_string(after)) < 0)
		return pl_fail_memory(error);
	return 0;
}

static int settle_base(struct pl_apply_groups *groups, struct following *following,
		       struct pleach_error *error)
{
	int r = 0;

	for (size_t d = 0; d < groups->n_dirs; d++) {
		const struct pl_apply_dir *dir = &groups->dirs[d];

		for (size_t g = 0; g < dir->groups.n && r >= 0; g++) {
			for (size_t m = 0; m < dir->groups.groups[g].n_members && r >= 0; m++)
				r = follow(following, dir->path, pl_groups_path(&dir->groups, g, m),
					   error);
			if (r >= 0)
				r = settle(groups, &following->left, error); /* A1 */
			pl_strings_done(&following->left);
		}
	}
	return r;
}

static int compare_by_group(const void *a, const void *b, void *edits)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	const struct pl_edit *items = ((const struct pl_edits *)edits)->items;

	if (items[x].group != items[y].group)
		return items[x].group < items[y].group ? -1 : 1;
	return (x > y) - (x < y);
}

/* The groups that the edits make. */
static int settle_new(struct pl_apply_groups *groups, const struct pl_edits *edits,
		      struct pleach_error *error)
{
	PL_FREE size_t *linked = calloc(edits->n + 1, sizeof(*linked));
	const struct pl_edit *items = edits->items;
	struct pl_strings names = {0};
	size_t n = 0;
	int r = 0;

	if (!linked)
		return pl_fail_memory(error);
	for (size_t i = 0; i < edits->n; i++) {
		if (items[i].group != 0)
			linked[n++] = i;
	}
	qsort_r(linked, n, sizeof(*linked), compare_by_group, (void *)edits);
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (pl_strings_add(&names, items[linked[i]].path) < 0)
			r = pl_fail_memory(error);
		if (r >= 0 &&
		    (i + 1 == n || items[linked[i + 1]].group != items[linked[i]].group)) {
			r = settle(groups, &names, error);
			pl_strings_done(&names);
		}
	}
	pl_strings_done(&names);
	return r;
}

static int compare_settled(const void *a, const void *b)
{
	const struct pl_apply_settled *x = a, *y = b;

	return pl_path_compare(x->directory, y->directory);
}

int pl_apply_groups_find(const struct pl_node_source *source, const struct pl_node *root,
			 const struct pl_edits *edits, struct pl_relocation *relocation,
			 uint64_t seed, struct pl_apply_groups *ret_groups,
			 struct pleach_error *error)
{
	struct following following = {.relocation = relocation};
	struct pl_apply_groups found = {0};
	struct walk walk = {.source = source, .root = root, .groups = &found};
	int r = visit_items(&walk, relocation, error);

	pl_map_init(&following.met, sizeof(struct pl_id), seed);
	if (r >= 0)
		r = settle_base(&found, &following, error);
	if (r >= 0)
		r = settle_new(&found, edits, error);
	free(walk.levels);
	pl_buffer_done(&walk.path);
	pl_map_done(&following.met);
	pl_buffer_done(&following.before);
	pl_buffer_done(&following.after);
	if (r < 0) {
		pl_apply_groups_done(&found);
		return r;
	}
	if (found.n_settled > 0)
		qsort(found.settled, found.n_settled, sizeof(*found.settled), compare_settled);
	*ret_groups = found;
	return 0;
}
