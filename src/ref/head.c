/*
 * Generations of a ref: which is the newest, and what its record says.
 *
 * Records 1 to n are there without holes and never removed, so "is there a record k" is true up to the
 * head and false behind it: the head is found by galloping from a hint and halving, never by listing.
 */
#include <fcntl.h>
#include <stdio.h>

#include "ref/ref.h"

static void number_name(uint64_t n, char ret_name[24])
{
	snprintf(ret_name, 24, "%llu", (unsigned long long)n);
}

int pl_generation_exists(const struct pl_ref *ref, uint64_t n)
{
	char name[24];

	number_name(n, name);
	return pl_exists(ref->gen_fd, name);
}

static void hint_name(const struct pl_ref *ref, char ret_name[40])
{
	snprintf(ret_name, 40, "head-%s", ref->id);
}

static uint64_t read_hint(struct pl_ref *ref)
{
	PL_BUFFER b = {0};
	uint64_t n = 0;
	char name[40];

	hint_name(ref, name);
	if (ref->store->cache_fd < 0 || pl_read_file(ref->store->cache_fd, name, 24, &b) < 0 ||
	    pl_parse_u64(pl_buffer_string(&b), UINT64_MAX / 4, &n) < 0)
		return 0;
	return n;
}

/* Only a hint: renewed by rename, so that it is never seen half-written, and not synced. */
static void write_hint(struct pl_ref *ref, uint64_t n)
{
	char name[40], text[24], temporary[25];

	if (ref->store->cache_fd < 0 || !ref->store->is_owner || !ref->store->is_writable ||
	    pl_random_name(temporary) < 0)
		return;
	hint_name(ref, name);
	number_name(n, text);
	if (pl_write_file(ref->store->cache_fd, temporary, 0600, text, strlen(text), false) < 0 ||
	    pl_rename(ref->store->cache_fd, temporary, ref->store->cache_fd, name) < 0)
		pl_unlink(ref->store->cache_fd, temporary);
}

static int fail_record(const struct pl_ref *ref, const char *number, const char *why,
		       struct pleach_error *error)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "gen/%s", number);
	pl_fail_corrupt(error, "the record of generation %s of '%s' %s", number, ref->name, why);
	pl_ref_hint_damaged(error, ref->name, name);
	return -EBADMSG;
}

int pl_head_fail_hole(const struct pl_ref *ref, uint64_t head, struct pleach_error *error)
{
	char number[24];

	number_name(head + 1, number);
	return fail_record(ref, number, "is missing", error);
}

/* Was the generation behind the one that looks like the head ever shown? Then its record is lost, and with it goes
 * what the head is. 1: its record is there now. */
static int check_next(struct pl_ref *ref, uint64_t head, struct pleach_error *error)
{
	char name[40];
	int r;

	(void)snprintf(name, sizeof(name), "shown/%llu", (unsigned long long)head + 1);
	if (pl_exists(ref->fd, name) <= 0)
		return 0;
	r = pl_generation_exists(ref, head + 1);
	if (r != 0 ||
	    pl_ref_is_current(ref) == 0) /* it has just come; or the ref goes, name by name */
		return r > 0;
	return pl_head_fail_hole(ref, head, error);
}

int pl_head_number(struct pl_ref *ref, uint64_t *ret_n, struct pleach_error *error)
{
	uint64_t hint = read_hint(ref), low = 0, high, step = 1;
	int r = hint > 0 ? pl_generation_exists(ref, hint) : 0;

	if (r > 0)
		low = hint; /* a record below a missing one is never looked for: there are no holes */
	do {
		for (high = low + step; r >= 0; high = low + step) {
			r = pl_generation_exists(ref, high);
			if (r <= 0)
				break;
			low = high;
			step *= 2;
		}
		while (r >= 0 && high - low > 1) {
			uint64_t middle = low + (high - low) / 2;

			r = pl_generation_exists(ref, middle);
			if (r > 0)
				low = middle;
			else
				high = middle;
		}
		if (r < 0)
			return pl_fail_sys(error, r, "cannot look for the generations of '%s'",
					   ref->name);
		step = 1;
		r = check_next(ref, low, error);
	} while (r == 1);
	if (r < 0)
		return r;
	/* A hint that is a few generations old costs a look each; renewing it costs a file. */
	if (low > hint + 16 || low < hint)
		write_hint(ref, low);
	*ret_n = low;
	return 0;
}

uint64_t pl_head_listed(const struct pl_ref *ref)
{
	struct pl_listing listing = {0};
	uint64_t highest = 0, n;

	(void)pl_list(ref->gen_fd, &listing);
	for (size_t i = 0; i < listing.n; i++)
		if (pl_parse_u64(listing.entries[i].name, UINT64_MAX / 4, &n) == 0 && n > highest)
			highest = n;
	pl_listing_done(&listing);
	return highest;
}

int pl_generation_read(struct pl_ref *ref, uint64_t n, struct pl_record *ret_record,
		       struct pleach_error *error)
{
	struct pl_record record;
	PL_BUFFER b = {0};
	char name[24];
	int r;

	pl_assert(n > 0);
	number_name(n, name);
	r = pl_read_file(ref->gen_fd, name, PL_RECORD_MAX, &b);
	if (r == -ENOENT)
		return pl_fail_not_found(error, "'%s' has no generation %s", ref->name, name);
	if (r < 0 && r != -EFBIG)
		return pl_fail_sys(error, r, "cannot read generation %s of '%s'", name, ref->name);
	if (r >= 0)
		r = pl_record_decode(b.data, b.length, &record);
	if (r == -EPROTONOSUPPORT)
		return pl_fail(error, PLEACH_FAILED, r,
			       "generation %s of '%s' was written by a newer "
			       "version of pleach",
			       name, ref->name);
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	if (r < 0)
		return fail_record(ref, name, "does not verify", error);
	if (record.generation != n || strcmp(record.ref_id, ref->id) != 0) {
		pl_record_done(&record);
		return fail_record(ref, name, "is another's", error);
	}
	*ret_record = record;
	return 0;
}

int pl_generation_read_known(struct pl_ref *ref, uint64_t n, struct pl_record *ret_record,
			     struct pleach_error *error)
{
	int r = pl_generation_read(ref, n, ret_record, error);
	char name[24];

	if (r != -ENOENT || pl_ref_is_current(ref) == 0)
		return r;
	number_name(n, name);
	return fail_record(ref, name, "is missing", error);
}

int pl_generation_is_dropped(struct pl_ref *ref, uint64_t n)
{
	PL_CLOSE int fd = pl_open_dir(ref->fd, "dropped");
	char name[24];

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	number_name(n, name);
	return pl_exists(fd, name);
}
