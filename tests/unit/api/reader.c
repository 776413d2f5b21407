/*
 * Readers: a generation that is held for reading, with a descriptor of its directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/editing.h"

#define FLIPS 40

/* Nothing is kept that no reader holds. */
static const char *const settings[] = {"grace", "0", "keep-placed", "1", "spares", "0", NULL};

static struct pleach_store *make_flips(const struct yard *y, char path[YARD_PATH])
{
	struct outcome o;
	struct pleach_store *store;

	(void)snprintf(path, YARD_PATH, "%s/S", y->path);
	make_store(path, settings);
	store = open_at(path, &o);
	must(&o, "open");
	return store;
}

static void publish_number(const struct yard *y, struct pleach_store *store, unsigned number)
{
	TEXT *source = text_of("%s/source", y->path);
	TEXT *text = text_of("%u", number);
	struct outcome o;

	if (mkdir(source, 0755) == 0)
		make_dir(source, "d");
	put(source, "a", text);
	put(source, "d/b", text);
	o = do_publish(store, "site", source, -1);
	must(&o, "publish");
}

static unsigned number_at(int dirfd, const char *name)
{
	char text[16] = "";
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (unsigned)strtoul(text, NULL, 10);
}

static void assert_number(const struct pleach_reader *reader, unsigned number)
{
	assert_int_equal(number_at(pleach_reader_fd(reader), "a"), number);
	assert_int_equal(number_at(pleach_reader_fd(reader), "d/b"), number);
}

static void G1_readers_keep_their_generations_while_others_are_published(void **state)
{
	const struct yard *y = *state;
	struct pleach_reader *readers[FLIPS];
	struct pleach_error error = PLEACH_ERROR_INIT;
	char path[YARD_PATH];
	struct pleach_store *store = make_flips(y, path);
	unsigned before = count_descriptors();

	for (unsigned i = 0; i < FLIPS; i++) {
		struct pleach_revision revision = PLEACH_REVISION_INIT;

		publish_number(y, store, i);
		assert_int_equal(pleach_reader_open(store, "site", &readers[i], &error), 0);
		pleach_reader_revision(readers[i], &revision);
		assert_string_equal(revision.ref, "site");
		assert_int_equal(revision.generation, i + 1);
		assert_true(revision.is_head);
		for (unsigned k = 0; k <= i; k++)
			assert_number(readers[k], k);
	}
	for (unsigned i = 0; i < FLIPS; i++) {
		assert_number(readers[i], i);
		pleach_reader_close(readers[i]);
	}
	assert_int_equal(count_descriptors(), before);
	pleach_store_close(store);
	assert_no_trouble(trouble_by_locks(path));
	assert_no_trouble(trouble_by_check(path, 0));
}

/* A process that reads as long as another publishes: each reader one number, none older than the last. */
static void G1_each_reader_opened_while_generations_change_sees_one_of_them(void **state)
{
	const struct yard *y = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char path[YARD_PATH];
	struct pleach_store *store = make_flips(y, path);
	unsigned last = 0, opened = 0;
	int status = 0;
	pid_t pid;

	publish_number(y, store, 0);
	pid = fork();
	if (pid == 0) {
		struct outcome o;
		struct pleach_store *own = open_at(path, &o);

		for (unsigned i = 1; i <= FLIPS; i++)
			publish_number(y, own, i);
		_exit(0);
	}
	assert_true(pid > 0);
	while (waitpid(pid, &status, WNOHANG) == 0 || last < FLIPS) {
		struct pleach_reader *reader;
		int r = pleach_reader_open(store, "site", &reader, &error);
		unsigned number;

		assert_true(opened++ < 1000000);
		if (r == -EBUSY)
			continue;
		if (r < 0)
			fail_msg("%d %s", r, error.message);
		number = number_at(pleach_reader_fd(reader), "a");
		assert_number(reader, number);
		assert_true(number >= last);
		last = number;
		pleach_reader_close(reader);
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			break;
	}
	assert_int_equal(status, 0);
	print_message("# %u readers\n", opened);
	pleach_store_close(store);
	assert_no_trouble(trouble_by_locks(path));
}

static void a_reader_is_of_any_revision_and_directory(void **state)
{
	const struct yard *y = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct pleach_reader *reader;
	char path[YARD_PATH];
	struct pleach_store *store = make_flips(y, path);

	for (unsigned i = 0; i < 3; i++)
		publish_number(y, store, i);
	assert_int_equal(pleach_reader_open(store, "site@1", &reader, &error), 0); /* not placed */
	assert_number(reader, 0);
	pleach_reader_revision(reader, &revision);
	assert_int_equal(revision.generation, 1);
	assert_false(revision.is_head);
	pleach_reader_close(reader);
	assert_int_equal(pleach_reader_open(store, "site:d", &reader, &error), 0);
	assert_int_equal(number_at(pleach_reader_fd(reader), "b"), 2);
	assert_true(pleach_reader_path(reader)[0] == '/');
	assert_int_equal(access(pleach_reader_path(reader), F_OK), 0);
	pleach_reader_close(reader);
	pleach_store_close(store);
}

static void what_is_no_directory_of_a_generation_has_no_reader(void **state)
{
	const struct yard *y = *state;
	TEXT *source = text_of("%s/source", y->path);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pleach_reader *reader;
	char path[YARD_PATH];
	struct pleach_store *store = make_flips(y, path);
	unsigned before;

	publish_number(y, store, 0);
	make_symlink(source, "/", "out");
	make_symlink(source, "d", "in");
	publish_number(y, store, 1);
	before = count_descriptors();
	assert_int_equal(pleach_reader_open(store, "site:a", &reader, &error), -ENOTDIR);
	assert_true(error.message[0] != '\0');
	assert_int_equal(pleach_reader_open(store, "site:out", &reader, &error), -ENOTDIR);
	assert_int_equal(pleach_reader_open(store, "site:in", &reader, &error), -ENOTDIR);
	assert_int_equal(pleach_reader_open(store, "site:nope", &reader, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_int_equal(pleach_reader_open(store, "site@9", &reader, &error), -ENOENT);
	assert_int_equal(pleach_reader_open(store, "nope", &reader, &error), -ENOENT);
	assert_int_equal(count_descriptors(), before);
	pleach_reader_close(NULL);
	pleach_store_close(store);
	assert_no_trouble(trouble_by_locks(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G1_readers_keep_their_generations_while_others_are_published),
		yard_test(G1_each_reader_opened_while_generations_change_sees_one_of_them),
		yard_test(a_reader_is_of_any_revision_and_directory),
		yard_test(what_is_no_directory_of_a_generation_has_no_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
