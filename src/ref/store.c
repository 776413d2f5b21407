/*
 * An open store: finding it, its config, its directories, who may do what in it. Making one is
 * init.c's, its nodes are nodes.c's.
 *
 * S1  Nothing in `.pleach` is looked at before its config was verified, and of a newer format nothing
 *     at all.
 * S2  What a search passes over: a store that lies below another store's `.pleach` (in a placed tree,
 *     in a workspace, in what a transaction writes) is content, not a store to work with.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "ref/ref.h"

#define DIR_NAME      ".pleach"
#define KIND	      "pleach-store"
#define VERSION	      1
#define PROGRESS_MS   100
#define PROGRESS_EACH 1000

/* ---- finding it ---- */

/* Opens a directory for all that is done with a store's root; who may not list it can still use it. */
static int open_root(int dirfd, const char *name)
{
	int fd = pl_open_follow(dirfd, name, O_RDONLY | O_DIRECTORY);

	return fd == -EACCES ? pl_open_follow(dirfd, name, O_PATH | O_DIRECTORY) : fd;
}

/* Looks at one directory on the way up. `below`: the directory that the way came from, or NULL. If there
 * is a `.pleach`, and no candidate yet or this one swallows it (S2), it is the candidate. */
static int consider(int fd, const struct stat *below, int *candidate)
{
	struct stat st;
	int r = pl_lstat(fd, DIR_NAME, &st);

	if (r < 0 || !S_ISDIR(st.st_mode))
		return r == -ENOENT || r == -EACCES || r == 0 ? 0 : r;
	if (*candidate >= 0 && !(below && pl_same_inode(below, &st)))
		return 0;
	pl_closep(candidate);
	*candidate = pl_dup(fd);
	return *candidate < 0 ? *candidate : 0;
}

/* The nearest store at the working directory or above. The way up goes by "..", and compares inodes:
 * names on it, and their length, do not matter. */
static int find_upwards(int *ret_fd)
{
	PL_CLOSE int fd = pl_open_follow(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
	PL_CLOSE int candidate = -EBADF;
	struct stat here, above;
	bool has_below = false;
	struct stat below = {0};
	int r;

	r = fd < 0 ? fd : pl_fstat(fd, &here);
	while (r == 0) {
		int up;

		r = consider(fd, has_below ? &below : NULL, &candidate);
		if (r < 0)
			break;
		up = pl_open(fd, "..", O_PATH | O_DIRECTORY);
		if (up < 0)
			break; /* what is above is out of reach */
		pl_closep(&fd);
		fd = up;
		r = pl_fstat(fd, &above);
		if (r < 0 || pl_same_inode(&here, &above))
			break;
		below = here;
		has_below = true;
		here = above;
	}
	if (r < 0)
		return r;
	if (candidate < 0)
		return -ENOENT;
	r = open_root(candidate, ".");
	if (r < 0)
		return r;
	*ret_fd = r;
	return 0;
}

static int fail_no_store(const char *dir, struct pleach_error *error)
{
	int r;

	if (dir) {
		r = pl_fail_not_found(error, "no store in '%s'", dir);
		pl_hint(error, "make one with: pleach init %s", dir);
		pl_error_path(error, dir);
	} else {
		r = pl_fail_not_found(error, "no store in this directory or above it");
		pl_hint(error, "make one with: pleach init DIR");
	}
	return r;
}

/* Opens the root and `.pleach` in it. */
static int find(struct pl_store *store, const char *dir, struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r = 0;

	if (!dir)
		r = find_upwards(&store->root_fd);
	else if ((store->root_fd = open_root(AT_FDCWD, dir)) < 0)
		r = store->root_fd;
	if (r == 0) {
		store->fd = pl_open_dir(store->root_fd, DIR_NAME);
		r = store->fd < 0 ? store->fd : 0;
	}
	if (r == -ENOENT)
		return fail_no_store(dir, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open the store in '%s'", dir ? dir : ".");
	r = pl_real_path(store->root_fd, &path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot find the path of the store in '%s'",
				   dir ? dir : ".");
	store->path = pl_buffer_take_string(&path);
	return store->path ? 0 : pl_fail_memory(error);
}

/* ---- config ---- */

static int fail_newer(const struct pl_store *store, uint64_t version, struct pleach_error *error)
{
	int r = pl_fail(error, PLEACH_FAILED, -EPROTONOSUPPORT,
			"the store in '%s' has format version %" PRIu64
			", this pleach knows version %d",
			store->path, version, VERSION);

	pl_hint(error, "use a newer pleach");
	return r;
}

static int fail_config(const struct pl_store *store, int r, struct pleach_error *error)
{
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	return pl_fail_corrupt(error, "'%s/.pleach/config' is damaged", store->path);
}

/* What stands in a text that has been opened. */
static int take_config(struct pl_store *store, struct pl_text *text, struct pleach_error *error)
{
	const char *hash = pl_text_get(text, "hash");
	uint64_t uid;
	int r;

	if (!text->failed && strcmp(hash, "sha256") != 0)
		return pl_fail(error, PLEACH_FAILED, -EPROTONOSUPPORT,
			       "the store in '%s' uses the hash '%s', this pleach knows sha256",
			       store->path, hash);
	uid = pl_text_get_number(text, "uid");
	if (text->failed || uid >= UINT32_MAX)
		return fail_config(store, pl_buffer_ok(&text->value) ? -EBADMSG : -ENOMEM, error);
	store->uid = (uid_t)uid;
	r = pl_values_read_text(text, &store->values, error);
	if (r < 0) {
		pl_error_prefix(error, "'%s/.pleach/config'", store->path);
		return r;
	}
	r = pl_text_close(text);
	return r < 0 ? fail_config(store, r, error) : 0;
}

static int read_config(struct pl_store *store, struct pleach_error *error)
{
	PL_BUFFER bytes = {0};
	struct pl_text text;
	int r = pl_read_file(store->fd, "config", PL_TEXT_MAX, &bytes);

	if (r == -ENOENT || r == -EFBIG || r == -EISDIR || r == -EINVAL || r == -ELOOP)
		return fail_config(store, -EBADMSG, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s/.pleach/config'", store->path);
	r = pl_text_open(&text, bytes.data, bytes.length, KIND, VERSION);
	if (r == -EPROTONOSUPPORT)
		return fail_newer(store, text.version, error); /* S1 */
	if (r < 0)
		return fail_config(store, r, error);
	r = take_config(store, &text, error);
	pl_text_done(&text);
	if (r < 0)
		return r;
	r = pl_settings_resolve(&store->values, NULL, &store->settings, error);
	if (r < 0)
		return fail_config(store, r == -ENOMEM ? r : -EBADMSG, error);
	return 0;
}

/* ---- directories ---- */

/* One of `.pleach`. Those that only the owner may look into stay -EBADF for others; through trees/
 * names can be followed, but not listed. */
static int open_part(const struct pl_store *store, const char *name, int *ret_fd)
{
	int fd = pl_open_dir(store->fd, name);

	if (fd == -EACCES && strcmp(name, "trees") == 0)
		fd = pl_open(store->fd, name, O_PATH | O_DIRECTORY);
	if (fd == -EACCES && !store->is_owner)
		fd = -EBADF;
	/* It may be deleted at any time; without it everything works, a little slower. */
	if (fd == -ENOENT && strcmp(name, "cache") == 0) {
		if (store->is_owner && store->is_writable && pl_mkdir(store->fd, name, 0700) == 0 &&
		    pl_chmod_at(store->fd, name, 0700) == 0)
			fd = pl_open_dir(store->fd, name);
		fd = fd < 0 ? -EBADF : fd;
	}
	if (fd < 0 && fd != -EBADF)
		return fd;
	*ret_fd = fd;
	return 0;
}

static int open_parts(struct pl_store *store, struct pleach_error *error)
{
	const struct {
		const char *name;
		int *fd;
	} parts[] = {
		{"objects", &store->objects_fd}, {"nodes", &store->nodes_fd},
		{"trees", &store->trees_fd},	 {"refs", &store->refs_fd},
		{"tx", &store->tx_fd},		 {"trash", &store->trash_fd},
		{"cache", &store->cache_fd},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(parts); i++) {
		int r = open_part(store, parts[i].name, parts[i].fd);

		if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
			return pl_fail_corrupt(error, "'%s/.pleach/%s' is missing", store->path,
					       parts[i].name);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot open '%s/.pleach/%s'", store->path,
					   parts[i].name);
	}
	pl_assert(store->trees_fd >= 0 || !store->is_owner);
	return 0;
}

/* What the file system and this process are like. */
static int look_around(struct pl_store *store, struct pleach_error *error)
{
	int r = pl_fs_probe(store->fd, &store->fs), is_read_only;

	is_read_only = r < 0 ? r : pl_fs_is_read_only(store->fd);
	if (is_read_only < 0)
		return pl_fail_sys(error, is_read_only, "cannot look at the file system of '%s'",
				   store->path);
	store->is_writable = !is_read_only;
	store->is_owner = pl_uid() == store->uid;
	r = pl_random(&store->seed, sizeof(store->seed));
	pl_node_memory_init(&store->memory, store->seed);
	return r < 0 ? pl_fail_sys(error, r, "cannot get random numbers") : 0;
}

int pl_store_open(const char *dir, struct pl_store **ret_store, struct pleach_error *error)
{
	struct pl_store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return pl_fail_memory(error);
	store->root_fd = store->fd = -EBADF;
	store->objects_fd = store->nodes_fd = store->trees_fd = store->refs_fd = -EBADF;
	store->tx_fd = store->trash_fd = store->cache_fd = -EBADF;
	r = find(store, dir, error);
	if (r == 0)
		r = read_config(store, error);
	if (r == 0)
		r = look_around(store, error);
	if (r == 0)
		r = open_parts(store, error);
	if (r < 0) {
		pl_store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void pl_store_close(struct pl_store *store)
{
	if (!store)
		return;
	pl_closep(&store->cache_fd);
	pl_closep(&store->trash_fd);
	pl_closep(&store->tx_fd);
	pl_closep(&store->refs_fd);
	pl_closep(&store->trees_fd);
	pl_closep(&store->nodes_fd);
	pl_closep(&store->objects_fd);
	pl_closep(&store->fd);
	pl_closep(&store->root_fd);
	pl_values_done(&store->values);
	pl_node_memory_done(&store->memory);
	free(store->path);
	free(store);
}

/* ---- who may do what ---- */

static bool cannot_write(int r)
{
	return r == -EROFS || r == -ENOSPC || r == -EDQUOT || r == -EACCES;
}

int pl_store_clock(const struct pl_store *store, bool may_guess, struct timespec *ret_now)
{
	int r = pl_fs_clock(store->cache_fd, ret_now);

	if (may_guess && (cannot_write(r) || store->cache_fd < 0)) {
		pl_clock_wall(ret_now);
		r = 0;
	}
	return r;
}

bool pl_store_must_fsync(const struct pl_store *store)
{
	return store->settings.durable && !store->fs.has_syncfs_barrier;
}

int pl_store_sync_all(const struct pl_store *store, int fd)
{
	return store->settings.durable && store->fs.has_syncfs_barrier ? pl_syncfs(fd) : 0;
}

int pl_store_must_write(const struct pl_store *store, struct pleach_error *error)
{
	if (!store->is_owner) {
		pl_fail(error, PLEACH_FAILED, -EACCES,
			"only its owner may change this store: uid %lu", (unsigned long)store->uid);
		pl_hint(error, "run it as that user, or make a store of your own: pleach init DIR");
		return -EACCES;
	}
	if (!store->is_writable)
		return pl_fail(error, PLEACH_FAILED, -EROFS,
			       "the store in '%s' is on a read-only file system", store->path);
	return 0;
}

int pl_store_must_read(const struct pl_store *store, struct pleach_error *error)
{
	if (store->nodes_fd >= 0 && store->objects_fd >= 0)
		return 0;
	return pl_fail(error, PLEACH_FAILED, -EACCES, "only its owner may look into this store");
}

/* ---- while a call runs ---- */

bool pl_store_must_stop(const struct pl_store *store)
{
	return pl_store_is_cancelled(store) ||
	       (store->deadline_ms != 0 && pl_clock_monotonic_ms() >= store->deadline_ms);
}

int pl_store_check_cancel(const struct pl_store *store, struct pleach_error *error)
{
	if (!pl_store_must_stop(store))
		return 0;
	if (!pl_store_is_cancelled(store))
		return pl_fail(error, PLEACH_BUSY, -ETIMEDOUT, "the time is over");
	return pl_fail(error, PLEACH_INTERRUPTED, -EINTR, "interrupted");
}

/* Every thousand entries, at the end, and between them a few times a second: content of a large file
 * is progress too. */
void pl_store_progress(struct pl_store *store, const char *phase, uint64_t done, uint64_t total,
		       uint64_t bytes)
{
	struct pleach_progress progress = {
		.size = sizeof(progress),
		.phase = phase,
		.done = done,
		.total = total,
		.done_bytes = bytes,
	};
	uint64_t now;

	if (!store->progress)
		return;
	now = (uint64_t)pl_clock_monotonic_ms();
	if (done % PROGRESS_EACH != 0 && done != total && now < store->progress_last + PROGRESS_MS)
		return;
	store->progress_last = now;
	store->progress(&progress, store->progress_userdata);
}

int pl_store_sync(const struct pl_store *store, int fd)
{
	return store->settings.durable ? pl_fsync(fd) : 0;
}

/* ---- config, written ---- */

int pl_store_encode_config(uid_t uid, const struct pl_values *values, struct pl_buffer *b)
{
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "hash", "sha256");
	pl_text_add_number(b, "uid", uid);
	pl_values_add_to_text(values, b);
	pl_text_end(b);
	if (!pl_buffer_ok(b))
		return -ENOMEM;
	return b->length > PL_TEXT_MAX ? -E2BIG : 0;
}

/* Writes it in tx and puts it in the place of the old one. */
static int replace_config(struct pl_store *store, struct pl_txdir *tx, const struct pl_buffer *b)
{
	int r = pl_text_write(tx->fd, "config", 0644, b, store->settings.durable);

	if (r == 0)
		r = pl_rename(tx->fd, "config", store->fd, "config");
	return r < 0 ? r : pl_store_sync(store, store->fd);
}

int pl_store_write_config(struct pl_store *store, struct pleach_error *error)
{
	struct pl_settings settings;
	struct pl_txdir tx;
	PL_BUFFER b = {0};
	int r = pl_store_must_write(store, error);

	/* What does not resolve would leave a store that nobody can open. */
	if (r == 0)
		r = pl_settings_resolve(&store->values, NULL, &settings, error);
	if (r < 0)
		return r;
	r = pl_store_encode_config(store->uid, &store->values, &b);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot write '%s/.pleach/config'", store->path);
	r = pl_txdir_begin(store, "config", &tx, error);
	if (r < 0)
		return r;
	r = replace_config(store, &tx, &b);
	pl_txdir_end(&tx);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot write '%s/.pleach/config'", store->path);
	store->settings = settings;
	return 0;
}
