/*
 * The base of a transaction: the head that it begins with, or an empty directory where there is none, and what
 * its workspace has to know of it.
 *
 * B1  A base that is a generation is pinned, and placed, before it is written down anywhere as the base.
 * B2  An empty base is read like any other: its node is claimed by tx/<id>, and in the store.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define TRIES 16

/* B2. A tree that no generation has is nobody's but ours: its node is claimed, and named in the store at once, so
 * that it is read like any other. */
static int keep_node(void *self, const struct pl_id *id, const void *data, size_t length,
		     struct pleach_error *error)
{
	struct pl_tx *tx = self;
	char name[32], hex[PL_ID_HEX + 1];
	int r = pl_txdir_claim(&tx->dir, 'n', id, error);

	if (r < 0)
		return r;
	pl_txdir_name(&tx->dir, "node", name);
	r = pl_write_file(tx->dir.fd, name, 0400, data, length, tx->store->settings.durable);
	if (r >= 0)
		r = pl_pool_link(tx->store->nodes_fd, id, tx->dir.fd, name);
	return r < 0 ? pl_fail_sys(error, r, "cannot write node %s into %s/.pleach/nodes",
				   pl_id_hex(id, hex), tx->store->path)
		     : 0;
}

/* An empty directory, for who has no generation to begin from, and the tree that it is. */
static int make_empty_base(struct pl_tx *tx, struct pleach_error *error)
{
	const struct pl_node_sink sink = {.write = keep_node, .self = tx};
	PL_CLOSE int fd = -EBADF;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;
	int r = pl_mkdir(tx->dir.fd, "empty", 0755);

	if (r >= 0)
		r = pl_chmod_at(tx->dir.fd, "empty", 0755);
	if (r >= 0)
		r = fd = pl_open_dir(tx->dir.fd, "empty");
	if (r >= 0)
		r = pl_fstat(fd, &st);
	if (r >= 0)
		r = pl_meta_read(fd, &st, tx->ref.settings.metadata, &xattrs, &meta);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot make a directory in %s/.pleach/tx/%s",
				   tx->store->path, tx->dir.id);
	pl_meta_reduce(&meta, PLEACH_DIR, tx->ref.settings.metadata);
	return pl_tree_make_empty(&sink, &meta, &tx->note.base_tree, error);
}

/* B1. The head's tree is placed as long as the ref is whole. */
int pl_tx_find_base(struct pl_tx *tx, struct pleach_error *error)
{
	int r = PL_PIN_ABSENT;

	for (unsigned i = 0; i < TRIES && r == PL_PIN_ABSENT; i++) {
		r = pl_head_pin(&tx->ref, &tx->dir, &tx->note.base, &tx->note.base_tree, &tx->pin,
				error);
		if (r == PL_PIN_TAKEN && tx->note.base > 0 && tx->pin.k == 0) {
			pl_pin_done(&tx->pin); /* it was the head a moment ago */
			r = PL_PIN_ABSENT;
		}
	}
	if (r == PL_PIN_ABSENT)
		return pl_fail_corrupt(error, "the tree of the head of '%s' is missing",
				       tx->ref.name);
	if (r < 0)
		return r;
	tx->note.k = tx->pin.k;
	if (tx->note.base == 0)
		r = make_empty_base(tx, error);
	tx->note.merged_tree = tx->note.base_tree;
	return r < 0 ? r : 0;
}

static int base_totals(struct pl_tx *tx, struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(tx->store);

	*ret_totals = (struct pl_totals){0};
	if (tx->note.base == 0)
		return 0;
	return pl_tree_totals(&nodes, &tx->note.base_tree, ret_totals, error);
}

/* ---- as a workspace needs it ---- */

static int open_lower(struct pl_tx *tx, struct pleach_error *error)
{
	struct pl_workspace *ws = &tx->workspace;
	PL_BUFFER path = {0};
	int r = ws->lower_fd = tx->note.base == 0 ? pl_open_dir(tx->dir.fd, "empty")
						  : pl_placing_open(tx->pin.treedir_fd, tx->note.k);

	if (r >= 0)
		r = pl_real_path(ws->lower_fd, &path);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot open the base of transaction %s", tx->dir.id);
	ws->lower_path = pl_buffer_take_string(&path);
	return ws->lower_path ? 0 : pl_fail_memory(error);
}

/* Not what the ref says now: it may have been another ref that placed the tree, or another setting then. Only
 * with share=names a filter is written (docs/format.md). */
static int find_share(struct pl_tx *tx, enum pl_share *ret_share, struct pleach_error *error)
{
	char name[32];
	int r = 1;

	snprintf(name, sizeof(name), "%u/filter", tx->note.k);
	if (tx->note.base > 0)
		r = pl_exists(tx->pin.treedir_fd, name);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look at the base of transaction %s",
				   tx->dir.id);
	*ret_share = r > 0 ? PL_SHARE_NAMES : PL_SHARE_CONTENT;
	return 0;
}

int pl_tx_fill_in_workspace(struct pl_tx *tx, struct pleach_error *error)
{
	struct pl_workspace *ws = &tx->workspace;
	int r = base_totals(tx, &ws->totals, error);

	if (r >= 0)
		r = find_share(tx, &ws->share, error);
	if (r < 0)
		return r;
	ws->store = tx->store;
	ws->name = tx->ref.name;
	ws->base = tx->note.base_tree;
	ws->rule = tx->ref.settings.metadata;
	ws->is_parked = tx->is_parked;
	if (tx->note.checkout && !(ws->checkout = strdup(tx->note.checkout)))
		return pl_fail_memory(error);
	return open_lower(tx, error);
}
