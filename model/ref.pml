/*
 * ref.pml: one ref: records made exclusively under the ref lock, the public symlink behind them, its recovery, grace.
 *
 *	src/tx/commit.c		commit_locked(): pl_ref_settle(), follow_head(), link_record(); show()
 *	src/ref/public.c	pl_public_show(), settle_locked(); pl_ref_settle() of any command
 *	src/ref/user.c		need_of_kept(): when a placed tree may be taken
 *	src/ref/pin.c		pins of readers
 *
 * A tree is a small number, its content a set of updates, one bit for each committer; each commit has a tree of its own.
 * Time is a counter that may tick at any moment; grace is one tick. Objects and durability are not here (gc.pml,
 * durable.pml), nor trees that come and go as a whole (trees.pml). Everybody dies at any step, CRASHES times.
 *
 *	SWITCH		two committers, a command that resolves the ref, who takes the tree that was replaced, a clock
 *	READERS		readers, with a pin and without, instead of the resolver
 *	STRAY		who takes away a tree that is not the head yet
 *	LOST_LOCK	the ref lock may be lost once while its holder goes on (a network file system whose lease ran
 *			out): then only the record and the second look at the head protect
 */
#define NONE 15
#ifndef NCOM
#define NCOM 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define GRACE	 1
#define TIME_MAX 2
#define RECORDS	 6

bool G1, G2, G3, VACUOUS_never;
byte record[RECORDS];		/* gen/<n> -> tree */
byte updates[4];		/* tree -> what is in it */
byte lock;			/* of the ref: 0 or pid + 1 */
byte symlink;			/* public/tree -> tree */
byte generation_of[4];		/* ghost: of a tree */
bool placed[4];
byte shared[4]; bool exclusive[4];	/* locks on pins */
byte now;
byte left[4];			/* ghost: when the symlink left the tree */
byte shown[RECORDS];		/* ctime of shown/<n>; NONE: it is not there */
byte acked, done, crashes = CRASHES;

/* pl_head_number(), pl_generation_read() */
inline find_head(n, t) {
	d_step {
		n = RECORDS - 1;
		do :: n > 0 && record[n] == NONE -> n-- :: else -> break od;
		assert(n > 0 || G2);
		t = record[n]
	}
}

/* replace_symlink() */
inline replace_symlink(t) {
	d_step {
		if
		:: symlink != t ->
#ifndef LOST_LOCK
			assert(generation_of[t] > generation_of[symlink] || G1);	/* never back */
#endif
			left[symlink] = now; symlink = t; left[t] = NONE
		:: else
		fi;
		assert(placed[symlink] || G1)		/* never dangling */
	}
}

/* mark_shown() in src/ref/public.c */
inline note(n) { d_step { if :: shown[n] == NONE -> shown[n] = now :: else fi } }
inline unlock() { d_step { if :: lock == _pid + 1 -> lock = 0 :: else fi } }
#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi

proctype committer(byte t; byte update) {
	byte base, n, m, head, base_tree;
	bool has_pin, is_linked;
	find_head(base, base_tree);
	do
	:: true ->
		CRASH;
#ifndef NO_LOCK
		atomic { lock == 0 -> lock = _pid + 1 }
#endif
		find_head(n, head);
#ifndef NO_RECOVERY9
		if :: symlink != head -> replace_symlink(head) :: else fi;
		CRASH;
		note(n);
#endif
		/* pl_merging_run() in src/tx/merging.c */
#ifdef NO_MERGE
		updates[t] = update | updates[base_tree];
#else
		updates[t] = update | updates[head];
#endif
		CRASH;
		/* put_tree(), with the tree's pin */
#ifndef NO_NEWPIN
		if :: !has_pin -> atomic { !exclusive[t] -> shared[t]++; has_pin = 1 } :: else fi;
#endif
		placed[t] = 1;
		CRASH;
		/* link_record(): the commit point */
		d_step {
			if
#ifndef NO_EXCL
			:: record[n + 1] != NONE -> is_linked = 0
			:: else ->
#else
			:: true ->
#endif
				record[n + 1] = t; generation_of[t] = n + 1; is_linked = 1;
#ifdef GRACE_FROM_RECORD
				shown[n + 1] = now
#else
				shown[n + 1] = NONE
#endif
			fi
		}
#ifdef PREVCHECK			/* a repair that looks right and is not */
		if :: is_linked && record[n] == NONE -> record[n + 1] = NONE; is_linked = 0 :: else fi;
#endif
		if
		:: !is_linked -> unlock(); base = n; base_tree = head
		:: else -> break
		fi
	od;
	CRASH;
	/* pl_public_show() */
	replace_symlink(t);
	CRASH;
	note(n + 1);
#if defined(LOST_LOCK) && !defined(NO_RECHECK9)
	do
	:: true ->
		find_head(m, head);
		if
		:: m > n + 1 -> replace_symlink(head); note(m); n = m - 1
		:: else -> break
		fi
	od;
#endif
	acked = acked | update;
dead:
	atomic { unlock(); if :: has_pin -> shared[t]--; has_pin = 0 :: else fi; done++ }
}

/* pl_ref_settle(): any command that resolves the ref and finds the path behind, or not noted as shown. */
proctype resolver() {
	byte n, head;
	find_head(n, head);
#ifdef RESOLVER_UNLOCKED
	if :: symlink != head -> replace_symlink(head); note(n) :: else fi
#else
	if
	:: symlink != head || shown[n] == NONE ->
		if
		:: atomic { lock == 0 -> lock = _pid + 1 } ->
			find_head(n, head);
			replace_symlink(head); note(n); unlock()
		:: lock != 0		/* busy: its holder does it */
		fi
	:: else
	fi
#endif
}

/* need_of_generation(), need_of_kept() in src/ref/user.c: the head, what is shown, what was replaced less than its grace
 * ago, which counts from the first one after it that was shown. The head may have been read before, for another tree: an
 * old head needs more. Only what is behind it asks for it again (I4 there). */
inline look_up(t) {
	d_step {
		g = 1;		/* the number in the user's name */
		do :: g < RECORDS && record[g] != t -> g++ :: else -> break od;
#ifndef HEAD_NOT_REREAD
		if
		:: g > head ->
			head = RECORDS - 1;
			do :: head > 0 && record[head] == NONE -> head-- :: else -> break od
		:: else
		fi;
#endif
		if
		:: g > head -> may_go = 1
		:: g == head -> may_go = 0
		:: else ->
			m = g + 1;
			do :: m <= head && shown[m] == NONE -> m++ :: else -> break od;
			may_go = m <= head && now - shown[m] >= GRACE;
#ifndef NO_SYMLINK_CHECK
			if :: symlink == t -> may_go = 0 :: else fi
#endif
		fi;
		g = 0; m = 0
	}
}

/* take_placed() in src/gc/retire.c */
proctype taker(byte t) {
	byte g, m, head, tree; bool may_go;
	find_head(head, tree);
	if
	:: atomic { shared[t] == 0 && !exclusive[t] && placed[t] -> exclusive[t] = 1 } ->
		look_up(t);
		if
		:: may_go ->
			d_step {
				assert(symlink != t || G1);
				assert(left[t] == NONE || now - left[t] >= GRACE || G1);
#ifdef VACUOUS
				assert(VACUOUS_never);
#endif
				placed[t] = 0
			}
		:: else
		fi;
		exclusive[t] = 0
	:: shared[t] > 0 || exclusive[t] || !placed[t]
	fi
}

/* pl_pin_try(), and then it reads as long as it likes. */
proctype pinned_reader() {
	byte t;
again:
	t = symlink;
#ifndef NO_PIN
	atomic { !exclusive[t] -> shared[t]++ }
#ifndef NO_PIN_RECHECK
	if :: !placed[t] -> shared[t]--; goto again :: else fi;
#endif
#else
	if :: !placed[t] -> goto again :: else fi;
#endif
	assert(placed[t] || G1);
	assert(placed[t] || G1);
#ifndef NO_PIN
	shared[t]--
#endif
}

proctype reader() {
	byte t = symlink;
	d_step { assert(placed[t] || (left[t] != NONE && now - left[t] >= GRACE) || G1) }
}

proctype clock() { do :: now < TIME_MAX -> now++ :: break od }

/* A negative control: old records are removed, newest never, under the ref lock. They must stay (docs/adr/0003). */
proctype retention() {
	byte n, head, g = 1;
	if
	:: atomic { lock == 0 -> lock = _pid + 1 } ->
		find_head(n, head);
		do :: g < n -> record[g] = NONE; g++ :: break od;
		unlock()
	:: lock != 0
	fi
}

proctype thief() { if :: d_step { lock != 0 -> lock = 0 } :: true fi }

/* When all are done, the next command settles the ref. */
proctype final() {
	byte n, head;
	done == NCOM && _nr_pr == 2;
	find_head(n, head);
#ifdef LOST_LOCK
	if :: crashes == CRASHES -> assert(symlink == head || G1) :: else fi;
#endif
#ifndef NO_RECOVERY9
	if :: symlink != head -> replace_symlink(head) :: else fi;
#endif
	assert(symlink == head || G2);
	assert(placed[symlink] || G1);
	assert((updates[head] & acked) == acked || G3)
}

init {
	byte i;
	d_step {
		for (i : 0 .. RECORDS - 1) { record[i] = NONE; shown[i] = NONE }
		for (i : 0 .. 3) { left[i] = NONE }
		record[1] = 0; generation_of[0] = 1; shown[1] = 0; symlink = 0; placed[0] = 1
	}
	atomic {
		run final();
		run committer(1, 1); run committer(2, 2);
#if NCOM > 2
		run committer(3, 4);
#endif
#ifdef LOST_LOCK
		run thief();
#endif
#ifdef RETENTION
		run retention();
#endif
#ifdef SWITCH
		run resolver(); run taker(0); run clock();
#endif
#ifdef STRAY
		run taker(1);
#endif
#ifdef READERS
		run taker(0); run pinned_reader(); run reader(); run clock()
#endif
	}
}
