# B11: a cold restore from a bucket whose readers pay, beside tools that copy the raw files from such a bucket and verify nothing. The server
# is Ceph's gateway on loopback, with its disk in a file.

if ! type -P radosgw >/dev/null; then
    measured B11 "restore from S3 ÷ aws s3 sync" "" at-most 0.7
    note "B11 was not measured: radosgw is missing (Debian: ceph-mon ceph-osd radosgw ceph-common)."
    return 0
fi

export QSYNC_CEPH_DISK_BYTES=$((12 << 30)) AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null
# rclone cannot use a bundle of certificates that is named like this, and nothing here is encrypted.
unset AWS_CA_BUNDLE
say "starting Ceph"
coproc CEPH { exec tests/live/servers/ceph.sh "$work"; }
if ! read -r gateway _ <&"${CEPH[0]}"; then
    measured B11 "restore from S3 ÷ aws s3 sync" "" at-most 0.7
    note "B11 was not measured: Ceph did not start."
    return 0
fi
as_owner() { AWS_ACCESS_KEY_ID=OWNERKEY AWS_SECRET_ACCESS_KEY=owner-secret "$@"; }
as_reader="AWS_ACCESS_KEY_ID=READERKEY AWS_SECRET_ACCESS_KEY=reader-secret"

# bucket_call PATH [BODY]: a signed PUT of the owner.
bucket_call() {
    curl -fsS --aws-sigv4 aws:amz:us-east-1:s3 --user OWNERKEY:owner-secret -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
        --request PUT ${2:+--data-binary "$2"} "$gateway/$1" >/dev/null
}
for bucket in snapshots files; do
    bucket_call "$bucket"
    bucket_call "$bucket?policy=" "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",
        \"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":[\"arn:aws:s3:::$bucket\",\"arn:aws:s3:::$bucket/*\"]}]}"
    bucket_call "$bucket?requestPayment=" "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
done
rclone_s3="rclone --config /dev/null --s3-provider Ceph --s3-endpoint $gateway --s3-env-auth --s3-requester-pays --transfers 16 -q"
as_owner $rclone_s3 copy "$data/rocksdb" :s3:files
snapshots="s3://snapshots/v1?endpoint=$gateway&requester_pays=true"
rm -rf "$work/state"
pin=b3:$(as_owner "$qsync" init --to "$snapshots" --name bench --json | jq -r 'select(.type == "summary").repo')
as_owner "$qsync" publish bench/rocks "$data/rocksdb" --to "$snapshots" >/dev/null

from_s3="rm -rf $out $work/state-of-reader; mkdir $out; sync -f $work"
job "qsync restore, chunks as they are, from S3" "rm -rf $out $work/state-of-reader; sync -f $work" \
    "$as_reader $qsync restore bench/rocks --from '$snapshots' --to $out --trust $pin --state-dir $work/state-of-reader --max-cost 10"
gives "$data/rocksdb" "$out"
peer aws "aws s3 sync of the raw files" "$from_s3" \
    "$as_reader aws --endpoint-url $gateway s3 sync --quiet --request-payer requester s3://files $out; sync -f $out"
gives "$data/rocksdb" "$out"
peer rclone "rclone copy of the raw files from S3, 16 transfers" "$from_s3" "$as_reader $rclone_s3 copy :s3:files $out; sync -f $out"
gives "$data/rocksdb" "$out"
peer s5cmd "s5cmd cp of the raw files" "$from_s3" \
    "$as_reader s5cmd --endpoint-url $gateway --request-payer requester --log error cp 's3://files/*' $out/; sync -f $out"
gives "$data/rocksdb" "$out"
# What the server gives to a program that only copies the objects that qsync reads.
peer s5cmd "s5cmd cp of the chunks, which stay chunks" "$from_s3" \
    "$as_reader s5cmd --endpoint-url $gateway --request-payer requester --log error cp 's3://snapshots/v1/raw/*' $out/; sync -f $out"
table "B11: restore of the RocksDB from a bucket whose readers pay"
rm -rf "$out"
exec {CEPH[1]}>&-

measured B11 "restore from S3 ÷ aws s3 sync" "$(share "aws s3 sync of the raw files")" at-most 0.7
measured B11 "restore from S3 ÷ s5cmd cp, which verifies nothing" "$(share "s5cmd cp of the raw files")" at-most 1.4
