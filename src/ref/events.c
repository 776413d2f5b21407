/*
 * What pleach did by itself, a line each, for `status`: cache/events. A help and no record: any line
 * may be missing, none is ever needed, and no failure here is one of the command.
 *
 * E1  The file has at most EVENTS_MAX bytes and the line that went over it; then the older half goes.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "ref/ref.h"

#define EVENTS_MAX (64u << 10)
#define LINE_MAX   1024
#define READ_MAX   (1u << 20) /* more than we ever write: not our file */
#define NAME	   "events"
#define NEW_NAME   "events.new"

/* Puts a file with the newer half in its place. One that another process is about to make is left
 * alone, unless it was killed over it: then the name is free the time after. */
static void drop_older_half(int cache_fd)
{
	PL_BUFFER all = {0};
	size_t from;
	const void *end;

	if (pl_read_file(cache_fd, NAME, READ_MAX, &all) < 0) {
		(void)pl_unlink(cache_fd, NAME);
		return;
	}
	from = all.length / 2;
	end = memchr(all.data + from, '\n', all.length - from);
	if (!end)
		return;
	from = (size_t)((const unsigned char *)end - all.data) + 1;
	if (pl_write_file(cache_fd, NEW_NAME, 0600, all.data + from, all.length - from, false) <
		    0 ||
	    pl_rename(cache_fd, NEW_NAME, cache_fd, NAME) < 0)
		(void)pl_unlink(cache_fd, NEW_NAME);
}

/* The time, and a blank. Returns how long that is. */
static size_t begin_line(char line[LINE_MAX])
{
	struct timespec now;

	pl_clock_wall(&now);
	pl_time_text(now.tv_sec, (uint32_t)now.tv_nsec, line);
	line[PL_TIME_TEXT - 1] = ' ';
	return PL_TIME_TEXT;
}

/* Makes what follows `at` printable, and ends it. Returns how long all is. */
static size_t end_line(char line[LINE_MAX], size_t at)
{
	for (; line[at]; at++) {
		if ((unsigned char)line[at] < 0x20 || line[at] == 0x7f)
			line[at] = '?';
	}
	line[at++] = '\n';
	pl_assert(at <= LINE_MAX);
	return at;
}

void pl_event_add(struct pl_store *store, const char *tx_id, const char *format, ...)
{
	PL_CLOSE int fd = -EBADF;
	char line[LINE_MAX];
	struct stat st;
	va_list args;
	size_t at;
	int n;

	if (store->cache_fd < 0)
		return;
	pl_assert(!tx_id || pl_is_random_name(tx_id));
	at = begin_line(line);
	if (tx_id)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s ", tx_id);
	va_start(args, format);
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	at = end_line(line, at);
	fd = pl_open_or_create(store->cache_fd, NAME, O_WRONLY | O_APPEND | O_NONBLOCK, 0600);
	/* In one piece, so that the lines of two processes do not mix. */
	if (fd < 0 || pl_write_full(fd, line, at) < 0)
		return;
	if (pl_fstat(fd, &st) == 0 && st.st_size > EVENTS_MAX) /* E1 */
		drop_older_half(store->cache_fd);
}

void pl_event_take_id(char *line, char ret_id[25])
{
	const size_t length = 24;
	char *id = line + PL_TIME_TEXT;

	ret_id[0] = '\0';
	if (strlen(line) <= PL_TIME_TEXT + length || !pl_is_hex(id, length) || id[length] != ' ')
		return;
	memcpy(ret_id, id, length);
	ret_id[length] = '\0';
	memmove(id, id + length + 1, strlen(id + length + 1) + 1);
}

int pl_event_list(struct pl_store *store, struct pl_strings *ret_lines)
{
	struct pl_strings lines = {0};
	PL_BUFFER all = {0};
	char *line, *rest = NULL;
	int r = 0;

	if (store->cache_fd >= 0)
		r = pl_read_file(store->cache_fd, NAME, READ_MAX, &all);
	if (r == -ENOMEM)
		return r;
	if (r == 0 && all.length > 0) {
		for (line = strtok_r((char *)all.data, "\n", &rest); line && r == 0;
		     line = strtok_r(NULL, "\n", &rest))
			r = pl_strings_add(&lines, line);
		if (r < 0) {
			pl_strings_done(&lines);
			return r;
		}
	}
	*ret_lines = lines;
	return 0;
}
