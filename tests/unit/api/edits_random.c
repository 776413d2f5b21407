/*
 * Random programs of edits, made three ways: in memory, in a plain directory that is a workspace, and with system
 * calls in a directory of the test's own, which is published. All three answer each edit alike, and end in
 * one tree. Seeds are fixed and printed; PLEACH_EDITS_SEED=N runs just one, PLEACH_EDITS_RUNS=N more of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/editing.h"

#define RUNS  12
#define STEPS 250

/* ---- chance ---- */

struct chance {
	uint64_t state;
};
static unsigned below(struct chance *c, unsigned n)
{
	c->state = c->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(c->state >> 33) % n;
}

/* Few names, so that edits meet; two of them long and odd. */
static void random_path(struct chance *c, char path[64])
{
	static const char *const names[] = {"a", "d", "e", "same", "\xff\n"};
	unsigned chance = below(c, 10), depth = chance < 4 ? 1 : chance < 8 ? 2 : 3;

	path[0] = '\0';
	for (unsigned i = 0; i < depth; i++) {
		if (i > 0)
			strcat(path, "/");
		strcat(path, names[below(c, PL_ARRAY_LEN(names))]);
	}
}

/* ---- one edit, with system calls ---- */

enum op { PUT, MKDIR, SYMLINK, LINK, REMOVE, RENAME, MODE, TIMES, N_OPS };
struct edit {
	enum op op;
	char path[64], other[64], text[32];
	uint32_t mode;
	int64_t mtime_s;
};

static int negative(int r)
{
	return r < 0 ? -errno : 0;
}

/* The place of a path without following symlinks, as the library has it: -ENOENT or -ENOTDIR. */
static int check_above(int root, const char *path)
{
	char above[64];
	struct stat st;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		memcpy(above, path, (size_t)(slash - path));
		above[slash - path] = '\0';
		if (fstatat(root, above, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	}
	return 0;
}

static int set_times(int root, const char *path, int64_t mtime_s)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime_s, .tv_nsec = 5}};

	return negative(utimensat(root, path, times, AT_SYMLINK_NOFOLLOW));
}

static int by_hand_new(int root, const struct edit *x)
{
	struct stat st;
	int fd, r;

	if (fstatat(root, x->path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		if (unlinkat(root, x->path, 0) < 0)
			return -errno;
	}
	if (x->op == SYMLINK) {
		r = negative(symlinkat(x->text, root, x->path));
		return r < 0 ? r : set_times(root, x->path, x->mtime_s);
	}
	fd = openat(root, x->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, x->text, strlen(x->text)) < 0 || fchmod(fd, x->mode) < 0)
		return -errno;
	close(fd);
	return set_times(root, x->path, x->mtime_s);
}

static int by_hand_remove(int root, const char *path)
{
	struct stat st;
	TEXT *full = NULL;
	char proc[64], real[YARD_PATH];
	ssize_t n;

	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return negative(unlinkat(root, path, 0));
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", root);
	n = readlink(proc, real, sizeof(real) - 1);
	if (n < 0)
		return -errno;
	real[n] = '\0';
	full = text_of("%s/%s", real, path);
	yard_remove(full);
	return 0;
}

static int by_hand_change(int root, const struct edit *x)
{
	struct stat st;

	if (fstatat(root, x->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (x->op == TIMES)
		return set_times(root, x->path, x->mtime_s);
	return S_ISLNK(st.st_mode) ? 0 : negative(fchmodat(root, x->path, x->mode, 0));
}

static int by_hand(int root, const struct edit *x)
{
	int r = check_above(root, x->path);

	if (r == 0 && (x->op == LINK || x->op == RENAME)) {
		struct stat st;

		if (fstatat(root, x->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		r = check_above(root, x->other);
	}
	if (r < 0)
		return r;
	switch (x->op) {
	case MKDIR:
		r = negative(mkdirat(root, x->path, 0700));
		return r < 0 ? r : negative(fchmodat(root, x->path, x->mode, 0));
	case LINK:
		return negative(linkat(root, x->path, root, x->other, 0));
	case REMOVE:
		return by_hand_remove(root, x->path);
	case RENAME:
		return negative(renameat(root, x->path, root, x->other));
	case MODE:
	case TIMES:
		return by_hand_change(root, x);
	default:
		return by_hand_new(root, x);
	}
}

/* ---- one edit, by the library ---- */

static int by_library(struct editing *e, const struct edit *x)
{
	struct pleach_metadata m = with_mtime(x->mtime_s), mode = with_mode(x->mode);

	m.set |= PLEACH_SET_MODE;
	m.mode = x->mode;
	switch (x->op) {
	case PUT:
		return pleach_tx_put(e->tx, x->path, x->text, strlen(x->text), &m, &e->error);
	case MKDIR:
		return pleach_tx_mkdir(e->tx, x->path, &mode, &e->error);
	case SYMLINK:
		return pleach_tx_symlink(e->tx, x->path, x->text, &m, &e->error);
	case LINK:
		return pleach_tx_link(e->tx, x->path, x->other, &e->error);
	case REMOVE:
		return pleach_tx_remove(e->tx, x->path, &e->error);
	case RENAME:
		return pleach_tx_rename(e->tx, x->path, x->other, &e->error);
	case MODE:
		return pleach_tx_set_metadata(e->tx, x->path, &mode, &e->error);
	default:
		m.set = PLEACH_SET_MTIME;
		return pleach_tx_set_metadata(e->tx, x->path, &m, &e->error);
	}
}

/* ---- a program ---- */

/* No mode keeps an ordinary user out of his own directory: in memory nothing would. */
static struct edit random_edit(struct chance *c)
{
	static const uint32_t modes[] = {0744, 0755, 0700, 04711, 02755};
	struct edit x = {.op = below(c, N_OPS), .mode = modes[below(c, PL_ARRAY_LEN(modes))]};

	if (x.op == REMOVE && below(c, 3) > 0)
		x.op = MKDIR;
	random_path(c, x.path);
	random_path(c, x.other);
	x.mtime_s = 1500000000 + below(c, 3);
	(void)snprintf(x.text, sizeof(x.text), "%s%u", x.op == SYMLINK ? "to " : "", below(c, 4));
	if (x.op == PUT && below(c, 5) == 0)
		x.text[0] = '\0';
	return x;
}

/* Directories have the mtime of when they were changed, which no two ways share: it is set. */
static void settle_root_and_all(const char *path)
{
	TEXT *root = text_of("%s", path);
	char *const roots[] = {root, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	while ((e = fts_read(fts)))
		if (e->fts_info == FTS_DP)
			(void)set_times(AT_FDCWD, e->fts_accpath, 1400000000);
	(void)fts_close(fts);
}

static void settle_as(struct editing *e, const char *like)
{
	struct pleach_metadata m = with_mtime(1400000000);
	char *const roots[] = {(char *)like, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *at;

	while ((at = fts_read(fts))) {
		const char *path = at->fts_path + strlen(like);

		if (at->fts_info == FTS_DP)
			OK(e, pleach_tx_set_metadata(e->tx, path + (*path == '/'), &m, &e->error));
	}
	(void)fts_close(fts);
}

static void describe(const struct edit *x, unsigned step, int expected, int found,
		     const struct editing *e)
{
	fail_msg("step %u, edit %d of '%s' (%s): by hand %d, workspace '%s' %d %s", step, x->op,
		 x->path, x->other, expected, e->way, found, e->error.message);
}

static void run(struct editing *ways, size_t n, int hand, uint64_t seed, unsigned *n_done)
{
	struct chance c = {seed};

	for (unsigned step = 0; step < STEPS; step++) {
		struct edit x = random_edit(&c);
		int r = by_hand(hand, &x);

		*n_done += r == 0;
		for (size_t i = 0; i < n; i++) {
			int found = by_library(&ways[i], &x);

			if (found != r)
				describe(&x, step, r, found, &ways[i]);
		}
	}
}

static void compare(const struct editing *e, const char *expected, const char *tree, uint64_t seed)
{
	TEXT *found = head_shape(e);

	print_message("# seed %llu\n", (unsigned long long)seed);
	assert_string_equal(found, expected);
	assert_string_equal(e->result.tree, tree);
}

static void try_seed(const struct yard *y, uint64_t seed, unsigned *n_done)
{
	TEXT *source = text_of("%s/source", y->path);
	TEXT *hand = text_of("%s/hand", y->path);
	TEXT *expected = NULL;
	struct editing ways[2], third;
	struct outcome o;
	int fd;

	make_source(source, "what", 0);
	settle_root_and_all(source);
	yard_copy(source, hand);
	fd = open(hand, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	editing_open(&ways[0], y, "none", source);
	editing_open(&ways[1], y, "copy", source);
	editing_open(&third, y, "published", source);
	tx_begin(&ways[0]);
	tx_begin(&ways[1]);
	run(ways, 2, fd, seed, n_done);
	settle_root_and_all(hand);
	settle_as(&ways[0], hand);
	settle_as(&ways[1], hand);
	close(fd);
	o = do_publish(third.store, "site", hand, -1);
	must(&o, "publish");
	expected = shape(hand);
	for (size_t i = 0; i < 2; i++) {
		tx_commit(&ways[i]);
		compare(&ways[i], expected, o.published.tree, seed);
		editing_close(&ways[i]);
	}
	editing_close(&third);
	yard_remove(source);
	yard_remove(hand);
}

static uint64_t number_of(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void random_edits_come_to_one_tree_whichever_way_they_are_made(void **state)
{
	uint64_t first = number_of("PLEACH_EDITS_SEED", 1);
	uint64_t runs = getenv("PLEACH_EDITS_SEED") ? 1 : number_of("PLEACH_EDITS_RUNS", RUNS);
	unsigned n_done = 0;

	for (uint64_t seed = first; seed < first + runs; seed++)
		try_seed(*state, seed, &n_done);
	print_message("# %u of %u edits were no errors\n", n_done, (unsigned)runs * STEPS);
	assert_true(n_done > runs * STEPS / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(random_edits_come_to_one_tree_whichever_way_they_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
