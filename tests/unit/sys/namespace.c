/* A program with a view of its own: it sees the steps, nothing of them shows outside, and with it everything that
 * it has started ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "sys/scratch.h"

extern char **environ;
static const int same[3] = {-EBADF, -EBADF, -EBADF};

static bool may_have_namespaces(void)
{
	const char *why;

	return pl_may_mount() || pl_user_namespace_probe(&why) == 1;
}

#define NEEDS_NAMESPACES()                                 \
	do {                                               \
		if (!may_have_namespaces())                \
			SKIP("namespaces cannot be made"); \
	} while (0)

static struct pl_view plain_view(void)
{
	return (struct pl_view){.with_user_namespace = !pl_may_mount(), .reads_fd = -EBADF};
}

/* Runs a line of shell, and gives how it ended: 0..255, 1000 + n by a signal, 2000 + errno without exec. */
static int run_in(const struct pl_view *view, const char *line, const char *cwd)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int step, r = pl_child_start(view, argv, environ, cwd, same, &child, &step);

	if (r < 0)
		return r;
	do
		r = pl_child_next(child, &event);
	while (r == -EINTR);
	pl_child_close(child);
	if (r < 0)
		return r;
	return event.value + (event.what == PL_CHILD_EXITED	? 0
			      : event.what == PL_CHILD_SIGNALED ? 1000
								: 2000);
}

static void status_and_signal_come_back(void **state)
{
	struct pl_view view = plain_view();

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(run_in(&view, "exit 0", NULL), 0);
	assert_int_equal(run_in(&view, "exit 7", NULL), 7);
	assert_int_equal(run_in(&view, "kill -TERM $$", NULL), 1000 + SIGTERM);
}

static void the_program_is_not_process_1_and_sees_its_own(void **state)
{
	struct pl_view view = plain_view();

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(run_in(&view, "test $$ -ne 1", NULL), 0);
	if (geteuid() == 0)
		assert_int_equal(run_in(&view, "test \"$(cat /proc/$$/comm)\" = sh", NULL), 0);
}

static int start_named(const char *name, int *ret_errno)
{
	struct pl_view view = plain_view();
	char *argv[] = {(char *)name, NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int step, r = pl_child_start(&view, argv, environ, NULL, same, &child, &step);

	if (r < 0)
		return r;
	r = pl_child_next(child, &event);
	pl_child_close(child);
	*ret_errno = event.value;
	return r < 0 ? r : (int)event.what;
}

static void what_cannot_be_executed_is_told(void **state)
{
	struct scratch *s = *state;
	char path[4200];
	int err = 0;

	NEEDS_NAMESPACES();
	assert_int_equal(start_named("pleach-no-such-program", &err), PL_CHILD_NO_EXEC);
	assert_int_equal(err, ENOENT);
	assert_int_equal(make_file(s->fd, "plain", "x"), 0);
	snprintf(path, sizeof(path), "%s/plain", s->path);
	assert_int_equal(start_named(path, &err), PL_CHILD_NO_EXEC);
	assert_int_equal(err, EACCES);
	/* without a first line it is the shell's */
	assert_int_equal(make_file(s->fd, "script", "exit 3\n"), 0);
	assert_int_equal(fchmodat(s->fd, "script", 0755, 0), 0);
	snprintf(path, sizeof(path), "%s/script", s->path);
	assert_int_equal(start_named(path, &err), PL_CHILD_EXITED);
	assert_int_equal(err, 3);
}

static void steps_are_seen_inside_and_not_outside(void **state)
{
	struct scratch *s = *state;
	char dir[4200], sub[4200], file[4200], line[9000];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_TMPFS, .target = dir},
		{.what = PL_VIEW_MKDIR, .target = sub},
		{.what = PL_VIEW_FILE, .target = file, .data = "abc"},
		{.what = PL_VIEW_BIND, .target = sub, .source = s->path},
		{.what = PL_VIEW_READONLY, .target = dir}};
	struct pl_view view = plain_view();

	NEEDS_NAMESPACES();
	snprintf(dir, sizeof(dir), "%s/dir", s->path);
	snprintf(sub, sizeof(sub), "%s/dir/sub", s->path);
	snprintf(file, sizeof(file), "%s/dir/file", s->path);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(make_file(s->fd, "here", "x"), 0);
	view.steps = steps;
	view.n_steps = PL_ARRAY_LEN(steps);
	snprintf(line, sizeof(line),
		 "cd '%s' && test \"$(cat file)\" = abc && test -f sub/here && ! touch x 2>&- && "
		 "echo y > sub/there",
		 dir);
	assert_int_equal(run_in(&view, line, NULL), 0);
	assert_int_equal(access(file, F_OK), -1);
	assert_int_equal(faccessat(s->fd, "there", F_OK, 0), 0);
}

static void a_symlink_is_held_where_it_is(void **state)
{
	struct scratch *s = *state;
	char link[4200], line[9000];
	const struct pl_view_step steps[] = {{.what = PL_VIEW_SELF, .target = link}};
	struct pl_view view = plain_view();

	NEEDS_NAMESPACES();
	snprintf(link, sizeof(link), "%s/link", s->path);
	assert_int_equal(symlink("/", link), 0);
	view.steps = steps;
	view.n_steps = 1;
	snprintf(line, sizeof(line), "test \"$(readlink '%s')\" = / && ! rm '%s' 2>&-", link, link);
	assert_int_equal(run_in(&view, line, NULL), 0);
	assert_int_equal(access(link, F_OK), 0);
}

static void a_step_that_fails_is_named(void **state)
{
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = "/", .source = "/nowhere/at/all"}};
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"true", NULL};
	struct pl_child *child;
	int step = 99;

	(void)state;
	NEEDS_NAMESPACES();
	view.steps = steps;
	view.n_steps = 1;
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, same, &child, &step), -ENOENT);
	assert_int_equal(step, 0);
	view.n_steps = 0;
	assert_int_equal(pl_child_start(&view, argv, environ, "/nowhere", same, &child, &step),
			 -ENOENT);
	assert_int_equal(step, 1); /* behind the steps and the watch */
}

/* A daemon that has left its session and its parents, and would write into the pipe for ever. */
static void what_is_left_behind_is_gone_at_the_end(void **state)
{
	struct pl_view view = plain_view();
	const char *line =
		"(setsid sh -c 'trap \"\" TERM HUP INT; exec sleep 1000' >&- 2>&- &) ; exit 5";
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int alive[2], step, stdio[3] = {-EBADF, -EBADF, -EBADF};
	char c;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pipe(alive), 0);
	stdio[0] = alive[1]; /* every process holds it as its input */
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, stdio, &child, &step), 0);
	close(alive[1]);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	assert_int_equal(event.value, 5);
	assert_int_equal(read(alive[0], &c, 1), 0); /* the end: nobody has it any more */
	pl_child_close(child);
	close(alive[0]);
}

static void closing_ends_it(void **state)
{
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
	struct pl_child *child;
	int alive[2], step, stdio[3] = {-EBADF, -EBADF, -EBADF};
	char c;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pipe(alive), 0);
	stdio[0] = alive[1];
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, stdio, &child, &step), 0);
	close(alive[1]);
	pl_child_close(child);
	assert_int_equal(read(alive[0], &c, 1), 0);
	close(alive[0]);
}

static void killed_from_outside_nothing_is_left(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
	struct pl_view view = plain_view();
	int alive[2], ready[2], status;
	pid_t pid;
	char c;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pipe(alive), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct pl_child *child;
		int step, stdio[3] = {alive[1], -EBADF, -EBADF};

		if (pl_child_start(&view, argv, environ, NULL, stdio, &child, &step) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_true(pid > 0);
	close(alive[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(alive[0], &c, 1), 0);
	close(alive[0]);
	close(ready[0]);
	close(ready[1]);
}

/* Who opens the file waits until it is given back, as of a server that does not answer. */
static int lease(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0 ? fd : -1;
}

/* 1. The program's exec waits, and the kernel says so. 2. The caller is killed. 3. All is gone before the exec is. */
static void a_caller_killed_while_the_exec_waits_leaves_nothing(void **state)
{
	const struct timespec limit = {.tv_sec = 15};
	struct scratch *s = *state;
	struct pl_view view = plain_view();
	char path[4200];
	char *argv[] = {path, NULL};
	int alive[2], leased, status;
	sigset_t io;
	pid_t pid;

	NEEDS_NAMESPACES();
	snprintf(path, sizeof(path), "%s/program", s->path);
	assert_int_equal(make_file(s->fd, "program", "exit 0\n"), 0);
	assert_int_equal(chmod(path, 0755), 0);
	leased = lease(path);
	if (leased < 0)
		SKIP("this file system has no leases");
	sigemptyset(&io);
	sigaddset(&io, SIGIO);
	sigprocmask(SIG_BLOCK, &io, NULL);
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct pl_child *child;
		int step, stdio[3] = {alive[1], -EBADF, -EBADF};

		_exit(pl_child_start(&view, argv, environ, NULL, stdio, &child, &step) < 0);
	}
	close(alive[1]);
	assert_int_equal(sigtimedwait(&io, NULL, &limit), SIGIO);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(poll(&(struct pollfd){.fd = alive[0]}, 1, 15000), 1); /* hung up */
	close(alive[0]);
	close(leased);
	sigprocmask(SIG_UNBLOCK, &io, NULL);
}

static void a_lock_is_held_until_the_end(void **state)
{
	struct scratch *s = *state;
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"cat", NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int lock = pl_create(s->fd, "lock", 0600), other, input[2], step;
	int stdio[3] = {-EBADF, -EBADF, -EBADF};

	NEEDS_NAMESPACES();
	other = pl_open(s->fd, "lock", O_RDWR);
	assert_int_equal(pl_lock_try(lock, PL_LOCK_EXCLUSIVE), 1);
	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	view.kept = &lock;
	view.n_kept = 1;
	stdio[0] = input[0];
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, stdio, &child, &step), 0);
	close(lock);
	close(input[0]);
	assert_int_equal(pl_lock_try(other, PL_LOCK_EXCLUSIVE), 0);
	close(input[1]);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	pl_child_close(child);
	assert_int_equal(pl_lock_try(other, PL_LOCK_EXCLUSIVE), 1);
	close(other);
}

static void a_stop_is_reported_and_it_goes_on(void **state)
{
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"kill -STOP $$; exit 6", NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int step;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, same, &child, &step), 0);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_STOPPED);
	assert_int_equal(event.value, SIGSTOP);
	assert_int_equal(pl_child_resume(child, false), 0);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	assert_int_equal(event.value, 6);
	pl_child_close(child);
}

static void killed_while_it_is_stopped_its_end_is_told(void **state)
{
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"kill -STOP $$; exit 6", NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int step;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pl_child_start(&view, argv, environ, NULL, same, &child, &step), 0);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(pl_child_signal(child, SIGKILL), 0);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_SIGNALED);
	assert_int_equal(event.value, SIGKILL);
	pl_child_close(child);
}

/* Signals come until it is gone, so that init ends with one that it has not read. */
static void a_signal_that_comes_too_late_hides_no_end(void **state)
{
	struct pl_view view = plain_view();
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 6", NULL};

	(void)state;
	NEEDS_NAMESPACES();
	for (unsigned i = 0; i < 20; i++) {
		struct pollfd item = {.events = POLLIN};
		struct pl_child_event event;
		struct pl_child *child;
		int step;

		assert_int_equal(pl_child_start(&view, argv, environ, NULL, same, &child, &step),
				 0);
		item.fd = pl_child_fd(child);
		while (poll(&item, 1, 0) == 0)
			assert_int_equal(pl_child_signal(child, SIGCONT), 0);
		assert_int_equal(pl_child_next(child, &event), 0);
		assert_int_equal(event.what, PL_CHILD_EXITED);
		assert_int_equal(event.value, 6);
		pl_child_close(child);
	}
}

static void what_is_opened_is_noted(void **state)
{
	struct scratch *s = *state;
	char dir[4200], line[9000];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = dir, .source = s->path}};
	struct pl_view view = plain_view();
	struct pl_buffer b = {0};
	int reads = pl_create(s->fd, "reads", 0600);

	if (!pl_may_mount())
		SKIP("only root may watch");
	snprintf(dir, sizeof(dir), "%s/dir", s->path);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(make_file(s->fd, "a", "x"), 0);
	assert_int_equal(make_file(s->fd, "b", "x"), 0);
	view.steps = steps;
	view.n_steps = 1;
	view.watched = dir;
	view.reads_fd = reads;
	snprintf(line, sizeof(line), "cat '%s/a' >/dev/null; test -f '%s/b'", dir, dir);
	assert_int_equal(run_in(&view, line, NULL), 0);
	assert_int_equal(pl_read_file(s->fd, "reads", 1 << 20, &b), 0);
	assert_true(memmem(b.data, b.length, "a", 2) != NULL);
	assert_true(memmem(b.data, b.length, "b", 2) == NULL); /* asked about, not opened */
	pl_buffer_done(&b);
	close(reads);
}

static int as_user(struct scratch *s)
{
	const struct pl_view_step steps[] = {{.what = PL_VIEW_TMPFS, .target = s->path}};
	struct pl_view view = plain_view();
	const char *why;

	/* Who has just changed his user may not write his own maps; who was started as him may. */
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	if (pl_user_namespace_probe(&why) != 1)
		return 77;
	view.steps = steps;
	view.n_steps = 1;
	CHECK(view.with_user_namespace);
	CHECK(run_in(&view, "test $(id -u) = $(stat -c %u .)", s->path) == 0);
	pl_seam_disable(PL_CAP_USERNS);
	CHECK(run_in(&view, "true", NULL) == -EPERM);
	CHECK(pl_user_namespace_probe(&why) == 0);
	return 0;
}

static void an_ordinary_user_has_one_too(void **state)
{
	int r = in_child_as_user(as_user, *state);

	if (r == 77)
		SKIP("user namespaces cannot be made");
	assert_int_equal(r, 0);
}

/* ---- what the caller is like ---- */

static int with_sigchld_ignored(struct scratch *s)
{
	struct pl_view view = plain_view();

	signal(SIGCHLD, SIG_IGN);
	CHECK(run_in(&view, "exit 9", NULL) == 9);
	CHECK(run_in(&view, "sh -c 'exit 4'; exit $?", NULL) == 4);
	return 0;
}

static void a_caller_who_ignores_sigchld_is_told_the_end(void **state)
{
	NEEDS_NAMESPACES();
	assert_int_equal(in_child(with_sigchld_ignored, *state), 0);
}

static int without_stdio(struct scratch *s)
{
	int err = dup(2);
	struct pl_view view = plain_view();
	int out = pl_create(s->fd, "out", 0644);
	struct pl_child_event event = {.value = -1};
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)"echo said; ! echo x >&2", NULL};
	int step, stdio[3] = {-EBADF, out, -EBADF};
	struct pl_child *child;

	CHECK(out > 2 && err > 2);
	for (int i = 0; i < 3; i++)
		close(i);
	/* What is closed for the caller is so for the program: the second echo fails. */
	step = pl_child_start(&view, argv, environ, NULL, stdio, &child, &step);
	if (step == 0)
		step = pl_child_next(child, &event);
	pl_child_close(child);
	dup2(err, 2);
	CHECK(step == 0);
	CHECK(event.what == PL_CHILD_EXITED && event.value == 0);
	return 0;
}

static void a_caller_without_stdio_can_start_one(void **state)
{
	struct scratch *s = *state;
	struct pl_buffer b = {0};

	NEEDS_NAMESPACES();
	assert_int_equal(in_child(without_stdio, s), 0);
	assert_int_equal(pl_read_file(s->fd, "out", 100, &b), 0);
	assert_string_equal(pl_buffer_string(&b), "said\n");
	pl_buffer_done(&b);
}

/* A program that reads its input to the end, and so lives until the other end of `ret_input` is closed. */
static struct pl_child *start_cat(const struct pl_view *view, int *ret_input)
{
	char *argv[] = {(char *)"cat", NULL};
	int input[2], step, stdio[3] = {-EBADF, -EBADF, -EBADF};
	struct pl_child *child;

	assert_int_equal(pipe2(input, O_CLOEXEC), 0);
	stdio[0] = input[0];
	assert_int_equal(pl_child_start(view, argv, environ, NULL, stdio, &child, &step), 0);
	close(input[0]);
	*ret_input = input[1];
	return child;
}

static void init_holds_no_descriptor_of_the_callers(void **state)
{
	struct pl_view view = plain_view();
	struct pl_child *child;
	int many[40][2], input;
	char c;

	(void)state;
	NEEDS_NAMESPACES();
	for (size_t i = 0; i < PL_ARRAY_LEN(many); i++)
		assert_int_equal(pipe2(many[i], O_CLOEXEC), 0);
	child = start_cat(&view, &input);
	for (size_t i = 0; i < PL_ARRAY_LEN(many); i++) {
		close(many[i][1]);
		assert_int_equal(read(many[i][0], &c, 1), 0); /* though the program still runs */
		close(many[i][0]);
	}
	assert_int_equal(poll(&(struct pollfd){.fd = pl_child_fd(child), .events = POLLIN}, 1, 0),
			 0);
	close(input);
	pl_child_close(child);
}

static void on_alarm(int signal)
{
}

/* The handler runs once the wait is reached or before, so it runs again and again until the wait ends. */
static void a_handler_ends_the_wait_for_an_event(void **state)
{
	const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, old;
	struct pl_view view = plain_view();
	struct pl_child_event event;
	struct pl_child *child;
	int input;

	(void)state;
	NEEDS_NAMESPACES();
	child = start_cat(&view, &input);
	sigaction(SIGALRM, &action, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(pl_child_next(child, &event), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	close(input);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	pl_child_close(child);
}

static void a_fork_of_the_caller_ends_nothing(void **state)
{
	struct pl_view view = plain_view();
	struct pl_child_event event;
	struct pl_child *child;
	int input, status;
	pid_t pid;

	(void)state;
	NEEDS_NAMESPACES();
	child = start_cat(&view, &input);
	pid = fork();
	if (pid == 0) {
		pl_child_close(child);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(input);
	assert_int_equal(pl_child_next(child, &event), 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	pl_child_close(child);
}

/* 1. The caller starts a program. 2. It forks, and the fork has its end of the socket. 3. It is killed. */
static void a_fork_of_a_killed_caller_keeps_nothing_alive(void **state)
{
	char *argv[] = {(char *)"sleep", (char *)"1000", NULL};
	struct pl_view view = plain_view();
	int alive[2], told[2], status;
	pid_t pid, fork_of_it;
	char c;

	(void)state;
	NEEDS_NAMESPACES();
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct pl_child *child;
		int step, stdio[3] = {alive[1], -EBADF, -EBADF};

		if (pl_child_start(&view, argv, environ, NULL, stdio, &child, &step) < 0)
			_exit(1);
		close(alive[1]);
		fork_of_it = fork();
		if (fork_of_it > 0 && write(told[1], &fork_of_it, sizeof(pid)) != sizeof(pid))
			_exit(1);
		for (;;)
			pause();
	}
	close(alive[1]);
	assert_int_equal(read(told[0], &fork_of_it, sizeof(pid)), sizeof(pid));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(alive[0], &c, 1), 0);
	assert_int_equal(kill(fork_of_it, SIGKILL), 0);
	close(alive[0]);
	close(told[0]);
	close(told[1]);
}

/* ---- mounts ---- */

static int read_mountinfo(struct pl_buffer *b)
{
	return pl_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, b);
}

/* In a namespace of the test's own, on a mount that is shared: there a mount could leak. */
static int mounts_leak_in_and_not_out(struct scratch *s)
{
	struct pl_view view = {.reads_fd = -EBADF};
	char *argv[] = {
		(char *)"sh", (char *)"-c",
		(char *)"mkdir in && mount -t tmpfs in in && touch in/x && echo && read x && "
			"test -f out/there",
		NULL};
	int input[2], output[2], step, stdio[3] = {-EBADF, -EBADF, -EBADF};
	struct pl_buffer before = {0}, after = {0};
	struct pl_child_event event;
	struct pl_child *child;
	struct stat above, root;
	char c;

	CHECK(private_mounts(s) == 0);
	CHECK(fstat(s->fd, &above) == 0);
	CHECK(mount("tmpfs", s->path, "tmpfs", 0, "size=1m") == 0);
	CHECK(mount(NULL, s->path, NULL, MS_SHARED, NULL) == 0);
	CHECK(chdir(s->path) == 0 && stat(".", &root) == 0 && root.st_dev != above.st_dev);
	CHECK(mkdir("out", 0755) == 0);
	CHECK(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
	CHECK(read_mountinfo(&before) == 0);
	stdio[0] = input[0];
	stdio[1] = output[1];
	CHECK(pl_child_start(&view, argv, environ, NULL, stdio, &child, &step) == 0);
	CHECK(read(output[0], &c, 1) == 1); /* mounted inside */
	CHECK(read_mountinfo(&after) == 0);
	CHECK(before.length == after.length && memcmp(before.data, after.data, after.length) == 0);
	CHECK(mount("tmpfs", "out", "tmpfs", 0, "size=1m") == 0);
	CHECK(stat("out", &above) == 0 && root.st_dev != above.st_dev);
	CHECK(close(open("out/there", O_CREAT | O_WRONLY, 0644)) == 0);
	CHECK(write(input[1], "\n", 1) == 1);
	CHECK(pl_child_next(child, &event) == 0);
	CHECK(event.what == PL_CHILD_EXITED && event.value == 0);
	pl_child_close(child);
	pl_buffer_done(&before);
	pl_buffer_done(&after);
	return 0;
}

static void what_is_mounted_outside_shows_inside_and_not_the_other_way(void **state)
{
	if (!pl_may_mount())
		SKIP("only root may mount");
	assert_int_equal(in_child(mounts_leak_in_and_not_out, *state), 0);
}

/* Upper and work on a tmpfs of the test's, since the scratch directory may lie on an overlay. */
static int overlay_of_odd_names(struct scratch *s)
{
	static const char *const dirs[] = {"a:b,c\\d", "u,p:\\,", "w\\:=", "m"};
	char path[4][4300], options[20000];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_OVERLAY, .target = path[3], .data = options}};
	struct pl_view view = {.steps = steps, .n_steps = 1, .reads_fd = -EBADF};
	struct stat above, root;

	CHECK(private_mounts(s) == 0);
	CHECK(fstat(s->fd, &above) == 0);
	CHECK(mount("tmpfs", s->path, "tmpfs", 0, "size=1m") == 0);
	CHECK(chdir(s->path) == 0 && stat(".", &root) == 0 && root.st_dev != above.st_dev);
	for (size_t i = 0; i < PL_ARRAY_LEN(dirs); i++) {
		CHECK(mkdir(dirs[i], 0755) == 0);
		snprintf(path[i], sizeof(path[i]), "%s/%s", s->path, dirs[i]);
	}
	CHECK(close(open("a:b,c\\d/base", O_CREAT | O_WRONLY, 0644)) == 0);
	snprintf(options, sizeof(options),
		 "lowerdir=%s\nupperdir=%s\nworkdir=%s\nindex=on\nredirect_dir=on\nmetacopy=off\n"
		 "xino=off\nvolatile",
		 path[0], path[1], path[2]);
	CHECK(run_in(&view, "test -f base && echo new > base && mv base moved", path[3]) == 0);
	CHECK(access("a:b,c\\d/base", F_OK) == 0 && access("u,p:\\,/moved", F_OK) == 0);
	/* Two of one layer are a mistake, and so is what no overlay knows. */
	snprintf(options, sizeof(options), "lowerdir=%s\nlowerdir=%s", path[0], path[0]);
	CHECK(run_in(&view, "true", NULL) == -EINVAL);
	snprintf(options, sizeof(options), "lowerdir=%s:%s", path[0], path[0]);
	CHECK(run_in(&view, "true", NULL) == -ENOENT);
	return 0;
}

static void layers_may_have_any_names(void **state)
{
	if (!pl_may_mount())
		SKIP("only root may mount an overlay without a user namespace");
	assert_int_equal(in_child(overlay_of_odd_names, *state), 0);
}

static int mutate_seam(struct scratch *s)
{
	struct pl_view view = plain_view();
	const int before = count_fds();

	fail_call(PL_CALL_MOUNT, 1, EMFILE);
	CHECK(run_in(&view, "true", NULL) == -EMFILE);
	pl_seam_arm(NULL);
	CHECK(run_in(&view, "true", NULL) == 0);
	CHECK(count_fds() == before);
	return 0;
}

static void a_start_passes_the_seam_and_leaks_no_descriptor(void **state)
{
	NEEDS_NAMESPACES();
	assert_int_equal(in_child(mutate_seam, *state), 0);
}

/* ---- watching ---- */

static void watching_waits_for_nothing_and_notes_what_is_gone(void **state)
{
	struct scratch *s = *state;
	char dir[4200], line[9000];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = dir, .source = s->path}};
	struct pl_view view = plain_view();
	struct pl_buffer b = {0};
	int reads = pl_open_or_create(s->fd, "reads", O_RDWR | O_APPEND, 0600);

	if (!pl_may_mount())
		SKIP("only root may watch");
	snprintf(dir, sizeof(dir), "%s/dir", s->path);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(make_file(s->fd, "gone", "x"), 0);
	assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
	view.steps = steps;
	view.n_steps = 1;
	view.watched = dir;
	view.reads_fd = reads;
	snprintf(line, sizeof(line),
		 "cd '%s' && exec 3<>fifo && exec 4<gone && rm gone && ls . >/dev/null", dir);
	assert_int_equal(run_in(&view, line, NULL), 0);
	assert_int_equal(pl_read_file(s->fd, "reads", 1 << 20, &b), 0);
	assert_non_null(memmem(b.data, b.length, "gone", 5));
	assert_int_equal(b.data[b.length - 1], 0);
	assert_true(b.data[0] == 0 || memmem(b.data, b.length, "\0", 2)); /* the root: "" */
	pl_buffer_done(&b);
	close(reads);
}

static void what_cannot_be_noted_is_not_run_on(void **state)
{
	struct scratch *s = *state;
	char dir[4200];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = dir, .source = s->path}};
	struct pl_view view = plain_view();
	int reads;

	if (!pl_may_mount())
		SKIP("only root may watch");
	snprintf(dir, sizeof(dir), "%s/dir", s->path);
	assert_int_equal(mkdir(dir, 0755), 0);
	reads = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(reads >= 0);
	view.steps = steps;
	view.n_steps = 1;
	view.watched = dir;
	view.reads_fd = reads;
	assert_int_equal(run_in(&view, "ls . >/dev/null", dir), 1000 + SIGKILL);
	assert_int_equal(run_in(&view, "ls . >/dev/null; exec sleep 1000", dir), 1000 + SIGKILL);
	close(reads);
}

static void what_is_noted_has_a_bound(void **state)
{
	struct scratch *s = *state;
	char dir[4200];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = dir, .source = s->path}};
	struct pl_view view = plain_view();
	struct stat st;
	int reads = pl_open_or_create(s->fd, "reads", O_RDWR | O_APPEND, 0600);

	if (!pl_may_mount())
		SKIP("only root may watch");
	snprintf(dir, sizeof(dir), "%s/dir", s->path);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(make_file(s->fd, "a", "x"), 0);
	view.steps = steps;
	view.n_steps = 1;
	view.watched = dir;
	view.reads_fd = reads;
	assert_int_equal(ftruncate(reads, PL_READS_MAX), 0); /* sparse */
	assert_int_equal(run_in(&view, "cat a a a a >/dev/null; cat a a >/dev/null", dir), 0);
	assert_int_equal(fstat(reads, &st), 0);
	assert_in_range(st.st_size, PL_READS_MAX + 1, PL_READS_MAX + 2); /* "a" or the root */
	close(reads);
}

/* ---- as a user ---- */

static int index_in_user_namespace(struct scratch *s)
{
	char target[4200], lower[4200], upper[4200], work[4200], options[20000];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_TMPFS, .target = s->path},
		{.what = PL_VIEW_MKDIR, .target = lower},
		{.what = PL_VIEW_MKDIR, .target = upper},
		{.what = PL_VIEW_MKDIR, .target = work},
		{.what = PL_VIEW_MKDIR, .target = target},
		{.what = PL_VIEW_OVERLAY, .target = target, .data = options}};
	struct pl_view view = {.steps = steps,
			       .n_steps = PL_ARRAY_LEN(steps),
			       .with_user_namespace = true,
			       .reads_fd = -EBADF};
	const char *why;

	prctl(PR_SET_DUMPABLE, 1); /* as an exec would make it */
	if (pl_user_namespace_probe(&why) != 1)
		return 77;
	snprintf(target, sizeof(target), "%s/m", s->path);
	snprintf(lower, sizeof(lower), "%s/l", s->path);
	snprintf(upper, sizeof(upper), "%s/u", s->path);
	snprintf(work, sizeof(work), "%s/w", s->path);
	snprintf(options, sizeof(options),
		 "lowerdir=%s\nupperdir=%s\nworkdir=%s\nuserxattr\nindex=off", lower, upper, work);
	CHECK(run_in(&view, "touch x", target) == 0);
	snprintf(options, sizeof(options),
		 "lowerdir=%s\nupperdir=%s\nworkdir=%s\nuserxattr\nindex=on", lower, upper, work);
	CHECK(run_in(&view, "touch x", target) == -EOPNOTSUPP);
	return 0;
}

static void an_option_that_the_kernel_drops_is_noticed(void **state)
{
	int r = in_child_as_user(index_in_user_namespace, *state);

	if (r == 77)
		SKIP("user namespaces cannot be made");
	assert_int_equal(r, 0);
}

/* Where the program has left a mount below what is shown; "-": nowhere. */
static const char *left_mounted(const struct pl_view *view, const char *line, char ret[4200])
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)line, NULL};
	struct pl_child_event event;
	struct pl_child *child;
	int step, r;

	assert_int_equal(pl_child_start(view, argv, environ, NULL, same, &child, &step), 0);
	do
		r = pl_child_next(child, &event);
	while (r == -EINTR);
	assert_int_equal(r, 0);
	assert_int_equal(event.what, PL_CHILD_EXITED);
	assert_int_equal(event.value, 0);
	snprintf(ret, 4200, "%s", event.mounted ? event.mounted : "-");
	pl_child_close(child);
	return ret;
}

static void a_mount_that_was_left_where_the_view_shows_something_is_told(void **state)
{
	struct scratch *s = *state;
	char shown[4200], source[4200], line[9000], got[4200];
	const struct pl_view_step steps[] = {
		{.what = PL_VIEW_BIND, .target = shown, .source = source}};
	struct pl_view view = plain_view();

	if (!pl_may_mount())
		SKIP("needs root");
	snprintf(shown, sizeof(shown), "%s/odd name\n\\", s->path);
	snprintf(source, sizeof(source), "%s/source", s->path);
	assert_int_equal(mkdir(shown, 0755), 0);
	assert_int_equal(mkdir(source, 0755), 0);
	assert_int_equal(mkdirat(s->fd, "beside", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "source/a", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "source/a/b \t\\040\n", 0755), 0);
	assert_int_equal(setenv("SHOWN", shown, 1), 0);
	assert_int_equal(setenv("BESIDE", s->path, 1), 0);
	view.steps = steps;
	view.n_steps = PL_ARRAY_LEN(steps);
	assert_string_equal(left_mounted(&view, "true", got), "-");
	assert_string_equal(left_mounted(&view, "mount -t tmpfs none \"$BESIDE/beside\"", got),
			    "-");
	assert_string_equal(
		left_mounted(&view, "mount -t tmpfs none \"$SHOWN/a\" && umount \"$SHOWN/a\"", got),
		"-");
	snprintf(line, sizeof(line), "mount --bind \"$BESIDE/beside\" \"$SHOWN\"/a/b*");
	assert_string_equal(left_mounted(&view, line, got), "a/b \t\\040\n");
	assert_string_equal(left_mounted(&view, "mount -t tmpfs none \"$SHOWN\"", got), ".");
	/* neither a /proc that is hidden nor a mount on top of it helps */
	assert_string_equal(
		left_mounted(&view,
			     "mount -t tmpfs none \"$SHOWN/a\" && mkdir \"$SHOWN/a/x\" && "
			     "mount -t tmpfs none \"$SHOWN/a/x\" && mount -t tmpfs none /proc",
			     got),
		"a");
	assert_int_equal(unsetenv("SHOWN"), 0);
	assert_int_equal(unsetenv("BESIDE"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(status_and_signal_come_back),
		TEST(the_program_is_not_process_1_and_sees_its_own),
		TEST(what_cannot_be_executed_is_told),
		TEST(steps_are_seen_inside_and_not_outside),
		TEST(a_symlink_is_held_where_it_is),
		TEST(a_step_that_fails_is_named),
		TEST(what_is_left_behind_is_gone_at_the_end),
		TEST(closing_ends_it),
		TEST(killed_from_outside_nothing_is_left),
		TEST(a_caller_killed_while_the_exec_waits_leaves_nothing),
		TEST(a_lock_is_held_until_the_end),
		TEST(a_stop_is_reported_and_it_goes_on),
		TEST(killed_while_it_is_stopped_its_end_is_told),
		TEST(a_signal_that_comes_too_late_hides_no_end),
		TEST(what_is_opened_is_noted),
		TEST(an_ordinary_user_has_one_too),
		TEST(a_caller_who_ignores_sigchld_is_told_the_end),
		TEST(a_caller_without_stdio_can_start_one),
		TEST(init_holds_no_descriptor_of_the_callers),
		TEST(a_handler_ends_the_wait_for_an_event),
		TEST(a_fork_of_the_caller_ends_nothing),
		TEST(a_fork_of_a_killed_caller_keeps_nothing_alive),
		TEST(what_is_mounted_outside_shows_inside_and_not_the_other_way),
		TEST(layers_may_have_any_names),
		TEST(a_start_passes_the_seam_and_leaks_no_descriptor),
		TEST(watching_waits_for_nothing_and_notes_what_is_gone),
		TEST(what_is_noted_has_a_bound),
		TEST(what_cannot_be_noted_is_not_run_on),
		TEST(an_option_that_the_kernel_drops_is_noticed),
		TEST(a_mount_that_was_left_where_the_view_shows_something_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
