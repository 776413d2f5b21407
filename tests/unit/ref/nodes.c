/* Nodes of a store are handed out only if they are the bytes of their id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ref/stores.h"

/* Gives `length` bytes a name in nodes/: that of `id`. */
static void put(struct pl_store *store, const struct pl_id *id, const void *data, size_t length)
{
	char name[PL_FANOUT_NAME];

	pl_fanout_name(id, name);
	name[2] = '\0';
	(void)pl_mkdir(store->nodes_fd, name, 0700);
	name[2] = '/';
	(void)pl_unlink(store->nodes_fd, name);
	assert_int_equal(pl_write_file(store->nodes_fd, name, 0600, data, length, false), 0);
}

static int get(struct pl_store *store, const struct pl_id *id, struct pl_buffer *b,
	       struct pleach_error *error)
{
	struct pl_node_source source = pl_store_nodes(store);

	return source.read(source.self, id, b, error);
}

static void a_node_is_appended_as_it_is(void **state)
{
	STORE *store = open_store(*state, "a");
	PL_BUFFER b = {0};
	struct pl_id id;

	pl_hash_of("some node", 9, &id);
	put(store, &id, "some node", 9);
	pl_buffer_add_string(&b, "before ");
	assert_int_equal(get(store, &id, &b, NULL), 0);
	assert_string_equal(pl_buffer_string(&b), "before some node");
}

static void every_other_byte_or_length_is_damage(void **state)
{
	static const char *const bad[] = {"some nodf", "some nod", "some node ", "", "x"};
	STORE *store = open_store(*state, "a");
	char hex[PL_ID_HEX + 1];
	struct pl_id id;

	pl_hash_of("some node", 9, &id);
	pl_id_hex(&id, hex);
	for (size_t i = 0; i < PL_ARRAY_LEN(bad); i++) {
		struct pleach_error error = PLEACH_ERROR_INIT;
		PL_BUFFER b = {0};

		put(store, &id, bad[i], strlen(bad[i]));
		pl_buffer_add_string(&b, "before");
		assert_int_equal(get(store, &id, &b, &error), -EBADMSG);
		assert_int_equal(error.code, PLEACH_CORRUPT);
		assert_non_null(strstr(error.message, hex));
		assert_non_null(strstr(error.message, "is damaged"));
		assert_string_equal(pl_buffer_string(&b), "before");
	}
}

static void a_missing_node_is_corruption(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pleach_error error = PLEACH_ERROR_INIT;
	PL_BUFFER b = {0};
	struct pl_id id = {{1}};

	assert_int_equal(get(store, &id, &b, &error), -EBADMSG);
	assert_int_equal(error.code, PLEACH_CORRUPT);
	assert_non_null(strstr(error.message, "node 0100"));
	assert_non_null(strstr(error.message, "is missing"));
}

static void what_is_no_file_or_too_large_is_not_read(void **state)
{
	STORE *store = open_store(*state, "a");
	char name[PL_FANOUT_NAME];
	struct pl_id id = {{1}};
	PL_CLOSE int fd = -EBADF;
	PL_BUFFER b = {0};

	pl_fanout_name(&id, name);
	put(store, &id, "x", 1);
	assert_int_equal(pl_unlink(store->nodes_fd, name), 0);
	assert_int_equal(mkfifoat(store->nodes_fd, name, 0600), 0);
	assert_int_equal(get(store, &id, &b, NULL), -EBADMSG); /* and does not hang */
	assert_int_equal(pl_unlink(store->nodes_fd, name), 0);
	assert_int_equal(symlinkat("/etc/passwd", store->nodes_fd, name), 0);
	assert_int_equal(get(store, &id, &b, NULL), -EBADMSG);
	assert_int_equal(pl_unlink(store->nodes_fd, name), 0);
	assert_int_equal(pl_mkdir(store->nodes_fd, name, 0700), 0);
	assert_int_equal(get(store, &id, &b, NULL), -EBADMSG);
	assert_int_equal(pl_rmdir(store->nodes_fd, name), 0);
	fd = pl_create(store->nodes_fd, name, 0600);
	assert_int_equal(pl_truncate(fd, (UINT64_C(1) << 30) + 1), 0);
	assert_int_equal(get(store, &id, &b, NULL), -EBADMSG);
	assert_true(b.capacity < 4096);
}

static void who_may_not_look_is_told(void **state)
{
	STORE *store = open_store(*state, "a");
	struct pleach_error error = PLEACH_ERROR_INIT;
	PL_BUFFER b = {0};
	struct pl_id id = {{1}};

	pl_closep(&store->nodes_fd);
	assert_int_equal(get(store, &id, &b, &error), -EACCES);
	assert_non_null(strstr(error.message, "only its owner"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_node_is_appended_as_it_is),  TEST(every_other_byte_or_length_is_damage),
		TEST(a_missing_node_is_corruption), TEST(what_is_no_file_or_too_large_is_not_read),
		TEST(who_may_not_look_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
