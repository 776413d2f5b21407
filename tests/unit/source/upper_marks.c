/*
 * Marks of overlayfs: which attributes are none of the file's, what a mark may say, and the frame of file
 * handles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/upper.h"
#include "sys/scratch.h"

static void renames(bool is_user, const char *from, const char *to)
{
	struct pl_mark_names names = {.is_user = is_user};
	const char *found = pl_marks_rename(&names, from);

	if (to)
		assert_string_equal(found, to);
	else
		assert_null(found);
}

static void marks_are_no_attributes_and_escaped_ones_lose_one_word(void **state)
{
	(void)state;
	renames(false, "trusted.overlay.origin", NULL);
	renames(false, "trusted.overlay.", NULL);
	renames(false, "trusted.overlay.overlay", NULL);
	renames(false, "trusted.overlay.unheard-of", NULL);
	renames(false, "trusted.overlay.overlay.opaque", "trusted.overlay.opaque");
	renames(false, "trusted.overlay.overlay.", "trusted.overlay.");
	renames(false, "trusted.overlay.overlay.overlay.x", "trusted.overlay.overlay.x");
	renames(false, "trusted.overlayer", "trusted.overlayer");
	renames(false, "user.overlay.opaque", "user.overlay.opaque");
	renames(true, "user.overlay.opaque", NULL);
	renames(true, "user.overlay.overlay.opaque", "user.overlay.opaque");
	renames(true, "trusted.overlay.opaque", "trusted.overlay.opaque");
	renames(true, "security.capability", "security.capability");
}

static void longest_name_can_be_escaped(void **state)
{
	static const char prefix[] = "user.overlay.overlay.";
	char name[256], wanted[256];

	(void)state;
	memset(name, 'x', 255);
	name[255] = '\0';
	memcpy(name, prefix, strlen(prefix));
	(void)snprintf(wanted, sizeof(wanted), "user.%s", name + strlen("user.overlay."));
	renames(true, name, wanted);
}

/* ---- on a directory ---- */

static struct pl_marks marks;

/* What is read of a directory with this mark. */
static int read_with(struct scratch *s, const char *mark, const void *value, size_t length)
{
	const char *flaw = NULL;
	int fd, r;

	(void)unlinkat(s->fd, "d", AT_REMOVEDIR);
	assert_int_equal(mkdirat(s->fd, "d", 0755), 0);
	fd = pl_open_dir(s->fd, "d");
	assert_true(fd >= 0);
	r = pl_xattr_set(fd, mark, value, length);
	if (r == -EOPNOTSUPP)
		SKIP("this file system has no attributes");
	assert_int_equal(r, 0);
	r = pl_marks_read(fd, true, &marks, &flaw);
	assert_true((r == -EBADMSG) == (flaw != NULL));
	close(fd);
	return r;
}

static int redirected(struct scratch *s, const char *to)
{
	return read_with(s, "user.overlay.redirect", to, strlen(to));
}

static void redirect_is_a_name_or_a_path_in_the_base(void **state)
{
	char longest[300];

	assert_int_equal(redirected(*state, "name"), 0);
	assert_true(marks.is_redirected && !marks.is_absolute);
	assert_string_equal(pl_buffer_string(&marks.redirect), "name");
	assert_int_equal(redirected(*state, "/d/e\n"), 0);
	assert_true(marks.is_redirected && marks.is_absolute);
	assert_string_equal(pl_buffer_string(&marks.redirect), "d/e\n");
	memset(longest, 'n', sizeof(longest));
	longest[255] = '\0';
	assert_int_equal(redirected(*state, longest), 0);
	pl_marks_done(&marks);
}

static void redirect_that_could_lead_out_is_refused(void **state)
{
	static const char *const bad[] = {
		"",	 "/",	"..",  ".",    "a/b",  "/..",	"/a/../../b",
		"/a//b", "//a", "/a/", "/./a", "../a", "/a/..", NULL,
	};
	char long_name[800]; /* more would not fit into every file system */

	for (unsigned i = 0; bad[i]; i++)
		assert_int_equal(redirected(*state, bad[i]), -EBADMSG);
	memset(long_name, 'n', sizeof(long_name));
	assert_int_equal(read_with(*state, "user.overlay.redirect", long_name, 256), -EBADMSG);
	assert_int_equal(read_with(*state, "user.overlay.redirect", long_name, sizeof(long_name)),
			 -EBADMSG);
	long_name[0] = '/';
	assert_int_equal(read_with(*state, "user.overlay.redirect", long_name, sizeof(long_name)),
			 -EBADMSG);
	assert_int_equal(read_with(*state, "user.overlay.redirect", "a\0b", 3), -EBADMSG);
	assert_int_equal(read_with(*state, "user.overlay.redirect", "a\0", 2), -EBADMSG);
	pl_marks_done(&marks);
}

static void opaque_is_one_of_two_letters(void **state)
{
	assert_int_equal(read_with(*state, "user.overlay.opaque", "y", 1), 0);
	assert_true(marks.is_opaque && !marks.has_xwhiteouts);
	assert_int_equal(read_with(*state, "user.overlay.opaque", "x", 1), 0);
	assert_true(!marks.is_opaque && marks.has_xwhiteouts);
	assert_int_equal(read_with(*state, "user.overlay.opaque", "n", 1), -EBADMSG);
	assert_int_equal(read_with(*state, "user.overlay.opaque", "yy", 2), -EBADMSG);
	assert_int_equal(read_with(*state, "user.overlay.opaque", "", 0), -EBADMSG);
	/* Not of this overlay: an attribute. */
	assert_int_equal(read_with(*state, "user.overlap.opaque", "y", 1), 0);
	assert_false(marks.is_opaque || marks.is_redirected);
	pl_marks_done(&marks);
}

/* ---- handles ---- */

static void handle_loses_its_frame_and_nothing_else(void **state)
{
	/* As ext4 has it: 8 bytes. */
	unsigned char mark[29] = {0, 0xfb, 29, 0, 1, 0xaa, 0xbb};
	PL_BUFFER b = {0};

	(void)state;
	memcpy(mark + 21, "\1\2\3\4\5\6\7\10", 8);
	assert_int_equal(pl_marks_handle(mark, sizeof(mark), &b), 0);
	assert_int_equal(b.length, 9);
	assert_memory_equal(b.data, "\1\1\2\3\4\5\6\7\10", 9);
}

static void handle_of_another_shape_is_refused(void **state)
{
	unsigned char mark[29] = {0, 0xfb, 29, 0, 1};
	PL_BUFFER b = {0};

	(void)state;
	assert_int_equal(pl_marks_handle(mark, 28, &b), -EBADMSG);
	assert_int_equal(pl_marks_handle(mark, 0, &b), -EBADMSG);
	mark[0] = 1; /* another version */
	assert_int_equal(pl_marks_handle(mark, 29, &b), -EBADMSG);
	mark[0] = 0;
	mark[1] = 0xfa;
	assert_int_equal(pl_marks_handle(mark, 29, &b), -EBADMSG);
	mark[1] = 0xfb;
	mark[3] = 4; /* of the upper layer's own */
	assert_int_equal(pl_marks_handle(mark, 29, &b), -EBADMSG);
	mark[3] = 0;
	mark[2] = 21;
	assert_int_equal(pl_marks_handle(mark, 21, &b), -EBADMSG);
	assert_int_equal(b.length, 0);
}

/* ---- where things of the base are ---- */

static const char *now(const struct pl_moves *moves, const char *path)
{
	static char text[200];
	PL_BUFFER b = {0};
	int r = pl_moves_find(moves, path, &b);

	if (r == 0)
		return NULL;
	assert_int_equal(r, 1);
	(void)snprintf(text, sizeof(text), "%s", pl_buffer_string(&b));
	return text;
}

static void file_of_the_base_is_found_where_its_directory_has_gone(void **state)
{
	struct pl_moves moves;

	(void)state;
	pl_moves_init(&moves, 7);
	assert_int_equal(pl_moves_directory(&moves, "", ""), 0);
	assert_string_equal(now(&moves, "a/b/c"), "a/b/c");
	/* a/b has gone to z, where c is named by the upper layer; a was removed. */
	assert_int_equal(pl_moves_directory(&moves, "a/b", "z"), 0);
	assert_int_equal(pl_moves_cover(&moves, "z"), 0);
	assert_int_equal(pl_moves_cover(&moves, "z/c"), 0);
	assert_int_equal(pl_moves_cover(&moves, "a"), 0);
	assert_null(now(&moves, "a/b/c"));
	assert_string_equal(now(&moves, "a/b/d"), "z/d");
	assert_string_equal(now(&moves, "a/b/d/e"), "z/d/e");
	assert_null(now(&moves, "a/x"));
	assert_null(now(&moves, "a/b")); /* where it was: the move itself is not followed */
	assert_null(now(&moves, "z"));
	assert_string_equal(now(&moves, "zz"), "zz");
	assert_int_equal(pl_moves_directory(&moves, "a/b", "y"), 1);
	pl_moves_done(&moves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_are_no_attributes_and_escaped_ones_lose_one_word),
		cmocka_unit_test(longest_name_can_be_escaped),
		TEST(redirect_is_a_name_or_a_path_in_the_base),
		TEST(redirect_that_could_lead_out_is_refused),
		TEST(opaque_is_one_of_two_letters),
		cmocka_unit_test(handle_loses_its_frame_and_nothing_else),
		cmocka_unit_test(handle_of_another_shape_is_refused),
		cmocka_unit_test(file_of_the_base_is_found_where_its_directory_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
