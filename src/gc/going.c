/*
 * The generations that go in a collection: first those that the settings of their refs keep no longer (retain.c), then,
 * in a store that has a max-size and is over it, those that were replaced or used longest ago (room.c, evict.c).
 *
 * A dry run asks the same questions in the same order, and remembers the answers: what would go by the settings counts
 * as gone when room is made.
 */
#include <stdlib.h>

#include "gc/going.h"
#include "gc/room.h"

/* A ref, and what retention says of its generations. */
struct pl_going_ref {
	struct pl_ref ref; /* remembered: its name and id alone */
	struct pl_retain retain;
};

void pl_going_done(struct pl_going *going)
{
	for (size_t i = 0; i < going->n; i++)
		pl_retain_done(&going->refs[i].retain);
	free(going->refs);
	going->refs = NULL;
	going->n = going->capacity = 0;
}

static bool has_max_size(const struct pl_going *going)
{
	return going->store->settings.max_size != UINT64_MAX;
}

/* ---- telling ---- */

static int tell_one(struct pl_going *going, const char *ref, uint64_t generation, const char *fate,
		    const char *why, struct pleach_error *error)
{
	const size_t n = going->findings->n;

	if (!why || pl_findings_add(going->findings, false, fate, "", "%s", why) < 0)
		return pl_fail_memory(error);
	pl_findings_set_ref(going->findings, n, ref, generation);
	return 0;
}

static int tell(struct pl_going *going, const char *ref, const struct pl_retain *retain,
		struct pleach_error *error)
{
	static const char *const fates[] = {
		[PL_FATE_STAYS] = "stays", [PL_FATE_HELD] = "held", [PL_FATE_GOES] = "goes"};
	int r = 0;

	for (size_t i = 0; r >= 0 && going->findings && i < retain->n; i++) {
		const struct pl_retain_item *item = &retain->items[i];
		PL_BUFFER why = {0};

		if (item->fate != PL_FATE_GOES && !going->options->dry_run)
			continue;
		pl_retain_explain(retain, item, &why);
		r = tell_one(going, ref, item->r.generation, fates[item->fate],
			     pl_buffer_string(&why), error);
	}
	return r;
}

/* That it does not fit, and why. */
static int tell_over(struct pl_going *going, struct pl_room *room, struct pleach_error *error)
{
	PL_BUFFER why = {0};
	int r;

	going->result->over = room->size > room->limit ? room->size - room->limit : 0;
	if (going->result->over == 0 || !going->findings)
		return 0;
	r = pl_room_explain(room, &why, error);
	return r < 0 ? r : tell_one(going, "", 0, "over", pl_buffer_string(&why), error);
}

/* ---- by the settings ---- */

/* There may be more refs than descriptors. */
static int remember(struct pl_going *going, const struct pl_ref *ref,
		    const struct pl_retain *retain_take, struct pleach_error *error)
{
	struct pl_going_ref *kept;

	if (PL_ARRAY_GROW(going->refs, going->capacity, going->n) < 0)
		return pl_fail_memory(error);
	kept = &going->refs[going->n++];
	*kept = (struct pl_going_ref){.ref = {.fd = -EBADF, .gen_fd = -EBADF, .lock_fd = -EBADF},
				      .retain = *retain_take};
	memcpy(kept->ref.name, ref->name, sizeof(kept->ref.name));
	memcpy(kept->ref.id, ref->id, sizeof(kept->ref.id));
	return 0;
}

static int retain_ref(void *self, struct pl_ref *ref, struct pleach_error *error)
{
	struct pl_going *going = self;
	bool is_dry = going->options->dry_run;
	const struct pl_retain_options options = {.dry_run = is_dry,
						  .list = is_dry && (going->findings != NULL ||
								     has_max_size(going))};
	struct pl_retain retain = {0};
	int r = pl_retain_run(going->tx, ref, &options, &retain, error);

	going->result->generations += retain.n_dropped;
	going->result->busy_refs += retain.is_busy;
	if (r >= 0)
		r = is_dry ? remember(going, ref, &retain, error)
			   : tell(going, ref->name, &retain, error);
	if (r < 0 || !is_dry)
		pl_retain_done(&retain);
	return r;
}

static int retain_all(struct pl_going *going, struct pleach_error *error)
{
	return pl_ref_each(going->store, retain_ref, going, error);
}

/* ---- to make room ---- */

static uint64_t limit_of(const struct pl_going *going)
{
	uint64_t max = going->store->settings.max_size, room = going->options->room;

	return max > room ? max - room : 0;
}

static int make_room_of_one(struct pl_going *going, struct pl_room *room,
			    const struct pl_evictable *e, struct pleach_error *error)
{
	const char *name = room->usage.refs.items[e->ref];
	struct pl_ref ref;
	int r = pl_ref_open(going->store, name, &ref, error);

	if (r == -ENOENT) {
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	r = pl_evict_run(going->tx, &ref, e->generation, error);
	pl_ref_close(&ref);
	if (r <= 0)
		return r;
	going->result->generations++;
	if (going->findings &&
	    tell_one(going, name, e->generation, "goes", PL_RETAIN_MAX_SIZE, error) < 0)
		return -ENOMEM;
	return 1;
}

/* A mark needs an inode, and is made before anything is free by it: what was dropped so far may suffice. */
static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT;
}

int pl_going_make_room(struct pl_going *going, struct pleach_error *error)
{
	struct pl_room room = {
		.limit = limit_of(going), .room = going->options->room, .part = going->part};
	unsigned n_dropped = 0;
	int r;

	pl_assert(!going->options->dry_run);
	if (!has_max_size(going))
		return 0;
	going->part = 0;
	r = pl_room_choose(going->store, &room, NULL, error);
	going->result->store_size = room.size_before;
	for (size_t i = 0; r >= 0 && i < room.n_chosen; i++) {
		r = make_room_of_one(going, &room, &room.items[i], error);
		n_dropped += r == 1;
	}
	if (is_full(r) && n_dropped > 0) {
		pl_error_clear(error);
		r = 0;
	}
	if (r >= 0 && n_dropped == 0) {
		room.size = room.size_before; /* what was chosen stays: busy, or held by now */
		r = room.is_read ? tell_over(going, &room, error) : 0;
	}
	pl_room_done(&room);
	return r < 0 ? r : n_dropped > 0;
}

/* ---- dry ---- */

static struct pl_retain_item *find(const struct pl_going *going, const char *ref, uint64_t n)
{
	for (size_t i = 0; i < going->n; i++)
		if (strcmp(going->refs[i].ref.name, ref) == 0)
			return pl_retain_find(&going->refs[i].retain, n);
	return NULL;
}

static enum pl_room_answer ask(void *self, const char *ref, uint64_t generation)
{
	const struct pl_retain_item *item = find(self, ref, generation);

	if (!item || item->fate == PL_FATE_HELD)
		return PL_ROOM_STAYS;
	return item->fate == PL_FATE_GOES ? PL_ROOM_GONE : PL_ROOM_MAY_GO;
}

static int foresee_room(struct pl_going *going, struct pleach_error *error)
{
	const struct pl_room_foresight foresight = {.ask = ask, .self = going};
	struct pl_room room = {.limit = limit_of(going), .room = going->options->room};
	int r = pl_room_choose(going->store, &room, &foresight, error);

	for (size_t i = 0; r >= 0 && i < room.n_chosen; i++) {
		find(going, room.usage.refs.items[room.items[i].ref], room.items[i].generation)
			->fate = PL_FATE_GOES;
		going->result->generations++;
	}
	if (r >= 0) {
		going->result->store_size = room.size;
		r = room.is_read ? tell_over(going, &room, error) : 0;
	}
	pl_room_done(&room);
	return r < 0 ? r : 0;
}

int pl_going_retain(struct pl_going *going, struct pleach_error *error)
{
	int r = retain_all(going, error);

	if (r < 0 || !going->options->dry_run)
		return r;
	r = pl_store_clock(going->store, true, &going->now);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the store's clock");
	if (has_max_size(going))
		r = foresee_room(going, error);
	for (size_t i = 0; r >= 0 && i < going->n; i++)
		r = tell(going, going->refs[i].ref.name, &going->refs[i].retain, error);
	return r;
}

/* A tree stays for its grace, though its generation is dropped. */
static bool is_grace_over(const struct pl_going *going, const char *name, const char *user)
{
	struct pl_user its;
	struct pl_ref ref;
	uint64_t n, head;
	bool is_over;

	if (!pl_user_split(user, &its) || pl_parse_u64(its.rest, UINT64_MAX / 4, &n) < 0 ||
	    pl_ref_open(going->store, name, &ref, NULL) < 0)
		return false;
	is_over = pl_head_number(&ref, &head, NULL) >= 0 &&
		  pl_generation_in_grace(&ref, n, head, &going->now, NULL) == 0;
	pl_ref_close(&ref);
	return is_over;
}

bool pl_going_takes_user(const struct pl_going *going, const char *user)
{
	for (size_t i = 0; i < going->n; i++)
		if (pl_retain_takes_user(&going->refs[i].retain, &going->refs[i].ref, user))
			return is_grace_over(going, going->refs[i].ref.name, user);
	return false;
}
