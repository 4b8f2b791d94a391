// Emits the body of a region's function from a request: a pure function of the request and the decoder's features.

import { CodeMode, type Decoded, DecodeResult, OperandKind } from "../decode/decoded.js";
import type { Decoder } from "../decode/decoder.js";
import type { SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import { hasMemoryOperand, runtimeIndices } from "../interpreter/handlers.js";
import { checkUnit, unitOf } from "../interpreter/unit.js";
import * as S from "../state-layout.js";
import type { Label } from "../wasm/function-builder.js";
import { JitEmitter, type RegionInstruction } from "./jit-emitter.js";
import type { BlockRequest, RegionRequest } from "./request.js";
import { openingAt, type Scope, structureOf } from "./structure.js";

/** The body of a function of the handlers' signature, as ModuleWriter.addFunction takes it. */
export function emitRegion(request: RegionRequest, decoder: Decoder, semantics: SemanticsTable): Uint8Array {
  const { blocks } = request;
  const edges: [number, number][] = [];
  for (const [i, { target, fallThrough }] of blocks.entries()) {
    if (target && target.block >= 0) edges.push([i, target.block]);
    if (fallThrough && fallThrough.block >= 0 && fallThrough.block !== i + 1) edges.push([i, fallThrough.block]);
  }
  const structure = structureOf(edges);
  const labels = new Map<string, Label>();
  let current = 0;
  const emitter = new JitEmitter({
    runtime: runtimeIndices,
    label: ({ block }) => {
      if (block < 0 || !structure.canJump(current, block)) return undefined;
      return labels.get(`${block <= current ? "loop" : "block"}${block}`);
    },
  });
  const open: Scope[] = [];
  for (const [i, block] of blocks.entries()) {
    while (open.length > 0 && open.at(-1)!.end === i) {
      const scope = open.pop()!;
      labels.delete(`${scope.kind}${scope.target}`);
      emitter.end();
    }
    for (const scope of openingAt(structure, i)) {
      open.push(scope);
      labels.set(`${scope.kind}${scope.target}`, emitter.begin(scope.kind));
    }
    current = i;
    emitter.enterBlock(block);
    for (const instruction of instructionsOf(block, decoder)) {
      if (emitter.dead) break;
      const { form } = instruction.decoded;
      const prologue = () => {
        if (form.row.options.cpl === 0) emitter.raiseIf(emitter.stateLoad("i32", S.CPL), Vector.GP, 0);
        checkUnit(emitter, unitOf(form));
      };
      emitter.instruction(instruction, prologue, (operands) => semantics[form.semantics]!(emitter, ...operands));
    }
    if (block.fallThrough) emitter.fallThrough(block.fallThrough, block.fallThrough.block === i + 1);
    else if (!emitter.dead) emitter.unreachable();
  }
  while (open.pop()) emitter.end();
  return emitter.finishRegion();
}

function instructionsOf(block: BlockRequest, decoder: Decoder): RegionInstruction[] {
  const { bytes, records } = block;
  let at = 0;
  return records.map((record, position) => {
    const decoded: Decoded = decoder.newDecoded();
    if (decoder.decode(bytes, at, bytes.length, CodeMode.Bits64, decoded) !== DecodeResult.Ok)
      throw new Error("jit: a region's bytes are no instructions");
    const { form, length } = decoded;
    const segment = hasMemoryOperand(form) || decoded.segmentOverridden ? decoded.segment : S.Seg.DS;
    const relative = form.operands.at(-1)?.kind === OperandKind.Relative;
    const start = block.at + at;
    at += length;
    const last = position === records.length - 1;
    return {
      at: start,
      length,
      decoded,
      segment,
      position,
      record,
      nextRecord: records[position + 1] ?? block.fallThrough?.record ?? 0,
      target: relative && last ? block.target : undefined,
    };
  });
}
