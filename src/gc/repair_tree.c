/*
 * trees/<id>/ itself: a tree's directory that is lost, its pin and its users; files there and in refs/ that
 * must be empty; and names that have no business in a store.
 *
 * T1  A tree whose directory is lost comes back with the user that misses it: its nodes are there and say
 *     what it is, or it does not come back.
 * T2  `pin` is a lock. It is replaced by who holds it exclusively.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/repairing.h"

/* ---- paths of findings ---- */

/* Opens the directory that `path`, of the store, lies in. */
static int open_parent(struct pl_repairing *m, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	struct pl_walk walk;
	PL_BUFFER dir = {0};
	int fd = pl_open_dir(m->store->root_fd, ".");

	if (fd >= 0)
		fd = pl_walk_init_take(&walk, fd);
	if (fd < 0)
		return fd;
	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	fd = pl_buffer_ok(&dir) ? pl_walk_goto(&walk, pl_buffer_string(&dir), false, 0) : -ENOMEM;
	if (fd >= 0)
		fd = pl_open_dir(pl_walk_fd(&walk), ".");
	pl_walk_done(&walk);
	*ret_name = slash ? slash + 1 : path;
	return fd;
}

static int mend_stray(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	const char *name;
	PL_CLOSE int fd = open_parent(m, f->path, &name);
	int r = fd < 0 ? fd : pl_aside_move(m, fd, name, f->path, "stray");

	if (r == -ENOENT)
		return 0;
	if (r == -EBUSY || r == -EPERM || r == -EACCES || r == -EXDEV)
		return pl_repairing_unmended(m, f, error, "it cannot be moved; do that yourself");
	return r < 0 ? pl_repairing_fail(r, f, error)
		     : pl_repairing_mended(m, f, error, "set aside");
}

/* ---- empty files ---- */

/* A new one in tx, with the mtime of what it replaces: of a holder it is the end of its time. */
static int make_empty(struct pl_repairing *m, int dirfd, const char *name, mode_t mode,
		      char ret_name[32])
{
	struct stat st;
	int r = pl_lstat(dirfd, name, &st);

	pl_txdir_name(m->tx, "empty", ret_name);
	if (r < 0)
		return r;
	r = pl_write_file(m->tx->fd, ret_name, 0600, "", 0, false);
	if (r >= 0)
		r = pl_chmod_at(m->tx->fd, ret_name, mode);
	if (r >= 0)
		r = pl_utimens_at(m->tx->fd, ret_name, st.st_mtim.tv_sec,
				  (uint32_t)st.st_mtim.tv_nsec);
	return r < 0 ? r : pl_fsync_at(m->tx->fd, ret_name);
}

static int replace_empty(struct pl_repairing *m, struct pl_finding *f, mode_t mode,
			 struct pleach_error *error)
{
	const char *name;
	PL_CLOSE int fd = open_parent(m, f->path, &name);
	char made[32];
	int r = fd < 0 ? fd : make_empty(m, fd, name, mode, made);

	if (r >= 0)
		r = pl_aside_replace(m, m->tx->fd, made, fd, name, f->path, "not-empty");
	if (r == -ENOENT)
		return 0;
	return r < 0 ? pl_repairing_fail(r, f, error)
		     : pl_repairing_mended(m, f, error, "made anew, empty");
}

static int mend_empty(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	const char *name = strrchr(f->path, '/') + 1;
	int r;

	if (strcmp(name, "pin") != 0)
		return replace_empty(m, f, strstr(f->path, "/users/") ? 0600 : 0644, error);
	r = pl_pin_try_exclusive(m->store, &f->subject.id, &pin, error); /* T2 */
	if (r == PL_PIN_TAKEN)
		r = replace_empty(m, f, 0644, error);
	else if (r == PL_PIN_BUSY)
		r = pl_repairing_unmended(m, f, error, "the tree is pinned");
	else if (r < 0)
		r = pl_repairing_unmended(m, f, error, "it cannot be locked");
	pl_pin_done(&pin);
	return r < 0 ? r : 0;
}

/* ---- trees/<id>/ ---- */

static int sync_new(struct pl_repairing *m, int fd)
{
	return pl_store_sync(m->store, fd);
}

/* pin and users/, in a directory that has no name yet. */
static int furnish(struct pl_repairing *m, int fd)
{
	int r = pl_mkdir(fd, "users", 0700);

	if (r >= 0)
		r = pl_write_file(fd, "pin", 0644, "", 0, false);
	if (r >= 0)
		r = pl_chmod_at(fd, "pin", 0644);
	if (r >= 0)
		r = pl_chmod(fd, 0711);
	return r < 0 ? r : sync_new(m, fd);
}

/* 1: there is one now. 0: there can be none. */
static int make_tree(struct pl_repairing *m, const struct pl_id *tree, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	char name[32], hex[PL_ID_HEX + 1];
	PL_CLOSE int fd = -EBADF;
	struct pl_node node;
	int r;

	pl_node_memory_forget(&m->store->memory);
	r = pl_node_read(&m->c->nodes, tree, &node, &cause); /* T1 */
	if (r < 0)
		return r == -ENOMEM ? pl_fail_memory(error) : 0;
	pl_node_done(&node);
	pl_txdir_name(m->tx, "tree", name);
	r = pl_mkdir(m->tx->fd, name, 0700);
	if (r >= 0)
		r = fd = pl_open_dir(m->tx->fd, name);
	if (r >= 0)
		r = furnish(m, fd);
	if (r >= 0)
		r = pl_rename_new(m->tx->fd, name, m->store->trees_fd, pl_id_hex(tree, hex));
	if (r == -EEXIST || r == -ENOTEMPTY)
		r = 0; /* somebody publishes it just now */
	if (r >= 0)
		r = sync_new(m, m->store->trees_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot make tree %s again", pl_id_hex(tree, hex)) : 1;
}

/* What is missing in one that is there. */
static int mend_tree(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_treedir_open(m->store, &f->subject.id);
	char made[32];
	struct stat st;
	bool is_mended = false;
	int r = fd;

	if (fd == -ENOENT)
		return 0;
	if (r >= 0 && (r = pl_lstat(fd, "users", &st)) >= 0 && !S_ISDIR(st.st_mode)) {
		r = pl_aside_move(m, fd, "users", f->path, "users");
		r = r < 0 ? r : -ENOENT;
	}
	if (r == -ENOENT) {
		r = pl_mkdir(fd, "users", 0700);
		is_mended = r >= 0;
	}
	if (r >= 0 && pl_exists(fd, "pin") == 0) {
		pl_txdir_name(m->tx, "pin", made);
		r = pl_write_file(m->tx->fd, made, 0644, "", 0, true);
		if (r >= 0)
			r = pl_chmod_at(m->tx->fd, made, 0644);
		if (r >= 0)
			r = pl_rename_new(m->tx->fd, made, fd, "pin");
		is_mended = r >= 0;
	}
	if (r >= 0 && is_mended)
		r = sync_new(m, fd);
	if (r < 0)
		return pl_repairing_fail(r, f, error);
	return is_mended ? pl_repairing_mended(m, f, error, "made again") : 0;
}

/* ---- users ---- */

/* The name that a generation, tag or attachment has in users/. */
static int name_user(struct pl_repairing *m, const struct pl_finding *f, char ret_user[256],
		     struct pleach_error *error)
{
	const char *name = strrchr(f->path, '/') + 1;
	struct pl_ref ref;
	int r = pl_ref_open(m->store, f->ref, &ref, error);

	if (r < 0)
		return r;
	if (strcmp(f->kind, "record") == 0)
		pl_user_of_generation(&ref, f->generation, ret_user);
	else if (strcmp(f->kind, "tag") == 0)
		pl_user_of_tag(&ref, name, ret_user);
	else
		(void)snprintf(ret_user, 256, "a.%.24s.%.64s", ref.id, name);
	pl_ref_close(&ref);
	return 0;
}

static int add_user(struct pl_repairing *m, struct pl_finding *f, const char *user, bool was_lost,
		    struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	int r = pl_pin_wait(m->store, &f->subject.id, &pin, error);

	if (r == PL_PIN_ABSENT)
		return 0; /* the next turn */
	if (r >= 0)
		r = pl_user_add(m->store, pin.treedir_fd, user, error);
	if (r >= 0) {
		r = pl_store_sync(m->store, pin.treedir_fd);
		if (r < 0)
			pl_repairing_fail(r, f, error);
	}
	pl_pin_done(&pin);
	if (r < 0)
		return r;
	return pl_repairing_mended(m, f, error,
				   was_lost ? "its tree's directory was made again, from its nodes"
					    : "its tree has it as a user again");
}

static int mend_user(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	PL_CLOSE int treedir = pl_treedir_open(m->store, &f->subject.id);
	bool was_lost = treedir == -ENOENT;
	char user[256];
	int r = name_user(m, f, user, &cause);

	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0)
		return r == -ENOENT ? 0 : pl_repairing_unmended(m, f, error, "%s", cause.message);
	if (was_lost) {
		r = make_tree(m, &f->subject.id, error);
		if (r == 0)
			return pl_repairing_unmended(m, f, error, "the node of its root is lost");
		if (r < 0)
			return r;
	}
	/* users/ itself may be missing: that is another finding, and the next turn. */
	if (treedir >= 0 && (pl_exists(treedir, "users") == 0 || pl_exists(treedir, "pin") == 0))
		return 0;
	return add_user(m, f, user, was_lost, error);
}

int pl_repair_trees(struct pl_repairing *m, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < m->found->n; i++) {
		struct pl_finding *f = &m->found->items[i];

		if (!f->is_fault)
			continue;
		if (f->subject.what == PL_SUBJECT_TREE)
			r = mend_tree(m, f, error);
		else if (f->subject.what == PL_SUBJECT_USER)
			r = mend_user(m, f, error);
		else if (f->subject.what == PL_SUBJECT_EMPTY)
			r = mend_empty(m, f, error);
		else if (f->subject.what == PL_SUBJECT_STRAY)
			r = mend_stray(m, f, error);
	}
	return r;
}
