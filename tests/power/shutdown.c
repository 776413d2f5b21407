/*
 * shutdown.c - the state before a command is that of the recording, so what was true then is known to the byte. What the
 * command makes is known but for times and random ids: public trees and what lies beside the store must be the old
 * ones or those that the recording had, of records and small files there must be as many.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>

#include "tx/yard.h"

#include "power/shutdown.h"

#define FLAGS 3 /* everything written, the log flushed, nothing flushed */

static const char *const flag_names[FLAGS] = {"all written", "log flushed", "log not flushed"};

/* In shared memory: what the children tell. */
struct told {
	bool has_begun, has_answered;
	struct facts facts;
	char trouble[512];
};

struct shutdown {
	struct disk *disk;
	const struct filesystem *fs;
	const struct place *place;
	const struct record *record;
	const struct replay_options *options;
	struct replay_result *result;
	struct told *told;
	uint64_t random;
};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t next_random(struct shutdown *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* The disk as it was when `k` commands had answered. */
static int show_before(struct shutdown *s, uint32_t k)
{
	struct disk *d = s->disk;
	uint32_t *want = malloc(d->n_blocks * sizeof(*want)), answered = 0, n = 0;
	int r;

	if (!want)
		return -ENOMEM;
	memcpy(want, d->base, d->n_blocks * sizeof(*want));
	for (uint32_t i = 0; i < d->shared->log_length && answered < k; i++) {
		if (d->log[i].event == DISK_WRITE)
			want[d->log[i].block] = d->log[i].data;
		answered += d->log[i].event == DISK_MARK && d->log[i].data != MARK_SHOWN &&
			    d->log[i].data % 2 == 1;
	}
	for (uint32_t i = 0; i < d->n_blocks; i++)
		if (d->content[i] != want[i])
			d->changes[n++] = (struct disk_change){i, want[i]};
	r = disk_show(d, d->changes, n);
	free(want);
	return r;
}

/* ---- the command, and its end ---- */

static void run_command(const struct shutdown *s, uint32_t k)
{
	const struct scenario *scenario = s->options->scenario;
	struct pleach_error error;
	int r;

	s->told->has_begun = true;
	r = scenario_run(s->place, &scenario->commands[scenario->n_prepared + k],
			 scenario->syncs_each, &error);
	s->told->has_answered = r >= 0 && r != PLEACH_PARTIAL;
}

static pid_t start(struct shutdown *s, uint32_t k)
{
	pid_t pid;

	*s->told = (struct told){0};
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(60);
		if (chdir(s->place->root) < 0)
			_exit(1);
		run_command(s, k);
		_exit(0);
	}
	if (pid < 0)
		abort();
	return pid;
}

/* Waits for a random part of the time that the command takes, then ends the file system under it. */
static int end_under(struct shutdown *s, uint32_t k, uint32_t flags)
{
	int fd = open(s->place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status, r;
	uint64_t took_us = s->record->took_us[s->options->scenario->n_prepared + k];
	uint64_t us = next_random(s) % (took_us + took_us / 4 + 200);
	struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
				 .tv_nsec = (long)(us % 1000000) * 1000};
	pid_t pid = start(s, k);

	(void)nanosleep(&pause, NULL);
	r = fd < 0 || ioctl(fd, s->fs->shutdown, &flags) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	(void)waitpid(pid, &status, 0);
	return r;
}

/* ---- judging ---- */

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What the command was to make is known but for its times. */
static bool is_as_made(const char *key, const char *seen, const char *made)
{
	if (!seen || !made)
		return seen == made;
	if (strncmp(key, "public ", 7) == 0 || strncmp(key, "beside ", 7) == 0)
		return strcmp(seen, made) == 0;
	if (strncmp(key, "ref ", 4) == 0)
		return strtoul(seen, NULL, 10) == strtoul(made, NULL, 10);
	return true;
}

static char *wrong_fact(const struct shutdown *s, uint32_t k, const char *key)
{
	const char *seen = facts_value(&s->told->facts, key);
	const char *before = facts_value(&s->record->facts[k], key);
	const char *after = facts_value(&s->record->facts[k + 1], key);

	if (key[0] == '~' || strncmp(key, "parked ", 7) == 0) /* other ids, no fixed content */
		return NULL;
	if (!s->told->has_answered && same(seen, before))
		return NULL;
	return is_as_made(key, seen, after)
		       ? NULL
		       : text_of("%s is %s, before %s, after %s", key, seen ? seen : "-",
				 before ? before : "-", after ? after : "-");
}

static char *wrong(const struct shutdown *s, uint32_t k)
{
	const struct facts *lists[] = {&s->told->facts, &s->record->facts[k],
				       &s->record->facts[k + 1]};

	if (s->told->trouble[0])
		return text_of("%s", s->told->trouble);
	for (size_t i = 0; i < PL_ARRAY_LEN(lists); i++) {
		for (size_t f = 0; f < lists[i]->n; f++) {
			char *trouble = wrong_fact(s, k, lists[i]->all[f].key);

			if (trouble)
				return trouble;
		}
	}
	return NULL;
}

static void judge(const struct shutdown *s)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		char *trouble;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(60);
		facts_collect(s->place->root, &s->told->facts);
		memcpy(s->told->trouble, s->told->facts.trouble, sizeof(s->told->trouble));
		trouble = s->told->trouble[0] ? NULL : scenario_judge(s->place);
		if (trouble)
			(void)snprintf(s->told->trouble, sizeof(s->told->trouble), "%s", trouble);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (status != 0 && s->told->trouble[0] == '\0')
		(void)snprintf(s->told->trouble, sizeof(s->told->trouble),
			       "the next commands ended with wait status %#x", status);
}

static void tell(struct shutdown *s, uint32_t k, uint32_t flags, const char *trouble)
{
	const struct scenario *scenario = s->options->scenario;
	struct replay_result *result = s->result;

	if (result->broken < REPLAY_TOLD)
		(void)snprintf(result->told[result->broken], sizeof(result->told[0]),
			       "%s '%.40s' (%s): %.250s", s->told->has_answered ? "after" : "in",
			       scenario->commands[scenario->n_prepared + k].name, flag_names[flags],
			       trouble);
	result->broken++;
}

static int shut_down(struct shutdown *s, uint32_t k, uint32_t flags)
{
	char *trouble;
	int r = show_before(s, k), unmounted;

	if (r == 0)
		r = filesystem_mount(s->fs, s->disk->loop_path, s->place->root, false);
	if (r < 0)
		return r;
	r = end_under(s, k, flags);
	unmounted = filesystem_unmount(s->place->root);
	if (r < 0 || unmounted < 0)
		return r < 0 ? r : unmounted;
	r = filesystem_mount(s->fs, s->disk->loop_path, s->place->root, false);
	if (r < 0) {
		tell(s, k, flags, "cannot be mounted");
		return 0;
	}
	judge(s);
	trouble = wrong(s, k);
	if (trouble)
		tell(s, k, flags, trouble);
	free(trouble);
	s->result->judged++;
	return filesystem_unmount(s->place->root);
}

void shutdown_run(struct disk *disk, const struct filesystem *fs, const struct place *place,
		  const struct record *record, const struct replay_options *options,
		  struct replay_result *result)
{
	struct shutdown s = {disk, fs, place, record, options, result, .random = options->seed};
	double end = options->seconds > 0 ? now() + options->seconds : 0;
	uint32_t n = (uint32_t)record->n_facts - 1;
	int r = 0;

	*result = (struct replay_result){0};
	s.told = mmap(NULL, sizeof(*s.told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (s.told == MAP_FAILED)
		abort();
	while (r == 0 && result->states < options->states && (end == 0 || now() < end)) {
		r = shut_down(&s, (uint32_t)(result->states % n),
			      (uint32_t)(next_random(&s) % FLAGS));
		result->states++;
		result->cuts++;
		if (options->heartbeat)
			++*options->heartbeat;
	}
	if (r < 0)
		(void)snprintf(result->error, sizeof(result->error), "shutdown: %s", strerror(-r));
	(void)munmap(s.told, sizeof(*s.told));
}
