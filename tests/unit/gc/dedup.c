/* Equal files share their storage: which, and what else stays as it was (D1, D2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/dedup.h"
#include "gc/dedups.h"
#include "sys/images.h"

/* ---- which files ---- */

static void equal_files_become_links_of_one(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(count_inodes(s), TREE_INODES + 1);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_true(same_file(s, "t/a/one", "t/b/one") && same_file(s, "t/a/one", "t/b/c/one"));
	assert_true(same_file(s, "t/a/two", "t/b/two"));
	assert_false(same_file(s, "t/b/like", "t/b/one"));
	assert_false(same_file(s, "t/a/empty", "t/b/empty"));
	assert_true(tree_is_whole(s));
	assert_int_equal(c.result.linked, 3);
	assert_int_equal(c.result.files, 7);
	assert_int_equal(c.result.bytes_saved, 2 * 6 + 11);
	assert_int_equal(c.result.left_alone + c.result.failed, 0);
	assert_int_equal(count_unfinished(s), 0);
}

static void a_second_time_there_is_nothing_to_do(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(dedup_tree(s), 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(pl_seam_count(), 0);
	assert_int_equal(c.result.linked, 0);
	assert_int_equal(c.result.bytes_saved, 0);
}

static void a_dry_run_says_the_same_and_changes_nothing(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	c.options.dry_run = 1;
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(pl_seam_count(), 0);
	assert_int_equal(c.result.linked, 3);
	assert_int_equal(c.result.bytes_saved, 2 * 6 + 11);
	assert_int_equal(count_inodes(s), TREE_INODES + 1);
}

static void what_a_link_would_merge_must_be_equal(void **state)
{
	struct scratch *s = *state;
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1600000000, .tv_nsec = 1}};
	struct dedup_call c = dedup_begin("link");
	bool has_xattrs;

	assert_int_equal(make_dir(s, "t", 0755), 0);
	for (int i = 0; i < 6; i++) {
		char name[] = "t/0";

		name[2] = (char)('0' + i);
		assert_int_equal(put(s, name, "equal"), 0);
	}
	assert_int_equal(fchmodat(s->fd, "t/1", 0600, 0), 0);
	assert_int_equal(utimensat(s->fd, "t/2", times, 0), 0);
	has_xattrs = setxattr(scratch_path(s, "t/3"), "user.x", "1", 1, 0) == 0;
	if (geteuid() == 0)
		assert_int_equal(fchownat(s->fd, "t/4", 1, 1, 0), 0);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_true(same_file(s, "t/0", "t/5"));
	assert_false(same_file(s, "t/0", "t/1") || same_file(s, "t/0", "t/2"));
	assert_int_equal(same_file(s, "t/0", "t/3"), !has_xattrs);
	assert_int_equal(same_file(s, "t/0", "t/4"), geteuid() != 0);

	c = dedup_begin("link");
	c.options.match = "content,mode,mtime";
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_true(same_file(s, "t/0", "t/3") && same_file(s, "t/0", "t/4"));
	assert_false(same_file(s, "t/0", "t/1") || same_file(s, "t/0", "t/2"));
	c = dedup_begin("link");
	c.options.match = "content";
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(number_of(s, "find t -type f -links 6 | wc -l"), 6);
	c.options.match = "content,colour";
	assert_int_equal(dedup_at(s, &c, "t"), -EINVAL);
	assert_int_equal(c.error.code, PLEACH_USAGE);
	c = dedup_begin("copy");
	assert_int_equal(dedup_at(s, &c, "t"), -EINVAL);
}

static void names_that_are_linked_already_go_together(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_dir(s, "t", 0755), 0);
	assert_int_equal(put(s, "t/a", "equal"), 0);
	assert_int_equal(put(s, "t/x", "equal"), 0);
	assert_int_equal(linkat(s->fd, "t/x", s->fd, "t/y", 0), 0);
	assert_int_equal(linkat(s->fd, "t/x", s->fd, "t/z", 0), 0);
	assert_int_equal(put(s, "t/u", "equal"), 0);
	assert_int_equal(linkat(s->fd, "t/u", s->fd, "outside", 0), 0);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	/* a and u to the one that has most; u stays outside, so nothing is saved by it */
	assert_int_equal(number_of(s, "find t -type f -links 5 | wc -l"), 5);
	assert_int_equal(c.result.linked, 2);
	assert_int_equal(c.result.bytes_saved, 5);
	assert_int_equal(number_of(s, "stat -c %h outside"), 1);
}

/* ---- how much is read ---- */

static void no_more_is_read_than_tells_files_apart(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_dir(s, "t", 0755), 0);
	assert_int_equal(put_sized(s, "t/1", 'a', 1000), 0);
	assert_int_equal(put_sized(s, "t/2", 'a', 1001), 0);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(c.result.bytes_read, 0);
	/* three of a size, each other from the beginning on */
	assert_int_equal(put_sized(s, "t/x", 'x', 1 << 20), 0);
	assert_int_equal(put_sized(s, "t/y", 'y', 1 << 20), 0);
	assert_int_equal(put_sized(s, "t/z", 'z', 1 << 20), 0);
	c = dedup_begin("link");
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_true(c.result.bytes_read > 0 && c.result.bytes_read < 1 << 20);
	assert_int_equal(c.result.linked, 0);
	/* and a fourth that is like one of them */
	assert_int_equal(put_sized(s, "t/w", 'y', 1 << 20), 0);
	c = dedup_begin("link");
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(c.result.linked, 1);
	assert_true(same_file(s, "t/w", "t/y"));
	assert_true(c.result.bytes_read < 3 << 20);
}

static void many_of_a_size_are_told_apart(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");
	char name[32];

	assert_int_equal(make_dir(s, "t", 0755), 0);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		assert_int_equal(put_sized(s, name, (char)('a' + i % 7), 70000 + (i % 2)), 0);
	}
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(count_inodes(s), 14);
	assert_int_equal(c.result.linked, 300 - 14);
	assert_int_equal(count_unfinished(s), 0);
}

/* ---- what stays ---- */

static void directories_keep_their_times_and_modes(void **state)
{
	static const char command[] =
		"find t -type d -printf '%p %T@ %m\\n' | sort | cksum | cut -d' ' -f1";
	struct scratch *s = *state;
	long before;

	assert_int_equal(make_tree(s), 0);
	before = number_of(s, command);
	assert_int_equal(dedup_tree(s), 0);
	assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
	assert_int_equal(number_of(s, command), before);
}

static int in_a_read_only_directory(struct scratch *s)
{
	struct dedup_call c = dedup_begin("link");

	CHECK(make_tree(s) == 0);
	CHECK(fchmodat(s->fd, "t/b", 0555, 0) == 0);
	CHECK(dedup_at(s, &c, "t") == PLEACH_PARTIAL);
	CHECK(tree_is_whole(s));
	CHECK(c.findings == c.result.failed && c.findings > 0);
	CHECK(strstr(c.finding, "t/b/") && strstr(c.finding, "Permission denied"));
	CHECK(mode_of(s->fd, "t/b") == 0555);
	CHECK(count_unfinished(s) == 0);
	CHECK(fchmodat(s->fd, "t/b", 0755, 0) == 0);
	return 0;
}

static void a_directory_that_may_not_be_written_is_told_and_stays(void **state)
{
	assert_int_equal(in_child_as_user(in_a_read_only_directory, *state), 0);
}

static int with_an_unreadable_one(struct scratch *s)
{
	struct dedup_call c = dedup_begin("link");

	CHECK(make_tree(s) == 0);
	CHECK(fchmodat(s->fd, "t/b/two", 0000, 0) == 0 && fchmodat(s->fd, "t/a/two", 0, 0) == 0);
	CHECK(fchmodat(s->fd, "t/a/alone", 0000, 0) == 0); /* nobody needs to read it */
	CHECK(dedup_at(s, &c, "t") == PLEACH_PARTIAL);
	CHECK(c.findings == 2 && strstr(c.finding, "/two: cannot open it: Permission denied"));
	CHECK(same_file(s, "t/a/one", "t/b/one"));
	return 0;
}

static void what_cannot_be_read_is_told_and_the_rest_goes_on(void **state)
{
	assert_int_equal(in_child_as_user(with_an_unreadable_one, *state), 0);
}

static void symlinks_are_not_followed_and_special_files_not_opened(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(make_dir(s, "other", 0755), 0);
	assert_int_equal(put(s, "other/one", "first\n"), 0);
	assert_int_equal(symlinkat("../other", s->fd, "t/way"), 0);
	assert_int_equal(mkfifoat(s->fd, "t/fifo", 0600), 0);
	assert_int_equal(dedup_tree(s), 0);
	assert_false(same_file(s, "t/a/one", "other/one"));
	assert_int_equal(number_of(s, "stat -c %h other/one"), 1);
}

/* ---- several PATHs ---- */

static void paths_are_one_set_and_may_lie_in_each_other(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(dedup_paths(&c, (const char *const[]){scratch_path(s, "t/a"),
							       scratch_path(s, "t/b"), NULL}),
			 0);
	assert_int_equal(c.result.linked, 3);
	assert_true(same_file(s, "t/a/two", "t/b/two"));
	c = dedup_begin("link");
	assert_int_equal(dedup_paths(&c, (const char *const[]){scratch_path(s, "t/b"),
							       scratch_path(s, "t"),
							       scratch_path(s, "t"), NULL}),
			 0);
	assert_int_equal(c.result.files, 7);
	assert_true(tree_is_whole(s));
}

static void a_path_must_be_a_directory_that_is_there(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(dedup_at(s, &c, "t/a/one"), -ENOTDIR);
	assert_int_equal(dedup_at(s, &c, "nothing"), -ENOENT);
	assert_int_equal(c.error.code, PLEACH_FAILED);
	assert_non_null(strstr(c.error.message, "nothing"));
	assert_int_equal(count_inodes(s), TREE_INODES + 1);
}

static int below_a_mount(struct scratch *s)
{
	struct dedup_call c = dedup_begin("link");

	if (private_mounts(s) < 0 || make_tree(s) < 0 ||
	    mount_image(s, "tmpfs", "t/b/m", NULL) != 0)
		return NOT_TO_BE_HAD;
	CHECK(put(s, "t/b/m/1", "mounted") == 0 && put(s, "t/b/m/2", "mounted") == 0);
	CHECK(dedup_at(s, &c, "t") == 0);
	CHECK(c.result.files == 7 && c.result.linked == 3);
	CHECK(!same_file(s, "t/b/m/1", "t/b/m/2"));
	CHECK(dedup_at(s, &c, "t/b/m") == 0);
	CHECK(same_file(s, "t/b/m/1", "t/b/m/2"));
	return 0;
}

static void another_file_system_is_not_entered(void **state)
{
	int r = pl_may_mount() == 1 ? in_child(below_a_mount, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("nothing can be mounted here");
	assert_int_equal(r, 0);
}

/* ---- stores ---- */

static void names_within_a_store_are_never_linked_G4(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");
	STORE *store = NULL;

	assert_int_equal(make_tree(s), 0);
	store = open_store(s, "t/store");
	assert_non_null(store);
	assert_int_equal(put(s, "t/store/.pleach/trees/1", "equal"), 0);
	assert_int_equal(put(s, "t/store/.pleach/trees/2", "equal"), 0);
	assert_int_equal(put(s, "t/store/1", "equal"), 0);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(c.result.files, 8);
	assert_false(same_file(s, "t/store/.pleach/trees/1", "t/store/.pleach/trees/2"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dedup_at(s, &c, i ? "t/store/.pleach/trees" : "t/store/.pleach"),
				 -EINVAL);
		assert_int_equal(c.error.code, PLEACH_USAGE);
		assert_non_null(strstr(c.error.hint, "reflink"));
	}
	assert_false(same_file(s, "t/store/.pleach/trees/1", "t/store/.pleach/trees/2"));
}

/* ---- blocks ---- */

static int by_blocks(struct scratch *s, const char *kind)
{
	struct dedup_call c = dedup_begin(NULL);
	struct stat before, after;

	if (private_mounts(s) < 0 || mount_image(s, kind, "t", NULL) != 0)
		return NOT_TO_BE_HAD;
	CHECK(put_sized(s, "t/1", 'x', 300001) == 0 && put_sized(s, "t/2", 'x', 300001) == 0);
	CHECK(put_sized(s, "t/3", 'y', 300001) == 0);
	CHECK(fchmodat(s->fd, "t/2", 0600, 0) == 0);
	CHECK(fstatat(s->fd, "t/2", &before, 0) == 0);
	c.options.dry_run = 1;
	CHECK(dedup_at(s, &c, "t") == 0 && c.result.reflinked == 1);
	c = dedup_begin(NULL);
	CHECK(dedup_at(s, &c, "t") == 0);
	CHECK(c.result.reflinked == 1 && c.result.linked == 0 && c.result.bytes_saved == 300001);
	CHECK(fstatat(s->fd, "t/2", &after, 0) == 0);
	CHECK(after.st_ino == before.st_ino && after.st_mode == before.st_mode &&
	      after.st_mtim.tv_sec == before.st_mtim.tv_sec);
	CHECK(number_of(s, "cmp t/1 t/2 && echo 1") == 1);
	c = dedup_begin("reflink");
	CHECK(dedup_at(s, &c, "t") == 0 && c.result.reflinked == 0 && c.result.bytes_saved == 0);
	c = dedup_begin("link");
	c.options.match = "content";
	CHECK(dedup_at(s, &c, "t") == 0 && c.result.linked == 1);
	CHECK(same_file(s, "t/1", "t/2"));
	return 0;
}

static int by_blocks_on_xfs(struct scratch *s)
{
	return by_blocks(s, "xfs");
}

static int by_blocks_on_btrfs(struct scratch *s)
{
	return by_blocks(s, "btrfs");
}

static void blocks_are_shared_where_the_file_system_can(void **state)
{
	bool may = pl_may_mount() == 1;
	int xfs = may ? in_child(by_blocks_on_xfs, *state) : NOT_TO_BE_HAD;
	int btrfs;

	(void)number_of(*state, "rm -rf t t.img; echo 0");
	btrfs = may ? in_child(by_blocks_on_btrfs, *state) : NOT_TO_BE_HAD;
	if (xfs == NOT_TO_BE_HAD || btrfs == NOT_TO_BE_HAD)
		SKIP("neither xfs nor btrfs can be made and mounted here, or not both");
	assert_int_equal(xfs, 0);
	assert_int_equal(btrfs, 0);
}

static int in_a_store_by_blocks(struct scratch *s)
{
	struct dedup_call c = dedup_begin(NULL);
	STORE *store = NULL;

	if (private_mounts(s) < 0 || mount_image(s, "btrfs", "t", NULL) != 0)
		return NOT_TO_BE_HAD;
	pl_seam_disable(PL_CAP_SUBVOLUME);
	store = open_store(s, "t");
	CHECK(store);
	CHECK(put_sized(s, "t/.pleach/trees/1", 'x', 100000) == 0);
	CHECK(put_sized(s, "t/.pleach/trees/2", 'x', 100000) == 0);
	CHECK(dedup_at(s, &c, "t/.pleach/trees") == 0 && c.result.reflinked == 1);
	CHECK(!same_file(s, "t/.pleach/trees/1", "t/.pleach/trees/2"));
	CHECK(put_sized(s, "t/3", 'x', 100000) == 0);
	c = dedup_begin(NULL);
	CHECK(dedup_at(s, &c, "t") == 0 && c.result.reflinked == 1);
	return 0;
}

static void a_store_shares_blocks_G4(void **state)
{
	int r = pl_may_mount() == 1 ? in_child(in_a_store_by_blocks, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("a btrfs cannot be made and mounted here");
	assert_int_equal(r, 0);
}

static void reflinks_are_refused_where_there_are_none(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("reflink");

	assert_int_equal(make_tree(s), 0);
	pl_seam_disable(PL_CAP_REFLINK);
	assert_int_equal(dedup_at(s, &c, "t"), -EOPNOTSUPP);
	assert_string_equal(c.error.hint, "use --how=link");
	c = dedup_begin(NULL);
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(c.result.linked, 3);
}

/* ---- an index ---- */

static void names_of_nix_are_the_archive_s_hash_in_base32(void **state)
{
	struct pl_id id;
	char name[DEDUP_INDEX_NAME];

	(void)state;
	/* nix-hash --type sha256 --to-base32 of these digits */
	assert_int_equal(
		pl_id_parse("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			    &id),
		0);
	dedup_index_name(PL_DEDUP_NIX, &id, name);
	assert_string_equal(name, "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
}

static void an_index_finds_what_another_call_has_seen(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin(NULL);

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(dedup_tree_with_index(s), 0);
	assert_int_equal(number_of(s, "find index -type f | wc -l"), 4);
	assert_int_equal(number_of(s, "cd index && for f in ??/*; do sha256sum <$f; done | "
				      "cut -c1-64 | sort >../1; ls -d ??/* | tr -d / | sort | "
				      "cmp - ../1 && echo 1"),
			 1);
	assert_int_equal(make_dir(s, "u", 0755), 0);
	assert_int_equal(put(s, "u/alone", "there is nothing of this size\n"), 0);
	assert_int_equal(put(s, "u/one", "first\n"), 0);
	assert_int_equal(put(s, "u/new", "something else\n"), 0);
	assert_int_equal(fchmodat(s->fd, "u/one", 0600, 0), 0);
	c.options.index = scratch_path(s, "index");
	assert_int_equal(dedup_at(s, &c, "u"), 0);
	assert_true(same_file(s, "u/alone", "t/a/alone"));
	assert_false(same_file(s, "u/one", "t/a/one")); /* another mode */
	assert_int_equal(c.result.linked, 1);
	assert_int_equal(c.result.indexed, 1);
	c = dedup_begin(NULL);
	c.options.index = scratch_path(s, "index");
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	assert_int_equal(c.result.bytes_read + c.result.linked + c.result.indexed, 0);
}

static void an_entry_that_is_other_than_its_name_is_told_and_left(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin(NULL);

	assert_int_equal(make_tree(s), 0);
	assert_int_equal(dedup_tree_with_index(s), 0);
	/* The content of `one` changes in place, by all its names. */
	assert_int_equal(
		number_of(s, "printf 'FIRST\\n' >t/a/one; touch -d @1600000000 t/a/one; echo 1"),
		1);
	assert_int_equal(make_dir(s, "u", 0755), 0);
	assert_int_equal(put(s, "u/one", "first\n"), 0);
	assert_int_equal(put(s, "u/two", "first\n"), 0);
	c.options.index = scratch_path(s, "index");
	assert_int_equal(dedup_at(s, &c, "u"), PLEACH_PARTIAL);
	assert_true(strstr(c.finding, "index/") && strstr(c.finding, "is not what its name says"));
	assert_string_equal(content_of(s, "u/one"), "first\n");
	assert_true(same_file(s, "u/one", "u/two"));
	assert_string_equal(content_of(s, "t/a/one"), "FIRST\n");
}

static void an_index_is_for_links_outside_of_stores(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("reflink");
	STORE *store = open_store(s, "store");

	assert_non_null(store);
	assert_int_equal(make_tree(s), 0);
	c.options.index = scratch_path(s, "t");
	assert_int_equal(dedup_at(s, &c, "t"), -EINVAL);
	c = dedup_begin("link");
	c.options.layout = "nix";
	assert_int_equal(dedup_at(s, &c, "t"), -EINVAL);
	c.options.index = scratch_path(s, "store/.pleach/objects");
	assert_int_equal(dedup_at(s, &c, "t"), -EINVAL);
	c.options.index = scratch_path(s, "nothing");
	assert_int_equal(dedup_at(s, &c, "t"), -ENOENT);
	assert_int_equal(count_inodes(s), TREE_INODES + 1);
}

/* ---- ends ---- */

static void it_can_be_cancelled(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");
	volatile int cancel = 1;

	assert_int_equal(make_tree(s), 0);
	c.options.cancel = &cancel;
	assert_int_equal(dedup_at(s, &c, "t"), -EINTR);
	assert_int_equal(c.error.code, PLEACH_INTERRUPTED);
	assert_true(tree_is_whole(s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_files_become_links_of_one),
		TEST(a_second_time_there_is_nothing_to_do),
		TEST(a_dry_run_says_the_same_and_changes_nothing),
		TEST(what_a_link_would_merge_must_be_equal),
		TEST(names_that_are_linked_already_go_together),
		TEST(no_more_is_read_than_tells_files_apart),
		TEST(many_of_a_size_are_told_apart),
		TEST(directories_keep_their_times_and_modes),
		TEST(a_directory_that_may_not_be_written_is_told_and_stays),
		TEST(what_cannot_be_read_is_told_and_the_rest_goes_on),
		TEST(symlinks_are_not_followed_and_special_files_not_opened),
		TEST(paths_are_one_set_and_may_lie_in_each_other),
		TEST(a_path_must_be_a_directory_that_is_there),
		TEST(another_file_system_is_not_entered),
		TEST(names_within_a_store_are_never_linked_G4),
		TEST(blocks_are_shared_where_the_file_system_can),
		TEST(a_store_shares_blocks_G4),
		TEST(reflinks_are_refused_where_there_are_none),
		TEST(names_of_nix_are_the_archive_s_hash_in_base32),
		TEST(an_index_finds_what_another_call_has_seen),
		TEST(an_entry_that_is_other_than_its_name_is_told_and_left),
		TEST(an_index_is_for_links_outside_of_stores),
		TEST(it_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
