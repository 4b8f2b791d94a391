// A TAP device of Linux (Documentation/networking/tuntap.rst) as a port: what the machine's network stack sends to the device, guests
// receive, and the other way round. The ioctl goes through koffi, an optional package; reads are told by poll(2) on a thread of
// the pool, at most POLL_MS long, so that a closed device is let go.

import { close, constants, openSync, readSync, writeSync } from "node:fs";
import {
  type FrameHandler,
  ignoreFrame,
  isFrameSize,
  MAX_FRAME_SIZE,
  type PacketPort,
} from "../devices/network/packet-port.js";
import { importKoffi } from "./koffi.js";

/** The device can't be had; the message says why and what helps. */
export class TapError extends Error {
  override readonly name = "TapError";
}

interface SystemCalls {
  /** -errno on failure. */
  setInterface(fd: number, request: Uint8Array): number;
  /** Calls back when the file of the entry (struct pollfd) can be read, or after so many milliseconds. */
  poll(entry: Uint8Array, milliseconds: number, done: () => void): void;
}

const DEVICE = "/dev/net/tun";
/** linux/if_tun.h: _IOW('T', 202, int) */
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
/** linux/if.h: struct ifreq */
const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const POLLIN = 1;
const POLL_MS = 250;
const MAX_FRAMES_A_TURN = 64;
const [EPERM, EBUSY, EINVAL] = [1, 16, 22] as const;

async function systemCalls(): Promise<SystemCalls> {
  const koffi = await importKoffi((cause): never => {
    throw new TapError("TAP devices need the optional package koffi: npm install koffi", { cause });
  });
  const c = koffi.load(null);
  const ioctl = c.func("int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)");
  const poll = c.func("int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)");
  return {
    setInterface: (fd, request) => (ioctl(fd, TUNSETIFF, request) < 0 ? -koffi.errno() : 0),
    poll: (entry, milliseconds, done) => poll.async(entry, 1, milliseconds, done),
  };
}

class TapPort implements PacketPort {
  readonly name: string;
  readonly takesOffload = false;
  wantsOffload = false;
  onFrame: FrameHandler = ignoreFrame;
  readonly #fd: number;
  readonly #calls: SystemCalls;
  readonly #buffer = new Uint8Array(MAX_FRAME_SIZE);
  /** Ours for as long as we poll: the kernel writes to it while another thread waits, and koffi doesn't hold it. */
  readonly #entry = new Uint8Array(new ArrayBuffer(8));
  #isClosed = false;
  /** Frames that the device had no room for. */
  dropped = 0;

  constructor(name: string, fd: number, calls: SystemCalls) {
    this.name = name;
    this.#fd = fd;
    this.#calls = calls;
    const view = new DataView(this.#entry.buffer);
    view.setInt32(0, fd, true);
    view.setInt16(4, POLLIN, true);
    this.#wait();
  }

  #wait(): void {
    this.#calls.poll(this.#entry, POLL_MS, () => {
      if (this.#isClosed) return close(this.#fd, () => {});
      this.#read();
      this.#wait();
    });
  }

  #read(): void {
    for (let i = 0; i < MAX_FRAMES_A_TURN && !this.#isClosed; i++) {
      let length: number;
      try {
        length = readSync(this.#fd, this.#buffer);
      } catch {
        // Nothing more (EAGAIN), or the device is down (EIO).
        return;
      }
      if (isFrameSize(length)) this.onFrame(this.#buffer.slice(0, length));
    }
  }

  send(frame: Uint8Array): void {
    if (this.#isClosed || !isFrameSize(frame.length)) return;
    try {
      writeSync(this.#fd, frame);
    } catch {
      // Its queue is full, or the device is down.
      this.dropped++;
    }
  }

  close(): void {
    this.#isClosed = true;
    this.onFrame = ignoreFrame;
  }
}

/**
 * Opens a TAP device, making it if there is none of that name; such a one goes when it is closed.
 * @param device default: a name that the kernel chooses ("tap0")
 * @throws TapError
 */
export async function openTap(device = ""): Promise<PacketPort> {
  if (process.platform !== "linux") throw new TapError("TAP devices are supported on Linux only");
  if (!/^[A-Za-z0-9_.-]{0,15}$/.test(device)) throw new TapError(`"${device}" is not a name of a network device`);
  const calls = await systemCalls();
  let fd: number;
  try {
    fd = openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    throw new TapError(`${DEVICE} can't be opened: ${(cause as Error).message}`, { cause });
  }
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(new TextEncoder().encode(device));
  new DataView(request.buffer).setUint16(IFNAMSIZ, IFF_TAP | IFF_NO_PI, true);
  const error = -calls.setInterface(fd, request);
  if (error !== 0) {
    close(fd, () => {});
    throw new TapError(reasonOf(error, device));
  }
  const name = Buffer.from(request.subarray(0, request.indexOf(0))).toString("latin1");
  return new TapPort(name, fd, calls);
}

function reasonOf(error: number, device: string): string {
  const name = device || "tap0";
  if (error === EPERM)
    return `not permitted: as root, "ip tuntap add dev ${name} mode tap user $USER" makes one for you to use`;
  if (error === EBUSY) return `${name} is in use`;
  if (error === EINVAL) return `${name} exists and is no TAP device`;
  return `TUNSETIFF failed with error ${error}`;
}
