/*
 * A list of findings: of a check, or of what a checkout could not restore.
 *
 * F1  A message is one line and printable: it may quote names and attributes, which come from strangers.
 * F2  No more than PL_FINDINGS_MAX are kept, so that a tree of a million entries that this user may
 *     not restore takes no memory for each; all are counted.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "place/place.h"

#define MESSAGE_SIZE 1024 /* what is longer is cut */

void pl_findings_done(struct pl_findings *findings)
{
	for (size_t i = 0; i < findings->n; i++) {
		free(findings->items[i].path);
		free(findings->items[i].message);
	}
	for (size_t i = 0; i < findings->n_hurts; i++) {
		free(findings->hurts[i].ref);
		free(findings->hurts[i].path);
	}
	free(findings->hurts);
	free(findings->items);
	*findings = (struct pl_findings){0};
}

/* F1. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static int append(struct pl_findings *findings, const struct pl_finding *finding)
{
	pl_assert(finding->path && finding->message && finding->kind);
	if (PL_ARRAY_GROW(findings->items, findings->capacity, findings->n) < 0)
		return -ENOMEM;
	findings->items[findings->n++] = *finding;
	return 0;
}

int pl_findings_add(struct pl_findings *findings, bool is_fault, const char *kind, const char *path,
		    const char *format, ...)
{
	struct pl_finding finding = {.kind = kind, .is_fault = is_fault};
	char message[MESSAGE_SIZE];
	va_list args;
	int r = -ENOMEM;

	va_start(args, format);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		message[0] = '\0';
	va_end(args);
	make_printable(message);
	if (findings->n == PL_FINDINGS_MAX) { /* F2 */
		findings->left_out++;
		r = 0;
	} else {
		finding.path = strdup(path);
		finding.message = strdup(message);
		if (finding.path && finding.message)
			r = append(findings, &finding);
		if (r < 0) {
			free(finding.path);
			free(finding.message);
			return r;
		}
	}
	if (is_fault)
		findings->faults++;
	else
		findings->unverified++;
	pl_assert(findings->faults + findings->unverified + findings->mended ==
		  findings->n + findings->left_out);
	return r;
}

int pl_findings_must_be_none(const struct pl_findings *findings, const char *label,
			     struct pleach_error *error)
{
	const struct pl_finding *first = findings->items;

	if (findings->n == 0)
		return 0;
	pl_fail(error, PLEACH_FAILED, -EPERM, "'%s' cannot be had exactly in '%s': %s", first->path,
		label, first->message);
	pl_error_path(error, first->path);
	return -EPERM;
}

void pl_findings_set_ref(struct pl_findings *findings, size_t n_before, const char *ref,
			 uint64_t generation)
{
	struct pl_finding *f = findings->n > n_before ? &findings->items[n_before] : NULL;

	if (!f)
		return;
	(void)snprintf(f->ref, sizeof(f->ref), "%s", ref);
	f->generation = generation;
}

void pl_findings_set_subject(struct pl_findings *findings, size_t n_before,
			     const struct pl_subject *subject)
{
	if (findings->n > n_before)
		findings->items[n_before].subject = *subject;
}

int pl_findings_add_hurt(struct pl_findings *findings, size_t i, const char *ref,
			 uint64_t generation, const char *path)
{
	struct pl_hurt hurt = {.finding = i, .generation = generation};

	pl_assert(i < findings->n);
	if (findings->n_hurts == PL_HURTS_MAX) { /* F2 */
		findings->items[i].hurts_left_out++;
		return 0;
	}
	hurt.ref = strdup(ref);
	hurt.path = strdup(path);
	if (hurt.ref && hurt.path &&
	    PL_ARRAY_GROW(findings->hurts, findings->hurts_capacity, findings->n_hurts) == 0) {
		findings->hurts[findings->n_hurts++] = hurt;
		return 0;
	}
	free(hurt.ref);
	free(hurt.path);
	return -ENOMEM;
}

/* By finding, then as people read them: refs by name, the newest generation first, paths in order. */
static int compare_hurts(const void *a, const void *b)
{
	const struct pl_hurt *x = a, *y = b;
	int c = (x->finding > y->finding) - (x->finding < y->finding);

	if (c == 0)
		c = strcmp(x->ref, y->ref);
	if (c == 0)
		c = (x->generation < y->generation) - (x->generation > y->generation);
	return c != 0 ? c : pl_path_compare(x->path, y->path);
}

void pl_findings_sort_hurts(struct pl_findings *findings)
{
	if (findings->n_hurts > 1)
		qsort(findings->hurts, findings->n_hurts, sizeof(*findings->hurts), compare_hurts);
	for (size_t i = 0; i < findings->n_hurts; i++) {
		struct pl_finding *f = &findings->items[findings->hurts[i].finding];

		if (f->n_hurts++ == 0)
			f->first_hurt = i;
	}
}

void pl_findings_set_mended(struct pl_findings *findings, size_t n_before)
{
	pl_assert(findings->unverified > 0);
	findings->unverified--;
	findings->mended++;
	if (findings->n > n_before)
		findings->items[n_before].is_mended = true;
}

int pl_findings_append_take(struct pl_findings *to, struct pl_findings *from)
{
	pl_assert(to->n_hurts == 0);
	for (size_t i = 0; i < from->n; i++) {
		if (PL_ARRAY_GROW(to->items, to->capacity, to->n) < 0) {
			/* What was taken is the other's no more. */
			memmove(from->items, from->items + i, (from->n - i) * sizeof(*from->items));
			from->n -= i;
			pl_findings_done(from);
			return -ENOMEM;
		}
		to->items[to->n++] = from->items[i];
	}
	to->faults += from->faults;
	to->unverified += from->unverified;
	to->mended += from->mended;
	to->left_out += from->left_out;
	to->hurts = from->hurts;
	to->n_hurts = from->n_hurts;
	to->hurts_capacity = from->hurts_capacity;
	free(from->items);
	*from = (struct pl_findings){0};
	return 0;
}
