// Asks Linux for a host's memory in pages of 2 MiB (madvise(2), as QEMU does for its guests' RAM): guests' random accesses cost fewer
// walks of this process's page tables. Node has no call for it, so it goes through koffi, an optional package.

import { readFile } from "node:fs/promises";
import { importKoffi } from "./koffi.js";

/** asm-generic/mman-common.h */
const MADV_HUGEPAGE = 14;
const SETTING = "/sys/kernel/mm/transparent_hugepage/enabled";

/** For memory that wasn't touched yet, whole pages of the machine. Returns why it keeps small pages, or undefined. */
export async function useLargePages(memory: Uint8Array): Promise<string | undefined> {
  if (process.platform !== "linux") return "only Linux gives large ones on request";
  const setting = await readFile(SETTING, "latin1").catch(() => "[never]");
  if (setting.includes("[never]")) return `${SETTING} says never`;
  if (setting.includes("[always]")) return undefined;
  const koffi = await importKoffi(() => undefined);
  if (!koffi) return "large ones need the optional package koffi: npm install koffi";
  const madvise = koffi.load(null).func("int madvise(void *address, size_t length, int advice)");
  return madvise(memory, memory.length, MADV_HUGEPAGE) === 0 ? undefined : `madvise failed with error ${koffi.errno()}`;
}
