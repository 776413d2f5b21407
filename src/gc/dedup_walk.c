/*
 * All names of files below a PATH. Nothing is opened but directories, and one file of each PATH, to see what
 * the file system can.
 *
 * W1  Other file systems below, and what is `.pleach-<random>`, are not entered; dead ones of these go.
 * W2  The `.pleach` of a store is entered only where blocks are shared (G4: names there are never changed).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

#include "gc/dedup.h"

struct level {
	struct pl_listing listing;
	size_t next;
	uint64_t where; /* of the directory's record; 0: not yet made */
};
struct walker {
	struct dedup *d;
	struct dedup_root *root;
	struct pl_walk walk;
	struct level *levels;
	size_t n, capacity;
};

static int finding(struct walker *w, const char *name, int r, const char *what)
{
	PL_BUFFER path = {0};

	pl_buffer_add_string(&path, w->root->path);
	dedup_path_add(&path, pl_walk_path(&w->walk));
	dedup_path_add(&path, name ? name : "");
	if (!pl_buffer_ok(&path))
		return -ENOMEM;
	w->d->result->failed++;
	return pl_findings_add(w->d->findings, false, "file", pl_buffer_string(&path), "%s: %s",
			       what, strerror(-r));
}

/* ---- directories ---- */

/* W1. */
static void sweep(struct walker *w, const struct pl_listing *listing)
{
	struct stat before, after;
	int fd = pl_walk_fd(&w->walk);

	for (size_t i = 0; i < listing->n; i++) {
		if (!pl_beside_is_name(listing->entries[i].name))
			continue;
		if (w->d->what->dry_run || pl_fstat(fd, &before) < 0)
			return;
		(void)pl_beside_sweep(fd);
		if (pl_fstat(fd, &after) == 0 && after.st_nlink < before.st_nlink)
			(void)pl_utimens(fd, before.st_mtim.tv_sec,
					 (uint32_t)before.st_mtim.tv_nsec);
		return;
	}
}

static int push_level(struct walker *w)
{
	int r = PL_ARRAY_GROW(w->levels, w->capacity, w->n);

	if (r < 0)
		return r;
	w->levels[w->n] = (struct level){0};
	r = pl_list(pl_walk_fd(&w->walk), &w->levels[w->n].listing);
	if (r < 0)
		return r;
	sweep(w, &w->levels[w->n++].listing);
	return 0;
}

static int pop_level(struct walker *w)
{
	pl_listing_done(&w->levels[--w->n].listing);
	return w->n == 0 ? 0 : pl_walk_leave(&w->walk);
}

/* W2. */
static bool may_enter_store(struct walker *w, int fd)
{
	PL_CLOSE int config = pl_open(fd, "config", O_RDONLY | O_NONBLOCK);

	if (config == -ENOENT)
		return true; /* it only has the name */
	if (!w->root->has_how && config >= 0) {
		w->root->how = pl_share_probe(config) == 1 ? PL_DEDUP_REFLINK : PL_DEDUP_LINK;
		w->root->has_how = true;
	}
	return w->root->has_how && w->root->how == PL_DEDUP_REFLINK;
}

static bool is_index(const struct walker *w, const struct stat *st)
{
	return w->d->index_fd >= 0 && st->st_dev == w->d->index_dev &&
	       st->st_ino == w->d->index_ino;
}

static int enter(struct walker *w, const char *name)
{
	int fd = pl_open_dir(pl_walk_fd(&w->walk), name);
	struct stat st;
	int r = fd;

	if (fd >= 0)
		r = pl_fstat(fd, &st);
	if (fd >= 0 && (r < 0 || st.st_dev != w->root->dev || is_index(w, &st) ||
			(strcmp(name, ".pleach") == 0 && !may_enter_store(w, fd)))) {
		pl_close(fd);
		return r < 0 ? r : 0;
	}
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR || r == -ELOOP
			       ? 0
			       : finding(w, name, r, "cannot open the directory");
	r = pl_walk_enter_take(&w->walk, name, fd);
	if (r < 0)
		return r;
	r = push_level(w);
	if (r < 0 && r != -ENOMEM) {
		r = finding(w, NULL, r, "cannot list the directory");
		if (r >= 0)
			r = pl_walk_leave(&w->walk);
	}
	return r;
}

/* ---- files ---- */

/* What can be had there? 0, or -EOPNOTSUPP: not what was asked for. */
static int probe(struct walker *w, const char *name)
{
	PL_CLOSE int fd = pl_open(pl_walk_fd(&w->walk), name, O_RDONLY | O_NONBLOCK);
	struct pleach_error *error = w->d->error;

	if (fd < 0)
		return 0;
	w->root->has_how = true;
	if (pl_share_probe(fd) == 1) {
		w->root->how = PL_DEDUP_REFLINK;
		return 0;
	}
	w->root->how = PL_DEDUP_LINK;
	if (w->d->what->how != PL_DEDUP_REFLINK)
		return 0;
	pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
		"the file system of '%s' (%s) cannot have files share blocks", w->root->path,
		w->root->fs.name);
	pl_error_path(error, w->root->path);
	pl_hint(error, "use --how=link");
	return -EOPNOTSUPP;
}

/* What lstat tells of all that must be equal. */
static uint64_t key_of(const struct walker *w, const struct stat *st)
{
	bool is_shared = w->root->has_how && w->root->how == PL_DEDUP_REFLINK;
	uint32_t match = is_shared ? w->d->match_share : w->d->match_link;
	uint64_t key = dedup_mix(w->d->seed + is_shared, (uint64_t)st->st_size);

	key = dedup_mix(key, (uint64_t)st->st_dev);
	if (match & PL_DEDUP_MATCH_MODE)
		key = dedup_mix(key, st->st_mode);
	if (match & PL_DEDUP_MATCH_OWNER)
		key = dedup_mix(key, (uint64_t)st->st_uid << 32 | st->st_gid);
	if (match & PL_DEDUP_MATCH_MTIME)
		key = dedup_mix(dedup_mix(key, (uint64_t)st->st_mtim.tv_sec),
				(uint64_t)st->st_mtim.tv_nsec);
	return key;
}

static int add_file(struct walker *w, const char *name, const struct stat *st)
{
	struct level *level = &w->levels[w->n - 1];
	struct dedup_names *names = &w->d->names;
	struct dedup_name item = {.ino = st->st_ino};
	int r = 0;

	if (!w->root->has_how)
		r = probe(w, name);
	if (r >= 0 && level->where == 0)
		r = dedup_dir_add(w->d, w->root, pl_walk_path(&w->walk), &level->where);
	if (r >= 0)
		r = dedup_file_add(w->d, level->where, name, &item.where);
	if (r >= 0)
		r = PL_ARRAY_GROW(names->items, names->capacity, names->n);
	if (r < 0)
		return r;
	item.key = key_of(w, st);
	names->items[names->n++] = item;
	w->d->result->files++;
	w->d->result->bytes += (uint64_t)st->st_size;
	w->d->done++;
	w->d->done_bytes += (uint64_t)st->st_size;
	return 0;
}

static int visit(struct walker *w, const struct pl_dirent *entry)
{
	struct stat st = {.st_mode = S_IFDIR};
	int r = 0;

	if (pl_beside_is_name(entry->name) ||
	    (entry->type != DT_UNKNOWN && entry->type != DT_DIR && entry->type != DT_REG))
		return 0;
	if (entry->type != DT_DIR)
		r = pl_lstat(pl_walk_fd(&w->walk), entry->name, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : finding(w, entry->name, r, "cannot look at it");
	if (S_ISDIR(st.st_mode))
		return enter(w, entry->name);
	/* A file can be mounted over a name, too. An empty one has nothing to share. */
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_dev != w->root->dev)
		return 0;
	/* What its owner may write is no finished file of such a store: Nix leaves it out, too. */
	if (w->d->index_fd >= 0 && w->d->what->layout == PL_DEDUP_NIX && (st.st_mode & S_IWUSR))
		return 0;
	if (dedup_index_has(w->d, &st)) {
		w->d->result->files++;
		w->d->result->bytes += (uint64_t)st.st_size;
		return 0;
	}
	return add_file(w, entry->name, &st);
}

int dedup_walk(struct dedup *d, struct dedup_root *root)
{
	struct walker w = {.d = d, .root = root};
	int r = pl_open_dir(root->fd, ".");

	if (r >= 0)
		r = pl_walk_init_take(&w.walk, r);
	if (r >= 0)
		r = push_level(&w);
	while (r >= 0 && w.n > 0) {
		struct level *level = &w.levels[w.n - 1];

		r = dedup_tick(d);
		if (r >= 0 && level->next == level->listing.n)
			r = pop_level(&w);
		else if (r >= 0)
			r = visit(&w, &level->listing.entries[level->next++]);
	}
	while (w.n > 0)
		pl_listing_done(&w.levels[--w.n].listing);
	free(w.levels);
	pl_walk_done(&w.walk);
	return r < 0 ? r : 0;
}
