/* The laws of subvolumes: they are told from directories, snapshots are apart, and elsewhere nothing is tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

#define NO_BTRFS 77

/* A btrfs of 120 MB (sparse) over the scratch directory, mounted in the child's own namespace: unmounted, and the
 * loop device freed, with the child. */
static int make_btrfs(struct scratch *s)
{
	static const char script[] = "PATH=$PATH:/usr/sbin:/sbin; truncate -s 120M image && "
				     "mkfs.btrfs -q image >/dev/null 2>&1 && mkdir m && "
				     "mount -o loop,user_subvol_rm_allowed image m";
	struct stat above, root;

	if (private_mounts(s) < 0 || system(script) != 0)
		return -1;
	if (fstat(s->fd, &above) < 0 || chdir("m") < 0 || stat(".", &root) < 0 ||
	    root.st_dev == above.st_dev)
		return -1;
	close(s->fd);
	s->fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->fd < 0 ? -1 : 0;
}

static int on_btrfs(struct scratch *s)
{
	int sub, snapshot;

	if (make_btrfs(s) < 0)
		return NO_BTRFS;
	CHECK(pl_subvolume_is(s->fd) == 1);
	CHECK(pl_mkdir(s->fd, "dir", 0755) == 0);
	CHECK(pl_subvolume_is(pl_open_dir(s->fd, "dir")) == 0);
	CHECK(pl_subvolume_create(s->fd, "dir") == -EEXIST);
	CHECK(pl_subvolume_create(s->fd, "sub") == 0);
	sub = pl_open_dir(s->fd, "sub");
	CHECK(pl_subvolume_is(sub) == 1);
	CHECK(make_file(sub, "file", "old") == 0);

	CHECK(pl_subvolume_snapshot(sub, s->fd, "snap") == 0);
	CHECK(pl_subvolume_snapshot(sub, s->fd, "snap") == -EEXIST);
	snapshot = pl_open_dir(s->fd, "snap");
	CHECK(pl_subvolume_is(snapshot) == 1);
	CHECK(pl_unlink(snapshot, "file") == 0); /* it can be written, and is apart */
	CHECK(pl_exists(sub, "file") == 1);
	CHECK(pl_subvolume_snapshot(pl_open_dir(s->fd, "dir"), s->fd, "none") < 0);
	CHECK(pl_exists(s->fd, "none") == 0);

	CHECK(pl_subvolume_delete(s->fd, "dir") < 0); /* no subvolume */
	CHECK(pl_exists(s->fd, "dir") == 1);
	CHECK(pl_subvolume_delete(s->fd, "sub") == 0); /* with what is in it */
	CHECK(pl_exists(s->fd, "sub") == 0);
	return 0;
}

static void snapshots_are_apart_from_what_they_were_made_of(void **state)
{
	int r = pl_may_mount() ? in_child(on_btrfs, *state) : NO_BTRFS;

	if (r == NO_BTRFS)
		SKIP("a btrfs cannot be made and mounted here");
	assert_int_equal(r, 0);
}

static int at_the_seam(struct scratch *s)
{
	char name[300];
	int sub;

	if (make_btrfs(s) < 0)
		return NO_BTRFS;
	CHECK(pl_subvolume_create(s->fd, "sub") == 0);
	sub = pl_open_dir(s->fd, "sub");
	fail_call(PL_CALL_MOUNT, 1, EIO);
	CHECK(pl_subvolume_create(s->fd, "other") == -EIO);
	fail_call(PL_CALL_MOUNT, 1, EIO);
	CHECK(pl_subvolume_snapshot(sub, s->fd, "other") == -EIO);
	fail_call(PL_CALL_MOUNT, 1, EIO);
	CHECK(pl_subvolume_delete(s->fd, "sub") == -EIO);
	pl_seam_arm(NULL);
	CHECK(pl_exists(s->fd, "other") == 0 && pl_exists(s->fd, "sub") == 1);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK(pl_subvolume_create(s->fd, name) < 0);
	pl_seam_disable(PL_CAP_SUBVOLUME);
	CHECK(pl_subvolume_is(sub) == 0);
	CHECK(pl_subvolume_create(s->fd, "other") == -EOPNOTSUPP);
	CHECK(pl_subvolume_snapshot(sub, s->fd, "other") == -EOPNOTSUPP);
	return 0;
}

static void each_change_passes_the_seam(void **state)
{
	int r = pl_may_mount() ? in_child(at_the_seam, *state) : NO_BTRFS;

	if (r == NO_BTRFS)
		SKIP("a btrfs cannot be made and mounted here");
	assert_int_equal(r, 0);
}

static int elsewhere(struct scratch *s)
{
	struct stat above, root;

	CHECK(private_mounts(s) == 0 && fstat(s->fd, &above) == 0);
	CHECK(mount("tmpfs", s->path, "tmpfs", 0, "size=1m") == 0);
	CHECK(chdir(s->path) == 0 && stat(".", &root) == 0 && root.st_dev != above.st_dev);
	s->fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(pl_subvolume_is(s->fd) == 0);
	CHECK(pl_subvolume_create(s->fd, "sub") == -EOPNOTSUPP);
	CHECK(pl_subvolume_snapshot(s->fd, s->fd, "sub") == -EOPNOTSUPP);
	CHECK(pl_dir_is_empty(s->fd) == 1);
	return 0;
}

static void on_another_file_system_nothing_is_one(void **state)
{
	if (!pl_may_mount())
		SKIP("only root may mount a tmpfs");
	assert_int_equal(in_child(elsewhere, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(snapshots_are_apart_from_what_they_were_made_of),
		TEST(each_change_passes_the_seam),
		TEST(on_another_file_system_nothing_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
