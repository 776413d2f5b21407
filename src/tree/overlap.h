/*
 * overlap - a walk through the places where sources of a graft meet: the stack of directories from
 * the composed root to where the walk is, and at each name who brings it and who wins. Inner to the
 * folder: it is gone through twice, by graft_groups.c to learn which groups lose members, and by
 * graft.c to build. Nothing is decided there that was not decided here.
 *
 * A frame is a directory of the result that has to be looked into. Its parts are the sources that
 * bring it: by a directory of their tree, or only since their prefix leads through it.
 *
 * Who wins a name that several bring. If all bring directories: all, they are merged. Else it is a
 * clash: an error, or the first source (the last, with PLEACH_CLASH_LAST) wins; if that one brings a
 * directory, the directories of all others are merged with it, and what is none is lost.
 *
 *	begin() -> next() -> (enter() -> next() ... leave()) -> next() ... -> leave()
 */
#ifndef PL_TREE_OVERLAP_H
#define PL_TREE_OVERLAP_H

#include "tree/reach.h"
#include "tree/tree.h"

/** What one source brings to a directory. */
struct pl_overlap_part {
	size_t source; /* its index; parts of a frame are in this order */
	/** What of its prefix is still to go, "" if the directory is one of its tree. */
	const char *rest;
	struct pl_node node; /* only if `rest` is "" */
	size_t cursor;
	/** The next one, if there is one; one on a prefix is a directory without totals, and without
	 * a node id as long as there is more of the prefix. */
	struct pl_entry entry;
	bool has_entry;
	const char *entry_rest; /* what is left of the prefix below it */
	bool is_bringing;	/* it brings the name that the walk is at */

	/* graft_groups.c's */
	struct pl_groups groups; /* of the node */
	bool *is_lost;		 /* a mark for each member */
	struct pl_reach reach;	 /* all members of the source's groups that are in this directory */
};
static inline bool pl_overlap_part_has_node(const struct pl_overlap_part *part)
{
	return *part->rest == '\0';
}

struct pl_overlap_frame {
	struct pl_overlap_part *parts;
	size_t n_parts;
	size_t path_length;

	/* graft.c's */
	struct pl_node_builder builder;
	struct pl_groups groups;
};
struct pl_overlap {
	const struct pl_node_source *source;
	const struct pl_graft_source *sources;
	size_t n_sources;
	enum pleach_clash clash;
	struct pl_overlap_frame *frames;
	size_t n_frames, capacity;
	struct pl_buffer path; /* of the name that the walk is at, else of the top frame */

	/* Of the name that the walk is at: */
	size_t n_bringing;
	size_t n_directories;		/* of these */
	struct pl_overlap_part *winner; /* the one whose entry stands, if it is no directory */
	bool is_directory;		/* what stands is one, or several */
};

/** Goes into the composed root. 0 or an error; pl_overlap_done() is due in any case. */
int pl_overlap_begin(struct pl_overlap *overlap, const struct pl_node_source *source,
		     const struct pl_graft_source *sources, size_t n_sources,
		     enum pleach_clash clash, struct pleach_error *error);
void pl_overlap_done(struct pl_overlap *overlap);
/** 1: at the next name of the top frame; 0: it has no more, the path is its own. -EEXIST: a clash. */
int pl_overlap_next(struct pl_overlap *overlap, struct pleach_error *error);
/** Goes into the directory that the walk is at. The parts are those that bring it, nodes read. */
int pl_overlap_enter(struct pl_overlap *overlap, struct pleach_error *error);
void pl_overlap_leave(struct pl_overlap *overlap);

static inline struct pl_overlap_frame *pl_overlap_top(const struct pl_overlap *overlap)
{
	pl_assert(overlap->n_frames > 0);
	return &overlap->frames[overlap->n_frames - 1];
}
/** Does what this part brings lose? */
static inline bool pl_overlap_loses(const struct pl_overlap *overlap,
				    const struct pl_overlap_part *part)
{
	pl_assert(part->is_bringing && overlap->winner);
	if (overlap->is_directory)
		return part->entry.kind != PLEACH_DIR;
	return part != overlap->winner;
}

#endif
