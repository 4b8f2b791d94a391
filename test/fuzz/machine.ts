// The machine of the hypercall fuzzer: a victim whose pages hold a secret, free frames that held it, a privileged domain when
// wanted, and for each attack a fresh attacker. Knows what the attacker may change, and finds out what it did.

import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { STATE_SIZE } from "../../src/cpu/state-layout.js";
import { auditFrames } from "../../src/hypervisor/audit.js";
import { createHypervisor } from "../../src/hypervisor/create-hypervisor.js";
import { FrameFlag, OWNER_NONE, OWNER_XEN } from "../../src/hypervisor/frame-table.js";
import { copyToGuest } from "../../src/hypervisor/guest-access.js";
import { findL1Slot } from "../../src/hypervisor/guest-tables.js";
import type { Domain, Hypervisor } from "../../src/hypervisor/hypervisor.js";
import {
  GNTMAP_host_map,
  GNTMAP_readonly,
  GTF_permit_access,
  GTF_readonly,
} from "../../src/hypervisor/public/grant-table.js";
import { shared_info, vcpu_info, vcpu_time_info } from "../../src/hypervisor/public/xen.js";
import { cpuFeatureWords } from "../../src/hypervisor/pv/cpuid-features.js";
import { CpuidPolicy } from "../../src/hypervisor/pv/cpuid-policy.js";
import { readDescriptor } from "../../src/hypervisor/pv/descriptors.js";
import { writeGate } from "../../src/hypervisor/pv/gate.js";
import { noIoPorts } from "../../src/hypervisor/pv/port-space.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import { FREE_PFN, makeDomain, va } from "../hypervisor/hypervisor-fixture.js";
import { PAGES, type World } from "./values.js";

/** Fills the secret pages: any piece of them is recognised, whatever its alignment. */
const SECRET_BYTE = 0xa7;
export const SECRET = 0xa7a7a7a7;
const FRAMES = 5120;
const DOMAIN_PAGES = 1088;
/** The victim's pages that the attacker may read, or read and write: grant references and pages. */
const READABLE = { refs: [1, 8], pfn: FREE_PFN + 40 };
const WRITABLE = { refs: [2, 9], pfn: FREE_PFN + 41 };

export interface Machine {
  readonly hypervisor: Hypervisor;
  readonly memory: MachineMemory;
  readonly engine: Engine;
  readonly victim: ReturnType<typeof makeDomain>;
  readonly log: string[];
  readonly freeFrames: number;
  /** The attacker's console output held a piece of the secret. */
  leakedToConsole: boolean;
}

export function makeMachine(): Machine {
  const memory = new MachineMemory({ frames: FRAMES, engineBytes: 120 * 2 ** 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 8 * 2 ** 20 });
  engine.setGate(writeGate(memory));
  const log: string[] = [];
  let time = 0n;
  let seed = 1;
  const cpuid = new CpuidPolicy({
    features: cpuFeatureWords(DEFAULT_FEATURES),
    tscKhz: 1_000_000,
    xenVersion: { major: 4, minor: 17 },
    machineAddressWidth: 40,
  });
  const state = { leakedToConsole: false };
  const hypervisor: Hypervisor = createHypervisor({
    memory,
    clock: { monotonic: () => (time += 1000n), wall: () => 0n },
    tscKhz: 1_000_000,
    random: () => (seed = (seed * 16807) % 2147483647) / 2147483647,
    createCpu: (domid, id) =>
      new Cpu(engine, {
        paravirtual: true,
        hooks: {
          cpuid: (leaf, subleaf, out) => void out.set(cpuid.query(leaf, subleaf, { vcpuId: id, osxsave: true })),
          rdtsc: () => time,
          random64: () => 0x1234n,
          readDescriptor: (selector) => readDescriptor(hypervisor, hypervisor.domains.get(domid)!.vcpus[id]!, selector),
        },
      }),
    decoder: engine.decoder,
    cpuid,
    ioPorts: noIoPorts,
    log: (line) => void log.push(line),
    consoleWrite: (_domid, bytes) => {
      if (Buffer.from(bytes).includes(Buffer.alloc(8, SECRET_BYTE))) state.leakedToConsole = true;
    },
  });
  const host = { hypervisor, memory, log, engine };
  const victim = makeDomain(host, false, { pages: DOMAIN_PAGES });
  // Frames that are free, but held the secret once.
  const former = makeDomain(host, false, { pages: DOMAIN_PAGES });
  hideSecret(hypervisor, former.p2m);
  hypervisor.destroyDomain(former.domain);
  hideSecret(hypervisor, victim.p2m.slice(FREE_PFN));
  for (const { pfn } of [READABLE, WRITABLE]) memory.fill(victim.p2m[pfn]! * 4096, 4096, 0x11);
  const { freeFrames } = hypervisor.mm;
  return Object.assign(state, { hypervisor, memory, engine, victim, log, freeFrames });
}

/** In all pages but the page tables and descriptor pages among them. */
function hideSecret({ memory, mm }: Hypervisor, list: Iterable<number>): void {
  for (const mfn of list)
    if (!(mm.frames.flags[mfn]! & FrameFlag.Validated)) memory.fill(mfn * 4096, 4096, SECRET_BYTE);
}

export interface Attack extends World {
  readonly machine: Machine;
  readonly domain: Domain;
  readonly before: Buffer;
  readonly ownersBefore: Uint16Array;
}

export function beginAttack(machine: Machine, privileged: boolean): Attack {
  const { hypervisor, memory, victim } = machine;
  const { domain, vcpu, p2m, built } = makeDomain(machine, privileged, { pages: DOMAIN_PAGES });
  const { frames } = hypervisor.mm;
  const { grants, events } = victim.domain;
  for (const ref of READABLE.refs)
    grants.seed(ref, domain.id, BigInt(victim.p2m[READABLE.pfn]!), GTF_permit_access | GTF_readonly);
  for (const ref of WRITABLE.refs) grants.seed(ref, domain.id, BigInt(victim.p2m[WRITABLE.pfn]!));
  events.reset();
  events.allocUnbound(domain.id);
  domain.grants.grow(2);
  // Its own grants: to the victim, and to itself, where it may change the mapping behind the hypervisor's back.
  domain.grants.seed(8, 1, BigInt(p2m[FREE_PFN + 4]!));
  for (const ref of [2, 3, 9]) domain.grants.seed(ref, domain.id, BigInt(p2m[FREE_PFN + 5]!));
  domain.grants.seed(10, domain.id, BigInt(p2m[FREE_PFN + 6]!), GTF_permit_access | GTF_readonly);
  const tablesOf = (owner: number) => {
    const found: number[] = [];
    for (let mfn = 0; mfn < frames.frames; mfn++)
      if (frames.owners[mfn] === owner && frames.types[mfn]! >= 1 && frames.types[mfn]! <= 4) found.push(mfn);
    return found.sort((a, b) => frames.types[b]! - frames.types[a]!);
  };
  const own = tablesOf(domain.id);
  // The table that maps the attack's pages comes twice: most attacks are about it.
  const main = Math.floor(findL1Slot(memory, vcpu.pv.guestTable, va(FREE_PFN)) / 4096);
  const foreign = [
    victim.p2m[FREE_PFN]!,
    victim.p2m[READABLE.pfn]!,
    victim.p2m[WRITABLE.pfn]!,
    ...victim.p2m.slice(0, 4),
    ...tablesOf(victim.domain.id).slice(0, 8),
    victim.domain.sharedInfoMfn,
    victim.domain.grants.frames[0]!,
    ...[...Array(frames.frames).keys()].filter((mfn) => frames.owners[mfn] === OWNER_NONE).slice(0, 6),
    ...[0, 1, 0xa0, 0xfee00, frames.frames - 1, frames.frames - 20, frames.frames, frames.frames + 1, 0xfec00],
  ];
  for (let page = 0; page < PAGES; page++) if (page >= 8) copyToGuest(vcpu, va(FREE_PFN + page), new Uint8Array(4096));
  return {
    machine,
    domain,
    vcpu,
    p2m,
    tables: [main, main, ...own],
    special: [domain.sharedInfoMfn, ...domain.grants.frames, built.startInfoMfn, vcpu.pv.guestTable],
    foreign,
    before: Buffer.from(memory.u8),
    ownersBefore: frames.owners.slice(),
  };
}

/** References that no page table stands for. */
function otherReferences(hypervisor: Hypervisor) {
  const found: { mfn: number; references: number; types: number }[] = [];
  const hold = (mfn: number, types = 1) => void (mfn >= 0 && found.push({ mfn, references: 1, types }));
  for (const domain of hypervisor.domains.values()) {
    hold(domain.pirqEoiMfn);
    for (const { pv, infoMfn } of domain.vcpus) {
      hold(infoMfn);
      for (const mfn of [pv.guestTable, pv.guestUserTable, ...pv.gdtFrames, ...pv.ldtFrames.values()]) hold(mfn);
    }
    for (const maddr of domain.events.fifoPages()) hold(Math.floor(maddr / 4096));
    for (let handle = 0; handle < domain.grants.mappingCount + 64; handle++) {
      const mapping = domain.grants.mapping(handle);
      if (mapping && !(mapping.flags & GNTMAP_host_map)) hold(mapping.mfn, mapping.flags & GNTMAP_readonly ? 0 : 1);
    }
  }
  return found;
}

/** Everything that must not be so, as lines; empty when the attack failed. Of domain 0 only the accounting has to be right. */
export function damage(attack: Attack): string[] {
  const { machine, domain } = attack;
  const { hypervisor } = machine;
  const problems = auditFrames(hypervisor.mm, otherReferences(hypervisor));
  if (domain.privileged) return problems;
  return [...problems, ...changedFrames(attack), ...leaks(attack)];
}

/** Frames of others whose contents are not what they were. */
function changedFrames({ machine, domain, before, ownersBefore }: Attack): string[] {
  const { hypervisor, memory, victim } = machine;
  const { frames } = hypervisor.mm;
  const now = Buffer.from(memory.u8.buffer, memory.u8.byteOffset, memory.u8.byteLength);
  if (now.equals(before)) return [];
  const problems: string[] = [];
  const firstM2pFrame = ownersBefore.indexOf(OWNER_XEN);
  for (let mfn = 0; mfn < frames.frames; mfn++) {
    const [from, to] = [mfn * 4096, (mfn + 1) * 4096];
    if (now.compare(before, from, to, from, to) === 0) continue;
    const owners = [ownersBefore[mfn], frames.owners[mfn]];
    if (owners.every((owner) => owner === domain.id || owner === OWNER_NONE)) continue;
    if (mfn === victim.p2m[WRITABLE.pfn]) continue;
    const changed: number[] = [];
    for (let at = from; at < to; at++) if (now[at] !== before[at]) changed.push(at);
    const allowed = (at: number): boolean => {
      if (mfn === victim.domain.sharedInfoMfn) return isEventByte(at - from);
      // In-use bits of the two grants.
      if (mfn === victim.domain.grants.frames[0])
        return (
          [...READABLE.refs, ...WRITABLE.refs].some((ref) => at - from === ref * 8) &&
          ((now[at]! ^ before[at]!) & ~0x18) === 0
        );
      const entry = (at - firstM2pFrame * 4096) / 8;
      if (entry < 0 || entry >= frames.frames) return false;
      const owner = [ownersBefore[Math.floor(entry)], frames.owners[Math.floor(entry)]];
      return owner.every((one) => one === domain.id || one === OWNER_NONE);
    };
    const bad = changed.filter((at) => !allowed(at));
    if (bad.length > 0)
      problems.push(
        `frame ${mfn.toString(16)} of ${owners} changed at ${bad.slice(0, 4).map((at) => (at - from).toString(16))}`,
      );
  }
  return problems;
}

/** Bytes of the victim's shared_info that an event on its one open port sets, and its clock. */
function isEventByte(at: number): boolean {
  const pending = shared_info.offset(64, "evtchn_pending");
  const selector = vcpu_info.offset(64, "evtchn_pending_sel");
  const time = vcpu_info.offset(64, "time");
  if (at >= time && at < time + vcpu_time_info.size(64)) return true;
  return at === vcpu_info.offset(64, "evtchn_upcall_pending") || at === selector || at === pending;
}

/** Pieces of the secret in the attacker's memory, registers, or output. */
function leaks({ machine, domain, vcpu }: Attack): string[] {
  const { hypervisor, memory } = machine;
  const { frames } = hypervisor.mm;
  const problems: string[] = [];
  for (let mfn = 0; mfn < frames.frames; mfn++) {
    if (frames.owners[mfn] !== domain.id) continue;
    const end = (mfn + 1) * 1024;
    for (let i = mfn * 1024; i < end; i++)
      if (memory.u32[i] === SECRET) {
        problems.push(
          `frame ${mfn.toString(16)} of the attacker holds the secret at ${((i * 4) & 0xfff).toString(16)}`,
        );
        break;
      }
  }
  if (secretInRegisters(vcpu.cpu.state.bytes(0, STATE_SIZE)))
    problems.push("the secret is in the attacker's registers");
  if (machine.leakedToConsole) problems.push("the secret was printed");
  return problems;
}

function secretInRegisters(state: Uint8Array): boolean {
  const words = new Uint32Array(state.buffer, state.byteOffset, state.byteLength >>> 2);
  // Registers first; the rest of the struct is the engine's.
  return words.subarray(0, 34).includes(SECRET) || words.subarray(148, 244).includes(SECRET);
}

/** Destroys the attacker. @returns what it left behind. */
export function endAttack(attack: Attack): string[] {
  const { machine, domain } = attack;
  const { hypervisor, victim } = machine;
  hypervisor.destroyDomain(domain);
  const problems = auditFrames(hypervisor.mm, otherReferences(hypervisor)).map((line) => `after its end: ${line}`);
  // Domain 0 may change what other domains have.
  if (domain.privileged) return problems;
  const { freeFrames } = hypervisor.mm;
  if (freeFrames !== machine.freeFrames)
    problems.push(`after its end ${freeFrames} frames are free, ${machine.freeFrames} were before`);
  if (victim.domain.grants.activeCount !== 0) problems.push("after its end the victim's grants are still in use");
  return problems;
}
