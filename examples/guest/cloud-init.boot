#!/bin/busybox sh
# The first process of the guest that `cloud-init` builds.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin 2>/dev/null # what the packages bring stays
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
. /load

say() { echo "PONY-CLOUD-INIT $*" >/dev/console; }

# The units that Debian's package has, one after the other: those that find out who the guest is…
find_out() {
    cloud-init init --local >>/var/log/boot 2>&1
    say "$1 local $(sed -n 's/.*"subplatform": "\(.*\)".*/\1/p' /run/cloud-init/instance-data.json 2>/dev/null | head -n 1)"
    /sbin/ifup -a >>/var/log/boot 2>&1
    cloud-init init >>/var/log/boot 2>&1
    say "$1 query $(cloud-init query --format '{{instance_id}} {{subplatform}}' 2>&1)"
    say "$1 hostname $(hostname)"
    say "$1 key $(cat /root/.ssh/authorized_keys 2>&1 | tail -n 1)"
}

# …and those that do what it is told.
carry_out() {
    cloud-init modules --mode=config >>/var/log/boot 2>&1
    cloud-init modules --mode=final >>/var/log/boot 2>&1
    say "$1 script $(cat /run/script 2>&1)"
    grep -E 'WARNING|ERROR' /var/log/cloud-init.log | cut -c 1-300 | while read -r line; do say "$1 log $line"; done
}

# What decides whether cloud-init runs, and by which source.
say "serial $(cat /sys/class/dmi/id/product_serial)"
/usr/lib/cloud-init/ds-identify
say "identified $? $(grep -A 1 datasource_list /run/cloud-init/cloud.cfg | tr -d '\n')"

find_out disc
carry_out disc
say "addresses $(/bin/ip -o address show scope global | sed 's/.*inet6* \([^ ]*\).*/\1/' | tr '\n' ' ')"
say "routes $(/bin/ip route | tr '\n' ';')"
say "disc file $(wget -q -O - http://169.254.169.254/meta-data 2>&1)"

# The same for an image that is made to ask over HTTP: it gets an address by DHCP first.
/sbin/ifdown -a >>/var/log/boot 2>&1
rm -rf /var/lib/cloud /run/cloud-init/*data* /root/.ssh /etc/network/interfaces.d/* /etc/resolv.conf
hostname unnamed
echo 'datasource: {NoCloud: {fs_label: null, seedfrom: "http://169.254.169.254/"}}' >/etc/cloud/cloud.cfg.d/99-http.cfg
find_out http
say "http addresses $(/bin/ip -o -4 address show scope global | sed 's/.*inet \([^ ]*\).*/\1/' | tr '\n' ' ')"
say "http routes $(/bin/ip route | tr '\n' ';')"
say "http file $(wget -q -O - http://169.254.169.254/meta-data 2>&1)"
say done
while :; do sleep 1000; done
