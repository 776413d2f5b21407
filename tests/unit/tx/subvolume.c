/*
 * A store that is a btrfs subvolume lives as any other: nothing is ever linked or renamed between it and the
 * directory that it is in (I4 of ref/init.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"
#include "sys/images.h"
#include "tx/tx.h"

static int publish(struct pleach_store *store, const struct scratch *s)
{
	struct pleach_source source = {PLEACH_SOURCE_DIR, scratch_path(s, "src"), NULL};
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = pleach_publish(store, "site", &source, 1, &options, &result, &error);

	if (r != 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	return r;
}

static int drop(struct pleach_store *store)
{
	struct pleach_drop_options options = PLEACH_DROP_OPTIONS_INIT;
	struct pleach_drop_result result = PLEACH_DROP_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	int r = pleach_drop(store, "site", &options, &result, &error);

	if (r != 0)
		(void)fprintf(stderr, "# %s\n", error.message);
	return r;
}

static int lives(struct scratch *s)
{
	struct pleach_store *store = NULL;
	PL_CLOSE int inside = -EBADF;

	CHECK(mkdirat(s->fd, "src", 0755) == 0 && make_file(s->fd, "src/a", "one") == 0);
	CHECK(pl_store_init(scratch_path(s, "S"), NULL, NULL) == 0);
	inside = pl_open_dir(s->fd, "S/.pleach");
	CHECK(inside >= 0 && pl_subvolume_is(inside) == 1);
	CHECK(pleach_store_open(scratch_path(s, "S"), &store, NULL) == 0);
	CHECK(publish(store, s) == 0 && pl_exists(s->fd, "S/site/a") == 1);
	CHECK(make_file(s->fd, "src/b", "two") == 0);
	CHECK(publish(store, s) == 0 && pl_exists(s->fd, "S/site/b") == 1);
	CHECK(drop(store) == 0);
	CHECK(pl_exists(s->fd, "S/site") == 0);
	CHECK(count_names(s->fd, "S") == 1); /* nothing beside it */
	CHECK(publish(store, s) == 0 && pl_exists(s->fd, "S/site/b") == 1);
	/* What somebody put there meanwhile is his (G7). */
	CHECK(unlinkat(s->fd, "S/site", 0) == 0 && symlinkat("his", s->fd, "S/site") == 0);
	CHECK(drop(store) == 0);
	{
		PL_BUFFER target = {0};

		CHECK(pl_readlink(s->fd, "S/site", &target) == 0);
		CHECK(strcmp(pl_buffer_string(&target), "his") == 0);
	}
	pleach_store_close(store);
	CHECK(count_names(s->fd, "S/.pleach/tx") == 0);
	return 0;
}

static int on_btrfs(struct scratch *s)
{
	struct scratch fs;
	int r = scratch_on_image(s, "btrfs", &fs);

	return r != 0 ? r : lives(&fs);
}

static void a_store_that_is_a_subvolume_lives_as_any_other(void **state)
{
	int r = geteuid() == 0 ? in_child(on_btrfs, *state) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("needs root, mkfs.btrfs and a loop device");
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_that_is_a_subvolume_lives_as_any_other),
	};

	return cmocka_run_group_tests_name("tx/subvolume", tests, NULL, NULL);
}
