/*
 * The law: a program does and says in a transaction what it does and says in a plain directory, and the tree
 * that is read from the workspace is the one that is read from the directory, in every attribute.
 *
 * A1  What a driver declares to lack, and 0/0 devices, which no overlay lets be made, end a program where they
 *     come: it is run again up to there, and then the law holds.
 *     A directory's time that is another one in the overlay itself is the kernel's doing (a rename that fails
 *     touches a directory on ext4, a whiteout that is exchanged on xfs): then they are left out.
 * A2  A program that fails is made as short as it can be, one operation after the other, before it is shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "dump.h"

enum verdict { SAME, LOGS_DIFFER, TREES_DIFFER, BROKEN };

/* One program, run twice. */
struct comparison {
	struct arena *arena;
	const struct program *program;
	unsigned mask;
	bool commits;
	struct {
		char *log;
		int r; /* of reading the tree */
		struct pl_id tree;
		struct pl_stage stage;
	} plain, inside;
	unsigned differing; /* the first operation that does */
	struct pleach_error error;
};

static int say(const struct pleach_error *error, const char *what)
{
	(void)fprintf(stderr, "# %s: %s\n", what, error->message);
	return -1;
}

/* ---- the store ---- */

static int publish_base(struct arena *a, unsigned shape)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_source source = {PLEACH_SOURCE_DIR, a->plain_path, NULL};
	const char ref[] = {'r', (char)('0' + shape), '\0'};
	int r = base_build(a->plain_path, shape, a->with);

	if (r >= 0 && pl_publish_run(a->store, ref, &source, 1, &options, &result, &error) != 0)
		r = say(&error, "publishing the base");
	if (r >= 0)
		r = pl_id_parse(result.tree, &a->base[shape]);
	(void)remove_all(a->plain_path);
	return r;
}

static int make_store(struct arena *a)
{
	static const char *const settings[][2] = {{"durability", "none"}, {"grace", "0"}};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_store *store = NULL;
	int r = pleach_store_init(a->store_path, NULL, &error);

	if (r >= 0)
		r = pleach_store_open(a->store_path, &store, &error);
	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(settings); i++)
		r = pleach_config_set(store, NULL, settings[i][0], settings[i][1], &error);
	pleach_store_close(store);
	if (r >= 0)
		r = pl_store_open(a->store_path, &a->store, &error);
	return r < 0 ? say(&error, "making a store") : 0;
}

static int begin_tx(struct arena *a, unsigned shape, struct pl_tx **ret_tx,
		    struct pleach_error *error)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	const char ref[] = {'r', (char)('0' + shape), '\0'};

	options.workspace = a->workspace;
	return pl_tx_begin(a->store, ref, &options, ret_tx, error);
}

int arena_init(struct arena *a)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_tx *tx = NULL;
	int r;

	if (asprintf(&a->store_path, "%s/S", a->ground) < 0 ||
	    asprintf(&a->plain_path, "%s/plain", a->ground) < 0)
		abort();
	r = make_store(a);
	for (unsigned shape = 0; r >= 0 && shape < N_SHAPES; shape++)
		r = publish_base(a, shape);
	if (r < 0)
		return r;
	r = begin_tx(a, 0, &tx, &error);
	if (r < 0) {
		(void)snprintf(a->why, sizeof(a->why), "%.199s", error.message);
		return r == -EOPNOTSUPP ? 1 : say(&error, "beginning");
	}
	return pl_tx_end(tx, &error) < 0 ? say(&error, "ending") : 0;
}

void arena_done(struct arena *a)
{
	pl_store_close(a->store);
	free(a->store_path);
	free(a->plain_path);
}

int arena_check(struct arena *a)
{
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct pl_findings findings = {0};
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_check check = {.store = a->store};
	int r = pl_check_run(&check, &counts, &findings, &error);

	for (size_t i = 0; i < findings.n; i++)
		(void)fprintf(stderr, "# check: %s: %s\n", findings.items[i].path,
			      findings.items[i].message);
	if (r < 0)
		(void)say(&error, "check");
	r = r != 0 || findings.n > 0 ? -1 : 0;
	pl_findings_done(&findings);
	return r;
}

/* ---- on a plain copy ---- */

static int scan_nowhere(struct arena *a, int fd, struct pl_stage *stage, struct pl_id *ret_tree,
			struct pleach_error *error)
{
	struct pl_scan scan = {
		.store = a->store, .stage = stage, .fd = fd, .label = "", .prefix = ""};
	struct pl_scan_result result;
	int r;

	pl_error_clear(error);
	r = pl_stage_begin(a->store, NULL, PL_STAGE_NOWHERE, stage, error);
	if (r >= 0)
		r = pl_scan_run(&scan, &result, error);
	if (r >= 0)
		*ret_tree = result.tree;
	return r;
}

static int run_plainly(struct comparison *c)
{
	struct arena *a = c->arena;
	FILE *log = NULL;
	size_t size;
	int r, fd;

	r = base_build(a->plain_path, c->program->shape, a->with);
	log = open_memstream(&c->plain.log, &size);
	if (!log)
		abort();
	if (r >= 0)
		r = program_apply(c->program, c->mask, a->plain_path, log);
	(void)fclose(log);
	fd = r < 0 ? -1 : pl_open_dir(AT_FDCWD, a->plain_path);
	if (r < 0 || fd < 0)
		return -1;
	c->plain.r = scan_nowhere(a, fd, &c->plain.stage, &c->plain.tree, &c->error);
	close(fd);
	return 0;
}

/* ---- in a transaction ---- */

static int wait_for(struct pl_tx *tx, struct pl_child *child)
{
	struct pl_child_event event = {0};
	int r;

	do
		r = pl_child_next(child, &event);
	while (r == -EINTR || (r >= 0 && event.what == PL_CHILD_STOPPED));
	pl_child_close(child);
	tx->is_running = false;
	if (r >= 0 && event.what == PL_CHILD_EXITED && event.value == 0)
		return 0;
	(void)fprintf(stderr, "# the program ended otherwise: %d %d %d\n", r, event.what,
		      event.value);
	return -1;
}

/* All that was written to a descriptor, as a string. */
static char *read_back(int fd)
{
	PL_BUFFER b = {0};
	char room[4096];
	ssize_t n;

	for (off_t at = 0; (n = pread(fd, room, sizeof(room), at)) > 0; at += n)
		pl_buffer_add(&b, room, (size_t)n);
	return pl_buffer_take_string(&b);
}

static int spawn(struct comparison *c, struct pl_tx *tx, int out)
{
	struct pleach_spawn_options options = PLEACH_SPAWN_OPTIONS_INIT;
	char seed[24], mask[24], with[24], path[4400];
	char *argv[] = {(char *)c->arena->self, (char *)"--apply", seed, mask, with, path, NULL};
	struct pl_child *child;

	(void)snprintf(seed, sizeof(seed), "%llu", (unsigned long long)c->program->seed);
	(void)snprintf(mask, sizeof(mask), "%u", c->mask);
	(void)snprintf(with, sizeof(with), "%u", c->program->with);
	(void)snprintf(path, sizeof(path), "%s/%s", c->arena->store_path, tx->ref.name);
	options.stdio[1] = out;
	if (pl_tx_spawn(tx, argv, &options, &child, &c->error) < 0)
		return say(&c->error, "starting the program");
	return wait_for(tx, child);
}

/* Where the workspace is a directory as any other, a program need not be started for each. */
static int run_in(struct comparison *c, struct pl_tx *tx)
{
	int out = memfd_create("log", MFD_CLOEXEC), r;
	FILE *log;

	if (out < 0)
		abort();
	if (!tx->workspace.driver->is_plain || c->program->seed % 4 == 0) {
		r = spawn(c, tx, out);
	} else {
		log = fdopen(dup(out), "w");
		if (!log)
			abort();
		r = program_apply(c->program, c->mask, tx->workspace.path, log);
		(void)fclose(log);
	}
	c->inside.log = read_back(out);
	close(out);
	if (!c->inside.log)
		c->inside.log = calloc(1, 1);
	return r;
}

static int read_tree(struct comparison *c, struct pl_tx *tx)
{
	int r;

	pl_error_clear(&c->error);
	r = pl_stage_begin(c->arena->store, &tx->dir, PL_STAGE_POOL, &c->inside.stage, &c->error);
	if (r < 0)
		return say(&c->error, "staging");
	c->inside.r = pl_tx_read(tx, &c->inside.stage, &c->inside.tree, &c->error);
	return 0;
}

/* Nodes of the two stages. */
static int read_either(void *self, const struct pl_id *id, struct pl_buffer *b,
		       struct pleach_error *error)
{
	struct comparison *c = self;
	struct pl_node_source one = pl_stage_nodes(&c->plain.stage),
			      other = pl_stage_nodes(&c->inside.stage);
	size_t before = b->length;
	int r = one.read(one.self, id, b, error);

	if (r >= 0)
		return r;
	pl_buffer_truncate(b, before);
	pl_error_clear(error);
	return other.read(other.self, id, b, error);
}

/* Of the plain copy to the base. */
static bool has_no_difference(struct comparison *c)
{
	const struct pl_node_source nodes = {.read = read_either, .self = c};
	const struct pl_id *base = &c->arena->base[c->program->shape];
	struct pl_diff_counts counts;

	return pl_diff_count(&nodes, base, &c->plain.tree, 1, &counts, &c->error) >= 0 &&
	       counts.added + counts.modified + counts.removed == 0;
}

/* The tree that is placed after a commit; then the base is the head again. A commit in which nothing but
 * times of directories has changed is none. */
static int commit(struct comparison *c, struct pl_tx *tx)
{
	struct pleach_commit_options options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_publish_options back = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	char path[4400];
	int fd, r;

	pl_error_clear(&c->error);
	c->inside.r = pl_tx_commit(tx, &options, false, &result, &c->error);
	if (c->inside.r < 0)
		return 0; /* as the plain copy could not be read, or it is a difference */
	(void)snprintf(path, sizeof(path), "%s/%s", c->arena->store_path, tx->ref.name);
	fd = pl_open_follow(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -1;
	r = scan_nowhere(c->arena, fd, &c->inside.stage, &c->inside.tree, &c->error);
	close(fd);
	if (r < 0)
		return say(&c->error, "reading what was committed");
	if (result.unchanged && has_no_difference(c))
		c->inside.tree = c->plain.tree;
	r = pl_rollback_run(c->arena->store, tx->ref.name, "@1", &back, &result, &c->error);
	c->arena->counts.committed++;
	return r != 0 ? say(&c->error, "going back to the base") : 0;
}

/* ---- comparing ---- */

/* The first operation that says something else. */
static bool logs_differ(struct comparison *c)
{
	const char *a = c->plain.log, *b = c->inside.log;
	size_t line = 0;

	if (strcmp(a, b) == 0)
		return false;
	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			line = i + 1;
	c->differing = (unsigned)strtoul(a[line] ? a + line : b + line, NULL, 10);
	return true;
}

static enum verdict compare(struct comparison *c)
{
	if (logs_differ(c))
		return LOGS_DIFFER;
	if (c->plain.r < 0 || c->inside.r < 0)
		return c->plain.r == c->inside.r ? SAME : TREES_DIFFER;
	return pl_id_equal(&c->plain.tree, &c->inside.tree) ? SAME : TREES_DIFFER;
}

static void show_log(const char *title, const char *log)
{
	(void)fprintf(stderr, "# %s:\n", title);
	while (*log) {
		size_t length = strcspn(log, "\n");

		(void)fprintf(stderr, "#   %.*s\n", (int)length, log);
		log += length + (log[length] == '\n');
	}
}

static void show(struct comparison *c, enum verdict verdict)
{
	const struct pl_node_source nodes = {.read = read_either, .self = c};

	(void)fprintf(stderr, "# seed %llu, base of shape %u, as uid %u\n",
		      (unsigned long long)c->program->seed, c->program->shape, pl_uid());
	show_log("on the plain copy", c->plain.log ? c->plain.log : "");
	if (verdict == LOGS_DIFFER)
		show_log("in the workspace", c->inside.log);
	else if (verdict == TREES_DIFFER && (c->plain.r < 0 || c->inside.r < 0))
		(void)fprintf(stderr, "# reading: plain %d, workspace %d: %s\n", c->plain.r,
			      c->inside.r, c->error.message);
	else if (verdict == TREES_DIFFER)
		dump_difference(stderr, &nodes, &c->plain.tree, &c->inside.tree);
	(void)fprintf(stderr, "# again: %s --seed %llu --programs 1 --mask 0x%x%s\n",
		      c->arena->command, (unsigned long long)c->program->seed, c->mask,
		      c->commits ? " --commit" : "");
}

/* ---- one comparison ---- */

static enum verdict run_inside(struct comparison *c, bool shows)
{
	enum verdict verdict = BROKEN;
	struct pl_tx *tx;
	int r;

	pl_error_clear(&c->error);
	if (begin_tx(c->arena, c->program->shape, &tx, &c->error) < 0) {
		(void)say(&c->error, "beginning");
		return BROKEN;
	}
	r = run_in(c, tx);
	if (r >= 0 && !logs_differ(c)) /* else there is nothing to be read */
		r = c->commits ? commit(c, tx) : read_tree(c, tx);
	if (r >= 0)
		verdict = compare(c);
	if (shows && verdict != SAME)
		show(c, verdict);
	if (c->inside.stage.store)
		pl_stage_end(&c->inside.stage);
	if (pl_tx_end(tx, &c->error) < 0) {
		(void)say(&c->error, "ending");
		return BROKEN;
	}
	return verdict;
}

static enum verdict run_both(struct comparison *c, bool shows)
{
	enum verdict verdict = BROKEN;

	c->error = (struct pleach_error)PLEACH_ERROR_INIT;
	if (run_plainly(c) >= 0)
		verdict = run_inside(c, shows);
	if (c->plain.stage.store)
		pl_stage_end(&c->plain.stage);
	if (remove_all(c->arena->plain_path) < 0) {
		(void)fprintf(stderr, "# cannot remove the plain copy\n");
		verdict = BROKEN;
	}
	return verdict;
}

static void comparison_done(struct comparison *c)
{
	free(c->plain.log);
	free(c->inside.log);
}

/* What the workspace says of this operation; NULL: nothing. */
static const char *answer_of(const char *log, unsigned number)
{
	for (; *log; log += strcspn(log, "\n") + 1)
		if (strtoul(log, NULL, 10) == number) {
			const char *end = log + strcspn(log, "\n");

			while (end > log && *end != ':')
				end--;
			return end;
		}
	return NULL;
}

/* A1. */
static bool is_declared(const struct comparison *c)
{
	const struct op *op = &c->program->ops[c->differing % OPS_MAX];
	const char *said = answer_of(c->inside.log, c->differing);
	bool is_user = strcmp(c->arena->workspace, "user-overlay") == 0;

	if (!is_user && strcmp(c->arena->workspace, "overlay") != 0)
		return false;
	if (c->differing == SETTLED_LINE)
		return true;
	if (!said)
		return false;
	if (op->kind == OP_MKNOD && op->y == 0)
		return strncmp(said, ": = error 1\n", 12) == 0; /* a 0/0 device: EPERM */
	if (op->kind == OP_TMPFILE)				/* a kernel of before Linux 6.1 */
		return strncmp(said, ": = error 95\n", 13) == 0;
	return is_user && op->kind == OP_RENAME && strncmp(said, ": = error 18\n", 13) == 0;
}

/* Up to where the answers may differ. */
static enum verdict run_once(struct arena *a, const struct program *p, unsigned *mask, bool commits,
			     bool shows)
{
	for (;;) {
		struct comparison c = {.arena = a, .program = p, .mask = *mask, .commits = commits};
		enum verdict verdict = run_both(&c, false);
		bool again = verdict == LOGS_DIFFER && is_declared(&c);

		if (again && c.differing == SETTLED_LINE)
			*mask |= WITHOUT_DIRECTORY_TIMES;
		else if (again)
			*mask &= (1u << c.differing) - 1;
		else if (verdict == SAME && c.plain.r < 0)
			a->counts.refused++;
		comparison_done(&c);
		if (again && *mask & WITHOUT_DIRECTORY_TIMES)
			a->counts.touched++;
		else if (again)
			a->counts.shortened++;
		if (again)
			continue;
		if (shows && verdict != SAME) {
			c = (struct comparison){
				.arena = a, .program = p, .mask = *mask, .commits = commits};
			(void)run_both(&c, true);
			comparison_done(&c);
		}
		return verdict;
	}
}

/* A2. */
static void shorten(struct arena *a, const struct program *p, unsigned *mask, bool commits,
		    enum verdict verdict)
{
	for (unsigned i = OPS_MAX; i > 0; i--) {
		unsigned fewer = *mask & ~(1u << (i - 1));

		if (fewer != *mask && run_once(a, p, &fewer, commits, false) == verdict)
			*mask = fewer;
	}
}

int arena_run(struct arena *a, uint64_t seed, unsigned mask, bool commits)
{
	struct program p;
	enum verdict verdict;

	program_make(&p, seed, a->with);
	mask &= WITHOUT_DIRECTORY_TIMES | ((1u << p.n) - 1);
	verdict = run_once(a, &p, &mask, commits, false);
	a->counts.programs++;
	a->counts.ops += (unsigned)__builtin_popcount(mask & ~WITHOUT_DIRECTORY_TIMES);
	if (verdict == SAME)
		return 0;
	(void)fprintf(stderr, "# seed %llu, mask 0x%x: %s\n", (unsigned long long)seed, mask,
		      verdict == LOGS_DIFFER	? "an operation answers otherwise"
		      : verdict == TREES_DIFFER ? "another tree"
						: "it cannot be run");
	if (verdict != BROKEN)
		shorten(a, &p, &mask, commits, verdict);
	(void)run_once(a, &p, &mask, commits, true);
	return -1;
}
