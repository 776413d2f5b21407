/*
 * Rollback: a commit whose tree is that of an earlier generation. History grows, nothing is lost.
 */
#include <stdio.h>

#include "tx/tx.h"

static int find_target(struct pl_store *store, const char *ref, const char *rev,
		       struct pl_rev *ret_rev, struct pleach_error *error)
{
	if (rev)
		return pl_rev_resolve(store, rev, ref, ret_rev, error);
	return pl_rev_resolve(store, "@-1", ref, ret_rev, error);
}

/* The head of the ref, and its tree, pinned as the base of the layout. */
static int find_base(struct pl_commit *c, struct pleach_error *error)
{
	struct pl_record record;
	int r = pl_ref_settle(c->ref, c->tx, &c->base, error);

	if (r >= 0 && c->base == 0)
		return pl_fail_not_found(error, "no ref '%s' in this store", c->ref->name);
	if (r >= 0)
		r = pl_generation_read(c->ref, c->base, &record, error);
	if (r < 0)
		return r;
	c->base_tree = record.tree;
	pl_record_done(&record);
	r = pl_pin_try(c->tx->store, &c->base_tree, c->base_pin, error);
	return r < 0 ? r : 0;
}

/* The tree to go back to, pinned to the end: it is not dropped and taken away meanwhile, nor is what it
 * names collected, of which nothing is claimed. */
static int pin_target(struct pl_store *store, const struct pl_id *tree, struct pl_pin *ret_pin,
		      struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	int r = pl_pin_wait(store, tree, ret_pin, error);

	if (r == PL_PIN_ABSENT)
		return pl_fail_not_found(error, "tree %s was dropped", pl_id_hex(tree, hex));
	return r < 0 ? r : 0;
}

static int rollback(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_id *tree,
		    const struct pleach_publish_options *options,
		    struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(tx->store);
	struct pl_pin base_pin = PL_PIN_NONE, target_pin = PL_PIN_NONE;
	struct pl_commit c = {.tx = tx,
			      .ref = ref,
			      .tree = *tree,
			      .kind = "rollback",
			      .message = options->message,
			      .meta = options->meta,
			      .if_head = options->if_head,
			      .base_pin = &base_pin};
	struct pl_diff_counts counts = {0};
	int r = pin_target(tx->store, tree, &target_pin, error);

	if (r >= 0)
		r = find_base(&c, error);
	/* Also with --dry-run: a foreign name would stop it. */
	if (r >= 0)
		r = pl_public_must_be_ours(ref, error);
	if (r >= 0)
		r = pl_commit_check_head(ref->name, c.if_head, c.base, error);
	if (r >= 0 && !options->dry_run) {
		r = pl_commit_run(&c, ret_result, error);
	} else if (r >= 0) {
		r = pl_diff_count(&nodes, &c.base_tree, tree, tx->store->seed, &counts, error);
		ret_result->unchanged = pl_id_equal(tree, &c.base_tree);
		ret_result->generation = ret_result->unchanged ? c.base : c.base + 1;
		ret_result->parent = c.base;
		pl_id_hex(tree, ret_result->tree);
		ret_result->added = counts.added;
		ret_result->modified = counts.modified;
		ret_result->removed = counts.removed;
	}
	pl_pin_done(&base_pin);
	pl_pin_done(&target_pin);
	return r;
}

int pl_rollback_run(struct pl_store *store, const char *name, const char *rev_spec,
		    const struct pleach_publish_options *options,
		    struct pleach_publish_result *ret_result, struct pleach_error *error)
{
	struct pl_txdir tx;
	struct pl_rev rev;
	struct pl_ref ref;
	char what[PLEACH_REF_MAX + 16];
	unsigned n;
	int r = pl_store_must_write(store, error);

	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "rollback %.100s", name);
	r = pl_txdir_begin(store, what, &tx, error);
	if (r < 0)
		return r;
	pl_txdir_recover(store, &tx, &n, NULL);
	r = pl_ref_open(store, name, &ref, error);
	if (r >= 0) {
		r = find_target(store, name, rev_spec, &rev, error);
		if (r >= 0 && rev.path) {
			r = pl_fail_usage(error, "'%s': only a whole tree can be rolled back to",
					  rev_spec);
			pl_hint(error, "publish %s %s does that for a part", name, rev_spec);
			pl_rev_done(&rev);
		} else if (r >= 0) {
			r = rollback(&tx, &ref, &rev.tree, options, ret_result, error);
			pl_rev_done(&rev);
		}
		pl_ref_close(&ref);
	}
	pl_txdir_end(&tx);
	return r;
}
