/*
 * yard - for tests of whole commands: a directory with sources and stores in it, small trees, and what
 * an outsider sees of a store: fingerprints of trees, names in directories, held locks, descriptors.
 * Header only. Include after cmocka.h.
 *
 * What is seen is seen by the C library alone, not by the code under test. Functions that look for
 * trouble return a text that says what it is, which the caller frees, or NULL: they are used in
 * children, where cmocka's assertions cannot be.
 */
#ifndef PL_TEST_YARD_H
#define PL_TEST_YARD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pleach.h"
#include "sys/sys.h"

#define YARD_PATH 512

struct yard {
	char path[256];
};

/* ---- texts ---- */

__attribute__((format(printf, 1, 2))) static inline char *text_of(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

static inline void freep(char **text)
{
	free(*text);
}
#define TEXT __attribute__((cleanup(freep))) char

/* ---- a yard ---- */

static inline void yard_run(const char *const *argv)
{
	extern char **environ;
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		(void)fprintf(stderr, "# %s failed\n", argv[0]);
		abort();
	}
}

static inline void yard_remove(const char *path)
{
	char copy[YARD_PATH];
	char *name;
	int parent;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	name = strrchr(copy, '/');
	*name++ = '\0';
	parent = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)pl_erase(parent, name, NULL);
	close(parent);
}

/* A copy with all of its hard links, at a path where nothing is. */
static inline void yard_copy(const char *from, const char *to)
{
	const char *const argv[] = {"cp", "-a", from, to, NULL};

	yard_run(argv);
}

static inline int yard_make(void **state, const char *base)
{
	struct yard *y = malloc(sizeof(*y));

	if (!y)
		return -1;
	(void)snprintf(y->path, sizeof(y->path), "%.200s/pleach-test-XXXXXX", base);
	if (!mkdtemp(y->path))
		return -1;
	*state = y;
	return 0;
}

static inline int yard_setup_on_disk(void **state)
{
	const char *tmp = getenv("TMPDIR");

	return yard_make(state, tmp && *tmp ? tmp : "/tmp");
}

/* In memory, if that can be had: thousands of commands that sync need no disk, and a disk must not be
 * made to wait for them. */
static inline int yard_setup(void **state)
{
	if (access("/dev/shm", W_OK | X_OK) == 0 && yard_make(state, "/dev/shm") == 0)
		return 0;
	return yard_setup_on_disk(state);
}

static inline int yard_teardown(void **state)
{
	struct yard *y = *state;

	pl_seam_arm(NULL);
	pl_seam_disable(0);
	yard_remove(y->path);
	free(y);
	return 0;
}

#define yard_test(f)	  cmocka_unit_test_setup_teardown(f, yard_setup, yard_teardown)
#define yard_disk_test(f) cmocka_unit_test_setup_teardown(f, yard_setup_on_disk, yard_teardown)

/* ---- sources ---- */

/* Writes a file anew (another inode), with a mtime of its own that content decides: equal files are
 * equal in all. */
static inline void put(const char *dir, const char *name, const char *content)
{
	struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	TEXT *path = text_of("%s/%s", dir, name);
	int fd;

	for (const char *c = content; *c; c++)
		times[1].tv_nsec = (times[1].tv_nsec * 31 + *c) % 1000000000;
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) ||
	    futimens(fd, times) < 0)
		abort();
	close(fd);
}

/* Gives a directory the mtime of no moment: trees that are equal but for when they were written are one
 * tree then. */
static inline void settle_dir(const char *dir, const char *name)
{
	struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	TEXT *path = text_of("%s/%s", dir, name);

	if (utimensat(AT_FDCWD, path, times, 0) < 0)
		abort();
}

static inline void make_dir(const char *dir, const char *name)
{
	TEXT *path = text_of("%s/%s", dir, name);

	if (mkdir(path, 0755) < 0)
		abort();
}

static inline void make_link(const char *dir, const char *from, const char *to)
{
	TEXT *a = text_of("%s/%s", dir, from);
	TEXT *b = text_of("%s/%s", dir, to);

	if (link(a, b) < 0)
		abort();
}

static inline void make_symlink(const char *dir, const char *target, const char *name)
{
	TEXT *path = text_of("%s/%s", dir, name);

	if (symlink(target, path) < 0)
		abort();
}

/* A tree with one of each: directories, a group across them, a symlink, an empty file, equal files.
 * Trees of different `what` differ in a file, a group and a name. */
static inline void make_source(const char *dir, const char *what, unsigned more)
{
	TEXT *name = text_of("only-%s", what);

	if (mkdir(dir, 0755) < 0)
		abort();
	make_dir(dir, "d");
	make_dir(dir, "d/e");
	make_dir(dir, "same");
	put(dir, "a", what);
	put(dir, name, what);
	put(dir, "empty", "");
	put(dir, "d/equal1", "equal");
	put(dir, "d/equal2", "equal");
	put(dir, "d/e/twin", what);
	make_link(dir, "d/e/twin", "twin");
	put(dir, "same/f", "the same in all");
	make_link(dir, "same/f", "same/g");
	make_symlink(dir, "d/e", "link");
	for (unsigned i = 0; i < more; i++) {
		TEXT *sub = text_of("more%u", i);
		TEXT *file = text_of("more%u/file", i);
		TEXT *content = text_of("%s %u", i % 2 ? what : "every", i);

		make_dir(dir, sub);
		put(dir, file, content);
	}
}

/* ---- what a tree is like ---- */

static inline int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static inline void add_content(FILE *out, const char *path)
{
	FILE *in = fopen(path, "re");
	int c;

	if (!in) {
		(void)fprintf(out, "unreadable");
		return;
	}
	while ((c = getc(in)) != EOF)
		(void)putc(c, out);
	(void)fclose(in);
}

struct seen {
	ino_t ino;
	char *path;
};

/* Names the path by which an inode was met before, and remembers it. */
static inline const char *met_before(struct seen *seen, size_t *n, ino_t ino, const char *path)
{
	for (size_t i = 0; i < *n; i++)
		if (seen[i].ino == ino)
			return seen[i].path;
	if (*n < 1024)
		seen[(*n)++] = (struct seen){ino, strdup(path)};
	return NULL;
}

static inline void add_entry(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	const struct stat *st = e->fts_statp;
	const char *path = e->fts_path + skip;
	char target[4096];
	const char *before;
	ssize_t length;

	(void)fprintf(out, "%s %o %lld.%09ld ", path, st->st_mode, (long long)st->st_mtim.tv_sec,
		      st->st_mtim.tv_nsec);
	if (S_ISLNK(st->st_mode)) {
		length = readlink(e->fts_accpath, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		(void)fprintf(out, "-> %s", target);
	} else if (S_ISREG(st->st_mode)) {
		before = met_before(seen, n, st->st_ino, path);
		if (before)
			(void)fprintf(out, "= %s", before);
		else
			add_content(out, e->fts_accpath);
	}
	(void)putc('\n', out);
}

/* A tree as one text, in which `add` tells of each thing. "" if there is none. */
static inline char *told_by(const char *path, void (*add)(FILE *out, const FTSENT *e, size_t skip,
							  struct seen *seen, size_t *n))
{
	/* The slash: what a symlink leads to. */
	TEXT *root = text_of("%s/", path);
	char *const roots[] = {root, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	struct seen seen[1024];
	size_t n = 0, size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	FTSENT *e;

	if (!fts || !out)
		abort();
	while ((e = fts_read(fts)))
		if (e->fts_info != FTS_DP && e->fts_info != FTS_NS)
			add(out, e, strlen(root), seen, &n);
	(void)fts_close(fts);
	(void)fclose(out);
	for (size_t i = 0; i < n; i++)
		free(seen[i].path);
	return text;
}

/* Names, kinds, modes, mtimes, contents, targets, and which names are one inode. */
static inline char *fingerprint(const char *path)
{
	return told_by(path, add_entry);
}

/* The names in a directory that are no leftovers, sorted, with a blank behind each. */
static inline char *names_in(const char *store, const char *dir)
{
	TEXT *path = text_of("%s/.pleach/%s", store, dir);
	struct dirent **entries;
	size_t size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);
	int n = scandir(path, &entries, NULL, alphasort);

	if (!out)
		abort();
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			(void)fprintf(out, "%s ", entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	(void)fclose(out);
	return text;
}

/* How many names there are in a directory. */
static inline unsigned count_names(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	if (!dir)
		abort();
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

/* ---- commands ---- */

/* What a command came to. */
struct outcome {
	int r;
	struct pleach_error error;
	struct pleach_publish_result published;
};

static inline struct pleach_store *open_at(const char *path, struct outcome *o)
{
	struct pleach_store *store = NULL;

	*o = (struct outcome){.error = PLEACH_ERROR_INIT, .published = PLEACH_PUBLISH_RESULT_INIT};
	o->r = pleach_store_open(path, &store, &o->error);
	return store;
}

static inline struct outcome do_publish(struct pleach_store *store, const char *ref,
					const char *source, int64_t if_head)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_source from = {.kind = PLEACH_SOURCE_DIR, .spec = source};
	struct outcome o = {.error = PLEACH_ERROR_INIT, .published = PLEACH_PUBLISH_RESULT_INIT};

	options.if_head = if_head;
	options.message = "by a test";
	o.r = pleach_publish(store, ref, &from, 1, &options, &o.published, &o.error);
	return o;
}

static inline struct outcome publish_at(const char *path, const char *ref, const char *source)
{
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	if (store)
		o = do_publish(store, ref, source, -1);
	pleach_store_close(store);
	return o;
}

static inline void must(const struct outcome *o, const char *what)
{
	if (o->r == 0)
		return;
	(void)fprintf(stderr, "# %s: %d %s\n", what, o->r, o->error.message);
	abort();
}

/* `settings`: KEY, VALUE, ..., NULL */
static inline void make_store(const char *path, const char *const *settings)
{
	struct outcome o;
	struct pleach_store *store;

	if (pleach_store_init(path, NULL, NULL) != 0)
		abort();
	store = open_at(path, &o);
	must(&o, "open");
	for (; settings && settings[0]; settings += 2)
		if (pleach_config_set(store, NULL, settings[0], settings[1], &o.error) < 0)
			abort();
	pleach_store_close(store);
}

/* ---- trouble ---- */

/* What `check` finds. */
static inline char *trouble_by_check(const char *path, int expected)
{
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct pleach_finding f = PLEACH_FINDING_INIT;
	struct pleach_report *report = NULL;
	char *trouble = NULL;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	if (!store)
		return text_of("cannot open the store: %s", o.error.message);
	o.r = pleach_check(store, NULL, &counts, &report, &o.error);
	if (o.r != expected && report && pleach_report_next(report, &f, NULL) == 1)
		trouble = text_of("check: %s: %s (%s)", f.path, f.message, f.kind);
	else if (o.r != expected)
		trouble = text_of("check answers %d: %s", o.r, o.error.message);
	pleach_report_close(report);
	pleach_store_close(store);
	return trouble;
}

/* A lock file that anybody holds. */
static inline char *trouble_by_locks(const char *store)
{
	TEXT *refs = text_of("%s/.pleach/refs", store);
	TEXT *trees = text_of("%s/.pleach/trees", store);
	TEXT *tx = text_of("%s/.pleach/tx", store);
	char *const roots[] = {refs, trees, tx, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	char *trouble = NULL;
	FTSENT *e;

	while (!trouble && (e = fts_read(fts))) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd;

		if (e->fts_level > 2 || strcmp(e->fts_name, "tree") == 0)
			(void)fts_set(fts, e, FTS_SKIP);
		if (strcmp(e->fts_name, "lock") != 0 && strcmp(e->fts_name, "pin") != 0)
			continue;
		fd = open(e->fts_accpath, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK)
			trouble = text_of("%s is locked", e->fts_path);
		close(fd);
	}
	(void)fts_close(fts);
	return trouble;
}

static inline unsigned count_descriptors(void)
{
	return count_names("/proc/self/fd");
}

#endif
