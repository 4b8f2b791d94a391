// Debug keys, as `xl debug-keys` sends them to Xen: each prints a part of the hypervisor's state into its log. The letters are Xen's;
// those of its keys that change something (R, C, …) or need hardware that isn't there aren't taken.

import type { Domain, Hypervisor, Vcpu } from "./hypervisor.js";
import {
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_pirq,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
} from "./public/event-channel.js";
import { vcpuDump } from "./pv/crash-dump.js";
import { CreditScheduler } from "./scheduler/credit.js";
import { Priority, type SchedUnit } from "./scheduler/sched-unit.js";

/** Of ports of one domain, that a guest with thousands doesn't push all else out of the log. */
const MAX_PORTS = 64;
const PAGE_KIB = 4;

type Lines = Generator<string, void, void>;
interface Key {
  readonly help: string;
  readonly print: (hypervisor: Hypervisor) => Lines;
}

const allDomains = ({ domains }: Hypervisor) => [...domains.values()].sort((a, b) => a.id - b.id);

const KEYS: Readonly<Record<string, Key>> = {
  "0": { help: "dump Dom0 registers", print: (hypervisor) => registers(hypervisor, ({ privileged }) => privileged) },
  a: { help: "dump timer queues", print: timers },
  d: { help: "dump registers", print: (hypervisor) => registers(hypervisor, () => true) },
  e: { help: "dump evtchn info", print: eventChannels },
  g: { help: "print grant table usage", print: grants },
  h: { help: "show this message", print: help },
  m: { help: "memory info", print: memory },
  q: { help: "dump domain (and guest debug) info", print: domainInfos },
  r: { help: "dump run queues", print: runQueues },
};

/** Keys that aren't known print nothing, as in Xen. */
export function debugKeys(hypervisor: Hypervisor, keys: string): void {
  for (const letter of keys) {
    const key = Object.hasOwn(KEYS, letter) ? KEYS[letter] : undefined;
    if (!key) continue;
    hypervisor.log(`'${letter}' pressed -> ${key.help}`);
    for (const line of key.print(hypervisor)) hypervisor.log(line);
  }
}

function* help(): Lines {
  for (const [letter, key] of Object.entries(KEYS))
    yield ` key '${letter}' (ascii '${hex(letter.charCodeAt(0))}') => ${key.help}`;
}

const hex = (value: number) => value.toString(16).padStart(2, "0");
const seconds = (ns: bigint) => `${(Number(ns) / 1e9).toFixed(6)}s`;

function* registers(hypervisor: Hypervisor, isMeant: (domain: Domain) => boolean): Lines {
  for (const domain of allDomains(hypervisor).filter(isMeant))
    for (const vcpu of domain.vcpus.filter(({ isUp }) => isUp)) {
      yield `*** Dumping Dom${domain.id} vcpu#${vcpu.id} state: ***`;
      yield* vcpuDump(hypervisor, vcpu, { version: "Xen-4.17" });
    }
}

function* timers(hypervisor: Hypervisor): Lines {
  const now = hypervisor.time.now();
  yield `Dumping timer queues: NOW ${seconds(now)}`;
  for (const domain of allDomains(hypervisor))
    for (const { id, timers: own } of domain.vcpus) {
      const next = own.next();
      if (next !== undefined) yield `  d${domain.id}v${id}: ex=${seconds(next - now)} period=${own.period}`;
    }
}

const KINDS: Readonly<Record<number, string>> = {
  [EVTCHNSTAT_unbound]: "u",
  [EVTCHNSTAT_interdomain]: "i",
  [EVTCHNSTAT_pirq]: "p",
  [EVTCHNSTAT_virq]: "v",
  [EVTCHNSTAT_ipi]: "I",
};

function* eventChannels(hypervisor: Hypervisor): Lines {
  for (const { id, events } of allDomains(hypervisor)) {
    yield `Event channel information for domain ${id} (${events.usesFifo ? "FIFO" : "2-level"}):`;
    const ports = events.openPorts();
    for (const port of ports.slice(0, MAX_PORTS)) {
      const status = events.status(port);
      if (typeof status === "number") continue;
      const { vcpu, remoteDomain, remotePort, pirq, virq } = status;
      const pending = events.isPending(port) ? 1 : 0;
      const more = { u: `d=${remoteDomain}`, i: `d=${remoteDomain} x=${remotePort}`, p: `p=${pirq}`, v: `V=${virq}` };
      const kind = KINDS[status.status] ?? "?";
      yield `    ${String(port).padStart(4)} [${pending}]: s=${kind} n=v${vcpu} ${more[kind as keyof typeof more] ?? ""}`.trimEnd();
    }
    if (ports.length > MAX_PORTS) yield `    and ${ports.length - MAX_PORTS} more`;
  }
}

function* grants(hypervisor: Hypervisor): Lines {
  for (const { id, grants: table } of allDomains(hypervisor)) {
    const { active, mappings } = table.counts;
    yield `d${id} (v${table.version}): ${table.frames.length} frames (${table.maxFrames} max), ${active} entries in use, ${mappings} maptrack`;
  }
}

function* memory({ mm, memory: { frames } }: Hypervisor): Lines {
  yield "Physical memory information:";
  yield `    total: ${frames * PAGE_KIB}kB`;
  yield `    free: ${mm.freeFrames * PAGE_KIB}kB`;
}

function vcpuLine({ id, isRunning, isUp, isBlocked, hasUpcall, sched, timers: own }: Vcpu): string {
  const flags = `${isRunning ? "is" : "not"} running on pCPU ${sched.cpu}, ${isUp ? (isBlocked ? "blocked" : "runnable") : "down"}`;
  return `    VCPU${id}: CPU${sched.cpu} [${flags}] upcall_pend=${hasUpcall ? 1 : 0} periodic timer ${own.period === 0n ? "disabled" : `${own.period / 1_000_000n} ms`}`;
}

function* domainInfos(hypervisor: Hypervisor): Lines {
  yield `now=${seconds(hypervisor.time.now())}`;
  for (const domain of allDomains(hypervisor)) {
    const { id, name, memory: space, pauseCount, isDying, isShutDown, shutdownReason } = domain;
    yield `General information for domain ${id} (${name}):`;
    const end = isShutDown ? ` shutdown=${shutdownReason}` : "";
    yield `    dying=${isDying ? 1 : 0} pause_count=${pauseCount} nr_pages=${space.totalPages} max_pages=${space.maxPages}${end}`;
    for (const vcpu of domain.vcpus) yield vcpuLine(vcpu);
  }
}

const PRIORITIES: Readonly<Record<number, string>> = {
  [Priority.Over]: "over",
  [Priority.Under]: "under",
  [Priority.Boost]: "boost",
};

function* runQueues(hypervisor: Hypervisor): Lines {
  const { scheduler } = hypervisor;
  const isCredit = scheduler instanceof CreditScheduler;
  const ratelimit = `ratelimit = ${scheduler.ratelimit / 1000}us`;
  yield `Scheduler: SMP Credit Scheduler ${isCredit ? "(credit)" : "rev2 (credit2)"}`;
  yield isCredit
    ? `    ncpus = ${scheduler.cpus} tslice = ${scheduler.timeslice / 1e6}ms ${ratelimit} migration delay = ${scheduler.migrationDelay / 1000}us`
    : `    ncpus = ${scheduler.cpus} ${ratelimit}`;
  const standing = ({ priority, credit }: SchedUnit<Vcpu>) =>
    isCredit ? `pri=${PRIORITIES[priority]} credit=${credit}` : `credit=${Math.round(credit)}`;
  for (const { id, sched, vcpus } of allDomains(hypervisor)) {
    yield `    Domain: ${id} w ${sched.weight} c ${sched.cap} v ${vcpus.length}`;
    for (const { id: vcpu, sched: unit } of vcpus) {
      const place = unit.isCurrent ? "running" : unit.isQueued ? "queued" : unit.isParked ? "parked" : "-";
      yield `        [${id}.${vcpu}] ${standing(unit)} cpu=${unit.cpu} ${place}`;
    }
  }
}
