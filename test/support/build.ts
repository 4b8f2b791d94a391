// Builds dist/ before the tests, so that those which run the command or the package run what the sources say.
import { execFileSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

let isBuilt = false;

export default function setup(): void {
  // Once for all projects of a run; not at all for who has built already.
  if (isBuilt || process.env.XEN_TS_IS_BUILT) return;
  isBuilt = true;
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  try {
    execFileSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], { cwd: root, encoding: "utf8" });
  } catch (error) {
    throw new Error(`the build fails:\n${(error as { stdout?: string }).stdout ?? error}`);
  }
}
