// Changes to a running domain that its configuration follows, as libxl keeps it: `list -l` shows them, and a reboot doesn't undo them.

import type { XlDomainConfig } from "../config/xl-config.js";
import type { DiskConfig } from "../host/disk-config.js";
import type { GuestInterface } from "../host/guest-interface.js";
import type { SchedulingParameters } from "../host/guest-scheduling.js";
import type { ManagedDomain } from "./managed-domain.js";

function update(domain: ManagedDomain, change: (config: XlDomainConfig) => Partial<XlDomainConfig>): void {
  if (domain.config) domain.config = { ...domain.config, ...change(domain.config) };
}

export async function attachDisk(domain: ManagedDomain, disk: DiskConfig): Promise<void> {
  await domain.guest.attachDisk(disk);
  update(domain, ({ disks }) => ({ disks: [...disks, disk] }));
}

export async function detachDisk(domain: ManagedDomain, vdev: string, force: boolean): Promise<void> {
  const before = domain.guest.disks();
  await domain.guest.detachDisk(vdev, { force });
  const left = new Set(domain.guest.disks().map((disk) => disk.vdev));
  const gone = before.filter((disk) => !left.has(disk.vdev)).flatMap(({ name, vdev }) => [name, String(vdev)]);
  update(domain, ({ disks }) => ({ disks: disks.filter((disk) => !gone.includes(disk.vdev)) }));
}

export async function attachVif(domain: ManagedDomain, text: string): Promise<void> {
  const { mac } = await domain.guest.attachNetwork(text);
  update(domain, ({ vifs }) => ({ vifs: [...vifs, { text: withMac(text, mac), line: 0 }] }));
}

export async function detachVif(domain: ManagedDomain, vif: GuestInterface): Promise<void> {
  const { devid, mac } = vif;
  await domain.guest.detachNetwork(devid);
  update(domain, ({ vifs }) => ({ vifs: vifs.filter(({ text }) => macOf(text) !== mac) }));
}

export function setMemoryTarget(domain: ManagedDomain, bytes: number): void {
  domain.guest.setMemoryTarget(bytes);
  update(domain, ({ memory, maxmem }) => {
    const max = maxmem ?? memory;
    return { memory: bytes, ...(max === undefined ? {} : { maxmem: max }) };
  });
}

export function setVcpus(domain: ManagedDomain, count: number): void {
  domain.guest.setVcpus(count);
  update(domain, () => ({ vcpus: count }));
}

export function setScheduling(domain: ManagedDomain, shares: SchedulingParameters): void {
  domain.guest.setScheduling(shares);
  const { weight, cap } = shares;
  update(domain, () => ({
    ...(weight === undefined ? {} : { cpuWeight: weight }),
    ...(cap === undefined ? {} : { cap }),
  }));
}

const macOf = (text: string) => /(?:^|,)\s*mac\s*=\s*([^,\s]+)/.exec(text)?.[1]?.toLowerCase();

/** A vif's specification with the address that was drawn for it. */
export function withMac(text: string, mac: string): string {
  if (macOf(text) !== undefined) return text;
  return text.trim() === "" ? `mac=${mac}` : `${text},mac=${mac}`;
}
