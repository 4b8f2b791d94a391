// The network interfaces of one domain: XenStore nodes as xl makes them, a backend for each, attaching and detaching while the
// domain runs.

import { NetBackend } from "../devices/xen/netback/net-backend.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { backendServices } from "./backend-services.js";
import type { DeferredEvents } from "./deferred-events.js";
import {
  createDeviceNodes,
  type DevicePaths,
  devicePaths,
  finishesWithin,
  type NodeValues,
  removeDeviceNodes,
} from "./device-nodes.js";
import { XenError } from "./errors.js";
import { GuestInterface } from "./guest-interface.js";
import { formatMac } from "./mac-address.js";
import type { OpenedVif, VifServices } from "./open-vif.js";

interface Attached {
  readonly vif: OpenedVif;
  readonly devid: number;
  readonly paths: DevicePaths;
  readonly backend: NetBackend;
  readonly handle: GuestInterface;
}

const DEFAULT_SCRIPT = "/etc/xen/scripts/vif-bridge";
const DEFAULT_MTU = 1500;

export class NetDevices {
  readonly #domain: Domain;
  readonly #store: XenStoreServer;
  readonly #services: VifServices;
  readonly #deferred: DeferredEvents;
  readonly #attached = new Map<number, Attached>();

  constructor(domain: Domain, store: XenStoreServer, deferred: DeferredEvents, services: VifServices) {
    this.#domain = domain;
    this.#store = store;
    this.#deferred = deferred;
    this.#services = services;
  }

  /** What the interface is plugged into becomes the device's. @throws XenError bad-argument */
  attach(vif: OpenedVif): GuestInterface {
    const { config, mac, rate } = vif;
    const { id, name } = this.#domain;
    const devid = config.devid ?? this.#freeDevid();
    if (this.#attached.has(devid)) throw new XenError("bad-argument", `${name}: vif ${devid} is attached already`);
    const portName = config.vifname ?? `vif${id}.${devid}`;
    const paths = devicePaths(id, devid, "vif");
    createDeviceNodes(this.#store, id, paths, this.#nodes(vif, devid));
    const handle: GuestInterface = new GuestInterface(vif.plug(portName), {
      ...{
        devid,
        vifname: portName,
        mac: formatMac(mac),
        place: vif.place,
        rate: config.rate,
        paths,
        forwardPorts: vif.forwardPorts,
      },
      services: this.#services,
      statistics: () => ({ ...backend.statistics }),
      state: () => backend.device.state,
    });
    const backend: NetBackend = new NetBackend({
      services: backendServices(this.#domain, this.#store, this.#deferred),
      port: handle.port,
      backendPath: paths.backend,
      frontendPath: paths.frontend,
      mac,
      locksMac: config.locksMac ?? false,
      ...(rate ? { rate } : {}),
      timers: this.#services.timers,
      log: (line) => this.#domain.hypervisor.log(line),
    });
    this.#attached.set(devid, { vif, devid, paths, backend, handle });
    backend.device.start();
    return handle;
  }

  #freeDevid(): number {
    let devid = 0;
    while (this.#attached.has(devid)) devid++;
    return devid;
  }

  #nodes({ config, mac, rate, place }: OpenedVif, devid: number): { back: NodeValues; front: NodeValues } {
    const { id } = this.#domain;
    const address = formatMac(mac);
    const optional: Record<string, string | number> = {};
    if (config.vifname !== undefined) optional.vifname = config.vifname;
    if (config.ip !== undefined) optional.ip = config.ip;
    if (rate) optional.rate = `${rate.bytesPerInterval},${rate.intervalUs}`;
    if (config.mtu !== undefined) optional.mtu = config.mtu;
    if (config.gatewaydev !== undefined) optional.gatewaydev = config.gatewaydev;
    const back = {
      ...{ frontend: `/local/domain/${id}/device/vif/${devid}`, "frontend-id": id, online: 1, state: 1 },
      ...{ script: config.script ?? DEFAULT_SCRIPT, mac: address, ...optional, bridge: place, handle: devid },
      ...{ type: "vif", "hotplug-status": "connected" },
    };
    const front = {
      ...{ backend: `/local/domain/0/backend/vif/${id}/${devid}`, "backend-id": 0, state: 1, handle: devid },
      ...{ mac: address, trusted: config.trusted === false ? 0 : 1, mtu: config.mtu ?? DEFAULT_MTU },
    };
    return { back, front };
  }

  list(): GuestInterface[] {
    return [...this.#attached.values()].map(({ handle }) => handle);
  }

  /** @param which its devid or MAC. @throws XenError bad-argument */
  find(which: number | string): GuestInterface {
    return this.#find(which).handle;
  }

  #find(which: number | string): Attached {
    const isDevid = typeof which === "number" || /^\d+$/.test(which);
    for (const attached of this.#attached.values())
      if (isDevid ? attached.devid === Number(which) : formatMac(attached.vif.mac) === which.toLowerCase())
        return attached;
    throw new XenError("no-device", `${this.#domain.name}: no network interface ${which}`);
  }

  /**
   * Takes an interface from the running guest: waits until it lets go, or takes it away after the time.
   * @throws XenError no-device: no such interface; timeout: the guest didn't let go, and `force` isn't set
   */
  async detach(which: number | string, { timeout, force }: { timeout: number; force: boolean }): Promise<void> {
    const attached = this.#find(which);
    const { backend, devid, paths } = attached;
    backend.device.requestClose();
    if (!(await finishesWithin(backend.device.finished, timeout)) && !force)
      throw new XenError("timeout", `${this.#domain.name}: the guest doesn't let go of network interface ${devid}`);
    await this.#end(attached);
    removeDeviceNodes(this.#store, paths);
  }

  async #end({ devid, backend, handle, vif }: Attached): Promise<void> {
    this.#attached.delete(devid);
    vif.endForwards();
    await backend.device.stop();
    handle.close();
  }

  /** The domain ends: its memory is touched no more from this call on. */
  async stop(): Promise<void> {
    const all = [...this.#attached.values()];
    const ended = Promise.all(all.map((attached) => this.#end(attached)));
    for (const { paths } of all) for (const path of [paths.backend, paths.libxl]) this.#store.remove(path);
    await ended;
  }
}
