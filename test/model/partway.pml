/*
 * Partway's protocol (DESIGN 3), small enough to try every interleaving of it. README.md ties each transition to the
 * code; configs.ts says which sizes are checked, and which rules are left out on purpose (-D switches in capitals).
 *
 * A row is (key, partition key, value), each a small number, and a table is a set of rows: one bit a row. The shadow has
 * no unique index while it is filled, so a second bit per row says that it stands twice. A change log is a set of pairs:
 * that a pair logged again after an apply's snapshot is another log row, with another id, is kept by moving the picked
 * pairs to pick[]. Each transition is one statement or one transaction, as fine as others can see a difference.
 */
#ifndef NK
#define NK 2          /* keys, at most 3 */
#endif
#ifndef TXS
#define TXS 2         /* writer transactions in all */
#endif
#ifndef STMTS
#define STMTS 1       /* statements a writer transaction may have */
#endif

/* ---- rows, pairs, tables as bit masks ---------------------------------------------------------------------------- */
#define ROW(k, p, v) (1 << (4 * (k) + 2 * (p) + (v)))
#define PR(k, p) (3 << (4 * (k) + 2 * (p)))           /* the rows a pair can be */
#define KR(k) (15 << (4 * (k)))                       /* the rows a key can be */
#define PB(k, p) (1 << (2 * (k) + (p)))               /* a pair in a log */
#define LEAF(p) ((p) -> 3276 : 819)                   /* 0xCCC and 0x333: the rows of a leaf */
#define ROWS(l) (((l) & 1) * 3 | ((l) & 2) * 6 | ((l) & 4) * 12 | ((l) & 8) * 24 | ((l) & 16) * 48 | ((l) & 32) * 96)
/* Uniqueness by pair (the new table) and by key (the source). */
#define DUPPAIR(h1, h2) ((h2) || ((h1) & ((h1) >> 1) & 1365))
#define DUPNIB(n) ((n) & ((n) - 1))
#define DUPKEY(t) (DUPNIB((t) & 15) || DUPNIB(((t) >> 4) & 15) || DUPNIB(((t) >> 8) & 15))
#define TWICE(t) ((DUPNIB((t) & 15) -> 3 : 0) | (DUPNIB(((t) >> 4) & 15) -> 12 : 0) | (DUPNIB(((t) >> 8) & 15) -> 48 : 0))

/* ---- the database ------------------------------------------------------------------------------------------------ */
#define PCOPY 0       /* partway.migration.phase: the next phase to do */
#define PINDEX 1
#define PVALID 2
#define PCUT 3
#define PRETAIN 4
#define PROLLED 5

short S;              /* source, later retired: committed rows */
short H1, H2;         /* shadow, later the new table: rows that stand once, rows that stand a second time */
short G;              /* ghost: exactly the committed writes */
byte pos[NK];         /* block of a key's row in the source: 0, 1, 2 (2: past the end at first) */
byte blocks = 2;      /* size of the source */
bit live;             /* who has the application's name: 0 the source, 1 the new table */
bit fcap, rcap, flogThere = 1;
byte flog, rlog;      /* committed log rows that no apply in flight has picked */
bit fmark, rmark;     /* truncate markers */
bit fileok = 1;       /* the source's filenode is the one stored when the size was read */
bit vfile = 1;        /* the source's filenode is the one stored by the validation */
byte phase, epoch = 1;
byte stored;          /* migration.blocks; 0: not measured */
byte ledger;          /* a bit for each committed batch */
bit indexed;          /* the unique indexes stand on the shadow */
byte xlock;           /* 1 + the orchestrator that holds both tables ACCESS EXCLUSIVE */

/* ---- writers ------------------------------------------------------------------------------------------------------ */
byte left = TXS;
byte tx[2];           /* statements made in the open transaction; 0: none open. It holds ROW EXCLUSIVE on bound[] */
bit bound[2];
short del[2], ins[2]; /* what it has changed and not committed */
byte lg[2];           /* log rows it has written and not committed */
#ifdef FORGET_BY_RANGE
bit after[2];         /* its log rows have higher ids than the other writer's uncommitted ones */
bit lower[2], low[2]; /* its log rows have lower ids than a committed one; the same as seen by the apply in flight */
byte swept;           /* committed since the pick with lower ids: a delete by range takes them too */
#endif

/* ---- orchestrators: 0, and its successor 1, which may take over at any step; then 0 is a zombie -------------------- */
#define CAP 0
#define MEASURE 1
#define BATCHES 2
#define ENDCOPY 3
#define DEDUPE0 4
#define DEDUPE1 5
#define BUILD 6
#define CATCHUP 7
#define VDRAIN 8
#define COMPARE 9
#define SETVALID 10
#define XDRAIN 11
#define XCHECK 12
#define XINSIDE 13
#define RETAIN 14
#define RDRAIN 15
#define RCHECK 16
#define RINSIDE 17
#define CLEAN0 18
#define CLEAN1 19
#define RESET 20
#define REBUILD 21
#define REVCAP 22
#define ABORT1 23
#define BUMP 24
#define OFF 25
#define ENDED 26      /* done, fenced, stopped with a message, or dead */

byte st[2];
byte my[2];           /* the epoch it holds */
byte wst[4];          /* batch b of orchestrator o, [2*o+b]: 0 to do, 1 epoch read, 2 copied, 3 committed but not in the ledger, 4 done */
short buf[4];         /* rows the batch has inserted and not committed */
byte ap[2];           /* 1: an apply is open, its snapshot taken */
bit adir[2];          /* its direction: 0 forward, 1 reverse */
short snap[2];        /* the live side in its snapshot */
byte pick[2];         /* log rows it has picked */
bit mpick[2];         /* a marker was in its snapshot */
byte rung[2];         /* ladder after a unique conflict: 0 a batch, 1 the whole log, 2 without keys that stand twice */
bit torn[2];          /* the lagging side was rewritten since the apply in flight took its snapshot */
byte vs[2];           /* 1: a comparison has its snapshot and not yet its locks */
byte seen[2];         /* what LOOK_BEFORE_BUMP read */
bit damaged, abortOk = 1;
bit gen, mygen[2];    /* which migration of the table: another one after an abort */
#ifdef NO_FOR_SHARE
bit doomed[2];        /* another apply deleted log rows this one has picked: serialization failure at its delete */
#endif
#ifdef SNAPSHOT_BEFORE_LOCK
short vH[2];
byte vlog[2];
#endif
#ifdef MEASURE_UNLOCKED
bit mid[2];
#endif

#define EP(o) (epoch == my[o])
#define LIVE (live -> H1 : S)
#define LOG (live -> (rlog | pick[0] | pick[1]) : (flog | pick[0] | pick[1] SWEPT))
#ifdef FORGET_BY_RANGE
#define SWEPT | swept
#else
#define SWEPT
#endif
#define MARK (live -> rmark : fmark)
#define IDLE (tx[0] == 0 && tx[1] == 0)
#define COPYING(o) (wst[2 * (o)] == 2 || wst[2 * (o) + 1] == 2)
#define INTX(o) (ap[o] || wst[2 * (o)] == 1 || wst[2 * (o)] == 2 || wst[2 * (o) + 1] == 1 || wst[2 * (o) + 1] == 2 || st[o] == XINSIDE || st[o] == RINSIDE)
#ifdef NO_FOR_SHARE
#define HOLDS(o) false
#elif defined(NO_FOR_SHARE_COPY)
#define HOLDS(o) (ap[o] || st[o] == XINSIDE || st[o] == RINSIDE)
#else
#define HOLDS(o) INTX(o)                              /* transactions that have read the epoch FOR SHARE */
#endif
#define PAIROF(t, i) (((t) & (3 << (2 * (i)))) -> (1 << (i)) : 0)
#define PAIRS(t) (PAIROF(t, 0) | PAIROF(t, 1) | PAIROF(t, 2) | PAIROF(t, 3) | PAIROF(t, 4) | PAIROF(t, 5))
#define BOTH PAIRS((S ^ H1) | H2)
#define EQUAL(a, h1, h2, l) (((a) & ~ROWS(l)) == ((h1) & ~ROWS(l)) && ((h2) & ~ROWS(l)) == 0)

/* A trail in words (npm run campaign:model -- NAME --trail). The verifier itself is built without them. */
#ifdef TRAIL
#define SAY(...) printf(__VA_ARGS__);
byte i_;               /* breadth-first search allows no hidden variables */
short t_;
#define HIDDEN
inline rows() {
  i_ = 0;
  do
  :: i_ < 12 && (t_ & (1 << i_)) -> printf(" (key %d, partition %d, value %d)", i_ / 4, (i_ / 2) % 2, i_ % 2); i_++
  :: i_ < 12 && (t_ & (1 << i_)) == 0 -> i_++
  :: i_ == 12 -> break
  od;
  if :: t_ == 0 -> printf(" nothing") :: else fi;
  printf("\n");
  i_ = 0; t_ = 0
}
inline pairs() {
  i_ = 0;
  do
  :: i_ < 6 && (t_ & (1 << i_)) -> printf(" (key %d, partition %d)", i_ / 2, i_ % 2); i_++
  :: i_ < 6 && (t_ & (1 << i_)) == 0 -> i_++
  :: i_ == 6 -> break
  od;
  if :: t_ == 0 -> printf(" nothing") :: else fi;
  printf("\n");
  i_ = 0; t_ = 0
}
#define ROWSAY(what, t) printf(what); t_ = t; rows();
#define PAIRSAY(what, l) printf(what); t_ = l; pairs();
#define TELL ROWSAY("  => the name leads to:        ", LIVE) ROWSAY("     the committed writes are: ", G) \
  ROWSAY("     the other side has:       ", (live -> S : H1)) ROWSAY("     twice in the new table:   ", H2)
#else
#define HIDDEN hidden
#define SAY(...)
#define ROWSAY(what, t)
#define PAIRSAY(what, l)
#define TELL
#endif

/* What must be. The names stand in the verifier's output; none of them is ever set. */
HIDDEN byte visible_is_committed, pair_stands_once, comparison_is_true, knows_who_is_live, statements_succeed,
  write_goes_to_the_name, refused_for_true_duplicate, skip_goes_in, forward_log_empty, it_is_reached;
#define must(what, name) if :: (what) :: else -> TELL assert(name) fi
#define RIGHT must((LIVE == G && (live == 0 || H2 == 0)), visible_is_committed)

/* ================================================================================================================== *
 * Writers: the application. A statement computes on committed rows and its own; other writers' rows are locked.       *
 * ================================================================================================================== */
#define OTHERS(w) (del[1 - (w)] | ins[1 - (w)])
#define UNLOCKED(w, k, p) ((OTHERS(w) & (live -> PR(k, p) : KR(k))) == 0)
#define HAS(w, k, p) ((vw & PR(k, p)) && UNLOCKED(w, k, p))
/* A key may be inserted: the source's unique index waits for an uncommitted delete; the new table's is by pair. */
#ifdef DUPKEYS
#define FREE(w, k, p) (((vw | OTHERS(w)) & (live -> PR(k, p) : KR(k))) == 0)
#else
#define FREE(w, k, p) (((vw | OTHERS(w)) & KR(k)) == 0)
#endif
#define MOVABLE(w, k, p) ((vw & PR(k, p)) == 0 && UNLOCKED(w, k, p))
#define LEFT_IS(k, p) (vw & PR(k, p))
#if defined(NO_OLD_PAIR)
#define OLDNEW(a, b) (b)
#elif defined(NO_NEW_PAIR)
#define OLDNEW(a, b) (a)
#else
#define OLDNEW(a, b) ((a) | (b))
#endif

inline change(w, dm, im, lp) {                        /* the trigger: sync/capture.ts, logDdl */
  del[w] = del[w] | (dm);
  ins[w] = (ins[w] & ~(dm)) | (im);
  if
  :: (live -> rcap : fcap) ->
     must((live || flogThere), statements_succeed);    /* else the application's statement fails */
#ifdef FORGET_BY_RANGE
     if :: lg[1 - (w)] && lg[w] == 0 -> after[w] = 1 :: else fi;
#endif
     lg[w] = lg[w] | (lp)
  :: else
  fi
}

#define INS(k, p) \
  :: FREE(w, k, p) -> SAY("writer %d: inserts key %d, partition %d, value 0\n", w, k, p) \
     change(w, PR(k, p), ROW(k, p, 0), PB(k, p)) \
  :: FREE(w, k, p) -> SAY("writer %d: inserts key %d, partition %d, value 1\n", w, k, p) \
     change(w, PR(k, p), ROW(k, p, 1), PB(k, p))
#define UPD(k, p) \
  :: HAS(w, k, p) -> SAY("writer %d: updates the value of key %d, partition %d\n", w, k, p) \
     change(w, PR(k, p), (PR(k, p) ^ (vw & PR(k, p))), PB(k, p)) \
  :: HAS(w, k, p) -> SAY("writer %d: deletes key %d, partition %d\n", w, k, p) change(w, PR(k, p), 0, PB(k, p))
#define MOVEP(k, p, q, shift) \
  :: HAS(w, k, p) && MOVABLE(w, k, q) -> SAY("writer %d: moves key %d from partition %d to %d\n", w, k, p, q) \
     change(w, (PR(k, p) | PR(k, q)), (vw & PR(k, p)) shift, OLDNEW(PB(k, p), PB(k, q)))
#define MOVEK(k, p, j, shift) \
  :: HAS(w, k, p) && FREE(w, j, p) -> SAY("writer %d: changes key %d into %d, partition %d\n", w, k, j, p) \
     change(w, (PR(k, p) | PR(j, p)), (vw & PR(k, p)) shift, OLDNEW(PB(k, p), PB(j, p)))
#define EACH(k) INS(k, 0) INS(k, 1) UPD(k, 0) UPD(k, 1) MOVEP(k, 0, 1, << 2) MOVEP(k, 1, 0, >> 2)

inline statement(w) {
  vw = (LIVE & ~del[w]) | ins[w];
  if
  EACH(0) EACH(1)
  MOVEK(0, 0, 1, << 4) MOVEK(0, 1, 1, << 4) MOVEK(1, 0, 0, >> 4) MOVEK(1, 1, 0, >> 4)
#if NK > 2
  EACH(2)
  MOVEK(1, 0, 2, << 4) MOVEK(1, 1, 2, << 4) MOVEK(2, 0, 1, >> 4) MOVEK(2, 1, 1, >> 4)
  MOVEK(0, 0, 2, << 8) MOVEK(0, 1, 2, << 8) MOVEK(2, 0, 0, >> 8) MOVEK(2, 1, 0, >> 8)
#endif
  :: else -> SAY("writer %d: begins, finds no row\n", w) skip        /* every row it could touch is locked or gone */
  fi;
  vw = 0
}

inline anywhere(k) { if :: pos[k] = 0 :: pos[k] = 1 :: pos[k] = 2; blocks = 3 fi }
inline moved(w, k) { if :: ins[w] & KR(k) -> anywhere(k) :: else fi }

inline close(w) {
  tx[w] = 0; bound[w] = 0; del[w] = 0; ins[w] = 0; lg[w] = 0;
#ifdef FORGET_BY_RANGE
  after[w] = 0; after[1 - (w)] = 0; lower[w] = 0; low[w] = 0;
#endif
}

/* An apply locks both sides with every leaf in ACCESS SHARE before its snapshot, to its end: sync/apply.ts, applyOnce. */
#define NO_APPLY (ap[0] == 0 && ap[1] == 0)
#ifdef APPLY_SNAPSHOT_BEFORE_LOCK
#define UNREAD true
#else
#define UNREAD NO_APPLY
#endif
#ifdef LOCK_PARENT_ONLY
#define LEAF_UNREAD true
#else
#define LEAF_UNREAD UNREAD
#endif
#ifdef LOCK_LIVE_ONLY
#define LAGGING_UNREAD true
#else
#define LAGGING_UNREAD UNREAD
#endif
#ifdef NO_MARKER_PARENT
#define PARENT_MARKS 0
#else
#define PARENT_MARKS 1
#endif
#ifdef NO_MARKER_LEAF
#define LEAF_MARKS rmark
#else
#define LEAF_MARKS 1
#endif

proctype Writer(byte w) {
  short vw;
  do
  :: atomic { left > 0 && tx[w] == 0 && xlock == 0 ->
       left--; tx[w] = 1; bound[w] = live; statement(w) }
#if STMTS > 1
  :: atomic { tx[w] > 0 && tx[w] < STMTS -> tx[w]++; statement(w) }
#endif
  :: atomic { tx[w] > 0 ->                            /* COMMIT: rows and log rows become visible together */
       SAY("writer %d: COMMIT\n", w)
       must((bound[w] == live), write_goes_to_the_name); /* else the write went to the table that lost the name */
       if
       :: live == 0 -> S = (S & ~del[w]) | ins[w];
          if                                          /* a new version lies anywhere; it matters to the copy alone */
          :: phase == PCOPY -> moved(w, 0); moved(w, 1);
#if NK > 2
             moved(w, 2);
#endif
          :: else
          fi;
#ifdef FORGET_BY_RANGE
          if :: lg[w] && lg[1 - w] && after[w] -> lower[1 - w] = 1 :: else fi;
          if :: low[w] -> swept = swept | lg[w] :: else -> flog = flog | lg[w] fi
#else
          flog = flog | lg[w]
#endif
       :: else -> H1 = (H1 & ~del[w]) | ins[w]; rlog = rlog | lg[w]
       fi;
       G = (G & ~del[w]) | ins[w];
       close(w);
       RIGHT }
  :: atomic { tx[w] > 0 -> SAY("writer %d: ROLLBACK\n", w) close(w) }  /* ROLLBACK: the log rows go too; a sequence's numbers do not */
#ifdef TRUNC
  /* TRUNCATE: ACCESS EXCLUSIVE on the live side or on one leaf; a snapshot older than it sees that table empty. */
  :: atomic { left > 0 && IDLE && xlock == 0 && !COPYING(0) && !COPYING(1) && UNREAD ->
       left--;
       if
       :: live == 0 -> SAY("somebody: TRUNCATE of the table\n")
          S = 0; G = 0; fileok = 0; vfile = 0; snap[0] = 0; snap[1] = 0;
#ifndef NO_MARKER_SOURCE
          if :: fcap -> fmark = 1 :: else fi
#endif
       :: live -> SAY("somebody: TRUNCATE of the leaf of partition 0\n")
          H1 = H1 & LEAF(1); G = H1; snap[0] = snap[0] & LEAF(1); snap[1] = snap[1] & LEAF(1); rmark = LEAF_MARKS
       :: live -> SAY("somebody: TRUNCATE of the table\n")
          H1 = 0; G = 0; snap[0] = 0; snap[1] = 0; rmark = rmark | PARENT_MARKS
       fi;
       RIGHT }
#endif
#ifdef REWRITE
  /* VACUUM FULL, CLUSTER, a rewriting ALTER TABLE: rows move without a log row; to an older snapshot (ALTER) it is empty. */
  :: atomic { left > 0 && live == 0 && phase < PRETAIN && IDLE && xlock == 0 && !COPYING(0) && !COPYING(1) && UNREAD ->
       SAY("somebody: rewrites the source (VACUUM FULL, CLUSTER, ALTER TABLE)\n")
       left--;
       if
       :: phase == PCOPY -> anywhere(0); anywhere(1);
#if NK > 2
          anywhere(2);
#endif
       :: else
       fi;
       fileok = 0; vfile = 0; snap[0] = 0; snap[1] = 0 }
  /* After cutover a leaf alone (ALTER TABLE <leaf> SET UNLOGGED): locks the leaf only, and no trigger fires. */
  :: atomic { left > 0 && live && phase == PRETAIN && IDLE && xlock == 0 && LEAF_UNREAD ->
       SAY("somebody: rewrites the leaf of partition 0 (ALTER TABLE ... SET UNLOGGED)\n")
       left--; snap[0] = snap[0] & LEAF(1); snap[1] = snap[1] & LEAF(1) }
  /* The lagging side: the delete of an apply with an older snapshot finds none of its rows. */
  :: atomic { left > 0 && xlock == 0 && LAGGING_UNREAD && (ap[0] || ap[1]) ->
       SAY("somebody: rewrites the table that follows (ALTER TABLE ... SET UNLOGGED)\n")
       left--; torn[0] = ap[0]; torn[1] = ap[1] }
#endif
  :: left == 0 && tx[w] == 0 -> break
  od
}

#ifdef DAMAGE
/* Something alters a row of the shadow behind everybody's back, once, before validation. */
proctype Damage() {
endnone:
  atomic { indexed && st[0] < COMPARE ->
    damaged = 1;
    if
    :: H1 & PR(0, 0) -> H1 = H1 ^ PR(0, 0)            /* another value */
    :: H1 & PR(0, 0) -> H1 = H1 & ~PR(0, 0)           /* a row lost */
    :: (H1 & PR(1, 1)) == 0 -> H1 = H1 | ROW(1, 1, 0) /* a row too many */
    :: else
    fi }
}
#endif

/* ================================================================================================================== *
 * Apply: sync/apply.ts, one transaction on one snapshot. LOG is every committed log row.                              *
 * ================================================================================================================== */
#ifdef STOP_AT_CUTOVER
#define DRAINING(o) (st[o] == CATCHUP || st[o] == VDRAIN || st[o] == XDRAIN)
#else
#define DRAINING(o) (st[o] == CATCHUP || st[o] == VDRAIN || st[o] == XDRAIN || st[o] == RETAIN || st[o] == RDRAIN)
#endif
#define REVERSE(o) (st[o] == RETAIN || st[o] == RDRAIN)
#define ONLY(i) :: rung[o] == 0 && (LOG & (1 << i)) -> pick[o] = (1 << i)

inline applyBegin(o) {
  adir[o] = REVERSE(o);
  must((adir[o] == live), knows_who_is_live);
#if !defined(READ_BEFORE_PICK)
  if                                                  /* a batch, oldest first, may hold any part of the log */
#ifdef PARTIAL
  ONLY(0) ONLY(1) ONLY(2) ONLY(3)
#endif
  :: rung[o] < 2 -> pick[o] = LOG; mpick[o] = MARK
  :: rung[o] == 2 -> pick[o] = LOG & ~(TWICE(H1)); mpick[o] = MARK
  fi;
  if :: live -> rlog = rlog & ~pick[o] :: else -> flog = flog & ~pick[o] fi;
#endif
#ifdef FORGET_BY_RANGE
  low[0] = lower[0] && pick[o]; low[1] = lower[1] && pick[o];
#endif
  snap[o] = LIVE;
  ap[o] = 1;
  SAY("orchestrator %d: begins an apply: takes its snapshot, and these pairs out of the log:\n   ", o) PAIRSAY("", pick[o])
}

inline unpick(o) {                                    /* rolled back: the picked rows are in the log as before */
  SAY("orchestrator %d: rolls its apply back\n", o)
  if :: adir[o] -> rlog = rlog | pick[o] :: else -> flog = flog | pick[o] fi;
#ifdef FORGET_BY_RANGE
  flog = flog | swept; swept = 0; low[0] = 0; low[1] = 0;
#endif
  pick[o] = 0; mpick[o] = 0; snap[o] = 0; ap[o] = 0; adir[o] = 0; torn[o] = 0;
}

inline applyDone(o) {
  SAY("orchestrator %d: COMMIT of the apply; live rows by its snapshot:\n   ", o) ROWSAY("", snap[o] & ROWS(pick[o]))
  torn[o] = 0;
#ifdef NO_FOR_SHARE
  if :: pick[o] & pick[1 - o] -> doomed[1 - o] = 1 :: else fi;
#endif
#ifdef FORGET_BY_RANGE
  swept = 0; low[0] = 0; low[1] = 0;
  if :: flog == 0 -> lower[0] = 0; lower[1] = 0 :: else fi;
#endif
  pick[o] = 0; snap[o] = 0; ap[o] = 0; adir[o] = 0; rung[o] = 0
}

#define KEYS(l) (((l) & 3 -> 15 : 0) | ((l) & 12 -> 240 : 0) | ((l) & 48 -> 3840 : 0))
#ifdef DELETE_BY_KEY
#define GONE(o) KEYS(pick[o])                         /* the rows its delete takes away */
#elif defined(REWRITE)
#define GONE(o) (torn[o] -> 0 : ROWS(pick[o]))
#else
#define GONE(o) ROWS(pick[o])
#endif
#define CLASH(a, b) (((a) | ((a) >> 1)) & ((b) | ((b) >> 1)) & 1365)

inline applyForward(o) {
#if defined(READ_BEFORE_PICK)
  pick[o] = LOG; mpick[o] = MARK; flog = 0;           /* live rows of the older snapshot, log rows of a newer one */
#elif defined(TWO_SNAPSHOTS) || defined(FORGET_BY_RANGE)
  snap[o] = S;                                        /* READ COMMITTED: each statement its own snapshot */
#endif
  if
  :: mpick[o] -> unpick(o); st[o] = RESET             /* TruncateSeen */
  :: !mpick[o] && CLASH(H1 & ~GONE(o), snap[o] & ROWS(pick[o])) -> unpick(o)      /* 23505: again, on a new snapshot */
  :: else ->
     H2 = H2 & ~GONE(o);
     H1 = (H1 & ~GONE(o)) | (snap[o] & ROWS(pick[o]));
     must((!DUPPAIR(H1, H2)), pair_stands_once);      /* else 23505 */
     applyDone(o)
  fi
}

inline applyReverse(o) {
  new = (S & ~GONE(o)) | (snap[o] & ROWS(pick[o]));
  if
  :: mpick[o] -> unpick(o); st[o] = REBUILD
  :: !mpick[o] && CLASH(S & ~GONE(o), snap[o] & ROWS(pick[o])) -> unpick(o)
  :: !mpick[o] && !CLASH(S & ~GONE(o), snap[o] & ROWS(pick[o])) && DUPKEY(new) ->                    /* 23505 from the old key, stricter than the pair */
     unpick(o);
     must((rung[o] < 2), skip_goes_in);               /* without the keys that stand twice it must go in */
     rung[o]++
  :: else -> S = new;
#ifdef REACH_SKIP
     must((rung[o] < 2), it_is_reached);
#endif
     applyDone(o)
  fi;
  new = 0
}

/* ================================================================================================================== *
 * The orchestrator. Guards say EP(o) where the code's transaction begins by reading the epoch FOR SHARE.              *
 * ================================================================================================================== */
inline discard() {                                    /* sync/reset.ts, resetSql */
  H1 = 0; H2 = 0; ledger = 0; stored = 0; indexed = 0; rcap = 0; fmark = 0; phase = PCOPY;
}
/* validate.run begins: the filenode is read before the first drain, and stored when the validation is done. */
inline toValidate(o) { vfile = 1; st[o] = VDRAIN }
inline replace() {
  if :: pos[0] = 0 :: pos[0] = 1 fi;
  if :: pos[1] = 0 :: pos[1] = 1 fi;
#if NK > 2
  if :: pos[2] = 0 :: pos[2] = 1 fi;
#endif
  blocks = 2
}

#ifdef SIZE_BEFORE_CAPTURE
#define FIRST MEASURE
#define AFTERCAP BATCHES
#define AFTERSIZE CAP
#else
#define FIRST CAP
#define AFTERCAP MEASURE
#define AFTERSIZE BATCHES
#endif

/*
 * engine/reconcile.ts: another process goes by the database's phase. engine.ts, #reconnect: the same process, after a
 * lost connection, runs the phase again that it was in; its last COMMIT may have gone through, so the phase before.
 */
inline dispatch(o, p) {
  if
  :: p == PCOPY -> st[o] = FIRST
  :: p == PINDEX -> st[o] = DEDUPE0
  :: p == PINDEX -> st[o] = FIRST
  :: p == PVALID -> toValidate(o)
  :: p == PVALID -> st[o] = DEDUPE0
  :: p == PCUT -> st[o] = XDRAIN
  :: p == PCUT -> toValidate(o)
  :: p == PRETAIN -> st[o] = RETAIN                   /* cutover again finds the name swapped: phases/cutover.ts, run */
  :: p == PROLLED -> st[o] = CLEAN0
  fi
}
inline todo(o) {                                      /* the batches that the ledger has not */
  wst[2 * o] = (ledger & 1 -> 4 : 0);
  wst[2 * o + 1] = (ledger & 2 -> 4 : 0)
}

#define INRANGE(k, b) ((b) == 0 -> pos[k] == 0 : (pos[k] >= 1 && pos[k] < stored))
#define TAKE(k, b) (INRANGE(k, b) -> (S & KR(k)) : 0)
#if NK > 2
#define RANGE(b) (TAKE(0, b) | TAKE(1, b) | TAKE(2, b))
#else
#define RANGE(b) (TAKE(0, b) | TAKE(1, b))
#endif
#define WANTS(o, b) (st[o] == BATCHES && wst[2 * o + b] == 0 && EP(o))

#ifdef NO_FILENODE
#define FILE_UNREAD true
#else
#define FILE_UNREAD false
#endif

inline copied(i, b) {                                 /* the statement's snapshot, and the filenode read again */
  if
  :: fileok || FILE_UNREAD -> buf[i] = RANGE(b); wst[i] = 2;
     SAY("orchestrator %d: copies the blocks of batch %d, not yet committed:\n   ", o, i % 2) ROWSAY("", buf[i])
  :: else -> SAY("orchestrator %d: the source has another file: the copy will start again\n", o)
     wst[2 * o] = 0; wst[2 * o + 1] = 0; buf[2 * o] = 0; buf[2 * o + 1] = 0; st[o] = RESET
  fi
}
/*
 * The ledger's primary key refuses a batch that is there; the shadow's name is gone after cutover. Neither helps against
 * a batch of a migration that was aborted meanwhile: its name leads to the next migration's shadow.
 */
#ifdef LEDGER_APART
#define TAKEN(b) false
#else
#define TAKEN(b) (mygen[o] == gen && (ledger & (1 << b)))
#endif
inline committed(i, b) {
  if
  :: TAKEN(b) || live -> wst[i] = 4
  :: else ->
     SAY("orchestrator %d: COMMIT of batch %d\n", o, i % 2)
     H2 = H2 | (H1 & buf[i]); H1 = H1 | buf[i];
#ifdef LEDGER_APART
     wst[i] = 3
#else
     if :: mygen[o] == gen -> ledger = ledger | (1 << b) :: else fi;
     wst[i] = 4
#endif
  fi;
  buf[i] = 0
}

#ifdef LEDGER_APART
#define BATCH_LEDGER(b) :: atomic { wst[2 * o + b] == 3 -> SAY("orchestrator %d: ledger row of batch %d\n", o, b) ledger = ledger | (1 << b); wst[2 * o + b] = 4 }
#else
#define BATCH_LEDGER(b)
#endif
/* Where only one orchestrator ever works, reading the epoch and copying are one step: nobody can tell. */
#ifdef CRASH
#define BATCH(b) \
  :: atomic { WANTS(o, b) -> wst[2 * o + b] = 1 } \
  :: atomic { wst[2 * o + b] == 1 && xlock == 0 -> copied(2 * o + b, b) } \
  :: atomic { wst[2 * o + b] == 2 -> committed(2 * o + b, b) } \
  BATCH_LEDGER(b)
#else
#define BATCH(b) \
  :: atomic { WANTS(o, b) -> copied(2 * o + b, b) } \
  :: atomic { wst[2 * o + b] == 2 -> committed(2 * o + b, b) } \
  BATCH_LEDGER(b)
#endif

#define STEP(s) st[o] == s && EP(o)
#ifdef MEASURE_UNLOCKED
#define MID(o) true
#else
#define MID(o) false
#endif
/* Who holds the epoch and works towards cutover knows that there was none: else it acts on a stale answer. */
#define SURE must((live == 0), knows_who_is_live)
/* Both tables ACCESS EXCLUSIVE: waits for writers, batches and applies that hold a lock on either. */
#define LOCKABLE (xlock == 0 && IDLE && !COPYING(0) && !COPYING(1) && ap[0] == 0 && ap[1] == 0)
#if defined(NO_FOR_SHARE)
#define DOOM(o) doomed[o]
#else
#define DOOM(o) false
#endif

inline swapForward(o) {                               /* last drain, check, renames, COMMIT: one transaction */
#if !defined(DRAIN_OUTSIDE_LOCK)
  H2 = H2 & ~ROWS(pick[o]);
  H1 = (H1 & ~ROWS(pick[o])) | (snap[o] & ROWS(pick[o]));
#endif
  must((!DUPPAIR(H1, H2)), pair_stands_once);
  pick[o] = 0; snap[o] = 0;
  live = 1; phase = PRETAIN; xlock = 0; st[o] = RETAIN;
  SAY("orchestrator %d: CUTOVER: last drain, names swapped, COMMIT\n", o)
  RIGHT;                                              /* nothing lost, nothing too many */
#if !defined(DRAIN_OUTSIDE_LOCK)
  must((flog == 0), forward_log_empty);               /* phases/cutover.ts, afterwards */
#endif
#ifdef REACH_CUTOVER
  assert(it_is_reached);
#endif
}

proctype Orch(byte o) {
  short new;
  if
  :: o == 0
  :: else ->
#ifdef LOOK_BEFORE_BUMP
     atomic { SAY("orchestrator 1: reads the phase: %d\n", phase) seen[1] = phase; st[1] = BUMP };
#endif
     /* A new orchestrator: pg/lease.ts, bumpEpoch. The UPDATE waits for every transaction that holds the row FOR SHARE. */
endoff:
     atomic { !HOLDS(0) ->
       epoch++; my[1] = epoch;
       SAY("orchestrator 1: takes over (epoch %d); orchestrator 0 is dead or a zombie\n", epoch)
#ifdef REACH_TAKEOVER
       must((!(st[0] == XCHECK && flog)), it_is_reached);
#endif
#ifdef LOOK_BEFORE_BUMP
       dispatch(1, seen[1])
#else
       dispatch(1, phase)
#endif
       ;
       if :: st[1] == BATCHES -> todo(1) :: else fi
     }
  fi;
  do
  /* -- copy: phases/copy.ts ----------------------------------------------------------------------------------------- */
#ifdef CAPTURE_LATE
  :: atomic { STEP(CAP) -> st[o] = AFTERCAP }
  :: atomic { STEP(BATCHES) && fcap == 0 && IDLE && (H1 || COPYING(o)) ->
       SAY("orchestrator %d: the capture triggers are committed\n", o) fcap = 1 }
#else
  /* CREATE TRIGGER takes SHARE ROW EXCLUSIVE: it waits for the writers in flight. */
  :: atomic { STEP(CAP) && (fcap || (IDLE && xlock == 0)) ->
       SAY("orchestrator %d: the capture triggers are committed\n", o)
       fcap = 1; st[o] = AFTERCAP; if :: st[o] == BATCHES -> todo(o) :: else fi }
#endif
#ifdef MEASURE_UNLOCKED
  :: atomic { STEP(MEASURE) && stored == 0 -> SAY("orchestrator %d: reads the size, %d blocks\n", o, blocks) stored = blocks; mid[o] = 1 }
  :: atomic { STEP(MEASURE) && mid[o] -> SAY("orchestrator %d: reads the filenode\n", o) fileok = 1; mid[o] = 0;
       st[o] = AFTERSIZE; if :: st[o] == BATCHES -> todo(o) :: else fi }
#endif
  :: atomic { STEP(MEASURE) && !MID(o) ->
       SAY("orchestrator %d: reads size (%d blocks) and filenode\n", o, blocks)
       if :: stored == 0 -> stored = blocks; fileok = 1 :: else fi;
       st[o] = AFTERSIZE; if :: st[o] == BATCHES -> todo(o) :: else fi }
  BATCH(0)
  BATCH(1)
  :: atomic { st[o] == BATCHES && wst[2 * o] == 4 && wst[2 * o + 1] == 4 && fcap -> st[o] = ENDCOPY }
  :: atomic { STEP(ENDCOPY) ->
       SURE;
       wst[2 * o] = 0; wst[2 * o + 1] = 0;
       if
       :: fmark -> SAY("orchestrator %d: sees the TRUNCATE marker: the copy will start again\n", o) st[o] = RESET
       :: else -> SAY("orchestrator %d: the copy is done\n", o) phase = PINDEX; st[o] = DEDUPE0;
          pos[0] = 0; pos[1] = 0; blocks = 2;         /* positions matter to the copy alone */
#if NK > 2
          pos[2] = 0;
#endif
       fi }
  /* The DROP of the shadow waits for a batch of another orchestrator that has written to it. */
  :: atomic { STEP(RESET) && !COPYING(1 - o) ->
       SAY("orchestrator %d: shadow and ledger are discarded\n", o)
       discard();
#if defined(TRUNC) || defined(REWRITE) || defined(ABORTS)
       replace();
#endif
#ifdef REACH_RESET
       assert(it_is_reached);
#endif
       st[o] = FIRST }

  /* -- index: phases/index-build.ts, sync/dedupe.ts ------------------------------------------------------------------ */
#ifdef NO_DEDUPE
  :: atomic { STEP(DEDUPE0) -> st[o] = BUILD }
#else
  :: atomic { STEP(DEDUPE0) -> SAY("orchestrator %d: dedupes the leaf of partition 0\n", o) H1 = H1 & ~(ROWS(LOG) & LEAF(0)); H2 = H2 & ~(ROWS(LOG) & LEAF(0)); st[o] = DEDUPE1 }
  :: atomic { STEP(DEDUPE1) -> SAY("orchestrator %d: dedupes the leaf of partition 1\n", o) H1 = H1 & ~(ROWS(LOG) & LEAF(1)); H2 = H2 & ~(ROWS(LOG) & LEAF(1)); st[o] = BUILD }
#endif
  :: atomic { STEP(BUILD) ->
       SAY("orchestrator %d: builds the unique indexes\n", o)
       must((!DUPPAIR(H1, H2)), pair_stands_once);    /* else the unique index cannot be built */
       indexed = 1; st[o] = REVCAP }
  :: atomic { STEP(REVCAP) -> SAY("orchestrator %d: the reverse capture triggers are committed\n", o) rcap = 1; st[o] = CATCHUP }
  :: atomic { STEP(CATCHUP) && ap[o] == 0 -> SAY("orchestrator %d: the indexes are done\n", o) phase = PVALID; toValidate(o) }

  /* -- apply: sync/apply.ts, sync/drain.ts ---------------------------------------------------------------------------- */
  :: atomic { DRAINING(o) && ap[o] == 0 && EP(o) && xlock == 0 && (LOG || MARK) -> applyBegin(o) }
  :: atomic { ap[o] && xlock == 0 ->
       if
       :: DOOM(o) -> unpick(o)
       :: !DOOM(o) && adir[o] != live -> unpick(o)    /* the name it writes to is gone: an error, rolled back */
       :: !DOOM(o) && adir[o] == live && adir[o] == 0 -> applyForward(o)
       :: !DOOM(o) && adir[o] == live && adir[o] -> applyReverse(o)
       fi;
#ifdef NO_FOR_SHARE
       doomed[o] = 0
#endif
       }

  /* -- validate: phases/validate.ts, sync/compare.ts ------------------------------------------------------------------ */
#ifdef NO_VALIDATION
  :: atomic { st[o] == VDRAIN && ap[o] == 0 -> st[o] = SETVALID }
#else
  :: atomic { st[o] == VDRAIN && ap[o] == 0 -> st[o] = COMPARE }
#endif
#ifdef SNAPSHOT_BEFORE_LOCK
  :: atomic { st[o] == COMPARE && vs[o] == 0 && MARK == 0 ->
       SAY("orchestrator %d: takes the snapshot of the comparison\n", o)
       snap[o] = S; vH[o] = H1; vlog[o] = LOG; vs[o] = 1 }
  :: atomic { st[o] == COMPARE && vs[o] ->
       SAY("orchestrator %d: locks both sides and compares\n", o)
       must(EQUAL(snap[o], vH[o], 0, vlog[o]), comparison_is_true);
       snap[o] = 0; vH[o] = 0; vlog[o] = 0; vs[o] = 0; st[o] = SETVALID }
  :: atomic { st[o] == COMPARE && vs[o] == 0 && MARK -> st[o] = VDRAIN }
#else
  :: atomic { st[o] == COMPARE && xlock == 0 && indexed && (live == 0 || EP(o)) ->
       SAY("orchestrator %d: locks both sides, takes a snapshot, compares\n", o)
       SURE;
       if
       :: MARK -> st[o] = VDRAIN                      /* TruncateSeen: the next apply restarts the copy */
#ifdef LOG_NOT_LEFT_OUT
       :: else -> must(EQUAL(S, H1, H2, 0), comparison_is_true); st[o] = SETVALID
#else
       :: !MARK && EQUAL(S, H1, H2, LOG) -> st[o] = SETVALID
       :: !MARK && !EQUAL(S, H1, H2, LOG) ->
          must((damaged || !EP(o)), comparison_is_true);  /* no false difference, unless to a zombie */
#ifdef REPAIR
          flog = flog | BOTH; st[o] = VDRAIN          /* --repair: differing pairs are marked dirty; here all that differ, and more */
#else
          st[o] = ENDED
#endif
#endif
       fi }
#endif
  :: atomic { STEP(SETVALID) -> SAY("orchestrator %d: validated\n", o) phase = PCUT; st[o] = XDRAIN }

  /* -- cutover: phases/cutover.ts, sync/swap-locked.ts ---------------------------------------------------------------- */
#ifdef DRAIN_OUTSIDE_LOCK
  :: atomic { st[o] == XDRAIN && ap[o] == 0 && LOG == 0 && !MARK ->
       SAY("orchestrator %d: the log is empty: the last drain is done\n", o) st[o] = XCHECK }
  :: atomic { st[o] == XCHECK && xlock == 0 && LOCKABLE -> SAY("orchestrator %d: locks both tables\n", o) xlock = 1 + o }
#else
#ifdef CUTOVER_SNAPSHOT_BEFORE_LOCK
  :: atomic { st[o] == XDRAIN && ap[o] == 0 && pick[o] == 0 && xlock == 0 && !MARK && LOG ->
       SAY("orchestrator %d: takes the snapshot of the last drain, before the locks\n", o)
       pick[o] = LOG; flog = 0; snap[o] = S }
#endif
  :: atomic { st[o] == XDRAIN && ap[o] == 0 && LOCKABLE && (live == 0 || EP(o)) ->
       SAY("orchestrator %d: locks both tables for the cutover\n", o)
       SURE; xlock = 1 + o; st[o] = XCHECK }
#endif
  :: atomic { st[o] == XCHECK && xlock == 1 + o ->    /* the epoch row FOR SHARE, inside the locks */
       if
       :: EP(o) -> SAY("orchestrator %d: reads the epoch: it is its own\n", o) st[o] = XINSIDE
       :: else -> SAY("orchestrator %d: reads the epoch: fenced\n", o) xlock = 0; st[o] = ENDED; break
       fi }
  :: atomic { st[o] == XINSIDE ->
       if
       :: fmark || !indexed -> xlock = 0; st[o] = XDRAIN
       :: !fmark && indexed && !vfile -> SAY("orchestrator %d: rewritten: validate again\n", o)
          xlock = 0; phase = PVALID; toValidate(o)    /* Rewritten */
       :: !fmark && indexed && vfile && live == 0 ->
#if !defined(DRAIN_OUTSIDE_LOCK) && !defined(CUTOVER_SNAPSHOT_BEFORE_LOCK)
          pick[o] = LOG; flog = 0; snap[o] = S;
#endif
          swapForward(o)
       fi }
#if !defined(DRAIN_OUTSIDE_LOCK) && !defined(CUTOVER_SNAPSHOT_BEFORE_LOCK)
  :: atomic { st[o] == XINSIDE && left > 0 -> SAY("orchestrator %d: hold budget exceeded, rolled back\n", o) xlock = 0; st[o] = XDRAIN }               /* hold budget exceeded */
#endif

  /* -- retain and roll back: phases/retain.ts, phases/rollback.ts, sync/reverse.ts -------------------------------------- */
#ifdef STOP_AT_CUTOVER
  :: atomic { st[o] == RETAIN && ap[o] == 0 -> st[o] = ENDED; break }
#else
  :: atomic { st[o] == RETAIN && ap[o] == 0 -> st[o] = RDRAIN }
#endif
#ifdef REBUILD_SNAPSHOT_BEFORE_LOCK
  :: atomic { STEP(REBUILD) && vs[o] == 0 && xlock == 0 -> SAY("orchestrator %d: takes the snapshot of the rebuild\n", o)
       snap[o] = H1; pick[o] = LOG; rlog = 0; rmark = 0; vs[o] = 1 }
  :: atomic { st[o] == REBUILD && vs[o] && xlock == 0 -> SAY("orchestrator %d: rebuilds the retired table\n", o)
       if
       :: DUPKEY(snap[o]) -> st[o] = ENDED; break
       :: else -> S = snap[o]; snap[o] = 0; pick[o] = 0; vs[o] = 0; st[o] = RETAIN
       fi }
#else
  :: atomic { STEP(REBUILD) && xlock == 0 ->          /* rebuildRetired: one transaction, live side locked before the snapshot */
       SAY("orchestrator %d: rebuilds the retired table\n", o)
       if
       :: DUPKEY(H1) -> st[o] = ENDED; break          /* the verdict: not safe */
       :: else -> S = H1; rlog = 0; rmark = 0; st[o] = RETAIN
       fi }
#endif
#ifdef ROLLBACK_DRAIN_OUTSIDE_LOCK
  :: atomic { st[o] == RDRAIN && ap[o] == 0 && LOG == 0 && !MARK ->
       SAY("orchestrator %d: the log is empty: the last drain is done\n", o) st[o] = RCHECK }
  :: atomic { st[o] == RCHECK && xlock == 0 && LOCKABLE -> SAY("orchestrator %d: locks both tables\n", o) xlock = 1 + o }
#else
  :: atomic { st[o] == RDRAIN && ap[o] == 0 && LOCKABLE ->
       SAY("orchestrator %d: locks both tables for the rollback\n", o) xlock = 1 + o; st[o] = RCHECK }
#endif
  :: atomic { st[o] == RCHECK && xlock == 1 + o ->
       if
       :: EP(o) -> st[o] = RINSIDE
       :: else -> xlock = 0; st[o] = ENDED; break
       fi }
  :: atomic { st[o] == RINSIDE ->
#ifdef ROLLBACK_DRAIN_OUTSIDE_LOCK
       new = S;
#else
       new = (S & ~ROWS(LOG)) | (H1 & ROWS(LOG));
#endif
       if
       :: rmark -> xlock = 0; st[o] = RDRAIN
       :: !rmark && DUPKEY(new) ->
          must(DUPKEY(H1), refused_for_true_duplicate);
#ifdef REACH_REFUSED
          assert(it_is_reached);
#endif
          xlock = 0; st[o] = ENDED; new = 0; break
       :: else ->
          S = new; rlog = 0; live = 0; indexed = 0; phase = PROLLED; xlock = 0; st[o] = CLEAN0;
          SAY("orchestrator %d: ROLLBACK: last reverse drain, names swapped back, COMMIT\n", o)
          RIGHT
#ifdef REACH_ROLLBACK
          ; assert(it_is_reached)
#endif
       fi;
       new = 0 }
  /* The forward triggers go under a lock that waits for writers; the log goes after them. */
#ifdef LOG_BEFORE_TRIGGER
  :: atomic { STEP(CLEAN0) -> SAY("orchestrator %d: drops the forward log\n", o) flogThere = 0; st[o] = CLEAN1 }
  :: atomic { STEP(CLEAN1) && IDLE -> fcap = 0; st[o] = ENDED; break }
#else
  :: atomic { STEP(CLEAN0) && IDLE -> fcap = 0; st[o] = CLEAN1 }
  :: atomic { STEP(CLEAN1) -> flogThere = 0; flog = 0; st[o] = ENDED; break }
#endif

#if defined(TRUNC) || defined(REWRITE)
  /* pg/aside.ts: somebody waits for ACCESS EXCLUSIVE behind a step: it is cancelled, rolled back, and done again. */
  :: atomic { ap[o] -> unpick(o); rung[o] = 0 }
  :: atomic { COPYING(o) -> wst[2 * o] = (wst[2 * o] == 2 -> 0 : wst[2 * o]);
       wst[2 * o + 1] = (wst[2 * o + 1] == 2 -> 0 : wst[2 * o + 1]); buf[2 * o] = 0; buf[2 * o + 1] = 0 }
#endif

#ifdef CRASH
  /* -- fenced, dead, aborted: pg/lease.ts ----------------------------------------------------------------------------- */
  :: atomic { st[o] != ENDED && !EP(o) && !INTX(o) && xlock != 1 + o ->
       rung[o] = 0; wst[2 * o] = 0; wst[2 * o + 1] = 0; st[o] = ENDED; break }
  :: atomic { o == 0 && (INTX(0) || xlock == 1) ->     /* killed: the server rolls back what was open */
       SAY("orchestrator 0: dies; the server rolls back what it had open\n")
       if :: ap[0] || pick[0] -> unpick(0) :: else fi;
       if :: xlock == 1 -> xlock = 0 :: else fi;
       wst[0] = 0; wst[1] = 0; buf[0] = 0; buf[1] = 0; rung[0] = 0; st[0] = ENDED; break }
#endif
#ifdef ABORTS
  /*
   * engine/effects.ts, abort: the triggers under their lock, then the shadow and the logs; then a new migration of the
   * same table under the same names. Here orchestrator 1, once.
   */
  :: atomic { o == 1 && abortOk && EP(1) && phase < PRETAIN && ap[1] == 0 && !INTX(1) && xlock != 2 && st[1] < ABORT1 ->
       SAY("orchestrator 1: aborts\n")
       abortOk = 0; wst[2] = 0; wst[3] = 0; st[1] = ABORT1 }
  :: atomic { STEP(ABORT1) && fcap && IDLE && xlock == 0 && !COPYING(0) -> fcap = 0 }
  :: atomic { STEP(ABORT1) && fcap == 0 && xlock == 0 && !COPYING(0) ->
       SAY("orchestrator 1: everything is gone; begins another migration of the same table\n")
       gen = 1; mygen[1] = 1; discard(); replace(); flog = 0; st[1] = FIRST }
#endif
  :: st[o] == ENDED -> break
  od
}

init {
  atomic {
    st[1] = OFF; my[0] = 1;
#ifdef START_RETAIN
    H1 = ROW(0, 0, 0) | ROW(1, 1, 0); S = H1; G = H1;
    live = 1; phase = PRETAIN; fcap = 1; rcap = 1; indexed = 1; ledger = 3; stored = 2; st[0] = RETAIN;
#else
    S = ROW(0, 0, 0);
    if
    :: S = S | ROW(1, 1, 0); pos[1] = 1
    :: skip
    fi;
    G = S; st[0] = FIRST;
#endif
    ROWSAY("at first the table has:", G)
    run Writer(0); run Writer(1);
#ifdef DAMAGE
    run Damage();
#endif
    run Orch(0);
#ifdef CRASH
    run Orch(1)
#endif
  }
}
