/*
 * Collecting garbage: what is garbage goes, all of it and nothing else (G5), whatever runs beside, and whenever it is
 * killed (G6). Each test has a store in which two of three generations were dropped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controls.h"
#include "gc/collecting.h"
#include "tx/yard.h"

struct scene {
	char template[YARD_PATH], store[YARD_PATH], sources[3][YARD_PATH];
	const struct yard *y;
};

static void publish_source(const char *store, const char *source)
{
	struct outcome o = publish_at(store, "site", source);

	must(&o, "publish");
}

static void drop(const char *path, const char *rev)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	options.now = 1;
	o.r = pleach_drop(store, rev, &options, NULL, &o.error);
	must(&o, "drop");
	pleach_store_close(store);
}

/* Generations a, b, c; a and b are dropped. `store` is a copy that may be spoilt. */
static struct scene make_scene(const struct yard *y)
{
	static const char *const settings[] = {"grace",	 "0", "keep-placed", "1",
					       "spares", "0", NULL};
	struct scene s = {.y = y};

	(void)snprintf(s.template, sizeof(s.template), "%s/template", y->path);
	(void)snprintf(s.store, sizeof(s.store), "%s/S", y->path);
	make_store(s.template, settings);
	for (unsigned i = 0; i < 3; i++) {
		const char name[2] = {(char)('a' + i), '\0'};

		(void)snprintf(s.sources[i], sizeof(s.sources[i]), "%s/%s", y->path, name);
		make_source(s.sources[i], name, 4);
		settle_dir(s.sources[i], ".");
		publish_source(s.template, s.sources[i]);
	}
	drop(s.template, "site@1");
	drop(s.template, "site@2");
	yard_copy(s.template, s.store);
	return s;
}

static void fresh(const struct scene *s)
{
	yard_remove(s->store);
	yard_copy(s->template, s->store);
}

static int collect(const char *path, int dry_run, struct pleach_gc_result *result,
		   struct pleach_error *error)
{
	struct pleach_gc_options options = PLEACH_GC_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);
	int r;

	options.dry_run = dry_run;
	*result = (struct pleach_gc_result)PLEACH_GC_RESULT_INIT;
	r = pleach_gc(store, &options, result, NULL, error);
	pleach_store_close(store);
	return r;
}

static struct pleach_gc_result must_collect(const char *path, int dry_run)
{
	struct pleach_gc_result result;
	struct pleach_error error = PLEACH_ERROR_INIT;

	if (collect(path, dry_run, &result, &error) < 0)
		fail_msg("gc: %s", error.message);
	assert_true(result.is_complete);
	return result;
}

/* Nothing is wrong, nothing is left, the path shows the source, and nothing more can be collected. */
static void must_be_well(const struct scene *s, const char *source)
{
	TEXT *site = text_of("%s/site", s->store);
	TEXT *found = fingerprint(site);
	TEXT *expected = fingerprint(source);
	TEXT *trouble = trouble_by_check(s->store, 0);
	struct pleach_gc_result result;
	TEXT *trash = NULL, *tx = NULL;

	if (trouble)
		fail_msg("%s", trouble);
	assert_string_equal(found, expected);
	(void)must_collect(s->store, 0);
	result = must_collect(s->store, 0);
	assert_int_equal(result.trees + result.objects + result.nodes + result.put_back, 0);
	trash = names_in(s->store, "trash");
	tx = names_in(s->store, "tx");
	assert_string_equal(trash, "batch collector ");
	assert_string_equal(tx, "");
	free(trouble);
	trouble = trouble_by_check(s->store, 0);
	if (trouble)
		fail_msg("%s", trouble);
}

/* ---- alone ---- */

/* How many files there are in objects/ or nodes/. */
static uint64_t count_pool(const struct scene *s, const char *pool)
{
	TEXT *path = text_of("%s/.pleach/%s", s->store, pool);
	char *const roots[] = {path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t n = 0;
	FTSENT *e;

	assert_non_null(fts);
	while ((e = fts_read(fts)))
		n += e->fts_info == FTS_F;
	(void)fts_close(fts);
	return n;
}

static void G5_what_is_garbage_goes_and_nothing_else(void **state)
{
	struct scene s = make_scene(*state);
	struct pleach_gc_result would = must_collect(s.store, 1), done;
	uint64_t objects = count_pool(&s, "objects"), nodes = count_pool(&s, "nodes");

	assert_true(would.objects > 0 && would.nodes > 0);
	assert_int_equal(count_pool(&s, "objects"), objects);
	done = must_collect(s.store, 0);
	assert_int_equal(done.objects, would.objects);
	assert_int_equal(done.nodes, would.nodes);
	assert_int_equal(done.bytes, would.bytes);
	assert_int_equal(count_pool(&s, "objects"), objects - done.objects);
	assert_int_equal(count_pool(&s, "nodes"), nodes - done.nodes);
	assert_int_equal(done.kept_objects, objects - done.objects);
	must_be_well(&s, s.sources[2]);
	/* As if they had never been. */
	{
		struct scene alone = {.y = s.y};
		TEXT *path = text_of("%s/alone", s.y->path);

		(void)snprintf(alone.store, sizeof(alone.store), "%s", path);
		make_store(path, NULL);
		publish_source(path, s.sources[2]);
		assert_int_equal(count_pool(&alone, "objects"), count_pool(&s, "objects"));
		assert_int_equal(count_pool(&alone, "nodes"), count_pool(&s, "nodes"));
	}
}

static void what_is_tagged_pinned_or_parked_stays(void **state)
{
	struct scene s = make_scene(*state);
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s.store, &o);
	struct pleach_pin *pin = NULL;
	struct pleach_tx *tx = NULL;
	struct pleach_gc_result result;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	TEXT *id = NULL;

	publish_source(s.store, s.sources[0]);
	must_collect(s.store, 0);
	assert_int_equal(pleach_pin_open(store, "site@4", &pin, &o.error), 0);
	options.parked = 1;
	options.workspace = "copy";
	assert_int_equal(pleach_tx_begin(store, "site", &options, &tx, &o.error), 0);
	pleach_tx_describe(tx, &info);
	id = text_of("%s", info.id);
	assert_int_equal(pleach_tx_close(tx, &o.error), 0);
	publish_source(s.store, s.sources[1]);
	publish_source(s.store, s.sources[2]);
	drop(s.store, "site@3");
	drop(s.store, "site@5");
	result = must_collect(s.store, 0);
	assert_true(result.objects > 0); /* of b */
	pleach_pin_close(pin);
	/* Its base is whole, and it can be committed. */
	assert_int_equal(pleach_tx_open(store, id, &tx, &o.error), 0);
	assert_int_equal(pleach_tx_commit(tx, NULL, NULL, &o.error), 0);
	assert_int_equal(pleach_tx_close(tx, &o.error), 0);
	pleach_store_close(store);
	must_be_well(&s, s.sources[2]);
}

/* Records stay, so that a number is given once, though nothing else is left of its generation. (model/ref.pml,
 * RETENTION) */
static void G3_the_number_of_what_was_collected_is_not_given_again(void **state)
{
	struct scene s = make_scene(*state);
	TEXT *records = NULL, *after = NULL;

	must_collect(s.store, 0);
	records = names_in(s.store, "refs/site/gen");
	assert_string_equal(records, "1 2 3 ");
	publish_source(s.store, s.sources[0]);
	after = names_in(s.store, "refs/site/gen");
	assert_string_equal(after, "1 2 3 4 ");
	must_be_well(&s, s.sources[0]);
}

static void a_missing_node_ends_it_and_nothing_is_taken(void **state)
{
	struct scene s = make_scene(*state);
	TEXT *line = text_of("cd '%s/.pleach' && t=$(basename \"$(dirname \"$(dirname "
			     "\"$(readlink -f ../site)\")\")\") && "
			     "rm nodes/$(echo $t | sed 's:^..:&/:')",
			     s.store);
	const char *const argv[] = {"sh", "-c", line, NULL};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_gc_result result;
	uint64_t objects = count_pool(&s, "objects");

	yard_run(argv);
	assert_int_equal(collect(s.store, 0, &result, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_int_equal(count_pool(&s, "objects"), objects);
}

/* ---- beside others ---- */

/* What is done in the middle of something else. */
struct beside {
	const struct scene *s;
	uint64_t at;
	void (*what)(struct beside *b);
	bool is_busy, is_done;
	int r;
	uint64_t kill_at; /* of kill_a_collection() */
};

static void at_a_call(uint64_t number, enum pl_call call, void *userdata)
{
	struct beside *b = userdata;

	(void)call;
	if (b->is_busy || number != b->at)
		return;
	b->is_busy = b->is_done = true;
	b->what(b);
}

static void publish_first(struct beside *b)
{
	struct outcome o = publish_at(b->s->store, "site", b->s->sources[0]);

	b->r = o.r;
}

static void collect_all(struct beside *b)
{
	struct pleach_gc_result result;
	struct pleach_error error = PLEACH_ERROR_INIT;

	b->r = collect(b->s->store, 0, &result, &error);
}

/* Garbage that comes to be needed while it is collected: at each call that changes something. */
static void G5_a_publish_at_any_moment_of_a_collection_loses_nothing(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t k = 1;

	for (bool is_through = false; !is_through; k++) {
		struct beside b = {.s = &s, .at = k, .what = publish_first};

		fresh(&s);
		pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
		must_collect(s.store, 0);
		pl_seam_arm(NULL);
		is_through = !b.is_done;
		assert_int_equal(b.r, 0);
		must_be_well(&s, is_through ? s.sources[2] : s.sources[0]);
	}
	print_message("# %u moments\n", (unsigned)k);
}

static void G5_a_collection_at_any_moment_of_a_publish_loses_nothing(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t k = 1;

	for (bool is_through = false; !is_through; k++) {
		struct beside b = {.s = &s, .at = k, .what = collect_all};

		fresh(&s);
		pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
		publish_source(s.store, s.sources[0]);
		pl_seam_arm(NULL);
		is_through = !b.is_done;
		assert_int_equal(b.r, 0);
		must_be_well(&s, s.sources[0]);
	}
	print_message("# %u moments\n", (unsigned)k);
}

static void of_two_at_once_the_second_is_told(void **state)
{
	struct scene s = make_scene(*state);
	struct beside b = {.s = &s, .what = collect_all};

	for (b.at = 12; b.at < 20; b.at++) {
		b.is_busy = b.is_done = false;
		fresh(&s);
		pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
		must_collect(s.store, 0);
		pl_seam_arm(NULL);
		assert_true(b.is_done);
		assert_int_equal(b.r, -EBUSY);
	}
}

/* ---- who waits for a batch ---- */

#define GARBAGE 10000 /* five batches */

struct waiter {
	char *got;
	int go, ready;
	bool has_begun, has_got;
};

/* Who misses something, and waits until no batch is out. */
static void wait_for_a_batch(const char *store, const char *got, int go, int ready)
{
	TEXT *name = text_of("%s/.pleach/trash/batch", store);
	char byte;
	int fd;

	if (read(go, &byte, 1) != 1)
		_exit(0); /* nobody came */
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pl_lock_try(fd, PL_LOCK_SHARED) != 0 || write(ready, "r", 1) != 1)
		_exit(1);
	_exit(pl_lock_wait(fd, PL_LOCK_SHARED, 60000, NULL) < 0 || mkdir(got, 0700) < 0);
}

static void at_a_take(uint64_t number, enum pl_call call, void *userdata)
{
	struct waiter *w = userdata;
	char byte;

	(void)number;
	if (call != PL_CALL_RENAME)
		return;
	w->has_got = access(w->got, F_OK) == 0; /* as it is at the last one */
	if (!w->has_begun && write(w->go, "g", 1) == 1 && read(w->ready, &byte, 1) == 1)
		w->has_begun = true;
}

/* Five batches are out one after the other; who begins to wait in the first has it before the last one ends. */
static void who_waits_for_a_batch_does_not_wait_for_all(void **state)
{
	struct scene s = make_scene(*state);
	struct waiter w = {.got = text_of("%s/got", s.y->path)};
	int go[2], ready[2], status;
	pid_t pid;

	fresh(&s);
	for (unsigned i = 0; i < GARBAGE; i++) {
		TEXT *dir = text_of("%s/.pleach/objects/%02x", s.store, i % 16);
		TEXT *name = text_of("%s/%062x", dir, i);

		(void)mkdir(dir, 0700);
		close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	assert_int_equal(pipe(go) + pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		wait_for_a_batch(s.store, w.got, go[0], ready[1]);
	}
	w.go = go[1];
	w.ready = ready[0];
	close(ready[1]);
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_take, .userdata = &w});
	must_collect(s.store, 0);
	pl_seam_arm(NULL);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(w.has_begun);
	assert_true(w.has_got);
	close(go[0]);
	close(ready[0]);
	free(w.got);
}

/* A tree that came and one that went while they were listed would both be missed (trash.c, R4). */
static void G5_no_tree_goes_while_a_batch_is_out(void **state)
{
	struct scene s = make_scene(*state);
	struct outcome o = publish_at(s.store, "site", s.sources[0]);
	struct pl_trash trash = PL_TRASH_NONE;
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_id tree;
	uint64_t back;

	assert_int_equal(pl_id_parse(o.published.tree, &tree), 0);
	publish_source(s.store, s.sources[2]);
	assert_int_equal(pl_store_open(s.store, &store, NULL), 0);
	assert_int_equal(pl_trash_begin(store, &trash, &back, NULL), 0);
	assert_int_equal(pl_trash_lock(&trash), 0);
	drop(s.store, "site@4"); /* succeeds, and leaves the tree */
	assert_int_equal(pl_txdir_begin(store, "a test", &tx, NULL), 0);
	assert_int_equal(pl_tree_take(&tx, &tree, NULL, NULL), 0);
	assert_int_equal(pl_exists(store->trees_fd, o.published.tree), 1);
	pl_trash_unlock(&trash);
	assert_int_equal(pl_tree_take(&tx, &tree, NULL, NULL), 1);
	assert_int_equal(pl_exists(store->trees_fd, o.published.tree), 0);
	pl_txdir_end(&tx);
	pl_trash_end(&trash);
	pl_store_close(store);
	must_be_well(&s, s.sources[2]);
}

/* Is all that the tree reaches needed? */
static bool is_all_needed(const struct pl_needed *needed, const struct pl_id *tree)
{
	struct pl_node_source nodes = pl_store_nodes(needed->store);
	struct pl_cursor *cursor;
	bool is_needed = !pl_pool_index_may_go(&needed->nodes, tree);
	int r = pl_cursor_new(&nodes, tree, false, 1, &cursor, NULL);

	assert_int_equal(r, 0);
	while ((r = pl_cursor_next(cursor, NULL)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
		struct pl_id object;

		if (!entry || entry->kind != PLEACH_FILE || entry->size == 0)
			continue;
		pl_entry_object(entry, &object);
		is_needed &= !pl_pool_index_may_go(&needed->objects, &object);
	}
	pl_cursor_free(cursor);
	assert_int_equal(r, 0);
	return is_needed;
}

/* 1. a transaction claims a node, whose children its base has, 2. the collection reads that, 3. the transaction
 * commits, and its base goes, 4. the collection looks again: that the node is marked says nothing of its children. */
static void G5_a_node_that_was_claimed_is_gone_into_when_its_tree_comes(void **state)
{
	struct scene s = make_scene(*state);
	TEXT *elsewhere = text_of("%s/elsewhere", s.y->path);
	struct outcome o;
	struct pl_needed needed;
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_id tree;

	make_store(elsewhere, NULL);
	o = publish_at(elsewhere, "site", s.sources[0]);
	assert_int_equal(pl_id_parse(o.published.tree, &tree), 0);
	assert_int_equal(pl_store_open(s.store, &store, NULL), 0);
	assert_int_equal(pl_needed_begin(store, &needed, NULL), 0);
	assert_int_equal(pl_needed_add_trees(&needed, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "a test", &tx, NULL), 0);
	assert_int_equal(pl_txdir_claim(&tx, 'n', &tree, NULL), 0);
	assert_int_equal(pl_needed_add_claims(&needed, NULL), 0);
	publish_source(s.store, s.sources[0]);
	pl_txdir_end(&tx);
	/* collect.c, look_again() */
	assert_int_equal(pl_needed_add_claims(&needed, NULL), 0);
	assert_int_equal(pl_needed_add_trees(&needed, NULL), 0);
	assert_int_equal(pl_needed_add_claims(&needed, NULL), 0);
	assert_true(is_all_needed(&needed, &tree));
	pl_needed_done(&needed);
	pl_store_close(store);
}

/* 1. a dry run lists the trees, 2. a collector takes one of them, 3. the dry run walks it. */
static void a_tree_that_has_gone_needs_nothing_and_one_that_is_there_its_nodes(void **state)
{
	struct scene s = make_scene(*state);
	TEXT *elsewhere = text_of("%s/elsewhere", s.y->path);
	struct outcome o;
	struct pl_needed needed;
	struct pl_store *store;
	struct pl_id tree;

	make_store(elsewhere, NULL);
	o = publish_at(elsewhere, "site", s.sources[0]);
	assert_int_equal(pl_id_parse(o.published.tree, &tree), 0);
	must_collect(s.store, 0);
	assert_int_equal(pl_store_open(s.store, &store, NULL), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pl_needed_begin(store, &needed, NULL), 0);
		needed.only_counts = i < 2;
		assert_int_equal(pl_needed_add_tree(&needed, &tree, NULL), i == 0 ? 0 : -EBADMSG);
		pl_needed_done(&needed);
		if (i == 0) /* as if it were there, and its nodes lost */
			assert_int_equal(pl_mkdir(store->trees_fd, o.published.tree, 0700), 0);
	}
	pl_store_close(store);
}

/* One that was stopped while it looked for something: the collection ends, and takes nothing. */
static void who_looks_and_does_not_go_on_is_not_waited_for(void **state)
{
	struct scene s = make_scene(*state);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_gc_result result;
	TEXT *batch = text_of("%s/.pleach/trash/batch", s.store);
	uint64_t objects = count_pool(&s, "objects");
	int fd = open(batch, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(pl_lock_try(fd, PL_LOCK_SHARED), 1);
	assert_int_equal(collect(s.store, 0, &result, &error), -EBUSY);
	assert_int_equal(error.code, PLEACH_BUSY);
	assert_int_equal(count_pool(&s, "objects"), objects);
	close(fd);
	must_be_well(&s, s.sources[2]);
}

/* ---- killed ---- */

/* In a child that ends at its call `k`. True: it was through before. */
static bool collect_until(const char *store, uint64_t k)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct pleach_gc_result result;
		struct pleach_error error = PLEACH_ERROR_INIT;

		pl_seam_arm(&(struct pl_seam_plan){.exit_at = k});
		_exit(collect(store, 0, &result, &error) < 0 ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 99))
		abort();
	return WEXITSTATUS(status) == 0;
}

static void G6_killed_anywhere_the_next_one_goes_on(void **state)
{
	struct scene s = make_scene(*state);
	bool is_through = false;
	uint64_t k = 1;

	for (; !is_through; k++) {
		TEXT *trouble = NULL;

		fresh(&s);
		is_through = collect_until(s.store, k);
		trouble = trouble_by_check(s.store, 0);
		if (trouble)
			fail_msg("killed at %u: %s", (unsigned)k, trouble);
		publish_source(s.store, s.sources[1]);
		must_be_well(&s, s.sources[1]);
	}
	print_message("# %u kill points\n", (unsigned)k);
}

static void kill_a_collection(struct beside *b)
{
	(void)collect_until(b->s->store, b->kill_at);
}

static void note_last_rename(uint64_t number, enum pl_call call, void *userdata)
{
	uint64_t *last = userdata;

	if (call == PL_CALL_RENAME)
		*last = number;
}

/* A publish has found things that a collection takes out behind its back, and dies with them in its hands. */
static void G5_what_a_killed_collection_holds_is_found(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t k = 1, last = 0;

	pl_seam_arm(&(struct pl_seam_plan){.stop = note_last_rename, .userdata = &last});
	must_collect(s.store, 0);
	pl_seam_arm(NULL);
	for (bool is_through = false; !is_through; k++) {
		struct beside b = {
			.s = &s, .at = k, .what = kill_a_collection, .kill_at = last + 1};

		fresh(&s);
		pl_seam_arm(&(struct pl_seam_plan){.stop = at_a_call, .userdata = &b});
		publish_source(s.store, s.sources[0]);
		pl_seam_arm(NULL);
		is_through = !b.is_done;
		(void)must_collect(s.store, 0); /* before anything looks for what is missing */
		must_be_well(&s, s.sources[0]);
	}
}

/* ---- directed interleavings of processes ---- */

/* A child that stops at a call, says so, and waits to be let go. */
struct paused {
	pid_t pid;
	int said[2], go[2];
	uint64_t at, exit_at; /* `at` 0: at none, but at the point */
	unsigned points;      /* and once more, at one of these: bits of 1 << enum pl_point */
	bool is_beyond;	      /* what was counted */
};

static void pause_at(uint64_t number, enum pl_call call, void *userdata)
{
	struct paused *p = userdata;
	bool is_point = call >= PL_CALL_N;
	bool is_there =
		is_point ? (p->is_beyond || p->at == 0) && (p->points & (1U << (call - PL_CALL_N)))
			 : number == p->at;
	char c = 'x';

	if (is_there && is_point)
		p->points = 0;
	p->is_beyond |= is_there;
	if (is_there && (write(p->said[1], &c, 1) != 1 || read(p->go[0], &c, 1) != 1))
		_exit(3);
}

static void close_all(struct paused *p)
{
	close(p->said[0]);
	close(p->said[1]);
	close(p->go[0]);
	close(p->go[1]);
}

/* Starts it, and waits until it stands there: true; or has ended: false. */
static bool start_paused(const struct scene *s, struct paused *p, void (*what)(struct beside *b))
{
	char c;

	if (pipe2(p->said, O_CLOEXEC) < 0 || pipe2(p->go, O_CLOEXEC) < 0)
		abort();
	p->pid = fork();
	if (p->pid == 0) {
		struct beside b = {.s = s};

		close(p->said[0]);
		close(p->go[1]);
		pl_seam_arm(&(struct pl_seam_plan){
			.stop = pause_at, .userdata = p, .exit_at = p->exit_at});
		what(&b);
		_exit(b.r < 0 ? 1 : 0);
	}
	if (p->pid < 0)
		abort();
	close(p->said[1]);
	p->said[1] = -1;
	return read(p->said[0], &c, 1) == 1;
}

/* Lets it go, and gives its exit status. */
static int end_paused(struct paused *p)
{
	int status = -1;

	(void)!write(p->go[1], "x", 1);
	if (waitpid(p->pid, &status, 0) != p->pid || !WIFEXITED(status))
		abort();
	close_all(p);
	return WEXITSTATUS(status);
}

static void note_first_rename(uint64_t number, enum pl_call call, void *userdata)
{
	uint64_t *first = userdata;

	if (call == PL_CALL_RENAME && *first == 0)
		*first = number;
}

/* The numbers of the calls by which a collection takes out the first and the last of its batch. */
static void find_batch(const struct scene *s, uint64_t *ret_first, uint64_t *ret_last)
{
	pl_seam_arm(&(struct pl_seam_plan){.stop = note_first_rename, .userdata = ret_first});
	must_collect(s->store, 0);
	fresh(s);
	pl_seam_arm(&(struct pl_seam_plan){.stop = note_last_rename, .userdata = ret_last});
	must_collect(s->store, 0);
	pl_seam_arm(NULL);
}

/* 1. a collection has marked, 2. a publish finds things and relies on them, 3. the collection takes them out and is
 * killed, 4. the next one comes, 5. the publish goes on. (model/gc.pml, TRASH_BLIND) */
static void G5_what_a_dead_collection_has_taken_out_is_put_back(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t first = 0, last = 0, k = 1;

	find_batch(&s, &first, &last);
	assert_true(first > 0 && last > first);
	for (bool is_through = false; !is_through; k++) {
		struct paused collection = {.at = first, .exit_at = last + 1};
		struct paused publish = {.at = k};

		fresh(&s);
		assert_true(start_paused(&s, &collection, collect_all));
		is_through = !start_paused(&s, &publish, publish_first);
		assert_int_equal(end_paused(&collection), 99);
		(void)must_collect(s.store, 0);
		assert_int_equal(end_paused(&publish), 0);
		must_be_well(&s, s.sources[0]);
	}
	print_message("# %u moments\n", (unsigned)k);
}

/* Each node and object that the head of `site` has can be had. */
static void must_find_all(const struct scene *s)
{
	struct pleach_revision head = PLEACH_REVISION_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(s->store, &o);
	struct pl_store *store;
	struct pl_node_source nodes;
	struct pl_cursor *cursor;
	struct pl_id tree;
	int r;

	assert_int_equal(pleach_resolve(opened, "site", &head, &o.error), 0);
	pleach_store_close(opened);
	assert_int_equal(pl_id_parse(head.tree, &tree), 0);
	assert_int_equal(pl_store_open(s->store, &store, NULL), 0);
	nodes = pl_store_nodes(store);
	assert_int_equal(pl_cursor_new(&nodes, &tree, false, 1, &cursor, NULL), 0);
	while ((r = pl_cursor_next(cursor, NULL)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
		struct pl_id object;
		int fd;

		if (!entry || entry->kind != PLEACH_FILE || entry->size == 0)
			continue;
		pl_entry_object(entry, &object);
		fd = pl_store_find(store, 'o', &object);
		assert_true(fd >= 0);
		pl_close(fd);
	}
	assert_int_equal(r, 0);
	pl_cursor_free(cursor);
	pl_store_close(store);
}

/* The same, but nobody collects in between: who needs what is missing finds it in the trash. (model/gc.pml, NO_TRASH_LOOKUP) */
static void G5_what_a_dead_collection_has_taken_out_is_found_there(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t first = 0, last = 0, k = 1;

	find_batch(&s, &first, &last);
	for (bool is_through = false; !is_through; k += 3) {
		struct paused collection = {.at = first, .exit_at = last + 1};
		struct paused publish = {.at = k};

		fresh(&s);
		assert_true(start_paused(&s, &collection, collect_all));
		is_through = !start_paused(&s, &publish, publish_first);
		assert_int_equal(end_paused(&collection), 99);
		assert_int_equal(end_paused(&publish), 0);
		must_find_all(&s);
		must_be_well(&s, s.sources[0]);
	}
}

/* Lets it go on to where it stops the second time. */
static void on_to_the_point(struct paused *p)
{
	char c = 'x';

	if (write(p->go[1], &c, 1) != 1)
		abort();
	assert_int_equal(read(p->said[0], &c, 1), 1);
}

/* 1. a collection has marked, 2. a publish finds things and relies on them, 3. the collection takes them out, and reads
 * which trees there are, 4. the publish names its tree, and ends, and its claims with it, 5. the collection goes on.
 * (model/gc.pml, TREES_FIRST) */
static void G5_who_ends_between_two_looks_is_seen_by_one(void **state)
{
	struct scene s = make_scene(*state);
	uint64_t first = 0, k = 1;

	pl_seam_arm(&(struct pl_seam_plan){.stop = note_first_rename, .userdata = &first});
	must_collect(s.store, 0);
	pl_seam_arm(NULL);
	for (bool is_through = false; !is_through; k++) {
		struct paused collection = {.at = first, .points = 1U << PL_POINT_TREES_READ};
		struct paused publish = {.at = k};

		fresh(&s);
		assert_true(start_paused(&s, &collection, collect_all));
		is_through = !start_paused(&s, &publish, publish_first);
		on_to_the_point(&collection);
		assert_int_equal(end_paused(&publish), 0);
		assert_int_equal(end_paused(&collection), 0);
		must_be_well(&s, s.sources[0]);
	}
	print_message("# %u moments\n", (unsigned)k);
}

/* Two directories in tx/, in the order in which they are listed. */
static void begin_two(struct pl_store *store, struct pl_txdir *first, struct pl_txdir *second)
{
	struct pl_txdir other;

	assert_int_equal(pl_txdir_begin(store, "a test", first, NULL), 0);
	assert_int_equal(pl_txdir_begin(store, "a test", second, NULL), 0);
	if (strcmp(first->id, second->id) < 0)
		return;
	other = *first;
	*first = *second;
	*second = other;
}

/* Claims every name of a pool, as one that is about to rely on it. */
static void claim_pool(const struct scene *s, char kind, struct pl_txdir *tx)
{
	TEXT *path = text_of("%s/.pleach/%s", s->store, kind == 'o' ? "objects" : "nodes");
	char *const roots[] = {path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	assert_non_null(fts);
	while ((e = fts_read(fts))) {
		struct pl_id id;

		if (e->fts_info != FTS_F)
			continue;
		assert_true(pl_pool_name_parse(e->fts_parent->fts_name, e->fts_name, &id));
		assert_int_equal(pl_txdir_claim(tx, kind, &id, NULL), 0);
	}
	(void)fts_close(fts);
}

/* 1. a collection has marked, 2. a commit claims things, 3. the collection takes them out, and reads the claims of a
 * parked transaction, 4. the commit hands its own on to that, and ends, 5. the collection goes on, and finds them
 * nowhere until it reads claims once more. (model/gc.pml, CLAIMS_ONCE) */
static void G5_claims_that_are_handed_on_while_they_are_read_are_seen(void **state)
{
	const struct pl_id own = {{1}};
	struct scene s = make_scene(*state);
	struct paused collection = {.points = 1U << PL_POINT_CLAIMS_READ};
	struct pl_txdir parked, commit;
	struct pl_store *store;
	uint64_t objects = count_pool(&s, "objects"), nodes = count_pool(&s, "nodes");

	pl_seam_arm(&(struct pl_seam_plan){.stop = note_first_rename, .userdata = &collection.at});
	must_collect(s.store, 0);
	pl_seam_arm(NULL);
	fresh(&s);
	assert_true(start_paused(&s, &collection, collect_all));
	assert_int_equal(pl_store_open(s.store, &store, NULL), 0);
	begin_two(store, &parked, &commit);
	assert_int_equal(pl_txdir_claim(&parked, 'o', &own, NULL), 0);
	claim_pool(&s, 'o', &commit);
	claim_pool(&s, 'n', &commit);
	on_to_the_point(&collection);
	assert_int_equal(pl_txdir_keep_claims(&commit, &parked, NULL), 0);
	pl_txdir_end(&commit);
	assert_int_equal(end_paused(&collection), 0);
	assert_int_equal(count_pool(&s, "objects"), objects);
	assert_int_equal(count_pool(&s, "nodes"), nodes);
	pl_txdir_end(&parked);
	pl_store_close(store);
	must_be_well(&s, s.sources[2]);
}

static void let_go_at_tree_made(uint64_t number, enum pl_call call, void *userdata)
{
	struct paused *collection = userdata;

	(void)number;
	if (call == (enum pl_call)(PL_CALL_N + PL_POINT_TREE_MADE) && collection->pid > 0) {
		assert_int_equal(end_paused(collection), 0);
		collection->pid = 0;
	}
}

/* 1. a collection has marked, 2. a publish finds nodes, and objects of theirs, 3. the collection takes out what it is
 * not told of, 4. the publish goes on. (model/gc.pml, NO_CLOSURE) */
static void G5_what_a_node_that_is_there_holds_stays(void **state)
{
	struct scene s = make_scene(*state);
	struct paused collection = {.at = 0};

	pl_seam_arm(&(struct pl_seam_plan){.stop = note_first_rename, .userdata = &collection.at});
	must_collect(s.store, 0);
	pl_seam_arm(NULL);
	fresh(&s);
	assert_true(start_paused(&s, &collection, collect_all));
	pl_seam_arm(&(struct pl_seam_plan){.stop = let_go_at_tree_made, .userdata = &collection});
	publish_source(s.store, s.sources[0]);
	pl_seam_arm(NULL);
	assert_int_equal(collection.pid, 0);
	must_be_well(&s, s.sources[0]);
}

/* 1. a commit gives its tree the name, 2. a collection looks for trees of nobody, 3. the commit goes on.
 * (model/trees.pml, PIN_AFTER_NAME) */
static void G1_a_tree_is_pinned_when_it_gets_its_name(void **state)
{
	struct scene s = make_scene(*state);
	struct paused publish = {.points = 1U << PL_POINT_TREE_NAMED};

	assert_true(start_paused(&s, &publish, publish_first));
	(void)must_collect(s.store, 0);
	assert_int_equal(end_paused(&publish), 0);
	must_be_well(&s, s.sources[0]);
}

static void G6_what_killed_commands_have_left_in_the_cache_goes(void **state)
{
	struct scene s = make_scene(*state);
	TEXT *cache = text_of("%s/.pleach/cache", s.store);
	TEXT *before = NULL, *after = NULL;

	must_collect(s.store, 0);
	before = names_in(s.store, "cache");
	put(cache, ".pleach-0123456789abcdef01234567", "");
	put(cache, "0123456789abcdef01234567", "7");
	must_collect(s.store, 0);
	after = names_in(s.store, "cache");
	assert_string_equal(after, before);
	must_be_well(&s, s.sources[2]);
}

/* ---- faults ---- */

static void a_call_that_fails_loses_nothing(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EACCES, EMFILE, ESTALE};
	struct scene s = make_scene(*state);
	uint64_t n;

	pl_seam_arm(&(struct pl_seam_plan){0});
	must_collect(s.store, 0);
	n = pl_seam_count();
	pl_seam_arm(NULL);
	for (uint64_t k = 1; k <= n; k++) {
		struct pleach_gc_result result;
		struct pleach_error error = PLEACH_ERROR_INIT;

		fresh(&s);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = k,
						   .fail_errno = errors[k % PL_ARRAY_LEN(errors)]});
		(void)collect(s.store, 0, &result, &error);
		pl_seam_arm(NULL);
		publish_source(s.store, s.sources[0]);
		must_be_well(&s, s.sources[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G5_what_is_garbage_goes_and_nothing_else),
		yard_test(what_is_tagged_pinned_or_parked_stays),
		yard_test(G3_the_number_of_what_was_collected_is_not_given_again),
		yard_test(a_missing_node_ends_it_and_nothing_is_taken),
		yard_test(G5_a_publish_at_any_moment_of_a_collection_loses_nothing),
		yard_test(G5_a_collection_at_any_moment_of_a_publish_loses_nothing),
		yard_test(G5_a_node_that_was_claimed_is_gone_into_when_its_tree_comes),
		yard_test(a_tree_that_has_gone_needs_nothing_and_one_that_is_there_its_nodes),
		yard_test(of_two_at_once_the_second_is_told),
		yard_test(who_waits_for_a_batch_does_not_wait_for_all),
		yard_test(G5_no_tree_goes_while_a_batch_is_out),
		yard_test(who_looks_and_does_not_go_on_is_not_waited_for),
		yard_test(G6_killed_anywhere_the_next_one_goes_on),
		yard_test(G5_what_a_killed_collection_holds_is_found),
		yard_test(G5_what_a_dead_collection_has_taken_out_is_put_back),
		yard_test(G5_what_a_dead_collection_has_taken_out_is_found_there),
		yard_test(G5_who_ends_between_two_looks_is_seen_by_one),
		yard_test(G5_claims_that_are_handed_on_while_they_are_read_are_seen),
		yard_test(G5_what_a_node_that_is_there_holds_stays),
		yard_test(G1_a_tree_is_pinned_when_it_gets_its_name),
		yard_test(G6_what_killed_commands_have_left_in_the_cache_goes),
		yard_test(a_call_that_fails_loses_nothing),
	};

	controls_by_environment();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
