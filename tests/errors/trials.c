/*
 * trials - see trials.h. Each command makes the same state every time: files that it writes have times of their own.
 */
#include "errors/trials.h"

#include "gc/repairs.h"

/* ---- what is seen ---- */

static void add_names(FILE *out, const char *store, const char *pool)
{
	TEXT *path = text_of("%s/.pleach/%s", store, pool);
	char *const roots[] = {path, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	bool is_flat = strcmp(pool, "trees") == 0;
	FTSENT *e;

	while ((e = fts_read(fts))) {
		if (e->fts_level == (is_flat ? 1 : 2) && e->fts_info != FTS_DP)
			(void)fprintf(out, "%s %s\n", pool, e->fts_name);
		if (e->fts_level >= (is_flat ? 1 : 2))
			(void)fts_set(fts, e, FTS_SKIP);
	}
	(void)fts_close(fts);
}

char *pool_of(const char *store)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	add_names(out, store, "objects");
	add_names(out, store, "nodes");
	add_names(out, store, "trees");
	(void)fclose(out);
	return text;
}

static char *there_of(const char *store)
{
	return text_of("%.*s/there", (int)(strlen(store) - 2), store);
}

/* But for unfinished names of ours, which the next command there removes. */
static void add_finished(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	if (!strstr(e->fts_path + skip, ".pleach-"))
		add_entry(out, e, skip, seen, n);
}

static char *observe_there(const char *store)
{
	TEXT *there = there_of(store);
	TEXT *tree = told_by(there, add_finished);
	TEXT *site = observe(store);

	return text_of("%s\n%s", tree, site);
}

/* Of names, contents, and which are one file; a failed call may have left a directory's time of now. */
static void add_shared(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	if (S_ISDIR(e->fts_statp->st_mode) && !strstr(e->fts_path + skip, ".pleach-"))
		(void)fprintf(out, "%s\n", e->fts_path + skip);
	else if (!S_ISDIR(e->fts_statp->st_mode))
		add_finished(out, e, skip, seen, n);
}

static char *observe_shared(const char *store)
{
	TEXT *there = there_of(store);

	return told_by(there, add_shared);
}

static char *observe_attached(const char *store)
{
	TEXT *dir = text_of("%s/.pleach/refs/site/attached", store);
	TEXT *seen = observe_there(store);

	return text_of("attached %u\n%s", access(dir, F_OK) == 0 ? count_names(dir) : 0, seen);
}

static char *observe_pool(const char *store)
{
	TEXT *site = observe(store);
	TEXT *pool = pool_of(store);

	return text_of("%s\n%s", site, pool);
}

static char *observe_soundness(const char *store)
{
	TEXT *site = observe(store);
	TEXT *trouble = trouble_by_check(store, 0);

	return text_of("%s\n%s", site, trouble ? "damaged" : "sound");
}

/* Without who is a link of whom. */
static void add_told(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	(void)seen;
	(void)n;
	if (strstr(e->fts_path + skip, ".pleach-"))
		return;
	(void)fprintf(out, "%s %o ", e->fts_path + skip, e->fts_statp->st_mode);
	if (S_ISREG(e->fts_statp->st_mode))
		add_content(out, e->fts_accpath);
	(void)putc('\n', out);
}

static char *told_there(const char *store)
{
	TEXT *there = there_of(store);

	return told_by(there, add_told);
}

/* ---- commands ---- */

static int run_attach(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	TEXT *there = there_of(pleach_store_path(store));
	int r;

	(void)y;
	r = pleach_attach(store, "site", there, "symlink", error);
	return r == 1 ? 0 : r; /* it is so already */
}

static int run_attach_fixed(const struct yard *y, struct pleach_store *store,
			    struct pleach_error *error)
{
	TEXT *there = there_of(pleach_store_path(store));
	int r;

	(void)y;
	r = pleach_attach(store, "site@1", there, "symlink", error);
	return r == 1 ? 0 : r;
}

static int run_checkout(const struct yard *y, struct pleach_store *store,
			struct pleach_error *error)
{
	TEXT *there = there_of(pleach_store_path(store));
	struct pleach_report *report = NULL;
	int r = pleach_checkout(store, "site", there, NULL, &report, error);

	(void)y;
	pleach_report_close(report);
	return r;
}

static void prepare_update(const struct yard *y, const char *path)
{
	TEXT *there = there_of(path);
	struct outcome o;
	struct pleach_store *store;

	prepare_two(y, path);
	store = open_at(path, &o);
	o.r = pleach_checkout(store, "site@1", there, NULL, NULL, &o.error);
	must(&o, "checkout");
	pleach_store_close(store);
}

static int run_update(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	TEXT *there = there_of(pleach_store_path(store));
	struct pleach_checkout_options options = PLEACH_CHECKOUT_OPTIONS_INIT;
	struct pleach_report *report = NULL;
	int r;

	(void)y;
	options.update = options.delete_others = 1;
	r = pleach_checkout(store, "site", there, &options, &report, error);
	pleach_report_close(report);
	return r;
}

static void prepare_garbage(const struct yard *y, const char *path)
{
	struct outcome o;
	struct pleach_store *store;

	prepare_two(y, path);
	store = open_at(path, &o);
	o.r = drop(store, "site@1", &o.error);
	must(&o, "drop");
	pleach_store_close(store);
}

static int run_gc(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	int r = pleach_gc(store, NULL, &result, NULL, error);

	(void)y;
	if (r == 0 && !result.is_complete)
		abort(); /* nothing limits its time */
	return r;
}

static void prepare_damaged_object(const struct yard *y, const char *store)
{
	TEXT *object = NULL;

	prepare_one(y, store);
	object = object_of(store, "site:d/equal1");
	scribble(object);
}

static void prepare_damaged_node(const struct yard *y, const char *store)
{
	TEXT *tree = NULL, *node = NULL;

	prepare_one(y, store);
	tree = tree_of(store, "site");
	node = node_of(store, tree);
	scribble(node);
}

static void prepare_damaged_public(const struct yard *y, const char *store)
{
	TEXT *public = inner(store, "refs/site/public");
	TEXT *hop = text_of("%s/site", store);

	prepare_one(y, store);
	remove_all(public);
	if (unlink(hop) < 0)
		abort();
}

static int run_repair(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
	struct pleach_report *report = NULL;
	int r;

	(void)y;
	options.repair = 1;
	r = pleach_check(store, &options, NULL, &report, error);
	pleach_report_close(report);
	return r;
}

static void prepare_equal(const struct yard *y, const char *store)
{
	TEXT *there = there_of(store);

	prepare_one(y, store);
	make_source(there, "x", 3);
}

static int run_dedup(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	TEXT *there = there_of(pleach_store_path(store));
	struct pleach_dedup_options options = PLEACH_DEDUP_OPTIONS_INIT;
	struct pleach_report *report = NULL;
	int r;

	(void)y;
	options.how = "link";
	r = pleach_dedup((const char *const[]){there, NULL}, &options, NULL, &report, error);
	pleach_report_close(report);
	return r;
}

static int run_check(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_report *report = NULL;
	int r = pleach_check(store, NULL, NULL, &report, error);

	(void)y;
	pleach_report_close(report);
	return r;
}

/* ---- what only looks ---- */

static int list(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_entry entry = PLEACH_ENTRY_INIT;
	struct pleach_ls *ls;
	unsigned n = 0;
	int r = pleach_ls_open(store, "site", 1, &ls, error);

	if (r < 0)
		return r;
	while ((r = pleach_ls_next(ls, &entry, error)) == 1)
		n++;
	pleach_ls_close(ls);
	return r < 0 ? r : n == 13 ? 0 : 1;
}

static int compare(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_diff *diff;
	unsigned n = 0;
	int r = pleach_diff_open(store, "site@1", "site", NULL, &diff, error);

	if (r < 0)
		return r;
	while ((r = pleach_diff_next(diff, &change, error)) == 1)
		n++;
	pleach_diff_close(diff);
	return r < 0 ? r : n > 0 ? 0 : 1;
}

static int read_one(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_file *file;
	char text[16] = "";
	ssize_t n;
	int r = pleach_file_open(store, "site:d/equal1", &file, error);

	if (r < 0)
		return r;
	n = pleach_file_read(file, text, sizeof(text) - 1, error);
	pleach_file_close(file);
	return n < 0 ? (int)n : strcmp(text, "equal") == 0 ? 0 : 1;
}

static int look_back(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_generation generation = PLEACH_GENERATION_INIT;
	struct pleach_log *log;
	unsigned n = 0;
	int r = pleach_log_open(store, "site", NULL, &log, error);

	if (r < 0)
		return r;
	while ((r = pleach_log_next(log, &generation, error)) == 1)
		n++;
	pleach_log_close(log);
	return r < 0 ? r : n == 2 ? 0 : 1;
}

static int measure(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_du_generation generation = PLEACH_DU_GENERATION_INIT;
	struct pleach_du *du;
	int r = pleach_du_open(store, NULL, &du, error);

	if (r < 0)
		return r;
	while ((r = pleach_du_next(du, &generation, error)) == 1)
		;
	pleach_du_close(du);
	return r;
}

static int list_refs(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_ref_status status = PLEACH_REF_STATUS_INIT;
	struct pleach_refs *refs;
	unsigned n = 0;
	int r = pleach_refs_open(store, &refs, error);

	if (r < 0)
		return r;
	while ((r = pleach_refs_next(refs, &status, error)) == 1)
		n++;
	pleach_refs_close(refs);
	return r < 0 ? r : n == 1 ? 0 : 1;
}

static int open_again(struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_store *again;
	int r = pleach_store_open(pleach_store_path(store), &again, error);

	if (r == 0)
		pleach_store_close(again);
	return r;
}

/* A look that tells less than there is, and says that it is all, answers 1. */
static int run_looks(const struct yard *y, struct pleach_store *store, struct pleach_error *error)
{
	static int (*const looks[])(struct pleach_store * store, struct pleach_error * error) = {
		open_again, list, compare, read_one, look_back, measure, list_refs};
	int r = 0;

	(void)y;
	for (size_t i = 0; r == 0 && i < PL_ARRAY_LEN(looks); i++)
		r = looks[i](store, error);
	return r;
}

/* ---- programs in workspaces ---- */

static int run_program(struct pleach_tx *tx, struct pleach_error *error)
{
	static const char script[] =
		"exec 2>/dev/null; cd \"$PLEACH_PATH\" && echo run > a && mkdir run && "
		"echo file > run/file && rm -r same && ln run/file run/twin && "
		"touch -d @1600000000 a run/file run .";

	return run_script_in_tx(tx, script, error);
}

#define PROGRAM_IN(id, workspace)                                                \
	static int run_in_##id(const struct yard *y, struct pleach_store *store, \
			       struct pleach_error *error)                       \
	{                                                                        \
		(void)y;                                                         \
		return work_in(store, workspace, run_program, error);            \
	}
PROGRAM_IN(overlay, "overlay")
PROGRAM_IN(user_overlay, "user-overlay")
PROGRAM_IN(reflink, "reflink")
PROGRAM_IN(snapshot, "snapshot")
PROGRAM_IN(copy, "copy")

static const struct trial more[] = {
	/* The record comes first; one without its symlink is mended by the next command. */
	{"attach", prepare_one, run_attach, observe_attached, .is_gradual = true, .is_apart = true},
	{"attach-fixed", prepare_two, run_attach_fixed, observe_attached, .is_gradual = true,
	 .is_apart = true},
	{"checkout", prepare_one, run_checkout, observe_there, .is_apart = true},
	{"checkout-update", prepare_update, run_update, observe_there, .is_gradual = true,
	 .is_apart = true},
	{"gc", prepare_garbage, run_gc, observe_pool, .is_gradual = true},
	{"repair-object", prepare_damaged_object, run_repair, observe_soundness, .is_damaged = true,
	 .is_gradual = true},
	{"repair-node", prepare_damaged_node, run_repair, observe_soundness, .is_gradual = true,
	 .is_damaged = true},
	{"repair-public", prepare_damaged_public, run_repair, observe_soundness, .is_damaged = true,
	 .is_gradual = true},
	{"check", prepare_two, run_check, .is_apart = true},
	{"looks", prepare_two, run_looks, .is_apart = true},
	{"dedup", prepare_equal, run_dedup, observe_shared, told_there, .may_leave = true,
	 .is_gradual = true, .is_apart = true},
	{"run-overlay", prepare_one, run_in_overlay},
	{"run-user-overlay", prepare_one, run_in_user_overlay},
	{"run-reflink", prepare_one, run_in_reflink},
	{"run-snapshot", prepare_one, run_in_snapshot},
	{"run-copy", prepare_one, run_in_copy},
};

size_t trials_list(struct trial ret_trials[TRIALS])
{
	size_t n = 0;

	pl_assert(PL_ARRAY_LEN(scenarios) + PL_ARRAY_LEN(more) <= TRIALS);
	for (size_t i = 0; i < PL_ARRAY_LEN(scenarios); i++)
		ret_trials[n++] = (struct trial){.name = scenarios[i].name,
						 .prepare = scenarios[i].prepare,
						 .run = scenarios[i].run,
						 .step = scenarios[i].step};
	for (size_t i = 0; i < PL_ARRAY_LEN(more); i++)
		ret_trials[n++] = more[i];
	return n;
}
