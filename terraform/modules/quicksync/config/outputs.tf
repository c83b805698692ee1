output "qsync_toml" {
  description = "The configuration: terraform output -raw qsync_toml > qsync.toml, then qsync --config qsync.toml config check."
  value       = trimprefix(join("\n", concat(local.top, local.agent, local.stores, local.channels, local.usage, [""])), "\n")
}
