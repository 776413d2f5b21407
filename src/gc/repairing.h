/*
 * repairing - inner header of gc: what a repair knows on its way. The whole is in repair.c, what is
 * set aside in repair_aside.c; what there is to mend in repair_node.c, repair_object.c, repair_tree.c,
 * repair_placed.c, repair_public.c and repair_text.c; sources outside of the store in repair_from.c.
 *
 * M1  Nothing is made from what does not verify: what comes to stand somewhere was itself read, there where
 *     it was made, and found to be what its id says.
 * M2  What is damaged is set aside, in .pleach/damaged/, before anything takes its name; it is never removed.
 *     Regular files keep their name until the new one takes it.
 * M3  Everything is made in tx/, durable, and then named: ended anywhere, a repair leaves each thing as it
 *     was, or mended, and the next one goes on.
 * M4  What cannot be mended is no error. Its reason is told with its fault.
 * M5  While it mends a repair is the collector (gc/trash.c): nothing is taken out beside it, and there are no
 *     two. Publishes and readers are not held up.
 */
#ifndef PL_GC_REPAIRING_H
#define PL_GC_REPAIRING_H

#include "gc/checking.h"

/** A directory of .pleach/damaged/ of this repair; made with the first thing that is set aside. */
struct pl_aside {
	int fd; /* -EBADF: none yet */
	char name[48];
	unsigned serial;
};
struct pl_outside;
struct pl_repairing {
	const struct pl_repair *options;
	struct pl_store *store;
	struct pl_txdir *tx;
	struct pl_checking *c;	    /* the check of this turn */
	struct pl_findings *found;  /* what it has found */
	struct pl_findings *mended; /* of all turns */
	uint64_t n_mended;	    /* of this one */
	struct pl_outside *outside; /* NULL: none */
	struct pl_aside aside;
};

/* ---- repair.c ---- */

/** It is mended: that is told, and how. 0 or -ENOMEM. */
int pl_repairing_mended(struct pl_repairing *m, const struct pl_finding *f,
			struct pleach_error *error, const char *format, ...) PL_PRINTF(4, 5);
/** It is not, since ...: that is told with the fault, once. */
int pl_repairing_unmended(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error,
			  const char *format, ...) PL_PRINTF(4, 5);
/** `f` is of the same thing as `first`, which was gone about before: if that could not be mended, nor is this, for the same
 * reason. */
int pl_repairing_as_with(struct pl_repairing *m, struct pl_finding *f,
			 const struct pl_finding *first, struct pleach_error *error);
/** Something failed with -errno `r` that says nothing of the store: disk full, interrupted, an error of the disk. */
int pl_repairing_fail(int r, const struct pl_finding *f, struct pleach_error *error);
/**
 * A tree's nodes, groups and objects all verified in the check of this turn, or were mended since: 1, or 0. Placings
 * are laid out of such ones alone (M1).
 */
int pl_repairing_is_sound(struct pl_repairing *m, const struct pl_id *tree,
			  struct pleach_error *error);

/* ---- repair_aside.c ---- */

/** The file dirfd/name, at `path` of the store, gets a second name there: "3-LABEL". Durable. */
int pl_aside_link(struct pl_repairing *m, int dirfd, const char *name, const char *path,
		  const char *label);
/** Moves it there, whatever it is. Durable. */
int pl_aside_move(struct pl_repairing *m, int dirfd, const char *name, const char *path,
		  const char *label);
/**
 * from_dirfd/from_name, complete and durable, takes the name to_dirfd/to_name; what is there is set aside first
 * (M2). Durable.
 */
int pl_aside_replace(struct pl_repairing *m, int from_dirfd, const char *from_name, int to_dirfd,
		     const char *to_name, const char *path, const char *label);
void pl_aside_done(struct pl_repairing *m);
/** Where it went, relative to the store, "" if nothing was. */
const char *pl_aside_where(const struct pl_repairing *m);

/* ---- repair_*.c: each mends what the check of this turn has found of its kind ---- */

int pl_repair_texts(struct pl_repairing *m, struct pleach_error *error);
int pl_repair_nodes(struct pl_repairing *m, struct pleach_error *error);
int pl_repair_objects(struct pl_repairing *m, struct pleach_error *error);
int pl_repair_trees(struct pl_repairing *m, struct pleach_error *error);
int pl_repair_placed(struct pl_repairing *m, struct pleach_error *error);
int pl_repair_public(struct pl_repairing *m, struct pleach_error *error);

/* ---- repair_placed.c ---- */

/**
 * A placing of the pinned tree that is as it should be: pin->k is it, the highest of those; laid out now if there is
 * none. 1; 0: there can be none, for `error`.
 */
int pl_repairing_place(struct pl_repairing *m, struct pl_pin *pin, struct pleach_error *error);

/* ---- repair_from.c ---- */

/** NULL without options->from. */
int pl_outside_open(struct pl_repairing *m, struct pleach_error *error);
void pl_outside_close(struct pl_repairing *m);
/** The ref of the same name and id in another store that is `from`. 1 and open; 0: there is none. */
int pl_outside_ref(struct pl_repairing *m, const struct pl_ref *ref, struct pl_ref *ret_ref);

#endif
