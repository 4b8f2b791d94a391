// Connects a domain to the host's XenStore: its nodes, its ring page, its event channel.

import type { Domain } from "../hypervisor.js";
import { createDomainNodes, removeDomainNodes } from "./domain-nodes.js";
import type { XenStoreServer } from "./server.js";

export interface StoreAttachment {
  /** Frame of the ring page, and the domain's unbound port for it. */
  readonly storeMfn: number;
  readonly storePort: number;
  readonly consoleMfn: number;
  readonly consolePort: number;
  /** vCPUs that the guest is to have online at the start; default: all. */
  readonly onlineVcpus?: number;
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
  const binding = domain.events.bindHost(attachment.storePort, () => server.service(domid));
  if (!binding) throw new Error(`port ${attachment.storePort} of domain ${domid} isn't unbound`);
  server.connect(domid, attachment.storeMfn * 4096, binding);
}

/** The domain is gone: its ring page is no longer touched. */
export function detachXenStore(server: XenStoreServer, domain: Domain): void {
  server.release(domain.id);
  removeDomainNodes(server, domain.id, domain.handle);
}
