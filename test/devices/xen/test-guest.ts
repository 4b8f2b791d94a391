// A guest without a CPU: pages that it grants, event channels, and a real XenStore. Enough for a frontend written in a test.
import type { BackendServices, EventBinding, GrantedPage } from "../../../src/devices/xen/backend.js";
import { XenStoreServer } from "../../../src/hypervisor/xenstore/server.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

export class TestGuest {
  readonly store = new XenStoreServer(new MachineMemory({ frames: 1, engineBytes: 65536 }));
  readonly pages: Uint8Array[] = [];
  readonly readonlyRefs = new Set<number>();
  /** Mappings in force, by reference. */
  readonly mapped = new Map<number, number>();
  readonly #ports = new Map<number, { onEvent: () => void; isOpen: boolean }>();
  /** Events that the guest got, by port. */
  readonly events = new Map<number, number>();
  #nextPort = 1;
  readonly #unbound = new Set<number>();

  /** A fresh page and its grant reference. */
  grant(): { ref: number; page: Uint8Array } {
    const page = new Uint8Array(4096);
    return { ref: this.pages.push(page) - 1 + 8, page };
  }

  allocatePort(): number {
    this.#unbound.add(this.#nextPort);
    return this.#nextPort++;
  }

  /** What EVTCHNOP_send does. */
  kick(port: number): void {
    const end = this.#ports.get(port);
    if (end?.isOpen) end.onEvent();
  }

  get mappings(): number {
    return [...this.mapped.values()].reduce((sum, count) => sum + count, 0);
  }

  readonly services: BackendServices = {
    store: this.store,
    grants: {
      map: (ref, isWritable) => this.#map(ref, isWritable),
      read: (ref, offset, target) => this.#copy(ref, false, ({ bytes }) => target.set(slice(bytes, offset, target))),
      write: (ref, offset, source) => this.#copy(ref, true, ({ bytes }) => slice(bytes, offset, source).set(source)),
      gather: (parts, forWriting) => {
        const views: Uint8Array[] = [];
        for (const { gref, offset, length } of parts)
          if (!this.#copy(gref, forWriting, ({ bytes }) => views.push(bytes.subarray(offset, offset + length))))
            return undefined;
        return views;
      },
    },
    events: {
      bind: (port, onEvent) => this.#bind(port, onEvent),
      bindPrompt: (port, onEvent) => this.#bind(port, onEvent),
      bindUrgent: (port, onEvent) => this.#bind(port, onEvent),
    },
  };

  #map(ref: number, isWritable: boolean): GrantedPage | undefined {
    const page = this.pages[ref - 8];
    if (!page || (isWritable && this.readonlyRefs.has(ref))) return undefined;
    this.mapped.set(ref, (this.mapped.get(ref) ?? 0) + 1);
    let isMapped = true;
    const alive = () => {
      if (!isMapped) throw new Error(`grant ${ref} used after its release`);
    };
    return {
      get bytes() {
        alive();
        return page;
      },
      write: (offset, source) => {
        alive();
        if (!isWritable) throw new Error(`grant ${ref} is mapped read-only`);
        page.set(source, offset);
      },
      part: (offset, length, forWriting) => {
        alive();
        if (forWriting && !isWritable) throw new Error(`grant ${ref} is mapped read-only`);
        return page.subarray(offset, offset + length);
      },
      release: () => {
        alive();
        isMapped = false;
        this.mapped.set(ref, this.mapped.get(ref)! - 1);
      },
    };
  }

  #copy(ref: number, isWritable: boolean, copy: (page: GrantedPage) => void): boolean {
    const page = this.#map(ref, isWritable);
    if (!page) return false;
    copy(page);
    page.release();
    return true;
  }

  #bind(port: number, onEvent: () => void): EventBinding | undefined {
    if (!this.#unbound.delete(port)) return undefined;
    const end = { onEvent, isOpen: true };
    this.#ports.set(port, end);
    return {
      notify: () => void (end.isOpen && this.events.set(port, (this.events.get(port) ?? 0) + 1)),
      close: () => {
        if (!end.isOpen) return;
        end.isOpen = false;
        this.#unbound.add(port);
      },
    };
  }
}

function slice(page: Uint8Array, offset: number, { length }: Uint8Array): Uint8Array {
  if (offset < 0 || offset + length > page.length) throw new Error(`${length} bytes at ${offset} are not in a page`);
  return page.subarray(offset, offset + length);
}

/** Lets everything that is ready happen. */
export async function settle(turns = 4): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}
