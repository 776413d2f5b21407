/*
 * Collecting garbage (DESIGN.md, "Collecting"; model/gc.pml).
 *
 *	generations that no setting keeps are dropped --> trees of nobody go --> what is there is listed
 *	--> what trees reach is marked --> batch by batch: taken out, looked at again, put back or erased
 *
 * C1  What a tree that is there reaches is never taken: it is marked, or, of a tree that came meanwhile, put back.
 * C2  What an unfinished commit relies on is never erased: it has claimed it before it looked, and claims are read
 *     after the batch was taken out, before the trees (control NO_SECOND_LOOK), and once more after them.
 * C3  A batch is bounded, so that who misses something that is out waits for that much.
 * C4  If anything of the marking fails, nothing is taken out; what is out when something fails is put back.
 * C5  Nothing is erased by a drop that is not durable: a power cut would bring the generation back without its tree.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "gc/collecting.h"

#define BATCH 2000 /* names */

/* A ref, and what retention says of its generations. */
struct kept {
	struct pl_ref ref;
	struct pl_retain retain;
};

struct collecting {
	struct pl_txdir *tx; /* NULL with a dry run */
	struct pl_store *store;
	const struct pleach_gc_options *options;
	struct pleach_gc_result *result;
	struct pl_findings *findings; /* of generations; NULL: nobody asks */
	struct kept *refs;	      /* with a dry run */
	size_t n_refs, refs_capacity;
	struct timespec now; /* the file system's clock, when trees were come to */
	struct pl_needed needed;
	struct pl_trash trash;
	struct pl_trash_counts counts;
	size_t n_out;
	int64_t began_ms;
	bool is_over; /* the time is */
};

/* ---- generations ---- */

static int tell(struct collecting *c, const struct kept *kept, struct pleach_error *error)
{
	static const char *const fates[] = {
		[PL_FATE_STAYS] = "stays", [PL_FATE_HELD] = "held", [PL_FATE_GOES] = "goes"};
	int r = 0;

	for (size_t i = 0; r >= 0 && c->findings && i < kept->retain.n; i++) {
		const struct pl_retain_item *item = &kept->retain.items[i];
		PL_BUFFER why = {0};
		size_t n = c->findings->n;

		if (item->fate != PL_FATE_GOES && !c->options->dry_run)
			continue;
		pl_retain_explain(&kept->retain, item, &why);
		if (!pl_buffer_ok(&why))
			return pl_fail_memory(error);
		r = pl_findings_add(c->findings, false, fates[item->fate], "", "%s",
				    pl_buffer_string(&why));
		if (r < 0)
			return pl_fail_memory(error);
		pl_findings_set_ref(c->findings, n, kept->ref.name, item->r.generation);
	}
	return r;
}

/* What the settings of a ref keep no longer is dropped; with a dry run it is remembered. */
static int retain_ref(struct collecting *c, const char *name, struct pleach_error *error)
{
	const struct pl_retain_options options = {
		.dry_run = c->options->dry_run, .list = c->options->dry_run && c->findings != NULL};
	struct kept kept = {.retain = {.n = 0}};
	int r = pl_ref_open(c->store, name, &kept.ref, error);

	if (r == -ENOENT) { /* dropped meanwhile */
		pl_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	r = pl_retain_run(c->tx, &kept.ref, &options, &kept.retain, error);
	if (r >= 0)
		r = tell(c, &kept, error);
	c->result->generations += kept.retain.n_dropped;
	c->result->busy_refs += kept.retain.is_busy;
	if (r >= 0 && c->options->dry_run && kept.retain.n_dropped > 0) {
		r = PL_ARRAY_GROW(c->refs, c->refs_capacity, c->n_refs);
		if (r >= 0) {
			c->refs[c->n_refs++] = kept;
			return 0;
		}
		pl_fail_memory(error);
	}
	pl_retain_done(&kept.retain);
	pl_ref_close(&kept.ref);
	return r;
}

static int retain_all(struct collecting *c, struct pleach_error *error)
{
	struct pl_strings names = {0};
	int r = pl_ref_list(c->store, &names, error);

	for (size_t i = 0; r >= 0 && i < names.n; i++) {
		r = retain_ref(c, names.items[i], error);
		if (r >= 0)
			r = pl_store_check_cancel(c->store, error);
	}
	pl_strings_done(&names);
	return r < 0 ? r : 0;
}

/* ---- trees ---- */

/* A tree stays for its grace, though its generation is dropped. */
static bool is_grace_over(struct pl_ref *ref, const char *user, const struct timespec *now)
{
	struct pl_user its;
	uint64_t n, head;

	return pl_user_split(user, &its) && pl_parse_u64(its.rest, UINT64_MAX / 4, &n) >= 0 &&
	       pl_head_number(ref, &head, NULL) >= 0 &&
	       pl_generation_in_grace(ref, n, head, now, NULL) == 0;
}

/* Is it a generation that would be dropped, and leave its tree? */
static bool would_go(struct collecting *c, const char *user)
{
	for (size_t i = 0; i < c->n_refs; i++)
		if (pl_retain_takes_user(&c->refs[i].retain, &c->refs[i].ref, user))
			return is_grace_over(&c->refs[i].ref, user, &c->now);
	return false;
}

/* Would it go? Without the lock: an answer for people. */
static int is_nobodys(struct collecting *c, const struct pl_id *tree, struct pleach_error *error)
{
	PL_CLOSE int treedir = pl_treedir_open(c->store, tree);
	struct pl_user_lookup lookup = PL_USER_LOOKUP(c->store, NULL);
	struct pl_listing listing = {0};
	int r = treedir;

	lookup.now = c->now;
	if (treedir == -ENOENT || pl_pin_is_held(c->store, tree) != 0)
		return 0;
	if (r >= 0)
		r = pl_users_list(treedir, &listing);
	if (r < 0)
		pl_fail_sys(error, r, "cannot look at a tree");
	for (size_t i = 0; r == 0 && i < listing.n; i++) {
		uint64_t n;

		if (!would_go(c, listing.entries[i].name))
			r = pl_user_need(&lookup, tree, listing.entries[i].name, &n, error);
	}
	pl_user_lookup_done(&lookup);
	pl_listing_done(&listing);
	return r < 0 ? r : r == PL_NEED_NOTHING;
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

		if (pl_id_parse(listing.entries[i].name, &tree) < 0)
			continue;
		if (c->options->dry_run)
			r = is_nobodys(c, &tree, error);
		else
			r = pl_tree_take(c->tx, &tree, &c->now, error);
		if (r == 1 && c->options->dry_run)
			c->result->trees++;
		if (r == 0 && c->options->dry_run)
			r = pl_needed_add_tree(&c->needed, &tree, error);
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
		if (r_sync < 0 && r_sync != -ENOENT)
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
		r = pl_erase(c->tx->fd, listing.entries[i].name, NULL);
		c->result->trees++;
	}
	pl_listing_done(&listing);
	return r < 0 ? pl_fail_sys(error, r, "cannot erase a tree that nobody has") : 0;
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
	int r = c->n_out == 0 ? pl_trash_lock(&c->trash) : 0;

	if (r == -EBUSY) {
		pl_fail(error, PLEACH_BUSY, r,
			"a process that looks for something in '%s' does not go on",
			c->store->path);
		pl_hint(error, "let it go on, or end it, if it was stopped");
		return r;
	}
	if (r >= 0)
		r = pl_trash_take(&c->trash, kind, id);
	if (r == -EINTR)
		return pl_store_check_cancel(c->store, error);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot take garbage out of '%s'", c->store->path);
	c->n_out++;
	return c->n_out < BATCH ? 0 : end_batch(c, error);
}

/* One that would go. */
static int count(struct collecting *c, char kind, int fd, const char *name)
{
	struct stat st;

	if (pl_lstat(fd, name, &st) < 0)
		return 0;
	if (kind == 'o')
		c->counts.objects++;
	else
		c->counts.nodes++;
	if (st.st_nlink == 1)
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

		if (!pl_pool_name_parse(directory, name, &id) || !pl_pool_index_may_go(index, &id))
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
		if (strlen(name) == 2 && pl_is_hex(name, 2))
			r = sweep_directory(c, kind, pool_fd, name, error);
	}
	pl_listing_done(&fanout);
	return r < 0 ? r : 0;
}

/* Nodes first: what is left of garbage when it is killed is whole objects, and no node that names what is gone. */
static int sweep_all(struct collecting *c, struct pleach_error *error)
{
	int r = sweep(c, 'n', error), r_end = 0;

	if (r >= 0 && !c->is_over)
		r = sweep(c, 'o', error);
	if (c->n_out > 0)
		r_end = end_batch(c, r < 0 ? NULL : error);
	return r < 0 ? r : r_end;
}

/* ---- the whole ---- */

static int collect(struct collecting *c, struct pleach_error *error)
{
	int r;

	if (!c->options->dry_run) {
		r = pl_trash_begin(c->store, &c->trash, &c->counts.back, error);
		if (r < 0)
			return r;
	}
	r = retain_all(c, error);
	if (r < 0)
		return r;
	r = pl_store_clock(c->store, c->options->dry_run, &c->now);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot read the store's clock");
	/* What is listed is older than what is marked (pool_index.c, P1). */
	if (c->options->dry_run) {
		r = pl_needed_begin(c->store, &c->needed, error);
		c->needed.only_counts = true;
		if (r >= 0)
			r = take_trees(c, error);
	} else {
		r = take_trees(c, error);
		if (r >= 0)
			r = sync_drops(c, error);
		if (r >= 0)
			r = erase_taken(c, error);
		if (r >= 0)
			r = pl_needed_begin(c->store, &c->needed, error);
		if (r >= 0)
			r = pl_needed_add_trees(&c->needed, error);
	}
	if (r >= 0)
		r = pl_needed_add_claims(&c->needed, error);
	return r < 0 ? r : sweep_all(c, error); /* C4 */
}

static void done(struct collecting *c)
{
	pl_trash_end(&c->trash);
	pl_needed_done(&c->needed);
	for (size_t i = 0; i < c->n_refs; i++) {
		pl_retain_done(&c->refs[i].retain);
		pl_ref_close(&c->refs[i].ref);
	}
	free(c->refs);
}

int pl_gc_run(struct pl_store *store, struct pl_txdir *tx, const struct pleach_gc_options *options,
	      struct pleach_gc_result *ret_result, struct pl_findings *ret_findings,
	      struct pleach_error *error)
{
	struct collecting c = {.tx = tx,
			       .store = store,
			       .options = options,
			       .result = ret_result,
			       .findings = ret_findings,
			       .trash = PL_TRASH_NONE};
	int r;

	c.began_ms = pl_clock_monotonic_ms();
	r = collect(&c, error);
	ret_result->objects = c.counts.objects;
	ret_result->nodes = c.counts.nodes;
	ret_result->bytes = c.counts.bytes;
	ret_result->put_back = c.counts.back;
	ret_result->kept_objects = c.needed.objects.n_marked;
	ret_result->kept_nodes = c.needed.nodes.n_marked;
	ret_result->is_complete = r >= 0 && !c.is_over;
	done(&c);
	return r;
}
