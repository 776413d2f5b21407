/*
 * Patterns as in gitignore(5): which paths are left out. Nothing is walked and no file is read here;
 * lines come one by one, and parents are the walker's business.
 *
 * Where that page and git differ, the page is followed: "foo**" + "/bar" is here foo*, a slash, bar,
 * while git takes the stars for a `**` if nothing but literal bytes stands before them. (That is why
 * the differential test has no such pattern.) Classes are those of git, with its idea of [:space:].
 *
 * A pattern that can match nothing is a mistake and refused: an open class, a lone backslash at the
 * end, nothing behind '!' or but '/'. Empty lines and comments are no patterns, and accepted.
 *
 * G1  A stored pattern is a byte of flags and the pattern without '!' in front and '/' at the ends.
 * G2  Matching holds at most two positions to come back to: behind the last `*` and behind the last
 *     `**`. That is enough: the earliest place that fits is as good as any later one, since the star
 *     behind it can take what lies between; and a `*` that a slash was matched behind never has
 *     another place. So the cost is at most length of pattern by length of path by depth.
 */
#include "base/base.h"

enum flag {
	FLAG_STORED = 1 << 6, /* always set, so that the byte is never NUL */
	FLAG_NEGATED = 1 << 0,
	FLAG_DIR_ONLY = 1 << 1,
	FLAG_BASE_NAME = 1 << 2, /* no slash in it: matches the base name at any depth */
};

/* The ranges of [:name:], as pairs of first and last byte. */
struct named_class {
	const char *name, *ranges;
};
static const struct named_class named_classes[] = {
	{"alnum", "09AZaz"},   {"alpha", "AZaz"},
	{"blank", "  \t\t"},   {"cntrl", "\001\037\177\177"},
	{"digit", "09"},       {"graph", "!~"},
	{"lower", "az"},       {"print", " ~"},
	{"punct", "!/:@[`{~"}, {"space", "\t\n\r\r  "},
	{"upper", "AZ"},       {"xdigit", "09AFaf"},
};

/* Is `c` in the class of this name? 1, 0, or -EINVAL if there is no such class. */
static int is_in_named_class(const char *name, size_t length, unsigned char c)
{
	for (size_t i = 0; i < PL_ARRAY_LEN(named_classes); i++) {
		const struct named_class *class = &named_classes[i];

		if (strncmp(class->name, name, length) != 0 || class->name[length])
			continue;
		for (const char *range = class->ranges; *range; range += 2) {
			if (c >= (unsigned char)range[0] && c <= (unsigned char)range[1])
				return 1;
		}
		return 0;
	}
	return -EINVAL;
}

/* The byte at `*p`, which may be escaped; `*p` is moved behind it. 0 at the end of the pattern. */
static unsigned char take_byte(const char **p)
{
	unsigned char c;

	if (**p == '\\')
		(*p)++;
	c = (unsigned char)**p;
	if (c)
		(*p)++;
	return c;
}

/*
 * One element of a class at `*p`, which is moved behind it. `*low` is the byte before, where it can
 * begin a range, else 0. Returns whether `c` is in the element, or -EINVAL if the class is malformed.
 */
static int match_class_element(const char **p, unsigned char *low, unsigned char c)
{
	unsigned char from = *low, to;

	*low = 0;
	if (**p == '-' && from && (*p)[1] && (*p)[1] != ']') {
		(*p)++;
		to = take_byte(p);
		return to ? from <= c && c <= to : -EINVAL;
	}
	if ((*p)[0] == '[' && (*p)[1] == ':') {
		const char *name = *p + 2, *close = strchr(name, ']');

		if (!close)
			return -EINVAL;
		if (close > name && close[-1] == ':') {
			*p = close + 1;
			return is_in_named_class(name, (size_t)(close - 1 - name), c);
		}
	}
	*low = take_byte(p);
	return *low ? *low == c : -EINVAL;
}

/* Matches the class that begins behind the '[' before `p`. Returns what is behind its ']', or NULL if
 * it is malformed. */
static const char *match_class(const char *p, unsigned char c, bool *ret_is_in)
{
	bool is_negated = *p == '!' || *p == '^', is_in = false;
	unsigned char low = 0;
	const char *first;

	p += is_negated;
	first = p; /* a ']' here is one of the class */
	while (*p != ']' || p == first) {
		int r = match_class_element(&p, &low, c);

		if (r < 0)
			return NULL;
		is_in |= r > 0;
	}
	*ret_is_in = is_in != is_negated;
	return p + 1;
}

static bool is_well_formed(const char *p)
{
	bool is_in;

	while (*p) {
		if (*p == '[') {
			p = match_class(p + 1, 0, &is_in);
			if (!p)
				return false;
		} else if (!take_byte(&p)) {
			return false;
		}
	}
	return true;
}

/* Matches what is no star at `p` with one byte. Returns what is behind it in the pattern, or NULL. */
static const char *match_one(const char *p, unsigned char c)
{
	bool is_in;

	pl_assert(*p != '*' && c);
	switch (*p) {
	case '?':
		return c != '/' ? p + 1 : NULL;
	case '[':
		p = match_class(p + 1, c, &is_in);
		pl_assert(p); /* is_well_formed() */
		return is_in && c != '/' ? p : NULL;
	default:
		return take_byte(&p) == c ? p : NULL;
	}
}

/* Where matching is, and where it can go back to (G2); NULL: nowhere. */
struct cursor {
	const char *start, *p, *text;
	const char *star, *star_text; /* behind the last `*`, and what it has taken ends here */
	const char *deep, *deep_text; /* the same of the last `**` and its slash */
};

/* Goes back to the last star that can take more. */
static bool back_up(struct cursor *c)
{
	const char *slash;

	if (c->star && *c->star_text && *c->star_text != '/') {
		c->text = ++c->star_text;
		c->p = c->star;
		return true;
	}
	c->star = NULL;
	slash = c->deep ? strchr(c->deep_text, '/') : NULL;
	if (!slash)
		return false;
	c->text = c->deep_text = slash + 1;
	c->p = c->deep;
	return true;
}

enum step { STEP_ON, STEP_MATCHED, STEP_BACK };

/* Enters the run of stars at the cursor; they have taken nothing yet. */
static enum step enter_stars(struct cursor *c)
{
	const char *behind = c->p + strspn(c->p, "*");
	bool is_escaped = behind[0] == '\\' && behind[1] == '/';

	if (behind - c->p >= 2 && (c->p == c->start || c->p[-1] == '/')) {
		if (!*behind)
			return STEP_MATCHED;
		if (*behind == '/' || is_escaped) {
			c->star = NULL;
			c->deep = c->p = behind + 1 + is_escaped;
			c->deep_text = c->text;
			/* For git only a plain slash can fall together with the one before. */
			return is_escaped ? STEP_BACK : STEP_ON;
		}
	}
	c->star = c->p = behind;
	c->star_text = c->text;
	return STEP_ON;
}

static bool match_pattern(const char *pattern, const char *text)
{
	struct cursor c = {.start = pattern, .p = pattern, .text = text};

	for (;;) {
		const char *behind = NULL;
		enum step step = STEP_BACK;

		if (*c.p == '*') {
			step = enter_stars(&c);
		} else if (!*c.text) {
			step = *c.p ? STEP_BACK : STEP_MATCHED;
		} else {
			behind = match_one(c.p, (unsigned char)*c.text);
		}
		if (behind) {
			if (*c.text == '/')
				c.star = NULL; /* G2 */
			c.p = behind;
			c.text++;
			step = STEP_ON;
		}
		if (step == STEP_MATCHED)
			return true;
		if (step == STEP_BACK && !back_up(&c))
			return false;
	}
}

/* The length without spaces at the end; one behind a backslash stays. */
static size_t trimmed_length(const char *line)
{
	size_t length = 0;

	for (size_t i = 0; line[i]; i++) {
		bool is_space = line[i] == ' ';

		if (line[i] == '\\' && line[i + 1])
			i++;
		if (!is_space)
			length = i + 1;
	}
	return length;
}

int pl_globs_add(struct pl_globs *globs, const char *pattern)
{
	size_t length = trimmed_length(pattern);
	unsigned char flags = FLAG_STORED;
	PL_BUFFER stored = {0};
	const char *string;

	if (length == 0 || *pattern == '#')
		return 0;
	if (*pattern == '!') {
		flags |= FLAG_NEGATED;
		pattern++;
		length--;
	}
	if (length > 0 && pattern[length - 1] == '/') {
		flags |= FLAG_DIR_ONLY;
		length--;
	}
	if (!memchr(pattern, '/', length))
		flags |= FLAG_BASE_NAME;
	if (length > 0 && *pattern == '/') {
		pattern++;
		length--;
	}
	pl_buffer_add_u8(&stored, flags);
	pl_buffer_add(&stored, pattern, length);
	string = pl_buffer_string(&stored);
	if (!string)
		return -ENOMEM;
	if (length == 0 || !is_well_formed(string + 1))
		return -EINVAL;
	return pl_strings_add(&globs->patterns, string); /* G1 */
}

void pl_globs_done(struct pl_globs *globs)
{
	pl_strings_done(&globs->patterns);
}

bool pl_globs_match(const struct pl_globs *globs, const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/'), *base_name = slash ? slash + 1 : path;

	pl_assert(*path && *base_name && *path != '/');
	for (size_t i = globs->patterns.n; i > 0; i--) {
		const char *pattern = globs->patterns.items[i - 1];
		unsigned char flags = (unsigned char)pattern[0];

		if ((flags & FLAG_DIR_ONLY) && !is_dir)
			continue;
		if (match_pattern(pattern + 1, flags & FLAG_BASE_NAME ? base_name : path))
			return !(flags & FLAG_NEGATED);
	}
	return false;
}
