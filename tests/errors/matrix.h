/*
 * matrix - each trial, with each of its calls failing, in each way: which cases there are, which of them are tried, and
 * what is wrong with one.
 */
#ifndef PL_ERRORS_MATRIX_H
#define PL_ERRORS_MATRIX_H

#include "errors/trials.h"

/** How a call fails. */
struct fault {
	const char *name; /* of the errno, or "memory" */
	int err;	  /* 0: it is an allocation */
	bool is_on;	  /* and every later one, too */
};
#define FAULTS 26 /* 12 errnos and memory, once and from then on */
extern const struct fault faults[FAULTS];

struct matrix {
	const struct yard *y;
	const struct trial *trial;
	struct expected expected;
	char *pool, *always; /* after a collection; what stays the same */
	uint64_t calls, allocations;
};

/** What to choose of all cases. */
struct choice {
	uint64_t share, of; /* so many of so many, evenly spread */
	uint64_t seed;	    /* which of them */
	const char *only;   /* "FAULT/K" or NULL */
};

/**
 * Makes the template of a trial and sees what it does when nothing fails. NULL; or why it cannot be had here, which the
 * caller frees.
 */
char *matrix_begin(struct matrix *m, const struct yard *y, const struct trial *trial);
void matrix_end(struct matrix *m);
/** How many cases there are. */
uint64_t matrix_size(const struct matrix *m);
/** Tries what is chosen, `workers` at a time. Says what is wrong; returns how many are, and how many were tried. */
unsigned matrix_try(const struct matrix *m, const struct choice *choice, unsigned workers,
		    uint64_t *ret_tried);

#endif
