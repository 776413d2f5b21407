/*
 * The inodes of the upper layer that may have more than one name, and the index of the overlay, which
 * says which of them stand for which file of the base. Names of a base file that were not copied up
 * themselves show the inode that the index has for it.
 *
 * N1  An inode is read once, so that its names have equal entries.
 * N2  No inode stands for two files of the base.
 */
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "source/upper.h"

#define HANDLE_NAME_MAX 254 /* a name, as hexadecimal digits of bytes */

struct number {
	uint64_t dev, ino;
};

static struct number number_of(const struct stat *st)
{
	return (struct number){.dev = st->st_dev, .ino = st->st_ino};
}

void pl_upper_inodes_init(struct pl_upper_inodes *inodes, uint64_t seed)
{
	*inodes = (struct pl_upper_inodes){0};
	pl_map_init(&inodes->by_number, sizeof(struct number), seed);
	pl_map_init(&inodes->by_handle, sizeof(struct pl_id), seed);
}

void pl_upper_inodes_done(struct pl_upper_inodes *inodes)
{
	pl_map_done(&inodes->by_number);
	pl_map_done(&inodes->by_handle);
	free(inodes->list);
	pl_buffer_done(&inodes->names);
	pl_buffer_done(&inodes->bodies);
	pl_strings_done(&inodes->members);
}

ssize_t pl_upper_inodes_meet(struct pl_upper_inodes *inodes, const struct stat *st)
{
	struct number number = number_of(st);
	const uint64_t *at = pl_map_get(&inodes->by_number, &number);

	if (at)
		return (ssize_t)*at;
	if (PL_ARRAY_GROW(inodes->list, inodes->capacity, inodes->n) < 0 ||
	    pl_map_put(&inodes->by_number, &number, inodes->n) < 0)
		return -ENOMEM;
	inodes->list[inodes->n] = (struct pl_upper_inode){0};
	return (ssize_t)inodes->n++;
}

ssize_t pl_upper_inodes_find(const struct pl_upper_inodes *inodes, const struct pl_buffer *handle)
{
	const uint64_t *at;
	struct pl_id key;

	pl_hash_of(handle->data, handle->length, &key);
	at = pl_map_get(&inodes->by_handle, &key);
	return at ? (ssize_t)*at : -1;
}

/* ---- entries ---- */

const struct pl_entry *pl_upper_inodes_entry(struct pl_upper_inodes *inodes, size_t inode,
					     const char *name)
{
	const struct pl_upper_inode *of = &inodes->list[inode];
	struct pl_reader reader;
	int r;

	pl_assert(inode < inodes->n);
	if (of->body_length == 0)
		return NULL;
	reader = pl_reader_of(inodes->bodies.data + of->body, of->body_length);
	r = pl_entry_decode(&reader, &inodes->entry);
	pl_assert(r == 0); /* our own encoding */
	inodes->entry.name = name;
	inodes->entry.name_length = (uint8_t)strlen(name);
	return &inodes->entry;
}

int pl_upper_inodes_set_entry(struct pl_upper_inodes *inodes, size_t inode,
			      const struct pl_entry *entry)
{
	struct pl_upper_inode *of = &inodes->list[inode];

	pl_assert(inode < inodes->n && of->body_length == 0); /* N1 */
	of->body = inodes->bodies.length;
	pl_entry_encode(entry, &inodes->bodies);
	of->body_length = inodes->bodies.length - of->body;
	return pl_buffer_ok(&inodes->bodies) ? 0 : -ENOMEM;
}

/* ---- what they stand for ---- */

void pl_upper_inodes_identify(struct pl_upper_inodes *inodes, size_t inode)
{
	struct pl_upper_inode *of = &inodes->list[inode];

	pl_assert(inode < inodes->n && of->is_indexed && !of->is_known);
	pl_assert(inodes->n_unknown > 0);
	of->is_known = true;
	of->member = inodes->members.n;
	inodes->n_unknown--;
}

int pl_upper_inodes_add_member(struct pl_upper_inodes *inodes, size_t inode, const char *path)
{
	struct pl_upper_inode *of = &inodes->list[inode];

	pl_assert(inode < inodes->n && of->is_known);
	pl_assert(of->member + of->n_members == inodes->members.n);
	if (pl_strings_add(&inodes->members, path) < 0)
		return -ENOMEM;
	of->n_members++;
	return 0;
}

/* Bytes from the name in the index, which is their hexadecimal digits. -EBADMSG. */
static int handle_of_name(const char *name, struct pl_buffer *ret_handle)
{
	unsigned char mark[HANDLE_NAME_MAX / 2];
	size_t length = strlen(name);

	if (length % 2 != 0 || length > HANDLE_NAME_MAX || !pl_is_hex(name, length))
		return -EBADMSG;
	for (size_t i = 0; i < length / 2; i++) {
		unsigned char byte = 0;

		for (size_t digit = 2 * i; digit < 2 * i + 2; digit++)
			byte = (unsigned char)(byte << 4 |
					       (name[digit] <= '9' ? name[digit] - '0'
								   : name[digit] - 'a' + 10));
		mark[i] = byte;
	}
	return pl_marks_handle(mark, length / 2, ret_handle);
}

static int add_indexed(struct pl_upper_inodes *inodes, const struct stat *st, const char *name)
{
	PL_BUFFER handle = {0};
	struct pl_upper_inode *of;
	struct pl_id key;
	ssize_t inode;
	int r = handle_of_name(name, &handle);

	if (r < 0)
		return r;
	inode = pl_upper_inodes_meet(inodes, st);
	if (inode < 0)
		return (int)inode;
	of = &inodes->list[inode];
	pl_hash_of(handle.data, handle.length, &key);
	if (of->is_indexed || pl_map_get(&inodes->by_handle, &key)) /* N2 */
		return -EBADMSG;
	of->is_indexed = true;
	of->name = inodes->names.length;
	inodes->n_unknown++;
	pl_buffer_add(&inodes->names, name, strlen(name) + 1);
	r = pl_map_put(&inodes->by_handle, &key, (uint64_t)inode);
	return r < 0 || !pl_buffer_ok(&inodes->names) ? -ENOMEM : 0;
}

/* 1: it is an entry; 0: something of the overlay's own; -EBADMSG. `#hex` are unfinished or spare, a
 * whiteout stands for a file that had no name left. */
static int look(const struct pl_upper *upper, const char *name, dev_t dev, struct stat *ret_st)
{
	int r;

	if (name[0] == '#')
		return 0;
	r = pl_lstat(upper->index_fd, name, ret_st);
	if (r < 0)
		return r;
	if (S_ISCHR(ret_st->st_mode) && ret_st->st_rdev == makedev(0, 0))
		return 0;
	return S_ISDIR(ret_st->st_mode) || ret_st->st_dev != dev ? -EBADMSG : 1;
}

int pl_upper_inodes_read_index(struct pl_upper_inodes *inodes, const struct pl_upper *upper,
			       struct pleach_error *error)
{
	struct pl_listing listing = {0};
	struct stat st, root;
	int r = pl_fstat(upper->upper_fd, &root);

	if (r >= 0)
		r = pl_list(upper->index_fd, &listing);
	if (r < 0)
		pl_fail_sys(error, r, "cannot read the index of the overlay '%s'", upper->label);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		const char *name = listing.entries[i].name;

		r = look(upper, name, root.st_dev, &st);
		if (r == 1)
			r = add_indexed(inodes, &st, name);
		if (r == -EBADMSG)
			pl_fail_corrupt(error,
					"the index of the overlay '%s' has '%s', which overlayfs "
					"did not put there",
					upper->label, name);
		else if (r < 0)
			pl_fail_sys(error, r, "cannot read the index of the overlay '%s'",
				    upper->label);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}
