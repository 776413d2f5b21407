/*
 * apply - the tree that a changeset makes of another. Built from the leaves up by one walk through the
 * directories of the result that differ: those that an edit names or lies in, and those that a
 * hard-link group comes to. What becomes of groups, apply_groups.c has found before; how directories
 * are made is in apply_frame.c.
 *
 * P1  A directory without an edit or a group coming to it or below it is taken over by its id, unread.
 * P2  When the walk ends, each edit and each group has been met.
 */
#include "tree/apply_frame.h"

#include <stdlib.h>

#include "tree/inner.h"

static int about(struct pleach_error *error, const char *path, int r)
{
	pl_error_path(error, path);
	return r;
}

/* ---- edits ---- */

/* All names of a group must be equal, whoever told that they are one. */
static int check_group(struct pl_applying *apply, const struct pl_edit *edit,
		       const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_apply_look *look = &apply->looks[edit->group];
	struct pl_id body;

	if (edit->group == 0)
		return 0;
	pl_hash_of(entry->body, entry->body_length, &body);
	if (!look->is_known) {
		*look = (struct pl_apply_look){.is_known = true, .kind = entry->kind, .body = body};
		return 0;
	}
	if (look->kind == entry->kind && pl_id_equal(&look->body, &body))
		return 0;
	return about(error, edit->path,
		     pl_fail(error, PLEACH_FAILED, -EINVAL,
			     "'%s' is not the same as another name of its hard-link group",
			     edit->path));
}

static int fail_no_directory(const struct pl_applying *apply, const struct pl_edit *edit,
			     struct pleach_error *error)
{
	return about(error, edit->path,
		     pl_fail(error, PLEACH_FAILED, -ENOTDIR,
			     "cannot change '%s': '%s' is no directory", edit->path,
			     (const char *)apply->path.data));
}

/* A name that no edit is at, but below, or a group comes to it or below. `entry`: of the base or NULL. */
static int go_below(struct pl_applying *apply, const struct pl_entry *entry,
		    struct pleach_error *error)
{
	const char *path = pl_buffer_string(&apply->path);
	const struct pl_apply_frame *frame = pl_applying_top(apply);
	const struct pl_edit *edit;

	if (entry && entry->kind == PLEACH_DIR) {
		struct pl_apply_beginning from = {.node = &entry->hash,
						  .claimed = &entry->totals,
						  .origin = frame->origin,
						  .origin_at = frame->origin_at};

		return pl_applying_open(apply, &from, NULL, error);
	}
	while ((edit = pl_applying_edit_below(apply, path)) != NULL) {
		if (edit->kind != PL_EDIT_REMOVE)
			return fail_no_directory(apply, edit, error);
		apply->next_edit++; /* what is not there may be removed */
	}
	if (pl_applying_settled_below(apply, path))
		return pl_fail_corrupt(error,
				       "a hard-link group has a name below '%s', which is "
				       "no directory",
				       path);
	return entry ? pl_applying_add(apply, entry, error) : 0;
}

/* `entry`: what the base has there, or NULL. */
static int make_directory(struct pl_applying *apply, const struct pl_edit *edit,
			  const struct pl_entry *entry, struct pleach_error *error)
{
	const char *path = pl_buffer_string(&apply->path);
	struct pl_apply_beginning from = {
		.edit = edit, .origin = edit->origin, .origin_at = apply->path.length};
	const struct pl_relocated *item;
	struct pl_entry whole = {.kind = PLEACH_DIR};

	if (!edit->origin)
		return pl_applying_open(apply, &from, NULL, error);
	item = pl_relocation_at(&apply->relocation, edit->origin);
	pl_assert(item && item->is_origin);
	if (item->is_moved)
		whole = (struct pl_entry){
			.kind = PLEACH_DIR, .hash = item->node, .totals = item->totals};
	else if (entry && entry->kind == PLEACH_DIR)
		whole = *entry;
	else
		return fail_no_directory(apply, edit, error);
	if (!edit->has_meta && !pl_applying_edit_below(apply, path) &&
	    !pl_applying_settled_below(apply, path)) { /* P1 */
		whole.name = path + pl_applying_top(apply)->path_length +
			     (pl_applying_top(apply)->path_length > 0);
		whole.name_length = (uint8_t)strlen(whole.name);
		return pl_applying_add(apply, &whole, error);
	}
	from.node = &whole.hash;
	from.claimed = &whole.totals;
	return pl_applying_open(apply, &from, NULL, error);
}

/* `entry`: what the base has there, or NULL. */
static int make_edit(struct pl_applying *apply, const struct pl_edit *edit,
		     const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_entry made = edit->entry;
	int r;

	switch (edit->kind) {
	case PL_EDIT_REMOVE:
		return 0;
	case PL_EDIT_DIR:
		return make_directory(apply, edit, entry, error);
	case PL_EDIT_TREE:
		made.name = pl_buffer_string(&apply->path) + pl_applying_top(apply)->path_length +
			    (pl_applying_top(apply)->path_length > 0);
		made.name_length = (uint8_t)strlen(made.name);
		return pl_applying_add(apply, &made, error);
	case PL_EDIT_KEEP:
		if (!entry || entry->kind == PLEACH_DIR)
			return about(error, edit->path,
				     pl_fail(error, PLEACH_FAILED, -EINVAL,
					     "'%s' is no file, and cannot be a hard link",
					     edit->path));
		made = *entry;
		break;
	default:
		pl_assert(edit->kind == PL_EDIT_PUT);
	}
	r = check_group(apply, edit, &made, error);
	return r < 0 ? r : pl_applying_add(apply, &made, error);
}

/* ---- the whole ---- */

/* What becomes of the name that the top frame has found to change. */
static int make_name(struct pl_applying *apply, struct pleach_error *error)
{
	struct pl_apply_frame *frame = pl_applying_top(apply);
	struct pl_entry entry = frame->entry;
	bool has_entry = frame->has_entry && pl_entry_compare(&entry, &frame->change) == 0;
	size_t n = apply->n;
	const struct pl_edit *edit;
	int r;

	pl_path_push(&apply->path, frame->change.name, frame->change.name_length);
	if (!pl_buffer_ok(&apply->path))
		return pl_fail_memory(error);
	frame->has_looked = false;
	if (has_entry)
		pl_apply_frame_advance(frame);
	edit = pl_applying_edit_below(apply, pl_buffer_string(&apply->path));
	if (edit && strlen(edit->path) == apply->path.length) {
		apply->next_edit++;
		r = make_edit(apply, edit, has_entry ? &entry : NULL, error);
	} else {
		r = go_below(apply, has_entry ? &entry : NULL, error);
	}
	if (r >= 0 && apply->n == n)
		pl_buffer_truncate(&apply->path, pl_applying_top(apply)->path_length);
	return r;
}

/* One step: an entry that stays, a name that changes, or the end of a directory. */
static int step(struct pl_applying *apply, struct pleach_error *error)
{
	struct pl_apply_frame *frame = pl_applying_top(apply);
	int r;

	if (!frame->has_looked)
		pl_applying_look_ahead(apply, frame);
	if (frame->has_change &&
	    (!frame->has_entry || pl_entry_compare(&frame->entry, &frame->change) >= 0))
		return make_name(apply, error);
	if (!frame->has_entry)
		return pl_applying_close(apply, error);
	r = pl_applying_add(apply, &frame->entry, error);
	pl_apply_frame_advance(frame);
	return r;
}

/* The root, which no name leads to. `base` is taken over if it begins with it. */
static int open_root(struct pl_applying *apply, struct pl_node *base, struct pleach_error *error)
{
	const struct pl_edit *edit = NULL;
	struct pl_apply_beginning from = {.node = &base->id, .origin = ""};
	const struct pl_relocated *item;

	if (apply->edits.n > 0 && *apply->edits.items[0].path == '\0')
		edit = &apply->edits.items[apply->next_edit++];
	from.edit = edit;
	if (!edit)
		return pl_applying_open(apply, &from, base, error);
	if (edit->kind == PL_EDIT_TREE) {
		apply->tree = edit->entry.hash;
		apply->totals = edit->entry.totals;
		return 0;
	}
	pl_assert(edit->kind == PL_EDIT_DIR);
	from.origin = edit->origin;
	if (!edit->origin) {
		from.node = NULL;
		return pl_applying_open(apply, &from, NULL, error);
	}
	if (*edit->origin == '\0')
		return pl_applying_open(apply, &from, base, error);
	item = pl_relocation_at(&apply->relocation, edit->origin);
	pl_assert(item && item->is_moved);
	from.node = &item->node;
	from.claimed = &item->totals;
	return pl_applying_open(apply, &from, NULL, error);
}

static int build(struct pl_applying *apply, struct pl_node *base, struct pleach_error *error)
{
	int r = open_root(apply, base, error);

	while (r >= 0 && apply->n > 0)
		r = step(apply, error);
	if (r < 0)
		return r;
	pl_assert(apply->next_edit == apply->edits.n); /* P2 */
	pl_assert(apply->next_settled == apply->groups.n_settled);
	return 0;
}

static int prepare(struct pl_applying *apply, const struct pl_node *base,
		   const struct pl_changeset *changes, uint64_t seed, struct pleach_error *error)
{
	uint64_t n_groups = 0;
	int r = pl_changeset_settle(changes, &apply->edits, error);

	if (r >= 0)
		r = pl_relocation_find(&apply->edits, &apply->relocation, error);
	if (r >= 0)
		r = pl_apply_groups_find(apply->source, base, &apply->edits, &apply->relocation,
					 seed, &apply->groups, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < apply->edits.n; i++) {
		if (apply->edits.items[i].group > n_groups)
			n_groups = apply->edits.items[i].group;
	}
	apply->looks = calloc(n_groups + 1, sizeof(*apply->looks));
	return apply->looks ? 0 : pl_fail_memory(error);
}

int pl_apply(const struct pl_node_source *source, const struct pl_node_sink *sink,
	     const struct pl_id *base, const struct pl_changeset *changes, uint64_t seed,
	     struct pl_id *ret_tree, struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_applying apply = {.source = source, .sink = sink};
	struct pl_node root;
	int r = pl_node_read(source, base, &root, error);

	if (r < 0)
		return r;
	r = prepare(&apply, &root, changes, seed, error);
	if (r >= 0)
		r = build(&apply, &root, error);
	if (r >= 0) {
		*ret_tree = apply.tree;
		*ret_totals = apply.totals;
	}
	pl_node_done(&root);
	pl_applying_done(&apply);
	return r < 0 ? r : 0;
}

int pl_tree_make_empty(const struct pl_node_sink *sink, const struct pl_meta *meta,
		       struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_node_builder builder;
	struct pl_totals totals;
	PL_BUFFER bytes = {0};
	struct pl_id id;
	int r;

	pl_node_builder_init(&builder);
	r = pl_node_builder_end(&builder, meta, NULL, sink, &bytes, &id, &totals, error);
	pl_node_builder_done(&builder);
	if (r >= 0)
		r = sink->write(sink->self, &id, bytes.data, bytes.length, error);
	if (r < 0)
		return r;
	*ret_tree = id;
	return 0;
}
