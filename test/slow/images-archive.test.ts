// The real thing, over the network: images of two suites from Debian's archive, in the cache that everybody uses so that only the
// first run downloads; and gpgv's opinion of the same indexes where Debian's key ring is installed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { buildImage, findImage, removeImage } from "../../images/index.js";

const KEY_RING = "/usr/share/keyrings/debian-archive-keyring.gpg";

describe.each([
  ["bookworm", /^6\.1\./],
  ["sid", /^\d+\.\d+\.\d+/],
])("an image of %s", (suite, kernel) => {
  // A name of its own: the user's images stay as they are.
  const name = `slow-test-${suite}`;
  afterAll(() => removeImage(name));

  it("is built, found, and built again offline", async () => {
    const image = await buildImage({ suite, name });
    expect(image.manifest.kernelRelease).toMatch(kernel);
    expect(readFileSync(image.kernel).subarray(0x202, 0x206).toString()).toBe("HdrS");
    const initrd = readFileSync(image.initrd, "latin1");
    for (const file of ["bin/cttyhack", "bin/uudecode", "bin/vi", "bin/top", "bin/modprobe", "init"]) {
      expect(initrd).toContain(`${file}\0`);
    }
    for (const module of ["xen-blkfront", "xen-netfront", "ext4", "jbd2"]) expect(initrd).toContain(`/${module}.ko\0`);
    expect(await findImage(name)).toEqual(image);
    expect(await buildImage({ suite, name, offline: true })).toEqual(image);
  });

  const canAsk = existsSync(KEY_RING) && spawnSync("gpgv", ["--version"]).status === 0;
  it.skipIf(!canAsk)("rests on indexes that gpgv accepts with the same signers", async () => {
    const { manifest } = await buildImage({ suite, name });
    const directory = mkdtempSync(join(tmpdir(), "xen-ts-slow-"));
    try {
      for (const release of manifest.releases) {
        const response = await fetch(release.url);
        writeFileSync(join(directory, "InRelease"), Buffer.from(await response.arrayBuffer()));
        const gpgv = spawnSync("gpgv", ["--status-fd", "1", "--keyring", KEY_RING, join(directory, "InRelease")]);
        expect(gpgv.status).toBe(0);
        const valid = [...gpgv.stdout.toString().matchAll(/^\[GNUPG:\] VALIDSIG ([0-9A-F]+)/gm)].map(
          (match) => match[1],
        );
        expect(release.signers.map(({ fingerprint }) => fingerprint)).toEqual(valid);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
