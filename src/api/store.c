/*
 * The library as such, and stores: version, making, opening, closing, cancelling, progress.
 */
#include <stdlib.h>

#include "api/inner.h"

#define STRING(x)	 #x
#define VERSION(a, b, c) STRING(a) "." STRING(b) "." STRING(c)

const char *pleach_version(void)
{
	return VERSION(PLEACH_VERSION_MAJOR, PLEACH_VERSION_MINOR, PLEACH_VERSION_PATCH);
}

void pleach_free(char *string)
{
	free(string);
}

int pleach_store_init(const char *dir, const struct pleach_init_options *options,
		      struct pleach_error *error)
{
	struct pleach_init_options o = PLEACH_INIT_OPTIONS_INIT;

	pl_assert(dir);
	PL_OPTIONS(o, options);
	return pl_store_init(dir, &o, error);
}

int pleach_store_open(const char *dir, struct pleach_store **ret_store, struct pleach_error *error)
{
	struct pleach_store *store = calloc(1, sizeof(*store));
	int r;

	pl_assert(ret_store);
	if (!store)
		return pl_fail_memory(error);
	r = pl_store_open(dir, &store->inner, error);
	if (r < 0) {
		free(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void pleach_store_close(struct pleach_store *store)
{
	if (!store)
		return;
	pl_store_close(store->inner);
	free(store);
}

const char *pleach_store_path(const struct pleach_store *store)
{
	return store->inner->path;
}

void pleach_store_cancel(struct pleach_store *store)
{
	__atomic_store_n(&store->inner->cancelled, 1, __ATOMIC_RELAXED);
}

void pleach_store_set_progress(struct pleach_store *store, pleach_progress_fn fn, void *userdata)
{
	store->inner->progress = fn;
	store->inner->progress_userdata = userdata;
}
