/*
 * exchange.pml: an attachment that is a real directory, and trades places with the next one in a single step
 * (src/tx/attached_exchange.c, src/ref/showing.c).
 *
 *	.pleach-<random>/tree --laid out--> --announce()--> the text says NEXT, named N --move_out_of_beside()--> N
 *	--swap(): exchange with the path--> NOW at the path, the one before named N: OLD --clean()--> erased
 *
 * Directories are known by identity. Two commands show directories 2 and 3, after each other under the ref lock; then
 * whoever comes next settles what they left. Names are the path and two of ours beside it. Grace is over at once.
 * Everybody dies at any step.
 *
 *	(nothing)	as it is
 *	STRANGERS	a stranger moves away what is at the path, and puts a directory of his own there
 *	POWER		when the two commands are through, or dead, the power fails: of the renames and of the text
 *			only what was synced is sure, and of later ones any number, in order; what was erased is gone
 *
 * Promises: nothing of a stranger's is erased, nor left under a name of ours (G7); the path is never empty, and never
 * leads to what was erased (G1); strangers apart, in the end it shows the newest (G2), and nothing lies beside it (G6).
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#define PATH 0
#define N1   1
#define N2   2
#define NAMES 3
#define NOBODY	0
#define OLDEST	1		/* at the path when this begins */
#define STRANGER 9
#define NONE	0		/* roles */
#define NOW	1
#define NEXT	2
#define OLD	3

bool G1, G2, G6, G7, VACUOUS_never;
byte at[NAMES];			/* name -> directory */
byte role[4], name_of[4];	/* the text: of directories 1, 2 and 3 */
bool erased[10];		/* nothing is left in it */
#ifdef POWER
byte disk_at[NAMES];		/* after a power cut */
byte disk_role[4], disk_name_of[4];
#endif
bool lock;
byte head = 1;			/* the newest directory that should be shown */
byte crashes = CRASHES, done;
bool has_stranger_come, is_stranger_busy, is_down;

#define CRASH	   if :: true :: crashes > 0 -> crashes--; goto dead fi
#define IS_OURS(d) ((d) != NOBODY && (d) != STRANGER && role[d] != NONE)

#define COPY_NAMES(to, from) to[PATH] = from[PATH]; to[N1] = from[N1]; to[N2] = from[N2]
#define COPY(to, from)	     to[1] = from[1]; to[2] = from[2]; to[3] = from[3]
#ifdef POWER
#define SYNC_PARENT	     COPY_NAMES(disk_at, at)
#define SYNC_TEXT	     COPY(disk_role, role); COPY(disk_name_of, name_of)
#else
#define SYNC_PARENT	     skip
#define SYNC_TEXT	     skip
#endif

#define IS_NAMED(n) ((role[1] != NONE && name_of[1] == n) || (role[2] != NONE && name_of[2] == n) || \
		    (role[3] != NONE && name_of[3] == n))

#if defined(NO_SYNC_SWAPPED)
#define IS_SYNCED(is_own) (!(is_own))
#elif defined(NO_SYNC_FOUND)
#define IS_SYNCED(is_own) (is_own)
#else
#define IS_SYNCED(is_own) true
#endif

/* give_back(): under a name of ours lies only what is ours (E2). */
inline give_back(n) {
#ifndef NO_GIVE_BACK
	d_step { is_foreign = IS_NAMED(n) && at[n] != NOBODY && !IS_OURS(at[n]); here = at[PATH] }
	if
	:: is_foreign && here == NOBODY -> d_step { if :: at[PATH] == NOBODY -> at[PATH] = at[n]; at[n] = NOBODY :: else fi }
	:: is_foreign && IS_OURS(here) -> d_step { here = at[PATH]; at[PATH] = at[n]; at[n] = here }
	:: else
	fi;
#endif
	is_foreign = 0; here = 0
}

#define FOUND(d)    (role[d] == NONE -> NONE : (at[PATH] == d -> NOW : (at[N1] == d || at[N2] == d -> OLD : NONE)))
#define FOUND_AT(d) (at[N1] == d -> N1 : (at[N2] == d -> N2 : PATH))

/* reconcile(): who is where is found by looking (E1), and written. What it says of the names is durable before, be it of
 * one's own swap (conclude()) or what others have left (read_and_reconcile()): else 1. one exchanges and is killed,
 * 2. the next one finds that the other is OLD, and erases it, 3. the power fails, and takes the exchange back. */
inline reconcile(is_own) {
	give_back(N1);
	give_back(N2);
	CRASH;
	d_step {
		found[1] = FOUND(1); found[2] = FOUND(2); found[3] = FOUND(3);
		found_at[1] = FOUND_AT(1); found_at[2] = FOUND_AT(2); found_at[3] = FOUND_AT(3);
#ifdef BELIEVE_TEXT
		/* what was to be done was done */
		d = 1;
		do
		:: d < 4 ->
			if
			:: role[d] == NEXT -> found[d] = NOW; found_at[d] = PATH
			:: role[d] == NOW && (role[1] == NEXT || role[2] == NEXT || role[3] == NEXT) ->
				found[d] = OLD; found_at[d] = n
			:: else -> found[d] = role[d]; found_at[d] = name_of[d]
			fi;
			d++
		:: else -> break
		od;
		d = 0
#endif
	}
	if
	:: found[1] != role[1] || found[2] != role[2] || found[3] != role[3] ->
		if
		:: IS_SYNCED(is_own) -> SYNC_PARENT
		:: else
		fi;
		CRASH;
		d_step { COPY(role, found); COPY(name_of, found_at) };
		CRASH;
		SYNC_TEXT
	:: else
	fi;
	d_step { found[1] = 0; found[2] = 0; found[3] = 0; found_at[1] = 0; found_at[2] = 0; found_at[3] = 0 }
}

/* show() of one mode, in a commit or when it is settled, of the tree that lies ready as `next` */
inline show_tree(next) {
	atomic { !lock -> lock = 1; has_lock = 1 }
	reconcile(false);
	CRASH;
	if
	:: next < head || at[PATH] == next || !is_ready -> skip	/* others have shown it, or a newer one */
	:: at[PATH] != NOBODY && !IS_OURS(at[PATH]) -> skip	/* has_stranger(): told, not shown */
	:: else ->
		d_step { n = (at[N1] == NOBODY -> N1 : N2); assert(at[n] == NOBODY) }
#ifndef NO_ANNOUNCE
		d_step { role[next] = NEXT; name_of[next] = n };
		CRASH;
#ifndef NO_SYNC_ANNOUNCED
		SYNC_TEXT;
#endif
		CRASH;
#endif
		/* swap() */
		d_step { at[n] = next; is_ready = 0; erased[next] = 0 };
		CRASH;
		d_step {
			if
			:: at[PATH] != NOBODY -> here = at[PATH]; at[PATH] = at[n]; at[n] = here; here = 0
			:: else -> at[PATH] = at[n]; at[n] = NOBODY
			fi
		}
		CRASH;
#ifdef NO_ANNOUNCE
		d_step { role[next] = NEXT; name_of[next] = n }
#endif
		/* conclude() */
		reconcile(true)
	fi;
	atomic { lock = 0; has_lock = 0 }
}

/* erase() in src/tx/attached_exchange.c: what the text says is over, if it is what the text says. */
inline erase_old() {
	d_step { d = 1; do :: d < 4 && role[d] != OLD -> d++ :: else -> break od; n = (d < 4 -> name_of[d] : 0) }
	if
	:: d < 4 ->
		CRASH;
#ifdef ERASE_BY_NAME
		d_step {
			assert(at[n] != STRANGER || G7);
			assert(n != PATH || G1);
			if :: at[n] != NOBODY -> erased[at[n]] = 1; at[n] = NOBODY :: else fi
		}
#else
		d_step {
			if
			:: at[n] == d -> assert(n != PATH || G1); erased[d] = 1; at[n] = NOBODY
			:: else
			fi
		}
#endif
		CRASH;
		/* forget() */
		if
		:: atomic { !lock -> lock = 1; has_lock = 1 } ->
			gone = d;
			reconcile(false);
			if :: role[gone] == OLD -> role[gone] = NONE; SYNC_TEXT :: else fi;
			gone = 0;
			atomic { lock = 0; has_lock = 0 }
		:: lock
		fi
	:: else
	fi;
	d = 0
}

#define LET_GO if :: has_lock -> lock = 0 :: else fi

proctype commit(byte next) {
	byte d, n, here, gone, found[4], found_at[4]; bool is_foreign, has_lock, is_ready = 1;
	atomic { head = (next > head -> next : head) }
	show_tree(next);
	erase_old();
dead:	atomic { LET_GO; done++ }
}

/* He moves away what is there, and puts his own. */
proctype stranger() {
end:	d_step { done < 2 -> at[PATH] = NOBODY; has_stranger_come = 1; is_stranger_busy = 1 };
	d_step { if :: at[PATH] == NOBODY -> at[PATH] = STRANGER :: else fi; is_stranger_busy = 0 }
}

/* Afterwards: whoever comes next, until nothing is left to do. It lays out anew what is not shown. */
proctype next_command() {
	byte d, n, here, gone, turn, found[4], found_at[4]; bool is_foreign, has_lock, is_ready;
	done == 2 && !is_stranger_busy;
	crashes = 0;
#ifdef POWER
	if
	:: d_step {
		COPY_NAMES(at, disk_at); COPY(role, disk_role); COPY(name_of, disk_name_of);
		is_down = 1;
		assert(!erased[at[PATH]] || G1)
	   }
	:: true
	fi;
#endif
	do
	:: turn < 4 ->
		d_step { is_ready = at[N1] != head && at[N2] != head && at[PATH] != head }
		show_tree(head);
		erase_old();
		turn++
	:: else -> break
	od;
	assert((at[N1] != STRANGER && at[N2] != STRANGER) || G7);
	assert(!erased[at[PATH]] || at[PATH] == NOBODY || G1);
	if
	:: !has_stranger_come ->
		assert(at[PATH] == head || G2);
		assert((at[N1] == NOBODY && at[N2] == NOBODY) || G6)
	:: else
	fi;
#ifdef VACUOUS
	assert(!erased[OLDEST] || VACUOUS_never);
#endif
dead:	skip
}

/* The path is never empty, unless a stranger has emptied it. */
proctype reader() { assert(at[PATH] != NOBODY || has_stranger_come || G1) }

#ifdef POWER
/* The disk takes what it likes, when it likes, in order. */
proctype write_back() {
end:	do
	:: d_step { done < 2 -> COPY_NAMES(disk_at, at) }
	:: d_step { done < 2 -> COPY(disk_role, role); COPY(disk_name_of, name_of) }
	:: done == 2 -> break
	od
}
#endif

init {
	d_step {
		at[PATH] = OLDEST; role[OLDEST] = NOW; name_of[OLDEST] = PATH;
		SYNC_PARENT; SYNC_TEXT
	}
	atomic {
		run next_command(); run commit(2); run commit(3); run reader();
#ifdef STRANGERS
		run stranger();
#endif
#ifdef POWER
		run write_back()
#endif
	}
}
