// What a user reaches of a running guest besides its terminal: a capture of an interface, and the console on a TCP port.
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CommandOptions, xenTs } from "../support/command.js";
import { tinyKernel } from "../support/tiny-kernel.js";

const PCAP_NS_MAGIC = 0xa1b23c4d;
const HEADER_BYTES = 24;

let directory: string;
let env: Record<string, string>;
const run = (words: readonly string[], options: CommandOptions = {}) =>
  xenTs(words, { env, cwd: directory, ...options });

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-capture-"));
  env = { XDG_CACHE_HOME: directory, XDG_RUNTIME_DIR: directory };
  writeFileSync(join(directory, "kernel"), tinyKernel("hello\r\n", "block"));
  writeFileSync(
    join(directory, "web.cfg"),
    'name = "web"\nkernel = "kernel"\nmemory = 32\nvif = ["mac=00:16:3e:00:00:01,bridge=lan"]\n',
  );
  expect((await run(["up", "-d", "--memory", "64M", "--console-ports"])).code).toBe(0);
  expect((await run(["create", "-q", "web.cfg"])).code).toBe(0);
});
afterAll(async () => {
  await run(["down", "--force"]);
  rmSync(directory, { recursive: true, force: true });
});

describe("network-dump", () => {
  test.each([
    ["to a file", ["-w", "web.pcap"]],
    ["of an interface by number, to a file", ["0", "-w", "number.pcap"]],
    ["of an interface by MAC, cut", ["00:16:3e:00:00:01", "-s", "96", "-w", "mac.pcap"]],
  ])("%s: a capture that Ctrl-C ends well", async (_, words) => {
    const file = join(directory, words.at(-1)!);
    const { code, stderr } = await run(["network-dump", "web", ...words], {
      onStart: (child) => {
        const timer = setInterval(() => {
          if (!existsSync(file) || readFileSync(file).length < HEADER_BYTES) return;
          clearInterval(timer);
          child.kill("SIGINT");
        }, 20);
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const bytes = readFileSync(file);
    expect(bytes).toHaveLength(HEADER_BYTES);
    expect(bytes.readUInt32LE(0)).toBe(PCAP_NS_MAGIC);
    if (words.includes("-s")) expect(bytes.readUInt32LE(16)).toBe(96);
  });

  test("to a pipe", async () => {
    const { code, stdout } = await run(["network-dump", "web"], {
      onOutput: (text, child) => {
        if (text.length > 0) child.kill("SIGINT");
      },
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^M</);
  });

  test.each<[string[], number, RegExp]>([
    [["nosuch"], 1, /^nosuch is an invalid domain identifier \(rc=-6\)\n$/],
    [["web", "7"], 1, /^xen-ts: Unknown device 7\.\n$/],
    [["web", "-c", "0"], 2, /^xen-ts: -c: "0" is not a number from 1 to \d+\n$/],
    [["web", "-w", "none/x.pcap"], 1, /^xen-ts: none\/x\.pcap: ENOENT/],
  ])("%j says what is wrong", async (words, code, message) => {
    const result = await run(["network-dump", ...words]);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: "" });
  });
});

test("--console-ports: the console is on TCP port 9600 and the id, as long as its domain lives", async () => {
  const port = 9600 + Number((await run(["domid", "web"])).stdout);
  let text = "";
  const visitor = connect(port, "127.0.0.1");
  const closed = once(visitor, "close");
  visitor.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  await expect.poll(() => text).toBe("************ REMOTE CONSOLE: CTRL-] TO QUIT ********\r\n");
  expect((await run(["destroy", "web"])).code).toBe(0);
  await closed;
  const again = () =>
    once(connect(port, "127.0.0.1"), "connect").then(
      () => "open",
      ({ code }) => code,
    );
  await expect.poll(again, { timeout: 10_000 }).toBe("ECONNREFUSED");
});
