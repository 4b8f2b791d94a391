// Two hosts, each a process of its own (`xen-ts up`), whose guests are joined by a socket link: they reach each other, a capture by
// `xen-ts network-dump` shows it, and interfaces come and go by `network-attach` and `network-detach` while packets pass.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main, xenTs } from "../support/command.js";
import { GuestConsole } from "../support/guest-console.js";
import { testImage } from "../support/image.js";

const directory = mkdtempSync(join(tmpdir(), "xen-ts-linked-"));
const names = ["left", "right"] as const;
const runtime = (name: string) => join(directory, name);
const envOf = (name: string) => ({ XDG_RUNTIME_DIR: runtime(name) });
const consoles: GuestConsole[] = [];

beforeAll(async () => {
  const { kernel, initrd } = await testImage("bookworm");
  for (const [i, name] of names.entries()) {
    mkdirSync(runtime(name), { mode: 0o700 });
    const config = [
      `name = "${name}"\nkernel = "${kernel}"\nramdisk = "${initrd}"\nmemory = 128`,
      `vif = ["mac=00:16:3e:00:00:0${i + 1},type=stream,path=${join(directory, "link")},listen=${1 - i}"]`,
      `extra = "console=hvc0 xents.ip=192.168.5.${i + 1}/24"`,
    ];
    writeFileSync(join(directory, `${name}.cfg`), `${config.join("\n")}\n`);
    expect(await xenTs(["up", "--detach", "--memory", "160M"], { env: envOf(name) })).toMatchObject({ code: 0 });
    const created = await xenTs(["create", "-q", join(directory, `${name}.cfg`)], { env: envOf(name) });
    expect(created).toMatchObject({ code: 0, stderr: "" });
    consoles.push(new GuestConsole(name, envOf(name)));
  }
  await Promise.all(consoles.map((console) => console.shows(/XENTS-SHELL-READY/, 400_000)));
});
afterAll(async () => {
  for (const console of consoles) console.close();
  for (const name of names) await xenTs(["down", "-f"], { env: envOf(name) });
  rmSync(directory, { recursive: true, force: true });
});

/** The frames of a pcap file with nanoseconds, little-endian. */
function* framesOf(file: Buffer): Generator<Buffer> {
  expect([file.readUInt32LE(0), file.readUInt32LE(20)]).toEqual([0xa1b23c4d, 1]);
  let time = 0n;
  for (let at = 24; at < file.length; ) {
    const now = BigInt(file.readUInt32LE(at)) * 1_000_000_000n + BigInt(file.readUInt32LE(at + 4));
    expect(now >= time).toBe(true);
    time = now;
    const length = file.readUInt32LE(at + 8);
    expect(file.readUInt32LE(at + 12)).toBe(length);
    yield file.subarray(at + 16, at + 16 + length);
    at += 16 + length;
  }
}

test("guests of two host processes reach each other, and a capture shows how", async () => {
  const file = join(directory, "ping.pcap");
  const dump = spawn(process.execPath, [main, "network-dump", "left", "-w", file], {
    env: { ...process.env, ...envOf("left") },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = once(dump, "exit");
  // It has begun when the file has its header.
  const isOpen = () => {
    try {
      return readFileSync(file).length >= 24;
    } catch {
      return false;
    }
  };
  while (!isOpen() && dump.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await consoles[1]!.run("ping -c 3 -s 1000 -p 5a 192.168.5.1")).toContain("3 packets received");
  dump.kill("SIGINT");
  await ended;
  const frames = [...framesOf(readFileSync(file))];
  const echoes = frames.filter((frame) => frame.readUInt16BE(12) === 0x0800 && frame[23] === 1);
  expect(echoes.map((frame) => `${frame[34]} ${frame.length} ${frame.subarray(6, 12).toString("hex")}`)).toEqual(
    Array.from({ length: 3 }, () => ["8 1042 00163e000002", "0 1042 00163e000001"]).flat(),
  );
  for (const echo of echoes) expect(echo.subarray(60).every((byte) => byte === 0x5a)).toBe(true);
  expect(frames.some((frame) => frame.readUInt16BE(12) === 0x0806)).toBe(true);
});

test("an interface comes and goes while packets pass, and comes again", async () => {
  const [left, right] = consoles as [GuestConsole, GuestConsole];
  const wait = (condition: string) =>
    `i=0; until ${condition} || [ $i -ge 100 ]; do sleep 0.1; i=$((i+1)); done; ${condition}`;
  for (const round of [1, 2]) {
    const path = join(directory, `second${round}`);
    for (const [i, name] of names.entries()) {
      const words = ["network-attach", name, "type=stream", `path=${path}`, `listen=${1 - i}`];
      expect(await xenTs(words, { env: envOf(name) })).toMatchObject({ code: 0 });
      await consoles[i]!.run(`${wait("[ -e /sys/class/net/eth1 ]")}; ip addr add 10.5.0.${i + 1}/24 dev eth1`);
      await consoles[i]!.run("ip link set eth1 up");
    }
    expect(await right.run("ping -c 2 10.5.0.1")).toContain("2 packets received");
    // Both ways busy while it is taken away.
    for (const [i, other] of [2, 1].entries())
      await consoles[i]!.run(`(ping -s 1400 -i 0.01 10.5.0.${other} > /tmp/pings 2>&1 &); sleep 0.5`);
    for (const name of names) {
      const detached = await xenTs(["network-detach", name, "1"], { env: envOf(name) });
      expect(detached).toMatchObject({ code: 0, stderr: "" });
    }
    for (const console of [left, right]) {
      await console.run(wait("[ ! -e /sys/class/net/eth1 ]"));
      // It may have ended by itself, without a way to go.
      await console.run("killall ping 2>/dev/null || true");
    }
  }
  expect(await left.run("ping -c 2 192.168.5.2")).toContain("2 packets received");
  for (const console of [left, right])
    expect(await console.run("dmesg | grep -cE 'WARNING:|BUG:|Call Trace' || true")).toBe("0\n");
});
