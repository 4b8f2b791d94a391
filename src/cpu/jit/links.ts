// Regions that control goes back and forth between: a large function in pieces, a sort and its comparison, an interpreter's
// handlers. Each way out and in costs dozens of instructions, so what is linked often becomes one region. Counted in samples.

import {
  EXTENSION,
  INSTRUCTIONS_PER_SAMPLE,
  MAX_MERGED,
  MAX_WHOLE,
  type PendingRegion,
  type RunningRegion,
} from "./compiler.js";

/** Samples of a link before its ends are merged, at least. */
const MIN_SAMPLES = 24;
/** A link is looked at every so many samples. */
const INTERVAL = 8;
/** Part of a link's samples that another one has whose end comes along. */
const LEAST_PART = 1 / 8;
/** Samples after which all counts are halved. */
const AGING = 1 << 14;

interface Place {
  /** Address of the region's first page. */
  readonly va: bigint;
  /** By the number of the region that was entered from there: samples. */
  readonly to: Map<number, number>;
}

export class RegionLinks {
  readonly #regionOf: (id: number) => PendingRegion | undefined;
  readonly #places = new Map<number, Place>();
  /** Pairs that could not be merged. */
  readonly #refused = new Set<string>();
  #samples = 0;

  constructor(regionOf: (id: number) => PendingRegion | undefined) {
    this.#regionOf = regionOf;
  }

  reset(): void {
    this.#places.clear();
    this.#refused.clear();
  }

  /**
   * Control was seen going from one region to another, at these addresses. Returns what should become one region now: both and others,
   * or the first one alone, when all of the second one is too much and only the way that control went should come in.
   */
  note(from: number, fromVa: bigint, to: number, toVa: bigint): RunningRegion[] | undefined {
    if (++this.#samples % AGING === 0) this.#age();
    const source = this.#placeOf(from, fromVa);
    this.#placeOf(to, toVa);
    const count = (source.to.get(to) ?? 0) + 1;
    source.to.set(to, count);
    if (count < MIN_SAMPLES || count % INTERVAL !== 0) return undefined;
    const [a, b] = [this.#regionOf(from), this.#regionOf(to)];
    if (!a || !b || this.#refused.has(pair(from, to))) return undefined;
    const first: RunningRegion = { region: a, va: fromVa };
    if (a.size + b.size > MAX_WHOLE) {
      const size = a.size + EXTENSION;
      const times = 1 + Math.min(a.generation, 2);
      return size <= MAX_MERGED && count >= (size / INSTRUCTIONS_PER_SAMPLE) * times ? [first] : undefined;
    }
    const cluster = this.#cluster(first, { region: b, va: toVa }, count * LEAST_PART);
    const size = cluster.reduce((sum, { region }) => sum + region.size, 0);
    return this.#samplesWithin(cluster) >= size / INSTRUCTIONS_PER_SAMPLE ? cluster : undefined;
  }

  #placeOf(id: number, va: bigint): Place {
    let place = this.#places.get(id);
    if (place?.va !== va) {
      place = { va, to: new Map() };
      this.#places.set(id, place);
    }
    return place;
  }

  /** Both, and what is linked with them `least` times. */
  #cluster(a: RunningRegion, b: RunningRegion, least: number): RunningRegion[] {
    const cluster = [a, b];
    let total = a.region.size + b.region.size;
    for (let i = 0; i < cluster.length; i++) {
      for (const [to, count] of this.#places.get(cluster[i]!.region.id)?.to ?? []) {
        const va = this.#places.get(to)?.va;
        const region = this.#regionOf(to);
        if (!region || va === undefined || count < least || cluster.some((member) => member.region === region))
          continue;
        if (total + region.size > MAX_WHOLE) continue;
        total += region.size;
        cluster.push({ region, va });
      }
    }
    return cluster;
  }

  /** Samples of the links among these. */
  #samplesWithin(cluster: readonly RunningRegion[]): number {
    const ids = cluster.map(({ region }) => region.id);
    let sum = 0;
    for (const id of ids) for (const other of ids) sum += this.#places.get(id)?.to.get(other) ?? 0;
    return sum;
  }

  /** The cluster can't become one region. */
  refuse(from: number, to: number): void {
    this.#refused.add(pair(from, to));
  }
  /** The cluster is being compiled as one region: what speaks for that has been spent. */
  accept(cluster: readonly RunningRegion[]): void {
    for (const { region } of cluster) {
      const to = this.#places.get(region.id)?.to;
      if (cluster.length === 1) to?.clear();
      else for (const other of cluster) to?.delete(other.region.id);
    }
  }
  /** Regions have become one, whose first page is where that of the first one was. */
  replace(old: readonly number[], by: number): void {
    if (old.includes(by)) return;
    const places = old.flatMap((id) => this.#places.get(id) ?? []);
    for (const id of old) this.#places.delete(id);
    const add = (to: Map<number, number>, id: number, count: number) => to.set(id, (to.get(id) ?? 0) + count);
    const merged = new Map<number, number>();
    for (const { to } of places)
      for (const [id, count] of to) if (id !== by && !old.includes(id)) add(merged, id, count);
    if (places[0]) this.#places.set(by, { va: places[0].va, to: merged });
    for (const { to } of this.#places.values()) {
      for (const id of old) {
        const count = to.get(id);
        if (count !== undefined && to.delete(id)) add(to, by, count);
      }
    }
  }

  #age(): void {
    for (const [from, { to }] of this.#places) {
      for (const [id, count] of to) {
        if (count > 1) to.set(id, count >> 1);
        else to.delete(id);
      }
      if (!this.#regionOf(from)) this.#places.delete(from);
    }
  }
}

const pair = (from: number, to: number) => `${from} ${to}`;
