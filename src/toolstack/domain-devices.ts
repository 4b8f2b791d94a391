// A domain's virtual devices as `block-list`, `network-list` and `channel-list` show them: what their two ends wrote into XenStore.

import type { BlockDeviceInfo } from "../host/block-devices.js";
import type { NetStatistics } from "../host/vif-config.js";
import type { HostXenStore } from "../xen-host.js";
import type { ManagedDomain } from "./managed-domain.js";

export interface VbdInfo {
  readonly vdev: number;
  readonly name: string;
  readonly target: string;
  readonly access: "r" | "w";
  readonly backendId: number;
  readonly frontendId: number;
  /** XenbusState of the frontend; 4: connected. */
  readonly state: number;
  /** -1: not connected. */
  readonly eventChannel: number;
  readonly ringRef: number;
  readonly backendPath: string;
  readonly statistics: BlockDeviceInfo["statistics"];
}

/** A number in the store, or -1. */
export function storeNumber(store: HostXenStore, path: string): number {
  const text = store.read(path);
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : -1;
}

export function listVbds(store: HostXenStore, { guest }: ManagedDomain): VbdInfo[] {
  return guest.disks().map(({ vdev, name, target, access, backendPath, frontendPath, statistics }) => ({
    ...{ vdev, name, target, access, backendPath, statistics, backendId: 0, frontendId: guest.id },
    state: storeNumber(store, `${frontendPath}/state`),
    eventChannel: storeNumber(store, `${frontendPath}/event-channel`),
    ringRef: storeNumber(store, `${frontendPath}/ring-ref`),
  }));
}

export interface VifInfo {
  readonly devid: number;
  readonly vifname: string;
  readonly mac: string;
  /** The bridge's name, or what else it is plugged into. */
  readonly bridge: string;
  readonly backendId: number;
  /** XenbusState of the frontend; 4: connected. */
  readonly state: number;
  /** -1: not connected, or separate ones for the two directions. */
  readonly eventChannel: number;
  readonly txRingRef: number;
  readonly rxRingRef: number;
  readonly backendPath: string;
  readonly statistics: Readonly<NetStatistics>;
}

export function listVifs(store: HostXenStore, { guest }: ManagedDomain): VifInfo[] {
  return guest.interfaces().map(({ devid, vifname, mac, place, backendPath, frontendPath, statistics }) => ({
    ...{ devid, vifname, mac, bridge: place, backendPath, statistics, backendId: 0 },
    state: storeNumber(store, `${frontendPath}/state`),
    eventChannel: storeNumber(store, `${frontendPath}/event-channel`),
    txRingRef: storeNumber(store, `${frontendPath}/tx-ring-ref`),
    rxRingRef: storeNumber(store, `${frontendPath}/rx-ring-ref`),
  }));
}

export interface ChannelInfo {
  readonly devid: number;
  readonly name: string;
  readonly connection: "pty" | "socket";
  /** Of the pty or the socket on the host; "" while there is none. */
  readonly path: string;
  readonly backendId: number;
  /** XenbusState of the frontend; 4: connected. */
  readonly state: number;
  /** -1: not connected. */
  readonly eventChannel: number;
  readonly ringRef: number;
}

export function listChannels(store: HostXenStore, { guest }: ManagedDomain): ChannelInfo[] {
  return guest.consoleDevices.list().map(({ config: { name = "", socket }, frontendPath }, i) => ({
    ...{ devid: i + 1, name, backendId: 0 },
    ...(socket === undefined
      ? ({ connection: "pty", path: store.read(`${frontendPath}/tty`) ?? "" } as const)
      : ({ connection: "socket", path: socket } as const)),
    state: storeNumber(store, `${frontendPath}/state`),
    eventChannel: storeNumber(store, `${frontendPath}/port`),
    ringRef: storeNumber(store, `${frontendPath}/ring-ref`),
  }));
}
