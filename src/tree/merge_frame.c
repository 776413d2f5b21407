/*
 * merge_frame - see merge_frame.h.
 *
 * F1  What is read was proved: each node against the totals that its entry has.
 * F2  A node that two sides have is read once; the side that comes first owns its bytes.
 */
#include "tree/merge_frame.h"

#include <stdlib.h>

#include "tree/inner.h"

static void side_advance(struct pl_merge_side *side)
{
	side->has_entry =
		side->is_there && pl_node_next(&side->node, &side->cursor, &side->entry) > 0;
}

static bool blocks_are_equal(const struct pl_node *a, const struct pl_node *b)
{
	return a->n_blocks == b->n_blocks &&
	       (a->n_blocks == 0 ||
		memcmp(a->blocks, b->blocks, a->n_blocks * sizeof(struct pl_id)) == 0);
}

static int add_all(struct pl_reach *reach, const struct pl_groups *groups)
{
	for (size_t g = 0; g < groups->n; g++) {
		for (size_t m = 0; m < groups->groups[g].n_members; m++) {
			int r = pl_reach_add(reach, pl_groups_path(groups, g, m), NULL);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Groups that are kept in the top frame's directory, and those that reach into it. */
static int open_reaches(struct pl_merge_frames *frames, const struct pl_merge_reached *reached,
			struct pleach_error *error)
{
	struct pl_merge_frame *frame = pl_merge_frames_top(frames);
	struct pl_merge_side *sides = frame->sides;
	bool are_equal = true;
	int r = 0;

	for (int s = PL_HEAD; s < PL_N_SIDES; s++)
		are_equal = are_equal && blocks_are_equal(&sides[PL_BASE].node, &sides[s].node);
	for (int s = 0; s < (are_equal ? 1 : PL_N_SIDES); s++) {
		if (!sides[s].is_there || sides[s].node.n_blocks == 0)
			continue;
		r = pl_groups_read(&frames->merge->source, &sides[s].node, &sides[s].groups, error);
		if (r < 0)
			return r;
		if (add_all(&frame->all, &sides[s].groups) < 0)
			return pl_fail_memory(error);
	}
	pl_reach_sort(&frame->all);
	for (int s = PL_HEAD; s < PL_N_SIDES && !are_equal && r >= 0; s++)
		r = pl_reach_add_changes(&frame->changed, &sides[PL_BASE].groups, &sides[s].groups);
	if (r >= 0)
		r = pl_reach_join(&frame->all, &reached->all_below);
	if (r >= 0)
		r = pl_reach_join(&frame->changed, &reached->changed_below);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* Reads a side's node, or shares that of a side before it. */
static int read_side(struct pl_merge_frames *frames, int s, const struct pl_id *id,
		     struct pleach_error *error)
{
	struct pl_merge_side *sides = pl_merge_frames_top(frames)->sides, *side = &sides[s];

	for (int other = 0; other < s && !side->is_there; other++) {
		if (!sides[other].is_there || !pl_id_equal(&sides[other].node.id, id))
			continue;
		side->node = sides[other].node;
		side->is_there = side->is_shared = true;
	}
	if (!side->is_there) {
		int r = pl_node_read(&frames->merge->source, id, &side->node, error);

		if (r < 0)
			return r;
		side->is_there = true;
	}
	side_advance(side);
	return 0;
}

/* `entry`: NULL for the root. */
static int open_side(struct pl_merge_frames *frames, int s, const struct pl_id *id,
		     const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_totals totals;
	struct pl_merge_side *side;
	int r = read_side(frames, s, id, error);

	if (r < 0)
		return r;
	side = &pl_merge_frames_top(frames)->sides[s];
	r = pl_membership_push(frames->memberships[s], pl_buffer_string(&frames->path), &side->node,
			       error);
	side->is_pushed = r >= 0;
	if (r < 0 || !entry)
		return r;
	r = pl_node_totals_with(&side->node, pl_membership_own_groups(frames->memberships[s]),
				&totals, error);
	return r < 0 ? r : pl_node_compare_totals(&side->node, &totals, &entry->totals, error);
}

static int open_sides(struct pl_merge_frames *frames, const struct pl_entry *const *entries,
		      struct pleach_error *error)
{
	const struct pl_merge *merge = frames->merge;
	const struct pl_id *roots[PL_N_SIDES] = {&merge->base, &merge->head, &merge->tx};
	int r = 0;

	for (int s = 0; s < PL_N_SIDES && r >= 0; s++) {
		if (!entries)
			r = open_side(frames, s, roots[s], NULL, error);
		else if (entries[s] && entries[s]->kind == PLEACH_DIR)
			r = open_side(frames, s, &entries[s]->hash, entries[s], error);
	}
	return r;
}

int pl_merge_frames_push(struct pl_merge_frames *frames, const struct pl_merge_frame *frame,
			 const struct pl_entry *const *entries,
			 const struct pl_merge_reached *reached, struct pleach_error *error)
{
	int r;

	pl_assert((frames->n == 0) == !entries);
	if (frames->n > PL_DEPTH_MAX)
		return pl_fail_corrupt(error, "a tree is more than %d levels deep", PL_DEPTH_MAX);
	if (PL_ARRAY_GROW(frames->items, frames->capacity, frames->n) < 0)
		return pl_fail_memory(error);
	frames->items[frames->n] = *frame;
	frames->items[frames->n++].path_length = frames->path.length;
	r = open_sides(frames, entries, error);
	return r < 0 ? r : open_reaches(frames, reached, error);
}

void pl_merge_frames_pop(struct pl_merge_frames *frames)
{
	struct pl_merge_frame *frame = pl_merge_frames_top(frames);

	for (int s = 0; s < PL_N_SIDES; s++) {
		struct pl_merge_side *side = &frame->sides[s];

		if (side->is_pushed)
			pl_membership_pop(frames->memberships[s]);
		if (side->is_there && !side->is_shared)
			pl_node_done(&side->node);
		pl_groups_done(&side->groups);
	}
	pl_reach_done(&frame->all);
	pl_reach_done(&frame->changed);
	frames->n--;
}

/* ---- names ---- */

static const struct pl_entry *first_of(const struct pl_merge_frame *frame)
{
	const struct pl_entry *first = NULL;

	for (int s = 0; s < PL_N_SIDES; s++) {
		const struct pl_merge_side *side = &frame->sides[s];

		if (side->has_entry && (!first || pl_entry_compare(&side->entry, first) < 0))
			first = &side->entry;
	}
	return first;
}

int pl_merge_frames_next(struct pl_merge_frames *frames, struct pl_entry ret_entries[PL_N_SIDES],
			 bool ret_has[PL_N_SIDES], struct pl_merge_reached *ret_reached,
			 struct pleach_error *error)
{
	struct pl_merge_frame *frame = pl_merge_frames_top(frames);
	const struct pl_entry *next = first_of(frame);
	struct pl_entry first;

	pl_buffer_truncate(&frames->path, frame->path_length);
	if (!next)
		return 0;
	first = *next; /* which is passed now */
	pl_reach_take(&frame->all, first.name, first.name_length, &ret_reached->all_here,
		      &ret_reached->all_below);
	pl_reach_take(&frame->changed, first.name, first.name_length, &ret_reached->changed_here,
		      &ret_reached->changed_below);
	pl_path_push(&frames->path, first.name, first.name_length);
	if (!pl_buffer_ok(&frames->path))
		return pl_fail_memory(error);
	for (int s = 0; s < PL_N_SIDES; s++) {
		struct pl_merge_side *side = &frame->sides[s];

		ret_has[s] = side->has_entry && pl_entry_compare(&side->entry, &first) == 0;
		if (!ret_has[s])
			continue;
		ret_entries[s] = side->entry;
		side_advance(side);
	}
	return 1;
}

/* ---- the whole ---- */

int pl_merge_frames_init(struct pl_merge_frames *frames, const struct pl_merge *merge,
			 struct pleach_error *error)
{
	int r = 0;

	*frames = (struct pl_merge_frames){.merge = merge};
	for (int s = 0; s < PL_N_SIDES && r >= 0; s++)
		r = pl_membership_new(&merge->source, merge->seed, &frames->memberships[s], error);
	return r;
}

void pl_merge_frames_done(struct pl_merge_frames *frames)
{
	while (frames->n > 0)
		pl_merge_frames_pop(frames);
	for (int s = 0; s < PL_N_SIDES; s++)
		pl_membership_free(frames->memberships[s]);
	free(frames->items);
	pl_buffer_done(&frames->path);
	*frames = (struct pl_merge_frames){0};
}
