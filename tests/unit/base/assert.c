/* A broken assertion ends the process by SIGABRT and says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "aborts.h"
#include "base/base.h"

static int evaluations;

static void a_true_assertion_is_evaluated_once_and_goes_on(void **state)
{
	evaluations = 0;
	pl_assert(++evaluations == 1);
	assert_int_equal(evaluations, 1);
}

static void break_one(void)
{
	pl_assert(evaluations == -1);
}

static void a_false_assertion_aborts(void **state)
{
	assert_true(aborts(break_one));
}

static void the_text_names_expression_file_and_line(void **state)
{
	char text[512] = "", expected[512];
	int pipe_fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		signal(SIGABRT, SIG_DFL);
		dup2(pipe_fds[1], STDERR_FILENO);
		pl_assert_failed("x > 0", "some/file.c", 42);
	}
	close(pipe_fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	close(pipe_fds[0]);
	assert_true(n > 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	snprintf(expected, sizeof(expected), "pleach: bug: %s:%d: assertion failed: %s\n",
		 "some/file.c", 42, "x > 0");
	assert_string_equal(text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_true_assertion_is_evaluated_once_and_goes_on),
		cmocka_unit_test(a_false_assertion_aborts),
		cmocka_unit_test(the_text_names_expression_file_and_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
