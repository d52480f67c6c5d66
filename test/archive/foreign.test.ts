/** Why a cold leaf of a migrated table stands beside it: the server attaches none under a unique index. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { freshDatabase, type TestDatabase } from "../support/database.js";

let db: TestDatabase;
beforeEach(async () => {
  db = await freshDatabase();
});
afterEach(() => db.drop());

test("a server that took foreign leaves under a unique index would let cold leaves be attached", async () => {
  const session = await db.session(db.superuserUrl);
  await session.query(`CREATE TABLE public.t (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE FOREIGN DATA WRAPPER cold; CREATE SERVER cold FOREIGN DATA WRAPPER cold;
    CREATE FOREIGN TABLE public.leaf (id int NOT NULL, at date NOT NULL) SERVER cold`);
  await expect(
    session.query(
      "ALTER TABLE public.t ATTACH PARTITION public.leaf FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
    ),
  ).rejects.toThrow(/cannot attach foreign table "leaf" as partition/);
});
