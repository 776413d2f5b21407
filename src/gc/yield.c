/*
 * What of the disk would be free without certain trees: their directories, their files that are no objects, and private
 * copies all of whose names lie in them.
 *
 * Y1  Objects are not counted here: which of them go is known by the marks. A file is one if the inode number that its
 *     directory says is in a filter of those in objects/: ten to twenty bits for each object, whatever the trees hold. One
 *     private copy in a hundred is taken for an object, and so missed: it is an answer for people.
 * Y2  A private copy is free if as many names of it were met as it has links. Remembered are COPIES_MAX at most, which
 *     take 24 MiB; of those that come later nothing is counted.
 */
#include "gc/yield.h"
#include "gc/usage.h"

#define COPIES_MAX (UINT64_C(1) << 19)

struct yielding {
	struct pl_yield *yield;
	const struct pl_store *store;
};

void pl_yield_done(struct pl_yield *yield)
{
	if (yield->objects.bits) {
		pl_bloom_done(&yield->objects);
		pl_map_done(&yield->copies);
	}
	*yield = (struct pl_yield){0};
}

/* ---- the inodes of objects ---- */

/* Inode numbers are close to each other, and the filter wants ids of which each bit counts. (Steele, Lea and Flood,
 * "Fast splittable pseudorandom number generators", 2014.) */
static struct pl_id id_of(uint64_t ino)
{
	struct pl_id id;

	for (size_t i = 0; i < sizeof(id.bytes); i += sizeof(ino)) {
		uint64_t z = ino + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
		memcpy(id.bytes + i, &z, sizeof(z));
	}
	return id;
}

static int read_inodes(struct pl_yield *yield, int pool_fd, const char *directory)
{
	PL_CLOSE int fd = pl_open_dir(pool_fd, directory);
	struct pl_listing listing = {0};
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	for (size_t i = 0; i < listing.n; i++) {
		struct pl_id id = id_of(listing.entries[i].ino);

		pl_bloom_add(&yield->objects, &id);
	}
	pl_listing_done(&listing);
	return r < 0 && r != -ENOENT ? r : 0;
}

/* Once. */
static int read_objects(struct pl_yield *yield, const struct pl_store *store, uint64_t n)
{
	struct pl_listing fanout = {0};
	int r = pl_bloom_init(&yield->objects, n);

	if (r < 0)
		return r;
	pl_map_init(&yield->copies, sizeof(uint64_t), store->seed);
	r = pl_list(store->objects_fd, &fanout);
	for (size_t i = 0; r >= 0 && i < fanout.n; i++) {
		if (strlen(fanout.entries[i].name) == 2)
			r = read_inodes(yield, store->objects_fd, fanout.entries[i].name);
		if (r >= 0 && pl_store_must_stop(store))
			r = -EINTR;
	}
	pl_listing_done(&fanout);
	return r;
}

/* Y1 */
static bool is_object(const struct pl_yield *yield, uint64_t ino)
{
	struct pl_id id = id_of(ino);

	return pl_bloom_has(&yield->objects, &id);
}

/* ---- trees ---- */

/* Y2 */
static int add_copy(struct pl_yield *yield, const struct stat *st)
{
	const uint64_t ino = st->st_ino;
	uint64_t *left = pl_map_get(&yield->copies, &ino);

	if (!left && yield->n_copies == COPIES_MAX)
		return 0;
	if (!left) {
		int r = pl_map_put(&yield->copies, &ino, st->st_nlink - 1);

		yield->n_copies += r >= 0;
		return r < 0 ? r : 0;
	}
	if (*left > 0 && --*left == 0)
		yield->bytes += pl_usage_blocks(st);
	return 0;
}

static int look(void *self, int dirfd, const struct pl_dirent *entry)
{
	const struct yielding *y = self;
	struct stat st;
	int r;

	if (entry->type == DT_REG && is_object(y->yield, entry->ino))
		return 0;
	r = pl_lstat(dirfd, entry->name, &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (pl_store_must_stop(y->store))
		return -EINTR;
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1)
		return is_object(y->yield, st.st_ino) ? 0 : add_copy(y->yield, &st);
	y->yield->bytes += pl_usage_blocks(&st);
	return S_ISDIR(st.st_mode);
}

int pl_yield_add_tree(struct pl_yield *yield, struct pl_store *store, uint64_t n_objects,
		      const struct pl_id *tree)
{
	struct yielding y = {yield, store};
	char hex[PL_ID_HEX + 1];
	uint64_t unread = 0;
	struct stat st;
	int r = yield->objects.bits ? 0 : read_objects(yield, store, n_objects);

	if (r < 0)
		return r;
	r = pl_lstat(store->trees_fd, pl_id_hex(tree, hex), &st);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	yield->bytes += pl_usage_blocks(&st);
	return pl_usage_walk(store->trees_fd, hex, look, &y, &unread);
}
