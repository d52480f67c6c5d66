/** The health screen: what an operator sees of sick tables, at every size, and what keys do. */
import { render } from "ink-testing-library";
import { expect, onTestFinished, test, vi } from "vitest";
import {
  type BranchView,
  createHealthStore,
  type HealthView,
  type TableHealthView,
} from "../../state/health-view.js";
import { AT_FIRST, healthFrame } from "../../ui/health/frame.js";
import { HealthApp } from "../../ui/health/HealthApp.js";
import { lookAt } from "../../ui/health/keys.js";
import { plainTheme, themeFor } from "../../ui/theme.js";

const month = (n: number) => `2025-${String(n).padStart(2, "0")}-01`;
const leaf = (n: number, over: Partial<Extract<BranchView, { kind: "leaf" }>> = {}): BranchView => ({
  ...{ kind: "leaf", name: `orders_2025_${String(n).padStart(2, "0")}`, rows: 1_000_000 * n, bytes: 1e8 * n },
  ...{ bound: `${month(n)} to ${month(n + 1)}`, note: "", isNow: n === 5, ...over },
});
const ORDERS: TableHealthView = {
  ...{ table: "public.orders", status: "CRITICAL", leaves: 8, rows: 35_000_000, bytes: 3.5e9 },
  ...{ cut: "range on created_at, by month", missingFrom: "2025-09-01 00:00:00+00" },
  ...{ biggest: { name: "orders_2025_08", bytes: 8e8 }, gaps: 1, lastMaintenance: "2025-05-05 02:00:00" },
  findings: [
    {
      level: "CRITICAL",
      what: "the leaves end at 2025-09-01 00:00:00+00",
      next: "partway maintain public.orders",
    },
    {
      level: "WARNING",
      what: "no leaf from 2025-03-01 to 2025-04-01",
      next: "runbooks/partition-missing.md",
    },
  ],
  tree: [
    leaf(1),
    leaf(2),
    { kind: "gap", from: "2025-03-01", to: "2025-04-01" },
    ...[4, 5, 6, 7, 8].map((n) => leaf(n)),
  ],
};
const HEALTHY: TableHealthView = {
  ...ORDERS,
  ...{
    table: "public.events",
    status: "HEALTHY",
    gaps: 0,
    missingFrom: null,
    findings: [],
    biggest: null,
    tree: [],
  },
};
const VIEW: HealthView = {
  ...{ at: "2025-05-05T10:00:05.000Z", server: "care@db.internal:5432/shop", trouble: null },
  tables: [ORDERS, HEALTHY, { ...HEALTHY, table: 'odd."\u001b[31mred' }],
};

const text = (view: HealthView, looking = AT_FIRST, columns = 80, rows = 23, glyphs = plainTheme.glyphs) =>
  healthFrame(view, looking, { columns, rows }, glyphs).map((row) =>
    row
      .map((piece) => piece.text)
      .join("")
      .trimEnd(),
  );

test("a sick table would not be seen, or what to type", () => {
  expect(text(VIEW).join("\n")).toMatchInlineSnapshot(`
    "health care@db.internal:5432/shop  1 of 3 tables not HEALTHY            10:00:05

        status         table               leaves  no leaf from       biggest gaps
    ▶ ✘ CRITICAL       public.orders            8  2025-09-01 00:00    800 MB    1
      ✔ HEALTHY        public.events            8  -                        -    0
      ✔ HEALTHY        odd."[31mred             8  -                        -    0

    public.orders  CRITICAL
      range on created_at, by month, about 35,000,000 rows, 3.5 GB, last maintenance
      2025-05-05 02:00:00
      CRITICAL: the leaves end at 2025-09-01 00:00:00+00
        next: partway maintain public.orders
      WARNING: no leaf from 2025-03-01 to 2025-04-01
        next: runbooks/partition-missing.md

     ├─ orders_2025_02  2025-02-01 to 2025-03-01    2,000,000    200 MB
     ├─ ! no leaf from 2025-03-01 to 2025-04-01
     ├─ orders_2025_04  2025-04-01 to 2025-05-01    4,000,000    400 MB
     ├─ orders_2025_05  2025-05-01 to 2025-06-01    5,000,000    500 MB  now
     ├─ orders_2025_06  2025-06-01 to 2025-07-01    6,000,000    600 MB
     ├─ orders_2025_07  2025-07-01 to 2025-08-01    7,000,000    700 MB
       2 to 7 of 8
    up/down table   Enter its partitions   r look again   q quit"
  `);
  expect(text(VIEW, { chosen: 0, open: true, top: 3 }, 80, 14).join("\n")).toMatchInlineSnapshot(`
    "health care@db.internal:5432/shop  1 of 3 tables not HEALTHY            10:00:05

    public.orders  CRITICAL
      range on created_at, by month, about 35,000,000 rows, 3.5 GB, last maintenance
      2025-05-05 02:00:00
      CRITICAL: the leaves end at 2025-09-01 00:00:00+00
        next: partway maintain public.orders
      WARNING: no leaf from 2025-03-01 to 2025-04-01
        next: runbooks/partition-missing.md

     ├─ orders_2025_04  2025-04-01 to 2025-05-01    4,000,000    400 MB
     ├─ orders_2025_05  2025-05-01 to 2025-06-01    5,000,000    500 MB  now
       4 to 5 of 8
    up/down partitions   Esc back   r look again   q quit"
  `);
  expect(text(VIEW, AT_FIRST, 120, 30).join("\n")).toMatchInlineSnapshot(`
    "health care@db.internal:5432/shop  1 of 3 tables not HEALTHY                                                    10:00:05

        status         table                         leaves  no leaf from       biggest                               gaps
    ▶ ✘ CRITICAL       public.orders                      8  2025-09-01 00:00    800 MB  orders_2025_08                  1
      ✔ HEALTHY        public.events                      8  -                        -                                  0
      ✔ HEALTHY        odd."[31mred                       8  -                        -                                  0

    public.orders  CRITICAL
      range on created_at, by month, about 35,000,000 rows, 3.5 GB, last maintenance 2025-05-05 02:00:00
      CRITICAL: the leaves end at 2025-09-01 00:00:00+00
        next: partway maintain public.orders
      WARNING: no leaf from 2025-03-01 to 2025-04-01
        next: runbooks/partition-missing.md

     ├─ orders_2025_01  2025-01-01 to 2025-02-01    1,000,000    100 MB
     ├─ orders_2025_02  2025-02-01 to 2025-03-01    2,000,000    200 MB
     ├─ ! no leaf from 2025-03-01 to 2025-04-01
     ├─ orders_2025_04  2025-04-01 to 2025-05-01    4,000,000    400 MB
     ├─ orders_2025_05  2025-05-01 to 2025-06-01    5,000,000    500 MB  now
     ├─ orders_2025_06  2025-06-01 to 2025-07-01    6,000,000    600 MB
     ├─ orders_2025_07  2025-07-01 to 2025-08-01    7,000,000    700 MB
     └─ orders_2025_08  2025-08-01 to 2025-09-01    8,000,000    800 MB







    up/down table   Enter its partitions   r look again   q quit"
  `);
});

test.each([
  [80, 23],
  [100, 30],
  [160, 50],
  [200, 59],
  [40, 10],
  [20, 4],
])(
  "%i columns and %i rows would be overrun, or escape sequences of a name reach the terminal",
  (columns, rows) => {
    for (const looking of [AT_FIRST, { chosen: 2, open: false, top: 0 }, { chosen: 0, open: true, top: 99 }])
      for (const view of [VIEW, { ...VIEW, tables: [] }, { ...VIEW, trouble: "x".repeat(300) }]) {
        const lines = text(view, looking, columns, rows);
        expect(lines).toHaveLength(rows);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
        expect(lines.join("")).not.toContain("\u001b");
        if (rows > 5) expect(lines.at(-1)).toContain("up/down");
      }
  },
);

test("many tables, or many partitions, would run off the screen", () => {
  const many = {
    ...VIEW,
    tables: Array.from({ length: 60 }, (_, n) => ({ ...HEALTHY, table: `public.t${n}` })),
  };
  expect(text(many, { chosen: 59, open: false, top: 0 }).join("\n")).toMatch(/▶ ✔ HEALTHY +public\.t59/);
  const tree = Array.from({ length: 300 }, (_, n) => leaf(1, { name: `leaf_${n}`, isNow: n === 150 }));
  const one = { ...VIEW, tables: [{ ...ORDERS, tree }] };
  expect(text(one).join("\n")).toMatch(/leaf_150 .* now/);
  const size = { columns: 80, rows: 23 };
  let looking = lookAt(AT_FIRST, "open", one, size);
  expect(text(one, looking).join("\n")).toMatch(/leaf_150 .* now/);
  for (let n = 0; n < 40; n++) looking = lookAt(looking, "page-down", one, size);
  expect(text(one, looking).join("\n")).toContain("leaf_299");
  expect(text(one, looking).join("\n")).toMatch(/to 300 of 300/);
  expect(lookAt(looking, "up", one, size).top).toBe(looking.top - 1);
  expect(lookAt(looking, "close", one, size)).toMatchObject({ open: false, top: 0 });
});

test("status would be told by colour alone, or NO_COLOR and a plain terminal not be respected", () => {
  const ascii = text(VIEW, AT_FIRST, 80, 23, themeFor({ NO_COLOR: "1", LANG: "C" }).glyphs).join("\n");
  expect(ascii).not.toMatch(/[^\u0020-\u007e\n…]/);
  expect(ascii).toMatch(/> x CRITICAL/);
  expect(ascii).toMatch(/\|- orders_2025_02/);
  const tones = healthFrame(VIEW, AT_FIRST, { columns: 80, rows: 23 }, plainTheme.glyphs).flat();
  expect(tones.find((piece) => piece.text.includes("CRITICAL"))?.tone).toBe("bad");
});

test("keys would not choose, open and leave; a new look would not be drawn", async () => {
  const store = createHealthStore("care@db");
  const left = vi.fn();
  const refreshed = vi.fn();
  const screen = render(<HealthApp source={store} onRefresh={refreshed} onLeave={left} />);
  onTestFinished(() => screen.unmount());
  const until = (what: string) => vi.waitUntil(() => (screen.lastFrame() ?? "").includes(what));
  await until("looking ...");
  store.set(VIEW);
  await until("1 of 3");
  const chosen = (name: string) =>
    vi.waitUntil(() => new RegExp(`▶ . \\w+ +${name}`).test(screen.lastFrame() ?? ""));
  await chosen("public.orders");
  screen.stdin.write("\u001b[B");
  await chosen("public.events");
  screen.stdin.write("\u001b[A");
  await chosen("public.orders");
  screen.stdin.write("\r");
  await until("Esc back");
  screen.stdin.write("\u001b");
  await until("Enter its partitions");
  screen.stdin.write("r");
  await vi.waitUntil(() => refreshed.mock.calls.length === 1);
  store.set({ ...VIEW, trouble: "the last look failed: connection refused" });
  await until("connection refused");
  expect(left).not.toHaveBeenCalled();
  screen.stdin.write("q");
  await vi.waitUntil(() => left.mock.calls.length === 1);
});
