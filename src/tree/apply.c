/*
 * apply - the tree that a changeset makes of another. Built from the leaves up by one walk through the
 * directories of the result that differ: those that an edit names or lies in, and those that a
 * hard-link group comes to. What becomes of groups, apply_groups.c has found before.
 *
 * P1  A directory without an edit or a group coming to it or below it is taken over by its id, unread.
 * P2  Edits and groups are in the order of the walk: each is used once, when it is met.
 * P3  The groups of a directory of the base either are all settled anew (then they come back like
 *     those from elsewhere) or are all kept: none of them reaches what was changed.
 * P4  Nodes are written when they are complete: children first; and none that the base has there.
 * P5  What a base says of itself is proved where it is read. So a sum that cannot be is its fault.
 */
#include <stdlib.h>

#include "tree/apply_groups.h"
#include "tree/inner.h"

#define NOWHERE SIZE_MAX

/* A directory of the result that is being made. */
struct frame {
	size_t path_length;
	bool has_node; /* it begins with the entries of a directory of the base */
	struct pl_node node;
	const char *origin; /* its path in the base is this and what path has behind origin_at */
	size_t origin_at;
	size_t cursor;
	bool has_entry; /* the entry of the node that is next */
	struct pl_entry entry;
	bool has_looked, has_change; /* the name that is next and not only an entry of the node */
	struct pl_entry change;
	const struct pl_edit *edit; /* of the directory itself, or NULL */
	struct pl_node_builder builder;
	struct pl_groups groups;
};
/* What the first name met of a group is: all its names have to be that. */
struct look {
	bool is_known;
	char kind;
	struct pl_id body;
};
struct apply {
	const struct pl_node_source *source;
	const struct pl_node_sink *sink;
	struct pl_edits edits;
	struct pl_relocation relocation;
	struct pl_apply_groups groups;
	size_t next_edit, next_settled; /* P2 */
	struct frame *frames;
	size_t n, capacity;
	struct pl_buffer path;	/* of what the walk is at */
	struct pl_buffer bytes; /* of the node that is made */
	struct look *looks;	/* by group number */
	struct pl_id tree;	/* once no frame is left */
	struct pl_totals totals;
};

static int about(struct pleach_error *error, const char *path, int r)
{
	pl_error_path(error, path);
	return r;
}

static struct frame *top(struct apply *apply)
{
	pl_assert(apply->n > 0);
	return &apply->frames[apply->n - 1];
}

static void frame_done(struct frame *frame)
{
	pl_node_done(&frame->node);
	pl_node_builder_done(&frame->builder);
	pl_groups_done(&frame->groups);
}

/* ---- what is next ---- */

/* The edit that is next, if it is at or below `path`. */
static const struct pl_edit *edit_below(const struct apply *apply, const char *path)
{
	const struct pl_edit *edit = &apply->edits.items[apply->next_edit];

	if (apply->next_edit == apply->edits.n || !pl_path_is_below(edit->path, path))
		return NULL;
	return edit;
}

static const struct pl_apply_settled *settled_below(const struct apply *apply, const char *path)
{
	const struct pl_apply_settled *settled = &apply->groups.settled[apply->next_settled];

	if (apply->next_settled == apply->groups.n_settled ||
	    !pl_path_is_below(settled->directory, path))
		return NULL;
	return settled;
}

/* Takes the name behind the frame's path as the next, if it comes before *name. */
static void choose_name(const struct frame *frame, const char *path, struct pl_entry *name)
{
	const char *rest = path + frame->path_length + (frame->path_length > 0);
	struct pl_entry other = {.name = rest, .name_length = (uint8_t)strcspn(rest, "/")};

	pl_assert(other.name_length > 0 && strcspn(rest, "/") <= PL_NAME_MAX);
	if (!name->name || pl_entry_compare(&other, name) < 0)
		*name = other;
}

/* Looks for the first name in the top frame that an edit or a group is at or below. */
static void look_ahead(struct apply *apply, struct frame *frame)
{
	const char *path = pl_buffer_string(&apply->path);
	const struct pl_edit *edit = edit_below(apply, path);
	const struct pl_apply_settled *settled = settled_below(apply, path);

	frame->change = (struct pl_entry){0};
	if (edit)
		choose_name(frame, edit->path, &frame->change);
	if (settled)
		choose_name(frame, settled->directory, &frame->change);
	frame->has_change = edit || settled;
	frame->has_looked = true;
}

static void advance(struct frame *frame)
{
	frame->has_entry =
		frame->has_node && pl_node_next(&frame->node, &frame->cursor, &frame->entry) > 0;
}

/* ---- groups ---- */

static int copy_group(struct frame *frame, const struct pl_groups *from, size_t group)
{
	int r = pl_groups_begin(&frame->groups);

	for (size_t m = 0; m < from->groups[group].n_members && r >= 0; m++)
		r = pl_groups_add(&frame->groups, pl_groups_path(from, group, m));
	return r;
}

/* The path in the base of the frame's directory; NULL if memory is out. The caller frees it. */
static char *path_in_base(const struct apply *apply, const struct frame *frame)
{
	const char *path = (const char *)apply->path.data;
	struct pl_buffer b = {0};

	pl_buffer_add_string(&b, frame->origin);
	if (frame->path_length > frame->origin_at) {
		size_t from = frame->origin_at + (frame->origin_at > 0);

		if (b.length > 0)
			pl_buffer_add_u8(&b, '/');
		pl_buffer_add(&b, path + from, frame->path_length - from);
	}
	return pl_buffer_take_string(&b);
}

/* Its own groups, if they are kept (P3), and how many it had. */
static int keep_groups(struct apply *apply, struct frame *frame, uint64_t *ret_n_groups,
		       struct pleach_error *error)
{
	const struct pl_apply_dir *dir;
	PL_FREE char *path = NULL;
	int r;

	*ret_n_groups = 0;
	if (!frame->has_node || frame->node.n_blocks == 0)
		return 0;
	path = path_in_base(apply, frame);
	if (!path)
		return pl_fail_memory(error);
	dir = pl_apply_groups_dir(&apply->groups, path);
	if (dir) {
		*ret_n_groups = dir->groups.n;
		return 0;
	}
	r = pl_groups_read(apply->source, &frame->node, &frame->groups, error);
	*ret_n_groups = frame->groups.n;
	return r;
}

static int take_settled(struct apply *apply, struct frame *frame, struct pleach_error *error)
{
	const char *path = pl_buffer_string(&apply->path);
	const struct pl_apply_groups *groups = &apply->groups;
	bool has_come = false;

	while (apply->next_settled < groups->n_settled) {
		const struct pl_apply_settled *settled = &groups->settled[apply->next_settled];

		if (strcmp(settled->directory, path) != 0)
			break;
		if (copy_group(frame, &groups->groups, settled->group) < 0)
			return pl_fail_memory(error);
		apply->next_settled++;
		has_come = true;
	}
	if (!has_come)
		return 0;
	/* A base can name a path in groups of two directories, which meet here; P5. */
	return pl_groups_check_unique(&frame->groups, &frame->node, error);
}

/* ---- directories ---- */

/* Where a directory of the result begins. */
struct beginning {
	const struct pl_id *node;	 /* NULL: empty */
	const struct pl_totals *claimed; /* NULL: of the root nothing is said */
	const char *origin;
	size_t origin_at;
	const struct pl_edit *edit;
};

/* Makes a frame for the directory at apply->path. `node` (may be NULL) was read already; taken over. */
static int open_frame(struct apply *apply, const struct beginning *from, struct pl_node *node_take,
		      struct pleach_error *error)
{
	struct frame frame = {
		.path_length = apply->path.length,
		.origin = from->origin,
		.origin_at = from->origin_at,
		.edit = from->edit,
		.has_node = from->node != NULL,
	};
	struct pl_totals totals;
	uint64_t n_groups;
	int r = 0;

	if (node_take) {
		frame.node = *node_take;
		*node_take = (struct pl_node){0};
	} else if (frame.has_node) {
		r = pl_node_read(apply->source, from->node, &frame.node, error);
	}
	if (r >= 0 && PL_ARRAY_GROW(apply->frames, apply->capacity, apply->n) < 0)
		r = pl_fail_memory(error);
	if (r >= 0)
		r = keep_groups(apply, &frame, &n_groups, error);
	if (r >= 0 && frame.has_node && from->claimed) {
		r = pl_node_totals_with(&frame.node, n_groups, &totals, error); /* P5 */
		if (r >= 0)
			r = pl_node_compare_totals(&frame.node, &totals, from->claimed, error);
	}
	if (r >= 0)
		r = take_settled(apply, &frame, error);
	if (r < 0) {
		frame_done(&frame);
		return r;
	}
	pl_node_builder_init(&frame.builder);
	advance(&frame);
	apply->frames[apply->n++] = frame;
	return 0;
}

/* The entry's name is the last of apply->path. */
static int add_entry(struct apply *apply, const struct pl_entry *entry, struct pleach_error *error)
{
	int r = pl_node_builder_add(&top(apply)->builder, entry);

	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0) {
		const char *path = pl_buffer_string(&apply->path);

		r = about(error, path,
			  pl_fail(error, PLEACH_FAILED, r,
				  "too much or too deep for one tree: '%s'", path));
	}
	return r;
}

/* Groups with names that are not there could come to more than there are entries for; P5. */
static int check_sum(const struct frame *frame, const struct pl_meta *meta, const char *path,
		     struct pleach_error *error)
{
	struct pl_totals totals = frame->builder.totals;

	pl_totals_add_meta(&totals, meta);
	if (pl_totals_add_groups(&totals, frame->groups.n) < 0 || pl_totals_flaw(&totals))
		return pl_fail_corrupt(
			error, "'%s' has hard-link groups of names that are not there", path);
	return 0;
}

/* Makes the node of the top frame, leaves it, and gives its entry to the frame above. */
static int close_frame(struct apply *apply, struct pleach_error *error)
{
	struct frame *frame = top(apply);
	const char *path = pl_buffer_string(&apply->path);
	const struct pl_meta *meta = &frame->node.meta;
	struct pl_entry entry = {.kind = PLEACH_DIR};
	int r;

	pl_assert(apply->path.length == frame->path_length);
	if (frame->edit && frame->edit->has_meta)
		meta = &frame->edit->meta;
	else
		pl_assert(frame->has_node);
	r = check_sum(frame, meta, path, error);
	if (r >= 0)
		r = pl_node_builder_end(&frame->builder, meta, &frame->groups, apply->sink,
					&apply->bytes, &entry.hash, &entry.totals, error);
	if (r >= 0 && !(frame->has_node && pl_id_equal(&entry.hash, &frame->node.id))) /* P4 */
		r = apply->sink->write(apply->sink->self, &entry.hash, apply->bytes.data,
				       apply->bytes.length, error);
	if (r < 0)
		return r;
	frame_done(frame);
	apply->n--;
	apply->tree = entry.hash;
	apply->totals = entry.totals;
	if (apply->n == 0)
		return 0;
	entry.name = path + top(apply)->path_length + (top(apply)->path_length > 0);
	entry.name_length = (uint8_t)strlen(entry.name);
	pl_assert(entry.name_length > 0 && strlen(entry.name) <= PL_NAME_MAX);
	r = add_entry(apply, &entry, error);
	if (r >= 0)
		pl_buffer_truncate(&apply->path, top(apply)->path_length);
	return r;
}

/* ---- edits ---- */

/* All names of a group must be equal, whoever told that they are one. */
static int check_group(struct apply *apply, const struct pl_edit *edit,
		       const struct pl_entry *entry, struct pleach_error *error)
{
	struct look *look = &apply->looks[edit->group];
	struct pl_id body;

	if (edit->group == 0)
		return 0;
	pl_hash_of(entry->body, entry->body_length, &body);
	if (!look->is_known) {
		*look = (struct look){.is_known = true, .kind = entry->kind, .body = body};
		return 0;
	}
	if (look->kind == entry->kind && pl_id_equal(&look->body, &body))
		return 0;
	return about(error, edit->path,
		     pl_fail(error, PLEACH_FAILED, -EINVAL,
			     "'%s' is not the same as another name of its hard-link group",
			     edit->path));
}

static int fail_no_directory(const struct apply *apply, const struct pl_edit *edit,
			     struct pleach_error *error)
{
	return about(error, edit->path,
		     pl_fail(error, PLEACH_FAILED, -ENOTDIR,
			     "cannot change '%s': '%s' is no directory", edit->path,
			     (const char *)apply->path.data));
}

/* A name that no edit is at, but below, or a group comes to it or below. `entry`: of the base or NULL. */
static int go_below(struct apply *apply, const struct pl_entry *entry, struct pleach_error *error)
{
	const char *path = pl_buffer_string(&apply->path);
	const struct frame *frame = top(apply);
	const struct pl_edit *edit;

	if (entry && entry->kind == PLEACH_DIR) {
		struct beginning from = {.node = &entry->hash,
					 .claimed = &entry->totals,
					 .origin = frame->origin,
					 .origin_at = frame->origin_at};

		return open_frame(apply, &from, NULL, error);
	}
	while ((edit = edit_below(apply, path)) != NULL) {
		if (edit->kind != PL_EDIT_REMOVE)
			return fail_no_directory(apply, edit, error);
		apply->next_edit++; /* what is not there may be removed */
	}
	if (settled_below(apply, path))
		return pl_fail_corrupt(error,
				       "a hard-link group has a name below '%s', which is "
				       "no directory",
				       path);
	return entry ? add_entry(apply, entry, error) : 0;
}

/* `entry`: what the base has there, or NULL. */
static int make_directory(struct apply *apply, const struct pl_edit *edit,
			  const struct pl_entry *entry, struct pleach_error *error)
{
	const char *path = pl_buffer_string(&apply->path);
	struct beginning from = {
		.edit = edit, .origin = edit->origin, .origin_at = apply->path.length};
	const struct pl_relocated *item;
	struct pl_entry whole = {.kind = PLEACH_DIR};

	if (!edit->origin)
		return open_frame(apply, &from, NULL, error);
	item = pl_relocation_at(&apply->relocation, edit->origin);
	pl_assert(item && item->is_origin);
	if (item->is_moved)
		whole = (struct pl_entry){
			.kind = PLEACH_DIR, .hash = item->node, .totals = item->totals};
	else if (entry && entry->kind == PLEACH_DIR)
		whole = *entry;
	else
		return fail_no_directory(apply, edit, error);
	if (!edit->has_meta && !edit_below(apply, path) && !settled_below(apply, path)) { /* P1 */
		whole.name = path + top(apply)->path_length + (top(apply)->path_length > 0);
		whole.name_length = (uint8_t)strlen(whole.name);
		return add_entry(apply, &whole, error);
	}
	from.node = &whole.hash;
	from.claimed = &whole.totals;
	return open_frame(apply, &from, NULL, error);
}

/* `entry`: what the base has there, or NULL. */
static int make_edit(struct apply *apply, const struct pl_edit *edit, const struct pl_entry *entry,
		     struct pleach_error *error)
{
	struct pl_entry made = edit->entry;
	int r;

	switch (edit->kind) {
	case PL_EDIT_REMOVE:
		return 0;
	case PL_EDIT_DIR:
		return make_directory(apply, edit, entry, error);
	case PL_EDIT_TREE:
		made.name = pl_buffer_string(&apply->path) + top(apply)->path_length +
			    (top(apply)->path_length > 0);
		made.name_length = (uint8_t)strlen(made.name);
		return add_entry(apply, &made, error);
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
	return r < 0 ? r : add_entry(apply, &made, error);
}

/* ---- the whole ---- */

/* What becomes of the name that the top frame has found to change. */
static int make_name(struct apply *apply, struct pleach_error *error)
{
	struct frame *frame = top(apply);
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
		advance(frame);
	edit = edit_below(apply, pl_buffer_string(&apply->path));
	if (edit && strlen(edit->path) == apply->path.length) {
		apply->next_edit++;
		r = make_edit(apply, edit, has_entry ? &entry : NULL, error);
	} else {
		r = go_below(apply, has_entry ? &entry : NULL, error);
	}
	if (r >= 0 && apply->n == n)
		pl_buffer_truncate(&apply->path, top(apply)->path_length);
	return r;
}

/* One step: an entry that stays, a name that changes, or the end of a directory. */
static int step(struct apply *apply, struct pleach_error *error)
{
	struct frame *frame = top(apply);
	int r;

	if (!frame->has_looked)
		look_ahead(apply, frame);
	if (frame->has_change &&
	    (!frame->has_entry || pl_entry_compare(&frame->entry, &frame->change) >= 0))
		return make_name(apply, error);
	if (!frame->has_entry)
		return close_frame(apply, error);
	r = add_entry(apply, &frame->entry, error);
	advance(frame);
	return r;
}

/* The root, which no name leads to. `base` is taken over if it begins with it. */
static int open_root(struct apply *apply, struct pl_node *base, struct pleach_error *error)
{
	const struct pl_edit *edit = NULL;
	struct beginning from = {.node = &base->id, .origin = ""};
	const struct pl_relocated *item;

	if (apply->edits.n > 0 && *apply->edits.items[0].path == '\0')
		edit = &apply->edits.items[apply->next_edit++];
	from.edit = edit;
	if (!edit)
		return open_frame(apply, &from, base, error);
	if (edit->kind == PL_EDIT_TREE) {
		apply->tree = edit->entry.hash;
		apply->totals = edit->entry.totals;
		return 0;
	}
	pl_assert(edit->kind == PL_EDIT_DIR);
	from.origin = edit->origin;
	if (!edit->origin) {
		from.node = NULL;
		return open_frame(apply, &from, NULL, error);
	}
	if (*edit->origin == '\0')
		return open_frame(apply, &from, base, error);
	item = pl_relocation_at(&apply->relocation, edit->origin);
	pl_assert(item && item->is_moved);
	from.node = &item->node;
	from.claimed = &item->totals;
	return open_frame(apply, &from, NULL, error);
}

static int build(struct apply *apply, struct pl_node *base, struct pleach_error *error)
{
	int r = open_root(apply, base, error);

	while (r >= 0 && apply->n > 0)
		r = step(apply, error);
	pl_assert(r < 0 || apply->next_edit == apply->edits.n); /* P2 */
	pl_assert(r < 0 || apply->next_settled == apply->groups.n_settled);
	return r;
}

static int prepare(struct apply *apply, const struct pl_node *base,
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

static void done(struct apply *apply)
{
	while (apply->n > 0)
		frame_done(&apply->frames[--apply->n]);
	free(apply->frames);
	free(apply->looks);
	pl_edits_done(&apply->edits);
	pl_relocation_done(&apply->relocation);
	pl_apply_groups_done(&apply->groups);
	pl_buffer_done(&apply->path);
	pl_buffer_done(&apply->bytes);
}

int pl_apply(const struct pl_node_source *source, const struct pl_node_sink *sink,
	     const struct pl_id *base, const struct pl_changeset *changes, uint64_t seed,
	     struct pl_id *ret_tree, struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct apply apply = {.source = source, .sink = sink};
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
	done(&apply);
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
