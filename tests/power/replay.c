/*
 * replay.c - one pass over the log, from flush to flush ("epoch"). Only what differs from the state before is
 * changed on the disk.
 */
#include <errno.h>
#include <time.h>

#include "tx/yard.h"

#include "power/replaying.h"

enum how { ALL, NONE, HALF, MOST, FEW, BUT_ONE, ONLY_ONE, TORN, BLOCKS, HOWS };
static const char *const how_names[HOWS] = {
	"all", "none", "half", "most", "few", "all but one", "only one", "torn", "half the blocks"};

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t next_random(struct replay *r)
{
	return mix(r->random += 0x9e3779b97f4a7c15u);
}

static uint32_t below(struct replay *r, uint32_t n)
{
	return (uint32_t)(next_random(r) % n);
}

/* ---- choosing ---- */

static void pick_requests(struct replay *r, const struct cut *cut, enum how how)
{
	uint32_t one = cut->n > 0 ? below(r, cut->n) : 0;

	for (uint32_t i = 0; i < cut->n; i++) {
		const struct request *q = &r->requests[i];
		uint32_t end = q->end, p = below(r, 10);
		bool is_there = how == ALL || how == TORN || how == BLOCKS ||
				(how == HALF && p < 5) || (how == MOST && p < 9) ||
				(how == FEW && p < 1) || (how == BUT_ONE && i != one) ||
				(how == ONLY_ONE && i == one);

		if (!is_there)
			continue;
		if (how == TORN && i + 1 == cut->n)
			end = q->first + below(r, q->end - q->first + 1);
		for (uint32_t e = q->first; e < end; e++)
			if (how != BLOCKS || below(r, 2) == 0)
				image_pick(r, e);
	}
}

static void tell(struct replay *r, const struct cut *cut, enum how how, const char *trouble)
{
	const struct scenario *scenario = r->options->scenario;
	const struct command *commands = scenario->commands + scenario->n_prepared;
	struct replay_result *result = r->result;

	image_keep(r);
	if (result->broken < REPLAY_TOLD)
		(void)snprintf(result->told[result->broken], sizeof(result->told[0]),
			       "%s '%.40s', at %u of %u (%s of %u unflushed writes): %.250s",
			       cut->begun > cut->answered ? "in" : "after",
			       cut->begun > 0 ? commands[cut->begun - 1].name : "the beginning",
			       cut->at, (uint32_t)r->disk->shared->log_length, how_names[how],
			       cut->n, trouble);
	result->broken++;
}

/* One power cut. False: the harness failed, or is to stop. */
static bool try_cut(struct replay *r, const struct cut *cut, enum how how)
{
	struct image image = r->durable_hash, *known;
	char *trouble;

	r->now++;
	r->n_picked = 0;
	pick_requests(r, cut, how);
	for (uint32_t i = 0; i < r->n_picked; i++)
		image_change(r, &image, r->picked[i], r->durable[r->picked[i]],
			     r->chosen[r->picked[i]]);
	known = image_find(r, &image);
	r->result->cuts++;
	if (known->seen == 0) {
		if (image_show(r) < 0) {
			(void)snprintf(r->result->error, sizeof(r->result->error),
				       "the server is gone");
			return false;
		}
		image.seen = observe_look(r);
		if (image.seen == 0)
			return false;
		*known = image;
		r->n_images++;
		r->result->states++;
		if (r->options->heartbeat)
			++*r->options->heartbeat;
	}
	trouble = observe_wrong(r, &r->seen[known->seen - 1], cut);
	if (trouble)
		tell(r, cut, how, trouble);
	free(trouble);
	return r->options->stop_at == 0 || r->result->broken < r->options->stop_at;
}

/* The epoch has had its share of the time. */
static bool is_over(const struct replay *r)
{
	return r->epoch_end > 0 && now() > r->epoch_end;
}

/* The cut before log entry `at`, of the epoch that begins at `from`. */
static struct cut cut_at(const struct replay *r, uint32_t at, struct cut before)
{
	struct cut cut = before;
	const struct disk_entry *log = r->disk->log;

	cut.at = at;
	cut.n = 0;
	for (uint32_t i = before.at; i < at; i++) {
		if (log[i].event != DISK_MARK)
			continue;
		if (log[i].data == MARK_SHOWN)
			cut.shown = cut.begun;
		else if (log[i].data % 2 == 0)
			cut.begun++;
		else
			cut.answered++;
	}
	while (cut.n < r->n_requests && r->requests[cut.n].end <= at)
		cut.n++;
	return cut;
}

static void gather_requests(struct replay *r, uint32_t from, uint32_t end)
{
	const struct disk_entry *log = r->disk->log;

	r->n_requests = 0;
	for (uint32_t i = from; i < end; i++) {
		struct request *last = r->n_requests ? &r->requests[r->n_requests - 1] : NULL;

		if (log[i].event != DISK_WRITE)
			continue;
		if (last && last->end == i && log[last->first].request == log[i].request)
			last->end++;
		else if (r->n_requests < REQUESTS_MAX)
			r->requests[r->n_requests++] = (struct request){i, i + 1};
	}
}

static bool try_marks(struct replay *r, uint32_t from, uint32_t end, struct cut before)
{
	static const enum how hows[] = {NONE, ALL, HALF, BUT_ONE};

	for (uint32_t i = from; i < end; i++) {
		struct cut cut;

		if (r->disk->log[i].event != DISK_MARK)
			continue;
		cut = cut_at(r, i + 1, before);
		for (size_t k = 0; k < PL_ARRAY_LEN(hows); k++)
			if (!try_cut(r, &cut, hows[k]))
				return false;
	}
	return true;
}

/* Every prefix of the epoch's requests, or `most` of them evenly. */
static bool try_prefixes(struct replay *r, uint32_t most, struct cut before)
{
	uint32_t n = r->n_requests, tried = n < most ? n : most;

	for (uint32_t i = 0; i < tried && !is_over(r); i++) {
		uint32_t k = (uint32_t)((uint64_t)(i + 1) * n / tried) - 1;
		struct cut cut = cut_at(r, r->requests[k].end, before);

		if (!try_cut(r, &cut, ALL))
			return false;
	}
	return true;
}

static bool try_subsets(struct replay *r, uint64_t states, struct cut before)
{
	uint64_t until = r->result->states + states;
	uint32_t blocks =
		r->n_requests ? r->requests[r->n_requests - 1].end - r->requests[0].first : 0;
	/* Of few blocks there are few subsets, and the same ones come again. */
	uint64_t subsets = UINT64_C(4) << (blocks < 20 ? blocks : 20);
	uint64_t most = subsets < 4 * states ? subsets : 4 * states;

	if (r->n_requests == 0)
		return true;
	for (uint64_t i = 0; i < most && r->result->states < until && !is_over(r); i++) {
		/* The later ones have more to choose from. */
		uint32_t k = r->n_requests - 1 - below(r, 1 + below(r, r->n_requests));
		struct cut cut = cut_at(r, r->requests[k].end, before);
		enum how how = (enum how)(HALF + below(r, HOWS - HALF));

		if (!try_cut(r, &cut, how))
			return false;
	}
	return true;
}

/* The epoch's writes are durable now. */
static void flush(struct replay *r, uint32_t from, uint32_t end)
{
	const struct disk_entry *log = r->disk->log;

	r->now++; /* nothing is picked */
	for (uint32_t i = from; i < end; i++) {
		if (log[i].event != DISK_WRITE)
			continue;
		image_change(r, &r->durable_hash, log[i].block, r->durable[log[i].block],
			     log[i].data);
		r->durable[log[i].block] = log[i].data;
		if (r->stamp[log[i].block] != r->now) {
			if (r->n_touched >= TOUCHED_MAX)
				abort();
			r->touched[r->n_touched++] = log[i].block;
		}
		r->stamp[log[i].block] = r->now;
	}
	r->now++;
}

static bool try_epoch(struct replay *r, uint32_t from, uint32_t end, uint64_t states,
		      struct cut before)
{
	uint64_t first = r->result->states, used;

	gather_requests(r, from, end);
	if (!try_cut(r, &before, NONE) || !try_marks(r, from, end, before) ||
	    !try_prefixes(r, (uint32_t)(states / 2) + 1, before))
		return false;
	used = r->result->states - first;
	return try_subsets(r, states > used ? states - used : 1, before);
}

/* Where `options->from` began. */
static uint32_t first_of(const struct replay *r)
{
	const struct disk_entry *log = r->disk->log;
	uint32_t n = r->disk->shared->log_length;

	for (uint32_t i = 0; i < n && r->options->from > 0; i++)
		if (log[i].event == DISK_MARK &&
		    log[i].data == (uint32_t)MARK_BEGAN(r->options->from))
			return i;
	return 0;
}

static bool replay_epochs(struct replay *r)
{
	uint32_t n = r->disk->shared->log_length, from = 0, left = 1;
	struct cut before = {0};

	for (uint32_t i = first_of(r); i < n; i++)
		left += r->disk->log[i].event == DISK_FLUSH;
	r->result->flushes = left - 1;
	while (from <= n) {
		uint32_t end = from;
		uint64_t done = r->result->states, more;

		while (end < n && r->disk->log[end].event != DISK_FLUSH)
			end++;
		more = r->options->states > done ? (r->options->states - done) / left : 0;
		r->epoch_end = r->end > 0 ? now() + (r->end - now()) / left : 0;
		if (end >= first_of(r)) {
			if (!try_epoch(r, from, end, more, before))
				return false;
			r->result->writes += r->n_requests;
			left -= left > 1;
		}
		before = cut_at(r, end, before);
		before.n = 0;
		flush(r, from, end);
		from = end + 1;
	}
	return true;
}

static void *zeroed(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		abort();
	return memory;
}

void replay_run(struct disk *disk, const struct filesystem *fs, const struct place *place,
		const struct record *record, const struct replay_options *options,
		struct replay_result *result)
{
	struct replay *r = zeroed(1, sizeof(*r));
	size_t n = disk->n_blocks;

	*result = (struct replay_result){0};
	*r = (struct replay){.disk = disk,
			     .fs = fs,
			     .place = place,
			     .record = record,
			     .options = options,
			     .result = result,
			     .random = options->seed,
			     .end = options->seconds > 0 ? now() + options->seconds : 0,
			     .now = 1};
	r->judgement = mmap(NULL, sizeof(*r->judgement), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->judgement == MAP_FAILED)
		abort();
	r->durable = zeroed(n, sizeof(*r->durable));
	r->stamp = zeroed(n, sizeof(*r->stamp));
	r->chosen = zeroed(n, sizeof(*r->chosen));
	r->touched = zeroed(TOUCHED_MAX, sizeof(*r->touched));
	r->picked = zeroed(n, sizeof(*r->picked));
	r->hashes = zeroed(disk->shared->kept, sizeof(*r->hashes));
	memcpy(r->durable, disk->base, n * sizeof(*r->durable));
	/* At first the disk has what the recording has left. */
	for (uint32_t i = 0; i < n; i++)
		if (disk->content[i] != disk->base[i])
			r->touched[r->n_touched++] = i;
	observe_keys(r);
	if (disk->shared->is_full)
		(void)snprintf(result->error, sizeof(result->error), "the recording is too long");
	else
		(void)replay_epochs(r);
	if (disk->shared->is_full && result->error[0] == '\0')
		(void)snprintf(result->error, sizeof(result->error), "a mount wrote too much");
	for (uint32_t i = 0; i < r->n_seen; i++)
		free(r->seen[i].trouble);
	(void)munmap(r->judgement, sizeof(*r->judgement));
	free(r->seen);
	free(r->images);
	free(r->durable);
	free(r->stamp);
	free(r->chosen);
	free(r->touched);
	free(r->picked);
	free(r->hashes);
	free(r);
}
