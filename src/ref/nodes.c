/*
 * The store's nodes and group blocks, read from nodes/ and verified. What they mean is tree's.
 *
 * N1  Nothing is handed out that is not the bytes of its id.
 * N2  What was read is remembered for a while. Who asks whether a node is there asks for its name.
 */
#include "ref/ref.h"

/* Appends the file's bytes. -EBADMSG: not what a node can be; 0 or an error. */
static int read_bytes(int fd, struct pl_buffer *b)
{
	struct stat st;
	ssize_t n;
	void *to;
	int r = pl_fstat(fd, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > PL_NODE_SIZE_MAX)
		return -EBADMSG;
	to = pl_buffer_reserve(b, (size_t)st.st_size);
	if (!to)
		return -ENOMEM;
	n = pl_read_full(fd, to, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	if (n != st.st_size)
		return -EBADMSG;
	b->length += (size_t)n;
	return 0;
}

static int fail_node(const struct pl_store *store, const struct pl_id *id, int r,
		     struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];

	pl_id_hex(id, hex);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r == -ENOENT)
		return pl_fail_corrupt(error, "node %s is missing", hex);
	if (r == -EBADMSG || r == -ELOOP)
		return pl_fail_corrupt(error, "node %s is damaged", hex);
	return pl_fail_sys(error, r, "cannot read node %s in '%s'", hex, store->path);
}

static int read_node(void *self, const struct pl_id *id, struct pl_buffer *b,
		     struct pleach_error *error)
{
	struct pl_store *store = self;
	const size_t length_before = b->length;
	PL_CLOSE int fd = -EBADF;
	struct pl_id found;
	int r = pl_store_must_read(store, error);

	if (r < 0)
		return r;
	if (pl_node_memory_get(&store->memory, id, b)) /* N2 */
		return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
	fd = pl_store_find(store, 'n', id);
	r = fd < 0 ? fd : read_bytes(fd, b);
	if (r < 0)
		return fail_node(store, id, r, error);
	pl_hash_of(b->data + length_before, b->length - length_before, &found);
	if (!pl_id_equal(&found, id)) { /* N1 */
		pl_buffer_truncate(b, length_before);
		return fail_node(store, id, -EBADMSG, error);
	}
	pl_node_memory_put(&store->memory, id, b->data + length_before, b->length - length_before);
	return 0;
}

struct pl_node_source pl_store_nodes(struct pl_store *store)
{
	return (struct pl_node_source){.read = read_node, .self = store};
}
