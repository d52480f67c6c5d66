/** What an EXPLAIN (FORMAT JSON, VERBOSE) tells: cost, leaves, indexes. Pure. */
import { z } from "zod";

interface Node {
  "Node Type": string;
  "Total Cost": number;
  "Relation Name"?: string | undefined;
  Schema?: string | undefined;
  "Index Name"?: string | undefined;
  "Subplans Removed"?: number | undefined;
  "Shared Hit Blocks"?: number | undefined;
  "Shared Read Blocks"?: number | undefined;
  "Actual Loops"?: number | undefined;
  Plans?: Node[] | undefined;
}

const Node: z.ZodType<Node> = z.lazy(() =>
  z.object({
    "Node Type": z.string(),
    "Total Cost": z.number(),
    "Relation Name": z.string().optional(),
    Schema: z.string().optional(),
    "Index Name": z.string().optional(),
    "Subplans Removed": z.number().optional(),
    "Shared Hit Blocks": z.number().optional(),
    "Shared Read Blocks": z.number().optional(),
    "Actual Loops": z.number().optional(),
    Plans: z.array(Node).optional(),
  }),
);
const Explained = z.tuple([z.object({ Plan: Node, "Execution Time": z.number().optional() })]);

/** An Append whose leaves were left out when the execution began. */
export interface Removed {
  count: number;
  /** What is still below it, as in `scanned`. */
  scanned: string[];
}

export interface PlanFacts {
  /** The planner's total, without the leaves that are left out when the execution begins. */
  cost: number;
  /** `schema.name` of every table that is scanned, one entry a table; with ANALYZE only those really scanned. */
  scanned: string[];
  indexes: string[];
  removed: Removed[];
  /** Milliseconds; null without ANALYZE. */
  executedMs: number | null;
  /** Blocks of 8 kB found in shared buffers and not; null without BUFFERS. */
  blocks: { hit: number; read: number } | null;
}

/** Errors: ZodError for something that is no plan. */
export function planFacts(json: string): PlanFacts {
  const [{ Plan: root, "Execution Time": executedMs }] = Explained.parse(JSON.parse(json));
  const indexes = new Set<string>();
  const removed: Removed[] = [];
  const visit = (node: Node): void => {
    if (node["Actual Loops"] === 0) return;
    const { "Index Name": index, "Subplans Removed": count = 0 } = node;
    if (index !== undefined) indexes.add(index);
    if (count > 0) removed.push({ count, scanned: scannedBelow(node) });
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(root);
  const { "Shared Hit Blocks": hit, "Shared Read Blocks": read } = root;
  return {
    cost: Math.max(0, root["Total Cost"] - leftOut(root)),
    scanned: scannedBelow(root),
    indexes: [...indexes],
    removed,
    executedMs: executedMs ?? null,
    blocks: hit === undefined || read === undefined ? null : { hit, read },
  };
}

function scannedBelow(node: Node, found = new Set<string>()): string[] {
  if (node["Actual Loops"] === 0) return [...found];
  const { "Relation Name": relation, "Node Type": type } = node;
  if (relation !== undefined && type !== "ModifyTable") found.add(`${node.Schema ?? ""}.${relation}`);
  for (const child of node.Plans ?? []) scannedBelow(child, found);
  return [...found];
}

/**
 * The planner adds up every leaf of a plan whose parameters are not known yet; the executor then leaves out those that
 * cannot match ("Subplans Removed"). Their cost is what the Append has beyond the children it still shows.
 */
function leftOut(node: Node): number {
  const children = node.Plans ?? [];
  // A LIMIT pays for a part of what stands below it only.
  const share = (child: Node) => Math.min(1, node["Total Cost"] / Math.max(child["Total Cost"], 1e-9));
  const below = children.reduce((sum, child) => sum + leftOut(child) * share(child), 0);
  if ((node["Subplans Removed"] ?? 0) === 0) return below;
  const kept = children.reduce((sum, child) => sum + child["Total Cost"], 0);
  return below + Math.max(0, node["Total Cost"] - kept);
}
