/* A path has one record in a ref, which is whole or not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/world.h"

/* Strings are not the attachment's: it is not to be done with. */
static struct pl_attachment sample(const struct pl_ref *ref, const char *path, uint64_t generation)
{
	struct pl_attachment a = {
		.path = (char *)(uintptr_t)path,
		.mode = "symlink",
		.generation = generation,
		.target = (char *)(uintptr_t) "../a/site",
	};

	memcpy(a.ref_id, ref->id, sizeof(a.ref_id));
	if (generation > 0)
		pl_hash_of("tree", 4, &a.tree);
	return a;
}

static int put(struct world *w, const char *path, uint64_t generation)
{
	struct pl_attachment a = sample(&w->ref, path, generation);

	return pl_attachment_write(&w->ref, &w->tx, &a, NULL);
}

static void a_record_comes_back(void **state)
{
	static const char odd[] = "/srv/\x01 %41\n\xff\x7f/x";
	struct world w = make_world(*state);
	struct pl_attachment a, back;

	assert_int_equal(pl_attachment_read(&w.ref, odd, &back, NULL), -ENOENT);
	for (uint64_t generation = 0; generation < 3; generation++) {
		a = sample(&w.ref, odd, generation);
		assert_int_equal(pl_attachment_write(&w.ref, &w.tx, &a, NULL), 0);
		assert_int_equal(pl_attachment_read(&w.ref, odd, &back, NULL), 0);
		assert_string_equal(back.path, odd);
		assert_string_equal(back.mode, "symlink");
		assert_string_equal(back.target, "../a/site");
		assert_string_equal(back.ref_id, w.ref.id);
		assert_true(back.generation == generation);
		assert_true(pl_id_equal(&a.tree, &back.tree));
		pl_attachment_done(&back);
	}
	assert_int_equal(count_names(w.ref.fd, "attached"), 1);
	end_world(&w);
}

static void the_name_is_the_hash_of_the_path(void **state)
{
	struct world w = make_world(*state);
	struct pl_attachment back;
	/* printf %s /srv/www | sha256sum */
	static const char name[] =
		"attached/8260f8d2cd40829615d7fd8a5ea5e332cfd6fbbbceb68eaa5835b46f10c5df90";

	umask(077);
	assert_int_equal(put(&w, "/srv/www", 0), 0);
	umask(022);
	assert_int_equal(mode_of(w.ref.fd, name), 0644);
	assert_int_equal(pl_attachment_read_named(&w.ref, strchr(name, '/') + 1, &back, NULL), 0);
	assert_string_equal(back.path, "/srv/www");
	pl_attachment_done(&back);
	end_world(&w);
}

static void all_are_listed(void **state)
{
	struct world w = make_world(*state);
	struct pl_attachment *all;
	size_t n;
	int seen = 0;

	assert_int_equal(pl_attachment_list(&w.ref, &all, &n, NULL), 0);
	assert_int_equal(n, 0);
	pl_attachments_free(all, n);
	assert_int_equal(put(&w, "/a", 0), 0);
	assert_int_equal(put(&w, "/b", 4), 0);
	assert_int_equal(put(&w, "/c", 0), 0);
	assert_int_equal(make_file(w.ref.fd, "attached/.hidden", "x"), 0);
	assert_int_equal(pl_attachment_list(&w.ref, &all, &n, NULL), 0);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		seen |= 1 << (all[i].path[1] - 'a');
	assert_int_equal(seen, 7);
	pl_attachments_free(all, n);
	end_world(&w);
}

static void one_is_removed(void **state)
{
	struct world w = make_world(*state);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_attachment back;

	assert_int_equal(put(&w, "/a", 0), 0);
	assert_int_equal(put(&w, "/b", 0), 0);
	assert_int_equal(pl_attachment_remove(&w.ref, "/a", NULL), 0);
	assert_int_equal(pl_attachment_read(&w.ref, "/a", &back, NULL), -ENOENT);
	assert_int_equal(pl_attachment_remove(&w.ref, "/a", &error), -ENOENT);
	assert_int_equal(error.code, PLEACH_NOT_FOUND);
	assert_non_null(strstr(error.message, "/a"));
	assert_int_equal(count_names(w.ref.fd, "attached"), 1);
	end_world(&w);
}

static void a_missing_directory_is_made(void **state)
{
	struct world w = make_world(*state);
	struct pl_attachment *all, back;
	size_t n;

	assert_int_equal(pl_rmdir(w.ref.fd, "attached"), 0);
	assert_int_equal(pl_attachment_list(&w.ref, &all, &n, NULL), 0);
	assert_true(n == 0 && !all);
	assert_int_equal(pl_attachment_read(&w.ref, "/a", &back, NULL), -ENOENT);
	assert_int_equal(pl_attachment_remove(&w.ref, "/a", NULL), -ENOENT);
	assert_int_equal(put(&w, "/a", 0), 0);
	assert_int_equal(mode_of(w.ref.fd, "attached"), 0755);
	end_world(&w);
}

static void every_single_byte_change_is_found(void **state)
{
	struct world w = make_world(*state);
	struct pl_listing listing;
	PL_CLOSE int fd = pl_open_dir(w.ref.fd, "attached");
	PL_BUFFER b = {0};
	const char *name;

	assert_int_equal(put(&w, "/a", 3), 0);
	assert_int_equal(pl_list(fd, &listing), 0);
	assert_int_equal(listing.n, 1);
	name = listing.entries[0].name;
	assert_int_equal(pl_read_file(fd, name, PL_TEXT_MAX, &b), 0);
	for (size_t i = 0; i < b.length; i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		struct pl_attachment back, *all;
		size_t n;
		int r;

		b.data[i] ^= 1;
		assert_int_equal(pl_unlink(fd, name), 0);
		assert_int_equal(pl_write_file(fd, name, 0644, b.data, b.length, false), 0);
		b.data[i] ^= 1;
		r = pl_attachment_read(&w.ref, "/a", &back, &error);
		assert_true(r == -EBADMSG || (r == -EPROTONOSUPPORT && i == 18));
		assert_int_equal(error.code, r == -EBADMSG ? PLEACH_CORRUPT : PLEACH_FAILED);
		assert_int_equal(pl_attachment_list(&w.ref, &all, &n, NULL), r);
	}
	pl_listing_done(&listing);
	end_world(&w);
}

/* A text of these lines under the name of a path. */
static int read_body_of(struct world *w, const char *path, const char *lines)
{
	char name[PL_ID_HEX + 16] = "attached/";
	struct pl_attachment back;
	PL_BUFFER b = {0};
	struct pl_id id;
	int r;

	pl_hash_of(path, strlen(path), &id);
	pl_id_hex(&id, name + strlen(name));
	pl_buffer_add_format(&b, "pleach-attachment 1\nref-id %s\n%s", w->ref.id, lines);
	pl_text_end(&b);
	(void)pl_unlink(w->ref.fd, name);
	assert_int_equal(pl_write_file(w->ref.fd, name, 0644, b.data, b.length, false), 0);
	r = pl_attachment_read(&w->ref, path, &back, NULL);
	if (r == 0)
		pl_attachment_done(&back);
	return r;
}

static int read_body(struct world *w, const char *lines)
{
	return read_body_of(w, "/a", lines);
}

#define TIME "time 2009-02-13T23:31:30.000000042Z\n"
#define TREE "tree sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"

static void a_record_that_verifies_but_breaks_a_rule_is_refused(void **state)
{
	static const char *const bad[] = {
		"path /b\nmode symlink\ngeneration 0\ntarget x\n" TIME,
		"path a\nmode symlink\ngeneration 0\ntarget x\n" TIME,
		"path /a\nmode nosuch\ngeneration 0\ntarget x\n" TIME,
		"path /a\nmode symlinksymlinksymlink\ngeneration 0\ntarget x\n" TIME,
		"path /a\nmode symlink\ngeneration 0\n" TREE "target x\n" TIME,
		"path /a\nmode symlink\ngeneration 1\ntarget x\n" TIME,
		"path /a\nmode symlink\ngeneration 0\n" TIME,
		"path /a\nmode symlink\ngeneration 0\ntarget x\n",
		"path /a\nmode symlink\ngeneration 0\ntarget x\n" TIME TIME,
		"",
	};
	struct world w = make_world(*state);

	assert_int_equal(read_body(&w, "path /a\nmode symlink\ngeneration 0\ntarget x\n" TIME), 0);
	assert_int_equal(
		read_body(&w, "path /a\nmode symlink\ngeneration 2\n" TREE "target x\n" TIME), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (read_body(&w, bad[i]) != -EBADMSG)
			fail_msg("not refused: %s", bad[i]);
	}
	assert_int_equal(read_body_of(&w, "a",
				      "path a\nmode symlink\ngeneration 0\ntarget x\n" TIME),
			 -EBADMSG);
	end_world(&w);
}

static void one_of_another_ref_is_damage(void **state)
{
	struct world w = make_world(*state);
	struct pl_attachment *all;
	struct pl_ref other;
	size_t n;

	assert_int_equal(put(&w, "/a", 0), 0);
	assert_int_equal(pl_ref_open_or_create(&w.tx, "other", &other, NULL), 0);
	assert_int_equal(pl_rmdir(other.fd, "attached"), 0);
	assert_int_equal(pl_rename(w.ref.fd, "attached", other.fd, "attached"), 0);
	assert_int_equal(pl_attachment_list(&other, &all, &n, NULL), -EBADMSG);
	pl_ref_close(&other);
	end_world(&w);
}

static void a_record_too_long_for_a_text_is_refused(void **state)
{
	struct world w = make_world(*state);
	PL_FREE char *path = malloc(400001);

	assert_non_null(path);
	memset(path, '\n', 400000); /* three bytes each */
	path[0] = '/';
	path[400000] = '\0';
	assert_int_equal(put(&w, path, 0), -ENAMETOOLONG);
	assert_int_equal(count_names(w.ref.fd, "attached"), 0);
	end_world(&w);
}

static int replace(struct scratch *s)
{
	STORE *store = NULL;
	struct pl_attachment a;
	struct pl_txdir tx;
	struct pl_ref ref;

	CHECK(pl_store_open(scratch_path(s, "a"), &store, NULL) == 0);
	CHECK(pl_txdir_begin(store, "attach", &tx, NULL) == 0);
	CHECK(pl_ref_open(store, "site", &ref, NULL) == 0);
	a = sample(&ref, "/a", 2);
	CHECK(pl_attachment_write(&ref, &tx, &a, NULL) == 0);
	pl_ref_close(&ref);
	pl_txdir_end(&tx);
	return 0;
}

static void killed_at_every_call_a_record_is_the_old_or_the_new_one(void **state)
{
	struct scratch *s = *state;
	struct world w = make_world(s);
	int status = 99, n_new = 0;
	uint64_t n;

	for (n = 1; n < 100 && status == 99; n++) {
		struct pl_attachment back;

		assert_int_equal(put(&w, "/a", 1), 0);
		status = killed_at(n, replace, s);
		assert_true(status == 99 || status == 0);
		assert_int_equal(pl_attachment_read(&w.ref, "/a", &back, NULL), 0);
		assert_true(back.generation == 1 || back.generation == 2);
		n_new += back.generation == 2;
		pl_attachment_done(&back);
	}
	assert_true(n > 10 && n < 100 && n_new > 2 && n_new < (int)n - 6);
	end_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_comes_back),
		TEST(the_name_is_the_hash_of_the_path),
		TEST(all_are_listed),
		TEST(one_is_removed),
		TEST(a_missing_directory_is_made),
		TEST(every_single_byte_change_is_found),
		TEST(a_record_that_verifies_but_breaks_a_rule_is_refused),
		TEST(one_of_another_ref_is_damage),
		TEST(a_record_too_long_for_a_text_is_refused),
		TEST(killed_at_every_call_a_record_is_the_old_or_the_new_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
