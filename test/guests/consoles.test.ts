// Linux's own hvc driver on our console backend: hvc1 and hvc2 beside the first console, ptys that another program types into, a
// Unix socket, and a frontend that goes and comes back.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createXenHost, type GuestDomain, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const directory = mkdtempSync(join(tmpdir(), "xen-ts-consoles-"));
const socket = join(directory, "agent.sock");
const hasKoffi = await import("koffi").then(
  () => true,
  () => false,
);
const canPty = process.platform === "linux" && hasKoffi;

describe("consoles of a Linux guest", () => {
  let host: XenHost;
  let guest: GuestDomain;
  const log: string[] = [];

  async function run(command: string): Promise<string> {
    const { stdout, exitCode } = await guest.exec(command, { timeout: 60_000 });
    expect(exitCode, `${command}: ${stdout}`).toBe(0);
    return stdout;
  }
  const state = (number: number, end: string) =>
    host.xenstore.read(
      end === "back"
        ? `/local/domain/0/backend/console/${guest.id}/${number}/state`
        : `/local/domain/${guest.id}/device/console/${number}/state`,
    );

  beforeAll(async () => {
    const image = await testImage("bookworm");
    host = await createXenHost({ memory: "192M", consolePtys: canPty, log: (line) => log.push(line) });
    guest = await host.createDomain({
      ...{ kernel: image.kernel, ramdisk: image.initrd, memory: "128M" },
      consoles: [{}, { name: "org.example.agent", socket }],
    });
    await guest.waitForShell({ timeout: 240_000 });
  });
  afterAll(async () => {
    await host?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("the second one runs a shell of its own", async () => {
    expect([state(1, "back"), state(1, "front"), state(2, "back")]).toEqual(["4", "4", "4"]);
    expect(guest.consoles).toHaveLength(3);
    await run("setsid sh -c 'exec sh -i </dev/hvc1 >/dev/hvc1 2>&1' &");
    const second = guest.consoles[1]!;
    await second.waitFor(/# /);
    await second.write("echo here-$((6*7)); tty\n");
    await second.waitFor(/here-42\r\n\/dev\/hvc1/);
    // Far more than the ring holds.
    await second.write("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo all\n");
    const [text] = await second.waitFor(/line 0\r\n.*line 1999\r\nall\r\n/s);
    expect(text.match(/line \d+/g)).toHaveLength(2000);
    expect(guest.console.read()).not.toContain("line 1000");
  });

  test.skipIf(!canPty)("another program opens the pty that XenStore names, types, and reads the answer", async () => {
    const tty = host.xenstore.read(`/local/domain/${guest.id}/device/console/1/tty`)!;
    expect(tty).toMatch(/^\/dev\/pts\/\d+$/);
    expect(host.xenstore.read(`/local/domain/${guest.id}/console/tty`)).not.toBe(tty);
    // The pty is another process's terminal now: what runs there is a shell with its files.
    const script = `exec 3<>${tty}; printf 'echo typed-$((40+2))\\n' >&3; while read -r line <&3; do case $line in *typed-42*) echo "$line"; exit;; esac; done`;
    const child = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    const output: Buffer[] = [];
    child.stdout.on("data", (bytes: Buffer) => output.push(bytes));
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, Buffer.concat(output).toString().trim()]).toEqual([0, "typed-42"]);
  });

  test("a channel's socket is its other end", async () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(await run("cat /sys/bus/xen/devices/console-2/nodename")).toBe("device/console/2\n");
    await run("(exec 3<>/dev/hvc2; stty raw -echo <&3; echo ready >&3; head -c 5 <&3 | tr a-z A-Z >&3) &");
    const stream = connect(socket);
    const heard = async (end: string) => {
      for (let text = ""; ; ) {
        if (text.endsWith(end)) return text;
        const [bytes] = (await once(stream, "data")) as [Buffer];
        text += bytes.toString();
      }
    };
    expect(await heard("ready\n")).toBe("ready\n");
    stream.write("hello");
    expect(await heard("HELLO")).toBe("HELLO");
    stream.destroy();
  });

  test("what is left of a console in XenStore after the domain's end: nothing", async () => {
    const { id } = guest;
    guest.destroy();
    await guest.released();
    await expect(guest.consoles[1]!.waitFor(/never said/)).rejects.toThrow(/the domain ended/);
    expect(host.xenstore.directory("/local/domain/0/backend/console") ?? []).not.toContain(String(id));
    expect(host.xenstore.read(`/local/domain/${id}/device/console/1/state`)).toBeUndefined();
    expect(existsSync(socket)).toBe(false);
    expect(log.filter((line) => line.includes("console"))).toEqual([]);
  });
});
