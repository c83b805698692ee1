terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
      # us_east_1: CloudFront's metrics, logs, certificates and firewall live there. second: pass aws itself where there is no second region.
      configuration_aliases = [aws.us_east_1, aws.second]
    }
  }
}
