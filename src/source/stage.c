/*
 * Nodes and objects that a transaction has written and not yet named.
 *
 * I1  An id is claimed before its name in the store is looked at (DESIGN, step 3).
 * I2  What gets a name was synced before: pl_stage_name() runs after a round of sync, and where files
 *     are fsynced one by one, each was when it was complete.
 * I3  A staged file never gets a second content: it is created exclusively, and kept or discarded.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "source/source.h"

#define SPOOL_FLUSH (64u << 10)

static int stage_dir(struct pl_txdir *tx, const char *name, int *ret_fd)
{
	int r = pl_mkdir(tx->fd, name, 0700);
	int fd;

	if (r < 0)
		return r;
	fd = pl_open_dir(tx->fd, name);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

/* t/1/tree: what will be trees/<id>/ */
static int stage_tree(struct pl_stage *stage)
{
	struct pl_txdir *tx = stage->tx;
	PL_CLOSE int t = -EBADF;
	int r = stage_dir(tx, "t", &t);

	if (r < 0)
		return r;
	r = pl_mkdir(t, "1", 0755);
	if (r < 0)
		return r;
	stage->wrapper_fd = pl_open_dir(t, "1");
	if (stage->wrapper_fd < 0)
		return stage->wrapper_fd;
	r = pl_mkdir(stage->wrapper_fd, "tree", 0700);
	if (r < 0)
		return r;
	stage->tree_fd = pl_open_dir(stage->wrapper_fd, "tree");
	return stage->tree_fd < 0 ? stage->tree_fd : 0;
}

int pl_stage_begin(struct pl_store *store, struct pl_txdir *tx, enum pl_stage_mode mode,
		   struct pl_stage *ret_stage, struct pleach_error *error)
{
	struct pl_stage stage = {.tx = tx,
				 .store = store,
				 .mode = mode,
				 .nodes_fd = -EBADF,
				 .objects_fd = -EBADF,
				 .tree_fd = -EBADF,
				 .wrapper_fd = -EBADF,
				 .spool_fd = -EBADF};
	int r = 0;

	pl_assert(tx || mode == PL_STAGE_NOWHERE);
	if (mode == PL_STAGE_NOWHERE) {
		pl_map_init(&stage.memory, sizeof(struct pl_id), store->seed);
		*ret_stage = stage;
		return 0;
	}
	r = stage_dir(tx, "n", &stage.nodes_fd);
	if (r >= 0 && mode == PL_STAGE_POOL)
		r = stage_dir(tx, "o", &stage.objects_fd);
	if (r >= 0 && mode == PL_STAGE_IN_PLACE)
		r = stage_tree(&stage);
	if (r >= 0 && mode == PL_STAGE_IN_PLACE) {
		stage.spool_fd = pl_create(tx->fd, "new", 0600);
		r = stage.spool_fd;
	}
	if (r >= 0 && mode == PL_STAGE_IN_PLACE) {
		r = pl_dup(stage.tree_fd);
		if (r >= 0)
			r = pl_walk_init_take(&stage.walk, r);
		stage.has_walk = r >= 0;
	}
	if (r < 0) {
		pl_stage_end(&stage);
		return pl_fail_sys(error, r, "cannot make room for new files in the store");
	}
	*ret_stage = stage;
	return 0;
}

void pl_stage_end(struct pl_stage *stage)
{
	pl_closep(&stage->nodes_fd);
	pl_closep(&stage->objects_fd);
	pl_closep(&stage->tree_fd);
	pl_closep(&stage->wrapper_fd);
	pl_closep(&stage->spool_fd);
	pl_buffer_done(&stage->spool);
	if (stage->has_walk)
		pl_walk_done(&stage->walk);
	if (stage->mode == PL_STAGE_NOWHERE)
		pl_map_done(&stage->memory);
	for (size_t i = 0; i < stage->memory_n; i++)
		pl_buffer_done(&stage->memory_nodes[i]);
	free(stage->memory_nodes);
	*stage = (struct pl_stage){.nodes_fd = -EBADF,
				   .objects_fd = -EBADF,
				   .tree_fd = -EBADF,
				   .wrapper_fd = -EBADF,
				   .spool_fd = -EBADF,
				   .mode = PL_STAGE_POOL};
}

/* ---- nodes ---- */

static int verify_node(const struct pl_id *id, const struct pl_buffer *b, size_t before,
		       struct pleach_error *error)
{
	struct pl_id found;
	char hex[PL_ID_HEX + 1];

	if (!pl_buffer_ok(b))
		return pl_fail_memory(error);
	pl_hash_of(b->data ? b->data + before : NULL, b->length - before, &found);
	if (!pl_id_equal(&found, id))
		return pl_fail_corrupt(error, "the unfinished node %s is damaged",
				       pl_id_hex(id, hex));
	return 0;
}

static int stage_read(void *self, const struct pl_id *id, struct pl_buffer *b,
		      struct pleach_error *error)
{
	struct pl_stage *stage = self;
	struct pl_node_source store = pl_store_nodes(stage->store);
	char hex[PL_ID_HEX + 1];
	size_t before = b->length;
	int r;

	if (stage->mode == PL_STAGE_NOWHERE) {
		uint64_t *at = pl_map_get(&stage->memory, id);
		const struct pl_buffer *node = at ? &stage->memory_nodes[*at] : NULL;

		if (!node)
			return store.read(store.self, id, b, error);
		pl_buffer_add(b, node->data, node->length);
		return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
	}
	if (pl_node_memory_get(&stage->store->memory, id, b))
		return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
	r = pl_read_file(stage->nodes_fd, pl_id_hex(id, hex), PL_NODE_SIZE_MAX, b);
	if (r == -ENOENT)
		return store.read(store.self, id, b, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the unfinished node %s", hex);
	r = verify_node(id, b, before, error);
	if (r >= 0)
		pl_node_memory_put(&stage->store->memory, id, b->data + before, b->length - before);
	return r;
}

struct pl_node_source pl_stage_nodes(struct pl_stage *stage)
{
	return (struct pl_node_source){.read = stage_read, .self = stage};
}

static int remember_node(struct pl_stage *stage, const struct pl_id *id, const void *data,
			 size_t length, struct pleach_error *error)
{
	struct pl_buffer copy = {0};

	if (pl_map_get(&stage->memory, id))
		return 0;
	if (PL_ARRAY_GROW(stage->memory_nodes, stage->memory_capacity, stage->memory_n) < 0)
		return pl_fail_memory(error);
	pl_buffer_add(&copy, data, length);
	if (!pl_buffer_ok(&copy) || pl_map_put(&stage->memory, id, stage->memory_n) < 0) {
		pl_buffer_done(&copy);
		return pl_fail_memory(error);
	}
	stage->memory_nodes[stage->memory_n++] = copy;
	return 0;
}

static int sync_found(struct pl_stage *stage, int pool_fd, const struct pl_id *id)
{
	PL_CLOSE int fd = -EBADF;
	int r;

	if (!pl_txdir_must_fsync(stage->tx))
		return 0;
	fd = pl_store_find(stage->store, pool_fd == stage->store->objects_fd ? 'o' : 'n', id);
	if (fd < 0)
		return fd;
	r = pl_fsync(fd);
	return r < 0 ? r : pl_pool_sync(pool_fd, id);
}

static int stage_write(void *self, const struct pl_id *id, const void *data, size_t length,
		       struct pleach_error *error)
{
	struct pl_stage *stage = self;
	char hex[PL_ID_HEX + 1];
	int r;

	if (stage->mode == PL_STAGE_NOWHERE)
		return remember_node(stage, id, data, length, error);
	r = pl_txdir_claim(stage->tx, 'n', id, error); /* I1 */
	if (r < 0)
		return r;
	r = pl_pool_has(stage->store->nodes_fd, id);
	if (r > 0)
		r = sync_found(stage, stage->store->nodes_fd, id);
	else if (r == 0)
		r = pl_write_file(stage->nodes_fd, pl_id_hex(id, hex), 0400, data, length,
				  pl_txdir_must_fsync(stage->tx));
	if (r < 0 && r != -EEXIST) /* there: two directories of this tree are equal */
		return pl_fail_sys(error, r, "cannot write a node into the store");
	pl_node_memory_put(&stage->store->memory, id, data, length);
	return 0;
}

struct pl_node_sink pl_stage_sink(struct pl_stage *stage)
{
	return (struct pl_node_sink){.write = stage_write, .self = stage};
}

/* ---- objects ---- */

int pl_stage_has_object(struct pl_stage *stage, const struct pl_id *object,
			struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r;

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	r = pl_txdir_claim(stage->tx, 'o', object, error); /* I1 */
	if (r < 0)
		return r;
	r = pl_pool_has(stage->store->objects_fd, object);
	if (r > 0) {
		r = sync_found(stage, stage->store->objects_fd, object);
		if (r >= 0)
			return 1;
	}
	if (r == 0 && stage->mode == PL_STAGE_POOL)
		r = pl_exists(stage->objects_fd, pl_id_hex(object, hex));
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look for object %s", pl_id_hex(object, hex));
	return r;
}

/* Where the last name of `path` begins; the directory is moved to. */
static int stage_goto(struct pl_stage *stage, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	PL_BUFFER dir = {0};

	*ret_name = slash ? slash + 1 : path;
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (!pl_buffer_ok(&dir))
		return -ENOMEM;
	return pl_walk_goto(&stage->walk, pl_buffer_string(&dir), true, 0700);
}

int pl_stage_create(struct pl_stage *stage, const char *path, int *ret_fd)
{
	const char *name = "incoming";
	int dirfd = stage->objects_fd, r = 0;

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	if (stage->mode == PL_STAGE_IN_PLACE) {
		r = stage_goto(stage, path, &name);
		dirfd = r < 0 ? -EBADF : pl_walk_fd(&stage->walk);
	}
	if (r >= 0)
		r = pl_create(dirfd, name, 0600); /* I3 */
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

static int spool_flush(struct pl_stage *stage)
{
	int r = pl_write_full(stage->spool_fd, stage->spool.data, stage->spool.length);

	pl_buffer_truncate(&stage->spool, 0);
	return r;
}

/* A line of the spool: the object, the length of the path, the path. */
static int spool_add(struct pl_stage *stage, const struct pl_id *object, const char *path)
{
	pl_buffer_add(&stage->spool, object->bytes, sizeof(object->bytes));
	pl_buffer_add_u32(&stage->spool, (uint32_t)strlen(path));
	pl_buffer_add_string(&stage->spool, path);
	if (!pl_buffer_ok(&stage->spool))
		return -ENOMEM;
	return stage->spool.length >= SPOOL_FLUSH ? spool_flush(stage) : 0;
}

int pl_stage_keep(struct pl_stage *stage, const char *path, int fd, const struct pl_id *object,
		  uint64_t size)
{
	char hex[PL_ID_HEX + 1];
	int r = pl_txdir_must_fsync(stage->tx) ? pl_fsync(fd) : 0;

	if (r >= 0 && stage->mode == PL_STAGE_POOL)
		r = pl_rename(stage->objects_fd, "incoming", stage->objects_fd,
			      pl_id_hex(object, hex));
	else if (r >= 0)
		r = spool_add(stage, object, path);
	if (r < 0)
		return r;
	stage->bytes_new += size;
	stage->files_new++;
	return 0;
}

int pl_stage_adopt(struct pl_stage *stage, int dirfd, const char *name, const struct pl_id *object,
		   uint64_t size)
{
	char hex[PL_ID_HEX + 1];
	int r = 0;

	pl_assert(stage->mode == PL_STAGE_POOL);
	if (pl_txdir_must_fsync(stage->tx))
		r = pl_fsync_at(dirfd, name);
	if (r >= 0)
		r = pl_link(dirfd, name, stage->objects_fd, pl_id_hex(object, hex));
	if (r < 0)
		return r;
	stage->bytes_new += size;
	stage->files_new++;
	return 0;
}

int pl_stage_discard(struct pl_stage *stage, const char *path)
{
	const char *name;
	int r;

	if (stage->mode == PL_STAGE_POOL)
		return pl_unlink(stage->objects_fd, "incoming");
	r = stage_goto(stage, path, &name);
	return r < 0 ? r : pl_unlink(pl_walk_fd(&stage->walk), name);
}

/* ---- names ---- */

/* A copy, metadata and all, in tx. It came too late for the round of sync, so it has its own. (I2) */
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

/* An inode that has been placed under so many names that it cannot have one more: those are private
 * copies then, and the object is an inode of its own. */
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

static int name_object(struct pl_stage *stage, const struct pl_id *object, int dirfd,
		       const char *name)
{
	int r = pl_pool_link(stage->store->objects_fd, object, dirfd, name);

	return r == -EMLINK ? name_copy(stage, object, dirfd, name) : r;
}

static int name_all_in(struct pl_stage *stage, int staged_fd, int pool_fd, bool sync)
{
	struct pl_listing listing = {0};
	int r = pl_list(staged_fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id id;

		if (pl_id_parse(listing.entries[i].name, &id) < 0)
			continue; /* "incoming" of a file that failed */
		r = pool_fd == stage->store->objects_fd
			    ? name_object(stage, &id, staged_fd, listing.entries[i].name)
			    : pl_pool_link(pool_fd, &id, staged_fd, listing.entries[i].name);
		if (r >= 0 && sync)
			r = pl_pool_sync(pool_fd, &id);
		if (stage->store->cancelled)
			r = -EINTR;
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* One line of the spool. 1: done, 0: the end. */
static int name_spooled(struct pl_stage *stage, uint64_t *offset, struct pl_buffer *path, bool sync)
{
	unsigned char head[36] = {0};
	struct pl_reader reader = pl_reader_of(head, sizeof(head));
	int pool = stage->store->objects_fd;
	struct pl_id object;
	const char *name;
	uint32_t length;
	ssize_t n;
	int r;

	n = pl_pread_full(stage->spool_fd, head, sizeof(head), *offset);
	if (n <= 0)
		return (int)n;
	memcpy(object.bytes, pl_read_bytes(&reader, 32), 32);
	length = pl_read_u32(&reader);
	pl_assert(n == sizeof(head) && length > 0);
	pl_buffer_truncate(path, 0);
	if (!pl_buffer_reserve(path, length))
		return -ENOMEM;
	n = pl_pread_full(stage->spool_fd, path->data, length, *offset + sizeof(head));
	if (n < 0 || (size_t)n != length)
		return n < 0 ? (int)n : -EIO;
	path->length = length;
	*offset += sizeof(head) + length;
	r = stage_goto(stage, pl_buffer_string(path), &name);
	if (r >= 0)
		r = name_object(stage, &object, pl_walk_fd(&stage->walk), name);
	if (r >= 0 && sync)
		r = pl_pool_sync(pool, &object);
	return r < 0 ? r : 1;
}

int pl_stage_name(struct pl_stage *stage, struct pleach_error *error)
{
	bool sync = pl_txdir_must_fsync(stage->tx);
	PL_BUFFER path = {0};
	uint64_t offset = 0, done = 0;
	int r = 0;

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	if (stage->mode == PL_STAGE_POOL)
		r = name_all_in(stage, stage->objects_fd, stage->store->objects_fd, sync);
	else if (stage->spool.length > 0)
		r = spool_flush(stage);
	while (r >= 0 && stage->mode == PL_STAGE_IN_PLACE) {
		r = name_spooled(stage, &offset, &path, sync);
		if (r <= 0)
			break;
		if (stage->store->cancelled)
			r = -EINTR;
		pl_store_progress(stage->store, "sync", ++done, stage->files_new, 0);
	}
	if (r >= 0)
		r = name_all_in(stage, stage->nodes_fd, stage->store->nodes_fd, sync);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot give new objects their names");
	return 0;
}
