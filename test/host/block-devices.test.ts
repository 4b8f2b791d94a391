// What backends get of a real domain: only pages that it owns and has granted to domain 0, and that are no page tables; every
// reference comes back. And the nodes of a disk, as xl makes them.

import { symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FileLocks } from "../../src/devices/storage/file-locks.js";
import { MemoryStore } from "../../src/devices/storage/memory-store.js";
import { createQcow2 } from "../../src/devices/storage/qcow2/create-qcow2.js";
import { backendServices } from "../../src/host/backend-services.js";
import { BlockDevices } from "../../src/host/block-devices.js";
import { DeferredEvents } from "../../src/host/deferred-events.js";
import { openDiskConfig, openDiskConfigs } from "../../src/host/disk-config.js";
import { GTF_permit_access, GTF_readonly } from "../../src/hypervisor/public/grant-table.js";
import { XenStoreServer } from "../../src/hypervisor/xenstore/server.js";
import { FRAME_HAS_CODE } from "../../src/mmu/machine-memory.js";
import { temporaryPaths } from "../devices/storage/temporary-directory.js";
import { FREE_PFN, makeDomain, makeHost } from "../hypervisor/hypervisor-fixture.js";

const fresh = temporaryPaths();
const owner = { locks: new FileLocks(), name: "guest" };

function setUp() {
  const host = makeHost();
  const { domain, p2m, built } = makeDomain(host, false);
  const store = new XenStoreServer(host.memory);
  const deferred = new DeferredEvents();
  return { host, domain, p2m, built, store, deferred, services: backendServices(domain, store, deferred) };
}

test("a granted page is the guest's memory, and its references come back", () => {
  const { host, domain, p2m, services } = setUp();
  const { frames } = host.hypervisor.mm;
  const mfn = p2m[FREE_PFN]!;
  domain.grants.seed(9, 0, BigInt(mfn));
  const before = [frames.referenceCounts[mfn], frames.typeCounts[mfn]];
  const page = services.grants.map(9, true)!;
  page.write(100, Uint8Array.of(1, 2, 3));
  expect(host.memory.readU32(mfn * 4096 + 100)).toBe(0x030201);
  host.memory.writeU8(mfn * 4096, 7);
  expect(page.bytes[0]).toBe(7);
  expect(domain.grants.activeCount).toBe(1);
  page.release();
  expect([frames.referenceCounts[mfn], frames.typeCounts[mfn]]).toEqual(before);
  expect(domain.grants.activeCount).toBe(0);
});

test("nothing else is mapped", () => {
  const { host, domain, p2m, services } = setUp();
  const other = makeDomain(host, false);
  const table = domain.vcpus[0]!.pv.guestTable;
  const { grants } = domain;
  grants.seed(9, 0, BigInt(other.p2m[FREE_PFN]!));
  grants.seed(10, 0, BigInt(table));
  grants.seed(11, other.domain.id, BigInt(p2m[FREE_PFN]!));
  grants.seed(12, 0, BigInt(p2m[FREE_PFN]!), GTF_permit_access | GTF_readonly);
  grants.seed(13, 0, 0xffffffffn);
  for (const ref of [9, 10, 11, 12, 13, 14, 100_000, 0xffffffff])
    expect(services.grants.map(ref, true)).toBeUndefined();
  for (const ref of [9, 11, 13, 14]) expect(services.grants.map(ref, false)).toBeUndefined();
  expect(grants.activeCount).toBe(0);
  services.grants.map(12, false)!.release();
});

test("copies reach granted pages only, within them, and leave no reference", () => {
  const { host, domain, p2m, services } = setUp();
  const { frames } = host.hypervisor.mm;
  const other = makeDomain(host, false);
  const { grants } = domain;
  const mfn = p2m[FREE_PFN]!;
  grants.seed(8, 0, BigInt(mfn));
  grants.seed(9, 0, BigInt(other.p2m[FREE_PFN]!));
  grants.seed(10, 0, BigInt(domain.vcpus[0]!.pv.guestTable));
  grants.seed(11, other.domain.id, BigInt(mfn));
  grants.seed(12, 0, BigInt(mfn), GTF_permit_access | GTF_readonly);
  grants.seed(13, 0, 0xffffffffn);
  const before = [frames.referenceCounts.join(), frames.typeCounts.join()];
  const data = Uint8Array.of(1, 2, 3);
  const target = new Uint8Array(3);
  expect(services.grants.write(8, 4093, data)).toBe(true);
  expect(services.grants.read(12, 4093, target)).toBe(true);
  expect(target).toEqual(data);
  expect(host.memory.readU8((mfn + 1) * 4096)).toBe(0);
  for (const ref of [9, 10, 11, 12, 13, 14, 100_000, 0xffffffff])
    expect(services.grants.write(ref, 0, data)).toBe(false);
  for (const ref of [9, 11, 13, 14, 100_000]) expect(services.grants.read(ref, 0, target)).toBe(false);
  expect(() => services.grants.write(8, 4094, data)).toThrow(RangeError);
  expect(() => services.grants.read(8, 4094, target)).toThrow(RangeError);
  expect([frames.referenceCounts.join(), frames.typeCounts.join()]).toEqual(before);
  expect(grants.activeCount).toBe(0);
  grants.setVersion(2);
  grants.seed(8, 0, BigInt(mfn));
  expect(services.grants.read(8, 4093, target)).toBe(true);
  grants.seed(8, 0, 2n ** 63n);
  expect(services.grants.read(8, 0, target)).toBe(false);
  domain.grants.destroy();
  expect(services.grants.read(8, 0, target)).toBe(false);
});

test("granted pages are used where they lie, neighbours as one, code in them is dropped before", () => {
  const { host, domain, p2m, services } = setUp();
  const { memory, hypervisor } = host;
  const { frames } = hypervisor.mm;
  const other = makeDomain(host, false);
  const { grants } = domain;
  const mfns = [p2m[FREE_PFN]!, p2m[FREE_PFN + 1]!].sort((a, b) => a - b);
  const [low, high] = mfns as [number, number];
  expect(high).toBe(low + 1);
  grants.seed(8, 0, BigInt(low));
  grants.seed(9, 0, BigInt(high));
  grants.seed(10, 0, BigInt(domain.vcpus[0]!.pv.guestTable));
  grants.seed(11, 0, BigInt(other.p2m[FREE_PFN]!));
  grants.seed(12, 0, BigInt(low), GTF_permit_access | GTF_readonly);
  const before = [frames.referenceCounts.join(), frames.typeCounts.join()];
  const part = (gref: number, offset = 0, length = 4096) => ({ gref, offset, length });
  const one = services.grants.gather([part(8, 512, 3584), part(9, 0, 1024)], true)!;
  expect(one.map(({ length }) => length)).toEqual([4608]);
  one[0]!.fill(7);
  expect([511, 512, 5119, 5120].map((at) => memory.readU8(low * 4096 + at))).toEqual([0, 7, 7, 0]);
  const two = services.grants.gather([part(9), part(12)], false)!;
  expect(two.map(({ length, byteOffset }) => [length, byteOffset - memory.ramBase])).toEqual([
    [4096, high * 4096],
    [4096, low * 4096],
  ]);
  for (const ref of [10, 11, 12, 13, 0xffffffff])
    expect(services.grants.gather([part(8), part(ref)], true)).toBeUndefined();
  for (const ref of [11, 13]) expect(services.grants.gather([part(8), part(ref)], false)).toBeUndefined();
  expect(() => services.grants.gather([part(8, 4095, 2)], false)).toThrow(RangeError);
  const dropped: number[][] = [];
  memory.frameFlags[high]! |= FRAME_HAS_CODE;
  memory.onCodeWrite = (...range) => dropped.push(range);
  services.grants.gather([part(8), part(9, 0, 512)], false);
  expect(dropped).toEqual([]);
  services.grants.gather([part(8), part(9, 0, 512)], true);
  expect(dropped).toEqual([[high * 4096, 512]]);
  expect([frames.referenceCounts.join(), frames.typeCounts.join(), grants.activeCount]).toEqual([...before, 0]);
});

test("event channels go both ways until one end closes", () => {
  const { domain, services, deferred } = setUp();
  const port = domain.events.allocUnbound(0);
  let events = 0;
  const binding = services.events.bind(port, () => void events++)!;
  expect(services.events.bind(port, () => {})).toBeUndefined();
  expect(services.events.bind(999, () => {})).toBeUndefined();
  domain.events.send(port);
  deferred.flush();
  expect(events).toBe(1);
  binding.notify();
  expect(domain.events.isPending(port)).toBe(true);
  domain.events.close(port);
  binding.notify();
});

test("a disk's nodes are xl's, and go with it", async () => {
  const { host, domain, store } = setUp();
  const devices = new BlockDevices(domain, store, new DeferredEvents());
  devices.attach(await openDiskConfig({ vdev: "xvda", store: new MemoryStore(1 << 20, { name: "/disk.img" }) }, owner));
  const home = `/local/domain/0/backend/vbd/${domain.id}/51712`;
  const read = (name: string) => store.read(`${home}/${name}`);
  expect(["frontend-id", "params", "dev", "type", "mode", "online", "removable", "state"].map(read)).toEqual([
    String(domain.id),
    "/disk.img",
    "xvda",
    "phy",
    "w",
    "1",
    "0",
    "2",
  ]);
  const front = `/local/domain/${domain.id}/device/vbd/51712`;
  expect(store.read(`${front}/backend`)).toBe(home);
  expect(store.read(`${front}/virtual-device`)).toBe("51712");
  expect(store.read(`/libxl/${domain.id}/device/vbd/51712/backend`)).toBe(home);
  // The guest writes to its own side alone.
  const { store: nodes } = store;
  nodes.direct((view) => nodes.write(view, domain.id, `${front}/state`, Uint8Array.of(0x31)));
  expect(() => nodes.direct((view) => nodes.write(view, domain.id, `${home}/state`, Uint8Array.of(0x31)))).toThrow(
    "EACCES",
  );
  await expect(async () =>
    devices.attach(await openDiskConfig({ vdev: "51712", store: new MemoryStore(512) }, owner)),
  ).rejects.toMatchObject({ code: "bad-argument" });
  await devices.detach(51712, { timeout: 1000, force: false });
  expect(store.directory(`/local/domain/0/backend/vbd/${domain.id}`)).toEqual([]);
  expect(store.read(`${front}/backend`)).toBeUndefined();
  host.hypervisor.destroyDomain(domain);
});

test("wrong disks are refused by name", async () => {
  await expect(openDiskConfig({ vdev: "vda", target: "x" }, owner)).rejects.toMatchObject({
    code: "bad-argument",
    message: expect.stringContaining("vda"),
  });
  await expect(openDiskConfig({ vdev: "xvda" }, owner)).rejects.toMatchObject({ code: "bad-argument" });
  await expect(openDiskConfig({ vdev: "xvda", target: "/nowhere/disk.img" }, owner)).rejects.toMatchObject({
    code: "bad-disk",
    message: "disk xvda: /nowhere/disk.img: no such file",
  });
  const store = new MemoryStore(512);
  await expect(
    openDiskConfigs(
      [
        { vdev: "xvda", store },
        { vdev: "d0", store },
      ],
      owner,
    ),
  ).rejects.toMatchObject({ code: "bad-argument", message: expect.stringContaining("twice") });
});

test("a file that one domain writes is no other disk", async () => {
  const target = fresh(".img");
  writeFileSync(target, "");
  truncateSync(target, 4096);
  const link = fresh(".img");
  symlinkSync(target, link);
  const base = fresh(".qcow2");
  await createQcow2(base, { size: 4096, backing: { name: target, format: "raw" } });
  const web = { locks: owner.locks, name: "web" };
  const writer = await openDiskConfig({ vdev: "xvda", target }, web);
  for (const other of [{ target: link }, { target: link, access: "r" }, { target, snapshot: true }] as const)
    await expect(openDiskConfig({ vdev: "xvdb", ...other }, owner)).rejects.toMatchObject({
      code: "bad-disk",
      message: `disk xvdb: ${other.target}: in use by xvda of domain web for writing`,
    });
  await expect(openDiskConfig({ vdev: "xvdb", target: base, format: "qcow2" }, owner)).rejects.toThrow(
    "in use by xvda",
  );
  await writer.store.close();
  // Readers don't mind each other, and keep writers away until the last has gone.
  const readers = [
    await openDiskConfig({ vdev: "xvda", target, access: "r" }, web),
    await openDiskConfig({ vdev: "xvda", target: base, format: "qcow2" }, owner),
  ];
  await readers[0]!.store.close();
  await expect(openDiskConfig({ vdev: "xvdb", target }, web)).rejects.toThrow(
    "in use by xvda of domain guest for reading",
  );
  await readers[1]!.store.close();
  await (await openDiskConfig({ vdev: "xvdb", target }, web)).store.close();
});
