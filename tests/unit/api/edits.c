/*
 * Edits of a transaction by the library, in memory and in a plain directory: what each does, what it refuses, and
 * that both ways are one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/editing.h"

static void both(void **state, void (*test)(struct editing *e))
{
	editing_both_ways(state, tx_begin, test);
}

static bool is_there(const struct editing *e, const char *path)
{
	TEXT *full = text_of("%s/site/%s", e->store_path, path);
	struct stat st;

	return lstat(full, &st) == 0;
}

static struct stat stat_of(const struct editing *e, const char *path)
{
	TEXT *full = text_of("%s/site/%s", e->store_path, path);
	struct stat st;

	if (lstat(full, &st) < 0)
		fail_msg("workspace '%s': '%s' is not there", e->way, path);
	return st;
}

static void assert_text(const struct editing *e, const char *path, const char *expected)
{
	TEXT *full = text_of("%s/site/%s", e->store_path, path);
	char text[256] = "";
	FILE *file = fopen(full, "re");

	if (!file)
		fail_msg("workspace '%s': '%s' cannot be read", e->way, path);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	(void)fclose(file);
	assert_string_equal(text, expected);
}

static void assert_one_inode(const struct editing *e, const char *a, const char *b, nlink_t is_one)
{
	struct stat x = stat_of(e, a), y = stat_of(e, b);

	assert_int_equal(x.st_ino == y.st_ino, is_one);
}

/* ---- what each does ---- */

static void check_files(struct editing *e)
{
	OK(e, put_text(e, "new", "new"));
	OK(e, put_text(e, "a", "other"));
	OK(e, put_text(e, "d/e/deep", "deep"));
	OK(e, put_text(e, "link", "no symlink any more"));
	OK(e, put_text(e, "nothing", ""));
	OK(e, put_text(e, "d/equal1", ""));
	OK(e, put_text(e, "new", "newer"));
	tx_commit(e);
	assert_text(e, "new", "newer");
	assert_text(e, "a", "other");
	assert_text(e, "d/e/deep", "deep");
	assert_text(e, "link", "no symlink any more");
	assert_true(S_ISREG(stat_of(e, "link").st_mode));
	assert_int_equal(stat_of(e, "nothing").st_size, 0);
	assert_int_equal(stat_of(e, "d/equal1").st_size, 0);
	assert_int_equal(e->result.generation, 2);
	assert_int_equal(e->result.added, 3);
	assert_int_equal(e->result.modified, 3);
}

static void put_makes_files_and_replaces_what_is_no_directory(void **state)
{
	both(state, check_files);
}

static void check_symlinks(struct editing *e)
{
	OK(e, pleach_tx_symlink(e->tx, "s", "../where ever", NULL, &e->error));
	OK(e, pleach_tx_symlink(e->tx, "a", "b", NULL, &e->error));
	OK(e, pleach_tx_symlink(e->tx, "link", "same", NULL, &e->error));
	tx_commit(e);
	assert_true(S_ISLNK(stat_of(e, "s").st_mode));
	assert_true(S_ISLNK(stat_of(e, "a").st_mode));
	assert_text(e, "link/f", "the same in all");
}

static void symlink_makes_symlinks_and_replaces_what_is_no_directory(void **state)
{
	both(state, check_symlinks);
}

static void check_directories(struct editing *e)
{
	OK(e, make_dir_at(e, "n"));
	OK(e, make_dir_at(e, "n/n"));
	OK(e, put_text(e, "n/n/f", "f"));
	OK(e, make_dir_at(e, "d/e/n"));
	tx_commit(e);
	assert_text(e, "n/n/f", "f");
	assert_true(S_ISDIR(stat_of(e, "d/e/n").st_mode));
	assert_true(is_there(e, "d/e/twin"));
}

static void mkdir_makes_directories(void **state)
{
	both(state, check_directories);
}

static void check_removal(struct editing *e)
{
	OK(e, pleach_tx_remove(e->tx, "a", &e->error));
	OK(e, pleach_tx_remove(e->tx, "d", &e->error));
	OK(e, pleach_tx_remove(e->tx, "link", &e->error));
	OK(e, put_text(e, "d", "a file now"));
	OK(e, make_dir_at(e, "link"));
	OK(e, put_text(e, "link/f", "f"));
	OK(e, pleach_tx_remove(e->tx, "same", &e->error));
	OK(e, make_dir_at(e, "same"));
	OK(e, put_text(e, "same/only", "this"));
	assert_int_equal(pleach_tx_remove(e->tx, "same/f", &e->error), -ENOENT);
	tx_commit(e);
	assert_false(is_there(e, "a"));
	assert_text(e, "d", "a file now");
	assert_text(e, "link/f", "f");
	assert_text(e, "same/only", "this");
	assert_false(is_there(e, "same/f"));
	assert_int_equal(stat_of(e, "twin").st_mode & S_IFMT, S_IFREG);
}

static void remove_takes_trees_away_and_their_names_can_be_used_again(void **state)
{
	both(state, check_removal);
}

static void check_renames(struct editing *e)
{
	OK(e, pleach_tx_rename(e->tx, "a", "d/equal1", &e->error)); /* over a file */
	OK(e, make_dir_at(e, "empty-dir"));
	OK(e, pleach_tx_rename(e->tx, "same", "empty-dir", &e->error)); /* over an empty one */
	OK(e, pleach_tx_rename(e->tx, "d", "moved", &e->error));
	OK(e, pleach_tx_rename(e->tx, "moved/e", "e", &e->error));
	OK(e, put_text(e, "e/in", "it"));
	OK(e, pleach_tx_rename(e->tx, "e/in", "e/out", &e->error));
	OK(e, make_dir_at(e, "d"));
	OK(e, pleach_tx_rename(e->tx, "moved", "d/moved", &e->error));
	OK(e, pleach_tx_rename(e->tx, "link", "d/link", &e->error));
	OK(e, pleach_tx_rename(e->tx, "empty", "empty", &e->error));
	tx_commit(e);
	assert_text(e, "d/moved/equal1", "what");
	assert_text(e, "d/moved/equal2", "equal");
	assert_text(e, "e/out", "it");
	assert_text(e, "empty-dir/f", "the same in all");
	assert_one_inode(e, "empty-dir/f", "empty-dir/g", 1);
	assert_one_inode(e, "e/twin", "twin", 1);
	assert_false(is_there(e, "a") || is_there(e, "same") || is_there(e, "moved"));
	assert_true(S_ISLNK(stat_of(e, "d/link").st_mode));
	assert_true(is_there(e, "empty"));
}

static void rename_moves_files_and_whole_directories(void **state)
{
	both(state, check_renames);
}

static void check_there_and_back(struct editing *e)
{
	OK(e, pleach_tx_rename(e->tx, "d", "x", &e->error));
	OK(e, pleach_tx_rename(e->tx, "x/e", "y", &e->error));
	OK(e, pleach_tx_rename(e->tx, "y", "x/e", &e->error));
	OK(e, pleach_tx_rename(e->tx, "x", "d", &e->error));
	OK(e, pleach_tx_rename(e->tx, "twin", "t", &e->error));
	OK(e, pleach_tx_rename(e->tx, "t", "twin", &e->error));
	OK(e, pleach_tx_link(e->tx, "a", "b", &e->error));
	OK(e, pleach_tx_remove(e->tx, "b", &e->error));
	tx_commit(e);
	assert_true(e->result.unchanged);
	assert_int_equal(e->result.generation, 1);
}

static void what_was_moved_and_moved_back_is_no_change(void **state)
{
	both(state, check_there_and_back);
}

/* ---- hard links ---- */

static void check_links(struct editing *e)
{
	OK(e, pleach_tx_link(e->tx, "a", "d/e/b", &e->error));
	OK(e, pleach_tx_link(e->tx, "d/e/b", "c", &e->error));
	OK(e, pleach_tx_link(e->tx, "twin", "third", &e->error));
	OK(e, pleach_tx_link(e->tx, "link", "link2", &e->error));
	OK(e, pleach_tx_link(e->tx, "empty", "empty2", &e->error));
	OK(e, put_text(e, "n", "new"));
	OK(e, pleach_tx_link(e->tx, "n", "n2", &e->error));
	OK(e, put_text(e, "same/f", "alone"));
	tx_commit(e);
	assert_one_inode(e, "a", "d/e/b", 1);
	assert_one_inode(e, "a", "c", 1);
	assert_one_inode(e, "twin", "third", 1);
	assert_one_inode(e, "d/e/twin", "third", 1);
	assert_one_inode(e, "link", "link2", 1);
	assert_one_inode(e, "empty", "empty2", 1);
	assert_one_inode(e, "n", "n2", 1);
	assert_one_inode(e, "same/f", "same/g", 0);
	assert_text(e, "same/g", "the same in all");
}

static void G8_link_adds_a_name_to_the_inode_and_put_leaves_it(void **state)
{
	both(state, check_links);
}

/* The names of a group are changed as one, wherever they have gone meanwhile. */
static void check_group_metadata(struct editing *e)
{
	struct pleach_metadata mode = with_mode(0600);

	OK(e, pleach_tx_rename(e->tx, "d", "far", &e->error));
	OK(e, make_dir_at(e, "d"));
	OK(e, make_dir_at(e, "d/e"));
	OK(e, put_text(e, "d/e/twin", "another one"));
	OK(e, pleach_tx_set_metadata(e->tx, "twin", &mode, &e->error));
	OK(e, pleach_tx_rename(e->tx, "same", "d/same", &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "d/same/g", &mode, &e->error));
	OK(e, pleach_tx_link(e->tx, "d/same/f", "h", &e->error));
	OK(e, pleach_tx_rename(e->tx, "d/same/f", "h", &e->error)); /* one inode: both stay */
	tx_commit(e);
	assert_int_equal(stat_of(e, "twin").st_mode, S_IFREG | 0600);
	assert_one_inode(e, "twin", "far/e/twin", 1);
	assert_one_inode(e, "twin", "d/e/twin", 0);
	assert_int_equal(stat_of(e, "d/e/twin").st_mode, S_IFREG | 0644);
	assert_one_inode(e, "d/same/f", "d/same/g", 1);
	assert_one_inode(e, "d/same/f", "h", 1);
	assert_int_equal(stat_of(e, "h").st_mode, S_IFREG | 0600);
}

static void G8_metadata_of_a_group_are_changed_for_all_its_names_wherever_they_are(void **state)
{
	both(state, check_group_metadata);
}

static void check_group_parts(struct editing *e)
{
	struct pleach_metadata mode = with_mode(0600);

	OK(e, pleach_tx_remove(e->tx, "d", &e->error)); /* with one name of twin */
	OK(e, pleach_tx_set_metadata(e->tx, "twin", &mode, &e->error));
	OK(e, pleach_tx_rename(e->tx, "same/f", "f", &e->error));
	OK(e, pleach_tx_remove(e->tx, "same", &e->error)); /* with the other name of f */
	tx_commit(e);
	assert_int_equal(stat_of(e, "twin").st_mode, S_IFREG | 0600);
	assert_text(e, "twin", "what");
	assert_text(e, "f", "the same in all");
	assert_false(is_there(e, "same") || is_there(e, "d"));
}

static void G8_names_that_a_removed_directory_had_of_a_group_are_gone_and_others_stay(void **state)
{
	both(state, check_group_parts);
}

/* ---- content from a descriptor ---- */

#define BIG (2u << 20)

static void check_descriptor(struct editing *e)
{
	TEXT *name = text_of("%s/big", e->y->path);
	TEXT *full = text_of("%s/site/big", e->store_path);
	TEXT *data = malloc(BIG), *found = malloc(BIG);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), ends[2];

	for (unsigned i = 0; i < BIG; i++)
		data[i] = (char)(i * 2654435761u >> 24);
	assert_int_equal(write(fd, "skipped", 7), 7);
	assert_int_equal(write(fd, data, BIG), BIG);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	OK(e, pleach_tx_put_fd(e->tx, "big", fd, NULL, &e->error));
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 7 + BIG);
	OK(e, pleach_tx_put_fd(e->tx, "at-end", fd, NULL, &e->error));
	close(fd);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "through a pipe", 14), 14);
	close(ends[1]);
	OK(e, pleach_tx_put_fd(e->tx, "piped", ends[0], NULL, &e->error));
	close(ends[0]);
	fd = open(e->y->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pleach_tx_put_fd(e->tx, "a", fd, NULL, &e->error), -EISDIR);
	close(fd);
	assert_int_equal(pleach_tx_put_fd(e->tx, "a", -1, NULL, &e->error), -EBADF);
	tx_commit(e);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	assert_int_equal(stat_of(e, "big").st_size, BIG);
	assert_int_equal(read(fd, found, BIG), BIG);
	assert_memory_equal(found, data, BIG);
	close(fd);
	assert_text(e, "piped", "through a pipe");
	assert_text(e, "a", "what");
	assert_int_equal(stat_of(e, "at-end").st_size, 0);
}

static void put_fd_takes_what_is_from_where_the_descriptor_stands_to_its_end(void **state)
{
	both(state, check_descriptor);
}

/* ---- metadata ---- */

static void assert_is_now(const struct timespec *before, const struct stat *st)
{
	struct timespec after;

	clock_gettime(CLOCK_REALTIME, &after);
	/* The kernel stamps directories with a clock that lags by a tick. */
	assert_true(st->st_mtim.tv_sec >= before->tv_sec - 1);
	assert_true(st->st_mtim.tv_sec <= after.tv_sec);
}

static void check_defaults(struct editing *e)
{
	mode_t mask = umask(077);
	struct timespec before;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &before);
	OK(e, pleach_tx_put(e->tx, "f", "f", 1, NULL, &e->error));
	OK(e, pleach_tx_put(e->tx, "f0", NULL, 0, NULL, &e->error));
	OK(e, pleach_tx_mkdir(e->tx, "n", NULL, &e->error));
	OK(e, pleach_tx_symlink(e->tx, "s", "t", NULL, &e->error));
	OK(e, pleach_tx_remove(e->tx, "d/equal1", &e->error));
	tx_commit(e);
	(void)umask(mask);
	st = stat_of(e, "f");
	assert_int_equal(st.st_mode, S_IFREG | 0644);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_gid, getegid());
	assert_is_now(&before, &st);
	assert_int_equal(stat_of(e, "f0").st_mode, S_IFREG | 0644);
	st = stat_of(e, "n");
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_is_now(&before, &st);
	st = stat_of(e, "s");
	assert_is_now(&before, &st);
	st = stat_of(e, "d"); /* it lost a name, as any directory */
	assert_is_now(&before, &st);
	st = stat_of(e, "");
	assert_is_now(&before, &st);
}

static void new_things_are_0644_or_0755_of_the_caller_and_of_now(void **state)
{
	both(state, check_defaults);
}

static void check_metadata(struct editing *e)
{
	struct pleach_metadata m = with_mtime(-5), mode = with_mode(04711), dir = with_mode(02750);
	struct stat st;

	m.set |= PLEACH_SET_MODE;
	m.mode = 0400;
	OK(e, pleach_tx_put(e->tx, "old", "old", 3, &m, &e->error));
	OK(e, pleach_tx_mkdir(e->tx, "dir", &dir, &e->error));
	OK(e, pleach_tx_symlink(e->tx, "s", "t", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "a", &mode, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "empty", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "link", &m, &e->error));
	m.mode = 0500;
	OK(e, pleach_tx_set_metadata(e->tx, "d", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "", &dir, &e->error));
	m.set = 0;
	OK(e, pleach_tx_set_metadata(e->tx, "twin", &m, &e->error));
	tx_commit(e);
	st = stat_of(e, "old");
	assert_int_equal(st.st_mode, S_IFREG | 0400);
	assert_int_equal(st.st_mtim.tv_sec, -5);
	assert_int_equal(st.st_mtim.tv_nsec, 5);
	assert_int_equal(stat_of(e, "dir").st_mode, S_IFDIR | 02750);
	st = stat_of(e, "a");
	assert_int_equal(st.st_mode, S_IFREG | 04711);
	assert_int_equal(st.st_mtim.tv_sec, 1700000000); /* stays */
	assert_text(e, "a", "what");
	assert_int_equal(stat_of(e, "empty").st_mode, S_IFREG | 0400);
	assert_int_equal(stat_of(e, "s").st_mtim.tv_sec, -5);
	assert_int_equal(stat_of(e, "link").st_mtim.tv_sec, -5);
	assert_int_equal(stat_of(e, "d").st_mtim.tv_sec, -5);
	assert_int_equal(stat_of(e, "d").st_mode, S_IFDIR | 0500);
	assert_int_equal(stat_of(e, "").st_mode, S_IFDIR | 02750);
}

static void G8_metadata_that_are_said_are_set_and_others_stay(void **state)
{
	both(state, check_metadata);
}

static void check_owner(struct editing *e)
{
	struct pleach_metadata m = PLEACH_METADATA_INIT;

	m.set = PLEACH_SET_OWNER;
	m.uid = 12;
	m.gid = 34;
	if (geteuid() != 0) {
		assert_int_equal(pleach_tx_put(e->tx, "f", "f", 1, &m, &e->error), -EPERM);
		assert_int_equal(pleach_tx_set_metadata(e->tx, "a", &m, &e->error), -EPERM);
		return;
	}
	OK(e, pleach_tx_put(e->tx, "f", "f", 1, &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "a", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "d", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "link", &m, &e->error));
	tx_commit(e);
	assert_int_equal(stat_of(e, "f").st_uid, 12);
	assert_int_equal(stat_of(e, "a").st_gid, 34);
	assert_int_equal(stat_of(e, "d").st_uid, 12);
	assert_int_equal(stat_of(e, "link").st_gid, 34);
}

static void G8_owners_are_set_by_root_and_refused_to_others(void **state)
{
	both(state, check_owner);
}

static bool has_user_xattrs(const char *dir)
{
	int r = setxattr(dir, "user.probe", "x", 1, 0);

	(void)removexattr(dir, "user.probe");
	return r == 0;
}

static void assert_xattr(const struct editing *e, const char *path, const char *name,
			 const char *expected)
{
	TEXT *full = text_of("%s/site/%s", e->store_path, path);
	char value[64] = "";
	ssize_t n = lgetxattr(full, name, value, sizeof(value) - 1);

	if (!expected) {
		assert_int_equal(n, -1);
		return;
	}
	assert_int_equal(n, strlen(expected));
	assert_string_equal(value, expected);
}

static void check_xattrs(struct editing *e)
{
	const struct pleach_xattr list[] = {
		{"user.z", (const unsigned char *)"last", 4},
		{"user.a", (const unsigned char *)"first", 5},
		{"user.none", NULL, 0},
	};
	struct pleach_metadata m = PLEACH_METADATA_INIT, mode = with_mode(0711);

	m.set = PLEACH_SET_XATTRS;
	m.xattrs = list;
	m.n_xattrs = PL_ARRAY_LEN(list);
	OK(e, pleach_tx_put(e->tx, "f", "f", 1, &m, &e->error));
	OK(e, pleach_tx_put(e->tx, "f0", "", 0, &m, &e->error));
	OK(e, pleach_tx_mkdir(e->tx, "n", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "twin", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "d", &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "d", &mode, &e->error));
	OK(e, pleach_tx_put(e->tx, "gone", "f", 1, &m, &e->error));
	m.n_xattrs = 0;
	OK(e, pleach_tx_set_metadata(e->tx, "gone", &m, &e->error));
	m.n_xattrs = 1;
	assert_int_equal(pleach_tx_set_metadata(e->tx, "link", &m, &e->error), -EPERM);
	assert_int_equal(pleach_tx_symlink(e->tx, "s", "t", &m, &e->error), -EPERM);
	tx_commit(e);
	assert_xattr(e, "f", "user.a", "first");
	assert_xattr(e, "f", "user.none", "");
	assert_xattr(e, "f0", "user.z", "last");
	assert_xattr(e, "n", "user.a", "first");
	assert_xattr(e, "d/e/twin", "user.z", "last");
	assert_xattr(e, "d", "user.a", "first");
	assert_int_equal(stat_of(e, "d").st_mode, S_IFDIR | 0711);
	assert_xattr(e, "gone", "user.a", NULL);
	assert_false(is_there(e, "s"));
}

static void G8_xattrs_are_all_that_are_said(void **state)
{
	const struct yard *y = *state;

	if (!has_user_xattrs(y->path))
		skip();
	both(state, check_xattrs);
}

/* ---- rules ---- */

static void check_rule(struct editing *e, const char *rule, mode_t file, mode_t program, mode_t dir)
{
	const struct pleach_xattr list[] = {{"user.x", (const unsigned char *)"x", 1}};
	struct pleach_metadata m = with_mtime(1234), mode = with_mode(0600);

	OK(e, pleach_config_set(e->store, NULL, "metadata", rule, &e->error));
	tx_begin(e);
	m.set |= PLEACH_SET_MODE | PLEACH_SET_XATTRS | PLEACH_SET_OWNER;
	m.mode = 04710;
	m.uid = geteuid();
	m.gid = getegid();
	m.xattrs = list;
	m.n_xattrs = 1;
	OK(e, pleach_tx_put(e->tx, "program", "x", 1, &m, &e->error));
	OK(e, pleach_tx_put(e->tx, "other", "x", 1, &m, &e->error));
	OK(e, pleach_tx_set_metadata(e->tx, "other", &mode, &e->error));
	OK(e, pleach_tx_mkdir(e->tx, "n", &m, &e->error));
	OK(e, pleach_tx_symlink(e->tx, "s", "t", NULL, &e->error));
	OK(e, put_text(e, "n/f", "f"));
	tx_commit(e);
	assert_int_equal(stat_of(e, "program").st_mode, S_IFREG | program);
	assert_int_equal(stat_of(e, "other").st_mode, S_IFREG | file);
	assert_int_equal(stat_of(e, "n").st_mode, S_IFDIR | dir);
	assert_int_equal(stat_of(e, "").st_mode, S_IFDIR | dir);
	assert_int_equal(stat_of(e, "program").st_mtim.tv_sec, 0);
	assert_int_equal(stat_of(e, "n").st_mtim.tv_sec, 0);
	assert_int_equal(stat_of(e, "").st_mtim.tv_sec, 0);
	assert_int_equal(stat_of(e, "s").st_mtim.tv_sec, 0);
	assert_xattr(e, "program", "user.x", NULL);
}

/* Also: the tree is the same, whichever way and whenever it was made. */
static void both_by_rule(void **state, const char *rule, mode_t file, mode_t program, mode_t dir)
{
	const struct yard *y = *state;
	char first[PLEACH_HEX_MAX + 1] = "";

	for (size_t i = 0; i < PL_ARRAY_LEN(editing_ways); i++) {
		struct editing e;

		editing_open(&e, y, editing_ways[i], NULL);
		check_rule(&e, rule, file, program, dir);
		if (i == 0)
			memcpy(first, e.result.tree, sizeof(first));
		assert_string_equal(e.result.tree, first);
		editing_close(&e);
	}
}

static void a_portable_ref_keeps_what_is_executable_and_no_times(void **state)
{
	both_by_rule(state, "portable", 0644, 0755, 0755);
}

static void a_canonical_ref_is_read_only_besides(void **state)
{
	if (geteuid() != 0) /* as in any copy of it he may not write */
		skip();
	both_by_rule(state, "canonical", 0444, 0555, 0555);
}

/* ---- odd names ---- */

static void check_names(struct editing *e)
{
	char name[2] = "", long_name[256], path[600];

	OK(e, make_dir_at(e, "odd"));
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		(void)snprintf(path, sizeof(path), "odd/%s", name);
		if (c != '/' && c != '.')
			OK(e, put_text(e, path, name));
	}
	memset(long_name, 'n', 255);
	long_name[255] = '\0';
	(void)snprintf(path, sizeof(path), "odd/%s", long_name);
	OK(e, make_dir_at(e, path));
	(void)snprintf(path, sizeof(path), "odd/%s/%s", long_name, long_name);
	OK(e, put_text(e, path, "long"));
	OK(e, put_text(e, "odd/...", "dots"));
	OK(e, put_text(e, "odd/.pleach-0123456789abcdef01234567", "like ours"));
	OK(e, put_text(e, "odd/edit", "like ours"));
	OK(e, put_text(e, "odd/\n -", "a line"));
	tx_commit(e);
	assert_text(e, path, "long");
	assert_text(e, "odd/...", "dots");
	assert_text(e, "odd/.pleach-0123456789abcdef01234567", "like ours");
	assert_text(e, "odd/\n -", "a line");
	assert_text(e, "odd/\xff", "\xff");
	assert_text(e, "odd/\x01", "\x01");
	assert_int_equal(e->result.added, 254 - 1 + 7);
}

static void any_name_that_the_kernel_takes_can_be_edited(void **state)
{
	both(state, check_names);
}

/* ---- what is refused ---- */

enum op { PUT, MKDIR, SYMLINK, LINK, REMOVE, RENAME, META };
struct refusal {
	enum op op;
	const char *path, *other;
	int err;
};

static int call(struct editing *e, enum op op, const char *path, const char *other,
		const struct pleach_metadata *m)
{
	struct pleach_metadata mode = with_mode(0600);

	switch (op) {
	case PUT:
		return pleach_tx_put(e->tx, path, "x", 1, m, &e->error);
	case MKDIR:
		return pleach_tx_mkdir(e->tx, path, m, &e->error);
	case SYMLINK:
		return pleach_tx_symlink(e->tx, path, other ? other : "target", m, &e->error);
	case LINK:
		return pleach_tx_link(e->tx, path, other, &e->error);
	case REMOVE:
		return pleach_tx_remove(e->tx, path, &e->error);
	case RENAME:
		return pleach_tx_rename(e->tx, path, other, &e->error);
	case META:
		return pleach_tx_set_metadata(e->tx, path, m ? m : &mode, &e->error);
	}
	abort();
}

static void assert_refused(struct editing *e, const struct refusal *x,
			   const struct pleach_metadata *m)
{
	TEXT *before = state_of(e);
	TEXT *after = NULL;
	int r;

	e->error = (struct pleach_error)PLEACH_ERROR_INIT;
	r = call(e, x->op, x->path, x->other, m);
	if (r != -x->err)
		fail_msg("workspace '%s': call %d of '%s' to '%s' answers %d, not %d: %s", e->way,
			 x->op, x->path, x->other ? x->other : "", r, -x->err, e->error.message);
	assert_int_equal(e->error.err, x->err);
	assert_true(e->error.message[0] != '\0');
	after = state_of(e);
	assert_string_equal(after, before);
}

static void check_refusals(struct editing *e)
{
	static const char long_name[] =
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
	static char long_target[4097];
	static const struct refusal refusals[] = {
		{PUT, "", NULL, EINVAL},
		{PUT, "/a", NULL, EINVAL},
		{PUT, "a/", NULL, EINVAL},
		{PUT, "./a", NULL, EINVAL},
		{PUT, "d/../a", NULL, EINVAL},
		{PUT, "..", NULL, EINVAL},
		{PUT, "d//a", NULL, EINVAL},
		{PUT, long_name, NULL, EINVAL},
		{MKDIR, "", NULL, EINVAL},
		{SYMLINK, "", NULL, EINVAL},
		{REMOVE, "", NULL, EINVAL},
		{RENAME, "", "x", EINVAL},
		{RENAME, "a", "", EINVAL},
		{LINK, "a", "../b", EINVAL},
		{META, "/", NULL, EINVAL},
		{PUT, "d", NULL, EISDIR},
		{PUT, "a/x", NULL, ENOTDIR},
		{PUT, "a/x/y", NULL, ENOTDIR},
		{PUT, "nope/x", NULL, ENOENT},
		{PUT, "nope/x/y", NULL, ENOENT},
		{PUT, "link/x", NULL, ENOTDIR},
		{MKDIR, "a", NULL, EEXIST},
		{MKDIR, "d", NULL, EEXIST},
		{MKDIR, "link", NULL, EEXIST},
		{MKDIR, "nope/x", NULL, ENOENT},
		{MKDIR, "a/x", NULL, ENOTDIR},
		{SYMLINK, "d", NULL, EISDIR},
		{SYMLINK, "nope/x", NULL, ENOENT},
		{SYMLINK, "x", "", ENOENT},
		{SYMLINK, "x", long_target, ENAMETOOLONG},
		{LINK, "nope", "x", ENOENT},
		{LINK, "nope", "a", ENOENT},
		{LINK, "d", "x", EPERM},
		{LINK, "d", "a", EEXIST},
		{LINK, "a", "empty", EEXIST},
		{LINK, "a", "a", EEXIST},
		{LINK, "twin", "d/e/twin", EEXIST},
		{LINK, "a", "nope/x", ENOENT},
		{LINK, "a", "a/x", ENOTDIR},
		{REMOVE, "nope", NULL, ENOENT},
		{REMOVE, "d/nope", NULL, ENOENT},
		{REMOVE, "a/x", NULL, ENOTDIR},
		{REMOVE, "link/twin", NULL, ENOTDIR},
		{RENAME, "nope", "x", ENOENT},
		{RENAME, "nope", "nope", ENOENT},
		{RENAME, "nope", "a", ENOENT},
		{RENAME, "a", "nope/x", ENOENT},
		{RENAME, "a", "empty/x", ENOTDIR},
		{RENAME, "d", "d/x", EINVAL},
		{RENAME, "d", "d/e/x", EINVAL},
		{RENAME, "d", "d/e", EINVAL},
		{RENAME, "d/e", "d", ENOTEMPTY},
		{RENAME, "d/equal1", "d", ENOTEMPTY},
		{RENAME, "a", "d", EISDIR},
		{RENAME, "d", "a", ENOTDIR},
		{RENAME, "d", "link", ENOTDIR},
		{RENAME, "d", "same", ENOTEMPTY},
		{META, "nope", NULL, ENOENT},
		{META, "nope/x", NULL, ENOENT},
		{META, "a/x", NULL, ENOTDIR},
	};

	memset(long_target, 't', sizeof(long_target) - 1);
	assert_int_equal(strlen(long_name), 256);
	for (size_t i = 0; i < PL_ARRAY_LEN(refusals); i++)
		assert_refused(e, &refusals[i], NULL);
	assert_int_equal(pleach_tx_remove(e->tx, "nope", &e->error), -ENOENT);
	assert_int_equal(e->error.code, PLEACH_NOT_FOUND);
	assert_int_equal(pleach_tx_remove(e->tx, "..", &e->error), -EINVAL);
	assert_int_equal(e->error.code, PLEACH_USAGE);
	tx_commit(e);
	assert_true(e->result.unchanged);
}

static void what_is_refused_says_why_and_changes_nothing(void **state)
{
	both(state, check_refusals);
}

static void check_refused_metadata(struct editing *e)
{
	static unsigned char large[65537];
	static const struct pleach_xattr strange = {"strange", large, 1},
					 local = {"security.selinux", large, 1},
					 too_large = {"user.large", large, sizeof(large)},
					 nameless = {NULL, large, 1},
					 twice[] = {{"user.x", large, 1}, {"user.x", large, 2}};
	const struct {
		struct pleach_metadata m;
		int err;
	} cases[] = {
		{{.set = PLEACH_SET_MODE, .mode = 010000}, EINVAL},
		{{.set = PLEACH_SET_MTIME, .mtime_ns = 1000000000}, EINVAL},
		{{.set = PLEACH_SET_OWNER, .uid = UINT32_MAX, .gid = 0}, EINVAL},
		{{.set = PLEACH_SET_OWNER, .uid = 0, .gid = UINT32_MAX}, EINVAL},
		{{.set = 1u << 30}, EINVAL},
		{{.set = PLEACH_SET_XATTRS, .xattrs = &strange, .n_xattrs = 1}, EINVAL},
		{{.set = PLEACH_SET_XATTRS, .xattrs = &local, .n_xattrs = 1}, EINVAL},
		{{.set = PLEACH_SET_XATTRS, .xattrs = &too_large, .n_xattrs = 1}, E2BIG},
		{{.set = PLEACH_SET_XATTRS, .xattrs = &nameless, .n_xattrs = 1}, EINVAL},
		{{.set = PLEACH_SET_XATTRS, .xattrs = twice, .n_xattrs = 2}, EINVAL},
		{{.set = PLEACH_SET_XATTRS, .xattrs = NULL, .n_xattrs = 1}, EINVAL},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(cases); i++) {
		struct pleach_metadata m = cases[i].m;

		m.size = sizeof(m);
		assert_refused(e, &(struct refusal){PUT, "new", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){PUT, "a", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){MKDIR, "n", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){SYMLINK, "s", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){META, "a", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){META, "twin", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){META, "d", NULL, cases[i].err}, &m);
		assert_refused(e, &(struct refusal){META, "", NULL, cases[i].err}, &m);
	}
	tx_commit(e);
	assert_true(e->result.unchanged);
}

static void metadata_that_cannot_be_are_refused_and_change_nothing(void **state)
{
	both(state, check_refused_metadata);
}

/* A system call that fails in the middle: the edit is not done, and can be made again. */
static void check_failing_calls(struct editing *e)
{
	static const struct refusal edits[] = {
		{PUT, "a", NULL, 0},	   {PUT, "new", NULL, 0},   {MKDIR, "n", NULL, 0},
		{SYMLINK, "a", NULL, 0},   {LINK, "a", "b", 0},	    {RENAME, "a", "c", 0},
		{RENAME, "d", "moved", 0}, {META, "twin", NULL, 0}, {META, "same", NULL, 0},
		{REMOVE, "same", NULL, 0},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(edits); i++) {
		int r = -1;

		for (uint64_t k = 1; r < 0; k++) {
			const struct pl_seam_plan plan = {.fail_at = k, .fail_errno = ENOSPC};
			TEXT *before = state_of(e);
			TEXT *after = NULL;

			assert_true(k < 60);
			e->error = (struct pleach_error)PLEACH_ERROR_INIT;
			pl_seam_arm(&plan);
			r = call(e, edits[i].op, edits[i].path, edits[i].other, NULL);
			pl_seam_arm(NULL);
			if (r >= 0)
				break;
			assert_int_equal(r, -ENOSPC);
			assert_int_equal(e->error.code, PLEACH_NO_SPACE);
			after = state_of(e);
			assert_string_equal(after, before);
		}
	}
	tx_commit(e);
}

static void after_a_call_that_failed_in_the_middle_nothing_has_changed(void **state)
{
	both(state, check_failing_calls);
}

/* ---- who may edit ---- */

static void a_transaction_that_has_ended_takes_no_edits(void **state)
{
	const struct yard *y = *state;
	struct editing e;

	editing_open(&e, y, "none", NULL);
	tx_begin(&e);
	OK(&e, put_text(&e, "a", "a"));
	OK(&e, pleach_tx_commit(e.tx, NULL, NULL, &e.error));
	assert_int_equal(put_text(&e, "b", "b"), -EINVAL);
	OK(&e, pleach_tx_close(e.tx, &e.error));
	e.tx = NULL;
	tx_begin(&e);
	OK(&e, put_text(&e, "b", "b"));
	OK(&e, pleach_tx_abort(e.tx, &e.error));
	assert_int_equal(put_text(&e, "b", "b"), -EINVAL);
	editing_close(&e);
}

static void what_was_not_committed_leaves_nothing(void **state)
{
	const struct yard *y = *state;

	for (size_t i = 0; i < PL_ARRAY_LEN(editing_ways); i++) {
		struct pleach_revision revision = PLEACH_REVISION_INIT;
		struct editing e;

		editing_open(&e, y, editing_ways[i], NULL);
		tx_begin(&e);
		OK(&e, put_text(&e, "a", "a"));
		OK(&e, make_dir_at(&e, "d"));
		OK(&e, pleach_tx_close(e.tx, &e.error));
		e.tx = NULL;
		assert_int_equal(pleach_resolve(e.store, "site", &revision, &e.error), -ENOENT);
		assert_false(is_there(&e, ""));
		editing_close(&e);
	}
}

static void a_workspace_that_programs_alone_see_takes_no_edits(void **state)
{
	const struct yard *y = *state;
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	struct editing e;
	int r;

	editing_open(&e, y, "overlay", NULL);
	options.create = 1;
	options.workspace = "overlay";
	r = pleach_tx_begin(e.store, "site", &options, &e.tx, &e.error);
	if (r == -EOPNOTSUPP) {
		e.tx = NULL;
		editing_close(&e);
		skip();
	}
	OK(&e, r);
	assert_int_equal(put_text(&e, "a", "a"), -EOPNOTSUPP);
	assert_true(e.error.hint[0] != '\0');
	editing_close(&e);
}

/* Nothing of ours is in the directory that the user sees, nor beside it. */
static void a_checkout_is_edited_in_place(void **state)
{
	const struct yard *y = *state;
	struct pleach_tx_options options = PLEACH_TX_OPTIONS_INIT;
	TEXT *outside = text_of("%s/outside", y->path);
	TEXT *checkout = text_of("%s/outside/work", y->path);
	TEXT *seen = NULL;
	struct dirent **entries;
	struct editing e;
	int n;

	editing_open(&e, y, "copy", NULL);
	assert_int_equal(mkdir(outside, 0755), 0);
	options.create = 1;
	options.checkout = checkout;
	OK(&e, pleach_tx_begin(e.store, "site", &options, &e.tx, &e.error));
	OK(&e, put_text(&e, "a", "a"));
	OK(&e, make_dir_at(&e, "d"));
	OK(&e, put_text(&e, "d/b", "b"));
	OK(&e, pleach_tx_symlink(e.tx, "s", "t", NULL, &e.error));
	OK(&e, make_dir_at(&e, "gone"));
	OK(&e, put_text(&e, "gone/b", "b"));
	OK(&e, pleach_tx_remove(e.tx, "gone", &e.error));
	n = scandir(outside, &entries, NULL, alphasort);
	assert_int_equal(n, 3); /* with . and .. */
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	seen = shape(pleach_tx_path(e.tx));
	assert_null(strstr(seen, "pleach"));
	OK(&e, pleach_tx_commit(e.tx, NULL, &e.result, &e.error));
	assert_text(&e, "d/b", "b");
	editing_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(put_makes_files_and_replaces_what_is_no_directory),
		yard_test(symlink_makes_symlinks_and_replaces_what_is_no_directory),
		yard_test(mkdir_makes_directories),
		yard_test(remove_takes_trees_away_and_their_names_can_be_used_again),
		yard_test(rename_moves_files_and_whole_directories),
		yard_test(what_was_moved_and_moved_back_is_no_change),
		yard_test(G8_link_adds_a_name_to_the_inode_and_put_leaves_it),
		yard_test(G8_metadata_of_a_group_are_changed_for_all_its_names_wherever_they_are),
		yard_test(
			G8_names_that_a_removed_directory_had_of_a_group_are_gone_and_others_stay),
		yard_test(put_fd_takes_what_is_from_where_the_descriptor_stands_to_its_end),
		yard_test(new_things_are_0644_or_0755_of_the_caller_and_of_now),
		yard_test(G8_metadata_that_are_said_are_set_and_others_stay),
		yard_test(G8_owners_are_set_by_root_and_refused_to_others),
		yard_disk_test(G8_xattrs_are_all_that_are_said),
		yard_test(a_portable_ref_keeps_what_is_executable_and_no_times),
		yard_test(a_canonical_ref_is_read_only_besides),
		yard_test(any_name_that_the_kernel_takes_can_be_edited),
		yard_test(what_is_refused_says_why_and_changes_nothing),
		yard_test(metadata_that_cannot_be_are_refused_and_change_nothing),
		yard_test(after_a_call_that_failed_in_the_middle_nothing_has_changed),
		yard_test(a_transaction_that_has_ended_takes_no_edits),
		yard_test(what_was_not_committed_leaves_nothing),
		yard_test(a_workspace_that_programs_alone_see_takes_no_edits),
		yard_test(a_checkout_is_edited_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
