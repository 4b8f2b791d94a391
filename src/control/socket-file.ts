// Where hosts of this user have their directories, and who owns one: the socket in it is claimed by linking it into place, so two
// hosts that start at once don't both get it; one whose process is gone is replaced.

import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync, unlinkSync } from "node:fs";
import { createConnection } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { XenError } from "../host/errors.js";

export const DEFAULT_HOST = "default";
const SOCKET = "control.sock";
/** sockaddr_un's sun_path holds 108 bytes with the final zero. */
const MAX_PATH = 107;
const HOST_NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** @throws XenError bad-argument */
export function checkHostName(name: string): string {
  if (HOST_NAME.test(name)) return name;
  throw new XenError("bad-argument", `"${name}" is not a host's name: letters, digits, dots, dashes and underscores`);
}

/** $XDG_RUNTIME_DIR/xen-ts, or ~/.xen-ts */
export function hostsDirectory(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  return runtime ? join(runtime, "xen-ts") : join(homedir(), ".xen-ts");
}

export function hostDirectory(name: string): string {
  return join(hostsDirectory(), checkHostName(name));
}

export function socketPath(name: string): string {
  const path = join(hostDirectory(name), SOCKET);
  if (Buffer.byteLength(path) > MAX_PATH)
    throw new XenError("bad-argument", `${path}: a socket's path can have ${MAX_PATH} bytes; set XDG_RUNTIME_DIR`);
  return path;
}

/** The host's directory, ours alone. @throws XenError when another user could write there */
export function makeHostDirectory(name: string): string {
  const directory = hostDirectory(name);
  for (const path of [hostsDirectory(), directory]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(path);
    if ((process.getuid && uid !== process.getuid()) || (mode & 0o022) !== 0)
      throw new XenError("bad-argument", `${path}: others can write there; a host's directory must be its user's own`);
  }
  return directory;
}

/** Does somebody answer there? */
export function isAnswering(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // A full backlog (EAGAIN) has a process behind it; a path without one refuses.
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "EAGAIN"));
  });
}

/**
 * Puts a socket of our own at the host's path.
 * @param listen makes a socket at the path that it is given
 * @returns what removes the socket again
 * @throws XenError host-running: another process has it
 */
export async function claimSocket(name: string, listen: (path: string) => Promise<void>): Promise<() => void> {
  const path = socketPath(name);
  const own = `${path}.${process.pid}`;
  rmSync(own, { force: true });
  // Nobody may connect before the mode is right: the directory is 0700, and the name is not the one that clients use.
  await listen(own);
  chmodSync(own, 0o600);
  const { ino } = lstatSync(own);
  try {
    await linkInPlace(name, own, path);
  } finally {
    rmSync(own, { force: true });
  }
  return () => {
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
  };
}

async function linkInPlace(name: string, own: string, path: string): Promise<void> {
  for (;;) {
    try {
      return linkSync(own, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const before = lstatSync(path, { throwIfNoEntry: false })?.ino;
    if (await isAnswering(path)) throw hostIsRunning(name);
    const after = lstatSync(path, { throwIfNoEntry: false })?.ino;
    if (before !== undefined && before === after) unlinkSync(path);
  }
}

export function hostIsRunning(name: string): XenError {
  const down = `"xen-ts down --host ${name}" ends it, --host NAME gives this one another name`;
  return new XenError("host-running", `a host named ${name} is running already; ${down}`);
}

/** Names of the hosts that run. */
export async function runningHosts(): Promise<string[]> {
  let names: string[];
  try {
    names = readdirSync(hostsDirectory()).filter((name) => HOST_NAME.test(name));
  } catch {
    return [];
  }
  const answers = await Promise.all(names.map((name) => isAnswering(join(hostsDirectory(), name, SOCKET))));
  return names.filter((_, i) => answers[i]).sort();
}
