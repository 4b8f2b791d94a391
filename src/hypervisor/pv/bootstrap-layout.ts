// The start-of-day memory layout of a 64-bit PV domain (xen.h: "Start-of-day memory layout"): kernel, ramdisk, P2M, start_info,
// xenstore and console rings, page tables, stack, in this order from the virtual base on, each on a page of its own, then at
// least 512 KiB of slack up to a 4 MiB boundary. Ramdisk and P2M lie outside of it when the kernel allows that. Pure arithmetic.

export interface BootstrapRequest {
  /** Virtual address of pseudo-physical 0. */
  readonly virtualBase: bigint;
  readonly kernelEnd: bigint;
  readonly ramdiskBytes: number;
  /** The kernel takes the ramdisk by frame number, not mapped (MOD_START_PFN). */
  readonly ramdiskByFrame: boolean;
  readonly pages: number;
  /** Where the kernel wants the P2M, or undefined: in the bootstrap region. */
  readonly p2mBase: bigint | undefined;
  readonly startInfoBytes: number;
  /** Ring pages. */
  readonly hasStore: boolean;
  readonly hasConsole: boolean;
}

export interface BootstrapLayout {
  readonly start: bigint;
  readonly ramdisk: bigint | undefined;
  readonly p2m: bigint;
  readonly startInfo: bigint;
  readonly store: bigint | undefined;
  readonly console: bigint | undefined;
  readonly tables: bigint;
  readonly tablePages: number;
  readonly stack: bigint;
  /** End of the stack page: the initial stack pointer. */
  readonly stackEnd: bigint;
  readonly end: bigint;
  /** Pages from `start` to `end`, mapped 1:1 with the first pseudo-physical frames. */
  readonly mappedPages: number;
  /** Pages outside of the mapped region: ramdisk, and P2M with its tables. */
  readonly ramdiskPages: number;
  readonly p2mFrames: P2mPages | undefined;
}

/** Frames of a P2M at an address of its own. */
export interface P2mPages {
  readonly data: number;
  readonly l1: number;
  readonly l2: number;
  readonly l3: number;
  readonly total: number;
}

const PAGE = 4096n;
const SUPERPAGE = 1n << 22n;
const SLACK = 512n * 1024n;

const pageUp = (address: bigint): bigint => (address + PAGE - 1n) & -PAGE;

/** How many aligned blocks of 2^shift bytes [start, end) touches. */
function blocks(start: bigint, end: bigint, shift: bigint): number {
  if (end <= start) return 0;
  return Number(((end - 1n) >> shift) - (start >> shift)) + 1;
}

export function bootstrapLayout(request: BootstrapRequest): BootstrapLayout {
  const start = request.virtualBase;
  let at = pageUp(request.kernelEnd);
  const next = (bytes: bigint): bigint => {
    const here = at;
    at = pageUp(at + bytes);
    return here;
  };
  const mapsRamdisk = request.ramdiskBytes > 0 && !request.ramdiskByFrame;
  const ramdisk = mapsRamdisk ? next(BigInt(request.ramdiskBytes)) : undefined;
  const p2m = request.p2mBase ?? next(BigInt(request.pages) * 8n);
  const startInfo = next(BigInt(request.startInfoBytes));
  const store = request.hasStore ? next(PAGE) : undefined;
  const console = request.hasConsole ? next(PAGE) : undefined;
  const tables = at;

  // More table pages can make the region longer, which can take more table pages.
  for (let tablePages = 4; ; tablePages++) {
    const stack = tables + BigInt(tablePages) * PAGE;
    const stackEnd = stack + PAGE;
    let end = (stackEnd + SUPERPAGE - 1n) & -SUPERPAGE;
    if (end - stackEnd < SLACK) end += SUPERPAGE;
    const needed = 1 + blocks(start, end, 39n) + blocks(start, end, 30n) + blocks(start, end, 21n);
    if (needed > tablePages) continue;
    return {
      start,
      ramdisk,
      p2m,
      startInfo,
      store,
      console,
      tables,
      tablePages,
      stack,
      stackEnd,
      end,
      mappedPages: Number((end - start) / PAGE),
      ramdiskPages: mapsRamdisk ? 0 : Math.ceil(request.ramdiskBytes / 4096),
      p2mFrames: request.p2mBase === undefined ? undefined : p2mPages(request.p2mBase, request.pages),
    };
  }
}

function p2mPages(base: bigint, pages: number): P2mPages {
  const end = base + BigInt(pages) * 8n;
  const data = Math.ceil((pages * 8) / 4096);
  const l1 = blocks(base, end, 21n);
  const l2 = blocks(base, end, 30n);
  const l3 = blocks(base, end, 39n);
  return { data, l1, l2, l3, total: data + l1 + l2 + l3 };
}
