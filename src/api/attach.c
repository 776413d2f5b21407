/*
 * pleach_attach(), pleach_detach(): a ref, or one of its generations, at another path too, by a symlink;
 * the other modes are attach_at.c's.
 *
 *      nothing --user, of a fixed generation--> --record--> --symlink--> attached
 *      attached --symlink away--> --record away--> --user away--> nothing
 *
 * A1  The record is durable before the symlink is made, and goes after it: a symlink of ours always has
 *     a record. A record without one is finished by the next attach, or taken away by detach.
 * A2  A user of the tree is there before the record: what a record names is placed, and stays so. Until
 *     the record is written the tree is pinned.
 * A3  Records change under the lock of their ref, so that none comes into a ref that is dropped.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/attach_at.h"
#include "tx/attached.h"

#define MODE "symlink"

/* Is there a record for the path in any ref but `except` (NULL: any)? 1 and the ref, opened; or 0. */
static int find_record(struct pl_store *store, const char *path, const struct pl_ref *except,
		       struct pl_ref *ret_ref, struct pl_attachment *ret_record,
		       struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(store, &names, error);

	for (size_t i = 0; r == 0 && i < names.n; i++) {
		struct pl_ref ref;

		if (except && strcmp(except->name, names.items[i]) == 0)
			continue;
		r = pl_ref_open(store, names.items[i], &ref, error);
		if (r == -ENOENT) {
			pl_error_clear(error);
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		r = pl_attachment_read(&ref, path, ret_record, error);
		if (r == 0) {
			*ret_ref = ref;
			r = 1;
			break;
		}
		pl_ref_close(&ref);
		r = r == -ENOENT ? 0 : r;
	}
	pl_strings_done(&names);
	return r;
}

/* ---- users ---- */

static void remove_user(const struct pl_ref *ref, const struct pl_attachment *record)
{
	char user[128];
	PL_CLOSE int treedir = -EBADF;

	if (record->generation == 0)
		return;
	pl_user_of_attachment(ref->id, record->path, user);
	treedir = pl_treedir_open(ref->store, &record->tree);
	if (treedir >= 0)
		(void)pl_user_remove(ref->store, treedir, user); /* found gone, where it stays */
}

/* ---- attach ---- */

struct attaching {
	struct pl_store *store;
	struct pl_txdir *tx;
	struct pl_spot spot;
	struct pl_rev rev;
	bool is_fixed;
	struct pl_pin pin; /* of a fixed generation (A2) */
	struct pl_attachment record;
};

static int fill_in_record(struct attaching *a, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	PL_BUFFER target = {0};

	pl_buffer_add_string(&target, a->store->path);
	if (a->is_fixed)
		pl_buffer_add_format(&target, "/.pleach/trees/%s/%u/tree",
				     pl_id_hex(&a->rev.tree, hex), a->pin.k);
	else
		pl_buffer_add_format(&target, "/.pleach/refs/%s/public/tree", a->rev.ref.name);
	memcpy(a->record.ref_id, a->rev.ref.id, sizeof(a->record.ref_id));
	memcpy(a->record.mode, MODE, sizeof(MODE));
	a->record.generation = a->is_fixed ? a->rev.generation : 0;
	a->record.tree = a->rev.tree;
	a->record.path = strdup(a->spot.path);
	a->record.target = pl_buffer_take_string(&target);
	return a->record.path && a->record.target ? 0 : pl_fail_memory(error);
}

/* The record as it was (path NULL: none), under the lock. */
static int read_old(struct attaching *a, struct pl_attachment *ret_old, struct pleach_error *error)
{
	int r = pl_attachment_read(&a->rev.ref, a->spot.path, ret_old, error);

	return r == -ENOENT ? 0 : r;
}

static bool records_equal(const struct pl_attachment *a, const struct pl_attachment *b)
{
	return a->path && b->path && a->generation == b->generation &&
	       strcmp(a->target, b->target) == 0 && strcmp(a->mode, b->mode) == 0;
}

/* Before anything is written: is the path free, or ours? */
static int must_be_ours(struct attaching *a, const char *recorded, struct pleach_error *error)
{
	PL_BUFFER target = {0};
	enum pl_spot_what what;
	int r = pl_spot_look(a->store, &a->spot, recorded, &what, &target, error);

	if (r >= 0 && what == PL_SPOT_FOREIGN)
		r = pl_spot_fail_foreign(&a->spot, error);
	return r;
}

static int add_user(struct attaching *a, struct pleach_error *error)
{
	char user[128];
	int r;

	pl_user_of_attachment(a->rev.ref.id, a->spot.path, user);
	r = pl_user_add(a->store, a->pin.treedir_fd, user, error);
	/* The user's name must last as long as the record's. */
	return r < 0 ? r : pl_txdir_sync(a->tx, error);
}

/* The symlink could not be made: the record says again what is there. Best effort; what it leaves is a
 * record without its symlink (A1). A symlink that was made and could not be synced keeps its record. */
static void take_back(struct attaching *a, const struct pl_attachment *old)
{
	PL_BUFFER target = {0};
	enum pl_spot_what what;
	int r = pl_spot_look(a->store, &a->spot, a->record.target, &what, &target, NULL);

	if (r < 0 ||
	    (target.length > 0 && strcmp(pl_buffer_string(&target), a->record.target) == 0))
		return;
	if (old->path) {
		(void)pl_attachment_write(&a->rev.ref, a->tx, old, NULL);
	} else if (pl_attachment_remove(&a->rev.ref, a->spot.path, NULL) == 0) {
		remove_user(&a->rev.ref, &a->record);
	}
}

/* User, record, symlink (A1, A2). 0, or 1: it was so already. */
static int switch_over(struct attaching *a, const struct pl_attachment *old, const char *recorded,
		       struct pleach_error *error)
{
	bool is_equal = records_equal(old, &a->record);
	int r = a->is_fixed ? add_user(a, error) : 0;

	if (r >= 0 && !is_equal)
		r = pl_attachment_write(&a->rev.ref, a->tx, &a->record, error);
	if (r < 0)
		return r;
	r = pl_spot_make_symlink(a->store, &a->spot, a->record.target, recorded, error);
	if (r < 0 && !is_equal)
		take_back(a, old);
	if (r >= 0 && old->path && !(a->is_fixed && pl_id_equal(&old->tree, &a->record.tree)))
		remove_user(&a->rev.ref, old);
	return r == 1 ? is_equal : r;
}

/* Under the ref lock (A3). `other`: the record of another ref for the path, or NULL. */
static int attach_locked(struct attaching *a, const struct pl_attachment *other,
			 struct pleach_error *error)
{
	struct pl_attachment old = {0};
	const char *recorded;
	int r = a->is_fixed ? pl_generation_is_dropped(&a->rev.ref, a->rev.generation) : 0;

	if (r > 0)
		return pl_fail_not_found(error, "generation %llu of '%s' was dropped",
					 (unsigned long long)a->rev.generation, a->rev.ref.name);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at ref '%s'", a->rev.ref.name);
	r = read_old(a, &old, error);
	recorded = old.path ? old.target : other ? other->target : NULL;
	if (r >= 0)
		r = must_be_ours(a, recorded, error);
	if (r >= 0)
		r = switch_over(a, &old, recorded, error);
	pl_attachment_done(&old);
	return r;
}

/* The record that another ref had for the path is over. */
static int forget_other(struct pl_ref *ref, const struct pl_attachment *record,
			struct pleach_error *error)
{
	int r = pl_ref_lock(ref, -1, error);

	if (r >= 0)
		r = pl_attachment_remove(ref, record->path, error);
	if (r >= 0)
		remove_user(ref, record);
	if (r == -ENOENT || r == -ESTALE) {
		pl_error_clear(error);
		r = 0;
	}
	return r;
}

/* A path that is attached by another mode, or by one that is no symlink to another ref, is in use. */
static int must_not_change_kind(struct attaching *a, const char *mode, struct pleach_error *error)
{
	struct pl_attachment record = {0};
	struct pl_ref ref;
	bool is_kept;
	int r = find_record(a->store, a->spot.path, NULL, &ref, &record, error);

	if (r <= 0)
		return r;
	is_kept = strcmp(record.mode, mode) == 0 &&
		  (strcmp(mode, MODE) == 0 || strcmp(ref.id, a->rev.ref.id) == 0);
	r = 0;
	if (!is_kept) {
		r = pl_fail(error, PLEACH_FAILED, -EEXIST,
			    "'%s' is attached to '%s' already, by %s", a->spot.path, ref.name,
			    record.mode);
		pl_error_path(error, a->spot.path);
		pl_hint(error, "detach it first: pleach detach PATH");
	}
	pl_attachment_done(&record);
	pl_ref_close(&ref);
	return r;
}

static int attach(struct attaching *a, struct pleach_error *error)
{
	struct pl_attachment other = {0};
	struct pl_ref other_ref;
	int r = 0, has_other = 0;

	if (a->is_fixed)
		r = pl_ensure_placed(a->store, &a->rev.tree, &a->rev.ref, false, &a->pin, error);
	if (r >= 0)
		r = fill_in_record(a, error);
	if (r >= 0)
		r = has_other =
			find_record(a->store, a->spot.path, &a->rev.ref, &other_ref, &other, error);
	if (r >= 0)
		r = pl_ref_lock(&a->rev.ref, -1, error);
	if (r >= 0)
		r = attach_locked(a, has_other > 0 ? &other : NULL, error);
	pl_ref_unlock(&a->rev.ref);
	if (has_other > 0) {
		int r_other = r >= 0 ? forget_other(&other_ref, &other, error) : 0;

		r = r_other < 0 ? r_other : r;
		pl_attachment_done(&other);
		pl_ref_close(&other_ref);
	}
	return r;
}

static int check_form(const char *rev, const char *mode, struct pleach_error *error)
{
	int r = 0;

	if (strcmp(mode, MODE) != 0 && !pl_attached_mode_find(mode)) {
		r = pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP, "this version cannot attach by '%s'",
			    mode);
		pl_hint(error, "a symlink works everywhere: --mode " MODE);
	} else if (strchr(rev, ':')) {
		r = pl_fail_usage(error, "'%s' cannot be attached", rev);
		pl_hint(error, "attach a ref, or one of its generations (REF@N, REF@TAG)");
	}
	return r;
}

static int attach_in(struct pl_txdir *tx, const char *rev, const char *path, const char *mode,
		     struct pleach_error *error)
{
	struct attaching a = {.store = tx->store,
			      .tx = tx,
			      .spot = {.parent_fd = -EBADF},
			      .is_fixed = strchr(rev, '@') != NULL,
			      .pin = PL_PIN_NONE};
	int r = pl_rev_resolve(tx->store, rev, NULL, &a.rev, error);

	if (r < 0)
		return r;
	r = pl_spot_find(path, &a.spot, error);
	if (r >= 0)
		r = pl_spot_must_be_outside(a.store, &a.spot, error);
	if (r >= 0)
		r = must_not_change_kind(&a, mode, error);
	if (r >= 0)
		r = strcmp(mode, MODE) == 0
			    ? attach(&a, error)
			    : pl_attach_at(tx, &a.spot, &a.rev, a.is_fixed, mode, error);
	pl_attachment_done(&a.record);
	pl_pin_done(&a.pin);
	pl_spot_done(&a.spot);
	pl_rev_done(&a.rev);
	return r;
}

int pleach_attach(struct pleach_store *store, const char *rev, const char *path, const char *mode,
		  struct pleach_error *error)
{
	struct pl_txdir tx;
	char what[PLEACH_REF_MAX + 40];
	unsigned n;
	int r;

	pl_assert(store && rev && path);
	mode = mode ? mode : MODE;
	r = pl_store_must_write(store->inner, error);
	if (r >= 0)
		r = check_form(rev, mode, error);
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "attach %.120s", rev);
	r = pl_txdir_begin(store->inner, what, &tx, error);
	if (r < 0)
		return r;
	pl_txdir_recover(store->inner, &tx, &n, NULL);
	r = attach_in(&tx, rev, path, mode, error);
	pl_txdir_end(&tx);
	return r;
}

/* ---- detach ---- */

/* Symlink, record, user. Under the ref lock. 1: what is at the path is not ours, and stays. */
static int detach_locked(struct pl_ref *ref, const struct pl_spot *spot, struct pleach_error *error)
{
	struct pl_attachment record = {0};
	PL_BUFFER target = {0};
	enum pl_spot_what what = PL_SPOT_NOTHING;
	int r = pl_attachment_read(ref, spot->path, &record, error);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* another was faster */
	r = pl_spot_look(ref->store, spot, record.target, &what, &target, error);
	if (r >= 0 && what == PL_SPOT_OURS)
		r = pl_spot_remove_symlink(ref->store, spot, error);
	if (r >= 0)
		r = pl_attachment_remove(ref, spot->path, error);
	if (r >= 0)
		remove_user(ref, &record);
	pl_attachment_done(&record);
	return r >= 0 && what == PL_SPOT_FOREIGN ? 1 : r;
}

/* Every ref that has a record for the path: more than one is what a killed attach leaves. */
static int detach(struct pl_store *store, const struct pl_spot *spot, struct pleach_error *error)
{
	bool is_left = false;
	unsigned n = 0;

	for (;; n++) {
		struct pl_attachment record = {0};
		struct pl_ref ref;
		int r = find_record(store, spot->path, NULL, &ref, &record, error);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		if (strcmp(record.mode, MODE) == 0) {
			r = pl_ref_lock(&ref, -1, error);
			if (r >= 0)
				r = detach_locked(&ref, spot, error);
		} else {
			r = pl_detach_at(&ref, &record, error);
		}
		pl_attachment_done(&record);
		pl_ref_close(&ref);
		if (r < 0 && r != -ESTALE)
			return r;
		pl_error_clear(error);
		is_left |= r == 1;
	}
	if (n > 0)
		return is_left;
	return pl_fail_not_found(error, "nothing is attached at '%s'", spot->path);
}

int pleach_detach(struct pleach_store *store, const char *path, struct pleach_error *error)
{
	struct pl_spot spot = {.parent_fd = -EBADF};
	int r;

	pl_assert(store && path);
	r = pl_store_must_write(store->inner, error);
	if (r < 0)
		return r;
	r = pl_spot_find(path, &spot, error);
	if (r == -ENOENT || r == -ENOTDIR) {
		pl_error_clear(error);
		r = pl_spot_find_lost(path, &spot, error);
	}
	if (r >= 0)
		r = detach(store->inner, &spot, error);
	if (r >= 0 && spot.parent_fd >= 0)
		(void)pl_beside_sweep(spot.parent_fd);
	pl_spot_done(&spot);
	return r;
}
