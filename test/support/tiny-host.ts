// A host of its own for tests of commands, with guests of a few instructions: a directory for its files, `xen-ts` in it, xl.cfg files.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandResult, xenTs } from "./command.js";
import { type TinyEnd, tinyKernel } from "./tiny-kernel.js";

export class TinyHost {
  readonly directory = mkdtempSync(join(tmpdir(), "xen-ts-host-"));
  readonly env = { XDG_CACHE_HOME: this.directory, XDG_RUNTIME_DIR: this.directory };

  run(...words: string[]): Promise<CommandResult> {
    return xenTs(words, { env: this.env, cwd: this.directory });
  }

  /** NAME.cfg: a guest that prints "hello" and then ends so, and what else its configuration says. */
  config(name: string, end: TinyEnd, more = ""): void {
    writeFileSync(join(this.directory, `${end}.kernel`), tinyKernel("hello\r\n", end));
    const text = `name = "${name}"\nkernel = "${end}.kernel"\nmemory = 32\n${more}\n`;
    writeFileSync(join(this.directory, `${name}.cfg`), text);
  }

  /** Rows of `list`: name and state letters. */
  async listed(): Promise<Record<string, string>> {
    const { stdout } = await this.run("list");
    const rows = stdout.trim().split("\n").slice(1);
    return Object.fromEntries(rows.map((row) => [row.split(/ +/)[0]!, row.trim().split(/ +/).at(-2)!]));
  }

  /** A file of the host's directory. */
  file(name: string): string {
    return join(this.directory, "xen-ts/default", name);
  }

  log(): string {
    return readFileSync(this.file("host.log"), "utf8");
  }

  async end(): Promise<void> {
    await this.run("down", "--force");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}
