/*
 * Names in refs/ that are no ref: what somebody else has put there. A ref is made whole, in tx/, and goes
 * whole; so what has nothing of a ref never was one. It is passed over, and stays (G7) until `check --repair` sets
 * it aside.
 *
 * S1  What may have been a ref is one, damaged: else the users of its generations were found gone, and their trees
 *     collected. So what has any part of a ref, or is where a public path leads, is no stranger.
 * S2  What cannot be looked at is no stranger either.
 */
#include <stdio.h>

#include "ref/ref.h"

/* Does STORE/<name> lead there? */
static bool is_led_to(const struct pl_store *store, const char *name)
{
	char expected[PLEACH_REF_MAX + 40];
	PL_BUFFER target = {0};
	int r = pl_readlink(store->root_fd, name, &target);

	(void)snprintf(expected, sizeof(expected), ".pleach/refs/%s/public/tree", name);
	if (r >= 0)
		return strcmp(pl_buffer_string(&target), expected) == 0;
	return r != -ENOENT && r != -EINVAL; /* S2 */
}

static bool has_part(int fd)
{
	static const char *const parts[] = {"id",	"gen",	   "public", "shown",
					    "lock",	"config",  "tags",   "queue",
					    "attached", "dropped", "showing"};

	for (size_t i = 0; i < PL_ARRAY_LEN(parts); i++)
		if (pl_exists(fd, parts[i]) != 0)
			return true;
	return false;
}

bool pl_ref_is_stranger(const struct pl_store *store, const char *name)
{
	PL_CLOSE int fd = -EBADF;
	struct stat st;

	if (pl_lstat(store->refs_fd, name, &st) < 0)
		return false;
	if (S_ISDIR(st.st_mode)) {
		fd = pl_open_dir(store->refs_fd, name);
		if (fd < 0 || has_part(fd))
			return false;
	}
	return !is_led_to(store, name); /* S1 */
}
