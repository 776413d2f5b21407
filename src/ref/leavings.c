/*
 * What killed processes have left in cache/: files that have a random name for a moment, until they get their own or
 * go. Nobody needs one to be there: who has it in work copes with its loss, by its hint being as old as before.
 */
#include "ref/ref.h"

#define PROBE ".pleach-" /* sys/fs.c */

static bool is_left(const char *name)
{
	if (strncmp(name, PROBE, strlen(PROBE)) == 0)
		name += strlen(PROBE);
	return pl_is_random_name(name);
}

void pl_leavings_remove(struct pl_store *store)
{
	struct pl_listing listing = {0};

	if (store->cache_fd < 0 || pl_list(store->cache_fd, &listing) < 0)
		return;
	for (size_t i = 0; i < listing.n; i++)
		if (is_left(listing.entries[i].name))
			(void)pl_unlink(store->cache_fd, listing.entries[i].name);
	pl_listing_done(&listing);
}
