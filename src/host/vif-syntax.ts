// The vif strings of xl.cfg (xl-network-configuration(5)): `key=value` and flags, separated by commas. Beyond xl's keys: what the
// interface is plugged into when that isn't a bridge (type=user|stream|tap, …). Errors and notes name the key.

import { isIP } from "node:net";
import { parseHostForward, parseSubnet, parseSubnet6 } from "../devices/network/user-net/nat-options.js";
import { XenError } from "./errors.js";
import { parseMac } from "./mac-address.js";
import type { TapRoute, VifConfig, VifPort } from "./vif-config.js";
import { parseRate } from "./vif-rate.js";

export interface ParsedVif {
  readonly config: VifConfig;
  /** What was understood and has no effect, a sentence each. */
  readonly notes: readonly string[];
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
const MODELS = ["rtl8139", "e1000", "ne2k_pci", "virtio-net", "netfront"];
const MAX_DEVID = 255;

class VifParser {
  readonly config: Mutable<VifConfig> = {};
  readonly notes: string[] = [];
  readonly #given = new Map<string, string>();
  readonly #forwards: string[] = [];

  read(text: string): void {
    for (const part of text.split(",")) {
      const item = part.trim();
      if (item === "") continue;
      const equals = item.indexOf("=");
      const key = (equals < 0 ? item : item.slice(0, equals)).trim();
      this.#readKey(key, equals < 0 ? undefined : item.slice(equals + 1).trim());
    }
    this.#finish();
  }

  #readKey(key: string, value: string | undefined): void {
    const rule = RULES[key];
    if (!rule) throw bad(key, "is not a key of a vif");
    const isFlag = key === "trusted" || key === "untrusted";
    if (!isFlag && (value === undefined || value === "")) throw bad(key, "needs a value");
    if (key !== "hostfwd" && key !== "dns") {
      if (this.#given.has(key)) throw bad(key, "is given twice");
      this.#given.set(key, value ?? "1");
    }
    try {
      rule(this, value ?? "1");
    } catch (error) {
      if (error instanceof XenError && !error.message.startsWith("vif: "))
        throw new XenError("bad-argument", `vif: ${error.message}`, { cause: error });
      if (error instanceof RangeError) throw bad(key, `: ${error.message}`);
      throw error;
    }
  }

  addForward(text: string): void {
    parseHostForward(text);
    this.#forwards.push(text);
  }

  readonly dns: string[] = [];
  readonly given = (key: string): string | undefined => this.#given.get(key);

  #finish(): void {
    const port = this.#port();
    if (port && this.config.bridge !== undefined)
      throw bad("bridge", `can't be given with type=${this.given("type") ?? "user"}: it is either`);
    if (port) this.config.port = port;
    if (this.#forwards.length > 0) this.config.hostfwd = this.#forwards;
  }

  #route(): TapRoute {
    const addresses = this.given("ip")?.split(/\s+/) ?? [];
    const wrong = addresses.find((address) => isIP(address) === 0);
    if (wrong !== undefined) throw bad("ip", `${wrong} is not an address`);
    if (addresses.length === 0) throw bad("ip", "is missing: script=vif-route routes it to the guest");
    const { gatewaydev } = this.config;
    return { addresses, ...(gatewaydev === undefined ? {} : { gatewayDevice: gatewaydev }) };
  }

  #noteScript(script: string | undefined, isRouted: boolean): void {
    const { gatewaydev } = this.config;
    if (isRouted) return;
    if (script !== undefined && script !== "vif-bridge" && script !== "vif-nat")
      this.notes.push(`script: ${this.given("script")} is recorded and not run; the interface is a port of its bridge`);
    if (gatewaydev !== undefined)
      this.notes.push(
        `gatewaydev: ${gatewaydev} is recorded and has no effect: it is for script=vif-route without a bridge`,
      );
  }

  #port(): VifPort | undefined {
    const script = this.given("script")?.split("/").at(-1);
    // Xen's routed interfaces have no bridge.
    const isRouted = script === "vif-route" && this.given("bridge") === undefined;
    const given = this.given("type");
    const isPlain = given === undefined || given === "vif" || given === "ioemu";
    const type = !isPlain ? given : script === "vif-nat" ? "user" : isRouted ? "tap" : undefined;
    this.#noteScript(script, isRouted && type === "tap");
    const only = (keys: readonly string[], types: string) => {
      for (const key of keys)
        if (this.given(key) !== undefined || (key === "dns" && this.dns.length > 0))
          throw bad(key, `is for type=${types} only`);
    };
    const isUser = type === "user" || type === "nat";
    if (!isUser) only(["net", "ipv6", "restrict", "hostloopback", "dns"], "user");
    if (type !== "stream") only(["path", "listen"], "stream");
    if (type !== "tap") only(["ifname"], "tap");
    switch (type) {
      case "user":
      case "nat": {
        const [network, ipv6] = [this.given("net"), this.given("ipv6")];
        return {
          type: "nat",
          ...(network === undefined ? {} : { network }),
          ...(ipv6 === undefined ? {} : { ipv6: isOff(ipv6) ? false : ipv6 }),
          ...(this.given("restrict") === undefined ? {} : { restrict: boolean("restrict", this.given("restrict")!) }),
          ...(this.given("hostloopback") === undefined
            ? {}
            : { hostLoopback: boolean("hostloopback", this.given("hostloopback")!) }),
          ...(this.dns.length > 0 ? { dns: this.dns } : {}),
        };
      }
      case "stream": {
        const path = this.given("path");
        if (path === undefined) throw bad("path", "is missing: type=stream needs the path of a Unix socket");
        return { type: "stream", path, listen: boolean("listen", this.given("listen") ?? "0") };
      }
      case "tap": {
        const device = this.given("ifname") ?? (isRouted ? this.given("vifname") : undefined);
        return {
          type: "tap",
          ...(device === undefined ? {} : { device }),
          ...(isRouted ? { route: this.#route() } : {}),
        };
      }
    }
    return undefined;
  }
}

type Rule = (parser: VifParser, value: string) => void;

const keep: Rule = () => {};

/** By key. */
const RULES: Readonly<Record<string, Rule>> = {
  mac: ({ config }, value) => {
    parseMac(value);
    config.mac = value.toLowerCase();
  },
  bridge: ({ config }, value) => void (config.bridge = value),
  vifname: ({ config }, value) => void (config.vifname = value),
  ip: ({ config }, value) => void (config.ip = value),
  script: ({ config }, value) => void (config.script = value),
  gatewaydev: ({ config }, value) => void (config.gatewaydev = value),
  netdev: (parser, value) => RULES.gatewaydev!(parser, value),
  backend: (_, value) => {
    if (value !== "0" && value !== "Domain-0") throw bad("backend", `${value}: driver domains don't exist, only 0`);
  },
  type: ({ notes }, value) => {
    if (value === "ioemu") notes.push("type: ioemu: no card is emulated, the interface is paravirtual");
    else if (!["vif", "user", "nat", "stream", "tap"].includes(value))
      throw bad("type", `${value} is none of vif, ioemu, user, nat, stream, tap`);
  },
  model: ({ notes }, value) => {
    if (!MODELS.includes(value)) throw bad("model", `${value} is none of ${MODELS.join(", ")}`);
    if (value !== "netfront") notes.push(`model: ${value}: no card is emulated, the interface is paravirtual`);
  },
  rate: ({ config }, value) => {
    parseRate(value);
    config.rate = value;
  },
  devid: ({ config }, value) => void (config.devid = number("devid", value, 0, MAX_DEVID)),
  mtu: ({ config }, value) => void (config.mtu = number("mtu", value, 68, 65_521)),
  trusted: ({ config, given }, value) => {
    if (given("untrusted") !== undefined) throw bad("trusted", "contradicts untrusted");
    config.trusted = boolean("trusted", value);
  },
  untrusted: ({ config, given }, value) => {
    if (given("trusted") !== undefined) throw bad("untrusted", "contradicts trusted");
    config.trusted = !boolean("untrusted", value);
  },
  hostfwd: (parser, value) => parser.addForward(value),
  dns: ({ dns }, value) => void dns.push(value),
  net: (_, value) => void parseSubnet(value),
  ipv6: (_, value) => void (isOff(value) || parseSubnet6(value)),
  restrict: keep,
  hostloopback: keep,
  path: keep,
  listen: keep,
  ifname: keep,
};

/** Instead of a network: none. */
const isOff = (value: string): boolean => value === "off" || value === "0";

function bad(key: string, reason: string): XenError {
  return new XenError("bad-argument", `vif: ${key}${reason.startsWith(":") ? "" : " "}${reason}`);
}

function number(key: string, text: string, low: number, high: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high)) throw bad(key, `${text} is not a number from ${low} to ${high}`);
  return value;
}

function boolean(key: string, text: string): boolean {
  if (["1", "on", "yes", "true"].includes(text)) return true;
  if (["0", "off", "no", "false"].includes(text)) return false;
  throw bad(key, `${text} is neither 1 nor 0`);
}

/** @throws XenError bad-argument, naming the key */
export function parseVif(text: string): ParsedVif {
  const parser = new VifParser();
  parser.read(text);
  return { config: parser.config, notes: parser.notes };
}
