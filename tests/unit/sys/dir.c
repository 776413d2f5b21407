/* The laws of listings: all names, each once, in the order of their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

static void assert_in_order(const struct pl_listing *listing)
{
	for (size_t i = 1; i < listing->n; i++)
		assert_true(strcmp(listing->entries[i - 1].name, listing->entries[i].name) < 0);
}

static void every_byte_that_a_name_may_hold_is_listed_in_order(void **state)
{
	static const char *const odd[] = {"-rf",      "...",	  ".a",	  "..a",  " ",
					  "\n",	      "a b",	  "\\",	  "*",	  "~",
					  "\xff\xfe", "\xc3\xa4", "\x01", "a\tb", "a\xff"};
	struct scratch *s = *state;
	struct pl_listing listing;
	char name[256];
	size_t expected = 0;

	for (int c = 1; c < 256; c++) {
		if (c == '/' || c == '.' || c == ' ' || c == '\n' || c == '*' || c == '~' ||
		    c == '\\' || c == 1)
			continue; /* no name, or among the odd ones */
		name[0] = (char)c;
		name[1] = '\0';
		assert_int_equal(make_file(s->fd, name, ""), 0);
		expected++;
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(odd); i++, expected++)
		assert_int_equal(make_file(s->fd, odd[i], ""), 0);
	memset(name, 'n', 255);
	name[255] = '\0';
	assert_int_equal(make_file(s->fd, name, ""), 0);
	expected++;
	assert_int_equal(pl_list(s->fd, &listing), 0);
	assert_int_equal(listing.n, expected);
	assert_in_order(&listing);
	for (size_t i = 0; i < PL_ARRAY_LEN(odd); i++)
		assert_non_null(pl_listing_find(&listing, odd[i]));
	assert_non_null(pl_listing_find(&listing, name));
	assert_null(pl_listing_find(&listing, "."));
	assert_null(pl_listing_find(&listing, ".."));
	assert_null(pl_listing_find(&listing, ""));
	pl_listing_done(&listing);
}

static void a_listing_that_takes_many_reads_is_whole(void **state)
{
	enum { N = 3000 };
	struct scratch *s = *state;
	struct pl_listing listing;
	char name[64];

	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "%d-a-name-of-a-certain-length", i * 7919 % N);
		assert_int_equal(mknodat(s->fd, name, S_IFREG | 0600, 0), 0);
	}
	/* Twice by one descriptor: it is rewound. */
	for (int round = 0; round < 2; round++) {
		assert_int_equal(pl_list(s->fd, &listing), 0);
		assert_int_equal(listing.n, N);
		assert_in_order(&listing);
		for (int i = 0; i < N; i++) {
			(void)snprintf(name, sizeof(name), "%d-a-name-of-a-certain-length", i);
			assert_non_null(pl_listing_find(&listing, name));
		}
		pl_listing_done(&listing);
	}
}

static void an_entry_tells_type_and_inode(void **state)
{
	static const struct {
		const char *name;
		unsigned char type;
	} expected[] = {{"dir", DT_DIR}, {"fifo", DT_FIFO}, {"file", DT_REG}, {"symlink", DT_LNK}};
	struct scratch *s = *state;
	struct pl_listing listing;
	struct stat st;

	assert_int_equal(make_file(s->fd, "file", ""), 0);
	assert_int_equal(pl_mkdir(s->fd, "dir", 0755), 0);
	assert_int_equal(pl_symlink("x", s->fd, "symlink"), 0);
	assert_int_equal(pl_mknod(s->fd, "fifo", S_IFIFO | 0600, 0), 0);
	assert_int_equal(pl_list(s->fd, &listing), 0);
	assert_int_equal(listing.n, PL_ARRAY_LEN(expected));
	for (size_t i = 0; i < listing.n; i++) {
		const struct pl_dirent *entry = &listing.entries[i];

		assert_string_equal(entry->name, expected[i].name);
		assert_int_equal(pl_lstat(s->fd, entry->name, &st), 0);
		assert_true(entry->ino == st.st_ino);
		if (entry->type != DT_UNKNOWN)
			assert_int_equal(entry->type, expected[i].type);
	}
	pl_listing_done(&listing);
}

static void an_empty_directory_has_no_entries(void **state)
{
	struct scratch *s = *state;
	struct pl_listing listing;

	assert_int_equal(pl_list(s->fd, &listing), 0);
	assert_int_equal(listing.n, 0);
	assert_null(pl_listing_find(&listing, "x"));
	pl_listing_done(&listing);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
	assert_int_equal(make_file(s->fd, "...", ""), 0);
	assert_int_equal(pl_dir_is_empty(s->fd), 0);
	assert_int_equal(pl_unlink(s->fd, "..."), 0);
	assert_int_equal(pl_dir_is_empty(s->fd), 1);
}

static void what_is_no_directory_cannot_be_listed(void **state)
{
	struct scratch *s = *state;
	struct pl_listing listing = {.n = 77};
	PL_CLOSE int fd = pl_create(s->fd, "file", 0600);

	assert_int_equal(pl_list(fd, &listing), -ENOTDIR);
	assert_int_equal(listing.n, 77);
	assert_int_equal(pl_dir_is_empty(fd), -ENOTDIR);
	assert_int_equal(pl_list(-1, &listing), -EBADF);
}

static void inodes_alone_are_those_of_the_names(void **state)
{
	struct scratch *s = *state;
	PL_BUFFER inodes = {0};
	uint64_t ino;
	struct stat st;

	assert_int_equal(make_file(s->fd, "a", ""), 0);
	assert_int_equal(linkat(s->fd, "a", s->fd, "b", 0), 0);
	assert_int_equal(pl_list_inodes(s->fd, &inodes), 0);
	assert_int_equal(inodes.length, 2 * sizeof(ino));
	assert_int_equal(fstatat(s->fd, "a", &st, 0), 0);
	for (size_t i = 0; i < 2; i++) {
		memcpy(&ino, inodes.data + i * sizeof(ino), sizeof(ino));
		assert_int_equal(ino, st.st_ino);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(inodes_alone_are_those_of_the_names),
		TEST(every_byte_that_a_name_may_hold_is_listed_in_order),
		TEST(a_listing_that_takes_many_reads_is_whole),
		TEST(an_entry_tells_type_and_inode),
		TEST(an_empty_directory_has_no_entries),
		TEST(what_is_no_directory_cannot_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
