/** What the run waits for the operator to decide. */
import { Box } from "ink";
import type { RunView } from "../../state/view.js";
import { canCutOver } from "../controls.js";
import { Paragraph } from "./Line.js";

export function Ready({ view, columns }: { view: RunView; columns: number }) {
  if (view.ready === null || !canCutOver(view)) return null;
  return (
    <Box flexShrink={0} marginTop={1}>
      <Paragraph text={view.ready} width={columns} tone="strong" />
    </Box>
  );
}
