/*
 * Where names are: directories that are kept open for a while, since neighbours come together; their times;
 * and in each PATH, once it is needed, a private directory for what has no name yet.
 *
 * P1  A directory is gone into from its PATH on, name by name, without following a symlink, and only on the
 *     file system of the PATH.
 * P2  The mtime of a directory is set back only if it is the one that our own change has left, and to what it
 *     was right before: a change of somebody else's stays seen.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/dedup.h"

#define GRAIN_NS 10000000 /* no coarser than the clock that stamps files */

/* ---- records in the spool ---- */

struct dir_head {
	uint32_t root;
};
struct file_head {
	uint64_t dir;
};

static int add_record(struct dedup *d, const void *head, size_t head_length, const char *text,
		      uint64_t *ret_where)
{
	uint64_t text_where;
	int r = dedup_spool_add(&d->names, head, head_length, ret_where);

	return r < 0 ? r : dedup_spool_add(&d->names, text, strlen(text) + 1, &text_where);
}

int dedup_dir_add(struct dedup *d, const struct dedup_root *root, const char *path,
		  uint64_t *ret_where)
{
	const struct dir_head head = {.root = (uint32_t)(root - d->roots)};

	return add_record(d, &head, sizeof(head), path, ret_where);
}

int dedup_file_add(struct dedup *d, uint64_t dir_where, const char *name, uint64_t *ret_where)
{
	const struct file_head head = {.dir = dir_where};

	return add_record(d, &head, sizeof(head), name, ret_where);
}

static int read_file_record(struct dedup *d, uint64_t where, uint64_t *ret_dir,
			    char ret_name[PL_NAME_MAX + 1])
{
	char room[sizeof(struct file_head) + PL_NAME_MAX + 1];
	struct file_head head;
	size_t n;
	int r = dedup_spool_read(&d->names, where, room, sizeof(room), &n);

	if (r < 0)
		return r;
	pl_assert(n > sizeof(head) && memchr(room + sizeof(head), '\0', n - sizeof(head)));
	memcpy(&head, room, sizeof(head));
	*ret_dir = head.dir;
	memcpy(ret_name, room + sizeof(head), strlen(room + sizeof(head)) + 1);
	return 0;
}

static int read_dir_record(struct dedup *d, uint64_t where, struct dedup_root **ret_root,
			   struct pl_buffer *ret_path)
{
	struct dir_head head;
	size_t want = 256, n;

	for (;; want *= 4) {
		char *to;
		int r;

		pl_buffer_truncate(ret_path, 0);
		to = pl_buffer_reserve(ret_path, want);
		r = to ? dedup_spool_read(&d->names, where, to, want, &n) : -ENOMEM;
		if (r < 0)
			return r;
		pl_assert(n >= sizeof(head));
		memcpy(&head, to, sizeof(head));
		if (memchr(to + sizeof(head), '\0', n - sizeof(head))) {
			memmove(to, to + sizeof(head), n - sizeof(head));
			ret_path->length = strlen(to);
			break;
		}
		pl_assert(n == want);
	}
	pl_assert(head.root < d->n_roots);
	*ret_root = &d->roots[head.root];
	return 0;
}

/* ---- directories ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* P2. Best effort: who may write a directory need not be who owns it. */
static void set_back(int fd, const struct timespec *mtime, const struct timespec *ours)
{
	struct stat st;

	if (pl_fstat(fd, &st) == 0 && same_time(&st.st_mtim, ours) && !same_time(mtime, ours))
		(void)pl_utimens(fd, mtime->tv_sec, (uint32_t)mtime->tv_nsec);
}

static void close_dir(struct dedup_dir *dir)
{
	if (dir->where == 0)
		return;
	if (dir->is_touched)
		set_back(dir->fd, &dir->mtime, &dir->ours);
	pl_closep(&dir->fd);
	*dir = (struct dedup_dir){.fd = -EBADF};
}

void dedup_dirs_close(struct dedup *d)
{
	for (size_t i = 0; i < DEDUP_OPEN_DIRS; i++)
		close_dir(&d->dirs[i]);
}

void dedup_dir_before(struct dedup_dir *dir)
{
	struct stat st;

	if (pl_fstat(dir->fd, &st) < 0)
		return;
	if (!dir->is_touched || !same_time(&st.st_mtim, &dir->ours))
		dir->mtime = st.st_mtim;
}

void dedup_dir_after(struct dedup_dir *dir)
{
	struct stat st;

	dir->is_touched = pl_fstat(dir->fd, &st) == 0;
	if (dir->is_touched)
		dir->ours = st.st_mtim;
}

/* P1. */
static int open_below(const struct dedup_root *root, char *path, int *ret_fd)
{
	PL_CLOSE int fd = pl_open_dir(root->fd, ".");
	char *name = path;
	struct stat st;
	int r;

	while (fd >= 0 && *name) {
		char *end = strchr(name, '/');
		int next;

		if (end)
			*end = '\0';
		next = pl_open_dir(fd, name);
		pl_close(fd);
		fd = next;
		name = end ? end + 1 : name + strlen(name);
	}
	r = fd < 0 ? fd : pl_fstat(fd, &st);
	if (r >= 0 && st.st_dev != root->dev)
		r = -EXDEV;
	if (r >= 0)
		*ret_fd = pl_take_fd(&fd);
	return r < 0 ? r : 0;
}

/* One that is free, or was not used for longest. */
static struct dedup_dir *find_slot(struct dedup *d)
{
	struct dedup_dir *oldest = &d->dirs[0];

	for (size_t i = 1; i < DEDUP_OPEN_DIRS; i++)
		if (d->dirs[i].used < oldest->used)
			oldest = &d->dirs[i];
	close_dir(oldest);
	return oldest;
}

static int open_dir(struct dedup *d, uint64_t where, struct dedup_dir **ret_dir)
{
	PL_BUFFER path = {0};
	struct dedup_root *root;
	struct dedup_dir *dir;
	int fd, r;

	for (size_t i = 0; i < DEDUP_OPEN_DIRS; i++) {
		if (d->dirs[i].where != where)
			continue;
		d->dirs[i].used = ++d->clock;
		*ret_dir = &d->dirs[i];
		return 0;
	}
	r = read_dir_record(d, where, &root, &path);
	if (r >= 0)
		r = open_below(root, (char *)path.data, &fd);
	if (r < 0)
		return r;
	dir = find_slot(d);
	*dir = (struct dedup_dir){.where = where, .used = ++d->clock, .fd = fd, .root = root};
	*ret_dir = dir;
	return 0;
}

int dedup_spot_open(struct dedup *d, const struct dedup_name *name, struct dedup_spot *ret_spot)
{
	uint64_t dir;
	int r = read_file_record(d, name->where, &dir, ret_spot->name);

	return r < 0 ? r : open_dir(d, dir, &ret_spot->dir);
}

void dedup_path_add(struct pl_buffer *path, const char *more)
{
	if (*more && path->length > 0 && path->data[path->length - 1] != '/')
		pl_buffer_add_u8(path, '/');
	pl_buffer_add_string(path, more);
}

char *dedup_path_of(struct dedup *d, const struct dedup_name *name)
{
	char last[PL_NAME_MAX + 1];
	PL_BUFFER path = {0};
	PL_BUFFER dir = {0};
	struct dedup_root *root;
	uint64_t where;

	if (read_file_record(d, name->where, &where, last) < 0 ||
	    read_dir_record(d, where, &root, &dir) < 0)
		return NULL;
	pl_buffer_add_string(&path, root->path);
	dedup_path_add(&path, pl_buffer_string(&dir));
	dedup_path_add(&path, last);
	return pl_buffer_take_string(&path);
}

/* ---- a PATH ---- */

int dedup_beside(struct dedup *d, struct dedup_root *root, int *ret_fd)
{
	struct stat st;
	int r = 0;

	if (root->beside.dir.fd < 0) {
		if (pl_fstat(root->fd, &st) == 0)
			root->mtime = st.st_mtim;
		r = pl_beside_begin(root->fd, &root->beside);
		if (r == -ESTALE) /* no file of the tree has gone, as this says elsewhere here */
			r = -EBUSY;
		if (r >= 0 && pl_fstat(root->fd, &st) == 0)
			root->mtime_after = st.st_mtim;
	}
	(void)d;
	if (r >= 0)
		*ret_fd = root->beside.dir.fd;
	return r < 0 ? r : 0;
}

void dedup_root_close(struct dedup_root *root)
{
	struct stat st;
	bool is_ours = root->beside.dir.fd >= 0 && pl_fstat(root->fd, &st) == 0 &&
		       same_time(&st.st_mtim, &root->mtime_after);

	pl_beside_end(&root->beside);
	if (is_ours && pl_fstat(root->fd, &st) == 0)
		set_back(root->fd, &root->mtime, &st.st_mtim);
	pl_closep(&root->fd);
}

/* One sync for all that is older than it; what is younger is synced by itself. */
int dedup_sync(struct dedup *d, struct dedup_root *root, int fd, const struct dedup_look *look)
{
	int r = 0, did_sync = 0;

	(void)d;
	if (root->fs.is_volatile)
		return 0;
	if (!root->fs.has_syncfs_barrier) {
		r = pl_fsync(fd);
		return r < 0 ? r : 1;
	}
	if (root->synced.tv_sec == 0) {
		pl_clock_coarse(&root->synced);
		r = pl_syncfs(root->fd);
		did_sync = 1;
	}
	if (r >= 0 && ((look->ctime.tv_sec - root->synced.tv_sec) * INT64_C(1000000000) +
			       look->ctime.tv_nsec - root->synced.tv_nsec >
		       -GRAIN_NS)) {
		r = pl_fsync(fd);
		did_sync = 1;
	}
	return r < 0 ? r : did_sync;
}
