// What V8 is told about compilers is what it does; asked of V8 itself, by functions of its own.

import { setFlagsFromString } from "node:v8";
import { expect, test } from "vitest";
import { FunctionBuilder } from "../../src/cpu/wasm/function-builder.js";
import { CompilationHint, ModuleWriter } from "../../src/cpu/wasm/module-writer.js";
import { enableHints, hasTierControl, withoutTierUp } from "../../src/host/v8-flags.js";

/** A module whose function counts down from its argument; V8 has machine code in common for modules of the same bytes. */
function counting(name: string, hint: CompilationHint | undefined): Uint8Array<ArrayBuffer> {
  const writer = new ModuleWriter();
  writer.compilationHint = hint;
  const f = new FunctionBuilder(["i32"]);
  const left = f.local("i32");
  f.set(left, f.param(0));
  f.loop((again) => {
    f.set(left, f.sub(f.get(left), f.i32(1)));
    f.brIf(again, f.get(left));
  });
  writer.addFunction(writer.type(["i32"], []), f.finish(), name);
  return writer.toBytes();
}

test.runIf(hasTierControl)(
  "what is made quickly stays as it is, however long it runs; other modules don't",
  async () => {
    enableHints();
    setFlagsFromString("--allow-natives-syntax");
    const isOptimized = new Function("run", "return %IsTurboFanFunction(run)") as (run: unknown) => boolean;
    const quick = withoutTierUp(() => new WebAssembly.Module(counting("quick", CompilationHint.quick)));
    const usual = new WebAssembly.Module(counting("usual", undefined));
    const functions = [quick, usual].map(
      (module) => Object.values(new WebAssembly.Instance(module).exports)[0] as (rounds: number) => void,
    );
    for (const run of functions) for (let i = 0; i < 100; i++) run(1_000_000);
    await expect.poll(() => isOptimized(functions[1])).toBe(true);
    expect(isOptimized(functions[0])).toBe(false);
  },
);
