// Eight guests of 64 MB at once on one host, as a user runs them: `up`, eight xl.cfg files, `create`, `list`, `console`. Each has a disk
// and an interface, each reaches each other, each reads and writes its own disk. Prints create-to-shell and the host's memory.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main, xenTs } from "../support/command.js";
import { testImage } from "../support/image.js";

const COUNT = 8;
const DISK = 1 << 20;
const BOOT_MS = 400_000;
const numbers = Array.from({ length: COUNT }, (_, i) => i + 1);
const address = (n: number) => `10.171.45.${n}`;
const directory = mkdtempSync(join(tmpdir(), "xen-ts-many-"));
const env = { XDG_RUNTIME_DIR: directory };
const disk = (n: number) => join(directory, `disk${n}.img`);
const consoles: Console[] = [];
let hostProcess: number;

beforeAll(async () => {
  const { kernel, initrd } = await testImage("bookworm", "small");
  for (const n of numbers) {
    writeFileSync(disk(n), `disk of guest ${n}\n`);
    truncateSync(disk(n), DISK);
    const config = [
      `name = "guest${n}"\nkernel = "${kernel}"\nramdisk = "${initrd}"\nmemory = 64`,
      `disk = ["file:${disk(n)},xvda,w"]\nvif = ["bridge=lan"]`,
      // What Linux needs to be told for so small a guest (images/README.md).
      `extra = "console=hvc0 quiet cgroup.memory=nokmem initcall_blacklist=tracer_init_tracefs xents.ip=${address(n)}/24"`,
    ];
    writeFileSync(join(directory, `guest${n}.cfg`), `${config.join("\n")}\n`);
  }
  const { stdout } = await xenTs(["up", "--detach", "--memory", "576M"], { env });
  hostProcess = Number(/\(process (\d+)\)/.exec(stdout)?.[1]);
});
afterAll(async () => {
  for (const console of consoles) console.close();
  await xenTs(["down", "-f"], { env });
  rmSync(directory, { recursive: true, force: true });
});

/** `xen-ts console guestN`, typed into through a pipe. */
class Console {
  readonly #child: ChildProcess;
  #text = "";

  constructor(n: number) {
    this.#child = spawn(process.execPath, [main, "console", `guest${n}`], {
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout!.setEncoding("latin1").on("data", (text: string) => {
      this.#text += text;
    });
  }

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

  /** The command's output, when it has ended. */
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

const inAll = (command: (n: number) => string) =>
  Promise.all(consoles.map((console, i) => console.run(command(numbers[i]!))));

test("eight guests of 64 MB, created one after another, each come to a shell", { timeout: 2 * BOOT_MS }, async () => {
  const start = performance.now();
  const seconds: string[] = [];
  for (const n of numbers) {
    const created = performance.now();
    const result = await xenTs(["create", "-q", join(directory, `guest${n}.cfg`)], { env });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const console = new Console(n);
    consoles.push(console);
    await console.shows(/XENTS-SHELL-READY/, BOOT_MS);
    seconds.push(((performance.now() - created) / 1000).toFixed(1));
  }
  const total = ((performance.now() - start) / 1000).toFixed(1);
  const status = process.platform === "linux" ? readFileSync(`/proc/${hostProcess}/status`, "latin1") : "";
  const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  process.stdout.write(
    `create to shell: ${seconds.join(" ")} s, ${total} s for all; the host's process has ${(kilobytes / 1024).toFixed(0)} MiB\n`,
  );
  const { stdout } = await xenTs(["list"], { env });
  const rows = stdout.trimEnd().split("\n").slice(1);
  expect(rows).toHaveLength(COUNT);
  for (const [i, row] of rows.entries()) expect(row).toMatch(new RegExp(`^guest${i + 1} +${i + 1} +64 +1 `));
});

test("each reaches each other", { timeout: BOOT_MS }, async () => {
  const others = (n: number) => numbers.filter((other) => other !== n).map(address);
  const said = await inAll((n) => `for a in ${others(n).join(" ")}; do ping -q -c 3 -W 20 $a | grep received; done`);
  for (const text of said) expect(text.match(/ [1-3] packets received/g)).toHaveLength(COUNT - 1);
});

test("each has its own disk", { timeout: BOOT_MS }, async () => {
  expect(await inAll(() => "head -n 1 /dev/xvda")).toEqual(numbers.map((n) => `disk of guest ${n}\n`));
  await inAll((n) => `echo written by ${n} | dd of=/dev/xvda bs=512 seek=8 conv=sync,fsync 2>/dev/null`);
  for (const n of numbers) expect(readFileSync(disk(n)).toString("latin1", 4096, 4096 + 13)).toBe(`written by ${n}\n`);
});

test("none ran out of memory", async () => {
  const said = await inAll(() => "dmesg | grep -ciE 'out of memory|oom-killer|allocation failure|BUG: ' || true");
  expect(said).toEqual(numbers.map(() => "0\n"));
});
