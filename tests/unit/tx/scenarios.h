/*
 * scenarios - a store and one command on it, which succeeds and changes what an outsider sees: for tests that
 * end the command, or have its calls fail, anywhere. Header only. Include after cmocka.h.
 */
#ifndef PL_TEST_SCENARIOS_H
#define PL_TEST_SCENARIOS_H

#include "tx/work.h"

static inline bool is_full(void)
{
	return getenv("PLEACH_CRASH_FULL") != NULL;
}

static inline void make_sources(const struct yard *y)
{
	for (const char *name = "abc"; *name; name++) {
		TEXT *what = text_of("%c", *name);
		TEXT *dir = text_of("%s/%c", y->path, *name);

		make_source(dir, what, is_full() ? 20 : 0);
		settle_dir(dir, "same"); /* one node in all of them */
	}
}

/* Stretches of some directories, and directories of some stretches. */
static inline void make_many(const struct yard *y, const char *name)
{
	TEXT *many = text_of("%s/%s", y->path, name);

	make_dir(y->path, name);
	for (unsigned d = 0; d < 6; d++) {
		TEXT *sub = text_of("d%u", d);
		TEXT *dir = text_of("%s/%s", many, sub);

		make_dir(many, sub);
		for (unsigned i = 0; i < (d == 2 ? 80 : 9); i++) {
			TEXT *file = text_of("%u", i);
			TEXT *path = text_of("%s/%u", dir, i);
			int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

			if (fd < 0 || dprintf(fd, "%u of %u\n", i % 50, d) <= 0)
				abort();
			close(fd);
			settle_dir(dir, file);
		}
	}
}

/* ---- scenarios ---- */

struct scenario {
	const char *name;
	void (*prepare)(const struct yard *y, const char *store);
	int (*run)(const struct yard *y, struct pleach_store *store, struct pleach_error *error);
	unsigned step; /* 0: every k, and there are as many each time */
};

/* Little is kept placed, so that taking away is part of each publish. */
static const char *const settings[] = {"grace", "0", "keep-placed", "1", "spares", "0", NULL};

static inline void publish_source(const struct yard *y, const char *store, const char *source)
{
	TEXT *path = text_of("%s/%s", y->path, source);
	struct outcome o = publish_at(store, "site", path);

	must(&o, "publish");
}

static inline void prepare_empty(const struct yard *y, const char *store)
{
	(void)y;
	make_store(store, settings);
}

static inline void prepare_one(const struct yard *y, const char *store)
{
	make_store(store, settings);
	publish_source(y, store, "a");
}

static inline void prepare_two(const struct yard *y, const char *store)
{
	prepare_one(y, store);
	publish_source(y, store, "b");
}

/* Where there is a spare, and something in it is the same. */
static inline void prepare_spare(const struct yard *y, const char *store)
{
	static const char *const with_spares[] = {"grace",  "0", "keep-placed", "1",
						  "spares", "1", NULL};

	make_store(store, with_spares);
	publish_source(y, store, "c");
	publish_source(y, store, "a");
}

/* Where that may be edited. */
static inline void prepare_spare_to_edit(const struct yard *y, const char *store)
{
	static const char *const with_spares[] = {"grace", "0",	      "keep-placed", "1", "spares",
						  "1",	   "recycle", "edit",	     NULL};

	make_store(store, with_spares);
	publish_source(y, store, "c");
	publish_source(y, store, "a");
}

static inline void prepare_two_placed(const struct yard *y, const char *store)
{
	make_store(store, NULL);
	publish_source(y, store, "a");
	publish_source(y, store, "b");
}

static inline int run_publish(const struct yard *y, struct pleach_store *store,
			      struct pleach_error *error)
{
	TEXT *path = text_of("%s/b", y->path);
	struct outcome o = do_publish(store, "site", path, -1);

	*error = o.error;
	return o.r;
}

static inline int publish_many(const struct yard *y, struct pleach_store *store, const char *name,
			       unsigned jobs, struct pleach_error *error)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	TEXT *path = text_of("%s/%s", y->path, name);
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR, .spec = path};

	options.jobs = jobs;
	return pleach_publish(store, "site", &source, 1, &options, NULL, error);
}

/* So many files that there is work for all of them at once. */
static inline int run_publish_by_three(const struct yard *y, struct pleach_store *store,
				       struct pleach_error *error)
{
	return publish_many(y, store, "many", 3, error);
}

/* Where most of it is linked from what is placed. */
static inline void prepare_many(const struct yard *y, const char *path)
{
	make_store(path, settings);
	publish_source(y, path, "many");
}

static inline int run_publish_more_by_three(const struct yard *y, struct pleach_store *store,
					    struct pleach_error *error)
{
	return publish_many(y, store, "more", 3, error);
}

/* A directory, and beside it a part of the head. */
static inline int run_compose(const struct yard *y, struct pleach_store *store,
			      struct pleach_error *error)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	TEXT *path = text_of("%s/b", y->path);
	struct pleach_source sources[] = {
		{.kind = PLEACH_SOURCE_DIR, .spec = path, .prefix = "new"},
		{.kind = PLEACH_SOURCE_REV, .spec = "site:d", .prefix = "old/d"},
		{.kind = PLEACH_SOURCE_REV, .spec = "site:same"},
	};

	return pleach_publish(store, "site", sources, 3, &options, NULL, error);
}

static inline int run_rollback(const struct yard *y, struct pleach_store *store,
			       struct pleach_error *error)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;

	(void)y;
	return pleach_rollback(store, "site", NULL, &options, NULL, error);
}

static inline int run_tag(const struct yard *y, struct pleach_store *store,
			  struct pleach_error *error)
{
	(void)y;
	return pleach_tag_set(store, "site", "v1", "@1", 0, error);
}

static inline int drop(struct pleach_store *store, const char *rev, struct pleach_error *error)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;

	options.now = 1;
	return pleach_drop(store, rev, &options, NULL, error);
}

static inline int run_drop_generation(const struct yard *y, struct pleach_store *store,
				      struct pleach_error *error)
{
	(void)y;
	return drop(store, "site@1", error);
}

static inline int run_drop_ref(const struct yard *y, struct pleach_store *store,
			       struct pleach_error *error)
{
	(void)y;
	return drop(store, "site", error);
}

/* A time that is none of now, so that every run makes one tree. */
static const struct pleach_metadata then = {
	.size = sizeof(then), .set = PLEACH_SET_MTIME, .mtime_s = 1600000000};

/* A file replaced, one that is new in a new directory, one removed, one renamed. */
static inline int edit(struct pleach_tx *tx, struct pleach_error *error)
{
	int r = pleach_tx_put(tx, "only-a", "changed\n", 8, &then, error);

	if (r >= 0)
		r = pleach_tx_mkdir(tx, "new", &then, error);
	if (r >= 0)
		r = pleach_tx_put(tx, "new/file", "of a transaction\n", 17, &then, error);
	if (r >= 0)
		r = pleach_tx_remove(tx, "d", error);
	if (r >= 0)
		r = pleach_tx_set_metadata(tx, "new", &then, error);
	return r < 0 ? r : pleach_tx_set_metadata(tx, "", &then, error);
}

static inline int run_edits(const struct yard *y, struct pleach_store *store,
			    struct pleach_error *error)
{
	(void)y;
	return work_in(store, "none", edit, error);
}

static inline int run_copy(const struct yard *y, struct pleach_store *store,
			   struct pleach_error *error)
{
	(void)y;
	return work_in(store, "copy", edit, error);
}

static inline int run_abort(const struct yard *y, struct pleach_store *store,
			    struct pleach_error *error)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	int r;

	options.workspace = "copy";
	r = pleach_tx_begin(store, "site", &options, &tx, error);
	if (r < 0)
		return r;
	r = edit(tx, error);
	if (r >= 0)
		r = pleach_tx_abort(tx, error);
	r = end_tx(tx, r, error);
	return r < 0 ? r : run_publish(y, store, error);
}

/* One that is parked, on a head that has moved since in another place. */
static inline void prepare_parked(const struct yard *y, const char *path)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_store *store;
	struct pleach_tx *tx;
	struct outcome o;

	prepare_one(y, path);
	store = open_at(path, &o);
	options.workspace = "copy";
	options.parked = 1;
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	must(&o, "begin");
	o.r = pleach_tx_put(tx, "two", "2", 1, &then, &o.error);
	if (o.r >= 0)
		o.r = pleach_tx_set_metadata(tx, "", &then, &o.error);
	must(&o, "put");
	o.r = pleach_tx_close(tx, &o.error);
	must(&o, "close");
	options.parked = 0;
	options.workspace = "none";
	o.r = pleach_tx_begin(store, "site", &options, &tx, &o.error);
	must(&o, "begin");
	o.r = pleach_tx_put(tx, "one", "1", 1, &then, &o.error);
	if (o.r >= 0)
		o.r = pleach_tx_commit(tx, NULL, NULL, &o.error);
	must(&o, "commit");
	o.r = pleach_tx_close(tx, &o.error);
	must(&o, "close");
	pleach_store_close(store);
}

static inline int run_parked(const struct yard *y, struct pleach_store *store,
			     struct pleach_error *error)
{
	struct pleach_txs *txs;
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_tx *tx;
	int r = pleach_txs_open(store, &txs, error);

	(void)y;
	if (r < 0)
		return r;
	r = pleach_txs_next(txs, &status, error);
	if (r == 1)
		r = pleach_tx_open(store, status.info.id, &tx, error);
	pleach_txs_close(txs);
	if (r < 0)
		return r;
	r = pleach_tx_commit(tx, NULL, NULL, error);
	return end_tx(tx, r, error);
}

/* A transaction on a ref that has no generation yet. */
static inline int run_create(const struct yard *y, struct pleach_store *store,
			     struct pleach_error *error)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx;
	int r;

	(void)y;
	options.workspace = "none";
	options.create = 1;
	r = pleach_tx_begin(store, "site", &options, &tx, error);
	if (r < 0)
		return r;
	r = pleach_tx_put(tx, "file", "x", 1, &then, error);
	if (r >= 0)
		r = pleach_tx_set_metadata(tx, "", &then, error);
	if (r >= 0)
		r = pleach_tx_commit(tx, NULL, NULL, error);
	return end_tx(tx, r, error);
}

static const struct scenario scenarios[] = {
	{"first", prepare_empty, run_publish},
	{"second", prepare_one, run_publish},
	{"by-three", prepare_one, run_publish_by_three, 11},
	{"linked-by-three", prepare_many, run_publish_more_by_three, 11},
	{"recycled", prepare_spare, run_publish},
	{"edited", prepare_spare_to_edit, run_publish},
	{"composed", prepare_one, run_compose},
	{"rollback", prepare_two, run_rollback},
	{"rollback-placed", prepare_two_placed, run_rollback},
	{"tag", prepare_two, run_tag},
	{"drop-generation", prepare_two, run_drop_generation},
	{"drop-ref", prepare_two, run_drop_ref},
	{"edits", prepare_one, run_edits},
	{"copy", prepare_one, run_copy},
	{"abort", prepare_one, run_abort},
	{"create", prepare_empty, run_create},
	{"parked", prepare_parked, run_parked},
};

static inline const struct scenario *find_scenario(const char *name)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	abort();
}

#endif
