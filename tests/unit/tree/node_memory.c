/* What is remembered is what was put in, as long as there is room. */
#include "tree/forge.h"

#define ROOM (4u << 20)

static struct pl_id numbered(uint32_t n)
{
	struct pl_id id = {{0}};

	memcpy(id.bytes, &n, sizeof(n));
	return id;
}

/* Each has `n` bytes, all of them its number. */
static void put(struct pl_node_memory *memory, uint32_t number, size_t n)
{
	struct pl_id id = numbered(number);
	char *data = malloc(n);

	assert_non_null(data);
	memset(data, (int)number, n);
	pl_node_memory_put(memory, &id, data, n);
	free(data);
}

/* How many bytes it has; all are its number. */
static size_t get(const struct pl_node_memory *memory, uint32_t number)
{
	struct pl_id id = numbered(number);
	PL_BUFFER b = {0};
	size_t n = 0;

	pl_buffer_add_string(&b, "before");
	if (!pl_node_memory_get(memory, &id, &b)) {
		assert_int_equal(b.length, strlen("before"));
		return 0;
	}
	assert_memory_equal(b.data, "before", strlen("before"));
	for (n = strlen("before"); n < b.length; n++)
		assert_int_equal(b.data[n], number & 0xff);
	return n - strlen("before");
}

static void what_is_put_in_comes_out(void **state)
{
	struct pl_node_memory memory;

	(void)state;
	pl_node_memory_init(&memory, 1);
	assert_int_equal(get(&memory, 1), 0);
	for (uint32_t i = 1; i <= 1000; i++)
		put(&memory, i, i);
	put(&memory, 7, 70); /* known already */
	for (uint32_t i = 1; i <= 1000; i++)
		assert_int_equal(get(&memory, i), i);
	pl_node_memory_done(&memory);
}

static void it_is_bounded_and_begins_anew_when_it_is_full(void **state)
{
	struct pl_node_memory memory;

	(void)state;
	pl_node_memory_init(&memory, 1);
	for (uint32_t i = 0; i < 1000; i++) {
		put(&memory, i, 10000);
		assert_true(memory.bytes.length <= ROOM);
		assert_int_equal(get(&memory, i), 10000);
	}
	assert_int_equal(get(&memory, 0), 0);
	pl_node_memory_done(&memory);
}

static void a_large_node_takes_the_room_of_none(void **state)
{
	struct pl_node_memory memory;

	(void)state;
	pl_node_memory_init(&memory, 1);
	put(&memory, 1, 10);
	put(&memory, 2, ROOM);
	assert_int_equal(get(&memory, 2), 0);
	assert_int_equal(get(&memory, 1), 10);
	pl_node_memory_done(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_in_comes_out),
		cmocka_unit_test(it_is_bounded_and_begins_anew_when_it_is_full),
		cmocka_unit_test(a_large_node_takes_the_room_of_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
