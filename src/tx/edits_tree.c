/*
 * A tree as it is becoming, in memory: the names that were looked at or edited, over a base that is read as far as
 * it is needed. At the end it tells what has changed, as a changeset.
 *
 * E1  A directory's names are those of its nodes, and of the base's directory `origin` those that no node stands
 *     for. A node of kind 0 says that there is nothing, whatever the base has.
 * E2  A node that is not new is what the base has at `origin`, wherever it was moved to.
 * E3  by_origin knows every node that is not new and not cleared: so a name of the base is found wherever its
 *     directories have gone.
 */
#include <stdlib.h>

#include "tx/edits.h"

/* ---- nodes ---- */

static void node_done(struct pl_edit_node *node)
{
	free(node->name);
	free(node->origin);
	pl_buffer_done(&node->entry);
}

/* Frees what is below; no recursion: a subtree is unhooked name by name. */
static void free_below(struct pl_edit_node *top)
{
	struct pl_edit_node *node = top->children;

	top->children = NULL;
	while (node) {
		struct pl_edit_node *next = node->next, *last = node->children;

		/* What is below it is put in front of what is left to do. */
		while (last && last->next)
			last = last->next;
		if (last) {
			last->next = next;
			next = node->children;
		}
		node_done(node);
		free(node);
		node = next;
	}
}

static void by_origin_key(const char *path, struct pl_id *ret_key)
{
	pl_hash_of(path, strlen(path), ret_key);
}

static int note_origin(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_id key;
	int r;

	if (!node->origin)
		return 0;
	by_origin_key(node->origin, &key);
	r = pl_map_put(&tree->by_origin, &key, (uint64_t)(uintptr_t)node);
	return r < 0 ? r : 0;
}

static struct pl_edit_node *find_by_origin(const struct pl_edit_tree *tree, const char *path,
					   size_t length)
{
	struct pl_edit_node *node;
	struct pl_id key;
	uint64_t *at;

	pl_hash_of(path, length, &key);
	at = pl_map_get(&tree->by_origin, &key);
	node = at ? (struct pl_edit_node *)(uintptr_t)*at : NULL;
	return node;
}

static void forget_origin(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_id key;

	if (!node->origin)
		return;
	by_origin_key(node->origin, &key);
	if (pl_map_get(&tree->by_origin, &key))
		(void)pl_map_put(&tree->by_origin, &key, 0); /* replaces: needs no memory */
}

static struct pl_edit_node *new_child(struct pl_edit_node *parent, const char *name, size_t length)
{
	struct pl_edit_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->name = strndup(name, length);
	if (!node->name) {
		free(node);
		return NULL;
	}
	node->parent = parent;
	node->next = parent->children;
	parent->children = node;
	return node;
}

static struct pl_edit_node *find_child(const struct pl_edit_node *parent, const char *name,
				       size_t length)
{
	struct pl_edit_node *node = parent->children;

	while (node && (strncmp(node->name, name, length) != 0 || node->name[length] != '\0'))
		node = node->next;
	return node;
}

/* ---- the base ---- */

/* Fills in what the base has at `origin`, which is taken. */
static int load(struct pl_edit_tree *tree, struct pl_edit_node *node, char *origin_take,
		struct pleach_error *error)
{
	struct pl_found found;
	int r = pl_lookup(&tree->nodes, &tree->base, origin_take, &found, error);

	if (r == -ENOENT) {
		pl_error_clear(error);
		free(origin_take);
		return 0; /* kind 0 (E1) */
	}
	if (r < 0) {
		free(origin_take);
		return r;
	}
	node->origin = origin_take;
	node->kind = found.is_dir ? PLEACH_DIR : found.entry.kind;
	if (found.is_dir) {
		struct pl_node dir;

		r = pl_node_read(&tree->nodes, &found.directory, &dir, error);
		if (r >= 0) {
			pl_meta_encode(&dir.meta, &node->entry);
			pl_node_done(&dir);
		}
	} else {
		pl_entry_encode(&found.entry, &node->entry);
	}
	pl_found_done(&found);
	if (r >= 0 && (!pl_buffer_ok(&node->entry) || note_origin(tree, node) < 0))
		r = pl_fail_memory(error);
	return r < 0 ? r : 0;
}

/* The node of a name, made where there is none yet. */
static int look_up(struct pl_edit_tree *tree, struct pl_edit_node *parent, const char *name,
		   size_t length, struct pl_edit_node **ret_node, struct pleach_error *error)
{
	struct pl_edit_node *node = find_child(parent, name, length);
	PL_BUFFER origin = {0};

	if (!node) {
		node = new_child(parent, name, length);
		if (!node)
			return pl_fail_memory(error);
		if (parent->origin) {
			char *path;
			int r;

			pl_buffer_add_string(&origin, parent->origin);
			pl_path_push(&origin, name, length);
			path = pl_buffer_take_string(&origin);
			r = path ? load(tree, node, path, error) : pl_fail_memory(error);
			if (r < 0)
				return r;
		}
	}
	*ret_node = node;
	return 0;
}

int pl_edit_tree_find(struct pl_edit_tree *tree, const char *path, struct pl_edit_node **ret_node,
		      struct pleach_error *error)
{
	struct pl_edit_node *node = &tree->root;

	while (*path) {
		size_t length = strcspn(path, "/");
		int r;

		if (node->kind == 0)
			return -ENOENT;
		if (node->kind != PLEACH_DIR)
			return -ENOTDIR;
		r = look_up(tree, node, path, length, &node, error);
		if (r < 0)
			return r;
		path += length + (path[length] == '/');
	}
	*ret_node = node;
	return 0;
}

int pl_edit_tree_is_empty(struct pl_edit_tree *tree, struct pl_edit_node *node,
			  struct pleach_error *error)
{
	struct pl_found found;
	struct pl_entry entry;
	struct pl_node dir;
	size_t cursor = 0;
	bool is_empty = true;
	int r;

	for (struct pl_edit_node *child = node->children; child; child = child->next)
		if (child->kind != 0)
			return 0;
	if (!node->origin)
		return 1;
	r = pl_lookup(&tree->nodes, &tree->base, node->origin, &found, error);
	if (r < 0)
		return r;
	r = pl_node_read(&tree->nodes, &found.directory, &dir, error);
	pl_found_done(&found);
	if (r < 0)
		return r;
	while (is_empty && pl_node_next(&dir, &cursor, &entry))
		is_empty = find_child(node, entry.name, entry.name_length) != NULL;
	pl_node_done(&dir);
	return is_empty;
}

/* ---- groups ---- */

/* Where the base's path is now (E3): 1 and its node, or 0: it is gone. */
static int locate(struct pl_edit_tree *tree, const char *origin, struct pl_edit_node **ret_node,
		  struct pleach_error *error)
{
	size_t length = strlen(origin);
	struct pl_edit_node *node = NULL;

	/* The deepest directory above it that is known, */
	for (;;) {
		node = length == 0 ? &tree->root : find_by_origin(tree, origin, length);
		if (node || length == 0)
			break;
		do
			length--;
		while (length > 0 && origin[length] != '/');
	}
	/* and from there down by the names of the base. */
	while (origin[length]) {
		const char *name = origin + length + (length > 0);
		size_t n = strcspn(name, "/");
		int r;

		if (node->kind != PLEACH_DIR || !node->origin)
			return 0;
		r = look_up(tree, node, name, n, &node, error);
		if (r < 0)
			return r;
		length = (size_t)(name + n - origin);
		if (!node->origin || strlen(node->origin) != length ||
		    strncmp(node->origin, origin, length) != 0)
			return 0;
	}
	*ret_node = node;
	return node->origin && !node->is_new;
}

static int collect(struct pl_edit_tree *tree, const struct pl_strings *paths,
		   struct pl_edit_node **nodes, size_t *n, struct pleach_error *error)
{
	for (size_t i = 0; i < paths->n; i++) {
		struct pl_edit_node *node;
		int r = locate(tree, paths->items[i], &node, error);

		if (r < 0)
			return r;
		if (r == 1 && node->link == 0)
			nodes[(*n)++] = node;
	}
	return 0;
}

struct pl_edit_node *pl_edit_tree_step(struct pl_edit_node *node)
{
	if (node->children)
		return node->children;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

/* Those that were given one link here: found by a walk, for links are few. Gives how many there are. */
static size_t collect_linked(struct pl_edit_tree *tree, uint64_t link, struct pl_edit_node **nodes,
			     size_t room)
{
	size_t n = 0;

	for (struct pl_edit_node *at = &tree->root; at; at = pl_edit_tree_step(at)) {
		if (at->kind == 0 || at->link != link)
			continue;
		if (n < room)
			nodes[n] = at;
		n++;
	}
	return n;
}

int pl_edit_tree_group(struct pl_edit_tree *tree, struct pl_edit_node *node,
		       struct pl_edit_node ***ret_nodes, size_t *ret_n, struct pleach_error *error)
{
	struct pl_edit_node **nodes;
	struct pl_strings paths = {0};
	size_t n = 1;
	int r = 0;

	if (node->link != 0) {
		n = collect_linked(tree, node->link, NULL, 0);
	} else if (!node->is_new) {
		r = pl_lookup_group(&tree->nodes, &tree->base, node->origin, &paths, error);
		n = paths.n;
	}
	nodes = r < 0 ? NULL : calloc(n + 1, sizeof(struct pl_edit_node *));
	if (r >= 0 && !nodes)
		r = pl_fail_memory(error);
	if (r >= 0 && node->link != 0) {
		(void)collect_linked(tree, node->link, nodes, n);
	} else if (r >= 0 && node->is_new) {
		nodes[0] = node;
	} else if (r >= 0) {
		n = 0;
		r = collect(tree, &paths, nodes, &n, error);
	}
	pl_strings_done(&paths);
	if (r < 0) {
		free(nodes);
		return r;
	}
	*ret_nodes = nodes;
	*ret_n = n;
	return 0;
}

/* ---- changing ---- */

void pl_edit_tree_clear(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_edit_node *at = node;

	/* E3, of all that is below. */
	for (;;) {
		forget_origin(tree, at);
		if (at->children) {
			at = at->children;
			continue;
		}
		while (at != node && !at->next)
			at = at->parent;
		if (at == node)
			break;
		at = at->next;
	}
	free_below(node);
	free(node->origin);
	node->origin = NULL;
	node->kind = 0;
	node->link = 0;
	node->is_new = true;
	node->is_changed = false;
	pl_buffer_truncate(&node->entry, 0);
}

int pl_edit_tree_move(struct pl_edit_tree *tree, struct pl_edit_node *from, struct pl_edit_node *to)
{
	pl_assert(from != to && from->kind != 0);
	pl_edit_tree_clear(tree, to);
	to->kind = from->kind;
	to->is_new = from->is_new;
	to->is_changed = from->is_changed;
	to->origin = from->origin;
	to->link = from->link;
	to->children = from->children;
	for (struct pl_edit_node *child = to->children; child; child = child->next)
		child->parent = to;
	pl_buffer_done(&to->entry);
	to->entry = from->entry;
	from->entry = (struct pl_buffer){0};
	from->origin = NULL;
	from->children = NULL;
	from->kind = 0;
	from->link = 0;
	from->is_new = true;
	from->is_changed = false;
	return note_origin(tree, to); /* replaces: needs no memory */
}

/* ---- what has changed ---- */

static int emit_entry(struct pl_changeset *changes, const char *path,
		      const struct pl_edit_node *node)
{
	struct pl_reader reader = pl_reader_of(node->entry.data, node->entry.length);
	struct pl_entry entry;
	int r = pl_entry_decode(&reader, &entry);

	pl_assert(r == 0);
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

/* Is the node what the base has at this very path, as far as it itself goes? */
static bool is_in_place(const struct pl_edit_node *node, const char *path)
{
	return node->origin && !node->is_new && strcmp(node->origin, path) == 0;
}

/* A file of the base that was moved takes its group along: all names of it are put as one. */
static int emit(struct pl_edit_tree *tree, struct pl_changeset *changes, const char *path,
		struct pl_edit_node *node, struct pleach_error *error)
{
	struct pl_edit_node **nodes;
	size_t n;
	int r = 0;

	if (node->kind == 0)
		return pl_changeset_remove(changes, path);
	if (node->kind == PLEACH_DIR)
		return is_in_place(node, path) && !node->is_changed ? 0
								    : emit_dir(changes, path, node);
	if (is_in_place(node, path) && node->link == 0)
		return 0;
	if (!node->is_new && node->link == 0) {
		r = pl_edit_tree_group(tree, node, &nodes, &n, error);
		if (r < 0)
			return r;
		if (n > 1) {
			tree->next_link++;
			for (size_t i = 0; i < n; i++)
				nodes[i]->link = tree->next_link;
		}
		free(nodes);
	}
	return emit_entry(changes, path, node);
}

static int walk(struct pl_edit_tree *tree, struct pl_changeset *changes, struct pleach_error *error)
{
	struct pl_edit_node *node = &tree->root;
	PL_BUFFER path = {0};
	int r;

	for (;;) {
		r = emit(tree, changes, path.length ? pl_buffer_string(&path) : "", node, error);
		if (r < 0)
			return r;
		if (node->children) {
			node = node->children;
		} else {
			while (node != &tree->root && !node->next) {
				node = node->parent;
				pl_path_pop(&path);
			}
			if (node == &tree->root)
				return 0;
			node = node->next;
			pl_path_pop(&path);
		}
		pl_path_push(&path, node->name, strlen(node->name));
		if (!pl_buffer_ok(&path))
			return -ENOMEM;
	}
}

int pl_edit_tree_changes(struct pl_edit_tree *tree, uint64_t seed,
			 struct pl_changeset **ret_changes, struct pleach_error *error)
{
	struct pl_changeset *changes;
	uint64_t links;
	int r = pl_changeset_new(seed, &changes);

	if (r < 0)
		return pl_fail_memory(error);
	/* Names of a moved group may lie on either side of the walk: the first walk joins them. */
	do {
		links = tree->next_link;
		r = walk(tree, changes, error);
	} while (r >= 0 && links != tree->next_link);
	if (r < 0) {
		pl_changeset_free(changes);
		return r == -ENOMEM ? pl_fail_memory(error) : r;
	}
	*ret_changes = changes;
	return 0;
}

/* ---- the whole ---- */

int pl_edit_tree_init(struct pl_edit_tree *tree, const struct pl_node_source *nodes,
		      const struct pl_id *base, uint64_t seed, struct pleach_error *error)
{
	struct pl_node root;
	int r = pl_node_read(nodes, base, &root, error);

	if (r < 0)
		return r;
	*tree = (struct pl_edit_tree){.nodes = *nodes, .base = *base};
	pl_map_init(&tree->by_origin, sizeof(struct pl_id), seed);
	tree->root.kind = PLEACH_DIR;
	tree->root.origin = strdup("");
	pl_meta_encode(&root.meta, &tree->root.entry);
	pl_node_done(&root);
	if (!tree->root.origin || !pl_buffer_ok(&tree->root.entry)) {
		pl_edit_tree_done(tree);
		return pl_fail_memory(error);
	}
	return 0;
}

void pl_edit_tree_done(struct pl_edit_tree *tree)
{
	free_below(&tree->root);
	node_done(&tree->root);
	pl_map_done(&tree->by_origin);
}
