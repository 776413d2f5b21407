/*
 * The scan cache: what lstat(2) said of each file of a source, and the entry that was made of it.
 *
 * It is a stream in the order of a scan, read through one window and written through another, so its
 * size is of no matter to memory. It is verified as a whole before any of it is believed.
 *
 *     file   = "pleach scan 1\n" rule:u8 start_s:i64 start_ns:u32 record... H(all before)
 *     record = path_length:u32 path signature:72 bytes entry_length:u32 entry
 *
 * I1  A record is believed only if every field of the signature is as it was, and mtime and ctime are
 *     older than the start of the scan that wrote it by more than the clock's grain. A file that
 *     changes after it was read gets a ctime not before that start; so one whose ctime is older
 *     cannot have changed since without its ctime changing too. (git: Documentation/technical/
 *     racy-git; there the index' own mtime is what `start` is here.)
 * I2  Time of change, not of modification, is what cannot be set back by a program.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "source/source.h"

#define MAGIC		 "pleach scan 1\n"
#define MAGIC_LENGTH	 (sizeof(MAGIC) - 1)
#define HEAD_LENGTH	 (MAGIC_LENGTH + 1 + 8 + 4)
#define SIGNATURE_LENGTH 72
#define WINDOW		 (128u << 10)
#define NEW_NAME	 "scan"

struct pl_cache {
	int home_fd; /* where it is kept; its owner's */
	char name[80];
	/* the old one */
	int old_fd;
	uint64_t old_offset, old_end;
	struct pl_buffer window;
	size_t at; /* of the record that is current, in window */
	bool has_record;
	char *path;
	struct pl_reader record; /* behind the path */
	struct timespec old_start;
	uint64_t grain_ns;
	/* the new one */
	int new_fd, tx_fd;
	struct pl_buffer out;
	struct pl_hash *hash;
	struct pl_entry entry;
};

/* ---- signature ---- */

static void add_signature(struct pl_buffer *b, const struct stat *st)
{
	pl_buffer_add_u64(b, st->st_dev);
	pl_buffer_add_u64(b, st->st_ino);
	pl_buffer_add_u64(b, (uint64_t)st->st_size);
	pl_buffer_add_u64(b, st->st_mode);
	pl_buffer_add_u32(b, st->st_uid);
	pl_buffer_add_u32(b, st->st_gid);
	pl_buffer_add_u64(b, (uint64_t)st->st_mtim.tv_sec);
	pl_buffer_add_u64(b, (uint64_t)st->st_ctim.tv_sec);
	pl_buffer_add_u64(b, (uint64_t)st->st_mtim.tv_nsec);
	pl_buffer_add_u64(b, (uint64_t)st->st_ctim.tv_nsec);
}

static bool is_older(const struct timespec *t, const struct timespec *start, uint64_t grain_ns)
{
	/* A file system that keeps seconds only rounds down, by up to two of them (FAT). */
	uint64_t grain = t->tv_nsec == 0 ? grain_ns + UINT64_C(2000000000) : grain_ns;
	int64_t s = t->tv_sec + (int64_t)((grain + (uint64_t)t->tv_nsec) / 1000000000);
	long ns = (long)((grain + (uint64_t)t->tv_nsec) % 1000000000);

	return s < start->tv_sec || (s == start->tv_sec && ns < start->tv_nsec);
}

static bool is_believed(const struct pl_cache *cache, const unsigned char *signature,
			const struct stat *st)
{
	PL_BUFFER now = {0};

	add_signature(&now, st);
	return pl_buffer_ok(&now) && memcmp(now.data, signature, SIGNATURE_LENGTH) == 0 &&
	       is_older(&st->st_ctim, &cache->old_start, cache->grain_ns) && /* I1 */
	       is_older(&st->st_mtim, &cache->old_start, cache->grain_ns);
}

/* ---- reading ---- */

/* Makes at least `length` bytes from `at` on visible, as far as there are so many. */
static int fill(struct pl_cache *cache, size_t length)
{
	size_t have = cache->window.length - cache->at;
	uint64_t left = cache->old_end - cache->old_offset;
	size_t want = length > WINDOW ? length : WINDOW;
	ssize_t n;

	if (have >= length || left == 0)
		return 0;
	if (have > 0)
		memmove(cache->window.data, cache->window.data + cache->at, have);
	cache->window.length = have;
	cache->at = 0;
	want = want - have > left ? (size_t)left : want - have;
	if (!pl_buffer_reserve(&cache->window, want))
		return -ENOMEM;
	n = pl_pread_full(cache->old_fd, cache->window.data + have, want, cache->old_offset);
	if (n < 0)
		return (int)n;
	cache->window.length += (size_t)n;
	cache->old_offset += (size_t)n;
	return (size_t)n == want ? 0 : -EBADMSG;
}

/* Reads the record at `at`. 1: there is one. What does not fit ends the cache: it is only a help. */
static int read_record(struct pl_cache *cache)
{
	struct pl_reader r;
	const unsigned char *path;
	uint32_t path_length, entry_length;
	size_t need = 4;
	int e;

	cache->has_record = false;
	free(cache->path);
	cache->path = NULL;
	for (unsigned step = 0; step < 3; step++) {
		e = fill(cache, need);
		if (e < 0)
			return e == -ENOMEM ? e : 0;
		r = pl_reader_of(cache->window.data + cache->at, cache->window.length - cache->at);
		path_length = pl_read_u32(&r);
		path = pl_read_bytes(&r, path_length);
		pl_read_bytes(&r, SIGNATURE_LENGTH);
		entry_length = pl_read_u32(&r);
		if (step == 0)
			need = (size_t)4 + path_length + SIGNATURE_LENGTH + 4;
		else
			need = (size_t)4 + path_length + SIGNATURE_LENGTH + 4 + entry_length;
	}
	if (r.short_read || r.length - r.offset < entry_length)
		return 0;
	cache->path = strndup((const char *)path, path_length);
	if (!cache->path)
		return -ENOMEM;
	cache->record =
		pl_reader_of(path + path_length, SIGNATURE_LENGTH + 4 + (size_t)entry_length);
	cache->has_record = true;
	return 1;
}

static int next_record(struct pl_cache *cache)
{
	cache->at += 4 + strlen(cache->path) + cache->record.length;
	return read_record(cache);
}

int pl_cache_find(struct pl_cache *cache, const char *path, const struct stat *st,
		  struct pl_entry *ret_entry)
{
	struct pl_reader r;
	const unsigned char *signature;

	while (cache->has_record) {
		int c = pl_path_compare(cache->path, path);

		if (c > 0)
			return 0;
		if (c == 0)
			break;
		c = next_record(cache);
		if (c < 0)
			return c;
	}
	if (!cache->has_record)
		return 0;
	r = cache->record;
	signature = pl_read_bytes(&r, SIGNATURE_LENGTH);
	pl_read_u32(&r);
	if (!is_believed(cache, signature, st) || pl_entry_decode(&r, ret_entry) < 0)
		return 0;
	return 1;
}

/* ---- writing ---- */

static int flush(struct pl_cache *cache)
{
	int r = pl_write_full(cache->new_fd, cache->out.data, cache->out.length);

	pl_hash_add(cache->hash, cache->out.data, cache->out.length);
	pl_buffer_truncate(&cache->out, 0);
	return r;
}

int pl_cache_add(struct pl_cache *cache, const char *path, const struct stat *st,
		 const struct pl_entry *entry)
{
	size_t before, length;

	if (cache->new_fd < 0)
		return 0;
	pl_buffer_add_u32(&cache->out, (uint32_t)strlen(path));
	pl_buffer_add_string(&cache->out, path);
	add_signature(&cache->out, st);
	before = cache->out.length;
	pl_buffer_add_u32(&cache->out, 0);
	pl_entry_encode(entry, &cache->out);
	if (!pl_buffer_ok(&cache->out))
		return -ENOMEM;
	length = cache->out.length - before - 4;
	for (unsigned i = 0; i < 4; i++)
		cache->out.data[before + i] = (unsigned char)(length >> (24 - 8 * i));
	if (cache->out.length >= WINDOW && flush(cache) < 0)
		pl_closep(&cache->new_fd); /* no room for a help: go on without */
	return 0;
}

void pl_cache_keep(struct pl_cache *cache)
{
	struct pl_id sum;
	int r;

	if (cache->new_fd < 0)
		return;
	r = flush(cache);
	pl_hash_end(cache->hash, &sum);
	if (r >= 0)
		r = pl_write_full(cache->new_fd, sum.bytes, sizeof(sum.bytes));
	if (r >= 0)
		(void)pl_rename(cache->tx_fd, NEW_NAME, cache->home_fd, cache->name);
}

/* ---- opening and closing ---- */

static bool verifies(struct pl_cache *cache, uint64_t size)
{
	PL_FREE unsigned char *chunk = malloc(WINDOW);
	struct pl_id sum = {{0}}, found;
	uint64_t done = 0, end = size - sizeof(sum.bytes);

	while (chunk && done < end) {
		size_t want = end - done < WINDOW ? (size_t)(end - done) : WINDOW;

		if (pl_pread_full(cache->old_fd, chunk, want, done) != (ssize_t)want)
			break;
		pl_hash_add(cache->hash, chunk, want);
		done += want;
	}
	pl_hash_end(cache->hash, &found);
	return chunk && done == end &&
	       pl_pread_full(cache->old_fd, sum.bytes, sizeof(sum.bytes), end) ==
		       sizeof(sum.bytes) &&
	       pl_id_equal(&sum, &found);
}

static int open_old(struct pl_cache *cache, enum pl_rule rule)
{
	unsigned char head[HEAD_LENGTH] = {0};
	struct pl_reader r = pl_reader_of(head, sizeof(head));
	struct stat st;

	cache->old_fd = pl_open(cache->home_fd, cache->name, O_RDONLY);
	if (cache->old_fd < 0 || pl_fstat(cache->old_fd, &st) < 0 ||
	    (uint64_t)st.st_size < HEAD_LENGTH + sizeof(struct pl_id) ||
	    pl_pread_full(cache->old_fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    memcmp(pl_read_bytes(&r, MAGIC_LENGTH), MAGIC, MAGIC_LENGTH) != 0 ||
	    pl_read_u8(&r) != (uint8_t)rule || !verifies(cache, (uint64_t)st.st_size))
		return 0;
	cache->old_start.tv_sec = (time_t)pl_read_u64(&r);
	cache->old_start.tv_nsec = (long)pl_read_u32(&r);
	cache->old_offset = HEAD_LENGTH;
	cache->old_end = (uint64_t)st.st_size - sizeof(struct pl_id);
	return read_record(cache);
}

static int begin_new(struct pl_cache *cache, struct pl_txdir *tx, enum pl_rule rule)
{
	struct timespec now;

	pl_clock_coarse(&now);
	cache->tx_fd = tx->fd;
	pl_unlink(tx->fd, NEW_NAME); /* of another source of this transaction, which was not kept */
	cache->new_fd = pl_create(tx->fd, NEW_NAME, 0600);
	if (cache->new_fd < 0)
		return cache->new_fd;
	pl_buffer_add(&cache->out, MAGIC, MAGIC_LENGTH);
	pl_buffer_add_u8(&cache->out, (uint8_t)rule);
	pl_buffer_add_u64(&cache->out, (uint64_t)now.tv_sec);
	pl_buffer_add_u32(&cache->out, (uint32_t)now.tv_nsec);
	return pl_buffer_ok(&cache->out) ? 0 : -ENOMEM;
}

/* One cache for a directory and a rule: by device and inode. */
static int find_home(struct pl_cache *cache, struct pl_store *store,
		     const struct pl_cache_place *place, int source_fd, enum pl_rule rule)
{
	struct stat st;
	int r = pl_fstat(source_fd, &st);
	PL_BUFFER b = {0};

	if (r < 0)
		return r;
	cache->home_fd = place ? place->dirfd : store->cache_fd;
	if (place)
		pl_buffer_add_string(&b, place->name);
	else
		pl_buffer_add_format(&b, "scan-%llx-%llx-%s", (unsigned long long)st.st_dev,
				     (unsigned long long)st.st_ino, pl_rule_name(rule));
	if (!pl_buffer_ok(&b))
		return -ENOMEM;
	pl_assert(b.length < sizeof(cache->name));
	memcpy(cache->name, b.data, b.length + 1);
	return 0;
}

int pl_cache_open(struct pl_store *store, struct pl_txdir *tx, int source_fd, enum pl_rule rule,
		  const struct pl_cache_place *place, struct pl_cache **ret_cache)
{
	struct pl_cache *cache = calloc(1, sizeof(*cache));
	struct pl_fs fs = {0};
	int r;

	if (!cache)
		return -ENOMEM;
	cache->old_fd = cache->new_fd = cache->tx_fd = -EBADF;
	r = pl_hash_new(&cache->hash);
	if (r >= 0)
		r = find_home(cache, store, place, source_fd, rule);
	if (r >= 0)
		r = pl_fs_probe(source_fd, &fs);
	/* The clock of a server may run behind ours, by less than a minute, it is hoped. */
	cache->grain_ns = fs.is_local ? UINT64_C(10000000) : UINT64_C(60000000000);
	if (r >= 0)
		r = open_old(cache, rule);
	if (r >= 0 && tx)
		r = begin_new(cache, tx, rule);
	if (r < 0) {
		pl_cache_close(cache);
		return r;
	}
	*ret_cache = cache;
	return 0;
}

void pl_cache_close(struct pl_cache *cache)
{
	if (!cache)
		return;
	pl_closep(&cache->old_fd);
	pl_closep(&cache->new_fd);
	pl_buffer_done(&cache->window);
	pl_buffer_done(&cache->out);
	pl_hash_free(cache->hash);
	free(cache->path);
	free(cache);
}
