// Whether the pages that a region leads to are mapped, which can't change while it runs: a loop over several pages asks once. A
// local has a bit for each page that was found so.

import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";
import { isMapped } from "./flow.js";

export interface PagesHost extends FunctionBuilder {
  readonly state: Value;
  /** Address of the region's first page. */
  readonly pageVa: Variable;
  /** A local for the whole region. */
  lasting(type: "i32"): Variable;
  /** What stands at a place of the region's pool. */
  pooled(place: number): Value;
}

export class PageChecks {
  readonly #e: PagesHost;
  readonly #pages: number[] = [];
  #found: Variable | undefined;

  constructor(emitter: PagesHost) {
    this.#e = emitter;
  }

  /** `leave` where the page that holds the place `at` (a distance) isn't mapped with the record table at this place of the pool. */
  require(at: number, table: number, leave: () => void): void {
    const e = this.#e;
    const page = Math.floor(at / 4096);
    if (!this.#pages.includes(page)) this.#pages.push(page);
    const check = () => {
      const va = e.let(e.add(e.get(e.pageVa), e.i64(page * 4096)));
      e.ifRare(e.eqz(isMapped(e, e.state, va, e.pooled(table))), leave);
    };
    const index = this.#pages.indexOf(page);
    if (index >= 32) {
      check();
      return;
    }
    const found = (this.#found ??= e.lasting("i32"));
    const bit = e.i32(1 << index);
    e.ifRare(e.eqz(e.and(e.get(found), bit)), () => {
      check();
      e.set(found, e.or(e.get(found), bit));
    });
  }
  /** The region was entered again, maybe at another address. */
  forget(): void {
    if (this.#found) this.#e.set(this.#found, this.#e.i32(0));
  }
}
