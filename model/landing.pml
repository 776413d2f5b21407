/*
 * landing.pml: committing a parked transaction, killed at any step, and done again (src/tx/landing.c).
 *
 *	read the workspace --has_landed()--> landed: that is the answer
 *	                   --find_head(), merge(), note_landing(), commit_for_head()--> landed, conflict, or overtaken: again
 *
 * One path. The base has 0 there, the transaction 1 (or, since its user went on working after a killed commit, 2), and
 * others write 3 onto the head, which they have read. Trees are their one value. Committers of the transaction come
 * after each other: its directory is held by a lock. Everybody dies at any step.
 *
 * Promises (G3): it lands, or it is told that it conflicts with what somebody else has committed since, and nothing of
 * it is there; what has landed does not land twice, nor over what came later; what was said to be in is in the history.
 */
#ifndef CRASHES
#define CRASHES 2
#endif
#define GENERATIONS 6

bool G3, VACUOUS_never;
byte tree[GENERATIONS];		/* of the records; tree[0] is the base */
byte head;
bool ref_lock, tx_lock, gone;	/* gone: tx/<id>/ was erased after it had landed */
byte workspace = 1;
byte merged_tree;		/* of the note: what a merge begins from */
bool has_landing;
byte landing_head, landing_tree, landing_of;
bool landed[3];			/* ghost: value 1 (or 2) is in the history by a commit of the transaction */
bool is_in[4];			/* ghost: the value is in the history, whoever has committed it */
byte last_landed;		/* ghost: by which generation */
byte crashes = CRASHES, attempts;

#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi

proctype committer() {
	byte at, read, merged, value;
	bool has_ref, is_it;

	atomic { !tx_lock -> tx_lock = 1 }
	if :: gone -> goto dead :: else fi;
	attempts++;
	/* A user goes on working where the commit before was killed. */
	if
	:: attempts > 1 && workspace == 1 -> workspace = 2
	:: true
	fi;
	value = workspace;
	/* has_landed() */
#ifndef NO_LANDING_NOTE
	if
	:: has_landing && head > landing_head ->
#ifdef ANY_TREE
		is_it = 1;
#else
		is_it = tree[landing_head + 1] == landing_tree;
#endif
		if
		:: is_it ->
#ifndef NO_MERGED_FROM
			d_step { merged_tree = landing_of; has_landing = 0 }
#endif
			CRASH;
			if
			:: value == landing_of -> goto told
			:: else
			fi
		:: else -> has_landing = 0
		fi
	:: else
	fi;
#endif
	do
	:: true ->
		/* find_head(), merge(): only one side may have changed the path */
		atomic { at = head; read = tree[at] };
		CRASH;
		if
		:: read == merged_tree -> merged = value
		:: read != merged_tree && value == merged_tree -> merged = read
		:: read == value -> merged = read
		:: else ->
			/* conflict: with others, and nothing of it may be there */
			assert((!landed[value] && at > last_landed) || G3);
			goto dead
		fi;
		/* note_landing() (L4) */
#ifndef NOTE_AFTER
		d_step {
			has_landing = 1; landing_head = at; landing_tree = merged; landing_of = value
		}
		CRASH;
#endif
		/* commit_for_head(): for just that head */
		atomic { !ref_lock -> ref_lock = 1; has_ref = 1 }
		if
		:: head != at -> atomic { ref_lock = 0; has_ref = 0 }	/* overtaken */
		:: else ->
			if
			:: merged == read -> skip		/* unchanged: it is in the head */
			:: else ->
				d_step {
					assert(!landed[value] || G3);	/* not twice */
					assert(head + 1 < GENERATIONS);
					head++; tree[head] = merged; is_in[merged] = 1;
					landed[value] = 1; last_landed = head
				}
			fi;
			CRASH;
			atomic { ref_lock = 0; has_ref = 0 }
			break
		fi
	od;
#ifdef NOTE_AFTER
	CRASH;
	has_landing = 1; landing_head = at; landing_tree = merged; landing_of = value;
#endif
	CRASH;
told:	/* it is in: the answer */
	assert(is_in[value] || G3);
#ifdef VACUOUS
	assert(attempts == 1 || VACUOUS_never);
#endif
	CRASH;
	gone = 1;
dead:	atomic {
		if :: has_ref -> ref_lock = 0 :: else fi;
		tx_lock = 0
	}
}

/* A commit of somebody else on the same path: he has seen the head that he changes. */
proctype other(byte value) {
	byte at = head;
	atomic { !ref_lock -> ref_lock = 1 }
	if
	:: head == at -> d_step { head++; tree[head] = value; is_in[value] = 1 }
	:: else
	fi;
	ref_lock = 0
}

init {
	atomic {
		run committer(); run committer(); run committer();
		run other(3); run other(1)
	}
}
