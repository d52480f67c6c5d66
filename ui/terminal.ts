/** Apart from screen.tsx, so that whoever shows no screen need not load what draws one: most of the time to start. */

/**
 * Can a screen be drawn here? Needs a terminal both ways that can move its cursor, and none of the variables by
 * which Ink believes it is in CI, where it draws nothing until the end.
 */
export function canShowScreen(
  stdout: { isTTY?: boolean },
  stdin: { isTTY?: boolean },
  env: NodeJS.ProcessEnv,
): boolean {
  const { CI, CONTINUOUS_INTEGRATION, TERM, INK_SCREEN_READER } = env;
  // The variable Ink programs know: a frame that is drawn anew ten times a second cannot be read aloud, lines can.
  if (INK_SCREEN_READER === "true" || INK_SCREEN_READER === "1") return false;
  const inCi = [CI, CONTINUOUS_INTEGRATION].some(
    (value) => value !== undefined && !["0", "false"].includes(value),
  );
  return stdout.isTTY === true && stdin.isTTY === true && TERM !== "dumb" && !inCi;
}
