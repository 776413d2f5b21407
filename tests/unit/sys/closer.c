/* The laws of the closer: everything is closed at its end, nobody waits for it, and it gets no signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <signal.h>
#include <cmocka.h>

#include "sys/scratch.h"

#define FILES 1000

/* A file without a name, of some blocks. */
static int make_nameless(struct scratch *s)
{
	int fd = openat(s->fd, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd > 2);
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(unlinkat(s->fd, "file", 0), 0);
	return fd;
}

static void at_the_end_all_are_closed(void **state)
{
	struct scratch *s = *state;
	int fds = count_fds(), most = 0;

	for (int n = 0; n < FILES; n = n * 3 + 1) {
		struct pl_closer *closer;

		assert_int_equal(pl_closer_begin(&closer), 0);
		for (int i = 0; i < n; i++) {
			int fd = make_nameless(s);

			pl_closer_take(closer, &fd);
			assert_int_equal(fd, -EBADF);
			most = count_fds() > most ? count_fds() : most;
		}
		pl_closer_end(closer);
		assert_int_equal(count_fds(), fds);
	}
	assert_in_range(most, 1, fds + 40); /* of 364 that were handed over */
}

static void without_one_they_are_closed_at_once(void **state)
{
	int fds = count_fds(), fd = make_nameless(*state);

	pl_closer_take(NULL, &fd);
	assert_int_equal(fd, -EBADF);
	assert_int_equal(count_fds(), fds);
	pl_closer_end(NULL);
}

static volatile sig_atomic_t n_signals;
static pthread_t taker;

static void note_signal(int number)
{
	(void)number;
	taker = pthread_self();
	n_signals++;
}

static void signals_go_to_who_has_called(void **state)
{
	struct sigaction action = {.sa_handler = note_signal}, before;
	sigset_t blocked, mask;
	struct pl_closer *closer;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	assert_int_equal(pl_closer_begin(&closer), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &blocked, &mask), 0);
	assert_int_equal(sigismember(&mask, SIGUSR1), 0); /* ours is as it was */
	/* Nobody else may take it while we do not. */
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	pl_closer_end(closer);
	assert_int_equal(n_signals, 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
	assert_int_equal(n_signals, 1);
	assert_true(pthread_equal(taker, pthread_self()));
	assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_the_end_all_are_closed),
		TEST(without_one_they_are_closed_at_once),
		TEST(signals_go_to_who_has_called),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
