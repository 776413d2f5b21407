/*
 * durable_gc.pml: what is durable when, where something is taken away or moved.
 *
 *	src/gc/trash.c		put_back(), then sync_name() or sync_all(), then the name in trash/ goes (R2)
 *	src/gc/collect.c	sync_drops() before anything is erased (C5)
 *	src/gc/retire.c		settle_spare() before anything is moved out of a spare
 *
 * Three small stories beside each other. Each is a chain of changes of names; of those that were not synced any may
 * be lost by a power cut, in any combination that respects what is built on what: a rename is one change. JOURNAL: in
 * the order of their making.
 */
#define TAKEN	  0		/* objects/<o> --rename--> trash/<id>/o/<o> */
#define BACK	  1		/* linked to objects/<o> again; built on TAKEN */
#define UNTRASHED 2		/* the name in trash/ is gone; built on TAKEN */
#define DROPPED	  3		/* dropped/<n> is there */
#define ERASED	  4		/* an object that only generation n had is gone */
#define RETIRED	  5		/* a wrapper --rename--> tx/<id>/ */
#define MOVED	  6		/* a directory of it --rename--> the new tree; of another inode, so on nothing */
#define CHANGES	  7

bool G1, G5;
bool done[CHANGES], durable[CHANGES];
bool is_cut;

#define LIVE if :: is_cut -> goto dead :: else fi
#define DO(change) atomic { LIVE; done[change] = 1 }

inline sync(i) {
	atomic {
		LIVE;
#ifdef JOURNAL
		sync_all()
#else
		durable[i] = done[i];
		if :: i == BACK -> durable[TAKEN] = done[TAKEN] :: else fi
#endif
	}
}
inline sync_all() {
	n = 0;
	do :: n < CHANGES -> durable[n] = done[n]; n++ :: else -> break od;
	n = 0
}

proctype collector() {
	byte n;
	DO(TAKEN);
	DO(BACK);
#ifndef NO_SYNC_BACK
	sync(BACK);
#endif
	DO(UNTRASHED);
dead:	skip
}

proctype dropper() {
	byte n;
	DO(DROPPED);
#ifndef NO_SYNC_DROPPED
	sync(DROPPED);
#endif
	DO(ERASED);
dead:	skip
}

proctype recycler() {
	byte n;
	DO(RETIRED);
#ifndef NO_SYNC_RETIRED
	sync(RETIRED);
#endif
	DO(MOVED);
dead:	skip
}

proctype write_back() {
	byte i, n;
	do
	:: is_cut -> break
#ifdef JOURNAL
	:: atomic { !is_cut -> sync_all() }
#else
	:: !is_cut ->
		select(i : 0 .. CHANGES - 1);
		atomic {
			if
			:: is_cut || ((i == BACK || i == UNTRASHED) && !durable[TAKEN])
			:: else -> durable[i] = done[i]
			fi;
			i = 0
		}
#endif
	od
}

proctype power() {
	atomic {
		is_cut = 1;
		assert(!durable[TAKEN] || durable[BACK] || !durable[UNTRASHED] || G5);	/* in its pool, or in trash/ */
		assert(!durable[ERASED] || durable[DROPPED] || G5);	/* no generation without its object */
		assert(!durable[MOVED] || durable[RETIRED] || G1)	/* nothing placed that is not whole */
	}
}

init { atomic { run collector(); run dropper(); run recycler(); run write_back(); run power() } }
