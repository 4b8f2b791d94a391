// What a crashed guest's console ends with says whose doing it was.

import { expect, test } from "vitest";
import { createXenHost } from "../../src/index.js";
import { type TinyEnd, tinyKernel } from "../support/tiny-kernel.js";

const cases: readonly [TinyEnd, RegExp][] = [
  ["crash", /^guest: the domain ended \(crash\)$/],
  ["ud2", /^guest: the domain ended \(crash: v0 .+\)$/],
];

test.each(cases)("a kernel that ends by %s", async (end, message) => {
  const host = await createXenHost({ memory: "40M", kernelCache: false });
  const guest = await host.createDomain({ kernel: tinyKernel("hello\n", end), memory: "24M", name: "guest" });
  await expect(guest.console.waitFor(/never said/)).rejects.toThrow(message);
  await host.close();
});
