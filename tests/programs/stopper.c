/*
 * Ends a command at its k-th system call that changes something: stopper K REPORT COMMAND [ARGUMENT...].
 *
 * Runs COMMAND and counts such calls of all the processes that come of it, in whatever PID namespace, each before
 * it is made. At the K-th (0: at none) COMMAND itself is killed, as from outside; who is about to make that call is
 * not let on, the others are, until they end, which is for COMMAND to have seen to. Stopper ends when all have, so
 * one that is left over hangs it: its caller has the time limit, and when stopper is killed the kernel kills
 * them. REPORT gets a line: the number of calls made and, if it came to that, the name of the K-th.
 *
 * Exit status: that of COMMAND, 128+n if a signal ended it; 77 where processes cannot be traced; 99 for its own
 * failures.
 *
 * Changes through a memory map, and what goes to descriptors 0, 1 and 2, is not counted.
 */
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
#include <sys/wait.h>
#include <unistd.h>

enum {
	CANNOT_TRACE = 77,
	FAILED = 99,
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
	struct sock_filter code[8 * N_CALLS + 2];
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
		add(p, BPF_JMP | BPF_JEQ | BPF_K, FICLONE, 1, 0);
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

/* ---- outside: counting ---- */

struct count {
	pid_t command;
	int status; /* of the command */
	unsigned long made, end_at;
	const char *ended_at;
};

static void resume(pid_t pid, int request, int signal)
{
	/* ESRCH: it was killed meanwhile, which its end will tell */
	if (ptrace(request, pid, NULL, (void *)(long)signal) < 0 && errno != ESRCH)
		die("cannot resume a process");
}

/* A process is about to make a call that counts; the one at which all ends is not made. */
static void count_call(struct count *count, pid_t pid)
{
	unsigned long i;

	if (++count->made != count->end_at) {
		resume(pid, PTRACE_CONT, 0);
		return;
	}
	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &i) < 0 || i >= N_CALLS)
		die("cannot tell the call");
	count->ended_at = calls[i].name;
	if (kill(count->command, SIGKILL) < 0)
		die("cannot kill the command");
}

static void went_to_stop(struct count *count, pid_t pid, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_SECCOMP)
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
		if (pid > 0 && WIFSTOPPED(status))
			went_to_stop(count, pid, status);
		else if (pid == count->command)
			count->status = status;
	}
}

static void report(const char *path, const struct count *count)
{
	FILE *file = fopen(path, "we");

	if (!file)
		die(path);
	fprintf(file, "%lu %s\n", count->made, count->ended_at ? count->ended_at : "-");
	if (fclose(file) != 0)
		die(path);
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

	if (argc < 4) {
		fprintf(stderr, "usage: stopper K REPORT COMMAND [ARGUMENT...]\n");
		return FAILED;
	}
	count.end_at = strtoul(argv[1], &end, 10);
	if (*end != '\0')
		die("K is no number");
	begin(&count, argv + 3);
	watch(&count);
	report(argv[2], &count);
	return WIFSIGNALED(count.status) ? 128 + WTERMSIG(count.status) : WEXITSTATUS(count.status);
}
