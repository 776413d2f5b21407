/*
 * job.c - a program in a transaction as a job of the terminal that we are a job of.
 *
 * The program is not our child, and stays in our process group. What the terminal sends to that group reaches
 * both; what is sent to us alone is passed on (signals.c). A program with a process group of its own, an
 * interactive shell, takes the terminal and can stop without us:
 *
 *	running --STOPPED: terminal_take()--> both stopped --SIGCONT: pleach_process_resume()--> running
 *	running --EXITED, SIGNALED, NO_EXEC: terminal_take()--> ended
 *	running --the client is gone, the time is over: pleach_process_close()--> ended
 *
 * J1  We take the terminal only if it was our process group's when the program was started or last went on: in
 *     the background it is the shell's.
 * J2  A terminal that is gone while it was ours is told of: a shell ends at it as at ^D, and with 0, which is
 *     not what its user has decided. Who wants to outlive it has HUP ignored, as by nohup(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { POLL_PROCESS, POLL_SIGNALS, POLL_WATCH, N_POLL };

/* A job at work. */
struct work {
	const struct job *job;
	struct pleach_process *process;
	int signals;	     /* signals_lend() */
	int terminal;	     /* the controlling one, or -1 */
	bool is_ours;	     /* J1 */
	int64_t deadline_ms; /* by the monotonic clock; 0: none */
	bool has_ended;
	struct job_end end;
	struct pleach_error *error;
};

/* ---- the terminal --------------------------------------------------------------------------- */

/* A new look (J1), which tells nothing of a terminal that is gone. */
static void terminal_look(struct work *work)
{
	pid_t group = work->terminal >= 0 ? tcgetpgrp(work->terminal) : -1;

	if (group >= 0)
		work->is_ours = group == getpgrp();
}

static bool terminal_is_gone(const struct work *work)
{
	struct pollfd item = {.fd = work->terminal};
	struct sigaction hup;

	return work->is_ours && poll(&item, 1, 0) > 0 && (item.revents & POLLHUP) &&
	       sigaction(SIGHUP, NULL, &hup) == 0 && hup.sa_handler != SIG_IGN; /* J2 */
}

/* Back from the process group that the program has put in the foreground. */
static void terminal_take(const struct work *work)
{
	sigset_t block, old;

	if (!work->is_ours || tcgetpgrp(work->terminal) == getpgrp()) /* J1 */
		return;
	/* a group in the background is stopped for asking, unless it has this signal blocked */
	sigemptyset(&block);
	sigaddset(&block, SIGTTOU);
	sigprocmask(SIG_BLOCK, &block, &old);
	(void)tcsetpgrp(work->terminal, getpgrp()); /* a terminal that is gone is nobody's */
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- the client ----------------------------------------------------------------------------- */

/*
 * A descriptor is never read here: what a client sends is the program's, if it has the descriptor too. A socket
 * whose other end sends no more (POLLRDHUP) counts as closed, since over TCP nothing tells the one from the
 * other.
 */
bool job_client_is_gone(int fd)
{
	struct pollfd item = {.fd = fd, .events = POLLRDHUP};

	return poll(&item, 1, 0) > 0 && item.revents != 0;
}

/* ---- the time that it may take -------------------------------------------------------------- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* For poll(2): what is left of it, -1 where it has no end. */
static int time_left(const struct work *work)
{
	int64_t left = work->deadline_ms - now_ms();

	if (!work->deadline_ms)
		return -1;
	if (left > INT32_MAX)
		return INT32_MAX;
	return left < 0 ? 0 : (int)left;
}

/* ---- what happens --------------------------------------------------------------------------- */

static void ended(struct work *work, int what, int value)
{
	work->end.what = what;
	work->end.value = value;
	work->has_ended = true;
}

static int stop(struct work *work)
{
	terminal_take(work);
	kill(getpid(), SIGSTOP);
	/* here the shell has let us go on, in the foreground or not */
	terminal_look(work);
	return pleach_process_resume(work->process, work->is_ours, work->error);
}

static int next_event(struct work *work)
{
	struct pleach_process_event event = PLEACH_PROCESS_EVENT_INIT;
	int r = pleach_process_wait(work->process, &event, work->error);

	if (r < 0)
		return r == -EINTR ? 0 : r;
	switch (event.what) {
	case PLEACH_PROCESS_EXITED:
		ended(work, JOB_EXITED, event.value);
		break;
	case PLEACH_PROCESS_SIGNALED:
		ended(work, JOB_SIGNALED, event.value);
		break;
	case PLEACH_PROCESS_NO_EXEC:
		ended(work, JOB_NO_EXEC, event.value);
		break;
	case PLEACH_PROCESS_STOPPED:
		return stop(work);
	}
	return 0;
}

/* Signals that came for us. Its death meanwhile is told by pleach_process_wait(). */
static void pass_signals(struct work *work)
{
	unsigned char signals[64];
	ssize_t n = read(work->signals, signals, sizeof(signals));

	for (ssize_t i = 0; i < n; i++) {
		if (signals[i] == SIGCONT)
			terminal_look(work);
		else
			(void)pleach_process_signal(work->process, signals[i], NULL);
	}
}

/* Waits for what comes next, and does what it asks for. */
static int turn(struct work *work)
{
	struct pollfd items[N_POLL + SPOOL_POLL_MAX] = {
		[POLL_PROCESS] = {.fd = pleach_process_fd(work->process), .events = POLLIN},
		[POLL_SIGNALS] = {.fd = work->signals, .events = POLLIN},
		[POLL_WATCH] = {.fd = work->job->watch_fd, .events = POLLRDHUP},
	};
	size_t n = N_POLL;
	int r = 0;

	if (work->job->spool)
		n += spool_poll(work->job->spool, items + N_POLL);
	if (poll(items, n, time_left(work)) < 0 && errno != EINTR && errno != EAGAIN) {
		r = -errno;
		cli_error_set(work->error, PLEACH_FAILED, NULL, NULL, "cannot wait for '%s': %s",
			      work->job->argv[0], strerror(-r));
		return r;
	}
	pass_signals(work); /* first: what is true of the terminal since SIGCONT is needed below */
	if (work->job->spool)
		r = spool_move(work->job->spool, work->error);
	if (r >= 0 && items[POLL_PROCESS].revents)
		r = next_event(work);
	if (r >= 0 && !work->has_ended && items[POLL_WATCH].revents)
		ended(work, JOB_CLIENT_GONE, 0);
	if (r >= 0 && !work->has_ended && time_left(work) == 0)
		ended(work, JOB_TIMED_OUT, 0);
	return r;
}

/* ---- from start to end ---------------------------------------------------------------------- */

static int start(struct work *work)
{
	struct pleach_spawn_options options = PLEACH_SPAWN_OPTIONS_INIT;
	struct spool *spool = work->job->spool;
	int r = 0;

	if (work->job->is_told_on_stderr)
		options.stdio[STDOUT_FILENO] = STDERR_FILENO;
	if (spool)
		r = spool_begin(spool, options.stdio, work->error);
	if (r >= 0)
		r = pleach_tx_spawn(work->job->tx, work->job->argv, &options, &work->process,
				    work->error);
	if (spool)
		spool_started(spool);
	return r;
}

int job_run(const struct job *job, struct job_end *ret_end, struct pleach_error *error)
{
	struct work work = {.job = job, .error = error};
	int r;

	work.signals = signals_lend();
	if (work.signals < 0) {
		cli_error_set(error, PLEACH_FAILED, NULL, NULL, "cannot make a pipe: %s",
			      strerror(-work.signals));
		return work.signals;
	}
	work.terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	terminal_look(&work);
	if (job->timeout_ms > 0 &&
	    __builtin_add_overflow(now_ms(), job->timeout_ms, &work.deadline_ms))
		work.deadline_ms = INT64_MAX;
	r = start(&work);
	while (r >= 0 && !work.has_ended)
		r = turn(&work);
	pleach_process_close(work.process); /* all of it is gone now, whatever ended it */
	if (r >= 0 && job->spool)
		r = spool_finish(job->spool, error);
	work.end.is_terminal_gone = terminal_is_gone(&work);
	terminal_take(&work);
	if (work.terminal >= 0)
		close(work.terminal);
	signals_regain();
	if (r < 0)
		return r;
	*ret_end = work.end;
	return 0;
}
