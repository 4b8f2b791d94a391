// The text files of the Debian image that no package holds: what its maintainer scripts would have made, and what starts it. Process
// 1 is busybox init: a guest of one person on an emulated processor is up in seconds with it. The xents.* options and the XENTS-…
// words are those of the busybox image (images/README.md).
import {
  EXEC_BEGIN_MARKER,
  EXEC_END_MARKER,
  HOTPLUG,
  IDLE_SETTINGS,
  readOptions,
  SHELL_READY_MARKER,
  type TextFile,
} from "../recipes/busybox-files.js";
import type { SuiteName } from "../suites.js";

const INITTAB = `\
# busybox init.
::sysinit:/etc/xents/start
::respawn:/etc/xents/session
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/xents/stop
`;

const START = `\
#!/bin/sh
# Runs once, before the login: file systems, network, options of the command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root
for fs in proc:/proc sysfs:/sys devtmpfs:/dev tmpfs:/run; do
  mountpoint -q "\${fs#*:}" || mount -t "\${fs%%:*}" -o nosuid "\${fs%%:*}" "\${fs#*:}"
done
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts -o nosuid,noexec,gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -o remount,rw /

${readOptions()}[ -n "$term" ] && echo "TERM=$term" >/run/xents-term
[ "$(hostname)" = "(none)" ] && hostname -F /etc/hostname

${IDLE_SETTINGS}
# VCPUs that come while it runs: the kernel makes them present, user space brings them online (elsewhere udev).
if [ "$(cat /sys/devices/system/cpu/possible)" != 0 ]; then busybox uevent /etc/xents/hotplug </dev/null & fi

ip link set lo up
busybox modprobe -q xen-netfront
# Each interface appears when its other end has answered.
wanted=$(ls -d /sys/bus/xen/devices/vif-* 2>/dev/null | wc -l) i=0
while [ "$(ls -d /sys/class/net/eth* 2>/dev/null | wc -l)" -lt "$wanted" ] && [ $i -lt 50 ]; do
  sleep 0.1
  i=$((i + 1))
done
for card in /sys/class/net/eth*; do
  [ -e "$card" ] || continue
  ip link set "\${card##*/}" up
  busybox udhcpc -i "\${card##*/}" -b -S -s /etc/xents/dhcp >/dev/null 2>&1
done

# kmod wants its own tables; busybox reads those that the image has.
[ -e "/lib/modules/$(uname -r)/modules.dep.bin" ] || depmod -a 2>/dev/null

if [ -z "$command" ] && [ -f /run/xents/exec ]; then
  command=$(cat /run/xents/exec) token=$(cat /run/xents/token)
fi
if [ -n "$command" ]; then
  dmesg -n 1
  xents-exec "$token" "$command"
  sync
  poweroff -f
fi
`;

const SESSION = `\
#!/bin/sh
# root's login on the kernel's console; busybox init starts it again when it ends.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
TERM=linux
[ -f /run/xents-term ] && . /run/xents-term
export TERM
stty sane
if [ ! -f /run/xents-ready ]; then
  : >/run/xents-ready
  printf '\\n%s, Linux %s\\n' "$(. /etc/os-release; echo "$PRETTY_NAME")" "$(uname -r)"
  echo ${SHELL_READY_MARKER}
fi
exec busybox cttyhack /bin/login -p -f root
`;

const STOP = `\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin
sync
umount -a -t noproc,nosysfs,nodevtmpfs,nodevpts,notmpfs 2>/dev/null
mount -o remount,ro / 2>/dev/null
sync
`;

const DHCP = `\
#!/bin/sh
# What udhcpc was told: address, route, name servers (udhcpc's own variables). IPv6 addresses are not its matter.
case $1 in
  deconfig) ip -4 addr flush dev "$interface"; ip link set "$interface" up ;;
  bound | renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/\${mask:-24}" broadcast + dev "$interface"
    for gateway in $router; do ip route replace default via "$gateway" dev "$interface" && break; done
    { [ -n "$domain" ] && echo "search $domain"; for server in $dns; do echo "nameserver $server"; done; } >/etc/resolv.conf
    ;;
esac
`;

const EXEC = `\
#!/bin/sh
# xents-exec TOKEN [BASE64]: runs a command with its output between two marker lines (images/README.md).
token=$1 encoded=$2
saved=$(stty -g)
stty -echo -opost
if [ $# -lt 2 ]; then
  while read -r line && [ "$line" != . ]; do encoded=$encoded$line; done
fi
command=$(printf %s "$encoded" | base64 -d)
cd /root
printf '${EXEC_BEGIN_MARKER} %s\\n' "$token"
sh -c "$command" </dev/null
status=$?
printf '\\n${EXEC_END_MARKER} %s %s\\n' "$token" "$status"
stty "$saved"
exit "$status"
`;

/** pam-auth-update's outcome with pam_unix alone. */
const PAM: Readonly<Record<string, string>> = {
  auth: "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
  account:
    "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n",
  password:
    "password [success=1 default=ignore] pam_unix.so obscure yescrypt\npassword requisite pam_deny.so\npassword required pam_permit.so\n",
  session:
    "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\nsession required pam_unix.so\n",
};

function sources(suite: SuiteName): string {
  const main = `deb http://deb.debian.org/debian ${suite} main\n`;
  return suite === "sid" ? main : `${main}deb http://deb.debian.org/debian-security ${suite}-security main\n`;
}

/** GRUB's own configuration, which PvGrub finds. */
const GRUB = `\
set timeout=0
menuentry "Debian" {
  linux /boot/vmlinuz root=/dev/xvda console=hvc0
  initrd /boot/initrd.img
}
`;

export function rootFiles(suite: SuiteName): TextFile[] {
  const plain: Readonly<Record<string, string>> = {
    "etc/inittab": INITTAB,
    "etc/hostname": "xen-ts\n",
    "etc/hosts": "127.0.0.1 localhost xen-ts\n::1 localhost\n",
    "etc/fstab": "/dev/xvda / ext4 defaults,errors=remount-ro 0 1\n",
    "etc/resolv.conf": "",
    "etc/apt/sources.list": sources(suite),
    // An emulated processor checks each package's list a second time for nothing.
    "etc/apt/apt.conf.d/90xen-ts": 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n',
    "etc/dpkg/dpkg.cfg.d/90xen-ts":
      "path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\npath-include=/usr/share/doc/*/copyright\n",
    "boot/grub/grub.cfg": GRUB,
    "root/.hushlogin": "",
  };
  const pam = Object.entries(PAM).map(([name, text]) => [`etc/pam.d/common-${name}`, text] as const);
  const scripts: Readonly<Record<string, string>> = {
    "etc/xents/start": START,
    "etc/xents/hotplug": HOTPLUG,
    "etc/xents/session": SESSION,
    "etc/xents/stop": STOP,
    "etc/xents/dhcp": DHCP,
    "usr/bin/xents-exec": EXEC,
  };
  const text = (mode: number) => (entry: readonly [string, string]) => ({ path: entry[0], text: entry[1], mode });
  return [
    ...[...Object.entries(plain), ...pam, ["etc/pam.d/common-session-noninteractive", PAM.session!] as const].map(
      text(0o644),
    ),
    ...Object.entries(scripts).map(text(0o755)),
  ];
}

/** /init of the disk image's initramfs: finds the root file system, and goes there. */
export const DISK_INIT = `\
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
root=/dev/xvda init=/sbin/init
for option in $(cat /proc/cmdline); do
  case $option in
    root=*) root=\${option#*=} ;;
    init=*) init=\${option#*=} ;;
  esac
done
modprobe -a xen-blkfront ext4
i=0
while [ ! -b "$root" ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
mount -t ext4 "$root" /mnt || { echo "init: $root can't be mounted"; exec sh; }
# A command of the host's that was too long for the command line.
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /mnt/run
[ -f /etc/xents/exec ] && mkdir /mnt/run/xents && cp /etc/xents/exec /etc/xents/token /mnt/run/xents/
mount --move /dev /mnt/dev
mount --move /proc /mnt/proc
mount --move /sys /mnt/sys
exec switch_root /mnt "$init"
`;
