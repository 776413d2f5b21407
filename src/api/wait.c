/*
 * pleach_wait(): until a ref has a newer generation.
 *
 * Looked for is the record, with pauses that grow to PAUSE_MAX_MS. A generation counts when the public
 * path shows it, so that who waits and then reads finds it there; but no longer than BEHIND_MAX_MS is
 * waited for that, since the committer may be dead and the waiting one somebody who may not help.
 */
#include "api/inner.h"

#define PAUSE_MAX_MS  100
#define BEHIND_MAX_MS 1000

struct look {
	uint64_t head; /* 0: none, or no ref */
	char ref_id[25];
	bool is_shown;
};

static int look_at(struct pl_ref *ref, struct look *look, struct pleach_error *error)
{
	struct pl_record record;
	struct pl_id shown;
	unsigned k;
	int r = pl_ref_settle(ref, NULL, &look->head, error);

	memcpy(look->ref_id, ref->id, sizeof(look->ref_id));
	if (r < 0 || look->head == 0)
		return r;
	r = pl_generation_read(ref, look->head, &record, error);
	if (r < 0)
		return r;
	r = pl_public_read(ref, &shown, &k, NULL);
	look->is_shown = r == 1 && pl_id_equal(&shown, &record.tree);
	pl_record_done(&record);
	return 0;
}

static int look(struct pl_store *store, const char *name, struct look *ret_look,
		struct pleach_error *error)
{
	struct look look = {0};
	struct pl_ref ref;
	int r = pl_ref_open(store, name, &ref, error);

	if (r >= 0) {
		r = look_at(&ref, &look, error);
		pl_ref_close(&ref);
	}
	if (r == -ENOENT) {
		pl_error_clear(error);
		look = (struct look){0};
		r = 0;
	}
	if (r >= 0)
		*ret_look = look;
	return r < 0 ? r : 0;
}

static int fail_late(const char *ref, uint64_t after, struct pleach_error *error)
{
	return pl_fail(error, PLEACH_BUSY, -ETIMEDOUT, "'%s' has no generation after %llu yet", ref,
		       (unsigned long long)after);
}

/* Until the head is newer than `after`, in the ref with this id ("": any; another is newer). */
static int wait_for(struct pl_store *store, const char *ref, const struct look *after,
		    int64_t timeout_ms, uint64_t *ret_generation, struct pleach_error *error)
{
	int64_t begin = pl_clock_monotonic_ms(), seen = -1;
	unsigned pause = 1;

	for (;;) {
		int64_t now = pl_clock_monotonic_ms(), left = timeout_ms - (now - begin);
		struct look found;
		int r = pl_store_check_cancel(store, error);

		if (r >= 0)
			r = look(store, ref, &found, error);
		if (r < 0)
			return r;
		if (found.head > after->head || (found.head > 0 && after->ref_id[0] &&
						 strcmp(found.ref_id, after->ref_id) != 0)) {
			if (seen < 0)
				seen = now;
			if (found.is_shown || now - seen >= BEHIND_MAX_MS ||
			    (timeout_ms >= 0 && left <= 0)) {
				*ret_generation = found.head;
				return 0;
			}
		}
		if (timeout_ms >= 0 && left <= 0)
			return fail_late(ref, after->head, error);
		if (timeout_ms >= 0 && (int64_t)pause > left)
			pause = (unsigned)left;
		pl_sleep_ms(pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
}

int pleach_wait(struct pleach_store *store, const char *ref, int64_t after, int64_t timeout_ms,
		uint64_t *ret_generation, struct pleach_error *error)
{
	struct look from = {.head = after > 0 ? (uint64_t)after : 0};
	uint64_t generation = 0;
	int r = 0;

	pl_assert(store && ref);
	if (after < 0)
		r = look(store->inner, ref, &from, error);
	if (r >= 0)
		r = wait_for(store->inner, ref, &from, timeout_ms, &generation, error);
	if (r >= 0 && ret_generation)
		*ret_generation = generation;
	return r;
}
