/*
 * What workspaces have in common that are a directory as any other: how it is shown, and how it is read,
 * which costs a look at each name and the content of what has changed.
 *
 * P1  What a scan passes over unread is what the note says that was made, or the last scan says that it
 *     read (source/cache.c), and only where times tell of every write.
 */
#include <fcntl.h>

#include "tx/workspace_plain.h"

#define CACHE_NAME "scan"

int pl_plain_set_path(struct pl_workspace *ws, int fd, struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r = pl_real_path(fd, &path);

	pl_assert(!ws->path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot find out where the workspace of '%s' lies",
				   ws->name);
	ws->path = pl_buffer_take_string(&path);
	return ws->path ? 0 : pl_fail_memory(error);
}

int pl_plain_open(struct pl_workspace *ws, struct pleach_error *error)
{
	int fd;

	pl_assert(ws->path);
	fd = pl_open_dir(AT_FDCWD, ws->path);
	if (fd < 0) {
		pl_fail_sys(error, fd, "cannot open the workspace '%s'", ws->path);
		pl_error_path(error, ws->path);
	}
	return fd;
}

int pl_plain_note(struct pl_workspace *ws, int root_fd, struct pleach_error *error)
{
	const struct pl_cache_place place = {.dirfd = ws->fd, .name = CACHE_NAME};

	if (!pl_cache_is_sound(root_fd)) /* P1 */
		return 0;
	return pl_cache_fill(ws->store, ws->tx, root_fd, &ws->base, ws->rule, &place, error);
}

int pl_plain_view(struct pl_workspace *ws, struct pl_strings *room, struct pl_view_step *step,
		  bool *ret_with_user_namespace)
{
	pl_assert(ws->path);
	if (pl_strings_add(room, ws->path) < 0)
		return -ENOMEM;
	step->what = PL_VIEW_BIND;
	step->source = room->items[room->n - 1];
	step->data = NULL;
	*ret_with_user_namespace = pl_may_mount() != 1;
	return 0;
}

int pl_plain_scan(struct pl_workspace *ws, struct pl_stage *stage, enum pl_rule rule,
		  struct pl_scan_result *ret_result, struct pleach_error *error)
{
	const struct pl_cache_place place = {.dirfd = ws->fd, .name = CACHE_NAME};
	PL_CLOSE int fd = pl_plain_open(ws, error);
	const bool is_quiet = !ws->is_parked && !ws->checkout; /* what ran in it is gone */
	struct pl_scan scan = {
		.store = ws->store,
		.stage = stage,
		.fd = fd,
		.label = ws->checkout ? ws->checkout : ws->name,
		.prefix = "",
		.rule = rule,
		.base = &ws->base,
		.cache = &place,
		.is_one_fs = true,
		.has_mappings = !is_quiet,
		.is_quiet = is_quiet,
	};

	if (fd < 0)
		return fd;
	scan.use_cache = pl_cache_is_sound(fd);
	return pl_scan_run(&scan, ret_result, error);
}
