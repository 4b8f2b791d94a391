// Debian's kernel boots as dom0 and as domU and says what it says under real Xen 4.17 (test/golden/boot-logs): a message that differs
// needs an explanation here, and an explanation that no message needs any more has to go.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { buildImage, createXenHost } from "../../src/index.js";
import { alarms, compareBoots, type Explained, kernelMessages, normalise } from "./boot-log.js";

const because = (reason: string, ...patterns: RegExp[]): Explained[] =>
  patterns.map((pattern) => ({ pattern, reason }));

const XSAVE = because(
  "our CPU has XSAVE, the recording's (qemu64) had not",
  /^x86\/fpu: x87 FPU will use FXSAVE$/,
  /^signal: max sigframe size: 1440$/,
);
const HAS_XSAVE = because(
  "our CPU has XSAVE, the recording's (qemu64) had not",
  /^x86\/fpu: (Supporting XSAVE feature|Enabled xstate features)/,
  /^signal: max sigframe size: \d+$/,
);
const RANDOM = because("our CPU has RDRAND", /^random: crng init done$/);

/** Counted in powers of two of the free memory, which the initrd's size moves over the boundary. */
const WORKING_SET: Explained[] = because("dom0 may not grow beyond its 384 MiB", /^workingset: /).map((one) => ({
  ...one,
  sometimes: true,
}));

/** The machines: QEMU's i440FX with its devices in the recording, ours without a PCI device or SMBIOS. */
const dom0Missing = [
  ...XSAVE,
  ...WORKING_SET,
  ...because("no SMBIOS tables", /^SMBIOS 2\.8 present\.$/, /^DMI: QEMU Standard PC/),
  ...because("other ACPI tables: no HPET, no WAET, no PCI interrupt links", /^ACPI: /, /^hpet_acpi_add: /),
  ...because(
    "QEMU measured its clock against the PIT",
    /^tsc: Detected 2599\.\d+ MHz/,
    /lpj=10399816/,
    /max_cycles: 0x257a10a5b04/,
  ),
  ...because(
    "dom0 may not grow beyond its 384 MiB, so Linux prepares for less",
    /1ffdffff/,
    /^last_pfn = /,
    /^NODE_DATA/,
    /^Memory: /,
    /^Built 1 zonelists/,
    /^software IO TLB: mapped/,
    /^On node 0, zone DMA32: /,
  ),
  ...because("no area of the HyperTransport hole: the recording's CPU was an AMD", /^Xen: \[mem 0x0*fd00000000-/),
  ...because(
    "no PCI devices but the host bridge",
    /^pci 0000:00:0[123]\./,
    /^acpiphp: Slot /,
    /^pci_bus 0000:00: (root bus resource|resource 8) \[mem 0x100000000-/,
  ),
  ...because("no keyboard controller", /^i8042: /, /^serio: /, /^input: AT Translated/),
  ...because(
    "no serial port, so no GSI 4 for it; the clock is the first PnP device",
    /^Already setup the GSI/,
    /^pnp: PnP ACPI: found/,
    /^rtc_cmos 00:05/,
  ),
];

/** Linux reports what takes long, on a busy host. */
const SLOW: Explained[] = because("timing of the host", /^.* took \d+ usecs$/, /^hrtimer: interrupt took /).map(
  (one) => ({
    ...one,
    sometimes: true,
  }),
);

const dom0Added = [
  ...WORKING_SET,
  ...SLOW,
  ...HAS_XSAVE,
  ...RANDOM,
  ...because("no SMBIOS tables", /^DMI not present or invalid\.$/),
  ...because("our own ACPI tables", /^ACPI: (RSDP|RSDT|FACP|DSDT|FACS|APIC|Reserving)/),
  ...because(
    "port reads take too long for Linux's PIT measurement: Xen's clock tells the frequency",
    /^tsc: /,
    /lpj=10400000/,
    /max_cycles: 0x257a3c3232d/,
  ),
  ...because(
    "dom0 may not grow beyond its 384 MiB, so Linux prepares for less",
    /18060fff/,
    /^last_pfn = /,
    /^NODE_DATA/,
    /^Memory: /,
    /^Built 1 zonelists/,
    /^software IO TLB: mapped/,
    /^On node 0, zone DMA32: /,
  ),
  ...because("no keyboard controller", /^i8042: /),
  ...because("the clock is the first PnP device", /^pnp: PnP ACPI: found/, /^rtc_cmos 00:00/),
  ...because("our image loads the module", /^xen:xen_evtchn: /),
];

const domuMissing = [...XSAVE, ...because("the recording's /init listed the kernel's arguments", /^ {2,}/)];

const domuAdded = [
  ...SLOW,
  ...HAS_XSAVE,
  ...RANDOM,
  ...because(
    "our image loads more modules",
    /^xen:xen_(privcmd|evtchn): /,
    /^Invalid max_queues/,
    /^xen_netfront: /,
    /^blkfront: /,
  ).map((one) => ({ ...one, sometimes: true })),
  ...because("timing: Linux finds this worth saying or not", /^node 0 deferred pages/).map((one) => ({
    ...one,
    sometimes: true,
  })),
];

it.each([
  { role: "dom0", memory: "384M", cmdline: "console=hvc0 panic=-1", missing: dom0Missing, added: dom0Added },
  { role: "domu", memory: "256M", cmdline: "console=hvc0 panic=-1 xents=info", missing: domuMissing, added: domuAdded },
])("Debian's kernel as $role says what it says under real Xen", async ({ role, memory, cmdline, missing, added }) => {
  const image = await buildImage({ suite: "bookworm" });
  // With the hypervisor's own 8 MiB this is the recording's machine of 512 MiB.
  await using host = await createXenHost({ memory: "504M" });
  const privileged = role === "dom0";
  const domain = await host.createDomain({ kernel: image.kernel, ramdisk: image.initrd, memory, privileged, cmdline });
  const parts: Uint8Array[] = [];
  domain.console.onData((bytes) => void parts.push(bytes.slice()));
  await domain.console.waitFor(/XENTS-SHELL-READY[\s\S]*# /, { timeout: 200_000 });
  await domain.console.write("poweroff\n");
  expect(await domain.waitForShutdown({ timeout: 60_000 })).toBe("poweroff");

  const output = Buffer.concat(parts).toString();
  expect(alarms(output)).toEqual([]);
  const reference = readFileSync(new URL(`../golden/boot-logs/bookworm-${role}.txt`, import.meta.url), "utf8");
  const lines = reference.trimEnd().split("\n").map(normalise);
  const boot = kernelMessages(output);
  const differences = compareBoots(lines, boot, missing, added);
  const show = (sign: string, list: readonly (readonly [string, string | undefined])[]) =>
    list.map(([message, reason]) => `${sign} ${message}   [${reason ?? "NOT EXPLAINED"}]`);
  const same = lines.length - differences.missing.length;
  console.log(
    [
      `${role}: ${same} of ${lines.length} messages are the recording's`,
      ...show("-", differences.missing),
      ...show("+", differences.added),
    ].join("\n"),
  );
  expect(differences.missing.filter(([, reason]) => reason === undefined)).toEqual([]);
  expect(differences.added.filter(([, reason]) => reason === undefined)).toEqual([]);
  expect(differences.idle).toEqual([]);
});
