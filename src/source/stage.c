/*
 * Nodes and objects that a transaction has written and not yet named.
 *
 * I1  An id is claimed before its name in the store is looked at (DESIGN, step 3).
 * I2  What gets a name was synced before: pl_stage_name() runs after a round of sync, and where files
 *     are fsynced one by one, each was when it was complete.
 * I3  A staged file never gets a second content: it is created exclusively, and kept or discarded.
 * I4  What the threads of a crew do at once are claims, looks, and files, each its own. The claims' file and
 *     the walk of the tree are one thread's at a time (pl_crew_enter()).
 * I5  What is new by an older look at the pool may have come since. Then ours is a private copy, as where
 *     another comes between a look and the linking: it costs room, no more.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "source/staging.h"

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
				 .spool_fd = -EBADF,
				 .pool = PL_STAGE_DIR_NONE};
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
		return pl_fail_sys(error, r, "cannot make room for new files in %s/.pleach/tx/%s",
				   store->path, tx->id);
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

/* I1. Is it there? 1, 0 or an error of looking; *ret_r: of claiming. */
static int claim_and_look(struct pl_stage *stage, char kind, const struct pl_id *id, int *ret_r,
			  struct pleach_error *error)
{
	bool is_first = pl_seam_guards(PL_GUARD_CLAIM_FIRST);
	int found = 0;

	*ret_r = is_first ? pl_txdir_claim(stage->tx, kind, id, error) : 0;
	if (*ret_r >= 0)
		found = pl_pool_has(pl_store_pool(stage->store, kind), id);
	if (!is_first)
		*ret_r = pl_txdir_claim(stage->tx, kind, id, error);
	return found;
}

static int stage_write(void *self, const struct pl_id *id, const void *data, size_t length,
		       struct pleach_error *error)
{
	struct pl_stage *stage = self;
	char hex[PL_ID_HEX + 1];
	int r, found;

	if (stage->mode == PL_STAGE_NOWHERE)
		return remember_node(stage, id, data, length, error);
	pl_crew_enter(stage->crew); /* I4 */
	found = claim_and_look(stage, 'n', id, &r, error);
	pl_crew_leave(stage->crew);
	if (r < 0)
		return r;
	r = found;
	if (r > 0)
		r = sync_found(stage, stage->store->nodes_fd, id);
	else if (r == 0)
		r = pl_write_file(stage->nodes_fd, pl_id_hex(id, hex), 0400, data, length,
				  pl_txdir_must_fsync(stage->tx));
	if (r < 0 && r != -EEXIST) /* there: two directories of this tree are equal */
		return pl_fail_sys(error, r, "cannot write node %s into %s/.pleach/tx/%s",
				   pl_id_hex(id, hex), stage->store->path, stage->tx->id);
	pl_node_memory_put(&stage->store->memory, id, data, length);
	return 0;
}

struct pl_node_sink pl_stage_sink(struct pl_stage *stage)
{
	return (struct pl_node_sink){.write = stage_write, .self = stage};
}

/* ---- objects ---- */

static unsigned digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Which two-digit directories has the pool of objects? In one that is missing nothing need be looked for. */
static void look_at_pool(struct pl_stage *stage)
{
	struct pl_listing listing = {0};

	stage->has_fanout = true;
	memset(stage->fanout, pl_list(stage->store->objects_fd, &listing) < 0, 256);
	for (size_t i = 0; i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (strlen(name) == 2 && pl_is_hex(name, 2))
			stage->fanout[16 * digit(name[0]) + digit(name[1])] = true;
	}
	pl_listing_done(&listing);
}

int pl_stage_claim_objects(struct pl_stage *stage, const struct pl_id *objects, size_t n,
			   struct pleach_error *error)
{
	int r = 0;

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	pl_crew_enter(stage->crew); /* I4 */
	if (pl_seam_guards(PL_GUARD_CLOSURE))
		r = pl_txdir_claim_all(stage->tx, 'o', objects, n, error);
	if (r >= 0 && stage->mode == PL_STAGE_IN_PLACE && !stage->has_fanout)
		look_at_pool(stage); /* behind a claim, as every look (I1) */
	pl_crew_leave(stage->crew);
	return r;
}

static int look(struct pl_stage *stage, const struct pl_id *object, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r = pl_pool_has(stage->store->objects_fd, object);

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

int pl_stage_look(struct pl_stage *stage, const struct pl_id *object, struct pleach_error *error)
{
	pl_assert(stage->mode != PL_STAGE_IN_PLACE || stage->has_fanout);
	if (stage->mode == PL_STAGE_IN_PLACE && !stage->fanout[object->bytes[0]])
		return 0; /* I5 */
	return look(stage, object, error);
}

int pl_stage_has_object(struct pl_stage *stage, const struct pl_id *object,
			struct pleach_error *error)
{
	int r = pl_stage_claim_objects(stage, object, 1, error); /* I1 */

	return r < 0 ? r : look(stage, object, error);
}

/* Where the last name of `path` begins; the directory is moved to. */
int pl_stage_goto(struct pl_stage *stage, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	PL_BUFFER dir = {0};

	*ret_name = slash ? slash + 1 : path;
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (!pl_buffer_ok(&dir))
		return -ENOMEM;
	return pl_walk_goto(&stage->walk, pl_buffer_string(&dir), true, 0700);
}

/* What a file is like that is made in `fd`, a directory of ours: nothing there changes but by us. */
static void look_at_dir(struct pl_stage *stage, int fd, struct pl_fresh *ret_fresh)
{
	PL_BUFFER names = {0};
	struct stat st;

	if (!stage->has_umask) {
		stage->umask = pl_umask();
		stage->has_umask = true;
	}
	if (pl_fstat(fd, &st) < 0 || pl_xattr_list(fd, &names) < 0)
		return; /* it is a help, no need */
	*ret_fresh = (struct pl_fresh){.is_known = true,
				       .is_without_xattrs = names.length == 0,
				       .uid = pl_uid(),
				       .gid = st.st_mode & S_ISGID ? st.st_gid : pl_gid()};
}

/* The directory of `path`, opened once. I4: the caller has entered. */
static int open_dir_of(struct pl_stage *stage, struct pl_stage_dir *dir, const char *path)
{
	const char *name;
	int r;

	if (stage->mode == PL_STAGE_POOL) {
		dir->fd = stage->objects_fd;
	} else {
		r = pl_stage_goto(stage, path, &name);
		if (r >= 0)
			r = pl_dup(pl_walk_fd(&stage->walk));
		if (r < 0)
			return r;
		dir->fd = r;
	}
	look_at_dir(stage, dir->fd, &dir->fresh);
	return 0;
}

void pl_stage_dir_close(struct pl_stage_dir *dir)
{
	pl_closep(&dir->fd);
}

static void name_of(const struct pl_stage *stage, unsigned worker, const char *path, char *ret_name)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	pl_assert(strlen(name) <= PL_NAME_MAX);
	if (stage->mode == PL_STAGE_POOL) /* "incoming" is no id, so it gets no name */
		(void)snprintf(ret_name, PL_NAME_MAX + 1, "incoming%u", worker);
	else
		memcpy(ret_name, name, strlen(name) + 1);
}

int pl_stage_file_make(struct pl_stage *stage, struct pl_stage_dir *dir, unsigned worker,
		       const char *path, mode_t mode, struct pl_stage_file *ret_file)
{
	int r = 0;

	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	if (stage->mode == PL_STAGE_POOL)
		dir = &stage->pool;
	pl_crew_enter(stage->crew); /* I4 */
	if (dir->fd < 0)
		r = open_dir_of(stage, dir, path);
	ret_file->dirfd = dir->fd;
	ret_file->fresh = dir->fresh;
	pl_crew_leave(stage->crew);
	if (r < 0)
		return r;
	name_of(stage, worker, path, ret_file->name);
	/* A default ACL would take the place of the umask. */
	mode = ret_file->fresh.is_known && ret_file->fresh.is_without_xattrs ? mode & 0777 : 0600;
	r = pl_create(ret_file->dirfd, ret_file->name, mode); /* I3 */
	if (r < 0)
		return r;
	ret_file->fd = r;
	ret_file->fresh.mode = mode & ~stage->umask;
	return 0;
}

int pl_stage_file_keep(struct pl_stage *stage, const struct pl_stage_file *file,
		       const struct pl_id *object)
{
	char hex[PL_ID_HEX + 1];
	int r = pl_txdir_must_fsync(stage->tx) ? pl_fsync(file->fd) : 0;

	if (r < 0 || stage->mode != PL_STAGE_POOL)
		return r < 0 ? r : 1;
	r = pl_rename_new(file->dirfd, file->name, file->dirfd, pl_id_hex(object, hex));
	if (r != -EEXIST)
		return r < 0 ? r : 1;
	/* Another thread has read the very same, and was quicker. */
	r = pl_unlink(file->dirfd, file->name);
	return r < 0 ? r : 0;
}

int pl_stage_file_discard(struct pl_stage *stage, const struct pl_stage_file *file)
{
	pl_assert(stage->mode != PL_STAGE_NOWHERE);
	return pl_unlink(file->dirfd, file->name);
}

/* ---- one file at a time ---- */

int pl_stage_create(struct pl_stage *stage, const char *path, int *ret_fd)
{
	int r;

	pl_assert(stage->mode == PL_STAGE_POOL);
	r = pl_create(stage->objects_fd, "incoming", 0600); /* I3 */
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

int pl_stage_keep(struct pl_stage *stage, const char *path, int fd, const struct pl_id *object,
		  uint64_t size)
{
	struct pl_stage_file file = {.fd = fd, .dirfd = stage->objects_fd, .name = "incoming"};
	int r = pl_stage_file_keep(stage, &file, object);

	return r > 0 ? pl_stage_note(stage, path, object, size) : r;
}

int pl_stage_discard(struct pl_stage *stage, const char *path)
{
	pl_assert(stage->mode == PL_STAGE_POOL);
	return pl_unlink(stage->objects_fd, "incoming");
}

/* ---- what was written where ---- */

int pl_stage_spool_flush(struct pl_stage *stage)
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
	return stage->spool.length >= SPOOL_FLUSH ? pl_stage_spool_flush(stage) : 0;
}

int pl_stage_note(struct pl_stage *stage, const char *path, const struct pl_id *object,
		  uint64_t size)
{
	int r = stage->mode == PL_STAGE_IN_PLACE ? spool_add(stage, object, path) : 0;

	if (r < 0)
		return r;
	stage->bytes_new += size;
	stage->files_new++;
	return 0;
}

int pl_stage_adopt(struct pl_stage *stage, int dirfd, const char *name, const struct pl_id *object)
{
	char hex[PL_ID_HEX + 1];
	int r = 0;

	pl_assert(stage->mode == PL_STAGE_POOL);
	if (pl_txdir_must_fsync(stage->tx))
		r = pl_fsync_at(dirfd, name);
	if (r >= 0)
		r = pl_link(dirfd, name, stage->objects_fd, pl_id_hex(object, hex));
	return r;
}
