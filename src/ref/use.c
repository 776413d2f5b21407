/*
 * When a generation was used last: the mtime of cache/used/<ref id>.<n>. It tells max-size what to give up
 * first, and nothing else relies on it: a note that is lost makes a generation look older.
 *
 * What counts as a use: `path`, `pin` (its beginning and its end), `checkout`. A transaction works on what was
 * the head when it began, so when that was replaced says enough.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

#define OFTEN_S 3600

static void name_of(const struct pl_ref *ref, uint64_t n, char ret_name[64])
{
	snprintf(ret_name, 64, "used/%s.%llu", ref->id, (unsigned long long)n);
}

void pl_use_note(struct pl_ref *ref, uint64_t n)
{
	struct pl_store *store = ref->store;
	struct timespec now;
	struct stat st;
	char name[64];
	int r;

	if (store->settings.max_size == UINT64_MAX || store->cache_fd < 0 || !store->is_owner ||
	    !store->is_writable)
		return;
	name_of(ref, n, name);
	pl_clock_coarse(&now);
	r = pl_lstat(store->cache_fd, name, &st);
	if (r >= 0 && st.st_mtim.tv_sec <= now.tv_sec && now.tv_sec - st.st_mtim.tv_sec < OFTEN_S)
		return;
	if (r >= 0) {
		(void)pl_utimens_at(store->cache_fd, name, now.tv_sec, (uint32_t)now.tv_nsec);
		return;
	}
	if (r != -ENOENT)
		return;
	r = pl_write_file(store->cache_fd, name, 0600, "", 0, false);
	if (r == -ENOENT && pl_mkdir(store->cache_fd, "used", 0700) >= 0)
		(void)pl_write_file(store->cache_fd, name, 0600, "", 0, false);
}

int pl_use_time(struct pl_ref *ref, uint64_t n, struct timespec *ret_when)
{
	struct stat st;
	char name[64];
	int r = -ENOENT;

	name_of(ref, n, name);
	if (ref->store->cache_fd >= 0)
		r = pl_lstat(ref->store->cache_fd, name, &st);
	if (r < 0)
		return 0;
	*ret_when = st.st_mtim;
	return 1;
}

void pl_use_forget(struct pl_ref *ref, uint64_t n)
{
	char name[64];

	name_of(ref, n, name);
	if (ref->store->cache_fd >= 0 && pl_exists(ref->store->cache_fd, name) > 0)
		(void)pl_unlink(ref->store->cache_fd, name);
}
