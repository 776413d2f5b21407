/*
 * Making sure that a tree is placed: for `path`, pins and attachments of generations whose placing was
 * taken away. The tree is alive (it has users); only its wrapper is missing.
 */
#include <fcntl.h>
#include <stdio.h>

#include "tx/tx.h"

/* Lays the pinned tree out in tx and moves the wrapper in. */
static int place(struct pl_txdir *tx, struct pl_pin *pin, const struct pl_ref *own,
		 struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(tx->store);
	PL_CLOSE int wrapper = -EBADF;
	struct pl_layout layout = {.tx = tx,
				   .nodes = &nodes,
				   .tree = pin->tree,
				   .base_fd = -EBADF,
				   .base_wrapper_fd = -EBADF,
				   .spare_wrapper_fd = -EBADF,
				   .staged_objects_fd = -EBADF,
				   .share = own ? own->settings.share : tx->store->settings.share};
	char name[32];
	int r;

	pl_txdir_name(tx, "place", name);
	r = pl_mkdir(tx->fd, name, 0755);
	if (r >= 0)
		r = wrapper = pl_open_dir(tx->fd, name);
	if (r >= 0)
		r = pl_chmod(wrapper, 0755);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make room for a tree in %s/.pleach/tx/%s",
				   tx->store->path, tx->id);
	layout.wrapper_fd = wrapper;
	r = pl_layout_run(&layout, NULL, error);
	if (r >= 0)
		r = pl_txdir_sync(tx, error);
	if (r < 0)
		return r;
	r = pl_placing_put(tx->fd, name, pin->treedir_fd, &pin->k);
	if (r >= 0)
		r = pl_store_sync(tx->store, pin->treedir_fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot place a tree in %s/.pleach/trees",
				   tx->store->path)
		     : 0;
}

static int place_pinned(struct pl_store *store, struct pl_pin *pin, const struct pl_ref *own,
			struct pleach_error *error)
{
	struct pl_txdir tx;
	int r = pl_store_must_write(store, error);

	if (r < 0) {
		pl_hint(error,
			"the tree is not placed just now, and placing it writes to the store");
		return r;
	}
	r = pl_txdir_begin(store, "placing a tree", &tx, error);
	if (r < 0)
		return r;
	r = place(&tx, pin, own, error);
	if (r >= 0)
		pl_placed_hint_add(store, own ? own->id : NULL, &pin->tree);
	pl_txdir_end(&tx);
	return r;
}

static int hold_for_grace(struct pl_store *store, struct pl_pin *pin, const struct pl_ref *own,
			  struct pleach_error *error)
{
	uint64_t grace = own ? own->settings.grace_ms : store->settings.grace_ms;
	struct timespec end;
	int r = pl_fs_clock(store->cache_fd, &end);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the store's clock");
	end.tv_sec += (time_t)(grace / 1000) + 1;
	return pl_user_add_holder(store, pin->treedir_fd, &end, error);
}

int pl_ensure_placed(struct pl_store *store, const struct pl_id *tree, const struct pl_ref *own,
		     bool hold, struct pl_pin *ret_pin, struct pleach_error *error)
{
	struct pl_pin pin = PL_PIN_NONE;
	char hex[PL_ID_HEX + 1];
	int r = pl_pin_wait(store, tree, &pin, error);

	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "tree %s is missing", pl_id_hex(tree, hex));
	if (r < 0)
		return r;
	r = 0;
	if (pin.k == 0)
		r = place_pinned(store, &pin, own, error);
	if (r >= 0 && hold && store->is_owner && store->is_writable)
		r = hold_for_grace(store, &pin, own, error);
	if (r < 0) {
		pl_pin_done(&pin);
		return r;
	}
	*ret_pin = pin;
	return 0;
}
