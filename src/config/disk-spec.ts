// The disk syntax of xl-disk-configuration(5), as libxlutil 4.17 reads it: positional parameters, key=value, flags, and the old
// prefixes ("phy:", "tap:aio:", …) after which vdev comes second.

import { shorten } from "./xl-lexer.js";

export const DISK_FORMATS = ["raw", "qcow", "qcow2", "vhd", "qed"] as const;

export interface DiskSpec {
  /** Undefined: an empty CD-ROM drive. */
  readonly target: string | undefined;
  readonly format: (typeof DISK_FORMATS)[number];
  /** As written. */
  readonly vdev: string;
  /** A CD-ROM is always "r". */
  readonly access: "r" | "w";
  readonly cdrom: boolean;
  readonly backend?: string;
  readonly backendtype?: string;
  readonly script?: string;
  readonly specification?: string;
  readonly directIoSafe: boolean;
  /** Undefined: not said; discard is offered then where the image can. */
  readonly discard?: boolean;
  /** "phy:", without which a relative target is a file. */
  readonly isPhysical: boolean;
}

/** That isn't a disk: the message says what of it. */
export class DiskSpecError extends Error {
  override readonly name = "DiskSpecError";
}

const BACKEND_TYPES = ["phy", "tap", "qdisk", "standalone"];
const IGNORED_PREFIXES = ["tapdisk", "tap2", "tap", "aio", "ioemu", "file", "phy"];
const SCRIPT_PREFIXES = ["iscsi", "nbd", "enbd", "drbd"];
const FORMAT_PREFIXES = ["raw", "qcow2", "qcow", "vhd"];
const ACCESSES = ["r", "ro", "w", "rw"] as const;
const POSITIONAL = ["target", "format", "vdev", "access"] as const;
const POSITIONAL_OLD = ["target", "vdev", "access"] as const;

/** Parameters by name, each at most once. */
type Parameters = Map<string, string>;

const FLAGS: Readonly<Record<string, readonly [string, string]>> = {
  cdrom: ["devtype", "cdrom"],
  "direct-io-safe": ["direct-io-safe", "1"],
  discard: ["discard", "1"],
  "no-discard": ["discard", "0"],
  trusted: ["trusted", "1"],
  untrusted: ["trusted", "0"],
};
const NAMED = [
  ...["target", "format", "vdev", "access", "devtype", "backend", "backendtype", "script", "specification"],
];

/** @param specs one string, or several that are read as one (as `block-attach` takes them). @throws DiskSpecError */
export function parseDiskSpec(...specs: readonly string[]): DiskSpec {
  const parameters: Parameters = new Map();
  let isOld = false;
  for (const spec of specs) {
    let rest = spec;
    while (rest !== "") {
      rest = rest.replace(/^[ \t\n\r]+/, "");
      if (rest.startsWith("target=")) {
        set(parameters, "target", rest.slice("target=".length));
        break;
      }
      if (!parameters.has("target") && !isOld) {
        const after = takePrefixes(parameters, rest);
        isOld = after !== rest;
        rest = after;
      }
      const end = rest.indexOf(",");
      const word = end < 0 ? rest : rest.slice(0, end);
      rest = end < 0 ? "" : rest.slice(end + 1);
      // Xend's empty drive: ",hdc:cdrom,r".
      if (parameters.get("target") === "" && !parameters.has("format") && /^[^=,:]+:cdrom$/.test(word)) isOld = true;
      takeWord(parameters, word, isOld);
    }
  }
  return finish(parameters, specs.join(","));
}

const has = (parameters: Parameters, name: string) => (parameters.get(name) ?? "") !== "";

function set(parameters: Parameters, name: string, value: string): void {
  if (has(parameters, name)) throw new DiskSpecError(`${name} respecified: near ${shorten(value)}`);
  parameters.set(name, value);
}

/** Strips "tap:aio:" and the like from the start of a target. */
function takePrefixes(parameters: Parameters, text: string): string {
  let rest = text;
  for (;;) {
    const match = /^([a-z][a-z0-9]*):/.exec(rest);
    if (!match) return rest;
    const prefix = match[1]!;
    rest = rest.slice(match[0].length);
    if (FORMAT_PREFIXES.includes(prefix)) set(parameters, "format", prefix);
    else if (SCRIPT_PREFIXES.includes(prefix)) set(parameters, "script", `block-${prefix}`);
    else if (!IGNORED_PREFIXES.includes(prefix))
      throw new DiskSpecError(`unknown deprecated disk prefix: near ${shorten(match[0])}`);
    if (prefix === "phy") parameters.set("phy", "1");
  }
}

function takeWord(parameters: Parameters, word: string, isOld: boolean): void {
  const named = /^([a-z][-_a-z0-9]*)=(.*)$/s.exec(word);
  if (named) {
    if (!NAMED.includes(named[1]!)) throw new DiskSpecError(`unknown parameter: near ${shorten(word)}`);
    set(parameters, named[1]!, named[2]!.trim());
    return;
  }
  const flag = Object.hasOwn(FLAGS, word.trim()) ? FLAGS[word.trim()] : undefined;
  if (flag) {
    parameters.set(flag[0], flag[1]);
    return;
  }
  const positions: readonly string[] = isOld ? POSITIONAL_OLD : POSITIONAL;
  const name = positions.find((position) => !parameters.has(position));
  if (name === undefined) {
    if (word === "") return;
    throw new DiskSpecError(`too many positional parameters: near ${shorten(word)}`);
  }
  const type = isOld && name === "vdev" ? /^(.+):(cdrom|disk)$/.exec(word) : null;
  parameters.set(name, type ? type[1]! : word);
  if (type) parameters.set("devtype", type[2]!);
  if (name === "access") choose(parameters, "access", ACCESSES);
}

/** Undefined: not given, or given empty. @throws DiskSpecError */
function choose<T extends string>(parameters: Parameters, name: string, choices: readonly T[]): T | undefined {
  const value = parameters.get(name) || undefined;
  const found = choices.find((choice) => choice === value);
  if (value !== undefined && found === undefined)
    throw new DiskSpecError(`unknown value for ${name}: near ${shorten(value)}`);
  return found;
}

function finish(parameters: Parameters, spec: string): DiskSpec {
  const get = (name: string) => parameters.get(name) || undefined;
  const format = choose(parameters, "format", DISK_FORMATS) ?? "raw";
  const access = choose(parameters, "access", ACCESSES) ?? "rw";
  const cdrom = choose(parameters, "devtype", ["cdrom", "disk"]) === "cdrom";
  const backendtype = choose(parameters, "backendtype", BACKEND_TYPES);
  const specification = choose(parameters, "specification", ["xen", "virtio"]);
  const target = get("target");
  const vdev = get("vdev");
  if (vdev === undefined) throw new DiskSpecError(`no vdev specified in ${shorten(spec)}`);
  if (target === undefined && !cdrom)
    throw new DiskSpecError(`no target specified (and device not removable) in ${shorten(spec)}`);
  const discard = parameters.get("discard");
  const optional = { backend: get("backend"), backendtype, script: get("script"), specification };
  return {
    ...{ target, format, vdev, cdrom, access: cdrom || access === "r" || access === "ro" ? "r" : "w" },
    directIoSafe: parameters.has("direct-io-safe"),
    isPhysical: parameters.has("phy") || backendtype === "phy",
    ...(discard === undefined ? {} : { discard: discard === "1" }),
    ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as object),
  };
}
