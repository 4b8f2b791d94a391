// A Debian kernel under xl's commands as somebody types them: what is changed while it runs, what a reboot keeps, its log, its crash and core.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { xenTs } from "../support/command.js";
import { GuestConsole } from "../support/guest-console.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 240_000;
const directory = mkdtempSync(join(tmpdir(), "xen-ts-toolstack-"));
const env = { XDG_RUNTIME_DIR: directory };
const run = (...words: string[]) => xenTs(words, { env, cwd: directory });
let console: GuestConsole | undefined;

/** A command that says nothing and ends well. */
async function done(...words: string[]): Promise<void> {
  expect(await run(...words)).toEqual({ code: 0, stdout: "", stderr: "" });
}
const inside = async (command: string) => (await console!.run(command)).trim();

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + 90_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
const lists = (pattern: RegExp, ...words: string[]) =>
  until(async () => pattern.test((await run(...words)).stdout), `${words.join(" ")}: ${pattern}`);

async function shell(): Promise<void> {
  console?.close();
  console = new GuestConsole("web", env);
  await console.shows(/XENTS-SHELL-READY/, BOOT_MS);
}

beforeAll(async () => {
  const { kernel, initrd } = await testImage("bookworm");
  for (const name of ["a", "b"]) writeFileSync(join(directory, `${name}.img`), `disk ${name}`.padEnd(65536));
  const lines = [
    `name = "web"\nkernel = "${kernel}"\nramdisk = "${initrd}"\nextra = "console=hvc0"`,
    'memory = 192\nmaxmem = 224\nvcpus = 2\non_crash = "preserve"',
    'disk = ["file:a.img,xvda,w"]\nvif = ["mac=00:16:3e:00:00:01,bridge=lan"]',
  ];
  writeFileSync(join(directory, "web.cfg"), `${lines.join("\n")}\n`);
  expect((await run("up", "-d", "--memory", "256M")).code).toBe(0);
  await done("create", "-q", "web.cfg");
  await shell();
});
afterAll(async () => {
  console?.close();
  await run("down", "-f");
  rmSync(directory, { recursive: true, force: true });
});

test("its memory, its vCPUs and its devices change while it runs", async () => {
  const memory = async () => Number(/^MemTotal: +(\d+)/.exec(await inside("cat /proc/meminfo"))![1]);
  const before = await memory();
  await done("mem-set", "web", "160");
  await lists(/^web +1 +160 /m, "list");
  expect(before - (await memory())).toBe(32 * 1024);
  await done("mem-max", "web", "224");
  await done("vcpu-set", "web", "1");
  await lists(/^web +1 +1 +- +--p /m, "vcpu-list", "web");
  expect(await inside("nproc")).toBe("1");

  await done("block-attach", "web", "file:b.img,xvdb,w");
  await done("network-attach", "web", "mac=00:16:3e:00:00:02", "bridge=lan");
  expect(
    await inside("while [ ! -b /dev/xvdb -o ! -d /sys/class/net/eth1 ]; do sleep 0.1; done; head -c 6 /dev/xvdb"),
  ).toBe("disk b");
  await lists(/^51712 0 +1 +4 .*\n51728 0 +1 +4 /m, "block-list", "web");
  await lists(/:01 +0 +4 .*\n1 +0 +00:16:3e:00:00:02 +1 +4 /m, "network-list", "web");
  await done("block-detach", "web", "xvda");
  expect(await inside("ls /dev/xvd*")).toBe("/dev/xvdb");
});

test("a SysRq key is pressed", async () => {
  await done("sysrq", "web", "h");
  await console!.shows(/sysrq: HELP : /);
});

test("a reboot keeps all that", { timeout: 2 * BOOT_MS }, async () => {
  expect((await run("reboot", "web")).code).toBe(0);
  await lists(/^web +2 +160 /m, "list");
  await shell();
  expect(await inside("nproc; ls /dev/xvd*; cat /sys/class/net/eth*/address")).toBe(
    "1\n/dev/xvdb\n00:16:3e:00:00:01\n00:16:3e:00:00:02",
  );
  expect(await inside("head -c 6 /dev/xvdb")).toBe("disk b");
});

test("its log has both lives", () => {
  const file = join(directory, "xen-ts/default/guest-web.log");
  expect(readFileSync(file, "latin1").match(/Linux version 6\.1/g)).toHaveLength(2);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("after a crash it is kept, and its core is an ELF file with its memory and registers", async () => {
  await inside("(sleep 1; echo c > /proc/sysrq-trigger) & true");
  await lists(/^web +2 .* ---sc- /m, "list");
  await done("dump-core", "web", "core");
  const sections = execFileSync("readelf", ["-SW", join(directory, "core")], { encoding: "utf8" });
  for (const name of [".note.Xen", ".xen_prstatus", ".xen_p2m", ".xen_pages"]) expect(sections).toContain(` ${name} `);
  expect(readFileSync(join(directory, "core")).includes("sysrq triggered crash")).toBe(true);
  await done("destroy", "web");
  expect((await run("list")).stdout.trimEnd().split("\n")).toHaveLength(1);
});
