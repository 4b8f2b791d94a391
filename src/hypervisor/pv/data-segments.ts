// Loading a data segment register from a selector with guest (CPL 3) rights, as MOV to a segment register does it
// (SDM 2B MOV), for hypercalls that name a selector.

import { SEG_ATTR, SEG_LIMIT, SEG_SELECTOR, Seg } from "../../cpu/state-layout.js";
import { unpackDescriptor } from "./descriptor-check.js";
import { readDescriptor } from "./descriptors.js";
import { setUserGsBase } from "./guest-mode.js";
import type { PvContext, PvHost } from "./pv-context.js";

const CODE_OR_DATA = 0x10;
const CODE = 0x08;
const READABLE = 0x02;
const PRESENT = 0x80;
const UNUSABLE = 0x10000;

/** Whether a data segment register may hold the selector at CPL 3. */
function loadable(attributes: number): boolean {
  if (!(attributes & CODE_OR_DATA) || !(attributes & PRESENT)) return false;
  if (attributes & CODE && !(attributes & READABLE)) return false;
  const conforming = (attributes & 0x0c) === 0x0c;
  return conforming || ((attributes >> 5) & 3) === 3;
}

/** SEGBASE_GS_USER_SEL: the user's GS gets the selector and its base; a selector that can't be loaded becomes null. */
export function loadUserGs(host: PvHost, vcpu: PvContext, selector: number): void {
  const { state } = vcpu.cpu;
  const wanted = selector | 3;
  const descriptor = selector & ~3 ? readDescriptor(host, vcpu, wanted) : undefined;
  const unpacked = descriptor === undefined ? undefined : unpackDescriptor(descriptor);
  if (unpacked && loadable(unpacked.attributes)) {
    state.setU32(SEG_SELECTOR + 4 * Seg.GS, wanted);
    state.setU32(SEG_LIMIT + 4 * Seg.GS, unpacked.limit);
    state.setU32(SEG_ATTR + 4 * Seg.GS, unpacked.attributes);
    setUserGsBase(vcpu, unpacked.base);
    return;
  }
  state.setU32(SEG_SELECTOR + 4 * Seg.GS, selector & ~3 ? 0 : selector);
  state.setU32(SEG_LIMIT + 4 * Seg.GS, 0);
  state.setU32(SEG_ATTR + 4 * Seg.GS, UNUSABLE);
  // The guest sets the base itself after loading a null selector; zero is what Intel processors leave.
  setUserGsBase(vcpu, 0n);
}
