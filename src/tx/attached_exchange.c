/*
 * The mode `exchange`: at the path is a real directory, a layout of its own (its files are links of the
 * placed tree's), which trades places with the next one in a single step.
 *
 *   .pleach-<random>/tree  --laid out (prepare)-->  ready
 *     --showing says NEXT, named N; durable-->  --rename--> .pleach-<random>.tree (N)
 *     --exchange with the path--> NOW at the path, the one before named N: OLD
 *     --grace over, no strays in it (clean)--> erased
 *
 * All names lie in one directory, so that `..` stays what it is for who holds an old one, and so that a
 * root that its owner may not write can be moved.
 *
 * E1  A directory is ours if its identity is in showing/ (N1). Who is where is found by looking, not by
 *     believing what was to be done: reconcile().
 * E2  The exchange may bring out what somebody put at the path between the look and the exchange. Then
 *     it is exchanged back, also by whoever comes after a kill: under a name of ours lies only what is ours.
 * E3  Killed before the exchange, NEXT was never seen by anybody: it is erased, and laid out again.
 * E4  What others have put into a directory of ours is not erased (G7): such a directory stays beside the
 *     path, and is forgotten.
 * E5  A program of a transaction has its workspace mounted over the directory at the path, in a namespace of its
 *     own, and a mount goes with its directory: 1. exchanged, the path leads inside to the new directory, 2. what
 *     is written there is written into objects (G4). So while a transaction with a workspace is open nothing is
 *     exchanged; its end settles. The ref lock is taken between noting the workspace and mounting it (view.c):
 *     it is seen here, or lies over the new directory.
 * E6  What was done to the names is durable before the text says so, also where another has done it. Otherwise: 1. one
 *     exchanges and is killed, 2. the next one finds the other OLD, writes that, and erases it, 3. the power fails,
 *     and takes the exchange back. (model/exchange.pml, controls NO_SYNC_SWAPPED, NO_SYNC_FOUND)
 */
#include <stdio.h>
#include <stdlib.h>

#include "tx/attached.h"

#define SUFFIX ".tree"

static int fail_at(const struct pl_at *at, int r, const char *what, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, at->path);
	pl_error_path(error, at->path);
	return r;
}

/* ---- who is where ---- */

static struct pl_shown *find_identity(struct pl_showing *showing, const struct pl_identity *id)
{
	for (size_t i = 0; i < showing->n; i++)
		if (pl_identity_equal(&showing->items[i].identity, id))
			return &showing->items[i];
	return NULL;
}

/* What is at `name`: *ret_item NULL: nothing of ours. 1: something is there, 0: nothing. */
static int look_at(struct pl_at *at, const char *name, struct pl_shown **ret_item)
{
	struct pl_identity id;
	int r = pl_identity_of_dir(at->parent_fd, name, at->dev, &id);

	*ret_item = r == 1 ? find_identity(&at->showing, &id) : NULL;
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : 1;
}

/* E2. */
static int give_back(struct pl_at *at, const char *name)
{
	struct pl_shown *item;
	int r = look_at(at, name, &item);

	if (r <= 0 || item)
		return r;
	r = look_at(at, at->name, &item);
	if (r == 0)
		r = pl_rename_new(at->parent_fd, name, at->parent_fd, at->name);
	else if (r > 0 && item)
		r = pl_rename_exchange(at->parent_fd, name, at->parent_fd, at->name);
	else if (r > 0)
		return 0; /* one stranger moved us, another has come: both stay where they are */
	if (r >= 0)
		pl_event_add(at->ref->store, NULL, "put back what is not ours at '%s'", at->path);
	return r;
}

static int give_back_all(struct pl_at *at)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < at->showing.n; i++)
		if (at->showing.items[i].name[0] != '-')
			r = give_back(at, at->showing.items[i].name);
	return r;
}

/* Under which of our names is this one? 1 and its name. */
static int find_name(struct pl_at *at, const struct pl_shown *wanted, char ret_name[48])
{
	for (size_t i = 0; i < at->showing.n; i++) {
		const char *name = at->showing.items[i].name;
		struct pl_shown *found;
		int r;

		if (name[0] == '-')
			continue;
		r = look_at(at, name, &found);
		if (r < 0)
			return r;
		if (found != wanted)
			continue;
		(void)snprintf(ret_name, 48, "%s", name);
		return 1;
	}
	return 0;
}

static bool is_same(const struct pl_showing *a, const struct pl_showing *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].role != b->items[i].role ||
		    strcmp(a->items[i].name, b->items[i].name) != 0)
			return false;
	return true;
}

/* E1: the roles as they are found. What is found nowhere is forgotten: somebody has taken it. */
static int reconcile(struct pl_at *at, struct pl_txdir *tx, bool *ret_changed)
{
	struct pl_showing found = {0};
	struct pl_shown *here = NULL;
	struct timespec now;
	int r = give_back_all(at);

	if (r >= 0)
		r = look_at(at, at->name, &here);
	if (r >= 0)
		r = pl_fs_clock(tx->fd, &now);
	for (size_t i = 0; r >= 0 && i < at->showing.n; i++) {
		struct pl_shown *item = &at->showing.items[i], copy = *item;

		if (item == here) {
			copy.role = PL_SHOWN_NOW;
			copy.since_s = 0;
			memcpy(copy.name, "-", 2);
		} else {
			r = find_name(at, item, copy.name);
			if (r <= 0)
				continue;
			copy.role = PL_SHOWN_OLD;
			if (item->role == PL_SHOWN_NOW)
				copy.since_s = (uint64_t)now.tv_sec + 1;
			else if (item->role == PL_SHOWN_NEXT)
				copy.since_s = 0; /* E3 */
		}
		r = pl_showing_add(&found, &copy);
	}
	if (r < 0) {
		free(found.items);
		return r;
	}
	*ret_changed = !is_same(&at->showing, &found);
	free(at->showing.items);
	at->showing.items = found.items;
	at->showing.n = found.n;
	at->showing.capacity = found.capacity;
	return 0;
}

/* And written, where it was not what the text says. Under the ref lock. */
static int read_and_reconcile(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	bool is_changed;
	int r = pl_at_read(at, error);

	if (r < 0)
		return r;
	r = reconcile(at, tx, &is_changed);
	if (r < 0)
		return fail_at(at, r, "look at", error);
	if (!is_changed)
		return 0;
	r = pl_store_sync(at->ref->store, at->parent_fd); /* E6 */
	if (r < 0)
		return fail_at(at, r, "sync what was done at", error);
	return pl_showing_write(at->ref, tx, &at->showing, true, error);
}

/* ---- preparing ---- */

/* 1: two directories in `dirfd` can trade places. */
static int probe(int dirfd)
{
	int r = pl_mkdir(dirfd, "a", 0700);

	if (r >= 0)
		r = pl_mkdir(dirfd, "b", 0700);
	return r < 0 ? r : pl_rename_exchange(dirfd, "a", dirfd, "b");
}

/* A hard link from the store to there. */
static int probe_link(struct pl_txdir *tx, int dirfd)
{
	char name[32];
	int r;

	pl_txdir_name(tx, "probe", name);
	r = pl_write_file(tx->fd, name, 0600, "", 0, false);
	return r < 0 ? r : pl_link(tx->fd, name, dirfd, "c");
}

static int can(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	struct pl_beside beside = PL_BESIDE_NONE;
	int r = pl_beside_begin(at->parent_fd, &beside);

	if (r < 0)
		return fail_at(at, r, "make anything beside", error);
	r = probe_link(tx, beside.dir.fd);
	if (r == -EXDEV) {
		pl_fail(error, PLEACH_FAILED, r,
			"'%s' cannot be attached by exchange: it is not on the store's file system",
			at->path);
		pl_hint(error, "its files are hard links of the store's; a symlink works: --mode "
			       "symlink");
	} else if (r < 0) {
		fail_at(at, r, "make links beside", error);
	} else {
		r = probe(beside.dir.fd);
		if (r == -EOPNOTSUPP) {
			pl_fail(error, PLEACH_FAILED, r,
				"'%s' cannot be attached by exchange: this kernel or file system "
				"cannot swap two directories (RENAME_EXCHANGE)",
				at->path);
			pl_hint(error, "a symlink works everywhere: --mode symlink");
		} else if (r < 0) {
			fail_at(at, r, "swap directories beside", error);
		}
	}
	pl_beside_end(&beside);
	return r < 0 ? r : 0;
}

/* Lays the tree out in beside/tree. Every file is the inode that the placed tree has under its name. */
static int lay_out(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		   struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(tx->store);
	PL_CLOSE int base = pl_placing_open(pin->treedir_fd, pin->k);
	PL_CLOSE int wrapper = -EBADF;
	struct pl_layout layout = {.tx = tx,
				   .nodes = &nodes,
				   .tree = pin->tree,
				   .base = pin->tree,
				   .wrapper_fd = at->beside.dir.fd,
				   .share = at->ref->settings.share,
				   .spare_wrapper_fd = -EBADF,
				   .staged_objects_fd = -EBADF};
	char k[16];

	(void)snprintf(k, sizeof(k), "%u", pin->k);
	wrapper = pl_open_dir(pin->treedir_fd, k);
	layout.base_fd = wrapper < 0 ? -EBADF : base; /* it is a help, no need */
	layout.base_wrapper_fd = wrapper;
	return pl_layout_run(&layout, NULL, error);
}

static bool shows(struct pl_at *at, const struct pl_id *tree)
{
	struct pl_shown *here;

	return look_at(at, at->name, &here) == 1 && here && pl_id_equal(&here->tree, tree);
}

/* E5. 1: a transaction may have its workspace over what is there. */
static int is_held(struct pl_at *at, struct pleach_error *error)
{
	char id[25];

	if (!pl_showing_find(&at->showing, PL_SHOWN_NOW))
		return 0;
	return pl_tx_note_find(at->ref, at->own_tx, true, id, error);
}

static int prepare(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		   struct pleach_error *error)
{
	int r;

	pl_assert(pin->k > 0 && !at->is_ready);
	if (!at->is_renewed && shows(at, &pin->tree))
		return 0;
	r = is_held(at, error); /* what show cannot use need not be laid out */
	at->is_held = r > 0;
	if (r != 0)
		return r < 0 ? r : 0;
	r = pl_beside_begin(at->parent_fd, &at->beside);
	if (r < 0)
		return fail_at(at, r, "make anything beside", error);
	r = lay_out(at, tx, pin, error);
	if (r >= 0)
		r = pl_at_add_user(at, tx, pin, error); /* and one round of sync for all of it */
	if (r >= 0) {
		r = pl_identity_of_dir(at->beside.dir.fd, "tree", at->dev, &at->identity);
		if (r == 0)
			r = -EXDEV;
		if (r < 0)
			fail_at(at, r, "lay out what is to be at", error);
	}
	if (r < 0) {
		pl_beside_end(&at->beside);
		return r;
	}
	at->ready_tree = pin->tree;
	at->is_ready = true;
	return 0;
}

/* ---- showing ---- */

/* Of another parent, so its `..` changes: its owner must be able to write it for that. Nobody sees it. */
static int move_out_of_beside(struct pl_at *at, const char *name)
{
	PL_CLOSE int root = -EBADF;
	struct stat st;
	int back, r = pl_rename_new(at->beside.dir.fd, "tree", at->parent_fd, name);

	if (r != -EACCES)
		return r;
	r = pl_lstat(at->beside.dir.fd, "tree", &st);
	if (r < 0 || (st.st_mode & 0200))
		return r < 0 ? r : -EACCES;
	r = pl_chmod_at(at->beside.dir.fd, "tree", (st.st_mode & 07777) | 0200);
	if (r < 0)
		return r;
	r = pl_rename_new(at->beside.dir.fd, "tree", at->parent_fd, name);
	back = r < 0 ? 0 : pl_chmod_at(at->parent_fd, name, st.st_mode & 07777);
	return r < 0 ? r : back;
}

/* showing/ says what is to come before it comes (N1). */
static int announce(struct pl_at *at, struct pl_txdir *tx, uint64_t n, char ret_name[48],
		    struct pleach_error *error)
{
	struct pl_shown next = {.role = PL_SHOWN_NEXT,
				.generation = n,
				.tree = at->ready_tree,
				.identity = at->identity};
	char digits[25];
	int r = pl_random_name(digits);

	if (r < 0)
		return fail_at(at, r, "name what is to be at", error);
	(void)snprintf(next.name, sizeof(next.name), ".pleach-%s" SUFFIX, digits);
	r = pl_showing_add(&at->showing, &next);
	if (r < 0)
		return fail_at(at, r, "keep one more old directory beside", error);
	memcpy(ret_name, next.name, sizeof(next.name));
	return pl_showing_write(at->ref, tx, &at->showing, true, error);
}

/* The one step. */
static int swap(struct pl_at *at, const char *name)
{
	int r = move_out_of_beside(at, name);

	at->is_ready = false;
	if (r < 0)
		return r;
	r = -ENOENT;
	if (pl_showing_find(&at->showing, PL_SHOWN_NOW))
		r = pl_rename_exchange(at->parent_fd, name, at->parent_fd, at->name);
	if (r == -ENOENT) /* nothing there, or not any more */
		r = pl_rename_new(at->parent_fd, name, at->parent_fd, at->name);
	return r == -EEXIST ? 0 : r; /* reconcile() sees what is there */
}

/* What is at the path now is what the text says; and the way there is durable. */
static int conclude(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	bool is_changed;
	int r = reconcile(at, tx, &is_changed);

	if (r >= 0)
		r = pl_store_sync(at->ref->store, at->parent_fd);
	if (r < 0)
		return fail_at(at, r, "finish the swap at", error);
	/* One that a power cut takes back is found out again: E1. */
	return pl_showing_write(at->ref, tx, &at->showing, false, error);
}

/* A damaged one that was just replaced is nobody's any more: it stays beside the path (E4). */
static int set_aside(struct pl_at *at, struct pl_txdir *tx, const struct pl_identity *damaged,
		     struct pleach_error *error)
{
	struct pl_shown *item = find_identity(&at->showing, damaged);

	if (!item || item->role != PL_SHOWN_OLD)
		return 0;
	pl_event_add(at->ref->store, NULL, "set aside '%s' beside '%s': it was damaged", item->name,
		     at->path);
	pl_showing_remove(&at->showing, (size_t)(item - at->showing.items));
	return pl_showing_write(at->ref, tx, &at->showing, true, error);
}

/* 1: what is at the path is not ours. */
static int has_stranger(struct pl_at *at)
{
	struct pl_shown *here;
	int r = look_at(at, at->name, &here);

	return r <= 0 ? r : here == NULL;
}

static int show(struct pl_at *at, struct pl_txdir *tx, uint64_t n, const struct pl_pin *pin,
		struct pleach_error *error)
{
	struct pl_identity before = {0};
	struct pl_shown *now;
	char name[48];
	int r = read_and_reconcile(at, tx, error);

	pl_assert(pl_ref_is_locked(at->ref));
	if (r < 0)
		return r;
	now = pl_showing_find(&at->showing, PL_SHOWN_NOW);
	if (now)
		before = now->identity;
	if (now && !at->is_renewed && pl_id_equal(&now->tree, &pin->tree)) {
		now->generation = n;
		r = pl_showing_write(at->ref, tx, &at->showing, false, error);
		return r < 0 ? r : PL_AT_SHOWN;
	}
	r = has_stranger(at);
	if (r < 0)
		return fail_at(at, r, "look at", error);
	if (r > 0)
		return PL_AT_FOREIGN;
	r = is_held(at, error);
	if (r != 0)
		return r < 0 ? r : PL_AT_HELD;
	if (!at->is_ready || !pl_id_equal(&at->ready_tree, &pin->tree))
		return at->is_held ? PL_AT_HELD : PL_AT_LATER; /* it has just ended: settled soon */
	r = announce(at, tx, n, name, error);
	if (r < 0)
		return r;
	r = swap(at, name);
	if (r < 0)
		return fail_at(at, r, "swap what is at", error);
	r = conclude(at, tx, error);
	if (r >= 0 && at->is_renewed)
		r = set_aside(at, tx, &before, error);
	now = pl_showing_find(&at->showing, PL_SHOWN_NOW);
	if (r < 0)
		return r;
	return now && pl_id_equal(&now->tree, &pin->tree) ? PL_AT_SHOWN : PL_AT_FOREIGN;
}

static enum pl_at_state look(struct pl_at *at, const struct pl_id *tree)
{
	struct pl_shown *here;
	int r = look_at(at, at->name, &here);

	if (r == 0)
		return PL_AT_MISSING;
	if (r < 0 || (!here && !pl_showing_find(&at->showing, PL_SHOWN_NEXT)))
		return PL_AT_STRANGE;
	if (!here || pl_showing_find(&at->showing, PL_SHOWN_NEXT))
		return PL_AT_BEHIND; /* somebody is at it, or was killed */
	return pl_id_equal(&here->tree, tree) && here->role == PL_SHOWN_NOW ? PL_AT_OK
									    : PL_AT_BEHIND;
}

/* ---- taking away ---- */

static bool is_over(const struct pl_at *at, const struct pl_shown *item, const struct timespec *now)
{
	return item->role == PL_SHOWN_OLD &&
	       (item->since_s == 0 || at->ref->settings.grace_ms == 0 ||
		item->since_s + at->ref->settings.grace_ms / 1000 <= (uint64_t)now->tv_sec);
}

/* 1: it holds what is not of its tree (E4). An error: that cannot be told. */
static int has_strays(struct pl_at *at, const struct pl_shown *item, const char *name)
{
	struct pl_node_source nodes = pl_store_nodes(at->ref->store);

	return pl_strays_find(&nodes, &item->tree, at->parent_fd, name, at->ref->store->seed, NULL);
}

/* 1: it is none of ours any more. */
static int erase(struct pl_at *at, const struct pl_shown *item)
{
	struct pl_shown *found;
	int r = look_at(at, item->name, &found);

	if (r <= 0 || found != item)
		return r < 0 ? r : 1;
	r = item->since_s > 0 ? has_strays(at, item, item->name) : 0;
	if (r < 0)
		return r; /* the next one looks again */
	if (r > 0) {
		pl_event_add(at->ref->store, NULL,
			     "left '%s' beside '%s': it was generation %llu of '%s', and "
			     "somebody has changed it",
			     item->name, at->path, (unsigned long long)item->generation,
			     at->ref->name);
		return 1;
	}
	r = pl_erase(at->parent_fd, item->name, NULL);
	return r < 0 ? r : 1;
}

/* Those whose identity is in `gone` are forgotten. */
static int forget(struct pl_at *at, struct pl_txdir *tx, const struct pl_identity *gone, size_t n,
		  struct pleach_error *error)
{
	int r = pl_ref_try_lock(at->ref, error);

	if (r <= 0)
		return r; /* the next one does it */
	r = read_and_reconcile(at, tx, error);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct pl_shown *item = find_identity(&at->showing, &gone[i]);

		if (item && item->role == PL_SHOWN_OLD)
			pl_showing_remove(&at->showing, (size_t)(item - at->showing.items));
	}
	if (r >= 0 && n > 0)
		r = pl_showing_write(at->ref, tx, &at->showing, true, error);
	if (r >= 0)
		r = pl_at_forget(at, error);
	pl_ref_unlock(at->ref);
	return r;
}

static int clean(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	struct pl_identity *gone;
	struct timespec now;
	size_t n = 0;
	int r = pl_at_read(at, error);

	if (r < 0)
		return r;
	r = pl_fs_clock(tx->fd, &now);
	if (r < 0)
		return fail_at(at, r, "read the clock for", error);
	gone = calloc(at->showing.n + 1, sizeof(*gone));
	if (!gone)
		return pl_fail_memory(error);
	for (size_t i = 0; i < at->showing.n; i++) {
		struct pl_shown *item = &at->showing.items[i];

		if (is_over(at, item, &now) && erase(at, item) == 1)
			gone[n++] = item->identity;
	}
	if (n > 0 || at->showing.n == 0)
		r = forget(at, tx, gone, n, error);
	free(gone);
	return r;
}

static int take(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	struct pl_shown *now;
	char digits[25], name[48];
	int r = read_and_reconcile(at, tx, error);

	pl_assert(pl_ref_is_locked(at->ref));
	if (r >= 0)
		r = pl_random_name(digits);
	if (r < 0)
		return r;
	for (size_t i = 0; i < at->showing.n; i++) /* at once: the place is given up */
		if (at->showing.items[i].role == PL_SHOWN_OLD)
			at->showing.items[i].since_s = 1;
	now = pl_showing_find(&at->showing, PL_SHOWN_NOW);
	if (now &&
	    has_strays(at, now, at->name) != 0) { /* E4: it stays, and is his who changed it */
		pl_showing_remove(&at->showing, (size_t)(now - at->showing.items));
		now = NULL;
	}
	if (now) {
		(void)snprintf(name, sizeof(name), ".pleach-%s" SUFFIX, digits);
		memcpy(now->name, name, sizeof(name));
		now->role = PL_SHOWN_OLD;
		now->since_s = 1;
	}
	r = pl_showing_write(at->ref, tx, &at->showing, true, error);
	if (r < 0 || !now)
		return r < 0 ? r : has_stranger(at);
	r = pl_rename_new(at->parent_fd, at->name, at->parent_fd, name);
	if (r >= 0 || r == -ENOENT)
		r = give_back(at, name); /* E2 */
	if (r >= 0)
		r = pl_store_sync(at->ref->store, at->parent_fd);
	return r < 0 ? fail_at(at, r, "take away", error) : has_stranger(at);
}

const struct pl_attached_mode pl_attached_exchange = {
	.name = "exchange",
	.can = can,
	.prepare = prepare,
	.show = show,
	.look = look,
	.clean = clean,
	.take = take,
};
