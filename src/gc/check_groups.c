/*
 * The members of a node's hard-link groups: each is there in the node's tree, none is a directory, the
 * entries of a group are alike, and none is in a group of a directory below.
 *
 * The members, sorted as a walk meets paths, are held against such a walk; directories without a member
 * in them are passed over. So the cost is that of the directories that members are in.
 */
#include <stdlib.h>

#include "gc/checking.h"

struct member {
	const char *path;
	size_t group;
};
struct members {
	struct pl_checking *c;
	const struct pl_node *node;
	struct member *all;
	size_t n, next;
	struct pl_id *alike; /* for each group, what its first member that was met is like */
	bool *is_met;	     /* was one met? */
};

static int by_path(const void *a, const void *b)
{
	return pl_path_compare(((const struct member *)a)->path, ((const struct member *)b)->path);
}

static int fault(struct members *m, const char *path, const char *what, struct pleach_error *error)
{
	char where[PL_POOL_PATH];

	pl_checking_pool_path("nodes", &m->node->id, where);
	return pl_checking_fault(m->c, error, "node", where, "the member '%s' of a group %s", path,
				 what);
}

/* Everything that stands before `path` (NULL: the end) was not met. */
static int pass(struct members *m, const char *path, struct pleach_error *error)
{
	int r = 0;

	while (r >= 0 && m->next < m->n &&
	       (!path || pl_path_compare(m->all[m->next].path, path) < 0))
		r = fault(m, m->all[m->next++].path, "is not there", error);
	return r;
}

static bool is_next(const struct members *m, const char *path)
{
	return m->next < m->n && strcmp(m->all[m->next].path, path) == 0;
}

static int meet(struct members *m, const struct pl_entry *entry, struct pleach_error *error)
{
	const struct member *member = &m->all[m->next++];
	PL_BUFFER b = {0};
	struct pl_id like;

	pl_buffer_add_u8(&b, (uint8_t)entry->kind);
	pl_buffer_add(&b, entry->body, entry->body_length);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	pl_hash_of(b.data, b.length, &like);
	if (!m->is_met[member->group]) {
		m->is_met[member->group] = true;
		m->alike[member->group] = like;
		return 0;
	}
	if (pl_id_equal(&m->alike[member->group], &like))
		return 0;
	return fault(m, member->path, "is not like the others", error);
}

static int step(struct members *m, struct pl_cursor *cursor, int what, struct pleach_error *error)
{
	const char *path = pl_cursor_path(cursor);
	int r;

	if (what == PL_STEP_LEAVE || path[0] == '\0')
		return 0;
	r = pass(m, path, error);
	if (r < 0)
		return r;
	if (what == PL_STEP_ENTRY)
		return is_next(m, path) ? meet(m, pl_cursor_entry(cursor), error) : 0;
	if (is_next(m, path)) {
		r = fault(m, path, "is a directory", error);
		m->next++;
	}
	if (m->next == m->n || !pl_path_is_below(m->all[m->next].path, path))
		pl_cursor_skip(cursor);
	return r;
}

static int walk(struct members *m, struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	char where[PL_POOL_PATH];
	struct pl_cursor *cursor;
	/* With groups: the cursor finds a path that is in one of a directory below, too. */
	int r = pl_cursor_new(&m->c->nodes, &m->node->id, true, m->c->store->seed, &cursor, error);
	int walked;

	if (r < 0)
		return r;
	while (r >= 0 && (walked = pl_cursor_next(cursor, &cause)) > 0)
		r = step(m, cursor, walked, error);
	pl_cursor_free(cursor);
	if (r < 0)
		return r;
	if (walked == 0)
		return pass(m, NULL, error);
	pl_checking_pool_path("nodes", &m->node->id, where);
	if (walked != -EBADMSG)
		return pl_checking_cannot(m->c, walked, "node", where, error);
	return pl_checking_fault(m->c, error, "node", where, "its groups cannot be verified: %s",
				 cause.message);
}

static int fill_and_walk(struct members *m, const struct pl_groups *groups,
			 struct pleach_error *error)
{
	for (size_t g = 0; g < groups->n; g++)
		for (size_t i = 0; i < groups->groups[g].n_members; i++)
			m->all[m->n++] = (struct member){pl_groups_path(groups, g, i), g};
	pl_assert(m->n == groups->n_members);
	qsort(m->all, m->n, sizeof(*m->all), by_path);
	return walk(m, error);
}

int pl_checking_members(struct pl_checking *c, const struct pl_node *node,
			const struct pl_groups *groups, struct pleach_error *error)
{
	struct members m = {.c = c, .node = node};
	const struct pl_subject before = pl_checking_about(c, PL_SUBJECT_NODE, &node->id, 0);
	int r;

	pl_assert(groups->n > 0);
	m.all = calloc(groups->n_members, sizeof(*m.all));
	m.alike = calloc(groups->n, sizeof(*m.alike));
	m.is_met = calloc(groups->n, sizeof(*m.is_met));
	if (m.all && m.alike && m.is_met)
		r = fill_and_walk(&m, groups, error);
	else
		r = pl_fail_memory(error);
	free(m.all);
	free(m.alike);
	free(m.is_met);
	c->subject = before;
	return r;
}
