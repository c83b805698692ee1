# What is written, to the letter, and what is refused because it could not be written safely.

variables {
  state_dir    = "/var/lib/qsync"
  agent_listen = "127.0.0.1:9187"
  stores = {
    cdn = "s3://example-cdn/v1?region=eu-central-1&cdn=https://cdn.example.org/v1&distribution=E2EXAMPLE"
    raw = "s3://example-raw/v1?region=eu-central-1&requester_pays=true"
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
}

run "everything" {
  assert {
    condition     = output.qsync_toml == <<-EOT
      state_dir = "/var/lib/qsync"

      [agent]
      listen = "127.0.0.1:9187"

      [stores.cdn]
      url = "s3://example-cdn/v1?region=eu-central-1&cdn=https://cdn.example.org/v1&distribution=E2EXAMPLE"

      [stores.raw]
      url = "s3://example-raw/v1?region=eu-central-1&requester_pays=true"

      [channels."kusama/rocksdb-pruned"]
      data_dir = "/var/lib/kusama"
      node = "polkadot-rocksdb"
      rpc = "http://127.0.0.1:9944"
      schedule = "0 3 * * *"
      trust = "b3:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
      from = ["cdn", "raw"]
      to = ["raw", "cdn"]
      [channels."kusama/rocksdb-pruned".freeze]
      method = "stop-clone"
      unit = "kusama.service"

      [channels."westend/rocksdb-pruned"]
      from = ["cdn", "raw"]
      to = ["raw", "cdn"]

      [usage]
      store = "s3://example-cdn/v1?region=eu-central-1"
      tb_bytes = 1099511627776
      put_metrics = true
      sources = [{ store = "cdn", distribution = "E2EXAMPLE" }, { store = "raw", bucket = "example-raw", region = "eu-central-1", filter_id = "all" }]
      sns_topic = "arn:aws:sns:eu-central-1:111122223333:example"
    EOT
    error_message = "The configuration is another: ${output.qsync_toml}"
  }
}

run "least" {
  variables {
    state_dir    = null
    agent_listen = null
    channels     = {}
    usage        = null
  }

  assert {
    condition     = output.qsync_toml == "[stores.cdn]\nurl = \"${var.stores.cdn}\"\n\n[stores.raw]\nurl = \"${var.stores.raw}\"\n"
    error_message = "The configuration is another: ${output.qsync_toml}"
  }
}

run "a_value_that_would_end_its_line" {
  command = plan
  variables {
    channels = { "kusama/rocksdb-pruned" = { data_dir = "/x\"\nrpc = \"http://elsewhere" } }
  }
  expect_failures = [var.channels]
}

run "a_channel_that_is_none" {
  command = plan
  variables {
    channels = { "kusama\"]" = {} }
  }
  expect_failures = [var.channels]
}

run "a_repository_that_is_none" {
  command = plan
  variables {
    channels = { "kusama/rocksdb-pruned" = { trust = "b3:0" } }
  }
  expect_failures = [var.channels]
}

run "a_store_with_a_quote" {
  command = plan
  variables {
    stores = { raw = "s3://bucket/\"" }
  }
  expect_failures = [var.stores]
}

run "a_source_that_is_both" {
  command = plan
  variables {
    usage = { store = "s3://bucket", tb_bytes = 1, sources = { raw = { distribution = "E1", bucket = "bucket" } } }
  }
  expect_failures = [var.usage]
}

run "a_bucket_without_its_filter" {
  command = plan
  variables {
    usage = { store = "s3://bucket", tb_bytes = 1, sources = { raw = { bucket = "bucket", region = "eu-central-1" } } }
  }
  expect_failures = [var.usage]
}
