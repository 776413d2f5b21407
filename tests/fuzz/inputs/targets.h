/*
 * targets - what reads bytes that come from outside, each as a function of these bytes alone: they are refused, or what
 * comes of them is what the format says. A target ends the process where neither is so.
 *
 *	PLEACH_FUZZ_TARGET=NAME		which one LLVMFuzzerTestOneInput() runs
 */
#ifndef PL_FUZZ_TARGETS_H
#define PL_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

struct target {
	const char *name;
	void (*run)(const uint8_t *data, size_t size);
};
extern const struct target targets[];
extern const size_t targets_n;

/** Has LLVMFuzzerTestOneInput() run this one. Returns -1: there is none of this name. */
int targets_choose(const char *name);
/** Removes what the targets have made in the file system. */
void targets_end(void);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
