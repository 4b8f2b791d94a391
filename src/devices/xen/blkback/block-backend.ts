// A virtual disk as its guest's frontend finds it: what Linux's xen-blkback publishes in the XenStore, and the rings that the
// frontend sets up (io/blkif.h, "Feature and Parameter Negotiation").

import * as B from "../../../hypervisor/public/io/blkif.js";
import { XEN_IO_PROTO_ABI_X86_32, XEN_IO_PROTO_ABI_X86_64 } from "../../../hypervisor/public/io/xenbus.js";
import type { Abi } from "../../../hypervisor/public/layout.js";
import type { BlockStore } from "../../storage/block-store.js";
import { type BackendServices, FrontendError, type GrantedPage, readNumber, readOptionalNumber } from "../backend.js";
import { type BackendDriver, XenbusBackend } from "../xenbus-state.js";
import { MAX_INDIRECT_SEGMENTS } from "./block-request.js";
import { BlockRing, type BlockStatistics } from "./block-ring.js";
import { GuestPages } from "./guest-pages.js";

const SECTOR_SIZE = 512;
const MAX_RING_PAGE_ORDER = 4;
const MAX_QUEUES = 4;
const MAX_U32 = 0xffffffff;
/** Lines about failures of the host's disk; those after it are counted only. */
const MAX_ERROR_LINES = 20;

export interface BlockBackendOptions {
  readonly services: BackendServices;
  /** Stays the caller's: close it after `stop` or `finished`. */
  readonly disk: BlockStore;
  readonly backendPath: string;
  readonly frontendPath: string;
  /** Writes are refused, whatever the disk allows. */
  readonly isReadonly: boolean;
  readonly isCdrom: boolean;
  /** Offers discard where the disk can; default true. */
  readonly discard?: boolean;
  /**
   * Offers feature-persistent; default false. A frontend that takes it grants pages once and copies all data through them, which costs the
   * guest more than granting its own pages costs both sides here.
   */
  readonly persistentGrants?: boolean;
  /** ABI of a frontend that doesn't say. */
  readonly nativeAbi: Abi;
  readonly log: (line: string) => void;
}

export class BlockBackend implements BackendDriver {
  readonly #options: BlockBackendOptions;
  readonly #isReadonly: boolean;
  readonly #canDiscard: boolean;
  readonly device: XenbusBackend;
  #rings: BlockRing[] = [];
  #ringPages: GrantedPage[] = [];
  #guestPages: GuestPages[] = [];
  #closing: Promise<unknown> = Promise.resolve();
  readonly statistics: BlockStatistics = {
    reads: 0,
    writes: 0,
    flushes: 0,
    discards: 0,
    sectorsRead: 0,
    sectorsWritten: 0,
    errors: 0,
  };
  #errorLines = 0;

  constructor(options: BlockBackendOptions) {
    const { services, disk, backendPath, frontendPath, log } = options;
    this.#options = options;
    this.#isReadonly = options.isReadonly || disk.isReadonly;
    this.#canDiscard = (options.discard ?? true) && disk.discardGranularity > 0 && !this.#isReadonly;
    this.device = new XenbusBackend({ store: services.store, backendPath, frontendPath, log, driver: this });
  }

  #write(name: string, value: number | string): void {
    const { services, backendPath } = this.#options;
    services.store.write(`${backendPath}/${name}`, String(value));
  }

  publish(): void {
    this.#write("multi-queue-max-queues", MAX_QUEUES);
    this.#write("max-ring-page-order", MAX_RING_PAGE_ORDER);
    this.#write("max-ring-pages", 2 ** MAX_RING_PAGE_ORDER);
    this.#write("feature-max-indirect-segments", MAX_INDIRECT_SEGMENTS);
    this.#write("feature-persistent", this.#options.persistentGrants ? 1 : 0);
    this.#write("feature-flush-cache", 1);
    this.#write("feature-barrier", 1);
    this.#write("feature-discard", this.#canDiscard ? 1 : 0);
    if (!this.#canDiscard) return;
    this.#write("discard-granularity", this.#options.disk.discardGranularity);
    this.#write("discard-alignment", 0);
    this.#write("discard-secure", 0);
  }

  connect(): void {
    const { services, frontendPath, disk, isCdrom, persistentGrants } = this.#options;
    const { store } = services;
    try {
      const abi = this.#abi();
      // Linux's frontend says so whether or not it was offered.
      const isWanted = readOptionalNumber(store, `${frontendPath}/feature-persistent`, 1) === 1;
      const isPersistent = isWanted && persistentGrants === true;
      const queues = readOptionalNumber(store, `${frontendPath}/multi-queue-num-queues`, MAX_QUEUES) ?? 1;
      if (queues === 0) throw new FrontendError(`${frontendPath}: no queues`);
      for (let i = 0; i < queues; i++)
        this.#connectRing(queues === 1 ? frontendPath : `${frontendPath}/queue-${i}`, abi, isPersistent);
    } catch (error) {
      this.#release();
      throw error;
    }
    const readonlyFlag = this.#isReadonly ? B.VDISK_READONLY : 0;
    const cdromFlag = isCdrom ? B.VDISK_CDROM | B.VDISK_REMOVABLE : 0;
    this.#write("sectors", disk.size / SECTOR_SIZE);
    this.#write("info", readonlyFlag | cdromFlag);
    this.#write("sector-size", SECTOR_SIZE);
    this.#write("physical-sector-size", SECTOR_SIZE);
    // Requests may have come before the event channel was bound.
    for (const ring of this.#rings) ring.service();
  }

  #abi(): Abi {
    const { services, frontendPath, nativeAbi } = this.#options;
    const protocol = services.store.read(`${frontendPath}/protocol`);
    if (protocol === undefined) return nativeAbi;
    if (protocol === XEN_IO_PROTO_ABI_X86_64) return 64;
    if (protocol === XEN_IO_PROTO_ABI_X86_32) return 32;
    throw new FrontendError(`${frontendPath}/protocol: unknown protocol ${JSON.stringify(protocol.slice(0, 40))}`);
  }

  /** Multi-page rings name their size at the device's node, their pages at the queue's. */
  #ringRefs(path: string): number[] {
    const { services, frontendPath } = this.#options;
    const { store } = services;
    const order = readOptionalNumber(store, `${frontendPath}/ring-page-order`, MAX_RING_PAGE_ORDER);
    const pages = readOptionalNumber(store, `${frontendPath}/num-ring-pages`, 2 ** MAX_RING_PAGE_ORDER);
    const count = order === undefined ? (pages ?? 1) : 2 ** order;
    if (count === 0 || (count & (count - 1)) !== 0)
      throw new FrontendError(`${frontendPath}: a ring of ${count} pages`);
    const single = count === 1 ? readOptionalNumber(store, `${path}/ring-ref`, MAX_U32) : undefined;
    if (single !== undefined) return [single];
    if (order === undefined && pages === undefined) return [readNumber(store, `${path}/ring-ref`, MAX_U32)];
    return Array.from({ length: count }, (_, i) => readNumber(store, `${path}/ring-ref${i}`, MAX_U32));
  }

  #connectRing(path: string, abi: Abi, isPersistent: boolean): void {
    const { services, disk } = this.#options;
    const ringPages: GrantedPage[] = [];
    for (const ref of this.#ringRefs(path)) {
      const page = services.grants.map(ref, true);
      if (!page) throw new FrontendError(`${path}: grant reference ${ref} can't be mapped for the ring`);
      ringPages.push(page);
      this.#ringPages.push(page);
    }
    const pages = new GuestPages(services.grants, isPersistent);
    this.#guestPages.push(pages);
    const ring = new BlockRing({
      ringPages,
      abi,
      pages,
      disk,
      isReadonly: this.#isReadonly,
      canDiscard: this.#canDiscard,
      statistics: this.statistics,
      onDiskError: (error) => this.#reportDiskError(error),
      onBroken: () => this.device.fail(`${path}: the ring's indices make no sense`),
    });
    if (ring.isBroken) throw new FrontendError(`${path}: the ring's indices make no sense`);
    const port = readNumber(services.store, `${path}/event-channel`, MAX_U32);
    const event = services.events.bindPrompt(port, () => ring.service());
    if (!event) throw new FrontendError(`${path}: event channel ${port} can't be bound`);
    ring.event = event;
    this.#rings.push(ring);
  }

  #reportDiskError(error: unknown): void {
    if (++this.#errorLines > MAX_ERROR_LINES) return;
    const { backendPath, log } = this.#options;
    const last = this.#errorLines === MAX_ERROR_LINES ? " (further errors of this disk aren't reported)" : "";
    log(`${backendPath}: ${error instanceof Error ? error.message : String(error)}${last}`);
  }

  async disconnect(): Promise<void> {
    this.#release();
    await this.#closing;
  }

  /** The guest's pages go back at once; requests under way end in the host, unseen by the guest. */
  #release(): void {
    const rings = this.#rings.splice(0);
    this.#closing = Promise.all([this.#closing, ...rings.map((ring) => ring.close())]);
    for (const pages of this.#guestPages.splice(0)) pages.close();
    for (const page of this.#ringPages.splice(0)) page.release();
  }
}
