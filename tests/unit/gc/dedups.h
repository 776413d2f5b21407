/*
 * Small trees with equal files, what must stay of them, and the call that shares them. Include after
 * cmocka.h. Functions here are for children, too: they do not assert.
 */
#ifndef PL_TEST_DEDUPS_H
#define PL_TEST_DEDUPS_H

#include <sys/xattr.h>

#include "ref/stores.h"

/* A file of `size` bytes, each other than with another `content`, from the year 2020. */
static inline int put_sized(const struct scratch *s, const char *name, char content, size_t size)
{
	const struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
	int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char *bytes = malloc(size + 1);
	int r = -1;

	if (fd >= 0 && bytes) {
		memset(bytes, content, size);
		r = write(fd, bytes, size) == (ssize_t)size && futimens(fd, times) == 0 ? 0 : -1;
	}
	free(bytes);
	if (fd >= 0)
		close(fd);
	return r;
}

static inline int put(const struct scratch *s, const char *name, const char *content)
{
	const struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};

	(void)unlinkat(s->fd, name, 0);
	return make_file(s->fd, name, content) < 0 || utimensat(s->fd, name, times, 0) < 0 ? -1 : 0;
}

static inline int make_dir(const struct scratch *s, const char *name, mode_t mode)
{
	return mkdirat(s->fd, name, 0700) < 0 || fchmodat(s->fd, name, mode, 0) < 0 ? -1 : 0;
}

/* a/one b/one c/two and more: `one` thrice, `two` twice, and what has no twin. */
static inline int make_tree(const struct scratch *s)
{
	const struct timespec times[2] = {{.tv_sec = 1500000000}, {.tv_sec = 1500000000}};
	static const char *const dirs[] = {"t", "t/a", "t/b", "t/b/c"};
	int r = 0;

	for (size_t i = 0; i < PL_ARRAY_LEN(dirs); i++)
		r |= make_dir(s, dirs[i], 0755);
	r |= put(s, "t/a/one", "first\n");
	r |= put(s, "t/b/one", "first\n");
	r |= put(s, "t/b/c/one", "first\n");
	r |= put(s, "t/a/two", "second one\n");
	r |= put(s, "t/b/two", "second one\n");
	r |= put(s, "t/b/like", "frist\n");
	r |= put(s, "t/a/alone", "there is nothing of this size\n");
	r |= put(s, "t/a/empty", "");
	r |= put(s, "t/b/empty", "");
	r |= symlinkat("one", s->fd, "t/a/link");
	for (size_t i = PL_ARRAY_LEN(dirs); i-- > 0;)
		r |= utimensat(s->fd, dirs[i], times, 0);
	return r;
}
#define TREE_INODES	   8 /* of files */
#define TREE_INODES_SHARED 5

/* Reads a small file; "" if it cannot be. */
static inline const char *content_of(const struct scratch *s, const char *name)
{
	static char text[4][64];
	static unsigned next;
	char *to = text[next++ % 4];
	int fd = openat(s->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, to, sizeof(text[0]) - 1);

	to[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
	return to;
}

/* Is every name of make_tree() there, with its content and times? */
static inline bool tree_is_whole(const struct scratch *s)
{
	static const char *const files[][2] = {
		{"t/a/one", "first\n"},	     {"t/b/one", "first\n"},
		{"t/b/c/one", "first\n"},    {"t/a/two", "second one\n"},
		{"t/b/two", "second one\n"}, {"t/b/like", "frist\n"},
		{"t/a/empty", ""},	     {"t/a/alone", "there is nothing of this size\n"},
	};
	struct stat st;

	for (size_t i = 0; i < PL_ARRAY_LEN(files); i++)
		if (fstatat(s->fd, files[i][0], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || st.st_mtim.tv_sec != 1600000000 ||
		    strcmp(content_of(s, files[i][0]), files[i][1]) != 0)
			return false;
	return true;
}

/* What a shell command prints, as a number; it runs in the scratch directory. */
static inline long number_of(const struct scratch *s, const char *command)
{
	char line[64] = "", all[4600];
	FILE *pipe;

	(void)snprintf(all, sizeof(all), "cd '%s' && %s", s->path, command);
	pipe = popen(all, "r");
	if (!pipe || !fgets(line, sizeof(line), pipe))
		line[0] = '\0';
	if (pipe)
		(void)pclose(pipe);
	return line[0] ? strtol(line, NULL, 10) : -1;
}

static inline long count_inodes(const struct scratch *s)
{
	return number_of(
		s, "find t -type f -not -path '*/.pleach-*' -printf '%i\\n' | sort -u | wc -l");
}

static inline long count_unfinished(const struct scratch *s)
{
	return number_of(s, "find . -name '.pleach-*' | wc -l");
}

static inline bool same_file(const struct scratch *s, const char *a, const char *b)
{
	struct stat x, y;

	return fstatat(s->fd, a, &x, 0) == 0 && fstatat(s->fd, b, &y, 0) == 0 &&
	       pl_same_inode(&x, &y);
}

struct dedup_call {
	struct pleach_dedup_options options;
	struct pleach_dedup_result result;
	struct pleach_error error;
	uint64_t findings;
	char finding[4400]; /* "path: message" of the first */
};

static inline struct dedup_call dedup_begin(const char *how)
{
	struct dedup_call c = {.options = PLEACH_DEDUP_OPTIONS_INIT,
			       .result = PLEACH_DEDUP_RESULT_INIT,
			       .error = PLEACH_ERROR_INIT};

	c.options.how = how;
	return c;
}

static inline int dedup_paths(struct dedup_call *c, const char *const *paths)
{
	struct pleach_finding finding = PLEACH_FINDING_INIT;
	struct pleach_report *report = NULL;
	int r = pleach_dedup(paths, &c->options, &c->result, &report, &c->error);

	while (report && pleach_report_next(report, &finding, NULL) > 0)
		if (c->findings++ == 0)
			(void)snprintf(c->finding, sizeof(c->finding), "%s: %s", finding.path,
				       finding.message);
	pleach_report_close(report);
	return r;
}

static inline int dedup_at(const struct scratch *s, struct dedup_call *c, const char *name)
{
	return dedup_paths(c, (const char *const[]){scratch_path(s, name), NULL});
}

/* t, by links. */
static inline int dedup_tree(struct scratch *s)
{
	struct dedup_call c = dedup_begin("link");

	return dedup_at(s, &c, "t");
}

/* The same with an index, which is made where it is missing. */
static inline int dedup_tree_with_index(struct scratch *s)
{
	struct dedup_call c = dedup_begin("link");

	(void)mkdirat(s->fd, "index", 0755);
	c.options.index = scratch_path(s, "index");
	return dedup_at(s, &c, "t");
}

#endif
