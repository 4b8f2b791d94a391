// public/io/netif.h: packets of a virtual network interface. The rings are laid out the same in both ABIs. Extra infos overlay
// requests (transmit) and responses (receive).

import { array, i16, struct, u8, u16, u32 } from "../layout.js";

export const XEN_NETIF_NR_SLOTS_MIN = 18;
export const XEN_NETIF_MAX_TX_SIZE = 0xffff;
/** sizeof(union netif_tx_sring_entry), sizeof(union netif_rx_sring_entry) */
export const NETIF_TX_ENTRY_SIZE = 12;
export const NETIF_RX_ENTRY_SIZE = 8;

export const NETTXF_csum_blank = 1;
export const NETTXF_data_validated = 2;
export const NETTXF_more_data = 4;
export const NETTXF_extra_info = 8;

export const NETRXF_data_validated = 1;
export const NETRXF_csum_blank = 2;
export const NETRXF_more_data = 4;
export const NETRXF_extra_info = 8;
export const NETRXF_gso_prefix = 16;

export const XEN_NETIF_EXTRA_TYPE_NONE = 0;
export const XEN_NETIF_EXTRA_TYPE_GSO = 1;
export const XEN_NETIF_EXTRA_TYPE_MCAST_ADD = 2;
export const XEN_NETIF_EXTRA_TYPE_MCAST_DEL = 3;
export const XEN_NETIF_EXTRA_TYPE_HASH = 4;
export const XEN_NETIF_EXTRA_TYPE_MAX = 5;
export const XEN_NETIF_EXTRA_FLAG_MORE = 1;

export const XEN_NETIF_GSO_TYPE_NONE = 0;
export const XEN_NETIF_GSO_TYPE_TCPV4 = 1;
export const XEN_NETIF_GSO_TYPE_TCPV6 = 2;

export const NETIF_RSP_DROPPED = -2;
export const NETIF_RSP_ERROR = -1;
export const NETIF_RSP_OKAY = 0;
/** No response: for slots of extra infos. */
export const NETIF_RSP_NULL = 1;

export const netif_tx_request = struct("netif_tx_request", { gref: u32, offset: u16, flags: u16, id: u16, size: u16 });
export const netif_tx_response = struct("netif_tx_response", { id: u16, status: i16 });
export const netif_rx_request = struct("netif_rx_request", { id: u16, pad: u16, gref: u32 });
export const netif_rx_response = struct("netif_rx_response", { id: u16, offset: u16, flags: u16, status: i16 });
/** The `gso` member of the union. */
export const netif_extra_gso = struct("netif_extra_info", {
  type: u8,
  flags: u8,
  size: u16,
  gsoType: u8,
  pad: u8,
  features: u16,
});
/** The `mcast` member of the union. */
export const netif_extra_mcast = struct("netif_extra_info", { type: u8, flags: u8, addr: array(u8, 6) });
