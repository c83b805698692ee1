variable "name" {
  description = "Name of the bucket."
  type        = string
}

variable "policy" {
  description = "Its policy, as JSON."
  type        = string
}

variable "public_policy" {
  description = "Whether the policy may let every account in."
  type        = bool
  default     = false
}

variable "requester_pays" {
  description = "Whether readers pay for requests and transfer."
  type        = bool
  default     = false
}

variable "request_metrics" {
  description = "Whether CloudWatch counts requests and bytes, under the filter all."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days for which what was deleted or replaced can be brought back."
  type        = number
}

variable "expire_days" {
  description = "Days after which objects are deleted. null: never."
  type        = number
  default     = null
}

variable "log_bucket" {
  description = "Bucket for logs of its requests. null: none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags."
  type        = map(string)
  default     = {}
}
