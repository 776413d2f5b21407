/*
 * Real files get the metadata that was asked for, or a refusal that says why (G8): R1 and R2 of
 * src/object/restore.c. What a file has is asked of the kernel here, not of the code under test.
 */
#include "scratch.h"

#include <grp.h>

static const unsigned char capability[20] = {1, 0, 0, 2, 0, 4};

/* What a new file of this user has, but for `mode` and the mtime. */
static struct pl_meta own_meta(uint16_t mode, int64_t mtime_s, uint32_t mtime_ns)
{
	return (struct pl_meta){.mode = mode,
				.uid = geteuid(),
				.gid = getegid(),
				.mtime_s = mtime_s,
				.mtime_ns = mtime_ns};
}

static int restore(int fd, const struct pl_meta *meta, char kind)
{
	const char *why = NULL;
	int r = pl_meta_restore(fd, meta, kind, &why);

	/* Every failure says why. */
	assert_int_equal(r < 0, why != NULL);
	if (r < 0)
		assert_true(strlen(why) > 0);
	return r;
}

static void assert_restored(int fd, const struct pl_meta *meta, char kind)
{
	const char *why = "";
	int r = pl_meta_restore(fd, meta, kind, &why);

	if (r < 0)
		fail_msg("%s: %s", strerror(-r), why);
}

static void assert_refused(int fd, const struct pl_meta *meta, char kind, int err, const char *part)
{
	const char *why = "";

	assert_int_equal(pl_meta_restore(fd, meta, kind, &why), err);
	if (!strstr(why, part))
		fail_msg("\"%s\" does not say \"%s\"", why, part);
}

static void assert_stat(const struct stat *st, const struct pl_meta *meta)
{
	assert_int_equal(st->st_mode & 07777, meta->mode);
	assert_int_equal(st->st_uid, meta->uid);
	assert_int_equal(st->st_gid, meta->gid);
	assert_int_equal(st->st_mtim.tv_sec, meta->mtime_s);
	assert_int_equal(st->st_mtim.tv_nsec, meta->mtime_ns);
}

static void assert_has(int fd, const struct pl_meta *meta)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_stat(&st, meta);
}

/* How many attributes the kernel lists, but for the machine's own. */
static int count_xattrs(int fd)
{
	char names[65536];
	ssize_t n = flistxattr(fd, names, sizeof(names));
	int count = 0;

	assert_true(n >= 0);
	for (char *name = names; name < names + n; name += strlen(name) + 1)
		count += strcmp(name, "security.selinux") != 0;
	return count;
}

/* ---- mode and mtime ---- */

static void G8_any_mode_takes(void **state)
{
	static const uint16_t modes[] = {0, 0644, 0777, 0111, 04755, 02755, 06711, 01644, 07777};
	struct scratch *s = *state;
	int fd = scratch_file(s, "f", "x"), dir = scratch_dir(s, "d");

	for (size_t i = 0; i < PL_ARRAY_LEN(modes); i++) {
		const struct pl_meta meta = own_meta(modes[i], 1234567890, 987654321);

		assert_restored(fd, &meta, 'f');
		assert_has(fd, &meta);
		assert_restored(dir, &meta, 'd');
		assert_has(dir, &meta);
	}
	assert_int_equal(fchmod(dir, 0700), 0);
	close(dir);
	close(fd);
}

/* Before 1970, before 1901, after 2038, after 2106, at the edges of a second. */
static void G8_any_mtime_takes_or_is_refused(void **state)
{
	static const int64_t seconds[] = {0,	      -1,	  -2147483648, 2147483647,
					  2147483648, 4294967296, 15032385535, -2147483649,
					  1ll << 40,  INT64_MAX,  INT64_MIN};
	static const uint32_t ns[] = {0, 1, 999999999};
	struct scratch *s = *state;
	int fd = scratch_file(s, "f", "x"), taken = 0;

	for (size_t i = 0; i < PL_ARRAY_LEN(seconds); i++) {
		for (size_t k = 0; k < PL_ARRAY_LEN(ns); k++) {
			const struct pl_meta meta = own_meta(0600, seconds[i], ns[k]);
			int r = restore(fd, &meta, 'f');

			if (r == 0) {
				assert_has(fd, &meta);
				taken++;
			} else {
				assert_int_equal(r, -EPERM);
			}
		}
	}
	assert_true(taken >= 6); /* what every file system has */
	close(fd);
}

static void what_is_right_already_costs_no_call(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0640, 1000000000, 5);
	int fd = scratch_file(s, "f", "x");

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_restored(fd, &meta, 'f');
	assert_true(pl_seam_count() <= 3); /* R2: owner if the directory gave another group */
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_restored(fd, &meta, 'f');
	assert_int_equal(pl_seam_count(), 0); /* R2 */
	assert_has(fd, &meta);
	close(fd);
}

static void an_owner_that_is_not_recorded_is_left(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(02755, 1, 0);
	int fd = scratch_file(s, "f", "x");
	struct stat before;

	if (geteuid() == 0)
		assert_int_equal(fchown(fd, 12, 34), 0);
	assert_int_equal(fstat(fd, &before), 0);
	meta.uid = meta.gid = PLEACH_NO_OWNER;
	if (geteuid() == 0 || before.st_gid == getegid())
		assert_restored(fd, &meta, 'f');
	meta.uid = before.st_uid;
	meta.gid = before.st_gid;
	assert_has(fd, &meta);
	close(fd);
}

static void another_kind_is_refused(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0600, 1, 0);
	int fd = scratch_file(s, "f", "x");
	const char *why = NULL;

	assert_refused(fd, &meta, 'd', -EPERM, "kind");
	assert_int_equal(pl_meta_restore_at(s->fd, "f", &meta, 'p', &why), -EPERM);
	assert_non_null(strstr(why, "kind"));
	close(fd);
}

/* ---- owner and attributes ---- */

static void G8_owner_and_setuid_take(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(06755, -3, 999999999);
	int fd, dir;

	need_root();
	fd = scratch_file(s, "f", "x");
	dir = scratch_dir(s, "d");
	meta.uid = 4000000000;
	meta.gid = 54321;
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_restored(dir, &meta, 'd');
	assert_has(dir, &meta);
	/* And once more to another, from a file that has the bits: chown takes them off. */
	meta.uid = 17;
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	close(dir);
	close(fd);
}

static void G8_user_attributes_take_whatever_the_mode(void **state)
{
	static const uint16_t modes[] = {0, 0200, 0400, 0444, 0755, 01777};
	struct scratch *s = *state;

	need_user_xattrs(s);
	for (size_t i = 0; i < PL_ARRAY_LEN(modes); i++) {
		struct pl_meta meta = own_meta(modes[i], 1000000000, 1);
		PL_BUFFER xattrs = {0};
		int fds[2] = {scratch_file(s, "f", "x"), scratch_dir(s, "d")};

		add_xattr(&xattrs, "user.a", "\0\xff", 2);
		add_xattr(&xattrs, "user.empty", "", 0);
		use_xattrs(&meta, &xattrs);
		for (int k = 0; k < 2; k++) {
			assert_restored(fds[k], &meta, k == 0 ? 'f' : 'd');
			assert_has(fds[k], &meta);
			assert_int_equal(fchmod(fds[k], 0700), 0);
			assert_int_equal(count_xattrs(fds[k]), 2);
			assert_true(has_xattr(fds[k], "user.a", "\0\xff", 2));
			assert_true(has_xattr(fds[k], "user.empty", "", 0));
			close(fds[k]);
		}
		assert_int_equal(unlinkat(s->fd, "f", 0), 0);
		assert_int_equal(unlinkat(s->fd, "d", AT_REMOVEDIR), 0);
	}
}

/* A file that was made under a narrow umask or ACL shuts its owner out. */
static void G8_user_attributes_take_where_the_owner_was_shut_out(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0444, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "x");
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_int_equal(fchmod(fd, 0), 0);
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_true(has_xattr(fd, "user.a", "1", 1));
	close(fd);
}

static void G8_acls_take_and_agree_with_the_mode(void **state)
{
	static const struct {
		unsigned user, named, mask, other;
		uint16_t mode;
	} cases[] = {
		{6, 6, 6, 0, 0660},  {6, 7, 4, 4, 0644}, {0, 4, 4, 0, 0040},
		{7, 5, 5, 5, 06755}, {4, 0, 0, 0, 0400},
	};
	struct scratch *s = *state;

	need_acls(s);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct pl_meta meta = own_meta(cases[i].mode, 1000000000, 1);
		unsigned char acl[ACL_MAX];
		size_t length = named_acl(cases[i].user, cases[i].named, cases[i].mask,
					  cases[i].other, acl);
		PL_BUFFER of_file = {0}, of_dir = {0};
		int fd = scratch_file(s, "f", "x"), dir = scratch_dir(s, "d");

		add_xattr(&of_file, ACL_ACCESS, acl, length);
		add_xattr(&of_dir, ACL_ACCESS, acl, length);
		add_xattr(&of_dir, ACL_DEFAULT, acl, length);
		use_xattrs(&meta, &of_file);
		assert_restored(fd, &meta, 'f');
		assert_has(fd, &meta);
		assert_true(has_xattr(fd, ACL_ACCESS, acl, length));
		assert_int_equal(count_xattrs(fd), 1);
		use_xattrs(&meta, &of_dir);
		assert_restored(dir, &meta, 'd');
		assert_has(dir, &meta);
		assert_true(has_xattr(dir, ACL_ACCESS, acl, length));
		assert_true(has_xattr(dir, ACL_DEFAULT, acl, length));
		assert_int_equal(count_xattrs(dir), 2);
		close(dir);
		close(fd);
		assert_int_equal(unlinkat(s->fd, "f", 0), 0);
		assert_int_equal(unlinkat(s->fd, "d", AT_REMOVEDIR), 0);
	}
}

/* The ACL takes read and write from the owner, who has to set and read user.a as well. */
static void G8_an_acl_that_shuts_the_owner_out_does_not_hide_his_attributes(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0070, 1000000000, 1);
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(0, 7, 7, 0, acl);
	PL_BUFFER xattrs = {0};
	int fd;

	need_acls(s);
	need_user_xattrs(s);
	fd = scratch_file(s, "f", "x");
	add_xattr(&xattrs, ACL_ACCESS, acl, length);
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_true(has_xattr(fd, ACL_ACCESS, acl, length));
	assert_int_equal(fchmod(fd, 0670), 0);
	assert_true(has_xattr(fd, "user.a", "1", 1));
	close(fd);
}

/* All at once, in the one order in which nothing undoes another. */
static void G8_everything_that_root_can_give_takes(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(06750, 4000000000, 123456789), again;
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(7, 6, 5, 0, acl);
	PL_BUFFER xattrs = {0}, found = {0};
	struct stat st;
	int fd;

	need_root();
	need_acls(s);
	need_user_xattrs(s);
	if (!takes_xattr(s, "trusted.t", "1", 1) ||
	    !takes_xattr(s, "security.capability", capability, sizeof(capability)))
		skip_because("no trusted.* or security.capability here");
	fd = scratch_file(s, "f", "x");
	add_xattr(&xattrs, "security.capability", capability, sizeof(capability));
	add_xattr(&xattrs, ACL_ACCESS, acl, length);
	add_xattr(&xattrs, "trusted.t", "\0", 1);
	add_xattr(&xattrs, "user.u", "2", 1);
	use_xattrs(&meta, &xattrs);
	meta.uid = 1001;
	meta.gid = 1002;
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_true(has_xattr(fd, "security.capability", capability, sizeof(capability)));
	assert_true(has_xattr(fd, ACL_ACCESS, acl, length));
	assert_true(has_xattr(fd, "trusted.t", "\0", 1));
	assert_true(has_xattr(fd, "user.u", "2", 1));
	assert_int_equal(count_xattrs(fd), 4);

	/* Read, it is what was restored; and right already (R2). */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pl_meta_read(fd, &st, PL_RULE_EXACT, &found, &again), 0);
	assert_true(pl_meta_equal(&meta, &again));
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_restored(fd, &meta, 'f');
	assert_int_equal(pl_seam_count(), 0);
	close(fd);
}

/* ---- what was inherited ---- */

static void G8_an_inherited_acl_is_taken_off(void **state)
{
	struct scratch *s = *state;
	unsigned char acl[ACL_MAX], other[ACL_MAX];
	size_t length = named_acl(7, 7, 7, 5, acl), other_length = named_acl(7, 1, 5, 5, other);
	struct pl_meta meta = own_meta(0750, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	struct scratch below;
	int fd, dir;

	need_acls(s);
	below.fd = scratch_dir(s, "parent");
	assert_int_equal(fsetxattr(below.fd, ACL_DEFAULT, acl, length, 0), 0);
	fd = scratch_file(&below, "f", "x");
	dir = scratch_dir(&below, "d");
	assert_int_equal(count_xattrs(fd), 1); /* else nothing is shown here */
	assert_int_equal(count_xattrs(dir), 2);
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_int_equal(count_xattrs(fd), 0);
	assert_restored(dir, &meta, 'd');
	assert_has(dir, &meta);
	assert_int_equal(count_xattrs(dir), 0);
	close(dir);
	close(fd);

	/* And where another one is wanted, that. */
	fd = scratch_file(&below, "g", "x");
	add_xattr(&xattrs, ACL_ACCESS, other, other_length);
	use_xattrs(&meta, &xattrs);
	meta.mode = 0755;
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_true(has_xattr(fd, ACL_ACCESS, other, other_length));
	assert_int_equal(count_xattrs(fd), 1);
	close(fd);
	close(below.fd);
}

static void G8_a_default_acl_that_shuts_the_owner_out_does_no_harm(void **state)
{
	struct scratch *s = *state;
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(0, 4, 4, 0, acl);
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	struct scratch below;
	int fd;

	need_acls(s);
	need_user_xattrs(s);
	below.fd = scratch_dir(s, "parent");
	assert_int_equal(fsetxattr(below.fd, ACL_DEFAULT, acl, length, 0), 0);
	fd = scratch_file(&below, "f", "x");
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_int_equal(count_xattrs(fd), 1);
	assert_true(has_xattr(fd, "user.a", "1", 1));
	close(fd);
	close(below.fd);
}

static void G8_what_a_setgid_directory_gave_is_taken_off(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0755, 1000000000, 1);
	struct scratch below;
	struct stat st;
	int fd, dir;

	below.fd = scratch_dir(s, "parent");
	assert_int_equal(fchown(below.fd, (uid_t)-1, geteuid() == 0 ? 4321 : getegid()), 0);
	assert_int_equal(fchmod(below.fd, 02700), 0);
	fd = scratch_file(&below, "f", "x");
	dir = scratch_dir(&below, "d");
	assert_int_equal(fstat(dir, &st), 0);
	if (!(st.st_mode & S_ISGID))
		skip_because("setgid is not inherited here");
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	assert_restored(dir, &meta, 'd');
	assert_has(dir, &meta);
	close(dir);
	close(fd);
	close(below.fd);
}

static void G8_foreign_attributes_are_taken_off(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "x");
	assert_int_equal(fsetxattr(fd, "user.foreign", "1", 1, 0), 0);
	assert_int_equal(fsetxattr(fd, "user.a", "other", 5, 0), 0);
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_restored(fd, &meta, 'f');
	assert_int_equal(count_xattrs(fd), 1);
	assert_true(has_xattr(fd, "user.a", "1", 1));
	use_xattrs(&meta, &(struct pl_buffer){0});
	assert_restored(fd, &meta, 'f');
	assert_int_equal(count_xattrs(fd), 0);
	close(fd);
}

/* ---- what cannot be opened ---- */

static void G8_symlinks_fifos_and_sockets_take_theirs(void **state)
{
	static const struct {
		const char *name;
		char kind;
		uint16_t mode;
	} cases[] = {{"link", 'l', 0777}, {"fifo", 'p', 0604}, {"socket", 's', 04711}};
	struct scratch *s = *state;

	assert_int_equal(symlinkat("nowhere", s->fd, "link"), 0);
	assert_int_equal(mkfifoat(s->fd, "fifo", 0600), 0);
	assert_int_equal(mknodat(s->fd, "socket", S_IFSOCK | 0600, 0), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct pl_meta meta = own_meta(cases[i].mode, -77, 123456789);
		const char *why = "";
		struct stat st;
		int r;

		if (geteuid() == 0) {
			meta.uid = 1001;
			meta.gid = 1002;
		}
		r = pl_meta_restore_at(s->fd, cases[i].name, &meta, cases[i].kind, &why);
		if (r < 0)
			fail_msg("%s: %s: %s", cases[i].name, strerror(-r), why);
		assert_int_equal(fstatat(s->fd, cases[i].name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_stat(&st, &meta);
	}
}

static void G8_devices_and_attributes_of_symlinks_take(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0777, 5, 5);
	const char *why = "";
	PL_BUFFER xattrs = {0};
	char path[4200], value[4];
	struct stat st;

	need_root();
	if (!takes_xattr(s, "trusted.t", "1", 1) ||
	    mknodat(s->fd, "null", S_IFCHR | 0600, 0x103) < 0)
		skip_because("no trusted.* or devices here");
	assert_int_equal(symlinkat("nowhere", s->fd, "link"), 0);
	add_xattr(&xattrs, "trusted.t", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_int_equal(pl_meta_restore_at(s->fd, "link", &meta, 'l', &why), 0);
	(void)snprintf(path, sizeof(path), "%s/link", s->path);
	assert_int_equal(lgetxattr(path, "trusted.t", value, sizeof(value)), 1);
	meta.mode = 0666;
	assert_int_equal(pl_meta_restore_at(s->fd, "null", &meta, 'c', &why), 0);
	assert_int_equal(fstatat(s->fd, "null", &st, 0), 0);
	assert_stat(&st, &meta);
	(void)snprintf(path, sizeof(path), "%s/null", s->path);
	assert_int_equal(lgetxattr(path, "trusted.t", value, sizeof(value)), 1);
}

static void what_a_symlink_leads_to_is_never_touched(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta before = own_meta(0600, 1000000000, 1), meta = own_meta(0777, 5, 5);
	const char *why = "";
	int fd = scratch_file(s, "f", "x");

	assert_restored(fd, &before, 'f');
	assert_int_equal(symlinkat("f", s->fd, "link"), 0);
	assert_int_equal(pl_meta_restore_at(s->fd, "link", &meta, 'l', &why), 0);
	assert_has(fd, &before);
	close(fd);
}

static void the_mode_of_a_symlink_is_not_set(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0644, 5, 5);
	const char *why = "";

	assert_int_equal(symlinkat("nowhere", s->fd, "link"), 0);
	assert_int_equal(pl_meta_restore_at(s->fd, "link", &meta, 'l', &why), 0);
}

/* ---- refusals ---- */

static void G8_attributes_that_no_symlink_can_have_are_refused(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0777, 5, 5);
	const char *why = "";
	PL_BUFFER xattrs = {0};

	assert_int_equal(symlinkat("nowhere", s->fd, "link"), 0);
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_int_equal(pl_meta_restore_at(s->fd, "link", &meta, 'l', &why), -EPERM);
	assert_non_null(strstr(why, "attribute"));
}

static void G8_an_acl_that_contradicts_the_mode_is_refused(void **state)
{
	static const struct acl_entry minimal[] = {
		{ACL_USER_OBJ, 6, 0}, {ACL_GROUP_OBJ, 4, 0}, {ACL_OTHER, 4, 0}};
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(6, 6, 6, 0, acl);
	PL_BUFFER contradicting = {0}, needless = {0}, broken = {0};
	int fd;

	need_acls(s);
	fd = scratch_file(s, "f", "x");
	add_xattr(&contradicting, ACL_ACCESS, acl, length);
	use_xattrs(&meta, &contradicting);
	assert_refused(fd, &meta, 'f', -EPERM, "ACL");

	/* The kernel keeps no ACL that says no more than a mode. */
	length = make_acl(minimal, PL_ARRAY_LEN(minimal), acl);
	add_xattr(&needless, ACL_ACCESS, acl, length);
	use_xattrs(&meta, &needless);
	meta.mode = 0644;
	assert_refused(fd, &meta, 'f', -EPERM, "ACL");

	add_xattr(&broken, ACL_ACCESS, "\2\0\0\0nonsense", 12);
	use_xattrs(&meta, &broken);
	assert_refused(fd, &meta, 'f', -EPERM, "does not accept");
	close(fd);
}

static void G8_a_default_acl_of_a_file_is_refused(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	unsigned char acl[ACL_MAX];
	size_t length = named_acl(6, 6, 6, 0, acl);
	PL_BUFFER xattrs = {0};
	int fd;

	need_acls(s);
	fd = scratch_file(s, "f", "x");
	add_xattr(&xattrs, ACL_DEFAULT, acl, length);
	use_xattrs(&meta, &xattrs);
	assert_int_equal(restore(fd, &meta, 'f'), -EPERM);
	close(fd);
}

static void G8_no_room_for_an_attribute_is_too_large_and_no_full_disk(void **state)
{
	static const int errors[] = {ENOSPC, E2BIG, ERANGE};
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	int fd;

	need_user_xattrs(s);
	fd = scratch_file(s, "f", "x");
	if (geteuid() == 0)
		assert_int_equal(fchown(fd, meta.uid, meta.gid), 0);
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	meta.uid = meta.gid = PLEACH_NO_OWNER;
	for (size_t i = 0; i < PL_ARRAY_LEN(errors); i++) {
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1, .fail_errno = errors[i]});
		assert_refused(fd, &meta, 'f', -E2BIG, "too large for this file system");
	}
	close(fd);
}

static void G8_a_file_system_without_attributes_refuses_them_only(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0640, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	int fd = scratch_file(s, "f", "x");

	pl_seam_disable(PL_CAP_XATTR);
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_refused(fd, &meta, 'f', -EPERM, "does not keep its extended attributes");
	close(fd);
}

static void every_call_that_fails_is_told(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(04711, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	uint64_t at;
	int r = -EIO, fd;

	need_user_xattrs(s);
	add_xattr(&xattrs, "user.a", "1", 1);
	add_xattr(&xattrs, "user.b", "2", 1);
	use_xattrs(&meta, &xattrs);
	if (geteuid() == 0)
		meta.uid = 1001;
	for (at = 1; r < 0; at++) {
		fd = scratch_file(s, "f", "x");
		assert_int_equal(fsetxattr(fd, "user.foreign", "1", 1, 0), 0);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = at, .fail_errno = EIO});
		r = restore(fd, &meta, 'f');
		pl_seam_arm(NULL);
		assert_true(r == 0 || r == -EIO);
		if (r == 0)
			assert_has(fd, &meta);
		/* A second attempt brings it to an end wherever the first was cut off. */
		assert_restored(fd, &meta, 'f');
		assert_has(fd, &meta);
		close(fd);
		assert_int_equal(unlinkat(s->fd, "f", 0), 0);
	}
	/* Off, twice on, chmod, utimens; as root also chown. */
	assert_true(at - 2 >= 5);
}

static void what_only_root_may_is_refused_to_others(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0600, 1000000000, 1);
	PL_BUFFER xattrs = {0};
	int fd;

	if (geteuid() == 0)
		skip_because("root may");
	fd = scratch_file(s, "f", "x");
	meta.uid++;
	assert_refused(fd, &meta, 'f', -EPERM, "owner");
	meta.uid--;
	meta.gid = 54321;
	assert_refused(fd, &meta, 'f', -EPERM, "group");
	meta.gid = getegid();
	add_xattr(&xattrs, "trusted.t", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_refused(fd, &meta, 'f', -EPERM, "attribute");
	close(fd);
}

/* An ordinary user's chmod succeeds, but without the setgid bit. */
static void G8_a_setgid_bit_that_is_silently_dropped_is_refused(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(02755, 1000000000, 1);
	int status = 0, fd;
	pid_t pid;

	need_root();
	meta.uid = meta.gid = PLEACH_NO_OWNER;
	fd = scratch_file(s, "f", "x");
	assert_int_equal(fchown(fd, 65534, 12345), 0);
	pid = fork();
	if (pid == 0) {
		const char *why = "";

		if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
		    setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		if (pl_meta_restore(fd, &meta, 'f', &why) != -EPERM)
			_exit(2);
		_exit(strstr(why, "setgid") ? 0 : 3);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		skip_because("no change of user here");
	assert_int_equal(status, 0);
	close(fd);
}

/* ---- a file system that reports success and does something else ----
 *
 * Just before the call with number `at` something that was set before it is undone, as if it had
 * never taken. R1: it is found.
 */

struct undo {
	int fd;
	uint64_t at;
	int (*undo)(int fd);
};

static void undo_at(uint64_t number, enum pl_call call, void *userdata)
{
	const struct undo *undo = userdata;

	if (number == undo->at)
		assert_int_equal(undo->undo(undo->fd), 0);
}

static int lose_attribute(int fd)
{
	return fremovexattr(fd, "user.a");
}

static int change_attribute(int fd)
{
	return fsetxattr(fd, "user.a", "2", 1, 0);
}

static int add_attribute(int fd)
{
	return fsetxattr(fd, "user.foreign", "2", 1, 0);
}

static int lose_mode(int fd)
{
	return fchmod(fd, 0600);
}

static int lose_owner(int fd)
{
	return fchown(fd, 0, 0);
}

static void G8_what_did_not_take_is_found(void **state)
{
	static const struct {
		uint64_t
			at; /* 1, 2: attributes, 3: chmod, 4: utimens; as root chown comes before */
		int (*undo)(int fd);
		const char *part;
	} cases[] = {
		{2, lose_attribute, "attributes did not take"},
		{2, change_attribute, "attributes did not take"},
		{2, add_attribute, "attributes did not take"},
		{4, lose_mode, "mode did not take"},
		{4, lose_owner, "owner and group did not take"},
	};
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0711, 1000000000, 1);
	bool is_root = geteuid() == 0;
	PL_BUFFER xattrs = {0};

	need_user_xattrs(s);
	add_xattr(&xattrs, "user.a", "1", 1);
	add_xattr(&xattrs, "user.b", "1", 1);
	use_xattrs(&meta, &xattrs);
	if (is_root)
		meta.uid = 1001;
	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct undo undo = {.at = cases[i].at + is_root, .undo = cases[i].undo};

		if (cases[i].undo == lose_owner && !is_root)
			continue;
		undo.fd = scratch_file(s, "f", "x");
		pl_seam_arm(&(struct pl_seam_plan){.stop = undo_at, .userdata = &undo});
		assert_refused(undo.fd, &meta, 'f', -EPERM, cases[i].part);
		pl_seam_arm(NULL);
		close(undo.fd);
		assert_int_equal(unlinkat(s->fd, "f", 0), 0);
	}
}

/* ---- what is known of a new file ---- */

static struct pl_fresh as_created(const struct scratch *s)
{
	struct stat st;

	assert_int_equal(fstat(s->fd, &st), 0);
	return (struct pl_fresh){.is_known = true,
				 .is_without_xattrs = true,
				 .uid = geteuid(),
				 .gid = st.st_mode & S_ISGID ? st.st_gid : getegid(),
				 .mode = 0644};
}

/* R3 */
static void what_is_known_of_a_new_file_costs_the_call_that_is_needed(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0644, 1000000000, 5);
	const struct pl_fresh fresh = as_created(s);
	const char *why = NULL;
	int fd = openat(s->fd, "f", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(pl_meta_restore_fresh(fd, &meta, &fresh, &why), 0);
	assert_true(pl_seam_count() <=
		    2); /* the mtime; the owner if the directory gave another group */
	pl_seam_arm(NULL);
	assert_has(fd, &meta);
	close(fd);
}

/* R1, R3: it is believed in one thing only, that nothing was inherited. */
static void G8_what_is_wrongly_known_of_a_new_file_does_no_harm(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0640, 1000000000, 5);
	const char *why = NULL;

	for (unsigned i = 0; i < 4; i++) {
		struct pl_fresh fresh = as_created(s);
		int fd = scratch_file(s, "f", "x");

		assert_int_equal(fchmod(fd, 0751), 0);
		fresh.mode = i == 0 ? 0640 : i == 1 ? 04640 : 0751;
		if (i == 2) { /* the file has, so it seems, the owner that it is to have */
			fresh.uid = meta.uid;
			fresh.gid = meta.gid;
			if (geteuid() == 0)
				assert_int_equal(fchown(fd, 1001, 1001), 0);
		}
		fresh.is_known = i < 3;
		assert_int_equal(pl_meta_restore_fresh(fd, &meta, &fresh, &why), 0);
		assert_has(fd, &meta);
		close(fd);
		assert_int_equal(unlinkat(s->fd, "f", 0), 0);
	}
}

static void G8_attributes_that_may_be_inherited_or_are_wanted_are_looked_at(void **state)
{
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0644, 1000000000, 5);
	struct pl_fresh fresh = as_created(s);
	const char *why = NULL;
	PL_BUFFER xattrs = {0};
	int fd;

	need_user_xattrs(s);
	fresh.is_without_xattrs = false;
	fd = scratch_file(s, "f", "x");
	assert_int_equal(fsetxattr(fd, "user.inherited", "1", 1, 0), 0);
	assert_int_equal(pl_meta_restore_fresh(fd, &meta, &fresh, &why), 0);
	assert_int_equal(count_xattrs(fd), 0);
	fresh.is_without_xattrs = true;
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&meta, &xattrs);
	assert_int_equal(pl_meta_restore_fresh(fd, &meta, &fresh, &why), 0);
	assert_int_equal(count_xattrs(fd), 1);
	close(fd);
}

static void what_fails_on_a_new_file_is_told_as_on_any(void **state)
{
	struct scratch *s = *state;
	const struct pl_meta meta = own_meta(0644, 1000000000, 5);
	const struct pl_fresh fresh = as_created(s);
	const char *why = NULL;
	int fd = scratch_file(s, "f", "x");

	pl_seam_arm(&(struct pl_seam_plan){.fail_at = 1, .fail_on = true, .fail_errno = EIO});
	assert_int_equal(pl_meta_restore_fresh(fd, &meta, &fresh, &why), -EIO);
	assert_non_null(why);
	pl_seam_arm(NULL);
	close(fd);
}

/* ---- a file system that keeps less: ext4 with inodes of 128 bytes ---- */

static bool mount_small_ext4(struct scratch *s)
{
	char image[4200], *const mkfs[] = {"mkfs.ext4", "-q",  "-F",  "-b", "1024",
					   "-I",	"128", image, "2M", NULL};
	char *const mount_image[] = {"mount", "-o", "loop", image, s->path, NULL};

	(void)snprintf(image, sizeof(image), "%s/image", s->path);
	if (!has_private_mounts() || !runs(mkfs) || !runs(mount_image))
		return false;
	enter_mount(s);
	return true;
}

static void G8_what_a_file_system_cannot_keep_is_refused_by_field(void **state)
{
	static unsigned char value[5000];
	struct scratch *s = *state;
	struct pl_meta meta = own_meta(0640, 1000000000, 0);
	PL_BUFFER xattrs = {0};
	int fd;

	need_root();
	if (!mount_small_ext4(s))
		skip_because("no loop device, mount or mkfs.ext4");
	fd = scratch_file(s, "f", "x");
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	meta.mtime_ns = 1;
	assert_refused(fd, &meta, 'f', -EPERM, "nanoseconds");
	meta.mtime_ns = 0;
	meta.mtime_s = 4000000000;
	assert_refused(fd, &meta, 'f', -EPERM, "modification time");
	meta.mtime_s = -1;
	assert_restored(fd, &meta, 'f');
	assert_has(fd, &meta);
	add_xattr(&xattrs, "user.large", value, sizeof(value));
	use_xattrs(&meta, &xattrs);
	assert_refused(fd, &meta, 'f', -E2BIG, "too large for this file system");
	close(fd);
	unmount_scratch(s);
}

/* ---- who may ---- */

static void root_may_everything_and_others_their_own(void **state)
{
	const struct pl_meta own = own_meta(04755, 0, 0);
	struct pl_meta meta = own;
	int denied = geteuid() == 0 ? 0 : -EPERM;
	const char *why = "";
	PL_BUFFER plain = {0}, trusted = {0}, capable = {0};

	add_xattr(&plain, ACL_ACCESS, "x", 1);
	add_xattr(&plain, "user.a", "x", 1);
	add_xattr(&trusted, "trusted.a", "x", 1);
	add_xattr(&trusted, "user.a", "x", 1);
	add_xattr(&capable, "security.capability", "x", 1);
	use_xattrs(&meta, &plain);
	assert_int_equal(pl_meta_may_restore(&meta, 'f', &why), 0);
	assert_int_equal(pl_meta_may_restore(&meta, 'c', &why), denied);
	assert_int_equal(pl_meta_may_restore(&meta, 'b', &why), denied);
	assert_int_equal(pl_meta_may_restore(&meta, 's', &why), 0);
	use_xattrs(&meta, &trusted);
	assert_int_equal(pl_meta_may_restore(&meta, 'd', &why), denied);
	use_xattrs(&meta, &capable);
	assert_int_equal(pl_meta_may_restore(&meta, 'f', &why), denied);
	meta = own;
	meta.uid++;
	assert_int_equal(pl_meta_may_restore(&meta, 'f', &why), denied);
	meta = own;
	meta.gid = 54321;
	assert_int_equal(pl_meta_may_restore(&meta, 'f', &why), denied);
	meta.uid = meta.gid = PLEACH_NO_OWNER;
	assert_int_equal(pl_meta_may_restore(&meta, 'f', &why), 0);
	assert_int_equal(strlen(why) > 0, denied != 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(G8_any_mode_takes),
		scratch_test(G8_any_mtime_takes_or_is_refused),
		scratch_test(what_is_right_already_costs_no_call),
		scratch_test(an_owner_that_is_not_recorded_is_left),
		scratch_test(another_kind_is_refused),
		scratch_test(G8_owner_and_setuid_take),
		scratch_test(G8_user_attributes_take_whatever_the_mode),
		scratch_test(G8_user_attributes_take_where_the_owner_was_shut_out),
		scratch_test(G8_acls_take_and_agree_with_the_mode),
		scratch_test(G8_an_acl_that_shuts_the_owner_out_does_not_hide_his_attributes),
		scratch_test(G8_everything_that_root_can_give_takes),
		scratch_test(G8_an_inherited_acl_is_taken_off),
		scratch_test(G8_a_default_acl_that_shuts_the_owner_out_does_no_harm),
		scratch_test(G8_what_a_setgid_directory_gave_is_taken_off),
		scratch_test(G8_foreign_attributes_are_taken_off),
		scratch_test(G8_symlinks_fifos_and_sockets_take_theirs),
		scratch_test(G8_devices_and_attributes_of_symlinks_take),
		scratch_test(what_a_symlink_leads_to_is_never_touched),
		scratch_test(the_mode_of_a_symlink_is_not_set),
		scratch_test(G8_attributes_that_no_symlink_can_have_are_refused),
		scratch_test(G8_an_acl_that_contradicts_the_mode_is_refused),
		scratch_test(G8_a_default_acl_of_a_file_is_refused),
		scratch_test(G8_no_room_for_an_attribute_is_too_large_and_no_full_disk),
		scratch_test(G8_a_file_system_without_attributes_refuses_them_only),
		scratch_test(every_call_that_fails_is_told),
		scratch_test(what_only_root_may_is_refused_to_others),
		scratch_test(G8_a_setgid_bit_that_is_silently_dropped_is_refused),
		scratch_test(G8_what_did_not_take_is_found),
		scratch_test(G8_what_a_file_system_cannot_keep_is_refused_by_field),
		scratch_test(what_is_known_of_a_new_file_costs_the_call_that_is_needed),
		scratch_test(G8_what_is_wrongly_known_of_a_new_file_does_no_harm),
		scratch_test(G8_attributes_that_may_be_inherited_or_are_wanted_are_looked_at),
		scratch_test(what_fails_on_a_new_file_is_told_as_on_any),
		cmocka_unit_test(root_may_everything_and_others_their_own),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
