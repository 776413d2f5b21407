/*
 * What a file costs in system calls, all of them, counted from outside by ptrace(2): docs/performance.md
 * tells what each is for (G9). Numbers are those of one thread; more threads make no more, but for waiting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "source/fixture.h"
#include "tx/tx.h"

#define FEW	   200
#define MANY	   600
#define CALLS	   512
#define NOT_TRACED 77
#define MARGIN	   25 /* in a hundred: claims, listings, buffers, the cache, which many files share */

struct counts {
	uint64_t all, of[CALLS];
};

static void put_files(struct fixture *f, const char *dir, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char name[64], text[64];

		(void)snprintf(name, sizeof(name), "%s/%u", dir, i);
		(void)snprintf(text, sizeof(text), "%u of %s", i, dir);
		fixture_put(f, name, text);
	}
}

static void set(struct fixture *f, const char *key, const char *value)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_values_set(&f->store->values, key, value, &error), 0);
	assert_int_equal(pl_settings_resolve(&f->store->values, NULL, &f->store->settings, &error),
			 0);
}

static int publish(struct fixture *f)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR};
	char path[4400];

	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	source.spec = path;
	options.jobs = 1;
	if (pl_publish_run(f->store, "site", &source, 1, &options, &result, &error) == 0)
		return 0;
	(void)fprintf(stderr, "# %s\n", error.message);
	return 1;
}

/* Each stop at a call is two: before and after. */
static struct counts count_until_exit(pid_t pid)
{
	struct counts counts = {0};
	bool is_inside = false;
	int status = 0, signal_number = 0;

	while (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(uintptr_t)signal_number) == 0 &&
	       waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		struct __ptrace_syscall_info info;

		signal_number = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
		if (signal_number != 0)
			continue;
		is_inside = !is_inside;
		if (!is_inside ||
		    ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
			continue;
		counts.all++;
		if (info.entry.nr < CALLS)
			counts.of[info.entry.nr]++;
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return counts;
}

/* The calls of a publish. */
static struct counts count_publish(struct fixture *f)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NOT_TRACED);
		(void)raise(SIGSTOP);
		_exit(publish(f));
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_TRACED)
		SKIP("nobody may be traced here");
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
				(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
			 0);
	return count_until_exit(pid);
}

/* A directory of objects/ that is missing costs a link that fails, a look why, and the making of it: once for
 * all. */
static uint64_t without_fanout(const struct counts *counts)
{
	return counts->all - 3 * counts->of[SYS_mkdirat];
}

static void expect_each(const char *what, uint64_t few, uint64_t many, uint64_t n, uint64_t most)
{
	uint64_t hundredths = (many - few) * 100 / n;

	print_message("# %s: %llu.%02llu calls for each file\n", what,
		      (unsigned long long)hundredths / 100, (unsigned long long)hundredths % 100);
	assert_true(many >= few);
	assert_true(hundredths <= most * 100 + MARGIN);
}

/* In a store of its own each. */
static void G9_first_publish_of_a_small_file_takes_twelve_calls(void **state)
{
	struct fixture *f = *state;
	struct counts few, many;

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	put_files(f, "d", 0, FEW);
	let_it_age(f->s->fd);
	few = count_publish(f);
	pl_store_close(f->store);
	f->store = open_store(f->s, "another");
	assert_non_null(f->store);
	put_files(f, "d", FEW, MANY);
	let_it_age(f->s->fd);
	many = count_publish(f);
	expect_each("first publish", without_fanout(&few), without_fanout(&many), MANY - FEW, 12);
}

/* One more looks whether the object is there. */
static void G9_a_new_file_in_a_store_that_has_many_takes_thirteen_calls(void **state)
{
	struct fixture *f = *state;
	struct counts few, many;

	assert_int_equal(mkdirat(f->src, "a", 0755), 0);
	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	put_files(f, "a", 0, 3000); /* nearly every directory of objects/ */
	let_it_age(f->s->fd);
	assert_int_equal(publish(f), 0);
	put_files(f, "d", 0, FEW);
	let_it_age(f->s->fd);
	few = count_publish(f);
	put_files(f, "d", FEW, MANY);
	let_it_age(f->s->fd);
	many = count_publish(f);
	/* What was new in the first is scanned and linked in the second, 2 calls each. */
	expect_each("new file", without_fanout(&few) + 2ul * FEW, without_fanout(&many),
		    MANY - 2 * FEW, 13);
}

static void G9_an_unchanged_file_takes_one_call_and_its_link_a_second(void **state)
{
	struct fixture *f = *state;
	struct counts few, many, few_placed, many_placed;

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	put_files(f, "d", 0, FEW);
	let_it_age(f->s->fd);
	assert_int_equal(publish(f), 0);
	few = count_publish(f);
	fixture_put(f, "changed", "x");
	let_it_age(f->s->fd);
	few_placed = count_publish(f);
	put_files(f, "d", FEW, MANY);
	let_it_age(f->s->fd);
	assert_int_equal(publish(f), 0);
	many = count_publish(f);
	fixture_put(f, "changed", "y");
	let_it_age(f->s->fd);
	many_placed = count_publish(f);
	expect_each("unchanged", few.all, many.all, MANY - FEW, 1);
	expect_each("unchanged and placed anew", few_placed.all, many_placed.all, MANY - FEW, 2);
}

/* G9: only its scan, whatever is in it. */
static void G9_a_file_in_an_unchanged_directory_is_not_placed_anew(void **state)
{
	struct fixture *f = *state;
	struct counts few, many;

	set(f, "grace", "0");
	set(f, "keep-placed", "1");
	set(f, "spares", "2");
	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	for (unsigned i = 0; i < 2; i++) {
		put_files(f, "d", i == 0 ? 0 : FEW, i == 0 ? FEW : MANY);
		for (unsigned k = 0; k < 4; k++) {
			char text[8];

			(void)snprintf(text, sizeof(text), "%u%u", i, k);
			fixture_put(f, "changed", text);
			let_it_age(f->s->fd);
			if (k < 3)
				assert_int_equal(publish(f), 0);
		}
		if (i == 0)
			few = count_publish(f);
		else
			many = count_publish(f);
	}
	expect_each("in an unchanged directory", few.all, many.all, MANY - FEW, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(G9_first_publish_of_a_small_file_takes_twelve_calls),
		FIXTURE_TEST(G9_a_new_file_in_a_store_that_has_many_takes_thirteen_calls),
		FIXTURE_TEST(G9_an_unchanged_file_takes_one_call_and_its_link_a_second),
		FIXTURE_TEST(G9_a_file_in_an_unchanged_directory_is_not_placed_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
