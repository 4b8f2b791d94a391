// SYSCALL of guest user mode and the iret hypercall, with the gate in WebAssembly and without it: the guest must not see which of
// the two carried it out, whatever the situation. Each case also says whether the gate itself did.

import { describe, expect, it } from "vitest";
import {
  CODE_MODE,
  CR3,
  DR,
  KERNEL_GS_BASE,
  Reg,
  SEG_BASE,
  Seg,
  STACK_MASK,
  TLB_MISSES,
} from "../../../src/cpu/state-layout.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import type { Vcpu } from "../../../src/hypervisor/hypervisor.js";
import { setUserRoot } from "../../../src/hypervisor/pv/base-pointer.js";
import { setGdt } from "../../../src/hypervisor/pv/descriptors.js";
import { toggleGuestMode } from "../../../src/hypervisor/pv/guest-mode.js";
import { runVcpu } from "../../../src/hypervisor/run-vcpu.js";
import { call, FREE_PFN, makeDomain, makeHost, putWords, va } from "../hypervisor-fixture.js";
import { onBoth, visibleState } from "./gate-fixture.js";

const P_US = 5n;
const CODE64 = 0x00af_fb00_0000_ffffn;
const DATA = 0x00cf_f300_0000_ffffn;

/** Pages that the tests use. */
const CODE = va(FREE_PFN);
const STACK = va(FREE_PFN + 1);
const SECOND_STACK = va(FREE_PFN + 2);
const ROOT_PFN = FREE_PFN + 3;
const GDT_PFN = FREE_PFN + 4;
const READ_ONLY = va(FREE_PFN + 5);

const SYSCALL_AT = CODE + 0x100n;
const CALLBACK = CODE + 0x200n;
const EVENT = CODE + 0x240n;
const FAILSAFE = CODE + 0x280n;
const NMI = CODE + 0x2c0n;
const USER = CODE + 0x300n;
const STACK_TOP = STACK + 0x800n;
const IRET_FRAME = STACK + 0x400n;

interface Situation {
  readonly vcpu: Vcpu;
  setInfo(offset: number, value: number): void;
  /** Fills the frame that iret pops; words by name. */
  frame(words: Partial<Record<(typeof WORDS)[number], bigint>>, at?: bigint): void;
}
const WORDS = ["rax", "r11", "rcx", "flags", "rip", "cs", "rflags", "rsp", "ss"] as const;

function makeSituation(gate: boolean): Situation & { snapshot(): unknown; run(): void; gateCount(): number } {
  const host = makeHost(3072, { gate });
  const { domain, vcpu, p2m } = makeDomain(host, false);
  const { memory } = host;
  const { pv } = vcpu;
  const { state } = vcpu.cpu;
  const frameOf = (address: bigint) => p2m[Number((address - va(0)) / 4096n)]!;
  const remap = (address: bigint, flags: bigint) => {
    const entry = (BigInt(frameOf(address)) << 12n) | flags;
    expect(call(updateVaMapping, vcpu, address, entry, 0)).toBe(0);
  };
  memory.fill(frameOf(CODE) * 4096, 4096, 0x90);
  const at = (address: bigint) => frameOf(address) * 4096 + Number(address & 0xfffn);
  memory.write(at(SYSCALL_AT), Uint8Array.of(0x0f, 0x05));
  // A second root, for user mode: the same mappings.
  memory.write(frameOf(va(ROOT_PFN)) * 4096, memory.bytes(pv.guestTable * 4096, 4096).slice());
  remap(va(ROOT_PFN), P_US);
  expect(setUserRoot(vcpu, frameOf(va(ROOT_PFN)))).toBe(true);
  memory.writeU64(frameOf(va(GDT_PFN)) * 4096 + 0x30, CODE64);
  memory.writeU64(frameOf(va(GDT_PFN)) * 4096 + 0x28, DATA);
  memory.writeU64(frameOf(va(GDT_PFN)) * 4096 + 0x38, 0x00cf_fb00_0000_ffffn);
  remap(va(GDT_PFN), P_US);
  expect(setGdt(host.hypervisor, vcpu, [frameOf(va(GDT_PFN))], 16)).toBe(true);
  remap(READ_ONLY, P_US);
  pv.kernelSp = STACK_TOP;
  pv.syscallCallback.address = CALLBACK;
  pv.eventCallback.address = EVENT;
  pv.failsafeCallback.address = FAILSAFE;
  pv.nmiCallback.address = NMI;
  state.setU64(SEG_BASE + 8 * Seg.GS, 0x1111_0000n);
  state.setU64(KERNEL_GS_BASE, 0x2222_0000n);
  memory.writeU8(vcpu.infoAddress + 1, 0);

  // Both roots come to know their pages.
  const touch = (...pages: bigint[]) => {
    for (const page of pages) {
      // MOV [RAX], RAX
      memory.write(at(CODE), Uint8Array.of(0x48, 0x89, 0x00, 0x90));
      state.setGpr(Reg.RAX, page);
      state.rip = CODE;
      runVcpu(vcpu, 1);
    }
  };
  for (let mode = 0; mode < 2; mode++) {
    touch(STACK, SECOND_STACK);
    toggleGuestMode(vcpu);
  }
  memory.fill(frameOf(STACK) * 4096, 4096);
  for (let i = 0; i < 16; i++) state.setGpr(i, 0x0123_4567_89ab_cd00n + BigInt(i));
  state.rflags = 0x202n;
  const before = host.hypervisor.gateCount;

  const put = (address: bigint, words: bigint[]) => {
    putWords(vcpu, address, words);
  };
  return {
    vcpu,
    setInfo: (offset, value) => memory.writeU8(vcpu.infoAddress + offset, value),
    frame: (words, address = IRET_FRAME) => {
      const all = {
        rax: 1n,
        r11: 2n,
        rcx: 3n,
        flags: 0n,
        rip: USER,
        cs: 0xe033n,
        rflags: 0x202n,
        rsp: STACK + 0x100n,
        ss: 0xe02bn,
      };
      put(
        address,
        WORDS.map((name) => ({ ...all, ...words })[name]),
      );
      state.setGpr(Reg.RAX, 23n);
      state.setGpr(Reg.RSP, address);
      state.rip = SYSCALL_AT;
    },
    run: () => void runVcpu(vcpu, 1),
    gateCount: () => host.hypervisor.gateCount - before,
    snapshot: () => ({
      ...visibleState(host, vcpu),
      mode: [
        state.u32(CODE_MODE),
        state.u32(STACK_MASK),
        state.cpl,
        pv.kernelMode,
        pv.iopl,
        pv.nmiMasked,
        pv.nmiPending,
      ],
      cr3: state.u64(CR3),
      dr6: state.u64(DR + 48),
      stack: memory.bytes(frameOf(STACK) * 4096, 8192).join(),
      irets: domain.hypercallCounts[23],
    }),
  };
}

/** Does the same to both machines, runs one instruction and then some, and compares. */
function compare(prepare: (s: Situation) => void): boolean {
  const { fast, slow, passed } = onBoth(makeSituation, (one) => {
    prepare(one);
    one.run();
  });
  // The machine goes on as it must: TLBs and code lookups are those of the new root.
  for (const one of [fast, slow]) for (let i = 0; i < 3; i++) one.run();
  expect(fast.snapshot()).toEqual(slow.snapshot());
  return passed;
}

function fromUser(change: (s: Situation) => void = () => {}): boolean {
  return compare((s) => {
    toggleGuestMode(s.vcpu);
    s.vcpu.cpu.state.rip = SYSCALL_AT;
    change(s);
  });
}

describe("SYSCALL from guest user mode", () => {
  it("goes through the gate", () => {
    expect(fromUser()).toBe(true);
  });

  it.each([0x8d5n, 0xcd5n, 0x44n, 0x801n, 0x81n, 0x4n, 0x10n, 0x200600n, 0x4202n, 0x0n])("with RFLAGS %s", (flags) => {
    expect(
      fromUser((s) => {
        s.vcpu.cpu.state.rflags = flags | 2n;
      }),
    ).toBe(true);
  });

  it.each([
    ["masking events", 0, 0],
    ["masking events, masked already", 1, 0],
    ["masking events while one is pending", 1, 1],
  ])("%s", (_name, mask, pending) => {
    expect(
      fromUser((s) => {
        s.vcpu.pv.syscallCallback.masksEvents = true;
        s.setInfo(1, mask);
        s.setInfo(0, pending);
      }),
    ).toBe(true);
  });

  it("shows the virtual IOPL to a guest that wants it", () => {
    const wants = (s: Situation) => {
      s.vcpu.domain.assists |= 1 << 4;
      s.vcpu.pv.iopl = 1;
    };
    expect(fromUser(wants)).toBe(true);
  });

  it.each<[string, (s: Situation) => void]>([
    [
      "without a callback",
      (s) => {
        s.vcpu.pv.syscallCallback.address = 0n;
      },
    ],
    [
      "with an event due in user mode",
      (s) => {
        s.setInfo(0, 1);
      },
    ],
    [
      "with a stack that isn't mapped",
      (s) => {
        s.vcpu.pv.kernelSp = 0x1234_5000n;
      },
    ],
    [
      "with a stack that ends in an unmapped page",
      (s) => {
        s.vcpu.pv.kernelSp = 0xffff_ffff_fff0_0020n;
      },
    ],
    [
      "with a stack across two pages",
      (s) => {
        s.vcpu.pv.kernelSp = SECOND_STACK + 0x20n;
      },
    ],
    [
      "with a read-only stack",
      (s) => {
        s.vcpu.pv.kernelSp = READ_ONLY + 0x800n;
      },
    ],
    [
      "with a stack in the hypervisor's hole",
      (s) => {
        s.vcpu.pv.kernelSp = 0xffff_8000_0000_0400n;
      },
    ],
    [
      "with a stack that only begins in the hypervisor's hole",
      (s) => {
        s.vcpu.pv.kernelSp = 0xffff_8800_0000_0010n;
      },
    ],
    [
      "with a stack that isn't canonical",
      (s) => {
        s.vcpu.pv.kernelSp = 0x8000_0000_0000_1000n;
      },
    ],
    [
      "with TF",
      (s) => {
        s.vcpu.cpu.state.rflags |= 0x100n;
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with AC",
      (s) => {
        s.vcpu.cpu.state.rflags |= 0x40000n;
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with RF",
      (s) => {
        s.vcpu.cpu.state.rflags |= 0x10000n;
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with a data breakpoint",
      (s) => {
        s.vcpu.cpu.state.setU64(DR + 56, 0xd0403n);
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with an NMI pending",
      (s) => {
        s.vcpu.pv.nmiPending = true;
      },
    ],
    [
      "inside an NMI",
      (s) => {
        s.vcpu.pv.nmiMasked = true;
      },
    ],
    [
      "with translations to be flushed",
      (s) => {
        s.vcpu.domain.memory.tlb.markDirty();
      },
    ],
    [
      "after a flush",
      (s) => {
        s.vcpu.domain.memory.tlb.flush();
      },
    ],
    [
      "after the kernel's root was dropped from the TLBs",
      (s) => {
        s.vcpu.cpu.dropAddressSpace(s.vcpu.pv.guestTable);
      },
    ],
    [
      "after the stack's translation was invalidated",
      (s) => {
        s.vcpu.cpu.invalidatePage(STACK);
      },
    ],
    [
      "while hypercalls are traced",
      (s) => {
        s.vcpu.domain.hypervisor.traceHypercall = () => {};
      },
    ],
  ])("%s is left to TypeScript", (_name, change) => {
    expect(fromUser(change)).toBe(false);
  });

  it("to a callback that isn't canonical faults there", () => {
    expect(
      fromUser((s) => {
        s.vcpu.pv.syscallCallback.address = 0x8000_0000_0000_0000n;
      }),
    ).toBe(true);
  });
});

const fromKernel = (words: Parameters<Situation["frame"]>[0], change: (s: Situation) => void = () => {}, at?: bigint) =>
  compare((s) => {
    s.frame(words, at);
    change(s);
  });

describe("iret hypercall", () => {
  it.each<[string, Parameters<Situation["frame"]>[0]]>([
    ["to user mode", {}],
    ["to user mode by the guest's own selectors", { cs: 0x33n, ss: 0x2bn }],
    ["to kernel mode", { cs: 0xe030n }],
    ["to kernel mode with the mask on top of CS", { cs: 0x1_0000_e030n }],
    ["as SYSRET", { flags: 0x100n }],
    ["as SYSRET with other selectors", { flags: 0x100n, cs: 0x33n, ss: 0x2bn }],
    ["with upcalls masked", { rflags: 0x2n }],
    ["with an IOPL that it can't have", { rflags: 0x3246n }],
    ["to a stack that isn't mapped", { rsp: 0x10n }],
    ["to the last canonical address below", { rip: 0x7fff_ffff_fffen }],
  ])("%s", (_name, words) => {
    expect(fromKernel(words)).toBe(true);
  });

  it.each([0x8d7n, 0xcd7n, 0x46n, 0x803n, 0x83n, 0x6n, 0x12n, 0x200602n, 0x4202n, 0xffff_ffff_0000_0000n])(
    "with RFLAGS %s",
    (rflags) => {
      expect(fromKernel({ rflags })).toBe(true);
      expect(fromKernel({ rflags, flags: 0x100n })).toBe(true);
    },
  );

  it("with an event pending that stays masked", () => {
    const pending = (s: Situation) => {
      s.setInfo(0, 1);
      s.setInfo(1, 1);
    };
    expect(fromKernel({ rflags: 0x2n }, pending)).toBe(true);
  });

  it("keeps the virtual IOPL of a guest that sees it", () => {
    const wants = (s: Situation) => {
      s.vcpu.domain.assists |= 1 << 4;
      s.vcpu.pv.iopl = 1;
    };
    expect(fromKernel({ rflags: 0x1202n }, wants)).toBe(true);
    expect(fromKernel({ rflags: 0x3202n }, wants)).toBe(false);
  });

  it.each<[string, Parameters<Situation["frame"]>[0]]>([
    ["with a selector of no descriptor", { cs: 0x7fn }],
    ["with a null CS", { cs: 0x3n }],
    ["with a null SS", { ss: 0x3n }],
    ["with a selector of the LDT", { cs: 0x37n }],
    ["with a selector beyond the GDT", { cs: 0x1003n }],
    ["with data as CS", { cs: 0x2bn }],
    ["to compatibility mode", { cs: 0xe023n, rip: USER & 0xffff_ffffn }],
    ["to compatibility mode as SYSRET", { cs: 0xe023n, flags: 0x100n, rip: USER & 0xffff_ffffn }],
    ["to compatibility mode by the guest's GDT", { cs: 0x3bn, rip: USER & 0xffff_ffffn }],
    ["to RIP that isn't canonical", { rip: 0x8000_0000_0000n }],
    ["with TF", { rflags: 0x302n }],
    ["with AC", { rflags: 0x40202n }],
    ["with RF", { rflags: 0x10202n }],
  ])("%s is left to TypeScript", (_name, words) => {
    expect(fromKernel(words)).toBe(false);
  });

  it.each<[string, (s: Situation) => void]>([
    ["with an event due", (s) => s.setInfo(0, 1)],
    [
      "without user page tables",
      (s) => {
        setUserRoot(s.vcpu, 0);
      },
    ],
    [
      "with a frame that isn't mapped",
      (s) => {
        s.vcpu.cpu.state.setGpr(Reg.RSP, 0x1000n);
      },
    ],
    [
      "with a frame beyond the canonical range",
      (s) => {
        s.vcpu.cpu.state.setGpr(Reg.RSP, 0x8000_0000_0000n);
      },
    ],
    [
      "at the end of an NMI",
      (s) => {
        s.vcpu.pv.nmiMasked = true;
      },
    ],
    [
      "with an NMI pending",
      (s) => {
        s.vcpu.pv.nmiPending = true;
      },
    ],
    [
      "with AC in the kernel",
      (s) => {
        s.vcpu.cpu.state.rflags |= 0x40000n;
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with TF in the kernel",
      (s) => {
        s.vcpu.cpu.state.rflags |= 0x100n;
        s.vcpu.cpu.accessRightsChanged();
      },
    ],
    [
      "with translations to be flushed",
      (s) => {
        s.vcpu.domain.memory.tlb.markDirty();
      },
    ],
    [
      "after the user's root was dropped from the TLBs",
      (s) => {
        s.vcpu.cpu.dropAddressSpace(s.vcpu.pv.guestUserTable);
      },
    ],
  ])("%s is left to TypeScript", (_name, change) => {
    expect(fromKernel({}, change)).toBe(false);
  });

  it("with a frame across two pages is left to TypeScript", () => {
    expect(fromKernel({}, () => {}, SECOND_STACK - 0x20n)).toBe(false);
  });

  it("leaves other hypercalls to TypeScript", () => {
    expect(fromKernel({}, (s) => s.vcpu.cpu.state.setGpr(Reg.RAX, 17n))).toBe(false);
  });
});

it("counts TLB misses the same way on both", () => {
  const [fast, slow] = [makeSituation(true), makeSituation(false)];
  expect(fast.vcpu.cpu.state.u32(TLB_MISSES)).toBe(slow.vcpu.cpu.state.u32(TLB_MISSES));
});
