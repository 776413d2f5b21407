/* Strays are what somebody has put into a layout, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tx/yard.h"

#include "place/place.h"
#include "ref/ref.h"

/* What a checkout of the tree `a`, changed by a shell command, is told to be. */
static int strays_after(const struct yard *y, struct pl_store *store, const struct pl_id *tree,
			const char *command)
{
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_node_source nodes = pl_store_nodes(store);
	struct pl_findings findings = {0};
	TEXT *out = text_of("%s/out", y->path);
	TEXT *line = text_of("cd '%s' && %s", out, command);
	const char *const argv[] = {"sh", "-c", line, NULL};
	struct pl_checkout checkout = {.store = store, .tree = *tree, .directory = out};
	int parent = open(y->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	yard_remove(out);
	assert_int_equal(pl_checkout_run(&checkout, &findings, &error), 0);
	pl_findings_done(&findings);
	yard_run(argv);
	r = pl_strays_find(&nodes, tree, parent, "out", 1, &error);
	close(parent);
	return r;
}

static void strays_are_found_wherever_and_whatever_they_are(void **state)
{
	static const char *const strange[] = {
		"echo x >new",		"echo x >d/e/new",
		"mkdir d/e/new",	"ln -s x same/new",
		"echo longer >>a",	"rm a && mkdir a",
		"rm -r d && echo x >d", "rm d/equal1 && echo EQUAL >d/equal1",
		"touch d/equal1",	"echo x >zzz",
		"echo x >.hidden",	"rm link && echo >link",
	};
	static const char *const ours[] = {
		"true",		  "rm a",	 "rm -r d", "rm d/e/twin",
		"rm -r d/e same", "chmod 600 a", "touch d", "rm -r ./*",
	};
	const struct yard *y = *state;
	TEXT *path = text_of("%s/store", y->path);
	TEXT *source = text_of("%s/a", y->path);
	struct pl_store *store;
	struct pl_rev rev;
	struct outcome o;

	make_store(path, NULL);
	make_source(source, "a", 2);
	o = publish_at(path, "site", source);
	must(&o, "publish");
	assert_int_equal(pl_store_open(path, &store, NULL), 0);
	assert_int_equal(pl_rev_resolve(store, "site", NULL, &rev, NULL), 0);
	for (size_t i = 0; i < PL_ARRAY_LEN(strange); i++)
		if (strays_after(y, store, &rev.tree, strange[i]) != 1)
			fail_msg("not found: %s", strange[i]);
	for (size_t i = 0; i < PL_ARRAY_LEN(ours); i++)
		if (strays_after(y, store, &rev.tree, ours[i]) != 0)
			fail_msg("taken for a stray: %s", ours[i]);
	pl_rev_done(&rev);
	pl_store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(strays_are_found_wherever_and_whatever_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
