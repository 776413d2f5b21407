/*
 * What a program opens in the directories that its view shows, noted as paths. As init.c, of which it is a part,
 * it makes async-signal-safe calls alone.
 *
 * Events come with a descriptor of what was opened, whose path is asked for then. So:
 *
 * O1  Whatever cannot be noted is noted as LOST, and then everything counts as read: an event that the queue had
 *     no room for, one whose file cannot be opened again, one that has no path, or one that does not tell where in
 *     the workspace it is. Where not even that can be
 *     written, pl_watch_note() says so, and the program must not go on.
 * O2  A name that was removed meanwhile ends in " (deleted)", and a name may end so by itself: both are noted.
 * O3  The path is that of now. A name that was renamed after it was opened is one that the program itself has
 *     changed, and a conflict by that.
 * O4  Nothing here waits: a FIFO is opened without its other end.
 * O5  While the program runs only so much is noted at once: it may open faster than that, and init has to look at
 *     signals and at its caller's death too.
 * O6  No more is written than is read again (PL_READS_MAX): a file that is longer is LOST.
 * O7  A program may copy the mounts that are watched, into a mount namespace of its own or to another place. An
 *     overlay is a file system that nobody else has: it is watched as a whole.
 */
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/init.h"

#define LOST	"\1" /* as a path */
#define DELETED " (deleted)"

static bool is_shown(const struct pl_view_step *step)
{
	return step->what == PL_VIEW_OVERLAY || step->what == PL_VIEW_BIND;
}

/* O7 */
static unsigned scope_of(const struct pl_view_step *step)
{
	return step->what == PL_VIEW_OVERLAY ? FAN_MARK_FILESYSTEM : FAN_MARK_MOUNT;
}

/* Every mount that shows the workspace. */
int pl_watch_start(struct pl_watch *watch, const struct pl_view *view)
{
	const unsigned how = O_CLOEXEC | O_LARGEFILE | O_NONBLOCK; /* O4; and for reading */

	if (!view->watched)
		return 0;
	watch->names = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (watch->names < 0)
		return -errno;
	watch->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
					  FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
				  how);
	if (watch->fd < 0)
		return -errno;
	for (size_t i = 0; i < view->n_steps; i++)
		if (is_shown(&view->steps[i]) &&
		    fanotify_mark(watch->fd, FAN_MARK_ADD | scope_of(&view->steps[i]),
				  FAN_OPEN | FAN_ONDIR, AT_FDCWD, view->steps[i].target) < 0)
			return -errno;
	return 0;
}

/* ---- writing ---- */

static bool write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		length -= (size_t)n;
	}
	return true;
}

/* O6. A file that is longer than the bound counts as LOST for who reads it, whatever it says. */
static bool is_full(struct pl_watch *watch, int to)
{
	struct stat st;

	if (!watch->is_full && fstat(to, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size > (off_t)PL_READS_MAX)
		watch->is_full = true;
	return watch->is_full;
}

/* O1. Where there is no room, LOST says all that the file said. */
static void put(struct pl_watch *watch, int to, const char *path, size_t length)
{
	if (watch->has_failed || is_full(watch, to) || write_all(to, path, length + 1))
		return;
	watch->has_failed = ftruncate(to, 0) < 0 || !write_all(to, LOST, sizeof(LOST));
}

/* The part of a path that lies in the workspace, wherever that is shown; NULL: elsewhere. */
static const char *inside(const struct pl_view *view, const char *path)
{
	for (size_t i = 0; i < view->n_steps; i++) {
		const char *target = view->steps[i].target;
		size_t n = strlen(target);

		if (is_shown(&view->steps[i]) && strncmp(path, target, n) == 0 &&
		    (path[n] == '/' || path[n] == '\0'))
			return path[n] == '/' ? path + n + 1 : path + n;
	}
	return NULL;
}

/* ---- reading ---- */

static void note_path(struct pl_watch *watch, const struct pl_view *view, char *path, size_t length)
{
	const size_t end = strlen(DELETED);
	const char *relative;
	bool is_inside = false;

	path[length] = '\0';
	for (int twice = 0; twice < 2; twice++) {
		relative = inside(view, path);
		if (relative)
			put(watch, view->reads_fd, relative, strlen(relative));
		is_inside = is_inside || relative;
		if (length < end || strcmp(path + length - end, DELETED) != 0)
			break;
		path[length - end] = '\0'; /* O2 */
		length = 0;
	}
	if (!is_inside)
		put(watch, view->reads_fd, LOST,
		    strlen(LOST)); /* O7: it was opened by a copy elsewhere */
}

static void note_open(struct pl_watch *watch, const struct pl_view *view, int fd)
{
	char name[PL_DECIMAL_MAX], path[4097];
	ssize_t length;

	pl_decimal((unsigned long)fd, name);
	length = readlinkat(watch->names, name, path, sizeof(path) - 1);
	if (length <= 0 || (size_t)length == sizeof(path) - 1 || path[0] != '/')
		put(watch, view->reads_fd, LOST, strlen(LOST));
	else
		note_path(watch, view, path, (size_t)length);
}

/* What read(2) of events says when there are none to come, and not that one could not be given. */
static bool is_end(int err)
{
	return err == EAGAIN || err == EBADF || err == EINVAL || err == EFAULT;
}

int pl_watch_note(struct pl_watch *watch, const struct pl_view *view, unsigned rounds)
{
	_Alignas(struct fanotify_event_metadata) char buffer[4096];

	for (unsigned i = 0; watch->fd >= 0 && i < rounds; i++) { /* O5 */
		const struct fanotify_event_metadata *e = (const void *)buffer;
		ssize_t n = read(watch->fd, buffer, sizeof(buffer));

		if (n == 0 || (n < 0 && is_end(errno)))
			break;
		if (n < 0 && errno != EINTR) /* the event is gone, with what it told */
			put(watch, view->reads_fd, LOST, strlen(LOST));
		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
			if (e->mask & FAN_Q_OVERFLOW)
				put(watch, view->reads_fd, LOST, strlen(LOST));
			if (e->fd < 0)
				continue;
			if (e->pid != 1) /* not our own */
				note_open(watch, view, e->fd);
			close(e->fd);
		}
	}
	return watch->has_failed ? -EIO : 0;
}
