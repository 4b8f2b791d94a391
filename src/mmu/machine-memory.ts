// Machine memory: one WebAssembly.Memory for a whole host. Engine state (vCPU structs, TLBs, decoded records) lies below
// `ramBase`; machine frame N lies at linear address ramBase + N * 4096. Wasm code reads it directly; TypeScript uses
// the methods here, which take machine addresses (numbers below 2^32).
// Invariant: every TypeScript write to RAM passes through this class, so that decoded code in a frame is dropped.

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** Bit of `frameFlags`: the CPU holds decoded instructions of this frame, so writes must be reported. */
export const FRAME_HAS_CODE = 1;

const WASM_PAGE = 65536;
const MAX_BYTES = 65536 * WASM_PAGE;

export interface MachineMemoryOptions {
  /** Number of 4096-byte machine frames. */
  readonly frames: number;
  /** Bytes reserved below RAM for the engine; rounded up to 64 KiB. */
  readonly engineBytes: number;
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / WASM_PAGE) * WASM_PAGE;
}

export class MachineMemory {
  readonly memory: WebAssembly.Memory;
  /** Linear address of machine address 0. */
  readonly ramBase: number;
  readonly frames: number;
  /** RAM only: index = machine address (u8), machine address / 4 (u32), / 8 (u64). Reading is free; write through methods. */
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  /** The whole linear memory, engine area included. */
  readonly linear: Uint8Array;
  readonly view: DataView;
  /** The same in 32-bit words, engine area included: index = linear address / 4. */
  readonly words: Int32Array;
  /** One byte a frame (FRAME_HAS_CODE), itself in linear memory at `frameFlagsBase` so that Wasm code can test it. */
  readonly frameFlags: Uint8Array;
  readonly frameFlagsBase: number;
  /**
   * One word a frame, at `frameWritersBase`: which parts of TLBs (a bit for each, ../cpu/tlb-layout.ts) may let writes to it through
   * without a check.
   */
  readonly frameWriters: Int32Array;
  readonly frameWritersBase: number;
  /** Called before RAM that holds decoded code changes. Set by the CPU engine. */
  onCodeWrite: (machineAddress: number, length: number) => void = () => {};
  #engineTop: number;
  readonly #engineEnd: number;

  /** @throws RangeError when frames and engine area don't fit into 4 GiB. */
  constructor(options: MachineMemoryOptions) {
    const { frames } = options;
    const flagsBytes = wholePages(frames);
    const writersBytes = wholePages(4 * frames);
    const engine = wholePages(options.engineBytes) + writersBytes + flagsBytes;
    const total = engine + frames * PAGE_SIZE;
    const pages = Math.ceil(total / WASM_PAGE);
    if (!Number.isInteger(frames) || frames <= 0 || pages * WASM_PAGE > MAX_BYTES)
      throw new RangeError(`machine memory: ${frames} frames don't fit into the 4 GiB of one WebAssembly memory`);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.frames = frames;
    this.ramBase = engine;
    this.linear = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.words = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer, engine, frames * PAGE_SIZE);
    this.u32 = new Uint32Array(buffer, engine, (frames * PAGE_SIZE) / 4);
    this.u64 = new BigUint64Array(buffer, engine, (frames * PAGE_SIZE) / 8);
    this.frameFlagsBase = engine - flagsBytes;
    this.frameFlags = new Uint8Array(buffer, this.frameFlagsBase, frames);
    this.frameWritersBase = this.frameFlagsBase - writersBytes;
    this.frameWriters = new Int32Array(buffer, this.frameWritersBase, frames);
    // Linear address 0 stays unused, so that 0 can mean "none" in the engine's structures.
    this.#engineTop = 4096;
    this.#engineEnd = this.frameWritersBase;
  }

  /** Reserves zeroed engine memory for good. Returns a linear address. @throws RangeError when the engine area is full. */
  allocateEngine(bytes: number, alignment = 64): number {
    const base = Math.ceil(this.#engineTop / alignment) * alignment;
    if (base + bytes > this.#engineEnd) throw new RangeError(`engine memory: no room for ${bytes} bytes`);
    this.#engineTop = base + bytes;
    return base;
  }

  /** True when [maddr, maddr + length) is RAM. */
  contains(maddr: number, length: number): boolean {
    return maddr >= 0 && length >= 0 && maddr + length <= this.frames * PAGE_SIZE;
  }

  readU8(maddr: number): number {
    return this.u8[maddr]!;
  }

  readU32(maddr: number): number {
    return this.view.getUint32(this.ramBase + maddr, true);
  }

  readU64(maddr: number): bigint {
    return this.view.getBigUint64(this.ramBase + maddr, true);
  }

  /** A view, not a copy: valid for the life of this object. */
  bytes(maddr: number, length: number): Uint8Array {
    if (!this.contains(maddr, length))
      throw new RangeError(`machine address ${maddr.toString(16)}+${length} is not RAM`);
    return this.u8.subarray(maddr, maddr + length);
  }

  writeU8(maddr: number, value: number): void {
    this.#touch(maddr, 1);
    this.u8[maddr] = value;
  }

  writeU32(maddr: number, value: number): void {
    this.#touch(maddr, 4);
    this.view.setUint32(this.ramBase + maddr, value, true);
  }

  writeU64(maddr: number, value: bigint): void {
    this.#touch(maddr, 8);
    this.view.setBigUint64(this.ramBase + maddr, value, true);
  }

  write(maddr: number, bytes: Uint8Array): void {
    if (!this.contains(maddr, bytes.length)) throw new RangeError(`machine address ${maddr.toString(16)} is not RAM`);
    this.#touch(maddr, bytes.length);
    this.u8.set(bytes, maddr);
  }

  /** A view to be written to at once, before any guest runs. */
  writable(maddr: number, length: number): Uint8Array {
    const view = this.bytes(maddr, length);
    this.#touch(maddr, length);
    return view;
  }

  fill(maddr: number, length: number, value = 0): void {
    if (!this.contains(maddr, length)) throw new RangeError(`machine address ${maddr.toString(16)} is not RAM`);
    this.#touch(maddr, length);
    this.u8.fill(value, maddr, maddr + length);
  }

  #touch(maddr: number, length: number): void {
    const last = (maddr + length - 1) >>> PAGE_SHIFT;
    for (let frame = maddr >>> PAGE_SHIFT; frame <= last; frame++) {
      if (this.frameFlags[frame]! & FRAME_HAS_CODE) {
        const start = Math.max(maddr, frame * PAGE_SIZE);
        const end = Math.min(maddr + length, (frame + 1) * PAGE_SIZE);
        this.onCodeWrite(start, end - start);
      }
    }
  }
}
