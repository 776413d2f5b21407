/*
 * diff - what differs between two trees, found by going through both at once. A stack of frames, one
 * for each directory from the root to where the walk is; each holds the two nodes (or one, where the
 * other tree has no directory there) and merges their entries by name.
 *
 * D1  Nothing is read but nodes whose ids differ, nodes that only one tree has, blocks of these, and
 *     the equal nodes on the way to a path whose group changed.
 * D2  A path is in the reach of a frame if and only if the set of names that share its inode differs
 *     between the trees and its group is kept here or further up. A set of names has one lowest common
 *     directory, so it is found by comparing, directory by directory, the groups that are kept there;
 *     directories with equal nodes have equal groups.
 * D3  The path buffer begins with the path of the top frame's directory. What was handed out last may
 *     stand behind it until the next step.
 * D4  Memberships hold the directories of the frames whose nodes differ, no others: a path in an equal
 *     subtree that changed its group is by D2 in a group of one of these on either side, or in none.
 */
#include <stdlib.h>

#include "tree/inner.h"
#include "tree/reach.h"

enum { BEFORE, AFTER };

/* One tree's directory in a frame. */
struct side {
	bool is_there;
	struct pl_node node;
	size_t cursor;
	struct pl_entry entry; /* the next one */
	bool has_entry;
	bool is_pushed;		 /* its membership knows the node */
	struct pl_groups groups; /* what the reach of the frame points into */
};
struct frame {
	struct side sides[2]; /* of equal nodes only AFTER */
	bool is_equal;
	struct pl_reach reach; /* members whose group changed, from here down */
	size_t path_length;
};
struct pl_diff {
	struct pl_node_source source;
	struct frame *frames;
	size_t n_frames, capacity;
	struct pl_membership *memberships[2];
	struct pl_buffer path;
	struct pl_difference found;
	struct pl_entry entries[2]; /* what the step is about, and found.before and found.after */
	struct pl_meta metas[2];
	bool is_waiting; /* `found` is that of the root, not handed out yet */
	bool has_failed;
};

static struct frame *top(struct pl_diff *diff)
{
	pl_assert(diff->n_frames > 0);
	return &diff->frames[diff->n_frames - 1];
}

static void side_advance(struct side *side)
{
	side->has_entry =
		side->is_there && pl_node_next(&side->node, &side->cursor, &side->entry) > 0;
}

static void side_done(struct side *side)
{
	if (side->is_there)
		pl_node_done(&side->node);
	pl_groups_done(&side->groups);
}

/* ---- frames ---- */

static bool blocks_are_equal(const struct pl_node *a, const struct pl_node *b)
{
	return a->n_blocks == b->n_blocks &&
	       (a->n_blocks == 0 ||
		memcmp(a->blocks, b->blocks, a->n_blocks * sizeof(struct pl_id)) == 0);
}

static int compare_groups(struct pl_diff *diff, struct frame *frame, struct pleach_error *error)
{
	int r;

	if (blocks_are_equal(&frame->sides[BEFORE].node, &frame->sides[AFTER].node))
		return 0;
	for (int s = BEFORE; s <= AFTER; s++) {
		struct side *side = &frame->sides[s];

		r = pl_groups_read(&diff->source, &side->node, &side->groups, error);
		if (r < 0)
			return r;
	}
	r = pl_reach_add_changes(&frame->reach, &frame->sides[BEFORE].groups,
				 &frame->sides[AFTER].groups);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* It is the top one then, of this directory, and still empty. */
static int new_frame(struct pl_diff *diff, struct pleach_error *error)
{
	if (diff->n_frames > PL_DEPTH_MAX)
		return pl_fail_corrupt(error, "a tree is more than %d levels deep", PL_DEPTH_MAX);
	if (PL_ARRAY_GROW(diff->frames, diff->capacity, diff->n_frames) < 0)
		return pl_fail_memory(error);
	diff->frames[diff->n_frames++] = (struct frame){.path_length = diff->path.length};
	return 0;
}

static int read_side(struct pl_diff *diff, struct side *side, const struct pl_id *id,
		     struct pleach_error *error)
{
	int r = pl_node_read(&diff->source, id, &side->node, error);

	if (r < 0)
		return r;
	side->is_there = true;
	side_advance(side);
	return 0;
}

/* Is the node what its entry, which the step is about, says of it? */
static int check_totals(struct pl_diff *diff, int s, const struct side *side,
			struct pleach_error *error)
{
	struct pl_totals totals;
	int r;

	pl_assert(side->is_pushed && diff->entries[s].kind == PLEACH_DIR);
	r = pl_node_totals_with(&side->node, pl_membership_own_groups(diff->memberships[s]),
				&totals, error);
	if (r < 0)
		return r;
	return pl_node_compare_totals(&side->node, &totals, &diff->entries[s].totals, error);
}

/* Goes into the directory at the path; `before` or `after` is NULL if that tree has none there. */
static int enter(struct pl_diff *diff, const struct pl_id *before, const struct pl_id *after,
		 const struct pl_reach *above, struct pleach_error *error)
{
	const struct pl_id *ids[2] = {before, after};
	struct frame *frame;
	int r;

	pl_assert(before || after);
	pl_assert(!before || !after || !pl_id_equal(before, after));
	r = new_frame(diff, error);
	if (r < 0)
		return r;
	frame = top(diff);
	for (int s = BEFORE; s <= AFTER && r >= 0; s++) {
		struct side *side = &frame->sides[s];

		if (!ids[s])
			continue;
		r = read_side(diff, side, ids[s], error);
		if (r < 0)
			break;
		r = pl_membership_push(diff->memberships[s], pl_buffer_string(&diff->path),
				       &side->node, error);
		side->is_pushed = r >= 0;
		if (r >= 0 && diff->n_frames > 1)
			r = check_totals(diff, s, side, error);
	}
	if (r < 0 || !before || !after)
		return r;
	r = compare_groups(diff, frame, error);
	if (r >= 0 && above && pl_reach_join(&frame->reach, above) < 0)
		r = pl_fail_memory(error);
	return r;
}

/* Goes into a directory that is equal in both trees, for what of `above` lies in it. */
static int enter_equal(struct pl_diff *diff, const struct pl_id *id, const struct pl_reach *above,
		       struct pleach_error *error)
{
	struct frame *frame;
	int r;

	pl_assert(!pl_reach_is_empty(above));
	r = new_frame(diff, error);
	if (r < 0)
		return r;
	frame = top(diff);
	frame->is_equal = true;
	if (pl_reach_join(&frame->reach, above) < 0)
		return pl_fail_memory(error);
	return read_side(diff, &frame->sides[AFTER], id, error);
}

static void leave(struct pl_diff *diff)
{
	struct frame *frame = top(diff);

	for (int s = BEFORE; s <= AFTER; s++) {
		if (frame->sides[s].is_pushed)
			pl_membership_pop(diff->memberships[s]);
		side_done(&frame->sides[s]);
	}
	pl_reach_done(&frame->reach);
	diff->n_frames--;
}

/* ---- one difference ---- */

static uint64_t links_of(struct pl_diff *diff, int s, const char *path)
{
	struct pl_membership_group group;

	if (pl_membership_is_empty(diff->memberships[s]) || diff->entries[s].kind == PLEACH_DIR ||
	    !pl_membership_find(diff->memberships[s], path, &group))
		return 1;
	pl_assert(group.n_members > 1);
	return group.n_members;
}

/* Fills in `found` for what is at the path. Of a directory that it was about the node is in the top
 * frame, unless both are equal. Returns 1. */
static int find(struct pl_diff *diff, char change, bool in_before, bool in_after)
{
	const char *path = pl_buffer_string(&diff->path);

	pl_assert(path);
	pl_assert(in_before || change == 'A');
	pl_assert(in_after || change == 'D');
	for (int s = BEFORE; s <= AFTER; s++) {
		if (!(s == BEFORE ? in_before : in_after))
			continue;
		diff->metas[s] = diff->entries[s].meta;
		if (diff->entries[s].kind == PLEACH_DIR) {
			pl_assert(top(diff)->sides[s].is_there);
			diff->metas[s] = top(diff)->sides[s].node.meta;
		}
	}
	diff->found = (struct pl_difference){
		.change = change,
		.path = path,
		.before = in_before ? &diff->entries[BEFORE] : NULL,
		.after = in_after ? &diff->entries[AFTER] : NULL,
		.before_meta = in_before ? &diff->metas[BEFORE] : NULL,
		.after_meta = in_after ? &diff->metas[AFTER] : NULL,
		.before_links = in_before ? links_of(diff, BEFORE, path) : 0,
		.after_links = in_after ? links_of(diff, AFTER, path) : 0,
	};
	return 1;
}

static const struct pl_id *directory_id(const struct pl_entry *entry)
{
	return entry->kind == PLEACH_DIR ? &entry->hash : NULL;
}

/* Only one tree has the name. */
static int step_single(struct pl_diff *diff, int s, struct pleach_error *error)
{
	const struct pl_id *id = directory_id(&diff->entries[s]);

	if (id) {
		int r = enter(diff, s == BEFORE ? id : NULL, s == AFTER ? id : NULL, NULL, error);

		if (r < 0)
			return r;
	}
	return find(diff, s == BEFORE ? 'D' : 'A', s == BEFORE, s == AFTER);
}

static int step_types(struct pl_diff *diff, struct pleach_error *error)
{
	const struct pl_id *before = directory_id(&diff->entries[BEFORE]);
	const struct pl_id *after = directory_id(&diff->entries[AFTER]);

	pl_assert(!before || !after);
	if (before || after) {
		int r = enter(diff, before, after, NULL, error);

		if (r < 0)
			return r;
	}
	return find(diff, 'T', true, true);
}

static int step_directories(struct pl_diff *diff, const struct pl_reach *below,
			    struct pleach_error *error)
{
	const struct pl_id *before = directory_id(&diff->entries[BEFORE]);
	const struct pl_id *after = directory_id(&diff->entries[AFTER]);
	const struct frame *frame;
	int r;

	pl_assert(before && after);
	if (pl_id_equal(before, after))
		return pl_reach_is_empty(below) ? 0 : enter_equal(diff, after, below, error);
	r = enter(diff, before, after, below, error);
	if (r < 0)
		return r;
	frame = top(diff);
	if (pl_meta_equal_but_mtime(&frame->sides[BEFORE].node.meta,
				    &frame->sides[AFTER].node.meta))
		return 0;
	return find(diff, 'P', true, true);
}

/* Both trees have the name, of the same kind and no directory. */
static int step_entries(struct pl_diff *diff, bool has_regrouped)
{
	const struct pl_entry *before = &diff->entries[BEFORE], *after = &diff->entries[AFTER];

	if (pl_entry_equal(before, after))
		return has_regrouped ? find(diff, 'L', true, true) : 0;
	return find(diff, pl_entry_content_equal(before, after) ? 'P' : 'M', true, true);
}

/* In a directory that is equal in both trees: only what is in reach is looked at. */
static int step_equal(struct pl_diff *diff, struct pleach_error *error)
{
	struct frame *frame = top(diff);
	struct side *side = &frame->sides[AFTER];
	struct pl_reach here, below;

	if (!side->has_entry || pl_reach_is_empty(&frame->reach)) {
		leave(diff);
		return 0;
	}
	pl_reach_take(&frame->reach, side->entry.name, side->entry.name_length, &here, &below);
	if (pl_reach_is_empty(&here) && pl_reach_is_empty(&below)) {
		side_advance(side);
		return 0;
	}
	diff->entries[BEFORE] = diff->entries[AFTER] = side->entry;
	pl_path_push(&diff->path, side->entry.name, side->entry.name_length);
	if (!pl_buffer_ok(&diff->path))
		return pl_fail_memory(error);
	side_advance(side);
	if (diff->entries[AFTER].kind == PLEACH_DIR)
		return step_directories(diff, &below, error);
	return step_entries(diff, !pl_reach_is_empty(&here));
}

/* One name, or the end of a directory. 1: there is a difference in `found`. */
static int step(struct pl_diff *diff, struct pleach_error *error)
{
	struct frame *frame = top(diff);
	struct side *before = &frame->sides[BEFORE], *after = &frame->sides[AFTER];
	struct pl_reach here, below;
	const struct pl_entry *entry;
	int c;

	pl_buffer_truncate(&diff->path, frame->path_length); /* D3 */
	if (frame->is_equal)
		return step_equal(diff, error);
	if (!before->has_entry && !after->has_entry) {
		leave(diff);
		return 0;
	}
	c = !before->has_entry ? 1 : !after->has_entry ? -1 : 0;
	if (c == 0)
		c = pl_entry_compare(&before->entry, &after->entry);
	entry = c <= 0 ? &before->entry : &after->entry;
	pl_reach_take(&frame->reach, entry->name, entry->name_length, &here, &below);
	pl_path_push(&diff->path, entry->name, entry->name_length);
	if (!pl_buffer_ok(&diff->path))
		return pl_fail_memory(error);
	if (c <= 0) {
		diff->entries[BEFORE] = before->entry;
		side_advance(before);
	}
	if (c >= 0) {
		diff->entries[AFTER] = after->entry;
		side_advance(after);
	}
	/* Frames may move from here on: `frame` and what leads into it is not used any more. */
	if (c != 0)
		return step_single(diff, c < 0 ? BEFORE : AFTER, error);
	if (diff->entries[BEFORE].kind != diff->entries[AFTER].kind)
		return step_types(diff, error);
	if (diff->entries[AFTER].kind == PLEACH_DIR)
		return step_directories(diff, &below, error);
	return step_entries(diff, !pl_reach_is_empty(&here));
}

/* ---- the interface ---- */

/* The root has no entry: what stands for it says just that it is a directory, and its node. */
static int find_root(struct pl_diff *diff, struct pleach_error *error)
{
	for (int s = BEFORE; s <= AFTER; s++) {
		const struct pl_node *node = &top(diff)->sides[s].node;
		struct pl_entry *entry = &diff->entries[s];
		int r;

		*entry = (struct pl_entry){.kind = PLEACH_DIR, .name = "", .hash = node->id};
		r = pl_node_totals_with(node, pl_membership_own_groups(diff->memberships[s]),
					&entry->totals, error);
		if (r < 0)
			return r;
	}
	diff->is_waiting = true;
	return find(diff, 'P', true, true);
}

static int begin(struct pl_diff *diff, const struct pl_id *before, const struct pl_id *after,
		 struct pleach_error *error)
{
	int r;

	if (before == after || (before && after && pl_id_equal(before, after)))
		return 0;
	r = enter(diff, before, after, NULL, error);
	if (r < 0 || !before || !after)
		return r;
	if (pl_meta_equal_but_mtime(&top(diff)->sides[BEFORE].node.meta,
				    &top(diff)->sides[AFTER].node.meta))
		return 0;
	return find_root(diff, error);
}

int pl_diff_new(const struct pl_node_source *source, const struct pl_id *before,
		const struct pl_id *after, uint64_t seed, struct pl_diff **ret_diff,
		struct pleach_error *error)
{
	struct pl_diff *diff = calloc(1, sizeof(*diff));
	int r = 0;

	if (!diff)
		return pl_fail_memory(error);
	diff->source = *source;
	for (int s = BEFORE; s <= AFTER && r >= 0; s++)
		r = pl_membership_new(source, seed, &diff->memberships[s], error);
	if (r >= 0)
		r = begin(diff, before, after, error);
	if (r < 0) {
		pl_diff_free(diff);
		return r;
	}
	*ret_diff = diff;
	return 0;
}

int pl_diff_next(struct pl_diff *diff, struct pl_difference *ret_difference,
		 struct pleach_error *error)
{
	int r = diff->is_waiting;

	pl_assert(!diff->has_failed); /* only pl_diff_free() may follow */
	diff->is_waiting = false;
	while (r == 0 && diff->n_frames > 0)
		r = step(diff, error);
	diff->has_failed = r < 0;
	if (r > 0)
		*ret_difference = diff->found;
	return r;
}

void pl_diff_free(struct pl_diff *diff)
{
	if (!diff)
		return;
	while (diff->n_frames > 0)
		leave(diff);
	free(diff->frames);
	for (int s = BEFORE; s <= AFTER; s++)
		pl_membership_free(diff->memberships[s]);
	pl_buffer_done(&diff->path);
	free(diff);
}

int pl_diff_count(const struct pl_node_source *source, const struct pl_id *before,
		  const struct pl_id *after, uint64_t seed, struct pl_diff_counts *ret_counts,
		  struct pleach_error *error)
{
	struct pl_diff_counts counts = {0};
	struct pl_difference difference;
	struct pl_diff *diff = NULL;
	int r;

	r = pl_diff_new(source, before, after, seed, &diff, error);
	if (r < 0)
		return r;
	pl_assert(diff);
	while ((r = pl_diff_next(diff, &difference, error)) > 0) {
		if (difference.change == 'A')
			counts.added++;
		else if (difference.change == 'D')
			counts.removed++;
		else
			counts.modified++;
	}
	pl_diff_free(diff);
	if (r == 0)
		*ret_counts = counts;
	return r;
}
