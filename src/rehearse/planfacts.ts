/** What an EXPLAIN (FORMAT JSON, VERBOSE) tells: cost, leaves, indexes. Pure. */
import { z } from "zod";

interface Node {
  "Node Type": string;
  "Total Cost": number;
  "Relation Name"?: string | undefined;
  Schema?: string | undefined;
  "Index Name"?: string | undefined;
  "Subplans Removed"?: number | undefined;
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
    "Actual Loops": z.number().optional(),
    Plans: z.array(Node).optional(),
  }),
);
const Explained = z.tuple([z.object({ Plan: Node, "Execution Time": z.number().optional() })]);

export interface PlanFacts {
  /** The planner's total, without the leaves that are left out when the execution begins. */
  cost: number;
  /** `schema.name` of every table that is scanned, one entry a table; with ANALYZE only those really scanned. */
  scanned: string[];
  indexes: string[];
  /** Milliseconds; null without ANALYZE. */
  executedMs: number | null;
}

/** Errors: ZodError for something that is no plan. */
export function planFacts(json: string): PlanFacts {
  const [{ Plan: root, "Execution Time": executedMs }] = Explained.parse(JSON.parse(json));
  const scanned = new Set<string>();
  const indexes = new Set<string>();
  const visit = (node: Node): void => {
    if (node["Actual Loops"] === 0) return;
    const { "Relation Name": relation, "Index Name": index, "Node Type": type } = node;
    if (relation !== undefined && type !== "ModifyTable") scanned.add(`${node.Schema ?? ""}.${relation}`);
    if (index !== undefined) indexes.add(index);
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(root);
  return {
    cost: Math.max(0, root["Total Cost"] - leftOut(root)),
    scanned: [...scanned],
    indexes: [...indexes],
    executedMs: executedMs ?? null,
  };
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
