// Runs the built command line as a user's shell would.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const main = join(root, "dist/bundle/cli/main.js");

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
  /** Gets the child as soon as it runs. */
  readonly onStart?: (child: ChildProcess) => void;
  /** Called with all of stdout so far. */
  readonly onOutput?: (stdout: string, child: ChildProcess) => void;
}

let runtime: string | undefined;

/** One for each process of tests. */
function runtimeDirectory(): string {
  if (runtime === undefined) {
    const made = mkdtempSync(join(tmpdir(), "xen-ts-run-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    runtime = made;
  }
  return runtime;
}

/** Runs `xen-ts WORDS…` to its end. */
export function xenTs(words: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { env, cwd, input, onStart, onOutput } = options;
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [main, ...words], {
      // Hosts of tests that run at the same time must not meet.
      env: { ...process.env, XDG_RUNTIME_DIR: runtimeDirectory(), ...env },
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(cwd === undefined ? {} : { cwd }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      onOutput?.(stdout, child);
    });
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", fail);
    child.on("close", (code) => done({ code, stdout, stderr }));
    if (input !== undefined) child.stdin!.end(input);
    onStart?.(child);
  });
}
