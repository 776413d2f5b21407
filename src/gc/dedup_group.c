/*
 * A run: names that could be of equal files, by what lstat said of them. Here they are opened and read, no
 * further than it takes to tell them apart: two are compared, more are told apart by the hash of their
 * beginning, then by that of everything.
 *
 * R1  What a file is said to be was there between two looks that agree, and no change can hide between them:
 *     a file that changed in the tick of the clock in which it is looked at is looked at again in a later one
 *     (as source/ingest.c, I1).
 * R2  A run of more than DEDUP_SLICE files is first cut by the hash of everything; what is still longer is
 *     shared slice by slice.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/dedup.h"

#define GRAIN_NS   10000000
#define HEAD	   ((uint64_t)64 << 10) /* what is longer is told apart by this much first */
#define OPEN_ITEMS 64			/* runs of no more keep their files open */

/* ---- looks ---- */

struct dedup_look dedup_look_of(const struct stat *st)
{
	return (struct dedup_look){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.nlink = st->st_nlink,
		.size = (uint64_t)st->st_size,
		.allocated = (uint64_t)st->st_blocks * 512,
		.mtime = st->st_mtim,
		.ctime = st->st_ctim,
	};
}

int dedup_look(int fd, struct dedup_look *ret_look)
{
	struct stat st;
	int r = pl_fstat(fd, &st);

	if (r >= 0)
		*ret_look = dedup_look_of(&st);
	return r < 0 ? r : 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Links that come and go set the time of the inode: others may be sharing these files just now. */
bool dedup_look_holds(const struct dedup_look *then, const struct dedup_look *now)
{
	return then->dev == now->dev && then->ino == now->ino && then->mode == now->mode &&
	       then->uid == now->uid && then->gid == now->gid && then->size == now->size &&
	       same_time(&then->mtime, &now->mtime) &&
	       (same_time(&then->ctime, &now->ctime) || then->nlink != now->nlink);
}

/* R1. 1: nothing that comes now can hide behind this look; 0: it is changing. */
static int settle(int fd, struct dedup_look *look)
{
	struct dedup_look again;
	struct timespec now;
	int64_t age_ns;
	int r;

	pl_clock_coarse(&now);
	age_ns = (int64_t)(now.tv_sec - look->ctime.tv_sec) * 1000000000 +
		 (now.tv_nsec - look->ctime.tv_nsec);
	if (age_ns >= GRAIN_NS || age_ns <= -GRAIN_NS)
		return 1;
	pl_sleep_ms(GRAIN_NS / 1000000 + 1);
	r = dedup_look(fd, &again);
	if (r < 0 || !dedup_look_holds(look, &again))
		return r < 0 ? r : 0;
	*look = again;
	return 1;
}

/* ---- opening ---- */

static int open_file(int dirfd, const char *name)
{
	/* Reading it should not write its atime (D1); who does not own it may not ask for that. */
	int fd = pl_open(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOATIME);

	return fd == -EPERM ? pl_open(dirfd, name, O_RDONLY | O_NONBLOCK) : fd;
}

static bool is_gone(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EXDEV || r == -ESTALE;
}

/* Through the first of its names that still leads to it. 1; 0: none does. */
static int open_any_name(struct dedup *d, struct dedup_item *item, ino_t ino,
			 struct dedup_look *ret_look)
{
	for (size_t i = 0; i < item->n_names; i++) {
		struct dedup_spot spot;
		int r = dedup_spot_open(d, &item->names[i], &spot);

		item->has_asked = item->is_last = false;
		if (r >= 0)
			r = item->fd = open_file(spot.dir->fd, spot.name);
		if (r >= 0)
			r = dedup_look(item->fd, ret_look);
		if (r >= 0 && ret_look->ino == ino && ret_look->dev == spot.dir->root->dev)
			return 1;
		pl_closep(&item->fd);
		if (r < 0 && !is_gone(r)) {
			d->result->failed += item->n_names - 1;
			return dedup_finding(d, &item->names[i], r, "cannot open it");
		}
	}
	return 0;
}

static void leave_alone(struct dedup *d, const struct dedup_item *item)
{
	d->result->left_alone += item->n_names;
}

int dedup_item_open(struct dedup *d, struct dedup_item *item)
{
	struct dedup_look look = {0};
	int r;

	if (item->fd >= 0)
		return 1;
	r = open_any_name(d, item, item->look.ino, &look);
	if (r == 1 && !dedup_look_holds(&item->look, &look)) {
		leave_alone(d, item);
		pl_closep(&item->fd);
		r = 0;
	}
	return r;
}

/* The first look at it. 1; 0: it is not what it was when its name was found, or cannot be read. */
static int item_begin(struct dedup *d, struct dedup_item *item)
{
	int r = open_any_name(d, item, item->names[0].ino, &item->look);

	if (r == 1 && (!S_ISREG(item->look.mode) || item->look.size == 0))
		r = 0;
	else if (r == 1)
		r = settle(item->fd, &item->look);
	if (r == 0 && item->fd >= 0) {
		leave_alone(d, item);
		pl_closep(&item->fd);
	}
	return r;
}

/* ---- what must be equal ---- */

static uint32_t match_of(const struct dedup *d, const struct dedup_root *root)
{
	return root->how == PL_DEDUP_REFLINK ? d->match_share : d->match_link;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All attributes that can be seen, also those that are no part of what is published: a link has one set. */
static int hash_xattrs(struct dedup *d, int fd)
{
	PL_FREE const char **names = NULL;
	size_t n = 0, capacity = 0, length;
	PL_BUFFER value = {0};
	int r;

	pl_buffer_truncate(&d->xattrs, 0);
	r = pl_xattr_list(fd, &d->xattrs);
	for (size_t at = 0; r >= 0 && at < d->xattrs.length; at += length + 1) {
		length = strlen((const char *)d->xattrs.data + at);
		r = PL_ARRAY_GROW(names, capacity, n);
		if (r >= 0)
			names[n++] = (const char *)d->xattrs.data + at;
	}
	if (r >= 0 && n > 1)
		qsort(names, n, sizeof(*names), by_bytes);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		uint64_t size;

		pl_buffer_truncate(&value, 0);
		r = pl_xattr_get(fd, names[i], &value);
		size = value.length;
		pl_hash_add(d->hash, names[i], strlen(names[i]) + 1);
		pl_hash_add(d->hash, &size, sizeof(size));
		pl_hash_add(d->hash, value.data, value.length);
	}
	return r < 0 ? r : 0;
}

/* All but the content. */
static int hash_metadata(struct dedup *d, const struct dedup_item *item, uint32_t match)
{
	const struct dedup_look *look = &item->look;
	const uint64_t fields[] = {
		look->size,
		match & PL_DEDUP_MATCH_MODE ? look->mode : 0,
		match & PL_DEDUP_MATCH_OWNER ? look->uid : 0,
		match & PL_DEDUP_MATCH_OWNER ? look->gid : 0,
		match & PL_DEDUP_MATCH_MTIME ? (uint64_t)look->mtime.tv_sec : 0,
		match & PL_DEDUP_MATCH_MTIME ? (uint64_t)look->mtime.tv_nsec : 0,
	};

	pl_hash_add(d->hash, fields, sizeof(fields));
	return match & PL_DEDUP_MATCH_XATTRS ? hash_xattrs(d, item->fd) : 0;
}

/* 0; -EAGAIN: the file has ended early. */
static int hash_content(struct dedup *d, const struct dedup_item *item, uint64_t length)
{
	for (uint64_t at = 0; at < length;) {
		size_t want = length - at < DEDUP_BUFFER ? (size_t)(length - at) : DEDUP_BUFFER;
		ssize_t n = pl_pread_full(item->fd, d->buffer, want, at);

		if (n < 0)
			return (int)n;
		if ((size_t)n != want)
			return -EAGAIN;
		pl_hash_add(d->hash, d->buffer, want);
		at += want;
		d->done_bytes += want;
		d->result->bytes_read += want;
		if (dedup_tick(d) < 0)
			return -EINTR;
	}
	return 0;
}

/* 1: no change since the look; 0: some. */
static int still_holds(const struct dedup_item *item)
{
	struct dedup_look now;
	int r = dedup_look(item->fd, &now);

	return r < 0 ? r : dedup_look_holds(&item->look, &now);
}

/* The outcome of reading an item: 1; 0: it is left alone; an error that ends everything. */
static int judge(struct dedup *d, struct dedup_item *item, int r)
{
	if (r >= 0)
		r = still_holds(item);
	if (r == 1 || r == -ENOMEM || r == -EINTR)
		return r;
	if (r == 0 || r == -EAGAIN || r == -ENODATA) {
		leave_alone(d, item);
		r = 0;
	} else {
		d->result->failed += item->n_names - 1;
		r = dedup_finding(d, item->names, r, "cannot read it");
	}
	pl_closep(&item->fd);
	item->n_names = 0;
	return r;
}

/* Of the first `length` bytes and what else must be equal. */
static int identify(struct dedup *d, struct dedup_item *item, uint32_t match, uint64_t length,
		    bool keeps_open)
{
	int r = dedup_item_open(d, item);

	if (r <= 0) {
		item->n_names = 0;
		return r;
	}
	r = hash_metadata(d, item, match);
	if (d->index_fd >= 0) {
		pl_hash_end(d->hash, &item->meta);
		dedup_index_hash_begin(d, &item->look);
	}
	if (r >= 0)
		r = hash_content(d, item, length < item->look.size ? length : item->look.size);
	if (d->index_fd >= 0)
		dedup_index_hash_end(d, &item->look);
	pl_hash_end(d->hash, &item->id);
	r = judge(d, item, r);
	if (!keeps_open)
		pl_closep(&item->fd);
	return r;
}

/* ---- two ---- */

/* 1, 0, or an error of items[*ret_bad]; -EAGAIN: it has ended early. */
static int compare_content(struct dedup *d, const struct dedup_item *items, size_t *ret_bad)
{
	const struct dedup_item *a = &items[0], *b = &items[1];

	for (uint64_t at = 0; at < a->look.size;) {
		size_t want = a->look.size - at < DEDUP_BUFFER ? (size_t)(a->look.size - at)
							       : DEDUP_BUFFER;
		ssize_t n = pl_pread_full(a->fd, d->buffer, want, at);
		ssize_t m = n < 0 ? n : pl_pread_full(b->fd, d->buffer + DEDUP_BUFFER, want, at);

		*ret_bad = n == (ssize_t)want;
		if (n < 0 || m < 0)
			return (int)(n < 0 ? n : m);
		d->result->bytes_read += (uint64_t)n + (uint64_t)m;
		d->done_bytes += (uint64_t)n + (uint64_t)m;
		if (dedup_tick(d) < 0)
			return -EINTR;
		if ((size_t)n != want || (size_t)m != want)
			return -EAGAIN;
		if (memcmp(d->buffer, d->buffer + DEDUP_BUFFER, want) != 0)
			return 0;
		at += want;
	}
	return 1;
}

static int compare_two(struct dedup *d, struct dedup_item *items, uint32_t match)
{
	size_t bad = 0;
	int r;

	for (int i = 0; i < 2; i++) {
		r = hash_metadata(d, &items[i], match);
		pl_hash_end(d->hash, &items[i].id);
		if (r < 0)
			return judge(d, &items[i], r);
	}
	if (!pl_id_equal(&items[0].id, &items[1].id))
		return 0;
	r = compare_content(d, items, &bad);
	if (r <= 0)
		return r < 0 ? judge(d, &items[bad], r) : 0;
	if (!d->what->dry_run) /* who links or shares them looks once more */
		return 1;
	r = judge(d, &items[0], 0);
	return r == 1 ? judge(d, &items[1], 0) : r;
}

int dedup_equal(struct dedup *d, struct dedup_item *a, struct dedup_item *b)
{
	const struct dedup_item pair[2] = {*a, *b};
	size_t bad = 0;
	int r = compare_content(d, pair, &bad);

	if (r == 1 && (still_holds(a) != 1 || still_holds(b) != 1))
		r = -EAGAIN;
	return r;
}

int dedup_metadata_equal(struct dedup *d, struct dedup_item *entry, const struct dedup_item *item)
{
	int r = hash_metadata(d, entry, d->match_link);

	pl_hash_end(d->hash, &entry->meta);
	return r < 0 ? r : pl_id_equal(&entry->meta, &item->meta);
}

/* ---- more ---- */

static int by_id(const void *a, const void *b)
{
	const struct dedup_item *x = a, *y = b;
	bool is_x = x->n_names > 0, is_y = y->n_names > 0;

	if (is_x != is_y) /* what is left alone comes last */
		return is_x ? -1 : 1;
	if (!is_x)
		return 0;
	return pl_id_equal(&x->id, &y->id) ? pl_id_compare(&x->meta, &y->meta)
					   : pl_id_compare(&x->id, &y->id);
}

static size_t equal_from(const struct dedup_item *items, size_t n, size_t at)
{
	size_t end = at + 1;

	while (end < n && items[end].n_names > 0 && pl_id_equal(&items[end].id, &items[at].id) &&
	       pl_id_equal(&items[end].meta, &items[at].meta))
		end++;
	return end - at;
}

static int share(struct dedup *d, struct dedup_item *items, size_t n)
{
	struct dedup_spot spot;
	int r = dedup_spot_open(d, items[0].names, &spot);

	if (r < 0)
		return is_gone(r) ? 0 : r;
	if (d->index_fd >= 0)
		return dedup_index_items(d, items, n);
	return spot.dir->root->how == PL_DEDUP_REFLINK ? dedup_share_items(d, items, n)
						       : dedup_link_items(d, NULL, items, n);
}

static int tell_apart(struct dedup *d, struct dedup_item *items, size_t n, uint32_t match,
		      uint64_t length)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = identify(d, &items[i], match, length, n <= OPEN_ITEMS);
	if (r >= 0)
		qsort(items, n, sizeof(*items), by_id);
	return r < 0 ? r : 0;
}

static int share_equal(struct dedup *d, struct dedup_item *items, size_t n)
{
	size_t length;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < n && items[at].n_names > 0; at += length) {
		length = equal_from(items, n, at);
		if (length > 1 || d->index_fd >= 0)
			r = share(d, &items[at], length);
	}
	return r < 0 ? r : 0;
}

static void close_items(struct dedup_item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pl_closep(&items[i].fd);
}

/* Items that begin alike. */
static int share_alike(struct dedup *d, struct dedup_item *items, size_t n, uint32_t match)
{
	int r;

	if (n == 1)
		return 0;
	if (items[0].look.size <= HEAD)
		return share(d, items, n);
	r = tell_apart(d, items, n, match, UINT64_MAX);
	return r < 0 ? r : share_equal(d, items, n);
}

/* With an index a file need not have a twin. */
static int all(struct dedup *d, struct dedup_item *items, size_t n, uint32_t match)
{
	int r = tell_apart(d, items, n, match, UINT64_MAX);

	return r < 0 ? r : share_equal(d, items, n);
}

static int many(struct dedup *d, struct dedup_item *items, size_t n, uint32_t match)
{
	size_t length;
	int r = tell_apart(d, items, n, match, HEAD);

	for (size_t at = 0; r >= 0 && at < n && items[at].n_names > 0; at += length) {
		length = equal_from(items, n, at);
		r = share_alike(d, &items[at], length, match);
		close_items(&items[at], length);
	}
	return r < 0 ? r : 0;
}

/* ---- runs ---- */

/* What could be opened comes first; returns how many. */
static int begin_items(struct dedup *d, struct dedup_item *items, size_t n, size_t *ret_kept)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = item_begin(d, &items[i]);
		if (r == 1 && n > OPEN_ITEMS)
			pl_closep(&items[i].fd);
		if (r != 1)
			continue;
		if (kept < i) {
			items[kept] = items[i];
			items[i].fd = -EBADF;
		}
		kept++;
	}
	*ret_kept = kept;
	return r < 0 ? r : 0;
}

static int find_match(struct dedup *d, const struct dedup_name *name, uint32_t *ret_match)
{
	struct dedup_spot spot;
	int r = dedup_spot_open(d, name, &spot);

	*ret_match = r < 0 ? PL_DEDUP_MATCH_ALL : match_of(d, spot.dir->root);
	return r < 0 && !is_gone(r) && r != -EACCES ? r : 0;
}

/* No more than DEDUP_SLICE files. */
static int run_slice(struct dedup *d, struct dedup_name *names, size_t n, size_t n_files)
{
	struct dedup_item *items;
	size_t kept = 0, at = 0;
	uint32_t match = 0;
	int r;

	pl_assert(n_files > 0);
	items = calloc(n_files, sizeof(*items));
	r = items ? 0 : -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n_files; i++) {
		items[i] = (struct dedup_item){.names = &names[at], .fd = -EBADF};
		items[i].n_names = dedup_names_inode(names, n, at);
		at += items[i].n_names;
	}
	if (r >= 0)
		r = begin_items(d, items, n_files, &kept);
	if (r >= 0 && kept > 0)
		r = find_match(d, items[0].names, &match);
	if (r >= 0 && kept > 0 && d->index_fd >= 0) {
		r = all(d, items, kept, match);
	} else if (r >= 0 && kept == 2 && n_files <= OPEN_ITEMS) {
		r = compare_two(d, items, match);
		if (r == 1)
			r = share(d, items, 2);
	} else if (r >= 0 && kept > 1) {
		r = many(d, items, kept, match);
	}
	if (items)
		close_items(items, n_files);
	free(items);
	return r < 0 ? r : 0;
}

static size_t count_files(const struct dedup_name *names, size_t n)
{
	size_t files = 0;

	for (size_t at = 0; at < n; at += dedup_names_inode(names, n, at))
		files++;
	return files;
}

/* A run in slices. */
static int run_slices(struct dedup *d, struct dedup_name *names, size_t n)
{
	size_t length;
	int r = 0;

	for (size_t at = 0; r >= 0 && at < n; at += length) {
		size_t files = 0;

		for (length = 0; at + length < n && files < DEDUP_SLICE; files++)
			length += dedup_names_inode(names, n, at + length);
		r = run_slice(d, &names[at], length, files);
	}
	return r;
}

/* R2: their keys become the beginning of the hash of everything. Files that cannot be read keep theirs. */
static int cut(struct dedup *d, struct dedup_name *names, size_t n)
{
	size_t length;
	uint32_t match;
	int r = find_match(d, names, &match);

	for (size_t at = 0; r >= 0 && at < n; at += length) {
		struct dedup_item item = {.names = &names[at], .fd = -EBADF};

		length = item.n_names = dedup_names_inode(names, n, at);
		r = item_begin(d, &item);
		if (r == 1)
			r = identify(d, &item, match, UINT64_MAX, false);
		for (size_t i = 0; r == 1 && i < length; i++)
			memcpy(&names[at + i].key, item.id.bytes, sizeof(names[0].key));
	}
	if (r >= 0)
		dedup_names_sort(names, n);
	return r < 0 ? r : 0;
}

int dedup_run(struct dedup *d, struct dedup_name *names, size_t n)
{
	size_t files = count_files(names, n), length;
	int r = 0;

	if (files < 2 && d->index_fd < 0)
		return 0;
	if (files <= DEDUP_SLICE)
		return run_slice(d, names, n, files);
	r = cut(d, names, n);
	for (size_t at = 0; r >= 0 && at < n; at += length) {
		length = dedup_names_run(names, n, at);
		if (dedup_names_inode(names, n, at) < length || d->index_fd >= 0)
			r = run_slices(d, &names[at], length);
	}
	return r;
}
