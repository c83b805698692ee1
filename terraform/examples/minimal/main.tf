# One chain, published from one machine of EC2: the least that has to be said.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

provider "aws" {
  alias  = "us_east_1"
  region = "us-east-1"
}

module "quicksync" {
  source    = "../../modules/quicksync"
  providers = { aws = aws, aws.us_east_1 = aws.us_east_1, aws.second = aws }

  name = "example-snapshots"

  networks = {
    kusama = {
      profiles  = { rocksdb-pruned = {} }
      publisher = { ec2 = true }
    }
  }

  notify = [{ protocol = "email", endpoint = "operator@example.org" }]
}

output "qsync_toml" {
  description = "The configuration of qsync."
  value       = module.quicksync.qsync_toml
}

output "public_url" {
  description = "Where everybody reads."
  value       = module.quicksync.public_url
}
