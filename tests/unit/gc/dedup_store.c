/*
 * Equal blocks of a store are shared (dedup, by reflink), ended at every call: what is there stays, byte for byte, and
 * nothing is left (G4, G6).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/images.h"
#include "tx/yard.h"

#define FILES 9
#define SIZE  20000 /* of each; several blocks */

/* Files of equal content, each an object of its own by its mode; and one that begins like them. */
static void make_equal(const char *dir, char what)
{
	char *content = malloc(SIZE + 1);

	if (!content || mkdir(dir, 0755) < 0)
		abort();
	memset(content, what, SIZE);
	content[SIZE] = '\0';
	for (int i = 0; i <= FILES; i++) {
		TEXT *name = text_of("%d", i);
		TEXT *path = text_of("%s/%d", dir, i);

		if (i == FILES)
			content[SIZE - 1]++;
		put(dir, name, content);
		if (chmod(path, (mode_t)(0600 + i)) < 0)
			abort();
	}
	free(content);
}

static int dedup(const char *store, uint64_t *ret_reflinked)
{
	struct pleach_dedup_options options = PLEACH_DEDUP_OPTIONS_INIT;
	struct pleach_dedup_result result = PLEACH_DEDUP_RESULT_INIT;
	struct pleach_error error = PLEACH_ERROR_INIT;
	const char *const paths[] = {store, NULL};
	int r;

	options.how = "reflink";
	r = pleach_dedup(paths, &options, &result, NULL, &error);
	if (r < 0)
		(void)fprintf(stderr, "# dedup: %s\n", error.message);
	if (ret_reflinked)
		*ret_reflinked = result.reflinked;
	return r;
}

static int dedup_until(const char *store, uint64_t k)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		pl_seam_arm(&(struct pl_seam_plan){.exit_at = k});
		_exit(dedup(store, NULL) == 0 ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		abort();
	return WEXITSTATUS(status);
}

static int is_well(const char *store)
{
	TEXT *trouble = trouble_by_check(store, 0);

	if (trouble)
		(void)fprintf(stderr, "# %s\n", trouble);
	return trouble == NULL;
}

static int collect(const char *path)
{
	struct outcome o;
	struct pleach_store *store = open_at(path, &o);
	int r = pleach_gc(store, NULL, NULL, NULL, &o.error);

	pleach_store_close(store);
	return r;
}

static bool shows(const char *store, const char *source)
{
	TEXT *site = text_of("%s/site", store);
	TEXT *found = fingerprint(site);
	TEXT *expected = fingerprint(source);

	return strcmp(found, expected) == 0;
}

/* What must be so after a death: nothing is changed, the next one shares what is left, all goes on. */
static int goes_on(const char *store, const char *equal, const char *next)
{
	TEXT *line = text_of("test -z \"$(find '%s' -name '.pleach-*')\"", store);
	const char *const argv[] = {"sh", "-c", line, NULL};
	uint64_t again = 1;
	struct outcome o;

	CHECK(shows(store, equal) && is_well(store));
	o = publish_at(store, "site", next);
	CHECK(o.r == 0 && shows(store, next) && is_well(store));
	CHECK(collect(store) == 0);
	CHECK(dedup(store, NULL) == 0 && dedup(store, &again) == 0 && again == 0);
	CHECK(shows(store, next) && is_well(store));
	{
		TEXT *tx = names_in(store, "tx");
		TEXT *trash = names_in(store, "trash");

		CHECK(tx[0] == '\0' && strcmp(trash, "batch collector ") == 0);
	}
	yard_run(argv);
	return 0;
}

static int killed_anywhere(struct scratch *s, const char *kind)
{
	TEXT *template = text_of("%s/fs/template", s->path);
	TEXT *store = text_of("%s/fs/S", s->path);
	TEXT *equal = text_of("%s/fs/equal", s->path);
	TEXT *next = text_of("%s/fs/next", s->path);
	const char *const cp[] = {"cp", "-a", "--reflink=never", template, store, NULL};
	uint64_t k = 1, reflinked = 0;
	struct outcome o;
	int status = 99;

	if (private_mounts(s) < 0 || mount_image(s, kind, "fs", NULL) != 0)
		return NOT_TO_BE_HAD;
	make_equal(equal, 'a');
	make_equal(next, 'b');
	pl_seam_disable(PL_CAP_SUBVOLUME |
			PL_CAP_REFLINK); /* or they shared blocks from the beginning */
	make_store(template, NULL);
	o = publish_at(template, "site", equal);
	must(&o, "publish");
	yard_run(cp);
	pl_seam_disable(PL_CAP_SUBVOLUME);
	CHECK(dedup(store, &reflinked) == 0 && reflinked == FILES - 1);
	for (; status == 99; k++) {
		yard_remove(store);
		yard_run(cp);
		status = dedup_until(store, k);
		CHECK(status == 99 || status == 0);
		if (goes_on(store, equal, next) != 0) {
			(void)fprintf(stderr, "# on %s, ended at call %u\n", kind, (unsigned)k);
			return 1;
		}
	}
	print_message("# %s: %u points\n", kind, (unsigned)(k - 2));
	return k > 5 ? 0 : 1;
}

static int on_xfs(struct scratch *s)
{
	return killed_anywhere(s, "xfs");
}

static int on_btrfs(struct scratch *s)
{
	return killed_anywhere(s, "btrfs");
}

static void killed_at_any_call_in_a_store_nothing_is_lost_or_leaked(struct scratch *s,
								    int (*on)(struct scratch *s))
{
	int r = pl_may_mount() == 1 ? in_child(on, s) : NOT_TO_BE_HAD;

	if (r == NOT_TO_BE_HAD)
		SKIP("such a file system cannot be made and mounted here");
	assert_int_equal(r, 0);
}

static void G6_killed_at_any_call_in_a_store_on_xfs_nothing_is_lost_or_leaked(void **state)
{
	killed_at_any_call_in_a_store_nothing_is_lost_or_leaked(*state, on_xfs);
}

static void G6_killed_at_any_call_in_a_store_on_btrfs_nothing_is_lost_or_leaked(void **state)
{
	killed_at_any_call_in_a_store_nothing_is_lost_or_leaked(*state, on_btrfs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(G6_killed_at_any_call_in_a_store_on_xfs_nothing_is_lost_or_leaked),
		TEST(G6_killed_at_any_call_in_a_store_on_btrfs_nothing_is_lost_or_leaked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
