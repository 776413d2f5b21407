/*
 * Can an overlay be mounted here?
 *
 * M1  It is found out by mounting one, and remembered in the store's cache/, since that takes longer than
 *     all else of making a workspace: for this boot, these namespaces, this user, device and options.
 * M2  That it cannot be is not remembered: somebody may be just mending it.
 */
#include <fcntl.h>

#include "tx/workspace_mountable.h"

#define PROBE  "probe"
#define MEMORY "memory"

/* Mounted once, out of sight. */
static int probe(struct pl_workspace *ws, bool as_user, const char *options, const char **ret_why)
{
	PL_CLOSE int scratch = -EBADF;
	int r = pl_mkdir(ws->fd, PROBE, 0700);

	if (r >= 0)
		r = scratch = pl_open_dir(ws->fd, PROBE);
	if (r >= 0)
		r = pl_overlay_probe(ws->lower_fd, scratch, as_user, options, ret_why);
	(void)pl_erase(ws->fd, PROBE, NULL);
	return r;
}

/* ---- what is remembered ---- */

static const char *memory_name(bool as_user)
{
	return as_user ? "mounts-user-overlay" : "mounts-overlay";
}

/* All that the answer depends on. Empty: it cannot be told, and nothing is remembered. */
static void add_circumstances(const struct pl_workspace *ws, const char *options,
			      struct pl_buffer *b)
{
	static const char *const namespaces[] = {"/proc/self/ns/mnt", "/proc/self/ns/user"};
	struct stat st = {0};
	int r = pl_fstat(ws->fd, &st);

	if (r >= 0)
		r = pl_boot_id(b);
	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(namespaces); i++) {
		r = pl_readlink(AT_FDCWD, namespaces[i], b);
		pl_buffer_add_string(b, "\n");
	}
	pl_buffer_add_format(b, "%u %u %llx\n%s", pl_uid(), pl_gid(), (unsigned long long)st.st_dev,
			     options);
	if (r < 0)
		pl_buffer_truncate(b, 0);
}

static bool is_remembered(const struct pl_workspace *ws, bool as_user,
			  const struct pl_buffer *circumstances)
{
	PL_BUFFER found = {0};

	return circumstances->length > 0 && pl_buffer_ok(circumstances) &&
	       pl_read_file(ws->store->cache_fd, memory_name(as_user), 4096, &found) >= 0 &&
	       found.length == circumstances->length &&
	       memcmp(found.data, circumstances->data, found.length) == 0;
}

/* Best effort: it is only a help. */
static void remember(const struct pl_workspace *ws, bool as_user,
		     const struct pl_buffer *circumstances)
{
	if (circumstances->length == 0 || !pl_buffer_ok(circumstances) ||
	    pl_write_file(ws->fd, MEMORY, 0600, circumstances->data, circumstances->length, false) <
		    0)
		return;
	if (pl_rename(ws->fd, MEMORY, ws->store->cache_fd, memory_name(as_user)) < 0)
		(void)pl_unlink(ws->fd, MEMORY);
}

int pl_mountable_forget(struct pl_workspace *ws, bool as_user)
{
	int r = pl_unlink(ws->store->cache_fd, memory_name(as_user));

	return r == -ENOENT ? 0 : r;
}

int pl_mountable(struct pl_workspace *ws, bool as_user, const char *options, const char **ret_why)
{
	PL_BUFFER circumstances = {0};
	/* Always asked: it is quick, and a sysctl may change at any time. */
	int r = as_user ? pl_user_namespace_probe(ret_why) : 1;

	if (r != 1)
		return r;
	add_circumstances(ws, options, &circumstances);
	if (is_remembered(ws, as_user, &circumstances))
		return 1;
	r = probe(ws, as_user, options, ret_why);
	if (r == 1)
		remember(ws, as_user, &circumstances);
	return r;
}
