// `rate=` of xl-network-configuration(5): "10Mb/s", "250KB/s", "1MB/s@20ms".

import type { Rate } from "../devices/xen/netback/rate-limit.js";
import { XenError } from "./errors.js";

const RATE = /^(\d{1,12})([GMK]?)([bB])\/s(?:@(\d{1,9})(ms|us|s)?)?$/;
const MULTIPLES: Readonly<Record<string, number>> = { "": 1, K: 1000, M: 1_000_000, G: 1_000_000_000 };
const MICROSECONDS: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };
const DEFAULT_INTERVAL_US = 50_000;
const MAX_INTERVAL_US = 10_000_000;

/** Bytes in each interval. @throws XenError bad-argument */
export function parseRate(text: string): Rate & { readonly intervalUs: number } {
  const match = RATE.exec(text.trim());
  if (!match) throw new XenError("bad-argument", `rate: "${text}" is not a rate such as 10Mb/s, 250KB/s or 1MB/s@20ms`);
  const [, digits, multiple, unit, interval, intervalUnit = "us"] = match;
  const bytesPerSecond = (Number(digits) * MULTIPLES[multiple!]!) / (unit === "b" ? 8 : 1);
  const intervalUs = interval === undefined ? DEFAULT_INTERVAL_US : Number(interval) * MICROSECONDS[intervalUnit]!;
  const bytesPerInterval = Math.floor((bytesPerSecond * intervalUs) / 1e6);
  if (intervalUs < 1000 || intervalUs > MAX_INTERVAL_US)
    throw new XenError("bad-argument", `rate: "${text}": the interval must be 1 ms to 10 s`);
  if (bytesPerInterval < 1) throw new XenError("bad-argument", `rate: "${text}" lets nothing through`);
  return { bytesPerInterval, intervalMs: intervalUs / 1000, intervalUs };
}
