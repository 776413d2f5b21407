/*
 * A repair that ends anywhere, or in which a call fails: whatever was sound stays so, what was damaged
 * still has a name, and the next repair finishes.
 *
 * A case is a store and something that has happened to it. The mutating calls of its repair are counted once;
 * then, on a fresh copy each, the process ends in the place of call k, or call k fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gc/repairs.h"

static const struct {
	const char *name;
	bool has_scribble; /* something damaged that must have a name afterwards */
} cases[] = {
	{"object", true}, {"placed", true}, {"nodes", false}, {"node", true},
	{"trees", false}, {"users", false}, {"filter", true}, {"public", false},
	{"stray", true},  {"id", true},	    {"tag", true},    {"lock", false},
};

static void prepare(const struct yard *y, const char *store)
{
	TEXT *source = text_of("%s/a", y->path);
	struct pleach_store *opened;
	struct outcome o;

	make_store(store, NULL);
	make_source(source, "a", 0);
	o = publish_at(store, "site", source);
	must(&o, "publish");
	o = publish_at(store, "other", source);
	must(&o, "publish");
	opened = open_at(store, &o);
	o.r = pleach_tag_set(opened, "site", "v1", "@1", 0, &o.error);
	pleach_store_close(opened);
	must(&o, "tag");
}

static void damage(const char *name, const char *store)
{
	TEXT *tree = tree_of(store, "site");
	TEXT *object = object_of(store, "site:d/equal1");
	TEXT *root = node_of(store, tree);
	TEXT *nodes = inner(store, "nodes");
	TEXT *trees = inner(store, "trees");
	TEXT *users = inner(store, "trees/%s/users", tree);
	TEXT *filter = inner(store, "trees/%s/1/filter", tree);
	TEXT *placed = inner(store, "trees/%s/1/tree", tree);
	TEXT *public = inner(store, "refs/site/public");
	TEXT *hop = text_of("%s/site", store);
	TEXT *objects = inner(store, "objects");
	TEXT *id = inner(store, "refs/site/id");
	TEXT *tag = inner(store, "refs/site/tags/v1");
	TEXT *lock = inner(store, "refs/site/lock");

	if (strcmp(name, "object") == 0) {
		scribble(object);
	} else if (strcmp(name, "placed") == 0) {
		put(placed, "d/stray", "SCRIBBLE");
	} else if (strcmp(name, "nodes") == 0) {
		remove_all(nodes);
		assert_int_equal(mkdir(nodes, 0700), 0);
	} else if (strcmp(name, "node") == 0) {
		scribble(root);
	} else if (strcmp(name, "trees") == 0) {
		remove_all(trees);
		assert_int_equal(mkdir(trees, 0755), 0);
	} else if (strcmp(name, "users") == 0) {
		remove_all(users);
	} else if (strcmp(name, "filter") == 0) {
		scribble(filter);
	} else if (strcmp(name, "stray") == 0) {
		put(objects, "stray", "SCRIBBLE");
	} else if (strcmp(name, "id") == 0) {
		scribble(id);
	} else if (strcmp(name, "tag") == 0) {
		scribble(tag);
	} else if (strcmp(name, "lock") == 0) {
		assert_int_equal(unlink(lock), 0);
	} else {
		remove_all(public);
		assert_int_equal(unlink(hop), 0);
	}
}

/* In a child. 0: it came to its end and answered 0 or more; 1: it failed, and said why; 99: ended. 2: it did not say
 * why; 3: a descriptor is left, or was closed too often; 4: a lock is held. */
static int repair_in_child(const char *store, const struct pl_seam_plan *plan, uint64_t *ret_count)
{
	int status = -1, fds[2];
	pid_t pid;

	if (pipe(fds) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		struct pleach_check_options options = PLEACH_CHECK_OPTIONS_INIT;
		struct outcome o;
		struct pleach_store *opened = open_at(store, &o);
		struct answer a;
		unsigned before = count_descriptors();
		uint64_t n;

		options.repair = 1;
		pl_seam_arm(plan);
		a = ask(opened, &options);
		pl_seam_arm(NULL);
		n = pl_seam_count();
		if (count_descriptors() != before)
			_exit(3);
		if (trouble_by_locks(store))
			_exit(4);
		pleach_store_close(opened);
		if (write(fds[1], &n, sizeof(n)) != sizeof(n) ||
		    (a.r < 0 && a.error.message[0] == '\0'))
			_exit(2);
		_exit(a.r < 0 ? 1 : 0);
	}
	close(fds[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		abort();
	if (ret_count && read(fds[0], ret_count, sizeof(*ret_count)) != sizeof(*ret_count))
		abort();
	close(fds[0]);
	return WEXITSTATUS(status);
}

struct world {
	const struct yard *y;
	char *whole, *broken, *store;
	char *shown; /* what `site` is like */
	size_t i;
};

static void fresh(struct world *w)
{
	if (access(w->store, F_OK) == 0)
		remove_all(w->store);
	yard_copy(w->broken, w->store);
}

/* What is seen right after it, whatever came of it, and after the next one. */
static void must_go_on(struct world *w, const char *how, unsigned k)
{
	TEXT *site = text_of("%s/site", w->store);
	TEXT *tx = inner(w->store, "tx");
	TEXT *trouble = NULL;

	if (cases[w->i].has_scribble && count_content(w->store, "SCRIB") == 0)
		fail_msg("%s/%s/%u: what was damaged has no name", cases[w->i].name, how, k);
	{
		ANSWER a = repair(w->store);
		TEXT *after = fingerprint(site);

		if (a.r != 0)
			fail_msg("%s/%s/%u: the next one answers %d %s: %s", cases[w->i].name, how,
				 k, a.r, a.error.message, a.text);
		if (strcmp(after, w->shown) != 0)
			fail_msg("%s/%s/%u: shows\n%s", cases[w->i].name, how, k, after);
	}
	trouble = trouble_by_check(w->store, 0);
	if (trouble)
		fail_msg("%s/%s/%u: %s", cases[w->i].name, how, k, trouble);
	if (count_names(tx) != 0)
		fail_msg("%s/%s/%u: something is left in tx/", cases[w->i].name, how, k);
	if (cases[w->i].has_scribble && count_content(w->store, "SCRIB") == 0)
		fail_msg("%s/%s/%u: what was damaged is lost", cases[w->i].name, how, k);
}

static void try_case(struct world *w)
{
	static const int errors[] = {EIO, ENOSPC, EACCES, EMFILE, EINTR};
	uint64_t n = 0;

	yard_copy(w->whole, w->broken);
	damage(cases[w->i].name, w->broken);
	fresh(w);
	assert_int_equal(repair_in_child(w->store, &(struct pl_seam_plan){0}, &n), 0);
	for (uint64_t k = 1; k <= n; k++) {
		int r;

		fresh(w);
		r = repair_in_child(w->store, &(struct pl_seam_plan){.exit_at = k}, NULL);
		if (r != 99)
			fail_msg("%s/killed/%u: ended with %d", cases[w->i].name, (unsigned)k, r);
		must_go_on(w, "killed", (unsigned)k);
		fresh(w);
		r = repair_in_child(
			w->store, &(struct pl_seam_plan){.fail_at = k, .fail_errno = errors[k % 5]},
			NULL);
		if (r != 0 && r != 1)
			fail_msg("%s/%d/%u: ended with %d", cases[w->i].name, errors[k % 5],
				 (unsigned)k, r);
		must_go_on(w, "failed", (unsigned)k);
	}
	print_message("# %s: %u calls\n", cases[w->i].name, (unsigned)n);
	remove_all(w->broken);
}

static void G6_ended_or_failed_at_any_call_the_next_repair_finishes(void **state)
{
	struct world w = {.y = *state};
	TEXT *site = NULL;

	w.whole = text_of("%s/whole", w.y->path);
	w.broken = text_of("%s/broken", w.y->path);
	w.store = text_of("%s/S", w.y->path);
	prepare(w.y, w.whole);
	site = text_of("%s/site", w.whole);
	w.shown = fingerprint(site);
	for (w.i = 0; w.i < sizeof(cases) / sizeof(*cases); w.i++)
		try_case(&w);
	free(w.whole);
	free(w.broken);
	free(w.store);
	free(w.shown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(G6_ended_or_failed_at_any_call_the_next_repair_finishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
