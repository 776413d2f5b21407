/* Tags name generations for good: the tree has its user before the tag, and keeps it as long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

/* A store with ref `site`, whose generations 1, 2, 3 have the trees A, B, A. */
struct world {
	struct pl_store *store;
	struct pl_txdir tx;
	struct pl_ref ref;
	struct pl_id trees[4];
};

static void make_tree(struct world *w, const char *what, struct pl_id *ret_id)
{
	char hex[PL_ID_HEX + 1];
	PL_CLOSE int fd = -EBADF;

	pl_hash_of(what, strlen(what), ret_id);
	pl_id_hex(ret_id, hex);
	if (pl_mkdir(w->store->trees_fd, hex, 0711) == -EEXIST)
		return;
	fd = pl_open_dir(w->store->trees_fd, hex);
	assert_int_equal(make_file(fd, "pin", ""), 0);
	assert_int_equal(pl_mkdir(fd, "users", 0700), 0);
}

static void make_generation(struct world *w, uint64_t n, const char *tree)
{
	struct pl_record record = {.generation = n, .parent = n - 1, .kind = "publish"};
	PL_BUFFER b = {0};
	char name[24];

	make_tree(w, tree, &w->trees[n]);
	record.tree = w->trees[n];
	memcpy(record.ref, w->ref.name, sizeof(record.ref));
	memcpy(record.ref_id, w->ref.id, sizeof(record.ref_id));
	pl_record_stamp(&record);
	assert_int_equal(pl_record_encode(&record, &b), 0);
	(void)snprintf(name, sizeof(name), "%" PRIu64, n);
	assert_int_equal(pl_text_write(w->ref.gen_fd, name, 0644, &b, false), 0);
}

static struct world make_world(const struct scratch *s)
{
	struct world w = {.store = open_store(s, "a")};

	assert_non_null(w.store);
	assert_int_equal(pl_txdir_begin(w.store, "test", &w.tx, NULL), 0);
	assert_int_equal(pl_ref_open_or_create(&w.tx, "site", &w.ref, NULL), 0);
	make_generation(&w, 1, "A");
	make_generation(&w, 2, "B");
	make_generation(&w, 3, "A");
	return w;
}

static void end_world(struct world *w)
{
	pl_ref_close(&w->ref);
	pl_txdir_end(&w->tx);
	pl_store_close(w->store);
}

/* Does tree n have the user of this tag? */
static bool has_user(const struct world *w, uint64_t n, const char *tag)
{
	char hex[PL_ID_HEX + 1], user[256], path[512];

	pl_user_of_tag(&w->ref, tag, user);
	(void)snprintf(path, sizeof(path), "%s/users/%s", pl_id_hex(&w->trees[n], hex), user);
	return pl_exists(w->store->trees_fd, path) == 1;
}

static int set(struct world *w, const char *name, uint64_t n, bool force)
{
	return pl_tag_set(&w->ref, &w->tx, name, n, force, NULL);
}

static uint64_t generation_of(struct world *w, const char *name)
{
	struct pl_tag tag;
	int r = pl_tag_read(&w->ref, name, &tag, NULL);

	if (r < 0)
		return 0;
	assert_string_equal(tag.name, name);
	assert_true(pl_id_equal(&tag.tree, &w->trees[tag.generation]));
	return tag.generation;
}

static void a_tag_names_a_generation_and_its_tree_has_a_user(void **state)
{
	struct world w = make_world(*state);

	assert_int_equal(set(&w, "v1", 2, false), 0);
	assert_true(generation_of(&w, "v1") == 2);
	assert_true(has_user(&w, 2, "v1") && !has_user(&w, 1, "v1"));
	assert_int_equal(set(&w, "v1", 2, false), 1);
	assert_int_equal(set(&w, "v1", 2, true), 1);
	assert_false(pl_ref_is_locked(&w.ref));
	assert_int_equal(mode_of(w.ref.fd, "tags/v1"), 0644);
	end_world(&w);
}

static void a_tag_with_another_target_moves_only_by_force(void **state)
{
	struct world w = make_world(*state);
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(pl_tag_set(&w.ref, &w.tx, "v1", 2, false, &error), -EEXIST);
	assert_int_equal(error.code, PLEACH_FAILED);
	assert_non_null(strstr(error.hint, "--force"));
	assert_true(generation_of(&w, "v1") == 1 && !has_user(&w, 2, "v1"));
	assert_int_equal(set(&w, "v1", 2, true), 0);
	assert_true(generation_of(&w, "v1") == 2);
	assert_true(has_user(&w, 2, "v1") && !has_user(&w, 1, "v1"));
	end_world(&w);
}

static void moving_between_generations_of_one_tree_keeps_its_user(void **state)
{
	struct world w = make_world(*state);

	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(set(&w, "v1", 3, true), 0);
	assert_true(generation_of(&w, "v1") == 3 && has_user(&w, 3, "v1"));
	end_world(&w);
}

static void bad_names_are_usage_errors(void **state)
{
	static const char *const bad[] = {"",	  "1",	    "007", "a/b", "../x",
					  "tree", "a.lock", "-1",  ".a",  "a b"};
	struct world w = make_world(*state);

	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_tag tag;

		assert_int_equal(pl_tag_set(&w.ref, &w.tx, bad[i], 1, true, &error), -EINVAL);
		assert_int_equal(error.code, PLEACH_USAGE);
		assert_int_equal(pl_tag_read(&w.ref, bad[i], &tag, &error), -ENOENT);
		assert_int_equal(error.code, PLEACH_NOT_FOUND);
		assert_int_equal(pl_tag_delete(&w.ref, bad[i], &error), -ENOENT);
	}
	assert_int_equal(set(&w, "1a", 1, false), 0);
	assert_int_equal(set(&w, "2024-01-01", 1, false), 0);
	end_world(&w);
}

static void a_generation_that_is_not_there_or_dropped_cannot_be_tagged(void **state)
{
	struct world w = make_world(*state);
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_tag_set(&w.ref, &w.tx, "v1", 4, false, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_int_equal(make_file(w.ref.fd, "dropped/2", ""), 0);
	assert_int_equal(pl_tag_set(&w.ref, &w.tx, "v1", 2, false, &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_non_null(strstr(error.message, "dropped"));
	assert_true(generation_of(&w, "v1") == 0 && !has_user(&w, 2, "v1"));
	end_world(&w);
}

static void a_tree_that_is_missing_is_corruption(void **state)
{
	struct world w = make_world(*state);
	char hex[PL_ID_HEX + 1];
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(pl_erase(w.store->trees_fd, pl_id_hex(&w.trees[2], hex), NULL), 0);
	assert_int_equal(pl_tag_set(&w.ref, &w.tx, "v1", 2, false, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_true(generation_of(&w, "v1") == 0);
	end_world(&w);
}

static void deleting_takes_tag_and_user_away(void **state)
{
	struct world w = make_world(*state);
	struct pleach_error error = PLEACH_ERROR_INIT;

	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(set(&w, "v2", 1, false), 0);
	assert_int_equal(pl_tag_delete(&w.ref, "v1", NULL), 0);
	assert_true(generation_of(&w, "v1") == 0 && !has_user(&w, 1, "v1"));
	assert_true(generation_of(&w, "v2") == 1 && has_user(&w, 1, "v2"));
	assert_int_equal(pl_tag_delete(&w.ref, "v1", &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_false(pl_ref_is_locked(&w.ref));
	end_world(&w);
}

static void tags_are_listed_by_name(void **state)
{
	struct world w = make_world(*state);
	struct pl_strings names;

	assert_int_equal(pl_tag_list(&w.ref, &names, NULL), 0);
	assert_int_equal(names.n, 0);
	assert_int_equal(set(&w, "v10", 1, false), 0);
	assert_int_equal(set(&w, "a", 1, false), 0);
	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(make_file(w.ref.fd, "tags/.hidden", ""), 0);
	assert_int_equal(pl_tag_list(&w.ref, &names, NULL), 0);
	assert_int_equal(names.n, 3);
	assert_string_equal(names.items[0], "a");
	assert_string_equal(names.items[1], "v1");
	assert_string_equal(names.items[2], "v10");
	pl_strings_done(&names);
	end_world(&w);
}

static void a_missing_tags_directory_is_made(void **state)
{
	struct world w = make_world(*state);
	struct pl_strings names;

	assert_int_equal(pl_rmdir(w.ref.fd, "tags"), 0);
	assert_int_equal(pl_tag_list(&w.ref, &names, NULL), 0);
	assert_int_equal(names.n, 0);
	assert_true(generation_of(&w, "v1") == 0);
	assert_int_equal(pl_tag_delete(&w.ref, "v1", NULL), -ENOENT);
	umask(077);
	assert_int_equal(set(&w, "v1", 1, false), 0);
	umask(022);
	assert_int_equal(mode_of(w.ref.fd, "tags"), 0755);
	end_world(&w);
}

/* ---- damage ---- */

static void every_single_byte_change_of_a_tag_is_found(void **state)
{
	struct world w = make_world(*state);
	PL_BUFFER b = {0};

	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(pl_read_file(w.ref.fd, "tags/v1", PL_TEXT_MAX, &b), 0);
	for (size_t i = 0; i < b.length; i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_tag tag;
		int r;

		b.data[i] ^= 1;
		assert_int_equal(pl_unlink(w.ref.fd, "tags/v1"), 0);
		assert_int_equal(pl_write_file(w.ref.fd, "tags/v1", 0644, b.data, b.length, false),
				 0);
		b.data[i] ^= 1;
		r = pl_tag_read(&w.ref, "v1", &tag, &error);
		assert_true(r == -EBADMSG || (r == -EPROTONOSUPPORT && i == 11));
		assert_int_equal(error.code, r == -EBADMSG ? PLEACH_CORRUPT : PLEACH_FAILED);
	}
	end_world(&w);
}

static void a_tag_of_another_name_or_ref_is_damage(void **state)
{
	struct world w = make_world(*state);
	struct pl_tag tag;
	struct pl_ref other;

	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(pl_link(w.ref.fd, "tags/v1", w.ref.fd, "tags/v2"), 0);
	assert_int_equal(pl_tag_read(&w.ref, "v2", &tag, NULL), -EBADMSG);
	assert_int_equal(pl_ref_open_or_create(&w.tx, "other", &other, NULL), 0);
	assert_int_equal(pl_link(w.ref.fd, "tags/v1", other.fd, "tags/v1"), 0);
	assert_int_equal(pl_tag_read(&other, "v1", &tag, NULL), -EBADMSG);
	pl_ref_close(&other);
	end_world(&w);
}

static void a_damaged_tag_can_be_replaced_by_force_or_deleted(void **state)
{
	struct world w = make_world(*state);

	assert_int_equal(make_file(w.ref.fd, "tags/v1", "damaged"), 0);
	assert_int_equal(set(&w, "v1", 1, false), -EBADMSG);
	assert_int_equal(set(&w, "v1", 1, true), 0);
	assert_true(generation_of(&w, "v1") == 1);
	assert_int_equal(make_file(w.ref.fd, "tags/v2", "damaged"), 0);
	assert_int_equal(pl_tag_delete(&w.ref, "v2", NULL), 0);
	assert_int_equal(pl_exists(w.ref.fd, "tags/v2"), 0);
	end_world(&w);
}

/* ---- killed, failed, raced ---- */

struct watcher {
	struct pl_ref *other; /* the same ref, opened again */
	int n_busy, n_free;
};

/* Is the ref locked when a call changes tags or users? */
static void watch_lock(uint64_t number, enum pl_call call, void *userdata)
{
	struct watcher *watcher = userdata;
	int r;

	if (call != PL_CALL_LINK && call != PL_CALL_UNLINK && call != PL_CALL_RENAME)
		return;
	r = pl_ref_try_lock(watcher->other, NULL);
	watcher->n_busy += r == 0;
	watcher->n_free += r != 0;
	pl_ref_unlock(watcher->other);
}

static void tags_change_under_the_ref_lock_alone(void **state)
{
	struct world w = make_world(*state);
	struct watcher watcher = {0};
	struct pl_ref other;

	assert_int_equal(pl_ref_open(w.store, "site", &other, NULL), 0);
	watcher.other = &other;
	pl_seam_arm(&(struct pl_seam_plan){.stop = watch_lock, .userdata = &watcher});
	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(set(&w, "v1", 2, true), 0);
	assert_int_equal(pl_tag_delete(&w.ref, "v1", NULL), 0);
	pl_seam_arm(NULL);
	assert_true(watcher.n_busy >= 5 && watcher.n_free == 0);
	pl_ref_close(&other);
	end_world(&w);
}

static void a_ref_that_is_locked_already_stays_locked(void **state)
{
	struct world w = make_world(*state);

	assert_int_equal(pl_ref_lock(&w.ref, 0, NULL), 0);
	assert_int_equal(set(&w, "v1", 1, false), 0);
	assert_int_equal(pl_tag_delete(&w.ref, "v1", NULL), 0);
	assert_true(pl_ref_is_locked(&w.ref));
	end_world(&w);
}

static int move_tag(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_txdir tx;
	struct pl_ref ref;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_txdir_begin(store, "tag", &tx, NULL) == 0);
	CHECK(pl_ref_open(store, "site", &ref, NULL) == 0);
	CHECK(pl_tag_set(&ref, &tx, "v1", 2, true, NULL) == 0);
	pl_ref_close(&ref);
	pl_txdir_end(&tx);
	return 0;
}

static void killed_at_every_call_a_tag_is_old_or_new_and_has_its_user(void **state)
{
	struct scratch *s = *state;
	int status = 99, n_new = 0;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		struct world w = make_world(s);
		uint64_t generation;

		assert_int_equal(set(&w, "v1", 1, false), 0);
		status = killed_at(n, move_tag, s);
		assert_true(status == 99 || status == 0);
		generation = generation_of(&w, "v1");
		if ((generation != 1 && generation != 2) || !has_user(&w, generation, "v1"))
			fail_msg("killed at %" PRIu64 ": v1 is %" PRIu64, n, generation);
		n_new += generation == 2;
		/* The next one finds no lock in its way. */
		assert_true(set(&w, "v1", 2, true) >= 0);
		end_world(&w);
		assert_int_equal(pl_erase(s->fd, "a", NULL), 0);
	}
	assert_true(n > 12 && n < 100 && n_new > 3 && n_new < (int)n - 6);
}

static void failed_at_every_call_a_tag_is_old_or_new_and_has_its_user(void **state)
{
	struct scratch *s = *state;
	uint64_t n, calls = 0;

	for (n = 1; n < 100; n++) {
		struct world w = make_world(s);
		struct pleach_error error = PLEACH_ERROR_INIT;
		uint64_t generation;
		int r;

		assert_int_equal(set(&w, "v1", 1, false), 0);
		pl_seam_arm(&(struct pl_seam_plan){.fail_at = n, .fail_errno = EIO});
		r = pl_tag_set(&w.ref, &w.tx, "v1", 2, true, &error);
		calls = pl_seam_count();
		pl_seam_arm(NULL);
		assert_true(r == 0 || (r == -EIO && error.message[0]));
		generation = generation_of(&w, "v1");
		assert_true(generation == 2 || (generation == 1 && r < 0));
		assert_true(has_user(&w, generation, "v1"));
		assert_false(pl_ref_is_locked(&w.ref));
		end_world(&w);
		assert_int_equal(pl_erase(s->fd, "a", NULL), 0);
		if (calls < n)
			break;
	}
	assert_true(n > 6 && n < 100);
}

static int set_new_tags(struct scratch *s)
{
	STORE *store = NULL;
	int n_made = 0;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	for (int i = 0; i < 20; i++) {
		struct pl_txdir tx;
		struct pl_ref ref;
		char name[16];
		int r;

		(void)snprintf(name, sizeof(name), "v%d", i);
		CHECK(pl_txdir_begin(store, "tag", &tx, NULL) == 0);
		CHECK(pl_ref_open(store, "site", &ref, NULL) == 0);
		r = pl_tag_set(&ref, &tx, name, 1 + getpid() % 2, false, NULL);
		CHECK(r == 0 || r == 1 || r == -EEXIST);
		n_made += r == 0;
		pl_ref_close(&ref);
		pl_txdir_end(&tx);
	}
	return 100 + n_made;
}

static void of_many_at_once_each_tag_is_made_by_one(void **state)
{
	struct scratch *s = *state;
	struct world w = make_world(s);
	int n_made = 0;
	pid_t pids[4];

	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(set_new_tags(s));
	}
	for (size_t i = 0; i < PL_ARRAY_LEN(pids); i++) {
		int status;

		assert_true(waitpid(pids[i], &status, 0) == pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) >= 100);
		n_made += WEXITSTATUS(status) - 100;
	}
	assert_int_equal(n_made, 20);
	assert_int_equal(count_names(w.ref.fd, "tags"), 20);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tag_names_a_generation_and_its_tree_has_a_user),
		TEST(a_tag_with_another_target_moves_only_by_force),
		TEST(moving_between_generations_of_one_tree_keeps_its_user),
		TEST(bad_names_are_usage_errors),
		TEST(a_generation_that_is_not_there_or_dropped_cannot_be_tagged),
		TEST(a_tree_that_is_missing_is_corruption),
		TEST(deleting_takes_tag_and_user_away),
		TEST(tags_are_listed_by_name),
		TEST(a_missing_tags_directory_is_made),
		TEST(every_single_byte_change_of_a_tag_is_found),
		TEST(a_tag_of_another_name_or_ref_is_damage),
		TEST(a_damaged_tag_can_be_replaced_by_force_or_deleted),
		TEST(tags_change_under_the_ref_lock_alone),
		TEST(a_ref_that_is_locked_already_stays_locked),
		TEST(killed_at_every_call_a_tag_is_old_or_new_and_has_its_user),
		TEST(failed_at_every_call_a_tag_is_old_or_new_and_has_its_user),
		TEST(of_many_at_once_each_tag_is_made_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
