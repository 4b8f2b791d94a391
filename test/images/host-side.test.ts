// What touches the builder's machine: proxies, the cache's place and a full disk, the progress display.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openUrl } from "../../images/archive/http-request.js";
import { proxyFor } from "../../images/archive/proxy.js";
import { defaultCacheDirectory } from "../../images/cache/cache.js";
import { writeAtomically } from "../../images/cache/files.js";
import { terminalProgress } from "../../images/terminal-progress.js";

describe("proxyFor", () => {
  const http = "http://deb.debian.org/x";
  it.each([
    [http, {}, undefined],
    [http, { http_proxy: "http://p:3128" }, "http://p:3128/"],
    [http, { HTTP_PROXY: "p:3128" }, "http://p:3128/"],
    [http, { https_proxy: "http://p" }, undefined],
    ["https://deb.debian.org/x", { https_proxy: "http://p" }, "http://p/"],
    [http, { http_proxy: "http://p", no_proxy: "debian.org" }, undefined],
    [http, { http_proxy: "http://p", no_proxy: "a, .debian.org" }, undefined],
    [http, { http_proxy: "http://p", no_proxy: "bian.org" }, "http://p/"],
    [http, { http_proxy: "http://p", NO_PROXY: "*" }, undefined],
    [http, { http_proxy: "http://p", no_proxy: "debian.org:8080" }, "http://p/"],
    [http, { http_proxy: "", no_proxy: "" }, undefined],
  ] as [string, Record<string, string>, string | undefined][])("%s with %j → %s", (url, environment, expected) => {
    expect(proxyFor(new URL(url), environment)?.href).toBe(expected);
  });

  it("tunnels https through CONNECT, with credentials", async () => {
    const seen: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket) => {
      seen.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"]}`);
      socket.end("HTTP/1.1 407 Authentication Required\r\n\r\n");
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo;
    const environment = { https_proxy: `http://me:secret@127.0.0.1:${port}` };
    const opening = openUrl(new URL("https://archive.invalid/debian/"), {
      environment,
      idleTimeoutMs: 1000,
      signal: undefined,
    });
    await expect(opening).rejects.toThrow(/answered 407/);
    expect(seen).toEqual(["CONNECT archive.invalid:443 Basic bWU6c2VjcmV0"]);
    proxy.close();
  });

  it("gives up on a server that says nothing", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const url = new URL(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`);
    const opening = openUrl(url, { environment: {}, idleTimeoutMs: 50, signal: undefined });
    await expect(opening).rejects.toMatchObject({ code: "ETIMEDOUT" });
    silent.closeAllConnections();
    silent.close();
  });
});

describe("the cache", () => {
  it("is where the XDG specification says", () => {
    expect(defaultCacheDirectory({ XDG_CACHE_HOME: "/x/cache" })).toBe("/x/cache/xen-ts");
    expect(defaultCacheDirectory({ XDG_CACHE_HOME: "relative" })).toMatch(/\/\.cache\/xen-ts$/);
    expect(defaultCacheDirectory({})).toMatch(/\/\.cache\/xen-ts$/);
  });

  const directory = mkdtempSync(join(tmpdir(), "xen-ts-full-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory]).status === 0;
  if (!mounted) rmSync(directory, { recursive: true });
  it.skipIf(!mounted)("reports a full disk and leaves nothing half-written", async () => {
    try {
      writeFileSync(join(directory, "small"), "kept");
      await expect(writeAtomically(join(directory, "large"), new Uint8Array(200_000))).rejects.toMatchObject({
        code: "disk-full",
        message: expect.stringContaining("no space left"),
      });
      expect(readdirSync(directory)).toEqual(["small"]);
    } finally {
      spawnSync("umount", [directory]);
      rmSync(directory, { recursive: true });
    }
  });
});

describe("terminalProgress", () => {
  const record = (isTTY: boolean, columns = 80) => {
    const written: string[] = [];
    let time = 0;
    const progress = terminalProgress({ isTTY, columns, write: (text) => written.push(text) }, () => time);
    return { written, ...progress, wait: (ms: number) => (time += ms) };
  };
  const download = (done: number) => ({ phase: "download" as const, what: "linux 6.1", done, total: 4_000_000 });

  it("draws one line over and over on a terminal, and removes it", () => {
    const { written, onProgress, close, wait } = record(true);
    onProgress(download(0));
    onProgress(download(1_000_000)); // too soon
    wait(100);
    onProgress(download(2_000_000));
    close();
    close();
    expect(written).toEqual([
      `\r\x1b[K[${" ".repeat(24)}] Downloading linux 6.1 0.0 MB of 4.0 MB`,
      `\r\x1b[K[${"#".repeat(12)}${" ".repeat(12)}] Downloading linux 6.1 2.0 MB of 4.0 MB`,
      "\r\x1b[K",
    ]);
  });
  it("never fills the terminal's last column", () => {
    const { written, onProgress } = record(true, 20);
    onProgress(download(0));
    expect(written[0]).toHaveLength("\r\x1b[K".length + 19);
  });
  it("writes one plain line for each piece of work elsewhere", () => {
    const { written, onProgress } = record(false);
    onProgress(download(0));
    onProgress(download(4_000_000));
    onProgress({ phase: "warning", what: "The mirror is old.", done: 0, total: undefined });
    onProgress({ phase: "done", what: "x", done: 1, total: 1 });
    expect(written).toEqual(["Downloading linux 6.1 (4.0 MB)\n", "warning: The mirror is old.\n"]);
  });
});
