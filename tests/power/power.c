/*
 * power.c - power cuts and shutdowns of file systems under pleach's commands (G2). docs/testing.md tells what it shows.
 *
 *	power --suite          a bounded run on fixed seeds; prints TAP
 *	power [--minutes N]    goes on from a random seed, or from --seed
 *	power --controls       leaves out one sync at a time; each must be found broken
 *
 * The disk is disk.c, the commands are scenario.c, the cuts replay.c, the shutdowns shutdown.c.
 */
#include <getopt.h>
#include <time.h>

#include "tx/yard.h"

#include "power/job.h"

#define AT_ONCE	     3
#define JOBS_MAX     512
#define SUITE_STATES 110000
#define SUITE_S	     180
#define SUITE_SEED   20260701
#define SHUTDOWNS_S  15

/* Negative controls. */
#define ATTEMPTS	 4
#define CONTROL_STATES	 800
#define CONTROL_S	 20
#define CONTROLS_MAX	 12 /* syncs of one command that are tried, evenly */
#define CONTROL_SCENARIO "publish"
#define CONTROL_COMMAND	 2 /* a changed publish, there */

static struct {
	const char *fs, *scenario, *command, *keep;
	uint64_t seed, states;
	double minutes;
	bool is_suite, controls;
} options = {.minutes = 1};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_wanted(const char *option, const char *name)
{
	return !option || strcmp(option, name) == 0;
}

/* ---- lists of jobs ---- */

/* A recording of each scenario on each file system, quiet and with noise. */
static size_t add_cuts(struct job *jobs, uint64_t seed, uint64_t states, double seconds)
{
	size_t n = 0;

	for (const struct filesystem *fs = filesystems; fs->name; fs++) {
		for (const struct scenario *s = scenarios; s->name; s++) {
			for (unsigned noise = 0; noise < 2; noise++) {
				if (!is_wanted(options.fs, fs->name) ||
				    !is_wanted(options.scenario, s->name))
					continue;
				jobs[n].fs = fs;
				jobs[n].scenario = s;
				jobs[n].plan = (struct record_plan){.noise = noise ? seed : 0,
								    .skip_command = -1};
				jobs[n].options.seed = seed + n;
				n++;
			}
		}
	}
	for (size_t i = 0; i < n; i++) {
		jobs[i].options.states = states / n;
		jobs[i].options.seconds = seconds * AT_ONCE / (double)n;
		jobs[i].options.keep = options.keep;
	}
	return n;
}

static size_t add_shutdowns(struct job *jobs, uint64_t seed, double seconds)
{
	size_t n = 0;

	for (const struct filesystem *fs = filesystems; fs->name; fs++) {
		for (const struct scenario *s = scenarios; s->name; s++) {
			if (!fs->shutdown || !is_wanted(options.fs, fs->name) ||
			    !is_wanted(options.scenario, s->name))
				continue;
			jobs[n].fs = fs;
			jobs[n].scenario = s;
			jobs[n].plan.skip_command = -1;
			jobs[n].is_shutdown = true;
			jobs[n].options.seed = seed + n;
			jobs[n].options.states = UINT64_MAX;
			n++;
		}
	}
	for (size_t i = 0; i < n; i++)
		jobs[i].options.seconds = seconds * AT_ONCE / (double)n;
	return n;
}

/* ---- telling ---- */

static void tell_broken(const struct job *job)
{
	for (uint64_t i = 0; i < job->result.broken && i < REPLAY_TOLD; i++)
		printf("# %s, %s%s: %s\n", job->fs->name, job->scenario->name,
		       job->plan.noise ? ", noisy" : "", job->result.told[i]);
}

static void tell_job(struct job *job)
{
	const struct replay_result *r = &job->result;

	if (job->status == JOB_DONE)
		printf("# %-5s %-15s %-9s %7llu cuts %7llu states %5llu judged %4llu broken "
		       "(%u flushes, %u writes, %.1f s)\n",
		       job->fs->name, job->scenario->name,
		       job->is_shutdown	 ? "shutdown"
		       : job->plan.noise ? "noisy"
					 : "quiet",
		       (unsigned long long)r->cuts, (unsigned long long)r->states,
		       (unsigned long long)r->judged, (unsigned long long)r->broken, r->flushes,
		       r->writes, job->seconds);
	else
		printf("# %-5s %-15s %s: %s\n", job->fs->name, job->scenario->name,
		       job->status == JOB_SKIPPED ? "skipped" : "FAILED", job->why);
	tell_broken(job);
	(void)fflush(stdout);
}

/* One case: these jobs found nothing broken. Its number; 0 failures, 1. */
static unsigned tell_case(unsigned number, const char *name, const struct job *jobs, size_t n,
			  const char *fs)
{
	uint64_t states = 0, judged = 0, cuts = 0, broken = 0;
	const char *skipped = NULL;
	bool failed = false;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(jobs[i].fs->name, fs) != 0)
			continue;
		states += jobs[i].result.states;
		judged += jobs[i].result.judged;
		cuts += jobs[i].result.cuts;
		broken += jobs[i].result.broken;
		failed |= jobs[i].status == JOB_FAILED;
		if (jobs[i].status == JOB_SKIPPED)
			skipped = jobs[i].why;
	}
	if (skipped && !failed && broken == 0 && states == 0) {
		printf("ok %u - %s # SKIP %s\n", number, name, skipped);
		return 0;
	}
	failed |= broken > 0 || states == 0;
	printf("# %s: %llu states (%llu cuts), %llu of them different to read, %llu broken\n", fs,
	       (unsigned long long)states, (unsigned long long)cuts, (unsigned long long)judged,
	       (unsigned long long)broken);
	printf("%sok %u - %s\n", failed ? "not " : "", number, name);
	return failed;
}

/* ---- the suite ---- */

/* On each file system, a changed publish that leaves out the sync that it does last. */
static size_t add_suite_controls(struct job *controls, const struct job *jobs, size_t n)
{
	size_t m = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned last = jobs[i].n_syncs[CONTROL_COMMAND];

		if (jobs[i].plan.noise || last == 0 ||
		    strcmp(jobs[i].scenario->name, CONTROL_SCENARIO) != 0)
			continue;
		controls[m].fs = jobs[i].fs;
		controls[m].scenario = jobs[i].scenario;
		controls[m].plan =
			(struct record_plan){.skip_command = CONTROL_COMMAND, .skip_sync = last};
		controls[m].options.stop_at = 1;
		controls[m].options.states = CONTROL_STATES;
		controls[m].options.from = CONTROL_COMMAND;
		m++;
	}
	return m;
}

static unsigned tell_suite_control(unsigned number, const char *fs, const struct job *controls,
				   size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct job *job = &controls[i];

		if (strcmp(job->fs->name, fs) != 0)
			continue;
		printf("# %s\n%sok %u - a publish on %s without %s is found broken\n",
		       job->result.broken ? job->result.told[0] : job->why,
		       job->result.broken ? "" : "not ", number, fs, job->skipped);
		return job->result.broken == 0;
	}
	printf("ok %u - a publish on %s without its last sync is found broken # SKIP nothing was "
	       "recorded there\n",
	       number, fs);
	return 0;
}

static int run_suite(void)
{
	const char *hindrance = jobs_hindrance();
	struct job *jobs = jobs_new(JOBS_MAX), *shutdowns = jobs_new(JOBS_MAX);
	struct job *controls = jobs_new(JOBS_MAX);
	unsigned number = 0, failures = 0;
	size_t n, n_shutdowns, n_controls;
	double begin = now();

	if (hindrance) {
		printf("1..0 # SKIP %s\n", hindrance);
		return 0;
	}
	printf("1..8\n");
	n = add_cuts(jobs, SUITE_SEED, options.states ? options.states : SUITE_STATES, SUITE_S);
	jobs_run(jobs, n, AT_ONCE, tell_job);
	n_shutdowns = add_shutdowns(shutdowns, SUITE_SEED, SHUTDOWNS_S);
	jobs_run(shutdowns, n_shutdowns, AT_ONCE, tell_job);
	n_controls = add_suite_controls(controls, jobs, n);
	jobs_run(controls, n_controls, AT_ONCE, NULL);
	for (const struct filesystem *fs = filesystems; fs->name; fs++) {
		TEXT *name = text_of(
			"G2 power cut on %s leaves what had answered, and nothing half", fs->name);

		failures += tell_case(++number, name, jobs, n, fs->name);
	}
	for (const struct filesystem *fs = filesystems; fs->name; fs++) {
		TEXT *name = text_of("G2 shutdown of %s leaves what had answered, and nothing half",
				     fs->name);

		if (fs->shutdown)
			failures += tell_case(++number, name, shutdowns, n_shutdowns, fs->name);
	}
	for (const struct filesystem *fs = filesystems; fs->name; fs++)
		failures += tell_suite_control(++number, fs->name, controls, n_controls);
	printf("# %.0f s\n", now() - begin);
	jobs_free(controls, JOBS_MAX);
	jobs_free(jobs, JOBS_MAX);
	jobs_free(shutdowns, JOBS_MAX);
	return failures > 0;
}

/* ---- for as long as wanted ---- */

static int run_minutes(void)
{
	const char *hindrance = jobs_hindrance();
	double end = now() + options.minutes * 60, round_s = 120;
	uint64_t seed = options.seed ? options.seed : (uint64_t)time(NULL), states = 0, broken = 0;
	bool failed = false;

	if (hindrance) {
		(void)fprintf(stderr, "power: %s\n", hindrance);
		return 1;
	}
	for (; now() < end && broken == 0 && !failed; seed += 1000) {
		struct job *jobs = jobs_new(JOBS_MAX);
		double left = end - now(), share = left < round_s ? left : round_s;
		size_t n = add_cuts(jobs, seed, options.states ? options.states : UINT32_MAX,
				    share * 0.9);

		printf("# seed %llu\n", (unsigned long long)seed);
		n += add_shutdowns(jobs + n, seed, share * 0.1);
		jobs_run(jobs, n, AT_ONCE, tell_job);
		for (size_t i = 0; i < n; i++) {
			states += jobs[i].result.states;
			broken += jobs[i].result.broken;
			failed |= jobs[i].status == JOB_FAILED;
		}
		jobs_free(jobs, JOBS_MAX);
	}
	printf("%llu states, %llu broken; the next seed is %llu\n", (unsigned long long)states,
	       (unsigned long long)broken, (unsigned long long)seed);
	return broken > 0 || failed;
}

/* ---- negative controls ---- */

/* How many syncs each command has, by a recording of which nothing is replayed. */
static void count_syncs(struct job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		jobs[i].options.states = 1;
	jobs_run(jobs, n, AT_ONCE, NULL);
}

static size_t add_controls(struct job *jobs, const struct job *counted)
{
	unsigned length = scenario_length(counted->scenario);
	size_t n = 0;

	for (unsigned k = counted->scenario->n_prepared; k < length; k++) {
		unsigned all = counted->n_syncs[k], some = all < CONTROLS_MAX ? all : CONTROLS_MAX;

		if (!is_wanted(options.command, counted->scenario->commands[k].name))
			continue;
		for (unsigned i = 0; i < some && n < JOBS_MAX; i++) {
			jobs[n].fs = counted->fs;
			jobs[n].scenario = counted->scenario;
			jobs[n].plan.skip_command = (int)k;
			jobs[n].plan.skip_sync = 1 + i * all / some;
			jobs[n].options.stop_at = 1;
			jobs[n].options.states = CONTROL_STATES;
			jobs[n].options.seconds = CONTROL_S;
			jobs[n].options.from = (int)(k - counted->scenario->n_prepared);
			n++;
		}
	}
	return n;
}

static void tell_control(const struct job *job, uint64_t states, unsigned attempts)
{
	printf("%-5s %-15s %-20s %2u %-44s %s after %llu states, %u recordings\n", job->fs->name,
	       job->scenario->name, job->scenario->commands[job->plan.skip_command].name,
	       job->plan.skip_sync, job->skipped[0] ? job->skipped : "(not reached)",
	       job->result.broken > 0	   ? "BROKEN, as it must,"
	       : job->status == JOB_FAILED ? job->why
					   : "nothing found",
	       (unsigned long long)states, attempts);
	if (job->result.broken > 0)
		printf("      %s\n", job->result.told[0]);
	(void)fflush(stdout);
}

/* Each step of `counted` left out, until something is broken or the attempts are over. How many were not found. */
static unsigned run_controls_of(const struct job *counted)
{
	struct job *jobs = jobs_new(JOBS_MAX);
	size_t n = add_controls(jobs, counted);
	uint64_t *states = calloc(n + 1, sizeof(*states));
	unsigned *attempts = calloc(n + 1, sizeof(*attempts)), missed = 0;

	if (!states || !attempts)
		abort();
	for (unsigned a = 0; a < ATTEMPTS; a++) {
		struct job *again = jobs_new(JOBS_MAX);
		size_t m = 0, which[JOBS_MAX];

		for (size_t i = 0; i < n; i++) {
			if (jobs[i].result.broken > 0)
				continue;
			which[m] = i;
			again[m] = (struct job){.fs = jobs[i].fs,
						.scenario = jobs[i].scenario,
						.plan = jobs[i].plan,
						.options = jobs[i].options,
						.loop = -1};
			again[m].plan.noise = a ? options.seed + a : 0;
			again[m].options.seed = options.seed + a;
			m++;
		}
		jobs_run(again, m, AT_ONCE, NULL);
		for (size_t i = 0; i < m; i++) {
			if (again[i].skipped[0] == '\0')
				memcpy(again[i].skipped, jobs[which[i]].skipped, SYNC_LABEL);
			jobs[which[i]] = again[i];
			states[which[i]] += again[i].result.states;
			attempts[which[i]]++;
		}
		jobs_free(again, JOBS_MAX);
	}
	for (size_t i = 0; i < n; i++) {
		tell_control(&jobs[i], states[i], attempts[i]);
		missed += jobs[i].result.broken == 0;
	}
	free(states);
	free(attempts);
	jobs_free(jobs, JOBS_MAX);
	return missed;
}

static int run_controls(void)
{
	struct job *counted = jobs_new(JOBS_MAX);
	size_t n = add_cuts(counted, 1, 1, 0);
	unsigned missed = 0;

	options.seed = options.seed ? options.seed : SUITE_SEED;
	count_syncs(counted, n);
	for (size_t i = 0; i < n; i++)
		if (!counted[i].plan.noise)
			missed += run_controls_of(&counted[i]);
	printf("%u steps were not missed by anybody\n", missed);
	jobs_free(counted, JOBS_MAX);
	return 0;
}

/* ---- options ---- */

static void usage(void)
{
	(void)fprintf(
		stderr,
		"usage: ./dev prove power [--minutes N] [--seed N] [--states N] [--on FILESYSTEM]\n"
		"                         [--scenario NAME] [--keep FILE]\n"
		"       ./dev prove power --controls [--on FILESYSTEM] [--scenario NAME] "
		"[--command NAME]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{"suite", no_argument, NULL, 's'},	    {"controls", no_argument, NULL, 'c'},
		{"minutes", required_argument, NULL, 'm'},  {"seed", required_argument, NULL, 'r'},
		{"states", required_argument, NULL, 'n'},   {"on", required_argument, NULL, 'o'},
		{"scenario", required_argument, NULL, 'x'}, {"keep", required_argument, NULL, 'k'},
		{"command", required_argument, NULL, 'w'},  {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			options.is_suite = true;
			break;
		case 'c':
			options.controls = true;
			break;
		case 'm':
			options.minutes = strtod(optarg, NULL);
			break;
		case 'r':
			options.seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			options.states = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			options.fs = optarg;
			break;
		case 'x':
			options.scenario = optarg;
			break;
		case 'w':
			options.command = optarg;
			break;
		case 'k':
			options.keep = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || (options.fs && !filesystem_named(options.fs)))
		usage();
	if (options.is_suite)
		return run_suite();
	return options.controls ? run_controls() : run_minutes();
}
