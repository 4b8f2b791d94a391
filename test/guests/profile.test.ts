// A profile of Debian's kernel names its functions, though the kernel is stripped: as /proc/kallsyms in the guest does.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readKallsyms } from "../../src/hypervisor/loader/kallsyms.js";
import { unpackKernel } from "../../src/hypervisor/loader/kernel-image.js";
import { createXenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

test("kernel symbols are those of /proc/kallsyms, and hot system calls are found", async () => {
  const image = await testImage("bookworm");
  const { kernel, initrd: ramdisk } = image;
  await using host = await createXenHost({ memory: "300M", profile: true });
  const cmdline = "console=hvc0";
  await using guest = await host.createDomain({ kernel, ramdisk, memory: "256M", privileged: true, cmdline });
  await guest.waitForShell({ timeout: 300_000 });
  const { stdout } = await guest.exec("grep -v '\\[' /proc/kallsyms | awk 'NR % 97 == 0 { print $1, $3 }'");
  const table = new Map(
    readKallsyms(unpackKernel(readFileSync(kernel), { name: kernel }).elf).map(({ name, address }) => [
      `${address.toString(16)} ${name}`,
      true,
    ]),
  );
  const lines = stdout.trim().split("\n");
  const own = lines.filter((line) => line.startsWith("ffffffff8"));
  expect(own.length).toBeGreaterThan(500);
  expect(own.filter((line) => !table.has(line))).toEqual([]);

  await guest.exec("dd if=/dev/zero of=/dev/null bs=1 count=200000 2>/dev/null");
  const { functions, exits } = host.profile()!;
  const names = functions.slice(0, 200).map(({ symbol }) => symbol);
  expect(names).toContain("vfs_write");
  expect(functions.some(({ mode }) => mode === "user")).toBe(true);
  expect(exits.map(({ name }) => name)).toContain("hypercall mmu_update");
});
