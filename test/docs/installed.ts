/** Partway as a stranger has it: compiled, a package of its own, with `partway` on the PATH. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleCli } from "../support/bundle.js";
import { ROOT } from "./markdown.js";

export interface Installed {
  /** The package's folder: node finds `partway` from any file in it. */
  dir: string;
  /** To be put in front of PATH. */
  bin: string;
  remove(): void;
}

/**
 * `isBundled`: `partway` starts from one file made of the compiled ones, in half the time, for the pages with hundreds of
 * commands.
 */
export function install(isBundled: boolean): Installed {
  const dir = mkdtempSync(join(tmpdir(), "partway-docs-"));
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  copyFileSync(join(ROOT, "package.json"), join(dir, "package.json"));
  tsc(ROOT, "tsconfig.build.json", "--outDir", join(dir, "dist"));
  const bin = join(dir, "bin");
  mkdirSync(bin);
  const compiled = join(dir, "dist/src/cli.js");
  const cli = isBundled ? bundleCli(compiled) : { file: compiled, remove: () => undefined };
  const shim = `#!/bin/sh\nexec '${process.execPath}' '${cli.file}' "$@"\n`;
  writeFileSync(join(bin, "partway"), shim);
  chmodSync(join(bin, "partway"), 0o755);
  const remove = () => {
    cli.remove();
    rmSync(dir, { recursive: true, force: true });
  };
  return { dir, bin, remove };
}

/** Throws with the compiler's output when it finds an error. */
export function tsc(cwd: string, project: string, ...args: string[]): void {
  const file = join(ROOT, "node_modules/typescript/bin/tsc");
  try {
    execFileSync(process.execPath, [file, "-p", project, ...args], { cwd, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    const said = error instanceof Error && "stdout" in error ? String(error.stdout) : String(error);
    throw new Error(`tsc -p ${project}:\n${said}`);
  }
}

export interface Typed {
  code: number | null;
  /** stdout and stderr together. */
  output: string;
}

/** Types one line into a shell. `interruptAt`: Ctrl-C once the output has it. */
export function type(
  line: string,
  where: { cwd: string; env: Record<string, string>; interruptAt?: RegExp | undefined },
): Promise<Typed> {
  const { cwd, env, interruptAt } = where;
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", interruptAt === undefined ? line : `exec ${line}`], {
      cwd,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let interrupted = false;
    const hear = (chunk: Buffer) => {
      output += chunk.toString();
      if (interrupted || interruptAt?.test(output) !== true) return;
      interrupted = true;
      child.kill("SIGINT");
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output }));
  });
}
