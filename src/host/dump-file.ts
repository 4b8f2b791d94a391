// Writes a domain's core to a file, with the event loop and the guests getting their turns in between.

import { open } from "node:fs/promises";
import { dumpCore } from "../hypervisor/dump-core.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import { XenError } from "./errors.js";

/** @throws XenError bad-argument: the file can't be written; domain-gone */
export async function writeCore(domain: Domain, path: string): Promise<void> {
  try {
    // The guest's memory is nobody else's business.
    const file = await open(path, "w", 0o600);
    try {
      for (const piece of dumpCore(domain)) {
        for (let done = 0; done < piece.length; )
          done += (await file.write(piece, done, piece.length - done)).bytesWritten;
        if (domain.isDying) throw new XenError("domain-gone", `${domain.name}: destroyed before its core was complete`);
      }
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof XenError || !(cause instanceof Error)) throw cause;
    throw new XenError("bad-argument", `core of ${domain.name}: ${cause.message}`, { cause });
  }
}
