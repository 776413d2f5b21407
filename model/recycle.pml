/*
 * recycle.pml: a tree laid out from a retired one, whose directories are moved, or edited (recycle=edit).
 *
 *	src/gc/retire.c		pl_spare_take(): take_placed(), is_alone(), forget_users(); pl_spare_done()
 *	src/place/recycle.c	an unchanged directory is moved, whole
 *	src/place/edit.c	a directory that differs is edited, if nobody can be in it
 *	src/tx/commit.c		open_spare(), put_placing(), furnish_tree(): spare.other
 *	src/tx/landing.c	clear_layout()
 *
 * Of each tree one directory is followed, an inode with a content. Trees S and N have the same there, M another. Ref A
 * shows S, then N, laid out from S when it is retired, then M, laid out from N. Ref B shows S or N for a while, at any time;
 * its readers do not pin, and may hold what they opened for ever. Grace is over at once. A dies at any step.
 *
 *	(nothing)	A has recycle=edit; its readers pin
 *	MOVE		A has recycle=move; its readers hold what they opened without a pin too
 *
 * Promises (G1): who holds a directory sees its content, or, unpinned, sees it empty out, never another's; what is shown
 * is placed and whole.
 */
#define S 0
#define N 1
#define M 2
#define OTHER 3			/* any other tree */
#define A 0
#define B 1
#define INODES 6
#define CONTENT(t) ((t) == M -> 2 : 1)
#define IS_WELL(r) (shown[r] == OTHER || (holds[shown[r]] != 0 && content[holds[shown[r]]] == CONTENT(shown[r])))

bool G1, VACUOUS_never;
byte content[INODES];		/* of directories; 0: emptied */
byte made;			/* how many there are */
byte holds[3];			/* tree -> its directory where it is placed; 0: it is not placed */
byte users[3];			/* bit r: it was, or is to be, a generation of ref r */
byte shared[3]; bool exclusive[3];
byte shown[2] = OTHER;
#ifndef CRASHES
#define CRASHES 1
#endif
byte crashes = CRASHES;

#define CRASH if :: true :: crashes > 0 -> crashes--; goto dead fi
#define WELL  assert((IS_WELL(A) && IS_WELL(B)) || G1)

inline make(value, inode) { d_step { made++; assert(made < INODES); content[made] = value; inode = made } }

/* ---- ref B, and who reads there ---- */

/* A publish of S or N: join_tree(), put_placing(); then another tree. */
proctype other_ref() {
	byte dir, t;
	if :: t = S :: t = N fi;
	atomic { !exclusive[t] -> shared[t]++ }
	users[t] = users[t] | 2;
	if
	:: holds[t] == 0 -> make(1, dir); holds[t] = dir
	:: else
	fi;
	d_step { shown[B] = t; WELL }
	shared[t]--;
	shown[B] = OTHER
}

/* forget_users(): users that are found gone are removed, of a tree that is not placed any more. */
proctype cleaner() {
	if
	:: atomic { shared[S] == 0 && !exclusive[S] -> exclusive[S] = 1 } ->
		if
#ifdef FORGET_USERS
		:: shown[B] != S -> users[S] = users[S] & 1
#else
		:: shown[B] != S && holds[S] == 0 -> users[S] = users[S] & 1
#endif
		:: else
		fi;
		exclusive[S] = 0
	:: shared[S] > 0 || exclusive[S]
	fi
}

/* Opens the directory below a public path, and reads in it now and then. */
proctype reader(byte r) {
	byte dir, value;
end:	d_step { shown[r] != OTHER -> dir = holds[shown[r]]; value = CONTENT(shown[r]) }
	assert(content[dir] == value || content[dir] == 0 || G1);
	assert(content[dir] == value || content[dir] == 0 || G1)
}

/* pl_pin_try(), looked at again; then it is his as long as he likes. */
proctype pinned_reader() {
	byte dir, t, value;
end:	shown[A] != OTHER;
	atomic { t = shown[A]; if :: t == OTHER -> goto done :: else fi }
	atomic { !exclusive[t] -> shared[t]++ }
	dir = holds[t];
	value = CONTENT(t);
	if :: dir == 0 -> goto unpin :: else fi;
	assert(content[dir] == value || G1);
	assert(content[dir] == value || G1);
unpin:	shared[t]--;
done:	skip
}

/* ---- ref A ---- */

#ifdef LOOKED_BEFORE_LOCK
#define LOOK_BEFORE(t) is_needed = NEEDED(t)
#else
#define LOOK_BEFORE(t) skip
#endif
#define NEEDED(t) (shown[A] == t || shown[B] == t)

/* take_placed() of tree t, laid out as tree `to`; `dir` is then the directory of `to`. */
inline recycle(t, to) {
#ifdef ALONE_BEFORE_LOCK
	is_alone = users[t] == 1;
#endif
	LOOK_BEFORE(t);
	dir = 0; has_other = 0;
	if
#ifdef NO_EXCLUSIVE
	:: atomic { !exclusive[t] -> exclusive[t] = 1 } ->
#else
	:: atomic { shared[t] == 0 && !exclusive[t] -> exclusive[t] = 1 } ->
#endif
#ifndef LOOKED_BEFORE_LOCK
		is_needed = NEEDED(t);
#endif
		if
		:: !is_needed ->
#ifndef ALONE_BEFORE_LOCK
			is_alone = users[t] == 1;
#endif
#ifndef NO_OTHER
			has_other = (users[t] & 2) != 0;
#endif
			d_step { dir = holds[t]; holds[t] = 0; WELL }
		:: else
		fi;
		/* settle_spare(): from here on it is shared */
		atomic { exclusive[t] = 0; shared[t]++; spare = t }
	:: shared[t] > 0 || exclusive[t]
	fi;
	CRASH;
	if
	:: dir != 0 && CONTENT(t) == CONTENT(to) -> skip	/* pl_recycle_directory(): moved */
	:: dir != 0 && CONTENT(t) != CONTENT(to) ->
		if
#if defined(EDIT_IN_PLACE)
		:: true -> content[dir] = CONTENT(to)
#elif !defined(MOVE)
		:: is_alone -> content[dir] = CONTENT(to)	/* pl_edit_take() */
#endif
#if !defined(EDIT_IN_PLACE)
		:: else -> content[dir] = 0; make(CONTENT(to), dir)	/* R3: made new */
#endif
		fi
	:: else -> make(CONTENT(to), dir)
	fi;
	CRASH
}

inline put(t) {
	/* put_new_tree() with its users, or join_tree() and put_placing(); then it is shown */
	d_step { users[t] = users[t] | 1 | (has_other -> 2 : 0); holds[t] = dir; dir = 0 }
	CRASH;
	d_step { shown[A] = t; WELL }
	CRASH;
	if
	:: spare != OTHER -> shared[spare]--; spare = OTHER	/* pl_spare_done() */
	:: else
	fi
}

proctype ref_a() {
	byte dir, spare = OTHER; bool is_alone, has_other, is_needed;
	/* S: its own layout, unless ref B has placed it */
	atomic { !exclusive[S] -> shared[S]++; spare = S }
	users[S] = users[S] | 1;
	if
	:: holds[S] == 0 -> make(1, dir); d_step { if :: holds[S] == 0 -> holds[S] = dir :: else fi }
	:: else
	fi;
	dir = 0;
	d_step { shown[A] = S; WELL }
	shared[S]--; spare = OTHER;
	shown[A] = OTHER;
	CRASH;
	recycle(S, N);
	if
	:: true -> put(N)
	:: true ->
		/* Overtaken before it was put (landing.c): what is laid out next has another content there. */
#ifdef NO_CLEAR_LAYOUT
		content[dir] = 2;
#else
		content[dir] = 0;	/* clear_layout() */
		CRASH;
		make(2, dir);
#endif
		put(M);
		goto dead
	fi;
	shown[A] = OTHER;
	CRASH;
	recycle(N, M);
	put(M);
#ifdef VACUOUS
	assert(made > 1 || VACUOUS_never);
#endif
dead:	atomic {
		/* pl_txdir_recover(): what was in tx/ is erased */
		if :: dir != 0 -> content[dir] = 0 :: else fi;
		if :: spare != OTHER -> shared[spare]-- :: else fi
	}
}

init {
	d_step { shown[A] = OTHER; shown[B] = OTHER }
	atomic {
		run ref_a(); run other_ref(); run reader(B); run cleaner();
#ifdef MOVE
		run reader(A)
#else
		run pinned_reader()
#endif
	}
}
