/*
 * scenario.c - the commands, by the library; and the next commands, which judge what a power cut has left.
 */
#include "tx/work.h"

#include "power/scenario.h"

/* A time that is none of now. */
static const struct pleach_metadata then = {
	.size = sizeof(then), .set = PLEACH_SET_MTIME, .mtime_s = 1600000000};

void scenario_sources(const struct place *place)
{
	static const char *const names[] = {"a", "b", "c", "d"};

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		TEXT *path = text_of("%s/%s", place->sources, names[i]);

		make_source(path, names[i], 3);
	}
}

/* ---- stores, publishing ---- */

static int init(const struct place *place, struct pleach_store *store, struct pleach_error *error)
{
	(void)store;
	return pleach_store_init(place->store, NULL, error);
}

/* Where little is kept placed, so that taking away and laying out from retired trees is part of publishing. */
static int init_thrifty(const struct place *place, struct pleach_store *none,
			struct pleach_error *error)
{
	static const char *const settings[] = {"grace",	 "0", "keep-placed", "1",
					       "spares", "1", NULL};
	struct pleach_store *store;
	int r = init(place, none, error);

	if (r >= 0)
		r = pleach_store_open(place->store, &store, error);
	if (r < 0)
		return r;
	for (size_t i = 0; r >= 0 && settings[i]; i += 2)
		r = pleach_config_set(store, NULL, settings[i], settings[i + 1], error);
	pleach_store_close(store);
	return r;
}

static int publish(const struct place *place, struct pleach_store *store, const char *ref,
		   const char *source, struct pleach_error *error)
{
	TEXT *path = text_of("%s/%s", place->sources, source);
	struct outcome o = do_publish(store, ref, path, -1);

	*error = o.error;
	return o.r;
}

static int publish_a(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	return publish(p, s, "site", "a", e);
}

static int publish_b(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	return publish(p, s, "site", "b", e);
}

static int publish_c(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	return publish(p, s, "site", "c", e);
}

static int publish_other(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	return publish(p, s, "other", "b", e);
}

/* A directory, and beside it a part of the head. */
static int compose(const struct place *place, struct pleach_store *store,
		   struct pleach_error *error)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	TEXT *path = text_of("%s/c", place->sources);
	struct pleach_source sources[] = {
		{.kind = PLEACH_SOURCE_DIR, .spec = path, .prefix = "new"},
		{.kind = PLEACH_SOURCE_REV, .spec = "site:d", .prefix = "old/d"},
	};

	return pleach_publish(store, "site", sources, 2, &options, NULL, error);
}

static int rollback(const struct place *place, struct pleach_store *store,
		    struct pleach_error *error)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;

	(void)place;
	return pleach_rollback(store, "site", NULL, &options, NULL, error);
}

static int tag(const struct place *place, struct pleach_store *store, struct pleach_error *error)
{
	(void)place;
	return pleach_tag_set(store, "site", "v1", "@1", 0, error);
}

static int untag(const struct place *place, struct pleach_store *store, struct pleach_error *error)
{
	(void)place;
	return pleach_tag_delete(store, "site", "v1", error);
}

/* ---- transactions ---- */

/* One file replaced, one made. */
static int edit(struct pleach_tx *tx, const char *what, const char *dir, struct pleach_error *error)
{
	TEXT *name = text_of("new-%s", what);
	TEXT *file = text_of("new-%s/file", what);
	TEXT *replaced = text_of("%s/file", dir);
	int r = pleach_tx_put(tx, replaced, what, strlen(what), &then, error);

	if (r >= 0)
		r = pleach_tx_mkdir(tx, name, &then, error);
	if (r >= 0)
		r = pleach_tx_put(tx, file, "of a transaction\n", 17, &then, error);
	if (r >= 0)
		r = pleach_tx_set_metadata(tx, name, &then, error);
	if (r >= 0)
		r = pleach_tx_set_metadata(tx, dir, &then, error);
	return r < 0 ? r : pleach_tx_set_metadata(tx, "", &then, error);
}

static int edit_once(struct pleach_tx *tx, struct pleach_error *error)
{
	return edit(tx, "edits", "more0", error);
}

static int edits(const struct place *place, struct pleach_store *store, struct pleach_error *error)
{
	(void)place;
	return work_in(store, "none", edit_once, error);
}

static int run_program(struct pleach_tx *tx, struct pleach_error *error)
{
	static const char script[] =
		"exec 2>/dev/null; cd \"$PLEACH_PATH\" && echo run > a && mkdir run && "
		"echo file > run/file && rm -r same && mv d moved && "
		"ln run/file run/twin && "
		"touch -d @1600000000 a run/file moved run .";

	return run_script_in_tx(tx, script, error);
}

static int run(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	(void)p;
	return work_in(store, NULL, run_program, error);
}

static int run_copy(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	(void)p;
	return work_in(store, "copy", run_program, error);
}

static int begin(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	int r;

	(void)p;
	options.workspace = "copy";
	options.parked = 1;
	r = pleach_tx_begin(store, "site", &options, &tx, error);
	return r < 0 ? r : pleach_tx_close(tx, error);
}

static int open_parked(struct pleach_store *store, struct pleach_tx **ret_tx,
		       struct pleach_error *error)
{
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_txs *txs;
	int r = pleach_txs_open(store, &txs, error);

	if (r < 0)
		return r;
	do
		r = pleach_txs_next(txs, &status, error);
	while (r == 1 && !status.info.is_parked);
	if (r == 1)
		r = pleach_tx_open(store, status.info.id, ret_tx, error) < 0 ? -EIO : 1;
	pleach_txs_close(txs);
	return r;
}

/* As `run --tx`. */
static int work(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_tx *tx;
	int r = open_parked(store, &tx, error);

	(void)p;
	if (r != 1)
		return r < 0 ? r : -ENOENT;
	return end_tx(tx, edit(tx, "parked", "more2", error), error);
}

static int commit(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_tx *tx;
	int r = open_parked(store, &tx, error);

	(void)p;
	if (r != 1)
		return r < 0 ? r : -ENOENT;
	return end_tx(tx, pleach_tx_commit(tx, NULL, NULL, error), error);
}

static int abort_tx(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_tx *tx;
	int r = open_parked(store, &tx, error);

	(void)p;
	if (r != 1)
		return r < 0 ? r : -ENOENT;
	return end_tx(tx, pleach_tx_abort(tx, error), error);
}

/* ---- taking away ---- */

static int drop(struct pleach_store *store, const char *rev, struct pleach_error *error)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;

	options.now = 1;
	return pleach_drop(store, rev, &options, NULL, error);
}

static int drop_generation(const struct place *p, struct pleach_store *store,
			   struct pleach_error *error)
{
	(void)p;
	return drop(store, "site@1", error);
}

static int drop_ref(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	(void)p;
	return drop(store, "other", error);
}

static int collect(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	(void)p;
	return pleach_gc(store, NULL, NULL, NULL, error);
}

static int set_edit(const struct place *p, struct pleach_store *store, struct pleach_error *error)
{
	(void)p;
	return pleach_config_set(store, "site", "recycle", "edit", error);
}

/* ---- beside the store ---- */

static int attach(const struct place *place, struct pleach_store *store, const char *name,
		  const char *mode, struct pleach_error *error)
{
	TEXT *path = text_of("%s/%s", place->store, name);

	return pleach_attach(store, "site", path, mode, error);
}

static int attach_link(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	return attach(p, s, "link", "symlink", e);
}

/* On btrfs the store is a subvolume, and nothing beside it is on its file system: nothing is done there. */
static int attach_dir(const struct place *p, struct pleach_store *s, struct pleach_error *e)
{
	int r = attach(p, s, "exchanged", "exchange", e);

	return r == -EXDEV ? 0 : r;
}

static int detach_dir(const struct place *place, struct pleach_store *store,
		      struct pleach_error *error)
{
	TEXT *path = text_of("%s/exchanged", place->store);

	int r = pleach_detach(store, path, error);

	return r == -ENOENT ? 0 : r;
}

static int checkout(const struct place *place, struct pleach_store *store,
		    struct pleach_error *error)
{
	TEXT *path = text_of("%s/checkout", place->root);

	return pleach_checkout(store, "site@1", path, NULL, NULL, error);
}

/* Directories with equal files. */
static int make_loose(const struct place *place, struct pleach_store *store,
		      struct pleach_error *error)
{
	TEXT *dir = text_of("%s/loose", place->root);

	(void)store;
	(void)error;
	make_dir(place->root, "loose");
	for (unsigned i = 0; i < 4; i++) {
		TEXT *name = text_of("%u", i);
		TEXT *sub = text_of("%s/%u", dir, i);

		make_dir(dir, name);
		for (unsigned k = 0; k < 6; k++) {
			TEXT *file = text_of("%u", k);
			TEXT *content = text_of("content %u, many times", k / 2);

			put(sub, file, content);
		}
	}
	return 0;
}

static int dedup(const struct place *place, struct pleach_store *store, struct pleach_error *error)
{
	struct pleach_dedup_options options = PLEACH_DEDUP_OPTIONS_INIT;
	TEXT *dir = text_of("%s/loose", place->root);
	const char *const paths[] = {dir, NULL};

	(void)store;
	options.how = "link";
	return pleach_dedup(paths, &options, NULL, NULL, error);
}

/* ---- the lists ---- */

const struct scenario scenarios[] = {
	{"publish",
	 0,
	 false,
	 {{"init", init, true},
	  {"publish, first", publish_a},
	  {"publish, changed", publish_b},
	  {"publish, same tree", publish_other},
	  {"tag", tag},
	  {"rollback", rollback},
	  {"publish, composed", compose},
	  {"untag", untag}}},
	{"transactions",
	 2,
	 false,
	 {{"init", init, true},
	  {"publish", publish_a},
	  {"edits", edits},
	  {"run", run},
	  {"begin", begin},
	  {"work", work},
	  {"publish, changed", publish_b},
	  {"commit", commit},
	  {"run in a copy", run_copy},
	  {"begin, again", begin},
	  {"abort", abort_tx}}},
	{"collection",
	 3,
	 false,
	 {{"init", init_thrifty, true},
	  {"publish a", publish_a},
	  {"publish b", publish_b},
	  {"publish, recycled", publish_c},
	  {"drop a generation", drop_generation},
	  {"publish, same tree", publish_other},
	  {"gc", collect},
	  {"recycle=edit", set_edit},
	  {"publish, edited", publish_a},
	  {"drop a ref", drop_ref},
	  {"gc, again", collect},
	  {"publish, again", publish_b}}},
	{"outside",
	 3,
	 false,
	 {{"init", init, true},
	  {"publish a", publish_a},
	  {"make files", make_loose},
	  {"attach, symlink", attach_link},
	  {"attach, exchange", attach_dir},
	  {"publish, changed", publish_b},
	  {"checkout", checkout},
	  {"dedup", dedup},
	  {"rollback", rollback},
	  {"detach", detach_dir}}},
	{"publish-each",
	 1,
	 true,
	 {{"init", init, true},
	  {"publish, first", publish_a},
	  {"publish, changed", publish_b},
	  {"publish, same tree", publish_other},
	  {"edits", edits},
	  {"rollback", rollback}}},
	{"collection-each",
	 3,
	 true,
	 {{"init", init_thrifty, true},
	  {"publish a", publish_a},
	  {"publish b", publish_b},
	  {"publish, recycled", publish_c},
	  {"drop a generation", drop_generation},
	  {"gc", collect},
	  {"recycle=edit", set_edit},
	  {"publish, edited", publish_a}}},
	{0},
};

unsigned scenario_length(const struct scenario *scenario)
{
	unsigned n = 0;

	while (scenario->commands[n].name)
		n++;
	return n;
}

int scenario_run(const struct place *place, const struct command *command, bool syncs_each,
		 struct pleach_error *error)
{
	struct pleach_store *store = NULL;
	int r = 0;

	*error = (struct pleach_error)PLEACH_ERROR_INIT;
	pl_seam_disable(syncs_each ? PL_CAP_SYNCFS : 0);
	if (!command->is_first)
		r = pleach_store_open(place->store, &store, error);
	if (r >= 0)
		r = command->run(place, store, error);
	pleach_store_close(store);
	return r;
}

/* ---- judging ---- */

static char *told(const char *what, int r, const struct pleach_error *error)
{
	return text_of("%s answers %d: %.300s", what, r, error->message);
}

/* `pleach status`, by which everything unfinished is finished. */
static char *judge_refs(struct pleach_store *store)
{
	struct pleach_ref_status status = PLEACH_REF_STATUS_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_refs *refs;
	int r = pleach_refs_open(store, &refs, &error);

	if (r < 0)
		return told("status", r, &error);
	do
		r = pleach_refs_next(refs, &status, &error);
	while (r == 1);
	pleach_refs_close(refs);
	return r < 0 ? told("status", r, &error) : NULL;
}

static char *judge_parked(struct pleach_store *store)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	for (unsigned i = 0; i < 4; i++) {
		struct pleach_tx *tx;
		int r = open_parked(store, &tx, &error);

		if (r < 0)
			return told("opening what was parked", r, &error);
		if (r == 0)
			return NULL;
		r = pleach_tx_commit(tx, NULL, NULL, &error);
		if (r < 0 && error.code == PLEACH_CONFLICT)
			r = pleach_tx_abort(tx, &error);
		if (r < 0)
			return told("commit of what was parked", r, &error);
		r = pleach_tx_close(tx, &error);
		if (r < 0)
			return told("closing what was parked", r, &error);
	}
	return text_of("a parked transaction does not end");
}

static char *judge_publish(const struct place *place, struct pleach_store *store)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	TEXT *path = text_of("%s/site", place->store);
	TEXT *source = text_of("%s/d", place->sources);
	TEXT *expected = fingerprint(source);
	TEXT *seen = NULL;
	int r = publish(place, store, "site", "d", &error);

	if (r < 0)
		return told("the next publish", r, &error);
	seen = fingerprint(path);
	return strcmp(seen, expected) != 0 ? text_of("the next publish shows something else")
					   : NULL;
}

static char *judge_rest(const struct place *place, struct pleach_store *store)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = pleach_gc(store, NULL, NULL, NULL, &error);
	TEXT *left = NULL;

	if (r < 0)
		return told("gc", r, &error);
	left = names_in(place->store, "tx");
	if (left[0])
		return text_of("left in tx/: %s", left);
	return trouble_by_check(place->store, 0);
}

char *scenario_judge(const struct place *place)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_init_options options = PLEACH_INIT_OPTIONS_INIT;
	struct pleach_store *store;
	char *trouble;
	int r;

	options.force = 1;
	pl_seam_disable(0);
	r = pleach_store_init(place->store, &options, &error);
	if (r < 0)
		return told("init", r, &error);
	r = pleach_store_open(place->store, &store, &error);
	if (r < 0)
		return told("opening the store", r, &error);
	trouble = judge_refs(store);
	if (!trouble)
		trouble = trouble_by_check(place->store, 0);
	if (!trouble)
		trouble = judge_parked(store);
	if (!trouble)
		trouble = judge_publish(place, store);
	if (!trouble)
		trouble = judge_rest(place, store);
	pleach_store_close(store);
	return trouble;
}
