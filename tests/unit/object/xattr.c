/* The encoding of attributes: X1 and X2 of src/object/xattr.c, and what is part of the metadata. */
#include "object/xattr.h"

#include "scratch.h"

static bool is_kept(const char *name)
{
	return pl_xattr_is_kept(name, strlen(name));
}

static void just_the_namespaces_of_the_format_are_kept(void **state)
{
	static const char *const kept[] = {
		"user.a",	    "user.overlay.opaque",
		"trusted.a",	    "trusted.overlay.x",
		"trusted.SGI_ACL",  "security.capability",
		"security.SMACK64", "security.selinux2",
		"security.im",	    ACL_ACCESS,
		ACL_DEFAULT,
	};
	static const char *const others[] = {
		"",
		"a",
		"user",
		"User.a",
		"security.ima",
		"security.evm",
		"security.selinux",
		"trusted.SGI_ACL_FILE",
		"trusted.SGI_ACL_DEFAULT",
		"system.nfs4_acl",
		"system.posix_acl",
		ACL_ACCESS "x",
		"btrfs.compression",
		"trustedx.a",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(kept); i++)
		assert_true(is_kept(kept[i]));
	for (size_t i = 0; i < PL_ARRAY_LEN(others); i++)
		assert_false(is_kept(others[i]));
	assert_false(pl_xattr_is_kept("user.a\0b", 8));
	assert_true(pl_xattr_is_acl(ACL_DEFAULT, strlen(ACL_DEFAULT)));
	assert_false(pl_xattr_is_acl("system.posix_acl_accesS", 23));
}

static void a_name_has_at_most_255_bytes(void **state)
{
	char name[300];

	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	assert_true(pl_xattr_is_kept(name, 255));
	assert_false(pl_xattr_is_kept(name, 256));
}

/* Order of each name, as bytes, among names that are sorted. */
static void names_are_sorted_by_bytes_and_none_stands_twice(void **state)
{
	static const char *const sorted[] = {
		"security.a", ACL_ACCESS,  ACL_DEFAULT, "trusted.z", "user.",
		"user.A",     "user.a",	   "user.a.b",	"user.ab",   "user.b",
		"user.\x7f",  "user.\x80", "user.\xff",
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(sorted); i++) {
		for (size_t k = 0; k < PL_ARRAY_LEN(sorted); k++) {
			PL_BUFFER b = {0};

			add_xattr(&b, sorted[i], "1", 1);
			add_xattr(&b, sorted[k], "2", 1);
			assert_int_equal(pl_xattrs_are_valid(b.data, b.length), i < k);
		}
	}
	assert_true(pl_xattrs_are_valid(NULL, 0));
}

static void values_are_read_again_in_order_and_names_end_in_a_nul(void **state)
{
	PL_BUFFER b = {0};
	struct pl_meta meta = {0};
	const unsigned char *value;
	const char *name;
	size_t name_length, length;
	uint32_t offset = 0;
	unsigned char *large = calloc(1, PL_XATTR_VALUE_MAX);

	assert_non_null(large);
	pl_xattrs_add_head(&b, "trusted.a", 0);
	pl_xattrs_add_head(&b, "user.large", PL_XATTR_VALUE_MAX);
	pl_buffer_add(&b, large, PL_XATTR_VALUE_MAX);
	pl_xattrs_add_head(&b, "user.nul", 3);
	pl_buffer_add(&b, "a\0b", 3);
	use_xattrs(&meta, &b);
	assert_true(pl_xattrs_are_valid(b.data, b.length));

	assert_int_equal(pl_meta_xattr_next(&meta, &offset, &name, &name_length, &value, &length),
			 1);
	assert_string_equal(name, "trusted.a"); /* X2 */
	assert_int_equal(length, 0);
	assert_int_equal(pl_meta_xattr_next(&meta, &offset, &name, &name_length, &value, &length),
			 1);
	assert_string_equal(name, "user.large"); /* X2: the length is 0x00010000 */
	assert_int_equal(length, PL_XATTR_VALUE_MAX);
	assert_memory_equal(value, large, length);
	assert_int_equal(pl_meta_xattr_next(&meta, &offset, &name, &name_length, &value, &length),
			 1);
	assert_string_equal(name, "user.nul");
	assert_int_equal(name_length, strlen("user.nul"));
	assert_int_equal(length, 3);
	assert_memory_equal(value, "a\0b", 3);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pl_meta_xattr_next(&meta, &offset, &name, &name_length, &value,
						    &length),
				 0);
	assert_int_equal(offset, b.length);
	free(large);
}

static void what_breaks_off_is_refused_at_every_byte(void **state)
{
	PL_BUFFER b = {0};
	size_t first;

	add_xattr(&b, "user.a", "12345", 5);
	first = b.length;
	add_xattr(&b, "user.b", "", 0);
	for (size_t n = 0; n <= b.length; n++) {
		/* In memory of just that size, so that reading on is seen. */
		unsigned char *cut = malloc(n > 0 ? n : 1);

		assert_non_null(cut);
		memcpy(cut, b.data, n);
		assert_int_equal(pl_xattrs_are_valid(cut, n),
				 n == 0 || n == first || n == b.length);
		free(cut);
	}
}

static void a_value_has_at_most_65536_bytes_and_all_at_most_a_mebibyte(void **state)
{
	PL_BUFFER one = {0}, all = {0};
	unsigned char *value = calloc(1, PL_XATTR_VALUE_MAX + 1);
	char name[] = "user.a";

	assert_non_null(value);
	add_xattr(&one, "user.a", value, PL_XATTR_VALUE_MAX + 1);
	assert_false(pl_xattrs_are_valid(one.data, one.length));

	for (int i = 0; i < 15; i++) {
		name[5] = (char)('a' + i);
		add_xattr(&all, name, value, PL_XATTR_VALUE_MAX);
	}
	add_xattr(&all, "user.p", value, PL_XATTRS_MAX - all.length - 1 - strlen("user.p") - 4);
	assert_int_equal(all.length, PL_XATTRS_MAX);
	assert_true(pl_xattrs_are_valid(all.data, all.length));
	add_xattr(&all, "user.q", NULL, 0);
	assert_false(pl_xattrs_are_valid(all.data, all.length));
	free(value);
}

static void put_xattr(struct pl_buffer *b, const char *name, const char *value)
{
	pl_xattrs_add_head(b, name, strlen(value));
	pl_buffer_add_string(b, value);
}

/* Without two letters; `self` is left out. */
static const char *without_two_letters(void *self, const char *name)
{
	static char other[300];

	if (strcmp(name, self) == 0)
		return NULL;
	if (strncmp(name, "user.zz", 7) != 0)
		return name;
	(void)snprintf(other, sizeof(other), "user.%s", name + 7);
	return other;
}

static void names_that_change_are_sorted_again_and_keep_their_values(void **state)
{
	PL_BUFFER xattrs = {0};
	PL_BUFFER wanted = {0};
	struct pl_meta meta = {0};

	put_xattr(&xattrs, "user.m", "middle");
	put_xattr(&xattrs, "user.n", "gone");
	put_xattr(&xattrs, "user.zza", "");
	put_xattr(&xattrs, "user.zzz", "last");
	meta.xattrs = xattrs.data;
	meta.xattrs_length = (uint32_t)xattrs.length;
	assert_int_equal(pl_meta_rename_xattrs(&meta, &xattrs, without_two_letters, "user.n"), 0);
	put_xattr(&wanted, "user.a", "");
	put_xattr(&wanted, "user.m", "middle");
	put_xattr(&wanted, "user.z", "last");
	assert_int_equal(meta.xattrs_length, wanted.length);
	assert_ptr_equal(meta.xattrs, xattrs.data);
	assert_memory_equal(meta.xattrs, wanted.data, wanted.length);
}

static void attributes_that_all_go_leave_none(void **state)
{
	PL_BUFFER xattrs = {0};
	struct pl_meta meta = {0};

	assert_int_equal(pl_meta_rename_xattrs(&meta, &xattrs, without_two_letters, "user.n"), 0);
	assert_true(meta.xattrs_length == 0 && !meta.xattrs);
	put_xattr(&xattrs, "user.n", "gone");
	meta.xattrs = xattrs.data;
	meta.xattrs_length = (uint32_t)xattrs.length;
	assert_int_equal(pl_meta_rename_xattrs(&meta, &xattrs, without_two_letters, "user.n"), 0);
	assert_true(meta.xattrs_length == 0 && !meta.xattrs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(just_the_namespaces_of_the_format_are_kept),
		cmocka_unit_test(a_name_has_at_most_255_bytes),
		cmocka_unit_test(names_are_sorted_by_bytes_and_none_stands_twice),
		cmocka_unit_test(values_are_read_again_in_order_and_names_end_in_a_nul),
		cmocka_unit_test(what_breaks_off_is_refused_at_every_byte),
		cmocka_unit_test(a_value_has_at_most_65536_bytes_and_all_at_most_a_mebibyte),
		cmocka_unit_test(names_that_change_are_sorted_again_and_keep_their_values),
		cmocka_unit_test(attributes_that_all_go_leave_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
