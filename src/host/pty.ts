// A pseudo-terminal of Linux (pty(7), ptmx(4)): programs open its path, we hold the other side. Raw, so that nothing is echoed or changed,
// and we keep the path's side open as well: without that, reads fail while nobody else has it open. What the C library alone
// can do goes through koffi, an optional package; bytes go through Node's files and streams.

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import { XenError } from "./errors.js";
import { importKoffi } from "./koffi.js";

export interface Pty {
  /** "/dev/pts/3" */
  readonly path: string;
  /** Bytes that a program wrote to the path; pause() and resume() hold them back. Emits "close" when the pty is gone. */
  readonly input: ReadStream;
  /** Never waits. @returns how many bytes were taken, from the first; 0 when there is no room, or it is closed */
  write(bytes: Uint8Array): number;
  /** For those who have it open the line hangs up: end of file, and EIO for writers. */
  close(): void;
}

/** @throws Error: none can be had now */
export type OpenPty = () => Pty;

const DEVICE = "/dev/ptmx";
const OPEN_FLAGS = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
const MAX_PATH = 128;
/** More than struct termios of any C library. */
const TERMIOS_BYTES = 256;
const TCSANOW = 0;

/** @throws XenError unsupported: ptys can't be had here */
export async function ptyOpener(): Promise<OpenPty> {
  if (process.platform !== "linux") throw new XenError("unsupported", "console ptys are supported on Linux only");
  const koffi = await importKoffi((cause): never => {
    throw new XenError("unsupported", "console ptys need the optional package koffi: npm install koffi", { cause });
  });
  const c = koffi.load(null);
  const unlockpt = c.func("int unlockpt(int fd)");
  const ptsname = c.func("int ptsname_r(int fd, _Out_ uint8_t *path, size_t size)");
  const tcgetattr = c.func("int tcgetattr(int fd, _Out_ uint8_t *modes)");
  const cfmakeraw = c.func("void cfmakeraw(_Inout_ uint8_t *modes)");
  const tcsetattr = c.func("int tcsetattr(int fd, int when, const uint8_t *modes)");
  const check = (name: string, isDone: boolean) => {
    if (!isDone) throw new Error(`${name} failed with error ${koffi.errno()}`);
  };

  const openPath = (fd: number): { path: string; held: number } => {
    check("unlockpt", unlockpt(fd) === 0);
    const name = new Uint8Array(MAX_PATH);
    check("ptsname_r", ptsname(fd, name, MAX_PATH) === 0);
    const path = Buffer.from(name.subarray(0, name.indexOf(0))).toString();
    const held = openSync(path, OPEN_FLAGS);
    try {
      const modes = new Uint8Array(TERMIOS_BYTES);
      check("tcgetattr", tcgetattr(held, modes) === 0);
      cfmakeraw(modes);
      check("tcsetattr", tcsetattr(held, TCSANOW, modes) === 0);
    } catch (error) {
      closeSync(held);
      throw error;
    }
    return { path, held };
  };

  return () => {
    const fd = openSync(DEVICE, OPEN_FLAGS);
    try {
      const { path, held } = openPath(fd);
      return new OpenedPty(path, fd, held);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  };
}

class OpenedPty implements Pty {
  readonly path: string;
  readonly input: ReadStream;
  readonly #fd: number;

  constructor(path: string, fd: number, held: number) {
    this.path = path;
    this.#fd = fd;
    // It owns the file from here on.
    this.input = new ReadStream(fd);
    this.input.on("error", () => {});
    this.input.once("close", () => closeSync(held));
  }

  write(bytes: Uint8Array): number {
    if (this.input.destroyed) return 0;
    try {
      return writeSync(this.#fd, bytes);
    } catch {
      // No room (EAGAIN), or hung up (EIO), which the stream notices too.
      return 0;
    }
  }

  close(): void {
    this.input.destroy();
  }
}
