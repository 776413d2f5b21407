/*
 * pleach_tx_put() and its like: edits of a transaction's tree without any program.
 */
#include "tx/edits.h"
#include "api/tx.h"

/* The way for it, if all paths of the call are of the right form. */
static int begin(struct pleach_tx *tx, const struct pl_edit_call *call, bool may_be_root,
		 bool other_is_path, const struct pl_edit_ops **ret_ops, struct pleach_error *error)
{
	const char *bad = NULL;

	if (!(may_be_root && call->path[0] == '\0') && !pl_path_is_valid(call->path))
		bad = call->path;
	else if (other_is_path && !pl_path_is_valid(call->other))
		bad = call->other;
	if (bad) {
		pl_fail_usage(error, "'%s' is no place in a tree", bad);
		pl_hint(error, "a relative path without '.', '..' and empty names");
		return -EINVAL;
	}
	if (tx->inner->is_done) {
		pl_fail(error, PLEACH_FAILED, -EINVAL, "transaction %s has ended",
			tx->inner->dir.id);
		return -EINVAL;
	}
	if (tx->inner->is_running) {
		pl_fail(error, PLEACH_BUSY, -EBUSY, "a program runs in transaction %s",
			tx->inner->dir.id);
		return -EBUSY;
	}
	return pl_edit_ops_of(tx->inner, ret_ops, error);
}

/* As much of it as the caller's header knows. NULL stays NULL. */
static const struct pleach_metadata *copy_metadata(const struct pleach_metadata *given,
						   struct pleach_metadata *copy)
{
	const struct pleach_metadata none = PLEACH_METADATA_INIT;

	*copy = none;
	PL_OPTIONS(*copy, given);
	return given ? copy : NULL;
}

int pleach_tx_put(struct pleach_tx *tx, const char *path, const void *data, size_t length,
		  const struct pleach_metadata *metadata, struct pleach_error *error)
{
	struct pleach_metadata copy;
	struct pl_edit_call call = {.path = path,
				    .content_fd = -EBADF,
				    .data = data,
				    .length = length,
				    .metadata = copy_metadata(metadata, &copy)};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path && (data || length == 0));
	r = begin(tx, &call, false, false, &ops, error);
	return r < 0 ? r : ops->put(tx->inner, &call, error);
}

int pleach_tx_put_fd(struct pleach_tx *tx, const char *path, int fd,
		     const struct pleach_metadata *metadata, struct pleach_error *error)
{
	struct pleach_metadata copy;
	struct pl_edit_call call = {
		.path = path, .content_fd = fd, .metadata = copy_metadata(metadata, &copy)};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path);
	if (fd < 0)
		return pl_fail(error, PLEACH_USAGE, -EBADF, "no descriptor to read '%s' from",
			       path);
	r = begin(tx, &call, false, false, &ops, error);
	return r < 0 ? r : ops->put(tx->inner, &call, error);
}

int pleach_tx_mkdir(struct pleach_tx *tx, const char *path, const struct pleach_metadata *metadata,
		    struct pleach_error *error)
{
	struct pleach_metadata copy;
	struct pl_edit_call call = {
		.path = path, .content_fd = -EBADF, .metadata = copy_metadata(metadata, &copy)};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path);
	r = begin(tx, &call, false, false, &ops, error);
	return r < 0 ? r : ops->mkdir(tx->inner, &call, error);
}

int pleach_tx_symlink(struct pleach_tx *tx, const char *path, const char *target,
		      const struct pleach_metadata *metadata, struct pleach_error *error)
{
	struct pleach_metadata copy;
	struct pl_edit_call call = {.path = path,
				    .other = target,
				    .content_fd = -EBADF,
				    .metadata = copy_metadata(metadata, &copy)};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path && target);
	r = begin(tx, &call, false, false, &ops, error);
	return r < 0 ? r : ops->symlink(tx->inner, &call, error);
}

int pleach_tx_link(struct pleach_tx *tx, const char *path, const char *link,
		   struct pleach_error *error)
{
	struct pl_edit_call call = {.path = path, .other = link, .content_fd = -EBADF};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path && link);
	r = begin(tx, &call, false, true, &ops, error);
	return r < 0 ? r : ops->link(tx->inner, &call, error);
}

int pleach_tx_remove(struct pleach_tx *tx, const char *path, struct pleach_error *error)
{
	struct pl_edit_call call = {.path = path, .content_fd = -EBADF};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path);
	r = begin(tx, &call, false, false, &ops, error);
	return r < 0 ? r : ops->remove(tx->inner, &call, error);
}

int pleach_tx_rename(struct pleach_tx *tx, const char *from, const char *to,
		     struct pleach_error *error)
{
	struct pl_edit_call call = {.path = from, .other = to, .content_fd = -EBADF};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && from && to);
	r = begin(tx, &call, false, true, &ops, error);
	return r < 0 ? r : ops->rename(tx->inner, &call, error);
}

int pleach_tx_set_metadata(struct pleach_tx *tx, const char *path,
			   const struct pleach_metadata *metadata, struct pleach_error *error)
{
	struct pleach_metadata copy;
	struct pl_edit_call call = {
		.path = path, .content_fd = -EBADF, .metadata = copy_metadata(metadata, &copy)};
	const struct pl_edit_ops *ops;
	int r;

	pl_assert(tx && path && metadata);
	r = begin(tx, &call, true, false, &ops, error);
	return r < 0 ? r : ops->set_metadata(tx->inner, &call, error);
}
