/*
 * spot - paths outside the store at which something is attached (spot.c), for attach.c.
 */
#ifndef PL_API_SPOT_H
#define PL_API_SPOT_H

#include "api/inner.h"

struct pl_spot {
	int parent_fd; /* of the directory it lies in; -EBADF: that is gone */
	char name[PL_NAME_MAX + 1];
	char *path; /* absolute: the directory resolved, the last name kept */
};
/** -EINVAL (USAGE): no name at its end; -ENOENT, -ENOTDIR: there is no such directory. */
int pl_spot_find(const char *path, struct pl_spot *ret_spot, struct pleach_error *error);
/** The path as it is written, for what was attached in a directory that is gone. */
int pl_spot_find_lost(const char *path, struct pl_spot *ret_spot, struct pleach_error *error);
void pl_spot_done(struct pl_spot *spot);
/** -EINVAL: it lies in the store's `.pleach`. */
int pl_spot_must_be_outside(struct pl_store *store, const struct pl_spot *spot,
			    struct pleach_error *error);

enum pl_spot_what { PL_SPOT_NOTHING, PL_SPOT_OURS, PL_SPOT_FOREIGN };
/** What stands there (S1). `recorded`: where its record says that it leads; NULL: it has none. Where it
 * leads is appended to `ret_target`, if it is a symlink. */
int pl_spot_look(struct pl_store *store, const struct pl_spot *spot, const char *recorded,
		 enum pl_spot_what *ret_what, struct pl_buffer *ret_target,
		 struct pleach_error *error);
/** -EEXIST, with its text. */
int pl_spot_fail_foreign(const struct pl_spot *spot, struct pleach_error *error);
/** Makes it a symlink to `target`, which its record says; durable. `before`: what the record said until
 * now, or NULL. 0, or 1: it was so already. -EEXIST: something foreign has come there. */
int pl_spot_make_symlink(struct pl_store *store, const struct pl_spot *spot, const char *target,
			 const char *before, struct pleach_error *error);
/** Removes the symlink, which is ours; durable. */
int pl_spot_remove_symlink(struct pl_store *store, const struct pl_spot *spot,
			   struct pleach_error *error);

#endif
