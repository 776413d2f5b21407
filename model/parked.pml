/*
 * parked.pml: a transaction that no process holds between its steps, and who may take it for dead.
 *
 *	src/tx/parked.c			pl_tx_park(), pl_tx_go_on(), pl_tx_unpark()
 *	src/ref/txdir.c			pl_txdir_park(): the mark `parked`, whose mtime is the deadline
 *	src/ref/txdir_recover.c		recover_one(), pl_txdir_open_parked()
 *	src/ref/lockdir.c		tx/<id>/ is held by a lock; erased, its lock file goes last
 *	src/tx/transaction.c		pl_tx_end()
 *	src/gc/retire.c			who takes its base's placing
 *
 * One transaction, begun and open; its beginner parks it, a step goes on with it, works and parks it again, another one
 * ends it. Two commands recover beside, and one takes the base. Time passes at any moment; a deadline is one tick away.
 * Everybody dies at any step.
 *
 * Promises: what somebody works in, or has parked and whose time is not over, is not erased, and not half erased (G5);
 * its base stays placed (G1), pinned or not; what is dead goes in the end (G6).
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#define LIFE	 1
#define TIME_MAX 3
#define WHOLE	 2		/* of what lies in the directory: 2, 1 while it is erased, 0 */

bool G1, G5, G6, VACUOUS_never;
bool locked = 1;		/* tx/<id>/lock, by the beginner */
bool is_there = 1;		/* tx/<id>/ has its name */
byte content = WHOLE;
bool mark;			/* tx/<id>/parked */
byte deadline;			/* its mtime */
byte promised;			/* ghost: until when it must live, unless it is ended on purpose */
bool user;			/* x.<id> in users/ of the base */
byte pins = 1;			/* shared locks on the base's pin, the beginner's */
bool exclusive, placed = 1;
byte now, crashes = CRASHES, working, done;

#define CRASH	   if :: true :: crashes > 0 -> crashes--; goto dead fi
#define IS_OVER	   (now >= deadline)

/* pl_tx_park(): the user before the pin goes (P1); the mark has its time before it has its name. */
inline park() {
#ifndef USER_AFTER_PIN
	user = 1;
	CRASH;
#endif
#ifdef MARK_BEFORE_TIME
	d_step { mark = 1; deadline = now };
	CRASH;
	d_step { deadline = now + LIFE; promised = deadline }
#else
	d_step { deadline = now + LIFE; mark = 1; promised = deadline }
#endif
	CRASH;
}

/* pl_txdir_leave(), then the pin */
inline leave() {
	atomic { working--; has_lock = 0; locked = 0 }
	CRASH;
	pins--; has_pin = 0;
#ifdef USER_AFTER_PIN
	CRASH;
	user = 1;
#endif
}

/* pl_lockdir_take(): tried, and looked at again. */
inline take_lock() {
	if
	:: atomic { is_there && !locked -> locked = 1; has_lock = 1 }
	:: !is_there || locked
	fi
}

/* pl_lockdir_erase(): all that lies in it, then the lock file and the directory. */
inline erase() {
	assert(working == 0 || G5);
	content = 1;
	CRASH;
	content = 0;
	mark = 0;
	CRASH;
	d_step { is_there = 0; locked = 0; has_lock = 0 }
}

/* What a dead process held. */
inline let_go() {
	atomic {
		if :: has_lock -> locked = 0; has_lock = 0 :: else fi;
		if :: has_pin -> pins--; has_pin = 0 :: else fi;
		if :: is_at_work -> working--; is_at_work = 0 :: else fi;
		done++
	}
}

proctype beginner() {
	bool has_lock = 1, has_pin = 1, is_at_work = 1;
	working++;
	park();
	is_at_work = 0;
	leave();
dead:	let_go()
}

/* pl_tx_resume() */
inline go_on() {
	take_lock();
	if
	:: has_lock ->
		/* pl_txdir_open_parked(): is it still parked? Looked at under the lock. */
		if
		:: !mark || IS_OVER -> goto dead
		:: else
		fi;
		/* pin_base() in src/tx/parked.c */
		assert(content == WHOLE || G5);
		atomic { !exclusive -> pins++; has_pin = 1 }
		assert(placed || G1);
		working++;
		is_at_work = 1
	:: else -> goto dead
	fi;
	CRASH
}

proctype step() {
	bool has_lock, has_pin, is_at_work;
	go_on();
	park();
	is_at_work = 0;
	leave();
dead:	let_go()
}

/* pl_tx_end() after a commit or an abort: dead before anything of it is taken away (T4). */
proctype ender() {
	bool has_lock, has_pin, is_at_work;
	go_on();
	is_at_work = 0;
	working--;
	promised = 0;
#ifndef ERASE_BEFORE_UNPARK
	mark = 0;
	CRASH;
	user = 0;
#endif
	content = 1;		/* pl_workspace_remove() */
	CRASH;
	pins--; has_pin = 0;
#ifdef ERASE_BEFORE_UNPARK
	mark = 0;
	CRASH;
	user = 0;
#endif
	erase();
dead:	let_go()
}

/* recover_one(): any command. */
proctype recoverer() {
	bool has_lock, has_pin, is_at_work, is_dead;
#ifdef LOOK_BEFORE_LOCK
	is_dead = !mark || IS_OVER;
#endif
	take_lock();
	if
	:: has_lock ->
#ifndef LOOK_BEFORE_LOCK
		is_dead = !mark || IS_OVER;
#endif
		if
		:: is_dead ->
			assert(now >= promised || G5);
#ifdef VACUOUS
			assert(!mark || VACUOUS_never);
#endif
			erase()
		:: else
		fi
	:: else
	fi;
dead:	let_go()
}

/* take_placed() in src/gc/retire.c: the base is no head any more. need_of_tx: tx/<id>/ is there. */
proctype taker() {
	if
	:: atomic { pins == 0 && !exclusive -> exclusive = 1 } ->
		if
		:: user && is_there
		:: else -> placed = 0
		fi;
		exclusive = 0
	:: pins > 0
	fi
}

proctype clock() {
	do
	:: now < TIME_MAX -> now++
	:: break
	od
}

/* All is quiet: the next commands remove what is dead, and nothing else. */
proctype final() {
	done == 5;
	assert(!locked || G6);
	assert(!is_there || !mark || IS_OVER || content == WHOLE || G5);
	assert(!is_there || !mark || IS_OVER || placed || G1)
}

init {
	atomic {
		run beginner(); run step(); run ender(); run recoverer(); run recoverer();
		run taker(); run clock(); run final()
	}
}
