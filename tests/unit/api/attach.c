/*
 * attach and detach ended at each of their calls: killed there, or with the call failed.
 *
 * Afterwards the path is as it was or as it was to be, and leads to a whole tree or is not there; the
 * command made again succeeds; detach takes everything away; nothing is left beside; check is silent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tx/yard.h"

#define KILLED 99

struct scene {
	const char *name;
	const char *before; /* attached so before: a revision, or NULL */
	const char *then;   /* the revision to attach, or NULL: detach */
};

static const struct scene scenes[] = {
	{"head", NULL, "site"},
	{"fixed", NULL, "site@1"},
	{"head_to_fixed", "site", "site@1"},
	{"fixed_to_head", "site@1", "site"},
	{"fixed_to_fixed", "site@1", "site@2"},
	{"other_ref", "site@1", "other"},
	{"again", "site@1", "site@1"},
	{"detach_head", "site", NULL},
	{"detach_fixed", "site@1", NULL},
};

struct paths {
	char store[YARD_PATH], master[YARD_PATH], out[YARD_PATH], path[YARD_PATH];
	char *one, *two, *three; /* fingerprints of site@1, site@2 and other@1 */
};

static void format_path(char *path, const struct yard *y, const char *name)
{
	(void)snprintf(path, YARD_PATH, "%s/%s", y->path, name);
}

static int attach(const char *store_path, const char *rev, const char *path,
		  struct pleach_error *error)
{
	struct outcome o;
	struct pleach_store *store = open_at(store_path, &o);
	int r;

	must(&o, "open");
	r = rev ? pleach_attach(store, rev, path, NULL, error) : pleach_detach(store, path, error);
	pleach_store_close(store);
	return r;
}

static void must_publish(const struct yard *y, const char *store, const char *ref, const char *what)
{
	TEXT *source = text_of("%s/%s", y->path, what);
	struct outcome o;

	make_source(source, what, 0);
	o = publish_at(store, ref, source);
	must(&o, "publish");
}

static void prepare(const struct yard *y, struct paths *p)
{
	TEXT *site = text_of("%s/store/site", y->path);
	TEXT *other = text_of("%s/store/other", y->path);

	format_path(p->store, y, "store");
	format_path(p->master, y, "master");
	format_path(p->out, y, "out");
	format_path(p->path, y, "out/there");
	make_store(p->store, NULL);
	must_publish(y, p->store, "site", "a");
	p->one = fingerprint(site);
	must_publish(y, p->store, "site", "b");
	p->two = fingerprint(site);
	must_publish(y, p->store, "other", "c");
	p->three = fingerprint(other);
	assert_string_not_equal(p->one, p->two);
	yard_copy(p->store, p->master);
}

static void done(struct paths *p)
{
	free(p->one);
	free(p->two);
	free(p->three);
}

/* A fresh store and directory, as the scene wants them. */
static void begin(const struct paths *p, const struct scene *scene)
{
	struct pleach_error error = PLEACH_ERROR_INIT;

	yard_remove(p->store);
	yard_copy(p->master, p->store);
	yard_remove(p->out);
	assert_int_equal(mkdir(p->out, 0755), 0);
	if (scene->before)
		assert_int_equal(attach(p->store, scene->before, p->path, &error), 0);
}

static const char *expected(const struct paths *p, const char *rev)
{
	if (!rev)
		return "";
	if (strcmp(rev, "other") == 0)
		return p->three;
	return strcmp(rev, "site@1") == 0 ? p->one : p->two;
}

/* What is at the path: nothing, or a symlink to a whole tree. */
static void path_must_be(const struct paths *p, const char *a, const char *b)
{
	TEXT *seen = fingerprint(p->path);
	char target[YARD_PATH];

	if (readlink(p->path, target, sizeof(target)) < 0)
		assert_int_equal(errno, ENOENT);
	else
		assert_true(seen[0]); /* it does not dangle */
	if (strcmp(seen, a) != 0)
		assert_string_equal(seen, b);
}

static void no_record_may_be(const struct paths *p)
{
	TEXT *site = names_in(p->store, "refs/site/attached");
	TEXT *other = names_in(p->store, "refs/other/attached");

	assert_string_equal(site, "");
	assert_string_equal(other, "");
}

static void finish(const struct paths *p, const struct scene *scene, uint64_t k)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	TEXT *trouble = NULL;
	int r;

	print_message("# %s: ended at call %llu\n", scene->name, (unsigned long long)k);
	path_must_be(p, expected(p, scene->before), expected(p, scene->then));
	r = attach(p->store, scene->then, p->path, &error);
	if (!scene->then && r == -ENOENT)
		r = 0; /* it was detached already */
	if (r < 0)
		fail_msg("again: %s", error.message);
	path_must_be(p, expected(p, scene->then), expected(p, scene->then));
	trouble = trouble_by_check(p->store, 0);
	if (trouble)
		fail_msg("%s", trouble);
	if (scene->then)
		assert_int_equal(attach(p->store, NULL, p->path, &error), 0);
	assert_int_equal(count_names(p->out), 0);
	no_record_may_be(p);
}

static uint64_t count_calls(const struct paths *p, const struct scene *scene)
{
	const struct pl_seam_plan plan = {0};
	struct pleach_error error = PLEACH_ERROR_INIT;
	uint64_t n;

	begin(p, scene);
	pl_seam_arm(&plan);
	assert_true(attach(p->store, scene->then, p->path, &error) >= 0);
	n = pl_seam_count();
	pl_seam_arm(NULL);
	assert_true(n > 3);
	return n;
}

static void kill_at(const struct paths *p, const struct scene *scene, uint64_t k)
{
	const struct pl_seam_plan plan = {.exit_at = k};
	int status;
	pid_t pid;

	begin(p, scene);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pl_seam_arm(&plan);
		(void)attach(p->store, scene->then, p->path, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) &&
		    (WEXITSTATUS(status) == KILLED || WEXITSTATUS(status) == 0));
	finish(p, scene, k);
}

static void fail_at(const struct paths *p, const struct scene *scene, uint64_t k, int fail_errno)
{
	const struct pl_seam_plan plan = {.fail_at = k, .fail_errno = fail_errno};
	struct pleach_error error = PLEACH_ERROR_INIT;
	unsigned descriptors;
	int r;

	begin(p, scene);
	descriptors = count_descriptors();
	pl_seam_arm(&plan);
	r = attach(p->store, scene->then, p->path, &error);
	pl_seam_arm(NULL);
	assert_int_equal(count_descriptors(), descriptors);
	if (r < 0)
		assert_true(error.message[0]);
	else
		path_must_be(p, expected(p, scene->then), expected(p, scene->then));
	finish(p, scene, k);
}

static void attachment_ended_anywhere_is_as_before_or_as_after(void **state)
{
	struct paths p;

	prepare(*state, &p);
	for (size_t i = 0; i < PL_ARRAY_LEN(scenes); i++) {
		uint64_t n = count_calls(&p, &scenes[i]);

		for (uint64_t k = 1; k <= n; k++) {
			kill_at(&p, &scenes[i], k);
			fail_at(&p, &scenes[i], k, EIO);
			fail_at(&p, &scenes[i], k, ENOSPC);
		}
	}
	done(&p);
}

/* Something foreign that comes there, at every call, is never touched (G7). */
static const char *foreign_path;
static uint64_t foreign_at;

static void put_foreign(uint64_t number, enum pl_call call, void *userdata)
{
	(void)call;
	(void)userdata;
	if (number == foreign_at && access(foreign_path, F_OK) != 0)
		(void)symlink("elsewhere", foreign_path);
}

static void foreign_symlink_that_comes_meanwhile_is_not_touched(void **state)
{
	const struct pl_seam_plan plan = {.stop = put_foreign};
	const struct scene *scene = &scenes[1];
	struct paths p;
	uint64_t n;

	prepare(*state, &p);
	n = count_calls(&p, scene);
	foreign_path = p.path;
	for (uint64_t k = 1; k <= n; k++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		char target[YARD_PATH] = "";
		int r;

		begin(&p, scene);
		foreign_at = k;
		pl_seam_arm(&plan);
		r = attach(p.store, scene->then, p.path, &error);
		pl_seam_arm(NULL);
		assert_true(readlink(p.path, target, sizeof(target) - 1) > 0);
		assert_int_equal(r == 0, strcmp(target, "elsewhere") != 0);
		if (r < 0) {
			assert_int_equal(r, -EEXIST);
			no_record_may_be(&p);
		}
	}
	done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(attachment_ended_anywhere_is_as_before_or_as_after),
		yard_test(foreign_symlink_that_comes_meanwhile_is_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
