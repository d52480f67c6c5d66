/** The messages as PostgreSQL 18 sent them, byte by byte, and what they come to in the change log. */
import { describe, expect, test } from "vitest";
import { Changes, type LogRow } from "../../src/wal/changes.js";
import { allVisible, lsnOf, lsnText } from "../../src/wal/fill.js";
import { type Message, parseMessage } from "../../src/wal/pgoutput.js";
import { planOf, primaryKey } from "../plan/fixture.js";

/** CREATE TABLE public.t (id int PRIMARY KEY, at date, note text, big text), with the identity 100 = d, 102 = f. */
const RELATION =
  "52000040027075626c69630074006400040169640000000017ffffffff006174000000043affffffff006e6f74650000000019ffffffff006269670000000019ffffffff";
const BEGIN = "4200000000017544d80003043b4726c0e3000002f8";
const COMMIT = "430000000000017544d800000000017545080003043b4726c0e3";
/** UPDATE t SET note = NULL WHERE id = 1: `big` is large and was not changed. */
const UPDATE = "55000040024e0004740000000131740000000a323032362d30312d30326e75";
/** UPDATE t SET id = 2 WHERE id = 1. */
const MOVED = "55000040024b00047400000001316e6e6e4e0004740000000132740000000a323032362d30312d30326e75";
const DELETE = "44000040024b00047400000001326e6e6e";
const TRUNCATE = "54000000010000004002";
const INSERT_FULL = "49000040024e00047400000001336e740000000161740000000162";
const UPDATE_FULL =
  "55000040024f00047400000001336e7400000001617400000001624e00047400000001336e740000000163740000000162";
const DELETE_FULL = "44000040024f00047400000001336e740000000163740000000162";

const parse = (hex: string): Message => parseMessage(Buffer.from(hex, "hex"));

describe("a message", () => {
  test("that begins and ends a transaction", () => {
    expect(parse(BEGIN)).toEqual({ kind: "begin", lsn: 0x17544d8n, xid: 0x2f8 });
    expect(parse(COMMIT)).toEqual({ kind: "commit", lsn: 0x17544d8n, end: 0x1754508n });
  });

  test("that names the table and its columns", () => {
    const columns = ["id", "at", "note", "big"];
    expect(parse(RELATION)).toEqual({
      kind: "relation",
      relation: { oid: 16386, schema: "public", name: "t", columns },
    });
  });

  test("that changes rows: NULL, and what was not sent, are told apart", () => {
    const now = ["1", "2026-01-02", null, undefined];
    expect(parse(UPDATE)).toEqual({ kind: "update", oid: 16386, old: null, now });
    expect(parse(MOVED)).toEqual({
      kind: "update",
      oid: 16386,
      old: ["1", null, null, null],
      now: ["2", ...now.slice(1)],
    });
    expect(parse(DELETE)).toEqual({ kind: "delete", oid: 16386, old: ["2", null, null, null] });
    expect(parse(TRUNCATE)).toEqual({ kind: "truncate", oids: [16386] });
    expect(parse(INSERT_FULL)).toEqual({ kind: "insert", oid: 16386, now: ["3", null, "a", "b"] });
    expect(parse(UPDATE_FULL)).toEqual({
      kind: "update",
      oid: 16386,
      old: ["3", null, "a", "b"],
      now: ["3", null, "c", "b"],
    });
    expect(parse(DELETE_FULL)).toMatchObject({ kind: "delete", old: ["3", null, "c", "b"] });
  });

  test("with letters beyond ASCII: a length counts bytes", () => {
    const inserted = parse("49000040024e00037400000001317400000002c3a96e");
    expect(inserted).toMatchObject({ now: ["1", "é", null] });
  });

  test("that does not change a row is nothing; one that is cut off is an error", () => {
    expect(parse("4f0000000000000001666f6f00")).toEqual({ kind: "other", letter: "O" });
    for (const whole of [BEGIN, COMMIT, RELATION, UPDATE, MOVED, DELETE, TRUNCATE])
      expect(() => parse(whole.slice(0, -2)), whole).toThrow(/ends too early|without an end/);
    expect(() => parse("55000040025a")).toThrow("an update with the part Z");
  });
});

const at = (identity: "pk" | "pair") =>
  planOf({
    table: { indexes: [primaryKey("orders_pkey", identity === "pk" ? ["id"] : ["id", "created_at"])] },
    options: { by: "created_at", every: "month", ahead: "2", capture: "wal" },
  });

/** Changes of a table (created_at, id): the order of the columns is the relation's, not the plan's. */
function logged(identity: "pk" | "pair", messages: Message[], after = 0n): LogRow[] {
  const changes = new Changes(at(identity), after);
  const relation: Message = {
    kind: "relation",
    relation: { oid: 1, schema: "public", name: "orders", columns: ["created_at", "id"] },
  };
  const begin: Message = { kind: "begin", lsn: 0xabcn, xid: 7 };
  return [begin, relation, ...messages].flatMap((message) => changes.take(message));
}
const short = (rows: LogRow[]) => rows.map(([, ...row]) => row.join(" "));
const update = (old: (string | null)[] | null, now: (string | null | undefined)[]): Message => ({
  kind: "update",
  oid: 1,
  old,
  now,
});

describe("in the change log", () => {
  test("a key without the partition key: a row that goes is told by key, one that may have moved as such", () => {
    const rows = logged("pk", [
      { kind: "insert", oid: 1, now: ["d1", "1"] },
      update(null, ["d2", "1"]),
      update([null, "1"], ["d2", "2"]),
      { kind: "delete", oid: 1, old: [null, "2"] },
      { kind: "truncate", oids: [1] },
    ]);
    expect(short(rows)).toEqual(["r 1 d1", "u 1 d2", "k 1 ", "r 2 d2", "k 2 ", "t  "]);
  });

  test("an identity with the partition key: the old pair, and the new one where it differs", () => {
    const rows = logged("pair", [
      { kind: "insert", oid: 1, now: ["d1", "1"] },
      update(null, ["d1", "1"]),
      update(["d1", "1"], ["d2", "1"]),
      { kind: "delete", oid: 1, old: ["d2", "1"] },
    ]);
    expect(short(rows)).toEqual(["r 1 d1", "r 1 d1", "r 1 d1", "r 1 d2", "r 1 d2"]);
  });

  test("numbers order as the commits and the changes in them; what was noted before is left out", () => {
    const insert: Message = { kind: "insert", oid: 1, now: ["d", "1"] };
    expect(logged("pk", [insert, insert]).map(([seq]) => seq)).toEqual([
      "0000000000000abc0000000000000000",
      "0000000000000abc0000000000000001",
    ]);
    expect(logged("pk", [insert], 0xabcn)).toHaveLength(1);
    expect(logged("pk", [insert], 0xabdn)).toEqual([]);
  });

  test("a partition value that an UPDATE did not send would be guessed", () => {
    expect(() => logged("pk", [update(null, [undefined, "1"])])).toThrow(/created_at has a value so large/);
    expect(short(logged("pair", [update(["big", "1"], [undefined, "2"])]))).toEqual(["r 1 big", "r 2 big"]);
  });
});

test("a transaction that no snapshot sees yet would be applied as if it had not been", () => {
  expect(allVisible("100:105:", [99, 104])).toBe(true);
  expect(allVisible("100:105:102", [104, 102])).toBe(false);
  expect(allVisible("100:105:", [105])).toBe(false);
  // Numbers have 32 bits in the log and 64 in a snapshot.
  const epoch = 2n ** 32n;
  expect(allVisible(`${epoch + 3n}:${epoch + 5n}:`, [0xffff_fff0, 4])).toBe(true);
  expect(allVisible(`${epoch - 16n}:${epoch + 5n}:${epoch - 16n}`, [0xffff_fff0])).toBe(false);
});

test("positions read as they are written", () => {
  expect(lsnOf("16/B374D848")).toBe(0x16b374d848n);
  expect(lsnText(0x16b374d848n)).toBe("16/B374D848");
  expect(lsnText(lsnOf("0/0"))).toBe("0/0");
});
