/*
 * What REV[:path] leads to in the nodes of a store, for the calls that look into trees.
 */
#include "api/inner.h"

int pl_target_open(struct pl_store *store, const char *spec, struct pl_target *ret_target,
		   struct pleach_error *error)
{
	struct pl_target target = {.pin = PL_PIN_NONE, .nodes = pl_store_nodes(store)};
	int r = pl_store_must_read(store, error);

	if (r >= 0)
		r = pl_rev_resolve(store, spec, NULL, &target.rev, error);
	if (r < 0)
		return r;
	/* Best effort: what cannot be pinned can still be looked at, as on a store that is damaged. */
	(void)pl_pin_try(store, &target.rev.tree, &target.pin, NULL);
	r = pl_lookup(&target.nodes, &target.rev.tree, target.rev.path, &target.found, error);
	if (r < 0) {
		if (r == -ENOENT)
			pl_error_prefix(error, "'%s'", spec);
		pl_pin_done(&target.pin);
		pl_rev_done(&target.rev);
		return r;
	}
	*ret_target = target;
	return 0;
}

void pl_target_close(struct pl_target *target)
{
	pl_found_done(&target->found);
	pl_pin_done(&target->pin);
	pl_rev_done(&target->rev);
}

int pl_target_must_be_directory(const struct pl_target *target, const char *spec,
				struct pleach_error *error)
{
	if (target->found.is_dir)
		return 0;
	return pl_fail(error, PLEACH_FAILED, -ENOTDIR, "'%s' is no directory", spec);
}

static int copy_limit(const char *path, struct pl_strings *limits, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	size_t length;

	while (path[0] == '.' && path[1] == '/')
		path += 1 + strspn(path + 1, "/");
	length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length != 1 || path[0] != '.')
		pl_buffer_add(&b, path, length);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	if (b.length > 0 && !pl_path_is_valid(pl_buffer_string(&b))) {
		pl_fail_usage(error, "'%s' is no path within a tree", path);
		pl_hint(error, "paths are relative to the root of the tree");
		return -EINVAL;
	}
	return pl_strings_add(limits, pl_buffer_string(&b)) < 0 ? pl_fail_memory(error) : 0;
}

int pl_limits_copy(const char *const *paths, struct pl_strings *ret_limits,
		   struct pleach_error *error)
{
	struct pl_strings limits = {0};

	for (size_t i = 0; paths && paths[i]; i++) {
		int r = copy_limit(paths[i], &limits, error);

		if (r < 0) {
			pl_strings_done(&limits);
			return r;
		}
	}
	*ret_limits = limits;
	return 0;
}
