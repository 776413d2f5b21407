/*
 * overlap - see overlap.h. A step costs one look at each part of the frame: sources come from a
 * command line, and are few.
 *
 * O1  The path begins with that of the top frame's directory.
 * O2  A part that brings the current name goes on to its next entry only with the next step, so that
 *     its entry can be used until then, also after frames have been entered and left.
 */
#include "tree/overlap.h"

#include <stdlib.h>

static void part_advance(struct pl_overlap_part *part, const struct pl_graft_source *source)
{
	const char *name = part->rest;
	size_t length = strcspn(name, "/");

	if (pl_overlap_part_has_node(part)) {
		part->has_entry = pl_node_next(&part->node, &part->cursor, &part->entry) > 0;
		part->entry_rest = "";
		return;
	}
	part->has_entry = part->cursor++ == 0;
	if (!part->has_entry)
		return;
	pl_assert(length > 0 && length <= PL_NAME_MAX);
	part->entry = (struct pl_entry){
		.kind = PLEACH_DIR,
		.name = name,
		.name_length = (uint8_t)length,
	};
	part->entry_rest = name[length] == '/' ? name + length + 1 : "";
	if (*part->entry_rest == '\0')
		part->entry.hash = source->tree;
}

static int part_init(struct pl_overlap *overlap, struct pl_overlap_part *part, size_t index,
		     const char *rest, const struct pl_id *id, struct pleach_error *error)
{
	struct pl_node node = {0};
	int r = 0;

	pl_assert(index < overlap->n_sources);
	if (*rest == '\0')
		r = pl_node_read(overlap->source, id, &node, error);
	if (r < 0)
		return r;
	*part = (struct pl_overlap_part){.source = index, .rest = rest, .node = node};
	part_advance(part, &overlap->sources[index]);
	return 0;
}

static void part_done(struct pl_overlap_part *part)
{
	if (pl_overlap_part_has_node(part))
		pl_node_done(&part->node);
	pl_groups_done(&part->groups);
	pl_reach_done(&part->reach);
	free(part->is_lost);
}

/* A frame without parts yet, with room for `n`. */
static int new_frame(struct pl_overlap *overlap, size_t n, struct pleach_error *error)
{
	struct pl_overlap_frame *frame;

	pl_assert(n > 0);
	if (PL_ARRAY_GROW(overlap->frames, overlap->capacity, overlap->n_frames) < 0)
		return pl_fail_memory(error);
	frame = &overlap->frames[overlap->n_frames];
	*frame = (struct pl_overlap_frame){.path_length = overlap->path.length};
	frame->parts = calloc(n, sizeof(*frame->parts));
	if (!frame->parts)
		return pl_fail_memory(error);
	pl_node_builder_init(&frame->builder);
	overlap->n_frames++;
	return 0;
}

int pl_overlap_begin(struct pl_overlap *overlap, const struct pl_node_source *source,
		     const struct pl_graft_source *sources, size_t n_sources,
		     enum pleach_clash clash, struct pleach_error *error)
{
	int r;

	pl_assert(n_sources > 0);
	*overlap = (struct pl_overlap){
		.source = source,
		.sources = sources,
		.n_sources = n_sources,
		.clash = clash,
	};
	r = new_frame(overlap, n_sources, error);
	for (size_t i = 0; i < n_sources && r >= 0; i++) {
		struct pl_overlap_frame *frame = pl_overlap_top(overlap);
		const char *prefix = sources[i].prefix;

		pl_assert(*prefix == '\0' || pl_path_is_valid(prefix));
		r = part_init(overlap, &frame->parts[i], i, prefix, &sources[i].tree, error);
		frame->n_parts += r >= 0;
	}
	return r;
}

void pl_overlap_leave(struct pl_overlap *overlap)
{
	struct pl_overlap_frame *frame = pl_overlap_top(overlap);

	for (size_t i = 0; i < frame->n_parts; i++)
		part_done(&frame->parts[i]);
	free(frame->parts);
	pl_node_builder_done(&frame->builder);
	pl_groups_done(&frame->groups);
	overlap->n_frames--;
}

void pl_overlap_done(struct pl_overlap *overlap)
{
	while (overlap->n_frames > 0)
		pl_overlap_leave(overlap);
	free(overlap->frames);
	pl_buffer_done(&overlap->path);
}

int pl_overlap_enter(struct pl_overlap *overlap, struct pleach_error *error)
{
	const struct pl_overlap_part *above;
	size_t n_above;
	int r;

	pl_assert(overlap->is_directory && overlap->n_directories > 0);
	r = new_frame(overlap, overlap->n_directories, error);
	if (r < 0)
		return r;
	above = overlap->frames[overlap->n_frames - 2].parts;
	n_above = overlap->frames[overlap->n_frames - 2].n_parts;
	for (size_t i = 0; i < n_above && r >= 0; i++) {
		struct pl_overlap_frame *frame = pl_overlap_top(overlap);

		if (!above[i].is_bringing || above[i].entry.kind != PLEACH_DIR)
			continue;
		pl_assert(frame->n_parts < overlap->n_directories);
		r = part_init(overlap, &frame->parts[frame->n_parts], above[i].source,
			      above[i].entry_rest, &above[i].entry.hash, error);
		frame->n_parts += r >= 0;
	}
	pl_assert(r < 0 || pl_overlap_top(overlap)->n_parts == overlap->n_directories);
	return r;
}

/* The first part of those whose entry comes first, NULL at the end. */
static struct pl_overlap_part *next_part(const struct pl_overlap_frame *frame)
{
	struct pl_overlap_part *next = NULL;

	for (size_t i = 0; i < frame->n_parts; i++) {
		struct pl_overlap_part *part = &frame->parts[i];

		if (part->has_entry && (!next || pl_entry_compare(&part->entry, &next->entry) < 0))
			next = part;
	}
	return next;
}

static void gather(struct pl_overlap *overlap, struct pl_overlap_part *next)
{
	struct pl_overlap_frame *frame = pl_overlap_top(overlap);

	overlap->n_bringing = overlap->n_directories = 0;
	overlap->winner = next;
	for (size_t i = 0; i < frame->n_parts; i++) {
		struct pl_overlap_part *part = &frame->parts[i];

		pl_assert(!part->is_bringing);
		if (!part->has_entry || pl_entry_compare(&part->entry, &next->entry) != 0)
			continue;
		part->is_bringing = true;
		overlap->n_bringing++;
		overlap->n_directories += part->entry.kind == PLEACH_DIR;
		if (overlap->clash == PLEACH_CLASH_LAST)
			overlap->winner = part;
	}
	pl_assert(overlap->winner->is_bringing);
	pl_assert(overlap->n_directories <= overlap->n_bringing);
	overlap->is_directory = overlap->winner->entry.kind == PLEACH_DIR;
}

static int fail_clash(struct pl_overlap *overlap, struct pleach_error *error)
{
	const struct pl_overlap_frame *frame = pl_overlap_top(overlap);
	const char *path = pl_buffer_string(&overlap->path);
	const struct pl_overlap_part *other = NULL;
	int r;

	for (size_t i = 0; i < frame->n_parts && !other; i++) {
		const struct pl_overlap_part *part = &frame->parts[i];

		if (part->is_bringing && pl_overlap_loses(overlap, part))
			other = part;
	}
	pl_assert(other && other != overlap->winner);
	r = pl_fail(error, PLEACH_FAILED, -EEXIST, "both %s and %s bring '%s'",
		    overlap->sources[overlap->winner->source].label,
		    overlap->sources[other->source].label, path);
	pl_hint(error, "--on-clash=first or --on-clash=last says which of them is taken");
	pl_error_path(error, path);
	return r;
}

int pl_overlap_next(struct pl_overlap *overlap, struct pleach_error *error)
{
	struct pl_overlap_frame *frame = pl_overlap_top(overlap);
	struct pl_overlap_part *next;

	pl_buffer_truncate(&overlap->path, frame->path_length); /* O1 */
	for (size_t i = 0; i < frame->n_parts; i++) {
		struct pl_overlap_part *part = &frame->parts[i];

		if (part->is_bringing)
			part_advance(part, &overlap->sources[part->source]); /* O2 */
		part->is_bringing = false;
	}
	next = next_part(frame);
	if (!next)
		return 0;
	pl_path_push(&overlap->path, next->entry.name, next->entry.name_length);
	if (!pl_buffer_ok(&overlap->path))
		return pl_fail_memory(error);
	gather(overlap, next);
	if (overlap->clash == PLEACH_CLASH_ERROR && overlap->n_bringing > 1 &&
	    overlap->n_directories < overlap->n_bringing)
		return fail_clash(overlap, error);
	return 1;
}
