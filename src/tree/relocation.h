/*
 * relocation - where the paths of a base are after edits: which are gone, and which were carried
 * along by a directory that moved. Known from the edits alone. Inner to the folder.
 */
#ifndef PL_TREE_RELOCATION_H
#define PL_TREE_RELOCATION_H

#include "tree/changeset.h"

/** A path of the base where an edit makes a difference to what lies at and below it. */
struct pl_relocated {
	const char *path;
	char *own;	   /* the same, where no edit holds it */
	bool is_cut;	   /* an edit is at the place where it would be otherwise */
	bool is_origin;	   /* what is below it is to be at `to` */
	const char *to;	   /* a path of the result */
	bool is_moved;	   /* to some other place: apply has to look for it in the base */
	size_t above;	   /* index of the nearest of these above it, SIZE_MAX if there is none */
	struct pl_id node; /* of a moved one, once it was found */
	struct pl_totals totals;
};
struct pl_relocation {
	struct pl_relocated *items; /* sorted by path, in the order of a walk */
	size_t n;
};
/** `edits` must be kept as long. -EINVAL (FAILED, by path): a directory would be at two places. */
int pl_relocation_find(const struct pl_edits *edits, struct pl_relocation *ret_relocation,
		       struct pleach_error *error);
void pl_relocation_done(struct pl_relocation *relocation);
/** The one at this path of the base, NULL if there is none. */
struct pl_relocated *pl_relocation_at(const struct pl_relocation *relocation, const char *path);
/** Where is this path of the base, that of no directory? Appended to `ret_path`; false: it is gone. */
bool pl_relocation_follow(const struct pl_relocation *relocation, const char *path,
			  struct pl_buffer *ret_path);

#endif
