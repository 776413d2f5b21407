/*
 * inner - what a layout knows on its way, shared by layout.c (the walk) and name.c (single names).
 */
#ifndef PL_PLACE_INNER_H
#define PL_PLACE_INNER_H

#include "place/place.h"

/** One directory between the root and where the layout is. */
struct pl_level {
	struct pl_listing present; /* names that were there when it was entered */
	bool has_base;		   /* the base has this directory, and its walk is in it */
	struct pl_node base;
	size_t base_cursor;
	struct pl_entry base_entry;
	bool has_base_entry;
};
struct pl_laying {
	const struct pl_layout *layout;
	struct pl_layout_counts counts;
	bool has_base; /* and it may be linked from */
	struct pl_filter filter;
	struct pl_cursor *cursor;
	struct pl_walk walk, base_walk;
	struct pl_level *levels;
	size_t n_levels, capacity;
	struct pl_membership *base_groups;
	int groups_fd; /* in tx: one private name for each group that was begun, its number */
	uint64_t done;
};

/** The base's entry of this name, NULL if it has none. Asked for in order. */
const struct pl_entry *pl_level_base(struct pl_level *level, const struct pl_entry *wanted);

/** Makes one name that is no directory, in the current directory of the walk. */
int pl_laying_entry(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
		    struct pleach_error *error);
/** What pl_meta_restore() answered, as an error with the path. */
int pl_laying_fail(int r, const char *path, const char *why, struct pleach_error *error);

#endif
