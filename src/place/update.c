/*
 * Making a directory that is there equal to a tree. It is a walk through the tree's nodes, with the
 * directory beside; names that differ are made anew in a `.pleach-<random>` in the directory itself, and
 * renamed over the old ones.
 *
 * U1  Each file is the old one or the new one at any moment, also after a power cut; the directory as a
 *     whole is neither until the end. Killed, it is finished by doing it again.
 * U2  An inode that is there is never written to, since it may have names elsewhere: it is kept as it is,
 *     or it loses its name. Of directories only the metadata is changed.
 * U3  Nothing that the tree has not is removed unless asked for; where that stands in the way of what the
 *     tree has, that is left out, with a finding.
 * U4  No symlink is followed and no other file system entered.
 * U5  A directory that is ours has u+rwx while it is worked in; its own mode comes when it is left. A
 *     directory's metadata is set when nothing is made in it any more; the root's is last, behind the end
 *     of `.pleach-<random>`.
 * U6  levels[] are the directories from the root to where the walk is. One whose name was in the way is
 *     `is_left_out`: the walk has not gone into it.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/checkout.h"
#include "place/same.h"

#define NEW_NAME "new"

struct level {
	struct pl_listing listing;
	size_t next; /* the name that was not met yet */
	bool is_left_out;
};

struct update {
	const struct pl_checkout *what;
	struct pl_findings *findings;
	int root_fd; /* for all that outlives its place in the walk */
	struct pl_beside beside;
	struct pl_maker maker;
	struct pl_walk walk;
	struct pl_same same;
	struct level *levels;
	size_t n, capacity;
	dev_t dev; /* U4 */
};

/* ---- what the tree has not ---- */

static int find(struct update *u, const char *path, const char *message, struct pleach_error *error)
{
	int r = pl_findings_add(u->findings, false, "in the way", path, "%s", message);

	return r < 0 ? pl_maker_fail(r, path, error) : 0;
}

/* `name` in the current directory, whose path is `directory`. 1: it is gone. 0: it stays, with a finding. */
static int remove_other(struct update *u, const char *directory, const char *name,
			struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r = pl_erase(pl_walk_fd(&u->walk), name, NULL);

	if (r >= 0)
		return 1;
	pl_buffer_add_string(&path, directory);
	pl_path_push(&path, name, strlen(name));
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	switch (r) {
	case -EACCES:
	case -EPERM:
		return find(u, pl_buffer_string(&path), "this user cannot remove it", error);
	case -EBUSY:
	case -EXDEV:
		return find(u, pl_buffer_string(&path),
			    "not removed: another file system is mounted there", error);
	default:
		return pl_maker_fail(r, pl_buffer_string(&path), error);
	}
}

/* Unfinished work in the root, ours above all, is no content; dead ones are gone already. */
static bool is_unfinished(const struct update *u, const struct pl_dirent *entry)
{
	return u->n == 1 && pl_beside_is_name(entry->name) &&
	       (entry->type == DT_DIR || entry->type == DT_UNKNOWN);
}

/* Those that stand before `name` in the current directory (NULL: all that are left), and passes by
 * `name` itself. */
static int pass_others(struct update *u, const char *name, struct pleach_error *error)
{
	struct level *level = &u->levels[u->n - 1];
	PL_BUFFER directory = {0};
	int r = 0;

	pl_assert(!level->is_left_out);
	if (level->next == level->listing.n)
		return 0;
	pl_buffer_add_string(&directory, pl_walk_path(&u->walk));
	if (!pl_buffer_ok(&directory))
		return pl_fail_memory(error);
	while (r >= 0 && level->next < level->listing.n) {
		const struct pl_dirent *entry = &level->listing.entries[level->next];
		int c = name ? strcmp(entry->name, name) : -1;

		if (c > 0)
			break;
		level->next++;
		if (c < 0 && u->what->delete_others && !is_unfinished(u, entry))
			r = remove_other(u, pl_buffer_string(&directory), entry->name, error);
		if (c == 0)
			break;
	}
	return r < 0 ? r : 0;
}

/* ---- directories ---- */

static int push_level(struct update *u, bool is_left_out, struct pleach_error *error)
{
	struct level level = {.is_left_out = is_left_out};
	int r = 0;

	if (PL_ARRAY_GROW(u->levels, u->capacity, u->n) < 0)
		return pl_fail_memory(error);
	if (!is_left_out)
		r = pl_list(pl_walk_fd(&u->walk), &level.listing);
	if (r < 0)
		return pl_maker_fail(r, pl_cursor_path(u->maker.cursor), error);
	u->levels[u->n++] = level;
	pl_assert(u->n == u->walk.depth + is_left_out); /* U6 */
	return 0;
}

static void pop_level(struct update *u)
{
	pl_assert(u->n > 0);
	pl_listing_done(&u->levels[--u->n].listing);
}

/* Makes sure that there is a directory of this name. 1: there is. 0: something else stays there. */
static int make_directory(struct update *u, const char *name, const char *path,
			  struct pleach_error *error)
{
	int fd = pl_walk_fd(&u->walk);
	struct stat st;
	int r = pl_lstat(fd, name, &st);

	if (r >= 0 && S_ISDIR(st.st_mode)) {
		if (st.st_dev == u->dev)
			return 1;
		r = find(u, path, "another file system is mounted there", error); /* U4 */
		return r;
	}
	if (r >= 0) {
		if (!u->what->delete_others) /* U3 */
			return find(u, path, "something else is there; --delete would replace it",
				    error);
		r = pl_erase(fd, name, NULL);
	}
	if (r >= 0 || r == -ENOENT)
		r = pl_mkdir(fd, name, 0700);
	return r < 0 ? pl_maker_fail(r, path, error) : 1;
}

static int enter_directory(struct update *u, struct pleach_error *error)
{
	const char *path = pl_cursor_path(u->maker.cursor);
	char name[PL_NAME_MAX + 1];
	int r;

	if (u->n == 0)
		return push_level(u, false, error);
	pl_entry_name(pl_cursor_entry(u->maker.cursor), name);
	r = pass_others(u, name, error);
	if (r >= 0)
		r = make_directory(u, name, path, error);
	if (r < 0)
		return r;
	if (r == 0) {
		pl_cursor_skip(u->maker.cursor);
		return push_level(u, true, error);
	}
	r = pl_maker_enter(&u->walk, name); /* U5 */
	return r < 0 ? pl_maker_fail(r, path, error) : push_level(u, false, error);
}

static int leave_directory(struct update *u, struct pleach_error *error)
{
	const char *path = pl_cursor_path(u->maker.cursor);
	bool is_left_out = u->levels[u->n - 1].is_left_out;
	PL_CLOSE int fd = -EBADF;
	int r = 0;

	if (!is_left_out)
		r = pass_others(u, NULL, error);
	if (r < 0)
		return r;
	pop_level(u);
	if (is_left_out)
		return 0;
	if (u->n == 0)
		pl_beside_end(&u->beside); /* U5 */
	fd = pl_dup(pl_walk_fd(&u->walk));
	r = fd < 0 ? fd : 0;
	if (r >= 0 && u->n > 0)
		r = pl_walk_leave(&u->walk);
	if (r < 0)
		return pl_maker_fail(r, path, error);
	return pl_maker_finish_dir(&u->maker, fd, error);
}

/* ---- what is no directory ---- */

/* Makes it anew, and renames it over what is there. */
static int replace(struct update *u, const char *name, const char *path, bool is_dir_there,
		   struct pleach_error *error)
{
	int fd = pl_walk_fd(&u->walk);
	int r = pl_maker_make(&u->maker, u->beside.dir.fd, NEW_NAME, error);

	if (r <= 0)
		return r;
	pl_assert(!is_dir_there || u->what->delete_others); /* U3 */
	r = is_dir_there ? pl_erase(fd, name, NULL) : 0;
	if (r >= 0)
		r = pl_rename(u->beside.dir.fd, NEW_NAME, fd, name); /* U1, U2 */
	return r < 0 ? pl_maker_fail(r, path, error) : 0;
}

static int update_entry(struct update *u, struct pleach_error *error)
{
	const struct pl_entry *entry = pl_cursor_entry(u->maker.cursor);
	const char *path = pl_cursor_path(u->maker.cursor);
	struct pl_membership_group group;
	bool in_group = pl_maker_group(&u->maker, &group) == 1;
	char name[PL_NAME_MAX + 1];
	struct stat st;
	bool is_dir;
	int r;

	pl_assert(u->n > 0 && u->n == u->walk.depth); /* U6 */
	pl_entry_name(entry, name);
	r = pass_others(u, name, error);
	if (r < 0)
		return r;
	r = pl_lstat(pl_walk_fd(&u->walk), name, &st);
	if (r < 0 && r != -ENOENT)
		return pl_maker_fail(r, path, error);
	is_dir = r >= 0 && S_ISDIR(st.st_mode);
	if (is_dir && !u->what->delete_others) /* U3 */
		return find(u, path, "a directory is there; --delete would replace it", error);
	r = pl_same_entry(&u->same, pl_walk_fd(&u->walk), name, r == 0 ? &st : NULL, entry,
			  in_group ? &group : NULL);
	if (r < 0)
		return pl_maker_fail(r, path, error);
	return r == 1 ? 0 : replace(u, name, path, is_dir, error);
}

/* ---- the whole ---- */

/* That neither is inside the other: what is in a store is not to be changed, and not to be removed. */
static int check_apart(const struct update *u, struct pleach_error *error)
{
	const char *directory = u->what->directory;
	int r = pl_is_above(u->what->store->fd, u->root_fd);

	if (r == 1) {
		r = pl_fail(error, PLEACH_FAILED, -EINVAL, "'%s' is inside the store", directory);
		pl_error_path(error, directory);
		return r;
	}
	if (r >= 0)
		r = pl_is_above(u->root_fd, u->what->store->fd);
	if (r == 0)
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at '%s'", directory);
	r = pl_fail(error, PLEACH_FAILED, -EINVAL, "the store is inside '%s'", directory);
	pl_error_path(error, directory);
	return r;
}

static int open_root(struct update *u, struct pleach_error *error)
{
	const char *directory = u->what->directory;
	struct stat st;
	int r = pl_open_follow(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);

	if (r >= 0) {
		u->root_fd = r;
		r = check_apart(u, error);
		if (r < 0)
			return r;
		r = pl_fstat(u->root_fd, &st);
	}
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open '%s'", directory);
	u->dev = st.st_dev;
	if (st.st_uid == pl_uid() && (st.st_mode & 0700) != 0700)
		r = pl_chmod(u->root_fd, (st.st_mode & 07777) | 0700); /* U5 */
	return r < 0 ? pl_fail_sys(error, r, "cannot write to '%s'", directory) : 0;
}

static int begin(struct update *u, struct pleach_error *error)
{
	int fd, r = open_root(u, error);

	if (r < 0)
		return r;
	fd = pl_dup(u->root_fd);
	r = fd < 0 ? fd : pl_walk_init_take(&u->walk, fd);
	if (r >= 0)
		r = pl_same_init(&u->same, u->root_fd, u->what->store->seed);
	if (r >= 0)
		r = pl_beside_begin(u->root_fd, &u->beside);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot work in '%s'", u->what->directory);
	r = pl_maker_begin(&u->maker, u->what, u->findings, u->beside.dir.fd, error);
	u->maker.sync_files = u->maker.is_durable; /* U1 */
	return r;
}

static int run(struct update *u, struct pleach_error *error)
{
	int r = begin(u, error);

	while (r >= 0 && (r = pl_maker_next(&u->maker, error)) > 0) {
		if (r == PL_STEP_ENTER)
			r = enter_directory(u, error);
		else if (r == PL_STEP_LEAVE)
			r = leave_directory(u, error);
		else
			r = update_entry(u, error);
	}
	pl_assert(r < 0 || u->n == 0);
	if (r >= 0 && u->maker.sync_whole) {
		r = pl_syncfs(u->root_fd);
		if (r < 0)
			pl_fail_sys(error, r, "cannot sync '%s'", u->what->directory);
	}
	return r;
}

int pl_update_run(const struct pl_checkout *checkout, struct pl_findings *findings,
		  struct pleach_error *error)
{
	struct update u = {
		.what = checkout,
		.findings = findings,
		.root_fd = -EBADF,
		.beside = PL_BESIDE_NONE,
		.maker = PL_MAKER_NONE,
	};
	int r = run(&u, error);

	while (u.n > 0)
		pop_level(&u);
	free(u.levels);
	pl_same_done(&u.same);
	pl_maker_end(&u.maker);
	pl_walk_done(&u.walk);
	pl_beside_end(&u.beside);
	pl_closep(&u.root_fd);
	return r;
}
