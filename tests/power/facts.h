/*
 * facts.h - what a user could tell apart of a file system with a store at `store`: of each ref its records, tags,
 * settings and what its public path shows; of everything beside the store what is there. Each fact has a key and a
 * value; what is not there has no fact. Seen by the C library alone.
 */
#ifndef PL_TEST_FACTS_H
#define PL_TEST_FACTS_H

#include <stddef.h>

#define FACT_KEY   80
#define FACT_VALUE 80
#define FACTS_MAX  48

struct fact {
	char key[FACT_KEY], value[FACT_VALUE];
};
struct facts {
	size_t n;
	struct fact all[FACTS_MAX];
	char trouble[512]; /* what is wrong by itself, or "" */
};

void facts_collect(const char *root, struct facts *ret_facts);
/* NULL: there is no such fact. */
const char *facts_value(const struct facts *facts, const char *key);

#endif
