/*
 * checking - inner header of gc: what a check knows on its way. The whole and its answer are in
 * check.c, how findings come to be in check_finding.c, and what there is to check in
 * check_objects.c, check_nodes.c, check_groups.c, check_trees.c, check_placed.c, check_name.c,
 * check_filter.c, check_refs.c, check_records.c, check_public.c, check_named.c, check_unfinished.c
 * and check_shown.c.
 *
 * K1  Nothing is changed, not even in cache/: a check works on a store that is read-only or full.
 * K2  What is wrong with a thing is a finding, and the check goes on. Only what stops the check
 *     itself is an error: memory, descriptors, being cancelled.
 * K3  The store is in use meanwhile. What is not as it must be is looked at again before it is
 *     called a fault, in the order that excuses whoever is at work: what a commit or a drop does last
 *     is looked at first.
 * K4  Trees are looked at under their pin: they cannot be taken away meanwhile.
 * K5  Each thing is read once, and each fault of it told once, whatever relies on it.
 *
 * Memory: a map slot for each object, node and block that was looked at, and for each private copy
 * in a placed tree (K5); for one placed tree at a time a map slot for each inode and group of it,
 * its groups, and the nodes and listings from its root to where the check is; the refs' names and
 * settings; 48 bytes for each generation that is kept; the listing of one directory of the store. Where
 * there are faults, also a map slot for each node that has none.
 */
#ifndef PL_GC_CHECKING_H
#define PL_GC_CHECKING_H

#include "gc/gc.h"

/** A ref, as far as trees need to know it. */
struct pl_checked_ref {
	char name[PLEACH_REF_MAX + 1];
	char id[25]; /* "": it cannot be read */
	enum pl_share share;
	bool has_settings;
};
/** A generation that is kept. */
struct pl_checked_generation {
	struct pl_id tree;
	size_t ref; /* in refs */
	uint64_t generation;
};
struct pl_checking {
	const struct pl_check *check;
	struct pl_store *store;
	struct pl_node_source nodes;
	struct pl_findings *findings;
	struct pleach_check_counts counts;
	uint64_t done;	 /* for progress */
	const char *ref; /* what findings are about just now, NULL: no ref */
	uint64_t generation;
	struct pl_subject subject; /* likewise */

	struct pl_map objects; /* id -> enum and inode, see check_objects.c */
	void *looking;	       /* check_objects.c: while all of them are read */
	uint64_t objects_dev;  /* the device of all inodes in `objects` */
	struct pl_map
		copies; /* struct pl_copy_key -> 1: this inode was verified to be that object */
	struct pl_map known; /* id of a node or block -> what is known, see check_nodes.c */

	struct pl_checked_ref *refs;
	size_t n_refs, refs_capacity;
	struct pl_id *wanted; /* trees that the refs need, if only these are checked */
	size_t n_wanted, wanted_capacity;
	struct pl_map is_wanted; /* the same, to find one */
	struct pl_checked_generation *generations;
	size_t n_generations, generations_capacity;
};
struct pl_copy_key {
	uint64_t dev, ino;
	struct pl_id object;
};

/* ---- check.c ---- */

/** All of a check but its answer, for who goes on with what it has learnt; ended by pl_checking_end(). */
void pl_checking_begin(struct pl_checking *c, const struct pl_check *check,
		       struct pl_findings *findings);
int pl_checking_run(struct pl_checking *c, struct pleach_error *error);
void pl_checking_end(struct pl_checking *c);

/* ---- check_finding.c ---- */

/** What findings are about from now on; gives what they were about before. */
static inline struct pl_subject pl_checking_about(struct pl_checking *c, enum pl_subject_what what,
						  const struct pl_id *id, unsigned k)
{
	const struct pl_subject before = c->subject;

	struct pl_subject now = {.what = what, .k = k};

	if (id) /* which may be that of `before` */
		now.id = *id;
	c->subject = now;
	return before;
}
/** Adds a finding about `path`, relative to the store, absolute where something is attached. 0 or -ENOMEM with its text. */
int pl_checking_add(struct pl_checking *c, struct pleach_error *error, bool is_fault,
		    const char *kind, const char *path, const char *format, ...) PL_PRINTF(6, 7);
#define pl_checking_fault(c, error, kind, path, ...) \
	pl_checking_add(c, error, true, kind, path, __VA_ARGS__)
/** Is this -errno about the process, and says nothing of the store? */
bool pl_checking_is_ours(int r);
/**
 * Something could not be looked at, with -errno `r`: not verified if it is for want of permission, a
 * fault if the disk or what is there is to blame; an error where it is the check that cannot go on.
 */
int pl_checking_cannot(struct pl_checking *c, int r, const char *kind, const char *path,
		       struct pleach_error *error);
/** One thing more was looked at: progress, and -EINTR if cancelled. */
int pl_checking_step(struct pl_checking *c, uint64_t bytes, struct pleach_error *error);
/** Takes off again what was found since `before`, a copy of the list then. */
void pl_checking_forget(struct pl_findings *findings, const struct pl_findings *before);
/** A name that has no business in a directory of the layout. */
int pl_checking_stray(struct pl_checking *c, const char *directory, const char *name,
		      struct pleach_error *error);
/** Is it passed over wherever it stands in the layout? */
static inline bool pl_checking_is_leftover(const char *name)
{
	return name[0] == '.';
}
/** dirfd/name must be an empty regular file. What has gone meanwhile is none of anybody's business. */
int pl_checking_empty_file(struct pl_checking *c, int dirfd, const char *name, const char *kind,
			   const char *directory, struct pleach_error *error);

/* ---- check_objects.c ---- */

/** The path of an object or node in findings: ".pleach/objects/ab/cdef...". */
#define PL_POOL_PATH 96
void pl_checking_pool_path(const char *pool, const struct pl_id *id, char ret_path[PL_POOL_PATH]);
/** Calls `visit` for each id that is in objects/ or nodes/; other names there are faults. */
int pl_checking_pool(struct pl_checking *c, const char *pool, int pool_fd,
		     int (*visit)(struct pl_checking *c, const struct pl_id *id,
				  struct pleach_error *error),
		     struct pleach_error *error);
/** Verifies every file in objects/. */
int pl_check_objects(struct pl_checking *c, struct pleach_error *error);
/** Verifies one that is needed by `entry` of `node`, unless it is known. */
int pl_checking_object(struct pl_checking *c, const struct pl_id *object,
		       const struct pl_node *node, const struct pl_entry *entry,
		       struct pleach_error *error);
/** What is known of a file: 1 if it is, or was found equal to, the inode of this object, verified. */
bool pl_checking_is_verified(const struct pl_checking *c, const struct pl_id *object,
			     const struct stat *st);
/** Is it the inode of this object? Verified or not. */
bool pl_checking_is_object(const struct pl_checking *c, const struct pl_id *object,
			   const struct stat *st);
/** It was verified, whatever was known of it before: it is the inode of this. */
int pl_checking_note_object(struct pl_checking *c, const struct pl_id *object,
			    const struct stat *st, struct pleach_error *error);
/** Was the object verified in this check? */
bool pl_checking_is_sound(const struct pl_checking *c, const struct pl_id *object);
/** A file that is no object was verified to be equal to this one. */
int pl_checking_note_copy(struct pl_checking *c, const struct pl_id *object, const struct stat *st,
			  struct pleach_error *error);

/* ---- check_nodes.c ---- */

/** Verifies every file in nodes/. */
int pl_check_nodes(struct pl_checking *c, struct pleach_error *error);
/** 1 and the node; 0: it is missing or broken, which was told. */
int pl_checking_node(struct pl_checking *c, const struct pl_id *id, struct pl_node *ret_node,
		     struct pleach_error *error);
/** Everything that a tree reaches, nodes that were reached before not again. */
int pl_checking_reach(struct pl_checking *c, const struct pl_id *tree, struct pleach_error *error);
/** Are the groups of this node sound, after it was reached? */
bool pl_checking_has_groups(const struct pl_checking *c, const struct pl_id *node);

/* ---- check_groups.c ---- */

/** That the members of these groups, which are those of `node`, are there in its tree and alike. */
int pl_checking_members(struct pl_checking *c, const struct pl_node *node,
			const struct pl_groups *groups, struct pleach_error *error);

/* ---- check_trees.c, check_placed.c, check_filter.c ---- */

/** Every tree in trees/, or those that are wanted. */
int pl_check_trees(struct pl_checking *c, struct pleach_error *error);
/** One placing of a tree: `wrapper_fd` is its <k>/, `path` that of it. `by_names`: share=names. */
int pl_checking_placed(struct pl_checking *c, const struct pl_id *tree, int wrapper_fd,
		       const char *path, bool by_names, struct pleach_error *error);
/** The same of dirfd/name, which has no filter and lies elsewhere: at `path`. */
int pl_checking_directory(struct pl_checking *c, const struct pl_id *tree, int dirfd,
			  const char *name, const char *path, bool by_names,
			  struct pleach_error *error);
/** That the filter beside it verifies; *ret_filter is what it says. */
int pl_checking_filter(struct pl_checking *c, int wrapper_fd, const char *path,
		       struct pl_filter *ret_filter, struct pleach_error *error);

/* ---- check_refs.c ---- */

/** Every ref, or those asked for: -ENOENT (NOT_FOUND) if there is no such. */
int pl_check_refs(struct pl_checking *c, struct pleach_error *error);
/** A ref that is being checked. `ref` is open as far as it can be opened. */
struct pl_ref_check {
	struct pl_ref ref;
	char path[PLEACH_REF_MAX + 32]; /* .pleach/refs/<ref> */
	uint64_t head;			/* 0: none */
	bool has_id, is_dropped;
	uint64_t *numbers; /* of its records, sorted */
	size_t n_numbers;
};

/* ---- check_records.c ---- */

/** Findings about `name` in the ref's directory. */
int pl_checking_fault_at(struct pl_checking *c, const struct pl_ref_check *rc, const char *kind,
			 const char *name, const char *message, struct pleach_error *error);
int pl_checking_cannot_at(struct pl_checking *c, const struct pl_ref_check *rc, int r,
			  const char *kind, const char *name, struct pleach_error *error);
/** Records, marks, and the trees of what is kept. Sets head and is_dropped. */
int pl_checking_records(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error);
/** The record n, verified: 1; 0: it is missing or does not verify, and *ret_why says how. */
int pl_checking_read_record(struct pl_ref_check *rc, uint64_t n, struct pl_record *ret_record,
			    const char **ret_why, struct pleach_error *error);
/** Has `tree` this name in users/? 1, 0, or 2: there is no such tree. Also notes it as wanted. */
int pl_checking_user(struct pl_checking *c, const struct pl_id *tree, const char *user,
		     struct pleach_error *error);

/* ---- check_public.c, check_named.c ---- */

/** What public/tree and STORE/<ref> lead to. */
int pl_checking_public(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error);
/** Tags and attachments of a ref. */
int pl_checking_named(struct pl_checking *c, struct pl_ref_check *rc, struct pleach_error *error);

/* ---- check_unfinished.c ---- */

/** Names of strangers in tx/ and trash/. */
int pl_check_unfinished(struct pl_checking *c, struct pleach_error *error);

/* ---- check_hurt.c ---- */

/** For each fault: which generations have it, and where. */
int pl_checking_hurts(struct pl_checking *c, struct pleach_error *error);

/* ---- check_shown.c ---- */

/** What attachments that are directories or mounts show, after everything else was checked. */
int pl_check_shown(struct pl_checking *c, struct pleach_error *error);

#endif
