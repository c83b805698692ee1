# What every deployment decides. variables_cdn.tf and variables_alarms.tf have the rest.

variable "name" {
  description = "Begins the name of everything that is made: buckets are NAME-raw, NAME-cdn and NAME-logs, roles NAME-publisher-NETWORK and NAME-gc. Buckets share one name space with all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,28}[a-z0-9]$", var.name))
    error_message = "name is ${var.name}: expected 3 to 30 of a-z, 0-9 and -, beginning and ending with a letter or digit."
  }
}

variable "networks" {
  description = <<-EOT
    The chains that are published, by name. Each gets a role of its own, which can write the heads of that chain and of no other.
    profiles: the channels CHAIN/PROFILE, and what the configuration says of them (node, data_dir, rpc, schedule, unit, trust, min_height for an alarm).
    publisher: who may take the role, at least one: ec2 (machines with the instance profile), oidc (IRSA, or a CI system), principals (roles that exist),
    roles_anywhere (machines elsewhere, by certificate).
  EOT

  type = map(object({
    profiles = map(object({
      node       = optional(string)
      data_dir   = optional(string)
      rpc        = optional(string)
      schedule   = optional(string)
      unit       = optional(string)
      trust      = optional(string)
      min_height = optional(number)
    }))
    publisher = object({
      ec2            = optional(bool, false)
      oidc           = optional(list(object({ provider_arn = string, subjects = list(string), audience = optional(string, "sts.amazonaws.com") })), [])
      principals     = optional(list(string), [])
      roles_anywhere = optional(list(object({ trust_anchor_arn = string, common_name = string })), [])
    })
  }))

  validation {
    condition     = length(var.networks) > 0 && alltrue([for network in values(var.networks) : length(network.profiles) > 0])
    error_message = "networks is empty, or one of them has no profiles: expected at least one channel in each."
  }
  validation {
    condition = alltrue(flatten([
      for chain, network in var.networks : [for word in concat([chain], keys(network.profiles)) : can(regex("^[a-z0-9][a-z0-9._-]{0,63}$", word))]
    ]))
    error_message = "networks has a name that is no part of a channel: expected 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit."
  }
}

variable "gc" {
  description = "Who may take the role that deletes what no snapshot needs, as publisher of a network. null makes no such role: then nothing can be deleted by any role of this module."
  type = object({
    ec2            = optional(bool, false)
    oidc           = optional(list(object({ provider_arn = string, subjects = list(string), audience = optional(string, "sts.amazonaws.com") })), [])
    principals     = optional(list(string), [])
    roles_anywhere = optional(list(object({ trust_anchor_arn = string, common_name = string })), [])
  })
  default = null

  validation {
    condition     = var.gc == null || try(length(var.gc.oidc) + length(var.gc.principals) + length(var.gc.roles_anywhere) + (var.gc.ec2 ? 1 : 0) > 0, false)
    error_message = "gc names nobody who may take the role: expected ec2, oidc, principals or roles_anywhere, or null for no role."
  }
}

variable "prefix" {
  description = "Folder of the store in each bucket."
  type        = string
  default     = "v1"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", var.prefix))
    error_message = "prefix is '${var.prefix}': expected words of letters, digits, _ and -, joined by /, without / at the ends."
  }
}

variable "bucket_names" {
  description = "Names of buckets that are not called as name says, as buckets that exist and are adopted: raw, cdn, logs, second."
  type        = object({ raw = optional(string), cdn = optional(string), logs = optional(string), second = optional(string) })
  default     = {}

  validation {
    condition     = alltrue([for name in values(var.bucket_names) : name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", name))])
    error_message = "bucket_names has a name that is none of a bucket: expected 3 to 63 of a-z, 0-9, . and -."
  }
}

variable "second_region" {
  description = "Whether there is a second bucket whose readers pay, in the region of the provider aws.second. Its name is NAME-raw-second."
  type        = bool
  default     = false
  nullable    = false
}

variable "reader_account_ids" {
  description = "AWS accounts that may read the buckets whose readers pay. Empty: every account. Anonymous readers never can."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.reader_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "reader_account_ids has an entry that is no account: expected 12 digits each."
  }
}

variable "repair_allowed" {
  description = "Whether a publisher may replace a damaged object that never changes, if it names the version that it replaces (publish --rehash). false: nothing that has been published can be overwritten. Switch it on for the repair, and off again."
  type        = bool
  default     = false
  nullable    = false
}

variable "noncurrent_days" {
  description = "Days for which what was deleted or replaced can still be brought back."
  type        = number
  default     = 14

  validation {
    condition     = var.noncurrent_days >= 7 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days is ${var.noncurrent_days}: expected a whole number of at least 7, so that a mistake is noticed in time."
  }
}

variable "public_pages" {
  description = "Objects beside store.json and index.json that everybody may read, such as pages about the state of the store. Names without folders."
  type        = list(string)
  default     = ["index.html", "status.html", "status.json"]
  nullable    = false

  validation {
    condition     = alltrue([for page in var.public_pages : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*$", page))])
    error_message = "public_pages has an entry that is no plain name: expected letters, digits, '.', '_' and '-', without folders and without *."
  }
}

variable "state_dir" {
  description = "Where qsync keeps what it must remember, in the configuration. null leaves it out."
  type        = string
  default     = "/var/lib/qsync"

  validation {
    condition     = var.state_dir == null || can(regex("^/[^\"\\\\[:cntrl:]]*$", var.state_dir))
    error_message = "state_dir is no absolute path without quotes and backslashes."
  }
}

variable "agent_listen" {
  description = "Address and port at which qsync agent answers /healthz and /metrics, in the configuration. null leaves it out."
  type        = string
  default     = null

  validation {
    condition     = var.agent_listen == null || can(regex("^[0-9a-fA-F.:\\[\\]]+:[0-9]{1,5}$", var.agent_listen))
    error_message = "agent_listen is no address with a port: expected one such as 127.0.0.1:9187."
  }
}

variable "tags" {
  description = "Tags of everything that can have them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(lower(key), "aws:")])
    error_message = "tags has a key that begins with aws:, which AWS keeps for itself."
  }
}
