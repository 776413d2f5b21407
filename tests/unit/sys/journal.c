/* The laws of journals: whose order is relied on, and what a sync of names takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/images.h"

/* How many syncs a name takes on a new file system: 1, or 2, or, as exit status, what is wrong. */
static int count_syncs(struct scratch *s, const struct pl_journal *journal)
{
	PL_CLOSE int fd = pl_open_dir(s->fd, "fs");

	CHECK(fd >= 0 && make_file(fd, "file", "text") == 0 && pl_fsync_at(fd, "file") == 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	CHECK(pl_link(fd, "file", fd, "name") == 0);
	CHECK(pl_journal_sync(fd, journal) == 0);
	return 10 + (int)pl_seam_count_of(PL_CALL_SYNC);
}

static int probe(struct scratch *s, const char *kind, const char *features)
{
	struct pl_journal journal;
	PL_CLOSE int fd = -EBADF;

	CHECK(private_mounts(s) == 0);
	if (mount_image_with(s, kind, "fs", NULL, features) != 0)
		return NOT_TO_BE_HAD;
	fd = pl_open_dir(s->fd, "fs");
	pl_journal_probe(fd, &journal);
	if (!journal.is_ordered)
		return count_syncs(s, &journal) == 11 ? 0 : 1;
	return count_syncs(s, &journal);
}

static int probe_ext4(struct scratch *s)
{
	return probe(s, "ext4", NULL);
}

static int probe_ext4_without_journal(struct scratch *s)
{
	return probe(s, "ext4", "^has_journal");
}

static int probe_ext4_with_fast_commits(struct scratch *s)
{
	return probe(s, "ext4", "fast_commit");
}

static int probe_xfs(struct scratch *s)
{
	return probe(s, "xfs", NULL);
}

static int probe_btrfs(struct scratch *s)
{
	return probe(s, "btrfs", NULL);
}

static int probe_tmpfs(struct scratch *s)
{
	return probe(s, "tmpfs", NULL);
}

/* `wanted`: 0, not relied on; 11 or 12, relied on, with so many syncs more than ten. */
static void expect(struct scratch *s, int (*probe_it)(struct scratch *), int wanted)
{
	int r;

	if (geteuid() != 0)
		SKIP("needs root: mounts");
	r = in_child(probe_it, s);
	if (r == NOT_TO_BE_HAD)
		SKIP("there is no such file system here");
	assert_int_equal(r, wanted);
}

static void the_order_of_ext4_is_relied_on(void **state)
{
	expect(*state, probe_ext4, 11);
}

static void but_not_without_a_journal(void **state)
{
	expect(*state, probe_ext4_without_journal, 0);
}

static void and_with_fast_commits_the_whole_journal_is_written(void **state)
{
	expect(*state, probe_ext4_with_fast_commits, 12);
}

static void the_order_of_xfs_is_relied_on(void **state)
{
	expect(*state, probe_xfs, 11);
}

static void that_of_btrfs_is_not(void **state)
{
	expect(*state, probe_btrfs, 0);
}

static void nor_is_that_of_memory(void **state)
{
	expect(*state, probe_tmpfs, 0);
}

static void it_can_be_switched_off_and_nothing_is_said_of_what_cannot_be_seen(void **state)
{
	struct scratch *s = *state;
	struct pl_journal journal = {.is_ordered = true};

	pl_journal_probe(-1, &journal);
	assert_false(journal.is_ordered);
	pl_seam_disable(PL_CAP_JOURNAL);
	pl_journal_probe(s->fd, &journal);
	assert_false(journal.is_ordered);
}

static void a_sync_that_fails_is_told(void **state)
{
	struct scratch *s = *state;
	struct pl_journal journal;

	pl_journal_probe(s->fd, &journal);
	pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1, .fail_errno = EIO});
	assert_int_equal(pl_journal_sync(s->fd, &journal), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_order_of_ext4_is_relied_on),
		TEST(but_not_without_a_journal),
		TEST(and_with_fast_commits_the_whole_journal_is_written),
		TEST(the_order_of_xfs_is_relied_on),
		TEST(that_of_btrfs_is_not),
		TEST(nor_is_that_of_memory),
		TEST(it_can_be_switched_off_and_nothing_is_said_of_what_cannot_be_seen),
		TEST(a_sync_that_fails_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
