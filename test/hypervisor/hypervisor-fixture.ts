// A real hypervisor with a real CPU engine over a small machine, and PV domains built from a kernel of a few bytes. Tests call
// hypercall handlers as the guest would: arguments in registers' order, structures in guest memory.

import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { createHypervisor } from "../../src/hypervisor/create-hypervisor.js";
import { copyToGuest } from "../../src/hypervisor/guest-access.js";
import { type Hypercall, HypercallArgs } from "../../src/hypervisor/hypercall/args.js";
import type { Domain, Hypervisor, Vcpu } from "../../src/hypervisor/hypervisor.js";
import { requirePv64Kernel, unpackKernel } from "../../src/hypervisor/loader/kernel-image.js";
import { cpuFeatureWords } from "../../src/hypervisor/pv/cpuid-features.js";
import { CpuidPolicy } from "../../src/hypervisor/pv/cpuid-policy.js";
import { type BuildPvDomainOptions, buildPvDomain } from "../../src/hypervisor/pv/domain-builder.js";
import { writeGate } from "../../src/hypervisor/pv/gate.js";
import { noIoPorts } from "../../src/hypervisor/pv/port-space.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { buildElf, note, number, text } from "./loader/build-image.js";

/** Virtual address of pseudo-physical 0 in the tests' domains. */
export const BASE = 0xffff_ffff_8000_0000n;
/** Pages that the tests may use as they like: mapped writable at BASE + pfn * 4096, from this pfn on. */
export const FREE_PFN = 0x200;

const XEN_ELFNOTE = { ENTRY: 1, VIRT_BASE: 3, XEN_VERSION: 5, LOADER: 8, INIT_P2M: 15, MOD_START_PFN: 16 };

/** `at`: its pseudo-physical address. */
export function tinyKernel(code: readonly number[] = [0xf4], at = 0x10_0000n) {
  const notes = [
    note(XEN_ELFNOTE.XEN_VERSION, text("xen-3.0")),
    note(XEN_ELFNOTE.LOADER, text("generic")),
    note(XEN_ELFNOTE.VIRT_BASE, number(BASE)),
    note(XEN_ELFNOTE.ENTRY, number(BASE + at)),
    note(XEN_ELFNOTE.INIT_P2M, number(0x80_0000_0000n)),
    note(XEN_ELFNOTE.MOD_START_PFN, number(1, 4)),
  ];
  const contents = new Uint8Array(0x1000);
  contents.set(code);
  const elf = buildElf({
    class: 64,
    entry: BASE + at,
    segments: [
      { paddr: at, vaddr: BASE + at, contents },
      { type: 4, contents: Uint8Array.from(notes.flatMap((one) => [...one])) },
    ],
  });
  return requirePv64Kernel(unpackKernel(elf, { name: "tiny" }));
}

export interface Host {
  readonly hypervisor: Hypervisor;
  readonly memory: MachineMemory;
  readonly log: string[];
  readonly engine: Engine;
}

/**
 * `gate`: system calls and iret in WebAssembly where they can be; `jit`: hot code is compiled; `nsPerLook`: what passes between two
 * looks at the clock.
 */
export function makeHost(frames = 8192, { gate = true, jit = false, nsPerLook = 1000n } = {}): Host {
  const memory = new MachineMemory({ frames, engineBytes: 24 * 2 ** 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 2 ** 20, jit });
  if (gate) engine.setGate(writeGate(memory));
  const log: string[] = [];
  const cpus = new Map<number, Cpu>();
  let time = 0n;
  const hypervisor = createHypervisor({
    memory,
    clock: { monotonic: () => (time += nsPerLook), wall: () => 0n },
    tscKhz: 1_000_000,
    random: () => 0.5,
    createCpu: (domid, vcpu) => {
      // Domains that follow one another share CPUs: engine memory is never given back.
      const hooks = { cpuid: () => {}, rdtsc: () => 0n, random64: () => 0n };
      const key = vcpu * 2 + (domid === 0 ? 0 : 1);
      const cpu = cpus.get(key) ?? new Cpu(engine, { hooks, paravirtual: true });
      cpus.set(key, cpu);
      return cpu;
    },
    decoder: engine.decoder,
    cpuid: new CpuidPolicy({
      features: cpuFeatureWords(DEFAULT_FEATURES),
      tscKhz: 1_000_000,
      xenVersion: { major: 4, minor: 17 },
      machineAddressWidth: 40,
    }),
    ioPorts: noIoPorts,
    log: (line) => void log.push(line),
    consoleWrite: () => {},
  });
  return { hypervisor, memory, log, engine };
}

export function makeDomain(
  host: Host,
  privileged: boolean,
  { vcpus = 1, ...options }: Partial<BuildPvDomainOptions> & { vcpus?: number } = {},
) {
  const pages = options.pages ?? 2048;
  const domain = host.hypervisor.createDomain({ name: "test", privileged, maxPages: pages + 64, vcpus });
  const built = buildPvDomain(domain, { kernel: tinyKernel(), commandLine: "test", ...options, pages });
  return { domain, built, vcpu: domain.vcpus[0]!, p2m: built.p2m };
}

const args = new HypercallArgs();

/** Calls a handler with up to six arguments. */
export function call(handler: Hypercall, vcpu: Vcpu, ...values: (bigint | number)[]): number | bigint | undefined {
  args.quads.fill(0n);
  for (const [i, value] of values.entries()) args.quads[i] = BigInt.asUintN(64, BigInt(value));
  return handler(vcpu, args) as number | bigint | undefined;
}

/** Virtual address of a pseudo-physical frame of the bootstrap region. */
export function va(pfn: number): bigint {
  return BASE + BigInt(pfn * 4096);
}

/** Puts 64-bit words into guest memory. */
export function putWords(vcpu: Vcpu, address: bigint, words: readonly (bigint | number)[]): void {
  const bytes = new Uint8Array(words.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setBigUint64(i * 8, BigInt.asUintN(64, BigInt(word)), true);
  if (!copyToGuest(vcpu, address, bytes)) throw new Error(`test: ${address.toString(16)} isn't writable`);
}

/** What holds references besides page tables. */
export function otherReferences(domains: readonly Domain[]) {
  return domains.flatMap((domain) =>
    domain.vcpus.flatMap(({ pv }) =>
      [pv.guestTable, pv.guestUserTable, ...pv.gdtFrames]
        .filter((mfn) => mfn >= 0)
        .map((mfn) => ({ mfn, references: 1, types: 1 })),
    ),
  );
}
