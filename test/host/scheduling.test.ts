// Busy guests on one host, in virtual time: what each of them executes is counted.
import { expect, test } from "vitest";
import { createXenHost, type DomainConfig, type XenHost } from "../../src/index.js";
import { tinyKernel } from "../support/tiny-kernel.js";

const kernel = tinyKernel("", "work");

/** Instructions of each guest per nanosecond of virtual time, after so much of it. */
async function shares(host: XenHost, configs: readonly Partial<DomainConfig>[], seconds: number): Promise<number[]> {
  const guests = [];
  for (const config of configs)
    guests.push(await host.createDomain({ kernel, memory: "32M", paused: true, cmdline: "", ...config }));
  const { time } = host.hypervisor;
  const count = (id: number) => host.hypervisor.findDomain(id)!.vcpus[0]!.cpu.instructions;
  const start = time.now();
  for (const guest of guests) guest.unpause();
  const end = start + BigInt(seconds * 1e9);
  while (time.now() < end) await new Promise((resolve) => setImmediate(resolve));
  for (const guest of guests) guest.pause();
  const ns = Number(time.now() - start);
  return guests.map(({ id }) => count(id) / ns);
}

const deterministic = { memory: "96M", deterministic: true } as const;

test("weights 256 and 512 share 1 : 2", async () => {
  await using host = await createXenHost(deterministic);
  const [a, b] = await shares(host, [{}, { scheduling: { weight: 512 } }], 0.6);
  expect(a! + b!).toBeCloseTo(1, 1);
  expect(b! / a!).toBeGreaterThan(1.75);
  expect(b! / a!).toBeLessThan(2.25);
});

test("a cap of 50 is half a CPU, though nobody else wants it", async () => {
  await using host = await createXenHost(deterministic);
  const [only] = await shares(host, [{ scheduling: { cap: 50 } }], 0.6);
  expect(only).toBeGreaterThan(0.45);
  expect(only).toBeLessThan(0.55);
});

test("who has a CPU to itself has as much as two who share one", async () => {
  await using host = await createXenHost({ ...deterministic, cpus: 2 });
  const on = (cpu: number) => ({ affinity: [{ hard: [cpu] }] });
  const [a, b, c] = await shares(host, [on(0), on(0), on(1)], 0.6);
  expect(c).toBeCloseTo(0.5, 1);
  expect(a! + b!).toBeCloseTo(0.5, 1);
  expect(a).toBeCloseTo(b!, 1);
});

test("who runs when is the same in two runs of a deterministic host", async () => {
  const run = async () => {
    await using host = await createXenHost({ ...deterministic, memory: "128M", cpus: 2 });
    const turns: string[] = [];
    host.hypervisor.observer = {
      enter: ({ domain, sched }) => turns.push(`${domain.id} on ${sched.cpu} at ${host.hypervisor.time.now()}`),
      leave: () => {},
      handled: () => {},
    };
    await shares(host, [{}, { scheduling: { weight: 700 } }, { scheduling: { cap: 30 } }], 0.2);
    return turns.slice(0, 3500);
  };
  const first = await run();
  expect(first).toHaveLength(3500);
  expect(await run()).toEqual(first);
});

test("what makes no sense is refused", async () => {
  await using host = await createXenHost({ ...deterministic, memory: "256M" });
  const make = (config: Partial<DomainConfig>) => host.createDomain({ kernel, memory: "32M", ...config });
  await expect(make({ vcpus: 33 })).rejects.toThrow("a domain has 1 to 32 vCPUs, not 33");
  await expect(make({ vcpus: 2, maxVcpus: 1 })).rejects.toThrow("maxVcpus is 1, less than vcpus, 2");
  await expect(make({ affinity: [{ hard: [1] }] })).rejects.toThrow("this host has 1");
  await expect(make({ scheduling: { weight: 0 } })).rejects.toThrow("a weight is a whole number from 1 to 65535");
  await expect(make({ scheduling: { cap: 101 } })).rejects.toThrow("from 0 to 100, not 101");
  await expect(createXenHost({ cpus: 33 })).rejects.toThrow("cpus must be between 1 and 32");
  const free = host.info.freeMemory;
  // Each vCPU has TLBs of some megabytes; a domain that gets only part of them is none.
  const many = async () => {
    for (let i = 0; i < 8; i++) await make({ vcpus: 1, maxVcpus: 32, memory: "24M", paused: true });
  };
  await expect(many()).rejects.toThrow("guest: the engine has no memory left for 32 vCPUs");
  for (const guest of host.domains.values()) guest.destroy();
  expect(host.info.freeMemory).toBe(free);
});
