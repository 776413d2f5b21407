/*
 * Hard-link groups of one directory: collecting, sorting, and their blocks, written and read as in
 * docs/format.md, "Hard-link groups". Which directory a group belongs to, who makes it knows; here it
 * is only proved. That members are there in the tree, and equal, is not known here.
 *
 * G1  The members of a group stand together in members[], in the order they were added or sorted to;
 *     groups may stand in another order than their members.
 * G2  Sorted: members by bytes within each group, groups by their first members.
 * G3  Of sorted groups there is one sequence of blocks; the reader refuses every other.
 */
#include "tree/inner.h"

#include <stdlib.h>

#define HEAD_SIZE      (PL_MAGIC_LENGTH(PL_GROUP_MAGIC) + sizeof(uint32_t))
#define PATH_SIZE_MIN  5		       /* length and one byte */
#define GROUP_SIZE_MIN (4 + 2 * PATH_SIZE_MIN) /* number of members and two of them */

void pl_groups_done(struct pl_groups *groups)
{
	free(groups->groups);
	free(groups->members);
	pl_buffer_done(&groups->paths);
	*groups = (struct pl_groups){0};
}

int pl_groups_begin(struct pl_groups *groups)
{
	int r = PL_ARRAY_GROW(groups->groups, groups->capacity, groups->n);

	if (r < 0)
		return r;
	groups->groups[groups->n++] = (struct pl_group){.first_member = groups->n_members};
	return 0;
}

/* Adds bytes of a path that are known to be one. */
static int add_member(struct pl_groups *groups, const void *path, size_t length)
{
	size_t offset = groups->paths.length;
	struct pl_group *group;
	int r;

	pl_assert(groups->n > 0);
	group = &groups->groups[groups->n - 1];
	pl_assert(group->first_member + group->n_members == groups->n_members); /* G1 */
	r = PL_ARRAY_GROW(groups->members, groups->members_capacity, groups->n_members);
	if (r < 0)
		return r;
	pl_buffer_add(&groups->paths, path, length);
	pl_buffer_add_u8(&groups->paths, '\0');
	if (!pl_buffer_ok(&groups->paths))
		return -ENOMEM;
	groups->members[groups->n_members++] = (struct pl_group_member){.offset = offset};
	group->n_members++;
	return 0;
}

int pl_groups_add(struct pl_groups *groups, const char *path)
{
	size_t length = strlen(path);

	pl_assert(groups->n > 0 && pl_path_is_valid(path));
	return length > PL_GROUP_PATH_MAX ? -ENAMETOOLONG : add_member(groups, path, length);
}

static const char *path_of(const struct pl_groups *groups, const struct pl_group_member *member)
{
	pl_assert(member->offset < groups->paths.length);
	return (const char *)groups->paths.data + member->offset;
}

const char *pl_groups_path(const struct pl_groups *groups, size_t group, size_t member)
{
	const struct pl_group *g = &groups->groups[group];

	pl_assert(group < groups->n && member < g->n_members);
	return path_of(groups, &groups->members[g->first_member + member]);
}

ssize_t pl_groups_find(const struct pl_groups *groups, const char *path)
{
	for (size_t group = 0; group < groups->n; group++) {
		for (size_t member = 0; member < groups->groups[group].n_members; member++) {
			if (strcmp(pl_groups_path(groups, group, member), path) == 0)
				return (ssize_t)group;
		}
	}
	return -1;
}

/* ---- order ---- */

static int compare_members(const void *a, const void *b, void *groups)
{
	return strcmp(path_of(groups, a), path_of(groups, b));
}

static int compare_groups(const void *a, const void *b, void *context)
{
	const struct pl_groups *groups = context;
	const struct pl_group *x = a, *y = b;

	return strcmp(path_of(groups, &groups->members[x->first_member]),
		      path_of(groups, &groups->members[y->first_member]));
}

void pl_groups_sort(struct pl_groups *groups)
{
	for (size_t i = 0; i < groups->n; i++) {
		const struct pl_group *g = &groups->groups[i];

		pl_assert(g->n_members >= 2);
		pl_assert(g->first_member + g->n_members <= groups->n_members);
		qsort_r(&groups->members[g->first_member], g->n_members, sizeof(groups->members[0]),
			compare_members, groups);
	}
	if (groups->n > 1)
		qsort_r(groups->groups, groups->n, sizeof(groups->groups[0]), compare_groups,
			groups);
}

/* The rule of the lowest common directory: some member lies right here, or two differ in their first
 * name. Members are sorted, so between two that begin with one "name/" all others do as well. */
static bool belongs_here(const struct pl_groups *groups, size_t group)
{
	const struct pl_group *g = &groups->groups[group];
	const char *first = pl_groups_path(groups, group, 0);
	const char *last = pl_groups_path(groups, group, g->n_members - 1);
	const char *slash = strchr(first, '/');

	return !slash || strncmp(first, last, (size_t)(slash - first) + 1) != 0;
}

/* What is wrong with a group of two members or more, whose predecessors are right (a static text). */
static const char *group_flaw(const struct pl_groups *groups, size_t group)
{
	for (size_t m = 1; m < groups->groups[group].n_members; m++) {
		if (strcmp(pl_groups_path(groups, group, m - 1),
			   pl_groups_path(groups, group, m)) >= 0)
			return "members out of order";
	}
	if (group > 0 &&
	    strcmp(pl_groups_path(groups, group - 1, 0), pl_groups_path(groups, group, 0)) >= 0)
		return "out of order";
	if (!belongs_here(groups, group))
		return "belongs to a directory below";
	return NULL;
}

/* ---- writing ---- */

static uint64_t encoded_size(const struct pl_groups *groups, size_t group)
{
	uint64_t size = sizeof(uint32_t);

	for (size_t m = 0; m < groups->groups[group].n_members; m++)
		size += sizeof(uint32_t) + strlen(pl_groups_path(groups, group, m));
	pl_assert(size >= GROUP_SIZE_MIN);
	return size;
}

static void encode_group(const struct pl_groups *groups, size_t group, struct pl_buffer *b)
{
	size_t n_members = groups->groups[group].n_members;

	pl_buffer_add_u32(b, (uint32_t)n_members);
	for (size_t m = 0; m < n_members; m++) {
		const char *path = pl_groups_path(groups, group, m);

		pl_buffer_add_u32(b, (uint32_t)strlen(path));
		pl_buffer_add_string(b, path);
	}
}

/* Writes the groups from `begin` up to `end` as one block. */
static int write_block(const struct pl_groups *groups, size_t begin, size_t end,
		       const struct pl_node_sink *sink, struct pl_buffer *ids,
		       struct pleach_error *error)
{
	PL_BUFFER block = {0};
	struct pl_id id;
	int r;

	pl_assert(begin < end && end <= groups->n);
	pl_buffer_add(&block, PL_GROUP_MAGIC, PL_MAGIC_LENGTH(PL_GROUP_MAGIC));
	pl_buffer_add_u32(&block, (uint32_t)(end - begin));
	for (size_t i = begin; i < end; i++)
		encode_group(groups, i, &block);
	if (!pl_buffer_ok(&block))
		return pl_fail_memory(error);
	pl_assert(block.length <= PL_GROUP_BLOCK_MAX || end - begin == 1); /* G3 */
	pl_hash_of(block.data, block.length, &id);
	r = sink->write(sink->self, &id, block.data, block.length, error);
	if (r < 0)
		return r;
	pl_buffer_add(ids, id.bytes, sizeof(id.bytes));
	return pl_buffer_ok(ids) ? 0 : pl_fail_memory(error);
}

int pl_groups_write(const struct pl_groups *groups, const struct pl_node_sink *sink,
		    struct pl_buffer *ret_ids, uint32_t *ret_n_blocks, struct pleach_error *error)
{
	uint64_t size = HEAD_SIZE;
	uint32_t n_blocks = 0;
	size_t begin = 0;
	int r;

	for (size_t i = 0; i < groups->n; i++) {
		uint64_t added = encoded_size(groups, i);

		pl_assert(groups->groups[i].n_members >= 2 && !group_flaw(groups, i)); /* G2 */
		if (HEAD_SIZE + added > PL_NODE_SIZE_MAX)
			return pl_fail(error, PLEACH_FAILED, -EOVERFLOW,
				       "too many hard links of %s", pl_groups_path(groups, i, 0));
		if (i > begin && size + added > PL_GROUP_BLOCK_MAX) { /* G3 */
			r = write_block(groups, begin, i, sink, ret_ids, error);
			if (r < 0)
				return r;
			n_blocks++;
			begin = i;
			size = HEAD_SIZE;
		}
		size += added;
	}
	if (begin < groups->n) {
		r = write_block(groups, begin, groups->n, sink, ret_ids, error);
		if (r < 0)
			return r;
		n_blocks++;
	}
	pl_assert(n_blocks <= groups->n);
	*ret_n_blocks = n_blocks;
	return 0;
}

/* ---- reading ---- */

/* 0, -ENOMEM, or -EBADMSG with *ret_flaw (static). */
static int decode_member(struct pl_reader *r, struct pl_groups *groups, const char **ret_flaw)
{
	uint32_t length = pl_read_u32(r);
	const unsigned char *path = pl_read_bytes(r, length);
	int result;

	*ret_flaw = "no valid path";
	if (!path || length == 0 || length > PL_GROUP_PATH_MAX || memchr(path, '\0', length))
		return -EBADMSG;
	result = add_member(groups, path, length);
	if (result < 0)
		return result;
	return pl_path_is_valid(path_of(groups, &groups->members[groups->n_members - 1]))
		       ? 0
		       : -EBADMSG;
}

static int decode_group(struct pl_reader *r, struct pl_groups *groups, const char **ret_flaw)
{
	uint32_t n_members = pl_read_u32(r);
	int result;

	*ret_flaw = "no valid number of members";
	if (n_members < 2 || n_members > (r->length - r->offset) / PATH_SIZE_MIN)
		return -EBADMSG;
	result = pl_groups_begin(groups);
	for (uint32_t i = 0; i < n_members && result >= 0; i++)
		result = decode_member(r, groups, ret_flaw);
	if (result < 0)
		return result;
	pl_assert(groups->groups[groups->n - 1].n_members == n_members);
	*ret_flaw = group_flaw(groups, groups->n - 1);
	return *ret_flaw ? -EBADMSG : 0;
}

/* Appends a block's groups. `*size_before`: of the block before it, 0 if it is the first; then of it. */
static int decode_block(struct pl_reader *r, size_t *size_before, struct pl_groups *groups,
			const char **ret_flaw)
{
	const unsigned char *magic = pl_read_bytes(r, PL_MAGIC_LENGTH(PL_GROUP_MAGIC));
	uint32_t n_groups = pl_read_u32(r);
	int result;

	*ret_flaw = "not a block of groups";
	if (!magic || memcmp(magic, PL_GROUP_MAGIC, PL_MAGIC_LENGTH(PL_GROUP_MAGIC)) != 0)
		return -EBADMSG;
	*ret_flaw = "no valid number of groups";
	if (n_groups == 0 || n_groups > (r->length - r->offset) / GROUP_SIZE_MIN)
		return -EBADMSG;
	for (uint32_t i = 0; i < n_groups; i++) {
		result = decode_group(r, groups, ret_flaw);
		if (result < 0)
			return result;
		*ret_flaw = "the block before it has room for its first group"; /* G3 */
		if (i == 0 && *size_before > 0 &&
		    *size_before + (r->offset - HEAD_SIZE) <= PL_GROUP_BLOCK_MAX)
			return -EBADMSG;
	}
	*ret_flaw = "bytes behind the last group";
	if (r->offset != r->length)
		return -EBADMSG;
	*ret_flaw = "larger than a block of several groups may be"; /* G3 */
	if (n_groups > 1 && r->length > PL_GROUP_BLOCK_MAX)
		return -EBADMSG;
	*size_before = r->length;
	return 0;
}

static int read_block(const struct pl_node_source *source, const struct pl_id *id,
		      size_t *size_before, struct pl_groups *groups, struct pleach_error *error)
{
	PL_BUFFER bytes = {0};
	char hex[PL_ID_HEX + 1];
	const char *flaw = NULL;
	struct pl_reader reader;
	int r;

	r = source->read(source->self, id, &bytes, error);
	if (r < 0)
		return r;
	if (!pl_buffer_ok(&bytes))
		return pl_fail_memory(error);
	reader = pl_reader_of(bytes.data, bytes.length);
	r = decode_block(&reader, size_before, groups, &flaw);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0)
		return pl_fail_corrupt(error, "block %s: %s", pl_id_hex(id, hex), flaw);
	return 0;
}

/* All are sorted together, and neighbours compared. */
int pl_groups_check_unique(const struct pl_groups *groups, const struct pl_node *node,
			   struct pleach_error *error)
{
	PL_FREE struct pl_group_member *all = NULL;
	char hex[PL_ID_HEX + 1];

	if (groups->n < 2)
		return 0;
	all = calloc(groups->n_members, sizeof(*all));
	if (!all)
		return pl_fail_memory(error);
	memcpy(all, groups->members, groups->n_members * sizeof(*all));
	qsort_r(all, groups->n_members, sizeof(*all), compare_members, (void *)groups);
	for (size_t i = 1; i < groups->n_members; i++) {
		if (strcmp(path_of(groups, &all[i - 1]), path_of(groups, &all[i])) == 0)
			return pl_fail_corrupt(error, "node %s: %s is in two hard-link groups",
					       pl_id_hex(&node->id, hex), path_of(groups, &all[i]));
	}
	return 0;
}

int pl_groups_read(const struct pl_node_source *source, const struct pl_node *node,
		   struct pl_groups *ret_groups, struct pleach_error *error)
{
	struct pl_groups groups = {0};
	size_t size_before = 0;
	int r = 0;

	for (uint32_t i = 0; i < node->n_blocks && r >= 0; i++) {
		struct pl_id id;

		memcpy(id.bytes, node->blocks + i * sizeof(id.bytes), sizeof(id.bytes));
		r = read_block(source, &id, &size_before, &groups, error);
	}
	if (r >= 0)
		r = pl_groups_check_unique(&groups, node, error);
	if (r < 0) {
		pl_groups_done(&groups);
		return r;
	}
	pl_assert(groups.n >= node->n_blocks && groups.n_members >= 2 * groups.n);
	*ret_groups = groups;
	return 0;
}
