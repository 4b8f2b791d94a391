// A host and its commands as a user types them, with guests of a few instructions: lives and deaths, lists, errors, exit codes.
import { execFileSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { xenTs } from "../support/command.js";
import { TinyHost, until } from "../support/tiny-host.js";

let host: TinyHost;
let directory: string;
let pid: number;
const run = (...words: string[]) => host.run(...words);
const listed = () => host.listed();
const config: TinyHost["config"] = (...rest) => host.config(...rest);

beforeAll(async () => {
  host = new TinyHost();
  ({ directory } = host);
  config("sleeper", "block");
  config("second", "block");
  config("wide", "block", 'vcpus = 2\nmaxvcpus = 4\ncpus = "1-2"\ncpus_soft = ["2"]\ncpu_weight = 512\ncap = 150');
  const { code, stdout } = await run("up", "-d", "--memory", "512M", "--cpus", "4");
  expect(stdout).toMatch(/^host default is up \(process \d+\); its directory is /);
  pid = Number(/\d+/.exec(stdout)![0]);
  expect(code).toBe(0);
});
afterAll(() => host.end());

describe("a host", () => {
  test("is there once", async () => {
    const { code, stderr } = await run("up");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^xen-ts: a host named default is running already; .*\n$/);
  });

  test("can have brothers, which don't meet", async () => {
    expect((await run("up", "-d", "--host", "other", "--memory", "64M")).code).toBe(0);
    expect((await run("list", "--host", "other")).stdout.split("\n")).toHaveLength(2);
    expect((await run("down", "--host", "other")).code).toBe(0);
    expect((await run("list", "--host", "other")).stderr).toBe(
      'xen-ts: no host named other is running; "xen-ts up -d --host other" starts one\n',
    );
  });

  test("is a process whose memory gets no holes: one arena", () => {
    expect(readFileSync(`/proc/${pid}/environ`, "latin1").split("\0")).toContain("MALLOC_ARENA_MAX=1");
  });

  test("has the scheduler that it was started with", async () => {
    expect((await run("up", "-d", "--host", "other", "--memory", "64M", "--scheduler", "credit2")).code).toBe(0);
    const other = (...words: string[]) => run(...words, "--host", "other");
    expect((await other("info")).stdout).toMatch(/^xen_scheduler {10}: credit2$/m);
    expect((await other("sched-credit2")).stdout).toMatch(/^Cpupool Pool-0: ratelimit=1000us\nName /);
    expect((await other("sched-credit2", "-s", "-r", "500")).code).toBe(0);
    expect((await other("sched-credit2", "-s")).stdout).toBe("Cpupool Pool-0: ratelimit=500us\n");
    expect((await other("sched-credit")).stdout).toBe("");
    expect((await other("sched-credit2", "-s", "-t", "5")).code).toBe(2);
    expect((await other("create", "second.cfg", "cpu_weight=300", "cap=40")).code).toBe(0);
    expect((await other("sched-credit2", "-d", "second")).stdout.split("\n")[1]?.slice(38)).toBe("    300   40");
    expect((await other("sched-credit2", "-d", "second", "-w", "100")).code).toBe(0);
    expect((await other("sched-credit2")).stdout).toMatch(/^second +1 +100 +40$/m);
    await other("debug-keys", "r");
    expect((await other("dmesg")).stdout).toMatch(
      /Scheduler: SMP Credit Scheduler rev2 \(credit2\)\n.* ncpus = 1 ratelimit = 500us/,
    );
    expect((await run("down", "--host", "other", "--force")).code).toBe(0);
    expect((await run("up", "--scheduler", "rtds")).stderr).toContain('--scheduler: "rtds" is none of credit, credit2');
  });

  test("info and dmesg", async () => {
    const { stdout } = await run("info");
    expect(stdout).toMatch(/^xen_version {12}: 4\.17\.\d+$/m);
    expect((await run("dmesg", "-c")).stdout).toMatch(/^\(XEN\) Xen version 4\.17/);
    expect((await run("dmesg")).stdout).toBe("");
    // What is cleared there is in the host's file.
    const file = join(directory, "xen-ts/default/hypervisor.log");
    expect(readFileSync(file, "utf8")).toMatch(/^\[\d{4}-\d\d-\d\d [\d:]{8}\] \(XEN\) Xen version 4\.17/m);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

describe("a domain", () => {
  test("is created, listed, paused, renamed, destroyed", async () => {
    expect(await run("create", "sleeper.cfg")).toEqual({
      code: 0,
      stdout: "",
      stderr: "Parsing config from sleeper.cfg\n",
    });
    await until(async () => (await listed()).sleeper === "-b----");
    const { stdout } = await run("list", "sleeper");
    expect(stdout).toMatch(
      /^Name {40}ID {3}Mem VCPUs\tState\tTime\(s\)\nsleeper {34} +\d+ {4}32 {5}1 {5}-b---- +0\.\d\n$/,
    );
    await run("pause", "sleeper");
    expect((await listed()).sleeper).toBe("-bp---");
    await run("unpause", "sleeper");
    expect((await listed()).sleeper).toBe("-b----");
    await run("rename", "sleeper", "dozer");
    const domid = (await run("domid", "dozer")).stdout;
    expect((await run("domname", domid.trim())).stdout).toBe("dozer\n");
    expect(await run("destroy", "dozer")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await listed()).toEqual({});
  });

  test("stays paused with -p, and takes key=value words", async () => {
    await run("create", "-p", "-q", "sleeper.cfg", 'name="p1"', "memory=40");
    const [domain] = JSON.parse((await run("list", "--json", "p1")).stdout);
    expect(domain).toMatchObject({ name: "p1", memoryKib: 40960, state: { paused: true } });
    await run("destroy", "p1");
  });

  test("has disks, which come and go", async () => {
    writeFileSync(join(directory, "d.img"), Buffer.alloc(65536));
    await run("create", "second.cfg");
    expect(await run("block-attach", "second", "file:d.img", "xvdb", "w")).toEqual({ code: 0, stdout: "", stderr: "" });
    const { stdout } = await run("block-list", "second");
    expect(stdout).toMatch(
      /^Vdev {2}BE {2}handle state evt-ch ring-ref BE-path {23}\n51728 0 {3}\d+ +1 {5}-1 {5}-1 {7}\/local\/domain\/0\/backend\/vbd\/\d+\/51728 *\n$/,
    );
    expect((await run("block-attach", "second", "file:d.img,xvdc,w")).stderr).toMatch(/^xen-ts: .*d\.img/);
    expect((await run("block-detach", "second", "xvdq")).stderr).toBe("Error: Device xvdq not connected.\n");
    expect((await run("list", "-l", "second")).stdout).toContain('"vdev": "xvdb"');
    expect((await run("block-detach", "-f", "second", "xvdb")).code).toBe(0);
    expect((await run("block-list", "second")).stdout.split("\n")).toHaveLength(2);
    expect((await run("list", "-l", "second")).stdout).not.toContain('"vdev"');
    await run("destroy", "second");
  }, 90_000);

  test("is rebuilt from a new configuration", async () => {
    await run("create", "second.cfg");
    const { stdout, stderr } = await run("-vN", "config-update", "second", "second.cfg", "memory=48");
    expect(stdout).toContain('"max_memkb": 49152');
    expect(stderr).toBe("");
    const update = await run("config-update", "second", "second.cfg", "memory=48");
    expect(update).toMatchObject({ code: 0, stderr: expect.stringMatching(/^setting dom\d+ configuration\n$/) });
    const [domain] = JSON.parse((await run("list", "--json", "second")).stdout);
    expect(domain).toMatchObject({ memoryKib: 32768, config: { memory: 48 * 2 ** 20 } });
    await run("destroy", "second");
  });

  test("has a core that readelf reads", async () => {
    await run("create", "second.cfg");
    expect((await run("dump-core", "second", "core")).code).toBe(0);
    const sections = execFileSync("readelf", ["-SW", join(directory, "core")], { encoding: "utf8" });
    for (const name of [".note.Xen", ".xen_prstatus", ".xen_shared_info", ".xen_p2m", ".xen_pages", ".shstrtab"])
      expect(sections).toContain(` ${name} `);
    // The kernel's text is at its pseudo-physical address, 16 MiB.
    const core = readFileSync(join(directory, "core"));
    expect(core.length).toBeGreaterThan(32 * 2 ** 20);
    expect(core.indexOf("hello\r\n")).toBeGreaterThan(16 * 2 ** 20);
    expect(statSync(join(directory, "core")).mode & 0o777).toBe(0o600);
    await run("destroy", "second");
  });

  test("is in top", async () => {
    await run("create", "second.cfg");
    const { stdout } = await run("top", "--once");
    expect(stdout).toMatch(/^ {6}NAME {2}STATE {3}CPU\(sec\) CPU\(%\) {5}MEM\(k\)/);
    expect(stdout).toMatch(/^ {4}second --b--- {10}0 {4}0\.0 {6}32768 {4}\d\.\d /m);
    await run("destroy", "second");
  });

  test("two of one name aren't made", async () => {
    await run("create", "second.cfg");
    expect(await run("create", "second.cfg")).toEqual({
      code: 3,
      stdout: "",
      stderr: 'Parsing config from second.cfg\nlibxl: error: Domain with name "second" already exists.\n',
    });
    await run("destroy", "second");
  });
});

test("vCPUs are set, pinned, listed and given their share", async () => {
  expect((await run("create", "-q", "wide.cfg")).code).toBe(0);
  const row = async (vcpu: number) => (await run("vcpu-list", "wide")).stdout.split("\n")[vcpu + 1]?.slice(39);
  expect(await row(0)).toMatch(/^ {4}0 {4}[12] {3}-b- {7}0\.0 {2}1-2 \/ 2$/);
  expect(await row(1)).toMatch(/^ {4}1 {4}- {3}--p {7}0\.0 {2}1-2 \/ all$/);
  expect((await run("vcpu-list", "wide")).stdout.split("\n")).toHaveLength(6);
  expect(await run("vcpu-pin", "wide", "0", "0,3", "all")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await row(0)).toMatch(/ {2}0,3 \/ all$/);
  expect((await run("vcpu-pin", "wide", "all", "-", "^1")).code).toBe(0);
  expect(await row(0)).toMatch(/ {2}0,3 \/ 0,2-3$/);
  expect((await run("vcpu-pin", "wide", "0", "7")).stderr).toBe("xen-ts: CPUs 7: this host has CPU 0-3 only\n");
  expect((await run("vcpu-pin", "wide", "9", "all")).stderr).toBe("Error: Invalid argument 9 as VCPU.\n");

  const shares = async () => (await run("sched-credit", "-d", "wide")).stdout.split("\n")[1]?.slice(38);
  expect(await shares()).toBe("    512  150");
  expect((await run("sched-credit", "-d", "wide", "-w", "100", "-c", "0")).code).toBe(0);
  expect(await shares()).toBe("    100    0");
  expect((await run("sched-credit", "-d", "wide", "-c", "401")).stderr).toMatch(/from 0 to 400, not 401\n$/);
  expect((await run("sched-credit")).stdout).toMatch(/^Cpupool Pool-0: tslice=30ms ratelimit=1000us /);
  expect((await run("sched-credit2")).stdout).toBe("");
  expect((await run("sched-credit", "-s", "-r", "500", "-t", "5", "-m", "70")).code).toBe(0);
  const pool = "Cpupool Pool-0: tslice=5ms ratelimit=500us migration-delay=70us\n";
  expect((await run("sched-credit", "-s", "-p", "Pool-0")).stdout).toBe(pool);
  expect((await run("sched-credit", "-s", "-r", "6000")).stderr).toContain(
    "Ratelimit cannot be greater than timeslice",
  );
  expect((await run("sched-credit", "-s", "-t", "30", "-r", "1000", "-m", "0")).code).toBe(0);

  const domid = (await run("domid", "wide")).stdout.trim();
  const availability = async () => {
    const paths = [0, 1, 2, 3].map((vcpu) => `/local/domain/${domid}/cpu/${vcpu}/availability`);
    return (await run("xenstore", "read", ...paths)).stdout.trim().split("\n");
  };
  expect(await availability()).toEqual(["online", "online", "offline", "offline"]);
  expect((await run("vcpu-set", "wide", "3")).code).toBe(0);
  expect(await availability()).toEqual(["online", "online", "online", "offline"]);
  expect((await run("vcpu-set", "wide", "5")).stderr).toBe(
    "xen-ts: wide was made with 4 VCPUs; maxvcpus= in its configuration makes room for more\n",
  );
  expect((await run("destroy", "wide")).code).toBe(0);
});

test("what a running domain is changed to is in its configuration", async () => {
  config("changed", "block", 'maxmem = 64\nvcpus = 2\nchannel = ["name=c1,connection=socket,path=c1.sock"]');
  await run("create", "-q", "changed.cfg");
  expect((await run("network-attach", "changed", "bridge=lan")).code).toBe(0);
  expect((await run("mem-set", "changed", "24")).code).toBe(0);
  expect((await run("vcpu-set", "-i", "changed", "1")).code).toBe(0);
  expect((await run("sched-credit", "-d", "changed", "-w", "300")).code).toBe(0);
  const long = async () => JSON.parse((await run("list", "-l", "changed")).stdout)[0].config;
  const { b_info, nics, channels } = await long();
  expect(b_info).toMatchObject({ max_memkb: 65536, target_memkb: 24576, max_vcpus: 2, avail_vcpus: [0] });
  expect(b_info.sched_params).toEqual({ sched: "credit", weight: 300, cap: 0 });
  expect(nics).toEqual([{ devid: 0, mac: expect.stringMatching(/^00:16:3e:/), bridge: "lan", nictype: "vif" }]);
  const path = join(directory, "c1.sock");
  expect(channels).toEqual([{ devid: 0, name: "c1", "connection.socket": { path } }]);
  expect((await run("channel-list", "changed")).stdout.split("\n")[1]).toMatch(/^1 {3}0 {2}1 {5}-1 {5}-1 {7}socket$/);
  expect((await run("network-detach", "changed", "7")).stderr).toBe("Unknown device 7.\n");
  expect((await run("destroy", "changed")).code).toBe(0);
});

test("dry runs and help", async () => {
  const disk = await run("-N", "block-attach", "any", "file:d.img,xvdb,r");
  expect(disk.stdout).toMatch(/^disk: \{\n {4}"pdev_path": ".*d\.img",\n {4}"vdev": "xvdb",/);
  expect((await run("-N", "network-attach", "any", "mac=00:16:3e:00:00:07")).stdout).toContain(
    '"mac": "00:16:3e:00:00:07"',
  );
  await run("create", "-q", "second.cfg");
  expect((await run("-N", "vcpu-pin", "second", "0", "1-2", "all")).stdout).toBe("cpumap: 1-2 all\n");
  expect((await run("vcpu-pin", "-f", "second", "all", "1")).stderr).toContain("--force and 'all' as VCPU not allowed");
  await run("destroy", "second");
  expect((await run("help", "create")).stdout).toMatch(/^Usage: xen-ts create /);
  expect((await run("help", "--long")).stdout).toContain("vncviewer");
  expect((await run("info", "xen_version")).stdout).toMatch(/^4\.17\.\d+\n$/);
});

test("debug keys and NMIs reach the hypervisor", async () => {
  await run("create", "-q", "second.cfg");
  expect((await run("debug-keys", "hqreagmd0Z")).code).toBe(0);
  const { stdout } = await run("dmesg");
  for (const line of ["'h' pressed -> show this message", " (second):", "2-level", " entries in use", "RIP:    "])
    expect(stdout).toContain(line);
  expect(stdout).toMatch(/\[\d+\.0\] pri=\w+ credit=-?\d+ cpu=\d/);
  expect((await run("trigger", "second", "nmi")).code).toBe(0);
  expect((await run("trigger", "second", "nmi", "3")).stderr).toContain("there is no VCPU 3");
  expect((await run("trigger", "second", "power")).stderr).toContain("second is a PV domain");
  await run("destroy", "second");
});

describe("what can't be done", () => {
  test.each<[string[], number, string]>([
    [["bogus"], 1, "command not implemented\n"],
    [["bot"], 1, "command not implemented (Did you mean boot?)\n"],
    [["list", "nosuch"], 1, "nosuch is an invalid domain identifier (rc=-6)\n"],
    [["console", "nosuch"], 1, "nosuch is an invalid domain identifier (rc=-6)\n"],
    [["pause", "99"], 1, "Error: Domain '99' does not exist.\n"],
    [["destroy", "99"], 1, "libxl: error: Domain 99:Non-existant domain\ndestroy failed (rc=-21)\n"],
    [["create", "nope.cfg"], 3, "Failed to read config file: nope.cfg: No such file or directory\n"],
    [["domid", "nosuch"], 1, "Can't get domid of domain name 'nosuch', maybe this domain does not exist.\n"],
    [["mem-set", "x", "lots"], 1, "invalid memory size: lots\n"],
    [["shutdown"], 1, "You must specify -a or a domain id.\n"],
    [["shutdown", "-a", "x"], 2, "xen-ts: a domain, or -a for all of them\n"],
    [["sysrq", "x", "sb"], 1, "Invalid sysrq.\n"],
    [["console", "-t", "vga", "x"], 1, "console type supported are: pv, serial, vuart\n"],
    [["console", "-t", "serial", "x"], 1, "xen-ts: PV domains have no serial console; -t pv is theirs\n"],
    [["create", "-V", "x.cfg"], 1, "xen-ts: domains have no framebuffer for a VNC viewer: -c shows their console\n"],
    [["debug-keys", ""], 1, "cannot send debug keys: \n"],
    [["cpupool-list", "Pool-1"], 1, "Pool 'Pool-1' does not exist\n"],
    [["save", "x", "file"], 1, "xen-ts: save: a domain's state can't be saved yet\n"],
    [["pci-att", "x"], 1, "xen-ts: pci-attach: there is no PCI pass-through: no domain reaches the host's devices\n"],
    [["-N", "list"], 1, "command does not implement -N (dryrun) option\n"],
    [["vcpu-set", "none", "1"], 1, "none is an invalid domain identifier (rc=-6)\n"],
    [["vcpu-set", "none", "x"], 1, "Error: Invalid argument.\n"],
    [["sched-credit", "-w", "512"], 1, "Must specify a domain.\n"],
    [["sched-credit", "-t", "5"], 1, "Must specify schedparam to set schedule parameter values.\n"],
    [["sched-credit", "-s", "-t", "0"], 1, "Time slice out of range, valid values are within range from 1 to 1000\n"],
    [["sched-credit", "-p", "x"], 1, "unknown cpupool 'x'\n"],
    [["sched-credit", "-s", "-d", "x"], 1, "Specifying a cpupool or schedparam is not allowed with domain options.\n"],
    [["sched-credit", "-d", "x", "-w", "0"], 1, "weight out of range, valid values are within range from 1 to 65535\n"],
    [["sched-credit2", "-s"], 1, "xen-ts: the host's scheduler is credit: see sched-credit\n"],
    [["sched-credit2", "-d", "x"], 1, "xen-ts: the host's scheduler is credit: see sched-credit\n"],
    [["sched-credit2", "-d", "x", "-w", "5"], 1, "xen-ts: the host's scheduler is credit: see sched-credit\n"],
    [["trigger", "none", "boo"], 1, 'Invalid trigger "boo"\n'],
    [["--host", "x"], 2, "xen-ts: unknown option '--host'\n"],
  ])("%j", async (words, code, stderr) => {
    expect(await run(...words)).toEqual({ code, stdout: "", stderr });
  });

  test("a configuration with a mistake names file, line and key; the dry run needs no host", async () => {
    writeFileSync(join(directory, "bad.cfg"), 'name = "bad"\nkernel = "k"\nmemory = "much"\n');
    const { code, stderr } = await xenTs(["create", "-n", "bad.cfg", "-q"], {
      cwd: directory,
      env: { XDG_RUNTIME_DIR: join(directory, "none") },
    });
    expect(stderr).toMatch(/^xen-ts: bad\.cfg:3: memory: /);
    expect(code).toBe(3);
  });
});

test("commands can be abbreviated as long as one is meant", async () => {
  expect((await run("upt")).stdout).toBe("Name                                ID Uptime\n");
  expect((await run("un", "nosuch")).stderr).toContain("invalid domain identifier");
  expect((await run("des", "99")).code).toBe(1);
});
