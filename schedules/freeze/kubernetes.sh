#!/bin/sh
# UNTESTED: written from the manuals of Kubernetes. Scales the node to 0, makes a VolumeSnapshot of its claim, scales it up. A pod that
# publishes must mount a claim made from the snapshot at $DIR; the base in schedules/kubernetes shows one.
set -eu
NAMESPACE=chain
SET=geth
CLAIM=data-geth-0
CLASS=csi-snapshots
SNAPSHOT=qsync-geth
DIR=/snapshot

if [ "${1-}" = thaw ]; then
    kubectl -n "$NAMESPACE" scale statefulset "$SET" --replicas=1
    kubectl -n "$NAMESPACE" delete volumesnapshot "$SNAPSHOT" --ignore-not-found
    exit 0
fi

kubectl -n "$NAMESPACE" scale statefulset "$SET" --replicas=0 >&2
kubectl -n "$NAMESPACE" wait --for=delete "pod/$SET-0" --timeout=900s >&2
kubectl -n "$NAMESPACE" apply -f - >&2 <<END
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: { name: $SNAPSHOT }
spec: { volumeSnapshotClassName: $CLASS, source: { persistentVolumeClaimName: $CLAIM } }
END
kubectl -n "$NAMESPACE" wait --for=jsonpath='{.status.readyToUse}'=true "volumesnapshot/$SNAPSHOT" --timeout=600s >&2
kubectl -n "$NAMESPACE" scale statefulset "$SET" --replicas=1 >&2
printf '{"dir": "%s"}\n' "$DIR"
