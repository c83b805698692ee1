# A name of your own for the CDN: certificate and records, as far as a zone is named.

locals {
  zone = var.domain == null ? null : var.domain.zone_id
  asks = var.domain != null && try(var.domain.certificate_arn, null) == null
}

resource "aws_acm_certificate" "this" {
  count             = local.asks ? 1 : 0
  provider          = aws.us_east_1
  domain_name       = var.domain.name
  validation_method = "DNS"
  tags              = var.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "proof" {
  count           = local.asks ? 1 : 0
  zone_id         = local.zone
  name            = one(aws_acm_certificate.this[0].domain_validation_options[*].resource_record_name)
  type            = one(aws_acm_certificate.this[0].domain_validation_options[*].resource_record_type)
  records         = aws_acm_certificate.this[0].domain_validation_options[*].resource_record_value
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "this" {
  count                   = local.asks ? 1 : 0
  provider                = aws.us_east_1
  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = aws_route53_record.proof[*].fqdn
}

resource "aws_route53_record" "cdn" {
  for_each = toset(local.zone == null ? [] : ["A", "AAAA"])
  zone_id  = local.zone
  name     = var.domain.name
  type     = each.value

  alias {
    name                   = aws_cloudfront_distribution.this.domain_name
    zone_id                = aws_cloudfront_distribution.this.hosted_zone_id
    evaluate_target_health = false
  }
}
