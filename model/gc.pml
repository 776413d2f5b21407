/*
 * gc.pml: collections beside those who make generations, look things up, hand claims on, and take trees away.
 *
 *	src/gc/collect.c, needed.c, trash.c	the collector
 *	src/source/stage.c, src/tx/commit.c	claims, looks, names: the committer
 *	src/ref/txdir.c				claims, and handing them on to a parked transaction (src/tx/landing.c)
 *	src/ref/lookup.c			who misses what must be there
 *	src/gc/retire.c				who takes trees away
 *
 * Four things can be stored: node R holds node D, which holds objects A and B; R is the root of tree R, D that of
 * tree D. At the start D, A and B are there, and nobody needs them, or (BASE) they are a tree. A thing has at most one
 * name in its pool and one in a trash. A batch is BATCH things. Everybody but the readers dies at any step, once.
 *
 * Promise (G5): what a tree that is there reaches, and what a parked transaction has claimed, is found, by every
 * lookup and at the end. A claim that nobody acts on and a tree without a generation are no promise.
 *
 *	(nothing)	one commit of tree R, which claims all of it
 *	BASE		tree D is the commit's base: R and D are claimed, not what D holds; then tree D goes
 *	CHAIN		tree D is committed, on it tree R, then tree D goes
 *	PARKED		what a commit has claimed is handed on to a parked transaction, and no tree has it
 */
#define R 0
#define D 1
#define A 2
#define B 3
#define N 4
#ifndef BATCH
#define BATCH 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

bool G5, VACUOUS_never;		/* never true: they name the promise in assertions */
bool pool[N];			/* it has its name in objects/ or nodes/ */
bool trash[N];			/* and in trash/<id>/ */
bool tree[2];			/* trees/<R>/, trees/<D>/ */
bool pinned;			/* tree D, by who has it as his base */
bool claims[2 * N];		/* of tx 0, and of tx 1, which is parked */
bool collector, batch;		/* the locks in trash/ */
bool published;			/* tree R is a generation */
byte crashes = CRASHES, makers, collections;

#define CRASH	   if :: true :: crashes > 0 -> crashes--; goto dead fi
#define CLAIM(c,i) claims[(c) * N + (i)]
#define THERE(i)   (pool[i] || trash[i])

/* ---- committers ---- */

/* pl_stage_has_object(), stage_write() in src/source/stage.c */
inline use(i) {
#ifdef CLAIM_AFTER_LOOK
	staged[i] = !pool[i];
	CLAIM(0, i) = 1;
#else
	CLAIM(0, i) = 1;
	staged[i] = !pool[i];
#endif
}

/* pl_stage_name(): what was staged gets its name, unless another has it. */
inline name(i) { if :: staged[i] -> pool[i] = 1; staged[i] = 0 :: else fi }

inline end_claims() {
	d_step {
		CLAIM(0, R) = 0; CLAIM(0, D) = 0; CLAIM(0, A) = 0; CLAIM(0, B) = 0;
		staged[R] = 0; staged[D] = 0; staged[A] = 0; staged[B] = 0
	}
}

inline use_all_of_d() {
#ifdef NO_CLOSURE
	use(D);			/* a node that is there is believed to have what it holds */
	if :: staged[D] -> use(A); use(B) :: else fi;
#else
	use(A); CRASH; use(B); use(D);
#endif
	CRASH;
	name(A); name(B); name(D);
}

/* pl_commit_run(), with tree D: a generation that is dropped soon. */
inline commit_d() {
	use_all_of_d();
	tree[D] = 1;
	CRASH;
	end_claims();
}

/* pl_commit_run(), with tree R. */
inline commit_r() {
#if defined(BASE) || defined(CHAIN)
	use(D); use(R);		/* D is the base's: what it holds is safe as long as that is pinned */
	CRASH;
	name(D); name(R);
#else
	use_all_of_d();
	use(R);
	name(R);
#endif
#ifdef CLAIMS_END_EARLY
	end_claims();
#endif
	CRASH;
	tree[R] = 1;		/* put_new_tree() in src/tx/commit.c */
	CRASH;
	published = 1;		/* link_record() in src/tx/commit.c */
	CRASH;
	pinned = 0;		/* clean_up() in src/tx/commit.c: the base, then all of tx/<id>/ */
	CRASH;
	end_claims();
}

proctype committer() {
	bool staged[N];
#ifdef CHAIN
	commit_d();
	if :: atomic { tree[D] -> pinned = 1 } :: !tree[D] -> goto dead fi;
#endif
#ifdef PARKED
	/* pl_txdir_keep_claims() in src/tx/landing.c: what it has staged and named is another's now. */
	use_all_of_d();
	CLAIM(1, A) = 1; CLAIM(1, B) = 1; CLAIM(1, D) = 1;
	end_claims();
#else
	commit_r();
#endif
dead:	pinned = 0;
	end_claims();		/* pl_txdir_recover(): at the earliest moment */
	makers++
}

/* pl_tree_take() for a generation that was dropped. */
proctype taker() {
#ifdef TREES_GO
end:	atomic { tree[D] && !pinned -> tree[D] = 0 }
#else
	/* Tried, and left for the next time while a batch is out. */
	if
	:: atomic { tree[D] && !pinned && !batch -> tree[D] = 0 }
	:: true
	fi
#endif
}

/* ---- the collector ---- */

#ifdef ENTER_BY_MARK
#define IS_NEW(n) (!marked[n])	/* of what was marked it is believed that it was gone into */
#else
#define IS_NEW(n) (!entered[n])	/* pl_pool_index_enter() */
#endif
#define ENTER(n) marked[n] = 1; entered[n] = 1

/* pl_needed_add_tree(): nodes are read wherever they are found. */
inline add_tree(t) {
	d_step {
		is_in = tree[t];
		if
		:: is_in && t == R ->
			is_in = IS_NEW(R);
			assert(!is_in || THERE(R) || G5);
			if :: is_in -> ENTER(R) :: else fi
		:: else
		fi;
		if
		:: is_in && IS_NEW(D) -> assert(THERE(D) || G5); ENTER(D); marked[A] = 1; marked[B] = 1
		:: else
		fi;
		is_in = 0
	}
}

/* A listing of many names is no single moment. */
inline add_trees() {
	if
	:: add_tree(R); add_tree(D)
	:: add_tree(D); add_tree(R)
	fi
}

inline add_claims_of(c) {
	d_step {
		marked[R] = marked[R] || CLAIM(c, R); marked[D] = marked[D] || CLAIM(c, D);
		marked[A] = marked[A] || CLAIM(c, A); marked[B] = marked[B] || CLAIM(c, B)
	}
}

/* pl_needed_add_claims(): one transaction after the other. */
inline add_claims() {
#ifndef NO_CLAIMS_READ
#ifdef PARKED
	if
	:: add_claims_of(0); add_claims_of(1)
	:: add_claims_of(1); add_claims_of(0)
	fi
#else
	add_claims_of(0)
#endif
#else
	skip
#endif
}

inline look_again() {
#ifdef TREES_FIRST
	add_trees(); add_claims()
#else
	add_claims();
	add_trees();
#ifndef CLAIMS_ONCE
	add_claims()
#endif
#endif
}

/* put_back() in src/gc/trash.c: linked, never over a name, before the name in trash/ goes. */
inline put_back(i) {
#ifdef UNLINK_FIRST
	if :: trash[i] -> trash[i] = 0; CRASH; pool[i] = 1 :: else fi
#else
	if :: trash[i] -> pool[i] = 1 :: else fi
#endif
}

inline erase(i) {
#ifdef VACUOUS
	assert(!trash[i] || pool[i] || VACUOUS_never);
#endif
	trash[i] = 0
}

/* end_batch(), pl_trash_settle() */
inline end_batch() {
#ifndef NO_SECOND_LOOK
	look_again();
#endif
	CRASH;
	i = 0;
	do
	:: i < N -> if :: marked[i] -> put_back(i) :: else fi; i++
	:: else -> break
	od;
	CRASH;
	i = 0;
	do :: i < N -> erase(i); i++ :: else -> break od;
	n_out = 0;
	batch = 0
}

/* take() in src/gc/collect.c */
inline take(t) {
	if
	:: listed[t] && !marked[t] ->
		if :: n_out == 0 -> batch = 1 :: else fi;
		d_step { if :: pool[t] -> pool[t] = 0; trash[t] = 1 :: else fi };
		n_out++;
		CRASH;
		if :: n_out == BATCH -> end_batch() :: else fi
	:: else
	fi
}

/* collect() in src/gc/collect.c */
proctype gc() {
	bool listed[N], marked[N], entered[N], is_in;
	byte i, n_out;
	atomic { !collector -> collector = 1 }
	/* recover(): what a dead collector had taken out */
	i = 0;
	do
	:: i < N ->
#ifndef TRASH_BLIND
		put_back(i);
#endif
		erase(i); i++
	:: else -> break
	od;
	i = 0;
	/* pl_needed_begin() lists, then what trees reach is marked */
	d_step { listed[R] = pool[R]; listed[D] = pool[D]; listed[A] = pool[A]; listed[B] = pool[B] }
	add_trees();
	add_claims();
	/* sweep_all(): nodes first */
	take(R); take(D); take(A); take(B);
	if :: n_out > 0 -> end_batch() :: else fi;
dead:	atomic { batch = 0; collector = 0; collections++ }
}

/* ---- who must find ---- */

/* pl_store_find(): its name, the trashes, its name again; and once more when no batch is out. */
inline find(i) {
	if :: pool[i] -> goto found :: else fi;
#ifndef NO_TRASH_LOOKUP
	if :: trash[i] -> pool[i] = 1; goto found :: else fi;
	if :: pool[i] -> goto found :: else fi;
#endif
#ifndef NO_BATCH_WAIT
	!batch;
#ifndef NO_TRASH_LOOKUP
	if :: trash[i] -> pool[i] = 1; goto found :: else fi;
#endif
#endif
	assert(pool[i] || G5);
found:	skip
}

proctype reader() {
	byte i;
end:	published;
	if :: i = R :: i = D :: i = A :: i = B fi;
	find(i)
}

/* What must be there when all is quiet. Found in a trash it is found (src/ref/lookup.c). */
proctype final() {
	byte i;
	makers == 1 && collections == 2;
	if
	:: tree[R] -> assert((THERE(R) && THERE(D) && THERE(A) && THERE(B)) || G5)
	:: tree[D] -> assert((THERE(D) && THERE(A) && THERE(B)) || G5)
	:: !tree[R] && !tree[D]
	fi;
	do :: i < N -> assert(!CLAIM(1, i) || THERE(i) || G5); i++ :: else -> break od
}

init {
	d_step { pool[D] = 1; pool[A] = 1; pool[B] = 1 }
#ifdef BASE
	d_step { tree[D] = 1; pinned = 1 }
#endif
	atomic {
		run committer(); run gc(); run gc(); run final();
#if defined(BASE) || defined(CHAIN)
		run taker();
#endif
#ifndef PARKED
		run reader()
#endif
	}
}
