// The block backend against a frontend written here: the handshake, all kinds of requests in both ABIs, and how it ends.
import { truncateSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { BlockStore } from "../../../src/devices/storage/block-store.js";
import { FaultyStore } from "../../../src/devices/storage/faulty-store.js";
import { MemoryStore } from "../../../src/devices/storage/memory-store.js";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { BlockBackend, type BlockBackendOptions } from "../../../src/devices/xen/blkback/block-backend.js";
import * as B from "../../../src/hypervisor/public/io/blkif.js";
import { expectSame, pattern } from "../storage/block-store-contract.js";
import { temporaryPaths } from "../storage/temporary-directory.js";
import { BACKEND, FRONTEND, type FrontendOptions, TestBlockFrontend } from "./test-block-frontend.js";
import { settle, TestGuest } from "./test-guest.js";

const SIZE = 4 * 1024 * 1024;
const {
  BLKIF_OP_READ: READ,
  BLKIF_OP_WRITE: WRITE,
  BLKIF_OP_FLUSH_DISKCACHE: FLUSH,
  BLKIF_OP_WRITE_BARRIER: BARRIER,
} = B;
const { BLKIF_RSP_OKAY: OKAY, BLKIF_RSP_ERROR: ERROR, BLKIF_RSP_EOPNOTSUPP: NOT_SUPPORTED } = B;

function start(disk: BlockStore = new MemoryStore(SIZE), options: Partial<BlockBackendOptions> = {}) {
  const guest = new TestGuest();
  const lines: string[] = [];
  guest.store.write(`${FRONTEND}/state`, "1");
  guest.store.write(`${BACKEND}/online`, "1");
  const backend = new BlockBackend({
    services: guest.services,
    disk,
    backendPath: BACKEND,
    frontendPath: FRONTEND,
    isReadonly: false,
    isCdrom: false,
    persistentGrants: true,
    nativeAbi: 64,
    log: (line) => lines.push(line),
    ...options,
  });
  backend.device.start();
  return { guest, backend, lines, disk, state: () => guest.store.read(`${BACKEND}/state`) };
}

async function connected(frontendOptions: FrontendOptions = {}, ...rest: Parameters<typeof start>) {
  const all = start(...rest);
  const frontend = new TestBlockFrontend(all.guest, frontendOptions);
  frontend.connect();
  await settle();
  expect(all.state()).toBe("4");
  all.guest.store.write(`${FRONTEND}/state`, "4");
  return { ...all, frontend };
}

const fresh = temporaryPaths();

async function openFile(format: "raw" | "qcow2"): Promise<BlockStore> {
  const target = fresh(`.${format}`);
  if (format === "qcow2") await createQcow2(target, { size: SIZE });
  else {
    writeFileSync(target, "");
    truncateSync(target, SIZE);
  }
  return openDisk({ format, target, access: "w" });
}

describe("handshake", () => {
  test("announces features, connects, and tells the disk's properties", async () => {
    const { guest, state } = start(new MemoryStore(SIZE), { isCdrom: true, isReadonly: true });
    const read = (name: string) => guest.store.read(`${BACKEND}/${name}`);
    expect(state()).toBe("2");
    expect(read("sectors")).toBeUndefined();
    expect(read("feature-max-indirect-segments")).toBe("256");
    expect(read("max-ring-page-order")).toBe("4");
    expect(read("feature-discard")).toBe("0");
    new TestBlockFrontend(guest).connect();
    await settle();
    expect(state()).toBe("4");
    const names = ["sectors", "info", "sector-size", "feature-flush-cache", "feature-barrier", "feature-persistent"];
    expect(names.map(read)).toEqual([String(SIZE / 512), "7", "512", "1", "1", "1"]);
  });

  test("a frontend isn't taken at its word about persistent grants that weren't offered", async () => {
    const { guest, frontend } = await connected({ isPersistent: true }, undefined, { persistentGrants: false });
    expect(guest.store.read(`${BACKEND}/feature-persistent`)).toBe("0");
    const { segments } = frontend.buffer(2);
    expect(await frontend.run(() => frontend.put(READ, 0, segments))).toBe(OKAY);
    expect(guest.mappings).toBe(1);
  });

  test("offers discard where the disk can, unless told not to", () => {
    expect(start().guest.store.read(`${BACKEND}/discard-granularity`)).toBe("65536");
    const { guest } = start(new MemoryStore(SIZE), { discard: false });
    expect(guest.store.read(`${BACKEND}/feature-discard`)).toBe("0");
  });

  test("closes with the frontend, gives everything back, and connects again", async () => {
    const { guest, state, frontend, backend } = await connected({ isPersistent: true });
    const { segments } = frontend.buffer(2);
    expect(await frontend.run(() => frontend.put(READ, 0, segments))).toBe(OKAY);
    expect(guest.mappings).toBe(3);
    guest.store.write(`${FRONTEND}/state`, "5");
    await settle();
    expect(state()).toBe("5");
    guest.store.write(`${FRONTEND}/state`, "6");
    await settle();
    expect(state()).toBe("6");
    expect(guest.mappings).toBe(0);
    guest.store.write(`${FRONTEND}/state`, "1");
    await settle();
    expect(state()).toBe("2");
    const second = new TestBlockFrontend(guest);
    second.connect();
    await settle();
    expect(state()).toBe("4");
    expect(await second.run(() => second.put(READ, 0, second.buffer(1).segments))).toBe(OKAY);
    await backend.device.stop();
    expect(guest.mappings).toBe(0);
  });

  test("a ring that goes on, with its indices near the end of their range", async () => {
    const { guest, state } = start();
    const frontend = new TestBlockFrontend(guest);
    for (const at of [0, 8]) frontend.word(at, 0xffffffe0);
    for (const at of [4, 12]) frontend.word(at, 0xffffffe1);
    frontend.produced = 0xffffffe0;
    frontend.connect();
    await settle();
    expect(state()).toBe("4");
    frontend.produced = 0xffffffe0;
    const { segments } = frontend.buffer(1);
    for (let i = 0; i < 40; i++) {
      frontend.put(READ, i, segments);
      frontend.push();
      await settle();
    }
    expect(frontend.readWord(8)).toBe(8);
  });

  test("detaching asks the frontend, waits for it, and ends", async () => {
    const { guest, state, backend } = await connected();
    let isFinished = false;
    void backend.device.finished.then(() => (isFinished = true));
    backend.device.requestClose();
    await settle();
    expect([state(), guest.store.read(`${BACKEND}/online`), isFinished]).toEqual(["5", "0", false]);
    guest.store.write(`${FRONTEND}/state`, "6");
    await settle();
    expect([state(), isFinished, guest.mappings]).toEqual(["6", true, 0]);
  });

  test("a device that nobody uses detaches at once; one whose nodes vanish ends", async () => {
    const unused = start();
    unused.backend.device.requestClose();
    await unused.backend.device.finished;
    expect(unused.state()).toBe("6");
    const { guest, backend } = await connected();
    guest.store.remove("/local/domain/1");
    await backend.device.finished;
    expect(guest.mappings).toBe(0);
  });

  const wrong: [string, (guest: TestGuest) => void, RegExp][] = [
    ["protocol", (guest) => guest.store.write(`${FRONTEND}/protocol`, "sparc"), /unknown protocol/],
    ["no event channel", (guest) => guest.store.remove(`${FRONTEND}/event-channel`), /event-channel is missing/],
    [
      "somebody else's event channel",
      (guest) => guest.store.write(`${FRONTEND}/event-channel`, "77"),
      /can't be bound/,
    ],
    ["ring reference", (guest) => guest.store.write(`${FRONTEND}/ring-ref`, "9999"), /can't be mapped/],
    ["number", (guest) => guest.store.write(`${FRONTEND}/ring-ref`, "0x10"), /isn't a number/],
    ["ring too large", (guest) => guest.store.write(`${FRONTEND}/ring-page-order`, "5"), /isn't a number up to 4/],
    ["queues", (guest) => guest.store.write(`${FRONTEND}/multi-queue-num-queues`, "0"), /no queues/],
  ];
  test.each(wrong)("a frontend with a wrong %s is refused with a reason", async (_name, spoil, reason) => {
    const { guest, state, lines } = start();
    const frontend = new TestBlockFrontend(guest);
    guest.store.update(() => {});
    const nodes = guest.store.watch(`${FRONTEND}/state`, () => {
      if (guest.store.read(`${FRONTEND}/state`) === "3") spoil(guest);
    });
    frontend.connect();
    nodes();
    await settle();
    expect(state()).toBe("5");
    expect(lines.join()).toMatch(reason);
    expect(guest.store.read("/local/domain/0/error/backend/vbd/1/51712/error")).toMatch(reason);
    expect(guest.mappings).toBe(0);
  });
});

const VARIANTS: (FrontendOptions & { readonly waits?: boolean })[] = [
  { abi: 64 },
  { abi: 32 },
  { abi: 64, waits: true },
  { abi: 64, isPersistent: true },
  { abi: 32, isPersistent: true, waits: true },
  { abi: 64, pages: 16 },
  { abi: 32, pages: 4, isPersistent: true },
];
describe.each(VARIANTS)("requests, %j", (options) => {
  const memory = () => new MemoryStore(SIZE);
  const disk = () => (options.waits ? new FaultyStore(memory(), () => undefined, Promise.resolve) : memory());
  const connect = () => connected(options, disk());

  test("write, flush and read back, part pages and whole ones", async () => {
    const { frontend, disk, guest } = await connect();
    const data = frontend.buffer(11);
    for (const [i, page] of data.pages.entries()) page.set(pattern(4096, i));
    expect(await frontend.run(() => frontend.put(WRITE, 100, data.segments))).toBe(OKAY);
    expect(await frontend.run(() => frontend.put(FLUSH, 0))).toBe(OKAY);
    const back = frontend.buffer(11);
    expect(await frontend.run(() => frontend.put(READ, 100, back.segments))).toBe(OKAY);
    expectSame(back.bytes(), data.bytes());
    const part = frontend.buffer(2);
    const segments = part.segments.map(({ gref }, i) => ({ gref, first_sect: 3 - i, last_sect: 4 + i }));
    expect(await frontend.run(() => frontend.put(READ, 104, segments))).toBe(OKAY);
    const expected = data.bytes().subarray(4 * 512);
    expectSame(part.pages[0]!.subarray(1536, 2560), expected.subarray(0, 1024));
    expectSame(part.pages[1]!.subarray(1024, 3072), expected.subarray(1024, 3072));
    expect(part.pages[0]![1535]).toBe(0);
    const onDisk = new Uint8Array(512);
    await disk.read(100 * 512, onDisk);
    expectSame(onDisk, data.bytes().subarray(0, 512));
    if (!options.isPersistent) expect(guest.mappings).toBe(frontend.ring.length);
  });

  test("indirect requests up to 256 segments", async () => {
    const { frontend } = await connect();
    const data = frontend.buffer(256);
    for (const [i, page] of data.pages.entries()) page.set(pattern(4096, i));
    const written = frontend.putIndirect(WRITE, 8, data.segments);
    frontend.push();
    await frontend.collect();
    // Linux's frontend takes any other operation for a broken backend.
    expect([frontend.answers.get(written), frontend.operations.get(written)]).toEqual([OKAY, WRITE]);
    const back = frontend.buffer(256);
    expect(await frontend.run(() => frontend.putIndirect(READ, 8, back.segments))).toBe(OKAY);
    expectSame(back.bytes(), data.bytes());
    expect(await frontend.run(() => frontend.putIndirect(READ, 8, back.segments, 257))).toBe(ERROR);
    expect(await frontend.run(() => frontend.putIndirect(READ, 8, back.segments, 0))).toBe(ERROR);
    expect(await frontend.run(() => frontend.putIndirect(9, 8, back.segments))).toBe(NOT_SUPPORTED);
  });

  test("a full ring of requests at once, several times around", async () => {
    const { frontend, guest } = await connect();
    const { segments } = frontend.buffer(8);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < frontend.size; i++) frontend.put(i % 2 ? READ : WRITE, (i * 8) % 4096, [segments[i % 8]!]);
      frontend.push();
      await frontend.collect();
    }
    expect(frontend.answers.size).toBe(frontend.size * 3);
    expect([...frontend.answers.values()].every((status) => status === OKAY)).toBe(true);
    // Completions that come together share an event.
    expect(guest.events.get(frontend.port)).toBeLessThan(frontend.size);
  });

  test("what can't be done is answered with an error", async () => {
    const { frontend, guest } = await connect();
    const { segments } = frontend.buffer(1);
    const gref = segments[0]!.gref;
    const sectors = SIZE / 512;
    const status = (operation: number, sector: number | bigint, list = segments, count = list.length) =>
      frontend.run(() => frontend.put(operation, sector, list, count));
    expect(await status(READ, sectors - 8)).toBe(OKAY);
    expect(await status(READ, sectors - 7)).toBe(ERROR);
    expect(await status(WRITE, 0xffffffffffffffffn)).toBe(ERROR);
    expect(await status(READ, 0, [])).toBe(ERROR);
    expect(await status(READ, 0, segments, 12)).toBe(ERROR);
    expect(await status(READ, 0, [{ gref, first_sect: 5, last_sect: 4 }])).toBe(ERROR);
    expect(await status(READ, 0, [{ gref, first_sect: 0, last_sect: 8 }])).toBe(ERROR);
    expect(await status(READ, 0, [{ gref: 99999, first_sect: 0, last_sect: 7 }])).toBe(ERROR);
    expect(await status(4, 0)).toBe(NOT_SUPPORTED);
    expect(await status(200, 0)).toBe(NOT_SUPPORTED);
    guest.readonlyRefs.add(guest.grant().ref);
    const readonlyPage = [{ gref: guest.pages.length + 7, first_sect: 0, last_sect: 7 }];
    expect(await status(READ, 0, readonlyPage)).toBe(ERROR);
    if (!options.isPersistent) expect(await status(WRITE, 0, readonlyPage)).toBe(OKAY);
    expect(await frontend.run(() => frontend.putDiscard(0, 64n))).toBe(OKAY);
    expect(await frontend.run(() => frontend.putDiscard(0, 0xffffffffffffffffn))).toBe(ERROR);
  });
});

describe("disks", () => {
  test.each([false, true])(
    "what the disk can do at once is answered within the event, persistent: %s",
    async (isPersistent) => {
      const { frontend, guest, backend } = await connected({ isPersistent, pages: 16 });
      const data = frontend.buffer(3);
      for (const [i, page] of data.pages.entries()) page.set(pattern(4096, i));
      const back = frontend.buffer(3);
      const requests = [frontend.put(WRITE, 64, data.segments), frontend.putIndirect(READ, 64, back.segments)];
      requests.push(frontend.put(READ, 64, [{ gref: 99999, first_sect: 0, last_sect: 7 }]));
      frontend.push();
      expect(frontend.readWord(8)).toBe(3);
      expect(guest.events.get(frontend.port)).toBe(1);
      expectSame(back.bytes(), data.bytes());
      await frontend.collect();
      expect(requests.map((id) => frontend.answers.get(id))).toEqual([OKAY, OKAY, ERROR]);
      expect(backend.statistics).toMatchObject({ reads: 1, writes: 1, sectorsRead: 24, sectorsWritten: 24, errors: 1 });
    },
  );

  test("not more than some MiB at once: others have their turn", async () => {
    const { frontend } = await connected({ pages: 16 });
    const { segments } = frontend.buffer(64);
    for (let i = 0; i < 64; i++) frontend.putIndirect(READ, 0, segments);
    frontend.push();
    expect(frontend.readWord(8)).toBe(8);
    await frontend.collect();
    expect([...frontend.answers.values()].filter((status) => status === OKAY)).toHaveLength(64);
  });

  test("read-only: writes, barriers and discards are refused, flushes are not", async () => {
    const { frontend } = await connected({}, new MemoryStore(SIZE, { isReadonly: true }));
    const { segments } = frontend.buffer(1);
    expect(await frontend.run(() => frontend.put(WRITE, 0, segments))).toBe(ERROR);
    expect(await frontend.run(() => frontend.put(BARRIER, 0, segments))).toBe(ERROR);
    expect(await frontend.run(() => frontend.putDiscard(0, 8n))).toBe(NOT_SUPPORTED);
    expect(await frontend.run(() => frontend.put(FLUSH, 0))).toBe(OKAY);
    expect(await frontend.run(() => frontend.put(READ, 0, segments))).toBe(OKAY);
  });

  test("a flush is answered after the disk's flush; a barrier keeps writes before and after it apart", async () => {
    const order: string[] = [];
    const gates: (() => void)[] = [];
    const disk = new FaultyStore(
      new MemoryStore(SIZE),
      ({ operation, offset }) => {
        order.push(`${operation} ${offset / 512}`);
        return { delayMs: 1 };
      },
      () => new Promise((resolve) => gates.push(resolve)),
    );
    const { frontend } = await connected({}, disk);
    const { segments } = frontend.buffer(1);
    const first = frontend.put(WRITE, 8, segments);
    const barrier = frontend.put(BARRIER, 16, segments);
    const last = frontend.put(WRITE, 24, segments);
    const flush = frontend.put(FLUSH, 0);
    frontend.push();
    await settle();
    expect(order).toEqual(["write 8"]);
    const open = async () => {
      gates.shift()!();
      await settle();
    };
    await open();
    expect(order).toEqual(["write 8", "flush 0"]);
    await open();
    await open();
    expect(order).toEqual(["write 8", "flush 0", "write 16", "flush 0"]);
    expect(frontend.readWord(8)).toBe(1);
    await open();
    expect(order.slice(4)).toEqual(["write 24", "flush 0"]);
    expect(frontend.readWord(8)).toBe(2);
    await open();
    await open();
    await frontend.collect();
    expect([first, barrier, last, flush].map((id) => frontend.answers.get(id))).toEqual([OKAY, OKAY, OKAY, OKAY]);
  });

  test("errors of the host's disk reach the guest and the log, and no further", async () => {
    const disk = new FaultyStore(
      new MemoryStore(SIZE),
      ({ operation, offset }) => (operation === "write" && offset < 65536 ? { error: "no space left" } : undefined),
      () => Promise.resolve(),
    );
    const { frontend, lines, backend } = await connected({}, disk);
    const { segments } = frontend.buffer(1);
    for (let i = 0; i < 30; i++) expect(await frontend.run(() => frontend.put(WRITE, 0, segments))).toBe(ERROR);
    expect(await frontend.run(() => frontend.put(WRITE, 128, segments))).toBe(OKAY);
    expect(lines).toHaveLength(20);
    expect(lines[0]).toContain("no space left");
    expect(backend.statistics).toMatchObject({ errors: 30, writes: 31 });
  });

  test.each<[string, RegExp, () => Promise<BlockStore>, (path: string) => void]>([
    [
      "a raw image cut short",
      /has become shorter than the disk/,
      () => openFile("raw"),
      (path) => truncateSync(path, 512),
    ],
    ["a qcow2 image cut short", /file is cut short/, () => openFile("qcow2"), (path) => truncateSync(path, 65536)],
  ])("%s while in use is an I/O error and a line, and what is left is served", async (_, line, open, cut) => {
    const disk = await open();
    const { frontend, lines } = await connected({}, disk);
    const { segments } = frontend.buffer(1);
    expect(await frontend.run(() => frontend.put(WRITE, 2048, segments))).toBe(OKAY);
    expect(await frontend.run(() => frontend.put(FLUSH, 0, []))).toBe(OKAY);
    cut(disk.name);
    expect(await frontend.run(() => frontend.put(READ, 2048, segments))).toBe(ERROR);
    expect(lines.join()).toMatch(line);
    const half = [{ ...segments[0]!, last_sect: 0 }];
    expect(await frontend.run(() => frontend.put(READ, 0, half))).toBe(OKAY);
    await disk.close().catch(() => {});
  });

  test("a full disk is an I/O error and a line; what fits goes on", async () => {
    const { frontend, lines } = await connected({}, new MemoryStore(SIZE, { limit: 65536 }));
    const { segments } = frontend.buffer(1);
    expect(await frontend.run(() => frontend.put(WRITE, 0, segments))).toBe(OKAY);
    expect(await frontend.run(() => frontend.put(WRITE, 4096, segments))).toBe(ERROR);
    expect(lines.join()).toMatch(/full/);
    expect(await frontend.run(() => frontend.put(WRITE, 8, segments))).toBe(OKAY);
  });

  test("stopping while requests are under way touches the guest no more", async () => {
    let release = () => {};
    const disk = new FaultyStore(
      new MemoryStore(SIZE),
      () => ({ delayMs: 1 }),
      () => new Promise((resolve) => (release = resolve)),
    );
    const { frontend, guest, backend } = await connected({}, disk);
    const { segments, pages } = frontend.buffer(1);
    pages[0]!.fill(7);
    frontend.put(READ, 0, segments);
    frontend.push();
    await settle();
    expect(guest.mappings).toBe(2);
    const stopped = backend.device.stop();
    expect(guest.mappings).toBe(0);
    release();
    await stopped;
    await settle();
    expect(frontend.readWord(8)).toBe(0);
    expect(pages[0]![0]).toBe(7);
  });

  test("persistent grants are bounded; those longest unused go first", async () => {
    const { frontend, guest } = await connected({ isPersistent: true });
    for (let i = 0; i < 6; i++) {
      const { segments } = frontend.buffer(256);
      expect(await frontend.run(() => frontend.putIndirect(READ, 0, segments))).toBe(OKAY);
    }
    expect(guest.mappings).toBe(1056 + 1);
  });

  test("two queues, each with a ring of its own", async () => {
    const { guest, state } = start();
    const queues = [new TestBlockFrontend(guest), new TestBlockFrontend(guest, { abi: 64 })];
    guest.store.write(`${FRONTEND}/multi-queue-num-queues`, "2");
    for (const [i, { ring, port }] of queues.entries()) {
      guest.store.write(`${FRONTEND}/queue-${i}/ring-ref`, String(ring[0]!.ref));
      guest.store.write(`${FRONTEND}/queue-${i}/event-channel`, String(port));
    }
    guest.store.write(`${FRONTEND}/state`, "3");
    await settle();
    expect(state()).toBe("4");
    for (const queue of queues) expect(await queue.run(() => queue.put(READ, 0, queue.buffer(1).segments))).toBe(OKAY);
  });
});
