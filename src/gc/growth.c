/*
 * Whether a collection is worth it: what a store has grown by since the last one, in cache/, where it costs a commit
 * three calls to note it, and who asks ten to know it.
 *
 *     cache/grown     = note:u64...    one for each commit and drop: bytes, and the flags below; appended
 *     cache/collected = "pleach collected 1 SIZE WAIT\n"    SIZE 0: it was not measured
 *
 * H1  These are hints: lost or damaged, a collection comes later or sooner. What it then does depends on no hint.
 * H2  A collection takes what was noted when it begins into the size: what comes meanwhile counts for the next. One that
 *     is killed, fails or ends before it has measured has so forgotten no byte; the size is too large then, which
 *     refuses nothing: who is refused by it measures (api/making_room.c). Killed in between, bytes count twice.
 * H3  One that was not through in its time is tried again after twice as much: a store that is too large for a second
 *     is left to who has time for it (dist/, the timer).
 */
#include <fcntl.h>

#include "gc/gc.h"

#define GROWN	  "grown"
#define COLLECTED "collected"
#define MAGIC	  "pleach collected 1 "

#define IS_LOOSE (UINT64_C(1) << 63) /* it may have made garbage: a rule drops, or somebody did */
#define IS_AUTO	 (UINT64_C(1) << 62) /* and may have it collected */
#define BYTES	 (IS_AUTO - 1)

#define OF_ITSELF \
	(UINT64_C(64) << 10) /* bytes of a commit, for nodes, directories and its record */

#define NOTES_MAX ((size_t)1 << 20) /* of the file */
#define WAIT_MAX  10

/* Worth it is: so many commits that may have made garbage; or one, and so many bytes, or an eighth of the store; or so
 * many of whatever kind, for what killed ones have left. */
#define ENOUGH_LOOSE 16
#define ENOUGH_BYTES (UINT64_C(64) << 20)
#define ENOUGH_LEAST (UINT64_C(16) << 20)
#define ENOUGH_ANY   1024

struct growth {
	uint64_t n, n_loose, n_auto, bytes;
	uint64_t size; /* at the last collection that measured it; 0: nobody knows */
	uint64_t wait; /* H3 */
};

static uint64_t with_its_own(uint64_t bytes)
{
	return (bytes < BYTES - OF_ITSELF ? bytes : BYTES - OF_ITSELF) + OF_ITSELF;
}

void pl_growth_note(struct pl_store *store, const struct pl_settings *settings, bool is_loose,
		    uint64_t bytes)
{
	uint64_t note = with_its_own(bytes);
	PL_CLOSE int fd = -EBADF;
	PL_BUFFER b = {0};

	if (store->cache_fd < 0 || (!settings->auto_gc && store->settings.max_size == UINT64_MAX))
		return;
	note |= is_loose ? IS_LOOSE : 0;
	note |= settings->auto_gc ? IS_AUTO : 0;
	pl_buffer_add_u64(&b, note);
	fd = pl_open_or_create(store->cache_fd, GROWN, O_WRONLY | O_APPEND, 0600);
	if (fd >= 0 && pl_buffer_ok(&b))
		(void)pl_write_full(fd, b.data, b.length); /* H1 */
}

/* ---- reading ---- */

/* 0, or an error: there is none, or it is damaged. */
static int read_notes(const struct pl_store *store, struct growth *growth)
{
	PL_BUFFER b = {0};
	int r = pl_read_file(store->cache_fd, GROWN, NOTES_MAX, &b);
	struct pl_reader reader = pl_reader_of(b.data, b.length);

	while (r >= 0 && reader.offset + sizeof(uint64_t) <= reader.length) {
		uint64_t note = pl_read_u64(&reader);

		growth->n++;
		growth->n_loose += (note & IS_LOOSE) != 0;
		growth->n_auto += (note & IS_AUTO) != 0;
		if (growth->bytes < BYTES)
			growth->bytes += note & BYTES;
	}
	return r < 0 ? r : 0;
}

static void read_collected(const struct pl_store *store, struct growth *growth)
{
	PL_BUFFER b = {0};
	char *text = NULL, *rest, *size;
	uint64_t wait;

	if (pl_read_file(store->cache_fd, COLLECTED, 128, &b) < 0 ||
	    !(text = (char *)(uintptr_t)pl_buffer_string(&b)) ||
	    strncmp(text, MAGIC, strlen(MAGIC)) != 0)
		return;
	rest = text + strlen(MAGIC);
	rest[strcspn(rest, "\n")] = '\0';
	size = strsep(&rest, " ");
	if (rest && pl_parse_u64(size, BYTES, &growth->size) == 0 &&
	    pl_parse_u64(rest, WAIT_MAX, &wait) == 0)
		growth->wait = wait;
}

static struct growth read_growth(const struct pl_store *store)
{
	struct growth growth = {0};

	if (store->cache_fd >= 0) {
		if (read_notes(store, &growth) == -EFBIG) {
			growth.n = growth.n_loose = growth.n_auto = NOTES_MAX;
			growth.bytes = BYTES;
		}
		read_collected(store, &growth);
	}
	return growth;
}

/* ---- deciding ---- */

bool pl_growth_is_due(const struct pl_store *store)
{
	const struct growth g = store->cache_fd < 0 ? (struct growth){0} : read_growth(store);
	uint64_t max = store->settings.max_size;
	uint64_t enough = g.size == 0		      ? ENOUGH_BYTES
			  : g.size / 8 > ENOUGH_LEAST ? g.size / 8
						      : ENOUGH_LEAST;

	if (g.n_auto == 0)
		return false;
	if (max != UINT64_MAX && (g.size == 0 || g.size + g.bytes > max) &&
	    g.n >= (UINT64_C(1) << g.wait))
		return true;
	return g.n_loose >> g.wait >= ENOUGH_LOOSE || g.n >> g.wait >= ENOUGH_ANY ||
	       (g.n_loose > 0 && g.bytes >> g.wait >= enough);
}

/* ---- max-size, before it is too late ---- */

int pl_growth_check_room(struct pl_store *store, uint64_t bytes, struct pleach_error *error)
{
	uint64_t max = store->settings.max_size, size;
	struct growth g;

	if (max == UINT64_MAX)
		return 0;
	g = read_growth(store);
	size = g.size + g.bytes + with_its_own(bytes);
	if (size <= max || (g.size == 0 && with_its_own(bytes) <= max))
		return 0;
	store->wanted = with_its_own(bytes);
	return pl_fail(error, PLEACH_NO_SPACE, -ENOSPC,
		       "the store would take %llu bytes, and its max-size is %llu",
		       (unsigned long long)size, (unsigned long long)max);
}

int pl_growth_check_replacing(struct pl_store *store, uint64_t bytes, uint64_t replaced,
			      struct pleach_error *error)
{
	const struct growth g = read_growth(store);
	uint64_t size = g.size + g.bytes;

	size = (size > replaced ? size - replaced : 0) + with_its_own(bytes);
	if (g.size > 0 && size <= store->settings.max_size)
		return 0;
	return pl_fail(error, PLEACH_NO_SPACE, -ENOSPC,
		       "the store would take %llu bytes without what is replaced, and its "
		       "max-size is %llu",
		       (unsigned long long)size, (unsigned long long)store->settings.max_size);
}

/* ---- collections ---- */

static int write_collected(const struct pl_store *store, uint64_t size, uint64_t wait)
{
	char temporary[25];
	PL_BUFFER b = {0};
	int r = pl_random_name(temporary);

	pl_buffer_add_format(&b, MAGIC "%llu %llu\n", (unsigned long long)size,
			     (unsigned long long)wait);
	if (r >= 0)
		r = pl_buffer_ok(&b) ? pl_write_file(store->cache_fd, temporary, 0600, b.data,
						     b.length, false)
				     : -ENOMEM;
	if (r < 0)
		return r;
	r = pl_rename(store->cache_fd, temporary, store->cache_fd, COLLECTED);
	if (r < 0)
		(void)pl_unlink(store->cache_fd, temporary);
	return r;
}

/* H2 */
void pl_growth_begin(struct pl_store *store)
{
	const struct growth g = store->cache_fd < 0 ? (struct growth){0} : read_growth(store);
	int r = 0;

	if (store->cache_fd < 0)
		return;
	if (g.size > 0 && g.bytes > 0)
		r = write_collected(store, g.bytes < BYTES - g.size ? g.size + g.bytes : BYTES,
				    g.wait);
	if (r >= 0) /* else it counts for the next one, too */
		(void)pl_unlink(store->cache_fd, GROWN);
}

void pl_growth_end(struct pl_store *store, uint64_t size, bool is_complete)
{
	struct growth before = {0};

	if (store->cache_fd < 0)
		return;
	read_collected(store, &before);
	if (!is_complete && before.wait < WAIT_MAX)
		before.wait++; /* H3 */
	(void)write_collected(store, is_complete || size > 0 ? size : before.size,
			      is_complete ? 0 : before.wait); /* H1 */
}
