/*
 * cli.h - what the files of the command share, and nothing else has.
 *
 * The command stands on pleach.h alone. A command is one file that defines a `struct command` named
 * command_NAME, one word in COMMANDS below, and one line in meson.build; parsing, --help, `pleach
 * help` and usage errors all come from its tables. By way of data:
 *
 *	main.c -> options.c (words to values) -> the command's run() -> output.c, json.c -> stdout
 *	                                                             -> error.c, progress.c -> stderr
 *
 * H1  Numbers and durations are parsed in options.c and nowhere else.
 * H2  What goes to stdout is checked: output_check() after a record, output_finish() at the end.
 * H3  With --json stdout gets whole JSON documents only: json.c builds them in memory.
 * H4  run() returns the exit status; whoever returns one that is not 0 has told the user why.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pleach.h"

/* ---- commands: the table -------------------------------------------------------------------- */

/* In the order of `pleach help`, group by group. */
#define COMMANDS(X) \
	X(init)     \
	X(publish)  \
	X(rollback) \
	X(run)      \
	X(sync)     \
	X(begin)    \
	X(commit)   \
	X(abort)    \
	X(log)      \
	X(ls)       \
	X(cat)      \
	X(diff)     \
	X(path)     \
	X(wait)     \
	X(status)   \
	X(du)       \
	X(checkout) \
	X(tag)      \
	X(pin)      \
	X(attach)   \
	X(detach)   \
	X(config)   \
	X(drop)     \
	X(gc)       \
	X(check)    \
	X(dedup)    \
	X(help)     \
	X(version)

enum option_type {
	OPTION_FLAG,	 /* bool */
	OPTION_TEXT,	 /* const char *, the word as it was given */
	OPTION_LIST,	 /* struct text_list, may be repeated */
	OPTION_NUMBER,	 /* int64_t, 0 and more */
	OPTION_DURATION, /* int64_t, milliseconds */
	OPTION_CHOICE	 /* int, index in `argument`, which reads "one|two|three" */
};

/* One option; a table of them ends with an all-zero one. */
struct option {
	const char *name;
	const char *argument; /* what its value is called in --help; NULL for flags */
	const char *help;     /* one line, at most 48 characters */
	size_t offset;	      /* where in the command's values the answer goes */
	int64_t initial;      /* of a number, a duration, a choice */
	enum option_type type;
	char letter; /* 0: none */
};

/* Words of a repeated option. `items` ends with NULL; it is NULL while there are none. */
struct text_list {
	const char **items;
	size_t n;
};

struct cli;

enum command_group {
	GROUP_MAKE,
	GROUP_TX,
	GROUP_LOOK,
	GROUP_KEEP,
	GROUP_CARE,
	GROUP_HELP,
	GROUP_MAX_
};

struct command {
	const char *name;
	enum command_group group;
	const char *summary;  /* one line of `pleach help`, at most 62 characters */
	const char *operands; /* of the usage line, e.g. "REF [REV]" */
	const char *details;  /* paragraphs of --help, lines of 80 at most */
	const struct option *options;
	size_t values_size; /* of the struct that `options` fills; 0: there are none */
	int least, most;    /* operands; most -1: any number */
	bool takes_rest;    /* what stands behind `--` is kept apart, in cli->rest */
	int (*run)(struct cli *cli, const void *values);
};

#define COMMAND_DECLARE_(name) extern const struct command command_##name;
COMMANDS(COMMAND_DECLARE_)

/* All of them; ends with NULL. */
extern const struct command *const commands[];
/* By name, or NULL. */
const struct command *command_find(const char *name);
/* Says that there is none, and which is nearest. Returns the exit status. */
int command_unknown(struct cli *cli, const char *name);

/* ---- one run of the command ----------------------------------------------------------------- */

enum progress_mode { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_NONE };
#define PROGRESS_MODES "auto|plain|json|none" /* in the order of the enum */

struct cli {
	const struct command *command; /* NULL until it is known */
	const char *store_dir;	       /* --store, or NULL */
	bool json, quiet, verbose, help, version;
	bool passes_status; /* the exit status is a program's: our own failures are told from it */
	int progress;	    /* enum progress_mode */
	const char **args;  /* operands, options taken out; ends with NULL */
	size_t n_args;
	char **rest; /* words behind `--` if the command takes them; ends with NULL */
	size_t n_rest;
	bool has_rest;
	bool has_committed;	    /* a new generation was made and told of */
	struct pleach_store *store; /* by cli_open(); closed by main() */
};

/* Opens the store that --store, $PLEACH_STORE or the working directory names, and has it report
 * progress and stop at a signal. Returns 0 or the exit status. */
int cli_open(struct cli *cli);

/* ---- gc.c ----------------------------------------------------------------------------------- */

/* Behind a commit whose answer has been given: collects, if that is worth it, for a second at most. Tells nothing
 * but with -v, and fails nobody. */
void collect_behind(struct cli *cli);

/* ---- options.c ------------------------------------------------------------------------------ */

extern const struct option global_options[];

/*
 * Parses `argv` (ends with NULL): into `values` what `command` has options for, into `cli` global
 * options and operands. Without a command it stops at the first operand. Stops early when --help is
 * met. Returns 0 with *ret_used words taken, or the exit status.
 */
int options_parse(struct cli *cli, const struct command *command, char **argv, void *values,
		  size_t *ret_used);
/* Frees the lists in `values` and `values`. */
void options_free(const struct command *command, void *values);
/* A decimal number without sign. */
bool options_number(const char *text, int64_t *ret_number);

/* ---- nearest.c ------------------------------------------------------------------------------ */

/* The word of `words` (ends with NULL) that is nearest to a mistyped one, or NULL. */
const char *nearest_word(const char *word, const char *const *words);

/* ---- error.c -------------------------------------------------------------------------------- */

/* Tells of a failure on stderr, and with --json on stdout. Returns the exit status. */
int cli_fail(struct cli *cli, const struct pleach_error *error);
/* The same for a failure of the command's own. `path` and `hint` may be NULL. */
int cli_failf(struct cli *cli, enum pleach_code code, const char *path, const char *hint,
	      const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A wrong command line: status 2. `hint` NULL: where the help is. */
int cli_usage(struct cli *cli, const char *hint, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* No memory left. */
int cli_no_memory(struct cli *cli);
/* On stderr only: for failures that are part of a result (json_error() has the other half). */
void cli_complain(struct cli *cli, const struct pleach_error *error);
/* Each finding of a report (NULL: none), and as an element of the open array. Negative: the report's error. */
struct json;
int cli_complain_all(struct cli *cli, struct json *json, struct pleach_report *report,
		     struct pleach_error *error);
/* One more line of the same, as long as there are things to name. */
void cli_complain_of(struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* A note on stderr; not with -q. */
void cli_warn(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The exit status that a failure has. */
int cli_status(const struct pleach_error *error);
/* Fills `error` in. */
void cli_error_set(struct pleach_error *error, enum pleach_code code, const char *path,
		   const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* ---- json.c --------------------------------------------------------------------------------- */

/* A document under construction. All-zero to begin with. `key` is NULL inside of arrays. */
struct json {
	char *text;
	size_t length, capacity;
	bool has_failed; /* no memory: json_print() says so */
};

void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_null(struct json *json, const char *key);
void json_bool(struct json *json, const char *key, bool value);
void json_number(struct json *json, const char *key, uint64_t value);
/* Bytes that must come back exactly: a string if they are UTF-8, else {"base64":…}; NULL: null. */
void json_name(struct json *json, const char *key, const char *name);
/* The same, but null where it is "". */
void json_name_or_null(struct json *json, const char *key, const char *name);
/* Prose: a string always; what is not UTF-8 becomes U+FFFD. */
void json_prose(struct json *json, const char *key, const char *text);
/* What was written on its own: an object or an array, without a key. */
void json_value(struct json *json, const char *key, const struct json *value);
/* A string of base64. */
void json_base64(struct json *json, const char *key, const void *data, size_t length);
/* RFC 3339 in UTC with nanoseconds. */
void json_time(struct json *json, const char *key, int64_t seconds, uint32_t ns);
/* {"code","message","hint","path"} */
void json_error(struct json *json, const char *key, const struct pleach_error *error);
/* The same, left open for more members: json_object_end(). */
void json_error_begin(struct json *json, const char *key, const struct pleach_error *error);
/* Writes the document and a line feed to stdout, and empties it for the next. Returns 0 or the exit
 * status. */
int json_print(struct cli *cli, struct json *json);
/* The same to a descriptor that is not stdout. Returns 0 or a negative errno; nothing is told. */
int json_write(struct json *json, int fd);
void json_free(struct json *json);
/* Base64 of `length` bytes; `ret_text` has room for 4 * ((length + 2) / 3) characters, no NUL. */
size_t base64_encode(const unsigned char *data, size_t length, char *ret_text);
/* Length of the UTF-8 character at `text`, 0 if there is none. NUL ends the text. */
size_t utf8_length(const char *text);

/* ---- output.c ------------------------------------------------------------------------------- */

#define SIZE_TEXT_MAX 32

enum color { COLOR_NONE, COLOR_RED, COLOR_GREEN, COLOR_YELLOW, COLOR_BOLD };

/* stdout or stderr: a terminal? */
bool output_is_terminal(FILE *stream);
/* The escape sequence, or "" where colours are not wanted (no terminal, NO_COLOR, TERM=dumb). */
const char *output_color(FILE *stream, enum color color);
/* A name: as it is, or to a terminal quoted as `ls` quotes. `is_raw` (-z): always as it is. */
void output_name(const char *name, bool is_raw);
/* A name as `ls` shows it on a terminal. malloc()ed; NULL without memory. */
char *output_quote(const char *name);
/* A byte as C and shells write it: \n or \033. Returns the length; no NUL. */
#define ESCAPE_MAX 4
size_t escape_byte(unsigned char c, char ret_text[ESCAPE_MAX]);
/* One line of foreign text, up to its first line feed; to a terminal without control characters. */
void output_text(const char *text);
/* An id: 12 digits on a terminal. */
void output_id(const char *id);
/* A time on this machine's clock, to the second. */
void output_time(int64_t seconds);
/* "1.2 MB". Returns `ret_text`. */
const char *size_human(uint64_t bytes, char ret_text[SIZE_TEXT_MAX]);
/* Humanised on a terminal, else in bytes. */
const char *size_text(uint64_t bytes, char ret_text[SIZE_TEXT_MAX]);
/* Ends a line: by NUL with `is_raw`. Returns 0 or, when stdout takes no more, the exit status. */
int output_end(struct cli *cli, bool is_raw);
/* Returns 0 or the exit status, having told why stdout takes no more. */
int output_check(struct cli *cli);
/* Flushes; returns `status`, or the status of the flush if that failed. */
int output_finish(struct cli *cli, int status);

/* ---- progress.c, signals.c ------------------------------------------------------------------ */

/* Has the store report to stderr as --progress says. */
void progress_start(struct cli *cli);
/* The same for a call without a store: what is to be called; NULL: nothing. */
pleach_progress_fn progress_begin(struct cli *cli);
/* Takes the progress line off the terminal; before anything else is written there. */
void progress_clear(void);
/* What comes now is as if it were the first: the time that a program took is not the library's. */
void progress_restart(void);
/* Has the store cancelled when the other end of `fd` is closed, wherever progress is told. */
void progress_watch(struct cli *cli, int fd);

/* SIGPIPE ends the command, SIGXFSZ is an error of write(2). INT, TERM, HUP: cancel the store. */
void signals_init(void);
void signals_watch(struct pleach_store *store);
/* For a call without a store: what is not 0 any more once one of them has come. */
const volatile int *signals_flag(void);
/* The signal that came, or 0. */
int signals_caught(void);
/* Waits until `fd` can be read (1) or a signal has come (0). */
int signals_wait_readable(int fd);
/* Waits so long; false: a signal came before. */
bool signals_pause(int64_t ms);
/* Runs a program; its words end with NULL. Signals go to it. Returns its exit status, 128+n if signal
 * n ended it, or a negative errno if it could not be started. */
int signals_run(char *const argv[]);
/* The same; -EPIPE: the client at the other end of `watch_fd` (negative: there is none) was gone first, and
 * the program has been killed. */
int signals_run_watched(char *const argv[], int watch_fd);
/* Writes all of it, without SIGPIPE. Returns 0 or a negative errno. */
int signals_write(int fd, const char *data, size_t length);
/* While a program runs in a transaction nothing that ends programs ends this one, and the program gets what
 * we were given. Returns a descriptor, ours no longer than until signals_regain(): one byte for each signal that
 * the program has not got by itself, or SIGCONT; or a negative errno. */
int signals_lend(void);
void signals_regain(void);
/* INT, TERM, QUIT or HUP, if one of these came while the last program ran, whatever that made of it; or 0. */
int signals_lent(void);

/* ---- program.c, job.c, spool.c: a program of the user's ------------------------------------- */

#define PROGRAM_OWN_FAILURE    125
#define PROGRAM_NOT_EXECUTABLE 126
#define PROGRAM_NOT_FOUND      127

/* Tells why it could not be started (positive errno), also in `ret_error`. Returns the exit status, 125 to
 * 127. */
int program_not_started(struct cli *cli, const char *name, int err, struct pleach_error *ret_error);

/* A program in a transaction, and the terminal that it shares with us. */
struct job {
	struct pleach_tx *tx;
	char *const *argv;
	int watch_fd;	     /* whoever is at its other end is the client; negative: nobody is */
	struct spool *spool; /* holds its output back; NULL: it goes where ours goes */
	bool is_told_on_stderr; /* all of its output goes there (without a spool): stdout is for a result of ours */
	int64_t timeout_ms; /* then it is ended; 0: never */
};
struct job_end {
	enum { JOB_EXITED, JOB_SIGNALED, JOB_NO_EXEC, JOB_CLIENT_GONE, JOB_TIMED_OUT } what;
	int value;	       /* its status, the signal, the errno */
	bool is_terminal_gone; /* it ended without the terminal that it was begun at */
};
/* Runs it until it has ended, and all that it left behind. Returns 0 or a negative errno with `error`. */
int job_run(const struct job *job, struct job_end *ret_end, struct pleach_error *error);
/* Has the other end of a pipe, a socket or a terminal been closed? */
bool job_client_is_gone(int fd);

/*
 * What a program prints, held back, and what it reads, kept for another run. Nothing is printed unless
 * spool_print() is called. Failures: a negative errno, with `error`.
 */
struct spool;
struct pollfd;
#define SPOOL_POLL_MAX 3
int spool_open(struct spool **ret_spool, struct pleach_error *error);
/* Before a run: forgets what the last one printed, and has standard input begin anew. `ret_stdio`: what the
 * program is given; negative: ours. */
int spool_begin(struct spool *spool, int ret_stdio[3], struct pleach_error *error);
/* The program has been started, or has not: its ends are not ours any more. */
void spool_started(struct spool *spool);
/* What to wait for; returns how many `items`, SPOOL_POLL_MAX at most. */
size_t spool_poll(struct spool *spool, struct pollfd *items);
/* Moves what can be moved now. */
int spool_move(struct spool *spool, struct pleach_error *error);
/* The program has ended: takes the last of what it printed. */
int spool_finish(struct spool *spool, struct pleach_error *error);
/* Prints to stdout and stderr what the last run has printed, in its order. Returns 0 or the exit status. */
int spool_print(struct cli *cli, struct spool *spool);
void spool_close(struct spool *spool);

/* ---- verdict.c, attempt.c, begin.c: transactions ---------------------------------------------- */

struct verdict {
	struct cli *cli;
	char ref[PLEACH_REF_MAX + 1], id[32]; /* of the transaction; "" where there is none */
	uint64_t base;
	bool is_of_command; /* the exit status is the program's */
	bool has_joined, has_landed, is_kept;
	struct pleach_publish_result result; /* if it has landed */
	struct pleach_error error;	     /* of ours, if there is one */
	struct json paths;		     /* of a conflict: an array */
};
/* The exit status of `run` for a failure of ours that is `status` elsewhere. */
int verdict_status(int status);
/* cli_fail() of `run`. */
int verdict_fail(struct verdict *verdict, const struct pleach_error *error);
/* The same where the client of --watch-fd is gone. */
int verdict_fail_client_gone(struct verdict *verdict, int64_t fd);
/* The same where the terminal is. */
int verdict_fail_terminal_gone(struct verdict *verdict);
/* The line of --status-fd. */
void verdict_report(const struct verdict *verdict, int fd, int status);
void verdict_done(struct verdict *verdict);

/* What `run` is asked for. */
struct run_values {
	int64_t wait_ms, retries, status_fd, watch_fd; /* -1: not given; retries 0 */
	bool no_wait, optimistic, serializable, keep, keep_conflict, create;
	const char *workspace, *tx, *message;
};
/* Runs cli->rest in a transaction, again after a conflict as often as is wanted. Returns the exit status. */
int attempts_run(struct cli *cli, const struct run_values *values, struct verdict *verdict);

/* ---- sync.c, transfer.c: a ref brought up to date --------------------------------------------- */

/* What `sync` is asked for. */
struct sync_values {
	int64_t retries, delay_ms, timeout_ms, max_age_ms, wait_ms; /* -1: not given; retries 0 */
	bool no_wait, anew;
	const char *message;
};
/* One call of the command. */
struct sync {
	struct cli *cli;
	const struct sync_values *v;
	const char *ref;
	struct pleach_tx *tx; /* under way, or NULL */
	int64_t attempt;      /* from 1 */
	int64_t began_s;      /* the attempt, seconds since 1970 */
};
/* Is there nothing to do, by --max-age? Then that is told. Returns 0 or the exit status. */
int sync_tell_if_fresh(struct sync *sync, bool *ret_fresh);
/* Notes the attempt as the last that succeeded. Returns 0, or PLEACH_PARTIAL, having told why. */
int sync_note(struct sync *sync);
/* Runs cli->rest in a transaction, again as often as is wanted. Returns the exit status. */
int transfer_run(struct sync *sync);

/* ---- begin.c --------------------------------------------------------------------------------- */

/* With -v: what a new transaction works in, and which workspaces were passed over and why. */
void begin_note(struct cli *cli, const struct pleach_tx_info *info);

/* ---- result.c, conflict.c: how a commit ended ----------------------------------------------- */

/* "site@4 1a2b3c4d5e6f +12 ~3 -1, 1.2 MB new", without the end of the line. */
void result_text(FILE *stream, const char *ref, const struct pleach_publish_result *result,
		 bool is_dry);
/* The same as members of an object. */
void result_json(struct json *json, const char *ref, const struct pleach_publish_result *result,
		 bool is_dry);
/* Warns of symlinks that lead out of the tree. */
void result_warn(struct cli *cli, const struct pleach_publish_result *result);

/* cli_fail() of a commit that `error` kept from landing; of a conflict each path is named. `stays_as`: id of the
 * transaction if it is there to be looked at, or NULL. `ret_paths` (may be NULL, else empty) gets what each side
 * did, of a conflict; json_free(). Returns the exit status. */
int conflict_fail(struct cli *cli, struct pleach_tx *tx, const struct pleach_error *error,
		  const char *stays_as, struct json *ret_paths);

/* ---- operand.c, entry.c, patch.c ------------------------------------------------------------ */

enum operand_kind { OPERAND_DIR, OPERAND_REV };

/* Is `word` a directory or a revision? Returns 0 or the exit status, having told why neither. */
int operand_kind(struct cli *cli, const char *word, enum operand_kind *ret_kind);

/* A revision with nothing left to move: "ref@N" or "tree:HEX", and what stood behind the colon. */
struct operand_rev {
	char rev[PLEACH_REF_MAX + PLEACH_HEX_MAX + 32];
	char parent[PLEACH_REF_MAX + 32]; /* "ref@N-1", or "" */
	const char *path;		  /* in the word that was given, or NULL */
};
int operand_fix(struct cli *cli, const char *word, struct operand_rev *ret_rev);
/* "REV:path/below", malloc()ed. `path` and `below` may be NULL. */
char *operand_join(const char *rev, const char *path, const char *below);

/* Could it be the id of a transaction, or the beginning of one: 8 to 24 hex digits? */
bool operand_is_tx(const char *word);

/* An entry as a JSON object, NULL as null. */
void entry_json(struct json *json, const char *key, const struct pleach_entry *entry);
/* The columns of `ls -l` before the name; the rest behind it. */
void entry_columns(const struct pleach_entry *entry);
void entry_tail(const struct pleach_entry *entry, bool is_raw);

/* Where one side of a diff has its content. */
struct patch_side {
	const char *rev, *path; /* revision, or NULL */
	const char *directory;	/* a directory outside, or NULL */
	struct pleach_tx *tx;	/* a workspace that only programs in it can see, or NULL */
};
/* Prints one change as `diff -u` does. Returns 0 or the exit status. */
int patch_print(struct cli *cli, const struct patch_side *before, const struct patch_side *after,
		const struct pleach_change *change);

/* ---- help.c --------------------------------------------------------------------------------- */

/* Prints the help of one command, NULL: of all. Returns the exit status. */
int help_print(struct cli *cli, const struct command *command);

#endif
