// Modules that were made quickly, in the thread that made them: V8 optimizes single functions of theirs where they are, for all who
// have the module. Their machine code is kept for later runs when it's saved, not with each function.

import { CodeStore } from "./code-store.js";
import { optimizeInPlace } from "./v8-flags.js";

type Run = (...args: never[]) => unknown;

interface QuickModule {
  readonly bytes: Uint8Array;
  readonly module: WebAssembly.Module;
  readonly functions: readonly Run[];
  /** Where its code is kept. */
  readonly store: CodeStore | undefined;
  unit: string | undefined;
  isSaved: boolean;
}

export class QuickModules {
  readonly #modules = new Map<number, QuickModule>();
  #turn: Promise<unknown> = Promise.resolve();

  add(
    id: number,
    bytes: Uint8Array,
    module: WebAssembly.Module,
    functions: readonly Run[],
    store: CodeStore | undefined,
  ): void {
    this.#modules.set(id, { bytes, module, functions, store, unit: undefined, isSaved: true });
  }

  /** One function after the other, and whatever else the thread is asked for in between. Undefined when V8 can't. */
  optimize(id: number, index: number): Promise<{ unit: string | undefined } | undefined> {
    const result = this.#turn.then(() => new Promise(setImmediate)).then(() => this.#optimize(id, index));
    this.#turn = result.catch(() => {});
    return result;
  }

  #optimize(id: number, index: number): { unit: string | undefined } | undefined {
    const quick = this.#modules.get(id);
    const run = quick?.functions[index];
    if (!quick || !run || !optimizeInPlace(run)) return undefined;
    if (quick.store) {
      quick.unit ??= CodeStore.unitOf(quick.bytes);
      quick.isSaved = false;
    }
    return { unit: quick.unit };
  }

  /** Nobody runs it any more. */
  release(id: number): void {
    const quick = this.#modules.get(id);
    this.#modules.delete(id);
    if (quick) save(quick);
  }

  /** Writes the machine code that isn't yet. */
  save(): void {
    for (const quick of this.#modules.values()) save(quick);
  }
}

function save(quick: QuickModule): void {
  const { bytes, module, functions, store, isSaved } = quick;
  if (isSaved) return;
  // What can't be written is lost for later runs, and not tried again and again.
  quick.isSaved = true;
  store?.store(bytes, module, functions);
}
