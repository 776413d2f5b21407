/*
 * scanning - the three parts of a scan: scan.c walks ahead through the source, stretch.c has what the walk
 * has met read by the threads of a crew, assembly.c makes nodes of it, in the order of the walk.
 */
#ifndef PL_SOURCE_SCANNING_H
#define PL_SOURCE_SCANNING_H

#include "source/source.h"

/* ---- assembly.c ---- */

/** One directory whose entries are coming in. */
struct pl_assembled {
	struct pl_meta meta;
	struct pl_buffer xattrs; /* that meta points into */
	struct pl_node_builder builder;
	struct pl_id base;
	bool has_base;
};
struct pl_assembly {
	const struct pl_scan *scan;
	struct pl_scan_result *result;
	struct pl_node_sink sink;
	struct pl_links *links;
	struct pl_cache *cache; /* NULL: none */
	struct pl_assembled *dirs;
	size_t n, capacity;
	struct pl_buffer node;
};
/** Goes into a directory, by its encoded metadata; `base`: the node that it was before, NULL: none. */
int pl_assembly_enter(struct pl_assembly *a, const void *meta, size_t length,
		      const struct pl_id *base, struct pleach_error *error);
/** An entry of the current directory, which is at `path`; `link`: number of its inode + 1, 0: it has one name. */
int pl_assembly_entry(struct pl_assembly *a, const char *path, const struct stat *st, size_t link,
		      const struct pl_entry *entry, struct pleach_error *error);
/** All of the current directory, which is at `path`, has come. */
int pl_assembly_leave(struct pl_assembly *a, const char *path, struct pleach_error *error);
void pl_assembly_done(struct pl_assembly *a);

/* ---- stretch.c ---- */

/** A directory of the source, as long as names in it are still to be read. */
struct pl_scan_dir {
	int fd; /* of its own: the walk may have gone on */
	struct pl_stage_dir stage;
	size_t users; /* counted by the thread of the scan alone */
};
void pl_scan_dir_release(struct pl_scan_dir *dir);

/** What the walk meets. */
enum pl_item_kind {
	PL_ITEM_ENTER, /* a directory: entry is its metadata */
	PL_ITEM_KNOWN, /* a name whose entry is known */
	PL_ITEM_READ,  /* a name that is to be read */
	PL_ITEM_LINK,  /* another name of an inode that was met before */
	PL_ITEM_LEAVE,
};
struct pl_item {
	enum pl_item_kind kind;
	size_t path;	      /* where it begins in paths */
	size_t entry, length; /* encoded, in entries */
	struct stat st;
	struct pl_scan_dir *dir; /* READ, LINK */
	size_t link;		 /* as in pl_assembly_entry() */
	struct pl_id base;	 /* ENTER */
	bool has_base;
	enum pl_ingested ingested; /* READ, when it was read */
};
/** A part of the walk: the task of a crew. */
struct pl_stretch {
	struct pl_item *items;
	size_t n, capacity;
	struct pl_buffer paths;	  /* one behind the other, with their NULs */
	struct pl_buffer entries; /* written by the walk, then by the thread that reads */
	size_t n_reads, n_dirs;
	const struct pl_scan_dir *last_dir; /* only to count them */
	uint64_t size;			    /* of what is to be read */
	struct pleach_error error;
};
/** The walk's way into the assembly. Zero but for the first members. */
struct pl_stretching {
	struct pl_assembly *assembly;
	const struct pl_scan *scan;
	struct pl_ingest late; /* for who comes too late to be read by a crew */
	struct pl_crew *crew;
	struct pl_stretch
		*now; /* what is being filled; NULL: nothing waits, and all goes straight on */
	unsigned n_readers;
	struct pl_buffer meta;
	uint64_t bytes_read;
	struct pleach_error *error; /* of the call that is running */
};
int pl_stretching_begin(struct pl_stretching *s, const struct pl_scan *scan,
			struct pl_assembly *assembly, struct pleach_error *error);
void pl_stretching_end(struct pl_stretching *s);
/* As the calls of the assembly, and in their place in the order. */
int pl_stretching_enter(struct pl_stretching *s, const char *path, const struct pl_meta *meta,
			const struct pl_id *base, struct pleach_error *error);
int pl_stretching_known(struct pl_stretching *s, const char *path, const struct stat *st,
			size_t link, const struct pl_entry *entry, struct pleach_error *error);
int pl_stretching_leave(struct pl_stretching *s, const char *path, struct pleach_error *error);
/** A name in `dir` that is to be read; or that has the entry of the link, if that is known then. */
int pl_stretching_read(struct pl_stretching *s, struct pl_scan_dir *dir, const char *path,
		       const struct stat *st, size_t link, bool is_met, struct pleach_error *error);
/** Waits until all of it is assembled. */
int pl_stretching_finish(struct pl_stretching *s, struct pleach_error *error);

#endif
