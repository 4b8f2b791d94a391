// Regions that control goes back and forth between: a large function in pieces, a sort and its comparison, an interpreter's
// handlers. Each way out and in costs dozens of instructions, so what is linked often becomes one region. Counted in samples.

import { EXTENSION, MAX_MERGED, type PendingRegion, type RunningRegion } from "./compiler.js";

/** Both ends of a link become one region up to so many instructions; else the one is extended by what it needs of the other. */
const MAX_WHOLE = 600;
/** Samples of a link before its ends are merged: these, or one per so many instructions that have to be compiled anew. */
const MIN_SAMPLES = 24;
const INSTRUCTIONS_PER_SAMPLE = 3;
/** Samples after which all counts are halved. */
const AGING = 1 << 14;

interface Source {
  readonly va: bigint;
  /** By the number of the region that was entered: samples. */
  readonly to: Map<number, number>;
}

export class RegionLinks {
  readonly #regionOf: (id: number) => PendingRegion | undefined;
  readonly #sources = new Map<number, Source>();
  /** Pairs that could not be merged. */
  readonly #refused = new Set<string>();
  #samples = 0;

  constructor(regionOf: (id: number) => PendingRegion | undefined) {
    this.#regionOf = regionOf;
  }

  reset(): void {
    this.#sources.clear();
    this.#refused.clear();
  }

  /**
   * Control was seen going from one region to another, at these addresses. Returns what should become one region now: both and others,
   * or the first one alone, when all of the second one is too much and only the way that control went should come in.
   */
  note(from: number, fromVa: bigint, to: number, toVa: bigint): RunningRegion[] | undefined {
    if (++this.#samples % AGING === 0) this.#age();
    let known = this.#sources.get(from);
    if (known?.va !== fromVa) {
      known = { va: fromVa, to: new Map() };
      this.#sources.set(from, known);
    }
    const count = (known.to.get(to) ?? 0) + 1;
    known.to.set(to, count);
    if (count < MIN_SAMPLES) return undefined;
    const [a, b] = [this.#regionOf(from), this.#regionOf(to)];
    if (!a || !b || this.#refused.has(pair(from, to))) return undefined;
    const whole = a.size + b.size <= MAX_WHOLE;
    const size = whole ? a.size + b.size : a.size + EXTENSION;
    if (size > MAX_MERGED || count < (size / INSTRUCTIONS_PER_SAMPLE) * (1 + a.generation)) return undefined;
    const source: RunningRegion = { region: a, va: fromVa };
    return whole ? this.#cluster(source, { region: b, va: toVa }, size, count / 2) : [source];
  }

  /** Both, and what is linked with them nearly as often. */
  #cluster(a: RunningRegion, b: RunningRegion, size: number, least: number): RunningRegion[] {
    const cluster = [a, b];
    let total = size;
    for (let i = 0; i < cluster.length; i++) {
      for (const [to, count] of this.#sources.get(cluster[i]!.region.id)?.to ?? []) {
        const va = this.#sources.get(to)?.va;
        const region = this.#regionOf(to);
        if (!region || va === undefined || count < least || cluster.some((member) => member.region === region))
          continue;
        const more = region.size;
        if (total + more > MAX_WHOLE) continue;
        total += more;
        cluster.push({ region, va });
      }
    }
    return cluster;
  }

  /** The cluster can't become one region. */
  refuse(from: number, to: number): void {
    this.#refused.add(pair(from, to));
  }
  /** The cluster is being compiled as one region. */
  accept(cluster: readonly RunningRegion[]): void {
    for (const { region } of cluster) this.#sources.delete(region.id);
  }

  #age(): void {
    for (const [from, { to }] of this.#sources) {
      for (const [id, count] of to) {
        if (count > 1) to.set(id, count >> 1);
        else to.delete(id);
      }
      if (to.size === 0 || !this.#regionOf(from)) this.#sources.delete(from);
    }
  }
}

const pair = (from: number, to: number) => `${from} ${to}`;
