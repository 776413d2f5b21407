/*
 * init.h - inner header of sys: what the two sides of a program's namespace say to each other (namespace.c outside,
 * init.c inside), and what is prepared outside for inside.
 */
#ifndef PL_SYS_INIT_H
#define PL_SYS_INIT_H

#include <signal.h>

#include "sys/sys.h"

#define PL_INIT_KEPT_MAX 16
#define PL_INIT_STACK	 65536 /* bytes: of the program until its exec, which is a few calls deep */

/** Messages of the socket between them, whole ones (SOCK_SEQPACKET). */
struct pl_init_message {
	enum {
		/* from inside */
		PL_INIT_FAILED,	 /* value: the errno; step: which */
		PL_INIT_READY,	 /* the program was started */
		PL_INIT_EVENT,	 /* step: an enum pl_child_what; value: as there */
		PL_INIT_MOUNTED, /* a struct pl_init_report: where the program has left a mount */
		/* from outside */
		PL_INIT_SIGNAL, /* value: the signal */
		PL_INIT_RESUME, /* value: 1: in the foreground */
	} what;
	int step, value;
};

#define PL_SUBMOUNT_MAX 4096
/** What comes from inside: a message, and what some have behind it. */
struct pl_init_report {
	struct pl_init_message message;
	char path[PL_SUBMOUNT_MAX];
};

/** All that init needs, made before it is: it allocates nothing. */
struct pl_init {
	const struct pl_view *view;
	int socket;
	int caller; /* the process outside, readable when it has ended; -1: not known */
	char *const *argv, *const *envp;
	const char *const *programs; /* paths to try, NULL ends */
	char **shell_argv; /* {"/bin/sh", NULL, argv[1], ...}: for a file that the kernel does not know */
	const char *cwd;
	const int *stdio;
	uid_t uid;
	gid_t gid;
	sigset_t mask;	  /* of the caller: the program's */
	char *stack;	  /* PL_INIT_STACK bytes */
	uint64_t *mounts; /* room for a number for each step of the view */
};
/** Never returns: init of the namespaces that it was cloned into, all signals blocked. (init.c) */
_Noreturn void pl_init_run(const struct pl_init *init);

/* ---- watch.c ---- */

/** What is noted of the opens in a view. */
struct pl_watch {
	int fd;	   /* fanotify; -1: nothing is watched */
	int names; /* /proc/self/fd, whatever is mounted over it later */
	bool has_failed, is_full;
};
/** From here on opens are noted, if the view asks for it. After its steps, before the program. */
int pl_watch_start(struct pl_watch *watch, const struct pl_view *view);
#define PL_WATCH_ALL (~0U)
/** Appends to view->reads_fd what has come so far, a buffer of it in each of so many rounds at most. An error is final:
 * not even that some were lost could be written. */
int pl_watch_note(struct pl_watch *watch, const struct pl_view *view, unsigned rounds);

/* ---- submount.c ---- */

/** What is known of the mounts in a view. */
struct pl_submounts {
	int list;	   /* /proc/self/mountinfo, whatever is mounted over it later */
	uint64_t *numbers; /* of the mounts that the steps have made; 0: not known, or none */
};
/** After the steps of the view, before the program. */
void pl_submounts_begin(struct pl_submounts *submounts, const struct pl_view *view);
/** Is anything mounted in what the view shows? Then where, relative to that. Once, when nothing runs any more. */
bool pl_submounts_find(const struct pl_submounts *submounts, const struct pl_view *view,
		       char ret_path[PL_SUBMOUNT_MAX]);

/* ---- view.c ---- */

#define PL_DECIMAL_MAX 24
/** Writes a number, and a NUL. Returns its length. snprintf(3) is not async-signal-safe. */
size_t pl_decimal(unsigned long value, char ret_text[PL_DECIMAL_MAX]);

/** Maps this user to himself in the user namespace that the process was just cloned into. */
int pl_view_map_ids(uid_t uid, gid_t gid);
/** Nothing mounted here shows outside; what is mounted outside still shows here. */
int pl_view_detach(void);
/** Mounts an overlay with these options, one a line, and sees that they are in force: -EOPNOTSUPP. (overlay.c) */
int pl_view_overlay(const char *target, const char *options);
/** Does one step. Async-signal-safe, as all here. */
int pl_view_do(const struct pl_view_step *step);
/** /proc shows the processes of the namespace, where the kernel lets it. */
void pl_view_mount_proc(void);

/** Clones this process into new namespaces, as fork(2); the child's death is told by waitpid(2) with __WALL alone,
 * so that whoever waits for children of his own does not meet it. */
pid_t pl_clone(unsigned flags);

#endif
