// `xen-ts top` in a terminal: what somebody sees who looks at it, while domains come and go, until they press q.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { constants, openSync } from "node:fs";
import xterm from "@xterm/headless";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Pty, ptyOpener } from "../../src/host/pty.js";
import { main } from "../support/command.js";
import { TinyHost, until } from "../support/tiny-host.js";

const openPty = await ptyOpener().catch(() => undefined);
let host: TinyHost;

beforeAll(async () => {
  host = new TinyHost();
  host.config("sleeper", "block");
  host.config("busy", "work");
  expect((await host.run("up", "-d", "--memory", "256M")).code).toBe(0);
});
afterAll(() => host.end());

/** A terminal of 24 lines with the command in it. */
class Terminal {
  readonly #screen = new xterm.Terminal({ cols: 100, rows: 24, allowProposedApi: true });
  readonly #pty: Pty;
  readonly child: ChildProcess;

  constructor(pty: Pty, words: readonly string[], env: Readonly<Record<string, string>>) {
    this.#pty = pty;
    execFileSync("stty", ["-F", pty.path, "rows", "24", "cols", "100"]);
    pty.input.on("data", (bytes: Buffer) => this.#screen.write(bytes));
    const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
    this.child = spawn(process.execPath, [main, ...words], {
      env: { ...process.env, ...env },
      stdio: [fd, fd, "inherit"],
    });
  }

  get lines(): string[] {
    const { active } = this.#screen.buffer;
    return Array.from({ length: 24 }, (_, i) => active.getLine(active.viewportY + i)!.translateToString(true));
  }

  get isAlternate(): boolean {
    return this.#screen.buffer.active.type === "alternate";
  }

  press(keys: string): void {
    this.#pty.write(Buffer.from(keys));
  }
}

test.skipIf(!openPty)("the live view (needs the package koffi)", async () => {
  const pty = openPty!();
  onTestFinished(() => pty.close());
  await host.run("create", "-q", "sleeper.cfg");
  const terminal = new Terminal(pty, ["top", "--delay", "0.2"], host.env);
  const ended = new Promise<number | null>((resolve) => terminal.child.once("exit", resolve));
  const row = (name: string) => terminal.lines.find((line) => line.trimStart().startsWith(`${name} `));
  await until(() => row("sleeper") !== undefined);
  expect(terminal.isAlternate).toBe(true);
  expect(terminal.lines[0]).toMatch(/^xentop - \d\d:\d\d:\d\d {3}Xen 4\.17/);
  expect(terminal.lines[1]).toMatch(/^1 domains: 0 running, 1 blocked, 0 paused, 0 crashed, 0 dying, 0 shutdown/);
  expect(terminal.lines[3]).toMatch(/^ {6}NAME {2}STATE {3}CPU\(sec\) CPU\(%\)/);
  expect(row("sleeper")).toMatch(/^ {3}sleeper --b--- +0 +0\.0 +32768 /);

  await host.run("create", "-q", "busy.cfg");
  // Its share of a CPU is known after the second look.
  await until(() => Number(/-----r +\d+ +([\d.]+) /.exec(row("busy") ?? "")?.[1] ?? 0) > 20);
  await host.run("destroy", "busy");
  await until(() => row("busy") === undefined);
  terminal.press("x");
  terminal.press("q");
  expect(await ended).toBe(0);
  await until(() => !terminal.isAlternate);
});
