/*
 * What a scan's walk has met, on its way to the assembly: straight on as long as nothing is to be read, else
 * as stretches of the walk, which the threads of a crew read.
 *
 * S1  Everything reaches the assembly in the order of the walk.
 * S2  Where a stretch ends depends on the source alone, not on how many threads there are: so does which
 *     failure is the first.
 * S3  An object is claimed before its name in the store is looked at: those of a stretch all at once.
 * S4  Memory: a stretch is at most MOST_ITEMS names, MOST_READS that are read, and content of LARGE bytes and
 *     a file; a crew has a few of them for each thread. Descriptors: names are read in at most MOST_DIRS
 *     directories, each held twice, here and where its new files go.
 */
#include <stdlib.h>

#include "source/scanning.h"

#define MOST_ITEMS    128
#define MOST_READS    32
#define MOST_DIRS     4
#define LARGE	      (256u << 10)
#define EACH	      3 /* stretches for each thread */
#define STRETCH_ALONE 1

_Static_assert(MOST_READS <= PL_CLAIMS_AT_ONCE, "one claim for a stretch");

/* Of a thread. */
struct reader {
	struct pl_ingest ingest;
	bool is_begun;
	/* Files whose content is in `ingest`. */
	struct pl_id objects[MOST_READS];
	struct pl_item *items[MOST_READS];
	size_t contents[MOST_READS];
	size_t n;
};

static const char *path_of(const struct pl_stretch *stretch, const struct pl_item *item)
{
	return (const char *)stretch->paths.data + item->path;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct pl_entry entry_of(const struct pl_stretch *stretch, const struct pl_item *item)
{
	struct pl_reader reader = pl_reader_of(stretch->entries.data + item->entry, item->length);
	struct pl_entry e;
	int r = pl_entry_decode(&reader, &e);

	pl_assert(r == 0); /* our own encoding */
	return e;
}

void pl_scan_dir_release(struct pl_scan_dir *dir)
{
	if (!dir || --dir->users > 0)
		return;
	pl_closep(&dir->fd);
	pl_stage_dir_close(&dir->stage);
	free(dir);
}

/* ---- in a thread of the crew ---- */

static int begin_reader(struct pl_stretching *s, struct reader *reader, struct pleach_error *error)
{
	int r;

	if (reader->is_begun)
		return 0;
	r = pl_ingest_init(&reader->ingest, s->scan->stage, s->scan->rule, s->scan->label);
	if (r < 0)
		return pl_fail_memory(error);
	reader->is_begun = true;
	reader->ingest.is_quiet = s->scan->is_quiet;
	pl_crew_enter(s->crew);
	reader->ingest.worker = ++s->n_readers;
	pl_crew_leave(s->crew);
	return 0;
}

static int read_item(struct reader *reader, struct pl_stretch *stretch, struct pl_item *item)
{
	const char *path = path_of(stretch, item);
	size_t content = reader->ingest.content.length;
	struct pl_entry e;
	int r = pl_ingest_read(&reader->ingest, &item->dir->stage, item->dir->fd, name_of(path),
			       path, &item->st, &e, &stretch->error);

	if (r < 0)
		return r;
	item->ingested = (enum pl_ingested)r;
	if (r == PL_INGESTED_GONE)
		return 0;
	item->entry = stretch->entries.length;
	pl_entry_encode(&e, &stretch->entries);
	item->length = stretch->entries.length - item->entry;
	if (!pl_buffer_ok(&stretch->entries))
		return pl_fail_memory(&stretch->error);
	if (r != PL_INGESTED_CONTENT)
		return 0;
	pl_assert(reader->n < MOST_READS);
	pl_entry_object(&e, &reader->objects[reader->n]);
	reader->items[reader->n] = item;
	reader->contents[reader->n++] = content;
	return 0;
}

static int store_item(struct reader *reader, struct pl_stretch *stretch, size_t i)
{
	struct pl_item *item = reader->items[i];
	struct pl_entry e = entry_of(stretch, item);
	int r = pl_ingest_store(&reader->ingest, &item->dir->stage, path_of(stretch, item), &e,
				reader->ingest.content.data + reader->contents[i], &stretch->error);

	if (r < 0)
		return r;
	item->ingested = (enum pl_ingested)r;
	return 0;
}

static int read_stretch(void *self, void *worker, void *task)
{
	struct pl_stretching *s = self;
	struct reader *reader = worker;
	struct pl_stretch *stretch = task;
	int r = begin_reader(s, reader, &stretch->error);

	pl_buffer_truncate(&reader->ingest.content, 0);
	reader->n = 0;
	for (size_t i = 0; r >= 0 && i < stretch->n; i++) {
		if (stretch->items[i].kind == PL_ITEM_READ)
			r = read_item(reader, stretch, &stretch->items[i]);
		if (r >= 0)
			r = pl_store_check_cancel(s->scan->store, &stretch->error);
	}
	if (r >= 0 && reader->n > 0)
		r = pl_stage_claim_objects(s->scan->stage, reader->objects, reader->n,
					   &stretch->error); /* S3 */
	for (size_t i = 0; r >= 0 && i < reader->n; i++)
		r = store_item(reader, stretch, i);
	return r;
}

static void reader_done(void *self, void *worker)
{
	struct reader *reader = worker;

	(void)self;
	if (reader->is_begun)
		pl_ingest_done(&reader->ingest);
}

/* ---- into the assembly ---- */

static int take_read(struct pl_stretching *s, struct pl_stretch *stretch, struct pl_item *item)
{
	const char *path = path_of(stretch, item);
	struct pl_entry e;
	struct pl_id object;

	if (item->ingested == PL_INGESTED_GONE)
		return 0;
	e = entry_of(stretch, item);
	s->assembly->result->files_read++;
	s->bytes_read += e.size;
	if (item->ingested == PL_INGESTED_NEW) {
		int r;

		pl_entry_object(&e, &object);
		r = pl_stage_note(s->scan->stage, path, &object, e.size);
		if (r < 0)
			return pl_fail_sys(s->error, r, "cannot write '%s/%s' into the store",
					   s->scan->label, path);
	}
	return pl_assembly_entry(s->assembly, path, &item->st, item->link, &e, s->error);
}

/* The entry of the name of the inode that was met first. That one may have vanished. */
static int take_link(struct pl_stretching *s, struct pl_scan_dir *dir, const char *path,
		     struct stat *st, size_t link)
{
	const struct pl_entry *first = pl_links_entry(s->assembly->links, link - 1);
	struct pl_entry e;
	int r = 0;

	if (first) {
		e = *first;
		e.name = name_of(path);
		e.name_length = (uint8_t)strlen(e.name);
	} else {
		r = pl_ingest_entry(&s->late, &dir->stage, dir->fd, name_of(path), path, st, &e,
				    s->error);
		if (r != 0)
			return r < 0 ? r : 0;
		s->assembly->result->files_read++;
		s->bytes_read += e.size;
	}
	return pl_assembly_entry(s->assembly, path, st, link, &e, s->error);
}

static int take_item(struct pl_stretching *s, struct pl_stretch *stretch, struct pl_item *item)
{
	const char *path = path_of(stretch, item);
	struct pl_entry e;

	switch (item->kind) {
	case PL_ITEM_ENTER:
		return pl_assembly_enter(s->assembly, stretch->entries.data + item->entry,
					 item->length, item->has_base ? &item->base : NULL,
					 s->error);
	case PL_ITEM_KNOWN:
		e = entry_of(stretch, item);
		return pl_assembly_entry(s->assembly, path, &item->st, item->link, &e, s->error);
	case PL_ITEM_READ:
		return take_read(s, stretch, item);
	case PL_ITEM_LINK:
		return take_link(s, item->dir, path, &item->st, item->link);
	case PL_ITEM_LEAVE:
		return pl_assembly_leave(s->assembly, path, s->error);
	}
	pl_assert(false);
	return -EINVAL;
}

static int take_stretch(void *self, void *task, int r)
{
	struct pl_stretching *s = self;
	struct pl_stretch *stretch = task;

	if (r < 0 && r != -ECANCELED && s->error)
		*s->error = stretch->error;
	for (size_t i = 0; i < stretch->n; i++) {
		if (r >= 0)
			r = take_item(s, stretch, &stretch->items[i]);
		pl_scan_dir_release(stretch->items[i].dir);
	}
	stretch->n = stretch->n_reads = stretch->n_dirs = 0;
	stretch->size = 0;
	stretch->last_dir = NULL;
	pl_buffer_truncate(&stretch->paths, 0);
	pl_buffer_truncate(&stretch->entries, 0);
	return r;
}

static void stretch_done(void *self, void *task)
{
	struct pl_stretch *stretch = task;

	(void)self;
	for (size_t i = 0; i < stretch->n; i++) /* what was never submitted */
		pl_scan_dir_release(stretch->items[i].dir);
	free(stretch->items);
	pl_buffer_done(&stretch->paths);
	pl_buffer_done(&stretch->entries);
}

/* ---- from the walk ---- */

int pl_stretching_begin(struct pl_stretching *s, const struct pl_scan *scan,
			struct pl_assembly *assembly, struct pleach_error *error)
{
	const struct pl_crew_work work = {.run = read_stretch,
					  .deliver = take_stretch,
					  .task_done = stretch_done,
					  .worker_done = reader_done,
					  .self = s,
					  .task_size = sizeof(struct pl_stretch),
					  .worker_size = sizeof(struct reader),
					  .slots_each = EACH,
					  .alone_until = STRETCH_ALONE};

	*s = (struct pl_stretching){.scan = scan, .assembly = assembly, .error = error};
	if (pl_ingest_init(&s->late, scan->stage, scan->rule, scan->label) < 0)
		return pl_fail_memory(error);
	s->late.is_quiet = scan->is_quiet;
	if (pl_crew_new(&work, scan->stage->jobs, &s->crew) < 0)
		return pl_fail_memory(error);
	scan->stage->crew = s->crew;
	return 0;
}

void pl_stretching_end(struct pl_stretching *s)
{
	pl_crew_free(s->crew);
	if (s->crew)
		s->scan->stage->crew = NULL;
	if (s->late.stage)
		pl_ingest_done(&s->late);
	pl_buffer_done(&s->meta);
}

/* Nothing is on its way: what comes next need not queue. (S1) */
static bool is_free(const struct pl_stretching *s)
{
	return !s->now && pl_crew_is_idle(s->crew);
}

static int submit(struct pl_stretching *s)
{
	s->now = NULL;
	return pl_crew_submit(s->crew);
}

/* A new item at the end of the row. */
static int add_item(struct pl_stretching *s, enum pl_item_kind kind, const char *path,
		    struct pl_item **ret_item)
{
	struct pl_stretch *stretch;

	if (!s->now) {
		void *task;
		int r = pl_crew_task(s->crew, &task);

		if (r < 0)
			return r;
		s->now = task;
		s->now->error.size = sizeof(s->now->error);
	}
	stretch = s->now;
	if (PL_ARRAY_GROW(stretch->items, stretch->capacity, stretch->n) < 0)
		return pl_fail_memory(s->error);
	*ret_item = &stretch->items[stretch->n];
	**ret_item = (struct pl_item){.kind = kind, .path = stretch->paths.length};
	pl_buffer_add(&stretch->paths, path, strlen(path) + 1);
	if (!pl_buffer_ok(&stretch->paths))
		return pl_fail_memory(s->error);
	stretch->n++;
	return 0;
}

static int item_added(struct pl_stretching *s)
{
	const struct pl_stretch *stretch = s->now;

	if (!pl_buffer_ok(&stretch->entries))
		return pl_fail_memory(s->error);
	if (stretch->n < MOST_ITEMS && stretch->n_reads < MOST_READS && stretch->size < LARGE)
		return 0;
	return submit(s); /* S2, S4 */
}

int pl_stretching_enter(struct pl_stretching *s, const char *path, const struct pl_meta *meta,
			const struct pl_id *base, struct pleach_error *error)
{
	struct pl_item *item = NULL;
	int r;

	s->error = error;
	if (is_free(s)) {
		pl_buffer_truncate(&s->meta, 0);
		pl_meta_encode(meta, &s->meta);
		if (!pl_buffer_ok(&s->meta))
			return pl_fail_memory(error);
		return pl_assembly_enter(s->assembly, s->meta.data, s->meta.length, base, error);
	}
	r = add_item(s, PL_ITEM_ENTER, path, &item);
	if (r < 0)
		return r;
	item->entry = s->now->entries.length;
	pl_meta_encode(meta, &s->now->entries);
	item->length = s->now->entries.length - item->entry;
	item->has_base = base != NULL;
	if (base)
		item->base = *base;
	return item_added(s);
}

int pl_stretching_known(struct pl_stretching *s, const char *path, const struct stat *st,
			size_t link, const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_item *item = NULL;
	int r;

	s->error = error;
	if (is_free(s))
		return pl_assembly_entry(s->assembly, path, st, link, entry, error);
	r = add_item(s, PL_ITEM_KNOWN, path, &item);
	if (r < 0)
		return r;
	item->st = *st;
	item->link = link;
	item->entry = s->now->entries.length;
	pl_entry_encode(entry, &s->now->entries);
	item->length = s->now->entries.length - item->entry;
	return item_added(s);
}

int pl_stretching_leave(struct pl_stretching *s, const char *path, struct pleach_error *error)
{
	struct pl_item *item = NULL;
	int r;

	s->error = error;
	if (is_free(s))
		return pl_assembly_leave(s->assembly, path, error);
	r = add_item(s, PL_ITEM_LEAVE, path, &item);
	return r < 0 ? r : item_added(s);
}

int pl_stretching_read(struct pl_stretching *s, struct pl_scan_dir *dir, const char *path,
		       const struct stat *st, size_t link, bool is_met, struct pleach_error *error)
{
	struct pl_item *item = NULL;
	int r;

	s->error = error;
	if (s->now && s->now->n_dirs == MOST_DIRS && s->now->last_dir != dir) {
		r = submit(s); /* S2, S4 */
		if (r < 0)
			return r;
	}
	r = add_item(s, is_met ? PL_ITEM_LINK : PL_ITEM_READ, path, &item);
	if (r < 0)
		return r;
	item->st = *st;
	item->link = link;
	item->dir = dir;
	dir->users++;
	if (s->now->last_dir != dir)
		s->now->n_dirs++;
	s->now->last_dir = dir;
	if (!is_met) {
		s->now->n_reads++;
		s->now->size += S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	}
	return item_added(s);
}

int pl_stretching_finish(struct pl_stretching *s, struct pleach_error *error)
{
	int r = 0;

	s->error = error;
	if (s->now)
		r = submit(s);
	return r < 0 ? r : pl_crew_finish(s->crew);
}
