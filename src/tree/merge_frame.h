/*
 * merge_frame - one directory in three trees, as a merge goes through it: the nodes of the sides that have
 * it, and the hard-link groups that reach into it. What is decided there is not known here. Inner to the
 * folder.
 */
#ifndef PL_TREE_MERGE_FRAME_H
#define PL_TREE_MERGE_FRAME_H

#include "tree/merge_plan.h"
#include "tree/reach.h"

/** A side's directory. */
struct pl_merge_side {
	bool is_there;
	bool is_shared; /* the bytes of the node are another side's */
	bool is_pushed; /* its membership knows the node */
	struct pl_node node;
	size_t cursor;
	struct pl_entry entry; /* the next one */
	bool has_entry;
	struct pl_groups groups; /* what the reaches of the frame point into */
};
struct pl_merge_frame {
	/* merge_walk.c's */
	size_t item; /* of the directory */
	enum pl_place place;
	bool is_ignored, may_ignore;

	struct pl_merge_side sides[PL_N_SIDES];
	size_t path_length;
	/* Members, in here, of groups that are kept here or above: of all, and of those whose names are
	 * not the same in all three trees. What is in both may be twice in `all`. */
	struct pl_reach all, changed;
};
/** Members of groups at a name, and below it: see struct pl_merge_frame. */
struct pl_merge_reached {
	struct pl_reach all_here, all_below, changed_here, changed_below;
};
/** The way from the root to where a merge is. */
struct pl_merge_frames {
	const struct pl_merge *merge;
	struct pl_merge_frame *items;
	size_t n, capacity;
	struct pl_membership *memberships[PL_N_SIDES];
	struct pl_buffer path; /* begins with that of the top frame's directory */
};

/** 0 or an error; pl_merge_frames_done() is due in any case. */
int pl_merge_frames_init(struct pl_merge_frames *frames, const struct pl_merge *merge,
			 struct pleach_error *error);
void pl_merge_frames_done(struct pl_merge_frames *frames);
static inline struct pl_merge_frame *pl_merge_frames_top(const struct pl_merge_frames *frames)
{
	pl_assert(frames->n > 0);
	return &frames->items[frames->n - 1];
}
/**
 * Goes into the directory at the path, which is that of `frame` (what its first part has, the rest empty).
 * `entries`: by side, NULL where it has no directory; NULL for the root. `reached`: what the frame above
 * gave for this name; all zero for the root.
 */
int pl_merge_frames_push(struct pl_merge_frames *frames, const struct pl_merge_frame *frame,
			 const struct pl_entry *const *entries,
			 const struct pl_merge_reached *reached, struct pleach_error *error);
/** Leaves the top frame. */
void pl_merge_frames_pop(struct pl_merge_frames *frames);
/**
 * The next name of the top frame: 1, entries by side (those that have it; copied) and what groups reach it;
 * 0 at the end. The path leads to it.
 */
int pl_merge_frames_next(struct pl_merge_frames *frames, struct pl_entry ret_entries[PL_N_SIDES],
			 bool ret_has[PL_N_SIDES], struct pl_merge_reached *ret_reached,
			 struct pleach_error *error);

#endif
