// What a toolstack asks of a guest through XenStore (xenstore-paths.txt: control/, memory/target, name), and of the hypervisor
// about it (sendtrigger's NMI, max_mem).

import type { Domain } from "../hypervisor/hypervisor.js";
import { formatUuid } from "../hypervisor/xenstore/domain-nodes.js";
import { homeOf } from "../hypervisor/xenstore/path.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { XenError } from "./errors.js";

export type ShutdownRequest = "poweroff" | "reboot" | "halt";

/** What xl leaves between a domain's target and the limit that Xen enforces, KiB. */
const SLACK_KIB = 1024;
const PAGE_KIB = 4;

function requireGuest(domain: Domain, what: string): void {
  if (domain.privileged) throw new XenError("unsupported", `${domain.name}: ${what} can't be asked of domain 0`);
}

export function requestShutdown(domain: Domain, store: XenStoreServer, what: ShutdownRequest): void {
  requireGuest(domain, what);
  store.write(`${homeOf(domain.id)}/control/shutdown`, what);
}

export function sendSysrq(domain: Domain, store: XenStoreServer, key: string): void {
  store.write(`${homeOf(domain.id)}/control/sysrq`, key);
}

/** @throws XenError bad-argument */
export function sendNmi(domain: Domain, vcpu: number): void {
  const target = domain.vcpus[vcpu];
  if (!target) throw new XenError("bad-argument", `${domain.name}: there is no VCPU ${vcpu}`);
  target.sendNmi();
}

export function renameGuest(domain: Domain, store: XenStoreServer, name: string): void {
  domain.name = name;
  if (domain.privileged) return;
  store.update((view) => {
    const bytes = new TextEncoder().encode(name);
    store.store.write(view, 0, `${homeOf(domain.id)}/name`, bytes);
    store.store.write(view, 0, `/vm/${formatUuid(domain.handle)}/name`, bytes);
  });
}

/** @throws XenError bad-argument: more than its static-max */
export function setMemoryTarget(domain: Domain, store: XenStoreServer, bytes: number): void {
  const kib = Math.floor(bytes / 1024);
  const max = Number(store.read(`${homeOf(domain.id)}/memory/static-max`));
  if (kib > max)
    throw new XenError("bad-argument", `${domain.name}: ${kib} KiB is above its maximum of ${max} KiB (maxmem)`);
  if (kib < PAGE_KIB) throw new XenError("bad-argument", `${domain.name}: ${kib} KiB is no memory to live in`);
  domain.memory.maxPages = Math.ceil((kib + SLACK_KIB) / PAGE_KIB);
  store.write(`${homeOf(domain.id)}/memory/target`, String(kib));
}

/** @throws XenError bad-argument: less than it has */
export function setMaxMemory(domain: Domain, bytes: number): void {
  const pages = Math.floor(bytes / 4096);
  if (pages < domain.memory.totalPages)
    throw new XenError("bad-argument", `${domain.name}: it has ${domain.memory.totalPages * PAGE_KIB} KiB already`);
  domain.memory.maxPages = pages;
}
