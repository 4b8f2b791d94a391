// A domain's memory and registers as a file (docs/misc/dump-core-format.txt): an ELF core of sections, .note.Xen, .xen_prstatus,
// .xen_shared_info, .xen_p2m and .xen_pages. Made piece by piece, so the domain may run on meanwhile; a page that it gave away since
// the beginning is dumped as zeros, never as somebody else's.

import { type ElfSection, elfCore, SHT_NOTE, SHT_PROGBITS } from "./elf-sections.js";
import { XEN_CAPABILITIES, XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from "./hypercall/xen-version.js";
import type { Domain } from "./hypervisor.js";
import { HYPERVISOR_VIRT_START } from "./public/arch-x86/xen-x86_64.js";
import {
  XEN_CAPABILITIES_INFO_LEN,
  XEN_CHANGESET_INFO_LEN,
  XEN_EXTRAVERSION_LEN,
  xen_compile_info,
} from "./public/version.js";
import { readGuestContext } from "./pv/read-context.js";

const PAGE = 4096;
const NOTE_NONE = 0x2000000;
const NOTE_HEADER = 0x2000001;
const NOTE_XEN_VERSION = 0x2000002;
const NOTE_FORMAT_VERSION = 0x2000003;
/** XC_CORE_MAGIC: a paravirtualised domain. */
const MAGIC = 0xf00febedn;
const FORMAT_VERSION = 1n;
/** No domain has frames beyond this: 16 TiB. */
const MAX_PFN = 1n << 32n;
const PAGES_A_PIECE = 256;

/** The file's bytes in order. A piece is valid until the next one is asked for. */
export function dumpCore(domain: Domain): Generator<Uint8Array, void, void> {
  const { memory } = domain.hypervisor;
  const frames = guestFrames(domain);
  const contexts = domain.vcpus.map(readGuestContext);
  const notes = noteSection(contexts.length, frames.length);
  const context = contexts[0]!.length;
  const sections: ElfSection[] = [
    { name: ".note.Xen", type: SHT_NOTE, size: notes.length, contents: () => [notes] },
    {
      ...{ name: ".xen_prstatus", type: SHT_PROGBITS, size: context * contexts.length, entrySize: context },
      contents: () => contexts,
    },
    {
      ...{ name: ".xen_shared_info", type: SHT_PROGBITS, size: PAGE, entrySize: PAGE },
      contents: () => [memory.bytes(domain.sharedInfo, PAGE)],
    },
    {
      ...{ name: ".xen_p2m", type: SHT_PROGBITS, size: frames.length * 16, entrySize: 16 },
      contents: () => [p2mSection(frames)],
    },
    {
      ...{ name: ".xen_pages", type: SHT_PROGBITS, size: frames.length * PAGE, entrySize: PAGE, align: PAGE },
      contents: () => pages(domain, frames),
    },
  ];
  return elfCore(sections);
}

interface GuestFrame {
  readonly pfn: bigint;
  readonly mfn: number;
}

/** The domain's memory by its own frame numbers, in their order. */
function guestFrames(domain: Domain): GuestFrame[] {
  const { mm } = domain.hypervisor;
  const frames: GuestFrame[] = [];
  for (let mfn = 0; mfn < mm.frames.frames; mfn++) {
    if (!domain.memory.owns(mfn)) continue;
    const pfn = mm.m2p.get(mfn);
    if (pfn < MAX_PFN) frames.push({ pfn, mfn });
  }
  return frames.sort((a, b) => (a.pfn < b.pfn ? -1 : a.pfn > b.pfn ? 1 : a.mfn - b.mfn));
}

function p2mSection(frames: readonly GuestFrame[]): Uint8Array {
  const words = new BigUint64Array(frames.length * 2);
  for (const [i, { pfn, mfn }] of frames.entries()) {
    words[2 * i] = pfn;
    words[2 * i + 1] = BigInt(mfn);
  }
  return new Uint8Array(words.buffer);
}

function* pages(domain: Domain, frames: readonly GuestFrame[]): Generator<Uint8Array, void, void> {
  const { memory } = domain.hypervisor;
  const piece = new Uint8Array(PAGES_A_PIECE * PAGE);
  for (let first = 0; first < frames.length; first += PAGES_A_PIECE) {
    const part = frames.slice(first, first + PAGES_A_PIECE);
    for (const [i, { mfn }] of part.entries()) {
      const target = piece.subarray(i * PAGE, (i + 1) * PAGE);
      if (domain.memory.owns(mfn)) target.set(memory.bytes(mfn * PAGE, PAGE));
      else target.fill(0);
    }
    yield piece.subarray(0, part.length * PAGE);
  }
}

function noteSection(vcpus: number, pages: number): Uint8Array {
  const words = (...values: (bigint | number)[]) => new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer);
  const text = (value: string, length: number) => {
    const bytes = new Uint8Array(length);
    bytes.set(new TextEncoder().encode(value).subarray(0, length - 1));
    return bytes;
  };
  const version = concat([
    words(XEN_MAJOR, XEN_MINOR),
    text(XEN_EXTRAVERSION, XEN_EXTRAVERSION_LEN),
    xen_compile_info.encode(64, {
      compiler: text("xen-ts", 64),
      compile_by: text("xen-ts", 16),
      compile_domain: text("localhost", 32),
      compile_date: text("unknown", 32),
    }),
    text(XEN_CAPABILITIES, XEN_CAPABILITIES_INFO_LEN),
    text("unavailable", XEN_CHANGESET_INFO_LEN),
    words(HYPERVISOR_VIRT_START, PAGE),
  ]);
  return concat([
    note(NOTE_NONE, new Uint8Array(0)),
    note(NOTE_HEADER, words(MAGIC, vcpus, pages, PAGE)),
    note(NOTE_XEN_VERSION, version),
    note(NOTE_FORMAT_VERSION, words(FORMAT_VERSION)),
  ]);
}

function note(type: number, descriptor: Uint8Array): Uint8Array {
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, descriptor.length, true);
  view.setUint32(8, type, true);
  header.set(new TextEncoder().encode("Xen"), 12);
  return concat([header, descriptor]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
