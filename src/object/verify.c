/*
 * verify.c - does an object file still hold what its id says? Read only, and trusts nothing that it
 * has not read itself. What does not verify is named by its field: "id", "kind", "size", "content", or
 * as pl_meta_difference() does.
 *
 * With an entry that says what must be there, the field that differs can be told; alone, an object is
 * right or not, since its id is one hash over all of it.
 */
#include <stdlib.h>

#include "object/inode.h"

#define CHUNK ((size_t)256 * 1024)

static int differs(const char *what, const char **ret_why)
{
	*ret_why = what;
	return -EBADMSG;
}

/* Hashes all that is there, but no more than a byte above `limit`: a file may grow under the hand.
 * Returns the bytes read. */
static int64_t hash_file(int fd, uint64_t limit, struct pl_hash *hash, struct pl_id *ret_content)
{
	PL_FREE unsigned char *chunk = malloc(CHUNK);
	uint64_t done = 0;
	ssize_t n;

	if (!chunk)
		return -ENOMEM;
	do {
		n = pl_pread_sparse(fd, chunk, CHUNK, done);
		if (n < 0)
			return n;
		pl_assert((size_t)n <= CHUNK);
		pl_hash_add(hash, chunk, (size_t)n);
		done += (uint64_t)n;
	} while ((size_t)n == CHUNK && done <= limit);
	pl_hash_end(hash, ret_content);
	return (int64_t)done;
}

int pl_content_verify(int fd, uint64_t size, const struct pl_id *content, const char **ret_why)
{
	struct pl_hash *hash;
	struct pl_id found;
	int64_t length;
	int r = pl_hash_new(&hash);

	if (r < 0)
		return r;
	length = hash_file(fd, size, hash, &found);
	pl_hash_free(hash);
	if (length < 0)
		return (int)length;
	if ((uint64_t)length != size)
		return differs("size", ret_why);
	if (!pl_id_equal(&found, content))
		return differs("content", ret_why);
	return 0;
}

static int verify_metadata(int fd, const struct stat *st, const struct pl_meta *meta,
			   const char **ret_why)
{
	PL_BUFFER xattrs = {0};
	struct pl_meta found;
	const char *what;
	int r = pl_meta_read(fd, st, PL_RULE_EXACT, &xattrs, &found);

	if (r == -E2BIG) /* more than any metadata can say */
		return differs("extended attributes", ret_why);
	if (r < 0)
		return r;
	what = pl_meta_difference(&found, meta);
	return what ? differs(what, ret_why) : 0;
}

int pl_object_verify(int fd, const struct pl_id *id, const struct pl_meta *meta, uint64_t size,
		     const struct pl_id *content, const char **ret_why)
{
	struct pl_id wanted;
	struct stat st;
	int r;

	pl_assert(fd >= 0);
	pl_object_id(meta, size, content, &wanted);
	if (!pl_id_equal(&wanted, id))
		return differs("id", ret_why);
	r = pl_fstat(fd, &st);
	if (r < 0)
		return r;
	if (!S_ISREG(st.st_mode))
		return differs("kind", ret_why);
	if (st.st_size < 0 || (uint64_t)st.st_size != size)
		return differs("size", ret_why);
	/* Content first: who changed it has mostly changed the mtime too, and that tells less. */
	r = pl_content_verify(fd, size, content, ret_why);
	return r < 0 ? r : verify_metadata(fd, &st, meta, ret_why);
}

/* Is it the id of this, its owner recorded or not? */
static bool has_id(const struct pl_meta *meta, uint64_t size, const struct pl_id *content,
		   const struct pl_id *id)
{
	struct pl_meta of_nobody = *meta;
	struct pl_id found;

	pl_object_id(meta, size, content, &found);
	if (pl_id_equal(&found, id))
		return true;
	of_nobody.uid = of_nobody.gid = PLEACH_NO_OWNER;
	pl_object_id(&of_nobody, size, content, &found);
	return pl_id_equal(&found, id);
}

int pl_object_verify_alone(int fd, const struct pl_id *id, struct stat *ret_st,
			   const char **ret_why)
{
	PL_BUFFER xattrs = {0};
	struct pl_hash *hash;
	struct pl_id content;
	struct pl_meta meta;
	int64_t length;
	int r;

	pl_assert(fd >= 0);
	r = pl_fstat(fd, ret_st);
	if (r < 0)
		return r;
	if (!S_ISREG(ret_st->st_mode))
		return differs("kind", ret_why);
	if (ret_st->st_size <= 0) /* an empty file has none */
		return differs("size", ret_why);
	r = pl_meta_read(fd, ret_st, PL_RULE_EXACT, &xattrs, &meta);
	if (r == -E2BIG)
		return differs("extended attributes", ret_why);
	if (r >= 0)
		r = pl_hash_new(&hash);
	if (r < 0)
		return r;
	length = hash_file(fd, (uint64_t)ret_st->st_size, hash, &content);
	pl_hash_free(hash);
	if (length < 0)
		return (int)length;
	if (length != ret_st->st_size)
		return differs("size", ret_why);
	return has_id(&meta, (uint64_t)length, &content, id) ? 0 : differs("id", ret_why);
}
