/*
 * What lost content may be taken from outside of the store (`--from`): another store, or a directory.
 * Nothing of it is believed (M1).
 *
 *	store       objects and nodes by their ids; texts of the same ref (repair_text.c)
 *	directory   the files at the paths that the damaged ones have in their trees; then all files of
 *	            the sizes that are wanted
 *
 * F1  The walk through a directory follows no symlinks, and opens nothing but regular files of a size that is
 *     wanted.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/repair_node.h"
#include "gc/repair_object.h"

struct pl_outside {
	const char *path;	/* as it was given */
	struct pl_store *store; /* NULL: it is a directory */
	int fd;
};

int pl_outside_open(struct pl_repairing *m, struct pleach_error *error)
{
	const char *path = m->options->from;
	struct pl_outside *outside;
	int r = 0;

	if (!path)
		return 0;
	outside = calloc(1, sizeof(*outside));
	if (!outside)
		return pl_fail_memory(error);
	*outside = (struct pl_outside){.path = path, .fd = -EBADF};
	m->outside = outside;
	outside->fd = pl_open_follow(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	if (outside->fd < 0) {
		r = pl_fail_sys(error, outside->fd, "cannot repair from '%s'", path);
		pl_error_path(error, path);
		return r;
	}
	if (pl_exists(outside->fd, ".pleach") != 1)
		return 0;
	r = pl_store_open(path, &outside->store, error);
	if (r >= 0)
		r = pl_store_must_read(outside->store, error);
	if (r < 0)
		pl_error_prefix(error, "cannot repair from '%s'", path);
	return r;
}

void pl_outside_close(struct pl_repairing *m)
{
	if (!m->outside)
		return;
	if (m->outside->store)
		pl_store_close(m->outside->store);
	pl_closep(&m->outside->fd);
	free(m->outside);
	m->outside = NULL;
}

int pl_outside_ref(struct pl_repairing *m, const struct pl_ref *ref, struct pl_ref *ret_ref)
{
	struct pl_ref other;

	if (!m->outside || !m->outside->store ||
	    pl_ref_open(m->outside->store, ref->name, &other, NULL) < 0)
		return 0;
	if (strcmp(other.id, ref->id) == 0) {
		*ret_ref = other;
		return 1;
	}
	pl_ref_close(&other);
	return 0;
}

/* ---- nodes ---- */

int pl_outside_nodes(struct pl_nodes_wanted *w, bool thorough, struct pleach_error *error)
{
	struct pl_outside *outside = w->m->outside;
	struct pl_node_source nodes;

	if (!outside || thorough == (outside->store != NULL))
		return 0;
	if (!outside->store)
		return pl_nodes_scan(w, outside->fd, outside->path, error);
	nodes = pl_store_nodes(outside->store);
	return pl_nodes_take(w, &nodes, outside->path, error);
}

/* ---- objects, of a store ---- */

static bool is_left(const struct pl_wanted *w)
{
	return w->has_entry && !w->is_mended && !w->why_not;
}

static int try_store(struct pl_mending *o, struct pl_store *store, const char *path,
		     struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		PL_CLOSE int fd = -EBADF;

		if (!is_left(&o->wanted[i]))
			continue;
		fd = pl_store_find(store, 'o', &o->wanted[i].object);
		r = pl_mending_try(o, &o->wanted[i], fd, path, error);
	}
	return r < 0 ? r : 0;
}

/* ---- objects, of a directory ---- */

static int try_file(struct pl_mending *o, struct pl_wanted *w, int fd, const char *path,
		    struct pleach_error *error)
{
	PL_BUFFER source = {0};

	if (fd < 0)
		return 0;
	pl_buffer_add_format(&source, "%s/%s", o->m->outside->path, path);
	return pl_buffer_ok(&source) ? pl_mending_try(o, w, fd, pl_buffer_string(&source), error)
				     : pl_fail_memory(error);
}

static int try_paths(struct pl_mending *o, int dirfd, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < o->n; i++) {
		struct pl_wanted *w = &o->wanted[i];

		for (size_t j = 0; r >= 0 && j < w->paths.n && is_left(w); j++) {
			PL_CLOSE int fd = pl_mending_open(dirfd, w->paths.items[j]);

			r = try_file(o, w, fd, w->paths.items[j], error);
		}
	}
	return r < 0 ? r : 0;
}

struct walk {
	struct pl_mending *o;
	struct pl_walk at;
	struct level {
		struct pl_listing listing;
		size_t next;
	} * levels;
	size_t n, capacity;
	struct pl_map sizes; /* size -> 1 */
};

static int push(struct walk *w, struct pleach_error *error)
{
	int r;

	if (PL_ARRAY_GROW(w->levels, w->capacity, w->n) < 0)
		return pl_fail_memory(error);
	w->levels[w->n] = (struct level){.next = 0};
	r = pl_list(pl_walk_fd(&w->at), &w->levels[w->n++].listing);
	return r == -ENOMEM ? pl_fail_memory(error) : 0;
}

/* 0, also where there is no way back: then that is the end of the walk. */
static int pop(struct walk *w)
{
	pl_listing_done(&w->levels[--w->n].listing);
	if (w->n > 0 && pl_walk_leave(&w->at) < 0)
		while (w->n > 0)
			pl_listing_done(&w->levels[--w->n].listing);
	return 0;
}

/* F1. */
static int visit_file(struct walk *w, const char *name, const struct stat *st,
		      struct pleach_error *error)
{
	const uint64_t size = (uint64_t)st->st_size;
	PL_BUFFER path = {0};
	PL_CLOSE int fd = -EBADF;
	int r = 0;

	if (!S_ISREG(st->st_mode) || !pl_map_get(&w->sizes, &size))
		return 0;
	fd = pl_open(pl_walk_fd(&w->at), name, O_RDONLY | O_NONBLOCK);
	pl_buffer_add_string(&path, pl_walk_path(&w->at));
	pl_path_push(&path, name, strlen(name));
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	for (size_t i = 0; r >= 0 && i < w->o->n; i++)
		if (is_left(&w->o->wanted[i]) && w->o->wanted[i].entry.size == size)
			r = try_file(w->o, &w->o->wanted[i], fd, pl_buffer_string(&path), error);
	return r < 0 ? r : 0;
}

static int step(struct walk *w, struct pleach_error *error)
{
	struct level *level = &w->levels[w->n - 1];
	const char *name;
	struct stat st;

	if (level->next == level->listing.n)
		return pop(w);
	name = level->listing.entries[level->next++].name;
	if (pl_lstat(pl_walk_fd(&w->at), name, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return visit_file(w, name, &st, error);
	return pl_walk_enter(&w->at, name) < 0 ? 0 : push(w, error);
}

static int try_everything(struct pl_mending *o, int dirfd, struct pleach_error *error)
{
	struct walk w = {.o = o};
	int r = pl_open_dir(dirfd, ".");

	pl_map_init(&w.sizes, sizeof(uint64_t), o->m->store->seed);
	if (r >= 0)
		r = pl_walk_init_take(&w.at, r);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s'", o->m->outside->path);
	for (size_t i = 0; r >= 0 && i < o->n; i++)
		if (is_left(&o->wanted[i]) && pl_map_put(&w.sizes, &o->wanted[i].entry.size, 1) < 0)
			r = pl_fail_memory(error);
	if (r >= 0)
		r = push(&w, error);
	while (r >= 0 && w.n > 0 && o->n_left > 0) {
		r = step(&w, error);
		if (r >= 0)
			r = pl_store_check_cancel(o->m->store, error);
	}
	while (w.n > 0)
		pl_listing_done(&w.levels[--w.n].listing);
	free(w.levels);
	pl_walk_done(&w.at);
	pl_map_done(&w.sizes);
	return r;
}

int pl_outside_objects(struct pl_mending *o, struct pleach_error *error)
{
	struct pl_outside *outside = o->m->outside;
	int r;

	if (!outside)
		return 0;
	if (outside->store)
		return try_store(o, outside->store, outside->path, error);
	r = try_paths(o, outside->fd, error);
	return r < 0 || o->n_left == 0 ? r : try_everything(o, outside->fd, error);
}
