/*
 * job.c - the processes.
 *
 * J1  Everything is mounted in a namespace of the job's own, so that it goes when its processes do.
 * J2  A job that does not come on any more is ended: the server first, without which no request of its disk
 *     waits any longer. The loop device is detached by whoever outlives it.
 * J3  Who was told to end ends its jobs first. A job whose starter is gone takes away its loop device itself.
 */
#include <errno.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <time.h>

#include "tx/yard.h"

#include "power/job.h"
#include "power/shutdown.h"

#define STALE_S 150

static volatile sig_atomic_t is_to_end;

/* Of the job that this process is. */
static struct {
	char loop_path[32];
	pid_t server;
} own;

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct job *jobs_new(size_t n)
{
	struct job *jobs = mmap(NULL, n * sizeof(*jobs), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (jobs == MAP_FAILED)
		abort();
	for (size_t i = 0; i < n; i++)
		jobs[i].loop = -1;
	return jobs;
}

void jobs_free(struct job *jobs, size_t n)
{
	(void)munmap(jobs, n * sizeof(*jobs));
}

const char *jobs_hindrance(void)
{
	if (geteuid() != 0)
		return "needs root";
	if (access("/dev/fuse", R_OK | W_OK) != 0)
		return "needs /dev/fuse";
	if (access("/dev/loop-control", R_OK | W_OK) != 0)
		return "needs loop devices";
	return NULL;
}

/* ---- in the process ---- */

__attribute__((format(printf, 3, 4))) static void end_job(struct job *job, enum job_status status,
							  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(job->why, sizeof(job->why), format, args);
	va_end(args);
	job->status = status;
}

static void make_place(const struct job *job, struct place *ret_place)
{
	(void)snprintf(ret_place->root, sizeof(ret_place->root), "%.180s/fs", job->folder);
	(void)snprintf(ret_place->store, sizeof(ret_place->store), "%s/store", ret_place->root);
	(void)snprintf(ret_place->sources, sizeof(ret_place->sources), "%.180s/sources",
		       job->folder);
	if (mkdir(ret_place->root, 0755) < 0 || mkdir(ret_place->sources, 0755) < 0)
		abort();
	scenario_sources(ret_place);
}

/* Mounts, records, unmounts. */
static bool record_on(struct job *job, struct disk *disk, const struct place *place,
		      struct record *record)
{
	int r = filesystem_mount(job->fs, disk->loop_path, place->root, false), unmounted;

	if (r < 0) {
		end_job(job, JOB_SKIPPED, "no %s can be mounted here: %s", job->fs->name,
			strerror(-r));
		return false;
	}
	r = record_run(disk, place, job->scenario, &job->plan, record);
	unmounted = filesystem_unmount(place->root);
	disk_stop(disk);
	memcpy(job->n_syncs, record->n_syncs, sizeof(job->n_syncs));
	memcpy(job->skipped, record->skipped, sizeof(job->skipped));
	if (r < 0 || unmounted < 0)
		end_job(job, JOB_FAILED, "%.500s", r < 0 ? record->trouble : "cannot unmount");
	return r == 0 && unmounted == 0;
}

static void cut_power(struct job *job, struct disk *disk, const struct place *place)
{
	struct record *record = record_new();

	if (filesystem_make(job->fs, disk->loop_path) < 0) {
		end_job(job, JOB_SKIPPED, "mkfs.%s does not work here", job->fs->name);
	} else if (record_on(job, disk, place, record)) {
		job->options.scenario = job->scenario;
		job->options.heartbeat = &job->heartbeat;
		(job->is_shutdown ? shutdown_run : replay_run)(disk, job->fs, place, record,
							       &job->options, &job->result);
		if (job->result.error[0])
			end_job(job, JOB_FAILED, "%s", job->result.error);
		else
			job->status = JOB_DONE;
	}
	record_free(record);
}

/* J3. What is still mounted lets go of the loop device with its last user. */
static void leave(int number)
{
	int fd = own.loop_path[0] ? open(own.loop_path, O_RDWR | O_CLOEXEC) : -1;

	if (fd >= 0)
		(void)ioctl(fd, LOOP_CLR_FD);
	if (own.server > 0)
		(void)kill(own.server, SIGKILL);
	_exit(128 + number);
}

static void run_job(struct job *job)
{
	struct place place;
	struct disk disk;
	double start = now();
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		end_job(job, JOB_SKIPPED, "no mount namespace: %s", strerror(errno));
		return;
	}
	make_place(job, &place);
	r = disk_open(job->folder, FILESYSTEM_SIZE, &disk);
	if (r < 0) {
		end_job(job, JOB_SKIPPED, "no disk by FUSE and loop: %s", strerror(-r));
		return;
	}
	job->server = disk.server;
	job->loop = disk.loop;
	own.server = disk.server;
	memcpy(own.loop_path, disk.loop_path, sizeof(own.loop_path));
	(void)signal(SIGTERM, leave);
	cut_power(job, &disk, &place);
	(void)signal(SIGTERM, SIG_DFL);
	disk_close(&disk);
	job->server = 0;
	job->loop = -1;
	job->seconds = now() - start;
}

/* ---- who starts them ---- */

static void start(struct job *job)
{
	const char *tmp = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
	pid_t parent = getpid(), pid;

	(void)snprintf(job->folder, sizeof(job->folder), "%.150s/pleach-power-XXXXXX",
		       tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(job->folder))
		abort();
	job->status = JOB_RUNS;
	job->seen_at = now();
	pid = fork(); /* the child must not write to what is shared */
	if (pid < 0)
		abort();
	if (pid > 0) {
		job->pid = pid;
		return;
	}
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	run_job(job);
	_exit(0);
}

static void detach(int number)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/loop%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		(void)ioctl(fd, LOOP_CLR_FD);
		close(fd);
	}
}

static void clean_up(struct job *job)
{
	if (job->server > 0)
		(void)kill(job->server, SIGKILL);
	if (job->loop >= 0)
		detach(job->loop);
	job->loop = -1;
	yard_remove(job->folder);
}

/* J2 */
static void end_stale(struct job *job)
{
	if (job->heartbeat != job->seen_heartbeat) {
		job->seen_heartbeat = job->heartbeat;
		job->seen_at = now();
	}
	if (!is_to_end && now() - job->seen_at < STALE_S)
		return;
	end_job(job, JOB_FAILED, "%s", is_to_end ? "interrupted" : "it did not come on");
	if (job->server > 0)
		(void)kill(job->server, SIGKILL);
	(void)kill(job->pid, SIGKILL);
}

static bool has_ended(struct job *job)
{
	int status = 0;
	pid_t pid = waitpid(job->pid, &status, WNOHANG);

	if (pid == 0)
		return false;
	if (job->status == JOB_RUNS)
		end_job(job, JOB_FAILED, "its process ended with wait status %#x", status);
	clean_up(job);
	job->pid = 0;
	return true;
}

static void to_end(int number)
{
	(void)number;
	is_to_end = 1;
}

void jobs_run(struct job *jobs, size_t n, unsigned at_once, void (*done)(struct job *job))
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	size_t next = 0, running = 0, ended = 0;

	(void)signal(SIGINT, to_end);
	(void)signal(SIGTERM, to_end);
	while (ended < n) {
		while (!is_to_end && running < at_once && next < n) {
			start(&jobs[next++]);
			running++;
		}
		for (size_t i = 0; i < next; i++) {
			if (jobs[i].pid == 0)
				continue;
			end_stale(&jobs[i]);
			if (!has_ended(&jobs[i]))
				continue;
			running--;
			ended++;
			if (done)
				done(&jobs[i]);
		}
		for (; is_to_end && next < n; next++, ended++)
			end_job(&jobs[next], JOB_FAILED, "interrupted");
		(void)nanosleep(&pause, NULL);
	}
}
