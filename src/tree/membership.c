/*
 * Which group is a path of the tree in: the groups of all directories from the root of a walk down to
 * where it is. Only directories that have groups cost anything. Blocks are read by groups.c; what
 * belongs to a member's entry, mode or content, is not known here.
 *
 * Each level keeps a map from the hash of a member's path from the root to where it stands in the
 * groups: a lookup hashes the path once and asks each level. Paths have any length, the map's keys
 * have one; the path that is found is compared all the same.
 *
 * M1  Levels are in the order of their depth, one for each directory on the way that has groups.
 * M2  A path is in one group of all levels at most.
 * M3  A number is never used again in the life of a membership.
 */
#include "tree/inner.h"

#include <stdlib.h>

struct sorted {
	const char *path; /* in the level's groups */
	size_t group;
};
struct level {
	size_t depth; /* of the directory: how many were pushed before it */
	char *prefix; /* its path from the root, "" there */
	size_t prefix_length;
	struct pl_groups groups;
	struct pl_map index;   /* hash of the path from the root: group << 32 | member */
	uint64_t first_number; /* of the group 0 */
	struct sorted *sorted; /* all members by path, made when they are first asked for so */
};

struct pl_membership {
	struct pl_node_source source;
	uint64_t seed, next_number;
	size_t depth; /* directories that are pushed */
	struct level *levels;
	size_t n, capacity;
};

static void level_done(struct level *level)
{
	free(level->prefix);
	pl_groups_done(&level->groups);
	pl_map_done(&level->index);
	free(level->sorted);
}

int pl_membership_new(const struct pl_node_source *source, uint64_t seed,
		      struct pl_membership **ret_membership, struct pleach_error *error)
{
	struct pl_membership *m = calloc(1, sizeof(*m));

	if (!m)
		return pl_fail_memory(error);
	m->source = *source;
	m->seed = seed;
	*ret_membership = m;
	return 0;
}

void pl_membership_free(struct pl_membership *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		level_done(&m->levels[i]);
	free(m->levels);
	free(m);
}

/* ---- looking ---- */

/* Is `path` (from the root) the member `relative` of this level? */
static bool is_member(const struct level *level, const char *relative, const char *path)
{
	size_t length = level->prefix_length;

	if (length == 0)
		return strcmp(path, relative) == 0;
	return strncmp(path, level->prefix, length) == 0 && path[length] == '/' &&
	       strcmp(path + length + 1, relative) == 0;
}

static bool find(const struct pl_membership *m, const char *path, const struct pl_id *key,
		 size_t *ret_level, size_t *ret_index)
{
	for (size_t i = m->n; i > 0; i--) {
		const struct level *level = &m->levels[i - 1];
		const uint64_t *at = pl_map_get(&level->index, key);
		size_t group;

		if (!at)
			continue;
		group = (size_t)(*at >> 32);
		pl_assert(group < level->groups.n);
		if (!is_member(level, pl_groups_path(&level->groups, group, *at & UINT32_MAX),
			       path))
			continue;
		*ret_level = i - 1;
		*ret_index = group;
		return true;
	}
	return false;
}

static struct pl_membership_group group_of(const struct pl_membership *m, size_t level,
					   size_t index)
{
	struct pl_membership_group group = {
		.number = m->levels[level].first_number + index,
		.n_members = m->levels[level].groups.groups[index].n_members,
		.owner = m,
		.level = level,
		.index = index,
	};

	pl_assert(group.n_members >= 2 && group.number < m->next_number);
	return group;
}

bool pl_membership_find(const struct pl_membership *m, const char *path,
			struct pl_membership_group *ret_group)
{
	size_t level, index;
	struct pl_id key;

	if (m->n == 0)
		return false;
	pl_hash_of(path, strlen(path), &key);
	if (!find(m, path, &key, &level, &index))
		return false;
	*ret_group = group_of(m, level, index);
	return true;
}

/* Appends the path from the root of what is `relative` to the level's directory. */
static void add_path(const struct level *level, const char *relative, struct pl_buffer *b)
{
	if (level->prefix_length > 0) {
		pl_buffer_add(b, level->prefix, level->prefix_length);
		pl_buffer_add_u8(b, '/');
	}
	pl_buffer_add_string(b, relative);
}

void pl_membership_member(const struct pl_membership_group *group, size_t i, struct pl_buffer *b)
{
	const struct level *level;

	pl_assert(group->level < group->owner->n && i < group->n_members);
	level = &group->owner->levels[group->level];
	pl_assert(group->index < level->groups.n);
	pl_assert(group->number == level->first_number + group->index); /* of now, not of before */
	add_path(level, pl_groups_path(&level->groups, group->index, i), b);
}

bool pl_membership_is_empty(const struct pl_membership *m)
{
	return m->n == 0;
}

size_t pl_membership_own_groups(const struct pl_membership *m)
{
	pl_assert(m->depth > 0);
	if (m->n == 0 || m->levels[m->n - 1].depth + 1 != m->depth)
		return 0;
	return m->levels[m->n - 1].groups.n;
}

/* ---- what lies below ---- */

static int compare_sorted(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static int sort_members(struct level *level)
{
	struct sorted *sorted;
	size_t n = 0;

	if (level->sorted)
		return 0;
	sorted = calloc(level->groups.n_members, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t group = 0; group < level->groups.n; group++)
		for (size_t i = 0; i < level->groups.groups[group].n_members; i++)
			sorted[n++] = (struct sorted){
				.path = pl_groups_path(&level->groups, group, i), .group = group};
	pl_assert(n == level->groups.n_members && n > 0);
	qsort(sorted, n, sizeof(*sorted), compare_sorted);
	level->sorted = sorted;
	return 0;
}

/* Where `path` stands to what is below `directory`: 0 among it, else before (< 0) or behind. In the
 * order of compare_sorted(). */
static int compare_below(const char *path, const char *directory, size_t length)
{
	int c = strncmp(path, directory, length);

	return c != 0 ? c : (unsigned char)path[length] - '/';
}

/* The first that is not before what is below `directory`. */
static size_t first_below(const struct level *level, const char *directory, size_t length)
{
	size_t low = 0, high = level->groups.n_members;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_below(level->sorted[middle].path, directory, length) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* `path` as the level's groups have it; NULL: it is the level's own directory. */
static const char *relative_to(const struct level *level, const char *path)
{
	if (level->prefix_length == 0)
		return path;
	pl_assert(strncmp(path, level->prefix, level->prefix_length) == 0);
	path += level->prefix_length;
	return *path == '/' ? path + 1 : NULL;
}

int pl_membership_next_below(const struct pl_membership *m, const char *path,
			     struct pl_membership_below *below,
			     struct pl_membership_group *ret_group, struct pl_buffer *ret_member)
{
	pl_assert(*path != '\0');
	for (; below->level < m->n; below->level++, below->has_begun = false) {
		struct level *level = &m->levels[below->level];
		const char *directory = relative_to(level, path);
		size_t length = directory ? strlen(directory) : 0;
		const struct sorted *found;

		if (!directory)
			continue;
		if (!below->has_begun) {
			if (sort_members(level) < 0)
				return -ENOMEM;
			below->at = first_below(level, directory, length);
			below->has_begun = true;
		}
		if (below->at == level->groups.n_members)
			continue;
		found = &level->sorted[below->at];
		if (compare_below(found->path, directory, length) != 0)
			continue;
		below->at++;
		*ret_group = group_of(m, below->level, found->group);
		pl_buffer_truncate(ret_member, 0);
		add_path(level, found->path, ret_member);
		return pl_buffer_ok(ret_member) ? 1 : -ENOMEM;
	}
	return 0;
}

/* ---- levels ---- */

static int index_member(const struct pl_membership *m, struct level *level, size_t group,
			size_t member, struct pl_buffer *path, struct pleach_error *error)
{
	size_t other_level, other_index;
	struct pl_id key;
	int r;

	pl_buffer_truncate(path, 0);
	add_path(level, pl_groups_path(&level->groups, group, member), path);
	if (!pl_buffer_ok(path))
		return pl_fail_memory(error);
	pl_hash_of(path->data, path->length, &key);
	if (find(m, pl_buffer_string(path), &key, &other_level, &other_index)) /* M2 */
		return pl_fail_corrupt(error, "%s is in two hard-link groups",
				       pl_buffer_string(path));
	r = pl_map_put(&level->index, &key, (uint64_t)group << 32 | member);
	if (r < 0)
		return pl_fail_memory(error);
	pl_assert(r == 0); /* no path twice: pl_groups_read() has seen to it */
	return 0;
}

static int index_level(const struct pl_membership *m, struct level *level,
		       struct pleach_error *error)
{
	PL_BUFFER path = {0};
	int r = 0;

	if (level->groups.n > UINT32_MAX || level->groups.n_members > UINT32_MAX)
		return pl_fail_memory(error);
	pl_map_init(&level->index, sizeof(struct pl_id), m->seed);
	for (size_t group = 0; group < level->groups.n && r >= 0; group++) {
		for (size_t i = 0; i < level->groups.groups[group].n_members && r >= 0; i++)
			r = index_member(m, level, group, i, &path, error);
	}
	return r;
}

static int fill_level(const struct pl_membership *m, const char *path, const struct pl_node *node,
		      struct level *level, struct pleach_error *error)
{
	int r;

	level->depth = m->depth;
	level->first_number = m->next_number;
	level->prefix = strdup(path);
	if (!level->prefix)
		return pl_fail_memory(error);
	level->prefix_length = strlen(path);
	r = pl_groups_read(&m->source, node, &level->groups, error);
	return r < 0 ? r : index_level(m, level, error);
}

int pl_membership_push(struct pl_membership *m, const char *path, const struct pl_node *node,
		       struct pleach_error *error)
{
	struct level level = {0};
	int r;

	pl_assert((*path == '\0') == (m->depth == 0));
	if (node->n_blocks == 0) {
		m->depth++;
		return 0;
	}
	if (PL_ARRAY_GROW(m->levels, m->capacity, m->n) < 0)
		return pl_fail_memory(error);
	r = fill_level(m, path, node, &level, error);
	if (r < 0) {
		level_done(&level);
		return r;
	}
	pl_assert(level.groups.n > 0 && level.index.n == level.groups.n_members);
	pl_assert(m->n == 0 || m->levels[m->n - 1].depth < level.depth); /* M1 */
	m->levels[m->n++] = level;
	m->next_number += level.groups.n; /* M3 */
	m->depth++;
	return 0;
}

void pl_membership_pop(struct pl_membership *m)
{
	pl_assert(m->depth > 0);
	m->depth--;
	if (m->n > 0 && m->levels[m->n - 1].depth == m->depth)
		level_done(&m->levels[--m->n]);
	pl_assert(m->n <= m->depth);
}
