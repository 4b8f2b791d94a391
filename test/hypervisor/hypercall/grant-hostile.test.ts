// Grants that a guest maps and then changes behind the hypervisor's back: no reference is given back that isn't held.

import { describe, expect, it } from "vitest";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { readU64 } from "../../../src/hypervisor/guest-access.js";
import { grantTableOp } from "../../../src/hypervisor/hypercall/grant-table.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import * as G from "../../../src/hypervisor/public/grant-table.js";
import { DOMID_SELF, UVMF_INVLPG } from "../../../src/hypervisor/public/xen.js";
import { call, FREE_PFN, makeDomain, makeHost, otherReferences, putWords, va } from "../hypervisor-fixture.js";

const ARGUMENT = va(FREE_PFN);
const SLOT = va(FREE_PFN + 4);

function setup() {
  const host = makeHost();
  const granter = makeDomain(host, false);
  const guest = makeDomain(host, false);
  const { hypervisor } = host;
  const domains = () => [...hypervisor.domains.values()];
  const audit = () => auditFrames(hypervisor.mm, otherReferences(domains()));
  const status = (offset: number) => Number(BigInt.asIntN(16, readU64(guest.vcpu, ARGUMENT + BigInt(offset))! >> 16n));
  const map = (ref: number, flags: number, domid: number) => {
    putWords(guest.vcpu, ARGUMENT, [SLOT, BigInt(flags) | (BigInt(ref) << 32n), domid, 0]);
    expect(call(grantTableOp, guest.vcpu, G.GNTTABOP_map_grant_ref, ARGUMENT, 1)).toBe(0);
    return { status: status(16), handle: Number(readU64(guest.vcpu, ARGUMENT + 16n)! >> 32n) };
  };
  const unmap = (handle: number) => {
    putWords(guest.vcpu, ARGUMENT, [SLOT, 0, handle]);
    expect(call(grantTableOp, guest.vcpu, G.GNTTABOP_unmap_grant_ref, ARGUMENT, 1)).toBe(0);
    return Number(BigInt.asIntN(16, readU64(guest.vcpu, ARGUMENT + 16n)! >> 32n));
  };
  return { hypervisor, granter, guest, audit, map, unmap };
}

describe("hostile use of grants", () => {
  it("a writable mapping that became read-only isn't unmapped as a writable one", () => {
    const { hypervisor, guest, audit, map, unmap } = setup();
    const mfn = guest.p2m[FREE_PFN + 5]!;
    guest.domain.grants.seed(9, guest.domain.id, BigInt(mfn));
    const { status, handle } = map(9, G.GNTMAP_host_map, DOMID_SELF);
    expect(status).toBe(G.GNTST_okay);
    expect(call(updateVaMapping, guest.vcpu, SLOT, (BigInt(mfn) << 12n) | 0x65n, UVMF_INVLPG)).toBe(0);
    expect(unmap(handle)).toBe(G.GNTST_general_error);
    expect(audit()).toEqual([]);
    hypervisor.destroyDomain(guest.domain);
    expect(audit()).toEqual([]);
  });

  it("a device mapping's references end with the domain", () => {
    const { hypervisor, granter, guest, audit, map } = setup();
    granter.domain.grants.seed(9, guest.domain.id, BigInt(granter.p2m[FREE_PFN]!));
    expect(map(9, G.GNTMAP_device_map, granter.domain.id).status).toBe(G.GNTST_okay);
    hypervisor.destroyDomain(guest.domain);
    expect(audit()).toEqual([]);
    expect(granter.domain.grants.activeCount).toBe(0);
  });

  it("a granter's end doesn't let its mappings touch the frames of its table", () => {
    const { hypervisor, granter, guest, map, unmap } = setup();
    granter.domain.grants.seed(9, guest.domain.id, BigInt(granter.p2m[FREE_PFN]!));
    const [table] = granter.domain.grants.frames;
    const { status, handle } = map(9, G.GNTMAP_host_map, granter.domain.id);
    expect(status).toBe(G.GNTST_okay);
    hypervisor.destroyDomain(granter.domain);
    hypervisor.memory.fill(table! * 4096, 4096, 0xff);
    expect(unmap(handle)).toBe(G.GNTST_okay);
    expect(hypervisor.memory.readU64(table! * 4096 + 72)).toBe(0xffff_ffff_ffff_ffffn);
  });
});
