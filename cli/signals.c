/*
 * signals.c - what a signal does to the command, and to a program that it runs.
 *
 * INT, TERM and HUP have the library end its call and undo it; the exit status is then 128+n. A second INT or
 * TERM ends the command at once: whatever that leaves, the next command copes with. A signal that was ignored
 * when the command was started stays ignored, as nohup and shells expect.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

static struct pleach_store *volatile watched;
static volatile sig_atomic_t caught;
static volatile pid_t child;
static struct sigaction old_pipe, old_xfsz;

static void cancel(int signal)
{
	struct pleach_store *store = watched;

	caught = signal;
	if (store)
		pleach_store_cancel(store);
}

/* Without SA_RESTART, so that a call that waits comes back. */
static void handle(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;

	if (sigaction(signal, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
		return;
	sigemptyset(&action.sa_mask);
	sigaction(signal, &action, NULL);
}

void signals_init(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	sigemptyset(&action.sa_mask);
	sigaction(SIGPIPE, &action, &old_pipe);
	action.sa_handler = SIG_IGN;
	sigaction(SIGXFSZ, &action, &old_xfsz);
}

static void handle_all(void)
{
	handle(SIGINT, cancel, (int)SA_RESETHAND);
	handle(SIGTERM, cancel, (int)SA_RESETHAND);
	handle(SIGHUP, cancel, 0); /* a terminal that is gone may say so more than once */
}

void signals_watch(struct pleach_store *store)
{
	bool is_first = !watched && store;

	watched = store;
	if (is_first)
		handle_all();
}

const volatile int *signals_flag(void)
{
	handle_all();
	return &caught;
}

int signals_caught(void)
{
	return caught;
}

/* Waits until `item` is ready, the time is over (NULL: it never is), or a signal has come. */
static void wait_for(struct pollfd *item, const struct timespec *timeout)
{
	sigset_t block, old;
	int result = -1;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	sigprocmask(SIG_BLOCK, &block, &old);
	while (!caught && result < 0) {
		result = ppoll(item, 1, timeout, &old);
		if (result < 0 && errno != EINTR)
			break; /* read(2) will tell */
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
}

int signals_wait_readable(int fd)
{
	struct pollfd item = {.fd = fd, .events = POLLIN};

	wait_for(&item, NULL);
	return !caught;
}

bool signals_pause(int64_t ms)
{
	struct pollfd item = {.fd = -1};
	struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	wait_for(&item, &timeout);
	return !caught;
}

int signals_write(int fd, const char *data, size_t length)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	int r = 0;

	sigemptyset(&ignore.sa_mask);
	sigaction(SIGPIPE, &ignore, &old);
	while (r == 0 && length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno != EINTR)
			r = -errno;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
	}
	sigaction(SIGPIPE, &old, NULL);
	return r;
}

/* ---- a program run for the user ------------------------------------------------------------- */

/*
 * A signal from the terminal (SI_KERNEL) has reached the program too, it being of the same process
 * group; one that was sent to us alone is passed on. Either way the program decides what it means.
 */
static void forward(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (child > 0 && info->si_code <= 0)
		kill(child, signal);
}

static const int shared[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
#define N_SHARED (sizeof(shared) / sizeof(shared[0]))

/* Has `action` done at the signals that concern both of us, but for ignored ones. */
static void dispose(const struct sigaction *action, struct sigaction ret_old[N_SHARED])
{
	for (size_t i = 0; i < N_SHARED; i++)
		if (sigaction(shared[i], NULL, &ret_old[i]) == 0 &&
		    ret_old[i].sa_handler != SIG_IGN)
			sigaction(shared[i], action, NULL);
}

/* In the child: only async-signal-safe calls. A failed exec is told through `tell`. */
static _Noreturn void start(char *const argv[], int tell, const sigset_t *mask)
{
	struct sigaction action = {.sa_handler = SIG_DFL}, old[N_SHARED];
	int err;

	/* before they are let in: one that is forwarded before the exec must not be swallowed */
	sigemptyset(&action.sa_mask);
	dispose(&action, old);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	err = errno;
	if (write(tell, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/*
 * Waits for the end of the program, or of the client: then it kills the program and answers -EPIPE. Where
 * there are no descriptors of processes (before Linux 5.3) the client is looked at ten times a second.
 */
static int wait_watched(pid_t pid, int watch_fd, int *ret_status)
{
	int pidfd = watch_fd < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0), r = 0;
	struct pollfd items[2] = {{pidfd, POLLIN, 0}, {watch_fd, POLLRDHUP, 0}};

	while (watch_fd >= 0 && r == 0) {
		if (poll(items, 2, pidfd < 0 ? 100 : -1) < 0 && errno != EINTR)
			break; /* waitpid(2) will do */
		if (waitpid(pid, ret_status, WNOHANG) == pid)
			goto out;
		if (items[1].revents) {
			kill(pid, SIGKILL);
			r = -EPIPE;
		}
	}
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
out:
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

/* Waits until the program has been executed; a positive errno if it cannot be. */
static int wait_executed(int told)
{
	int err = 0;

	while (read(told, &err, sizeof(err)) < 0 && errno == EINTR)
		;
	return err;
}

int signals_run_watched(char *const argv[], int watch_fd)
{
	struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction before[N_SHARED];
	int told[2], r = 0, status = 0;
	sigset_t block, old;
	pid_t pid;

	if (pipe2(told, O_CLOEXEC) < 0)
		return -errno;
	/* the program gets what we were given: exec keeps what is ignored */
	sigaction(SIGPIPE, &old_pipe, NULL);
	sigaction(SIGXFSZ, &old_xfsz, NULL);
	sigfillset(&block);
	sigprocmask(SIG_BLOCK, &block, &old);
	sigemptyset(&action.sa_mask);
	dispose(&action, before);
	pid = fork();
	if (pid == 0)
		start(argv, told[1], &old);
	r = pid < 0 ? -errno : 0;
	child = pid;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(told[1]);
	if (pid > 0) {
		int gone, err = wait_executed(told[0]);

		gone = wait_watched(pid, watch_fd, &status);
		r = err ? -err : gone;
	}
	child = 0;
	close(told[0]);
	for (size_t i = 0; i < N_SHARED; i++)
		sigaction(shared[i], &before[i], NULL);
	signals_init();
	if (r < 0)
		return r;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int signals_run(char *const argv[])
{
	return signals_run_watched(argv, -1);
}

/* ---- a program in a transaction ------------------------------------------------------------- */

/*
 * All of these have a handler of ours meanwhile: exec makes it the default again, which SIG_IGN would not
 * be. A handler that does nothing is needed where the program gets the signal by itself: from the terminal,
 * which sends it to the whole process group.
 */
static const int lent[] = {SIGINT,  SIGTERM, SIGQUIT, SIGHUP, SIGUSR1,
			   SIGUSR2, SIGCONT, SIGPIPE, SIGXFSZ};
#define N_LENT (sizeof(lent) / sizeof(lent[0]))

static struct {
	int pipe[2];
	struct sigaction before[N_LENT];
	volatile sig_atomic_t ending; /* signals_lent() */
} lending = {.pipe = {-1, -1}};

/*
 * HUP is passed on whoever sent it: the kernel sends it to the leader of a session, and to the foreground
 * process group, neither of which the program need be in.
 */
static void note(int signal, siginfo_t *info, void *context)
{
	unsigned char byte = (unsigned char)signal;
	int err = errno;

	(void)context;
	if (signal == SIGPIPE || signal == SIGXFSZ)
		return;
	if (signal == SIGINT || signal == SIGTERM || signal == SIGQUIT || signal == SIGHUP)
		lending.ending = signal;
	if (info->si_code <= 0 || signal == SIGHUP || signal == SIGCONT)
		(void)!write(lending.pipe[1], &byte, 1); /* full: it has more to do than it can */
	errno = err;
}

/* What the command was started with. */
static bool was_ignored(size_t i)
{
	const struct sigaction *old = lent[i] == SIGPIPE   ? &old_pipe
				      : lent[i] == SIGXFSZ ? &old_xfsz
							   : &lending.before[i];

	return old->sa_handler == SIG_IGN;
}

int signals_lend(void)
{
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	if (pipe2(lending.pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	sigemptyset(&action.sa_mask);
	sigemptyset(&ignore.sa_mask);
	lending.ending = 0;
	for (size_t i = 0; i < N_LENT; i++) {
		sigaction(lent[i], NULL, &lending.before[i]);
		sigaction(lent[i], was_ignored(i) ? &ignore : &action, NULL);
	}
	return lending.pipe[0];
}

void signals_regain(void)
{
	for (size_t i = 0; i < N_LENT; i++)
		sigaction(lent[i], &lending.before[i], NULL);
	close(lending.pipe[0]);
	close(lending.pipe[1]);
	lending.pipe[0] = lending.pipe[1] = -1;
}

int signals_lent(void)
{
	return lending.ending;
}
