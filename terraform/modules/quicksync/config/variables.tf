variable "state_dir" {
  description = "Where qsync keeps what it must remember. null leaves it out."
  type        = string
  default     = null

  validation {
    condition     = var.state_dir == null || can(regex("^/[^\"\\\\[:cntrl:]]*$", var.state_dir))
    error_message = "state_dir is no absolute path without quotes and backslashes."
  }
}

variable "agent_listen" {
  description = "Address and port at which qsync agent answers. null leaves it out."
  type        = string
  default     = null

  validation {
    condition     = var.agent_listen == null || can(regex("^[0-9a-fA-F.:\\[\\]]+:[0-9]{1,5}$", var.agent_listen))
    error_message = "agent_listen is no address with a port: expected one such as 127.0.0.1:9187."
  }
}

variable "stores" {
  description = "URLs of the stores, by the name that stands for them. Readers of a channel ask cdn first, then the others; publishers write raw first, which decides races."
  type        = map(string)

  validation {
    condition     = length(var.stores) > 0 && alltrue([for name, url in var.stores : can(regex("^[a-z][a-z0-9-]*$", name)) && can(regex("^[^\"\\\\[:space:][:cntrl:]]+$", url))])
    error_message = "stores is empty, or has an entry that is none: expected plain names, and URLs without quotes, backslashes and spaces."
  }
}

variable "channels" {
  description = "What is published, CHAIN/PROFILE, and what the configuration says of it."
  type = map(object({
    node       = optional(string)
    data_dir   = optional(string)
    rpc        = optional(string)
    schedule   = optional(string)
    unit       = optional(string)
    trust      = optional(string)
    min_height = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for channel in keys(var.channels) : can(regex("^[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}$", channel))])
    error_message = "channels has a name that is no channel: expected CHAIN/PROFILE."
  }
  validation {
    condition = alltrue(flatten([
      for channel in values(var.channels) : [
        for text in [channel.node, channel.data_dir, channel.rpc, channel.schedule, channel.unit, channel.trust] : text == null || can(regex("^[^\"\\\\[:cntrl:]]+$", text))
      ]
    ]))
    error_message = "channels has a value that is empty, or has a quote, a backslash or a control character."
  }
  validation {
    condition     = alltrue([for channel in values(var.channels) : channel.trust == null || can(regex("^b3:[0-9a-f]{64}$", channel.trust))])
    error_message = "channels has a trust that is no repository: expected b3: and 64 hex digits, as qsync init prints them."
  }
}

variable "usage" {
  description = "What qsync usage tick needs: the store that holds its state, what a terabyte is, where downloads are counted (by store: a distribution, or a bucket with its region and filter), and who is told. null leaves the table out."
  type = object({
    store       = string
    tb_bytes    = number
    put_metrics = optional(bool, true)
    sources     = map(object({ distribution = optional(string), bucket = optional(string), region = optional(string), filter_id = optional(string) }))
    sns_topic   = optional(string)
  })
  default = null

  validation {
    condition = var.usage == null || try(alltrue([
      for source in values(var.usage.sources) : (source.distribution != null) != (source.bucket != null) && (source.bucket == null || (source.region != null && source.filter_id != null))
    ]), false)
    error_message = "usage.sources has an entry that is neither a distribution nor a bucket with region and filter_id."
  }
}
