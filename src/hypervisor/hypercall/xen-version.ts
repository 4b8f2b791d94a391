// HYPERVISOR_xen_version (version.h, features.h): which Xen this is. The version is the one whose ABI we follow, 4.17.

import { copyFromGuest, copyToGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { HYPERVISOR_VIRT_START } from "../public/arch-x86/xen-x86_64.js";
import { errno } from "../public/errno.js";
import * as F from "../public/features.js";
import * as V from "../public/version.js";
import { __HYPERVISOR_xen_version } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

export const XEN_MAJOR = 4;
export const XEN_MINOR = 17;
export const XEN_EXTRAVERSION = ".7";
export const XEN_CAPABILITIES = "xen-3.0-x86_64 ";
const PAGE_SIZE = 4096;
const DENIED = "<denied>";

const PV_FEATURES =
  (1 << F.XENFEAT_pae_pgdir_above_4gb) |
  (1 << F.XENFEAT_mmu_pt_update_preserve_ad) |
  (1 << F.XENFEAT_highmem_assist) |
  (1 << F.XENFEAT_gnttab_map_avail_bits) |
  (1 << F.XENFEAT_memory_op_vnode_supported) |
  (1 << F.XENFEAT_direct_mapped);

/** The first (and only) word of the feature map for a domain. */
export function featureMap(privileged: boolean): number {
  return PV_FEATURES | (privileged ? 1 << F.XENFEAT_dom0 : 0);
}

/** Zero-terminated text in an array of `length` bytes. */
function text(value: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(new TextEncoder().encode(value).subarray(0, length - 1));
  return bytes;
}

/** What each query writes to its argument; what it depends on beyond the domain is in `input`. */
const answers: Readonly<Record<number, (vcpu: Vcpu) => Uint8Array>> = {
  [V.XENVER_extraversion]: () => text(XEN_EXTRAVERSION, V.XEN_EXTRAVERSION_LEN),
  [V.XENVER_compile_info]: (vcpu) => {
    const shown = (value: string) => (vcpu.domain.privileged ? value : DENIED);
    return V.xen_compile_info.encode(64, {
      compiler: text(shown("xen-ts"), 64),
      compile_by: text(shown("xen-ts"), 16),
      compile_domain: text(shown("localhost"), 32),
      compile_date: text(shown("unknown"), 32),
    });
  },
  [V.XENVER_capabilities]: () => text(XEN_CAPABILITIES, V.XEN_CAPABILITIES_INFO_LEN),
  [V.XENVER_changeset]: (vcpu) => text(vcpu.domain.privileged ? "unavailable" : DENIED, V.XEN_CHANGESET_INFO_LEN),
  [V.XENVER_platform_parameters]: ({ domain }) =>
    V.xen_platform_parameters.encode(domain.abi, {
      virt_start: domain.abi === 64 ? HYPERVISOR_VIRT_START : 0xf5800000n,
    }),
  [V.XENVER_guest_handle]: ({ domain }) => domain.handle,
  [V.XENVER_commandline]: ({ domain }) =>
    text(domain.privileged ? domain.hypervisor.commandLine : DENIED, V.XEN_COMMANDLINE_LEN),
};

export function xenVersion(vcpu: Vcpu, args: HypercallArgs): number {
  const command = args.argNumber(0);
  const va = args.arg(1);
  switch (command) {
    case V.XENVER_version:
      return (XEN_MAJOR << 16) | XEN_MINOR;
    case V.XENVER_pagesize:
      return PAGE_SIZE;
    case V.XENVER_get_features:
      return getFeatures(vcpu, va);
    case V.XENVER_build_id:
      return -errno.ENODATA; // our hypervisor is no linked image, so it has no build id
  }
  const answer = Object.hasOwn(answers, command) ? answers[command] : undefined;
  if (!answer) return -errno.ENOSYS;
  return copyToGuest(vcpu, va, answer(vcpu)) ? 0 : -errno.EFAULT;
}

function getFeatures(vcpu: Vcpu, va: bigint): number {
  const { abi, privileged } = vcpu.domain;
  const bytes = copyFromGuest(vcpu, va, V.xen_feature_info.size(abi));
  if (!bytes) return -errno.EFAULT;
  const info = V.xen_feature_info.decode(bytes, abi);
  if (info.submap_idx >= F.XENFEAT_NR_SUBMAPS) info.submap = 0;
  else info.submap = featureMap(privileged);
  return copyToGuest(vcpu, va, V.xen_feature_info.encode(abi, info)) ? 0 : -errno.EFAULT;
}

export const xenVersionRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_xen_version, name: "xen_version", pv64: xenVersion, pv32: xenVersion, hvm: xenVersion },
];
