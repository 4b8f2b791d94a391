// Eight guests of 64 MB at once on one host, as a user runs them: `up`, eight xl.cfg files, `create`, `list`, `console`. Each has a disk
// and an interface, each reaches each other, each reads and writes its own disk. Prints create-to-shell and the host's memory.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { xenTs } from "../support/command.js";
import { GuestConsole } from "../support/guest-console.js";
import { testImage } from "../support/image.js";

const COUNT = 8;
const DISK = 1 << 20;
const BOOT_MS = 400_000;
const numbers = Array.from({ length: COUNT }, (_, i) => i + 1);
const address = (n: number) => `10.171.45.${n}`;
const directory = mkdtempSync(join(tmpdir(), "xen-ts-many-"));
const env = { XDG_RUNTIME_DIR: directory };
const disk = (n: number) => join(directory, `disk${n}.img`);
const consoles: GuestConsole[] = [];
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

const inAll = (command: (n: number) => string) =>
  Promise.all(consoles.map((console, i) => console.run(command(numbers[i]!))));

test("eight guests of 64 MB, created one after another, each come to a shell", { timeout: 2 * BOOT_MS }, async () => {
  const start = performance.now();
  const seconds: string[] = [];
  for (const n of numbers) {
    const created = performance.now();
    const result = await xenTs(["create", "-q", join(directory, `guest${n}.cfg`)], { env });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    const console = new GuestConsole(`guest${n}`, env);
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

const others = (n: number) => numbers.filter((other) => other !== n).map(address);

test("each reaches each other", { timeout: BOOT_MS }, async () => {
  // One guest after another: the socket of a busybox ping holds three packets of xen-netfront (5376 bytes each of 14560), and it gets the
  // requests of all others too. While it isn't scheduled, theirs could take the room of its answer.
  for (const n of numbers) {
    const command = `for a in ${others(n).join(" ")}; do ping -q -c 1 -W 20 $a | grep received; done`;
    const text = await consoles[n - 1]!.run(command);
    expect(text.match(/^1 packets transmitted, 1 packets received/gm), text).toHaveLength(COUNT - 1);
  }
});

test("all at once fetch something from each other", { timeout: BOOT_MS }, async () => {
  await inAll((n) => `mkdir /www; echo page of ${n} > /www/index.html; httpd -h /www`);
  const said = await inAll((n) => `for a in ${others(n).join(" ")}; do wget -q -O - http://$a/; done`);
  expect(said).toEqual(
    numbers.map((n) =>
      numbers
        .filter((other) => other !== n)
        .map((m) => `page of ${m}\n`)
        .join(""),
    ),
  );
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
