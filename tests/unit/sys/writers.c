/* The law of writers: they are seen, and nothing is left of the question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/scratch.h"

static void who_writes_is_seen(void **state)
{
	struct scratch *s = *state;
	int reader, writer, other;
	bool has_asked = false;

	assert_int_equal(make_file(s->fd, "file", "x"), 0);
	reader = openat(s->fd, "file", O_RDONLY | O_CLOEXEC);
	other = openat(s->fd, "file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pl_file_has_writers(reader, &has_asked), 0);
	assert_true(has_asked);
	writer = openat(s->fd, "file", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pl_file_has_writers(reader, &has_asked), 1);
	close(writer);
	assert_int_equal(pl_file_has_writers(reader, &has_asked), 0);
	/* Nothing is left of it: opening for writing does not wait. */
	writer = openat(s->fd, "file", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(writer >= 0);
	close(writer);
	close(other);
	close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_writes_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
