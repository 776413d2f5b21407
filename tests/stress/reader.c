/*
 * Reads a tree that others replace, as fast as it can, and writes down what it saw and when. Every file of a tree
 * says the same stamp, so that a mixture is seen at once. Knows nothing of pleach: it opens, reads and closes.
 *
 *	reader MODE DIR OUT GRACE_MS NAME...
 *
 *	free	until SIGTERM: each file by its whole path, or all of them in a directory that is held open, for a
 *		moment, for most of the grace, or for longer; within the grace all of it must be there and of one
 *		stamp, later it may be gone, but is never another's
 *	counts	until SIGTERM: the names are pairs of files with equal numbers; their sum is the stamp
 *	pinned	DIR is $PLEACH_PATH: for a random time up to GRACE_MS, all of it must be there and of one stamp
 *
 * A NAME that begins with `@` is a symlink to the stamp, one with `=` a file that is the same in all trees.
 *
 * Lines of OUT, appended whole; times are of CLOCK_MONOTONIC, in ns:
 *
 *	saw STAMP FIRST_BEGIN FIRST_END LAST_BEGIN LAST_END READS     of looks in a row that saw one stamp; at most
 *								      STREAK_NS of them
 *	held GENERATION STAMP BEGIN END READS			      of a pin; BEGIN is $PIN_BEGIN
 *	fault TEXT						      the end, status 1
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAMP_MAX  64
#define STREAK_NS  INT64_C(4000000)
#define MARGIN_NS  INT64_C(50000000) /* by which clocks that tell of the grace may differ */
#define ROUNDS_MAX 40

struct streak {
	char stamp[STAMP_MAX];
	int64_t first_begin, first_end, last_begin, last_end;
	uint64_t reads;
};
struct reader {
	const char *path;
	char *const *names;
	size_t n_names;
	int out;
	int64_t grace_ns;
	uint64_t random;
	struct streak streak;
	uint64_t reads; /* since the last look was noted */
};

static volatile sig_atomic_t is_over;

static void on_term(int number)
{
	(void)number;
	is_over = 1;
}

static int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint64_t roll(struct reader *r, uint64_t n)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random % n;
}

/* ---- what is written down ---- */

__attribute__((format(printf, 2, 3))) static void say(struct reader *r, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line) || write(r->out, line, (size_t)n) != n)
		_exit(2);
}

static void end_streak(struct reader *r)
{
	struct streak *s = &r->streak;

	if (s->stamp[0])
		say(r, "saw %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 "\n",
		    s->stamp, s->first_begin, s->first_end, s->last_begin, s->last_end, s->reads);
	s->stamp[0] = '\0';
}

__attribute__((format(printf, 2, 3), noreturn)) static void fault(struct reader *r,
								  const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	end_streak(r);
	say(r, "fault %s: %s\n", r->path, text);
	exit(1);
}

/* A look at the public path, between two moments, ended in a tree of this stamp. */
static void note(struct reader *r, const char *stamp, int64_t begin, int64_t end)
{
	struct streak *s = &r->streak;

	if (strcmp(s->stamp, stamp) != 0 || begin - s->first_begin > STREAK_NS) {
		end_streak(r);
		*s = (struct streak){.first_begin = begin, .first_end = end};
		memcpy(s->stamp, stamp, STAMP_MAX);
	}
	s->last_begin = begin;
	s->last_end = end;
	s->reads += r->reads;
	r->reads = 0;
}

/* ---- reading ---- */

/* What a name says. False: errno. */
static bool read_name(struct reader *r, int dirfd, const char *name, char text[STAMP_MAX])
{
	ssize_t n;
	int fd;

	r->reads++;
	if (name[0] == '@') {
		n = readlinkat(dirfd, name + 1, text, STAMP_MAX - 1);
		text[n < 0 ? 0 : n] = '\0';
		return n >= 0;
	}
	fd = openat(dirfd, name + (name[0] == '='), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, STAMP_MAX - 1);
	if (n < 0)
		fault(r, "%s: %s while it is read", name, strerror(errno));
	(void)close(fd);
	if (n == 0 || text[n - 1] != '\n')
		fault(r, "%s is cut off", name);
	text[n - 1] = '\0';
	return true;
}

enum whole { WHOLE, GONE };

/*
 * All names below a directory. GONE, with the name: one was not there. Those that are, are of one stamp all the same.
 * `stamp` "": of any.
 */
static enum whole read_all(struct reader *r, int dirfd, char stamp[STAMP_MAX],
			   const char **ret_gone)
{
	enum whole whole = WHOLE;

	for (size_t i = 0; i < r->n_names; i++) {
		char text[STAMP_MAX];

		if (!read_name(r, dirfd, r->names[i], text)) {
			if (errno != ENOENT)
				fault(r, "%s: %s", r->names[i], strerror(errno));
			*ret_gone = r->names[i];
			whole = GONE;
		} else if (r->names[i][0] == '=') {
			if (strcmp(text, "same") != 0)
				fault(r, "%s says '%s'", r->names[i], text);
		} else if (stamp[0] && strcmp(text, stamp) != 0) {
			fault(r, "a mixture: %s is of %s, what was read before of %s", r->names[i],
			      text, stamp);
		} else {
			memcpy(stamp, text, STAMP_MAX);
		}
	}
	return whole;
}

/* ---- without a pin ---- */

static bool is_within_grace(const struct reader *r, int64_t begin)
{
	return now_ns() - begin < r->grace_ns - MARGIN_NS;
}

/* Each name by one lookup from the top. */
static void look_by_paths(struct reader *r)
{
	for (size_t i = 0; i < r->n_names; i++) {
		bool is_link = r->names[i][0] == '@', is_same = r->names[i][0] == '=';
		char name[4096], text[STAMP_MAX] = "";
		int64_t begin;

		(void)snprintf(name, sizeof(name), "%s%s/%s", is_link ? "@" : "", r->path,
			       r->names[i] + (is_link || is_same));
		begin = now_ns();
		if (!read_name(r, AT_FDCWD, name, text)) {
			if (errno != ENOENT || is_within_grace(r, begin))
				fault(r, "a gap: %s: %s", r->names[i], strerror(errno));
			continue;
		}
		if (!is_same)
			note(r, text, begin, now_ns());
		else if (strcmp(text, "same") != 0)
			fault(r, "%s says '%s'", r->names[i], text);
	}
}

static int open_tree(struct reader *r, int64_t *ret_begin, int64_t *ret_end)
{
	int fd;

	*ret_begin = now_ns();
	fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_end = now_ns();
	if (fd < 0 && (errno != ENOENT || is_within_grace(r, *ret_begin)))
		fault(r, "a gap: the tree: %s", strerror(errno));
	return fd;
}

/* All names below a directory that is held open; now and then for longer than the grace. */
static void look_by_directory(struct reader *r)
{
	int64_t begin, end, until;
	uint64_t how = roll(r, 256), rounds = 1 + roll(r, ROUNDS_MAX);
	char stamp[STAMP_MAX] = "";
	const char *gone;
	int fd = open_tree(r, &begin, &end);

	if (fd < 0)
		return;
	until = how == 0 ? end + 2 * r->grace_ns : how < 4 ? end + r->grace_ns * 3 / 4 : end;
	do {
		if (read_all(r, fd, stamp, &gone) == GONE) {
			if (is_within_grace(r, begin))
				fault(r, "%s has gone within the grace", gone);
			break;
		}
		note(r, stamp, begin, end);
	} while (!is_over && (now_ns() < until || rounds-- > 1));
	(void)close(fd);
}

/* The sum of the numbers; those of a pair must be equal. */
static void look_at_counts(struct reader *r)
{
	int64_t begin, end;
	uint64_t sum = 0;
	int fd = open_tree(r, &begin, &end);
	char stamp[STAMP_MAX] = "";

	for (size_t i = 0; fd >= 0 && i + 1 < r->n_names; i += 2) {
		char one[STAMP_MAX] = "", other[STAMP_MAX] = "";

		if (!read_name(r, fd, r->names[i], one) ||
		    !read_name(r, fd, r->names[i + 1], other)) {
			if (errno != ENOENT || is_within_grace(r, begin))
				fault(r, "%s or %s: %s", r->names[i], r->names[i + 1],
				      strerror(errno));
			(void)close(fd);
			return;
		}
		if (strcmp(one, other) != 0)
			fault(r, "a mixture: %s is %s, %s is %s", r->names[i], one, r->names[i + 1],
			      other);
		sum += strtoull(one, NULL, 10);
	}
	if (fd < 0)
		return;
	(void)close(fd);
	(void)snprintf(stamp, sizeof(stamp), "%" PRIu64, sum);
	note(r, stamp, begin, end);
}

/* ---- with a pin ---- */

static void say_held(struct reader *r, const char *stamp)
{
	const char *generation = getenv("PLEACH_GENERATION"), *begin = getenv("PIN_BEGIN");

	say(r, "held %s %s %s %" PRId64 " %" PRIu64 "\n", generation ? generation : "-", stamp,
	    begin ? begin : "0", now_ns(), r->reads);
	r->reads = 0;
}

static void hold(struct reader *r)
{
	int64_t until = now_ns() + (int64_t)roll(r, (uint64_t)r->grace_ns);
	char stamp[STAMP_MAX] = "";
	const char *gone;
	int fd;

	r->path = getenv("PLEACH_PATH");
	if (!r->path)
		_exit(2);
	fd = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fault(r, "pinned, and the tree is not there: %s", strerror(errno));
	do {
		bool is_first = stamp[0] == '\0';
		int again = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (again < 0 || read_all(r, fd, stamp, &gone) == GONE ||
		    read_all(r, again, stamp, &gone) == GONE)
			fault(r, "pinned, and %s is not there", again < 0 ? "the tree" : gone);
		(void)close(again);
		if (is_first)
			say_held(r, stamp);
	} while (!is_over && now_ns() < until);
	(void)close(fd);
	say_held(r, stamp);
}

int main(int argc, char **argv)
{
	struct reader r = {.random = (uint64_t)now_ns() | 1};
	struct sigaction action = {.sa_handler = on_term};

	if (argc < 6)
		return 2;
	r.path = argv[2];
	r.out = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	r.grace_ns = strtoll(argv[4], NULL, 10) * 1000000;
	r.names = argv + 5;
	r.n_names = (size_t)argc - 5;
	if (r.out < 0 || sigaction(SIGTERM, &action, NULL) < 0)
		return 2;
	if (strcmp(argv[1], "pinned") == 0) {
		hold(&r);
		return 0;
	}
	while (!is_over) {
		if (strcmp(argv[1], "counts") == 0)
			look_at_counts(&r);
		else if (roll(&r, 2) == 0)
			look_by_paths(&r);
		else
			look_by_directory(&r);
	}
	end_streak(&r);
	return 0;
}
