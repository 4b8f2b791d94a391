// xentop's table, column for column.

import type { DomainSummary, HostInfo, VbdInfo, VifInfo } from "../index.js";
import { fixed1, left, right } from "./printf.js";

const COLUMNS = [
  ...[
    ["NAME", 10],
    ["STATE", 6],
    ["CPU(sec)", 10],
    ["CPU(%)", 6],
    ["MEM(k)", 10],
    ["MEM(%)", 6],
    ["MAXMEM(k)", 10],
  ],
  ...[
    ["MAXMEM(%)", 9],
    ["VCPUS", 5],
    ["NETS", 4],
    ["NETTX(k)", 8],
    ["NETRX(k)", 8],
    ["VBDS", 4],
    ["VBD_OO", 8],
  ],
  ...[
    ["VBD_RD", 8],
    ["VBD_WR", 8],
    ["VBD_RSECT", 10],
    ["VBD_WSECT", 10],
    ["SSID", 4],
  ],
] as unknown as readonly (readonly [string, number])[];

/** CPU seconds by id at an earlier time. */
export interface TopSample {
  /** Seconds. */
  readonly at: number;
  readonly cpuTime: ReadonlyMap<number, number>;
}

export function sampleOf(domains: readonly DomainSummary[], at: number): TopSample {
  return { at, cpuTime: new Map(domains.map(({ domid, cpuTime }) => [domid, cpuTime])) };
}

export function topHeader(): string {
  return COLUMNS.map(([title, width]) => right(title, width)).join(" ");
}

/** What is shown below a domain's row. */
export interface TopDetails {
  readonly hasVcpus: boolean;
  readonly fullNames: boolean;
  /** By domain id; undefined: not shown. */
  readonly vifs: ReadonlyMap<number, readonly VifInfo[]> | undefined;
  readonly vbds: ReadonlyMap<number, readonly VbdInfo[]> | undefined;
}

const NO_DETAILS: TopDetails = { hasVcpus: false, fullNames: false, vifs: undefined, vbds: undefined };

function detailRows({ domid, vcpus }: DomainSummary, { hasVcpus, vifs, vbds }: TopDetails): string[] {
  const online = vcpus.filter((vcpu) => vcpu.online);
  return [
    ...(hasVcpus ? [`VCPUs(sec): ${online.map(vcpuCell).join("")}`] : []),
    ...(vifs?.get(domid) ?? []).map(vifRow),
    ...(vbds?.get(domid) ?? []).map(vbdRow),
  ];
}

const vcpuCell = ({ id, cpuTime }: DomainSummary["vcpus"][number]) =>
  ` ${right(id, 2)}: ${right(Math.floor(cpuTime), 10)}s`;

function vifRow({ devid, statistics }: VifInfo): string {
  const { receivedBytes, receivedFrames, sentBytes, sentFrames, dropped, errors, spoofed } = statistics;
  const cells = (bytes: number, frames: number, errors: number, lost: number) =>
    `${right(bytes, 8)}bytes ${right(frames, 8)}pkts ${right(errors, 8)}err ${right(lost, 8)}drop`;
  return `Net${devid} RX: ${cells(receivedBytes, receivedFrames, 0, dropped)}  TX: ${cells(sentBytes, sentFrames, errors, spoofed)}`;
}

function vbdRow({ vdev, statistics }: VbdInfo): string {
  const { reads, writes, sectorsRead, sectorsWritten } = statistics;
  const place = `[${right((vdev >> 8).toString(16), 2)}:${right((vdev & 0xff).toString(16), 2)}]`;
  const requests = `OO: ${right(0, 8)}   RD: ${right(reads, 8)}   WR: ${right(writes, 8)}`;
  return `VBD BlkBack ${right(vdev, 4)} ${place}  ${requests}  RSECT: ${right(sectorsRead, 10)}  WSECT: ${right(sectorsWritten, 10)}`;
}

/** Rows as xentop sorts them, by name or as given. `before`: for CPU(%), which is 0 without it. */
export function topRows(
  domains: readonly DomainSummary[],
  { total_memory }: HostInfo,
  now: TopSample,
  before?: TopSample,
  details = NO_DETAILS,
): string[] {
  const percent = (kib: number) => ((kib / (total_memory * 1024)) * 100).toFixed(1);
  return domains.flatMap((domain) => {
    const { name, domid, state, shutdownReason, cpuTime, memoryKib, maxMemoryKib, vcpus, vbds } = domain;
    const earlier = before?.cpuTime.get(domid);
    const load = earlier === undefined ? 0 : ((cpuTime - earlier) / Math.max(0.001, now.at - before!.at)) * 100;
    const letters = [
      ...[state.dying ? "d" : "-", state.shutdown ? "s" : "-", state.blocked && !state.running ? "b" : "-"],
      ...[shutdownReason === 3 ? "c" : "-", state.paused ? "p" : "-", state.running ? "r" : "-"],
    ].join("");
    const cells = [
      ...[
        right(details.fullNames ? name : name.slice(0, 10), 10),
        left(letters, 6),
        Math.floor(cpuTime),
        fixed1(load, 0),
        memoryKib,
      ],
      ...[percent(memoryKib), domid === 0 ? "no limit" : maxMemoryKib, domid === 0 ? "n/a" : percent(maxMemoryKib)],
      ...[vcpus.filter(({ online }) => online).length, domain.nets.count, domain.nets.txKib, domain.nets.rxKib],
      ...[vbds.count, 0, vbds.reads, vbds.writes, vbds.sectorsRead, vbds.sectorsWritten, 0],
    ];
    return [cells.map((cell, i) => right(cell, COLUMNS[i]![1])).join(" "), ...detailRows(domain, details)];
  });
}

/** The lines above the table. */
export function topSummary(domains: readonly DomainSummary[], info: HostInfo, clock: string): string[] {
  const count = (is: (domain: DomainSummary) => boolean) => domains.filter(is).length;
  const { total_memory, free_memory, nr_cpus, cpu_mhz, xen_major, xen_minor, xen_extra } = info;
  const states = [
    `${count(({ state }) => state.running)} running`,
    `${count(({ state }) => state.blocked && !state.running)} blocked`,
    `${count(({ state }) => state.paused)} paused`,
    `${count(({ shutdownReason }) => shutdownReason === 3)} crashed`,
    `${count(({ state }) => state.dying)} dying`,
    `${count(({ state }) => state.shutdown)} shutdown`,
  ];
  const used = total_memory - free_memory;
  return [
    `xentop - ${clock}   Xen ${xen_major}.${xen_minor}${xen_extra}`,
    `${domains.length} domains: ${states.join(", ")}`,
    `Mem: ${total_memory * 1024}k total, ${used * 1024}k used, ${free_memory * 1024}k free    CPUs: ${nr_cpus} @ ${Math.round(cpu_mhz)}MHz`,
  ];
}
