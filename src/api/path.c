/*
 * pleach_path(): where a revision is placed.
 */
#include "api/inner.h"

int pleach_path(struct pleach_store *store, const char *rev, char **ret_path,
		struct pleach_error *error)
{
	struct pl_placed placed;
	int r;

	pl_assert(store && rev && ret_path);
	r = pl_placed_open(store->inner, rev, true, &placed, error);
	if (r < 0)
		return r;
	*ret_path = placed.path;
	placed.path = NULL;
	pl_placed_close(&placed);
	return 0;
}
