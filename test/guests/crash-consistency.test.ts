// What a guest was told is on its disk stays there: through `kill -9` of the host process, and through `destroy` in the middle of
// writes. Linux's ext4 replays its journal, finds every file that was synced, and e2fsck finds nothing to repair.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BuiltImage } from "../../images/index.js";
import { createXenHost, type GuestDomain, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const directory = mkdtempSync(join(tmpdir(), "xen-ts-crash-"));
const hasTools = spawnSync("mke2fs", ["-V"]).error === undefined && spawnSync("e2fsck", ["-V"]).error === undefined;
const library = pathToFileURL(resolve("dist/src/index.js")).href;

/**
 * Files of random sizes and contents, each with its checksum beside it, both synced before "synced N" is said; and beside them writes
 * that nobody syncs, over and over in one file.
 */
const WRITER = (first: number) =>
  `cd /mnt; i=${first}; while :; do n=$((1 + (i * 7919) % 61)); dd if=/dev/urandom of=f$i bs=3001 count=$n 2>/dev/null; ` +
  "sha256sum f$i > s$i; dd if=/dev/zero of=scratch bs=64k count=8 seek=$((i % 16)) conv=notrunc 2>/dev/null; " +
  "sync f$i s$i 2>/dev/null || sync; echo synced $i; i=$((i + 1)); done";
const MOUNT =
  "modprobe xen-blkfront; modprobe ext4; for t in 1 2 3 4 5 6 7 8 9; do [ -e /dev/xvda ] && break; sleep 0.3; done; ";

/** A host process of its own with a guest that writes until somebody kills it. */
const HOST_PROCESS = `
const [library, kernel, ramdisk, target, command] = process.argv.slice(1);
const { createXenHost } = await import(library);
const host = await createXenHost({ memory: "192M", jit: true });
const guest = await host.createDomain({ kernel, ramdisk, memory: "160M", disks: [{ vdev: "xvda", target }] });
await guest.waitForShell({ timeout: 240000 });
await guest.exec(command, { timeout: 240000, onOutput: (bytes) => process.stdout.write(bytes) });`;

/** Number of the last file that was synced. */
const lastSynced = (output: string) =>
  Number(
    output
      .match(/synced (\d+)\s/g)
      ?.at(-1)
      ?.match(/\d+/)?.[0] ?? -1,
  );

describe.skipIf(!hasTools)("ext4 on a raw image (needs e2fsprogs)", () => {
  const disk = join(directory, "disk.img");
  let image: BuiltImage;
  let host: XenHost;
  let guest: GuestDomain;
  let synced = -1;
  let child: ChildProcess | undefined;

  async function boot(): Promise<void> {
    host = await createXenHost({ memory: "192M", jit: true });
    guest = await host.createDomain({
      kernel: image.kernel,
      ramdisk: image.initrd,
      memory: "160M",
      disks: [{ vdev: "xvda", target: disk }],
    });
    await guest.waitForShell({ timeout: 240_000 });
    const { stdout, exitCode } = await guest.exec(`${MOUNT} mount -t ext4 /dev/xvda /mnt && dmesg | grep EXT4`);
    expect(exitCode, stdout).toBe(0);
    // What the mount before has left open.
    expect(stdout).toContain("recovery complete");
  }

  /** All files that were synced are what they were. */
  async function verify(): Promise<void> {
    const command = `cd /mnt; i=0; while [ $i -le ${synced} ]; do sha256sum -c s$i > /dev/null || echo lost $i; i=$((i+1)); done; echo $i`;
    const { stdout } = await guest.exec(command, { timeout: 120_000 });
    expect(stdout).toBe(`${synced + 1}\n`);
  }

  beforeAll(async () => {
    image = await testImage("bookworm");
    writeFileSync(disk, "");
    expect(spawnSync("mke2fs", ["-q", "-t", "ext4", disk, "48M"]).status).toBe(0);
  });
  afterAll(async () => {
    child?.kill("SIGKILL");
    await host?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("survives kill -9 of the host process", async () => {
    const words = [library, image.kernel, image.initrd, disk, `${MOUNT} mount -t ext4 /dev/xvda /mnt; ${WRITER(0)}`];
    const killed = spawn(process.execPath, ["--input-type=module", "-e", HOST_PROCESS, ...words]);
    child = killed;
    let output = "";
    killed.stderr.on("data", (text) => {
      output += text;
    });
    killed.stdout.on("data", (text) => {
      output += text;
      if (lastSynced(output) >= 25) killed.kill("SIGKILL");
    });
    await new Promise((done) => killed.once("exit", done));
    synced = lastSynced(output);
    expect(killed.signalCode, output.slice(-2000)).toBe("SIGKILL");
    await boot();
    await verify();
  });

  test("survives destroy in the middle of writes", async () => {
    let output = "";
    const writing = guest.exec(WRITER(synced + 1), {
      timeout: 240_000,
      onOutput: (bytes) => {
        output += Buffer.from(bytes).toString();
        if (lastSynced(output) >= synced + 25) guest.destroy();
      },
    });
    await expect(writing).rejects.toMatchObject({ code: "domain-gone" });
    await guest.released();
    await host.close();
    synced = lastSynced(output);
    await boot();
    await verify();
    expect((await guest.exec("umount /mnt")).exitCode).toBe(0);
    expect((await guest.exec("dmesg")).stdout).not.toMatch(/WARNING:|BUG:|EXT4-fs error|I\/O error/);
    guest.destroy();
    await host.close();
    const check = spawnSync("e2fsck", ["-fn", disk], { encoding: "utf8" });
    expect(check.status, check.stdout).toBe(0);
  });
});
