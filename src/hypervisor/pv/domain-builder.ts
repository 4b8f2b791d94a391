// Builds a 64-bit PV domain from a kernel: allocates its frames, loads kernel and ramdisk, writes P2M, start_info and page
// tables (bootstrap-layout.ts), pins the root and sets the first vCPU's registers, as the ABI and Xen's own dom0 builder have it.
// The pseudo-physical frames come in this order: the mapped region, a ramdisk that isn't mapped, the P2M's own frames, the rest.
// Where that is more than a domain has, ramdisk and P2M lie below the kernel instead: the ABI fixes the place of neither.

import { Reg, Seg } from "../../cpu/state-layout.js";
import { FrameType } from "../frame-table.js";
import type { Domain } from "../hypervisor.js";
import type { PvKernel } from "../loader/kernel-image.js";
import { domainMemoryMap } from "../machine-map.js";
import {
  dom0_vga_console_info,
  MAX_GUEST_CMDLINE,
  SIF_INITDOMAIN,
  SIF_MOD_START_PFN,
  SIF_PRIVILEGED,
  SIF_VIRT_P2M_4TOOLS,
  start_info,
} from "../public/xen.js";
import { setKernelRoot } from "./base-pointer.js";
import { type BootstrapLayout, bootstrapLayout } from "./bootstrap-layout.js";
import { BootstrapTables } from "./bootstrap-tables.js";
import { DomainBuildError, mebibytes } from "./domain-build-error.js";
import { hypercallPage64 } from "./hypercall-page.js";
import { resetPvCpu } from "./initial-state.js";

export interface BuildPvDomainOptions {
  readonly kernel: PvKernel;
  readonly ramdisk?: Uint8Array;
  readonly commandLine: string;
  /** 4096-byte pages of the domain. */
  readonly pages: number;
  /** Event ports (of this domain) behind the ring pages. A privileged domain needs none: it then expects to run xenstored itself. */
  readonly storePort?: number;
  readonly consolePort?: number;
}

export interface BuiltPvDomain {
  readonly layout: BootstrapLayout;
  readonly startInfoMfn: number;
  /** Ring pages. */
  readonly storeMfn: number | undefined;
  readonly consoleMfn: number | undefined;
  /** Machine frame by pseudo-physical frame. */
  readonly p2m: Uint32Array;
}

const START_INFO_SIZE = start_info.size(64);
const VGA_INFO_SIZE = dom0_vga_console_info.size(64);
/** 1 MiB: from here to the kernel nothing lies. Below it Linux wants the first 640 KiB for itself and reserves the rest. */
const HOLE_PFN = 0x100;
/** Largest block asked for at once: 128 MiB. */
const MAX_ORDER = 15;

/**
 * @param domain fresh, with `maxPages` at least `pages`. @throws DomainBuildError; the domain is then to be destroyed.
 */
export function buildPvDomain(domain: Domain, options: BuildPvDomainOptions): BuiltPvDomain {
  const { kernel, pages } = options;
  const { notes } = kernel;
  const commandLine = new TextEncoder().encode(options.commandLine);
  if (commandLine.length >= MAX_GUEST_CMDLINE)
    throw new DomainBuildError(
      "command-line-too-long",
      `the command line has ${commandLine.length} bytes; a PV kernel takes at most ${MAX_GUEST_CMDLINE - 1}`,
    );
  const ramdisk = options.ramdisk ?? new Uint8Array(0);
  const layout = bootstrapLayout({
    virtualBase: kernel.layout.virtBase,
    kernelEnd: kernel.layout.virtualEnd,
    ramdiskBytes: ramdisk.length,
    ramdiskByFrame: notes.modStartPfn,
    pages,
    p2mBase: notes.initP2m,
    startInfoBytes: START_INFO_SIZE + (domain.privileged ? VGA_INFO_SIZE : 0),
    hasStore: !domain.privileged || options.storePort !== undefined,
    hasConsole: !domain.privileged,
  });

  const frames = allocateFrames(domain, options, layout);
  const { hypervisor, memory: space } = domain;
  const { memory } = hypervisor;
  if (domain.privileged) logLayout(domain, options, layout, frames);

  const { p2m } = frames;
  /** Copies bytes to pseudo-physical memory. */
  const store = (paddr: number, bytes: Uint8Array) => {
    for (let done = 0; done < bytes.length; ) {
      const at = paddr + done;
      const count = Math.min(bytes.length - done, 4096 - (at % 4096));
      memory.write(p2m[Math.floor(at / 4096)]! * 4096 + (at % 4096), bytes.subarray(done, done + count));
      done += count;
    }
  };
  const physical = (va: bigint): number => Number(va - layout.start);

  for (const { physicalAddress, fileOffset, fileSize } of kernel.segments)
    store(
      Number(physicalAddress - kernel.layout.paddrOffset),
      kernel.elf.bytes.subarray(fileOffset, fileOffset + fileSize),
    );
  if (notes.hypercallPage !== undefined) store(physical(notes.hypercallPage), hypercallPage64());
  store(layout.ramdisk === undefined ? frames.ramdiskPfn * 4096 : physical(layout.ramdisk), ramdisk);
  for (let pfn = 0; pfn < pages; pfn++) space.host.m2p.setPfn(p2m[pfn]!, pfn);

  const root = writeTables(domain, layout, frames, physical);
  const p2mBytes = new Uint8Array(pages * 8);
  const words = new Uint32Array(p2mBytes.buffer);
  for (let pfn = 0; pfn < pages; pfn++) words[2 * pfn] = p2m[pfn]!;
  store(layout.p2mFrames === undefined ? physical(layout.p2m) : frames.p2mDataPfn * 4096, p2mBytes);

  const mfnOf = (va: bigint | undefined) => (va === undefined ? undefined : p2m[physical(va) / 4096]!);
  const storeMfn = mfnOf(layout.store);
  const consoleMfn = mfnOf(layout.console);
  const byFrame = ramdisk.length > 0 && layout.ramdisk === undefined;
  const magic = new TextEncoder().encode("xen-3.0-x86_64");
  store(
    physical(layout.startInfo),
    start_info.encode(64, {
      magic,
      nr_pages: BigInt(pages),
      shared_info: BigInt(domain.sharedInfo),
      flags:
        (domain.privileged ? SIF_PRIVILEGED | SIF_INITDOMAIN : SIF_VIRT_P2M_4TOOLS) | (byFrame ? SIF_MOD_START_PFN : 0),
      store_mfn: BigInt(storeMfn ?? 0),
      store_evtchn: options.storePort ?? 0,
      console: domain.privileged
        ? { dom0: { info_off: START_INFO_SIZE, info_size: VGA_INFO_SIZE } }
        : { domU: { mfn: BigInt(consoleMfn ?? 0), evtchn: options.consolePort ?? 0 } },
      pt_base: layout.tables,
      nr_pt_frames: BigInt(layout.tablePages),
      mfn_list: layout.p2m,
      mod_start: ramdisk.length === 0 ? 0n : byFrame ? BigInt(frames.ramdiskPfn) : layout.ramdisk!,
      mod_len: BigInt(ramdisk.length),
      cmd_line: commandLine,
      first_p2m_pfn: layout.p2mFrames === undefined ? 0n : BigInt(frames.p2mPfn),
      nr_p2m_frames: BigInt(layout.p2mFrames?.total ?? 0),
    }),
  );

  if (!domain.privileged) space.memoryMap ??= domainMemoryMap(Math.max(pages, space.maxPages));
  if (!space.pin(root, FrameType.L4)) throw new Error("the bootstrap page tables that the builder wrote aren't valid");
  startVcpu(domain, root, kernel.layout.entry, layout);
  return { layout, startInfoMfn: mfnOf(layout.startInfo)!, storeMfn, consoleMfn, p2m };
}

interface AllocatedFrames {
  readonly p2m: Uint32Array;
  /** Machine frames of the first block. */
  readonly firstMfn: number;
  readonly firstCount: number;
  readonly ramdiskPfn: number;
  /** First frame of the P2M's tables and data, and of its data alone. */
  readonly p2mPfn: number;
  readonly p2mDataPfn: number;
}

function allocateFrames(domain: Domain, options: BuildPvDomainOptions, layout: BootstrapLayout): AllocatedFrames {
  const { pages } = options;
  const tables = layout.p2mFrames;
  const outside = layout.ramdiskPages + (tables?.total ?? 0);
  const hole = Number(options.kernel.layout.virtualStart - layout.start) / 4096 - HOLE_PFN;
  const usesHole = pages < layout.mappedPages + outside && outside <= hole;
  const needed = layout.mappedPages + (usesHole ? 0 : outside);
  if (pages < needed)
    throw new DomainBuildError(
      "not-enough-memory",
      `${options.kernel.name} with its ramdisk needs at least ${mebibytes(needed)} MiB; the domain has ${Math.floor(pages / 256)} MiB`,
      needed,
      pages,
    );
  const free = domain.hypervisor.mm.freeFrames;
  if (free < pages)
    throw new DomainBuildError(
      "out-of-machine-memory",
      `the machine has ${Math.floor(free / 256)} MiB of free memory; the domain wants ${mebibytes(pages)} MiB`,
      pages,
      free,
    );

  const p2m = new Uint32Array(pages);
  let pfn = 0;
  const take = (count: number): void => {
    const end = pfn + count;
    let order = MAX_ORDER;
    while (pfn < end) {
      while (1 << order > end - pfn) order--;
      const mfn = domain.memory.allocate(order);
      if (mfn < 0) {
        if (order-- > 0) continue;
        throw new DomainBuildError("out-of-machine-memory", "the domain's allowance is below its size", pages, pfn);
      }
      for (let i = 0; i < 1 << order; i++) p2m[pfn++] = mfn + i;
    }
  };
  // dom0's first block is the power of two that holds the mapped region, so that it is contiguous in machine memory.
  const block = 2 ** Math.ceil(Math.log2(layout.mappedPages));
  const firstCount = domain.privileged && block + outside <= pages ? block : layout.mappedPages;
  take(firstCount);
  const ramdiskPfn = usesHole ? HOLE_PFN : pfn;
  const p2mPfn = ramdiskPfn + layout.ramdiskPages;
  if (!usesHole) take(layout.ramdiskPages);
  if (!usesHole) take(tables?.total ?? 0);
  take(pages - pfn);
  const p2mDataPfn = tables === undefined ? p2mPfn : p2mPfn + tables.total - tables.data;
  return { p2m, firstMfn: p2m[0]!, firstCount, ramdiskPfn, p2mPfn, p2mDataPfn };
}

/** @returns the frame of the root. */
function writeTables(
  domain: Domain,
  layout: BootstrapLayout,
  frames: AllocatedFrames,
  physical: (va: bigint) => number,
): number {
  const { p2m } = frames;
  const firstTable = physical(layout.tables) / 4096;
  const endTable = firstTable + layout.tablePages;
  const root = p2m[firstTable]!;
  const tables = new BootstrapTables(domain.hypervisor.memory, root);
  let next = firstTable + 1;
  const isTable = (pfn: number) =>
    (pfn >= firstTable && pfn < endTable) || (pfn >= frames.p2mPfn && pfn < frames.p2mDataPfn);
  tables.map(
    layout.start,
    p2m.subarray(0, layout.mappedPages),
    (pfn) => !isTable(pfn),
    () => p2m[next++]!,
  );
  if (layout.p2mFrames !== undefined) {
    let table = frames.p2mPfn;
    const data = p2m.subarray(frames.p2mDataPfn, frames.p2mDataPfn + layout.p2mFrames.data);
    tables.map(
      layout.p2m,
      data,
      () => true,
      () => p2m[table++]!,
    );
  }
  return root;
}

/** vCPU 0 as it enters the kernel: RSI = start_info, flat segments, interrupts on, upcalls masked (by the domain's creation). */
function startVcpu(domain: Domain, root: number, entry: bigint, layout: BootstrapLayout): void {
  const vcpu = domain.vcpus[0]!;
  const { state } = vcpu.cpu;
  resetPvCpu(vcpu);
  state.setGpr(Reg.RSP, layout.stackEnd);
  state.setGpr(Reg.RSI, layout.startInfo);
  state.rip = entry;
  vcpu.pv.kernelSs = state.segmentSelector(Seg.SS);
  vcpu.pv.kernelSp = layout.stackEnd;
  vcpu.pv.kernelMode = true;
  if (!setKernelRoot(vcpu, root)) throw new Error("the bootstrap root table isn't valid");
  vcpu.isInitialised = true;
  vcpu.up();
}

function logLayout(
  domain: Domain,
  options: BuildPvDomainOptions,
  layout: BootstrapLayout,
  frames: AllocatedFrames,
): void {
  const log = (line: string) => domain.hypervisor.log(line);
  const hex = (value: bigint | number) => value.toString(16).padStart(16, "0");
  const range = (name: string, from: bigint | number, to: bigint | number, more = "") =>
    log(` ${`${name}:`.padEnd(14)} ${hex(from)}->${hex(to)}${more}`);
  const { kernel, pages } = options;
  const { virtualStart, virtualEnd } = kernel.layout;
  log("*** Building a PV Dom0 ***");
  log(" Xen  kernel: 64-bit, lsb");
  log(
    ` Dom0 kernel: 64-bit, PAE, lsb, paddr 0x${kernel.physicalStart.toString(16)} -> 0x${kernel.physicalEnd.toString(16)}`,
  );
  log("PHYSICAL MEMORY ARRANGEMENT:");
  const left = pages - frames.firstCount - layout.ramdiskPages;
  const first = frames.firstMfn * 4096;
  range("Dom0 alloc.", first, first + frames.firstCount * 4096, ` (${left} pages to be allocated)`);
  const ramdiskLength = options.ramdisk?.length ?? 0;
  if (layout.ramdiskPages > 0) {
    const at = frames.p2m[frames.ramdiskPfn]! * 4096;
    range("Init. ramdisk", at, at + ramdiskLength);
  }
  log("VIRTUAL MEMORY ARRANGEMENT:");
  range("Loaded kernel", virtualStart, virtualEnd);
  if (layout.ramdisk !== undefined) range("Init. ramdisk", layout.ramdisk, layout.ramdisk + BigInt(ramdiskLength));
  range("Phys-Mach map", layout.p2m, layout.p2m + BigInt(pages * 8));
  range("Start info", layout.startInfo, layout.startInfo + BigInt(START_INFO_SIZE + VGA_INFO_SIZE));
  range("Page tables", layout.tables, layout.tables + BigInt(layout.tablePages * 4096));
  range("Boot stack", layout.stack, layout.stackEnd);
  range("TOTAL", layout.start, layout.end);
  log(` ENTRY ADDRESS: ${hex(kernel.layout.entry)}`);
}
