#!/bin/sh
# UNTESTED: written from the manual of LVM. Stops the node, snapshots its logical volume, starts it, mounts the snapshot.
set -eu
UNIT=geth.service
GROUP=vg0
VOLUME=geth
# Room for what the node writes until the upload is done.
ROOM=50G
MOUNT=/run/qsync-snapshot
# xfs needs nouuid, ext4 noload: the log of a volume that was mounted is replayed into the snapshot otherwise.
OPTIONS=ro,nouuid

if [ "${1-}" = thaw ]; then
    systemctl start "$UNIT"
    if mountpoint -q "$MOUNT"; then umount "$MOUNT"; fi
    if lvs "$GROUP/$VOLUME-qsync" >/dev/null 2>&1; then lvremove -y "$GROUP/$VOLUME-qsync"; fi
    exit 0
fi

systemctl stop "$UNIT"
if [ "$(systemctl show -p Result --value "$UNIT")" != success ]; then
    systemctl start "$UNIT"
    echo "$UNIT did not stop cleanly" >&2
    exit 1
fi
sync
lvcreate -y -s -L "$ROOM" -n "$VOLUME-qsync" "$GROUP/$VOLUME" >&2
systemctl start "$UNIT"
mkdir -p "$MOUNT"
mount -o "$OPTIONS" "/dev/$GROUP/$VOLUME-qsync" "$MOUNT"
printf '{"dir": "%s"}\n' "$MOUNT"
