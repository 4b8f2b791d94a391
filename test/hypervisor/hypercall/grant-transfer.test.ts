import { beforeEach, describe, expect, test } from "vitest";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { copyFromGuest, copyToGuest } from "../../../src/hypervisor/guest-access.js";
import { grantTableOp } from "../../../src/hypervisor/hypercall/grant-table.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import * as G from "../../../src/hypervisor/public/grant-table.js";
import { call, FREE_PFN, type Host, makeDomain, makeHost, otherReferences, va } from "../hypervisor-fixture.js";

const ARGUMENT = va(FREE_PFN);
const PAGE = FREE_PFN + 1;
const WINDOW = FREE_PFN + 2;
const WRITABLE = 0x63n;

describe.each([1, 2] as const)("GNTTABOP_transfer to an entry of version %d", (version) => {
  let host: Host;
  let giver: ReturnType<typeof makeDomain>;
  let taker: ReturnType<typeof makeDomain>;
  let mfn: number;

  beforeEach(() => {
    host = makeHost();
    giver = makeDomain(host, false);
    taker = makeDomain(host, false);
    mfn = giver.p2m[PAGE]!;
    taker.domain.grants.setVersion(version);
    taker.domain.grants.seed(8, giver.domain.id, 0n, G.GTF_accept_transfer);
    copyToGuest(giver.vcpu, va(PAGE), new TextEncoder().encode("given"));
  });

  const transfer = (frame = mfn, domid = taker.domain.id, ref = 8): number => {
    const layout = G.gnttab_transfer;
    copyToGuest(giver.vcpu, ARGUMENT, layout.encode(64, { mfn: BigInt(frame), domid, ref, status: 99 }));
    expect(call(grantTableOp, giver.vcpu, G.GNTTABOP_transfer, ARGUMENT, 1)).toBe(0);
    return layout.decode(copyFromGuest(giver.vcpu, ARGUMENT, layout.size(64))!, 64).status;
  };
  const map = ({ vcpu }: typeof giver, pfn: number, pte: bigint) => call(updateVaMapping, vcpu, va(pfn), pte, 0);
  const entry = () => {
    const at = taker.domain.grants.frames[0]! * 4096 + 8 * (version === 1 ? 8 : 16);
    return [host.memory.readU32(at) & 0xffff, host.memory.readU32(at + (version === 1 ? 4 : 8))];
  };
  const pages = () => [giver.domain.memory.totalPages, taker.domain.memory.totalPages];
  const audit = () =>
    auditFrames(host.hypervisor.mm, otherReferences([giver.domain, taker.domain])).filter((line) =>
      /references/.test(line),
    );

  test("the frame changes hands with its contents; the giver can't map it any more", () => {
    const [given, taken] = pages();
    expect(map(giver, PAGE, 0n)).toBe(0);
    expect(transfer()).toBe(G.GNTST_okay);
    expect(entry()).toEqual([G.GTF_accept_transfer | G.GTF_transfer_committed | G.GTF_transfer_completed, mfn]);
    expect(pages()).toEqual([given! - 1, taken! + 1]);
    expect(map(giver, PAGE, (BigInt(mfn) << 12n) | WRITABLE)).toBeLessThan(0);
    expect(map(taker, WINDOW, (BigInt(mfn) << 12n) | WRITABLE)).toBe(0);
    expect(new TextDecoder().decode(copyFromGuest(taker.vcpu, va(WINDOW), 5))).toBe("given");
    expect(audit()).toEqual([]);
    expect(transfer(giver.p2m[PAGE + 5])).toBe(G.GNTST_bad_page);
  });

  test("an entry takes one frame", () => {
    map(giver, PAGE, 0n);
    map(giver, PAGE + 5, 0n);
    expect([transfer(), transfer(giver.p2m[PAGE + 5])]).toEqual([G.GNTST_okay, G.GNTST_general_error]);
  });

  test("refused, with nothing changed", () => {
    const before = pages();
    expect(transfer()).toBe(G.GNTST_bad_page); // still mapped
    map(giver, PAGE, 0n);
    expect(transfer(taker.p2m[PAGE])).toBe(G.GNTST_bad_page);
    expect(transfer(giver.domain.grants.frames[0])).toBe(G.GNTST_bad_page);
    expect(transfer(0xffff_ffff)).toBe(G.GNTST_bad_page);
    expect(transfer(mfn, 500)).toBe(G.GNTST_bad_domain);
    expect(transfer(mfn, taker.domain.id, 1 << 20)).toBe(G.GNTST_bad_gntref);
    expect(transfer(mfn, taker.domain.id, 9)).toBe(G.GNTST_general_error);
    taker.domain.grants.seed(8, 77, 0n, G.GTF_accept_transfer);
    expect(transfer()).toBe(G.GNTST_general_error);
    taker.domain.grants.seed(8, giver.domain.id, 0n, G.GTF_accept_transfer);
    taker.domain.memory.maxPages = taker.domain.memory.totalPages;
    expect(transfer()).toBe(G.GNTST_general_error);
    expect([pages(), entry()]).toEqual([before, [G.GTF_accept_transfer, 0]]);
    expect(audit()).toEqual([]);
  });
});
