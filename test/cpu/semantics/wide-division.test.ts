// DIV and IDIV r/m64 with dividends wider than 64 bits, against BigInt.

import fc from "fast-check";
import { expect, test } from "vitest";
import { ExitKind, Vector } from "../../../src/cpu/exit.js";
import { Reg } from "../../../src/cpu/state-layout.js";
import { SseMachine } from "./sse-machine.js";

const machine = new SseMachine();
const { state } = machine.cpu;
/** Values around powers of two are where estimated digits go wrong. */
const half = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc
    .tuple(fc.integer({ min: 0, max: 63 }), fc.bigInt({ min: -3n, max: 3n }))
    .map(([n, d]) => BigInt.asUintN(64, (1n << BigInt(n)) + d)),
);

test.each([
  { name: "DIV", code: "48 f7 f3", bits: BigInt.asUintN },
  { name: "IDIV", code: "48 f7 fb", bits: BigInt.asIntN },
])("$name", ({ code, bits }) => {
  fc.assert(
    fc.property(half, half, half, fc.boolean(), (high, low, by, small) => {
      const divisor = by === 0n ? 7n : by;
      const top = small ? BigInt.asUintN(64, bits(64, high) / 2n ** 40n) : high;
      state.setGpr(Reg.RAX, low);
      state.setGpr(Reg.RDX, top);
      state.setGpr(Reg.RBX, divisor);
      const exit = machine.run(code);
      const dividend = bits(128, (top << 64n) | low);
      const [quotient, remainder] = [dividend / bits(64, divisor), dividend % bits(64, divisor)];
      if (bits(64, quotient) !== quotient) {
        expect([exit.kind, exit.vector]).toEqual([ExitKind.Exception, Vector.DE]);
        return;
      }
      expect(exit.kind).toBe(ExitKind.Halt);
      expect([state.gpr(Reg.RAX), state.gpr(Reg.RDX)]).toEqual([
        BigInt.asUintN(64, quotient),
        BigInt.asUintN(64, remainder),
      ]);
    }),
    { numRuns: 2000 },
  );
});
