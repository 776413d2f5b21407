/*
 * pleach_file_*(): the content of a file, from its object, verified while it is read.
 *
 * F1  Nothing is handed out beyond the length that the tree states, and the read that reaches it hands
 *     its bytes out only if the content as a whole is what was published.
 */
#include <limits.h>
#include <stdlib.h>

#include "api/inner.h"

struct pleach_file {
	struct pl_target target;
	int fd; /* -EBADF: an empty file, which has no object */
	struct pl_hash *hash;
	uint64_t size, at;
	struct pl_id content;
	char *label;
	bool is_damaged;
};

static int fail_damaged(struct pleach_file *file, const char *what, struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	struct pl_id object;

	file->is_damaged = true;
	pl_entry_object(&file->target.found.entry, &object);
	pl_fail_corrupt(error, "'%s': object %s %s", file->label, pl_id_hex(&object, hex), what);
	pl_hint(error, "pleach check lists all that is damaged");
	return -EBADMSG;
}

static int must_be_file(const struct pl_target *target, const char *rev, struct pleach_error *error)
{
	int r;

	if (!target->rev.path) {
		r = pl_fail_usage(error, "'%s' is a whole tree", rev);
		pl_hint(error, "name a file in it: %s:PATH", rev);
		return r;
	}
	if (target->found.is_dir)
		return pl_fail(error, PLEACH_FAILED, -EISDIR, "'%s' is a directory", rev);
	if (target->found.entry.kind == PLEACH_FILE)
		return 0;
	r = pl_fail_usage(error, "'%s' is no regular file", rev);
	if (target->found.entry.kind == PLEACH_SYMLINK)
		pl_hint(error, "it is a symlink; pleach ls -l shows where to");
	return r;
}

static int open_object(struct pleach_file *file, struct pl_store *store, struct pleach_error *error)
{
	const struct pl_entry *entry = &file->target.found.entry;
	struct pl_id object;

	file->size = entry->size;
	file->content = entry->hash;
	if (file->size == 0)
		return 0;
	pl_entry_object(entry, &object);
	file->fd = pl_store_find(store, 'o', &object);
	if (file->fd == -ENOENT)
		return fail_damaged(file, "is missing", error);
	if (file->fd < 0)
		return pl_fail_sys(error, file->fd, "cannot open the object of '%s'", file->label);
	return pl_hash_new(&file->hash) < 0 ? pl_fail_memory(error) : 0;
}

int pleach_file_open(struct pleach_store *store, const char *rev, struct pleach_file **ret_file,
		     struct pleach_error *error)
{
	struct pleach_file *file = calloc(1, sizeof(*file));
	int r;

	pl_assert(store && rev && ret_file);
	if (!file)
		return pl_fail_memory(error);
	file->fd = -EBADF;
	r = pl_target_open(store->inner, rev, &file->target, error);
	if (r < 0) {
		free(file);
		return r;
	}
	file->label = strdup(rev);
	r = file->label ? must_be_file(&file->target, rev, error) : pl_fail_memory(error);
	if (r >= 0)
		r = open_object(file, store->inner, error);
	file->target.rev.path = NULL; /* it is the caller's */
	if (r < 0) {
		pleach_file_close(file);
		return r;
	}
	*ret_file = file;
	return 0;
}

/* All is read: is it what was published? (F1) */
static int verify(struct pleach_file *file, struct pleach_error *error)
{
	unsigned char more;
	struct pl_id content;
	ssize_t n = pl_read_full(file->fd, &more, 1);

	if (n < 0)
		return pl_fail_sys(error, (int)n, "cannot read '%s'", file->label);
	if (n > 0)
		return fail_damaged(file, "is longer than it was published", error);
	pl_hash_end(file->hash, &content);
	if (!pl_id_equal(&content, &file->content))
		return fail_damaged(file, "has another content than was published", error);
	return 0;
}

ssize_t pleach_file_read(struct pleach_file *file, void *buffer, size_t length,
			 struct pleach_error *error)
{
	uint64_t left;
	ssize_t n;

	pl_assert(file && buffer);
	left = file->size - file->at;
	if (length == 0)
		return pl_fail_usage(error, "nothing can be read into a buffer without room");
	if (file->is_damaged)
		return fail_damaged(file, "is damaged", error);
	if (left == 0)
		return 0;
	if (length > left)
		length = (size_t)left;
	n = pl_read_full(file->fd, buffer, length < SSIZE_MAX ? length : SSIZE_MAX);
	if (n < 0)
		return pl_fail_sys(error, (int)n, "cannot read '%s'", file->label);
	if (n == 0)
		return fail_damaged(file, "is shorter than it was published", error);
	pl_hash_add(file->hash, buffer, (size_t)n);
	file->at += (uint64_t)n;
	if (file->at == file->size) {
		int r = verify(file, error);

		if (r < 0)
			return r;
	}
	return n;
}

void pleach_file_close(struct pleach_file *file)
{
	if (!file)
		return;
	pl_closep(&file->fd);
	if (file->hash)
		pl_hash_free(file->hash);
	free(file->label);
	pl_target_close(&file->target);
	free(file);
}
