/*
 * Collecting garbage (DESIGN.md, "Collecting"; model/gc.pml).
 *
 *	generations that no setting keeps are dropped --> trees of nobody go --> what is there is listed
 *	--> what trees reach is marked --> batch by batch: taken out, looked at again, put back or erased
 *	--> is it over its max-size? --generations are dropped to make room--> once more, from the trees on
 *
 * C1  What a tree that is there reaches is never taken: it is marked, or, of a tree that came meanwhile, put back.
 * C2  What an unfinished commit relies on is never erased: it has claimed it before it looked, and claims are read
 *     after the batch was taken out, before the trees (control NO_SECOND_LOOK), and once more after them.
 * C3  A batch is bounded, so that who misses something that is out waits for that much; and between two of them there
 *     is time for who waits, however he looks.
 * C4  If anything of the marking fails, nothing is taken out; what is out when something fails is put back.
 * C5  Nothing is erased by a drop that is not durable: a power cut would bring the generation back without its tree.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/collecting.h"
#include "gc/going.h"
#include "gc/yield.h"

#define BATCH	 2000 /* names */
#define PAUSE_MS 50   /* longer than who waits for a lock sleeps between two looks (sys/lock.c) */
#define ROUNDS	 8    /* of making room */

struct collecting {
	struct pl_txdir *tx; /* NULL with a dry run */
	struct pl_store *store;
	const struct pleach_gc_options *options;
	struct pleach_gc_result *result;
	struct pl_going going; /* generations */
	struct pl_needed needed;
	struct pl_trash trash;
	struct pl_trash_counts counts;
	struct pl_yield yield; /* of trees, with a dry run */
	size_t n_out, n_batches;
	int64_t began_ms;
	bool is_over; /* the time is */
};

/* ---- trees ---- */

/* Would it go? Without the lock: an answer for people. */
static int is_nobodys(struct collecting *c, const struct pl_id *tree, struct pleach_error *error)
{
	PL_CLOSE int treedir = pl_treedir_open(c->store, tree);
	struct pl_user_lookup lookup = PL_USER_LOOKUP(c->store, NULL);
	struct pl_listing listing = {0};
	char hex[PL_ID_HEX + 1];
	int r = treedir;

	lookup.now = c->going.now;
	if (treedir == -ENOENT || pl_pin_is_held(c->store, tree) != 0)
		return 0;
	if (r >= 0)
		r = pl_users_list(treedir, &listing);
	if (r < 0)
		pl_fail_sys(error, r, "cannot look at tree %s", pl_id_hex(tree, hex));
	for (size_t i = 0; r == 0 && i < listing.n; i++) {
		uint64_t n;

		if (!pl_going_takes_user(&c->going, listing.entries[i].name))
			r = pl_user_need(&lookup, tree, listing.entries[i].name, &n, error);
	}
	pl_user_lookup_done(&lookup);
	pl_listing_done(&listing);
	return r < 0 ? r : r == PL_NEED_NOTHING;
}

/* With a dry run: marked, or counted. */
static int look_at_tree(struct collecting *c, const struct pl_id *tree, struct pleach_error *error)
{
	int r = is_nobodys(c, tree, error);

	if (r <= 0)
		return r < 0 ? r : pl_needed_add_tree(&c->needed, tree, error);
	c->result->trees++;
	r = pl_yield_add_tree(&c->yield, c->store, c->needed.objects.n, tree);
	if (r == -EINTR)
		return pl_store_check_cancel(c->store, error);
	return r < 0 ? pl_fail_sys(error, r, "cannot look at a tree that would go") : 0;
}

/* Those of nobody go; with a dry run they are left, and not marked. */
static int take_trees(struct collecting *c, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(c->store->trees_fd, &listing);

	if (r < 0)
		pl_fail_sys(error, r, "cannot list '%s/.pleach/trees'", c->store->path);
	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		struct pl_id tree;

		if (!pl_tree_is_entry(c->store, &listing.entries[i], &tree))
			continue;
		if (c->options->dry_run)
			r = look_at_tree(c, &tree, error);
		else
			r = pl_tree_take(c->tx, &tree, &c->going.now, error);
		if (r >= 0)
			r = pl_store_check_cancel(c->store, error);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

/* Of whoever has dropped something that was seen to be dropped. (C5) */
static int sync_drops(struct collecting *c, struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(c->store, &names, error);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		PL_CLOSE int fd = pl_open_dir(c->store->refs_fd, names.items[i]);
		int r_sync = fd < 0 ? fd : 0;

		if (r_sync >= 0 && c->store->settings.durable)
			r_sync = pl_fsync_at(fd, "dropped");
		if (r_sync < 0 && r_sync != -ENOENT && r_sync != -ENOTDIR)
			r = pl_fail_sys(error, r_sync, "cannot sync what was dropped of '%s'",
					names.items[i]);
	}
	pl_strings_done(&names);
	return r < 0 ? r : 0;
}

/* By this or by the drops; before the objects are looked at: files of a placing are further names of them. */
static int erase_taken(struct collecting *c, struct pleach_error *error)
{
	struct pl_listing listing = {0};
	int r = pl_list(c->tx->fd, &listing);

	for (size_t i = 0; r >= 0 && i < listing.n; i++) {
		if (strncmp(listing.entries[i].name, "tree", 4) != 0)
			continue;
		r = pl_erase_counted(c->tx->fd, listing.entries[i].name, &c->counts.bytes);
		c->result->trees++;
	}
	pl_listing_done(&listing);
	return r < 0 ? pl_fail_sys(error, r, "cannot erase a tree in %s/.pleach/tx/%s",
				   c->store->path, c->tx->id)
		     : 0;
}

/* ---- batches ---- */

static bool is_time_over(struct collecting *c)
{
	int64_t limit = c->options->max_time_ms;

	return limit >= 0 && pl_clock_monotonic_ms() - c->began_ms >= limit;
}

/* C2 */
static int look_again(struct collecting *c, struct pleach_error *error)
{
	int r = 0;

	if (!pl_seam_guards(PL_GUARD_LOOK_AGAIN))
		return 0;
	if (pl_seam_guards(PL_GUARD_CLAIMS_BEFORE))
		r = pl_needed_add_claims(&c->needed, error);
	if (r >= 0)
		r = pl_needed_add_trees(&c->needed, error);
	pl_seam_point(PL_POINT_TREES_READ);
	if (!pl_seam_guards(PL_GUARD_CLAIMS_AFTER))
		return r;
	return r < 0 ? r : pl_needed_add_claims(&c->needed, error);
}

/* Whatever happens, the batch is over then. What could not be told from garbage is put back (C4, pl_trash_end). */
static int end_batch(struct collecting *c, struct pleach_error *error)
{
	int r = look_again(c, error);

	if (r >= 0) {
		r = pl_trash_settle(&c->trash, &c->needed, &c->counts);
		if (r < 0)
			pl_fail_sys(error, r, "cannot erase what was taken out of '%s'",
				    c->store->path);
	}
	pl_trash_unlock(&c->trash);
	c->n_out = 0;
	c->is_over = is_time_over(c);
	return r;
}

static int take(struct collecting *c, char kind, const struct pl_id *id, struct pleach_error *error)
{
	int r = 0;

	if (c->n_out == 0) {
		if (c->n_batches++ > 0)
			pl_sleep_ms(PAUSE_MS); /* C3 */
		r = pl_trash_lock(&c->trash);
	}
	if (r == -EBUSY) {
		pl_fail(error, PLEACH_BUSY, r,
			"a process that looks for something in '%s' does not go on",
			c->store->path);
		pl_hint(error, "let it go on, or end it, if it was stopped");
		return r;
	}
	if (r >= 0)
		r = pl_trash_take(&c->trash, kind, id);
	if (r == -EINTR && pl_store_is_cancelled(c->store))
		return pl_store_check_cancel(c->store, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot take garbage out of '%s'", c->store->path);
	c->n_out++;
	return c->n_out < BATCH ? 0 : end_batch(c, error);
}

/* One that would go. Other names of it lie in trees that go, too: no tree that stays has it. */
static int count(struct collecting *c, char kind, int fd, const char *name)
{
	struct stat st;

	if (pl_lstat(fd, name, &st) < 0)
		return 0;
	if (kind == 'o')
		c->counts.objects++;
	else
		c->counts.nodes++;
	c->counts.bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

static int sweep_directory(struct collecting *c, char kind, int pool_fd, const char *directory,
			   struct pleach_error *error)
{
	const struct pl_pool_index *index = kind == 'o' ? &c->needed.objects : &c->needed.nodes;
	PL_CLOSE int fd = pl_open_dir(pool_fd, directory);
	struct pl_listing listing = {0};
	int r = fd < 0 ? fd : pl_list(fd, &listing);

	if (r < 0)
		pl_fail_sys(error, r, "cannot list '%s' in '%s'", directory, c->store->path);
	for (size_t i = 0; r >= 0 && !c->is_over && i < listing.n; i++) {
		const char *name = listing.entries[i].name;
		struct pl_id id;

		if (!pl_pool_is_entry(fd, directory, &listing.entries[i], &id) ||
		    !pl_pool_index_may_go(index, &id))
			continue;
		r = c->options->dry_run ? count(c, kind, fd, name) : take(c, kind, &id, error);
		if (r >= 0)
			r = pl_store_check_cancel(c->store, error);
	}
	pl_listing_done(&listing);
	return r < 0 ? r : 0;
}

static int sweep(struct collecting *c, char kind, struct pleach_error *error)
{
	int pool_fd = pl_store_pool(c->store, kind);
	struct pl_listing fanout = {0};
	int r = pl_list(pool_fd, &fanout);

	if (r < 0)
		pl_fail_sys(error, r, "cannot read '%s'", c->store->path);
	for (size_t i = 0; r >= 0 && !c->is_over && i < fanout.n; i++) {
		const char *name = fanout.entries[i].name;

		pl_store_progress(c->store, "sweep", (kind == 'n') * fanout.n + i, 2 * fanout.n,
				  c->counts.bytes);
		if (strlen(name) == 2 && pl_is_hex(name, 2) &&
		    pl_dirent_is(pool_fd, &fanout.entries[i], S_IFDIR))
			r = sweep_directory(c, kind, pool_fd, name, error);
		if (c->options->automatic) /* also where there is nothing to sweep */
			c->is_over |= is_time_over(c);
	}
	pl_listing_done(&fanout);
	return r < 0 ? r : 0;
}

/* Nodes first: what is left of garbage when it is killed is whole objects, and no node that names what is gone.
 * What is out is looked at to the end, whatever the time is: else nothing would come of it. */
static int sweep_all(struct collecting *c, struct pleach_error *error)
{
	const int64_t deadline_ms = c->store->deadline_ms;
	int r, r_end = 0;

	c->store->deadline_ms = 0;
	r = sweep(c, 'n', error);
	if (r >= 0 && !c->is_over)
		r = sweep(c, 'o', error);
	if (c->n_out > 0)
		r_end = end_batch(c, r < 0 ? NULL : error);
	c->store->deadline_ms = deadline_ms;
	return r < 0 ? r : r_end;
}

/* ---- the whole ---- */

/* What is listed is older than what is marked (pool_index.c, P1). */
static int begin_marking(struct collecting *c, struct pleach_error *error)
{
	pl_needed_done(&c->needed);
	return pl_needed_begin(c->store, &c->needed, error);
}

static int would_collect(struct collecting *c, struct pleach_error *error)
{
	int r = begin_marking(c, error);

	c->needed.only_counts = true;
	if (r >= 0)
		r = take_trees(c, error);
	if (r >= 0)
		r = pl_needed_add_claims(&c->needed, error);
	return r < 0 ? r : sweep_all(c, error);
}

/* From the trees on. */
static int collect_rest(struct collecting *c, struct pleach_error *error)
{
	int r = pl_store_clock(c->store, false, &c->going.now);

	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the store's clock");
	r = take_trees(c, error);

	if (r >= 0)
		r = sync_drops(c, error);
	if (r >= 0)
		r = erase_taken(c, error);
	if (r >= 0)
		r = begin_marking(c, error);
	if (r >= 0)
		r = pl_needed_add_trees(&c->needed, error);
	if (r >= 0)
		r = pl_needed_add_claims(&c->needed, error);
	return r < 0 ? r : sweep_all(c, error); /* C4 */
}

static int make_room(struct collecting *c, struct pleach_error *error)
{
	int r = 1;

	/* Mostly two: one that drops, and one that finds that it fits. Others may add to it meanwhile. */
	for (unsigned i = 0; r == 1 && i < ROUNDS && !c->is_over; i++) {
		r = pl_going_make_room(&c->going, error); /* in the time that is left */
		if (r != 1)
			return r;
		r = collect_rest(c, error);
		r = r < 0 ? r : 1;
	}
	return r < 0 ? r : 0;
}

static int begin_taking(struct collecting *c, struct pleach_error *error)
{
	int r = pl_trash_begin(c->store, &c->trash, &c->counts.back, error);

	if (r >= 0)
		r = pl_roots_check(c->store, error); /* C1 */
	if (r >= 0)
		pl_growth_begin(c->store); /* who is refused has counted nothing */
	return r;
}

static int collect(struct collecting *c, struct pleach_error *error)
{
	const bool is_dry = c->options->dry_run;
	int r = is_dry ? pl_roots_check(c->store, error) : begin_taking(c, error);

	if (r == -EBADMSG)
		pl_error_prefix(error,
				is_dry ? "nothing would be collected" : "nothing is collected");
	c->trash.is_hurried = c->options->automatic;
	if (r >= 0)
		r = pl_going_retain(&c->going, error);
	if (r >= 0)
		r = is_dry ? would_collect(c, error) : collect_rest(c, error);
	if (r >= 0 && !is_dry)
		r = make_room(c, error);
	return r;
}

static void done(struct collecting *c)
{
	pl_trash_end(&c->trash);
	pl_needed_done(&c->needed);
	pl_yield_done(&c->yield);
	pl_going_done(&c->going);
}

int pl_gc_run(struct pl_store *store, struct pl_txdir *tx, const struct pleach_gc_options *options,
	      unsigned part, struct pleach_gc_result *ret_result, struct pl_findings *ret_findings,
	      struct pleach_error *error)
{
	struct collecting c = {.tx = tx,
			       .store = store,
			       .options = options,
			       .result = ret_result,
			       .going = {.store = store,
					 .tx = tx,
					 .options = options,
					 .result = ret_result,
					 .findings = ret_findings,
					 .part = part},
			       .trash = PL_TRASH_NONE};
	int r;

	c.began_ms = pl_clock_monotonic_ms();
	if (options->automatic && options->max_time_ms >= 0)
		store->deadline_ms = c.began_ms + options->max_time_ms + 1;
	r = collect(&c, error);
	store->deadline_ms = 0;
	if (r == -ETIMEDOUT && options->automatic) {
		pl_error_clear(error);
		c.is_over = true;
		r = 0;
	}
	ret_result->objects = c.counts.objects;
	ret_result->nodes = c.counts.nodes;
	ret_result->bytes = c.counts.bytes + c.yield.bytes;
	ret_result->put_back = c.counts.back;
	ret_result->kept_objects = c.needed.objects.n_marked;
	ret_result->kept_nodes = c.needed.nodes.n_marked;
	ret_result->is_complete = r >= 0 && !c.is_over;
	done(&c);
	return r;
}

/* ---- in a directory of its own ---- */

struct collection {
	struct pl_store *store;
	const struct pleach_gc_options *options;
	unsigned part;
	struct pleach_gc_result *result;
	struct pl_findings *findings;
};

static int run(void *self, struct pleach_error *error)
{
	struct collection *c = self;
	struct pl_txdir tx;
	unsigned n;
	int r;

	pl_txdir_recover(c->store, NULL, &n, NULL); /* it makes room */
	pl_leavings_remove(c->store);
	r = pl_txdir_begin(c->store, "gc", &tx, error);
	if (r < 0)
		return r;
	*c->result = (struct pleach_gc_result)PLEACH_GC_RESULT_INIT;
	if (c->findings)
		pl_findings_done(c->findings);
	r = pl_gc_run(c->store, &tx, c->options, c->part, c->result, c->findings, error);
	if (r >= 0)
		pl_growth_end(c->store, c->result->store_size, c->result->is_complete);
	pl_txdir_end(&tx);
	return r;
}

int pl_gc_collect(struct pl_store *store, const struct pleach_gc_options *options, unsigned part,
		  struct pleach_gc_result *ret_result, struct pl_findings *ret_findings,
		  struct pleach_error *error)
{
	struct collection c = {store, options, part, ret_result, ret_findings};
	int r;

	if (options->automatic && !pl_growth_is_due(store)) {
		ret_result->is_complete = true;
		return 0;
	}
	if (options->dry_run) /* which makes nothing */
		return pl_gc_run(store, NULL, options, part, ret_result, ret_findings, error);
	r = pl_store_with_reserve(store, run, &c, error);
	if (r >= 0) /* of which another one may have been given up, and not been made again */
		(void)pl_store_make_reserve(store->fd);
	if (r == -EBUSY && options->automatic) { /* another one sees to it */
		pl_error_clear(error);
		*ret_result = (struct pleach_gc_result)PLEACH_GC_RESULT_INIT;
		r = 0;
	}
	return r;
}
