/* An object file that is not just what its id says is found out, and the field is named. */
#include "scratch.h"

struct object {
	int fd;
	struct pl_meta meta;
	uint64_t size;
	struct pl_id content, id;
};

/* An object of `size` bytes; with a mtime, so that writing into it can be hidden by setting it. */
static struct object make_object(struct scratch *s, size_t size)
{
	const struct timespec times[2] = {{0, 0}, {1600000000, 42}};
	unsigned char *content = malloc(size + 1);
	struct object o = {.size = size};
	struct stat st;

	assert_non_null(content);
	for (size_t i = 0; i < size; i++)
		content[i] = (unsigned char)(i * 7 + i / 256);
	o.fd = scratch_file(s, "object", "");
	assert_int_equal(write(o.fd, content, size), size);
	assert_int_equal(fchmod(o.fd, 0640), 0);
	assert_int_equal(futimens(o.fd, times), 0);
	assert_int_equal(fstat(o.fd, &st), 0);
	pl_hash_of(content, size, &o.content);
	free(content);
	o.meta = (struct pl_meta){.mode = 0640,
				  .uid = st.st_uid,
				  .gid = st.st_gid,
				  .mtime_s = 1600000000,
				  .mtime_ns = 42};
	pl_object_id(&o.meta, size, &o.content, &o.id);
	return o;
}

static int verify(const struct object *o, const char **ret_why)
{
	*ret_why = "";
	return pl_object_verify(o->fd, &o->id, &o->meta, o->size, &o->content, ret_why);
}

static void assert_differs(const struct object *o, const char *what)
{
	const char *why;

	assert_int_equal(verify(o, &why), -EBADMSG);
	assert_string_equal(why, what);
}

static void set_old_mtime(int fd)
{
	const struct timespec times[2] = {{0, 0}, {1600000000, 42}};

	assert_int_equal(futimens(fd, times), 0);
}

static void an_untouched_object_of_any_size_verifies(void **state)
{
	static const size_t sizes[] = {0, 1, 262143, 262144, 262145, 524288, 1000000};
	struct scratch *s = *state;

	for (size_t i = 0; i < PL_ARRAY_LEN(sizes); i++) {
		struct object o = make_object(s, sizes[i]);
		const char *why;

		/* Wherever the descriptor stands. */
		assert_int_equal(lseek(o.fd, 5, SEEK_SET), 5);
		assert_int_equal(verify(&o, &why), 0);
		assert_int_equal(lseek(o.fd, 0, SEEK_CUR), 5);
		close(o.fd);
		assert_int_equal(unlinkat(s->fd, "object", 0), 0);
	}
}

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
	static const off_t places[] = {0, 1, 262143, 262144, 299999};
	struct object o = make_object(*state, 300000);

	for (size_t i = 0; i < PL_ARRAY_LEN(places); i++) {
		const char *why;
		unsigned char byte;

		assert_int_equal(pread(o.fd, &byte, 1, places[i]), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(o.fd, &byte, 1, places[i]), 1);
		assert_differs(&o, "content");
		set_old_mtime(o.fd);
		assert_differs(&o, "content");
		byte ^= 0x10;
		assert_int_equal(pwrite(o.fd, &byte, 1, places[i]), 1);
		set_old_mtime(o.fd);
		assert_int_equal(verify(&o, &why), 0);
	}
	close(o.fd);
}

static void a_byte_more_or_less_is_found(void **state)
{
	struct object o = make_object(*state, 262144);

	assert_int_equal(ftruncate(o.fd, 262143), 0);
	set_old_mtime(o.fd);
	assert_differs(&o, "size");
	assert_int_equal(ftruncate(o.fd, 262145), 0);
	set_old_mtime(o.fd);
	assert_differs(&o, "size");
	close(o.fd);
}

static void changed_metadata_is_found(void **state)
{
	const struct timespec later[2] = {{0, 0}, {1600000000, 43}};
	struct object o = make_object(*state, 10);
	const char *why;

	assert_int_equal(fchmod(o.fd, 0641), 0);
	assert_differs(&o, "mode");
	assert_int_equal(fchmod(o.fd, 04640), 0);
	assert_differs(&o, "mode");
	assert_int_equal(fchmod(o.fd, 0640), 0);
	assert_int_equal(futimens(o.fd, later), 0);
	assert_differs(&o, "modification time");
	set_old_mtime(o.fd);
	assert_int_equal(verify(&o, &why), 0);
	close(o.fd);
}

static void a_changed_owner_is_found_only_where_one_is_recorded(void **state)
{
	struct scratch *s = *state;
	struct object o;
	const char *why;

	need_root();
	o = make_object(s, 10);
	assert_int_equal(fchown(o.fd, 1234, (gid_t)-1), 0);
	assert_differs(&o, "owner");
	assert_int_equal(fchown(o.fd, o.meta.uid, 1234), 0);
	assert_differs(&o, "group");
	o.meta.uid = o.meta.gid = PLEACH_NO_OWNER;
	pl_object_id(&o.meta, o.size, &o.content, &o.id);
	assert_int_equal(verify(&o, &why), 0);
	close(o.fd);
}

static void an_added_or_lost_attribute_is_found(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER xattrs = {0};
	struct object o;
	const char *why;

	need_user_xattrs(s);
	o = make_object(s, 10);
	assert_int_equal(fsetxattr(o.fd, "user.a", "1", 1, 0), 0);
	assert_differs(&o, "extended attributes");
	add_xattr(&xattrs, "user.a", "1", 1);
	use_xattrs(&o.meta, &xattrs);
	pl_object_id(&o.meta, o.size, &o.content, &o.id);
	assert_int_equal(verify(&o, &why), 0);
	assert_int_equal(fremovexattr(o.fd, "user.a"), 0);
	assert_differs(&o, "extended attributes");
	close(o.fd);
}

static void an_added_acl_is_found(void **state)
{
	struct scratch *s = *state;
	unsigned char acl[ACL_MAX];
	/* Of the very mode that the object has. */
	size_t length = named_acl(6, 4, 4, 0, acl);
	struct object o;

	need_acls(s);
	o = make_object(s, 10);
	assert_int_equal(fsetxattr(o.fd, ACL_ACCESS, acl, length, 0), 0);
	assert_differs(&o, "extended attributes");
	close(o.fd);
}

static void an_entry_that_is_not_of_this_id_is_found(void **state)
{
	struct object o = make_object(*state, 10), other = o;

	other.id.bytes[31] ^= 1;
	assert_differs(&other, "id");
	other = o;
	other.size++;
	assert_differs(&other, "id");
	other = o;
	other.meta.mode = 0600;
	assert_differs(&other, "id");
	close(o.fd);
}

static void what_is_no_regular_file_is_no_object(void **state)
{
	struct scratch *s = *state;
	struct object o = make_object(s, 10);

	close(o.fd);
	o.fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(o.fd >= 0);
	assert_differs(&o, "kind");
	close(o.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(an_untouched_object_of_any_size_verifies),
		scratch_test(a_flipped_bit_is_found_wherever_it_is),
		scratch_test(a_byte_more_or_less_is_found),
		scratch_test(changed_metadata_is_found),
		scratch_test(a_changed_owner_is_found_only_where_one_is_recorded),
		scratch_test(an_added_or_lost_attribute_is_found),
		scratch_test(an_added_acl_is_found),
		scratch_test(an_entry_that_is_not_of_this_id_is_found),
		scratch_test(what_is_no_regular_file_is_no_object),
	};

	umask(022);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
