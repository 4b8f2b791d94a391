// Where host time goes while guests run: inside guest code, by the place where a slice's budget ran out; in what exits ask for, by
// kind. A slice ends every 50,000 instructions (run-vcpu.ts), so that places are sampled by instructions and weighted by host time.

import type { EngineObserver, EngineWork } from "../cpu/engine-observer.js";
import { type Exit, ExitKind } from "../cpu/exit.js";
import type { Domain, RunObserver, Vcpu } from "../hypervisor/hypervisor.js";
import type { ElfImage } from "../hypervisor/loader/elf.js";
import { exitKey, exitName } from "./exit-name.js";
import { buildProfile, type DomainSamples, type Profile } from "./profile.js";

/** Places told apart in a domain; what comes later counts as unknown. */
const MAX_PLACES = 1 << 18;

export interface Totals {
  count: number;
  ms: number;
}

export class Profiler implements RunObserver, EngineObserver {
  readonly #domains = new Map<number, DomainSamples>();
  readonly #exits = new Map<number, Totals>();
  readonly #work = new Map<EngineWork, Totals>();
  #workBegan = 0;
  #mark = 0;
  /** Guest time since the last sample. */
  #unsampled = 0;
  #exit: Totals = { count: 0, ms: 0 };
  #guestMs = 0;
  #sampledMs = 0;
  #compiledMs = 0;

  /** A domain begins to run this kernel; a new one with an old id takes its place. */
  addDomain({ id, name }: Domain, kernel: ElfImage): void {
    this.#domains.set(id, { id, name, kernel, kernelPlaces: new Map(), userPlaces: new Map() });
  }

  enter(): void {
    this.#mark = performance.now();
  }

  leave(vcpu: Vcpu, exit: Exit): void {
    const now = performance.now();
    const ran = now - this.#mark;
    this.#guestMs += ran;
    this.#unsampled += ran;
    this.#mark = now;
    if (exit.kind === ExitKind.Budget) {
      this.#sample(vcpu);
      return;
    }
    const key = exitKey(vcpu, exit);
    let totals = this.#exits.get(key);
    if (!totals) {
      totals = { count: 0, ms: 0 };
      this.#exits.set(key, totals);
    }
    totals.count++;
    this.#exit = totals;
  }

  handled(): void {
    this.#exit.ms += performance.now() - this.#mark;
  }

  #sample(vcpu: Vcpu): void {
    const ms = this.#unsampled;
    this.#unsampled = 0;
    this.#sampledMs += ms;
    if (vcpu.cpu.stoppedInRegion) this.#compiledMs += ms;
    const domain = this.#domains.get(vcpu.domain.id);
    if (!domain) return;
    const places = vcpu.pv.kernelMode ? domain.kernelPlaces : domain.userPlaces;
    const { rip } = vcpu.cpu.state;
    const known = places.get(rip);
    if (known !== undefined || places.size < MAX_PLACES) places.set(rip, (known ?? 0) + ms);
  }

  begin(): void {
    this.#workBegan = performance.now();
  }

  end(work: EngineWork, amount: number): void {
    const totals = this.#work.get(work) ?? { count: 0, ms: 0 };
    totals.count += amount;
    totals.ms += performance.now() - this.#workBegan;
    this.#work.set(work, totals);
  }

  /** What was seen until now. `busyMs`, `idleMs`: of the run loop. */
  report(busyMs: number, idleMs: number): Profile {
    const exits = [...this.#exits].map(([key, totals]) => ({ name: exitName(key), ...totals }));
    const work = [...this.#work].map(([name, totals]) => ({ name, ...totals }));
    const compiledShare = this.#sampledMs > 0 ? this.#compiledMs / this.#sampledMs : 0;
    const sums = { guestMs: this.#guestMs, compiledShare, busyMs, idleMs };
    return buildProfile({ exits, work, domains: this.#domains.values(), ...sums });
  }
}
