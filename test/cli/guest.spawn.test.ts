// The command line with kernels of a few instructions: every way in which a guest can end, and what the options print.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandOptions, xenTs } from "../support/command.js";
import { type TinyEnd, tinyKernel } from "../support/tiny-kernel.js";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-guest-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Boots a tiny kernel that prints `text`; what it printed is stdout without Xen's lines. */
async function boot(text: string, end: TinyEnd, words: readonly string[], options: CommandOptions = {}) {
  const kernel = join(directory, `${end}-${text.length}`);
  writeFileSync(kernel, tinyKernel(text, end));
  const all = ["boot", "--kernel", kernel, "--memory", "32M", ...words];
  const result = await xenTs(all, { env: { XDG_CACHE_HOME: directory }, ...options });
  const lines = result.stdout.split("\r\n");
  const guest = lines.filter((line) => !line.startsWith("(XEN) ")).join("\r\n");
  return { ...result, guest, xen: lines.filter((line) => line.startsWith("(XEN) ")) };
}

describe("how a guest ends", () => {
  test("poweroff: 0, and its bytes on stdout unchanged", async () => {
    const result = await boot("a\tb\x1b[1m\r\nlast line", "poweroff", ["--headless"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.guest).toContain("a\tb\x1b[1m\r\nlast line");
    expect(result.xen).toContain("(XEN) Hardware Dom0 halted: halting machine");
  });

  test("a crash that the guest reports: 121, with a register dump", async () => {
    const result = await boot("panic\r\n", "crash", ["--headless"]);
    expect(result).toMatchObject({ code: 121, stderr: "xen-ts: the guest crashed\n" });
    expect(result.xen.join("\n")).toMatch(/^\(XEN\) RIP: {4}e033:\[<ffffffff81000\w+>\]/m);
  });

  test("an exception that it can't take: 121, with a register dump", async () => {
    const result = await boot("", "ud2", ["--headless"]);
    expect(result.code).toBe(121);
    expect(result.xen.join("\n")).toMatch(/^\(XEN\) RIP: {4}e033:\[<ffffffff81000\w+>\]/m);
  });

  test.each(["hang", "block"] as const)("timeout of a guest in %s: 124", async (end) => {
    const result = await boot("", end, ["--headless", "--timeout", "0.5"]);
    expect(result).toMatchObject({ code: 124, stderr: "xen-ts: timeout: the guest still ran after 0.5 s\n" });
  });

  test("--until matched: 0", async () => {
    const result = await boot("one\r\ntwo three", "hang", ["--headless", "--until", "^two t.r"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.guest).toMatch(/two three$/);
  });

  test("reboot boots again", async () => {
    let boots = 0;
    const result = await boot("hello\r\n", "reboot", ["--headless"], {
      onOutput: (stdout, child) => {
        const before = boots;
        boots = stdout.split("hello").length - 1;
        if (before < 3 && boots >= 3) child.kill("SIGTERM");
      },
    });
    expect(boots).toBeGreaterThanOrEqual(3);
    expect(result).toMatchObject({ code: 143, stderr: "xen-ts: ended by SIGTERM\n" });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s: %i", async (signal, code) => {
    let sent = false;
    const result = await boot("up", "block", ["--headless"], {
      onOutput: (stdout, child) => {
        // Once: after the first one, xen-ts leaves a second to the system's own handling.
        if (sent || !stdout.includes("up")) return;
        sent = child.kill(signal);
      },
    });
    expect(result).toMatchObject({ code, stderr: `xen-ts: ended by ${signal}\n` });
  });

  test("a reader of stdout that goes away: 141, quietly", async () => {
    const result = await boot("hello\r\n", "reboot", ["--headless"], {
      onOutput: (_stdout, child) => child.stdout!.destroy(),
    });
    expect(result).toMatchObject({ code: 141, stderr: "" });
  });
});

describe("what the options print", () => {
  test("--stats: figures on stderr", async () => {
    const { stderr } = await boot("x", "poweroff", ["--headless", "--stats"]);
    expect(stderr).toMatch(/^wall time +\d+\.\d\d s/m);
    expect(stderr).toMatch(/^instructions +\d+ \(/m);
    expect(stderr).toMatch(/^hypercalls +2: .*console_io 1/m);
    expect(stderr).toMatch(/^peak memory +\d+ MiB$/m);
  });

  test("--profile: where host time went", async () => {
    const { stderr } = await boot("x", "hang", ["--headless", "--profile", "--timeout", "1"]);
    expect(stderr).toMatch(/^profile: \d+\.\d\d s busy, \d+\.\d\d s idle$/m);
    expect(stderr).toMatch(/^ {2}guest code +\d+\.\d% /m);
    expect(stderr).toMatch(/^ {2}hypercall console_io .* 1 times/m);
    expect(stderr).toMatch(/% Domain-0 +0xffffffff81000000 module or unknown$/m);
  });

  test("--perf-trace: a file of events", async () => {
    const file = join(directory, "trace.json");
    const { stderr } = await boot("x", "poweroff", ["--headless", "--perf-trace", file]);
    expect(stderr).toBe("");
    const events: { name: string }[] = JSON.parse(readFileSync(file, "utf8"));
    expect(events.map(({ name }) => name)).toContain("slice");
  });

  test("--trace hypercalls: number, name, arguments, result", async () => {
    const { stderr } = await boot("xyz", "poweroff", ["--headless", "--trace", "hypercalls"]);
    expect(stderr).toMatch(/^d0v0 18 console_io\(0x0, 0x3, 0xffffffff81000204\) = 0x0$/m);
    expect(stderr).toMatch(/^d0v0 29 sched_op\(0x2, 0xffffffff81000200\) = /m);
  });

  test("--trace instructions: each one, from the entry on", async () => {
    const { stderr } = await boot("xyz", "poweroff", ["--headless", "--trace", "instructions"]);
    expect(stderr.split("\n").slice(0, 9)).toEqual([
      "d0v0 e033:ffffffff81000100  b812000000           mov eax, 0x12",
      "d0v0 e033:ffffffff81000105  bf00000000           mov edi, 0x0",
      "d0v0 e033:ffffffff8100010a  be03000000           mov esi, 0x3",
      expect.stringMatching(/^d0v0 e033:ffffffff8100010f {2}488d15\w{8} +lea rdx, /),
      "d0v0 e033:ffffffff81000116  0f05                 syscall",
      "d0v0 e033:ffffffff81000118  b81d000000           mov eax, 0x1d",
      "d0v0 e033:ffffffff8100011d  bf02000000           mov edi, 0x2",
      expect.stringMatching(/^d0v0 e033:ffffffff81000122 {2}488d35\w{8} +lea rsi, /),
      "d0v0 e033:ffffffff81000129  0f05                 syscall",
    ]);
  });

  test("--trace exceptions", async () => {
    const { stderr } = await boot("", "ud2", ["--headless", "--trace", "exceptions"]);
    expect(stderr).toMatch(/^d0v0 e033:ffffffff81000118 #UD error 0$/m);
  });

  test("--log: the console and the trace in a file", async () => {
    const log = join(directory, "log");
    const { stdout, stderr } = await boot("logged\r\n", "poweroff", [
      "--headless",
      "--log",
      log,
      "--trace",
      "hypercalls",
    ]);
    const text = readFileSync(log, "utf8");
    expect(text).toContain("logged\r\n");
    expect(text).toContain("(XEN) Hardware Dom0 halted");
    expect(text).toContain("console_io(");
    expect(stdout).toContain("logged");
    expect(stderr).toBe("");
  });
});
