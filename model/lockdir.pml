/*
 * lockdir.pml: a directory for unfinished work, held by a lock on a file in it (src/ref/lockdir.c): tx/<id>/,
 * trash/<id>/, `.pleach-<random>`.
 *
 *	pl_lockdir_make(): mkdir, the lock file, the lock, a look --> held --pl_lockdir_erase()--> gone
 *	pl_lockdir_take(), by anybody: the lock, a look --> it was dead --pl_lockdir_erase()--> gone
 *
 * Its name is random, so one makes it, once; two others take it for dead at any time. A lock file is an inode: of the
 * maker, or of one who makes it anew. Everybody dies at any step.
 *
 *	(nothing)	as it is in the store (pl_lockdir_take_in_store())
 *	NOT_ANEW	as it is elsewhere, where such a directory may be anybody's (pl_lockdir_take())
 *	POWER		a power cut has left the directory and what is in it, without the lock file
 *
 * Promises: what its maker has is nobody else's to erase (G5); what is dead goes in the end, whole (G6).
 */
#ifndef CRASHES
#define CRASHES 2
#endif
bool G5, G6, VACUOUS_never;
bool is_there;			/* the directory has its name */
#define MAKER 1
byte file;			/* whose lock file has the name; 0: none's */
bool content;			/* something else is in it */
bool held[5];			/* the lock on the lock file of each */
bool is_sure;			/* its maker has it, and believes so */
byte crashes = CRASHES, done;

#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi

/* Only what is empty goes. */
#define RMDIR d_step { if :: file == 0 && !content -> is_there = 0 :: else fi }

/* pl_lockdir_erase(): all but the lock, the lock file, the directory; under the lock (L1). */
inline erase() {
#ifdef LOCK_FILE_FIRST
	file = 0;
	CRASH;
	content = 0;
#else
	content = 0;
	CRASH;
	file = 0;
#endif
	CRASH;
	RMDIR
}

#define LET_GO if :: has > 0 -> held[has] = 0 :: else fi

proctype maker() {
	byte has;
	is_there = 1;
	CRASH;
	/* make_lock() */
	if
	:: d_step { is_there && file == 0 -> file = MAKER }
	:: !is_there || file != 0 -> goto dead	/* -ESTALE: it begins again, under another name */
	fi;
	CRASH;
	if
	:: atomic { !held[MAKER] -> held[MAKER] = 1; has = MAKER }
	:: held[MAKER] -> goto dead
	fi;
#ifndef NO_LOOK
	/* is_current() in src/ref/lockdir.c (L3) */
	if :: file != MAKER || !is_there -> goto dead :: else fi;
#endif
	atomic { is_sure = 1; assert((file == MAKER && is_there) || G5) }
	content = 1;
	CRASH;
	assert(content || G5);
	is_sure = 0;
	erase();
dead:	atomic { is_sure = 0; LET_GO; done++ }
}

/* take() in src/ref/lockdir.c */
inline take(me) {
	if
	:: !is_there -> goto dead
	:: else
	fi;
	f = file;
	if
	:: f == 0 ->
		RMDIR;					/* L2 */
#ifndef NOT_ANEW
		/* not empty: make_lock() */
		d_step { if :: is_there && file == 0 -> file = me; f = me :: else fi }
#endif
		if :: f == 0 -> goto dead :: else fi;
		CRASH
	:: else
	fi;
#ifndef NOT_LOCKED
	if
	:: atomic { !held[f] -> held[f] = 1; has = f }
	:: held[f] -> goto dead
	fi;
#endif
#ifndef NO_LOOK_TAKER
	if :: file != f || !is_there -> goto dead :: else fi;
#endif
	assert(!is_sure || G5);
#ifdef VACUOUS
	assert(VACUOUS_never);
#endif
	erase()
}

proctype taker(byte me) {
	byte has, f;
	take(me);
dead:	atomic { LET_GO; done++ }
}

/* The next command, when all is quiet. */
proctype next_command() {
	byte has, f;
	done == 3;
	crashes = 0;
	take(4);
dead:	LET_GO;
	assert((!is_there && !content) || G6)
}

init {
#ifdef POWER
	d_step { is_there = 1; content = 1; done = 1 }
#endif
	atomic {
#ifndef POWER
		run maker();
#endif
		run taker(2); run taker(3); run next_command()
	}
}
