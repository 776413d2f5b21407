/*
 * Edits in a workspace that is a plain directory. Each name is reached from its root without following a symlink.
 *
 * D1  What is new is made whole beside the workspace and renamed into it, and a directory that goes is renamed out
 *     of it before it is erased: so an edit is done or not, wherever it is killed, and no name of ours is ever in
 *     the tree. Beside is still the same file system: the directory that the workspace lies in, which is ours,
 *     or for a checkout a directory in it that the next command there knows for a dead one.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tx/edits.h"

/* ---- places in the workspace ---- */

/* Where a path is: the directory that holds it, and the name in it. */
struct place {
	struct pl_walk walk;
	const char *name; /* "": the root itself, whose directory is it */
};

static void place_done(struct place *place)
{
	pl_walk_done(&place->walk);
}

static int place_find(struct pl_tx *tx, const char *path, struct place *ret_place)
{
	const char *slash = strrchr(path, '/');
	PL_BUFFER dir = {0};
	int r = pl_open_dir(AT_FDCWD, tx->workspace.path);

	*ret_place = (struct place){.name = slash ? slash + 1 : path};
	if (r >= 0)
		r = pl_walk_init_take(&ret_place->walk, r);
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (r >= 0 && !pl_buffer_ok(&dir))
		r = -ENOMEM;
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

/* -EISDIR where something new would be in the place of a directory. */
static int must_be_no_directory(const struct place *place)
{
	struct stat st;
	int r = pl_lstat(dir_of(place), place->name, &st);

	if (r == -ENOENT)
		return 0;
	return r >= 0 && S_ISDIR(st.st_mode) ? -EISDIR : r;
}

/* ---- beside the workspace: D1 ---- */

struct beside {
	int parent_fd;
	struct pl_beside outside; /* of a checkout */
	int fd;			  /* where it is made; not to be closed */
};
#define BESIDE_NONE                                                          \
	{                                                                    \
		.parent_fd = -EBADF, .outside = PL_BESIDE_NONE, .fd = -EBADF \
	}
/* What is made, or goes. Of a dead one of a transaction that is parked it is removed before. */
#define OURS "edit"

static int beside_open(struct pl_tx *tx, struct beside *beside)
{
	const char *path = tx->workspace.path, *slash = strrchr(path, '/');
	PL_BUFFER parent = {0};
	int r;

	pl_assert(slash && slash[1]);
	pl_buffer_add(&parent, path, slash == path ? 1 : (size_t)(slash - path));
	if (!pl_buffer_ok(&parent))
		return -ENOMEM;
	r = beside->parent_fd =
		pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_RDONLY | O_DIRECTORY);
	if (r >= 0 && tx->workspace.checkout) {
		r = pl_beside_begin(beside->parent_fd, &beside->outside);
		beside->fd = r < 0 ? -EBADF : beside->outside.dir.fd;
	} else if (r >= 0) {
		beside->fd = beside->parent_fd;
		r = pl_erase(beside->fd, OURS, NULL);
	}
	return r < 0 ? r : 0;
}

/* Removes what is left there, be it that an edit has failed, or what it took away. */
static void beside_close(struct beside *beside)
{
	if (beside->fd >= 0)
		(void)pl_erase(beside->fd, OURS, NULL);
	pl_beside_end(&beside->outside);
	pl_closep(&beside->parent_fd);
}

/* ---- new things ---- */

static int new_meta(struct pl_tx *tx, char kind, const struct pl_edit_call *call,
		    struct pl_meta *ret_meta, struct pl_buffer *room, struct pleach_error *error)
{
	const char *why = NULL;
	int r = 0;

	pl_edit_default(ret_meta, kind);
	if (call->metadata)
		r = pl_edit_change_meta(ret_meta, kind, call->metadata, room);
	if (r >= 0) {
		pl_meta_reduce(ret_meta, kind, tx->ref.settings.metadata);
		r = pl_meta_may_restore(ret_meta, kind, &why);
	}
	return r < 0 ? pl_edit_fail_meta(r, why, call->path, error) : 0;
}

static int make_file(int dirfd, const struct pl_edit_call *call, const struct pl_meta *meta,
		     struct pleach_error *error)
{
	PL_CLOSE int fd = pl_create(dirfd, OURS, 0600);
	const char *why = NULL;
	int r = fd;

	if (r >= 0)
		r = call->content_fd >= 0 ? pl_copy_rest(call->content_fd, PL_COPY_HERE, fd, NULL)
					  : pl_write_full(fd, call->data, call->length);
	if (r < 0)
		return pl_edit_fail(r, "write", call->path, error);
	r = pl_meta_restore(fd, meta, PLEACH_FILE, &why);
	return r < 0 ? pl_edit_fail_meta(r, why, call->path, error) : 0;
}

static int make_link_to(int dirfd, const struct pl_edit_call *call, const struct pl_meta *meta,
			struct pleach_error *error)
{
	const char *why = NULL;
	int r = pl_symlink(call->other, dirfd, OURS);

	if (r < 0)
		return pl_edit_fail(r, "make", call->path, error);
	r = pl_meta_restore_at(dirfd, OURS, meta, PLEACH_SYMLINK, &why);
	return r < 0 ? pl_edit_fail_meta(r, why, call->path, error) : 0;
}

/* Makes it beside, and gives it its name. */
static int replace(struct pl_tx *tx, const struct place *place, char kind,
		   const struct pl_edit_call *call, const struct pl_meta *meta,
		   struct pleach_error *error)
{
	struct beside beside = BESIDE_NONE;
	int r = beside_open(tx, &beside);

	if (r < 0)
		pl_edit_fail(r, "write", call->path, error);
	if (r >= 0)
		r = kind == PLEACH_FILE ? make_file(beside.fd, call, meta, error)
					: make_link_to(beside.fd, call, meta, error);
	if (r >= 0) {
		r = pl_rename(beside.fd, OURS, dir_of(place), place->name);
		if (r < 0)
			pl_edit_fail(r, "write", call->path, error);
	}
	beside_close(&beside);
	return r;
}

static int make(struct pl_tx *tx, char kind, const struct pl_edit_call *call,
		struct pleach_error *error)
{
	struct place place;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "write", call->path, error);
	r = must_be_no_directory(&place);
	if (r < 0)
		pl_edit_fail(r, "write", call->path, error);
	if (r >= 0)
		r = new_meta(tx, kind, call, &meta, &room, error);
	if (r >= 0)
		r = replace(tx, &place, kind, call, &meta, error);
	place_done(&place);
	return r;
}

static int put(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	return make(tx, PLEACH_FILE, call, error);
}

static int make_symlink(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	return make(tx, PLEACH_SYMLINK, call, error);
}

/* A directory that its owner may not write he could not rename: such a mode comes last. */
static int make_directory_at(int dirfd, const struct place *place, const struct pl_edit_call *call,
			     const struct pl_meta *meta, struct pleach_error *error)
{
	struct pl_meta first = *meta;
	PL_CLOSE int fd = -EBADF;
	const char *why = NULL;
	int r = pl_mkdir(dirfd, OURS, 0700);

	if (r >= 0)
		r = fd = pl_open_dir(dirfd, OURS);
	if (r >= 0)
		r = pl_meta_restore(fd, meta, PLEACH_DIR, &why); /* it may be had */
	first.mode |= 0700;
	if (r >= 0 && first.mode != meta->mode)
		r = pl_meta_restore(fd, &first, PLEACH_DIR, &why);
	if (r < 0)
		return pl_edit_fail_meta(r, why, call->path, error);
	r = pl_rename_new(dirfd, OURS, dir_of(place), place->name);
	if (r < 0)
		return pl_edit_fail(r, "make", call->path, error);
	if (first.mode != meta->mode)
		r = pl_meta_restore(fd, meta, PLEACH_DIR, &why);
	if (r < 0) {
		(void)pl_rmdir(dir_of(place), place->name);
		return pl_edit_fail_meta(r, why, call->path, error);
	}
	return 0;
}

static int make_directory(struct pl_tx *tx, const struct pl_edit_call *call,
			  struct pleach_error *error)
{
	struct beside beside = BESIDE_NONE;
	struct place place;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "make", call->path, error);
	r = pl_exists(dir_of(&place), place.name);
	if (r == 0)
		r = beside_open(tx, &beside);
	else if (r > 0)
		r = -EEXIST;
	if (r < 0)
		pl_edit_fail(r, "make", call->path, error);
	if (r >= 0)
		r = new_meta(tx, PLEACH_DIR, call, &meta, &room, error);
	if (r >= 0)
		r = make_directory_at(beside.fd, &place, call, &meta, error);
	beside_close(&beside);
	place_done(&place);
	return r;
}

/* ---- names ---- */

static int must_exist(const struct place *place)
{
	int r = pl_exists(dir_of(place), place->name);

	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}

static int link_place(const struct place *from, const struct place *to)
{
	int r = pl_exists(dir_of(to), to->name);

	/* pl_link() takes a name that is one already for success. */
	if (r > 0)
		return -EEXIST;
	return r < 0 ? r : pl_link(dir_of(from), from->name, dir_of(to), to->name);
}

static int rename_place(const struct place *from, const struct place *to)
{
	return pl_rename(dir_of(from), from->name, dir_of(to), to->name);
}

/* From call->path to call->other. */
static int relate(struct pl_tx *tx, const struct pl_edit_call *call, const char *what,
		  int (*do_it)(const struct place *from, const struct place *to),
		  struct pleach_error *error)
{
	const char *about = call->path;
	struct place from, to;
	int r = place_find(tx, call->path, &from);

	if (r < 0)
		return pl_edit_fail(r, what, call->path, error);
	r = must_exist(&from);
	if (r >= 0) {
		about = call->other;
		r = place_find(tx, call->other, &to);
	}
	if (r >= 0) {
		r = do_it(&from, &to);
		about = r == -EEXIST ? call->other : call->path;
		place_done(&to);
	}
	place_done(&from);
	return r < 0 ? pl_edit_fail(r, what, about, error) : 0;
}

static int make_link(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	return relate(tx, call, "link", link_place, error);
}

static int rename_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	return relate(tx, call, "rename", rename_place, error);
}

/* D1. A directory that this user may not write he cannot rename, only empty. */
static int remove_directory(struct pl_tx *tx, const struct place *place)
{
	struct beside beside = BESIDE_NONE;
	int r = beside_open(tx, &beside);

	if (r >= 0)
		r = pl_rename(dir_of(place), place->name, beside.fd, OURS);
	if (r == -EACCES)
		r = pl_erase(dir_of(place), place->name, NULL);
	beside_close(&beside);
	return r;
}

static int remove_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct place place;
	struct stat st;
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "remove", call->path, error);
	r = pl_lstat(dir_of(&place), place.name, &st);
	if (r >= 0)
		r = S_ISDIR(st.st_mode) ? remove_directory(tx, &place)
					: pl_unlink(dir_of(&place), place.name);
	place_done(&place);
	return r < 0 ? pl_edit_fail(r, "remove", call->path, error) : 0;
}

/* ---- metadata of what is there ---- */

/* Something that has metadata: open, or a name of what cannot be opened. */
struct thing {
	int fd;		  /* of itself, or of the directory that it is in */
	const char *name; /* NULL: fd is it */
	struct stat st;
};

static int read_meta(const struct thing *thing, struct pl_buffer *xattrs, struct pl_meta *ret_meta)
{
	return thing->name ? pl_meta_read_at(thing->fd, thing->name, &thing->st, PL_RULE_EXACT,
					     xattrs, ret_meta)
			   : pl_meta_read(thing->fd, &thing->st, PL_RULE_EXACT, xattrs, ret_meta);
}

static int restore_meta(const struct thing *thing, const struct pl_meta *meta, const char **ret_why)
{
	char kind = pl_kind_of(thing->st.st_mode);

	return thing->name ? pl_meta_restore_at(thing->fd, thing->name, meta, kind, ret_why)
			   : pl_meta_restore(thing->fd, meta, kind, ret_why);
}

/* What was set before it failed is set back. */
static int change(const struct thing *thing, const struct pl_edit_call *call,
		  struct pleach_error *error)
{
	const char *why = NULL, *ignored;
	char kind = pl_kind_of(thing->st.st_mode);
	PL_BUFFER xattrs = {0}, room = {0};
	struct pl_meta old, meta = {0};
	int r = read_meta(thing, &xattrs, &old);

	if (r >= 0) {
		meta = old;
		r = pl_edit_change_meta(&meta, kind, call->metadata, &room);
	}
	if (r >= 0)
		r = pl_meta_may_restore(&meta, kind, &why);
	if (r >= 0 && !pl_meta_equal(&old, &meta)) {
		r = restore_meta(thing, &meta, &why);
		if (r < 0)
			(void)restore_meta(thing, &old, &ignored);
	}
	return r < 0 ? pl_edit_fail_meta(r, why, call->path, error) : 0;
}

/* The owner may change what he may not read: then he lets himself in for as long as it takes to open it. */
static int open_thing(const struct place *place, struct thing *thing)
{
	mode_t mode = thing->st.st_mode & 07777;
	int r = pl_open(dir_of(place), place->name, O_RDONLY | O_NONBLOCK);

	if (r != -EACCES || thing->st.st_uid != pl_uid())
		return r;
	r = pl_chmod_at(dir_of(place), place->name, mode | 0400);
	if (r < 0)
		return r;
	r = pl_open(dir_of(place), place->name, O_RDONLY | O_NONBLOCK);
	if (r < 0) {
		(void)pl_chmod_at(dir_of(place), place->name, mode);
		return r;
	}
	if (pl_chmod(r, mode) < 0) {
		pl_close(r);
		return -EIO;
	}
	return r;
}

static int set_metadata(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	struct thing thing = {.fd = -EBADF};
	struct place place;
	int r = place_find(tx, call->path, &place);

	if (r < 0)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	thing.fd = dir_of(&place);
	if (place.name[0] == '\0') {
		r = pl_fstat(thing.fd, &thing.st);
	} else {
		r = pl_lstat(thing.fd, place.name, &thing.st);
		if (r >= 0 && (S_ISREG(thing.st.st_mode) || S_ISDIR(thing.st.st_mode)))
			r = fd = open_thing(&place, &thing);
		else
			thing.name = place.name;
		if (fd >= 0)
			thing.fd = fd;
	}
	if (r < 0)
		pl_edit_fail(r, "set the metadata of", call->path, error);
	else
		r = change(&thing, call, error);
	place_done(&place);
	return r;
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
