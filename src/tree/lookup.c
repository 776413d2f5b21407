/*
 * What is at one path, found by its names from the root down. One node is held at a time. Totals are
 * not proved on the way: nothing here depends on them, and a path has an end.
 */
#include "tree/inner.h"

static int fail_missing(struct pleach_error *error, const char *path)
{
	int r = pl_fail_not_found(error, "%s is not in the tree", path);

	pl_error_path(error, path);
	return r;
}

/* 1: `*node` is now that of the directory `entry` of it. */
static int descend(const struct pl_node_source *source, struct pl_node *node,
		   const struct pl_entry *entry, struct pleach_error *error)
{
	struct pl_node child;
	int r;

	pl_assert(entry->kind == PLEACH_DIR);
	r = pl_node_read(source, &entry->hash, &child, error);
	if (r < 0)
		return r;
	pl_node_done(node);
	*node = child;
	return 0;
}

/* Sets *links if one of the node's own groups holds `relative`. */
static int count_links(const struct pl_node_source *source, const struct pl_node *node,
		       const char *relative, uint64_t *links, struct pleach_error *error)
{
	struct pl_groups groups;
	ssize_t group;
	int r;

	if (node->n_blocks == 0)
		return 0;
	r = pl_groups_read(source, node, &groups, error);
	if (r < 0)
		return r;
	group = pl_groups_find(&groups, relative);
	if (group >= 0) {
		*links = groups.groups[group].n_members;
		pl_assert(*links >= 2);
	}
	pl_groups_done(&groups);
	return 0;
}

/* From the root in `*node` to the directory that holds the last name. `links`: NULL if not asked. */
static int walk(const struct pl_node_source *source, const char *path, struct pl_node *node,
		struct pl_entry *ret_entry, uint64_t *links, struct pleach_error *error)
{
	const char *rest = path;
	struct pl_entry entry;
	int r = 0;

	for (;;) {
		size_t length = strcspn(rest, "/");

		pl_assert(length > 0); /* the path is valid */
		if (links)
			r = count_links(source, node, rest, links, error);
		if (r < 0)
			return r;
		if (!pl_node_find(node, rest, length, &entry))
			return fail_missing(error, path);
		rest += length;
		if (!*rest)
			break;
		if (entry.kind != PLEACH_DIR)
			return fail_missing(error, path);
		r = descend(source, node, &entry, error);
		if (r < 0)
			return r;
		rest++;
	}
	*ret_entry = entry;
	return 0;
}

static int find(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		struct pl_found *ret_found, uint64_t *links, struct pleach_error *error)
{
	struct pl_found found = {0};
	int r;

	if (!path || !*path) {
		found.is_root = found.is_dir = true;
		found.directory = *root;
		*ret_found = found;
		return 0;
	}
	if (!pl_path_is_valid(path))
		return pl_fail_usage(error, "%s is not a path within a tree", path);
	r = pl_node_read(source, root, &found.parent, error);
	if (r >= 0)
		r = walk(source, path, &found.parent, &found.entry, links, error);
	if (r < 0) {
		pl_found_done(&found);
		return r;
	}
	found.is_dir = found.entry.kind == PLEACH_DIR;
	if (found.is_dir)
		found.directory = found.entry.hash;
	*ret_found = found;
	return 0;
}

int pl_lookup(const struct pl_node_source *source, const struct pl_id *root, const char *path,
	      struct pl_found *ret_found, struct pleach_error *error)
{
	return find(source, root, path, ret_found, NULL, error);
}

void pl_found_done(struct pl_found *found)
{
	pl_node_done(&found->parent);
	*found = (struct pl_found){0};
}

int pl_lookup_links(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		    uint64_t *ret_links, struct pleach_error *error)
{
	struct pl_found found = {0};
	uint64_t links = 1;
	bool is_dir;
	int r = find(source, root, path, &found, &links, error);

	if (r < 0)
		return r;
	is_dir = found.is_dir;
	pl_found_done(&found);
	if (is_dir && links > 1)
		return pl_fail_corrupt(error, "%s is a directory and in a hard-link group", path);
	*ret_links = links;
	return 0;
}
