# The CDN, its name, its firewall, and what is logged.

variable "price_class" {
  description = "Where CloudFront serves from: PriceClass_100 (North America, Europe, Israel), PriceClass_200 (more), PriceClass_All. Farther readers are served from farther away, at the price of the class."
  type        = string
  default     = "PriceClass_100"

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "price_class is ${var.price_class}: expected PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "domain" {
  description = "Name of the CDN in your own domain. zone_id: the Route 53 zone in which its records are made, and those that prove the certificate. certificate_arn: a certificate in us-east-1 that exists; without it one is asked for, which needs zone_id. null: the name that CloudFront gives."
  type        = object({ name = string, zone_id = optional(string), certificate_arn = optional(string) })
  default     = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain.name))
    error_message = "domain.name is no name of a host: expected one such as cdn.example.org."
  }
  validation {
    condition     = var.domain == null || try(var.domain.zone_id, null) != null || try(var.domain.certificate_arn, null) != null
    error_message = "domain has neither zone_id nor certificate_arn: expected a zone in which a certificate can be proved, or a certificate."
  }
  validation {
    condition     = try(var.domain.certificate_arn, null) == null || can(regex("^arn:[a-z-]+:acm:us-east-1:[0-9]{12}:certificate/", var.domain.certificate_arn))
    error_message = "domain.certificate_arn is no certificate in us-east-1: CloudFront takes no other."
  }
}

variable "requests_per_5_minutes" {
  description = "Requests of one address in five minutes above which the firewall refuses it. null: no firewall. One restore at 10 Gbit/s makes 360,000 at chunks of 1 MiB."
  type        = number
  default     = null

  validation {
    condition     = var.requests_per_5_minutes == null || try(var.requests_per_5_minutes >= 100 && var.requests_per_5_minutes <= 2000000000, false)
    error_message = "requests_per_5_minutes is outside what AWS takes: expected 100 to 2,000,000,000, or null."
  }
}

variable "cdn_access_logs" {
  description = "Whether requests to the CDN are logged, without the addresses of clients."
  type        = bool
  default     = true
  nullable    = false
}

variable "raw_access_logs" {
  description = "Whether requests to the bucket in the first region are logged. S3 writes the address and the account of each reader into such logs, and nothing can leave them out: off unless you need them."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "log_retention_days is ${var.log_retention_days}: expected 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365, at most a year."
  }
}
