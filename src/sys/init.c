/*
 * Process 1 of a program's namespace. It makes the view, starts the program, reports what becomes of it, and ends
 * everything that is left when the program ends or when nobody is left to report to.
 *
 *      cloned --view--> ready --program's end--> ending --none left--> gone
 *                         \--socket closed------/
 *
 * N1  Async-signal-safe calls alone: it comes from a process that may have had threads.
 * N2  It holds no descriptor that is not its own: whoever waits for the end of a pipe waits for the program, not for
 *     it. The locks of `kept` it holds until it is gone, and with it everything in the namespace.
 * N3  The program is not process 1, stays in the caller's process group, and has the caller's signals: so pipelines
 *     and the terminal work as without us. Of a stop is reported what the caller would not notice by itself: of a
 *     program with a group of its own, or by SIGSTOP. (In here the number of a group from outside is 0.)
 * N4  The caller's death is seen by a descriptor of its process, for its end of the socket may have been inherited
 *     by a fork(2) of another thread; where there is none, by the socket. PR_SET_PDEATHSIG tells of the death of a
 *     thread, and is not used. A caller that is stopped, init with it, and then killed leaves an orphaned process
 *     group, which the kernel lets go on. The exec may wait for a server that does not answer: the caller's death
 *     is seen meanwhile too.
 * N5  Until its exec the program runs in init's memory, on a stack of its own: nothing is copied for what is thrown
 *     away at once. It writes nothing there but exec_err and errno, no handler can run in it, and init waits
 *     meanwhile. (Not as after vfork(2), which would be deaf to N4.) When the caller is gone, init goes on beside
 *     it, and needs neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/init.h"

#define NOTE_ROUNDS 4 /* of the watch, between looks at everything else */

struct running {
	const struct pl_init *init;
	pid_t program; /* 0: it has ended */
	int exec_err;  /* why it could not be executed */
	int tty;
	struct pl_watch watch;
	struct pl_submounts submounts;
};

static void tell(int socket, int what, int step, int value)
{
	struct pl_init_message m = {.what = what, .step = step, .value = value};

	while (send(socket, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static _Noreturn void give_up(const struct pl_init *init, int step, int r)
{
	tell(init->socket, PL_INIT_FAILED, step, -r);
	_exit(1);
}

/* ---- the program ---- */

/*
 * Handlers are gone at the exec anyhow; until then they must not run in here. What is ignored stays so, but for
 * SIGCHLD: children of who ignores it vanish unseen, and init would wait for ever.
 */
static void drop_handlers(void)
{
	for (int n = 1; n < NSIG; n++) {
		struct sigaction action;

		if (sigaction(n, NULL, &action) < 0 || action.sa_handler == SIG_DFL ||
		    (action.sa_handler == SIG_IGN && n != SIGCHLD))
			continue;
		action.sa_handler = SIG_DFL;
		action.sa_flags = 0;
		(void)sigaction(n, &action, NULL);
	}
}

static int take_stdio(const int *stdio)
{
	int copies[3] = {-1, -1, -1};

	for (int i = 0; i < 3; i++) {
		if (stdio[i] < 0)
			continue;
		copies[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
		if (copies[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 3; i++)
		if (copies[i] >= 0 && dup2(copies[i], i) < 0)
			return -errno;
	return 0;
}

/* As execvpe(3) does, with the PATH of the program's environment. Returns the errno. */
static int execute(const struct pl_init *init)
{
	int err = ENOENT;

	for (const char *const *path = init->programs; *path; path++) {
		execve(*path, init->argv, init->envp);
		if (errno == ENOEXEC) {
			init->shell_argv[1] = (char *)*path;
			execve(init->shell_argv[0], init->shell_argv, init->envp);
			return errno;
		}
		/* A directory of PATH that is closed to us says nothing of the program. */
		if (errno == EACCES && access(*path, F_OK) == 0)
			err = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
			return errno;
	}
	return err;
}

static int be_program(void *self)
{
	struct running *run = self;
	const struct pl_init *init = run->init;

	run->exec_err = -take_stdio(init->stdio);
	if (!run->exec_err) {
		(void)sigprocmask(SIG_SETMASK, &init->mask, NULL);
		run->exec_err = execute(init);
	}
	_exit(127);
}

/* Until the program has been executed, or has ended, and so holds `other_end` no more; or the caller is gone (N4), which
 * attend() sees again. */
static void await_exec(const struct pl_init *init, int other_end)
{
	struct pollfd fds[] = {{.fd = other_end, .events = POLLIN},
			       {.fd = init->caller, .events = POLLIN},
			       {.fd = init->socket}};

	while (poll(fds, PL_ARRAY_LEN(fds), -1) < 0 && errno == EINTR)
		;
}

/* Starts it. 0, or the errno of its exec. */
static int start(struct running *run)
{
	int held[2];

	if (pipe2(held, O_CLOEXEC) < 0)
		return errno;
	/* N5 */
	run->program = clone(be_program, run->init->stack + PL_INIT_STACK, CLONE_VM | SIGCHLD, run);
	if (run->program < 0) {
		run->program = 0;
		return errno;
	}
	close(held[1]);
	await_exec(run->init, held[0]);
	close(held[0]);
	return run->exec_err;
}

/* ---- descriptors (N2) ---- */

static void close_between(int from, int to)
{
	if (from <= to)
		(void)close_range((unsigned)from, (unsigned)to, 0);
}

/* Whoever opens something gets a number above 2. What was closed is so for the program too: these are not handed on. */
static void fill_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static void close_foreign(const struct running *run)
{
	const struct pl_view *view = run->init->view;
	int own[PL_INIT_KEPT_MAX + 7], n = 0, next = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; null >= 0 && i < 3; i++)
		(void)dup2(null, i);
	for (size_t i = 0; i < view->n_kept; i++)
		own[n++] = view->kept[i];
	own[n++] = run->init->socket;
	own[n++] = run->tty;
	own[n++] = run->watch.fd;
	own[n++] = run->watch.names;
	own[n++] = run->init->caller;
	own[n++] = run->submounts.list;
	own[n++] = view->watched ? view->reads_fd : -1;
	/* From one of ours to the next higher. */
	for (;;) {
		int lowest = -1;

		for (int i = 0; i < n; i++)
			if (own[i] >= next && (lowest < 0 || own[i] < lowest))
				lowest = own[i];
		if (lowest < 0)
			break;
		close_between(next, lowest - 1);
		next = lowest + 1;
	}
	close_between(next, ~0U >> 1);
}

/* ---- its life ---- */

/* N3 */
static void report_stop(const struct running *run, int signal)
{
	if (signal == SIGSTOP || getpgid(run->program) > 0)
		tell(run->init->socket, PL_INIT_EVENT, PL_CHILD_STOPPED, signal);
}

/* Whatever has changed. 1: the program has ended, with *ret_status. */
static int reap(struct running *run, int *ret_status)
{
	int status, has_ended = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != run->program)
			continue;
		if (WIFSTOPPED(status)) {
			report_stop(run, WSTOPSIG(status));
			continue;
		}
		*ret_status = status;
		has_ended = 1;
	}
	return has_ended;
}

static void resume(const struct running *run, bool foreground)
{
	pid_t group = getpgid(run->program);

	/* All signals being blocked, the terminal does not stop us for it. */
	if (foreground && run->tty >= 0 && group > 0)
		(void)tcsetpgrp(run->tty, group);
	(void)kill(group > 0 ? -group : run->program, SIGCONT);
}

/* 0: nobody is there any more. */
static int obey(const struct running *run)
{
	struct pl_init_message m;
	ssize_t n = recv(run->init->socket, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != sizeof(m))
		return 0;
	if (m.what == PL_INIT_SIGNAL)
		(void)kill(run->program, m.value);
	else if (m.what == PL_INIT_RESUME)
		resume(run, m.value != 0);
	return 1;
}

static void on_child(int signal)
{
	(void)signal; /* it ends ppoll() */
}

/* Until the program has ended. 1: it has; 0: the caller has. */
static int attend(struct running *run, int *ret_status)
{
	struct sigaction action = {.sa_handler = on_child};
	sigset_t mask;

	sigfillset(&mask);
	sigdelset(&mask, SIGCHLD);
	(void)sigaction(SIGCHLD, &action, NULL);
	for (;;) {
		struct pollfd fds[] = {{.fd = run->init->socket, .events = POLLIN},
				       {.fd = run->watch.fd, .events = POLLIN},
				       {.fd = run->init->caller, .events = POLLIN}};

		if (reap(run, ret_status))
			return 1;
		if (ppoll(fds, PL_ARRAY_LEN(fds), NULL, &mask) < 0)
			continue;
		if (pl_watch_note(&run->watch, run->init->view, NOTE_ROUNDS) < 0)
			(void)kill(run->program, SIGKILL);
		if (fds[2].revents || (fds[0].revents && !obey(run)))
			return 0;
	}
}

/* Everything else that runs in here ends. */
static void end_all(void)
{
	for (;;) {
		pid_t pid;

		(void)kill(-1, SIGKILL);
		pid = waitpid(-1, NULL, 0);
		if (pid < 0 && errno == ECHILD)
			return;
	}
}

static void make_view(struct running *run)
{
	const struct pl_init *init = run->init;
	const struct pl_view *view = init->view;
	mode_t mask = umask(022);
	int r = view->with_user_namespace ? pl_view_map_ids(init->uid, init->gid) : 0;

	if (r >= 0)
		r = pl_view_detach();
	if (r < 0)
		give_up(init, -1, r);
	for (size_t i = 0; i < view->n_steps; i++) {
		r = pl_view_do(&view->steps[i]);
		if (r < 0)
			give_up(init, (int)i, r);
	}
	pl_view_mount_proc();
	(void)umask(mask);
	pl_submounts_begin(&run->submounts, view);
	r = pl_watch_start(&run->watch, view);
	if (r < 0)
		give_up(init, (int)view->n_steps, r);
	if (init->cwd && chdir(init->cwd) < 0)
		give_up(init, (int)view->n_steps + 1, -errno);
}

static void report_mount(const struct running *run)
{
	struct pl_init_report report = {.message = {.what = PL_INIT_MOUNTED}};

	if (!pl_submounts_find(&run->submounts, run->init->view, report.path))
		return;
	while (send(run->init->socket, &report, sizeof(report), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

_Noreturn void pl_init_run(const struct pl_init *init)
{
	struct running run = {.init = init,
			      .tty = -1,
			      .watch = {.fd = -1, .names = -1},
			      .submounts = {.list = -1, .numbers = init->mounts}};
	int status = 0, err;

	drop_handlers();
	fill_stdio();
	make_view(&run);
	run.tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	err = start(&run);
	tell(init->socket, PL_INIT_READY, 0, 0);
	close_foreign(&run);
	if (!err && !attend(&run, &status)) {
		end_all();
		_exit(0);
	}
	run.program = 0;
	end_all();
	if (pl_watch_note(&run.watch, init->view, PL_WATCH_ALL) < 0)
		status =
			SIGKILL; /* what it has read is not known: as if it had been ended for that */
	report_mount(&run);
	if (err)
		tell(init->socket, PL_INIT_EVENT, PL_CHILD_NO_EXEC, err);
	else if (WIFSIGNALED(status))
		tell(init->socket, PL_INIT_EVENT, PL_CHILD_SIGNALED, WTERMSIG(status));
	else
		tell(init->socket, PL_INIT_EVENT, PL_CHILD_EXITED, WEXITSTATUS(status));
	_exit(0);
}
