/*
 * A store with the ref `site`, open, and a tx directory to write from. Include after cmocka.h.
 */
#ifndef PL_TEST_WORLD_H
#define PL_TEST_WORLD_H

#include "ref/stores.h"

struct world {
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;
};

static inline struct world make_world(const struct scratch *s)
{
	struct world w = {.store = open_store(s, "a")};

	assert_non_null(w.store);
	assert_int_equal(pl_txdir_begin(w.store, "test", &w.tx, NULL), 0);
	assert_int_equal(pl_ref_open_or_create(&w.tx, "site", &w.ref, NULL), 0);
	return w;
}

static inline void end_world(struct world *w)
{
	pl_ref_close(&w->ref);
	pl_txdir_end(&w->tx);
	pl_store_close(w->store);
}

#endif
