/*
 * Whatever ends a call that shares files, wherever, and whatever others do beside it: no name is without its
 * content, nothing of others is lost, nothing is left that the next call does not remove (D1, D2, L1 to L4).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/dedups.h"

/* ---- ended and failed at every call ---- */

static void killed_at_any_call_nothing_is_lost_or_leaked(void **state)
{
	struct scratch *s = *state;
	uint64_t n = 1;
	int status;

	for (;; n++) {
		(void)number_of(s, "rm -rf t; echo 0");
		assert_int_equal(make_tree(s), 0);
		status = killed_at(n, dedup_tree, s);
		if (status == 0)
			break;
		assert_int_equal(status, 99);
		assert_true(tree_is_whole(s));
		assert_true(count_unfinished(s) <= 1);
		/* The next one comes by from further up. */
		struct dedup_call c = dedup_begin("link");

		assert_int_equal(dedup_at(s, &c, ""), 0);
		assert_true(tree_is_whole(s));
		assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
		assert_int_equal(count_unfinished(s), 0);
	}
	print_message("# %u points\n", (unsigned)(n - 1));
	assert_true(n > 15);
}

static void killed_at_any_call_with_an_index_nothing_is_lost_or_leaked(void **state)
{
	struct scratch *s = *state;
	uint64_t n = 1;

	for (;; n++) {
		(void)number_of(s, "rm -rf t index; echo 0");
		assert_int_equal(make_tree(s), 0);
		if (killed_at(n, dedup_tree_with_index, s) == 0)
			break;
		assert_true(tree_is_whole(s));
		assert_int_equal(dedup_tree_with_index(s), 0);
		assert_true(tree_is_whole(s));
		assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
		assert_int_equal(number_of(s, "find index -type f | wc -l"), 4);
		assert_int_equal(number_of(s, "find t -type f -size +0 -links 1 | wc -l"), 0);
		assert_int_equal(count_unfinished(s), 0);
	}
	print_message("# %u points\n", (unsigned)(n - 1));
	assert_true(n > 25);
}

static uint64_t syncs_before_link;

static void note_syncs(uint64_t number, enum pl_call call, void *userdata)
{
	(void)number;
	(void)userdata;
	if (call == PL_CALL_LINK && syncs_before_link == 0)
		syncs_before_link = pl_seam_count_of(PL_CALL_SYNC) + 1;
}

static void what_names_come_to_lead_to_is_synced_before(void **state)
{
	struct scratch *s = *state;
	struct pl_fs fs;

	assert_int_equal(pl_fs_probe(s->fd, &fs), 0);
	if (fs.is_volatile)
		SKIP("nothing is durable here");
	assert_int_equal(make_tree(s), 0);
	syncs_before_link = 0;
	pl_seam_arm(&(struct pl_seam_plan){.stop = note_syncs});
	assert_int_equal(dedup_tree(s), 0);
	assert_true(syncs_before_link >= 2); /* one more than there were */
	/* One for all where that is a barrier; the other leader is as old as that one. */
	assert_true(!fs.has_syncfs_barrier || pl_seam_count_of(PL_CALL_SYNC) <= 3);
	pl_seam_disable(PL_CAP_SYNCFS);
	(void)number_of(s, "rm -rf t; echo 0");
	assert_int_equal(make_tree(s), 0);
	pl_seam_arm(&(struct pl_seam_plan){0});
	assert_int_equal(dedup_tree(s), 0);
	assert_int_equal(pl_seam_count_of(PL_CALL_SYNC), 2); /* one a leader */
}

static void failed_at_any_call_nothing_is_lost_or_leaked(void **state)
{
	static const int errnos[] = {EIO, ENOSPC, EACCES, EPERM, EMLINK, ENOENT, EXDEV, EINTR};
	struct scratch *s = *state;
	int fds = count_fds();

	for (size_t e = 0; e < PL_ARRAY_LEN(errnos); e++) {
		for (uint64_t n = 1;; n++) {
			struct dedup_call c = dedup_begin("link");
			uint64_t calls;
			int r;

			(void)number_of(s, "rm -rf t; echo 0");
			assert_int_equal(make_tree(s), 0);
			pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = errnos[e]});
			r = dedup_at(s, &c, "t");
			calls = pl_seam_count();
			pl_seam_arm(NULL);
			assert_true(tree_is_whole(s));
			assert_int_equal(count_fds(), fds);
			assert_true(r >= 0 || c.error.message[0]);
			assert_true(r != PLEACH_PARTIAL || c.findings > 0);
			assert_int_equal(dedup_tree(s), 0);
			assert_true(tree_is_whole(s));
			assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
			assert_int_equal(count_unfinished(s), 0);
			if (calls < n)
				break;
		}
	}
}

static void failed_at_any_call_with_an_index_nothing_is_lost_or_leaked(void **state)
{
	static const int errnos[] = {EIO, ENOSPC, EACCES, EMLINK, ENOENT};
	struct scratch *s = *state;
	int fds = count_fds();

	for (size_t e = 0; e < PL_ARRAY_LEN(errnos); e++) {
		for (uint64_t n = 1;; n++) {
			uint64_t calls;

			(void)number_of(s, "rm -rf t index; echo 0");
			assert_int_equal(make_tree(s), 0);
			pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = errnos[e]});
			(void)dedup_tree_with_index(s);
			calls = pl_seam_count();
			pl_seam_arm(NULL);
			assert_true(tree_is_whole(s));
			assert_int_equal(count_fds(), fds);
			assert_int_equal(dedup_tree_with_index(s), 0);
			assert_true(tree_is_whole(s));
			assert_int_equal(number_of(s, "find index -type f | wc -l"), 4);
			assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
			assert_int_equal(count_unfinished(s), 0);
			if (calls < n)
				break;
		}
	}
}

/* ---- limits of the file system ---- */

static void no_more_links_is_a_second_copy(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");
	char name[16];

	assert_int_equal(make_dir(s, "t", 0755), 0);
	for (int i = 0; i < 8; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		assert_int_equal(put(s, name, "equal"), 0);
	}
	/* The fourth link cannot be made: five names of the first, then three of the next. */
	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 4, .fail_errno = EMLINK, .calls = 1u << PL_CALL_LINK});
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	pl_seam_arm(NULL);
	assert_int_equal(count_inodes(s), 2);
	assert_int_equal(number_of(s, "find t -type f -links 4 | wc -l"), 8);
	assert_int_equal(c.result.linked, 6);
	assert_int_equal(count_unfinished(s), 0);
}

static void a_directory_that_takes_no_more_leaves_the_name_as_it_is(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");

	assert_int_equal(make_tree(s), 0);
	pl_seam_arm(&(struct pl_seam_plan){
		.fail_at = 1, .fail_errno = ENOSPC, .calls = 1u << PL_CALL_RENAME});
	assert_int_equal(dedup_at(s, &c, "t"), PLEACH_PARTIAL);
	pl_seam_arm(NULL);
	assert_int_equal(c.findings, 1);
	assert_int_equal(c.result.linked, 2);
	assert_true(tree_is_whole(s));
}

static void names_are_replaced_by_rename_where_they_cannot_trade_places(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(make_tree(s), 0);
	pl_seam_disable(PL_CAP_EXCHANGE);
	assert_int_equal(dedup_tree(s), 0);
	assert_true(tree_is_whole(s));
	assert_int_equal(count_inodes(s), TREE_INODES_SHARED + 1);
	assert_int_equal(count_unfinished(s), 0);
}

/* ---- somebody else, right before a call ---- */

struct other {
	const struct scratch *s;
	enum pl_call call;
	void (*act)(const struct scratch *s);
	int fd; /* what it keeps open */
	bool is_done;
};

static void at_call(uint64_t number, enum pl_call call, void *userdata)
{
	struct other *o = userdata;

	(void)number;
	if (call != o->call || o->is_done)
		return;
	o->is_done = true;
	o->act(o->s);
}

static int kept_fd = -1;

/* Two files, x and y, of which one is replaced by the other while `act` comes before the first `call`. */
static struct dedup_call beside(struct scratch *s, enum pl_call call,
				void (*act)(const struct scratch *s))
{
	struct dedup_call c = dedup_begin("link");
	struct other o = {.s = s, .call = call, .act = act};

	assert_int_equal(make_dir(s, "t", 0755), 0);
	assert_int_equal(put(s, "t/x", "equal"), 0);
	assert_int_equal(put(s, "t/y", "equal"), 0);
	assert_int_equal(linkat(s->fd, "t/x", s->fd, "t/x2", 0), 0); /* x leads */
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_call, .userdata = &o});
	assert_int_equal(dedup_at(s, &c, "t"), 0);
	pl_seam_arm(NULL);
	assert_true(o.is_done);
	assert_int_equal(count_unfinished(s), 0);
	return c;
}

static void replace_y(const struct scratch *s)
{
	(void)put(s, "new", "newer");
	(void)renameat(s->fd, "new", s->fd, "t/y");
}

static void what_is_put_at_the_name_meanwhile_stays(void **state)
{
	struct dedup_call c = beside(*state, PL_CALL_RENAME, replace_y);

	assert_string_equal(content_of(*state, "t/y"), "newer");
	assert_string_equal(content_of(*state, "t/x"), "equal");
	assert_int_equal(c.result.left_alone, 1);
	assert_int_equal(c.result.linked, 0);
}

static void what_is_put_at_the_name_meanwhile_stays_where_names_cannot_trade_places(void **state)
{
	struct dedup_call c;

	pl_seam_disable(PL_CAP_EXCHANGE);
	c = beside(*state, PL_CALL_LINK, replace_y);
	assert_string_equal(content_of(*state, "t/y"), "newer");
	assert_string_equal(content_of(*state, "t/x"), "equal");
	assert_int_equal(c.result.left_alone, 1);
	assert_int_equal(c.result.linked, 0);
}

/* The first way of what was put there back fails; the second gives it another name. */
static void what_cannot_go_back_to_its_name_gets_one_beside_it(void **state)
{
	struct scratch *s = *state;
	struct dedup_call c = dedup_begin("link");
	struct other o = {.s = s, .call = PL_CALL_RENAME, .act = replace_y};

	assert_int_equal(make_dir(s, "t", 0755), 0);
	assert_int_equal(put(s, "t/x", "equal"), 0);
	assert_int_equal(put(s, "t/y", "equal"), 0);
	assert_int_equal(linkat(s->fd, "t/x", s->fd, "t/x2", 0), 0);
	pl_seam_arm(&(struct pl_seam_plan){.stop = at_call,
					   .userdata = &o,
					   .fail_at = 2,
					   .fail_errno = EIO,
					   .calls = 1u << PL_CALL_RENAME});
	assert_int_equal(dedup_at(s, &c, "t"), PLEACH_PARTIAL);
	pl_seam_arm(NULL);
	assert_int_equal(c.findings, 1);
	assert_int_equal(number_of(s, "cat t/y.* | grep -cx newer"), 1);
	assert_string_equal(content_of(s, "t/y"), "equal");
	assert_int_equal(count_unfinished(s), 0);
}

static void write_to(const struct scratch *s, const char *name)
{
	int fd = openat(s->fd, name, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "EQUAL", 5) == 5)
		close(fd);
}

static void write_y(const struct scratch *s)
{
	write_to(s, "t/y");
}

static void what_is_written_into_the_file_meanwhile_stays(void **state)
{
	static const enum pl_call calls[] = {PL_CALL_MKDIR, PL_CALL_LINK, PL_CALL_RENAME};

	for (size_t i = 0; i < PL_ARRAY_LEN(calls); i++) {
		struct dedup_call c = beside(*state, calls[i], write_y);

		assert_string_equal(content_of(*state, "t/y"), "EQUAL");
		assert_string_equal(content_of(*state, "t/x"), "equal");
		assert_int_equal(c.result.left_alone, 1);
		(void)number_of(*state, "rm -rf t; echo 0");
	}
}

static void write_x(const struct scratch *s)
{
	write_to(s, "t/x");
}

static void what_is_written_into_the_leader_meanwhile_is_not_spread(void **state)
{
	static const enum pl_call calls[] = {PL_CALL_MKDIR, PL_CALL_LINK, PL_CALL_RENAME};

	for (size_t i = 0; i < PL_ARRAY_LEN(calls); i++) {
		(void)beside(*state, calls[i], write_x);
		assert_string_equal(content_of(*state, "t/y"), "equal");
		assert_string_equal(content_of(*state, "t/x"), "EQUAL");
		(void)number_of(*state, "rm -rf t; echo 0");
	}
}

static void open_y(const struct scratch *s)
{
	kept_fd = openat(s->fd, "t/y", O_RDWR | O_CLOEXEC);
}

static void a_file_that_is_open_for_writing_is_left_alone(void **state)
{
	static const enum pl_call calls[] = {PL_CALL_MKDIR, PL_CALL_LINK, PL_CALL_RENAME};

	for (size_t i = 0; i < PL_ARRAY_LEN(calls); i++) {
		struct dedup_call c = beside(*state, calls[i], open_y);

		assert_int_equal(c.result.left_alone, 1);
		assert_int_equal(write(kept_fd, "later", 5), 5);
		close(kept_fd);
		assert_string_equal(content_of(*state, "t/y"), "later");
		assert_string_equal(content_of(*state, "t/x"), "equal");
		(void)number_of(*state, "rm -rf t; echo 0");
	}
}

static void remove_y(const struct scratch *s)
{
	(void)unlinkat(s->fd, "t/y", 0);
}

static void a_name_that_goes_stays_away(void **state)
{
	(void)beside(*state, PL_CALL_RENAME, remove_y);
	assert_int_equal(faccessat(((struct scratch *)*state)->fd, "t/y", F_OK, 0), -1);
	assert_string_equal(content_of(*state, "t/x"), "equal");
}

static void remove_x(const struct scratch *s)
{
	(void)unlinkat(s->fd, "t/x", 0);
	(void)unlinkat(s->fd, "t/x2", 0);
}

static void where_the_leader_goes_the_next_one_leads(void **state)
{
	(void)beside(*state, PL_CALL_LINK, remove_x);
	assert_string_equal(content_of(*state, "t/y"), "equal");
}

static void link_y(const struct scratch *s)
{
	(void)linkat(s->fd, "t/x", s->fd, "new", 0);
	(void)renameat(s->fd, "new", s->fd, "t/y");
}

static void what_another_call_has_linked_is_fine(void **state)
{
	(void)beside(*state, PL_CALL_RENAME, link_y);
	assert_true(same_file(*state, "t/x", "t/y"));
}

static void move_the_directory(const struct scratch *s)
{
	(void)renameat(s->fd, "t/d", s->fd, "moved");
	(void)symlinkat("../victim", s->fd, "t/d");
}

static void a_symlink_in_the_way_leads_nowhere_else(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "victim", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "t", 0755), 0);
	assert_int_equal(mkdirat(s->fd, "t/d", 0755), 0);
	for (int i = 0; i < 100; i++) { /* more than stay open */
		char name[32];

		(void)snprintf(name, sizeof(name), "t/d/%d", i);
		assert_int_equal(put(s, name, "equal"), 0);
		(void)snprintf(name, sizeof(name), "victim/%d", i);
		assert_int_equal(put(s, name, "equal"), 0);
	}
	struct other o = {.s = s, .call = PL_CALL_MKDIR, .act = move_the_directory};
	struct dedup_call c = dedup_begin("link");

	pl_seam_arm(&(struct pl_seam_plan){.stop = at_call, .userdata = &o});
	assert_true(dedup_at(s, &c, "t") >= 0);
	pl_seam_arm(NULL);
	assert_int_equal(number_of(s, "find victim -type f -links 1 | wc -l"), 100);
}

/* ---- many at once ---- */

#define SHARERS 3
#define FILES	40

static int share_for_long(struct scratch *s)
{
	for (int i = 0; i < 30; i++) {
		struct dedup_call c = dedup_begin("link");

		if (dedup_at(s, &c, "t") < 0) {
			(void)fprintf(stderr, "# %s\n", c.error.message);
			return 1;
		}
	}
	return 0;
}

/* Replaces files of its own and reads them back. For a moment one may show what it was before (L1). */
static int write_for_long(struct scratch *s)
{
	char name[32], next[32], text[32];

	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "t/w%d", i % 5);
		(void)snprintf(next, sizeof(next), "next");
		(void)snprintf(text, sizeof(text), "equal%d", i % 3);
		CHECK(put(s, next, text) == 0);
		CHECK(renameat(s->fd, next, s->fd, name) == 0);
		for (int k = 0; strcmp(content_of(s, name), text) != 0; k++)
			CHECK(k < 1000);
	}
	return 0;
}

static int read_for_long(struct scratch *s)
{
	char name[32], text[32];

	for (int i = 0; i < 20000; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i % FILES);
		(void)snprintf(text, sizeof(text), "equal%d", i % FILES % 3);
		CHECK(strcmp(content_of(s, name), text) == 0);
	}
	return 0;
}

static void many_at_once_beside_writers_and_readers(void **state)
{
	int (*const functions[])(struct scratch * s) = {
		share_for_long, share_for_long, share_for_long, write_for_long, read_for_long};
	pid_t pids[PL_ARRAY_LEN(functions)];
	struct scratch *s = *state;
	char name[32], text[32];
	int status;

	assert_int_equal(make_dir(s, "t", 0755), 0);
	for (int i = 0; i < FILES; i++) {
		(void)snprintf(name, sizeof(name), "t/%d", i);
		(void)snprintf(text, sizeof(text), "equal%d", i % 3);
		assert_int_equal(put(s, name, text), 0);
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(functions); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(functions[i](s));
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(functions); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(dedup_tree(s), 0);
	assert_int_equal(count_inodes(s), 3);
	assert_int_equal(count_unfinished(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(killed_at_any_call_nothing_is_lost_or_leaked),
		TEST(killed_at_any_call_with_an_index_nothing_is_lost_or_leaked),
		TEST(what_names_come_to_lead_to_is_synced_before),
		TEST(failed_at_any_call_nothing_is_lost_or_leaked),
		TEST(failed_at_any_call_with_an_index_nothing_is_lost_or_leaked),
		TEST(no_more_links_is_a_second_copy),
		TEST(a_directory_that_takes_no_more_leaves_the_name_as_it_is),
		TEST(names_are_replaced_by_rename_where_they_cannot_trade_places),
		TEST(what_is_put_at_the_name_meanwhile_stays),
		TEST(what_is_put_at_the_name_meanwhile_stays_where_names_cannot_trade_places),
		TEST(what_cannot_go_back_to_its_name_gets_one_beside_it),
		TEST(what_is_written_into_the_file_meanwhile_stays),
		TEST(what_is_written_into_the_leader_meanwhile_is_not_spread),
		TEST(a_file_that_is_open_for_writing_is_left_alone),
		TEST(a_name_that_goes_stays_away),
		TEST(where_the_leader_goes_the_next_one_leads),
		TEST(what_another_call_has_linked_is_fine),
		TEST(a_symlink_in_the_way_leads_nowhere_else),
		TEST(many_at_once_beside_writers_and_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
