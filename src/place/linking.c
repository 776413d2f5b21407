/*
 * Names of a layout that are nothing but links, made by the threads of a crew: unchanged files, from where
 * the base has them or from their objects. The walk (layout.c) goes ahead of them.
 *
 * K1  A directory gets its own metadata when all below it is made: that it is complete queues behind its
 *     names, and is delivered in its place.
 * K2  What cannot be linked is made as it would have been without threads, when its turn comes.
 * K3  Which names are linked, and from where, is decided by the walk alone: so the filter, the counts and the
 *     first failure are those of one thread.
 * K4  Memory and descriptors: AT_ONCE names in MOST_DIRS directories for each task, a few tasks for each
 *     thread; a directory has two descriptors.
 */
#include <stdlib.h>

#include "place/inner.h"

#define AT_ONCE	    64
#define MOST_DIRS   4
#define EACH	    3
#define ALONE_UNTIL 2
#define WORTH_IT    256 /* entries of a tree */

enum kind { FROM_BASE, FROM_OBJECT, COMPLETE };
struct item {
	enum kind kind;
	size_t path, entry, length; /* in paths; encoded in entries: the entry, or the metadata */
	struct pl_linked_dir *dir;
	struct pl_id object;
	int r;
};
struct row {
	struct item items[AT_ONCE];
	size_t n, n_dirs;
	const struct pl_linked_dir *last; /* only to count them */
	struct pl_buffer paths, entries;
};
/** A directory that names are made in, as long as some are on their way. */
struct pl_linked_dir {
	int to_fd, from_fd; /* from_fd: of the base, -EBADF: none */
	size_t users;
};
struct pl_linking {
	struct pl_laying *laying;
	struct pl_crew *crew;
	struct row *now; /* being filled; NULL: none */
	struct pleach_error *error;
};

void pl_linked_dir_release(struct pl_linked_dir *dir)
{
	if (!dir || --dir->users > 0)
		return;
	pl_closep(&dir->to_fd);
	pl_closep(&dir->from_fd);
	free(dir);
}

static const char *path_of(const struct row *row, const struct item *item)
{
	return (const char *)row->paths.data + item->path;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- in a thread of the crew ---- */

static int link_row(void *self, void *worker, void *task)
{
	const struct pl_linking *linking = self;
	struct row *row = task;

	(void)worker;
	for (size_t i = 0; i < row->n; i++) {
		struct item *item = &row->items[i];
		const char *name = name_of(path_of(row, item));

		if (item->kind == FROM_BASE)
			item->r = pl_link(item->dir->from_fd, name, item->dir->to_fd, name);
		else if (item->kind == FROM_OBJECT)
			item->r = pl_laying_link_object(linking->laying, &item->object,
							item->dir->to_fd, name);
	}
	return 0;
}

/* ---- in the order of the walk ---- */

static int take_complete(struct pl_linking *linking, struct row *row, const struct item *item)
{
	struct pl_reader reader = pl_reader_of(row->entries.data + item->entry, item->length);
	struct pl_meta meta;
	int r = pl_meta_decode(&reader, &meta);

	pl_assert(r == 0); /* our own encoding */
	return pl_laying_finish_directory(linking->laying, item->dir->to_fd, path_of(row, item),
					  &meta, linking->error);
}

static int take_item(struct pl_linking *linking, struct row *row, const struct item *item)
{
	struct pl_laying *l = linking->laying;
	struct pl_reader reader = pl_reader_of(row->entries.data + item->entry, item->length);
	struct pl_entry entry;
	int r;

	if (item->kind == COMPLETE)
		return take_complete(linking, row, item);
	r = pl_entry_decode(&reader, &entry);
	pl_assert(r == 0); /* our own encoding */
	return pl_laying_linked(l, item->dir->to_fd, &entry, path_of(row, item),
				item->kind == FROM_BASE, item->r, linking->error);
}

static int take_row(void *self, void *task, int r)
{
	struct pl_linking *linking = self;
	struct row *row = task;

	for (size_t i = 0; i < row->n; i++) {
		if (r >= 0)
			r = take_item(linking, row, &row->items[i]);
		pl_linked_dir_release(row->items[i].dir);
	}
	row->n = row->n_dirs = 0;
	row->last = NULL;
	pl_buffer_truncate(&row->paths, 0);
	pl_buffer_truncate(&row->entries, 0);
	return r;
}

static void row_done(void *self, void *task)
{
	struct row *row = task;

	(void)self;
	for (size_t i = 0; i < row->n; i++) /* what was never submitted */
		pl_linked_dir_release(row->items[i].dir);
	pl_buffer_done(&row->paths);
	pl_buffer_done(&row->entries);
}

/* ---- from the walk ---- */

int pl_linking_begin(struct pl_laying *l, struct pleach_error *error)
{
	const struct pl_layout *layout = l->layout;
	struct pl_linking *linking;
	struct pl_crew_work work = {.run = link_row,
				    .deliver = take_row,
				    .task_done = row_done,
				    .task_size = sizeof(struct row),
				    .slots_each = EACH,
				    .alone_until = ALONE_UNTIL};

	/* With a spare most is moved, and what is made depends on what it still has. */
	if (layout->jobs == 1 || l->origins[PL_ORIGIN_SPARE].is_there ||
	    (layout->jobs == 0 && (pl_cpu_count() == 1 || (layout->total_entries > 0 &&
							   layout->total_entries < WORTH_IT))))
		return 0;
	linking = calloc(1, sizeof(*linking));
	if (!linking)
		return pl_fail_memory(error);
	linking->laying = l;
	work.self = linking;
	if (pl_crew_new(&work, layout->jobs, &linking->crew) < 0) {
		free(linking);
		return pl_fail_memory(error);
	}
	l->linking = linking;
	return 0;
}

void pl_linking_end(struct pl_laying *l)
{
	if (!l->linking)
		return;
	pl_crew_free(l->linking->crew);
	free(l->linking);
	l->linking = NULL;
}

static int submit(struct pl_linking *linking)
{
	linking->now = NULL;
	return pl_crew_submit(linking->crew);
}

/* Holds the directory that the walk is in. */
static int hold(struct pl_laying *l, struct pl_level *level)
{
	struct pl_linked_dir *dir;
	int from = pl_origin_fd(l, PL_ORIGIN_BASE, &level->origins[PL_ORIGIN_BASE]);

	if (level->linked)
		return 0;
	dir = malloc(sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	*dir = (struct pl_linked_dir){.to_fd = pl_dup(pl_walk_fd(&l->walk)),
				      .from_fd = from < 0 ? -EBADF : pl_dup(from),
				      .users = 1};
	level->linked = dir;
	if (dir->to_fd < 0)
		return dir->to_fd;
	return from >= 0 && dir->from_fd < 0 ? dir->from_fd : 0;
}

/* Where the next item of this directory goes. */
static int make_room(struct pl_linking *linking, const struct pl_linked_dir *dir)
{
	struct row *row = linking->now;
	void *task;
	int r = 0;

	if (row && row->n_dirs == MOST_DIRS && row->last != dir)
		r = submit(linking);
	if (r >= 0 && !linking->now) {
		r = pl_crew_task(linking->crew, &task);
		if (r >= 0)
			linking->now = task;
	}
	return r;
}

static int add(struct pl_laying *l, struct pl_level *level, const struct item *item,
	       const char *path, const struct pl_entry *entry, const struct pl_meta *meta,
	       struct pleach_error *error)
{
	struct pl_linking *linking = l->linking;
	struct item *new;
	struct row *row;
	int r;

	linking->error = error;
	r = hold(l, level);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot hold the directory of '%s'", path);
	r = make_room(linking, level->linked);
	if (r < 0)
		return r;
	row = linking->now;
	new = &row->items[row->n++];
	*new = *item;
	new->dir = level->linked;
	new->dir->users++;
	row->n_dirs += row->last != new->dir;
	row->last = new->dir;
	new->path = row->paths.length;
	pl_buffer_add(&row->paths, path, strlen(path) + 1);
	new->entry = row->entries.length;
	if (entry)
		pl_entry_encode(entry, &row->entries);
	else
		pl_meta_encode(meta, &row->entries);
	new->length = row->entries.length - new->entry;
	if (!pl_buffer_ok(&row->paths) || !pl_buffer_ok(&row->entries)) {
		row->n--; /* what is there is still handed out, and this has no path */
		pl_linked_dir_release(level->linked);
		return pl_fail_memory(error);
	}
	return row->n == AT_ONCE ? submit(linking) : 0;
}

int pl_linking_from_base(struct pl_laying *l, struct pl_level *level, const struct pl_entry *entry,
			 const char *path, struct pleach_error *error)
{
	const struct item item = {.kind = FROM_BASE};

	return add(l, level, &item, path, entry, NULL, error);
}

int pl_linking_from_object(struct pl_laying *l, struct pl_level *level,
			   const struct pl_entry *entry, const struct pl_id *object,
			   const char *path, struct pleach_error *error)
{
	const struct item item = {.kind = FROM_OBJECT, .object = *object};

	return add(l, level, &item, path, entry, NULL, error);
}

int pl_linking_complete(struct pl_laying *l, struct pl_level *level, const char *path,
			const struct pl_meta *meta, struct pleach_error *error)
{
	const struct item item = {.kind = COMPLETE};
	int r;

	if (!l->linking || (!l->linking->now && pl_crew_is_idle(l->linking->crew)))
		return 0;
	r = add(l, level, &item, path, NULL, meta, error);
	return r < 0 ? r : 1;
}

int pl_linking_finish(struct pl_laying *l, struct pleach_error *error)
{
	int r = 0;

	if (!l->linking)
		return 0;
	l->linking->error = error;
	if (l->linking->now)
		r = submit(l->linking);
	return r < 0 ? r : pl_crew_finish(l->linking->crew);
}
