/*
 * A checkout: an ordinary copy of a tree, made whole beside its destination and then renamed.
 *
 *	nothing --begin--> .pleach-<random>/tree --every step--> all of it, metadata too
 *		--sync, rename--> DIR, and an empty .pleach-<random> --end--> DIR
 *
 * C1  DIR gets its name once everything below it is complete, and durable if the store is. Killed
 *     before, it leaves a `.pleach-<random>`, which the next one there removes; after, all is done, but for
 *     C3. Damage that is found on the way is before.
 * C2  Who wants to see it complete while nobody else can (`before_name`), or wants it exact or not at
 *     all (`is_strict`), is served before it gets its name.
 * C3  An ordinary user cannot move a directory that he may not write, since that changes its "..".
 *     Such a root gets u+w for the rename, and loses it after. Killed just between, DIR has a mode that is
 *     too wide by u+w; nothing else.
 * C4  An empty directory that is replaced is another one then: who stands in it ("checkout REV .") has to
 *     go there again.
 */
#include <fcntl.h>

#include "place/checkout.h"

#define TREE_NAME "tree"

struct checkout {
	const struct pl_checkout *what;
	struct pl_destination to;
	struct pl_beside beside;
	struct pl_maker maker;
	int root_fd; /* of TREE_NAME, once it is laid out */
};

/* ---- giving it its name ---- */

static int rename_tree(const struct checkout *c)
{
	return pl_rename(c->beside.dir.fd, TREE_NAME, c->to.parent_fd, c->to.name);
}

/* C3. */
static int rename_widened(const struct checkout *c)
{
	struct stat st;
	int back, r = pl_fstat(c->root_fd, &st);

	if (r < 0)
		return r;
	if (st.st_mode & 0200)
		return -EACCES;
	r = pl_chmod(c->root_fd, (st.st_mode & 07777) | 0200);
	if (r < 0)
		return -EACCES;
	r = rename_tree(c);
	back = pl_chmod(c->root_fd, st.st_mode & 07777);
	if (r >= 0 && back >= 0 && c->maker.is_durable)
		back = pl_fsync(c->root_fd);
	return r < 0 ? r : back;
}

static int fail_rename(const struct checkout *c, int r, struct pleach_error *error)
{
	const char *directory = c->what->directory;

	if (r == -ENOTEMPTY || r == -EEXIST || r == -ENOTDIR)
		pl_fail(error, PLEACH_FAILED, r, "somebody else made '%s' meanwhile", directory);
	else
		pl_fail_sys(error, r, "cannot give the checkout its name '%s'", directory);
	if (r == -EBUSY)
		pl_hint(error, "it is a mount point; --update works in place");
	pl_error_path(error, directory);
	return r;
}

static int put_in_place(const struct checkout *c, struct pleach_error *error)
{
	const char *directory = c->what->directory;
	int r = 0;

	if (c->maker.sync_whole)
		r = pl_syncfs(c->to.parent_fd); /* C1 */
	else if (c->maker.sync_each)
		r = pl_fsync(c->beside.dir.fd);
	if (r < 0)
		return pl_fail_sys(error, r, "cannot sync '%s'", directory);
	pl_assert(c->root_fd >= 0);
	r = rename_tree(c);
	if (r == -EACCES)
		r = rename_widened(c);
	if (r < 0)
		return fail_rename(c, r, error);
	if (c->maker.is_durable)
		r = pl_fsync(c->to.parent_fd);
	if (r < 0)
		pl_fail_sys(error, r, "'%s' is complete, but maybe not durable", directory);
	return r;
}

/* ---- the whole ---- */

/* What is there already. 1: it is to be updated. */
static int look(const struct checkout *c, struct pleach_error *error)
{
	const char *directory = c->what->directory;
	int inside, r;

	if (c->to.state == PL_TO_OTHER) {
		r = pl_fail(error, PLEACH_FAILED, -EEXIST, "'%s' is there, and is no directory",
			    directory);
		pl_error_path(error, directory);
		return r;
	}
	if (c->what->update && c->to.state != PL_TO_NOTHING)
		return 1;
	if (c->to.state == PL_TO_FULL) {
		r = pl_fail(error, PLEACH_FAILED, -ENOTEMPTY, "'%s' is not empty", directory);
		pl_hint(error, "--update makes what is there equal to the revision");
		pl_error_path(error, directory);
		return r;
	}
	inside = pl_is_above(c->what->store->fd, c->to.parent_fd);
	if (inside < 0)
		return pl_fail_sys(error, inside, "cannot look at '%s'", directory);
	if (inside == 0)
		return 0;
	r = pl_fail(error, PLEACH_FAILED, -EINVAL, "'%s' is inside the store", directory);
	pl_error_path(error, directory);
	return r;
}

static int begin(struct checkout *c, struct pl_findings *findings, struct pleach_error *error)
{
	int r = pl_beside_begin(c->to.parent_fd, &c->beside);

	if (r < 0) {
		pl_fail_sys(error, r, "cannot make anything beside '%s'", c->what->directory);
		if (r == -EACCES && c->to.state == PL_TO_EMPTY)
			pl_hint(error, "--update works in place");
		return r;
	}
	return pl_maker_begin(&c->maker, c->what, findings, c->beside.dir.fd, error);
}

static void end(struct checkout *c)
{
	pl_closep(&c->root_fd);
	pl_maker_end(&c->maker);
	pl_beside_end(&c->beside);
	pl_destination_done(&c->to);
}

/* C2. */
static int look_before_name(const struct checkout *c, const struct pl_findings *findings,
			    struct pleach_error *error)
{
	const struct pl_checkout *what = c->what;
	int r = what->is_strict ? pl_findings_must_be_none(findings, what->directory, error) : 0;

	if (r >= 0 && what->before_name)
		r = what->before_name(what->self, c->root_fd, error);
	return r;
}

static int run(struct checkout *c, struct pl_findings *findings, struct pleach_error *error)
{
	int r = pl_destination_find(c->what->directory, &c->to, error);

	if (r >= 0)
		r = look(c, error);
	if (r == 1)
		return pl_update_run(c->what, findings, error);
	if (r >= 0)
		r = begin(c, findings, error);
	if (r >= 0)
		r = pl_maker_lay_out(&c->maker, c->beside.dir.fd, TREE_NAME, &c->root_fd, error);
	if (r >= 0)
		r = look_before_name(c, findings, error);
	if (r >= 0)
		r = put_in_place(c, error);
	return r;
}

int pl_checkout_run(const struct pl_checkout *checkout, struct pl_findings *ret_findings,
		    struct pleach_error *error)
{
	struct checkout c = {
		.what = checkout,
		.to = PL_DESTINATION_NONE,
		.beside = PL_BESIDE_NONE,
		.maker = PL_MAKER_NONE,
		.root_fd = -EBADF,
	};
	struct pl_findings findings = {0};
	int r;

	pl_assert(checkout->store && checkout->directory);
	pl_assert(!checkout->update || (!checkout->is_strict && !checkout->before_name));
	r = run(&c, &findings, error);
	end(&c);
	if (r < 0) {
		pl_findings_done(&findings);
		return r;
	}
	pl_assert(findings.faults == 0);
	*ret_findings = findings;
	return findings.unverified > 0 ? PLEACH_PARTIAL : 0;
}
