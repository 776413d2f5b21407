/*
 * The fuzzer of transactions: random programs of file operations, each run on a plain copy of a small tree and
 * in a workspace, and compared (tx/arena.c). Without arguments it is a test of a bounded size on fixed
 * seeds, and prints TAP; with them it goes on from any seed, or runs one program again.
 *
 * Each row of `jobs` has file systems of its own, in images that are mounted in a namespace of a child: nothing
 * is left of them however it ends. Two lanes share the seeds of each.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "tx/arena.h"

#include "sys/images.h"

#define LANES	  2
#define SUITE_MAX 100000000

struct job {
	const char *workspace, *fs; /* fs NULL: what $TMPDIR lies on */
	unsigned with;
	bool as_user;
	unsigned programs; /* of the test */
	uint64_t seed;	   /* the first one of the test */
};

static const struct job jobs_of_root[] = {
	{"overlay", "ext4", WITH_ROOT | WITH_GROUPS, false, 7000, 1000001},
	{"overlay", "xfs", WITH_ROOT | WITH_GROUPS, false, 2000, 2000001},
	{"overlay", "btrfs", WITH_ROOT | WITH_GROUPS, false, 1000, 3000001},
	{"user-overlay", "ext4", 0, true, 3000, 4000001},
	{"copy", "ext4", WITH_ROOT | WITH_GROUPS | WITH_ODD, false, 3000, 5000001},
	{"reflink", "xfs", WITH_ROOT | WITH_GROUPS | WITH_ODD, false, 2000, 6000001},
	{"snapshot", "btrfs", WITH_ROOT | WITH_GROUPS | WITH_ODD, false, 2000, 7000001},
	{0},
};
static const struct job jobs_of_user[] = {
	{"user-overlay", NULL, 0, false, 600, 8000001},
	{"copy", NULL, WITH_GROUPS, false, 600, 9000001},
	{0},
};

static struct options {
	const char *workspace, *fs;
	uint64_t seed, programs;
	unsigned mask;
	bool is_suite, commits, keeps_on;
} options = {.mask = (1u << OPS_MAX) - 1, .is_suite = true};

/* What a lane has to say of a job. */
struct result {
	unsigned job, lane;
	int status; /* 0, 1: skipped, -1 */
	char why[200];
	struct counts counts;
	double seconds;
};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- one job ---- */

/* A copy of this program that any user can start. */
static int copy_self(const char *to)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	struct stat st;
	off_t left;

	if (from < 0 || fd < 0 || fstat(from, &st) < 0)
		return -1;
	for (left = st.st_size; left > 0;) {
		ssize_t n = copy_file_range(from, NULL, fd, NULL, (size_t)left, 0);

		if (n <= 0)
			return -1;
		left -= n;
	}
	close(from);
	return close(fd);
}

static int be_nobody(const char *ground)
{
	const uid_t nobody = 65534;

	if (chown(ground, nobody, (gid_t)nobody) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(nobody, nobody, nobody) < 0 || setresuid(nobody, nobody, nobody) < 0)
		return -1;
	return prctl(PR_SET_DUMPABLE, 1); /* else he may not map his own ids */
}

/* Where it takes place. 0, 1: not to be had, -1. */
static int make_ground(const struct job *job, struct scratch *s, char self[4400], char ground[4400],
		       char why[200])
{
	const char *name = job->fs ? "ground" : "own";

	(void)snprintf(ground, 4400, "%s/%s", s->path, name);
	(void)snprintf(self, 4400, "%s/fuzz-tx", s->path);
	if (chmod(s->path, 0755) < 0 || copy_self(self) < 0) {
		(void)fprintf(stderr, "# cannot copy myself: %s\n", strerror(errno));
		return -1;
	}
	if (!job->fs)
		return mkdirat(s->fd, name, 0755);
	if (private_mounts(s) < 0 || mount_image(s, job->fs, name, NULL) != 0) {
		(void)snprintf(why, 200, "no mkfs.%s, loop devices or mounts here", job->fs);
		return 1;
	}
	if (!job->as_user || be_nobody(ground) == 0)
		return 0;
	(void)fprintf(stderr, "# cannot become an ordinary user: %s\n", strerror(errno));
	return -1;
}

/* The share of this lane. */
static int run_programs(struct arena *a, uint64_t seed, uint64_t n, unsigned lane)
{
	int worst = 0;

	for (uint64_t i = lane; i < n; i += LANES) {
		uint64_t done = a->counts.programs + 1;
		int r = arena_run(a, seed + i, options.mask,
				  options.commits || done % COMMIT_EVERY == 0);

		if (r >= 0 && done % CHECK_EVERY == 0)
			r = arena_check(a);
		worst = r < 0 ? r : worst;
		if (r < 0 && !options.keeps_on)
			return r;
	}
	return arena_check(a) < 0 ? -1 : worst;
}

static int run_job(const struct job *job, struct scratch *s, unsigned lane, struct result *result)
{
	char self[4400], ground[4400], command[200];
	struct arena a = {.workspace = job->workspace, .with = job->with, .ground = ground};
	int r = make_ground(job, s, self, ground, result->why);

	if (r != 0)
		return r;
	(void)snprintf(command, sizeof(command), "./dev fuzz tx --workspace %s%s%s", job->workspace,
		       job->fs ? " --on " : "", job->fs ? job->fs : "");
	a.self = self;
	a.command = command;
	r = arena_init(&a);
	if (r == 0)
		r = options.is_suite ? run_programs(&a, job->seed, job->programs, lane)
				     : run_programs(&a, options.seed, options.programs, lane);
	result->counts = a.counts;
	memcpy(result->why, a.why, sizeof(a.why));
	arena_done(&a);
	return r;
}

static volatile sig_atomic_t running; /* the child of a lane */
static volatile sig_atomic_t is_told_to_end;

static void end(int number)
{
	(void)number;
	is_told_to_end = 1;
	if (running > 0)
		(void)kill((pid_t)running, SIGKILL);
}

static _Noreturn void be_child(const struct job *job, struct scratch *s, struct result *result,
			       int results)
{
	double before = now();

	(void)signal(SIGTERM, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	result->status = run_job(job, s, result->lane, result);
	result->seconds = now() - before;
	(void)fflush(stdout);
	(void)!write(results, result, sizeof(*result));
	_exit(0);
}

/* In a child, with which its mounts go. */
static void run_in_child(const struct job *job, unsigned number, unsigned lane, int results)
{
	struct result result = {.job = number, .lane = lane, .status = -1};
	struct scratch *s;
	int status = 0;
	pid_t pid;

	if (scratch_setup((void **)&s) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0)
		be_child(job, s, &result, results);
	running = pid;
	if (is_told_to_end && pid > 0)
		(void)kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	running = 0;
	if (status != 0)
		(void)fprintf(stderr, "# %s: ended with status 0x%x\n", job->workspace, status);
	(void)scratch_teardown((void **)&s);
}

/* ---- all of them ---- */

static bool is_wanted(const struct job *job)
{
	return (!options.workspace || strcmp(options.workspace, job->workspace) == 0) &&
	       (!options.fs || (job->fs && strcmp(options.fs, job->fs) == 0));
}

static const struct job *all_jobs(void)
{
	return geteuid() == 0 ? jobs_of_root : jobs_of_user;
}

static pid_t start_lane(unsigned lane, int results)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
	(void)sigaction(SIGINT, &(struct sigaction){.sa_handler = end}, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing is left of it then either */
	for (unsigned i = 0; all_jobs()[i].workspace && !is_told_to_end; i++)
		if (is_wanted(&all_jobs()[i]))
			run_in_child(&all_jobs()[i], i, lane, results);
	_exit(0);
}

static void print_case(unsigned number, const struct job *job, const struct result r[LANES])
{
	struct counts sum = {0};
	double seconds = 0;
	const char *why = "";
	int status = 0;

	for (unsigned i = 0; i < LANES; i++) {
		why = r[i].status > 0 ? r[i].why : why;
		status = r[i].status < 0 || status < 0 ? -1 : r[i].status > 0 ? 1 : status;
		sum.programs += r[i].counts.programs;
		sum.ops += r[i].counts.ops;
		sum.shortened += r[i].counts.shortened;
		sum.touched += r[i].counts.touched;
		sum.refused += r[i].counts.refused;
		sum.committed += r[i].counts.committed;
		seconds = r[i].seconds > seconds ? r[i].seconds : seconds;
	}
	(void)printf("%sok %u - %s_on_%s_holds_what_a_plain_directory_holds%s%s\n",
		     status < 0 ? "not " : "", number, job->workspace, job->fs ? job->fs : "tmpdir",
		     status > 0 ? " # SKIP " : "", status > 0 ? why : "");
	(void)printf("# %s on %s: %llu programs, %llu operations; %llu shortened, %llu touched, "
		     "%llu refused, "
		     "%llu committed; %.1f s\n",
		     job->workspace, job->fs ? job->fs : "tmpdir", (unsigned long long)sum.programs,
		     (unsigned long long)sum.ops, (unsigned long long)sum.shortened,
		     (unsigned long long)sum.touched, (unsigned long long)sum.refused,
		     (unsigned long long)sum.committed, seconds);
}

static int run_all(void)
{
	static struct result results[32][LANES];
	const struct job *jobs = all_jobs();
	unsigned number = 0, failed = 0;
	struct result one;
	int pipes[2];

	for (unsigned i = 0; i < 32; i++)
		for (unsigned lane = 0; lane < LANES; lane++)
			results[i][lane].status = -1; /* until it says otherwise */
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return 1;
	for (unsigned lane = 0; lane < LANES; lane++)
		if (start_lane(lane, pipes[1]) < 0)
			return 1;
	close(pipes[1]);
	while (read(pipes[0], &one, sizeof(one)) == sizeof(one))
		results[one.job][one.lane] = one;
	while (wait(NULL) > 0)
		;
	for (unsigned i = 0; jobs[i].workspace; i++) {
		if (!is_wanted(&jobs[i]))
			continue;
		print_case(++number, &jobs[i], results[i]);
		for (unsigned lane = 0; lane < LANES; lane++)
			failed += results[i][lane].status < 0;
	}
	(void)printf("1..%u\n", number);
	return failed > 0 || number == 0;
}

/* ---- arguments ---- */

/* What runs inside of a transaction: --apply SEED MASK WITH DIRECTORY. */
static int apply(char **argv)
{
	struct program p;

	umask(022);
	program_make(&p, strtoull(argv[0], NULL, 10), (unsigned)strtoul(argv[2], NULL, 10));
	return program_apply(&p, (unsigned)strtoul(argv[1], NULL, 10), argv[3], stdout) < 0;
}

static int usage(void)
{
	(void)fprintf(
		stderr,
		"usage: fuzz tx [--workspace NAME] [--on FILESYSTEM] [--seed N] "
		"[--programs N]\n"
		"               [--mask BITS] [--commit] [--keep-on]\n"
		"Without --seed from a random one. --mask: these operations alone; --commit: every "
		"program\nis committed; --keep-on: go on after one that fails.\n");
	return 2;
}

static int parse(int argc, char **argv)
{
	static const struct option known[] = {{"workspace", required_argument, NULL, 'w'},
					      {"on", required_argument, NULL, 'o'},
					      {"seed", required_argument, NULL, 's'},
					      {"programs", required_argument, NULL, 'p'},
					      {"mask", required_argument, NULL, 'm'},
					      {"commit", no_argument, NULL, 'c'},
					      {"keep-on", no_argument, NULL, 'k'},
					      {"suite", no_argument, NULL, 'S'},
					      {0}};
	bool has_seed = false;
	int c;

	options.programs = 1000;
	options.is_suite = false;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'w':
			options.workspace = optarg;
			break;
		case 'o':
			options.fs = optarg;
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 0);
			has_seed = true;
			break;
		case 'p':
			options.programs = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			options.mask = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'c':
			options.commits = true;
			break;
		case 'k':
			options.keeps_on = true;
			break;
		case 'S':
			options.is_suite = true;
			break;
		default:
			return usage();
		}
	}
	if (optind < argc)
		return usage();
	if (!has_seed && !options.is_suite)
		(void)pl_random(&options.seed, 4);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc == 6 && strcmp(argv[1], "--apply") == 0)
		return apply(argv + 2);
	r = parse(argc, argv);
	if (r)
		return r;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (!options.is_suite)
		(void)printf("# seeds %llu to %llu\n", (unsigned long long)options.seed,
			     (unsigned long long)(options.seed + options.programs - 1));
	return run_all();
}
