/*
 * host.c - who runs, where, when, and random numbers.
 */
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "sys/seam.h"

uid_t pl_uid(void)
{
	return geteuid();
}

gid_t pl_gid(void)
{
	return getegid();
}

/* By these two, which are a thread's alone: neither signals nor other threads are meant, and whoever can only act as
 * that user cannot trace or kill us. The kernel has such a process leave no core, and hides its /proc: that comes back
 * at the end. */
static int act_as(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	/* They tell of no error, but what was set before: an invalid one sets nothing. */
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid ? 0 : -EPERM;
}

int pl_guise_begin(uid_t uid, gid_t gid, struct pl_guise *ret_guise)
{
	struct pl_guise guise = {.is_on = true};
	int r;

	guise.uid = (uid_t)setfsuid((uid_t)-1);
	guise.gid = (gid_t)setfsgid((gid_t)-1);
	guise.was_dumpable = prctl(PR_GET_DUMPABLE) == 1;
	r = act_as(uid, gid);
	if (r < 0)
		pl_guise_end(&guise);
	else
		*ret_guise = guise;
	return r;
}

void pl_guise_end(struct pl_guise *guise)
{
	if (!guise->is_on)
		return;
	/* Who would go on with less, or more, than he had must not go on. */
	pl_assert(act_as(guise->uid, guise->gid) == 0);
	if (guise->was_dumpable)
		(void)prctl(PR_SET_DUMPABLE, 1);
	*guise = (struct pl_guise){0};
}

bool pl_in_group(gid_t gid)
{
	gid_t *groups;
	bool found = false;
	int n;

	if (gid == getegid())
		return true;
	n = getgroups(0, NULL);
	if (n <= 0)
		return false;
	groups = calloc((size_t)n, sizeof(*groups));
	if (!groups)
		return false;
	n = getgroups(n, groups);
	for (int i = 0; i < n && !found; i++)
		found = groups[i] == gid;
	free(groups);
	return found;
}

void pl_user_name(uid_t uid, char *ret_name, size_t size)
{
	struct passwd entry, *found = NULL;
	char buffer[4096]; /* one that does not fit is shown as a number */
	int r;

	pl_assert(size > 0);
	r = getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
	if (r == 0 && found)
		(void)snprintf(ret_name, size, "%s", found->pw_name);
	else
		(void)snprintf(ret_name, size, "%lu", (unsigned long)uid);
}

void pl_host_name(char *ret_name, size_t size)
{
	pl_assert(size > 0);
	if (gethostname(ret_name, size) < 0 && errno != ENAMETOOLONG)
		(void)snprintf(ret_name, size, "localhost");
	ret_name[size - 1] = '\0';
}

void pl_clock_wall(struct timespec *ret_now)
{
	int r = clock_gettime(CLOCK_REALTIME, ret_now);

	pl_assert(r == 0);
}

void pl_clock_coarse(struct timespec *ret_now)
{
	int r = clock_gettime(CLOCK_REALTIME_COARSE, ret_now);

	pl_assert(r == 0);
}

int64_t pl_clock_monotonic_ms(void)
{
	struct timespec now;
	int r = clock_gettime(CLOCK_MONOTONIC, &now);

	pl_assert(r == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int pl_random(void *buffer, size_t length)
{
	unsigned char *to = buffer;

	while (length > 0) {
		int n = PL_RETRY(getrandom(to, length, 0));

		if (n < 0)
			return n;
		to += n;
		length -= (size_t)n;
	}
	return 0;
}

int pl_random_name(char ret_name[25])
{
	unsigned char bytes[12];
	int r = pl_random(bytes, sizeof(bytes));

	if (r == 0)
		pl_hex(bytes, sizeof(bytes), ret_name);
	return r;
}

bool pl_is_random_name(const char *name)
{
	return strlen(name) == 24 && pl_is_hex(name, 24);
}

void pl_sleep_ms(unsigned ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

unsigned pl_cpu_count(void)
{
	cpu_set_t set;
	long n;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	else /* more processors than the set has room for */
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (unsigned)n;
}

/* umask(2) would set it, for other threads too. */
mode_t pl_umask(void)
{
	static const char key[] = "\nUmask:\t";
	PL_BUFFER status = {0};
	const char *at;
	mode_t mask = 0;

	if (pl_read_file(AT_FDCWD, "/proc/self/status", 65536, &status) < 0 || status.length == 0)
		return 0777;
	at = strstr(pl_buffer_string(&status), key);
	if (!at)
		return 0777;
	for (at += sizeof(key) - 1; *at >= '0' && *at <= '7'; at++)
		mask = (mask << 3) | (mode_t)(*at - '0');
	return mask & 0777;
}

int pl_boot_id(struct pl_buffer *b)
{
	return pl_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, b);
}

const char *pl_environment_get(const char *name)
{
	return getenv(name);
}

char *const *pl_environment(void)
{
	return environ;
}

pid_t pl_pid(void)
{
	return getpid();
}
