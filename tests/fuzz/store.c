/*
 * store - a small store with something in it changed, and every command that reads: an error, or the truth; never a
 * crash, a hang, or a write elsewhere. Wrong content is taken for right by none (G10).
 *
 *	fuzz-store [--suite] [--seed N] [--cases N]
 *	fuzz-store --case N
 *
 * Case N of a seed changes one file below .pleach: bits, bytes, its end, all of it for another's, or its being there. What
 * has its own bytes checked must be found by check. A file that is gone, or another in its place, may be what the store
 * says now (a tag that is gone is none): then no more is asked than that each content is one that was published.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "fuzz/inputs/mutate.h"
#include "tx/yard.h"

#define SUITE_CASES 1500
#define SECONDS	    120
#define FILES	    512

static struct options {
	uint64_t seed, cases, only;
} options = {.seed = 1, .cases = SUITE_CASES, .only = UINT64_MAX};

/* ---- what a store says ---- */

static const char *const contents[] = {"a", "b", "equal", "the same in all", ""};

/* Each look appends to `out`. Negative: it failed, and said why. */
struct look {
	const char *name;
	int (*run)(struct pleach_store *store, const char *there, FILE *out,
		   struct pleach_error *error);
};

static int look_log(struct pleach_store *store, const char *there, FILE *out,
		    struct pleach_error *error)
{
	struct pleach_generation g = PLEACH_GENERATION_INIT;
	struct pleach_log *log;
	int r = pleach_log_open(store, "site", NULL, &log, error);

	(void)there;
	if (r < 0)
		return r;
	while ((r = pleach_log_next(log, &g, error)) == 1)
		(void)fprintf(out, "%" PRIu64 " %s\n", g.number, g.tree);
	pleach_log_close(log);
	return r;
}

static int list(struct pleach_store *store, const char *rev, FILE *out, struct pleach_error *error)
{
	struct pleach_entry e = PLEACH_ENTRY_INIT;
	struct pleach_ls *ls;
	int r = pleach_ls_open(store, rev, 1, &ls, error);

	if (r < 0)
		return r;
	while ((r = pleach_ls_next(ls, &e, error)) == 1)
		(void)fprintf(out, "%c %s %s\n", (char)e.type, e.path, e.id);
	pleach_ls_close(ls);
	return r;
}

static int look_ls(struct pleach_store *store, const char *there, FILE *out,
		   struct pleach_error *error)
{
	(void)there;
	return list(store, "site", out, error);
}

static int look_ls_tag(struct pleach_store *store, const char *there, FILE *out,
		       struct pleach_error *error)
{
	(void)there;
	return list(store, "site@v1", out, error);
}

/* What is handed out before the end is not verified yet; with the end it is. */
static int cat(struct pleach_store *store, const char *rev, FILE *out, struct pleach_error *error)
{
	struct pleach_file *file;
	char text[64];
	ssize_t n, length = 0;
	bool is_known = false;
	int r = pleach_file_open(store, rev, &file, error);

	if (r < 0)
		return r;
	while ((n = pleach_file_read(file, text + length, sizeof(text) - 1 - (size_t)length,
				     error)) > 0)
		length += n;
	pleach_file_close(file);
	if (n < 0)
		return (int)n;
	text[length] = '\0';
	for (size_t i = 0; i < PL_ARRAY_LEN(contents); i++)
		is_known |= strcmp(text, contents[i]) == 0;
	(void)fprintf(out, "%s %s%s\n", rev, text, is_known ? "" : " (never published)");
	return 0;
}

static int look_cat(struct pleach_store *store, const char *there, FILE *out,
		    struct pleach_error *error)
{
	static const char *const revs[] = {"site:a",	 "site:d/equal1", "site:same/f",
					   "site:empty", "site@1:a",	  "site@v1:d/e/twin"};
	int r = 0, worst = 0;

	(void)there;
	for (size_t i = 0; i < PL_ARRAY_LEN(revs); i++) {
		r = cat(store, revs[i], out, error);
		worst = r < 0 ? r : worst;
	}
	return worst;
}

static int look_diff(struct pleach_store *store, const char *there, FILE *out,
		     struct pleach_error *error)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_diff *diff;
	int r = pleach_diff_open(store, "site@1", "site@2", NULL, &diff, error);

	(void)there;
	if (r < 0)
		return r;
	while ((r = pleach_diff_next(diff, &change, error)) == 1)
		(void)fprintf(out, "%c %s\n", change.change, change.path);
	pleach_diff_close(diff);
	return r;
}

static int look_tags(struct pleach_store *store, const char *there, FILE *out,
		     struct pleach_error *error)
{
	struct pleach_tag tag = PLEACH_TAG_INIT;
	struct pleach_tags *tags;
	int r = pleach_tags_open(store, "site", &tags, error);

	(void)there;
	if (r < 0)
		return r;
	while ((r = pleach_tags_next(tags, &tag, error)) == 1)
		(void)fprintf(out, "%s %" PRIu64 "\n", tag.name, tag.generation);
	pleach_tags_close(tags);
	return r;
}

static int look_status(struct pleach_store *store, const char *there, FILE *out,
		       struct pleach_error *error)
{
	struct pleach_ref_status status = PLEACH_REF_STATUS_INIT;
	struct pleach_refs *refs;
	int r = pleach_refs_open(store, &refs, error);

	(void)there;
	(void)out;
	if (r < 0)
		return r;
	while ((r = pleach_refs_next(refs, &status, error)) == 1)
		;
	pleach_refs_close(refs);
	return r;
}

static int look_du(struct pleach_store *store, const char *there, FILE *out,
		   struct pleach_error *error)
{
	struct pleach_du_generation g = PLEACH_DU_GENERATION_INIT;
	struct pleach_du *du;
	int r = pleach_du_open(store, NULL, &du, error);

	(void)there;
	(void)out;
	if (r < 0)
		return r;
	while ((r = pleach_du_next(du, &g, error)) == 1)
		;
	pleach_du_close(du);
	return r;
}

static int look_path(struct pleach_store *store, const char *there, FILE *out,
		     struct pleach_error *error)
{
	char *path = NULL;
	int r = pleach_path(store, "site", &path, error);

	(void)there;
	if (r >= 0)
		(void)fprintf(out, "%s\n", path + strlen(pleach_store_path(store)));
	pleach_free(path);
	return r;
}

static int look_checkout(struct pleach_store *store, const char *there, FILE *out,
			 struct pleach_error *error)
{
	struct pleach_report *report = NULL;
	int r = pleach_checkout(store, "site", there, NULL, &report, error);

	pleach_report_close(report);
	if (r == 0) {
		TEXT *tree = fingerprint(there);

		(void)fprintf(out, "%s", tree);
	}
	return r == PLEACH_PARTIAL ? -EIO : r;
}

static const struct look looks[] = {
	{"log", look_log},	 {"ls", look_ls},     {"ls of a tag", look_ls_tag},
	{"cat", look_cat},	 {"diff", look_diff}, {"tags", look_tags},
	{"du", look_du},	 {"path", look_path}, {"checkout", look_checkout},
	{"status", look_status},
};
#define LOOKS PL_ARRAY_LEN(looks)

/* ---- a store ---- */

struct fuzz {
	const struct yard *y;
	char *truth[LOOKS];
	char *files[FILES]; /* below .pleach, regular ones and symlinks */
	size_t n;
};

static char *ask(struct pleach_store *store, size_t i, const char *there, int *ret_r,
		 struct pleach_error *error)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	*ret_r = looks[i].run(store, there, out, error);
	(void)fclose(out);
	return text;
}

static void list_files(struct fuzz *f, const char *store)
{
	TEXT *root = text_of("%s/.pleach", store);
	char *const roots[] = {root, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	FTSENT *e;

	while ((e = fts_read(fts)))
		if ((e->fts_info == FTS_F || e->fts_info == FTS_SL) && f->n < FILES)
			f->files[f->n++] = strdup(e->fts_path + strlen(store) + 1);
	(void)fts_close(fts);
}

static void prepare(struct fuzz *f)
{
	static const char *const settings[] = {"keep", "10", NULL};
	TEXT *store = text_of("%s/template/S", f->y->path);
	TEXT *dir = text_of("%s/template", f->y->path);
	TEXT *reserve = text_of("%s/.pleach/reserve", store);
	TEXT *there = text_of("%s/there", f->y->path);
	struct pleach_store *opened;
	struct outcome o;

	if (mkdir(dir, 0755) < 0)
		abort();
	make_store(store, settings);
	for (const char *what = "ab"; *what; what++) {
		TEXT *name = text_of("%c", *what);
		TEXT *source = text_of("%s/%s", f->y->path, name);

		make_source(source, name, 0);
		o = publish_at(store, "site", source);
		must(&o, "publish");
	}
	opened = open_at(store, &o);
	o.r = pleach_tag_set(opened, "site", "v1", "@1", 0, &o.error);
	must(&o, "tag");
	if (pleach_config_set(opened, "site", "keep", "5", &o.error) < 0 || unlink(reserve) < 0)
		abort();
	for (size_t i = 0; i < LOOKS; i++) {
		f->truth[i] = ask(opened, i, there, &o.r, &o.error);
		must(&o, looks[i].name);
	}
	pleach_store_close(opened);
	yard_remove(there);
	list_files(f, store);
}

/* ---- one change ---- */

static bool begins(const char *path, const char *prefix)
{
	return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* Whose bytes are covered by a sum or an id. */
static bool is_checked(const char *path)
{
	return begins(path, ".pleach/objects/") || begins(path, ".pleach/nodes/") ||
	       begins(path, ".pleach/refs/site/gen/") || begins(path, ".pleach/refs/site/tags/") ||
	       strcmp(path, ".pleach/config") == 0 ||
	       (begins(path, ".pleach/trees/") && strstr(path, "/tree/"));
}

static void load(const char *path, struct input *in)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, in->data, sizeof(in->data));

	in->size = n < 0 ? 0 : (size_t)n;
	if (fd >= 0)
		close(fd);
}

/* In place, so that all its names have it. */
static void save(const char *path, const struct input *in)
{
	int fd;

	(void)chmod(path, 0644);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || write(fd, in->data, in->size) != (ssize_t)in->size)
		abort();
	close(fd);
}

static void change_symlink(const char *path, struct input *in, uint64_t *state)
{
	char target[INPUT_MAX + 1];
	ssize_t n = readlink(path, (char *)in->data, INPUT_MAX);

	in->size = n < 0 ? 0 : (size_t)n;
	mutate(in, in, state);
	memcpy(target, in->data, in->size);
	target[in->size] = '\0';
	if (target[0] == '\0' || strlen(target) > 1000)
		(void)snprintf(target, sizeof(target), "../../../../..");
	if (unlink(path) < 0 || symlink(target, path) < 0)
		abort();
}

/* Returns whether what it has now is other bytes, and no more. `told` says what was done. */
static bool change(const struct fuzz *f, const char *store, uint64_t *state, char **told,
		   const char **ret_file)
{
	const char *file = f->files[chance_below(state, f->n)];
	const char *donor = f->files[chance_below(state, f->n)];
	TEXT *path = text_of("%s/%s", store, file);
	TEXT *other = text_of("%s/%s", store, donor);
	struct input in, before;
	struct stat st;

	*ret_file = file;
	if (lstat(path, &st) < 0)
		abort();
	if (chance(state) % 10 == 0) {
		*told = text_of("%s taken away", file);
		if (unlink(path) < 0)
			abort();
		return false;
	}
	if (S_ISLNK(st.st_mode)) {
		*told = text_of("%s leads elsewhere", file);
		change_symlink(path, &in, state);
		return false;
	}
	load(path, &in);
	before = in;
	if (chance(state) % 10 == 0) {
		*told = text_of("%s holds what %s does", file, donor);
		load(other, &in);
	} else {
		*told = text_of("%s mutated", file);
		mutate(&in, &before, state);
	}
	save(path, &in);
	return in.size != before.size || memcmp(in.data, before.data, in.size) != 0;
}

/* ---- a case ---- */

static void judge(const struct fuzz *f, struct pleach_store *store, const char *there,
		  bool is_bytes, char *trouble, size_t size)
{
	for (size_t i = 0; i < LOOKS && !trouble[0]; i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		int r;
		TEXT *text = ask(store, i, there, &r, &error);

		if (r < 0 && error.message[0] == '\0')
			(void)snprintf(trouble, size, "%s fails and does not say why: %d",
				       looks[i].name, r);
		else if (strstr(text, "(never published)"))
			(void)snprintf(trouble, size, "%s: %s", looks[i].name, text);
		else if (r == 0 && is_bytes && strcmp(text, f->truth[i]) != 0)
			(void)snprintf(trouble, size, "%s says\n%snot\n%s", looks[i].name, text,
				       f->truth[i]);
	}
}

static void run_case(const struct fuzz *f, const char *dir, uint64_t number, char *trouble,
		     size_t size)
{
	uint64_t state = options.seed * 1000003 + number;
	TEXT *store = text_of("%s/S", dir);
	TEXT *there = text_of("%s/there", dir);
	TEXT *told = NULL;
	const char *file;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_store *opened = NULL;
	struct pleach_report *report = NULL;
	bool is_bytes = change(f, store, &state, &told, &file);
	int r = pleach_store_open(store, &opened, &error);

	(void)snprintf(trouble, size, "crashed: %s", told); /* unless it comes further */
	if (r >= 0) {
		char found[2048] = "";

		r = pleach_check(opened, NULL, NULL, &report, &error);
		if (r == 0 && is_bytes && is_checked(file))
			(void)snprintf(found, sizeof(found), "check finds nothing");
		pleach_report_close(report);
		judge(f, opened, there, is_bytes, found, sizeof(found));
		pleach_store_close(opened);
		trouble[0] = '\0';
		if (found[0])
			(void)snprintf(trouble, size, "%s: %s", told, found);
	} else {
		trouble[0] = '\0';
		if (error.message[0] == '\0')
			(void)snprintf(trouble, size, "%s: open does not say why", told);
	}
}

/* Nothing but the store, and the checkout, is there. */
static bool is_alone(const char *dir)
{
	TEXT *there = text_of("%s/there", dir);
	TEXT *outside = text_of("%s/outside", dir);

	return count_names(dir) == 2u + (access(there, F_OK) == 0) && count_names(outside) == 0;
}

static bool try_case(const struct fuzz *f, const char *dir, uint64_t number, char *trouble,
		     size_t size)
{
	TEXT *template = text_of("%s/template", f->y->path);
	TEXT *outside = text_of("%s/outside", dir);
	int status = -1;
	pid_t pid;

	yard_copy(template, dir);
	if (mkdir(outside, 0755) < 0)
		abort();
	trouble[0] = '\0';
	pid = fork();
	if (pid == 0) {
		(void)alarm(SECONDS);
		run_case(f, dir, number, trouble, size);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (status == 0 && !trouble[0] && !is_alone(dir))
		(void)snprintf(trouble, size, "something was written beside the store");
	if (status != 0 || trouble[0])
		(void)printf("# --seed %" PRIu64 " --case %" PRIu64 ": %s (status %d)\n",
			     options.seed, number, trouble, status);
	yard_remove(dir);
	return status == 0 && !trouble[0];
}

static int work(const struct fuzz *f, unsigned lane, unsigned lanes)
{
	TEXT *dir = text_of("%s/w%u", f->y->path, lane);
	size_t size = 4096;
	char *trouble = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int wrong = 0;

	if (trouble == MAP_FAILED)
		abort();
	for (uint64_t i = lane; i < options.cases && wrong < 5; i += lanes)
		if (options.only == UINT64_MAX || options.only == i)
			wrong += !try_case(f, dir, i, trouble, size);
	(void)munmap(trouble, size);
	(void)fflush(stdout);
	return wrong;
}

static int run_all(const struct fuzz *f)
{
	unsigned lanes = 2, wrong = 0;
	pid_t pids[2];

	(void)fflush(stdout);
	for (unsigned i = 0; i < lanes; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(work(f, i, lanes) > 0);
		if (pids[i] < 0)
			abort();
	}
	for (unsigned i = 0; i < lanes; i++) {
		int status = -1;

		if (waitpid(pids[i], &status, 0) != pids[i])
			abort();
		wrong += status != 0;
	}
	(void)printf("1..1\n%sok 1 - seed %" PRIu64 ": %" PRIu64 " changes in %zu files\n",
		     wrong ? "not " : "", options.seed, options.cases, f->n);
	return wrong > 0;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: fuzz store [--seed N] [--cases N] [--case N]\n");
	return 2;
}

static int parse(int argc, char **argv)
{
	static const struct option known[] = {{"suite", no_argument, NULL, 'S'},
					      {"seed", required_argument, NULL, 's'},
					      {"cases", required_argument, NULL, 'n'},
					      {"case", required_argument, NULL, 'c'},
					      {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 's')
			options.seed = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			options.cases = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			options.only = strtoull(optarg, NULL, 10);
		else if (c != 'S')
			return usage();
	}
	if (options.only != UINT64_MAX && options.only >= options.cases)
		options.cases = options.only + 1;
	return optind < argc ? usage() : 0;
}

int main(int argc, char **argv)
{
	struct fuzz f = {0};
	void *state = NULL;
	int r = parse(argc, argv);

	if (r)
		return r;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (yard_setup(&state) < 0)
		return 1;
	f.y = state;
	prepare(&f);
	r = run_all(&f);
	for (size_t i = 0; i < f.n; i++)
		free(f.files[i]);
	for (size_t i = 0; i < LOOKS; i++)
		free(f.truth[i]);
	(void)yard_teardown(&state);
	return r;
}
