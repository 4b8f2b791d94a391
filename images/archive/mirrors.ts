// Base URLs of the archives: Debian's own unless an option or the environment names others.
import { ImageError } from "../image-error.js";
import type { Environment } from "./proxy.js";

export interface Mirrors {
  /** Base URLs without a final slash: what holds dists/ and pool/. */
  readonly debian: string;
  readonly security: string;
}

/** Reads XEN_TS_DEBIAN_MIRROR and XEN_TS_DEBIAN_SECURITY_MIRROR. Throws ImageError "bad-option" on a value that is no URL. */
export function mirrorsFrom(environment: Environment, options: Partial<Mirrors> = {}): Mirrors {
  const choose = (option: string | undefined, name: string, fallback: string) =>
    baseUrl(option ?? (environment[name] || fallback), option === undefined ? name : "the mirror option");
  return {
    debian: choose(options.debian, "XEN_TS_DEBIAN_MIRROR", "http://deb.debian.org/debian"),
    security: choose(options.security, "XEN_TS_DEBIAN_SECURITY_MIRROR", "http://deb.debian.org/debian-security"),
  };
}

function baseUrl(value: string, origin: string): string {
  let url: URL | undefined;
  try {
    url = new URL(value);
  } catch {
    url = undefined;
  }
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new ImageError("bad-option", `${origin} is not an http or https URL: ${value}`);
  }
  return url.href.replace(/\/+$/, "");
}
