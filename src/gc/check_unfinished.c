/*
 * tx/ and trash/: that all names there are of our making. What is in them is unfinished, and nobody else's to judge.
 */
#include "gc/checking.h"

static bool is_in_tx(int fd, const struct pl_dirent *entry)
{
	return pl_is_random_name(entry->name) && pl_dirent_is(fd, entry, S_IFDIR);
}

static bool is_in_trash(int fd, const struct pl_dirent *entry)
{
	if (strcmp(entry->name, "collector") == 0 || strcmp(entry->name, "batch") == 0)
		return pl_dirent_is(fd, entry, S_IFREG);
	return is_in_tx(fd, entry);
}

static int check_directory(struct pl_checking *c, int fd, const char *path,
			   bool (*is_ours)(int fd, const struct pl_dirent *entry),
			   struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(fd, &listing);

	if (r < 0)
		r = pl_checking_cannot(c, r, "name", path, error);
	for (size_t i = 0; r >= 0 && i < listing.n; i++)
		if (!pl_checking_is_leftover(listing.entries[i].name) &&
		    !is_ours(fd, &listing.entries[i]))
			r = pl_checking_stray(c, path, listing.entries[i].name, error);
	pl_listing_done(&listing);
	return r;
}

int pl_check_unfinished(struct pl_checking *c, struct pleach_error *error)
{
	int r = 0;

	if (c->store->tx_fd >= 0) /* else they are not for this user to see */
		r = check_directory(c, c->store->tx_fd, ".pleach/tx", is_in_tx, error);
	if (r >= 0 && c->store->trash_fd >= 0)
		r = check_directory(c, c->store->trash_fd, ".pleach/trash", is_in_trash, error);
	return r;
}
