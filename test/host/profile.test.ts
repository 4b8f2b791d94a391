// Profiles and timelines of kernels of a few instructions.

import { expect, test } from "vitest";
import { buildProfile } from "../../src/host/profile.js";
import { parseElf } from "../../src/hypervisor/loader/elf.js";
import { createXenHost, type HostConfig } from "../../src/index.js";
import { buildElf, concat, number, text } from "../hypervisor/loader/build-image.js";
import { type TinyEnd, tinyKernel } from "../support/tiny-kernel.js";

async function run(end: TinyEnd, config: HostConfig, until: RegExp) {
  const host = await createXenHost({ memory: "40M", kernelCache: false, ...config });
  const domain = await host.createDomain({ kernel: tinyKernel("hello\n", end), memory: "24M", privileged: true });
  await domain.console.waitFor(until);
  return { host, domain };
}

test("a profile tells guest code from exits, and where the guest was", async () => {
  const { host, domain } = await run("hang", { profile: true }, /hello/);
  while ((host.profile()?.functions.length ?? 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const { guestMs, exitMs, busyMs, exits, work, functions, addresses } = host.profile()!;
  await host.close();
  expect(work.find(({ name }) => name === "decode")!.count).toBeGreaterThanOrEqual(5);
  expect(guestMs).toBeGreaterThan(0);
  expect(guestMs + exitMs).toBeLessThanOrEqual(busyMs + 1);
  expect(exits.map(({ name, count }) => [name, count])).toEqual([["hypercall console_io", 1]]);
  // The endless jump.
  expect(addresses).toHaveLength(1);
  expect(addresses[0]).toMatchObject({ domain: domain.name, mode: "kernel" });
  expect(addresses[0]!.address >> 12n).toBe(0xffffffff81000n);
  expect(functions[0]!.address).toBe(0xffffffff81000000n);
  expect(functions[0]!.symbol).toBeUndefined();
});

test("without the option there is none", async () => {
  const { host } = await run("hang", {}, /hello/);
  expect(host.profile()).toBeUndefined();
  await host.close();
});

/** An ELF symbol, a function. */
const symbol = (name: number, address: bigint, size: bigint) =>
  concat([number(name, 4), Uint8Array.of(2, 0, 1, 0), number(address), number(size)]);

test("addresses get the names of the kernel's symbols, functions their sum", () => {
  const names = concat([text(""), text("first"), text("second"), text("end")]);
  const symbols = concat([symbol(1, 0x1000n, 0x10n), symbol(7, 0x1010n, 0x20n), symbol(14, 0x1030n, 0n)]);
  const kernel = parseElf(
    buildElf({
      sections: [
        { name: ".strtab", type: 3, contents: names },
        { name: ".symtab", type: 2, contents: symbols, link: 1 },
      ],
    }),
    "kernel",
  );
  const samples = { id: 3, name: "guest", kernel };
  const kernelPlaces = new Map([
    [0x1010n, 1],
    [0x1018n, 4],
    [0x1000n, 2],
    [0x5123n, 0.5],
  ]);
  const userPlaces = new Map([
    [0x400010n, 1],
    [0x400020n, 2],
  ]);
  const sources = { exits: [], work: [], compiledShare: 0, guestMs: 11, busyMs: 12, idleMs: 0 };
  const profile = buildProfile({ ...sources, domains: [{ ...samples, kernelPlaces, userPlaces }] });
  expect(profile.functions.map(({ symbol, address, mode, ms }) => [symbol ?? address, mode, ms])).toEqual([
    ["second", "kernel", 5],
    [0x400000n, "user", 3],
    ["first", "kernel", 2],
    [0x5000n, "kernel", 0.5],
  ]);
  expect(profile.addresses[0]).toMatchObject({ symbol: "second+0x8", ms: 4 });
});

interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Record<string, unknown>;
}

async function timeline(end: TinyEnd, maxBytes?: number): Promise<{ text: string; events: TraceEvent[] }> {
  let text = "";
  const write = (piece: string) => {
    text += piece;
  };
  const perfTrace = { write, ...(maxBytes === undefined ? {} : { maxBytes }) };
  const { host, domain } = await run(end, { perfTrace }, /hello/);
  if (end === "poweroff") await domain.waitForShutdown();
  else while (domain.info.cpuTime < 0.2) await new Promise((resolve) => setTimeout(resolve, 10));
  await host.close();
  return { text, events: JSON.parse(text) };
}

test("a timeline has the vCPU's slices and the counters of exits", async () => {
  const { events } = await timeline("poweroff");
  expect(events.filter(({ ph }) => ph === "M").map(({ args }) => args?.name)).toContain("vCPU 0");
  const slices = events.filter(({ name }) => name === "slice");
  expect(slices.length).toBeGreaterThan(0);
  for (const { ph, ts, dur, args } of slices) {
    expect(ph).toBe("X");
    expect(ts).toBeGreaterThan(0);
    expect(dur).toBeGreaterThanOrEqual(0);
    expect(args?.instructions).toBeGreaterThan(0);
  }
  expect(events.find(({ ph }) => ph === "C")?.args).toMatchObject({ "hypercall console_io": 1 });
});

test("a timeline ends at its limit, and stays well-formed", async () => {
  const { text, events } = await timeline("hang", 1000);
  expect(text.length).toBeLessThan(1200);
  expect(events.at(-1)).toMatchObject({ ph: "i", name: "the trace is full" });
});
