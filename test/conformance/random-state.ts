// A random initial state from a seed. The committed vectors store seeds, so a change here (or in random.ts) means
// that they must be generated again. Order of draws: registers, flags, patch contents, x87, SSE.
import {
  CASE_SIZE,
  CODE_BASE,
  CODE32_SELECTOR,
  CODE64_SELECTOR,
  DATA_BASE,
  DATA_SELECTOR,
  FXSAVE_OFFSET,
  GPR_OFFSET,
  MODE_OFFSET,
  PATCH_DATA_SIZE,
  PATCH_SIZE,
  PATCHES_MAX,
  PATCHES_OFFSET,
  RFLAGS_OFFSET,
  RIP_OFFSET,
  SELECTORS_OFFSET,
  ST_OFFSET,
  STACK_BASE,
  XMM_OFFSET,
} from "./layout.js";
import { interestingDouble, interestingSingle, interestingWord, Random } from "./random.js";

const STATUS_FLAGS = 0x8d5;

/** One case record with its views. */
export class Case {
  readonly bytes = new Uint8Array(CASE_SIZE);
  readonly words = new Uint32Array(this.bytes.buffer);
  readonly view = new DataView(this.bytes.buffer);
}

function fillGprs(random: Random, words: Uint32Array, mode: number): void {
  const first = GPR_OFFSET / 4;
  for (let i = 0; i < 16; i++) {
    const r = random.u32();
    const at = first + 2 * i;
    let low = interestingWord(random);
    let high = 0;
    switch (r & 7) {
      case 0:
        high = 0xffffffff;
        break;
      case 1:
        break;
      case 2:
        // Equal operands are worth having: a copy of an earlier register.
        if (i > 0) {
          const from = first + 2 * ((r >>> 8) % i);
          low = words[from] as number;
          high = words[from + 1] as number;
        }
        break;
      case 3:
        // Each byte interesting of itself, for 8- and 16-bit forms.
        low = ((low & 0xff) | (interestingWord(random) << 8)) >>> 0;
        high = interestingWord(random);
        break;
      default:
        high = interestingWord(random);
    }
    words[at] = low;
    words[at + 1] = mode === 64 ? high : 0;
    if (mode === 32 && i >= 8) words[at] = 0;
  }
}

/** The fields of the random states that a patch's 64 bytes may hold: integers, singles, doubles, an 80-bit real. */
function fillElements(random: Random, words: Uint32Array, at: number, count: number): void {
  const kind = random.below(8);
  for (let i = 0; i < count; i += 2) {
    if (kind < 2) {
      words[at + i] = interestingSingle(random);
      words[at + i + 1] = interestingSingle(random);
    } else if (kind < 4) {
      interestingDouble(random, words, at + i);
    } else if (kind < 6) {
      words[at + i] = interestingWord(random);
      words[at + i + 1] = interestingWord(random);
    } else if (kind < 7) {
      words[at + i] = random.u32();
      words[at + i + 1] = random.u32();
    } else {
      // Few distinct bytes: comparisons and string instructions meet equal elements.
      const r = random.u32();
      words[at + i] = r & 0x01010101 ? r & 0x03030303 : r & 0x00ff00ff;
      words[at + i + 1] = r & 2 ? r & 0x80018001 : 0;
    }
  }
}

function fillExtended(random: Random, view: DataView, at: number): void {
  const r = random.u32();
  const sign = r & 0x8000;
  let exponent: number;
  let high = (random.u32() | 0x80000000) >>> 0;
  let low = random.u32();
  if (r & 0x10000) low = 0;
  if (r & 0x20000) high = (high & 0xffff0000) >>> 0;
  switch ((r >>> 20) & 15) {
    case 0:
      exponent = high = low = 0;
      break;
    case 1:
      exponent = 0x7fff; // infinity, or a NaN of either kind
      high = r & 0x40000 ? (0x80000000 | (r << 30)) >>> 0 : 0x80000000;
      if (high === 0x80000000) low = 0;
      break;
    case 2:
      exponent = 0x7fff;
      break;
    case 3:
      exponent = 0; // denormal, or pseudo-denormal
      if (r & 0x40000) high &= 0x7fffffff;
      break;
    case 4:
      exponent = random.below(0x8000);
      if (r & 0x40000 && r & 0x80000) high &= 0x7fffffff; // unnormal: an invalid operand since the 387
      break;
    case 5:
      exponent = 0x3fff; // powers of two around one
      high = 0x80000000;
      low = 0;
      break;
    case 6:
      exponent = 0x3fff + ((r >>> 3) % 64); // integers and halves
      high = (high & 0xffe00000) >>> 0;
      low = 0;
      break;
    case 7:
      exponent = r & 0x40000 ? 0x7ffe - ((r >>> 3) & 3) : 1 + ((r >>> 3) & 3); // next to overflow, underflow
      break;
    case 8:
      exponent = 0x3fff + 62 - ((r >>> 3) & 3); // next to the limits of integers
      break;
    case 9:
      exponent = 0x3fff + ((r >>> 3) & 1 ? 1023 : -1022) + ((r >>> 4) & 3); // limits of doubles
      break;
    default:
      exponent = 0x3fff - 40 + ((r >>> 3) % 80);
  }
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
  view.setUint16(at + 8, sign | exponent, true);
}

function fillX87(random: Random, target: Case): void {
  const { view } = target;
  const r = random.u32();
  let control = 0x37f;
  if (r & 1) control = 0x7f | (random.pick([0, 2, 2, 3, 3] as const) << 8) | (((r >>> 1) & 3) << 10);
  if ((r >>> 4) % 12 === 0) control &= ~(random.u32() & 0x3f);
  let status = (r & 0x100 ? (r >>> 9) & 7 : 0) << 11;
  status |= (r >>> 12) & 0x4700;
  if ((r & 0x70000000) === 0) status |= random.u32() & 0x7f;
  // ES and B summarise the unmasked exceptions that are pending; a loaded image keeps that invariant.
  if (status & ~control & 0x3f) status |= 0x8080;
  const tags = random.below(4);
  view.setUint16(FXSAVE_OFFSET, control, true);
  view.setUint16(FXSAVE_OFFSET + 2, status, true);
  view.setUint8(FXSAVE_OFFSET + 4, tags < 2 ? 0xff : tags === 2 ? random.u32() & 0xff : 0);
  for (let i = 0; i < 8; i++) fillExtended(random, view, ST_OFFSET + 16 * i);
}

function fillSse(random: Random, target: Case): void {
  const r = random.u32();
  let mxcsr = 0x1f80;
  if (r & 1) mxcsr |= ((r >>> 1) & 3) << 13;
  if ((r & 0x38) === 0) mxcsr |= 0x40;
  if ((r & 0x1c0) === 0) mxcsr |= 0x8000;
  if ((r & 0x600) === 0) mxcsr |= (r >>> 16) & 0x3f;
  if ((r & 0x7800) === 0) mxcsr &= ~(random.u32() & 0x1f80);
  target.view.setUint32(FXSAVE_OFFSET + 24, mxcsr, true);
  for (let i = 0; i < 16; i++) fillElements(random, target.words, XMM_OFFSET / 4 + 4 * i, 4);
}

/** Fills a case with the state that belongs to the seed. No patch is active: counts, addresses and lengths are 0. */
export function fillState(target: Case, seed: number, mode: 32 | 64): void {
  const random = new Random(seed);
  const { words, view, bytes } = target;
  bytes.fill(0);
  bytes[MODE_OFFSET] = mode;
  view.setUint32(RIP_OFFSET, CODE_BASE + 0x1000 + 16 * random.below(240), true);
  const selectors = [
    DATA_SELECTOR,
    mode === 64 ? CODE64_SELECTOR : CODE32_SELECTOR,
    DATA_SELECTOR,
    DATA_SELECTOR,
    0,
    0,
  ];
  for (let i = 0; i < 6; i++) view.setUint16(SELECTORS_OFFSET + 2 * i, selectors[i] as number, true);
  fillGprs(random, words, mode);
  words[GPR_OFFSET / 4 + 2 * 4] = STACK_BASE + 0x400 + 8 * random.below(0x100);
  words[GPR_OFFSET / 4 + 2 * 4 + 1] = 0;
  const r = random.u32();
  let flags = (r & STATUS_FLAGS) | 0x202;
  if ((r >>> 12) % 8 === 0) flags |= 0x400;
  if ((r >>> 16) % 48 === 0) flags |= 0x40000;
  words[RFLAGS_OFFSET / 4] = flags;
  for (let i = 0; i < PATCHES_MAX; i++)
    fillElements(random, words, (PATCHES_OFFSET + i * PATCH_SIZE + 8) / 4, PATCH_DATA_SIZE / 4);
  fillX87(random, target);
  fillSse(random, target);
}

/** What the data pages hold before patches; the same for all cases. */
export function makeBackground(size: number): Uint8Array {
  const random = new Random(DATA_BASE);
  const words = new Uint32Array(size / 4);
  for (let i = 0; i < words.length; i += 16) fillElements(random, words, i, 16);
  return new Uint8Array(words.buffer);
}
