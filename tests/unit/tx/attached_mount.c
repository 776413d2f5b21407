/*
 * G1, G2, G6 for attachments by mount (attachments.h), in a mount namespace of the test's own, from which
 * nothing gets out. The mounts are read-only and of the file system that they lie on, so that st_dev
 * tells nothing: it is asserted that they are mounts, and that they cannot be written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <sys/mount.h>

#include "tx/attachments.h"

/* Why not, or NULL: then all mounts from here on are this process's own. */
static const char *enter_namespace(void)
{
	if (geteuid() != 0)
		return "only root may mount";
	if (unshare(CLONE_NEWNS) < 0)
		return "no mount namespaces here";
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return "mounts cannot be made private here";
	return NULL;
}

static unsigned count_mounts(const char *path)
{
	TEXT *wanted = text_of(" %s ", path);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, wanted) != NULL;
	(void)fclose(f);
	return n;
}

static void unmount_all(const char *path)
{
	for (unsigned i = 0; i < 8 && count_mounts(path) > 0; i++)
		(void)umount2(path, MNT_DETACH);
	assert_int_equal(count_mounts(path), 0);
}

static void a_mount_killed_anywhere_is_finished_by_the_next_command(void **state)
{
	killed_anywhere(*state);
}

static void a_mount_whose_call_fails_is_mended_by_the_next_command(void **state)
{
	failing_anywhere(*state);
}

/* Also when the head moved on before anybody came by. */
static void no_mount_stays_covered_whatever_was_killed(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	const struct scene *scene = &scenes[3];
	struct paths p;
	uint64_t n;

	assert_int_equal(scene->what, PUBLISH);
	prepare(*state, &p);
	n = count_calls(&p, scene);
	for (uint64_t k = 1; k <= n; k++) {
		const struct pl_seam_plan plan = {.exit_at = k, .calls = 0};

		begin(&p, scene);
		end_at(&p, scene, &plan);
		print_message("# ended at call %llu\n", (unsigned long long)k);
		assert_true(count_mounts(p.path) <= 2);
		assert_int_equal(run(&p, ROLLBACK, NULL, &error), 0);
		path_must_be_as_recorded(&p);
		assert_int_equal(count_mounts(p.path), 1);
	}
	done(&p);
}

static void a_mount_cannot_be_written(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct paths p;

	prepare(*state, &p);
	begin(&p, &scenes[0]);
	assert_int_equal(run(&p, ATTACH, "site", &error), 0);
	assert_int_equal(count_mounts(p.path), 1);
	assert_int_equal(mkdir(p.stranger, 0700), -1);
	assert_int_equal(errno, EROFS);
	unmount_all(p.path);
	done(&p);
}

static void where_a_mount_cannot_be_replaced_it_is_refused_with_the_reason(void **state)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct paths p;

	prepare(*state, &p);
	begin(&p, &scenes[0]);
	pl_seam_disable(PL_CAP_BENEATH);
	assert_int_equal(run(&p, ATTACH, "site", &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.message, "MOVE_MOUNT_BENEATH"));
	assert_int_equal(count_names(p.out), 0);
	pl_seam_disable(0);
	assert_int_equal(run(&p, ATTACH, "site", &error), 0);
	unmount_all(p.path);
	done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(a_mount_killed_anywhere_is_finished_by_the_next_command),
		yard_test(a_mount_whose_call_fails_is_mended_by_the_next_command),
		yard_test(no_mount_stays_covered_whatever_was_killed),
		yard_test(a_mount_cannot_be_written),
		yard_test(where_a_mount_cannot_be_replaced_it_is_refused_with_the_reason),
	};
	const char *why = enter_namespace();

	if (why) {
		(void)printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	attachment_mode = "mount";
	attachment_clear = unmount_all;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
