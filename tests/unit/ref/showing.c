/* What is shown at a path comes back as it was written; a text that lies leads nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/world.h"

static struct pl_shown item(enum pl_shown_role role, uint64_t n, const char *name)
{
	struct pl_shown s = {.role = role,
			     .generation = n,
			     .k = (unsigned)n + 1,
			     .identity = {UINT64_MAX, 7, 999999999},
			     .since_s = n * 10};

	pl_hash_of(&n, sizeof(n), &s.tree);
	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	return s;
}

static void what_is_shown_comes_back(void **state)
{
	struct world w = make_world(*state);
	struct pl_showing a = {.path = strdup("/srv/\x01 %41\n\xff"), .mode = "mount"}, back;
	struct pl_strings hashes = {0};
	struct pl_shown items[] = {
		item(PL_SHOWN_OLD, 1, ".pleach-a"),
		item(PL_SHOWN_NOW, 2, "-"),
		item(PL_SHOWN_OLD, 3, ".pleach-b"),
		item(PL_SHOWN_NEXT, 4, ".pleach-c"),
	};

	assert_int_equal(pl_ref_lock(&w.ref, -1, NULL), 0);
	memcpy(a.ref_id, w.ref.id, sizeof(a.ref_id));
	a.has_made = true;
	for (size_t i = 0; i < PL_ARRAY_LEN(items); i++)
		assert_int_equal(pl_showing_add(&a, &items[i]), 0);
	assert_int_equal(pl_showing_read(&w.ref, a.path, &back, NULL), -ENOENT);
	assert_int_equal(pl_showing_list(&w.ref, &hashes, NULL), 0);
	assert_int_equal(hashes.n, 0);
	assert_int_equal(pl_showing_write(&w.ref, &w.tx, &a, true, NULL), 0);
	assert_int_equal(pl_showing_read(&w.ref, a.path, &back, NULL), 0);
	assert_string_equal(back.path, a.path);
	assert_string_equal(back.mode, "mount");
	assert_true(back.has_made);
	assert_int_equal(back.n, 4);
	for (size_t i = 0; i < 4; i++) {
		/* now, next, old */
		static const size_t order[] = {1, 3, 0, 2};
		const struct pl_shown *x = &back.items[i], *y = &items[order[i]];

		assert_int_equal(x->role, y->role);
		assert_true(x->generation == y->generation && x->k == y->k);
		assert_true(pl_id_equal(&x->tree, &y->tree));
		assert_string_equal(x->name, y->name);
		assert_true(pl_identity_equal(&x->identity, &y->identity));
		assert_true(x->since_s == y->since_s);
	}
	assert_ptr_equal(pl_showing_find(&back, PL_SHOWN_NEXT), &back.items[1]);
	pl_showing_remove(&back, 1);
	assert_null(pl_showing_find(&back, PL_SHOWN_NEXT));
	assert_int_equal(pl_showing_list(&w.ref, &hashes, NULL), 0);
	assert_int_equal(hashes.n, 1);
	assert_int_equal(pl_showing_forget(&w.ref, a.path, NULL), 0);
	assert_int_equal(pl_showing_forget(&w.ref, a.path, NULL), 0);
	assert_int_equal(count_names(w.ref.fd, "showing"), 0);
	pl_strings_done(&hashes);
	pl_showing_done(&back);
	pl_showing_done(&a);
	end_world(&w);
}

static int read_body(struct world *w, const char *lines)
{
	struct pl_showing back;
	char name[PL_ID_HEX + 16] = "showing/";
	PL_BUFFER b = {0};
	struct pl_id id;
	int r;

	pl_hash_of("/a", 2, &id);
	pl_id_hex(&id, name + strlen(name));
	pl_buffer_add_format(&b, "pleach-showing 1\nref-id %s\n%s", w->ref.id, lines);
	pl_text_end(&b);
	(void)pl_mkdir(w->ref.fd, "showing", 0755);
	(void)pl_unlink(w->ref.fd, name);
	assert_int_equal(pl_write_file(w->ref.fd, name, 0644, b.data, b.length, false), 0);
	r = pl_showing_read(&w->ref, "/a", &back, NULL);
	if (r == 0)
		pl_showing_done(&back);
	return r;
}

#define HEAD "path /a\nmode exchange\nmade 0\n"
#define TREE "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_text_that_verifies_but_breaks_a_rule_is_refused(void **state)
{
	static const char *const bad[] = {
		"path /b\nmode exchange\nmade 0\n",
		"path /a\nmode symlink\nmade 0\n",
		"path /a\nmode exchange\nmade 2\n",
		"path /a\nmode exchange\n",
		HEAD "now 0 " TREE " 0 - 1 2 3 0\n",
		HEAD "now 1 " TREE " 0 - 1 2 3\n",
		HEAD "now 1 " TREE " 0 - 1 2 3 0 0\n",
		HEAD "now 1 " TREE " 0 - 1 2 1000000000 0\n",
		HEAD "now 1 sha1:00 0 - 1 2 3 0\n",
		HEAD "now 1 " TREE " 0 - 1 2 3 0\nnow 1 " TREE " 0 - 1 2 3 0\n",
		HEAD "old 1 " TREE " 0 .pleach-x 1 2 3 0\nnow 1 " TREE " 0 - 1 2 3 0\n",
		/* names that lead elsewhere */
		HEAD "old 1 " TREE " 0 home 1 2 3 0\n",
		HEAD "old 1 " TREE " 0 .pleach-/../home 1 2 3 0\n",
		HEAD "old 1 " TREE " 0 .. 1 2 3 0\n",
		HEAD "old 1 " TREE " 0  1 2 3 0\n",
		HEAD "old 1 " TREE " 0 .pleach-0123456789012345678901234567890123456789 1 2 3 0\n",
		HEAD "next 1 " TREE " 0 - -1 2 3 0\n",
		HEAD "then 1 " TREE " 0 - 1 2 3 0\n",
		"",
	};
	struct world w = make_world(*state);

	assert_int_equal(pl_ref_lock(&w.ref, -1, NULL), 0);
	assert_int_equal(read_body(&w, HEAD), 0);
	assert_int_equal(read_body(&w, HEAD "now 1 " TREE " 0 - 1 2 3 0\nold 1 " TREE
					    " 0 .pleach-x 1 2 3 4\n"),
			 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		if (read_body(&w, bad[i]) != -EBADMSG)
			fail_msg("not refused: %s", bad[i]);
	}
	end_world(&w);
}

static void no_more_than_the_most_are_kept(void **state)
{
	struct pl_showing a = {0};
	struct pl_shown old = item(PL_SHOWN_OLD, 1, ".pleach-a");

	(void)state;
	for (unsigned i = 0; i < PL_SHOWN_MAX; i++)
		assert_int_equal(pl_showing_add(&a, &old), 0);
	assert_int_equal(pl_showing_add(&a, &old), -E2BIG);
	pl_showing_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_shown_comes_back),
		TEST(a_text_that_verifies_but_breaks_a_rule_is_refused),
		TEST(no_more_than_the_most_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
