variable "name" {
  description = "Name of the role, and of its instance profile."
  type        = string

  validation {
    condition     = length(var.name) <= 64
    error_message = "the role ${var.name} has a name of more than 64 letters, which AWS refuses: choose a shorter name."
  }
}

variable "description" {
  description = "What the role is for."
  type        = string
}

variable "policy" {
  description = "What it may do, as JSON."
  type        = string
}

variable "takers" {
  description = "Who may take the role."
  type = object({
    ec2            = optional(bool, false)
    oidc           = optional(list(object({ provider_arn = string, subjects = list(string), audience = optional(string, "sts.amazonaws.com") })), [])
    principals     = optional(list(string), [])
    roles_anywhere = optional(list(object({ trust_anchor_arn = string, common_name = string })), [])
  })

  validation {
    condition     = var.takers.ec2 || length(var.takers.oidc) + length(var.takers.principals) + length(var.takers.roles_anywhere) > 0
    error_message = "nobody may take the role ${var.name}: expected ec2, oidc, principals or roles_anywhere."
  }
  validation {
    condition     = alltrue([for arn in var.takers.principals : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[^*]+$", arn))])
    error_message = "principals of the role ${var.name} has an entry that is no role or user: expected ARNs without *, for an account as a whole is too many."
  }
  validation {
    condition     = alltrue(flatten([for one in var.takers.oidc : [for subject in one.subjects : length(replace(subject, "*", "")) >= 8 && !startswith(subject, "*")]])) && alltrue([for one in var.takers.oidc : length(one.subjects) > 0 && can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", one.provider_arn))])
    error_message = "oidc of the role ${var.name} lets in more than was meant: expected the ARN of an OIDC provider, and subjects of at least 8 letters that do not begin with *."
  }
}

variable "tags" {
  description = "Tags."
  type        = map(string)
  default     = {}
}
