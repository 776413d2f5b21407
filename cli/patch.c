/*
 * patch.c - one change as a unified diff, made by diff(1).
 *
 * The contents go into temporary files without a name, so that nothing is left however this ends;
 * diff(1) opens them by their descriptors. A symlink's content is its target. Files of a directory
 * outside the store are opened component by component: their paths may be longer than PATH_MAX, and
 * no symlink that somebody puts there meanwhile is followed. Files of a workspace that has no path out here
 * are read by cat(1) in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static int cannot(struct cli *cli, const char *path, const char *what, int err)
{
	return cli_failf(cli, err == ENOSPC ? PLEACH_NO_SPACE : PLEACH_FAILED, path, NULL,
			 "cannot %s '%s': %s", what, path, strerror(err));
}

/* Opens directory/path for reading. Returns the descriptor or a negative errno. */
static int open_below(const char *directory, const char *path)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[256];

	while (fd >= 0) {
		size_t length = strcspn(path, "/");
		bool is_last = !path[length];
		int next;

		if (length >= sizeof(name)) {
			close(fd);
			return -ENAMETOOLONG;
		}
		memcpy(name, path, length);
		name[length] = 0;
		next = openat(fd, name,
			      O_RDONLY | O_NOFOLLOW | O_CLOEXEC |
				      (is_last ? O_NONBLOCK : O_DIRECTORY));
		close(fd);
		if (is_last)
			return next < 0 ? -errno : next;
		fd = next;
		path += length + 1;
	}
	return -errno;
}

static int copy_outside(struct cli *cli, const char *directory, const char *path, FILE *out)
{
	char buffer[65536];
	ssize_t n = 0;
	int fd = open_below(directory, path), err;

	if (fd < 0)
		return cannot(cli, path, "read", -fd);
	while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR && !signals_caught())
			continue;
		if (n < 0 || fwrite(buffer, 1, (size_t)n, out) != (size_t)n)
			break;
	}
	err = errno;
	close(fd);
	if (n == 0)
		return 0;
	return cannot(cli, path, n < 0 ? "read" : "copy", err);
}

static int copy_object(struct cli *cli, const struct patch_side *side, const char *path, FILE *out)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_file *file;
	char buffer[65536];
	char *rev = operand_join(side->rev, side->path, path);
	ssize_t n;
	int status = 0;

	if (!rev)
		return cli_no_memory(cli);
	if (pleach_file_open(cli->store, rev, &file, &error) < 0) {
		free(rev);
		return cli_fail(cli, &error);
	}
	while ((n = pleach_file_read(file, buffer, sizeof(buffer), &error)) > 0)
		if (fwrite(buffer, 1, (size_t)n, out) != (size_t)n)
			break;
	if (n < 0)
		status = cli_fail(cli, &error);
	else if (n > 0)
		status = cannot(cli, path, "copy", errno);
	pleach_file_close(file);
	free(rev);
	return status;
}

static int copy_status(struct cli *cli, const char *path, const struct pleach_process_event *event)
{
	if (event->what == PLEACH_PROCESS_EXITED && event->value == 0)
		return 0;
	if (event->what == PLEACH_PROCESS_NO_EXEC)
		return cannot(cli, path, "read", event->value);
	return cli_failf(cli, PLEACH_FAILED, path, NULL, "cannot read '%s': cat ended with %d",
			 path, event->value);
}

static int copy_inside(struct cli *cli, struct pleach_tx *tx, const char *path, FILE *out)
{
	char *argv[] = {(char *)"cat", (char *)"--", (char *)path, NULL};
	struct pleach_process_event event = PLEACH_PROCESS_EVENT_INIT;
	struct pleach_spawn_options options = PLEACH_SPAWN_OPTIONS_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_process *process;
	int r;

	pleach_tx_describe(tx, &info);
	options.directory = info.public_path;
	options.stdio[1] = fileno(out);
	if (pleach_tx_spawn(tx, argv, &options, &process, &error) < 0)
		return cli_fail(cli, &error);
	do
		r = pleach_process_wait(process, &event, &error);
	while (r == -EINTR && !signals_caught());
	pleach_process_close(process);
	return r < 0 ? cli_fail(cli, &error) : copy_status(cli, path, &event);
}

static bool has_content(const struct pleach_entry *entry)
{
	return entry && (entry->type == PLEACH_FILE || entry->type == PLEACH_SYMLINK);
}

/* The content of one side in an unnamed file, NULL if it has none. */
static int content(struct cli *cli, const struct patch_side *side, const char *path,
		   const struct pleach_entry *entry, FILE **ret_file)
{
	FILE *file;
	int status = 0;

	*ret_file = NULL;
	if (!has_content(entry))
		return 0;
	file = tmpfile();
	if (!file)
		return cannot(cli, path, "make a temporary copy of", errno);
	if (entry->type == PLEACH_SYMLINK)
		fputs(entry->target, file);
	else if (side->directory)
		status = copy_outside(cli, side->directory, path, file);
	else if (side->tx)
		status = copy_inside(cli, side->tx, path, file);
	else
		status = copy_object(cli, side, path, file);
	if (status == 0 && fflush(file) != 0)
		status = cannot(cli, path, "copy", errno);
	if (status != 0) {
		fclose(file);
		return status;
	}
	*ret_file = file;
	return 0;
}

/* "a/PATH" as patch(1) reads it: quoted as in C if it would break the line. malloc()ed. */
static char *label(char side, const char *path)
{
	bool is_plain = true;
	char *text = malloc(strlen(path) * ESCAPE_MAX + 8), *out = text;

	if (!text)
		return NULL;
	for (const char *s = path; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7f)
			is_plain = false;
	if (!is_plain)
		*out++ = '"';
	*out++ = side;
	*out++ = '/';
	for (const char *s = path; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f) {
			out += escape_byte((unsigned char)*s, out);
			continue;
		}
		if (*s == '"' || *s == '\\')
			*out++ = '\\';
		*out++ = *s;
	}
	if (!is_plain)
		*out++ = '"';
	*out = 0;
	return text;
}

/* Has diff(1) print what turns one file into the other, NULL being none. */
static int run_diff(struct cli *cli, FILE *before, FILE *after, const char *label_before,
		    const char *label_after)
{
	char names[2][32] = {"/dev/null", "/dev/null"};
	char *argv[] = {(char *)"diff",
			(char *)"-u",
			(char *)"--label",
			(char *)(before ? label_before : "/dev/null"),
			(char *)"--label",
			(char *)(after ? label_after : "/dev/null"),
			names[0],
			names[1],
			NULL};
	int status;

	if (before)
		snprintf(names[0], sizeof(names[0]), "/dev/fd/%d", fileno(before));
	if (after)
		snprintf(names[1], sizeof(names[1]), "/dev/fd/%d", fileno(after));
	fflush(stdout);
	status = output_check(cli);
	if (status != 0)
		return status;
	status = signals_run(argv);
	if (status < 0)
		return cli_failf(cli, PLEACH_FAILED, NULL,
				 "install diffutils, or use 'pleach diff' without -p",
				 "cannot run diff: %s", strerror(-status));
	if (status > 1)
		return cli_failf(cli, PLEACH_FAILED, NULL, NULL, "diff ended with status %d",
				 status);
	return 0;
}

static void mode_line(const char *what, const struct pleach_entry *entry)
{
	printf("%s mode %c %04o\n", what, entry->type, (unsigned)entry->mode);
}

/* What diff(1) cannot say: that something came, went, or has another mode. */
static void head(const struct pleach_change *change, const char *label_before,
		 const char *label_after)
{
	printf("diff %s %s\n", label_before, label_after);
	if (!change->before)
		mode_line("new", change->after);
	else if (!change->after)
		mode_line("deleted", change->before);
	else if (change->before->mode != change->after->mode ||
		 change->before->type != change->after->type) {
		mode_line("old", change->before);
		mode_line("new", change->after);
	}
	if (change->change == 'P')
		printf("other metadata\n");
	if (change->change == 'L')
		printf("other hard links\n");
}

int patch_print(struct cli *cli, const struct patch_side *before, const struct patch_side *after,
		const struct pleach_change *change)
{
	FILE *old = NULL, *new = NULL;
	char *label_before = label('a', change->path), *label_after = label('b', change->path);
	bool is_content = change->change != 'P' && change->change != 'L';
	int status = 0;

	if (!label_before || !label_after) {
		status = cli_no_memory(cli);
		goto out;
	}
	head(change, label_before, label_after);
	if (!is_content)
		goto out;
	status = content(cli, before, change->path, change->before, &old);
	if (status == 0)
		status = content(cli, after, change->path, change->after, &new);
	if (status != 0)
		goto out;
	if (change->change == 'T') {
		if (old)
			status = run_diff(cli, old, NULL, label_before, label_after);
		if (status == 0 && new)
			status = run_diff(cli, NULL, new, label_before, label_after);
	} else if (old || new) {
		status = run_diff(cli, old, new, label_before, label_after);
	}
out:
	if (old)
		fclose(old);
	if (new)
		fclose(new);
	free(label_before);
	free(label_after);
	return status;
}
