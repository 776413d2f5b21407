/*
 * nearest.c - did you mean: the word that a mistyped one was most likely meant to be.
 *
 * A word that begins like it, else the one at the least distance, counted in letters put in, left
 * out, changed or swapped (Damerau and Levenshtein, adjacent swaps only); up to a third of the letters
 * may be wrong.
 */
#include <string.h>

#include "cli.h"

#define WORD_MAX 64

/* Letters put in, left out, changed or swapped to make `b` of `a`; both shorter than WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];
	size_t na = strlen(a), nb = strlen(b);

	memset(rows, 0, sizeof(rows));
	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *oldest = before;

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		before = last;
		last = row;
		row = oldest;
	}
	return last[nb];
}

const char *nearest_word(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	size_t length = strlen(word), best = (length + 2) / 3 + 1;

	if (length == 0 || length >= WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t d;

		if (strlen(*words) >= WORD_MAX)
			continue;
		if (length > 1 && strncmp(*words, word, length) == 0)
			return *words;
		d = distance(word, *words);
		if (d < best) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}
