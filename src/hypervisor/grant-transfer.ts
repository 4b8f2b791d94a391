// GNTTABOP_transfer (grant_table.h): the caller gives a frame of its own away; the receiver has said in a grant entry from whom
// it accepts one, and finds the frame's number there. The contents go along: that is what a transfer is for.

import type { Vcpu } from "./hypervisor.js";
import { INVALID_M2P_ENTRY } from "./m2p.js";
import * as G from "./public/grant-table.js";

interface TransferArgument {
  readonly mfn: bigint;
  readonly domid: number;
  readonly ref: number;
}

/** @returns a GNTST_* status; unless it is GNTST_okay nothing has changed */
export function transferGrant(vcpu: Vcpu, { mfn: frame, domid, ref }: TransferArgument): number {
  const { domain } = vcpu;
  const { mm } = domain.hypervisor;
  if (frame >= BigInt(mm.frames.frames)) return G.GNTST_bad_page;
  const mfn = Number(frame);
  if (!domain.memory.holdsAlone(mfn)) return G.GNTST_bad_page;
  const receiver = domain.hypervisor.findDomain(domid);
  if (!receiver) return G.GNTST_bad_domain;
  const { memory } = receiver;
  if (memory.isDying || memory.totalPages >= memory.maxPages) return G.GNTST_general_error;
  const status = receiver.grants.acceptTransfer(ref, domain.id, mfn);
  if (status !== G.GNTST_okay) return status;
  mm.frames.giveTo(mfn, receiver.id);
  mm.m2p.set(mfn, INVALID_M2P_ENTRY);
  domain.memory.totalPages--;
  memory.totalPages++;
  return G.GNTST_okay;
}
