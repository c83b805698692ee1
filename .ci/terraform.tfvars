# For .ci/terraform: a configuration with every key that the module can write.
state_dir    = "/var/lib/qsync"
agent_listen = "127.0.0.1:9187"
stores = {
  cdn    = "s3://example-cdn/v1?region=eu-central-1&owner=111122223333&cdn=https://cdn.example.org/v1&distribution=E2EXAMPLE"
  raw    = "s3://example-raw/v1?region=eu-central-1&requester_pays=true&owner=111122223333"
  second = "s3://example-raw-second/v1?region=ap-southeast-1&requester_pays=true&owner=111122223333"
}
channels = {
  "kusama/rocksdb-pruned" = {
    trust    = "b3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    node     = "polkadot-rocksdb"
    data_dir = "/var/lib/kusama"
    rpc      = "http://127.0.0.1:9944"
    schedule = "0 3 * * *"
    unit     = "kusama.service"
  }
  "westend/rocksdb-pruned" = {}
}
usage = {
  store     = "s3://example-cdn/v1?region=eu-central-1"
  tb_bytes  = 1099511627776
  sns_topic = "arn:aws:sns:eu-central-1:111122223333:example"
  sources = {
    cdn = { distribution = "E2EXAMPLE" }
    raw = { bucket = "example-raw", region = "eu-central-1", filter_id = "all" }
  }
}
