/*
 * editing - for tests of edits by the library: a store with a transaction in it, edits that must succeed, and
 * what an outsider sees of a tree, owners and attributes too. Header only. Include after cmocka.h.
 */
#ifndef PL_TEST_EDITING_H
#define PL_TEST_EDITING_H

#include <sys/xattr.h>

#include "tx/yard.h"

struct editing {
	const struct yard *y;
	const char *way; /* the workspace */
	char store_path[YARD_PATH];
	struct pleach_store *store;
	struct pleach_tx *tx;
	struct pleach_error error;
	struct pleach_publish_result result;
};

static inline void ok_at(int r, const struct editing *e, const char *what, int line)
{
	if (r >= 0)
		return;
	fail_msg("line %d, workspace '%s': %s: %d %s", line, e->way, what, r, e->error.message);
}
#define OK(e, call) ok_at(call, e, #call, __LINE__)

static inline void tx_begin(struct editing *e)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;

	options.create = 1;
	options.workspace = e->way;
	OK(e, pleach_tx_begin(e->store, "site", &options, &e->tx, &e->error));
}

static inline void tx_commit(struct editing *e)
{
	OK(e, pleach_tx_commit(e->tx, NULL, &e->result, &e->error));
	OK(e, pleach_tx_close(e->tx, &e->error));
	e->tx = NULL;
}

/* A new store, with a generation made of `source` (NULL: none), and no transaction. */
static inline void editing_open(struct editing *e, const struct yard *y, const char *way,
				const char *source)
{
	struct outcome o;

	*e = (struct editing){.y = y,
			      .way = way,
			      .error = PLEACH_ERROR_INIT,
			      .result = PLEACH_PUBLISH_RESULT_INIT};
	(void)snprintf(e->store_path, sizeof(e->store_path), "%s/S-%s", y->path, way);
	make_store(e->store_path, NULL);
	e->store = open_at(e->store_path, &o);
	must(&o, "open");
	if (source) {
		o = do_publish(e->store, "site", source, -1);
		must(&o, "publish");
	}
}

static inline void assert_no_trouble(char *trouble)
{
	if (trouble)
		fail_msg("%s", trouble);
}

/* Nothing is left over, and check is silent. */
static inline void editing_close(struct editing *e)
{
	OK(e, pleach_tx_close(e->tx, &e->error));
	pleach_store_close(e->store);
	{
		TEXT *left = names_in(e->store_path, "tx");

		assert_string_equal(left, "");
	}
	assert_no_trouble(trouble_by_check(e->store_path, 0));
	assert_no_trouble(trouble_by_locks(e->store_path));
	yard_remove(e->store_path);
}

/* The workspaces that edits are made in: memory, and a plain directory. */
static const char *const editing_ways[] = {"none", "copy"};

/* Runs a test in each, in a store of its own with a tree of make_source() and a transaction that `begin` begins. */
static inline void editing_both_ways(void **state, void (*begin)(struct editing *e),
				     void (*test)(struct editing *e))
{
	const struct yard *y = *state;
	TEXT *source = text_of("%s/source", y->path);

	make_source(source, "what", 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(editing_ways); i++) {
		struct editing e;

		editing_open(&e, y, editing_ways[i], source);
		begin(&e);
		test(&e);
		editing_close(&e);
	}
}

/* ---- metadata ---- */

static inline struct pleach_metadata with_mtime(int64_t mtime_s)
{
	struct pleach_metadata m = PLEACH_METADATA_INIT;

	m.set = PLEACH_SET_MTIME;
	m.mtime_s = mtime_s;
	m.mtime_ns = 5;
	return m;
}

static inline struct pleach_metadata with_mode(uint32_t mode)
{
	struct pleach_metadata m = PLEACH_METADATA_INIT;

	m.set = PLEACH_SET_MODE;
	m.mode = mode;
	return m;
}

static inline int put_text(struct editing *e, const char *path, const char *text)
{
	struct pleach_metadata m = with_mtime(1600000000);

	return pleach_tx_put(e->tx, path, text, strlen(text), &m, &e->error);
}

static inline int make_dir_at(struct editing *e, const char *path)
{
	return pleach_tx_mkdir(e->tx, path, NULL, &e->error);
}

/* ---- what a tree is like ---- */

static inline void add_xattrs(FILE *out, const char *path)
{
	char names[4096], value[4096];
	ssize_t n = llistxattr(path, names, sizeof(names));

	for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(path, name, value, sizeof(value));

		if (strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0)
			(void)fprintf(out, " %s=%.*s", name, length > 0 ? (int)length : 0, value);
	}
}

static inline void add_shape(FILE *out, const FTSENT *e, size_t skip, struct seen *seen, size_t *n)
{
	const struct stat *st = e->fts_statp;
	const char *path = e->fts_path + skip, *before;
	char target[4096];
	ssize_t length;

	(void)fprintf(out, "%s %o %u:%u", path, st->st_mode, st->st_uid, st->st_gid);
	if (!S_ISDIR(st->st_mode))
		(void)fprintf(out, " %lld.%09ld", (long long)st->st_mtim.tv_sec,
			      st->st_mtim.tv_nsec);
	add_xattrs(out, e->fts_accpath);
	before = S_ISDIR(st->st_mode) ? NULL : met_before(seen, n, st->st_ino, path);
	if (before) {
		(void)fprintf(out, " = %s", before);
	} else if (S_ISLNK(st->st_mode)) {
		length = readlink(e->fts_accpath, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		(void)fprintf(out, " -> %s", target);
	} else if (S_ISREG(st->st_mode)) {
		(void)putc(' ', out);
		add_content(out, e->fts_accpath);
	}
	(void)putc('\n', out);
}

/* As fingerprint() of the yard, with owners, attributes and groups of all kinds, and without the mtimes of
 * directories. */
static inline char *shape(const char *path)
{
	return told_by(path, add_shape);
}

/* Of the head. */
static inline char *head_shape(const struct editing *e)
{
	TEXT *site = text_of("%s/site", e->store_path);

	return shape(site);
}

/* What the transaction changed so far; of a plain directory just what it is. */
static inline char *state_of(struct editing *e)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_diff *diff;
	size_t size;
	char *text = NULL;
	FILE *out;

	if (pleach_tx_path(e->tx))
		return fingerprint(pleach_tx_path(e->tx));
	out = open_memstream(&text, &size);
	OK(e, pleach_tx_diff(e->tx, &diff, &e->error));
	while (pleach_diff_next(diff, &change, &e->error) == 1)
		(void)fprintf(out, "%c %s %o\n", change.change, change.path,
			      change.after ? change.after->mode : 0);
	pleach_diff_close(diff);
	(void)fclose(out);
	return text;
}

#endif
