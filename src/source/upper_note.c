/*
 * What is said of one path of an upper layer: the edit that it comes to, or why it cannot be read.
 */
#include "source/upper.h"

const char *pl_upper_shown(struct pl_upper_walk *u, const char *path)
{
	pl_buffer_truncate(&u->shown, 0);
	pl_buffer_add_format(&u->shown, "%s/%s", u->upper->label, path);
	return pl_buffer_ok(&u->shown) ? pl_buffer_string(&u->shown) : path;
}

int pl_upper_refuse(struct pl_upper_walk *u, const char *path, const char *what,
		    struct pleach_error *error)
{
	pl_fail_corrupt(error, "'%s' cannot be believed: %s", pl_upper_shown(u, path), what);
	pl_error_path(error, path);
	pl_hint(error, "somebody has changed the upper layer of the overlay from outside");
	return -EBADMSG;
}

const char *pl_upper_here(struct pl_upper_walk *u)
{
	return u->path.length > 0 ? pl_buffer_string(&u->path) : "";
}

int pl_upper_fail_here(struct pl_upper_walk *u, int r, const char *what, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, pl_upper_shown(u, pl_upper_here(u)));
	pl_error_path(error, pl_upper_here(u));
	return r;
}

int pl_upper_check_device(struct pl_upper_walk *u, const struct stat *st,
			  struct pleach_error *error)
{
	if (st->st_dev == u->dev)
		return 0;
	pl_fail(error, PLEACH_FAILED, -EXDEV, "another file system is mounted at '%s'",
		pl_upper_shown(u, pl_upper_here(u)));
	pl_error_path(error, pl_upper_here(u));
	pl_hint(error, "unmount it");
	return -EXDEV;
}

int pl_upper_put(struct pl_upper_walk *u, const char *path, const struct pl_entry *entry,
		 uint64_t link, struct pleach_error *error)
{
	int r = pl_changeset_put(u->changes, path, entry, link);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot note '%s'", pl_upper_shown(u, path));
	if (entry->kind == PLEACH_SYMLINK)
		pl_scan_note_escape(u->result, path, entry);
	return 0;
}
