// What becomes of domains that end, by every action that xl.cfg has, and what their next lives keep of what was changed meanwhile.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TinyHost, until } from "../support/tiny-host.js";

let host: TinyHost;
const run = (...words: string[]) => host.run(...words);
const cores = (name: string) => readdirSync(host.file(".")).filter((file) => file.startsWith(`core-${name}-`));

beforeAll(async () => {
  host = new TinyHost();
  host.config("next", "block");
  expect((await run("up", "-d", "--memory", "512M")).code).toBe(0);
});
afterAll(() => host.end());

/** Creates a guest that will end so, and have the configuration of one that sleeps in its next life. */
async function createOnce(name: string, end: "poweroff" | "reboot" | "crash", action: string): Promise<void> {
  host.config(name, end, action);
  expect((await run("create", "-q", "-p", `${name}.cfg`)).code).toBe(0);
  expect((await run("config-update", name, `${name}.cfg`, 'kernel="block.kernel"')).code).toBe(0);
}

async function summary(name: string) {
  const [domain] = JSON.parse((await run("list", "--json", name)).stdout);
  return domain;
}

describe("at its end a domain is", () => {
  test.each([
    ["poweroff", "quitter", ""],
    ["crash", "destroyed", 'on_crash = "destroy"'],
    ["reboot", "once", 'on_reboot = "destroy"'],
  ] as const)("after %s destroyed (%s)", async (end, name, more) => {
    host.config(name, end, more);
    await run("create", "-q", `${name}.cfg`);
    await until(async () => !(name in (await host.listed())));
    expect(host.log()).toContain(`(${name}): action for ${end} is destroy`);
  });

  test.each([
    ["poweroff", "kept", "on_poweroff", "---s--"],
    ["reboot", "stays", "on_reboot", "---sr-"],
    ["crash", "crasher", "on_crash", "---sc-"],
  ] as const)("after %s preserved", async (end, name, key, state) => {
    host.config(name, end, `${key} = "preserve"`);
    await run("create", "-q", `${name}.cfg`);
    await until(async () => (await host.listed())[name] === state);
    expect(host.log()).toContain(`(${name}): action for ${end} is preserve`);
    expect((await run("destroy", name)).code).toBe(0);
  });

  test.each([
    ["poweroff", "again", 'on_poweroff = "restart"'],
    ["reboot", "rebooter", ""],
    ["crash", "undead", 'on_crash = "restart"'],
  ] as const)("after %s made anew (%s)", async (end, name, more) => {
    await createOnce(name, end, more);
    const { domid, uuid } = await summary(name);
    await run("unpause", name);
    await until(async () => (await host.listed())[name] === "-b----");
    const next = await summary(name);
    expect(next).toMatchObject({ uuid, state: { blocked: true } });
    expect(next.domid).toBeGreaterThan(domid);
    await run("destroy", name);
  });

  test("renamed and kept, and another one in its place", async () => {
    await createOnce("twin", "crash", 'on_crash = "rename-restart"');
    const { domid, uuid } = await summary("twin");
    await run("unpause", "twin");
    await until(async () => (await host.listed()).twin === "-b----");
    const old = await summary("twin-1");
    expect(old).toMatchObject({ domid, uuid, shutdownReason: 3 });
    expect((await summary("twin")).uuid).not.toBe(uuid);
    for (const name of ["twin", "twin-1"]) expect((await run("destroy", name)).code).toBe(0);
  });

  test("dumped and destroyed", async () => {
    host.config("dumper", "crash", 'on_crash = "coredump-destroy"');
    await run("create", "-q", "dumper.cfg");
    await until(async () => cores("dumper").length === 1 && !("dumper" in (await host.listed())));
    const [core] = cores("dumper");
    expect(readFileSync(host.file(core!)).toString("latin1", 0, 4)).toBe("\x7fELF");
    expect(statSync(host.file(core!)).mode & 0o777).toBe(0o600);
  });

  test("dumped and made anew", async () => {
    await createOnce("phoenix", "crash", 'on_crash = "coredump-restart"');
    await run("unpause", "phoenix");
    await until(async () => (await host.listed()).phoenix === "-b----");
    expect(cores("phoenix")).toHaveLength(1);
    await run("destroy", "phoenix");
  });

  test("left alone when nobody is to look after it: create -e", async () => {
    host.config("orphan", "reboot");
    await run("create", "-q", "-e", "orphan.cfg");
    await until(async () => (await host.listed()).orphan === "---sr-");
    await run("destroy", "orphan");
  });

  test.each(["on_poweroff", "on_reboot", "on_crash", "on_watchdog"])("not soft-reset: %s", async (key) => {
    host.config("soft", "reboot", `${key} = "soft-reset"`);
    expect(await run("create", "-q", "soft.cfg")).toEqual({
      code: 3,
      stdout: "",
      stderr: "xen-ts: the action soft-reset isn't supported\n",
    });
  });
});

test("a reboot makes a new domain of the same name, until it is destroyed", async () => {
  host.config("loop", "reboot");
  await run("create", "loop.cfg");
  await until(() => host.log().split("(loop) created").length > 3);
  expect((await run("destroy", "loop")).code).toBe(0);
  await until(async () => !("loop" in (await host.listed())));
});

test("a reboot keeps what was attached and set, and forgets what was taken away", async () => {
  for (const name of ["a.img", "b.img"]) writeFileSync(join(host.directory, name), Buffer.alloc(65536));
  const devices = `disk = ["file:a.img,xvda,w"]\nvif = ["mac=00:16:3e:00:00:01,bridge=lan"]\nvcpus = 2\nmaxmem = 64`;
  await createOnce("changed", "reboot", devices);
  const done = async (...words: string[]) => expect(await run(...words)).toMatchObject({ code: 0, stderr: "" });
  await done("block-detach", "-f", "changed", "xvda");
  await done("block-attach", "changed", "file:b.img", "xvdb", "w");
  await done("network-attach", "changed", "mac=00:16:3e:00:00:02", "bridge=lan");
  await done("network-detach", "changed", "0");
  await done("mem-set", "changed", "24");
  await done("vcpu-set", "-i", "changed", "1");
  await done("sched-credit", "-d", "changed", "-w", "300", "-c", "50");
  await done("rename", "changed", "renamed");
  const { domid } = await summary("renamed");
  await done("unpause", "renamed");
  await until(async () => (await host.listed()).renamed === "-b----");
  const next = await summary("renamed");
  expect(next.domid).toBeGreaterThan(domid);
  expect(next).toMatchObject({ memoryKib: 24 * 1024, scheduling: { weight: 300, cap: 50 } });
  expect(next.vcpus.map(({ online }: { online: boolean }) => online)).toEqual([true, false]);
  expect((await run("block-list", "renamed")).stdout.split("\n").map((row) => row.split(" ")[0])).toEqual([
    "Vdev",
    "51728",
    "",
  ]);
  const vifs = (await run("network-list", "renamed")).stdout;
  expect(vifs).toContain("00:16:3e:00:00:02");
  expect(vifs).not.toContain("00:16:3e:00:00:01");
  expect((await run("mem-set", "renamed", "64")).code).toBe(0);
  await run("destroy", "renamed");
});
