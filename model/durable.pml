/*
 * durable.pml: what is durable when, in a publish (src/tx/commit.c, prepare() to show(); docs/durability.md).
 *
 *	data --round--> names of objects and nodes, trees/<id>/, the record in tx/ --round--> gen/<n> --fsync-->
 *	public/tree --fsync--> answered
 *
 * Two commits share an object, which one writes and the other may find; a third one comes after the power cut. Another
 * command may finish for them (pl_ref_settle()). What a program sees is v_, what a power cut leaves is d_. The disk may
 * write anything back at any time in any order, but for what is synced: weaker than any real file system.
 *
 *	(nothing)	each name for itself: btrfs, f2fs, ext4 with fast_commit; with fsync or syncfs
 *	JOURNAL		names become durable in the order of their making, whoever syncs: ext4 without fast_commit, xfs
 *	ONE_ROUND	without the second round: the fsync behind the record must do for it
 *	SYNC_BEHIND	and where that does not, all is synced behind it (pl_journal_sync())
 */
#define COMMITS 3
#define OBJECT	0		/* in objects/ */
#define TREE(c) (1 + (c))	/* in trees/, placed, with its user */
#define GEN(c)	(1 + COMMITS + (c))
#define NAMES	(1 + 2 * COMMITS)
#define RECORD(c) (1 + (c))	/* data: of the object, of each record */
#define DATA	(1 + COMMITS)
#define NOBODY	9

bool G2, G4;
bool v_name[NAMES], d_name[NAMES];
bool v_data[DATA], d_data[DATA];
byte v_public = NOBODY, d_public = NOBODY;	/* whose generation public/tree shows */
byte answered = NOBODY;
bool is_cut;

/* Each step of a commit is done before the power cut, or never. */
#define LIVE if :: is_cut && c < 2 -> goto dead :: else fi

inline sync_all_names() {
	n = 0;
	do :: n < NAMES -> d_name[n] = v_name[n]; n++ :: else -> break od;
	n = 0;
	d_public = v_public
}

/* fsync of a directory, or of one entry of it as part of a round */
inline sync_name(i) {
#ifdef JOURNAL
	sync_all_names()
#else
	d_name[i] = v_name[i]
#endif
}
inline sync_gen() {
#ifdef JOURNAL
	sync_all_names()
#else
	n = 0;
	do :: n < COMMITS -> d_name[GEN(n)] = v_name[GEN(n)]; n++ :: else -> break od;
	n = 0
#endif
}
inline sync_public() {
#ifdef JOURNAL
	sync_all_names()
#else
	d_public = v_public
#endif
}

proctype commit(byte c) {
	byte n; bool is_found;
	if :: c == 2 -> is_cut :: else fi;
	if
	:: v_name[OBJECT] -> is_found = 1
	:: else ->
		atomic { LIVE; v_data[OBJECT] = 1 }
#ifndef NO_DATA_FIRST
		atomic { LIVE; d_data[OBJECT] = 1 }		/* the first round */
#endif
		atomic { LIVE; v_name[OBJECT] = 1 }		/* pl_stage_name() */
	fi;
	atomic { LIVE; v_name[TREE(c)] = 1 }			/* put_new_tree() */
	atomic { LIVE; v_data[RECORD(c)] = 1 }			/* write_record() */
#ifndef NO_SYNC_RECORD
	atomic { LIVE; d_data[RECORD(c)] = v_data[RECORD(c)] }
#endif
	/* pl_txdir_sync(): the second round */
#ifndef ONE_ROUND
#ifdef NO_SYNC_FOUND
	if
	:: is_found
	:: else ->
		atomic { LIVE; d_data[OBJECT] = v_data[OBJECT] }
		atomic { LIVE; sync_name(OBJECT) }
	fi;
#else
	atomic { LIVE; d_data[OBJECT] = v_data[OBJECT] }
	atomic { LIVE; sync_name(OBJECT) }
#endif
#ifndef NO_SYNC_TREES
	atomic { LIVE; sync_name(TREE(c)) }
#endif
#endif
	atomic { LIVE; v_name[GEN(c)] = 1 }			/* link_record() */
#ifndef NO_SYNC_GEN
	atomic { LIVE; sync_gen() }
#endif
#ifdef SYNC_BEHIND
	atomic { LIVE; d_data[OBJECT] = v_data[OBJECT]; sync_all_names() }
#endif
	atomic { LIVE; v_public = c }				/* replace_symlink() */
	atomic { LIVE; sync_public() }
	atomic { LIVE; answered = c; assert(v_data[OBJECT] || G4) }
dead:	skip
}

/* pl_ref_settle(): it syncs gen/ again (sync_again()), then shows. */
proctype resolver() {
	byte c = 0, n;
	if
	:: v_name[GEN(0)] -> c = 0
	:: v_name[GEN(1)] -> c = 1
	:: is_cut -> goto dead
	fi;
#ifndef RESOLVER_NOSYNC
	atomic { LIVE; sync_gen() }
#endif
	atomic { LIVE; v_public = c }
	atomic { LIVE; sync_public() }
dead:	skip
}

proctype write_back() {
	byte i, n;
	do
	:: d_step { !is_cut ->
#ifdef JOURNAL
		sync_all_names()
#else
		d_public = v_public
#endif
	   }
#ifndef JOURNAL
	:: !is_cut ->
		select(i : 0 .. NAMES - 1);
		atomic { if :: !is_cut -> d_name[i] = v_name[i] :: else fi; i = 0 }
#endif
	:: !is_cut ->
		select(i : 0 .. DATA - 1);
		atomic { if :: !is_cut -> d_data[i] = v_data[i] :: else fi; i = 0 }
	:: is_cut -> break
	od
}

proctype power() {
	byte i;
	atomic {
		d_step {
			i = 0;
			do :: i < NAMES -> v_name[i] = d_name[i]; i++ :: else -> break od;
			i = 0;
			do :: i < DATA -> v_data[i] = d_data[i]; i++ :: else -> break od;
			v_public = d_public;
			i = 0
		}
		do
		:: i < 2 ->
			assert(!v_name[GEN(i)] || v_data[RECORD(i)] || G2);	/* a record that is there is whole */
			assert(!v_name[GEN(i)] || v_name[TREE(i)] || G2);	/* its tree is there, and placed */
			assert(!v_name[GEN(i)] || (v_data[OBJECT] && v_name[OBJECT]) || G2);
			assert(answered != i || v_name[GEN(i)] || G2);		/* what was answered */
			assert(v_public != i || v_name[GEN(i)] || G2);		/* the path not ahead of the ref */
			i++
		:: else -> break
		od;
		is_cut = 1
	}
}

init {
	atomic {
		run commit(0); run commit(1); run commit(2); run resolver(); run write_back(); run power()
	}
}
