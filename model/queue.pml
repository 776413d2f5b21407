/*
 * queue.pml: the queue of a ref (src/ref/queue.c): tickets with numbers, locked by who has them.
 *
 * Promises: only one works at a time (W1); whoever got his number before another began to ask for one works first, if
 * he lives (W2); nobody waits for a dead one (a deadlock). They serve G3 where transactions do not merge.
 *
 * A ticket is an inode with a lock; its number is a name. Everybody dies at any step, CRASHES times; then his locks go.
 * Assumed: a listing of the queue is one moment (one call reads two thousand names). LISTED_BY_PARTS shows why.
 */
#ifndef N
#define N 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define MAX 6			/* numbers */

bool W1, W2, VACUOUS_never;
bool ref_lock;
byte ticket[MAX];		/* number -> 1 + whose file has the name; 0: none */
bool locked[N];			/* by him who made it */
bool looked_at[N];		/* by one who waits, and takes the lock for a moment */
byte number[N];			/* ghost: which number he got */
bool is_served[N];		/* ghost: he has worked, or given up, or died */
byte working, crashes = CRASHES;

#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi

/* highest_below() */
inline highest_below(limit) {
#ifdef LISTED_BY_PARTS
	found = 0; n = 1;
	do
	:: n < limit -> if :: ticket[n] != 0 -> found = n :: else fi; n++
	:: else -> break
	od
#else
	d_step {
		found = limit - 1;
		do :: found > 0 && ticket[found] == 0 -> found-- :: else -> break od
	}
#endif
}

/* wait_for(): the lock of the ticket before; then it is dead, and removed if it still has its name. */
inline wait_for(m) {
	seen = ticket[m];
	if
	:: seen == 0			/* gone */
	:: else ->
		atomic { !locked[seen - 1] && !looked_at[seen - 1] -> looked_at[seen - 1] = 1 }
		/* Q3: removed under its lock */
		if :: ticket[m] == seen -> ticket[m] = 0 :: else fi;
		looked_at[seen - 1] = 0
	fi
}

proctype transaction(byte me) {
	byte asked, found, n, seen;
	bool earlier[N], is_working, has_ref;

	/* ghost: who has his number already */
	d_step {
		n = 0;
		do :: n < N -> earlier[n] = number[n] > 0 && !is_served[n]; n++ :: else -> break od
	}
	n = 0;
	/* make_ticket() */
#ifndef NAME_BEFORE_LOCK
	locked[me] = 1;			/* Q1 */
#endif
	CRASH;
	/* take_number(), under the ref lock: a number that was found free is not given and taken off meanwhile */
#ifndef NUMBER_UNLOCKED
	atomic { !ref_lock -> ref_lock = 1; has_ref = 1 }
#endif
	do
	:: true ->
		highest_below(MAX);
		CRASH;
		d_step {
			asked = found + 1;
			assert(asked < MAX);
			if :: ticket[asked] == 0 -> ticket[asked] = me + 1; number[me] = asked :: else fi
		}
		if :: number[me] > 0 -> break :: else fi
	od;
	CRASH;
#ifndef NUMBER_UNLOCKED
	d_step { ref_lock = 0; has_ref = 0 }
#endif
#ifdef NAME_BEFORE_LOCK
	atomic { !looked_at[me] -> locked[me] = 1 }
#endif
	/* wait_turn() */
	do
	:: true ->
		highest_below(number[me]);
		if
		:: found == 0 -> break
		:: found > 0 -> wait_for(found)
		:: found > 0 -> goto leave	/* not in time */
		fi
	od;
	CRASH;
	/* granted */
	d_step {
		working++;
		is_working = 1;
		assert(working == 1 || W1);
		n = 0;
		do
		:: n < N -> assert(n == me || !earlier[n] || is_served[n] || W2); n++
		:: else -> break
		od;
#ifdef VACUOUS
		assert(number[me] < 3 || VACUOUS_never);
#endif
		n = 0
	}
	CRASH;
	working--;
	is_working = 0;
leave:	/* pl_queue_leave() */
	is_served[me] = 1;
#ifdef UNLINK_HIGHEST
	ticket[number[me]] = 0;
#else
	highest_below(MAX);		/* Q2: the highest stays */
	if :: found > number[me] -> ticket[number[me]] = 0 :: else fi;
#endif
	CRASH;
dead:	atomic {
		if :: is_working -> working-- :: else fi;
		if :: has_ref -> ref_lock = 0 :: else fi;
		is_served[me] = 1;
		locked[me] = 0
	}
}

init { atomic { run transaction(0); run transaction(1); run transaction(2) } }
