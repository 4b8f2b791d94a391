// Our tables against what the real xl 4.17 printed (test/golden/xl), given the figures it had.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { vbdTable } from "../../src/cli/commands/block-list.js";
import { channelTable } from "../../src/cli/commands/channel-list.js";
import { poolList } from "../../src/cli/commands/cpupool-list.js";
import { infoLines, infoValues } from "../../src/cli/commands/info.js";
import { vifTable } from "../../src/cli/commands/network-list.js";
import { poolTable } from "../../src/cli/commands/sched-credit.js";
import { sharingTable } from "../../src/cli/commands/sharing.js";
import { uptimeTable } from "../../src/cli/commands/uptime.js";
import { vcpuTable } from "../../src/cli/commands/vcpu-list.js";
import { vmTable } from "../../src/cli/commands/vm-list.js";
import { listTable, xmListTable } from "../../src/cli/domain-table.js";
import { libxlConfig, libxlList, printLibxlJson } from "../../src/cli/libxl-json.js";
import { sampleOf, topHeader, topRows } from "../../src/cli/top-table.js";
import { type DomainSummary, type HostInfo, parseXlConfig } from "../../src/index.js";

/** The command's output, trailing blanks and the blank lines of its recording left out. */
function recorded(name: string): string[] {
  const text = readFileSync(new URL(`../golden/xl/${name}.txt`, import.meta.url), "utf8");
  return lines(text.split("\n").slice(1).join("\n")).filter((line) => !/^\[exit \d+\]$/.test(line));
}

const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "");

const ANYWHERE = { hard: [0, 1], soft: [0, 1] };

function domain(name: string, domid: number, mem: number, state: string, more: Partial<DomainSummary> = {}) {
  const vcpus = [
    {
      ...{ id: 0, cpu: 0, affinity: ANYWHERE },
      online: true,
      blocked: state.includes("b"),
      running: state.includes("r"),
      cpuTime: 0,
    },
  ];
  const has = (letter: string) => state.includes(letter);
  return {
    scheduling: { weight: 256, cap: 0 },
    ...{ name, domid, uuid: "00000000-0000-0000-0000-000000000000", shutdownReason: null, vcpus, config: null },
    state: { running: has("r"), blocked: has("b"), paused: has("p"), shutdown: has("s"), dying: has("d") },
    ...{ memoryKib: mem * 1024, maxMemoryKib: mem * 1024, cpuTime: 0, uptime: 0 },
    vbds: { count: 0, reads: 0, writes: 0, sectorsRead: 0, sectorsWritten: 0 },
    nets: { count: 0, txKib: 0, rxKib: 0 },
    ...more,
  } as DomainSummary;
}

const NO_BLOCKS = {
  statistics: { reads: 0, writes: 0, flushes: 0, discards: 0, sectorsRead: 0, sectorsWritten: 0, errors: 0 },
};
const NO_FRAMES = {
  ...{ sentFrames: 0, sentBytes: 0, receivedFrames: 0, receivedBytes: 0, dropped: 0, spoofed: 0, errors: 0 },
};
const GRUB_UUID = "f7d3f668-0474-4861-8ef0-8b6a2a65089b";
const dom0 = domain("Domain-0", 0, 1500, "r", { cpuTime: 12.3 });
const grub2 = domain("grub2", 1, 64, "r", { cpuTime: 3.3, uuid: GRUB_UUID });
const twoCpus = [0, 1].map((id) => ({
  ...{ id, online: true, blocked: true, running: false, cpuTime: [8.0, 5.5][id]!, cpu: 1, affinity: ANYWHERE },
}));

describe("tables", () => {
  test("list", () => {
    expect(lines(listTable([dom0, grub2]))).toEqual(recorded("xl-list-2"));
    const debian1 = domain("debian1", 1, 200, "b", { cpuTime: 13.8, vcpus: twoCpus });
    expect(lines(listTable([debian1]))).toEqual(recorded("xl-list-debian1"));
  });

  test("list -v", () => {
    const later = [
      { ...dom0, cpuTime: 12.8 },
      { ...grub2, cpuTime: 3.8 },
    ];
    expect(lines(listTable(later, { verbose: true }))).toEqual(recorded("xl-list-v"));
  });

  test("list shows why a domain ended", () => {
    const crashed = domain("x", 2, 64, "s", { shutdownReason: 3 });
    expect(listTable([crashed]).split("\n")[1]).toContain("     ---sc-  ");
    expect(listTable([crashed], { verbose: true }).split("\n")[1]).toMatch(/ {8}3 {16}-$/);
  });

  test("vm-list and uptime", () => {
    expect(lines(vmTable([dom0, grub2]))).toEqual(recorded("xl-vm-list"));
    expect(lines(uptimeTable([{ ...dom0, uptime: 12.9 }]))).toEqual(recorded("xl-uptime"));
    expect(uptimeTable([{ ...dom0, uptime: 2 * 86_400 + 3661 }])).toContain("  0 2 days,  1:01:01\n");
  });

  test("vcpu-list", () => {
    expect(
      lines(
        vcpuTable(
          [
            domain("Domain-0", 0, 1, "r", {
              vcpus: [{ ...twoCpus[0]!, running: true, blocked: false, cpuTime: 11, cpu: 0 }],
            }),
          ],
          2,
        ),
      ),
    ).toEqual(recorded("xl-vcpu-list"));
    const both = domain("debian1", 1, 256, "b", { vcpus: twoCpus });
    expect(lines(vcpuTable([both], 2))).toEqual(recorded("xl-vcpu-list-debian1"));
    const [first, second] = twoCpus;
    const half = domain("debian1", 1, 256, "b", {
      vcpus: [
        { ...first!, cpuTime: 8.1, cpu: 0 },
        { ...second!, online: false, cpuTime: 5.7 },
      ],
    });
    expect(lines(vcpuTable([half], 2))).toEqual(recorded("xl-vcpu-list-debian1-2"));
    const pinned = { ...first!, cpuTime: 8.1, affinity: { hard: [1], soft: [0, 1] } };
    expect(lines(vcpuTable([{ ...half, vcpus: [pinned, half.vcpus[1]!] }], 2))).toEqual(
      recorded("xl-vcpu-list-debian1-3"),
    );
    const places = { hard: [0, 1, 2, 5], soft: [] };
    expect(vcpuTable([{ ...half, vcpus: [{ ...pinned, affinity: places }] }], 8)).toContain("  0-2,5 / none\n");
  });

  test("sched-credit2, and sched-credit", () => {
    expect(lines(poolTable("credit2", [dom0, grub2]))).toEqual(recorded("xl-sched-credit2"));
    const pool = { timeslice: 5, ratelimit: 500, migrationDelay: 70 };
    expect(lines(poolTable("credit", [dom0], pool))[0]).toBe(
      "Cpupool Pool-0: tslice=5ms ratelimit=500us migration-delay=70us",
    );
  });

  test("block-list", () => {
    const backendPath = "/local/domain/0/backend/vbd/3/51728";
    const vbd = { vdev: 51728, name: "xvdb", target: "/dev/loop1", access: "r", backendId: 0, frontendId: 3 } as const;
    expect(lines(vbdTable([{ ...vbd, ...NO_BLOCKS, state: 4, eventChannel: 13, ringRef: 1036, backendPath }]))).toEqual(
      recorded("xl-block-list-debian1-2"),
    );
  });

  test("network-list", () => {
    const vif = (devid: number, mac: string, txRingRef: number, rxRingRef: number) => ({
      ...{ devid, mac, vifname: "", bridge: "xenbr0", backendId: 0, state: 4, eventChannel: -1, txRingRef, rxRingRef },
      backendPath: `/local/domain/0/backend/vif/3/${devid}`,
      statistics: { ...NO_FRAMES },
    });
    const vifs = [vif(0, "00:16:3e:00:00:01", 8, 9), vif(1, "00:16:3e:6d:6f:d8", 1034, 1035)];
    expect(lines(vifTable(vifs))).toEqual(recorded("xl-network-list-debian1-2"));
  });

  test("info has xl's lines in xl's order", () => {
    const facts = { xen_major: 4, xen_minor: 17, xen_extra: ".5", nr_cpus: 2, cpu_mhz: 2600 } as HostInfo;
    const keys = (text: readonly string[]) => text.map((line) => line.slice(0, 24));
    expect(keys(lines(infoLines(facts, false)))).toEqual(keys(recorded("xl-info")));
    expect(infoValues(infoLines(facts, false), "xen_version")).toBe("4.17.5\n");
    expect(infoValues(infoLines(facts, false), "xen_m")).toBe("4\n17\n");
    expect(infoValues(infoLines(facts, false), "nothing")).toBe("");
  });

  test("top is xentop's", () => {
    const [header, first, second] = recorded("xentop-b-i-1");
    expect(topHeader()).toBe(header);
    const domains = [
      { ...dom0, cpuTime: 15 },
      { ...grub2, cpuTime: 12, maxMemoryKib: 66560 },
    ];
    const rows = topRows(domains, { total_memory: 4095 } as HostInfo, sampleOf(domains, 0));
    expect(rows).toEqual([first, second]);
  });

  test("top -n -x -v shows the devices and VCPUs below", () => {
    const [, ...rows] = recorded("xentop-b-i-1-n-x-v");
    const vcpus = twoCpus.map((vcpu, i) => ({ ...vcpu, cpuTime: [8.2, 5.9][i]! }));
    const debian = domain("debian1", 1, 256, "b", { cpuTime: 13.4, maxMemoryKib: 263168, vcpus });
    const counts = { receivedBytes: 488, receivedFrames: 7, sentBytes: 806, sentFrames: 9 };
    const vif = { devid: 0, mac: "00:16:3e:00:00:01", vifname: "", bridge: "xenbr0", backendId: 0, state: 4 };
    const rings = { eventChannel: -1, txRingRef: 8, rxRingRef: 9, backendPath: "" };
    const hardware = domain("Domain-0", 0, 1500, "r", { cpuTime: 22.5 });
    const domains = [
      { ...debian, nets: { count: 1, txKib: 0, rxKib: 0 } },
      { ...hardware, vcpus: [{ ...hardware.vcpus[0]!, cpuTime: 22.5 }] },
    ];
    const details = {
      hasVcpus: true,
      fullNames: false,
      vifs: new Map([[1, [{ ...vif, ...rings, statistics: { ...NO_FRAMES, ...counts } }]]]),
      vbds: new Map(),
    };
    const info = { total_memory: 4095 } as HostInfo;
    expect(topRows(domains, info, sampleOf(domains, 0), undefined, details)).toEqual(rows);
    const vbd = {
      vdev: 51712,
      name: "xvda",
      target: "d.img",
      access: "w",
      backendId: 0,
      frontendId: 1,
      state: 4,
    } as const;
    const disk = { ...vbd, eventChannel: 3, ringRef: 8, backendPath: "" };
    const statistics = { ...NO_BLOCKS.statistics, reads: 7, writes: 3, sectorsRead: 56, sectorsWritten: 24 };
    const onlyDisks = { ...details, hasVcpus: false, vifs: undefined, vbds: new Map([[1, [{ ...disk, statistics }]]]) };
    expect(topRows(domains, info, sampleOf(domains, 0), undefined, onlyDisks)[1]).toBe(
      "VBD BlkBack 51712 [ca: 0]  OO:        0   RD:        7   WR:        3  RSECT:         56  WSECT:         24",
    );
  });

  test("channel-list, cpupool-list, claims, sharing", () => {
    const channel = { devid: 1, name: "a", backendId: 0, state: 4, eventChannel: 9, ringRef: 12 } as const;
    expect(channelTable([{ ...channel, connection: "pty", path: "/dev/pts/3" }])).toBe(
      "Idx BE state evt-ch ring-ref connection\n1   0  4     9      12       pty        /dev/pts/3\n",
    );
    expect(poolList(2, "credit", 3, false)).toBe(
      "Name               CPUs   Sched     Active   Domain count\nPool-0               2    credit       y          3\n",
    );
    expect(poolList(2, "credit", 3, true)).toBe("Name               CPU list\nPool-0             0,1\n");
    expect(listTable([grub2], { claims: true })).toMatch(/Time\(s\) {2}Claimed\n.* {6}3\.3 {5}0\n$/);
    expect(sharingTable([grub2]).split("\n")[1]).toMatch(/^grub2 {40}1 {4}64 {6}0$/);
  });

  test("xm list of 2005", () => {
    expect(xmListTable([dom0, { ...grub2, name: "VM1" }])).toBe(
      [
        "Name              Id  Mem(MB)  CPU  State  Time(s)  Console",
        "Domain-0           0     1500    0  r----     12.3",
        "VM1                1       64    0  r----      3.3    9601",
        "",
      ].join("\n"),
    );
  });
});

describe("configurations", () => {
  test("create -n", () => {
    const file = [
      'name = "grub"',
      'kernel = "/x/grub-x86_64-xen.bin"',
      "memory = 64",
      'disk = ["/x/disk.img,raw,xvda,w"]',
    ];
    const { domain: config } = parseXlConfig(file.join("\n"), "g.cfg");
    const printed = lines(printLibxlJson(libxlConfig(config, "3f424b83-15aa-4e39-b386-56d202401b81")));
    expect(["Parsing config from /x/g.cfg", ...printed]).toEqual(recorded("xl-create-n-g-cfg"));
  });

  test("list -l", () => {
    const { domain: config } = parseXlConfig('name = "grub2"\nkernel = "/x/grub-x86_64-xen.bin"\nmemory = 64', "n.cfg");
    expect(lines(printLibxlJson(libxlList([{ ...grub2, config }], "credit2")))).toEqual(recorded("xl-list-l-grub2"));
  });
});
