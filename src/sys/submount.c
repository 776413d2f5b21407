/*
 * What a program has mounted in the directories that its view shows, and left there. It goes with the namespace, and
 * what was written into it was never in the workspace. As init.c, of which it is a part, it makes async-signal-safe
 * calls alone.
 *
 * B1  A mount is one of these if its parent is a mount that the view shows, known by its number from before the
 *     program was started. What comes from outside hangs on other mounts, below ours.
 * B2  What the program has mounted in namespaces of its own is as if it had been unmounted: nobody else saw it.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/init.h"

enum field { MOUNT_ID, PARENT_ID, DEVICE, ROOT, MOUNT_POINT };

/* One line of /proc/self/mountinfo, as far as it has come. */
struct line {
	unsigned field;
	uint64_t parent;
	unsigned n_octal, octal; /* digits of an escape to come, and what they were so far */
	size_t length;
	char path[PL_SUBMOUNT_MAX];
};

static bool is_shown(const struct pl_view_step *step)
{
	return step->what == PL_VIEW_OVERLAY || step->what == PL_VIEW_BIND;
}

/* 0: nothing that is known by a number. */
static uint64_t number_of(const char *path)
{
#ifdef STATX_MNT_ID
	struct statx stx = {0};

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &stx) == 0 &&
	    (stx.stx_mask & STATX_MNT_ID))
		return stx.stx_mnt_id;
#endif
	(void)path;
	return 0;
}

void pl_submounts_begin(struct pl_submounts *s, const struct pl_view *view)
{
	s->list = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < view->n_steps; i++)
		s->numbers[i] =
			is_shown(&view->steps[i]) ? number_of(view->steps[i].target) : 0; /* B1 */
}

/* A byte of the mount point, in which blanks and the like are written as \ooo. */
static void take_path(struct line *line, char c)
{
	if (line->n_octal > 0) {
		line->octal = line->octal * 8 + (unsigned)(c - '0');
		if (--line->n_octal > 0)
			return;
		c = (char)line->octal;
	} else if (c == '\\') {
		line->n_octal = 3;
		line->octal = 0;
		return;
	}
	if (line->length + 1 < sizeof(line->path))
		line->path[line->length++] = c;
	line->path[line->length] = '\0';
}

static void take(struct line *line, char c)
{
	if (c == ' ')
		line->field++;
	else if (line->field == PARENT_ID)
		line->parent = line->parent * 10 + (uint64_t)(c - '0');
	else if (line->field == MOUNT_POINT)
		take_path(line, c);
}

static void begin_line(struct line *line)
{
	line->field = MOUNT_ID;
	line->parent = 0;
	line->n_octal = 0;
	line->length = 0;
	line->path[0] = '\0';
}

/* Is it one? Then the path behind what is shown, "." for that itself. */
static bool is_submount(const struct pl_submounts *s, const struct pl_view *view,
			const struct line *line, char ret_path[PL_SUBMOUNT_MAX])
{
	for (size_t i = 0; i < view->n_steps; i++) {
		size_t n = strlen(view->steps[i].target);
		const char *rest = line->path;

		if (s->numbers[i] == 0 || s->numbers[i] != line->parent)
			continue;
		if (strncmp(rest, view->steps[i].target, n) == 0)
			rest += rest[n] == '/' ? n + 1 : n;
		memcpy(ret_path, *rest ? rest : ".", *rest ? strlen(rest) + 1 : 2);
		return true;
	}
	return false;
}

bool pl_submounts_find(const struct pl_submounts *s, const struct pl_view *view,
		       char ret_path[PL_SUBMOUNT_MAX])
{
	struct line line;
	char buffer[4096];
	ssize_t n;

	begin_line(&line);
	while (s->list >= 0 && (n = read(s->list, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] != '\n') {
				take(&line, buffer[i]);
				continue;
			}
			if (is_submount(s, view, &line, ret_path))
				return true;
			begin_line(&line);
		}
	}
	return false;
}
