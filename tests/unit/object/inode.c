/* Reading the metadata of real files and comparing it: I1 and I2 of src/object/inode.c. */
#include "object/inode.h"

#include <pthread.h>
#include <stdatomic.h>

#include "scratch.h"

static struct pl_meta read_exactly(int fd, struct pl_buffer *xattrs)
{
	struct pl_meta meta;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_read(fd, &st, PL_RULE_EXACT, xattrs, &meta), 0);
	return meta;
}

static void G8_mode_owner_and_mtime_are_read(void **state)
{
	struct scratch *s = *state;
	const struct timespec times[2] = {{0, 0}, {-5, 123456789}};
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;
	int fd = scratch_file(s, "f", "");

	assert_int_equal(fchmod(fd, 04751), 0);
	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(fstat(fd, &st), 0);
	pl_buffer_add_string(&xattrs, "what was there before");
	meta = read_exactly(fd, &xattrs);
	assert_int_equal(meta.mode, 04751);
	assert_int_equal(meta.uid, geteuid());
	assert_int_equal(meta.gid, st.st_gid);
	assert_int_equal(meta.mtime_s, -5);
	assert_int_equal(meta.mtime_ns, 123456789);
	assert_null(meta.xattrs);
	assert_int_equal(meta.xattrs_length, 0);
	assert_int_equal(xattrs.length, 0);
	close(fd);
}

static void G8_user_attributes_are_read_sorted_whatever_their_bytes(void **state)
{
	struct scratch *s = *state;
	unsigned char all_bytes[256];
	PL_BUFFER expected = {0}, xattrs = {0}, by_name = {0};
	struct pl_meta meta;
	struct stat st;
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "");
	for (int i = 0; i < 256; i++)
		all_bytes[i] = (unsigned char)i;
	assert_int_equal(fsetxattr(fd, "user.b", "", 0, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.\xff", "last", 4, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.a", all_bytes, sizeof(all_bytes), 0), 0);
	assert_int_equal(fsetxattr(fd, "user.a.longer", "\0", 1, 0), 0);
	add_xattr(&expected, "user.a", all_bytes, sizeof(all_bytes));
	add_xattr(&expected, "user.a.longer", "\0", 1);
	add_xattr(&expected, "user.b", "", 0);
	add_xattr(&expected, "user.\xff", "last", 4);
	meta = read_exactly(fd, &xattrs);
	assert_int_equal(meta.xattrs_length, expected.length);
	assert_memory_equal(meta.xattrs, expected.data, expected.length);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_read_at(s->fd, "f", &st, PL_RULE_EXACT, &by_name, &meta), 0);
	assert_int_equal(meta.xattrs_length, expected.length);
	assert_memory_equal(meta.xattrs, expected.data, expected.length);
	close(fd);
}

static void G8_acls_and_attributes_of_root_are_read(void **state)
{
	static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};
	struct scratch *s = *state;
	unsigned char acl[ACL_MAX];
	size_t acl_length = named_acl(6, 6, 6, 0, acl);
	PL_BUFFER expected = {0}, xattrs = {0};
	struct pl_meta meta;
	int fd;

	need_root();
	need_acls(s);
	if (!takes_xattr(s, "trusted.t", "1", 1) ||
	    !takes_xattr(s, "security.capability", capability, sizeof(capability)))
		skip_because("no trusted.* or security.capability here");
	fd = scratch_file(s, "f", "");
	assert_int_equal(fsetxattr(fd, "trusted.t", "1", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, ACL_ACCESS, acl, acl_length, 0), 0);
	assert_int_equal(fsetxattr(fd, "security.capability", capability, sizeof(capability), 0),
			 0);
	add_xattr(&expected, "security.capability", capability, sizeof(capability));
	add_xattr(&expected, ACL_ACCESS, acl, acl_length);
	add_xattr(&expected, "trusted.t", "1", 1);
	meta = read_exactly(fd, &xattrs);
	assert_int_equal(meta.xattrs_length, expected.length);
	assert_memory_equal(meta.xattrs, expected.data, expected.length);
	close(fd);
}

static void attributes_of_the_machine_are_passed_over(void **state)
{
	static const char *const names[] = {"security.ima", "security.evm", "security.selinux"};
	struct scratch *s = *state;
	PL_BUFFER xattrs = {0};
	bool has_any = false;
	int fd;

	need_root();
	fd = scratch_file(s, "f", "");
	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++)
		has_any |= fsetxattr(fd, names[i], "x", 1, 0) == 0;
	assert_null(read_exactly(fd, &xattrs).xattrs);
	close(fd);
	if (!has_any)
		skip_because("none of them can be set here");
}

static void a_rule_that_keeps_no_attributes_reads_none(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "");
	assert_int_equal(fsetxattr(fd, "user.a", "1", 1, 0), 0);
	assert_int_equal(fchmod(fd, 0711), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_read(fd, &st, PL_RULE_PORTABLE, &xattrs, &meta), 0);
	assert_int_equal(meta.mode, 0755);
	assert_int_equal(meta.uid, PLEACH_NO_OWNER);
	assert_null(meta.xattrs);
	assert_int_equal(xattrs.length, 0);
	assert_int_equal(pl_meta_read(fd, &st, PL_RULE_CANONICAL, &xattrs, &meta), 0);
	assert_int_equal(meta.mode, 0555);
	assert_null(meta.xattrs);
	close(fd);
}

static void G8_every_kind_is_read_by_name(void **state)
{
	static const struct {
		const char *name;
		char kind;
		uint16_t mode;
	} cases[] = {{"file", 'f', 0640},
		     {"dir", 'd', 01755},
		     {"link", 'l', 0777},
		     {"fifo", 'p', 0604},
		     {"socket", 's', 0611}};
	struct scratch *s = *state;

	close(scratch_file(s, "file", ""));
	close(scratch_dir(s, "dir"));
	assert_int_equal(symlinkat("nowhere", s->fd, "link"), 0);
	assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
	assert_int_equal(mknodat(s->fd, "socket", S_IFSOCK | 0600, 0), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		PL_BUFFER xattrs = {0};
		struct pl_meta meta;
		const char *what = NULL;
		struct stat st;

		if (cases[i].kind != 'l')
			assert_int_equal(fchmodat(s->fd, cases[i].name, cases[i].mode, 0), 0);
		assert_int_equal(fstatat(s->fd, cases[i].name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(pl_kind_of(st.st_mode), cases[i].kind);
		assert_int_equal(pl_meta_read_at(s->fd, cases[i].name, &st, PL_RULE_EXACT, &xattrs,
						 &meta),
				 0);
		assert_int_equal(meta.mode, cases[i].mode);
		assert_null(meta.xattrs);
		assert_int_equal(pl_meta_matches_at(s->fd, cases[i].name, &st, &meta, &what), 1);
	}
}

/* What no kernel says, but a file system that is a program may. */
static void G10_a_lying_stat_is_an_error(void **state)
{
	struct scratch *s = *state;
	int fd = scratch_file(s, "f", "");
	struct stat st, lies[6];
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;

	assert_int_equal(fstat(fd, &st), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(lies); i++)
		lies[i] = st;
	lies[0].st_mtim.tv_nsec = 1000000000;
	lies[1].st_mtim.tv_nsec = -1;
	lies[2].st_uid = UINT32_MAX;
	lies[3].st_gid = UINT32_MAX;
	lies[4].st_mode = 0;
	lies[5].st_mode = S_IFMT | 0644;
	for (size_t i = 0; i < PL_ARRAY_LEN(lies); i++)
		assert_int_equal(pl_meta_read(fd, &lies[i], PL_RULE_EXACT, &xattrs, &meta), -EIO);
	close(fd);
}

/* ---- comparing ---- */

static void the_first_field_that_differs_is_named(void **state)
{
	struct scratch *s = *state;
	const struct timespec times[2] = {{0, 0}, {1000000000, 7}};
	int fd = scratch_file(s, "f", "");
	struct pl_meta meta, wanted;
	const char *what = NULL;
	PL_BUFFER xattrs = {0};
	struct stat st;

	assert_int_equal(futimens(fd, times), 0);
	meta = read_exactly(fd, &xattrs);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 1);
	assert_null(what);

#define differs_in(field, value, name)                                                    \
	do {                                                                              \
		wanted = meta;                                                            \
		wanted.field = value;                                                     \
		assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &wanted, &what), 0); \
		assert_string_equal(what, name);                                          \
	} while (0)
	differs_in(mode, meta.mode ^ 04000, "mode");
	differs_in(uid, meta.uid + 1, "owner");
	differs_in(gid, meta.gid + 1, "group");
	differs_in(mtime_s, meta.mtime_s + 1, "modification time");
	differs_in(mtime_ns, meta.mtime_ns + 1, "modification time");
#undef differs_in

	wanted = meta;
	wanted.uid = wanted.gid = PLEACH_NO_OWNER;
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &wanted, &what), 1);
}

static void attributes_more_less_or_other_differ(void **state)
{
	struct scratch *s = *state;
	const char *what = NULL;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "");
	assert_int_equal(fsetxattr(fd, "user.a", "1", 1, 0), 0);
	meta = read_exactly(fd, &xattrs);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 1);
	assert_int_equal(fsetxattr(fd, "user.b", "1", 1, 0), 0);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 0);
	assert_string_equal(what, "extended attributes");
	assert_int_equal(fremovexattr(fd, "user.b"), 0);
	assert_int_equal(fsetxattr(fd, "user.a", "2", 1, 0), 0);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 0);
	assert_int_equal(fremovexattr(fd, "user.a"), 0);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 0);
	assert_int_equal(fsetxattr(fd, "user.a", "1", 1, 0), 0);
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 1);
	close(fd);
}

static void the_mode_of_a_symlink_is_not_compared(void **state)
{
	struct scratch *s = *state;
	const char *what = NULL;
	PL_BUFFER xattrs = {0};
	struct pl_meta meta;
	struct stat st;

	assert_int_equal(symlinkat("t", s->fd, "link"), 0);
	assert_int_equal(fstatat(s->fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(pl_meta_read_at(s->fd, "link", &st, PL_RULE_EXACT, &xattrs, &meta), 0);
	assert_int_equal(meta.mode, 0777);
	meta.mode = 0644;
	assert_int_equal(pl_meta_matches_at(s->fd, "link", &st, &meta, &what), 1);
	st.st_mode = S_IFLNK | 0700; /* as some file systems have it */
	assert_int_equal(pl_meta_read_at(s->fd, "link", &st, PL_RULE_EXACT, &xattrs, &meta), 0);
	assert_int_equal(meta.mode, 0777);
	assert_int_equal(pl_meta_matches_at(s->fd, "link", &st, &meta, &what), 1);
}

/* ---- I2 ---- */

#define FLICKER_LENGTH (1 + sizeof("user.flicker") - 1 + 4 + 1)

struct flicker {
	int fd;
	atomic_bool is_over;
};

static void *come_and_go(void *userdata)
{
	struct flicker *f = userdata;

	while (!atomic_load(&f->is_over)) {
		(void)fsetxattr(f->fd, "user.flicker", "1", 1, 0);
		(void)fremovexattr(f->fd, "user.flicker");
	}
	return NULL;
}

/* 1. A lists: user.flicker is there. 2. B removes it. 3. A reads its value: ENODATA. */
static void an_attribute_that_went_meanwhile_is_again_never_a_part(void **state)
{
	struct scratch *s = *state;
	struct flicker f = {0};
	pthread_t thread;
	bool is_wrong = false, has_raced = false;
	struct stat st;

	need_user_xattrs(s);
	f.fd = scratch_file(s, "f", "");
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(pthread_create(&thread, NULL, come_and_go, &f), 0);
	for (int i = 0; i < 300000 && !has_raced && !is_wrong; i++) {
		PL_BUFFER xattrs = {0};
		struct pl_meta meta = {0};
		int r = pl_meta_read(f.fd, &st, PL_RULE_EXACT, &xattrs, &meta);

		has_raced = r == -EAGAIN;
		is_wrong = !has_raced && (r != 0 || (meta.xattrs_length != 0 &&
						     meta.xattrs_length != FLICKER_LENGTH));
	}
	atomic_store(&f.is_over, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(f.fd);
	assert_false(is_wrong);
	if (!has_raced)
		skip_because("the moment was never met");
}

static void more_than_a_mebibyte_of_attributes_is_too_big(void **state)
{
	static unsigned char value[PL_XATTR_VALUE_MAX];
	struct scratch *s = *state;
	const char *what = NULL;
	PL_BUFFER xattrs = {0};
	char name[] = "trusted.a";
	struct pl_meta meta;
	struct stat st;
	int fd;

	need_root();
	if (!has_private_mounts() || mount("none", s->path, "tmpfs", 0, NULL) < 0)
		skip_because("no mount of one's own here");
	enter_mount(s);
	fd = scratch_file(s, "f", "");
	for (int i = 0; i < 16; i++) {
		name[8] = (char)('a' + i);
		if (fsetxattr(fd, name, value, sizeof(value), 0) == 0)
			continue;
		close(fd);
		unmount_scratch(s);
		skip_because("tmpfs does not take so many attributes");
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_read(fd, &st, PL_RULE_EXACT, &xattrs, &meta), -E2BIG);
	meta = (struct pl_meta){.mode = 0600};
	assert_int_equal(pl_meta_matches_at(s->fd, "f", &st, &meta, &what), 0);
	assert_string_equal(what, "extended attributes");
	close(fd);
	unmount_scratch(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(G8_mode_owner_and_mtime_are_read),
		scratch_test(G8_user_attributes_are_read_sorted_whatever_their_bytes),
		scratch_test(G8_acls_and_attributes_of_root_are_read),
		scratch_test(attributes_of_the_machine_are_passed_over),
		scratch_test(a_rule_that_keeps_no_attributes_reads_none),
		scratch_test(G8_every_kind_is_read_by_name),
		scratch_test(G10_a_lying_stat_is_an_error),
		scratch_test(the_first_field_that_differs_is_named),
		scratch_test(attributes_more_less_or_other_differ),
		scratch_test(the_mode_of_a_symlink_is_not_compared),
		scratch_test(an_attribute_that_went_meanwhile_is_again_never_a_part),
		scratch_test(more_than_a_mebibyte_of_attributes_is_too_big),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
