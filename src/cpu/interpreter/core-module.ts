// The interpreter's core module: the dispatch table and loop, code lookups by virtual address, and the out-of-line parts of
// memory access. It alone owns the table (ENGINE.md: on V8 11 every importer of a table costs); handler modules import its
// functions one by one.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import { ExitKind } from "../exit.js";
import { writeOrdinary } from "../semantics/sse/ordinary.js";
import { writeX87Arithmetic } from "../semantics/x87-arithmetic-core.js";
import * as S from "../state-layout.js";
import { CODE_TLB_PAGE, CODE_TLB_TAG } from "../tlb-layout.js";
import { FunctionBuilder, type Value, type Variable } from "../wasm/function-builder.js";
import { ModuleWriter } from "../wasm/module-writer.js";
import { noteComputedJump } from "./computed-jumps.js";
import { commitFunction, crossFunction } from "./core-crossing.js";
import { codeEntry, codeWalkFunction, walkFunction } from "./core-walk.js";
import * as R from "./record.js";

/** Table slots of the pseudo-handlers; instructions follow. */
export const Slot = {
  /** The code was overwritten: look it up again. */
  Stale: 1,
  /** Continue at the record's OFFSET in this page (or the next one). */
  Goto: 2,
  /** The next record crosses into the following page: check that it's still the one it was decoded with (its LINK). */
  Crossing: 3,
  /** What SYSCALL does: leaves with an exit, unless the hypervisor put something better here (Engine.setGate). */
  Gate: 4,
  First: 5,
} as const;

export const TABLE_SIZE = 65536;

/** Dispatches between two samples. One that enters a compiled region counts as one, so samples show what is still interpreted. */
export const SAMPLE_INTERVAL = 1024;

/** EXIT_KIND values above the public ones: handled inside Cpu.run. */
export const EXIT_NEED_CODE = 100; // EXIT_VALUE: linear address
export const EXIT_JUMP = 101; // a host operation changed RIP
export const EXIT_NEED_CODE_UNCOUNTED = 102; // the same as NEED_CODE, before an instruction, not at the end of one

export interface CoreImports {
  /** (state, record, vaLow, vaHigh, access) -> linear address or 0. */
  miss(state: number, record: number, low: number, high: number, access: number): number;
  /** Completes a crossing write that `miss` began. */
  commit(state: number, record: number): void;
  host(state: number, record: number, operation: number): number;
  /** (state, record, segment, offset, access) -> 1 or 0. */
  segment(state: number, record: number, segment: number, offset: number, access: number): number;
  /**
   * The record that runs next, every SAMPLE_INTERVAL dispatches. Returns how many dispatches to note in their records (RAN)
   * before the next call, or 0.
   */
  sample(record: number): number;
}

export interface CoreExports {
  readonly table: WebAssembly.Table;
  run(state: number, record: number): void;
  lookup(state: number, low: number, high: number): number;
  readonly translate: WebAssembly.ExportValue;
  readonly goto: WebAssembly.ExportValue;
  readonly gotoDirect: WebAssembly.ExportValue;
  readonly checkSegment: WebAssembly.ExportValue;
  /** (state, record): completes a write that `translate` sent to SCRATCH. */
  readonly commit: WebAssembly.ExportValue;
  readonly x87: WebAssembly.ExportValue;
  readonly ordinary: WebAssembly.ExportValue;
  /** (state, record) -> next record or 0: SYSCALL. */
  readonly gate: WebAssembly.ExportValue;
  /** (state, record) -> 0: SYSCALL as an exit. */
  readonly leaveGate: WebAssembly.ExportValue;
  /** (state, record, linear: i64) -> record at a linear address, or 0 with EXIT_NEED_CODE. */
  readonly lookupCode: WebAssembly.ExportValue;
}

/** Linear addresses: of the record tables' addresses by frame (CodeCache), and of the ring of ComputedJumps. */
export interface CorePlaces {
  readonly frameTables: number;
  readonly ring: number;
}

export function instantiateCore(memory: MachineMemory, places: CorePlaces, imports: CoreImports): CoreExports {
  const bytes = writeCore(memory, places);
  const module = new WebAssembly.Module(bytes);
  const instance = new WebAssembly.Instance(module, { e: { memory: memory.memory, ...imports } });
  const exports = instance.exports as unknown as CoreExports & Record<string, unknown>;
  exports.table.set(Slot.Stale, exports.stale);
  exports.table.set(Slot.Goto, exports.pseudoGoto);
  exports.table.set(Slot.Crossing, exports.crossing);
  exports.table.set(Slot.Gate, exports.leaveGate as unknown);
  return exports;
}

function writeCore(memory: MachineMemory, { frameTables, ring }: CorePlaces): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  m.importMemory("e", "memory", memory.memory.buffer.byteLength / 65536);
  const handler = m.type(["i32", "i32"], ["i32"]);
  const withTarget = m.type(["i32", "i32", "i64"], ["i32"]);
  const miss = m.importFunction("e", "miss", m.type(["i32", "i32", "i32", "i32", "i32"], ["i32"]));
  const segmentSlow = m.importFunction("e", "segment", m.type(["i32", "i32", "i32", "i32", "i32"], ["i32"]));
  const sample = m.importFunction("e", "sample", m.type(["i32"], ["i32"]));
  const commitSlow = m.importFunction("e", "commit", m.type(["i32", "i32"], []));
  m.table(TABLE_SIZE);

  const build = (params: ("i32" | "i64")[], body: (f: FunctionBuilder, state: Value, record: Value) => void) => {
    const f = new FunctionBuilder(params);
    body(f, f.param(0), f.param(1));
    return f.finish();
  };
  const needCode = (f: FunctionBuilder, state: Value, target: Value, kind: number) => {
    f.store("i64", state, target, S.EXIT_VALUE);
    f.store("i32", state, f.i32(kind), S.EXIT_KIND);
    f.return(f.i32(0));
  };
  const dispatch = (f: FunctionBuilder, state: Value, record: Value) =>
    f.callIndirect(handler, "i32", [state, record], f.load("i32", record, R.HANDLER));
  /** Runs the instruction behind a pseudo record, which passes on that it ran. */
  const passOn = (f: FunctionBuilder, state: Value, record: Value, next: Value) => {
    f.if(f.load("i32_8u", record, R.RAN), () => f.store("i32_8", next, f.i32(1), R.RAN));
    f.return(dispatch(f, state, next));
  };
  /** Linear address at the record's OFFSET. */
  const address = (f: FunctionBuilder, state: Value, record: Value) =>
    f.add(f.load("i64", state, S.PAGE_VA), f.extendU(f.load("i32_16u", record, R.OFFSET)));
  /** Tags hold the code mode too: a page can be run in several. */
  const codeTag = (f: FunctionBuilder, state: Value, page: Value) =>
    f.or(page, f.extendU(f.load("i32", state, S.CODE_MODE)));
  const tableSlot = (f: FunctionBuilder, table: Value, target: Value) =>
    f.load("i32", f.add(table, f.shl(f.and(f.wrap(target), f.i32(0xfff)), f.i32(2))));

  const codeWalk = m.addFunction(m.type(["i32", "i64"], ["i32"]), codeWalkFunction(memory, frameTables));
  /** The record table of the code at a page's address, or 0. */
  const codeTable = (f: FunctionBuilder, state: Value, page: Value): Variable => {
    const entry = codeEntry(f, state, page);
    const table = f.variable(f.load("i32", entry, CODE_TLB_PAGE));
    f.if(f.ne(f.load("i64", entry, CODE_TLB_TAG), codeTag(f, state, page)), () =>
      f.set(table, f.call(codeWalk, "i32", [state, page])),
    );
    return table;
  };
  const lookup = m.addFunction(
    withTarget,
    build(["i32", "i32", "i64"], (f, state) => {
      const target = f.param(2);
      const page = f.let(f.and(target, f.i64(-4096)));
      const table = codeTable(f, state, page);
      f.if(f.get(table), () => {
        const found = f.let(tableSlot(f, f.get(table), target));
        f.if(found, () => {
          f.store("i64", state, page, S.PAGE_VA);
          f.return(found);
        });
      });
      needCode(f, state, target, EXIT_NEED_CODE);
      f.unreachable();
    }),
    "lookupCode",
  );
  const goto = (link: boolean) =>
    build(["i32", "i32", "i64"], (f, state, record) => {
      const target = f.param(2);
      const distance = f.sub(target, f.load("i64", state, S.PAGE_VA));
      f.if(f.ltU(distance, f.i64(4096)), () => {
        const found = f.let(tableSlot(f, f.load("i32", record, R.PAGE), target));
        f.if(found, () => {
          if (link) f.store("i32", record, found, R.LINK);
          f.return(found);
        });
      });
      f.return(f.call(lookup, "i32", [state, record, target]));
      f.unreachable();
    });
  m.addFunction(withTarget, goto(false), "goto");
  const gotoDirect = m.addFunction(withTarget, goto(true), "gotoDirect");

  m.addFunction(
    handler,
    build(["i32", "i32"], (f, state, record) => {
      needCode(f, state, address(f, state, record), EXIT_NEED_CODE_UNCOUNTED);
      f.unreachable();
    }),
    "stale",
  );
  m.addFunction(
    handler,
    build(["i32", "i32"], (f, state, record) => {
      const next = f.variable(f.load("i32", record, R.LINK));
      f.if(f.eqz(f.get(next)), () => {
        f.set(next, f.call(gotoDirect, "i32", [state, record, address(f, state, record)]));
        f.if(f.eqz(f.get(next)), () => {
          f.store("i32", state, f.i32(EXIT_NEED_CODE_UNCOUNTED), S.EXIT_KIND);
          f.return(f.i32(0));
        });
      });
      passOn(f, state, record, f.get(next));
      f.unreachable();
    }),
    "pseudoGoto",
  );
  m.addFunction(
    handler,
    build(["i32", "i32"], (f, state, record) => {
      const page = f.let(f.add(f.load("i64", state, S.PAGE_VA), f.i64(4096)));
      const table = codeTable(f, state, page);
      f.if(f.eq(f.get(table), f.load("i32", record, R.LINK)), () => {
        passOn(f, state, record, f.let(f.add(record, f.i32(R.RECORD_SIZE))));
      });
      needCode(f, state, address(f, state, record), EXIT_NEED_CODE_UNCOUNTED);
      f.unreachable();
    }),
    "crossing",
  );
  m.addFunction(
    handler,
    build(["i32", "i32"], (f, state, record) => {
      f.store("i32", state, record, S.EXIT_RECORD);
      f.store("i32", state, f.i32(ExitKind.Syscall), S.EXIT_KIND);
      f.store("i32", state, f.i32(0), S.EXIT_VECTOR);
      f.store("i32", state, f.i32(0), S.EXIT_ERROR);
      f.return(f.i32(0));
      f.unreachable();
    }),
    "leaveGate",
  );
  m.addFunction(
    handler,
    build(["i32", "i32"], (f, state, record) => {
      f.return(f.callIndirect(handler, "i32", [state, record], f.i32(Slot.Gate)));
      f.unreachable();
    }),
    "gate",
  );
  const access = m.type(["i32", "i32", "i64", "i32"], ["i32"]);
  const walk = m.addFunction(access, walkFunction(memory));
  const cross = m.addFunction(m.type(["i32", "i64", "i32"], ["i32"]), crossFunction());
  m.addFunction(m.type(["i32", "i32"], []), commitFunction(commitSlow), "commit");
  m.addFunction(
    access,
    build(["i32", "i32", "i64", "i32"], (f, state, record) => {
      const va = f.param(2);
      f.store("i32", state, f.add(f.load("i32", state, S.TLB_MISSES), f.i32(1)), S.TLB_MISSES);
      f.store("i32", state, f.i32(0), S.SLOW_ACCESS);
      const walked = f.let(f.call(walk, "i32", [state, record, va, f.param(3)]));
      f.if(walked, () => f.return(walked));
      f.store("i32", state, f.i32(1), S.SLOW_ACCESS);
      const crossed = f.let(f.call(cross, "i32", [state, va, f.param(3)]));
      f.if(crossed, () => f.return(crossed));
      const high = f.wrap(f.shrU(va, f.i64(32)));
      f.return(f.call(miss, "i32", [state, record, f.wrap(va), high, f.param(3)]));
      f.unreachable();
    }),
    "translate",
  );
  m.addFunction(
    m.type(["i32", "i32", "i32", "i32", "i32"], ["i32"]),
    build(["i32", "i32", "i32", "i32", "i32"], (f, state, record) => {
      const [segment, offset, access] = [f.param(2), f.param(3), f.param(4)];
      const slot = f.let(f.add(state, f.shl(segment, f.i32(2))));
      const limit = f.let(f.load("i32", slot, S.SEG_LIMIT));
      const attributes = f.let(f.load("i32", slot, S.SEG_ATTR));
      const last = f.let(f.sub(f.and(access, f.i32(0xff)), f.i32(1)));
      // Present expand-up data; writable when written to. Everything else is decided by the slow path.
      const data = f.eq(f.and(attributes, f.i32(0x1009c)), f.i32(0x90));
      const writable = f.or(f.eqz(f.and(access, f.i32(0x100))), f.and(f.shrU(attributes, f.i32(1)), f.i32(1)));
      const inside = f.and(f.leU(offset, limit), f.geU(f.sub(limit, offset), last));
      f.if(f.and(f.and(data, writable), inside), () => f.return(f.i32(1)));
      f.return(f.call(segmentSlow, "i32", [state, record, segment, offset, access]));
      f.unreachable();
    }),
    "checkSegment",
  );
  m.addFunction(
    m.type(["i32", "i32"], []),
    build(["i32", "i32"], (f, state, first) => {
      const record = f.variable(first);
      const next = f.local("i32");
      const budget = f.local("i32");
      const ticks = f.variable(f.load("i32", state, S.SAMPLE_TICKS));
      const noting = f.variable(f.load("i32", state, S.NOTING));
      const jump = f.variable(f.i32(0));
      const jumpPage = f.local("i32");
      f.loop((again) => {
        f.ifRare(f.get(noting), () => {
          f.store("i32_8", f.get(record), f.i32(1), R.RAN);
          const page = f.let(f.load("i32", state, S.PAGE_VA));
          f.if(f.get(jump), () => noteComputedJump(f, ring, f.get(jump), f.get(record), f.sub(page, f.get(jumpPage))));
          f.set(jump, f.select(f.load("i32_8u", f.get(record), R.COMPUTED), f.get(record), f.i32(0)));
          f.set(jumpPage, page);
        });
        f.set(next, dispatch(f, state, f.get(record)));
        f.ifUsual(f.get(next), () => {
          f.set(record, f.get(next));
          // In memory, because compiled regions count their instructions there.
          f.set(budget, f.sub(f.load("i32", state, S.BUDGET), f.i32(1)));
          f.store("i32", state, f.get(budget), S.BUDGET);
          f.ifUsual(f.get(budget), () => {
            f.set(ticks, f.sub(f.get(ticks), f.i32(1)));
            f.brIf(again, f.gtS(f.get(ticks), f.i32(0)), true);
            f.set(jump, f.i32(0));
            f.set(noting, f.call(sample, "i32", [f.get(record)]));
            f.set(ticks, f.select(f.get(noting), f.get(noting), f.i32(SAMPLE_INTERVAL)));
            f.br(again);
          });
          f.store("i32", state, f.get(record), S.EXIT_RECORD);
          f.store("i32", state, f.i32(1), S.EXIT_KIND);
        });
      });
      f.store("i32", state, f.get(ticks), S.SAMPLE_TICKS);
      f.store("i32", state, f.get(noting), S.NOTING);
    }),
    "run",
  );
  m.addFunction(
    m.type(["i32", "i32", "i32"], ["i32"]),
    build(["i32", "i32", "i32"], (f, state) => {
      const target = f.or(f.extendU(f.param(1)), f.shl(f.extendU(f.param(2)), f.i64(32)));
      f.return(f.call(lookup, "i32", [state, f.i32(0), target]));
      f.unreachable();
    }),
    "lookup",
  );
  m.addFunction(
    m.type(["i32", "i32", "i64", "i32", "i64", "i32"], ["i32"]),
    writeX87Arithmetic(new FunctionBuilder(["i32", "i32", "i64", "i32", "i64", "i32"])),
    "x87",
  );
  m.addFunction(
    m.type(["i32", "i32", "v128", "v128"], ["i32"]),
    writeOrdinary(new FunctionBuilder(["i32", "i32", "v128", "v128"])),
    "ordinary",
  );
  return m.toBytes();
}
