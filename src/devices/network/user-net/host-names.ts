// The machine's own names: its resolvers as the system library knows them, and /etc/hosts (hosts(5)).

import { getServers } from "node:dns";
import { readFileSync, statSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import type { Destination } from "./tcp-proxy.js";

const DNS_PORT = 53;

/** "192.0.2.53", "127.0.0.1:5300", "[::1]:53". @throws RangeError */
export function parseServer(text: string): Destination {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([0-9.]+|[0-9a-fA-F:]+:[0-9a-fA-F:.%\w]*))(?::(\d{1,5}))?$/.exec(text);
  const v4 = /^([0-9.]+)(?::(\d{1,5}))?$/.exec(text);
  const host = v4?.[1] ?? match?.[1] ?? match?.[2];
  const port = Number(v4?.[2] ?? (match?.[1] === undefined ? undefined : match[3]) ?? DNS_PORT);
  if (host === undefined || !(isIPv4(host) || isIPv6(host.replace(/%.*/, ""))) || port < 1 || port > 65_535)
    throw new RangeError(`dns: "${text}" is not a name server such as 192.0.2.53 or 127.0.0.1:5300`);
  return { host, port };
}

export function machineServers(): Destination[] {
  return getServers().flatMap((text) => {
    try {
      return [parseServer(text)];
    } catch {
      return [];
    }
  });
}

/** Names and their addresses. */
export function parseHosts(text: string): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address, ...rest] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (!address || !(isIPv4(address) || isIPv6(address))) continue;
    for (const name of rest) {
      const key = name.toLowerCase();
      names.set(key, [...(names.get(key) ?? []), address]);
    }
  }
  return names;
}

/** /etc/hosts, read again when it has changed. */
export class HostsFile {
  readonly #path: string;
  #changed = -1;
  #names = new Map<string, string[]>();

  constructor(path = "/etc/hosts") {
    this.#path = path;
  }

  find(name: string): readonly string[] {
    try {
      const { mtimeMs } = statSync(this.#path);
      if (mtimeMs !== this.#changed) {
        this.#changed = mtimeMs;
        this.#names = parseHosts(readFileSync(this.#path, "utf8"));
      }
    } catch {
      // A machine without that file has no such names.
      this.#names.clear();
    }
    return this.#names.get(name) ?? [];
  }
}
