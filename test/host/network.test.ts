// Networks of a host without guests: names and options, partitions, links to another host, and time under `deterministic`.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { VirtualClock } from "../../src/host/clocks.js";
import { createXenHost, type HostConfig, type PacketPort, type XenHost } from "../../src/index.js";
import { address, BROADCAST, ethernet, MAC_A, MAC_B, text } from "../devices/network/frames.js";

async function makeHost(config: HostConfig = {}): Promise<XenHost> {
  const host = await createXenHost({ memory: "16M", ...config });
  onTestFinished(() => host.close());
  return host;
}

function framesOf(port: PacketPort): Uint8Array[] {
  const frames: Uint8Array[] = [];
  port.onFrame = (frame) => frames.push(frame);
  return frames;
}

const hello = ethernet(BROADCAST, MAC_A, 0x1234, text("hello"));
const whoIs = (target: string) => {
  const body = [0, 1, 8, 0, 6, 4, 0, 1, ...MAC_B, ...address("10.0.2.16"), 0, 0, 0, 0, 0, 0, ...address(target)];
  return ethernet(BROADCAST, MAC_B, 0x0806, Uint8Array.from(body));
};

describe("networks", () => {
  test("are made when they are named; xenbr0 has a NAT, others stand alone", async () => {
    const host = await makeHost();
    expect(host.network().name).toBe("xenbr0");
    expect(host.network("xenbr0").nat?.gateway).toBe("10.0.2.2");
    const lan = host.network("lan", { nat: { network: "192.168.9.0/24" } });
    expect(host.network("lan")).toBe(lan);
    expect(lan.nat?.gateway).toBe("192.168.9.2");
    expect(host.network("alone").nat).toBeUndefined();
    expect(host.networks.map(({ name }) => name)).toEqual(["xenbr0", "lan", "alone"]);
  });

  test.each([
    [(host: XenHost) => host.network("a b"), '"a b" is not a name of a network such as xenbr0'],
    [
      (host: XenHost) => host.network("x", { nat: { network: "10.0.0.0" } }),
      'x: network: "10.0.0.0" is not of the form',
    ],
    [(host: XenHost) => host.network("x", { nat: { dns: ["here"] } }), 'x: dns: "here" is not a name server'],
    [(host: XenHost) => host.network("xenbr0", {}) && host.network("xenbr0", {}), "exists already"],
  ])("what can't be is refused with the reason (%#)", async (make, message) => {
    const host = await makeHost();
    expect(() => make(host)).toThrow(message);
  });

  test("a partition cuts two groups of ports until it heals", async () => {
    const lan = (await makeHost()).network("lan");
    const [a, b, c] = ["a", "b", "c"].map((name) => lan.addPort(name));
    const [got, others] = [framesOf(b!), framesOf(c!)];
    lan.partition(["a"], ["b"]);
    a!.send(hello);
    expect([got.length, others.length]).toEqual([0, 1]);
    lan.heal();
    a!.send(hello);
    expect([got.length, others.length]).toEqual([1, 2]);
  });

  test("two hosts are linked by a socket: the NAT of one serves the other", async () => {
    const directory = mkdtempSync(join(tmpdir(), "xen-ts-link-"));
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
    const path = join(directory, "link");
    const [near, far] = [await makeHost(), await makeHost()];
    await expect(far.network("lan").connect({ type: "stream", path })).rejects.toMatchObject({
      code: "bad-network",
      message: expect.stringContaining(`stream ${path}: connect ENOENT`),
    });
    await near.network("lan", { nat: true }).connect({ type: "stream", path, listen: true });
    await far.network("lan").connect({ type: "stream", path });
    const port = far.network("lan").addPort("test");
    const answer = new Promise<Uint8Array>((resolve) => (port.onFrame = resolve));
    port.send(whoIs("10.0.2.2"));
    expect([...(await answer).subarray(28, 32)]).toEqual([10, 0, 2, 2]);
    await near.close();
    await far.close();
  });

  test("a deterministic host's networks live in its own time, and reach nothing of the machine", async () => {
    const host = await makeHost({ deterministic: true });
    expect(host.network().nat).toBeDefined();
    const clock = new VirtualClock();
    const fired: bigint[] = [];
    clock.timers.after(5, () => fired.push(clock.monotonic()));
    expect(clock.untilNext).toBe(5_000_000n);
    clock.advance(4_999_999n);
    expect(fired).toEqual([]);
    clock.advance(1n);
    expect(fired).toEqual([5_000_000n]);
    expect(clock.untilNext).toBeUndefined();
  });
});
