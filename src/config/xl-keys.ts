// Every key of xl.cfg(5) 4.17, and what becomes of it here. `used`: it does what the manual says. `noted`: accepted, and without
// effect, since what it tunes doesn't exist here. `ignored`: the guest starts without it, with a warning that says so.
// `refused`: starting without it would be another guest. A key outside of this table is unknown.

export type KeySupport =
  | { readonly support: "used" | "noted" }
  | { readonly support: "ignored" | "refused"; readonly because: string };

const NO_EMULATION = "there is no device model: PV devices are all a guest has";
const NO_DISPLAY = "guests have no display; the console is text";
const NO_PASSTHROUGH = "there are no host devices to pass through";
const NO_HVM = "it belongs to HVM guests, which aren't supported";

const rows: readonly (readonly [KeySupport, string])[] = [
  [{ support: "used" }, "name type builder uuid kernel ramdisk cmdline root extra firmware"],
  [{ support: "used" }, "memory maxmem vcpus maxvcpus cpus cpus_soft cpu_weight cap disk vif channel"],
  [{ support: "used" }, "on_poweroff on_reboot on_watchdog on_crash"],
  [{ support: "noted" }, "pool on_soft_reset seclabel init_seclabel max_grant_frames max_maptrack_frames"],
  [{ support: "noted" }, "max_grant_version nomigrate driver_domain passthrough xend_suspend_evtchn_compat"],
  [{ support: "noted" }, "vmtrace_buf_kb max_event_channels e820_host claim_mode dm_restrict device_model_user"],
  [{ support: "noted" }, "hap oos shadow_memory pae acpi acpi_s3 acpi_s4 acpi_laptop_slate apic nx hpet mmio_hole"],
  [{ support: "noted" }, "tsc_mode timer_mode vpt_align localtime rtc_timeoffset msr_relaxed mca_caps tee gic_version"],
  [{ support: "noted" }, "altp2m altp2mhvm viridian xen_platform_pci vendor_device disable_migrate avail_vcpus"],
  [{ support: "noted" }, "bios bios_path_override acpi_firmware smbios_firmware ms_vm_genid hdtype boot videoram"],
  [{ support: "noted" }, "device_model_version device_model_override device_model_stubdomain_override"],
  [
    { support: "noted" },
    "device_model_stubdomain_seclabel device_model_args device_model_args_pv device_model_args_hvm",
  ],
  [{ support: "noted" }, "stubdomain_kernel stubdomain_cmdline stubdomain_ramdisk stubdomain_memory"],
  [{ support: "noted" }, "rdm rdm_mem_boundary pci_permissive pci_msitranslate pci_seize pci_power_mgmt iomem_gfn"],
  [
    { support: "noted" },
    "pvshim pvshim_path pvshim_cmdline pvshim_extra bootloader_args vnclisten vncdisplay vncunused",
  ],
  [{ support: "noted" }, "vncpasswd keymap opengl nographic spicehost spiceport spicetls_port spicedisable_ticketing"],
  [{ support: "noted" }, "spicepasswd spiceagent_mouse spicevdagent spice_clipboard_sharing spiceusbredirection"],
  [{ support: "noted" }, "spice_image_compression spice_streaming_video usbversion vkb_device stdvga vga"],
  [{ support: "ignored", because: NO_DISPLAY }, "vfb vnc sdl spice vkb vdispl gfx_passthru"],
  [{ support: "ignored", because: "guests have no sound" }, "vsnd soundhw"],
  [{ support: "ignored", because: NO_EMULATION }, "serial usb usbdevice"],
  [{ support: "ignored", because: "there is one NUMA node" }, "vnuma"],
  [{ support: "ignored", because: "the CPUID that guests see can't be changed" }, "cpuid nestedhvm"],
  [{ support: "ignored", because: "there are no performance counters" }, "vpmu"],
  [{ support: "refused", because: NO_PASSTHROUGH }, "pci usbctrl usbdev dtdev ioports iomem irqs device_tree"],
  [{ support: "refused", because: "there is no TPM" }, "vtpm"],
  [{ support: "refused", because: "there is no 9pfs backend" }, "p9"],
  [{ support: "refused", because: "there is no PV calls backend" }, "pvcalls"],
  [{ support: "refused", because: 'name a kernel, or firmware="pvgrub64" to boot from the disk' }, "bootloader"],
  [{ support: "refused", because: NO_HVM }, "vuart"],
];

export const XL_KEYS: ReadonlyMap<string, KeySupport> = new Map(
  rows.flatMap(([support, names]) => names.split(" ").map((name) => [name, support] as const)),
);

/** The known key nearest to a misspelt one, if any is near. */
export function suggestKey(key: string): string | undefined {
  const near = [...XL_KEYS.keys()].map((known) => ({ known, distance: editDistance(key, known) }));
  const best = near.reduce((a, b) => (b.distance < a.distance ? b : a));
  return best.distance <= (key.length > 4 ? 2 : 1) ? best.known : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}
