/*
 * Edits without a workspace: what is to become of each path is kept in memory (edits_tree.c), what is in new
 * files on disk (edits_content.c). Only a commit writes nodes.
 *
 * M1  Names of one inode have one entry: what changes it goes through all of them.
 * M2  Each edit first does all that can fail, and then what cannot: it is done or not.
 */
#include <stdlib.h>

#include "tx/edits.h"

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
		return pl_fail_sys(error, r, "cannot make a directory in %s/.pleach/tx/%s",
				   tx->store->path, tx->dir.id);
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

/* ---- metadata ---- */

/* Fills in entry->meta, whose kind is set. */
static int new_meta(struct pl_tx *tx, const struct pl_edit_call *call, struct pl_entry *entry,
		    struct pl_buffer *room, struct pleach_error *error)
{
	int r = 0;

	pl_edit_default(&entry->meta, entry->kind);
	if (call->metadata)
		r = pl_edit_change_meta(&entry->meta, entry->kind, call->metadata, room);
	if (r < 0)
		return pl_edit_fail_meta(r, NULL, call->path, error);
	pl_meta_reduce(&entry->meta, entry->kind, tx->ref.settings.metadata);
	if (entry->kind == PLEACH_FILE || !call->metadata)
		return 0;
	return pl_edit_try_metadata(tx->edits, entry, call->path, error);
}

/* ---- nodes and entries ---- */

static void decode(const struct pl_edit_node *node, struct pl_entry *ret_entry)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	int r;

	if (node->kind == PLEACH_DIR) {
		*ret_entry = (struct pl_entry){.kind = PLEACH_DIR};
		r = pl_meta_decode(&reader, &ret_entry->meta);
	} else {
		r = pl_entry_decode(&reader, ret_entry);
	}
	pl_assert(r == 0 && ret_entry->kind == node->kind); /* it was encoded here */
}

/* As a node keeps it. `name`: of the node, which entries must have one of. */
static int encode(const struct pl_entry *entry, const char *name, struct pl_buffer *b,
		  struct pleach_error *error)
{
	struct pl_entry named = *entry;

	named.name = name;
	named.name_length = (uint8_t)strlen(name);
	if (entry->kind == PLEACH_DIR)
		pl_meta_encode(&entry->meta, b);
	else
		pl_entry_encode(&named, b);
	return pl_buffer_ok(b) ? 0 : pl_fail_memory(error);
}

static int find(struct pl_tx *tx, const char *path, const char *what,
		struct pl_edit_node **ret_node, struct pleach_error *error)
{
	int r = pl_edit_tree_find(&tx->edits->tree, path, ret_node, error);

	if (r == -ENOENT || r == -ENOTDIR)
		return pl_edit_fail(r, what, path, error);
	return r;
}

/* The same, and something must be there. */
static int find_old(struct pl_tx *tx, const char *path, const char *what,
		    struct pl_edit_node **ret_node, struct pleach_error *error)
{
	int r = find(tx, path, what, ret_node, error);

	if (r >= 0 && (*ret_node)->kind == 0)
		return pl_edit_fail(-ENOENT, what, path, error);
	return r;
}

/* A directory as it is when a name in it has changed just now. */
static int encode_touched(struct pl_tx *tx, const struct pl_edit_node *dir, struct pl_buffer *b,
			  struct pleach_error *error)
{
	struct pl_entry entry;
	struct pl_meta now;

	decode(dir, &entry);
	if (tx->ref.settings.metadata == PL_RULE_EXACT) {
		pl_edit_default(&now, PLEACH_DIR);
		entry.meta.mtime_s = now.mtime_s;
		entry.meta.mtime_ns = now.mtime_ns;
	}
	return encode(&entry, "", b, error);
}

/* The name becomes this. */
static int set_entry(struct pl_tx *tx, struct pl_edit_node *node, const struct pl_entry *entry,
		     uint64_t link, struct pleach_error *error)
{
	PL_BUFFER b = {0}, touched = {0};
	int r = encode(entry, node->name, &b, error);

	if (r >= 0)
		r = encode_touched(tx, node->parent, &touched, error);
	if (r < 0)
		return r;
	pl_edit_tree_set_take(&tx->edits->tree, node, entry->kind, link, &b); /* M2 */
	pl_edit_tree_change_take(node->parent, &touched);
	return 0;
}

/* ---- the edits ---- */

static int put(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	struct pl_entry entry = {.kind = PLEACH_FILE};
	struct pl_edit_node *node;
	PL_BUFFER room = {0};
	int r = find(tx, call->path, "write", &node, error);

	if (r >= 0 && node->kind == PLEACH_DIR)
		r = pl_edit_fail(-EISDIR, "write", call->path, error);
	if (r >= 0)
		r = new_meta(tx, call, &entry, &room, error);
	if (r >= 0)
		r = pl_edit_take_content(tx->edits, call, &entry, error);
	return r < 0 ? r : set_entry(tx, node, &entry, 0, error);
}

static int make_symlink(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	struct pl_entry entry = {.kind = PLEACH_SYMLINK, .target = call->other};
	size_t length = strlen(call->other);
	struct pl_edit_node *node;
	PL_BUFFER room = {0};
	int r = find(tx, call->path, "make", &node, error);

	if (r >= 0 && (length == 0 || length > PL_TARGET_MAX))
		r = pl_edit_fail(length ? -ENAMETOOLONG : -ENOENT, "make", call->path, error);
	if (r >= 0 && node->kind == PLEACH_DIR)
		r = pl_edit_fail(-EISDIR, "make", call->path, error);
	if (r >= 0)
		r = new_meta(tx, call, &entry, &room, error);
	entry.target_length = (uint16_t)length;
	return r < 0 ? r : set_entry(tx, node, &entry, 0, error);
}

static int make_directory(struct pl_tx *tx, const struct pl_edit_call *call,
			  struct pleach_error *error)
{
	struct pl_entry entry = {.kind = PLEACH_DIR};
	struct pl_edit_node *node;
	PL_BUFFER room = {0};
	int r = find(tx, call->path, "make", &node, error);

	if (r >= 0 && node->kind != 0)
		r = pl_edit_fail(-EEXIST, "make", call->path, error);
	if (r >= 0)
		r = new_meta(tx, call, &entry, &room, error);
	return r < 0 ? r : set_entry(tx, node, &entry, 0, error);
}

static int make_link(struct pl_tx *tx, const struct pl_edit_call *call, struct pleach_error *error)
{
	struct pl_edit_node *old, *node;
	struct pl_entry entry;
	int r = find_old(tx, call->path, "link", &old, error);

	if (r >= 0)
		r = find(tx, call->other, "link", &node, error);
	if (r >= 0 && node->kind != 0)
		r = pl_edit_fail(-EEXIST, "link", call->other, error);
	if (r >= 0 && old->kind == PLEACH_DIR)
		r = pl_edit_fail(-EPERM, "link", call->path, error);
	if (r >= 0)
		r = pl_edit_tree_join(&tx->edits->tree, old, error);
	if (r < 0)
		return r;
	decode(old, &entry);
	return set_entry(tx, node, &entry, old->link, error);
}

static int remove_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct pl_edit_node *node;
	PL_BUFFER touched = {0};
	int r = find_old(tx, call->path, "remove", &node, error);

	if (r >= 0)
		r = encode_touched(tx, node->parent, &touched, error);
	if (r < 0)
		return r;
	pl_edit_tree_clear(&tx->edits->tree, node);
	pl_edit_tree_change_take(node->parent, &touched);
	return 0;
}

static bool is_above(const struct pl_edit_node *node, const struct pl_edit_node *below)
{
	while (below->parent && below->parent != node)
		below = below->parent;
	return below->parent != NULL;
}

/* May `from` be renamed to `to`? As rename(2) has it, and in its order. */
static int check_rename(struct pl_tx *tx, const struct pl_edit_node *from,
			const struct pl_edit_node *to)
{
	if (is_above(from, to))
		return -EINVAL;
	if (is_above(to, from))
		return -ENOTEMPTY;
	if (to->kind == 0)
		return 0;
	if (from->kind != PLEACH_DIR)
		return to->kind == PLEACH_DIR ? -EISDIR : 0;
	if (to->kind != PLEACH_DIR)
		return -ENOTDIR;
	return pl_edit_tree_is_empty(&tx->edits->tree, to) ? 0 : -ENOTEMPTY;
}

static int rename_path(struct pl_tx *tx, const struct pl_edit_call *call,
		       struct pleach_error *error)
{
	struct pl_edit_node *from, *to = NULL;
	PL_BUFFER touched_from = {0}, touched_to = {0};
	int r = find_old(tx, call->path, "rename", &from, error);

	if (r >= 0)
		r = find(tx, call->other, "rename to", &to, error);
	if (r < 0 || from == to)
		return r;
	r = check_rename(tx, from, to);
	if (r < 0)
		return pl_edit_fail(r, "rename", call->path, error);
	if (from->kind != PLEACH_DIR)
		r = pl_edit_tree_join(&tx->edits->tree, from, error);
	/* As in the kernel: two names of one inode stay. */
	if (r >= 0 && from->link != 0 && from->link == to->link)
		return 0;
	if (r >= 0)
		r = encode_touched(tx, from->parent, &touched_from, error);
	if (r >= 0)
		r = encode_touched(tx, to->parent, &touched_to, error);
	if (r < 0)
		return r;
	pl_edit_tree_move(&tx->edits->tree, from, to); /* M2 */
	pl_edit_tree_change_take(from->parent, &touched_from);
	pl_edit_tree_change_take(to->parent, &touched_to);
	return 0;
}

/* ---- metadata of what is there ---- */

/* M1: `entry` for all names of the inode. */
static int change_all(struct pl_tx *tx, const struct pl_edit_node *node,
		      const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_edit_node *root = &tx->edits->tree.root;
	struct pl_buffer *all;
	size_t n = 0, done = 0;
	int r = 0;

	/* Links are few, and changes of them fewer: they are looked for. */
	for (struct pl_edit_node *at = root; at; at = pl_edit_tree_step(at))
		n += at->link == node->link;
	pl_assert(n > 0 && node->link != 0);
	all = calloc(n, sizeof(*all));
	if (!all)
		return pl_fail_memory(error);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = encode(entry, node->name, &all[i], error);
	for (struct pl_edit_node *at = root; r >= 0 && at; at = pl_edit_tree_step(at))
		if (at->link == node->link) /* M2 */
			pl_edit_tree_change_take(at, &all[done++]);
	for (size_t i = done; i < n; i++)
		pl_buffer_done(&all[i]);
	free(all);
	return r;
}

static int change_directory(struct pl_edit_node *node, const struct pl_entry *entry,
			    struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = encode(entry, "", &b, error);

	if (r >= 0)
		pl_edit_tree_change_take(node, &b);
	return r;
}

static int change(struct pl_tx *tx, struct pl_edit_node *node, const struct pl_entry *old,
		  const struct pl_entry *entry, const char *path, struct pleach_error *error)
{
	int r;

	if (node->kind == PLEACH_FILE)
		r = pl_edit_copy_content(tx->edits, old, entry, path, error);
	else
		r = pl_edit_try_metadata(tx->edits, entry, path, error);
	if (r >= 0 && node->kind == PLEACH_DIR)
		return change_directory(node, entry, error);
	if (r >= 0)
		r = pl_edit_tree_join(&tx->edits->tree, node, error);
	return r < 0 ? r : change_all(tx, node, entry, error);
}

static int set_metadata(struct pl_tx *tx, const struct pl_edit_call *call,
			struct pleach_error *error)
{
	struct pl_edit_node *node;
	struct pl_entry old, entry;
	PL_BUFFER room = {0};
	int r = find_old(tx, call->path, "set the metadata of", &node, error);

	if (r < 0)
		return r;
	decode(node, &old);
	entry = old;
	r = pl_edit_change_meta(&entry.meta, entry.kind, call->metadata, &room);
	if (r < 0)
		return pl_edit_fail_meta(r, NULL, call->path, error);
	pl_meta_reduce(&entry.meta, entry.kind, tx->ref.settings.metadata);
	if (pl_meta_equal(&old.meta, &entry.meta))
		return 0;
	return change(tx, node, &old, &entry, call->path, error);
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
	r = pl_edit_stage_contents(edits, stage, error);
	if (r >= 0)
		r = pl_apply(&nodes, &sink, &edits->tree.base, changes, edits->tx->store->seed,
			     ret_tree, &totals, error);
	pl_changeset_free(changes);
	return r < 0 ? r : 0;
}
