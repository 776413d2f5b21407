/*
 * holders.c - who has a file open? For messages alone ("pinned by process 123"): what this user may
 * see of the processes of this machine. Nothing is decided by it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "sys/sys.h"

static bool has_open(int process_fd, const struct stat *wanted)
{
	PL_CLOSE int fds = pl_open_dir(process_fd, "fd");
	struct pl_listing listing = {0};
	bool found = false;

	if (fds < 0 || pl_list(fds, &listing) < 0)
		return false;
	for (size_t i = 0; i < listing.n && !found; i++) {
		struct stat st;

		found = pl_stat(fds, listing.entries[i].name, &st) >= 0 &&
			pl_same_inode(&st, wanted);
	}
	pl_listing_done(&listing);
	return found;
}

void pl_file_holders(const struct stat *st, struct pl_buffer *b)
{
	PL_CLOSE int proc = pl_open_follow(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY);
	struct pl_listing listing = {0};
	unsigned n = 0;
	uint64_t pid;

	if (proc < 0 || pl_list(proc, &listing) < 0)
		return;
	for (size_t i = 0; i < listing.n && n < 8; i++) {
		PL_CLOSE int process = -EBADF;
		PL_BUFFER name = {0};

		if (pl_parse_u64(listing.entries[i].name, INT32_MAX, &pid) < 0 ||
		    pid == (uint64_t)pl_pid())
			continue;
		process = pl_open_dir(proc, listing.entries[i].name);
		if (process < 0 || !has_open(process, st))
			continue;
		if (pl_read_file(process, "comm", 64, &name) < 0 || name.length == 0)
			pl_buffer_add_string(&name, "?\n");
		pl_buffer_truncate(&name, name.length - 1);
		pl_buffer_add_format(b, "%s process %s (%s)", n++ ? "," : " by",
				     listing.entries[i].name, pl_buffer_string(&name));
	}
	pl_listing_done(&listing);
}
