/*
 * Which inodes the names of placed trees have (G8, share=names and share=content), over publishes of
 * all kinds: two names share one exactly when they are a group; a name that did not change keeps its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/fixture.h"
#include "tx/tx.h"

static unsigned jobs = 1;

static void put(struct fixture *f, const char *name, const char *text)
{
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	fixture_put(f, name, text);
	assert_int_equal(utimensat(f->src, name, times, 0), 0); /* equal files are equal objects */
}

static void publish_spec(struct fixture *f, const struct pleach_source *sources, size_t n)
{
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;

	options.jobs = jobs;
	if (pl_publish_run(f->store, "site", sources, n, &options, &result, &error) != 0)
		fail_msg("%s", error.message);
}

static void publish(struct fixture *f)
{
	struct pleach_source source = {.kind = PLEACH_SOURCE_DIR};
	char path[4400];

	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	source.spec = path;
	publish_spec(f, &source, 1);
}

static ino_t inode(struct fixture *f, const char *name)
{
	char path[300];
	struct stat st;

	(void)snprintf(path, sizeof(path), "S/site/%s", name);
	assert_int_equal(fstatat(f->s->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void assert_content(struct fixture *f, const char *name, const char *text)
{
	char path[300], found[64] = "";
	int fd;

	(void)snprintf(path, sizeof(path), "S/site/%s", name);
	fd = openat(f->s->fd, path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	close(fd);
	assert_string_equal(found, text);
}

static void unchanged_names_of_every_kind_keep_their_inodes(void **state)
{
	struct fixture *f = *state;
	const char *names[] = {"a", "empty", "link", "fifo", "d/b"};
	ino_t before[PL_ARRAY_LEN(names)];

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	put(f, "a", "one");
	put(f, "empty", "");
	put(f, "d/b", "two");
	put(f, "changes", "1");
	assert_int_equal(symlinkat("a", f->src, "link"), 0);
	assert_int_equal(mkfifoat(f->src, "fifo", 0644), 0);
	publish(f);
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++)
		before[i] = inode(f, names[i]);
	put(f, "changes", "22");
	publish(f);
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++)
		assert_int_equal(inode(f, names[i]), before[i]);
	assert_content(f, "changes", "22");
}

static void equal_files_are_inodes_of_their_own(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "same");
	put(f, "b", "same");
	publish(f);
	assert_int_not_equal(inode(f, "a"), inode(f, "b"));
	/* One that comes later, equal to what an object has already. */
	put(f, "c", "same");
	publish(f);
	assert_int_not_equal(inode(f, "c"), inode(f, "a"));
	assert_int_not_equal(inode(f, "c"), inode(f, "b"));
	/* And one that sorts before all of them. */
	put(f, "A", "same");
	publish(f);
	assert_int_not_equal(inode(f, "A"), inode(f, "a"));
	assert_int_not_equal(inode(f, "A"), inode(f, "b"));
	assert_int_not_equal(inode(f, "A"), inode(f, "c"));
}

static void file_that_moves_shares_with_nobody(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "one");
	publish(f);
	assert_int_equal(renameat(f->src, "a", f->src, "b"), 0);
	put(f, "a", "two");
	publish(f);
	assert_content(f, "b", "one");
	assert_content(f, "a", "two");
	assert_int_not_equal(inode(f, "a"), inode(f, "b"));
}

static void groups_share_and_come_apart_and_together(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdirat(f->src, "d", 0755), 0);
	put(f, "a", "one");
	assert_int_equal(linkat(f->src, "a", f->src, "d/b", 0), 0);
	put(f, "c", "one");
	publish(f);
	assert_int_equal(inode(f, "a"), inode(f, "d/b"));
	assert_int_not_equal(inode(f, "a"), inode(f, "c"));
	/* Apart: equal in everything but membership. */
	assert_int_equal(unlinkat(f->src, "d/b", 0), 0);
	put(f, "d/b", "one");
	publish(f);
	assert_int_not_equal(inode(f, "a"), inode(f, "d/b"));
	assert_int_not_equal(inode(f, "a"), inode(f, "c"));
	assert_int_not_equal(inode(f, "d/b"), inode(f, "c"));
	/* Together, all three. */
	assert_int_equal(unlinkat(f->src, "d/b", 0), 0);
	assert_int_equal(unlinkat(f->src, "c", 0), 0);
	assert_int_equal(linkat(f->src, "a", f->src, "d/b", 0), 0);
	assert_int_equal(linkat(f->src, "a", f->src, "c", 0), 0);
	publish(f);
	assert_int_equal(inode(f, "a"), inode(f, "d/b"));
	assert_int_equal(inode(f, "a"), inode(f, "c"));
}

static void group_that_loses_its_first_member_keeps_the_rest_together(void **state)
{
	struct fixture *f = *state;

	put(f, "a", "one");
	assert_int_equal(linkat(f->src, "a", f->src, "b", 0), 0);
	assert_int_equal(linkat(f->src, "a", f->src, "c", 0), 0);
	publish(f);
	assert_int_equal(unlinkat(f->src, "a", 0), 0);
	put(f, "a", "one");
	publish(f);
	assert_int_equal(inode(f, "b"), inode(f, "c"));
	assert_int_not_equal(inode(f, "a"), inode(f, "b"));
}

static void group_of_symlinks_and_of_fifos_is_a_group(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlinkat("x", f->src, "l1"), 0);
	assert_int_equal(linkat(f->src, "l1", f->src, "l2", 0), 0);
	assert_int_equal(mkfifoat(f->src, "p1", 0600), 0);
	assert_int_equal(linkat(f->src, "p1", f->src, "p2", 0), 0);
	publish(f);
	assert_int_equal(inode(f, "l1"), inode(f, "l2"));
	assert_int_equal(inode(f, "p1"), inode(f, "p2"));
}

static void composed_tree_shares_nothing_but_groups(void **state)
{
	struct fixture *f = *state;
	struct pleach_source sources[2] = {{.kind = PLEACH_SOURCE_DIR, .prefix = "x"},
					   {.kind = PLEACH_SOURCE_DIR, .prefix = "y"}};
	char path[4400];

	put(f, "a", "same");
	assert_int_equal(linkat(f->src, "a", f->src, "b", 0), 0);
	(void)snprintf(path, sizeof(path), "%s/src", f->s->path);
	sources[0].spec = sources[1].spec = path;
	publish_spec(f, sources, 2);
	assert_int_equal(inode(f, "x/a"), inode(f, "x/b"));
	assert_int_equal(inode(f, "y/a"), inode(f, "y/b"));
	assert_int_not_equal(inode(f, "x/a"), inode(f, "y/a"));
}

static void damaged_filter_costs_copies_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	char command[9000];

	put(f, "a", "same");
	publish(f);
	(void)snprintf(command, sizeof(command),
		       "for x in '%s'/S/.pleach/trees/*/1/filter; do printf X | "
		       "dd of=\"$x\" bs=1 seek=40 conv=notrunc status=none; done",
		       f->s->path);
	assert_int_equal(system(command), 0);
	put(f, "b", "same");
	publish(f);
	assert_int_not_equal(inode(f, "a"), inode(f, "b"));
	assert_content(f, "b", "same");
}

static void equal_files_share_where_content_is_shared(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_values_set(&f->store->values, "share", "content", &error), 0);
	assert_int_equal(pl_settings_resolve(&f->store->values, NULL, &f->store->settings, &error),
			 0);
	put(f, "a", "same");
	put(f, "b", "same");
	put(f, "c", "other");
	publish(f);
	assert_int_equal(inode(f, "a"), inode(f, "b"));
	assert_int_not_equal(inode(f, "a"), inode(f, "c"));
}

static void names_come_apart_when_content_is_shared_no_more(void **state)
{
	struct fixture *f = *state;
	struct pleach_error error = PLEACH_ERROR_INIT;

	for (unsigned i = 0; i < 2; i++) {
		const char *share = i == 0 ? "content" : "names";

		assert_int_equal(pl_values_set(&f->store->values, "share", share, &error), 0);
		assert_int_equal(pl_settings_resolve(&f->store->values, NULL, &f->store->settings,
						     &error),
				 0);
		put(f, "a", "same");
		put(f, "b", "same");
		put(f, "c", share);
		publish(f);
		assert_int_equal(inode(f, "a") == inode(f, "b"), i == 0);
	}
}

static void rollback_links_the_objects_of_old(void **state)
{
	struct fixture *f = *state;
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	char command[9000];
	ino_t before;

	put(f, "a", "one");
	publish(f);
	before = inode(f, "a");
	put(f, "a", "two");
	publish(f);
	/* As if the first placing had been taken away meanwhile. */
	(void)snprintf(command, sizeof(command),
		       "cd '%s/S' && for t in .pleach/trees/*; do "
		       "[ \"$(readlink -f site)\" -ef \"$t/1/tree\" ] || rm -r \"$t/1\"; done",
		       f->s->path);
	assert_int_equal(system(command), 0);
	assert_int_equal(pl_rollback_run(f->store, "site", "@1", &options, &result, &error), 0);
	assert_content(f, "a", "one");
	assert_int_equal(inode(f, "a"), before);
}

static int three_setup(void **state)
{
	jobs = 3;
	return fixture_setup(state);
}

#define BY_THREE(test)                                                       \
	{                                                                    \
#test "_by_three", test, three_setup, fixture_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(unchanged_names_of_every_kind_keep_their_inodes),
		FIXTURE_TEST(equal_files_are_inodes_of_their_own),
		FIXTURE_TEST(file_that_moves_shares_with_nobody),
		FIXTURE_TEST(groups_share_and_come_apart_and_together),
		FIXTURE_TEST(group_that_loses_its_first_member_keeps_the_rest_together),
		FIXTURE_TEST(group_of_symlinks_and_of_fifos_is_a_group),
		FIXTURE_TEST(composed_tree_shares_nothing_but_groups),
		FIXTURE_TEST(damaged_filter_costs_copies_and_nothing_else),
		FIXTURE_TEST(names_come_apart_when_content_is_shared_no_more),
		FIXTURE_TEST(rollback_links_the_objects_of_old),
		FIXTURE_TEST(equal_files_share_where_content_is_shared),
		/* The same laws where names are linked by threads. */
		BY_THREE(unchanged_names_of_every_kind_keep_their_inodes),
		BY_THREE(equal_files_are_inodes_of_their_own),
		BY_THREE(file_that_moves_shares_with_nobody),
		BY_THREE(groups_share_and_come_apart_and_together),
		BY_THREE(group_that_loses_its_first_member_keeps_the_rest_together),
		BY_THREE(group_of_symlinks_and_of_fifos_is_a_group),
		BY_THREE(composed_tree_shares_nothing_but_groups),
		BY_THREE(damaged_filter_costs_copies_and_nothing_else),
		BY_THREE(names_come_apart_when_content_is_shared_no_more),
		BY_THREE(rollback_links_the_objects_of_old),
		BY_THREE(equal_files_share_where_content_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
