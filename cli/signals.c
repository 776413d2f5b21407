/*
 * signals.c - what a signal does to the command, and to a program that it runs.
 *
 * INT and TERM have the library end its call and undo it; the exit status is then 130 or 143. A second
 * one ends the command at once: whatever that leaves, the next command copes with. A signal that was
 * ignored when the command was started stays ignored, as nohup and shells expect.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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

void signals_watch(struct pleach_store *store)
{
	bool is_first = !watched && store;

	watched = store;
	if (!is_first)
		return;
	handle(SIGINT, cancel, (int)SA_RESETHAND);
	handle(SIGTERM, cancel, (int)SA_RESETHAND);
}

int signals_caught(void)
{
	return caught;
}

int signals_wait_readable(int fd)
{
	struct pollfd item = {.fd = fd, .events = POLLIN};
	sigset_t block, old;
	int result = 0;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigprocmask(SIG_BLOCK, &block, &old);
	while (!caught && result <= 0) {
		result = ppoll(&item, 1, NULL, &old);
		if (result < 0 && errno != EINTR)
			break; /* read(2) will tell */
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return !caught;
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

int signals_run(char *const argv[])
{
	struct sigaction action = {.sa_sigaction = forward, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction before[N_SHARED];
	int told[2], err = 0, status = 0;
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
	err = pid < 0 ? errno : 0;
	child = pid;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(told[1]);
	if (pid > 0) {
		while (read(told[0], &err, sizeof(err)) < 0 && errno == EINTR)
			;
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	child = 0;
	close(told[0]);
	for (size_t i = 0; i < N_SHARED; i++)
		sigaction(shared[i], &before[i], NULL);
	signals_init();
	if (err)
		return -err;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
