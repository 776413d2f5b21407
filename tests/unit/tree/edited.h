/*
 * edited - a flat list that is edited at random as programs edit a directory: writing, linking,
 * renaming, removing. It remembers where in the base each thing was, and so says the edits that lead
 * there, as somebody would who looks at the result, in any order. Header only.
 */
#ifndef EDITED_H
#define EDITED_H

#include "flat.h"

struct edited_thing {
	struct flat_thing thing;
	bool is_old;		  /* of the base, */
	char base[FLAT_PATH_MAX]; /* where it was */
	bool is_written;	  /* content or metadata */
};
struct edited {
	struct flat base;
	struct edited_thing things[FLAT_MAX]; /* in no order, the root first */
	size_t n;
	unsigned next_group;
};

static inline void edited_begin(struct edited *edited, size_t tries, uint64_t *random)
{
	flat_make(&edited->base, tries, random);
	edited->n = edited->base.n;
	edited->next_group = 100000;
	for (size_t i = 0; i < edited->n; i++) {
		struct edited_thing *e = &edited->things[i];

		*e = (struct edited_thing){.thing = edited->base.things[i], .is_old = true};
		memcpy(e->base, e->thing.path, sizeof(e->base));
	}
}

static inline struct edited_thing *edited_find(struct edited *edited, const char *path)
{
	for (size_t i = 0; i < edited->n; i++) {
		if (strcmp(edited->things[i].thing.path, path) == 0)
			return &edited->things[i];
	}
	return NULL;
}

static inline struct edited_thing *edited_any(struct edited *edited, uint64_t *random)
{
	return &edited->things[flat_random(random, edited->n)];
}

/* A name in some directory, there or not. */
static inline void edited_new_path(struct edited *edited, char *ret_path, uint64_t *random)
{
	static const char *const names[] = {"a", "a!", "a-b", "a0", "b", "\xff"};
	struct edited_thing *parent = edited_any(edited, random);

	while (parent->thing.kind != 'd' || strlen(parent->thing.path) > FLAT_PATH_MAX / 2)
		parent = edited_any(edited, random);
	snprintf(ret_path, FLAT_PATH_MAX, "%.80s%s%s", parent->thing.path,
		 *parent->thing.path ? "/" : "", names[flat_random(random, PL_ARRAY_LEN(names))]);
}

static inline void edited_remove(struct edited *edited, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < edited->n; i++) {
		if (!pl_path_is_below(edited->things[i].thing.path, path))
			edited->things[kept++] = edited->things[i];
	}
	edited->n = kept;
}

/* A new file, directory, or name of a file that is there. */
static inline void edited_make(struct edited *edited, uint64_t *random)
{
	struct edited_thing made = {.thing = {.kind = 'f'}}, *other;
	char path[FLAT_PATH_MAX];

	edited_new_path(edited, path, random);
	if (edited_find(edited, path)) {
		if (flat_random(random, 3) > 0)
			return;
		edited_remove(edited, path);
	}
	if (edited->n == FLAT_MAX)
		return;
	other = edited_any(edited, random);
	flat_touch(&made.thing, random);
	made.thing.group = 0;
	if (flat_random(random, 3) == 0) {
		made.thing.kind = 'd';
	} else if (flat_random(random, 2) == 0 && other->thing.kind != 'd') {
		if (other->thing.group == 0)
			other->thing.group = edited->next_group++;
		made.thing = other->thing;
	}
	memcpy(made.thing.path, path, sizeof(path));
	edited->things[edited->n++] = made;
}

static inline void edited_rename(struct edited *edited, uint64_t *random)
{
	char from[FLAT_PATH_MAX], to[FLAT_PATH_MAX], path[2 * FLAT_PATH_MAX];
	size_t longest = 0;

	memcpy(from, edited_any(edited, random)->thing.path, sizeof(from));
	edited_new_path(edited, to, random);
	if (!*from || pl_path_is_below(to, from) || pl_path_is_below(from, to))
		return;
	for (size_t i = 0; i < edited->n; i++) {
		if (pl_path_is_below(edited->things[i].thing.path, from) &&
		    strlen(edited->things[i].thing.path) > longest)
			longest = strlen(edited->things[i].thing.path);
	}
	if (longest + strlen(to) > FLAT_PATH_MAX - 8)
		return;
	edited_remove(edited, to);
	for (size_t i = 0; i < edited->n; i++) {
		struct flat_thing *thing = &edited->things[i].thing;

		if (!pl_path_is_below(thing->path, from))
			continue;
		snprintf(path, sizeof(path), "%s%s", to, thing->path + strlen(from));
		memcpy(thing->path, path, sizeof(thing->path));
	}
}

/* In place: all names of the file see it. Or, as most programs do, a new file under the name. */
static inline void edited_write(struct edited *edited, uint64_t *random)
{
	struct edited_thing *e = edited_any(edited, random);
	struct flat_thing before = e->thing;

	flat_touch(&e->thing, random);
	e->thing.group = before.group;
	e->is_written = true;
	if (before.group == 0)
		return;
	if (flat_random(random, 3) == 0) {
		e->thing.group = 0;
		return;
	}
	for (size_t i = 0; i < edited->n; i++) {
		struct edited_thing *other = &edited->things[i];
		char path[FLAT_PATH_MAX];

		if (other->thing.group != before.group)
			continue;
		memcpy(path, other->thing.path, sizeof(path));
		other->thing = e->thing;
		memcpy(other->thing.path, path, sizeof(path));
		other->is_written = true;
	}
}

static inline void edited_edit(struct edited *edited, size_t times, uint64_t *random)
{
	char path[FLAT_PATH_MAX];

	for (size_t i = 0; i < times; i++) {
		switch (flat_random(random, 8)) {
		case 0:
		case 1:
			edited_make(edited, random);
			break;
		case 2:
			memcpy(path, edited_any(edited, random)->thing.path, sizeof(path));
			if (*path)
				edited_remove(edited, path);
			break;
		case 3:
		case 4:
			edited_write(edited, random);
			break;
		default:
			edited_rename(edited, random);
			break;
		}
	}
}

static inline void edited_result(const struct edited *edited, struct flat *ret_flat)
{
	*ret_flat = (struct flat){0};
	for (size_t i = 0; i < edited->n; i++)
		flat_add(ret_flat, &edited->things[i].thing);
	flat_settle_groups(ret_flat);
}

/* ---- the edits ---- */

struct edited_edit {
	char kind; /* '-', 'p', 'd', 't' */
	const struct edited_thing *thing;
	char path[FLAT_PATH_MAX];
	bool has_link;
};
struct edited_edits {
	struct edited_edit items[3 * FLAT_MAX];
	size_t n;
	char tree[FLAT_PATH_MAX]; /* a directory that is put as a whole, "" if there is none */
	struct pl_id tree_id;
	struct pl_totals tree_totals;
};

static inline void edited_parent(const char *path, char *ret_parent)
{
	const char *slash = strrchr(path, '/');

	snprintf(ret_parent, FLAT_PATH_MAX, "%.*s", slash ? (int)(slash - path) : 0, path);
}

/* Does it come with the directory that it is in, as it was? */
static inline bool edited_is_carried(struct edited *edited, const struct edited_thing *e)
{
	char parent[FLAT_PATH_MAX], stands_for[2 * FLAT_PATH_MAX];
	const struct edited_thing *in;
	const char *slash = strrchr(e->thing.path, '/');

	if (!e->is_old)
		return false;
	if (!*e->thing.path)
		return true;
	edited_parent(e->thing.path, parent);
	in = edited_find(edited, parent);
	assert_true(in && in->thing.kind == 'd');
	if (!in->is_old)
		return false;
	snprintf(stands_for, sizeof(stands_for), "%s%s%s", in->base, *in->base ? "/" : "",
		 slash ? slash + 1 : e->thing.path);
	return strcmp(stands_for, e->base) == 0;
}

static inline bool edited_needs_put(struct edited *edited, const struct edited_thing *e)
{
	return e->is_written || !edited_is_carried(edited, e);
}

/* Has some name of the group to be put, and so to be linked to the others? */
static inline bool edited_group_is_new(struct edited *edited, unsigned group)
{
	if (group == 0)
		return false;
	for (size_t i = 0; i < edited->n; i++) {
		if (edited->things[i].thing.group == group &&
		    edited_needs_put(edited, &edited->things[i]))
			return true;
	}
	return false;
}

static inline void edited_add(struct edited_edits *edits, char kind,
			      const struct edited_thing *thing, const char *path, bool has_link)
{
	struct edited_edit *edit = &edits->items[edits->n++];

	assert_true(edits->n <= PL_ARRAY_LEN(edits->items));
	*edit = (struct edited_edit){.kind = kind, .thing = thing, .has_link = has_link};
	snprintf(edit->path, sizeof(edit->path), "%s", path);
}

static inline void edited_list_thing(struct edited *edited, struct edited_edits *edits,
				     const struct edited_thing *e, uint64_t *random)
{
	bool is_new = edited_group_is_new(edited, e->thing.group);

	if (e->thing.kind == 'd') {
		if (e->is_written || !edited_is_carried(edited, e) || flat_random(random, 8) == 0)
			edited_add(edits, 'd', e, e->thing.path, false);
		return;
	}
	if (edited_needs_put(edited, e))
		edited_add(edits, 'p', e, e->thing.path, is_new && e->thing.group % 2);
	else if (is_new && e->thing.group % 2)
		edited_add(edits, 'p', e, e->thing.path, true);
}

/* What was in a directory of the base and is not where it would be now. */
static inline void edited_list_gone(struct edited *edited, struct edited_edits *edits)
{
	char parent[FLAT_PATH_MAX], path[2 * FLAT_PATH_MAX];

	for (size_t i = 1; i < edited->base.n; i++) {
		const char *was = edited->base.things[i].path;

		edited_parent(was, parent);
		for (size_t k = 0; k < edited->n; k++) {
			const struct edited_thing *in = &edited->things[k];

			if (!in->is_old || strcmp(in->base, parent) != 0)
				continue;
			snprintf(path, sizeof(path), "%s%s%s", in->thing.path,
				 *in->thing.path ? "/" : "",
				 was + strlen(parent) + (*parent != '\0'));
			assert_true(strlen(path) < FLAT_PATH_MAX);
			if (!edited_find(edited, path))
				edited_add(edits, '-', NULL, path, false);
		}
	}
}

/* Chooses a directory that no group leads out of, and that may be put as a whole. */
static inline void edited_choose_tree(struct edited *edited, struct memory_store *store,
				      struct edited_edits *edits, uint64_t *random)
{
	const char *path = edited_any(edited, random)->thing.path;
	size_t length = strlen(path);
	struct pl_entry entry;
	struct flat below = {0};

	if (!*path || edited_find(edited, path)->thing.kind != 'd')
		return;
	for (size_t i = 0; i < edited->n; i++) {
		struct flat_thing thing = edited->things[i].thing;
		bool is_below = pl_path_is_below(thing.path, path);

		for (size_t k = 0; k < edited->n && thing.group; k++) {
			const struct flat_thing *other = &edited->things[k].thing;

			if (other->group == thing.group &&
			    pl_path_is_below(other->path, path) != is_below)
				return;
		}
		if (!is_below)
			continue;
		memmove(thing.path, thing.path + length + (thing.path[length] == '/'),
			strlen(thing.path + length + (thing.path[length] == '/')) + 1);
		flat_add(&below, &thing);
	}
	flat_settle_groups(&below);
	edits->tree_id = flat_tree(store, &below);
	entry = flat_entry(store, "x", &edits->tree_id);
	edits->tree_totals = entry.totals;
	snprintf(edits->tree, sizeof(edits->tree), "%s", path);
	edited_add(edits, 't', NULL, path, false);
}

static inline void edited_list(struct edited *edited, struct memory_store *store,
			       struct edited_edits *ret_edits, uint64_t *random)
{
	size_t kept = 0;

	*ret_edits = (struct edited_edits){0};
	for (size_t i = 0; i < edited->n; i++)
		edited_list_thing(edited, ret_edits, &edited->things[i], random);
	edited_list_gone(edited, ret_edits);
	if (flat_random(random, 4) == 0)
		edited_choose_tree(edited, store, ret_edits, random);
	for (size_t i = 0; i < ret_edits->n; i++) {
		struct edited_edit *edit = &ret_edits->items[i];

		if (edit->kind == 't' || !*ret_edits->tree ||
		    !pl_path_is_below(edit->path, ret_edits->tree))
			ret_edits->items[kept++] = *edit;
	}
	ret_edits->n = kept;
	for (size_t i = ret_edits->n; i > 1; i--) {
		size_t k = flat_random(random, i);
		struct edited_edit edit = ret_edits->items[k];

		ret_edits->items[k] = ret_edits->items[i - 1];
		ret_edits->items[i - 1] = edit;
	}
}

/* ---- into a changeset ---- */

static inline void edited_apply_edit(struct memory_store *store, struct pl_changeset *changes,
				     const struct edited_edits *edits,
				     const struct edited_edit *edit, uint64_t *random)
{
	struct memory_text text = {0};
	const struct memory_line *line = NULL;
	struct pl_buffer b = {0};
	char *string;
	int r = -1;

	if (edit->thing) {
		flat_text_thing(&b, &edit->thing->thing);
		string = pl_buffer_take_string(&b);
		string[strcspn(string, "\n")] = '\0';
		memory_text_line(store, &text, string);
		line = &text.lines[0];
		free(string);
	}
	if (edit->kind == '-') {
		r = pl_changeset_remove(changes, edit->path);
	} else if (edit->kind == 't') {
		r = pl_changeset_tree(changes, edit->path, &edits->tree_id, &edits->tree_totals);
	} else if (edit->kind == 'p') {
		r = pl_changeset_put(changes, edit->path, &line->entry,
				     edit->has_link ? edit->thing->thing.group : 0);
	} else {
		const struct edited_thing *e = edit->thing;
		bool has_meta = !e->is_old || e->is_written || flat_random(random, 4) == 0;

		r = pl_changeset_dir(changes, edit->path, e->is_old ? e->base : NULL,
				     has_meta ? &line->entry.meta : NULL);
	}
	assert_int_equal(r, 0);
	memory_text_done(&text);
}

/* The groups that have to be told by their names; those within the whole tree it has itself. */
static inline void edited_apply_groups(struct edited *edited, struct pl_changeset *changes,
				       const struct edited_edits *edits)
{
	for (size_t i = 0; i < edited->n; i++) {
		unsigned group = edited->things[i].thing.group;
		const char *names[FLAT_MAX];
		size_t n = 0;
		bool is_first = true;

		if (group % 2 || !edited_group_is_new(edited, group) ||
		    (*edits->tree && pl_path_is_below(edited->things[i].thing.path, edits->tree)))
			continue;
		for (size_t k = 0; k < edited->n; k++) {
			if (edited->things[k].thing.group != group)
				continue;
			is_first = is_first && k >= i;
			names[n++] = edited->things[k].thing.path;
		}
		if (is_first && n > 1)
			assert_int_equal(pl_changeset_group(changes, names, n), 0);
	}
}

/* What leads to the result, after some that are replaced by others. The caller frees it. */
static inline struct pl_changeset *edited_changeset(struct edited *edited,
						    struct memory_store *store, uint64_t *random)
{
	struct edited_edits *edits = calloc(1, sizeof(*edits));
	struct pl_entry fifo = {.kind = 'p', .meta = {.uid = 1, .gid = 1}};
	struct pl_changeset *changes;

	assert_non_null(edits);
	edited_list(edited, store, edits, random);
	assert_int_equal(pl_changeset_new(*random, &changes), 0);
	for (size_t i = 0; i < edits->n; i++) {
		const char *path = edits->items[i].path;

		if (*path && flat_random(random, 6) == 0)
			assert_int_equal(pl_changeset_put(changes, path, &fifo, i % 3), 0);
		if (*path && flat_random(random, 6) == 0)
			assert_int_equal(pl_changeset_remove(changes, path), 0);
		if (flat_random(random, 6) == 0)
			assert_int_equal(pl_changeset_dir(changes, path, "a", &fifo.meta), 0);
	}
	for (size_t i = 0; i < edits->n; i++)
		edited_apply_edit(store, changes, edits, &edits->items[i], random);
	edited_apply_groups(edited, changes, edits);
	free(edits);
	return changes;
}

#endif
