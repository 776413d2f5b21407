/*
 * syncs.h - stands between the library and fsync(2), fdatasync(2), syncfs(2): counts them, tells what they were
 * about, and can answer one without doing it. The program is linked with --wrap for each of the three.
 */
#ifndef PL_TEST_SYNCS_H
#define PL_TEST_SYNCS_H

#include <stdbool.h>

#define SYNC_LABEL 64

/* From now on: the `skip`-th call does nothing and answers 0; 0: none is skipped. */
void syncs_begin(unsigned skip);
/* How many there were since; `ret_label` (of SYNC_LABEL, may be NULL) is what the skipped one was about. */
unsigned syncs_end(char *ret_label);

/* The real thing, uncounted. */
int syncs_really(int fd, bool whole_fs);

#endif
