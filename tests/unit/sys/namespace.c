/* A program with a view of its own: it sees the steps, nothing of them shows outside, and with it everything that
 * it has started ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

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
	assert_int_equal(step, 0);
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
	assert_int_equal(pl_lock_try(other, PL_LOCK_EXCLUSIVE), 1);
	pl_child_close(child);
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
		TEST(a_lock_is_held_until_the_end),
		TEST(a_stop_is_reported_and_it_goes_on),
		TEST(killed_while_it_is_stopped_its_end_is_told),
		TEST(what_is_opened_is_noted),
		TEST(an_ordinary_user_has_one_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
