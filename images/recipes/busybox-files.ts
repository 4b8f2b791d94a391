// The text files of the busybox image: what runs between the kernel's start of /init (busybox init) and the shell.
// The words that a host program waits for (XENTS-…) and the xents.* options are a protocol: images/README.md describes it.

/** Printed on a line of its own, once, when the interactive shell is about to start. */
export const SHELL_READY_MARKER = "XENTS-SHELL-READY";
/** `XENTS-EXEC-BEGIN TOKEN` opens a command's output; the output starts after the newline. */
export const EXEC_BEGIN_MARKER = "XENTS-EXEC-BEGIN";
/** `\nXENTS-EXEC-END TOKEN STATUS` closes a command's output; the newline before it is not part of the output. */
export const EXEC_END_MARKER = "XENTS-EXEC-END";

const INITTAB = `\
# busybox init. The shell has no tty field: it inherits the kernel's console, whichever that is.
::sysinit:/etc/xents/start
::respawn:/etc/xents/session
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/xents/stop
`;

/** Lines of a start script: an idle guest is to cost its host little. */
export const IDLE_SETTINGS = `\
# Wake-ups of an idle kernel: no compaction beforehand (else twice a second), counters of memory added up every ten seconds.
{ echo 0 >/proc/sys/vm/compaction_proactiveness; } 2>/dev/null
{ echo 10 >/proc/sys/vm/stat_interval; } 2>/dev/null
`;

/** Lines of a start script: the xents.* options, those that all images know and `more`, in variables; the terminal's size is set. */
export function readOptions(...more: readonly string[]): string {
  const names = ["exec", "token", "rows", "cols", "term", ...more];
  const variable = (name: string) => (name === "exec" ? "command" : name);
  const unset = names.filter((name) => name !== "exec" && name !== "token").map((name) => `${name}=`);
  return `\
token=0 command= ${unset.join(" ")}
for option in $(cat /proc/cmdline); do
  case $option in
${names.map((name) => `    xents.${name}=*) ${variable(name)}=\${option#*=} ;;\n`).join("")}  esac
done
[ -n "$rows" ] && stty rows "$rows"
[ -n "$cols" ] && stty cols "$cols"
`;
}

const START = `\
#!/bin/sh
# Runs once, before the shell: file systems, modules, options of the command line.
export PATH=/sbin:/bin HOME=/root
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run

${readOptions("ip", "gateway")}[ -n "$term" ] && echo "export TERM=$term" >/run/xents-term

# The kernel's hostname= option (6.0 and later) wins.
[ "$(hostname)" = "(none)" ] && hostname -F /etc/hostname
ip link set lo up 2>/dev/null
${IDLE_SETTINGS}
if [ "$(cat /sys/hypervisor/type 2>/dev/null)" = xen ]; then
  modprobe -q xenfs
  mount -t xenfs xenfs /proc/xen 2>/dev/null
  if grep -q control_d /proc/xen/capabilities 2>/dev/null; then
    modprobe -q -a xen-evtchn xen-gntdev xen-gntalloc xen-privcmd
  else
    modprobe -q -a xen-blkfront xen-netfront
  fi
  # VCPUs that come while it runs: the kernel makes them present, user space brings them online (elsewhere udev).
  if [ "$(cat /sys/devices/system/cpu/possible)" != 0 ]; then uevent /etc/xents/hotplug </dev/null & fi
fi

if [ -n "$ip" ]; then
  # The interface appears when its back end is ready.
  tries=0
  while [ ! -e /sys/class/net/eth0 ] && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries+1)); done
  ip link set eth0 up
  case $ip in
    dhcp) udhcpc -b -q -i eth0 >/dev/null 2>&1 ;;
    *)
      ip addr add "$ip" dev eth0
      [ -n "$gateway" ] && ip route add default via "$gateway" && echo "nameserver $gateway" >/etc/resolv.conf
      ;;
  esac
fi

# A command too long for the command line comes in a file of a second, appended archive.
if [ -z "$command" ] && [ -f /etc/xents/exec ]; then
  command=$(cat /etc/xents/exec)
  [ -f /etc/xents/token ] && token=$(cat /etc/xents/token)
fi
if [ -n "$command" ]; then
  dmesg -n 1
  xents-exec "$token" "$command"
  sync
  poweroff -f
fi
`;

export const HOTPLUG = `\
#!/bin/sh
# uevent calls it with the event in the environment.
[ "$SUBSYSTEM" = cpu ] && [ "$ACTION" = add ] && echo 1 >"/sys$DEVPATH/online"
`;

const SESSION = `\
#!/bin/sh
# The interactive shell on the kernel's console; busybox init starts it again when it ends.
[ -f /run/xents-term ] && . /run/xents-term
cd /root
stty sane
if [ ! -f /run/xents-ready ]; then
  : >/run/xents-ready
  echo
  echo "Linux $(uname -r), busybox shell. 'poweroff' shuts this machine down."
  echo ${SHELL_READY_MARKER}
fi
# /dev/console can't be a controlling terminal: cttyhack opens the real one behind it, so that Ctrl-C and job control work.
exec cttyhack /bin/sh -l
`;

const STOP = `\
#!/bin/sh
# File systems on disks are left clean; the rest is memory.
umount -a -r -t noproc,nosysfs,nodevtmpfs,nodevpts,notmpfs,noxenfs 2>/dev/null
sync
`;

const EXEC = `\
#!/bin/sh
# xents-exec TOKEN [BASE64]: runs a command with its output between two marker lines (images/README.md).
# Without BASE64 the command is read from standard input, as base64 lines ended by a line with a single dot.
token=$1 encoded=$2
saved=$(stty -g)
stty -echo -opost
if [ $# -lt 2 ]; then
  while read -r line && [ "$line" != . ]; do encoded=$encoded$line; done
fi
# busybox has base64 since 1.33 only, uudecode always.
command=$(printf 'begin-base64 600 -\\n%s\\n====\\n' "$encoded" | uudecode -o -)
cd /root
printf '${EXEC_BEGIN_MARKER} %s\\n' "$token"
sh -c "$command" </dev/null
status=$?
printf '\\n${EXEC_END_MARKER} %s %s\\n' "$token" "$status"
stty "$saved"
exit "$status"
`;

/** What udhcpc calls when it has, renews or loses a lease (busybox, networking/udhcp). IPv6 addresses are not its matter. */
const DHCP = `\
#!/bin/sh
case $1 in
  deconfig)
    ip -4 addr flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/\${mask:-24}" dev "$interface"
    for address in $router; do
      ip route replace default via "$address" dev "$interface"
      break
    done
    : >/etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
    for address in $dns; do echo "nameserver $address" >>/etc/resolv.conf; done
    ;;
esac
`;

const PROFILE = `\
export PATH=/usr/local/bin:/sbin:/bin HOME=/root TERM=\${TERM:-linux} PAGER=less EDITOR=vi
PS1='root@\\h:\\w\\$ '
alias ll='ls -l'
umask 022
`;

/** A text file of the image: path without leading slash, its text, permission bits. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

/** A request of the block front end moves up to 1 MiB, as many segments as our back end and Linux's take, instead of 128 KiB. */
export const BLOCK_OPTIONS: TextFile = {
  path: "etc/modprobe.d/xen-blkfront.conf",
  text: "options xen-blkfront max_indirect_segments=256\n",
  mode: 0o644,
};

export const BUSYBOX_TEXT_FILES: readonly TextFile[] = [
  { path: "etc/inittab", text: INITTAB, mode: 0o644 },
  { path: "etc/xents/start", text: START, mode: 0o755 },
  { path: "etc/xents/hotplug", text: HOTPLUG, mode: 0o755 },
  { path: "etc/xents/session", text: SESSION, mode: 0o755 },
  { path: "etc/xents/stop", text: STOP, mode: 0o755 },
  BLOCK_OPTIONS,
  { path: "bin/xents-exec", text: EXEC, mode: 0o755 },
  { path: "etc/udhcpc/default.script", text: DHCP, mode: 0o755 },
  { path: "etc/profile", text: PROFILE, mode: 0o644 },
  { path: "etc/hostname", text: "xen-ts\n", mode: 0o644 },
  { path: "etc/hosts", text: "127.0.0.1 localhost xen-ts\n::1 localhost\n", mode: 0o644 },
  { path: "etc/passwd", text: "root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", mode: 0o644 },
  { path: "etc/group", text: "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n", mode: 0o644 },
  // Without it the C library inside a static busybox looks for its name service plug-ins.
  { path: "etc/nsswitch.conf", text: "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n", mode: 0o644 },
  { path: "etc/shells", text: "/bin/sh\n/bin/ash\n", mode: 0o644 },
];
