/*
 * options.c - option tables: from them come parsing and the errors of a wrong command line.
 *
 * Options may stand anywhere before `--`; global ones before and after the command. Long ones take
 * their value as `--name=value` or `--name value` and may be cut to a unique beginning, as git's may;
 * short ones can be clustered, the last with its value attached or as the next word. All numbers that
 * a user types are parsed here (H1).
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const struct option global_options[] = {
	{.name = "store",
	 .type = OPTION_TEXT,
	 .argument = "DIR",
	 .help = "the store (else $PLEACH_STORE, else looked for)",
	 .offset = offsetof(struct cli, store_dir)},
	{.name = "json",
	 .type = OPTION_FLAG,
	 .help = "results and errors as JSON on stdout",
	 .offset = offsetof(struct cli, json)},
	{.name = "progress",
	 .type = OPTION_CHOICE,
	 .argument = PROGRESS_MODES,
	 .help = "how long work reports on stderr",
	 .offset = offsetof(struct cli, progress)},
	{.letter = 'q',
	 .name = "quiet",
	 .type = OPTION_FLAG,
	 .help = "no notes, no progress",
	 .offset = offsetof(struct cli, quiet)},
	{.letter = 'v',
	 .name = "verbose",
	 .type = OPTION_FLAG,
	 .help = "say more",
	 .offset = offsetof(struct cli, verbose)},
	{.letter = 'h',
	 .name = "help",
	 .type = OPTION_FLAG,
	 .help = "show this",
	 .offset = offsetof(struct cli, help)},
	{.name = "version",
	 .type = OPTION_FLAG,
	 .help = "print the version",
	 .offset = offsetof(struct cli, version)},
	{0},
};

/* The words being parsed, and where the answers go. */
struct parser {
	struct cli *cli;
	const struct command *command;
	void *values;
	char **argv;
	size_t at; /* the next word */
};

/* An option of a table, and the struct that the table's offsets are of. */
struct match {
	const struct option *option;
	char *base;
	unsigned candidates;
};

static int usage(struct parser *p, const char *hint, const char *what, const char *word)
{
	/* --json holds for the whole line, also behind the word that is wrong */
	for (size_t i = p->at; p->argv[i] && strcmp(p->argv[i], "--") != 0; i++)
		if (strcmp(p->argv[i], "--json") == 0)
			p->cli->json = true;
	return cli_usage(p->cli, hint, "%s%s%s '%s'", p->command ? p->command->name : "",
			 p->command ? ": " : "", what, word);
}

/* ---- values --------------------------------------------------------------------------------- */

/* Leading digits of `text`. Returns what follows them, or NULL: none, or too many. */
static const char *digits(const char *text, int64_t *ret_number)
{
	int64_t number = 0;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(number, (int64_t)10, &number) ||
		    __builtin_add_overflow(number, (int64_t)(*text - '0'), &number))
			return NULL;
	*ret_number = number;
	return text;
}

bool options_number(const char *text, int64_t *ret_number)
{
	int64_t number;
	const char *end = digits(text, &number);

	if (!end || *end)
		return false;
	*ret_number = number;
	return true;
}

/* "90s 10m 12h 30d 4w", or 0. */
static bool duration(const char *text, int64_t *ret_ms)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	int64_t number;
	const char *end = digits(text, &number);

	if (!end || (!*end && number != 0) || (*end && end[1]))
		return false;
	if (!*end) {
		*ret_ms = 0;
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == *end)
			return !__builtin_mul_overflow(number, units[i].seconds * 1000, ret_ms);
	return false;
}

/* Which word of "one|two|three" it is, or -1. */
static int choice(const char *words, const char *word)
{
	size_t length = strlen(word);
	int index = 0;

	for (;;) {
		size_t n = strcspn(words, "|");

		if (n == length && memcmp(words, word, n) == 0)
			return index;
		if (!words[n])
			return -1;
		words += n + 1;
		index++;
	}
}

static bool list_add(struct text_list *list, const char *text)
{
	const char **items = realloc(list->items, (list->n + 2) * sizeof(*items));

	if (!items)
		return false;
	items[list->n++] = text;
	items[list->n] = NULL;
	list->items = items;
	return true;
}

static int set(struct parser *p, const struct match *match, const char *text)
{
	const struct option *option = match->option;
	char *target = match->base + option->offset;
	char what[96], hint[128];
	int index;

	switch (option->type) {
	case OPTION_FLAG:
		*(bool *)target = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)target = text;
		return 0;
	case OPTION_LIST:
		return list_add((struct text_list *)target, text) ? 0 : cli_no_memory(p->cli);
	case OPTION_NUMBER:
		if (options_number(text, (int64_t *)target))
			return 0;
		snprintf(what, sizeof(what), "--%s: not a number:", option->name);
		return usage(p, "write digits only, as in 12", what, text);
	case OPTION_DURATION:
		if (duration(text, (int64_t *)target))
			return 0;
		snprintf(what, sizeof(what), "--%s: not a duration:", option->name);
		return usage(p, "write a number and a unit: 90s 10m 12h 30d 4w", what, text);
	case OPTION_CHOICE:
		break;
	}
	index = choice(option->argument, text);
	if (index < 0) {
		snprintf(what, sizeof(what), "--%s: unknown value", option->name);
		snprintf(hint, sizeof(hint), "one of %s", option->argument);
		return usage(p, hint, what, text);
	}
	*(int *)target = index;
	return 0;
}

/* ---- words ---------------------------------------------------------------------------------- */

static int unknown_option(struct parser *p, const char *name, size_t length)
{
	const char *names[64] = {NULL};
	char word[64], hint[128];
	const char *nearest;
	size_t n = 0;

	if (p->command && p->command->options)
		for (const struct option *o = p->command->options; o->name && n < 50; o++)
			names[n++] = o->name;
	for (const struct option *o = global_options; o->name && n < 63; o++)
		names[n++] = o->name;
	snprintf(word, sizeof(word), "%.*s",
		 (int)(length < sizeof(word) ? length : sizeof(word) - 1), name);
	nearest = nearest_word(word, names);
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean '--%s'?", nearest);
	return usage(p, nearest ? hint : NULL, "unknown option", name - 2);
}

static void match_in(const struct option *options, char *base, const char *name, size_t length,
		     struct match *match)
{
	for (const struct option *o = options; o && o->name; o++) {
		if (strncmp(o->name, name, length) != 0)
			continue;
		if (!o->name[length]) {
			/* the whole word; a command's own goes before a global one */
			if (match->candidates == UINT32_MAX)
				return;
			*match = (struct match){o, base, UINT32_MAX};
			return;
		}
		if (match->candidates == UINT32_MAX)
			continue;
		*match = (struct match){o, base, match->candidates + 1};
	}
}

static int parse_long(struct parser *p, const char *name)
{
	size_t length = strcspn(name, "=");
	const char *text = name[length] ? name + length + 1 : NULL;
	struct match match = {NULL, NULL, 0};

	if (p->command)
		match_in(p->command->options, p->values, name, length, &match);
	match_in(global_options, (char *)p->cli, name, length, &match);
	if (match.candidates == 0 || length == 0)
		return unknown_option(p, name, length);
	if (match.candidates != UINT32_MAX && match.candidates > 1)
		return usage(p, "write it in full", "more than one option begins with", name - 2);
	if (match.option->type == OPTION_FLAG) {
		if (text)
			return usage(p, NULL, "this option takes no value:", name - 2);
		return set(p, &match, NULL);
	}
	if (!text) {
		text = p->argv[p->at];
		if (!text)
			return usage(p, NULL, "a value is missing behind", name - 2);
		p->at++;
	}
	return set(p, &match, text);
}

static struct match match_letter(const struct parser *p, char letter)
{
	if (p->command && p->command->options)
		for (const struct option *o = p->command->options; o->name; o++)
			if (o->letter == letter)
				return (struct match){o, p->values, 1};
	for (const struct option *o = global_options; o->name; o++)
		if (o->letter == letter)
			return (struct match){o, (char *)p->cli, 1};
	return (struct match){NULL, NULL, 0};
}

static int parse_letters(struct parser *p, const char *letters)
{
	for (; *letters; letters++) {
		struct match match = match_letter(p, *letters);
		char word[3] = {'-', *letters, 0};
		const char *text = NULL;
		int status;

		if (!match.option)
			return usage(p, NULL, "unknown option", word);
		if (match.option->type != OPTION_FLAG) {
			text = letters[1] ? letters + 1 : p->argv[p->at];
			if (!text)
				return usage(p, NULL, "a value is missing behind", word);
			p->at += !letters[1];
		}
		status = set(p, &match, text);
		if (status != 0 || text)
			return status;
	}
	return 0;
}

/* Operands of `word` and of what follows it: `--` was met. */
static void parse_rest(struct parser *p)
{
	struct cli *cli = p->cli;

	if (p->command && p->command->takes_rest) {
		cli->has_rest = true;
		cli->rest = p->argv + p->at;
		while (p->argv[p->at + cli->n_rest])
			cli->n_rest++;
		return;
	}
	while (p->argv[p->at])
		cli->args[cli->n_args++] = p->argv[p->at++];
}

static int prepare(struct parser *p)
{
	size_t n = 0;

	if (!p->command)
		return 0;
	while (p->argv[n])
		n++;
	p->cli->args = calloc(n + 1, sizeof(*p->cli->args));
	if (!p->cli->args)
		return cli_no_memory(p->cli);
	for (const struct option *o = p->command->options; o && o->name; o++) {
		char *target = (char *)p->values + o->offset;

		if (o->type == OPTION_NUMBER || o->type == OPTION_DURATION)
			*(int64_t *)target = o->initial;
		else if (o->type == OPTION_CHOICE)
			*(int *)target = (int)o->initial;
	}
	return 0;
}

int options_parse(struct cli *cli, const struct command *command, char **argv, void *values,
		  size_t *ret_used)
{
	struct parser p = {cli, command, values, argv, 0};
	int status = prepare(&p);

	while (status == 0 && !cli->help && argv[p.at]) {
		char *word = argv[p.at];

		if (word[0] != '-' || !word[1]) {
			if (!command)
				break;
			cli->args[cli->n_args++] = word;
			p.at++;
			continue;
		}
		p.at++;
		if (strcmp(word, "--") == 0) {
			if (command)
				parse_rest(&p);
			break;
		}
		status = word[1] == '-' ? parse_long(&p, word + 2) : parse_letters(&p, word + 1);
	}
	if (ret_used)
		*ret_used = p.at;
	return status;
}

void options_free(const struct command *command, void *values)
{
	for (const struct option *o = command->options; o && o->name; o++)
		if (o->type == OPTION_LIST)
			free(((struct text_list *)((char *)values + o->offset))->items);
	free(values);
}
