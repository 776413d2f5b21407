/* A copy of a tree for a workspace: exact or an error, and no inode shared with the store (G4, G8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "place/checkouts.h"

static int copy_to(struct fixture *f, const char *name)
{
	struct pl_copy copy = {
		.store = f->store,
		.tree = f->tree,
		.dirfd = f->s->fd,
		.name = name,
		.label = "here",
	};
	int r;

	pl_error_clear(&f->error);
	r = pl_copy_run(&copy, &f->error);
	assert_true(r <= 0 && (r == 0 || f->error.message[0]));
	return r;
}

static void a_copy_is_the_tree_and_leaves_nothing_beside_it_G8(void **state)
{
	struct fixture *f = *state;
	int fds = count_fds(), names = count_names(f->s->fd, ".");

	assert_int_equal(copy_to(f, "w"), 0);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(count_names(f->s->fd, "."), names + 1);
	assert_true(is_the_tree(f, "w"));
}

static void no_inode_of_a_copy_is_one_of_the_store_G4(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(copy_to(f, "w"), 0);
	assert_int_equal(pl_lstat(f->s->fd, "w/a", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(pl_lstat(f->s->fd, "w/empty", &st), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(pl_lstat(f->s->fd, "w/third", &st), 0);
	assert_int_equal(st.st_nlink, 3);
	assert_int_equal(pl_lstat(f->s->fd, "w/sub/link", &st), 0);
	assert_int_equal(st.st_nlink, 2);
}

static void what_cannot_be_had_exactly_is_an_error_by_path_G8(void **state)
{
	struct fixture *f = *state;

	/* Whatever metadata it is: each is asked for, refused once, and never passed over. */
	for (uint64_t n = 1; n < 200; n++) {
		uint64_t calls;
		int r;

		pl_seam_arm(&(struct pl_seam_plan){
			.fail_at = n, .fail_errno = EPERM, .calls = 1u << PL_CALL_META});
		r = copy_to(f, "w");
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		if (calls < n) {
			assert_int_equal(r, 0);
			assert_in_range(n, 5, 199);
			break;
		}
		if (r == 0)
			assert_true(is_the_tree(f, "w"));
		else
			assert_true(r == -EPERM || r == -EACCES);
		remove_tree(f, "w");
		remove_tree(f, "groups");
	}
}

static void a_strict_checkout_with_a_finding_is_not_made_G8(void **state)
{
	struct fixture *f = *state;
	struct pl_checkout checkout = {
		.store = f->store,
		.tree = f->tree,
		.directory = scratch_path(f->s, "out"),
		.is_strict = true,
	};

	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 1, .fail_on = true, .fail_errno = EMLINK, .calls = 1u << PL_CALL_LINK});
	assert_int_equal(pl_checkout_run(&checkout, &f->findings, &f->error), -EPERM);
	pl_seam_arm(NULL);
	assert_non_null(strstr(f->error.message, "hard link"));
	assert_true(f->error.path[0] != '\0');
	assert_int_equal(pl_exists(f->s->fd, "out"), 0);
	assert_int_equal(count_unfinished(f, "."), 0);
}

struct looked {
	struct fixture *f;
	unsigned times;
	int answer;
};

static int look(void *self, int root_fd, struct pleach_error *error)
{
	struct looked *looked = self;

	looked->times++;
	assert_int_equal(pl_exists(root_fd, "ro/first"), 1);
	assert_int_equal(pl_exists(looked->f->s->fd, "out"), 0);
	return looked->answer < 0 ? pl_fail(error, PLEACH_FAILED, looked->answer, "no") : 0;
}

static void who_looks_before_the_name_sees_all_and_may_refuse(void **state)
{
	struct fixture *f = *state;
	struct looked looked = {.f = f, .answer = -EXDEV};
	struct pl_checkout checkout = {
		.store = f->store,
		.tree = f->tree,
		.directory = scratch_path(f->s, "out"),
		.before_name = look,
		.self = &looked,
	};

	assert_int_equal(pl_checkout_run(&checkout, &f->findings, &f->error), -EXDEV);
	assert_int_equal(pl_exists(f->s->fd, "out"), 0);
	looked.answer = 0;
	assert_int_equal(pl_checkout_run(&checkout, &f->findings, &f->error), 0);
	assert_int_equal(looked.times, 2);
	assert_true(is_the_tree(f, "out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(a_copy_is_the_tree_and_leaves_nothing_beside_it_G8),
		FIXTURE_TEST(no_inode_of_a_copy_is_one_of_the_store_G4),
		FIXTURE_TEST(what_cannot_be_had_exactly_is_an_error_by_path_G8),
		FIXTURE_TEST(a_strict_checkout_with_a_finding_is_not_made_G8),
		FIXTURE_TEST(who_looks_before_the_name_sees_all_and_may_refuse),
	};

	return cmocka_run_group_tests_name("place/copy", tests, NULL, NULL);
}
