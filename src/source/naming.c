/*
 * Step 3 of the protocol, its second half: what a transaction has staged gets its names in the store.
 *
 * Files that were written where they will be placed stand in the spool, in the order of their paths; all
 * else in one directory for objects and one for nodes. Names of one directory are linked together, by the
 * threads of a crew.
 *
 * N1  All that is linked here was synced before (stage.c, I2).
 * N2  The names are durable at the end where that is not left to a round of sync: each directory that got some
 *     is fsynced once, behind all of them.
 * N3  Memory: a window of the spool, and AT_ONCE names for each task.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "source/staging.h"

#define AT_ONCE	    32
#define ALONE_UNTIL 6 /* handfuls: to link fewer takes no longer than to start a thread */
#define WINDOW	    (64u << 10)
#define RECORD	    36 /* of the spool, without its path */

/* A directory that names are linked from, as long as there are some on their way. */
struct home {
	int fd;
	size_t users;
};
/* Names of one directory: the task of a crew. */
struct handful {
	struct home *home;
	bool are_nodes;
	struct pl_id ids[AT_ONCE];
	size_t names[AT_ONCE]; /* where they begin in bytes */
	bool is_full[AT_ONCE]; /* the inode cannot have one name more */
	size_t n;
	struct pl_buffer bytes;
};
struct naming {
	struct pl_stage *stage;
	struct pl_crew *crew;
	struct handful *now; /* being filled; NULL: none */
	struct home *home;   /* of what comes next */
	uint64_t done;
	bool has_new[2][256]; /* of objects and of nodes: directories that were linked to */
	/* the spool */
	struct pl_buffer window, path;
	size_t at;
	uint64_t offset;
};

static void release(struct home *home)
{
	if (!home || --home->users > 0)
		return;
	pl_closep(&home->fd);
	free(home);
}

/* ---- an inode that has been placed under too many names ---- */

/* A copy, metadata and all, in tx. It came too late for the round of sync, so it has its own. (N1) */
static int copy_staged(struct pl_stage *stage, int dirfd, const char *name, const char *copy)
{
	PL_CLOSE int from = pl_open(dirfd, name, O_RDONLY);
	PL_CLOSE int to = -EBADF;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	const char *why;
	struct stat st;
	int r = from < 0 ? from : pl_fstat(from, &st);

	if (r >= 0)
		r = pl_meta_read(from, &st, PL_RULE_EXACT, &xattrs, &meta);
	if (r >= 0)
		r = to = pl_create(stage->tx->fd, copy, 0600);
	if (r >= 0)
		r = pl_copy_content(from, to, (uint64_t)st.st_size);
	if (r >= 0)
		r = pl_meta_restore(to, &meta, PLEACH_FILE, &why);
	if (r >= 0 && stage->store->settings.durable)
		r = pl_fsync(to);
	return r;
}

/* Its names are private copies then, and the object is an inode of its own. */
static int name_copy(struct pl_stage *stage, const struct pl_id *object, int dirfd,
		     const char *name)
{
	static const char copy[] = "copied-object";
	int r = copy_staged(stage, dirfd, name, copy);

	if (r >= 0)
		r = pl_pool_link(stage->store->objects_fd, object, stage->tx->fd, copy);
	pl_unlink(stage->tx->fd, copy);
	return r;
}

/* ---- the crew's ---- */

static const char *name_at(const struct handful *h, size_t i)
{
	return (const char *)h->bytes.data + h->names[i];
}

static int pool_of(const struct naming *naming, const struct handful *h)
{
	const struct pl_store *store = naming->stage->store;

	return h->are_nodes ? store->nodes_fd : store->objects_fd;
}

static int link_handful(void *self, void *worker, void *task)
{
	struct naming *naming = self;
	struct handful *h = task;
	int r = 0;

	(void)worker;
	for (size_t i = 0; r >= 0 && i < h->n; i++) {
		r = pl_pool_link(pool_of(naming, h), &h->ids[i], h->home->fd, name_at(h, i));
		h->is_full[i] = r == -EMLINK && !h->are_nodes;
		if (h->is_full[i])
			r = 0;
	}
	return r;
}

static int take_handful(void *self, void *task, int r)
{
	struct naming *naming = self;
	struct handful *h = task;

	for (size_t i = 0; r >= 0 && i < h->n; i++) {
		if (h->is_full[i])
			r = name_copy(naming->stage, &h->ids[i], h->home->fd, name_at(h, i));
		naming->has_new[h->are_nodes][h->ids[i].bytes[0]] = true;
		if (!h->are_nodes)
			pl_store_progress(naming->stage->store, "sync", ++naming->done,
					  naming->stage->files_new, 0);
	}
	release(h->home);
	h->home = NULL;
	h->n = 0;
	pl_buffer_truncate(&h->bytes, 0);
	if (r >= 0 && pl_store_is_cancelled(naming->stage->store))
		r = -EINTR;
	return r < 0 ? r : 0;
}

static void handful_done(void *self, void *task)
{
	struct handful *h = task;

	(void)self;
	release(h->home); /* one that was never submitted */
	pl_buffer_done(&h->bytes);
}

/* ---- what is to be named ---- */

static int submit(struct naming *naming)
{
	if (!naming->now)
		return 0;
	naming->now = NULL;
	return pl_crew_submit(naming->crew);
}

/* What comes next is in another directory, of which there is a descriptor. */
static int move_to(struct naming *naming, int fd)
{
	int r = submit(naming);

	if (r < 0)
		return r;
	release(naming->home);
	naming->home = malloc(sizeof(*naming->home));
	if (!naming->home)
		return -ENOMEM;
	*naming->home = (struct home){.fd = pl_dup(fd), .users = 1};
	return naming->home->fd < 0 ? naming->home->fd : 0;
}

static int add(struct naming *naming, bool is_node, const struct pl_id *id, const char *name)
{
	struct handful *h;

	if (!naming->now) {
		void *task;
		int r = pl_crew_task(naming->crew, &task);

		if (r < 0)
			return r;
		naming->now = task;
		naming->now->home = naming->home;
		naming->now->are_nodes = is_node;
		naming->home->users++;
	}
	h = naming->now;
	h->ids[h->n] = *id;
	h->names[h->n++] = h->bytes.length;
	pl_buffer_add(&h->bytes, name, strlen(name) + 1);
	if (!pl_buffer_ok(&h->bytes))
		return -ENOMEM;
	return h->n == AT_ONCE ? submit(naming) : 0;
}

/* All that stands in a directory by its id. */
static int add_all_in(struct naming *naming, int fd, bool are_nodes)
{
	struct pl_listing listing = {0};
	int r = move_to(naming, fd);

	if (r >= 0)
		r = pl_list(fd, &listing);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id id;

		/* Not "incoming", of a file that failed. */
		if (pl_id_parse(listing.entries[i].name, &id) == 0)
			r = add(naming, are_nodes, &id, listing.entries[i].name);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : submit(naming);
}

/* ---- the spool ---- */

/* So many bytes from `at` on are in the window: 1. 0: there are no more at all. */
static int fill(struct naming *naming, size_t length)
{
	struct pl_buffer *window = &naming->window;
	size_t have = window->length - naming->at;
	ssize_t n;

	if (have >= length)
		return 1;
	if (have > 0)
		memmove(window->data, window->data + naming->at, have);
	pl_buffer_truncate(window, have);
	naming->at = 0;
	if (!pl_buffer_reserve(window, length + WINDOW))
		return -ENOMEM;
	n = pl_pread_full(naming->stage->spool_fd, window->data + have, length + WINDOW - have,
			  naming->offset);
	if (n < 0)
		return (int)n;
	window->length += (size_t)n;
	naming->offset += (uint64_t)n;
	if (window->length >= length)
		return 1;
	return window->length == 0 ? 0 : -EIO;
}

/* The next record: 1; 0 at the end. */
static int next_spooled(struct naming *naming, struct pl_id *ret_object)
{
	struct pl_reader reader;
	uint32_t length;
	int r = fill(naming, RECORD);

	if (r <= 0)
		return r;
	reader = pl_reader_of(naming->window.data + naming->at, RECORD);
	memcpy(ret_object->bytes, pl_read_bytes(&reader, 32), 32);
	length = pl_read_u32(&reader);
	pl_assert(length > 0);
	r = fill(naming, RECORD + (size_t)length);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	pl_buffer_truncate(&naming->path, 0);
	pl_buffer_add(&naming->path, naming->window.data + naming->at + RECORD, length);
	naming->at += RECORD + (size_t)length;
	return pl_buffer_ok(&naming->path) ? 1 : -ENOMEM;
}

/* Length of the directory part. */
static size_t directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static int add_spooled(struct naming *naming)
{
	PL_BUFFER before = {0}; /* the path of the file before */
	struct pl_id object;
	int r = pl_stage_spool_flush(naming->stage);

	while (r >= 0 && (r = next_spooled(naming, &object)) > 0) {
		const char *path = pl_buffer_string(&naming->path), *name, *last;
		size_t length = directory_of(path);

		last = before.length > 0 ? pl_buffer_string(&before) : NULL;
		r = pl_stage_goto(naming->stage, path, &name);
		if (r >= 0 &&
		    (!last || directory_of(last) != length || memcmp(last, path, length) != 0))
			r = move_to(naming, pl_walk_fd(&naming->stage->walk));
		if (r >= 0)
			r = add(naming, false, &object, name);
		pl_buffer_truncate(&before, 0);
		pl_buffer_add(&before, path, naming->path.length);
		if (!pl_buffer_ok(&before))
			r = -ENOMEM;
	}
	return r < 0 ? r : submit(naming);
}

/* ---- the whole ---- */

/* N2 */
static int sync_pool(int pool_fd, const bool has_new[256])
{
	bool is_changed = false;
	int r = 0;

	for (unsigned i = 0; r >= 0 && i < 256; i++) {
		const unsigned char byte = (unsigned char)i;
		char name[3];

		if (!has_new[i])
			continue;
		is_changed = true;
		pl_hex(&byte, 1, name);
		r = pl_fsync_at(pool_fd, name);
	}
	return r >= 0 && is_changed ? pl_fsync(pool_fd) : r;
}

static int name_all(struct naming *naming)
{
	struct pl_stage *stage = naming->stage;
	int r = stage->mode == PL_STAGE_POOL ? add_all_in(naming, stage->objects_fd, false)
					     : add_spooled(naming);

	if (r >= 0)
		r = add_all_in(naming, stage->nodes_fd, true);
	if (r >= 0)
		r = pl_crew_finish(naming->crew);
	if (r >= 0 && pl_txdir_must_fsync(stage->tx))
		r = sync_pool(stage->store->objects_fd, naming->has_new[false]);
	if (r >= 0 && pl_txdir_must_fsync(stage->tx))
		r = sync_pool(stage->store->nodes_fd, naming->has_new[true]);
	return r;
}

int pl_stage_name(struct pl_stage *stage, struct pleach_error *error)
{
	struct naming naming = {.stage = stage};
	const struct pl_crew_work work = {.run = link_handful,
					  .deliver = take_handful,
					  .task_done = handful_done,
					  .self = &naming,
					  .task_size = sizeof(struct handful),
					  .alone_until = ALONE_UNTIL};
	int r = pl_crew_new(&work, stage->jobs, &naming.crew);

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	if (r >= 0)
		r = name_all(&naming);
	pl_crew_free(naming.crew);
	release(naming.home);
	pl_buffer_done(&naming.window);
	pl_buffer_done(&naming.path);
	return r < 0 ? pl_fail_sys(error, r,
				   "cannot give new objects their names in %s/.pleach/objects",
				   stage->store->path)
		     : 0;
}
