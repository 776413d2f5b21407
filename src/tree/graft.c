/*
 * graft - composes a tree of several, each at its prefix. Built from the leaves up by one walk through
 * the places where sources meet (overlap.h); who wins there, and what is merged, is told there.
 *
 * G1  A directory that one source brings alone is taken over by its id, unread, unless a group has to
 *     move into it or below it. So the cost is that of what overlaps, not of what is composed.
 * G2  Groups are kept where their source keeps them, since a prefix does not change what is common to
 *     members below it. Only one that lost members in a clash is looked at again; graft_groups.c has
 *     found these before anything is built. Without a clash there are none.
 * G3  Nodes are written when they are complete: children first.
 */
#include <stdlib.h>

#include "tree/graft_groups.h"
#include "tree/overlap.h"

/* What a directory gets that lies above a prefix and is in no source. */
struct above {
	bool is_known;
	struct pl_meta meta; /* without xattrs */
};
struct graft {
	const struct pl_node_source *source;
	const struct pl_node_sink *sink;
	struct pl_overlap overlap;
	struct pl_regrouping regrouping;
	struct above *above;	/* by source */
	struct pl_buffer bytes; /* of the node that is made */
};

/* ---- groups ---- */

static int copy_group(struct pl_groups *to, const struct pl_groups *from, size_t group)
{
	int r = pl_groups_begin(to);

	for (size_t m = 0; m < from->groups[group].n_members && r >= 0; m++)
		r = pl_groups_add(to, pl_groups_path(from, group, m));
	return r;
}

/* Those of the part's node that lost nothing, G2. The path ends in the directory. */
static int copy_whole_groups(struct graft *graft, const struct pl_overlap_part *part,
			     const struct pl_groups *groups, struct pl_groups *to)
{
	struct pl_buffer *path = &graft->overlap.path;
	size_t length = path->length;
	int r = 0;

	for (size_t g = 0; g < groups->n && r >= 0; g++) {
		const char *first = pl_groups_path(groups, g, 0);
		bool has_lost;

		if (length > 0)
			pl_buffer_add_u8(path, '/');
		pl_buffer_add_string(path, first);
		if (!pl_buffer_ok(path))
			return -ENOMEM;
		has_lost = pl_regrouping_has_lost(&graft->regrouping, part->source,
						  pl_buffer_string(path));
		pl_buffer_truncate(path, length);
		if (!has_lost)
			r = copy_group(to, groups, g);
	}
	return r;
}

/* Collects the groups of the directory that was just entered. */
static int open_frame(struct graft *graft, struct pleach_error *error)
{
	struct pl_overlap_frame *frame = pl_overlap_top(&graft->overlap);
	const struct pl_regrouping *regrouping = &graft->regrouping;
	const char *path = pl_buffer_string(&graft->overlap.path);
	int r;

	pl_assert(path && graft->overlap.path.length == frame->path_length);
	for (size_t i = pl_regrouping_left_below(regrouping, path);
	     i < regrouping->n_left && strcmp(regrouping->left[i].directory, path) == 0; i++) {
		r = copy_group(&frame->groups, &regrouping->groups, regrouping->left[i].group);
		if (r < 0)
			return pl_fail_memory(error);
	}
	for (size_t i = 0; i < frame->n_parts; i++) {
		const struct pl_overlap_part *part = &frame->parts[i];
		struct pl_groups groups = {0};

		if (!pl_overlap_part_has_node(part) || part->node.n_blocks == 0)
			continue;
		r = pl_groups_read(graft->source, &part->node, &groups, error);
		if (r < 0)
			return r;
		r = copy_whole_groups(graft, part, &groups, &frame->groups);
		pl_groups_done(&groups);
		if (r < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

/* ---- directories ---- */

static int read_above(struct graft *graft, size_t index, const struct pl_meta **ret_meta,
		      struct pleach_error *error)
{
	struct above *above = &graft->above[index];
	struct pl_node node;

	if (!above->is_known) {
		int r = pl_node_read(graft->source, &graft->overlap.sources[index].tree, &node,
				     error);

		if (r < 0)
			return r;
		above->meta = node.meta;
		above->meta.mode = 0755;
		above->meta.xattrs = NULL;
		above->meta.xattrs_length = 0;
		above->is_known = true;
		pl_node_done(&node);
	}
	*ret_meta = &above->meta;
	return 0;
}

static int choose_meta(struct graft *graft, const struct pl_meta **ret_meta,
		       struct pleach_error *error)
{
	const struct pl_overlap_frame *frame = pl_overlap_top(&graft->overlap);
	const struct pl_meta *chosen = NULL;

	for (size_t i = 0; i < frame->n_parts; i++) {
		if (!pl_overlap_part_has_node(&frame->parts[i]))
			continue;
		if (!chosen || graft->overlap.clash == PLEACH_CLASH_LAST)
			chosen = &frame->parts[i].node.meta;
	}
	if (!chosen)
		return read_above(graft, frame->parts[0].source, ret_meta, error);
	*ret_meta = chosen;
	return 0;
}

static int add_entry(struct graft *graft, const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_overlap_frame *frame = pl_overlap_top(&graft->overlap);
	int r = pl_node_builder_add(&frame->builder, entry);

	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0) {
		r = pl_fail(error, PLEACH_FAILED, r, "too much or too deep for one tree: '%s'",
			    pl_buffer_string(&graft->overlap.path));
		pl_error_path(error, pl_buffer_string(&graft->overlap.path));
	}
	return r;
}

/* Makes the node of the top frame, leaves it, and gives its entry to the frame above. */
static int close_frame(struct graft *graft, struct pl_id *ret_id, struct pleach_error *error)
{
	struct pl_overlap_frame *frame = pl_overlap_top(&graft->overlap);
	const char *path = pl_buffer_string(&graft->overlap.path);
	const char *slash = strrchr(path, '/');
	struct pl_entry entry = {.kind = PLEACH_DIR};
	const struct pl_meta *meta;
	int r;

	pl_assert(graft->overlap.path.length == frame->path_length);
	r = choose_meta(graft, &meta, error);
	if (r < 0)
		return r;
	r = pl_node_builder_end(&frame->builder, meta, &frame->groups, graft->sink, &graft->bytes,
				&entry.hash, &entry.totals, error);
	if (r < 0)
		return r;
	r = graft->sink->write(graft->sink->self, &entry.hash, graft->bytes.data,
			       graft->bytes.length, error); /* G3 */
	if (r < 0)
		return r;
	pl_overlap_leave(&graft->overlap);
	*ret_id = entry.hash;
	if (graft->overlap.n_frames == 0)
		return 0;
	entry.name = slash ? slash + 1 : path;
	entry.name_length = (uint8_t)strlen(entry.name);
	pl_assert(entry.name_length > 0 && strlen(entry.name) <= PL_NAME_MAX);
	return add_entry(graft, &entry, error);
}

/* Takes a directory over whole, G1. */
static int add_directory(struct graft *graft, const struct pl_overlap_part *part,
			 struct pleach_error *error)
{
	struct pl_entry entry = part->entry;
	struct pl_node node;
	int r = 0;

	pl_assert(entry.kind == PLEACH_DIR && *part->entry_rest == '\0');
	if (!pl_overlap_part_has_node(part)) {
		/* The root of a source: nothing has told its totals yet. */
		r = pl_node_read(graft->source, &entry.hash, &node, error);
		if (r < 0)
			return r;
		r = pl_node_totals(graft->source, &node, &entry.totals, error);
		pl_node_done(&node);
	}
	return r < 0 ? r : add_entry(graft, &entry, error);
}

/* The only part that brings a directory here; what is none has lost. */
static const struct pl_overlap_part *only_directory(const struct pl_overlap_frame *frame)
{
	const struct pl_overlap_part *only = NULL;

	for (size_t i = 0; i < frame->n_parts; i++) {
		const struct pl_overlap_part *part = &frame->parts[i];

		if (!part->is_bringing || part->entry.kind != PLEACH_DIR)
			continue;
		pl_assert(!only);
		only = part;
	}
	pl_assert(only);
	return only;
}

static int add_name(struct graft *graft, struct pleach_error *error)
{
	struct pl_overlap *overlap = &graft->overlap;
	const char *path = pl_buffer_string(&overlap->path);
	int r;

	pl_assert(path);
	if (!overlap->is_directory)
		return add_entry(graft, &overlap->winner->entry, error);
	if (overlap->n_directories == 1 &&
	    pl_regrouping_left_below(&graft->regrouping, path) == graft->regrouping.n_left) {
		const struct pl_overlap_part *part = only_directory(pl_overlap_top(overlap));

		if (*part->entry_rest == '\0')
			return add_directory(graft, part, error);
	}
	r = pl_overlap_enter(overlap, error);
	return r < 0 ? r : open_frame(graft, error);
}

/* ---- the whole ---- */

static int build(struct graft *graft, struct pl_id *ret_tree, struct pleach_error *error)
{
	int r = open_frame(graft, error);

	while (r >= 0 && graft->overlap.n_frames > 0) {
		r = pl_overlap_next(&graft->overlap, error);
		if (r == 0)
			r = close_frame(graft, ret_tree, error);
		else if (r > 0)
			r = add_name(graft, error);
	}
	return r < 0 ? r : 0;
}

/* One source without a prefix is the result; that it is there is all that has to be known. */
static int graft_single(const struct pl_node_source *source, const struct pl_id *tree,
			struct pl_id *ret_tree, struct pleach_error *error)
{
	struct pl_node node;
	int r = pl_node_read(source, tree, &node, error);

	if (r < 0)
		return r;
	pl_node_done(&node);
	*ret_tree = *tree;
	return 0;
}

int pl_graft(const struct pl_node_source *source, const struct pl_node_sink *sink,
	     const struct pl_graft_source *sources, size_t n_sources, enum pleach_clash clash,
	     struct pl_id *ret_tree, struct pleach_error *error)
{
	struct graft graft = {.source = source, .sink = sink};
	struct pl_id tree;
	int r = 0;

	pl_assert(n_sources > 0);
	if (n_sources == 1 && *sources[0].prefix == '\0')
		return graft_single(source, &sources[0].tree, ret_tree, error);
	if (n_sources > 1 && clash != PLEACH_CLASH_ERROR)
		r = pl_regrouping_find(source, sources, n_sources, clash, &graft.regrouping, error);
	if (r < 0)
		return r;
	graft.above = calloc(n_sources, sizeof(*graft.above));
	r = graft.above ? pl_overlap_begin(&graft.overlap, source, sources, n_sources, clash, error)
			: pl_fail_memory(error);
	if (r >= 0)
		r = build(&graft, &tree, error);
	pl_overlap_done(&graft.overlap);
	pl_regrouping_done(&graft.regrouping);
	free(graft.above);
	pl_buffer_done(&graft.bytes);
	if (r < 0)
		return r;
	*ret_tree = tree;
	return 0;
}
