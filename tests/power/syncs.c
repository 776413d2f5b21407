#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "power/syncs.h"

/* The names are the linker's. */
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_syncfs(int fd);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_syncfs(int fd);

static struct {
	atomic_uint count, skip;
	char label[SYNC_LABEL];
} syncs;

void syncs_begin(unsigned skip)
{
	syncs.count = 0;
	syncs.skip = skip;
	syncs.label[0] = '\0';
}

unsigned syncs_end(char *ret_label)
{
	syncs.skip = 0;
	if (ret_label)
		memcpy(ret_label, syncs.label, SYNC_LABEL);
	return syncs.count;
}

/* "fsync refs/site/gen": below .pleach, each random or hashed name as "*". */
static void note(const char *call, int fd)
{
	char link[64], path[512], *from, *inside, *name, *save = NULL;
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	from = strstr(path, "/fs/");
	inside = strstr(path, "/.pleach");
	if (inside)
		from = inside + strcspn(inside + 1, "/") + 1;
	(void)snprintf(syncs.label, sizeof(syncs.label), "%s", call);
	for (name = strtok_r(from ? from : path, "/", &save); name;
	     name = strtok_r(NULL, "/", &save)) {
		size_t length = strlen(syncs.label);
		bool is_random =
			strlen(name) > 20 || strspn(name, "0123456789abcdef") == strlen(name);

		(void)snprintf(syncs.label + length, sizeof(syncs.label) - length, "%s%s",
			       strchr(syncs.label, ' ') ? "/" : " ", is_random ? "*" : name);
	}
}

static bool is_skipped(const char *call, int fd)
{
	if (atomic_fetch_add(&syncs.count, 1) + 1 != syncs.skip)
		return false;
	note(call, fd);
	return true;
}

int __wrap_fsync(int fd)
{
	return is_skipped("fsync", fd) ? 0 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	return is_skipped("fdatasync", fd) ? 0 : __real_fdatasync(fd);
}

int __wrap_syncfs(int fd)
{
	return is_skipped("syncfs", fd) ? 0 : __real_syncfs(fd);
}

int syncs_really(int fd, bool whole_fs)
{
	return whole_fs ? __real_syncfs(fd) : __real_fsync(fd);
}
