/*
 * A published tree with something of every kind, and checkouts of it. Include after cmocka.h.
 *
 * Whether a directory is just the tree is asked of a publish: equal trees have equal ids.
 */
#ifndef PL_TEST_CHECKOUTS_H
#define PL_TEST_CHECKOUTS_H

#include "place/place.h"
#include "ref/stores.h"
#include "tx/tx.h"

struct fixture {
	struct scratch *s;
	struct pl_store *store;
	struct pl_id tree;
	struct pl_findings findings; /* of the last checkout */
	struct pleach_error error;
};

/* Publishes NAME of the scratch directory to `ref`, and gives the tree. */
static inline int publish_to(struct fixture *f, const char *ref, const char *name,
			     struct pl_id *ret_tree)
{
	struct pleach_source source = {PLEACH_SOURCE_DIR, scratch_path(f->s, name), NULL};
	struct pleach_publish_options options = PLEACH_PUBLISH_OPTIONS_INIT;
	struct pleach_publish_result result = PLEACH_PUBLISH_RESULT_INIT;
	struct pl_rev rev;
	int r = pl_publish_run(f->store, ref, &source, 1, &options, &result, &f->error);

	if (r == 0)
		r = pl_rev_resolve(f->store, ref, NULL, &rev, &f->error);
	if (r < 0) {
		(void)fprintf(stderr, "# %s\n", f->error.message);
		return r;
	}
	*ret_tree = rev.tree;
	pl_rev_done(&rev);
	return r;
}

static inline bool is_the_tree(struct fixture *f, const char *name)
{
	struct pl_id tree;

	return publish_to(f, "compared", name, &tree) == 0 && pl_id_equal(&tree, &f->tree);
}

static inline int checkout_of(struct fixture *f, const struct pl_id *tree, const char *name,
			      bool update, bool delete_others)
{
	struct pl_checkout checkout = {
		.store = f->store,
		.tree = *tree,
		.directory = scratch_path(f->s, name),
		.update = update,
		.delete_others = delete_others,
	};
	int r;

	pl_findings_done(&f->findings);
	pl_error_clear(&f->error);
	r = pl_checkout_run(&checkout, &f->findings, &f->error);
	assert_true(r >= 0 || f->error.message[0]);
	assert_true((r == PLEACH_PARTIAL) == (f->findings.n > 0));
	return r;
}

static inline int checkout_to(struct fixture *f, const char *name)
{
	return checkout_of(f, &f->tree, name, false, false);
}

static inline int update_to(struct fixture *f, const char *name, bool delete_others)
{
	return checkout_of(f, &f->tree, name, true, delete_others);
}

/* Names of unfinished work in a directory. */
static inline int count_unfinished(struct fixture *f, const char *name)
{
	PL_CLOSE int fd = pl_open_dir(f->s->fd, name);
	struct pl_listing listing;
	int n = 0;

	if (fd < 0 || pl_list(fd, &listing) < 0)
		return -1;
	for (size_t i = 0; i < listing.n; i++)
		n += pl_beside_is_name(listing.entries[i].name);
	pl_listing_done(&listing);
	return n;
}

/* By rm(1), and not by what is tested. */
static inline void remove_tree(struct fixture *f, const char *name)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execlp("sh", "sh", "-c",
		       "chmod -R u+rwx -- \"$0\" 2>/dev/null; exec rm -rf -- \"$0\"",
		       scratch_path(f->s, name), (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static inline void put(struct fixture *f, const char *path, const char *text, mode_t mode)
{
	int fd = openat(f->s->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static inline void fill_source(struct fixture *f)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = -7, .tv_nsec = 123456789}};
	int fd = f->s->fd;

	assert_int_equal(mkdirat(fd, "src", 0750), 0);
	assert_int_equal(mkdirat(fd, "src/sub", 0700), 0);
	assert_int_equal(mkdirat(fd, "src/ro", 0755), 0);
	put(f, "src/a", "one\n", 0644);
	put(f, "src/empty", "", 0600);
	put(f, "src/ro/first", "shared\n", 0444);
	put(f, "src/sub/b", "two\n", 04711);
	assert_int_equal(linkat(fd, "src/ro/first", fd, "src/sub/second", 0), 0);
	assert_int_equal(linkat(fd, "src/ro/first", fd, "src/third", 0), 0);
	assert_int_equal(symlinkat("../a", fd, "src/sub/link"), 0);
	assert_int_equal(linkat(fd, "src/sub/link", fd, "src/sub/link2", 0), 0);
	assert_int_equal(mkfifoat(fd, "src/fifo", 0640), 0);
	(void)setxattr(scratch_path(f->s, "src/a"), "user.note", "hi", 2, 0);
	(void)setxattr(scratch_path(f->s, "src/sub"), "user.note", "dir", 3, 0);
	assert_int_equal(utimensat(fd, "src/sub/b", times, 0), 0);
	assert_int_equal(utimensat(fd, "src/sub/link", times, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(utimensat(fd, "src/sub", times, 0), 0);
	assert_int_equal(fchmodat(fd, "src/ro", 0555, 0), 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || scratch_setup((void **)&f->s) < 0)
		return -1;
	f->error = (struct pleach_error)PLEACH_ERROR_INIT;
	f->store = open_store(f->s, "S");
	if (!f->store)
		return -1;
	fill_source(f);
	*state = f;
	return publish_to(f, "site", "src", &f->tree);
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	pl_seam_arm(NULL);
	pl_findings_done(&f->findings);
	pl_store_close(f->store);
	scratch_teardown((void **)&f->s);
	free(f);
	return 0;
}

#define FIXTURE_TEST(function) \
	cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

/* Runs `function` in a child that ends at call `n`: 99 then, else what it returned. */
static inline int fixture_killed_at(uint64_t n, int (*function)(struct fixture *f),
				    struct fixture *f)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		pl_seam_arm(&(struct pl_seam_plan){.exit_at = n});
		_exit(function(f));
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

#endif
