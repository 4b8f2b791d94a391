// `xen-ts console NAME` of a guest with the busybox image, typed into through a pipe.
import { type ChildProcess, spawn } from "node:child_process";
import { main } from "./command.js";

export class GuestConsole {
  readonly #child: ChildProcess;
  #text = "";

  constructor(name: string, env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [main, "console", name], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout!.setEncoding("latin1").on("data", (text: string) => {
      this.#text += text;
    });
  }

  /** Waits for it, and forgets what came until then. @returns its first group */
  async shows(pattern: RegExp, timeout = 120_000): Promise<string> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const found = pattern.exec(this.#text);
      if (found) {
        this.#text = this.#text.slice(found.index + found[0].length);
        return found[1] ?? "";
      }
      if (performance.now() > deadline) throw new Error(`no ${pattern} in: ${this.#text.slice(-500)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** The command's output, when it has ended well. */
  async run(command: string): Promise<string> {
    // The shell's echo of the line holds none of the marks.
    this.#child.stdin!.write(`echo be''gin; ${command}; echo sta''tus $?\n`);
    const output = await this.shows(/begin\r\n([\s\S]*?)status 0\r\n/);
    return output.replaceAll("\r", "");
  }

  close(): void {
    this.#child.kill();
  }
}
