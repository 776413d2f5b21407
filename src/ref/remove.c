/*
 * Taking a ref away, once its last record says that it is dropped: by who dropped it, or by whoever
 * comes by after he was killed (pl_ref_settle()). Each step may have been taken before.
 *
 * I1  The public path is moved into tx/ (or beside the store) and looked at there: what somebody put at it meanwhile goes
 *     back (G7).
 * I2  Readers that have resolved a path keep their tree for the grace, counted from when the path
 *     went: by a holder, since the ref, which would tell, goes too.
 */
#include <stdio.h>

#include "ref/ref.h"

static bool is_our_hop(struct pl_ref *ref, int dirfd, const char *name)
{
	enum pl_public_state state = PL_PUBLIC_FOREIGN;

	return pl_public_state_at(ref, dirfd, name, &state, NULL) >= 0 && state == PL_PUBLIC_OK;
}

/* Moves the hop into a private directory. -ENOENT: it is gone. */
static int take_hop_into(struct pl_ref *ref, int dirfd, const char *name)
{
	int root = ref->store->root_fd;
	int r = pl_rename(root, ref->name, dirfd, name);

	if (r >= 0 && !is_our_hop(ref, dirfd, name)) /* I1 */
		r = pl_rename_new(dirfd, name, root, ref->name);
	return r;
}

/* Where the store is a subvolume, its tx/ is another one than that of the public path. */
static int take_hop_beside(struct pl_ref *ref)
{
	struct pl_beside beside;
	int r = pl_beside_begin(ref->store->root_fd, &beside);

	if (r < 0)
		return r;
	r = take_hop_into(ref, beside.dir.fd, "hop");
	pl_beside_end(&beside);
	return r;
}

static int take_hop(struct pl_ref *ref, struct pl_txdir *tx)
{
	int root = ref->store->root_fd, r;
	char name[32];

	if (!is_our_hop(ref, root, ref->name))
		return 0;
	pl_txdir_name(tx, "hop", name);
	r = take_hop_into(ref, tx->fd, name);
	if (r == -EXDEV)
		r = take_hop_beside(ref);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : pl_store_sync(ref->store, root);
}

static void hold_placed(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_id *tree)
{
	PL_CLOSE int treedir = pl_treedir_open(tx->store, tree);
	struct timespec end;
	unsigned k;

	if (treedir < 0 || pl_placing_find(treedir, &k) != 1 || pl_fs_clock(tx->fd, &end) < 0)
		return;
	end.tv_sec += (time_t)(ref->settings.grace_ms / 1000);
	pl_user_add_holder(tx->store, treedir, &end, NULL);
	pl_placed_hint_add(tx->store, NULL, tree);
}

/* Best effort: a record that cannot be read holds nothing. (I2) */
static void hold_all(struct pl_txdir *tx, struct pl_ref *ref)
{
	uint64_t head = 0;

	if (pl_head_number(ref, &head, NULL) < 0)
		return;
	for (uint64_t n = 1; n <= head; n++) {
		struct pl_record record;

		if (pl_generation_read(ref, n, &record, NULL) < 0)
			continue;
		hold_placed(tx, ref, &record.tree);
		pl_record_done(&record);
	}
}

int pl_ref_remove(struct pl_ref *ref, struct pl_txdir *tx, bool hold, struct pleach_error *error)
{
	char name[32];
	int r = take_hop(ref, tx);

	pl_assert(pl_ref_is_locked(ref));
	if (r >= 0 && hold)
		hold_all(tx, ref);
	if (r >= 0) {
		pl_placed_hint_forget(ref->store, ref->id);
		pl_txdir_name(tx, "dropped", name);
		r = pl_rename(ref->store->refs_fd, ref->name, tx->fd, name);
	}
	if (r >= 0)
		r = pl_store_sync(ref->store, ref->store->refs_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot take ref '%s' away", ref->name) : 0;
}
