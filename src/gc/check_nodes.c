/*
 * Nodes and group blocks: every file in nodes/ by itself, and what is reached from a tree.
 *
 * N1  A node is gone through once, whatever the trees and directories that have it: what is checked of
 *     it depends on nothing above it.
 * N2  By N1 and since an entry's totals are compared with its child's, totals are right down to the
 *     leaves. (A hash cannot lie in a circle.)
 */
#include <stdlib.h>

#include "gc/checking.h"

/* What is known of an id, none of it: nothing. */
#define SOUND	   1u /* read and decoded once */
#define BAD	   2u /* told */
#define REACHED	   4u
#define BAD_GROUPS 8u /* told */

static uint64_t known(const struct pl_checking *c, const struct pl_id *id)
{
	const uint64_t *what = pl_map_get(&c->known, id);

	return what ? *what : 0;
}

static int learn(struct pl_checking *c, const struct pl_id *id, uint64_t what,
		 struct pleach_error *error)
{
	uint64_t before = known(c, id);

	if ((what & SOUND) && !(before & SOUND))
		c->counts.nodes++;
	return pl_map_put(&c->known, id, before | what) < 0 ? pl_fail_memory(error) : 0;
}

/* A node or block that did not verify, for the reason in `cause`. */
static int tell(struct pl_checking *c, const struct pl_id *id, uint64_t what, int r,
		const struct pleach_error *cause, struct pleach_error *error)
{
	struct pl_subject before = pl_checking_about(c, PL_SUBJECT_NODE, id, 0);
	char path[PL_POOL_PATH];
	int told;

	pl_checking_pool_path("nodes", id, path);
	if (r == -EBADMSG || r == -EOVERFLOW || r == -ENOENT)
		told = pl_checking_fault(c, error, "node", path, "%s", cause->message);
	else
		told = pl_checking_cannot(c, r, "node", path, error);
	c->subject = before;
	return told < 0 ? told : learn(c, id, what, error);
}

int pl_checking_node(struct pl_checking *c, const struct pl_id *id, struct pl_node *ret_node,
		     struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	int r;

	if (known(c, id) & BAD)
		return 0;
	r = pl_node_read(&c->nodes, id, ret_node, &cause);
	if (r < 0)
		return tell(c, id, BAD, r, &cause, error);
	r = learn(c, id, SOUND, error);
	if (r < 0)
		pl_node_done(ret_node);
	return r < 0 ? r : 1;
}

/* ---- all of them ---- */

/* A block is what begins as one; anything else should be a node, and is told if it is not. */
static bool is_block(const struct pl_buffer *b)
{
	static const char magic[] = "pleach group ";

	return b->length >= sizeof(magic) - 1 && memcmp(b->data, magic, sizeof(magic) - 1) == 0;
}

static int check_block(struct pl_checking *c, const struct pl_id *id, struct pleach_error *error)
{
	/* As the only block of a node that has it, it is decoded as any other. */
	const struct pl_node alone = {.id = *id, .n_blocks = 1, .blocks = id->bytes};
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_groups groups;
	int r = pl_groups_read(&c->nodes, &alone, &groups, &cause);

	if (r < 0)
		return tell(c, id, BAD, r, &cause, error);
	pl_groups_done(&groups);
	return learn(c, id, SOUND, error);
}

static int visit(struct pl_checking *c, const struct pl_id *id, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_node node;
	PL_BUFFER b = {0};
	int r;

	if (known(c, id))
		return 0;
	r = c->nodes.read(c->nodes.self, id, &b, &cause);
	if (r < 0 && pl_pool_has(c->store->nodes_fd, id) == 0)
		return 0; /* went away meanwhile: if a tree needs it, it will be missed there */
	if (r < 0)
		return tell(c, id, BAD, r, &cause, error);
	if (is_block(&b)) {
		r = check_block(c, id, error);
	} else {
		r = pl_checking_node(c, id, &node, error);
		if (r == 1)
			pl_node_done(&node);
	}
	return r < 0 ? r : pl_checking_step(c, 0, error);
}

int pl_check_nodes(struct pl_checking *c, struct pleach_error *error)
{
	return pl_checking_pool(c, "nodes", c->store->nodes_fd, visit, error);
}

/* ---- reached ---- */

bool pl_checking_has_groups(const struct pl_checking *c, const struct pl_id *node)
{
	return !(known(c, node) & (BAD | BAD_GROUPS));
}

/* Its blocks: 1 if none of them is known to be bad. */
static int has_good_blocks(struct pl_checking *c, const struct pl_node *node)
{
	for (uint32_t i = 0; i < node->n_blocks; i++) {
		struct pl_id id;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		if (known(c, &id) & BAD)
			return 0;
	}
	return 1;
}

static int learn_blocks(struct pl_checking *c, const struct pl_node *node,
			struct pleach_error *error)
{
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < node->n_blocks; i++) {
		struct pl_id id;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		r = learn(c, &id, SOUND, error);
	}
	return r;
}

/* Its groups are broken: a block that is missing or damaged is told as such, anything else as the node's. */
static int tell_groups(struct pl_checking *c, const struct pl_node *node, int r,
		       const struct pleach_error *cause, struct pleach_error *error)
{
	for (uint32_t i = 0; i < node->n_blocks; i++) {
		struct pl_id id;
		PL_BUFFER b = {0};
		int told;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		if (c->nodes.read(c->nodes.self, &id, &b, NULL) >= 0)
			continue;
		told = tell(c, &id, BAD, r, cause, error);
		return told < 0 ? told : learn(c, &node->id, BAD_GROUPS, error);
	}
	return tell(c, &node->id, BAD_GROUPS, r, cause, error);
}

/* 1 and the groups; 0: they are broken, which was told. */
static int read_groups(struct pl_checking *c, const struct pl_node *node,
		       struct pl_groups *ret_groups, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	int r;

	*ret_groups = (struct pl_groups){0};
	if (!pl_checking_has_groups(c, &node->id))
		return 0;
	if (!has_good_blocks(c, node))
		return learn(c, &node->id, BAD_GROUPS, error);
	r = pl_groups_read(&c->nodes, node, ret_groups, &cause);
	if (r < 0)
		return tell_groups(c, node, r, &cause, error);
	r = learn_blocks(c, node, error);
	if (r < 0)
		pl_groups_done(ret_groups);
	return r < 0 ? r : 1;
}

/* Nodes that are still to be gone through. */
struct pile {
	struct pl_id *ids;
	size_t n, capacity;
};

static int push(struct pl_checking *c, struct pile *pile, const struct pl_id *id,
		struct pleach_error *error)
{
	if (known(c, id) & REACHED)
		return 0;
	if (PL_ARRAY_GROW(pile->ids, pile->capacity, pile->n) < 0)
		return pl_fail_memory(error);
	pile->ids[pile->n++] = *id;
	return learn(c, id, REACHED, error);
}

/* That what `entry` says of its child is so. */
static int check_totals(struct pl_checking *c, const struct pl_node *node,
			const struct pl_entry *entry, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_groups groups;
	struct pl_node child;
	int r = pl_checking_node(c, &entry->hash, &child, error);

	if (r <= 0)
		return r;
	r = read_groups(c, &child, &groups, error);
	pl_groups_done(&groups);
	if (r == 1) {
		r = pl_node_check_totals(&c->nodes, &child, &entry->totals, &cause);
		if (r < 0)
			r = tell(c, &node->id, 0, r, &cause, error);
	}
	pl_node_done(&child);
	return r;
}

static int reach_entry(struct pl_checking *c, struct pile *pile, const struct pl_node *node,
		       const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_id object;
	int r;

	if (entry->kind == PLEACH_DIR) {
		r = check_totals(c, node, entry, error); /* N2 */
		return r < 0 ? r : push(c, pile, &entry->hash, error);
	}
	if (entry->kind != PLEACH_FILE || entry->size == 0)
		return 0;
	pl_entry_object(entry, &object);
	return pl_checking_object(c, &object, node, entry, error);
}

static int reach_node(struct pl_checking *c, struct pile *pile, const struct pl_id *id,
		      struct pleach_error *error)
{
	struct pl_groups groups;
	struct pl_entry entry;
	struct pl_node node;
	size_t cursor = 0;
	int r = pl_checking_node(c, id, &node, error);

	if (r <= 0)
		return r;
	r = read_groups(c, &node, &groups, error);
	if (r == 1 && groups.n > 0)
		r = pl_checking_members(c, &node, &groups, error);
	pl_groups_done(&groups);
	while (r >= 0 && pl_node_next(&node, &cursor, &entry))
		r = reach_entry(c, pile, &node, &entry, error);
	pl_node_done(&node);
	return r < 0 ? r : pl_checking_step(c, 0, error);
}

/* Nobody says anything of the root; its sums must be possible. */
static int check_root(struct pl_checking *c, const struct pl_id *tree, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_totals totals;
	struct pl_node node;
	int r = pl_checking_node(c, tree, &node, error);

	if (r <= 0)
		return r;
	if (pl_checking_has_groups(c, tree)) {
		r = pl_node_totals(&c->nodes, &node, &totals, &cause);
		if (r < 0)
			r = tell(c, tree, 0, r, &cause, error);
	}
	pl_node_done(&node);
	return r < 0 ? r : 0;
}

int pl_checking_reach(struct pl_checking *c, const struct pl_id *tree, struct pleach_error *error)
{
	struct pile pile = {0};
	int r = push(c, &pile, tree, error);
	bool is_new = pile.n > 0;

	while (r >= 0 && pile.n > 0) {
		struct pl_id id = pile.ids[--pile.n];

		r = reach_node(c, &pile, &id, error); /* N1 */
	}
	free(pile.ids);
	return r >= 0 && is_new ? check_root(c, tree, error) : r;
}
