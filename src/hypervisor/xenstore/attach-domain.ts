// Connects a domain to the host's XenStore: its nodes, its ring page, its event channel.

import type { Domain } from "../hypervisor.js";
import {
  createDomainNodes,
  createHardwareDomainNodes,
  removeDomainNodes,
  removeHardwareDomainNodes,
} from "./domain-nodes.js";
import type { XenStoreServer } from "./server.js";

export interface StoreRing {
  /** Frame of the ring page, and the domain's unbound port for it. */
  readonly storeMfn: number;
  readonly storePort: number;
  /** vCPUs that the guest is to have online at the start; default: all. */
  readonly onlineVcpus?: number;
}

export interface StoreAttachment extends StoreRing {
  readonly consoleMfn: number;
  readonly consolePort: number;
}

/** Call after the domain was built and before it runs. */
export function attachXenStore(server: XenStoreServer, domain: Domain, attachment: StoreAttachment): void {
  const { id: domid, name, handle, memory } = domain;
  createDomainNodes(server, {
    domid,
    name,
    handle,
    memoryKib: memory.totalPages * 4,
    maxMemoryKib: memory.maxPages * 4,
    vcpus: domain.vcpus.length,
    onlineVcpus: domain.vcpus.length,
    ...attachment,
  });
  connect(server, domain, attachment);
}

/** The same for domain 0, whose home is there already and which has no console ring: what its balloon and its CPU hotplug watch. */
export function attachHardwareDomain(server: XenStoreServer, domain: Domain, ring: StoreRing): void {
  const { memory, vcpus } = domain;
  createHardwareDomainNodes(server, {
    memoryKib: memory.totalPages * 4,
    vcpus: vcpus.length,
    onlineVcpus: ring.onlineVcpus ?? vcpus.length,
  });
  connect(server, domain, ring);
}

function connect(server: XenStoreServer, domain: Domain, { storeMfn, storePort }: StoreRing): void {
  const binding = domain.events.bindHost(storePort, () => server.service(domain.id));
  if (!binding) throw new Error(`port ${storePort} of domain ${domain.id} isn't unbound`);
  server.connect(domain.id, storeMfn * 4096, binding);
}

/** The domain is gone: its ring page is no longer touched. */
export function detachXenStore(server: XenStoreServer, domain: Domain): void {
  server.release(domain.id);
  if (domain.privileged) removeHardwareDomainNodes(server);
  else removeDomainNodes(server, domain.id, domain.handle);
}
