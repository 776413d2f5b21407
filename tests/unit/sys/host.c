/* The laws of identity, clocks and random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/prctl.h>

#include <signal.h>
#include <sys/time.h>

#include "sys/scratch.h"

static void a_user_has_a_name_or_is_shown_as_a_number(void **state)
{
	char name[64];

	pl_user_name(0, name, sizeof(name));
	assert_string_equal(name, "root");
	pl_user_name(4000000001u, name, sizeof(name));
	assert_string_equal(name, "4000000001");
	pl_user_name(4000000001u, name, 5);
	assert_string_equal(name, "4000");
}

static void a_host_name_fits_and_ends(void **state)
{
	char name[256], cut[2] = "xx";

	memset(name, 'x', sizeof(name));
	pl_host_name(name, sizeof(name));
	assert_in_range(strlen(name), 1, 255);
	pl_host_name(cut, sizeof(cut));
	assert_int_equal(cut[1], 0);
}

static int belong_to_groups(struct scratch *s)
{
	const gid_t groups[] = {1001, 2002, 3003};

	CHECK(setgroups(3, groups) == 0);
	CHECK(setresgid(77, 77, 77) == 0);
	CHECK(pl_gid() == 77);
	CHECK(pl_in_group(77) && pl_in_group(1001) && pl_in_group(3003));
	CHECK(!pl_in_group(1) && !pl_in_group(1002));
	CHECK(setgroups(0, NULL) == 0);
	CHECK(pl_in_group(77) && !pl_in_group(1001));
	return 0;
}

static void the_effective_and_the_supplementary_groups_count(void **state)
{
	assert_true(pl_in_group(getegid()));
	assert_false(pl_in_group(4000000001u));
	if (geteuid() != 0)
		SKIP("needs root: setting groups");
	assert_int_equal(in_child(belong_to_groups, *state), 0);
}

static void clocks_tell_one_time(void **state)
{
	struct timespec wall, coarse;
	int64_t before = pl_clock_monotonic_ms();

	pl_clock_coarse(&coarse);
	pl_clock_wall(&wall);
	assert_true(coarse.tv_sec < wall.tv_sec ||
		    (coarse.tv_sec == wall.tv_sec && coarse.tv_nsec <= wall.tv_nsec));
	assert_true(wall.tv_sec - coarse.tv_sec <= 1);
	assert_true(pl_clock_monotonic_ms() >= before);
}

static void ignore(int signal_number)
{
	(void)signal_number;
}

static void a_sleep_is_as_long_as_it_was_said_signals_or_not(void **state)
{
	const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	int64_t start = pl_clock_monotonic_ms();

	assert_true(signal(SIGALRM, ignore) != SIG_ERR);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	pl_sleep_ms(30);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_true(pl_clock_monotonic_ms() - start >= 29); /* rounded down, both */
}

static void random_names_are_24_digits_that_differ(void **state)
{
	char a[25], b[25];
	unsigned char bytes[1000], zeros[32] = {0};

	assert_int_equal(pl_random_name(a), 0);
	assert_int_equal(pl_random_name(b), 0);
	assert_int_equal(strlen(a), 24);
	assert_true(pl_is_hex(a, 24));
	assert_string_not_equal(a, b);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(pl_random(bytes, sizeof(bytes)), 0);
	assert_memory_not_equal(bytes + sizeof(bytes) - 32, zeros, 32);
	assert_int_equal(pl_random(NULL, 0), 0);
}

static void a_process_has_a_number_and_a_user(void **state)
{
	assert_int_equal(pl_pid(), getpid());
	assert_int_equal(pl_uid(), geteuid());
}

static void in_a_guise_files_are_made_and_reached_as_by_another_user(void **state)
{
	struct scratch *s = *state;
	struct pl_guise guise = {0};
	struct stat st;
	int dumpable;

	if (geteuid() != 0)
		SKIP("only root can act as somebody else");
	dumpable = prctl(PR_GET_DUMPABLE);
	assert_int_equal(fchmod(s->fd, 0777), 0);
	assert_int_equal(make_file(s->fd, "secret", "x"), 0);
	assert_int_equal(fchmodat(s->fd, "secret", 0600, 0), 0);
	assert_int_equal(pl_guise_begin(65534, 65533, &guise), 0);
	assert_int_equal(make_file(s->fd, "mine", "x"), 0);
	assert_int_equal(pl_open(s->fd, "secret", O_RDONLY), -EACCES);
	assert_int_equal(pl_uid(), 0); /* of files alone */
	pl_guise_end(&guise);
	assert_int_equal(pl_lstat(s->fd, "mine", &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_gid, 65533);
	assert_int_equal(make_file(s->fd, "ours", "x"), 0);
	assert_int_equal(pl_lstat(s->fd, "ours", &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), dumpable);
	pl_guise_end(&guise); /* nothing */
}

static int begin_as_nobody(struct scratch *s)
{
	struct pl_guise guise = {0};

	(void)s;
	CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	CHECK(pl_guise_begin(0, 0, &guise) == -EPERM);
	CHECK(!guise.is_on);
	return 0;
}

static void a_guise_is_for_root(void **state)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("only root can become somebody else");
	pid = fork();
	if (pid == 0)
		_exit(begin_as_nobody(*state));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void the_processors_are_those_that_this_process_may_run_on(void **state)
{
	cpu_set_t before, one;
	int first = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(pl_cpu_count(), CPU_COUNT(&before));
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pl_cpu_count(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void the_umask_is_told_and_not_touched(void **state)
{
	static const mode_t masks[] = {0, 022, 027, 0777};
	mode_t before = umask(0);

	for (size_t i = 0; i < PL_ARRAY_LEN(masks); i++) {
		(void)umask(masks[i]);
		assert_int_equal(pl_umask(), masks[i]);
		assert_int_equal(umask(before), masks[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_user_has_a_name_or_is_shown_as_a_number),
		TEST(a_host_name_fits_and_ends),
		TEST(the_effective_and_the_supplementary_groups_count),
		TEST(clocks_tell_one_time),
		TEST(a_sleep_is_as_long_as_it_was_said_signals_or_not),
		TEST(random_names_are_24_digits_that_differ),
		TEST(a_process_has_a_number_and_a_user),
		TEST(in_a_guise_files_are_made_and_reached_as_by_another_user),
		TEST(a_guise_is_for_root),
		TEST(the_processors_are_those_that_this_process_may_run_on),
		TEST(the_umask_is_told_and_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
