// `xen-ts xenstore …` and Debian's xenstore-* tools (package xenstore-utils) on the same socket: same answers, same outputs.
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { StoreSocket } from "../../src/host/store-socket.js";
import { XenStoreServer } from "../../src/hypervisor/xenstore/server.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { temporaryPaths } from "../devices/storage/temporary-directory.js";
import { type CommandResult, xenTs } from "../support/command.js";

const fresh = temporaryPaths();
const path = fresh(".sock");
const env = { XENSTORED_PATH: path };
let server: XenStoreServer;
let socket: StoreSocket;

function fill(): void {
  server.remove("/a");
  server.remove("/big");
  server.write("/a/b", 'tab\t nl\n bs\\ q" \x01\x012 \xe9');
  server.write("/a/c/d", "x");
  server.write("/a/c/empty", "");
  server.update((view) => {
    for (let i = 0; i < 400; i++) server.store.mkdir(view, 0, `/big/node-with-a-long-name-${i}`);
  });
}

beforeAll(async () => {
  server = new XenStoreServer(new MachineMemory({ frames: 1, engineBytes: 65536 }));
  socket = await StoreSocket.listen(path, server);
});
afterAll(() => socket.close());

/** /usr/bin/xenstore-control is a script that looks for the running Xen's version; the tool itself comes with xen-utils. */
const controlTool = (existsSync("/usr/lib") ? readdirSync("/usr/lib") : [])
  .map((name) => `/usr/lib/${name}/bin/xenstore-control`)
  .find((file) => /\/xen-[\d.]+\//.test(file) && existsSync(file));
const debianTool = (tool: string) => (tool === "control" && controlTool ? controlTool : `xenstore-${tool}`);

/** One of Debian's tools. */
function debian(tool: string, words: readonly string[]): Promise<CommandResult> {
  return new Promise((resolve) => {
    execFile(debianTool(tool), words, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

const ours = (tool: string, words: readonly string[]) => xenTs(["xenstore", tool, ...words], { env });
const hasTools = spawnSync("xenstore-ls", ["-h"]).error === undefined;

describe.skipIf(!hasTools)("as Debian's tools (apt-get install xenstore-utils)", () => {
  test.each([
    [["ls"]],
    [["ls", "-p"]],
    [["ls", "-f", "/a"]],
    [["ls", "-fp", "/a"]],
    [["ls", "/a", "/a/c"]],
    [["ls", "/nope"]],
    [["read", "/a/b"]],
    [["read", "-R", "/a/b"]],
    [["read", "-p", "/a/b", "/a/c/d"]],
    [["read", "/a/b", "/nope"]],
    [["write", "/w", "1", "/x/y", "2"]],
    [["write", "/w", "a\\x41\\n\\101b\\\\"]],
    [["write", "-R", "/w", "a\\x41"]],
    [["write", "/w y", "1"]],
    [["list", "/a"]],
    [["list", "-p", "/a"]],
    [["list", "/big"]],
    [["list", "/nope"]],
    [["exists", "/a"]],
    [["exists", "/a", "/nope"]],
    [["chmod", "/a", "n1", "r2"]],
    [["chmod", "-r", "/a", "n3"]],
    [["chmod", "-u", "/a/c/d", "b4"]],
    [["chmod", "/a", "x1"]],
    [["control", "check"]],
    [["control", "help"]],
    [["control", "print", "two words"]],
    [["control", "quota"]],
    [["control", "quota", "set", "watches", "99"]],
    [["control", "log", "off"]],
    [["control", "quota", "7"]],
    [["control", "logfile", "/x"]],
    [["control"]],
    [["rm", "/a/c"]],
    [["rm", "-t", "/a/c/d"]],
    [["rm", "/nope"]],
    [["rm", "/nope/x"]],
    [["watch", "-n", "1", "/a"]],
  ])("%j", async ([tool, ...words]) => {
    // Debian has it in another package, xen-utils.
    if (tool === "control" && !controlTool) return;
    const results: unknown[] = [];
    for (const run of [debian, ours]) {
      fill();
      const { code, stdout, stderr } = await run(tool!, words);
      const tree = server.store.root;
      results.push({ isDone: code === 0, stdout, complains: stderr !== "", tree });
    }
    expect(results[1]).toEqual(results[0]);
  });

  test("a transaction of one of them and watches of another", async () => {
    fill();
    const watching = debian("watch", ["-n", "3", "/a"]);
    while (socket.clients === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await ours("write", ["/a/1", "x", "/a/2", "y"]);
    expect((await watching).stdout).toBe("/a\n/a/1\n/a/2\n");
  });
});

describe("without Debian's tools", () => {
  test("errors are one sentence and an exit code", async () => {
    expect(await ours("read", ["/nope"])).toEqual({ code: 1, stdout: "", stderr: "xen-ts: /nope: no such node\n" });
    const { code, stderr } = await xenTs(["xenstore", "ls", "--socket", "/nowhere/socket"]);
    expect([code, stderr]).toEqual([1, "xen-ts: /nowhere/socket: no XenStore answers there\n"]);
    expect((await ours("write", ["/a"])).stderr).toBe("xen-ts: xenstore write: /a has no value\n");
    expect((await ours("write", ["/a"])).code).toBe(2);
    expect((await ours("chmod", ["/a", "x1"])).stderr).toContain("x1 isn't a permission");
  });

  test("the tools' names are commands too", async () => {
    fill();
    expect(await xenTs(["xenstore-read", "/a/c/d"], { env })).toEqual({ code: 0, stdout: "x\n", stderr: "" });
    expect((await xenTs(["xenstore-list", "/a"], { env })).stdout).toBe("b\nc\n");
    expect((await xenTs(["help", "xenstore-chmod"], { env })).stdout).toMatch(/^Usage: xen-ts xenstore chmod /);
    expect((await xenTs(["xenstore-dance"], { env })).code).toBe(2);
  });

  test("ls --json", async () => {
    fill();
    const { stdout } = await ours("ls", ["--json", "/a/c"]);
    expect(JSON.parse(stdout)).toEqual([
      { path: "/a/c/d", value: "x", permissions: ["r0"] },
      { path: "/a/c/empty", value: "", permissions: ["r0"] },
    ]);
  });
});

test("a host's store is reached by its name, and what isn't domains' is there again in the next host", async () => {
  const runtime = mkdtempSync(join(tmpdir(), "xen-ts-xs-"));
  const host = (...words: string[]) =>
    xenTs([...words, "--host", "keeps"], { env: { XDG_RUNTIME_DIR: runtime, XENSTORED_PATH: "/nowhere" } });
  try {
    const up = ["up", "-d", "--memory", "64M"];
    expect((await host(...up)).code).toBe(0);
    expect((await host("xenstore", "write", "/tool/mine", "kept")).code).toBe(0);
    expect((await host("down")).code).toBe(0);
    expect((await host("xenstore", "read", "/tool/mine")).stderr).toContain("no XenStore answers there");
    expect((await host(...up)).code).toBe(0);
    expect((await host("xenstore", "read", "/tool/mine")).stdout).toBe("kept\n");
  } finally {
    await host("down");
    rmSync(runtime, { recursive: true, force: true });
  }
});
