/*
 * The directories of the base that those of an upper layer lie over, node by node on the way of the walk.
 *
 * B1  A node of the base is read for each directory of the upper layer that lies over one, and for those
 *     above it where it was moved: no others.
 */
#include <stdlib.h>

#include "source/upper.h"

const struct pl_entry *pl_upper_base_find(struct pl_upper_base *base, const char *name)
{
	struct pl_entry wanted = {.name = name, .name_length = (uint8_t)strlen(name)};

	while (base->is_there) {
		int c;

		if (!base->has_entry) {
			if (!pl_node_next(&base->node, &base->cursor, &base->entry))
				return NULL;
			base->has_entry = true;
		}
		c = pl_entry_compare(&base->entry, &wanted);
		if (c == 0)
			return &base->entry;
		if (c > 0)
			return NULL;
		base->has_entry = false;
	}
	return NULL;
}

static void way_done(struct pl_upper_way *way)
{
	pl_buffer_done(&way->path);
	pl_membership_free(way->groups);
	*way = (struct pl_upper_way){0};
}

static int begin_way(struct pl_upper_ground *ground, struct pleach_error *error)
{
	ground->way = (struct pl_upper_way){0};
	if (!ground->has_groups)
		return 0;
	return pl_membership_new(&ground->nodes, ground->seed, &ground->way.groups, error);
}

/* Reads the node of the directory that the way leads to, and adds its groups to the way. */
static int read_node(struct pl_upper_ground *ground, const struct pl_id *id,
		     struct pl_node *ret_node, struct pleach_error *error)
{
	int r;

	if (!pl_buffer_ok(&ground->way.path))
		return pl_fail_memory(error);
	r = pl_node_read(&ground->nodes, id, ret_node, error);
	if (r < 0 || !ground->way.groups)
		return r;
	r = pl_membership_push(ground->way.groups, pl_buffer_string(&ground->way.path), ret_node,
			       error);
	if (r < 0)
		pl_node_done(ret_node);
	return r;
}

int pl_upper_base_enter_root(struct pl_upper_ground *ground, struct pl_upper_base *ret_base,
			     struct pleach_error *error)
{
	struct pl_upper_base base = {.is_there = true, .is_elsewhere = true};
	int r = begin_way(ground, error);

	if (r >= 0)
		r = read_node(ground, &ground->root, &base.node, error);
	if (r < 0) {
		way_done(&ground->way);
		return r;
	}
	*ret_base = base;
	return 0;
}

int pl_upper_base_enter(struct pl_upper_ground *ground, const char *name, const struct pl_id *node,
			struct pl_upper_base *ret_base, struct pleach_error *error)
{
	struct pl_upper_base base = {.is_there = true};
	int r;

	pl_path_push(&ground->way.path, name, strlen(name));
	r = read_node(ground, node, &base.node, error);
	if (r < 0) {
		if (pl_buffer_ok(&ground->way.path))
			pl_path_pop(&ground->way.path);
		return r;
	}
	*ret_base = base;
	return 0;
}

/* From the node of the root in *node down to `path`. 1; 0: something on it is no directory. */
static int descend(struct pl_upper_ground *ground, const char *path, struct pl_node *node,
		   struct pleach_error *error)
{
	while (*path) {
		size_t length = strcspn(path, "/");
		struct pl_entry entry;
		struct pl_node child;
		int r;

		if (!pl_node_find(node, path, length, &entry) || entry.kind != PLEACH_DIR)
			return 0;
		pl_path_push(&ground->way.path, path, length);
		r = read_node(ground, &entry.hash, &child, error);
		if (r < 0)
			return r;
		pl_node_done(node);
		*node = child;
		path += length + (path[length] == '/');
	}
	return 1;
}

int pl_upper_base_enter_at(struct pl_upper_ground *ground, const char *path,
			   struct pl_upper_base *ret_base, struct pleach_error *error)
{
	struct pl_upper_base base = {.is_there = true, .is_elsewhere = true, .outer = ground->way};
	int r = begin_way(ground, error);

	if (r >= 0)
		r = read_node(ground, &ground->root, &base.node, error);
	if (r >= 0) {
		r = descend(ground, path, &base.node, error);
		if (r <= 0)
			pl_node_done(&base.node);
	}
	if (r <= 0) {
		way_done(&ground->way);
		ground->way = base.outer;
		return r;
	}
	*ret_base = base;
	return 1;
}

void pl_upper_base_leave(struct pl_upper_ground *ground, struct pl_upper_base *base)
{
	if (!base->is_there)
		return;
	pl_node_done(&base->node);
	if (base->is_elsewhere) {
		way_done(&ground->way);
		ground->way = base->outer;
	} else {
		pl_path_pop(&ground->way.path);
		if (ground->way.groups)
			pl_membership_pop(ground->way.groups);
	}
	*base = (struct pl_upper_base){0};
}
