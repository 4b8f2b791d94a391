// Struct sizes as gcc lays out Xen 4.17's public headers, for x86_64 and i386.

import { describe, expect, test } from "vitest";
import * as archXen from "../../../src/hypervisor/public/arch-x86/xen.js";
import * as mca from "../../../src/hypervisor/public/arch-x86/xen-mca.js";
import * as archXen64 from "../../../src/hypervisor/public/arch-x86/xen-x86_64.js";
import * as callback from "../../../src/hypervisor/public/callback.js";
import * as domctl from "../../../src/hypervisor/public/domctl.js";
import * as eventChannel from "../../../src/hypervisor/public/event-channel.js";
import * as grantTable from "../../../src/hypervisor/public/grant-table.js";
import type { Abi } from "../../../src/hypervisor/public/layout.js";
import * as memory from "../../../src/hypervisor/public/memory.js";
import * as physdev from "../../../src/hypervisor/public/physdev.js";
import * as platform from "../../../src/hypervisor/public/platform.js";
import * as pmu from "../../../src/hypervisor/public/pmu.js";
import * as sched from "../../../src/hypervisor/public/sched.js";
import * as vcpu from "../../../src/hypervisor/public/vcpu.js";
import * as version from "../../../src/hypervisor/public/version.js";
import * as xen from "../../../src/hypervisor/public/xen.js";

interface Sized {
  size(abi: Abi): number;
}

/** Name, layout, bytes in a 64-bit guest, bytes in a 32-bit one (0: the layout is for 64-bit guests only). */
const sizes: readonly (readonly [string, Sized, number, number])[] = [
  ["trap_info", archXen.trap_info, 16, 8],
  ["vcpu_guest_context", archXen.vcpu_guest_context, 5168, 0],
  ["arch_shared_info", archXen.arch_shared_info, 48, 28],
  ["arch_vcpu_info", archXen.arch_vcpu_info, 16, 24],
  ["xen_mc_fetch", mca.xen_mc_fetch, 24, 20],
  ["xen_mc_physcpuinfo", mca.xen_mc_physcpuinfo, 16, 12],
  ["mcinfo_logical_cpu", mca.xen_mc_logical_cpu, 304, 300],
  ["cpu_user_regs", archXen64.cpu_user_regs, 200, 0],
  ["callback_register", callback.callback_register, 16, 0],
  ["evtchn_alloc_unbound", eventChannel.evtchn_alloc_unbound, 8, 8],
  ["evtchn_bind_interdomain", eventChannel.evtchn_bind_interdomain, 12, 12],
  ["evtchn_bind_virq", eventChannel.evtchn_bind_virq, 12, 12],
  ["evtchn_bind_pirq", eventChannel.evtchn_bind_pirq, 12, 12],
  ["evtchn_status", eventChannel.evtchn_status, 24, 24],
  ["evtchn_init_control", eventChannel.evtchn_init_control, 24, 24],
  ["evtchn_expand_array", eventChannel.evtchn_expand_array, 8, 8],
  ["evtchn_set_priority", eventChannel.evtchn_set_priority, 8, 8],
  ["gnttab_map_grant_ref", grantTable.gnttab_map_grant_ref, 32, 32],
  ["gnttab_unmap_grant_ref", grantTable.gnttab_unmap_grant_ref, 24, 24],
  ["gnttab_setup_table", grantTable.gnttab_setup_table, 24, 16],
  ["gnttab_transfer", grantTable.gnttab_transfer, 24, 16],
  ["gnttab_copy", grantTable.gnttab_copy, 40, 24],
  ["gnttab_query_size", grantTable.gnttab_query_size, 16, 16],
  ["gnttab_unmap_and_replace", grantTable.gnttab_unmap_and_replace, 24, 24],
  ["gnttab_set_version", grantTable.gnttab_set_version, 4, 4],
  ["gnttab_get_status_frames", grantTable.gnttab_get_status_frames, 16, 12],
  ["gnttab_get_version", grantTable.gnttab_get_version, 8, 8],
  ["gnttab_swap_grant_ref", grantTable.gnttab_swap_grant_ref, 12, 12],
  ["gnttab_cache_flush", grantTable.gnttab_cache_flush, 16, 16],
  ["xen_memory_reservation", memory.xen_memory_reservation, 32, 20],
  ["xen_memory_exchange", memory.xen_memory_exchange, 72, 44],
  ["xen_machphys_mfn_list", memory.xen_machphys_mfn_list, 24, 12],
  ["xen_machphys_mapping", memory.xen_machphys_mapping, 24, 12],
  ["xen_add_to_physmap", memory.xen_add_to_physmap, 24, 16],
  ["xen_add_to_physmap_batch", memory.xen_add_to_physmap_batch, 32, 20],
  ["xen_remove_from_physmap", memory.xen_remove_from_physmap, 16, 8],
  ["xen_memory_map", memory.xen_memory_map, 16, 8],
  ["xen_foreign_memory_map", memory.xen_foreign_memory_map, 24, 12],
  ["xen_pod_target", memory.xen_pod_target, 40, 36],
  ["xen_mem_acquire_resource", memory.xen_mem_acquire_resource, 32, 28],
  ["physdev_apic", physdev.physdev_apic, 16, 12],
  ["physdev_map_pirq", physdev.physdev_map_pirq, 40, 36],
  ["physdev_setup_gsi", physdev.physdev_setup_gsi, 8, 8],
  ["physdev_pci_mmcfg_reserved", physdev.physdev_pci_mmcfg_reserved, 16, 16],
  ["physdev_set_iobitmap", physdev.physdev_set_iobitmap, 16, 8],
  ["xenpf_settime64", platform.xenpf_settime64, 24, 24],
  ["xenpf_settime32", platform.xenpf_settime32, 16, 16],
  ["xenpf_firmware_info", platform.xenpf_firmware_info, 40, 36],
  ["xenpf_enter_acpi_sleep", platform.xenpf_enter_acpi_sleep, 12, 12],
  ["xenpf_pcpuinfo", platform.xenpf_pcpuinfo, 20, 20],
  ["xenpf_pcpu_version", platform.xenpf_pcpu_version, 32, 32],
  ["xenpf_getidletime", platform.xenpf_getidletime, 32, 20],
  ["xen_pmu_params", pmu.xen_pmu_params, 24, 24],
  ["xen_domctl_vcpuaffinity", domctl.xen_domctl_vcpuaffinity, 40, 40],
  ["xen_domctl_getvcpuinfo", domctl.xen_domctl_getvcpuinfo, 24, 24],
  ["sched_poll", sched.sched_poll, 24, 16],
  ["sched_remote_shutdown", sched.sched_remote_shutdown, 8, 8],
  ["sched_watchdog", sched.sched_watchdog, 8, 8],
  ["vcpu_runstate_info", vcpu.vcpu_runstate_info, 48, 44],
  ["vcpu_set_singleshot_timer", vcpu.vcpu_set_singleshot_timer, 16, 12],
  ["vcpu_register_vcpu_info", vcpu.vcpu_register_vcpu_info, 16, 16],
  ["vcpu_register_runstate_memory_area", vcpu.vcpu_register_runstate_memory_area, 8, 8],
  ["xen_compile_info", version.xen_compile_info, 144, 144],
  ["xen_feature_info", version.xen_feature_info, 8, 8],
  ["start_info", xen.start_info, 1168, 1112],
  ["shared_info", xen.shared_info, 3136, 2344],
  ["vcpu_info", xen.vcpu_info, 64, 64],
  ["vcpu_time_info", xen.vcpu_time_info, 32, 32],
  ["mmuext_op", xen.mmuext_op, 24, 12],
  ["multicall_entry", xen.multicall_entry, 64, 32],
  ["mmu_update", xen.mmu_update, 16, 16],
  ["dom0_vga_console_info", xen.dom0_vga_console_info, 40, 40],
];

test.each(sizes)("%s", (_name, layout, size64, size32) => {
  expect(layout.size(64)).toBe(size64);
  if (size32 > 0) expect(layout.size(32)).toBe(size32);
});

describe("offsets", () => {
  test("shared_info", () => {
    const offsets = (abi: Abi) =>
      (["evtchn_pending", "evtchn_mask", "wc_version", "arch"] as const).map((f) => xen.shared_info.offset(abi, f));
    expect(offsets(64)).toEqual([2048, 2560, 3072, 3088]);
    expect(offsets(32)).toEqual([2048, 2176, 2304, 2316]);
    expect([xen.wcSecHiOffset(64), xen.wcSecHiOffset(32)]).toEqual([3084, 2340]);
  });
  test("start_info", () => {
    const offsets = (abi: Abi) =>
      (["console", "cmd_line", "first_p2m_pfn"] as const).map((f) => xen.start_info.offset(abi, f));
    expect(offsets(64)).toEqual([72, 128, 1152]);
    expect(offsets(32)).toEqual([52, 80, 1104]);
  });
  test("vcpu_info.time is at 32 in both", () => {
    expect([xen.vcpu_info.offset(64, "time"), xen.vcpu_info.offset(32, "time")]).toEqual([32, 32]);
  });
});
