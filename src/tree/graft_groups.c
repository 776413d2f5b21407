/*
 * graft_groups - see graft_groups.h. The walk goes where two sources or more meet; nowhere else can a
 * path be lost. Each part of a frame has in its reach all members, of groups of its node and of all
 * nodes of the same source above, that lie in the directory. Where the source loses a name, those at
 * and below it get their mark; when a directory is left, all below it is known, and the groups with
 * marks are written down.
 *
 * Of two sources that meet at most one keeps a name that is no directory, so groups of different
 * sources never share a member in the result.
 */
#include "tree/graft_groups.h"

#include <stdlib.h>

#include "tree/overlap.h"

/* `directory`/`name`, where either may be empty; malloc'ed. */
static char *join_path(const char *directory, const char *name, size_t name_length)
{
	struct pl_buffer b = {0};

	pl_buffer_add_string(&b, directory);
	if (*directory != '\0' && name_length > 0)
		pl_buffer_add_u8(&b, '/');
	pl_buffer_add(&b, name, name_length);
	return pl_buffer_take_string(&b);
}

/* ---- what was found ---- */

static int compare_lost(const void *a, const void *b)
{
	const struct pl_regrouping_lost *x = a, *y = b;
	int c = pl_path_compare(x->first, y->first);

	return c != 0 ? c : (x->source > y->source) - (x->source < y->source);
}

static int compare_left(const void *a, const void *b)
{
	const struct pl_regrouping_left *x = a, *y = b;

	return pl_path_compare(x->directory, y->directory);
}

static int add_lost(struct pl_regrouping *regrouping, size_t source, const char *directory,
		    const char *first)
{
	char *path;

	if (PL_ARRAY_GROW(regrouping->lost, regrouping->lost_capacity, regrouping->n_lost) < 0)
		return -ENOMEM;
	path = join_path(directory, first, strlen(first));
	if (!path)
		return -ENOMEM;
	regrouping->lost[regrouping->n_lost++] =
		(struct pl_regrouping_lost){.first = path, .source = source};
	return 0;
}

/* How many members of a group are not lost, and the length of their lowest common directory. */
static size_t survivors_of(const struct pl_groups *groups, size_t group, const bool *is_lost,
			   size_t *ret_directory_length)
{
	const char *first = NULL;
	size_t n = 0, length = 0;

	for (size_t m = 0; m < groups->groups[group].n_members; m++) {
		const char *member = pl_groups_path(groups, group, m);
		const char *slash = strrchr(member, '/');

		if (is_lost[m])
			continue;
		n++;
		if (first) {
			length = pl_path_common(first, length, member);
		} else {
			first = member;
			length = slash ? (size_t)(slash - member) : 0;
		}
	}
	*ret_directory_length = length;
	return n;
}

static int add_left(struct pl_regrouping *regrouping, const char *directory,
		    const struct pl_groups *groups, size_t group, const bool *is_lost)
{
	size_t length, n = survivors_of(groups, group, is_lost, &length);
	struct pl_regrouping_left *left;
	int r;

	pl_assert(n < groups->groups[group].n_members);
	if (n < 2)
		return 0;
	if (PL_ARRAY_GROW(regrouping->left, regrouping->left_capacity, regrouping->n_left) < 0)
		return -ENOMEM;
	left = &regrouping->left[regrouping->n_left];
	*left = (struct pl_regrouping_left){.group = regrouping->groups.n};
	r = pl_groups_begin(&regrouping->groups);
	for (size_t m = 0; m < groups->groups[group].n_members && r >= 0; m++) {
		const char *member = pl_groups_path(groups, group, m);

		if (is_lost[m])
			continue;
		if (!left->directory)
			left->directory = join_path(directory, member, length);
		r = left->directory
			    ? pl_groups_add(&regrouping->groups, member + length + (length > 0))
			    : -ENOMEM;
	}
	regrouping->n_left++;
	return r;
}

void pl_regrouping_done(struct pl_regrouping *regrouping)
{
	for (size_t i = 0; i < regrouping->n_lost; i++)
		free(regrouping->lost[i].first);
	free(regrouping->lost);
	for (size_t i = 0; i < regrouping->n_left; i++)
		free(regrouping->left[i].directory);
	free(regrouping->left);
	pl_groups_done(&regrouping->groups);
	*regrouping = (struct pl_regrouping){0};
}

bool pl_regrouping_has_lost(const struct pl_regrouping *regrouping, size_t source,
			    const char *first)
{
	struct pl_regrouping_lost key = {.first = (char *)first, .source = source};

	return regrouping->n_lost > 0 && bsearch(&key, regrouping->lost, regrouping->n_lost,
						 sizeof(key), compare_lost) != NULL;
}

size_t pl_regrouping_left_below(const struct pl_regrouping *regrouping, const char *path)
{
	size_t low = 0, high = regrouping->n_left;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pl_path_compare(regrouping->left[middle].directory, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < regrouping->n_left && pl_path_is_below(regrouping->left[low].directory, path))
		return low;
	return regrouping->n_left;
}

/* ---- the walk ---- */

/* Reads the groups of the part's node and puts them in reach, with what comes from above. */
static int part_open(const struct pl_node_source *source, struct pl_overlap_part *part,
		     const struct pl_reach *above, struct pleach_error *error)
{
	if (pl_overlap_part_has_node(part) && part->node.n_blocks > 0) {
		struct pl_groups *groups = &part->groups;
		int r = pl_groups_read(source, &part->node, groups, error);

		if (r < 0)
			return r;
		part->is_lost = calloc(groups->n_members + 1, sizeof(*part->is_lost));
		if (!part->is_lost)
			return pl_fail_memory(error);
		for (size_t g = 0; g < groups->n; g++) {
			for (size_t m = 0; m < groups->groups[g].n_members; m++) {
				bool *mark = &part->is_lost[groups->groups[g].first_member + m];

				if (pl_reach_add(&part->reach, pl_groups_path(groups, g, m), mark))
					return pl_fail_memory(error);
			}
		}
		pl_reach_sort(&part->reach);
	}
	if (above && pl_reach_join(&part->reach, above) < 0)
		return pl_fail_memory(error);
	return 0;
}

static bool has_marks(const bool *marks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (marks[i])
			return true;
	}
	return false;
}

/* Writes down the groups of the part that have marks. */
static int part_close(struct pl_regrouping *regrouping, const struct pl_overlap_part *part,
		      const char *directory)
{
	const struct pl_groups *groups = &part->groups;

	for (size_t g = 0; g < groups->n; g++) {
		const bool *is_lost = &part->is_lost[groups->groups[g].first_member];
		int r;

		if (!has_marks(is_lost, groups->groups[g].n_members))
			continue;
		r = add_lost(regrouping, part->source, directory, pl_groups_path(groups, g, 0));
		if (r >= 0)
			r = add_left(regrouping, directory, groups, g, is_lost);
		if (r < 0)
			return r;
	}
	return 0;
}

static int close_frame(struct pl_regrouping *regrouping, struct pl_overlap *overlap,
		       struct pleach_error *error)
{
	const struct pl_overlap_frame *frame = pl_overlap_top(overlap);
	const char *directory = pl_buffer_string(&overlap->path);

	pl_assert(directory && overlap->path.length == frame->path_length);
	for (size_t i = 0; i < frame->n_parts; i++) {
		if (part_close(regrouping, &frame->parts[i], directory) < 0)
			return pl_fail_memory(error);
	}
	pl_overlap_leave(overlap);
	return 0;
}

/* Where several sources bring a name: marks what loses, and goes down where directories meet. */
static int meet(struct pl_overlap *overlap, struct pleach_error *error)
{
	bool is_entered = overlap->is_directory && overlap->n_directories > 1;
	size_t at = overlap->n_frames - 1, k = 0;
	int r = is_entered ? pl_overlap_enter(overlap, error) : 0;

	for (size_t i = 0; i < overlap->frames[at].n_parts && r >= 0; i++) {
		struct pl_overlap_part *part = &overlap->frames[at].parts[i], *child;
		struct pl_reach here, below;

		if (!part->is_bringing)
			continue;
		pl_reach_take(&part->reach, part->entry.name, part->entry.name_length, &here,
			      &below);
		if (pl_overlap_loses(overlap, part)) {
			pl_reach_mark(&here);
			pl_reach_mark(&below);
		} else if (is_entered) {
			child = &pl_overlap_top(overlap)->parts[k++];
			pl_assert(child->source == part->source);
			r = part_open(overlap->source, child, &below, error);
		}
	}
	return r;
}

static int walk(struct pl_regrouping *regrouping, struct pl_overlap *overlap,
		struct pleach_error *error)
{
	struct pl_overlap_frame *root = pl_overlap_top(overlap);
	int r = 0;

	for (size_t i = 0; i < root->n_parts && r >= 0; i++)
		r = part_open(overlap->source, &root->parts[i], NULL, error);
	while (r >= 0 && overlap->n_frames > 0) {
		r = pl_overlap_next(overlap, error);
		if (r == 0)
			r = close_frame(regrouping, overlap, error);
		else if (r > 0 && overlap->n_bringing > 1)
			r = meet(overlap, error);
	}
	return r < 0 ? r : 0;
}

int pl_regrouping_find(const struct pl_node_source *source, const struct pl_graft_source *sources,
		       size_t n_sources, enum pleach_clash clash,
		       struct pl_regrouping *ret_regrouping, struct pleach_error *error)
{
	struct pl_regrouping found = {0};
	struct pl_overlap overlap;
	int r;

	pl_assert(clash != PLEACH_CLASH_ERROR);
	r = pl_overlap_begin(&overlap, source, sources, n_sources, clash, error);
	if (r >= 0)
		r = walk(&found, &overlap, error);
	pl_overlap_done(&overlap);
	if (r < 0) {
		pl_regrouping_done(&found);
		return r;
	}
	if (found.n_lost > 0)
		qsort(found.lost, found.n_lost, sizeof(*found.lost), compare_lost);
	if (found.n_left > 0)
		qsort(found.left, found.n_left, sizeof(*found.left), compare_left);
	pl_assert(found.n_left <= found.n_lost && found.groups.n == found.n_left);
	*ret_regrouping = found;
	return 0;
}
