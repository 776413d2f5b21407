/*
 * generations - a store whose generations have a tree each, for tests of which of them go. Header only. Include after
 * cmocka.h.
 */
#ifndef PL_TEST_GENERATIONS_H
#define PL_TEST_GENERATIONS_H

#include "gc/gc.h"
#include "tx/yard.h"

struct store {
	char path[YARD_PATH];
	const struct yard *y;
	unsigned next; /* content of the next tree */
};

static const char *const without_grace[] = {"grace", "0", "spares", "0", NULL};

static inline struct store make(const struct yard *y, const char *const *settings)
{
	struct store s = {.y = y};

	(void)snprintf(s.path, sizeof(s.path), "%s/S", y->path);
	make_store(s.path, settings);
	return s;
}

static inline void publish_as(const struct store *s, const char *ref, unsigned number)
{
	TEXT *source = text_of("%s/source", s->y->path);
	TEXT *text = text_of("%u", number);
	struct outcome o;

	(void)mkdir(source, 0755);
	put(source, "file", text);
	settle_dir(source, ".");
	o = publish_at(s->path, ref, source);
	must(&o, "publish");
}

static inline void publish(struct store *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		publish_as(s, "site", s->next++);
}

static inline void config(const struct store *s, const char *ref, const char *key,
			  const char *value)
{
	struct outcome o;
	struct pleach_store *store = open_at(s->path, &o);

	o.r = pleach_config_set(store, ref, key, value, &o.error);
	pleach_store_close(store);
	must(&o, "config");
}

#endif
