// A booted dom0's host is reached by the same commands; and consoles, through a terminal: typed bytes, several viewers, Ctrl-].
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main, xenTs } from "../support/command.js";
import { tinyKernel } from "../support/tiny-kernel.js";

let directory: string;
let env: Record<string, string>;
const run = (...words: string[]) => xenTs(words, { env, cwd: directory });

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-boot-"));
  env = { XDG_CACHE_HOME: directory, XDG_RUNTIME_DIR: directory };
  writeFileSync(join(directory, "k"), tinyKernel("dom0 is up\r\n", "block"));
  writeFileSync(join(directory, "g.cfg"), 'name = "g"\nkernel = "k"\nmemory = 32\n');
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Boots k and does something while it runs. */
async function booted(words: readonly string[], during: () => Promise<void>) {
  let done: Promise<void> | undefined;
  const result = await xenTs(["boot", "--kernel", "k", "--memory", "128M", "--headless", ...words], {
    ...{ env, cwd: directory },
    onOutput: (stdout, child) => {
      if (stdout.includes("dom0 is up")) done ??= during().finally(() => child.kill());
    },
  });
  await done;
  return result;
}

describe("boot", () => {
  test("its host lists dom0, creates guests beside it, and ends by down", async () => {
    const { code, stderr } = await booted([], async () => {
      expect((await run("list")).stdout).toMatch(/^Domain-0 {33} {4}0 +128 {5}1 {5}-b---- /m);
      expect((await run("destroy", "0")).stderr).toBe("xen-ts: Domain-0 can't be destroyed: it ends with its host\n");
      await run("create", "g.cfg", "memory=16");
      await run("down");
    });
    expect(stderr).toBe('xen-ts: ended by "xen-ts down"\n');
    expect(code).toBe(0);
  });

  test("the second one of a name says that it isn't the one that commands reach; --host gives it another", async () => {
    await booted([], async () => {
      const second = await booted([], async () => {});
      expect(second.stderr).toContain("xen-ts: a host named default is running already: commands reach that one");
      const named = await booted(["--host", "two"], async () => {
        expect((await run("list", "--host", "two")).stdout).toContain("Domain-0");
      });
      expect(named.stderr).toBe("xen-ts: ended by SIGTERM\n");
    });
  });
});

describe("console", () => {
  /** `xen-ts console 0` on a pseudo-terminal that Python makes; what it shows, and its exit code. */
  function onTerminal(keys: string): Promise<{ text: string; code: number | null }> {
    const script = [
      "import os, pty, sys, time",
      "pid, fd = pty.fork()",
      "if pid == 0: os.execv(sys.argv[1], sys.argv[1:-1])",
      "time.sleep(2)",
      "for key in sys.argv[-1].encode():",
      "    os.write(fd, bytes([key])); time.sleep(0.1)",
      "while True:",
      "    try: data = os.read(fd, 4096)",
      "    except OSError: break",
      "    if not data: break",
      "    sys.stdout.buffer.write(data); sys.stdout.buffer.flush()",
      "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    ].join("\n");
    return new Promise((resolve) => {
      const child = spawn("python3", ["-c", script, process.execPath, main, "console", "0", keys], {
        env: { ...process.env, ...env },
        cwd: directory,
      });
      let text = "";
      child.stdout.on("data", (bytes: Buffer) => {
        text += bytes.toString();
      });
      child.on("close", (code) => resolve({ text, code }));
    });
  }

  test("Ctrl-] leaves it, and the domain goes on; two can look", async () => {
    await booted([], async () => {
      const [one, two] = await Promise.all([onTerminal("ab\x1d"), onTerminal("\x1d")]);
      expect([one.code, two.code]).toEqual([0, 0]);
      expect((await run("list")).stdout).toContain("Domain-0");
    });
  });
});
