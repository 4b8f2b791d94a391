// channel=[…] of xl.cfg(5): consoles beside a PV domain's first, each with a name for programs in the guest and an end on the host: a
// pty, or a Unix socket that the host listens at.

import { isAbsolute, resolve } from "node:path";
import type { ConsoleConfig } from "../host/console-devices.js";
import { shorten } from "./xl-lexer.js";
import type { XlValues } from "./xl-values.js";

const KEYS = ["backend", "name", "connection", "path"] as const;
type Parameters = Partial<Record<(typeof KEYS)[number], string>>;

/** @returns undefined when there are none. @throws ConfigError */
export function readChannels(values: XlValues, options: { readonly directory?: string }): ConsoleConfig[] | undefined {
  if (!values.isOn("channel")) return undefined;
  return values.list("channel").map(({ text, line }) => {
    const fail = (message: string): never => values.fail("channel", message, line);
    const parameters: Parameters = {};
    for (const word of text.split(",").map((each) => each.trim())) {
      const at = word.indexOf("=");
      const key = KEYS.find((known) => known === word.slice(0, Math.max(at, 0)).trim());
      if (!key) return fail(`${shorten(word)} is none of ${KEYS.join("=…, ")}=…`);
      parameters[key] = word.slice(at + 1).trim();
    }
    const { backend = "0", name, connection, path } = parameters;
    if (backend !== "0" && backend !== "Domain-0")
      return fail(`backend ${shorten(backend)}: there are no driver domains; the host is the backend`);
    const named = name ? { name } : {};
    if (connection === "pty") return { ...named, pty: true };
    if (connection !== "socket") return fail("connection must be pty or socket");
    if (!path) return fail("a channel of connection=socket needs path=");
    const isWhole = isAbsolute(path) || options.directory === undefined;
    return { ...named, socket: isWhole ? path : resolve(options.directory, path) };
  });
}
