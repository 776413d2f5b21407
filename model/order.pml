/*
 * order.pml: the order of locks: tx, queue, ref, and the collector's (trash/collector, trash/batch). There is no
 * assertion: a deadlock is an invalid end state.
 *
 *	src/ref/queue.c		a ticket is held while its number is taken under the ref lock, and while it works
 *	src/tx/landing.c	at worst a merge under the ref lock, which looks things up
 *	src/ref/lookup.c	who misses something waits until no batch is out, for a moment
 *	src/gc/collect.c	refs are only tried, and never while a batch is out
 *	src/gc/retire.c		trash/batch is only tried, by who takes a tree away
 */
bool ref, collector, batch;
byte tickets, served;		/* given, and given back */
byte looking;			/* shared locks on trash/batch */

/* pl_store_find() */
inline look_up() {
	if
	:: true -> atomic { !batch -> looking++ } looking--
	:: true
	fi
}

proctype transaction() {
	byte mine;
	/* pl_queue_enter(), pl_queue_wait() */
	atomic { !ref -> ref = 1 }
	mine = tickets;
	tickets++;
#ifdef WAITS_IN_REF
	served == mine;
	ref = 0;
#else
	ref = 0;
	served == mine;
#endif
	look_up();
	/* land() in src/tx/landing.c, or the commit */
	atomic { !ref -> ref = 1 }
	look_up();
	ref = 0;
	/* pl_tree_take() of what is released */
	if
	:: atomic { !batch -> looking++ } looking--
	:: batch
	fi;
	served++
}

proctype publish() {
	atomic { !ref -> ref = 1 }
	look_up();
	ref = 0
}

proctype gc() {
	/* pl_trash_begin(): tried */
	if
	:: atomic { !collector -> collector = 1 }
	:: collector -> goto busy
	fi;
	/* pl_retain_run(): tried */
	if
	:: atomic { !ref -> ref = 1 } ref = 0
	:: ref
	fi;
	/* pl_trash_lock() */
	atomic { looking == 0 -> batch = 1 }
#ifdef WAITS_FOR_REF
	atomic { !ref -> ref = 1 } ref = 0;
#endif
	batch = 0;
	collector = 0;
busy:	skip
}

init { atomic { run transaction(); run transaction(); run publish(); run gc(); run gc() } }
