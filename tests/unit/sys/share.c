/* The laws of shared blocks: the kernel compares, and where it cannot, that is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/images.h"

#define SIZE ((size_t)20 << 20) /* more than one call takes */

static int make_sized(const struct scratch *s, const char *name, char last)
{
	char *bytes = malloc(SIZE);
	int fd = openat(s->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (!bytes || fd < 0)
		return -1;
	memset(bytes, 'x', SIZE);
	bytes[SIZE - 1] = last;
	if (write(fd, bytes, SIZE) != (ssize_t)SIZE)
		return -1;
	free(bytes);
	close(fd);
	return openat(s->fd, name, O_RDONLY | O_CLOEXEC);
}

static int on(struct scratch *s, const char *kind)
{
	int a, b, c;

	if (private_mounts(s) < 0 || mount_image(s, kind, "m", NULL) != 0)
		return NOT_TO_BE_HAD;
	a = make_sized(s, "m/a", 'x');
	b = make_sized(s, "m/b", 'x');
	c = make_sized(s, "m/c", 'y');
	CHECK(a >= 0 && b >= 0 && c >= 0);
	CHECK(pl_share_probe(a) == 1);
	CHECK(pl_share_is_shared(a, b, SIZE) == 0);
	CHECK(pl_share_content(a, c, SIZE) == 0);
	CHECK(pl_share_content(a, b, SIZE) == 1);
	CHECK(pl_share_is_shared(a, b, SIZE) == 1);
	CHECK(pl_share_is_shared(a, c, SIZE) == 0);
	pl_seam_disable(PL_CAP_REFLINK);
	CHECK(pl_share_probe(a) == 0);
	CHECK(pl_share_content(a, b, SIZE) == -EOPNOTSUPP);
	return 0;
}

static int on_xfs(struct scratch *s)
{
	return on(s, "xfs");
}

static int on_btrfs(struct scratch *s)
{
	return on(s, "btrfs");
}

static void equal_files_share_where_it_can_be_had(void **state)
{
	int r = pl_may_mount() == 1 ? in_child(on_xfs, *state) : NOT_TO_BE_HAD;

	if (r == 0) {
		struct scratch *s = *state;

		assert_int_equal(unlinkat(s->fd, "m.img", 0), 0);
		assert_int_equal(unlinkat(s->fd, "m", AT_REMOVEDIR), 0);
		r = in_child(on_btrfs, s);
	}
	if (r == NOT_TO_BE_HAD)
		SKIP("xfs and btrfs cannot be made and mounted here");
	assert_int_equal(r, 0);
}

static int on_ext4(struct scratch *s)
{
	int a, b;

	if (private_mounts(s) < 0 || mount_image(s, "ext4", "m", NULL) != 0)
		return NOT_TO_BE_HAD;
	a = make_sized(s, "m/a", 'x');
	b = make_sized(s, "m/b", 'x');
	CHECK(pl_share_probe(a) == 0);
	CHECK(pl_share_content(a, b, SIZE) == -EOPNOTSUPP);
	CHECK(pl_share_is_shared(a, b, SIZE) == 0);
	return 0;
}

static void elsewhere_it_is_said(void **state)
{
	int r = pl_may_mount() == 1 ? in_child(on_ext4, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("an ext4 cannot be made and mounted here");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_files_share_where_it_can_be_had),
		TEST(elsewhere_it_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
