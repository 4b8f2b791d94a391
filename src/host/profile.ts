// A profile as data: samples with the names that the guests' kernels have for their addresses (the kernel file's own symbol table,
// stripped kernels have one too: loader/kallsyms.ts).

import type { ElfImage } from "../hypervisor/loader/elf.js";
import { type ElfSymbol, readSymbols } from "../hypervisor/loader/elf-symbols.js";
import { readKallsyms } from "../hypervisor/loader/kallsyms.js";

export interface ProfiledExit {
  /** "hypercall mmu_update", "#PF", "syscall", … */
  readonly name: string;
  readonly count: number;
  /** Host time for what it asked for. */
  readonly ms: number;
}

export interface ProfiledWork {
  /** "decode": instructions met for the first time; "prepare", "compile", "install": regions of the JIT. A background compiler's time isn't here. */
  readonly name: "decode" | "prepare" | "compile" | "install";
  /** Instructions decoded, or regions. */
  readonly count: number;
  readonly ms: number;
}

export interface HotPlace {
  readonly domain: string;
  readonly mode: "kernel" | "user";
  /** Of a function: its beginning. Of user code: the page. */
  readonly address: bigint;
  /** Function, or function+0xoffset; undefined in user code and modules. */
  readonly symbol?: string;
  /** Host time in guest code here, by sampling. */
  readonly ms: number;
}

export interface Profile {
  /** Host time of the run loop: all of it while something ran, and asleep. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** Of busyMs: inside Cpu.run, that is guest code with its TLB misses, decoding and compilation. */
  readonly guestMs: number;
  /** Of busyMs: what exits asked for. */
  readonly exitMs: number;
  /** Of guestMs, nearly all: the engine's own work. */
  readonly work: readonly ProfiledWork[];
  /** Share of the sampled guest time whose sample lay in code that is compiled. */
  readonly compiledShare: number;
  /** By time, longest first; the next two too. */
  readonly exits: readonly ProfiledExit[];
  readonly functions: readonly HotPlace[];
  readonly addresses: readonly HotPlace[];
}

/** What was seen of one domain. */
export interface DomainSamples {
  readonly id: number;
  readonly name: string;
  readonly kernel: ElfImage;
  /** Milliseconds of host time by address. */
  readonly kernelPlaces: Map<bigint, number>;
  readonly userPlaces: Map<bigint, number>;
}

export interface ProfileSources {
  readonly exits: readonly ProfiledExit[];
  readonly work: readonly ProfiledWork[];
  readonly compiledShare: number;
  readonly domains: Iterable<DomainSamples>;
  readonly guestMs: number;
  readonly busyMs: number;
  readonly idleMs: number;
}

const PAGE_MASK = ~0xfffn;

export function buildProfile({ exits, domains, ...rest }: ProfileSources): Profile {
  const functions: HotPlace[] = [];
  const addresses: HotPlace[] = [];
  for (const samples of domains) {
    const nearest = symbolFinder(samples);
    const sums = new Map<bigint, HotPlace>();
    const add = (place: HotPlace) =>
      sums.set(place.address, { ...place, ms: place.ms + (sums.get(place.address)?.ms ?? 0) });
    const domain = samples.name;
    for (const [address, ms] of samples.kernelPlaces) {
      const symbol = nearest(address);
      const offset = symbol ? address - symbol.address : 0n;
      const named = symbol ? { symbol: offset === 0n ? symbol.name : `${symbol.name}+0x${offset.toString(16)}` } : {};
      addresses.push({ domain, mode: "kernel", address, ms, ...named });
      if (symbol) add({ domain, mode: "kernel", address: symbol.address, symbol: symbol.name, ms });
      else add({ domain, mode: "kernel", address: address & PAGE_MASK, ms });
    }
    for (const [address, ms] of samples.userPlaces) {
      addresses.push({ domain, mode: "user", address, ms });
      add({ domain, mode: "user", address: address & PAGE_MASK, ms });
    }
    functions.push(...sums.values());
  }
  const byTime = (a: { ms: number }, b: { ms: number }) => b.ms - a.ms;
  return {
    ...rest,
    exitMs: exits.reduce((sum, { ms }) => sum + ms, 0),
    exits: [...exits].sort(byTime),
    functions: functions.sort(byTime),
    addresses: addresses.sort(byTime),
  };
}

/** The symbol that an address of the kernel image lies in. */
function symbolFinder({ kernel, kernelPlaces }: DomainSamples): (address: bigint) => ElfSymbol | undefined {
  if (kernelPlaces.size === 0) return () => undefined;
  const own = readSymbols(kernel);
  const symbols = own.length > 0 ? own : readKallsyms(kernel);
  return (address) => {
    let low = 0;
    for (let high = symbols.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (symbols[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    const symbol = symbols[low - 1];
    const isLast = low === symbols.length;
    return symbol && !isLast ? symbol : undefined;
  };
}
