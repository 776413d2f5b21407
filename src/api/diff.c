/*
 * pleach_diff_*(): what differs between two revisions, a revision and its parent, or a revision and a
 * directory, which is read as a publish would read it, but nothing of it is kept; and what a transaction has
 * changed so far.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/tx.h"

#define ROOT_PATH "." /* what the root's own metadata is listed under */

struct pleach_diff {
	struct pl_store *store;
	struct pl_target sides[2]; /* before, after: what is looked at stays pinned */
	bool has_side[2];
	struct pl_id trees[2];
	bool has_tree[2];
	struct pl_stage stage;
	bool has_stage;
	struct pl_txdir dir; /* of the stage, where it is of a transaction */
	bool has_dir;
	struct pl_diff *inner;
	struct pl_strings paths;
	struct pl_entry_view views[2];
};
enum { BEFORE, AFTER };

/* ---- the two sides ---- */

static int open_side(struct pleach_diff *diff, int side, const char *rev,
		     struct pleach_error *error)
{
	int r = pl_target_open(diff->store, rev, &diff->sides[side], error);

	if (r < 0)
		return r;
	diff->has_side[side] = diff->has_tree[side] = true;
	diff->trees[side] = diff->sides[side].found.directory;
	return pl_target_must_be_directory(&diff->sides[side], rev, error);
}

/* The directory at `path` of another tree; of a tree without one it is an empty one. */
static int set_directory(struct pleach_diff *diff, int side, const struct pl_id *tree,
			 const char *path, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(diff->store);
	struct pl_found found;
	int r = pl_lookup(&nodes, tree, path, &found, error);

	if (r == -ENOENT) {
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	diff->has_tree[side] = found.is_dir;
	if (found.is_dir)
		diff->trees[side] = found.directory;
	pl_found_done(&found);
	return 0;
}

/* `rev` is what there is after; before is what its parent has there. */
static int open_with_parent(struct pleach_diff *diff, const char *rev, struct pleach_error *error)
{
	struct pl_record record;
	struct pl_rev *of;
	uint64_t parent;
	int r = open_side(diff, AFTER, rev, error);

	if (r < 0)
		return r;
	of = &diff->sides[AFTER].rev;
	if (!of->has_ref) {
		r = pl_fail_usage(error, "'%s' has no parent", rev);
		pl_hint(error, "name what it is to be compared with");
		return r;
	}
	r = pl_generation_read(&of->ref, of->generation, &record, error);
	if (r < 0)
		return r;
	parent = record.parent;
	pl_record_done(&record);
	if (parent == 0)
		return 0;
	r = pl_generation_is_dropped(&of->ref, parent);
	if (r > 0)
		return pl_fail_not_found(error,
					 "the parent of '%s', generation %llu of '%s', was dropped",
					 rev, (unsigned long long)parent, of->ref.name);
	if (r >= 0)
		r = pl_generation_read(&of->ref, parent, &record, error);
	if (r < 0)
		return r;
	r = set_directory(diff, BEFORE, &record.tree, of->path, error);
	pl_record_done(&record);
	return r;
}

static int read_excludes(const char *const *exclude, struct pl_globs *globs,
			 struct pleach_error *error)
{
	for (size_t i = 0; exclude && exclude[i]; i++) {
		int r = pl_globs_add(globs, exclude[i]);

		if (r == -EINVAL)
			return pl_fail_usage(error, "'%s' is no pattern", exclude[i]);
		if (r < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

static int scan(struct pleach_diff *diff, const char *directory, const struct pl_globs *globs,
		struct pleach_error *error)
{
	const struct pl_target *before = &diff->sides[BEFORE];
	PL_CLOSE int fd = pl_open_follow(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
	struct pl_scan scan = {.store = diff->store,
			       .stage = &diff->stage,
			       .fd = fd,
			       .label = directory,
			       .prefix = "",
			       .rule = before->rev.has_ref ? before->rev.ref.settings.metadata
							   : diff->store->settings.metadata,
			       .exclude = globs,
			       .base = before->found.is_root ? &diff->trees[BEFORE] : NULL,
			       .use_cache = true};
	struct pl_scan_result result;
	int r;

	if (fd < 0) {
		pl_fail_sys(error, fd, "cannot compare with '%s'", directory);
		pl_error_path(error, directory);
		return fd;
	}
	r = pl_stage_begin(diff->store, NULL, PL_STAGE_NOWHERE, &diff->stage, error);
	if (r < 0)
		return r;
	diff->has_stage = true;
	r = pl_scan_run(&scan, &result, error);
	if (r < 0)
		return r;
	diff->has_tree[AFTER] = true;
	diff->trees[AFTER] = result.tree;
	return 0;
}

static int open_directory(struct pleach_diff *diff, const struct pleach_diff_options *options,
			  struct pleach_error *error)
{
	struct pl_globs globs = {0};
	int r = read_excludes(options->exclude, &globs, error);

	if (r >= 0)
		r = scan(diff, options->directory, &globs, error);
	pl_globs_done(&globs);
	return r;
}

/* ---- opening ---- */

static int open_sides(struct pleach_diff *diff, const char *rev_before, const char *rev_after,
		      const struct pleach_diff_options *options, struct pleach_error *error)
{
	int r;

	if (!rev_after && !options->directory)
		return open_with_parent(diff, rev_before, error);
	r = open_side(diff, BEFORE, rev_before, error);
	if (r < 0)
		return r;
	return rev_after ? open_side(diff, AFTER, rev_after, error)
			 : open_directory(diff, options, error);
}

static int begin(struct pleach_diff *diff, struct pleach_error *error)
{
	struct pl_node_source nodes =
		diff->has_stage ? pl_stage_nodes(&diff->stage) : pl_store_nodes(diff->store);

	for (int side = BEFORE; side <= AFTER; side++)
		diff->sides[side].rev.path = NULL; /* the caller's; it was looked up */
	return pl_diff_new(&nodes, diff->has_tree[BEFORE] ? &diff->trees[BEFORE] : NULL,
			   diff->has_tree[AFTER] ? &diff->trees[AFTER] : NULL, diff->store->seed,
			   &diff->inner, error);
}

int pleach_diff_open(struct pleach_store *store, const char *rev_before, const char *rev_after,
		     const struct pleach_diff_options *options, struct pleach_diff **ret_diff,
		     struct pleach_error *error)
{
	struct pleach_diff_options o = PLEACH_DIFF_OPTIONS_INIT;
	struct pleach_diff *diff = calloc(1, sizeof(*diff));
	int r;

	pl_assert(store && rev_before && ret_diff);
	PL_OPTIONS(o, options);
	pl_assert(!rev_after || !o.directory);
	if (!diff)
		return pl_fail_memory(error);
	diff->store = store->inner;
	r = pl_limits_copy(o.paths, &diff->paths, error);
	if (r >= 0)
		r = open_sides(diff, rev_before, rev_after, &o, error);
	if (r >= 0)
		r = begin(diff, error);
	if (r < 0) {
		pleach_diff_close(diff);
		return r;
	}
	*ret_diff = diff;
	return 0;
}

/* ---- of a transaction ---- */

/* Its workspace is read as a commit would read it, into a tx directory that goes with the diff. */
static int open_tx(struct pleach_diff *diff, struct pl_tx *tx, struct pleach_error *error)
{
	int r = pl_txdir_begin(diff->store, "diff", &diff->dir, error);

	if (r < 0)
		return r;
	diff->has_dir = true;
	r = pl_stage_begin(diff->store, &diff->dir, PL_STAGE_POOL, &diff->stage, error);
	if (r < 0)
		return r;
	diff->has_stage = true;
	diff->trees[BEFORE] = tx->note.merged_tree;
	r = pl_tx_read(tx, &diff->stage, &diff->trees[AFTER], error);
	diff->has_tree[BEFORE] = diff->has_tree[AFTER] = true;
	return r;
}

int pleach_tx_diff(struct pleach_tx *tx, struct pleach_diff **ret_diff, struct pleach_error *error)
{
	struct pleach_diff *diff;
	int r;

	pl_assert(tx && ret_diff);
	if (tx->inner->is_done)
		return pl_fail(error, PLEACH_FAILED, -EINVAL, "transaction %s has ended",
			       tx->inner->dir.id);
	diff = calloc(1, sizeof(*diff));
	if (!diff)
		return pl_fail_memory(error);
	diff->store = tx->inner->store;
	r = open_tx(diff, tx->inner, error);
	if (r >= 0)
		r = begin(diff, error);
	if (r < 0) {
		pleach_diff_close(diff);
		return r;
	}
	*ret_diff = diff;
	return 0;
}

/* ---- listing ---- */

static bool is_wanted(const struct pleach_diff *diff, const char *path)
{
	if (diff->paths.n == 0)
		return true;
	for (size_t i = 0; i < diff->paths.n; i++)
		if (pl_path_is_below(path, diff->paths.items[i]))
			return true;
	return false;
}

static int give(struct pleach_diff *diff, const struct pl_difference *d,
		struct pleach_change *change, struct pleach_error *error)
{
	struct pleach_change c = PLEACH_CHANGE_INIT;
	const char *path = d->path[0] ? d->path : ROOT_PATH;
	int r = 0;

	c.change = d->change;
	if (d->before)
		r = pl_entry_view_set(&diff->views[BEFORE], path, d->before, d->before_meta,
				      d->before_links, error);
	if (r >= 0 && d->after)
		r = pl_entry_view_set(&diff->views[AFTER], path, d->after, d->after_meta,
				      d->after_links, error);
	if (r < 0)
		return r;
	pl_assert(d->before || d->after);
	c.before = d->before ? &diff->views[BEFORE].entry : NULL;
	c.after = d->after ? &diff->views[AFTER].entry : NULL;
	c.path = c.after ? c.after->path : c.before->path;
	PL_GIVE(change, c);
	return 1;
}

int pleach_diff_next(struct pleach_diff *diff, struct pleach_change *change,
		     struct pleach_error *error)
{
	struct pl_difference difference;
	int r;

	pl_assert(diff && change);
	do {
		r = pl_store_check_cancel(diff->store, error);
		if (r >= 0)
			r = pl_diff_next(diff->inner, &difference, error);
	} while (r > 0 && !is_wanted(diff, difference.path));
	return r > 0 ? give(diff, &difference, change, error) : r;
}

void pleach_diff_close(struct pleach_diff *diff)
{
	if (!diff)
		return;
	if (diff->inner)
		pl_diff_free(diff->inner);
	if (diff->has_stage)
		pl_stage_end(&diff->stage);
	if (diff->has_dir)
		pl_txdir_end(&diff->dir);
	for (int side = BEFORE; side <= AFTER; side++) {
		if (diff->has_side[side])
			pl_target_close(&diff->sides[side]);
		pl_entry_view_done(&diff->views[side]);
	}
	pl_strings_done(&diff->paths);
	free(diff);
}
