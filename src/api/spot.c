/*
 * Spots: paths outside the store at which something is, or is to be, attached. The path made absolute,
 * whose is what stands there, the symlink made, replaced, removed.
 *
 * S1  Replaced and removed is a symlink alone that has a record for its path, and leads where we lead
 *     symlinks: where the record says, or (a record written anew, its maker killed before the symlink)
 *     into the public part of this store. Everything else is foreign (G7).
 * S2  A new symlink is made by symlink(2), which replaces nothing; one in the place of an old one is made
 *     beside and renamed, so that the path is never without.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/spot.h"

#define TRIES 16

void pl_spot_done(struct pl_spot *spot)
{
	pl_closep(&spot->parent_fd);
	free(spot->path);
	spot->path = NULL;
}

/* ---- paths ---- */

static int split_path(const char *path, struct pl_buffer *parent, struct pl_spot *spot,
		      struct pleach_error *error)
{
	size_t length = strlen(path), at;

	while (length > 1 && path[length - 1] == '/')
		length--;
	for (at = length; at > 0 && path[at - 1] != '/'; at--)
		;
	if (!pl_name_is_valid(path + at, length - at))
		return pl_fail_usage(error, "'%s': nothing can be attached there", path);
	memcpy(spot->name, path + at, length - at);
	spot->name[length - at] = '\0';
	if (at == 0)
		pl_buffer_add_string(parent, ".");
	else
		pl_buffer_add(parent, path, at);
	return pl_buffer_ok(parent) ? 0 : pl_fail_memory(error);
}

int pl_spot_find(const char *path, struct pl_spot *ret_spot, struct pleach_error *error)
{
	struct pl_spot spot = {.parent_fd = -EBADF};
	PL_BUFFER parent = {0};
	PL_BUFFER b = {0};
	int r = split_path(path, &parent, &spot, error);

	if (r < 0)
		return r;
	spot.parent_fd =
		pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_RDONLY | O_DIRECTORY);
	r = spot.parent_fd;
	if (r >= 0)
		r = pl_real_path(spot.parent_fd, &b);
	if (r < 0) {
		pl_spot_done(&spot);
		pl_fail_sys(error, r, "cannot open the directory of '%s'", path);
		pl_error_path(error, path);
		return r;
	}
	if (b.length != 1) /* "/" */
		pl_buffer_add_u8(&b, '/');
	pl_buffer_add_string(&b, spot.name);
	spot.path = pl_buffer_take_string(&b);
	if (!spot.path) {
		pl_spot_done(&spot);
		return pl_fail_memory(error);
	}
	*ret_spot = spot;
	return 0;
}

int pl_spot_find_lost(const char *path, struct pl_spot *ret_spot, struct pleach_error *error)
{
	PL_CLOSE int here = -EBADF;
	PL_BUFFER b = {0};
	int r = 0;

	if (path[0] != '/') {
		here = pl_open_follow(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
		r = here < 0 ? here : pl_real_path(here, &b);
		pl_buffer_add_u8(&b, '/');
	}
	if (r < 0)
		return pl_fail_sys(error, r, "cannot find the path of '%s'", path);
	pl_buffer_add_string(&b, path);
	while (b.length > 1 && b.data[b.length - 1] == '/')
		pl_buffer_truncate(&b, b.length - 1);
	*ret_spot = (struct pl_spot){.parent_fd = -EBADF, .path = pl_buffer_take_string(&b)};
	return ret_spot->path ? 0 : pl_fail_memory(error);
}

int pl_spot_must_be_outside(struct pl_store *store, const struct pl_spot *spot,
			    struct pleach_error *error)
{
	int r = pl_is_above(store->fd, spot->parent_fd);

	if (r == 0 && strcmp(spot->name, ".pleach") != 0)
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look above '%s'", spot->path);
	return pl_fail(error, PLEACH_FAILED, -EINVAL, "'%s' lies in what is pleach's own",
		       spot->path);
}

/* ---- whose is what is there? ---- */

/* Does it lead where we lead symlinks? (S1) */
static bool leads_into_store(const struct pl_store *store, const char *target)
{
	size_t length = strlen(store->path);
	const char *rest;

	if (strncmp(target, store->path, length) != 0)
		return false;
	rest = target + length;
	return (strncmp(rest, "/.pleach/refs/", 14) == 0 ||
		strncmp(rest, "/.pleach/trees/", 15) == 0) &&
	       strlen(rest) > 5 && strcmp(rest + strlen(rest) - 5, "/tree") == 0;
}

int pl_spot_look(struct pl_store *store, const struct pl_spot *spot, const char *recorded,
		 enum pl_spot_what *ret_what, struct pl_buffer *ret_target,
		 struct pleach_error *error)
{
	const char *target;
	int r = spot->parent_fd < 0 ? -ENOENT
				    : pl_readlink(spot->parent_fd, spot->name, ret_target);

	*ret_what = PL_SPOT_FOREIGN;
	if (r == -ENOENT) {
		*ret_what = PL_SPOT_NOTHING;
		return 0;
	}
	if (r == -EINVAL)
		return 0; /* no symlink */
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at '%s'", spot->path);
	target = pl_buffer_string(ret_target);
	if (!target)
		return pl_fail_memory(error);
	if (recorded && (strcmp(target, recorded) == 0 || leads_into_store(store, target)))
		*ret_what = PL_SPOT_OURS;
	return 0;
}

int pl_spot_fail_foreign(const struct pl_spot *spot, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EEXIST, "cannot attach at '%s': what is there is not ours",
		spot->path);
	pl_error_path(error, spot->path);
	pl_hint(error, "move it away, or choose another path");
	return -EEXIST;
}

/* ---- the symlink ---- */

static int sync_parent(struct pl_store *store, const struct pl_spot *spot)
{
	return spot->parent_fd < 0 ? 0 : pl_store_sync(store, spot->parent_fd);
}

/* Beside, whole, and then by rename in the place of the old one. */
static int replace_symlink(const struct pl_spot *spot, const char *target)
{
	struct pl_beside beside = PL_BESIDE_NONE;
	int r = pl_beside_begin(spot->parent_fd, &beside);

	if (r < 0)
		return r;
	r = pl_symlink(target, beside.dir.fd, "link");
	if (r >= 0)
		r = pl_rename(beside.dir.fd, "link", spot->parent_fd, spot->name);
	pl_beside_end(&beside);
	return r;
}

int pl_spot_make_symlink(struct pl_store *store, const struct pl_spot *spot, const char *target,
			 const char *before, struct pleach_error *error)
{
	int r = -EEXIST;

	for (unsigned i = 0; i < TRIES && r == -EEXIST; i++) {
		PL_BUFFER now = {0};
		enum pl_spot_what what;

		r = pl_spot_look(store, spot, target, &what, &now, error);
		if (r < 0)
			return r;
		if (what == PL_SPOT_FOREIGN && before && now.length > 0 &&
		    strcmp(pl_buffer_string(&now), before) == 0)
			what = PL_SPOT_OURS; /* the store was moved since */
		if (what == PL_SPOT_FOREIGN)
			return pl_spot_fail_foreign(spot, error);
		if (what == PL_SPOT_OURS && strcmp(pl_buffer_string(&now), target) == 0) {
			r = sync_parent(store, spot);
			return r < 0 ? pl_fail_sys(error, r, "cannot sync '%s'", spot->path) : 1;
		}
		/* symlink(2) replaces nothing, whatever has come there meanwhile. */
		r = what == PL_SPOT_OURS ? replace_symlink(spot, target)
					 : pl_symlink(target, spot->parent_fd, spot->name);
	}
	if (r >= 0)
		r = sync_parent(store, spot);
	if (r < 0) {
		pl_fail_sys(error, r, "cannot attach at '%s'", spot->path);
		pl_error_path(error, spot->path);
	}
	return r;
}

int pl_spot_remove_symlink(struct pl_store *store, const struct pl_spot *spot,
			   struct pleach_error *error)
{
	int r = pl_unlink(spot->parent_fd, spot->name);

	if (r == -ENOENT)
		r = 0;
	if (r >= 0)
		r = sync_parent(store, spot);
	return r < 0 ? pl_fail_sys(error, r, "cannot remove '%s'", spot->path) : 0;
}
