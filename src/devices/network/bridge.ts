// A learning Ethernet bridge (IEEE 802.1D 7.8) in the process: it remembers behind which port an address was seen, forgets it
// after a while, and floods what it doesn't know. No spanning tree: don't make loops. Ports are flooded in the order they were
// added, within the sender's call, so that a run can be repeated. It has no address of its own.

import type { Offload } from "./offload.js";
import { type FrameHandler, handOver, ignoreFrame, isFrameSize, type PacketPort } from "./packet-port.js";

export interface BridgeOptions {
  /** "xenbr0" */
  readonly name: string;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** An address not seen for so long is forgotten; default 300 s, as 802.1D recommends. */
  readonly ageingMs?: number;
  /** Default 4096; when full the one seen longest ago goes. */
  readonly maxAddresses?: number;
}

/** What a station (or port) has done through the bridge. */
export interface BridgeEntry {
  readonly mac: string;
  readonly port: string;
  readonly ageMs: number;
}

interface Station {
  port: BridgePort;
  seen: number;
}

class BridgePort implements PacketPort {
  readonly name: string;
  readonly takesOffload = true;
  wantsOffload = false;
  onFrame: FrameHandler = ignoreFrame;
  readonly #forward: (frame: Uint8Array, offload: Offload | undefined) => void;
  readonly #remove: () => void;

  constructor(
    name: string,
    forward: (port: BridgePort, frame: Uint8Array, offload: Offload | undefined) => void,
    remove: (port: BridgePort) => void,
  ) {
    this.name = name;
    this.#forward = (frame, offload) => forward(this, frame, offload);
    this.#remove = () => remove(this);
  }

  send(frame: Uint8Array, offload?: Offload): void {
    this.#forward(frame, offload);
  }

  close(): void {
    this.#remove();
    this.onFrame = ignoreFrame;
  }
}

export class Bridge {
  readonly name: string;
  readonly #now: () => number;
  readonly #ageingMs: number;
  readonly #maxAddresses: number;
  readonly #ports = new Set<BridgePort>();
  /** By address as a number, in order of last sight. */
  readonly #stations = new Map<number, Station>();
  #forwarded = 0;
  #flooded = 0;
  /** Says, by names of ports, whether frames from one never reach the other. */
  isCut: ((from: string, to: string) => boolean) | undefined;

  constructor({ name, now, ageingMs = 300_000, maxAddresses = 4096 }: BridgeOptions) {
    this.name = name;
    this.#now = now;
    this.#ageingMs = ageingMs;
    this.#maxAddresses = maxAddresses;
  }

  addPort(name: string): PacketPort {
    const port = new BridgePort(
      name,
      (from, frame, offload) => this.#forward(from, frame, offload),
      (gone) => this.#remove(gone),
    );
    this.#ports.add(port);
    return port;
  }

  get ports(): string[] {
    return [...this.#ports].map(({ name }) => name);
  }

  /** Frames sent to one port, and to all. */
  get statistics(): { readonly forwarded: number; readonly flooded: number } {
    return { forwarded: this.#forwarded, flooded: this.#flooded };
  }

  /** What it has learned, as `brctl showmacs` lists it. */
  get addresses(): BridgeEntry[] {
    const now = this.#now();
    return [...this.#stations]
      .filter(([, { seen }]) => now - seen < this.#ageingMs)
      .map(([key, { port, seen }]) => ({
        mac: key
          .toString(16)
          .padStart(12, "0")
          .replace(/..(?!$)/g, "$&:"),
        port: port.name,
        ageMs: now - seen,
      }));
  }

  #remove(port: BridgePort): void {
    this.#ports.delete(port);
    for (const [key, station] of this.#stations) if (station.port === port) this.#stations.delete(key);
  }

  #forward(from: BridgePort, frame: Uint8Array, offload: Offload | undefined): void {
    if (!this.#ports.has(from) || !isFrameSize(frame.length)) return;
    this.#learn(from, frame);
    const isGroup = (frame[0]! & 1) !== 0;
    const station = isGroup ? undefined : this.#stations.get(addressKey(frame, 0));
    if (station && this.#now() - station.seen < this.#ageingMs) {
      // Its receiver has it already when it is behind the port that it came from.
      if (station.port === from) return;
      if (this.isCut?.(from.name, station.port.name)) return;
      this.#forwarded++;
      handOver(station.port, frame, offload);
      return;
    }
    this.#flooded++;
    for (const port of [...this.#ports])
      if (port !== from && !this.isCut?.(from.name, port.name)) handOver(port, frame, offload);
  }

  #learn(port: BridgePort, frame: Uint8Array): void {
    // A group address can't be a source (802.3 3.2.3).
    if (frame[6]! & 1) return;
    const key = addressKey(frame, 6);
    this.#stations.delete(key);
    if (this.#stations.size >= this.#maxAddresses) this.#stations.delete(this.#stations.keys().next().value!);
    this.#stations.set(key, { port, seen: this.#now() });
  }
}

function addressKey(frame: Uint8Array, at: number): number {
  const high = (frame[at]! << 8) | frame[at + 1]!;
  const low = ((frame[at + 2]! << 24) | (frame[at + 3]! << 16) | (frame[at + 4]! << 8) | frame[at + 5]!) >>> 0;
  return high * 2 ** 32 + low;
}
