/*
 * What edits in memory come to, as a changeset: each name that is not what the directory it is in began with.
 *
 * H1  A directory that was moved takes along what no edit reached, and the hard-link groups of that: so what is
 *     in place, seen from the origin of its directory, needs no edit.
 */
#include "tx/edits.h"

/* H1. Of the root it is so. */
static bool is_in_place(const struct pl_edit_node *node)
{
	const struct pl_edit_node *parent = node->parent;
	const char *origin = node->origin, *slash;
	size_t above;

	if (!parent)
		return true;
	if (!origin || !parent->origin)
		return false;
	slash = strrchr(origin, '/');
	above = slash ? (size_t)(slash - origin) : 0;
	return strcmp(slash ? slash + 1 : origin, node->name) == 0 &&
	       strlen(parent->origin) == above && strncmp(parent->origin, origin, above) == 0;
}

static int emit_entry(struct pl_changeset *changes, const char *path,
		      const struct pl_edit_node *node)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	struct pl_entry entry;
	int r = pl_entry_decode(&reader, &entry);

	pl_assert(r == 0); /* it was encoded by us */
	return pl_changeset_put(changes, path, &entry, node->link);
}

static int emit_dir(struct pl_changeset *changes, const char *path, const struct pl_edit_node *node)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	struct pl_meta meta;
	int r = pl_meta_decode(&reader, &meta);

	pl_assert(r == 0);
	return pl_changeset_dir(changes, path, node->origin, &meta);
}

static int emit(struct pl_changeset *changes, const char *path, const struct pl_edit_node *node)
{
	if (node->kind == 0)
		return node->is_in_base ? pl_changeset_remove(changes, path) : 0;
	if (is_in_place(node) && !node->is_changed && node->link == 0)
		return 0;
	return node->kind == PLEACH_DIR ? emit_dir(changes, path, node)
					: emit_entry(changes, path, node);
}

/* The next node of the walk, and its path. NULL at the end. */
static struct pl_edit_node *step(struct pl_edit_node *node, struct pl_buffer *path)
{
	struct pl_edit_node *at = node;

	if (at->children) {
		at = at->children;
	} else {
		while (at->parent && !at->next) {
			at = at->parent;
			pl_path_pop(path);
		}
		if (!at->parent)
			return NULL;
		at = at->next;
		pl_path_pop(path);
	}
	pl_path_push(path, at->name, strlen(at->name));
	return at;
}

int pl_edit_tree_changes(struct pl_edit_tree *tree, uint64_t seed,
			 struct pl_changeset **ret_changes, struct pleach_error *error)
{
	struct pl_changeset *changes;
	PL_BUFFER path = {0};
	int r = pl_changeset_new(seed, &changes);

	if (r < 0)
		return pl_fail_memory(error);
	for (struct pl_edit_node *node = &tree->root; r >= 0 && node;) {
		r = emit(changes, pl_buffer_string(&path), node);
		node = step(node, &path);
		if (!pl_buffer_ok(&path))
			r = -ENOMEM;
	}
	if (r < 0) {
		pl_assert(r == -ENOMEM); /* paths and entries are valid */
		pl_changeset_free(changes);
		return pl_fail_memory(error);
	}
	*ret_changes = changes;
	return 0;
}
