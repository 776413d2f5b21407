/*
 * lockdir.pml: a directory for unfinished work, held by a lock on a file in it (src/ref/lockdir.c): tx/<id>/,
 * trash/<id>/, `.pleach-<random>`.
 *
 *	pl_lockdir_make(): mkdir, the lock file, the lock, a look --> held --pl_lockdir_erase()--> gone
 *	pl_lockdir_take(), by anybody: the lock, a look --> it was dead --pl_lockdir_erase()--> gone
 *
 * Its name is random, so one makes it, once; two others take it for dead at any time. Everybody dies at any step.
 *
 * Promises: what its maker has is nobody else's to erase (G5); what is dead goes in the end, whole (G6).
 */
#ifndef CRASHES
#define CRASHES 2
#endif
bool G5, G6, VACUOUS_never;
bool is_there;			/* the directory has its name */
bool has_file;			/* its lock file has its name */
bool content;			/* something else is in it */
bool held;
bool is_sure;			/* its maker has it, and believes so */
byte crashes = CRASHES, done;

#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi

/* Only what is empty goes. */
#define RMDIR d_step { if :: !has_file && !content -> is_there = 0 :: else fi }

/* pl_lockdir_erase(): all but the lock, the lock file, the directory; under the lock (L1). */
inline erase() {
#ifdef LOCK_FILE_FIRST
	has_file = 0;
	CRASH;
	content = 0;
#else
	content = 0;
	CRASH;
	has_file = 0;
#endif
	CRASH;
	RMDIR
}

proctype maker() {
	bool has_lock;
	is_there = 1;
	CRASH;
	/* make_lock() */
	if
	:: d_step { is_there -> has_file = 1 }
	:: !is_there -> goto dead		/* -ESTALE: it begins again, under another name */
	fi;
	CRASH;
	if
	:: atomic { !held -> held = 1; has_lock = 1 }
	:: held -> goto dead
	fi;
#ifndef NO_LOOK
	/* is_current() in src/ref/lockdir.c (L3) */
	if :: !has_file || !is_there -> goto dead :: else fi;
#endif
	atomic { is_sure = 1; assert((has_file && is_there) || G5) }
	content = 1;
	CRASH;
	assert(content || G5);
	is_sure = 0;
	erase();
dead:	atomic { is_sure = 0; if :: has_lock -> held = 0 :: else fi; done++ }
}

inline take() {
	if
	:: !is_there -> goto dead
	:: else
	fi;
	if
	:: !has_file -> RMDIR; goto dead		/* L2 */
	:: else
	fi;
#ifndef NOT_LOCKED
	if
	:: atomic { !held -> held = 1; has_lock = 1 }
	:: held -> goto dead
	fi;
#endif
#ifndef NO_LOOK_TAKER
	if :: !has_file || !is_there -> goto dead :: else fi;
#endif
	assert(!is_sure || G5);
#ifdef VACUOUS
	assert(VACUOUS_never);
#endif
	erase()
}

proctype taker() {
	bool has_lock;
	take();
dead:	atomic { if :: has_lock -> held = 0 :: else fi; done++ }
}

/* The next command, when all is quiet. */
proctype next_command() {
	bool has_lock;
	done == 3;
	crashes = 0;
	take();
dead:	held = 0;
	assert((!is_there && !content) || G6)
}

init { atomic { run maker(); run taker(); run taker(); run next_command() } }
