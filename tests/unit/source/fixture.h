/*
 * A source directory `src` and an open store `S` beside it, for one test. Include after cmocka.h.
 */
#ifndef PL_TEST_FIXTURE_H
#define PL_TEST_FIXTURE_H

#include "ref/stores.h"

struct fixture {
	struct scratch *s;
	struct pl_store *store;
	int src;
};

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || scratch_setup((void **)&f->s) < 0 || mkdirat(f->s->fd, "src", 0755) < 0)
		return -1;
	f->src = openat(f->s->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->store = open_store(f->s, "S");
	*state = f;
	return f->store && f->src >= 0 ? 0 : -1;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	pl_store_close(f->store);
	close(f->src);
	scratch_teardown((void **)&f->s);
	free(f);
	return 0;
}

/* Writes a file of the source, in place if it is there. */
static inline void fixture_put(struct fixture *f, const char *name, const char *text)
{
	int fd = openat(f->src, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
