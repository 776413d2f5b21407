/*
 * The mode `mount`: at the path is a read-only bind mount of the placed tree.
 *
 *   bare directory --showing says NEXT, durable--> --mount--> NOW
 *   NOW on top --showing says NEXT--> --mount beneath it--> NOW covers NEXT --detach NOW--> NEXT is NOW
 *
 * Mounts end with the machine, or with the mount namespace that they are seen in: whoever settles the ref
 * there makes what is missing (`pleach status`, as root).
 *
 * M1  Ours is a mount whose root is a placed tree that showing/ names (N1). Others are never detached, and
 *     nothing is mounted over a directory that is not empty (G7).
 * M2  Readers see the old one or the new one, never the bare directory: there is no replacing without
 *     MOVE_MOUNT_BENEATH. That it works is tried with the first mount, before it is relied on.
 * M3  Killed between mounting beneath and detaching, NEXT is covered: the one that covers it is detached
 *     before anything else is mounted, so that none stays covered for good.
 * M4  What is named in showing/ stays placed (ref/user.c): not moved, not recycled, while it is mounted.
 */
#include <fcntl.h>
#include <stdio.h>

#include "tx/attached.h"

#define STACK_MAX 64

static int fail_at(const struct pl_at *at, int r, const char *what, struct pleach_error *error)
{
	pl_fail_sys(error, r, "cannot %s '%s'", what, at->path);
	pl_error_path(error, at->path);
	return r;
}

static int fail_beneath(const struct pl_at *at, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP,
		"'%s' cannot be attached by mount: this kernel cannot replace a mount under its "
		"readers (MOVE_MOUNT_BENEATH, Linux 6.5)",
		at->path);
	pl_hint(error, "a symlink works everywhere: --mode symlink");
	return -EOPNOTSUPP;
}

static int fail_clone(const struct pl_at *at, int r, struct pleach_error *error)
{
	if (r == -EPERM)
		pl_fail(error, PLEACH_FAILED, r,
			"'%s' cannot be attached by mount: only root (CAP_SYS_ADMIN) may mount",
			at->path);
	else if (r == -EOPNOTSUPP)
		pl_fail(error, PLEACH_FAILED, r,
			"'%s' cannot be attached by mount: this kernel has no open_tree and "
			"mount_setattr (Linux 5.12)",
			at->path);
	else
		return fail_at(at, r, "mount a tree at", error);
	pl_hint(error, "a symlink needs nothing: --mode symlink");
	return r;
}

/* ---- what is there ---- */

enum what { MISSING, BARE, FULL, OURS, FOREIGN };
struct here {
	enum what what;
	int fd;		       /* of what is on top, O_PATH; -EBADF: nothing */
	struct pl_shown *item; /* of OURS */
};

/* Is it the root of this placing? */
static bool is_of(struct pl_at *at, const struct pl_shown *item, const struct stat *root)
{
	PL_CLOSE int treedir = pl_treedir_open(at->ref->store, &item->tree);
	PL_CLOSE int placed = treedir < 0 ? treedir : pl_placing_open(treedir, item->k);
	struct stat st;

	return placed >= 0 && pl_fstat(placed, &st) == 0 && pl_same_inode(&st, root);
}

/* A directory that nothing is mounted on: only an empty one may be. */
static int look_at_bare(struct pl_at *at, struct here *here)
{
	PL_CLOSE int fd = pl_open_dir(at->parent_fd, at->name);
	int r = fd < 0 ? fd : pl_dir_is_empty(fd);

	here->what = r > 0 ? BARE : FULL;
	return r < 0 ? r : 0;
}

static int look_here(struct pl_at *at, struct here *ret_here)
{
	struct here here = {.what = FOREIGN};
	struct stat st;
	int r;

	here.fd = pl_open(at->parent_fd, at->name, O_PATH);
	if (here.fd == -ENOENT) {
		*ret_here = (struct here){.what = MISSING, .fd = -EBADF};
		return 0;
	}
	if (here.fd < 0)
		return here.fd;
	r = pl_fstat(here.fd, &st);
	if (r >= 0 && S_ISDIR(st.st_mode)) {
		r = pl_mount_is_root(here.fd);
		if (r == 0)
			r = look_at_bare(at, &here);
		for (size_t i = 0; r > 0 && !here.item && i < at->showing.n; i++)
			if (is_of(at, &at->showing.items[i], &st))
				here.item = &at->showing.items[i];
		if (here.item)
			here.what = OURS;
	}
	if (r < 0) {
		pl_closep(&here.fd);
		return r;
	}
	*ret_here = here;
	return 0;
}

/* How often this placing is mounted at the path, on top or covered. */
static int count_stacked(struct pl_at *at, const struct pl_shown *item)
{
	struct pl_strings roots = {0};
	char hex[PL_ID_HEX + 1], end[PL_ID_HEX + 48];
	int found = 0, r = pl_mount_roots_at(at->path, &roots);
	size_t length = (size_t)snprintf(end, sizeof(end), "/trees/%s/%u/tree",
					 pl_id_hex(&item->tree, hex), item->k);

	for (size_t i = 0; r >= 0 && i < roots.n; i++) {
		size_t n = strlen(roots.items[i]);

		found += n >= length && strcmp(roots.items[i] + n - length, end) == 0;
	}
	pl_strings_done(&roots);
	return r < 0 ? r : found;
}

/* ---- going on from where somebody was killed ---- */

/* What is on top is NOW, and nothing else is there. */
static void keep_only(struct pl_at *at, const struct pl_shown *item)
{
	struct pl_shown copy = item ? *item : (struct pl_shown){0};

	while (at->showing.n > 0)
		pl_showing_remove(&at->showing, at->showing.n - 1);
	copy.role = PL_SHOWN_NOW;
	if (item)
		(void)pl_showing_add(&at->showing, &copy); /* there is room: one was taken out */
}

/* M3. Under the ref lock. 1: the text is to be written. */
static int reconcile(struct pl_at *at)
{
	struct pl_shown *next = pl_showing_find(&at->showing, PL_SHOWN_NEXT);
	struct here here;
	int r;

	if (!next)
		return 0;
	r = look_here(at, &here);
	if (r >= 0 && here.what == OURS) {
		/* One of it is enough: mount_first() has two of it for a moment. */
		r = count_stacked(at, next);
		if (r > (here.item == next)) {
			r = pl_mount_detach(here.fd);
			here.item = next;
		}
	}
	if (r >= 0) {
		keep_only(at, here.what == OURS ? here.item : NULL);
		pl_closep(&here.fd);
	}
	return r < 0 ? r : 1;
}

static int read_and_reconcile(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	int r = pl_at_read(at, error);

	if (r < 0)
		return r;
	r = reconcile(at);
	if (r < 0)
		return fail_at(at, r, "look at", error);
	return r > 0 ? pl_showing_write(at->ref, tx, &at->showing, true, error) : 0;
}

/* ---- preparing ---- */

static int clone_placed(const struct pl_pin *pin)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%u/tree", pin->k);
	return pl_mount_clone(pin->treedir_fd, name);
}

/* Whether a mount can be replaced is seen when there is one: mount_first(). */
static int can(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	PL_CLOSE int fd = pl_mount_clone(tx->store->trees_fd, ".");

	if (fd < 0)
		return fail_clone(at, fd, error);
	return pl_seam_has(PL_CAP_BENEATH) ? 0 : fail_beneath(at, error);
}

static int prepare(struct pl_at *at, struct pl_txdir *tx, const struct pl_pin *pin,
		   struct pleach_error *error)
{
	int r = pl_at_add_user(at, tx, pin, error);

	pl_assert(pin->k > 0);
	at->ready_tree = pin->tree;
	at->is_ready = r >= 0;
	return r;
}

/* ---- showing ---- */

static int put_beneath(struct pl_at *at, const struct pl_pin *pin, int top_fd,
		       struct pleach_error *error)
{
	PL_CLOSE int fd = clone_placed(pin);
	int r;

	if (fd < 0)
		return fail_clone(at, fd, error);
	r = pl_mount_put_beneath(fd, top_fd);
	if (r >= 0)
		r = pl_mount_detach(top_fd);
	else if (r == -EOPNOTSUPP)
		return fail_beneath(at, error);
	return r < 0 ? fail_at(at, r, "replace the mount at", error) : 0;
}

/* Where nothing is mounted. M2: it is replaced by another of the same tree at once. */
static int mount_first(struct pl_at *at, const struct pl_pin *pin, struct pleach_error *error)
{
	PL_CLOSE int fd = clone_placed(pin);
	struct here here;
	int r;

	if (fd < 0)
		return fail_clone(at, fd, error);
	r = pl_mount_put(fd, at->parent_fd, at->name);
	if (r >= 0)
		r = look_here(at, &here);
	if (r < 0)
		return fail_at(at, r, "mount a tree at", error);
	if (here.what == OURS)
		r = put_beneath(at, pin, here.fd, error);
	if (r < 0 && here.what == OURS)
		(void)pl_mount_detach(here.fd);
	pl_closep(&here.fd);
	return r;
}

static int make_and_mount(struct pl_at *at, const struct pl_pin *pin, struct pleach_error *error)
{
	int r = pl_mkdir(at->parent_fd, at->name, 0755);

	if (r < 0)
		return fail_at(at, r, "make", error);
	r = pl_store_sync(at->ref->store, at->parent_fd);
	if (r < 0)
		fail_at(at, r, "make", error);
	else
		r = mount_first(at, pin, error);
	if (r < 0)
		(void)pl_rmdir(at->parent_fd, at->name);
	return r;
}

/* showing/ says what is to come before it comes (N1). */
static int announce(struct pl_at *at, struct pl_txdir *tx, uint64_t n, const struct pl_pin *pin,
		    enum what what, struct pleach_error *error)
{
	struct pl_shown next = {.role = PL_SHOWN_NEXT,
				.generation = n,
				.tree = pin->tree,
				.k = pin->k,
				.name = "-"};
	int r;

	if (what != OURS) /* what the text says is mounted nowhere any more, not here at least */
		keep_only(at, NULL);
	r = pl_showing_add(&at->showing, &next);
	if (r < 0)
		return fail_at(at, r, "note what is to be at", error);
	at->showing.has_made |= what == MISSING;
	return pl_showing_write(at->ref, tx, &at->showing, true, error);
}

/* What is on top is what the text says now. */
static int conclude(struct pl_at *at, struct pl_txdir *tx, const struct pl_id *tree,
		    struct pleach_error *error)
{
	struct pl_shown *now;
	int r = reconcile(at);

	if (r < 0)
		return fail_at(at, r, "look at", error);
	r = pl_showing_write(at->ref, tx, &at->showing, false, error);
	now = pl_showing_find(&at->showing, PL_SHOWN_NOW);
	if (r < 0)
		return r;
	return now && pl_id_equal(&now->tree, tree) ? PL_AT_SHOWN : PL_AT_FOREIGN;
}

/* It is shown already, as another generation perhaps. */
static int renumber(struct pl_at *at, struct pl_txdir *tx, struct pl_shown *item, uint64_t n,
		    struct pleach_error *error)
{
	item->generation = n;
	keep_only(at, item);
	return pl_showing_write(at->ref, tx, &at->showing, false, error);
}

static int show(struct pl_at *at, struct pl_txdir *tx, uint64_t n, const struct pl_pin *pin,
		struct pleach_error *error)
{
	struct here here;
	int r = read_and_reconcile(at, tx, error), r_now;

	pl_assert(pl_ref_is_locked(at->ref));
	if (r < 0)
		return r;
	r = look_here(at, &here);
	if (r < 0)
		return fail_at(at, r, "look at", error);
	if (here.what == OURS && pl_id_equal(&here.item->tree, &pin->tree) &&
	    (!at->is_renewed || here.item->k == pin->k)) {
		r = renumber(at, tx, here.item, n, error);
		pl_closep(&here.fd);
		return r;
	}
	if (here.what == FULL || here.what == FOREIGN)
		r = PL_AT_FOREIGN;
	else if (!at->is_ready || !pl_id_equal(&at->ready_tree, &pin->tree))
		r = PL_AT_LATER;
	else
		r = announce(at, tx, n, pin, here.what, error);
	if (r == 0 && here.what == OURS)
		r = put_beneath(at, pin, here.fd, error);
	else if (r == 0 && here.what == MISSING)
		r = make_and_mount(at, pin, error);
	else if (r == 0)
		r = mount_first(at, pin, error);
	pl_closep(&here.fd);
	if (r > 0)
		return r;
	r_now = conclude(at, tx, &pin->tree, r < 0 ? NULL : error);
	return r < 0 ? r : r_now;
}

static enum pl_at_state look(struct pl_at *at, const struct pl_id *tree)
{
	enum pl_at_state state = PL_AT_STRANGE;
	struct here here;

	if (look_here(at, &here) < 0)
		return PL_AT_STRANGE;
	if (here.what == MISSING || here.what == BARE)
		state = PL_AT_MISSING;
	else if (here.what == OURS)
		state = here.item->role == PL_SHOWN_NOW && pl_id_equal(&here.item->tree, tree) &&
					!pl_showing_find(&at->showing, PL_SHOWN_NEXT)
				? PL_AT_OK
				: PL_AT_BEHIND;
	pl_closep(&here.fd);
	return state;
}

/* ---- taking away ---- */

/* Nothing is kept beside: readers that hold an old mount hold it themselves, for the grace of its
 * generation at least. What is left is the text of one that was detached. */
static int clean(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	int r = pl_at_read(at, error);

	(void)tx;
	if (r < 0 || at->showing.n > 0)
		return r;
	r = pl_ref_try_lock(at->ref, error);
	if (r <= 0)
		return r;
	r = pl_at_forget(at, error);
	pl_ref_unlock(at->ref);
	return r;
}

/* Everything of ours, the covered ones too. */
static int unmount_all(struct pl_at *at, struct here *here)
{
	int r = look_here(at, here);

	for (unsigned i = 0; r >= 0 && here->what == OURS && i < STACK_MAX; i++) {
		r = pl_mount_detach(here->fd);
		pl_closep(&here->fd);
		if (r >= 0)
			r = look_here(at, here);
	}
	if (r >= 0)
		pl_closep(&here->fd);
	return r;
}

static int take(struct pl_at *at, struct pl_txdir *tx, struct pleach_error *error)
{
	struct here here;
	int r = pl_at_read(at, error);

	pl_assert(pl_ref_is_locked(at->ref));
	if (r < 0)
		return r;
	r = unmount_all(at, &here);
	if (r < 0)
		return r == -EPERM ? fail_clone(at, r, error) : fail_at(at, r, "unmount", error);
	if (here.what == BARE && at->showing.has_made) {
		r = pl_rmdir(at->parent_fd, at->name); /* an empty one alone */
		if (r >= 0)
			r = pl_store_sync(at->ref->store, at->parent_fd);
		else if (r == -ENOTEMPTY || r == -ENOENT)
			r = 0;
	}
	if (r < 0)
		return fail_at(at, r, "remove", error);
	while (at->showing.n > 0)
		pl_showing_remove(&at->showing, at->showing.n - 1);
	r = pl_showing_write(at->ref, tx, &at->showing, true, error);
	return r < 0 ? r : here.what == FULL || here.what == FOREIGN;
}

const struct pl_attached_mode pl_attached_mount = {
	.name = "mount",
	.can = can,
	.prepare = prepare,
	.show = show,
	.look = look,
	.clean = clean,
	.take = take,
};
