// A host and its commands as a user types them, with guests of a few instructions: lives and deaths, lists, errors, exit codes.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { xenTs } from "../support/command.js";
import { tinyKernel } from "../support/tiny-kernel.js";

let directory: string;
let env: Record<string, string>;
const run = (...words: string[]) => xenTs(words, { env, cwd: directory });

function config(name: string, end: Parameters<typeof tinyKernel>[1], more = ""): void {
  writeFileSync(join(directory, `${end}.kernel`), tinyKernel("hello\r\n", end));
  writeFileSync(join(directory, `${name}.cfg`), `name = "${name}"\nkernel = "${end}.kernel"\nmemory = 32\n${more}\n`);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-host-"));
  env = { XDG_CACHE_HOME: directory, XDG_RUNTIME_DIR: directory };
  config("sleeper", "block");
  config("second", "block");
  config("crasher", "crash", 'on_crash = "preserve"');
  config("quitter", "poweroff");
  config("kept", "poweroff", 'on_poweroff = "preserve"');
  config("wide", "block", 'vcpus = 2\nmaxvcpus = 4\ncpus = "1-2"\ncpus_soft = ["2"]\ncpu_weight = 512\ncap = 150');
  const { code, stdout } = await run("up", "-d", "--memory", "512M", "--cpus", "4");
  expect(stdout).toMatch(/^host default is up \(process \d+\); its directory is /);
  expect(code).toBe(0);
});
afterAll(async () => {
  await run("down", "--force");
  rmSync(directory, { recursive: true, force: true });
});

/** Rows of `list`: name and state letters. */
async function listed(): Promise<Record<string, string>> {
  const { stdout } = await run("list");
  const rows = stdout.trim().split("\n").slice(1);
  return Object.fromEntries(rows.map((row) => [row.split(/ +/)[0]!, row.trim().split(/ +/).at(-2)!]));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

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

  test("info and dmesg", async () => {
    const { stdout } = await run("info");
    expect(stdout).toMatch(/^xen_version {12}: 4\.17\.\d+$/m);
    expect((await run("dmesg", "-c")).stdout).toMatch(/^\(XEN\) Xen version 4\.17/);
    expect((await run("dmesg")).stdout).toBe("");
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

  test("ends as its configuration says", async () => {
    await run("create", "quitter.cfg");
    await run("create", "kept.cfg");
    await run("create", "crasher.cfg");
    await until(async () => {
      const states = await listed();
      return !("quitter" in states) && states.kept === "---s--" && states.crasher === "---sc-";
    });
    await run("destroy", "kept");
    await run("destroy", "crasher");
    expect(readFileSync(join(directory, "xen-ts/default/host.log"), "utf8")).toContain(
      "(crasher): action for crash is preserve",
    );
  });

  test("a reboot makes a new domain of the same name, until it is destroyed", async () => {
    config("loop", "reboot");
    await run("create", "loop.cfg");
    const log = () => readFileSync(join(directory, "xen-ts/default/host.log"), "utf8");
    await until(async () => log().split("(loop) created").length > 3);
    expect((await run("destroy", "loop")).code).toBe(0);
    await until(async () => !("loop" in (await listed())));
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
    expect((await run("block-detach", "-f", "second", "xvdb")).code).toBe(0);
    expect((await run("block-list", "second")).stdout.split("\n")).toHaveLength(2);
    await run("destroy", "second");
  }, 90_000);

  test("is rebuilt from a new configuration", async () => {
    await run("create", "second.cfg");
    expect((await run("config-update", "second", "second.cfg", "memory=48")).code).toBe(0);
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

  test("leaves a core when its configuration says so", async () => {
    config("dumper", "crash", 'on_crash = "coredump-destroy"');
    await run("create", "dumper.cfg");
    const cores = () =>
      readdirSync(join(directory, "xen-ts/default")).filter((name) => name.startsWith("core-dumper-"));
    await until(async () => cores().length === 1 && !("dumper" in (await listed())));
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
  expect((await run("sched-credit", "-s", "-r", "500")).code).toBe(0);
  const pool = "Cpupool Pool-0: tslice=30ms ratelimit=500us migration-delay=0us\n";
  expect((await run("sched-credit", "-s")).stdout).toBe(pool);
  expect((await run("sched-credit", "-s", "-r", "1000")).code).toBe(0);

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

describe("what can't be done", () => {
  test.each<[string[], number, string]>([
    [["list", "nosuch"], 1, "nosuch is an invalid domain identifier (rc=-6)\n"],
    [["console", "nosuch"], 1, "nosuch is an invalid domain identifier (rc=-6)\n"],
    [["pause", "99"], 1, "Error: Domain '99' does not exist.\n"],
    [["destroy", "99"], 1, "libxl: error: Domain 99:Non-existant domain\ndestroy failed (rc=-21)\n"],
    [["create", "nope.cfg"], 3, "Failed to read config file: nope.cfg: No such file or directory\n"],
    [["domid", "nosuch"], 1, "Can't get domid of domain name 'nosuch', maybe this domain does not exist.\n"],
    [["mem-set", "x", "lots"], 1, "invalid memory size: lots\n"],
    [["shutdown"], 2, "xen-ts: a domain, or -a for all of them\n"],
    [["vcpu-set", "none", "1"], 1, "none is an invalid domain identifier (rc=-6)\n"],
    [["vcpu-set", "none", "x"], 1, "Error: Invalid argument.\n"],
    [["sched-credit", "-w", "512"], 1, "Must specify a domain.\n"],
    [["sched-credit", "-d", "x", "-w", "0"], 1, "weight out of range, valid values are within range from 1 to 65535\n"],
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
  expect((await run("uptim")).stdout).toBe("Name                                ID Uptime\n");
  expect((await run("un", "nosuch")).stderr).toContain("invalid domain identifier");
  expect((await run("des", "99")).code).toBe(1);
});
