/*
 * The end of a process that found itself wrong. Only what our own code can get wrong comes here;
 * input is answered with an error (error.c). Nothing is cleaned up: what a killed process leaves
 * behind is recovered by the next one anyway, and a wrong one must not write anything more.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void pl_assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "pleach: bug: %s:%d: assertion failed: %s\n", file, line, what);
	abort();
}
