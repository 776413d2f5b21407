/*
 * A program against the installed library, in C99 that is C++ too: transactions by edits, checkpoints,
 * conflicts, what is listed of them, and readers.
 *
 *	transaction STORE      an empty place
 */
#include <errno.h>
#include <fcntl.h>
#include <pleach.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(x) ((x) ? (void)0 : fail(#x, __LINE__))
#define OK(x)	 ((x) >= 0 ? (void)0 : fail_error(#x, __LINE__))

static struct pleach_error error = PLEACH_ERROR_INIT;

static void fail(const char *what, int line)
{
	fprintf(stderr, "transaction.c:%d: %s\n", line, what);
	exit(1);
}

static void fail_error(const char *what, int line)
{
	fprintf(stderr, "transaction.c:%d: %s: %s\n", line, what, error.message);
	exit(1);
}

static struct pleach_tx *begin(struct pleach_store *store, int is_optimistic)
{
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct pleach_tx *tx = NULL;

	options.create = 1;
	options.optimistic = is_optimistic;
	options.workspace = "none";
	OK(pleach_tx_begin(store, "site", &options, &tx, &error));
	return tx;
}

static void put(struct pleach_tx *tx, const char *path, const char *text)
{
	OK(pleach_tx_put(tx, path, text, strlen(text), NULL, &error));
}

/* What a file of a reader holds. */
static void check_text(struct pleach_store *store, const char *rev, const char *path,
		       const char *expected)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_reader *reader;
	char text[64];
	ssize_t n;
	int fd;

	OK(pleach_reader_open(store, rev, &reader, &error));
	pleach_reader_revision(reader, &revision);
	CHECK(strcmp(revision.ref, "site") == 0);
	CHECK(pleach_reader_path(reader)[0] == '/');
	fd = openat(pleach_reader_fd(reader), path, O_RDONLY);
	CHECK(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	CHECK(n >= 0);
	text[n] = 0;
	close(fd);
	CHECK(strcmp(text, expected) == 0);
	pleach_reader_close(reader);
}

static void check_edits(struct pleach_store *store)
{
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_commit_options options = PLEACH_COMMIT_OPTIONS_INIT;
	struct pleach_metadata metadata = PLEACH_METADATA_INIT;
	const char *meta[] = {"by=test", NULL};
	struct pleach_tx *tx = begin(store, 0);
	int fd = open("/dev/null", O_RDONLY);

	metadata.set = PLEACH_SET_MODE | PLEACH_SET_MTIME;
	metadata.mode = 0600;
	metadata.mtime_s = 1000;
	put(tx, "a", "one");
	OK(pleach_tx_mkdir(tx, "d", NULL, &error));
	OK(pleach_tx_put(tx, "d/b", "two", 3, &metadata, &error));
	OK(pleach_tx_put_fd(tx, "empty", fd, NULL, &error));
	close(fd);
	OK(pleach_tx_symlink(tx, "s", "d/b", NULL, &error));
	OK(pleach_tx_link(tx, "a", "d/a", &error));
	OK(pleach_tx_rename(tx, "d", "e", &error));
	metadata.mode = 0755;
	OK(pleach_tx_set_metadata(tx, "", &metadata, &error));
	OK(pleach_tx_remove(tx, "s", &error));
	CHECK(pleach_tx_remove(tx, "s", &error) == -ENOENT);
	CHECK(error.code == PLEACH_NOT_FOUND && error.err == ENOENT);
	CHECK(strcmp(error.path, "s") == 0);
	CHECK(pleach_tx_put(tx, "../a", "", 0, NULL, &error) == -EINVAL);
	CHECK(error.code == PLEACH_USAGE && error.hint[0]);
	options.message = "by edits";
	options.meta = meta;
	OK(pleach_tx_commit(tx, &options, &result, &error));
	CHECK(result.generation == 1 && result.added == 5 && !result.unchanged);
	OK(pleach_tx_close(tx, &error));
	check_text(store, "site", "a", "one");
	check_text(store, "site:e", "b", "two");
}

static void check_listing(struct pleach_store *store, const char *id)
{
	struct pleach_tx_status status = PLEACH_TX_STATUS_INIT;
	struct pleach_txs *txs;

	OK(pleach_txs_open(store, &txs, &error));
	CHECK(pleach_txs_next(txs, &status, &error) == 1);
	CHECK(strcmp(status.state, "open") == 0);
	CHECK(strcmp(status.info.id, id) == 0 && strcmp(status.info.workspace, "none") == 0);
	CHECK(pleach_txs_next(txs, &status, &error) == 0);
	pleach_txs_close(txs);
}

static void check_diff(struct pleach_tx *tx)
{
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_diff *diff;

	OK(pleach_tx_diff(tx, &diff, &error));
	CHECK(pleach_diff_next(diff, &change, &error) == 1);
	CHECK(change.change == 'M' && strcmp(change.path, "a") == 0);
	CHECK(pleach_diff_next(diff, &change, &error) == 1); /* its other name */
	CHECK(pleach_diff_next(diff, &change, &error) == 0);
	pleach_diff_close(diff);
}

static void check_conflict(struct pleach_store *store)
{
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_conflict conflict = PLEACH_CONFLICT_INIT;
	struct pleach_tx_info info = PLEACH_TX_INFO_INIT;
	struct pleach_tx *tx = begin(store, 1), *other;

	pleach_tx_describe(tx, &info);
	CHECK(strcmp(info.ref, "site") == 0 && info.base == 1 && info.is_optimistic);
	CHECK(info.path == NULL && pleach_tx_path(tx) == NULL);
	check_listing(store, info.id);
	put(tx, "a", "mine");
	check_diff(tx);
	put(tx, "new", "1");
	OK(pleach_tx_snapshot(tx, NULL, &result, &error));
	CHECK(result.generation == 2);
	other = begin(store, 1);
	put(other, "a", "theirs");
	OK(pleach_tx_commit(other, NULL, NULL, &error));
	OK(pleach_tx_close(other, &error));
	put(tx, "new", "2");
	OK(pleach_tx_snapshot(tx, NULL, &result, &error)); /* `a` is theirs since */
	CHECK(result.generation == 4);
	check_text(store, "site", "a", "theirs");
	put(tx, "a", "mine again");
	CHECK(pleach_tx_commit(tx, NULL, &result, &error) == -ECANCELED);
	CHECK(error.code == PLEACH_CONFLICT);
	CHECK(pleach_tx_conflict_next(tx, &conflict) == 1);
	CHECK(strcmp(conflict.path, "a") == 0 && conflict.head[0] && conflict.tx[0]);
	CHECK(pleach_tx_conflict_next(tx, &conflict) == 0);
	OK(pleach_tx_abort(tx, &error));
	OK(pleach_tx_close(tx, &error));
	check_text(store, "site", "a", "theirs");
	check_text(store, "site", "new", "2");
	check_text(store, "site@2", "a", "mine");
}

/* A caller built with an older header, whose structs were shorter. */
static void check_sizes(struct pleach_store *store)
{
	struct pleach_metadata metadata = PLEACH_METADATA_INIT;
	struct pleach_tx *tx = begin(store, 0);
	struct {
		struct pleach_tx_info info;
		char guard[16];
	} old;

	memset(&old, 'x', sizeof(old));
	old.info.size = offsetof(struct pleach_tx_info, path);
	pleach_tx_describe(tx, &old.info);
	CHECK(strcmp(old.info.workspace, "none") == 0);
	CHECK(old.guard[0] == 'x' && ((const char *)&old.info.path)[0] == 'x');
	metadata.size = offsetof(struct pleach_metadata, xattrs);
	metadata.set = PLEACH_SET_MODE;
	metadata.mode = 0640;
	metadata.n_xattrs = 99;
	OK(pleach_tx_set_metadata(tx, "new", &metadata, &error));
	OK(pleach_tx_close(tx, &error));
	OK(pleach_tx_close(NULL, &error));
}

int main(int argc, char **argv)
{
	struct pleach_store *store;

	CHECK(argc == 2);
	OK(pleach_store_init(argv[1], NULL, &error));
	OK(pleach_store_open(argv[1], &store, &error));
	check_edits(store);
	check_conflict(store);
	check_sizes(store);
	pleach_store_close(store);
	printf("%s\n", pleach_version());
	return 0;
}
