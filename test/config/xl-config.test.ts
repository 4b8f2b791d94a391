// A domain from an xl.cfg file: types, defaults, checks, warnings, words of the command line.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/config/config-error.js";
import { expandCpuList, parseCpuList } from "../../src/config/cpu-list.js";
import { domainConfigOf } from "../../src/config/domain-config.js";
import { formatWarning, parseXlConfig } from "../../src/config/xl-config.js";
import { XL_KEYS } from "../../src/config/xl-keys.js";

const minimal = 'name="n"\nkernel="/k"\n';

test("xl's own example of a PV guest", () => {
  const { domain, warnings } = parseXlConfig(
    `name = "example.pvlinux"
#uuid = "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/initrd.gz"
extra = "root=/dev/xvda1"
memory = 128
maxmem = 512
vcpus = 2
vif = [ '' ]
disk = [ '/dev/vg/guest-volume,raw,xvda,rw' ]
`,
    "example.cfg",
  );
  expect(warnings).toEqual([]);
  expect(domain).toEqual({
    ...{ name: "example.pvlinux", type: "pv", kernel: "/boot/vmlinuz", ramdisk: "/boot/initrd.gz" },
    ...{ cmdline: "root=/dev/xvda1", memory: 128 << 20, maxmem: 512 << 20, vcpus: 2, maxvcpus: 2 },
    disks: [{ vdev: "xvda", format: "raw", access: "w", target: "/dev/vg/guest-volume" }],
    vifs: [{ text: "", line: 9 }],
    ...{ onPoweroff: "destroy", onReboot: "restart", onWatchdog: "destroy", onCrash: "destroy" },
  });
  expect(domainConfigOf(domain)).toMatchObject({ name: "example.pvlinux", memory: 128 << 20, vcpus: 2 });
});

test("channels are consoles with a name, a pty or a socket", () => {
  const text = `${minimal}channel = ["connection=pty, name=org.example.a", "name=b,connection=socket,path=b.sock"]`;
  const { domain, warnings } = parseXlConfig(text, "f.cfg", { directory: "/d" });
  expect(warnings).toEqual([]);
  const consoles = [
    { name: "org.example.a", pty: true },
    { name: "b", socket: "/d/b.sock" },
  ];
  expect(domainConfigOf(domain)).toMatchObject({ consoles });
  expect(domainConfigOf(parseXlConfig(minimal, "f.cfg").domain)).not.toHaveProperty("consoles");
});

test.each([
  ["name=a", "connection must be pty or socket"],
  ["connection=tcp", "connection must be pty or socket"],
  ["connection=socket", "a channel of connection=socket needs path="],
  ["connection=pty,backend=net", "there are no driver domains"],
  ["connection=pty,nonsense=1", "nonsense=1"],
  ["pty", "pty"],
])("the channel %j is refused", (channel, message) => {
  expect(() => parseXlConfig(`${minimal}channel=["${channel}"]`, "f.cfg")).toThrow(message);
});

describe("errors name file, line and key", () => {
  test.each([
    ["", "f.cfg: name: is missing"],
    ['name="n"', "f.cfg: kernel: is missing"],
    [`${minimal}memory="much"`, "f.cfg:3: memory: `much' isn't a number"],
    [`${minimal}memory=[1]`, "f.cfg:3: memory: must be a single value, not a list"],
    [`${minimal}memory=0`, "f.cfg:3: memory: 0 isn't between 1 and 16777216"],
    [`${minimal}memory=64\nmaxmem=32`, "f.cfg:4: maxmem: 32 is less than memory, which is 64"],
    [`${minimal}vcpus=4\nmaxvcpus=2`, "f.cfg:4: maxvcpus: 2 is less than vcpus, which is 4"],
    [`${minimal}vcpus=33`, "f.cfg:3: vcpus: 33 isn't between 1 and 32"],
    [`${minimal}on_crash="explode"`, "f.cfg:3: on_crash: `explode' is none of destroy, restart"],
    [`${minimal}type="vm"`, "f.cfg:3: type: `vm' is none of pv, pvh, hvm"],
    [`${minimal}uuid="12"`, "f.cfg:3: uuid: `12' isn't a UUID"],
    [`${minimal}cpus="a-b"`, "f.cfg:3: cpus: `a-b' isn't a list of CPUs"],
    [`${minimal}disk=[\n'/a,,xvda',\n'/b,zip,xvdb']`, "f.cfg:5: disk: unknown value for format: near `zip'"],
    [`${minimal}disk=[['a']]`, "f.cfg:3: disk: must be a list of strings, not of lists"],
    [`${minimal}pci=['01:00.0']`, "f.cfg:3: pci: not supported: there are no host devices to pass through"],
    [`${minimal}bootloader="pygrub"`, "f.cfg:3: bootloader: not supported: name a kernel"],
  ])("%j", (text, message) => {
    expect(() => parseXlConfig(text, "f.cfg")).toThrow(message);
    expect(() => parseXlConfig(text, "f.cfg")).toThrow(ConfigError);
  });
});

describe("warnings", () => {
  const warningsOf = (text: string) => parseXlConfig(minimal + text, "f.cfg").warnings.map(formatWarning);
  test.each([
    ["memry=64", "f.cfg:3: memry: unknown key, which has no effect (did you mean memory?)"],
    ["frobnicate=1", "f.cfg:3: frobnicate: unknown key, which has no effect"],
    ["\nvfb=['vnc=1']", "f.cfg:4: vfb: not supported, and left out: guests have no display; the console is text"],
    ["disk=[',hdc:cdrom,r']", "f.cfg:3: disk: hdc is an empty CD-ROM drive, and left out"],
  ])("%j", (text, warning) => expect(warningsOf(text)).toEqual([warning]));

  test("none for what is switched off, or tunes what isn't there", () => {
    const { warnings, noted } = parseXlConfig(`${minimal}vnc=0; pci=[]; vfb=[]; usb=0; bootloader=""; hap=1`, "f.cfg");
    expect(warnings).toEqual([]);
    expect(noted).toEqual(["hap"]);
  });
});

describe("values", () => {
  const domainOf = (text: string, overrides: string[] = []) =>
    parseXlConfig(minimal + text, "f.cfg", { overrides }).domain;
  test.each([
    ['memory="64"', { memory: 64 << 20 }],
    ["memory=0x40", { memory: 64 << 20 }],
    ["maxmem=64", { memory: 64 << 20, maxmem: 64 << 20 }],
    ["maxvcpus=4", { vcpus: 4, maxvcpus: 4 }],
    ["vcpus=2; maxvcpus=4", { vcpus: 2, maxvcpus: 4 }],
    ['root="/dev/xvda1 ro"; extra="quiet"', { cmdline: "root=/dev/xvda1 ro quiet" }],
    ['root="/dev/xvda1"; extra="quiet"; cmdline="x"', { cmdline: "x" }],
    ['builder="hvm"', { type: "hvm" }],
    ['type="pvh"; builder="hvm"', { type: "pvh" }],
    ['uuid="0123456789ABCDEF0123456789abcdef"', { uuid: "01234567-89ab-cdef-0123-456789abcdef" }],
    [
      "vif=['mac=00:16:3e:00:00:01',\n'bridge=b']",
      {
        vifs: [
          { text: "mac=00:16:3e:00:00:01", line: 3 },
          { text: "bridge=b", line: 4 },
        ],
      },
    ],
    ["vcpus=2; cpus=1", { cpus: [parseCpuList("1"), parseCpuList("1")] }],
    ["vcpus=2; cpus=[0, '1-2']", { cpus: [parseCpuList("0"), parseCpuList("1-2")] }],
  ])("%j", (text, expected) => expect(domainOf(text)).toMatchObject(expected));

  test.each([
    ['name="debian1"', { name: "debian1" }],
    ["name=debian1", { name: "debian1" }],
    ["name=two words", { name: "two words" }],
    ["memory=32;vcpus=2", { memory: 32 << 20, vcpus: 2 }],
    ["extra+= quiet", { cmdline: "a quiet" }],
    ["disk=['/x,,xvda']", { disks: [{ target: "/x" }] }],
  ])("the word %j comes after the file", (word, expected) => {
    expect(domainOf('extra="a "; memory=64', [word])).toMatchObject(expected);
  });

  test("a word that isn't key=value, or has a bad value, is told", () => {
    expect(() => domainOf("", ["memory"])).toThrow('command line: "memory" (word 1) isn\'t key=value');
    expect(() => domainOf("", ["memory=lots"])).toThrow(/^command line, "memory=lots": memory: `lots' isn't a number$/);
    expect(() => domainOf("", ["disk=['a"])).toThrow("command line, \"disk=['a\":1: the string `'a' doesn't end");
  });
});

test.each([
  ["all", [0, 1, 2, 3, 4, 5]],
  ["0-3,5,^1", [0, 2, 3, 5]],
  ["all,^5", [0, 1, 2, 3, 4]],
  ["^0", [1, 2, 3, 4, 5]],
  ["nodes:0,^2", [0, 1, 3, 4, 5]],
  ["9", []],
])("the CPUs %s of six", (text, cpus) => expect(expandCpuList(parseCpuList(text)!, 6)).toEqual(cpus));

test.each(["", "x", "3-1", "1-", "node:1", "all-2"])("%j is no list of CPUs", (text) => {
  expect(parseCpuList(text)).toBeUndefined();
});

test("any values of any keys are a domain or a ConfigError", () => {
  const value = fc.oneof(
    fc.nat().map(String),
    fc.constantFrom("[]", '""', '"x,y=z"', '["a","b"]', "[[1],2]", '"pv"', '"0-3"'),
  );
  const line = fc.tuple(fc.constantFrom(...XL_KEYS.keys()), value).map(([key, text]) => `${key}=${text}\n`);
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      try {
        parseXlConfig(minimal + lines.join(""), "f.cfg", { directory: "/" });
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
    }),
  );
});
