/*
 * Making a workspace durable, as parked ones must be: in one call where that is a barrier for the whole file
 * system, else file by file.
 *
 * Y1  A file or directory that was written is synced, or it is an error by path: what cannot be opened to
 *     be synced is not passed over.
 * Y2  The marks of a volatile mount go after all that it has left unsynced is synced.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tx/workspace_plain.h"

struct frame {
	struct pl_listing listing;
	size_t next;
};
struct syncing {
	struct pl_walk walk;
	struct frame *frames;
	size_t n, capacity;
};

static int push(struct syncing *s)
{
	struct frame *frame;

	if (PL_ARRAY_GROW(s->frames, s->capacity, s->n) < 0)
		return -ENOMEM;
	frame = &s->frames[s->n++];
	*frame = (struct frame){0};
	return pl_list(pl_walk_fd(&s->walk), &frame->listing);
}

static void pop(struct syncing *s)
{
	pl_listing_done(&s->frames[--s->n].listing);
}

/* A file, or a directory that is then entered. Everything else is synced with the directory it is in. */
static int sync_entry(struct syncing *s, const char *name)
{
	int dirfd = pl_walk_fd(&s->walk), r;
	struct stat st;

	r = pl_lstat(dirfd, name, &st);
	if (r < 0)
		return r;
	if (S_ISREG(st.st_mode))
		return pl_fsync_at(dirfd, name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	r = pl_walk_enter(&s->walk, name);
	return r < 0 ? r : push(s);
}

static int sync_next(struct syncing *s)
{
	struct frame *frame = &s->frames[s->n - 1];
	int r;

	if (frame->next < frame->listing.n)
		return sync_entry(s, frame->listing.entries[frame->next++].name);
	r = pl_fsync(pl_walk_fd(&s->walk));
	pop(s);
	if (r >= 0 && s->n > 0)
		r = pl_walk_leave(&s->walk);
	return r;
}

/* Y1. */
static int sync_each(int dirfd, struct pleach_error *error)
{
	struct syncing s = {0};
	int fd = pl_open_dir(dirfd, ".");
	int r = fd < 0 ? fd : pl_walk_init_take(&s.walk, fd);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot sync the workspace");
	r = push(&s);
	while (r >= 0 && s.n > 0)
		r = sync_next(&s);
	if (r < 0) {
		pl_fail_sys(error, r, "cannot sync the workspace, below '%s'",
			    pl_walk_path(&s.walk));
		pl_error_path(error, pl_walk_path(&s.walk));
	}
	while (s.n > 0)
		pop(&s);
	free(s.frames);
	pl_walk_done(&s.walk);
	return r;
}

static int sync_tree(int fd, struct pleach_error *error)
{
	struct pl_fs fs;
	int r = pl_fs_probe(fd, &fs);

	if (r >= 0 && fs.is_volatile)
		return 0;
	if (r >= 0 && !fs.has_syncfs_barrier)
		return sync_each(fd, error);
	if (r >= 0)
		r = pl_syncfs(fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot sync the workspace") : 0;
}

static int sync_checkout(struct pl_workspace *ws, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_plain_open(ws, error);

	return fd < 0 ? fd : sync_tree(fd, error);
}

int pl_workspace_sync(struct pl_workspace *ws, struct pleach_error *error)
{
	int r = 0;

	pl_assert(ws->driver && ws->fd >= 0);
	if (ws->store->settings.durable) {
		r = sync_tree(ws->fd, error);
		if (r >= 0 && ws->checkout)
			r = sync_checkout(ws, error);
	}
	if (r < 0 || !ws->driver->settle)
		return r;
	r = ws->driver->settle(ws); /* Y2 */
	return r < 0 ? pl_fail_sys(error, r, "cannot make the workspace ready to be used again")
		     : 0;
}
