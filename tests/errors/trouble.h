/*
 * trouble - what is wrong with a command that a call failed, and with the store after it. Each is a text that the
 * caller frees, or NULL.
 */
#ifndef PL_ERRORS_TROUBLE_H
#define PL_ERRORS_TROUBLE_H

#include "errors/matrix.h"

/** A failure says what, where, and nothing else. */
char *trouble_by_message(int r, const struct pleach_error *error, const struct fault *fault);
/** A collection takes what was left, and all is well after it. */
char *trouble_by_collection(const struct matrix *m, const char *store);
/** Names of ours beside the store. */
char *trouble_by_leftovers(const char *store);
/** What is the same at any time is not. */
char *trouble_by_always(const struct matrix *m, const char *store);

#endif
