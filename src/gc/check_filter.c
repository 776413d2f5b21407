/*
 * The filter beside a placed tree, as docs/format.md has it ("filter"). What its bits say is place's
 * affair; a file that is none is a fault, though whoever lays out from it can live with it.
 */
#include "gc/checking.h"

#define MAGIC	   "pleach filter 1\n"
#define FILTER_MAX ((size_t)1 << 30)

static const char *flaw_of(const struct pl_buffer *b)
{
	struct pl_reader r = pl_reader_of(b->data, b->length);
	const unsigned char *magic = pl_read_bytes(&r, sizeof(MAGIC) - 1), *sum;
	uint64_t n_bits = pl_read_u64(&r);
	struct pl_id found;

	(void)pl_read_u64(&r); /* how many were added: the writer's affair */
	if (r.short_read)
		return "is cut short";
	if (memcmp(magic, MAGIC, sizeof(MAGIC) - 1) != 0)
		return "is no filter";
	if (n_bits % 8 != 0 || n_bits / 8 > r.length - r.offset ||
	    r.length - r.offset - n_bits / 8 != sizeof(found.bytes))
		return "has not the length that it says";
	(void)pl_read_bytes(&r, (size_t)(n_bits / 8));
	pl_hash_of(r.data, r.offset, &found);
	sum = pl_read_bytes(&r, sizeof(found.bytes));
	return memcmp(sum, found.bytes, sizeof(found.bytes)) != 0 ? "is damaged" : NULL;
}

int pl_checking_filter(struct pl_checking *c, int wrapper_fd, const char *path,
		       struct pl_filter *ret_filter, struct pleach_error *error)
{
	const struct pl_subject before = c->subject;
	PL_BUFFER where = {0}, b = {0};
	const char *flaw = NULL;
	int r = pl_read_file(wrapper_fd, "filter", FILTER_MAX, &b), told = 0;

	*ret_filter = (struct pl_filter){.holds_all = true};
	if (r == -ENOENT)
		return 0;
	pl_buffer_add_format(&where, "%s/filter", path);
	if (!pl_buffer_ok(&where))
		return pl_fail_memory(error);
	flaw = r < 0 ? NULL : flaw_of(&b);
	c->subject.what = PL_SUBJECT_FILTER;
	if (r < 0)
		told = pl_checking_cannot(c, r, "filter", pl_buffer_string(&where), error);
	else if (flaw)
		told = pl_checking_fault(c, error, "filter", pl_buffer_string(&where), "%s", flaw);
	c->subject = before;
	if (r < 0 || flaw)
		return told;
	r = pl_filter_read(wrapper_fd, ret_filter);
	return r < 0 ? pl_fail_sys(error, r, "cannot read '%s'", pl_buffer_string(&where)) : 0;
}
