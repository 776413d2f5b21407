/*
 * A tree as it is becoming, in memory: the names that were looked at or edited, over a base that is read as far as
 * it is needed. What that comes to, edits_changes.c tells.
 *
 * E1  A directory's names are those of its nodes, and of its origin those that no node stands for. A node of
 *     kind 0 says that there is nothing, whatever the base has.
 * E2  A node with an origin is what the base has there, wherever it was moved to: the same inode, but for
 *     metadata that were changed, and of a directory but for the names below it that have nodes.
 * E3  by_origin knows every node that has an origin: so a name of the base is found wherever its directories
 *     have gone.
 * E4  A node is in the tree only when it is filled in: what could not be read is an error, and never nothing.
 * E5  A serial is given to one directory, and never again. So names of what was taken away are not found, though
 *     nothing is ever taken out of by_name.
 */
#include <stdlib.h>

#include "tx/edits.h"

/* ---- nodes ---- */

static void node_done(struct pl_edit_node *node)
{
	free(node->name);
	free(node->origin);
	pl_buffer_done(&node->entry);
	pl_edit_base_free(node->base);
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

static void *address_in(const struct pl_map *map, const struct pl_id *key)
{
	const uint64_t *at = pl_map_get(map, key);

	return at ? (void *)(uintptr_t)*at : NULL;
}

static int put_address(struct pl_map *map, const struct pl_id *key, const void *address)
{
	return pl_map_put(map, key, (uint64_t)(uintptr_t)address) < 0 ? -ENOMEM : 0;
}

/* ---- by_origin: E3 ---- */

static int note_origin(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_id key;

	pl_hash_of(node->origin, strlen(node->origin), &key);
	return put_address(&tree->by_origin, &key, node);
}

/* It is known already, so that this needs no memory. */
static void move_origin(struct pl_edit_tree *tree, const char *origin,
			const struct pl_edit_node *to)
{
	struct pl_id key;
	int r;

	pl_hash_of(origin, strlen(origin), &key);
	pl_assert(pl_map_get(&tree->by_origin, &key));
	r = put_address(&tree->by_origin, &key, to);
	pl_assert(r == 0);
}

static struct pl_edit_node *find_by_origin(const struct pl_edit_tree *tree, const char *path,
					   size_t length)
{
	struct pl_id key;

	pl_hash_of(path, length, &key);
	return address_in(&tree->by_origin, &key);
}

/* ---- by_name ---- */

static void key_of_name(const struct pl_edit_node *parent, const char *name, size_t length,
			struct pl_id *ret_key)
{
	unsigned char bytes[sizeof(parent->serial) + PL_NAME_MAX];

	pl_assert(length <= PL_NAME_MAX);
	memcpy(bytes, &parent->serial, sizeof(parent->serial));
	memcpy(bytes + sizeof(parent->serial), name, length);
	pl_hash_of(bytes, sizeof(parent->serial) + length, ret_key);
}

static struct pl_edit_node *find_child(const struct pl_edit_tree *tree,
				       const struct pl_edit_node *parent, const char *name,
				       size_t length)
{
	struct pl_id key;

	key_of_name(parent, name, length, &key);
	return address_in(&tree->by_name, &key);
}

/* ---- looking up ---- */

/* Fills in what the base has under the node's name. */
static int load_entry(struct pl_edit_tree *tree, struct pl_edit_node *node,
		      const struct pl_entry *entry, struct pleach_error *error)
{
	PL_BUFFER origin = {0};

	pl_buffer_add_string(&origin, node->parent->origin);
	pl_path_push(&origin, node->name, strlen(node->name));
	node->origin = pl_buffer_take_string(&origin);
	if (!node->origin)
		return pl_fail_memory(error);
	node->kind = entry->kind;
	node->is_in_base = true;
	if (entry->kind == PLEACH_DIR) {
		int r = pl_edit_base_new(&tree->nodes, &entry->hash, &node->base, error);

		if (r < 0)
			return r;
		pl_meta_encode(&node->base->node.meta, &node->entry);
		node->serial = ++tree->last_serial;
	} else {
		pl_entry_encode(entry, &node->entry);
	}
	return pl_buffer_ok(&node->entry) ? 0 : pl_fail_memory(error);
}

static int load(struct pl_edit_tree *tree, struct pl_edit_node *node, struct pleach_error *error)
{
	const struct pl_edit_base *base = node->parent->base;
	struct pl_entry entry;

	if (!base || !pl_edit_base_find(base, node->name, strlen(node->name), &entry))
		return 0; /* E1 */
	return load_entry(tree, node, &entry, error);
}

/* E4: hooked in last. */
static int hook_in(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_id key;

	key_of_name(node->parent, node->name, strlen(node->name), &key);
	if (put_address(&tree->by_name, &key, node) < 0)
		return -ENOMEM;
	if (node->origin && note_origin(tree, node) < 0) {
		(void)put_address(&tree->by_name, &key, NULL); /* replaces: needs no memory */
		return -ENOMEM;
	}
	node->next = node->parent->children;
	node->parent->children = node;
	return 0;
}

static void free_node(struct pl_edit_node *node)
{
	node_done(node);
	free(node);
}

static int new_child(struct pl_edit_tree *tree, struct pl_edit_node *parent, const char *name,
		     size_t length, struct pl_edit_node **ret_node, struct pleach_error *error)
{
	struct pl_edit_node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return pl_fail_memory(error);
	node->parent = parent;
	node->name = strndup(name, length);
	if (!node->name) {
		free_node(node);
		return pl_fail_memory(error);
	}
	r = load(tree, node, error);
	if (r < 0) {
		free_node(node);
		return r;
	}
	if (hook_in(tree, node) < 0) {
		free_node(node);
		return pl_fail_memory(error);
	}
	*ret_node = node;
	return 0;
}

/* The node of a name, made where there is none yet. */
static int look_up(struct pl_edit_tree *tree, struct pl_edit_node *parent, const char *name,
		   size_t length, struct pl_edit_node **ret_node, struct pleach_error *error)
{
	struct pl_edit_node *node = find_child(tree, parent, name, length);

	pl_assert(parent->kind == PLEACH_DIR && parent->serial > 0);
	if (!node)
		return new_child(tree, parent, name, length, ret_node, error);
	pl_assert(node->parent == parent);
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

bool pl_edit_tree_is_empty(const struct pl_edit_tree *tree, const struct pl_edit_node *node)
{
	struct pl_entry entry;
	size_t cursor = 0;

	pl_assert(node->kind == PLEACH_DIR);
	for (const struct pl_edit_node *child = node->children; child; child = child->next)
		if (child->kind != 0)
			return false;
	while (node->base && pl_node_next(&node->base->node, &cursor, &entry))
		if (!find_child(tree, node, entry.name, entry.name_length))
			return false;
	return true;
}

/* ---- groups ---- */

/* Where the base's path is now (E3): 1 and its node, or 0: it is gone. */
static int locate(struct pl_edit_tree *tree, const char *origin, struct pl_edit_node **ret_node,
		  struct pleach_error *error)
{
	size_t length = strlen(origin);
	struct pl_edit_node *node = find_by_origin(tree, origin, length);

	/* The deepest directory above it that is known, */
	while (!node && length > 0) {
		do
			length--;
		while (length > 0 && origin[length] != '/');
		node = length == 0 ? &tree->root : find_by_origin(tree, origin, length);
	}
	pl_assert(node);
	/* and from there down by the names of the base. */
	while (origin[length]) {
		const char *name = origin + length + (length > 0);
		size_t n = strcspn(name, "/");
		int r;

		if (node->kind != PLEACH_DIR)
			return 0;
		r = look_up(tree, node, name, n, &node, error);
		if (r < 0)
			return r;
		length = (size_t)(name + n - origin);
		if (!node->origin || strlen(node->origin) != length ||
		    strncmp(node->origin, origin, length) != 0)
			return 0; /* something else has its name now */
	}
	*ret_node = node;
	return 1;
}

/* Where the paths of the base are now, as far as they are anywhere; room for all of them. */
static int locate_all(struct pl_edit_tree *tree, const struct pl_strings *paths,
		      struct pl_edit_node **nodes, size_t *ret_n, struct pleach_error *error)
{
	size_t n = 0;

	for (size_t i = 0; i < paths->n; i++) {
		int r = locate(tree, paths->items[i], &nodes[n], error);

		if (r < 0)
			return r;
		n += r == 1;
	}
	*ret_n = n;
	return 0;
}

/* All that can fail comes first: a group is joined or not. */
static int join(struct pl_edit_tree *tree, struct pl_edit_node *node,
		const struct pl_strings *paths, struct pleach_error *error)
{
	struct pl_edit_node **nodes = calloc(paths->n + 1, sizeof(struct pl_edit_node *));
	size_t n = 0;
	int r;

	if (!nodes)
		return pl_fail_memory(error);
	r = locate_all(tree, paths, nodes, &n, error);
	if (r >= 0)
		node->link = ++tree->last_link;
	for (size_t i = 0; r >= 0 && i < n; i++) {
		pl_assert(nodes[i] == node || nodes[i]->link == 0);
		nodes[i]->link = node->link;
	}
	free(nodes);
	return r;
}

int pl_edit_tree_join(struct pl_edit_tree *tree, struct pl_edit_node *node,
		      struct pleach_error *error)
{
	struct pl_strings paths = {0};
	int r = 0;

	pl_assert(node->kind != 0 && node->kind != PLEACH_DIR);
	if (node->link != 0)
		return 0;
	if (node->origin)
		r = pl_lookup_group(&tree->nodes, &tree->base, node->origin, &paths, error);
	if (r >= 0)
		r = join(tree, node, &paths, error);
	pl_strings_done(&paths);
	return r;
}

struct pl_edit_node *pl_edit_tree_step(struct pl_edit_node *node)
{
	if (node->children)
		return node->children;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

/* ---- changing ---- */

/* E3, of the node and all that is below it. */
static void forget_origins(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	struct pl_edit_node *at = node;

	for (;;) {
		if (at->origin)
			move_origin(tree, at->origin, NULL);
		if (at->children) {
			at = at->children;
			continue;
		}
		while (at != node && !at->next)
			at = at->parent;
		if (at == node)
			return;
		at = at->next;
	}
}

/* What makes it itself: all but its name and where it is in the tree. */
static void forget_itself(struct pl_edit_node *node)
{
	node->children = NULL;
	node->kind = 0;
	node->origin = NULL;
	node->is_changed = false;
	node->entry = (struct pl_buffer){0};
	node->link = 0;
	node->base = NULL;
	node->serial = 0;
}

void pl_edit_tree_clear(struct pl_edit_tree *tree, struct pl_edit_node *node)
{
	pl_assert(node->parent); /* the root stays */
	forget_origins(tree, node);
	free_below(node);
	free(node->origin);
	pl_buffer_done(&node->entry);
	pl_edit_base_free(node->base);
	forget_itself(node);
}

void pl_edit_tree_set_take(struct pl_edit_tree *tree, struct pl_edit_node *node, char kind,
			   uint64_t link, struct pl_buffer *entry_take)
{
	pl_assert(kind != 0 && pl_buffer_ok(entry_take));
	pl_edit_tree_clear(tree, node);
	node->kind = kind;
	node->link = link;
	node->entry = *entry_take;
	node->serial = kind == PLEACH_DIR ? ++tree->last_serial : 0;
	*entry_take = (struct pl_buffer){0};
}

void pl_edit_tree_change_take(struct pl_edit_node *node, struct pl_buffer *entry_take)
{
	pl_assert(node->kind != 0 && pl_buffer_ok(entry_take));
	pl_buffer_done(&node->entry);
	node->entry = *entry_take;
	node->is_changed = true;
	*entry_take = (struct pl_buffer){0};
}

void pl_edit_tree_move(struct pl_edit_tree *tree, struct pl_edit_node *from,
		       struct pl_edit_node *to)
{
	pl_assert(from != to && from->kind != 0 && from->parent);
	pl_edit_tree_clear(tree, to);
	to->children = from->children;
	to->kind = from->kind;
	to->origin = from->origin;
	to->is_changed = from->is_changed;
	to->entry = from->entry;
	to->link = from->link;
	to->base = from->base;
	to->serial = from->serial;
	forget_itself(from);
	for (struct pl_edit_node *child = to->children; child; child = child->next)
		child->parent = to;
	if (to->origin)
		move_origin(tree, to->origin, to);
}

/* ---- the whole ---- */

int pl_edit_tree_init(struct pl_edit_tree *tree, const struct pl_node_source *nodes,
		      const struct pl_id *base, uint64_t seed, struct pleach_error *error)
{
	struct pl_edit_node *root = &tree->root;
	int r;

	*tree = (struct pl_edit_tree){.nodes = *nodes, .base = *base, .last_serial = 1};
	pl_map_init(&tree->by_origin, sizeof(struct pl_id), seed);
	pl_map_init(&tree->by_name, sizeof(struct pl_id), seed);
	*root = (struct pl_edit_node){
		.is_in_base = true, .kind = PLEACH_DIR, .origin = strdup(""), .serial = 1};
	r = root->origin ? pl_edit_base_new(nodes, base, &root->base, error)
			 : pl_fail_memory(error);
	if (r >= 0) {
		pl_meta_encode(&root->base->node.meta, &root->entry);
		r = pl_buffer_ok(&root->entry) ? 0 : pl_fail_memory(error);
	}
	if (r < 0)
		pl_edit_tree_done(tree);
	return r;
}

void pl_edit_tree_done(struct pl_edit_tree *tree)
{
	free_below(&tree->root);
	node_done(&tree->root);
	pl_map_done(&tree->by_origin);
	pl_map_done(&tree->by_name);
	*tree = (struct pl_edit_tree){0};
}
