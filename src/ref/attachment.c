/*
 * The records of attachments: refs/<ref>/attached/<hex of H(path)>. What stands at the path itself, and
 * the user of the tree that an attachment of a fixed generation is, are not made here.
 *
 * A1  The name of a record is the hash of the path in it: a path has one record in a ref.
 * A2  A record names a tree exactly if it names a generation.
 */
#include <stdlib.h>

#include "ref/ref.h"

#define KIND "pleach-attachment"

void pl_attachment_done(struct pl_attachment *attachment)
{
	free(attachment->path);
	free(attachment->target);
	attachment->path = attachment->target = NULL;
}

void pl_attachments_free(struct pl_attachment *attachments, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pl_attachment_done(&attachments[i]);
	free(attachments);
}

static void name_of(const char *path, char ret_name[PL_ID_HEX + 1])
{
	struct pl_id id;

	pl_hash_of(path, strlen(path), &id);
	pl_id_hex(&id, ret_name); /* A1 */
}

static int open_attached(const struct pl_ref *ref)
{
	return pl_open_dir(ref->fd, "attached");
}

static int make_attached(const struct pl_ref *ref)
{
	int fd = open_attached(ref), r;

	if (fd != -ENOENT)
		return fd;
	r = pl_mkdir(ref->fd, "attached", 0755);
	if (r == 0 || r == -EEXIST)
		r = pl_chmod_at(ref->fd, "attached", 0755);
	if (r == 0)
		r = pl_store_sync(ref->store, ref->fd);
	return r < 0 ? r : open_attached(ref);
}

/* ---- text ---- */

static void encode(const struct pl_attachment *a, struct pl_buffer *b)
{
	struct timespec now;

	pl_clock_wall(&now);
	pl_text_add(b, KIND, "1");
	pl_text_add(b, "ref-id", a->ref_id);
	pl_text_add(b, "path", a->path);
	pl_text_add(b, "mode", a->mode);
	pl_text_add_number(b, "generation", a->generation);
	if (a->generation > 0) /* A2 */
		pl_text_add_id(b, "tree", &a->tree);
	pl_text_add(b, "target", a->target);
	pl_text_add_time(b, "time", now.tv_sec, (uint32_t)now.tv_nsec);
	pl_text_end(b);
}

/* A copy of the next value; NULL with *r set if memory is out. */
static char *take_string(struct pl_text *text, const char *key, int *r)
{
	char *copy = strdup(pl_text_get(text, key));

	if (!copy)
		*r = -ENOMEM;
	return copy;
}

static int get_fields(struct pl_text *text, const struct pl_ref *ref, struct pl_attachment *a)
{
	const char *mode;
	int64_t time_s;
	uint32_t time_ns;
	int r = 0, r_close;

	if (strcmp(pl_text_get(text, "ref-id"), ref->id) != 0)
		text->failed = true;
	memcpy(a->ref_id, ref->id, sizeof(a->ref_id));
	a->path = take_string(text, "path", &r);
	mode = pl_text_get(text, "mode");
	if (strcmp(mode, "symlink") != 0 && strcmp(mode, "exchange") != 0 &&
	    strcmp(mode, "mount") != 0)
		text->failed = true;
	else
		memcpy(a->mode, mode, strlen(mode) + 1);
	a->generation = pl_text_get_number(text, "generation");
	if (a->generation > 0) /* A2 */
		pl_text_get_id(text, "tree", &a->tree);
	a->target = take_string(text, "target", &r);
	pl_text_get_time(text, "time", &time_s, &time_ns);
	r_close = pl_text_close(text);
	return r < 0 ? r : r_close;
}

static int decode(const struct pl_ref *ref, const char *name, const struct pl_buffer *b,
		  struct pl_attachment *ret_attachment)
{
	struct pl_attachment a = {0};
	char expected[PL_ID_HEX + 1];
	struct pl_text text;
	int r = pl_text_open(&text, b->data, b->length, KIND, 1);

	if (r < 0)
		return r;
	r = get_fields(&text, ref, &a);
	pl_text_done(&text);
	if (r == 0) {
		name_of(a.path, expected);
		if (a.path[0] != '/' || strcmp(expected, name) != 0) /* A1 */
			r = -EBADMSG;
	}
	if (r < 0) {
		pl_attachment_done(&a);
		return r;
	}
	*ret_attachment = a;
	return 0;
}

/* ---- reading ---- */

/* -ENOENT without a text. */
static int read_record(const struct pl_ref *ref, int attached_fd, const char *name,
		       struct pl_attachment *ret_attachment, struct pleach_error *error)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(attached_fd, name, PL_TEXT_MAX, &b);

	if (r == -ENOENT)
		return r;
	if (r == 0)
		r = decode(ref, name, &b, ret_attachment);
	else if (r == -EFBIG || r == -EISDIR || r == -EINVAL || r == -ELOOP)
		r = -EBADMSG;
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r == -EBADMSG)
		return pl_fail_corrupt(error, "attachment %s of '%s' is damaged", name, ref->name);
	if (r == -EPROTONOSUPPORT)
		return pl_fail(error, PLEACH_FAILED, r,
			       "attachment %s of '%s' is of a newer format", name, ref->name);
	return r < 0 ? pl_fail_sys(error, r, "cannot read attachment %s of '%s'", name, ref->name)
		     : 0;
}

static int fail_open(const struct pl_ref *ref, int r, struct pleach_error *error)
{
	return pl_fail_sys(error, r, "cannot open the attachments of '%s'", ref->name);
}

int pl_attachment_read_named(struct pl_ref *ref, const char *hash,
			     struct pl_attachment *ret_attachment, struct pleach_error *error)
{
	PL_CLOSE int fd = open_attached(ref);

	if (fd < 0)
		return fd == -ENOENT ? fd : fail_open(ref, fd, error);
	return read_record(ref, fd, hash, ret_attachment, error);
}

int pl_attachment_read(struct pl_ref *ref, const char *path, struct pl_attachment *ret_attachment,
		       struct pleach_error *error)
{
	char name[PL_ID_HEX + 1];

	name_of(path, name);
	return pl_attachment_read_named(ref, name, ret_attachment, error);
}

/* All of attached/, which was listed. One that goes away meanwhile was detached. */
static int read_all(const struct pl_ref *ref, int fd, const struct pl_listing *listing,
		    struct pl_attachment **all, size_t *n, struct pleach_error *error)
{
	size_t capacity = 0;

	for (size_t i = 0; i < listing->n; i++) {
		const char *name = listing->entries[i].name;
		int r;

		if (strlen(name) != PL_ID_HEX || !pl_is_hex(name, PL_ID_HEX))
			continue;
		if (PL_ARRAY_GROW(*all, capacity, *n) < 0)
			return pl_fail_memory(error);
		r = read_record(ref, fd, name, &(*all)[*n], error);
		if (r < 0 && r != -ENOENT)
			return r;
		*n += r == 0;
	}
	return 0;
}

int pl_attachment_list(struct pl_ref *ref, struct pl_attachment **ret, size_t *ret_n,
		       struct pleach_error *error)
{
	PL_CLOSE int fd = open_attached(ref);
	struct pl_listing listing = {0};
	struct pl_attachment *all = NULL;
	size_t n = 0;
	int r = fd;

	if (fd >= 0)
		r = pl_list(fd, &listing);
	if (r < 0 && r != -ENOENT)
		return fail_open(ref, r, error);
	r = read_all(ref, fd, &listing, &all, &n, error); /* of nothing, where it is missing */
	pl_listing_done(&listing);
	if (r < 0) {
		pl_attachments_free(all, n);
		return r;
	}
	*ret = all;
	*ret_n = n;
	return 0;
}

/* ---- writing ---- */

int pl_attachment_write(struct pl_ref *ref, struct pl_txdir *tx,
			const struct pl_attachment *attachment, struct pleach_error *error)
{
	PL_CLOSE int fd = make_attached(ref);
	char name[PL_ID_HEX + 1], temporary[32];
	PL_BUFFER b = {0};
	int r;

	pl_assert(attachment->path[0] == '/' && attachment->target);
	pl_assert(strcmp(attachment->ref_id, ref->id) == 0);
	if (fd < 0)
		return fail_open(ref, fd, error);
	encode(attachment, &b);
	if (!pl_buffer_ok(&b))
		return pl_fail_memory(error);
	r = b.length > PL_TEXT_MAX ? -ENAMETOOLONG : 0;
	pl_txdir_name(tx, "attachment", temporary);
	name_of(attachment->path, name);
	if (r == 0)
		r = pl_text_write(tx->fd, temporary, 0644, &b, ref->store->settings.durable);
	if (r == 0)
		r = pl_rename(tx->fd, temporary, fd, name);
	if (r == 0)
		r = pl_store_sync(ref->store, fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot record the attachment of '%s' at '%s'",
				   ref->name, attachment->path)
		     : 0;
}

int pl_attachment_remove(struct pl_ref *ref, const char *path, struct pleach_error *error)
{
	PL_CLOSE int fd = open_attached(ref);
	char name[PL_ID_HEX + 1];
	int r = fd;

	name_of(path, name);
	if (fd >= 0)
		r = pl_unlink(fd, name);
	if (r == -ENOENT)
		return pl_fail_not_found(error, "'%s' is not attached at '%s'", ref->name, path);
	if (r == 0)
		r = pl_store_sync(ref->store, fd);
	return r < 0 ? pl_fail_sys(error, r, "cannot remove the record of the attachment at '%s'",
				   path)
		     : 0;
}
