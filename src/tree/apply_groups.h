/*
 * apply_groups - what becomes of hard-link groups when edits are applied, and where moved directories
 * are in the base. Found by a walk through the base before anything is built, since a group may have
 * to go to a directory that comes before the edit that drives it there. Inner to the folder.
 */
#ifndef PL_TREE_APPLY_GROUPS_H
#define PL_TREE_APPLY_GROUPS_H

#include "tree/relocation.h"

struct pl_apply_groups {
	/** Directories of the base whose groups were looked at, all of them: they are in `settled` where
	 * anything is left of them. Sorted by path. */
	struct pl_apply_dir {
		char *path;
		struct pl_groups groups;
	} * dirs;
	size_t n_dirs, dirs_capacity;
	/** Groups of the result and their directories there; sorted by directory. */
	struct pl_apply_settled {
		char *directory;
		size_t group; /* in `groups`, members relative to `directory` */
	} * settled;
	size_t n_settled, settled_capacity;
	struct pl_groups groups;
};
/**
 * `root`: the base's, read. Finds the moved directories of `relocation`, too. `seed` is for a map. On an
 * error there is nothing to be freed. -ENOTDIR (FAILED, by path): an origin is no directory.
 */
int pl_apply_groups_find(const struct pl_node_source *source, const struct pl_node *root,
			 const struct pl_edits *edits, struct pl_relocation *relocation,
			 uint64_t seed, struct pl_apply_groups *ret_groups,
			 struct pleach_error *error);
void pl_apply_groups_done(struct pl_apply_groups *groups);
/** The directory of the base at `path`, NULL if its groups are untouched. */
const struct pl_apply_dir *pl_apply_groups_dir(const struct pl_apply_groups *groups,
					       const char *path);

#endif
