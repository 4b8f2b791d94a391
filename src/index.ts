// The public API of xen-ts: hosts and domains, and the images that they boot. Everything that the command line does is done with
// what is named here.

export {
  type BuildImageOptions,
  type BuiltImage,
  buildImage,
  type CpioEntry,
  DEFAULT_RECIPE,
  DEFAULT_SUITE,
  defaultCacheDirectory,
  findImage,
  ImageError,
  type ImageErrorCode,
  type ImageLocation,
  type ImageManifest,
  listImages,
  type OnProgress,
  type ProgressEvent,
  type ProgressPhase,
  RECIPES,
  type Recipe,
  removeImage,
  resolveImageName,
  SUITE_NAMES,
  type SuiteName,
  terminalProgress,
  writeCpio,
} from "../images/index.js";
export { ConfigError, type ConfigPlace } from "./config/config-error.js";
export { type CpuList, type CpuRange, expandCpuList, parseCpuList } from "./config/cpu-list.js";
export { type DiskSpec, DiskSpecError, parseDiskSpec } from "./config/disk-spec.js";
export { domainConfigOf } from "./config/domain-config.js";
export {
  type ConfigWarning,
  type EventAction,
  formatWarning,
  type ParsedXlConfig,
  parseXlConfig,
  type XlConfigOptions,
  type XlDomainConfig,
} from "./config/xl-config.js";
export { type DiskOptions, diskConfigOf } from "./config/xl-disk.js";
export type { PlacedText } from "./config/xl-values.js";
export { hostIsRunning, makeHostDirectory, runningHosts } from "./control/socket-file.js";
export type { BlockDeviceInfo } from "./host/block-devices.js";
export type { ConsoleConfig } from "./host/console-devices.js";
export { type BlockStore, type DiskConfig, FaultyStore, MemoryStore } from "./host/disk-config.js";
export { InternalError, XenError, type XenErrorCode } from "./host/errors.js";
export { FramedOutput, type FrameMarkers } from "./host/framed-output.js";
export type { GuestConsole, WaitOptions } from "./host/guest-console.js";
export type { DomainConfig, GuestDomain, GuestEvents, ShutdownReason } from "./host/guest-domain.js";
export type { Dump, DumpOptions, GuestInterface } from "./host/guest-interface.js";
export type { CpuAffinity, SchedulingParameters } from "./host/guest-scheduling.js";
export type { ExecOptions, ExecResult } from "./host/guest-shell.js";
export type { Network, NetworkOptions } from "./host/network.js";
export type { PerfTraceOptions } from "./host/perf-trace.js";
export type { PoolScheduling } from "./host/pool-scheduling.js";
export type { HotPlace, Profile, ProfiledExit, ProfiledWork } from "./host/profile.js";
export { parseSize } from "./host/size.js";
export { XenStoreClient, XenStoreError, XenStoreView } from "./host/store-client.js";
export { xenStoreSocketPath } from "./host/store-path.js";
export { TRACE_KINDS, type TraceKind, type TraceOptions } from "./host/trace.js";
export {
  connectStreamLink,
  type LineFaults,
  type NatOptions,
  type NatPort,
  type NetStatistics,
  type Offload,
  type PacketPort,
  pairPorts,
  type StreamPort,
  type TapPort,
  type TapRoute,
  type VifConfig,
  type VifPort,
} from "./host/vif-config.js";
export { type ParsedVif, parseVif } from "./host/vif-syntax.js";
export {
  type ControlClient,
  type ControlHost,
  type ControlOptions,
  connectControl,
  serveControl,
} from "./toolstack/control-host.js";
export type { ChannelInfo, VbdInfo, VifInfo } from "./toolstack/domain-devices.js";
export type { HostInfo } from "./toolstack/host-info.js";
export { LogRing } from "./toolstack/log-ring.js";
export type { DomainSummary } from "./toolstack/managed-domain.js";
export type { ControlMethods } from "./toolstack/methods.js";
export { RotatingLog } from "./toolstack/rotating-log.js";
export {
  createXenHost,
  type HostConfig,
  type HostStatistics,
  type HostXenStore,
  JIT_MODES,
  type JitMode,
  SCHEDULERS,
  type SchedulerName,
  type XenHost,
} from "./xen-host.js";
