/*
 * The content of an object as a new file of its own: for private copies in placed trees, and for
 * copies of trees. What is written was verified: the copy is hashed, not the object, so that nothing can
 * come in between. But for who trusts clones: to read all of it would be what they spare.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "place/place.h"

#define CHUNK (256u << 10)

static int open_object(struct pl_store *store, int staged_fd, const struct pl_id *object)
{
	char hex[PL_ID_HEX + 1];
	int fd = -ENOENT;

	if (staged_fd >= 0)
		fd = pl_open(staged_fd, pl_id_hex(object, hex), O_RDONLY);
	return fd == -ENOENT ? pl_store_find(store, 'o', object) : fd;
}

/* 1: the first `size` bytes of `fd` have this hash. */
static int has_content(int fd, uint64_t size, const struct pl_id *content)
{
	PL_BUFFER b = {0};
	unsigned char *chunk = pl_buffer_reserve(&b, CHUNK);
	struct pl_hash *hash;
	struct pl_id found;
	uint64_t done = 0;
	int r = chunk ? pl_hash_new(&hash) : -ENOMEM;

	if (r < 0)
		return r;
	while (r >= 0 && done < size) {
		size_t want = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
		ssize_t n = pl_pread_sparse(fd, chunk, want, done);

		if (n != (ssize_t)want)
			r = n < 0 ? (int)n : -EBADMSG;
		else
			pl_hash_add(hash, chunk, want);
		done += want;
	}
	pl_hash_end(hash, &found);
	pl_hash_free(hash);
	return r < 0 ? r : pl_id_equal(&found, content);
}

static int copy(int from, int to, const struct pl_entry *entry, bool trusts_clones)
{
	struct stat st;
	int r = pl_fstat(from, &st);

	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != entry->size)
		return -EBADMSG;
	if (trusts_clones) {
		r = pl_clone_content(from, to, entry->size);
		if (r != 0)
			return r == -EAGAIN ? -EBADMSG : r < 0 ? r : 0;
	}
	r = pl_copy_content(from, to, entry->size);
	if (r < 0)
		return r == -EAGAIN ? -EBADMSG : r;
	r = has_content(to, entry->size, &entry->hash);
	return r == 0 ? -EBADMSG : r < 0 ? r : 0;
}

int pl_object_copy(struct pl_store *store, int staged_fd, const struct pl_entry *entry,
		   bool trusts_clones, int dirfd, const char *name, int *ret_fd,
		   struct pleach_error *error)
{
	char hex[PL_ID_HEX + 1];
	struct pl_id object;
	PL_CLOSE int from = -EBADF, to = -EBADF;
	int r = 0;

	pl_assert(entry->kind == PLEACH_FILE);
	pl_entry_object(entry, &object);
	pl_id_hex(&object, hex);
	if (entry->size > 0) {
		from = open_object(store, staged_fd, &object);
		if (from == -ENOENT)
			return pl_fail_corrupt(error, "object %s is missing", hex);
		if (from < 0)
			return pl_fail_sys(error, from, "cannot open object %s", hex);
	}
	to = pl_create(dirfd, name, 0600);
	if (to < 0)
		return pl_fail_sys(error, to, "cannot make '%s'", name);
	if (entry->size > 0)
		r = copy(from, to, entry, trusts_clones);
	if (r < 0) {
		pl_unlink(dirfd, name);
		if (r == -EBADMSG)
			return pl_fail_corrupt(error, "object %s is damaged", hex);
		return pl_fail_sys(error, r, "cannot copy object %s", hex);
	}
	*ret_fd = pl_take_fd(&to);
	return 0;
}
