/*
 * same.h - inner header: is what stands under a name just what a tree says of it?
 */
#ifndef PL_PLACE_SAME_H
#define PL_PLACE_SAME_H

#include "place/place.h"

/** What is known of the hard-link groups of a directory that is compared with a tree. */
struct pl_same {
	struct pl_walk links;	  /* in the directory, to the members of groups */
	struct pl_map are_intact; /* number of a group -> 1: all of it is as it shall be */
};
/** `root_fd` stays the caller's. pl_same_done() is fine for one that is all zero. */
int pl_same_init(struct pl_same *same, int root_fd, uint64_t seed);
void pl_same_done(struct pl_same *same);
/**
 * Is dirfd/name, of which lstat said `st` (NULL: it is not there), in everything what `entry` says, no
 * directory: kind, metadata, content by reading all of it, and, with its `group` (NULL: none), which
 * names are this inode? 1, 0, or an error; what cannot be read is not the same.
 */
int pl_same_entry(struct pl_same *same, int dirfd, const char *name, const struct stat *st,
		  const struct pl_entry *entry, const struct pl_membership_group *group);

#endif
