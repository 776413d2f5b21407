/*
 * Repairing a store: it is checked; what was found is mended, from the bottom up; and so again, until
 * a check finds nothing, or nothing of what it finds can be mended. Everything else is said in
 * repairing.h.
 *
 *	check --nothing found--> well
 *	check --found--> mend --something was mended--> check
 *	                      --nothing was----------> told, each with its reason
 *
 * So what was mended is always checked once more, by content, in its place; and what was hidden by what
 * is mended now (a lost node hides all that is below it) comes to light in the next turn.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gc/collecting.h"
#include "gc/repairing.h"

/* Each turn mends something, so this is for who breaks things as fast as they are mended. */
#define TURNS_MAX 100

#define NOT_MENDED "; not mended: "

int pl_repairing_mended(struct pl_repairing *m, const struct pl_finding *f,
			struct pleach_error *error, const char *format, ...)
{
	size_t n = m->mended->n;
	char message[1024];
	va_list args;

	va_start(args, format);
	if (vsnprintf(message, sizeof(message), format, args) < 0)
		message[0] = '\0';
	va_end(args);
	m->n_mended++;
	if (pl_findings_add(m->mended, false, f->kind, f->path, "%s", message) < 0)
		return pl_fail_memory(error);
	pl_findings_set_mended(m->mended, n);
	pl_findings_set_ref(m->mended, n, f->ref, f->generation);
	pl_findings_set_subject(m->mended, n, &f->subject);
	return 0;
}

int pl_repairing_unmended(struct pl_repairing *m, struct pl_finding *f, struct pleach_error *error,
			  const char *format, ...)
{
	PL_BUFFER message = {0};
	char reason[768], *text;
	va_list args;

	(void)m;
	va_start(args, format);
	if (vsnprintf(reason, sizeof(reason), format, args) < 0)
		reason[0] = '\0';
	va_end(args);
	if (strstr(f->message, NOT_MENDED))
		return 0;
	pl_buffer_add_format(&message, "%s" NOT_MENDED "%s", f->message, reason);
	text = pl_buffer_take_string(&message);
	if (!text)
		return pl_fail_memory(error);
	free(f->message);
	f->message = text;
	return 0;
}

int pl_repairing_as_with(struct pl_repairing *m, struct pl_finding *f,
			 const struct pl_finding *first, struct pleach_error *error)
{
	const char *reason = strstr(first->message, NOT_MENDED);

	if (!reason)
		return 0;
	return pl_repairing_unmended(m, f, error, "%s", reason + strlen(NOT_MENDED));
}

int pl_repairing_fail(int r, const struct pl_finding *f, struct pleach_error *error)
{
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	pl_fail_sys(error, r, "cannot mend '%s'", f->path);
	pl_error_path(error, f->path);
	return r;
}

/* ---- is a tree whole? ---- */

static int walk(struct pl_repairing *m, struct pl_cursor *cursor, struct pleach_error *error)
{
	int r;

	while ((r = pl_cursor_next(cursor, error)) > 0) {
		const struct pl_entry *entry = r == PL_STEP_ENTRY ? pl_cursor_entry(cursor) : NULL;
		struct pl_id object;

		if (!entry || entry->kind != PLEACH_FILE || entry->size == 0)
			continue;
		pl_entry_object(entry, &object);
		if (!pl_checking_is_sound(m->c, &object))
			return 0;
	}
	return r < 0 ? r : 1;
}

int pl_repairing_is_sound(struct pl_repairing *m, const struct pl_id *tree,
			  struct pleach_error *error)
{
	struct pleach_error cause = PLEACH_ERROR_INIT;
	struct pl_cursor *cursor;
	int r;

	/* What is on the disk, not what was remembered of it. */
	pl_node_memory_forget(&m->store->memory);
	r = pl_cursor_new(&m->c->nodes, tree, true, m->store->seed, &cursor, &cause);
	if (r >= 0) {
		r = walk(m, cursor, &cause);
		pl_cursor_free(cursor);
	}
	if (r == -ENOMEM)
		return pl_fail_memory(error);
	return r < 0 ? 0 : r;
}

/* ---- one turn ---- */

static int mend_all(struct pl_repairing *m, struct pleach_error *error)
{
	static int (*const parts[])(struct pl_repairing * m, struct pleach_error * error) = {
		pl_repair_texts, pl_repair_nodes,  pl_repair_objects,
		pl_repair_trees, pl_repair_placed, pl_repair_public,
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < PL_ARRAY_LEN(parts); i++) {
		r = parts[i](m, error);
		if (r >= 0)
			r = pl_store_check_cancel(m->store, error);
	}
	return r < 0 ? r : 0;
}

/* M5. */
static int mend(struct pl_repairing *m, struct pleach_error *error)
{
	struct pl_trash trash = PL_TRASH_NONE;
	uint64_t n_back = 0;
	int r = pl_trash_begin(m->store, &trash, &n_back, error);

	if (r >= 0)
		r = mend_all(m, error);
	pl_trash_end(&trash);
	return r;
}

/* 1: something was mended, so look again; 0: *ret_findings is the answer. */
static int turn(struct pl_repairing *m, bool is_last, struct pleach_check_counts *ret_counts,
		struct pl_findings *ret_findings, struct pleach_error *error)
{
	struct pl_findings found = {0};
	struct pl_checking c;
	int r;

	pl_checking_begin(&c, &m->options->check, &found);
	m->c = &c;
	m->found = &found;
	m->n_mended = 0;
	r = pl_checking_run(&c, error);
	if (r >= 0 && found.n > 0 && !is_last)
		r = mend(m, error);
	if (r >= 0 && m->n_mended == 0) {
		*ret_counts = c.counts;
		*ret_findings = found;
		found = (struct pl_findings){0};
	}
	m->c = NULL;
	m->found = NULL;
	pl_checking_end(&c);
	pl_findings_done(&found);
	return r < 0 ? r : m->n_mended > 0;
}

static int turns(struct pl_repairing *m, struct pleach_check_counts *ret_counts,
		 struct pl_findings *ret_findings, struct pleach_error *error)
{
	int r = 1;

	for (unsigned i = 1; r > 0 && i <= TURNS_MAX; i++)
		r = turn(m, i == TURNS_MAX, ret_counts, ret_findings, error);
	return r;
}

/* With what dead processes left out of the way. */
static int begin(struct pl_repairing *m, struct pl_txdir *tx, struct pleach_error *error)
{
	unsigned n;
	int r = pl_store_must_write(m->store, error);

	if (r < 0)
		return r;
	r = pl_txdir_begin(m->store, "repair", tx, error);
	if (r < 0)
		return r;
	m->tx = tx;
	r = pl_txdir_recover(m->store, tx, &n, error);
	return r < 0 ? r : pl_outside_open(m, error);
}

int pl_repair_run(const struct pl_repair *repair, struct pleach_check_counts *ret_counts,
		  struct pl_findings *ret_findings, struct pleach_error *error)
{
	struct pl_findings mended = {0}, found = {0};
	struct pleach_check_counts counts = *ret_counts;
	struct pl_repairing m = {.options = repair,
				 .store = repair->check.store,
				 .mended = &mended,
				 .aside = {.fd = -EBADF}};
	struct pl_txdir tx;
	int r = begin(&m, &tx, error);

	if (r >= 0)
		r = turns(&m, &counts, &found, error);
	if (mended.mended > 0)
		pl_event_add(m.store, NULL, "repaired what was damaged, %llu in all",
			     (unsigned long long)mended.mended);
	pl_outside_close(&m);
	pl_aside_done(&m);
	if (m.tx)
		pl_txdir_end(&tx);
	if (r >= 0 && pl_findings_append_take(&mended, &found) < 0)
		r = pl_fail_memory(error);
	if (r < 0) {
		pl_findings_done(&mended);
		pl_findings_done(&found);
		return r;
	}
	counts.size = ret_counts->size;
	counts.faults = mended.faults;
	counts.unverified = mended.unverified;
	counts.mended = mended.mended;
	*ret_counts = counts;
	*ret_findings = mended;
	return pl_check_answer(&mended, error);
}
