// Modules that this thread made and somebody has: V8 optimizes single functions of quick ones where they are, for all who
// have the module, and machine code of all of them may be put together. That of quick ones is kept for later runs when it's saved, not with each function.

import { CodePack, canPack, type ModuleCode } from "./code-pack.js";
import { CodeStore } from "./code-store.js";
import { deserializeModule, optimizeInPlace, serializeModule } from "./v8-flags.js";

type Run = (...args: never[]) => unknown;

interface MadeModule {
  readonly bytes: Uint8Array;
  readonly module: WebAssembly.Module;
  readonly functions: readonly Run[];
}

interface QuickModule extends MadeModule {
  /** Where its code is kept. */
  readonly store: CodeStore | undefined;
  unit: string | undefined;
  isSaved: boolean;
}

/** A function to be put into a pack: of a module made here, or of one whose code is kept. */
export interface PackedFunction {
  readonly module: number | { readonly store: CodeStore; readonly unit: string };
  readonly index: number;
}

export class MadeModules {
  readonly #made = new Map<number, MadeModule>();
  readonly #quick = new Map<number, QuickModule>();
  #turn: Promise<unknown> = Promise.resolve();

  add(id: number, made: MadeModule): void {
    this.#made.set(id, made);
  }

  /** One whose functions may be optimized where they are. */
  addQuick(id: number, made: MadeModule, store: CodeStore | undefined): void {
    this.add(id, made);
    this.#quick.set(id, { ...made, store, unit: undefined, isSaved: true });
  }

  /** One function after the other, and whatever else the thread is asked for in between. Undefined when V8 can't. */
  optimize(id: number, index: number): Promise<{ unit: string | undefined } | undefined> {
    const result = this.#turn.then(() => new Promise(setImmediate)).then(() => this.#optimize(id, index));
    this.#turn = result.catch(() => {});
    return result;
  }

  #optimize(id: number, index: number): { unit: string | undefined } | undefined {
    const quick = this.#quick.get(id);
    const run = quick?.functions[index];
    if (!quick || !run || !optimizeInPlace(run)) return undefined;
    if (quick.store) {
      quick.unit ??= CodeStore.unitOf(quick.bytes);
      quick.isSaved = false;
    }
    return { unit: quick.unit };
  }

  /**
   * Optimized functions in one module, in this order by modules, and the number of each there; undefined for those without machine code.
   * Nothing when V8 has another layout (code-pack.ts) or none of them has any.
   */
  pack(
    functions: readonly PackedFunction[],
  ): { bytes: Uint8Array; module: WebAssembly.Module; indices: (number | undefined)[] } | undefined {
    if (!canPack) return undefined;
    const places = new Map<number | string, number[]>();
    for (const [place, { module }] of functions.entries()) {
      const key = typeof module === "number" ? module : module.unit;
      const others = places.get(key);
      if (others) others.push(place);
      else places.set(key, [place]);
    }
    const pack = new CodePack();
    const indices: (number | undefined)[] = functions.map(() => undefined);
    for (const members of places.values()) {
      const { module } = functions[members[0]!]!;
      const content = typeof module === "number" ? this.#codeOf(module) : module.store.read(module.unit);
      if (!content) continue;
      const numbers = pack.add(
        content,
        members.map((place) => functions[place]!.index),
      );
      for (const [i, number] of numbers.entries()) indices[members[i]!] = number;
    }
    if (pack.count === 0) return undefined;
    const { bytes, code } = pack.finish();
    const module = deserializeModule(code, bytes);
    return module && { bytes, module, indices };
  }

  #codeOf(id: number): ModuleCode | undefined {
    const made = this.#made.get(id);
    const code = made && serializeModule(made.module, made.functions);
    return code && { bytes: made.bytes, code };
  }

  /** Nobody has it any more. */
  release(id: number): void {
    const quick = this.#quick.get(id);
    this.#made.delete(id);
    this.#quick.delete(id);
    if (quick) save(quick);
  }

  /** Writes the machine code that isn't yet. */
  save(): void {
    for (const quick of this.#quick.values()) save(quick);
  }
}

function save(quick: QuickModule): void {
  const { bytes, module, functions, store, isSaved } = quick;
  if (isSaved) return;
  // What can't be written is lost for later runs, and not tried again and again.
  quick.isSaved = true;
  store?.store(bytes, module, functions);
}
