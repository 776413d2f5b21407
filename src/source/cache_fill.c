/*
 * The scan cache of a directory that was just made from a tree: what a scan would find there is known, so
 * that the first scan reads only what has changed since.
 *
 * F1  Nobody but its maker has seen the directory yet: whatever a file's content becomes later, its ctime
 *     is then not before the cache's start. What was made within the clock's grain of that start is not
 *     believed by a scan (cache.c, I1), and read: that is no more than can be made in that time.
 * F2  What is not as the tree has it, as far as lstat(2) tells, is left out of the cache.
 */
#include "source/source.h"

struct filling {
	struct pl_cache *cache;
	struct pl_cursor *cursor;
	struct pl_walk walk;
	enum pl_rule rule;
	bool is_skipped; /* the directory that was just met is not there */
};

bool pl_cache_is_sound(int source_fd)
{
	struct pl_fs fs;

	return pl_fs_probe(source_fd, &fs) >= 0 && fs.is_local && !fs.is_volatile;
}

/* F2. An entry without an owner is of a tree by another rule: what a file has there is not known. */
static bool is_as_entry(const struct stat *st, const struct pl_entry *e, enum pl_rule rule)
{
	const struct pl_meta *meta = &e->meta;

	if (pl_kind_of(st->st_mode) != e->kind)
		return false;
	if (rule == PL_RULE_EXACT && meta->uid == PLEACH_NO_OWNER)
		return false;
	if (meta->uid != PLEACH_NO_OWNER && (st->st_uid != meta->uid || st->st_gid != meta->gid))
		return false;
	if (e->kind == PLEACH_FILE && (uint64_t)st->st_size != e->size)
		return false;
	return (e->kind == PLEACH_SYMLINK || (st->st_mode & 07777) == meta->mode) &&
	       st->st_mtim.tv_sec == meta->mtime_s && st->st_mtim.tv_nsec == (long)meta->mtime_ns;
}

static int add_entry(struct filling *f)
{
	struct pl_entry e = *pl_cursor_entry(f->cursor);
	char name[PL_NAME_MAX + 1];
	struct stat st;
	int r;

	pl_entry_name(&e, name);
	r = pl_lstat(pl_walk_fd(&f->walk), name, &st);
	if (r < 0)
		return r == -ENOENT || r == -EACCES ? 0 : r;
	if (!is_as_entry(&st, &e, f->rule))
		return 0;
	pl_meta_reduce(&e.meta, e.kind, f->rule);
	return pl_cache_add(f->cache, pl_cursor_path(f->cursor), &st, &e);
}

static int enter(struct filling *f)
{
	char name[PL_NAME_MAX + 1];
	int r;

	if (*pl_cursor_path(f->cursor) == '\0')
		return 0;
	pl_entry_name(pl_cursor_entry(f->cursor), name);
	r = pl_walk_enter(&f->walk, name);
	if (r != -ENOENT && r != -ENOTDIR && r != -ELOOP && r != -EACCES)
		return r;
	pl_cursor_skip(f->cursor);
	f->is_skipped = true;
	return 0;
}

static int leave(struct filling *f)
{
	if (f->is_skipped || *pl_cursor_path(f->cursor) == '\0') {
		f->is_skipped = false;
		return 0;
	}
	return pl_walk_leave(&f->walk);
}

static int fill(struct filling *f, const struct pl_store *store, struct pleach_error *error)
{
	int r = 0;

	while ((r = pl_store_check_cancel(store, error)) >= 0 &&
	       (r = pl_cursor_next(f->cursor, error)) > 0) {
		if (r == PL_STEP_ENTRY)
			r = add_entry(f);
		else
			r = r == PL_STEP_ENTER ? enter(f) : leave(f);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look at '%s' in the workspace",
					   pl_cursor_path(f->cursor));
	}
	return r;
}

int pl_cache_fill(struct pl_store *store, struct pl_txdir *tx, int root_fd,
		  const struct pl_id *base, enum pl_rule rule, const struct pl_cache_place *place,
		  struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(store);
	struct filling f = {.rule = rule};
	int r = pl_cache_open(store, tx, root_fd, rule, place, &f.cache);
	int fd = r < 0 ? r : pl_open_dir(root_fd, ".");

	pl_assert(tx && place);
	r = fd < 0 ? fd : pl_walk_init_take(&f.walk, fd);
	if (r < 0) {
		pl_cache_close(f.cache);
		return pl_fail_sys(error, r, "cannot look at the workspace");
	}
	r = pl_cursor_new(&nodes, base, false, store->seed, &f.cursor, error);
	if (r >= 0)
		r = fill(&f, store, error);
	if (r >= 0)
		pl_cache_keep(f.cache);
	pl_cursor_free(f.cursor);
	pl_walk_done(&f.walk);
	pl_cache_close(f.cache);
	return r;
}
