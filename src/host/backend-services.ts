// What a domain's backends get of the host (devices/xen/backend.ts): its grants to domain 0 as pages, its event channels, the
// store. A mapped page holds the references that a mapping of dom0 would: the guest can't make a page table of it meanwhile.

import type { BackendServices, GrantedPage, GrantedPart } from "../devices/xen/backend.js";
import { FrameType } from "../hypervisor/frame-table.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import type { MachineMemory } from "../mmu/machine-memory.js";
import type { DeferredEvents } from "./deferred-events.js";

const PAGE_SIZE = 4096;
/** Backends in the host process act for dom0. */
const BACKEND_DOMID = 0;

export function backendServices(domain: Domain, store: XenStoreServer, deferred: DeferredEvents): BackendServices {
  return {
    store,
    grants: {
      map: (ref, isWritable) => mapGrant(domain, ref, isWritable),
      read: (ref, offset, target) => readGrant(domain, ref, offset, target),
      write: (ref, offset, source) => writeGrant(domain, ref, offset, source),
      gather: (parts, forWriting) => gatherGrants(domain, parts, forWriting),
    },
    events: {
      bind: (port, onEvent) => domain.events.bindHost(port, deferred.defer(onEvent)),
      bindPrompt: (port, onEvent) => domain.events.bindHost(port, deferred.deferBursts(onEvent)),
      bindUrgent: (port, onEvent, isUrgent) => domain.events.bindHost(port, deferred.deferUnless(isUrgent, onEvent)),
    },
  };
}

function checkInPage(offset: number, length: number): void {
  if (offset < 0 || offset + length > PAGE_SIZE) throw new RangeError(`${length} bytes at ${offset} are not in a page`);
}

function readGrant(domain: Domain, ref: number, offset: number, target: Uint8Array): boolean {
  checkInPage(offset, target.length);
  const { memory, mm } = domain.hypervisor;
  const mfn = domain.grants.frameOf(ref, BACKEND_DOMID, true);
  if (mfn < 0 || !mm.frames.isHeldBy(mfn, domain.id)) return false;
  target.set(memory.bytes(mfn * PAGE_SIZE + offset, target.length));
  return true;
}

function writeGrant(domain: Domain, ref: number, offset: number, source: Uint8Array): boolean {
  checkInPage(offset, source.length);
  const { memory, mm } = domain.hypervisor;
  const mfn = domain.grants.frameOf(ref, BACKEND_DOMID, false);
  if (mfn < 0 || !mm.frames.isWritableBy(mfn, domain.id)) return false;
  memory.write(mfn * PAGE_SIZE + offset, source);
  return true;
}

function viewOf(memory: MachineMemory, maddr: number, length: number, forWriting: boolean): Uint8Array {
  return forWriting ? memory.writable(maddr, length) : memory.bytes(maddr, length);
}

/** No reference is held: nothing changes what a frame is until the guest runs again. */
function gatherGrants(domain: Domain, parts: readonly GrantedPart[], forWriting: boolean): Uint8Array[] | undefined {
  const { memory, mm } = domain.hypervisor;
  const { frames } = mm;
  const views: Uint8Array[] = [];
  let start = 0;
  let end = 0;
  const add = () => {
    if (end > start) views.push(viewOf(memory, start, end - start, forWriting));
  };
  for (let i = 0; i < parts.length; i++) {
    const { gref, offset, length } = parts[i]!;
    checkInPage(offset, length);
    const mfn = domain.grants.frameOf(gref, BACKEND_DOMID, !forWriting);
    if (mfn < 0) return undefined;
    if (!(forWriting ? frames.isWritableBy(mfn, domain.id) : frames.isHeldBy(mfn, domain.id))) return undefined;
    const at = mfn * PAGE_SIZE + offset;
    if (at !== end) {
      add();
      start = at;
    }
    end = at + length;
  }
  add();
  return views;
}

function mapGrant(domain: Domain, ref: number, isWritable: boolean): GrantedPage | undefined {
  const { memory, mm } = domain.hypervisor;
  const { frames } = mm;
  const grant = domain.grants.acquire(ref, BACKEND_DOMID, !isWritable, true);
  if (typeof grant === "number") return undefined;
  const mfn = Number(grant.frame);
  const isHeld =
    grant.frame < BigInt(frames.frames) &&
    (isWritable ? frames.getPageAndType(mfn, domain.id, FrameType.Writable) : frames.getPage(mfn, domain.id));
  if (!isHeld) {
    domain.grants.release(ref, !isWritable);
    return undefined;
  }
  return {
    bytes: memory.bytes(mfn * PAGE_SIZE, PAGE_SIZE),
    write: (offset, source) => memory.write(mfn * PAGE_SIZE + offset, source),
    part: (offset, length, forWriting) => {
      checkInPage(offset, length);
      return viewOf(memory, mfn * PAGE_SIZE + offset, length, forWriting);
    },
    release: () => {
      if (isWritable) frames.putPageAndType(mfn);
      else frames.putPage(mfn);
      domain.grants.release(ref, !isWritable);
    },
  };
}
