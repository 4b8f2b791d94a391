import { beforeEach, describe, expect, test } from "vitest";
import { copyFromGuest, copyToGuest } from "../../../src/hypervisor/guest-access.js";
import { grantTableOp } from "../../../src/hypervisor/hypercall/grant-table.js";
import * as G from "../../../src/hypervisor/public/grant-table.js";
import type { Struct, StructValue } from "../../../src/hypervisor/public/layout.js";
import { DOMID_SELF } from "../../../src/hypervisor/public/xen.js";
import { call, FREE_PFN, type Host, makeDomain, makeHost, va } from "../hypervisor-fixture.js";

const ARGUMENT = va(FREE_PFN);
const PAGE = FREE_PFN + 1;
const WINDOW = va(FREE_PFN + 2);

type Guest = ReturnType<typeof makeDomain>;

describe("grant_table_op between two domains", () => {
  let host: Host;
  let granter: Guest;
  let mapper: Guest;

  function run<F>(guest: Guest, command: number, layout: Struct<F>, argument: StructValue<F>): StructValue<F> {
    copyToGuest(guest.vcpu, ARGUMENT, layout.encode(64, argument));
    expect(call(grantTableOp, guest.vcpu, command, ARGUMENT, 1)).toBe(0);
    return layout.decode(copyFromGuest(guest.vcpu, ARGUMENT, layout.size(64))!, 64);
  }
  const map = (flags: number, dom = granter.domain.id, ref = 8, host_addr = WINDOW) =>
    run(mapper, G.GNTTABOP_map_grant_ref, G.gnttab_map_grant_ref, {
      host_addr,
      flags,
      ref,
      dom,
      status: 99,
      handle: 0,
      dev_bus_addr: 0n,
    });
  const unmap = (handle: number, host_addr = WINDOW) =>
    run(mapper, G.GNTTABOP_unmap_grant_ref, G.gnttab_unmap_grant_ref, {
      host_addr,
      dev_bus_addr: 0n,
      handle,
      status: 99,
    }).status;

  beforeEach(() => {
    host = makeHost();
    granter = makeDomain(host, false);
    mapper = makeDomain(host, false);
    granter.domain.grants.seed(8, mapper.domain.id, BigInt(granter.p2m[PAGE]!));
    copyToGuest(granter.vcpu, va(PAGE), new TextEncoder().encode("granted"));
  });

  const counts = (mfn: number) => {
    const { frames } = host.hypervisor.mm;
    return [frames.referenceCounts[mfn], frames.typeCounts[mfn]];
  };

  test("a mapped frame is read and written by both, and comes back as it was", () => {
    const mfn = granter.p2m[PAGE]!;
    const before = counts(mfn);
    const { status, handle, dev_bus_addr } = map(G.GNTMAP_host_map);
    expect([status, dev_bus_addr]).toEqual([0, BigInt(mfn) << 12n]);
    expect(new TextDecoder().decode(copyFromGuest(mapper.vcpu, WINDOW, 7))).toBe("granted");
    expect(copyToGuest(mapper.vcpu, WINDOW, new TextEncoder().encode("G"))).toBe(true);
    expect(new TextDecoder().decode(copyFromGuest(granter.vcpu, va(PAGE), 7))).toBe("Granted");
    expect(counts(mfn)).not.toEqual(before);
    expect(unmap(handle)).toBe(0);
    expect(counts(mfn)).toEqual(before);
    expect(copyFromGuest(mapper.vcpu, WINDOW, 1)).toBeUndefined();
    expect(granter.domain.grants.activeCount).toBe(0);
    expect(unmap(handle)).toBe(G.GNTST_bad_handle);
  });

  test("a read-only mapping can't be written", () => {
    const { status, handle } = map(G.GNTMAP_host_map | G.GNTMAP_readonly);
    expect(status).toBe(0);
    expect(copyToGuest(mapper.vcpu, WINDOW, new Uint8Array(1))).toBe(false);
    expect(unmap(handle)).toBe(0);
  });

  test("refused, with nothing held: another domain's grant, a frame that isn't the granter's, no such domain, no entry", () => {
    const mfn = granter.p2m[PAGE]!;
    const before = counts(mfn);
    granter.domain.grants.seed(9, 77, BigInt(mfn));
    granter.domain.grants.seed(10, mapper.domain.id, BigInt(mapper.p2m[PAGE]!));
    granter.domain.grants.seed(11, mapper.domain.id, 0xffffffffn);
    expect(map(G.GNTMAP_host_map, granter.domain.id, 9).status).toBe(G.GNTST_general_error);
    expect(map(G.GNTMAP_host_map, granter.domain.id, 10).status).toBe(G.GNTST_general_error);
    expect(map(G.GNTMAP_host_map, granter.domain.id, 11).status).toBe(G.GNTST_general_error);
    expect(map(G.GNTMAP_host_map, 500).status).toBe(G.GNTST_bad_domain);
    expect(map(G.GNTMAP_host_map, granter.domain.id, 1 << 20).status).toBe(G.GNTST_bad_gntref);
    expect(map(G.GNTMAP_host_map, granter.domain.id, 8, 0xffff_ffff_f000_0000n).status).toBe(G.GNTST_general_error);
    expect([counts(mfn), granter.domain.grants.activeCount, mapper.domain.grants.mappingCount]).toEqual([before, 0, 0]);
  });

  const replace = (handle: number, new_addr: bigint) =>
    run(mapper, G.GNTTABOP_unmap_and_replace, G.gnttab_unmap_and_replace, {
      host_addr: WINDOW,
      new_addr,
      handle,
      status: 99,
    }).status;

  test("an unmapped page is replaced by another address's", () => {
    const before = counts(granter.p2m[PAGE]!);
    const other = WINDOW + 4096n;
    copyToGuest(mapper.vcpu, other, new TextEncoder().encode("own"));
    const { handle } = map(G.GNTMAP_host_map);
    expect(replace(handle, other)).toBe(0);
    expect(new TextDecoder().decode(copyFromGuest(mapper.vcpu, WINDOW, 3))).toBe("own");
    expect(copyFromGuest(mapper.vcpu, other, 1)).toBeUndefined();
    expect([counts(granter.p2m[PAGE]!), granter.domain.grants.activeCount]).toEqual([before, 0]);
  });

  test("what can't be moved replaces nothing: both mappings stay, and go as they came", () => {
    const before = counts(granter.p2m[PAGE]!);
    const other = WINDOW + 4096n;
    const [first, second] = [map(G.GNTMAP_host_map), map(G.GNTMAP_host_map, granter.domain.id, 8, other)];
    expect(replace(first.handle, other)).toBe(G.GNTST_general_error);
    for (const at of [WINDOW, other])
      expect(new TextDecoder().decode(copyFromGuest(mapper.vcpu, at, 7))).toBe("granted");
    expect([unmap(first.handle), unmap(second.handle, other)]).toEqual([0, 0]);
    expect([counts(granter.p2m[PAGE]!), granter.domain.grants.activeCount]).toEqual([before, 0]);
  });

  test("a domain that dies gives back what it has mapped", () => {
    const mfn = granter.p2m[PAGE]!;
    const before = counts(mfn);
    map(G.GNTMAP_host_map);
    host.hypervisor.destroyDomain(mapper.domain);
    expect([counts(mfn), granter.domain.grants.activeCount]).toEqual([before, 0]);
  });

  test("copy by reference and by frame, within what was granted", () => {
    const copy = (source: object, dest: object, len: number, flags: number) =>
      run(mapper, G.GNTTABOP_copy, G.gnttab_copy, { source, dest, len, flags, status: 99 } as never).status;
    const granted = { u: { ref: 8 }, domid: granter.domain.id, offset: 0 };
    const own = { u: { gmfn: BigInt(mapper.p2m[PAGE]!) }, domid: DOMID_SELF, offset: 100 };
    expect(copy(granted, own, 7, G.GNTCOPY_source_gref)).toBe(0);
    expect(new TextDecoder().decode(copyFromGuest(mapper.vcpu, va(PAGE) + 100n, 7))).toBe("granted");
    expect(copy({ ...granted, offset: 4095 }, own, 2, G.GNTCOPY_source_gref)).toBe(G.GNTST_bad_copy_arg);
    const foreign = { u: { gmfn: BigInt(granter.p2m[PAGE]!) }, domid: granter.domain.id, offset: 0 };
    expect(copy(foreign, own, 7, 0)).toBe(G.GNTST_permission_denied);
    expect(granter.domain.grants.activeCount).toBe(0);
  });

  test("set-up: sizes, frames, version", () => {
    const size = run(mapper, G.GNTTABOP_query_size, G.gnttab_query_size, {
      dom: DOMID_SELF,
      nr_frames: 0,
      max_nr_frames: 0,
      status: 99,
    });
    expect(size).toMatchObject({ nr_frames: 1, status: 0 });
    const list = ARGUMENT + 512n;
    const setup = (nr_frames: number) =>
      run(mapper, G.GNTTABOP_setup_table, G.gnttab_setup_table, {
        dom: DOMID_SELF,
        nr_frames,
        status: 99,
        frame_list: list,
      }).status;
    expect(setup(2)).toBe(0);
    const words = new BigUint64Array(copyFromGuest(mapper.vcpu, list, 16)!.buffer);
    expect([...words].map(Number)).toEqual(mapper.domain.grants.frames);
    expect(setup(size.max_nr_frames + 1)).toBe(G.GNTST_general_error);
    expect(run(mapper, G.GNTTABOP_set_version, G.gnttab_set_version, { version: 2 }).version).toBe(2);
  });
});
