/* A list of findings counts all, keeps a bounded number, and prints as one line each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "place/place.h"

static void findings_are_kept_in_their_order(void **state)
{
	struct pl_findings findings = {0};

	(void)state;
	assert_int_equal(pl_findings_add(&findings, true, "object", "a/b", "%s %d", "size", 7), 0);
	assert_int_equal(pl_findings_add(&findings, false, "metadata", ".", "no"), 0);
	assert_int_equal(findings.n, 2);
	assert_int_equal(findings.faults, 1);
	assert_int_equal(findings.unverified, 1);
	assert_string_equal(findings.items[0].kind, "object");
	assert_string_equal(findings.items[0].path, "a/b");
	assert_string_equal(findings.items[0].message, "size 7");
	assert_true(findings.items[0].is_fault);
	assert_string_equal(findings.items[0].ref, "");
	assert_string_equal(findings.items[1].message, "no");
	assert_false(findings.items[1].is_fault);
	pl_findings_done(&findings);
	assert_int_equal(findings.n, 0);
	pl_findings_done(&findings);
}

static void a_message_is_one_printable_line(void **state)
{
	struct pl_findings findings = {0};
	char text[3000];

	(void)state;
	assert_int_equal(pl_findings_add(&findings, false, "metadata", "odd\nname", "attribute %s",
					 "user.a\n\033[31m\177b"),
			 0);
	assert_string_equal(findings.items[0].message, "attribute user.a??[31m?b");
	assert_string_equal(findings.items[0].path, "odd\nname"); /* a path is bytes */
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(pl_findings_add(&findings, false, "metadata", text, "%s", text), 0);
	assert_in_range(strlen(findings.items[1].message), 500, sizeof(text) - 1);
	assert_string_equal(findings.items[1].path, text);
	pl_findings_done(&findings);
}

static void beyond_the_limit_they_are_only_counted(void **state)
{
	struct pl_findings findings = {0};

	(void)state;
	for (unsigned i = 0; i < PL_FINDINGS_MAX + 5; i++)
		assert_int_equal(pl_findings_add(&findings, i % 2, "link", "p", "%u", i), 0);
	assert_int_equal(findings.n, PL_FINDINGS_MAX);
	assert_int_equal(findings.left_out, 5);
	assert_int_equal(findings.faults + findings.unverified, PL_FINDINGS_MAX + 5);
	pl_findings_done(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_kept_in_their_order),
		cmocka_unit_test(a_message_is_one_printable_line),
		cmocka_unit_test(beyond_the_limit_they_are_only_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
