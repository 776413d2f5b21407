/*
 * Ends a command at its k-th system call that changes something: stopper [--all] K REPORT COMMAND [ARGUMENT...].
 *
 * Runs COMMAND and counts such calls of all the processes that come of it, in whatever PID namespace, each before
 * it is made. At the K-th (0: at none) COMMAND itself is killed, as from outside. Who is about to make that call is
 * not let on, unless it is process 1 of a namespace: that one has to see by itself that COMMAND is gone, and to end
 * the others; or in none: a child of COMMAND that only tries something out, which nobody ends. They are let on, until
 * they end. Stopper ends when all have; one that is left over a minute later is
 * a failure, told with its name and state, and the kernel kills it when stopper is gone.
 *
 * With --all every process that came of COMMAND is killed at that moment, process 1 of a namespace too: as if the
 * machine's memory had been too small for any of them.
 *
 * REPORT ends in a line with the number of calls made and, if it came to that, the name of the K-th. If K is 0, the
 * name of each call stands before, a line each.
 *
 * Exit status: that of COMMAND, 128+n if a signal ended it; 77 where processes cannot be traced; 99 for its own
 * failures, and where one is left over.
 *
 * Changes through a memory map, and what goes to descriptors 0, 1 and 2, is not counted.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CANNOT_TRACE = 77,
	FAILED = 99,
	LIMIT_S = 60, /* from the kill to the end of all */
};

/* What must be seen of its arguments for a call to count. */
enum counted {
	ALWAYS,
	TO_A_FILE,     /* the descriptor is none of the standard ones */
	MAKING_SECOND, /* flags that make or empty a file, in the second argument */
	MAKING_THIRD,
	CLONING, /* an ioctl that shares blocks */
};

struct call {
	unsigned number;
	enum counted counted;
	const char *name;
};

#define CALL(name, counted)                 \
	{                                   \
		__NR_##name, counted, #name \
	}

static const struct call calls[] = {
#ifdef __NR_open
	CALL(open, MAKING_SECOND),
#endif
	CALL(openat, MAKING_THIRD),
#ifdef __NR_openat2
	CALL(openat2, ALWAYS),
#endif
	CALL(write, TO_A_FILE),	    CALL(pwrite64, ALWAYS),	CALL(writev, TO_A_FILE),
	CALL(pwritev, ALWAYS),	    CALL(pwritev2, ALWAYS),	CALL(copy_file_range, ALWAYS),
	CALL(sendfile, ALWAYS),	    CALL(splice, ALWAYS),	CALL(truncate, ALWAYS),
	CALL(ftruncate, ALWAYS),    CALL(fallocate, ALWAYS),	CALL(ioctl, CLONING),
#ifdef __NR_creat
	CALL(creat, ALWAYS),	    CALL(rename, ALWAYS),	CALL(link, ALWAYS),
	CALL(symlink, ALWAYS),	    CALL(unlink, ALWAYS),	CALL(rmdir, ALWAYS),
	CALL(mkdir, ALWAYS),	    CALL(mknod, ALWAYS),	CALL(chmod, ALWAYS),
	CALL(chown, ALWAYS),	    CALL(lchown, ALWAYS),	CALL(utime, ALWAYS),
	CALL(utimes, ALWAYS),	    CALL(futimesat, ALWAYS),
#endif
#ifdef __NR_renameat
	CALL(renameat, ALWAYS),
#endif
	CALL(renameat2, ALWAYS),    CALL(linkat, ALWAYS),	CALL(symlinkat, ALWAYS),
	CALL(unlinkat, ALWAYS),	    CALL(mkdirat, ALWAYS),	CALL(mknodat, ALWAYS),
	CALL(fchmod, ALWAYS),	    CALL(fchmodat, ALWAYS),
#ifdef __NR_fchmodat2
	CALL(fchmodat2, ALWAYS),
#endif
	CALL(fchown, ALWAYS),	    CALL(fchownat, ALWAYS),	CALL(utimensat, ALWAYS),
	CALL(setxattr, ALWAYS),	    CALL(lsetxattr, ALWAYS),	CALL(fsetxattr, ALWAYS),
	CALL(removexattr, ALWAYS),  CALL(lremovexattr, ALWAYS), CALL(fremovexattr, ALWAYS),
	CALL(mount, ALWAYS),	    CALL(umount2, ALWAYS),
#ifdef __NR_move_mount
	CALL(move_mount, ALWAYS),
#endif
};

#define N_CALLS	 (sizeof(calls) / sizeof(calls[0]))
#define MAKING	 (O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))
#define LOW_HALF (__BYTE_ORDER == __BIG_ENDIAN ? 4U : 0U)

static void die(const char *what)
{
	fprintf(stderr, "stopper: %s: %s\n", what, strerror(errno));
	exit(FAILED);
}

/* ---- inside: which calls stop ---- */

struct program {
	struct sock_filter code[9 * N_CALLS + 2];
	unsigned short n;
};

static void add(struct program *p, unsigned short code, unsigned k, unsigned char yes,
		unsigned char no)
{
	p->code[p->n++] = (struct sock_filter){code, yes, no, k};
}

static void add_argument(struct program *p, unsigned n)
{
	unsigned at = (unsigned)offsetof(struct seccomp_data, args) + 8 * n + LOW_HALF;

	add(p, BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
}

/* Of a call that counts sometimes: the test of its arguments; not passed, the next instruction is skipped. */
static void add_test(struct program *p, enum counted counted)
{
	switch (counted) {
	case ALWAYS:
		break;
	case TO_A_FILE:
		add_argument(p, 0);
		add(p, BPF_JMP | BPF_JGT | BPF_K, 2, 0, 1);
		break;
	case MAKING_SECOND:
	case MAKING_THIRD:
		add_argument(p, counted == MAKING_SECOND ? 1 : 2);
		add(p, BPF_JMP | BPF_JSET | BPF_K, MAKING, 0, 1);
		break;
	case CLONING:
		add_argument(p, 1);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, FICLONE, 2, 0);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, FIDEDUPERANGE, 1, 0);
		add(p, BPF_JMP | BPF_JEQ | BPF_K, FICLONERANGE, 0, 1);
		break;
	}
}

static void make_program(struct program *p)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < N_CALLS; i++) {
		unsigned short jump = p->n;

		add(p, BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 0);
		add_test(p, calls[i].counted);
		add(p, BPF_RET | BPF_K, SECCOMP_RET_TRACE | (unsigned)i, 0, 0);
		add(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
		p->code[jump].jf = (unsigned char)(p->n - jump - 1);
	}
	add(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
}

static void run_inside(int go, char **argv)
{
	struct program p = {.n = 0};
	struct sock_fprog filter;
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(FAILED);
	close(go);
	make_program(&p);
	filter = (struct sock_fprog){.len = p.n, .filter = p.code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0) {
		fprintf(stderr, "stopper: no filter: %s\n", strerror(errno));
		_exit(CANNOT_TRACE);
	}
	execvp(argv[0], argv);
	_exit(127);
}

struct count {
	pid_t command;
	bool is_all;
	int status;  /* of the command */
	pid_t *pids; /* of all that are known and have not ended */
	size_t n_pids;
	unsigned long made, end_at;
	const char *ended_at;
	FILE *report;
};

/* ---- outside: what there is of a process ---- */

/* The value of a line of its status; "" if it is gone. */
static void get_status(pid_t pid, const char *key, char *ret_value, size_t size)
{
	char path[64], line[256];
	size_t n = strlen(key);
	FILE *file;

	*ret_value = '\0';
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, n) != 0 || line[n] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret_value, size, "%s", line + n + 1 + strspn(line + n + 1, "\t"));
	}
	fclose(file);
}

/* Its number in the innermost namespace, behind a tab, if that is one below ours; else NULL. */
static const char *number_inside(pid_t pid, char ids[128])
{
	get_status(pid, "NSpid", ids, 128); /* of it in each namespace, from ours inwards */
	return strrchr(ids, '\t');
}

static bool is_init(pid_t pid)
{
	char ids[128];
	const char *number = number_inside(pid, ids);

	return number && strcmp(number, "\t1") == 0;
}

static bool is_outside(pid_t pid)
{
	char ids[128];

	return number_inside(pid, ids) == NULL;
}

static void tell_left(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		die("/proc");
	while ((entry = readdir(dir)) != NULL) {
		char tracer[32], name[64], state[64];
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0)
			continue;
		get_status(pid, "TracerPid", tracer, sizeof(tracer));
		get_status(pid, "Name", name, sizeof(name));
		get_status(pid, "State", state, sizeof(state));
		if (strtol(tracer, NULL, 10) == (long)getpid())
			fprintf(stderr, "stopper: left over: %d %s, %s%s\n", (int)pid, name, state,
				is_init(pid) ? ", process 1 of a namespace" : "");
	}
	closedir(dir);
}

/* ---- outside: the time limit ---- */

static volatile sig_atomic_t is_late;

static void on_alarm(int signal)
{
	(void)signal;
	is_late = 1;
}

/* Again every second: the first may come when nobody waits. */
static void begin_limit(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {.it_value = {.tv_sec = LIMIT_S}, .it_interval = {.tv_sec = 1}};

	if (sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0)
		die("no timer");
}

/* ---- outside: counting ---- */

static void resume(pid_t pid, int request, int signal)
{
	/* ESRCH: it was killed meanwhile, which its end will tell */
	if (ptrace(request, pid, NULL, (void *)(long)signal) < 0 && errno != ESRCH)
		die("cannot resume a process");
}

/* Who is not known yet stops once before it does anything, and is killed then. */
static void kill_all(struct count *count)
{
	for (size_t i = 0; i < count->n_pids; i++)
		kill(count->pids[i], SIGKILL);
}

static void remember(struct count *count, pid_t pid)
{
	pid_t *pids;

	for (size_t i = 0; i < count->n_pids; i++)
		if (count->pids[i] == pid)
			return;
	pids = realloc(count->pids, (count->n_pids + 1) * sizeof(*pids));
	if (!pids)
		die("no memory");
	count->pids = pids;
	count->pids[count->n_pids++] = pid;
}

static void forget(struct count *count, pid_t pid)
{
	for (size_t i = 0; i < count->n_pids; i++)
		if (count->pids[i] == pid)
			count->pids[i--] = count->pids[--count->n_pids];
}

/* A process is about to make a call that counts. */
static void count_call(struct count *count, pid_t pid)
{
	unsigned long i;

	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &i) < 0) {
		if (errno == ESRCH)
			return; /* it was killed meanwhile, and makes none */
		die("cannot tell the call");
	}
	if (i >= N_CALLS)
		die("no such call");
	if (count->end_at == 0)
		fprintf(count->report, "%s\n", calls[i].name);
	if (++count->made != count->end_at) {
		resume(pid, PTRACE_CONT, 0);
		return;
	}
	count->ended_at = calls[i].name;
	begin_limit();
	if (count->is_all) {
		kill_all(count);
		return;
	}
	if (kill(count->command, SIGKILL) < 0)
		die("cannot kill the command");
	if (is_init(pid) || (pid != count->command && is_outside(pid)))
		resume(pid, PTRACE_CONT, 0);
}

static void went_to_stop(struct count *count, pid_t pid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (count->is_all && count->ended_at)
		kill(pid, SIGKILL);
	else if (event == PTRACE_EVENT_SECCOMP)
		count_call(count, pid);
	else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP)
		resume(pid, PTRACE_LISTEN, 0); /* stopped as without us, until SIGCONT */
	else
		resume(pid, PTRACE_CONT, event ? 0 : signal);
}

/* Until there is no process any more, grandchildren included. */
static void watch(struct count *count)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0 && errno == ECHILD)
			return;
		if (pid < 0 && errno != EINTR)
			die("cannot wait");
		if (is_late) {
			tell_left();
			exit(FAILED);
		}
		if (pid > 0 && WIFSTOPPED(status)) {
			remember(count, pid);
			went_to_stop(count, pid, status);
			continue;
		}
		if (pid > 0)
			forget(count, pid);
		if (pid == count->command)
			count->status = status;
	}
}

static void begin(struct count *count, char **argv)
{
	long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
		       PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	int go[2];

	if (pipe2(go, O_CLOEXEC) < 0)
		die("no pipe");
	count->command = fork();
	if (count->command < 0)
		die("cannot fork");
	if (count->command == 0) {
		close(go[1]);
		run_inside(go[0], argv);
	}
	close(go[0]);
	if (ptrace(PTRACE_SEIZE, count->command, NULL, (void *)options) < 0) {
		fprintf(stderr, "stopper: cannot trace: %s\n", strerror(errno));
		kill(count->command, SIGKILL);
		exit(CANNOT_TRACE);
	}
	if (write(go[1], "", 1) != 1)
		die("cannot begin");
	close(go[1]);
}

int main(int argc, char **argv)
{
	struct count count = {.made = 0};
	char *end;

	if (argc > 1 && strcmp(argv[1], "--all") == 0) {
		count.is_all = true;
		argv++;
		argc--;
	}
	if (argc < 4) {
		fprintf(stderr, "usage: stopper [--all] K REPORT COMMAND [ARGUMENT...]\n");
		return FAILED;
	}
	count.end_at = strtoul(argv[1], &end, 10);
	if (*end != '\0')
		die("K is no number");
	count.report = fopen(argv[2], "we");
	if (!count.report)
		die(argv[2]);
	begin(&count, argv + 3);
	watch(&count);
	fprintf(count.report, "%lu %s\n", count.made, count.ended_at ? count.ended_at : "-");
	if (fclose(count.report) != 0)
		die(argv[2]);
	return WIFSIGNALED(count.status) ? 128 + WTERMSIG(count.status) : WEXITSTATUS(count.status);
}
