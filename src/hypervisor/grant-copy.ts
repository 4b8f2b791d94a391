// GNTTABOP_copy (grant_table.h): the hypervisor copies between two frames, each the caller's own or granted to it.

import { FrameType } from "./frame-table.js";
import type { Grant } from "./grant-table.js";
import type { Domain, Vcpu } from "./hypervisor.js";
import * as G from "./public/grant-table.js";
import { DOMID_SELF } from "./public/xen.js";

const PAGE_SIZE = 4096;

interface CopyPointer {
  u: { ref?: number; gmfn?: bigint };
  domid: number;
  offset: number;
}

interface CopyArgument {
  source: CopyPointer;
  dest: CopyPointer;
  len: number;
  flags: number;
}

/** A frame that is held while a copy goes on. */
interface Held {
  readonly mfn: number;
  readonly start: number;
  readonly length: number;
  release(): void;
}

/** @returns a GNTST_* status */
export function copyGrants(vcpu: Vcpu, { source, dest, len, flags }: CopyArgument): number {
  if (source.offset + len > PAGE_SIZE || dest.offset + len > PAGE_SIZE) return G.GNTST_bad_copy_arg;
  const from = hold(vcpu, source, (flags & G.GNTCOPY_source_gref) !== 0, true);
  if (typeof from === "number") return from;
  const to = hold(vcpu, dest, (flags & G.GNTCOPY_dest_gref) !== 0, false);
  if (typeof to === "number") {
    from.release();
    return to;
  }
  const { memory } = vcpu.domain.hypervisor;
  const isInside = fits(from, source.offset, len) && fits(to, dest.offset, len);
  if (isInside)
    memory.write(to.mfn * PAGE_SIZE + dest.offset, memory.bytes(from.mfn * PAGE_SIZE + source.offset, len).slice());
  to.release();
  from.release();
  return isInside ? G.GNTST_okay : G.GNTST_general_error;
}

function fits({ start, length }: Held, offset: number, count: number): boolean {
  return offset >= start && offset + count <= start + length;
}

function hold(vcpu: Vcpu, { u, domid }: CopyPointer, isReference: boolean, isReadonly: boolean): Held | number {
  const { hypervisor } = vcpu.domain;
  const domain = domid === DOMID_SELF ? vcpu.domain : hypervisor.findDomain(domid);
  if (!domain) return G.GNTST_bad_domain;
  if (isReference) return holdGrant(vcpu.domain.id, domain, u.ref ?? 0, isReadonly, true);
  // By frame number only in the caller's own memory.
  if (domain !== vcpu.domain) return G.GNTST_permission_denied;
  return holdFrame(domain, u.gmfn ?? 0n, isReadonly, { start: 0, length: PAGE_SIZE });
}

/** A grant of `granter` to domain `reader`; a transitive one leads one step further. */
function holdGrant(
  reader: number,
  granter: Domain,
  ref: number,
  isReadonly: boolean,
  canFollow: boolean,
): Held | number {
  const grant = granter.grants.acquire(ref, reader, isReadonly, false);
  if (typeof grant === "number") return grant;
  const release = () => granter.grants.release(ref, isReadonly);
  const held = grant.transitive
    ? follow(granter, grant.transitive, isReadonly, canFollow)
    : holdFrame(granter, grant.frame, isReadonly, grant);
  if (typeof held === "number") {
    release();
    return held;
  }
  const releaseFrame = held.release;
  return {
    ...held,
    release: () => {
      releaseFrame();
      release();
    },
  };
}

function follow(
  granter: Domain,
  { domid, ref }: NonNullable<Grant["transitive"]>,
  isReadonly: boolean,
  canFollow: boolean,
): Held | number {
  const origin = granter.hypervisor.findDomain(domid);
  if (!canFollow || !origin || origin === granter) return G.GNTST_general_error;
  return holdGrant(granter.id, origin, ref, isReadonly, false);
}

function holdFrame(
  owner: Domain,
  frame: bigint,
  isReadonly: boolean,
  { start, length }: { start: number; length: number },
): Held | number {
  const { frames } = owner.hypervisor.mm;
  if (frame >= BigInt(frames.frames)) return G.GNTST_bad_page;
  const mfn = Number(frame);
  const isHeld = isReadonly ? frames.getPage(mfn, owner.id) : frames.getPageAndType(mfn, owner.id, FrameType.Writable);
  if (!isHeld) return G.GNTST_bad_page;
  const release = () => {
    if (isReadonly) frames.putPage(mfn);
    else frames.putPageAndType(mfn);
  };
  return { mfn, start, length, release };
}
