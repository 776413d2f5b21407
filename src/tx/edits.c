/*
 * Edits without a workspace: what is to become of each path is kept in memory (edits_tree.c), the contents of new
 * files in tx/<id>/e/, named like objects, with their metadata. Only a commit writes nodes.
 *
 * M1  A file of e/ is complete, metadata and all, before an entry names it, and is never written to again: other
 *     metadata make another file. So a commit gives it its name as an object, and may do so again.
 * M2  Names of one inode have one entry: what changes it goes through all of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "tx/edits.h"

struct pl_tx_edits {
	struct pl_tx *tx;
	int fd; /* tx/<id>/e */
	struct pl_edit_tree tree;
	uint64_t serial;
};

/* ---- beginning and end ---- */

int pl_tx_edits_new(struct pl_tx *tx, struct pl_tx_edits **ret_edits, struct pleach_error *error)
{
	struct pl_tx_edits *edits = calloc(1, sizeof(*edits));
	struct pl_node_source nodes = pl_store_nodes(tx->store);
	int r;

	if (!edits)
		return pl_fail_memory(error);
	edits->tx = tx;
	r = pl_mkdir(tx->dir.fd, "e", 0700);
	if (r >= 0)
		r = edits->fd = pl_open_dir(tx->dir.fd, "e");
	if (r < 0) {
		free(edits);
		return pl_fail_sys(error, r, "cannot make a directory in the store");
	}
	r = pl_edit_tree_init(&edits->tree, &nodes, &tx->note.base_tree, tx->store->seed, error);
	if (r < 0) {
		pl_closep(&edits->fd);
		free(edits);
		return r;
	}
	*ret_edits = edits;
	return 0;
}

void pl_tx_edits_free(struct pl_tx_edits *edits)
{
	if (!edits)
		return;
	pl_edit_tree_done(&edits->tree);
	pl_closep(&edits->fd);
	free(edits);
}

/* ---- contents ---- */

static const char *content_name(const struct pl_entry *entry, char hex[PL_ID_HEX + 1])
{
	struct pl_id object;

	pl_entry_object(entry, &object);
	return pl_id_hex(&object, hex);
}

/* The file `name` of e/ is the content of the entry: it gets the metadata, and its name. (M1) */
static int keep_content(struct pl_tx_edits *edits, const char *name, int fd,
			const struct pl_entry *entry, const char *path, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	const char *why = NULL;
	int r = pl_meta_may_restore(&entry->meta, entry->kind, &why);

	if (r >= 0 && entry->size > 0)
		r = pl_meta_restore(fd, &entry->meta, PLEACH_FILE, &why);
	if (r >= 0 && entry->size > 0)
		r = pl_rename(edits->fd, name, edits->fd, content_name(entry, hex));
	else
		(void)pl_unlink(edits->fd, name);
	if (r == -EPERM && why) {
		pl_fail(error, PLEACH_FAILED, r, "'%s' could not be restored exactly: %s", path,
			why);
		pl_error_path(error, path);
		return r;
	}
	return r < 0 ? pl_edit_fail(r, "keep", path, error) : 0;
}

static void new_name(struct pl_tx_edits *edits, char ret_name[32])
{
	snprintf(ret_name, 32, "new%llu", (unsigned long long)edits->serial++);
}

static int copy_call(const struct pl_edit_call *call, int to, struct pl_hash *hash,
		     uint64_t *ret_size)
{
	PL_BUFFER b = {0};
	unsigned char *room;
	int r;

	if (call->content_fd < 0) {
		*ret_size = call->length;
		pl_hash_add(hash, call->data, call->length);
		return pl_write_full(to, call->data, call->length);
	}
	room = pl_buffer_reserve(&b, 128u << 10);
	if (!room)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pl_read_full(call->content_fd, room, 128u << 10);

		if (n <= 0)
			return (int)n;
		pl_hash_add(hash, room, (size_t)n);
		r = pl_write_full(to, room, (size_t)n);
		if (r < 0)
			return r;
		*ret_size += (uint64_t)n;
	}
}

/* Takes in the content of a call, for an entry whose metadata is complete. */
static int take_content(struct pl_tx_edits *edits, const struct pl_edit_call *call,
			struct pl_entry *entry, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	struct pl_hash *hash = NULL;
	char name[32];
	int r;

	new_name(edits, name);
	fd = pl_create(edits->fd, name, 0600);
	r = fd < 0 ? fd : pl_hash_new(&hash);
	if (r >= 0)
		r = copy_call(call, fd, hash, &entry->size);
	if (r >= 0)
		pl_hash_end(hash, &entry->hash);
	pl_hash_free(hash);
	if (r < 0) {
		if (fd >= 0)
			(void)pl_unlink(edits->fd, name);
		return pl_edit_fail(r, "take in", call->path, error);
	}
	return keep_content(edits, name, fd, entry, call->path, error);
}

/* The content of `old` again, with the metadata of `entry`. */
static int copy_content(struct pl_tx_edits *edits, const struct pl_entry *old,
			const struct pl_entry *entry, const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = -EBADF;
	char name[32];
	int r;

	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	new_name(edits, name);
	r = pl_object_copy(edits->tx->store, edits->fd, old, false, edits->fd, name, &fd, error);
	return r < 0 ? r : keep_content(edits, name, fd, entry, path, error);
}

/* ---- nodes and entries ---- */

static int decode(const struct pl_edit_node *node, struct pl_entry *ret_entry)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	int r = pl_entry_decode(&reader, ret_entry);

	pl_assert(r == 0); /* it was encoded here */
	return r;
}

static void decode_dir(const struct pl_edit_node *node, struct pl_meta *ret_meta)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	int r = pl_meta_decode(&reader, ret_meta);

	pl_assert(r == 0);
}

static int set_entry(struct pl_edit_node *node, const struct pl_entry *entry,
		     struct pleach_error *error)
{
	struct pl_entry named = *entry;
	struct pl_buffer b = {0};

	named.name = node->name;
	named.name_length = (uint8_t)strlen(node->name);
	pl_entry_encode(&named, &b);
	if (!pl_buffer_ok(&b)) {
		pl_buffer_done(&b);
		return pl_fail_memory(error);
	}
	pl_buffer_done(&node->entry);
	node->entry = b;
	node->kind = entry->kind;
	return 0;
}

static int find(struct pl_tx *tx, const char *path, const char *what,
		struct pl_edit_node **ret_node, struct pleach_error *error)
{
	int r = pl_edit_tree_find(&tx->edits->tree, path, ret_node, error);

	if (r == -ENOENT || r == -ENOTDIR)
		return pl_edit_fail(r, what, path, error);
	return r;
}

/* The name that shall get something new: its parent must be a directory. */
static int find_parent_of(struct pl_tx *tx, const char *path, const char *what,
			  struct pl_edit_node **ret_node, struct pleach_error *error)
{
	struct pl_edit_node *node;
	int r = find(tx, path, what, &node, error);

	if (r < 0)
		return r;
	if (node->parent && node->parent->kind != PLEACH_DIR)
		return pl_edit_fail(node->parent->kind == 0 ? -ENOENT : -ENOTDIR, what, path,
				    error);
	*ret_node = node;
	return 0;
}

static int new_meta(struct pl_tx *tx, char kind, const struct pl_edit_call *call,
		    struct pl_meta *ret_meta, struct pl_buffer *room, struct pleach_error *error)
{
	const char *why = NULL;
	int r = 0;

	pl_edit_default(ret_meta, kind);
	if (call->metadata)
		r = pl_edit_change_meta(ret_meta, call->metadata, room);
	if (r < 0)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	pl_meta_reduce(ret_meta, kind, tx->ref.settings.metadata);
	if (pl_meta_may_restore(ret_meta, kind, &why) < 0) {
		pl_fail(error, PLEACH_FAILED, -EPERM, "'%s' could not be restored exactly: %s",
			call->path, why);
		pl_error_path(error, call->path);
		return -EPERM;
	}
	return 0;
}

/* ---- the edits ---- */

static int put(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	struct pl_entry entry = {.kind = PLEACH_FILE};
	struct pl_edit_node *node;
	PL_BUFFER room = {0};
	int r = find_parent_of(tx, call->path, "write", &node, error);

	if (r >= 0 && node->kind == PLEACH_DIR)
		r = pl_edit_fail(-EISDIR, "write", call->path, error);
	if (r >= 0)
		r = new_meta(tx, PLEACH_FILE, call, &entry.meta, &room, error);
	if (r >= 0)
		r = take_content(tx->edits, call, &entry, error);
	if (r < 0)
		return r;
	pl_edit_tree_clear(&tx->edits->tree, node);
	return set_entry(node, &entry, error);
}

static int make_symlink(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	struct pl_entry entry = {.kind = PLEACH_SYMLINK, .target = call->other};
	size_t length = strlen(call->other);
	struct pl_edit_node *node;
	PL_BUFFER room = {0};
	int r = find_parent_of(tx, call->path, "make", &node, error);

	if (r >= 0 && (length == 0 || length > PL_TARGET_MAX))
		r = pl_edit_fail(length ? -ENAMETOOLONG : -ENOENT, "make", call->path, error);
	if (r >= 0 && node->kind == PLEACH_DIR)
		r = pl_edit_fail(-EISDIR, "make", call->path, error);
	if (r >= 0)
		r = new_meta(tx, PLEACH_SYMLINK, call, &entry.meta, &room, error);
	if (r < 0)
		return r;
	entry.target_length = (uint16_t)length;
	pl_edit_tree_clear(&tx->edits->tree, node);
	return set_entry(node, &entry, error);
}

static int make_directory(struct pl_tx *tx, const struct pl_edit_call *call,
			  struct pleach_error *error)
{
	struct pl_edit_node *node;
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r = find_parent_of(tx, call->path, "make", &node, error);

	if (r >= 0 && node->kind != 0)
		r = pl_edit_fail(-EEXIST, "make", call->path, error);
	if (r >= 0)
		r = new_meta(tx, PLEACH_DIR, call, &meta, &room, error);
	if (r < 0)
		return r;
	pl_edit_tree_clear(&tx->edits->tree, node);
	node->kind = PLEACH_DIR;
	pl_meta_encode(&meta, &node->entry);
	return pl_buffer_ok(&node->entry) ? 0 : pl_fail_memory(error);
}

/* M2: from now on they are one by their link, whatever the base says. */
static int join(struct pl_tx *tx, struct pl_edit_node *node, struct pleach_error *error)
{
	struct pl_edit_node **nodes;
	size_t n;
	int r;

	if (node->link != 0)
		return 0;
	r = pl_edit_tree_group(&tx->edits->tree, node, &nodes, &n, error);
	if (r < 0)
		return r;
	tx->edits->tree.next_link++;
	for (size_t i = 0; i < n; i++)
		nodes[i]->link = tx->edits->tree.next_link;
	free(nodes);
	pl_assert(node->link != 0);
	return 0;
}

static int make_link(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	struct pl_edit_node *old, *node;
	struct pl_entry entry;
	int r = find(tx, call->path, "link", &old, error);

	if (r >= 0 && (old->kind == 0 || old->kind == PLEACH_DIR))
		r = pl_edit_fail(old->kind == 0 ? -ENOENT : -EPERM, "link", call->path, error);
	if (r >= 0)
		r = find_parent_of(tx, call->other, "link", &node, error);
	if (r >= 0 && node->kind != 0)
		r = pl_edit_fail(-EEXIST, "link", call->other, error);
	if (r >= 0)
		r = join(tx, old, error);
	if (r < 0)
		return r;
	decode(old, &entry);
	pl_edit_tree_clear(&tx->edits->tree, node);
	r = set_entry(node, &entry, error);
	if (r >= 0)
		node->link = old->link;
	return r;
}

static int remove_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct pl_edit_node *node;
	int r = find(tx, call->path, "remove", &node, error);

	if (r >= 0 && node->kind == 0)
		r = pl_edit_fail(-ENOENT, "remove", call->path, error);
	if (r >= 0)
		pl_edit_tree_clear(&tx->edits->tree, node);
	return r;
}

/* May `from` be renamed over `to`? As rename(2) has it. */
static int check_rename(struct pl_tx *tx, struct pl_edit_node *from, struct pl_edit_node *to,
			struct pleach_error *error)
{
	int r;

	if (from->kind == 0)
		return -ENOENT;
	for (struct pl_edit_node *above = to->parent; above; above = above->parent)
		if (above == from)
			return -EINVAL;
	if (to->kind == 0)
		return 0;
	if (from->kind != PLEACH_DIR)
		return to->kind == PLEACH_DIR ? -EISDIR : 0;
	if (to->kind != PLEACH_DIR)
		return -ENOTDIR;
	r = pl_edit_tree_is_empty(&tx->edits->tree, to, error);
	return r == 0 ? -ENOTEMPTY : r < 0 ? r : 0;
}

static int rename_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct pl_edit_node *from, *to;
	struct pl_entry entry;
	int r = find(tx, call->path, "rename", &from, error);

	if (r >= 0)
		r = find_parent_of(tx, call->other, "rename to", &to, error);
	if (r < 0 || from == to)
		return r;
	r = check_rename(tx, from, to, error);
	if (r < 0)
		return pl_edit_fail(r, "rename", call->path, error);
	/* As in the kernel: two names of one inode stay. */
	if (from->kind != PLEACH_DIR && from->link != 0 && from->link == to->link)
		return 0;
	if (from->kind != PLEACH_DIR) {
		r = join(tx, from, error);
		if (r >= 0 && to->kind != 0 && to->link == from->link)
			return 0;
	}
	if (r >= 0 && pl_edit_tree_move(&tx->edits->tree, from, to) < 0)
		r = pl_fail_memory(error);
	if (r < 0 || to->kind == PLEACH_DIR)
		return r;
	decode(to, &entry); /* which holds its old name */
	return set_entry(to, &entry, error);
}

static int set_directory(struct pl_tx *tx, struct pl_edit_node *node,
			 const struct pl_edit_call *call, struct pleach_error *error)
{
	struct pl_buffer b = {0};
	struct pl_meta meta;
	PL_BUFFER room = {0};
	int r;

	decode_dir(node, &meta);
	r = pl_edit_change_meta(&meta, call->metadata, &room);
	if (r < 0)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	pl_meta_reduce(&meta, PLEACH_DIR, tx->ref.settings.metadata);
	pl_meta_encode(&meta, &b);
	if (!pl_buffer_ok(&b)) {
		pl_buffer_done(&b);
		return pl_fail_memory(error);
	}
	pl_buffer_done(&node->entry);
	node->entry = b;
	node->is_changed = true;
	return 0;
}

static int set_others(struct pl_tx *tx, struct pl_edit_node *node, const struct pl_edit_call *call,
		      struct pleach_error *error)
{
	struct pl_edit_node **nodes;
	struct pl_entry old, entry;
	PL_BUFFER room = {0};
	size_t n;
	int r = join(tx, node, error); /* M2 */

	if (r < 0)
		return r;
	decode(node, &old);
	entry = old;
	r = pl_edit_change_meta(&entry.meta, call->metadata, &room);
	if (r < 0)
		return pl_edit_fail(r, "set the metadata of", call->path, error);
	if (entry.kind == PLEACH_SYMLINK)
		entry.meta.mode = old.meta.mode; /* symlinks have none of their own */
	pl_meta_reduce(&entry.meta, entry.kind, tx->ref.settings.metadata);
	r = copy_content(tx->edits, &old, &entry, call->path, error);
	if (r >= 0)
		r = pl_edit_tree_group(&tx->edits->tree, node, &nodes, &n, error);
	if (r < 0)
		return r;
	/* The node that `entry` leads into comes last. */
	for (size_t i = 0; r >= 0 && i < n; i++)
		if (nodes[i] != node)
			r = set_entry(nodes[i], &entry, error);
	free(nodes);
	return r < 0 ? r : set_entry(node, &entry, error);
}

static int set_metadata(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	struct pl_edit_node *node;
	int r = find(tx, call->path, "set the metadata of", &node, error);

	if (r >= 0 && node->kind == 0)
		r = pl_edit_fail(-ENOENT, "set the metadata of", call->path, error);
	if (r < 0)
		return r;
	return node->kind == PLEACH_DIR ? set_directory(tx, node, call, error)
					: set_others(tx, node, call, error);
}

const struct pl_edit_ops pl_edit_in_memory = {
	.put = put,
	.mkdir = make_directory,
	.symlink = make_symlink,
	.link = make_link,
	.remove = remove_path,
	.rename = rename_path,
	.set_metadata = set_metadata,
};

/* ---- what has become of the base ---- */

/* A content of e/ that a name has now; what was replaced again since stays out. */
static int stage_content(struct pl_tx_edits *edits, struct pl_stage *stage,
			 const struct pl_edit_node *node, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	struct pl_entry entry;
	struct pl_id object;
	int r;

	if (node->kind != PLEACH_FILE)
		return 0;
	decode(node, &entry);
	if (entry.size == 0)
		return 0;
	pl_entry_object(&entry, &object);
	r = pl_exists(edits->fd, pl_id_hex(&object, hex));
	if (r < 0)
		return pl_fail_sys(error, r, "cannot look for object %s", hex);
	if (r == 0)
		return 0; /* the base's */
	r = pl_stage_has_object(stage, &object, error);
	return r == 0 ? pl_stage_adopt(stage, edits->fd, hex, &object, error) : r;
}

static int stage_contents(struct pl_tx_edits *edits, struct pl_stage *stage,
			  struct pleach_error *error)
{
	struct pl_edit_node *node = &edits->tree.root;
	int r = 0;

	for (; r >= 0 && node; node = pl_edit_tree_step(node))
		r = stage_content(edits, stage, node, error);
	return r < 0 ? r : 0;
}

int pl_tx_edits_read(struct pl_tx_edits *edits, struct pl_stage *stage, struct pl_id *ret_tree,
		     struct pleach_error *error)
{
	struct pl_node_source nodes = pl_stage_nodes(stage);
	struct pl_node_sink sink = pl_stage_sink(stage);
	struct pl_changeset *changes;
	struct pl_totals totals;
	int r = pl_edit_tree_changes(&edits->tree, edits->tx->store->seed, &changes, error);

	if (r < 0)
		return r;
	r = stage_contents(edits, stage, error);
	if (r >= 0)
		r = pl_apply(&nodes, &sink, &edits->tree.base, changes, edits->tx->store->seed,
			     ret_tree, &totals, error);
	pl_changeset_free(changes);
	return r < 0 ? r : 0;
}
