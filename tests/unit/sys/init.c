/*
 * The laws of init at a terminal: a program is a job as without us, and of its stops is told what its caller would
 * not notice by itself.
 *
 * Three processes and the test: the *shell* leads a session with a terminal; the *caller*, its child, has a process
 * group of its own in the foreground, and starts the *program*. The test types.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <termios.h>

#include "sys/scratch.h"

#define NO_NAMESPACES 77

extern char **environ;

/* ---- the terminal ---- */

struct scene {
	int (*caller)(struct scratch *s);
	int (*shell)(pid_t caller);
	const char *keys[4]; /* typed one after the other, each once a '!' was shown */
};

static int ask_for_keys(void)
{
	return write(2, "!", 1) == 1 ? 0 : 1;
}

/* Without being stopped for it. */
static int give_terminal_to(pid_t group)
{
	sigset_t block, old;
	int r;

	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	sigprocmask(SIG_BLOCK, &block, &old);
	r = tcsetpgrp(0, group);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}

static int
	alive[2]; /* open for writing while a caller or a program is there; the shell's to read */

static _Noreturn void be_shell(const struct scene *scene, struct scratch *s)
{
	struct termios silent;
	pid_t pid;
	int r = pipe(alive); /* not close-on-exec */

	if (r < 0 || tcgetattr(0, &silent) < 0)
		_exit(1);
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(0, TCSANOW, &silent);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		give_terminal_to(getpid());
		_exit(scene->caller(s));
	}
	setpgid(pid, pid);
	r = scene->shell(pid);
	(void)kill(-pid, SIGKILL); /* has ended, but for failures */
	_exit(r);
}

/* 0, or what failed. In a child of the test. */
static int play(const struct scene *scene, struct scratch *s)
{
	int master, status;
	size_t n = 0;
	pid_t shell;
	char c;

	prctl(PR_SET_DUMPABLE, 1); /* as an exec would make it, after a change of the user */
	shell = forkpty(&master, NULL, NULL, NULL);
	if (shell == 0)
		be_shell(scene, s);
	CHECK(shell > 0);
	while (read(master, &c, 1) == 1) {
		if (c == '!' && n < PL_ARRAY_LEN(scene->keys) && scene->keys[n]) {
			CHECK(write(master, scene->keys[n], strlen(scene->keys[n])) > 0);
			n++;
		} else if (c != '!') {
			(void)!write(2, &c, 1);
		}
	}
	CHECK(waitpid(shell, &status, 0) == shell);
	close(master);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- the caller ---- */

static int start(char *const argv[], struct pl_child **ret_child)
{
	struct pl_view view = {.with_user_namespace = !pl_may_mount(), .reads_fd = -EBADF};
	int ready[2], step, stdio[3] = {-EBADF, -EBADF, -EBADF};
	char c;

	CHECK(pipe2(ready, O_CLOEXEC) == 0);
	stdio[1] = ready[1];
	CHECK(pl_child_start(&view, argv, environ, NULL, stdio, ret_child, &step) == 0);
	close(ready[1]);
	CHECK(read(ready[0], &c, 1) == 1); /* the program's first output */
	return 0;
}

static int start_shell(const char *line, struct pl_child **ret_child)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};

	return start(argv, ret_child);
}

static int next_is(struct pl_child *child, enum pl_child_what what, int value)
{
	struct pl_child_event event;
	int r;

	do
		r = pl_child_next(child, &event);
	while (r == -EINTR);
	CHECK(r == 0);
	CHECK(event.what == what);
	CHECK(event.value == value);
	return 0;
}

/* ---- the shell ---- */

static int next_stop_is(pid_t caller, int signal)
{
	int status;

	CHECK(waitpid(caller, &status, WUNTRACED) == caller);
	CHECK(WIFSTOPPED(status));
	CHECK(WSTOPSIG(status) == signal);
	CHECK(give_terminal_to(getpgrp()) == 0);
	return 0;
}

static int go_on(pid_t caller, bool foreground)
{
	if (foreground)
		CHECK(give_terminal_to(caller) == 0);
	CHECK(kill(-caller, SIGCONT) == 0);
	return 0;
}

static int wait_for_end(pid_t caller)
{
	int status;

	CHECK(waitpid(caller, &status, WUNTRACED) == caller);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- ^C ---- */

static int interrupted_caller(struct scratch *s)
{
	struct pl_child *child;

	CHECK(start_shell("echo; exec sleep 1000", &child) == 0);
	signal(SIGINT, SIG_IGN); /* the program decides */
	CHECK(ask_for_keys() == 0);
	CHECK(next_is(child, PL_CHILD_SIGNALED, SIGINT) == 0);
	pl_child_close(child);
	return 0;
}

static int interrupt(struct scratch *s)
{
	return play(&(struct scene){interrupted_caller, wait_for_end, {"\003"}}, s);
}

/* ---- ^Z ---- */

/* The only event is the end: the terminal has stopped the caller too. */
static int stopped_caller(struct scratch *s)
{
	struct pl_child *child;

	CHECK(start_shell("echo; read -r line; test \"$line\" = typed && exit 41", &child) == 0);
	CHECK(ask_for_keys() == 0);
	CHECK(next_is(child, PL_CHILD_EXITED, 41) == 0);
	pl_child_close(child);
	return 0;
}

/* ^Z, bg (which it does not stand: it reads), fg. */
static int stopping_shell(pid_t caller)
{
	CHECK(next_stop_is(caller, SIGTSTP) == 0);
	CHECK(go_on(caller, false) == 0);
	CHECK(next_stop_is(caller, SIGTTIN) == 0);
	CHECK(go_on(caller, true) == 0);
	CHECK(ask_for_keys() == 0);
	return wait_for_end(caller);
}

static int stop_and_go_on(struct scratch *s)
{
	return play(&(struct scene){stopped_caller, stopping_shell, {"\032", "typed\n"}}, s);
}

/* ---- a program with a process group of its own ---- */

/* This test, executed again: as an interactive shell it has the terminal, and suspends itself. */
static int be_suspender(void)
{
	if (setpgid(0, 0) < 0 || give_terminal_to(getpgrp()) < 0 || write(1, "\n", 1) != 1 ||
	    raise(SIGTSTP) != 0)
		return 1;
	return tcgetpgrp(0) == getpgrp() ? 42 : 43;
}

static int suspended_caller(int end)
{
	char *argv[] = {(char *)"/proc/self/exe", (char *)"suspender", NULL};
	struct pl_child *child;

	CHECK(start(argv, &child) == 0);
	CHECK(next_is(child, PL_CHILD_STOPPED, SIGTSTP) == 0);
	CHECK(tcgetpgrp(0) != getpgrp()); /* it is the program's still */
	CHECK(give_terminal_to(getpgrp()) == 0);
	CHECK(raise(SIGSTOP) == 0);
	CHECK(pl_child_resume(child, tcgetpgrp(0) == getpgrp()) == 0);
	CHECK(next_is(child, PL_CHILD_EXITED, end) == 0);
	pl_child_close(child);
	return 0;
}

static int caller_to_foreground(struct scratch *s)
{
	return suspended_caller(42);
}

static int caller_to_background(struct scratch *s)
{
	return suspended_caller(43);
}

static int shell_of_fg(pid_t caller)
{
	CHECK(next_stop_is(caller, SIGSTOP) == 0);
	CHECK(go_on(caller, true) == 0);
	return wait_for_end(caller);
}

static int shell_of_bg(pid_t caller)
{
	CHECK(next_stop_is(caller, SIGSTOP) == 0);
	CHECK(go_on(caller, false) == 0);
	CHECK(wait_for_end(caller) == 0);
	CHECK(tcgetpgrp(0) == getpgrp()); /* nobody took it */
	return 0;
}

static int suspend_and_fg(struct scratch *s)
{
	return play(&(struct scene){caller_to_foreground, shell_of_fg, {NULL}}, s);
}

static int suspend_and_bg(struct scratch *s)
{
	return play(&(struct scene){caller_to_background, shell_of_bg, {NULL}}, s);
}

/* ---- killed while everything is stopped ---- */

/* It inherits the pipe, which is not close-on-exec, and init does not hold it. */
static int killed_caller(struct scratch *s)
{
	struct pl_child *child;

	close(alive[0]);
	CHECK(start_shell("echo; sleep 1000 & sleep 1000", &child) == 0);
	CHECK(kill(0, SIGSTOP) == 0);
	return 1;
}

/* 1. Caller, init and program are stopped. 2. The caller is killed. 3. The kernel lets their group go on. */
static int killing_shell(pid_t caller)
{
	int status;
	char c;

	close(alive[1]);
	CHECK(next_stop_is(caller, SIGSTOP) == 0);
	CHECK(kill(caller, SIGKILL) == 0);
	CHECK(waitpid(caller, &status, 0) == caller);
	CHECK(read(alive[0], &c, 1) == 0);
	return 0;
}

static int kill_the_stopped(struct scratch *s)
{
	return play(&(struct scene){killed_caller, killing_shell, {NULL}}, s);
}

/* ---- both ways ---- */

static int in_user_namespace(int (*function)(struct scratch *s), struct scratch *s)
{
	const char *why;

	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	return pl_user_namespace_probe(&why) == 1 ? function(s) : NO_NAMESPACES;
}

#define AT_TERMINAL(name, function)                                           \
	static int function##_as_user(struct scratch *s)                      \
	{                                                                     \
		return in_user_namespace(function, s);                        \
	}                                                                     \
	static void name(void **state)                                        \
	{                                                                     \
		int r;                                                        \
                                                                              \
		if (pl_may_mount())                                           \
			assert_int_equal(in_child(function, *state), 0);      \
		r = in_child_as_user(function##_as_user, *state);             \
		if (r == NO_NAMESPACES)                                       \
			SKIP("an ordinary user cannot make user namespaces"); \
		assert_int_equal(r, 0);                                       \
	}

AT_TERMINAL(an_interrupt_from_the_terminal_is_the_programs, interrupt)
AT_TERMINAL(a_stop_by_the_terminal_is_not_told, stop_and_go_on)
AT_TERMINAL(a_group_that_suspends_itself_goes_on_with_the_terminal, suspend_and_fg)
AT_TERMINAL(a_group_that_goes_on_in_the_background_takes_no_terminal, suspend_and_bg)
AT_TERMINAL(a_stopped_caller_that_is_killed_leaves_nothing, kill_the_stopped)

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		TEST(an_interrupt_from_the_terminal_is_the_programs),
		TEST(a_stop_by_the_terminal_is_not_told),
		TEST(a_group_that_suspends_itself_goes_on_with_the_terminal),
		TEST(a_group_that_goes_on_in_the_background_takes_no_terminal),
		TEST(a_stopped_caller_that_is_killed_leaves_nothing),
	};

	if (argc > 1 && strcmp(argv[1], "suspender") == 0)
		return be_suspender();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
