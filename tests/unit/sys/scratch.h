/*
 * A directory for one test, below $TMPDIR, removed afterwards by rm(1) and not by what is tested;
 * and running a function as an ordinary user, whoever runs the tests.
 *
 * Include after cmocka.h. Functions that run in a child process cannot use cmocka's assertions:
 * they use CHECK(), and return 0.
 */
#ifndef PL_TEST_SCRATCH_H
#define PL_TEST_SCRATCH_H

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/sys.h"

struct scratch {
	int fd; /* of the directory */
	char path[4096];
};

static inline int scratch_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	umask(022);
	(void)snprintf(s->path, sizeof(s->path), "%s/pleach-unit-XXXXXX",
		       tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(s->path))
		return -1;
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = s;
	return s->fd < 0 ? -1 : 0;
}

static inline int scratch_teardown(void **state)
{
	struct scratch *s = *state;
	int status = -1;
	pid_t pid;

	pl_seam_arm(NULL);
	pl_seam_disable(0);
	close(s->fd);
	pid = fork();
	if (pid == 0) {
		execlp("sh", "sh", "-c", "chmod -R u+rwx -- \"$0\" && exec rm -rf -- \"$0\"",
		       s->path, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = -1;
	free(s);
	return status;
}

/* One unit test with a scratch directory of its own. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

#define SKIP(reason)                             \
	do {                                     \
		print_message("# %s\n", reason); \
		skip();                          \
	} while (0)

#define CHECK(x)                                                                                \
	do {                                                                                    \
		if (!(x)) {                                                                     \
			(void)fprintf(stderr, "# %s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
			return 1;                                                               \
		}                                                                               \
	} while (0)

/* Runs `function` in a child process. Its exit status, -1 if it did not exit. */
static inline int in_child(int (*function)(struct scratch *s), struct scratch *s)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(function(s));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* The same, as a user without privileges, to whom the scratch directory then belongs. */
static inline int in_child_as_user(int (*function)(struct scratch *s), struct scratch *s)
{
	const uid_t nobody = 65534;
	int status = -1;
	pid_t pid;

	if (geteuid() != 0)
		return in_child(function, s);
	if (fchown(s->fd, nobody, (gid_t)nobody) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(nobody, nobody, nobody) < 0 ||
		    setresuid(nobody, nobody, nobody) < 0)
			_exit(126);
		_exit(function(s));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* In a child as root: mounts made from here on vanish with the process. 0 if that is possible. The
 * directory is opened again, since a descriptor stays in the namespace that it comes from. */
static inline int private_mounts(struct scratch *s)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	close(s->fd);
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->fd < 0 || fchdir(s->fd) < 0 ? -1 : 0;
}

/* How many descriptors the process has open. */
static inline int count_fds(void)
{
	struct pl_listing listing;
	int n, fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || pl_list(fd, &listing) < 0)
		return -1;
	n = (int)listing.n - 1; /* but for this one */
	pl_listing_done(&listing);
	close(fd);
	return n;
}

/* Has a call fail, from number `at` on. */
static inline void fail_call(enum pl_call call, uint64_t at, int fail_errno)
{
	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = at, .fail_errno = fail_errno, .calls = UINT32_C(1) << call});
}

/* Waits until the clock that stamps files has left the tick of the last change, and the grain. */
static inline void let_it_age(int dirfd)
{
	struct timespec start, now;

	if (pl_fs_clock(dirfd, &start) < 0)
		abort();
	do
		if (pl_fs_clock(dirfd, &now) < 0)
			abort();
	while ((now.tv_sec - start.tv_sec) * 1000000000LL + now.tv_nsec - start.tv_nsec < 30000000);
}

static inline int make_file(int dirfd, const char *name, const char *text)
{
	return pl_write_file(dirfd, name, 0644, text, strlen(text), false);
}

#endif
