/*
 * Where REV[:path] is placed: the tree pinned, its placing made where it is missing, and the absolute
 * path of what was asked for.
 *
 * P1  Between resolving a revision and pinning its tree the tree can be taken away (a generation that
 *     is dropped, a ref): then it is resolved again, which says so, or leads to another tree.
 * P2  A path in a placed tree is followed through directories alone, never through a symlink: what is
 *     handed out lies in the tree.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/inner.h"
#include "tx/tx.h"

#define TRIES 4

/* Who may not read nodes looks into the placed tree itself. (P2) */
static int must_be_there(const struct pl_placed *placed, struct pleach_error *error)
{
	const char *path = placed->rev.path;
	PL_CLOSE int fd = pl_placing_open(placed->pin.treedir_fd, placed->pin.k);
	struct stat st;
	int r = fd;

	if (!pl_path_is_valid(path))
		return pl_fail_usage(error, "'%s' is not a path within a tree", path);
	while (r >= 0) {
		char name[PL_NAME_MAX + 1];
		size_t length = strcspn(path, "/");
		int next;

		memcpy(name, path, length);
		name[length] = '\0';
		if (!path[length]) {
			r = pl_lstat(fd, name, &st);
			break;
		}
		next = pl_open(fd, name, O_PATH | O_DIRECTORY);
		if (next < 0) {
			r = next;
			break;
		}
		pl_closep(&fd);
		fd = next;
		path += length + 1;
	}
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return pl_fail_not_found(error, "%s is not in the tree", placed->rev.path);
	return r < 0 ? pl_fail_sys(error, r, "cannot look for '%s'", placed->rev.path) : 0;
}

static int look_up(struct pl_store *store, const struct pl_placed *placed,
		   struct pleach_error *error)
{
	struct pl_node_source nodes = pl_store_nodes(store);
	struct pl_found found;
	int r;

	if (!placed->rev.path || !placed->rev.path[0])
		return 0;
	if (store->nodes_fd < 0)
		return must_be_there(placed, error);
	r = pl_lookup(&nodes, &placed->rev.tree, placed->rev.path, &found, error);
	if (r >= 0)
		pl_found_done(&found);
	return r < 0 ? r : 0;
}

static char *make_path(const struct pl_store *store, const struct pl_placed *placed)
{
	const char *path = placed->rev.path;
	char hex[PL_ID_HEX + 1];
	PL_BUFFER b = {0};

	pl_buffer_add_string(&b, store->path);
	pl_buffer_add_format(&b, "/.pleach/trees/%s/%u/tree", pl_id_hex(&placed->rev.tree, hex),
			     placed->pin.k);
	if (path && path[0]) {
		pl_buffer_add_u8(&b, '/');
		pl_buffer_add_string(&b, path);
	}
	return pl_buffer_take_string(&b);
}

/* The tree placed and pinned. A holder is a help and needs room in the store: where what is asked for
 * is placed already, a store that is full or cannot be written answers all the same. */
static int place(struct pl_store *store, struct pl_placed *placed, bool hold,
		 struct pleach_error *error)
{
	const struct pl_rev *rev = &placed->rev;
	const struct pl_ref *own = rev->has_ref ? &rev->ref : NULL;
	int r;

	if (rev->has_ref && rev->generation == rev->head)
		hold = false; /* the head is placed, and its grace begins when it is replaced */
	r = pl_ensure_placed(store, &rev->tree, own, hold, &placed->pin, error);
	if (hold && (r == -ENOSPC || r == -EDQUOT || r == -EACCES || r == -EROFS)) {
		pl_error_clear(error);
		r = pl_ensure_placed(store, &rev->tree, own, false, &placed->pin, error);
	}
	return r;
}

static int open_once(struct pl_store *store, const char *spec, bool hold,
		     struct pl_placed *ret_placed, struct pleach_error *error)
{
	struct pl_placed placed = {.pin = PL_PIN_NONE};
	int r = pl_rev_resolve(store, spec, NULL, &placed.rev, error);

	if (r < 0)
		return r;
	/* What is not there need not be placed; others can look only when it is. */
	if (store->nodes_fd >= 0)
		r = look_up(store, &placed, error);
	if (r >= 0)
		r = place(store, &placed, hold, error);
	if (r >= 0 && store->nodes_fd < 0)
		r = look_up(store, &placed, error);
	if (r >= 0) {
		placed.path = make_path(store, &placed);
		r = placed.path ? 0 : pl_fail_memory(error);
	}
	placed.rev.path = NULL; /* it is the caller's */
	if (r < 0) {
		pl_placed_close(&placed);
		return r;
	}
	*ret_placed = placed;
	return 0;
}

int pl_placed_open(struct pl_store *store, const char *spec, bool hold,
		   struct pl_placed *ret_placed, struct pleach_error *error)
{
	int r = -EBADMSG;

	for (unsigned i = 0; i < TRIES && r == -EBADMSG; i++) { /* P1 */
		pl_error_clear(error);
		r = open_once(store, spec, hold, ret_placed, error);
	}
	/* The head is in use until it is replaced, which is later than now. */
	if (r >= 0 && ret_placed->rev.has_ref && ret_placed->rev.generation < ret_placed->rev.head)
		pl_use_note(&ret_placed->rev.ref, ret_placed->rev.generation);
	return r;
}

void pl_placed_close(struct pl_placed *placed)
{
	free(placed->path);
	placed->path = NULL;
	pl_pin_done(&placed->pin);
	pl_rev_done(&placed->rev);
}
