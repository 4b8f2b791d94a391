// The peers: for each, whether this machine has it, which architectures' programs it runs, and the command that boots a kernel and
// an initramfs with the console on stdout.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const MEMORY_MIB = 512;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-nographic", "-no-reboot", "-nic", "none"];

function hasQemu() {
  return spawnSync(QEMU[0], ["--version"]).status === 0;
}

/** Xen's image, unpacked: QEMU's -kernel takes it for its multiboot or PVH header. BENCH_XEN names another than /boot's newest. */
function xenImage(scratch) {
  let packed = process.env.BENCH_XEN;
  if (packed === undefined) {
    let names = [];
    try {
      names = readdirSync("/boot").filter((name) => /^xen-[\d.]+-amd64\.gz$/.test(name));
    } catch {
      return undefined;
    }
    if (names.length === 0) return undefined;
    packed = join("/boot", names.sort().at(-1));
  }
  const bytes = readFileSync(packed);
  const path = join(scratch, "xen");
  writeFileSync(path, bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
  return path;
}

/** A folder with nothing in it: what is measured then is what a run finds out by itself. */
const emptyFolder = ({ scratch }) => mkdtempSync(join(scratch, "translations-"));
const keptFolder = ({ scratch }) => join(scratch, "translations");

/** `translations`: the folder of the translation cache. */
const xenTs = (translations, ...words) => ({
  architectures: ["amd64", "i386"],
  absent: () => undefined,
  /** Runs that are not counted, but leave what they found out. */
  learns: translations === keptFolder,
  command: ({ node, kernel, ramdisk, cmdline, scratch }) => [
    ...[node, here("../../dist/bundle/cli/main.js"), "boot", "--kernel", kernel, "--ramdisk", ramdisk, "--headless"],
    ...["--memory", `${MEMORY_MIB}M`, "--cmdline", `console=hvc0 ${cmdline}`],
    ...["--translation-cache", translations({ scratch }), ...words],
  ],
});

export const PEERS = {
  native: {
    architectures: ["amd64", "i386"],
    absent: () => (process.arch === "x64" ? undefined : "this isn't an x86-64"),
  },
  qemu: {
    architectures: ["amd64", "i386"],
    absent: () => (hasQemu() ? undefined : "qemu-system-x86_64 isn't installed"),
    command: ({ kernel, ramdisk, cmdline }) => [
      ...[...QEMU, "-m", `${MEMORY_MIB}`, "-cpu", "max", "-kernel", kernel, "-initrd", ramdisk],
      ...["-append", `console=ttyS0 ${cmdline}`],
    ],
  },
  xen: {
    architectures: ["amd64", "i386"],
    absent: ({ scratch }) => {
      if (!hasQemu()) return "qemu-system-x86_64 isn't installed";
      return xenImage(scratch) ? undefined : "no /boot/xen-VERSION-amd64.gz (package xen-hypervisor-4.17-amd64)";
    },
    command: ({ kernel, ramdisk, cmdline, scratch }) => [
      ...[...QEMU, "-m", `${MEMORY_MIB + 128}`, "-cpu", "EPYC,-smap,-smep,-monitor", "-kernel", join(scratch, "xen")],
      ...["-append", `console=com1 com1=115200,8n1 dom0_mem=${MEMORY_MIB}M smap=0 smep=0 spec-ctrl=no xpti=0`],
      ...["-initrd", `${kernel} console=hvc0 ${cmdline},${ramdisk}`],
    ],
  },
  v86: {
    architectures: ["i386"],
    absent: () => {
      try {
        import.meta.resolve("v86");
        return undefined;
      } catch {
        return "the npm package v86 isn't installed";
      }
    },
    command: ({ node, kernel, ramdisk, cmdline, seabios }) => [
      ...[node, here("v86-guest.mjs"), kernel, ramdisk, seabios.bios, seabios.vgaBios],
      ...[`console=ttyS0 ${cmdline}`, `${MEMORY_MIB}`],
    ],
  },
  "xen-ts": xenTs(emptyFolder),
  "xen-ts-again": xenTs(keptFolder),
  "xen-ts-interpreter": xenTs(emptyFolder, "--jit", "off"),
};
