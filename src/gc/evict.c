/*
 * Making room: which generations could go where a store is over its max-size, and dropping one of them. How
 * many must go is known to who counts the bytes.
 *
 * I1  Never the head, tagged ones, or what somebody holds (drop.c I1, and bases of parked transactions):
 *     looked at under the ref lock, just before it is dropped.
 * I2  None within its grace (G1): its tree would stay, and no room would be made.
 * I3  Nobody waits: what is busy stays, and the next one is tried.
 */
#include <stdlib.h>

#include "gc/live.h"

/* 1: it could go, and when it was replaced or used last; 0: it is in use, or within its grace (I2). */
static int find_used(struct pl_ref *ref, uint64_t n, uint64_t head, const struct timespec *now,
		     struct timespec *ret_used)
{
	struct timespec replaced, used;
	int r = pl_generation_in_grace(ref, n, head, now, &replaced);

	if (r != 0)
		return r == -ENOENT || r == 1 ? 0 : r;
	*ret_used = replaced;
	if (pl_use_time(ref, n, &used) == 1 && pl_time_is_before(&replaced, &used))
		*ret_used = used;
	return 1;
}

/* The numbers that have a tag, as keys of a map. */
static int find_tagged(struct pl_ref *ref, struct pl_map *tagged, struct pleach_error *error)
{
	struct pl_strings tags = {0};
	int r = pl_tag_list(ref, &tags, error);

	for (size_t i = 0; r >= 0 && i < tags.n; i++) {
		struct pl_tag tag;

		r = pl_tag_read(ref, tags.items[i], &tag, error);
		if (r >= 0 && pl_map_put(tagged, &tag.generation, 1) < 0)
			r = pl_fail_memory(error);
	}
	pl_strings_done(&tags);
	return r < 0 ? r : 0;
}

static int list_untagged(struct pl_live *live, const struct pl_map *tagged, uint64_t head,
			 struct pl_evictable like, const struct timespec *now,
			 struct pl_evictable **items, size_t *n, size_t *capacity,
			 struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < live->n; i++) {
		const struct pl_retained *item = &live->items[i].r;

		like.generation = item->generation;
		if (item->is_dropped || item->generation >= head ||
		    pl_map_get(tagged, &item->generation))
			continue;
		r = find_used(live->ref, item->generation, head, now, &like.used);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look at the generations of '%s'",
					   live->ref->name);
		if (r == 0)
			continue;
		if (PL_ARRAY_GROW(*items, *capacity, *n) < 0)
			return pl_fail_memory(error);
		(*items)[(*n)++] = like;
	}
	return 0;
}

int pl_evict_list(struct pl_ref *ref, uint64_t ref_number, const struct timespec *now,
		  struct pl_evictable **items, size_t *n, size_t *capacity,
		  struct pleach_error *error)
{
	const struct pl_evictable like = {.ref = ref_number};
	struct pl_live live = {.ref = ref};
	struct pl_map tagged;
	uint64_t head;
	int r = pl_ref_settle(ref, NULL, &head, error);

	pl_map_init(&tagged, sizeof(uint64_t), ref->store->seed);
	if (r >= 0)
		r = pl_live_update(&live, head, error);
	if (r >= 0)
		r = find_tagged(ref, &tagged, error);
	if (r >= 0)
		r = list_untagged(&live, &tagged, head, like, now, items, n, capacity, error);
	pl_map_done(&tagged);
	pl_live_done(&live);
	return r;
}

/* ---- dropping one ---- */

/* Under the ref lock. 1: it is marked, and its tree is *ret_tree; 0: it stays. */
static int mark(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n, struct pl_id *ret_tree,
		struct pleach_error *error)
{
	struct pl_record record;
	PL_BUFFER by = {0};
	uint64_t head;
	int r = pl_ref_settle(ref, tx, &head, error);

	if (r < 0)
		return r;
	r = pl_generation_is_dropped(ref, n);
	if (r != 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot look at ref '%s'", ref->name) : 0;
	r = pl_generation_read(ref, n, &record, error);
	if (r < 0)
		return r;
	*ret_tree = record.tree;
	pl_record_done(&record);
	r = pl_drop_find_holder(ref, n, head, ret_tree, &by, error); /* I1 */
	if (r != 0)
		return r < 0 ? r : 0;
	r = pl_retain_find_parked(ref->store, ret_tree, &by);
	if (r != 0)
		return r < 0 ? pl_fail_sys(error, r, "cannot look at the users of a tree") : 0;
	r = pl_drop_mark(ref, &n, 1, error);
	return r < 0 ? r : 1;
}

int pl_evict_run(struct pl_txdir *tx, struct pl_ref *ref, uint64_t n, struct pleach_error *error)
{
	struct pl_id tree;
	int r = pl_ref_try_lock(ref, error); /* I3 */

	if (r > 0) {
		r = mark(tx, ref, n, &tree, error);
		pl_ref_unlock(ref);
		if (r == 1) {
			r = pl_drop_release(tx, ref, n, &tree, false, error);
			r = r < 0 ? r : 1;
		}
	}
	if (r == -ENOENT &&
	    pl_ref_is_current(ref) == 0) { /* the ref was dropped, and this with it */
		pl_error_clear(error);
		r = 0;
	}
	return r;
}
