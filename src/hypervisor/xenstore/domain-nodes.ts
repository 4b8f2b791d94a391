// The nodes that the toolstack makes for an unprivileged domain before it starts (xenstore-paths.txt; names and permissions as
// xl 4.17 makes them): its home, what it may read there, and what it may write; the console's backend; libxl's own record. And those
// of the host itself.

import { homeOf } from "./path.js";
import type { Permissions } from "./permissions.js";
import type { XenStoreServer } from "./server.js";
import { bytesOf } from "./wire.js";

export interface DomainDescription {
  readonly domid: number;
  readonly name: string;
  /** 16 bytes. */
  readonly handle: Uint8Array;
  /** At the start, and at most. */
  readonly memoryKib: number;
  readonly maxMemoryKib: number;
  readonly vcpus: number;
  readonly onlineVcpus: number;
  readonly storePort: number;
  readonly storeMfn: number;
  readonly consolePort: number;
  readonly consoleMfn: number;
}

/** A UUID in its usual form. */
export function formatUuid(handle: Uint8Array): string {
  const hex = Array.from(handle, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function createDomainNodes(server: XenStoreServer, domain: DomainDescription): void {
  const { domid } = domain;
  const home = homeOf(domid);
  const uuid = formatUuid(domain.handle);
  const { store } = server;
  const consoleBackend = consoleBackendOf(domid);
  const consoleNodes = {
    frontend: `${home}/console`,
    "frontend-id": String(domid),
    online: "1",
    state: "1",
    protocol: "vt100",
  };
  server.update((view) => {
    const toolstack: Permissions = [{ access: "n", domid: 0 }];
    const readable: Permissions = [
      { access: "n", domid: 0 },
      { access: "r", domid },
    ];
    const own: Permissions = [{ access: "n", domid }];
    const set = (path: string, value: string, permissions = readable) => {
      store.write(view, 0, path, bytesOf(value));
      store.setPermissions(view, 0, path, permissions);
    };
    set(home, "");
    set(`/vm/${uuid}`, "");
    set(`/vm/${uuid}/name`, domain.name);
    set(`/vm/${uuid}/uuid`, uuid);
    set(`/vm/${uuid}/image`, "");
    set(`/vm/${uuid}/image/ostype`, "linux");
    set(`${home}/vm`, `/vm/${uuid}`);
    set(`${home}/name`, domain.name);
    set(`${home}/domid`, String(domid));
    for (let i = 0; i < domain.vcpus; i++) {
      set(`${home}/cpu`, "");
      set(`${home}/cpu/${i}`, "");
      set(`${home}/cpu/${i}/availability`, i < domain.onlineVcpus ? "online" : "offline");
    }
    set(`${home}/memory`, "");
    set(`${home}/memory/static-max`, String(domain.maxMemoryKib));
    set(`${home}/memory/target`, String(domain.memoryKib));
    set(`${home}/memory/videoram`, "0");
    set(`${home}/device`, "");
    set(`${home}/device/suspend`, "");
    set(`${home}/device/suspend/event-channel`, "", own);
    set(`${home}/control`, "");
    set(`${home}/control/platform-feature-multiprocessor-suspend`, "1");
    set(`${home}/control/platform-feature-xs_reset_watches`, "1");
    for (const name of ["shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq"])
      set(`${home}/control/${name}`, "", own);
    for (const name of ["data", "drivers", "feature", "attr", "error"]) set(`${home}/${name}`, "", own);
    set(`${home}/store`, "");
    set(`${home}/store/port`, String(domain.storePort));
    set(`${home}/store/ring-ref`, String(domain.storeMfn));
    set(`${home}/console`, "");
    set(`${home}/console/port`, String(domain.consolePort));
    set(`${home}/console/ring-ref`, String(domain.consoleMfn));
    set(`${home}/console/type`, "xenconsoled");
    set(`${home}/console/limit`, "1048576");
    set(`${home}/console/output`, "pty");
    set(`${home}/console/backend`, consoleBackend);
    set(`${home}/console/backend-id`, "0");
    set(consoleBackend, "");
    for (const [name, value] of Object.entries(consoleNodes)) set(`${consoleBackend}/${name}`, value);
    // libxl's own record, which no domain reads.
    const record = `/libxl/${domid}`;
    const recorded = `${record}/device/console/0`;
    for (const path of [record, `${record}/device`, `${record}/device/console`, recorded]) set(path, "", toolstack);
    for (const [name, value] of Object.entries({ ...consoleNodes, backend: consoleBackend }))
      set(`${recorded}/${name}`, value, toolstack);
    set(`${record}/type`, "pv", toolstack);
    set(`${record}/dm-version`, "qemu_xen", toolstack);
  });
}

/** Removes what `createDomainNodes` made, and all the domain added. */
export function removeDomainNodes(server: XenStoreServer, domid: number, handle: Uint8Array): void {
  server.remove(homeOf(domid));
  server.remove(`/vm/${formatUuid(handle)}`);
  server.remove(`/libxl/${domid}`);
  server.remove(`${homeOf(0)}/backend/console/${domid}`);
}

/** What is there before any domain is made: xenstored's directory, domain 0, the pool of CPUs (as recorded from Xen 4.17). */
export function createHostNodes(server: XenStoreServer): void {
  const nodes = {
    "/tool/xenstored": "",
    [`${homeOf(0)}/domid`]: "0",
    [`${homeOf(0)}/name`]: "Domain-0",
    "/local/pool/0/name": "Pool-0",
  };
  server.update((view) => {
    for (const [path, value] of Object.entries(nodes)) server.store.write(view, 0, path, bytesOf(value));
  });
}

/** What a domain 0 finds when it starts. */
export function createHardwareDomainNodes(
  server: XenStoreServer,
  { memoryKib, vcpus, onlineVcpus }: Pick<DomainDescription, "memoryKib" | "vcpus" | "onlineVcpus">,
): void {
  const home = homeOf(0);
  server.update((view) => {
    const set = (name: string, value: string) => server.store.write(view, 0, `${home}/${name}`, bytesOf(value));
    set("memory/static-max", String(memoryKib));
    set("memory/target", String(memoryKib));
    for (let i = 0; i < vcpus; i++) set(`cpu/${i}/availability`, i < onlineVcpus ? "online" : "offline");
  });
}

/** Domain 0 is gone, and with it what it wrote; the host's own nodes stay. */
export function removeHardwareDomainNodes(server: XenStoreServer): void {
  for (const name of ["memory", "cpu", "control"]) server.remove(`${homeOf(0)}/${name}`);
}

function consoleBackendOf(domid: number): string {
  return `${homeOf(0)}/backend/console/${domid}/0`;
}
