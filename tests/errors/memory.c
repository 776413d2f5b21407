/*
 * memory - see memory.h. What is given out while it is watched stands in a table of addresses, which takes the
 * table's own room and no allocation. Threads allocate, too: one lock guards all of it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "errors/memory.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void __real_free(void *p);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_vasprintf(char **ret_text, const char *format, va_list args);
int __wrap_asprintf(char **ret_text, const char *format, ...);
void __wrap_free(void *p);

#define SLOTS (1u << 18)
#define GONE  ((void *)1)

static struct {
	pthread_mutex_t lock;
	bool is_armed, is_watched, fail_on;
	uint64_t count, fail_at;
	size_t left;
	void *slots[SLOTS];
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

void memory_arm(uint64_t fail_at, bool fail_on)
{
	memory.count = 0;
	memory.fail_at = fail_at;
	memory.fail_on = fail_on;
	memory.is_armed = true;
}

uint64_t memory_disarm(void)
{
	memory.is_armed = false;
	return memory.count;
}

void memory_watch(void)
{
	memory.is_watched = true;
}

size_t memory_left(void)
{
	return memory.left;
}

static size_t slot_of(const void *p)
{
	return (size_t)(((uintptr_t)p >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
}

/* Is this the call that fails? */
static bool fails(void)
{
	bool is_it;

	pthread_mutex_lock(&memory.lock);
	is_it = memory.is_armed && ++memory.count >= memory.fail_at && memory.fail_at > 0 &&
		(memory.count == memory.fail_at || memory.fail_on);
	pthread_mutex_unlock(&memory.lock);
	if (is_it)
		errno = ENOMEM;
	return is_it;
}

static void *remember(void *p)
{
	size_t i = slot_of(p);

	pthread_mutex_lock(&memory.lock);
	if (p && memory.is_watched) {
		if (memory.left++ > SLOTS / 2)
			abort();
		while (memory.slots[i] && memory.slots[i] != GONE)
			i = (i + 1) % SLOTS;
		memory.slots[i] = p;
	}
	pthread_mutex_unlock(&memory.lock);
	return p;
}

static void forget(const void *p)
{
	size_t i = slot_of(p);

	pthread_mutex_lock(&memory.lock);
	while (p && memory.slots[i] && memory.slots[i] != p)
		i = (i + 1) % SLOTS;
	if (p && memory.slots[i]) {
		memory.slots[i] = GONE;
		memory.left--;
	}
	pthread_mutex_unlock(&memory.lock);
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : remember(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : remember(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t size)
{
	void *new;

	if (fails())
		return NULL;
	forget(p);
	new = __real_realloc(p, size);
	remember(new ? new : p);
	return new;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(p, bytes);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : remember(__real_strdup(s));
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : remember(__real_strndup(s, n));
}

int __wrap_vasprintf(char **ret_text, const char *format, va_list args)
{
	int r;

	*ret_text = NULL; /* it is not to be looked at */
	if (fails())
		return -1;
	r = __real_vasprintf(ret_text, format, args);
	if (r >= 0)
		remember(*ret_text);
	return r;
}

int __wrap_asprintf(char **ret_text, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = __wrap_vasprintf(ret_text, format, args);
	va_end(args);
	return r;
}

void __wrap_free(void *p)
{
	forget(p);
	__real_free(p);
}
