/*
 * changeset - the edits of a changeset as apply wants them: settled, in the order of a walk. Inner to
 * the folder.
 */
#ifndef PL_TREE_CHANGESET_H
#define PL_TREE_CHANGESET_H

#include "tree/tree.h"

enum pl_edit_kind {
	PL_EDIT_REMOVE = 1,
	PL_EDIT_PUT,
	PL_EDIT_DIR,
	PL_EDIT_TREE,
	PL_EDIT_KEEP, /* what is there stays, and goes into another group */
};
/** What is to be at one path. Pointers lead into the changeset. */
struct pl_edit {
	enum pl_edit_kind kind;
	const char *path;
	size_t above; /* index of the nearest edit of a directory above, SIZE_MAX if there is none */
	uint64_t group;	       /* PUT, KEEP: a number of a group of this changeset, 0: in none */
	struct pl_entry entry; /* PUT; TREE: hash and totals */
	const char *origin;    /* DIR; NULL: it begins empty */
	bool has_meta;	       /* DIR */
	struct pl_meta meta;
};
struct pl_edits {
	struct pl_edit *items;
	size_t n;
};
/**
 * One edit for each path, in the order of pl_path_compare(). What an edit can be below is looked at:
 * a removal below what is no directory is left out, anything else there is -ENOTDIR (FAILED, by path).
 * -EINVAL (FAILED, by path): an edit below a whole tree, a group of what is no put.
 */
int pl_changeset_settle(const struct pl_changeset *changes, struct pl_edits *ret_edits,
			struct pleach_error *error);
void pl_edits_done(struct pl_edits *edits);

#endif
