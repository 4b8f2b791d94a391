// The whole way from a signed archive to an image, against a small archive on the loopback interface that also misbehaves.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type BuildImageOptions,
  buildImage,
  findImage,
  type ImageError,
  listImages,
  type ProgressEvent,
  removeImage,
} from "../../images/index.js";
import { type ArchiveFiles, busyboxPackages, KERNEL_RELEASE, makeArchive } from "./support/archive-maker.js";
import { ArchiveServer, type Misbehaviour } from "./support/archive-server.js";
import { clearSign, makeCertificate, makeKey } from "./support/openpgp-maker.js";

const SIGNED = 1_750_000_000;
const key = makeKey("ed25519", SIGNED - 1000);
const certificate = makeCertificate(key);
const DEB = /^pool\/linux-image-6/;

let pristine: ArchiveFiles;
let files: ArchiveFiles;
let server: ArchiveServer;
let cacheDir: string;
let events: ProgressEvent[];

beforeAll(async () => {
  pristine = await makeArchive("sid", busyboxPackages(), [key], SIGNED);
});
beforeEach(async () => {
  files = new Map(pristine);
  server = new ArchiveServer(files);
  await server.start();
  cacheDir = mkdtempSync(join(tmpdir(), "xen-ts-images-"));
  events = [];
});
afterEach(async () => {
  await server.stop();
  rmSync(cacheDir, { recursive: true });
});

function build(options: BuildImageOptions = {}) {
  return buildImage({
    suite: "sid",
    cacheDir,
    environment: {},
    mirrors: { debian: server.url },
    certificates: [certificate],
    network: { attempts: 3, firstPauseMs: 1, idleTimeoutMs: 2000 },
    onProgress: (event) => events.push(event),
    ...options,
  });
}

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    const { name, code, message } = error as ImageError;
    expect(name).toBe("ImageError");
    expect(message).toMatch(/^[^\n]+\.$|^[^\n]+$/);
    return { code, message };
  }
  throw new Error("nothing was thrown");
}

/** No temporary file is left anywhere. */
function leftovers(): string[] {
  return (readdirSync(cacheDir, { recursive: true }) as string[]).filter((path) => path.includes(".tmp-"));
}

describe("a build", () => {
  it("makes kernel, initramfs and manifest, and reports its progress", async () => {
    const image = await build();
    expect(readFileSync(image.kernel, "utf8")).toBe("the kernel");
    const initrd = readFileSync(image.initrd, "latin1");
    for (const name of ["init", "bin/cttyhack", "etc/inittab", `lib/modules/${KERNEL_RELEASE}/modules.dep`]) {
      expect(initrd).toContain(`${name}\0`);
    }
    expect(initrd).toContain("kernel/fs/ext4/ext4.ko: kernel/crypto/crc32c_generic.ko kernel/fs/jbd2/jbd2.ko\n");
    expect(initrd).not.toContain("kernel/fs/xfs");
    expect(image).toMatchObject({ name: "busybox-sid", manifest: { kernelRelease: KERNEL_RELEASE, suite: "sid" } });
    expect(image.manifest.packages.map((record) => `${record.name} ${record.version}`)).toEqual([
      `linux-image-${KERNEL_RELEASE} 6.1.99-1`,
      "busybox-static 1:1.35.0-4",
    ]);
    expect(image.manifest.releases[0]?.signers[0]?.fingerprint).toBe(key.fingerprint);
    expect(new Set(events.map((event) => event.phase))).toEqual(
      new Set(["index", "download", "unpack", "assemble", "done"]),
    );
    expect(leftovers()).toEqual([]);
  });

  it("is found, listed and removed by name and alias", async () => {
    const image = await build();
    expect(await findImage("sid", { cacheDir })).toEqual(image);
    expect((await listImages({ cacheDir })).map(({ name }) => name)).toEqual(["busybox-sid"]);
    await removeImage("busybox-sid", { cacheDir });
    expect((await failure(findImage("busybox-sid", { cacheDir }))).code).toBe("not-found");
    expect((await failure(removeImage("busybox-sid", { cacheDir }))).code).toBe("not-found");
  });

  it("downloads nothing twice and gives the same bytes again", async () => {
    const first = readFileSync((await build()).initrd);
    await removeImage("busybox-sid", { cacheDir });
    server.requests.length = 0;
    const second = readFileSync((await build()).initrd);
    expect(server.requests).toEqual(["/debian/dists/sid/InRelease"]);
    expect(second.equals(first)).toBe(true);
  });

  it("works offline with a warm cache, and says clearly that a cold one does not", async () => {
    expect(await failure(build({ offline: true }))).toMatchObject({
      code: "offline-cold",
      message: expect.stringContaining("is not in the cache"),
    });
    await build();
    await server.stop();
    await removeImage("sid", { cacheDir });
    expect((await build({ offline: true })).name).toBe("busybox-sid");
  });

  it("uses the cached index with a warning when the mirror is down", async () => {
    await build();
    server.misbehaviour = (_path, _bytes, response) => {
      response.writeHead(503).end();
      return true;
    };
    expect((await build()).name).toBe("busybox-sid");
    expect(events.filter(({ phase }) => phase === "warning").map(({ what }) => what)[0]).toMatch(
      /answered 503; the copy/,
    );
  });

  it("survives two builds at the same time", async () => {
    const [a, b] = await Promise.all([build(), build()]);
    expect(a).toEqual(b);
    expect(await findImage("sid", { cacheDir })).toEqual(a);
    expect(leftovers()).toEqual([]);
  });

  it("warns of an index that is past its date", async () => {
    const old = await makeArchive(
      "sid",
      busyboxPackages(),
      [key],
      SIGNED,
      "Valid-Until: Sun, 15 Jun 2025 16:00:00 UTC\n",
    );
    for (const [path, bytes] of old) files.set(path, bytes);
    await build();
    expect(events.find(({ phase }) => phase === "warning")?.what).toMatch(/until 2025-06-15 only/);
  });

  it("goes through a proxy that the environment names", async () => {
    const proxy = new ArchiveServer(files);
    await proxy.start();
    const mirrors = { debian: "http://archive.invalid/debian" };
    await build({ mirrors, environment: { http_proxy: proxy.url } });
    expect(proxy.requests[0]).toBe("http://archive.invalid/debian/dists/sid/InRelease");
    await proxy.stop();
  });
});

/** Misbehaves on the first `times` requests for a matching path. */
function firstTimes(times: number, pattern: RegExp, answer: Misbehaviour): Misbehaviour {
  let left = times;
  return (path, bytes, response) => pattern.test(path) && left-- > 0 && answer(path, bytes, response);
}
const serverError: Misbehaviour = (_path, _bytes, response) => {
  response.writeHead(500).end();
  return true;
};
const truncated: Misbehaviour = (_path, bytes, response) => {
  response.writeHead(200, { "content-length": bytes?.length });
  response.write(bytes?.subarray(0, 100), () => response.destroy());
  return true;
};
const flipped: Misbehaviour = (_path, bytes, response) => {
  const changed = Uint8Array.from(bytes as Uint8Array);
  changed[changed.length >> 1]! ^= 1;
  response.writeHead(200, { "content-length": changed.length }).end(changed);
  return true;
};

describe("a bad network", () => {
  it.each([
    ["a server error", serverError],
    ["a download cut short", truncated],
    ["a damaged download", flipped],
  ])("is overcome when it passes: %s", async (_, answer) => {
    server.misbehaviour = firstTimes(2, DEB, answer);
    expect((await build()).name).toBe("busybox-sid");
  });

  it.each([
    ["a server error", serverError, "network", /answered 500/],
    ["a download cut short", truncated, "network", /can't be downloaded/],
    ["a damaged download", flipped, "checksum", /is not the file that the signed index describes/],
  ])("is reported when it stays: %s", async (_, answer, code, message) => {
    server.misbehaviour = firstTimes(3, DEB, answer);
    expect(await failure(build())).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(leftovers()).toEqual([]);
    expect((await failure(findImage("sid", { cacheDir }))).code).toBe("not-found");
  });

  it("is reported when nobody answers at all", async () => {
    await server.stop();
    expect(await failure(build())).toMatchObject({ code: "network", message: expect.stringContaining("refuses") });
  });

  it("is given up after a redirect loop", async () => {
    server.misbehaviour = (path, _bytes, response) => {
      response.writeHead(302, { location: `/debian/${path}` }).end();
      return true;
    };
    expect((await failure(build())).code).toBe("network");
  });

  it("stops at once when the caller aborts", async () => {
    server.misbehaviour = (path) => DEB.test(path);
    const controller = new AbortController();
    const running = failure(build({ signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    expect((await running).code).toBe("aborted");
    expect(leftovers()).toEqual([]);
  });
});

describe("a bad archive", () => {
  const inRelease = "dists/sid/InRelease";

  it("is refused when the index was changed after signing", async () => {
    files.set(
      inRelease,
      Buffer.from(Buffer.from(files.get(inRelease)!).toString().replace("Origin: Test", "Origin: Evil")),
    );
    expect((await failure(build())).code).toBe("signature");
  });

  it("is refused when somebody else signed it, and when nobody did", async () => {
    const other = makeKey("ed25519", SIGNED - 1000);
    files.set(inRelease, Buffer.from(clearSign("Origin: Test\n", [other], { created: SIGNED })));
    expect((await failure(build())).code).toBe("signature");
    files.set(inRelease, Buffer.from("Origin: Test\n"));
    expect((await failure(build())).code).toBe("signature");
  });

  it("is refused when the index is that of another suite", async () => {
    const bookworm = await makeArchive("bookworm", busyboxPackages(), [key], SIGNED);
    files.set(inRelease, bookworm.get("dists/bookworm/InRelease")!);
    expect(await failure(build())).toMatchObject({ code: "signature", message: expect.stringContaining("bookworm") });
  });

  it.each([
    ["without the package", (packages: ReturnType<typeof busyboxPackages>) => packages.slice(0, 2), "not-found"],
    ["without a kernel", (packages: ReturnType<typeof busyboxPackages>) => packages.slice(2), "not-found"],
  ])("is reported: %s", async (_, change, code) => {
    for (const [path, bytes] of await makeArchive("sid", change(busyboxPackages()), [key], SIGNED))
      files.set(path, bytes);
    expect((await failure(build())).code).toBe(code);
  });

  it("is reported when a package has no busybox or its kernel no modules", async () => {
    const packages = busyboxPackages().map((record) => ({ ...record, files: { "boot/vmlinuz-1": "x" } }));
    for (const [path, bytes] of await makeArchive("sid", packages, [key], SIGNED)) files.set(path, bytes);
    expect((await failure(build())).code).toBe("bad-package");
  });
});

describe("a damaged cache", () => {
  it("is repaired from the network", async () => {
    const image = await build();
    const blobs = join(cacheDir, "sha256");
    for (const path of readdirSync(blobs, { recursive: true }) as string[]) {
      if (/\/[0-9a-f]{64}$/.test(path)) writeFileSync(join(blobs, path), "damaged");
    }
    writeFileSync(image.initrd, "damaged");
    expect((await failure(findImage("sid", { cacheDir }))).code).toBe("checksum");
    expect(await listImages({ cacheDir })).toEqual([image]);
    const again = await build();
    expect(again.manifest.files).toEqual(image.manifest.files);
    expect(await findImage("sid", { cacheDir })).toEqual(again);
  });

  it("offline is a clear error", async () => {
    await build();
    for (const path of readdirSync(join(cacheDir, "sha256")))
      rmSync(join(cacheDir, "sha256", path), { recursive: true });
    expect((await failure(build({ offline: true }))).code).toBe("offline-cold");
  });

  it("that can't be written is a clear error", async () => {
    writeFileSync(join(cacheDir, "file"), "");
    expect((await failure(build({ cacheDir: join(cacheDir, "file") }))).code).toBe("cache");
    expect(existsSync(join(cacheDir, "file"))).toBe(true);
  });
});

describe("bad options", () => {
  it.each([
    [{ suite: "warty" }, "not-found"],
    [{ suite: "constructor" }, "not-found"],
    [{ recipe: "cake" }, "not-found"],
    [{ name: "../x" }, "bad-option"],
    [{ mirrors: { debian: "ftp://x" } }, "bad-option"],
    [{ environment: { XEN_TS_DEBIAN_MIRROR: "nonsense" }, mirrors: {} }, "bad-option"],
  ] as [BuildImageOptions, string][])("%j → %s", async (options, code) => {
    expect((await failure(build(options))).code).toBe(code);
  });
});
