/*
 * record.c - before each call that changes something there is a look at the public paths, as a reader may take one: what
 * they show is noted. And there may be noise: at random calls a stranger syncs a file of his own, or everything, so
 * that the journal is written at moments that no command has chosen.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>

#include "tx/yard.h"

#include "power/record.h"

#define NOISE_ONE_IN 24

/* BTRFS_IOC_START_SYNC, BTRFS_IOC_WAIT_SYNC: of linux/btrfs.h, which not every machine has. */
#define START_SYNC _IOR(0x94, 24, uint64_t)
#define WAIT_SYNC  _IOW(0x94, 22, uint64_t)

/* Who stands beside the commands. */
struct bystander {
	struct disk *disk;
	const struct place *place;
	_Atomic uint64_t seen; /* hash of what the public paths lead to */
	bool is_noisy;
	_Atomic uint64_t random;
	int file, root;
};

struct record *record_new(void)
{
	void *memory = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void record_free(struct record *record)
{
	(void)munmap(record, sizeof(*record));
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* A hash of what the public paths lead to. */
static uint64_t read_public(const struct place *place)
{
	static const char *const names[] = {"site", "other"};
	uint64_t hash = 1;

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		TEXT *link = text_of("%s/.pleach/refs/%s/public/tree", place->store, names[i]);
		char target[512];
		ssize_t n = readlink(link, target, sizeof(target));

		hash = mix(hash + i + 1);
		for (ssize_t c = 0; c < n; c++)
			hash = mix(hash ^ (unsigned char)target[c]);
	}
	return hash;
}

static void look_at_public(struct bystander *b)
{
	uint64_t now = read_public(b->place);

	if (atomic_exchange(&b->seen, now) != now && b->disk)
		disk_mark(b->disk, MARK_SHOWN);
}

/* On btrfs what is written is not part of a commit that nobody asked to write it, such as the periodic one. 0, or
 * -1: it is not btrfs. */
static int commit_without_data(struct bystander *b)
{
	uint64_t number = 0;

	return ioctl(b->root, START_SYNC, &number) < 0 ? -1 : ioctl(b->root, WAIT_SYNC, &number);
}

static void make_noise(struct bystander *b)
{
	uint64_t random = mix(atomic_fetch_add(&b->random, 0x9e3779b97f4a7c15u));

	if (random % NOISE_ONE_IN != 0)
		return;
	random /= NOISE_ONE_IN;
	if (pwrite(b->file, &random, sizeof(random), 0) < 0 ||
	    (random % 3 == 0 && commit_without_data(b) == 0))
		return;
	(void)syncs_really(random % 8 == 0 ? b->root : b->file, random % 8 == 0);
}

static void before_call(uint64_t number, enum pl_call call, void *userdata)
{
	struct bystander *b = userdata;

	(void)number;
	(void)call;
	look_at_public(b);
	if (b->is_noisy)
		make_noise(b);
}

static void begin_bystander(struct bystander *b, struct disk *disk, const struct place *place,
			    uint64_t noise)
{
	TEXT *path = text_of("%s/noise", place->root);

	*b = (struct bystander){.disk = disk,
				.place = place,
				.is_noisy = noise > 0,
				.random = noise,
				.seen = read_public(place)};
	b->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	b->root = open(place->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->file < 0 || b->root < 0)
		abort();
	pl_seam_arm(&(struct pl_seam_plan){.stop = before_call, .userdata = b});
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool run_one(struct disk *disk, const struct place *place, const struct scenario *scenario,
		    unsigned k, const struct record_plan *plan, struct record *record)
{
	const struct command *command = &scenario->commands[k];
	struct pleach_error error;
	bool is_skipped = (int)k == plan->skip_command;
	uint64_t begin = now_us();
	int r;

	if (disk)
		disk_mark(disk, MARK_BEGAN(k - scenario->n_prepared));
	syncs_begin(is_skipped ? plan->skip_sync : 0);
	r = scenario_run(place, command, scenario->syncs_each, &error);
	record->n_syncs[k] = syncs_end(is_skipped ? record->skipped : NULL);
	if (disk)
		disk_mark(disk, MARK_ANSWERED(k - scenario->n_prepared));
	record->took_us[k] = now_us() - begin;
	if (r >= 0 && r != PLEACH_PARTIAL)
		return true;
	(void)snprintf(record->trouble, sizeof(record->trouble), "%s: %s: %d %.300s",
		       scenario->name, command->name, r, error.message);
	return false;
}

/* In the child. */
static void run_all(struct disk *disk, const struct place *place, const struct scenario *scenario,
		    const struct record_plan *plan, struct record *record)
{
	struct bystander bystander;
	unsigned n = scenario_length(scenario);

	if (plan->skip_command >= 0 && (unsigned)plan->skip_command + 2 < n)
		n = (unsigned)plan->skip_command + 2;
	for (unsigned k = 0; k < n; k++) {
		if (k == scenario->n_prepared) {
			begin_bystander(&bystander, disk, place, plan->noise);
			(void)syncs_really(bystander.root, true);
			if (disk)
				disk_record(disk);
			facts_collect(place->root, &record->facts[record->n_facts++]);
		}
		if (!run_one(disk, place, scenario, k, plan, record))
			return;
		if (k >= scenario->n_prepared)
			facts_collect(place->root, &record->facts[record->n_facts++]);
	}
}

int record_run(struct disk *disk, const struct place *place, const struct scenario *scenario,
	       const struct record_plan *plan, struct record *record)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(120);
		if (chdir(place->root) < 0)
			_exit(1);
		run_all(disk, place, scenario, plan, record);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (status != 0 && record->trouble[0] == '\0')
		(void)snprintf(record->trouble, sizeof(record->trouble),
			       "%s: the process ended with wait status %#x", scenario->name,
			       status);
	for (size_t i = 0; i < record->n_facts; i++)
		if (record->facts[i].trouble[0] && record->trouble[0] == '\0')
			memcpy(record->trouble, record->facts[i].trouble, sizeof(record->trouble));
	return record->trouble[0] ? -1 : 0;
}
