/*
 * Merging of random trees, held against a model that knows lists of paths and nothing else: no nodes, no
 * walk, nothing that is passed over. The model states the rules once more, each over all paths, in the
 * order in which CLI.md has them; groups are sets of paths, found by comparing each with each.
 */
#include "merging.h"

#define ROUNDS 6000
#define CELLS  (3 * FLAT_MAX)

enum { B, H, T };
enum place { LEAF, BOTH, ONLY_H, ONLY_T, GONE_T, GONE_H };
enum choice { TAKE_H, TAKE_T, TAKE_MADE };
enum way { ALL_H, ALL_T, EACH, UNION, CONFLICT };

/* One path in three trees. */
struct cell {
	char path[FLAT_PATH_MAX];
	struct flat_thing *s[3]; /* NULL: not there */
	struct cell *parent;
	enum place place;
	enum choice choice;
	struct flat_thing made; /* with TAKE_MADE, and what BOTH comes to */
	enum pl_merge_policy policy;
	bool is_ignored, may_ignore, is_conflict, is_forced, has_below, is_there;
	bool takes_part, is_seen;
	size_t file[3];	     /* number of the first cell of the same file; CELLS: not there */
	size_t united, link; /* link: 0 for none, else first cell of the file + 1 */
};
struct model {
	struct memory_store store;
	struct pl_id ids[3];
	struct flat flats[3];
	const char *policies;
	struct cell cells[CELLS];
	size_t n;
};

static bool is_dir(const struct flat_thing *thing)
{
	return thing && thing->kind == 'd';
}
static const struct flat_thing *leaf(const struct cell *c, int s)
{
	const struct flat_thing *thing = c->s[s == T && c->is_ignored ? B : s];

	return is_dir(thing) ? NULL : thing;
}
static bool same_but_mtime(const struct flat_thing *a, const struct flat_thing *b)
{
	return a->kind == b->kind && a->content == b->content && a->mode == b->mode &&
	       a->owner == b->owner;
}
static bool same(const struct flat_thing *a, const struct flat_thing *b)
{
	if (!a || !b)
		return a == b;
	return same_but_mtime(a, b) && a->mtime == b->mtime;
}

/* What has no meaning must not make a difference. */
static void normalize(struct flat *flat)
{
	for (size_t i = 0; i < flat->n; i++) {
		struct flat_thing *thing = &flat->things[i];

		if (strchr("dps", thing->kind))
			thing->content = 0;
		if (thing->kind == 'l')
			thing->mode = 0;
	}
}

/* ---- cells ---- */

static struct cell *find_cell(struct model *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->cells[i].path, path) == 0)
			return &m->cells[i];
	}
	return NULL;
}

static int compare_cells(const void *a, const void *b)
{
	return pl_path_compare(((const struct cell *)a)->path, ((const struct cell *)b)->path);
}

static enum place place_of(const struct cell *c)
{
	if (is_dir(c->s[H]) && is_dir(c->s[T]))
		return BOTH;
	if (is_dir(c->s[H]))
		return is_dir(c->s[B]) ? GONE_T : ONLY_H;
	if (is_dir(c->s[T]))
		return is_dir(c->s[B]) ? GONE_H : ONLY_T;
	return LEAF;
}

static void ask_policy(const struct model *m, struct cell *c)
{
	struct merging merging = {.policies = m->policies};
	const struct flat_thing *shown = c->s[T] ? c->s[T] : c->s[H] ? c->s[H] : c->s[B];

	c->is_ignored = c->parent && c->parent->is_ignored;
	c->may_ignore = !c->parent ||
			(c->parent->may_ignore &&
			 !(is_dir(c->parent->s[H]) && c->parent->s[T] && !is_dir(c->parent->s[T])));
	if (!m->policies || c->is_ignored)
		return;
	c->policy = merging_policy(&merging, c->path, is_dir(shown));
	if (c->policy != PL_MERGE_IGNORE)
		return;
	c->policy = PL_MERGE_FAIL;
	c->is_ignored = c->may_ignore;
}

static void fill_cells(struct model *m)
{
	for (int s = 0; s < 3; s++) {
		for (size_t i = 0; i < m->flats[s].n; i++) {
			if (!find_cell(m, m->flats[s].things[i].path))
				memcpy(m->cells[m->n++].path, m->flats[s].things[i].path,
				       FLAT_PATH_MAX);
		}
	}
	qsort(m->cells, m->n, sizeof(m->cells[0]), compare_cells);
	for (size_t i = 0; i < m->n; i++) {
		struct cell *c = &m->cells[i];
		char parent[FLAT_PATH_MAX];
		char *slash;

		for (int s = 0; s < 3; s++)
			c->s[s] = flat_find(&m->flats[s], c->path);
		memcpy(parent, c->path, sizeof(parent));
		slash = strrchr(parent, '/');
		*(slash ? slash : parent) = '\0';
		c->parent = i > 0 ? find_cell(m, parent) : NULL;
		c->place = place_of(c);
		ask_policy(m, c);
	}
}

/* ---- a path for itself ---- */

static bool is_below_removal(const struct cell *c)
{
	return c->parent && (c->parent->place == GONE_T || c->parent->place == GONE_H);
}

/* Each field: 0 neither changed it, 1 head, 2 tx, 3 both. */
static int who(unsigned b, unsigned h, unsigned t)
{
	return h == t ? 0 : (h != b) + 2 * (t != b);
}

static void decide_file(struct cell *c)
{
	const struct flat_thing *b = c->s[B], *h = c->s[H], *t = c->s[T];
	int content, metas[3], heads, txs;

	c->is_conflict = true;
	if (h->kind != t->kind)
		return;
	if (!b || b->kind != h->kind) {
		c->is_conflict = !same_but_mtime(h, t);
		c->choice = h->mtime >= t->mtime ? TAKE_H : TAKE_T;
		return;
	}
	content = who(b->content, h->content, t->content);
	metas[0] = who(b->mode, h->mode, t->mode);
	metas[1] = who(b->owner, h->owner, t->owner);
	metas[2] = who(b->mtime, h->mtime, t->mtime);
	heads = content == 1;
	txs = content == 2;
	for (int i = 0; i < 3; i++) {
		heads += metas[i] == 1;
		txs += metas[i] == 2;
		if (metas[i] == 3)
			return;
	}
	if (content == 3 || (content == 0 && heads > 0 && txs > 0))
		return;
	c->is_conflict = false;
	c->choice = TAKE_MADE;
	c->made = *h;
	c->made.content = content == 2 ? t->content : h->content;
	c->made.mode = metas[0] == 2 ? t->mode : h->mode;
	c->made.owner = metas[1] == 2 ? t->owner : h->owner;
	c->made.mtime = metas[2] == 2 ? t->mtime : h->mtime;
	if (same(&c->made, h))
		c->choice = TAKE_H;
}

static void decide_leaf(struct cell *c)
{
	const struct flat_thing *b = c->s[B], *h = c->s[H], *t = c->s[T];

	if (c->is_ignored || (!h && !t))
		return;
	if (is_below_removal(c) && !b)
		c->is_conflict = true;
	else if (same(h, t) || (same(b, t) && !is_dir(b)))
		c->choice = TAKE_H;
	else if (same(b, h) && !is_dir(b))
		c->choice = TAKE_T;
	else if (!h || !t)
		c->is_conflict = true;
	else
		decide_file(c);
}

static void decide_both(struct cell *c)
{
	const struct flat_thing *h = c->s[H], *t = c->s[T];
	const struct flat_thing *b = is_dir(c->s[B]) ? c->s[B] : NULL;
	unsigned later = h->mtime > t->mtime ? h->mtime : t->mtime;
	int mode, owner;

	c->made = *h;
	if (c->is_ignored)
		return;
	mode = b ? who(b->mode, h->mode, t->mode) : h->mode != t->mode ? 3 : 0;
	owner = b ? who(b->owner, h->owner, t->owner) : h->owner != t->owner ? 3 : 0;
	if (mode == 3 || owner == 3) {
		c->is_conflict = c->policy != PL_MERGE_OURS && c->policy != PL_MERGE_THEIRS;
		c->made = c->policy == PL_MERGE_THEIRS ? *t : *h;
		c->made.mtime = later;
		return;
	}
	c->made.mode = mode == 2 ? t->mode : h->mode;
	c->made.owner = owner == 2 ? t->owner : h->owner;
	c->made.mtime = !b		       ? later
			: b->mtime == h->mtime ? t->mtime
			: b->mtime == t->mtime ? h->mtime
					       : later;
}

static bool meta_differs(const struct flat_thing *a, const struct flat_thing *b)
{
	return a->mode != b->mode || a->owner != b->owner;
}

static void decide_alone(struct cell *c)
{
	const struct flat_thing *b = c->s[B], *h = c->s[H], *t = c->s[T];

	switch (c->place) {
	case LEAF:
		decide_leaf(c);
		return;
	case BOTH:
		decide_both(c);
		return;
	default:
		break;
	}
	if (c->is_ignored)
		return;
	switch (c->place) {
	case ONLY_H:
		c->choice = same(b, t) ? TAKE_H : TAKE_T;
		c->is_conflict = !same(b, t) || c->parent->place == GONE_T;
		return;
	case ONLY_T:
		c->choice = same(b, t) ? TAKE_H : TAKE_T;
		c->is_conflict = !same(b, h) || c->parent->place == GONE_H;
		return;
	case GONE_T:
		c->choice = TAKE_T;
		c->is_conflict = meta_differs(b, h);
		return;
	default:
		c->is_conflict = meta_differs(b, t);
		return;
	}
}

/* ---- groups ---- */

static unsigned label(const struct cell *c, int s)
{
	return c->s[s] && !is_dir(c->s[s]) ? c->s[s]->group : 0;
}

static size_t first_with(const struct model *m, size_t i, int s)
{
	for (size_t k = 0; k < i; k++) {
		if (m->cells[k].takes_part && label(&m->cells[k], s) == label(&m->cells[i], s))
			return k;
	}
	return i;
}

/* A component: cells that are joined by groups of any tree. */
struct component {
	struct cell *cells[CELLS];
	size_t n;
	enum way way;
};

static bool is_in(const struct component *k, const struct cell *c)
{
	for (size_t i = 0; i < k->n; i++) {
		if (k->cells[i] == c)
			return true;
	}
	return false;
}

/* Ignored names stay together as base has them. */
static void restore_ignored(struct model *m, const struct component *of)
{
	size_t files[CELLS];

	for (size_t i = 0; i < m->n; i++) {
		const struct cell *c = &m->cells[i];
		bool are_all_removed = true;

		files[i] = c->file[T];
		if (!c->takes_part || !c->is_ignored || !is_in(of, c))
			continue;
		files[i] = CELLS;
		if (c->file[B] == CELLS)
			continue;
		files[i] = CELLS + c->file[B];
		for (size_t k = 0; k < m->n; k++) {
			const struct cell *o = &m->cells[k];

			if (o->takes_part && o->is_ignored && o->file[B] == c->file[B])
				are_all_removed = are_all_removed && !o->s[T];
		}
		for (size_t k = 0; k < m->n; k++) { /* k: one that tx left together with another */
			const struct cell *o = &m->cells[k];
			size_t p = 0;

			if (!o->takes_part || !o->is_ignored || o->file[B] != c->file[B])
				continue;
			while (p < m->n && !(m->cells[p].takes_part && !m->cells[p].is_ignored &&
					     m->cells[p].file[B] == c->file[B] &&
					     m->cells[p].file[T] == o->file[T]))
				p++;
			if (p < m->n && o->file[T] != CELLS)
				files[i] = o->file[T];
		}
		for (size_t k = m->n; k > 0 && are_all_removed; k--) {
			const struct cell *o = &m->cells[k - 1];

			if (o->takes_part && !o->is_ignored && o->file[B] == c->file[B] &&
			    o->file[T] != CELLS)
				files[i] = o->file[T];
		}
	}
	for (size_t i = 0; i < m->n; i++) {
		size_t k = 0;

		m->cells[i].file[T] = CELLS;
		if (!m->cells[i].takes_part || files[i] == CELLS)
			continue;
		while (!m->cells[k].takes_part || files[k] != files[i])
			k++;
		m->cells[i].file[T] = k;
	}
}

static void find_files(struct model *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct cell *c = &m->cells[i];

		c->takes_part = (label(c, B) || label(c, H) || label(c, T)) &&
				(c->s[H] || c->s[T]) && (leaf(c, H) || leaf(c, T));
		c->united = CELLS;
	}
	for (size_t i = 0; i < m->n; i++) {
		struct cell *c = &m->cells[i];

		for (int s = 0; s < 3; s++) {
			c->file[s] = !c->takes_part || !c->s[s] || is_dir(c->s[s]) ? CELLS
				     : label(c, s) ? first_with(m, i, s)
						   : i;
		}
	}
}

static void collect(struct model *m, struct cell *from)
{
	bool has_grown = true;

	from->is_seen = true;
	while (has_grown) {
		has_grown = false;
		for (size_t i = 0; i < m->n; i++) {
			struct cell *c = &m->cells[i];

			for (size_t j = 0; j < m->n && !c->is_seen && c->takes_part; j++) {
				const struct cell *o = &m->cells[j];

				for (int s = 0; s < 3 && o->is_seen && o->takes_part; s++) {
					if (label(c, s) && label(c, s) == label(o, s))
						c->is_seen = has_grown = true;
				}
			}
		}
	}
}

static bool all_same_files(const struct component *k, int a, int b)
{
	bool are_same = true;

	for (size_t i = 0; i < k->n; i++)
		are_same = are_same && k->cells[i]->file[a] == k->cells[i]->file[b];
	return are_same;
}

static bool files_changed(const struct component *k, int s)
{
	bool has_changed = false;

	for (size_t i = 0; i < k->n; i++) {
		const struct flat_thing *b = leaf(k->cells[i], B), *x = leaf(k->cells[i], s);

		has_changed = has_changed || (b && x && !same(b, x));
	}
	return has_changed;
}

/* Each pair of names that both have must be together, or not, in both. */
static bool unite(const struct component *k)
{
	for (size_t i = 0; i < k->n; i++) {
		struct cell *x = k->cells[i];

		if (x->place != LEAF ||
		    (x->file[B] == CELLS && x->file[H] != CELLS && x->file[T] != CELLS))
			return false;
		for (size_t j = 0; j < k->n; j++) {
			const struct cell *y = k->cells[j];

			for (int s = H; s <= T; s++) {
				if (x->file[B] != CELLS && y->file[B] != CELLS &&
				    x->file[s] != CELLS && y->file[s] != CELLS &&
				    (x->file[B] == y->file[B]) != (x->file[s] == y->file[s]))
					return false;
			}
		}
	}
	for (size_t i = 0; i < k->n; i++) {
		struct cell *x = k->cells[i];
		int s = x->file[H] != CELLS ? H : T;

		x->united = x->file[B];
		for (size_t j = 0; j < k->n && x->united == CELLS; j++) {
			if (k->cells[j]->file[s] == x->file[s])
				x->united = k->cells[j]->file[B];
		}
		if (x->united == CELLS)
			x->united = x->file[s];
		if (!x->is_ignored)
			x->choice = x->file[B] == CELLS	  ? (x->file[H] != CELLS ? TAKE_H : TAKE_T)
				    : x->file[T] == CELLS ? TAKE_T
							  : TAKE_H;
	}
	return true;
}

static void choose_all(const struct component *k, enum choice choice)
{
	for (size_t i = 0; i < k->n; i++)
		k->cells[i]->choice = k->cells[i]->is_ignored ? TAKE_H : choice;
}

static void dispute(const struct component *k)
{
	for (size_t i = 0; i < k->n; i++)
		k->cells[i]->is_conflict = !k->cells[i]->is_ignored;
}

static void decide_component(struct model *m, struct component *k)
{
	bool is_lost = false;

	for (size_t i = 0; i < k->n; i++)
		is_lost = is_lost || (is_below_removal(k->cells[i]) && !k->cells[i]->s[B] &&
				      !k->cells[i]->is_ignored);
	if (!all_same_files(k, H, T))
		restore_ignored(m, k);
	if (all_same_files(k, H, T)) {
		k->way = EACH; /* as they were decided on alone */
		return;
	}
	k->way = CONFLICT;
	if (!is_lost && all_same_files(k, H, B) && !files_changed(k, H))
		k->way = ALL_T;
	else if (!is_lost && all_same_files(k, T, B) && !files_changed(k, T))
		k->way = ALL_H;
	else if (!is_lost && !all_same_files(k, H, B) && !all_same_files(k, T, B) &&
		 !files_changed(k, H) && !files_changed(k, T) && unite(k))
		k->way = UNION;
	for (size_t i = 0; i < k->n; i++) {
		if (k->cells[i]->place == LEAF)
			k->cells[i]->is_conflict = false; /* not what it was alone */
	}
	if (k->way == CONFLICT)
		dispute(k);
	if (k->way == ALL_T || k->way == ALL_H)
		choose_all(k, k->way == ALL_T ? TAKE_T : TAKE_H);
}

static size_t split(struct model *m, struct component *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++) {
		struct component *k = &ret[n];
		bool was_seen[CELLS];

		if (!m->cells[i].takes_part || m->cells[i].is_seen)
			continue;
		for (size_t j = 0; j < m->n; j++)
			was_seen[j] = m->cells[j].is_seen;
		for (size_t j = 0; j < m->n; j++)
			m->cells[j].is_seen = false;
		collect(m, &m->cells[i]);
		for (size_t j = 0; j < m->n; j++) {
			if (m->cells[j].is_seen)
				k->cells[k->n++] = &m->cells[j];
			m->cells[j].is_seen = m->cells[j].is_seen || was_seen[j];
		}
		n++;
	}
	return n;
}

/* ---- policies ---- */

static bool is_at_or_below(const struct cell *c, const struct cell *above)
{
	while (c && c != above)
		c = c->parent;
	return c != NULL;
}

static void force(struct model *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct cell *c = &m->cells[i];
		bool has_conflict = false;

		if (c->is_forced || c->is_ignored || c->place == LEAF || c->place == BOTH ||
		    (c->policy != PL_MERGE_OURS && c->policy != PL_MERGE_THEIRS))
			continue;
		for (size_t k = i; k < m->n; k++)
			has_conflict = has_conflict ||
				       (m->cells[k].is_conflict && is_at_or_below(&m->cells[k], c));
		for (size_t k = i; k < m->n && has_conflict; k++) {
			struct cell *x = &m->cells[k];

			if (x->is_ignored || !is_at_or_below(x, c))
				continue;
			x->is_forced = true;
			x->is_conflict = false;
			x->choice = c->policy == PL_MERGE_OURS ? TAKE_H : TAKE_T;
		}
	}
}

static void append(struct cell *c)
{
	const struct flat_thing *b = c->s[B], *h = c->s[H], *t = c->s[T];

	if (!h || !t || h->kind != 'f' || t->kind != 'f')
		return;
	if (b && (b->kind != 'f' || b->content == h->content || b->content == t->content ||
		  b->content != 0 || (meta_differs(b, t) && meta_differs(h, t))))
		return;
	if (!b && meta_differs(h, t))
		return;
	c->is_conflict = false;
	c->choice = TAKE_MADE;
	c->made = *h;
	c->made.content = 100 + 10 * h->content + t->content;
	c->made.mtime = h->mtime > t->mtime ? h->mtime : t->mtime;
}

static void resolve(struct cell *c)
{
	if (!c->is_conflict || c->place != LEAF)
		return;
	if (c->policy == PL_MERGE_OURS || c->policy == PL_MERGE_THEIRS) {
		c->is_conflict = false;
		c->choice = c->policy == PL_MERGE_OURS ? TAKE_H : TAKE_T;
	} else if (c->policy == PL_MERGE_APPEND) {
		append(c);
	}
}

static const struct flat_thing *chosen(const struct cell *c)
{
	const struct flat_thing *thing = c->choice == TAKE_H   ? c->s[H]
					 : c->choice == TAKE_T ? c->s[T]
							       : &c->made;

	return is_dir(thing) ? NULL : thing;
}

static bool agree(struct component *k)
{
	bool is_ours = true, is_theirs = true;

	for (size_t i = 0; i < k->n; i++) {
		const struct cell *c = k->cells[i];

		if (c->is_ignored)
			continue;
		is_ours = is_ours &&
			  (c->is_forced ? c->choice == TAKE_H : c->policy == PL_MERGE_OURS);
		is_theirs = is_theirs &&
			    (c->is_forced ? c->choice == TAKE_T : c->policy == PL_MERGE_THEIRS);
	}
	if (!is_ours && !is_theirs)
		return false;
	k->way = is_ours ? ALL_H : ALL_T;
	choose_all(k, is_ours ? TAKE_H : TAKE_T);
	for (size_t i = 0; i < k->n; i++)
		k->cells[i]->is_conflict = false;
	return true;
}

static void settle_component(struct component *k)
{
	bool is_disputed = k->way == CONFLICT, has_conflict = false;

	for (size_t i = 0; i < k->n && k->way != EACH; i++)
		is_disputed = is_disputed || k->cells[i]->is_forced;
	if (is_disputed && !agree(k)) {
		dispute(k);
		return;
	}
	for (size_t i = 0; i < k->n; i++) {
		struct cell *c = k->cells[i];

		if (k->way == EACH)
			resolve(c);
		has_conflict = has_conflict || c->is_conflict;
	}
	for (size_t i = 0; i < k->n; i++) {
		struct cell *c = k->cells[i];
		size_t file = k->way == ALL_T	? c->file[T]
			      : k->way == UNION ? c->united
						: c->file[H];

		/* What is ignored and new in head is not in tx: it stays with what is so as well. */
		if (file == CELLS && c->is_ignored)
			file = CELLS + c->file[H];
		c->link = chosen(c) && file != CELLS ? file + 1 : 0;
		for (size_t j = 0; j < i; j++) {
			if (c->link && c->link == k->cells[j]->link &&
			    !same(chosen(c), chosen(k->cells[j])))
				has_conflict = true;
		}
	}
	if (has_conflict && k->way != ALL_H)
		dispute(k);
}

/* ---- the result ---- */

static void find_what_is_there(struct model *m)
{
	for (size_t i = m->n; i > 0; i--) {
		struct cell *c = &m->cells[i - 1];

		if (c->has_below && chosen(c))
			c->is_conflict = true;
		c->is_there = chosen(c) != NULL || c->place == BOTH || c->has_below;
		if (c->place == ONLY_H || c->place == GONE_T)
			c->is_there = c->is_there || c->choice == TAKE_H;
		if (c->place == ONLY_T || c->place == GONE_H)
			c->is_there = c->is_there || c->choice == TAKE_T;
		if (c->parent && c->is_there && !c->is_conflict)
			c->parent->has_below =
				c->parent->place == GONE_T || c->parent->place == GONE_H;
	}
}

/* Nothing is below what is not there, or no directory. */
static void cut(struct model *m)
{
	for (size_t i = 1; i < m->n; i++) {
		struct cell *c = &m->cells[i];

		if (!c->parent->is_there || (chosen(c->parent) && c->parent->place != BOTH))
			c->is_there = false;
	}
}

static void add_line(const struct cell *c, struct pl_buffer *text)
{
	struct flat_thing thing = c->place == BOTH  ? c->made
				  : chosen(c)	    ? *chosen(c)
				  : is_dir(c->s[H]) ? *c->s[H]
						    : *c->s[T];

	if (thing.content < 100) {
		flat_text_thing(text, &thing);
		return;
	}
	pl_buffer_add_format(text, "f %s ", c->path);
	if (thing.content / 10 % 10)
		pl_buffer_add_format(text, "content%u", thing.content / 10 % 10);
	if (thing.content % 10)
		pl_buffer_add_format(text, "content%u", thing.content % 10);
	pl_buffer_add_format(text, " %s", thing.mode ? "0700" : "0755");
	if (thing.mtime)
		pl_buffer_add_format(text, " mtime=%u", thing.mtime);
	if (thing.owner)
		pl_buffer_add_format(text, " owner=%u", thing.owner);
	pl_buffer_add_u8(text, '\n');
}

static void add_links(const struct model *m, size_t i, struct pl_buffer *text)
{
	const struct cell *c = &m->cells[i];
	size_t n = 0, link = c->link;

	for (size_t k = 0; k < m->n && link; k++) {
		if (m->cells[k].link == link && m->cells[k].is_there) {
			if (k < i)
				return;
			n++;
		}
	}
	if (n < 2)
		return;
	pl_buffer_add_u8(text, 'g');
	for (size_t k = i; k < m->n; k++) {
		if (m->cells[k].link == link && m->cells[k].is_there)
			pl_buffer_add_format(text, " %s", m->cells[k].path);
	}
	pl_buffer_add_u8(text, '\n');
}

static bool was_regrouped(const struct model *m, const struct cell *c, int s)
{
	for (size_t i = 0; i < m->n && c->takes_part; i++) {
		const struct cell *o = &m->cells[i];

		if (!o->takes_part)
			continue;
		if ((o->file[B] == c->file[B]) != (o->file[s] == c->file[s]))
			return true;
	}
	return false;
}

static const char *word(struct model *m, const struct cell *c, int s)
{
	const struct flat_thing *b = c->s[B], *x = c->s[s];
	struct pl_node_source source = memory_store_source(&m->store);
	struct pleach_error error = PLEACH_ERROR_INIT;
	struct pl_found was, is;
	bool is_equal;

	if (!b && !x)
		return is_below_removal(c) ? "removed" : "unchanged";
	if (!b)
		return "added";
	if (!x)
		return "removed";
	if (b->kind != x->kind)
		return "type";
	if (x->kind != 'd')
		return b->content != x->content ? "modified"
		       : !same(b, x)		? "metadata"
		       : was_regrouped(m, c, s) ? "links"
						: "unchanged";
	if (meta_differs(b, x))
		return "metadata";
	if (!*c->path)
		return "unchanged";
	assert_int_equal(pl_lookup(&source, &m->ids[B], c->path, &was, &error), 0);
	assert_int_equal(pl_lookup(&source, &m->ids[s], c->path, &is, &error), 0);
	is_equal = pl_id_equal(&was.directory, &is.directory);
	pl_found_done(&was);
	pl_found_done(&is);
	return is_equal ? "unchanged" : "modified";
}

static void model_merge(struct model *m)
{
	struct component *components = calloc(CELLS, sizeof(*components));
	size_t n;

	assert_non_null(components);
	fill_cells(m);
	for (size_t i = 0; i < m->n; i++)
		decide_alone(&m->cells[i]);
	find_files(m);
	n = split(m, components);
	for (size_t i = 0; i < n; i++)
		decide_component(m, &components[i]);
	force(m);
	for (size_t i = 0; i < n; i++)
		settle_component(&components[i]);
	for (size_t i = 0; i < m->n; i++) {
		if (!m->cells[i].takes_part)
			resolve(&m->cells[i]);
	}
	find_what_is_there(m);
	cut(m);
	free(components);
}

/* The conflicts as a text, NULL if there are none. */
static char *model_conflicts(struct model *m)
{
	struct pl_buffer text = {0};

	for (size_t i = 0; i < m->n; i++) {
		const struct cell *c = &m->cells[i];

		if (c->is_conflict)
			pl_buffer_add_format(&text, "%s %s/%s\n", *c->path ? c->path : ".",
					     word(m, c, H), word(m, c, T));
	}
	return text.length ? pl_buffer_take_string(&text) : NULL;
}

static struct pl_id model_tree(struct model *m)
{
	struct pl_buffer text = {0};
	struct pl_id id;

	for (size_t i = 0; i < m->n; i++) {
		if (m->cells[i].is_there)
			add_line(&m->cells[i], &text);
	}
	for (size_t i = 0; i < m->n; i++) {
		if (m->cells[i].is_there)
			add_links(m, i, &text);
	}
	id = memory_store_tree(&m->store, pl_buffer_string(&text));
	pl_buffer_done(&text);
	return id;
}

/* ---- the cases ---- */

static const char *const policies[] = {
	NULL,
	NULL,
	"none:fail",
	"*a!:ignore *a0:ours *b:theirs",
	"*a:ignore *b:ours",
	"*a-b:theirs *a:append *b:ours",
	"a*:theirs",
	"*a:ours",
	"*:append",
	"*b:ignore *:theirs",
	"*0:ignore *:ours",
};

static bool has_line(const char *text, const char *line, size_t length)
{
	for (; *text; text += strcspn(text, "\n") + 1) {
		if (strcspn(text, "\n") == length && memcmp(text, line, length) == 0)
			return true;
	}
	return false;
}

/* Shows the lines of one text that the other has not. */
static void show_lines(const char *what, const char *text, const char *other)
{
	for (; *text; text += strcspn(text, "\n") + 1) {
		size_t length = strcspn(text, "\n");

		if (!has_line(other, text, length))
			print_message("# %s %.*s\n", what, (int)length, text);
	}
}

/* Shows what both sides did, for who has to find out. */
static void show(struct model *m)
{
	char *texts[3];

	for (int s = 0; s < 3; s++)
		texts[s] = memory_store_dump(&m->store, &m->ids[s]);
	show_lines("head -", texts[B], texts[H]);
	show_lines("head +", texts[H], texts[B]);
	show_lines("tx -", texts[B], texts[T]);
	show_lines("tx +", texts[T], texts[B]);
	show_lines("base", texts[B], "");
	print_message("# policies: %s\n", m->policies ? m->policies : "none");
	for (int s = 0; s < 3; s++)
		free(texts[s]);
}

static int same_lines(const char *got, const char *wanted)
{
	show_lines("got", got, wanted);
	show_lines("wanted", wanted, got);
	return strcmp(got, wanted) != 0;
}

static int compare(struct model *m, int r, const struct pl_id *got, const char *conflicts)
{
	char *wanted = model_conflicts(m), *a, *b;
	struct pl_id id;
	int result;

	result = same_lines(conflicts, wanted ? wanted : "");
	if (!wanted && r == 0) {
		id = model_tree(m);
		a = memory_store_dump(&m->store, got);
		b = memory_store_dump(&m->store, &id);
		result = same_lines(a, b) || !pl_id_equal(&id, got);
		free(a);
		free(b);
	}
	if (result != 0)
		show(m);
	free(wanted);
	return result;
}

static size_t n_landed, n_conflicts;

static int check_random(uint64_t seed)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t random = seed * 7919;
	struct pl_id got = {0};
	char *conflicts;
	size_t n;
	int r;

	assert_non_null(m);
	memory_store_init(&m->store);
	flat_make(&m->flats[B], 2 + flat_random(&random, 50), &random);
	n = flat_random(&random, 3) ? 1 + flat_random(&random, 3) : 12;
	for (int s = H; s <= T; s++) {
		m->flats[s] = m->flats[B];
		flat_change(&m->flats[s], n, &random);
	}
	m->policies = policies[flat_random(&random, PL_ARRAY_LEN(policies))];
	for (int s = 0; s < 3; s++) {
		normalize(&m->flats[s]);
		m->ids[s] = flat_tree(&m->store, &m->flats[s]);
	}
	model_merge(m);
	r = merging_run(&m->store, m->policies, m->ids, &got, &conflicts);
	if (r >= 0)
		r = compare(m, r, &got, conflicts);
	if (*conflicts)
		n_conflicts++;
	else
		n_landed++;
	free(conflicts);
	memory_store_done(&m->store);
	free(m);
	return r;
}

static void merges_of_random_trees_are_those_of_their_lists(void **state)
{
	flat_run("merge", ROUNDS, check_random);
	if (!getenv("PLEACH_SEED")) {
		print_message("# %zu landed, %zu in conflict\n", n_landed, n_conflicts);
		assert_true(n_landed > ROUNDS / 5 && n_conflicts > ROUNDS / 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merges_of_random_trees_are_those_of_their_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
