/*
 * pleach_reader_*(): a generation held for reading, with a descriptor of its directory.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "api/inner.h"

struct pleach_reader {
	struct pleach_pin *pin;
	int fd;
};

int pleach_reader_open(struct pleach_store *store, const char *rev,
		       struct pleach_reader **ret_reader, struct pleach_error *error)
{
	struct pleach_reader *reader;
	int r;

	pl_assert(store && rev && ret_reader);
	reader = calloc(1, sizeof(*reader));
	if (!reader)
		return pl_fail_memory(error);
	r = pleach_pin_open(store, rev, &reader->pin, error);
	if (r < 0) {
		free(reader);
		return r;
	}
	/* A symlink of the tree is no directory of it (-ENOTDIR), wherever it leads. */
	reader->fd = pl_open_dir(AT_FDCWD, pleach_pin_path(reader->pin));
	if (reader->fd < 0) {
		r = pl_fail_sys(error, reader->fd, "cannot open '%s'",
				pleach_pin_path(reader->pin));
		pleach_pin_close(reader->pin);
		free(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

int pleach_reader_fd(const struct pleach_reader *reader)
{
	pl_assert(reader);
	return reader->fd;
}

const char *pleach_reader_path(const struct pleach_reader *reader)
{
	pl_assert(reader);
	return pleach_pin_path(reader->pin);
}

void pleach_reader_revision(const struct pleach_reader *reader,
			    struct pleach_revision *ret_revision)
{
	pl_assert(reader);
	pleach_pin_revision(reader->pin, ret_revision);
}

void pleach_reader_close(struct pleach_reader *reader)
{
	if (!reader)
		return;
	pl_closep(&reader->fd);
	pleach_pin_close(reader->pin);
	free(reader);
}
