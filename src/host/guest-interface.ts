// A network interface of a guest as library users hold it: what it is, captures of what passes it, and faults of its line.

import { createWriteStream } from "node:fs";
import { FaultyPort, type FaultyPortOptions, type LineFaults, lineFaults } from "../devices/network/faulty-port.js";
import type { PacketPort } from "../devices/network/packet-port.js";
import { CapturePoint, pcapHeader, pcapRecord } from "../devices/network/pcap.js";
import type { NetStatistics } from "../devices/xen/netback/net-backend.js";
import type { DevicePaths } from "./device-nodes.js";
import { XenError } from "./errors.js";
import type { NetworkServices } from "./network.js";

export interface InterfaceOptions {
  readonly devid: number;
  readonly vifname: string;
  readonly mac: string;
  readonly place: string;
  readonly rate: string | undefined;
  readonly forwardPorts: readonly number[];
  readonly paths: DevicePaths;
  readonly services: NetworkServices;
  readonly statistics: () => NetStatistics;
  readonly state: () => number;
}

export interface DumpOptions {
  /** Bytes kept of each frame; default: all. */
  readonly snapLength?: number;
  /** Ends by itself after so many frames. */
  readonly count?: number;
}

export interface Dump {
  /** Frames written. */
  readonly frames: number;
  /** Ends the capture; done when the file is complete. */
  stop(): Promise<void>;
  /** Done when it has ended, by `stop`, by `count`, or with its interface. @throws XenError bad-network: the file can't be written */
  readonly finished: Promise<void>;
}

const LARGEST_SNAP = 65_553;

export class GuestInterface {
  readonly devid: number;
  /** Its port's name on the bridge. */
  readonly vifname: string;
  readonly mac: string;
  /** The bridge's name, or "nat", "tap0", "stream:unix:PATH". */
  readonly place: string;
  readonly rate: string | undefined;
  /** Ports of the machine that lead to the guest, in the order of `hostfwd`. */
  readonly forwardPorts: readonly number[];
  readonly backendPath: string;
  readonly frontendPath: string;
  readonly #options: InterfaceOptions;
  readonly #faulty: FaultyPort;
  readonly #capture: CapturePoint;
  readonly #stops = new Set<() => void>();

  /** Made by its domain. */
  constructor(port: PacketPort, options: InterfaceOptions) {
    this.devid = options.devid;
    this.vifname = options.vifname;
    this.mac = options.mac;
    this.place = options.place;
    this.rate = options.rate;
    this.forwardPorts = options.forwardPorts;
    this.backendPath = options.paths.backend;
    this.frontendPath = options.paths.frontend;
    this.#options = options;
    this.#faulty = new FaultyPort(port, { timers: options.services.timers });
    // Next to the guest: what it sends is captured, whatever becomes of it.
    this.#capture = new CapturePoint(this.#faulty);
  }

  /** For its backend. */
  get port(): PacketPort {
    return this.#capture;
  }

  /** XenbusState of the backend; 4: connected. */
  get state(): number {
    return this.#options.state();
  }

  /** From the guest's point of view. */
  get statistics(): Readonly<NetStatistics> {
    return this.#options.statistics();
  }

  /** What its line does to frames, in both directions; {}: nothing any more. A function decides for each frame. */
  setFaults(faults: LineFaults | NonNullable<FaultyPortOptions["decide"]>): void {
    this.#faulty.decide = typeof faults === "function" ? faults : lineFaults(faults, this.#options.services.random);
  }

  /** Nothing passes until `heal`. */
  partition(): void {
    this.#faulty.isPartitioned = true;
  }

  heal(): void {
    this.#faulty.isPartitioned = false;
  }

  /** Calls back for each frame that the guest sends or receives. @returns what ends it */
  observe(observer: (frame: Uint8Array) => void): () => void {
    return this.#capture.observe(observer);
  }

  /** Writes what the guest sends and receives as a pcap file. @param target a path, or what takes the bytes */
  dump(target: string | ((bytes: Uint8Array) => void), options: DumpOptions = {}): Dump {
    const { snapLength = LARGEST_SNAP, count = Number.POSITIVE_INFINITY } = options;
    const sink = typeof target === "string" ? fileSink(target) : { write: target, end: () => Promise.resolve() };
    let frames = 0;
    let finish: (ended: Promise<void>) => void = () => {};
    const finished = new Promise<void>((resolve) => (finish = resolve));
    // Whoever doesn't look is not to be ended by it.
    finished.catch(() => {});
    const stop = () => {
      unobserve();
      if (this.#stops.delete(stop)) finish(sink.end());
    };
    const unobserve = this.observe((frame) => {
      if (frames >= count) return;
      sink.write(pcapRecord(frame, this.#options.services.wall(), snapLength));
      if (++frames >= count) stop();
    });
    this.#stops.add(stop);
    sink.write(pcapHeader(snapLength));
    return {
      get frames() {
        return frames;
      },
      stop() {
        stop();
        return finished;
      },
      finished,
    };
  }

  /** For its domain. */
  close(): void {
    for (const stop of [...this.#stops]) stop();
    this.#capture.close();
  }
}

function fileSink(path: string): { write: (bytes: Uint8Array) => void; end: () => Promise<void> } {
  const stream = createWriteStream(path);
  let failure: Error | undefined;
  stream.on("error", (error) => (failure = error));
  return {
    write: (bytes) => void (failure ?? stream.write(bytes)),
    end: () =>
      new Promise((resolve, reject) => {
        const done = () => {
          if (failure) reject(new XenError("bad-network", `${path}: ${failure.message}`, { cause: failure }));
          else resolve();
        };
        if (stream.closed) return done();
        stream.once("close", done);
        stream.end();
      }),
  };
}
