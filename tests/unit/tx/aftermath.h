/*
 * aftermath - what is seen of a scenario's store after its command, however that ended: the old state or the
 * new one, whole, and that everything goes on from there. Header only. Include after cmocka.h.
 *
 * Functions that look for trouble return a text that says what it is, which the caller frees, or NULL.
 */
#ifndef PL_TEST_AFTERMATH_H
#define PL_TEST_AFTERMATH_H

#include "tx/yard.h"

/* Everything of a ref that a user could tell apart, but for when. */
static inline char *observe(const char *store)
{
	TEXT *site = text_of("%s/site", store);
	TEXT *tree = fingerprint(site);
	TEXT *generations = names_in(store, "refs/site/gen");
	TEXT *dropped = names_in(store, "refs/site/dropped");
	TEXT *tags = names_in(store, "refs/site/tags");

	return text_of("generations %s\ndropped %s\ntags %s\n%s", generations, dropped, tags, tree);
}

struct expected {
	char *(*observe)(const char *store); /* NULL: observe() */
	bool is_gradual;		     /* a failed command may have done a part */
	char *old_tree, *new_tree;	     /* through the public path */
	char *old_state, *new_state;
	char *next_tree;
};

static inline void expected_done(struct expected *e)
{
	free(e->old_tree);
	free(e->new_tree);
	free(e->old_state);
	free(e->new_state);
	free(e->next_tree);
}

static inline char *trouble_by_state(const struct expected *e, const char *store,
				     bool has_succeeded)
{
	TEXT *site = text_of("%s/site", store);
	TEXT *tree = fingerprint(site);
	bool is_new = strcmp(tree, e->new_tree) == 0;
	struct pleach_store *opened;
	struct outcome o;
	TEXT *state = NULL;

	if (!is_new && strcmp(tree, e->old_tree) != 0)
		return text_of("the public path shows neither the old tree nor the new one:\n%s",
			       tree);
	opened = open_at(store, &o);
	if (!opened)
		return text_of("cannot open the store: %s", o.error.message);
	(void)pleach_resolve(opened, "site", NULL, &o.error); /* finishes what was begun */
	pleach_store_close(opened);
	state = e->observe ? e->observe(store) : observe(store);
	if (strcmp(state, e->new_state) == 0)
		return NULL;
	if (has_succeeded)
		return text_of("success, and the state is not the new one:\n%s", state);
	if (strcmp(state, e->old_state) != 0 && !e->is_gradual)
		return text_of("the ref is neither old nor new:\n%s", state);
	if (is_new && strcmp(e->old_tree, e->new_tree) != 0 && !e->is_gradual)
		return text_of("the new tree was seen, and the ref is old");
	return NULL;
}

/* A parked transaction may have outlived its commit: then it knows that it has landed, or lands now. */
static inline char *trouble_by_parked(const char *path)
{
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_tx *tx = NULL;
	struct pleach_txs *txs;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	o.r = pleach_txs_open(store, &txs, &o.error);
	if (o.r == 0)
		o.r = pleach_txs_next(txs, &status, &o.error);
	if (o.r == 1)
		o.r = pleach_tx_open(store, status.info.id, &tx, &o.error);
	pleach_txs_close(txs);
	if (tx) {
		o.r = pleach_tx_commit(tx, NULL, &result, &o.error);
		if (o.r >= 0)
			o.r = pleach_tx_close(tx, &o.error);
	}
	pleach_store_close(store);
	if (o.r < 0)
		return text_of("the parked transaction cannot be committed: %s", o.error.message);
	if (tx && (result.generation != 3 || result.unchanged))
		return text_of("the parked transaction became generation %d",
			       (int)result.generation);
	return NULL;
}

/* The next publish, and that all is well then. */
static inline char *trouble_by_next(const struct yard *y, const struct expected *e,
				    const char *store)
{
	TEXT *source = text_of("%s/c", y->path);
	TEXT *site = text_of("%s/site", store);
	TEXT *parked = trouble_by_parked(store);
	struct outcome o = publish_at(store, "site", source);
	TEXT *tree = fingerprint(site);
	TEXT *tx = names_in(store, "tx");
	TEXT *trash = names_in(store, "trash");
	char *trouble;

	if (parked)
		return text_of("%s", parked);
	if (o.r != 0)
		return text_of("the next publish fails: %s", o.error.message);
	if (strcmp(tree, e->next_tree) != 0)
		return text_of("the next publish shows:\n%s", tree);
	/* The locks of a collection, which a publish that found no room has called for. */
	if (tx[0] ||
	    (trash[0] && strcmp(trash, "batch ") != 0 && strcmp(trash, "batch collector ") != 0))
		return text_of("left in tx/: %s, in trash/: %s", tx, trash);
	trouble = trouble_by_check(store, 0);
	return trouble ? trouble : trouble_by_locks(store);
}

#endif
