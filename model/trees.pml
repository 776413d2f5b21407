/*
 * trees.pml: trees/<id>/ as a whole: given its name, joined, furnished with users, laid out again, and taken away,
 * whole or its placing alone.
 *
 *	src/tx/commit.c		put_tree(): join_tree(), put_new_tree(), put_placing(); link_record(); clean_up()
 *	src/ref/pin.c		pins: open, lock, look whether the name still leads there
 *	src/ref/user.c		users, looked up by who has the pin exclusively
 *	src/gc/retire.c		pl_tree_take(), take_placed()
 *	src/ref/public.c	pl_ref_settle(): finishes for a dead commit, without a pin
 *
 * One tree id. What is under its name is an instance, each with a pin, users and wrappers of its own; taken away, an
 * instance is nobody's any more. Ref 0 and ref 1 have other trees before and after; grace is over at once.
 *
 *	(nothing)	two commits of the tree on ref 0, for one number: they have one user
 *	OTHER_REF	one on ref 0, which moves on and drops its generation, and one on ref 1
 *	SPARE		the same, and the tree is there already: an old generation, placed
 */
#define NONE	 0
#define INSTANCES 5
#ifndef CRASHES
#define CRASHES 1
#endif

bool G1, G2, G5, VACUOUS_never;
byte name, made;		/* the instance under trees/<id>/; how many there were */
byte shared[INSTANCES];		/* locks on their pins */
bool exclusive[INSTANCES];
byte users[INSTANCES];		/* bit r: of the generation of ref r */
byte placed[INSTANCES];		/* bit k - 1: wrapper k is there */
bool lock[2];			/* of a ref */
bool recorded[2];		/* a generation of the ref has the tree; it is the head unless the ref has moved on */
bool moved_on[2], dropped[2];
byte shown[2];			/* 4 * instance + k, where public/tree leads into the tree; else 0 */
byte crashes = CRASHES;

#define HIGHEST(bits) (bits >= 2 -> 2 : bits)		/* pl_placing_find(): of two wrappers the higher one */
#define IS_PLACED(at) ((at) == 0 || (name == (at) / 4 && (placed[name] >> ((at) % 4 - 1)) & 1))
#define IS_TREE(r)    (recorded[r] && !dropped[r])
#define WELL	      (IS_PLACED(shown[0]) && IS_PLACED(shown[1]))
#define CRASH	      if :: true :: crashes > 0 -> crashes--; goto dead fi

/* pl_users_need() for users with these bits: the head, or what is shown, placed; else the tree for what is retained. */
#define NEEDS_PLACED(bits) \
	((((bits) & 1) && recorded[0] && (!moved_on[0] || shown[0])) || \
	 (((bits) & 2) && recorded[1] && (!moved_on[1] || shown[1])))
#define NEEDS_TREE(bits) ((((bits) & 1) && IS_TREE(0)) || (((bits) & 2) && IS_TREE(1)))
#ifdef ONE_REF
#define LOOKED_UP(i) (users[i] & 1)	/* users of other refs are not looked up */
#else
#define LOOKED_UP(i) users[i]
#endif

/* ---- taking away ---- */

/* pl_pin_try_exclusive(); `got` is what it has locked, or NONE. */
inline try_exclusive(got) {
	got = name;
	if
	:: got == NONE
	:: else ->
#ifndef NO_EXCLUSIVE
		if
		:: atomic { shared[got] == 0 && !exclusive[got] -> exclusive[got] = 1 }
		:: shared[got] > 0 || exclusive[got] -> got = NONE
		fi;
#endif
#ifndef NO_PIN_LOOK
		if :: got != NONE && name != got -> exclusive[got] = 0; got = NONE :: else fi
#endif
	fi
}

/* pl_tree_take(): under the exclusive lock every user is found gone, and the rename comes before the unlock. */
inline take_tree() {
#ifdef USERS_BEFORE_LOCK
	bits = (name -> LOOKED_UP(name) : 0);
	is_needed = NEEDS_PLACED(bits) || NEEDS_TREE(bits);
#endif
	try_exclusive(taken);
	if
	:: taken == NONE
	:: else ->
#ifndef USERS_BEFORE_LOCK
		bits = LOOKED_UP(taken);
		is_needed = NEEDS_PLACED(bits) || NEEDS_TREE(bits);
#endif
#ifdef UNLOCK_FIRST
		exclusive[taken] = 0;
#endif
		d_step {
			if
			:: !is_needed && name == taken ->
				name = NONE;
				assert(WELL || G1);
				assert((!IS_TREE(0) && !IS_TREE(1)) || G5);
#ifdef VACUOUS
				assert(VACUOUS_never);
#endif
			:: else
			fi
		}
		exclusive[taken] = 0;
		bits = 0; is_needed = 0; taken = NONE
	fi
}

proctype taker() {
	byte taken, bits; bool is_needed;
	take_tree()
}

/* take_placed() in src/gc/retire.c: the wrappers one by one, highest first; a spare, or one too many. */
proctype retirer() {
	byte taken, bits;
	try_exclusive(taken);
	if
	:: taken == NONE
	:: else ->
		bits = LOOKED_UP(taken);
		if
		:: !NEEDS_PLACED(bits) ->
			if
			:: placed[taken] & 2 -> d_step { placed[taken] = placed[taken] & 1; assert(WELL || G1) }
			:: else
			fi;
			if
			:: placed[taken] & 1 -> d_step { placed[taken] = 0; assert(WELL || G1) }
			:: else
			fi
		:: else
		fi;
		exclusive[taken] = 0
	fi
}

/* ---- committing ---- */

proctype commit(byte r) {
	byte i, mine, k, taken, bits;
	bool is_needed, is_committed, is_there;
	byte user = 1 << r;

	/* put_tree() */
	do
	:: true ->
		/* join_tree(): pl_pin_wait() */
		i = name;
		if
		:: i == NONE -> goto absent
		:: else
		fi;
#ifndef NO_PIN
		if
		:: atomic { !exclusive[i] -> shared[i]++ }
		:: exclusive[i] -> i = NONE; goto again
		fi;
#ifndef NO_PIN_LOOK
		if
		:: name != i -> shared[i]--; i = NONE; goto absent
		:: else
		fi;
#endif
#endif
		k = HIGHEST(placed[i]);
		CRASH;
#ifndef NO_USER_ADDED
		users[i] = users[i] | user;
#endif
		CRASH;
		/* put_placing() */
		if
		:: k == 0 -> d_step { k = HIGHEST(placed[i]) + 1; assert(k < 3); placed[i] = placed[i] | k }
		:: else
		fi;
		break;
absent:
		/* put_new_tree(): with a user and a wrapper, and pinned before it has its name */
		atomic {
			if :: mine == NONE -> made++; mine = made :: else fi;
			assert(mine < INSTANCES);
			users[mine] = user; placed[mine] = 1
		}
#if !defined(NO_PIN) && !defined(PIN_AFTER_NAME)
		shared[mine] = 1;
#endif
		CRASH;
		d_step {
			is_there = name != NONE;
			if :: !is_there -> name = mine :: else fi
		}
		if
		:: !is_there ->
			i = mine; k = 1;
#ifdef PIN_AFTER_NAME
			CRASH;
			if
			:: atomic { !exclusive[i] -> shared[i]++ }
			:: exclusive[i] -> i = NONE; goto dead
			fi;
#endif
			break
		:: else ->
#if !defined(NO_PIN) && !defined(PIN_AFTER_NAME)
			shared[mine] = 0
#endif
		fi;
again:		skip
	od;
	CRASH;

	atomic { !lock[r] -> lock[r] = 1 }
	/* commit_locked(): another has the number, and just this tree */
	if
	:: recorded[r] -> lock[r] = 0; goto clean
	:: else
	fi;
	CRASH;
	/* link_record(): 7 and 8 */
	d_step {
		assert((name == i && (users[i] & user)) || G5);
		recorded[r] = 1
	}
	is_committed = 1;
	CRASH;
	/* pl_public_show() */
	d_step { shown[r] = 4 * i + k; assert(WELL || G1) }
	lock[r] = 0;

clean:	/* clean_up() */
#ifdef TAKE_OFF_USER
	if :: !is_committed -> users[i] = users[i] & ~user :: else fi;
#endif
#ifndef NO_PIN
	shared[i]--;
#endif
	i = NONE;
	if :: !is_committed -> take_tree() :: else fi;
	goto ended;

dead:	atomic {
		if :: lock[r] && (is_committed || !recorded[r]) -> lock[r] = 0 :: else fi;
#ifndef NO_PIN
		if
		:: i != NONE -> shared[i]--
		:: i == NONE && mine != NONE -> shared[mine] = 0
		:: else
		fi;
#endif
		skip
	}
ended:	skip
}

/* ---- what else happens to a ref ---- */

/* pl_ref_settle(): any command. It has no pin: the head is needed placed. */
proctype resolver() {
end:	recorded[0] && !moved_on[0];
	if
	:: atomic { !lock[0] -> lock[0] = 1 } ->
		if
		:: recorded[0] && !moved_on[0] && shown[0] == 0 ->
			assert((name != NONE && placed[name]) || G2);
			d_step { shown[0] = 4 * name + HIGHEST(placed[name]); assert(WELL || G1) }
		:: else
		fi;
		lock[0] = 0
	:: lock[0]		/* busy: its holder does it */
	fi
}

/* Ref 0 gets another tree, with keep-placed=1 and grace=0; then the generation is dropped. */
proctype mover() {
end:	recorded[0];
	atomic { !lock[0] -> lock[0] = 1 }
	moved_on[0] = 1;
	shown[0] = 0;
	lock[0] = 0;
	if
	:: dropped[0] = 1
	:: true
	fi
}

init {
#ifdef SPARE
	d_step { made = 1; name = 1; placed[1] = 1 }
#endif
	atomic {
		run commit(0); run taker(); run retirer(); run resolver();
#if defined(OTHER_REF) || defined(SPARE)
		run commit(1); run mover()
#else
		run commit(0)
#endif
	}
}
