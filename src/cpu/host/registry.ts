// All host operations by name, and the dense ids that handlers carry.

import { aesOperations } from "./aes.js";
import { controlRegisterOperations } from "./control-registers.js";
import { decimalOperations } from "./decimal.js";
import { farTransferOperations } from "./far-transfer.js";
import { fastReturnOperations } from "./fast-return.js";
import type { HostOperation, HostOperationTable } from "./host-operation.js";
import { modelSpecificOperations } from "./model-specific.js";
import { saveAreaOperations } from "./save-area.js";
import { segmentOperations } from "./segments.js";
import { sseFloatOperations } from "./sse-float.js";
import { stringCompareOperations } from "./string-compare.js";
import { systemOperations } from "./system.js";
import { systemTableOperations } from "./system-tables.js";
import { x87ArithmeticOperations } from "./x87-arithmetic.js";
import { x87CompareOperations } from "./x87-compare.js";
import { x87ControlOperations } from "./x87-control.js";
import { x87TransferOperations } from "./x87-transfer.js";

function merge(...tables: HostOperationTable[]): Map<string, { id: number; run: HostOperation }> {
  const all = new Map<string, { id: number; run: HostOperation }>();
  for (const table of tables) {
    for (const [name, run] of Object.entries(table)) {
      if (all.has(name)) throw new Error(`host operation ${name} is defined twice`);
      all.set(name, { id: all.size, run });
    }
  }
  return all;
}

const operations = merge(
  systemOperations,
  segmentOperations,
  farTransferOperations,
  controlRegisterOperations,
  modelSpecificOperations,
  systemTableOperations,
  fastReturnOperations,
  decimalOperations,
  sseFloatOperations,
  stringCompareOperations,
  aesOperations,
  saveAreaOperations,
  x87ControlOperations,
  x87TransferOperations,
  x87ArithmeticOperations,
  x87CompareOperations,
);

/** @throws Error for an unknown name: a mistake in a semantics body. */
export function hostOperationId(name: string): number {
  const operation = operations.get(name);
  if (!operation) throw new Error(`no host operation ${name}`);
  return operation.id;
}

/** By id. */
export const hostOperationList: readonly HostOperation[] = [...operations.values()].map((o) => o.run);
