/*
 * Hard links through the index: a file of the base with several names is copied up under the one that was
 * used; the others show what was made of it, and the upper layer does not have them. So its whole
 * group is put: the names that the upper layer has, by the walk, and here all names of the base that
 * still show.
 *
 * L1  Only groups of the base matter: a single name that was copied up is covered by the upper layer. Where
 *     the base has no groups, or nothing was indexed, nothing here costs anything.
 * L2  Which group an indexed inode stands for is nearly always known from a name of it that the upper layer
 *     covers (the name copied up, or the whiteout where it was). Where it is not (all of them went with
 *     their directories) the groups of the base are asked, in those subtrees that have any.
 */
#include <stdlib.h>

#include "source/upper.h"

/* The handle of what the base has at `path`. */
static int read_handle(struct pl_upper_walk *u, const char *path, struct pleach_error *error)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	PL_BUFFER dir = {0};
	int r;

	pl_buffer_add(&dir, path, slash ? (size_t)(slash - path) : 0);
	if (!pl_buffer_ok(&dir))
		return pl_fail_memory(error);
	pl_buffer_truncate(&u->handle, 0);
	r = pl_walk_goto(&u->lower, pl_buffer_string(&dir), false, 0);
	if (r >= 0)
		r = pl_handle_encode(pl_walk_fd(&u->lower), name, &u->handle);
	if (r < 0) {
		pl_fail_sys(error, r, "cannot look at '%s' in the tree below '%s'", path,
			    u->upper->label);
		pl_error_path(error, path);
	}
	return r;
}

/* 1: *ret_inode stands for what the base has at `path`, and this was not known. */
static int find_unknown(struct pl_upper_walk *u, const char *path, size_t *ret_inode,
			struct pleach_error *error)
{
	ssize_t inode;
	int r = read_handle(u, path, error);

	if (r < 0)
		return r;
	inode = pl_upper_inodes_find(&u->inodes, &u->handle);
	if (inode < 0 || u->inodes.list[inode].is_known)
		return 0;
	*ret_inode = (size_t)inode;
	return 1;
}

int pl_upper_links_cover(struct pl_upper_walk *u, const char *base_path,
			 const struct pl_membership *groups, struct pleach_error *error)
{
	struct pl_membership_group group = {0};
	size_t inode;
	int r;

	if (!u->ground.has_groups || u->inodes.n_unknown == 0)
		return 0; /* L1 */
	r = find_unknown(u, base_path, &inode, error);
	if (r <= 0)
		return r;
	pl_upper_inodes_identify(&u->inodes, inode);
	if (!pl_membership_find(groups, base_path, &group))
		return 0;
	for (size_t i = 0; i < group.n_members; i++) {
		PL_BUFFER path = {0};

		pl_membership_member(&group, i, &path);
		if (!pl_buffer_ok(&path) ||
		    pl_upper_inodes_add_member(&u->inodes, inode, pl_buffer_string(&path)) < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

/* ---- asking the groups of the base ---- */

struct pending {
	struct pl_id node;
	char *path;
};
struct search {
	struct pending *stack; /* directories with groups that were not looked at */
	size_t n, capacity;
};

static int push(struct search *search, const char *above, const char *name, size_t length,
		const struct pl_id *node)
{
	PL_BUFFER path = {0};
	struct pending *to;

	if (PL_ARRAY_GROW(search->stack, search->capacity, search->n) < 0)
		return -ENOMEM;
	to = &search->stack[search->n];
	pl_buffer_add_string(&path, above);
	if (length > 0)
		pl_path_push(&path, name, length);
	*to = (struct pending){.node = *node, .path = pl_buffer_take_string(&path)};
	if (!to->path)
		return -ENOMEM;
	search->n++;
	return 0;
}

static int try_group(struct pl_upper_walk *u, const char *dir, const struct pl_groups *groups,
		     size_t group, struct pleach_error *error)
{
	PL_BUFFER path = {0};
	size_t inode, length = strlen(dir);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < groups->groups[group].n_members; i++) {
		pl_buffer_truncate(&path, 0);
		pl_buffer_add(&path, dir, length);
		if (length > 0)
			pl_buffer_add_u8(&path, '/');
		pl_buffer_add_string(&path, pl_groups_path(groups, group, i));
		if (!pl_buffer_ok(&path))
			return pl_fail_memory(error);
		if (i == 0) {
			r = find_unknown(u, pl_buffer_string(&path), &inode, error);
			if (r <= 0)
				return r;
			pl_upper_inodes_identify(&u->inodes, inode);
		}
		r = pl_upper_inodes_add_member(&u->inodes, inode, pl_buffer_string(&path));
	}
	return r < 0 ? pl_fail_memory(error) : 0;
}

static int try_groups(struct pl_upper_walk *u, const char *dir, const struct pl_node *node,
		      struct pleach_error *error)
{
	struct pl_groups groups = {0};
	int r;

	if (node->n_blocks == 0)
		return 0;
	r = pl_groups_read(&u->ground.nodes, node, &groups, error);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && i < groups.n && u->inodes.n_unknown > 0; i++)
		r = try_group(u, dir, &groups, i, error);
	pl_groups_done(&groups);
	return r;
}

static int search_directory(struct pl_upper_walk *u, struct search *search,
			    const struct pending *at, struct pleach_error *error)
{
	struct pl_entry entry;
	struct pl_node node;
	size_t cursor = 0;
	int r = pl_node_read(&u->ground.nodes, &at->node, &node, error);

	if (r < 0)
		return r;
	r = try_groups(u, at->path, &node, error);
	while (r >= 0 && pl_node_next(&node, &cursor, &entry))
		if (entry.kind == PLEACH_DIR && entry.totals.groups > 0 &&
		    push(search, at->path, entry.name, entry.name_length, &entry.hash) < 0)
			r = pl_fail_memory(error);
	pl_node_done(&node);
	return r;
}

/* L2. What is still unknown then is a single name, and covered. */
static int search_base(struct pl_upper_walk *u, struct pleach_error *error)
{
	struct search search = {0};
	int r = push(&search, "", NULL, 0, &u->upper->base);

	if (r < 0)
		pl_fail_memory(error);
	while (r >= 0 && search.n > 0 && u->inodes.n_unknown > 0) {
		struct pending at = search.stack[--search.n];

		r = pl_store_check_cancel(u->upper->store, error);
		if (r >= 0)
			r = search_directory(u, &search, &at, error);
		free(at.path);
	}
	while (search.n > 0)
		free(search.stack[--search.n].path);
	free(search.stack);
	return r < 0 ? r : 0;
}

/* ---- putting ---- */

/* The entry of an inode of which the walk met no name: it is read where the index has it. */
static int read_indexed(struct pl_upper_walk *u, size_t inode, const char *path,
			struct pleach_error *error)
{
	const char *name = (const char *)u->inodes.names.data + u->inodes.list[inode].name;
	struct pl_entry entry;
	struct stat st;
	int r = pl_lstat(u->upper->index_fd, name, &st);

	if (r >= 0 && S_ISREG(st.st_mode))
		r = pl_marks_read_file(u->upper->index_fd, name, u->upper->is_user, &u->marks);
	if (r >= 0 && S_ISREG(st.st_mode) && u->marks.is_metacopy)
		return pl_upper_refuse(u, path, "its content was not copied up", error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read '%s' in the index of the overlay",
				   pl_upper_shown(u, path));
	r = pl_ingest_entry(&u->ingest, NULL, u->upper->index_fd, name, path, &st, &entry, error);
	if (r == 1)
		return pl_fail(error, PLEACH_FAILED, -EAGAIN, "'%s' vanished while it was read",
			       pl_upper_shown(u, path));
	if (r < 0)
		return r;
	u->result->files_read++;
	return pl_upper_inodes_set_entry(&u->inodes, inode, &entry) < 0 ? pl_fail_memory(error) : 0;
}

static int put_member(struct pl_upper_walk *u, size_t inode, const char *base_path,
		      struct pleach_error *error)
{
	const struct pl_entry *entry;
	const char *path, *slash, *name;
	PL_BUFFER now = {0};
	int r = pl_moves_find(&u->moves, base_path, &now);

	if (r <= 0)
		return r < 0 ? pl_fail_memory(error) : 0;
	path = pl_buffer_string(&now);
	slash = strrchr(path, '/');
	name = slash ? slash + 1 : path;
	if (u->inodes.list[inode].body_length == 0) {
		r = read_indexed(u, inode, path, error);
		if (r < 0)
			return r;
	}
	entry = pl_upper_inodes_entry(&u->inodes, inode, name);
	pl_assert(entry);
	return pl_upper_put(u, path, entry, inode + 1, error);
}

int pl_upper_links_put(struct pl_upper_walk *u, struct pleach_error *error)
{
	int r = 0;

	if (!u->ground.has_groups)
		return 0; /* L1 */
	if (u->inodes.n_unknown > 0)
		r = search_base(u, error);
	for (size_t i = 0; r >= 0 && i < u->inodes.n; i++) {
		const struct pl_upper_inode *inode = &u->inodes.list[i];

		for (size_t m = 0; r >= 0 && m < inode->n_members; m++)
			r = put_member(u, i, u->inodes.members.items[inode->member + m], error);
	}
	return r < 0 ? r : 0;
}
