// A domain's vCPUs as toolstacks manage them: how many are online (cpu/N/availability in XenStore), where they may run, and the
// domain's share of the CPUs.

import type { Domain, Vcpu } from "../hypervisor/hypervisor.js";
import { ALL_CPUS, MAX_CPUS, MAX_WEIGHT, type SchedUnit } from "../hypervisor/scheduler/sched-unit.js";
import { homeOf } from "../hypervisor/xenstore/path.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { XenError } from "./errors.js";

/** A domain's share of the CPUs among those who want to run. */
export interface SchedulingParameters {
  /** 1 to 65535; default 256. */
  readonly weight?: number;
  /** Most it gets, per cent of one CPU; 0: no limit, the default. */
  readonly cap?: number;
}

/** Numbers of the host's CPUs. */
export interface CpuAffinity {
  /** Where a vCPU may run. */
  readonly hard?: readonly number[];
  /** Where it should run, of those. */
  readonly soft?: readonly number[];
}

const bad = (text: string) => new XenError("bad-argument", text);

/** @throws XenError bad-argument */
export function setScheduling(domain: Domain, { weight, cap }: SchedulingParameters): void {
  const { sched, vcpus, name } = domain;
  if (weight !== undefined && !(Number.isInteger(weight) && weight >= 1 && weight <= MAX_WEIGHT))
    throw bad(`${name}: a weight is a whole number from 1 to ${MAX_WEIGHT}, not ${weight}`);
  const most = vcpus.length * 100;
  if (cap !== undefined && !(Number.isInteger(cap) && cap >= 0 && cap <= most))
    throw bad(
      `${name}: the cap of a domain with ${vcpus.length} VCPUs is a whole number from 0 to ${most}, not ${cap}`,
    );
  sched.weight = weight ?? sched.weight;
  sched.cap = cap ?? sched.cap;
}

/**
 * Changes where vCPUs run; what isn't given stays.
 * @param vcpu its number; undefined: all
 * @throws XenError bad-argument: no such vCPU, or none of the CPUs exists
 */
export function setAffinity(domain: Domain, vcpu: number | undefined, { hard, soft }: CpuAffinity): void {
  const chosen = vcpu === undefined ? domain.vcpus : domain.vcpus.slice(vcpu, vcpu + 1);
  if (chosen.length === 0) throw bad(`${domain.name}: there is no VCPU ${vcpu}`);
  const { scheduler } = domain.hypervisor;
  for (const { sched } of chosen) {
    const ok = scheduler.setAffinity(
      sched,
      hard ? maskOf(hard, domain.name) : sched.hardAffinity,
      soft ? maskOf(soft, domain.name) : sched.softAffinity,
    );
    if (!ok) throw bad(`${domain.name}: CPUs ${hard?.join(",")}: this host has ${scheduler.cpus}, counted from 0`);
  }
}

function maskOf(cpus: readonly number[], name: string): number {
  let mask = 0;
  for (const cpu of cpus) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= MAX_CPUS) throw bad(`${name}: there is no CPU ${cpu}`);
    mask |= 1 << cpu;
  }
  return cpus.length === MAX_CPUS ? ALL_CPUS : mask;
}

/** The host's CPUs in a vCPU's two masks. */
export function affinityOf(unit: SchedUnit<Vcpu>, cpus: number): { hard: number[]; soft: number[] } {
  const all = Array.from({ length: cpus }, (_, cpu) => cpu);
  const within = (mask: number) => all.filter((cpu) => (mask & (1 << cpu)) !== 0);
  return { hard: within(unit.hardAffinity), soft: within(unit.softAffinity) };
}

/** Asks the guest to have so many vCPUs online: the first ones. It may take its time. @throws XenError bad-argument */
export function setOnlineVcpus(domain: Domain, store: XenStoreServer, count: number): void {
  const { name, vcpus, id } = domain;
  if (!Number.isInteger(count) || count < 1) throw bad(`${name}: it needs one VCPU at least, not ${count}`);
  if (count > vcpus.length)
    throw bad(`${name} was made with ${vcpus.length} VCPUs; maxvcpus= in its configuration makes room for more`);
  for (const vcpu of vcpus) store.write(availabilityPath(id, vcpu.id), vcpu.id < count ? "online" : "offline");
}

function availabilityPath(domid: number, vcpu: number): string {
  return `${homeOf(domid)}/cpu/${vcpu}/availability`;
}
