/*
 * observe.c - what can be read on an image, and whether it may be so.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tx/yard.h"

#include "power/replaying.h"

#define JUDGE_S 60

/* ---- reading and judging it ---- */

/* In a child. */
static void judge_here(const struct replay *r)
{
	struct judgement *j = r->judgement;
	char *trouble;
	int e;

	facts_collect(r->place->root, &j->facts);
	if (j->facts.trouble[0]) {
		memcpy(j->trouble, j->facts.trouble, sizeof(j->trouble));
		return;
	}
	e = filesystem_remount_writable(r->place->root);
	if (e < 0) {
		(void)snprintf(j->trouble, sizeof(j->trouble), "cannot be written: %s",
			       strerror(-e));
		return;
	}
	trouble = scenario_judge(r->place);
	if (trouble)
		(void)snprintf(j->trouble, sizeof(j->trouble), "%s", trouble);
}

static void judge(const struct replay *r)
{
	int status = -1;
	pid_t pid;

	*r->judgement = (struct judgement){0};
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(JUDGE_S);
		judge_here(r);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (status != 0 && r->judgement->trouble[0] == '\0')
		(void)snprintf(r->judgement->trouble, sizeof(r->judgement->trouble),
			       "the next commands ended with wait status %#x", status);
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_known(const struct replay *r, const char *key)
{
	for (size_t i = 0; i < r->n_keys; i++)
		if (strcmp(r->keys[i], key) == 0)
			return true;
	return false;
}

static void match(struct replay *r, struct seen_state *s)
{
	const struct facts *facts = &r->judgement->facts;

	for (size_t i = 0; i < r->n_keys; i++) {
		const char *value = facts_value(facts, r->keys[i]);

		for (size_t k = 0; k < r->record->n_facts; k++)
			if (same(value, facts_value(&r->record->facts[k], r->keys[i])))
				s->matches[i] |= UINT64_C(1) << k;
	}
	for (size_t i = 0; i < facts->n && !s->trouble; i++)
		if (!is_known(r, facts->all[i].key))
			s->trouble = text_of("%s was never there", facts->all[i].key);
}

static uint32_t remember(struct replay *r, const uint8_t *hash, const char *trouble)
{
	struct seen_state *s;

	if ((r->n_seen & (r->n_seen - 1)) == 0)
		r->seen = realloc(r->seen, (r->n_seen ? 2 * r->n_seen : 1) * sizeof(*r->seen));
	if (!r->seen)
		abort();
	s = &r->seen[r->n_seen++];
	*s = (struct seen_state){0};
	memcpy(s->hash, hash, WALK_HASH);
	if (trouble)
		s->trouble = text_of("%s", trouble);
	return r->n_seen;
}

/* What can be read there, by number; 0: the harness failed. */
uint32_t observe_look(struct replay *r)
{
	uint8_t hash[WALK_HASH] = {0};
	char where[256];
	uint32_t seen = 0;
	int e = filesystem_mount(r->fs, r->disk->loop_path, r->place->root, true);

	if (e < 0) {
		TEXT *trouble = text_of("cannot be mounted: %s", strerror(-e));

		return remember(r, hash, trouble);
	}
	e = walk_hash(r->place->root, hash, where);
	if (e < 0) {
		TEXT *trouble = text_of("%s cannot be read: %s", where, strerror(-e));

		seen = remember(r, hash, trouble);
	}
	for (uint32_t i = r->n_seen; seen == 0 && i > 0; i--)
		if (memcmp(r->seen[i - 1].hash, hash, WALK_HASH) == 0)
			seen = i;
	if (seen == 0) {
		judge(r);
		r->result->judged++;
		seen = remember(r, hash, r->judgement->trouble[0] ? r->judgement->trouble : NULL);
		match(r, &r->seen[seen - 1]);
	}
	e = filesystem_unmount(r->place->root);
	if (e < 0)
		(void)snprintf(r->result->error, sizeof(r->result->error), "cannot unmount: %s",
			       strerror(-e));
	return e < 0 ? 0 : seen;
}

/*
 * What may be read of a fact after this cut, as bits of `matches` (R2). The
 * end of a parked transaction is not synced: it may be back (docs/durability.md). What is in its workspace is a fact
 * only while nobody is at work in it.
 */
static uint64_t window_of(const struct replay *r, const struct seen_state *s, size_t i,
			  const struct cut *cut)
{
	const char *key = r->keys[i];
	bool is_parked = strncmp(key, "parked ", 7) == 0, as_at_first = s->matches[i] & 1;
	uint32_t from = is_parked && !as_at_first ? 0 : cut->answered;
	uint64_t window = 0;

	if (key[0] == '~' &&
	    (cut->answered != cut->begun || !facts_value(&r->record->facts[from], key)))
		return UINT64_MAX;
	if (strncmp(key, "ref ", 4) == 0 && cut->shown > from)
		from = cut->shown; /* R4 */
	for (uint32_t k = from; k <= cut->begun; k++)
		window |= UINT64_C(1) << k;
	return window;
}

/* NULL, or what is wrong. */
char *observe_wrong(const struct replay *r, const struct seen_state *s, const struct cut *cut)
{
	if (s->trouble)
		return text_of("%s", s->trouble);
	for (size_t i = 0; i < r->n_keys; i++) {
		uint64_t window = window_of(r, s, i, cut);

		if (window != UINT64_MAX && !(s->matches[i] & window))
			return text_of("%s is as it was neither before nor after (%#llx)",
				       r->keys[i], (unsigned long long)s->matches[i]);
	}
	return NULL;
}

void observe_keys(struct replay *r)
{
	for (size_t k = 0; k < r->record->n_facts; k++) {
		const struct facts *facts = &r->record->facts[k];

		for (size_t i = 0; i < facts->n; i++)
			if (!is_known(r, facts->all[i].key) && r->n_keys < KEYS_MAX)
				memcpy(r->keys[r->n_keys++], facts->all[i].key, FACT_KEY);
	}
}
