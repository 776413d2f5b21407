/*
 * placed_check - inner header of gc: a placed tree that is being held against its nodes, as its walk
 * (check_placed.c) and the check of single names (check_name.c) know it.
 */
#ifndef PL_GC_PLACED_CHECK_H
#define PL_GC_PLACED_CHECK_H

#include "gc/checking.h"

struct pl_placed_level {
	struct pl_node node;
	size_t cursor;
	struct pl_listing listing;
	size_t next;
	bool is_listed;
	bool has_groups; /* pushed to the membership */
};
struct pl_placed {
	struct pl_checking *c;
	int dirfd; /* the directory is dirfd/name */
	const char *name;
	struct pl_walk walk;
	struct pl_placed_level *levels;
	size_t n, capacity;
	struct pl_buffer path; /* relative to the store, of the directory or name looked at */
	size_t root_length;    /* of it, up to and with the directory's name */
	struct pl_filter filter;
	struct pl_membership *groups;
	bool by_names, has_all_groups;
	struct pl_map
		inodes; /* struct pl_placed_inode -> number of its group + 1, 0: of no group */
	struct pl_map members; /* number of a group -> inode number of the member met first */
};
struct pl_placed_inode {
	uint64_t dev, ino;
};

/** Path of what is looked at, relative to the store; that within the tree. */
const char *pl_placed_path(struct pl_placed *p);
const char *pl_placed_path_in_tree(struct pl_placed *p);
/** Findings about it. */
int pl_placed_fault(struct pl_placed *p, const char *message, struct pleach_error *error);
int pl_placed_cannot(struct pl_placed *p, int r, struct pleach_error *error);

/** dirfd/name is there and of this kind: 1 and *ret_st; 0: it was told that not. */
int pl_placed_look(struct pl_placed *p, int dirfd, const char *name, char kind, struct stat *ret_st,
		   struct pleach_error *error);
/** That dirfd/name has this metadata. */
int pl_placed_meta(struct pl_placed *p, int dirfd, const char *name, const struct stat *st,
		   const struct pl_meta *meta, struct pleach_error *error);
/** All of a name that is no directory, of the right kind, in the directory where the walk is. */
int pl_placed_name(struct pl_placed *p, const char *name, const struct stat *st,
		   const struct pl_entry *entry, struct pleach_error *error);

#endif
