/*
 * apply_frame - the directories of the result that apply is making, from the root down to where its
 * walk is: opened, given their entries, closed. What becomes of a name, apply.c says. Inner to the
 * folder.
 */
#ifndef PL_TREE_APPLY_FRAME_H
#define PL_TREE_APPLY_FRAME_H

#include "tree/apply_groups.h"

/* A directory of the result that is being made. */
struct pl_apply_frame {
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
/* What the first name that was met of a new group is: all its names have to be that. */
struct pl_apply_look {
	bool is_known;
	char kind;
	struct pl_id body; /* its hash */
};
/* The walk. All zero is one that has not begun. */
struct pl_applying {
	const struct pl_node_source *source;
	const struct pl_node_sink *sink;
	struct pl_edits edits;
	struct pl_relocation relocation;
	struct pl_apply_groups groups;
	size_t next_edit, next_settled; /* F1 */
	struct pl_apply_frame *frames;
	size_t n, capacity;
	struct pl_apply_look *looks; /* by the number of the group */
	struct pl_buffer path;	     /* of what the walk is at */
	struct pl_buffer bytes;	     /* of the node that is made */
	struct pl_id tree;	     /* once no frame is left */
	struct pl_totals totals;
};
/* Where a directory of the result begins. */
struct pl_apply_beginning {
	const struct pl_id *node;	 /* NULL: empty */
	const struct pl_totals *claimed; /* NULL: of the root nothing is said */
	const char *origin;
	size_t origin_at;
	const struct pl_edit *edit;
};

void pl_applying_done(struct pl_applying *apply);
/** The directory that is being made. */
struct pl_apply_frame *pl_applying_top(struct pl_applying *apply);
/** The edit that is next, if it is at or below `path`; else NULL. */
const struct pl_edit *pl_applying_edit_below(const struct pl_applying *apply, const char *path);
/** The same for groups that come from elsewhere. */
const struct pl_apply_settled *pl_applying_settled_below(const struct pl_applying *apply,
							 const char *path);
/** Looks for the first name in the frame that an edit or a group is at or below: `change`. */
void pl_applying_look_ahead(struct pl_applying *apply, struct pl_apply_frame *frame);
/** Goes on to the next entry of the node. */
void pl_apply_frame_advance(struct pl_apply_frame *frame);
/** Begins the directory at the path. `node_take` (may be NULL) was read already; taken over. */
int pl_applying_open(struct pl_applying *apply, const struct pl_apply_beginning *from,
		     struct pl_node *node_take, struct pleach_error *error);
/** Adds to the last directory. The entry's name is the last of the path, or its own. */
int pl_applying_add(struct pl_applying *apply, const struct pl_entry *entry,
		    struct pleach_error *error);
/** Makes the node of the last directory, leaves it, and gives its entry to the one above. */
int pl_applying_close(struct pl_applying *apply, struct pleach_error *error);

#endif
