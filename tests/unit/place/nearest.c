/* What cannot be had of metadata is left out alone, and said; the rest is exact (G8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "place/checkout.h"
#include "ref/stores.h"

/* u::rw- u:99:r-- g::r-- m::r-- o::---, as getxattr(2) gives it */
static const unsigned char acl[] = {
	2, 0,  0,   0,	 1,   0,   6,	 0, 255, 255, 255, 255, 2,   0,	   4,
	0, 99, 0,   0,	 0,   4,   0,	 4, 0,	 255, 255, 255, 255, 0x10, 0,
	4, 0,  255, 255, 255, 255, 0x20, 0, 0,	 0,   255, 255, 255, 255,
};

struct wish {
	struct pl_meta meta;
	struct pl_buffer xattrs;
};

static void add_xattr(struct wish *wish, const char *name, const void *value, size_t length)
{
	pl_buffer_add_u8(&wish->xattrs, (uint8_t)strlen(name));
	pl_buffer_add_string(&wish->xattrs, name);
	pl_buffer_add_u32(&wish->xattrs, (uint32_t)length);
	pl_buffer_add(&wish->xattrs, value, length);
	wish->meta.xattrs = wish->xattrs.data;
	wish->meta.xattrs_length = (uint32_t)wish->xattrs.length;
}

static struct wish wish_of(uint16_t mode)
{
	return (struct wish){.meta = {.mode = mode,
				      .uid = PLEACH_NO_OWNER,
				      .gid = PLEACH_NO_OWNER,
				      .mtime_s = -3,
				      .mtime_ns = 123456789}};
}

/* Gives it to a new file. What is said of it is in *ret_findings. */
static int give_file(struct scratch *s, const struct wish *wish, struct pl_findings *ret_findings)
{
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	*ret_findings = (struct pl_findings){0};
	if (fd < 0)
		return fd;
	return pl_nearest_meta(ret_findings, "the/path", fd, NULL, PLEACH_FILE, &wish->meta, NULL);
}

static bool has(struct scratch *s, const char *name, const char *xattr)
{
	char path[8192];

	(void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
	return lgetxattr(path, xattr, NULL, 0) >= 0;
}

static bool has_mtime(struct scratch *s, const char *name)
{
	struct stat st;

	return pl_lstat(s->fd, name, &st) == 0 && st.st_mtim.tv_sec == -3 &&
	       st.st_mtim.tv_nsec == 123456789;
}

/* ---- as an ordinary user ---- */

static int owner_of_another(struct scratch *s)
{
	struct wish wish = wish_of(06754);
	struct pl_findings findings;

	wish.meta.uid = wish.meta.gid = 0;
	CHECK(give_file(s, &wish, &findings) == 0);
	CHECK(findings.n == 1 && !findings.items[0].is_fault);
	CHECK(strcmp(findings.items[0].path, "the/path") == 0);
	CHECK(strcmp(findings.items[0].kind, "metadata") == 0);
	CHECK(strstr(findings.items[0].message, "owner 0 and group 0 not restored"));
	CHECK(strstr(findings.items[0].message, "6754"));
	CHECK(mode_of(s->fd, "file") == 0754 && has_mtime(s, "file"));
	pl_findings_done(&findings);
	return 0;
}

static void set_id_bits_do_not_outlive_the_owner(void **state)
{
	if (geteuid() != 0)
		SKIP("needs root, to be somebody else");
	assert_int_equal(in_child_as_user(owner_of_another, *state), 0);
}

static int privileged_attributes(struct scratch *s)
{
	struct wish wish = wish_of(0440);
	struct pl_findings findings;

	add_xattr(&wish, "trusted.t", "v", 1);
	add_xattr(&wish, "user.a", "v", 1);
	CHECK(give_file(s, &wish, &findings) == 0);
	CHECK(findings.n == 1);
	CHECK(strcmp(findings.items[0].message, "attribute trusted.t not restored") == 0);
	CHECK(has(s, "file", "user.a") && !has(s, "file", "trusted.t"));
	CHECK(mode_of(s->fd, "file") == 0440 && has_mtime(s, "file"));
	pl_findings_done(&findings);
	pl_buffer_done(&wish.xattrs);
	return 0;
}

static void privileged_attributes_are_left_out_alone(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		SKIP("needs root, to be somebody else");
	if (fsetxattr(s->fd, "user.probe", "", 0, 0) < 0)
		SKIP("no attributes here");
	assert_int_equal(in_child_as_user(privileged_attributes, s), 0);
}

static int symlink_of_another(struct scratch *s)
{
	struct wish wish = wish_of(0777);
	struct pl_findings findings = {0};

	wish.meta.uid = wish.meta.gid = 0;
	CHECK(symlinkat("nowhere", s->fd, "link") == 0);
	CHECK(pl_nearest_meta(&findings, "link", s->fd, "link", PLEACH_SYMLINK, &wish.meta, NULL) ==
	      0);
	CHECK(findings.n == 1 && has_mtime(s, "link"));
	pl_findings_done(&findings);
	return 0;
}

static void a_symlink_has_its_time_whoever_owns_it(void **state)
{
	if (geteuid() != 0)
		SKIP("needs root, to be somebody else");
	assert_int_equal(in_child_as_user(symlink_of_another, *state), 0);
}

static int setgid_of_a_foreign_group(struct scratch *s)
{
	struct wish wish = wish_of(02755);
	struct pl_findings findings = {0};
	PL_CLOSE int fd = -EBADF;

	CHECK(pl_mkdir(s->fd, "given/sub", 0700) == 0); /* inherits the group 4321 */
	fd = pl_open_dir(s->fd, "given/sub");
	CHECK(fd >= 0);
	CHECK(pl_nearest_meta(&findings, "", fd, NULL, PLEACH_DIR, &wish.meta, NULL) == 0);
	CHECK(findings.n == 1);
	CHECK(strcmp(findings.items[0].path, ".") == 0);
	CHECK(strcmp(findings.items[0].message, "mode 0755 instead of 2755") == 0);
	CHECK(has_mtime(s, "given/sub"));
	pl_findings_done(&findings);
	return 0;
}

static void a_setgid_bit_that_the_kernel_drops_is_said(void **state)
{
	struct scratch *s = *state;

	if (geteuid() != 0)
		SKIP("needs root, to be somebody else");
	assert_int_equal(mkdirat(s->fd, "given", 0777), 0);
	assert_int_equal(fchownat(s->fd, "given", 0, 4321, 0), 0);
	assert_int_equal(fchmodat(s->fd, "given", 02777, 0), 0);
	assert_int_equal(in_child_as_user(setgid_of_a_foreign_group, s), 0);
}

/* ---- whoever runs the tests ---- */

static void what_can_be_had_needs_no_finding(void **state)
{
	struct wish wish = wish_of(04755);
	struct pl_findings findings;

	assert_int_equal(give_file(*state, &wish, &findings), 0);
	assert_int_equal(findings.n, 0);
	assert_int_equal(mode_of(((struct scratch *)*state)->fd, "file"), 04755);
}

static void an_acl_that_contradicts_the_mode_gives_way_to_it(void **state)
{
	struct scratch *s = *state;
	struct wish wish = wish_of(0755);
	struct pl_findings findings;

	add_xattr(&wish, "system.posix_acl_access", acl, sizeof(acl));
	add_xattr(&wish, "user.a", "v", 1);
	if (fsetxattr(s->fd, "system.posix_acl_access", acl, sizeof(acl), 0) < 0 ||
	    fsetxattr(s->fd, "user.probe", "", 0, 0) < 0)
		SKIP("no ACLs here");
	assert_int_equal(fchmod(s->fd, 0700), 0);
	assert_int_equal(give_file(s, &wish, &findings), 0);
	assert_int_equal(findings.n, 1);
	assert_string_equal(findings.items[0].message, "its ACL not restored");
	assert_int_equal(mode_of(s->fd, "file"), 0755);
	assert_true(has(s, "file", "user.a"));
	assert_false(has(s, "file", "system.posix_acl_access"));
	assert_true(has_mtime(s, "file"));
	pl_findings_done(&findings);
	pl_buffer_done(&wish.xattrs);
}

static void without_attributes_the_rest_is_exact(void **state)
{
	struct scratch *s = *state;
	struct wish wish = wish_of(0640);
	struct pl_findings findings;

	add_xattr(&wish, "user.a", "v", 1);
	pl_seam_disable(PL_CAP_XATTR);
	assert_int_equal(give_file(s, &wish, &findings), 0);
	pl_seam_disable(0);
	assert_int_equal(findings.n, 1);
	assert_string_equal(findings.items[0].message, "attribute user.a not restored");
	assert_int_equal(mode_of(s->fd, "file"), 0640);
	assert_true(has_mtime(s, "file"));
	pl_findings_done(&findings);
	pl_buffer_done(&wish.xattrs);
}

/* N1, N3: each call refused once. What is not in the finding is right. */
static void whatever_is_refused_is_said_and_nothing_else_is_lost(void **state)
{
	struct scratch *s = *state;
	uint64_t n, calls = UINT64_MAX;
	unsigned said = 0;

	if (fsetxattr(s->fd, "user.probe", "", 0, 0) < 0)
		SKIP("no attributes here");
	for (n = 1; n < 100 && calls >= n - 1; n++) {
		PL_CLOSE int fd = pl_create(s->fd, "file", 0600);
		struct wish wish = wish_of(0750);
		struct pl_findings findings = {0};
		const char *text = "";

		assert_true(fd >= 0);
		add_xattr(&wish, "user.a", "v", 1);
		add_xattr(&wish, "user.b", "w", 1);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EPERM});
		assert_int_equal(pl_nearest_meta(&findings, "p", fd, NULL, PLEACH_FILE, &wish.meta,
						 NULL),
				 0);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (findings.n > 0)
			text = findings.items[0].message;
		said += findings.n > 0;
		if (!strstr(text, "user.a"))
			assert_true(has(s, "file", "user.a"));
		if (!strstr(text, "user.b"))
			assert_true(has(s, "file", "user.b"));
		if (!strstr(text, "mode"))
			assert_int_equal(mode_of(s->fd, "file"), 0750);
		if (!strstr(text, "time"))
			assert_true(has_mtime(s, "file"));
		assert_int_equal(unlinkat(s->fd, "file", 0), 0);
		pl_findings_done(&findings);
		pl_buffer_done(&wish.xattrs);
	}
	assert_in_range(n, 5, 50);
	assert_in_range(said, 2, n); /* of attributes the second attempt may succeed */
}

static void a_failing_disk_is_an_error(void **state)
{
	struct scratch *s = *state;
	struct wish wish = wish_of(0750);
	struct pl_findings findings;

	fail_call(PL_CALL_META, 1, EIO);
	assert_int_equal(give_file(s, &wish, &findings), -EIO);
	pl_seam_arm(NULL);
	assert_int_equal(findings.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(set_id_bits_do_not_outlive_the_owner),
		TEST(privileged_attributes_are_left_out_alone),
		TEST(a_symlink_has_its_time_whoever_owns_it),
		TEST(a_setgid_bit_that_the_kernel_drops_is_said),
		TEST(what_can_be_had_needs_no_finding),
		TEST(an_acl_that_contradicts_the_mode_gives_way_to_it),
		TEST(without_attributes_the_rest_is_exact),
		TEST(whatever_is_refused_is_said_and_nothing_else_is_lost),
		TEST(a_failing_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
