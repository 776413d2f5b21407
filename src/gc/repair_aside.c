/*
 * What is damaged is set aside: .pleach/damaged/<time>-<random>/<n>-<label>, and in `list` there, for
 * each, where it was. Nothing of pleach ever reads or removes it; `status` says that it is there.
 *
 * A1  A regular file keeps its name meanwhile, so that it is replaced in one step. Anything else is no object,
 *     node or text, and is moved.
 */
#include <fcntl.h>
#include <stdio.h>

#include "gc/repairing.h"

#define DAMAGED "damaged"

/* "2026-11-26T18:15:58Z-1a2b3c4d" */
static int make_name(char ret_name[48])
{
	struct timespec now;
	char time[PL_TIME_TEXT], random[25];
	int r = pl_random_name(random);

	pl_clock_wall(&now);
	pl_time_text(now.tv_sec, 0, time);
	(void)snprintf(ret_name, 48, "%.19sZ-%.8s", time, random);
	return r;
}

static int make(struct pl_repairing *m)
{
	PL_CLOSE int damaged = -EBADF;
	char name[48];
	int r = pl_mkdir(m->store->fd, DAMAGED, 0700);

	if (r == -EEXIST)
		r = 0;
	if (r >= 0)
		r = damaged = pl_open_dir(m->store->fd, DAMAGED);
	if (r >= 0)
		r = make_name(name);
	if (r >= 0)
		r = pl_mkdir(damaged, name, 0700);
	if (r >= 0)
		r = m->aside.fd = pl_open_dir(damaged, name);
	if (r >= 0)
		r = pl_store_sync(m->store, damaged);
	if (r >= 0)
		r = pl_store_sync(m->store, m->store->fd);
	if (r < 0)
		return r;
	memcpy(m->aside.name, name, sizeof(name));
	pl_event_add(m->store, NULL, "damaged files were set aside in .pleach/" DAMAGED "/%s",
		     name);
	return 0;
}

/* A line of `list`, durable before what it tells of is there. */
static int note(struct pl_repairing *m, const char *name, const char *path)
{
	PL_BUFFER line = {0};
	PL_CLOSE int fd = pl_open_or_create(m->aside.fd, "list", O_WRONLY | O_APPEND, 0600);
	int r;

	if (fd < 0)
		return fd;
	pl_text_add(&line, name, path);
	r = pl_buffer_ok(&line) ? pl_write_full(fd, line.data, line.length) : -ENOMEM;
	return r < 0 ? r : pl_store_sync(m->store, fd);
}

static int begin(struct pl_repairing *m, const char *path, const char *label, char ret_name[200])
{
	int r = m->aside.fd < 0 ? make(m) : 0;

	if (r < 0)
		return r;
	(void)snprintf(ret_name, 200, "%u-%.150s", ++m->aside.serial, label);
	return note(m, ret_name, path);
}

int pl_aside_link(struct pl_repairing *m, int dirfd, const char *name, const char *path,
		  const char *label)
{
	char to[200];
	int r = begin(m, path, label, to);

	if (r >= 0)
		r = pl_link(dirfd, name, m->aside.fd, to);
	return r < 0 ? r : pl_store_sync(m->store, m->aside.fd);
}

int pl_aside_move(struct pl_repairing *m, int dirfd, const char *name, const char *path,
		  const char *label)
{
	char to[200];
	int r = begin(m, path, label, to);

	if (r >= 0)
		r = pl_rename_new(dirfd, name, m->aside.fd, to);
	if (r >= 0)
		r = pl_store_sync(m->store, m->aside.fd);
	return r < 0 ? r : pl_store_sync(m->store, dirfd);
}

int pl_aside_replace(struct pl_repairing *m, int from_dirfd, const char *from_name, int to_dirfd,
		     const char *to_name, const char *path, const char *label)
{
	struct stat st;
	int r = pl_lstat(to_dirfd, to_name, &st);

	if (r >= 0 && S_ISREG(st.st_mode)) { /* A1 */
		r = pl_aside_link(m, to_dirfd, to_name, path, label);
		/* An inode with all the links that there can be: then it goes, and its name is free. */
		if (r == -EMLINK || r == -EPERM)
			r = pl_aside_move(m, to_dirfd, to_name, path, label);
	} else if (r >= 0) {
		r = pl_aside_move(m, to_dirfd, to_name, path, label);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = pl_rename(from_dirfd, from_name, to_dirfd, to_name);
	return r < 0 ? r : pl_store_sync(m->store, to_dirfd);
}

void pl_aside_done(struct pl_repairing *m)
{
	pl_closep(&m->aside.fd);
}

const char *pl_aside_where(const struct pl_repairing *m)
{
	return m->aside.name;
}
