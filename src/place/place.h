/*
 * place - from a tree to a directory: laying out placed trees, checkouts, and the filter of objects.
 * What is laid out is always private to its maker (in tx/, or beside a destination): nothing here
 * changes a directory that was ever public.
 */
#ifndef PL_PLACE_H
#define PL_PLACE_H

#include "ref/ref.h"

/* ---- filter.c: trees/<id>/<k>/filter ---- */

/**
 * Which objects' inodes a placed tree may hold, so that with share=names a later placing knows
 * whether it may link one (format.md "filter"). A filter that cannot be believed holds everything.
 */
struct pl_filter {
	struct pl_bloom bloom;
	bool holds_all;
};
/** An empty one with room for `n` objects. */
int pl_filter_init(struct pl_filter *filter, uint64_t n);
void pl_filter_done(struct pl_filter *filter);
void pl_filter_add(struct pl_filter *filter, const struct pl_id *object);
/** Every object of a tree. */
int pl_filter_add_tree(struct pl_filter *filter, const struct pl_node_source *nodes,
		       const struct pl_id *tree, uint64_t seed, struct pleach_error *error);
bool pl_filter_has(const struct pl_filter *filter, const struct pl_id *object);
/** A second one that holds the same. 0 or -ENOMEM. */
int pl_filter_copy(const struct pl_filter *filter, struct pl_filter *ret_filter);
/** Reads dirfd/filter; missing or damaged: holds_all. 0 or -ENOMEM, or an error of reading. */
int pl_filter_read(int dirfd, struct pl_filter *ret_filter);
/** Writes dirfd/filter, exclusively; fsyncs it if `sync`. */
int pl_filter_write(const struct pl_filter *filter, int dirfd, bool sync);

/* ---- layout.c ---- */

/**
 * What a layout is made from. The destination is a directory that may already hold files that this
 * transaction wrote in their place (source/ingest.c): these are taken as they are.
 */
struct pl_layout {
	struct pl_txdir *tx;
	const struct pl_node_source *nodes; /* the transaction's own, then the store's */
	struct pl_id tree;
	int wrapper_fd; /* <k>/ in tx; its tree/ is the destination, made if missing */
	enum pl_share share;
	/* The placed tree that unchanged names keep their inodes from; base_fd -EBADF: none. */
	struct pl_id base;
	int base_fd;	     /* its <k>/tree */
	int base_wrapper_fd; /* its <k>/, for the filter */
	/* A retired placed tree that is taken apart: its <k>/, in tx, nobody else's; -EBADF: none. Where
	 * there is any doubt about it, it is as if there were none. */
	struct pl_id spare;
	int spare_wrapper_fd;
	bool may_edit; /* nobody can be in its directories: they may be changed in place */
	/* Objects that are written but not yet named: `<hex>` in this directory; -EBADF: none. */
	int staged_objects_fd;
	/* An old tree: much of it is likely to have been linked before. Costs a walk of the base's nodes. */
	bool wants_exact_filter;
	uint64_t total_entries; /* for progress, 0 if unknown */
	unsigned jobs;		/* threads that link, as for pl_crew_new() */
};
struct pl_layout_counts {
	uint64_t linked_from_base, linked_from_objects, private_copies, made, present, directories;
	uint64_t linked_from_spare, kept;
	uint64_t moved,
		edited; /* directories: whole; changed in place. Not counted in `directories` */
};
/**
 * Lays the tree out: every entry with its exact metadata (I1 below), directories' metadata last,
 * from the bottom up; writes the filter beside.
 * -EPERM: something cannot be restored by this user or on this file system, by path; -EBADMSG: an
 * object is missing or does not verify.
 */
int pl_layout_run(const struct pl_layout *layout, struct pl_layout_counts *ret_counts,
		  struct pleach_error *error);

/* ---- strays.c ---- */

/**
 * Does the directory dirfd/name, which was laid out from this tree, hold what is not of it: other names,
 * other kinds, files of another size or mtime? 1, or 0; what is missing does not count.
 */
int pl_strays_find(const struct pl_node_source *nodes, const struct pl_id *tree, int dirfd,
		   const char *name, uint64_t seed, struct pleach_error *error);

/* ---- checkout.c ---- */

/** What a finding is about, for who wants to mend it or to know whom it hurts. */
struct pl_subject {
	enum pl_subject_what {
		PL_SUBJECT_OTHER,    /* nothing of what follows */
		PL_SUBJECT_OBJECT,   /* the object `id` */
		PL_SUBJECT_NODE,     /* the node or block `id` */
		PL_SUBJECT_PLACED,   /* the placing `k` of tree `id` */
		PL_SUBJECT_FILTER,   /* the filter beside it */
		PL_SUBJECT_TREE,     /* tree `id`: it is missing, or something in trees/<id>/ */
		PL_SUBJECT_USER,     /* what the finding names is no user of tree `id` */
		PL_SUBJECT_PUBLIC,   /* the public path of the ref */
		PL_SUBJECT_RECORD,   /* a text of the ref, at the finding's path */
		PL_SUBJECT_STRAY,    /* what is at the finding's path, and does not belong there */
		PL_SUBJECT_EMPTY,    /* what is at the finding's path must be an empty file */
		PL_SUBJECT_ATTACHED, /* what is shown at the finding's path */
	} what;
	struct pl_id id;
	unsigned k;
	size_t in_tree; /* PLACED: where in the finding's path that within the tree begins */
};
/** A list of what was found; messages of one line. */
struct pl_finding {
	const char *kind; /* static */
	char *path, *message;
	char ref[PLEACH_REF_MAX + 1];
	uint64_t generation;
	bool is_fault, is_mended;
	struct pl_subject subject;
	size_t first_hurt, n_hurts; /* in the list's */
	uint64_t hurts_left_out;
};
/** A path of a generation that a finding hurts; "" is all of it. */
struct pl_hurt {
	size_t finding;
	char *ref, *path;
	uint64_t generation;
};
struct pl_findings {
	struct pl_finding *items;
	size_t n, capacity;
	struct pl_hurt *hurts; /* sorted by finding */
	size_t n_hurts, hurts_capacity;
	uint64_t faults, unverified, mended;
	uint64_t left_out; /* beyond PL_FINDINGS_MAX: counted, not listed */
};
#define PL_FINDINGS_MAX 100000
#define PL_HURTS_MAX	100000
void pl_findings_done(struct pl_findings *findings);
/** 0, or -EPERM with the first one as its text, by path: for who wants all of it or nothing. */
int pl_findings_must_be_none(const struct pl_findings *findings, const char *label,
			     struct pleach_error *error);
int pl_findings_add(struct pl_findings *findings, bool is_fault, const char *kind, const char *path,
		    const char *format, ...) PL_PRINTF(5, 6);

/** Says of which ref and generation (0: none) the finding is that came when there were `n_before`; nothing if none was
 * listed, for there were too many. */
void pl_findings_set_ref(struct pl_findings *findings, size_t n_before, const char *ref,
			 uint64_t generation);
/** Likewise, what it is about. */
void pl_findings_set_subject(struct pl_findings *findings, size_t n_before,
			     const struct pl_subject *subject);
/** Likewise: it tells what was mended, and is no fault any more. */
void pl_findings_set_mended(struct pl_findings *findings, size_t n_before);
/** All of `from`, which is empty then; `to` has no hurts. */
int pl_findings_append_take(struct pl_findings *to, struct pl_findings *from);
/** The generation has `path`, which finding number `i` hurts. Beyond PL_HURTS_MAX in all they are counted. */
int pl_findings_add_hurt(struct pl_findings *findings, size_t i, const char *ref,
			 uint64_t generation, const char *path);
/** Once all were added. */
void pl_findings_sort_hurts(struct pl_findings *findings);

struct pl_checkout {
	struct pl_store *store;
	struct pl_id tree; /* of the directory */
	const char *directory;
	bool update, delete_others;
	bool is_strict; /* a finding is an error, and then nothing is made; not with `update` */
	/* NULL: nothing. Called when all of it is complete, before it has its name; an error ends it. Not
	 * with `update`. */
	int (*before_name)(void *self, int root_fd, struct pleach_error *error);
	void *self;
};
/** As pleach_checkout(); findings: what could not be restored. 0 or PLEACH_PARTIAL. */
int pl_checkout_run(const struct pl_checkout *checkout, struct pl_findings *ret_findings,
		    struct pleach_error *error);

/* ---- copy.c ---- */

/** An exact copy of a tree in a private directory; no inode of it is shared with anything (G4). */
struct pl_copy {
	struct pl_store *store;
	struct pl_id tree;
	int dirfd; /* made as dirfd/name; `groups` there is used meanwhile */
	const char *name;
	const char *label;  /* for messages */
	bool trusts_clones; /* what shares its extents with an object is not read to verify it */
};
/** -EPERM, by path: something cannot be had exactly by this user or there. -EBADMSG: damage. Not synced. */
int pl_copy_run(const struct pl_copy *copy, struct pleach_error *error);

/* ---- object_copy.c ---- */

/**
 * Writes the content of an object, verified, into a new file dirfd/name (0600, no metadata yet), and
 * gives its descriptor. -EBADMSG: the object is missing or damaged; nothing is left then.
 * Shared by layouts (private copies) and copies. `trusts_clones`: where extents can be shared, they are
 * not read to verify them.
 */
int pl_object_copy(struct pl_store *store, int staged_fd, const struct pl_entry *entry,
		   bool trusts_clones, int dirfd, const char *name, int *ret_fd,
		   struct pleach_error *error);

#endif
