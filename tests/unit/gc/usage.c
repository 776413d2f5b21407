/*
 * What a store takes: that the sum is that of du(1), what each generation alone would free, and that nothing of it
 * depends on what else lies there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/generations.h"
#include "gc/usage.h"

/* ---- what du(1) says ---- */

struct inode {
	dev_t dev;
	ino_t ino;
};

/* 1: it was met before. Every inode with several names is remembered: there are few. */
static bool was_met(struct inode **met, size_t *n, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || st->st_nlink == 1)
		return false;
	for (size_t i = 0; i < *n; i++)
		if ((*met)[i].dev == st->st_dev && (*met)[i].ino == st->st_ino)
			return true;
	*met = realloc(*met, (*n + 1) * sizeof(**met));
	assert_non_null(*met);
	(*met)[(*n)++] = (struct inode){st->st_dev, st->st_ino};
	return false;
}

static uint64_t blocks_below(const char *path)
{
	TEXT *copy = text_of("%s", path);
	char *const roots[] = {copy, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	struct inode *met = NULL;
	uint64_t blocks = 0;
	size_t n = 0;
	FTSENT *e;

	assert_non_null(fts);
	while ((e = fts_read(fts)))
		if (e->fts_info != FTS_DP && !was_met(&met, &n, e->fts_statp))
			blocks += (uint64_t)e->fts_statp->st_blocks;
	(void)fts_close(fts);
	free(met);
	return blocks * 512;
}

/* ---- what we say ---- */

static struct pleach_du *open_du(const struct store *s, const char *ref)
{
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);
	struct pleach_du *du = NULL;

	o.r = pleach_du_open(store, ref, &du, &o.error);
	must(&o, "du");
	pleach_store_close(store); /* nothing of it is needed: `du` has all */
	return du;
}

static struct pleach_du_totals totals_of(const struct store *s)
{
	struct pleach_du_totals totals = PLEACH_DU_TOTALS_INIT;
	struct pleach_du *du = open_du(s, NULL);

	pleach_du_sum(du, &totals);
	pleach_du_close(du);
	return totals;
}

/* Strings of it are gone. */
static struct pleach_du_generation generation_of(const struct store *s, const char *ref, uint64_t n)
{
	struct pleach_du_generation g = PLEACH_DU_GENERATION_INIT;
	struct pleach_du *du = open_du(s, ref);
	bool is_found = false;

	while (!is_found && pleach_du_next(du, &g, NULL) > 0) {
		assert_string_equal(g.ref, ref);
		is_found = g.generation == n;
	}
	assert_true(is_found);
	assert_int_equal(g.shared + g.alone, g.disk);
	g.ref = NULL;
	pleach_du_close(du);
	return g;
}

static void assert_sum_is_right(const struct store *s)
{
	struct pleach_du_totals t = totals_of(s);

	assert_int_equal(t.total, blocks_below(s->path));
	assert_int_equal(t.objects + t.nodes + t.directories + t.copies + t.trash + t.transactions +
				 t.cache + t.other + t.beside,
			 t.total);
	assert_int_equal(t.unread, 0);
}

/* ---- stores ---- */

static void publish_from(const struct store *s, const char *ref, const char *source)
{
	struct outcome o = publish_at(s->path, ref, source);

	must(&o, "publish");
}

static void put_large(const char *dir, const char *name, const char *letter, unsigned kib)
{
	size_t length = (size_t)kib * 1024;
	char *text = malloc(length + 1);

	assert_non_null(text);
	memset(text, *letter, length);
	text[length] = '\0';
	put(dir, name, text);
	free(text);
}

/* Trees with equal files (private copies), hard links, a long symlink, and what is large enough to tell. */
static void fill(const struct store *s)
{
	static const char *const names[] = {"a", "b", "c"};
	char target[201];

	memset(target, 't', 200);
	target[200] = '\0';
	for (unsigned i = 0; i < 3; i++) {
		TEXT *source = text_of("%s/%s", s->y->path, names[i]);

		make_source(source, names[i], 6);
		put_large(source, "same/common", "x", 40);
		put_large(source, "d/mine", names[i], 100 + i * 50);
		put_large(source, "d/copy-1", "y", 30);
		put_large(source, "d/copy-2", "y", 30);
		make_symlink(source, target, "long");
		publish_from(s, "site", source);
	}
}

static void drop(const struct store *s, const char *rev)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	options.now = 1;
	o.r = pleach_drop(store, rev, &options, NULL, &o.error);
	pleach_store_close(store);
	must(&o, "drop");
}

static void collect(const struct store *s)
{
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	o.r = pleach_gc(store, NULL, NULL, NULL, &o.error);
	pleach_store_close(store);
	must(&o, "gc");
}

/* Killed at its k-th call. */
static void collect_until(const struct store *s, uint64_t k)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct pl_seam_plan plan = {.exit_at = k};
		struct outcome o;
		struct pleach_store *store = open_at(s->path, &o);

		pl_seam_arm(&plan);
		(void)pleach_gc(store, NULL, NULL, NULL, &o.error);
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
}

static struct pleach_tx *begin(struct pleach_store *store, int parked)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx = NULL;
	struct outcome o = {.error = PLEACH_ERROR_INIT};

	options.workspace = "copy";
	options.parked = parked;
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	must(&o, "begin");
	return tx;
}

/* ---- the sum ---- */

static void the_sum_is_that_of_du(void **state)
{
	struct store s = make(*state, NULL);
	TEXT *beside = text_of("%s/beside", s.path);

	assert_sum_is_right(&s);
	fill(&s);
	assert_sum_is_right(&s);
	assert_true(totals_of(&s).copies >= 30 * 1024);
	assert_int_equal(mkdir(beside, 0755), 0); /* somebody else's */
	put_large(beside, "file", "z", 20);
	make_link(beside, "file", "link");
	assert_sum_is_right(&s);
	assert_true(totals_of(&s).beside >= 20 * 1024);
}

static void with_an_open_and_a_parked_transaction_the_sum_is_that_of_du(void **state)
{
	struct store s = make(*state, NULL);
	struct pleach_store *store;
	struct pleach_tx *open;
	uint64_t before;
	struct outcome o;

	fill(&s);
	before = totals_of(&s).transactions;
	store = open_at(s.path, &o);
	assert_int_equal(pleach_tx_close(begin(store, 1), &o.error), 0);
	open = begin(store, 0);
	assert_sum_is_right(&s);
	assert_true(totals_of(&s).transactions > before + 2 * 100 * 1024);
	assert_int_equal(pleach_tx_close(open, &o.error), 0);
	pleach_store_close(store);
	assert_sum_is_right(&s);
}

static void with_the_trash_of_a_killed_collection_the_sum_is_that_of_du(void **state)
{
	struct store s = make(*state, without_grace);
	uint64_t most = 0;

	fill(&s);
	drop(&s, "site@1");
	for (uint64_t k = 5; k < 80 && most <= 32 * 1024; k++) {
		uint64_t trash;

		collect_until(&s, k);
		assert_sum_is_right(&s);
		trash = totals_of(&s).trash;
		most = trash > most ? trash : most;
	}
	assert_true(most > 32 * 1024); /* taken out and not yet erased */
	collect(&s);
	assert_sum_is_right(&s);
}

/* ---- generations ---- */

/* What trees, objects and nodes take: what a generation can free. */
static uint64_t freeable(const struct store *s)
{
	struct pleach_du_totals t = totals_of(s);

	return t.objects + t.nodes + t.directories + t.copies;
}

static void what_one_alone_takes_is_just_what_its_drop_frees(void **state)
{
	struct store s = make(*state, without_grace);

	fill(&s);
	collect(&s);
	for (uint64_t n = 1; n <= 2; n++) {
		struct pleach_du_generation g = generation_of(&s, "site", n);
		TEXT *rev = text_of("site@%llu", (unsigned long long)n);
		uint64_t before = freeable(&s);

		assert_true(g.alone >= (uint64_t)100 * 1024 && g.alone < g.disk);
		assert_true(g.shared >= (uint64_t)40 * 1024);
		assert_false(g.is_held || g.is_head);
		drop(&s, rev);
		collect(&s);
		assert_int_equal(before - freeable(&s), g.alone);
	}
	assert_true(generation_of(&s, "site", 3).is_head);
}

static void what_was_dropped_is_not_listed_and_its_rest_is_not_needed(void **state)
{
	struct store s = make(*state, without_grace);
	struct pleach_du_generation g = PLEACH_DU_GENERATION_INIT;
	struct pleach_du_totals t;
	struct pleach_du *du;
	uint64_t before;

	fill(&s);
	drop(&s, "site@1");
	t = totals_of(&s);
	before = freeable(&s);
	assert_true(t.unneeded >= (uint64_t)100 * 1024);
	du = open_du(&s, NULL);
	for (uint64_t n = 2; n <= 3; n++) {
		assert_int_equal(pleach_du_next(du, &g, NULL), 1);
		assert_int_equal(g.generation, n);
	}
	assert_int_equal(pleach_du_next(du, &g, NULL), 0);
	pleach_du_close(du);
	collect(&s);
	assert_int_equal(before - freeable(&s), t.unneeded);
	assert_int_equal(totals_of(&s).unneeded, 0);
}

static void of_generations_of_one_tree_none_frees_anything_alone(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *source = text_of("%s/a", s.y->path);
	struct pleach_du_generation g;

	fill(&s);
	publish_from(&s, "site", source);
	publish_from(&s, "other", source);
	g = generation_of(&s, "site", 1);
	assert_int_equal(g.alone, 0);
	assert_int_equal(generation_of(&s, "site", 4).disk, g.disk);
	assert_int_equal(generation_of(&s, "other", 1).alone, 0);
	drop(&s, "site@1");
	assert_int_equal(generation_of(&s, "other", 1).alone, 0);
	drop(&s, "other");
	assert_true(generation_of(&s, "site", 4).alone >= (uint64_t)100 * 1024);
}

static void what_is_pinned_attached_or_parked_is_told_to_be_held(void **state)
{
	struct store s = make(*state, without_grace);
	TEXT *at = text_of("%s/attached", s.y->path);
	TEXT *source = text_of("%s/b", s.y->path);
	struct outcome o;
	struct pleach_store *store = open_at(s.path, &o);
	struct pleach_pin *pin = NULL;

	fill(&s);
	assert_int_equal(pleach_tx_close(begin(store, 1), &o.error), 0); /* on 3 */
	put_large(source, "d/mine", "d", 10);
	publish_from(&s, "site", source);
	for (uint64_t n = 1; n <= 4; n++)
		assert_int_equal(generation_of(&s, "site", n).is_held, n == 3);
	assert_int_equal(pleach_attach(store, "site@2", at, NULL, &o.error), 0);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@1", 0, &o.error), 0);
	assert_true(generation_of(&s, "site", 2).is_held);
	assert_false(generation_of(&s, "site", 1).is_held); /* its tag goes with it */
	assert_int_equal(pleach_pin_open(store, "site@1", &pin, &o.error), 0);
	assert_true(generation_of(&s, "site", 1).is_held);
	pleach_pin_close(pin);
	assert_false(generation_of(&s, "site", 1).is_held);
	pleach_store_close(store);
}

/* ---- what goes ---- */

static void what_several_free_together_is_known_before_they_go(void **state)
{
	struct store s = make(*state, without_grace);
	struct pl_usage usage;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_store *store;
	uint64_t expected = 0, before, freed;

	fill(&s);
	collect(&s);
	before = freeable(&s);
	assert_int_equal(pl_store_open(s.path, &store, &error), 0);
	assert_int_equal(pl_usage_read(store, &usage, &error), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pl_usage_release(&usage, usage.generations[i].tree, &freed), 0);
		assert_true(freed > 0);
		expected += freed;
	}
	assert_int_equal(pl_usage_unneeded(&usage), expected);
	pl_usage_done(&usage);
	pl_store_close(store);
	drop(&s, "site@1");
	drop(&s, "site@2");
	collect(&s);
	assert_int_equal(before - freeable(&s), expected);
}

/* ---- one directory ---- */

static void what_a_directory_holds_alone_leaves_out_what_has_names_elsewhere(void **state)
{
	const struct yard *y = *state;
	TEXT *held = text_of("%s/held", y->path);
	int fd = open(y->path, O_RDONLY | O_DIRECTORY);
	struct pl_usage_held h;
	uint64_t before;

	assert_int_equal(mkdir(held, 0755), 0);
	put_large(held, "file", "f", 20);
	make_link(held, "file", "again");
	assert_int_equal(pl_usage_held(fd, "held", 1, &h), 0);
	assert_int_equal(h.bytes, blocks_below(held));
	before = h.bytes;
	put_large(y->path, "outside", "o", 50);
	make_link(y->path, "outside", "held/inside");
	assert_int_equal(pl_usage_held(fd, "held", 1, &h), 0);
	assert_int_equal(h.bytes, before);
	assert_false(h.is_more);
	assert_int_equal(pl_usage_held(fd, "missing", 1, &h), 0);
	assert_int_equal(h.bytes, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_disk_test(the_sum_is_that_of_du),
		yard_disk_test(with_an_open_and_a_parked_transaction_the_sum_is_that_of_du),
		yard_disk_test(with_the_trash_of_a_killed_collection_the_sum_is_that_of_du),
		yard_disk_test(what_one_alone_takes_is_just_what_its_drop_frees),
		yard_disk_test(what_was_dropped_is_not_listed_and_its_rest_is_not_needed),
		yard_disk_test(of_generations_of_one_tree_none_frees_anything_alone),
		yard_disk_test(what_is_pinned_attached_or_parked_is_told_to_be_held),
		yard_disk_test(what_several_free_together_is_known_before_they_go),
		yard_disk_test(what_a_directory_holds_alone_leaves_out_what_has_names_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
