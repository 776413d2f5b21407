/*
 * Files of a source that are read by several threads: what comes out, what is counted, what is written where
 * and what fails is the same as with one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/fixture.h"
#include "source/source.h"

#define DIRS 6
#define EACH \
	90 /* files; so that a directory is more than one stretch, and a stretch more than a directory */
#define LARGE	 (3u << 20)
#define FAILURES 10

static const unsigned all_jobs[] = {1, 2, 4, 0};

/* ---- a source ---- */

static void put_large(struct fixture *f, const char *name)
{
	static char block[1 << 16];
	int fd = openat(f->src, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	for (unsigned i = 0; i < LARGE / sizeof(block); i++) {
		memset(block, (int)('a' + i % 26), sizeof(block));
		assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	}
	close(fd);
}

static void put_directory(struct fixture *f, const char *dir)
{
	char name[256], other[256];

	assert_int_equal(mkdirat(f->src, dir, 0755), 0);
	for (unsigned i = 0; i < EACH; i++) {
		char text[64];

		(void)snprintf(name, sizeof(name), "%s/f%03u", dir, i);
		/* Some are empty, some equal to others of this directory and of the others. */
		(void)snprintf(text, sizeof(text), "%u of %s", i, i % 7 == 3 ? "all" : dir);
		fixture_put(f, name, i % 11 == 5 ? "" : text);
		if (i % 5 == 0)
			assert_int_equal(fchmodat(f->src, name, i % 10 ? 0444 : 04755, 0), 0);
		if (i % 13 == 0) {
			(void)snprintf(other, sizeof(other), "%s/g%03u", dir, i);
			assert_int_equal(linkat(f->src, name, f->src, other, 0), 0);
		}
		if (i % 17 == 0) {
			(void)snprintf(other, sizeof(other), "%s/s%03u", dir, i);
			assert_int_equal(symlinkat("../../outside", f->src, other), 0);
		}
	}
}

/* Directories in directories, beside them and after them. */
static void put_source(struct fixture *f)
{
	char dir[64] = "a", name[128];

	put_directory(f, dir);
	for (unsigned i = 1; i < DIRS; i++) {
		if (i % 2)
			(void)snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/d%u", i);
		else
			(void)snprintf(dir, sizeof(dir), "b%u", i);
		put_directory(f, dir);
	}
	assert_int_equal(linkat(f->src, "a/f001", f->src, "b2/of-another", 0), 0);
	(void)snprintf(name, sizeof(name), "%s/large", dir);
	put_large(f, name);
	put_large(f, "a/large");
	fixture_put(f, "z", "last");
}

/* ---- scanning it ---- */

struct reading {
	struct pl_scan_result result;
	uint64_t bytes_new, files_new;
	struct pl_buffer spool; /* what was written where, in order */
	size_t staged;		/* POOL: how many objects there are */
	int fds;
};

static int read_with(struct fixture *f, enum pl_stage_mode mode, unsigned jobs,
		     struct reading *ret_reading, struct pleach_error *error)
{
	struct pl_txdir tx;
	struct pl_stage stage;
	struct pl_scan scan = {
		.store = f->store, .stage = &stage, .fd = f->src, .label = "src", .prefix = ""};
	int r, fds = count_fds();

	*ret_reading = (struct reading){0};
	if (mode != PL_STAGE_NOWHERE)
		assert_int_equal(pl_txdir_begin(f->store, "test", &tx, error), 0);
	assert_int_equal(pl_stage_begin(f->store, mode == PL_STAGE_NOWHERE ? NULL : &tx, mode,
					&stage, error),
			 0);
	stage.jobs = jobs;
	r = pl_scan_run(&scan, &ret_reading->result, error);
	ret_reading->bytes_new = stage.bytes_new;
	ret_reading->files_new = stage.files_new;
	pl_buffer_add(&ret_reading->spool, stage.spool.data, stage.spool.length);
	if (mode == PL_STAGE_POOL) {
		struct pl_listing listing;

		assert_int_equal(pl_list(stage.objects_fd, &listing), 0);
		ret_reading->staged = listing.n;
		pl_listing_done(&listing);
	}
	pl_stage_end(&stage);
	if (mode != PL_STAGE_NOWHERE)
		pl_txdir_end(&tx);
	assert_int_equal(count_fds(), fds);
	return r;
}

static void must_be_equal(const struct reading *a, const struct reading *b)
{
	assert_true(pl_id_equal(&a->result.tree, &b->result.tree));
	assert_memory_equal(&a->result.totals, &b->result.totals, sizeof(a->result.totals));
	assert_int_equal(a->result.files_read, b->result.files_read);
	assert_int_equal(a->result.escaping, b->result.escaping);
	assert_string_equal(a->result.first_escaping, b->result.first_escaping);
	assert_int_equal(a->bytes_new, b->bytes_new);
	assert_int_equal(a->files_new, b->files_new);
	assert_int_equal(a->staged, b->staged);
	assert_int_equal(a->spool.length, b->spool.length);
	if (a->spool.length > 0)
		assert_memory_equal(a->spool.data, b->spool.data, a->spool.length);
}

static void is_the_same(struct fixture *f, enum pl_stage_mode mode)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct reading first, again;

	put_source(f);
	let_it_age(f->s->fd);
	assert_int_equal(read_with(f, mode, 1, &first, &error), 0);
	assert_true(first.result.files_read > DIRS * EACH);
	assert_int_equal(first.result.totals.groups, DIRS * 7 + 1);
	for (unsigned i = 0; i < 2 * PL_ARRAY_LEN(all_jobs); i++) {
		assert_int_equal(read_with(f, mode, all_jobs[i % PL_ARRAY_LEN(all_jobs)], &again,
					   &error),
				 0);
		must_be_equal(&first, &again);
		pl_buffer_done(&again.spool);
	}
	pl_buffer_done(&first.spool);
}

static void what_is_written_in_its_place_is_the_same_however_many_read(void **state)
{
	is_the_same(*state, PL_STAGE_IN_PLACE);
}

/* Equal files come to be written at once, and are one object. */
static void what_is_written_in_a_pool_is_the_same_however_many_read(void **state)
{
	is_the_same(*state, PL_STAGE_POOL);
}

static void what_is_only_read_is_the_same_however_many_read(void **state)
{
	is_the_same(*state, PL_STAGE_NOWHERE);
}

/* ---- what fails ---- */

static int nobody_reads_what_is_shut(struct scratch *s)
{
	struct fixture f = {.s = s};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct reading reading;

	f.src = openat(s->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(pl_store_open(scratch_path(s, "S"), &f.store, &error) == 0);
	for (unsigned i = 0; i < FAILURES * PL_ARRAY_LEN(all_jobs); i++) {
		int r = read_with(&f, PL_STAGE_NOWHERE, all_jobs[i % PL_ARRAY_LEN(all_jobs)],
				  &reading, &error);

		pl_buffer_done(&reading.spool);
		CHECK(r == -EACCES);
		CHECK(strcmp(error.path, "a/d1/f050") == 0);
	}
	pl_store_close(f.store);
	close(f.src);
	return 0;
}

/* S2: a later one is found long before, and the walk itself fails still later. */
static void the_failure_is_that_of_the_first_path_however_many_read(void **state)
{
	struct fixture *f = *state;

	put_source(f);
	assert_int_equal(fchmodat(f->src, "a/d1/f050", 0, 0), 0);
	assert_int_equal(fchmodat(f->src, "a/d1/f051", 0, 0), 0);
	assert_int_equal(fchmodat(f->src, "b2/f000", 0, 0), 0);
	assert_int_equal(mkdirat(f->src, "b2/shut", 0), 0);
	let_it_age(f->s->fd);
	assert_int_equal(in_child_as_user(nobody_reads_what_is_shut, f->s), 0);
}

static void a_scan_that_is_cancelled_ends_and_leaves_nothing_open(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct reading reading;

	put_source(f);
	f->store->cancelled = 1;
	assert_int_equal(read_with(f, PL_STAGE_NOWHERE, 2, &reading, &error), -EINTR);
	pl_buffer_done(&reading.spool);
	f->store->cancelled = 0;
}

static void without_threads_it_is_all_the_same(void **state)
{
	pl_seam_disable(PL_CAP_THREADS);
	is_the_same(*state, PL_STAGE_IN_PLACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(what_is_written_in_its_place_is_the_same_however_many_read),
		FIXTURE_TEST(what_is_written_in_a_pool_is_the_same_however_many_read),
		FIXTURE_TEST(what_is_only_read_is_the_same_however_many_read),
		FIXTURE_TEST(the_failure_is_that_of_the_first_path_however_many_read),
		FIXTURE_TEST(a_scan_that_is_cancelled_ends_and_leaves_nothing_open),
		FIXTURE_TEST(without_threads_it_is_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
