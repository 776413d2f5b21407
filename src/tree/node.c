/*
 * Nodes that were read: their decoding, and the proof that every byte of them follows docs/format.md,
 * "Nodes". Building them is in build.c. Nothing of a tree is kept here but the one node.
 *
 * N1  A pl_node that was handed out has been decoded from end to end without a flaw, and its bytes do
 *     not change: decoding an entry of it again cannot fail.
 * N2  No number from the bytes is used for an allocation, and none for an offset before it was
 *     compared with the bytes that are left. The decoder allocates nothing.
 * N3  Of one directory there is one encoding: order, counts and absence of trailing bytes are rules.
 */
#include "tree/inner.h"

/* kind, name_length, a name of one byte, and metadata without xattrs: a FIFO. */
#define ENTRY_SIZE_MIN 29

bool pl_entry_equal(const struct pl_entry *a, const struct pl_entry *b)
{
	pl_assert(a->body && b->body);
	return a->kind == b->kind && a->body_length == b->body_length &&
	       memcmp(a->body, b->body, a->body_length) == 0;
}

bool pl_entry_content_equal(const struct pl_entry *a, const struct pl_entry *b)
{
	pl_assert(a->kind == b->kind && a->kind != PLEACH_DIR);
	switch (a->kind) {
	case PLEACH_FILE:
		return a->size == b->size && pl_id_equal(&a->hash, &b->hash);
	case PLEACH_SYMLINK:
		return a->target_length == b->target_length &&
		       memcmp(a->target, b->target, a->target_length) == 0;
	case PLEACH_CHAR:
	case PLEACH_BLOCK:
		return a->major == b->major && a->minor == b->minor;
	default: /* FIFOs and sockets have none */
		return true;
	}
}

void pl_entry_name(const struct pl_entry *e, char ret_name[PL_NAME_MAX + 1])
{
	pl_assert(e->name_length > 0);
	memcpy(ret_name, e->name, e->name_length);
	ret_name[e->name_length] = '\0';
}

void pl_entry_object(const struct pl_entry *e, struct pl_id *ret_id)
{
	pl_assert(e->kind == PLEACH_FILE);
	pl_object_id(&e->meta, e->size, &e->hash, ret_id);
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int r = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return r != 0 ? r : (a_length > b_length) - (a_length < b_length);
}

int pl_entry_compare(const struct pl_entry *a, const struct pl_entry *b)
{
	return compare_names(a->name, a->name_length, b->name, b->name_length);
}

/* ---- entries ---- */

/* Each decode_...() returns what is wrong (a static text), or NULL. A short read is found by the last
 * of them, since the reader remembers it and yields zeros meanwhile. */

static const char *decode_target(struct pl_reader *r, struct pl_entry *e)
{
	const unsigned char *target;

	e->target_length = pl_read_u16(r);
	target = pl_read_bytes(r, e->target_length);
	if (!target)
		return "cut short";
	if (e->target_length == 0 || e->target_length > PL_TARGET_MAX)
		return "a target of no valid length";
	if (memchr(target, '\0', e->target_length))
		return "a NUL in a target";
	if (e->meta.mode != 0777)
		return "a symbolic link with another mode than 0777";
	e->target = (const char *)target;
	return NULL;
}

static const char *decode_hash(struct pl_reader *r, struct pl_entry *e)
{
	const unsigned char *hash = pl_read_bytes(r, sizeof(e->hash.bytes));

	if (!hash)
		return "cut short";
	memcpy(e->hash.bytes, hash, sizeof(e->hash.bytes));
	return NULL;
}

static const char *decode_directory(struct pl_reader *r, struct pl_entry *e)
{
	const char *flaw = decode_hash(r, e);

	if (flaw)
		return flaw;
	e->totals.entries = pl_read_u64(r);
	e->totals.files = pl_read_u64(r);
	e->totals.bytes = pl_read_u64(r);
	e->totals.groups = pl_read_u64(r);
	e->totals.depth = pl_read_u32(r);
	e->totals.xattrs = pl_read_u32(r);
	e->totals.oddities = pl_read_u32(r);
	if (r->short_read)
		return "cut short";
	if (e->totals.depth >= PL_DEPTH_MAX)
		return "too deep"; /* the directory is itself a level of the one it is in */
	return pl_totals_flaw(&e->totals);
}

static const char *decode_body(struct pl_reader *r, struct pl_entry *e)
{
	if (e->kind == PLEACH_DIR)
		return decode_directory(r, e);
	if (pl_meta_decode(r, &e->meta) < 0)
		return "metadata that breaks a rule";
	pl_assert(e->meta.mode <= 07777 && e->meta.xattrs_length <= PL_XATTRS_MAX);
	switch (e->kind) {
	case PLEACH_FILE:
		e->size = pl_read_u64(r);
		return decode_hash(r, e);
	case PLEACH_SYMLINK:
		return decode_target(r, e);
	case PLEACH_CHAR:
	case PLEACH_BLOCK:
		e->major = pl_read_u32(r);
		e->minor = pl_read_u32(r);
		return NULL;
	case PLEACH_FIFO:
	case PLEACH_SOCKET:
		return NULL;
	default:
		return "an unknown kind";
	}
}

static const char *decode_entry(struct pl_reader *r, struct pl_entry *e)
{
	const unsigned char *name;
	const char *flaw;

	*e = (struct pl_entry){.kind = (char)pl_read_u8(r), .name_length = pl_read_u8(r)};
	name = pl_read_bytes(r, e->name_length);
	if (!name)
		return "cut short";
	e->name = (const char *)name;
	if (!pl_name_is_valid(e->name, e->name_length))
		return "no valid name";
	e->body = r->data + r->offset;
	flaw = decode_body(r, e);
	if (flaw)
		return flaw;
	if (r->short_read)
		return "cut short";
	e->body_length = (uint32_t)(r->data + r->offset - e->body);
	pl_assert(e->body_length >= ENTRY_SIZE_MIN - 3);
	return NULL;
}

int pl_entry_decode(struct pl_reader *r, struct pl_entry *ret_entry)
{
	return decode_entry(r, ret_entry) ? -EBADMSG : 0;
}

/* ---- nodes ---- */

/* Everything before the first entry. */
static const char *decode_head(struct pl_reader *r, struct pl_node *node)
{
	const unsigned char *magic = pl_read_bytes(r, PL_MAGIC_LENGTH(PL_NODE_MAGIC));

	if (!magic || memcmp(magic, PL_NODE_MAGIC, PL_MAGIC_LENGTH(PL_NODE_MAGIC)) != 0)
		return "not a node";
	if (pl_meta_decode(r, &node->meta) < 0)
		return "metadata that breaks a rule";
	node->n_blocks = pl_read_u32(r);
	if (node->n_blocks > (r->length - r->offset) / sizeof(struct pl_id)) /* N2 */
		return "more blocks than it has room for";
	node->blocks = pl_read_bytes(r, node->n_blocks * sizeof(struct pl_id));
	node->n_entries = pl_read_u32(r);
	if (r->short_read)
		return "cut short";
	if (node->n_entries > PL_NODE_ENTRIES_MAX ||
	    node->n_entries > (r->length - r->offset) / ENTRY_SIZE_MIN) /* N2 */
		return "more entries than it may have or has room for";
	node->first_entry = r->offset;
	return NULL;
}

static int validate_entries(struct pl_reader *r, const struct pl_node *node,
			    struct pleach_error *error)
{
	struct pl_entry entries[2]; /* in turn, this one and the one before */
	char hex[PL_ID_HEX + 1];

	for (uint32_t i = 0; i < node->n_entries; i++) {
		const char *flaw = decode_entry(r, &entries[i % 2]);

		if (!flaw && i > 0 && pl_entry_compare(&entries[(i - 1) % 2], &entries[i % 2]) >= 0)
			flaw = "out of order";
		if (flaw)
			return pl_fail_corrupt(error, "node %s: entry %u: %s",
					       pl_id_hex(&node->id, hex), i, flaw);
	}
	if (r->offset != r->length)
		return pl_fail_corrupt(error, "node %s: bytes behind the last entry",
				       pl_id_hex(&node->id, hex));
	return 0;
}

static int decode_node(struct pl_node *node, struct pleach_error *error)
{
	struct pl_reader r = pl_reader_of(node->bytes.data, node->bytes.length);
	char hex[PL_ID_HEX + 1];
	const char *flaw;

	if (node->bytes.length == 0 || node->bytes.length > PL_NODE_SIZE_MAX)
		flaw = "no valid length";
	else
		flaw = decode_head(&r, node);
	if (flaw)
		return pl_fail_corrupt(error, "node %s: %s", pl_id_hex(&node->id, hex), flaw);
	return validate_entries(&r, node, error);
}

int pl_node_read(const struct pl_node_source *source, const struct pl_id *id,
		 struct pl_node *ret_node, struct pleach_error *error)
{
	struct pl_node node = {.id = *id};
	int r = source->read(source->self, id, &node.bytes, error);

	if (r >= 0 && !pl_buffer_ok(&node.bytes))
		r = pl_fail_memory(error);
	if (r >= 0)
		r = decode_node(&node, error);
	if (r < 0) {
		pl_node_done(&node);
		return r;
	}
	pl_assert(node.first_entry > 0 && node.first_entry <= node.bytes.length);
	*ret_node = node;
	return 0;
}

void pl_node_done(struct pl_node *node)
{
	pl_buffer_done(&node->bytes);
	*node = (struct pl_node){0};
}

int pl_node_next(const struct pl_node *node, size_t *cursor, struct pl_entry *ret_entry)
{
	struct pl_reader r = pl_reader_of(node->bytes.data, node->bytes.length);
	const char *flaw;

	pl_assert(node->first_entry > 0); /* N1: it was read */
	r.offset = *cursor > 0 ? *cursor : node->first_entry;
	pl_assert(r.offset >= node->first_entry && r.offset <= r.length);
	if (r.offset == r.length)
		return 0;
	flaw = decode_entry(&r, ret_entry);
	pl_assert(!flaw); /* N1 */
	*cursor = r.offset;
	return 1;
}

int pl_node_find(const struct pl_node *node, const char *name, size_t name_length,
		 struct pl_entry *ret_entry)
{
	struct pl_entry entry;
	size_t cursor = 0;

	while (pl_node_next(node, &cursor, &entry) > 0) {
		int r = compare_names(entry.name, entry.name_length, name, name_length);

		if (r == 0)
			*ret_entry = entry;
		if (r >= 0)
			return r == 0; /* sorted: it would have stood here */
	}
	return 0;
}

/* ---- sums ---- */

int pl_node_totals_with(const struct pl_node *node, uint64_t n_groups, struct pl_totals *ret_totals,
			struct pleach_error *error)
{
	struct pl_totals totals = {0};
	char hex[PL_ID_HEX + 1];
	struct pl_entry entry;
	const char *flaw;
	size_t cursor = 0;
	int r = 0;

	while (r >= 0 && pl_node_next(node, &cursor, &entry) > 0)
		r = pl_totals_add(&totals, &entry);
	if (r >= 0)
		r = pl_totals_add_groups(&totals, n_groups);
	pl_totals_add_meta(&totals, &node->meta);
	flaw = r < 0 ? "a sum that is too large" : pl_totals_flaw(&totals);
	if (flaw)
		return pl_fail_corrupt(error, "node %s: totals: %s", pl_id_hex(&node->id, hex),
				       flaw);
	pl_assert(totals.entries >= node->n_entries && totals.groups >= n_groups);
	*ret_totals = totals;
	return 0;
}

int pl_node_totals(const struct pl_node_source *source, const struct pl_node *node,
		   struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_groups groups = {0};
	size_t n_groups;
	int r;

	if (node->n_blocks > 0) {
		r = pl_groups_read(source, node, &groups, error);
		if (r < 0)
			return r;
	}
	n_groups = groups.n;
	pl_groups_done(&groups);
	pl_assert(n_groups >= node->n_blocks); /* a block has one at least */
	return pl_node_totals_with(node, n_groups, ret_totals, error);
}

int pl_tree_totals(const struct pl_node_source *source, const struct pl_id *tree,
		   struct pl_totals *ret_totals, struct pleach_error *error)
{
	struct pl_node root;
	int r = pl_node_read(source, tree, &root, error);

	if (r < 0)
		return r;
	r = pl_node_totals(source, &root, ret_totals, error);
	pl_node_done(&root);
	return r;
}

int pl_node_compare_totals(const struct pl_node *child, const struct pl_totals *yielded,
			   const struct pl_totals *claimed, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];

	if (pl_totals_equal(yielded, claimed))
		return 0;
	return pl_fail_corrupt(error, "node %s: its totals are not those its parent says",
			       pl_id_hex(&child->id, hex));
}

int pl_node_check_totals(const struct pl_node_source *source, const struct pl_node *child,
			 const struct pl_totals *claimed, struct pleach_error *error)
{
	struct pl_totals totals;
	int r = pl_node_totals(source, child, &totals, error);

	return r < 0 ? r : pl_node_compare_totals(child, &totals, claimed, error);
}
