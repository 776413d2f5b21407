/*
 * controls - negative controls from outside: one test of a program runs with one guard of the library left out, and has
 * to fail. What tests/controls runs; see there. Header only.
 *
 *	PLEACH_UNGUARD	the name of the guard
 *	PLEACH_ONLY	the name of the test
 */
#ifndef PL_TEST_CONTROLS_H
#define PL_TEST_CONTROLS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/sys.h"

/* In the order of enum pl_guard. */
static const char *const control_names[] = {
	"claim",      "claim-first",   "claims-read",  "claims-before", "look-again",
	"dead-trash", "look-in-trash", "pin-verify",   "pin-exclusive", "pin-new",
	"dir-verify", "settle",	       "claims-after", "pin-first",	"closure",
};

static inline void unguard_by_environment(void)
{
	const char *name = getenv("PLEACH_UNGUARD");

	pl_assert(sizeof(control_names) / sizeof(control_names[0]) == PL_GUARD_N);
	for (unsigned i = 0; name && i < PL_GUARD_N; i++) {
		if (strcmp(name, control_names[i]) != 0)
			continue;
		pl_seam_unguard(UINT32_C(1) << i);
		return;
	}
	if (name) {
		(void)fprintf(stderr, "no guard '%s'\n", name);
		exit(3);
	}
}

#ifdef CMOCKA_H_
/* First thing in main(). */
static inline void controls_by_environment(void)
{
	if (getenv("PLEACH_ONLY"))
		cmocka_set_test_filter(getenv("PLEACH_ONLY"));
	unguard_by_environment();
}
#endif

#endif
