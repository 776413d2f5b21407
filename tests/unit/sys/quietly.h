/*
 * A program of which nothing is to be read. Header only; needs no other of the tests.
 */
#ifndef PL_TEST_QUIETLY_H
#define PL_TEST_QUIETLY_H

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its status as wait(2) has it, or -1. */
static inline int run_quietly(const char *const *argv)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null >= 0) {
			(void)dup2(null, 1);
			(void)dup2(null, 2);
		}
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

#endif
