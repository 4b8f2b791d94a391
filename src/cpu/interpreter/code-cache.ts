// Decoded code, by machine frame and code mode. A code page has a table of 4096 record addresses by page offset; records lie in
// one growing area. Invalidation turns records into Stale ones and forgets them; their memory comes back only when the
// whole cache is dropped, so a record pointer that someone still holds always leads to a fresh lookup.

import { FRAME_HAS_CODE, type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import { Slot } from "./core-module.js";
import * as R from "./record.js";

const TABLE_BYTES = 4096 * 4;
/** CODE_MODE of 64-bit code. */
const LONG_MODE = 2;
/** Writes that miss all decoded bytes, to this granularity, leave a page's code alone. */
const GRANULE_SHIFT = 6;
/** Most records that are made at once, pseudo records included (predecoder.ts). */
const MOST_RECORDS_OF_RUN = 64;
/** Words are kept as long as records, in as many bytes. */
const bytesOfWords = (words: number) => Math.ceil((words * 4) / R.RECORD_SIZE) * R.RECORD_SIZE;

export class CodePage {
  readonly frame: number;
  readonly mode: number;
  /** Linear address of the record table. */
  readonly table: number;
  /** 64 granules of 64 bytes that hold decoded bytes. */
  readonly granules = new Uint8Array(PAGE_SIZE >> GRANULE_SHIFT);
  /** Records of this page, pseudo records included, and of instructions that cross into it. */
  records: number[] = [];
  /** Doublings of what it takes to compile code of this page: it changes soon after it was compiled. */
  backOff = 0;

  constructor(frame: number, mode: number, table: number) {
    this.frame = frame;
    this.mode = mode;
    this.table = table;
  }
}

export class CodeCache {
  readonly #memory: MachineMemory;
  readonly #pages = new Map<number, CodePage>();
  readonly #byFrame = new Map<number, CodePage[]>();
  readonly #byTable = new Map<number, CodePage>();
  /** Linear address of a word for each frame: the record table of its 64-bit code, or 0. Generated code looks it up. */
  readonly frameTables: number;
  readonly #base: number;
  readonly #end: number;
  /** Records grow up from #base, tables down from #end. */
  #recordTop: number;
  #tableBottom: number;
  /** Called when a frame starts to hold code: its write translations must go. */
  onNewCodeFrame: (frame: number) => void = () => {};
  /** Called when all records of a page have become stale. */
  onForget: (page: CodePage) => void = () => {};
  /** Counts `drop`s: record addresses are used again afterwards. */
  generation = 0;
  invalidations = 0;

  constructor(memory: MachineMemory, bytes: number) {
    this.#memory = memory;
    this.frameTables = memory.allocateEngine(memory.frames * 4, 64);
    this.#base = memory.allocateEngine(bytes, 64);
    this.#end = this.#base + bytes;
    this.#recordTop = this.#base;
    this.#tableBottom = this.#end;
    memory.onCodeWrite = (address, length) => this.invalidate(address, length);
  }

  /** True when there is room for two pages and a run of records that begins in the first; else call `drop` first. */
  get hasRoom(): boolean {
    return this.hasRoomFor(0, 0);
  }
  /** The same with so many records and words (`store`) more. */
  hasRoomFor(records: number, words: number): boolean {
    const more = records * R.RECORD_SIZE + bytesOfWords(words);
    return this.#tableBottom - this.#recordTop - more >= 2 * TABLE_BYTES + MOST_RECORDS_OF_RUN * R.RECORD_SIZE;
  }

  get bytesUsed(): number {
    return this.#recordTop - this.#base + (this.#end - this.#tableBottom);
  }

  get pageCount(): number {
    return this.#pages.size;
  }

  page(frame: number, mode: number): CodePage {
    const key = frame * 4 + mode;
    const known = this.#pages.get(key);
    if (known) return known;
    this.#checkRoom(TABLE_BYTES);
    this.#tableBottom -= TABLE_BYTES;
    const page = new CodePage(frame, mode, this.#tableBottom);
    this.#pages.set(key, page);
    this.#byTable.set(page.table, page);
    if (mode === LONG_MODE) this.#memory.view.setUint32(this.frameTables + frame * 4, page.table, true);
    const siblings = this.#byFrame.get(frame);
    if (siblings) siblings.push(page);
    else this.#byFrame.set(frame, [page]);
    return page;
  }

  /** The page whose record table lies at `table`. */
  pageOfTable(table: number): CodePage | undefined {
    return this.#byTable.get(table);
  }

  recordAt(page: CodePage, offset: number): number {
    return this.#memory.view.getUint32(page.table + offset * 4, true);
  }

  /** Reserves one record; contiguous with the last one until the run ends. */
  newRecord(): number {
    return this.#takeRecords(R.RECORD_SIZE);
  }

  /** Keeps words for generated code, as long as records. Returns their linear address. */
  store(words: readonly number[]): number {
    const { view } = this.#memory;
    const address = this.#takeRecords(bytesOfWords(words.length));
    for (const [i, word] of words.entries()) view.setUint32(address + 4 * i, word, true);
    return address;
  }

  #takeRecords(bytes: number): number {
    this.#checkRoom(bytes);
    const address = this.#recordTop;
    this.#recordTop += bytes;
    return address;
  }
  /** Whoever takes something has asked for room: else records would run over tables. */
  #checkRoom(bytes: number): void {
    if (this.#tableBottom - this.#recordTop < bytes) throw new RangeError(`code cache: no room for ${bytes} bytes`);
  }

  /** Enters a record that holds the instruction at `offset`. */
  enter(page: CodePage, offset: number, record: number): void {
    this.#memory.view.setUint32(page.table + offset * 4, record, true);
  }

  /** Notes that bytes [from, to) of the page were decoded. */
  watch(page: CodePage, from: number, to: number): void {
    const { frameFlags } = this.#memory;
    for (let g = from >> GRANULE_SHIFT; g <= (to - 1) >> GRANULE_SHIFT; g++) page.granules[g] = 1;
    if (!(frameFlags[page.frame]! & FRAME_HAS_CODE)) {
      frameFlags[page.frame]! |= FRAME_HAS_CODE;
      this.onNewCodeFrame(page.frame);
    }
  }

  /** Machine memory [address, address + length), within one frame, is about to change or has changed. */
  invalidate(address: number, length: number): void {
    const frame = Math.floor(address / PAGE_SIZE);
    const first = (address % PAGE_SIZE) >> GRANULE_SHIFT;
    const last = ((address % PAGE_SIZE) + length - 1) >> GRANULE_SHIFT;
    let left = false;
    for (const page of this.#byFrame.get(frame) ?? []) {
      let hit = false;
      for (let g = first; g <= last; g++) hit ||= page.granules[g] === 1;
      if (hit) this.#forget(page);
      else left ||= page.records.length > 0;
    }
    if (!left) this.#memory.frameFlags[frame]! &= ~FRAME_HAS_CODE;
  }

  #forget(page: CodePage): void {
    this.invalidations++;
    const { view } = this.#memory;
    for (const record of page.records) {
      view.setUint32(record + R.HANDLER, Slot.Stale, true);
      const home = view.getUint32(record + R.PAGE, true);
      const slot = home + view.getUint16(record + R.OFFSET, true) * 4;
      // A pseudo record's OFFSET may be the end of the page, outside its table.
      if (slot < home + TABLE_BYTES && view.getUint32(slot, true) === record) view.setUint32(slot, 0, true);
    }
    page.records = [];
    page.granules.fill(0);
    this.onForget(page);
  }

  /** Forgets everything. Only when no record pointer is held anywhere; code TLBs must be emptied too. */
  drop(): void {
    this.generation++;
    for (const frame of this.#byFrame.keys()) this.#memory.frameFlags[frame]! &= ~FRAME_HAS_CODE;
    this.#memory.linear.fill(0, this.#base, this.#recordTop);
    this.#memory.linear.fill(0, this.#tableBottom, this.#end);
    this.#memory.linear.fill(0, this.frameTables, this.frameTables + this.#memory.frames * 4);
    this.#pages.clear();
    this.#byFrame.clear();
    this.#byTable.clear();
    this.#recordTop = this.#base;
    this.#tableBottom = this.#end;
  }
}
