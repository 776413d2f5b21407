/*
 * A repair makes whole what can be made whole, from what verifies and from nothing else; sets aside what
 * is damaged; and says of the rest whom it hurts, and why it is so still.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/repairs.h"

/* Two generations of `site` and one of `other`; sources a, b, c beside. */
static char *make_with(const struct yard *y, const char *const *settings)
{
	char *path = text_of("%s/S", y->path);
	struct outcome o;

	make_store(path, settings);
	for (const char *name = "abc"; *name; name++) {
		TEXT *what = text_of("%c", *name);
		TEXT *source = text_of("%s/%c", y->path, *name);

		make_source(source, what, 0);
		o = publish_at(path, *name == 'c' ? "other" : "site", source);
		must(&o, "publish");
	}
	return path;
}

static char *make(const struct yard *y)
{
	return make_with(y, NULL);
}

static void assert_mends(struct answer *a, const char *const *parts)
{
	if (a->r != 0)
		fail_msg("answers %d (%s): %s", a->r, a->error.message, a->text);
	for (; *parts; parts++)
		if (!strstr(a->text, *parts))
			fail_msg("'%s' is not in: %s", *parts, a->text);
	assert_true(a->counts.mended > 0);
}
#define assert_mended(a, ...) assert_mends(a, (const char *const[]){__VA_ARGS__, NULL})

static void assert_sound(const char *store)
{
	TEXT *trouble = trouble_by_check(store, 0);

	if (trouble)
		fail_msg("%s", trouble);
}

static void assert_left(struct answer *a, const char *const *parts)
{
	if (a->r != -EBADMSG)
		fail_msg("answers %d (%s): %s", a->r, a->error.message, a->text);
	for (; *parts; parts++)
		if (!strstr(a->text, *parts))
			fail_msg("'%s' is not in: %s", *parts, a->text);
}
#define assert_not_mended(a, ...) assert_left(a, (const char *const[]){__VA_ARGS__, NULL})

static char *shown_by(const char *store, const char *ref)
{
	TEXT *path = text_of("%s/%s", store, ref);

	return fingerprint(path);
}

static unsigned count_aside(const char *store, const char *begin)
{
	TEXT *path = inner(store, "damaged");

	return count_content(path, begin);
}

/* ---- objects ---- */

static void a_sound_store_is_left_alone(void **state)
{
	TEXT *store = make(*state);
	TEXT *aside = inner(store, "damaged");
	ANSWER a = repair(store);

	assert_int_equal(a.r, 0);
	assert_string_equal(a.text, "");
	assert_int_equal(a.counts.mended, 0);
	assert_int_equal(access(aside, F_OK), -1);
}

static void an_object_whose_metadata_was_changed_is_made_from_its_own_content(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:same/f");
	TEXT *before = shown_by(store, "site");

	assert_int_equal(chmod(object, 0600), 0);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "mended object", "its own content", "laid out again as 2");
		assert_string_equal(after, before);
	}
	assert_sound(store);
}

static void an_object_is_made_from_one_of_equal_content(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *source = text_of("%s/a", y->path);
	TEXT *file = text_of("%s/a/same/f", y->path);
	TEXT *object = object_of(store, "site:same/f");
	TEXT *before = shown_by(store, "site");
	struct outcome o;

	assert_int_equal(chmod(file, 0600), 0);
	o = publish_at(store, "third", source);
	must(&o, "publish");
	scribble(object);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "mended object", "of equal content");
		assert_string_equal(after, before);
	}
	assert_sound(store);
	assert_true(count_aside(store, "SCRIBBLE") > 0);
}

/* share=names: of two equal files that are no group one has an inode of its own. */
static void an_object_is_made_from_a_private_copy(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:d/equal1");
	TEXT *before = shown_by(store, "site");

	scribble(object);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "mended object", "/tree/d/equal");
		assert_string_equal(after, before);
	}
	assert_sound(store);
}

static void a_lost_object_is_made_from_a_placed_file(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:same/f");

	assert_int_equal(unlink(object), 0);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended object", "made anew from .pleach/trees/");
	}
	assert_sound(store);
}

/* Its hard links share its damage. */
static void nothing_is_made_from_a_hard_link_of_what_is_damaged(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:same/f");
	struct stat before, after;

	scribble(object);
	assert_int_equal(stat(object, &before), 0);
	{
		ANSWER a = repair(store);

		assert_not_mended(&a, "fault object", "not mended: its content is nowhere else",
				  "[site@1:same/f]", "[site@2:same/g]", "[other@1:same/f]");
		assert_int_equal(a.counts.mended, 0);
	}
	assert_int_equal(stat(object, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void what_is_outside_at_the_same_path_is_taken(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *source = text_of("%s/a", y->path);
	TEXT *object = object_of(store, "site:same/f");

	scribble(object);
	{
		ANSWER a = repair_with(store, source, 0);

		assert_mended(&a, "mended object", "/a/same/f");
	}
	assert_sound(store);
}

static void what_is_outside_at_another_path_is_taken_by_its_content(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *dir = text_of("%s/elsewhere", y->path);
	TEXT *object = object_of(store, "site:same/f");

	assert_int_equal(mkdir(dir, 0755), 0);
	make_dir(dir, "deep");
	put(dir, "deep/copy", "the same in all");
	scribble(object);
	{
		ANSWER a = repair_with(store, dir, 0);

		assert_mended(&a, "mended object", "/elsewhere/deep/copy");
	}
	assert_sound(store);
}

static void nothing_is_made_from_what_is_outside_and_differs(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *dir = text_of("%s/elsewhere", y->path);
	TEXT *object = object_of(store, "site:same/f");

	assert_int_equal(mkdir(dir, 0755), 0);
	make_dir(dir, "same");
	put(dir, "same/f", "the same in alL");
	scribble(object);
	{
		ANSWER a = repair_with(store, dir, 0);

		assert_not_mended(&a, "its content is nowhere else");
		assert_int_equal(a.counts.mended, 0);
	}
}

static void objects_and_nodes_are_taken_from_another_store(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *other = text_of("%s/backup", y->path);
	TEXT *objects = inner(store, "objects");
	TEXT *nodes = inner(store, "nodes");
	TEXT *trees = inner(store, "trees");
	TEXT *before = shown_by(store, "site");

	yard_copy(store, other);
	remove_all(objects);
	remove_all(nodes);
	remove_all(trees);
	assert_int_equal(mkdir(objects, 0700), 0);
	assert_int_equal(mkdir(nodes, 0700), 0);
	assert_int_equal(mkdir(trees, 0755), 0);
	{
		ANSWER a = repair_with(store, other, 0);

		if (a.r != 0)
			fail_msg("%d %s\n%s", a.r, a.error.message, a.text);
	}
	{
		TEXT *after = shown_by(store, "site");

		assert_string_equal(after, before);
	}
	assert_sound(store);
}

static void nothing_is_taken_from_another_store_that_does_not_verify(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *other = text_of("%s/backup", y->path);
	TEXT *object = object_of(store, "site:same/f");

	scribble(object);
	yard_copy(store, other);
	{
		ANSWER a = repair_with(store, other, 0);

		assert_not_mended(&a, "its content is nowhere else");
		assert_int_equal(a.counts.mended, 0);
	}
}

static void a_damaged_object_that_nobody_needs_is_set_aside(void **state)
{
	TEXT *store = make(*state);
	TEXT *dir = inner(store, "objects/00");
	TEXT *path = inner(store, "objects/00/%062d", 0);
	int fd;

	(void)mkdir(dir, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, "garbage", 7) == 7);
	close(fd);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "set aside: nobody needs it");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "garbage"), 1);
}

/* ---- nodes ---- */

static void a_lost_node_is_made_from_its_placed_directory(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *node = node_of(store, tree);

	assert_int_equal(unlink(node), 0);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended node", "made anew from .pleach/trees/");
	}
	assert_sound(store);
}

static void a_damaged_node_is_made_anew_and_set_aside(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *node = node_of(store, tree);

	scribble(node);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended node");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "SCRIBBLE"), 1);
}

static void lose_all_nodes(const char *store)
{
	TEXT *nodes = inner(store, "nodes");

	remove_all(nodes);
	assert_int_equal(mkdir(nodes, 0700), 0);
}

static void all_nodes_are_made_from_placed_trees(void **state)
{
	TEXT *store = make(*state);

	lose_all_nodes(store);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended node");
	}
	assert_sound(store);
}

/* Equal files share an inode there, and are no group. */
static void all_nodes_of_a_portable_ref_are_made_from_placed_trees(void **state)
{
	static const char *const settings[] = {"metadata", "portable", NULL};
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *source = text_of("%s/source", y->path);
	struct outcome o;

	make_store(store, settings);
	assert_int_equal(mkdir(source, 0755), 0);
	make_dir(source, "d");
	put(source, "equal1", "equal");
	put(source, "d/equal2", "equal");
	o = publish_at(store, "site", source);
	must(&o, "publish");
	lose_all_nodes(store);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended node");
	}
	assert_sound(store);
}

static void no_node_is_made_from_a_directory_that_was_changed(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *node = node_of(store, tree);
	TEXT *placed = inner(store, "trees/%s/1/tree/only-b", tree);

	assert_int_equal(unlink(node), 0);
	assert_int_equal(unlink(placed), 0);
	{
		ANSWER a = repair(store);

		assert_not_mended(&a, "fault node", "no directory is placed", "[site@2:]");
	}
}

/* ---- placed trees ---- */

static void stray(const char *store, const char *tree)
{
	TEXT *dir = inner(store, "trees/%s/1/tree/d", tree);

	put(dir, "stray", "STRAY");
}

static void a_placed_tree_that_was_written_into_is_laid_out_again(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *before = shown_by(store, "site");
	TEXT *wrapper = inner(store, "trees/%s/1", tree);

	stray(store, tree);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "mended placed", "laid out again as 2");
		assert_string_equal(after, before);
	}
	assert_sound(store);
	assert_int_equal(access(wrapper, F_OK), -1);
	assert_int_equal(count_aside(store, "STRAY"), 1);
}

static void a_quick_repair_finds_that_by_metadata(void **state)
{
	static const struct {
		const char *what, *path;
	} breaks[] = {{"add", "d/e/more"}, {"remove", "a"},	  {"chmod", "d"},
		      {"append", "a"},	   {"touch", "d/equal1"}, {"link", "link"}};

	for (size_t i = 0; i < sizeof(breaks) / sizeof(*breaks); i++) {
		TEXT *store = make(*state);
		TEXT *tree = tree_of(store, "site");
		TEXT *path = inner(store, "trees/%s/1/tree/%s", tree, breaks[i].path);
		TEXT *before = shown_by(store, "site");
		struct timespec times[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
		int fd;

		switch (breaks[i].what[0]) {
		case 'a':
			fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
			assert_true(write(fd, "x", 1) == 1);
			close(fd);
			break;
		case 'r':
			assert_int_equal(unlink(path), 0);
			break;
		case 'c':
			assert_int_equal(chmod(path, 0700), 0);
			break;
		case 't':
			assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
			break;
		default:
			assert_int_equal(unlink(path), 0);
			assert_int_equal(symlink("elsewhere", path), 0);
		}
		{
			TEXT *source = text_of("%s/b", ((struct yard *)*state)->path);
			ANSWER a = repair_with(store, source, 1);
			TEXT *after = shown_by(store, "site");

			assert_mended(&a, "mended placed");
			assert_string_equal(after, before);
		}
		assert_sound(store);
		for (const char *name = "abcS"; *name; name++) {
			TEXT *used = text_of("%s/%c", ((struct yard *)*state)->path, *name);

			remove_all(used);
		}
	}
}

/* Who writes in place and sets the mtime back is found by content. */
static void a_write_that_hides_its_time_is_found_by_content_and_mended(void **state)
{
	const struct yard *y = *state;
	TEXT *store = make(y);
	TEXT *source = text_of("%s/b", y->path);
	TEXT *path = text_of("%s/site/same/f", store);
	TEXT *before = shown_by(store, "site");
	struct stat st;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, "THE", 3, 0), 3);
	assert_int_equal(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
	close(fd);
	{
		ANSWER a = repair_with(store, source, 0);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "mended object", "mended placed");
		assert_string_equal(after, before);
	}
	assert_sound(store);
}

/* A reader keeps what he has pinned, damaged or not; others are shown the new one. */
static void G1_a_pinned_placing_stays_and_is_mended_afterwards(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *before = shown_by(store, "site");
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);
	struct pleach_pin *pin;

	assert_int_equal(pleach_pin_open(opened, "site", &pin, &o.error), 0);
	stray(store, tree);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");
		TEXT *kept = text_of("%s/d/stray", pleach_pin_path(pin));

		assert_not_mended(&a, "not mended: somebody has the tree pinned");
		assert_string_equal(after, before);
		assert_int_equal(access(kept, F_OK), 0);
	}
	pleach_pin_close(pin);
	pleach_store_close(opened);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended placed");
	}
	assert_sound(store);
}

static void a_placing_that_nobody_needs_is_set_aside(void **state)
{
	static const char *const settings[] = {"keep-placed", "1", "grace", "0", NULL};
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *tree = NULL;

	make_store(store, settings);
	for (const char *name = "ab"; *name; name++) {
		TEXT *what = text_of("%c", *name);
		TEXT *source = text_of("%s/%c", y->path, *name);
		struct outcome o;

		make_source(source, what, 0);
		o = publish_at(store, "site", source);
		must(&o, "publish");
	}
	tree = tree_of(store, "site@1");
	stray(store, tree);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "set aside: nobody needs it placed");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "STRAY"), 1);
}

static void a_filter_that_does_not_verify_is_made_anew(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *path = inner(store, "trees/%s/1/filter", tree);

	scribble(path);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended filter");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "SCRIBBLE"), 1);
}

/* ---- refs and trees ---- */

static void lost_users_come_back(void **state)
{
	TEXT *store = make(*state);
	TEXT *trees = inner(store, "trees");
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);
	DIR *dir = opendir(trees);
	struct dirent *d;

	assert_int_equal(pleach_tag_set(opened, "site", "v1", "@1", 0, &o.error), 0);
	pleach_store_close(opened);
	while ((d = readdir(dir))) {
		TEXT *users = text_of("%s/%s/users", trees, d->d_name);

		if (d->d_name[0] != '.')
			remove_all(users);
	}
	(void)closedir(dir);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended tree", "mended record", "mended tag");
	}
	assert_sound(store);
}

static void lost_trees_come_back(void **state)
{
	TEXT *store = make(*state);
	TEXT *trees = inner(store, "trees");
	TEXT *before = shown_by(store, "site");

	remove_all(trees);
	assert_int_equal(mkdir(trees, 0755), 0);
	{
		ANSWER a = repair(store);
		TEXT *after = shown_by(store, "site");

		assert_mended(&a, "from its nodes", "mended public");
		assert_string_equal(after, before);
	}
	assert_sound(store);
}

static void a_lost_pin_comes_back(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *pin = inner(store, "trees/%s/pin", tree);

	assert_int_equal(unlink(pin), 0);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended tree");
	}
	assert_sound(store);
}

static void what_must_be_empty_is_made_so(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *dir = inner(store, "trees/%s", tree);
	TEXT *shown = inner(store, "refs/site/shown");

	put(dir, "pin", "PIN");
	put(shown, "1", "SHOWN");
	{
		ANSWER a = repair(store);

		assert_mended(&a, "/pin: made anew, empty", "/shown/1: made anew, empty");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "PIN"), 1);
	assert_int_equal(count_aside(store, "SHOWN"), 1);
}

static void strays_in_the_layout_are_set_aside(void **state)
{
	TEXT *store = make(*state);
	TEXT *refs = inner(store, "refs/site/gen");
	TEXT *objects = inner(store, "objects");

	put(refs, "odd\nname", "STRAY");
	make_dir(objects, "zz");
	put(objects, "zz/inside", "STRAY");
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended name");
	}
	assert_sound(store);
	assert_int_equal(count_aside(store, "STRAY"), 2);
}

static void the_public_path_shows_the_head_again(void **state)
{
	TEXT *store = make(*state);
	TEXT *before = shown_by(store, "site");
	TEXT *public = inner(store, "refs/site/public");
	TEXT *tree = inner(store, "refs/site/public/tree");
	TEXT *hop = text_of("%s/site", store);

	for (unsigned i = 0; i < 4; i++) {
		if (i == 0)
			assert_int_equal(unlink(hop), 0);
		else if (i == 1)
			assert_int_equal(unlink(tree), 0);
		else
			remove_all(i == 2 ? tree : public);
		if (i == 2)
			assert_int_equal(mkdir(tree, 0755), 0);
		{
			ANSWER a = repair(store);
			TEXT *after = shown_by(store, "site");

			assert_mended(&a, "mended public");
			assert_string_equal(after, before);
		}
		assert_sound(store);
	}
}

static void G7_what_is_not_ours_at_the_public_path_stays(void **state)
{
	TEXT *store = make(*state);
	TEXT *hop = text_of("%s/site", store);
	struct stat st;

	assert_int_equal(unlink(hop), 0);
	put(store, "site", "somebody's");
	{
		ANSWER a = repair(store);

		assert_int_equal(a.r, PLEACH_PARTIAL);
		assert_non_null(strstr(a.text, "not mended: something else has this name"));
	}
	assert_int_equal(lstat(hop, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void a_lost_record_is_told_with_whom_it_hurts(void **state)
{
	TEXT *store = make(*state);
	TEXT *record = inner(store, "refs/site/gen/1");

	scribble(record);
	{
		ANSWER a = repair(store);

		assert_not_mended(&a, "fault record", "[site@1:]");
	}
}

static void of_one_ref_only_what_it_needs_is_mended(void **state)
{
	TEXT *store = make(*state);
	TEXT *mine = tree_of(store, "site");
	TEXT *others = tree_of(store, "other");
	const char *const refs[] = {"site", NULL};
	struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	stray(store, mine);
	stray(store, others);
	options.repair = 1;
	options.refs = refs;
	{
		ANSWER a = ask(opened, &options);

		assert_mended(&a, "mended placed");
		assert_int_equal(a.counts.mended, 1);
	}
	pleach_store_close(opened);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended placed");
	}
}

static void a_collection_leaves_what_was_set_aside(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	struct pleach_gc_result result = PLEACH_GC_RESULT_INIT;
	struct outcome o;
	struct pleach_store *opened;

	stray(store, tree);
	{
		ANSWER a = repair(store);

		assert_mended(&a, "mended placed");
	}
	opened = open_at(store, &o);
	assert_int_equal(pleach_gc(opened, NULL, &result, NULL, &o.error), 0);
	pleach_store_close(opened);
	assert_int_equal(count_aside(store, "STRAY"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_sound_store_is_left_alone),
		yard_test(an_object_whose_metadata_was_changed_is_made_from_its_own_content),
		yard_test(an_object_is_made_from_one_of_equal_content),
		yard_test(an_object_is_made_from_a_private_copy),
		yard_test(a_lost_object_is_made_from_a_placed_file),
		yard_test(nothing_is_made_from_a_hard_link_of_what_is_damaged),
		yard_test(what_is_outside_at_the_same_path_is_taken),
		yard_test(what_is_outside_at_another_path_is_taken_by_its_content),
		yard_test(nothing_is_made_from_what_is_outside_and_differs),
		yard_test(objects_and_nodes_are_taken_from_another_store),
		yard_test(nothing_is_taken_from_another_store_that_does_not_verify),
		yard_test(a_damaged_object_that_nobody_needs_is_set_aside),
		yard_test(a_lost_node_is_made_from_its_placed_directory),
		yard_test(a_damaged_node_is_made_anew_and_set_aside),
		yard_test(all_nodes_are_made_from_placed_trees),
		yard_test(all_nodes_of_a_portable_ref_are_made_from_placed_trees),
		yard_test(no_node_is_made_from_a_directory_that_was_changed),
		yard_test(a_placed_tree_that_was_written_into_is_laid_out_again),
		yard_test(a_quick_repair_finds_that_by_metadata),
		yard_test(a_write_that_hides_its_time_is_found_by_content_and_mended),
		yard_test(G1_a_pinned_placing_stays_and_is_mended_afterwards),
		yard_test(a_placing_that_nobody_needs_is_set_aside),
		yard_test(a_filter_that_does_not_verify_is_made_anew),
		yard_test(lost_users_come_back),
		yard_test(lost_trees_come_back),
		yard_test(a_lost_pin_comes_back),
		yard_test(what_must_be_empty_is_made_so),
		yard_test(strays_in_the_layout_are_set_aside),
		yard_test(the_public_path_shows_the_head_again),
		yard_test(G7_what_is_not_ours_at_the_public_path_stays),
		yard_test(a_lost_record_is_told_with_whom_it_hurts),
		yard_test(of_one_ref_only_what_it_needs_is_mended),
		yard_test(a_collection_leaves_what_was_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
