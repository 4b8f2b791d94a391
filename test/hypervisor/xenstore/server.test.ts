import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as W from "../../../src/hypervisor/public/io/xs_wire.js";
import {
  createDomainNodes,
  createHostNodes,
  removeDomainNodes,
} from "../../../src/hypervisor/xenstore/domain-nodes.js";
import { XenStoreServer } from "../../../src/hypervisor/xenstore/server.js";
import { encodeMessage, joinStrings } from "../../../src/hypervisor/xenstore/wire.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";
import { description, StoreGuest as Guest, joinedText, PAGE } from "./store-guest.js";

const { req, req_prod } = W.XENSTORE_RING;

function setup() {
  const memory = new MachineMemory({ frames: 8, engineBytes: 65536 });
  const server = new XenStoreServer(memory);
  createDomainNodes(server, description);
  return { memory, server, guest: new Guest(memory, server, 1) };
}

// As xenstore-ls -f printed them on Xen 4.17, without what depends on the machine, dom0's kernel or a pty.
test("the nodes of a host with a domain are those that xl 4.17 and xenstored make", () => {
  const { server } = setup();
  createHostNodes(server);
  const list = (path: string): string[] =>
    server.directory(path).flatMap((name) => {
      const node = `${path}/${name}`;
      return [`${node} = "${server.read(node)}"`, ...list(node)];
    });
  const uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f";
  const roots = ["/tool", "/local", "/vm", "/libxl"];
  const all = roots.flatMap(list).filter((line) => !line.endsWith(' = ""'));
  expect(all.sort()).toEqual(
    [
      '/local/domain/0/domid = "0"',
      '/local/domain/0/name = "Domain-0"',
      '/local/domain/0/backend/console/1/0/frontend = "/local/domain/1/console"',
      '/local/domain/0/backend/console/1/0/frontend-id = "1"',
      '/local/domain/0/backend/console/1/0/online = "1"',
      '/local/domain/0/backend/console/1/0/state = "1"',
      '/local/domain/0/backend/console/1/0/protocol = "vt100"',
      `/local/domain/1/vm = "/vm/${uuid}"`,
      '/local/domain/1/name = "guest"',
      '/local/domain/1/cpu/0/availability = "online"',
      '/local/domain/1/memory/static-max = "262144"',
      '/local/domain/1/memory/target = "262144"',
      '/local/domain/1/memory/videoram = "0"',
      '/local/domain/1/control/platform-feature-multiprocessor-suspend = "1"',
      '/local/domain/1/control/platform-feature-xs_reset_watches = "1"',
      '/local/domain/1/domid = "1"',
      '/local/domain/1/store/port = "1"',
      '/local/domain/1/store/ring-ref = "1"',
      '/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0"',
      '/local/domain/1/console/backend-id = "0"',
      '/local/domain/1/console/limit = "1048576"',
      '/local/domain/1/console/type = "xenconsoled"',
      '/local/domain/1/console/output = "pty"',
      '/local/domain/1/console/port = "2"',
      '/local/domain/1/console/ring-ref = "2"',
      '/local/pool/0/name = "Pool-0"',
      `/vm/${uuid}/name = "guest"`,
      `/vm/${uuid}/uuid = "${uuid}"`,
      `/vm/${uuid}/image/ostype = "linux"`,
      '/libxl/1/device/console/0/frontend = "/local/domain/1/console"',
      '/libxl/1/device/console/0/backend = "/local/domain/0/backend/console/1/0"',
      '/libxl/1/device/console/0/frontend-id = "1"',
      '/libxl/1/device/console/0/online = "1"',
      '/libxl/1/device/console/0/state = "1"',
      '/libxl/1/device/console/0/protocol = "vt100"',
      '/libxl/1/type = "pv"',
      '/libxl/1/dm-version = "qemu_xen"',
    ].sort(),
  );
  expect([server.read("/tool/xenstored"), server.read("/local/domain/1/device/suspend/event-channel")]).toEqual([
    "",
    "",
  ]);
});

describe("a domain over its ring", () => {
  test("reads what the toolstack wrote, relative to its home", () => {
    const { guest } = setup();
    expect(guest.request(W.XS_READ, "name\0")).toBe("guest");
    expect(guest.request(W.XS_READ, "memory/target\0")).toBe("262144");
    expect(guest.request(W.XS_DIRECTORY, "device\0")).toBe("suspend\0");
    expect(guest.request(W.XS_DIRECTORY, "cpu\0")).toBe("0\0");
    expect(guest.request(W.XS_READ, "device/vif\0")).toBe("!ENOENT");
    expect(guest.request(W.XS_READ, "vm\0")).toBe("/vm/00010203-0405-0607-0809-0a0b0c0d0e0f");
  });

  test("doesn't see the toolstack's record", () => {
    const { guest, server } = setup();
    expect(server.read("/libxl/1/type")).toBe("pv");
    expect(guest.request(W.XS_READ, "/libxl/1/type\0")).toBe("!EACCES");
    expect(guest.request(W.XS_WRITE, "/local/domain/0/backend/console/1/0/state\x006")).toBe("!EACCES");
    expect(guest.request(W.XS_READ, "/local/domain/0/backend/console/1/0/state\0")).toBe("1");
    expect(guest.request(W.XS_WRITE, "device/suspend/event-channel\x007")).toBe("OK\0");
  });

  test("writes only where it may", () => {
    const { guest, server } = setup();
    expect(guest.request(W.XS_WRITE, "control/feature-poweroff\x001")).toBe("OK\0");
    expect(server.read("/local/domain/1/control/feature-poweroff")).toBe("1");
    expect(guest.request(W.XS_WRITE, "name\0other")).toBe("!EACCES");
    expect(guest.request(W.XS_MKDIR, "data/x\0")).toBe("OK\0");
    expect(guest.request(W.XS_GET_PERMS, "data/x\0")).toBe("n1\0");
    expect(guest.request(W.XS_READ, "/local/domain/0/x\0")).not.toMatch(/^[^!]/);
  });

  test("watches: an event at once, then on each change, relative as they were set", () => {
    const { guest, server } = setup();
    expect(guest.request(W.XS_WATCH, joinedText("control/shutdown", "token"))).toBe("OK\0");
    expect(guest.events()).toEqual(["control/shutdown token"]);
    server.write("/local/domain/1/control/shutdown", "poweroff");
    expect(guest.events()).toEqual(["control/shutdown token"]);
    expect(guest.request(W.XS_READ, "control/shutdown\0")).toBe("poweroff");
    expect(guest.request(W.XS_WATCH, joinedText("control/shutdown", "token"))).toBe("!EEXIST");
    expect(guest.request(W.XS_UNWATCH, joinedText("control/shutdown", "token"))).toBe("OK\0");
    server.write("/local/domain/1/control/shutdown", "reboot");
    expect(guest.events()).toEqual([]);
  });

  test("the reply to a write comes before the watch event it causes", () => {
    const { guest } = setup();
    guest.request(W.XS_WATCH, joinedText("data", "t"));
    guest.events();
    guest.send(encodeMessage({ type: W.XS_WRITE, requestId: 9, transactionId: 0, payload: joinStrings(["data/a"]) }));
    expect(guest.messages.map(({ type }) => type)).toEqual([W.XS_WRITE, W.XS_WATCH_EVENT]);
  });

  test("transactions over the wire", () => {
    const { guest, server } = setup();
    const id = Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
    expect(guest.request(W.XS_WRITE, "data/a\x001", id)).toBe("OK\0");
    expect(server.read("/local/domain/1/data/a")).toBeUndefined();
    expect(guest.request(W.XS_TRANSACTION_END, "T\0", id)).toBe("OK\0");
    expect(server.read("/local/domain/1/data/a")).toBe("1");
    expect(guest.request(W.XS_READ, "data/a\0", id)).toBe("!ENOENT");
    expect(guest.request(W.XS_TRANSACTION_END, "X\0", 77)).toBe("!ENOENT");
  });

  test("toolstack requests are refused", () => {
    const { guest } = setup();
    expect(guest.request(W.XS_INTRODUCE, "5\x001\x001\0")).toBe("!EACCES");
    expect(guest.request(W.XS_IS_DOMAIN_INTRODUCED, "1\0")).toBe("T\0");
    expect(guest.request(W.XS_IS_DOMAIN_INTRODUCED, "2\0")).toBe("F\0");
    expect(guest.request(W.XS_GET_DOMAIN_PATH, "4\0")).toBe("/local/domain/4\0");
    expect(guest.request(99, "\0")).toBe("!ENOSYS");
  });

  test("a message larger than the ring, and a long directory in parts", () => {
    const { guest, server } = setup();
    const value = "v".repeat(1900);
    expect(guest.request(W.XS_WRITE, `data/big\0${value}`)).toBe("OK\0");
    expect(guest.request(W.XS_READ, "data/big\0")).toBe(value);
    for (let i = 0; i < 600; i++) server.write(`/list/entry-${i}`, "");
    expect(guest.request(W.XS_DIRECTORY, "/list\0")).toBe("!E2BIG");
    const names: string[] = [];
    for (let offset = 0; ; ) {
      const [, ...part] = guest.request(W.XS_DIRECTORY_PART, joinedText("/list", String(offset))).split("\0");
      const isLast = part.at(-2) === "" && part.at(-1) === "";
      const found = part.filter((name) => name !== "");
      names.push(...found);
      offset += found.reduce((sum, name) => sum + name.length + 1, 0);
      if (isLast) break;
    }
    expect(names.length).toBe(600);
  });

  test("a broken ring or message ends the connection, not the server", () => {
    const { guest, memory, server } = setup();
    const header = encodeMessage({ type: W.XS_READ, requestId: 1, transactionId: 0, payload: new Uint8Array(0) });
    new DataView(header.buffer).setUint32(12, 5000, true);
    guest.send(header);
    expect(memory.readU32(PAGE + W.XENSTORE_RING.error)).toBe(W.XENSTORE_ERROR_PROTO);
    server.write("/local/domain/1/control/shutdown", "poweroff");
    memory.writeU32(PAGE + req_prod, 12345678);
    server.service(1);
  });

  test("a domain reconnects: after an error, or because a new kernel takes over", () => {
    const { guest, memory, server } = setup();
    const { server_features, connection, error, rsp_cons, rsp_prod, req_cons } = W.XENSTORE_RING;
    const field = (at: number) => memory.readU32(PAGE + at);
    expect(field(server_features)).toBe(3);
    const id = Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
    guest.request(W.XS_WATCH, joinedText("data", "old"));
    // Half a request, then nonsense.
    guest.send(
      encodeMessage({ type: W.XS_READ, requestId: 1, transactionId: 0, payload: joinStrings(["name"]) }).slice(0, 9),
    );
    memory.writeU32(PAGE + req_prod, 12345678);
    server.service(1);
    expect(field(error)).toBe(W.XENSTORE_ERROR_RINGIDX);
    memory.writeU32(PAGE + connection, W.XENSTORE_RECONNECT);
    server.service(1);
    expect([connection, error, req_cons, req_prod, rsp_cons, rsp_prod].map(field)).toEqual([0, 0, 0, 0, 0, 0]);
    guest.events();
    expect(guest.request(W.XS_READ, "name\0")).toBe("guest");
    expect(guest.request(W.XS_READ, "name\0", id)).toBe("!ENOENT");
    server.write("/local/domain/1/data", "x");
    expect(guest.events()).toEqual([]);
    expect(server.usage(1)).toMatchObject({ watches: 0, transactions: 0, outstanding: 0 });
  });

  test("after its release nothing of the domain is left", () => {
    const { server } = setup();
    server.release(1);
    removeDomainNodes(server, 1, description.handle);
    expect([server.isIntroduced(1), server.directory("/local/domain"), server.directory("/vm")]).toEqual([
      false,
      ["0"],
      [],
    ]);
    expect(server.store.owned(1).nodes).toBe(0);
    expect([server.directory("/libxl"), server.directory("/local/domain/0/backend/console")]).toEqual([[], []]);
  });

  test("random bytes in the ring never throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), fc.nat(30), (pieces, type) => {
        const { guest, server } = setup();
        for (const payload of pieces) {
          if (server.isIntroduced(1))
            try {
              guest.send(encodeMessage({ type, requestId: 1, transactionId: payload[0] ?? 0, payload }));
            } catch (error) {
              expect(String(error)).toMatch("doesn't take requests");
            }
        }
      }),
    );
  });
});

test("the host watches like a backend", () => {
  const { server, guest } = setup();
  const seen: string[] = [];
  const stop = server.watch("/local/domain/1/data", (path) => seen.push(path));
  guest.request(W.XS_WRITE, "data/x\x001");
  stop();
  guest.request(W.XS_WRITE, "data/y\x001");
  expect(seen).toEqual(["/local/domain/1/data", "/local/domain/1/data/x"]);
});

function tree(server: XenStoreServer, path: string): unknown {
  return [path, server.read(path), server.directory(path).map((name) => tree(server, `${path}/${name}`))];
}

describe("a hostile domain", () => {
  test("gets no more nodes in a transaction than outside, and no endless transaction", () => {
    const { guest, server } = setup();
    const start = () => Number.parseInt(guest.request(W.XS_TRANSACTION_START, "\0"), 10);
    const one = start();
    let made = 0;
    while (guest.request(W.XS_WRITE, `data/a${made}\0`, one) === "OK\0") made++;
    expect(made).toBeLessThan(1000);
    // Two transactions that fit alone, and not together.
    const [two, three] = [start(), start()];
    for (const [id, name] of [
      [two, "b"],
      [three, "c"],
    ] as const)
      for (let i = 0; i < 600; i++) guest.request(W.XS_WRITE, `data/${name}${i}\0`, id);
    expect(guest.request(W.XS_TRANSACTION_END, "T\0", two)).toBe("OK\0");
    expect(guest.request(W.XS_TRANSACTION_END, "T\0", three)).toBe("!ENOSPC");
    expect(server.store.owned(1).nodes).toBeLessThanOrEqual(1000);
    const four = start();
    let writes = 0;
    while (writes < 20_000 && guest.request(W.XS_WRITE, "data/b1\0x", four) === "OK\0") writes++;
    expect(writes).toBeLessThan(20_000);
  });

  test("isn't told of other domains, and can't list many permissions", () => {
    const { guest, server, memory } = setup();
    guest.request(W.XS_WATCH, joinedText("@introduceDomain", "t"));
    guest.request(W.XS_WATCH, joinedText("@releaseDomain", "t"));
    guest.events();
    new Guest(memory, server, 2);
    server.release(2);
    expect(guest.events()).toEqual([]);
    expect(guest.request(W.XS_SET_PERMS, joinedText("data", "n1", "r2", "r3", "r4", "r5", "r6"))).toBe("!ENOSPC");
  });

  // Requests that are well-formed, on paths that are its own, another's or nobody's, in any order, many at once.
  test("whatever it asks for: others' nodes stay as they were and hidden, quotas hold, the rest of the world is served", () => {
    const path = fc.oneof(
      fc.constantFrom("data", "data/x", "control/shutdown", "device", "memory/target", "/", "/tool", "/local/domain/2"),
      fc.constantFrom("/local/domain/2/data", "/local/domain/2/data/secret", "/libxl/2", "/local/domain/0/backend"),
      fc.constantFrom("@releaseDomain", "//", "a//b", "", "../2/data", "x".repeat(2049)),
    );
    const word = fc.oneof(fc.constantFrom("T", "F", "n0", "b2", "w1", "r2", "0", "1", "-1", "4294967296"), path);
    const request = fc.record({
      type: fc.integer({ min: 0, max: 32 }).filter((type) => type !== W.XS_WATCH_EVENT),
      transaction: fc.constantFrom(0, 0, 1, 2, 99),
      words: fc.array(word, { maxLength: 7 }),
      value: fc.constantFrom("", "v", "v".repeat(2100)),
      repeat: fc.constantFrom(1, 1, 3, 40),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 25 }), (requests) => {
        const { guest, server, memory } = setup();
        createHostNodes(server);
        createDomainNodes(server, { ...description, domid: 2, name: "other", handle: new Uint8Array(16).fill(7) });
        const other = new Guest(memory, server, 2);
        other.request(W.XS_WRITE, "data/secret\0key");
        other.request(W.XS_WATCH, joinedText("data", "mine"));
        other.events();
        const outside = () =>
          ["/tool", "/vm/07070707-0707-0707-0707-070707070707", "/local/domain/2", "/libxl/2", "/local/pool"].map(
            (at) => JSON.stringify(tree(server, at)),
          );
        const before = outside();
        let answers = "";
        for (const { type, transaction, words, value, repeat } of requests)
          for (let i = 0; i < repeat; i++) {
            const payload = (joinedText(...words) + value).slice(0, W.XENSTORE_PAYLOAD_MAX);
            answers += guest.request(type, payload, transaction);
          }
        expect(outside()).toEqual(before);
        expect(answers).not.toContain("key");
        expect(server.store.owned(1).nodes).toBeLessThanOrEqual(1000);
        const { watches, transactions } = server.usage(1)!;
        expect(watches).toBeLessThanOrEqual(128);
        expect(transactions).toBeLessThanOrEqual(10);
        expect(other.events()).toEqual([]);
        expect(other.request(W.XS_READ, "data/secret\0")).toBe("key");
        expect(server.store.check()).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  test("that doesn't read its events costs no memory without end", () => {
    const memory = new MachineMemory({ frames: 8, engineBytes: 65536 });
    const server = new XenStoreServer(memory);
    createDomainNodes(server, description);
    server.connect(1, PAGE, { notify: () => {} });
    const watch = encodeMessage({
      type: W.XS_WATCH,
      requestId: 1,
      transactionId: 0,
      payload: joinStrings(["data", "t".repeat(100)]),
    });
    for (const [i, byte] of watch.entries()) memory.writeU8(PAGE + req + i, byte);
    memory.writeU32(PAGE + req_prod, watch.length);
    server.service(1);
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 50_000; i++) server.write("/local/domain/1/data", "");
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(50e6);
  });
});

describe("requests of dom0", () => {
  test("a domain that acts for another has its rights until it ends", () => {
    const { guest, server, memory } = setup();
    const model = new Guest(memory, server, 2);
    expect(model.request(W.XS_WRITE, "/local/domain/1/data\0x")).toBe("!EACCES");
    const session = server.open(() => {});
    const send = (type: number, ...words: string[]) =>
      session.receive(encodeMessage({ type, requestId: 1, transactionId: 0, payload: joinStrings(words) }));
    send(W.XS_SET_TARGET, "2", "1");
    expect(model.request(W.XS_WRITE, "/local/domain/1/data\0x")).toBe("OK\0");
    expect(guest.request(W.XS_SET_TARGET, joinedText("1", "2"))).toBe("!EACCES");
    send(W.XS_RELEASE, "2");
    const again = new Guest(memory, server, 2);
    expect(again.request(W.XS_WRITE, "/local/domain/1/data\0x")).toBe("!EACCES");
  });
});
