// examples/demo-cd as a user plays it: four guests on one network, listed, visited through a terminal, left by Ctrl-], pinging each
// other, halted from inside.
import { execFile, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main, root } from "../support/command.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 300_000;
let directory: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  await testImage("bookworm", "small");
  directory = mkdtempSync(join(tmpdir(), "xen-ts-demo-"));
  const xm = join(directory, "xm");
  writeFileSync(xm, `#!/bin/sh\nexec "${process.execPath}" "${main.replace("main.js", "xm.js")}" "$@"\n`);
  chmodSync(xm, 0o755);
  env = { ...process.env, XDG_RUNTIME_DIR: directory, XM: xm };
  // As in 2005: consoles are also TCP ports, for telnet.
  expect((await run(xm, "up", "--detach", "--memory", "512M", "--console-ports")).code).toBe(0);
  const { stderr, code } = await run(join(root, "examples/demo-cd/start-domains"));
  expect(stderr).toMatch(/small-bookworm/);
  expect(code).toBe(0);
});
afterAll(async () => {
  await xm("down", "-f");
  rmSync(directory, { recursive: true, force: true });
});

function run(file: string, ...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(file, words, { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
    });
  });
}
const xm = (...words: string[]) => run(env.XM!, ...words);

/** A terminal with `xm console DOMAIN` in it. */
class Console {
  readonly #child;
  #text = "";
  readonly closed: Promise<number | null>;

  constructor(domain: string) {
    const script = [
      "import os, pty, select, sys",
      "pid, fd = pty.fork()",
      "if pid == 0: os.execv(sys.argv[1], sys.argv[1:])",
      "while True:",
      "    ready = select.select([0, fd], [], [])[0]",
      "    if 0 in ready: os.write(fd, os.read(0, 4096))",
      "    if fd in ready:",
      "        try: data = os.read(fd, 4096)",
      "        except OSError: break",
      "        if not data: break",
      "        os.write(1, data)",
      "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    ].join("\n");
    this.#child = spawn("python3", ["-c", script, env.XM!, "console", domain], { env });
    this.#child.stdout.on("data", (bytes: Buffer) => {
      this.#text += bytes.toString();
    });
    this.closed = new Promise((resolve) => this.#child.on("close", (code) => resolve(code)));
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Resolves when the screen has shown it. */
  async shows(pattern: RegExp, timeout = 120_000): Promise<void> {
    const deadline = performance.now() + timeout;
    while (!pattern.test(this.#text)) {
      if (performance.now() > deadline) throw new Error(`no ${pattern} in: ${this.#text.slice(-500)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.#text = this.#text.replace(pattern, "");
  }
}

test("an evening in 2005", { timeout: 3 * BOOT_MS }, async () => {
  const { stdout } = await xm("list");
  const [header, ...rows] = stdout.trimEnd().split("\n");
  expect(header).toBe("Name              Id  Mem(MB)  CPU  State  Time(s)  Console");
  for (const [i, row] of rows.entries())
    expect(row).toMatch(new RegExp(`^VM${i + 1} {16}${i + 1} {7}64 {4}0 {2}[rb-]{5} +\\d+\\.\\d {4}960${i + 1}$`));
  expect(rows).toHaveLength(4);

  // Visit them in turn; the console kept what it printed while nobody looked.
  for (const n of ["1", "2", "3", "4"]) {
    const console = new Console(n);
    await console.shows(/REMOTE CONSOLE: CTRL-\] TO QUIT/);
    await console.shows(/XENTS-SHELL-READY/, BOOT_MS);
    console.type("hostname\n");
    await console.shows(new RegExp(`^vm${n}\r$`, "m"));
    console.type("\x1d");
    await console.shows(/REMOTE CONSOLE EXITED/);
    expect(await console.closed).toBe(0);
  }

  const second = new Console("VM2");
  second.type("for n in 1 3 4; do ping -c 2 10.171.45.$n >/dev/null && echo VM$n answers; done\n");
  for (const n of [1, 3, 4]) await second.shows(new RegExp(`^VM${n} answers\r$`, "m"));
  // Their network leads nowhere else.
  second.type("ip route; echo routes end\n");
  await second.shows(/^10\.171\.45\.0\/24 dev eth0[^\n]*\nroutes end\r$/m);
  // What passes its interface, until there are four frames.
  const capture = join(directory, "vm2.pcap");
  const dump = xm("network-dump", "VM2", "-c", "4", "-w", capture);
  second.type("ping -c 20 10.171.45.1 >/dev/null\n");
  expect(await dump).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(capture).length).toBeGreaterThan(24 + 4 * (16 + 42) - 1);
  second.type("\x1d");
  await second.closed;

  const screen = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = connect(9601, "127.0.0.1", () => socket.write("echo port $((9600 + 1))\n"));
    socket.on("error", reject).on("close", () => resolve(text));
    socket.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      if (/^port 9601\r$/m.test(text)) socket.destroy();
    });
  });
  expect(screen).toMatch(/^\*+ REMOTE CONSOLE: CTRL-\] TO QUIT \*+\r\n/);

  // Rebooted by the toolstack it is another domain of the same name: its console ends, as xl's does, and the new one has its own.
  const fourth = new Console("VM4");
  await fourth.shows(/REMOTE CONSOLE: CTRL-\] TO QUIT/);
  expect(await xm("reboot", "VM4")).toMatchObject({ code: 0, stderr: "Rebooting domain 4\n" });
  await fourth.shows(/REMOTE CONSOLE EXITED/);
  expect(await fourth.closed).toBe(0);
  expect((await xm("domid", "VM4")).stdout).toBe("5\n");
  const fifth = new Console("VM4");
  await fifth.shows(/XENTS-SHELL-READY/, BOOT_MS);
  fifth.type("\x1d");
  await fifth.closed;

  const third = new Console("VM3");
  third.type("poweroff\n");
  expect(await third.closed).toBe(0);
  expect((await xm("list")).stdout).not.toMatch(/^VM3/m);

  // The rest by the toolstack: through XenStore, with no shell involved.
  expect((await xm("shutdown", "-a", "-w")).stderr).toMatch(/Domain 1 has been shut down, reason code 0/);
  expect((await run(join(root, "examples/demo-cd/stop-domains"))).code).toBe(0);
  expect((await xm("list")).stderr).toBe('xen-ts: no host is running; "xen-ts up -d" starts one\n');
});
