/*
 * An index: a directory with one more name of each file, by which later calls, and other programs, find the
 * file that is to be linked. What has its name there is not read again.
 *
 *	nix   DIR/<base32>   of the SHA-256 of the file's archive serialisation, as Nix and Guix have it
 *	hex   DIR/ab/cdef…   of the SHA-256 of the content
 *
 * X1  An entry is made by link(2), never replaced and never removed; of two who make one, one is told that it
 *     is there, and uses it. One that goes meanwhile is looked for again.
 * X2  An entry is believed only by its content, which is compared; one that is other than its name says is told
 *     of. One with other metadata is for other files.
 * X3  Where there can be no entry (EMLINK, ENOSPC, EDQUOT), files are shared without one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/dedup.h"

#define TRIES 100

/* ---- names ---- */

/* As Nix writes it: from the last bits to the first, without e, o, t, u. */
static void name_nix(const struct pl_id *id, char ret_name[DEDUP_INDEX_NAME])
{
	static const char digits[] = "0123456789abcdfghijklmnpqrsvwxyz";
	const int length = 52;

	for (int n = length - 1; n >= 0; n--) {
		unsigned bit = (unsigned)n * 5, byte = bit / 8, shift = bit % 8;
		unsigned value = id->bytes[byte] >> shift;

		if (byte + 1 < sizeof(id->bytes))
			value |= (unsigned)id->bytes[byte + 1] << (8 - shift);
		*ret_name++ = digits[value & 31];
	}
	*ret_name = '\0';
}

void dedup_index_name(enum pl_dedup_layout layout, const struct pl_id *id,
		      char ret_name[DEDUP_INDEX_NAME])
{
	_Static_assert(DEDUP_INDEX_NAME >= PL_FANOUT_NAME, "the longest name must fit");
	if (layout == PL_DEDUP_NIX)
		name_nix(id, ret_name);
	else
		pl_fanout_name(id, ret_name);
}

/* A string of the archive: its length, its bytes, zeros up to a multiple of eight. */
static void add_archived(struct dedup *d, const char *text)
{
	static const unsigned char zeros[8];
	size_t length = strlen(text);
	unsigned char head[8] = {(unsigned char)length};

	pl_assert(length < 256);
	pl_hash_add(d->hash, head, sizeof(head));
	pl_hash_add(d->hash, text, length);
	pl_hash_add(d->hash, zeros, (8 - length % 8) % 8);
}

void dedup_index_hash_begin(struct dedup *d, const struct dedup_look *look)
{
	static const char *const before[] = {"nix-archive-1", "(", "type", "regular"};
	unsigned char head[8];

	if (d->what->layout != PL_DEDUP_NIX)
		return;
	for (size_t i = 0; i < PL_ARRAY_LEN(before); i++)
		add_archived(d, before[i]);
	if (look->mode & S_IXUSR) {
		add_archived(d, "executable");
		add_archived(d, "");
	}
	add_archived(d, "contents");
	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (unsigned char)(look->size >> (8 * i));
	pl_hash_add(d->hash, head, sizeof(head));
}

void dedup_index_hash_end(struct dedup *d, const struct dedup_look *look)
{
	static const unsigned char zeros[8];

	if (d->what->layout != PL_DEDUP_NIX)
		return;
	pl_hash_add(d->hash, zeros, (8 - look->size % 8) % 8);
	add_archived(d, ")");
}

/* ---- what is there ---- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int add_inodes(struct dedup *d, int fd)
{
	int r = pl_list_inodes(fd, &d->index_inodes);

	return r < 0 ? r : 0;
}

/* Of the two-digit directories of the layout hex. */
static int add_fanout(struct dedup *d)
{
	int r = 0;

	for (int i = 0; r >= 0 && i < 256; i++) {
		PL_CLOSE int fd = -EBADF;
		char name[3];

		(void)snprintf(name, sizeof(name), "%02x", (unsigned)i);
		fd = pl_open_dir(d->index_fd, name);
		if (fd >= 0)
			r = add_inodes(d, fd);
	}
	return r;
}

int dedup_index_open(struct dedup *d)
{
	const char *path = d->what->index;
	struct stat st;
	int r;

	if (!path)
		return 0;
	r = d->index_fd = pl_open_follow(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	if (r >= 0)
		r = pl_fstat(d->index_fd, &st);
	if (r >= 0)
		r = d->what->layout == PL_DEDUP_NIX ? add_inodes(d, d->index_fd) : add_fanout(d);
	if (r < 0) {
		pl_fail_sys(d->error, r, "cannot open the index '%s'", path);
		pl_error_path(d->error, path);
		return r;
	}
	d->index_dev = st.st_dev;
	d->index_ino = st.st_ino;
	if (d->index_inodes.length > 0)
		qsort(d->index_inodes.data, d->index_inodes.length / sizeof(uint64_t),
		      sizeof(uint64_t), by_number);
	return 0;
}

bool dedup_index_has(const struct dedup *d, const struct stat *st)
{
	uint64_t ino = st->st_ino;

	return d->index_fd >= 0 && st->st_dev == d->index_dev && d->index_inodes.length > 0 &&
	       bsearch(&ino, d->index_inodes.data, d->index_inodes.length / sizeof(ino),
		       sizeof(ino), by_number);
}

/* ---- entries ---- */

static int finding(struct dedup *d, const char *name, const char *what)
{
	PL_BUFFER path = {0};

	pl_buffer_add_string(&path, d->what->index);
	dedup_path_add(&path, name);
	if (!pl_buffer_ok(&path))
		return -ENOMEM;
	d->result->failed++;
	return pl_findings_add(d->findings, true, "index", pl_buffer_string(&path), "%s", what);
}

/* X2. 1: `entry` is equal to the item; 0: there is nothing for it. */
static int judge_entry(struct dedup *d, const char *name, struct dedup_item *entry,
		       struct dedup_item *item)
{
	int r = dedup_look(entry->fd, &entry->look);

	if (r < 0)
		return r;
	if (!S_ISREG(entry->look.mode))
		return finding(d, name, "is no file");
	r = entry->look.size == item->look.size ? dedup_equal(d, entry, item) : 0;
	if (r == 0)
		return finding(d, name, "is not what its name says: left alone");
	if (r < 0)
		return r;
	return dedup_metadata_equal(d, entry, item);
}

/* *ret_entry->fd: open, if there is one that is equal. 1; 0: there is none to use; -ENOENT: none at all. */
static int open_entry(struct dedup *d, const char *name, struct dedup_item *item,
		      struct dedup_item *ret_entry)
{
	struct dedup_item entry = {.fd = pl_open(d->index_fd, name, O_RDONLY | O_NONBLOCK)};
	int r = entry.fd;

	if (r >= 0)
		r = judge_entry(d, name, &entry, item);
	if (r == 1)
		*ret_entry = entry;
	else
		pl_closep(&entry.fd);
	if (r == -EAGAIN) /* it changes just now */
		r = 0;
	return r;
}

static bool is_without(int r)
{
	return r == -EMLINK || r == -ENOSPC || r == -EDQUOT;
}

/* 0: made; 1: none can be made, and the rest can be done without (X3); -EEXIST: somebody else has. */
static int make_entry(struct dedup *d, const char *name, const struct dedup_item *item)
{
	char parent[3] = {name[0], name[1], '\0'};
	int r = pl_link_fd(item->fd, d->index_fd, name);

	if (r == -ENOENT && d->what->layout == PL_DEDUP_HEX) {
		r = pl_mkdir(d->index_fd, parent, 0777);
		if (r >= 0 || r == -EEXIST)
			r = pl_link_fd(item->fd, d->index_fd, name);
	}
	if (r == 0)
		d->result->indexed++;
	if (is_without(r) || r == -ENOENT)
		return 1;
	if (r == -EEXIST || r == -ENOMEM || r == -EINTR)
		return r;
	return r < 0 ? finding(d, name, strerror(-r)) < 0 ? -ENOMEM : 1 : 0;
}

/* The first that nobody writes to becomes the entry. As make_entry(). */
static int enter(struct dedup *d, const char *name, struct dedup_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = dedup_item_open(d, &items[i]);

		if (r == 1)
			r = dedup_may_lead(&items[i]);
		if (r < 0)
			return r;
		if (r == 1) {
			r = dedup_sync(d, &d->roots[0], items[i].fd, &items[i].look);
			if (r >= 0)
				r = make_entry(d, name, &items[i]);
			if (r == 0) /* its links and time are others now */
				r = dedup_look(items[i].fd, &items[i].look);
			return r;
		}
	}
	return 1;
}

/* 1: *ret_entry leads; 0: one of the items does. */
static int find_entry(struct dedup *d, const char *name, struct dedup_item *items, size_t n,
		      struct dedup_item *ret_entry)
{
	for (int i = 0; i < TRIES; i++) { /* X1 */
		int r = dedup_item_open(d, &items[0]);

		if (r <= 0)
			return r;
		r = open_entry(d, name, &items[0], ret_entry);
		if (r != -ENOENT)
			return r;
		if (d->what->dry_run)
			return 0;
		r = enter(d, name, items, n);
		if (r != -EEXIST)
			return r < 0 ? r : 0;
	}
	return 0;
}

int dedup_index_items(struct dedup *d, struct dedup_item *items, size_t n)
{
	struct dedup_item entry = {.fd = -EBADF};
	char name[DEDUP_INDEX_NAME];
	int r;

	dedup_index_name(d->what->layout, &items[0].id, name);
	dedup_choose_leader(items, n); /* which the entry is to be, where there is none */
	r = find_entry(d, name, items, n, &entry);
	if (r >= 0 && (entry.fd >= 0 || n > 1))
		r = dedup_link_items(d, entry.fd >= 0 ? &entry : NULL, items, n);
	pl_closep(&entry.fd);
	return r < 0 ? r : 0;
}
