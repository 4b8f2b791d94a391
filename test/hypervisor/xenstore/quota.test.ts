// What an unprivileged domain may use of the store at most: memory, outstanding requests, changes a second.
import { beforeEach, describe, expect, test } from "vitest";
import { VirtualTimers } from "../../../src/devices/network/timers.js";
import * as W from "../../../src/hypervisor/public/io/xs_wire.js";
import { createDomainNodes } from "../../../src/hypervisor/xenstore/domain-nodes.js";
import { XenStoreServer } from "../../../src/hypervisor/xenstore/server.js";
import { WRITE_BURST, WRITE_RATE } from "../../../src/hypervisor/xenstore/write-rate.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";
import { description, joinedText, StoreGuest } from "./store-guest.js";

let timers: VirtualTimers;
let server: XenStoreServer;
let log: string[];
let guest: StoreGuest;
let other: StoreGuest;

beforeEach(() => {
  const memory = new MachineMemory({ frames: 8, engineBytes: 65536 });
  timers = new VirtualTimers();
  server = new XenStoreServer(memory, { timers });
  log = [];
  server.onLog = (line) => log.push(line);
  createDomainNodes(server, description);
  createDomainNodes(server, { ...description, domid: 2, name: "other", handle: new Uint8Array(16).fill(7) });
  guest = new StoreGuest(memory, server, 1);
  other = new StoreGuest(memory, server, 2);
});

const write = (node: string, value: string, transaction = 0) =>
  guest.request(W.XS_WRITE, `data/${node}\0${value}`, transaction);
const memoryOf = (domid: number) => server.usage(domid)!.memory;

describe("memory", () => {
  test("of nodes, watches and transactions together; what is given up can be used again", () => {
    server.store.quota.memory = memoryOf(1) + 3000;
    expect([write("a", "x".repeat(1500)), write("b", "x".repeat(1000)), write("c", "x".repeat(1000))]).toEqual([
      "OK\0",
      "OK\0",
      "!ENOMEM",
    ]);
    expect(write("b", "x".repeat(1800))).toBe("!ENOMEM");
    expect(guest.request(W.XS_WATCH, joinedText("data", "t".repeat(900)))).toBe("!ENOMEM");
    expect(write("a", "")).toBe("OK\0");
    expect(guest.request(W.XS_WATCH, joinedText("data", "t".repeat(900)))).toBe("OK\0");
    const id = Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
    expect(write("d", "x".repeat(1000), id)).toBe("!ENOMEM");
    expect(guest.request(W.XS_UNWATCH, joinedText("data", "t".repeat(900)))).toBe("OK\0");
    expect(write("d", "x".repeat(900), id)).toBe("OK\0");
    expect(write("e", "x".repeat(900))).toBe("!ENOMEM");
    expect(guest.request(W.XS_TRANSACTION_END, "F\0", id)).toBe("OK\0");
    expect(write("e", "x".repeat(900))).toBe("OK\0");
    guest.request(W.XS_RM, "data/b\0");
    expect(write("f", "x".repeat(900))).toBe("OK\0");
    expect(server.store.check()).toEqual([]);
  });

  test("transactions that only look cost too: ten of them can't fill the host's memory", () => {
    const before = memoryOf(1);
    let refused = 0;
    for (let i = 0; i < 10; i++) {
      const id = Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
      for (let j = 0; j < 160; j++)
        if (guest.request(W.XS_READ, `data/${i}-${j}-${"n".repeat(1900)}\0`, id) === "!ENOMEM") refused++;
    }
    expect(refused).toBeGreaterThan(0);
    expect(memoryOf(1)).toBeLessThanOrEqual(server.store.quota.memory);
    expect(write("a", "x".repeat(2000))).toBe("!ENOMEM");
    guest.request(W.XS_RESET_WATCHES, "\0");
    expect(memoryOf(1)).toBe(before);
    expect(write("a", "")).toBe("OK\0");
  });

  test("a domain that has too much is not talked to until it has less", () => {
    write("a", "x".repeat(1000));
    server.store.quota.memory = memoryOf(1) - 1;
    const waiting = guest.ask(W.XS_READ, "name\0");
    expect(guest.reply(waiting)).toBeUndefined();
    expect(other.request(W.XS_GET_DOMAIN_PATH, "2\0")).toBe("/local/domain/2\0");
    server.store.quota.memory = 100_000;
    server.write("/anything", "");
    expect(guest.reply(waiting)).toBe("guest");
  });

  test("the log tells of one that has more than the soft quota, once, and when it hasn't any more", () => {
    server.store.softMemory = memoryOf(1) + 1000;
    for (let i = 0; i < 3; i++) write("a", "x".repeat(1500 + i));
    guest.request(W.XS_RM, "data/a\0");
    const limit = server.store.softMemory;
    expect(log).toEqual([
      `xenstore: domain 1 uses more than ${limit} bytes (quota-soft)`,
      `xenstore: domain 1 uses no more than ${limit} bytes (quota-soft)`,
    ]);
  });

  test("others' changes don't drive a domain beyond it: it misses their events", () => {
    server.update((view) => server.store.setPermissions(view, 0, "/local/domain/1/data", [{ access: "r", domid: 1 }]));
    other.request(W.XS_WATCH, joinedText("/local/domain/1/data", "t".repeat(1000)));
    other.isDeaf = true;
    server.store.quota.memory = memoryOf(2) + 20_000;
    for (let i = 0; i < 100; i++) server.write(`/local/domain/1/data/${i}`, "");
    expect(memoryOf(2)).toBeLessThanOrEqual(server.store.quota.memory);
    other.isDeaf = false;
    other.events();
    other.receive();
    expect(other.events().length).toBeGreaterThan(10);
    expect(other.request(W.XS_GET_DOMAIN_PATH, "2\0")).toBe("/local/domain/2\0");
  });
});

describe("outstanding requests", () => {
  /** Domain 2 watches what domain 1 writes, and doesn't read. */
  function deafWatcher(): void {
    guest.request(W.XS_SET_PERMS, joinedText("data", "r1"));
    other.request(W.XS_WATCH, joinedText("/local/domain/1/data", "token"));
    other.events();
    other.isDeaf = true;
  }
  /** @returns how many were answered */
  function writeMany(count: number): number {
    const asked = Array.from({ length: count }, (_, i) => guest.ask(W.XS_WRITE, `data/node-${i}\0`));
    return asked.filter((id) => guest.reply(id) !== undefined).length;
  }

  test("wait while twenty of their events are in nobody's ring, and go on when they are", () => {
    deafWatcher();
    const fitting = Math.floor(1024 / (16 + joinedText("/local/domain/1/data/node-00", "token").length));
    const asked = Array.from({ length: 60 }, (_, i) => guest.ask(W.XS_WRITE, `data/node-${10 + i}\0`));
    const answered = () => asked.splice(0, asked.length, ...asked.filter((id) => guest.reply(id) === undefined)).length;
    expect(answered() - asked.length).toBe(fitting + 20);
    expect(server.usage(1)!.outstanding).toBe(20);
    other.isDeaf = false;
    other.receive();
    answered();
    expect(asked).toEqual([]);
    expect(server.usage(1)!.outstanding).toBe(0);
    expect(new Set(other.events()).size).toBe(60);
  });

  test("don't wait longer than twenty seconds for a domain that doesn't read", () => {
    deafWatcher();
    const asked = Array.from({ length: 60 }, (_, i) => guest.ask(W.XS_WRITE, `data/node-${10 + i}\0`));
    timers.advance(19_900);
    expect(asked.every((id) => guest.reply(id) !== undefined)).toBe(false);
    timers.advance(200);
    expect(guest.reply(asked.at(-1)!)).toBe("OK\0");
    // What it finds at last are whole messages.
    other.isDeaf = false;
    other.receive();
    expect(other.events().every((event) => event.startsWith("/local/domain/1/data/node-"))).toBe(true);
    expect(other.request(W.XS_GET_DOMAIN_PATH, "2\0")).toBe("/local/domain/2\0");
  });

  test("the same event waits once, however often it happens", () => {
    deafWatcher();
    for (let i = 0; i < 30; i++) writeMany(1);
    const before = memoryOf(2);
    for (let i = 0; i < 300; i++) expect(writeMany(1)).toBe(1);
    expect(memoryOf(2)).toBe(before);
  });

  test("of dom0 have no such limit, but it can't fill the host's memory either", () => {
    const dom0 = new StoreGuest(guest.memory, server, 0);
    server.write("/big", "x".repeat(4000));
    dom0.isDeaf = true;
    let asked = 0;
    // Until its requests aren't taken any more.
    expect(() => {
      for (; asked < 3000; asked++) dom0.ask(W.XS_READ, "/big\0");
    }).toThrow("doesn't take requests");
    expect(asked).toBeGreaterThan(1000);
    for (let i = 0; i < 5 * asked; i++) dom0.receive();
    expect(dom0.messages).toHaveLength(asked);
    expect(dom0.messages.every(({ payload }) => payload.length === 4000)).toBe(true);
  });

  test("of a domain that ended are forgotten", () => {
    deafWatcher();
    writeMany(40);
    server.release(2);
    expect(server.usage(1)!.outstanding).toBe(0);
  });
});

test("changes come as fast as their rate allows: a burst, then so many a second; reading is free", () => {
  const id = Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
  for (let i = 0; i < 2000; i++) guest.request(W.XS_READ, "name\0");
  for (let i = 0; i < WRITE_BURST - 1; i++) expect(write("a", String(i))).toBe("OK\0");
  expect(write("b", "", id)).toBe("OK\0");
  expect(guest.request(W.XS_TRANSACTION_END, "T\0", id)).toBe("OK\0");
  const waiting = guest.ask(W.XS_WRITE, "data/a\0late");
  expect(guest.reply(waiting)).toBeUndefined();
  expect(other.request(W.XS_WRITE, "data/x\0")).toBe("OK\0");
  timers.advance(1000 / WRITE_RATE);
  expect(guest.reply(waiting)).toBe("OK\0");
  let made = 0;
  let last = guest.ask(W.XS_WRITE, "data/a\0");
  for (let ms = 0; ms < 1000; ms++) {
    timers.advance(1);
    if (guest.reply(last) === undefined) continue;
    made++;
    last = guest.ask(W.XS_WRITE, "data/a\0");
  }
  expect(made).toBeGreaterThanOrEqual(WRITE_RATE - 1);
  expect(made).toBeLessThanOrEqual(WRITE_RATE + 1);
});
