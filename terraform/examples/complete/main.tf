# Three chains in one call, each with its own role, and everything that can be switched on.

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

provider "aws" {
  alias  = "second"
  region = "ap-southeast-1"
}

module "quicksync" {
  source    = "../../modules/quicksync"
  providers = { aws = aws, aws.us_east_1 = aws.us_east_1, aws.second = aws.second }

  name          = "example-snapshots"
  second_region = true

  networks = {
    kusama = {
      profiles = {
        rocksdb-pruned = {
          node       = "polkadot-rocksdb"
          data_dir   = "/var/lib/kusama"
          rpc        = "http://127.0.0.1:9944"
          unit       = "kusama.service"
          schedule   = "0 3 * * *"
          min_height = 24000000
        }
        paritydb-pruned = {
          node     = "polkadot-paritydb"
          data_dir = "/var/lib/kusama-paritydb"
          rpc      = "http://127.0.0.1:9945"
          unit     = "kusama-paritydb.service"
        }
      }
      publisher = { ec2 = true }
    }

    polkadot = {
      profiles = {
        rocksdb-pruned = {
          node     = "polkadot-rocksdb"
          data_dir = "/var/lib/polkadot"
          rpc      = "http://127.0.0.1:9944"
        }
      }
      # A pod of Kubernetes, by its service account.
      publisher = {
        oidc = [{
          provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
          subjects     = ["system:serviceaccount:nodes:qsync"]
        }]
      }
    }

    westend = {
      profiles = { rocksdb-pruned = { node = "polkadot-rocksdb", data_dir = "/var/lib/westend" } }
      # A machine that is not at AWS, by its certificate.
      publisher = {
        roles_anywhere = [{
          trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/01234567-89ab-cdef-0123-456789abcdef"
          common_name      = "westend-1.example.org"
        }]
      }
    }
  }

  # Another machine, or a person, never the one that publishes.
  gc = { principals = ["arn:aws:iam::111122223333:role/retention"] }

  price_class            = "PriceClass_All"
  domain                 = { name = "snapshots.example.org", zone_id = "Z0123456789EXAMPLE" }
  requests_per_5_minutes = 2000000

  notify      = [{ protocol = "email", endpoint = "operator@example.org" }, { protocol = "https", endpoint = "https://pager.example.org/sns" }]
  tb_steps    = [1, 5, 20, 50]
  budget_usd  = 4000
  usage_alarm = true
  node_alarms = true

  agent_listen = "127.0.0.1:9187"
  tags         = { project = "snapshots" }
}

output "qsync_toml" {
  description = "The configuration of qsync, with all networks."
  value       = module.quicksync.qsync_toml
}

output "qsync_toml_by_network" {
  description = "The configuration of qsync for machines that publish one network."
  value       = module.quicksync.qsync_toml_by_network
}

output "publisher_role_arns" {
  description = "The role that publishes, by network."
  value       = module.quicksync.publisher_role_arns
}
