// The disks of one domain: XenStore nodes as xl makes them, a backend for each, attaching and detaching while the domain runs.

import { BlockBackend } from "../devices/xen/blkback/block-backend.js";
import type { BlockStatistics } from "../devices/xen/blkback/block-ring.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { backendServices } from "./backend-services.js";
import type { DeferredEvents } from "./deferred-events.js";
import { createDeviceNodes, type DevicePaths, devicePaths, finishesWithin, removeDeviceNodes } from "./device-nodes.js";
import type { OpenedDisk } from "./disk-config.js";
import { XenError } from "./errors.js";

/** Attached devices, as `xl block-list` shows them. */
export interface BlockDeviceInfo {
  readonly vdev: number;
  readonly name: string;
  readonly target: string;
  readonly access: "r" | "w";
  /** XenbusState of the backend; 4: connected. */
  readonly state: number;
  readonly backendPath: string;
  readonly frontendPath: string;
  readonly statistics: Readonly<BlockStatistics>;
}

interface Attached {
  readonly disk: OpenedDisk;
  readonly paths: DevicePaths;
  readonly backend: BlockBackend;
}

export class BlockDevices {
  readonly #domain: Domain;
  readonly #store: XenStoreServer;
  readonly #deferred: DeferredEvents;
  readonly #attached = new Map<number, Attached>();

  constructor(domain: Domain, store: XenStoreServer, deferred: DeferredEvents) {
    this.#domain = domain;
    this.#store = store;
    this.#deferred = deferred;
  }

  /** The disk's store becomes the device's. @throws XenError bad-argument: the guest has such a device */
  attach(disk: OpenedDisk): void {
    const { device, store, access, config } = disk;
    if (this.#attached.has(device.number))
      throw new XenError("bad-argument", `${this.#domain.name}: disk ${device.name} is attached already`);
    // xl leaves raw images to blkback and others to QEMU's backend; the path tells which.
    const kind = config.format === "qcow2" ? "qdisk" : "vbd";
    const { id } = this.#domain;
    const paths = devicePaths(id, device.number, kind, "vbd");
    this.#createNodes(disk, kind, paths);
    const backend = new BlockBackend({
      services: backendServices(this.#domain, this.#store, this.#deferred),
      disk: store,
      backendPath: paths.backend,
      frontendPath: paths.frontend,
      isReadonly: access === "r",
      isCdrom: config.cdrom ?? false,
      discard: config.discard ?? true,
      persistentGrants: config.persistentGrants ?? false,
      nativeAbi: this.#domain.abi,
      log: (line) => this.#domain.hypervisor.log(line),
    });
    const attached: Attached = { disk, paths, backend };
    this.#attached.set(device.number, attached);
    backend.device.start();
  }

  #createNodes({ device, access, config, store }: OpenedDisk, kind: string, paths: DevicePaths): void {
    const { id } = this.#domain;
    const deviceType = config.cdrom ? "cdrom" : "disk";
    const target = config.target ?? store.name;
    const back = {
      frontend: paths.frontend,
      params: kind === "qdisk" ? `qcow2:${target}` : target,
      script: "/etc/xen/scripts/block",
      "frontend-id": id,
      online: 1,
      removable: config.cdrom ? 1 : 0,
      bootable: 1,
      state: 1,
      dev: device.name,
      type: kind === "qdisk" ? "qdisk" : "phy",
      mode: access,
      "device-type": deviceType,
      "discard-enable": config.discard === false ? 0 : 1,
    };
    const front = {
      backend: paths.backend,
      "backend-id": 0,
      state: 1,
      "virtual-device": device.number,
      "device-type": deviceType,
    };
    createDeviceNodes(this.#store, id, paths, { back, front });
  }

  list(): BlockDeviceInfo[] {
    return [...this.#attached.values()].map(({ disk, paths, backend }) => ({
      vdev: disk.device.number,
      name: disk.device.name,
      target: disk.config.target ?? disk.store.name,
      access: disk.access,
      state: backend.device.state,
      backendPath: paths.backend,
      frontendPath: paths.frontend,
      statistics: { ...backend.statistics },
    }));
  }

  /**
   * Takes a disk from the running guest: waits until it lets go, or takes it away after the time.
   * @throws XenError no-device: no such disk; timeout: the guest didn't let go, and `force` isn't set
   */
  async detach(vdev: number, { timeout, force }: { timeout: number; force: boolean }): Promise<void> {
    const attached = this.#attached.get(vdev);
    if (!attached) throw new XenError("no-device", `${this.#domain.name}: no disk ${vdev}`);
    const { backend, disk, paths } = attached;
    backend.device.requestClose();
    if (!(await finishesWithin(backend.device.finished, timeout)) && !force)
      throw new XenError("timeout", `${this.#domain.name}: the guest doesn't let go of disk ${disk.device.name}`);
    await this.#end(attached);
    removeDeviceNodes(this.#store, paths);
  }

  async #end({ backend, disk }: Attached): Promise<void> {
    this.#attached.delete(disk.device.number);
    await backend.device.stop();
    await disk.store.close().catch((error: unknown) => {
      this.#domain.hypervisor.log(`${disk.device.name}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  /** The domain ends: its memory is touched no more from this call on. Done when all disks are closed. */
  async stop(): Promise<void> {
    const all = [...this.#attached.values()];
    const ended = Promise.all(all.map((attached) => this.#end(attached)));
    for (const { paths } of all) for (const path of [paths.backend, paths.libxl]) this.#store.remove(path);
    await ended;
  }
}
