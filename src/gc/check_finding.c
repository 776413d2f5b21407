/*
 * How a finding of a check comes to be: what is a fault, what is only not verified, and what stops
 * the check (K2).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/checking.h"

int pl_checking_add(struct pl_checking *c, struct pleach_error *error, bool is_fault,
		    const char *kind, const char *path, const char *format, ...)
{
	struct pl_findings *findings = c->findings;
	size_t n = findings->n;
	char message[1024];
	va_list args;

	va_start(args, format);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		message[0] = '\0';
	va_end(args);
	if (pl_findings_add(findings, is_fault, kind, path, "%s", message) < 0)
		return pl_fail_memory(error);
	if (c->ref)
		pl_findings_set_ref(findings, n, c->ref, c->generation);
	pl_findings_set_subject(findings, n, &c->subject);
	return 0;
}

bool pl_checking_is_ours(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EINTR;
}

int pl_checking_cannot(struct pl_checking *c, int r, const char *kind, const char *path,
		       struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	bool is_allowed = r != -EACCES && r != -EPERM;

	pl_assert(r < 0);
	if (pl_checking_is_ours(r))
		return r == -ENOMEM ? pl_fail_memory(error)
				    : pl_fail_sys(error, r, "cannot check '%s'", path);
	pl_fail_sys(&cause, r, "cannot be read");
	return pl_checking_add(c, error, is_allowed, kind, path, "%s", cause.message);
}

int pl_checking_step(struct pl_checking *c, uint64_t bytes, struct pleach_error *error)
{
	c->counts.bytes += bytes;
	pl_store_progress(c->store, "check", ++c->done, 0, c->counts.bytes);
	return pl_store_check_cancel(c->store, error);
}

int pl_checking_stray(struct pl_checking *c, const char *directory, const char *name,
		      struct pleach_error *error)
{
	struct pl_subject before;
	PL_BUFFER path = {0};
	int r;

	pl_buffer_add_format(&path, "%s/%s", directory, name);
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	before = pl_checking_about(c, PL_SUBJECT_STRAY, NULL, 0);
	r = pl_checking_fault(c, error, "name", pl_buffer_string(&path), "is no part of a store");
	c->subject = before;
	return r;
}

int pl_checking_empty_file(struct pl_checking *c, int dirfd, const char *name, const char *kind,
			   const char *directory, struct pleach_error *error)
{
	struct pl_subject before;
	PL_BUFFER path = {0};
	struct stat st;
	int r = pl_lstat(dirfd, name, &st);

	if (r == -ENOENT || (r >= 0 && S_ISREG(st.st_mode) && st.st_size == 0))
		return 0;
	pl_buffer_add_format(&path, "%s/%s", directory, name);
	if (!pl_buffer_ok(&path))
		return pl_fail_memory(error);
	if (r < 0)
		return pl_checking_cannot(c, r, kind, pl_buffer_string(&path), error);
	before = pl_checking_about(c, PL_SUBJECT_EMPTY, &c->subject.id, 0);
	r = pl_checking_fault(c, error, kind, pl_buffer_string(&path), "is no empty file");
	c->subject = before;
	return r;
}

void pl_checking_forget(struct pl_findings *findings, const struct pl_findings *before)
{
	while (findings->n > before->n) {
		struct pl_finding *f = &findings->items[--findings->n];

		free(f->path);
		free(f->message);
	}
	findings->faults = before->faults;
	findings->unverified = before->unverified;
	findings->left_out = before->left_out;
}
