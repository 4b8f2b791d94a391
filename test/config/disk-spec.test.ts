// Disk specifications: what xlu_disk_parse of libxlutil 4.17 makes of them, recorded, and what we make of that.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DiskSpecError, parseDiskSpec } from "../../src/config/disk-spec.js";
import { diskConfigOf } from "../../src/config/xl-disk.js";

/** pdev_path, vdev, format, readwrite, is_cdrom; then script, discard_enable where they are set. */
type Row = [spec: string, ...recorded: (string | number | undefined)[]];

const accepted: Row[] = [
  ["/dev/vg/guest-volume,,hda", "/dev/vg/guest-volume", "hda", "raw", 1, 0],
  ["/dev/vg/guest-volume,raw,hda,rw", "/dev/vg/guest-volume", "hda", "raw", 1, 0],
  ["format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", "/dev/vg/guest-volume", "hda", "raw", 1, 0],
  ["raw:/dev/vg/guest-volume,hda,w", "/dev/vg/guest-volume", "hda", "raw", 1, 0],
  ["/srv/image.iso,,hdc,cdrom", "/srv/image.iso", "hdc", "raw", 0, 1],
  ["/srv/image.iso,,hdc,,cdrom", "/srv/image.iso", "hdc", "raw", 0, 1],
  ["/srv/image.iso,raw,hdc,devtype=cdrom", "/srv/image.iso", "hdc", "raw", 0, 1],
  ["format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/srv/image.iso", "/srv/image.iso", "hdc", "raw", 0, 1],
  ["raw:/srv/image.iso,hdc:cdrom,ro", "/srv/image.iso", "hdc", "raw", 0, 1],
  [",hdc:cdrom,r", "", "hdc", "raw", 0, 1],
  [",,hdc,cdrom", "", "hdc", "raw", 0, 1],
  ["phy:/dev/loop0,xvda,w", "/dev/loop0", "xvda", "raw", 1, 0],
  ["file:/x/a.img,xvda,r", "/x/a.img", "xvda", "raw", 0, 0],
  ["tap:aio:/x/a.img,xvda1,w", "/x/a.img", "xvda1", "raw", 1, 0],
  ["tap:qcow2:/x/a.img,sda,w", "/x/a.img", "sda", "qcow2", 1, 0],
  ["tap2:tapdisk:aio:/x/a,xvda,w", "/x/a", "xvda", "raw", 1, 0],
  ["qcow2:/x/a,xvda,w", "/x/a", "xvda", "qcow2", 1, 0],
  ["vhd:/x/a,xvda,w", "/x/a", "xvda", "vhd", 1, 0],
  ["iscsi:foo,xvda,w", "foo", "xvda", "raw", 1, 0, "block-iscsi"],
  ["/x/a,qed,xvda", "/x/a", "xvda", "qed", 1, 0],
  ["/x/a,qcow2,xvda,w,direct-io-safe", "/x/a", "xvda", "qcow2", 1, 0],
  ["/x/a,qcow2,xvda,w,discard", "/x/a", "xvda", "qcow2", 1, 0, undefined, 1],
  ["/x/a,qcow2,xvda,w,no-discard", "/x/a", "xvda", "qcow2", 1, 0, undefined, 0],
  ["/x/a,,xvda,backendtype=qdisk", "/x/a", "xvda", "raw", 1, 0],
  ["/x/a,,xvda,script=my", "/x/a", "xvda", "raw", 1, 0, "my"],
  [",raw,xvda,w,target=/y,z , ", "/y,z , ", "xvda", "raw", 1, 0],
  ["vdev=hdc,target=/x/y,cdrom", "/x/y,cdrom", "hdc", "raw", 1, 0],
  ["cdrom,vdev=hdc,target=", "", "hdc", "raw", 0, 1],
  ["/x/a,,hdc,devtype=disk", "/x/a", "hdc", "raw", 1, 0],
  ["a.img,raw,xvda", "a.img", "xvda", "raw", 1, 0],
  ["/x/a, raw, xvda, w", "/x/a", "xvda", "raw", 1, 0],
  ["file:/x/a:b,xvda,w", "/x/a:b", "xvda", "raw", 1, 0],
  ["/x/a:b,raw,xvda", "/x/a:b", "xvda", "raw", 1, 0],
  ["phy:vg/lv,xvda:disk,w", "vg/lv", "xvda", "raw", 1, 0],
  ["file:/x/a,xvda,w,discard", "/x/a", "xvda", "raw", 1, 0, undefined, 1],
  ["/x/a,,hdc,cdrom,w", "/x/a", "hdc", "raw", 0, 1],
  ["format=,vdev=xvda,access=,target=/x", "/x", "xvda", "raw", 1, 0],
];

test.each(accepted)("%j", (text, target, vdev, format, readwrite, cdrom, script, discard) => {
  const spec = parseDiskSpec(text);
  expect([spec.target ?? "", spec.vdev, spec.format, spec.access === "w" ? 1 : 0, spec.cdrom ? 1 : 0]).toEqual([
    ...[target, vdev, format, readwrite, cdrom],
  ]);
  expect(spec.script).toBe(script);
  expect(spec.discard).toBe(discard === undefined ? undefined : discard === 1);
});

test.each([
  ["qed:/x/a,xvda,w", "unknown deprecated disk prefix: near `qed:'"],
  ["/x/a,,xvda,backendtype=foo", "unknown value for backendtype: near `foo'"],
  ["/x/a,,xvda,access=x", "unknown value for access: near `x'"],
  ["/x/a,raw", "no vdev specified in `/x/a,raw'"],
  ["vdev=xvda", "no target specified (and device not removable) in `vdev=xvda'"],
  ["", "no vdev specified in `'"],
  ["/x/a,raw,xvda,w,extra", "too many positional parameters: near `extra'"],
  ["/x/a,bogus,xvda", "unknown value for format: near `bogus'"],
  ["vdev=xvda,vdev=xvdb,target=/x", "vdev respecified: near `xvdb'"],
  ["/x/a,raw,xvda,vdev=xvdb", "vdev respecified: near `xvdb'"],
  ["/x/a,raw,xvda,foo=bar", "unknown parameter: near `foo=bar'"],
  ["/x/a,raw,xvda,foo", "unknown value for access: near `foo'"],
  ["/x/a,raw,xvda,w,target=/y", "target respecified: near `/y'"],
  ["/x/a,,hdc,devtype=floppy", "unknown value for devtype: near `floppy'"],
  ["/x/a:b,xvda", "unknown value for format: near `xvda'"],
  ["raw:/x/a,raw,xvda,w", "unknown value for access: near `xvda'"],
  ["phy:/x/a,,xvda", "unknown value for access: near `xvda'"],
  ["/x/a,,hdc,cdrom=1", "unknown parameter: near `cdrom=1'"],
])("refused: %j", (text, message) => expect(() => parseDiskSpec(text)).toThrow(message));

test("several words are one specification", () => {
  expect(parseDiskSpec("/x/a", "raw", "xvda", "r")).toMatchObject({ target: "/x/a", vdev: "xvda", access: "r" });
});

test("any text is a disk or a DiskSpecError", () => {
  const words = fc.constantFrom("/x", "raw", "xvda", "w", ",", "=", ":", "target=", "vdev=", "phy:", "cdrom", " ", "é");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(words).map((all) => all.join("")),
      ),
      (text) => {
        try {
          diskConfigOf(parseDiskSpec(text), { directory: "/d" });
        } catch (error) {
          expect(error).toBeInstanceOf(DiskSpecError);
        }
      },
    ),
  );
});

describe("disks of ours", () => {
  const make = (text: string) => diskConfigOf(parseDiskSpec(text), { directory: "/home/me", snapshot: true });
  test.each([
    ["a.img,,xvda", { target: "/home/me/a.img", snapshot: true }],
    ["phy:vg/lv,xvda,r", { target: "/dev/vg/lv", access: "r" }],
    ["/a.iso,,hdc,cdrom", { target: "/a.iso", access: "r", cdrom: true }],
    ["/a,qcow2,d536p37,w,no-discard", { vdev: "d536p37", discard: false }],
  ])("%s", (text, expected) => expect(make(text)).toMatchObject(expected));

  test("an empty drive is none", () => expect(make(",hdc:cdrom,r")).toBeUndefined());

  test.each([
    ["/a,vhd,xvda", "disk format vhd isn't supported"],
    ["drbd:r0,xvda,w", "script block-drbd: block scripts aren't run"],
    ["/a,,xvda,backend=storage", "there are no driver domains"],
    ["/a,,bogus", "`bogus' isn't a virtual device such as xvda"],
    ["/a,qcow2,xvda,backendtype=phy", "backendtype phy is for raw disks"],
    ["/a,,xvda,specification=virtio", "virtio disks aren't supported"],
  ])("refused: %s", (text, message) => expect(() => make(text)).toThrow(message));
});
