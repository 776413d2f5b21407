/*
 * Dropping what the settings of a ref keep no longer: what there is (live.c), what is decided
 * (ref/retention.c), who holds what is to go, and the dropping itself in the steps of drop.c.
 *
 * I1  Decided anew under each hold of the ref lock, with the head, the tags and the marks of then: what
 *     another has published, tagged or dropped meanwhile counts.
 * I2  What is held by somebody stays (drop.c I1), and so does the base of a parked transaction. That is
 *     no error. What cannot be read is one, and then nothing more of the ref goes.
 * I3  A generation is dropped, durably, before its tree is looked at: whoever is killed in between
 *     leaves a tree whose user is found gone.
 * I4  Nobody waits for this: the ref lock is tried, and held for one batch. A dry run takes none.
 */
#include <stdlib.h>

#include "gc/live.h"

struct retaining {
	struct pl_txdir *tx;
	struct pl_ref *ref;
	bool is_dry;
	struct pl_live live;
	struct pl_settings settings;
	uint64_t head;
	uint64_t batch[PL_RETAIN_BATCH]; /* numbers that go, not yet released */
	size_t n_batch;
	uint64_t n_dropped;
};

void pl_retain_done(struct pl_retain *retain)
{
	struct pl_live live = {.items = retain->items, .n = retain->n};

	pl_live_done(&live);
	*retain = (struct pl_retain){0};
}

/* ---- what keeps them ---- */

/* Damaged tags stop it (I2): they may be those of what would go. */
static int read_tags(struct retaining *t, struct pleach_error *error)
{
	struct pl_strings tags = {0};
	int r = pl_tag_list(t->ref, &tags, error);

	for (size_t i = 0; i < t->live.n; i++) {
		free((char *)t->live.items[i].r.tags);
		t->live.items[i].r.tags = NULL;
	}
	for (size_t i = 0; r >= 0 && i < tags.n; i++) {
		struct pl_retain_item *item;
		struct pl_tag tag;
		PL_BUFFER b = {0};

		r = pl_tag_read(t->ref, tags.items[i], &tag, error);
		item = r < 0 ? NULL : pl_live_find(&t->live, tag.generation);
		if (!item)
			continue;
		if (item->r.tags)
			pl_buffer_add_format(&b, "%s, ", item->r.tags);
		pl_buffer_add_string(&b, tag.name);
		free((char *)item->r.tags);
		item->r.tags = pl_buffer_take_string(&b);
		if (!item->r.tags)
			r = pl_fail_memory(error);
	}
	pl_strings_done(&tags);
	return r < 0 ? r : 0;
}

static int decide(struct retaining *t, struct pleach_error *error)
{
	size_t n = t->live.n;
	struct pl_retained *all = reallocarray(NULL, n, sizeof(*all));
	struct timespec now;
	int r = all || n == 0 ? 0 : -ENOMEM;

	pl_clock_wall(&now); /* the clock by which records are stamped */
	for (size_t i = 0; r >= 0 && i < n; i++)
		all[i] = t->live.items[i].r;
	if (r >= 0)
		r = pl_retention_decide(all, n, t->head, &t->settings, &now);
	for (size_t i = 0; r >= 0 && i < n; i++)
		t->live.items[i].r.rules = all[i].rules;
	free(all);
	return r < 0 ? pl_fail_memory(error) : 0;
}

/* ---- who holds them ---- */

/* A transaction that is parked on this tree (I2). 1: there is one. */
int pl_retain_find_parked(struct pl_store *store, const struct pl_id *tree, struct pl_buffer *by)
{
	PL_CLOSE int treedir = pl_treedir_open(store, tree);
	struct pl_listing listing = {0};
	int r = treedir < 0 ? treedir : pl_users_list(treedir, &listing), found = 0;

	for (size_t i = 0; r >= 0 && !found && i < listing.n; i++) {
		struct pl_user user;

		if (!pl_user_split(listing.entries[i].name, &user) || user.kind != 'x')
			continue;
		r = pl_exists(store->tx_fd, user.rest);
		found = r > 0;
		if (found)
			pl_buffer_add_format(by, "the base of transaction %s", user.rest);
	}
	pl_listing_done(&listing);
	return r < 0 && r != -ENOENT ? r : found;
}

/* Of one that no rule keeps. */
static int look_at(struct retaining *t, struct pl_retain_item *item, struct pleach_error *error)
{
	uint64_t n = item->r.generation;
	struct pl_record record;
	PL_BUFFER by = {0};
	int r = pl_generation_read(t->ref, n, &record, error);

	if (r < 0)
		return r;
	item->tree = record.tree;
	pl_record_done(&record);
	r = pl_drop_find_holder(t->ref, n, t->head, &item->tree, &by, error);
	if (r < 0)
		return r;
	if (r == 0) {
		r = pl_retain_find_parked(t->ref->store, &item->tree, &by);
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look at the users of a tree");
	}
	if (r == 0) {
		item->fate = PL_FATE_GOES;
		return 0;
	}
	item->held_by = pl_buffer_take_string(&by);
	if (!item->held_by)
		return pl_fail_memory(error);
	item->fate = PL_FATE_HELD;
	return 0;
}

/* Looks at those that no rule keeps, until a batch is full: then 1. */
static int look_at_all(struct retaining *t, struct pleach_error *error)
{
	for (size_t i = 0; i < t->live.n; i++) {
		struct pl_retain_item *item = &t->live.items[i];
		int r;

		if (item->r.is_dropped || item->r.rules || item->fate != PL_FATE_STAYS)
			continue;
		r = pl_store_check_cancel(t->ref->store, error);
		if (r >= 0)
			r = look_at(t, item, error);
		if (r < 0)
			return r;
		if (item->fate != PL_FATE_GOES)
			continue;
		t->n_dropped += t->is_dry;
		if (t->is_dry)
			continue;
		t->batch[t->n_batch++] = item->r.generation;
		if (t->n_batch == PL_RETAIN_BATCH)
			return 1;
	}
	return 0;
}

/* ---- a batch ---- */

/* Those that were to go when it stopped are there still, or dropped: which, the next one finds. */
static void forget_batch(struct retaining *t)
{
	for (size_t i = 0; i < t->n_batch; i++)
		pl_live_find(&t->live, t->batch[i])->fate = PL_FATE_STAYS;
	t->n_batch = 0;
}

static int mark_batch(struct retaining *t, struct pleach_error *error)
{
	int r = t->n_batch > 0 ? pl_drop_mark(t->ref, t->batch, t->n_batch, error) : 0;

	if (r < 0)
		return r;
	for (size_t i = 0; i < t->n_batch; i++)
		pl_live_find(&t->live, t->batch[i])->r.is_dropped = true;
	t->live.n_changed += t->n_batch;
	t->n_dropped += t->n_batch;
	return 0;
}

/* 1: there is more to do. */
static int choose(struct retaining *t, struct pleach_error *error) /* I1 */
{
	int r = pl_ref_settle(t->ref, t->tx, &t->head, error);

	if (r >= 0)
		r = pl_live_update(&t->live, t->head, error);
	if (r >= 0)
		r = read_tags(t, error);
	if (r >= 0)
		r = decide(t, error);
	return r < 0 ? r : look_at_all(t, error);
}

static int release_batch(struct retaining *t, struct pleach_error *error)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->n_batch; i++) {
		const struct pl_retain_item *item = pl_live_find(&t->live, t->batch[i]);

		r = pl_drop_release(t->tx, t->ref, item->r.generation, &item->tree, false, error);
	}
	t->n_batch = 0;
	return r < 0 ? r : 0;
}

/* 1: there is more; 0: done, or the ref is busy. */
static int drop_batch(struct retaining *t, bool *ret_is_busy, struct pleach_error *error)
{
	int r = pl_ref_try_lock(t->ref, error), more; /* I4 */

	if (r <= 0) {
		*ret_is_busy = r == 0;
		return r;
	}
	more = choose(t, error);
	r = more < 0 ? more : mark_batch(t, error);
	pl_ref_unlock(t->ref);
	if (r < 0) {
		forget_batch(t);
		return r;
	}
	r = release_batch(t, error); /* I3 */
	return r < 0 ? r : more;
}

/* ---- all of it ---- */

/* Where all is kept, the other rules have nothing to say, and need no times. */
static void begin(struct retaining *t)
{
	t->settings = t->ref->settings;
	if (pl_retention_may_drop(&t->settings)) {
		t->live.with_times = true;
		return;
	}
	t->settings.keep_for_ms = 0;
	t->settings.keep_hourly = t->settings.keep_daily = 0;
	t->settings.keep_weekly = t->settings.keep_monthly = 0;
}

static int run(struct retaining *t, bool *ret_is_busy, struct pleach_error *error)
{
	int r;

	if (t->is_dry)
		return choose(t, error);
	while ((r = drop_batch(t, ret_is_busy, error)) == 1)
		;
	return r;
}

int pl_retain_run(struct pl_txdir *tx, struct pl_ref *ref, const struct pl_retain_options *options,
		  struct pl_retain *ret, struct pleach_error *error)
{
	struct retaining t = {
		.tx = tx, .ref = ref, .is_dry = options->dry_run, .live = {.ref = ref}};
	int r;

	pl_assert(!pl_ref_is_locked(ref) && !ret->items);
	begin(&t);
	ret->settings = t.settings;
	if (!pl_retention_may_drop(&t.settings)) {
		if (!options->list)
			return 0;
		t.is_dry = true;
	}
	r = run(&t, &ret->is_busy, error);
	if (r >= 0 && !t.is_dry)
		pl_live_save(&t.live);
	ret->items = t.live.items;
	ret->n = t.live.n;
	ret->capacity = t.live.capacity;
	ret->n_dropped = t.n_dropped;
	if (r == -ENOENT && pl_ref_is_current(ref) == 0) { /* dropped meanwhile */
		pl_error_clear(error);
		pl_retain_done(ret);
		r = 0;
	}
	return r;
}

/* ---- for people, and for what counts bytes ---- */

void pl_retain_explain(const struct pl_retain *retain, const struct pl_retain_item *item,
		       struct pl_buffer *b)
{
	if (item->fate == PL_FATE_STAYS) {
		pl_retention_explain(&item->r, &retain->settings, b);
		return;
	}
	if (item->fate == PL_FATE_GOES && item->r.rules) { /* they do not count then */
		pl_buffer_add_string(b, PL_RETAIN_MAX_SIZE);
		return;
	}
	pl_buffer_add_string(b, "no rule keeps it");
	if (item->fate == PL_FATE_HELD)
		pl_buffer_add_format(b, ", but it is %s", item->held_by);
}

struct pl_retain_item *pl_retain_find(const struct pl_retain *retain, uint64_t generation)
{
	const struct pl_live live = {.items = retain->items, .n = retain->n};

	return pl_live_find(&live, generation);
}

bool pl_retain_takes_user(const struct pl_retain *retain, const struct pl_ref *ref,
			  const char *user)
{
	const struct pl_retain_item *item;
	struct pl_user its;
	uint64_t n;

	if (!pl_user_is_generation_of(ref, user) || !pl_user_split(user, &its) ||
	    pl_parse_u64(its.rest, UINT64_MAX / 4, &n) < 0)
		return false;
	item = pl_retain_find(retain, n);
	return item && item->fate == PL_FATE_GOES;
}
