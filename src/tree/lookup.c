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

/* What is asked about the group of a path. */
struct asked {
	uint64_t links;		  /* members, 1: it is in none */
	struct pl_strings *paths; /* of all members, from the root, if they are asked for too */
};

/* `length`: of the part of `path` that leads to the groups' directory, with its '/'. */
static int add_members(const struct pl_groups *groups, size_t group, const char *path,
		       size_t length, struct pl_strings *paths, struct pleach_error *error)
{
	PL_BUFFER member = {0};

	for (size_t m = 0; m < groups->groups[group].n_members; m++) {
		pl_buffer_truncate(&member, 0);
		pl_buffer_add(&member, path, length);
		pl_buffer_add_string(&member, pl_groups_path(groups, group, m));
		if (!pl_buffer_ok(&member) || pl_strings_add(paths, pl_buffer_string(&member)) < 0)
			return pl_fail_memory(error);
	}
	return 0;
}

/* Answers if one of the node's own groups holds `relative`, a part of `path`. */
static int ask(const struct pl_node_source *source, const struct pl_node *node, const char *path,
	       const char *relative, struct asked *asked, struct pleach_error *error)
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
	if (group >= 0 && asked->links > 1) {
		r = pl_fail_corrupt(error, "%s is in two hard-link groups", path);
	} else if (group >= 0) {
		asked->links = groups.groups[group].n_members;
		pl_assert(asked->links >= 2);
		if (asked->paths)
			r = add_members(&groups, (size_t)group, path, (size_t)(relative - path),
					asked->paths, error);
	}
	pl_groups_done(&groups);
	return r;
}

/* From the root in `*node` to the directory that holds the last name. `asked`: NULL if nothing is. */
static int walk(const struct pl_node_source *source, const char *path, struct pl_node *node,
		struct pl_entry *ret_entry, struct asked *asked, struct pleach_error *error)
{
	const char *rest = path;
	struct pl_entry entry;
	int r = 0;

	for (;;) {
		size_t length = strcspn(rest, "/");

		pl_assert(length > 0); /* the path is valid */
		if (asked)
			r = ask(source, node, path, rest, asked, error);
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
		struct pl_found *ret_found, struct asked *asked, struct pleach_error *error)
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
		r = walk(source, path, &found.parent, &found.entry, asked, error);
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

static int find_group(const struct pl_node_source *source, const struct pl_id *root,
		      const char *path, struct asked *asked, struct pleach_error *error)
{
	struct pl_found found = {0};
	bool is_dir;
	int r = find(source, root, path, &found, asked, error);

	if (r < 0)
		return r;
	is_dir = found.is_dir;
	pl_found_done(&found);
	if (is_dir && asked->links > 1)
		return pl_fail_corrupt(error, "%s is a directory and in a hard-link group", path);
	return 0;
}

int pl_lookup_links(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		    uint64_t *ret_links, struct pleach_error *error)
{
	struct asked asked = {.links = 1};
	int r = find_group(source, root, path, &asked, error);

	if (r < 0)
		return r;
	*ret_links = asked.links;
	return 0;
}

int pl_lookup_group(const struct pl_node_source *source, const struct pl_id *root, const char *path,
		    struct pl_strings *ret_paths, struct pleach_error *error)
{
	struct pl_strings paths = {0};
	struct asked asked = {.links = 1, .paths = &paths};
	int r = find_group(source, root, path, &asked, error);

	if (r >= 0 && asked.links == 1 && pl_strings_add(&paths, path ? path : "") < 0)
		r = pl_fail_memory(error);
	for (size_t i = 0; i < paths.n && r >= 0; i++) {
		if (pl_strings_add(ret_paths, paths.items[i]) < 0)
			r = pl_fail_memory(error);
	}
	pl_strings_done(&paths);
	return r;
}
