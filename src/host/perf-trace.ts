// A trace that Perfetto and Chrome's viewer open ("Trace Event Format", JSON array form): slices of each vCPU, exits that took long,
// counters of all exits, the loop's sleep, the engine's work. Written piece by piece, bounded; a file without its end opens too.

import type { EngineObserver, EngineWork } from "../cpu/engine-observer.js";
import { type Exit, ExitKind } from "../cpu/exit.js";
import type { RunObserver, Vcpu } from "../hypervisor/hypervisor.js";
import { exitKey, exitName } from "./exit-name.js";

export interface PerfTraceOptions {
  /** Gets the text in pieces, in order. */
  readonly write: (text: string) => void;
  /** The trace ends when it has grown to so much; default 128 MiB. */
  readonly maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 128 * 1024 * 1024;
/** What takes less is left out; exits, of which there are up to a million each second, are counted all the same. */
const SHORTEST_MS = 0.02;
const COUNTER_INTERVAL_MS = 10;
const PIECE = 64 * 1024;
/** The process of the host in the trace; domains have their own numbers. */
const HOST = 100_000;
const Thread = { RunLoop: 0, Engine: 1 } as const;

export class PerfTrace implements RunObserver, EngineObserver {
  readonly #write: (text: string) => void;
  #left: number;
  #piece = "[\n";
  #isFull = false;
  #mark = 0;
  #exit = 0;
  #workBegan = 0;
  /** Exits by key since #countedAt. */
  readonly #counts = new Map<number, number>();
  #countedAt = 0;
  readonly #named = new Set<number>();

  constructor({ write, maxBytes }: PerfTraceOptions) {
    this.#write = write;
    this.#left = maxBytes ?? DEFAULT_MAX_BYTES;
    this.#metadata("process_name", HOST, 0, "xen-ts");
    this.#metadata("thread_name", HOST, Thread.RunLoop, "run loop");
    this.#metadata("thread_name", HOST, Thread.Engine, "decoder and JIT");
  }

  enter(vcpu: Vcpu): void {
    if (this.#isFull || this.#named.has(vcpu.domain.id * 4096 + vcpu.id)) return;
    this.#named.add(vcpu.domain.id * 4096 + vcpu.id);
    this.#metadata("process_name", vcpu.domain.id, vcpu.id, vcpu.domain.name);
    this.#metadata("thread_name", vcpu.domain.id, vcpu.id, `vCPU ${vcpu.id}`);
  }

  leave(vcpu: Vcpu, exit: Exit): void {
    if (this.#isFull) return;
    const key = exitKey(vcpu, exit);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#exit = key;
    if (exit.kind !== ExitKind.Budget) this.#mark = performance.now();
  }

  handled(vcpu: Vcpu): void {
    if (this.#isFull) return;
    const now = performance.now();
    if (now - this.#mark >= SHORTEST_MS) this.#complete(exitName(this.#exit), vcpu.domain.id, vcpu.id, this.#mark, now);
  }

  /** A vCPU ran from `start` to `end` (performance.now()). */
  slice(vcpu: Vcpu, instructions: number, start: number, end: number): void {
    if (this.#isFull) return;
    this.#complete("slice", vcpu.domain.id, vcpu.id, start, end, { instructions });
    if (end - this.#countedAt < COUNTER_INTERVAL_MS) return;
    this.#countedAt = end;
    const args = Object.fromEntries([...this.#counts].map(([key, count]) => [exitName(key), count]));
    // A series that isn't named again would keep its last value.
    for (const key of this.#counts.keys()) this.#counts.set(key, 0);
    this.#emit({ ph: "C", name: "exits", pid: HOST, ts: microseconds(end), args });
  }

  /** Nothing was runnable. */
  sleep(start: number, end: number): void {
    this.#complete("sleep", HOST, Thread.RunLoop, start, end);
  }

  begin(): void {
    this.#workBegan = performance.now();
  }

  end(work: EngineWork, amount: number): void {
    const now = performance.now();
    if (now - this.#workBegan < SHORTEST_MS) return;
    this.#complete(work, HOST, Thread.Engine, this.#workBegan, now, {
      [work === "decode" ? "instructions" : "regions"]: amount,
    });
  }

  /** The last piece; nothing is written afterwards. */
  close(): void {
    if (this.#piece === "" && this.#isFull) return;
    this.#isFull = true;
    this.#write(`${this.#piece.replace(/,\n$/, "\n")}]\n`);
    this.#piece = "";
  }

  #metadata(name: string, pid: number, tid: number, value: string): void {
    this.#emit({ ph: "M", name, pid, tid, args: { name: value } });
  }

  #complete(name: string, pid: number, tid: number, start: number, end: number, args?: Record<string, number>): void {
    const times = { ts: microseconds(start), dur: microseconds(end - start) };
    this.#emit({ ph: "X", name, pid, tid, ...times, ...(args ? { args } : {}) });
  }

  #emit(event: Readonly<Record<string, unknown>>): void {
    if (this.#isFull) return;
    const text = `${JSON.stringify(event)},\n`;
    this.#left -= text.length;
    if (this.#left < 0) {
      this.#piece += `${JSON.stringify({ ph: "i", s: "g", name: "the trace is full", pid: HOST, tid: 0, ts: event.ts ?? 0 })},\n`;
      this.close();
      return;
    }
    this.#piece += text;
    if (this.#piece.length < PIECE) return;
    this.#write(this.#piece);
    this.#piece = "";
  }
}

/** With a tenth of a microsecond, the grain of the host's clock at best. */
const microseconds = (ms: number) => Math.round(ms * 10_000) / 10;
