/*
 * A check finds what is broken, says where, and calls nothing a fault that is only under way. What is
 * wrong with single bytes is tested beside the independent reader (tests/format/test_agrees.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "place/place.h"
#include "tx/yard.h"

/* Two generations of `site`, the first tagged, and one of `other`. */
static char *make(const struct yard *y)
{
	char *path = text_of("%s/S", y->path);
	struct pleach_store *store;
	struct outcome o;

	make_store(path, NULL);
	for (const char *name = "abc"; *name; name++) {
		TEXT *what = text_of("%c", *name);
		TEXT *source = text_of("%s/%c", y->path, *name);

		make_source(source, what, 0);
		o = publish_at(path, *name == 'c' ? "other" : "site", source);
		must(&o, "publish");
	}
	store = open_at(path, &o);
	assert_int_equal(pleach_tag_set(store, "site", "v1", "@1", 0, &o.error), 0);
	pleach_store_close(store);
	return path;
}

/* ---- findings ---- */

struct found {
	int r;
	char *text; /* a line each: "fault|unverified KIND PATH: MESSAGE (REF@N)" */
	struct pleach_check_counts counts;
	struct pleach_error error;
};

static struct found check(const char *path, bool quick, const char *const *refs)
{
	struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
	struct found found = {.counts = PLEACH_CHECK_COUNTS_INIT, .error = PLEACH_ERROR_INIT};
	struct pleach_finding f = PLEACH_FINDING_INIT;
	struct pleach_report *report = NULL;
	size_t size;
	FILE *out = open_memstream(&found.text, &size);
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	must(&o, "open");
	options.quick = quick;
	options.refs = refs;
	found.r = pleach_check(store, &options, &found.counts, &report, &found.error);
	while (report && pleach_report_next(report, &f, NULL) == 1)
		(void)fprintf(out, "%s %s %s: %s (%s@%llu)\n", f.is_fault ? "fault" : "unverified",
			      f.kind, f.path, f.message, f.ref, (unsigned long long)f.generation);
	pleach_report_close(report);
	pleach_store_close(store);
	(void)fclose(out);
	return found;
}

static void found_done(struct found *found)
{
	free(found->text);
}
#define FOUND __attribute__((cleanup(found_done))) struct found

/* Just this is found, in each of its parts. */
static void assert_finds(const char *path, int r, const char *const *parts)
{
	FOUND found = check(path, false, NULL);

	if (found.r != r)
		fail_msg("answers %d: %s", found.r, found.text);
	for (; *parts; parts++)
		if (!strstr(found.text, *parts))
			fail_msg("'%s' is not in: %s", *parts, found.text);
}
#define assert_fault(path, ...) \
	assert_finds(path, -EBADMSG, (const char *const[]){__VA_ARGS__, NULL})

static void assert_sound(const char *path)
{
	FOUND found = check(path, false, NULL);

	assert_string_equal(found.text, "");
	assert_int_equal(found.r, 0);
}

/* ---- breaking ---- */

__attribute__((format(printf, 2, 3))) static char *inner(const char *store, const char *format, ...)
{
	TEXT *rest = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&rest, format, args) < 0)
		abort();
	va_end(args);
	return text_of("%s/.pleach/%s", store, rest);
}

static char *tree_of(const char *store, const char *rev)
{
	struct pleach_revision revision = PLEACH_REVISION_INIT;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);

	o.r = pleach_resolve(opened, rev, &revision, &o.error);
	pleach_store_close(opened);
	must(&o, rev);
	return strdup(revision.tree);
}

static char *ref_id(const char *store, const char *ref)
{
	TEXT *path = inner(store, "refs/%s/id", ref);
	char id[25] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, id, 24), 24);
	close(fd);
	return strdup(id);
}

static void touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

/* The path of the object or node that `rev` names: "ab/cdef..." */
static char *fanout(const char *id)
{
	return text_of("%.2s/%s", id, id + 2);
}

static char *object_of(const char *store, const char *rev)
{
	struct pleach_entry entry = PLEACH_ENTRY_INIT;
	struct pleach_ls *ls;
	struct outcome o;
	struct pleach_store *opened = open_at(store, &o);
	char *object;

	assert_int_equal(pleach_ls_open(opened, rev, 0, &ls, &o.error), 0);
	assert_int_equal(pleach_ls_next(ls, &entry, &o.error), 1);
	object = fanout(entry.id);
	pleach_ls_close(ls);
	pleach_store_close(opened);
	return object;
}

/* ---- objects and nodes ---- */

static void a_sound_store_has_no_findings_and_is_counted(void **state)
{
	TEXT *store = make(*state);
	FOUND found = check(store, false, NULL);

	assert_string_equal(found.text, "");
	assert_int_equal(found.r, 0);
	assert_int_equal(found.counts.records, 3);
	assert_int_equal(found.counts.trees, 3);
	assert_int_equal(found.counts.placed, 3);
	assert_int_equal(found.counts.faults + found.counts.unverified, 0);
	assert_true(found.counts.objects > 3 && found.counts.nodes > 3 && found.counts.bytes > 0);
}

static void a_missing_object_is_told_with_who_needs_it(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:same/f");
	TEXT *path = inner(store, "objects/%s", object);
	TEXT *where = text_of("fault object .pleach/objects/%s: is missing", object);

	assert_int_equal(unlink(path), 0);
	assert_fault(store, where, "needs it for 'f'");
}

static void an_object_with_other_metadata_is_told_by_itself_and_where_it_is_placed(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:same/f");
	TEXT *path = inner(store, "objects/%s", object);
	TEXT *where = text_of("fault object .pleach/objects/%s", object);

	assert_int_equal(chmod(path, 0600), 0);
	assert_fault(store, where, "/tree/same/f: has another mode");
}

static void a_missing_node_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *root = fanout(tree);
	TEXT *path = inner(store, "nodes/%s", root);
	TEXT *where = text_of("fault node .pleach/nodes/%s: node %s is missing", root, tree);

	assert_int_equal(unlink(path), 0);
	assert_fault(store, where);
}

/* A handle remembers the nodes that it has read or written; what is on the disk is something else. */
static void a_node_that_was_lost_since_it_was_read_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *node = fanout(tree);
	TEXT *path = text_of("%s/.pleach/nodes/%s", store, node);
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct outcome o;
	struct pleach_store *handle = open_at(store, &o);

	assert_int_equal(pleach_check(handle, NULL, &counts, NULL, &o.error), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pleach_check(handle, NULL, &counts, NULL, &o.error), -EBADMSG);
	pleach_store_close(handle);
}

static void an_empty_object_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *dir = inner(store, "objects/00");
	TEXT *path = inner(store, "objects/00/%062d", 0);

	(void)mkdir(dir, 0700);
	touch(path);
	assert_fault(store, "has a size that no object has");
}

static char *checked_by(const char *path, unsigned jobs)
{
	struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	struct pleach_finding f = PLEACH_FINDING_INIT;
	struct pleach_report *report = NULL;
	size_t size;
	char *text;
	FILE *out = open_memstream(&text, &size);
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	options.jobs = jobs;
	(void)pleach_check(store, &options, &counts, &report, &o.error);
	while (report && pleach_report_next(report, &f, NULL) == 1)
		(void)fprintf(out, "%s %s: %s\n", f.kind, f.path, f.message);
	(void)fprintf(out, "%llu objects, %llu bytes, %s", (unsigned long long)counts.objects,
		      (unsigned long long)counts.bytes, o.error.message);
	pleach_report_close(report);
	pleach_store_close(store);
	(void)fclose(out);
	return text;
}

static void any_number_of_threads_finds_the_same_in_the_same_order(void **state)
{
	const struct yard *y = *state;
	TEXT *store = text_of("%s/S", y->path);
	TEXT *source = text_of("%s/source", y->path);
	TEXT *alone = NULL;
	struct outcome o;

	make_store(store, NULL);
	make_source(source, "a", 300);
	o = publish_at(store, "site", source);
	must(&o, "publish");
	for (unsigned i = 1; i < 300; i += 2) {
		TEXT *rev = text_of("site:more%u/file", i);
		TEXT *object = object_of(store, rev);
		TEXT *path = inner(store, "objects/%s", object);

		assert_int_equal(i % 3 ? chmod(path, 0600) : truncate(path, 1), 0);
	}
	alone = checked_by(store, 1);
	assert_non_null(strstr(alone, "object"));
	for (unsigned jobs = 0; jobs <= 8; jobs += 2) {
		TEXT *together = checked_by(store, jobs);

		assert_string_equal(together, alone);
	}
}

/* ---- the layout ---- */

/* Directories of the layout in which a strange name breaks a rule. */
static char **places(const char *store, size_t *ret_n)
{
	static char *all[16];
	TEXT *tree = tree_of(store, "site");
	size_t n = 0;

	all[n++] = inner(store, "objects");
	all[n++] = inner(store, "nodes");
	all[n++] = inner(store, "trees");
	all[n++] = inner(store, "trees/%s", tree);
	all[n++] = inner(store, "trees/%s/users", tree);
	all[n++] = inner(store, "trees/%s/1", tree);
	all[n++] = inner(store, "refs/site/gen");
	all[n++] = inner(store, "refs/site/shown");
	all[n++] = inner(store, "refs/site/dropped");
	all[n++] = inner(store, "refs/site/tags");
	all[n++] = inner(store, "refs/site/attached");
	all[n++] = inner(store, "refs");
	*ret_n = n;
	return all;
}

static void a_strange_name_is_told_and_a_leftover_passed_over(void **state)
{
	TEXT *store = make(*state);
	size_t n;
	char **all = places(store, &n);

	for (size_t i = 0; i < n; i++) {
		TEXT *strange = text_of("%s/strange name", all[i]);
		TEXT *leftover = text_of("%s/.left", all[i]);
		TEXT *where = text_of("fault name %s: is no part of a store",
				      strstr(strange, ".pleach/"));

		touch(leftover);
		assert_sound(store);
		touch(strange);
		assert_fault(store, where);
		assert_int_equal(unlink(strange), 0);
		free(all[i]);
	}
}

static void what_is_not_listed_in_a_refs_directory_is_passed_over(void **state)
{
	TEXT *store = make(*state);
	TEXT *path = inner(store, "refs/site/strange");
	TEXT *other = inner(store, "strange");

	touch(path);
	touch(other);
	assert_sound(store);
}

static void a_filter_that_does_not_verify_is_told_and_a_missing_one_not(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *path = inner(store, "trees/%s/1/filter", tree);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "\x55", 1, 100), 1);
	close(fd);
	assert_fault(store, "fault filter", "/1/filter: is damaged");
	assert_int_equal(truncate(path, 20), 0);
	assert_fault(store, "/1/filter: is cut short");
	assert_int_equal(unlink(path), 0);
	assert_sound(store);
}

static void a_filter_that_does_not_know_what_is_linked_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site");
	TEXT *wrapper = inner(store, "trees/%s/1", tree);
	TEXT *path = text_of("%s/filter", wrapper);
	struct pl_filter empty;
	int fd = open(wrapper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(pl_filter_init(&empty, 10), 0);
	assert_int_equal(pl_filter_write(&empty, fd, false), 0);
	pl_filter_done(&empty);
	close(fd);
	assert_fault(store, "fault filter", "/tree/a: is linked from its object");
}

/* ---- refs ---- */

static void a_hole_in_the_records_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *path = inner(store, "refs/site/gen/1");

	assert_int_equal(unlink(path), 0);
	assert_fault(store, "fault record .pleach/refs/site/gen/1: is missing", "(site@1)",
		     "names a generation that is not there");
}

static void a_record_of_another_ref_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *from = inner(store, "refs/other/gen/1");
	TEXT *to = inner(store, "refs/site/gen/3");

	assert_int_equal(link(from, to), 0);
	assert_fault(store, "refs/site/gen/3: is the record of another generation or ref");
}

static void marks_of_what_is_not_there_are_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *shown = inner(store, "refs/site/shown/9");
	TEXT *head = inner(store, "refs/site/dropped/2");

	touch(shown);
	touch(head);
	assert_fault(store, "refs/site/shown/9: there is no such generation",
		     "refs/site/dropped/2: is the head");
}

static void a_generation_or_tag_that_is_no_user_of_its_tree_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site@1");
	TEXT *id = ref_id(store, "site");
	TEXT *of_generation = inner(store, "trees/%s/users/g.%s.1", tree, id);
	TEXT *of_tag = inner(store, "trees/%s/users/t.%s.v1", tree, id);

	assert_int_equal(unlink(of_generation), 0);
	assert_fault(store, "fault record .pleach/refs/site/gen/1", "does not have it as a user");
	assert_int_equal(unlink(of_tag), 0);
	assert_fault(store, "fault tag .pleach/refs/site/tags/v1: its tree does not have it");
}

static void a_missing_tree_and_a_missing_pin_are_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *tree = tree_of(store, "site@1");
	TEXT *pin = inner(store, "trees/%s/pin", tree);
	TEXT *from = inner(store, "trees/%s", tree);
	TEXT *to = inner(store, "trees/.gone");

	assert_int_equal(unlink(pin), 0);
	assert_fault(store, "fault tree .pleach/trees/", "its file 'pin' is missing");
	assert_int_equal(rename(from, to), 0);
	assert_fault(store, "fault record .pleach/refs/site/gen/1: its tree", "is missing (site@1)",
		     "fault tag .pleach/refs/site/tags/v1: its tree is missing");
}

static void a_damaged_id_or_config_of_a_ref_is_told_and_the_rest_is_verified(void **state)
{
	TEXT *store = make(*state);
	TEXT *id = inner(store, "refs/site/id");
	TEXT *config = inner(store, "refs/site/config");
	TEXT *shown = inner(store, "refs/site/shown/9");

	assert_int_equal(truncate(id, 7), 0);
	touch(config);
	touch(shown);
	assert_fault(store, "fault config .pleach/refs/site/id: is no id of a ref",
		     "fault config .pleach/refs/site/config: does not verify", "shown/9");
}

/* ---- the public path ---- */

static char *set_public(const char *store, const char *target)
{
	TEXT *link = inner(store, "refs/site/public/tree");
	char before[256] = "";

	assert_true(readlink(link, before, sizeof(before) - 1) > 0);
	assert_int_equal(unlink(link), 0);
	if (target)
		assert_int_equal(symlink(target, link), 0);
	return strdup(before);
}

static char *public_target(const char *tree, unsigned k)
{
	return text_of("../../../trees/%s/%u/tree", tree, k);
}

static void a_public_symlink_that_does_not_lead_to_the_head_is_told(void **state)
{
	TEXT *store = make(*state);
	TEXT *old = tree_of(store, "site@1");
	TEXT *head = tree_of(store, "site");
	TEXT *to_old = public_target(old, 1);
	TEXT *to_nothing = public_target(head, 7);

	free(set_public(store, to_old));
	assert_fault(store, "fault public .pleach/refs/site/public/tree: does not lead to", head,
		     "(site@2)");
	free(set_public(store, to_nothing));
	assert_fault(store, "leads to what is not there");
	free(set_public(store, "elsewhere"));
	assert_fault(store, "is no public symlink");
	free(set_public(store, NULL));
	assert_fault(store, "is missing: the head is not shown");
}

static void a_public_path_that_is_missing_or_foreign_is_only_not_verified(void **state)
{
	TEXT *store = make(*state);
	TEXT *path = text_of("%s/site", store);

	assert_int_equal(unlink(path), 0);
	assert_finds(store, PLEACH_PARTIAL,
		     (const char *const[]){"unverified public site: is missing", NULL});
	assert_int_equal(mkdir(path, 0755), 0);
	assert_finds(store, PLEACH_PARTIAL,
		     (const char *const[]){"unverified public site: is not ours", NULL});
}

/* In a child: holds the ref's lock for a while with the symlink set back, as a commit does. */
static void publish_slowly(const char *store, int ready)
{
	TEXT *lock = inner(store, "refs/site/lock");
	TEXT *old = tree_of(store, "site@1");
	TEXT *target = public_target(old, 1);
	int fd = open(lock, O_RDWR | O_CLOEXEC);
	TEXT *before = NULL;

	if (pl_lock_try(fd, PL_LOCK_EXCLUSIVE) != 1)
		_exit(1);
	before = set_public(store, target);
	if (write(ready, "", 1) != 1)
		_exit(1);
	pl_sleep_ms(100); /* whenever the check looks, and however often: it must not be a fault */
	free(set_public(store, before));
	_exit(0);
}

static void a_publish_that_is_under_way_is_no_fault(void **state)
{
	TEXT *store = make(*state);
	int ready[2], status = -1;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0)
		publish_slowly(store, ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_sound(store);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

/* ---- what is looked at ---- */

/* Writes over the first byte and hides it: size and mtime are as before. */
static void damage_secretly(const char *path)
{
	struct timespec times[2];
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pwrite(fd, "#", 1, 0), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
}

/* Of two equal files that are no group one is the object's inode, the other a copy of its own. */
static void a_quick_check_does_not_read_what_is_placed(void **state)
{
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "site:d/equal1");
	TEXT *object_path = inner(store, "objects/%s", object);
	TEXT *path = text_of("%s/site/d/equal2", store);
	struct stat a, b;

	assert_int_equal(stat(object_path, &a), 0);
	assert_int_equal(stat(path, &b), 0);
	if (a.st_ino == b.st_ino) {
		free(path);
		path = text_of("%s/site/d/equal1", store);
	}
	damage_secretly(path);
	assert_fault(store, "fault placed", "/tree/d/equal", "has another content");
	{
		FOUND found = check(store, true, NULL);

		assert_string_equal(found.text, "");
		assert_int_equal(found.r, 0);
	}
	assert_int_equal(chmod(path, 0600), 0);
	{
		FOUND found = check(store, true, NULL);

		assert_non_null(strstr(found.text, "has another mode"));
	}
}

static void a_check_of_refs_looks_at_what_they_need_and_no_more(void **state)
{
	static const char *const site[] = {"site", NULL}, *const other[] = {"other", NULL},
				 *const nosuch[] = {"nosuch", NULL};
	TEXT *store = make(*state);
	TEXT *object = object_of(store, "other:a");
	TEXT *path = inner(store, "objects/%s", object);

	damage_secretly(path);
	{
		FOUND of_site = check(store, false, site);
		FOUND of_other = check(store, false, other);
		FOUND of_nosuch = check(store, false, nosuch);

		assert_string_equal(of_site.text, "");
		assert_int_equal(of_site.r, 0);
		assert_int_equal(of_site.counts.records, 2);
		assert_int_equal(of_site.counts.trees, 2);
		assert_int_equal(of_other.r, -EBADMSG);
		assert_non_null(strstr(of_other.text, "fault object"));
		assert_int_equal(of_nosuch.r, -ENOENT);
	}
}

static void a_cancelled_check_ends(void **state)
{
	struct pleach_check_counts counts = PLEACH_CHECK_COUNTS_INIT;
	TEXT *path = make(*state);
	struct pleach_report *report = NULL;
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);

	pleach_store_cancel(store);
	assert_int_equal(pleach_check(store, NULL, &counts, &report, &o.error), -EINTR);
	assert_null(report);
	pleach_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_sound_store_has_no_findings_and_is_counted),
		yard_test(a_missing_object_is_told_with_who_needs_it),
		yard_test(an_object_with_other_metadata_is_told_by_itself_and_where_it_is_placed),
		yard_test(a_missing_node_is_told),
		yard_test(a_node_that_was_lost_since_it_was_read_is_told),
		yard_test(an_empty_object_is_told),
		yard_test(any_number_of_threads_finds_the_same_in_the_same_order),
		yard_test(a_strange_name_is_told_and_a_leftover_passed_over),
		yard_test(what_is_not_listed_in_a_refs_directory_is_passed_over),
		yard_test(a_filter_that_does_not_verify_is_told_and_a_missing_one_not),
		yard_test(a_filter_that_does_not_know_what_is_linked_is_told),
		yard_test(a_hole_in_the_records_is_told),
		yard_test(a_record_of_another_ref_is_told),
		yard_test(marks_of_what_is_not_there_are_told),
		yard_test(a_generation_or_tag_that_is_no_user_of_its_tree_is_told),
		yard_test(a_missing_tree_and_a_missing_pin_are_told),
		yard_test(a_damaged_id_or_config_of_a_ref_is_told_and_the_rest_is_verified),
		yard_test(a_public_symlink_that_does_not_lead_to_the_head_is_told),
		yard_test(a_public_path_that_is_missing_or_foreign_is_only_not_verified),
		yard_test(a_publish_that_is_under_way_is_no_fault),
		yard_test(a_quick_check_does_not_read_what_is_placed),
		yard_test(a_check_of_refs_looks_at_what_they_need_and_no_more),
		yard_test(a_cancelled_check_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
