/*
 * A program against the installed library, in C99: init, publish, log, ls, read, diff, pin, rollback,
 * tag, settings, drop; and what the conventions of pleach.h say of errors and structs.
 *
 *	lifecycle STORE DIRECTORY      an empty place, and a directory with a file `a` that holds "one"
 */
#include <errno.h>
#include <pleach.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x) ((x) ? (void)0 : fail(#x, __LINE__))
#define OK(x)	 ((x) >= 0 ? (void)0 : fail_error(#x, __LINE__))

static struct pleach_error error = PLEACH_ERROR_INIT;

static void fail(const char *what, int line)
{
	fprintf(stderr, "lifecycle.c:%d: %s\n", line, what);
	exit(1);
}

static void fail_error(const char *what, int line)
{
	fprintf(stderr, "lifecycle.c:%d: %s: %s\n", line, what, error.message);
	exit(1);
}

static void write_a(const char *directory, const char *text)
{
	char name[4096];
	FILE *file;

	snprintf(name, sizeof(name), "%s/a", directory);
	file = fopen(name, "wb");
	CHECK(file);
	CHECK(fputs(text, file) >= 0);
	CHECK(fclose(file) == 0);
}

static void read_file(const char *directory, const char *path, char *text, size_t size)
{
	char name[8192];
	FILE *file;
	size_t n;

	snprintf(name, sizeof(name), "%s/%s", directory, path);
	file = fopen(name, "rb");
	CHECK(file);
	n = fread(text, 1, size - 1, file);
	text[n] = 0;
	fclose(file);
}

static void publish(struct pleach_store *store, const char *directory, uint64_t expected)
{
	struct pleach_source source = {PLEACH_SOURCE_DIR, NULL, NULL};
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;

	source.spec = directory;
	OK(pleach_publish(store, "site", &source, 1, NULL, &result, &error));
	CHECK(result.generation == expected);
	CHECK(strlen(result.tree) == PLEACH_HEX_MAX);
}

static void check_log(struct pleach_store *store)
{
	struct pleach_generation g = PLEACH_GENERATION_INIT;
	struct pleach_log_options options = PLEACH_LOG_OPTIONS_INIT;
	const char *paths[] = {"./a/", NULL};
	const char *others[] = {"b", NULL};
	struct pleach_log *log;
	uint64_t expected = 3;

	OK(pleach_log_open(store, "site", NULL, &log, &error));
	while (pleach_log_next(log, &g, &error) == 1) {
		CHECK(g.number == expected && g.parent == expected - 1);
		CHECK(strcmp(g.kind, expected == 3 ? "rollback" : "publish") == 0);
		CHECK(strcmp(g.message, "") == 0 && g.meta[0] == NULL && g.tags[0] == NULL);
		CHECK(!g.is_dropped);
		expected--;
	}
	CHECK(expected == 0);
	pleach_log_close(log);
	options.paths = paths;
	options.reverse = 1;
	OK(pleach_log_open(store, "site", &options, &log, &error));
	CHECK(pleach_log_next(log, &g, &error) == 1 && g.number == 1);
	pleach_log_close(log);
	options.paths = others;
	OK(pleach_log_open(store, "site", &options, &log, &error));
	CHECK(pleach_log_next(log, &g, &error) == 0);
	CHECK(pleach_log_next(log, &g, &error) == 0);
	pleach_log_close(log);
}

static void check_looking(struct pleach_store *store)
{
	struct pleach_entry entry = PLEACH_ENTRY_INIT;
	struct pleach_change change = PLEACH_CHANGE_INIT;
	struct pleach_file *file;
	struct pleach_diff *diff;
	struct pleach_ls *ls;
	char text[16] = "";

	OK(pleach_ls_open(store, "site@1", 1, &ls, &error));
	CHECK(pleach_ls_next(ls, &entry, &error) == 1);
	CHECK(strcmp(entry.path, "a") == 0 && entry.type == PLEACH_FILE);
	CHECK(entry.file_size == 3 && entry.links == 1 && entry.target == NULL);
	CHECK(strlen(entry.id) == PLEACH_HEX_MAX && strlen(entry.content) == PLEACH_HEX_MAX);
	CHECK(pleach_ls_next(ls, &entry, &error) == 0);
	pleach_ls_close(ls);

	/* One byte at a time: the read that completes the content is the one that verifies it. */
	OK(pleach_file_open(store, "site@1:a", &file, &error));
	for (int i = 0; i < 3; i++)
		CHECK(pleach_file_read(file, text + i, 1, &error) == 1);
	CHECK(pleach_file_read(file, text + 3, 1, &error) == 0);
	CHECK(strcmp(text, "one") == 0);
	pleach_file_close(file);

	OK(pleach_diff_open(store, "site@2", NULL, NULL, &diff, &error));
	CHECK(pleach_diff_next(diff, &change, &error) == 1);
	CHECK(change.change == 'M' && strcmp(change.path, "a") == 0);
	CHECK(change.before->file_size == 3 && change.after->file_size == 5);
	CHECK(pleach_diff_next(diff, &change, &error) == 0);
	pleach_diff_close(diff);
}

static void check_pin(struct pleach_store *store)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct pleach_pin *pin;
	char text[16], *path;

	OK(pleach_pin_open(store, "site@2", &pin, &error));
	pleach_pin_revision(pin, &revision);
	CHECK(strcmp(revision.ref, "site") == 0 && revision.generation == 2);
	read_file(pleach_pin_path(pin), "a", text, sizeof(text));
	CHECK(strcmp(text, "other") == 0);
	OK(pleach_path(store, "site@2", &path, &error));
	CHECK(strcmp(path, pleach_pin_path(pin)) == 0);
	pleach_free(path);
	options.now = 1;
	CHECK(pleach_drop(store, "site@2", &options, NULL, &error) == -EBUSY);
	CHECK(error.code == PLEACH_BUSY && error.message[0]);
	pleach_pin_close(pin);
	OK(pleach_drop(store, "site@2", &options, NULL, &error));
	CHECK(pleach_resolve(store, "site@2", &revision, &error) == -ENOENT);
	CHECK(error.code == PLEACH_NOT_FOUND);
}

static void check_tags_and_settings(struct pleach_store *store)
{
	struct pleach_setting setting = PLEACH_SETTING_INIT;
	struct pleach_tag tag = PLEACH_TAG_INIT;
	struct pleach_config *config;
	struct pleach_tags *tags;
	int n = 0;

	CHECK(pleach_tag_set(store, "site", "first", "@1", 0, &error) == 0);
	CHECK(pleach_tag_set(store, "site", "first", "site@1", 0, &error) == 1);
	CHECK(pleach_tag_set(store, "site", "first", NULL, 0, &error) == -EEXIST);
	CHECK(pleach_tag_set(store, "site", "12", NULL, 0, &error) == -EINVAL);
	CHECK(error.code == PLEACH_USAGE);
	OK(pleach_tags_open(store, "site", &tags, &error));
	CHECK(pleach_tags_next(tags, &tag, &error) == 1);
	CHECK(strcmp(tag.name, "first") == 0 && tag.generation == 1);
	CHECK(pleach_tags_next(tags, &tag, &error) == 0);
	pleach_tags_close(tags);
	OK(pleach_tag_delete(store, "site", "first", &error));
	CHECK(pleach_tag_delete(store, "site", "first", &error) == -ENOENT);

	OK(pleach_config_set(store, "site", "spares", "1", &error));
	CHECK(pleach_config_set(store, "site", "spares", "many", &error) == -EINVAL);
	OK(pleach_config_open(store, "site", &config, &error));
	while (pleach_config_next(config, &setting, &error) == 1) {
		n++;
		CHECK(setting.meaning[0]);
		if (strcmp(setting.key, "spares") == 0)
			CHECK(strcmp(setting.value, "1") == 0 && strcmp(setting.where, "ref") == 0);
	}
	CHECK(n >= 16);
	pleach_config_close(config);
	/* Settings that do not go together are refused as a whole, for the store and for each ref. */
	CHECK(pleach_config_set(store, NULL, "recycle", "edit", &error) == -EINVAL);
	OK(pleach_config_set(store, "site", "grace", "10m", &error));
	OK(pleach_config_set(store, NULL, "grace", "0", &error));
	CHECK(pleach_config_set(store, NULL, "recycle", "edit", &error) == -EINVAL);
	CHECK(strstr(error.message, "site"));
	OK(pleach_config_set(store, "site", "grace", NULL, &error));
	OK(pleach_config_set(store, NULL, "recycle", "edit", &error));
}

/* A caller built with an older header, whose structs were shorter: nothing is written behind. */
static void check_sizes(struct pleach_store *store)
{
	struct {
		struct pleach_revision revision;
		char guard[16];
	} old;

	memset(&old, 'x', sizeof(old));
	old.revision.size = offsetof(struct pleach_revision, path);
	OK(pleach_resolve(store, "site", &old.revision, &error));
	CHECK(strcmp(old.revision.ref, "site") == 0 && old.revision.generation == 3);
	CHECK(old.guard[0] == 'x' && ((const char *)&old.revision.path)[0] == 'x');
}

int main(int argc, char **argv)
{
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_store *store;
	uint64_t generation;

	CHECK(argc == 3);
	CHECK(pleach_store_open(argv[1], &store, &error) == -ENOENT);
	CHECK(error.code == PLEACH_NOT_FOUND && error.err == ENOENT && error.hint[0]);
	CHECK(pleach_store_init(argv[1], NULL, &error) == 0);
	CHECK(pleach_store_init(argv[1], NULL, NULL) == 1);
	OK(pleach_store_open(argv[1], &store, &error));
	publish(store, argv[2], 1);
	publish(store, argv[2], 1);
	write_a(argv[2], "other");
	publish(store, argv[2], 2);
	OK(pleach_rollback(store, "site", NULL, NULL, &result, &error));
	CHECK(result.generation == 3 && result.parent == 2 && !result.unchanged);
	CHECK(pleach_wait(store, "site", 2, 0, &generation, &error) == 0 && generation == 3);
	CHECK(pleach_wait(store, "site", 3, 0, &generation, NULL) == -ETIMEDOUT);
	check_log(store);
	check_looking(store);
	check_sizes(store);
	check_pin(store);
	check_tags_and_settings(store);
	pleach_store_cancel(store);
	CHECK(pleach_wait(store, "site", 3, -1, NULL, &error) == -EINTR);
	CHECK(error.code == PLEACH_INTERRUPTED);
	pleach_store_close(store);
	pleach_store_close(NULL);
	printf("%s\n", pleach_version());
	return 0;
}
