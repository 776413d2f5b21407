/*
 * memory - the library's allocations, counted, failed, and held against what is freed. Every call of malloc() and its kin
 * from the library and from the harness is led here by the linker (-Wl,--wrap); those within the C library are not.
 */
#ifndef PL_ERRORS_MEMORY_H
#define PL_ERRORS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Counting begins at 1. Call `fail_at` (0: none) fails, and with `fail_on` every later one. */
void memory_arm(uint64_t fail_at, bool fail_on);
/** How many there were since it was armed. */
uint64_t memory_disarm(void);
/** From now on allocations are remembered until they are freed. */
void memory_watch(void);
/** How many of them are not freed. */
size_t memory_left(void);

/** The allocations of the harness itself, which do not fail and are not counted. */
#include <stdarg.h>
int __real_vasprintf(char **ret_text, const char *format, va_list args);

#endif
