/*
 * Making room in a store that has a max-size: what it takes, which generations go so that it fits, and what keeps it
 * over where they do not suffice.
 *
 * R1  Measured is what is there (usage*.c), after a collection: what is garbage is not paid for with generations.
 * R2  They go in the order of pl_retention_order(), and no more than are needed. One whose tree stays, since another
 *     generation has it, makes no room, and stays.
 * R3  For a writer who needs room all of it is made, or none: nothing goes for what will not fit all the same.
 * R4  Where nobody knows how much is missing (inodes, a quota), they go part by part, and the writer tries between.
 */
#include <stdlib.h>

#include "gc/room.h"

void pl_room_done(struct pl_room *room)
{
	if (room->is_read)
		pl_usage_done(&room->usage);
	free(room->items);
	*room = (struct pl_room){0};
}

/* ---- what could go ---- */

static int list_ref(struct pl_room *room, struct pl_store *store, uint64_t i,
		    const struct timespec *now, struct pleach_error *error)
{
	struct pl_ref ref;
	int r = pl_ref_open(store, room->usage.refs.items[i], &ref, error);

	if (r >= 0) {
		r = pl_evict_list(&ref, i, now, &room->items, &room->n, &room->capacity, error);
		pl_ref_close(&ref);
	}
	if (r == -ENOENT) { /* dropped meanwhile */
		pl_error_clear(error);
		r = 0;
	}
	return r < 0 ? r : 0;
}

static int list_all(struct pl_room *room, struct pl_store *store, bool is_dry,
		    struct pleach_error *error)
{
	struct timespec now;
	int r = pl_store_clock(store, is_dry, &now);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the store's clock");
	room->n = 0;
	for (size_t i = 0; r >= 0 && i < room->usage.refs.n; i++) {
		r = list_ref(room, store, i, &now, error);
		if (r >= 0)
			r = pl_store_check_cancel(store, error);
	}
	if (r >= 0)
		pl_retention_order(room->items, room->n);
	return r;
}

/* ---- choosing ---- */

static void take_off(struct pl_room *room, uint64_t bytes)
{
	room->size -= bytes < room->size ? bytes : room->size;
}

/* 1: its tree is known. */
static int release(struct pl_room *room, const struct pl_usage_generation *g, uint64_t *ret_freed)
{
	*ret_freed = 0;
	if (!g || g->tree == PL_USAGE_NONE)
		return 0;
	return pl_usage_release(&room->usage, g->tree, ret_freed) < 0 ? -ENOMEM : 1;
}

/* What goes in any case, and all that is garbage: that of which a collection does not need to be told. */
static int foresee(struct pl_room *room, const struct pl_room_foresight *foresight)
{
	uint64_t freed;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < room->usage.n_generations; i++) {
		const struct pl_usage_generation *g = &room->usage.generations[i];

		if (foresight->ask(foresight->self, room->usage.refs.items[g->ref], g->number) ==
		    PL_ROOM_GONE)
			r = release(room, g, &freed);
	}
	take_off(room, pl_usage_unneeded(&room->usage) + room->usage.totals.trash);
	return r < 0 ? r : 0;
}

/* `n` trees have gone. R4: how many of those that are listed share their trees is not known before; then it are less. */
static bool is_enough(const struct pl_room *room, size_t n)
{
	return room->part > 0 ? n >= (room->n + room->part - 1) / room->part
			      : room->size <= room->limit;
}

/* R2 */
static int choose(struct pl_room *room, const struct pl_room_foresight *foresight)
{
	const struct pl_usage *usage = &room->usage;
	size_t n = 0, n_freed = 0;

	for (size_t i = 0; i < room->n && !is_enough(room, n_freed); i++) {
		const struct pl_evictable e = room->items[i];
		const char *name = usage->refs.items[e.ref];
		uint64_t freed;
		int r;

		if (foresight &&
		    foresight->ask(foresight->self, name, e.generation) != PL_ROOM_MAY_GO)
			continue;
		r = release(room, pl_usage_find(usage, (uint32_t)e.ref, e.generation), &freed);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		take_off(room, freed);
		n_freed += freed > 0;
		room->items[n++] = e;
	}
	room->n_chosen = 0;
	if (room->room > 0 && room->size > room->limit) {
		room->size = room->size_before; /* R3 */
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct pl_usage_generation *g = pl_usage_find(
			usage, (uint32_t)room->items[i].ref, room->items[i].generation);

		if (!usage->trees[g->tree].is_needed)
			room->items[room->n_chosen++] = room->items[i];
	}
	return 0;
}

/* Is it over, at this size? Then *limit is what it may be, with room on the disk as well. */
static int is_over(struct pl_store *store, struct pl_room *room)
{
	uint64_t free_bytes = 0, missing;
	int r = room->room > 0 ? pl_fs_free_bytes(store->fd, &free_bytes) : 0;

	if (r < 0)
		return r;
	missing = room->room > free_bytes ? room->room - free_bytes : 0;
	if (missing > 0 && room->limit > room->size - (missing < room->size ? missing : room->size))
		room->limit = room->size - (missing < room->size ? missing : room->size);
	return room->size > room->limit;
}

/* Measured alone, and only then, if need be, with what it holds: most are not over. */
static int measure(struct pl_store *store, struct pl_room *room, struct pleach_error *error)
{
	struct pl_usage_totals totals;
	int r = pl_usage_measure(store, &totals, error);

	if (r < 0)
		return r;
	room->size = room->size_before = totals.total - totals.beside;
	r = is_over(store, room);
	if (r < 0 || (r == 0 && room->part == 0))
		return r < 0 ? pl_fail_sys(error, r, "cannot look at the disk") : 0;
	r = pl_usage_read(store, &room->usage, error);
	if (r < 0)
		return r;
	if (room->usage.damaged.code != PLEACH_OK) { /* nothing goes by half of what is known */
		if (error)
			*error = room->usage.damaged;
		pl_usage_done(&room->usage);
		return -EBADMSG;
	}
	room->is_read = true;
	room->size = room->size_before = room->usage.totals.total - room->usage.totals.beside;
	return 1;
}

int pl_room_choose(struct pl_store *store, struct pl_room *room,
		   const struct pl_room_foresight *foresight, struct pleach_error *error)
{
	int r;

	pl_assert(!room->is_read && !room->items);
	r = measure(store, room, error);
	if (r <= 0)
		return r;
	r = list_all(room, store, foresight != NULL, error);
	if (r >= 0 && foresight && foresee(room, foresight) < 0)
		r = pl_fail_memory(error);
	if (r >= 0 && choose(room, foresight) < 0)
		r = pl_fail_memory(error);
	return r < 0 ? r : 0;
}

/* ---- what keeps it over ---- */

/* Does a tag name it? Of what was dropped meanwhile nothing does. */
static bool is_tagged(struct pl_ref *ref, const struct pl_strings *tags, uint64_t n)
{
	for (size_t i = 0; i < tags->n; i++) {
		struct pl_tag tag;

		if (pl_tag_read(ref, tags->items[i], &tag, NULL) >= 0 && tag.generation == n)
			return true;
	}
	return false;
}

enum reason { HEADS, TAGGED, HELD, IN_GRACE, N_REASONS };

static bool is_chosen(const struct pl_room *room, const struct pl_usage_generation *g)
{
	for (size_t i = 0; i < room->n_chosen; i++)
		if (room->items[i].ref == g->ref && room->items[i].generation == g->number)
			return true;
	return false;
}

static int count_ref(struct pl_room *room, uint32_t i, uint64_t counts[N_REASONS],
		     struct pleach_error *error)
{
	const struct pl_usage *usage = &room->usage;
	struct pl_strings tags = {0};
	struct pl_ref ref;
	int r = pl_ref_open(usage->store, usage->refs.items[i], &ref, error);

	if (r < 0) {
		if (r == -ENOENT)
			pl_error_clear(error);
		return r == -ENOENT ? 0 : r;
	}
	r = pl_tag_list(&ref, &tags, error);
	for (size_t j = 0; r >= 0 && j < usage->n_generations; j++) {
		const struct pl_usage_generation *g = &usage->generations[j];

		if (g->ref != i || g->tree == PL_USAGE_NONE || is_chosen(room, g))
			continue;
		if (g->is_head)
			counts[HEADS]++;
		else if (is_tagged(&ref, &tags, g->number))
			counts[TAGGED]++;
		else if (usage->trees[g->tree].is_held)
			counts[HELD]++;
		else
			counts[IN_GRACE]++;
	}
	pl_strings_done(&tags);
	pl_ref_close(&ref);
	return r < 0 ? r : 0;
}

int pl_room_explain(struct pl_room *room, struct pl_buffer *b, struct pleach_error *error)
{
	static const char *const one[] = {"head", "tagged one",
					  "pinned, attached, or the base of a transaction",
					  "within its grace or sharing the tree of one that stays"};
	static const char *const more[] = {
		"heads", "tagged ones", "pinned, attached, or bases of transactions",
		"within their grace or sharing the tree of one that stays"};
	uint64_t counts[N_REASONS] = {0};
	int r = 0;
	bool is_first = true;

	pl_assert(room->is_read);
	for (size_t i = 0; r >= 0 && i < room->usage.refs.n; i++)
		r = count_ref(room, (uint32_t)i, counts, error);
	for (int reason = 0; r >= 0 && reason < N_REASONS; reason++) {
		if (counts[reason] == 0)
			continue;
		pl_buffer_add_format(b, "%s%llu %s", is_first ? "" : ", ",
				     (unsigned long long)counts[reason],
				     counts[reason] == 1 ? one[reason] : more[reason]);
		is_first = false;
	}
	if (r >= 0 && is_first)
		pl_buffer_add_string(b, "no generation: what a store needs itself");
	return r < 0 ? r : 0;
}
