/*
 * pleach_attach(), pleach_detach(): a ref, or one of its generations, at another path too, by a symlink.
 *
 *      nothing --user, of a fixed generation--> --record--> --symlink--> attached
 *      attached --symlink away--> --record away--> --user away--> nothing
 *
 * A1  The record is durable before the symlink is made, and goes after it: a symlink of ours always has
 *     a record. A record without one is finished by the next attach, or taken away by detach.
 * A2  A user of the tree is there before the record: what a record names is placed, and stays so. Until
 *     the record is written the tree is pinned.
 * A3  Replaced and removed is a symlink alone that has a record for its path, and leads where we lead
 *     symlinks: where the record says, or (a record written anew, its maker killed before the symlink)
 *     into the public part of this store. Everything else is foreign (G7).
 * A4  Records change under the lock of their ref, so that none comes into a ref that is dropped.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/inner.h"
#include "tx/tx.h"

#define MODE  "symlink"
#define TRIES 16

/* Where something is attached: the directory it lies in, its name there, the absolute path. */
struct place {
	int parent_fd; /* -EBADF: the directory is gone (detach alone) */
	char name[PL_NAME_MAX + 1];
	char *path;
};

static void place_done(struct place *place)
{
	pl_closep(&place->parent_fd);
	free(place->path);
	place->path = NULL;
}

/* ---- paths ---- */

static int split_path(const char *path, struct pl_buffer *parent, struct place *place,
		      struct pleach_error *error)
{
	size_t length = strlen(path), at;

	while (length > 1 && path[length - 1] == '/')
		length--;
	for (at = length; at > 0 && path[at - 1] != '/'; at--)
		;
	if (!pl_name_is_valid(path + at, length - at))
		return pl_fail_usage(error, "'%s': nothing can be attached there", path);
	memcpy(place->name, path + at, length - at);
	place->name[length - at] = '\0';
	if (at == 0)
		pl_buffer_add_string(parent, ".");
	else
		pl_buffer_add(parent, path, at);
	return pl_buffer_ok(parent) ? 0 : pl_fail_memory(error);
}

/* The path with its directory resolved; the last name is kept, since it is (to be) the symlink. */
static int find_place(const char *path, struct place *ret_place, struct pleach_error *error)
{
	struct place place = {.parent_fd = -EBADF};
	PL_BUFFER parent = {0};
	PL_BUFFER b = {0};
	int r = split_path(path, &parent, &place, error);

	if (r < 0)
		return r;
	place.parent_fd =
		pl_open_follow(AT_FDCWD, pl_buffer_string(&parent), O_RDONLY | O_DIRECTORY);
	r = place.parent_fd;
	if (r >= 0)
		r = pl_real_path(place.parent_fd, &b);
	if (r < 0) {
		place_done(&place);
		pl_fail_sys(error, r, "cannot open the directory of '%s'", path);
		pl_error_path(error, path);
		return r;
	}
	if (b.length != 1) /* "/" */
		pl_buffer_add_u8(&b, '/');
	pl_buffer_add_string(&b, place.name);
	place.path = pl_buffer_take_string(&b);
	if (!place.path) {
		place_done(&place);
		return pl_fail_memory(error);
	}
	*ret_place = place;
	return 0;
}

/* For what was attached in a directory that is gone: the path as it is written. */
static int find_lost_place(const char *path, struct place *ret_place, struct pleach_error *error)
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
	*ret_place = (struct place){.parent_fd = -EBADF, .path = pl_buffer_take_string(&b)};
	return ret_place->path ? 0 : pl_fail_memory(error);
}

static int must_be_outside(struct pl_store *store, const struct place *place,
			   struct pleach_error *error)
{
	int r = pl_is_above(store->fd, place->parent_fd);

	if (r == 0 && strcmp(place->name, ".pleach") != 0)
		return 0;
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look above '%s'", place->path);
	return pl_fail(error, PLEACH_FAILED, -EINVAL, "'%s' lies in what is pleach's own",
		       place->path);
}

/* ---- whose is what is there? ---- */

enum what { NOTHING, OURS, FOREIGN };

/* Does it lead where we lead symlinks? (A3) */
static bool leads_into_store(const struct pl_store *store, const char *target)
{
	size_t length = strlen(store->path);
	const char *rest = target + length;

	return strncmp(target, store->path, length) == 0 &&
	       (strncmp(rest, "/.pleach/refs/", 14) == 0 ||
		strncmp(rest, "/.pleach/trees/", 15) == 0) &&
	       strlen(rest) > 5 && strcmp(rest + strlen(rest) - 5, "/tree") == 0;
}

/* `ret_target`: where the symlink leads, if it is one. */
static int look_at(struct pl_store *store, const struct place *place, bool has_record,
		   const char *recorded, enum what *ret_what, struct pl_buffer *ret_target,
		   struct pleach_error *error)
{
	const char *target;
	int r = place->parent_fd < 0 ? -ENOENT
				     : pl_readlink(place->parent_fd, place->name, ret_target);

	*ret_what = FOREIGN;
	if (r == -ENOENT) {
		*ret_what = NOTHING;
		return 0;
	}
	if (r == -EINVAL)
		return 0; /* no symlink */
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at '%s'", place->path);
	target = pl_buffer_string(ret_target);
	if (!target)
		return pl_fail_memory(error);
	if (has_record && (strcmp(target, recorded) == 0 || leads_into_store(store, target)))
		*ret_what = OURS;
	return 0;
}

static int fail_foreign(const struct place *place, struct pleach_error *error)
{
	pl_fail(error, PLEACH_FAILED, -EEXIST, "cannot attach at '%s': what is there is not ours",
		place->path);
	pl_error_path(error, place->path);
	pl_hint(error, "move it away, or choose another path");
	return -EEXIST;
}

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

/* ---- the symlink ---- */

static int sync_parent(struct pl_store *store, const struct place *place)
{
	return place->parent_fd < 0 ? 0 : pl_store_sync(store, place->parent_fd);
}

/* Beside, whole, and then by rename in the place of the old one. */
static int replace_symlink(const struct place *place, const char *target)
{
	struct pl_beside beside = PL_BESIDE_NONE;
	int r = pl_beside_begin(place->parent_fd, &beside);

	if (r < 0)
		return r;
	r = pl_symlink(target, beside.dir.fd, "link");
	if (r >= 0)
		r = pl_rename(beside.dir.fd, "link", place->parent_fd, place->name);
	pl_beside_end(&beside);
	return r;
}

/* 0, or 1: it was there already. */
static int make_symlink(struct pl_store *store, const struct place *place, const char *recorded,
			const char *target, struct pleach_error *error)
{
	int r = -EEXIST;

	for (unsigned i = 0; i < TRIES && r == -EEXIST; i++) {
		PL_BUFFER now = {0};
		enum what what;

		r = look_at(store, place, true, recorded, &what, &now, error);
		if (r < 0)
			return r;
		if (what == FOREIGN)
			return fail_foreign(place, error);
		if (what == OURS && strcmp(pl_buffer_string(&now), target) == 0) {
			r = sync_parent(store, place);
			return r < 0 ? pl_fail_sys(error, r, "cannot sync '%s'", place->path) : 1;
		}
		/* symlink(2) replaces nothing, whatever has come there meanwhile. */
		r = what == OURS ? replace_symlink(place, target)
				 : pl_symlink(target, place->parent_fd, place->name);
	}
	if (r >= 0)
		r = sync_parent(store, place);
	if (r < 0) {
		pl_fail_sys(error, r, "cannot attach at '%s'", place->path);
		pl_error_path(error, place->path);
	}
	return r;
}

/* ---- attach ---- */

struct attaching {
	struct pl_store *store;
	struct pl_txdir *tx;
	struct place place;
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
	a->record.path = strdup(a->place.path);
	a->record.target = pl_buffer_take_string(&target);
	return a->record.path && a->record.target ? 0 : pl_fail_memory(error);
}

/* The record as it was (path NULL: none), under the lock. */
static int read_old(struct attaching *a, struct pl_attachment *ret_old, struct pleach_error *error)
{
	int r = pl_attachment_read(&a->rev.ref, a->place.path, ret_old, error);

	return r == -ENOENT ? 0 : r;
}

static bool records_equal(const struct pl_attachment *a, const struct pl_attachment *b)
{
	return a->path && b->path && a->generation == b->generation &&
	       strcmp(a->target, b->target) == 0 && strcmp(a->mode, b->mode) == 0;
}

/* Before anything is written: is the path free, or ours? `other`: the record of another ref, or NULL. */
static int must_be_ours(struct attaching *a, const struct pl_attachment *old,
			const struct pl_attachment *other, struct pleach_error *error)
{
	const char *recorded = old->path ? old->target : other ? other->target : "";
	PL_BUFFER target = {0};
	enum what what;
	int r = look_at(a->store, &a->place, old->path || other, recorded, &what, &target, error);

	if (r >= 0 && what == FOREIGN)
		r = fail_foreign(&a->place, error);
	return r;
}

/* User, record, symlink (A1, A2), under the ref lock (A4). 0, or 1: it was so already. */
static int attach_locked(struct attaching *a, const struct pl_attachment *other,
			 struct pleach_error *error)
{
	struct pl_attachment old = {0};
	char user[128];
	bool is_equal;
	int r = a->is_fixed ? pl_generation_is_dropped(&a->rev.ref, a->rev.generation) : 0;

	if (r > 0)
		return pl_fail_not_found(error, "generation %llu of '%s' was dropped",
					 (unsigned long long)a->rev.generation, a->rev.ref.name);
	if (r >= 0)
		r = read_old(a, &old, error);
	if (r >= 0)
		r = must_be_ours(a, &old, other, error);
	is_equal = r >= 0 && records_equal(&old, &a->record);
	if (r >= 0 && a->is_fixed) {
		pl_user_of_attachment(a->rev.ref.id, a->place.path, user);
		r = pl_user_add(a->store, a->pin.treedir_fd, user, error);
	}
	if (r >= 0 && a->is_fixed) /* the user's name must last as long as the record's */
		r = pl_txdir_sync(a->tx, error);
	if (r >= 0 && !is_equal)
		r = pl_attachment_write(&a->rev.ref, a->tx, &a->record, error);
	if (r >= 0)
		r = make_symlink(a->store, &a->place, a->record.target, a->record.target, error);
	if (r >= 0 && old.path && !(a->is_fixed && pl_id_equal(&old.tree, &a->record.tree)))
		remove_user(&a->rev.ref, &old);
	pl_attachment_done(&old);
	return r == 1 ? is_equal : r;
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

static int attach(struct attaching *a, struct pleach_error *error)
{
	struct pl_attachment other = {0};
	struct pl_ref other_ref;
	int r = must_be_outside(a->store, &a->place, error), has_other = 0;

	if (r >= 0 && a->is_fixed)
		r = pl_ensure_placed(a->store, &a->rev.tree, &a->rev.ref, false, &a->pin, error);
	if (r >= 0)
		r = fill_in_record(a, error);
	if (r >= 0)
		r = has_other = find_record(a->store, a->place.path, &a->rev.ref, &other_ref,
					    &other, error);
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

	if (mode && strcmp(mode, MODE) != 0) {
		r = pl_fail(error, PLEACH_FAILED, -EOPNOTSUPP, "this version cannot attach by '%s'",
			    mode);
		pl_hint(error, "a symlink works everywhere: --mode " MODE);
	} else if (strchr(rev, ':')) {
		r = pl_fail_usage(error, "'%s' cannot be attached", rev);
		pl_hint(error, "attach a ref, or one of its generations (REF@N, REF@TAG)");
	}
	return r;
}

static int attach_in(struct pl_txdir *tx, const char *rev, const char *path,
		     struct pleach_error *error)
{
	struct attaching a = {.store = tx->store,
			      .tx = tx,
			      .place = {.parent_fd = -EBADF},
			      .is_fixed = strchr(rev, '@') != NULL,
			      .pin = PL_PIN_NONE};
	int r = pl_rev_resolve(tx->store, rev, NULL, &a.rev, error);

	if (r < 0)
		return r;
	r = find_place(path, &a.place, error);
	if (r >= 0)
		r = attach(&a, error);
	pl_attachment_done(&a.record);
	pl_pin_done(&a.pin);
	place_done(&a.place);
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
	r = attach_in(&tx, rev, path, error);
	pl_txdir_end(&tx);
	return r;
}

/* ---- detach ---- */

/* Symlink, record, user. Under the ref lock. */
static int detach_locked(struct pl_ref *ref, const struct place *place, struct pleach_error *error)
{
	struct pl_attachment record = {0};
	PL_BUFFER target = {0};
	enum what what = NOTHING;
	int r = pl_attachment_read(ref, place->path, &record, error);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* another was faster */
	r = look_at(ref->store, place, true, record.target, &what, &target, error);
	if (r >= 0 && what == OURS) {
		r = pl_unlink(place->parent_fd, place->name);
		if (r == -ENOENT)
			r = 0;
		if (r >= 0)
			r = sync_parent(ref->store, place);
		if (r < 0)
			pl_fail_sys(error, r, "cannot remove '%s'", place->path);
	}
	if (r >= 0)
		r = pl_attachment_remove(ref, place->path, error);
	if (r >= 0)
		remove_user(ref, &record);
	pl_attachment_done(&record);
	return r;
}

/* Every ref that has a record for the path: more than one is what a killed attach leaves. */
static int detach(struct pl_store *store, const struct place *place, struct pleach_error *error)
{
	unsigned n = 0;

	for (;; n++) {
		struct pl_attachment record = {0};
		struct pl_ref ref;
		int r = find_record(store, place->path, NULL, &ref, &record, error);

		if (r < 0)
			return r;
		if (r == 0)
			break;
		pl_attachment_done(&record);
		r = pl_ref_lock(&ref, -1, error);
		if (r >= 0)
			r = detach_locked(&ref, place, error);
		pl_ref_close(&ref);
		if (r < 0 && r != -ESTALE)
			return r;
		pl_error_clear(error);
	}
	if (n > 0)
		return 0;
	return pl_fail_not_found(error, "nothing is attached at '%s'", place->path);
}

int pleach_detach(struct pleach_store *store, const char *path, struct pleach_error *error)
{
	struct place place;
	int r;

	pl_assert(store && path);
	r = pl_store_must_write(store->inner, error);
	if (r < 0)
		return r;
	r = find_place(path, &place, error);
	if (r == -ENOENT || r == -ENOTDIR) {
		pl_error_clear(error);
		r = find_lost_place(path, &place, error);
	}
	if (r >= 0)
		r = detach(store->inner, &place, error);
	if (r >= 0 && place.parent_fd >= 0)
		(void)pl_beside_sweep(place.parent_fd);
	if (place.path)
		place_done(&place);
	return r;
}
