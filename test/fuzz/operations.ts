// Hypercalls with arguments that are nearly right: the argument struct of each sub-operation is filled by its declaration, field
// by field, with values that suit the field's name; lists are made of suitable words. Multicalls wrap the same calls.

import fc from "fast-check";
import * as C from "../../src/hypervisor/public/callback.js";
import * as E from "../../src/hypervisor/public/event-channel.js";
import * as G from "../../src/hypervisor/public/grant-table.js";
import { type FieldType, Struct } from "../../src/hypervisor/public/layout.js";
import * as M from "../../src/hypervisor/public/memory.js";
import * as P from "../../src/hypervisor/public/physdev.js";
import * as S from "../../src/hypervisor/public/sched.js";
import * as V from "../../src/hypervisor/public/vcpu.js";
import * as X from "../../src/hypervisor/public/xen.js";
import {
  addressArb,
  anyArb,
  contestedAddressArb,
  contestedEntryArb,
  domidArb,
  entryArb,
  mfnArb,
  pteArb,
  type Value,
  wordArb,
} from "./values.js";

/** A value of `size` bytes at `offset` from where the arguments lie. */
export interface Put {
  readonly offset: number;
  readonly size: number;
  readonly value: Value;
}

export interface Call {
  readonly number: number;
  readonly args: readonly Value[];
  /** What is written to the argument pages before the call. */
  readonly memory: readonly Put[];
}

/** Where structs lie, and where lists that they point to. */
export const STRUCTS: Value = { at: 0, offset: 0 };
const LISTS: Value = { at: 1, offset: 0 };
const LIST_OFFSET = 4096;
const self: Value = { word: 0x7ff0n };
const constant = (n: number | bigint): fc.Arbitrary<Value> => fc.constant({ word: BigInt(n) });
const chance = (usual: fc.Arbitrary<Value>, other: fc.Arbitrary<Value>, weight = 5) =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: other });
const numbers = (...list: number[]): fc.Arbitrary<Value> => fc.constantFrom(...list).map((n) => ({ word: BigInt(n) }));
const countArb = chance(
  fc.nat(6).map((n) => ({ word: BigInt(n) })),
  wordArb,
  12,
);

function fieldArb(name: string, size: number): fc.Arbitrary<Value> {
  if (/dom/.test(name)) return domidArb;
  if (/^(nr_|max_|len)/.test(name)) return countArb;
  if (/host_addr|new_addr/.test(name)) return chance(chance(contestedAddressArb, contestedEntryArb, 2), addressArb);
  if (name === "handle") return chance(numbers(0, 0, 0, 1, 2), wordArb, 9);
  if (/extent_start|addr|handle$|list|buffer|ports|bitmap|idxs|gpfns|errs/.test(name) && size === 8)
    return chance(chance(fc.constant(LISTS), addressArb, 3), entryArb, 9);
  if (/mfn|gfn|frame|idx|base/.test(name)) return chance(mfnArb, anyArb, 6);
  if (/order/.test(name)) return numbers(0, 0, 0, 0, 1, 2, 9, 10, 31, 63);
  if (/port|ref|handle/.test(name)) return chance(numbers(0, 1, 2, 2, 3, 8, 9, 9, 10), wordArb, 9);
  if (/vcpu/.test(name)) return chance(numbers(0, 0, 1), wordArb);
  if (/flags/.test(name)) return chance(numbers(0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 0x12, 0x16, 0x70002), wordArb, 9);
  if (/version/.test(name)) return numbers(1, 2, 2, 3);
  return chance(wordArb, anyArb, 3);
}

/** Values for all fields of a struct at `at`. */
function structArb(layout: Struct<unknown>, at = 0): fc.Arbitrary<Put[]> {
  const fields = Object.entries(layout.fields as Record<string, FieldType<unknown>>);
  const parts = fields.map(([name, field]): fc.Arbitrary<Put[]> => {
    const offset = at + layout.offset(64, name as never);
    if (field instanceof Struct) return structArb(field, offset);
    const size = field.size(64);
    if (size <= 8) return fieldArb(name, size).map((value) => [{ offset, size, value }]);
    const words = Array.from({ length: Math.floor(size / 8) }, (_, i) =>
      anyArb.map((value) => ({ offset: offset + 8 * i, size: 8, value })),
    );
    return fc.tuple(...words);
  });
  return fc.tuple(...parts).map((puts) => puts.flat());
}

/** Words of the list page. */
function listArb(words: fc.Arbitrary<readonly Value[]>, at = LIST_OFFSET): fc.Arbitrary<Put[]> {
  return words.map((values) => values.map((value, i) => ({ offset: at + 8 * i, size: 8, value })));
}

const wordList = (item: fc.Arbitrary<Value>) => fc.array(item, { maxLength: 6 });

interface OperationShape {
  readonly number: number;
  readonly command: number;
  readonly layout: Struct<never>;
  readonly list?: fc.Arbitrary<Value>;
  /** Which argument says where the struct is; the one after it may be a count. */
  readonly pointer?: number;
  readonly count?: boolean;
}

const shape = (
  number: number,
  command: number,
  layout: unknown,
  more: Omit<OperationShape, "number" | "command" | "layout"> = {},
): OperationShape => ({ number, command, layout: layout as Struct<never>, ...more });

const event = (command: number, layout: unknown) => shape(X.__HYPERVISOR_event_channel_op, command, layout);
const grant = (command: number, layout: unknown) =>
  shape(X.__HYPERVISOR_grant_table_op, command, layout, { count: true, list: anyArb });
const memory = (command: number, layout: unknown, list: fc.Arbitrary<Value> = chance(mfnArb, anyArb)) =>
  shape(X.__HYPERVISOR_memory_op, command, layout, { list });
const vcpu = (command: number, layout: unknown) => shape(X.__HYPERVISOR_vcpu_op, command, layout, { pointer: 2 });
const sched = (command: number, layout: unknown) => shape(X.__HYPERVISOR_sched_op, command, layout, { list: wordArb });
const physdev = (command: number, layout: unknown) => shape(X.__HYPERVISOR_physdev_op, command, layout);

export const shapes: readonly OperationShape[] = [
  event(E.EVTCHNOP_bind_interdomain, E.evtchn_bind_interdomain),
  event(E.EVTCHNOP_bind_virq, E.evtchn_bind_virq),
  event(E.EVTCHNOP_bind_pirq, E.evtchn_bind_pirq),
  event(E.EVTCHNOP_close, E.evtchn_close),
  event(E.EVTCHNOP_send, E.evtchn_send),
  event(E.EVTCHNOP_status, E.evtchn_status),
  event(E.EVTCHNOP_alloc_unbound, E.evtchn_alloc_unbound),
  event(E.EVTCHNOP_bind_ipi, E.evtchn_bind_ipi),
  event(E.EVTCHNOP_bind_vcpu, E.evtchn_bind_vcpu),
  event(E.EVTCHNOP_unmask, E.evtchn_unmask),
  event(E.EVTCHNOP_reset, E.evtchn_reset),
  event(E.EVTCHNOP_init_control, E.evtchn_init_control),
  event(E.EVTCHNOP_expand_array, E.evtchn_expand_array),
  event(E.EVTCHNOP_set_priority, E.evtchn_set_priority),
  grant(G.GNTTABOP_map_grant_ref, G.gnttab_map_grant_ref),
  grant(G.GNTTABOP_map_grant_ref, G.gnttab_map_grant_ref),
  grant(G.GNTTABOP_map_grant_ref, G.gnttab_map_grant_ref),
  grant(G.GNTTABOP_unmap_grant_ref, G.gnttab_unmap_grant_ref),
  grant(G.GNTTABOP_unmap_grant_ref, G.gnttab_unmap_grant_ref),
  grant(G.GNTTABOP_unmap_and_replace, G.gnttab_unmap_and_replace),
  grant(G.GNTTABOP_setup_table, G.gnttab_setup_table),
  grant(G.GNTTABOP_dump_table, G.gnttab_dump_table),
  grant(G.GNTTABOP_transfer, G.gnttab_transfer),
  grant(G.GNTTABOP_copy, G.gnttab_copy),
  grant(G.GNTTABOP_copy, G.gnttab_copy),
  grant(G.GNTTABOP_query_size, G.gnttab_query_size),
  grant(G.GNTTABOP_set_version, G.gnttab_set_version),
  grant(G.GNTTABOP_get_status_frames, G.gnttab_get_status_frames),
  grant(G.GNTTABOP_get_version, G.gnttab_get_version),
  grant(G.GNTTABOP_swap_grant_ref, G.gnttab_swap_grant_ref),
  grant(G.GNTTABOP_cache_flush, G.gnttab_cache_flush),
  memory(M.XENMEM_increase_reservation, M.xen_memory_reservation),
  memory(M.XENMEM_decrease_reservation, M.xen_memory_reservation),
  memory(M.XENMEM_decrease_reservation, M.xen_memory_reservation),
  memory(M.XENMEM_populate_physmap, M.xen_memory_reservation),
  memory(M.XENMEM_exchange, M.xen_memory_exchange),
  memory(M.XENMEM_current_reservation, M.xen_memory_domain),
  memory(M.XENMEM_machphys_mfn_list, M.xen_machphys_mfn_list),
  memory(M.XENMEM_machphys_mapping, M.xen_machphys_mapping),
  memory(M.XENMEM_memory_map, M.xen_memory_map),
  memory(M.XENMEM_machine_memory_map, M.xen_memory_map),
  memory(M.XENMEM_set_memory_map, M.xen_foreign_memory_map),
  memory(M.XENMEM_acquire_resource, M.xen_mem_acquire_resource),
  memory(M.XENMEM_add_to_physmap, M.xen_add_to_physmap),
  memory(M.XENMEM_add_to_physmap_batch, M.xen_add_to_physmap_batch),
  memory(M.XENMEM_remove_from_physmap, M.xen_remove_from_physmap),
  memory(M.XENMEM_get_pod_target, M.xen_pod_target),
  memory(M.XENMEM_reserved_device_memory_map, M.xen_reserved_device_memory_map),
  vcpu(V.VCPUOP_get_runstate_info, V.vcpu_runstate_info),
  vcpu(V.VCPUOP_register_runstate_memory_area, V.vcpu_register_runstate_memory_area),
  vcpu(V.VCPUOP_set_periodic_timer, V.vcpu_set_periodic_timer),
  vcpu(V.VCPUOP_set_singleshot_timer, V.vcpu_set_singleshot_timer),
  vcpu(V.VCPUOP_register_vcpu_info, V.vcpu_register_vcpu_info),
  vcpu(V.VCPUOP_register_vcpu_time_memory_area, V.vcpu_register_time_memory_area),
  vcpu(V.VCPUOP_send_nmi, V.vcpu_get_physid),
  vcpu(V.VCPUOP_get_physid, V.vcpu_get_physid),
  sched(S.SCHEDOP_poll, S.sched_poll),
  sched(S.SCHEDOP_remote_shutdown, S.sched_remote_shutdown),
  sched(S.SCHEDOP_watchdog, S.sched_watchdog),
  sched(S.SCHEDOP_pin_override, S.sched_pin_override),
  physdev(P.PHYSDEVOP_set_iopl, P.physdev_set_iopl),
  physdev(P.PHYSDEVOP_set_iobitmap, P.physdev_set_iobitmap),
  physdev(P.PHYSDEVOP_apic_read, P.physdev_apic),
  physdev(P.PHYSDEVOP_map_pirq, P.physdev_map_pirq),
  physdev(P.PHYSDEVOP_unmap_pirq, P.physdev_unmap_pirq),
  physdev(P.PHYSDEVOP_irq_status_query, P.physdev_irq_status_query),
  physdev(P.PHYSDEVOP_pirq_eoi_gmfn_v1, P.physdev_pirq_eoi_gmfn),
  physdev(P.PHYSDEVOP_pirq_eoi_gmfn_v2, P.physdev_pirq_eoi_gmfn),
  physdev(P.PHYSDEVOP_eoi, P.physdev_eoi),
  physdev(P.PHYSDEVOP_get_free_pirq, P.physdev_get_free_pirq),
  physdev(P.PHYSDEVOP_setup_gsi, P.physdev_setup_gsi),
  physdev(P.PHYSDEVOP_pci_device_add, P.physdev_pci_device_add),
  shape(X.__HYPERVISOR_callback_op, C.CALLBACKOP_register, C.callback_register),
  shape(X.__HYPERVISOR_callback_op, C.CALLBACKOP_unregister, C.callback_unregister),
];

/** A call as its header describes it. */
const shapedArb = (list: readonly OperationShape[]): fc.Arbitrary<Call> =>
  fc.constantFrom(...list).chain((one) => {
    const puts = structArb(one.layout as unknown as Struct<unknown>);
    const list = one.list ? listArb(wordList(one.list)) : fc.constant([]);
    const pointer = chance(fc.constant(STRUCTS), addressArb, 12);
    const count = one.count ? chance(constant(1), countArb, 4) : chance(constant(0), anyArb);
    return fc
      .tuple(puts, list, pointer, count, fc.nat(one.pointer === 2 ? 8 : 0))
      .map(([struct, words, at, n, vcpuId]) => {
        const command: Value = { word: BigInt(one.command) };
        const args = one.pointer === 2 ? [command, { word: BigInt(vcpuId === 8 ? 1 : 0) }, at] : [command, at, n];
        return { number: one.number, args, memory: [...struct, ...words] };
      });
  });

const foreignArb = chance(fc.constant(self), chance(domidArb, anyArb), 6);
const LIST_CALLS = chance(fc.constant(LISTS), addressArb, 12);

/** A call whose arguments are a list of records, how many, and more. */
function listCallArb(number: number, record: fc.Arbitrary<readonly Value[]>, more: readonly fc.Arbitrary<Value>[]) {
  return fc
    .tuple(
      fc.array(record, { minLength: 1, maxLength: 5 }),
      LIST_CALLS,
      chance(constant(-1), wordArb, 9),
      fc.tuple(...more),
    )
    .map(([records, at, count, rest]): Call => {
      const real = "word" in count && count.word === -1n ? { word: BigInt(records.length) } : count;
      const memory = records.flat().map((value, i) => ({ offset: LIST_OFFSET + 8 * i, size: 8, value }));
      return { number, args: [at, real, ...rest], memory };
    });
}

const mmuUpdateArb = listCallArb(X.__HYPERVISOR_mmu_update, fc.tuple(entryArb, chance(pteArb, anyArb)), [
  chance(constant(0), addressArb, 2),
  foreignArb,
]);

const mmuextArb = listCallArb(
  X.__HYPERVISOR_mmuext_op,
  fc.tuple(
    chance(
      fc.nat(21).map((n) => ({ word: BigInt(n) })),
      wordArb,
      20,
    ),
    chance(mfnArb, anyArb, 3),
    chance(chance(mfnArb, countArb, 1), addressArb, 3),
  ),
  [chance(constant(0), addressArb, 2), foreignArb],
);

const setGdtArb = listCallArb(X.__HYPERVISOR_set_gdt, fc.tuple(chance(mfnArb, anyArb)), []).chain((call) =>
  chance(numbers(1, 8, 512, 513, 1024), wordArb).map((entries) => ({ ...call, args: [call.args[0]!, entries] })),
);

const trapTableArb = listCallArb(
  X.__HYPERVISOR_set_trap_table,
  fc.tuple(fc.record({ word: fc.bigInt({ min: 0n, max: 0xe030_03ffn }) }), chance(addressArb, anyArb, 3)),
  [],
);

const updateVaArb: fc.Arbitrary<Call> = fc
  .tuple(
    chance(contestedAddressArb, addressArb, 2),
    chance(pteArb, anyArb, 9),
    fc.oneof(numbers(0, 1, 2, 4, 5, 6), addressArb, wordArb),
    foreignArb,
    fc.constantFrom(
      X.__HYPERVISOR_update_va_mapping,
      X.__HYPERVISOR_update_va_mapping,
      X.__HYPERVISOR_update_va_mapping_otherdomain,
    ),
  )
  .map(([address, pte, flags, domid, number]) => ({ number, args: [address, pte, flags, domid], memory: [] }));

const descriptorArb: fc.Arbitrary<Call> = fc
  .tuple(entryArb, anyArb)
  .map(([at, value]) => ({ number: X.__HYPERVISOR_update_descriptor, args: [at, value], memory: [] }));

/** SCHEDOP_shutdown and VCPUOP_down end the attack, so they are rare; here they don't appear at all. */
const plainNumbers = [
  0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 27, 28, 30, 31, 32,
].concat([33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 48, 49, 55, 63, 64, 0xffff_ffff]);

/** Any number, any arguments, any memory. */
const wildArb: fc.Arbitrary<Call> = fc
  .tuple(
    fc.constantFrom(...plainNumbers),
    fc.tuple(chance(wordArb, anyArb, 2), anyArb, anyArb, anyArb, anyArb, anyArb),
    listArb(wordList(anyArb), 0),
    listArb(wordList(anyArb)),
  )
  .map(([number, args, structs, lists]) => ({ number, args, memory: [...structs, ...lists] }));

const stackArb: fc.Arbitrary<Call> = fc
  .tuple(listArb(fc.array(chance(anyArb, addressArb, 1), { minLength: 8, maxLength: 8 }), 0))
  .map(([memoryOfFrame]) => ({ number: X.__HYPERVISOR_iret, args: [], memory: memoryOfFrame }));

const of = (...numbersOf: number[]) => shapedArb(shapes.filter(({ number }) => numbersOf.includes(number)));

const MAPPING: readonly number[] = [G.GNTTABOP_map_grant_ref, G.GNTTABOP_unmap_grant_ref, G.GNTTABOP_unmap_and_replace];
const grantMapping = shapes.filter(
  ({ number, command }) => number === X.__HYPERVISOR_grant_table_op && MAPPING.includes(command),
);

const everythingArb: fc.Arbitrary<Call> = fc.oneof(
  { weight: 10, arbitrary: shapedArb(shapes) },
  { weight: 5, arbitrary: mmuUpdateArb },
  { weight: 4, arbitrary: mmuextArb },
  { weight: 3, arbitrary: updateVaArb },
  { weight: 1, arbitrary: setGdtArb },
  { weight: 1, arbitrary: trapTableArb },
  { weight: 2, arbitrary: descriptorArb },
  { weight: 3, arbitrary: wildArb },
);

/** Multicall entries lie on page 2; their arguments' memory is where it would be otherwise. */
const MULTICALL_PAGE = 2;
const multicallArb = (callArb: fc.Arbitrary<Call>): fc.Arbitrary<Call> =>
  fc
    .tuple(fc.array(callArb, { minLength: 1, maxLength: 4 }), chance(constant(-1), countArb, 9))
    .map(([calls, count]) => {
      const entries = calls.flatMap(({ number, args }, i) => {
        const words: Value[] = [{ word: BigInt(number) }, { word: 0n }, ...args];
        return words.map((value, j) => ({ offset: MULTICALL_PAGE * 4096 + i * 64 + j * 8, size: 8, value }));
      });
      const real = "word" in count && count.word === -1n ? { word: BigInt(calls.length) } : count;
      const args = [{ at: MULTICALL_PAGE, offset: 0 }, real];
      return { number: X.__HYPERVISOR_multicall, args, memory: [...calls.flatMap((call) => call.memory), ...entries] };
    });

/** Attacks of a kind: calls about one subject meet in the same few objects more often. */
export const callKinds: readonly fc.Arbitrary<Call>[] = [
  fc.oneof(
    { weight: 12, arbitrary: everythingArb },
    { weight: 2, arbitrary: multicallArb(everythingArb) },
    { weight: 1, arbitrary: stackArb },
  ),
  fc.oneof(
    { weight: 3, arbitrary: of(X.__HYPERVISOR_grant_table_op) },
    { weight: 4, arbitrary: shapedArb(grantMapping) },
    { weight: 1, arbitrary: updateVaArb },
  ),
  fc.oneof(
    { weight: 3, arbitrary: mmuUpdateArb },
    { weight: 3, arbitrary: mmuextArb },
    { weight: 3, arbitrary: updateVaArb },
    { weight: 1, arbitrary: setGdtArb },
    { weight: 1, arbitrary: descriptorArb },
  ),
  fc.oneof(
    { weight: 3, arbitrary: of(X.__HYPERVISOR_memory_op) },
    { weight: 2, arbitrary: updateVaArb },
    { weight: 1, arbitrary: mmuextArb },
  ),
  of(X.__HYPERVISOR_event_channel_op, X.__HYPERVISOR_vcpu_op, X.__HYPERVISOR_sched_op),
];
