/*
 * A program with a view of its own, seen from outside: started by a clone into new namespaces, and told of by its
 * init (init.c) through a socket.
 *
 *      none --start--> running <--resume-- stopped --...--> ended --close--> none
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/init.h"
#include "sys/seam.h"

struct pl_child {
	pid_t init;
	pid_t owner; /* who has started it: a fork of that process must not end it */
	int socket;
	bool has_ended; /* the program, and all others in there */
	bool is_gone;	/* init as well */
	struct pl_child_event end;
	char mounted[PL_SUBMOUNT_MAX]; /* "": nothing */
};

/* ---- what is prepared for inside ---- */

struct preparation {
	struct pl_strings programs;
	char **shell_argv;
	uint64_t *mounts;
	char *stack;
};

static void preparation_done(struct preparation *p)
{
	free(p->stack);
	free(p->mounts);
	pl_strings_done(&p->programs);
	free(p->shell_argv);
}

static const char *find_path(char *const envp[])
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* Where a program of this name is looked for. An empty part of PATH is the working directory. */
static int list_programs(const char *name, char *const envp[], struct pl_strings *ret)
{
	const char *path;

	if (strchr(name, '/') || *name == '\0')
		return pl_strings_add(ret, name);
	path = find_path(envp);
	for (;;) {
		size_t length = strcspn(path, ":");
		PL_BUFFER b = {0};

		pl_buffer_add(&b, path, length);
		pl_buffer_add_string(&b, length ? "/" : "./");
		pl_buffer_add_string(&b, name);
		if (!pl_buffer_ok(&b) || pl_strings_add(ret, pl_buffer_string(&b)) < 0)
			return -ENOMEM;
		if (path[length] == '\0')
			return 0;
		path += length + 1;
	}
}

static int prepare(struct preparation *p, const struct pl_view *view, char *const argv[],
		   char *const envp[])
{
	size_t n = 0;

	while (argv[n])
		n++;
	p->shell_argv = calloc(n + 2, sizeof(*p->shell_argv));
	p->mounts = calloc(view->n_steps + 1, sizeof(*p->mounts));
	p->stack = malloc(PL_INIT_STACK);
	if (!p->shell_argv || !p->mounts || !p->stack)
		return -ENOMEM;
	p->shell_argv[0] = (char *)"/bin/sh";
	for (size_t i = 1; i < n; i++)
		p->shell_argv[i + 1] = argv[i];
	return list_programs(argv[0], envp, &p->programs);
}

/* ---- starting ---- */

/* Every signal is blocked meanwhile: no handler of the caller's runs inside. */
static pid_t clone_init(struct pl_init *init, const int sockets[2])
{
	unsigned flags = CLONE_NEWNS | CLONE_NEWPID;
	sigset_t all;
	pid_t pid;
	int err;

	if (init->view->with_user_namespace)
		flags |= CLONE_NEWUSER;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &init->mask);
	pid = pl_clone(flags);
	if (pid == 0) {
		close(sockets[0]);
		pl_init_run(init);
	}
	err = errno;
	pthread_sigmask(SIG_SETMASK, &init->mask, NULL);
	return pid < 0 ? -err : pid;
}

static void wait_for_init(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/*
 * The next message; 0: init is gone without one. Only poll(2) is ended by a handler with SA_RESTART too. That
 * init has ended with a message of ours unread is told once, as ECONNRESET, before what it has said.
 */
static int receive(int socket, struct pl_init_report *report)
{
	struct pollfd item = {.fd = socket, .events = POLLIN};
	ssize_t n;

	if (poll(&item, 1, -1) < 0)
		return -errno;
	do
		n = recv(socket, report, sizeof(*report), 0);
	while (n < 0 && errno == ECONNRESET);
	if (n < 0)
		return -errno;
	return n == sizeof(report->message) || n == sizeof(*report);
}

static int await_ready(int socket, int *ret_step)
{
	struct pl_init_report report = {0};
	const struct pl_init_message *m = &report.message;
	int r;

	do
		r = receive(socket, &report);
	while (r == -EINTR);
	*ret_step = -1;
	if (r <= 0)
		return r < 0 ? r : -EIO;
	if (m->what == PL_INIT_READY)
		return 0;
	pl_assert(m->what == PL_INIT_FAILED && m->value > 0);
	*ret_step = m->step;
	return -m->value;
}

/* Both above 2, which are the program's. */
static int make_sockets(int ret_sockets[2])
{
	int r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_sockets) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		int low = ret_sockets[i];

		if (low > 2)
			continue;
		ret_sockets[i] = pl_dup(low);
		close(low);
		if (ret_sockets[i] < 0)
			r = ret_sockets[i];
	}
	if (r < 0)
		for (int i = 0; i < 2; i++)
			pl_closep(&ret_sockets[i]);
	return r;
}

/* This process, readable when it has ended; -1: the kernel has no such thing. */
static int open_self(void)
{
#ifdef SYS_pidfd_open
	int low = (int)syscall(SYS_pidfd_open, getpid(), 0), fd;

	if (low < 0 || low > 2)
		return low;
	fd = pl_dup(low);
	close(low);
	return fd < 0 ? -1 : fd;
#else
	return -1;
#endif
}

int pl_child_start(const struct pl_view *view, char *const argv[], char *const envp[],
		   const char *cwd, const int stdio[3], struct pl_child **ret_child, int *ret_step)
{
	struct preparation p = {.shell_argv = NULL};
	struct pl_child *child = calloc(1, sizeof(*child));
	struct pl_init init = {.view = view,
			       .argv = argv,
			       .envp = envp,
			       .cwd = cwd,
			       .stdio = stdio,
			       .uid = geteuid(),
			       .gid = getegid()};
	int sockets[2], r = -ENOMEM;

	pl_assert(argv[0] && view->n_kept <= PL_INIT_KEPT_MAX);
	*ret_step = -1;
	if (child)
		r = prepare(&p, view, argv, envp);
	if (r >= 0 && view->with_user_namespace && !pl_seam_has(PL_CAP_USERNS))
		r = -EPERM;
	if (r >= 0)
		r = pl_seam_pass(PL_CALL_MOUNT);
	if (r >= 0)
		r = make_sockets(sockets);
	if (r < 0)
		goto out;
	init.programs = pl_strings_list(&p.programs);
	init.shell_argv = p.shell_argv;
	init.mounts = p.mounts;
	init.stack = p.stack;
	init.socket = sockets[1];
	init.caller = open_self();
	child->owner = getpid();
	child->init = clone_init(&init, sockets);
	close(sockets[1]);
	pl_closep(&init.caller);
	r = child->init < 0 ? (int)child->init : await_ready(sockets[0], ret_step);
	if (r < 0) {
		close(sockets[0]);
		if (child->init > 0)
			wait_for_init(child->init);
		goto out;
	}
	child->socket = sockets[0];
	*ret_child = child;
	child = NULL;
out:
	preparation_done(&p);
	free(child);
	return r;
}

/* ---- running ---- */

bool pl_child_has_ended(const struct pl_child *child)
{
	return child->has_ended;
}

int pl_child_fd(const struct pl_child *child)
{
	return child->socket;
}

static void await_gone(struct pl_child *child)
{
	if (!child->is_gone)
		wait_for_init(child->init);
	child->is_gone = true;
}

/* Init is the last, and has said so, or is gone. What is taken down then takes time, for which nobody waits here. */
static void note_end(struct pl_child *child, enum pl_child_what what, int value)
{
	child->has_ended = true;
	child->end = (struct pl_child_event){
		.what = what,
		.value = value,
		.mounted = child->mounted[0] ? child->mounted : NULL,
	};
}

/* What init has said, until it is an event. 1: that is one; 0: init is gone without. */
static int next_message(struct pl_child *child, struct pl_init_message *ret_message)
{
	struct pl_init_report report = {0};
	int r;

	while ((r = receive(child->socket, &report)) > 0 &&
	       report.message.what == PL_INIT_MOUNTED) {
		report.path[sizeof(report.path) - 1] = '\0';
		memcpy(child->mounted, report.path, sizeof(child->mounted));
	}
	*ret_message = report.message;
	return r;
}

int pl_child_next(struct pl_child *child, struct pl_child_event *ret_event)
{
	if (!child->has_ended) {
		struct pl_init_message m;
		int r = next_message(child, &m);

		if (r < 0)
			return r;
		if (r == 0) { /* somebody killed it, and with it the program */
			await_gone(child);
			note_end(child, PL_CHILD_SIGNALED, SIGKILL);
		} else {
			pl_assert(m.what == PL_INIT_EVENT);
			if (m.step == PL_CHILD_STOPPED) {
				*ret_event = (struct pl_child_event){.what = PL_CHILD_STOPPED,
								     .value = m.value};
				return 0;
			}
			note_end(child, (enum pl_child_what)m.step, m.value);
		}
	}
	*ret_event = child->end;
	return 0;
}

static int say(struct pl_child *child, int what, int value)
{
	struct pl_init_message m = {.what = what, .value = value};
	int r;

	if (child->has_ended)
		return 0;
	r = PL_RETRY(send(child->socket, &m, sizeof(m), MSG_NOSIGNAL));
	/* Gone, maybe with one of ours unread: there is an event that says so. */
	return r == -EPIPE || r == -ECONNRESET || r >= 0 ? 0 : r;
}

int pl_child_signal(struct pl_child *child, int signal)
{
	return say(child, PL_INIT_SIGNAL, signal);
}

int pl_child_resume(struct pl_child *child, bool foreground)
{
	return say(child, PL_INIT_RESUME, foreground);
}

void pl_child_close(struct pl_child *child)
{
	if (!child)
		return;
	if (child->owner == getpid() && !child->is_gone) {
		if (!child->has_ended)
			(void)kill(child->init, SIGKILL);
		await_gone(child);
	}
	close(child->socket);
	free(child);
}
