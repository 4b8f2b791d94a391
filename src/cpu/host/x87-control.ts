// x87 control instructions as host operations: FNINIT, FLDCW (SDM volume 2).

import type { HostOperationTable } from "./host-operation.js";
import { initialise, setControlAndStatus, statusWord } from "./x87-state.js";

export const x87ControlOperations: HostOperationTable = {
  fninit: (cpu) => initialise(cpu.state),
  /** Argument: the new control word. Unmasking a flag that is set makes it pending. */
  fldcw: (cpu) => setControlAndStatus(cpu.state, cpu.argNumber(0), statusWord(cpu.state)),
};
