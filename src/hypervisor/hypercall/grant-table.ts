// HYPERVISOR_grant_table_op (grant_table.h). Each operation takes an array of structs and stores a status in each; the hypercall
// itself fails only for unreadable arguments.

import { copyGrants } from "../grant-copy.js";
import { mapGrant, unmapGrant } from "../grant-map.js";
import { transferGrant } from "../grant-transfer.js";
import { copyToGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as G from "../public/grant-table.js";
import type { Struct, StructValue } from "../public/layout.js";
import { __HYPERVISOR_grant_table_op } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { domainFor, readStruct, reportOnce, updateStruct } from "./operation.js";

/** Structs that one call works on before it gives way. */
const BATCH = 64;

/** Handles element `va` of the array. @returns 0, or -errno which ends the call */
type ElementOperation = { size: (abi: 64 | 32) => number; run: (vcpu: Vcpu, va: bigint) => number };

/** An operation whose result is the struct's status. */
function withStatus<F extends { status: unknown }>(
  layout: Struct<F>,
  run: (vcpu: Vcpu, argument: StructValue<F>) => number,
): ElementOperation {
  return each(layout, (vcpu, argument) => {
    (argument as { status: number }).status = run(vcpu, argument);
    return 0;
  });
}

function each<F>(layout: Struct<F>, run: (vcpu: Vcpu, argument: StructValue<F>) => number): ElementOperation {
  return {
    size: (abi) => layout.size(abi),
    run: (vcpu, va) => {
      const argument = readStruct(vcpu, va, layout);
      if (!argument) return -errno.EFAULT;
      const result = run(vcpu, argument);
      if (result < 0) return result;
      return updateStruct(vcpu, va, layout, argument) ? 0 : -errno.EFAULT;
    },
  };
}

/** -errno of a domid as a GNTST_* status. */
function domainStatus(error: number): number {
  return error === -errno.EPERM ? G.GNTST_permission_denied : G.GNTST_bad_domain;
}

/** Writes frame numbers to a list of xen_pfn_t (or u64) in the guest. */
function writeFrames(vcpu: Vcpu, va: bigint, frames: readonly number[], width: number): boolean {
  const bytes = new Uint8Array(frames.length * width);
  const view = new DataView(bytes.buffer);
  for (const [i, mfn] of frames.entries()) {
    if (width === 8) view.setBigUint64(i * 8, BigInt(mfn), true);
    else view.setUint32(i * 4, mfn, true);
  }
  return copyToGuest(vcpu, va, bytes);
}

const setupTable = withStatus(G.gnttab_setup_table, (vcpu, argument) => {
  const domain = domainFor(vcpu, argument.dom);
  if (typeof domain === "number") return domainStatus(domain);
  const { grants } = domain;
  if (argument.nr_frames > grants.maxFrames) return G.GNTST_general_error;
  if (!grants.grow(argument.nr_frames)) return G.GNTST_general_error;
  const frames = grants.frames.slice(0, argument.nr_frames);
  return writeFrames(vcpu, argument.frame_list, frames, vcpu.domain.abi / 8) ? G.GNTST_okay : G.GNTST_bad_virt_addr;
});

const querySize = withStatus(G.gnttab_query_size, (vcpu, argument) => {
  const domain = domainFor(vcpu, argument.dom);
  if (typeof domain === "number") return domainStatus(domain);
  argument.nr_frames = domain.grants.frames.length;
  argument.max_nr_frames = domain.grants.maxFrames;
  return G.GNTST_okay;
});

const getStatusFrames = withStatus(G.gnttab_get_status_frames, (vcpu, argument) => {
  const domain = domainFor(vcpu, argument.dom);
  if (typeof domain === "number") return domainStatus(domain);
  const { statusFrames } = domain.grants;
  if (argument.nr_frames > statusFrames.length) return G.GNTST_general_error;
  const frames = statusFrames.slice(0, argument.nr_frames);
  return writeFrames(vcpu, argument.frame_list, frames, 8) ? G.GNTST_okay : G.GNTST_bad_virt_addr;
});

const setVersion = each(G.gnttab_set_version, (vcpu, argument) => {
  const { version } = argument;
  if (version !== 1 && version !== 2) return -errno.EINVAL;
  const { grants } = vcpu.domain;
  const result = grants.setVersion(version);
  argument.version = grants.version;
  return result;
});

const getVersion = each(G.gnttab_get_version, (vcpu, argument) => {
  const domain = domainFor(vcpu, argument.dom);
  if (typeof domain === "number") return domain;
  argument.version = domain.grants.version;
  return 0;
});

const operations: Readonly<Record<number, ElementOperation>> = {
  [G.GNTTABOP_map_grant_ref]: withStatus(G.gnttab_map_grant_ref, mapGrant),
  [G.GNTTABOP_unmap_grant_ref]: withStatus(G.gnttab_unmap_grant_ref, (vcpu, argument) => unmapGrant(vcpu, argument)),
  [G.GNTTABOP_unmap_and_replace]: withStatus(G.gnttab_unmap_and_replace, (vcpu, argument) =>
    unmapGrant(vcpu, argument, argument.new_addr),
  ),
  [G.GNTTABOP_setup_table]: setupTable,
  [G.GNTTABOP_query_size]: querySize,
  [G.GNTTABOP_set_version]: setVersion,
  [G.GNTTABOP_get_version]: getVersion,
  [G.GNTTABOP_get_status_frames]: getStatusFrames,
  [G.GNTTABOP_transfer]: withStatus(G.gnttab_transfer, transferGrant),
  [G.GNTTABOP_copy]: withStatus(G.gnttab_copy, copyGrants),
  [G.GNTTABOP_swap_grant_ref]: withStatus(G.gnttab_swap_grant_ref, ({ domain }, { ref_a, ref_b }) =>
    domain.grants.swap(ref_a, ref_b),
  ),
};

export function grantTableOp(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  const command = args.argNumber(0);
  const first = args.arg(1);
  const count = args.argNumber(2);
  const operation = Object.hasOwn(operations, command) ? operations[command] : undefined;
  if (!operation) {
    reportOnce(vcpu, `unknown grant_table_op sub-operation ${command}`);
    return -errno.ENOSYS;
  }
  if (count > 0x7fffffff) return -errno.EINVAL;
  const size = operation.size(vcpu.domain.abi);
  const batch = Math.min(count, BATCH);
  for (let i = 0; i < batch; i++) {
    const result = operation.run(vcpu, BigInt.asUintN(64, first + BigInt(i * size)));
    if (result < 0) return result;
  }
  if (batch === count) return 0;
  vcpu.continueHypercall(__HYPERVISOR_grant_table_op, command, first + BigInt(batch * size), count - batch);
  return undefined;
}

export const grantTableRows: readonly HypercallRow[] = [
  {
    number: __HYPERVISOR_grant_table_op,
    name: "grant_table_op",
    pv64: grantTableOp,
    pv32: grantTableOp,
    hvm: grantTableOp,
  },
];
