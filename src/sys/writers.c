/*
 * writers.c - is somebody about to write to a file? Asked by a lease, which the kernel gives only for a
 * file that nobody has open for writing, or mapped so. It is given back at once.
 */
#include <fcntl.h>
#include <signal.h>

#include "sys/seam.h"

int pl_file_has_writers(int fd, bool *has_asked)
{
	int r = 0;

	/* Who opens it for writing in the moment of the lease waits, and we are told by a signal: one that does
	 * nothing unless it is asked for, in place of SIGIO, which ends a process. */
	if (!*has_asked)
		r = PL_RETRY(fcntl(fd, F_SETSIG, SIGURG));
	if (r < 0)
		return r;
	*has_asked = true;
	r = PL_RETRY(fcntl(fd, F_SETLEASE, F_RDLCK));
	if (r == -EAGAIN)
		return 1;
	if (r < 0)
		return -EOPNOTSUPP;
	r = PL_RETRY(fcntl(fd, F_SETLEASE, F_UNLCK));
	return r < 0 ? r : 0;
}
