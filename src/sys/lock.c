/*
 * lock.c - locks that a descriptor holds, on whole files. What a lock means, and that its name has
 * to be looked at again once it is held, is the business of who takes it.
 */
#include <fcntl.h>

#include "sys/seam.h"

#define POLL_MAX_MS 20

/* The whole file, however long it gets. l_pid has to be 0 with OFD locks. */
static struct flock whole(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

static short type_of(enum pl_lock_kind kind)
{
	return kind == PL_LOCK_EXCLUSIVE ? F_WRLCK : F_RDLCK;
}

int pl_lock_try(int fd, enum pl_lock_kind kind)
{
	struct flock lock = whole(type_of(kind));
	int r = pl_seam_pass(PL_CALL_LOCK);

	if (r < 0)
		return r;
	r = PL_RETRY(fcntl(fd, F_OFD_SETLK, &lock));
	if (r == -EAGAIN || r == -EACCES)
		return 0;
	return r < 0 ? r : 1;
}

/* Polls: only a signal could end F_OFD_SETLKW in time, and signals are not the library's. */
int pl_lock_wait(int fd, enum pl_lock_kind kind, int64_t timeout_ms, const volatile int *cancel)
{
	const int64_t start = pl_clock_monotonic_ms();
	int64_t pause = 1;

	for (;;) {
		int64_t left;
		int r;

		if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
			return -EINTR;
		r = pl_lock_try(fd, kind);
		if (r != 0)
			return r;
		left = timeout_ms < 0 ? INT64_MAX : start + timeout_ms - pl_clock_monotonic_ms();
		if (left <= 0)
			return 0;
		pl_sleep_ms((unsigned)(pause < left ? pause : left));
		pause = pause * 2 < POLL_MAX_MS ? pause * 2 : POLL_MAX_MS;
	}
}

int pl_unlock(int fd)
{
	struct flock lock = whole(F_UNLCK);

	return PL_RETRY(fcntl(fd, F_OFD_SETLK, &lock));
}

int pl_lock_is_current(int fd, int dirfd, const char *name)
{
	struct stat held, named;
	int r = pl_fstat(fd, &held);

	if (r < 0)
		return r;
	r = pl_lstat(dirfd, name, &named);
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : pl_same_inode(&held, &named);
}

int pl_lock_is_held(int fd, enum pl_lock_kind kind)
{
	struct flock lock = whole(type_of(kind));
	int r = PL_RETRY(fcntl(fd, F_OFD_GETLK, &lock));

	return r < 0 ? r : lock.l_type != F_UNLCK;
}
