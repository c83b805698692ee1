# Writes the configuration of qsync. It needs no provider, so that it can be tried, and used, without an account.

terraform {
  required_version = ">= 1.9"
}

locals {
  # Variables refuse quotes, backslashes and control characters, so that nothing has to be escaped.
  top = [for key, value in { state_dir = var.state_dir } : "${key} = \"${value}\"" if value != null]

  agent = var.agent_listen == null ? [] : ["", "[agent]", "listen = \"${var.agent_listen}\""]

  stores = flatten([for name, url in var.stores : ["", "[stores.${name}]", "url = \"${url}\""]])

  # Whoever reads asks what is free first; whoever writes asks first where readers pay.
  free = [for name in keys(var.stores) : "\"${name}\"" if name == "cdn"]
  paid = [for name in keys(var.stores) : "\"${name}\"" if name != "cdn"]
  from = "[${join(", ", concat(local.free, local.paid))}]"
  to   = "[${join(", ", concat(local.paid, local.free))}]"

  channels = flatten([
    for name, channel in var.channels : concat(
      ["", "[channels.\"${name}\"]"],
      [
        for key, value in { trust = channel.trust, node = channel.node, data_dir = channel.data_dir, rpc = channel.rpc, schedule = channel.schedule } :
        "${key} = \"${value}\"" if value != null
      ],
      ["from = ${local.from}", "to = ${local.to}"],
      channel.unit == null ? [] : ["[channels.\"${name}\".freeze]", "method = \"stop-clone\"", "unit = \"${channel.unit}\""],
    )
  ])

  sources = var.usage == null ? [] : [
    for name, source in var.usage.sources : format("{ %s }", join(", ", [
      for pair in [["store", name], ["distribution", source.distribution], ["bucket", source.bucket], ["region", source.region], ["filter_id", source.filter_id]] :
      "${pair[0]} = \"${pair[1]}\"" if pair[1] != null
    ]))
  ]

  usage = var.usage == null ? [] : concat(
    [
      "", "[usage]",
      "store = \"${var.usage.store}\"",
      "tb_bytes = ${format("%d", var.usage.tb_bytes)}",
      "put_metrics = ${var.usage.put_metrics}",
      "sources = [${join(", ", local.sources)}]",
    ],
    var.usage.sns_topic == null ? [] : ["sns_topic = \"${var.usage.sns_topic}\""],
  )
}
