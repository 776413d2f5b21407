/*
 * apply_frame - see apply_frame.h. A frame is a directory between its first entry and its node.
 *
 * F1  Edits and groups are in the order of the walk: each is used once, when it is met.
 * F2  The groups of a directory of the base either are all settled anew (then they come back like
 *     those from elsewhere) or are all kept: none of them reaches what was changed.
 * F3  Nodes are written when they are complete: children first; and none that the base has there.
 * F4  What a base says of itself is proved where it is read. So a sum that cannot be is its fault.
 */
#include "tree/apply_frame.h"

#include <stdlib.h>

#include "tree/inner.h"

struct pl_apply_frame *pl_applying_top(struct pl_applying *apply)
{
	pl_assert(apply->n > 0);
	return &apply->frames[apply->n - 1];
}

static void frame_done(struct pl_apply_frame *frame)
{
	pl_node_done(&frame->node);
	pl_node_builder_done(&frame->builder);
	pl_groups_done(&frame->groups);
}

void pl_applying_done(struct pl_applying *apply)
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

/* ---- what is next ---- */

const struct pl_edit *pl_applying_edit_below(const struct pl_applying *apply, const char *path)
{
	const struct pl_edit *edit;

	if (apply->next_edit == apply->edits.n)
		return NULL;
	edit = &apply->edits.items[apply->next_edit];
	return pl_path_is_below(edit->path, path) ? edit : NULL;
}

const struct pl_apply_settled *pl_applying_settled_below(const struct pl_applying *apply,
							 const char *path)
{
	const struct pl_apply_settled *settled;

	if (apply->next_settled == apply->groups.n_settled)
		return NULL;
	settled = &apply->groups.settled[apply->next_settled];
	return pl_path_is_below(settled->directory, path) ? settled : NULL;
}

/* Takes the name behind the frame's path as the next, if it comes before *name. */
static void choose_name(const struct pl_apply_frame *frame, const char *path, struct pl_entry *name)
{
	const char *rest = path + frame->path_length + (frame->path_length > 0);
	struct pl_entry other = {.name = rest, .name_length = (uint8_t)strcspn(rest, "/")};

	pl_assert(other.name_length > 0 && strcspn(rest, "/") <= PL_NAME_MAX);
	if (!name->name || pl_entry_compare(&other, name) < 0)
		*name = other;
}

void pl_applying_look_ahead(struct pl_applying *apply, struct pl_apply_frame *frame)
{
	const char *path = pl_buffer_string(&apply->path);
	const struct pl_edit *edit = pl_applying_edit_below(apply, path);
	const struct pl_apply_settled *settled = pl_applying_settled_below(apply, path);

	frame->change = (struct pl_entry){0};
	if (edit)
		choose_name(frame, edit->path, &frame->change);
	if (settled)
		choose_name(frame, settled->directory, &frame->change);
	frame->has_change = edit || settled;
	frame->has_looked = true;
}

void pl_apply_frame_advance(struct pl_apply_frame *frame)
{
	frame->has_entry =
		frame->has_node && pl_node_next(&frame->node, &frame->cursor, &frame->entry) > 0;
}

/* ---- groups ---- */

static int copy_group(struct pl_apply_frame *frame, const struct pl_groups *from, size_t group)
{
	int r = pl_groups_begin(&frame->groups);

	for (size_t m = 0; m < from->groups[group].n_members && r >= 0; m++)
		r = pl_groups_add(&frame->groups, pl_groups_path(from, group, m));
	return r;
}

/* The path in the base of the frame's directory; NULL if memory is out. The caller frees it. */
static char *path_in_base(const struct pl_applying *apply, const struct pl_apply_frame *frame)
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

/* Its own groups, if they are kept (F2), and how many it had. */
static int keep_groups(struct pl_applying *apply, struct pl_apply_frame *frame,
		       uint64_t *ret_n_groups, struct pleach_error *error)
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

static int take_settled(struct pl_applying *apply, struct pl_apply_frame *frame,
			struct pleach_error *error)
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
	/* A base can name a path in groups of two directories, which meet here; F4. */
	return pl_groups_check_unique(&frame->groups, &frame->node, error);
}

/* ---- directories ---- */

int pl_applying_open(struct pl_applying *apply, const struct pl_apply_beginning *from,
		     struct pl_node *node_take, struct pleach_error *error)
{
	struct pl_apply_frame frame = {
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
		r = pl_node_totals_with(&frame.node, n_groups, &totals, error); /* F4 */
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
	pl_apply_frame_advance(&frame);
	apply->frames[apply->n++] = frame;
	return 0;
}

int pl_applying_add(struct pl_applying *apply, const struct pl_entry *entry,
		    struct pleach_error *error)
{
	int r = pl_node_builder_add(&pl_applying_top(apply)->builder, entry);

	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0) {
		const char *path = pl_buffer_string(&apply->path);

		r = pl_fail(error, PLEACH_FAILED, r, "too much or too deep for one tree: '%s'",
			    path);
		pl_error_path(error, path);
	}
	return r;
}

/* Groups with names that are not there could come to more than there are entries for; F4. */
static int check_sum(const struct pl_apply_frame *frame, const struct pl_meta *meta,
		     const char *path, struct pleach_error *error)
{
	struct pl_totals totals = frame->builder.totals;

	pl_totals_add_meta(&totals, meta);
	if (pl_totals_add_groups(&totals, frame->groups.n) < 0 || pl_totals_flaw(&totals))
		return pl_fail_corrupt(
			error, "'%s' has hard-link groups of names that are not there", path);
	return 0;
}

int pl_applying_close(struct pl_applying *apply, struct pleach_error *error)
{
	struct pl_apply_frame *frame = pl_applying_top(apply);
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
	if (r >= 0 && !(frame->has_node && pl_id_equal(&entry.hash, &frame->node.id))) /* F3 */
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
	entry.name = path + pl_applying_top(apply)->path_length +
		     (pl_applying_top(apply)->path_length > 0);
	entry.name_length = (uint8_t)strlen(entry.name);
	pl_assert(entry.name_length > 0 && strlen(entry.name) <= PL_NAME_MAX);
	r = pl_applying_add(apply, &entry, error);
	if (r >= 0)
		pl_buffer_truncate(&apply->path, pl_applying_top(apply)->path_length);
	return r;
}
