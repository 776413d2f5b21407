/*
 * Sharing equal files: from paths to a result. Needs no store.
 *
 * S1  A PATH within the `.pleach` of a store is for sharing blocks alone; its names are the store's (G4).
 * S2  What goes wrong with one name is a finding, and the rest goes on.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/dedup.h"

#define TELL_MS 100

/* ---- for all parts ---- */

int dedup_tick(struct dedup *d)
{
	struct pleach_progress progress = {.size = sizeof(progress), .phase = d->phase};
	int64_t now;

	if (d->what->cancel && *d->what->cancel)
		return -EINTR;
	if (!d->what->progress)
		return 0;
	now = pl_clock_monotonic_ms();
	if (now < d->told_ms + TELL_MS)
		return 0;
	d->told_ms = now;
	progress.done = d->done;
	progress.total = d->total;
	progress.done_bytes = d->done_bytes;
	d->what->progress(&progress, d->what->progress_userdata);
	return 0;
}

int dedup_finding(struct dedup *d, const struct dedup_name *name, int r, const char *what)
{
	PL_FREE char *path = NULL;

	if (r == -ENOMEM || r == -EINTR)
		return r;
	path = dedup_path_of(d, name);
	d->result->failed++;
	if (!path)
		return -ENOMEM;
	return pl_findings_add(d->findings, false, "file", path, "%s: %s", what, strerror(-r));
}

/* ---- PATHs ---- */

/* Is the directory `fd` the `.pleach` of a store? Its parent says so. *ret_config: open then. */
static int is_store(int fd, int *ret_config)
{
	PL_CLOSE int up = pl_open(fd, "..", O_PATH | O_DIRECTORY);
	struct stat here, named;

	if (up < 0 || pl_fstat(fd, &here) < 0 || pl_lstat(up, ".pleach", &named) < 0 ||
	    !pl_same_inode(&here, &named))
		return 0;
	*ret_config = pl_open(fd, "config", O_RDONLY | O_NONBLOCK);
	return *ret_config >= 0;
}

/* Is it in the `.pleach` of a store, or that itself? 1: *ret_config is its config; 0. */
static int find_store(int fd, int *ret_config)
{
	PL_CLOSE int at = pl_open(fd, ".", O_PATH | O_DIRECTORY);
	struct stat st, last = {0};

	while (at >= 0 && pl_fstat(at, &st) >= 0 && !pl_same_inode(&st, &last)) {
		int up;

		if (is_store(at, ret_config))
			return 1;
		last = st;
		up = pl_open(at, "..", O_PATH | O_DIRECTORY);
		pl_closep(&at);
		at = up;
	}
	return 0;
}

/* S1. */
static int check_store(struct dedup *d, struct dedup_root *root)
{
	PL_CLOSE int config = -EBADF;

	if (!find_store(root->fd, &config))
		return 0;
	if (d->what->how != PL_DEDUP_LINK && pl_share_probe(config) == 1) {
		root->how = PL_DEDUP_REFLINK;
		root->has_how = true;
		return 0;
	}
	pl_fail_usage(d->error, "'%s' lies in a store: files there can share blocks, not names",
		      root->path);
	pl_error_path(d->error, root->path);
	pl_hint(d->error, "%s",
		d->what->how == PL_DEDUP_LINK ? "use --how=reflink"
					      : "its file system cannot share blocks; equal files "
						"of a store are one object already");
	return -EINVAL;
}

static int open_root(struct dedup *d, struct dedup_root *root)
{
	struct stat st;
	int r;

	root->fd = pl_open_follow(AT_FDCWD, root->path, O_RDONLY | O_DIRECTORY);
	r = root->fd < 0 ? root->fd : pl_fstat(root->fd, &st);
	if (r >= 0)
		r = pl_fs_probe(root->fd, &root->fs);
	if (r < 0) {
		pl_fail_sys(d->error, r, "cannot open '%s'", root->path);
		pl_error_path(d->error, root->path);
		return r;
	}
	root->dev = st.st_dev;
	root->how = d->what->how;
	root->has_how = root->how == PL_DEDUP_LINK; /* the rest is probed */
	return check_store(d, root);
}

/* One that lies in another is walked with it. */
static bool is_covered(const struct dedup *d, size_t i)
{
	for (size_t k = 0; k < d->n_roots; k++) {
		if (k == i || d->roots[k].fd < 0 || d->roots[k].dev != d->roots[i].dev)
			continue;
		if (pl_is_above(d->roots[k].fd, d->roots[i].fd) == 1)
			return true;
	}
	return false;
}

static int open_roots(struct dedup *d)
{
	int r = 0;

	d->roots = calloc(d->what->n_paths, sizeof(*d->roots));
	if (!d->roots)
		return pl_fail_memory(d->error);
	for (size_t i = 0; i < d->what->n_paths; i++) {
		d->roots[i] = (struct dedup_root){
			.path = d->what->paths[i], .fd = -EBADF, .beside = PL_BESIDE_NONE};
		d->n_roots = i + 1;
	}
	for (size_t i = 0; r >= 0 && i < d->n_roots; i++)
		r = open_root(d, &d->roots[i]);
	for (size_t i = 0; r >= 0 && i < d->n_roots; i++)
		if (is_covered(d, i))
			pl_closep(&d->roots[i].fd);
	return r;
}

static int walk_root(struct dedup *d, struct dedup_root *root)
{
	int r;

	if (root->fd < 0)
		return 0;
	r = dedup_walk(d, root);
	if (r < 0 && r != -EINTR && r != -ENOMEM && r != -EOPNOTSUPP) {
		pl_fail_sys(d->error, r, "cannot read '%s'", root->path);
		pl_error_path(d->error, root->path);
	}
	if (!root->has_how) { /* nothing there could be opened */
		root->how = root->how == PL_DEDUP_AUTO ? PL_DEDUP_LINK : root->how;
		root->has_how = true;
	}
	return r;
}

/* ---- the run ---- */

static int share_all(struct dedup *d)
{
	struct dedup_names *names = &d->names;
	size_t length;
	int r = 0;

	d->phase = "compare";
	dedup_names_settle(names, d->index_fd >= 0);
	d->done = d->done_bytes = 0;
	d->total = names->n;
	for (size_t at = 0; r >= 0 && at < names->n; at += length) {
		length = dedup_names_run(names->items, names->n, at);
		r = dedup_run(d, &names->items[at], length);
		d->done += length;
		if (r >= 0)
			r = dedup_tick(d);
	}
	return r;
}

/* Entries are links. */
static int check_index(struct dedup *d)
{
	PL_CLOSE int config = -EBADF;

	if (d->index_fd < 0)
		return 0;
	if (find_store(d->index_fd, &config)) {
		pl_fail_usage(d->error, "the index '%s' lies in a store", d->what->index);
		pl_error_path(d->error, d->what->index);
		return -EINVAL;
	}
	for (size_t i = 0; i < d->n_roots; i++) {
		if (d->roots[i].dev == d->index_dev)
			continue;
		pl_fail(d->error, PLEACH_FAILED, -EXDEV,
			"the index '%s' is on another file system than '%s'", d->what->index,
			d->roots[i].path);
		pl_error_path(d->error, d->what->index);
		return -EXDEV;
	}
	return 0;
}

static int run(struct dedup *d)
{
	int r = open_roots(d);

	if (r >= 0)
		r = dedup_index_open(d);
	if (r >= 0)
		r = check_index(d);
	d->phase = "scan";
	for (size_t i = 0; r >= 0 && i < d->n_roots; i++)
		r = walk_root(d, &d->roots[i]);
	if (r >= 0)
		r = share_all(d);
	return r;
}

static int fail(struct dedup *d, int r)
{
	if (r == -EINTR)
		return pl_fail(d->error, PLEACH_INTERRUPTED, r, "interrupted");
	if (r == -ENOMEM)
		return pl_fail_memory(d->error);
	if (!d->error || !d->error->message[0])
		pl_fail_sys(d->error, r, "cannot share equal files");
	return r;
}

int pl_dedup_run(const struct pl_dedup *dedup, struct pleach_dedup_result *ret_result,
		 struct pl_findings *ret_findings, struct pleach_error *error)
{
	struct pleach_error own = PLEACH_ERROR_INIT;
	struct dedup d = {.what = dedup,
			  .index_fd = -EBADF,
			  .names = DEDUP_NAMES_NONE,
			  .result = ret_result,
			  .findings = ret_findings,
			  .error = error ? error : &own};
	int r = pl_random(&d.seed, sizeof(d.seed));

	for (size_t i = 0; i < DEDUP_OPEN_DIRS; i++)
		d.dirs[i].fd = -EBADF;
	d.match_link = dedup->has_match ? dedup->match : PL_DEDUP_MATCH_ALL;
	d.match_share = dedup->has_match ? dedup->match : 0;
	d.buffer = malloc(2 * DEDUP_BUFFER);
	if (r >= 0)
		r = d.buffer ? pl_hash_new(&d.hash) : -ENOMEM;
	if (r >= 0)
		r = run(&d);
	dedup_dirs_close(&d);
	pl_closer_end(d.closer);
	for (size_t i = 0; i < d.n_roots; i++)
		dedup_root_close(&d.roots[i]);
	free(d.roots);
	pl_closep(&d.index_fd);
	pl_buffer_done(&d.index_inodes);
	dedup_names_done(&d.names);
	pl_buffer_done(&d.xattrs);
	pl_hash_free(d.hash);
	free(d.buffer);
	if (r < 0)
		return fail(&d, r);
	return ret_findings->n > 0 ? PLEACH_PARTIAL : 0;
}
