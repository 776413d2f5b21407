/* Where ids have their names; S1 of src/object/store.c. */
#include "scratch.h"

static struct pl_id id_of(const char *text)
{
	struct pl_id id;

	pl_hash_of(text, strlen(text), &id);
	return id;
}

/* Device and inode of a name; zero if it is missing. */
static struct stat seen(int dirfd, const char *name)
{
	struct stat st = {0};

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		assert_int_equal(errno, ENOENT);
	return st;
}

static void a_name_is_two_digits_a_slash_and_the_rest(void **state)
{
	char name[PL_FANOUT_NAME];
	const struct pl_id id = id_of("abc");

	pl_fanout_name(&id, name);
	assert_string_equal(name,
			    "ba/7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void the_first_link_makes_the_directory_and_the_second_finds_the_name(void **state)
{
	struct scratch *s = *state;
	const struct pl_id id = id_of("abc");
	char name[PL_FANOUT_NAME];

	pl_fanout_name(&id, name);
	close(scratch_file(s, "one", "abc"));
	close(scratch_file(s, "two", "abc"));
	assert_int_equal(pl_pool_has(s->fd, &id), 0);
	assert_int_equal(pl_pool_open(s->fd, &id), -ENOENT);

	assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "one"), 0);
	assert_int_equal(seen(s->fd, "ba").st_mode, S_IFDIR | 0700);
	assert_int_equal(seen(s->fd, name).st_ino, seen(s->fd, "one").st_ino);
	assert_int_equal(pl_pool_has(s->fd, &id), 1);

	/* S1: another inode under that name is left where it is. */
	assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "two"), 1);
	assert_int_equal(seen(s->fd, name).st_ino, seen(s->fd, "one").st_ino);
	assert_int_equal(seen(s->fd, "two").st_nlink, 1);
}

static void what_is_linked_can_be_opened_and_synced(void **state)
{
	struct scratch *s = *state;
	const struct pl_id id = id_of("abc");
	char content[8] = {0};
	int fd;

	close(scratch_file(s, "one", "abc"));
	assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "one"), 0);
	fd = pl_pool_open(s->fd, &id);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, content, sizeof(content)), 3);
	assert_string_equal(content, "abc");
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_pool_sync(s->fd, &id), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 2); /* the directory, and its own name */
}

static void a_missing_source_or_directory_is_told(void **state)
{
	struct scratch *s = *state;
	const struct pl_id id = id_of("abc"), other = id_of("another");

	assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "nothing"), -ENOENT);
	assert_int_equal(pl_pool_has(s->fd, &id), 0);
	assert_int_equal(pl_pool_sync(s->fd, &other), -ENOENT);
}

static void neither_a_symlink_nor_a_fifo_passes_for_an_object(void **state)
{
	struct scratch *s = *state;
	const struct pl_id id = id_of("abc");
	char name[PL_FANOUT_NAME];
	int fd;

	pl_fanout_name(&id, name);
	assert_int_equal(mkdirat(s->fd, "ba", 0700), 0);
	assert_int_equal(symlinkat("/dev/null", s->fd, name), 0);
	assert_int_equal(pl_pool_open(s->fd, &id), -ELOOP);
	assert_int_equal(unlinkat(s->fd, name, 0), 0);
	assert_int_equal(mkfifoat(s->fd, name, 0600), 0);
	fd = pl_pool_open(s->fd, &id); /* does not wait for a writer */
	assert_true(fd >= 0);
	close(fd);
}

/* ---- the race for the directory ----
 *
 * 1. A links: the two-digit directory is missing.
 * 2. B makes it.
 * 3. A makes it: EEXIST. That is as good.
 */

static void make_it_first(uint64_t number, enum pl_call call, void *userdata)
{
	const struct scratch *s = userdata;

	if (call == PL_CALL_MKDIR)
		assert_int_equal(mkdirat(s->fd, "ba", 0700), 0);
}

static void a_directory_that_another_makes_meanwhile_is_as_good(void **state)
{
	struct scratch *s = *state;
	const struct pl_id id = id_of("abc");

	close(scratch_file(s, "one", "abc"));
	pl_seam_arm(&(struct pl_seam_plan){.stop = make_it_first, .userdata = s});
	assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "one"), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_MKDIR), 1);
	assert_int_equal(pl_pool_has(s->fd, &id), 1);
}

static void every_failed_call_comes_through_and_the_next_attempt_succeeds(void **state)
{
	static const int errors[] = {ENOSPC, EMLINK, EIO};
	struct scratch *s = *state;

	close(scratch_file(s, "one", "abc"));
	for (size_t i = 0; i < PL_ARRAY_LEN(errors); i++) {
		/* Link, mkdir, link: a fresh directory for each. */
		for (uint64_t at = 1; at <= 3; at++) {
			char text[] = {(char)('0' + i), (char)('0' + at), '\0'};
			const struct pl_id id = id_of(text);

			pl_seam_arm(&(struct pl_seam_plan){.fail_at = at, .fail_errno = errors[i]});
			assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "one"), -errors[i]);
			pl_seam_arm(NULL);
			assert_int_equal(pl_pool_has(s->fd, &id), 0);
			assert_int_equal(pl_pool_link(s->fd, &id, s->fd, "one"), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_two_digits_a_slash_and_the_rest),
		scratch_test(the_first_link_makes_the_directory_and_the_second_finds_the_name),
		scratch_test(what_is_linked_can_be_opened_and_synced),
		scratch_test(a_missing_source_or_directory_is_told),
		scratch_test(neither_a_symlink_nor_a_fifo_passes_for_an_object),
		scratch_test(a_directory_that_another_makes_meanwhile_is_as_good),
		scratch_test(every_failed_call_comes_through_and_the_next_attempt_succeeds),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
