// An unprivileged domain makes random memory hypercalls with arguments that are often nearly right. Nothing throws, counts agree,
// the other domain's bytes and frames stay as they are, and the death of the domain gives everything back.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { copyToGuest } from "../../../src/hypervisor/guest-access.js";
import { findL1Slot } from "../../../src/hypervisor/guest-tables.js";
import { memoryOp } from "../../../src/hypervisor/hypercall/memory.js";
import { mmuUpdate } from "../../../src/hypervisor/hypercall/mmu-update.js";
import { mmuextOp } from "../../../src/hypervisor/hypercall/mmuext.js";
import { updateVaMapping, updateVaMappingOtherdomain } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import type { Vcpu } from "../../../src/hypervisor/hypervisor.js";
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from "../../../src/hypervisor/public/xen.js";
import { call, FREE_PFN, makeDomain, makeHost, otherReferences, va } from "../hypervisor-fixture.js";

const host = makeHost();
const { hypervisor, memory } = host;
const dom0 = makeDomain(host, true);

function digestOfDom0(): string {
  const hash = createHash("sha256");
  for (let mfn = 0; mfn < memory.frames; mfn++)
    if (hypervisor.mm.frames.ownerOf(mfn) === 0) hash.update(String(mfn)).update(memory.bytes(mfn * 4096, 4096));
  return hash.digest("hex");
}

/** A number that means something in one place or another; turned into a value when the domain is known. */
const value = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pfn" as const), n: fc.nat(40), low: fc.nat(0xfff) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("pte" as const),
      n: fc.nat(40),
      low: fc.constantFrom(0x67, 0x65, 0x63, 0, 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("slot" as const),
      n: fc.nat(40),
      low: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("root" as const), n: fc.constant(0), low: fc.nat(0xfff) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("foreign" as const),
      n: fc.nat(2000),
      low: fc.constantFrom(0x67, 0x65, 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("va" as const), n: fc.nat(40), low: fc.constantFrom(0, 0, 8, 0xff8) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("small" as const), n: fc.nat(30), low: fc.constant(0) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("any" as const), n: fc.bigInt(0n, 2n ** 64n - 1n), low: fc.constant(0) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("domid" as const),
      n: fc.constantFrom(DOMID_SELF, DOMID_IO, DOMID_XEN, 0, 1, 99),
      low: fc.constant(0),
    }),
  },
);

const handlers = { mmuUpdate, mmuextOp, updateVaMapping, updateVaMappingOtherdomain, memoryOp };
const HANDLER_NAMES = Object.keys(handlers) as (keyof typeof handlers)[];

const OTHER_DOMAINS = fc.constantFrom(DOMID_IO, DOMID_XEN, 0, 99, 0x1_7ff0);

const step = fc.record({
  name: fc.constantFrom(...HANDLER_NAMES),
  operation: fc.nat(30),
  words: fc.array(value, { minLength: 10, maxLength: 10 }),
  count: fc.constantFrom(1, 1, 2, 3, 4, 0x8000_0003, 0xffff_ffff),
  order: fc.constantFrom(0, 0, 0, 1, 2, 9, 40),
  domid: fc.oneof({ weight: 15, arbitrary: fc.constant(DOMID_SELF) }, { weight: 1, arbitrary: OTHER_DOMAINS }),
  isWild: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

function write(vcpu: Vcpu, address: bigint, words: readonly bigint[]): void {
  const bytes = new Uint8Array(words.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setBigUint64(i * 8, BigInt.asUintN(64, word), true);
  copyToGuest(vcpu, address, bytes);
}

it("random memory hypercalls harm nobody but the caller", () => {
  const before = digestOfDom0();
  const free = hypervisor.mm.freeFrames;
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80, size: "max" }), (steps) => {
      const { domain, vcpu, p2m } = makeDomain(host, false, { pages: 1536 });
      const list = va(FREE_PFN);
      const slotOf = (n: number) => BigInt(Math.max(0, findL1Slot(memory, vcpu.pv.guestTable, va(FREE_PFN + n))));
      const resolve = ({ kind, n, low }: { kind: string; n: number | bigint; low: number }): bigint => {
        const index = Number(BigInt(n) & 0x7ffn);
        switch (kind) {
          case "pfn":
            return BigInt(p2m[FREE_PFN + index]!);
          case "pte":
            return (BigInt(p2m[FREE_PFN + index]!) << 12n) | BigInt(low);
          case "slot":
            return slotOf(index) | BigInt(low);
          case "root":
            return (BigInt(vcpu.pv.guestTable) << 12n) | BigInt(low & 0xff8);
          case "foreign":
            return (BigInt(dom0.p2m[index]!) << 12n) | BigInt(low);
          case "va":
            return va(FREE_PFN + index) + BigInt(low);
          default:
            return BigInt(n);
        }
      };
      try {
        for (const { name, operation, words, count, order, domid, isWild } of steps) {
          const handler = handlers[name];
          const raw = words.map(resolve);
          if (name === "mmuextOp") raw[0] = raw[3] = raw[6] = BigInt(operation % 22);
          if (name === "mmuUpdate" && !isWild)
            for (let i = 0; i < 8; i += 2)
              raw[i] = i % 4 ? slotOf(operation + i) : (raw[i]! << 12n) | BigInt(operation & 2);
          write(vcpu, list, raw);
          if (name === "memoryOp") {
            const extents = BigInt(isWild ? count : count & 3);
            const id = BigInt(domid);
            const out = list + 32n;
            write(vcpu, list + 2048n, [list, extents, BigInt(order), id, out, extents, BigInt(order), id, 0n]);
            call(handler, vcpu, operation | (isWild ? count << 6 : 0), isWild ? raw[9]! : list + 2048n);
          } else if (name === "mmuUpdate" || name === "mmuextOp")
            call(handler, vcpu, isWild ? raw[9]! : list, count, isWild ? raw[8]! : 0n, domid);
          else call(handler, vcpu, va(FREE_PFN + operation), raw[1]!, isWild ? raw[2]! : 2n, domid);
          vcpu.continuation.isPending = false;
        }
        expect(auditFrames(hypervisor.mm, otherReferences([dom0.domain, domain]))).toEqual([]);
      } finally {
        hypervisor.destroyDomain(domain);
      }
      expect(hypervisor.mm.freeFrames).toBe(free);
    }),
    { numRuns: 150 },
  );
  expect(digestOfDom0()).toBe(before);
  expect(auditFrames(hypervisor.mm, otherReferences([dom0.domain]))).toEqual([]);
}, 30_000);
