/*
 * What a serializable transaction has read: the paths that its programs opened, as the watch of the view noted
 * them (sys/init.c), each ended by NUL; "" is the root, and "\1" says that the watch lost some.
 *
 * S1  A path that was read and is another in the head is a conflict. So is a directory that was listed, if a name
 *     came into it or left it.
 * S2  Where the watch lost something, or had more to note than PL_READS_MAX, everything counts as read.
 * S3  What was looked for and not there, or only asked about with stat(2), is not noticed (docs/limits.md).
 * S4  A symlink is followed without being opened: one that has changed counts as read.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "tx/transaction.h"

#define NAME "reads"
#define LOST "\1"

struct reads {
	struct pl_map paths; /* by the hash of the path */
	bool has_lost;
};

int pl_reads_open(struct pl_tx *tx)
{
	return pl_open_or_create(tx->dir.fd, NAME, O_RDWR | O_APPEND, 0600);
}

static int add_path(struct reads *reads, const char *path)
{
	struct pl_id id;
	int r;

	if (strcmp(path, LOST) == 0)
		reads->has_lost = true; /* S2 */
	pl_hash_of(path, strlen(path), &id);
	r = pl_map_put(&reads->paths, &id, 1);
	return r < 0 ? r : 0;
}

static int load(struct pl_tx *tx, struct reads *reads)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(tx->dir.fd, NAME, PL_READS_MAX, &b);

	if (r == -ENOENT)
		return 0;
	if (r == -EFBIG)
		reads->has_lost = true; /* S2 */
	for (size_t at = 0; r >= 0 && at < b.length;) {
		const char *path = (const char *)b.data + at;
		size_t length = strnlen(path, b.length - at);

		if (at + length == b.length)
			break; /* not ended: it was being written when everything ended */
		r = add_path(reads, path);
		at += length + 1;
	}
	return r == -EFBIG ? 0 : r;
}

static bool has(const struct reads *reads, const char *path, size_t length)
{
	struct pl_id id;

	if (reads->has_lost)
		return true;
	pl_hash_of(path, length, &id);
	return pl_map_get(&reads->paths, &id) != NULL;
}

/* S1 */
static bool was_read(const struct reads *reads, const struct pl_difference *d)
{
	const char *slash = strrchr(d->path, '/');

	if (has(reads, d->path, strlen(d->path)))
		return true;
	if (d->before && d->before->kind == PLEACH_SYMLINK)
		return true; /* S4 */
	return (d->change == 'A' || d->change == 'D') && d->path[0] &&
	       has(reads, d->path, slash ? (size_t)(slash - d->path) : 0);
}

static const char *name_of_change(char change)
{
	switch (change) {
	case 'A':
		return "added";
	case 'D':
		return "removed";
	case 'T':
		return "type";
	case 'P':
		return "metadata";
	case 'L':
		return "links";
	default:
		return "modified";
	}
}

static int compare(struct pl_tx *tx, const struct reads *reads, struct pl_stage *stage,
		   const struct pl_id *base, const struct pl_id *head,
		   struct pl_conflicts *conflicts, struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(stage);
	struct pl_difference d;
	struct pl_diff *diff;
	int r = pl_diff_new(&nodes, base, head, tx->store->seed, &diff, error);

	if (r < 0)
		return r;
	while ((r = pl_diff_next(diff, &d, error)) > 0) {
		if (!was_read(reads, &d))
			continue;
		if (pl_conflicts_add(conflicts, d.path, name_of_change(d.change), "read") < 0) {
			r = pl_fail_memory(error);
			break;
		}
	}
	pl_diff_free(diff);
	return r < 0 ? r : 0;
}

int pl_reads_check(struct pl_tx *tx, struct pl_stage *stage, const struct pl_id *base,
		   const struct pl_id *head, struct pl_conflicts *conflicts,
		   struct pleach_error *error)
{
	struct reads reads = {0};
	int r;

	pl_map_init(&reads.paths, sizeof(struct pl_id), tx->store->seed);
	r = load(tx, &reads);
	if (r < 0)
		pl_fail_sys(error, r, "cannot read what transaction %s has read", tx->dir.id);
	else
		r = compare(tx, &reads, stage, base, head, conflicts, error);
	pl_map_done(&reads.paths);
	return r;
}
