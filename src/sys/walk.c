/*
 * walk.c - moving about in a directory tree of any depth with a bounded number of descriptors.
 *
 * Invariants:
 *  W1  Level 1 is the root, level `depth` the current directory, which is always open.
 *  W2  Open are none but the deepest PL_WALK_OPEN levels: entering closes the one that falls out.
 *  W3  A closed level has its device and inode noted, and is believed to be back only with them.
 *  W4  `path` holds depth - 1 names.
 */
#include <stdlib.h>

#include "sys/seam.h"

/* W2, W3. */
static int close_level(struct pl_walk_level *level)
{
	struct stat st;
	int r;

	if (level->fd < 0)
		return 0;
	r = pl_fstat(level->fd, &st);
	if (r < 0)
		return r;
	level->dev = st.st_dev;
	level->ino = st.st_ino;
	level->fd = pl_close(level->fd);
	return 0;
}

static int push_level_take(struct pl_walk *walk, int fd)
{
	int r = PL_ARRAY_GROW(walk->levels, walk->capacity, walk->depth);

	pl_assert(fd >= 0);
	if (r == 0 && walk->depth >= PL_WALK_OPEN)
		r = close_level(&walk->levels[walk->depth - PL_WALK_OPEN]);
	if (r < 0) {
		pl_close(fd);
		return r;
	}
	walk->levels[walk->depth++] = (struct pl_walk_level){.fd = fd};
	return 0;
}

int pl_walk_init_take(struct pl_walk *walk, int fd)
{
	*walk = (struct pl_walk){0};
	return push_level_take(walk, fd);
}

void pl_walk_done(struct pl_walk *walk)
{
	for (size_t i = 0; i < walk->depth; i++)
		pl_closep(&walk->levels[i].fd);
	free(walk->levels);
	pl_buffer_done(&walk->path);
	*walk = (struct pl_walk){0};
}

int pl_walk_fd(const struct pl_walk *walk)
{
	pl_assert(walk->depth > 0 && walk->levels[walk->depth - 1].fd >= 0); /* W1 */
	return walk->levels[walk->depth - 1].fd;
}

const char *pl_walk_path(struct pl_walk *walk)
{
	return pl_buffer_string(&walk->path);
}

int pl_walk_enter(struct pl_walk *walk, const char *name)
{
	int fd;

	if (!pl_name_is_valid(name, strlen(name))) /* ".." above all, which would break W4 */
		return -EINVAL;
	fd = pl_open_dir(pl_walk_fd(walk), name);
	return fd < 0 ? fd : pl_walk_enter_take(walk, name, fd);
}

int pl_walk_enter_take(struct pl_walk *walk, const char *name, int fd)
{
	int r = push_level_take(walk, fd);

	if (r < 0)
		return r;
	pl_path_push(&walk->path, name, strlen(name));
	if (pl_buffer_ok(&walk->path))
		return 0;
	pl_closep(&walk->levels[--walk->depth].fd);
	return -ENOMEM;
}

/* W3: opens the parent of the current directory again. Somebody may have moved the current one, and
 * then ".." leads elsewhere. */
static int reopen_parent(struct pl_walk *walk)
{
	struct pl_walk_level *parent = &walk->levels[walk->depth - 2];
	PL_CLOSE int fd = pl_open_dir(pl_walk_fd(walk), "..");
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = pl_fstat(fd, &st);
	if (r < 0)
		return r;
	if (st.st_dev != parent->dev || st.st_ino != parent->ino)
		return -ESTALE;
	parent->fd = pl_take_fd(&fd);
	return 0;
}

int pl_walk_leave(struct pl_walk *walk)
{
	int r = 0;

	pl_assert(walk->depth > 1);
	if (walk->levels[walk->depth - 2].fd < 0)
		r = reopen_parent(walk);
	if (r < 0)
		return r; /* still in the child */
	pl_closep(&walk->levels[--walk->depth].fd);
	pl_path_pop(&walk->path);
	return 0;
}

/* How many names `a` and `b` share at their beginning; `ret_rest`: what of `b` comes after them. */
static size_t shared_names(const char *a, const char *b, const char **ret_rest)
{
	size_t n = 0, rest = 0, i = 0;

	while (a[i] != '\0' && a[i] == b[i]) {
		i++;
		if ((a[i] == '\0' || a[i] == '/') && (b[i] == '\0' || b[i] == '/')) {
			n++;
			rest = b[i] == '/' ? i + 1 : i;
		}
		if (a[i] == '/' && b[i] == '/')
			i++;
	}
	*ret_rest = b + rest;
	return n;
}

static int enter_or_make(struct pl_walk *walk, const char *name, bool make, mode_t mkdir_mode)
{
	int r = pl_walk_enter(walk, name);

	if (r != -ENOENT || !make)
		return r;
	r = pl_mkdir(pl_walk_fd(walk), name, mkdir_mode);
	if (r < 0 && r != -EEXIST) /* somebody else may have been quicker */
		return r;
	return pl_walk_enter(walk, name);
}

int pl_walk_goto(struct pl_walk *walk, const char *path, bool make, mode_t mkdir_mode)
{
	const char *rest;
	size_t keep = shared_names(pl_walk_path(walk), path, &rest);

	while (walk->depth - 1 > keep) {
		int r = pl_walk_leave(walk);

		if (r < 0)
			return r;
	}
	while (*rest != '\0') {
		size_t length = strcspn(rest, "/");
		char name[PL_NAME_MAX + 1];
		int r;

		if (length > PL_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, rest, length);
		name[length] = '\0';
		r = enter_or_make(walk, name, make, mkdir_mode);
		if (r < 0)
			return r;
		rest += length + (rest[length] == '/');
	}
	return 0;
}
