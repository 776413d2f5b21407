/*
 * Taking placed trees away, to be erased or to be recycled, and trees that nobody has any more.
 *
 * I1  Only under the exclusive pin lock, tried, and only after every user was looked up under it; the
 *     rename out of trees/ happens before the unlock. (model/trees.pml, controls USERS_BEFORE_LOCK,
 *     UNLOCK_FIRST, NO_EXCLUSIVE, ONE_REF)
 * I2  What was moved into tx/ is erased afterwards, under no lock; killed, recovery erases it.
 * I3  Who wants a tree has a pin on it before he looks; so one who is busy is simply left alone.
 * I4  A spare may be edited if its ref has recycle=edit, by which all readers pin, and nobody else ever had
 *     it, or anything that was moved into it: readers of another ref may still be in it without a pin. So
 *     users/ keeps all whom it had as long as it is placed, though they are gone; and a tree that is made of a
 *     spare gets one of them that was another ref's.
 * I5  A tree goes only while no collector has a batch out (trash.c, R4).
 * I6  A placed tree without any user is what is left of a drop that was killed, or else its users were lost: it is
 *     taken only where all trees that are kept have theirs, as a collection takes any (roots.c).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/collecting.h"

/* Moves every wrapper of a tree into tx; *ret_name is then the one that was in use, "" if there was none.
 * Under the exclusive lock. */
static int move_wrappers(struct pl_txdir *tx, struct pl_pin *pin, char ret_name[32])
{
	unsigned k;
	int r;

	ret_name[0] = '\0';
	while ((r = pl_placing_find(pin->treedir_fd, &k)) == 1) {
		char from[16], to[32];

		snprintf(from, sizeof(from), "%u", k);
		pl_txdir_name(tx, "retired", to);
		r = pl_rename(pin->treedir_fd, from, tx->fd, to);
		if (r < 0)
			return r;
		if (ret_name[0] == '\0')
			memcpy(ret_name, to, sizeof(to));
	}
	return r;
}

/* Has it been a generation of another ref? */
static bool is_of_another(const struct pl_ref *own, const char *user)
{
	return user[0] == 'g' && !(own && pl_user_is_generation_of(own, user));
}

/* Users that were found gone, and holders whose time is over; while it is placed they tell who can be in it (I4).
 * Under the exclusive lock: whoever makes a user has a pin until what it stands for is there. */
static int forget_users(struct pl_user_lookup *lookup, struct pl_pin *pin,
			struct pleach_error *error)
{
	PL_CLOSE int users = pl_open_dir(pin->treedir_fd, "users");
	struct pl_listing listing = {0};
	char hex[PL_ID_HEX + 1];
	unsigned k;
	int r = users < 0 ? users : pl_placing_find(pin->treedir_fd, &k);

	if (r == 0)
		r = pl_list(users, &listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot list the users of tree %s",
				   pl_id_hex(&pin->tree, hex));
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		uint64_t n;

		r = pl_user_need(lookup, &pin->tree, name, &n, error);
		if (r != PL_NEED_NOTHING)
			continue;
		r = pl_unlink(users, name);
		if (r < 0)
			pl_fail_sys(error, r, "cannot take user '%s' off tree %s", name,
				    pl_id_hex(&pin->tree, hex));
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* Under the exclusive lock, with nobody who needs it. 1; 0: not now. */
static int take_away(struct pl_txdir *tx, const struct pl_id *tree, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1], name[32];
	PL_CLOSE int hold = -EBADF;
	int r = pl_trash_hold_off(tx->store, &hold); /* I5 */

	pl_txdir_name(tx, "tree", name);
	pl_id_hex(tree, hex);
	if (r == 1)
		r = pl_rename(tx->store->trees_fd, hex, tx->fd, name);
	else if (r == 0)
		return 0;
	return r < 0 ? pl_fail_sys(error, r, "cannot take tree %s away", hex) : 1;
}

/* Takes a tree that nobody needs away, whole. */
static int take_tree(struct pl_txdir *tx, struct pl_user_lookup *lookup, const struct pl_id *tree,
		     struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	uint64_t n;
	int r = pl_pin_try_exclusive(tx->store, tree, &pin, error);

	if (r != PL_PIN_TAKEN)
		return r < 0 ? r : 0; /* I3 */
	r = pl_users_need(lookup, tree, pin.treedir_fd, &n, error);
	if (r == PL_NEED_NOTHING)
		r = take_away(tx, tree, error); /* I1 */
	else if (r > 0)
		r = forget_users(lookup, &pin, error);
	pl_pin_done(&pin);
	return r;
}

int pl_tree_take(struct pl_txdir *tx, const struct pl_id *tree, const struct timespec *now,
		 struct pleach_error *error)
{
	struct pl_user_lookup lookup = PL_USER_LOOKUP(tx->store, NULL);
	int r = 0;

	if (now)
		lookup.now = *now;
	else
		r = pl_fs_clock(tx->fd, &lookup.now);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the clock of %s/.pleach/tx/%s",
				   tx->store->path, tx->id);
	r = take_tree(tx, &lookup, tree, error);
	pl_user_lookup_done(&lookup);
	return r;
}

/* ---- the placed trees of a ref ---- */

struct candidate {
	struct pl_id tree;
	uint64_t generation; /* the newest of this ref that has it */
};

static int newest_first(const void *a, const void *b)
{
	uint64_t x = ((const struct candidate *)a)->generation;
	uint64_t y = ((const struct candidate *)b)->generation;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* What the tree is needed for. *ret_is_placed false: the hint is stale. */
static int look(struct pl_user_lookup *lookup, const struct pl_id *tree, uint64_t *ret_generation,
		bool *ret_is_placed, struct pleach_error *error)
{
	PL_CLOSE int treedir = pl_treedir_open(lookup->store, tree);
	unsigned k;
	char hex[PL_ID_HEX + 1];
	int r;

	*ret_is_placed = false;
	if (treedir < 0)
		return treedir == -ENOENT ? PL_NEED_NOTHING
					  : pl_fail_sys(error, treedir, "cannot open tree %s",
							pl_id_hex(tree, hex));
	r = pl_placing_find(treedir, &k);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at tree %s", pl_id_hex(tree, hex));
	*ret_is_placed = r == 1;
	return pl_users_need(lookup, tree, treedir, ret_generation, error);
}

/* Those of `ids` that nobody needs placed now, newest first. */
static int find_candidates(struct pl_user_lookup *lookup, const struct pl_strings *ids,
			   struct candidate **ret, size_t *ret_n, struct pleach_error *error)
{
	const char *ref_id = lookup->own ? lookup->own->id : NULL;
	size_t capacity = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ids->n; i++) {
		struct candidate c;
		bool is_placed;

		if (pl_id_parse(ids->items[i], &c.tree) < 0)
			continue;
		r = look(lookup, &c.tree, &c.generation, &is_placed, error);
		if (r >= 0 && !is_placed)
			pl_placed_hint_remove(lookup->store, ref_id, &c.tree);
		if (r < 0 || !is_placed || r == PL_NEED_PLACED)
			continue;
		r = PL_ARRAY_GROW(*ret, capacity, *ret_n);
		if (r >= 0)
			(*ret)[(*ret_n)++] = c;
	}
	if (r >= 0 && *ret_n > 1)
		qsort(*ret, *ret_n, sizeof(**ret), newest_first);
	return r < 0 ? r : 0;
}

/* The placed trees of lookup->own that may be had, and what time it is; none where no more than `few` are placed. */
static int list_candidates(struct pl_txdir *tx, struct pl_user_lookup *lookup, uint64_t few,
			   struct candidate **ret, size_t *ret_n, struct pleach_error *error)
{
	struct pl_strings ids = {0};
	int r = pl_placed_hint_list(tx->store, lookup->own ? lookup->own->id : NULL, &ids);

	if (r >= 0 && ids.n > few)
		r = pl_fs_clock(tx->fd, &lookup->now);
	if (r < 0)
		pl_fail_sys(error, r, "cannot list the placed trees of %s", tx->store->path);
	else if (ids.n > few)
		r = find_candidates(lookup, &ids, ret, ret_n, error);
	pl_strings_done(&ids);
	return r;
}

/* Has it been a generation of this ref, and nothing else of anybody? Else *ret_other is one of another ref's. (I4) */
static bool is_alone(const struct pl_ref *own, const struct pl_pin *pin, char ret_other[128])
{
	PL_CLOSE int users = pl_open_dir(pin->treedir_fd, "users");
	struct pl_listing listing = {0};
	bool is_own = own && users >= 0 && pl_list(users, &listing) >= 0;

	for (size_t i = 0; i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		if (own && pl_user_is_generation_of(own, name))
			continue;
		is_own = false;
		if (is_of_another(own, name))
			(void)snprintf(ret_other, 128, "%s", name);
	}
	pl_listing_done(&listing);
	return is_own && own->settings.recycle == PL_RECYCLE_EDIT;
}

/* With nobody who needs it: may that be believed? 1, 0. (I6) */
static int is_nobodys(struct pl_txdir *tx, const struct pl_pin *pin, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	char hex[PL_ID_HEX + 1];
	int r = pl_users_list(pin->treedir_fd, &listing);
	bool has_users = listing.n > 0;

	pl_listing_done(&listing);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot list the users of tree %s",
				   pl_id_hex(&pin->tree, hex));
	r = has_users ? 0 : pl_roots_check(tx->store, error);
	if (r == -EBADMSG) {
		pl_error_clear(error);
		return 0;
	}
	return r < 0 ? r : 1;
}

/* 1: taken, and the exclusive lock is in spare->pin. */
static int take_placed(struct pl_txdir *tx, struct pl_user_lookup *lookup, const struct pl_id *tree,
		       struct pl_spare *spare, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	uint64_t n;
	char hex[PL_ID_HEX + 1];
	int r = pl_pin_try_exclusive(tx->store, tree, &pin, error);

	if (r != PL_PIN_TAKEN)
		return r < 0 ? r : 0;				    /* I3 */
	r = pl_users_need(lookup, tree, pin.treedir_fd, &n, error); /* I1 */
	if (r == PL_NEED_NOTHING)
		r = is_nobodys(tx, &pin, error);
	else if (r == PL_NEED_PLACED)
		r = 0;
	if (r > 0) {
		spare->is_alone = is_alone(lookup->own, &pin, spare->other);
		r = move_wrappers(tx, &pin, spare->name);
		if (r < 0)
			pl_fail_sys(error, r, "cannot take placed tree %s away",
				    pl_id_hex(tree, hex));
		if (r >= 0)
			r = forget_users(lookup, &pin, error);
		r = r < 0 ? r : 1;
	}
	if (r == 1)
		spare->pin = pin;
	else
		pl_pin_done(&pin);
	return r;
}

/* 1: taken. */
static int retire(struct pl_txdir *tx, struct pl_user_lookup *lookup, const struct pl_id *tree,
		  struct pleach_error *error)
{
	struct pl_spare spare = PL_SPARE_NONE;
	int r = take_placed(tx, lookup, tree, &spare, error);

	pl_pin_done(&spare.pin);
	return r;
}

int pl_retire_run(struct pl_txdir *tx, struct pl_ref *ref, unsigned *ret_n,
		  struct pleach_error *error)
{
	struct pl_user_lookup lookup = PL_USER_LOOKUP(tx->store, ref);
	struct candidate *candidates = NULL;
	uint64_t spares = ref && ref->settings.recycle != PL_RECYCLE_OFF ? ref->settings.spares : 0;
	size_t n = 0;
	int r = list_candidates(tx, &lookup, spares, &candidates, &n, error);

	*ret_n = 0;
	for (size_t i = (size_t)(spares < n ? spares : n); r >= 0 && i < n; i++) {
		r = retire(tx, &lookup, &candidates[i].tree, error);
		if (r <= 0)
			continue;
		(*ret_n)++;
		pl_placed_hint_remove(tx->store, ref ? ref->id : NULL, &candidates[i].tree);
		/* A dropped generation's tree, kept for its grace alone, has no user now. */
		r = take_tree(tx, &lookup, &candidates[i].tree, error);
	}
	pl_user_lookup_done(&lookup);
	free(candidates);
	return r < 0 ? r : 0;
}

/* ---- a spare ---- */

/*
 * From the exclusive lock to a shared one: whoever wants the tree placed need not wait. And durable,
 * where each directory is synced for itself: else 1. directories are moved out of the spare and synced
 * where they are now, 2. power fails, 3. the wrapper is back in trees/, without them.
 */
static int settle_spare(struct pl_txdir *tx, struct pl_spare *spare, struct pleach_error *error)
{
	int r = pl_lock_try(spare->pin.fd, PL_LOCK_SHARED);

	if (r == 1 && pl_txdir_must_fsync(tx)) {
		r = pl_fsync(spare->pin.treedir_fd);
		if (r >= 0)
			r = pl_fsync(tx->fd);
		r = r < 0 ? r : 1;
	}
	return r < 0 ? pl_fail_sys(error, r, "cannot take a spare tree") : r;
}

int pl_spare_take(struct pl_txdir *tx, struct pl_ref *ref, struct pl_spare *ret_spare,
		  struct pleach_error *error)
{
	struct pl_user_lookup lookup = PL_USER_LOOKUP(tx->store, ref);
	struct candidate *candidates = NULL;
	struct pl_spare spare = PL_SPARE_NONE;
	size_t n = 0;
	int r = list_candidates(tx, &lookup, 0, &candidates, &n, error);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = take_placed(tx, &lookup, &candidates[i].tree, &spare, error);
		if (r <= 0)
			continue;
		pl_placed_hint_remove(tx->store, ref->id, &candidates[i].tree);
		if (spare.name[0] != '\0') /* else another one was quicker */
			break;
		pl_pin_done(&spare.pin);
		r = 0;
	}
	pl_user_lookup_done(&lookup);
	free(candidates);
	if (r == 1)
		r = settle_spare(tx, &spare, error);
	if (r == 1)
		*ret_spare = spare;
	else
		pl_pin_done(&spare.pin);
	return r;
}

void pl_spare_done(struct pl_txdir *tx, struct pl_spare *spare)
{
	struct pleach_error ignored = PLEACH_ERROR_INIT;

	if (spare->pin.fd < 0)
		return;
	pl_pin_done(&spare->pin);
	pl_tree_take(tx, &spare->pin.tree, NULL, &ignored);
}
