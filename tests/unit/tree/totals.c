/* Totals as values: how entries are counted in, and that no sum wraps (T1) nor is too deep (T2). */
#include "tree/inner.h"
#include "tree/memory_store.h"

static struct pl_entry directory(const struct pl_totals *totals)
{
	return (struct pl_entry){.kind = 'd', .name = "d", .name_length = 1, .totals = *totals};
}

static struct pl_entry device(char kind, uint32_t major, uint32_t minor)
{
	return (struct pl_entry){
		.kind = kind, .name = "v", .name_length = 1, .major = major, .minor = minor};
}

static void counting_in_adds_sums_and_takes_maxima(void **state)
{
	struct pl_totals t = {0};
	struct pl_totals below = {10, 6, 1000, 2, 3, 77, PL_ODD_OVERLAY};
	struct pl_entry d = directory(&below), f = {.kind = 'f', .size = 5};
	struct pl_totals expected = {12, 7, 1005, 5, 4, 77, PL_ODD_OVERLAY};

	assert_int_equal(pl_totals_add(&t, &d), 0);
	assert_int_equal(pl_totals_add(&t, &f), 0);
	assert_int_equal(pl_totals_add_groups(&t, 3), 0);
	assert_true(pl_totals_equal(&t, &expected));
	below = (struct pl_totals){.xattrs = 20};
	d = directory(&below);
	assert_int_equal(pl_totals_add(&t, &d), 0);
	expected.entries++;
	assert_true(pl_totals_equal(&t, &expected));
}

static void devices_are_oddities(void **state)
{
	static const struct {
		char kind;
		uint32_t major, minor, oddity;
	} devices[] = {{'c', 0, 0, PL_ODD_WHITEOUT},
		       {'b', 0, 0, PL_ODD_WHITEOUT},
		       {'c', 0, 1, PL_ODD_DEVICE},
		       {'b', 8, 0, PL_ODD_DEVICE}};

	for (size_t i = 0; i < PL_ARRAY_LEN(devices); i++) {
		struct pl_entry e = device(devices[i].kind, devices[i].major, devices[i].minor);
		struct pl_totals t = {0};

		assert_int_equal(pl_totals_add(&t, &e), 0);
		assert_int_equal(t.oddities, devices[i].oddity);
		assert_null(pl_totals_flaw(&t));
	}
}

static void xattrs_of_overlayfs_are_oddities(void **state)
{
	static const struct {
		const char *name;
		bool is_odd;
	} names[] = {{"trusted.overlay.", true},   {"trusted.overlay.opaque", true},
		     {"user.overlay.x", true},	   {"user.overlay", false},
		     {"user.overlayfs", false},	   {"trusted.over", false},
		     {"security.overlay.x", false}};

	for (size_t i = 0; i < PL_ARRAY_LEN(names); i++) {
		struct pl_buffer xattrs = {0};
		struct pl_meta meta = {0};
		struct pl_totals t = {0};

		/* Not the first one. */
		pl_buffer_add_u8(&xattrs, 1);
		pl_buffer_add(&xattrs, "a\0\0\0\0", 5);
		pl_buffer_add_u8(&xattrs, (uint8_t)strlen(names[i].name));
		pl_buffer_add_string(&xattrs, names[i].name);
		pl_buffer_add_u32(&xattrs, 0);
		meta.xattrs = xattrs.data;
		meta.xattrs_length = (uint32_t)xattrs.length;
		pl_totals_add_meta(&t, &meta);
		assert_int_equal(t.oddities, names[i].is_odd ? PL_ODD_OVERLAY : 0);
		assert_int_equal(t.xattrs, xattrs.length);
		pl_buffer_done(&xattrs);
	}
}

static void sum_that_would_wrap_is_refused_and_changes_nothing(void **state)
{
	struct pl_totals full = {.entries = UINT64_MAX}, t, before;
	struct pl_totals bytes = {.entries = 1, .files = 1, .bytes = UINT64_MAX};
	struct pl_entry d = directory(&full), f = {.kind = 'f', .size = 1};

	t = full;
	assert_int_equal(pl_totals_add(&t, &f), -EOVERFLOW);
	assert_true(pl_totals_equal(&t, &full));
	t = (struct pl_totals){.entries = 1};
	before = t;
	assert_int_equal(pl_totals_add(&t, &d), -EOVERFLOW);
	assert_true(pl_totals_equal(&t, &before));
	t = bytes;
	assert_int_equal(pl_totals_add(&t, &f), -EOVERFLOW);
	d = directory(&bytes);
	assert_int_equal(pl_totals_add(&t, &d), -EOVERFLOW);
	assert_true(pl_totals_equal(&t, &bytes));
	t.groups = UINT64_MAX;
	assert_int_equal(pl_totals_add_groups(&t, 1), -EOVERFLOW);
	assert_int_equal(t.groups, UINT64_MAX);
}

static void tree_of_65535_levels_is_the_deepest(void **state)
{
	struct pl_totals deepest = {.entries = PL_DEPTH_MAX, .depth = PL_DEPTH_MAX};
	struct pl_totals below = {.entries = PL_DEPTH_MAX - 1, .depth = PL_DEPTH_MAX - 1};
	struct pl_entry d = directory(&below);
	struct pl_totals t = {0};

	assert_int_equal(pl_totals_add(&t, &d), 0);
	assert_true(pl_totals_equal(&t, &deepest));
	assert_null(pl_totals_flaw(&t));
	d = directory(&deepest);
	assert_int_equal(pl_totals_add(&t, &d), -EOVERFLOW); /* T2 */
	assert_true(pl_totals_equal(&t, &deepest));
	t.entries++;
	t.depth++;
	assert_non_null(pl_totals_flaw(&t));
}

/* The tightest that can be of a tree is no flaw. */
static void possible_totals_have_no_flaw(void **state)
{
	static const struct pl_totals possible[] = {
		{0},
		{.entries = 5, .files = 4, .bytes = 9, .groups = 2, .depth = 1},
		{.entries = 2, .groups = 1},
		{.entries = 1, .oddities = PL_ODD_WHITEOUT},
		{.entries = 1, .oddities = PL_ODD_DEVICE},
		{.xattrs = 30, .oddities = PL_ODD_OVERLAY},
		{.entries = 7, .depth = 7},
	};

	for (size_t i = 0; i < PL_ARRAY_LEN(possible); i++)
		assert_null(pl_totals_flaw(&possible[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_in_adds_sums_and_takes_maxima),
		cmocka_unit_test(devices_are_oddities),
		cmocka_unit_test(xattrs_of_overlayfs_are_oddities),
		cmocka_unit_test(sum_that_would_wrap_is_refused_and_changes_nothing),
		cmocka_unit_test(tree_of_65535_levels_is_the_deepest),
		cmocka_unit_test(possible_totals_have_no_flaw),
	};

	return cmocka_run_group_tests_name("tree/totals", tests, NULL, NULL);
}
