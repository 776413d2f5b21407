/*
 * Edits in a workspace that is a plain directory. Each name is reached from its root without following a symlink;
 * a file is made whole beside its name and renamed over it.
 *
 * D1  Names `.pleach-edit-...` in the workspace are ours while an edit is made, and gone with it: killed in
 *     between, the transaction is dead as well, or if it is parked the next edit takes the name over.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/edits.h"

#define UNFINISHED ".pleach-edit-unfinished"

/* Where a path is: the directory that holds it, and the name in it. */
struct place {
	struct pl_walk walk;
	const char *name;
};

static void place_done(struct place *place)
{
	pl_walk_done(&place->walk);
}

static int place_find(struct pl_tx *tx, const char *path, struct place *ret_place)
{
	const char *slash = strrchr(path, '/');
	PL_BUFFER dir = {0};
	int r = pl_open_follow(AT_FDCWD, tx->workspace.path, O_RDONLY | O_DIRECTORY);

	*ret_place = (struct place){.name = slash ? slash + 1 : path};
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (r >= 0 && !pl_buffer_ok(&dir)) {
		pl_close(r);
		r = -ENOMEM;
	}
	if (r >= 0)
		r = pl_walk_init_take(&ret_place->walk, r);
	if (r >= 0)
		r = pl_walk_goto(&ret_place->walk, pl_buffer_string(&dir), false, 0);
	if (r < 0)
		place_done(ret_place);
	return r < 0 ? r : 0;
}

static int dir_of(const struct place *place)
{
	return pl_walk_fd(&place->walk);
}

static int fail_meta(int r, const char *why, const char *path, struct pleach_error *error)
{
	if (r != -EPERM || !why)
		return pl_edit_fail(r, "set the metadata of", path, error);
	pl_fail(error, PLEACH_FAILED, r, "'%s' could not be restored exactly: %s", path, why);
	pl_error_path(error, path);
	return r;
}

static int new_meta(struct pl_tx *tx, char kind, const struct pl_edit_call *call,
		    struct pl_meta *ret_meta, struct pl_buffer *room)
{
	int r = 0;

	pl_edit_default(ret_meta, kind);
	if (call->metadata)
		r = pl_edit_change_meta(ret_meta, call->metadata, room);
	pl_meta_reduce(ret_meta, kind, tx->ref.settings.metadata);
	return r;
}

/* What was made under UNFINISHED gets its name. */
static int show(const struct place *place, const char *path, struct pleach_error *error)
{
	struct stat st;
	int r = pl_lstat(dir_of(place), place->name, &st);

	if (r >= 0 && S_ISDIR(st.st_mode))
		r = -EISDIR;
	else if (r >= 0 || r == -ENOENT)
		r = pl_rename(dir_of(place), UNFINISHED, dir_of(place), place->name);
	if (r < 0)
		(void)pl_unlink(dir_of(place), UNFINISHED);
	return r < 0 ? pl_edit_fail(r, "write", path, error) : 0;
}

static int copy_in(int from, int to)
{
	PL_BUFFER b = {0};
	unsigned char *room = pl_buffer_reserve(&b, 128u << 10);

	if (!room)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pl_read_full(from, room, 128u << 10);
		int r;

		if (n <= 0)
			return (int)n;
		r = pl_write_full(to, room, (size_t)n);
		if (r < 0)
			return r;
	}
}

static int put(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	struct place place;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "write", call->path, error);
	r = new_meta(tx, PLEACH_FILE, call, &meta, &room);
	(void)pl_unlink(dir_of(&place), UNFINISHED); /* D1 */
	if (r >= 0)
		r = fd = pl_create(dir_of(&place), UNFINISHED, 0600);
	if (r >= 0)
		r = call->content_fd >= 0 ? copy_in(call->content_fd, fd)
					  : pl_write_full(fd, call->data, call->length);
	if (r < 0)
		pl_edit_fail(r, "write", call->path, error);
	if (r >= 0) {
		r = pl_meta_restore(fd, &meta, PLEACH_FILE, &why);
		if (r < 0)
			fail_meta(r, why, call->path, error);
	}
	if (r >= 0)
		r = show(&place, call->path, error);
	else if (fd >= 0)
		(void)pl_unlink(dir_of(&place), UNFINISHED);
	place_done(&place);
	return r;
}

static int make_symlink(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	const char *why = NULL;
	struct place place;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "make", call->path, error);
	r = new_meta(tx, PLEACH_SYMLINK, call, &meta, &room);
	(void)pl_unlink(dir_of(&place), UNFINISHED); /* D1 */
	if (r >= 0)
		r = pl_symlink(call->other, dir_of(&place), UNFINISHED);
	if (r < 0)
		pl_edit_fail(r, "make", call->path, error);
	if (r >= 0) {
		r = pl_meta_restore_at(dir_of(&place), UNFINISHED, &meta, PLEACH_SYMLINK, &why);
		if (r < 0)
			fail_meta(r, why, call->path, error);
	}
	if (r >= 0)
		r = show(&place, call->path, error);
	else
		(void)pl_unlink(dir_of(&place), UNFINISHED);
	place_done(&place);
	return r;
}

static int make_directory(struct pl_tx *tx, const struct pl_edit_call *call,
			  struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	struct place place;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "make", call->path, error);
	r = new_meta(tx, PLEACH_DIR, call, &meta, &room);
	if (r >= 0)
		r = pl_mkdir(dir_of(&place), place.name, 0700);
	if (r >= 0) {
		r = fd = pl_open_dir(dir_of(&place), place.name);
		if (r >= 0)
			r = pl_meta_restore(fd, &meta, PLEACH_DIR, &why);
		if (r < 0) {
			(void)pl_rmdir(dir_of(&place), place.name);
			fail_meta(r, why, call->path, error);
		}
	} else {
		pl_edit_fail(r, "make", call->path, error);
	}
	place_done(&place);
	return r;
}

static int make_link(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	struct place from, to;
	int r = place_find(tx, call->path, &from);

	if (r < 0)
		return pl_edit_fail(r, "link", call->path, error);
	r = place_find(tx, call->other, &to);
	if (r >= 0) {
		r = pl_exists(dir_of(&to), to.name);
		if (r == 0)
			r = pl_link(dir_of(&from), from.name, dir_of(&to), to.name);
		else if (r > 0)
			r = -EEXIST;
		place_done(&to);
	}
	place_done(&from);
	return r < 0 ? pl_edit_fail(r, "link", r == -EEXIST ? call->other : call->path, error) : 0;
}

static int remove_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct place place;
	int r = place_find(tx, call->path, &place);

	if (r >= 0) {
		r = pl_exists(dir_of(&place), place.name);
		r = r == 0 ? -ENOENT : r;
		if (r > 0)
			r = pl_erase(dir_of(&place), place.name, NULL);
		place_done(&place);
	}
	return r < 0 ? pl_edit_fail(r, "remove", call->path, error) : 0;
}

static int rename_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct place from, to;
	int r = place_find(tx, call->path, &from);

	if (r < 0)
		return pl_edit_fail(r, "rename", call->path, error);
	r = place_find(tx, call->other, &to);
	if (r >= 0) {
		r = pl_exists(dir_of(&from), from.name);
		r = r == 0 ? -ENOENT : r;
		if (r > 0)
			r = pl_rename(dir_of(&from), from.name, dir_of(&to), to.name);
		place_done(&to);
	}
	place_done(&from);
	return r < 0 ? pl_edit_fail(r, "rename", call->path, error) : 0;
}

/* ---- metadata ---- */

static int change_open(int fd, const struct stat *st, const struct pl_edit_call *call,
		       const char **ret_why)
{
	PL_BUFFER xattrs = {0}, room = {0};
	struct pl_meta meta;
	int r = pl_meta_read(fd, st, PL_RULE_EXACT, &xattrs, &meta);

	if (r >= 0)
		r = pl_edit_change_meta(&meta, call->metadata, &room);
	return r < 0 ? r : pl_meta_restore(fd, &meta, pl_kind_of(st->st_mode), ret_why);
}

static int change_at(const struct place *place, const struct stat *st,
		     const struct pl_edit_call *call, const char **ret_why)
{
	PL_BUFFER xattrs = {0}, room = {0};
	struct pl_meta meta;
	int r = pl_meta_read_at(dir_of(place), place->name, st, PL_RULE_EXACT, &xattrs, &meta);

	if (r >= 0)
		r = pl_edit_change_meta(&meta, call->metadata, &room);
	if (S_ISLNK(st->st_mode))
		meta.mode = 0777;
	return r < 0 ? r
		     : pl_meta_restore_at(dir_of(place), place->name, &meta,
					  pl_kind_of(st->st_mode), ret_why);
}

static int set_metadata(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	struct place place;
	struct stat st;
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	if (call->path[0] == '\0')
		r = pl_fstat(dir_of(&place), &st);
	else
		r = pl_lstat(dir_of(&place), place.name, &st);
	if (r >= 0 && call->path[0] == '\0') {
		r = change_open(dir_of(&place), &st, call, &why);
	} else if (r >= 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		r = fd = pl_open(dir_of(&place), place.name, O_RDONLY | O_NONBLOCK);
		if (r >= 0)
			r = change_open(fd, &st, call, &why);
	} else if (r >= 0) {
		r = change_at(&place, &st, call, &why);
	}
	place_done(&place);
	if (r == -ENOENT)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	return r < 0 ? fail_meta(r, why, call->path, error) : 0;
}

const struct pl_edit_ops pl_edit_in_directory = {
	.put = put,
	.mkdir = make_directory,
	.symlink = make_symlink,
	.link = make_link,
	.remove = remove_path,
	.rename = rename_path,
	.set_metadata = set_metadata,
};
