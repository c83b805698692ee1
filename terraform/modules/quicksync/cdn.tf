# The distribution before the private bucket.

locals {
  certificate_arn = var.domain == null ? null : coalesce(var.domain.certificate_arn, one(aws_acm_certificate_validation.this[*].certificate_arn))
  host            = var.domain == null ? aws_cloudfront_distribution.this.domain_name : var.domain.name
}

resource "aws_cloudfront_origin_access_control" "this" {
  name                              = local.cdn
  description                       = "The distribution reads the private bucket ${local.cdn}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_cache_policy" "this" {
  # Objects say in Cache-Control how long they live. These are the bounds, and what holds for an object that says nothing.
  for_each = {
    immutable = { default = 31536000, max = 31536000 }
    replaced  = { default = 60, max = 60 }
  }

  name        = "${var.name}-${each.key}"
  min_ttl     = 0
  default_ttl = each.value.default
  max_ttl     = each.value.max

  parameters_in_cache_key_and_forwarded_to_origin {
    # Frames are compressed, and qsync refuses encoded answers.
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "this" {
  #checkov:skip=CKV_AWS_259:A preload list is for whole domains, and whether yours is on it is for you to say.
  name = var.name

  cors_config {
    access_control_allow_credentials = false
    origin_override                  = true

    access_control_allow_headers {
      items = ["*"]
    }
    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }
    access_control_allow_origins {
      items = ["*"]
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }
    frame_options {
      frame_option = "DENY"
      override     = true
    }
    referrer_policy {
      referrer_policy = "no-referrer"
      override        = true
    }
    strict_transport_security {
      access_control_max_age_sec = 31536000
      override                   = true
    }
  }
}

resource "aws_cloudfront_distribution" "this" {
  #checkov:skip=CKV_AWS_86:Requests are logged by aws_cloudwatch_log_delivery, which can leave out the addresses of clients; this older form cannot.
  #checkov:skip=CKV_AWS_68:A limit on requests harms restores before it harms anybody else. requests_per_5_minutes sets one.
  #checkov:skip=CKV2_AWS_47:Nothing behind the distribution runs Log4j: it is a bucket.
  #checkov:skip=CKV_AWS_310:Readers go on with their other sources when this one is down; a second origin would have to hold all chunks.
  #checkov:skip=CKV_AWS_305:There is no page at the top: the store lies below its prefix.
  #checkov:skip=CKV_AWS_374:Snapshots of public chains are for everybody.
  #checkov:skip=CKV_AWS_174:With the certificate of CloudFront AWS sets the oldest version of TLS. With domain it is TLSv1.2_2021.
  #checkov:skip=CKV2_AWS_42:As CKV_AWS_174: a domain is optional.
  comment             = "qsync ${var.name}"
  enabled             = true
  http_version        = "http2and3"
  is_ipv6_enabled     = true
  price_class         = var.price_class
  aliases             = var.domain == null ? [] : [var.domain.name]
  web_acl_id          = one(aws_wafv2_web_acl.this[*].arn)
  wait_for_deployment = true
  tags                = var.tags

  origin {
    origin_id                = "store"
    domain_name              = module.cdn.regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.this.id
  }

  # Heads, index and pages, and whatever nobody thought of: kept for a minute.
  default_cache_behavior {
    target_origin_id           = "store"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = false
    cache_policy_id            = aws_cloudfront_cache_policy.this["replaced"].id
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
  }

  dynamic "ordered_cache_behavior" {
    for_each = local.immutable

    content {
      path_pattern               = "/${var.prefix}/${ordered_cache_behavior.value}"
      target_origin_id           = "store"
      allowed_methods            = ["GET", "HEAD"]
      cached_methods             = ["GET", "HEAD"]
      viewer_protocol_policy     = "redirect-to-https"
      compress                   = false
      cache_policy_id            = aws_cloudfront_cache_policy.this["immutable"].id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
    }
  }

  # An object that has just been uploaded is asked for again after 15 s.
  dynamic "custom_error_response" {
    for_each = [403, 404, 500, 502, 503, 504]

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 10
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = local.certificate_arn
    ssl_support_method             = var.domain == null ? null : "sni-only"
    minimum_protocol_version       = var.domain == null ? null : "TLSv1.2_2021"
  }

  lifecycle {
    precondition {
      condition     = data.aws_region.us_east_1.name == "us-east-1"
      error_message = "The provider aws.us_east_1 works in ${data.aws_region.us_east_1.name}: expected us-east-1, where CloudFront keeps its metrics, logs and certificates. hint: give that provider region = \"us-east-1\"."
    }
    precondition {
      condition     = !var.second_region || data.aws_region.second.name != data.aws_region.this.name
      error_message = "The provider aws.second works in ${data.aws_region.second.name}, as aws does: expected another region. hint: give that provider another region, or set second_region = false."
    }
  }
}
