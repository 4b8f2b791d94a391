// Hostile block frontends: whatever is on the ring and in the XenStore, the backend answers with errors or closes. It never
// throws, never keeps a page, and never reads or writes beyond the disk.
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MemoryStore } from "../../../src/devices/storage/memory-store.js";
import { BlockBackend } from "../../../src/devices/xen/blkback/block-backend.js";
import { pattern } from "../storage/block-store-contract.js";
import { BACKEND, FRONTEND, TestBlockFrontend } from "./test-block-frontend.js";
import { settle, TestGuest } from "./test-guest.js";

const failures: unknown[] = [];
const onRejection = (error: unknown) => void failures.push(error);
beforeAll(() => void process.on("unhandledRejection", onRejection));
afterAll(() => void process.off("unhandledRejection", onRejection));

const word = fc.oneof(fc.nat(64), fc.constantFrom(0x7fffffff, 0xffffffff, 0x80000000), fc.nat(0xffffffff));
const action = fc.oneof(
  fc.record({ kind: fc.constant("entry" as const), bytes: fc.uint8Array({ minLength: 108, maxLength: 108 }) }),
  fc.record({
    kind: fc.constant("request" as const),
    operation: fc.nat(7),
    sector: fc.oneof(fc.nat(300), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    count: fc.nat(14),
    gref: fc.nat(40),
    first: fc.nat(9),
    last: fc.nat(9),
  }),
  fc.record({ kind: fc.constant("index" as const), at: fc.constantFrom(0, 4, 8, 12), value: word }),
  fc.record({ kind: fc.constant("push" as const) }),
  fc.record({
    kind: fc.constant("store" as const),
    name: fc.constantFrom(
      "state",
      "ring-ref",
      "ring-page-order",
      "event-channel",
      "protocol",
      "feature-persistent",
      "multi-queue-num-queues",
    ),
    value: fc.oneof(fc.nat(9).map(String), fc.string({ maxLength: 12 })),
  }),
);

test("random rings, requests and nodes", async () => {
  const states = new Set<string | undefined>();
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(32 as const, 64 as const),
      fc.boolean(),
      fc.array(action, { maxLength: 40 }),
      async (abi, isPersistent, actions) => {
        const guest = new TestGuest();
        guest.store.write(`${FRONTEND}/state`, "1");
        const lines: string[] = [];
        const backend = new BlockBackend({
          services: guest.services,
          disk: new MemoryStore(128 * 1024),
          backendPath: BACKEND,
          frontendPath: FRONTEND,
          isReadonly: false,
          isCdrom: false,
          persistentGrants: isPersistent,
          nativeAbi: 64,
          log: (line) => lines.push(line),
        });
        backend.device.start();
        const frontend = new TestBlockFrontend(guest, { abi, isPersistent });
        for (let i = 0; i < 20; i++) guest.grant().page.set(pattern(64, i));
        frontend.connect();
        await settle(2);
        for (const each of actions) {
          if (each.kind === "entry") frontend.putEntry(each.bytes);
          else if (each.kind === "request")
            frontend.put(
              each.operation,
              each.sector,
              Array(11).fill({ gref: each.gref, first_sect: each.first, last_sect: each.last }),
              each.count,
            );
          else if (each.kind === "index") frontend.word(each.at, each.value);
          else if (each.kind === "push") frontend.push();
          else guest.store.write(`${FRONTEND}/${each.name}`, each.value);
          if (each.kind === "index" || each.kind === "store") guest.kick(frontend.port);
          if (each.kind === "store") await settle(1);
        }
        await settle(2);
        states.add(guest.store.read(`${BACKEND}/state`));
        expect(lines.join()).not.toContain("internal error");
        await backend.device.stop();
        expect(guest.mappings).toBe(0);
        expect(failures).toEqual([]);
      },
    ),
    { numRuns: 250 },
  );
  expect(states.size).toBeGreaterThan(1);
});
