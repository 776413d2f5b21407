/* The laws of extended attributes, by descriptor and by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "sys/scratch.h"

/* A file that can have them; skips the test where the file system has none. */
static int open_file(struct scratch *s)
{
	int r, fd = pl_create(s->fd, "file", 0600);

	assert_true(fd >= 0);
	r = pl_xattr_set(fd, "user.probe", "x", 1);
	if (r == -EOPNOTSUPP) {
		pl_close(fd);
		SKIP("the file system of $TMPDIR has no user attributes");
	}
	assert_int_equal(r, 0);
	assert_int_equal(pl_xattr_remove(fd, "user.probe"), 0);
	return fd;
}

/* Is `name` among NUL-terminated names? */
static bool is_listed(const struct pl_buffer *names, const char *name)
{
	for (size_t i = 0; i < names->length; i += strlen((char *)names->data + i) + 1) {
		if (strcmp((char *)names->data + i, name) == 0)
			return true;
	}
	return false;
}

static void assert_value(int fd, const char *name, const void *value, size_t length)
{
	PL_BUFFER b = {0};

	pl_buffer_add_string(&b, "=");
	assert_int_equal(pl_xattr_get(fd, name, &b), 0);
	assert_int_equal(b.length, length + 1);
	assert_memory_equal(b.data + 1, value, length);
}

static void what_is_set_is_listed_and_read_until_removed(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	PL_BUFFER names = {0};
	PL_BUFFER none = {0};

	assert_int_equal(pl_xattr_set(fd, "user.a", "value\0more", 10), 0);
	assert_int_equal(pl_xattr_set(fd, "user.empty", "", 0), 0);
	assert_value(fd, "user.a", "value\0more", 10);
	assert_value(fd, "user.empty", "", 0);
	assert_int_equal(pl_xattr_list(fd, &names), 0);
	assert_true(is_listed(&names, "user.a"));
	assert_true(is_listed(&names, "user.empty"));
	assert_int_equal(pl_xattr_set(fd, "user.a", "other", 5), 0);
	assert_value(fd, "user.a", "other", 5);
	assert_int_equal(pl_xattr_remove(fd, "user.a"), 0);
	assert_int_equal(pl_xattr_remove(fd, "user.a"), -ENODATA);
	assert_int_equal(pl_xattr_get(fd, "user.a", &none), -ENODATA);
	assert_int_equal(none.length, 0);
}

static void long_values_and_many_names_are_read_whole(void **state)
{
	static const size_t lengths[] = {255, 256, 257, 1025, 2000};
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	PL_BUFFER names = {0};
	char value[2000], name[64];
	int n;

	memset(value, 'v', sizeof(value));
	for (size_t i = 0; i < PL_ARRAY_LEN(lengths); i++) {
		assert_int_equal(pl_xattr_set(fd, "user.long", value, lengths[i]), 0);
		assert_value(fd, "user.long", value, lengths[i]);
	}
	assert_int_equal(pl_xattr_remove(fd, "user.long"), 0);
	for (n = 0; n < 40; n++) {
		(void)snprintf(name, sizeof(name), "user.attribute-with-a-long-name-%d", n);
		assert_int_equal(pl_xattr_set(fd, name, "1", 1), 0);
	}
	assert_int_equal(pl_xattr_list(fd, &names), 0);
	while (n-- > 0) {
		(void)snprintf(name, sizeof(name), "user.attribute-with-a-long-name-%d", n);
		assert_true(is_listed(&names, name));
	}
}

static void by_name_is_as_by_descriptor(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	PL_BUFFER names = {0};
	PL_BUFFER value = {0};

	assert_int_equal(pl_xattr_set_at(s->fd, "file", "user.a", "1", 1), 0);
	assert_value(fd, "user.a", "1", 1);
	assert_int_equal(pl_xattr_list_at(s->fd, "file", &names), 0);
	assert_true(is_listed(&names, "user.a"));
	assert_int_equal(pl_xattr_get_at(s->fd, "file", "user.a", &value), 0);
	assert_string_equal(pl_buffer_string(&value), "1");
	assert_int_equal(pl_xattr_remove_at(s->fd, "file", "user.a"), 0);
	assert_int_equal(pl_xattr_get(fd, "user.a", &value), -ENODATA);
	assert_int_equal(pl_xattr_get_at(s->fd, "missing", "user.a", &value), -ENOENT);
}

static void a_symlink_is_not_followed(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	PL_BUFFER names = {0};
	PL_BUFFER value = {0};

	assert_int_equal(pl_symlink("file", s->fd, "symlink"), 0);
	assert_int_equal(pl_xattr_set(fd, "user.a", "1", 1), 0);
	assert_int_equal(pl_xattr_list_at(s->fd, "symlink", &names), 0);
	assert_false(is_listed(&names, "user.a"));
	assert_true(pl_xattr_get_at(s->fd, "symlink", "user.a", &value) < 0);
	assert_true(pl_xattr_set_at(s->fd, "symlink", "user.a", "2", 1) < 0);
	assert_true(pl_xattr_remove_at(s->fd, "symlink", "user.a") < 0);
	assert_value(fd, "user.a", "1", 1);
}

static void without_attributes_there_are_no_names(void **state)
{
	struct scratch *s = *state;
	PL_CLOSE int fd = open_file(s);
	PL_BUFFER b = {0};

	assert_int_equal(pl_xattr_set(fd, "user.a", "1", 1), 0);
	pl_seam_disable(PL_CAP_XATTR);
	assert_int_equal(pl_xattr_list(fd, &b), 0);
	assert_int_equal(pl_xattr_list_at(s->fd, "file", &b), 0);
	assert_int_equal(b.length, 0);
	assert_int_equal(pl_xattr_get(fd, "user.a", &b), -EOPNOTSUPP);
	assert_int_equal(pl_xattr_get_at(s->fd, "file", "user.a", &b), -EOPNOTSUPP);
	assert_int_equal(pl_xattr_set(fd, "user.a", "2", 1), -EOPNOTSUPP);
	assert_int_equal(pl_xattr_set_at(s->fd, "file", "user.a", "2", 1), -EOPNOTSUPP);
	assert_int_equal(pl_xattr_remove(fd, "user.a"), -EOPNOTSUPP);
	assert_int_equal(pl_xattr_remove_at(s->fd, "file", "user.a"), -EOPNOTSUPP);
	pl_seam_disable(0);
	assert_value(fd, "user.a", "1", 1);
}

static void a_name_that_makes_no_path_is_too_long(void **state)
{
	struct scratch *s = *state;
	char name[PATH_MAX];
	PL_BUFFER b = {0};

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(pl_xattr_list_at(s->fd, name, &b), -ENAMETOOLONG);
	assert_int_equal(pl_xattr_set_at(s->fd, name, "user.a", "", 0), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_set_is_listed_and_read_until_removed),
		TEST(long_values_and_many_names_are_read_whole),
		TEST(by_name_is_as_by_descriptor),
		TEST(a_symlink_is_not_followed),
		TEST(without_attributes_there_are_no_names),
		TEST(a_name_that_makes_no_path_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
