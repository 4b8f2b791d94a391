// One HTTP GET over node:http and node:https, directly or through a proxy: absolute-form requests for http targets, a CONNECT
// tunnel for https ones (RFC 9112, section 3.2; RFC 9110, section 9.3.6). Gives the response's head; the caller reads the body.
import { type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Environment, proxyFor } from "./proxy.js";

export interface RequestSettings {
  readonly environment: Environment;
  /** Give up when nothing arrives for this long. */
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Opens `url` and resolves with the response, redirects not followed. Rejects with node's own errors. */
export async function openUrl(url: URL, settings: RequestSettings): Promise<IncomingMessage> {
  const proxy = proxyFor(url, settings.environment);
  if (proxy === undefined) {
    return send(url.protocol === "https:", { host: bareHost(url), port: url.port, path: path(url) }, url, settings);
  }
  if (url.protocol === "http:") {
    const viaProxy = { host: bareHost(proxy), port: proxy.port, path: `${url.origin}${path(url)}` };
    return send(proxy.protocol === "https:", { ...viaProxy, headers: proxyAuthorization(proxy) }, url, settings);
  }
  const socket = await openTunnel(url, proxy, settings);
  const tls = connectTls({ socket, servername: bareHost(url) });
  return send(true, { createConnection: () => tls, path: path(url) }, url, settings);
}

function send(secure: boolean, options: RequestOptions, url: URL, settings: RequestSettings): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host: url.host, "user-agent": "xen-ts", "accept-encoding": "identity", ...options.headers };
    const merged: RequestOptions = { ...options, headers, agent: false };
    if (settings.signal !== undefined) merged.signal = settings.signal;
    const request = secure ? requestHttps(merged) : requestHttp(merged);
    request.setTimeout(settings.idleTimeoutMs, () => request.destroy(timeoutError(url)));
    request.on("response", resolve);
    request.on("error", reject);
    request.end();
  });
}

function openTunnel(url: URL, proxy: URL, settings: RequestSettings): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const target = `${bareHost(url)}:${url.port || "443"}`;
    const options: RequestOptions = {
      host: bareHost(proxy),
      port: proxy.port,
      method: "CONNECT",
      path: target,
      headers: { host: target, ...proxyAuthorization(proxy) },
      agent: false,
    };
    if (settings.signal !== undefined) options.signal = settings.signal;
    const request = proxy.protocol === "https:" ? requestHttps(options) : requestHttp(options);
    request.setTimeout(settings.idleTimeoutMs, () => request.destroy(timeoutError(proxy)));
    request.on("connect", (response, socket) => {
      if (response.statusCode === 200) return resolve(socket as Socket);
      socket.destroy();
      reject(
        new Error(`the proxy ${proxy.host} answered ${response.statusCode} ${response.statusMessage ?? ""}`.trim()),
      );
    });
    request.on("error", reject);
    request.end();
  });
}

function timeoutError(url: URL): Error {
  return Object.assign(new Error(`no answer from ${url.host}`), { code: "ETIMEDOUT" });
}

function proxyAuthorization(proxy: URL): Record<string, string> {
  if (proxy.username === "") return {};
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

function path(url: URL): string {
  return `${url.pathname}${url.search}`;
}
