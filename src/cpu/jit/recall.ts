// Finds a known region (known-regions.ts) around a place that was just met, long before it would be hot: by its bytes.

import { type MachineMemory, PAGE_SIZE } from "../../mmu/machine-memory.js";
import type { CodePage } from "../interpreter/code-cache.js";
import * as R from "../interpreter/record.js";
import type { PendingRegion, RegionCompiler } from "./compiler.js";
import { type KnownRegion, type KnownRegions, keyOf } from "./known-regions.js";
import type { Place } from "./mapped-code.js";
import { unpackRequest } from "./packed-request.js";
import type { RegionRequest } from "./request.js";

/** Instructions looked back over for the start of a block. */
const MAX_BACK = 48;
/** Requests that are held: as objects they take many times their texts' memory. */
const MAX_REQUESTS = 512;
const { Enters, Inside } = R.Compiled;

export class Recall {
  readonly #memory: MachineMemory;
  readonly #compiler: RegionCompiler;
  readonly #known: KnownRegions;
  readonly #leadsOn: (record: number) => boolean;
  /** The last ones that were asked for. */
  readonly #requests = new Map<KnownRegion, RegionRequest>();

  /** `leadsOn`: whether the record behind this one is the next instruction, and always runs after it. */
  constructor(
    memory: MachineMemory,
    compiler: RegionCompiler,
    known: KnownRegions,
    leadsOn: (record: number) => boolean,
  ) {
    this.#memory = memory;
    this.#compiler = compiler;
    this.#known = known;
    this.#leadsOn = leadsOn;
  }

  /** The region that held this record in an earlier life, ready to be compiled. */
  find(record: number, page: CodePage, place: Place): PendingRegion | undefined {
    const { u8, view } = this.#memory;
    const inside = (view.getUint8(record + R.COMPILED) & Inside) !== 0;
    for (let at = record, i = 0; i < MAX_BACK; i++, at -= R.RECORD_SIZE) {
      const offset = view.getUint16(at + R.OFFSET, true);
      if (offset <= PAGE_SIZE - 4) {
        const start = page.frame * PAGE_SIZE + offset;
        for (const known of this.#known.find(keyOf(offset, u8, start))) {
          const pending = this.#revive(known, page, offset, place, inside);
          if (pending) return pending;
        }
      }
      if (!this.#leadsOn(at - R.RECORD_SIZE)) return undefined;
    }
    return undefined;
  }

  /** `asEntry`: only when it is entered there. */
  #revive(
    known: KnownRegion,
    page: CodePage,
    offset: number,
    place: Place,
    asEntry: boolean,
  ): PendingRegion | undefined {
    const request = this.requestOf(known);
    const block = request.blocks.findIndex(({ at }) => (at & (PAGE_SIZE - 1)) === offset);
    if (block < 0 || (asEntry && !request.entries.includes(block))) return undefined;
    const distance = request.blocks[block]!.at - offset;
    const pending = this.#compiler.revive(known, request, page, distance, place);
    if (!pending) return undefined;
    // Others have come to hold most of it.
    const { view } = this.#memory;
    const taken = pending.entries.filter(({ record }) => view.getUint8(record + R.COMPILED) & Enters).length;
    return 2 * taken > pending.entries.length ? undefined : pending;
  }

  requestOf(known: KnownRegion): RegionRequest {
    const held = this.#requests.get(known);
    if (held) return held;
    const request = unpackRequest(known.text);
    this.#requests.set(known, request);
    if (this.#requests.size > MAX_REQUESTS) this.#requests.delete(this.#requests.keys().next().value!);
    return request;
  }
}
