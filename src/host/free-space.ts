// Gives space of raw images back to the machine: fallocate(2) makes a hole in a file, the ioctl BLKDISCARD trims a block device
// (linux/falloc.h, linux/fs.h). Node has neither, so both go through koffi, an optional package, on a thread of the pool.

import type { FreeSpace } from "../devices/storage/host-file.js";
import { importKoffi } from "./koffi.js";

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
/** _IO(0x12, 119), with the start and the length as two 64-bit numbers */
const BLKDISCARD = 0x1277;
const OFF_T_BYTES = 8;

/** Undefined: raw images on this machine don't shrink. */
export async function spaceFreer(): Promise<FreeSpace | undefined> {
  if (process.platform !== "linux") return undefined;
  const koffi = await importKoffi(() => undefined);
  // off_t is a long; where that has 32 bits large files are out of reach.
  if (!koffi || koffi.sizeof("long") !== OFF_T_BYTES) return undefined;
  const c = koffi.load(null);
  const fallocate = c.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
  const ioctl = c.func("int ioctl(int fd, unsigned long request, uint64_t *range)");
  return (fd, isBlockDevice, offset, length) =>
    new Promise((resolve, reject) => {
      const [name, call, ...values] = isBlockDevice
        ? (["BLKDISCARD", ioctl, fd, BLKDISCARD, BigUint64Array.of(BigInt(offset), BigInt(length))] as const)
        : (["fallocate", fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length] as const);
      call.async(...values, (error: unknown, result: number) => {
        if (error) reject(error instanceof Error ? error : new Error(String(error)));
        // The error's number stays on the pool's thread.
        else if (result !== 0) reject(new Error(`${name} of ${length} bytes at ${offset} failed`));
        else resolve();
      });
    });
}
