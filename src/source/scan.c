/*
 * The walk of a scan: through a directory tree in one pass, depth first in the byte order of paths (the
 * order of pl_cursor and of layouts, so that the first member of a group is the same for all of them). What
 * it meets goes to the assembly, which makes nodes of it (assembly.c), by way of those who read files
 * (stretch.c): the walk may be some of them ahead.
 *
 * I1  Memory: the listings of the directories from the root to where the walk is, and what is on its way.
 * I2  A file whose entry is in the cache, or stands at the same path of the base, is not opened.
 * I3  What is not the same entry at the same path of the base is claimed (stage.c) before it is looked
 *     for: with a cache hit, too, since the store may have lost the object since.
 * I4  A name that vanishes while the scan goes on was never there; nothing else that goes wrong is
 *     passed over.
 * I5  What fails is what fails first in the order of the walk: so a failure of the walk itself is told only
 *     when all that it has met before is assembled.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "source/scanning.h"

struct frame {
	struct pl_listing listing;
	size_t next;
	dev_t dev;
	struct pl_node base;
	bool has_base;
	size_t base_cursor;
	struct pl_entry base_entry;
	bool has_base_entry;
	struct pl_scan_dir *dir; /* NULL: nothing in it has had to be read */
};
struct scanner {
	const struct pl_scan *scan;
	struct pl_scan_result *result;
	struct pl_node_source base_nodes;
	struct pl_walk walk;
	struct frame *frames;
	size_t n, capacity;
	struct pl_buffer path, xattrs;
	struct pl_links *links;
	struct pl_cache *cache;
	struct pl_assembly assembly;
	struct pl_stretching stretching;
	bool has_stretching;
	struct stat store_root;
	uint64_t done;
};

static const char *here(struct scanner *s)
{
	return s->path.length > 0 ? pl_buffer_string(&s->path) : ".";
}

static int fail_at(struct scanner *s, int r, const char *what, struct pleach_error *error)
{
	pl_fail_sys(error, r, "%s '%s/%s'", what, s->scan->label, here(s));
	pl_error_path(error, here(s));
	return r;
}

/* ---- entering and leaving directories ---- */

/* A btrfs subvolume has a device number of its own, and is no other file system. */
static bool is_same_fs(const struct scanner *s, int fd, const struct stat *st)
{
	return s->n < 2 || st->st_dev == s->frames[s->n - 2].dev || pl_subvolume_is(fd) == 1;
}

static int read_directory_meta(struct scanner *s, struct frame *f, struct pl_meta *meta,
			       struct pleach_error *error)
{
	int fd = pl_walk_fd(&s->walk);
	const char *why = NULL;
	struct stat st = {0};
	int r = pl_fstat(fd, &st);

	if (r >= 0 && pl_same_inode(&st, &s->store_root)) {
		pl_fail(error, PLEACH_FAILED, -ELOOP,
			"the store itself lies in the source, at '%s/%s'", s->scan->label, here(s));
		pl_hint(error, "leave it out: --exclude /%s", here(s));
		return -ELOOP;
	}
	f->dev = st.st_dev;
	if (r >= 0 && s->scan->is_one_fs && !is_same_fs(s, fd, &st)) {
		pl_fail(error, PLEACH_FAILED, -EXDEV, "another file system is mounted at '%s/%s'",
			s->scan->label, here(s));
		pl_error_path(error, here(s));
		return -EXDEV;
	}
	if (r >= 0)
		r = pl_meta_read(fd, &st, s->scan->rule, &s->xattrs, meta);
	if (r < 0)
		return fail_at(s, r, "cannot read the metadata of", error);
	pl_meta_reduce(meta, PLEACH_DIR, s->scan->rule);
	if (s->scan->stage->mode == PL_STAGE_NOWHERE)
		return 0;
	if (pl_meta_may_restore(meta, PLEACH_DIR, &why) < 0) {
		pl_fail(error, PLEACH_FAILED, -EPERM, "'%s/%s' could not be restored exactly: %s",
			s->scan->label, here(s), why);
		pl_error_path(error, here(s));
		pl_hint(error, "run as root, or publish with --metadata=portable");
		return -EPERM;
	}
	return 0;
}

/* The path as the assembly takes it: "" is the root. */
static const char *path_of(struct scanner *s)
{
	return s->path.length > 0 ? pl_buffer_string(&s->path) : "";
}

/* The frame of the directory that the walk has just entered. */
static int push_frame(struct scanner *s, const struct pl_id *base, struct pleach_error *error)
{
	struct pl_meta meta;
	struct frame *f;
	int r;

	if (PL_ARRAY_GROW(s->frames, s->capacity, s->n) < 0)
		return pl_fail_memory(error);
	if (s->n > PL_DEPTH_MAX)
		return pl_fail(error, PLEACH_FAILED, -ELOOP, "'%s' is more than %d levels deep",
			       s->scan->label, PL_DEPTH_MAX);
	f = &s->frames[s->n++];
	*f = (struct frame){0};
	r = read_directory_meta(s, f, &meta, error);
	if (r < 0)
		return r;
	r = pl_list(pl_walk_fd(&s->walk), &f->listing);
	if (r < 0)
		return fail_at(s, r, "cannot list", error);
	if (base) {
		r = pl_node_read(&s->base_nodes, base, &f->base, error);
		f->has_base = r >= 0;
	}
	if (r >= 0)
		r = pl_stretching_enter(&s->stretching, path_of(s), &meta, base, error);
	return r < 0 ? r : 0;
}

static void frame_done(struct frame *f)
{
	pl_listing_done(&f->listing);
	if (f->has_base)
		pl_node_done(&f->base);
	pl_scan_dir_release(f->dir);
}

static int pop_frame(struct scanner *s, struct pleach_error *error)
{
	int r = pl_stretching_leave(&s->stretching, path_of(s), error);

	if (r < 0)
		return r;
	frame_done(&s->frames[--s->n]);
	if (s->n == 0)
		return 0;
	pl_path_pop(&s->path);
	r = pl_walk_leave(&s->walk);
	return r < 0 ? fail_at(s, r, "lost the directory above", error) : 0;
}

/* ---- names ---- */

/* The base's entry of this name, NULL if it has none. Names are asked for in order. */
static const struct pl_entry *base_find(struct frame *f, const char *name)
{
	struct pl_entry wanted = {.name = name, .name_length = (uint8_t)strlen(name)};

	while (f->has_base) {
		int c;

		if (!f->has_base_entry) {
			if (!pl_node_next(&f->base, &f->base_cursor, &f->base_entry))
				return NULL;
			f->has_base_entry = true;
		}
		c = pl_entry_compare(&f->base_entry, &wanted);
		if (c == 0)
			return &f->base_entry;
		if (c > 0)
			return NULL;
		f->has_base_entry = false;
	}
	return NULL;
}

/* 1: the entry can be had without reading the file. */
static int from_cache(struct scanner *s, struct frame *f, const struct stat *st, const char *name,
		      struct pl_entry *ret_entry, struct pleach_error *error)
{
	const struct pl_entry *base;
	struct pl_id object;
	int r;

	if (!s->cache)
		return 0;
	r = pl_cache_find(s->cache, here(s), st, ret_entry);
	if (r <= 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot read the scan cache") : 0;
	ret_entry->name = name;
	ret_entry->name_length = (uint8_t)strlen(name);
	if (ret_entry->kind != PLEACH_FILE || ret_entry->size == 0 ||
	    s->scan->stage->mode == PL_STAGE_NOWHERE)
		return 1;
	base = base_find(f, name);
	if (base && pl_entry_equal(base, ret_entry))
		return 1;
	pl_entry_object(ret_entry, &object);
	return pl_stage_has_object(s->scan->stage, &object, error); /* I3 */
}

/* The directory, for who reads names of it while the walk goes on. */
static int hold_directory(struct scanner *s, struct frame *f, struct pleach_error *error)
{
	struct pl_scan_dir *dir;

	if (f->dir)
		return 0;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return pl_fail_memory(error);
	*dir = (struct pl_scan_dir){
		.fd = pl_dup(pl_walk_fd(&s->walk)), .stage = PL_STAGE_DIR_NONE, .users = 1};
	if (dir->fd < 0) {
		int r = dir->fd;

		free(dir);
		return fail_at(s, r, "cannot hold the directory of", error);
	}
	f->dir = dir;
	return 0;
}

static int visit_other(struct scanner *s, struct stat *st, const char *name,
		       struct pleach_error *error)
{
	struct frame *f = &s->frames[s->n - 1];
	struct pl_entry e = {0};
	bool is_link = st->st_nlink > 1 && !s->scan->ignores_links;
	size_t link = 0;
	int met = is_link ? pl_links_meet(s->links, st, here(s), &link) : 0, r = 0;

	if (met < 0)
		return pl_fail_memory(error);
	link = is_link ? link + 1 : 0;
	if (!met)
		r = from_cache(s, f, st, name, &e, error);
	if (r < 0)
		return r;
	if (r == 1) {
		s->result->files_cached++;
		return pl_stretching_known(&s->stretching, here(s), st, link, &e, error);
	}
	r = hold_directory(s, f, error);
	if (r < 0)
		return r;
	return pl_stretching_read(&s->stretching, f->dir, here(s), st, link, met, error);
}

static int visit_directory(struct scanner *s, const char *name, bool *ret_entered,
			   struct pleach_error *error)
{
	const struct pl_entry *base = base_find(&s->frames[s->n - 1], name);
	struct pl_id base_id;
	int r = pl_walk_enter(&s->walk, name);

	if (r == -ENOENT)
		return 0; /* I4 */
	if (r == -ENOTDIR)
		return r; /* it is something else by now */
	if (r < 0)
		return fail_at(s, r, "cannot open", error);
	*ret_entered = true;
	if (base && base->kind == PLEACH_DIR)
		base_id = base->hash;
	return push_frame(s, base && base->kind == PLEACH_DIR ? &base_id : NULL, error);
}

/* The name that the path ends in is not part of the tree. */
static int leave_out(struct scanner *s)
{
	pl_path_pop(&s->path);
	return 0;
}

static int visit(struct scanner *s, const struct pl_dirent *d, struct pleach_error *error)
{
	bool is_dir = d->type == DT_DIR, entered = false;
	struct stat st = {0};
	int r = 0;

	pl_path_push(&s->path, d->name, strlen(d->name));
	if (!pl_buffer_ok(&s->path))
		return pl_fail_memory(error);
	if (!is_dir) {
		r = pl_lstat(pl_walk_fd(&s->walk), d->name, &st);
		is_dir = r >= 0 && S_ISDIR(st.st_mode);
	}
	if (r < 0 && r != -ENOENT)
		return fail_at(s, r, "cannot look at", error);
	if (r >= 0 && !(s->scan->exclude && pl_globs_match(s->scan->exclude, here(s), is_dir)))
		r = is_dir ? visit_directory(s, d->name, &entered, error) : -ENOTDIR;
	else
		return leave_out(s);
	if (r == -ENOTDIR && is_dir)
		r = pl_lstat(pl_walk_fd(&s->walk), d->name, &st) < 0 ? 0 : -ENOTDIR;
	if (r == -ENOTDIR)
		r = visit_other(s, &st, d->name, error);
	if (!entered)
		pl_path_pop(&s->path);
	pl_store_progress(s->scan->store, "scan", ++s->done, 0, s->stretching.bytes_read);
	return r;
}

/* ---- the whole ---- */

static int scanner_init(struct scanner *s, struct pleach_error *error)
{
	const struct pl_scan *scan = s->scan;
	int r = pl_open_dir(scan->fd, ".");

	s->base_nodes = pl_store_nodes(scan->store);
	if (r >= 0)
		r = pl_walk_init_take(&s->walk, r);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s'", scan->label);
	r = pl_fstat(scan->store->root_fd, &s->store_root);
	if (r >= 0)
		r = pl_links_new(scan->store->seed, &s->links);
	if (r >= 0 && scan->use_cache)
		r = pl_cache_open(scan->store, scan->stage->tx, scan->fd, scan->rule, scan->cache,
				  &s->cache);
	/* The new cache has begun. */
	if (r >= 0 && s->cache && scan->has_mappings)
		r = pl_syncfs(scan->fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot begin to read '%s'", scan->label);
	s->assembly = (struct pl_assembly){.scan = scan,
					   .result = s->result,
					   .sink = pl_stage_sink(scan->stage),
					   .links = s->links,
					   .cache = s->cache};
	s->has_stretching = true;
	return pl_stretching_begin(&s->stretching, scan, &s->assembly, error);
}

static void scanner_done(struct scanner *s)
{
	if (s->has_stretching)
		pl_stretching_end(&s->stretching);
	pl_assembly_done(&s->assembly);
	while (s->n > 0)
		frame_done(&s->frames[--s->n]);
	free(s->frames);
	pl_walk_done(&s->walk);
	pl_buffer_done(&s->path);
	pl_buffer_done(&s->xattrs);
	pl_links_free(s->links);
	pl_cache_close(s->cache);
}

static int check_left_over(struct scanner *s, struct pleach_error *error)
{
	const char *path;

	if (!pl_links_left_over(s->links, &path))
		return 0;
	pl_fail(error, PLEACH_FAILED, -EAGAIN,
		"the hard links of '%s/%s' changed while they were read", s->scan->label, path);
	pl_error_path(error, path);
	pl_hint(error, "stop what writes the source, and publish again");
	return -EAGAIN;
}

/* The walk, to its end or to what fails. */
static int walk(struct scanner *s, struct pleach_error *error)
{
	int r = push_frame(s, s->scan->base, error);

	while (r >= 0 && s->n > 0) {
		struct frame *f = &s->frames[s->n - 1];

		r = pl_store_check_cancel(s->scan->store, error);
		if (r < 0)
			return r;
		if (f->next == f->listing.n)
			r = pop_frame(s, error);
		else
			r = visit(s, &f->listing.entries[f->next++], error);
	}
	if (r != -EINTR) { /* I5 */
		int before = pl_stretching_finish(&s->stretching, error);

		r = before < 0 ? before : r;
	}
	return r;
}

int pl_scan_run(const struct pl_scan *scan, struct pl_scan_result *ret_result,
		struct pleach_error *error)
{
	struct pl_scan_result result = {0};
	struct scanner s = {.scan = scan, .result = &result};
	int r = scanner_init(&s, error);

	pl_assert(scan->stage->mode != PL_STAGE_IN_PLACE || scan->prefix[0] == '\0');
	if (r >= 0)
		r = walk(&s, error);
	if (r >= 0)
		r = check_left_over(&s, error);
	if (r >= 0 && s.cache && result.files_read > 0)
		pl_cache_keep(s.cache);
	scanner_done(&s);
	if (r < 0)
		return r;
	*ret_result = result;
	return 0;
}
